/*
 * Copyright (C) ngx-voice contributors
 *
 * Processes that are killed at random moments: for a while, and on a machine
 * that is busy until there were enough of them.
 */


#ifndef _VOICE_KILL_H_INCLUDED_
#define _VOICE_KILL_H_INCLUDED_


#include "test_util.h"

#include <signal.h>
#include <stdbool.h>
#include <time.h>
#include <unistd.h>
#include <sys/prctl.h>


#define KILL_ENOUGH    20
#define KILL_SECONDS   60


typedef struct {
    unsigned   ms;           /* how long at least */
    unsigned   kills;
    uint64_t   start;        /* 0: not begun */
    uint64_t   random;
} kill_t;


static inline uint64_t
kill_now(void)
{
    struct timespec  ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);

    return (uint64_t) ts.tv_sec * 1000 + (uint64_t) ts.tv_nsec / 1000000;
}


/* Whether there is one more, after a pause; seen: what was to be seen was. */

static inline bool
kill_next(kill_t *k, bool seen)
{
    uint64_t         now;
    struct timespec  pause;

    now = kill_now();

    if (k->start == 0) {
        k->start = now;
    }

    if (now - k->start > k->ms && k->kills > KILL_ENOUGH && seen) {
        return false;
    }

    if (now - k->start > KILL_SECONDS * 1000) {
        fail_msg("%u kills in %d s, %s: more than %d are expected", k->kills,
                 KILL_SECONDS, seen ? "too few" : "none of those looked for",
                 KILL_ENOUGH);
    }

    k->random = k->random * 6364136223846793005ull + 1442695040888963407ull;

    pause.tv_sec = 0;
    pause.tv_nsec = 1000000 + (long) ((k->random >> 33) % 3000000);
    nanosleep(&pause, NULL);

    k->kills++;

    return true;
}


/* In the child: whatever becomes of the test, it doesn't stay behind. */

static inline void
kill_child(void)
{
    alarm(2 * KILL_SECONDS);

    if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || getppid() == 1) {
        _exit(2);
    }
}


#endif /* _VOICE_KILL_H_INCLUDED_ */
