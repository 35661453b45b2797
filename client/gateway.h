/*
 * Copyright (C) ngx-voice contributors
 *
 * One client of the main gateway, driven by an event loop: identifies, keeps
 * itself alive, and resumes after a lost connection, so that its owner sees
 * every event once and in order.
 */


#ifndef _VC_GATEWAY_H_INCLUDED_
#define _VC_GATEWAY_H_INCLUDED_


#include "loop.h"
#include "server.h"
#include "websocket.h"

#include "voice_gateway_client.h"


/* guilds, and voice states of others */
#define VC_GATEWAY_INTENTS                                                    \
    (VOICE_INTENT_GUILDS | VOICE_INTENT_VOICE_STATES)


typedef struct {
    const vc_server_t  *server;
    const char         *token;       /* user token, of the owner's memory */
    const char         *ca;          /* for the server that READY names */
    bool                insecure;
    uint32_t            intents;
} vc_gateway_conf_t;


/* What its owner is told; each may be NULL. */
typedef struct {
    /*
     * A session began; got->d.ready.  Once more if it could not be resumed:
     * what was asked for in the former one is gone.
     */
    void  (*ready)(void *data, const voice_gateway_got_t *got);

    /* any other dispatch, those that a resume replays included */
    void  (*event)(void *data, const voice_gateway_got_t *got);

    void  (*note)(void *data, const char *text);

    /* the last call; error is NULL after vc_gateway_leave() */
    void  (*ended)(void *data, const char *error);
} vc_gateway_handlers_t;


typedef enum {
    VC_GATEWAY_NEW = 0,
    VC_GATEWAY_CONNECTING,     /* up to READY or RESUMED */
    VC_GATEWAY_WAITING,        /* for the next try to connect */
    VC_GATEWAY_LIVE,
    VC_GATEWAY_LEAVING,
    VC_GATEWAY_ENDED
} vc_gateway_state_t;


typedef struct {
    vc_gateway_state_t             state;
    vc_gateway_conf_t              conf;
    const vc_gateway_handlers_t   *handlers;
    void                          *data;
    vc_loop_t                     *loop;
    char                           error[VC_ERROR_MAX];
    bool                           failed;       /* error is set */

    vc_ws_t                        ws;
    vc_server_t                    other;        /* to resume at */
    bool                           elsewhere;    /* other is open */

    uint64_t                       user_id;
    char                           session_id[VOICE_SESSION_ID_MAX + 1];
    uint64_t                       seq;          /* last s seen */
    bool                           resuming;     /* there is a session */
    bool                           identified;   /* there once was one */

    uint64_t                       interval;     /* of heartbeats, ns */
    bool                           unacked;
    unsigned                       attempts;
    uint64_t                       lost_at;
    uint64_t                       resumes;      /* successful ones */
    uint64_t                       sessions;

    /* deadlines, 0: none */
    vc_timer_t                     timer;
    uint64_t                       answer_at;
    uint64_t                       beat_at;
    uint64_t                       connect_at;
    uint64_t                       identify_at;
    uint64_t                       end_at;
} vc_gateway_t;


/* g is zeroed memory of the caller, conf is copied. */
void vc_gateway_start(vc_gateway_t *g, vc_loop_t *loop,
    const vc_gateway_conf_t *conf, const vc_gateway_handlers_t *handlers,
    void *data);

/* Op 4; false if there is no session to ask in just now. */
bool vc_gateway_voice(vc_gateway_t *g, const voice_gateway_voice_state_t *vs);

/* Op 5: the voice server seems to be away. */
void vc_gateway_voice_ping(vc_gateway_t *g);

/* Ends the session, which takes its user out of all channels. */
void vc_gateway_leave(vc_gateway_t *g);

/* Drops the connection as a network would; for tests of resuming. */
void vc_gateway_cut(vc_gateway_t *g);

/* Drops everything at once.  Not from a handler. */
void vc_gateway_free(vc_gateway_t *g);


#endif /* _VC_GATEWAY_H_INCLUDED_ */
