/*
 * Copyright (C) ngx-voice contributors
 *
 * A server that is to become empty: it admits no new calls, and those that
 * go on may, up to a deadline.  Kept in the zone, so every worker of every
 * generation goes by it, and a restart does not forget it.
 *
 * Several may want it, and it ends when none of them does any more.
 */


#ifndef _VOICE_DRAIN_H_INCLUDED_
#define _VOICE_DRAIN_H_INCLUDED_


#include "voice_zone.h"


/*
 * From this moment on, or with other words if it wants so already: those in
 * a call are told to go at the deadline, ms; 0: they may stay.
 */
void voice_drain_start(voice_zone_t *z, voice_drain_by_t by, uint64_t now,
    uint64_t deadline);

void voice_drain_stop(voice_zone_t *z, voice_drain_by_t by);


typedef struct {
    unsigned   by;            /* 1 << voice_drain_by_t of each; 0: nobody */
    uint64_t   since;         /* ms; the oldest of them */
    uint64_t   deadline;      /* ms; the first of them, or 0 */
} voice_drain_t;

/* Without the lock.  True if somebody wants it; drain may be NULL. */
bool voice_drain_get(const voice_zone_t *z, voice_drain_t *drain);

/* "directive", "order" or "fleet" */
const char *voice_drain_name(voice_drain_by_t by);

/*
 * Behind the deadline: ends up to max sessions, and the voice states that
 * they belong to, by VOICE_CLOSE_DISCONNECTED: the one code after which a
 * client waits to be told of another server.  Gives how many there were; the
 * caller comes again while it is max, after the workers had time to tell
 * those who are left, for each of them has to hear of all who went.
 */
unsigned voice_drain_expire(voice_zone_t *z, uint64_t now, unsigned max);


#endif /* _VOICE_DRAIN_H_INCLUDED_ */
