/*
 * Copyright (C) ngx-voice contributors
 *
 * What the agent makes of keys and time, without a network.
 */


#include "test_util.h"

#include "agent_model.h"

#include <stdio.h>


#define P  "rv1/eu/"


/* Between list_begin() and list_end() keys are put as those of a list. */

static bool  in_list;


static void
put(agent_model_t *m, const char *key, const char *value, uint64_t rev,
    uint64_t now)
{
    char  full[64];

    snprintf(full, sizeof(full), P "%s", key);

    if (!(in_list ? agent_model_list_put(m, full, value, rev, now)
                  : agent_model_put(m, full, value, rev, now)))
    {
        fail_msg("%s %s", key, value);
    }
}


static void
list_begin(agent_model_t *m, uint64_t rev)
{
    agent_model_list_begin(m, rev, false);
    in_list = true;
}


static size_t
list_end(agent_model_t *m, uint64_t now)
{
    in_list = false;

    return agent_model_list_end(m, now);
}


static void
del(agent_model_t *m, const char *key, uint64_t rev, uint64_t now)
{
    char  full[64];

    snprintf(full, sizeof(full), P "%s", key);
    agent_model_delete(m, full, rev, now);
}


static void
put_node(agent_model_t *m, const char *name, const char *boot,
    const char *st, uint64_t rev, uint64_t now)
{
    char  key[64], value[128];

    snprintf(key, sizeof(key), "n/%s", name);
    snprintf(value, sizeof(value), "{\"v\":1,\"e\":\"%s\",\"ws\":\"a:1\","
             "\"cap\":1000,\"st\":\"%s\"}", boot, st);
    put(m, key, value, rev, now);

    snprintf(key, sizeof(key), "l/%s", name);
    put(m, key, "{\"u\":0,\"g\":0,\"r\":0}", rev, now);
}


static void
put_guild(agent_model_t *m, unsigned guild, const char *node,
    const char *boot, uint64_t rev, uint64_t now)
{
    char  key[64], value[128];

    snprintf(key, sizeof(key), "a/%u", guild);
    snprintf(value, sizeof(value), "{\"s\":\"%s\",\"e\":\"%s\"}", node, boot);
    put(m, key, value, rev, now);
}


static void
put_pool(agent_model_t *m, const char *name, const char *pool, unsigned cap,
    uint64_t rev)
{
    char  key[64], value[160];

    snprintf(key, sizeof(key), "n/%s", name);
    snprintf(value, sizeof(value), "{\"v\":1,\"e\":\"b\",\"ws\":\"a:1\","
             "\"cap\":%u,\"st\":\"up\",\"pool\":\"%s\"}", cap, pool);
    put(m, key, value, rev, 1000);

    snprintf(key, sizeof(key), "l/%s", name);
    put(m, key, "{\"u\":0,\"g\":0,\"r\":0}", rev, 1000);
}


/* n nodes n0.. with the same load, we are n0; guilds guilds on n1 */

static void
prepare(agent_model_t *m, unsigned nodes, unsigned guilds)
{
    char      name[16];
    unsigned  i;

    assert_true(agent_model_init(m, P, "n0", "eu"));

    for (i = 0; i < nodes; i++) {
        snprintf(name, sizeof(name), "n%u", i);
        put_node(m, name, "b", "up", 10 + i, 1000);
    }

    for (i = 1; i <= guilds; i++) {
        put_guild(m, i, "n1", "b", 100 + i, 1000);
    }
}


static size_t
plan_all(agent_model_t *m, uint64_t now, const char *from)
{
    size_t         n, rounds;
    agent_move_t   move;

    n = 0;

    for (rounds = 0; agent_model_plan(m, now, &move); rounds++) {
        assert_true(rounds < 1000);
        assert_true(move.n >= 1 && move.n <= AGENT_BATCH);
        assert_string_equal(move.from->info.name, from);
        n += move.n;
    }

    return n;
}


static void
test_keys(void **state)
{
    agent_model_t   m;
    agent_guild_t  *g;

    (void) state;

    prepare(&m, 2, 1);

    g = agent_model_guild(&m, 1);
    assert_non_null(g);
    assert_string_equal(g->node->info.name, "n1");
    test_num("guilds", g->node->guilds, 1);

    /* foreign keys, bad names and values: nothing happens */

    assert_false(agent_model_put(&m, "rv2/eu/n/x", "{}", 200, 1));
    assert_false(agent_model_put(&m, P, "{}", 200, 1));
    assert_false(agent_model_put(&m, P "n", "{}", 200, 1));
    assert_false(agent_model_put(&m, P "z/n1", "{}", 200, 1));
    assert_false(agent_model_put(&m, P "n/A b", "{}", 200, 1));
    assert_false(agent_model_put(&m, P "n/n1", "{\"v\":2}", 200, 1));
    assert_false(agent_model_put(&m, P "a/1", "garbage", 200, 1));
    assert_false(agent_model_put(&m, P "a/0x1", "{\"s\":\"n1\",\"e\":\"b\"}",
                                 200, 1));
    agent_model_delete(&m, P "a/zero", 200, 1);
    agent_model_delete(&m, "x", 200, 1);
    test_num("counted", m.bad_values, 4);
    assert_true(agent_model_node(&m, "n1")->registered);
    assert_string_equal(agent_model_guild(&m, 1)->node->info.name, "n1");

    /* what is late: an older event after a newer answer */

    put_guild(&m, 1, "n0", "b", 300, 1);
    put_guild(&m, 1, "n1", "b", 250, 1);
    assert_string_equal(agent_model_guild(&m, 1)->node->info.name, "n0");
    del(&m, "a/1", 299, 1);
    assert_non_null(agent_model_guild(&m, 1)->node);
    del(&m, "a/1", 301, 1);
    assert_null(agent_model_guild(&m, 1)->node);
    test_num("none", agent_model_node(&m, "n0")->guilds, 0);

    agent_model_free(&m);
}


