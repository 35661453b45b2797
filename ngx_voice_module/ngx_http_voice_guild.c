/*
 * Copyright (C) ngx-voice contributors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>

#include "ngx_http_voice_guild.h"


/* Former workers go on with the former directory for a moment. */
#define NGX_HTTP_VOICE_GUILD_AGAIN    5000

#define NGX_HTTP_VOICE_GUILD_STATES   64


/* A guild that was changed at run time, by its id. */
typedef struct {
    ngx_rbtree_node_t                 node;
    uint64_t                          change;
} ngx_http_voice_guild_change_t;


typedef struct {
    voice_zone_t                     *zone;
    voice_directory_t                *dir;
    ngx_http_voice_directory_conf_t  *conf;
    ngx_http_voice_guild_changed_pt   changed;
    uint64_t                          change;      /* the last one seen */
    ngx_rbtree_t                      changes;
    ngx_rbtree_node_t                 sentinel;
    ngx_event_t                       start;
    ngx_connection_t                  dumb;        /* what debug logs show */
    ngx_uint_t                        started;
} ngx_http_voice_guilds_t;


static void ngx_http_voice_guild_start_handler(ngx_event_t *ev);


static ngx_http_voice_guilds_t  ngx_http_voice_guilds;


ngx_int_t
ngx_http_voice_guild_init_process(ngx_cycle_t *cycle,
    ngx_http_voice_guild_changed_pt changed)
{
    ngx_http_voice_main_conf_t  *vmcf;
    ngx_http_voice_guilds_t     *gs = &ngx_http_voice_guilds;

    vmcf = ngx_http_cycle_get_module_main_conf(cycle, ngx_http_voice_module);

    if (vmcf == NULL || vmcf->directory.store.header == NULL
        || ngx_voice_zone(cycle) == NULL)
    {
        return NGX_OK;
    }

    gs->conf = &vmcf->directory;
    gs->dir = gs->conf->base->dir;
    gs->zone = ngx_voice_zone(cycle);
    gs->change = 0;

    ngx_rbtree_init(&gs->changes, &gs->sentinel, ngx_rbtree_insert_value);

    ngx_http_voice_guild_sync(cycle->log);

    /* from now on there is somebody to tell */
    gs->changed = changed;

    if (ngx_worker == 0) {
        gs->started = 0;
        gs->dumb.fd = (ngx_socket_t) -1;
        gs->start.handler = ngx_http_voice_guild_start_handler;
        gs->start.log = cycle->log;
        gs->start.data = &gs->dumb;
        gs->start.cancelable = 1;

        ngx_add_timer(&gs->start, 1);
    }

    return NGX_OK;
}


ngx_uint_t
ngx_http_voice_guild_ready(void)
{
    return ngx_http_voice_guilds.zone != NULL
           && ngx_http_voice_guilds.zone->worker != VOICE_WORKER_NONE;
}


ngx_uint_t
ngx_http_voice_guild_outdated(void)
{
    ngx_http_voice_guilds_t  *gs = &ngx_http_voice_guilds;

    return gs->conf->generation
           < atomic_load(&gs->conf->store.header->generation);
}


/* One worker tells of what a reload changed, and moves people out. */

static void
ngx_http_voice_guild_start_handler(ngx_event_t *ev)
{
    size_t                    i;
    uint64_t                  id;
    voice_log_type_t          type;
    ngx_http_voice_guilds_t  *gs = &ngx_http_voice_guilds;

    if (ngx_http_voice_guild_outdated()) {
        return;
    }

    atomic_store(&gs->conf->store.header->generation, gs->conf->generation);

    ngx_http_voice_guild_sync(ev->log);

    for (i = 0; i < gs->conf->nchanged && !gs->started; i++) {
        id = gs->conf->changed[i];

        if (ngx_http_voice_guild_change(id) != 0) {
            continue;
        }

        type = (voice_directory_guild(gs->dir, id) != NULL)
               ? VOICE_LOG_GUILD : VOICE_LOG_GUILD_DELETE;

        if (type == VOICE_LOG_GUILD_DELETE) {
            ngx_http_voice_guild_enforce(id, ev->log);
        }

        (void) voice_log_guild(gs->zone, type, id);
    }

    for (i = 0; i < voice_directory_count(gs->dir); i++) {
        ngx_http_voice_guild_enforce(voice_directory_at(gs->dir, i)->id,
                                     ev->log);
    }

    ngx_voice_wake(gs->zone, ev->log);

    if (!gs->started) {
        gs->started = 1;
        ngx_add_timer(ev, NGX_HTTP_VOICE_GUILD_AGAIN);
    }
}


