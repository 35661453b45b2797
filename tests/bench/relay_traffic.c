/*
 * Copyright (C) ngx-voice contributors
 */


#define _GNU_SOURCE

#include "relay.h"

#include "stamp.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>


#define BENCH_BATCH       64
#define BENCH_LEAD        (20 * VC_MS)    /* before the first packet */
#define BENCH_ROUND       (40 * VC_MS)    /* between two reads of a socket */
#define BENCH_SLICE       32              /* sockets read between packets */
#define BENCH_QUIET       (200 * VC_MS)
#define BENCH_LOOP_EVERY  1024            /* packets between turns */

#define BENCH_TICK        (10 * VC_MS)    /* of times in /proc */

/* of so many packets one is opened and looked at */
#define BENCH_LOOK        64
#define BENCH_LOOK_TIMED  8


typedef struct {
    struct mmsghdr   msg[BENCH_BATCH];
    struct iovec     iov[BENCH_BATCH];
    char             control[BENCH_BATCH][64];
    uint8_t          buf[BENCH_BATCH][BENCH_PACKET];
} bench_batch_t;


static void bench_send(bench_t *b, uint64_t k);
static uint64_t bench_read(bench_member_t *m, bench_run_t *run);
static void bench_look(bench_member_t *m, const struct msghdr *hdr,
    uint8_t *pkt, size_t len, bench_run_t *run);
static bool bench_proc(const bench_t *b, const char *name, char *text,
    size_t size);


uint64_t
bench_realtime(void)
{
    struct timespec  ts;

    clock_gettime(CLOCK_REALTIME, &ts);

    return (uint64_t) ts.tv_sec * VC_SEC + (uint64_t) ts.tv_nsec;
}


void
bench_pin(int cpu)
{
    cpu_set_t  set;

    (void) prctl(PR_SET_TIMERSLACK, 1);

    if (cpu < 0) {
        return;
    }

    CPU_ZERO(&set);
    CPU_SET((size_t) cpu, &set);

    if (sched_setaffinity(0, sizeof(set), &set) == -1) {
        fprintf(stderr, BENCH_NAME ": CPU %d: %s\n", cpu, strerror(errno));
    }
}


void
bench_sleep(uint64_t until)
{
    struct timespec  ts;

    ts.tv_sec = (time_t) (until / VC_SEC);
    ts.tv_nsec = (long) (until % VC_SEC);

    (void) clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL);
}


uint64_t
bench_packets(const bench_t *b, double seconds)
{
    return (uint64_t) (b->options.loud * b->options.talkers * b->options.pps
                       * seconds);
}


uint64_t
bench_due(const bench_t *b, uint64_t k)
{
    return (uint64_t) ((double) k * 1e9
                       / (b->options.loud * b->options.talkers
                          * b->options.pps));
}


uint32_t
bench_talker(const bench_t *b, uint64_t k)
{
    const bench_options_t  *o = &b->options;

    k %= o->loud * o->talkers;

    return (uint32_t) (k % o->loud * o->participants + k / o->loud);
}


bool
bench_traffic(bench_t *b, double seconds, bool timed, bench_run_t *run)
{
    int       on;
    uint32_t  i;
    uint64_t  k, n, start, now, due;

    memset(run, 0, sizeof(bench_run_t));
    run->timed = timed;
    run->look = timed ? BENCH_LOOK_TIMED : BENCH_LOOK;

    for (i = 0; i < b->n; i++) {
        on = timed;
        (void) setsockopt(b->members[i].client.udp.fd, SOL_SOCKET,
                          SO_TIMESTAMPNS, &on, sizeof(on));
    }

    if (!bench_cpu(b, run, -1)) {
        return false;
    }

    n = bench_packets(b, seconds);
    start = vc_now() + BENCH_LEAD;

    for (k = 0; k < n; /* void */ ) {
        due = start + bench_due(b, k);
        now = vc_now();

        if (now >= due) {
            run->behind = now - due > run->behind ? now - due : run->behind;
            bench_send(b, k++);

            if (k % BENCH_LOOP_EVERY == 0) {
                vc_loop_turn(b->loop, now);
            }

            continue;
        }

        bench_drain(b, now, run);

        if (b->next == b->hearing) {
            now = b->drained + BENCH_ROUND;
            bench_sleep(due < now ? due : now);
        }
    }

    run->wall = vc_now() - start;
    run->expected = n * (b->options.participants - 1);

    bench_drain_all(b, run);

    return bench_cpu(b, run, 1);
}


static void
bench_send(bench_t *b, uint64_t k)
{
    uint8_t          payload[VC_STAMP_PACKET_MAX];
    vc_stamp_t       stamp;
    bench_member_t  *m;

    m = &b->members[bench_talker(b, k)];

    stamp.run = b->run;
    stamp.sender = m->index;
    stamp.seq = m->seq++;
    stamp.time = bench_realtime();
    vc_stamp_packet(payload, b->options.frame, &stamp);

    (void) vc_client_send(&m->client, payload, b->options.frame, 960);
}


