/*
 * Copyright (C) ngx-voice contributors
 *
 * PATCH of a voice state: who speaks on a stage.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_voice_api.h"


/* A time that a client sets is "now" by its own clock. */
#define NGX_HTTP_VOICE_API_SKEW    60000

#define NGX_HTTP_VOICE_API_TIME    64


typedef struct {
    ngx_uint_t                   has_suppress;
    ngx_uint_t                   suppress;
    ngx_uint_t                   has_request;
    uint64_t                     request;      /* unix ms; 0: taken back */
    uint64_t                     permissions;  /* of the caller */
    voice_state_info_t           info;
    const voice_dir_channel_t   *channel;
} ngx_http_voice_stage_t;


static uint64_t
ngx_http_voice_stage_now(void)
{
    ngx_time_t  *tp = ngx_timeofday();

    return (uint64_t) tp->sec * 1000 + tp->msec;
}


/* NGX_OK, or the request is answered. */

static ngx_int_t
ngx_http_voice_stage_suppress(ngx_http_voice_api_t *api,
    ngx_http_voice_stage_t *st)
{
    voice_json_t  value;

    switch (voice_json_get(&api->body, "suppress", &value)) {

    case VOICE_JSON_ABSENT:
    case VOICE_JSON_NULL:
        return NGX_OK;

    case VOICE_JSON_TRUE:
    case VOICE_JSON_FALSE:
        st->has_suppress = 1;
        st->suppress = (value.type == VOICE_JSON_TRUE);
        return NGX_OK;

    default:
        ngx_http_voice_api_field(api, "/suppress",
                                 "true or false is expected");
        return NGX_DECLINED;
    }
}


static ngx_int_t
ngx_http_voice_stage_request(ngx_http_voice_api_t *api,
    ngx_http_voice_stage_t *st)
{
    char          text[NGX_HTTP_VOICE_API_TIME];
    voice_json_t  value;

    switch (voice_json_get(&api->body, "request_to_speak_timestamp", &value)) {

    case VOICE_JSON_ABSENT:
        return NGX_OK;

    case VOICE_JSON_NULL:
        st->has_request = 1;
        return NGX_OK;

    default:
        break;
    }

    if (voice_json_string(&value, text, sizeof(text)) != VOICE_OK
        || voice_shape_time_parse(text, &st->request) != VOICE_OK
        || st->request == 0)
    {
        ngx_http_voice_api_field(api, "/request_to_speak_timestamp",
                                 "a time as in ISO 8601, or null, is expected");
        return NGX_DECLINED;
    }

    if (st->request + NGX_HTTP_VOICE_API_SKEW < ngx_http_voice_stage_now()) {
        ngx_http_voice_api_field(api, "/request_to_speak_timestamp",
                                 "now or a later time is expected");
        return NGX_DECLINED;
    }

    st->has_request = 1;

    return NGX_OK;
}


/* The stage that the user of the path is on. */

static ngx_int_t
ngx_http_voice_stage_find(ngx_http_voice_api_t *api,
    ngx_http_voice_stage_t *st)
{
    uint64_t           id;
    voice_json_type_t  type;
    voice_json_t       value;

    type = voice_json_get(&api->body, "channel_id", &value);

    if (type != VOICE_JSON_ABSENT
        && voice_json_id(&value, &id) != VOICE_OK)
    {
        ngx_http_voice_api_field(api, "/channel_id",
                                 "a snowflake is expected");
        return NGX_DECLINED;
    }

    if (voice_state_get(api->zone, api->guild_id, api->user_id, &st->info)
        != VOICE_OK)
    {
        ngx_http_voice_api_error(api, VOICE_REST_UNKNOWN_VOICE_STATE);
        return NGX_DECLINED;
    }

    if (type != VOICE_JSON_ABSENT && id != st->info.channel_id) {
        ngx_http_voice_api_field(api, "/channel_id",
                                 "the channel that the user is in is "
                                 "expected");
        return NGX_DECLINED;
    }

    st->channel = voice_dir_channel(api->guild, st->info.channel_id);

    if (st->channel == NULL || st->channel->type != VOICE_CHANNEL_STAGE) {
        ngx_http_voice_api_error(api, VOICE_REST_WRONG_CHANNEL_TYPE);
        return NGX_DECLINED;
    }

    st->permissions = voice_permission_channel(api->guild, st->channel,
                                               api->self.member);

    return NGX_OK;
}


static void
ngx_http_voice_stage_apply(ngx_http_voice_api_t *api,
    ngx_http_voice_stage_t *st)
{
    uint32_t     clear, set;
    uint64_t    *request;
    voice_err_t  err;

    set = (st->has_suppress && st->suppress) ? VOICE_SESSION_SUPPRESS : 0;
    clear = (st->has_suppress && !st->suppress) ? VOICE_SESSION_SUPPRESS : 0;

    /* whoever may speak doesn't ask for it any more */

    if (clear != 0) {
        st->has_request = 1;
        st->request = 0;
    }

    request = st->has_request ? &st->request : NULL;

    err = voice_state_flags(api->zone, api->guild_id, api->user_id, set, clear,
                            request);
    ngx_voice_wake(api->zone, api->log);

    if (err != VOICE_OK) {
        ngx_http_voice_api_error(api, VOICE_REST_UNKNOWN_VOICE_STATE);
        return;
    }

    if (st->has_suppress) {
        ngx_http_voice_api_log(api, st->suppress ? "suppressed"
                                                 : "let speak",
                               api->user_id, st->info.channel_id);
    }

    ngx_http_voice_api_reply(api, NGX_HTTP_NO_CONTENT);
}


void
ngx_http_voice_api_state_self(ngx_http_voice_api_t *api)
{
    ngx_http_voice_stage_t  st;

    ngx_memzero(&st, sizeof(ngx_http_voice_stage_t));

    if (ngx_http_voice_api_guild(api) != NGX_OK
        || ngx_http_voice_stage_suppress(api, &st) != NGX_OK
        || ngx_http_voice_stage_request(api, &st) != NGX_OK
        || ngx_http_voice_stage_find(api, &st) != NGX_OK)
    {
        return;
    }

    /* anybody may leave the stage, or take a request back */

    if ((st.has_suppress && !st.suppress
         && !(st.permissions & VOICE_PERM_MUTE_MEMBERS))
        || (st.has_request && st.request != 0
            && !(st.permissions & VOICE_PERM_REQUEST_TO_SPEAK)))
    {
        ngx_http_voice_api_error(api, VOICE_REST_MISSING_PERMISSIONS);
        return;
    }

    ngx_http_voice_stage_apply(api, &st);
}


void
ngx_http_voice_api_state_patch(ngx_http_voice_api_t *api)
{
    ngx_http_voice_stage_t  st;

    ngx_memzero(&st, sizeof(ngx_http_voice_stage_t));

    if (ngx_http_voice_api_guild(api) != NGX_OK
        || ngx_http_voice_stage_suppress(api, &st) != NGX_OK
        || ngx_http_voice_stage_find(api, &st) != NGX_OK)
    {
        return;
    }

    if (!(st.permissions & VOICE_PERM_MUTE_MEMBERS)) {
        ngx_http_voice_api_error(api, VOICE_REST_MISSING_PERMISSIONS);
        return;
    }

    ngx_http_voice_stage_apply(api, &st);
}
