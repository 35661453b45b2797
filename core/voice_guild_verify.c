/*
 * Copyright (C) ngx-voice contributors
 *
 * The guild service's part of voice_zone_verify().
 */


#include "voice_verify.h"

#include <stdio.h>


#define voice_verify_ended(text)                                              \
    (memchr((text), '\0', sizeof(text)) != NULL)


/* The log: the ring holds each of its last numbers, or nothing there. */

static void
voice_verify_log(voice_verify_t *v)
{
    uint64_t                  n, next;
    voice_zone_header_t      *h = v->z->header;
    const voice_log_event_t  *ev;

    next = atomic_load(&h->log_next);

    voice_verify(v, next != 0 && h->log_applied == next,
                 "log: next is %llu, but applied %llu",
                 (unsigned long long) next,
                 (unsigned long long) h->log_applied);

    n = (next > VOICE_LOG_EVENTS) ? next - VOICE_LOG_EVENTS : 1;

    for ( /* void */ ; n < next; n++) {
        ev = &h->log[n % VOICE_LOG_EVENTS];

        /* the oldest may be overwritten by who died before it counted */

        if (ev->number != n) {
            voice_verify(v, n + VOICE_LOG_EVENTS < next + 2,
                         "log: event %llu is lost", (unsigned long long) n);
            continue;
        }

        voice_verify(v, ev->type >= VOICE_LOG_STATE
                        && ev->type <= VOICE_LOG_MEMBER
                        && voice_verify_ended(ev->state.session_id)
                        && (ev->type != VOICE_LOG_SERVER || ev->gateway != 0),
                     "log: event %llu is out of range",
                     (unsigned long long) n);
    }
}


/* The voice session has what the state says; its other flags are its own. */

static void
voice_verify_state_session(voice_verify_t *v, uint32_t i)
{
    voice_session_t      *s;
    const voice_state_t  *st = &v->z->state[i];

    s = voice_session_find(v->z, st->guild_id, st->user_id);

    if (s == NULL || s->channel_id != st->channel_id
        || strcmp(s->session_id, st->session_id) != 0)
    {
        return;
    }

    voice_verify(v, ((atomic_load(&s->flags) ^ st->flags)
                     & VOICE_STATE_ENFORCED) == 0,
                 "state %u: flags %x, but its session has %x", i, st->flags,
                 atomic_load(&s->flags));
}


static void
voice_verify_state(voice_verify_t *v, uint32_t i)
{
    voice_zone_t                  *z = v->z;
    const voice_index_t            ix = voice_state_index(z);
    const voice_state_t           *st = &z->state[i];
    const voice_gateway_record_t  *g;

    if (!st->used) {
        voice_verify(v, voice_verify_zero(st, offsetof(voice_state_t,
                                                       next_free))
                        && voice_verify_zero(st->session_id,
                                             sizeof(st->session_id)),
                     "state %u: free but not wiped", i);
        return;
    }

    v->states++;

    voice_verify(v, st->guild_id != 0 && st->user_id != 0
                    && (st->flags & ~(VOICE_STATE_FLAGS
                                      | VOICE_STATE_BROUGHT)) == 0
                    && voice_verify_ended(st->session_id),
                 "state %u: ids or flags out of range", i);
    voice_verify(v, voice_verify_indexed(z, &ix, i)
                    && voice_state_find(z, st->guild_id, st->user_id) == st,
                 "state %u: not in the index of members", i);

    if (st->channel_id == 0) {
        voice_verify(v, st->gateway == 0 && st->request_to_speak == 0
                        && st->flags != 0
                        && (st->flags & ~VOICE_STATE_STICKY) == 0,
                     "state %u: in no channel, but kept", i);
    }

    if (st->gateway != 0) {
        v->owned++;
        g = voice_gateway_get(z, st->gateway);

        voice_verify(v, g != NULL && g->user_id == st->user_id
                        && strcmp(g->session_id, st->session_id) == 0,
                     "state %u: of a gateway session that isn't its user's",
                     i);
    }

    voice_verify_state_session(v, i);
}


static uint32_t
voice_verify_guild_list(voice_verify_t *v, uint32_t guild)
{
    uint32_t              i, n, prev;
    const voice_guild_t  *gd = &v->z->guild[guild];
    const voice_state_t  *st;

    n = 0;
    prev = 0;

    for (i = gd->head; i != 0; i = st->guild_next) {

        if (i > atomic_load(&v->z->header->state_end) || n == gd->count) {
            voice_verify_fault(v, "guild %u: its list leads to state %u",
                               guild, i - 1);
            return n;
        }

        st = &v->z->state[i - 1];

        voice_verify(v, st->used && st->guild_id == gd->id
                        && st->guild_prev == prev,
                     "guild %u: state %u doesn't belong in its list", guild,
                     i - 1);
        prev = i;
        n++;
    }

    voice_verify(v, n == gd->count, "guild %u: %u states, expected %u",
                 guild, n, gd->count);

    return n;
}


