/*
 * Copyright (C) ngx-voice contributors
 *
 * The voice gateway: joins a websocket, the state machine of the core and
 * the zone.
 */


#ifndef _NGX_HTTP_VOICE_SIGNAL_H_INCLUDED_
#define _NGX_HTTP_VOICE_SIGNAL_H_INCLUDED_


#include "ngx_voice.h"
#include "ngx_http_voice_module.h"
#include "ngx_http_voice_websocket.h"

#include "voice_limit.h"
#include "voice_signal.h"


typedef struct ngx_http_voice_late_s  ngx_http_voice_late_t;


/*
 * One websocket.  In the request's pool, so that the access log can be told
 * of it when all is over.
 */
typedef struct {
    ngx_http_voice_ws_t        *ws;
    ngx_http_voice_loc_conf_t  *conf;
    ngx_log_t                  *log;
    voice_zone_t               *zone;
    voice_signal_t              state;
    voice_bucket_t              bucket;
    ngx_msec_t                  opened;
    ngx_http_voice_late_t      *late;        /* waits for its voice state */

    voice_id_t                  id;          /* 0: no session (any more) */
    uint32_t                    attach;

    /* of the session, if `known`; they stay when it is gone */
    uint64_t                    user_id;
    uint64_t                    guild_id;
    uint64_t                    channel_id;
    uint64_t                    packets_in;
    uint64_t                    packets_out;
    uint64_t                    packets_lost;
    voice_mode_t                mode;
    char                        session_id[VOICE_SESSION_ID_MAX + 1];

    unsigned                    known:1;     /* there was a session */
    unsigned                    selected:1;  /* mode is set */
    unsigned                    priority:1;  /* may be priority speaker */
    unsigned                    spoken:1;    /* sent op 5 */
    unsigned                    limited:1;   /* dry run has said so */
} ngx_http_voice_signal_t;


/* In the content phase: locations with voice_signal, requests to upgrade. */
ngx_int_t ngx_http_voice_signal_handler(ngx_http_request_t *r);

/* Brings packets_in, _out and _lost up to date. */
void ngx_http_voice_signal_count(ngx_http_voice_signal_t *sg);


/* The rest is for ngx_http_voice_event.c. */

void ngx_http_voice_signal_send(ngx_http_voice_signal_t *sg, const char *text,
    size_t len);

/*
 * Ends the session, if there is one, and the websocket; reason is static.
 * VOICE_METRICS_COUNT: nothing to count.
 */
void ngx_http_voice_signal_close(ngx_http_voice_signal_t *sg, unsigned code,
    const char *reason, voice_metric_t metric);

/*
 * Draws a key, gives it to the zone and to the client.  NGX_DECLINED: the
 * session is not there any more.
 */
ngx_int_t ngx_http_voice_signal_key(ngx_http_voice_signal_t *sg,
    voice_mode_t mode, const voice_addr_t *hint);


#endif /* _NGX_HTTP_VOICE_SIGNAL_H_INCLUDED_ */
