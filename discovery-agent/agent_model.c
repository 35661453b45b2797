/*
 * Copyright (C) ngx-voice contributors
 */


#include "agent_model_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>


#define AGENT_BUCKETS       1024


bool
agent_model_init(agent_model_t *m, const char *prefix, const char *self,
    const char *region)
{
    memset(m, 0, sizeof(agent_model_t));

    snprintf(m->prefix, sizeof(m->prefix), "%s", prefix);
    snprintf(m->self, sizeof(m->self), "%s", self);
    snprintf(m->region, sizeof(m->region), "%s", region);

    m->grace = 500;
    m->hold = AGENT_HOLD;
    m->drain_after = 1800;
    m->drain_rate = 20;
    m->random = voice_assign_score(1, self) | 1;

    m->buckets = AGENT_BUCKETS;
    m->hash = calloc(m->buckets, sizeof(agent_guild_t *));

    return m->hash != NULL;
}


void
agent_model_free(agent_model_t *m)
{
    size_t          i;
    agent_node_t   *node;
    agent_guild_t  *guild;

    for (i = 0; m->hash != NULL && i < m->buckets; i++) {
        while ((guild = m->hash[i]) != NULL) {
            m->hash[i] = guild->chain;
            free(guild);
        }
    }

    while ((node = m->nodes) != NULL) {
        m->nodes = node->next;
        free(node);
    }

    while ((node = agent_model_gone(m)) != NULL) {
        free(node);
    }

    agent_accusation_free(m);
    free(m->hash);
    m->hash = NULL;
}


static size_t
agent_model_bucket(const agent_model_t *m, uint64_t id)
{
    return (size_t) (voice_assign_score(id, "") & (m->buckets - 1));
}


agent_guild_t *
agent_model_guild(agent_model_t *m, uint64_t id)
{
    agent_guild_t  *guild;

    for (guild = m->hash[agent_model_bucket(m, id)];
         guild != NULL && guild->id != id;
         guild = guild->chain) { /* void */ }

    return guild;
}


static void
agent_model_grow(agent_model_t *m)
{
    size_t           i, was;
    agent_guild_t   *guild, *next, **hash, **old;

    hash = calloc(m->buckets * 4, sizeof(agent_guild_t *));

    if (hash == NULL) {
        return;                        /* it works, only slower */
    }

    old = m->hash;
    was = m->buckets;
    m->hash = hash;
    m->buckets = was * 4;

    for (i = 0; i < was; i++) {
        for (guild = old[i]; guild != NULL; guild = next) {
            next = guild->chain;
            hash = &m->hash[agent_model_bucket(m, guild->id)];
            guild->chain = *hash;
            *hash = guild;
        }
    }

    free(old);
}


agent_guild_t *
agent_model_guild_add(agent_model_t *m, uint64_t id)
{
    agent_guild_t  *guild, **bucket;

    guild = agent_model_guild(m, id);

    if (guild != NULL) {
        return guild;
    }

    if (m->guilds >= m->buckets) {
        agent_model_grow(m);
    }

    guild = calloc(1, sizeof(agent_guild_t));

    if (guild == NULL) {
        return NULL;
    }

    guild->id = id;

    bucket = &m->hash[agent_model_bucket(m, id)];
    guild->chain = *bucket;
    *bucket = guild;
    m->guilds++;

    return guild;
}


void
agent_model_forget(agent_model_t *m, agent_guild_t *guild)
{
    agent_guild_t  **p;

    if (guild->node != NULL || guild->dirty || guild->evictions != 0) {
        return;
    }

    for (p = &m->hash[agent_model_bucket(m, guild->id)]; *p != guild;
         p = &(*p)->chain) { /* void */ }

    *p = guild->chain;
    m->guilds--;
    free(guild);
}


