/*
 * Copyright (C) ngx-voice contributors
 */


#include "voice_store_internal.h"

#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>


#define STORE_PAGE   4096


static size_t
store_head_size(void)
{
    return (sizeof(voice_store_header_t) + STORE_PAGE - 1)
           & ~(size_t) (STORE_PAGE - 1);
}


static uint32_t
store_chunks(uint64_t text)
{
    size_t  piece = sizeof(((voice_store_chunk_t *) 0)->data);

    return (uint32_t) ((text + piece - 1) / piece);
}


size_t
voice_store_size(uint64_t text)
{
    return store_head_size()
           + (size_t) store_chunks(text) * sizeof(voice_store_chunk_t);
}


static void
store_view(voice_store_t *st, void *mem)
{
    st->header = mem;
    st->chunk = (voice_store_chunk_t *) ((char *) mem + store_head_size());
}


voice_err_t
voice_store_format(voice_store_t *st, void *mem, uint64_t text)
{
    int                    rc;
    pthread_mutexattr_t    attr;
    voice_store_header_t  *h = mem;

    if (pthread_mutexattr_init(&attr) != 0) {
        return VOICE_E_SYS;
    }

    pthread_mutexattr_setpshared(&attr, PTHREAD_PROCESS_SHARED);
    pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST);

    rc = pthread_mutex_init(&h->mutex, &attr);
    pthread_mutexattr_destroy(&attr);

    if (rc != 0) {
        return VOICE_E_SYS;
    }

    h->layout = VOICE_STORE_LAYOUT;
    h->chunks = store_chunks(text);
    h->size = voice_store_size(text);
    h->magic = VOICE_STORE_MAGIC;

    store_view(st, mem);

    return VOICE_OK;
}


voice_err_t
voice_store_attach(voice_store_t *st, void *mem, size_t size)
{
    voice_store_header_t  *h = mem;

    if (size < store_head_size() || h->magic != VOICE_STORE_MAGIC
        || h->layout != VOICE_STORE_LAYOUT)
    {
        return VOICE_E_FORMAT;
    }

    if (h->size != size
        || store_head_size() + h->chunks * sizeof(voice_store_chunk_t) != size)
    {
        return VOICE_E_LENGTH;
    }

    store_view(st, mem);

    return VOICE_OK;
}


/* Order of stores as another process sees them after this one's death. */

static void
store_order(void)
{
    atomic_signal_fence(memory_order_seq_cst);
    atomic_thread_fence(memory_order_release);
}


voice_store_value_t *
voice_store_value(voice_store_guild_t *g)
{
    return &g->value[atomic_load(&g->now) & 1];
}


static void
store_chunk_free(voice_store_t *st, uint32_t head)
{
    uint32_t               next;
    voice_store_header_t  *h = st->header;

    for ( /* void */ ; head != 0; head = next) {
        next = st->chunk[head - 1].next;
        st->chunk[head - 1].next = h->chunk_free;
        h->chunk_free = head;
        h->chunks_used--;
    }
}


static uint64_t
store_hash(const void *data, size_t len)
{
    uint8_t   hash[crypto_shorthash_BYTES];
    uint64_t  n;

    static const uint8_t  key[crypto_shorthash_KEYBYTES];

    crypto_shorthash(hash, data, len, key);
    memcpy(&n, hash, sizeof(n));

    return n;
}


uint64_t
voice_store_digest_text(const char *text, size_t len)
{
    return (text != NULL) ? store_hash(text, len) : 0;
}


/* A guild's part of the digest of all; 0: it was never changed. */

static uint64_t
store_part(voice_store_guild_t *g)
{
    voice_store_value_t    *v = voice_store_value(g);
    voice_store_version_t   version;

    memset(&version, 0, sizeof(version));

    version.id = g->id;
    version.revision = v->revision;
    version.digest = v->digest;

    return v->change != 0 ? store_hash(&version, sizeof(version)) : 0;
}


/* What no entry leads to is free. */

static void
store_repair(voice_store_t *st)
{
    uint32_t               c, i;
    voice_store_value_t   *v;
    voice_store_header_t  *h = st->header;

    for (c = 0; c < h->chunk_end; c++) {
        st->chunk[c].mark = 0;
    }

    h->digest = 0;

    for (i = 0; i < h->guilds; i++) {
        v = voice_store_value(&h->guild[i]);
        h->digest += store_part(&h->guild[i]);

        if (v->change > atomic_load(&h->change)) {
            atomic_store(&h->change, v->change);
        }

        for (c = (v->state == VOICE_STORE_TEXT) ? v->head : 0;
             c != 0;
             c = st->chunk[c - 1].next)
        {
            st->chunk[c - 1].mark = 1;
        }
    }

    h->chunk_free = 0;
    h->chunks_used = h->chunk_end;

    for (c = h->chunk_end; c > 0; c--) {
        if (st->chunk[c - 1].mark == 0) {
            st->chunk[c - 1].next = 0;
            store_chunk_free(st, c);
        }
    }
}


