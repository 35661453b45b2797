/*
 * Copyright (C) ngx-voice contributors
 *
 * PATCH of a member: server mute and deafen, move, disconnect.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_voice_api.h"


/* What a PATCH asks for. */
typedef struct {
    ngx_uint_t   has_mute;
    ngx_uint_t   has_deaf;
    ngx_uint_t   has_channel;
    uint32_t     set;
    uint32_t     clear;
    uint64_t     channel_id;       /* 0: disconnect */
} ngx_http_voice_patch_t;


static ngx_int_t
ngx_http_voice_patch_flag(ngx_http_voice_api_t *api, const char *key,
    uint32_t flag, ngx_http_voice_patch_t *p, ngx_uint_t *has)
{
    voice_json_t  value;

    switch (voice_json_get(&api->body, key, &value)) {

    case VOICE_JSON_ABSENT:
    case VOICE_JSON_NULL:
        return NGX_OK;

    case VOICE_JSON_TRUE:
        p->set |= flag;
        break;

    case VOICE_JSON_FALSE:
        p->clear |= flag;
        break;

    default:
        return NGX_DECLINED;
    }

    *has = 1;

    return NGX_OK;
}


/* NGX_OK, or the request is answered. */

static ngx_int_t
ngx_http_voice_patch_read(ngx_http_voice_api_t *api,
    ngx_http_voice_patch_t *p)
{
    voice_json_t  value;

    ngx_memzero(p, sizeof(ngx_http_voice_patch_t));

    if (ngx_http_voice_patch_flag(api, "mute", VOICE_SESSION_MUTE, p,
                                  &p->has_mute)
        != NGX_OK)
    {
        ngx_http_voice_api_field(api, "/mute", "true or false is expected");
        return NGX_DECLINED;
    }

    if (ngx_http_voice_patch_flag(api, "deaf", VOICE_SESSION_DEAF, p,
                                  &p->has_deaf)
        != NGX_OK)
    {
        ngx_http_voice_api_field(api, "/deaf", "true or false is expected");
        return NGX_DECLINED;
    }

    switch (voice_json_get(&api->body, "channel_id", &value)) {

    case VOICE_JSON_ABSENT:
        break;

    case VOICE_JSON_NULL:
        p->has_channel = 1;
        break;

    default:
        if (voice_json_id(&value, &p->channel_id) != VOICE_OK) {
            ngx_http_voice_api_field(api, "/channel_id",
                                     "a snowflake or null is expected");
            return NGX_DECLINED;
        }

        p->has_channel = 1;
    }

    return NGX_OK;
}


/* In the channel where the member is, or else in the guild. */

static uint64_t
ngx_http_voice_patch_permissions(ngx_http_voice_api_t *api,
    uint64_t channel_id)
{
    const voice_dir_channel_t  *channel;

    if (api->token == NULL) {
        return VOICE_PERM_ALL;
    }

    channel = (channel_id != 0) ? voice_dir_channel(api->guild, channel_id)
                                : NULL;

    return (channel != NULL)
           ? voice_permission_channel(api->guild, channel, api->self.member)
           : voice_permission_guild(api->guild, api->self.member);
}


/* The channel to move to.  NULL: the request is answered. */

static const voice_dir_channel_t *
ngx_http_voice_patch_channel(ngx_http_voice_api_t *api,
    ngx_http_voice_patch_t *p)
{
    const voice_dir_channel_t  *channel;

    channel = voice_dir_channel(api->guild, p->channel_id);

    if (channel == NULL) {
        ngx_http_voice_api_error(api, VOICE_REST_UNKNOWN_CHANNEL);
        return NULL;
    }

    if (!voice_dir_channel_is_voice(channel)) {
        ngx_http_voice_api_error(api, VOICE_REST_WRONG_CHANNEL_TYPE);
        return NULL;
    }

    /* the mover must be able to go there, too */

    if (!ngx_http_voice_may_join(ngx_http_voice_patch_permissions(api,
                                                             p->channel_id)))
    {
        ngx_http_voice_api_error(api, VOICE_REST_MISSING_PERMISSIONS);
        return NULL;
    }

    return channel;
}


/* NGX_OK, or the request is answered. */

static ngx_int_t
ngx_http_voice_patch_allowed(ngx_http_voice_api_t *api,
    ngx_http_voice_patch_t *p, uint64_t channel_id)
{
    uint64_t  needs;

    needs = 0;

    if (p->has_mute) {
        needs |= VOICE_PERM_MUTE_MEMBERS;
    }

    if (p->has_deaf) {
        needs |= VOICE_PERM_DEAFEN_MEMBERS;
    }

    if (p->has_channel) {
        needs |= VOICE_PERM_MOVE_MEMBERS;
    }

    if ((ngx_http_voice_patch_permissions(api, channel_id) & needs) == needs) {
        return NGX_OK;
    }

    ngx_http_voice_api_error(api, VOICE_REST_MISSING_PERMISSIONS);

    return NGX_DECLINED;
}


