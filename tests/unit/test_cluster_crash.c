/*
 * Copyright (C) ngx-voice contributors
 *
 * The cluster zone's writer stopped and killed, with readers watching.
 */


#include "cluster_memory.h"
#include "kill.h"
#include "step.h"

#include <stdlib.h>


#define GUILDS     64
#define NODES      4
#define KILLS      40
#define KILL_MS    1500
#define READS      100        /* at least */


/*
 * Whatever is read was written as a whole: node and flags of an assignment
 * follow from its revision.
 */

static const char *
crash_torn(const voice_assignment_t *a, uint64_t guild)
{
    if (a->guild != guild) {
        return "another guild";
    }

    if (voice_id_index(a->node) != a->revision % NODES) {
        return "node and revision of different assignments";
    }

    return NULL;
}


static void
crash_prepare(voice_cluster_t *c, voice_id_t id[NODES])
{
    int                     i;
    char                    name[8];
    uint64_t                guild;
    voice_cluster_writer_t  w;

    cluster_make(c, GUILDS);
    cluster_open(&w, c);

    for (i = 0; i < NODES; i++) {
        snprintf(name, sizeof(name), "n%d", i);
        id[i] = cluster_node(&w, name, VOICE_NODE_UP);
    }

    for (guild = 1; guild <= 40; guild++) {
        cluster_assign(&w, guild, id[guild % NODES], guild);
    }

    cluster_node(&w, "left", VOICE_NODE_UP);

    voice_cluster_close(&w);
}


/*
 * Guild 7 moves, 8 goes, 50 comes; 9 is not touched.  A node leaves, another
 * one gets its slot.
 */

static void
crash_operation(voice_cluster_writer_t *w, const voice_id_t id[NODES])
{
    voice_id_t         left;
    voice_node_info_t  info;

    if (voice_cluster_node_named(&w->c, "left", &left, &info) == VOICE_OK) {
        voice_cluster_node_remove(w, left);
    }

    cluster_node(w, "next", VOICE_NODE_UP);

    cluster_assign(w, 7, id[102 % NODES], 102);
    voice_cluster_unassign(w, 8);
    cluster_assign(w, 50, id[103 % NODES], 103);
    cluster_node(w, "n1", VOICE_NODE_UP | VOICE_NODE_DRAIN);
}


static void
crash_look(const voice_cluster_t *c, const voice_id_t id[NODES],
    unsigned step)
{
    voice_err_t         err;
    voice_node_info_t   info;
    voice_assignment_t  a;

    /* whoever knows the one that left never sees the other one by its id */

    err = voice_cluster_node(c, voice_id_make(1, NODES), &info, NULL);

    if (err == VOICE_OK ? strcmp(info.name, "left") != 0
                        : err != VOICE_E_STALE)
    {
        fail_msg("node \"%s\" after %u instructions", info.name, step);
    }

    test_err("guild 9", voice_cluster_find(c, 9, &a), VOICE_OK);
    assert_true(a.revision == 9 && a.node == id[1]);

    test_err("guild 7", voice_cluster_find(c, 7, &a), VOICE_OK);
    assert_null(crash_torn(&a, 7));
    assert_true(a.revision == 7 || a.revision == 102);

    err = voice_cluster_find(c, 8, &a);
    assert_true(err == VOICE_OK || err == VOICE_E_NOT_FOUND);

    err = voice_cluster_find(c, 50, &a);

    if (err != VOICE_E_NOT_FOUND) {
        test_err("guild 50", err, VOICE_OK);
        assert_null(crash_torn(&a, 50));
    }

    if (voice_cluster_node(c, id[1], &info, NULL) != VOICE_OK
        || strcmp(info.endpoint, "n1.example:443") != 0
        || (info.flags & VOICE_NODE_UP) == 0)
    {
        fail_msg("node n1 after %u instructions", step);
    }
}


/* Stopped at each instruction, all reads go on. */

