/*
 * Copyright (C) ngx-voice contributors
 *
 * Hash index of the zone: open addressing, linear probing, each bucket a
 * record's index + 1 (0: empty).  A removal closes the gap, so there are no
 * tombstones and a table never wears out.
 *
 * Changes happen under the zone's lock.  A reader without the lock may miss
 * a record that is being moved at that moment, and must check the record.
 */


#ifndef _VOICE_INDEX_H_INCLUDED_
#define _VOICE_INDEX_H_INCLUDED_


#include "voice_zone.h"


/* The hash under which a record stands in the index. */
typedef uint64_t (*voice_index_hash_pt)(const voice_zone_t *z,
    uint32_t record);

/* Whether a record is the one that is looked for. */
typedef bool (*voice_index_match_pt)(const voice_zone_t *z, uint32_t record,
    const void *key);


typedef struct {
    _Atomic uint32_t      *bucket;
    uint32_t               mask;
    voice_index_hash_pt    hash;
} voice_index_t;


void voice_index_add(const voice_zone_t *z, const voice_index_t *ix,
    uint32_t record);

/* Nothing happens if the record isn't there. */
void voice_index_remove(const voice_zone_t *z, const voice_index_t *ix,
    uint32_t record);

/* VOICE_E_NOT_FOUND; lock-free. */
voice_err_t voice_index_find(const voice_zone_t *z, const voice_index_t *ix,
    uint64_t hash, voice_index_match_pt match, const void *key,
    uint32_t *record);

void voice_index_clear(const voice_index_t *ix);

/* how many records it holds */
uint32_t voice_index_count(const voice_index_t *ix);


#endif /* _VOICE_INDEX_H_INCLUDED_ */
