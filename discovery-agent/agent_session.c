/*
 * Copyright (C) ngx-voice contributors
 *
 * The node's lease, its registration, its load reports, and what state all
 * of that is.
 */


#include "agent.h"
#include "agent_value.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>


static uint64_t
agent_ttl(const agent_t *a)
{
    return (uint64_t) a->conf.ttl * 1000;
}


bool
agent_confirmed(const agent_t *a)
{
    const agent_session_t  *s = &a->session;

    return s->lease != 0 && s->register_rev != 0 && s->listed && s->created
           && a->now - s->confirmed < agent_ttl(a);
}


char *
agent_session_value(agent_t *a, const char *state)
{
    voice_node_info_t             info;
    const voice_cluster_relay_t  *relay = &a->zone.w.c.header->relay;

    memset(&info, 0, sizeof(info));

    snprintf(info.boot, sizeof(info.boot), "%.*s",
             (int) sizeof(relay->boot) - 1, relay->boot);
    snprintf(info.endpoint, sizeof(info.endpoint), "%s", a->conf.endpoint);
    snprintf(info.peer, sizeof(info.peer), "%s", a->conf.peer);
    snprintf(info.dc, sizeof(info.dc), "%s", a->conf.dc);
    snprintf(info.region, sizeof(info.region), "%s", a->conf.region);
    snprintf(info.pool, sizeof(info.pool), "%s", a->conf.pool);
    info.capacity = a->conf.capacity != 0 ? a->conf.capacity
                                          : atomic_load(&relay->capacity);
    info.flags = a->conf.probe_key[0] != '\0' && a->conf.probe_period != 0
                 ? VOICE_NODE_PROBES : 0;

    return agent_value_make_node(&info, a->conf.machine, state);
}


void
agent_session_lost(agent_t *a, const char *why)
{
    agent_session_t  *s = &a->session;

    if (s->lease == 0) {
        return;
    }

    agent_log(AGENT_LOG_WARN, "this node's lease is lost (%s): registering "
              "again", why);

    s->lease = 0;
    s->register_rev = 0;
    s->registering = false;
    s->next_grant = 0;
    s->next_register = 0;
    s->lost = true;
    s->listed = false;
    s->load_put = 0;
    s->drain_key[0] = '\0';
    a->model.drain_slot = false;

    free(s->published);
    s->published = NULL;
}


bool
agent_session_former(const agent_t *a, uint64_t sent)
{
    return a->session.lease == 0 || sent < a->session.asked;
}


static void
agent_grant_handler(void *data, int code, const json_t *answer, uint64_t sent)
{
    agent_t          *a = data;
    agent_session_t  *s = &a->session;

    s->granting = false;

    if (code == AGENT_ETCD_OK) {
        s->lease = agent_number(answer, "ID");
    }

    if (s->lease == 0) {
        s->next_grant = a->now + agent_backoff(4);
        return;
    }

    s->asked = sent;
    s->confirmed = sent;
    s->next_keepalive = sent + agent_ttl(a) / 3;
}


static void
agent_keepalive_handler(void *data, int code, const json_t *answer,
    uint64_t sent)
{
    agent_t          *a = data;
    const json_t     *result;
    agent_session_t  *s = &a->session;

    s->keeping = false;

    if (agent_session_former(a, sent)) {
        return;
    }

    result = json_object_get(answer, "result");

    if (code == AGENT_ETCD_NOT_FOUND) {
        agent_session_lost(a, "lease not found");

    } else if (code != AGENT_ETCD_OK) {
        s->next_keepalive = a->now + agent_backoff(2);

    } else if (agent_number(result, "ID") == s->lease) {

        /* no TTL in an answer means none left, with HTTP status 200 */

        if (agent_number(result, "TTL") == 0) {
            agent_session_lost(a, "keepalive without TTL");
            return;
        }

        s->confirmed = sent;
        s->next_keepalive = sent + agent_ttl(a) / 3;

    } else {
        s->next_keepalive = a->now + agent_backoff(2);
    }
}


static void
agent_session_lease(agent_t *a)
{
    agent_session_t  *s = &a->session;

    if (s->lease == 0) {

        if (!s->granting && a->now >= s->next_grant) {
            s->granting = agent_etcd_call(a->etcd, "lease/grant",
                agent_lease_grant(a->conf.ttl), agent_timeout(a),
                agent_grant_handler, a);
        }

    } else if (!s->keeping && a->now >= s->next_keepalive) {
        s->keeping = agent_etcd_call(a->etcd, "lease/keepalive",
            agent_lease_id(s->lease), agent_timeout(a),
            agent_keepalive_handler, a);
    }
}


static void agent_register_send(agent_t *a, uint64_t seen);


typedef struct {
    uint64_t    revision;              /* 0: there is no such key */
    uint64_t    lease;
    char        machine[AGENT_MACHINE_MAX + 1];
    char        boot[VOICE_CLUSTER_BOOT_MAX + 1];
} agent_register_seen_t;


