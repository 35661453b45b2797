/*
 * Copyright (C) ngx-voice contributors
 *
 * The parts of bench_relay: members of rooms in one relay, the packets that
 * they send it, and a bare sendmmsg() program in the relay's place.
 *
 * Times are ns of CLOCK_MONOTONIC; stamps in packets are of CLOCK_REALTIME,
 * which is what the kernel says about a packet's arrival.
 */


#ifndef _BENCH_RELAY_H_INCLUDED_
#define _BENCH_RELAY_H_INCLUDED_


#include "connection.h"
#include "histogram.h"
#include "voice_client.h"

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>


#define BENCH_NAME      "bench_relay"

#define BENCH_PACKET    1600     /* bytes, at most */


typedef struct {
    vc_connection_t   conn;
    int               mode;
    uint32_t          rooms;
    uint32_t          loud;           /* of them: in the rest nobody talks */
    uint32_t          participants;   /* of each room */
    uint32_t          talkers;        /* of each room */
    uint32_t          frame;          /* payload bytes */
    uint32_t          repeat;
    double            pps;            /* of a talker */
    double            seconds;        /* of a run */
    pid_t             pid;            /* of the worker */
    int               worker_cpu;     /* -1: anywhere */
    int               client_cpu;
    bool              floor;
    uint64_t          tick;           /* ns: the floor sends once in it */
    bool              latency;
    bool              capacity;
    bool              steps;          /* as standard input says */
    bool              idle;           /* members send keep-alives */
} bench_options_t;


typedef struct bench_s  bench_t;


typedef struct {
    vc_client_t          client;
    bench_t             *bench;
    uint32_t             index;       /* room * participants + place */
    uint32_t             seq;
    bool                 live;
} bench_member_t;


/* What a process used, and what it did with it. */
typedef struct {
    unsigned         look;            /* at one packet of so many; 0: none */
    bool             timed;           /* when those were sent and came */

    uint64_t         expected;
    uint64_t         packets;         /* received; of the floor: sent */
    uint64_t         strange;         /* of those looked at: not ours */
    uint64_t         wall;
    uint64_t         cpu;             /* ns on a CPU, softirqs included */
    uint64_t         user;            /* the same by sampling, 10 ms ticks */
    uint64_t         sys;
    uint64_t         wakes;           /* voluntary context switches */
    uint64_t         behind;          /* the sender, at the worst */
    vc_histogram_t   latency;
} bench_run_t;


struct bench_s {
    bench_options_t      options;
    vc_server_t          server;
    voice_token_keys_t   keys;
    vc_loop_t           *loop;
    bench_member_t      *members;
    struct sockaddr_in  *addr;         /* of their sockets */
    uint32_t             n;
    uint32_t             hearing;      /* members of loud rooms, the first */
    uint32_t             joined;
    uint32_t             failed;
    uint32_t             run;          /* random, in each stamp */
    uint32_t             next;         /* to be drained */
    uint64_t             drained;      /* when the round began */
    struct sockaddr_in   relay;
    int                  floor;        /* its socket, */
    struct sockaddr_in   floor_addr;   /* and where that is */
    size_t               wire;         /* bytes of a datagram */
};


/* Everybody joins, over the websocket; false: somebody could not. */
bool bench_join(bench_t *b);
void bench_leave(bench_t *b);

/* All members talk to this address from now on. */
bool bench_connect(bench_t *b, const struct sockaddr_in *to);

/*
 * A packet every so often from each talker in turn: neighbours in time are of
 * different rooms, as far as there are several.
 */
uint64_t bench_packets(const bench_t *b, double seconds);
uint64_t bench_due(const bench_t *b, uint64_t k);
uint32_t bench_talker(const bench_t *b, uint64_t k);

/* One run through the relay; timed: with the latency of packets. */
bool bench_traffic(bench_t *b, double seconds, bool timed, bench_run_t *run);

/* Reads what members got, if it is time for it. */
void bench_drain(bench_t *b, uint64_t now, bench_run_t *run);

/* Until nothing comes any more. */
void bench_drain_all(bench_t *b, bench_run_t *run);

/* Adds (sign 1) or takes away (-1) what the worker used so far. */
bool bench_cpu(const bench_t *b, bench_run_t *run, int sign);

/* The same datagrams at the same times by a child that does nothing else. */
bool bench_floor(bench_t *b, double seconds, bench_run_t *run);

void bench_pin(int cpu);
void bench_sleep(uint64_t until);
uint64_t bench_realtime(void);


#endif /* _BENCH_RELAY_H_INCLUDED_ */
