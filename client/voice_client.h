/*
 * Copyright (C) ngx-voice contributors
 *
 * One voice session, as a client has it: websocket and UDP, driven by an
 * event loop.  Joins, keeps itself alive, resumes after a lost connection
 * while media go on, sends and receives packets.
 */


#ifndef _VC_VOICE_CLIENT_H_INCLUDED_
#define _VC_VOICE_CLIENT_H_INCLUDED_


#include "loop.h"
#include "nonces.h"
#include "server.h"
#include "websocket.h"

#include "voice_crypto.h"
#include "voice_opcode.h"
#include "voice_rtcp.h"
#include "voice_rtp.h"


#define VC_MODE_FIRST   -1     /* the first mode that the server offers */
#define VC_MODE_MIX     -2     /* number mix of those that it offers */

#define VC_PAYLOAD_MAX  1400


typedef struct {
    const vc_server_t  *server;
    uint64_t            guild_id;
    uint64_t            channel_id;
    uint64_t            user_id;
    char                session_id[VOICE_SESSION_ID_MAX + 1];
    char                token[VOICE_TOKEN_MAX + 1];
    int                 version;           /* voice gateway, 1 ... 9 */
    int                 mode;              /* voice_mode_t or VC_MODE_* */
    unsigned            mix;               /* taken modulo their number */
    bool                reports;           /* send RTCP sender reports */
    uint32_t            beat;              /* ms, heartbeats at least so often;
                                              0: as the server says */
    vc_nonces_t        *nonces;            /* gets those that the server uses,
                                              or NULL */
} vc_client_conf_t;


typedef struct {
    voice_rtp_t      rtp;
    const uint8_t   *payload;
    size_t           len;
    uint64_t         now;                  /* when it was read, ns */
} vc_media_t;


/*
 * What a session tells its owner; each may be NULL.  None of them may free
 * the session.
 */
typedef struct {
    /* joined: media may be sent from now on */
    void  (*live)(void *data);

    void  (*media)(void *data, const vc_media_t *media);
    void  (*speaking)(void *data, uint64_t user_id, uint32_t ssrc,
        uint32_t speaking);
    void  (*left)(void *data, uint64_t user_id);

    /* a report block about what we send; rtt in ns, 0 if unknown */
    void  (*report)(void *data, const voice_rtcp_block_t *block,
        uint64_t rtt);

    /* something worth a line in a verbose log */
    void  (*note)(void *data, const char *text);

    /* the websocket is away; the session tries to resume */
    void  (*lost)(void *data);

    /* the last call; error is NULL after vc_client_leave() */
    void  (*ended)(void *data, const char *error);
} vc_client_handlers_t;


typedef enum {
    VC_CLIENT_NEW = 0,
    VC_CLIENT_IDENTIFYING,     /* no session yet */
    VC_CLIENT_DISCOVERING,     /* Ready came: SSRC and address known */
    VC_CLIENT_SELECTING,
    VC_CLIENT_LIVE,
    VC_CLIENT_LEAVING,
    VC_CLIENT_ENDED
} vc_client_state_t;


typedef struct {
    uint64_t   sent;
    uint64_t   unsent;            /* the system refused to take them */
    uint64_t   undecryptable;
    uint64_t   early;             /* media before the first key */
    uint64_t   reconnects;        /* successful resumes */
    uint64_t   handshake_bytes;   /* JSON both ways up to the key */
    uint64_t   rekeys;
} vc_client_stats_t;


typedef struct {
    vc_client_state_t             state;
    vc_client_conf_t              conf;
    const vc_client_handlers_t   *handlers;
    void                         *data;
    vc_loop_t                    *loop;
    vc_client_stats_t             stats;
    char                          error[VC_ERROR_MAX];
    bool                          failed;        /* error is set */
    int                           close_code;    /* the last one, 0: none */

    /* signalling */
    vc_ws_t                       ws;
    bool                          linked;        /* identified or resumed */
    int32_t                       seq;           /* last one seen, or -1 */
    uint32_t                      speaking;      /* what was last said */
    uint64_t                      interval;      /* of heartbeats, ns */
    unsigned                      unacked;
    uint64_t                      beat_sent;
    uint64_t                      rtt;           /* of heartbeats, ns */
    unsigned                      attempts;      /* to resume */
    uint64_t                      lost_at;

    /* deadlines, 0: none */
    vc_timer_t                    timer;
    uint64_t                      join_at;
    uint64_t                      beat_at;
    uint64_t                      resume_at;
    uint64_t                      discovery_at;
    uint64_t                      keepalive_at;
    uint64_t                      end_at;

    /* media */
    vc_watch_t                    udp;
    unsigned                      discoveries;
    char                          address[VOICE_ADDRESS_MAX];
    uint16_t                      port;          /* as the server sees us */
    voice_mode_t                  mode;
    voice_crypto_key_t            key;
    voice_crypto_key_t            old_key;       /* until old_until */
    uint64_t                      old_until;
    uint32_t                      nonce;
    uint32_t                      ssrc;
    uint16_t                      rtp_seq;
    uint32_t                      rtp_ts;
    uint32_t                      octets;
    uint64_t                      keepalives;
} vc_client_t;


/*
 * Begins to join; what comes of it is told by live() or ended().  c is
 * zeroed memory of the caller, conf is copied.
 */
void vc_client_start(vc_client_t *c, vc_loop_t *loop,
    const vc_client_conf_t *conf, const vc_client_handlers_t *handlers,
    void *data);

/* Says that we speak (VOICE_SPEAKING_*) or stop (0). */
void vc_client_speak(vc_client_t *c, uint32_t speaking);

/*
 * Sends one Opus packet of that many samples at 48 kHz; false if we are not
 * live or the system took it not.
 */
bool vc_client_send(vc_client_t *c, const uint8_t *payload, size_t len,
    uint32_t samples);

/* Leaves, waiting a second at most for the server to say goodbye. */
void vc_client_leave(vc_client_t *c);

/* Drops everything at once.  Not from a handler. */
void vc_client_free(vc_client_t *c);


/* Parts of the client: signalling calls media and the other way round. */
bool vc_client_udp_open(vc_client_t *c, const char *ip, uint16_t port);
void vc_client_udp_close(vc_client_t *c);
void vc_client_discover(vc_client_t *c, uint64_t now);
void vc_client_keepalive(vc_client_t *c, uint64_t now);
void vc_client_set_key(vc_client_t *c, voice_mode_t mode,
    const uint8_t key[VOICE_KEY_LEN], uint64_t now);
void vc_client_select(vc_client_t *c);
void vc_client_arm(vc_client_t *c);
void vc_client_fail(vc_client_t *c, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));


#endif /* _VC_VOICE_CLIENT_H_INCLUDED_ */
