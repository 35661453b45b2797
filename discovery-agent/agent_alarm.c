/*
 * Copyright (C) ngx-voice contributors
 *
 * A flood: this node receives more packets than its calls explain.  It takes
 * itself out by an order that ends by itself, so that its guilds are
 * elsewhere before their members notice, and comes back afterwards.
 */


#include "agent.h"
#include "agent_value.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>


#define AGENT_ALARM_REPORTS    3       /* in a row */


static void
agent_alarm_put_handler(void *data, int code, const json_t *answer,
    uint64_t sent)
{
    agent_t  *a = data;

    (void) sent;

    a->alarm.busy = false;

    if (code == AGENT_ETCD_OK
        && json_is_true(json_object_get(answer, "succeeded")))
    {
        agent_log(AGENT_LOG_ERR, "this node is under attack: it takes itself "
                  "out for %u s", (unsigned) a->conf.alarm_length);
    }
}


static void
agent_alarm_lease_handler(void *data, int code, const json_t *answer,
    uint64_t sent)
{
    char      *value, order[AGENT_KEY_MAX], why[64];
    agent_t   *a = data;
    uint64_t   lease;

    (void) sent;

    a->alarm.busy = false;
    lease = agent_number(answer, "ID");

    if (code != AGENT_ETCD_OK || lease == 0) {
        return;                        /* the next report tries again */
    }

    snprintf(why, sizeof(why), "%u packets/s received",
             (unsigned) a->relay.rx_rate);
    value = agent_value_make_order("evict", a->conf.node, why, 0);

    if (value == NULL) {
        return;
    }

    agent_key(a, order, 'q', a->conf.node);

    a->alarm.busy = agent_etcd_call(a->etcd, "kv/txn",
        agent_txn(json_pack("[o]", agent_compare(order, "CREATE", 0)),
                  json_pack("[o]", agent_op("request_put",
                                agent_put(order, value, lease))),
                  json_array()),
        agent_timeout(a), agent_alarm_put_handler, a);

    free(value);
}


void
agent_alarm_report(agent_t *a)
{
    agent_node_t  *self;

    if (a->conf.alarm_packets == 0
        || a->relay.rx_rate < a->conf.alarm_packets)
    {
        a->alarm.reports = 0;
        return;
    }

    a->alarm.reports++;
    self = agent_model_self(&a->model);

    if (a->alarm.reports < AGENT_ALARM_REPORTS || a->alarm.busy
        || self == NULL || self->order == AGENT_ORDER_EVICT
        || !agent_confirmed(a))
    {
        return;
    }

    if (!agent_model_evictable(&a->model, self, a->now)) {
        if (a->alarm.reports == AGENT_ALARM_REPORTS) {
            agent_log(AGENT_LOG_ERR, "%u packets/s received, and nobody to "
                      "take this node's guilds, or too many evicted in the "
                      "last minute",
                      (unsigned) a->relay.rx_rate);
        }

        return;
    }

    a->alarm.busy = agent_etcd_call(a->etcd, "lease/grant",
        json_pack("{s:o}", "TTL", json_sprintf("%u",
                  (unsigned) a->conf.alarm_length)),
        agent_timeout(a), agent_alarm_lease_handler, a);
}
