/*
 * Copyright (C) ngx-voice contributors
 */


#include "cluster_memory.h"
#include "test_alloc.h"


#define GUILDS  64


static void
test_layout(void **state)
{
    size_t             size = voice_cluster_size(GUILDS);
    voice_cluster_t    c, other;

    (void) state;

    cluster_make(&c, GUILDS);

    test_err("attach", voice_cluster_attach(&other, c.header, size),
             VOICE_OK);
    test_num("capacity", other.guilds, GUILDS);

    test_err("header alone", voice_cluster_attach(&other, c.header, 100),
             VOICE_E_LENGTH);
    test_err("another size", voice_cluster_attach(&other, c.header,
             size + 4096), VOICE_E_LENGTH);

    c.header->layout++;
    test_err("another layout", voice_cluster_attach(&other, c.header, size),
             VOICE_E_FORMAT);
    c.header->layout--;

    c.header->record_size++;
    test_err("other records", voice_cluster_attach(&other, c.header, size),
             VOICE_E_FORMAT);
    c.header->record_size--;

    c.header->guilds = GUILDS * 2;
    test_err("another capacity", voice_cluster_attach(&other, c.header, size),
             VOICE_E_LENGTH);
    c.header->guilds = GUILDS + 1;
    test_err("no capacity", voice_cluster_attach(&other, c.header, size),
             VOICE_E_LENGTH);
    c.header->guilds = GUILDS;

    c.header->magic ^= 1;
    test_err("no magic", voice_cluster_attach(&other, c.header, size),
             VOICE_E_FORMAT);

    test_err("too few", voice_cluster_format(&other, c.header, size, 32, 0),
             VOICE_E_RANGE);
    test_err("no power of two", voice_cluster_format(&other, c.header, size,
             100, 0), VOICE_E_RANGE);
    test_err("too many", voice_cluster_format(&other, c.header, size,
             VOICE_CLUSTER_GUILDS_MAX * 2, 0), VOICE_E_RANGE);
    test_err("size", voice_cluster_format(&other, c.header, size, 128, 0),
             VOICE_E_LENGTH);

    cluster_free(&c);
}


/* So many sessions of a guild, as nginx looks at all of them. */

static void
cluster_look(voice_cluster_t *c, uint64_t guild, unsigned n, uint64_t now)
{
    while (n-- != 0) {
        test_err("used", voice_cluster_used(c, guild, 1, now), VOICE_OK);
    }
}


static uint32_t
cluster_people(const voice_cluster_t *c, uint64_t guild)
{
    uint32_t  people;
    uint64_t  at;

    people = 0;
    test_err("used at", voice_cluster_used_at(c, guild, &at, &people),
             VOICE_OK);

    return people;
}


