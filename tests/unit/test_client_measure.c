/*
 * Copyright (C) ngx-voice contributors
 */


#include "test_util.h"

#include "histogram.h"
#include "stream.h"


#define MS  UINT64_C(1000000)


static void
histogram_of_nothing(void **state)
{
    char            json[128];
    vc_histogram_t  h;

    (void) state;

    memset(&h, 0, sizeof(h));
    assert_int_equal(vc_histogram_quantile(&h, 0.5), 0);

    vc_histogram_json(&h, json, sizeof(json));
    assert_string_equal(json, "{\"p50\":null,\"p99\":null,\"max\":null}");
}


/* 1 ... 100000: the true quantiles are known. */
static void
histogram_is_close(void **state)
{
    size_t          i;
    double          got, want;
    uint64_t        us;
    vc_histogram_t  h;

    static const double  shares[] = { 0.001, 0.1, 0.5, 0.9, 0.99, 0.999 };

    (void) state;

    memset(&h, 0, sizeof(h));

    for (us = 1; us <= 100000; us++) {
        vc_histogram_add(&h, us);
    }

    for (i = 0; i < test_n(shares); i++) {
        want = shares[i] * 100000;
        got = (double) vc_histogram_quantile(&h, shares[i]);
        assert_true(got >= want && got <= want * 1.016 + 1);
    }

    assert_int_equal(vc_histogram_quantile(&h, 1), 100000);
    assert_int_equal(h.max, 100000);
}


static void
histogram_takes_any_value(void **state)
{
    char            json[128];
    vc_histogram_t  h, other;

    (void) state;

    memset(&h, 0, sizeof(h));
    memset(&other, 0, sizeof(other));

    vc_histogram_add(&h, 0);
    vc_histogram_add(&h, 1234);
    vc_histogram_json(&h, json, sizeof(json));
    assert_string_equal(json, "{\"p50\":0.000,\"p99\":1.234,\"max\":1.234}");

    vc_histogram_add(&other, UINT64_MAX);
    vc_histogram_merge(&h, &other);
    assert_int_equal(h.total, 3);
    assert_true(h.max == UINT64_MAX);
    assert_int_equal(vc_histogram_quantile(&h, 0.3), 0);
}


typedef struct {
    const char  *name;
    int          seqs[12];       /* -1 ends them */
    unsigned     received;
    unsigned     lost;
    unsigned     duplicated;
    unsigned     reordered;
    unsigned     stale;
} stream_case_t;


static const stream_case_t  stream_cases[] = {
    { "nothing", { -1 }, 0, 0, 0, 0, 0 },
    { "one", { 7, -1 }, 1, 0, 0, 0, 0 },
    { "in order", { 7, 8, 9, -1 }, 3, 0, 0, 0, 0 },
    { "a gap", { 7, 8, 11, -1 }, 3, 2, 0, 0, 0 },
    { "reordered", { 7, 9, 8, 10, -1 }, 4, 0, 0, 1, 0 },
    { "twice", { 7, 8, 8, 7, 9, -1 }, 3, 0, 2, 0, 0 },
    { "before the first", { 7, 5, 8, -1 }, 3, 1, 0, 1, 0 },
    { "wraps", { 65534, 65535, 0, 1, -1 }, 4, 0, 0, 0, 0 },
    { "wraps with a gap and back", { 65534, 1, 65535, -1 }, 3, 1, 0, 1, 0 },
    { "too old to tell", { 1000, 2000, 1001, -1 }, 2, 999, 0, 0, 1 },
    { "old, but known", { 2000, 2400, 2000, -1 }, 2, 399, 1, 0, 0 },
};


static void
stream_table(void **state)
{
    size_t                i, k;
    uint32_t              ext;
    vc_stream_t           s;
    const stream_case_t  *c;

    (void) state;

    for (i = 0; i < test_n(stream_cases); i++) {
        c = &stream_cases[i];
        memset(&s, 0, sizeof(s));

        for (k = 0; c->seqs[k] != -1; k++) {
            vc_stream_add(&s, (uint16_t) c->seqs[k], &ext);
        }

        test_num(c->name, s.received, c->received);
        test_num(c->name, vc_stream_lost(&s), c->lost);
        test_num(c->name, s.duplicated, c->duplicated);
        test_num(c->name, s.reordered, c->reordered);
        test_num(c->name, s.stale, c->stale);
    }
}


static void
stream_extends_numbers(void **state)
{
    unsigned     i;
    uint32_t     ext, first;
    vc_stream_t  s;

    (void) state;

    memset(&s, 0, sizeof(s));
    assert_int_equal(vc_stream_add(&s, 65000, &first), VC_STREAM_NEW);

    for (i = 1; i < 200000; i++) {
        assert_int_equal(vc_stream_add(&s, (uint16_t) (65000 + i), &ext),
                         VC_STREAM_NEW);
        assert_int_equal(ext - first, i);
    }

    assert_int_equal(vc_stream_lost(&s), 0);
}


typedef struct {
    int        at;               /* ms; -1 ends them */
    int        ts;               /* frames of 20 ms */
    bool       silence;
} arrival_t;


typedef struct {
    const char  *name;
    arrival_t    arrivals[8];
    int          now;
    int          late;
    int          gap;            /* ms */
} playout_case_t;


