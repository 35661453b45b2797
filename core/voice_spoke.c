/*
 * Copyright (C) ngx-voice contributors
 */


#include "voice_spoke.h"
#include "voice_session_internal.h"


_Static_assert((VOICE_SPOKE_EVENTS & (VOICE_SPOKE_EVENTS - 1)) == 0,
               "a power of two");


static voice_spoke_t *
voice_spoke_slot(const voice_zone_t *z, uint64_t number)
{
    return &z->header->spoke[number % VOICE_SPOKE_EVENTS];
}


static bool
voice_spoke_wake(voice_zone_t *z)
{
    bool      any;
    uint32_t  i;

    any = false;

    for (i = 0; i < VOICE_WORKERS_MAX; i++) {
        if (atomic_load(&z->header->worker[i].hearers) != 0) {
            z->wake[i / 64] |= 1ull << (i % 64);
            any = true;
        }
    }

    return any;
}


void
voice_spoke_append(voice_zone_t *z, const voice_session_t *s,
    uint32_t speaking)
{
    uint64_t        next;
    voice_spoke_t  *slot;

    if (s->guild_id == VOICE_PROBE_GUILD || !voice_spoke_wake(z)) {
        return;
    }

    next = atomic_load(&z->header->spoke_next);
    slot = voice_spoke_slot(z, next);

    slot->guild_id = s->guild_id;
    slot->channel_id = s->channel_id;
    slot->user_id = s->user_id;
    slot->ssrc = atomic_load(&s->ssrc);
    slot->speaking = speaking;

    /* a half one, of a process that died here, is none */

    voice_session_order();
    atomic_store(&z->header->spoke_next, next + 1);
}


uint64_t
voice_spoke_next(const voice_zone_t *z)
{
    return atomic_load(&z->header->spoke_next);
}


void
voice_spoke_read(voice_zone_t *z, uint64_t *next, voice_spoke_t *list,
    size_t max, size_t *n, bool *missed)
{
    uint64_t  end, number;

    voice_zone_lock(z);

    number = *next;
    end = atomic_load(&z->header->spoke_next);

    *missed = end - number > VOICE_SPOKE_EVENTS;

    if (*missed) {
        number = end - VOICE_SPOKE_EVENTS;
    }

    for (*n = 0; number != end && *n < max; (*n)++) {
        list[*n] = *voice_spoke_slot(z, number++);
    }

    *next = number;

    voice_zone_unlock(z);
}
