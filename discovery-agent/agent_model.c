/*
 * Copyright (C) ngx-voice contributors
 */


#include "agent_model.h"
#include "agent_conf.h"
#include "agent_value.h"

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


static agent_guild_t *
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

    if (guild->node != NULL || guild->dirty) {
        return;
    }

    for (p = &m->hash[agent_model_bucket(m, guild->id)]; *p != guild;
         p = &(*p)->chain) { /* void */ }

    *p = guild->chain;
    m->guilds--;
    free(guild);
}


static void
agent_guild_touch(agent_model_t *m, agent_guild_t *guild)
{
    if (!guild->dirty) {
        guild->dirty = true;
        guild->dirty_next = m->dirty_guilds;
        m->dirty_guilds = guild;
    }
}


static void
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


/* One that guilds are of, or that is registered. */

static agent_node_t *
agent_model_node_add(agent_model_t *m, const char *name, uint64_t now)
{
    agent_node_t  *node;

    node = agent_model_node(m, name);

    if (node != NULL) {
        return node;
    }

    node = calloc(1, sizeof(agent_node_t));

    if (node == NULL) {
        return NULL;
    }

    snprintf(node->info.name, sizeof(node->info.name), "%s", name);
    node->vanished = now;

    node->next = m->nodes;
    m->nodes = node;

    return node;
}


bool
agent_node_open(const agent_node_t *node)
{
    return (node->info.flags & VOICE_NODE_UP)
           && (node->info.flags & (VOICE_NODE_DOWN | VOICE_NODE_DRAIN
                                   | VOICE_NODE_EVICT)) == 0;
}


bool
agent_node_failed(const agent_node_t *node)
{
    return node->dead
           || (node->info.flags & (VOICE_NODE_DOWN | VOICE_NODE_EVICT)) != 0;
}


static void
agent_node_flags(agent_model_t *m, agent_node_t *node, uint64_t now)
{
    bool      failed;
    uint32_t  flags;

    failed = agent_node_failed(node);
    flags = node->said;

    if (node->registered) {
        flags |= VOICE_NODE_UP;
    }

    if (node->order == AGENT_ORDER_DRAIN) {
        flags |= VOICE_NODE_DRAIN;

    } else if (node->order == AGENT_ORDER_EVICT) {
        flags |= VOICE_NODE_EVICT;
    }

    if (flags != node->info.flags) {
        node->info.flags = flags;
        agent_node_touch(m, node);
    }

    if (!failed && agent_node_failed(node)) {
        node->since = now;
    }

    if ((flags & VOICE_NODE_DRAIN) == 0) {
        node->ordered = 0;

    } else if (node->ordered == 0) {
        node->ordered = now;
    }
}


static void
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


static void
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


static bool
agent_put_node(agent_model_t *m, const char *name, const char *value,
    uint64_t revision, uint64_t now)
{
    uint32_t            said;
    agent_node_t       *node;
    voice_node_info_t   info;
    char                machine[64];

    if (!agent_value_node(value, &info, machine, sizeof(machine), &said)) {
        return false;
    }

    node = agent_model_node_add(m, name, now);

    if (node == NULL) {
        return false;
    }

    node->seen = m->list;

    if (revision == node->register_rev) {
        return true;
    }

    if (strcmp(node->info.boot, info.boot) != 0) {
        node->reborn = (node->guilds != 0);

        if (node->info.boot[0] != '\0') {
            node->since = now;         /* its sessions are gone */
            memset(&node->load, 0, sizeof(node->load));
        }
    }

    memcpy(info.name, node->info.name, sizeof(info.name));

    if (info.region[0] == '\0') {
        memcpy(info.region, m->region, sizeof(info.region));
    }

    info.flags = node->info.flags;
    info.revision = revision;
    node->info = info;
    memcpy(node->machine, machine, sizeof(node->machine));
    node->register_rev = revision;
    node->registered = true;
    node->vanished = 0;
    node->dead = false;

    node->said = said;
    agent_node_flags(m, node, now);
    agent_node_touch(m, node);

    return true;
}


/* Guilds assigned since the report; exact for all who see the same keys. */

static void
agent_node_pending(agent_node_t *node)
{
    agent_guild_t  *guild;

    node->pending = 0;

    for (guild = node->first; guild != NULL; guild = guild->next) {
        node->pending += (guild->revision > node->load.applied);
    }
}


static bool
agent_put_load(agent_model_t *m, const char *name, const char *value,
    uint64_t revision, uint64_t now)
{
    agent_node_t       *node;
    voice_node_load_t   load;

    if (!agent_value_load(value, &load)) {
        return false;
    }

    node = agent_model_node_add(m, name, now);

    if (node == NULL) {
        return false;
    }

    if (revision == node->load_rev) {
        return true;
    }

    load.at = now;
    node->load = load;
    node->load_rev = revision;
    agent_node_pending(node);
    agent_node_touch(m, node);

    return true;
}


static bool
agent_put_order(agent_model_t *m, const char *name, const char *value,
    uint64_t revision, uint64_t now)
{
    uint32_t        after;
    agent_node_t   *node;
    agent_order_t   order;

    if (!agent_value_order(value, &order, &after)) {
        return false;
    }

    node = agent_model_node_add(m, name, now);

    if (node == NULL) {
        return false;
    }

    node->order = order;
    node->order_after = after;
    node->order_rev = revision;
    agent_node_flags(m, node, now);

    return true;
}


