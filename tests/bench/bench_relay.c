/*
 * Copyright (C) ngx-voice contributors
 *
 * What a forwarded packet costs: fills rooms of a running relay, lets members
 * talk, counts every packet where it arrives, and reads the worker's own CPU
 * time.  Beside it, in turns, the floor; see relay_floor.c.
 *
 * One line of JSON on standard output.  tests/bench/run calls this program
 * for each kind of room.
 */


#include "relay.h"

#include <getopt.h>
#include <inttypes.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>


#define BENCH_STEP_SECONDS   2.0
#define BENCH_P99_MAX        5000      /* us: beyond is too late */


static bool bench_options(bench_options_t *o, int argc, char **argv);
static bool bench_option(bench_options_t *o, int c, const char *arg);
static bool bench_open(bench_t *b);
static bool bench_measure(bench_t *b);
static bool bench_capacity(bench_t *b);
static bool bench_steps(bench_t *b);
static void bench_loud(bench_t *b, uint32_t loud);
static void bench_print(const char *kind, const bench_run_t *run);


static const struct option  bench_long[] = {
    { "url", 1, NULL, 'u' },
    { "key", 1, NULL, 'k' },
    { "mode", 1, NULL, 'm' },
    { "rooms", 1, NULL, 'r' },
    { "loud", 1, NULL, 'l' },
    { "participants", 1, NULL, 'p' },
    { "talkers", 1, NULL, 't' },
    { "frame", 1, NULL, 'f' },
    { "pps", 1, NULL, 'n' },
    { "seconds", 1, NULL, 's' },
    { "repeat", 1, NULL, 'e' },
    { "pid", 1, NULL, 'i' },
    { "worker-cpu", 1, NULL, 'w' },
    { "client-cpu", 1, NULL, 'c' },
    { "floor", 0, NULL, 'F' },
    { "latency", 0, NULL, 'L' },
    { "capacity", 0, NULL, 'C' },
    { "idle", 0, NULL, 'I' },
    { "steps", 0, NULL, 'S' },
    { "tick", 1, NULL, 'T' },
    { NULL, 0, NULL, 0 }
};


int
main(int argc, char **argv)
{
    bool            done;
    static bench_t  b;

    if (!bench_options(&b.options, argc, argv)) {
        return 2;
    }

    done = bench_open(&b) && bench_join(&b);

    if (done) {
        bench_pin(b.options.client_cpu);

        printf("{\"rooms\":%u,\"participants\":%u,\"talkers\":%u,"
               "\"pps\":%g,\"frame\":%u,\"mode\":\"%s\"", b.options.rooms,
               b.options.participants, b.options.talkers, b.options.pps,
               b.options.frame, voice_mode_name(b.members[0].client.mode));

        done = b.options.steps ? bench_steps(&b)
               : b.options.capacity ? bench_capacity(&b) : bench_measure(&b);

        printf("}\n");
    }

    bench_leave(&b);

    return done ? 0 : 1;
}


static bool
bench_options(bench_options_t *o, int argc, char **argv)
{
    int  c;

    o->mode = VC_MODE_FIRST;
    o->rooms = 1;
    o->participants = 2;
    o->talkers = 1;
    o->frame = 80;
    o->pps = 50;
    o->seconds = 2;
    o->repeat = 3;
    o->worker_cpu = -1;
    o->client_cpu = -1;

    while ((c = getopt_long(argc, argv, "", bench_long, NULL)) != -1) {
        if (!bench_option(o, c, optarg)) {
            return false;
        }
    }

    if (optind != argc || o->conn.url == NULL || o->conn.key == NULL
        || o->pid == 0 || o->rooms == 0 || o->participants < 2
        || o->talkers == 0 || o->talkers > o->participants)
    {
        fprintf(stderr, BENCH_NAME ": expected --url, --key, --pid of the "
                "worker, at least one room of two, and no more talkers than "
                "participants\n");
        return false;
    }

    return true;
}


