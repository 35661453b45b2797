/*
 * Copyright (C) ngx-voice contributors
 *
 * Gateway sessions: their place in the log and what they were sent, so that
 * any worker can go on with them.
 */


#include "voice_guild_internal.h"

#include <sodium.h>


/* of a session id, in hex: the slot's index, then random bits */
#define VOICE_GATEWAY_INDEX_HEX    8
#define VOICE_GATEWAY_RANDOM       12

/* voice states that end under one hold of the lock: tens of microseconds */
#define VOICE_GATEWAY_ENDS         32


static uint64_t
voice_gateway_hash(const voice_zone_t *z, uint32_t record)
{
    return voice_zone_hash(z, &z->gateway[record].user_id, sizeof(uint64_t));
}


voice_index_t
voice_gateway_index(const voice_zone_t *z)
{
    return (voice_index_t) { z->by_owner, z->header->index_mask,
                             voice_gateway_hash };
}


voice_gateway_record_t *
voice_gateway_get(const voice_zone_t *z, voice_id_t id)
{
    voice_gateway_record_t  *g;

    if (id == 0 || voice_id_index(id) >= z->header->sessions) {
        return NULL;
    }

    g = &z->gateway[voice_id_index(id)];

    if (atomic_load(&g->gen) != voice_id_gen(id)
        || atomic_load(&g->state) == VOICE_GATEWAY_FREE)
    {
        return NULL;
    }

    return g;
}


voice_id_t
voice_gateway_id(const voice_zone_t *z, const voice_gateway_record_t *g)
{
    return voice_id_make(atomic_load(&g->gen), g - z->gateway);
}


static voice_gateway_record_t *
voice_gateway_find(const voice_zone_t *z, const char *session_id)
{
    size_t                   i;
    uint32_t                 index;
    uint8_t                  byte[VOICE_GATEWAY_INDEX_HEX / 2];
    voice_gateway_record_t  *g;

    if (strlen(session_id) != VOICE_GATEWAY_SESSION_LEN
        || sodium_hex2bin(byte, sizeof(byte), session_id,
                          VOICE_GATEWAY_INDEX_HEX, NULL, NULL, NULL)
           != 0)
    {
        return NULL;
    }

    index = 0;

    for (i = 0; i < sizeof(byte); i++) {
        index = index << 8 | byte[i];
    }

    if (index >= atomic_load(&z->header->gateway_end)) {
        return NULL;
    }

    g = &z->gateway[index];

    if (atomic_load(&g->state) == VOICE_GATEWAY_FREE
        || sodium_memcmp(g->session_id, session_id,
                         VOICE_GATEWAY_SESSION_LEN)
           != 0)
    {
        return NULL;
    }

    return g;
}


/* The record, if this worker's websocket h->attach has it. */

static voice_gateway_record_t *
voice_gateway_owned(const voice_zone_t *z, const voice_gateway_session_t *h)
{
    voice_gateway_record_t  *g;

    g = voice_gateway_get(z, h->id);

    if (g == NULL || z->worker == VOICE_WORKER_NONE
        || atomic_load(&g->worker) != z->worker || g->attach != h->attach)
    {
        return NULL;
    }

    return g;
}


static void
voice_gateway_handle(const voice_zone_t *z, const voice_gateway_record_t *g,
    voice_gateway_session_t *h)
{
    memset(h, 0, sizeof(voice_gateway_session_t));

    h->id = voice_gateway_id(z, g);
    h->attach = g->attach;
    h->seq = g->seq;
    h->next = g->next;
    h->note = g->note;
    memcpy(h->session_id, g->session_id, sizeof(h->session_id));
}


static voice_gateway_record_t *
voice_gateway_alloc(voice_zone_t *z)
{
    uint32_t                 end;
    voice_gateway_record_t  *g;
    voice_zone_header_t     *h = z->header;

    if (h->gateway_free != 0) {
        g = &z->gateway[h->gateway_free - 1];
        h->gateway_free = g->next_free;

    } else {
        end = atomic_load(&h->gateway_end);
        if (end == h->sessions) {
            return NULL;
        }

        g = &z->gateway[end];
        atomic_store(&g->gen, 1);
        atomic_store(&h->gateway_end, end + 1);
    }

    g->used = 1;
    voice_session_order();

    g->next_free = 0;
    h->gateways_used++;

    return g;
}


/* As voice_session_wipe(): the generation first, `used` last. */

void
voice_gateway_wipe(voice_gateway_record_t *g)
{
    size_t    from;
    uint32_t  gen;

    if (!g->used) {
        return;
    }

    gen = atomic_load(&g->gen) + 1;
    atomic_store(&g->gen, gen != 0 ? gen : 1);

    from = offsetof(voice_gateway_record_t, state);
    sodium_memzero((uint8_t *) g + from,
                   sizeof(voice_gateway_record_t) - from);
    atomic_store(&g->worker, VOICE_WORKER_NONE);

    voice_session_order();
    g->used = 0;
}


