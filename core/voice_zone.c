/*
 * Copyright (C) ngx-voice contributors
 */


#include "voice_guild_internal.h"

#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <time.h>


#define VOICE_ZONE_ALIGN   4096

#define voice_zone_align(n)                                                   \
    (((n) + VOICE_ZONE_ALIGN - 1) & ~(size_t) (VOICE_ZONE_ALIGN - 1))

_Static_assert(sizeof(voice_event_t) == 32, "an event has 32 bytes");
_Static_assert(offsetof(voice_room_t, speakers) == 64
               && sizeof(voice_room_t) % 64 == 0,
               "a room without its speakers is a cache line");
_Static_assert(sizeof(voice_session_t) % 64 == 0, "cache lines");
_Static_assert(sizeof(voice_session_t) + sizeof(voice_state_t)
               + sizeof(voice_gateway_record_t) < 8192,
               "a participant has less than 8 KiB");


typedef struct {
    size_t     session;
    size_t     room;
    size_t     by_user;
    size_t     by_channel;
    size_t     by_address;
    size_t     state;
    size_t     guild;
    size_t     gateway;
    size_t     by_member;
    size_t     by_guild;
    size_t     by_owner;
    size_t     size;
    uint32_t   buckets;
} voice_zone_map_t;


static void
voice_zone_map(uint32_t sessions, voice_zone_map_t *map)
{
    size_t    n, index;
    uint32_t  buckets;

    /* at most half full */

    for (buckets = 64; buckets < 2 * sessions; buckets *= 2) { /* void */ }

    index = voice_zone_align(buckets * sizeof(uint32_t));

    n = voice_zone_align(sizeof(voice_zone_header_t));
    map->session = n;
    n += voice_zone_align((size_t) sessions * sizeof(voice_session_t));
    map->room = n;
    n += voice_zone_align((size_t) sessions * sizeof(voice_room_t));
    map->by_user = n;
    n += index;
    map->by_channel = n;
    n += index;
    map->by_address = n;
    n += index;
    map->by_member = n;
    n += index;
    map->by_guild = n;
    n += index;
    map->by_owner = n;
    n += index;
    map->state = n;
    n += voice_zone_align((size_t) sessions * sizeof(voice_state_t));
    map->guild = n;
    n += voice_zone_align((size_t) sessions * sizeof(voice_guild_t));
    map->gateway = n;
    n += voice_zone_align((size_t) sessions * sizeof(voice_gateway_record_t));

    map->size = n;
    map->buckets = buckets;
}


size_t
voice_zone_size(uint32_t sessions)
{
    voice_zone_map_t  map;

    voice_zone_map(sessions, &map);

    return map.size;
}


size_t
voice_zone_session_size(void)
{
    /* six indexes, filled by a quarter at worst */

    return sizeof(voice_session_t) + sizeof(voice_room_t)
           + sizeof(voice_state_t) + sizeof(voice_guild_t)
           + sizeof(voice_gateway_record_t) + 6 * 4 * sizeof(uint32_t);
}


static uint32_t
voice_zone_record_size(void)
{
    return (uint32_t) (voice_zone_session_size()
                       + sizeof(voice_zone_header_t));
}


static void
voice_zone_point(voice_zone_t *z, void *mem, uint32_t sessions)
{
    uint8_t           *p = mem;
    voice_zone_map_t   map;

    voice_zone_map(sessions, &map);

    memset(z, 0, sizeof(voice_zone_t));

    z->header = mem;
    z->session = (voice_session_t *) (p + map.session);
    z->room = (voice_room_t *) (p + map.room);
    z->by_user = (_Atomic uint32_t *) (p + map.by_user);
    z->by_channel = (_Atomic uint32_t *) (p + map.by_channel);
    z->by_address = (_Atomic uint32_t *) (p + map.by_address);
    z->state = (voice_state_t *) (p + map.state);
    z->guild = (voice_guild_t *) (p + map.guild);
    z->gateway = (voice_gateway_record_t *) (p + map.gateway);
    z->by_member = (_Atomic uint32_t *) (p + map.by_member);
    z->by_guild = (_Atomic uint32_t *) (p + map.by_guild);
    z->by_owner = (_Atomic uint32_t *) (p + map.by_owner);
    z->worker = VOICE_WORKER_NONE;
}