static void
test_death(void **state)
{
    agent_move_t   move;
    agent_model_t  m;

    (void) state;

    prepare(&m, 2, 150);

    agent_model_tick(&m, 1000);
    test_num("alive", plan_all(&m, 1000, ""), 0);

    del(&m, "n/n1", 500, 2000);
    agent_model_tick(&m, 2000 + m.grace - 1);
    test_num("grace", plan_all(&m, 2000 + m.grace - 1, ""), 0);

    agent_model_tick(&m, 2000 + m.grace);
    assert_true(agent_model_plan(&m, 2000 + m.grace, &move));
    assert_true(move.from_gone);
    assert_string_equal(move.to->info.name, "n0");
    test_num("batch", move.n, AGENT_BATCH);
    test_num("inflight", move.to->inflight, AGENT_BATCH);

    /* those are busy; the rest comes; then nothing */

    test_num("rest", plan_all(&m, 2000 + m.grace, "n1"), 150 - AGENT_BATCH);
    test_num("none", plan_all(&m, 2000 + m.grace, "n1"), 0);

    /* it failed: again */

    agent_model_moved(&m, &move);
    test_num("again", plan_all(&m, 2000 + m.grace, "n1"), AGENT_BATCH);

    agent_model_free(&m);
}


static void
test_return_in_grace(void **state)
{
    agent_move_t   move;
    agent_model_t  m;

    (void) state;

    /* with the same boot id nothing has happened */

    prepare(&m, 2, 10);
    del(&m, "n/n1", 500, 2000);
    put_node(&m, "n1", "b", "up", 501, 2100);
    agent_model_tick(&m, 9000);
    test_num("same", plan_all(&m, 9000, ""), 0);

    /* with another one it says so itself, or somebody does after 2 s */

    put_node(&m, "n1", "c", "up", 502, 10000);
    test_num("its turn", plan_all(&m, 11000, ""), 0);
    assert_true(agent_model_plan(&m, 12000, &move));
    assert_true(move.to == move.from && !move.from_gone);
    test_num("guilds", move.n, 10);

    agent_model_free(&m);

    /* we are the one that is back */

    assert_true(agent_model_init(&m, P, "n0", "eu"));
    put_guild(&m, 1, "n0", "old", 5, 1000);
    put_node(&m, "n0", "new", "up", 6, 1000);
    assert_true(agent_model_plan(&m, 1000, &move));
    assert_true(move.to == move.from && move.guild[0] == 1);
    put_guild(&m, 1, "n0", "new", 7, 1000);
    test_num("done", plan_all(&m, 5000, ""), 0);

    agent_model_free(&m);
}


/* All who live act, each for its own share at once, for others' later. */

/* What an answer says may be older than what was told meanwhile. */

static void
test_late_answers(void **state)
{
    agent_node_t   *node;
    agent_model_t   m;

    (void) state;

    prepare(&m, 3, 0);
    node = agent_model_node(&m, "n1");

    put(&m, "o/drain/0", "n1", 599, 2000);
    put_node(&m, "n1", "b", "drain", 600, 2000);
    put_node(&m, "n1", "b", "up", 500, 2000);
    assert_false(agent_node_open(node));
    test_num("revision", (int) node->register_rev, 600);

    del(&m, "n/n1", 700, 2000);
    put_node(&m, "n1", "b", "up", 600, 2000);
    assert_false(node->registered);

    put_node(&m, "n1", "b", "up", 800, 2000);
    assert_true(agent_node_open(node));
    del(&m, "n/n1", 700, 2000);
    assert_true(node->registered);

    /* etcd's data are of a former time: what it lists is so */

    m.revision = 800;
    list_begin(&m, 50);
    put_node(&m, "n1", "b", "drain", 40, 2000);
    list_end(&m, 2000);
    test_num("listed", (int) node->register_rev, 40);
    put_node(&m, "n2", "b", "up", 51, 2000);
    assert_true(agent_node_open(agent_model_node(&m, "n2")));

    agent_model_free(&m);
}


static void
test_ranks(void **state)
{
    char           self[8];
    size_t         at_once, i;
    agent_model_t  m;

    (void) state;

    at_once = 0;

    for (i = 0; i < 8; i++) {
        prepare(&m, 9, 500);
        snprintf(self, sizeof(self), "n%zu", i == 0 ? 0 : i + 1);
        strcpy(m.self, self);

        del(&m, "n/n1", 900, 2000);
        agent_model_tick(&m, 3000);

        at_once += plan_all(&m, 3000, "n1");

        /* while guilds move, those who come first are at it */

        put_guild(&m, 500, "n9", "b", 901, 3000 + AGENT_RANK_DELAY - 1);
        test_num("at it", plan_all(&m, 3000 + AGENT_RANK_DELAY, "n1"), 0);
        assert_true(plan_all(&m, 3000 + 2 * AGENT_RANK_DELAY, "n1") > 0);
        plan_all(&m, 3000 + AGENT_LAST_DELAY, "n1");
        agent_model_free(&m);
    }

    test_num("each guild once", at_once, 500);
}


/* All who are to be asked now; the answer of each.  Their number. */

static size_t
ask_all(agent_model_t *m, uint64_t now, bool answers)
{
    size_t         n;
    agent_node_t  *node;

    for (n = 0; (node = agent_model_ask(m, now)) != NULL; n++) {
        assert_false(node->registered);
        assert_string_not_equal(node->info.name, m->self);
        (void) agent_model_asked(node, answers);
    }

    return n;
}


static void
vanish(agent_model_t *m, unsigned from, unsigned to, uint64_t now)
{
    char      key[16];
    unsigned  i;

    for (i = from; i <= to; i++) {
        snprintf(key, sizeof(key), "n/n%u", i);
        del(m, key, 500 + i, now);
    }
}