void
voice_gateway_free_push(voice_zone_t *z, voice_gateway_record_t *g)
{
    g->next_free = z->header->gateway_free;
    z->header->gateway_free = (uint32_t) (g - z->gateway) + 1;
}


static void
voice_gateway_free(voice_zone_t *z, voice_gateway_record_t *g)
{
    voice_index_t  ix = voice_gateway_index(z);

    voice_index_remove(z, &ix, (uint32_t) (g - z->gateway));

    atomic_store(&g->state, VOICE_GATEWAY_FREE);
    voice_session_order();

    voice_gateway_wipe(g);
    voice_gateway_free_push(z, g);

    z->header->gateways_used--;
}


static void
voice_gateway_name(const voice_zone_t *z, voice_gateway_record_t *g)
{
    size_t    i;
    uint8_t   byte[VOICE_GATEWAY_SESSION_LEN / 2];
    uint32_t  index = (uint32_t) (g - z->gateway);

    for (i = 0; i < VOICE_GATEWAY_INDEX_HEX / 2; i++) {
        byte[i] = (uint8_t) (index >> (24 - 8 * i));
    }

    randombytes_buf(byte + i, VOICE_GATEWAY_RANDOM);
    sodium_bin2hex(g->session_id, sizeof(g->session_id), byte, sizeof(byte));
}


voice_err_t
voice_gateway_session_create(voice_zone_t *z, uint64_t user_id,
    const uint8_t token_hash[VOICE_TOKEN_HASH_LEN], uint64_t now,
    voice_gateway_session_t *h)
{
    voice_index_t            ix = voice_gateway_index(z);
    voice_gateway_record_t  *g;

    if (z->worker == VOICE_WORKER_NONE) {
        return VOICE_E_STATE;
    }

    voice_zone_lock(z);

    g = voice_gateway_alloc(z);

    if (g != NULL) {
        g->attach = 1;
        g->seq = 1;
        g->next = atomic_load(&z->header->log_next);
        g->user_id = user_id;
        g->created = now;
        memcpy(g->token_hash, token_hash, VOICE_TOKEN_HASH_LEN);
        voice_gateway_name(z, g);
        atomic_store(&g->worker, z->worker);

        voice_session_order();
        atomic_store(&g->state, VOICE_GATEWAY_USED);
        z->header->worker[z->worker].gateways++;
        voice_index_add(z, &ix, (uint32_t) (g - z->gateway));

        voice_gateway_handle(z, g, h);
    }

    voice_zone_unlock(z);

    return g != NULL ? VOICE_OK : VOICE_E_FULL;
}


/* Whether all is there still that a client behind dispatch seq has missed. */

static voice_err_t
voice_gateway_missed(const voice_zone_t *z, const voice_gateway_record_t *g,
    uint64_t seq, uint64_t replay[VOICE_GATEWAY_DISPATCHES], size_t *n)
{
    size_t    i;
    uint64_t  missed, what;

    if (seq >= g->seq) {
        return VOICE_E_RANGE;
    }

    missed = g->seq - 1 - seq;

    if (missed > VOICE_GATEWAY_DISPATCHES
        || (g->next < atomic_load(&z->header->log_next)
            && voice_log_get(z, g->next) == NULL))
    {
        return VOICE_E_EXPIRED;
    }

    for (i = 0; i < missed; i++) {
        what = g->dispatch[(seq + 1 + i) % VOICE_GATEWAY_RING];

        if (voice_gateway_is_event(what) && voice_log_get(z, what) == NULL) {
            return VOICE_E_EXPIRED;
        }
    }

    for (i = 0; i < missed; i++) {
        replay[i] = g->dispatch[(seq + 1 + i) % VOICE_GATEWAY_RING];
    }

    *n = (size_t) missed;

    return VOICE_OK;
}


/* Its websocket loses the session; if it is another worker's, that is told. */

static void
voice_gateway_take(voice_zone_t *z, const voice_gateway_record_t *g)
{
    uint16_t  worker;

    worker = atomic_load(&g->worker);

    if (worker == VOICE_WORKER_NONE) {
        return;
    }

    z->header->worker[worker].gateways--;

    if (worker != z->worker) {
        atomic_fetch_add(&z->header->worker[worker].taken, 1);
        z->wake[worker / 64] |= 1ull << (worker % 64);
    }
}


