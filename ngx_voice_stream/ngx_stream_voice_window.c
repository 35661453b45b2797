/*
 * Copyright (C) ngx-voice contributors
 */


#include "ngx_stream_voice.h"


#define NGX_VOICE_WINDOW          1      /* ms between two reads */
#define NGX_VOICE_WINDOW_CHECK    100    /* ms */

/*
 * Where packets wake the worker one by one, that and the system calls cost
 * more than the packets.  Then the socket is read once a millisecond instead,
 * and one call serves what came meanwhile.  Below some rate it doesn't pay,
 * above another one batches are full without it.
 */
#define NGX_VOICE_WINDOW_READS    150    /* events in a check, to begin */
#define NGX_VOICE_WINDOW_SINGLE   4      /* datagrams an event, at most */
#define NGX_VOICE_WINDOW_FULL     32     /* datagrams a read, to end */
#define NGX_VOICE_WINDOW_IDLE     20     /* reads for nothing, to end */


static void
ngx_voice_window_reset(ngx_voice_socket_t *sock)
{
    sock->since = sock->relay->now;
    sock->reads = 0;
    sock->packets = 0;
    sock->idle = 0;
}


static void
ngx_voice_window_begin(ngx_voice_socket_t *sock)
{
    if (ngx_del_event(sock->connection->read, NGX_READ_EVENT, 0) != NGX_OK) {
        return;
    }

    sock->polling = 1;
    ngx_voice_window_reset(sock);
    ngx_add_timer(&sock->timer, NGX_VOICE_WINDOW);
}


static void
ngx_voice_window_end(ngx_voice_socket_t *sock)
{
    sock->polling = 0;
    ngx_voice_window_reset(sock);

    if (ngx_add_event(sock->connection->read, NGX_READ_EVENT, sock->event)
        != NGX_OK)
    {
        /* the clock goes on serving it */

        sock->polling = 1;
        ngx_add_timer(&sock->timer, NGX_VOICE_WINDOW);
    }
}


void
ngx_voice_window_stop(ngx_voice_socket_t *sock)
{
    if (sock->timer.timer_set) {
        ngx_del_timer(&sock->timer);
    }

    sock->polling = 0;
}


void
ngx_voice_window_update(ngx_voice_socket_t *sock, ngx_uint_t n)
{
    if (sock->window == NGX_VOICE_WINDOW_OFF || sock->polling) {
        return;
    }

    if (sock->window == NGX_VOICE_WINDOW_ON) {
        ngx_voice_window_begin(sock);
        return;
    }

    sock->reads++;
    sock->packets += n;

    if (sock->relay->now - sock->since < NGX_VOICE_WINDOW_CHECK) {
        return;
    }

    /* a pause may have made the check longer */

    if (sock->relay->now - sock->since < 2 * NGX_VOICE_WINDOW_CHECK
        && sock->reads >= NGX_VOICE_WINDOW_READS
        && sock->packets <= sock->reads * NGX_VOICE_WINDOW_SINGLE)
    {
        ngx_voice_window_begin(sock);
        return;
    }

    ngx_voice_window_reset(sock);
}


void
ngx_voice_window_handler(ngx_event_t *ev)
{
    ngx_uint_t           n;
    ngx_voice_socket_t  *sock = ev->data;

    n = ngx_voice_receive_read(sock);

    sock->reads++;
    sock->packets += n;
    sock->idle = (n == 0) ? sock->idle + 1 : 0;

    if (sock->idle == NGX_VOICE_WINDOW_IDLE) {
        ngx_voice_window_end(sock);
        return;
    }

    if (sock->reads == NGX_VOICE_WINDOW_CHECK) {

        if (sock->window == NGX_VOICE_WINDOW_AUTO
            && (sock->packets >= sock->reads * NGX_VOICE_WINDOW_FULL
                || sock->packets * 100 < sock->reads
                                         * NGX_VOICE_WINDOW_READS))
        {
            ngx_voice_window_end(sock);
            return;
        }

        ngx_voice_window_reset(sock);
    }

    ngx_add_timer(ev, NGX_VOICE_WINDOW);
}
