/*
 * Copyright (C) ngx-voice contributors
 *
 * Probes that come back, late or not at all, by the clock of a test.
 */


#include "test_util.h"

#include "agent_check.h"


#define PERIOD  1000


/* Sends one that is due, and has it back 10 ms later. */

static void
pass(agent_check_t *c, uint64_t *now)
{
    uint32_t  serial;

    assert_true(agent_check_due(c, *now));
    serial = agent_check_sent(c, *now);
    assert_false(agent_check_due(c, *now));

    agent_check_back(c, serial, *now + 10 + PERIOD);
    assert_false(agent_check_due(c, *now + 9 + PERIOD));
    *now += 10 + PERIOD;
}


/* The next one goes out as soon as one is lost. */

static void
lose(agent_check_t *c, uint64_t *now)
{
    assert_true(agent_check_due(c, *now));
    (void) agent_check_sent(c, *now);
    assert_false(agent_check_due(c, *now + AGENT_CHECK_PATIENCE - 1));
    *now += AGENT_CHECK_PATIENCE;
}


static void
test_three_in_a_row(void **state)
{
    int            i;
    uint64_t       now = 5000, start;
    agent_check_t  c = { 0 };

    (void) state;

    pass(&c, &now);
    lose(&c, &now);
    lose(&c, &now);
    pass(&c, &now);
    assert_false(c.bad);

    start = now;

    for (i = 0; i < AGENT_CHECK_MISSES; i++) {
        assert_false(c.bad);
        lose(&c, &now);
    }

    assert_true(agent_check_due(&c, now));
    assert_true(c.bad);
    test_num("after", now - start, AGENT_CHECK_MISSES * AGENT_CHECK_PATIENCE);
}


static void
test_three_in_a_row_are_good_again(void **state)
{
    int            i;
    uint64_t       now = 5000;
    agent_check_t  c = { .heard = 1, .bad = true };

    (void) state;

    pass(&c, &now);
    pass(&c, &now);
    lose(&c, &now);

    for (i = 0; i < AGENT_CHECK_GOOD; i++) {
        assert_true(c.bad);
        pass(&c, &now);
    }

    assert_false(c.bad);
}


static void
test_what_never_came_says_nothing(void **state)
{
    int            i;
    uint64_t       now = 5000;
    agent_check_t  c = { 0 };

    (void) state;

    for (i = 0; i < 100; i++) {
        lose(&c, &now);
    }

    assert_false(c.bad);
}


static void
test_a_late_one_is_lost(void **state)
{
    uint32_t       serial;
    agent_check_t  c = { 0 };

    (void) state;

    assert_true(agent_check_due(&c, 1000));
    serial = agent_check_sent(&c, 1000);
    assert_true(agent_check_due(&c, 1000 + AGENT_CHECK_PATIENCE));
    agent_check_back(&c, serial, 9000);
    test_num("heard", c.heard, 0);
    test_num("misses", c.misses, 1);

    /* nor does an old one answer for a newer one */

    test_num("serial", agent_check_sent(&c, 2000), serial + 1);
    agent_check_back(&c, serial, 9000);
    test_num("heard", c.heard, 0);
    agent_check_back(&c, serial + 1, 9000);
    test_num("heard", c.heard, 2000);
    test_num("misses", c.misses, 0);
}


/* Others that were asked after it had begun answer: it is that one alone. */

static void
test_accused_by_who_hears_others(void **state)
{
    size_t                i;
    uint64_t              now = 5000, start;
    agent_check_t         c = { 0 };
    agent_check_t         fresh = { 0 }, stale = { 0 }, bad = { 0 };
    const agent_check_t  *others[3] = { &stale, &bad, &fresh };

    (void) state;

    pass(&c, &now);
    start = now;
    fresh.heard = start;
    stale.heard = start - 1;
    bad.heard = start;
    bad.bad = true;

    for (i = 0; i < AGENT_CHECK_MISSES; i++) {
        assert_false(agent_check_accuses(&c, false, others, 3));
        lose(&c, &now);
    }

    assert_true(agent_check_due(&c, now));
    test_num("since", c.since, start);
    assert_true(agent_check_accuses(&c, false, others, 3));

    /* who hears nobody, or only from before, is cut off itself */

    assert_false(agent_check_accuses(&c, false, others, 2));
    assert_false(agent_check_accuses(&c, false, others, 0));

    /* until it is good again it counts from when it began */

    pass(&c, &now);
    test_num("since", c.since, start);
    assert_true(agent_check_accuses(&c, true, others, 3));
    assert_false(agent_check_accuses(&c, true, others, 2));

    /* but who comes back first is no reason to accuse the next one */

    assert_false(agent_check_accuses(&c, false, others, 3));

    for (i = 0; i < AGENT_CHECK_GOOD; i++) {
        pass(&c, &now);
    }

    assert_false(agent_check_accuses(&c, true, others, 3));
    test_num("since", c.since, 0);
}


static void
test_hurry(void **state)
{
    uint32_t       serial;
    agent_check_t  c = { 0 };

    (void) state;

    serial = agent_check_sent(&c, 1000);
    agent_check_hurry(&c, 1001);
    assert_false(agent_check_due(&c, 1001));   /* one is under way */
    agent_check_back(&c, serial, 3000);
    assert_false(agent_check_due(&c, 2000));
    agent_check_hurry(&c, 2000);
    assert_true(agent_check_due(&c, 2000));

    /* what is due earlier stays so */

    agent_check_hurry(&c, 4000);
    assert_true(agent_check_due(&c, 2000));
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_three_in_a_row),
        cmocka_unit_test(test_three_in_a_row_are_good_again),
        cmocka_unit_test(test_what_never_came_says_nothing),
        cmocka_unit_test(test_a_late_one_is_lost),
        cmocka_unit_test(test_accused_by_who_hears_others),
        cmocka_unit_test(test_hurry),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