static void
test_assignments(void **state)
{
    uint32_t                people;
    uint64_t                at;
    voice_id_t              a, b;
    voice_cluster_t         c;
    voice_assignment_t      got;
    voice_cluster_writer_t  w;

    (void) state;

    cluster_make(&c, GUILDS);
    cluster_open(&w, &c);

    test_err("guild 0", voice_cluster_find(&c, 0, &got), VOICE_E_NOT_FOUND);
    test_err("unknown", voice_cluster_find(&c, 7, &got), VOICE_E_NOT_FOUND);

    a = cluster_node(&w, "a", VOICE_NODE_UP);
    b = cluster_node(&w, "b", VOICE_NODE_UP);
    assert_true(a != b);

    test_err("assign", cluster_assign(&w, 7, a, 10), VOICE_OK);
    test_err("assign 0", cluster_assign(&w, 0, a, 10), VOICE_E_RANGE);
    test_err("find", voice_cluster_find(&c, 7, &got), VOICE_OK);
    assert_true(got.node == a && got.revision == 10 && got.flags == 0);

    test_err("move", cluster_assign(&w, 7, b, 11), VOICE_OK);
    test_err("find moved", voice_cluster_find(&c, 7, &got), VOICE_OK);
    assert_true(got.node == b && got.revision == 11);
    test_num("guilds", c.header->guilds_used, 1);

    /* its node goes, and another one gets the slot */

    voice_cluster_node_remove(&w, b);
    test_err("find orphan", voice_cluster_find(&c, 7, &got), VOICE_OK);
    assert_true(got.flags & VOICE_ASSIGNED_ORPHAN);

    assert_true(voice_id_index(cluster_node(&w, "d", 0)) == voice_id_index(b));
    test_err("find orphan", voice_cluster_find(&c, 7, &got), VOICE_OK);
    assert_true(got.flags & VOICE_ASSIGNED_ORPHAN);

    /* only the guild's node says that it is in use */

    voice_cluster_self_set(&w, a);
    test_err("not ours", voice_cluster_used(&c, 7, 1, 5000),
             VOICE_E_NOT_FOUND);
    test_err("assign", cluster_assign(&w, 7, a, 12), VOICE_OK);
    test_err("used at", voice_cluster_used_at(&c, 7, &at, NULL), VOICE_OK);
    test_num("never", at, 0);
    test_err("used", voice_cluster_used(&c, 7, 0, 5000), VOICE_OK);
    test_err("used at", voice_cluster_used_at(&c, 7, &at, &people), VOICE_OK);
    test_num("used at", at, 5000);
    test_num("not counted", people, 0);

    /* each look counts them one by one; half a look does not show */

    cluster_look(&c, 7, 3, 6000);
    test_num("people", cluster_people(&c, 7), 3);
    test_err("used", voice_cluster_used(&c, 7, 0, 6001), VOICE_OK);
    cluster_look(&c, 7, 1, 7000);
    test_num("people", cluster_people(&c, 7), 3);
    cluster_look(&c, 7, 4, 7000);
    test_num("people", cluster_people(&c, 7), 5);
    cluster_look(&c, 7, 2, 8000);
    cluster_look(&c, 7, 2, 9000);
    test_num("people", cluster_people(&c, 7), 2);
    cluster_look(&c, 7, 70000, 10000);
    test_num("people", cluster_people(&c, 7), VOICE_CLUSTER_PEOPLE_MAX);

    test_err("give back", voice_cluster_unassign(&w, 7), VOICE_OK);
    test_err("twice", voice_cluster_unassign(&w, 7), VOICE_E_NOT_FOUND);
    test_err("find", voice_cluster_find(&c, 7, &got), VOICE_E_NOT_FOUND);
    cluster_verify(&c);

    voice_cluster_close(&w);
    cluster_free(&c);
}


static void
test_full_table(void **state)
{
    uint64_t                guild;
    voice_id_t              a, b;
    voice_cluster_t         c;
    voice_assignment_t      got;
    voice_cluster_writer_t  w;

    (void) state;

    cluster_make(&c, GUILDS);
    cluster_open(&w, &c);
    a = cluster_node(&w, "a", VOICE_NODE_UP);
    b = cluster_node(&w, "b", VOICE_NODE_UP);

    for (guild = 1; guild <= GUILDS; guild++) {
        test_err("assign", cluster_assign(&w, guild, a, guild), VOICE_OK);
    }

    test_err("full", cluster_assign(&w, guild, a, guild), VOICE_E_NOMEM);
    test_num("refused", c.header->agent.refused, 1);

    /* what is there can still change, and all of it is found */

    test_err("move", cluster_assign(&w, 3, b, 99), VOICE_OK);

    for (guild = 1; guild <= GUILDS; guild++) {
        test_err("find", voice_cluster_find(&c, guild, &got), VOICE_OK);
        assert_true(got.node == (guild == 3 ? b : a));
    }

    test_err("one leaves", voice_cluster_unassign(&w, 5), VOICE_OK);
    test_err("one comes", cluster_assign(&w, 500, a, 1), VOICE_OK);
    cluster_verify(&c);

    voice_cluster_close(&w);
    cluster_free(&c);
}


/* Far more guilds than there are buckets come and go. */