static bool
agent_put_guild(agent_model_t *m, const char *name, const char *value,
    uint64_t revision, uint64_t now)
{
    char            server[VOICE_CLUSTER_NAME_MAX + 1];
    char            boot[VOICE_CLUSTER_BOOT_MAX + 1];
    uint64_t        id;
    agent_node_t   *node, *was;
    agent_guild_t  *guild;

    if (!agent_value_id(name, &id) || !agent_value_guild(value, server, boot))
    {
        return false;
    }

    node = agent_model_node_add(m, server, now);
    guild = agent_model_guild_add(m, id);

    if (node == NULL || guild == NULL) {
        return false;
    }

    guild->seen = m->list;

    if (guild->revision == revision && guild->node == node) {
        return true;
    }

    /* an old answer may come after a newer event, but a list is the truth */

    if (guild->revision > revision && !guild->provisional && !m->listing) {
        return true;
    }

    was = guild->node;
    agent_guild_link(guild, node);

    guild->revision = revision;
    guild->provisional = false;
    guild->orphan = false;
    guild->busy = 0;
    memcpy(guild->boot, boot, sizeof(guild->boot));

    if (node->registered && strcmp(boot, node->info.boot) != 0) {
        node->reborn = true;
    }

    if (was != node && revision > node->load.applied) {
        node->pending++;
    }

    agent_guild_touch(m, guild);

    return true;
}


typedef bool (*agent_put_pt)(agent_model_t *m, const char *name,
    const char *value, uint64_t revision, uint64_t now);


/* kind and name of a key below the prefix; 0: another one */

static char
agent_model_key(const agent_model_t *m, const char *key, const char **name)
{
    size_t  len;

    len = strlen(m->prefix);

    if (strncmp(key, m->prefix, len) != 0 || key[len] == '\0'
        || key[len + 1] != '/')
    {
        return '\0';
    }

    *name = key + len + 2;

    if (key[len] != 'a' && !agent_name_valid(*name)) {
        return '\0';
    }

    return key[len];
}


bool
agent_model_put(agent_model_t *m, const char *key, const char *value,
    uint64_t mod_revision, uint64_t now)
{
    bool           ok;
    const char    *name;
    agent_put_pt   put;

    switch (agent_model_key(m, key, &name)) {
    case 'n':
        put = agent_put_node;
        break;
    case 'l':
        put = agent_put_load;
        break;
    case 'a':
        put = agent_put_guild;
        break;
    case 'q':
        put = agent_put_order;
        break;
    default:
        return false;
    }

    ok = put(m, name, value, mod_revision, now);

    if (!ok) {
        m->bad_values++;
    }

    return ok;
}


static void
agent_node_vanish(agent_model_t *m, agent_node_t *node, uint64_t now)
{
    if (!node->registered) {
        return;
    }

    node->registered = false;
    node->register_rev = 0;
    node->vanished = now;
    node->said = 0;
    agent_node_flags(m, node, now);
    agent_node_touch(m, node);
}


static void
agent_guild_release(agent_model_t *m, agent_guild_t *guild)
{
    agent_guild_unlink(guild);

    guild->provisional = false;
    guild->orphan = false;
    guild->busy = 0;
    agent_guild_touch(m, guild);
}


static void
agent_order_end(agent_model_t *m, agent_node_t *node, uint64_t now)
{
    node->order = AGENT_ORDER_NONE;
    node->order_rev = 0;
    agent_node_flags(m, node, now);
}


void
agent_model_delete(agent_model_t *m, const char *key, uint64_t revision,
    uint64_t now)
{
    char            kind;
    uint64_t        id;
    const char     *name;
    agent_node_t   *node;
    agent_guild_t  *guild;

    kind = agent_model_key(m, key, &name);

    if (kind == 'a') {
        guild = agent_value_id(name, &id) ? agent_model_guild(m, id) : NULL;

        if (guild != NULL && guild->node != NULL
            && guild->revision <= revision)
        {
            guild->revision = revision;
            agent_guild_release(m, guild);
        }

        return;
    }

    node = kind == '\0' ? NULL : agent_model_node(m, name);

    if (node == NULL) {
        return;
    }

    if (kind == 'n' && node->register_rev <= revision) {
        agent_node_vanish(m, node, now);

    } else if (kind == 'q' && node->order_rev <= revision) {
        agent_order_end(m, node, now);
    }
}


void
agent_model_list_begin(agent_model_t *m)
{
    agent_node_t  *node;

    m->list++;
    m->listing = true;

    /* an order has no mark of its own: it is there again, or it is not */

    for (node = m->nodes; node != NULL; node = node->next) {
        node->order_rev = 0;
    }
}


size_t
agent_model_list_end(agent_model_t *m, uint64_t revision, uint64_t now)
{
    size_t          i, n;
    agent_node_t   *node;
    agent_guild_t  *guild;

    n = 0;

    for (node = m->nodes; node != NULL; node = node->next) {

        if (node->registered && node->seen != m->list) {
            agent_node_vanish(m, node, now);
            n++;
        }

        if (node->order != AGENT_ORDER_NONE && node->order_rev == 0) {
            agent_order_end(m, node, now);
            n++;
        }
    }

    for (i = 0; i < m->buckets; i++) {
        for (guild = m->hash[i]; guild != NULL; guild = guild->chain) {

            if (guild->node != NULL && !guild->provisional
                && guild->seen != m->list)
            {
                agent_guild_release(m, guild);
                n++;
            }
        }
    }

    m->listing = false;
    m->revision = revision;

    return n;
}


void
agent_model_provisional(agent_model_t *m, uint64_t id, agent_node_t *node)
{
    agent_guild_t  *guild;

    guild = agent_model_guild_add(m, id);

    if (guild == NULL || (guild->node != NULL && !guild->provisional)) {
        return;
    }

    agent_guild_link(guild, node);

    guild->provisional = true;
    guild->revision = m->revision;
    memcpy(guild->boot, node->info.boot, sizeof(guild->boot));

    node->pending++;
    agent_guild_touch(m, guild);
}
