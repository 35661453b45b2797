/*
 * Copyright (C) ngx-voice contributors
 *
 * What follows from attacks: how many nodes may be taken out, and where
 * guilds go that attacks go after.
 */


#include "agent_model_internal.h"

#include <string.h>


#define AGENT_EVICT_PERIOD     60000   /* ms, in which at most */
#define AGENT_EVICT_PERCENT    10      /* of a region's capacity is evicted */

#define AGENT_HUNTED_PERIOD    600000  /* ms, in which a guild is evicted */
#define AGENT_HUNTED           2       /* so many times: it is what is after */


bool
agent_model_evictable(agent_model_t *m, const agent_node_t *node,
    uint64_t now)
{
    bool           open;
    uint64_t       out, total;
    agent_node_t  *n;

    open = false;
    out = 0;
    total = 0;

    for (n = m->nodes; n != NULL; n = n->next) {

        if (!n->registered || strcmp(n->info.region, node->info.region) != 0)
        {
            continue;
        }

        total += n->info.capacity;
        open = open || (n != node && agent_node_trusted(n)
                        && strcmp(n->info.pool, node->info.pool) == 0);

        if (n != node && n->order == AGENT_ORDER_EVICT
            && now - n->evicted < AGENT_EVICT_PERIOD)
        {
            out += n->info.capacity;
        }
    }

    /* in a small region a tenth is less than a node: one may always go */

    return open
           && (out == 0 || (out + node->info.capacity) * 100
                           <= total * AGENT_EVICT_PERCENT);
}


static uint32_t
agent_guild_evictions(const agent_guild_t *guild, uint64_t now)
{
    return now - guild->evicted < AGENT_HUNTED_PERIOD ? guild->evictions : 0;
}


void
agent_guild_evicted(agent_guild_t *guild, uint64_t now)
{
    guild->evictions = agent_guild_evictions(guild, now) + 1;
    guild->evicted = now;
}


bool
agent_guild_hunted(const agent_guild_t *guild, uint64_t now)
{
    uint32_t  n;

    n = agent_guild_evictions(guild, now);

    /* it is about to leave once more */

    if (guild->node != NULL && guild->node->order == AGENT_ORDER_EVICT) {
        n++;
    }

    return n >= AGENT_HUNTED;
}


bool
agent_guild_remembered(const agent_guild_t *guild, uint64_t now)
{
    return agent_guild_evictions(guild, now) != 0;
}


const char *
agent_model_pool(agent_model_t *m, uint64_t id, const char *region,
    uint64_t now)
{
    agent_node_t   *node;
    agent_guild_t  *guild;

    guild = agent_model_guild(m, id);

    if (guild == NULL || !agent_guild_hunted(guild, now)) {
        return "";
    }

    for (node = m->nodes; node != NULL; node = node->next) {
        if (node->registered && strcmp(node->info.pool, AGENT_POOL_HUNTED) == 0
            && strcmp(node->info.region, region) == 0)
        {
            return AGENT_POOL_HUNTED;
        }
    }

    return "";
}
