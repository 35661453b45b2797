/*
 * Copyright (C) ngx-voice contributors
 *
 * Who probes whom, who is suspect, and what it takes to be taken out.
 */


#include "test_util.h"

#include "agent_model.h"

#include <stdio.h>
#include <string.h>


#define P     "rv1/eu/"
#define NOW   5000


static void
put(agent_model_t *m, const char *key, const char *value, uint64_t rev)
{
    char  full[128];

    snprintf(full, sizeof(full), P "%s", key);

    if (!agent_model_put(m, full, value, rev, NOW)) {
        fail_msg("%s %s: %s", key, value, m->refused);
    }
}


static void
del(agent_model_t *m, const char *key, uint64_t rev)
{
    char  full[128];

    snprintf(full, sizeof(full), P "%s", key);
    agent_model_delete(m, full, rev, NOW);
}


/* more: further fields of n/ */

static void
put_node(agent_model_t *m, const char *name, const char *st,
    const char *more, uint64_t rev)
{
    char  key[64], value[256];

    snprintf(key, sizeof(key), "n/%s", name);
    snprintf(value, sizeof(value), "{\"v\":1,\"e\":\"b\",\"ws\":\"a:1\","
             "\"cap\":1000,\"st\":\"%s\"%s}", st, more);
    put(m, key, value, rev);

    snprintf(key, sizeof(key), "l/%s", name);
    put(m, key, "{\"u\":0,\"g\":0,\"r\":0}", rev);
}


#define PROBES  ",\"probe\":true"


static void
prepare(agent_model_t *m, unsigned nodes)
{
    char      name[16];
    unsigned  i;

    assert_true(agent_model_init(m, P, "n0", "eu"));

    for (i = 0; i < nodes; i++) {
        snprintf(name, sizeof(name), "n%u", i);
        put_node(m, name, "up", PROBES, 10 + i);
    }
}


static bool
among(agent_node_t *const *list, size_t n, const agent_node_t *node)
{
    size_t  i;

    for (i = 0; i < n && list[i] != node; i++) { /* void */ }

    return i < n;
}


/* by says that node is lost, as key and flag have it */

static void
accuse(agent_model_t *m, const char *node, const char *by, uint64_t rev)
{
    char  key[80];

    snprintf(key, sizeof(key), "x/%s/%s", node, by);
    put(m, key, "{}", rev);
}


static void
acquit(agent_model_t *m, const char *node, const char *by, uint64_t rev)
{
    char  key[80];

    snprintf(key, sizeof(key), "x/%s/%s", node, by);
    del(m, key, rev);
}


static bool
suspect(agent_model_t *m, const char *node)
{
    return (agent_model_node(m, node)->info.flags & VOICE_NODE_SUSPECT) != 0;
}


/* Nodes that probe it, the nearest one first. */

static size_t
probers(agent_model_t *m, agent_node_t *node, agent_node_t **list)
{
    size_t         n;
    agent_node_t  *other, *peers[AGENT_PEERS];

    n = 0;

    for (other = m->nodes; other != NULL; other = other->next) {
        if (among(peers, agent_model_peers(m, other, peers), node)) {
            list[n++] = other;
        }
    }

    return n;
}


static void
test_each_is_probed_by_as_many(void **state)
{
    size_t          n;
    unsigned        nodes, most;
    agent_node_t   *node, *list[64], *peers[AGENT_PEERS];
    agent_model_t   m;

    (void) state;

    for (nodes = 1; nodes <= 64; nodes = nodes < 6 ? nodes + 1 : nodes * 2) {
        prepare(&m, nodes);
        most = nodes - 1 < AGENT_PEERS ? nodes - 1 : AGENT_PEERS;

        for (node = m.nodes; node != NULL; node = node->next) {
            n = agent_model_peers(&m, node, peers);
            test_num("peers", n, most);
            assert_false(among(peers, n, node));
            test_num("probers", probers(&m, node, list), most);
        }

        agent_model_free(&m);
    }
}