static voice_err_t
voice_zone_mutex_init(pthread_mutex_t *mutex)
{
    int                  rc;
    pthread_mutexattr_t  attr;

    if (pthread_mutexattr_init(&attr) != 0) {
        return VOICE_E_SYS;
    }

    rc = pthread_mutexattr_setpshared(&attr, PTHREAD_PROCESS_SHARED);

    if (rc == 0) {
        rc = pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST);
    }

    if (rc == 0) {
        rc = pthread_mutex_init(mutex, &attr);
    }

    pthread_mutexattr_destroy(&attr);

    return rc == 0 ? VOICE_OK : VOICE_E_SYS;
}


voice_err_t
voice_zone_format(voice_zone_t *z, void *mem, size_t size, uint32_t sessions,
    const char *node)
{
    voice_err_t           err;
    voice_zone_map_t      map;
    voice_zone_header_t  *h = mem;

    if (sessions < VOICE_ZONE_SESSIONS_MIN
        || sessions > VOICE_ZONE_SESSIONS_MAX)
    {
        return VOICE_E_RANGE;
    }

    voice_zone_map(sessions, &map);

    if (size != map.size) {
        return VOICE_E_LENGTH;
    }

    err = voice_zone_mutex_init(&h->mutex);
    if (err != VOICE_OK) {
        return err;
    }

    h->layout = VOICE_ZONE_LAYOUT;
    h->record_size = voice_zone_record_size();
    h->size = map.size;
    h->sessions = sessions;
    h->index_mask = map.buckets - 1;

    atomic_store(&h->log_next, 1);
    h->log_applied = 1;

    randombytes_buf(h->boot_id, sizeof(h->boot_id));
    randombytes_buf(h->salt, sizeof(h->salt));
    snprintf(h->node, sizeof(h->node), "%s", node);

    /* the last store: a file whose maker died before has no magic */

    atomic_thread_fence(memory_order_release);
    h->magic = VOICE_ZONE_MAGIC;

    voice_zone_point(z, mem, sessions);

    return VOICE_OK;
}


voice_err_t
voice_zone_attach(voice_zone_t *z, void *mem, size_t size, uint32_t sessions)
{
    voice_zone_map_t      map;
    voice_zone_header_t  *h = mem;

    if (size < sizeof(voice_zone_header_t)) {
        return VOICE_E_LENGTH;
    }

    if (h->magic != VOICE_ZONE_MAGIC || h->layout != VOICE_ZONE_LAYOUT
        || h->record_size != voice_zone_record_size())
    {
        return VOICE_E_FORMAT;
    }

    if (h->sessions != sessions) {
        return VOICE_E_RANGE;
    }

    voice_zone_map(sessions, &map);

    if (size != map.size || h->size != map.size
        || h->index_mask != map.buckets - 1)
    {
        return VOICE_E_LENGTH;
    }

    voice_zone_point(z, mem, sessions);

    return VOICE_OK;
}


static void
voice_zone_recover(voice_zone_t *z)
{
    voice_zone_repair(z);
    pthread_mutex_consistent(&z->header->mutex);
}


void
voice_zone_lock(voice_zone_t *z)
{
    if (pthread_mutex_lock(&z->header->mutex) == EOWNERDEAD) {
        voice_zone_recover(z);
    }
}


