/*
 * Copyright (C) ngx-voice contributors
 *
 * Changes of voice states, each as the events that say so.  protocol: "Main
 * gateway" sections 7 and 10.
 */


#include "voice_guild_internal.h"


/* Events that are made under one hold of the lock. */
#define VOICE_STATE_STEP   32


void
voice_state_info(const voice_state_t *st, voice_state_info_t *info)
{
    memset(info, 0, sizeof(voice_state_info_t));

    info->guild_id = st->guild_id;
    info->channel_id = st->channel_id;
    info->user_id = st->user_id;
    info->request_to_speak = st->request_to_speak;
    info->flags = st->flags;
    info->peer = st->peer;
    info->claim = st->claim;
    memcpy(info->session_id, st->session_id, sizeof(info->session_id));
}


/*
 * A STATE event that says what is.  Of another node's state what is made of
 * it holds at once, and is an order to that node.
 */

static void
voice_state_event(const voice_state_t *st, voice_log_event_t *ev)
{
    memset(ev, 0, sizeof(voice_log_event_t));

    voice_state_info(st, &ev->state);

    ev->type = VOICE_LOG_STATE;
    ev->old_channel = st->channel_id;
    ev->owner = st->gateway;
    ev->order = st->peer;
}


/* Under the lock: the state of a user who is in voice, or NULL. */

static voice_state_t *
voice_state_present(const voice_zone_t *z, uint64_t guild_id,
    uint64_t user_id)
{
    voice_state_t  *st;

    st = voice_state_find(z, guild_id, user_id);

    return st != NULL && st->channel_id != 0 ? st : NULL;
}


static size_t
voice_state_count_locked(const voice_zone_t *z, uint64_t guild_id,
    uint64_t channel_id)
{
    size_t                n;
    uint32_t              i;
    const voice_guild_t  *gd;

    n = 0;
    gd = voice_guild_find(z, guild_id);

    for (i = (gd != NULL) ? gd->head : 0; i != 0;
         i = z->state[i - 1].guild_next)
    {
        n += (z->state[i - 1].channel_id == channel_id);
    }

    return n;
}


/* What the session of a join is called. */

static voice_err_t
voice_state_join_name(const voice_zone_t *z, const voice_state_join_t *j,
    const char **name)
{
    size_t                         len;
    const voice_gateway_record_t  *g;

    if (j->guild_id == 0 || j->user_id == 0 || j->channel_id == 0) {
        return VOICE_E_RANGE;
    }

    if (j->gateway == 0) {
        len = (j->session_id != NULL) ? strlen(j->session_id) : 0;

        if (len == 0 || len > VOICE_SESSION_ID_MAX) {
            return VOICE_E_LENGTH;
        }

        *name = j->session_id;

        return VOICE_OK;
    }

    g = voice_gateway_get(z, j->gateway);

    if (g == NULL || g->user_id != j->user_id) {
        return VOICE_E_STALE;
    }

    *name = g->session_id;

    return VOICE_OK;
}


uint32_t
voice_state_claim(const voice_state_t *old)
{
    if (old == NULL) {
        return 1;
    }

    return old->claim < VOICE_STATE_CLAIM_MAX ? old->claim + 1
                                              : VOICE_STATE_CLAIM_MAX;
}


static void
voice_state_join_event(const voice_state_join_t *j, const voice_state_t *old,
    const char *name, bool same, voice_log_event_t *ev)
{
    bool      stays;
    uint32_t  keep;

    memset(ev, 0, sizeof(voice_log_event_t));

    stays = same && old->channel_id == j->channel_id;
    keep = VOICE_STATE_STICKY
           | (stays ? VOICE_SESSION_SUPPRESS | VOICE_STATE_BROUGHT : 0);

    ev->type = VOICE_LOG_STATE;
    ev->owner = j->gateway;
    ev->state.guild_id = j->guild_id;
    ev->state.channel_id = j->channel_id;
    ev->state.user_id = j->user_id;
    ev->state.flags = j->flags & VOICE_STATE_FLAGS & ~keep;
    ev->state.claim = same ? old->claim : voice_state_claim(old);
    memcpy(ev->state.session_id, name, strlen(name) + 1);

    if (old != NULL) {
        ev->old_channel = old->channel_id;
        ev->state.flags |= old->flags & keep;
        ev->state.request_to_speak = stays ? old->request_to_speak : 0;
    }
}


