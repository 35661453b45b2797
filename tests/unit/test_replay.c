/*
 * Copyright (C) ngx-voice contributors
 */


#include "test_util.h"

#include "voice_replay.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>


#define FIRST          65536u

#define RACERS         2
#define RACE_ROUNDS    2000
#define RACE_PACKETS   256
#define RACE_TOTAL     (RACE_ROUNDS * RACE_PACKETS)

#define TEST_SECONDS   60


typedef struct {
    voice_replay_t      window;
    pthread_barrier_t   barrier;
    _Atomic uint32_t    accepted[RACE_TOTAL];
    _Atomic uint32_t    refused[RACERS];
} race_t;


typedef struct {
    race_t     *race;
    unsigned    id;
} racer_t;


/* check, authenticate, add: as the relay does it with a genuine packet */
static voice_err_t
receive(voice_replay_t *w, uint16_t seq, uint32_t *ext)
{
    voice_err_t  err;

    err = voice_replay_check(w, seq, ext);

    return err == VOICE_OK ? voice_replay_add(w, *ext) : err;
}


typedef struct {
    const char   *name;
    uint16_t      seq;
    voice_err_t   err;
    uint32_t      ext;
} step_t;


static void
run_steps(const step_t *steps, size_t n)
{
    size_t           i;
    uint32_t         ext;
    voice_replay_t   w;

    voice_replay_reset(&w);

    for (i = 0; i < n; i++) {
        ext = 0;
        test_err(steps[i].name, receive(&w, steps[i].seq, &ext),
                 steps[i].err);

        if (steps[i].err == VOICE_OK) {
            test_num(steps[i].name, ext, steps[i].ext);
        }
    }
}


static void
order_and_duplicates(void **state)
{
    static const step_t  steps[] = {
        { "first", 1000, VOICE_OK, FIRST + 1000 },
        { "first again", 1000, VOICE_E_REPLAY, 0 },
        { "second", 1001, VOICE_OK, FIRST + 1001 },
        { "gap", 1005, VOICE_OK, FIRST + 1005 },
        { "late", 1003, VOICE_OK, FIRST + 1003 },
        { "late again", 1003, VOICE_E_REPLAY, 0 },
        { "before the first", 999, VOICE_OK, FIRST + 999 },
        { "before the first again", 999, VOICE_E_REPLAY, 0 },
        { "first once more", 1000, VOICE_E_REPLAY, 0 },
    };

    (void) state;

    run_steps(steps, test_n(steps));
}


static void
sequence_wraps(void **state)
{
    static const step_t  steps[] = {
        { "near the end", 65534, VOICE_OK, FIRST + 65534 },
        { "over the end", 1, VOICE_OK, FIRST + 65537 },
        { "last of the cycle, late", 65535, VOICE_OK, FIRST + 65535 },
        { "zero, late", 0, VOICE_OK, FIRST + 65536 },
        { "last again", 65535, VOICE_E_REPLAY, 0 },
        { "zero again", 0, VOICE_E_REPLAY, 0 },
        { "half a cycle on", 32768, VOICE_OK, FIRST + 65536 + 32768 },
        { "and the other half", 65530, VOICE_OK, FIRST + 65536 + 65530 },
        { "into the third", 2, VOICE_OK, FIRST + 2 * 65536 + 2 },
    };

    (void) state;

    run_steps(steps, test_n(steps));
}


/* The first packet has number 0: those it overtook must not wrap below 0. */
static void
starts_at_zero(void **state)
{
    static const step_t  steps[] = {
        { "zero", 0, VOICE_OK, FIRST },
        { "one before", 65535, VOICE_OK, FIRST - 1 },
        { "one before again", 65535, VOICE_E_REPLAY, 0 },
        { "480 before", 65536 - 480, VOICE_OK, FIRST - 480 },
        { "512 before", 65536 - 512, VOICE_E_REPLAY, 0 },
        { "one", 1, VOICE_OK, FIRST + 1 },
    };

    (void) state;

    run_steps(steps, test_n(steps));
}