static ngx_http_voice_guild_change_t *
ngx_http_voice_guild_changes(uint64_t guild_id)
{
    ngx_rbtree_node_t        *node;
    ngx_http_voice_guilds_t  *gs = &ngx_http_voice_guilds;

    node = gs->changes.root;

    while (node != &gs->sentinel) {
        if (guild_id == node->key) {
            return (ngx_http_voice_guild_change_t *) node;
        }

        node = (guild_id < node->key) ? node->left : node->right;
    }

    return NULL;
}


uint64_t
ngx_http_voice_guild_change(uint64_t guild_id)
{
    ngx_http_voice_guild_change_t  *c;

    c = ngx_http_voice_guild_changes(guild_id);

    return (c != NULL) ? c->change : 0;
}


static ngx_int_t
ngx_http_voice_guild_note(const voice_store_entry_t *e, ngx_log_t *log)
{
    ngx_http_voice_guild_change_t  *c;

    c = ngx_http_voice_guild_changes(e->id);

    if (c == NULL) {
        c = ngx_alloc(sizeof(ngx_http_voice_guild_change_t), log);
        if (c == NULL) {
            return NGX_ERROR;
        }

        c->node.key = e->id;
        ngx_rbtree_insert(&ngx_http_voice_guilds.changes, &c->node);
    }

    c->change = e->change;

    return NGX_OK;
}


static void
ngx_http_voice_guild_replace(const voice_store_entry_t *e, ngx_log_t *log)
{
    char                      why[512];
    voice_err_t               err;
    voice_dir_error_t         error;
    voice_dir_guild_t        *guild, *old;
    ngx_http_voice_guilds_t  *gs = &ngx_http_voice_guilds;

    guild = NULL;

    if (e->state == VOICE_STORE_DELETED) {
        old = voice_directory_remove(gs->dir, e->id);

    } else {
        ngx_memzero(&error, sizeof(voice_dir_error_t));

        err = voice_dir_guild_parse(e->text, e->len, e->id, NULL, &guild,
                                    &error);
        if (err == VOICE_OK) {
            err = voice_directory_put(gs->dir, guild, &old, &error);

            if (err != VOICE_OK) {
                voice_dir_guild_free(guild);
            }
        }

        if (err != VOICE_OK) {
            voice_dir_error_text(&error, why, sizeof(why));
            ngx_log_error(NGX_LOG_ERR, log, 0,
                          "voice guild %uL that was changed at run time can't "
                          "be used: %s: %s", e->id, voice_err_name(err),
                          error.expected != NULL ? why : "no place named");
            return;
        }
    }

    if (gs->changed != NULL && (old != NULL || guild != NULL)) {
        gs->changed(e->id, old, guild);
    }

    if (old != NULL) {
        voice_dir_guild_free(old);
    }
}


void
ngx_http_voice_guild_sync(ngx_log_t *log)
{
    voice_err_t               err;
    voice_store_entry_t       e;
    ngx_http_voice_guilds_t  *gs = &ngx_http_voice_guilds;

    if (gs->zone == NULL) {
        return;
    }

    while (gs->change != voice_store_change(&gs->conf->store)) {

        err = voice_store_next(&gs->conf->store, gs->change, NULL, &e);

        if (err == VOICE_OK && ngx_http_voice_guild_note(&e, log) == NGX_OK) {
            ngx_http_voice_guild_replace(&e, log);
            gs->change = e.change;
            voice_free(NULL, e.text);
            continue;
        }

        if (err == VOICE_OK) {
            voice_free(NULL, e.text);
        }

        /* no memory: tried again with the next event or request */
        return;
    }
}


const voice_dir_guild_t *
ngx_http_voice_guild_get(uint64_t guild_id)
{
    return voice_directory_guild(ngx_http_voice_guilds.dir, guild_id);
}


const voice_dir_channel_t *
ngx_http_voice_guild_channel(uint64_t channel_id,
    const voice_dir_guild_t **guild)
{
    return voice_directory_channel(ngx_http_voice_guilds.dir, channel_id,
                                   guild);
}


void
ngx_http_voice_guild_member(const voice_dir_guild_t *guild, uint64_t user_id,
    ngx_http_voice_member_t *m)
{
    bool  bot;

    m->member = (guild != NULL) ? voice_dir_member(guild, user_id) : NULL;

    if (m->member != NULL) {
        return;
    }

    if (voice_store_name_get(&ngx_http_voice_guilds.conf->store, user_id,
                             m->name, &bot)
        != VOICE_OK)
    {
        bot = false;
        ngx_sprintf((u_char *) m->name, "user%uL%Z", user_id);
    }

    voice_dir_member_make(&m->made, user_id, m->name, bot);
    m->member = &m->made;
}