/*
 * Whether a client of the state has a voice websocket; of one that may be at
 * another node we know which server it was told of.
 */

static bool
voice_state_connected(voice_zone_t *z, const voice_state_t *st,
    uint64_t server)
{
    voice_session_t  *s;

    if (server != 0) {
        return st->server == server;
    }

    s = voice_session_find(z, st->guild_id, st->user_id);

    return s != NULL && atomic_load(&s->worker) != VOICE_WORKER_NONE;
}


static voice_err_t
voice_state_join_locked(voice_zone_t *z, const voice_state_join_t *j,
    voice_state_change_t *change)
{
    bool               same, stays;
    size_t             n;
    voice_err_t        err;
    const char        *name;
    voice_state_t     *old;
    voice_log_event_t  ev[2];

    err = voice_state_join_name(z, j, &name);
    if (err != VOICE_OK) {
        return err;
    }

    old = voice_state_find(z, j->guild_id, j->user_id);

    if (old == NULL && !voice_state_room(z)) {
        return VOICE_E_NOMEM;
    }

    same = old != NULL && old->channel_id != 0 && old->peer == 0
           && old->gateway == j->gateway && strcmp(old->session_id, name) == 0;
    stays = same && old->channel_id == j->channel_id;

    /* one who is there already, by another session, takes no second place */

    if (j->user_limit != 0
        && (old == NULL || old->channel_id != j->channel_id)
        && voice_state_count_locked(z, j->guild_id, j->channel_id)
           >= j->user_limit)
    {
        return VOICE_E_FULL;
    }

    voice_state_join_event(j, old, name, same, &ev[0]);

    if (!stays) {
        *change = same ? VOICE_STATE_MOVED : VOICE_STATE_JOINED;

    } else if (ev[0].state.flags == old->flags) {
        *change = VOICE_STATE_UNCHANGED;
        ev[0].gateway = j->gateway;

    } else {
        *change = VOICE_STATE_CHANGED;
    }

    n = (*change == VOICE_STATE_UNCHANGED && j->gateway == 0) ? 0 : 1;

    if (j->gateway != 0
        && (*change != VOICE_STATE_CHANGED
            || !voice_state_connected(z, old, j->server)))
    {
        ev[1] = ev[0];
        ev[1].type = VOICE_LOG_SERVER;
        ev[1].gateway = j->gateway;
        ev[1].server = j->server;
        n = 2;
    }

    if (n != 0) {
        voice_state_commit(z, ev, n);
    }

    return VOICE_OK;
}


voice_err_t
voice_state_join(voice_zone_t *z, const voice_state_join_t *j,
    voice_state_change_t *change)
{
    voice_err_t  err;

    voice_zone_lock(z);
    err = voice_state_join_locked(z, j, change);
    voice_zone_unlock(z);

    return err;
}


void
voice_state_refuse(voice_zone_t *z, uint64_t guild_id, uint64_t user_id,
    voice_id_t gateway)
{
    voice_state_t                 *st;
    voice_log_event_t              ev;
    const voice_gateway_record_t  *g;

    voice_zone_lock(z);

    g = voice_gateway_get(z, gateway);
    st = voice_state_find(z, guild_id, user_id);

    if (g != NULL && (st == NULL || st->channel_id == 0)) {
        memset(&ev, 0, sizeof(voice_log_event_t));

        ev.type = VOICE_LOG_STATE;
        ev.gateway = gateway;
        ev.state.guild_id = guild_id;
        ev.state.user_id = user_id;
        ev.state.flags = (st != NULL) ? st->flags : 0;
        ev.state.peer = (st != NULL) ? st->peer : 0;
        ev.state.claim = (st != NULL) ? st->claim : 0;
        memcpy(ev.state.session_id, g->session_id, sizeof(g->session_id));

        voice_state_commit(z, &ev, 1);
    }

    voice_zone_unlock(z);
}


void
voice_state_end(voice_zone_t *z, const voice_state_t *st)
{
    voice_log_event_t  ev;

    voice_state_event(st, &ev);

    ev.owner = 0;
    ev.state.channel_id = 0;
    ev.state.request_to_speak = 0;
    ev.state.flags &= VOICE_STATE_STICKY;

    voice_state_commit(z, &ev, 1);
}