static void
test_who_is_on_the_ring(void **state)
{
    agent_node_t   *peers[AGENT_PEERS];
    agent_model_t   m;

    (void) state;

    prepare(&m, 3);
    put_node(&m, "plain", "up", "", 20);
    put_node(&m, "us", "up", PROBES ",\"rg\":\"us\"", 21);
    put_node(&m, "down", "down", PROBES, 22);
    put_node(&m, "drained", "drained", PROBES, 23);
    put_node(&m, "drains", "up", PROBES, 24);
    put(&m, "q/drains", "{\"m\":\"drain\"}", 25);

    /* it waits for its slot: until then it works on */

    test_num("peers", agent_model_peers(&m, agent_model_self(&m), peers), 3);
    assert_true(among(peers, 3, agent_model_node(&m, "drains")));
    put(&m, "o/drain/0", "drains", 26);
    test_num("peers", agent_model_peers(&m, agent_model_self(&m), peers), 2);

    test_num("plain", agent_model_peers(&m, agent_model_node(&m, "plain"),
                                        peers), 0);
    test_num("down", agent_model_peers(&m, agent_model_node(&m, "down"),
                                       peers), 0);

    /* others look whether an evicted one may come back */

    put(&m, "q/n1", "{\"m\":\"evict\"}", 30);
    test_num("peers", agent_model_peers(&m, agent_model_self(&m), peers), 2);
    del(&m, "n/n2", 40);
    test_num("peers", agent_model_peers(&m, agent_model_self(&m), peers), 1);
    agent_model_free(&m);
}


/* Ours is that of n0, who judges; all have reported since. */

static agent_node_t *
lost(agent_model_t *m, const char *name)
{
    agent_node_t  *node;

    node = agent_model_node(m, name);
    node->lost = NOW - 1500;

    return node;
}


static void
test_quorum(void **state)
{
    char            key[64];
    agent_node_t   *x, *other, *list[8];
    agent_model_t   m;

    (void) state;

    /* of two nodes one is no quorum */

    prepare(&m, 2);
    x = lost(&m, "n1");
    assert_false(suspect(&m, "n1"));
    accuse(&m, "n1", "n0", 50);
    assert_true(suspect(&m, "n1"));
    assert_false(agent_model_unreached(&m, x));
    agent_model_free(&m);

    /* of three both others are one */

    prepare(&m, 3);
    x = lost(&m, "n1");
    accuse(&m, "n1", "n0", 50);
    assert_false(agent_model_unreached(&m, x));
    accuse(&m, "n1", "n2", 51);
    assert_true(agent_model_unreached(&m, x));

    /* taken back */

    acquit(&m, "n1", "n2", 52);
    assert_false(agent_model_unreached(&m, x));
    assert_true(suspect(&m, "n1"));
    acquit(&m, "n1", "n0", 53);
    assert_false(suspect(&m, "n1"));
    agent_model_free(&m);

    /* of many two of the three who probe it, and nobody else */

    prepare(&m, 64);
    x = lost(&m, "n7");
    test_num("probers", probers(&m, x, list), 3);
    accuse(&m, "n7", list[0]->info.name, 50);
    assert_false(agent_model_unreached(&m, x));

    for (other = m.nodes; other != NULL; other = other->next) {
        if (!among(list, 3, other)) {
            accuse(&m, "n7", other->info.name, 60);
        }
    }

    assert_false(agent_model_unreached(&m, x));
    accuse(&m, "n7", list[1]->info.name, 150);
    assert_true(agent_model_unreached(&m, x));

    /* one of them is evicted, and no judge: of the two left both have to */

    snprintf(key, sizeof(key), "q/%s", list[0]->info.name);
    put(&m, key, "{\"m\":\"evict\"}", 152);
    assert_false(agent_model_unreached(&m, x));
    accuse(&m, "n7", list[2]->info.name, 153);
    assert_true(agent_model_unreached(&m, x));
    agent_model_free(&m);
}