static void
test_hold(void **state)
{
    char           key[16];
    unsigned       i;
    agent_model_t  m;

    (void) state;

    /* 4 of 12 at once */

    prepare(&m, 12, 10);

    for (i = 1; i <= 4; i++) {
        snprintf(key, sizeof(key), "n/n%u", i);
        del(&m, key, 500 + i, 2000 + i * 100);
    }

    agent_model_tick(&m, 3000);
    assert_true(m.holding);
    test_num("held", plan_all(&m, 3000, ""), 0);
    agent_model_tick(&m, 20000);
    test_num("held", plan_all(&m, 20000, ""), 0);

    /* three are back: the last one is dead, if it does not answer */

    test_num("asked", ask_all(&m, 20000, false), 4);
    test_num("not again so soon", ask_all(&m, 20001, false), 0);

    for (i = 2; i <= 4; i++) {
        snprintf(key, sizeof(key), "n%u", i);
        put_node(&m, key, "b", "up", 600 + i, 21000);
    }

    agent_model_tick(&m, 21000);
    assert_false(m.holding);
    test_num("once is not enough", plan_all(&m, 21000, ""), 0);
    test_num("asked", ask_all(&m, 22000, false), 1);
    agent_model_tick(&m, 22000);
    test_num("dead", plan_all(&m, 30000, "n1"), 10);
    agent_model_free(&m);

    /* or nobody comes back */

    prepare(&m, 12, 10);

    for (i = 1; i <= 4; i++) {
        snprintf(key, sizeof(key), "n/n%u", i);
        del(&m, key, 500 + i, 2000);
    }

    agent_model_tick(&m, 2500);
    ask_all(&m, 2500, false);
    ask_all(&m, 5000, false);
    agent_model_tick(&m, 2500 + AGENT_HOLD - 1);
    test_num("held", plan_all(&m, 2500 + AGENT_HOLD - 1, ""), 0);
    agent_model_tick(&m, 2500 + AGENT_HOLD);
    assert_true(agent_model_node(&m, "n1")->dead);
    agent_model_free(&m);

    /* one after the other is together, too */

    prepare(&m, 12, 10);

    for (i = 1; i <= 4; i++) {
        snprintf(key, sizeof(key), "n/n%u", i);
        del(&m, key, 500 + i, 2000 + i * 550);
        agent_model_tick(&m, 2000 + i * 550 + 500);
    }

    assert_true(m.holding);
    assert_true(agent_model_node(&m, "n2")->dead);
    assert_false(agent_model_node(&m, "n3")->dead);
    assert_false(agent_model_node(&m, "n4")->dead);
    agent_model_free(&m);

    /* but not what has nothing to do with each other */

    prepare(&m, 12, 10);

    for (i = 1; i <= 4; i++) {
        snprintf(key, sizeof(key), "n/n%u", i);
        del(&m, key, 500 + i, i * 3000);
        agent_model_tick(&m, i * 3000 + 500);
        assert_false(m.holding);
    }

    agent_model_free(&m);

    /* two of three are no mass */

    prepare(&m, 3, 10);
    del(&m, "n/n1", 500, 2000);
    del(&m, "n/n2", 501, 2000);
    agent_model_tick(&m, 2500);
    assert_false(m.holding);
    test_num("moved", plan_all(&m, 2500 + AGENT_LAST_DELAY, "n1"), 10);
    agent_model_free(&m);
}


static void
test_orders(void **state)
{
    agent_node_t   *node;
    agent_move_t    move;
    agent_model_t   m;

    (void) state;

    prepare(&m, 2, 10);
    node = agent_model_node(&m, "n1");

    put(&m, "q/n1", "{\"m\":\"evict\"}", 500, 2000);
    assert_false(agent_node_open(node));
    assert_true(agent_model_plan(&m, 2000 + AGENT_LAST_DELAY, &move));
    assert_false(move.from_gone);
    test_num("all", move.n, 10);
    agent_model_moved(&m, &move);

    del(&m, "q/n1", 501, 3000);
    assert_true(agent_node_open(node));
    test_num("none", plan_all(&m, 9000, ""), 0);

    /* a drain is the node's own business */

    put(&m, "q/n1", "{\"m\":\"drain\",\"after\":0}", 502, 10000);
    test_num("waits", node->info.flags, VOICE_NODE_UP | VOICE_NODE_WAIT);
    assert_true(agent_node_open(node));
    put(&m, "o/drain/0", "n1", 502, 10000);
    test_num("drains", node->info.flags, VOICE_NODE_UP | VOICE_NODE_DRAIN);
    assert_false(agent_node_open(node));
    test_num("not ours", plan_all(&m, 60000, ""), 0);

    strcpy(m.self, "n1");
    m.drain_rate = 2;
    test_num("no slot", plan_all(&m, 60000, ""), 0);
    m.drain_slot = true;
    assert_true(agent_model_plan(&m, 60000, &move));
    agent_model_moved(&m, &move);
    test_num("pace", plan_all(&m, 61000, "n1"), 2);
    test_num("pace", plan_all(&m, 61100, "n1"), 0);

    /* one that says of itself that it is down */

    strcpy(m.self, "n0");
    del(&m, "q/n1", 503, 62000);
    put_node(&m, "n1", "b", "down", 504, 63000);
    assert_true(agent_model_plan(&m, 63000 + AGENT_LAST_DELAY, &move));
    assert_false(move.from_gone);

    agent_model_free(&m);
}


