/*
 * Copyright (C) ngx-voice contributors
 *
 * One connection to another node's voice_peer: a request after the other over
 * HTTP/1.1, kept alive.
 */


#ifndef _NGX_HTTP_VOICE_LINK_H_INCLUDED_
#define _NGX_HTTP_VOICE_LINK_H_INCLUDED_


#include "ngx_http_voice_peer.h"

#include "voice_peer_message.h"


typedef struct ngx_http_voice_link_s  ngx_http_voice_link_t;

/* answer: NULL if there is none, *why says why */
typedef void (*ngx_http_voice_link_pt)(ngx_http_voice_link_t *link,
    const voice_peer_answer_t *answer, const char *why);


struct ngx_http_voice_link_s {
    ngx_pool_t                   *pool;       /* of the URL */
    ngx_url_t                     parsed;
    ngx_uint_t                    https;
    ngx_connection_t             *connection;
    ngx_peer_connection_t         pc;
    ngx_event_t                   timer;      /* of the request */
    ngx_http_voice_link_pt        handler;
    ngx_http_voice_peer_conf_t   *conf;
    ngx_log_t                    *log;

    voice_buf_t                   out;
    size_t                        sent;
    u_char                        in[2048];
    size_t                        received;
    const char                   *failed;     /* to be told by the timer */
    unsigned                      busy:1;     /* a request is going on */
    unsigned                      ready:1;    /* TLS is done, or not needed */
};


/* url: http[s]://ADDRESS[:PORT]/PATH; NGX_DECLINED: *why */
ngx_int_t ngx_http_voice_link_init(ngx_http_voice_link_t *link,
    const char *url, const char **why);

/* Posts; the handler is called once, never from within. */
void ngx_http_voice_link_post(ngx_http_voice_link_t *link,
    const voice_buf_t *body);

/* Ends what is going on, without a call of the handler. */
void ngx_http_voice_link_close(ngx_http_voice_link_t *link);


#endif /* _NGX_HTTP_VOICE_LINK_H_INCLUDED_ */