/* The edge is where a block of 32 ends: 481 packets are always inside. */
static void
window_edge(void **state)
{
    uint32_t        high, back, ext, reach;
    voice_replay_t  w;

    (void) state;

    for (high = 2000; high < 2032; high++) {

        reach = VOICE_REPLAY_WINDOW - 32 + high % 32;
        assert_in_range(reach, 480, 511);

        for (back = 470; back < 520; back++) {
            voice_replay_reset(&w);
            assert_int_equal(receive(&w, (uint16_t) high, &ext), VOICE_OK);
            test_num("edge", receive(&w, (uint16_t) (high - back), &ext),
                     back <= reach ? VOICE_OK : VOICE_E_REPLAY);
        }
    }
}


static void
each_packet_of_a_shuffled_stream_once(void **state)
{
    uint32_t         i, n, ext;
    voice_replay_t   w;
    static uint8_t   seen[200000];

    (void) state;

    memset(seen, 0, sizeof(seen));
    voice_replay_reset(&w);
    assert_int_equal(receive(&w, 0, &ext), VOICE_OK);

    /* groups of 400 in an order of their own, each packet twice */
    for (i = 0; i < 2 * sizeof(seen); i++) {
        n = i / 800 * 400 + (i * 77) % 400;

        if (receive(&w, (uint16_t) (n + 1), &ext) == VOICE_OK) {
            test_num("extended", ext, FIRST + n + 1);
            seen[n]++;
        }
    }

    for (i = 0; i < sizeof(seen); i++) {
        if (seen[i] != 1) {
            fail_msg("packet %u was accepted %u times", i, seen[i]);
        }
    }
}


static void
check_alone_moves_nothing(void **state)
{
    uint32_t        i, ext;
    voice_replay_t  w, before;

    (void) state;

    voice_replay_reset(&w);
    memcpy(&before, &w, sizeof(w));
    assert_int_equal(voice_replay_check(&w, 500, &ext), VOICE_OK);
    assert_memory_equal(&w, &before, sizeof(w));

    assert_int_equal(voice_replay_add(&w, ext), VOICE_OK);
    memcpy(&before, &w, sizeof(w));

    for (i = 0; i < 65536; i++) {
        (void) voice_replay_check(&w, (uint16_t) i, &ext);
    }

    assert_memory_equal(&w, &before, sizeof(w));
    assert_int_equal(receive(&w, 501, &ext), VOICE_OK);
    assert_int_equal(ext, FIRST + 501);
}


static void
output_is_written_only_on_success(void **state)
{
    uint32_t        ext;
    voice_replay_t  w;

    (void) state;

    voice_replay_reset(&w);
    assert_int_equal(receive(&w, 5000, &ext), VOICE_OK);

    ext = 0x55555555;
    assert_int_equal(voice_replay_check(&w, 5000, &ext), VOICE_E_REPLAY);
    assert_int_equal(voice_replay_check(&w, 4000, &ext), VOICE_E_REPLAY);
    assert_int_equal(ext, 0x55555555);
}


/* Two processes checked the same packet before either of them added it. */
static void
second_add_of_a_checked_packet_fails(void **state)
{
    uint32_t        a, b, late;
    voice_replay_t  w;

    (void) state;

    voice_replay_reset(&w);
    assert_int_equal(receive(&w, 100, &a), VOICE_OK);
    assert_int_equal(voice_replay_check(&w, 101, &a), VOICE_OK);
    assert_int_equal(voice_replay_check(&w, 101, &b), VOICE_OK);
    assert_int_equal(voice_replay_check(&w, 102, &late), VOICE_OK);
    assert_int_equal(voice_replay_add(&w, a), VOICE_OK);
    assert_int_equal(voice_replay_add(&w, b), VOICE_E_REPLAY);

    /* and the window went on before this one was added */
    assert_int_equal(receive(&w, 100 + 1000, &a), VOICE_OK);
    assert_int_equal(voice_replay_add(&w, late), VOICE_E_REPLAY);
}


static void
jump_forgets_everything_below(void **state)
{
    uint32_t        i, ext;
    voice_replay_t  w;

    (void) state;

    voice_replay_reset(&w);

    for (i = 0; i < 600; i++) {
        assert_int_equal(receive(&w, (uint16_t) i, &ext), VOICE_OK);
    }

    assert_int_equal(receive(&w, 600 + 30000, &ext), VOICE_OK);

    for (i = 0; i < 600; i++) {
        assert_int_equal(receive(&w, (uint16_t) i, &ext), VOICE_E_REPLAY);
    }

    /* words left from below the jump don't count as seen */
    for (i = 600 + 30000 - 480; i < 600 + 30000; i++) {
        assert_int_equal(receive(&w, (uint16_t) i, &ext), VOICE_OK);
    }
}