static void
test_slots(void **state)
{
    agent_node_t   *n1, *n2;
    agent_model_t   m;

    (void) state;

    prepare(&m, 3, 0);
    n1 = agent_model_node(&m, "n1");
    n2 = agent_model_node(&m, "n2");

    put(&m, "q/n1", "{\"m\":\"drain\"}", 500, 1000);
    put_node(&m, "n2", "b", "drain", 501, 1000);
    test_num("n1", n1->info.flags, VOICE_NODE_UP | VOICE_NODE_WAIT);
    test_num("n2", n2->info.flags, VOICE_NODE_UP | VOICE_NODE_WAIT);

    /* one after the other; a slot of the region's where it shares a prefix */

    put(&m, "o/drain/eu/0", "n1", 502, 1000);
    test_num("n1", n1->info.flags, VOICE_NODE_UP | VOICE_NODE_DRAIN);
    test_num("n2", n2->info.flags, VOICE_NODE_UP | VOICE_NODE_WAIT);

    put(&m, "o/drain/eu/0", "n2", 503, 1000);
    test_num("n1", n1->info.flags, VOICE_NODE_UP | VOICE_NODE_WAIT);
    test_num("n2", n2->info.flags, VOICE_NODE_UP | VOICE_NODE_DRAIN);

    /* empty at last: stays shut without its slot */

    put_node(&m, "n2", "b", "drained", 504, 1000);
    del(&m, "o/drain/eu/0", 505, 1000);
    test_num("n2", n2->info.flags,
             VOICE_NODE_UP | VOICE_NODE_DRAIN | VOICE_NODE_DRAINED);
    assert_false(agent_node_open(n2));
    assert_false(agent_node_failed(n2));
    put_node(&m, "n2", "b", "up", 506, 1000);
    assert_true(agent_node_open(n2));

    /* a list knows of no slot */

    put(&m, "o/drain/0", "n1", 507, 1000);
    list_begin(&m, 508);
    put_node(&m, "n1", "b", "up", 10, 1000);
    put(&m, "q/n1", "{\"m\":\"drain\"}", 500, 1000);
    list_end(&m, 1000);
    test_num("n1", n1->info.flags, VOICE_NODE_UP | VOICE_NODE_WAIT);

    /* bad ones */

    assert_false(agent_model_put(&m, P "o/drain/0", "No Name", 509, 1000));
    assert_false(agent_model_put(&m, P "o/other", "n1", 509, 1000));
    assert_false(agent_model_put(&m, P "o/drain/"
                 "0123456789012345678901234567890123456789012345678901234567",
                 "n1", 509, 1000));

    agent_model_free(&m);
}


static void
test_small_ones_first(void **state)
{
    size_t          i;
    agent_move_t    move, none;
    agent_model_t   m;

    static const uint32_t  people[] = { 9, 1, 30, 2, 0, 4 };
    static const uint64_t  order[] = { 2, 4, 6, 1, 3 };

    (void) state;

    prepare(&m, 2, test_n(people));
    strcpy(m.self, "n1");

    for (i = 0; i < test_n(people); i++) {
        agent_model_guild(&m, i + 1)->people = people[i];
    }

    agent_model_guild(&m, 5)->unused = true;   /* about to be given back */

    put(&m, "q/n1", "{\"m\":\"drain\",\"after\":60}", 502, 10000);
    put(&m, "o/drain/0", "n1", 503, 15000);
    m.drain_rate = 20;
    m.drain_slot = true;

    test_num("not yet", plan_all(&m, 69999, ""), 0);

    for (i = 0; i < test_n(order); i++) {
        assert_true(agent_model_plan(&m, 70000 + i * 50, &move));
        test_num("one", move.n, 1);
        test_num("guild", move.guild[0], order[i]);

        /* not before it is there */
        assert_false(agent_model_plan(&m, 70000 + i * 50 + 49, &none));
        put_guild(&m, (unsigned) order[i], "n0", "b", 600 + (unsigned) i,
                  70000);
        agent_model_moved(&m, &move);
    }

    assert_false(agent_model_plan(&m, 80000, &move));

    /* at once, whatever was ordered */

    put_guild(&m, 1, "n1", "b", 700, 80000);
    put(&m, "q/n1", "{\"m\":\"drain\",\"after\":3600}", 701, 80000);
    assert_false(agent_model_plan(&m, 80100, &move));
    m.drain_now = true;
    assert_true(agent_model_plan(&m, 80200, &move));
    test_num("now", move.guild[0], 1);

    agent_model_free(&m);
}


/* Nowhere to go: after a second clients are told so. */

static void
test_orphans(void **state)
{
    agent_guild_t  *g;
    agent_model_t   m;

    (void) state;

    prepare(&m, 2, 1);
    put(&m, "q/n0", "{\"m\":\"drain\"}", 500, 1000);
    put(&m, "o/drain/0", "n0", 500, 1000);
    del(&m, "n/n1", 501, 2000);
    agent_model_tick(&m, 2500);
    g = agent_model_guild(&m, 1);

    test_num("none", plan_all(&m, 2500 + AGENT_LAST_DELAY, ""), 0);
    assert_true(g->orphan);

    del(&m, "q/n0", 502, 6000);
    test_num("now", plan_all(&m, 6000, "n1"), 1);
    put_guild(&m, 1, "n0", "b", 600, 6000);
    assert_false(g->orphan);

    agent_model_free(&m);
}


static void
test_choice(void **state)
{
    agent_node_t   *node;
    agent_model_t   m;

    (void) state;

    prepare(&m, 3, 0);
    put(&m, "l/n0", "{\"u\":500,\"g\":0,\"r\":0}", 50, 1000);
    put(&m, "l/n1", "{\"u\":100,\"g\":0,\"r\":0}", 51, 1000);
    put(&m, "l/n2", "{\"u\":150,\"g\":0,\"r\":0}", 52, 1000);

    test_err("least", agent_model_choose(&m, 0, "", NULL, 1500, &node),
             VOICE_OK);
    assert_string_equal(node->info.name, "n1");

    /* what is on its way there, by us or by others */

    node->inflight = 20;
    test_err("inflight", agent_model_choose(&m, 0, "", NULL, 1500, &node),
             VOICE_OK);
    assert_string_equal(node->info.name, "n2");
    test_err("except", agent_model_choose(&m, 0, "", node, 1500, &node),
             VOICE_OK);
    assert_string_equal(node->info.name, "n1");
    node->inflight = 0;

    for (unsigned i = 1; i <= 20; i++) {
        put_guild(&m, i, "n1", "b", 100 + i, 1000);
    }

    test_num("pending", agent_model_node(&m, "n1")->pending, 20);
    test_err("pending", agent_model_choose(&m, 0, "", NULL, 1500, &node),
             VOICE_OK);
    assert_string_equal(node->info.name, "n2");

    put(&m, "l/n1", "{\"u\":100,\"g\":20,\"r\":110}", 130, 1500);
    test_num("reported", agent_model_node(&m, "n1")->pending, 10);

    test_err("region", agent_model_choose(&m, 0, "us", NULL, 1500, &node),
             VOICE_E_NOT_FOUND);
    assert_null(agent_model_rendezvous(&m, 7, "us", 1500));
    assert_non_null(agent_model_rendezvous(&m, 7, "", 1500));

    agent_model_free(&m);
}


