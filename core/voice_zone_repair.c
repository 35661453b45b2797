/*
 * Copyright (C) ngx-voice contributors
 *
 * The repair after a process died inside the lock, at any instruction: what
 * was half done on a session is brought to one of its ends, and all that is
 * derived is made anew.  It may itself be killed and be done again.
 */


#include "voice_guild_internal.h"

#include <sodium.h>


/*
 * All rooms are closed to readers, the lists emptied, and filled again from
 * the sessions.  A room keeps its slot, generation and version, so ids of
 * rooms stay valid, and no cache takes a new list for the old one.
 */

static void
voice_zone_repair_clear(voice_zone_t *z)
{
    uint32_t              i, n;
    voice_room_t         *r;
    voice_session_t      *s;
    voice_zone_header_t  *h = z->header;
    const voice_index_t   by_user = { z->by_user, h->index_mask, NULL };
    const voice_index_t   by_channel = { z->by_channel, h->index_mask, NULL };
    const voice_index_t   by_address = { z->by_address, h->index_mask, NULL };

    voice_index_clear(&by_user);
    voice_index_clear(&by_channel);
    voice_index_clear(&by_address);

    for (i = 0; i < VOICE_WORKERS_MAX; i++) {
        h->worker[i].dirty = 0;
    }

    h->room_free = 0;
    h->rooms_used = 0;

    for (i = 0; i < h->room_end; i++) {
        r = &z->room[i];

        voice_room_change_begin(r);

        r->members = 0;
        r->head = 0;
        r->next_free = 0;
    }

    h->session_free = 0;
    h->session_last = 0;
    h->sessions_used = 0;
    h->probes_used = 0;

    n = atomic_load(&h->session_end);

    for (i = 0; i < n; i++) {
        s = &z->session[i];

        s->room_next = 0;
        s->room_prev = 0;
        s->dirty = 0;
        s->dirty_next = 0;
        s->dirty_prev = 0;
        s->next_free = 0;
    }
}


/* The sessions whose room stands, each back into it. */

static void
voice_zone_repair_members(voice_zone_t *z)
{
    uint32_t          i, n;
    voice_room_t     *r;
    voice_session_t  *s;

    n = atomic_load(&z->header->session_end);

    for (i = 0; i < n; i++) {
        s = &z->session[i];

        if (atomic_load(&s->room) == 0) {
            continue;
        }

        r = voice_room_get(z, atomic_load(&s->room));

        if (atomic_load(&s->state) != VOICE_SESSION_LIVE || r == NULL
            || r->guild_id != s->guild_id || r->channel_id != s->channel_id)
        {
            atomic_store(&s->room, 0);
            continue;
        }

        voice_room_link(z, r, s);
    }
}


/* The slots that nobody went back to, and then whoever was on the way in. */

static void
voice_zone_repair_rooms(voice_zone_t *z)
{
    uint32_t              i, n, gen;
    voice_room_t         *r;
    voice_session_t      *s;
    voice_zone_header_t  *h = z->header;

    for (i = h->room_end; i > 0; i--) {
        r = &z->room[i - 1];

        if (r->members != 0) {
            continue;
        }

        gen = atomic_load(&r->gen) + 1;
        atomic_store(&r->gen, gen != 0 ? gen : 1);

        r->next_free = h->room_free;
        h->room_free = i;
    }

    n = atomic_load(&h->session_end);

    for (i = 0; i < n; i++) {
        s = &z->session[i];

        if (atomic_load(&s->state) != VOICE_SESSION_LIVE
            || atomic_load(&s->room) != 0)
        {
            continue;
        }

        s->joined = VOICE_JOIN_ANNOUNCING;

        r = voice_room_find(z, s->guild_id, s->channel_id, true);
        if (r == NULL) {
            continue;           /* as many rooms as sessions: can't be */
        }

        voice_room_link(z, r, s);
    }
}


/* Its websocket may not know yet; what it is due is in the record. */

