/*
 * Copyright (C) ngx-voice contributors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_voice_handshake.h"
#include "ngx_http_voice_websocket.h"


/* One socket must not hold up a worker's others, nor the media. */
#define NGX_HTTP_VOICE_WS_FRAMES        64
#define NGX_HTTP_VOICE_WS_BYTES         65536

/* How long to wait for the peer's Close after ours. */
#define NGX_HTTP_VOICE_WS_LINGER        5000

#define NGX_HTTP_VOICE_WS_OUT_MIN       1024
#define NGX_HTTP_VOICE_WS_HEADER_MAX    14


static ngx_http_voice_ws_t *ngx_http_voice_ws_get(ngx_http_request_t *r);
static void ngx_http_voice_ws_cleanup(void *data);
static void ngx_http_voice_ws_read_handler(ngx_event_t *rev);
static void ngx_http_voice_ws_write_handler(ngx_event_t *wev);


static ssize_t
ngx_http_voice_ws_recv(uint8_t *buf, size_t len, int flags, void *data)
{
    ssize_t               n;
    ngx_buf_t            *b;
    ngx_connection_t     *c;
    ngx_http_voice_ws_t  *ws = data;

    if (ws->read_bytes >= NGX_HTTP_VOICE_WS_BYTES) {
        ws->more = 1;
        return -1;
    }

    /* frames that came together with the request */

    b = ws->request->header_in;

    if (b->pos < b->last) {
        n = ngx_min((size_t) (b->last - b->pos), len);
        ngx_memcpy(buf, b->pos, n);
        b->pos += n;
        ws->read_bytes += n;

        return n;
    }

    c = ws->request->connection;
    n = c->recv(c, buf, len);

    if (n == NGX_AGAIN) {
        return -1;
    }

    if (n <= 0) {
        ws->eof = 1;
        return -1;
    }

    ws->read_bytes += n;

    return n;
}


/* The caller has made room. */

static ssize_t
ngx_http_voice_ws_append(const uint8_t *data, size_t len, int flags,
    void *user_data)
{
    ngx_http_voice_ws_t  *ws = user_data;

    ws->out_last = ngx_cpymem(ws->out_last, data, len);

    return len;
}


/* What went through may have been a key or a token. */

static void
ngx_http_voice_ws_free(u_char *buf, size_t used)
{
    if (buf != NULL) {
        ngx_explicit_memzero(buf, used);
        ngx_free(buf);
    }
}


static ngx_int_t
ngx_http_voice_ws_reserve(ngx_http_voice_ws_t *ws, size_t len)
{
    size_t   size, used;
    u_char  *p;

    if ((size_t) (ws->out_end - ws->out_last) >= len) {
        return NGX_OK;
    }

    used = ws->out_last - ws->out_pos;
    size = ngx_max(NGX_HTTP_VOICE_WS_OUT_MIN,
                   (size_t) (ws->out_end - ws->out));

    while (size - used < len) {
        size *= 2;
    }

    p = ngx_alloc(size, ws->request->connection->log);
    if (p == NULL) {
        return NGX_ERROR;
    }

    if (used != 0) {
        ngx_memcpy(p, ws->out_pos, used);
    }

    ngx_http_voice_ws_free(ws->out, ws->out_last - ws->out);

    ws->out = p;
    ws->out_pos = p;
    ws->out_last = p + used;
    ws->out_end = p + size;

    return NGX_OK;
}


static void
ngx_http_voice_ws_queue(ngx_http_voice_ws_t *ws, ngx_uint_t opcode,
    const void *data, size_t len)
{
    struct wslay_frame_iocb  iocb;

    if (ws->closing || ws->drop) {
        return;
    }

    if (ngx_http_voice_ws_reserve(ws, len + NGX_HTTP_VOICE_WS_HEADER_MAX)
        != NGX_OK)
    {
        ws->drop = 1;
        return;
    }

    ngx_memzero(&iocb, sizeof(struct wslay_frame_iocb));

    iocb.fin = 1;
    iocb.opcode = (uint8_t) opcode;
    iocb.payload_length = len;
    iocb.data = data;
    iocb.data_length = len;

    if (wslay_frame_send(ws->frame, &iocb) != (ssize_t) len) {
        ngx_log_error(NGX_LOG_ALERT, ws->request->connection->log, 0,
                      "websocket frame of %uz bytes was not made", len);
        ws->drop = 1;
    }
}