void
voice_store_lock(voice_store_t *st)
{
    if (pthread_mutex_lock(&st->header->mutex) == EOWNERDEAD) {
        store_repair(st);
        pthread_mutex_consistent(&st->header->mutex);
    }
}


void
voice_store_unlock(voice_store_t *st)
{
    pthread_mutex_unlock(&st->header->mutex);
}


static uint32_t
store_chunk_take(voice_store_t *st)
{
    uint32_t               c;
    voice_store_header_t  *h = st->header;

    if (h->chunk_free != 0) {
        c = h->chunk_free;
        h->chunk_free = st->chunk[c - 1].next;

    } else if (h->chunk_end < h->chunks) {
        c = ++h->chunk_end;

    } else {
        return 0;
    }

    st->chunk[c - 1].next = 0;
    h->chunks_used++;

    return c;
}


/* A chain with the text; 0: no room. */

static uint32_t
store_write(voice_store_t *st, const char *text, size_t len)
{
    size_t     n;
    uint32_t   c, head, *link;

    head = 0;
    link = &head;

    while (len != 0) {
        c = store_chunk_take(st);

        if (c == 0) {
            store_chunk_free(st, head);
            return 0;
        }

        n = sizeof(st->chunk[0].data);
        n = len < n ? len : n;
        memcpy(st->chunk[c - 1].data, text, n);

        *link = c;
        link = &st->chunk[c - 1].next;

        text += n;
        len -= n;
    }

    return head;
}


static void
store_read(const voice_store_t *st, const voice_store_value_t *v, char *text)
{
    size_t    n, len;
    uint32_t  c;

    len = v->len;

    for (c = v->head; c != 0 && len != 0; c = st->chunk[c - 1].next) {
        n = sizeof(st->chunk[0].data);
        n = len < n ? len : n;
        memcpy(text, st->chunk[c - 1].data, n);

        text += n;
        len -= n;
    }

    *text = '\0';
}


voice_store_guild_t *
voice_store_find(voice_store_t *st, uint64_t guild_id)
{
    uint32_t               i;
    voice_store_header_t  *h = st->header;

    for (i = 0; i < h->guilds; i++) {
        if (h->guild[i].id == guild_id) {
            return &h->guild[i];
        }
    }

    return NULL;
}


/* An entry that was never used, whose id is written before it counts. */

static voice_store_guild_t *
store_add(voice_store_t *st, uint64_t guild_id)
{
    voice_store_guild_t   *g;
    voice_store_header_t  *h = st->header;

    if (h->guilds == VOICE_STORE_GUILDS) {
        return NULL;
    }

    g = &h->guild[h->guilds];
    memset(g, 0, sizeof(voice_store_guild_t));
    g->id = guild_id;

    store_order();
    h->guilds++;

    return g;
}


voice_err_t
voice_store_put_locked(voice_store_t *st, uint64_t guild_id, const char *text,
    size_t len, uint64_t digest, uint64_t revision, uint64_t *change)
{
    uint32_t               head;
    voice_store_guild_t   *g;
    voice_store_value_t   *v, *old;
    voice_store_header_t  *h = st->header;

    head = (text != NULL) ? store_write(st, text, len) : 0;

    if (text != NULL && head == 0) {
        return VOICE_E_FULL;
    }

    g = voice_store_find(st, guild_id);

    if (g == NULL) {
        g = store_add(st, guild_id);

        if (g == NULL) {
            store_chunk_free(st, head);
            return VOICE_E_FULL;
        }
    }

    h->digest -= store_part(g);

    old = voice_store_value(g);
    v = &g->value[(atomic_load(&g->now) & 1) ^ 1];

    v->change = atomic_load(&h->change) + 1;
    v->revision = (revision != 0) ? revision : old->revision + 1;
    v->digest = digest;
    v->head = head;
    v->len = (uint32_t) len;
    v->state = (text != NULL) ? VOICE_STORE_TEXT : VOICE_STORE_DELETED;
    v->foreign = (revision != 0);

    store_order();
    atomic_fetch_add(&g->now, 1);
    store_order();

    *change = v->change;
    h->digest += store_part(g);
    atomic_store(&h->change, v->change);

    if (old->state == VOICE_STORE_TEXT) {
        store_chunk_free(st, old->head);
    }

    return VOICE_OK;
}


bool
voice_store_valid(uint64_t guild_id, const char *text, size_t len)
{
    return guild_id != 0 && len <= UINT32_MAX && (text == NULL || len != 0);
}


voice_err_t
voice_store_put(voice_store_t *st, uint64_t guild_id, const char *text,
    size_t len, uint64_t expected, uint64_t *change)
{
    uint64_t              digest;
    voice_err_t           err;
    voice_store_guild_t  *g;

    if (!voice_store_valid(guild_id, text, len)) {
        return VOICE_E_RANGE;
    }

    digest = voice_store_digest_text(text, len);

    voice_store_lock(st);

    g = voice_store_find(st, guild_id);
    err = VOICE_E_STALE;

    if (expected == (g != NULL ? voice_store_value(g)->change : 0)) {
        err = voice_store_put_locked(st, guild_id, text, len, digest, 0,
                                     change);
    }

    voice_store_unlock(st);

    return err;
}


