/*
 * Copyright (C) ngx-voice contributors
 */


#include "voice_limit.h"

#include <sodium.h>
#include <string.h>


#define VOICE_TOKEN  1000        /* a token's parts: one per ms and rate */


bool
voice_bucket_take(voice_bucket_t *b, uint32_t rate, uint32_t burst,
    uint64_t now_ms)
{
    uint64_t  full, elapsed, tokens;

    full = (uint64_t) burst * VOICE_TOKEN;
    if (full > UINT32_MAX) {
        full = UINT32_MAX;
    }

    /* time 0 means a bucket that was never used */
    if (now_ms == 0) {
        now_ms = 1;
    }

    tokens = b->at == 0 ? full : b->tokens;

    if (b->at == 0 || now_ms > b->at) {
        elapsed = now_ms - b->at;

        /* compare before multiplying: the first call sees a whole uptime */
        if (rate != 0 && elapsed > full / rate) {
            tokens = full;

        } else {
            tokens += elapsed * rate;
        }

        b->at = now_ms;
    }

    if (tokens > full) {
        tokens = full;
    }

    if (tokens < VOICE_TOKEN) {
        b->tokens = (uint32_t) tokens;
        return false;
    }

    b->tokens = (uint32_t) (tokens - VOICE_TOKEN);

    return true;
}


void
voice_limit_init(voice_limit_t *l, voice_bucket_t *buckets, size_t n,
    uint32_t rate, uint32_t burst, const uint64_t seed[2])
{
    l->bucket = buckets;
    l->mask = (uint32_t) (n - 1);
    l->rate = rate;
    l->burst = burst;
    l->seed[0] = seed[0];
    l->seed[1] = seed[1];
}


bool
voice_limit_take(voice_limit_t *l, const void *source, size_t len,
    uint64_t now_ms)
{
    uint64_t  hash;
    uint8_t   key[crypto_shorthash_KEYBYTES], out[crypto_shorthash_BYTES];

    _Static_assert(sizeof(key) == sizeof(l->seed), "seed is a hash key");
    _Static_assert(sizeof(out) == sizeof(hash), "hash is 64 bits");

    memcpy(key, l->seed, sizeof(key));
    crypto_shorthash(out, source, len, key);
    memcpy(&hash, out, sizeof(hash));

    return voice_bucket_take(&l->bucket[hash & l->mask], l->rate, l->burst,
                             now_ms);
}


voice_rate_limit_t
voice_rate_limit(uint32_t n, uint64_t period_ms, uint32_t burst)
{
    voice_rate_limit_t  limit;

    limit.interval = period_ms * 1000 / n;
    limit.burst = burst;

    if (limit.interval == 0) {
        limit.interval = 1;
    }

    return limit;
}


/*
 * How long from now until it is full, us.  A time that the limit can't have
 * come to is of a larger limit or of another clock.
 */

static uint64_t
voice_rate_level(uint64_t full, const voice_rate_limit_t *limit, uint64_t now)
{
    uint64_t  most;

    if (full <= now) {
        return 0;
    }

    most = limit->interval * limit->burst;

    return full - now < most ? full - now : most;
}


/* Or else such a time would keep a bucket shut until it comes. */

static void
voice_rate_correct(voice_rate_t *rate, const voice_rate_limit_t *limit,
    uint64_t now)
{
    uint64_t  full, most;

    full = atomic_load(rate);
    most = limit->interval * limit->burst;

    /* one that others change meanwhile is of the clock of now */

    if (full > now && full - now > most) {
        (void) atomic_compare_exchange_strong(rate, &full, now + most);
    }
}


static void
voice_rate_left(uint64_t level, const voice_rate_limit_t *limit,
    voice_rate_left_t *left)
{
    uint64_t  most, retry;

    most = limit->interval * limit->burst;
    retry = (most - level < limit->interval)
            ? limit->interval - (most - level) : 0;

    left->remaining = (uint32_t) ((most - level) / limit->interval);
    left->reset = (level + 999) / 1000;
    left->retry = (retry + 999) / 1000;
}


bool
voice_rate_take(voice_rate_t *rate, const voice_rate_limit_t *limit,
    uint64_t now_ms, voice_rate_left_t *left)
{
    bool      taken;
    uint64_t  full, level, now;

    now = now_ms * 1000;
    voice_rate_correct(rate, limit, now);
    full = atomic_load(rate);

    do {
        level = voice_rate_level(full, limit, now);
        taken = (limit->interval * limit->burst - level >= limit->interval);

        if (!taken) {
            break;
        }

        level += limit->interval;

    } while (!atomic_compare_exchange_weak(rate, &full, now + level));

    if (left != NULL) {
        voice_rate_left(level, limit, left);
    }

    return taken;
}


void
voice_rate_look(voice_rate_t *rate, const voice_rate_limit_t *limit,
    uint64_t now_ms, voice_rate_left_t *left)
{
    uint64_t  now;

    now = now_ms * 1000;
    voice_rate_correct(rate, limit, now);
    voice_rate_left(voice_rate_level(atomic_load(rate), limit, now), limit,
                    left);
}
