/*
 * Copyright (C) ngx-voice contributors
 *
 * Small things that all parts of the agent use.
 */


#include "agent.h"

#include <sodium.h>
#include <stdio.h>


#define AGENT_AWAY            1000     /* ms that etcd may be silent */
#define AGENT_BACKOFF         50       /* ms, the first one */
#define AGENT_BACKOFF_MAX     2000


uint64_t
agent_spread(uint64_t x)
{
    return x * 4 / 5 + randombytes_uniform((uint32_t) (x * 2 / 5 + 1));
}


/* 50 ms doubled to 2 s, times 0.5 to 1.5 */

uint64_t
agent_backoff(unsigned failures)
{
    uint64_t  ms;

    ms = failures > 6 ? AGENT_BACKOFF_MAX
                      : (uint64_t) AGENT_BACKOFF << failures;
    ms = ms > AGENT_BACKOFF_MAX ? AGENT_BACKOFF_MAX : ms;

    return ms / 2 + randombytes_uniform((uint32_t) ms + 1);
}


void
agent_key(const agent_t *a, char *key, char kind, const char *name)
{
    snprintf(key, AGENT_KEY_MAX, "%s%c/%s", a->conf.prefix, kind, name);
}


/* A third of the lease, so that another endpoint can be asked in time. */

unsigned
agent_timeout(const agent_t *a)
{
    unsigned  ms = a->conf.ttl * 1000 / 3;

    return ms < 500 ? 500 : ms > 2000 ? 2000 : ms;
}


bool
agent_etcd_away(const agent_t *a)
{
    return a->now - agent_etcd_answered(a->etcd)
           > agent_timeout(a) + AGENT_AWAY;
}
