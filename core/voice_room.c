/*
 * Copyright (C) ngx-voice contributors
 */


#include "voice_index.h"
#include "voice_room.h"
#include "voice_session.h"


typedef struct {
    uint64_t   guild_id;
    uint64_t   channel_id;
} voice_room_key_t;


static uint64_t
voice_room_hash(const voice_zone_t *z, uint32_t record)
{
    voice_room_key_t  key;

    key.guild_id = z->room[record].guild_id;
    key.channel_id = z->room[record].channel_id;

    return voice_zone_hash(z, &key, sizeof(key));
}


static bool
voice_room_match(const voice_zone_t *z, uint32_t record, const void *data)
{
    const voice_room_t      *r = &z->room[record];
    const voice_room_key_t  *key = data;

    return r->members != 0 && r->guild_id == key->guild_id
           && r->channel_id == key->channel_id;
}


voice_index_t
voice_room_index(const voice_zone_t *z)
{
    return (voice_index_t) { z->by_channel, z->header->index_mask,
                             voice_room_hash };
}


voice_id_t
voice_room_id(const voice_zone_t *z, const voice_room_t *r)
{
    return voice_id_make(atomic_load(&r->gen), r - z->room);
}


voice_room_t *
voice_room_get(const voice_zone_t *z, voice_id_t id)
{
    voice_room_t  *r;

    if (id == 0 || voice_id_index(id) >= z->header->sessions) {
        return NULL;
    }

    r = &z->room[voice_id_index(id)];

    return atomic_load(&r->gen) == voice_id_gen(id) ? r : NULL;
}


/*
 * The caller may be inside another change of the same room, or a repair that
 * has all rooms closed: then there is nothing to do.
 */

void
voice_room_change_begin(voice_room_t *r)
{
    uint64_t  v;

    v = atomic_load_explicit(&r->version, memory_order_relaxed);

    atomic_store_explicit(&r->version, v | 1, memory_order_relaxed);
    atomic_thread_fence(memory_order_release);
}


void
voice_room_change_end(voice_room_t *r)
{
    uint64_t  v;

    v = atomic_load_explicit(&r->version, memory_order_relaxed);

    atomic_store_explicit(&r->version, (v | 1) + 1, memory_order_release);
}


static voice_room_t *
voice_room_alloc(voice_zone_t *z)
{
    voice_room_t         *r;
    voice_zone_header_t  *h = z->header;

    if (h->room_free != 0) {
        r = &z->room[h->room_free - 1];
        h->room_free = r->next_free;

    } else if (h->room_end < h->sessions) {
        r = &z->room[h->room_end++];

    } else {
        return NULL;
    }

    if (atomic_load(&r->gen) == 0) {
        atomic_store(&r->gen, 1);
    }

    return r;
}


voice_room_t *
voice_room_find(voice_zone_t *z, uint64_t guild_id, uint64_t channel_id,
    bool create)
{
    uint32_t           record;
    voice_room_t      *r;
    voice_index_t      ix = voice_room_index(z);
    voice_room_key_t   key = { guild_id, channel_id };

    if (voice_index_find(z, &ix, voice_zone_hash(z, &key, sizeof(key)),
                         voice_room_match, &key, &record)
        == VOICE_OK)
    {
        return &z->room[record];
    }

    if (!create) {
        return NULL;
    }

    r = voice_room_alloc(z);
    if (r == NULL) {
        return NULL;
    }

    r->guild_id = guild_id;
    r->channel_id = channel_id;
    r->head = 0;

    return r;
}


void
voice_room_link(voice_zone_t *z, voice_room_t *r, voice_session_t *s)
{
    uint32_t       index = (uint32_t) (s - z->session) + 1;
    voice_index_t  ix = voice_room_index(z);

    s->room_prev = 0;
    s->room_next = r->head;

    if (r->head != 0) {
        z->session[r->head - 1].room_prev = index;
    }

    r->head = index;
    atomic_store(&s->room, voice_room_id(z, r));

    if (r->members++ == 0) {
        z->header->rooms_used++;
        voice_index_add(z, &ix, (uint32_t) (r - z->room));
    }
}


void
voice_room_unlink(voice_zone_t *z, voice_room_t *r, voice_session_t *s)
{
    voice_index_t  ix = voice_room_index(z);

    if (s->room_prev != 0) {
        z->session[s->room_prev - 1].room_next = s->room_next;
    } else {
        r->head = s->room_next;
    }

    if (s->room_next != 0) {
        z->session[s->room_next - 1].room_prev = s->room_prev;
    }

    s->room_next = 0;
    s->room_prev = 0;
    atomic_store(&s->room, 0);

    if (r->members > 1) {
        r->members--;
        return;
    }

    voice_index_remove(z, &ix, (uint32_t) (r - z->room));

    r->members = 0;
    z->header->rooms_used--;
    atomic_store(&r->gen, atomic_load(&r->gen) + 1);

    if (atomic_load(&r->gen) == 0) {
        atomic_store(&r->gen, 1);
    }

    r->next_free = z->header->room_free;
    z->header->room_free = (uint32_t) (r - z->room) + 1;
}


voice_err_t
voice_room_roster(voice_zone_t *z, voice_id_t session, uint32_t announced,
    voice_roster_t *list, size_t max, size_t *n)
{
    uint32_t          i;
    voice_err_t       err;
    voice_room_t     *r;
    voice_session_t  *m, *s;

    voice_zone_lock(z);

    err = VOICE_E_STALE;
    s = voice_session_get(z, session);

    if (s != NULL) {
        err = VOICE_OK;
        *n = 0;
        r = voice_room_get(z, atomic_load(&s->room));

        for (i = (r != NULL) ? r->head : 0; i != 0; i = m->room_next) {
            m = &z->session[i - 1];

            if (m == s
                || (int32_t) (atomic_load(&m->announced) - announced) > 0)
            {
                continue;
            }

            if (*n < max) {
                list[*n].user_id = m->user_id;
                list[*n].ssrc = atomic_load(&m->ssrc);
                list[*n].speaking = atomic_load(&m->speaking);
            }

            (*n)++;
        }
    }

    voice_zone_unlock(z);

    return err;
}