static const playout_case_t  playout_cases[] = {
    { "nothing", { { -1, 0, false } }, 5000, 0, 0 },
    { "steady",
      { { 0, 0, false }, { 20, 1, false }, { 40, 2, false },
        { -1, 0, false } }, 50, 0, 20 },
    { "60 ms behind is not late yet",
      { { 0, 0, false }, { 80, 1, false }, { -1, 0, false } }, 80, 0, 80 },
    { "61 ms behind is late",
      { { 0, 0, false }, { 81, 1, false }, { 82, 2, false },
        { -1, 0, false } }, 82, 1, 81 },
    { "the soonest packet sets the clock",
      { { 100, 0, false }, { 101, 1, false }, { 150, 2, false },
        { 202, 3, false }, { 203, 4, false }, { -1, 0, false } },
      203, 1, 52 },
    { "a pause that was announced is no gap",
      { { 0, 0, false }, { 20, 1, true }, { 3000, 2, false },
        { 3020, 3, false }, { -1, 0, false } }, 3020, 0, 20 },
    { "a stream that just stops is one",
      { { 0, 0, false }, { 20, 1, false }, { -1, 0, false } }, 700, 0, 680 },
    { "not after its silence",
      { { 0, 0, false }, { 20, 1, true }, { -1, 0, false } }, 700, 0, 20 },
};


static void
playout_table(void **state)
{
    size_t                 i, k;
    vc_playout_t           p;
    const arrival_t       *a;
    const playout_case_t  *c;

    (void) state;

    for (i = 0; i < test_n(playout_cases); i++) {
        c = &playout_cases[i];
        memset(&p, 0, sizeof(p));

        for (k = 0; c->arrivals[k].at != -1; k++) {
            a = &c->arrivals[k];

            /* time stamps wrap within each case */
            vc_playout_add(&p, (uint32_t) (a->ts * 960 - 1000), a->silence,
                           (uint64_t) (a->at + 1000) * MS);
        }

        test_num(c->name, p.late, c->late);
        test_num(c->name,
                 vc_playout_gap(&p, (uint64_t) (c->now + 1000) * MS) / MS,
                 c->gap);
    }
}


static void
playout_of_who_left(void **state)
{
    vc_playout_t  p;

    (void) state;

    memset(&p, 0, sizeof(p));
    vc_playout_add(&p, 0, false, 10 * MS);
    vc_playout_add(&p, 960, false, 30 * MS);
    assert_int_equal(vc_playout_gap(&p, 530 * MS), 500 * MS);

    vc_playout_stop(&p);
    assert_int_equal(vc_playout_gap(&p, 530 * MS), 20 * MS);
}


/* Two streams of one speaker, as on two servers; now: 1000 ms. */

typedef struct {
    const char  *name;
    int          former[3];      /* ms, its packets; 0: none */
    bool         silence;        /* its last one */
    int          named;          /* ms */
    int          next[3];
    int          gap;            /* of the second one */
} follow_case_t;


static const follow_case_t  follow_cases[] = {
    { "a gap between the two", { 20, 40, 0 }, false, 200,
      { 300, 980, 1000 }, 680 },
    { "is the longest", { 20, 40, 0 }, false, 200, { 800, 900, 1000 }, 760 },
    { "not after a pause that was announced", { 20, 40, 0 }, true, 200,
      { 800, 900, 1000 }, 100 },
    { "its name comes after its packets", { 20, 40, 0 }, false, 820,
      { 800, 900, 1000 }, 760 },
    { "it never comes", { 20, 40, 0 }, false, 200, { 0, 0, 0 }, 960 },
    { "it never was", { 0, 0, 0 }, false, 200, { 800, 900, 1000 }, 100 },
    { "they overlap", { 500, 950, 0 }, false, 900, { 860, 940, 1000 }, 80 },
};


static void
playout_packets(vc_playout_t *p, const int *at, int from, int to,
    bool silence)
{
    int  i;

    for (i = 0; i < 3; i++) {
        if (at[i] > from && at[i] <= to) {
            vc_playout_add(p, (uint32_t) at[i] * 48,
                           silence && (i == 2 || at[i + 1] == 0),
                           (uint64_t) at[i] * MS);
        }
    }
}


static void
playout_goes_on_by_another_stream(void **state)
{
    size_t                i;
    vc_playout_t          former, next;
    const follow_case_t  *c;

    (void) state;

    for (i = 0; i < test_n(follow_cases); i++) {
        c = &follow_cases[i];
        memset(&former, 0, sizeof(former));
        memset(&next, 0, sizeof(next));

        playout_packets(&former, c->former, 0, 1000, c->silence);
        playout_packets(&next, c->next, 0, c->named, false);
        vc_playout_follow(&next, &former);
        playout_packets(&next, c->next, c->named, 1000, false);

        test_num(c->name, vc_playout_gap(&next, 1000 * MS) / MS, c->gap);
        assert_true(vc_playout_gap(&former, 5000 * MS) < 1000 * MS);
    }
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(histogram_of_nothing),
        cmocka_unit_test(histogram_is_close),
        cmocka_unit_test(histogram_takes_any_value),
        cmocka_unit_test(stream_table),
        cmocka_unit_test(stream_extends_numbers),
        cmocka_unit_test(playout_table),
        cmocka_unit_test(playout_of_who_left),
        cmocka_unit_test(playout_goes_on_by_another_stream),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