voice_err_t
voice_state_leave(voice_zone_t *z, uint64_t guild_id, uint64_t user_id)
{
    voice_state_t  *st;

    voice_zone_lock(z);

    st = voice_state_present(z, guild_id, user_id);

    if (st != NULL) {
        voice_state_end(z, st);
    }

    voice_zone_unlock(z);

    return st != NULL ? VOICE_OK : VOICE_E_NOT_FOUND;
}


voice_err_t
voice_state_move(voice_zone_t *z, uint64_t guild_id, uint64_t user_id,
    uint64_t channel_id, uint32_t flags)
{
    uint32_t            given = VOICE_SESSION_SUPPRESS | VOICE_STATE_BROUGHT;
    voice_state_t      *st;
    voice_log_event_t   ev[2];

    if (channel_id == 0) {
        return VOICE_E_RANGE;
    }

    voice_zone_lock(z);

    st = voice_state_present(z, guild_id, user_id);

    if (st != NULL && st->channel_id != channel_id) {
        voice_state_event(st, &ev[0]);

        ev[0].state.channel_id = channel_id;
        ev[0].state.request_to_speak = 0;
        ev[0].state.flags = (st->flags & ~given) | (flags & given);

        ev[1] = ev[0];
        ev[1].type = VOICE_LOG_SERVER;
        ev[1].gateway = st->gateway;
        ev[1].server = st->server;

        voice_state_commit(z, ev, st->gateway != 0 ? 2 : 1);
    }

    voice_zone_unlock(z);

    return st != NULL ? VOICE_OK : VOICE_E_NOT_FOUND;
}


voice_err_t
voice_state_flags(voice_zone_t *z, uint64_t guild_id, uint64_t user_id,
    uint32_t set, uint32_t clear, const uint64_t *request)
{
    voice_state_t      *st;
    voice_log_event_t   ev[2], *first;

    set &= VOICE_STATE_FLAGS;
    clear &= VOICE_STATE_FLAGS;

    voice_zone_lock(z);

    st = voice_state_present(z, guild_id, user_id);

    if (st != NULL) {
        voice_state_event(st, &ev[1]);

        ev[1].state.flags = (st->flags & ~clear) | set;

        if (request != NULL) {
            ev[1].state.request_to_speak = *request;
        }

        ev[0] = ev[1];
        ev[0].type = VOICE_LOG_MEMBER;
        ev[0].order = 0;

        first = ((ev[1].state.flags ^ st->flags) & VOICE_STATE_STICKY)
                ? &ev[0] : &ev[1];

        if (ev[1].state.flags != st->flags
            || ev[1].state.request_to_speak != st->request_to_speak)
        {
            voice_state_commit(z, first, (size_t) (&ev[2] - first));
        }
    }

    voice_zone_unlock(z);

    return st != NULL ? VOICE_OK : VOICE_E_NOT_FOUND;
}


/* Up to max of them in one step; gives how many there were. */

static size_t
voice_state_server_step(voice_zone_t *z, uint64_t guild_id, uint64_t server,
    voice_log_event_t *list, size_t max)
{
    size_t                n;
    uint32_t              i;
    const voice_guild_t  *gd;
    const voice_state_t  *st;

    n = 0;
    gd = voice_guild_find(z, guild_id);

    for (i = (gd != NULL) ? gd->head : 0; i != 0 && n < max;
         i = st->guild_next)
    {
        st = &z->state[i - 1];

        if (st->gateway == 0 || st->channel_id == 0 || st->server == server) {
            continue;
        }

        voice_state_event(st, &list[n]);

        list[n].type = VOICE_LOG_SERVER;
        list[n].gateway = st->gateway;
        list[n].server = server;
        n++;
    }

    if (n != 0) {
        voice_state_commit(z, list, n);
    }

    return n;
}


size_t
voice_state_server(voice_zone_t *z, uint64_t guild_id, uint64_t server)
{
    size_t             n, total;
    voice_log_event_t  list[VOICE_STATE_STEP];

    total = 0;

    do {
        voice_zone_lock(z);
        n = voice_state_server_step(z, guild_id, server, list,
                                    VOICE_STATE_STEP);
        voice_zone_unlock(z);

        total += n;

    } while (n == VOICE_STATE_STEP);

    return total;
}


