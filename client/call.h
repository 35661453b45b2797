/*
 * Copyright (C) ngx-voice contributors
 *
 * A call in progress: what is played, heard and recorded in it.
 */


#ifndef _VC_CALL_H_INCLUDED_
#define _VC_CALL_H_INCLUDED_


#include "audio_source.h"
#include "connection.h"
#include "interrupt.h"
#include "join.h"
#include "speakers.h"


#define VC_CALL_NAME      "call"


typedef struct {
    vc_connection_t    conn;
    const char        *gateway;     /* URL; NULL: conn.url is there */
    const char        *play;
    const char        *record;
    double             tone;
    bool               stamp;
    bool               no_stamp;
    bool               loop;
    bool               json;
    bool               verbose;
    uint32_t           frame;
    uint64_t           milliseconds;
} vc_call_options_t;


typedef struct {
    const vc_call_options_t  *options;
    vc_loop_t                *loop;
    vc_client_t              *client;      /* the voice session */
    vc_client_t               direct;      /* it, without a gateway */
    vc_join_t                 join;        /* or with one */
    uint64_t                  channel;     /* where we speak, and how */
    uint64_t                  servers;     /* that the speakers are of */
    voice_mode_t              mode;
    uint32_t                  ssrc;
    char                      token[VOICE_USER_TOKEN_MAX + 1];
    vc_speakers_t             speakers;
    vc_interrupt_t            interrupt;

    vc_source_t              *source;      /* NULL: stamps alone, or nothing */
    bool                      playing;
    unsigned                  silence;     /* frames still to send */
    uint32_t                  run;
    uint32_t                  seq;
    uint64_t                  next_at;     /* of the next frame */
    vc_timer_t                frame_timer;
    vc_timer_t                stop_timer;

    bool                      stopping;
    bool                      joined;
    bool                      ended;
    bool                      failed;
    uint64_t                  stopped_at;
} vc_call_t;


extern const vc_client_handlers_t  vc_call_handlers;


/* Handlers of the timers and of signals; data is the call. */
void vc_call_frame(void *data, uint64_t now);
void vc_call_stop(void *data, uint64_t now);
void vc_call_interrupt(void *data);


#endif /* _VC_CALL_H_INCLUDED_ */
