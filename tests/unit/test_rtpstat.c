/*
 * Copyright (C) ngx-voice contributors
 */


#include "test_util.h"

#include "voice_rtpstat.h"


#define RATE       48000
#define TICKS      960
#define FRAME_US   20000
#define START      70000u


static void
add(voice_rtpstat_t *st, uint32_t i, int64_t late_us)
{
    voice_rtpstat_add(st, START + i, 1000 + i * TICKS,
                      (uint64_t) (5000000 + (int64_t) i * FRAME_US + late_us),
                      RATE);
}


typedef struct {
    const char  *name;
    const char  *arrived;      /* sequence numbers, a letter each, from 'a' */
    int32_t      lost;
    uint32_t     highest;
    uint8_t      fraction;
} loss_case_t;


static const loss_case_t  losses[] = {
    { "nothing came", "", 0, 0, 0 },
    { "one packet", "a", 0, START, 0 },
    { "all", "abcdefgh", 0, START + 7, 0 },
    { "one of eight", "abcdfgh", 1, START + 7, 32 },
    { "half", "ad", 2, START + 3, 128 },
    { "reordered", "acbdfeg", 0, START + 6, 0 },
    { "last of a gap", "az", 24, START + 25, 236 },
    { "one from before the first", "cdb", -1, START + 3, 0 },
};


static void
loss_table(void **state)
{
    size_t               i;
    const char          *p, *name;
    voice_rtpstat_t      st;
    voice_rtcp_block_t   block;

    (void) state;

    for (i = 0; i < test_n(losses); i++) {
        name = losses[i].name;
        memset(&st, 0, sizeof(st));

        for (p = losses[i].arrived; *p != '\0'; p++) {
            add(&st, (uint32_t) (*p - 'a'), 0);
        }

        test_num(name, voice_rtpstat_lost(&st), losses[i].lost);

        voice_rtpstat_report(&st, 7, 9000000, &block);
        test_num(name, block.ssrc, 7);
        test_num(name, block.lost, losses[i].lost);
        test_num(name, block.highest_seq, losses[i].highest);
        test_num(name, block.fraction, losses[i].fraction);
        test_num(name, block.lsr, 0);
        test_num(name, block.dlsr, 0);
    }
}


static void
fraction_is_of_one_interval(void **state)
{
    uint32_t            i;
    voice_rtpstat_t     st;
    voice_rtcp_block_t  block;

    (void) state;

    memset(&st, 0, sizeof(st));

    for (i = 0; i < 100; i += 2) {
        add(&st, i, 0);
    }

    voice_rtpstat_report(&st, 7, 0, &block);
    assert_int_equal(block.lost, 49);
    assert_int_equal(block.fraction, 49 * 256 / 99);

    /* nothing is missing from the next interval */
    for (i = 99; i < 110; i++) {
        add(&st, i, 0);
    }

    voice_rtpstat_report(&st, 7, 0, &block);
    assert_int_equal(block.lost, 49);
    assert_int_equal(block.fraction, 0);

    /* nothing at all in the third one */
    voice_rtpstat_report(&st, 7, 0, &block);
    assert_int_equal(block.lost, 49);
    assert_int_equal(block.fraction, 0);

    /* late ones make up for more than this interval misses */
    add(&st, 1, 0);
    add(&st, 3, 0);
    add(&st, 111, 0);
    voice_rtpstat_report(&st, 7, 0, &block);
    assert_int_equal(block.lost, 48);
    assert_int_equal(block.fraction, 0);
}


static void
jitter_of_a_steady_stream_is_zero(void **state)
{
    uint32_t         i;
    voice_rtpstat_t  st;

    (void) state;

    memset(&st, 0, sizeof(st));

    for (i = 0; i < 200; i++) {
        add(&st, i, 0);
        assert_int_equal(st.jitter_q4, 0);
    }

    /* nor does a packet that comes later in order disturb it */
    add(&st, 300, 0);
    add(&st, 250, 0);
    assert_int_equal(st.jitter_q4, 0);
}


