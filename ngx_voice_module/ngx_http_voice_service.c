/*
 * Copyright (C) ngx-voice contributors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_voice_api.h"
#include "ngx_http_voice_dispatch.h"
#include "ngx_http_voice_service.h"


/* Clients have to ask for their voice session within that, seconds. */
#define NGX_HTTP_VOICE_TOKEN_TTL        60
#define NGX_HTTP_VOICE_TOKEN_TTL_MAX    86400

/* As Discord limits a bot. */
#define NGX_HTTP_VOICE_API_RATE         50
#define NGX_HTTP_VOICE_API_BURST        100

/* Of one user in 5 seconds and in a day, section 12.1; and at a time. */
#define NGX_HTTP_VOICE_IDENTIFY         1
#define NGX_HTTP_VOICE_IDENTIFY_DAY     1000
#define NGX_HTTP_VOICE_IDENTIFY_MAX     1000000
#define NGX_HTTP_VOICE_USER_SESSIONS    32


static char *ngx_http_voice_service_url(ngx_conf_t *cf, void *post,
    void *data);
static char *ngx_http_voice_service_endpoint(ngx_conf_t *cf, void *post,
    void *data);
static char *ngx_http_voice_service_region(ngx_conf_t *cf, void *post,
    void *data);
static char *ngx_http_voice_service_ttl(ngx_conf_t *cf, void *post,
    void *data);


ngx_conf_post_t  ngx_http_voice_service_url_post = {
    ngx_http_voice_service_url
};

ngx_conf_post_t  ngx_http_voice_service_endpoint_post = {
    ngx_http_voice_service_endpoint
};

ngx_conf_post_t  ngx_http_voice_service_region_post = {
    ngx_http_voice_service_region
};

ngx_conf_post_t  ngx_http_voice_service_ttl_post = {
    ngx_http_voice_service_ttl
};


char *
ngx_http_voice_service_gateway(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_voice_loc_conf_t  *vlcf = conf;

    if (vlcf->gateway) {
        return "is duplicate";
    }

    vlcf->gateway = 1;

    return NGX_CONF_OK;
}


char *
ngx_http_voice_service_api(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_voice_loc_conf_t  *vlcf = conf;

    ngx_http_core_loc_conf_t  *clcf;

    if (vlcf->api) {
        return "is duplicate";
    }

    vlcf->api = 1;

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);
    clcf->handler = ngx_http_voice_api_handler;

    return NGX_CONF_OK;
}


char *
ngx_http_voice_service_identify(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_voice_main_conf_t  *vmcf = conf;

    ngx_int_t   day, n;
    ngx_str_t  *value;

    if (vmcf->identify != NGX_CONF_UNSET_UINT) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (cf->args->nelts == 2 && ngx_strcmp(value[1].data, "off") == 0) {
        vmcf->identify = 0;
        return NGX_CONF_OK;
    }

    n = ngx_atoi(value[1].data, value[1].len);
    day = (cf->args->nelts == 3) ? ngx_atoi(value[2].data, value[2].len)
                                 : NGX_HTTP_VOICE_IDENTIFY_DAY;

    if (n < 1 || n > NGX_HTTP_VOICE_IDENTIFY_MAX || day < 1
        || day > NGX_HTTP_VOICE_IDENTIFY_MAX)
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%V\" \"%V%s%s\", expected off, or a number in "
                           "5 seconds and then one in a day, each from 1 to "
                           "%d", &cmd->name, &value[1],
                           cf->args->nelts == 3 ? " " : "",
                           cf->args->nelts == 3 ? value[2].data
                                                : (u_char *) "",
                           NGX_HTTP_VOICE_IDENTIFY_MAX);
        return NGX_CONF_ERROR;
    }

    vmcf->identify = n;
    vmcf->identify_day = day;

    return NGX_CONF_OK;
}


