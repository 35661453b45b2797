/*
 * Copyright (C) ngx-voice contributors
 *
 * What follows from the model and the time: where guilds go.
 */


#include "agent_model_internal.h"

#include <stdlib.h>
#include <string.h>


#define AGENT_CANDIDATES    VOICE_CLUSTER_NODES
#define AGENT_BUSY          1500       /* ms until a move is tried again */
#define AGENT_ORPHAN        1000       /* ms without a place to go */


/* Names as numbers; no name is 0. */

static uint32_t
agent_plan_number(const char *name)
{
    return name[0] == '\0' ? 0 : (uint32_t) voice_assign_score(1, name) | 1;
}


static uint64_t
agent_plan_random(void *data)
{
    agent_model_t  *m = data;

    m->random ^= m->random << 13;
    m->random ^= m->random >> 7;
    m->random ^= m->random << 17;

    return m->random;
}


static void
agent_plan_candidate(const agent_node_t *node, uint64_t now,
    voice_candidate_t *c)
{
    c->region = agent_plan_number(node->info.region);
    c->dc = agent_plan_number(node->info.dc);
    c->pool = agent_plan_number(node->info.pool);
    c->capacity = node->info.capacity;
    c->participants = node->load.participants;
    c->pending = node->pending + node->inflight;
    c->age = node->load.at == 0 || now - node->load.at > UINT32_MAX
             ? UINT32_MAX : (uint32_t) (now - node->load.at);
    c->cpu = node->load.cpu;
    c->bandwidth = node->load.bandwidth;
    c->packets = node->load.packets;
}


/* takes: which nodes may be taken */

static voice_err_t
agent_plan_choose(agent_model_t *m, agent_node_t *const *nodes,
    voice_candidate_t *list, size_t n, const voice_assign_want_t *want,
    bool (*takes)(const agent_node_t *node), size_t *chosen)
{
    size_t  i;

    for (i = 0; i < n; i++) {
        list[i].open = takes(nodes[i]);
    }

    return voice_assign_choose(list, n, want, agent_plan_random, m, chosen,
                               NULL);
}


voice_err_t
agent_model_choose(agent_model_t *m, uint64_t guild, const char *region,
    const agent_node_t *except, uint64_t now, agent_node_t **chosen)
{
    size_t                     n, i;
    voice_err_t                err;
    agent_node_t              *node;
    voice_assign_want_t        want;
    static agent_node_t       *nodes[AGENT_CANDIDATES];
    static voice_candidate_t   list[AGENT_CANDIDATES];

    region = region[0] != '\0' ? region : m->region;

    want.region = agent_plan_number(region);
    want.dc = 0;
    want.pool = agent_plan_number(agent_model_pool(m, guild, region, now));
    want.except = SIZE_MAX;

    n = 0;

    for (node = m->nodes; node != NULL && n < AGENT_CANDIDATES;
         node = node->next)
    {
        if (node == except) {
            want.except = n;
        }

        if (node->registered && strcmp(node->info.name, m->self) == 0) {
            want.dc = agent_plan_number(node->info.dc);
        }

        nodes[n] = node;
        agent_plan_candidate(node, now, &list[n++]);
    }

    err = agent_plan_choose(m, nodes, list, n, &want, agent_node_trusted, &i);

    if (err != VOICE_OK) {
        err = agent_plan_choose(m, nodes, list, n, &want, agent_node_open,
                                &i);
    }

    if (err == VOICE_OK) {
        *chosen = nodes[i];
    }

    return err;
}


agent_node_t *
agent_model_rendezvous(agent_model_t *m, uint64_t guild, const char *region,
    uint64_t now)
{
    uint64_t       score, top;
    const char    *pool;
    agent_node_t  *node, *best;

    best = NULL;
    top = 0;

    if (region[0] == '\0') {
        region = m->region;
    }

    pool = agent_model_pool(m, guild, region, now);

    for (node = m->nodes; node != NULL; node = node->next) {

        if (!agent_node_open(node) || strcmp(node->info.region, region) != 0
            || strcmp(node->info.pool, pool) != 0)
        {
            continue;
        }

        score = voice_assign_score(guild, node->info.name);

        if (best == NULL
            || (agent_node_trusted(node) == agent_node_trusted(best)
                ? score > top : agent_node_trusted(node)))
        {
            best = node;
            top = score;
        }
    }

    return best;
}


/* How many of those who live come before us. */

unsigned
agent_model_rank(agent_model_t *m, uint64_t guild)
{
    unsigned       rank;
    uint64_t       own;
    agent_node_t  *node;

    own = voice_assign_score(guild, m->self);
    rank = 0;

    for (node = m->nodes; node != NULL && rank < AGENT_RANKS;
         node = node->next)
    {
        if (node->registered && !agent_node_failed(node)
            && strcmp(node->info.name, m->self) != 0
            && voice_assign_score(guild, node->info.name) > own)
        {
            rank++;
        }
    }

    return rank;
}


static bool
agent_plan_ours(agent_model_t *m, const agent_guild_t *guild,
    uint64_t elapsed)
{
    unsigned  rank;

    if (elapsed >= AGENT_LAST_DELAY) {
        return true;
    }

    rank = agent_model_rank(m, guild->id);

    return rank < AGENT_RANKS && elapsed >= rank * AGENT_RANK_DELAY;
}


static void
agent_plan_add(agent_move_t *move, const agent_guild_t *guild)
{
    move->guild[move->n] = guild->id;
    move->revision[move->n] = guild->revision;
    move->n++;
}


/*
 * Guilds of a node that is no good any more; those of one pool at a time.  As
 * long as some of them move, those who come before us are at it, and to do the
 * same makes etcd slower.
 */

