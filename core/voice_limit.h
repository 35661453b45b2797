/*
 * Copyright (C) ngx-voice contributors
 *
 * Token buckets: one, and a small hashed set of them for sources that are
 * not known yet; and a bucket that processes share.  Fixed memory, no
 * allocation, no list to walk.
 */


#ifndef _VOICE_LIMIT_H_INCLUDED_
#define _VOICE_LIMIT_H_INCLUDED_


#include <stdatomic.h>
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


/*
 * A bucket as one number, the time at which it is full again, so that
 * processes share it without a lock: the generic cell rate algorithm.  Zero
 * is a full one, and so is one whose time has come; nobody has to fill it.
 */
typedef _Atomic uint64_t  voice_rate_t;

/* `burst` at once, and n more in each period. */
typedef struct {
    uint64_t   interval;      /* us, of one */
    uint32_t   burst;
} voice_rate_limit_t;

/* What is left. */
typedef struct {
    uint32_t   remaining;
    uint64_t   reset;         /* ms until it is full */
    uint64_t   retry;         /* ms until there is one; 0: now */
} voice_rate_left_t;


/* n, burst: at least 1; burst times period_ms: at most 2^53 */
voice_rate_limit_t voice_rate_limit(uint32_t n, uint64_t period_ms,
    uint32_t burst);

/* Takes one; false if there is none.  left: what is left then, or NULL. */
bool voice_rate_take(voice_rate_t *rate, const voice_rate_limit_t *limit,
    uint64_t now_ms, voice_rate_left_t *left);

/* Takes none. */
void voice_rate_look(voice_rate_t *rate, const voice_rate_limit_t *limit,
    uint64_t now_ms, voice_rate_left_t *left);


#endif /* _VOICE_LIMIT_H_INCLUDED_ */
