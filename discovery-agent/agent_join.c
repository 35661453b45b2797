/*
 * Copyright (C) ngx-voice contributors
 *
 * What workers ask for.  Of one guild there is one matter at a time, and all
 * who ask meanwhile get its answer.  A guild that is nobody's is assigned by
 * one transaction, which one of all agents wins; the others have the winner's
 * choice in the same answer.
 */


#include "agent.h"
#include "agent_value.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>


#define AGENT_JOIN_TICKETS    64       /* of one guild at a time */
#define AGENT_JOIN_LIMIT      2500     /* ms; workers give up after 3000 */
#define AGENT_JOIN_TRIES      3        /* with another node each */
#define AGENT_JOIN_AGAIN      100      /* ms after a call that failed */
#define AGENT_JOIN_BUSY       16       /* transactions at a time */
#define AGENT_JOIN_CHECKED    1000     /* ms between two looks at one guild */


struct agent_join_s {
    agent_join_t          *next;
    agent_t               *agent;
    uint64_t               guild;
    uint64_t               since;
    uint64_t               again;      /* ms, not before */
    uint64_t               ticket[AGENT_JOIN_TICKETS];
    unsigned               tickets;
    unsigned               tries;
    voice_request_kind_t   kind;
    char                   region[VOICE_CLUSTER_NAME_MAX + 1];
    char                   target[VOICE_CLUSTER_NAME_MAX + 1];
    agent_node_t          *node;       /* of the transaction under way */
    bool                   first;      /* of all agents we come first */
    bool                   busy;
    bool                   failed;     /* etcd did not answer */
    bool                   done;
    bool                   background; /* nobody waits */
};


typedef struct {
    agent_join_t  *join;
    bool           found;
} agent_join_seen_t;


static void
agent_join_finish(agent_join_t *j, voice_err_t result)
{
    unsigned  i;

    /* first what it is about, then the news of it */
    agent_work_flush(j->agent);

    for (i = 0; i < j->tickets && j->agent->zone.mem != NULL; i++) {
        voice_cluster_reply(&j->agent->zone.w, j->ticket[i], result);
    }

    if (result != VOICE_OK) {
        agent_log(AGENT_LOG_DEBUG, "guild %llu: %s",
                  (unsigned long long) j->guild,
                  result == VOICE_E_FULL ? "no capacity"
                  : result == VOICE_E_NOT_FOUND ? "no such node or region"
                  : "no answer from etcd");
    }

    j->tickets = 0;
    j->done = true;
}


static void
agent_join_kv(void *data, const agent_kv_t *kv)
{
    agent_join_seen_t  *seen = data;
    agent_t            *a = seen->join->agent;

    seen->found = true;
    agent_model_put(&a->model, kv->key, kv->value, kv->mod_revision, a->now);
}


static const json_t *
agent_join_range(const json_t *answer, size_t i)
{
    return json_object_get(json_object_get(json_array_get(
               json_object_get(answer, "responses"), i), "response_range"),
               "kvs");
}


/* The transaction failed: what is it that we did not know? */

static void
agent_join_refused(agent_join_t *j, const json_t *answer)
{
    char               key[AGENT_KEY_MAX];
    agent_t           *a = j->agent;
    agent_join_seen_t  guild = { j, false }, node = { j, false };

    agent_kvs_each(agent_join_range(answer, 0), agent_join_kv, &guild);
    agent_kvs_each(agent_join_range(answer, 1), agent_join_kv, &node);

    if (guild.found && j->kind != VOICE_REQUEST_MOVE) {
        agent_join_finish(j, VOICE_OK);        /* somebody was faster */
        return;
    }

    if (!node.found && j->node != NULL) {
        agent_key(a, key, 'n', j->node->info.name);
        agent_model_delete(&a->model, key, agent_answer_revision(answer),
                           a->now);
    }

    if (++j->tries == AGENT_JOIN_TRIES) {
        agent_join_finish(j, VOICE_E_STATE);
    }
}


static void
agent_join_handler(void *data, int code, const json_t *answer, uint64_t sent)
{
    char          *value, key[AGENT_KEY_MAX], id[24];
    agent_join_t  *j = data;
    agent_t       *a = j->agent;

    (void) sent;

    j->busy = false;
    j->node->inflight--;
    j->node->held--;

    if (code != AGENT_ETCD_OK) {
        j->failed = true;
        j->again = a->now + AGENT_JOIN_AGAIN;
        return;
    }

    if (!json_is_true(json_object_get(answer, "succeeded"))) {
        agent_join_refused(j, answer);
        return;
    }

    snprintf(id, sizeof(id), "%llu", (unsigned long long) j->guild);
    agent_key(a, key, 'a', id);
    value = agent_value_make_guild(j->node->info.name, j->node->info.boot);

    if (value != NULL) {
        agent_model_put(&a->model, key, value, agent_answer_revision(answer),
                        a->now);
        free(value);
    }

    agent_join_finish(j, VOICE_OK);
}


