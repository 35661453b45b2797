/*
 * Copyright (C) ngx-voice contributors
 *
 * One user in a voice channel by way of the main gateway: asks for the
 * channel, connects to the voice server that the gateway names, and follows
 * it: moves, other voice servers, disconnects.
 */


#ifndef _VC_JOIN_H_INCLUDED_
#define _VC_JOIN_H_INCLUDED_


#include "gateway.h"
#include "voice_client.h"


typedef struct {
    vc_gateway_conf_t   gateway;
    vc_client_conf_t    voice;       /* guild, channel, version, mode ...;
                                        the rest comes from the gateway */
} vc_join_conf_t;


typedef struct {
    uint64_t   moves;                /* to other channels, by somebody else */
    uint64_t   servers;              /* voice servers told while in voice */
    uint64_t   rejoins;              /* asked for, the voice session gone */
} vc_join_stats_t;


typedef struct {
    vc_gateway_t                  gateway;
    vc_client_t                   voice;
    vc_join_conf_t                conf;
    const vc_client_handlers_t   *handlers;
    void                         *data;
    vc_loop_t                    *loop;
    vc_join_stats_t               stats;
    vc_client_stats_t             earlier;   /* of former voice sessions */
    char                          error[VC_ERROR_MAX];
    bool                          failed;    /* error is set */
    bool                          leaving;

    bool                          asked;     /* op 4 is sent */
    bool                          present;   /* the voice state is there */
    bool                          joined;    /* media flowed once */
    uint32_t                      flags;     /* what moderators set */
    vc_server_t                   server;    /* the voice server */
    bool                          opened;    /* it is */
    unsigned                      attempts;

    vc_timer_t                    timer;
    uint64_t                      ask_at;    /* op 4 once more */
    uint64_t                      give_up_at;
    const char                   *waiting;   /* for what */
} vc_join_t;


/*
 * j is zeroed memory of the caller, conf is copied.  Handlers are those of a
 * voice session; live() comes each time that media may be sent, after a move
 * too, and ended() once, when all is over.
 */
void vc_join_start(vc_join_t *j, vc_loop_t *loop, const vc_join_conf_t *conf,
    const vc_client_handlers_t *handlers, void *data);

/* Leaves the channel and ends the gateway's session. */
void vc_join_leave(vc_join_t *j);

/* Of all voice sessions; handshake_bytes is that of the last one. */
void vc_join_totals(const vc_join_t *j, vc_client_stats_t *stats);

/* Drops everything at once.  Not from a handler. */
void vc_join_free(vc_join_t *j);


#endif /* _VC_JOIN_H_INCLUDED_ */
