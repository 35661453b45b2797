/*
 * Copyright (C) ngx-voice contributors
 */


#include "voice_index.h"
#include "voice_session_internal.h"

#include <sodium.h>


void
voice_session_mend(voice_zone_t *z, voice_session_t *s)
{
    uint32_t        index = (uint32_t) (s - z->session);
    voice_room_t   *r;
    voice_index_t   by_user = voice_session_user_index(z);
    voice_index_t   by_address = voice_session_address_index(z);

    if (atomic_load(&s->state) == VOICE_SESSION_CLOSING) {
        voice_session_leave(z, s);
        atomic_store(&s->bound, 0);
        atomic_store(&s->key, 0);
        sodium_memzero(s->secret, sizeof(s->secret));
        return;
    }

    voice_index_add(z, &by_user, index);

    if (atomic_load(&s->bound) != 0) {
        voice_index_add(z, &by_address, index);
    }

    if (s->joined == VOICE_JOIN_ANNOUNCING) {
        r = voice_room_get(z, atomic_load(&s->room));

        if (r != NULL) {
            atomic_store(&s->announced, ++r->announced);
            voice_session_tell(z, r, s, VOICE_EVENT_JOIN, r->announced);
            voice_outbox_append(z, s, VOICE_EVENT_ROSTER, 0, 0, r->announced);
        }

        s->joined = VOICE_JOIN_DONE;
    }
}


/*
 * All rooms are closed to readers, the lists emptied, and filled again from
 * the sessions.  A room keeps its version, so no cache takes the new list for
 * the old one.
 */

static void
voice_zone_repair_rooms(voice_zone_t *z)
{
    uint32_t              i, n;
    voice_room_t         *r;
    voice_session_t      *s;
    voice_zone_header_t  *h = z->header;

    n = atomic_load(&h->session_end);

    for (i = 0; i < n; i++) {
        s = &z->session[i];

        if (s->joined == VOICE_JOIN_NONE
            || atomic_load(&s->state) != VOICE_SESSION_LIVE)
        {
            continue;
        }

        r = voice_room_find(z, s->guild_id, s->channel_id, true);
        if (r == NULL) {
            continue;           /* as many rooms as sessions: can't be */
        }

        if ((int32_t) (atomic_load(&s->announced) - r->announced) > 0) {
            r->announced = atomic_load(&s->announced);
        }

        voice_room_link(z, r, s);
    }
}


static void
voice_zone_repair_clear(voice_zone_t *z)
{
    uint32_t              i, n, gen;
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

    for (i = h->room_end; i > 0; i--) {
        r = &z->room[i - 1];

        voice_room_change_begin(r);

        gen = atomic_load(&r->gen) + 1;
        atomic_store(&r->gen, gen != 0 ? gen : 1);

        r->members = 0;
        r->head = 0;
        r->next_free = h->room_free;
        h->room_free = i;
    }

    n = atomic_load(&h->session_end);

    for (i = 0; i < n; i++) {
        s = &z->session[i];

        atomic_store(&s->room, 0);
        s->room_next = 0;
        s->room_prev = 0;
        s->dirty = 0;
        s->dirty_next = 0;
        s->dirty_prev = 0;
        s->next_free = 0;
    }
}


/* A slot that was being cleared or filled when its writer died. */

static void
voice_zone_repair_free(voice_zone_t *z, voice_session_t *s)
{
    uint32_t              gen, index;
    voice_zone_header_t  *h = z->header;

    gen = atomic_load(&s->gen) + 1;

    sodium_memzero(s, sizeof(voice_session_t));

    atomic_store(&s->gen, gen != 0 ? gen : 1);
    s->worker = VOICE_WORKER_NONE;

    index = (uint32_t) (s - z->session) + 1;

    if (h->session_last != 0) {
        z->session[h->session_last - 1].next_free = index;
    } else {
        h->session_free = index;
    }

    h->session_last = index;
}


void
voice_zone_repair(voice_zone_t *z)
{
    uint32_t              i, n;
    voice_session_t      *s;
    voice_zone_header_t  *h = z->header;

    h->repairs++;
    voice_metric_add(voice_zone_metrics(z), VOICE_M_REPAIRS, 1);

    voice_zone_repair_clear(z);
    voice_zone_repair_rooms(z);

    h->session_free = 0;
    h->session_last = 0;
    h->sessions_used = 0;

    n = atomic_load(&h->session_end);

    for (i = 0; i < n; i++) {
        s = &z->session[i];

        if (atomic_load(&s->state) == VOICE_SESSION_FREE) {
            voice_zone_repair_free(z, s);
            continue;
        }

        h->sessions_used++;
        voice_session_mend(z, s);

        /* whoever was told of events by the list is told again */

        if (atomic_load(&s->outbox.head) != atomic_load(&s->outbox.sent)) {
            voice_session_dirty(z, s);
        }
    }

    for (i = 0; i < h->room_end; i++) {
        voice_room_change_end(&z->room[i]);
    }

    /* and the relays, for there may be cuts */

    for (i = 0; i < VOICE_WORKERS_MAX; i++) {
        if (atomic_load(&h->worker[i].pid) != 0) {
            z->wake[i / 64] |= 1ull << (i % 64);
        }
    }
}