static void
test_churn(void **state)
{
    uint64_t                guild, model[256], random;
    unsigned                i, n;
    voice_id_t              a;
    voice_cluster_t         c;
    voice_assignment_t      got;
    voice_cluster_writer_t  w;

    (void) state;

    cluster_make(&c, GUILDS);
    cluster_open(&w, &c);
    a = cluster_node(&w, "a", VOICE_NODE_UP);

    memset(model, 0, sizeof(model));
    random = 1;
    n = 0;

    for (i = 0; i < 20000; i++) {
        random = random * 6364136223846793005ull + 1442695040888963407ull;
        guild = 1 + (random >> 33) % 255;

        if (model[guild] != 0) {
            test_err("leave", voice_cluster_unassign(&w, guild), VOICE_OK);
            model[guild] = 0;
            n--;

        } else {
            test_err("come", cluster_assign(&w, guild, a, i + 1),
                     n == GUILDS ? VOICE_E_NOMEM : VOICE_OK);

            if (n < GUILDS) {
                model[guild] = i + 1;
                n++;
            }
        }

        if (i % 100 == 0) {
            for (guild = 1; guild < 256; guild++) {
                test_err("find", voice_cluster_find(&c, guild, &got),
                         model[guild] ? VOICE_OK : VOICE_E_NOT_FOUND);
                assert_true(model[guild] == 0
                            || got.revision == model[guild]);
            }

            cluster_verify(&c);
        }
    }

    assert_true(c.header->index_version > 2);

    voice_cluster_close(&w);
    cluster_free(&c);
}


static void
test_nodes(void **state)
{
    char                    name[16];
    unsigned                i, n;
    uint32_t                slot;
    voice_id_t              id, a;
    voice_cluster_t         c;
    voice_node_info_t       info;
    voice_node_load_t       load;
    voice_cluster_writer_t  w;

    (void) state;

    cluster_make(&c, GUILDS);
    cluster_open(&w, &c);

    memset(&info, 0, sizeof(info));
    test_err("no name", voice_cluster_node_set(&w, &info, &id),
             VOICE_E_RANGE);

    a = cluster_node(&w, "a", VOICE_NODE_UP);
    assert_true(cluster_node(&w, "a", VOICE_NODE_UP | VOICE_NODE_DRAIN) == a);

    test_err("node", voice_cluster_node(&c, a, &info, &load), VOICE_OK);
    test_num("drains", info.flags, VOICE_NODE_UP | VOICE_NODE_DRAIN);
    assert_string_equal(info.endpoint, "a.example:443");
    test_num("no load yet", load.at, 0);

    memset(&load, 0, sizeof(load));
    load.at = 5;
    load.participants = 77;
    test_err("load", voice_cluster_load_set(&w, a, &load), VOICE_OK);
    memset(&load, 0, sizeof(load));
    test_err("node", voice_cluster_node(&c, a, &info, &load), VOICE_OK);
    test_num("load", load.participants, 77);

    for (i = 1; i < VOICE_CLUSTER_NODES; i++) {
        snprintf(name, sizeof(name), "n%u", i);
        cluster_node(&w, name, VOICE_NODE_UP);
    }

    memset(&info, 0, sizeof(info));
    strcpy(info.name, "more");
    test_err("full", voice_cluster_node_set(&w, &info, &id), VOICE_E_FULL);

    for (slot = 0, n = 0;
         voice_cluster_node_next(&c, &slot, &id, &info, NULL) == VOICE_OK;
         n++) { /* void */ }

    test_num("nodes", n, VOICE_CLUSTER_NODES);

    voice_cluster_node_remove(&w, a);
    test_err("gone", voice_cluster_node(&c, a, &info, NULL), VOICE_E_STALE);
    test_err("no load", voice_cluster_load_set(&w, a, &load), VOICE_E_STALE);
    test_err("named", voice_cluster_node_named(&c, "a", &id, &info),
             VOICE_E_NOT_FOUND);
    test_err("named", voice_cluster_node_named(&c, "n9", &id, &info),
             VOICE_OK);
    assert_string_equal(info.name, "n9");

    /* ids that nobody gave */

    test_err("0", voice_cluster_node(&c, 0, &info, NULL), VOICE_E_STALE);
    test_err("wild", voice_cluster_node(&c, UINT64_MAX, &info, NULL),
             VOICE_E_STALE);

    voice_cluster_close(&w);
    cluster_free(&c);
}


