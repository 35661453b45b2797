/*
 * Copyright (C) ngx-voice contributors
 *
 * REST calls that change nothing.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_voice_api.h"
#include "ngx_http_voice_gateway.h"


#define NGX_HTTP_VOICE_API_MEMBERS       1000    /* of one reply */


/* Oneself, as the token says it. */

static void
ngx_http_voice_api_self(ngx_http_voice_api_t *api, voice_dir_member_t *member)
{
    const char  *name;

    name = api->token->name[0] != '\0' ? api->token->name : "user";

    voice_dir_member_make(member, api->token->user_id, name, api->token->bot);
}


void
ngx_http_voice_api_gateway(ngx_http_voice_api_t *api)
{
    ngx_str_t  url;

    if (ngx_http_voice_gateway_url(api->request, 0, &url) != NGX_OK) {
        ngx_http_voice_api_error(api, VOICE_REST_UNAVAILABLE);
        return;
    }

    voice_shape_gateway(&api->reply, (char *) url.data);
    ngx_http_voice_api_reply(api, NGX_HTTP_OK);
}


void
ngx_http_voice_api_gateway_bot(ngx_http_voice_api_t *api)
{
    ngx_str_t                    url;
    voice_rate_left_t            left;
    voice_identify_limit_t       limit;
    voice_shape_session_limit_t  shape = { 1000, 1000, 0, 16 };

    if (ngx_http_voice_gateway_url(api->request, 0, &url) != NGX_OK) {
        ngx_http_voice_api_error(api, VOICE_REST_UNAVAILABLE);
        return;
    }

    /* without a limit what Discord says to a large bot */

    if (api->main->identify != 0) {
        limit = ngx_http_voice_identify_limit(api->main);
        voice_identify_look(api->zone, api->token->user_id, &limit,
                            ngx_voice_now(), &left);

        shape.total = (uint32_t) api->main->identify_day;
        shape.remaining = left.remaining;
        shape.reset_after = left.reset;
        shape.max_concurrency = (uint32_t) api->main->identify;
    }

    voice_shape_gateway_bot(&api->reply, (char *) url.data, &shape);
    ngx_http_voice_api_reply(api, NGX_HTTP_OK);
}


void
ngx_http_voice_api_user(ngx_http_voice_api_t *api)
{
    voice_dir_member_t  member;

    ngx_http_voice_api_self(api, &member);
    voice_shape_user(&api->reply, &member.user, true);

    ngx_http_voice_api_reply(api, NGX_HTTP_OK);
}


void
ngx_http_voice_api_application(ngx_http_voice_api_t *api)
{
    voice_dir_member_t  member;

    ngx_http_voice_api_self(api, &member);
    voice_shape_application(&api->reply, &member.user);

    ngx_http_voice_api_reply(api, NGX_HTTP_OK);
}


void
ngx_http_voice_api_guilds(ngx_http_voice_api_t *api)
{
    size_t                    i, n;
    const voice_dir_guild_t  *guild;

    voice_buf_puts(&api->reply, "[");

    for (i = 0, n = 0; i < api->token->nguilds; i++) {
        guild = ngx_http_voice_guild_get(api->token->guild_id[i]);

        if (guild == NULL) {
            continue;
        }

        voice_buf_puts(&api->reply, n++ != 0 ? "," : "");
        voice_shape_guild(&api->reply, guild, guild->nmembers);
    }

    voice_buf_puts(&api->reply, "]");

    ngx_http_voice_api_reply(api, NGX_HTTP_OK);
}


void
ngx_http_voice_api_guild_get(ngx_http_voice_api_t *api)
{
    if (ngx_http_voice_api_guild(api) != NGX_OK) {
        return;
    }

    voice_shape_guild(&api->reply, api->guild, api->guild->nmembers);
    ngx_http_voice_api_reply(api, NGX_HTTP_OK);
}


void
ngx_http_voice_api_channels(ngx_http_voice_api_t *api)
{
    if (ngx_http_voice_api_guild(api) != NGX_OK) {
        return;
    }

    voice_shape_channels(&api->reply, api->guild, true);
    ngx_http_voice_api_reply(api, NGX_HTTP_OK);
}


void
ngx_http_voice_api_roles(ngx_http_voice_api_t *api)
{
    size_t  i;

    if (ngx_http_voice_api_guild(api) != NGX_OK) {
        return;
    }

    voice_buf_puts(&api->reply, "[");

    for (i = 0; i < api->guild->nroles; i++) {
        voice_buf_puts(&api->reply, i != 0 ? "," : "");
        voice_shape_role(&api->reply, &api->guild->role[i]);
    }

    voice_buf_puts(&api->reply, "]");

    ngx_http_voice_api_reply(api, NGX_HTTP_OK);
}


void
ngx_http_voice_api_channel(ngx_http_voice_api_t *api)
{
    size_t                      i;
    const voice_dir_guild_t    *guild;
    const voice_dir_channel_t  *channel;

    channel = ngx_http_voice_guild_channel(api->channel_id, &guild);

    for (i = 0; channel != NULL && i < api->token->nguilds; i++) {
        if (api->token->guild_id[i] == guild->id) {
            break;
        }
    }

    if (channel == NULL || i == api->token->nguilds) {
        ngx_http_voice_api_error(api, VOICE_REST_UNKNOWN_CHANNEL);
        return;
    }

    if (!(ngx_http_voice_guild_permissions(guild, channel,
                                           api->token->user_id, 0)
          & VOICE_PERM_VIEW_CHANNEL))
    {
        ngx_http_voice_api_error(api, VOICE_REST_MISSING_ACCESS);
        return;
    }

    voice_shape_channel(&api->reply, channel, guild->id);
    ngx_http_voice_api_reply(api, NGX_HTTP_OK);
}


