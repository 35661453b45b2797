/*
 * Copyright (C) ngx-voice contributors
 *
 * This node is to become empty: by an order in etcd, by its nginx, or
 * because the agent shall end.  Only so many nodes of a region do so at a
 * time: each takes a slot, a key that hangs on its lease, and until it has
 * one goes on as if nothing were.  With a slot it gets no new guilds, and
 * those it has move away when it is time (agent_plan.c).  Once nobody is left
 * it says "drained" and lets go of the slot.
 */


#include "agent.h"

#include <stdio.h>
#include <string.h>


#define AGENT_DRAIN_SLOTS     64
#define AGENT_DRAIN_AGAIN     500      /* ms, until another slot is tried */


/* The slot is taken: by ourselves, if an answer of etcd's was lost. */

static void
agent_drain_kv(void *data, const agent_kv_t *kv)
{
    agent_t  *a = data;

    (void) agent_model_put(&a->model, kv->key, kv->value, kv->mod_revision,
                           a->now);
    a->model.drain_slot = kv->lease == a->session.lease;
}


static void
agent_drain_handler(void *data, int code, const json_t *answer, uint64_t sent)
{
    agent_t          *a = data;
    agent_session_t  *s = &a->session;

    s->drain_busy = false;

    if (code != AGENT_ETCD_OK || agent_session_former(a, sent)) {
        return;                        /* asked again, for the same slot */
    }

    if (json_is_true(json_object_get(answer, "succeeded"))) {
        a->model.drain_slot = true;
        (void) agent_model_put(&a->model, s->drain_key, a->conf.node,
                               agent_answer_revision(answer), a->now);

    } else {
        agent_kvs_each(json_object_get(json_object_get(json_array_get(
                           json_object_get(answer, "responses"), 0),
                           "response_range"), "kvs"), agent_drain_kv, a);
    }

    if (a->model.drain_slot) {
        agent_log(AGENT_LOG_INFO, "draining, with slot %s", s->drain_key);
        s->drain_waits = false;
        return;
    }

    s->drain_key[0] = '\0';

    if (!s->drain_waits) {
        s->drain_waits = true;
        agent_log(AGENT_LOG_INFO, "to drain: waiting for a slot");
    }
}


static void
agent_drain_release_handler(void *data, int code, const json_t *answer,
    uint64_t sent)
{
    agent_t          *a = data;
    agent_session_t  *s = &a->session;

    s->drain_busy = false;

    if (code != AGENT_ETCD_OK || agent_session_former(a, sent)) {
        return;
    }

    if (json_is_true(json_object_get(answer, "succeeded"))) {
        agent_model_delete(&a->model, s->drain_key,
                           agent_answer_revision(answer), a->now);
    }

    s->drain_key[0] = '\0';
}


/* Until etcd says so: others wait for it. */

static void
agent_drain_release(agent_t *a)
{
    agent_session_t  *s = &a->session;

    a->model.drain_slot = false;

    if (s->drain_key[0] == '\0' || s->drain_busy || a->now < s->drain_next) {
        return;
    }

    s->drain_next = a->now + agent_spread(AGENT_DRAIN_AGAIN);

    /* ours alone: it may be another one's, if an answer was lost */

    s->drain_busy = agent_etcd_call(a->etcd, "kv/txn",
        agent_txn(json_pack("[o]", agent_compare(s->drain_key, "LEASE",
                                                 s->lease)),
                  json_pack("[o]", agent_op("request_delete_range",
                                            agent_range(s->drain_key))),
                  json_array()),
        agent_timeout(a), agent_drain_release_handler, a);
}


static unsigned
agent_drain_slots(agent_t *a)
{
    unsigned       n;
    agent_node_t  *node;

    n = 0;

    for (node = a->model.nodes; node != NULL; node = node->next) {
        n += node->registered
             && strcmp(node->info.region, a->conf.region) == 0;
    }

    n = n * a->conf.drain_percent / 100;

    return n == 0 ? 1 : n > AGENT_DRAIN_SLOTS ? AGENT_DRAIN_SLOTS : n;
}


/* Any of the region's; a prefix that is the region's alone says which one. */

static void
agent_drain_key(agent_t *a, char *key)
{
    char      name[AGENT_SLOT_MAX], own[sizeof(a->conf.prefix)];
    bool      shared;
    unsigned  slot;

    snprintf(own, sizeof(own), "rv1/%s/", a->conf.region);

    shared = strcmp(a->conf.prefix, own) != 0;
    slot = (unsigned) (agent_spread(1000) % agent_drain_slots(a));

    snprintf(name, sizeof(name), "drain/%s%s%u",
             shared ? a->conf.region : "", shared ? "/" : "", slot);
    agent_key(a, key, 'o', name);
}


static void
agent_drain_take(agent_t *a)
{
    char             *key = a->session.drain_key;
    agent_session_t  *s = &a->session;

    if (a->model.drain_slot || s->drain_busy || a->now < s->drain_next) {
        return;
    }

    s->drain_next = a->now + agent_spread(AGENT_DRAIN_AGAIN);

    if (key[0] == '\0') {
        agent_drain_key(a, key);
    }

    s->drain_busy = agent_etcd_call(a->etcd, "kv/txn",
        agent_txn(json_pack("[o]", agent_compare(key, "CREATE", 0)),
                  json_pack("[o]", agent_op("request_put",
                                agent_put(key, a->conf.node, s->lease))),
                  json_pack("[o]", agent_op("request_range",
                                            agent_range(key)))),
        agent_timeout(a), agent_drain_handler, a);
}


/*
 * A node that came up while it was ordered to drain has nobody, and shall
 * have nobody: it needs no slot for that.
 */

static void
agent_drain_left(agent_t *a, const agent_node_t *self)
{
    bool              empty;
    agent_session_t  *s = &a->session;

    empty = self->guilds == 0
            && atomic_load(&a->zone.w.c.header->relay.sessions) == 0;

    if (!s->drained && empty && (a->model.drain_slot || !s->drain_open)) {
        s->drained = true;
        agent_log(AGENT_LOG_INFO, "drained: nobody is left");

    } else if (s->drained && self->guilds != 0) {
        s->drained = false;
    }
}


void
agent_drain_tick(agent_t *a)
{
    agent_node_t     *self;
    agent_session_t  *s = &a->session;

    self = agent_model_self(&a->model);

    a->model.drain_now = s->ending
               || atomic_load(&a->zone.w.c.header->relay.draining) == 2;

    if (self == NULL
        || (self->order != AGENT_ORDER_DRAIN && !agent_drain_wanted(a)))
    {
        s->drain_open = true;
        s->drain_waits = false;
        s->drained = false;
        agent_drain_release(a);
        return;
    }

    agent_drain_left(a, self);

    if (s->drained) {
        agent_drain_release(a);
        return;
    }

    /* somebody deleted the key: taken anew, the same one if it is free */

    if (a->model.drain_slot && self->slot[0] == '\0') {
        a->model.drain_slot = false;
    }

    agent_drain_take(a);
}


bool
agent_drain_wanted(const agent_t *a)
{
    return a->session.ending
           || atomic_load(&a->zone.w.c.header->relay.draining) != 0;
}


bool
agent_drain_done(agent_t *a)
{
    agent_node_t  *self, *other;

    self = agent_model_self(&a->model);

    return !agent_confirmed(a) || self == NULL || self->guilds == 0
           || a->now - a->session.ending >= a->conf.stop_after
           || agent_model_choose(&a->model, 0, a->conf.region, self, a->now,
                                 &other) != VOICE_OK;
}