static void
agent_register_kv(void *data, const agent_kv_t *kv)
{
    uint32_t                said;
    const char             *why;
    voice_node_info_t       info;
    agent_register_seen_t  *seen = data;

    seen->revision = kv->mod_revision;
    seen->lease = kv->lease;

    if (agent_value_node(kv->value, &info, seen->machine, &said, &why)) {
        memcpy(seen->boot, info.boot, sizeof(seen->boot));

    } else {
        agent_value_machine(kv->value, seen->machine);
    }
}


/*
 * A relay's boot id is its own, so a key with ours is of an agent that was
 * here before; a machine's id may be that of the image it was made from.  One
 * that no lease holds is of nobody.
 */

static bool
agent_register_ours(const agent_t *a, const agent_register_seen_t *seen)
{
    return seen->lease == 0
           || (strcmp(seen->machine, a->conf.machine) == 0
               && strcmp(seen->boot, a->zone.w.c.header->relay.boot) == 0);
}


/* Our name is taken: by our own former life, or by somebody else. */

static void
agent_register_taken(agent_t *a, const json_t *answer)
{
    agent_session_t        *s = &a->session;
    agent_register_seen_t   seen;

    memset(&seen, 0, sizeof(seen));

    agent_kvs_each(json_object_get(json_object_get(json_array_get(
                       json_object_get(answer, "responses"), 0),
                       "response_range"), "kvs"),
                   agent_register_kv, &seen);

    if (seen.revision == 0 || a->zone.mem == NULL) {
        s->next_register = a->now + agent_backoff(2);
        return;
    }

    if (agent_register_ours(a, &seen)) {
        s->stranger_since = 0;
        s->stranger_told = false;
        agent_register_send(a, seen.revision);
        return;
    }

    if (s->stranger_since == 0) {
        s->stranger_since = a->now;

    } else if (a->now - s->stranger_since >= 2 * agent_ttl(a)
               && !s->stranger_told)
    {
        s->stranger_told = true;
        agent_log(AGENT_LOG_ERR, "node name \"%s\" is used by another machine "
                  "(\"%s\", this one is \"%s\"): this node stays out until "
                  "that one has gone", a->conf.node, seen.machine,
                  a->conf.machine);
    }

    /* what it was may be over any moment, but for a stranger */

    s->next_register = a->now + (s->stranger_told ? 1000 : agent_backoff(3));
}


/* Nobody knows what etcd has: it is told once more. */

static void
agent_register_again(agent_session_t *s)
{
    free(s->published);
    s->published = NULL;
}


static void
agent_register_handler(void *data, int code, const json_t *answer,
    uint64_t sent)
{
    agent_t          *a = data;
    agent_session_t  *s = &a->session;

    if (agent_session_former(a, sent)) {
        return;                        /* s->registering is of another call */
    }

    s->registering = false;

    if (code == AGENT_ETCD_NOT_FOUND) {
        agent_session_lost(a, "lease not found");
        return;
    }

    if (code != AGENT_ETCD_OK) {
        agent_register_again(s);
        s->next_register = a->now + agent_backoff(3);
        return;
    }

    if (!json_is_true(json_object_get(answer, "succeeded"))) {
        s->register_rev = 0;
        agent_register_taken(a, answer);
        return;
    }

    if (s->register_rev == 0) {
        agent_log(AGENT_LOG_INFO, "node \"%s\" is registered, revision %llu",
                  a->conf.node,
                  (unsigned long long) agent_answer_revision(answer));
        s->lost = false;
        s->stranger_since = 0;
        s->stranger_told = false;
        s->next_load = 0;
    }

    s->register_rev = agent_answer_revision(answer);
}


/* seen: mod revision of the key as it is; 0: there is none */

static void
agent_register_send(agent_t *a, uint64_t seen)
{
    char              key[AGENT_KEY_MAX];
    json_t           *txn;
    agent_session_t  *s = &a->session;

    if (a->zone.mem == NULL) {
        return;                        /* it is about to be another one */
    }

    free(s->published);
    s->published = agent_session_value(a, agent_relay_state(a));

    if (s->published == NULL) {
        return;
    }

    agent_key(a, key, 'n', a->conf.node);

    txn = agent_txn(
        json_pack("[o]", agent_compare(key, seen == 0 ? "CREATE" : "MOD",
                                       seen)),
        json_pack("[o]", agent_op("request_put",
                      agent_put(key, s->published, s->lease))),
        json_pack("[o]", agent_op("request_range", agent_range(key))));

    s->registering = agent_etcd_call(a->etcd, "kv/txn", txn,
                                     agent_timeout(a),
                                     agent_register_handler, a);
    if (!s->registering) {
        agent_register_again(s);
    }
}