static void
test_changes(void **state)
{
    size_t                   n, seen;
    uint64_t                 next, i;
    voice_id_t               a;
    voice_cluster_t          c;
    voice_cluster_change_t   list[16];
    voice_cluster_writer_t   w;

    (void) state;

    cluster_make(&c, GUILDS);
    cluster_open(&w, &c);
    a = cluster_node(&w, "a", VOICE_NODE_UP);
    voice_cluster_worker_register(&c, 3, 42, "w", 1000);

    w.wake[0] = 0;
    next = voice_cluster_changes_next(&c);
    cluster_assign(&w, 7, a, 1);
    cluster_assign(&w, 7, a, 1);               /* nothing new */
    cluster_assign(&w, 8, a, 2);

    test_num("wakes", w.wake[0], 8);
    test_err("changes", voice_cluster_changes(&c, &next, list, 16, &n),
             VOICE_OK);
    test_num("changes", n, 2);
    test_num("guild", list[0].guild, 7);
    test_num("guild", list[1].guild, 8);
    test_num("type", list[0].type, VOICE_CHANGE_GUILD);

    test_err("none", voice_cluster_changes(&c, &next, list, 16, &n),
             VOICE_OK);
    test_num("none", n, 0);

    /* a reader that is just not too late */

    for (i = 0; i < VOICE_CLUSTER_CHANGES - 1; i++) {
        cluster_assign(&w, 7, a, 10 + i);
    }

    seen = 0;

    do {
        test_err("read on", voice_cluster_changes(&c, &next, list, 16, &n),
                 VOICE_OK);
        seen += n;
    } while (n != 0);

    test_num("all", seen, VOICE_CLUSTER_CHANGES - 1);

    for (i = 0; i <= VOICE_CLUSTER_CHANGES; i++) {
        cluster_assign(&w, 7, a, 100000 + i);
    }

    test_err("late", voice_cluster_changes(&c, &next, list, 16, &n),
             VOICE_E_EXPIRED);
    test_num("goes on", next, voice_cluster_changes_next(&c));

    /* an agent that starts has everybody look at everything */

    voice_cluster_close(&w);
    cluster_open(&w, &c);
    test_err("anew", voice_cluster_changes(&c, &next, list, 16, &n),
             VOICE_E_EXPIRED);
    test_num("starts", c.header->agent.starts, 2);

    voice_cluster_close(&w);
    cluster_free(&c);
}