static void
numbers_end_at_32_bits(void **state)
{
    uint32_t        ext;
    voice_replay_t  w;

    (void) state;

    voice_replay_reset(&w);
    assert_int_equal(voice_replay_add(&w, 0xFFFFFFFE), VOICE_OK);
    assert_int_equal(receive(&w, 0xFFFF, &ext), VOICE_OK);
    assert_true(ext == 0xFFFFFFFFu);
    assert_int_equal(receive(&w, 0xFFFF, &ext), VOICE_E_REPLAY);
    assert_int_equal(receive(&w, 0, &ext), VOICE_E_REPLAY);
    assert_int_equal(receive(&w, 0xFFF0, &ext), VOICE_OK);
}


/*
 * A process that dies between its two writes leaves a word that is newer
 * than the highest number says.
 */
static void
newer_word_is_never_rewritten(void **state)
{
    uint32_t        i, ext;
    uint64_t        highest;
    voice_replay_t  w;

    (void) state;

    voice_replay_reset(&w);
    assert_int_equal(receive(&w, 1000, &ext), VOICE_OK);
    highest = w.highest;
    assert_int_equal(receive(&w, 1000 + VOICE_REPLAY_WINDOW, &ext), VOICE_OK);
    w.highest = highest;

    for (i = 992; i < 1024; i++) {
        test_err("check", voice_replay_check(&w, (uint16_t) i, &ext),
                 VOICE_E_REPLAY);
        test_err("add", voice_replay_add(&w, FIRST + i), VOICE_E_REPLAY);
    }

    assert_int_equal(receive(&w, 1000 + VOICE_REPLAY_WINDOW, &ext),
                     VOICE_E_REPLAY);
    assert_int_equal(receive(&w, 1001 + VOICE_REPLAY_WINDOW, &ext), VOICE_OK);
}


static void
reset_forgets(void **state)
{
    uint32_t        ext;
    voice_replay_t  w;

    (void) state;

    memset(&w, 0xFF, sizeof(w));
    voice_replay_reset(&w);
    assert_int_equal(receive(&w, 7, &ext), VOICE_OK);
    voice_replay_reset(&w);
    assert_int_equal(receive(&w, 7, &ext), VOICE_OK);
}


/*
 * Every round, all racers bring the same 256 packets, each in an order of
 * its own; the window spans two rounds, so that all of them fit.
 */
static void *
racer(void *data)
{
    racer_t   *r = data;

    race_t    *race;
    uint32_t   round, i, n, ext;

    race = r->race;

    for (round = 0; round < RACE_ROUNDS; round++) {

        pthread_barrier_wait(&race->barrier);

        for (i = 0; i < RACE_PACKETS; i++) {
            n = round * RACE_PACKETS
                + (i * (2 * r->id + 1) + 31 * r->id) % RACE_PACKETS;

            if (receive(&race->window, (uint16_t) n, &ext) == VOICE_OK) {
                atomic_fetch_add(&race->accepted[ext - FIRST], 1);

            } else {
                atomic_fetch_add(&race->refused[r->id], 1);
            }
        }
    }

    return NULL;
}


