/*
 * Copyright (C) ngx-voice contributors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_voice_module.h"
#include "ngx_http_voice_cluster.h"
#include "ngx_http_voice_peer.h"
#include "ngx_http_voice_registry.h"
#include "ngx_http_voice_service.h"
#include "ngx_http_voice_signal.h"
#include "ngx_http_voice_status.h"
#include "ngx_http_voice_variables.h"

#include <sodium.h>


/* A PEM of a 16384 bit RSA key has 13 KB. */
#define NGX_HTTP_VOICE_KEY_FILE_MAX    65536

#define NGX_HTTP_VOICE_HEARTBEAT       13750
#define NGX_HTTP_VOICE_HEARTBEAT_MIN   100
#define NGX_HTTP_VOICE_HEARTBEAT_MAX   300000

/*
 * Clients beat every 5 seconds at most and tell of each start and end of
 * speech.  Far above that, far below a flood, and two bursts stay below what
 * an outbox holds.
 */
#define NGX_HTTP_VOICE_RATE            10
#define NGX_HTTP_VOICE_BURST           60
#define NGX_HTTP_VOICE_RATE_MAX        1000000


static ngx_int_t ngx_http_voice_add_variables(ngx_conf_t *cf);
static ngx_int_t ngx_http_voice_init(ngx_conf_t *cf);
static ngx_int_t ngx_http_voice_init_process(ngx_cycle_t *cycle);

static void *ngx_http_voice_create_main_conf(ngx_conf_t *cf);
static void *ngx_http_voice_create_loc_conf(ngx_conf_t *cf);
static char *ngx_http_voice_merge_loc_conf(ngx_conf_t *cf, void *parent,
    void *child);

