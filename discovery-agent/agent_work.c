/*
 * Copyright (C) ngx-voice contributors
 *
 * What the agent does by itself: moves guilds of nodes that are no good any
 * more, gives back guilds that nobody uses, and keeps the cluster zone as the
 * model is.
 */


#include "agent.h"
#include "agent_value.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>


#define AGENT_MOVES           4        /* transactions at a time */
#define AGENT_EMPTIES         256      /* guilds given back at a time */
#define AGENT_LEFT            5000     /* ms, of one that drains: nobody comes
                                          back by then */


typedef struct {
    agent_t       *agent;
    agent_move_t   move;
    uint64_t       started;
} agent_moving_t;


static void
agent_work_guild_key(agent_t *a, char *key, uint64_t guild)
{
    char  id[24];

    snprintf(id, sizeof(id), "%llu", (unsigned long long) guild);
    agent_key(a, key, 'a', id);
}


static void
agent_move_kv(void *data, const agent_kv_t *kv)
{
    agent_t  *a = data;

    agent_model_put(&a->model, kv->key, kv->value, kv->mod_revision, a->now);
}


static void
agent_move_done(agent_moving_t *mv, uint64_t revision)
{
    char     *value, key[AGENT_KEY_MAX];
    size_t    i;
    agent_t  *a = mv->agent;

    value = agent_value_make_guild(mv->move.to->info.name,
                                   mv->move.to->info.boot);
    if (value == NULL) {
        return;                        /* the watch tells as well */
    }

    for (i = 0; i < mv->move.n; i++) {
        agent_work_guild_key(a, key, mv->move.guild[i]);
        agent_model_put(&a->model, key, value, revision, a->now);
    }

    free(value);

    a->moved += mv->move.n;
    agent_log(AGENT_LOG_INFO, "%zu guilds of \"%s\" are on \"%s\" now",
              mv->move.n, mv->move.from->info.name, mv->move.to->info.name);
}


static void
agent_move_handler(void *data, int code, const json_t *answer, uint64_t sent)
{
    size_t           i;
    const json_t    *response;
    agent_moving_t  *mv = data;
    agent_t         *a = mv->agent;

    (void) sent;

    a->moves--;
    agent_model_moved(&a->model, &mv->move);

    if (code == AGENT_ETCD_OK) {

        if (json_is_true(json_object_get(answer, "succeeded"))) {
            agent_move_done(mv, agent_answer_revision(answer));

        } else {
            json_array_foreach(json_object_get(answer, "responses"), i,
                               response)
            {
                agent_kvs_each(json_object_get(json_object_get(response,
                                   "response_range"), "kvs"),
                               agent_move_kv, a);
            }
        }
    }

    free(mv);
}


/* from: gone, or there and ordered away, or there and as we know it */

static json_t *
agent_move_guards(agent_t *a, const agent_move_t *move)
{
    char     from[AGENT_KEY_MAX], to[AGENT_KEY_MAX], order[AGENT_KEY_MAX];
    json_t  *compare;

    agent_key(a, from, 'n', move->from->info.name);
    agent_key(a, to, 'n', move->to->info.name);
    agent_key(a, order, 'q', move->from->info.name);

    compare = json_pack("[o]", agent_compare(to, "MOD",
                                             move->to->register_rev));

    if (move->to == move->from) {
        return compare;
    }

    if (move->from_gone) {
        json_array_append_new(compare, agent_compare(from, "CREATE", 0));

    } else if (move->from->order != AGENT_ORDER_NONE) {
        json_array_append_new(compare, agent_compare_exists(order));

    } else {
        json_array_append_new(compare, agent_compare(from, "MOD",
                                             move->from->register_rev));
    }

    return compare;
}


