/*
 * Copyright (C) ngx-voice contributors
 */


#include "voice_store_internal.h"


/* There is none of a higher version here. */

static bool
store_newer(voice_store_guild_t *g, uint64_t revision, uint64_t digest)
{
    voice_store_value_t  *v = voice_store_value(g);

    return v->change == 0 || revision > v->revision
           || (revision == v->revision && digest > v->digest);
}


voice_err_t
voice_store_merge(voice_store_t *st, uint64_t guild_id, const char *text,
    size_t len, uint64_t revision, uint64_t *change)
{
    uint64_t              digest;
    voice_err_t           err;
    voice_store_guild_t  *g;

    if (!voice_store_valid(guild_id, text, len) || revision == 0
        || revision > INT64_MAX)
    {
        return VOICE_E_RANGE;
    }

    digest = voice_store_digest_text(text, len);
    err = VOICE_E_STALE;

    voice_store_lock(st);

    g = voice_store_find(st, guild_id);

    if (g == NULL || store_newer(g, revision, digest)) {
        err = voice_store_put_locked(st, guild_id, text, len, digest, revision,
                                     change);
    }

    voice_store_unlock(st);

    return err;
}


/* The lowest changes so far, in their order. */

static void
store_insert(voice_store_guild_t *g, voice_store_version_t *list,
    uint64_t *order, size_t max, size_t *n)
{
    size_t                i;
    voice_store_value_t  *v = voice_store_value(g);

    if (*n == max && v->change > order[max - 1]) {
        return;
    }

    *n += (*n < max);

    for (i = *n - 1; i > 0 && order[i - 1] > v->change; i--) {
        order[i] = order[i - 1];
        list[i] = list[i - 1];
    }

    order[i] = v->change;
    list[i].id = g->id;
    list[i].revision = v->revision;
    list[i].digest = v->digest;
}


void
voice_store_versions(voice_store_t *st, uint64_t *since, bool all,
    voice_store_version_t *list, size_t max, size_t *n)
{
    uint32_t               i;
    uint64_t               order[VOICE_STORE_VERSIONS];
    voice_store_value_t   *v;
    voice_store_header_t  *h = st->header;

    max = max < VOICE_STORE_VERSIONS ? max : VOICE_STORE_VERSIONS;
    *n = 0;

    voice_store_lock(st);

    for (i = 0; i < h->guilds; i++) {
        v = voice_store_value(&h->guild[i]);

        if (v->change > *since && (all || !v->foreign)) {
            store_insert(&h->guild[i], list, order, max, n);
        }
    }

    *since = (*n == max) ? order[max - 1] : atomic_load(&h->change);

    voice_store_unlock(st);
}


uint64_t
voice_store_wants(voice_store_t *st, const voice_store_version_t *list,
    size_t n)
{
    size_t                 k;
    uint32_t               i;
    uint64_t               wants;
    voice_store_guild_t   *g;
    voice_store_header_t  *h = st->header;

    wants = (n < VOICE_STORE_VERSIONS) ? ((uint64_t) 1 << n) - 1 : UINT64_MAX;

    voice_store_lock(st);

    for (i = 0; i < h->guilds; i++) {
        g = &h->guild[i];

        for (k = 0; k < n && k < VOICE_STORE_VERSIONS; k++) {
            if (list[k].id == g->id
                && !store_newer(g, list[k].revision, list[k].digest))
            {
                wants &= ~((uint64_t) 1 << k);
            }
        }
    }

    voice_store_unlock(st);

    return wants;
}


uint64_t
voice_store_digest(voice_store_t *st)
{
    uint64_t  digest;

    voice_store_lock(st);
    digest = st->header->digest;
    voice_store_unlock(st);

    return digest;
}


bool
voice_store_sync(voice_store_t *st, uint64_t now)
{
    uint64_t  at, most;

    at = atomic_load(&st->header->sync);
    most = atomic_load(&st->header->wait);

    if (most < VOICE_STORE_SYNC) {
        most = VOICE_STORE_SYNC;
    }

    /* one that is far ahead is of a clock of before */

    if ((now < at && at - now <= most)
        || !atomic_compare_exchange_strong(&st->header->sync, &at,
                                           now + VOICE_STORE_SYNC))
    {
        return false;
    }

    if (atomic_exchange(&st->header->failed, 0) == 0) {
        atomic_store(&st->header->wait, 0);
    }

    return true;
}


bool
voice_store_failed(voice_store_t *st, uint64_t now)
{
    uint32_t  wait;

    if (atomic_exchange(&st->header->failed, 1) != 0) {
        return false;
    }

    wait = atomic_load(&st->header->wait);

    if (wait == 0) {
        wait = VOICE_STORE_WAIT_MIN;

    } else if (wait < VOICE_STORE_WAIT_MAX) {
        wait *= 2;
    }

    atomic_store(&st->header->wait, wait);
    atomic_store(&st->header->sync, now + wait);

    return true;
}
