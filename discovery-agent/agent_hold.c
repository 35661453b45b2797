/*
 * Copyright (C) ngx-voice contributors
 *
 * Who is dead: nodes that vanished from etcd longer ago than the grace.  If
 * many vanish together, etcd or the way to it is more likely to have failed
 * than all of them: they are held, and asked themselves.
 */


#include "agent_model_internal.h"

#include <string.h>


#define AGENT_ASK_PERIOD       2000    /* ms */


typedef struct {
    size_t    missing;         /* that vanished and are not dead */
    size_t    recent;          /* that died of late */
    size_t    total;           /* with all who are there */
    bool      due;             /* one of the missing is to die */
} agent_census_t;


static bool
agent_node_due(const agent_model_t *m, const agent_node_t *node,
    uint64_t now)
{
    return !node->registered && !node->dead
           && now - node->vanished >= m->grace;
}


static void
agent_hold_count(const agent_model_t *m, uint64_t now, agent_census_t *c)
{
    const agent_node_t  *node;

    memset(c, 0, sizeof(agent_census_t));

    for (node = m->nodes; node != NULL; node = node->next) {

        if (node->registered) {
            c->total++;

        } else if (!node->dead) {

            /* a name that somebody wrote somewhere has not vanished */

            if (node->info.boot[0] != '\0' || node->guilds != 0) {
                c->total++;
                c->missing++;
            }

            c->due = c->due || agent_node_due(m, node, now);

        } else if (now - node->vanished < m->grace + AGENT_NEWS) {

            /* leases that nobody renews end one by one, within TTL/3 */

            c->total++;
            c->recent++;
        }
    }
}


static bool
agent_hold_wanted(const agent_model_t *m, const agent_census_t *c)
{
    if (m->hold_order != AGENT_HOLD_AUTO) {
        return m->hold_order == AGENT_HOLD_ON;
    }

    return agent_model_many(c->missing + c->recent, c->total);
}


/*
 * One that was held needs more than that others are back: that it was asked
 * itself, and did not answer.
 */

static bool
agent_hold_over(const agent_model_t *m, const agent_node_t *node,
    uint64_t now)
{
    switch (m->hold_order) {

    case AGENT_HOLD_ON:
        return false;

    case AGENT_HOLD_OFF:
        return true;

    default:
        return (!m->holding || now - m->hold_since >= m->hold)
               && (!node->on_hold || node->silent >= AGENT_HOLD_SILENT);
    }
}


void
agent_model_tick(agent_model_t *m, uint64_t now)
{
    bool             hold;
    agent_node_t    *node;
    agent_census_t   census;

    agent_hold_count(m, now, &census);

    if (!census.due) {
        m->holding = m->holding && census.missing != 0;
        return;
    }

    hold = agent_hold_wanted(m, &census);

    if (hold && !m->holding) {
        m->hold_since = now;
    }

    m->holding = hold;

    for (node = m->nodes; node != NULL; node = node->next) {

        if (!agent_node_due(m, node, now)) {
            continue;
        }

        if (hold && !node->on_hold) {
            node->on_hold = true;
            node->answers = false;
            node->silent = 0;
            node->ask_next = now;
            agent_node_flags(m, node, now);
        }

        if (agent_hold_over(m, node, now)) {
            node->dead = true;
            node->on_hold = false;
            node->since = now;
            agent_node_flags(m, node, now);
        }
    }
}


agent_node_t *
agent_model_ask(agent_model_t *m, uint64_t now)
{
    agent_node_t  *node;

    for (node = m->nodes; node != NULL; node = node->next) {

        if (node->on_hold && !node->asking && now >= node->ask_next
            && strcmp(node->info.name, m->self) != 0)
        {
            node->asking = true;
            node->ask_next = now + AGENT_ASK_PERIOD;
            node->held++;
            return node;
        }
    }

    return NULL;
}


bool
agent_model_asked(agent_node_t *node, bool answered)
{
    bool  was;

    node->asking = false;
    node->held--;

    if (!answered) {
        node->silent++;
        node->answers = node->answers && node->silent < AGENT_HOLD_SILENT;

        return node->on_hold && node->silent == AGENT_HOLD_SILENT;
    }

    was = node->answers;
    node->answers = true;
    node->silent = 0;

    return node->on_hold && !was;
}