static char *ngx_http_voice_modes(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_http_voice_heartbeat(ngx_conf_t *cf, void *post, void *data);
static char *ngx_http_voice_signal(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_http_voice_status(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_http_voice_rate(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);


static ngx_conf_post_t  ngx_http_voice_heartbeat_post = {
    ngx_http_voice_heartbeat
};


static ngx_command_t  ngx_http_voice_commands[] = {

    { ngx_string("voice_key"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_http_voice_key,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(ngx_http_voice_main_conf_t, keys),
      NULL },

    { ngx_string("voice_modes"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_1MORE,
      ngx_http_voice_modes,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("voice_heartbeat"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_voice_conf_set_msec,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_voice_loc_conf_t, heartbeat),
      &ngx_http_voice_heartbeat_post },

    { ngx_string("voice_guests"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_FLAG,
      ngx_conf_set_flag_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_voice_loc_conf_t, guests),
      NULL },

    { ngx_string("voice_signal"),
      NGX_HTTP_LOC_CONF|NGX_CONF_NOARGS,
      ngx_http_voice_signal,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("voice_signal_rate"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE12,
      ngx_http_voice_rate,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_voice_loc_conf_t, rate),
      NULL },

    { ngx_string("voice_signal_rate_dry_run"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_FLAG,
      ngx_conf_set_flag_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_voice_loc_conf_t, rate_dry_run),
      NULL },

    { ngx_string("voice_guilds"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_http_voice_directory_file,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("voice_guilds_memory"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_size_slot,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(ngx_http_voice_main_conf_t, directory.memory),
      NULL },

    { ngx_string("voice_platform_key"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_http_voice_key,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(ngx_http_voice_main_conf_t, platform),
      NULL },

    { ngx_string("voice_peer"),
      NGX_HTTP_LOC_CONF|NGX_CONF_NOARGS,
      ngx_http_voice_peer,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("voice_peer_key"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_http_voice_peer_key,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(ngx_http_voice_main_conf_t, peer),
      NULL },

    { ngx_string("voice_peer_certificate"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE2,
      ngx_http_voice_peer_certificate,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("voice_peer_trusted_certificate"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_http_voice_peer_trusted,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("voice_gateway"),
      NGX_HTTP_LOC_CONF|NGX_CONF_NOARGS,
      ngx_http_voice_service_gateway,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("voice_gateway_heartbeat"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_msec_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_voice_loc_conf_t, gateway_heartbeat),
      &ngx_http_voice_heartbeat_post },

    { ngx_string("voice_gateway_identify"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE12,
      ngx_http_voice_service_identify,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("voice_gateway_sessions"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_http_voice_service_sessions,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("voice_gateway_url"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_str_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_voice_loc_conf_t, gateway_url),
      &ngx_http_voice_service_url_post },

    { ngx_string("voice_endpoint"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_str_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_voice_loc_conf_t, endpoint),
      &ngx_http_voice_service_endpoint_post },

    { ngx_string("voice_region"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_str_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_voice_loc_conf_t, region),
      &ngx_http_voice_service_region_post },

    { ngx_string("voice_token_ttl"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_sec_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_voice_loc_conf_t, token_ttl),
      &ngx_http_voice_service_ttl_post },

    { ngx_string("voice_api"),
      NGX_HTTP_LOC_CONF|NGX_CONF_NOARGS,
      ngx_http_voice_service_api,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("voice_api_rate"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE12,
      ngx_http_voice_rate,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_voice_loc_conf_t, api_rate),
      NULL },

    { ngx_string("voice_status"),
      NGX_HTTP_LOC_CONF|NGX_CONF_NOARGS|NGX_CONF_TAKE1,
      ngx_http_voice_status,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

      ngx_null_command
};


static ngx_http_module_t  ngx_http_voice_module_ctx = {
    ngx_http_voice_add_variables,          /* preconfiguration */
    ngx_http_voice_init,                   /* postconfiguration */

    ngx_http_voice_create_main_conf,       /* create main configuration */
    NULL,                                  /* init main configuration */

    NULL,                                  /* create server configuration */
    NULL,                                  /* merge server configuration */

    ngx_http_voice_create_loc_conf,        /* create location configuration */
    ngx_http_voice_merge_loc_conf          /* merge location configuration */
};


ngx_module_t  ngx_http_voice_module = {
    NGX_MODULE_V1,
    &ngx_http_voice_module_ctx,            /* module context */
    ngx_http_voice_commands,               /* module directives */
    NGX_HTTP_MODULE,                       /* module type */
    NULL,                                  /* init master */
    NULL,                                  /* init module */
    ngx_http_voice_init_process,           /* init process */
    NULL,                                  /* init thread */
    NULL,                                  /* exit thread */
    NULL,                                  /* exit process */
    NULL,                                  /* exit master */
    NGX_MODULE_V1_PADDING
};


/* Best first, section 6 of the media protocol: clients take the first one. */

static const voice_mode_t  ngx_http_voice_default_modes[] = {
    VOICE_MODE_AEAD_AES256_GCM_RTPSIZE,
    VOICE_MODE_AEAD_XCHACHA20_POLY1305_RTPSIZE,
    VOICE_MODE_XSALSA20_POLY1305_LITE_RTPSIZE,
    VOICE_MODE_XSALSA20_POLY1305_LITE,
    VOICE_MODE_XSALSA20_POLY1305_SUFFIX,
    VOICE_MODE_XSALSA20_POLY1305
};


static ngx_int_t
ngx_http_voice_add_variables(ngx_conf_t *cf)
{
    return ngx_http_voice_variables_add(cf);
}


static ngx_int_t
ngx_http_voice_init(ngx_conf_t *cf)
{
    ngx_http_handler_pt        *h;
    ngx_http_core_main_conf_t  *cmcf;

    cmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_core_module);

    /* not the location's handler: a plain GET goes on to static files */

    h = ngx_array_push(&cmcf->phases[NGX_HTTP_CONTENT_PHASE].handlers);
    if (h == NULL) {
        return NGX_ERROR;
    }

    *h = ngx_http_voice_signal_handler;

    return ngx_http_voice_service_init(cf);
}


static ngx_int_t
ngx_http_voice_init_process(ngx_cycle_t *cycle)
{
    if (ngx_process != NGX_PROCESS_WORKER && ngx_process != NGX_PROCESS_SINGLE)
    {
        return NGX_OK;
    }

    if (ngx_http_voice_registry_init_process(cycle) != NGX_OK) {
        return NGX_ERROR;
    }

    if (ngx_http_voice_service_init_process(cycle) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_http_voice_cluster_init_process(cycle);
}


static void
ngx_http_voice_keys_cleanup(void *data)
{
    ngx_http_voice_main_conf_t  *vmcf = data;

    voice_token_keys_free(&vmcf->keys);
    voice_token_keys_free(&vmcf->platform);
    voice_token_keys_free(&vmcf->peer.keys);
}


static void *
ngx_http_voice_create_main_conf(ngx_conf_t *cf)
{
    ngx_pool_cleanup_t          *cln;
    ngx_http_voice_main_conf_t  *vmcf;

    vmcf = ngx_pcalloc(cf->pool, sizeof(ngx_http_voice_main_conf_t));
    if (vmcf == NULL) {
        return NULL;
    }

    cln = ngx_pool_cleanup_add(cf->pool, 0);
    if (cln == NULL) {
        return NULL;
    }

    cln->handler = ngx_http_voice_keys_cleanup;
    cln->data = vmcf;

    vmcf->directory.memory = NGX_CONF_UNSET_SIZE;
    vmcf->identify = NGX_CONF_UNSET_UINT;
    vmcf->user_sessions = NGX_CONF_UNSET_UINT;

    return vmcf;
}


static void *
ngx_http_voice_create_loc_conf(ngx_conf_t *cf)
{
    ngx_http_voice_loc_conf_t  *vlcf;

    vlcf = ngx_pcalloc(cf->pool, sizeof(ngx_http_voice_loc_conf_t));
    if (vlcf == NULL) {
        return NULL;
    }

    vlcf->heartbeat = NGX_CONF_UNSET_MSEC;
    vlcf->guests = NGX_CONF_UNSET;
    vlcf->rate = NGX_CONF_UNSET_UINT;
    vlcf->burst = NGX_CONF_UNSET_UINT;
    vlcf->rate_dry_run = NGX_CONF_UNSET;

    ngx_http_voice_service_create(vlcf);

    return vlcf;
}


/* What voice_signal needs from elsewhere in the configuration. */

static char *
ngx_http_voice_check_signal(ngx_conf_t *cf, ngx_http_voice_loc_conf_t *conf)
{
    ngx_http_core_loc_conf_t    *clcf;
    ngx_http_voice_main_conf_t  *vmcf;

    vmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_voice_module);
    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

    if (!ngx_voice_zone_configured(cf->cycle)) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "\"voice_signal\" in location \"%V\" needs a "
                      "\"voice_zone\" directive before \"http\"",
                      &clcf->name);
        return NGX_CONF_ERROR;
    }

    if (vmcf->keys.n == 0 && !conf->guests) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "\"voice_signal\" in location \"%V\" needs a "
                      "\"voice_key\" directive in \"http\", or "
                      "\"voice_guests on\"", &clcf->name);
        return NGX_CONF_ERROR;
    }

    if (clcf->handler != NULL) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "\"voice_signal\" in location \"%V\" conflicts with "
                      "another handler, expected a location of static files",
                      &clcf->name);
        return NGX_CONF_ERROR;
    }

    if (conf->guests) {
        ngx_log_error(NGX_LOG_WARN, cf->log, 0,
                      "\"voice_guests\" is on in location \"%V\": anybody "
                      "can join any channel under any name", &clcf->name);
    }

    return NGX_CONF_OK;
}


static char *
ngx_http_voice_merge_loc_conf(ngx_conf_t *cf, void *parent, void *child)
{
    ngx_http_voice_loc_conf_t  *prev = parent;
    ngx_http_voice_loc_conf_t  *conf = child;

    ngx_http_core_loc_conf_t  *clcf;

    if (conf->nmodes == 0) {

        if (prev->nmodes == 0) {
            prev->nmodes = sizeof(ngx_http_voice_default_modes)
                           / sizeof(ngx_http_voice_default_modes[0]);
            ngx_memcpy(prev->mode, ngx_http_voice_default_modes,
                       sizeof(ngx_http_voice_default_modes));
        }

        conf->nmodes = prev->nmodes;
        ngx_memcpy(conf->mode, prev->mode, sizeof(conf->mode));
    }

    ngx_conf_merge_msec_value(conf->heartbeat, prev->heartbeat,
                              NGX_HTTP_VOICE_HEARTBEAT);
    ngx_conf_merge_value(conf->guests, prev->guests, 0);
    ngx_conf_merge_uint_value(conf->rate, prev->rate, NGX_HTTP_VOICE_RATE);
    ngx_conf_merge_uint_value(conf->burst, prev->burst, NGX_HTTP_VOICE_BURST);
    ngx_conf_merge_value(conf->rate_dry_run, prev->rate_dry_run, 0);

    if (ngx_http_voice_service_merge(cf, prev, conf) != NGX_CONF_OK) {
        return NGX_CONF_ERROR;
    }

    /* "if" and "limit_except" are part of their location */

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

    if (clcf->noname && prev->signal) {
        conf->signal = 1;
        return NGX_CONF_OK;
    }

    if (clcf->noname && prev->peer && clcf->handler == NULL) {
        conf->peer = 1;
        clcf->handler = ngx_http_voice_peer_handler;
    }

    if (conf->peer && ngx_http_voice_peer_check(cf, clcf) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    if (clcf->noname && prev->status && clcf->handler == NULL) {
        conf->status = prev->status;
        clcf->handler = ngx_http_voice_status_handler;
    }

    return conf->signal ? ngx_http_voice_check_signal(cf, conf) : NGX_CONF_OK;
}


/* Reads a whole file; the caller frees *data. */

static ngx_int_t
ngx_http_voice_read_file(ngx_conf_t *cf, ngx_str_t *directive,
    ngx_str_t *name, u_char **data, size_t *len)
{
    ssize_t          n;
    ngx_int_t        rc;
    ngx_file_t       file;
    ngx_file_info_t  fi;

    ngx_memzero(&file, sizeof(ngx_file_t));
    file.name = *name;
    file.log = cf->log;
    file.fd = ngx_open_file(name->data, NGX_FILE_RDONLY, NGX_FILE_OPEN, 0);

    if (file.fd == NGX_INVALID_FILE) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, ngx_errno,
                           "\"%V\" \"%V\" can't be opened", directive,
                           name);
        return NGX_ERROR;
    }

    rc = NGX_ERROR;

    if (ngx_fd_info(file.fd, &fi) == NGX_FILE_ERROR) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, ngx_errno,
                           "\"%V\" \"%V\": " ngx_fd_info_n " failed",
                           directive, name);
        goto done;
    }

    if (!ngx_is_file(&fi) || ngx_file_size(&fi) > NGX_HTTP_VOICE_KEY_FILE_MAX)
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%V\" \"%V\": a regular file of at most "
                           "%d bytes is expected", directive, name,
                           NGX_HTTP_VOICE_KEY_FILE_MAX);
        goto done;
    }

    *data = ngx_alloc(ngx_file_size(&fi) + 1, cf->log);
    if (*data == NULL) {
        goto done;
    }

    n = ngx_read_file(&file, *data, ngx_file_size(&fi), 0);

    if (n != ngx_file_size(&fi)) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%V\" \"%V\" can't be read", directive, name);
        ngx_free(*data);
        goto done;
    }

    *len = n;
    rc = NGX_OK;

done:

    (void) ngx_close_file(file.fd);

    return rc;
}