uint64_t
voice_store_change(const voice_store_t *st)
{
    return atomic_load(&st->header->change);
}


/* NULL: none; under the lock. */

static voice_err_t
store_entry(voice_store_t *st, voice_store_guild_t *g,
    const voice_alloc_t *alloc, voice_store_entry_t *entry)
{
    voice_store_value_t  *v;

    memset(entry, 0, sizeof(voice_store_entry_t));

    if (g == NULL) {
        return VOICE_E_NOT_FOUND;
    }

    v = voice_store_value(g);

    entry->id = g->id;
    entry->change = v->change;
    entry->revision = v->revision;
    entry->state = (voice_store_state_t) v->state;

    if (v->state == VOICE_STORE_TEXT) {
        entry->len = v->len;
        entry->text = voice_alloc(alloc, entry->len + 1);

        if (entry->text == NULL) {
            return VOICE_E_NOMEM;
        }

        store_read(st, v, entry->text);
    }

    return VOICE_OK;
}


voice_err_t
voice_store_next(voice_store_t *st, uint64_t since, const voice_alloc_t *alloc,
    voice_store_entry_t *entry)
{
    uint32_t               i;
    uint64_t               change;
    voice_err_t            err;
    voice_store_guild_t   *best;
    voice_store_header_t  *h = st->header;

    voice_store_lock(st);

    for (i = 0, best = NULL; i < h->guilds; i++) {
        change = voice_store_value(&h->guild[i])->change;

        if (change > since
            && (best == NULL || change < voice_store_value(best)->change))
        {
            best = &h->guild[i];
        }
    }

    err = store_entry(st, best, alloc, entry);

    voice_store_unlock(st);

    return err;
}


voice_err_t
voice_store_get(voice_store_t *st, uint64_t guild_id,
    const voice_alloc_t *alloc, voice_store_entry_t *entry)
{
    voice_err_t           err;
    voice_store_guild_t  *g;

    voice_store_lock(st);

    g = voice_store_find(st, guild_id);

    if (g != NULL && voice_store_value(g)->change == 0) {
        g = NULL;
    }

    err = store_entry(st, g, alloc, entry);

    voice_store_unlock(st);

    return err;
}


/* The places of a user's name. */

static voice_store_name_t *
store_names(voice_store_t *st, uint64_t user_id)
{
    uint64_t  n;

    /* ids count up with time: their bits are mixed */
    n = user_id * 0x9E3779B97F4A7C15ull;
    n = (n >> 32) & (VOICE_STORE_NAMES - 1);

    return &st->header->name[n & ~(uint64_t) (VOICE_STORE_WAYS - 1)];
}


void
voice_store_name_set(voice_store_t *st, uint64_t user_id, const char *name,
    bool bot)
{
    unsigned             i;
    voice_store_name_t  *n, *place;

    place = store_names(st, user_id);

    voice_store_lock(st);

    for (i = 0, n = &place[0]; i < VOICE_STORE_WAYS; i++) {
        if (place[i].user_id == user_id) {
            n = &place[i];
            break;
        }

        if (place[i].used < n->used) {
            n = &place[i];
        }
    }

    n->user_id = 0;
    store_order();

    n->used = ++st->header->named;
    n->bot = bot;
    snprintf(n->name, sizeof(n->name), "%s", name);

    store_order();
    n->user_id = user_id;

    voice_store_unlock(st);
}


voice_err_t
voice_store_name_get(voice_store_t *st, uint64_t user_id,
    char name[VOICE_TOKEN_NAME_MAX + 1], bool *bot)
{
    unsigned             i;
    voice_err_t          err;
    voice_store_name_t  *place;

    place = store_names(st, user_id);
    err = VOICE_E_NOT_FOUND;

    voice_store_lock(st);

    for (i = 0; i < VOICE_STORE_WAYS && err != VOICE_OK; i++) {
        if (place[i].user_id == user_id) {
            memcpy(name, place[i].name, sizeof(place[i].name));
            *bot = place[i].bot;
            err = VOICE_OK;
        }
    }

    voice_store_unlock(st);

    return err;
}


void
voice_store_stats(voice_store_t *st, voice_store_stats_t *stats)
{
    uint32_t               i, state;
    voice_store_header_t  *h = st->header;

    memset(stats, 0, sizeof(voice_store_stats_t));

    voice_store_lock(st);

    stats->chunks = h->chunks;
    stats->chunks_used = h->chunks_used;

    for (i = 0; i < h->guilds; i++) {
        state = voice_store_value(&h->guild[i])->state;
        stats->guilds += (state == VOICE_STORE_TEXT);
        stats->deleted += (state == VOICE_STORE_DELETED);
    }

    voice_store_unlock(st);
}
