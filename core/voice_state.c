/*
 * Copyright (C) ngx-voice contributors
 *
 * Records of voice states: where they are, how they follow the log, and how
 * the voice sessions follow them.
 */


#include "voice_guild_internal.h"


typedef struct {
    uint64_t   guild_id;
    uint64_t   user_id;
} voice_member_key_t;


static uint64_t
voice_state_hash(const voice_zone_t *z, uint32_t record)
{
    voice_member_key_t  key;

    key.guild_id = z->state[record].guild_id;
    key.user_id = z->state[record].user_id;

    return voice_zone_hash(z, &key, sizeof(key));
}


static bool
voice_state_match(const voice_zone_t *z, uint32_t record, const void *data)
{
    const voice_state_t       *st = &z->state[record];
    const voice_member_key_t  *key = data;

    return st->user_id == key->user_id && st->guild_id == key->guild_id;
}


voice_index_t
voice_state_index(const voice_zone_t *z)
{
    return (voice_index_t) { z->by_member, z->header->index_mask,
                             voice_state_hash };
}


voice_state_t *
voice_state_find(const voice_zone_t *z, uint64_t guild_id, uint64_t user_id)
{
    uint32_t            record;
    voice_index_t       ix = voice_state_index(z);
    voice_member_key_t  key = { guild_id, user_id };

    if (voice_index_find(z, &ix, voice_zone_hash(z, &key, sizeof(key)),
                         voice_state_match, &key, &record)
        != VOICE_OK)
    {
        return NULL;
    }

    return &z->state[record];
}


static uint64_t
voice_guild_hash(const voice_zone_t *z, uint32_t record)
{
    return voice_zone_hash(z, &z->guild[record].id, sizeof(uint64_t));
}


static bool
voice_guild_match(const voice_zone_t *z, uint32_t record, const void *key)
{
    return z->guild[record].id == *(const uint64_t *) key;
}


voice_index_t
voice_guild_index(const voice_zone_t *z)
{
    return (voice_index_t) { z->by_guild, z->header->index_mask,
                             voice_guild_hash };
}


voice_guild_t *
voice_guild_find(const voice_zone_t *z, uint64_t guild_id)
{
    uint32_t       record;
    voice_index_t  ix = voice_guild_index(z);

    if (voice_index_find(z, &ix,
                         voice_zone_hash(z, &guild_id, sizeof(uint64_t)),
                         voice_guild_match, &guild_id, &record)
        != VOICE_OK)
    {
        return NULL;
    }

    return &z->guild[record];
}


/* There are as many guilds as states, and none is without one. */

static voice_guild_t *
voice_guild_make(voice_zone_t *z, uint64_t guild_id)
{
    voice_guild_t        *gd;
    voice_index_t         ix = voice_guild_index(z);
    voice_zone_header_t  *h = z->header;

    if (h->guild_free != 0) {
        gd = &z->guild[h->guild_free - 1];
        h->guild_free = gd->next_free;

    } else {
        gd = &z->guild[h->guild_end++];
    }

    memset(gd, 0, sizeof(voice_guild_t));
    gd->id = guild_id;

    voice_index_add(z, &ix, (uint32_t) (gd - z->guild));
    atomic_fetch_add(&h->guilds_used, 1);

    return gd;
}


static void
voice_guild_link(voice_zone_t *z, voice_state_t *st)
{
    uint32_t        index = (uint32_t) (st - z->state) + 1;
    voice_guild_t  *gd;

    gd = voice_guild_find(z, st->guild_id);

    if (gd == NULL) {
        gd = voice_guild_make(z, st->guild_id);
    }

    st->guild_prev = 0;
    st->guild_next = gd->head;

    if (gd->head != 0) {
        z->state[gd->head - 1].guild_prev = index;
    }

    gd->head = index;
    gd->count++;
}


