/*
 * Copyright (C) ngx-voice contributors
 *
 * SIGINT and SIGTERM as events of a loop.
 */


#ifndef _VC_INTERRUPT_H_INCLUDED_
#define _VC_INTERRUPT_H_INCLUDED_


#include "loop.h"


typedef struct {
    vc_loop_t   *loop;
    vc_watch_t   watch;
    void       (*handler)(void *data);
    void        *data;
    unsigned     count;          /* signals so far */
} vc_interrupt_t;


/* Blocks the signals, so call it before threads are made.  False: errno */
bool vc_interrupt_start(vc_interrupt_t *in, vc_loop_t *loop,
    void (*handler)(void *data), void *data);
void vc_interrupt_stop(vc_interrupt_t *in);


#endif /* _VC_INTERRUPT_H_INCLUDED_ */
