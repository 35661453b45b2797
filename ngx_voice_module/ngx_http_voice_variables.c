/*
 * Copyright (C) ngx-voice contributors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_voice_signal.h"
#include "ngx_http_voice_variables.h"


/* seconds, a point, milliseconds; or the longest integer */
#define NGX_HTTP_VOICE_NUMBER_LEN   (NGX_INT64_LEN + 4)


static ngx_int_t ngx_http_voice_variable_id(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_http_voice_variable_text(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_http_voice_variable_code(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_http_voice_variable_seconds(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_http_voice_variable_packets(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);


enum {
    NGX_HTTP_VOICE_TEXT_SESSION = 0,
    NGX_HTTP_VOICE_TEXT_MODE,
    NGX_HTTP_VOICE_TEXT_REASON
};


static ngx_http_variable_t  ngx_http_voice_variables[] = {

    { ngx_string("voice_user"), NULL, ngx_http_voice_variable_id,
      offsetof(ngx_http_voice_signal_t, user_id),
      NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("voice_guild"), NULL, ngx_http_voice_variable_id,
      offsetof(ngx_http_voice_signal_t, guild_id),
      NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("voice_channel"), NULL, ngx_http_voice_variable_id,
      offsetof(ngx_http_voice_signal_t, channel_id),
      NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("voice_session"), NULL, ngx_http_voice_variable_text,
      NGX_HTTP_VOICE_TEXT_SESSION, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("voice_mode"), NULL, ngx_http_voice_variable_text,
      NGX_HTTP_VOICE_TEXT_MODE, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("voice_close_code"), NULL, ngx_http_voice_variable_code,
      0, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("voice_close_reason"), NULL, ngx_http_voice_variable_text,
      NGX_HTTP_VOICE_TEXT_REASON, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("voice_seconds"), NULL, ngx_http_voice_variable_seconds,
      0, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("voice_packets_in"), NULL, ngx_http_voice_variable_packets,
      offsetof(ngx_http_voice_signal_t, packets_in),
      NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("voice_packets_out"), NULL, ngx_http_voice_variable_packets,
      offsetof(ngx_http_voice_signal_t, packets_out),
      NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("voice_packets_lost"), NULL, ngx_http_voice_variable_packets,
      offsetof(ngx_http_voice_signal_t, packets_lost),
      NGX_HTTP_VAR_NOCACHEABLE, 0 },

      ngx_http_null_variable
};


ngx_int_t
ngx_http_voice_variables_add(ngx_conf_t *cf)
{
    ngx_http_variable_t  *var, *v;

    for (v = ngx_http_voice_variables; v->name.len != 0; v++) {

        var = ngx_http_add_variable(cf, &v->name, v->flags);
        if (var == NULL) {
            return NGX_ERROR;
        }

        var->get_handler = v->get_handler;
        var->data = v->data;
    }

    return NGX_OK;
}


static ngx_http_voice_signal_t *
ngx_http_voice_variable_signal(ngx_http_request_t *r)
{
    ngx_http_voice_loc_conf_t  *vlcf;

    vlcf = ngx_http_get_module_loc_conf(r->main, ngx_http_voice_module);

    /* the API has another context */

    return vlcf->signal
           ? ngx_http_get_module_ctx(r->main, ngx_http_voice_module) : NULL;
}


static ngx_int_t
ngx_http_voice_variable_set(ngx_http_variable_value_t *v, u_char *data,
    size_t len)
{
    v->data = data;
    v->len = (unsigned) len;
    v->valid = 1;
    v->no_cacheable = 0;
    v->not_found = 0;

    return NGX_OK;
}


static ngx_int_t
ngx_http_voice_variable_number(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uint64_t number)
{
    u_char  *p;

    p = ngx_pnalloc(r->pool, NGX_HTTP_VOICE_NUMBER_LEN);
    if (p == NULL) {
        return NGX_ERROR;
    }

    return ngx_http_voice_variable_set(v, p,
                                       ngx_sprintf(p, "%uL", number) - p);
}


static ngx_int_t
ngx_http_voice_variable_id(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    ngx_http_voice_signal_t  *sg;

    sg = ngx_http_voice_variable_signal(r);

    if (sg == NULL || !sg->known) {
        v->not_found = 1;
        return NGX_OK;
    }

    return ngx_http_voice_variable_number(r, v,
                                          *(uint64_t *) ((u_char *) sg + data));
}


static ngx_int_t
ngx_http_voice_variable_text(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    const char               *text;
    ngx_http_voice_signal_t  *sg;

    sg = ngx_http_voice_variable_signal(r);
    text = NULL;

    if (sg != NULL) {
        switch (data) {

        case NGX_HTTP_VOICE_TEXT_SESSION:
            text = sg->known ? sg->session_id : NULL;
            break;

        case NGX_HTTP_VOICE_TEXT_MODE:
            text = sg->selected ? voice_mode_name(sg->mode) : NULL;
            break;

        default:
            text = sg->ws->reason;
            break;
        }
    }

    if (text == NULL) {
        v->not_found = 1;
        return NGX_OK;
    }

    return ngx_http_voice_variable_set(v, (u_char *) text, ngx_strlen(text));
}


static ngx_int_t
ngx_http_voice_variable_code(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    ngx_http_voice_signal_t  *sg;

    sg = ngx_http_voice_variable_signal(r);

    if (sg == NULL || sg->ws->code == 0) {
        v->not_found = 1;
        return NGX_OK;
    }

    return ngx_http_voice_variable_number(r, v, sg->ws->code);
}


static ngx_int_t
ngx_http_voice_variable_seconds(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    u_char                   *p;
    ngx_msec_t                ms;
    ngx_http_voice_signal_t  *sg;

    sg = ngx_http_voice_variable_signal(r);

    if (sg == NULL) {
        v->not_found = 1;
        return NGX_OK;
    }

    p = ngx_pnalloc(r->pool, NGX_HTTP_VOICE_NUMBER_LEN);
    if (p == NULL) {
        return NGX_ERROR;
    }

    ms = ngx_current_msec - sg->opened;

    return ngx_http_voice_variable_set(v, p,
                      ngx_sprintf(p, "%M.%03M", ms / 1000, ms % 1000) - p);
}


static ngx_int_t
ngx_http_voice_variable_packets(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    ngx_http_voice_signal_t  *sg;

    sg = ngx_http_voice_variable_signal(r);

    if (sg != NULL) {
        ngx_http_voice_signal_count(sg);
    }

    return ngx_http_voice_variable_id(r, v, data);
}