/* RFC 3550 section 6.4.1: J += (|D| - J) / 16 */
static void
jitter_follows_the_definition(void **state)
{
    double           expected, d;
    uint32_t         i;
    int64_t          late, prev;
    voice_rtpstat_t  st;

    (void) state;

    memset(&st, 0, sizeof(st));
    expected = 0;
    prev = 0;

    for (i = 0; i < 500; i++) {
        late = (int64_t) (i * 7919 % 31) * 1000;
        add(&st, i, late);

        if (i != 0) {
            d = (double) (late > prev ? late - prev : prev - late) * 0.048;
            expected += (d - expected) / 16;
        }

        prev = late;
        assert_true(st.jitter_q4 / 16.0 > expected - 1.5);
        assert_true(st.jitter_q4 / 16.0 < expected + 1.5);
    }

    assert_true(expected > 300);
}


static void
jitter_settles_at_a_constant_step(void **state)
{
    uint32_t            i;
    voice_rtpstat_t     st;
    voice_rtcp_block_t  block;

    (void) state;

    memset(&st, 0, sizeof(st));

    for (i = 0; i < 400; i++) {
        add(&st, i, i % 2 ? 5000 : 0);
    }

    voice_rtpstat_report(&st, 7, 0, &block);
    assert_in_range(block.jitter, 239, 240);
}


static void
jitter_survives_wild_stamps(void **state)
{
    uint32_t            i;
    voice_rtpstat_t     st;
    voice_rtcp_block_t  block;

    (void) state;

    memset(&st, 0, sizeof(st));

    for (i = 0; i < 1000; i++) {
        voice_rtpstat_add(&st, START + i, i % 2 ? 0x80000000u : 0, 0, RATE);
    }

    voice_rtpstat_report(&st, 7, 0, &block);
    assert_in_range(block.jitter, 0x0F000000, 0x0FFFFFFF);
}


/* A stamp that wraps is no jump, and a wall clock doesn't overflow. */
static void
clock_wraps(void **state)
{
    uint32_t         i;
    uint64_t         now;
    voice_rtpstat_t  st;

    (void) state;

    memset(&st, 0, sizeof(st));

    /* in the middle of this stream, now * RATE passes 5 * 2^64 */
    now = 1921535841011411 - 50 * FRAME_US;

    for (i = 0; i < 100; i++) {
        voice_rtpstat_add(&st, START + i, 0xFFFFFFFFu - 20 * TICKS + i * TICKS,
                          now + i * FRAME_US, RATE);
    }

    assert_int_equal(st.jitter_q4, 0);
    assert_int_equal(st.received, 100);
}


typedef struct {
    const char  *name;
    uint64_t     delay;        /* microseconds between SR and report */
    uint32_t     dlsr;
} delay_case_t;


static const delay_case_t  delays[] = {
    { "at once", 0, 0 },
    { "half a second", 500000, 0x8000 },
    { "one second", 1000000, 0x10000 },
    { "RFC 3550 figure 2: 5.25 s", 5250000, 0x54000 },
    { "the most that fits", 65535999999, 0xFFFFFFFF },
    { "more than fits", 65536000000, 0xFFFFFFFF },
    { "a year", 31536000000000, 0xFFFFFFFF },
};


static void
dlsr_table(void **state)
{
    size_t               i;
    voice_rtcp_sr_t      sr;
    voice_rtpstat_t      st;
    voice_rtcp_block_t   block;

    (void) state;

    memset(&sr, 0, sizeof(sr));
    sr.ntp_sec = 0xB44DB705;
    sr.ntp_frac = 0x20000000;

    for (i = 0; i < test_n(delays); i++) {
        memset(&st, 0, sizeof(st));
        add(&st, 0, 0);
        voice_rtpstat_sr(&st, &sr, 7000000);
        voice_rtpstat_report(&st, 7, 7000000 + delays[i].delay, &block);

        test_num(delays[i].name, block.lsr, 0xB7052000);
        test_num(delays[i].name, block.dlsr, delays[i].dlsr);
    }

    /* another process's clock may be a little behind */
    voice_rtpstat_report(&st, 7, 6999999, &block);
    assert_int_equal(block.dlsr, 0);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(loss_table),
        cmocka_unit_test(fraction_is_of_one_interval),
        cmocka_unit_test(jitter_of_a_steady_stream_is_zero),
        cmocka_unit_test(jitter_follows_the_definition),
        cmocka_unit_test(jitter_settles_at_a_constant_step),
        cmocka_unit_test(jitter_survives_wild_stamps),
        cmocka_unit_test(clock_wraps),
        cmocka_unit_test(dlsr_table),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