static void
voice_guild_unlink(voice_zone_t *z, voice_state_t *st)
{
    voice_guild_t        *gd;
    voice_index_t         ix = voice_guild_index(z);
    voice_zone_header_t  *h = z->header;

    gd = voice_guild_find(z, st->guild_id);

    if (st->guild_prev != 0) {
        z->state[st->guild_prev - 1].guild_next = st->guild_next;
    } else {
        gd->head = st->guild_next;
    }

    if (st->guild_next != 0) {
        z->state[st->guild_next - 1].guild_prev = st->guild_prev;
    }

    if (--gd->count != 0) {
        return;
    }

    voice_index_remove(z, &ix, (uint32_t) (gd - z->guild));

    gd->next_free = h->guild_free;
    h->guild_free = (uint32_t) (gd - z->guild) + 1;
    atomic_fetch_sub(&h->guilds_used, 1);
}


static void
voice_state_gateway_link(voice_zone_t *z, voice_state_t *st)
{
    uint32_t                 index = (uint32_t) (st - z->state) + 1;
    voice_gateway_record_t  *g;

    st->gateway_prev = 0;
    st->gateway_next = 0;

    g = voice_gateway_get(z, st->gateway);

    if (g == NULL) {
        return;
    }

    st->gateway_next = g->states;

    if (g->states != 0) {
        z->state[g->states - 1].gateway_prev = index;
    }

    g->states = index;
}


static void
voice_state_gateway_unlink(voice_zone_t *z, voice_state_t *st)
{
    voice_gateway_record_t  *g;

    g = voice_gateway_get(z, st->gateway);

    if (g == NULL) {
        return;
    }

    if (st->gateway_prev != 0) {
        z->state[st->gateway_prev - 1].gateway_next = st->gateway_next;
    } else {
        g->states = st->gateway_next;
    }

    if (st->gateway_next != 0) {
        z->state[st->gateway_next - 1].gateway_prev = st->gateway_prev;
    }
}


void
voice_state_link(voice_zone_t *z, voice_state_t *st)
{
    voice_index_t  ix = voice_state_index(z);

    voice_guild_link(z, st);
    voice_state_gateway_link(z, st);
    voice_index_add(z, &ix, (uint32_t) (st - z->state));
    z->header->states_used++;
}


bool
voice_state_room(const voice_zone_t *z)
{
    return z->header->state_free != 0
           || atomic_load(&z->header->state_end) < z->header->sessions;
}


static voice_state_t *
voice_state_alloc(voice_zone_t *z)
{
    uint32_t              end;
    voice_state_t        *st;
    voice_zone_header_t  *h = z->header;

    if (h->state_free != 0) {
        st = &z->state[h->state_free - 1];
        h->state_free = st->next_free;
        st->next_free = 0;

        return st;
    }

    end = atomic_load(&h->state_end);
    atomic_store(&h->state_end, end + 1);

    return &z->state[end];
}


void
voice_state_free_push(voice_zone_t *z, voice_state_t *st)
{
    memset(st, 0, sizeof(voice_state_t));

    st->next_free = z->header->state_free;
    z->header->state_free = (uint32_t) (st - z->state) + 1;
}


static void
voice_state_free(voice_zone_t *z, voice_state_t *st)
{
    voice_index_t  ix = voice_state_index(z);

    voice_index_remove(z, &ix, (uint32_t) (st - z->state));
    voice_state_gateway_unlink(z, st);
    voice_guild_unlink(z, st);

    st->used = 0;
    voice_session_order();

    voice_state_free_push(z, st);
    z->header->states_used--;
}


static void
voice_state_fill(voice_state_t *st, const voice_log_event_t *ev)
{
    st->channel_id = ev->state.channel_id;
    st->request_to_speak = ev->state.request_to_speak;
    st->flags = ev->state.flags;
    st->peer = ev->state.peer;
    st->claim = ev->state.claim;
    memcpy(st->session_id, ev->state.session_id, sizeof(st->session_id));
}