void
ngx_http_voice_ws_send(ngx_http_voice_ws_t *ws, const void *data, size_t len)
{
    ngx_http_voice_ws_queue(ws, WSLAY_TEXT_FRAME, data, len);
}


void
ngx_http_voice_ws_send_binary(ngx_http_voice_ws_t *ws, const void *data,
    size_t len)
{
    ngx_http_voice_ws_queue(ws, WSLAY_BINARY_FRAME, data, len);
}


ngx_uint_t
ngx_http_voice_ws_full(ngx_http_voice_ws_t *ws)
{
    ws->full = (ws->out_last - ws->out_pos >= NGX_HTTP_VOICE_WS_QUEUE_MAX);

    return ws->full;
}


void
ngx_http_voice_ws_timer(ngx_http_voice_ws_t *ws, ngx_msec_t timeout)
{
    if (!ws->closing && !ws->drop) {
        ngx_add_timer(ws->request->connection->read, timeout);
    }
}


/* code 0: a Close without a code */

static void
ngx_http_voice_ws_queue_close(ngx_http_voice_ws_t *ws, ngx_uint_t code,
    const char *reason)
{
    size_t  len;
    u_char  payload[NGX_HTTP_VOICE_WS_CONTROL_MAX];

    len = 0;

    if (code != 0) {
        payload[0] = (u_char) (code >> 8);
        payload[1] = (u_char) code;

        len = ngx_min(ngx_strlen(reason), sizeof(payload) - 2);
        ngx_memcpy(payload + 2, reason, len);
        len += 2;
    }

    ngx_http_voice_ws_queue(ws, WSLAY_CONNECTION_CLOSE, payload, len);

    if (!ws->closing && !ws->drop) {
        ngx_add_timer(ws->request->connection->read,
                      NGX_HTTP_VOICE_WS_LINGER);
        ws->closing = 1;
    }
}


static void
ngx_http_voice_ws_ended(ngx_http_voice_ws_t *ws, ngx_uint_t code,
    const char *reason)
{
    if (ws->code == 0) {
        ws->code = code;
        ws->reason = reason;
    }
}


void
ngx_http_voice_ws_close(ngx_http_voice_ws_t *ws, ngx_uint_t code,
    const char *reason)
{
    ngx_http_voice_ws_ended(ws, code, reason);
    ngx_http_voice_ws_queue_close(ws, code, reason);
}


void
ngx_http_voice_ws_drop(ngx_http_voice_ws_t *ws, const char *reason)
{
    ngx_http_voice_ws_ended(ws, NGX_HTTP_VOICE_WS_LOST, reason);
    ws->drop = 1;
}


/* An end that the handler doesn't know of yet. */

static void
ngx_http_voice_ws_gone(ngx_http_voice_ws_t *ws, ngx_uint_t code,
    const char *reason)
{
    if (ws->code == 0) {
        ngx_http_voice_ws_ended(ws, code, reason);
        ws->handler->closed(ws);
    }
}


static void
ngx_http_voice_ws_broken(ngx_http_voice_ws_t *ws, const char *reason)
{
    ngx_http_voice_ws_gone(ws, NGX_HTTP_VOICE_WS_PROTOCOL, reason);
    ngx_http_voice_ws_queue_close(ws, NGX_HTTP_VOICE_WS_PROTOCOL, reason);

    ws->broken = 1;
    ws->finish = 1;
}


static void
ngx_http_voice_ws_cleanup(void *data)
{
    ngx_http_voice_ws_t  *ws = data;

    ngx_http_voice_ws_gone(ws, NGX_HTTP_VOICE_WS_LOST, "request ended");

    ngx_http_voice_ws_free(ws->message, ws->message_len);
    ngx_http_voice_ws_free(ws->out, ws->out_last - ws->out);

    ws->message = NULL;
    ws->out = NULL;

    if (ws->frame != NULL) {
        wslay_frame_context_free(ws->frame);
        ws->frame = NULL;
    }
}


