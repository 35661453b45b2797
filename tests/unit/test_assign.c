/*
 * Copyright (C) ngx-voice contributors
 */


#include "test_util.h"

#include "voice_assign.h"

#include <stdio.h>


static uint64_t
random_next(void *data)
{
    uint64_t  *x = data;

    *x = *x * 6364136223846793005ull + 1442695040888963407ull;

    return *x >> 16;
}


static voice_candidate_t
node(uint32_t participants, uint32_t capacity)
{
    voice_candidate_t  c;

    memset(&c, 0, sizeof(c));

    c.open = true;
    c.region = 1;
    c.dc = 1;
    c.capacity = capacity;
    c.participants = participants;

    return c;
}


static voice_assign_want_t
anywhere(void)
{
    voice_assign_want_t  w = { 1, 0, 0, SIZE_MAX };

    return w;
}


static size_t
choose(const char *name, const voice_candidate_t *list, size_t n,
    const voice_assign_want_t *want, bool expect_strained)
{
    bool      strained;
    size_t    i;
    uint64_t  seed = 1;

    test_err(name, voice_assign_choose(list, n, want, random_next, &seed, &i,
                                       &strained), VOICE_OK);
    assert_true(i < n);
    test_num(name, strained, expect_strained);

    return i;
}


static void
test_utilisation(void **state)
{
    voice_candidate_t  c = node(100, 1000);

    (void) state;

    test_num("participants", voice_assign_utilisation(&c), 100000);
    c.cpu = 410;
    test_num("cpu", voice_assign_utilisation(&c), 410000);
    c.bandwidth = 500;
    test_num("bandwidth", voice_assign_utilisation(&c), 500000);
    c.packets = 600;
    test_num("packets", voice_assign_utilisation(&c), 600000);
    c.pending = 10;
    test_num("pending", voice_assign_utilisation(&c), 640000);

    c = node(UINT32_MAX, 1);
    c.pending = UINT32_MAX;
    assert_true(voice_assign_utilisation(&c) >= VOICE_ASSIGN_FULL);
    c.capacity = 0;
    assert_true(voice_assign_utilisation(&c) >= VOICE_ASSIGN_FULL);
}


static void
test_few(void **state)
{
    size_t               i;
    voice_candidate_t    list[5];
    voice_assign_want_t  want = anywhere();

    (void) state;

    for (i = 0; i < 5; i++) {
        list[i] = node(50 - 10 * i, 100);
    }

    test_num("least", choose("least", list, 5, &want, false), 4);

    list[4].pending = 4;                    /* 16 users on their way */
    test_num("pending", choose("pending", list, 5, &want, false), 3);

    list[3].open = false;
    test_num("closed", choose("closed", list, 5, &want, false), 4);

    want.except = 4;
    test_num("except", choose("except", list, 5, &want, false), 2);

    list[2].age = VOICE_ASSIGN_REPORT_AGE;
    test_num("old", choose("old report", list, 5, &want, false), 1);

    list[1].capacity = 40;                  /* 40 of 40 */
    test_num("full", choose("full", list, 5, &want, false), 0);
}


static void
test_refusal(void **state)
{
    size_t               i;
    uint64_t             seed = 1;
    voice_candidate_t    list[3];
    voice_assign_want_t  want = anywhere();

    (void) state;

    test_err("nobody", voice_assign_choose(NULL, 0, &want, random_next,
             &seed, &i, NULL), VOICE_E_NOT_FOUND);

    list[0] = node(95, 100);
    list[1] = node(97, 100);
    list[2] = node(100, 100);
    test_num("most room", choose("strained", list, 3, &want, true), 0);

    list[0].participants = 100;
    list[1].cpu = 1000;
    test_err("full", voice_assign_choose(list, 3, &want, random_next, &seed,
             &i, NULL), VOICE_E_FULL);

    want.region = 2;
    test_err("region", voice_assign_choose(list, 3, &want, random_next,
             &seed, &i, NULL), VOICE_E_NOT_FOUND);

    want = anywhere();
    want.pool = 7;
    test_err("pool", voice_assign_choose(list, 3, &want, random_next, &seed,
             &i, NULL), VOICE_E_NOT_FOUND);

    want.pool = 0;
    list[1] = node(0, 0);
    list[0].open = list[2].open = false;
    test_err("no capacity", voice_assign_choose(list, 3, &want, random_next,
             &seed, &i, NULL), VOICE_E_NOT_FOUND);
}