size_t
voice_state_users(voice_zone_t *z, uint64_t guild_id, size_t *here)
{
    size_t                n;
    uint32_t              i;
    const voice_guild_t  *gd;
    const voice_state_t  *st;

    voice_zone_lock(z);

    n = 0;
    *here = 0;
    gd = voice_guild_find(z, guild_id);

    for (i = (gd != NULL) ? gd->head : 0; i != 0; i = st->guild_next) {
        st = &z->state[i - 1];

        n += (st->channel_id != 0);
        *here += (st->channel_id != 0 && st->gateway != 0);
    }

    voice_zone_unlock(z);

    return n;
}


voice_err_t
voice_state_guild_next(voice_zone_t *z, uint32_t *slot, uint64_t *guild_id)
{
    uint32_t     i;
    voice_err_t  err;

    err = VOICE_E_NOT_FOUND;

    voice_zone_lock(z);

    for (i = *slot; i < z->header->guild_end; i++) {
        if (z->guild[i].count != 0) {
            *slot = i + 1;
            *guild_id = z->guild[i].id;
            err = VOICE_OK;
            break;
        }
    }

    voice_zone_unlock(z);

    return err;
}


voice_err_t
voice_state_get(voice_zone_t *z, uint64_t guild_id, uint64_t user_id,
    voice_state_info_t *info)
{
    voice_state_t  *st;

    voice_zone_lock(z);

    st = voice_state_present(z, guild_id, user_id);

    if (st != NULL) {
        voice_state_info(st, info);
    }

    voice_zone_unlock(z);

    return st != NULL ? VOICE_OK : VOICE_E_NOT_FOUND;
}


uint32_t
voice_state_sticky(voice_zone_t *z, uint64_t guild_id, uint64_t user_id)
{
    uint32_t        flags;
    voice_state_t  *st;

    voice_zone_lock(z);

    st = voice_state_find(z, guild_id, user_id);
    flags = (st != NULL) ? st->flags & VOICE_STATE_STICKY : 0;

    voice_zone_unlock(z);

    return flags;
}


void
voice_state_list(voice_zone_t *z, uint64_t guild_id,
    voice_state_info_t *list, size_t max, size_t *n)
{
    uint32_t              i;
    const voice_guild_t  *gd;
    const voice_state_t  *st;

    voice_zone_lock(z);

    *n = 0;
    gd = voice_guild_find(z, guild_id);

    for (i = (gd != NULL) ? gd->head : 0; i != 0; i = st->guild_next) {
        st = &z->state[i - 1];

        if (st->channel_id == 0) {
            continue;
        }

        if (*n < max) {
            voice_state_info(st, &list[*n]);
        }

        (*n)++;
    }

    voice_zone_unlock(z);
}


size_t
voice_state_count(voice_zone_t *z, uint64_t guild_id, uint64_t channel_id)
{
    size_t  n;

    voice_zone_lock(z);
    n = (channel_id != 0)
        ? voice_state_count_locked(z, guild_id, channel_id) : 0;
    voice_zone_unlock(z);

    return n;
}


voice_err_t
voice_state_admit(voice_zone_t *z, uint64_t guild_id, uint64_t user_id,
    uint64_t channel_id, const char *session_id, voice_state_info_t *info)
{
    voice_err_t     err;
    voice_state_t  *st;

    voice_zone_lock(z);

    err = VOICE_E_NOT_FOUND;
    st = voice_state_present(z, guild_id, user_id);

    if (st != NULL) {
        voice_state_info(st, info);

        err = st->channel_id == channel_id
              && strcmp(st->session_id, session_id) == 0
              ? VOICE_OK : VOICE_E_STALE;
    }

    voice_zone_unlock(z);

    return err;
}


void
voice_guild_stats(const voice_zone_t *z, voice_guild_stats_t *st)
{
    uint32_t                       i;
    const voice_gateway_record_t  *g;

    memset(st, 0, sizeof(voice_guild_stats_t));

    st->guilds = atomic_load(&z->header->guilds_used);
    st->events = atomic_load(&z->header->log_next) - 1;

    for (i = 0; i < atomic_load(&z->header->gateway_end); i++) {
        g = &z->gateway[i];

        if (atomic_load(&g->state) == VOICE_GATEWAY_FREE) {
            continue;
        }

        if (atomic_load(&g->worker) == VOICE_WORKER_NONE) {
            st->detached++;
        } else {
            st->attached++;
        }
    }

    for (i = 0; i < atomic_load(&z->header->state_end); i++) {
        if (z->state[i].used) {
            st->states += (z->state[i].channel_id != 0);
            st->sticky += (z->state[i].channel_id == 0);
        }
    }
}
