/*
 * Copyright (C) ngx-voice contributors
 *
 * What the system doesn't take yet: its queue for a socket is full
 * because a device is slower than we are.
 *
 * Such packets wait in a ring, in order, and all that comes while there are
 * any waits behind them; once a millisecond it is tried again.  When the ring
 * is full the oldest ones go, for they are those that a listener misses
 * least: their time to be played has come first.  The same holds for those
 * that waited for longer than a jitter buffer does.  Were the rest of a batch
 * dropped instead, it would be the same members of a room each time, those at
 * the end of its list, who hear nothing.
 */


#include "ngx_stream_voice.h"


#define NGX_VOICE_BACKLOG_RETRY   1      /* ms */
#define NGX_VOICE_BACKLOG_LATE    60     /* ms: then it is worth nothing */
#define NGX_VOICE_BACKLOG_TURNS   8      /* system calls in one go */
#define NGX_VOICE_BACKLOG_TURN    64     /* packets in one */


struct ngx_voice_waiting_s {
    uint64_t                   since;         /* ms */
    uint32_t                   receiver;
    uint16_t                   len;
    ngx_voice_sockaddr_t       name;
    voice_addr_t               local;
    u_char                     data[NGX_VOICE_BUFFER];
};


static void ngx_voice_backlog_handler(ngx_event_t *ev);
static void ngx_voice_backlog_drop(ngx_voice_socket_t *sock);


/* Memory that nothing ever waits in isn't touched, and so costs nothing. */

ngx_int_t
ngx_voice_backlog_init(ngx_cycle_t *cycle, ngx_voice_socket_t *sock)
{
    sock->waiting = ngx_pmemalign(cycle->pool, NGX_VOICE_BACKLOG
                                               * sizeof(ngx_voice_waiting_t),
                                  64);
    if (sock->waiting == NULL) {
        return NGX_ERROR;
    }

    sock->retry.handler = ngx_voice_backlog_handler;
    sock->retry.data = sock;
    sock->retry.log = cycle->log;
    sock->retry.cancelable = 1;

    return NGX_OK;
}


void
ngx_voice_backlog_add(ngx_voice_socket_t *sock, ngx_uint_t i)
{
    ngx_voice_queue_t    *q = sock->queue;
    ngx_voice_relay_t    *r = sock->relay;
    ngx_voice_waiting_t  *w;

    for ( /* void */ ; i < q->n; i++) {

        if (q->len[i] == 0) {
            continue;
        }

        if (ngx_voice_backlog_n(sock) == NGX_VOICE_BACKLOG) {
            ngx_voice_backlog_drop(sock);
        }

        w = &sock->waiting[sock->head++ % NGX_VOICE_BACKLOG];

        w->since = r->now;
        w->receiver = q->receiver[i];
        w->len = q->len[i];
        w->name = q->name[i];
        w->local = q->local[i];
        ngx_memcpy(w->data, q->buf[i], q->len[i]);
    }

    if (ngx_voice_backlog_n(sock) != 0 && !sock->retry.timer_set) {
        ngx_add_timer(&sock->retry, NGX_VOICE_BACKLOG_RETRY);
    }
}


static void
ngx_voice_backlog_drop(ngx_voice_socket_t *sock)
{
    sock->tail++;
    ngx_voice_count(sock->relay, SKIP_QUEUE);
}


static void
ngx_voice_backlog_late(ngx_voice_socket_t *sock)
{
    while (ngx_voice_backlog_n(sock) != 0
           && sock->waiting[sock->tail % NGX_VOICE_BACKLOG].since
              + NGX_VOICE_BACKLOG_LATE <= sock->relay->now)
    {
        ngx_voice_backlog_drop(sock);
    }
}


/* Copies the oldest ones into the queue; gives their number. */

static ngx_uint_t
ngx_voice_backlog_load(ngx_voice_socket_t *sock)
{
    ngx_int_t             i;
    ngx_uint_t            k, n;
    ngx_voice_waiting_t  *w;

    n = ngx_min(ngx_voice_backlog_n(sock), NGX_VOICE_BACKLOG_TURN);

    for (k = 0; k < n; k++) {
        w = &sock->waiting[(sock->tail + k) % NGX_VOICE_BACKLOG];

        i = ngx_voice_send_slots(sock, 1, w->receiver, &w->name, &w->local);

        ngx_memcpy(sock->queue->buf[i], w->data, w->len);
        sock->queue->len[i] = w->len;
    }

    return n;
}


static void
ngx_voice_backlog_handler(ngx_event_t *ev)
{
    ngx_int_t            rc;
    ngx_uint_t           n, left, turns;
    ngx_voice_socket_t  *sock = ev->data;
    ngx_voice_relay_t   *r = sock->relay;

    ngx_voice_time_update(r);

    rc = NGX_OK;

    for (turns = 0; turns < NGX_VOICE_BACKLOG_TURNS && rc == NGX_OK; turns++) {
        n = ngx_voice_backlog_load(sock);

        if (n == 0) {
            return;
        }

        rc = ngx_voice_send_queue(r, sock, &left);

        sock->tail += (rc == NGX_AGAIN) ? left : n;
        sock->queue->n = 0;
    }

    if (rc == NGX_AGAIN) {
        ngx_voice_backlog_late(sock);
    }

    if (ngx_voice_backlog_n(sock) != 0) {
        ngx_add_timer(ev, NGX_VOICE_BACKLOG_RETRY);
    }
}


void
ngx_voice_backlog_stop(ngx_voice_socket_t *sock)
{
    if (sock->retry.timer_set) {
        ngx_del_timer(&sock->retry);
    }

    while (ngx_voice_backlog_n(sock) != 0) {
        ngx_voice_backlog_drop(sock);
    }
}