static race_t *
race_create(int shared)
{
    race_t                 *race;
    pthread_barrierattr_t   attr;

    race = mmap(NULL, sizeof(race_t), PROT_READ|PROT_WRITE,
                MAP_SHARED|MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(race, MAP_FAILED);

    voice_replay_reset(&race->window);
    assert_int_equal(pthread_barrierattr_init(&attr), 0);
    assert_int_equal(pthread_barrierattr_setpshared(&attr, shared), 0);
    assert_int_equal(pthread_barrier_init(&race->barrier, &attr, RACERS), 0);

    return race;
}


static void
race_finish(race_t *race)
{
    uint32_t  i, refused;

    refused = 0;

    for (i = 0; i < RACERS; i++) {
        refused += race->refused[i];
    }

    for (i = 0; i < RACE_TOTAL; i++) {
        if (race->accepted[i] != 1) {
            fail_msg("packet %u was accepted %u times", i,
                     race->accepted[i]);
        }
    }

    test_num("refused", refused, (RACERS - 1) * RACE_TOTAL);

    munmap(race, sizeof(race_t));
}


static void
threads_accept_each_packet_once(void **state)
{
    race_t     *race;
    racer_t     racers[RACERS];
    unsigned    i;
    pthread_t   threads[RACERS];

    (void) state;

    race = race_create(PTHREAD_PROCESS_PRIVATE);

    for (i = 0; i < RACERS; i++) {
        racers[i].race = race;
        racers[i].id = i;
        assert_int_equal(pthread_create(&threads[i], NULL, racer, &racers[i]),
                         0);
    }

    for (i = 0; i < RACERS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }

    race_finish(race);
}


static void
processes_accept_each_packet_once(void **state)
{
    int        status;
    pid_t      pids[RACERS];
    race_t    *race;
    racer_t    r;
    unsigned   i;

    (void) state;

    race = race_create(PTHREAD_PROCESS_SHARED);

    for (i = 0; i < RACERS; i++) {
        pids[i] = fork();
        assert_true(pids[i] >= 0);

        if (pids[i] == 0) {
            alarm(TEST_SECONDS);
            r.race = race;
            r.id = i;
            racer(&r);
            _exit(0);
        }
    }

    for (i = 0; i < RACERS; i++) {
        assert_true(waitpid(pids[i], &status, 0) == pids[i]);
        assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    }

    race_finish(race);
}


/* Adds packets from the given one on until it is killed. */
static void
victim(race_t *race, uint32_t from)
{
    uint32_t  i, ext;

    alarm(TEST_SECONDS);

    for (i = from; i < RACE_TOTAL; i++) {
        if (receive(&race->window, (uint16_t) i, &ext) == VOICE_OK) {
            atomic_fetch_add(&race->accepted[i], 1);
        }

        /* slow enough for the killer to come in between */
        (void) getppid();
    }
}


static void
kill_after(pid_t pid, _Atomic uint32_t *accepted)
{
    int  status;

    while (*accepted == 0 && waitpid(pid, &status, WNOHANG) == 0) {
        sched_yield();
    }

    kill(pid, SIGKILL);
    waitpid(pid, &status, 0);
}


/*
 * A process is killed in the middle of adding.  What it had accepted stays
 * refused, and the stream goes on.
 */
static void
killed_process_leaves_a_valid_window(void **state)
{
    pid_t      pid;
    race_t    *race;
    uint32_t   i, from, next, ext;
    unsigned   kills;

    (void) state;

    race = race_create(PTHREAD_PROCESS_SHARED);
    next = 0;

    for (kills = 0; kills < 50 && next < RACE_TOTAL / 2; kills++) {

        from = next;
        pid = fork();
        assert_true(pid >= 0);

        if (pid == 0) {
            victim(race, from);
            _exit(0);
        }

        kill_after(pid, &race->accepted[from + 100 + kills]);

        while (race->accepted[next] != 0) {
            next++;
        }

        assert_true(next > from + 100);

        i = next - from > 400 ? next - 400 : from;

        for ( /* void */ ; i < next; i++) {
            assert_int_equal(receive(&race->window, (uint16_t) i, &ext),
                             VOICE_E_REPLAY);
        }

        /* the packet it died with may be marked without being counted */
        next++;
        assert_int_equal(receive(&race->window, (uint16_t) next, &ext),
                         VOICE_OK);
        assert_int_equal(ext, FIRST + next);
        assert_int_equal(receive(&race->window, (uint16_t) next, &ext),
                         VOICE_E_REPLAY);
        next++;
    }

    munmap(race, sizeof(race_t));
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(order_and_duplicates),
        cmocka_unit_test(sequence_wraps),
        cmocka_unit_test(starts_at_zero),
        cmocka_unit_test(window_edge),
        cmocka_unit_test(each_packet_of_a_shuffled_stream_once),
        cmocka_unit_test(check_alone_moves_nothing),
        cmocka_unit_test(output_is_written_only_on_success),
        cmocka_unit_test(second_add_of_a_checked_packet_fails),
        cmocka_unit_test(jump_forgets_everything_below),
        cmocka_unit_test(numbers_end_at_32_bits),
        cmocka_unit_test(newer_word_is_never_rewritten),
        cmocka_unit_test(reset_forgets),
        cmocka_unit_test(threads_accept_each_packet_once),
        cmocka_unit_test(processes_accept_each_packet_once),
        cmocka_unit_test(killed_process_leaves_a_valid_window),
    };

    alarm(TEST_SECONDS);

    return cmocka_run_group_tests(tests, NULL, NULL);
}
