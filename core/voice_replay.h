/*
 * Copyright (C) ngx-voice contributors
 *
 * Sliding replay window over RTP sequence numbers (RFC 3711 section 3.3.2).
 *
 * Three calls, never merged: estimate and check, authenticate, add.  A
 * forged packet moves nothing.
 *
 * The window lives in shared memory and takes packets from several processes
 * at once without a lock: each word holds the number of its block of 32
 * packets beside the block's bitmap and is changed by compare-and-swap, so a
 * process that dies anywhere leaves a valid window.
 *
 * The window ends at the edge of a block: of VOICE_REPLAY_WINDOW packets up
 * to the highest, the oldest 31 may be out already.
 */


#ifndef _VOICE_REPLAY_H_INCLUDED_
#define _VOICE_REPLAY_H_INCLUDED_


#include "voice_err.h"

#include <stdatomic.h>
#include <stdint.h>


#define VOICE_REPLAY_WORDS      16
#define VOICE_REPLAY_WINDOW     (VOICE_REPLAY_WORDS * 32)   /* packets */


typedef struct {
    _Atomic uint64_t   word[VOICE_REPLAY_WORDS];  /* block << 32 | bitmap */
    _Atomic uint64_t   highest;                   /* 0: none, else ext + 1 */
} voice_replay_t;


void voice_replay_reset(voice_replay_t *w);

/*
 * The extended (32-bit) sequence number nearest to the highest seen
 * (RFC 3711 section 3.3.1), if it is new.  The first packet of all starts at
 * 65536 + seq, so that slightly older ones don't wrap.
 *
 * VOICE_E_REPLAY  seen, or older than the window
 */
voice_err_t voice_replay_check(const voice_replay_t *w, uint16_t seq,
    uint32_t *ext_seq);

/*
 * Marks ext_seq as seen; call it only after the packet was authenticated.
 *
 * VOICE_E_REPLAY  another process was faster with the same packet
 */
voice_err_t voice_replay_add(voice_replay_t *w, uint32_t ext_seq);


#endif /* _VOICE_REPLAY_H_INCLUDED_ */