static void
test_provisional(void **state)
{
    agent_guild_t  *g;
    agent_model_t   m;

    (void) state;

    prepare(&m, 2, 0);
    m.revision = 77;

    agent_model_provisional(&m, 9, agent_model_node(&m, "n1"), 1000);
    g = agent_model_guild(&m, 9);
    assert_true(g->provisional && g->revision == 77);

    /* a list that doesn't know of it leaves it; etcd's word ends it */

    list_begin(&m, 80);
    put_node(&m, "n0", "b", "up", 10, 2000);
    put_node(&m, "n1", "b", "up", 11, 2000);
    test_num("gone", list_end(&m, 2000), 0);
    assert_true(g->node != NULL);

    /* etcd has none: that is why */

    del(&m, "a/9", 90, 2000);
    assert_true(g->node != NULL);

    put_guild(&m, 9, "n0", "b", 60, 2000);
    assert_false(g->provisional);
    assert_string_equal(g->node->info.name, "n0");

    agent_model_free(&m);
}


/*
 * A list after any changes that were not told leads to the same as the
 * changes themselves.
 */

static void
test_list_equals_events(void **state)
{
    char            key[32], name[16];
    int             round;
    unsigned        i, guild;
    uint64_t        x, rev;
    agent_model_t   told, listed;
    agent_guild_t  *a, *b;
    struct {
        unsigned    node;          /* + 1; 0: none */
        uint64_t    rev;
    } truth[64];

    (void) state;

    prepare(&told, 6, 0);
    prepare(&listed, 6, 0);
    memset(truth, 0, sizeof(truth));
    x = 1;
    rev = 100;

    for (round = 0; round < 100; round++) {

        for (i = 0; i < 40; i++) {
            x = x * 6364136223846793005ull + 1442695040888963407ull;
            guild = 1 + (x >> 33) % 63;
            rev++;

            if ((x >> 50) % 3 == 0) {
                snprintf(key, sizeof(key), "a/%u", guild);
                del(&told, key, rev, 1000);
                truth[guild].node = 0;

            } else {
                truth[guild].node = 1 + (x >> 40) % 6;
                truth[guild].rev = rev;
                snprintf(name, sizeof(name), "n%u", truth[guild].node - 1);
                put_guild(&told, guild, name, "b", rev, 1000);
            }
        }

        list_begin(&listed, rev);

        for (i = 0; i < 6; i++) {
            snprintf(name, sizeof(name), "n%u", i);
            put_node(&listed, name, "b", "up", 10 + i, 1000);
        }

        for (guild = 1; guild < 64; guild++) {
            if (truth[guild].node != 0) {
                snprintf(name, sizeof(name), "n%u", truth[guild].node - 1);
                put_guild(&listed, guild, name, "b", truth[guild].rev, 1000);
            }
        }

        list_end(&listed, 1000);

        for (guild = 1; guild < 64; guild++) {
            a = agent_model_guild(&told, guild);
            b = agent_model_guild(&listed, guild);

            assert_true((a != NULL && a->node != NULL)
                        == (b != NULL && b->node != NULL));

            if (a != NULL && a->node != NULL) {
                assert_string_equal(a->node->info.name, b->node->info.name);
                assert_true(a->revision == b->revision);
            }
        }
    }

    /* a node that vanished while nobody watched has died as any other */

    list_begin(&listed, rev);
    put_node(&listed, "n0", "b", "up", 10, 5000);
    assert_true(list_end(&listed, 5000) >= 5);
    assert_false(agent_model_node(&listed, "n3")->registered);

    agent_model_free(&told);
    agent_model_free(&listed);
}


/* What was answered while a list was read is newer than the list. */

static void
test_list_and_answers(void **state)
{
    agent_model_t  m;

    (void) state;

    prepare(&m, 3, 2);
    m.revision = 150;

    list_begin(&m, 200);
    put_node(&m, "n0", "b", "up", 10, 2000);
    put_guild(&m, 1, "n1", "b", 101, 2000);

    in_list = false;
    put_guild(&m, 1, "n2", "b", 210, 2000);
    put_guild(&m, 3, "n2", "b", 211, 2000);
    put_node(&m, "n2", "b", "drain", 212, 2000);

    /* and one that is late is not, even now */

    put_guild(&m, 1, "n0", "b", 90, 2000);
    in_list = true;

    put_guild(&m, 1, "n1", "b", 101, 2000);
    put_guild(&m, 2, "n1", "b", 102, 2000);
    test_num("n1 went", list_end(&m, 2000), 1);

    assert_string_equal(agent_model_guild(&m, 1)->node->info.name, "n2");
    assert_non_null(agent_model_guild(&m, 3)->node);
    assert_true(agent_model_node(&m, "n2")->registered);
    assert_false(agent_model_node(&m, "n1")->registered);

    /* a former time: it is as the list says, and goes on from there */

    list_begin(&m, 50);
    put_guild(&m, 1, "n0", "b", 40, 3000);
    list_end(&m, 3000);
    assert_string_equal(agent_model_guild(&m, 1)->node->info.name, "n0");
    assert_null(agent_model_guild(&m, 3)->node);
    assert_false(agent_model_node(&m, "n2")->registered);
    test_num("revision", m.revision, 50);
    put_guild(&m, 3, "n0", "b", 51, 3000);
    assert_non_null(agent_model_guild(&m, 3)->node);

    /* so with another etcd, whatever its revision */

    agent_model_list_begin(&m, 500, true);
    test_num("all", agent_model_list_end(&m, 4000), 2);

    /* what can't be read is not gone */

    put_node(&m, "n1", "b", "up", 501, 5000);
    put_guild(&m, 1, "n1", "b", 502, 5000);
    agent_model_list_begin(&m, 510, false);
    assert_false(agent_model_list_put(&m, P "n/n1", "{\"v\":2}", 503, 5000));
    assert_false(agent_model_list_put(&m, P "a/1", "x", 504, 5000));
    test_num("none", agent_model_list_end(&m, 5000), 0);

    /* one that was begun and never ended has changed nothing */

    put(&m, "q/n1", "{\"m\":\"evict\"}", 511, 5000);
    agent_model_list_begin(&m, 512, false);
    put_guild(&m, 1, "n0", "b", 400, 5000);
    assert_string_equal(agent_model_guild(&m, 1)->node->info.name, "n1");
    assert_int_equal(agent_model_node(&m, "n1")->order, AGENT_ORDER_EVICT);

    agent_model_free(&m);
}