static bool
bench_option(bench_options_t *o, int c, const char *arg)
{
    switch (c) {

    case 'u':
        o->conn.url = arg;
        return true;

    case 'k':
        o->conn.key = arg;
        return true;

    case 'm':
        return vc_connection_mode(BENCH_NAME, arg, &o->mode);

    case 'r':
        o->rooms = (uint32_t) atoi(arg);
        return true;

    case 'l':
        o->loud = (uint32_t) atoi(arg);
        return true;

    case 'p':
        o->participants = (uint32_t) atoi(arg);
        return true;

    case 't':
        o->talkers = (uint32_t) atoi(arg);
        return true;

    case 'f':
        o->frame = (uint32_t) atoi(arg);
        return true;

    case 'n':
        o->pps = atof(arg);
        return true;

    case 's':
        o->seconds = atof(arg);
        return true;

    case 'e':
        o->repeat = (uint32_t) atoi(arg);
        return true;

    case 'i':
        o->pid = atoi(arg);
        return true;

    case 'w':
        o->worker_cpu = atoi(arg);
        return true;

    case 'c':
        o->client_cpu = atoi(arg);
        return true;

    case 'F':
        o->floor = true;
        return true;

    case 'L':
        o->latency = true;
        return true;

    case 'C':
        o->capacity = true;
        return true;

    case 'S':
        o->steps = true;
        return true;

    case 'T':
        o->tick = (uint64_t) atoi(arg) * 1000;
        return true;

    case 'I':
        o->idle = true;
        return true;
    }

    return false;
}


static bool
bench_open(bench_t *b)
{
    socklen_t  len;

    if (voice_crypto_init() != VOICE_OK
        || !vc_keys_load(BENCH_NAME, b->options.conn.key, &b->keys)
        || !vc_connection_open(BENCH_NAME, &b->options.conn, &b->server))
    {
        return false;
    }

    b->run = randombytes_random();
    b->n = b->options.rooms * b->options.participants;
    b->loop = vc_loop_create();
    bench_loud(b, b->options.loud);

    /* with the modes that bring their nonce along: 4 bytes of it */
    b->wire = VOICE_RTP_HEADER_LEN + b->options.frame + VOICE_TAG_LEN
              + VOICE_NONCE4_LEN;

    b->floor = socket(AF_INET, SOCK_DGRAM, 0);
    b->floor_addr.sin_family = AF_INET;
    b->floor_addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    len = sizeof(b->floor_addr);

    if (b->loop == NULL || b->floor == -1
        || bind(b->floor, (struct sockaddr *) &b->floor_addr, len) == -1
        || getsockname(b->floor, (struct sockaddr *) &b->floor_addr, &len)
           == -1)
    {
        perror(BENCH_NAME ": socket");
        return false;
    }

    return true;
}


/* In so many rooms somebody talks; 0: in all of them. */
static void
bench_loud(bench_t *b, uint32_t loud)
{
    b->options.loud = loud != 0 && loud < b->options.rooms ? loud
                      : b->options.rooms;
    b->hearing = b->options.loud * b->options.participants;
    b->next = b->hearing;
}


/* Relay and floor in turns, after one of each that isn't counted. */
static bool
bench_measure(bench_t *b)
{
    uint32_t            i;
    static bench_run_t  relay, floor;

    if (!bench_traffic(b, 0.5, false, &relay)
        || (b->options.floor && !bench_floor(b, 0.5, &floor)))
    {
        return false;
    }

    printf(",\"runs\":[");

    for (i = 0; i < b->options.repeat; i++) {
        if (!bench_traffic(b, b->options.seconds, false, &relay)
            || (b->options.floor
                && !bench_floor(b, b->options.seconds, &floor)))
        {
            return false;
        }

        printf("%s{", i != 0 ? "," : "");
        bench_print("relay", &relay);

        if (b->options.floor) {
            printf(",");
            bench_print("floor", &floor);
        }

        printf("}");
    }

    printf("]");

    if (b->options.latency) {
        if (!bench_traffic(b, b->options.seconds, true, &relay)) {
            return false;
        }

        printf(",");
        bench_print("timed", &relay);
    }

    return true;
}


/*
 * The highest rate of a talker at which every packet arrived, and in time:
 * steps of a quarter until it fails, then of a twentieth.
 */
