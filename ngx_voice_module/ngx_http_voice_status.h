/*
 * Copyright (C) ngx-voice contributors
 *
 * The state of the voice server, as JSON or for Prometheus.
 */


#ifndef _NGX_HTTP_VOICE_STATUS_H_INCLUDED_
#define _NGX_HTTP_VOICE_STATUS_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>


#define NGX_HTTP_VOICE_STATUS_JSON         1
#define NGX_HTTP_VOICE_STATUS_PROMETHEUS   2


ngx_int_t ngx_http_voice_status_handler(ngx_http_request_t *r);


#endif /* _NGX_HTTP_VOICE_STATUS_H_INCLUDED_ */
