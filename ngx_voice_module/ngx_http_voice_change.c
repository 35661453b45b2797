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


typedef struct {
    voice_dispatch_t   event;
    uint64_t           user_id;        /* of a member; 0: of no member */
    size_t             start;          /* in the text */
    size_t             len;
} ngx_http_voice_change_event_t;


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


/* The text that was just written is an event; of a member: of whom. */

static void
ngx_http_voice_change_add(ngx_http_voice_change_t *ch, voice_dispatch_t event,
    uint64_t user_id, size_t start)
{
    ngx_http_voice_change_event_t  *ev;

    ev = ngx_array_push(&ch->events);

    if (ev == NULL) {
        ch->text.err = VOICE_E_NOMEM;
        return;
    }

    ev->event = event;
    ev->user_id = user_id;
    ev->start = start;
    ev->len = ch->text.len - start;
}


static void
ngx_http_voice_change_channels(ngx_http_voice_change_t *ch)
{
    size_t                      i, start;
    const voice_dir_guild_t    *old = ch->old, *guild = ch->guild;
    const voice_dir_channel_t  *c, *before;

    for (i = 0; i < old->nchannels; i++) {
        c = &old->channel[i];

        if (voice_dir_channel(guild, c->id) == NULL) {
            start = ch->text.len;
            voice_gateway_channel_d(&ch->text, guild->id, c);
            ngx_http_voice_change_add(ch, VOICE_DISPATCH_CHANNEL_DELETE, 0,
                                      start);
        }
    }

    for (i = 0; i < guild->nchannels; i++) {
        c = &guild->channel[i];
        before = voice_dir_channel(old, c->id);

        if (before != NULL && ngx_http_voice_change_same_channel(before, c)) {
            continue;
        }

        start = ch->text.len;
        voice_gateway_channel_d(&ch->text, guild->id, c);
        ngx_http_voice_change_add(ch, before == NULL
                                      ? VOICE_DISPATCH_CHANNEL_CREATE
                                      : VOICE_DISPATCH_CHANNEL_UPDATE, 0,
                                  start);
    }
}


static void
ngx_http_voice_change_roles(ngx_http_voice_change_t *ch)
{
    size_t                    i, start;
    const voice_dir_role_t   *role, *before;
    const voice_dir_guild_t  *old = ch->old, *guild = ch->guild;

    for (i = 0; i < guild->nroles; i++) {
        role = &guild->role[i];
        before = voice_dir_role(old, role->id);

        if (before != NULL && ngx_http_voice_change_same_role(before, role)) {
            continue;
        }

        start = ch->text.len;
        voice_gateway_role_d(&ch->text, guild->id, role);
        ngx_http_voice_change_add(ch, before == NULL
                                      ? VOICE_DISPATCH_ROLE_CREATE
                                      : VOICE_DISPATCH_ROLE_UPDATE, 0, start);
    }

    for (i = 0; i < old->nroles; i++) {

        if (voice_dir_role(guild, old->role[i].id) == NULL) {
            start = ch->text.len;
            voice_gateway_role_delete_d(&ch->text, guild->id,
                                        old->role[i].id);
            ngx_http_voice_change_add(ch, VOICE_DISPATCH_ROLE_DELETE, 0,
                                      start);
        }
    }
}


static void
ngx_http_voice_change_members(ngx_http_voice_change_t *ch, voice_zone_t *z)
{
    size_t                      i, start;
    uint32_t                    flags;
    const voice_dir_guild_t    *old = ch->old, *guild = ch->guild;
    const voice_dir_member_t   *m, *before;

    for (i = 0; i < guild->nmembers; i++) {
        m = &guild->member[i];
        before = voice_dir_member(old, m->user.id);

        if (before != NULL && ngx_http_voice_change_same_member(before, m)) {
            continue;
        }

        flags = voice_state_sticky(z, guild->id, m->user.id);

        start = ch->text.len;
        voice_gateway_member_d(&ch->text, guild->id, m,
                               m->mute || (flags & VOICE_SESSION_MUTE) != 0,
                               m->deaf || (flags & VOICE_SESSION_DEAF) != 0);
        ngx_http_voice_change_add(ch, before == NULL
                                      ? VOICE_DISPATCH_MEMBER_ADD
                                      : VOICE_DISPATCH_MEMBER_UPDATE,
                                  m->user.id, start);
    }

    for (i = 0; i < old->nmembers; i++) {
        m = &old->member[i];

        if (voice_dir_member(guild, m->user.id) == NULL) {
            start = ch->text.len;
            voice_gateway_member_remove_d(&ch->text, guild->id, &m->user);
            ngx_http_voice_change_add(ch, VOICE_DISPATCH_MEMBER_REMOVE,
                                      m->user.id, start);
        }
    }
}


