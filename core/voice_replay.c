/*
 * Copyright (C) ngx-voice contributors
 */


#include "voice_replay.h"

#include <stdbool.h>


/* the first packet has a cycle below it for those that it overtook */
#define VOICE_REPLAY_FIRST_CYCLE  65536

#define voice_replay_block(ext)   ((ext) >> 5)
#define voice_replay_bit(ext)     (1u << ((ext) & 31))
#define voice_replay_slot(block)  ((block) % VOICE_REPLAY_WORDS)


static bool voice_replay_stale(uint32_t block, uint64_t highest);


void
voice_replay_reset(voice_replay_t *w)
{
    unsigned  i;

    /* block 0 is below every window, so an all-zero word counts as old */
    for (i = 0; i < VOICE_REPLAY_WORDS; i++) {
        atomic_store(&w->word[i], 0);
    }

    atomic_store(&w->highest, 0);
}


voice_err_t
voice_replay_check(const voice_replay_t *w, uint16_t seq, uint32_t *ext_seq)
{
    int64_t   ext;
    uint32_t  block;
    uint64_t  highest, word;

    highest = atomic_load(&w->highest);

    if (highest == 0) {
        *ext_seq = VOICE_REPLAY_FIRST_CYCLE + seq;
        return VOICE_OK;
    }

    /* RFC 3711 section 3.3.1: the nearest one, half a cycle either way */

    ext = (int64_t) highest - 1;
    ext += (int16_t) (uint16_t) (seq - (uint16_t) ext);

    if (ext < 0 || ext > UINT32_MAX) {
        return VOICE_E_REPLAY;
    }

    block = voice_replay_block((uint32_t) ext);

    if (voice_replay_stale(block, highest)) {
        return VOICE_E_REPLAY;
    }

    word = atomic_load(&w->word[voice_replay_slot(block)]);

    if (word >> 32 > block
        || (word >> 32 == block && (word & voice_replay_bit(ext))))
    {
        return VOICE_E_REPLAY;
    }

    *ext_seq = (uint32_t) ext;

    return VOICE_OK;
}


/*
 * The word alone decides that a packet passes once: its block number only
 * grows, and within a block bits are only set.  The highest number follows
 * later and may lag behind without harm.
 */
voice_err_t
voice_replay_add(voice_replay_t *w, uint32_t ext_seq)
{
    uint32_t           block, bit;
    uint64_t           highest, old, word;
    _Atomic uint64_t  *slot;

    block = voice_replay_block(ext_seq);
    bit = voice_replay_bit(ext_seq);
    slot = &w->word[voice_replay_slot(block)];

    highest = atomic_load(&w->highest);

    if (voice_replay_stale(block, highest)) {
        return VOICE_E_REPLAY;
    }

    old = atomic_load(slot);

    do {
        word = old;

        if (word >> 32 < block) {
            word = (uint64_t) block << 32;
        }

        if (word >> 32 > block || (word & bit)) {
            return VOICE_E_REPLAY;
        }

        word |= bit;

    } while (!atomic_compare_exchange_weak(slot, &old, word));

    while (highest < (uint64_t) ext_seq + 1
           && !atomic_compare_exchange_weak(&w->highest, &highest,
                                            (uint64_t) ext_seq + 1))
    {
        /* void */
    }

    return VOICE_OK;
}


static bool
voice_replay_stale(uint32_t block, uint64_t highest)
{
    return highest != 0
           && (uint64_t) block + VOICE_REPLAY_WORDS
              <= voice_replay_block(highest - 1);
}
