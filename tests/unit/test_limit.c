/*
 * Copyright (C) ngx-voice contributors
 */


#include "test_util.h"

#include "voice_limit.h"


#define NOW  1000000


typedef struct {
    uint64_t    at;
    unsigned    asked;
    unsigned    granted;
} step_t;


typedef struct {
    const char  *name;
    uint32_t     rate;
    uint32_t     burst;
    step_t       steps[6];
} bucket_case_t;


static const bucket_case_t  cases[] = {
    { "burst, then nothing", 10, 5,
      { { NOW, 7, 5 } } },
    { "refill by rate", 10, 5,
      { { NOW, 9, 5 }, { NOW + 99, 1, 0 }, { NOW + 100, 2, 1 },
        { NOW + 300, 9, 2 } } },
    { "parts of tokens add up", 10, 1,
      { { NOW, 2, 1 }, { NOW + 33, 1, 0 }, { NOW + 66, 1, 0 },
        { NOW + 99, 1, 0 }, { NOW + 100, 2, 1 } } },
    { "never more than the burst", 10, 5,
      { { NOW, 5, 5 }, { NOW + 86400000, 9, 5 } } },
    { "rate above one per ms", 5000, 10,
      { { NOW, 10, 10 }, { NOW + 1, 9, 5 }, { NOW + 3, 20, 10 } } },
    { "rate 0 gives the burst once", 0, 3,
      { { NOW, 5, 3 }, { NOW + 86400000, 2, 0 } } },
    { "burst 0 gives nothing", 100, 0,
      { { NOW, 2, 0 }, { NOW + 10000, 2, 0 } } },
    { "clock starts at 0", 10, 2,
      { { 0, 5, 2 }, { 0, 1, 0 }, { 100, 1, 0 }, { 101, 2, 1 } } },
    { "clock goes back", 10, 2,
      { { NOW, 5, 2 }, { NOW - 5000, 5, 0 }, { NOW + 100, 5, 1 } } },
    { "clock near its end", 10, 2,
      { { UINT64_MAX - 200, 5, 2 }, { UINT64_MAX, 5, 2 } } },
    { "time by rate is 2^64", 1u << 31, 1,
      { { NOW, 2, 1 }, { NOW + ((uint64_t) 1 << 33), 2, 1 } } },
    { "biggest rate and burst", UINT32_MAX, UINT32_MAX,
      { { NOW, 1000, 1000 }, { UINT64_MAX, 1000, 1000 } } },
};


static void
bucket_table(void **state)
{
    size_t           i, k;
    unsigned         n, granted;
    voice_bucket_t   b;
    const step_t    *s;

    (void) state;

    for (i = 0; i < test_n(cases); i++) {
        memset(&b, 0, sizeof(b));

        for (k = 0; k < test_n(cases[i].steps); k++) {
            s = &cases[i].steps[k];
            granted = 0;

            for (n = 0; n < s->asked; n++) {
                granted += voice_bucket_take(&b, cases[i].rate,
                                             cases[i].burst, s->at);
            }

            test_num(cases[i].name, granted, s->granted);
        }
    }
}


static void
long_run_keeps_to_the_rate(void **state)
{
    uint64_t        now;
    unsigned        granted;
    voice_bucket_t  b;

    (void) state;

    memset(&b, 0, sizeof(b));
    granted = 0;

    for (now = NOW; now < NOW + 100000; now += 3) {
        granted += voice_bucket_take(&b, 7, 20, now);
    }

    /* burst + 100 s at 7 per second */
    assert_in_range(granted, 719, 720);
}


static void
smaller_burst_takes_effect_at_once(void **state)
{
    voice_bucket_t  b;

    (void) state;

    memset(&b, 0, sizeof(b));
    assert_true(voice_bucket_take(&b, 10, 100, NOW));
    assert_true(voice_bucket_take(&b, 10, 2, NOW));
    assert_true(voice_bucket_take(&b, 10, 2, NOW));
    assert_false(voice_bucket_take(&b, 10, 2, NOW));
}


/* One token each; the bit string of who else shares the bucket of source 0. */
static uint64_t
neighbours(const uint64_t seed[2])
{
    uint32_t        i;
    uint64_t        map;
    voice_limit_t   l;
    voice_bucket_t  buckets[16];

    memset(buckets, 0, sizeof(buckets));
    voice_limit_init(&l, buckets, 16, 1, 1, seed);

    i = 0;
    assert_true(voice_limit_take(&l, &i, sizeof(i), NOW));
    map = 0;

    for (i = 0; i < 64; i++) {
        if (!voice_limit_take(&l, &i, sizeof(i), NOW)) {
            map |= (uint64_t) 1 << i;
        }
    }

    return map;
}


static void
set_is_seeded(void **state)
{
    static const uint64_t  a[2] = { 1, 2 }, b[2] = { 1, 3 }, c[2] = { 2, 2 };

    (void) state;

    assert_true(neighbours(a) == neighbours(a));
    assert_true(neighbours(a) != neighbours(b));
    assert_true(neighbours(a) != neighbours(c));
}


