/*
 * Copyright (C) ngx-voice contributors
 */


#include "voice_index.h"


static inline uint32_t
voice_index_load(const voice_index_t *ix, uint32_t i)
{
    return atomic_load_explicit(&ix->bucket[i & ix->mask],
                                memory_order_acquire);
}


static inline void
voice_index_store(const voice_index_t *ix, uint32_t i, uint32_t value)
{
    atomic_store_explicit(&ix->bucket[i & ix->mask], value,
                          memory_order_release);
}


void
voice_index_add(const voice_zone_t *z, const voice_index_t *ix,
    uint32_t record)
{
    uint32_t  i;

    i = (uint32_t) ix->hash(z, record);

    while (voice_index_load(ix, i) != 0) {
        i++;
    }

    voice_index_store(ix, i, record + 1);
}


void
voice_index_remove(const voice_zone_t *z, const voice_index_t *ix,
    uint32_t record)
{
    uint32_t  i, gap, home, value;

    i = (uint32_t) ix->hash(z, record);

    while ((value = voice_index_load(ix, i)) != record + 1) {
        if (value == 0) {
            return;
        }

        i++;
    }

    /* whoever stands behind and would be cut off moves into the gap */

    for (gap = i++; (value = voice_index_load(ix, i)) != 0; i++) {
        home = (uint32_t) ix->hash(z, value - 1);

        if (((i - home) & ix->mask) >= ((i - gap) & ix->mask)) {
            voice_index_store(ix, gap, value);
            gap = i;
        }
    }

    voice_index_store(ix, gap, 0);
}


voice_err_t
voice_index_find(const voice_zone_t *z, const voice_index_t *ix,
    uint64_t hash, voice_index_match_pt match, const void *key,
    uint32_t *record)
{
    uint32_t  i, n, value;

    i = (uint32_t) hash;

    for (n = 0; n <= ix->mask; n++) {
        value = voice_index_load(ix, i + n);

        if (value == 0) {
            return VOICE_E_NOT_FOUND;
        }

        if (match(z, value - 1, key)) {
            *record = value - 1;
            return VOICE_OK;
        }
    }

    return VOICE_E_NOT_FOUND;
}


void
voice_index_clear(const voice_index_t *ix)
{
    uint32_t  i;

    /* no store into untouched pages: they would cost memory */

    for (i = 0; i <= ix->mask; i++) {
        if (voice_index_load(ix, i) != 0) {
            voice_index_store(ix, i, 0);
        }
    }
}


uint32_t
voice_index_count(const voice_index_t *ix)
{
    uint32_t  i, n;

    n = 0;

    for (i = 0; i <= ix->mask; i++) {
        n += (voice_index_load(ix, i) != 0);
    }

    return n;
}
