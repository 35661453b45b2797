/*
 * Copyright (C) ngx-voice contributors
 *
 * What this node says of others: x/<node>/<this node>, on a lease of a few
 * seconds that is renewed for as long as there is something to say.  And what
 * follows from what all say: a node that is alive, but that nobody reaches, is
 * taken out by one of those who say so.
 */


#include "agent.h"

#include <stdio.h>
#include <string.h>


#define AGENT_SUSPECT_TTL      3       /* s */
#define AGENT_SUSPECT_AGAIN    300     /* ms after a call that failed */
#define AGENT_SUSPECT_SETTLE   300     /* ms, for others to be suspected too:
                                          then it is no matter of one node */
#define AGENT_SUSPECT_ASKED    1000    /* ms that a client's doubt is told */
#define AGENT_SUSPECT_TOLD     60000   /* ms between lines on one that stays */


static void
agent_suspect_lease_handler(void *data, int code, const json_t *answer,
    uint64_t sent)
{
    uint64_t          lease;
    agent_t          *a = data;
    agent_suspect_t  *s = &a->suspect;

    s->lease_busy = false;

    if (code != AGENT_ETCD_OK && code != AGENT_ETCD_NOT_FOUND) {
        s->next = a->now + AGENT_SUSPECT_AGAIN;
        return;
    }

    /* of a grant, or of a keepalive: without TTL it is over */

    lease = agent_number(answer, "ID");

    if (s->lease != 0) {
        answer = json_object_get(answer, "result");
        lease = agent_number(answer, "TTL") == 0 ? 0 : s->lease;
    }

    s->lease = lease;
    s->next = lease == 0 ? a->now + AGENT_SUSPECT_AGAIN
                         : sent + AGENT_SUSPECT_TTL * 1000 / 3;
}


static void
agent_suspect_lease(agent_t *a)
{
    agent_suspect_t  *s = &a->suspect;

    if (s->lease_busy || a->now < s->next) {
        return;
    }

    if (s->lease == 0) {
        s->lease_busy = agent_etcd_call(a->etcd, "lease/grant",
            agent_lease_grant(AGENT_SUSPECT_TTL), agent_timeout(a),
            agent_suspect_lease_handler, a);

    } else {
        s->lease_busy = agent_etcd_call(a->etcd, "lease/keepalive",
            agent_lease_id(s->lease), agent_timeout(a),
            agent_suspect_lease_handler, a);
    }
}


static void
agent_suspect_key_handler(void *data, int code, const json_t *answer,
    uint64_t sent)
{
    uint64_t          revision;
    agent_t          *a = data;
    agent_suspect_t  *s = &a->suspect;

    (void) sent;

    s->key_busy = false;
    revision = agent_answer_revision(answer);

    if (code == AGENT_ETCD_NOT_FOUND) {
        s->lease = 0;

    } else if (code != AGENT_ETCD_OK) {
        s->next_key = a->now + AGENT_SUSPECT_AGAIN;

    } else if (s->value[0] != '\0') {
        agent_model_put(&a->model, s->key, s->value, revision, a->now);

    } else {
        agent_model_delete(&a->model, s->key, revision, a->now);
    }
}


/* value "": it is taken back */

static void
agent_suspect_say(agent_t *a, const agent_node_t *node, const char *value)
{
    char              name[2 * VOICE_CLUSTER_NAME_MAX + 2];
    agent_suspect_t  *s = &a->suspect;

    if (s->key_busy || a->now < s->next_key
        || (s->lease == 0 && value[0] != '\0'))
    {
        return;
    }

    snprintf(name, sizeof(name), "%s/%s", node->info.name, a->conf.node);
    agent_key(a, s->key, 'x', name);
    snprintf(s->value, sizeof(s->value), "%s", value);

    s->key_busy = value[0] != '\0'
        ? agent_etcd_call(a->etcd, "kv/put",
                          agent_put(s->key, value, s->lease),
                          agent_timeout(a), agent_suspect_key_handler, a)
        : agent_etcd_call(a->etcd, "kv/deleterange", agent_range(s->key),
                          agent_timeout(a), agent_suspect_key_handler, a);
}


/* True: there is something to say, so that the lease has to live. */

static bool
agent_suspect_node(agent_t *a, agent_node_t *node)
{
    bool                 lost, ask;
    agent_accusation_t  *said;

    lost = node->lost != 0;
    ask = !lost && node->asked != 0
          && a->now - node->asked < AGENT_SUSPECT_ASKED;
    said = agent_model_accusation(&a->model, node->info.name, a->conf.node);

    if ((lost || ask) != (said != NULL) || (said != NULL && said->ask != ask))
    {
        agent_suspect_say(a, node, lost ? "{}" : ask ? "{\"ask\":true}" : "");
    }

    return lost || ask;
}


/* by: who says so; the nearest one acts at once, others if it does not. */

static bool
agent_suspect_turn(agent_t *a, const agent_node_t *node,
    agent_node_t *const *by, size_t n)
{
    size_t  i;

    for (i = 0; i < n && strcmp(by[i]->info.name, a->conf.node) != 0; i++) {
        /* void */
    }

    return i < n && a->now - node->agreed >= AGENT_SUSPECT_SETTLE
                                             + i * AGENT_RANK_DELAY;
}


static void
agent_suspect_why(char *why, size_t size, agent_node_t *const *by, size_t n)
{
    size_t  i, len;

    len = (size_t) snprintf(why, size, "alive, but no voice comes back:");

    for (i = 0; i < n && len < size; i++) {
        len += (size_t) snprintf(why + len, size - len, "%s %s",
                                 i == 0 ? "" : ",", by[i]->info.name);
    }
}


static void
agent_suspect_judge(agent_t *a, agent_node_t *node)
{
    char           why[128];
    size_t         n, probers;
    agent_node_t  *by[AGENT_PEERS];

    if (node->order == AGENT_ORDER_EVICT
        || (a->model.holding && a->now - a->model.hold_since < a->model.hold)
        || !agent_model_unreached(&a->model, node))
    {
        node->agreed = 0;
        return;
    }

    if (node->agreed == 0) {
        node->agreed = a->now;
    }

    n = agent_model_accusers(&a->model, node, by, &probers);

    if (a->evict.value != NULL || !agent_suspect_turn(a, node, by, n)) {
        return;
    }

    agent_suspect_why(why, sizeof(why), by, n);

    if (agent_model_evictable(&a->model, node, a->now)) {
        agent_evict(a, node, why, by, n);
        return;
    }

    if (a->now >= a->suspect.next_told) {
        a->suspect.next_told = a->now + AGENT_SUSPECT_TOLD;
        agent_log(AGENT_LOG_ERR, "node \"%s\" stays: %s; but nobody is there "
                  "to take its guilds, or too many were evicted in the last "
                  "minute", node->info.name, why);
    }
}


void
agent_suspect_tick(agent_t *a)
{
    bool           says;
    agent_node_t  *node;

    agent_model_suspects(&a->model, a->now);

    if (!agent_confirmed(a)) {
        return;
    }

    says = false;

    for (node = a->model.nodes; node != NULL; node = node->next) {
        says = agent_suspect_node(a, node) || says;
        agent_suspect_judge(a, node);
    }

    if (says) {
        agent_suspect_lease(a);

    } else if (!a->suspect.lease_busy) {
        a->suspect.lease = 0;          /* it ends, and holds nothing */
        a->suspect.next = 0;
    }
}