static void
test_requests(void **state)
{
    unsigned                 i;
    uint32_t                 slot;
    uint64_t                 ticket, taken, at, tickets[8];
    voice_cluster_t          c;
    voice_cluster_writer_t   w;
    voice_cluster_request_t  rq, got;

    (void) state;

    cluster_make(&c, GUILDS);

    memset(&rq, 0, sizeof(rq));
    rq.guild = 7;
    rq.kind = VOICE_REQUEST_JOIN;
    memset(rq.region, 'x', sizeof(rq.region));         /* without an end */

    test_err("never an agent", voice_cluster_request(&c, 0, &rq, 1000,
             &ticket), VOICE_E_STATE);

    cluster_open(&w, &c);
    voice_cluster_pulse(&w, VOICE_AGENT_UP, true, 9, 1000);
    test_num("up", voice_cluster_agent(&c, 1500), VOICE_AGENT_UP);
    test_num("away", voice_cluster_agent(&c,
             1001 + VOICE_CLUSTER_AGENT_AWAY), VOICE_AGENT_NONE);
    test_err("away", voice_cluster_request(&c, 0, &rq,
             1001 + VOICE_CLUSTER_AGENT_AWAY, &ticket), VOICE_E_STATE);

    rq.kind = 9;
    test_err("kind", voice_cluster_request(&c, 0, &rq, 1000, &ticket),
             VOICE_E_RANGE);
    rq.kind = VOICE_REQUEST_JOIN;
    test_err("worker", voice_cluster_request(&c, VOICE_WORKERS_MAX, &rq,
             1000, &ticket), VOICE_E_RANGE);

    test_err("request", voice_cluster_request(&c, 5, &rq, 1000, &ticket),
             VOICE_OK);
    test_err("pending", voice_cluster_answer(&c, ticket), VOICE_AGAIN);

    slot = 0;
    test_err("take", voice_cluster_take(&w, &slot, &got, &taken, &at),
             VOICE_OK);
    assert_true(taken == ticket && at == 1000 && got.guild == 7);
    test_num("ends", strlen(got.region), VOICE_CLUSTER_NAME_MAX);
    test_err("no more", voice_cluster_take(&w, &slot, &got, &taken, &at),
             VOICE_E_NOT_FOUND);
    test_err("pending", voice_cluster_answer(&c, ticket), VOICE_AGAIN);

    /* the agent dies with it; the next one gets it */

    free(w.free);
    cluster_open(&w, &c);
    slot = 0;
    test_err("again", voice_cluster_take(&w, &slot, &got, &taken, &at),
             VOICE_OK);

    memset(w.wake, 0, sizeof(w.wake));
    voice_cluster_reply(&w, taken, VOICE_E_FULL);
    test_num("wake", w.wake[0], 1 << 5);
    test_err("answer", voice_cluster_answer(&c, ticket), VOICE_E_FULL);
    voice_cluster_reply(&w, taken, VOICE_OK);
    test_err("the first counts", voice_cluster_answer(&c, ticket),
             VOICE_E_FULL);

    /* all slots; then none */

    for (i = 0; i < VOICE_CLUSTER_REQUESTS; i++) {
        test_err("request", voice_cluster_request(&c, 5, &rq, 1000,
                 &tickets[i % 8]), VOICE_OK);
    }

    test_err("full", voice_cluster_request(&c, 5, &rq, 1000, &at),
             VOICE_E_FULL);
    test_err("taken over", voice_cluster_answer(&c, ticket),
             VOICE_E_EXPIRED);

    slot = 0;

    for (i = 0; voice_cluster_take(&w, &slot, &got, &taken, &at) == VOICE_OK;
         i++)
    {
        voice_cluster_reply(&w, taken, VOICE_OK);
    }

    test_num("taken", i, VOICE_CLUSTER_REQUESTS);
    test_err("answer", voice_cluster_answer(&c, tickets[0]), VOICE_OK);
    test_err("nonsense", voice_cluster_answer(&c, UINT64_MAX),
             VOICE_E_EXPIRED);

    voice_cluster_close(&w);
    test_num("closed", voice_cluster_agent(&c, 1000), VOICE_AGENT_NONE);
    cluster_free(&c);
}


static void
test_no_memory(void **state)
{
    test_alloc_t            t;
    voice_cluster_t         c;
    voice_cluster_writer_t  w;

    (void) state;

    test_alloc_init(&t, 0);
    cluster_make(&c, GUILDS);

    test_err("open", voice_cluster_open(&w, &c, &t.alloc, 1, "a", 1),
             VOICE_E_NOMEM);
    test_err("name", voice_cluster_open(&w, &c, &t.alloc, 1, "0123456789"
             "012345678901234567890123456789012345678901234567890123456789",
             1), VOICE_E_LENGTH);
    voice_cluster_close(&w);
    test_num("left", t.live, 0);

    cluster_free(&c);
}


static void
test_relay(void **state)
{
    char             text[100];
    voice_cluster_t  c;

    (void) state;

    cluster_make(&c, GUILDS);

    memset(text, 'b', sizeof(text));
    text[99] = '\0';

    test_err("boot", voice_cluster_relay_set(&c, text, "", 1),
             VOICE_E_LENGTH);
    test_err("udp", voice_cluster_relay_set(&c, "b", text, 1),
             VOICE_E_LENGTH);
    test_num("ready", c.header->relay.ready, 0);
    test_err("relay", voice_cluster_relay_set(&c, "ab12", "127.0.0.1:5", 64),
             VOICE_OK);
    test_num("ready", c.header->relay.ready, 1);
    test_num("capacity", c.header->relay.capacity, 64);

    cluster_free(&c);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_layout),
        cmocka_unit_test(test_assignments),
        cmocka_unit_test(test_full_table),
        cmocka_unit_test(test_churn),
        cmocka_unit_test(test_nodes),
        cmocka_unit_test(test_changes),
        cmocka_unit_test(test_requests),
        cmocka_unit_test(test_no_memory),
        cmocka_unit_test(test_relay),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