/* was: mod revision of the assignment that is replaced; 0: there is none */

static void
agent_join_send(agent_join_t *j, agent_node_t *node, uint64_t was)
{
    char      *value, guild[AGENT_KEY_MAX], name[AGENT_KEY_MAX],
               order[AGENT_KEY_MAX], id[24];
    agent_t   *a = j->agent;
    json_t    *compare;

    snprintf(id, sizeof(id), "%llu", (unsigned long long) j->guild);
    agent_key(a, guild, 'a', id);
    agent_key(a, name, 'n', node->info.name);
    agent_key(a, order, 'q', node->info.name);

    value = agent_value_make_guild(node->info.name, node->info.boot);

    if (value == NULL) {
        return;
    }

    compare = json_pack("[o,o]",
        agent_compare(guild, was == 0 ? "CREATE" : "MOD", was),
        agent_compare(name, "MOD", node->register_rev));

    /* a node that has sessions of the guild keeps it, ordered away or not */

    if (j->kind != VOICE_REQUEST_CLAIM) {
        json_array_append_new(compare, agent_compare(order, "MOD",
                                                     node->order_rev));
    }

    j->node = node;
    j->busy = agent_etcd_call(a->etcd, "kv/txn",
        agent_txn(compare,
            json_pack("[o]", agent_op("request_put",
                                      agent_put(guild, value, 0))),
            json_pack("[o,o]",
                agent_op("request_range", agent_range(guild)),
                agent_op("request_range", agent_range(name)))),
        agent_timeout(a), agent_join_handler, j);

    free(value);

    if (j->busy) {
        node->inflight++;
        node->held++;
    }
}


/* etcd is away: all who know the same nodes come to the same one. */

static void
agent_join_provisional(agent_join_t *j)
{
    agent_t       *a = j->agent;
    agent_node_t  *node;

    node = j->kind == VOICE_REQUEST_CLAIM
           ? agent_model_self(&a->model)
           : agent_model_rendezvous(&a->model, j->guild, j->region,
                                    a->now);

    if (node == NULL || j->kind == VOICE_REQUEST_MOVE) {
        agent_join_finish(j, VOICE_E_STATE);
        return;
    }

    agent_model_provisional(&a->model, j->guild, node, a->now);
    agent_join_finish(j, VOICE_OK);
}


static void
agent_join_assign(agent_join_t *j)
{
    voice_err_t    err;
    agent_t       *a = j->agent;
    agent_node_t  *node;

    if (j->kind == VOICE_REQUEST_CLAIM) {
        node = agent_model_self(&a->model);
        err = node == NULL || !node->registered ? VOICE_E_STATE : VOICE_OK;

    } else if (j->target[0] != '\0') {
        node = agent_model_node(&a->model, j->target);
        err = node == NULL || !agent_node_open(node) ? VOICE_E_NOT_FOUND
                                                     : VOICE_OK;
    } else {
        err = VOICE_E_NOT_FOUND;
    }

    if (err == VOICE_E_NOT_FOUND
        && (j->target[0] == '\0' || j->background))
    {
        err = agent_model_choose(&a->model, j->guild, j->region, NULL, a->now,
                                 &node);
    }

    if (err != VOICE_OK) {
        agent_join_finish(j, err);
        return;
    }

    agent_join_send(j, node, 0);
}


static void
agent_join_move(agent_join_t *j, agent_guild_t *guild)
{
    voice_err_t    err;
    agent_t       *a = j->agent;
    agent_node_t  *node;

    if (j->target[0] != '\0') {
        node = agent_model_node(&a->model, j->target);
        err = node == NULL || !agent_node_open(node) ? VOICE_E_NOT_FOUND
                                                     : VOICE_OK;

    } else if (agent_node_open(guild->node)
               && strcmp(guild->node->info.region, j->region[0] != '\0'
                         ? j->region : a->model.region) == 0)
    {
        agent_join_finish(j, VOICE_OK);        /* it is there already */
        return;

    } else {
        err = agent_model_choose(&a->model, j->guild, j->region, guild->node,
                                 a->now, &node);
    }

    if (err != VOICE_OK || node == guild->node) {
        agent_join_finish(j, err);
        return;
    }

    agent_join_send(j, node, guild->revision);
}