void
bench_drain(bench_t *b, uint64_t now, bench_run_t *run)
{
    uint32_t  last;

    if (b->next == b->hearing && now - b->drained >= BENCH_ROUND) {
        b->next = 0;
        b->drained = now;
    }

    last = b->hearing - b->next < BENCH_SLICE ? b->hearing
                                              : b->next + BENCH_SLICE;

    while (b->next < last) {
        bench_read(&b->members[b->next++], run);
    }
}


void
bench_drain_all(bench_t *b, bench_run_t *run)
{
    uint32_t  i;
    uint64_t  n, until;

    for (until = vc_now() + BENCH_QUIET; vc_now() < until; /* void */ ) {
        n = 0;

        for (i = 0; i < b->hearing; i++) {
            n += bench_read(&b->members[i], run);
        }

        if (n != 0) {
            until = vc_now() + BENCH_QUIET;
        }

        vc_loop_turn(b->loop, vc_now() + BENCH_ROUND);
    }
}


/* Gives the number of datagrams, of whatever kind. */
static uint64_t
bench_read(bench_member_t *m, bench_run_t *run)
{
    int                    i, n;
    uint64_t               all;
    static bench_batch_t   batch;

    all = 0;

    do {
        for (i = 0; i < BENCH_BATCH; i++) {
            batch.iov[i].iov_base = batch.buf[i];
            batch.iov[i].iov_len = BENCH_PACKET;
            batch.msg[i].msg_hdr.msg_iov = &batch.iov[i];
            batch.msg[i].msg_hdr.msg_iovlen = 1;
            batch.msg[i].msg_hdr.msg_control = batch.control[i];
            batch.msg[i].msg_hdr.msg_controllen = sizeof(batch.control[i]);
        }

        n = recvmmsg(m->client.udp.fd, batch.msg, BENCH_BATCH, MSG_DONTWAIT,
                     NULL);

        for (i = 0; i < n; i++) {

            /* echoes of keep-alives and reports have other lengths */

            if (batch.msg[i].msg_len != m->bench->wire) {
                continue;
            }

            if (run->look != 0 && run->packets % run->look == 0) {
                bench_look(m, &batch.msg[i].msg_hdr, batch.buf[i],
                           batch.msg[i].msg_len, run);
            }

            run->packets++;
        }

        all += n > 0 ? (uint64_t) n : 0;

    } while (n == BENCH_BATCH);

    return all;
}


static void
bench_look(bench_member_t *m, const struct msghdr *hdr, uint8_t *pkt,
    size_t len, bench_run_t *run)
{
    size_t            plain;
    uint64_t          at;
    vc_stamp_t        stamp;
    struct timespec   ts;
    struct cmsghdr   *cmsg;

    if (voice_crypto_open_rtp(&m->client.key, pkt, len, &plain) != VOICE_OK
        || !vc_stamp_read(pkt + VOICE_RTP_HEADER_LEN,
                          plain - VOICE_RTP_HEADER_LEN, &stamp)
        || stamp.run != m->bench->run
        || stamp.sender / m->bench->options.participants
           != m->index / m->bench->options.participants
        || stamp.sender == m->index)
    {
        run->strange++;
        return;
    }

    cmsg = run->timed ? CMSG_FIRSTHDR(hdr) : NULL;

    if (cmsg == NULL || cmsg->cmsg_type != SCM_TIMESTAMPNS) {
        return;
    }

    memcpy(&ts, CMSG_DATA(cmsg), sizeof(ts));
    at = (uint64_t) ts.tv_sec * VC_SEC + (uint64_t) ts.tv_nsec;

    vc_histogram_add(&run->latency, at > stamp.time
                                    ? (at - stamp.time) / 1000 : 0);
}


/*
 * schedstat tells ns, softirqs included; stat divides them into user and
 * system time by what it finds at the ticks.
 */
bool
bench_cpu(const bench_t *b, bench_run_t *run, int sign)
{
    char                 text[4096];
    const char          *p;
    unsigned long        user, sys;
    unsigned long long   cpu, wakes;

    if (!bench_proc(b, "schedstat", text, sizeof(text))
        || sscanf(text, "%llu", &cpu) != 1)
    {
        return false;
    }

    if (!bench_proc(b, "stat", text, sizeof(text))
        || sscanf(text, "%*d (%*[^)]) %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u "
                  "%*u %lu %lu", &user, &sys)
           != 2)
    {
        return false;
    }

    if (!bench_proc(b, "status", text, sizeof(text))
        || (p = strstr(text, "\nvoluntary_ctxt_switches:")) == NULL
        || sscanf(p, "\nvoluntary_ctxt_switches: %llu", &wakes) != 1)
    {
        return false;
    }

    run->cpu += (uint64_t) sign * cpu;
    run->wakes += (uint64_t) sign * wakes;
    run->user += (uint64_t) sign * user * BENCH_TICK;
    run->sys += (uint64_t) sign * sys * BENCH_TICK;

    return true;
}


/* A file about the worker. */
static bool
bench_proc(const bench_t *b, const char *name, char *text, size_t size)
{
    char    path[64];
    FILE   *f;
    size_t  n;

    snprintf(path, sizeof(path), "/proc/%d/%s", (int) b->options.pid, name);
    f = fopen(path, "r");

    if (f == NULL) {
        perror(path);
        return false;
    }

    n = fread(text, 1, size - 1, f);
    text[n] = '\0';
    fclose(f);

    return true;
}
