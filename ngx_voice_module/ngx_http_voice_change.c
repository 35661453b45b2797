/*
 * Copyright (C) ngx-voice contributors
 *
 * The difference between two states of a guild as the events that tell a
 * client of it.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_voice_dispatch.h"


static ngx_int_t
ngx_http_voice_change_send(ngx_http_voice_subscription_t *sub,
    ngx_uint_t mark, voice_dispatch_t event, const voice_buf_t *b)
{
    return ngx_http_voice_gateway_event(sub->gateway, event,
                               VOICE_GATEWAY_SNAPSHOT(mark, sub->index), b);
}


/* The same text says the same thing. */

static ngx_uint_t
ngx_http_voice_change_equal(const voice_buf_t *a, const voice_buf_t *b)
{
    return a->len == b->len && ngx_memcmp(a->data, b->data, a->len) == 0;
}


static ngx_uint_t
ngx_http_voice_change_same_channel(const voice_dir_channel_t *a,
    const voice_dir_channel_t *b)
{
    ngx_uint_t   same;
    voice_buf_t  one, two;

    voice_buf_growing(&one, NULL, VOICE_DIR_GUILD_TEXT_MAX);
    voice_buf_growing(&two, NULL, VOICE_DIR_GUILD_TEXT_MAX);

    voice_shape_channel(&one, a, 0);
    voice_shape_channel(&two, b, 0);
    same = ngx_http_voice_change_equal(&one, &two);

    voice_buf_free(&one);
    voice_buf_free(&two);

    return same;
}


static ngx_uint_t
ngx_http_voice_change_same_role(const voice_dir_role_t *a,
    const voice_dir_role_t *b)
{
    return a->permissions == b->permissions && a->position == b->position
           && a->color == b->color && a->hoist == b->hoist
           && a->managed == b->managed && a->mentionable == b->mentionable
           && ngx_strcmp(a->name, b->name) == 0;
}


static ngx_uint_t
ngx_http_voice_change_same_text(const char *a, const char *b)
{
    return (a == NULL || b == NULL) ? a == b : ngx_strcmp(a, b) == 0;
}


static ngx_uint_t
ngx_http_voice_change_same_member(const voice_dir_member_t *a,
    const voice_dir_member_t *b)
{
    return a->nroles == b->nroles
           && ngx_memcmp(a->role, b->role, a->nroles * sizeof(uint64_t)) == 0
           && ngx_strcmp(a->user.username, b->user.username) == 0
           && ngx_http_voice_change_same_text(a->user.global_name,
                                              b->user.global_name)
           && ngx_http_voice_change_same_text(a->user.avatar, b->user.avatar)
           && ngx_http_voice_change_same_text(a->nick, b->nick)
           && a->mute == b->mute && a->deaf == b->deaf;
}


