/*
 * Copyright (C) ngx-voice contributors
 *
 * Voice states between nodes: each tells all others of its own users, see
 * voice_peer.h and voice_peer_message.h.
 */


#ifndef _NGX_HTTP_VOICE_PEER_H_INCLUDED_
#define _NGX_HTTP_VOICE_PEER_H_INCLUDED_


#include "ngx_voice.h"
#include "ngx_http_voice_module.h"


/* "<unix seconds>.<hex of HMAC-SHA256>", NUL-terminated */
#define NGX_HTTP_VOICE_PEER_MAC   (20 + 1 + 64 + 1)

#define NGX_HTTP_VOICE_PEER_HEADER   "X-Voice-Peer"


/* Of locations with voice_peer: takes what others push. */
ngx_int_t ngx_http_voice_peer_handler(ngx_http_request_t *r);

char *ngx_http_voice_peer(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);

/* Of a location with voice_peer, once all has been parsed. */
ngx_int_t ngx_http_voice_peer_check(ngx_conf_t *cf,
    ngx_http_core_loc_conf_t *clcf);

char *ngx_http_voice_peer_key(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_voice_peer_certificate(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_voice_peer_trusted(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);

/* What proves that a message is of a node that has the key. */
void ngx_http_voice_peer_sign(const voice_token_keys_t *keys, time_t now,
    const u_char *text, size_t len, char mac[NGX_HTTP_VOICE_PEER_MAC]);


/* ngx_http_voice_push.c: the first worker tells the others. */
void ngx_http_voice_push_start(ngx_log_t *log);
void ngx_http_voice_push_stop(void);

/* Something happened: the log has more. */
void ngx_http_voice_push_wake(void);

/* The list of nodes may have changed. */
void ngx_http_voice_push_nodes(void);


#endif /* _NGX_HTTP_VOICE_PEER_H_INCLUDED_ */