static void
voice_zone_repair_closing(voice_zone_t *z, voice_session_t *s)
{
    uint32_t              head;
    const voice_event_t  *last;

    voice_session_leave(z, s);

    atomic_store(&s->bound, 0);
    voice_session_key_wipe(s);

    if (s->close_code == 0 || s->worker == VOICE_WORKER_NONE) {
        voice_session_clean(z, s);
        atomic_store(&s->ssrc, 0);
        atomic_store(&s->state, VOICE_SESSION_FREE);
        return;
    }

    head = atomic_load(&s->outbox.head);
    last = &s->outbox.ring[(head - 1) % VOICE_OUTBOX_EVENTS];

    if (last->type != VOICE_EVENT_CLOSE || last->number != head - 1) {
        voice_outbox_append(z, s, VOICE_EVENT_CLOSE, 0, 0, s->close_code);
    }
}


/*
 * A select that didn't reach LIVE was never answered: it is undone.  One that
 * did is completed, the announcement with a number of its own.
 */

static void
voice_zone_repair_key(voice_zone_t *z, voice_session_t *s)
{
    uint32_t       key;
    voice_room_t  *r;

    if (atomic_load(&s->state) == VOICE_SESSION_READY) {
        atomic_store(&s->bound, 0);
        voice_session_key_wipe(s);
        s->joined = VOICE_JOIN_NONE;
        return;
    }

    key = atomic_load(&s->key);

    s->key_last = key;
    sodium_memzero(s->secret[(key + 1) & 1], VOICE_KEY_LEN);

    if (atomic_load(&s->nonce) >> 32 != key) {
        atomic_store(&s->nonce, (uint64_t) key << 32);
    }

    if (s->joined == VOICE_JOIN_ANNOUNCING) {
        r = voice_room_get(z, atomic_load(&s->room));

        if (r != NULL) {
            voice_session_announce(z, r, s);
            voice_session_order();
            s->joined = VOICE_JOIN_DONE;
        }
    }
}


static void
voice_zone_repair_session(voice_zone_t *z, voice_session_t *s)
{
    uint32_t       index = (uint32_t) (s - z->session);
    voice_index_t  by_user = voice_session_user_index(z);
    voice_index_t  by_address = voice_session_address_index(z);

    if (atomic_load(&s->state) == VOICE_SESSION_CLOSING) {
        voice_zone_repair_closing(z, s);

    } else if (atomic_load(&s->state) != VOICE_SESSION_FREE) {
        voice_zone_repair_key(z, s);
    }

    if (atomic_load(&s->state) == VOICE_SESSION_FREE) {
        voice_session_wipe(s);
        voice_session_free_push(z, s);
        return;
    }

    z->header->sessions_used++;
    z->header->probes_used += (s->guild_id == VOICE_PROBE_GUILD);

    atomic_store(&s->ssrc, voice_session_ssrc(z, s));

    if (s->worker != VOICE_WORKER_NONE) {
        atomic_store(&s->deadline, 0);
    }

    if (atomic_load(&s->state) != VOICE_SESSION_CLOSING) {
        voice_index_add(z, &by_user, index);
    }

    if (atomic_load(&s->bound) != 0) {
        s->bound_last = atomic_load(&s->bound);
        voice_index_add(z, &by_address, index);
    }

    /* whoever was told of events by the list is told again */

    if (atomic_load(&s->outbox.head) != atomic_load(&s->outbox.sent)) {
        voice_session_dirty(z, s);
    }
}


void
voice_zone_repair(voice_zone_t *z)
{
    uint32_t              i, n;
    voice_zone_header_t  *h = z->header;

    h->repairs++;
    voice_metric_add(voice_zone_metrics(z), VOICE_M_REPAIRS, 1);

    voice_zone_repair_clear(z);
    voice_zone_repair_members(z);
    voice_zone_repair_rooms(z);

    n = atomic_load(&h->session_end);

    for (i = 0; i < n; i++) {
        voice_zone_repair_session(z, &z->session[i]);
    }

    for (i = 0; i < h->room_end; i++) {
        voice_room_change_end(&z->room[i]);
    }

    /* last: events that are applied now close voice sessions */

    voice_guild_repair(z);

    /* and all workers: for cuts, keys that are over, what is due */

    voice_zone_keys_over(z);
    atomic_store(&h->due, 1);

    voice_zone_wake_all(z);
}
