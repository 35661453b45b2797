/*
 * Copyright (C) ngx-voice contributors
 *
 * The main gateway: joins a websocket, the state machine of the core, the
 * directory and the zone.
 *
 * Memory of an idle gateway connection, on top of what nginx holds for an
 * open request: the websocket and wslay's frame context (5 KiB), this
 * structure (0.5 KiB) and 56 bytes for each guild that its token names, which
 * is 16 KiB with 180 guilds.  With compression a deflate context of 30 KiB
 * is added.
 */


#ifndef _NGX_HTTP_VOICE_GATEWAY_H_INCLUDED_
#define _NGX_HTTP_VOICE_GATEWAY_H_INCLUDED_


#include "ngx_http_voice_guild.h"
#include "ngx_http_voice_websocket.h"

#include "voice_gateway.h"
#include "voice_limit.h"

#include <zlib.h>


typedef struct ngx_http_voice_gateway_s  ngx_http_voice_gateway_t;
typedef struct ngx_http_voice_node_s     ngx_http_voice_node_t;


/* A guild that a gateway's token names. */
typedef struct {
    ngx_queue_t                 queue;       /* of the guild's node */
    ngx_http_voice_gateway_t   *gateway;
    ngx_http_voice_node_t      *node;
    uint64_t                    version;     /* of the node, that the client
                                                knows; 0: not known which */
    ngx_msec_t                  asked;       /* for all members, when; 0 */
    uint32_t                    index;       /* in the token */
    unsigned                    known:1;     /* the client has the guild */
    unsigned                    stale:1;     /* and must have it anew */
} ngx_http_voice_subscription_t;


/* How far a client is behind what happens. */
typedef enum {
    NGX_HTTP_VOICE_GATEWAY_GUILDS = 0,       /* has not got all guilds */
    NGX_HTTP_VOICE_GATEWAY_REPLAY,           /* nor all it has missed */
    NGX_HTTP_VOICE_GATEWAY_BEHIND,           /* reads on from the log */
    NGX_HTTP_VOICE_GATEWAY_CURRENT
} ngx_http_voice_gateway_phase_t;


/* In the request's pool. */
struct ngx_http_voice_gateway_s {
    ngx_http_voice_ws_t             *ws;
    ngx_http_voice_loc_conf_t       *conf;
    ngx_log_t                       *log;
    voice_zone_t                    *zone;
    voice_gateway_t                  state;
    voice_bucket_t                   commands;
    voice_bucket_t                   beats;
    voice_gateway_session_t          session;     /* id 0: none (any more) */
    ngx_http_voice_gateway_phase_t   phase;
    ngx_queue_t                      dirty;       /* next NULL: not in it */

    ngx_uint_t                       slot;        /* index of the session */
    uint64_t                         user_id;
    uint32_t                         intents;
    uint32_t                         shard;
    uint32_t                         nshards;
    char                             name[VOICE_TOKEN_NAME_MAX + 1];

    ngx_http_voice_subscription_t   *sub;
    ngx_uint_t                       nsubs;
    ngx_uint_t                       next_sub;    /* of phase GUILDS */

    uint64_t                        *replay;      /* of phase REPLAY */
    size_t                           nreplay;
    size_t                           next_replay;
    uint64_t                         replay_seq;

    ngx_queue_t                      joins;       /* that wait for a server */

    time_t                           expires;     /* of the token; 0: never */
    ngx_event_t                      expiry;

    z_stream                        *deflate;

    unsigned                         bot:1;
    unsigned                         compress:1;
    unsigned                         asked:1;     /* for a heartbeat */
    unsigned                         leaving:1;   /* told to reconnect */
    unsigned                         resuming:1;  /* RESUMED is to be sent */
    unsigned                         known:1;     /* there was a session */
};


/* Marks of dispatches that are no events of the log. */
typedef enum {
    NGX_HTTP_VOICE_MARK_READY = 1,
    NGX_HTTP_VOICE_MARK_GUILD,
    NGX_HTTP_VOICE_MARK_CHANGE,          /* a part of a guild changed */
    NGX_HTTP_VOICE_MARK_CHUNK,
    NGX_HTTP_VOICE_MARK_LIMITED,         /* there was no chunk */
    NGX_HTTP_VOICE_MARK_RESUMED
} ngx_http_voice_mark_t;

#define ngx_http_voice_mark_what(mark)   (((mark) >> 32) & 0x7fffffff)
#define ngx_http_voice_mark_index(mark)  ((uint32_t) (mark))


/* In the content phase: locations with voice_gateway, requests to upgrade. */
ngx_int_t ngx_http_voice_gateway_handler(ngx_http_request_t *r);

ngx_int_t ngx_http_voice_gateway_init_process(ngx_cycle_t *cycle);

