/*
 * Copyright (C) ngx-voice contributors
 *
 * Many sessions in a few threads, every packet of theirs accounted for.
 *
 * A room belongs to one thread with all of its participants, so a packet is
 * sent and received by the same thread and nothing is shared but the phase.
 */


#ifndef _VC_LOAD_H_INCLUDED_
#define _VC_LOAD_H_INCLUDED_


#include "connection.h"
#include "histogram.h"
#include "stream.h"

#include <pthread.h>
#include <stdatomic.h>


#define VC_LOAD_NAME      "load"

#define VC_LOAD_MODES     VOICE_MODE_COUNT


typedef struct {
    vc_connection_t   conn;           /* channel, user: of the first */
    uint32_t          rooms;
    uint32_t          participants;   /* of each room */
    uint32_t          talkers;
    uint32_t          pps;
    uint32_t          frame;          /* payload bytes */
    uint32_t          threads;
    uint32_t          ramp;           /* joins a second */
    int               mode;
    uint64_t          milliseconds;
    double            allow_loss;     /* percent */
    bool              nonces;         /* look for any used twice */
    bool              json;
    bool              verbose;
} vc_load_options_t;


typedef enum {
    VC_LOAD_JOIN = 0,
    VC_LOAD_TALK,
    VC_LOAD_STOP,                     /* listen to what is still coming */
    VC_LOAD_LEAVE
} vc_load_phase_t;


typedef struct {
    const vc_load_options_t  *options;
    const vc_server_t        *server;
    voice_token_keys_t        keys;
    uint32_t                  run;
    uint64_t                  begin;        /* of joining */
    uint64_t                  start_at;     /* of talking, set before TALK */

    _Atomic int               phase;        /* vc_load_phase_t */
    _Atomic uint32_t          joined;
    _Atomic uint32_t          failed;       /* never joined */
    _Atomic uint32_t          dropped;      /* ended after they had joined */
    _Atomic uint32_t          talked;       /* threads that sent all */
    _Atomic uint64_t          last_packet;  /* received, ns */
    _Atomic uint32_t          complaints;
} vc_load_t;


typedef struct vc_worker_s  vc_worker_t;


typedef struct {
    vc_client_t     client;
    vc_worker_t    *worker;
    uint32_t        index;              /* room * participants + place */
    bool            live;               /* joined, and not dropped since */
    bool            joined;             /* at the start of talking */
    bool            over;
    vc_stream_t    *streams;            /* one for each talker of the room */
    uint64_t       *heard;              /* when each of them was, ns */
    uint64_t        gap;                /* longest one in a stream, ns */
    vc_nonces_t     nonces;
    uint32_t        seq;
    uint64_t        sent;
    uint64_t        foreign;            /* packets of nobody in this room */
} vc_member_t;


struct vc_worker_s {
    vc_load_t        *load;
    uint32_t          number;
    pthread_t         thread;
    bool              running;          /* the thread was made */
    vc_loop_t        *loop;

    vc_member_t      *members;
    size_t            n;
    size_t            started;
    size_t            over;
    vc_timer_t        join_timer;

    vc_member_t     **talkers;
    uint64_t         *offsets;          /* of each talker in an interval */
    size_t            ntalkers;
    size_t            next;             /* talker */
    uint64_t          cycle;            /* interval */
    uint64_t          cycles;
    uint64_t          behind;           /* longest delay of a packet, ns */
    uint64_t          finished_at;
    vc_timer_t        pace_timer;

    vc_load_phase_t   phase;
    vc_histogram_t    latency[VC_LOAD_MODES];
};


/* The rooms number, number + threads, ...; false if there is no memory. */
bool vc_worker_init(vc_worker_t *w, vc_load_t *load, uint32_t number);
void vc_worker_free(vc_worker_t *w);

/* The thread; data is the worker.  Ends when all have left. */
void *vc_worker_run(void *data);


/* What came of all participants, or of those of one mode. */
typedef struct {
    uint64_t         participants;
    uint64_t         sent;
    uint64_t         unsent;
    uint64_t         expected;
    uint64_t         received;
    uint64_t         duplicated;
    uint64_t         reordered;
    uint64_t         undecryptable;
    uint64_t         foreign;
    uint64_t         reconnects;
    uint64_t         handshake_bytes;
    uint64_t         gap;               /* the longest one, ns */
    uint64_t         nonces;            /* seen */
    uint64_t         nonces_reused;
    bool             nonces_failed;
    vc_histogram_t   latency;
} vc_load_sum_t;


/* sum[VC_LOAD_MODES] is that of all modes together */
void vc_load_sums(const vc_load_t *load, const vc_worker_t *workers,
    vc_load_sum_t sum[VC_LOAD_MODES + 1]);


#endif /* _VC_LOAD_H_INCLUDED_ */
