/*
 * Copyright (C) ngx-voice contributors
 */


#include "test_util.h"

#include "voice_speakers.h"

#include <pthread.h>


#define FRAME    20                 /* ms */
#define USUAL    VOICE_LOUDNESS_USUAL
#define START    1000000


static bool
speak(voice_speakers_t *sp, unsigned max, uint32_t session, uint64_t now)
{
    return voice_speakers_admit(sp, max, session, USUAL, false, now);
}


static void
first_come_first_heard(void **state)
{
    uint32_t          i;
    uint64_t          now;
    voice_speakers_t  sp = { 0 };

    (void) state;

    for (now = START; now < START + 2000; now += FRAME) {
        for (i = 0; i < 30; i++) {
            assert_int_equal(speak(&sp, 25, i, now), i < 25);
        }
    }
}


/* Time since boot may be less than a pause. */
static void
place_just_after_boot(void **state)
{
    voice_speakers_t  sp = { 0 };

    (void) state;

    assert_true(speak(&sp, 1, 7, VOICE_SPEAKERS_PAUSE + 100));
    assert_false(speak(&sp, 1, 8, VOICE_SPEAKERS_PAUSE + 100));
}


static void
pause_gives_the_place_away(void **state)
{
    uint64_t          now;
    voice_speakers_t  sp = { 0 };

    (void) state;

    assert_true(speak(&sp, 2, 1, START));
    assert_true(speak(&sp, 2, 2, START));

    /* 2 goes on, 1 does not; 3 waits */

    for (now = START; now <= START + VOICE_SPEAKERS_PAUSE; now += FRAME) {
        assert_true(speak(&sp, 2, 2, now));
        assert_false(speak(&sp, 2, 3, now));
    }

    now += 2 * FRAME;

    assert_true(speak(&sp, 2, 3, now));
    assert_false(speak(&sp, 2, 1, now));
    assert_true(speak(&sp, 2, 2, now));
}


/* Nobody needs the place: it is still one's own after a pause. */
static void
pause_in_an_empty_room(void **state)
{
    voice_speakers_t  sp = { 0 };

    (void) state;

    assert_true(speak(&sp, 1, 1, START));
    assert_true(speak(&sp, 1, 1, START + 60000));
    assert_false(speak(&sp, 1, 2, START + 60000));
}


static void
longest_pause_goes_first(void **state)
{
    uint64_t          now;
    voice_speakers_t  sp = { 0 };

    (void) state;

    assert_true(speak(&sp, 3, 1, START + 200));
    assert_true(speak(&sp, 3, 2, START));
    assert_true(speak(&sp, 3, 3, START + 100));

    now = START + 200 + VOICE_SPEAKERS_PAUSE + 2 * FRAME;

    assert_true(speak(&sp, 3, 4, now));

    /* 1 and 3 were not asked to go */

    assert_true(speak(&sp, 3, 1, now));
    assert_true(speak(&sp, 3, 3, now));
    assert_false(speak(&sp, 3, 2, now));
}


static void
louder_takes_the_place_of_the_quietest(void **state)
{
    voice_speakers_t  sp = { 0 };

    (void) state;

    assert_true(voice_speakers_admit(&sp, 2, 1, 80, false, START));
    assert_true(voice_speakers_admit(&sp, 2, 2, 60, false, START));

    /* a little louder is not enough */

    assert_false(voice_speakers_admit(&sp, 2, 3, 65, false, START));
    assert_true(voice_speakers_admit(&sp, 2, 3, 66, false, START));

    assert_false(voice_speakers_admit(&sp, 2, 2, 60, false, START));
    assert_true(voice_speakers_admit(&sp, 2, 1, 80, false, START));

    /* and back, only by as much */

    assert_false(voice_speakers_admit(&sp, 2, 2, 71, false, START));
    assert_true(voice_speakers_admit(&sp, 2, 2, 72, false, START));
    assert_false(voice_speakers_admit(&sp, 2, 3, 66, false, START));
}


