/*
 * Copyright (C) ngx-voice contributors
 */


#define _GNU_SOURCE

#include "interrupt.h"

#include <pthread.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>


static void vc_interrupt_event(void *data);


bool
vc_interrupt_start(vc_interrupt_t *in, vc_loop_t *loop,
    void (*handler)(void *data), void *data)
{
    sigset_t  set;

    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &set, NULL);

    in->loop = loop;
    in->handler = handler;
    in->data = data;
    in->count = 0;
    in->watch.handler = vc_interrupt_event;
    in->watch.data = in;
    in->watch.fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);

    return in->watch.fd != -1 && vc_watch_add(loop, &in->watch);
}


static void
vc_interrupt_event(void *data)
{
    vc_interrupt_t           *in = data;
    struct signalfd_siginfo   info;

    while (read(in->watch.fd, &info, sizeof(info)) == sizeof(info)) {
        in->count++;
        in->handler(in->data);
    }
}


void
vc_interrupt_stop(vc_interrupt_t *in)
{
    if (in->watch.fd != -1) {
        vc_watch_del(in->loop, &in->watch);
        close(in->watch.fd);
        in->watch.fd = -1;
    }
}
