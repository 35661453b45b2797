/*
 * Copyright (C) ngx-voice contributors
 *
 * Who probes whom, and what follows from what they say.
 *
 * Nodes of a region that have probes stand on a ring, at places by their
 * names, and each probes the AGENT_PEERS next ones: so each is probed by as
 * many, however many there are, and all agree on whom.  One that drains or
 * says that it is down is not on it.  One that is evicted is: others see by
 * that whether it may come back; but it is no judge of others.
 *
 * One who says that a node is lost makes it suspect, which takes no new
 * guilds.  Most of those who probe it, and two at least, may have it evicted.
 */


#include "agent_model_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>


static bool
agent_ring_member(const agent_node_t *node)
{
    return node->registered && (node->info.flags & VOICE_NODE_PROBES)
           && (node->info.flags & (VOICE_NODE_DOWN | VOICE_NODE_DRAIN)) == 0;
}


/* The nearest ones of the ring after a node, or those before it. */

static size_t
agent_ring_near(agent_model_t *m, const agent_node_t *node, bool before,
    agent_node_t *list[AGENT_PEERS])
{
    size_t         i, n;
    uint64_t       way, far[AGENT_PEERS];
    agent_node_t  *other;

    n = 0;

    for (other = m->nodes; other != NULL; other = other->next) {

        if (other == node || !agent_ring_member(other)
            || strcmp(other->info.region, node->info.region) != 0)
        {
            continue;
        }

        way = before ? node->place - other->place
                     : other->place - node->place;

        if (n == AGENT_PEERS && way >= far[n - 1]) {
            continue;
        }

        n += (n < AGENT_PEERS);

        for (i = n - 1; i != 0 && way < far[i - 1]; i--) {
            far[i] = far[i - 1];
            list[i] = list[i - 1];
        }

        far[i] = way;
        list[i] = other;
    }

    return n;
}


size_t
agent_model_peers(agent_model_t *m, const agent_node_t *node,
    agent_node_t *list[AGENT_PEERS])
{
    return agent_ring_member(node) ? agent_ring_near(m, node, false, list)
                                   : 0;
}


/* Of most nodes nobody says anything: the ring is not looked at for them. */

static bool
agent_ring_accused(const agent_model_t *m, const agent_node_t *node)
{
    const agent_accusation_t  *x;

    for (x = m->accusations; x != NULL; x = x->next) {
        if (strcmp(x->node, node->info.name) == 0) {
            return true;
        }
    }

    return false;
}


size_t
agent_model_accusers(agent_model_t *m, const agent_node_t *node,
    agent_node_t *list[AGENT_PEERS], size_t *probers)
{
    size_t               i, n, near;
    agent_accusation_t  *x;

    n = 0;
    *probers = 0;

    if (!agent_ring_accused(m, node) || !agent_ring_member(node)) {
        return 0;
    }

    near = agent_ring_near(m, node, true, list);

    for (i = 0; i < near; i++) {

        if (list[i]->order == AGENT_ORDER_EVICT) {
            continue;
        }

        (*probers)++;
        x = agent_model_accusation(m, node->info.name, list[i]->info.name);

        if (x != NULL && !x->ask) {
            list[n++] = list[i];
        }
    }

    return n;
}


agent_accusation_t *
agent_model_accusation(agent_model_t *m, const char *node, const char *by)
{
    agent_accusation_t  *x;

    for (x = m->accusations; x != NULL; x = x->next) {
        if (strcmp(x->node, node) == 0 && strcmp(x->by, by) == 0) {
            break;
        }
    }

    return x;
}


/*
 * So many at once are cut from each other, not from those who speak.  Those
 * that were taken out before, and that nobody reaches yet, are not at once.
 */

static bool
agent_ring_storm(agent_model_t *m, const char *region)
{
    size_t         suspects, total;
    agent_node_t  *node;

    suspects = 0;
    total = 0;

    for (node = m->nodes; node != NULL; node = node->next) {

        if (agent_ring_member(node) && node->order != AGENT_ORDER_EVICT
            && strcmp(node->info.region, region) == 0)
        {
            total++;
            suspects += (node->info.flags & VOICE_NODE_SUSPECT) != 0;
        }
    }

    return agent_model_many(suspects, total);
}


bool
agent_model_unreached(agent_model_t *m, const agent_node_t *node)
{
    size_t         n, probers;
    agent_node_t  *by[AGENT_PEERS];

    n = agent_model_accusers(m, node, by, &probers);

    /* a node that is dead does not report, and its lease says so */

    return n >= 2 && n * 2 > probers && node->lost != 0
           && node->load.at > node->lost
           && !agent_ring_storm(m, node->info.region);
}


