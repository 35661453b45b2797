/*
 * Copyright (C) ngx-voice contributors
 *
 * A flood: this node receives more packets than its calls explain.  It takes
 * itself out by an order that ends by itself, so that its guilds are
 * elsewhere before their members notice, and comes back afterwards.
 */


#include "agent.h"

#include <stdio.h>


#define AGENT_ALARM_REPORTS    3       /* in a row */


void
agent_alarm_report(agent_t *a)
{
    char           why[64];
    agent_node_t  *self;

    if (a->conf.alarm_packets == 0
        || a->relay.rx_rate < a->conf.alarm_packets)
    {
        a->alarms = 0;
        return;
    }

    a->alarms++;
    self = agent_model_self(&a->model);

    if (a->alarms < AGENT_ALARM_REPORTS || self == NULL
        || self->order == AGENT_ORDER_EVICT || !agent_confirmed(a))
    {
        return;
    }

    snprintf(why, sizeof(why), "%u packets/s received",
             (unsigned) a->relay.rx_rate);

    if (!agent_model_evictable(&a->model, self, a->now)) {
        if (a->alarms == AGENT_ALARM_REPORTS) {
            agent_log(AGENT_LOG_ERR, "%s, and nobody to take this node's "
                      "guilds, or too many evicted in the last minute", why);
        }

        return;
    }

    agent_evict(a, self, why, NULL, 0);
}