/* For the other files of the gateway. */

/* The gateway of a session on this worker, or NULL. */
ngx_http_voice_gateway_t *ngx_http_voice_gateway_get(voice_id_t id);

/* Queues a message that is complete. */
void ngx_http_voice_gateway_send(ngx_http_voice_gateway_t *gw,
    const char *text, size_t len);
void ngx_http_voice_gateway_send_buf(ngx_http_voice_gateway_t *gw,
    const voice_buf_t *b);

/*
 * Queues an event under the next s.  what: as in
 * voice_gateway_session_dispatched().  NGX_DECLINED: the gateway was closed,
 * for its session has another websocket.
 */
ngx_int_t ngx_http_voice_gateway_event(ngx_http_voice_gateway_t *gw,
    voice_dispatch_t event, uint64_t what, const voice_buf_t *d);

/* Under an s that was taken before. */
void ngx_http_voice_gateway_event_again(ngx_http_voice_gateway_t *gw,
    voice_dispatch_t event, uint64_t seq, const voice_buf_t *d);

/*
 * The websocket has gw->session from now on, and the user of the token.  One
 * of this worker that had the session is closed.
 */
void ngx_http_voice_gateway_attach(ngx_http_voice_gateway_t *gw,
    const voice_user_token_t *token);

/* The client lives: waits for its next heartbeat. */
void ngx_http_voice_gateway_beat(ngx_http_voice_gateway_t *gw);

/* Ends the websocket; reason is static. */
void ngx_http_voice_gateway_close(ngx_http_voice_gateway_t *gw,
    ngx_uint_t code, const char *reason);

/* Closes those whose client has resumed at another worker. */
void ngx_http_voice_gateway_taken(voice_zone_t *z);

/* Has the output of a gateway written after this event's handlers. */
void ngx_http_voice_gateway_touch(ngx_http_voice_gateway_t *gw);

/* For all with a session; the gateway may be closed in it. */
typedef void (*ngx_http_voice_gateway_each_pt)(ngx_http_voice_gateway_t *gw,
    void *data);
void ngx_http_voice_gateway_each(ngx_http_voice_gateway_each_pt each,
    void *data);


static ngx_inline void
ngx_http_voice_gateway_count(ngx_http_voice_gateway_t *gw,
    voice_metric_t metric)
{
    voice_metric_add(voice_zone_metrics(gw->zone), metric, 1);
}


/* ngx_http_voice_deflate.c */

/* gw->deflate, if the URL of the request asks for compression. */
ngx_int_t ngx_http_voice_deflate_open(ngx_http_voice_gateway_t *gw,
    ngx_http_request_t *r);
void ngx_http_voice_deflate_close(ngx_http_voice_gateway_t *gw);

/* One message into b, which is reset before. */
ngx_int_t ngx_http_voice_deflate(ngx_http_voice_gateway_t *gw,
    const char *text, size_t len, voice_buf_t *b);


/* ngx_http_voice_identify.c: op 2, op 6 */

void ngx_http_voice_gateway_identify(ngx_http_voice_gateway_t *gw,
    const voice_gateway_identify_t *id);
void ngx_http_voice_gateway_resume(ngx_http_voice_gateway_t *gw,
    const voice_gateway_resume_t *rs);

/* The client has all of its guilds: from now on it may resume. */
void ngx_http_voice_gateway_complete(ngx_http_voice_gateway_t *gw);

/* How often a user may identify, if vmcf->identify is not 0. */
voice_identify_limit_t ngx_http_voice_identify_limit(
    const ngx_http_voice_main_conf_t *vmcf);


/* ngx_http_voice_join.c: op 4, op 8. */

void ngx_http_voice_gateway_voice_state(ngx_http_voice_gateway_t *gw,
    const voice_gateway_voice_state_t *vs);
void ngx_http_voice_gateway_ping(ngx_http_voice_gateway_t *gw);
void ngx_http_voice_join_forget(ngx_http_voice_gateway_t *gw,
    uint64_t guild_id);
void ngx_http_voice_gateway_members(ngx_http_voice_gateway_t *gw,
    const voice_gateway_members_t *m);


/* ngx_http_voice_url.c: how clients reach us, if no directive says it. */

/* "wss://host:port/gateway", or with a slash behind it; pool: r->pool */
ngx_int_t ngx_http_voice_gateway_url(ngx_http_request_t *r, ngx_uint_t slash,
    ngx_str_t *url);

/* "host:port", NUL-terminated */
ngx_int_t ngx_http_voice_endpoint(ngx_http_request_t *r, ngx_str_t *endpoint);


#endif /* _NGX_HTTP_VOICE_GATEWAY_H_INCLUDED_ */