void
agent_model_doubt(agent_model_t *m, agent_node_t *node, uint64_t now)
{
    /* one who asks is enough for all, and etcd has other things to do */

    if (node->registered && !agent_ring_accused(m, node)
        && (node->asked == 0 || now - node->asked >= AGENT_ASKED))
    {
        node->asked = now;
        node->hurry = true;
    }
}


void
agent_model_suspects(agent_model_t *m, uint64_t now)
{
    agent_node_t  *node;

    for (node = m->nodes; node != NULL; node = node->next) {
        if (m->accusations != NULL
            || (node->info.flags & VOICE_NODE_SUSPECT))
        {
            agent_node_flags(m, node, now);
        }
    }
}


/* Both names of a key; false: they are none. */

static bool
agent_accusation_names(const char *name, char *node, char *by)
{
    size_t  len;

    len = strcspn(name, "/");

    if (name[len] == '\0' || len > VOICE_CLUSTER_NAME_MAX
        || !agent_name_valid(name + len + 1))
    {
        return false;
    }

    memcpy(node, name, len);
    node[len] = '\0';
    strcpy(by, name + len + 1);

    return agent_name_valid(node);
}


/* The one that is there; NULL: none. */

static agent_accusation_t *
agent_accusation_find(agent_model_t *m, const char *name)
{
    char  node[VOICE_CLUSTER_NAME_MAX + 1], by[VOICE_CLUSTER_NAME_MAX + 1];

    return agent_accusation_names(name, node, by)
           ? agent_model_accusation(m, node, by) : NULL;
}


static agent_accusation_t *
agent_accusation_add(agent_model_t *m, const char *node, const char *by)
{
    agent_accusation_t  *x;

    x = m->accused < AGENT_ACCUSATIONS ? calloc(1, sizeof(agent_accusation_t))
                                       : NULL;

    if (x != NULL) {
        snprintf(x->node, sizeof(x->node), "%s", node);
        snprintf(x->by, sizeof(x->by), "%s", by);
        x->next = m->accusations;
        m->accusations = x;
        m->accused++;
    }

    return x;
}


bool
agent_accusation_put(agent_model_t *m, const char *name, bool ask,
    uint64_t revision, uint64_t now)
{
    char                 to[VOICE_CLUSTER_NAME_MAX + 1];
    char                 by[VOICE_CLUSTER_NAME_MAX + 1];
    agent_node_t        *node;
    agent_accusation_t  *x;

    if (!agent_accusation_names(name, to, by)) {
        m->refused = "the key must end in the names of two nodes, "
                     AGENT_NAME_IS;
        return false;
    }

    node = agent_model_node(m, to);

    if (node == NULL || agent_model_node(m, by) == NULL) {
        return true;                   /* nothing follows from it */
    }

    x = agent_accusation_find(m, name);

    if (x == NULL) {
        x = agent_accusation_add(m, to, by);

        if (x == NULL) {
            return false;
        }

        node->hurry = true;            /* do others find the same? */
    }

    x->seen = m->list;

    if (!agent_known_newer(m, x->revision, revision)) {
        x->revision = revision;
        x->ask = ask;
        agent_node_flags(m, node, now);
    }

    return true;
}


static void
agent_accusation_end(agent_model_t *m, agent_accusation_t **link)
{
    agent_accusation_t  *x = *link;

    *link = x->next;
    m->accused--;
    free(x);
}


void
agent_accusation_delete(agent_model_t *m, const char *name,
    uint64_t revision, uint64_t now)
{
    agent_node_t         *node;
    agent_accusation_t   *x, **link;

    x = agent_accusation_find(m, name);

    if (x == NULL || x->revision > revision) {
        return;
    }

    node = agent_model_node(m, x->node);

    for (link = &m->accusations; *link != x; link = &(*link)->next) {
        /* void */
    }

    agent_accusation_end(m, link);

    if (node != NULL) {
        agent_node_flags(m, node, now);
    }
}


void
agent_accusation_keep(agent_model_t *m, const char *name)
{
    agent_accusation_t  *x;

    x = agent_accusation_find(m, name);

    if (x != NULL) {
        x->seen = m->list;
    }
}


size_t
agent_accusation_list_end(agent_model_t *m)
{
    size_t               n;
    agent_accusation_t  *x, **link;

    n = 0;

    for (link = &m->accusations; (x = *link) != NULL; /* void */ ) {

        if (agent_list_missing(m, x->seen, x->revision)) {
            agent_accusation_end(m, link);
            n++;

        } else {
            link = &x->next;
        }
    }

    return n;
}


void
agent_accusation_free(agent_model_t *m)
{
    while (m->accusations != NULL) {
        agent_accusation_end(m, &m->accusations);
    }
}