static void
set_keeps_sources_apart(void **state)
{
    size_t                  i, used;
    uint32_t                source;
    unsigned                granted;
    voice_limit_t           l;
    voice_bucket_t          buckets[1024];
    static const uint64_t   seed[2] = { 0x0123456789ABCDEF, 42 };

    (void) state;

    memset(buckets, 0, sizeof(buckets));
    voice_limit_init(&l, buckets, 1024, 10, 3, seed);

    source = 1;
    granted = 0;

    for (i = 0; i < 1000; i++) {
        granted += voice_limit_take(&l, &source, sizeof(source), NOW);
    }

    assert_int_equal(granted, 3);

    /* one that floods leaves others their own, but for a few collisions */
    granted = 0;

    for (source = 2; source < 102; source++) {
        granted += voice_limit_take(&l, &source, sizeof(source), NOW);
    }

    assert_in_range(granted, 98, 100);

    used = 0;

    for (i = 0; i < 1024; i++) {
        used += buckets[i].at != 0;
    }

    assert_in_range(used, 80, 101);

    /* and time gives the flooder its rate back */
    source = 1;
    assert_true(voice_limit_take(&l, &source, sizeof(source), NOW + 100));
    assert_false(voice_limit_take(&l, &source, sizeof(source), NOW + 100));
}


static void
set_of_one_is_shared(void **state)
{
    voice_limit_t          l;
    voice_bucket_t         bucket;
    static const uint64_t  seed[2] = { 0, 0 };

    (void) state;

    memset(&bucket, 0, sizeof(bucket));
    voice_limit_init(&l, &bucket, 1, 10, 2, seed);

    assert_true(voice_limit_take(&l, "a", 1, NOW));
    assert_true(voice_limit_take(&l, "bcd", 3, NOW));
    assert_false(voice_limit_take(&l, "", 0, NOW));
}


typedef struct {
    uint64_t    at;
    unsigned    asked;
    unsigned    granted;
    uint32_t    remaining;
    uint64_t    reset;
    uint64_t    retry;
} rate_step_t;


static const struct {
    const char   *name;
    uint32_t      n;
    uint64_t      period;
    uint32_t      burst;
    rate_step_t   steps[5];
} rates[] = {
    { "one in five seconds", 1, 5000, 1,
      { { NOW, 2, 1, 0, 5000, 5000 }, { NOW + 4999, 1, 0, 0, 1, 1 },
        { NOW + 5000, 2, 1, 0, 5000, 5000 } } },
    { "a burst, then by the rate", 50, 1000, 100,
      { { NOW, 101, 100, 0, 2000, 20 }, { NOW + 19, 1, 0, 0, 1981, 1 },
        { NOW + 20, 2, 1, 0, 2000, 20 },
        { NOW + 1020, 40, 40, 10, 1800, 0 },
        { NOW + 9999, 1, 1, 99, 20, 0 } } },
    { "a thousand a day", 1000, 86400000, 1000,
      { { NOW, 3, 3, 997, 259200, 0 },
        { NOW + 86400, 1, 1, 997, 259200, 0 } } },
    { "more than one in a microsecond", UINT32_MAX, 1000, 2,
      { { NOW, 3, 2, 0, 1, 1 }, { NOW + 1, 3, 2, 0, 1, 1 } } },
    { "a clock that went back", 1, 5000, 2,
      { { NOW, 2, 2, 0, 10000, 5000 }, { 7, 1, 0, 0, 10000, 5000 } } }
};


static void
rate_table(void **state)
{
    size_t               i, k;
    unsigned             n, granted;
    voice_rate_t         rate;
    voice_rate_left_t    left, look;
    voice_rate_limit_t   limit;
    const rate_step_t   *s;

    (void) state;

    for (i = 0; i < test_n(rates); i++) {
        atomic_init(&rate, 0);
        limit = voice_rate_limit(rates[i].n, rates[i].period, rates[i].burst);

        voice_rate_look(&rate, &limit, NOW, &left);
        test_num(rates[i].name, left.remaining, rates[i].burst);
        test_num(rates[i].name, left.reset, 0);

        for (k = 0; k < 5 && rates[i].steps[k].asked != 0; k++) {
            s = &rates[i].steps[k];
            granted = 0;

            for (n = 0; n < s->asked; n++) {
                granted += voice_rate_take(&rate, &limit, s->at, &left);
            }

            test_num(rates[i].name, granted, s->granted);
            test_num(rates[i].name, left.remaining, s->remaining);
            test_num(rates[i].name, left.reset, s->reset);
            test_num(rates[i].name, left.retry, s->retry);

            voice_rate_look(&rate, &limit, s->at, &look);
            test_num(rates[i].name, look.remaining, left.remaining);
            test_num(rates[i].name, look.reset, left.reset);
        }
    }
}


static void
rate_forgets_another_clock(void **state)
{
    voice_rate_t         rate;
    voice_rate_left_t    left;
    voice_rate_limit_t   limit;

    (void) state;

    limit = voice_rate_limit(1, 5000, 2);

    atomic_init(&rate, (NOW + 86400000ull) * 1000);
    assert_false(voice_rate_take(&rate, &limit, NOW, &left));
    assert_int_equal(left.retry, 5000);
    assert_false(voice_rate_take(&rate, &limit, NOW + 4999, &left));
    assert_true(voice_rate_take(&rate, &limit, NOW + 5000, &left));

    atomic_init(&rate, UINT64_MAX);
    voice_rate_look(&rate, &limit, NOW, &left);
    assert_int_equal(left.retry, 5000);
    voice_rate_look(&rate, &limit, NOW + 5000, &left);
    assert_int_equal(left.retry, 0);
    assert_int_equal(left.remaining, 1);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(bucket_table),
        cmocka_unit_test(long_run_keeps_to_the_rate),
        cmocka_unit_test(smaller_burst_takes_effect_at_once),
        cmocka_unit_test(set_is_seeded),
        cmocka_unit_test(set_keeps_sources_apart),
        cmocka_unit_test(set_of_one_is_shared),
        cmocka_unit_test(rate_table),
        cmocka_unit_test(rate_forgets_another_clock),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
