/*
 * Copyright (C) ngx-voice contributors
 *
 * What the gateway and the API have in common: their directives, and their
 * part in the life of a worker.
 */


#ifndef _NGX_HTTP_VOICE_SERVICE_H_INCLUDED_
#define _NGX_HTTP_VOICE_SERVICE_H_INCLUDED_


#include "ngx_http_voice_module.h"


/* Directives. */

char *ngx_http_voice_service_gateway(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_voice_service_api(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_voice_service_identify(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_voice_service_sessions(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);

extern ngx_conf_post_t  ngx_http_voice_service_url_post;
extern ngx_conf_post_t  ngx_http_voice_service_endpoint_post;
extern ngx_conf_post_t  ngx_http_voice_service_region_post;
extern ngx_conf_post_t  ngx_http_voice_service_ttl_post;


void ngx_http_voice_service_create(ngx_http_voice_loc_conf_t *vlcf);
char *ngx_http_voice_service_merge(ngx_conf_t *cf,
    ngx_http_voice_loc_conf_t *prev, ngx_http_voice_loc_conf_t *conf);

/* After all of "http" was read. */
ngx_int_t ngx_http_voice_service_init(ngx_conf_t *cf);

/* After the voice websockets. */
ngx_int_t ngx_http_voice_service_init_process(ngx_cycle_t *cycle);


#endif /* _NGX_HTTP_VOICE_SERVICE_H_INCLUDED_ */
