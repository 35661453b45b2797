/*
 * Copyright (C) ngx-voice contributors
 *
 * $voice_* variables: what the access log can say of a voice websocket.
 */


#ifndef _NGX_HTTP_VOICE_VARIABLES_H_INCLUDED_
#define _NGX_HTTP_VOICE_VARIABLES_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>


ngx_int_t ngx_http_voice_variables_add(ngx_conf_t *cf);


#endif /* _NGX_HTTP_VOICE_VARIABLES_H_INCLUDED_ */