static size_t
reap(agent_model_t *m, uint64_t now)
{
    size_t         n;
    agent_node_t  *node;

    agent_model_reap(m, now);

    for (n = 0; (node = agent_model_gone(m)) != NULL; n++) {
        free(node);
    }

    return n;
}


/* Nodes that nothing refers to leave, some time after they went. */

static void
test_forgotten(void **state)
{
    agent_move_t       move;
    agent_model_t      m;
    voice_node_info_t  info;

    (void) state;

    prepare(&m, 4, 1);
    del(&m, "n/n1", 500, 2000);
    del(&m, "n/n2", 501, 2000);
    del(&m, "n/n3", 502, 3000);
    put(&m, "q/n3", "{\"m\":\"drain\"}", 503, 3000);

    test_num("not yet", reap(&m, 2000 + AGENT_FORGET - 1), 0);
    test_num("n2", reap(&m, 2000 + AGENT_FORGET), 1);
    assert_null(agent_model_node(&m, "n2"));

    /* n1 has a guild, then a call that moves it */

    agent_model_tick(&m, 700000);
    ask_all(&m, 700000, false);
    ask_all(&m, 710000, false);
    agent_model_tick(&m, 700000 + AGENT_HOLD);
    assert_true(agent_model_plan(&m, 800000, &move));
    put_guild(&m, 1, "n0", "b", 600, 800000);
    test_num("held", reap(&m, 800000), 0);
    agent_model_moved(&m, &move);
    test_num("n1", reap(&m, 800000), 1);

    /* n3 until its order goes; then it is back */

    del(&m, "q/n3", 601, 800000);
    test_num("n3", reap(&m, 800000), 1);
    put_node(&m, "n3", "b", "up", 602, 800000);
    test_num("back", reap(&m, 9000000), 0);
    assert_true(agent_node_open(agent_model_node(&m, "n3")));

    /* this one never; nor one of an agent before us at once */

    del(&m, "n/n0", 700, 1000000);
    del(&m, "a/1", 700, 1000000);
    memset(&info, 0, sizeof(info));
    strcpy(info.name, "old");
    strcpy(info.boot, "b");
    info.flags = VOICE_NODE_UP;
    assert_true(agent_model_adopt(&m, &info, 9000000));
    test_num("gone", agent_model_node(&m, "old")->info.flags, 0);
    test_num("none", reap(&m, 9000000), 0);
    test_num("old", reap(&m, 9000000 + AGENT_FORGET), 1);

    agent_model_free(&m);
}


/* Who answers lives, for as long as it does. */

static void
test_hold_answers(void **state)
{
    uint64_t        t;
    unsigned        i;
    agent_node_t   *n1, *n2;
    agent_model_t   m;

    (void) state;

    prepare(&m, 12, 10);
    m.hold = 5000;
    vanish(&m, 1, 4, 2000);
    agent_model_tick(&m, 2500);

    n1 = agent_model_node(&m, "n1");
    n2 = agent_model_node(&m, "n2");
    test_num("flags", n1->info.flags, VOICE_NODE_HELD);

    for (i = 0; i < 10; i++) {
        t = 2500 + i * 2000;
        test_num("asked", ask_all(&m, t, true), 4);
        agent_model_tick(&m, t);
        test_num("held", plan_all(&m, t, ""), 0);
    }

    assert_false(n1->dead);

    /* one answer that is lost is no death, and no sum of them is */

    for (i = 0; i < 3; i++) {
        t += 2000;
        ask_all(&m, t, false);
        agent_model_tick(&m, t);
        t += 2000;
        ask_all(&m, t, true);
        agent_model_tick(&m, t);
    }

    assert_false(n1->dead);

    /* one ends, the others go on; who came back dies as ever */

    assert_true(agent_model_ask(&m, t + 2000) != NULL);
    n1->silent = AGENT_HOLD_SILENT;
    agent_model_tick(&m, t + 2000);
    assert_true(n1->dead);
    assert_false(n2->dead);
    test_num("flags", n1->info.flags, 0);
    test_num("moved", plan_all(&m, t + 2000 + AGENT_LAST_DELAY, "n1"), 10);

    put_node(&m, "n2", "b", "up", 900, t + 3000);
    put_node(&m, "n3", "b", "up", 900, t + 3000);
    test_num("flags", n2->info.flags, VOICE_NODE_UP);
    agent_model_tick(&m, t + 3000);
    assert_false(m.holding);
    del(&m, "n/n2", 901, t + 60000);
    agent_model_tick(&m, t + 60500);
    assert_true(n2->dead);

    agent_model_free(&m);
}