voice_err_t
voice_zone_lock_timed(voice_zone_t *z, unsigned ms)
{
    int              rc;
    struct timespec  ts;

    rc = pthread_mutex_trylock(&z->header->mutex);

    if (rc == EBUSY) {
        clock_gettime(CLOCK_REALTIME, &ts);

        ts.tv_sec += ms / 1000;
        ts.tv_nsec += (long) (ms % 1000) * 1000000;

        if (ts.tv_nsec >= 1000000000) {
            ts.tv_nsec -= 1000000000;
            ts.tv_sec++;
        }

        rc = pthread_mutex_timedlock(&z->header->mutex, &ts);
    }

    if (rc == EOWNERDEAD) {
        voice_zone_recover(z);
        rc = 0;
    }

    return rc == 0 ? VOICE_OK : VOICE_AGAIN;
}


void
voice_zone_unlock(voice_zone_t *z)
{
    pthread_mutex_unlock(&z->header->mutex);
}


void
voice_worker_register(voice_zone_t *z, uint16_t slot, uint32_t pid,
    const char *name, uint64_t now, uint64_t window)
{
    voice_worker_t  *w = &z->header->worker[slot];

    voice_worker_gone(z, slot, now, window);

    voice_zone_lock(z);

    snprintf(w->name, sizeof(w->name), "%s", name);
    w->started = now;
    atomic_store(&w->pid, pid);

    atomic_fetch_add(&z->header->workers, 1);
    voice_zone_wake_all(z);

    voice_zone_unlock(z);

    z->worker = slot;
}


void
voice_worker_gone(voice_zone_t *z, uint16_t slot, uint64_t now,
    uint64_t window)
{
    uint32_t          i, n;
    voice_worker_t   *w = &z->header->worker[slot];
    voice_session_t  *s;

    voice_zone_lock(z);

    n = atomic_load(&z->header->session_end);

    for (i = 0; i < n; i++) {
        s = &z->session[i];

        if (s->worker == slot
            && atomic_load(&s->state) != VOICE_SESSION_FREE)
        {
            voice_session_orphan(z, s, now + window);
        }
    }

    voice_gateway_worker_gone(z, slot, now + window);

    /* last: whoever dies before leaves a dead pid, which is found again */

    atomic_store(&w->listeners, 0);
    atomic_store(&w->hearers, 0);
    w->name[0] = '\0';
    atomic_fetch_and(&z->header->keepers[slot / 64], ~(1ull << (slot % 64)));
    atomic_store(&w->pid, 0);

    /* it may have been the one that kept house, and in the middle of it */

    atomic_store(&z->header->due, 1);
    atomic_fetch_add(&z->header->workers, 1);
    voice_zone_wake_all(z);

    voice_zone_unlock(z);
}


/* The slot of the worker that keeps house, or VOICE_WORKERS_MAX. */

static uint32_t
voice_zone_lowest(const voice_zone_t *z)
{
    uint32_t  i;

    for (i = 0; i < VOICE_WORKERS_MAX; i++) {
        if (atomic_load(&z->header->worker[i].pid) != 0) {
            break;
        }
    }

    return i;
}


bool
voice_zone_housekeeper(const voice_zone_t *z)
{
    return voice_zone_lowest(z) == z->worker;
}


void
voice_zone_due(voice_zone_t *z, uint64_t at)
{
    uint32_t  i;
    uint64_t  due;

    due = atomic_load(&z->header->due);

    if (due != 0 && due <= at) {
        return;
    }

    atomic_store(&z->header->due, at != 0 ? at : 1);

    i = voice_zone_lowest(z);

    if (i < VOICE_WORKERS_MAX) {
        z->wake[i / 64] |= 1ull << (i % 64);
    }
}


void
voice_zone_due_take(voice_zone_t *z)
{
    atomic_store(&z->header->due, 0);
}


void
voice_zone_keys_hold(voice_zone_t *z)
{
    atomic_fetch_or(&z->header->keepers[z->worker / 64],
                    1ull << (z->worker % 64));
}