void
agent_session_publish(agent_t *a)
{
    char             *value;
    agent_session_t  *s = &a->session;

    if (s->lease == 0 || s->registering || a->now < s->next_register
        || atomic_load(&a->zone.w.c.header->relay.ready) == 0)
    {
        return;
    }

    if (s->register_rev == 0) {
        if (a->relay.alive) {
            agent_register_send(a, 0);
        }

        return;
    }

    value = agent_session_value(a, agent_relay_state(a));

    if (value != NULL
        && (s->published == NULL || strcmp(value, s->published) != 0))
    {
        agent_register_send(a, s->register_rev);
    }

    free(value);
}


static void
agent_load_handler(void *data, int code, const json_t *answer, uint64_t sent)
{
    agent_t          *a = data;
    agent_session_t  *s = &a->session;

    s->load_busy = false;

    if (agent_session_former(a, sent)) {
        return;
    }

    if (code == AGENT_ETCD_NOT_FOUND) {
        agent_session_lost(a, "lease not found");

    } else if (code != AGENT_ETCD_OK) {

        if (s->load_awaited) {
            s->load_put = 0;           /* it can't come back */
        }

    } else if (agent_answer_revision(answer) < s->load_known) {

        /* what was written last is of the highest revision there is */

        agent_watch_relist(a, "its revision went back");

    } else if (agent_answer_cluster(answer) != s->cluster) {
        agent_watch_relist(a, "it is another cluster");
    }
}


static void
agent_session_load(agent_t *a)
{
    char                *value, key[AGENT_KEY_MAX];
    agent_session_t     *s = &a->session;
    voice_node_load_t    load;

    if (s->register_rev == 0 || s->load_busy || !s->created
        || a->now < s->next_load)
    {
        return;
    }

    s->next_load = a->now + agent_spread(a->conf.load_period);

    agent_relay_load(a, &load);
    load.applied = a->model.revision;
    agent_alarm_report(a);

    value = agent_value_make_load(&load);

    if (value == NULL) {
        return;
    }

    agent_key(a, key, 'l', a->conf.node);

    s->load_busy = agent_etcd_call(a->etcd, "kv/put",
                                   agent_put(key, value, s->lease),
                                   agent_timeout(a), agent_load_handler, a);
    free(value);

    s->load_known = a->model.revision;
    s->load_awaited = s->load_busy && s->load_put == 0;

    if (s->load_awaited) {
        s->load_put = a->now;
    }
}


static void
agent_session_state(agent_t *a)
{
    voice_agent_state_t   state;
    agent_session_t      *s = &a->session;

    if (agent_confirmed(a)) {
        state = VOICE_AGENT_UP;

    } else if ((a->model.revision == 0 && !s->listed)
               || (s->lease == 0 && !s->lost && !agent_etcd_away(a)))
    {
        state = VOICE_AGENT_STARTING;

    } else if (s->lost) {
        state = VOICE_AGENT_LOST;

    } else if (s->lease != 0 && a->now - s->confirmed < agent_ttl(a)) {

        /* between two watches, or not registered yet */

        state = a->state == VOICE_AGENT_UP ? VOICE_AGENT_UP
                                           : VOICE_AGENT_STARTING;

    } else {
        state = VOICE_AGENT_UNSURE;
    }

    if (state != a->state) {
        agent_log(state == VOICE_AGENT_UP ? AGENT_LOG_INFO : AGENT_LOG_WARN,
                  "state %s%s%s",
                  state == VOICE_AGENT_UP ? "UP"
                  : state == VOICE_AGENT_UNSURE ? "UNSURE"
                  : state == VOICE_AGENT_LOST ? "LOST" : "STARTING",
                  state == VOICE_AGENT_UNSURE ? ": " : "",
                  state == VOICE_AGENT_UNSURE ? agent_etcd_error(a->etcd)
                                              : "");
        a->state = state;
    }
}


void
agent_session_tick(agent_t *a)
{
    agent_session_lease(a);
    agent_session_publish(a);

    agent_watch_tick(a);
    agent_session_load(a);
    agent_session_state(a);
}


static void
agent_session_bye(void *data, int code, const json_t *answer, uint64_t sent)
{
    agent_t  *a = data;

    (void) code;
    (void) answer;
    (void) sent;

    a->session.ended = true;
}


/* An orderly end: others need not wait for the lease. */

void
agent_session_end(agent_t *a)
{
    uint64_t          lease, until;
    agent_session_t  *s = &a->session;

    if (s->lease == 0) {
        return;
    }

    lease = s->lease;
    s->lease = 0;                      /* that it goes is no loss now */

    /* the answer may come when this has returned: it is told to a, not here */

    until = agent_now() + agent_timeout(a);

    if (!agent_etcd_call(a->etcd, "lease/revoke", agent_lease_id(lease),
                         agent_timeout(a), agent_session_bye, a))
    {
        return;
    }

    while (!s->ended && agent_now() < until) {
        agent_etcd_turn(a->etcd, NULL, 0, 50);
    }
}