/* A quiet syllable of a loud speaker gives nothing away. */
static void
loudness_is_smooth(void **state)
{
    unsigned          i;
    voice_speakers_t  sp = { 0 };

    (void) state;

    assert_true(voice_speakers_admit(&sp, 1, 1, 100, false, START));
    assert_true(voice_speakers_admit(&sp, 1, 1, 60, false, START));
    assert_false(voice_speakers_admit(&sp, 1, 2, 90, false, START));

    for (i = 0; i < 10; i++) {
        assert_true(voice_speakers_admit(&sp, 1, 1, 60, false, START));
    }

    assert_true(voice_speakers_admit(&sp, 1, 2, 90, false, START));
}


static void
silence_takes_no_place(void **state)
{
    unsigned          i;
    voice_speakers_t  sp = { 0 };

    (void) state;

    /* nobody else wants it */

    assert_true(voice_speakers_admit(&sp, 1, 1, 0, true, START));
    assert_true(speak(&sp, 1, 2, START));

    /* the last frames of 2 are for those who heard it, those of 1 not */

    for (i = 0; i < 5; i++) {
        assert_true(voice_speakers_admit(&sp, 1, 2, 0, true, START + 100));
        assert_false(voice_speakers_admit(&sp, 1, 1, 0, true, START + 100));
    }

    /* they don't keep the place either */

    assert_true(speak(&sp, 1, 3, START + VOICE_SPEAKERS_PAUSE + 2 * FRAME));
}


static void
as_many_as_there_are_places(void **state)
{
    uint32_t          i;
    voice_speakers_t  sp = { 0 };

    (void) state;

    for (i = 0; i < VOICE_SPEAKERS_MAX; i++) {
        assert_true(speak(&sp, VOICE_SPEAKERS_MAX, (1u << 17) - 1 - i,
                          START));
    }

    assert_false(speak(&sp, VOICE_SPEAKERS_MAX, 0, START));
}


typedef struct {
    voice_speakers_t  *sp;
    uint32_t           first;
    unsigned           heard[8];
} crowd_t;


static void *
crowd(void *data)
{
    uint32_t   i;
    uint64_t   now;
    crowd_t   *c = data;

    for (now = START; now < START + 1000; now++) {
        for (i = 0; i < 8; i++) {
            c->heard[i] += speak(c->sp, 5, c->first + i, now);
        }
    }

    return NULL;
}


/* Workers share a table: all places are taken, none by two. */
static void
workers_agree(void **state)
{
    unsigned          i, all, heard;
    crowd_t           c[2] = { { 0 } };
    pthread_t         thread[2];
    voice_speakers_t  sp = { 0 };

    (void) state;

    for (i = 0; i < 2; i++) {
        c[i].sp = &sp;
        c[i].first = 100 * i;
        assert_int_equal(pthread_create(&thread[i], NULL, crowd, &c[i]), 0);
    }

    for (i = 0; i < 2; i++) {
        pthread_join(thread[i], NULL);
    }

    for (all = 0, i = 0; i < 16; i++) {
        heard = c[i / 8].heard[i % 8];
        all += (heard > 500);
    }

    assert_true(all >= 1 && all <= 5);

    for (i = 0; i < 5; i++) {
        assert_int_not_equal(sp.place[i], 0);
    }
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(first_come_first_heard),
        cmocka_unit_test(place_just_after_boot),
        cmocka_unit_test(pause_gives_the_place_away),
        cmocka_unit_test(pause_in_an_empty_room),
        cmocka_unit_test(longest_pause_goes_first),
        cmocka_unit_test(louder_takes_the_place_of_the_quietest),
        cmocka_unit_test(loudness_is_smooth),
        cmocka_unit_test(silence_takes_no_place),
        cmocka_unit_test(as_many_as_there_are_places),
        cmocka_unit_test(workers_agree),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
