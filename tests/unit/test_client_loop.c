/*
 * Copyright (C) ngx-voice contributors
 */


#include "test_util.h"

#include "loop.h"

#include <sys/socket.h>
#include <unistd.h>


#define TIMERS  500


typedef struct {
    vc_loop_t   *loop;
    vc_timer_t   timer;
    unsigned     fired;
    uint64_t    *last;
} fixture_t;


static void
on_timer(void *data, uint64_t now)
{
    fixture_t  *f = data;

    f->fired++;
    assert_true(now >= f->timer.at);
    assert_true(f->timer.at >= *f->last);
    *f->last = f->timer.at;
}


/* Set, moved both ways and cleared by chance: all come once, in order. */
static void
timers_come_in_order(void **state)
{
    unsigned    i, seed;
    uint64_t    start, last;
    fixture_t  *f;
    vc_loop_t  *loop;

    (void) state;

    loop = vc_loop_create();
    f = calloc(TIMERS, sizeof(fixture_t));
    assert_non_null(loop);
    assert_non_null(f);

    start = vc_now();
    last = 0;
    seed = 1;

    for (i = 0; i < TIMERS; i++) {
        f[i].last = &last;
        f[i].timer.handler = on_timer;
        f[i].timer.data = &f[i];
        seed = seed * 1103515245 + 12345;
        vc_timer_set(loop, &f[i].timer, start + (seed >> 8) % (30 * VC_MS));
    }

    for (i = 0; i < TIMERS; i += 3) {
        seed = seed * 1103515245 + 12345;
        vc_timer_set(loop, &f[i].timer, start + (seed >> 8) % (30 * VC_MS));
    }

    for (i = 0; i < TIMERS; i += 5) {
        vc_timer_clear(loop, &f[i].timer);
        vc_timer_clear(loop, &f[i].timer);
    }

    while (vc_now() < start + 40 * VC_MS) {
        assert_true(vc_loop_turn(loop, start + 41 * VC_MS));
    }

    for (i = 0; i < TIMERS; i++) {
        test_num("fired", f[i].fired, i % 5 != 0);
    }

    free(f);
    vc_loop_free(loop);
}


static void
a_turn_ends_in_time(void **state)
{
    uint64_t    start;
    vc_loop_t  *loop;

    (void) state;

    loop = vc_loop_create();
    assert_non_null(loop);

    start = vc_now();
    assert_true(vc_loop_turn(loop, start + 20 * VC_MS));
    assert_true(vc_now() >= start + 20 * VC_MS);

    vc_loop_free(loop);
}


typedef struct {
    vc_loop_t    *loop;
    vc_watch_t    watch;
    vc_watch_t   *other;
    unsigned      events;
} peer_t;


static void
on_event(void *data)
{
    char     buf[16];
    peer_t  *p = data;

    p->events++;

    while (recv(p->watch.fd, buf, sizeof(buf), MSG_DONTWAIT) > 0) {
        /* void */
    }

    if (p->other != NULL) {
        vc_watch_del(p->loop, p->other);
        p->other = NULL;
    }
}


/* Both have an event; whoever is first takes the other's away. */
static void
a_watch_is_gone_at_once(void **state)
{
    int         a[2], b[2];
    peer_t      p, q;
    vc_loop_t  *loop;

    (void) state;

    loop = vc_loop_create();
    assert_non_null(loop);
    assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM, 0, a), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM, 0, b), 0);

    memset(&p, 0, sizeof(p));
    memset(&q, 0, sizeof(q));
    p.loop = q.loop = loop;
    p.watch.fd = a[0];
    q.watch.fd = b[0];
    p.watch.handler = q.watch.handler = on_event;
    p.watch.data = &p;
    q.watch.data = &q;
    p.other = &q.watch;
    q.other = &p.watch;

    assert_true(vc_watch_add(loop, &p.watch));
    assert_true(vc_watch_add(loop, &q.watch));
    assert_int_equal(send(a[1], "a", 1, 0), 1);
    assert_int_equal(send(b[1], "b", 1, 0), 1);

    assert_true(vc_loop_turn(loop, vc_now() + VC_SEC));
    assert_int_equal(p.events + q.events, 1);

    vc_loop_free(loop);
    close(a[0]);
    close(a[1]);
    close(b[0]);
    close(b[1]);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(timers_come_in_order),
        cmocka_unit_test(a_turn_ends_in_time),
        cmocka_unit_test(a_watch_is_gone_at_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
