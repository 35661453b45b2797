/*
 * Copyright (C) ngx-voice contributors
 *
 * Token buckets: one, and a small hashed set of them for sources that are
 * not known yet.  Fixed memory, no allocation, no list to walk.
 */


#ifndef _VOICE_LIMIT_H_INCLUDED_
#define _VOICE_LIMIT_H_INCLUDED_


#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>


typedef struct {
    uint64_t   at;        /* when it was last filled, ms */
    uint32_t   tokens;    /* in 1/1000 */
} voice_bucket_t;


/*
 * A set: the hash of a source picks a bucket; sources that collide share
 * one.  Seeded, so that nobody can aim at a neighbour.
 */
typedef struct {
    voice_bucket_t  *bucket;
    uint32_t         mask;       /* number of buckets - 1, a power of two */
    uint32_t         rate;       /* per second */
    uint32_t         burst;
    uint64_t         seed[2];
} voice_limit_t;


/* Takes one token; false if there is none.  A zeroed bucket is full. */
bool voice_bucket_take(voice_bucket_t *b, uint32_t rate, uint32_t burst,
    uint64_t now_ms);

/* buckets: n zeroed ones, n a power of two, owned by the caller */
void voice_limit_init(voice_limit_t *l, voice_bucket_t *buckets, size_t n,
    uint32_t rate, uint32_t burst, const uint64_t seed[2]);

bool voice_limit_take(voice_limit_t *l, const void *source, size_t len,
    uint64_t now_ms);


#endif /* _VOICE_LIMIT_H_INCLUDED_ */