void
agent_guild_touch(agent_model_t *m, agent_guild_t *guild)
{
    if (!guild->dirty) {
        guild->dirty = true;
        guild->dirty_next = m->dirty_guilds;
        m->dirty_guilds = guild;
    }
}


void
agent_node_touch(agent_model_t *m, agent_node_t *node)
{
    if (!node->dirty) {
        node->dirty = true;
        node->dirty_next = m->dirty_nodes;
        m->dirty_nodes = node;
    }
}


agent_node_t *
agent_model_dirty_node(agent_model_t *m)
{
    agent_node_t  *node = m->dirty_nodes;

    if (node != NULL) {
        m->dirty_nodes = node->dirty_next;
        node->dirty = false;
    }

    return node;
}


agent_guild_t *
agent_model_dirty_guild(agent_model_t *m)
{
    agent_guild_t  *guild = m->dirty_guilds;

    if (guild != NULL) {
        m->dirty_guilds = guild->dirty_next;
        guild->dirty = false;
    }

    return guild;
}


void
agent_model_touch(agent_model_t *m)
{
    size_t          i;
    agent_node_t   *node;
    agent_guild_t  *guild;

    for (node = m->nodes; node != NULL; node = node->next) {
        agent_node_touch(m, node);
    }

    for (i = 0; i < m->buckets; i++) {
        for (guild = m->hash[i]; guild != NULL; guild = guild->chain) {
            agent_guild_touch(m, guild);
        }
    }
}


agent_node_t *
agent_model_node(agent_model_t *m, const char *name)
{
    agent_node_t  *node;

    for (node = m->nodes; node != NULL; node = node->next) {
        if (strcmp(node->info.name, name) == 0) {
            return node;
        }
    }

    return NULL;
}


agent_node_t *
agent_model_self(agent_model_t *m)
{
    return agent_model_node(m, m->self);
}


static bool
agent_node_needed(const agent_model_t *m, const agent_node_t *node)
{
    return node->registered || node->guilds != 0 || node->held != 0
           || strcmp(node->info.name, m->self) == 0;
}


/* Off all lists but that of those who left. */

static void
agent_node_leave(agent_model_t *m, agent_node_t **link)
{
    agent_node_t  *node = *link, **p;

    *link = node->next;
    m->node_count--;

    if (node->dirty) {
        for (p = &m->dirty_nodes; *p != node; p = &(*p)->dirty_next) {
            /* void */
        }

        *p = node->dirty_next;
    }

    node->next = m->gone;
    m->gone = node;
}


void
agent_model_reap(agent_model_t *m, uint64_t now)
{
    agent_node_t  *node, **link;

    for (link = &m->nodes; (node = *link) != NULL; /* void */ ) {

        if (agent_node_needed(m, node) || node->order != AGENT_ORDER_NONE
            || node->slot[0] != '\0'
            || now - node->vanished < AGENT_FORGET)
        {
            link = &node->next;
            continue;
        }

        agent_node_leave(m, link);
    }
}


agent_node_t *
agent_model_gone(agent_model_t *m)
{
    agent_node_t  *node = m->gone;

    if (node != NULL) {
        m->gone = node->next;
    }

    return node;
}


/* There are as many as there may be: one that never was one makes room. */

static bool
agent_model_room(agent_model_t *m)
{
    agent_node_t  **link;

    if (m->node_count < VOICE_CLUSTER_NODES) {
        return true;
    }

    for (link = &m->nodes; *link != NULL; link = &(*link)->next) {

        if ((*link)->info.boot[0] == '\0' && !agent_node_needed(m, *link)) {
            agent_node_leave(m, link);
            return true;
        }
    }

    return false;
}


/* One that guilds are of, or that is registered. */