char *
ngx_http_voice_key(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    char  *p = conf;

    size_t               len;
    u_char              *data;
    ngx_str_t           *value;
    const char          *why;
    voice_err_t          err;
    voice_token_keys_t  *keys;

    value = cf->args->elts;
    keys = (voice_token_keys_t *) (p + cmd->offset);

    if (ngx_conf_full_name(cf->cycle, &value[1], 1) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    if (ngx_http_voice_read_file(cf, &cmd->name, &value[1], &data, &len)
        != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    err = voice_token_key_add(keys, data, len, &why);

    sodium_memzero(data, len);
    ngx_free(data);

    if (err != VOICE_OK) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "\"%V\" \"%V\": %s",
                           &cmd->name, &value[1], why);
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


static void
ngx_http_voice_unknown_mode(ngx_conf_t *cf, ngx_str_t *name)
{
    u_char      *p, *last;
    u_char       list[VOICE_MODE_COUNT * (VOICE_MODE_NAME_MAX + 2)];
    ngx_uint_t   i;

    p = list;
    last = list + sizeof(list);

    for (i = 0; i < VOICE_MODE_COUNT; i++) {
        p = ngx_slprintf(p, last, "%s%s", i == 0 ? "" : ", ",
                         voice_mode_name((voice_mode_t) i));
    }

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "\"voice_modes\": unknown mode \"%V\", expected some "
                       "of: %*s", name, (size_t) (p - list), list);
}


static char *
ngx_http_voice_modes(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_voice_loc_conf_t  *vlcf = conf;

    ngx_str_t     *value;
    ngx_uint_t     i, n;
    voice_mode_t   mode;

    if (vlcf->nmodes != 0) {
        return "is duplicate";
    }

    value = cf->args->elts;

    for (i = 1; i < cf->args->nelts; i++) {

        if (voice_mode_parse((char *) value[i].data, value[i].len, &mode)
            != VOICE_OK)
        {
            ngx_http_voice_unknown_mode(cf, &value[i]);
            return NGX_CONF_ERROR;
        }

        for (n = 0; n < vlcf->nmodes; n++) {
            if (vlcf->mode[n] == mode) {
                ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                                   "\"voice_modes\": mode \"%V\" stands "
                                   "there twice", &value[i]);
                return NGX_CONF_ERROR;
            }
        }

        vlcf->mode[vlcf->nmodes++] = mode;
    }

    return NGX_CONF_OK;
}