static void
test_data_centre(void **state)
{
    size_t               i;
    voice_candidate_t    list[6];
    voice_assign_want_t  want = anywhere();

    (void) state;

    for (i = 0; i < 6; i++) {
        list[i] = node(10 + i, 100);
        list[i].dc = 1 + i / 3;
    }

    want.dc = 2;
    test_num("own", choose("own", list, 6, &want, false), 3);

    for (i = 3; i < 6; i++) {
        list[i].participants = 85;
    }

    test_num("busy", choose("busy", list, 6, &want, false), 0);

    want.dc = 9;
    test_num("none there", choose("none there", list, 6, &want, false), 0);
}


/* Twice the capacity, twice the guilds; and nobody far from its share. */

static void
test_two_choices(void **state)
{
    size_t               i, n;
    uint64_t             seed = 5;
    unsigned             large, small;
    voice_candidate_t    list[100];
    voice_assign_want_t  want = anywhere();

    (void) state;

    for (i = 0; i < 100; i++) {
        list[i] = node(0, i < 50 ? 2000 : 1000);
    }

    for (n = 0; n < 60000; n++) {
        test_err("choose", voice_assign_choose(list, 100, &want, random_next,
                 &seed, &i, NULL), VOICE_OK);
        list[i].participants++;
    }

    large = small = 0;

    for (i = 0; i < 100; i++) {
        if (i < 50) {
            large += list[i].participants;
        } else {
            small += list[i].participants;
        }

        assert_in_range(voice_assign_utilisation(&list[i]), 390000, 410000);
    }

    assert_in_range(large, 39000, 41000);
    assert_in_range(small, 19000, 21000);
}


/* A node that is empty among many does not get everything at once. */

static void
test_no_herd(void **state)
{
    size_t               i, n, hits;
    uint64_t             seed = 5;
    voice_candidate_t    list[100];
    voice_assign_want_t  want = anywhere();

    (void) state;

    for (i = 0; i < 100; i++) {
        list[i] = node(i == 42 ? 0 : 500, 1000);
    }

    hits = 0;

    for (n = 0; n < 1000; n++) {
        test_err("choose", voice_assign_choose(list, 100, &want, random_next,
                 &seed, &i, NULL), VOICE_OK);
        hits += (i == 42);
    }

    assert_in_range(hits, 1, 60);
}


static void
test_score(void **state)
{
    char      name[16];
    int       i, best, was[64], wins[10];
    uint64_t  guild, top, score;

    (void) state;

    memset(wins, 0, sizeof(wins));

    for (guild = 1; guild < 10000; guild++) {
        best = 0;
        top = 0;

        for (i = 0; i < 10; i++) {
            snprintf(name, sizeof(name), "node%d", i);
            score = voice_assign_score(guild, name);

            if (score > top) {
                top = score;
                best = i;
            }
        }

        wins[best]++;

        if (guild < 64) {
            was[guild] = best;
        }
    }

    for (i = 0; i < 10; i++) {
        assert_in_range(wins[i], 850, 1150);
    }

    /* without node 3 only its guilds go elsewhere */

    for (guild = 1; guild < 64; guild++) {
        best = 0;
        top = 0;

        for (i = 0; i < 10; i++) {
            snprintf(name, sizeof(name), "node%d", i);
            score = voice_assign_score(guild, name);

            if (i != 3 && score > top) {
                top = score;
                best = i;
            }
        }

        assert_true(was[guild] == 3 || was[guild] == best);
    }
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_utilisation),
        cmocka_unit_test(test_few),
        cmocka_unit_test(test_refusal),
        cmocka_unit_test(test_data_centre),
        cmocka_unit_test(test_two_choices),
        cmocka_unit_test(test_no_herd),
        cmocka_unit_test(test_score),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