char *
ngx_http_voice_service_sessions(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_voice_main_conf_t  *vmcf = conf;

    ngx_int_t   n;
    ngx_str_t  *value;

    if (vmcf->user_sessions != NGX_CONF_UNSET_UINT) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (ngx_strcmp(value[1].data, "off") == 0) {
        vmcf->user_sessions = 0;
        return NGX_CONF_OK;
    }

    n = ngx_atoi(value[1].data, value[1].len);

    if (n < 1 || n > (ngx_int_t) VOICE_ZONE_SESSIONS_MAX) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%V\" \"%V\", expected off, or a number from 1 "
                           "to %ud", &cmd->name, &value[1],
                           VOICE_ZONE_SESSIONS_MAX);
        return NGX_CONF_ERROR;
    }

    vmcf->user_sessions = n;

    return NGX_CONF_OK;
}


/* Letters, digits, and some of `more`. */

static ngx_uint_t
ngx_http_voice_service_word(ngx_str_t *value, const char *more, size_t max)
{
    size_t  i;
    u_char  c;

    for (i = 0; i < value->len; i++) {
        c = value->data[i];

        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')
              || (c >= '0' && c <= '9') || ngx_strchr(more, c) != NULL))
        {
            return 0;
        }
    }

    return value->len != 0 && value->len <= max;
}


static char *
ngx_http_voice_service_url(ngx_conf_t *cf, void *post, void *data)
{
    ngx_str_t  *value = data;

    if (!ngx_http_voice_service_word(value, ".-_:/[]~", 255)
        || (ngx_strncmp(value->data, "wss://", 6) != 0
            && ngx_strncmp(value->data, "ws://", 5) != 0))
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"voice_gateway_url\" \"%V\", expected "
                           "wss://host[:port]/path", value);
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


static char *
ngx_http_voice_service_endpoint(ngx_conf_t *cf, void *post, void *data)
{
    ngx_str_t  *value = data;

    if (!ngx_http_voice_service_word(value, ".-_:[]", 255)) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"voice_endpoint\" \"%V\", expected host[:port]",
                           value);
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


static char *
ngx_http_voice_service_region(ngx_conf_t *cf, void *post, void *data)
{
    ngx_str_t  *value = data;

    if (!ngx_http_voice_service_word(value, "-_", 32)) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"voice_region\" \"%V\", expected at most 32 "
                           "letters, digits, \"-\" and \"_\"", value);
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


static char *
ngx_http_voice_service_ttl(ngx_conf_t *cf, void *post, void *data)
{
    time_t  *value = data;

    if (*value < 1 || *value > NGX_HTTP_VOICE_TOKEN_TTL_MAX) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"voice_token_ttl\" of %T seconds, expected 1 to "
                           "%d", *value, NGX_HTTP_VOICE_TOKEN_TTL_MAX);
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


void
ngx_http_voice_service_create(ngx_http_voice_loc_conf_t *vlcf)
{
    vlcf->gateway_heartbeat = NGX_CONF_UNSET_MSEC;
    vlcf->token_ttl = NGX_CONF_UNSET;
    vlcf->api_rate = NGX_CONF_UNSET_UINT;
    vlcf->api_burst = NGX_CONF_UNSET_UINT;
}


/* What they need from elsewhere in the configuration. */

static char *
ngx_http_voice_service_check(ngx_conf_t *cf, ngx_http_voice_loc_conf_t *conf)
{
    const char                  *name;
    ngx_http_core_loc_conf_t    *clcf;
    ngx_http_voice_main_conf_t  *vmcf;

    vmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_voice_module);
    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

    name = conf->gateway ? "voice_gateway" : "voice_api";

    if (!ngx_voice_zone_configured(cf->cycle)) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "\"%s\" in location \"%V\" needs a \"voice_zone\" "
                      "directive before \"http\"", name, &clcf->name);
        return NGX_CONF_ERROR;
    }

    if (vmcf->keys.n == 0) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "\"%s\" in location \"%V\" needs a \"voice_key\" "
                      "directive in \"http\"", name, &clcf->name);
        return NGX_CONF_ERROR;
    }

    if (conf->gateway && (clcf->handler != NULL || conf->signal)) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "\"voice_gateway\" in location \"%V\" conflicts with "
                      "another handler", &clcf->name);
        return NGX_CONF_ERROR;
    }

    vmcf->directory.used = 1;

    return NGX_CONF_OK;
}