void
ngx_http_voice_guild_name(uint64_t user_id, const char *name, ngx_uint_t bot)
{
    if (name[0] != '\0') {
        voice_store_name_set(&ngx_http_voice_guilds.conf->store, user_id, name,
                             bot != 0);
    }
}


voice_store_t *
ngx_http_voice_guild_store(void)
{
    ngx_http_voice_guilds_t  *gs = &ngx_http_voice_guilds;

    return gs->zone != NULL ? &gs->conf->store : NULL;
}


ngx_uint_t
ngx_http_voice_guild_failed(void)
{
    /* the first one stands for all that are not taken of the same answer */

    return voice_store_failed(&ngx_http_voice_guilds.conf->store,
                              ngx_voice_now())
           ? NGX_LOG_ERR : NGX_LOG_DEBUG;
}


/* A guild in the store is another one; or what is logged, at that level. */

static ngx_int_t
ngx_http_voice_guild_follow(voice_err_t err, uint64_t guild_id, size_t len,
    ngx_uint_t level, ngx_log_t *log)
{
    ngx_http_voice_guilds_t  *gs = &ngx_http_voice_guilds;

    if (err == VOICE_E_STALE) {
        return NGX_DECLINED;
    }

    if (err != VOICE_OK) {
        ngx_log_error(level, log, 0,
                      "voice guild %uL of %uz bytes is not taken: %s, see "
                      "\"voice_guilds_memory\"",
                      guild_id, len, voice_err_name(err));
        return NGX_ABORT;
    }

    ngx_http_voice_guild_sync(log);

    /* those who leave are seen to leave by the guild, if there is one yet */

    ngx_http_voice_guild_enforce(guild_id, log);

    (void) voice_log_guild(gs->zone, len != 0 ? VOICE_LOG_GUILD
                                              : VOICE_LOG_GUILD_DELETE,
                           guild_id);
    ngx_voice_wake(gs->zone, log);

    return NGX_OK;
}


ngx_int_t
ngx_http_voice_guild_put(uint64_t guild_id, const char *text, size_t len,
    uint64_t before, ngx_log_t *log)
{
    uint64_t     change;
    voice_err_t  err;

    err = voice_store_put(&ngx_http_voice_guilds.conf->store, guild_id, text,
                          len, before, &change);

    return ngx_http_voice_guild_follow(err, guild_id, len, NGX_LOG_ERR, log);
}


ngx_int_t
ngx_http_voice_guild_merge(uint64_t guild_id, const char *text, size_t len,
    uint64_t revision, ngx_log_t *log)
{
    uint64_t     change;
    ngx_uint_t   level;
    voice_err_t  err;

    err = voice_store_merge(&ngx_http_voice_guilds.conf->store, guild_id, text,
                            len, revision, &change);

    level = (err != VOICE_OK && err != VOICE_E_STALE)
            ? ngx_http_voice_guild_failed() : NGX_LOG_ERR;

    return ngx_http_voice_guild_follow(err, guild_id, len, level, log);
}


ngx_uint_t
ngx_http_voice_guild_conflict(const voice_dir_guild_t *guild, size_t *channel)
{
    size_t                    i;
    const voice_dir_guild_t  *other;

    for (i = 0; i < guild->nchannels; i++) {
        if (ngx_http_voice_guild_channel(guild->channel[i].id, &other) != NULL
            && other->id != guild->id)
        {
            *channel = i;
            return 1;
        }
    }

    return 0;
}


uint64_t
ngx_http_voice_guild_permissions(const voice_dir_guild_t *guild,
    const voice_dir_channel_t *channel, uint64_t user_id, uint32_t flags)
{
    ngx_http_voice_member_t  m;

    ngx_http_voice_guild_member(guild, user_id, &m);

    return (flags & VOICE_STATE_BROUGHT)
           ? voice_permission_brought(guild, channel, m.member)
           : voice_permission_channel(guild, channel, m.member);
}


ngx_uint_t
ngx_http_voice_guild_suppress(const voice_dir_guild_t *guild,
    const voice_dir_channel_t *channel, uint64_t permissions)
{
    if (channel->type == VOICE_CHANNEL_STAGE) {
        return !(permissions & VOICE_PERM_MUTE_MEMBERS);
    }

    return channel->id == guild->afk_channel_id
           || !(permissions & VOICE_PERM_SPEAK);
}


