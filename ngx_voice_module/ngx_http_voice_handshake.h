/*
 * Copyright (C) ngx-voice contributors
 *
 * Opening handshake of a WebSocket, RFC 6455, section 4.2.
 */


#ifndef _NGX_HTTP_VOICE_HANDSHAKE_H_INCLUDED_
#define _NGX_HTTP_VOICE_HANDSHAKE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>


#define NGX_HTTP_VOICE_UPGRADE_REQUIRED   426


/*
 * NGX_OK         a request for a websocket, may be answered
 * NGX_DECLINED   something else, for other handlers
 * else           the status to refuse it with; NGX_HTTP_VOICE_UPGRADE_REQUIRED
 *                by ngx_http_voice_handshake_refuse()
 */
ngx_int_t ngx_http_voice_handshake_check(ngx_http_request_t *r);

/* Sends 426; the result is the content handler's. */
ngx_int_t ngx_http_voice_handshake_refuse(ngx_http_request_t *r);

/*
 * Sends 101.  No extension is accepted.  NGX_ERROR: the connection is of no
 * more use.
 */
ngx_int_t ngx_http_voice_handshake_answer(ngx_http_request_t *r);


#endif /* _NGX_HTTP_VOICE_HANDSHAKE_H_INCLUDED_ */
