/*
 * Copyright (C) ngx-voice contributors
 */


#include "agent_check.h"


bool
agent_check_due(agent_check_t *c, uint64_t now)
{
    if (c->sent == 0) {
        return now >= c->next;
    }

    if (now - c->sent < AGENT_CHECK_PATIENCE) {
        return false;
    }

    c->since = c->since == 0 ? c->sent : c->since;
    c->sent = 0;
    c->good = 0;
    c->misses++;
    c->bad = c->bad || (c->heard != 0 && c->misses >= AGENT_CHECK_MISSES);

    return true;
}


uint32_t
agent_check_sent(agent_check_t *c, uint64_t now)
{
    c->sent = now;

    return ++c->serial;
}


void
agent_check_back(agent_check_t *c, uint32_t serial, uint64_t next)
{
    if (c->sent == 0 || serial != c->serial) {
        return;                        /* it was given up */
    }

    c->heard = c->sent;
    c->sent = 0;
    c->next = next;
    c->misses = 0;
    c->good++;
    c->bad = c->bad && c->good < AGENT_CHECK_GOOD;
    c->since = c->bad ? c->since : 0;
}


void
agent_check_hurry(agent_check_t *c, uint64_t now)
{
    c->next = c->next < now ? c->next : now;
}


bool
agent_check_accuses(const agent_check_t *c, bool before,
    const agent_check_t *const *others, size_t n)
{
    size_t  i;

    if (!c->bad || (!before && c->misses < AGENT_CHECK_MISSES)) {
        return false;
    }

    for (i = 0; i < n; i++) {
        if (!others[i]->bad && others[i]->heard >= c->since) {
            return true;
        }
    }

    return false;
}
