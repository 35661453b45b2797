/*
 * Copyright (C) ngx-voice contributors
 *
 * Event loop: descriptors by edge-triggered epoll, timers by a heap.  One
 * loop belongs to one thread.
 */


#ifndef _VC_LOOP_H_INCLUDED_
#define _VC_LOOP_H_INCLUDED_


#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>


#define VC_MS   UINT64_C(1000000)
#define VC_SEC  UINT64_C(1000000000)


typedef struct vc_loop_s   vc_loop_t;
typedef struct vc_timer_s  vc_timer_t;


typedef struct {
    int        fd;                       /* -1: not watched */
    void     (*handler)(void *data);     /* readable, writable or broken */
    void      *data;
} vc_watch_t;


struct vc_timer_s {
    uint64_t   at;
    size_t     slot;                     /* 0: not set */
    void     (*handler)(void *data, uint64_t now);
    void      *data;
};


/* CLOCK_MONOTONIC, ns */
static inline uint64_t
vc_now(void)
{
    struct timespec  ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);

    return (uint64_t) ts.tv_sec * VC_SEC + (uint64_t) ts.tv_nsec;
}


/* NULL with errno */
vc_loop_t *vc_loop_create(void);
void vc_loop_free(vc_loop_t *loop);

/* Readable while there are events: for a loop in another one. */
int vc_loop_fd(const vc_loop_t *loop);

/*
 * Watches w->fd, edge-triggered in both directions: the handler reads and
 * writes until it would block.  False with errno.
 */
bool vc_watch_add(vc_loop_t *loop, vc_watch_t *w);

/* Allowed in any handler; no event that is already there comes after it. */
void vc_watch_del(vc_loop_t *loop, vc_watch_t *w);

/* Sets or moves; false if there is no memory. */
bool vc_timer_set(vc_loop_t *loop, vc_timer_t *t, uint64_t at);
void vc_timer_clear(vc_loop_t *loop, vc_timer_t *t);

/* One round: waits for an event, a timer, or until the given time. */
bool vc_loop_turn(vc_loop_t *loop, uint64_t until);


#endif /* _VC_LOOP_H_INCLUDED_ */