voice_err_t
voice_gateway_session_resume(voice_zone_t *z, const char *session_id,
    const uint8_t token_hash[VOICE_TOKEN_HASH_LEN], uint64_t seq,
    uint64_t now, voice_gateway_session_t *h,
    uint64_t replay[VOICE_GATEWAY_DISPATCHES], size_t *n)
{
    uint64_t                 deadline;
    voice_err_t              err;
    voice_gateway_record_t  *g;

    if (z->worker == VOICE_WORKER_NONE) {
        return VOICE_E_STATE;
    }

    voice_zone_lock(z);

    g = voice_gateway_find(z, session_id);
    deadline = (g != NULL) ? atomic_load(&g->deadline) : 0;

    if (g == NULL || (deadline != 0 && deadline <= now)) {
        err = VOICE_E_NOT_FOUND;

    } else if (sodium_memcmp(g->token_hash, token_hash, VOICE_TOKEN_HASH_LEN)
               != 0)
    {
        err = VOICE_E_AUTH;

    } else {
        err = voice_gateway_missed(z, g, seq, replay, n);
    }

    if (err == VOICE_OK) {
        voice_gateway_take(z, g);
        g->attach = (g->attach != UINT32_MAX) ? g->attach + 1 : 1;

        /* with a worker again before without a deadline, as voice sessions */

        atomic_store(&g->worker, z->worker);
        atomic_store(&g->deadline, 0);
        z->header->worker[z->worker].gateways++;

        voice_gateway_handle(z, g, h);
        h->seq = seq + 1;
    }

    voice_zone_unlock(z);

    return err;
}


voice_err_t
voice_gateway_session_dispatched(voice_zone_t *z, voice_gateway_session_t *h,
    uint64_t what, uint64_t *seq)
{
    voice_err_t              err;
    voice_gateway_record_t  *g;

    voice_zone_lock(z);

    g = voice_gateway_owned(z, h);

    if (g == NULL) {
        err = VOICE_E_STALE;

    } else if (voice_gateway_is_event(what)
               && (what == 0 || what >= atomic_load(&z->header->log_next)))
    {
        err = VOICE_E_RANGE;

    } else {
        err = VOICE_OK;
        *seq = g->seq;

        g->dispatch[g->seq % VOICE_GATEWAY_RING] = what;
        voice_session_order();
        g->seq++;

        /* if this process dies here, the repair moves on */

        voice_session_order();

        if (voice_gateway_is_event(what) && g->next <= what) {
            g->next = what + 1;
        }

        h->seq = g->seq;
        h->next = (h->next > g->next) ? h->next : g->next;
    }

    voice_zone_unlock(z);

    return err;
}


voice_err_t
voice_gateway_session_note(voice_zone_t *z, voice_gateway_session_t *h,
    uint64_t note)
{
    voice_gateway_record_t  *g;

    voice_zone_lock(z);

    g = voice_gateway_owned(z, h);

    if (g != NULL) {
        g->note = note;
        h->note = note;
    }

    voice_zone_unlock(z);

    return g != NULL ? VOICE_OK : VOICE_E_STALE;
}


voice_err_t
voice_gateway_session_seen(voice_zone_t *z, voice_gateway_session_t *h,
    uint64_t next)
{
    voice_err_t              err;
    voice_gateway_record_t  *g;

    voice_zone_lock(z);

    g = voice_gateway_owned(z, h);

    if (g == NULL) {
        err = VOICE_E_STALE;

    } else if (next > atomic_load(&z->header->log_next)) {
        err = VOICE_E_RANGE;

    } else {
        err = VOICE_OK;
        g->next = (next > g->next) ? next : g->next;
        h->next = g->next;
    }

    voice_zone_unlock(z);

    return err;
}


static void
voice_gateway_orphan(voice_zone_t *z, voice_gateway_record_t *g,
    uint64_t deadline)
{
    z->header->worker[atomic_load(&g->worker)].gateways--;

    atomic_store(&g->deadline, deadline != 0 ? deadline : 1);
    atomic_store(&g->worker, VOICE_WORKER_NONE);

    voice_zone_due(z, deadline);
}


void
voice_gateway_session_detach(voice_zone_t *z,
    const voice_gateway_session_t *h, uint64_t now, uint64_t window)
{
    voice_gateway_record_t  *g;

    voice_zone_lock(z);

    g = voice_gateway_owned(z, h);

    if (g != NULL) {

        if (h->next > g->next && h->next <= atomic_load(&z->header->log_next))
        {
            g->next = h->next;
        }

        voice_gateway_orphan(z, g, now + window);
    }

    voice_zone_unlock(z);
}


void
voice_gateway_worker_gone(voice_zone_t *z, uint16_t slot, uint64_t deadline)
{
    uint32_t                 i, n;
    voice_gateway_record_t  *g;

    n = atomic_load(&z->header->gateway_end);

    for (i = 0; i < n; i++) {
        g = &z->gateway[i];

        if (atomic_load(&g->worker) == slot
            && atomic_load(&g->state) != VOICE_GATEWAY_FREE)
        {
            voice_gateway_orphan(z, g, deadline);
        }
    }
}