/* What an operator says of it: by etcd, so it may be anything. */

static void
test_hold_order(void **state)
{
    agent_model_t  m;

    (void) state;

    /* off: at once, also if it began before */

    prepare(&m, 12, 10);
    vanish(&m, 1, 4, 2000);
    agent_model_tick(&m, 2500);
    test_num("held", plan_all(&m, 2500, ""), 0);

    assert_false(agent_model_put(&m, P "c/hold", "{\"m\":\"maybe\"}", 700,
                                 3000));
    assert_false(agent_model_put(&m, P "c/hold", "off", 701, 3000));
    assert_false(agent_model_put(&m, P "c/other", "{\"m\":\"off\"}", 702,
                                 3000));
    test_num("bad", m.bad_values, 2);
    agent_model_tick(&m, 3000);
    assert_true(m.holding);

    put(&m, "c/hold", "{\"m\":\"off\",\"by\":\"a\",\"why\":\"b\"}", 703,
        3000);
    agent_model_tick(&m, 3001);
    assert_false(m.holding);
    assert_true(agent_model_node(&m, "n4")->dead);
    test_num("moved", plan_all(&m, 3001 + AGENT_LAST_DELAY, "n1"), 10);
    agent_model_free(&m);

    /* on: one node, for as long as the order is there */

    prepare(&m, 12, 10);
    put(&m, "c/hold", "{\"m\":\"on\"}", 400, 1000);
    vanish(&m, 1, 1, 2000);
    agent_model_tick(&m, 2500);
    ask_all(&m, 2500, false);
    ask_all(&m, 5000, false);
    agent_model_tick(&m, 2500 + 10 * AGENT_HOLD);
    test_num("held", plan_all(&m, 2500 + 10 * AGENT_HOLD, ""), 0);
    del(&m, "c/hold", 399, 400000);
    agent_model_tick(&m, 400000);
    assert_true(m.holding);
    del(&m, "c/hold", 401, 400000);
    agent_model_tick(&m, 400000);
    assert_true(agent_model_node(&m, "n1")->dead);
    agent_model_free(&m);

    /* a list that does not have it any more; one that has it as nonsense */

    prepare(&m, 1, 0);
    put(&m, "c/hold", "{\"m\":\"on\"}", 400, 1000);
    list_begin(&m, 450);
    assert_false(agent_model_list_put(&m, P "c/hold", "[]", 440, 2000));
    put_node(&m, "n0", "b", "up", 10, 2000);
    test_num("gone", list_end(&m, 2000), 0);
    assert_true(m.hold_order == AGENT_HOLD_ON);
    list_begin(&m, 460);
    put_node(&m, "n0", "b", "up", 10, 3000);
    test_num("gone", list_end(&m, 3000), 1);
    assert_true(m.hold_order == AGENT_HOLD_AUTO);
    agent_model_free(&m);
}


/* Names that somebody writes hold up nobody and take nobody's place. */

static void
test_foreign_names(void **state)
{
    char           key[32];
    unsigned       i;
    agent_model_t  m;

    (void) state;

    prepare(&m, 3, 5);

    for (i = 0; i < VOICE_CLUSTER_NODES - 3; i++) {
        snprintf(key, sizeof(key), "l/x%u", i);
        put(&m, key, "{\"u\":0,\"g\":0,\"r\":0}", 200 + i, 1000);
    }

    put_node(&m, "n9", "b", "up", 9000, 1000);
    put(&m, "q/x99999", "{\"m\":\"evict\"}", 9001, 1000);
    test_num("nodes", m.node_count, VOICE_CLUSTER_NODES);
    assert_true(agent_model_node(&m, "n9")->registered);

    del(&m, "n/n1", 9002, 2000);
    agent_model_tick(&m, 2000 + m.grace);
    assert_false(m.holding);
    assert_true(agent_model_node(&m, "n1")->dead);

    agent_model_free(&m);
}


static void
test_many_guilds(void **state)
{
    unsigned        i, n;
    agent_model_t   m;
    agent_guild_t  *g;

    (void) state;

    prepare(&m, 2, 20000);
    test_num("guilds", m.guilds, 20000);
    assert_true(m.buckets > 1024);

    for (n = 0; (g = agent_model_dirty_guild(&m)) != NULL; n++) {
        /* void */
    }

    test_num("dirty", n, 20000);

    for (i = 1; i <= 20000; i++) {
        char  key[16];

        snprintf(key, sizeof(key), "a/%u", i);
        del(&m, key, 100000 + i, 2000);
    }

    while ((g = agent_model_dirty_guild(&m)) != NULL) {
        agent_model_forget(&m, g);
    }

    test_num("guilds", m.guilds, 0);
    agent_model_free(&m);
}


/* Where guild 1 and 2 of an evicted node go, if they go together or not. */

static void
evict(agent_model_t *m, const char *node, uint64_t rev, uint64_t now,
    const char *one, const char *two)
{
    char           key[16];
    size_t         i, n;
    uint64_t       guild;
    const char    *to;
    agent_move_t   move;

    snprintf(key, sizeof(key), "q/%s", node);
    put(m, key, "{\"m\":\"evict\"}", rev, now);

    for (n = 0; agent_model_plan(m, now + AGENT_LAST_DELAY, &move); n += move.n)
    {
        for (i = 0; i < move.n; i++) {
            guild = move.guild[i];
            to = move.to->info.name;
            assert_string_equal(to, guild == 1 ? one : two);
            put_guild(m, (unsigned) guild, to, "b", ++rev, now + 2100);
        }

        agent_model_moved(m, &move);
    }

    test_num("moved", n, (one != NULL) + (two != NULL));
    del(m, key, rev + 1, now + 3000);
}