static void
ngx_http_voice_guild_enforce_state(const voice_dir_guild_t *guild,
    const voice_state_info_t *info, ngx_log_t *log)
{
    uint32_t                    now, wanted;
    uint64_t                    permissions;
    const voice_dir_channel_t  *channel;
    ngx_http_voice_guilds_t    *gs = &ngx_http_voice_guilds;

    channel = (guild != NULL) ? voice_dir_channel(guild, info->channel_id)
                              : NULL;
    permissions = 0;

    if (channel != NULL && voice_dir_channel_is_voice(channel)) {
        permissions = ngx_http_voice_guild_permissions(guild, channel,
                                                       info->user_id,
                                                       info->flags);
    }

    if (!ngx_http_voice_may_join(permissions)) {
        ngx_log_error(NGX_LOG_INFO, log, 0,
                      "voice user %uL is taken out of guild %uL channel %uL: "
                      "%s", info->user_id, info->guild_id, info->channel_id,
                      channel == NULL ? "there is no such channel any more"
                                      : "not allowed any more");
        (void) voice_state_leave(gs->zone, info->guild_id, info->user_id);
        return;
    }

    now = info->flags & VOICE_SESSION_SUPPRESS;
    wanted = ngx_http_voice_guild_suppress(guild, channel, permissions)
             ? VOICE_SESSION_SUPPRESS : 0;

    /* a moderator lets speakers onto a stage, and off it */

    if (now == wanted || channel->type == VOICE_CHANNEL_STAGE) {
        return;
    }

    ngx_log_error(NGX_LOG_INFO, log, 0,
                  "voice user %uL of guild %uL channel %uL is %s",
                  info->user_id, info->guild_id, info->channel_id,
                  wanted ? "suppressed: may not speak any more"
                         : "not suppressed any more");

    (void) voice_state_flags(gs->zone, info->guild_id, info->user_id, wanted,
                             VOICE_SESSION_SUPPRESS & ~wanted, NULL);
}


void
ngx_http_voice_guild_enforce(uint64_t guild_id, ngx_log_t *log)
{
    size_t                    i, n;
    voice_state_info_t       *list;
    const voice_dir_guild_t  *guild;

    list = ngx_http_voice_guild_states(guild_id, &n, log);

    if (list == NULL) {
        return;
    }

    guild = ngx_http_voice_guild_get(guild_id);

    /* of others the node decides that has their gateway */

    for (i = 0; i < n; i++) {
        if (list[i].peer == 0) {
            ngx_http_voice_guild_enforce_state(guild, &list[i], log);
        }
    }

    ngx_free(list);
    ngx_voice_wake(ngx_http_voice_guilds.zone, log);
}


static int ngx_libc_cdecl
ngx_http_voice_guild_order(const void *one, const void *two)
{
    uint64_t  a, b;

    a = ((const voice_state_info_t *) one)->user_id;
    b = ((const voice_state_info_t *) two)->user_id;

    return (a > b) - (a < b);
}


voice_state_info_t *
ngx_http_voice_guild_states(uint64_t guild_id, size_t *n, ngx_log_t *log)
{
    size_t               max;
    voice_state_info_t  *list;
    voice_zone_t        *z = ngx_http_voice_guilds.zone;

    *n = 0;
    voice_state_list(z, guild_id, NULL, 0, n);

    if (*n == 0) {
        return NULL;
    }

    /* more may come in between */

    for ( ;; ) {
        max = *n + NGX_HTTP_VOICE_GUILD_STATES;

        list = ngx_alloc(max * sizeof(voice_state_info_t), log);
        if (list == NULL) {
            *n = 0;
            return NULL;
        }

        voice_state_list(z, guild_id, list, max, n);

        if (*n <= max) {
            break;
        }

        ngx_free(list);
    }

    ngx_qsort(list, *n, sizeof(voice_state_info_t),
              ngx_http_voice_guild_order);

    return list;
}


void
ngx_http_voice_guild_shape(const voice_state_info_t *info,
    voice_shape_state_t *state)
{
    state->guild_id = info->guild_id;
    state->channel_id = info->channel_id;
    state->user_id = info->user_id;
    state->session_id = info->session_id;
    state->request_to_speak = info->request_to_speak;
    state->mute = (info->flags & VOICE_SESSION_MUTE) != 0;
    state->deaf = (info->flags & VOICE_SESSION_DEAF) != 0;
    state->self_mute = (info->flags & VOICE_SESSION_SELF_MUTE) != 0;
    state->self_deaf = (info->flags & VOICE_SESSION_SELF_DEAF) != 0;
    state->self_video = (info->flags & VOICE_SESSION_VIDEO) != 0;
    state->self_stream = (info->flags & VOICE_STATE_STREAM) != 0;
    state->suppress = (info->flags & VOICE_SESSION_SUPPRESS) != 0;
}