/*
 * Ends a part of a session, so that the lock is never held for long; false:
 * not all yet.  From the first time on nobody can come back to it, and dies
 * this process in between, the rest follows when it expires.
 */

static bool
voice_gateway_end(voice_zone_t *z, voice_gateway_record_t *g)
{
    unsigned  n;

    if (atomic_load(&g->worker) != VOICE_WORKER_NONE) {
        voice_gateway_take(z, g);

        atomic_store(&g->deadline, 1);
        atomic_store(&g->worker, VOICE_WORKER_NONE);
    }

    for (n = 0; g->states != 0; n++) {

        if (n == VOICE_GATEWAY_ENDS) {
            return false;
        }

        voice_state_end(z, &z->state[g->states - 1]);
    }

    voice_gateway_free(z, g);

    return true;
}


static void
voice_gateway_end_rest(voice_zone_t *z, voice_id_t id)
{
    bool                     all;
    voice_gateway_record_t  *g;

    do {
        voice_zone_lock(z);

        g = voice_gateway_get(z, id);
        all = (g == NULL || voice_gateway_end(z, g));

        voice_zone_unlock(z);

    } while (!all);
}


void
voice_gateway_session_destroy(voice_zone_t *z,
    const voice_gateway_session_t *h)
{
    bool                     all;
    voice_gateway_record_t  *g;

    voice_zone_lock(z);

    all = true;
    g = voice_gateway_get(z, h->id);

    if (g != NULL && (h->attach == 0 || g->attach == h->attach)) {
        all = voice_gateway_end(z, g);
    }

    voice_zone_unlock(z);

    if (!all) {
        voice_gateway_end_rest(z, h->id);
    }
}


/* Those of one user. */
typedef struct {
    uint64_t                  user_id;
    uint32_t                  count;
    voice_gateway_record_t   *oldest;      /* without a websocket, or NULL */
} voice_gateway_owner_t;


/* Never the one that is looked for: all of them are. */

static bool
voice_gateway_owner(const voice_zone_t *z, uint32_t record, const void *key)
{
    voice_gateway_record_t        *g = &z->gateway[record];
    voice_gateway_owner_t *const  *owner = key;

    if (g->user_id != (*owner)->user_id) {
        return false;
    }

    (*owner)->count++;

    if (g->deadline != 0 && ((*owner)->oldest == NULL
                             || g->deadline < (*owner)->oldest->deadline))
    {
        (*owner)->oldest = g;
    }

    return false;
}


voice_err_t
voice_gateway_session_limit(voice_zone_t *z, uint64_t user_id, uint32_t max)
{
    bool                    all;
    uint32_t                record;
    voice_id_t              id;
    voice_err_t             err;
    voice_index_t           ix = voice_gateway_index(z);
    voice_gateway_owner_t   owner = { user_id, 0, NULL }, *key = &owner;

    voice_zone_lock(z);

    (void) voice_index_find(z, &ix,
                            voice_zone_hash(z, &user_id, sizeof(user_id)),
                            voice_gateway_owner, &key, &record);
    all = true;
    id = 0;
    err = (owner.count < max || owner.oldest != NULL) ? VOICE_OK
                                                      : VOICE_E_FULL;

    if (owner.count >= max && owner.oldest != NULL) {
        id = voice_gateway_id(z, owner.oldest);
        all = voice_gateway_end(z, owner.oldest);
    }

    voice_zone_unlock(z);

    if (!all) {
        voice_gateway_end_rest(z, id);
    }

    return err;
}


unsigned
voice_gateway_session_expire(voice_zone_t *z, uint64_t now)
{
    bool                     all;
    unsigned                 n;
    uint32_t                 i, end;
    uint64_t                 deadline, next;
    voice_id_t               id;
    voice_gateway_record_t  *g;

    n = 0;
    next = UINT64_MAX;
    end = atomic_load(&z->header->gateway_end);

    for (i = 0; i < end; i++) {
        g = &z->gateway[i];
        deadline = atomic_load(&g->deadline);

        if (deadline == 0 || deadline > now) {
            next = deadline != 0 && deadline < next ? deadline : next;
            continue;
        }

        voice_zone_lock(z);

        all = true;
        id = voice_gateway_id(z, g);

        if (g->deadline != 0 && g->deadline <= now
            && atomic_load(&g->worker) == VOICE_WORKER_NONE
            && atomic_load(&g->state) != VOICE_GATEWAY_FREE)
        {
            all = voice_gateway_end(z, g);
            n++;
        }

        voice_zone_unlock(z);

        if (!all) {
            voice_gateway_end_rest(z, id);
        }
    }

    if (next != UINT64_MAX) {
        voice_zone_lock(z);
        voice_zone_due(z, next);
        voice_zone_unlock(z);
    }

    return n;
}