/* A connection's data is nginx's request; that leads to the websocket. */

static ngx_http_voice_ws_t *
ngx_http_voice_ws_get(ngx_http_request_t *r)
{
    ngx_http_cleanup_t  *cln;

    for (cln = r->main->cleanup; cln != NULL; cln = cln->next) {
        if (cln->handler == ngx_http_voice_ws_cleanup) {
            return cln->data;
        }
    }

    return NULL;
}


ngx_http_voice_ws_t *
ngx_http_voice_ws_open(ngx_http_request_t *r,
    const ngx_http_voice_ws_handler_t *handler, void *data,
    size_t max_message)
{
    ngx_connection_t              *c;
    ngx_http_cleanup_t            *cln;
    ngx_http_voice_ws_t           *ws;
    ngx_http_core_loc_conf_t      *clcf;
    struct wslay_frame_callbacks   callbacks;

    c = r->connection;

    ws = ngx_pcalloc(r->pool, sizeof(ngx_http_voice_ws_t));
    if (ws == NULL) {
        return NULL;
    }

    ws->request = r;
    ws->handler = handler;
    ws->data = data;
    ws->max_message = max_message;

    if (ngx_http_voice_handshake_answer(r) != NGX_OK) {
        return NULL;
    }

    cln = ngx_http_cleanup_add(r, 0);
    if (cln == NULL) {
        return NULL;
    }

    ngx_memzero(&callbacks, sizeof(struct wslay_frame_callbacks));
    callbacks.recv_callback = ngx_http_voice_ws_recv;
    callbacks.send_callback = ngx_http_voice_ws_append;

    if (wslay_frame_context_init(&ws->frame, &callbacks, ws) != 0) {
        return NULL;
    }

    cln->handler = ngx_http_voice_ws_cleanup;
    cln->data = ws;

    clcf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);

    if (clcf->tcp_nodelay && ngx_tcp_nodelay(c) != NGX_OK) {
        ngx_log_debug0(NGX_LOG_DEBUG_HTTP, c->log, 0,
                       "websocket without TCP_NODELAY");
    }

    r->main->count++;

    ws->read_handler = c->read->handler;
    ws->write_handler = c->write->handler;
    c->read->handler = ngx_http_voice_ws_read_handler;
    c->write->handler = ngx_http_voice_ws_write_handler;

    /* a worker that quits tells idle connections by c->close */
    c->idle = 1;
    c->log->action = "serving a websocket";

    ngx_post_event(c->read, &ngx_posted_events);

    return ws;
}


static void
ngx_http_voice_ws_finish(ngx_http_voice_ws_t *ws)
{
    ngx_int_t            rc;
    ngx_connection_t    *c;
    ngx_http_request_t  *r;

    r = ws->request;
    c = r->connection;

    ws->finished = 1;
    ngx_http_voice_ws_gone(ws, NGX_HTTP_VOICE_WS_LOST, "connection lost");

    c->read->handler = ws->read_handler;
    c->write->handler = ws->write_handler;
    c->idle = 0;

    if (c->read->posted) {
        ngx_delete_posted_event(c->read);
    }

    if (ws->eof || ws->drop) {
        rc = NGX_HTTP_CLIENT_CLOSED_REQUEST;

    } else {
        /* unread bytes would turn into a reset, which may overtake Close */
        r->lingering_close = ws->broken;
        rc = NGX_OK;
    }

    r->header_in->pos = r->header_in->last;

    ngx_http_finalize_request(r, rc);
    ngx_http_run_posted_requests(c);
}


