/*
 * Copyright (C) ngx-voice contributors
 *
 * Who is heard in a room with many open microphones.
 *
 * A room has so many places for speakers.  Whoever speaks takes a free one
 * and keeps it until it pauses; when all are taken, somebody clearly louder
 * (RFC 6464) takes that of the quietest.  Those without a place are not
 * forwarded.
 *
 * A place is one word, so that workers share the table without a lock: who,
 * how loud, when last.  It needs no cleaning up: what is old is free.
 */


#ifndef _VOICE_SPEAKERS_H_INCLUDED_
#define _VOICE_SPEAKERS_H_INCLUDED_


#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>


#define VOICE_SPEAKERS_MAX     64
#define VOICE_SPEAKERS_PAUSE   400    /* ms without speech: the place is free */
#define VOICE_SPEAKERS_MARGIN  6      /* dB louder, to take another's place */

/* Loudness, 127 less the level of RFC 6464; of a sender that tells none. */
#define VOICE_LOUDNESS_USUAL   97
#define VOICE_LOUDNESS_MAX     127


typedef struct {
    _Atomic uint64_t   place[VOICE_SPEAKERS_MAX];
} voice_speakers_t;


/*
 * Whether a packet of a session (its index) is forwarded, when max of them
 * may speak at a time, at most VOICE_SPEAKERS_MAX.  Silence takes no place,
 * but ends the speech of those who have one, and of anybody while there are
 * free ones.
 */
bool voice_speakers_admit(voice_speakers_t *sp, unsigned max,
    uint32_t session, unsigned loudness, bool silence, uint64_t now);


#endif /* _VOICE_SPEAKERS_H_INCLUDED_ */