static void
ngx_http_voice_change_guild(ngx_http_voice_change_t *ch)
{
    voice_buf_t  before, after;

    voice_buf_growing(&before, NULL, VOICE_DIR_GUILD_TEXT_MAX);
    voice_buf_growing(&after, NULL, VOICE_DIR_GUILD_TEXT_MAX);

    voice_gateway_guild_update_d(&before, ch->old, ch->old->nmembers);
    voice_gateway_guild_update_d(&after, ch->guild, ch->guild->nmembers);

    if (voice_buf_done(&before) != VOICE_OK
        || voice_buf_done(&after) != VOICE_OK
        || !ngx_http_voice_change_equal(&before, &after))
    {
        voice_buf_put(&ch->text, after.data, after.len);
        ngx_http_voice_change_add(ch, VOICE_DISPATCH_GUILD_UPDATE, 0, 0);
    }

    voice_buf_free(&before);
    voice_buf_free(&after);
}


/* All that is different, once for all who are told. */

static ngx_int_t
ngx_http_voice_change_make(ngx_http_voice_change_t *ch, voice_zone_t *z,
    ngx_log_t *log)
{
    ch->pool = ngx_create_pool(4096, log);

    if (ch->pool == NULL
        || ngx_array_init(&ch->events, ch->pool, 8,
                          sizeof(ngx_http_voice_change_event_t))
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    voice_buf_growing(&ch->text, NULL, 2 * VOICE_DIR_GUILD_TEXT_MAX);

    /* roles before what refers to them */

    ngx_http_voice_change_guild(ch);
    ngx_http_voice_change_roles(ch);
    ngx_http_voice_change_channels(ch);
    ngx_http_voice_change_members(ch, z);

    return NGX_OK;
}


void
ngx_http_voice_change_done(ngx_http_voice_change_t *ch)
{
    if (ch->pool != NULL) {
        voice_buf_free(&ch->text);
        ngx_destroy_pool(ch->pool);
    }
}


/*
 * Of other members only with the intent; of oneself always, but that one is
 * none any more: whom a token names stays one.
 */

static ngx_uint_t
ngx_http_voice_change_concerns(ngx_http_voice_gateway_t *gw,
    const ngx_http_voice_change_event_t *ev)
{
    if (ev->user_id == 0) {
        return 1;
    }

    if (ev->user_id == gw->user_id) {
        return ev->event != VOICE_DISPATCH_MEMBER_REMOVE;
    }

    return (gw->intents & VOICE_INTENT_MEMBERS) != 0;
}


static void
ngx_http_voice_change_events(ngx_http_voice_subscription_t *sub,
    ngx_http_voice_change_t *ch)
{
    ngx_uint_t                      i;
    voice_buf_t                     b;
    ngx_http_voice_gateway_t       *gw = sub->gateway;
    ngx_http_voice_change_event_t  *ev;

    if (ch->pool == NULL
        && ngx_http_voice_change_make(ch, gw->zone, gw->log) != NGX_OK)
    {
        ch->text.err = VOICE_E_NOMEM;
    }

    if (voice_buf_done(&ch->text) != VOICE_OK) {
        ngx_http_voice_gateway_close(gw, VOICE_GATEWAY_CLOSE_UNKNOWN,
                                     "out of memory");
        ngx_http_voice_gateway_touch(gw);
        return;
    }

    ev = ch->events.elts;

    for (i = 0; i < ch->events.nelts; i++) {

        if (!ngx_http_voice_change_concerns(gw, &ev[i])) {
            continue;
        }

        b = ch->text;
        b.data += ev[i].start;
        b.len = ev[i].len;

        if (ngx_http_voice_change_send(sub, NGX_HTTP_VOICE_MARK_CHANGE,
                                       ev[i].event, &b)
            != NGX_OK)
        {
            return;
        }
    }
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
    ngx_http_voice_change_t *ch)
{
    sub->version = sub->node->version;

    if (ch->guild == NULL) {
        if (sub->known) {
            ngx_http_voice_change_deleted(sub, ch->old->id);
        }

        return;
    }

    if (!sub->known || ch->old == NULL) {
        ngx_http_voice_change_created(sub, ch->guild);
        return;
    }

    if (sub->gateway->intents & VOICE_INTENT_GUILDS) {
        ngx_http_voice_change_events(sub, ch);
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
