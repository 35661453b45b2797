/*
 * Copyright (C) ngx-voice contributors
 */


#define _GNU_SOURCE

#include "loop.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>


#define VC_LOOP_EVENTS   256


struct vc_loop_s {
    int                   fd;
    int                   nevents;
    int                   current;
    struct epoll_event    event[VC_LOOP_EVENTS];

    vc_timer_t          **heap;        /* from 1 on */
    size_t                n;
    size_t                capacity;
};


static int vc_loop_wait(vc_loop_t *loop, uint64_t until);
static void vc_loop_timers(vc_loop_t *loop);
static void vc_heap_up(vc_loop_t *loop, size_t i, vc_timer_t *t);
static void vc_heap_down(vc_loop_t *loop, size_t i, vc_timer_t *t);


vc_loop_t *
vc_loop_create(void)
{
    vc_loop_t  *loop;

    loop = calloc(1, sizeof(vc_loop_t));
    if (loop == NULL) {
        return NULL;
    }

    loop->fd = epoll_create1(EPOLL_CLOEXEC);
    if (loop->fd == -1) {
        free(loop);
        return NULL;
    }

    return loop;
}


void
vc_loop_free(vc_loop_t *loop)
{
    close(loop->fd);
    free(loop->heap);
    free(loop);
}


int
vc_loop_fd(const vc_loop_t *loop)
{
    return loop->fd;
}


bool
vc_watch_add(vc_loop_t *loop, vc_watch_t *w)
{
    struct epoll_event  ev;

    ev.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET;
    ev.data.ptr = w;

    return epoll_ctl(loop->fd, EPOLL_CTL_ADD, w->fd, &ev) == 0;
}


void
vc_watch_del(vc_loop_t *loop, vc_watch_t *w)
{
    int  i;

    epoll_ctl(loop->fd, EPOLL_CTL_DEL, w->fd, NULL);

    for (i = loop->current + 1; i < loop->nevents; i++) {
        if (loop->event[i].data.ptr == w) {
            loop->event[i].data.ptr = NULL;
        }
    }
}


bool
vc_timer_set(vc_loop_t *loop, vc_timer_t *t, uint64_t at)
{
    size_t        capacity;
    uint64_t      before;
    vc_timer_t  **heap;

    before = t->at;
    t->at = at;

    if (t->slot != 0) {
        if (at < before) {
            vc_heap_up(loop, t->slot, t);

        } else {
            vc_heap_down(loop, t->slot, t);
        }

        return true;
    }

    if (loop->n + 1 >= loop->capacity) {
        capacity = loop->capacity != 0 ? loop->capacity * 2 : 64;

        heap = realloc(loop->heap, capacity * sizeof(vc_timer_t *));
        if (heap == NULL) {
            return false;
        }

        loop->heap = heap;
        loop->capacity = capacity;
    }

    loop->n++;
    vc_heap_up(loop, loop->n, t);

    return true;
}


void
vc_timer_clear(vc_loop_t *loop, vc_timer_t *t)
{
    size_t       i;
    vc_timer_t  *last;

    if (t->slot == 0) {
        return;
    }

    i = t->slot;
    t->slot = 0;
    last = loop->heap[loop->n--];

    if (last == t) {
        return;
    }

    if (last->at < t->at) {
        vc_heap_up(loop, i, last);

    } else {
        vc_heap_down(loop, i, last);
    }
}


bool
vc_loop_turn(vc_loop_t *loop, uint64_t until)
{
    vc_watch_t  *w;

    if (loop->n != 0 && loop->heap[1]->at < until) {
        until = loop->heap[1]->at;
    }

    loop->nevents = vc_loop_wait(loop, until);

    if (loop->nevents == -1) {
        loop->nevents = 0;
        return errno == EINTR;
    }

    for (loop->current = 0; loop->current < loop->nevents; loop->current++) {
        w = loop->event[loop->current].data.ptr;

        if (w != NULL) {
            w->handler(w->data);
        }
    }

    loop->nevents = 0;
    vc_loop_timers(loop);

    return true;
}


static int
vc_loop_wait(vc_loop_t *loop, uint64_t until)
{
    int              n;
    uint64_t         now, ns;
    struct timespec  ts;

    now = vc_now();
    ns = until > now ? until - now : 0;
    ts.tv_sec = (time_t) (ns / VC_SEC);
    ts.tv_nsec = (long) (ns % VC_SEC);

    n = epoll_pwait2(loop->fd, loop->event, VC_LOOP_EVENTS, &ts, NULL);

    if (n == -1 && (errno == ENOSYS || errno == EPERM)) {
        /* a kernel or sandbox without it: whole milliseconds, rounded up */
        ns = (ns + VC_MS - 1) / VC_MS;
        n = epoll_wait(loop->fd, loop->event, VC_LOOP_EVENTS,
                       ns < 60000 ? (int) ns : 60000);
    }

    return n;
}


static void
vc_loop_timers(vc_loop_t *loop)
{
    uint64_t     now;
    vc_timer_t  *t;

    if (loop->n == 0) {
        return;
    }

    now = vc_now();

    while (loop->n != 0 && loop->heap[1]->at <= now) {
        t = loop->heap[1];
        vc_timer_clear(loop, t);
        t->handler(t->data, now);
    }
}


static void
vc_heap_up(vc_loop_t *loop, size_t i, vc_timer_t *t)
{
    while (i > 1 && loop->heap[i / 2]->at > t->at) {
        loop->heap[i] = loop->heap[i / 2];
        loop->heap[i]->slot = i;
        i /= 2;
    }

    loop->heap[i] = t;
    t->slot = i;
}


static void
vc_heap_down(vc_loop_t *loop, size_t i, vc_timer_t *t)
{
    size_t  child;

    for ( ;; ) {
        child = i * 2;

        if (child < loop->n
            && loop->heap[child + 1]->at < loop->heap[child]->at)
        {
            child++;
        }

        if (child > loop->n || loop->heap[child]->at >= t->at) {
            break;
        }

        loop->heap[i] = loop->heap[child];
        loop->heap[i]->slot = i;
        i = child;
    }

    loop->heap[i] = t;
    t->slot = i;
}
