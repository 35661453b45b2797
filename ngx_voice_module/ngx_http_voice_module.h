/*
 * Copyright (C) ngx-voice contributors
 */


#ifndef _NGX_HTTP_VOICE_MODULE_H_INCLUDED_
#define _NGX_HTTP_VOICE_MODULE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_voice_directory.h"

#include "voice_crypto.h"
#include "voice_token.h"


#define NGX_VOICE_VERSION   "0.1.0"


/* How nodes of a cluster speak with each other. */
typedef struct {
    voice_token_keys_t                keys;       /* shared; n 0: none */
#if (NGX_HTTP_SSL)
    ngx_ssl_t                        *ssl;        /* of connections to them */
#else
    void                             *ssl;
#endif
    ngx_uint_t                        trusted;    /* voice_peer_trusted... */
} ngx_http_voice_peer_conf_t;


typedef struct {
    voice_token_keys_t                keys;
    voice_token_keys_t                platform;   /* voice_platform_key */
    ngx_http_voice_peer_conf_t        peer;
    ngx_http_voice_directory_conf_t   directory;

    ngx_uint_t                        identify;       /* in 5 s; 0: any */
    ngx_uint_t                        identify_day;
    ngx_uint_t                        user_sessions;  /* 0: any */
} ngx_http_voice_main_conf_t;


typedef struct {
    ngx_flag_t           signal;
    ngx_uint_t           status;         /* NGX_HTTP_VOICE_STATUS_* */

    voice_mode_t         mode[VOICE_MODE_COUNT];
    ngx_uint_t           nmodes;         /* 0: not set */

    ngx_msec_t           heartbeat;
    ngx_flag_t           guests;

    ngx_uint_t           rate;           /* messages per second; 0: any */
    ngx_uint_t           burst;
    ngx_flag_t           rate_dry_run;

    ngx_flag_t           gateway;
    ngx_msec_t           gateway_heartbeat;
    ngx_str_t            gateway_url;    /* empty: as the request says */
    ngx_str_t            endpoint;       /* empty: as the request says */
    ngx_str_t            region;
    time_t               token_ttl;

    ngx_flag_t           peer;

    ngx_flag_t           api;
    ngx_uint_t           api_rate;       /* requests per second; 0: any */
    ngx_uint_t           api_burst;
} ngx_http_voice_loc_conf_t;


/* voice_key and its like: reads a file into the keys at cmd->offset. */
char *ngx_http_voice_key(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);


extern ngx_module_t  ngx_http_voice_module;


#endif /* _NGX_HTTP_VOICE_MODULE_H_INCLUDED_ */