void
ngx_http_voice_api_member_shape(ngx_http_voice_api_t *api, uint64_t user_id)
{
    uint32_t                 flags;
    ngx_http_voice_member_t  m;

    ngx_http_voice_guild_member(api->guild, user_id, &m);
    flags = voice_state_sticky(api->zone, api->guild->id, user_id);

    voice_shape_member(&api->reply, m.member,
                       m.member->mute || (flags & VOICE_SESSION_MUTE) != 0,
                       m.member->deaf || (flags & VOICE_SESSION_DEAF) != 0);
}


/* A query's number; def if it is absent. */

static ngx_int_t
ngx_http_voice_api_arg(ngx_http_voice_api_t *api, const char *name,
    uint64_t def, uint64_t *n)
{
    size_t     i;
    ngx_str_t  value;

    *n = def;

    if (ngx_http_arg(api->request, (u_char *) name, ngx_strlen(name), &value)
        != NGX_OK)
    {
        return NGX_OK;
    }

    if (value.len == 0 || value.len > 19) {
        return NGX_DECLINED;
    }

    for (i = 0, *n = 0; i < value.len; i++) {
        if (value.data[i] < '0' || value.data[i] > '9') {
            return NGX_DECLINED;
        }

        *n = *n * 10 + (value.data[i] - '0');
    }

    return NGX_OK;
}


void
ngx_http_voice_api_members(ngx_http_voice_api_t *api)
{
    size_t    i, n;
    uint64_t  after, limit;

    if (ngx_http_voice_api_guild(api) != NGX_OK) {
        return;
    }

    if (ngx_http_voice_api_arg(api, "limit", 1, &limit) != NGX_OK
        || limit < 1 || limit > NGX_HTTP_VOICE_API_MEMBERS)
    {
        ngx_http_voice_api_field(api, "/limit",
                                 "a number from 1 to 1000 is expected");
        return;
    }

    if (ngx_http_voice_api_arg(api, "after", 0, &after) != NGX_OK) {
        ngx_http_voice_api_field(api, "/after", "a snowflake is expected");
        return;
    }

    voice_buf_puts(&api->reply, "[");

    for (i = 0, n = 0; i < api->guild->nmembers && n < limit; i++) {
        if (api->guild->member[i].user.id > after) {
            voice_buf_puts(&api->reply, n++ != 0 ? "," : "");
            ngx_http_voice_api_member_shape(api,
                                            api->guild->member[i].user.id);
        }
    }

    voice_buf_puts(&api->reply, "]");

    ngx_http_voice_api_reply(api, NGX_HTTP_OK);
}


void
ngx_http_voice_api_member(ngx_http_voice_api_t *api)
{
    if (ngx_http_voice_api_guild(api) != NGX_OK) {
        return;
    }

    if (!ngx_http_voice_api_is_member(api, api->user_id)) {
        ngx_http_voice_api_error(api, VOICE_REST_UNKNOWN_MEMBER);
        return;
    }

    ngx_http_voice_api_member_shape(api, api->user_id);
    ngx_http_voice_api_reply(api, NGX_HTTP_OK);
}


ngx_uint_t
ngx_http_voice_api_is_member(ngx_http_voice_api_t *api, uint64_t user_id)
{
    voice_state_info_t  info;

    /* one whom only its token names is known while in voice, or to itself */

    return voice_dir_member(api->guild, user_id) != NULL
           || (api->token != NULL && user_id == api->token->user_id)
           || voice_state_get(api->zone, api->guild->id, user_id, &info)
              == VOICE_OK
           || voice_state_sticky(api->zone, api->guild->id, user_id) != 0;
}


void
ngx_http_voice_api_state(ngx_http_voice_api_t *api)
{
    voice_state_info_t          info;
    voice_shape_state_t         state;
    ngx_http_voice_member_t     m;
    const voice_dir_channel_t  *channel;

    if (ngx_http_voice_api_guild(api) != NGX_OK) {
        return;
    }

    if (voice_state_get(api->zone, api->guild_id, api->user_id, &info)
        != VOICE_OK)
    {
        ngx_http_voice_api_error(api, VOICE_REST_UNKNOWN_VOICE_STATE);
        return;
    }

    channel = voice_dir_channel(api->guild, info.channel_id);

    /* a channel that the caller can't see has nobody in it */

    if (api->token != NULL && api->user_id != api->token->user_id
        && (channel == NULL
            || !(voice_permission_channel(api->guild, channel,
                                          api->self.member)
                 & VOICE_PERM_VIEW_CHANNEL)))
    {
        ngx_http_voice_api_error(api, VOICE_REST_UNKNOWN_VOICE_STATE);
        return;
    }

    ngx_http_voice_guild_member(api->guild, api->user_id, &m);
    ngx_http_voice_guild_shape(&info, &state);
    voice_shape_state(&api->reply, &state, true, m.member);

    ngx_http_voice_api_reply(api, NGX_HTTP_OK);
}
