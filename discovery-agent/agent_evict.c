/*
 * Copyright (C) ngx-voice contributors
 *
 * An order to leave a node, by its own agent or by one that can't reach it.
 * It hangs on a lease of its own, whose end is the order's.
 */


#include "agent.h"
#include "agent_value.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>


#define AGENT_EVICT_AGAIN    1000      /* ms, until the next order */


static void
agent_evict_end(agent_t *a)
{
    agent_evict_t  *e = &a->evict;

    free(e->value);
    e->value = NULL;
    e->next = a->now + AGENT_EVICT_AGAIN;
}


/* Of a lease that holds nothing. */

static void
agent_evict_revoked(void *data, int code, const json_t *answer, uint64_t sent)
{
    (void) data;
    (void) code;
    (void) answer;
    (void) sent;
}


static void
agent_evict_put_handler(void *data, int code, const json_t *answer,
    uint64_t sent)
{
    char            key[AGENT_KEY_MAX];
    agent_t        *a = data;
    agent_evict_t  *e = &a->evict;

    (void) sent;

    if (code == AGENT_ETCD_OK
        && json_is_true(json_object_get(answer, "succeeded")))
    {
        agent_key(a, key, 'q', e->node);
        agent_model_put(&a->model, key, e->value,
                        agent_answer_revision(answer), a->now);
        agent_log(AGENT_LOG_ERR, "node \"%s\" is taken out for %u s: %s",
                  e->node, (unsigned) a->conf.alarm_length, e->why);

    } else if (code == AGENT_ETCD_OK) {
        (void) agent_etcd_call(a->etcd, "lease/revoke",
                               agent_lease_id(e->lease), agent_timeout(a),
                               agent_evict_revoked, a);
    }

    agent_evict_end(a);
}


static bool
agent_evict_put(agent_t *a)
{
    char            order[AGENT_KEY_MAX], key[AGENT_KEY_MAX];
    char            name[sizeof(a->evict.by[0]) * 2];
    size_t          i;
    json_t         *compare;
    agent_evict_t  *e = &a->evict;

    agent_key(a, order, 'q', e->node);
    compare = json_pack("[o]", agent_compare(order, "MOD", e->order_rev));

    for (i = 0; i < e->n; i++) {
        snprintf(name, sizeof(name), "%s/%s", e->node, e->by[i]);
        agent_key(a, key, 'x', name);
        json_array_append_new(compare, agent_compare_exists(key));
    }

    return agent_etcd_call(a->etcd, "kv/txn",
        agent_txn(compare,
                  json_pack("[o]", agent_op("request_put",
                                agent_put(order, e->value, e->lease))),
                  json_array()),
        agent_timeout(a), agent_evict_put_handler, a);
}


static void
agent_evict_lease_handler(void *data, int code, const json_t *answer,
    uint64_t sent)
{
    agent_t  *a = data;

    (void) sent;

    a->evict.lease = agent_number(answer, "ID");

    /* who wanted it wants it again */

    if (code != AGENT_ETCD_OK || a->evict.lease == 0 || !agent_evict_put(a)) {
        agent_evict_end(a);
    }
}


void
agent_evict(agent_t *a, const agent_node_t *node, const char *why,
    agent_node_t *const *by, size_t n)
{
    size_t          i;
    agent_evict_t  *e = &a->evict;

    if (e->value != NULL || a->now < e->next) {
        return;
    }

    snprintf(e->node, sizeof(e->node), "%s", node->info.name);
    snprintf(e->why, sizeof(e->why), "%s", why);
    e->order_rev = node->order_rev;    /* to drain, or none */
    e->n = n;

    for (i = 0; i < n; i++) {
        snprintf(e->by[i], sizeof(e->by[i]), "%s", by[i]->info.name);
    }

    e->value = agent_value_make_order("evict", a->conf.node, why, 0);

    if (e->value == NULL
        || !agent_etcd_call(a->etcd, "lease/grant",
                agent_lease_grant(a->conf.alarm_length), agent_timeout(a),
                agent_evict_lease_handler, a))
    {
        agent_evict_end(a);
    }
}


void
agent_evict_free(agent_t *a)
{
    agent_evict_end(a);
}