static void
test_not_taken_out(void **state)
{
    size_t          i;
    agent_node_t   *x, *list[8];
    agent_model_t   m;

    static const char  *others[] = { "n2", "n3" };

    (void) state;

    prepare(&m, 10);
    x = lost(&m, "n1");

    for (i = probers(&m, x, list); i-- != 0; /* void */ ) {
        accuse(&m, "n1", list[i]->info.name, 50 + i);
    }

    assert_true(agent_model_unreached(&m, x));

    /* we reach it */

    x->lost = 0;
    assert_false(agent_model_unreached(&m, x));

    /* it has not reported since: that may be its end */

    x->lost = NOW;
    assert_false(agent_model_unreached(&m, x));
    x->lost = NOW - 1500;
    assert_true(agent_model_unreached(&m, x));

    /* three of ten are suspected at a time: it is the network */

    for (i = 0; i < 2; i++) {
        assert_true(agent_model_unreached(&m, x));
        (void) probers(&m, agent_model_node(&m, others[i]), list);
        accuse(&m, others[i], list[0]->info.name, 60 + i);
    }

    assert_false(agent_model_unreached(&m, x));

    /* but one that was taken out long ago has nothing to do with it */

    put(&m, "q/n3", "{\"m\":\"evict\"}", 65);
    assert_true(agent_model_unreached(&m, x));
    del(&m, "q/n3", 66);
    assert_false(agent_model_unreached(&m, x));

    acquit(&m, "n3", list[0]->info.name, 70);
    assert_true(agent_model_unreached(&m, x));

    /* it says itself that it is down */

    put_node(&m, "n1", "down", PROBES, 80);
    agent_model_suspects(&m, NOW);
    assert_false(suspect(&m, "n1"));
    assert_false(agent_model_unreached(&m, x));
    agent_model_free(&m);
}


static void
test_suspects_are_the_last_choice(void **state)
{
    int             i;
    agent_node_t   *node;
    agent_model_t   m;

    (void) state;

    prepare(&m, 2);
    accuse(&m, "n1", "n0", 50);

    for (i = 1; i <= 20; i++) {
        assert_int_equal(agent_model_choose(&m, i, "", NULL, NOW, &node),
                         VOICE_OK);
        assert_string_equal(node->info.name, "n0");
        node = agent_model_rendezvous(&m, i, "", NOW);
        assert_string_equal(node->info.name, "n0");
    }

    /* both suspect each other: better than none */

    accuse(&m, "n0", "n1", 51);
    assert_true(suspect(&m, "n0"));
    assert_int_equal(agent_model_choose(&m, 1, "", NULL, NOW, &node),
                     VOICE_OK);
    assert_non_null(agent_model_rendezvous(&m, 1, "", NOW));

    /* what it has stays: it is no order */

    assert_false(agent_node_failed(agent_model_node(&m, "n1")));
    agent_model_free(&m);
}


static void
test_clients_doubt(void **state)
{
    agent_node_t   *x;
    agent_model_t   m;

    (void) state;

    prepare(&m, 3);
    x = lost(&m, "n1");
    put(&m, "x/n1/n0", "{\"ask\":true}", 50);
    put(&m, "x/n1/n2", "{\"ask\":true}", 51);
    assert_true(x->hurry);
    assert_false(suspect(&m, "n1"));
    assert_false(agent_model_unreached(&m, x));

    /* and their probes say so as well */

    x->hurry = false;
    accuse(&m, "n1", "n0", 52);
    accuse(&m, "n1", "n2", 53);
    assert_false(x->hurry);
    assert_true(agent_model_unreached(&m, x));

    /* that others have said so is enough */

    agent_model_doubt(&m, x, NOW);
    assert_false(x->hurry);
    acquit(&m, "n1", "n0", 54);
    acquit(&m, "n1", "n2", 55);

    /* ours: not each of a thousand */

    agent_model_doubt(&m, x, NOW);
    assert_true(x->hurry);
    x->hurry = false;
    agent_model_doubt(&m, x, NOW + AGENT_ASKED - 1);
    assert_false(x->hurry);
    agent_model_doubt(&m, x, NOW + AGENT_ASKED);
    assert_true(x->hurry);
    agent_model_free(&m);
}


