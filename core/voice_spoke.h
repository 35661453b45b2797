/*
 * Copyright (C) ngx-voice contributors
 *
 * Who starts and stops speaking, for a platform that wants to know.  A ring
 * of its own, since there is much of it and nobody misses what is over: the
 * log of voice states stays long enough for those who resume.
 */


#ifndef _VOICE_SPOKE_H_INCLUDED_
#define _VOICE_SPOKE_H_INCLUDED_


#include "voice_zone.h"


/*
 * Under the lock: says so if any worker's `hearers` isn't 0, and wakes those
 * workers.
 */
void voice_spoke_append(voice_zone_t *z, const voice_session_t *s,
    uint32_t speaking);

/* The number that the next one will get; lock-free. */
uint64_t voice_spoke_next(const voice_zone_t *z);

/*
 * Copies up to max from number *next on and moves it on.  missed: there were
 * others before, which the ring doesn't have any more.
 */
void voice_spoke_read(voice_zone_t *z, uint64_t *next, voice_spoke_t *list,
    size_t max, size_t *n, bool *missed);


#endif /* _VOICE_SPOKE_H_INCLUDED_ */