static void
agent_join_check_handler(void *data, int code, const json_t *answer,
    uint64_t sent)
{
    char                key[AGENT_KEY_MAX], id[24];
    agent_join_t       *j = data;
    agent_t            *a = j->agent;
    agent_join_seen_t   guild = { j, false }, node = { j, false };

    (void) sent;

    j->busy = false;
    j->node->held--;

    if (code == AGENT_ETCD_OK) {
        agent_kvs_each(agent_join_range(answer, 0), agent_join_kv, &guild);
        agent_kvs_each(agent_join_range(answer, 1), agent_join_kv, &node);

        if (!guild.found) {
            snprintf(id, sizeof(id), "%llu", (unsigned long long) j->guild);
            agent_key(a, key, 'a', id);
            agent_model_delete(&a->model, key, agent_answer_revision(answer),
                               a->now);
        }

        if (!node.found) {
            agent_key(a, key, 'n', j->node->info.name);
            agent_model_delete(&a->model, key, agent_answer_revision(answer),
                               a->now);
        }
    }

    agent_join_finish(j, code == AGENT_ETCD_OK ? VOICE_OK : VOICE_E_STATE);
}


/* A client doubts what we know: what do etcd and probes say right now? */

static void
agent_join_check(agent_join_t *j, agent_guild_t *guild)
{
    char      key[AGENT_KEY_MAX], node[AGENT_KEY_MAX], id[24];
    agent_t  *a = j->agent;

    if (guild == NULL || guild->node == NULL
        || (guild->checked != 0
            && a->now - guild->checked < AGENT_JOIN_CHECKED))
    {
        agent_join_finish(j, VOICE_OK);
        return;
    }

    guild->checked = a->now;
    agent_model_doubt(&a->model, guild->node, a->now);

    snprintf(id, sizeof(id), "%llu", (unsigned long long) j->guild);
    agent_key(a, key, 'a', id);
    agent_key(a, node, 'n', guild->node->info.name);

    j->node = guild->node;
    j->busy = agent_etcd_call(a->etcd, "kv/txn",
        agent_txn(json_array(),
            json_pack("[o,o]", agent_op("request_range", agent_range(key)),
                      agent_op("request_range", agent_range(node))),
            json_array()),
        agent_timeout(a), agent_join_check_handler, j);

    if (j->busy) {
        j->node->held++;
    }
}


/* The guild has a server that can take somebody. */

static bool
agent_join_served(const agent_guild_t *guild)
{
    return guild != NULL && guild->node != NULL && !guild->orphan
           && guild->node->registered && !agent_node_failed(guild->node)
           && (guild->provisional
               || strcmp(guild->boot, guild->node->info.boot) == 0);
}


/* send: there is room for one more transaction */

static void
agent_join_step(agent_join_t *j, bool send)
{
    bool            late;
    agent_t        *a = j->agent;
    agent_guild_t  *guild;

    guild = agent_model_guild(&a->model, j->guild);
    late = a->now - j->since >= AGENT_JOIN_LIMIT;

    if (j->kind == VOICE_REQUEST_JOIN && !j->background
        && agent_join_served(guild))
    {
        agent_join_finish(j, VOICE_OK);
        return;
    }

    if (guild != NULL && guild->node != NULL && !guild->provisional) {

        if (j->kind == VOICE_REQUEST_CLAIM || j->background) {
            agent_join_finish(j, VOICE_OK);
            return;
        }

        if (j->kind == VOICE_REQUEST_JOIN) {
            if (late) {                        /* its server is lost */
                agent_join_finish(j, guild->orphan ? VOICE_E_FULL
                                                   : VOICE_E_STATE);
            }

            return;
        }
    }

    if (!agent_confirmed(a) || (late && j->failed)) {

        if (late || agent_etcd_away(a)) {
            if (j->background) {
                j->done = true;                /* it is so already */

            } else if (j->kind == VOICE_REQUEST_SUSPECT) {
                agent_join_finish(j, VOICE_E_STATE);

            } else {
                agent_join_provisional(j);
            }
        }

        return;
    }

    if (late && !j->background) {
        agent_join_finish(j, VOICE_E_STATE);
        return;
    }

    /* a server that has the guild's calls says so first */

    if (a->now < a->session.claims_until
        && (j->kind == VOICE_REQUEST_JOIN || j->kind == VOICE_REQUEST_MOVE))
    {
        return;
    }

    if (!send) {
        return;
    }

    if (j->kind == VOICE_REQUEST_SUSPECT) {
        agent_join_check(j, guild);

    } else if (j->kind == VOICE_REQUEST_MOVE && guild != NULL
               && guild->node != NULL && !guild->provisional)
    {
        agent_join_move(j, guild);

    } else {
        agent_join_assign(j);
    }
}