static void
test_each_instruction(void **state)
{
    pid_t                   pid;
    unsigned                steps;
    voice_id_t              id[NODES];
    voice_cluster_t         c;
    voice_assignment_t      a;
    voice_cluster_writer_t  w;

    (void) state;

    if (!step_permitted()) {
        skip();
    }

    crash_prepare(&c, id);
    cluster_open(&w, &c);

    pid = step_fork();

    if (pid == 0) {
        crash_operation(&w, id);
        step_end();
    }

    for (steps = 0; step_next(pid); steps++) {
        crash_look(&c, id, steps);
    }

    step_kill(pid);
    assert_true(steps > 500);

    test_err("moved", voice_cluster_find(&c, 7, &a), VOICE_OK);
    test_num("moved", a.revision, 102);
    test_err("gone", voice_cluster_find(&c, 8, &a), VOICE_E_NOT_FOUND);
    test_err("come", voice_cluster_find(&c, 50, &a), VOICE_OK);

    print_message("%u instructions\n", steps);

    voice_cluster_close(&w);
    cluster_free(&c);
}


/* Killed after so many instructions; the next writer repairs what is left. */

static void
test_killed_writer(void **state)
{
    pid_t                   pid;
    unsigned                i, k, steps;
    voice_id_t              id[NODES];
    voice_cluster_t         c;
    voice_cluster_writer_t  w;

    (void) state;

    if (!step_permitted()) {
        skip();
    }

    for (k = 1; k <= KILLS; k++) {
        crash_prepare(&c, id);
        cluster_open(&w, &c);

        pid = step_fork();

        if (pid == 0) {
            crash_operation(&w, id);
            step_end();
        }

        steps = k * k * 4;

        for (i = 0; i < steps && step_next(pid); i++) { /* void */ }

        step_kill(pid);
        crash_look(&c, id, steps);
        voice_cluster_close(&w);

        cluster_open(&w, &c);
        cluster_verify(&c);
        crash_look(&c, id, steps);

        crash_operation(&w, id);
        cluster_verify(&c);

        voice_cluster_close(&w);
        cluster_free(&c);
    }
}


/* A worker that dies while it writes a request costs one slot for a while. */

static void
test_killed_worker(void **state)
{
    pid_t                    pid;
    unsigned                 i, k, half;
    uint32_t                 slot;
    uint64_t                 ticket, at;
    voice_cluster_t          c;
    voice_cluster_writer_t   w;
    voice_cluster_request_t  rq, got;

    (void) state;

    if (!step_permitted()) {
        skip();
    }

    cluster_make(&c, GUILDS);
    cluster_open(&w, &c);
    voice_cluster_pulse(&w, VOICE_AGENT_UP, true, 1, 1000);

    memset(&rq, 0, sizeof(rq));
    rq.guild = 7;
    rq.kind = VOICE_REQUEST_JOIN;
    strcpy(rq.region, "eu");

    half = 0;

    for (k = 1; k < 200; k += 3) {
        pid = step_fork();

        if (pid == 0) {
            (void) voice_cluster_request(&c, 2, &rq, 1000, &ticket);
            step_end();
        }

        for (i = 0; i < k && step_next(pid); i++) { /* void */ }

        step_kill(pid);

        slot = 0;

        if (voice_cluster_take(&w, &slot, &got, &ticket, &at) == VOICE_OK) {
            assert_memory_equal(&got, &rq, sizeof(rq));
            voice_cluster_reply(&w, ticket, VOICE_OK);

        } else {
            half++;
        }

        voice_cluster_worker_gone(&c, 2);
    }

    assert_true(half > 0);

    for (i = 0; i < VOICE_CLUSTER_REQUESTS; i++) {
        test_err("no slot is lost", voice_cluster_request(&c, 2, &rq, 1000,
                 &ticket), VOICE_OK);
    }

    voice_cluster_close(&w);
    cluster_free(&c);
}


/*
 * The slot behind the others is one node's after the other; name and load say
 * which, and a load that is there was given to that one.
 */

static void
crash_churn(voice_cluster_writer_t *w, uint64_t random)
{
    char               name[16];
    uint32_t           number;
    voice_id_t         id;
    voice_node_load_t  load;

    number = 1 + random % 1000;
    snprintf(name, sizeof(name), "x%u", number);
    id = cluster_node(w, name, VOICE_NODE_UP);

    memset(&load, 0, sizeof(load));
    load.participants = number;
    (void) voice_cluster_load_set(w, id, &load);

    voice_cluster_node_remove(w, id);
}