static char *
ngx_http_voice_heartbeat(ngx_conf_t *cf, void *post, void *data)
{
    ngx_msec_t  *value = data;

    if (*value < NGX_HTTP_VOICE_HEARTBEAT_MIN
        || *value > NGX_HTTP_VOICE_HEARTBEAT_MAX)
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%V\" of %Mms, expected %dms to %dms",
                           (ngx_str_t *) cf->args->elts, *value,
                           NGX_HTTP_VOICE_HEARTBEAT_MIN,
                           NGX_HTTP_VOICE_HEARTBEAT_MAX);
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


static char *
ngx_http_voice_signal(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_voice_loc_conf_t  *vlcf = conf;

    if (vlcf->signal) {
        return "is duplicate";
    }

    vlcf->signal = 1;

    return NGX_CONF_OK;
}


static char *
ngx_http_voice_rate(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    char  *p = conf;

    ngx_int_t    burst, rate;
    ngx_str_t   *value;
    ngx_uint_t  *limit;

    /* in the structure the burst stands behind the rate */

    limit = (ngx_uint_t *) (p + cmd->offset);

    if (limit[0] != NGX_CONF_UNSET_UINT) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (cf->args->nelts == 2 && ngx_strcmp(value[1].data, "off") == 0) {
        limit[0] = 0;
        limit[1] = 0;
        return NGX_CONF_OK;
    }

    rate = NGX_ERROR;

    if (value[1].len > 2
        && ngx_strcmp(value[1].data + value[1].len - 2, "/s") == 0)
    {
        rate = ngx_atoi(value[1].data, value[1].len - 2);
    }

    /* by default ten seconds' worth */
    burst = rate * 10;

    if (cf->args->nelts == 3) {
        burst = ngx_atoi(value[2].data, value[2].len);
    }

    if (rate < 1 || rate > NGX_HTTP_VOICE_RATE_MAX || burst < 1
        || burst > NGX_HTTP_VOICE_RATE_MAX * 10)
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%V\" \"%V%s%s\", expected off, or a number "
                           "per second from 1/s to %d/s and then a burst "
                           "from 1", &cmd->name, &value[1],
                           cf->args->nelts == 3 ? " " : "",
                           cf->args->nelts == 3 ? value[2].data
                                                : (u_char *) "",
                           NGX_HTTP_VOICE_RATE_MAX);
        return NGX_CONF_ERROR;
    }

    limit[0] = rate;
    limit[1] = burst;

    return NGX_CONF_OK;
}


static char *
ngx_http_voice_status(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_voice_loc_conf_t  *vlcf = conf;

    ngx_str_t                 *value;
    ngx_http_core_loc_conf_t  *clcf;

    if (vlcf->status != 0) {
        return "is duplicate";
    }

    value = cf->args->elts;
    vlcf->status = NGX_HTTP_VOICE_STATUS_JSON;

    if (cf->args->nelts == 2) {

        if (ngx_strcmp(value[1].data, "prometheus") == 0) {
            vlcf->status = NGX_HTTP_VOICE_STATUS_PROMETHEUS;

        } else if (ngx_strcmp(value[1].data, "json") != 0) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "\"voice_status\" \"%V\", expected json or "
                               "prometheus", &value[1]);
            return NGX_CONF_ERROR;
        }
    }

    if (!ngx_voice_zone_configured(cf->cycle)) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"voice_status\" needs a \"voice_zone\" "
                           "directive before \"http\"");
        return NGX_CONF_ERROR;
    }

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);
    clcf->handler = ngx_http_voice_status_handler;

    return NGX_CONF_OK;
}
