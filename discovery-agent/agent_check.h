/*
 * Copyright (C) ngx-voice contributors
 *
 * What follows from probes that came back and from those that did not; no
 * socket, no clock.
 *
 * A probe that is not back after a while is lost, and the next one is sent at
 * once.  Who has never come through says nothing: it may be our own mistake.
 */


#ifndef _AGENT_CHECK_H_INCLUDED_
#define _AGENT_CHECK_H_INCLUDED_


#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>


#define AGENT_CHECK_PATIENCE   500     /* ms for a probe */
#define AGENT_CHECK_MISSES     3       /* lost in a row: it is bad */
#define AGENT_CHECK_GOOD       3       /* back in a row: it is good again */


/* Zeroed it knows nothing. */
typedef struct {
    uint64_t   next;                   /* ms, of the next probe */
    uint64_t   sent;                   /* ms, of the one under way; 0: none */
    uint64_t   heard;                  /* ms, when the last one that is back
                                          was sent; 0: none ever came */
    uint64_t   since;                  /* ms, when the first one of those that
                                          are lost was sent; 0: none is */
    uint32_t   serial;                 /* of the last one */
    unsigned   misses;                 /* in a row */
    unsigned   good;
    bool       bad;
} agent_check_t;


/* Whether it is time for a probe; one that is late is lost now. */
bool agent_check_due(agent_check_t *c, uint64_t now);

/* A probe goes out; gives its serial. */
uint32_t agent_check_sent(agent_check_t *c, uint64_t now);

/* One came back; the next one goes out at that time. */
void agent_check_back(agent_check_t *c, uint32_t serial, uint64_t next);

/* The next one goes out now, if none is under way. */
void agent_check_hurry(agent_check_t *c, uint64_t now);

/*
 * Whether c is said to be lost to others as well; before: it is so far.  It has
 * to be losing, and one of the n others has sent something back that was sent
 * after c had begun to.  Who hears nobody is cut off itself and says nothing;
 * nor does it when it hears them again, one after the other.
 */
bool agent_check_accuses(const agent_check_t *c, bool before,
    const agent_check_t *const *others, size_t n);


#endif /* _AGENT_CHECK_H_INCLUDED_ */