static agent_join_t *
agent_join_add(agent_t *a, uint64_t guild, voice_request_kind_t kind)
{
    agent_join_t  *j;

    j = calloc(1, sizeof(agent_join_t));

    if (j != NULL) {
        j->agent = a;
        j->guild = guild;
        j->kind = kind;
        j->first = agent_model_rank(&a->model, guild) == 0;
        j->since = a->now;
        j->next = a->joins;
        a->joins = j;
    }

    return j;
}


static void
agent_join_take(agent_t *a, const voice_cluster_request_t *rq,
    uint64_t ticket)
{
    agent_join_t  *j;

    if (rq->guild == 0 || rq->kind < VOICE_REQUEST_JOIN
        || rq->kind > VOICE_REQUEST_SUSPECT)
    {
        voice_cluster_reply(&a->zone.w, ticket, VOICE_E_RANGE);
        return;
    }

    for (j = a->joins; j != NULL; j = j->next) {
        if (j->guild == rq->guild && j->kind == rq->kind && !j->done
            && j->kind != VOICE_REQUEST_MOVE && !j->background
            && j->tickets < AGENT_JOIN_TICKETS)
        {
            j->ticket[j->tickets++] = ticket;
            return;
        }
    }

    j = agent_join_add(a, rq->guild, rq->kind);

    if (j == NULL) {
        voice_cluster_reply(&a->zone.w, ticket, VOICE_E_NOMEM);
        return;
    }

    j->ticket[j->tickets++] = ticket;
    memcpy(j->region, rq->region, sizeof(j->region));
    memcpy(j->target, rq->node, sizeof(j->target));
}


/* A ticket of that zone may be somebody else's in the next one. */

void
agent_join_unzone(agent_t *a)
{
    agent_join_t  *j;

    for (j = a->joins; j != NULL; j = j->next) {
        j->tickets = 0;
    }
}


void
agent_join_claim(agent_t *a, uint64_t guild)
{
    (void) agent_join_add(a, guild, VOICE_REQUEST_CLAIM);
}


/* Those made without etcd: it has the last word. */

static void
agent_join_settle(agent_t *a)
{
    size_t          i;
    agent_join_t   *j;
    agent_guild_t  *guild;

    for (i = 0; i < a->model.buckets; i++) {
        for (guild = a->model.hash[i]; guild != NULL; guild = guild->chain) {

            if (!guild->provisional || guild->busy > a->now) {
                continue;
            }

            j = agent_join_add(a, guild->id, VOICE_REQUEST_JOIN);

            if (j == NULL) {
                return;
            }

            j->background = true;
            snprintf(j->target, sizeof(j->target), "%s",
                     guild->node->info.name);
            guild->busy = a->now + 5000;
        }
    }
}


/*
 * Many agents may be asked for the same guilds at the same time.  Each begins
 * with those that it comes first for; by the time of the others their
 * answers are here.
 */

static void
agent_join_steps(agent_t *a, bool first)
{
    unsigned       busy;
    agent_join_t  *j;

    busy = 0;

    for (j = a->joins; j != NULL; j = j->next) {
        busy += j->busy;
    }

    for (j = a->joins; j != NULL; j = j->next) {
        if (j->first == first && !j->busy && !j->done && a->now >= j->again) {
            agent_join_step(j, busy < AGENT_JOIN_BUSY);
            busy += j->busy;
        }
    }
}


void
agent_join_tick(agent_t *a)
{
    uint32_t                  slot;
    uint64_t                  ticket, at;
    agent_join_t             *j, **p;
    voice_cluster_request_t   rq;

    slot = 0;

    while (voice_cluster_take(&a->zone.w, &slot, &rq, &ticket, &at)
           == VOICE_OK)
    {
        agent_join_take(a, &rq, ticket);
    }

    if (a->now >= a->next_requests) {
        a->next_requests = a->now + 1000;

        if (agent_confirmed(a)) {
            agent_join_settle(a);
        }
    }

    agent_join_steps(a, true);
    agent_join_steps(a, false);

    for (p = &a->joins; (j = *p) != NULL; /* void */ ) {
        if (j->done && !j->busy) {
            *p = j->next;
            free(j);

        } else {
            p = &j->next;
        }
    }
}


void
agent_join_free(agent_t *a)
{
    agent_join_t  *j;

    while ((j = a->joins) != NULL) {
        a->joins = j->next;
        free(j);
    }
}
