/*
 * Copyright (C) ngx-voice contributors
 *
 * Who may join, and how: tokens, modes and the address of the relay.
 */


#ifndef _NGX_HTTP_VOICE_ADMIT_H_INCLUDED_
#define _NGX_HTTP_VOICE_ADMIT_H_INCLUDED_


#include "ngx_http_voice_signal.h"


typedef struct {
    unsigned         code;
    const char      *reason;
    voice_metric_t   metric;
} ngx_http_voice_refusal_t;


/*
 * Checks Identify; hash is that of its token.  NULL: *token says who it is,
 * for a guest too.
 */
const ngx_http_voice_refusal_t *ngx_http_voice_admit(
    ngx_http_voice_signal_t *sg, const voice_op_identify_t *id,
    const uint8_t *hash, voice_token_t *token);

/* The refusal of one that may come in a moment later. */
extern const ngx_http_voice_refusal_t  ngx_http_voice_refuse_late;

/* The session that such a token asks for.  Calls _known(). */
void ngx_http_voice_admit_conf(ngx_http_voice_signal_t *sg,
    const voice_token_t *token, ngx_uint_t video, voice_session_conf_t *conf);

/* Checks Resume as far as the token goes, however old that is. */
ngx_int_t ngx_http_voice_admit_resume(ngx_http_voice_signal_t *sg,
    const voice_op_resume_t *r, voice_token_t *token);

/* Puts down what the websocket has to know of its user. */
void ngx_http_voice_admit_known(ngx_http_voice_signal_t *sg,
    const voice_token_t *token);

/* Checks Select Protocol.  NULL: *mode is good. */
const ngx_http_voice_refusal_t *ngx_http_voice_admit_mode(
    ngx_http_voice_signal_t *sg, const voice_op_select_t *sel,
    voice_mode_t *mode);

/* Where the session's media goes; logs why if NGX_ERROR. */
ngx_int_t ngx_http_voice_admit_endpoint(ngx_http_voice_signal_t *sg,
    voice_endpoint_t *ep);


#endif /* _NGX_HTTP_VOICE_ADMIT_H_INCLUDED_ */