static void
test_a_list_takes_back(void **state)
{
    agent_model_t  m;

    (void) state;

    prepare(&m, 3);
    accuse(&m, "n1", "n0", 50);
    accuse(&m, "n1", "n2", 51);
    accuse(&m, "n2", "n0", 90);

    agent_model_list_begin(&m, 60, false);
    assert_true(agent_model_list_put(&m, P "n/n0", "{\"v\":1,\"e\":\"b\","
        "\"ws\":\"a:1\",\"cap\":1000,\"st\":\"up\",\"probe\":true}", 10, NOW));
    assert_true(agent_model_list_put(&m, P "n/n1", "{\"v\":1,\"e\":\"b\","
        "\"ws\":\"a:1\",\"cap\":1000,\"st\":\"up\",\"probe\":true}", 11, NOW));
    assert_true(agent_model_list_put(&m, P "n/n2", "{\"v\":1,\"e\":\"b\","
        "\"ws\":\"a:1\",\"cap\":1000,\"st\":\"up\",\"probe\":true}", 12, NOW));

    /* a bad value is one all the same, a later one is not missing */

    assert_false(agent_model_list_put(&m, P "x/n1/n2", "[]", 55, NOW));
    test_num("gone", agent_model_list_end(&m, NOW), 1);

    assert_null(agent_model_accusation(&m, "n1", "n0"));
    assert_non_null(agent_model_accusation(&m, "n1", "n2"));
    assert_non_null(agent_model_accusation(&m, "n2", "n0"));

    /* what is older than what is known is no news */

    acquit(&m, "n2", "n0", 89);
    assert_non_null(agent_model_accusation(&m, "n2", "n0"));
    acquit(&m, "n2", "n0", 91);
    assert_null(agent_model_accusation(&m, "n2", "n0"));
    agent_model_free(&m);
}


static void
test_strange_keys(void **state)
{
    size_t         i;
    char           key[256];
    agent_model_t  m;

    static const struct {
        const char  *key;
        const char  *value;
        bool         bad;
    } cases[] = {
        { "x/n1/n0", "{}", false },
        { "x/n1/n0", "{\"ask\":false,\"more\":1}", false },
        { "x/n1/n0", "{\"ask\":1}", true },
        { "x/n1/n0", "[]", true },
        { "x/n1/n0", "", true },
        { "x/n1/n0", "{\"a\":1,\"a\":2}", true },
        { "x/n1", "{}", true },
        { "x/n1/", "{}", true },
        { "x//n0", "{}", true },
        { "x/n1/n0/n2", "{}", true },
        { "x/N1/n0", "{}", true },
        { "x/n1/n\033[2J", "{}", true },
        { "x/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa/n0", "{}", true },
        { "x/n1/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "{}", true },
        { "x/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa/n0", "{}", false },
        { "x/n1/nobody", "{}", false },
        { "x/n1/n1", "{}", false }
    };

    (void) state;

    prepare(&m, 3);

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        m.bad_values = 0;
        snprintf(key, sizeof(key), P "%s", cases[i].key);

        if (agent_model_put(&m, key, cases[i].value, 100 + i, NOW)
            == cases[i].bad)
        {
            fail_msg("%s %s", cases[i].key, cases[i].value);
        }

        test_num(cases[i].key, m.bad_values, cases[i].bad);
    }

    /* of nodes that are none nothing is kept, and nobody accuses itself */

    test_num("kept", m.accused, 2);
    acquit(&m, "n1", "n0", 200);
    assert_false(suspect(&m, "n1"));
    agent_model_free(&m);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_each_is_probed_by_as_many),
        cmocka_unit_test(test_who_is_on_the_ring),
        cmocka_unit_test(test_quorum),
        cmocka_unit_test(test_not_taken_out),
        cmocka_unit_test(test_suspects_are_the_last_choice),
        cmocka_unit_test(test_clients_doubt),
        cmocka_unit_test(test_a_list_takes_back),
        cmocka_unit_test(test_strange_keys),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