static void
voice_verify_guilds(voice_verify_t *v)
{
    uint32_t              i, n, used, states;
    voice_zone_t         *z = v->z;
    voice_zone_header_t  *h = z->header;
    const voice_index_t   ix = voice_guild_index(z);

    n = 0;

    for (i = h->guild_free; i != 0; i = z->guild[i - 1].next_free) {

        if (i > h->guild_end || n == h->guild_end
            || z->guild[i - 1].count != 0)
        {
            voice_verify_fault(v, "free list: leads to guild %u", i - 1);
            return;
        }

        n++;
    }

    used = 0;
    states = 0;

    for (i = 0; i < h->guild_end; i++) {

        if (z->guild[i].count == 0) {
            continue;
        }

        used++;
        states += voice_verify_guild_list(v, i);

        voice_verify(v, voice_verify_indexed(z, &ix, i)
                        && voice_guild_find(z, z->guild[i].id)
                           == &z->guild[i],
                     "guild %u: not in the index of guilds", i);
    }

    voice_verify(v, n + used == h->guild_end,
                 "free list: %u guilds, expected %u", n, h->guild_end - used);
    voice_verify(v, atomic_load(&h->guilds_used) == used
                    && voice_index_count(&ix) == used,
                 "guilds used: %u, %u in the index, expected %u",
                 atomic_load(&h->guilds_used), voice_index_count(&ix), used);
    voice_verify(v, states == v->states,
                 "%u states in lists of guilds, expected %u", states,
                 v->states);
}


/* its place in the log, and what the ring of dispatches says of it */

static void
voice_verify_gateway_log(voice_verify_t *v, uint32_t i)
{
    uint64_t                       s, what, last, next;
    const voice_gateway_record_t  *g = &v->z->gateway[i];

    next = atomic_load(&v->z->header->log_next);

    voice_verify(v, g->seq != 0 && g->next != 0 && g->next <= next,
                 "gateway session %u: next dispatch %llu, next event %llu", i,
                 (unsigned long long) g->seq, (unsigned long long) g->next);

    last = 0;
    s = (g->seq > VOICE_GATEWAY_DISPATCHES)
        ? g->seq - VOICE_GATEWAY_DISPATCHES : 1;

    for ( /* void */ ; s < g->seq; s++) {
        what = g->dispatch[s % VOICE_GATEWAY_RING];

        if (!voice_gateway_is_event(what)) {
            continue;
        }

        voice_verify(v, what >= last && what != 0 && what < g->next,
                     "gateway session %u: dispatch %llu is event %llu", i,
                     (unsigned long long) s, (unsigned long long) what);
        last = what;
    }
}


static uint32_t
voice_verify_gateway_list(voice_verify_t *v, uint32_t gateway)
{
    uint32_t              i, n, prev;
    voice_id_t            id;
    voice_zone_t         *z = v->z;
    const voice_state_t  *st;

    n = 0;
    prev = 0;
    id = voice_gateway_id(z, &z->gateway[gateway]);

    for (i = z->gateway[gateway].states; i != 0; i = st->gateway_next) {

        if (i > atomic_load(&z->header->state_end) || n == v->states) {
            voice_verify_fault(v, "gateway session %u: its list leads to "
                               "state %u", gateway, i - 1);
            return n;
        }

        st = &z->state[i - 1];

        voice_verify(v, st->used && st->gateway == id
                        && st->gateway_prev == prev,
                     "gateway session %u: state %u doesn't belong in its "
                     "list", gateway, i - 1);
        prev = i;
        n++;
    }

    return n;
}


