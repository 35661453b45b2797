/*
 * Copyright (C) ngx-voice contributors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>

#include "ngx_voice_watch.h"

#include "voice_zone.h"

#include <sys/epoll.h>
#include <sys/syscall.h>


#ifndef SYS_pidfd_open
#define SYS_pidfd_open           434
#endif

#define NGX_VOICE_WATCH_EVENTS   16


typedef struct {
    ngx_pid_t             pid;           /* 0: none */
    ngx_fd_t              fd;            /* of the process */
} ngx_voice_watched_t;


/*
 * The descriptors of all processes are in one epoll set of their own, which
 * as a whole takes one connection of the worker.
 */
typedef struct {
    ngx_fd_t              set;
    ngx_voice_watch_pt    handler;
    ngx_voice_watched_t   watched[VOICE_WORKERS_MAX];
} ngx_voice_watch_t;


static void ngx_voice_watch_handler(ngx_event_t *rev);
static void ngx_voice_watch_end(ngx_voice_watched_t *w);


static ngx_voice_watch_t  ngx_voice_watches;


ngx_int_t
ngx_voice_watch_init(ngx_cycle_t *cycle, ngx_voice_watch_pt handler)
{
    ngx_fd_t            set;
    ngx_connection_t   *c;
    ngx_voice_watch_t  *vw = &ngx_voice_watches;

    set = epoll_create1(EPOLL_CLOEXEC);

    if (set == -1) {
        ngx_log_error(NGX_LOG_ALERT, cycle->log, ngx_errno,
                      "voice epoll_create1() failed");
        return NGX_ERROR;
    }

    c = ngx_get_connection(set, cycle->log);

    if (c == NULL) {
        (void) close(set);
        return NGX_ERROR;
    }

    c->log = cycle->log;
    c->read->log = cycle->log;
    c->write->log = cycle->log;
    c->read->channel = 1;               /* no "open socket left" alert */
    c->read->handler = ngx_voice_watch_handler;

    if (ngx_add_event(c->read, NGX_READ_EVENT, 0) != NGX_OK) {
        ngx_close_connection(c);
        return NGX_ERROR;
    }

    vw->set = set;
    vw->handler = handler;

    return NGX_OK;
}


ngx_int_t
ngx_voice_watch(ngx_uint_t slot, ngx_pid_t pid, ngx_log_t *log)
{
    ngx_fd_t              fd;
    struct epoll_event    ee;
    ngx_voice_watch_t    *vw = &ngx_voice_watches;
    ngx_voice_watched_t  *w = &vw->watched[slot];

    if (w->pid == pid) {
        return NGX_OK;
    }

    ngx_voice_watch_end(w);

    fd = syscall(SYS_pidfd_open, pid, 0);

    if (fd == -1) {
        ngx_log_debug1(NGX_LOG_DEBUG_CORE, log, ngx_errno,
                       "voice pidfd_open(%P) failed", pid);
        return NGX_DECLINED;
    }

    ee.events = EPOLLIN;
    ee.data.u32 = slot;

    if (epoll_ctl(vw->set, EPOLL_CTL_ADD, fd, &ee) == -1) {
        ngx_log_error(NGX_LOG_ALERT, log, ngx_errno,
                      "voice epoll_ctl() of process %P failed", pid);
        (void) close(fd);
        return NGX_DECLINED;
    }

    w->pid = pid;
    w->fd = fd;

    return NGX_OK;
}


/* Closing the only descriptor takes it out of the set, too. */

static void
ngx_voice_watch_end(ngx_voice_watched_t *w)
{
    if (w->pid != 0) {
        (void) close(w->fd);
        w->pid = 0;
    }
}


static void
ngx_voice_watch_handler(ngx_event_t *rev)
{
    int                  i, n;
    ngx_voice_watch_t   *vw = &ngx_voice_watches;
    struct epoll_event   event[NGX_VOICE_WATCH_EVENTS];

    n = epoll_wait(vw->set, event, NGX_VOICE_WATCH_EVENTS, 0);

    for (i = 0; i < n; i++) {
        ngx_voice_watch_end(&vw->watched[event[i].data.u32]);
    }

    if (n > 0) {
        vw->handler(rev->log);
    }
}