bool
voice_zone_keys_held(const voice_zone_t *z)
{
    return atomic_load(&z->header->keepers[z->worker / 64])
           >> (z->worker % 64) & 1;
}


void
voice_zone_keys_over(voice_zone_t *z)
{
    size_t  i;

    for (i = 0; i < VOICE_WORKERS_MAX / 64; i++) {
        z->wake[i] |= atomic_exchange(&z->header->keepers[i], 0);
    }
}


void
voice_zone_wake_all(voice_zone_t *z)
{
    uint32_t  i;

    for (i = 0; i < VOICE_WORKERS_MAX; i++) {
        if (atomic_load(&z->header->worker[i].pid) != 0) {
            z->wake[i / 64] |= 1ull << (i % 64);
        }
    }
}


voice_metrics_t *
voice_zone_metrics(voice_zone_t *z)
{
    return &z->header->worker[z->worker != VOICE_WORKER_NONE
                              ? z->worker : 0].metrics;
}


void
voice_zone_metrics_sum(const voice_zone_t *z,
    uint64_t sum[VOICE_METRICS_COUNT])
{
    size_t                  i, k;
    const voice_metrics_t  *m;

    memset(sum, 0, VOICE_METRICS_COUNT * sizeof(uint64_t));

    for (i = 0; i < VOICE_WORKERS_MAX; i++) {
        m = &z->header->worker[i].metrics;

        for (k = 0; k < VOICE_METRICS_COUNT; k++) {
            sum[k] += atomic_load_explicit(&m->value[k],
                                           memory_order_relaxed);
        }
    }
}


void
voice_zone_endpoints_set(voice_zone_t *z, const voice_endpoint_t *ep,
    size_t n)
{
    voice_zone_header_t  *h = z->header;

    voice_zone_lock(z);

    h->endpoints = (uint32_t) (n < VOICE_ENDPOINTS_MAX
                               ? n : VOICE_ENDPOINTS_MAX);
    memcpy(h->endpoint, ep, h->endpoints * sizeof(voice_endpoint_t));

    voice_zone_unlock(z);
}


voice_err_t
voice_zone_endpoint(voice_zone_t *z, uint8_t family, uint32_t session,
    voice_endpoint_t *ep)
{
    uint32_t              i, n, match[VOICE_ENDPOINTS_MAX];
    voice_zone_header_t  *h = z->header;

    voice_zone_lock(z);

    n = 0;

    for (i = 0; i < h->endpoints; i++) {
        if (h->endpoint[i].family == family) {
            match[n++] = i;
        }
    }

    if (n == 0) {
        for ( /* void */ ; n < h->endpoints; n++) {
            match[n] = n;
        }
    }

    if (n != 0) {
        *ep = h->endpoint[match[session % n]];
    }

    voice_zone_unlock(z);

    return n != 0 ? VOICE_OK : VOICE_E_NOT_FOUND;
}


voice_err_t
voice_zone_cut_take(voice_zone_t *z, voice_cut_t *cut)
{
    bool                  found;
    voice_zone_header_t  *h = z->header;

    voice_zone_lock(z);

    found = (h->cut_tail != h->cut_head);

    if (found) {
        *cut = h->cut[h->cut_tail % VOICE_CUTS_MAX];
        h->cut_tail++;
    }

    voice_zone_unlock(z);

    return found ? VOICE_OK : VOICE_E_NOT_FOUND;
}


voice_rate_t *
voice_zone_rate(const voice_zone_t *z, const void *who, size_t len)
{
    return &z->header->rate[voice_zone_hash(z, who, len) & (VOICE_RATES - 1)];
}


uint64_t
voice_zone_hash(const voice_zone_t *z, const void *data, size_t len)
{
    uint64_t  hash;

    _Static_assert(crypto_shorthash_KEYBYTES == sizeof(z->header->salt),
                   "the salt is a SipHash key");

    crypto_shorthash((unsigned char *) &hash, data, len, z->header->salt);

    return hash;
}