static ngx_int_t
ngx_http_voice_ws_write(ngx_http_voice_ws_t *ws)
{
    ssize_t                    n;
    ngx_event_t               *wev;
    ngx_connection_t          *c;
    ngx_http_core_loc_conf_t  *clcf;

    c = ws->request->connection;
    wev = c->write;

    while (ws->out_pos < ws->out_last) {

        n = c->send(c, ws->out_pos, ws->out_last - ws->out_pos);

        if (n == NGX_ERROR) {
            return NGX_ERROR;
        }

        if (n == NGX_AGAIN || n == 0) {
            clcf = ngx_http_get_module_loc_conf(ws->request,
                                                ngx_http_core_module);
            if (!wev->timer_set) {
                ngx_add_timer(wev, clcf->send_timeout);
            }

            return ngx_handle_write_event(wev, clcf->send_lowat) == NGX_OK
                   ? NGX_AGAIN : NGX_ERROR;
        }

        ws->out_pos += n;

        if (wev->timer_set) {
            ngx_del_timer(wev);
        }
    }

    ngx_http_voice_ws_free(ws->out, ws->out_last - ws->out);

    ws->out = NULL;
    ws->out_pos = NULL;
    ws->out_last = NULL;
    ws->out_end = NULL;

    return NGX_OK;
}


/* After output has left: takes up what waited for that. */

static void
ngx_http_voice_ws_resume(ngx_http_voice_ws_t *ws)
{
    if (ws->out_last - ws->out_pos >= NGX_HTTP_VOICE_WS_QUEUE_MAX / 2) {
        return;
    }

    if (ws->paused) {
        ws->paused = 0;
        ws->more = 1;
    }

    if (ws->full) {
        ws->full = 0;

        if (!ws->closing) {
            ws->handler->drained(ws);
        }
    }
}


void
ngx_http_voice_ws_flush(ngx_http_voice_ws_t *ws)
{
    ngx_int_t     rc;
    ngx_event_t  *rev;

    if (ws->finished) {
        return;
    }

    do {
        rc = ws->drop ? NGX_ERROR : ngx_http_voice_ws_write(ws);

        if (rc == NGX_ERROR) {
            ws->drop = 1;
            ngx_http_voice_ws_finish(ws);
            return;
        }

        ngx_http_voice_ws_resume(ws);

    } while (rc == NGX_OK && (ws->out_pos < ws->out_last || ws->drop));

    if (rc == NGX_OK && ws->finish) {
        ngx_http_voice_ws_finish(ws);
        return;
    }

    if (ws->more) {
        ws->more = 0;
        rev = ws->request->connection->read;

        /* not in this round: other sockets' events come first */
        if (!rev->posted) {
            ngx_post_event(rev, &ngx_posted_next_events);
        }
    }
}


static void
ngx_http_voice_ws_write_handler(ngx_event_t *wev)
{
    ngx_connection_t     *c;
    ngx_http_voice_ws_t  *ws;

    c = wev->data;
    ws = ngx_http_voice_ws_get(c->data);

    if (ws == NULL) {
        return;
    }

    if (wev->timedout) {
        ngx_log_error(NGX_LOG_INFO, c->log, NGX_ETIMEDOUT,
                      "websocket client doesn't read");
        c->timedout = 1;
        ngx_http_voice_ws_gone(ws, NGX_HTTP_VOICE_WS_LOST, "send timed out");
        ws->drop = 1;
    }

    ngx_http_voice_ws_flush(ws);
}


static void
ngx_http_voice_ws_forget(ngx_http_voice_ws_t *ws)
{
    ngx_http_voice_ws_free(ws->message, ws->message_len);

    ws->message = NULL;
    ws->message_len = 0;
}


/* RFC 6455, 5.2, 5.4, 5.5 */

static const char *
ngx_http_voice_ws_fault(ngx_http_voice_ws_t *ws,
    const struct wslay_frame_iocb *iocb)
{
    if (iocb->rsv != 0) {
        return "no extension was negotiated";
    }

    if (!iocb->mask) {
        return "client frames are masked";
    }

    switch (iocb->opcode) {

    case WSLAY_CONTINUATION_FRAME:
        return ws->in_message ? NULL : "continuation of no message";

    case WSLAY_TEXT_FRAME:
    case WSLAY_BINARY_FRAME:
        return ws->in_message ? "message within a message" : NULL;

    case WSLAY_CONNECTION_CLOSE:
    case WSLAY_PING:
    case WSLAY_PONG:
        return NULL;

    default:
        return "reserved opcode";
    }
}