static ngx_int_t
ngx_http_voice_change_channels(ngx_http_voice_subscription_t *sub,
    const voice_dir_guild_t *old, const voice_dir_guild_t *guild)
{
    size_t                      i;
    voice_buf_t                *b;
    voice_dispatch_t            event;
    const voice_dir_channel_t  *c, *before;

    for (i = 0; i < old->nchannels; i++) {
        c = &old->channel[i];

        if (voice_dir_channel(guild, c->id) == NULL) {
            b = ngx_http_voice_render_buf();
            voice_gateway_channel_d(b, guild->id, c);

            if (ngx_http_voice_change_send(sub, NGX_HTTP_VOICE_MARK_CHANGE,
                                           VOICE_DISPATCH_CHANNEL_DELETE, b)
                != NGX_OK)
            {
                return NGX_DECLINED;
            }
        }
    }

    for (i = 0; i < guild->nchannels; i++) {
        c = &guild->channel[i];
        before = voice_dir_channel(old, c->id);

        if (before != NULL && ngx_http_voice_change_same_channel(before, c)) {
            continue;
        }

        event = (before == NULL) ? VOICE_DISPATCH_CHANNEL_CREATE
                                 : VOICE_DISPATCH_CHANNEL_UPDATE;
        b = ngx_http_voice_render_buf();
        voice_gateway_channel_d(b, guild->id, c);

        if (ngx_http_voice_change_send(sub, NGX_HTTP_VOICE_MARK_CHANGE, event,
                                       b)
            != NGX_OK)
        {
            return NGX_DECLINED;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_voice_change_roles(ngx_http_voice_subscription_t *sub,
    const voice_dir_guild_t *old, const voice_dir_guild_t *guild)
{
    size_t                   i;
    voice_buf_t             *b;
    voice_dispatch_t         event;
    const voice_dir_role_t  *role, *before;

    for (i = 0; i < guild->nroles; i++) {
        role = &guild->role[i];
        before = voice_dir_role(old, role->id);

        if (before != NULL && ngx_http_voice_change_same_role(before, role)) {
            continue;
        }

        event = (before == NULL) ? VOICE_DISPATCH_ROLE_CREATE
                                 : VOICE_DISPATCH_ROLE_UPDATE;
        b = ngx_http_voice_render_buf();
        voice_gateway_role_d(b, guild->id, role);

        if (ngx_http_voice_change_send(sub, NGX_HTTP_VOICE_MARK_CHANGE, event,
                                       b)
            != NGX_OK)
        {
            return NGX_DECLINED;
        }
    }

    for (i = 0; i < old->nroles; i++) {
        if (voice_dir_role(guild, old->role[i].id) != NULL) {
            continue;
        }

        b = ngx_http_voice_render_buf();
        voice_gateway_role_delete_d(b, guild->id, old->role[i].id);

        if (ngx_http_voice_change_send(sub, NGX_HTTP_VOICE_MARK_CHANGE,
                                       VOICE_DISPATCH_ROLE_DELETE, b)
            != NGX_OK)
        {
            return NGX_DECLINED;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_voice_change_member(ngx_http_voice_subscription_t *sub,
    const voice_dir_guild_t *guild, const voice_dir_member_t *before,
    const voice_dir_member_t *member)
{
    uint32_t           flags;
    voice_buf_t       *b;
    voice_dispatch_t   event;

    b = ngx_http_voice_render_buf();

    if (member == NULL) {
        event = VOICE_DISPATCH_MEMBER_REMOVE;
        voice_gateway_member_remove_d(b, guild->id, &before->user);

    } else {
        event = (before == NULL) ? VOICE_DISPATCH_MEMBER_ADD
                                 : VOICE_DISPATCH_MEMBER_UPDATE;
        flags = voice_state_sticky(sub->gateway->zone, guild->id,
                                   member->user.id);

        voice_gateway_member_d(b, guild->id, member,
                          member->mute || (flags & VOICE_SESSION_MUTE) != 0,
                          member->deaf || (flags & VOICE_SESSION_DEAF) != 0);
    }

    return ngx_http_voice_change_send(sub, NGX_HTTP_VOICE_MARK_CHANGE, event,
                                      b);
}


/* Of the others only with the intent; of oneself always. */

static ngx_int_t
ngx_http_voice_change_members(ngx_http_voice_subscription_t *sub,
    const voice_dir_guild_t *old, const voice_dir_guild_t *guild)
{
    size_t                      i;
    uint64_t                    self;
    ngx_uint_t                  all;
    const voice_dir_member_t   *m, *before;

    self = sub->gateway->user_id;
    all = (sub->gateway->intents & VOICE_INTENT_MEMBERS) != 0;

    for (i = 0; i < guild->nmembers; i++) {
        m = &guild->member[i];

        if (!all && m->user.id != self) {
            continue;
        }

        before = voice_dir_member(old, m->user.id);

        if (before != NULL && ngx_http_voice_change_same_member(before, m)) {
            continue;
        }

        if (ngx_http_voice_change_member(sub, guild, before, m) != NGX_OK) {
            return NGX_DECLINED;
        }
    }

    for (i = 0; i < old->nmembers; i++) {
        m = &old->member[i];

        /* whom a token names stays a member */

        if (!all || m->user.id == self
            || voice_dir_member(guild, m->user.id) != NULL)
        {
            continue;
        }

        if (ngx_http_voice_change_member(sub, guild, m, NULL) != NGX_OK) {
            return NGX_DECLINED;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_voice_change_guild(ngx_http_voice_subscription_t *sub,
    const voice_dir_guild_t *old, const voice_dir_guild_t *guild)
{
    ngx_uint_t    same;
    voice_buf_t  *b, before;

    voice_buf_growing(&before, NULL, VOICE_DIR_GUILD_TEXT_MAX);
    voice_gateway_guild_update_d(&before, old, old->nmembers);

    b = ngx_http_voice_render_buf();
    voice_gateway_guild_update_d(b, guild, guild->nmembers);

    same = (voice_buf_done(&before) == VOICE_OK
            && ngx_http_voice_change_equal(&before, b));

    voice_buf_free(&before);

    return same ? NGX_OK
                : ngx_http_voice_change_send(sub, NGX_HTTP_VOICE_MARK_CHANGE,
                                             VOICE_DISPATCH_GUILD_UPDATE, b);
}


static void
ngx_http_voice_change_deleted(ngx_http_voice_subscription_t *sub,
    uint64_t guild_id)
{
    voice_buf_t  *b;

    sub->known = 0;

    b = ngx_http_voice_render_buf();
    voice_gateway_guild_delete_d(b, guild_id, false);

    (void) ngx_http_voice_change_send(sub, NGX_HTTP_VOICE_MARK_GUILD,
                                      VOICE_DISPATCH_GUILD_DELETE, b);
}


static void
ngx_http_voice_change_created(ngx_http_voice_subscription_t *sub,
    const voice_dir_guild_t *guild)
{
    voice_buf_t  *b;

    sub->known = 1;

    b = ngx_http_voice_render_buf();
    ngx_http_voice_render_guild(sub->gateway, guild, b);

    (void) ngx_http_voice_change_send(sub, NGX_HTTP_VOICE_MARK_GUILD,
                                      VOICE_DISPATCH_GUILD_CREATE, b);
}


void
ngx_http_voice_change_tell(ngx_http_voice_subscription_t *sub,
    const voice_dir_guild_t *old, const voice_dir_guild_t *guild)
{
    sub->version = sub->node->version;

    if (guild == NULL) {
        if (sub->known) {
            ngx_http_voice_change_deleted(sub, old->id);
        }

        return;
    }

    if (!sub->known || old == NULL) {
        ngx_http_voice_change_created(sub, guild);
        return;
    }

    if (!(sub->gateway->intents & VOICE_INTENT_GUILDS)) {
        return;
    }

    /* roles before what refers to them */

    if (ngx_http_voice_change_guild(sub, old, guild) == NGX_OK
        && ngx_http_voice_change_roles(sub, old, guild) == NGX_OK
        && ngx_http_voice_change_channels(sub, old, guild) == NGX_OK)
    {
        (void) ngx_http_voice_change_members(sub, old, guild);
    }
}


/*
 * Libraries differ in what makes them take a guild anew: some take all that
 * is in GUILD_UPDATE, the others GUILD_CREATE of a guild that they have.
 */

void
ngx_http_voice_change_whole(ngx_http_voice_subscription_t *sub,
    const voice_dir_guild_t *guild)
{
    voice_buf_t  *b;

    sub->version = sub->node->version;
    sub->stale = 0;

    if (guild == NULL) {
        if (sub->known) {
            ngx_http_voice_change_deleted(sub,
                                       ngx_http_voice_node_guild(sub->node));
        }

        return;
    }

    if (sub->known) {
        b = ngx_http_voice_render_buf();
        ngx_http_voice_render_guild(sub->gateway, guild, b);

        if (ngx_http_voice_change_send(sub, NGX_HTTP_VOICE_MARK_CHANGE,
                                       VOICE_DISPATCH_GUILD_UPDATE, b)
            != NGX_OK)
        {
            return;
        }
    }

    ngx_http_voice_change_created(sub, guild);
}
