/*
 * Copyright (C) ngx-voice contributors
 *
 * Many gateway clients in one loop, and a thread that changes voice states by
 * REST meanwhile.
 */


#ifndef _VC_CROWD_H_INCLUDED_
#define _VC_CROWD_H_INCLUDED_


#include "connection.h"
#include "gateway.h"
#include "histogram.h"
#include "interrupt.h"

#include <pthread.h>
#include <stdatomic.h>


#define VC_CROWD_NAME   "crowd"


typedef struct {
    vc_connection_t   conn;            /* url: gateway; guild, channel, user:
                                          of the first */
    const char       *api;
    const char       *platform_key;
    uint32_t          clients;
    uint32_t          guilds;
    uint32_t          ramp;            /* connections a second */
    uint32_t          joins;           /* a second; 0: none */
    uint32_t          changes;         /* a second; 0: none */
    uint64_t          milliseconds;
    bool              json;
    bool              verbose;
} vc_crowd_options_t;


typedef enum {
    VC_CROWD_CONNECT = 0,
    VC_CROWD_JOIN,
    VC_CROWD_CHANGE,                   /* or be idle */
    VC_CROWD_LEAVE
} vc_crowd_phase_t;


typedef struct vc_crowd_s  vc_crowd_t;


typedef struct {
    vc_gateway_t   gateway;
    vc_crowd_t    *crowd;
    char          *token;
    uint32_t       index;
    bool           connected;          /* has its guild */
    bool           answered;           /* its wish to join */
    bool           over;
    uint64_t       asked_at;
} vc_fan_t;


/* The voice state of a guild's first client, as it is being changed. */
typedef struct {
    _Atomic uint64_t   changed_at;     /* the request began */
    _Atomic uint32_t   seen;           /* by so many since */
    _Atomic bool       mute;           /* that was asked for */
    uint32_t           clients;
} vc_crowd_guild_t;


struct vc_crowd_s {
    const vc_crowd_options_t  *options;
    vc_loop_t                 *loop;
    vc_interrupt_t             interrupt;
    vc_server_t                server;
    bool                       opened;
    voice_token_keys_t         keys;

    vc_fan_t                  *fans;
    vc_crowd_guild_t          *guilds;
    vc_crowd_phase_t           phase;
    vc_timer_t                 timer;  /* the next one to connect or to ask */
    vc_timer_t                 end;    /* of what is still awaited */
    uint64_t                   begin;  /* of the phase */
    uint32_t                   started;
    uint32_t                   over;
    bool                       interrupted;

    char                       jwt[VOICE_TOKEN_MAX + 1];   /* platform's */
    pthread_t                  thread;
    bool                       running;
    _Atomic bool               stop;
    _Atomic bool               changed;    /* the thread has ended */

    uint32_t                   connected;
    uint32_t                   failed;
    uint32_t                   asked;
    uint32_t                   answered;
    uint64_t                   told;
    uint64_t                   told_expected;
    uint32_t                   changes;
    uint32_t                   refused;
    uint64_t                   seen;
    uint64_t                   seen_expected;
    uint64_t                   wrong;
    vc_histogram_t             join;
    vc_histogram_t             change;
};


/* options are set, all else is zeroed.  False after a complaint. */
bool vc_crowd_run(vc_crowd_t *crowd);
void vc_crowd_free(vc_crowd_t *crowd);

/* Gateway connections that were lost and resumed. */
uint64_t vc_crowd_resumes(const vc_crowd_t *crowd);


/* crowd_change.c: the thread that sends requests, data is the crowd */
void *vc_crowd_change(void *data);


#endif /* _VC_CROWD_H_INCLUDED_ */