static void
voice_state_store(voice_zone_t *z, voice_state_t *st,
    const voice_log_event_t *ev)
{
    if (st == NULL) {
        st = voice_state_alloc(z);

        st->guild_id = ev->state.guild_id;
        st->user_id = ev->state.user_id;
        st->gateway = ev->owner;
        voice_state_fill(st, ev);

        voice_session_order();
        st->used = 1;

        voice_state_link(z, st);
        return;
    }

    voice_state_fill(st, ev);

    if (st->gateway != ev->owner) {
        voice_state_gateway_unlink(z, st);
        st->gateway = ev->owner;
        voice_state_gateway_link(z, st);
    }
}


/*
 * A voice session of another channel or session id has lost its place, but
 * for one that no state was made for.
 */

static void
voice_state_enforce(voice_zone_t *z, const voice_log_event_t *ev)
{
    uint32_t                   set;
    voice_session_t           *s;
    const voice_state_info_t  *info = &ev->state;

    s = voice_session_find(z, info->guild_id, info->user_id);

    if (s == NULL || (info->channel_id == 0 && ev->old_channel == 0)) {
        return;
    }

    if (s->channel_id != info->channel_id
        || strcmp(s->session_id, info->session_id) != 0)
    {
        voice_session_close_locked(z, s, VOICE_CLOSE_DISCONNECTED);
        return;
    }

    set = info->flags & VOICE_STATE_ENFORCED;
    voice_session_flags_locked(z, s, set, VOICE_STATE_ENFORCED & ~set);
}


/* May be done again: it leads to the same, from wherever it was cut off. */

static void
voice_state_apply(voice_zone_t *z, const voice_log_event_t *ev)
{
    voice_state_t  *st;

    if (ev->type != VOICE_LOG_STATE && ev->type != VOICE_LOG_SERVER) {
        return;
    }

    st = voice_state_find(z, ev->state.guild_id, ev->state.user_id);

    if (ev->type == VOICE_LOG_SERVER) {
        if (st != NULL && st->gateway == ev->gateway) {
            st->server = ev->server;
        }

        return;
    }

    if (ev->state.channel_id != 0
        || (ev->state.flags & VOICE_STATE_STICKY) != 0)
    {
        voice_state_store(z, st, ev);

    } else if (st != NULL) {
        voice_state_free(z, st);
    }

    voice_state_enforce(z, ev);
}


void
voice_state_commit(voice_zone_t *z, voice_log_event_t *list, size_t n)
{
    size_t  i;

    voice_log_append(z, list, n);

    for (i = 0; i < n; i++) {
        voice_state_apply(z, &list[i]);
    }

    voice_session_order();
    z->header->log_applied = atomic_load(&z->header->log_next);
}


void
voice_state_redo(voice_zone_t *z)
{
    uint64_t                  i, next;
    const voice_log_event_t  *ev;

    next = atomic_load(&z->header->log_next);

    for (i = z->header->log_applied; i < next; i++) {
        ev = voice_log_get(z, i);

        if (ev != NULL) {
            voice_state_apply(z, ev);
        }
    }

    voice_session_order();
    z->header->log_applied = next;
}


voice_err_t
voice_state_session_flags(const voice_zone_t *z,
    const voice_session_conf_t *c, uint32_t *flags)
{
    const voice_state_t  *st;

    st = voice_state_find(z, c->guild_id, c->user_id);

    if (st != NULL && st->channel_id == c->channel_id
        && strcmp(st->session_id, c->session_id) == 0)
    {
        *flags = (c->flags & ~VOICE_STATE_ENFORCED)
                 | (st->flags & VOICE_STATE_ENFORCED);
        return VOICE_OK;
    }

    if (c->admitted) {
        return VOICE_E_STALE;
    }

    *flags = c->flags;

    if (st != NULL) {
        *flags |= st->flags & VOICE_STATE_STICKY;
    }

    return VOICE_OK;
}