static voice_err_t
ngx_http_voice_patch_move(ngx_http_voice_api_t *api,
    const voice_dir_channel_t *channel)
{
    uint32_t     flags;
    uint64_t     permissions;
    voice_err_t  err;

    if (channel == NULL) {
        err = voice_state_leave(api->zone, api->guild_id, api->user_id);

        if (err == VOICE_OK) {
            ngx_http_voice_api_log(api, "disconnected", api->user_id, 0);
        }

        return err;
    }

    flags = 0;
    permissions = ngx_http_voice_guild_permissions(api->guild, channel,
                                                   api->user_id, 0);

    if (!ngx_http_voice_may_join(permissions)) {
        flags = VOICE_STATE_BROUGHT;
        permissions = ngx_http_voice_guild_permissions(api->guild, channel,
                                                       api->user_id, flags);
    }

    if (ngx_http_voice_guild_suppress(api->guild, channel, permissions)) {
        flags |= VOICE_SESSION_SUPPRESS;
    }

    err = voice_state_move(api->zone, api->guild_id, api->user_id,
                           channel->id, flags);

    if (err == VOICE_OK) {
        ngx_http_voice_api_log(api, "moved", api->user_id, channel->id);
    }

    return err;
}


static void
ngx_http_voice_patch_log_flags(ngx_http_voice_api_t *api,
    ngx_http_voice_patch_t *p, uint64_t channel_id)
{
    if (p->has_mute) {
        ngx_http_voice_api_log(api, (p->set & VOICE_SESSION_MUTE)
                                    ? "muted" : "unmuted",
                               api->user_id, channel_id);
    }

    if (p->has_deaf) {
        ngx_http_voice_api_log(api, (p->set & VOICE_SESSION_DEAF)
                                    ? "deafened" : "undeafened",
                               api->user_id, channel_id);
    }
}


void
ngx_http_voice_api_member_patch(ngx_http_voice_api_t *api)
{
    ngx_uint_t                   in_voice;
    voice_err_t                  err;
    voice_state_info_t           info;
    ngx_http_voice_patch_t       p;
    const voice_dir_channel_t   *channel;

    if (ngx_http_voice_api_guild(api) != NGX_OK
        || ngx_http_voice_patch_read(api, &p) != NGX_OK)
    {
        return;
    }

    if (!ngx_http_voice_api_is_member(api, api->user_id)) {
        ngx_http_voice_api_error(api, VOICE_REST_UNKNOWN_MEMBER);
        return;
    }

    in_voice = (voice_state_get(api->zone, api->guild_id, api->user_id, &info)
                == VOICE_OK);

    if (ngx_http_voice_patch_allowed(api, &p, in_voice ? info.channel_id : 0)
        != NGX_OK)
    {
        return;
    }

    channel = NULL;

    if (p.has_channel && p.channel_id != 0) {
        channel = ngx_http_voice_patch_channel(api, &p);

        if (channel == NULL) {
            return;
        }
    }

    if (!in_voice && (p.has_mute || p.has_deaf || p.has_channel)) {
        ngx_http_voice_api_error(api, VOICE_REST_NOT_IN_VOICE);
        return;
    }

    err = VOICE_OK;

    /* a move may fail, and is first: all of it is done, or nothing */

    if (channel != NULL) {
        err = ngx_http_voice_patch_move(api, channel);
    }

    if (err == VOICE_OK && (p.has_mute || p.has_deaf)) {
        err = voice_state_flags(api->zone, api->guild_id, api->user_id, p.set,
                                p.clear, NULL);
        if (err == VOICE_OK) {
            ngx_http_voice_patch_log_flags(api, &p, info.channel_id);
        }
    }

    if (err == VOICE_OK && p.has_channel && channel == NULL) {
        err = ngx_http_voice_patch_move(api, NULL);
    }

    ngx_voice_wake(api->zone, api->log);

    if (err != VOICE_OK) {
        ngx_http_voice_api_error(api, err == VOICE_E_NOT_FOUND
                                      ? VOICE_REST_NOT_IN_VOICE
                                      : VOICE_REST_UNAVAILABLE);
        return;
    }

    ngx_http_voice_api_member_shape(api, api->user_id);
    ngx_http_voice_api_reply(api, NGX_HTTP_OK);
}
