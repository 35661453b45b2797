/*
 * Copyright (C) ngx-voice contributors
 *
 * The floor: a program that sends what the relay sends, to the same sockets
 * at the same times, and does nothing else.  What the relay costs above it is
 * receiving, opening, routing and sealing.
 */


#define _GNU_SOURCE

#include "relay.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>


#define BENCH_QUEUE   256
#define BENCH_LEAD    (50 * VC_MS)


typedef struct {
    unsigned         n;
    struct mmsghdr   msg[BENCH_QUEUE];
    struct iovec     iov[BENCH_QUEUE];
    uint8_t          buf[BENCH_QUEUE][BENCH_PACKET];
} bench_queue_t;


static void bench_floor_child(bench_t *b, uint64_t n, uint64_t start,
    bench_run_t *run);
static void bench_floor_packet(bench_t *b, bench_queue_t *q, uint64_t k,
    bench_run_t *run);
static void bench_floor_flush(bench_t *b, bench_queue_t *q,
    bench_run_t *run);


bool
bench_floor(bench_t *b, double seconds, bench_run_t *run)
{
    int                  status;
    pid_t                pid;
    uint64_t             n, start;
    bench_run_t         *shared;

    memset(run, 0, sizeof(bench_run_t));

    shared = mmap(NULL, sizeof(bench_run_t), PROT_READ|PROT_WRITE,
                  MAP_SHARED|MAP_ANONYMOUS, -1, 0);

    if (shared == MAP_FAILED || !bench_connect(b, &b->floor_addr)) {
        return false;
    }

    n = bench_packets(b, seconds);
    start = vc_now() + BENCH_LEAD;
    pid = fork();

    if (pid == 0) {
        bench_floor_child(b, n, start, shared);
        _exit(0);
    }

    while (pid != -1 && waitpid(pid, &status, WNOHANG) == 0) {
        bench_drain(b, vc_now(), run);
        vc_loop_turn(b->loop, vc_now() + VC_MS);
    }

    bench_drain_all(b, run);

    run->expected = n * (b->options.participants - 1);
    run->wall = shared->wall;
    run->cpu = shared->cpu;
    run->behind = shared->behind;

    munmap(shared, sizeof(bench_run_t));

    return pid != -1 && bench_connect(b, &b->relay);
}


static void
bench_floor_child(bench_t *b, uint64_t n, uint64_t start, bench_run_t *run)
{
    unsigned         i;
    uint64_t         k, due, now;
    struct timespec  ts;
    bench_queue_t   *q;

    bench_pin(b->options.worker_cpu);

    q = calloc(1, sizeof(bench_queue_t));
    if (q == NULL) {
        return;
    }

    for (i = 0; i < BENCH_QUEUE; i++) {
        memset(q->buf[i], (int) i, BENCH_PACKET);
        q->iov[i].iov_base = q->buf[i];
        q->iov[i].iov_len = b->wire;
        q->msg[i].msg_hdr.msg_iov = &q->iov[i];
        q->msg[i].msg_hdr.msg_iovlen = 1;
        q->msg[i].msg_hdr.msg_namelen = sizeof(struct sockaddr_in);
    }

    bench_sleep(start - BENCH_LEAD / 2);

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
    run->cpu -= (uint64_t) ts.tv_sec * VC_SEC + (uint64_t) ts.tv_nsec;

    for (k = 0; k < n; /* void */ ) {
        due = bench_due(b, k);

        if (b->options.tick != 0) {
            due += b->options.tick - due % b->options.tick;
        }

        due += start;
        now = vc_now();

        if (now < due) {
            bench_floor_flush(b, q, run);
            bench_sleep(due);
            continue;
        }

        run->behind = now - due > run->behind ? now - due : run->behind;
        bench_floor_packet(b, q, k++, run);
    }

    bench_floor_flush(b, q, run);

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
    run->cpu += (uint64_t) ts.tv_sec * VC_SEC + (uint64_t) ts.tv_nsec;
    run->wall = vc_now() - start;
}


static void
bench_floor_packet(bench_t *b, bench_queue_t *q, uint64_t k, bench_run_t *run)
{
    uint32_t  i, room, talker;

    talker = bench_talker(b, k);
    room = talker - talker % b->options.participants;

    for (i = room; i < room + b->options.participants; i++) {

        if (i == talker) {
            continue;
        }

        q->msg[q->n++].msg_hdr.msg_name = &b->addr[i];

        if (q->n == BENCH_QUEUE) {
            bench_floor_flush(b, q, run);
        }
    }
}


static void
bench_floor_flush(bench_t *b, bench_queue_t *q, bench_run_t *run)
{
    int       n;
    unsigned  done;

    for (done = 0; done < q->n; /* void */ ) {
        n = sendmmsg(b->floor, &q->msg[done], q->n - done, 0);

        if (n == -1 && errno != EINTR && errno != ECONNREFUSED) {
            break;
        }

        done += n > 0 ? (unsigned) n : 0;
    }

    run->packets += done;
    q->n = 0;
}