agent_node_t *
agent_model_node_add(agent_model_t *m, const char *name, uint64_t now)
{
    agent_node_t  *node;

    node = agent_model_node(m, name);

    if (node != NULL) {
        return node;
    }

    node = agent_model_room(m) ? calloc(1, sizeof(agent_node_t)) : NULL;

    if (node == NULL) {
        return NULL;
    }

    snprintf(node->info.name, sizeof(node->info.name), "%s", name);
    node->place = voice_assign_score(0, name);
    node->vanished = now;

    node->next = m->nodes;
    m->nodes = node;
    m->node_count++;

    return node;
}


bool
agent_model_adopt(agent_model_t *m, const voice_node_info_t *info,
    uint64_t now)
{
    agent_node_t  *node;

    node = agent_name_valid(info->name)
           ? agent_model_node_add(m, info->name, now) : NULL;

    if (node == NULL) {
        return false;
    }

    if (node->info.boot[0] == '\0') {
        node->info = *info;
        node->info.flags = 0;
        agent_node_flags(m, node, now);
    }

    agent_node_touch(m, node);

    return true;
}


bool
agent_node_open(const agent_node_t *node)
{
    return (node->info.flags & VOICE_NODE_UP)
           && (node->info.flags & (VOICE_NODE_DOWN | VOICE_NODE_DRAIN
                                   | VOICE_NODE_EVICT)) == 0;
}


bool
agent_node_trusted(const agent_node_t *node)
{
    return agent_node_open(node)
           && (node->info.flags & VOICE_NODE_SUSPECT) == 0;
}


bool
agent_node_drains(const agent_node_t *node)
{
    return (node->info.flags & (VOICE_NODE_DRAIN | VOICE_NODE_WAIT)) != 0;
}


bool
agent_node_failed(const agent_node_t *node)
{
    return node->dead
           || (node->info.flags & (VOICE_NODE_DOWN | VOICE_NODE_EVICT)) != 0;
}


void
agent_node_flags(agent_model_t *m, agent_node_t *node, uint64_t now)
{
    bool           failed;
    size_t         probers;
    uint32_t       flags, was;
    agent_node_t  *by[AGENT_PEERS];

    failed = agent_node_failed(node);
    flags = node->said & ~VOICE_NODE_DRAIN;

    if (node->registered) {
        flags |= VOICE_NODE_UP;
    }

    if (node->said & VOICE_NODE_DRAINED) {
        flags |= VOICE_NODE_DRAIN;

    } else if (node->order == AGENT_ORDER_DRAIN
               || (node->said & VOICE_NODE_DRAIN))
    {
        flags |= node->slot[0] != '\0' ? VOICE_NODE_DRAIN : VOICE_NODE_WAIT;
    }

    if (node->order == AGENT_ORDER_EVICT) {
        flags |= VOICE_NODE_EVICT;
    }

    if (node->on_hold) {
        flags |= VOICE_NODE_HELD;
    }

    was = node->info.flags;
    node->info.flags = flags;

    if (agent_model_accusers(m, node, by, &probers) != 0) {
        node->info.flags |= VOICE_NODE_SUSPECT;
    }

    if (node->info.flags != was) {
        agent_node_touch(m, node);
    }

    if (!failed && agent_node_failed(node)) {
        node->since = now;
    }

    if (!agent_node_drains(node)) {
        node->ordered = 0;

    } else if (node->ordered == 0) {
        node->ordered = now;
    }
}


void
agent_guild_unlink(agent_guild_t *guild)
{
    agent_node_t  *node = guild->node;

    if (node == NULL) {
        return;
    }

    *guild->prev = guild->next;

    if (guild->next != NULL) {
        guild->next->prev = guild->prev;
    }

    node->guilds--;
    guild->node = NULL;
}


void
agent_guild_link(agent_guild_t *guild, agent_node_t *node)
{
    if (guild->node == node) {
        return;
    }

    agent_guild_unlink(guild);

    guild->next = node->first;
    guild->prev = &node->first;

    if (guild->next != NULL) {
        guild->next->prev = &guild->next;
    }

    node->first = guild;
    node->guilds++;
    guild->node = node;
}