static uint32_t
voice_verify_gateway(voice_verify_t *v, uint32_t i)
{
    char                           index[9];
    uint16_t                       worker;
    const voice_index_t            ix = voice_gateway_index(v->z);
    voice_zone_header_t           *h = v->z->header;
    const voice_gateway_record_t  *g = &v->z->gateway[i];

    voice_verify(v, atomic_load(&g->gen) != 0,
                 "gateway session %u: generation 0", i);

    if (atomic_load(&g->state) == VOICE_GATEWAY_FREE) {
        voice_verify(v, g->used == 0 && g->states == 0
                        && voice_verify_zero(&g->next, sizeof(*g)
                                - offsetof(voice_gateway_record_t, next)),
                     "gateway session %u: free but not wiped", i);
        return 0;
    }

    v->gateways++;

    worker = atomic_load(&g->worker);
    snprintf(index, sizeof(index), "%08x", i);

    voice_verify(v, atomic_load(&g->state) == VOICE_GATEWAY_USED
                    && g->used == 1 && g->attach != 0,
                 "gateway session %u: state %u", i, atomic_load(&g->state));
    voice_verify(v, strnlen(g->session_id, sizeof(g->session_id))
                    == VOICE_GATEWAY_SESSION_LEN
                    && memcmp(g->session_id, index, 8) == 0,
                 "gateway session %u: its id is of another", i);
    voice_verify(v, (worker == VOICE_WORKER_NONE)
                    == (atomic_load(&g->deadline) != 0),
                 "gateway session %u: worker %u and deadline %llu", i, worker,
                 (unsigned long long) atomic_load(&g->deadline));

    if (worker != VOICE_WORKER_NONE) {

        if (worker < VOICE_WORKERS_MAX
            && atomic_load(&h->worker[worker].pid) != 0)
        {
            v->attached[worker]++;
        } else {
            voice_verify_fault(v, "gateway session %u: its worker %u "
                               "doesn't exist", i, worker);
        }
    }

    voice_verify(v, voice_verify_indexed(v->z, &ix, i),
                 "gateway session %u: not in the index of owners", i);

    voice_verify_gateway_log(v, i);

    return voice_verify_gateway_list(v, i);
}


static void
voice_verify_gateways(voice_verify_t *v)
{
    uint32_t              i, n, end;
    voice_zone_t         *z = v->z;
    voice_zone_header_t  *h = z->header;
    const voice_index_t   ix = voice_gateway_index(z);

    n = 0;
    end = atomic_load(&h->gateway_end);

    for (i = 0; i < end; i++) {
        n += voice_verify_gateway(v, i);
    }

    voice_verify(v, n == v->owned,
                 "%u states in lists of gateway sessions, expected %u", n,
                 v->owned);

    for (i = 0; i < VOICE_WORKERS_MAX; i++) {
        voice_verify(v, h->worker[i].gateways == v->attached[i],
                     "worker %u: %u gateway sessions, expected %u", i,
                     h->worker[i].gateways, v->attached[i]);
    }

    n = 0;

    for (i = h->gateway_free; i != 0; i = z->gateway[i - 1].next_free) {

        if (i > end || n == end || atomic_load(&z->gateway[i - 1].state)
                                   != VOICE_GATEWAY_FREE)
        {
            voice_verify_fault(v, "free list: leads to gateway session %u",
                               i - 1);
            return;
        }

        n++;
    }

    voice_verify(v, n + v->gateways == end
                    && h->gateways_used == v->gateways,
                 "gateway sessions: %u free and %u used, of %u", n,
                 h->gateways_used, end);
    voice_verify(v, voice_index_count(&ix) == v->gateways,
                 "index of owners: %u gateway sessions, expected %u",
                 voice_index_count(&ix), v->gateways);
}


static void
voice_verify_states(voice_verify_t *v)
{
    uint32_t              i, n, end;
    voice_zone_t         *z = v->z;
    voice_zone_header_t  *h = z->header;
    const voice_index_t   ix = voice_state_index(z);

    n = 0;
    end = atomic_load(&h->state_end);

    for (i = 0; i < end; i++) {
        voice_verify_state(v, i);
    }

    for (i = h->state_free; i != 0; i = z->state[i - 1].next_free) {

        if (i > end || n == end || z->state[i - 1].used) {
            voice_verify_fault(v, "free list: leads to state %u", i - 1);
            return;
        }

        n++;
    }

    voice_verify(v, n + v->states == end && h->states_used == v->states,
                 "states: %u free and %u used, of %u", n, h->states_used,
                 end);
    voice_verify(v, voice_index_count(&ix) == v->states,
                 "index of members: %u states, expected %u",
                 voice_index_count(&ix), v->states);
}


void
voice_guild_verify(voice_verify_t *v)
{
    voice_zone_header_t  *h = v->z->header;

    if (atomic_load(&h->state_end) > h->sessions
        || h->guild_end > h->sessions
        || atomic_load(&h->gateway_end) > h->sessions)
    {
        voice_verify_fault(v, "header: guilds out of their bounds");
        return;
    }

    voice_verify_log(v);
    voice_verify_states(v);
    voice_verify_guilds(v);
    voice_verify_gateways(v);
}
