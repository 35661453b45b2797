/*
 * Copyright (C) ngx-voice contributors
 */


#include "voice_index.h"
#include "voice_route.h"


/* a writer holds a room open for a microsecond or so; then it is dead */
#define VOICE_ROUTE_TRIES   200


static inline void
voice_route_pause(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ __volatile__("yield");
#endif
}


static void
voice_route_fill(const voice_zone_t *z, const voice_session_t *s,
    voice_route_t *m)
{
    uint32_t  bound;

    bound = atomic_load_explicit(&s->bound, memory_order_acquire);

    m->session = (uint32_t) (s - z->session);
    m->gen = atomic_load_explicit(&s->gen, memory_order_relaxed);
    m->key = atomic_load_explicit(&s->key, memory_order_relaxed);
    m->flags = atomic_load_explicit(&s->flags, memory_order_relaxed)
               & ~VOICE_SESSION_OVERFLOW;
    m->mode = s->mode[m->key & 1];
    m->remote = s->remote[bound & 1];
    m->local = s->local[bound & 1];
}


/*
 * The list may change under the walk; then the version tells, but each index
 * must be checked and the steps bounded until it does.
 */

static size_t
voice_route_walk(const voice_zone_t *z, const voice_room_t *r,
    voice_route_t *list, size_t max)
{
    size_t                  n;
    uint32_t                i, steps;
    const voice_session_t  *s;

    n = 0;
    steps = z->header->sessions;

    for (i = r->head; i != 0 && i <= z->header->sessions && steps != 0;
         i = s->room_next)
    {
        steps--;
        s = &z->session[i - 1];

        if (atomic_load_explicit(&s->bound, memory_order_relaxed) == 0
            || atomic_load_explicit(&s->key, memory_order_relaxed) == 0
            || (atomic_load_explicit(&s->flags, memory_order_relaxed)
                & VOICE_SESSION_UNHEARING))
        {
            continue;
        }

        if (n < max) {
            voice_route_fill(z, s, &list[n]);
        }

        n++;
    }

    return n;
}


voice_err_t
voice_route_copy(const voice_zone_t *z, uint32_t room, voice_route_t *list,
    size_t max, size_t *n, uint64_t *version, uint32_t *gen)
{
    size_t               count;
    uint32_t             g;
    uint64_t             v;
    unsigned             tries;
    const voice_room_t  *r = &z->room[room];

    for (tries = 0; tries < VOICE_ROUTE_TRIES; tries++) {
        v = atomic_load_explicit(&r->version, memory_order_acquire);

        if (v & 1) {
            voice_route_pause();
            continue;
        }

        g = atomic_load_explicit(&r->gen, memory_order_relaxed);
        count = voice_route_walk(z, r, list, max);

        atomic_thread_fence(memory_order_acquire);

        if (atomic_load_explicit(&r->version, memory_order_relaxed) != v) {
            continue;
        }

        *n = count;

        if (count > max) {
            return VOICE_E_FULL;
        }

        *version = v;
        *gen = g;

        return VOICE_OK;
    }

    return VOICE_AGAIN;
}


voice_err_t
voice_route_key(const voice_session_t *s, uint32_t *epoch, voice_mode_t *mode,
    uint8_t secret[VOICE_KEY_LEN])
{
    uint32_t  key;
    unsigned  m, tries;

    for (tries = 0; tries < VOICE_ROUTE_TRIES; tries++) {
        key = atomic_load_explicit(&s->key, memory_order_acquire);

        if (key == 0) {
            return VOICE_E_STATE;
        }

        m = s->mode[key & 1];
        memcpy(secret, s->secret[key & 1], VOICE_KEY_LEN);

        atomic_thread_fence(memory_order_acquire);

        if (atomic_load_explicit(&s->key, memory_order_relaxed) == key
            && m < VOICE_MODE_COUNT)
        {
            *epoch = key;
            *mode = m;
            return VOICE_OK;
        }
    }

    return VOICE_AGAIN;
}


voice_err_t
voice_route_nonces(voice_session_t *s, uint32_t epoch, uint32_t *from,
    uint32_t *to)
{
    uint32_t  next;
    uint64_t  old;

    old = atomic_load_explicit(&s->nonce, memory_order_relaxed);

    do {
        if (old >> 32 != epoch) {
            return VOICE_E_STALE;
        }

        next = (uint32_t) old;

        if (next > VOICE_NONCE_MAX - VOICE_NONCE_RESERVE) {
            return VOICE_E_FULL;
        }

    } while (!atomic_compare_exchange_weak_explicit(&s->nonce, &old,
                                                    old + VOICE_NONCE_RESERVE,
                                                    memory_order_relaxed,
                                                    memory_order_relaxed));

    *from = next;
    *to = next + VOICE_NONCE_RESERVE;

    return VOICE_OK;
}


bool
voice_route_address(const voice_session_t *s, voice_addr_t *remote,
    voice_addr_t *local)
{
    uint32_t  bound;
    unsigned  tries;

    for (tries = 0; tries < VOICE_ROUTE_TRIES; tries++) {
        bound = atomic_load_explicit(&s->bound, memory_order_acquire);

        if (bound == 0) {
            return false;
        }

        *remote = s->remote[bound & 1];
        *local = s->local[bound & 1];

        atomic_thread_fence(memory_order_acquire);

        if (atomic_load_explicit(&s->bound, memory_order_relaxed) == bound) {
            return true;
        }
    }

    return false;
}


static bool
voice_route_address_match(const voice_zone_t *z, uint32_t record,
    const void *key)
{
    voice_addr_t  remote, local;

    return voice_route_address(&z->session[record], &remote, &local)
           && voice_addr_equal(&remote, key);
}


voice_session_t *
voice_route_by_address(const voice_zone_t *z, const voice_addr_t *remote)
{
    uint32_t             record;
    const voice_index_t  ix = { z->by_address, z->header->index_mask, NULL };

    if (voice_index_find(z, &ix,
                         voice_zone_hash(z, remote, sizeof(voice_addr_t)),
                         voice_route_address_match, remote, &record)
        != VOICE_OK)
    {
        return NULL;
    }

    return &z->session[record];
}