static bool
agent_move_send(agent_t *a, agent_moving_t *mv)
{
    char     *value, key[AGENT_KEY_MAX];
    size_t    i;
    json_t   *compare, *put, *range;

    value = agent_value_make_guild(mv->move.to->info.name,
                                   mv->move.to->info.boot);
    if (value == NULL) {
        return false;
    }

    compare = agent_move_guards(a, &mv->move);
    put = json_array();
    range = json_array();

    for (i = 0; i < mv->move.n; i++) {
        agent_work_guild_key(a, key, mv->move.guild[i]);

        json_array_append_new(compare, agent_compare(key, "MOD",
                                                     mv->move.revision[i]));
        json_array_append_new(put, agent_op("request_put",
                                            agent_put(key, value, 0)));
        json_array_append_new(range, agent_op("request_range",
                                              agent_range(key)));
    }

    free(value);

    return agent_etcd_call(a->etcd, "kv/txn",
                           agent_txn(compare, put, range),
                           agent_timeout(a), agent_move_handler, mv);
}


static void
agent_work_moves(agent_t *a)
{
    agent_move_t     move;
    agent_moving_t  *mv;

    while (a->moves < AGENT_MOVES
           && agent_model_plan(&a->model, a->now, &move))
    {
        mv = calloc(1, sizeof(agent_moving_t));

        if (mv != NULL) {
            mv->agent = a;
            mv->move = move;
        }

        if (mv == NULL || !agent_move_send(a, mv)) {
            agent_model_moved(&a->model, &move);
            free(mv);
            return;
        }

        a->moves++;
    }
}


typedef struct {
    agent_t   *agent;
    uint64_t   guild;
} agent_empty_t;


static void
agent_empty_handler(void *data, int code, const json_t *answer,
    uint64_t sent)
{
    char            key[AGENT_KEY_MAX];
    agent_empty_t  *e = data;

    (void) sent;

    e->agent->empties--;

    if (code == AGENT_ETCD_OK
        && json_is_true(json_object_get(answer, "succeeded")))
    {
        agent_work_guild_key(e->agent, key, e->guild);
        agent_model_delete(&e->agent->model, key,
                           agent_answer_revision(answer), e->agent->now);
    }

    free(e);
}


static void
agent_empty_send(agent_t *a, agent_guild_t *guild)
{
    char            key[AGENT_KEY_MAX];
    agent_empty_t  *e;

    e = calloc(1, sizeof(agent_empty_t));

    if (e == NULL) {
        return;
    }

    e->agent = a;
    e->guild = guild->id;
    guild->busy = a->now + 3000;

    agent_work_guild_key(a, key, guild->id);

    if (!agent_etcd_call(a->etcd, "kv/txn",
            agent_txn(
                json_pack("[o]", agent_compare(key, "MOD", guild->revision)),
                json_pack("[o]", agent_op("request_delete_range",
                                          agent_range(key))),
                json_array()),
            agent_timeout(a), agent_empty_handler, e))
    {
        free(e);
        return;
    }

    a->empties++;
}


/* How long nobody has been in voice; false: nobody was yet. */

static bool
agent_guild_idle(agent_t *a, agent_guild_t *guild, uint64_t now,
    uint64_t *idle)
{
    uint64_t  at;

    if (voice_cluster_used_at(&a->zone.w.c, guild->id, &at, &guild->people)
        != VOICE_OK)
    {
        return false;
    }

    *idle = now > at ? now - at : 0;

    if (*idle > a->now - guild->since) {
        *idle = a->now - guild->since;
    }

    return at != 0;
}


/* Only the guild's own node knows, so only it gives back. */

static void
agent_work_empty(agent_t *a)
{
    bool            was, drains;
    uint64_t        now, idle;
    agent_node_t   *self;
    agent_guild_t  *guild;

    self = agent_model_self(&a->model);

    if (self == NULL || !a->relay.alive) {
        return;
    }

    drains = (self->info.flags & VOICE_NODE_DRAIN) != 0;

    if (a->now < a->next_empty && !drains) {
        return;
    }

    a->next_empty = a->now + (a->conf.empty_after < 4000
                              ? a->conf.empty_after / 4 : 1000);
    now = agent_zone_now();

    for (guild = self->first; guild != NULL; guild = guild->next) {

        idle = 0;
        was = agent_guild_idle(a, guild, now, &idle);
        guild->unused = drains && was && idle >= AGENT_LEFT;

        if (guild->busy <= a->now && !guild->provisional
            && a->empties < AGENT_EMPTIES
            && (idle >= a->conf.empty_after || guild->unused))
        {
            agent_empty_send(a, guild);
        }
    }
}