char *
ngx_http_voice_service_merge(ngx_conf_t *cf, ngx_http_voice_loc_conf_t *prev,
    ngx_http_voice_loc_conf_t *conf)
{
    ngx_http_core_loc_conf_t  *clcf;

    ngx_conf_merge_msec_value(conf->gateway_heartbeat, prev->gateway_heartbeat,
                              VOICE_GATEWAY_HEARTBEAT);
    ngx_conf_merge_str_value(conf->gateway_url, prev->gateway_url, "");
    ngx_conf_merge_str_value(conf->endpoint, prev->endpoint, "");
    ngx_conf_merge_str_value(conf->region, prev->region, "main");
    ngx_conf_merge_sec_value(conf->token_ttl, prev->token_ttl,
                             NGX_HTTP_VOICE_TOKEN_TTL);
    ngx_conf_merge_uint_value(conf->api_rate, prev->api_rate,
                              NGX_HTTP_VOICE_API_RATE);
    ngx_conf_merge_uint_value(conf->api_burst, prev->api_burst,
                              NGX_HTTP_VOICE_API_BURST);

    /* "if" and "limit_except" are part of their location */

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

    if (clcf->noname && clcf->handler == NULL) {

        if (prev->api) {
            conf->api = 1;
            clcf->handler = ngx_http_voice_api_handler;
        }

        conf->gateway = prev->gateway;

        return NGX_CONF_OK;
    }

    return (conf->gateway || conf->api)
           ? ngx_http_voice_service_check(cf, conf) : NGX_CONF_OK;
}


ngx_int_t
ngx_http_voice_service_init(ngx_conf_t *cf)
{
    ngx_http_handler_pt         *h;
    ngx_http_core_main_conf_t   *cmcf;
    ngx_http_voice_main_conf_t  *vmcf;

    cmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_core_module);
    vmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_voice_module);

    h = ngx_array_push(&cmcf->phases[NGX_HTTP_CONTENT_PHASE].handlers);
    if (h == NULL) {
        return NGX_ERROR;
    }

    *h = ngx_http_voice_gateway_handler;

    ngx_conf_init_size_value(vmcf->directory.memory, VOICE_STORE_SIZE);
    ngx_conf_init_uint_value(vmcf->user_sessions,
                             NGX_HTTP_VOICE_USER_SESSIONS);

    if (vmcf->identify == NGX_CONF_UNSET_UINT) {
        vmcf->identify = NGX_HTTP_VOICE_IDENTIFY;
        vmcf->identify_day = NGX_HTTP_VOICE_IDENTIFY_DAY;
    }

    return ngx_http_voice_directory_init(cf, &vmcf->directory);
}


/* What the log has is for the gateways, and for streams of events. */

static void
ngx_http_voice_service_wake(ngx_log_t *log)
{
    ngx_http_voice_gateway_taken(ngx_voice_zone((ngx_cycle_t *) ngx_cycle));
    ngx_http_voice_dispatch_log(log);
    ngx_http_voice_stream_wake();
}


ngx_int_t
ngx_http_voice_service_init_process(ngx_cycle_t *cycle)
{
    ngx_http_voice_main_conf_t  *vmcf;

    vmcf = ngx_http_cycle_get_module_main_conf(cycle, ngx_http_voice_module);

    if (vmcf == NULL || vmcf->directory.store.header == NULL) {
        return NGX_OK;
    }

    /* it takes this worker's slot, which all the others need */

    if (ngx_voice_wake_handler(cycle, ngx_http_voice_service_wake) != NGX_OK) {

        /* an error would end this worker for good, and the rest of its sites */

        ngx_log_error(NGX_LOG_ALERT, cycle->log, 0,
                      "this worker can't be woken and takes no gateway "
                      "clients");
        return NGX_OK;
    }

    if (ngx_http_voice_guild_init_process(cycle, ngx_http_voice_dispatch_guild)
        != NGX_OK
        || ngx_http_voice_dispatch_init_process(cycle) != NGX_OK
        || ngx_http_voice_gateway_init_process(cycle) != NGX_OK
        || ngx_http_voice_stream_init_process(cycle) != NGX_OK)
    {
        return NGX_ERROR;
    }

    return NGX_OK;
}