static ngx_int_t
ngx_http_voice_ws_frame_begin(ngx_http_voice_ws_t *ws,
    const struct wslay_frame_iocb *iocb)
{
    const char  *fault;

    fault = ngx_http_voice_ws_fault(ws, iocb);

    if (fault != NULL) {
        ngx_http_voice_ws_broken(ws, fault);
        return NGX_ERROR;
    }

    ws->in_frame = 1;
    ws->frame_got = 0;

    if (wslay_is_ctrl_frame(iocb->opcode)) {
        ws->control_len = 0;
        return NGX_OK;
    }

    if (!ws->in_message) {
        ws->in_message = 1;
        ws->skip = 0;
        ws->text = (iocb->opcode == WSLAY_TEXT_FRAME);
        ws->message_len = 0;
    }

    /* by what the header says: nothing of the rest need come */

    if (!ws->skip && iocb->payload_length > ws->max_message - ws->message_len)
    {
        ngx_http_voice_ws_forget(ws);
        ws->skip = 1;

        if (!ws->closing) {
            ws->handler->oversized(ws);
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_voice_ws_collect(ngx_http_voice_ws_t *ws, const uint8_t *data,
    size_t len)
{
    if (ws->message == NULL) {
        ws->message = ngx_alloc(ws->max_message, ws->request->connection->log);

        if (ws->message == NULL) {
            ngx_http_voice_ws_gone(ws, NGX_HTTP_VOICE_WS_LOST,
                                   "out of memory");
            ws->drop = 1;
            return NGX_ERROR;
        }
    }

    ngx_memcpy(ws->message + ws->message_len, data, len);
    ws->message_len += len;

    return NGX_OK;
}


static void
ngx_http_voice_ws_data(ngx_http_voice_ws_t *ws,
    const struct wslay_frame_iocb *iocb)
{
    size_t      len;
    u_char     *data;
    ngx_uint_t  last;

    last = (iocb->fin && ws->frame_got == iocb->payload_length);

    if (!ws->skip && !ws->closing) {

        if (last && ws->message_len == 0) {
            /* most come in one piece: from wslay's buffer */
            data = (u_char *) iocb->data;
            len = iocb->data_length;

        } else {
            if (ngx_http_voice_ws_collect(ws, iocb->data, iocb->data_length)
                != NGX_OK)
            {
                return;
            }

            data = ws->message;
            len = ws->message_len;
        }

        if (last) {
            ws->handler->message(ws, ws->text, data, len);
        }
    }

    if (last) {
        ws->in_message = 0;
        ngx_http_voice_ws_forget(ws);
    }
}


/* RFC 6455, 7.4: codes that may stand in a Close */

static ngx_uint_t
ngx_http_voice_ws_code_valid(ngx_uint_t code)
{
    if (code >= 3000) {
        return code < 5000;
    }

    return code >= 1000 && code <= 1014
           && (code < 1004 || code > NGX_HTTP_VOICE_WS_LOST);
}


static void
ngx_http_voice_ws_peer_close(ngx_http_voice_ws_t *ws)
{
    ngx_uint_t  code;

    code = 0;

    if (ws->control_len != 0) {
        if (ws->control_len >= 2) {
            code = (ws->control[0] << 8) | ws->control[1];
        }

        if (!ngx_http_voice_ws_code_valid(code)) {
            ngx_http_voice_ws_broken(ws, "Close with an invalid code");
            return;
        }
    }

    ngx_http_voice_ws_gone(ws, code != 0 ? code : NGX_HTTP_VOICE_WS_NO_STATUS,
                           "closed by the client");
    ngx_http_voice_ws_queue_close(ws, code, "");

    ws->finish = 1;
}


static void
ngx_http_voice_ws_control(ngx_http_voice_ws_t *ws,
    const struct wslay_frame_iocb *iocb)
{
    /* wslay has refused longer ones */
    ngx_memcpy(ws->control + ws->control_len, iocb->data, iocb->data_length);
    ws->control_len += iocb->data_length;

    if (ws->frame_got < iocb->payload_length) {
        return;
    }

    if (iocb->opcode == WSLAY_CONNECTION_CLOSE) {
        ngx_http_voice_ws_peer_close(ws);

    } else if (iocb->opcode == WSLAY_PING) {
        ngx_http_voice_ws_queue(ws, WSLAY_PONG, ws->control, ws->control_len);
    }
}


/* A part of a frame, or a whole one. */

static void
ngx_http_voice_ws_part(ngx_http_voice_ws_t *ws,
    const struct wslay_frame_iocb *iocb)
{
    if (!ws->in_frame && ngx_http_voice_ws_frame_begin(ws, iocb) != NGX_OK) {
        return;
    }

    ws->frame_got += iocb->data_length;

    if (ws->frame_got == iocb->payload_length) {
        ws->in_frame = 0;
    }

    if (wslay_is_ctrl_frame(iocb->opcode)) {
        ngx_http_voice_ws_control(ws, iocb);

    } else {
        ngx_http_voice_ws_data(ws, iocb);
    }
}


static void
ngx_http_voice_ws_read(ngx_http_voice_ws_t *ws)
{
    ssize_t                  n;
    struct wslay_frame_iocb  iocb;

    ws->read_bytes = 0;
    ws->read_frames = 0;

    while (!ws->drop && !ws->finish) {

        /* each message may have an answer: no reading, no more of them */
        if (ws->out_last - ws->out_pos >= NGX_HTTP_VOICE_WS_QUEUE_MAX) {
            ws->paused = 1;
            return;
        }

        if (ws->read_frames++ == NGX_HTTP_VOICE_WS_FRAMES) {
            ws->more = 1;
            return;
        }

        ngx_memzero(&iocb, sizeof(struct wslay_frame_iocb));

        n = wslay_frame_recv(ws->frame, &iocb);

        if (n == WSLAY_ERR_WANT_READ) {
            break;
        }

        if (n < 0) {
            ngx_http_voice_ws_broken(ws, "malformed frame");
            return;
        }

        ngx_http_voice_ws_part(ws, &iocb);
    }

    if (ws->eof && !ws->finish) {
        ngx_http_voice_ws_gone(ws, NGX_HTTP_VOICE_WS_LOST, "connection lost");
        ws->drop = 1;
    }
}


/* worker_shutdown_timeout is over: one try to say so */

static void
ngx_http_voice_ws_shutdown(ngx_http_voice_ws_t *ws)
{
    ngx_http_voice_ws_gone(ws, NGX_HTTP_VOICE_WS_GOING_AWAY,
                           "server is shutting down");
    ngx_http_voice_ws_queue_close(ws, NGX_HTTP_VOICE_WS_GOING_AWAY,
                                  "server is shutting down");

    if (!ws->drop) {
        (void) ngx_http_voice_ws_write(ws);
    }

    ws->drop = 1;
}


static void
ngx_http_voice_ws_read_handler(ngx_event_t *rev)
{
    ngx_connection_t     *c;
    ngx_http_voice_ws_t  *ws;

    c = rev->data;
    ws = ngx_http_voice_ws_get(c->data);

    if (ws == NULL) {
        return;
    }

    if (c->close) {
        c->close = 0;

        if (c->error) {
            ngx_http_voice_ws_shutdown(ws);

        } else if (ws->handler->quit != NULL && !ws->closing) {
            ws->handler->quit(ws);

        } else {
            /* the worker quits when its last websocket is gone */
            return;
        }

    } else if (rev->timedout) {
        rev->timedout = 0;

        if (ws->closing) {
            ws->drop = 1;

        } else {
            ws->handler->timeout(ws);
        }

    } else {
        ngx_http_voice_ws_read(ws);

        if (!ws->eof && ngx_handle_read_event(rev, 0) != NGX_OK) {
            ws->drop = 1;
        }
    }

    ngx_http_voice_ws_flush(ws);
}
