/*
 * Copyright (C) ngx-voice contributors
 */


#include "voice_speakers.h"

#include <stddef.h>


/* time 39 bits, in units of 16 ms | loudness 7 | session index + 1: 18 */
#define VOICE_SPEAKERS_SESSION   18
#define VOICE_SPEAKERS_LOUDNESS  7
#define VOICE_SPEAKERS_TICK      4        /* bits */

#define VOICE_SPEAKERS_TRIES     4


static uint64_t
voice_speakers_word(uint32_t session, unsigned loudness, uint64_t tick)
{
    return tick << (VOICE_SPEAKERS_SESSION + VOICE_SPEAKERS_LOUDNESS)
           | (uint64_t) loudness << VOICE_SPEAKERS_SESSION
           | (session + 1);
}


static uint32_t
voice_speakers_session(uint64_t word)
{
    return (uint32_t) (word & ((1u << VOICE_SPEAKERS_SESSION) - 1)) - 1;
}


static unsigned
voice_speakers_loudness(uint64_t word)
{
    return word >> VOICE_SPEAKERS_SESSION & VOICE_LOUDNESS_MAX;
}


static uint64_t
voice_speakers_tick(uint64_t word)
{
    return word >> (VOICE_SPEAKERS_SESSION + VOICE_SPEAKERS_LOUDNESS);
}


/*
 * The place to take: of whoever paused for longest, else of the quietest if
 * that one is quiet enough.  NULL: none.
 */
static _Atomic uint64_t *
voice_speakers_find(voice_speakers_t *sp, unsigned max, unsigned loudness,
    uint64_t tick, uint64_t *word, bool *free)
{
    unsigned           i;
    uint64_t           w, oldest, quietest;
    _Atomic uint64_t  *old, *quiet;

    old = quiet = NULL;
    oldest = quietest = 0;

    for (i = 0; i < max; i++) {
        w = atomic_load_explicit(&sp->place[i], memory_order_relaxed);

        if (voice_speakers_tick(w)
            + (VOICE_SPEAKERS_PAUSE >> VOICE_SPEAKERS_TICK) < tick)
        {
            if (old == NULL
                || voice_speakers_tick(w) < voice_speakers_tick(oldest))
            {
                old = &sp->place[i];
                oldest = w;
            }

        } else if (quiet == NULL
                   || voice_speakers_loudness(w)
                      < voice_speakers_loudness(quietest))
        {
            quiet = &sp->place[i];
            quietest = w;
        }
    }

    *free = (old != NULL);

    if (old != NULL) {
        *word = oldest;
        return old;
    }

    *word = quietest;

    return loudness >= voice_speakers_loudness(quietest)
                       + VOICE_SPEAKERS_MARGIN
           ? quiet : NULL;
}


/*
 * A quarter of the new value: syllables shall not decide.  Written only if
 * something changed, for other workers read it.
 */
static void
voice_speakers_renew(_Atomic uint64_t *place, uint64_t word, uint32_t session,
    unsigned loudness, uint64_t tick)
{
    uint64_t  now;

    now = voice_speakers_word(session,
                              (3 * voice_speakers_loudness(word) + loudness
                               + 2) / 4,
                              tick);

    if (now != word) {
        (void) atomic_compare_exchange_strong_explicit(place, &word, now,
                                                       memory_order_relaxed,
                                                       memory_order_relaxed);
    }
}


bool
voice_speakers_admit(voice_speakers_t *sp, unsigned max, uint32_t session,
    unsigned loudness, bool silence, uint64_t now)
{
    bool               free;
    unsigned           i, tries;
    uint64_t           word, tick;
    _Atomic uint64_t  *place;

    tick = now >> VOICE_SPEAKERS_TICK;

    for (i = 0; i < max; i++) {
        word = atomic_load_explicit(&sp->place[i], memory_order_relaxed);

        if (word != 0 && voice_speakers_session(word) == session) {

            if (!silence) {
                voice_speakers_renew(&sp->place[i], word, session, loudness,
                                     tick);
            }

            return true;
        }
    }

    /* another worker may be quicker */

    for (tries = 0; tries < VOICE_SPEAKERS_TRIES; tries++) {
        place = voice_speakers_find(sp, max, loudness, tick, &word, &free);

        if (place == NULL || silence) {
            return place != NULL && free;
        }

        if (atomic_compare_exchange_strong_explicit(place, &word,
                voice_speakers_word(session, loudness, tick),
                memory_order_relaxed, memory_order_relaxed))
        {
            return true;
        }
    }

    return false;
}