static void
agent_flush_node(agent_t *a, agent_node_t *node)
{
    voice_id_t          id;
    voice_err_t         err;
    voice_node_load_t   load;

    if (node->id == 0 && node->info.boot[0] == '\0' && node->guilds == 0) {
        return;                        /* a name that somebody wrote */
    }

    err = voice_cluster_node_set(&a->zone.w, &node->info, &id);

    if (err != VOICE_OK) {
        agent_log(AGENT_LOG_ERR, "node \"%s\" has no place in the cluster "
                  "zone: %s", node->info.name, voice_err_name(err));
        return;
    }

    node->id = id;

    load = node->load;
    load.used = (uint16_t) (node->info.capacity == 0 ? 0
                : (uint64_t) load.participants * 1000 / node->info.capacity
                  > 60000 ? 60000
                : (uint64_t) load.participants * 1000 / node->info.capacity);
    load.used = load.cpu > load.used ? load.cpu : load.used;
    load.used = load.bandwidth > load.used ? load.bandwidth : load.used;
    load.used = load.packets > load.used ? load.packets : load.used;

    /* the zone has a clock of its own */
    load.at = load.at == 0 ? 0 : agent_zone_now() - (a->now - load.at);

    (void) voice_cluster_load_set(&a->zone.w, id, &load);

    if (strcmp(node->info.name, a->conf.node) == 0) {
        voice_cluster_self_set(&a->zone.w, id);
    }
}


static void
agent_flush_guild(agent_t *a, agent_guild_t *guild)
{
    voice_err_t         err;
    voice_assignment_t  as;

    if (guild->node == NULL) {
        (void) voice_cluster_unassign(&a->zone.w, guild->id);
        agent_model_forget(&a->model, guild);
        return;
    }

    if (guild->node->id == 0) {
        agent_flush_node(a, guild->node);
    }

    memset(&as, 0, sizeof(as));

    as.guild = guild->id;
    as.node = guild->node->id;
    as.revision = guild->revision;
    as.flags = (guild->provisional ? VOICE_ASSIGNED_PROVISIONAL : 0)
               | (guild->orphan ? VOICE_ASSIGNED_ORPHAN : 0);

    err = voice_cluster_assign(&a->zone.w, &as);

    if (err != VOICE_OK) {
        agent_log(AGENT_LOG_DEBUG, "guild %llu has no place in the cluster "
                  "zone: %s", (unsigned long long) guild->id,
                  voice_err_name(err));
    }
}


void
agent_work_flush(agent_t *a)
{
    unsigned        up;
    agent_node_t   *node;
    agent_guild_t  *guild;

    if (a->zone.mem == NULL) {
        return;
    }

    while ((node = agent_model_dirty_node(&a->model)) != NULL) {
        agent_flush_node(a, node);
    }

    while ((guild = agent_model_dirty_guild(&a->model)) != NULL) {
        agent_flush_guild(a, guild);
    }

    while ((node = agent_model_gone(&a->model)) != NULL) {
        voice_cluster_node_remove(&a->zone.w, node->id);
        free(node);
    }

    up = 0;

    for (node = a->model.nodes; node != NULL; node = node->next) {
        up += (node->info.flags & VOICE_NODE_UP) != 0;
    }

    atomic_store(&a->zone.w.c.header->agent.nodes_up, up);
}


/* Who is dead? */

static void
agent_work_deaths(agent_t *a)
{
    bool  held;

    held = a->model.holding;
    agent_model_tick(&a->model, a->now);

    if (held || !a->model.holding) {
        return;
    }

    if (a->model.hold_order == AGENT_HOLD_ON) {
        agent_log(AGENT_LOG_WARN, "a node has vanished: by order nothing "
                  "moves");

    } else {
        agent_log(AGENT_LOG_ERR, "many nodes vanished at once: nothing moves "
                  "for %u ms, or until they are back",
                  (unsigned) a->model.hold);
    }
}


void
agent_work_tick(agent_t *a)
{
    if (!agent_confirmed(a)) {
        return;
    }

    agent_work_deaths(a);
    agent_model_reap(&a->model, a->now);

    agent_work_empty(a);
    agent_drain_tick(a);
    agent_work_moves(a);
}
