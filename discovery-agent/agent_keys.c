/*
 * Copyright (C) ngx-voice contributors
 *
 * Keys of etcd into the model.
 */


#include "agent_model_internal.h"
#include "agent_conf.h"
#include "agent_value.h"

#include <stdio.h>
#include <string.h>


bool
agent_known_newer(const agent_model_t *m, uint64_t known, uint64_t revision)
{
    return m->listing ? !m->list_anew && known > m->list_revision
                      : known > revision;
}


static bool
agent_put_node(agent_model_t *m, const char *name, const char *value,
    uint64_t revision, uint64_t now)
{
    uint32_t            said;
    agent_node_t       *node;
    voice_node_info_t   info;
    char                machine[AGENT_MACHINE_MAX + 1];

    if (!agent_value_node(value, &info, machine, &said, &m->refused)) {
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

    if (agent_known_newer(m, node->told_rev, revision)) {
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
    node->told_rev = revision;
    node->registered = true;
    node->vanished = 0;
    node->dead = false;
    node->on_hold = false;

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

    if (!agent_value_load(value, &load, &m->refused)) {
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

    if (!agent_value_order(value, &order, &after, &m->refused)) {
        return false;
    }

    node = agent_model_node_add(m, name, now);

    if (node == NULL) {
        return false;
    }

    if (order == AGENT_ORDER_EVICT && node->order != order) {
        node->evicted = now;
    }

    node->order = order;
    node->order_after = after;
    node->order_rev = revision;
    node->order_seen = m->list;
    agent_node_flags(m, node, now);

    return true;
}


/* No node's, and nobody's any more. */

static void
agent_slot_end(agent_model_t *m, const char *slot, uint64_t now)
{
    agent_node_t  *node;

    for (node = m->nodes; node != NULL; node = node->next) {
        if (strcmp(node->slot, slot) == 0) {
            node->slot[0] = '\0';
            agent_node_flags(m, node, now);
        }
    }
}


static bool
agent_put_slot(agent_model_t *m, const char *slot, const char *value,
    uint64_t revision, uint64_t now)
{
    agent_node_t  *node;

    (void) revision;

    if (!agent_name_valid(value)) {
        m->refused = "it must be the name of a node, " AGENT_NAME_IS;
        return false;
    }

    node = agent_model_node_add(m, value, now);

    if (node == NULL) {
        return false;
    }

    if (strcmp(node->slot, slot) != 0) {
        agent_slot_end(m, slot, now);
        snprintf(node->slot, sizeof(node->slot), "%s", slot);
        agent_node_flags(m, node, now);
    }

    node->slot_seen = m->list;

    return true;
}


static bool
agent_put_hold(agent_model_t *m, const char *name, const char *value,
    uint64_t revision, uint64_t now)
{
    agent_hold_t  order;

    (void) name;
    (void) now;

    if (!agent_value_hold(value, &order, &m->refused)) {
        return false;
    }

    m->hold_order = order;
    m->hold_rev = revision;
    m->hold_seen = m->list;

    return true;
}


static void
agent_hold_end(agent_model_t *m)
{
    m->hold_order = AGENT_HOLD_AUTO;
    m->hold_rev = 0;
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

    if (!agent_value_id(name, &id)) {
        m->refused = "the key must end in the id of a guild";
        return false;
    }

    if (!agent_value_guild(value, server, boot, &m->refused)) {
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

    if (!guild->provisional
        && agent_known_newer(m, guild->revision, revision))
    {
        return true;
    }

    was = guild->node;

    if (was != node) {
        if (was != NULL) {
            was->left = now;
        }

        if (was != NULL && was->order == AGENT_ORDER_EVICT) {
            agent_guild_evicted(guild, now);
        }

        agent_guild_link(guild, node);
        guild->since = now;
    }

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


static bool
agent_put_accusation(agent_model_t *m, const char *name, const char *value,
    uint64_t revision, uint64_t now)
{
    bool  ask;

    return agent_value_accusation(value, &ask, &m->refused)
           && agent_accusation_put(m, name, ask, revision, now);
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

    if (key[len] == 'o') {
        return strncmp(*name, "drain/", 6) == 0
               && strlen(*name) < AGENT_SLOT_MAX ? 'o' : '\0';
    }

    if (key[len] == 'c') {
        return strcmp(*name, "hold") == 0 ? 'c' : '\0';
    }

    return key[len];
}


/* A list that has a bad value for it does not say that it is gone. */

static void
agent_keep_known(agent_model_t *m, char kind, const char *name)
{
    uint64_t        id;
    agent_node_t   *node;
    agent_guild_t  *guild;

    if (kind == 'a') {
        guild = agent_value_id(name, &id) ? agent_model_guild(m, id) : NULL;

        if (guild != NULL) {
            guild->seen = m->list;
        }

        return;
    }

    if (kind == 'x') {
        agent_accusation_keep(m, name);
        return;
    }

    if (kind == 'c') {
        m->hold_seen = m->list;
        return;
    }

    node = agent_model_node(m, name);

    if (node != NULL && kind == 'n') {
        node->seen = m->list;

    } else if (node != NULL && kind == 'q') {
        node->order_seen = m->list;
    }
}


bool
agent_model_put(agent_model_t *m, const char *key, const char *value,
    uint64_t mod_revision, uint64_t now)
{
    char           kind;
    const char    *name;
    agent_put_pt   put;

    kind = agent_model_key(m, key, &name);

    switch (kind) {
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
    case 'o':
        put = agent_put_slot;
        break;
    case 'x':
        put = agent_put_accusation;
        break;
    case 'c':
        put = agent_put_hold;
        break;
    default:
        return false;
    }

    m->refused = "there is no room for more";

    if (strchr("nlq", kind) != NULL && !agent_name_valid(name)) {
        m->refused = "the key must end in the name of a node, " AGENT_NAME_IS;

    } else if (put(m, name, value, mod_revision, now)) {
        return true;
    }

    m->bad_values++;
    agent_keep_known(m, kind, name);

    return false;
}


bool
agent_model_list_put(agent_model_t *m, const char *key, const char *value,
    uint64_t mod_revision, uint64_t now)
{
    bool  ok;

    m->listing = true;
    ok = agent_model_put(m, key, value, mod_revision, now);
    m->listing = false;

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

        /* a provisional one is there because etcd has none */

        if (guild != NULL && guild->node != NULL && !guild->provisional
            && guild->revision <= revision)
        {
            guild->revision = revision;
            agent_guild_release(m, guild);
        }

        return;
    }

    if (kind == 'o') {
        agent_slot_end(m, name, now);
        return;
    }

    if (kind == 'x') {
        agent_accusation_delete(m, name, revision, now);
        return;
    }

    if (kind == 'c') {
        if (m->hold_rev <= revision) {
            agent_hold_end(m);
        }

        return;
    }

    node = kind == '\0' ? NULL : agent_model_node(m, name);

    if (node == NULL) {
        return;
    }

    if (kind == 'n' && node->told_rev <= revision) {
        node->told_rev = revision;
        agent_node_vanish(m, node, now);

    } else if (kind == 'q' && node->order_rev <= revision) {
        agent_order_end(m, node, now);
    }
}


void
agent_model_list_begin(agent_model_t *m, uint64_t revision, bool anew)
{
    m->list++;
    m->list_revision = revision;
    m->list_anew = anew || revision < m->revision;
}


bool
agent_list_missing(const agent_model_t *m, uint32_t seen, uint64_t revision)
{
    return seen != m->list && (m->list_anew || revision <= m->list_revision);
}


static size_t
agent_list_end_node(agent_model_t *m, agent_node_t *node, uint64_t now)
{
    size_t  n;

    n = 0;

    if (agent_list_missing(m, node->seen, node->told_rev)) {
        n += node->registered;
        node->told_rev = m->list_revision;
        agent_node_vanish(m, node, now);
    }

    if (node->order != AGENT_ORDER_NONE
        && agent_list_missing(m, node->order_seen, node->order_rev))
    {
        agent_order_end(m, node, now);
        n++;
    }

    if (node->slot[0] != '\0' && node->slot_seen != m->list) {
        node->slot[0] = '\0';
        agent_node_flags(m, node, now);
        n++;
    }

    return n;
}


size_t
agent_model_list_end(agent_model_t *m, uint64_t now)
{
    size_t          i, n;
    agent_node_t   *node;
    agent_guild_t  *guild;

    n = agent_accusation_list_end(m);

    for (node = m->nodes; node != NULL; node = node->next) {
        n += agent_list_end_node(m, node, now);
    }

    agent_model_suspects(m, now);

    if (m->hold_order != AGENT_HOLD_AUTO
        && agent_list_missing(m, m->hold_seen, m->hold_rev))
    {
        agent_hold_end(m);
        n++;
    }

    for (i = 0; i < m->buckets; i++) {
        for (guild = m->hash[i]; guild != NULL; guild = guild->chain) {

            if (guild->node != NULL && !guild->provisional
                && agent_list_missing(m, guild->seen, guild->revision))
            {
                guild->revision = m->list_revision;
                agent_guild_release(m, guild);
                n++;
            }

            if (guild->node == NULL && m->list_anew) {
                guild->revision = m->list_revision;
            }

            if (guild->node == NULL && !agent_guild_remembered(guild, now)) {
                guild->evictions = 0;
                agent_guild_touch(m, guild);
            }
        }
    }

    m->revision = m->list_revision;

    return n;
}


void
agent_model_provisional(agent_model_t *m, uint64_t id, agent_node_t *node,
    uint64_t now)
{
    agent_guild_t  *guild;

    guild = agent_model_guild_add(m, id);

    if (guild == NULL || (guild->node != NULL && !guild->provisional)) {
        return;
    }

    agent_guild_link(guild, node);

    guild->since = now;
    guild->provisional = true;
    guild->revision = m->revision;
    memcpy(guild->boot, node->info.boot, sizeof(guild->boot));

    node->pending++;
    agent_guild_touch(m, guild);
}