static bool
bench_capacity(bench_t *b)
{
    bool                ok, fine;
    double              good, step;
    static bench_run_t  run, best;

    fine = false;
    good = b->options.pps;
    step = 1.25;

    memset(&best, 0, sizeof(best));

    for ( ;; ) {
        if (!bench_traffic(b, BENCH_STEP_SECONDS, true, &run)) {
            return false;
        }

        ok = run.packets == run.expected && run.strange == 0
             && vc_histogram_quantile(&run.latency, 0.99) <= BENCH_P99_MAX;

        fprintf(stderr, "  %.1f packets/s of a talker: %" PRIu64 " of %"
                PRIu64 " arrived, %.0f %% of the CPU, p99 %.2f ms\n",
                b->options.pps, run.packets, run.expected,
                100.0 * (double) run.cpu / (double) run.wall,
                (double) vc_histogram_quantile(&run.latency, 0.99) / 1000);

        if (ok) {
            best = run;
            good = b->options.pps;

        } else if (fine || best.packets == 0) {
            break;

        } else {
            fine = true;
            step = 1.05;
        }

        b->options.pps = good * step;
    }

    printf(",\"good\":%g,", good);
    bench_print("best", &best);

    return true;
}


/* Nobody talks; there are websockets, and keep-alives with --idle. */
static bool
bench_idle(bench_t *b, bench_run_t *run)
{
    uint64_t  start, until;

    memset(run, 0, sizeof(bench_run_t));

    if (!bench_cpu(b, run, -1)) {
        return false;
    }

    start = vc_now();
    until = start + (uint64_t) (b->options.seconds * (double) VC_SEC);

    while (vc_now() < until) {
        vc_loop_turn(b->loop, until);
    }

    run->wall = vc_now() - start;

    return bench_cpu(b, run, 1);
}


static bool
bench_step(bench_t *b, const char *kind, bench_run_t *run)
{
    if (strcmp(kind, "idle") == 0) {
        return bench_idle(b, run);
    }

    if (strcmp(kind, "floor") == 0) {
        return bench_floor(b, b->options.seconds, run);
    }

    return bench_traffic(b, b->options.seconds, false, run);
}


/*
 * For whoever compares servers in turns.  A line "relay", "floor" or "idle",
 * the number of loud rooms and the packets a second of each talker, is a run;
 * a line tells what came of it.
 */
static bool
bench_steps(bench_t *b)
{
    char                line[64], kind[8];
    unsigned            loud;
    static bench_run_t  run;

    printf("}\n");
    fflush(stdout);

    while (fgets(line, sizeof(line), stdin) != NULL) {

        if (sscanf(line, "%7s %u %lf", kind, &loud, &b->options.pps) != 3) {
            fprintf(stderr, BENCH_NAME ": \"%s\": expected relay, floor or "
                    "idle, loud rooms, packets/s\n", line);
            return false;
        }

        bench_loud(b, loud);

        if (!bench_step(b, kind, &run)) {
            return false;
        }

        printf("{");
        bench_print(kind, &run);
        printf("}\n");
        fflush(stdout);
    }

    printf("{");

    return true;
}


static void
bench_print(const char *kind, const bench_run_t *run)
{
    unsigned            i;
    static const double  share[] = { 0.1, 0.25, 0.5, 0.75, 0.9, 0.99, 0.999 };

    printf("\"%s\":{\"packets\":%" PRIu64 ",\"expected\":%" PRIu64
           ",\"strange\":%" PRIu64 ",\"wall_ns\":%" PRIu64 ",\"cpu_ns\":%"
           PRIu64 ",\"user_ns\":%" PRIu64 ",\"sys_ns\":%" PRIu64
           ",\"wakes\":%" PRIu64 ",\"behind_us\":%" PRIu64, kind,
           run->packets, run->expected, run->strange, run->wall, run->cpu,
           run->user, run->sys, run->wakes, run->behind / 1000);

    if (run->latency.total != 0) {
        printf(",\"latency_us\":{");

        for (i = 0; i < sizeof(share) / sizeof(share[0]); i++) {
            printf("\"p%g\":%" PRIu64 ",", share[i] * 100,
                   vc_histogram_quantile(&run->latency, share[i]));
        }

        printf("\"max\":%" PRIu64 "}", run->latency.max);
    }

    printf("}");
}