static bool
crash_churned(const voice_cluster_t *c)
{
    voice_id_t         id;
    voice_err_t        err;
    voice_node_info_t  info, again;
    voice_node_load_t  load;

    for (uint32_t slot = NODES; /* void */ ; ) {
        err = voice_cluster_node_next(c, &slot, &id, &info, &load);

        if (err != VOICE_OK) {
            return true;
        }

        if (load.participants != 0
            && load.participants != (uint32_t) atoi(info.name + 1))
        {
            return false;
        }

        /* an id is of one node for ever */

        if (voice_cluster_node(c, id, &again, NULL) == VOICE_OK
            && strcmp(again.name, info.name) != 0)
        {
            return false;
        }
    }
}


static void
crash_write(const voice_cluster_t *c, const voice_id_t id[NODES],
    uint64_t random)
{
    uint64_t                guild, revision;
    voice_cluster_writer_t  w;

    if (voice_cluster_open(&w, c, NULL, 1, "agent", 1) != VOICE_OK) {
        _exit(2);
    }

    for ( ;; ) {
        random = random * 6364136223846793005ull + 1442695040888963407ull;
        guild = 1 + (random >> 33) % 60;
        revision = random >> 20;

        if ((random >> 50) % 3 == 0) {
            (void) voice_cluster_unassign(&w, guild);

        } else {
            (void) cluster_assign(&w, guild, id[revision % NODES], revision);
        }

        if (random >> 60 == 0) {
            crash_churn(&w, random >> 30);
        }
    }
}


static void
crash_read(const voice_cluster_t *c)
{
    uint64_t            guild;
    voice_err_t         err;
    voice_assignment_t  a;

    for (guild = 1; /* void */ ; guild = guild % 60 + 1) {
        err = voice_cluster_find(c, guild, &a);

        if (err != VOICE_OK && err != VOICE_E_NOT_FOUND
            && err != VOICE_AGAIN)
        {
            _exit(3);
        }

        if (err == VOICE_OK && crash_torn(&a, guild) != NULL) {
            _exit(4);
        }

        if (guild == 1 && !crash_churned(c)) {
            _exit(5);
        }

        atomic_fetch_add(&c->header->relay.sessions, 1);
    }
}


static pid_t
crash_fork(const voice_cluster_t *c, const voice_id_t *id, uint64_t random)
{
    pid_t  pid;

    pid = fork();
    assert_true(pid >= 0);

    if (pid == 0) {
        kill_child();

        if (id != NULL) {
            crash_write(c, id, random);
        }

        crash_read(c);
    }

    return pid;
}


static void
test_readers_and_killed_writers(void **state)
{
    int                     i, status;
    pid_t                   writer, reader[2];
    kill_t                  kl = { KILL_MS, 0, 0, 77 };
    voice_id_t              id[NODES];
    voice_cluster_t         c;
    voice_cluster_writer_t  w;

    (void) state;

    crash_prepare(&c, id);

    for (i = 0; i < 2; i++) {
        reader[i] = crash_fork(&c, NULL, 0);
    }

    writer = crash_fork(&c, id, 1);

    while (kill_next(&kl, c.header->relay.sessions > READS)) {
        kill(writer, SIGKILL);
        assert_int_equal(waitpid(writer, &status, 0), writer);
        assert_true(WIFSIGNALED(status));

        cluster_open(&w, &c);
        cluster_verify(&c);
        voice_cluster_close(&w);

        writer = crash_fork(&c, id, kl.kills + 1);
    }

    step_kill(writer);

    for (i = 0; i < 2; i++) {
        kill(reader[i], SIGKILL);
        assert_int_equal(waitpid(reader[i], &status, 0), reader[i]);

        if (WIFEXITED(status)) {
            fail_msg("reader %d: exit code %d", i, WEXITSTATUS(status));
        }
    }

    print_message("%u kills, %u reads\n", kl.kills,
                  (unsigned) c.header->relay.sessions);

    cluster_free(&c);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_each_instruction),
        cmocka_unit_test(test_killed_writer),
        cmocka_unit_test(test_killed_worker),
        cmocka_unit_test(test_readers_and_killed_writers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