static void
agent_plan_failed(agent_model_t *m, agent_node_t *node, uint64_t now,
    agent_move_t *move)
{
    bool            hunted;
    uint64_t        since;
    agent_guild_t  *guild;

    hunted = false;
    since = node->left > node->since ? node->left : node->since;
    move->from_gone = !node->registered;

    for (guild = node->first; guild != NULL && move->n < AGENT_BATCH;
         guild = guild->next)
    {
        if (guild->busy <= now && !guild->provisional
            && agent_plan_ours(m, guild, now - since)
            && (move->n == 0 || agent_guild_hunted(guild, now) == hunted))
        {
            hunted = agent_guild_hunted(guild, now);
            agent_plan_add(move, guild);
        }
    }
}


/*
 * The node is back with another boot id: sessions are gone, the address is
 * good.  It says so itself; others only if it doesn't.
 */

static void
agent_plan_reborn(agent_model_t *m, agent_node_t *node, uint64_t now,
    agent_move_t *move)
{
    bool            left;
    agent_guild_t  *guild;

    if (!node->reborn
        || (strcmp(node->info.name, m->self) != 0
            && now - node->since < AGENT_LAST_DELAY))
    {
        return;
    }

    left = false;

    for (guild = node->first; guild != NULL && move->n < AGENT_BATCH;
         guild = guild->next)
    {
        if (guild->provisional || strcmp(guild->boot, node->info.boot) == 0) {
            continue;
        }

        left = true;

        if (guild->busy <= now) {
            agent_plan_add(move, guild);
        }
    }

    node->reborn = left;
    move->to = node;
}


/* The smallest one that may go now. */

static agent_guild_t *
agent_plan_smallest(agent_node_t *node, uint64_t now)
{
    agent_guild_t  *guild, *best;

    best = NULL;

    for (guild = node->first; guild != NULL; guild = guild->next) {

        if (guild->busy <= now && !guild->provisional && !guild->unused
            && (best == NULL || guild->people < best->people))
        {
            best = guild;
        }
    }

    return best;
}


/* Our own guilds, small ones first, at a pace. */

static void
agent_plan_drain(agent_model_t *m, agent_node_t *node, uint64_t now,
    agent_move_t *move)
{
    bool            hunted;
    uint64_t        due;
    agent_guild_t  *guild;

    due = m->drain_now ? 0
          : node->order == AGENT_ORDER_DRAIN ? node->order_after
                                             : m->drain_after;

    if (strcmp(node->info.name, m->self) != 0 || !m->drain_slot
        || now - node->ordered < due * 1000 || m->drain_busy > now)
    {
        return;
    }

    if (m->drained == 0 || now - m->drained > 1000) {
        m->drained = now - 1000 / m->drain_rate;
    }

    due = (now - m->drained) * m->drain_rate / 1000;

    hunted = false;

    while (move->n < AGENT_BATCH && move->n < due) {
        guild = agent_plan_smallest(node, now);

        if (guild == NULL
            || (move->n != 0 && agent_guild_hunted(guild, now) != hunted))
        {
            break;
        }

        hunted = agent_guild_hunted(guild, now);

        agent_plan_add(move, guild);
        guild->busy = now + AGENT_BUSY;
    }

    if (move->n != 0) {
        m->drained = now;
        m->drain_busy = now + AGENT_BUSY;
    }
}


/* Clients of these have been waiting: they are told that there is nothing. */

static void
agent_plan_orphans(agent_model_t *m, agent_move_t *move, uint64_t now)
{
    size_t          i;
    agent_guild_t  *guild;

    for (i = 0; i < move->n; i++) {
        guild = agent_model_guild(m, move->guild[i]);
        guild->busy = now + AGENT_RANK_DELAY;

        if (!guild->orphan && now - move->from->since >= AGENT_ORPHAN) {
            guild->orphan = true;
            agent_guild_touch(m, guild);
        }
    }
}


bool
agent_model_plan(agent_model_t *m, uint64_t now, agent_move_t *move)
{
    size_t         i;
    agent_node_t  *node;

    for (node = m->nodes; node != NULL; node = node->next) {

        if (node->guilds == 0) {
            continue;
        }

        memset(move, 0, sizeof(agent_move_t));
        move->from = node;

        if (agent_node_failed(node)) {
            agent_plan_failed(m, node, now, move);

        } else if (node->registered) {
            agent_plan_reborn(m, node, now, move);

            if (move->n == 0 && (node->info.flags & VOICE_NODE_DRAIN)) {
                move->to = NULL;
                agent_plan_drain(m, node, now, move);
            }
        }

        if (move->n == 0) {
            continue;
        }

        if (move->to == NULL
            && agent_model_choose(m, move->guild[0], node->info.region, node,
                                  now, &move->to)
               != VOICE_OK)
        {
            if (agent_node_failed(node)) {
                agent_plan_orphans(m, move, now);
            }

            continue;
        }

        for (i = 0; i < move->n; i++) {
            agent_model_guild(m, move->guild[i])->busy = now + AGENT_BUSY;
        }

        if (move->to != node) {
            move->to->inflight += (uint32_t) move->n;
        }

        node->held++;
        move->to->held++;

        return true;
    }

    return false;
}


void
agent_model_moved(agent_model_t *m, agent_move_t *move)
{
    size_t          i;
    agent_guild_t  *guild;

    for (i = 0; i < move->n; i++) {
        guild = agent_model_guild(m, move->guild[i]);

        if (guild != NULL) {
            guild->busy = 0;
        }
    }

    if (move->to != move->from) {
        move->to->inflight -= (uint32_t) move->n;
    }

    move->from->held--;
    move->to->held--;

    if (strcmp(move->from->info.name, m->self) == 0) {
        m->drain_busy = 0;
    }
}