static void
test_hunted(void **state)
{
    agent_model_t   m;
    agent_node_t   *node;
    agent_guild_t  *g;

    (void) state;

    assert_true(agent_model_init(&m, P, "n0", "eu"));
    put_pool(&m, "n0", "", 1000, 10);
    put_pool(&m, "n1", "", 1000, 11);
    put_pool(&m, "s", "q", 1000, 12);

    put_guild(&m, 1, "n0", "b", 100, 1000);
    assert_string_equal(agent_model_rendezvous(&m, 1, "", 1500)->info.pool,
                        "");

    /* once is chance; who was not there then is not after it now */

    evict(&m, "n0", 200, 2000, "n1", NULL);
    put_guild(&m, 2, "n1", "b", 210, 5500);
    evict(&m, "n1", 300, 8000, "s", "n0");

    /* when it is given back, too, by whichever way it comes */

    put_guild(&m, 3, "n0", "b", 400, 12000);
    del(&m, "a/1", 401, 12000);

    while ((g = agent_model_dirty_guild(&m)) != NULL) {
        agent_model_forget(&m, g);
    }

    test_err("hunted", agent_model_choose(&m, 1, "", NULL, 12000, &node),
             VOICE_OK);
    assert_string_equal(node->info.name, "s");
    assert_string_equal(agent_model_rendezvous(&m, 1, "", 12000)->info.name,
                        "s");
    test_err("others", agent_model_choose(&m, 2, "", NULL, 12000, &node),
             VOICE_OK);
    assert_string_equal(node->info.pool, "");

    /* only there: not elsewhere because there is no room */

    put(&m, "n/s", "{\"v\":1,\"e\":\"b\",\"ws\":\"a:1\",\"cap\":1000,"
        "\"st\":\"down\",\"pool\":\"q\"}", 500, 12000);
    test_err("down", agent_model_choose(&m, 1, "", NULL, 12000, &node),
             VOICE_E_NOT_FOUND);
    assert_null(agent_model_rendezvous(&m, 1, "", 12000));

    /* a fleet without such nodes has no other place */

    del(&m, "n/s", 501, 12000);
    test_err("no pool", agent_model_choose(&m, 1, "", NULL, 12000, &node),
             VOICE_OK);
    put_pool(&m, "s", "q", 1000, 502);

    /* ten minutes later it is as any other, and forgotten by a list */

    test_err("later", agent_model_choose(&m, 1, "", NULL, 10100 + 600000,
                                         &node), VOICE_OK);
    assert_string_equal(node->info.pool, "");

    list_begin(&m, 600);
    put_guild(&m, 3, "n0", "b", 400, 700000);
    (void) list_end(&m, 700000);

    while ((g = agent_model_dirty_guild(&m)) != NULL) {
        agent_model_forget(&m, g);
    }

    assert_null(agent_model_guild(&m, 1));
    test_num("guilds", m.guilds, 1);
    agent_model_free(&m);
}


static void
test_evictable(void **state)
{
    char            name[16];
    unsigned        i;
    agent_model_t   m;
    agent_node_t   *node;

    (void) state;

    assert_true(agent_model_init(&m, P, "n0", "eu"));

    put_pool(&m, "n0", "", 1000, 10);
    node = agent_model_self(&m);
    assert_false(agent_model_evictable(&m, node, 1000));

    /* one may go, if somebody is left who takes what it had */

    put_pool(&m, "s", "q", 1000, 9);
    assert_false(agent_model_evictable(&m, node, 1000));
    del(&m, "n/s", 10, 1000);

    put_pool(&m, "n1", "", 1000, 11);
    assert_true(agent_model_evictable(&m, node, 1000));
    put(&m, "q/n1", "{\"m\":\"evict\"}", 500, 2000);
    assert_false(agent_model_evictable(&m, node, 2000));
    assert_false(agent_model_evictable(&m, node, 2000 + 60000));

    put_pool(&m, "n2", "", 1000, 12);
    assert_false(agent_model_evictable(&m, node, 2000 + 59999));
    assert_true(agent_model_evictable(&m, node, 2000 + 60000));

    /* another region's nodes are none of ours */

    put(&m, "n/us", "{\"v\":1,\"e\":\"b\",\"ws\":\"a:1\",\"cap\":90000,"
        "\"st\":\"up\",\"rg\":\"us\"}", 13, 1000);
    assert_false(agent_model_evictable(&m, node, 2000 + 59999));

    /* two of twenty are a tenth of it; a large one is more than that */

    for (i = 3; i < 20; i++) {
        snprintf(name, sizeof(name), "n%u", i);
        put_pool(&m, name, "", 1000, 20 + i);
    }

    assert_true(agent_model_evictable(&m, node, 3000));
    put_pool(&m, "n0", "", 1500, 600);
    assert_false(agent_model_evictable(&m, node, 3000));
    assert_true(agent_model_evictable(&m, node, 2000 + 60000));

    /* said again it is the same order */

    put(&m, "q/n1", "{\"m\":\"evict\",\"why\":\"x\"}", 700, 60000);
    assert_true(agent_model_evictable(&m, node, 2000 + 60000));
    agent_model_free(&m);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_keys),
        cmocka_unit_test(test_death),
        cmocka_unit_test(test_return_in_grace),
        cmocka_unit_test(test_late_answers),
        cmocka_unit_test(test_ranks),
        cmocka_unit_test(test_hold),
        cmocka_unit_test(test_hold_answers),
        cmocka_unit_test(test_hold_order),
        cmocka_unit_test(test_orders),
        cmocka_unit_test(test_slots),
        cmocka_unit_test(test_small_ones_first),
        cmocka_unit_test(test_orphans),
        cmocka_unit_test(test_choice),
        cmocka_unit_test(test_hunted),
        cmocka_unit_test(test_evictable),
        cmocka_unit_test(test_provisional),
        cmocka_unit_test(test_list_equals_events),
        cmocka_unit_test(test_list_and_answers),
        cmocka_unit_test(test_forgotten),
        cmocka_unit_test(test_foreign_names),
        cmocka_unit_test(test_many_guilds),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
