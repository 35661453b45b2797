/*
 * Copyright (C) ngx-voice contributors
 *
 * WebSocket server side (RFC 6455) on top of an HTTP/1.1 request.  Framing
 * by wslay; knows nothing of what the messages mean.
 *
 * Its frame interface is used rather than its event interface: that one
 * chooses close codes by itself, keeps a further 4 KiB for each socket and
 * reads on until the socket is empty.
 *
 * Memory of an idle websocket: what nginx holds for an open request, this
 * structure, and wslay's frame context (4.2 KiB, of which 4 KiB are its read
 * buffer); 13.7 KiB altogether were measured, without TLS and with nginx's
 * default buffers.  Buffers for messages that come in parts and for output
 * exist only as long as they hold something, and nothing of a message is ever
 * taken from the request's pool, which lives as long as the socket.
 */


#ifndef _NGX_HTTP_VOICE_WEBSOCKET_H_INCLUDED_
#define _NGX_HTTP_VOICE_WEBSOCKET_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include <wslay/wslay.h>


/* RFC 6455, 7.4.1 */
#define NGX_HTTP_VOICE_WS_NORMAL        1000
#define NGX_HTTP_VOICE_WS_GOING_AWAY    1001
#define NGX_HTTP_VOICE_WS_PROTOCOL      1002
#define NGX_HTTP_VOICE_WS_NO_STATUS     1005
#define NGX_HTTP_VOICE_WS_LOST          1006

/* 5.5: payload of a control frame */
#define NGX_HTTP_VOICE_WS_CONTROL_MAX   125

/* Output that waits for a slow reader: nothing new is wanted above. */
#define NGX_HTTP_VOICE_WS_QUEUE_MAX     65536


typedef struct ngx_http_voice_ws_s  ngx_http_voice_ws_t;


/*
 * All but `closed` may call ngx_http_voice_ws_send(), _close(), _drop() and
 * _timer(); none may call _flush() for the same websocket.
 */
typedef struct {
    /*
     * A whole message; data is good during the call only.  That a text is
     * UTF-8 is to be checked by whoever decodes it.
     */
    void     (*message)(ngx_http_voice_ws_t *ws, ngx_uint_t text,
                        u_char *data, size_t len);

    /* A message longer than max_message has begun; it is thrown away. */
    void     (*oversized)(ngx_http_voice_ws_t *ws);

    /* The time set by ngx_http_voice_ws_timer() is over. */
    void     (*timeout)(ngx_http_voice_ws_t *ws);

    /* There is room again after ngx_http_voice_ws_full() was true. */
    void     (*drained)(ngx_http_voice_ws_t *ws);

    /*
     * The websocket ended otherwise than by _close() or _drop(): by the
     * peer's Close, a protocol error, loss of the connection or the end of
     * the worker; ws->code and ws->reason say which.
     */
    void     (*closed)(ngx_http_voice_ws_t *ws);

    /* The worker quits, and waits for its websockets.  May be NULL. */
    void     (*quit)(ngx_http_voice_ws_t *ws);
} ngx_http_voice_ws_handler_t;


struct ngx_http_voice_ws_s {
    ngx_http_request_t                 *request;
    const ngx_http_voice_ws_handler_t  *handler;
    void                               *data;       /* the handler's */

    wslay_frame_context_ptr             frame;
    ngx_event_handler_pt                read_handler;
    ngx_event_handler_pt                write_handler;

    size_t                              max_message;
    u_char                             *message;    /* parts so far */
    size_t                              message_len;
    uint64_t                            frame_got;  /* of its payload */

    u_char                             *out;
    u_char                             *out_pos;
    u_char                             *out_last;
    u_char                             *out_end;

    /* what one read event has done so far */
    size_t                              read_bytes;
    ngx_uint_t                          read_frames;

    /* how it ended; 0: not yet */
    ngx_uint_t                          code;
    const char                         *reason;     /* static */

    u_char                              control_len;
    u_char                              control[NGX_HTTP_VOICE_WS_CONTROL_MAX];

    unsigned                            in_frame:1;
    unsigned                            in_message:1;
    unsigned                            text:1;
    unsigned                            skip:1;     /* rest of a message */
    unsigned                            full:1;     /* `drained` is due */
    unsigned                            paused:1;   /* reading, by output */
    unsigned                            more:1;     /* read event is due */
    unsigned                            eof:1;
    unsigned                            closing:1;  /* Close is queued */
    unsigned                            broken:1;   /* framing is lost */
    unsigned                            finish:1;   /* after the output */
    unsigned                            drop:1;     /* at once */
    unsigned                            finished:1;
};


/*
 * Answers a request that ngx_http_voice_handshake_check() found good.  The
 * caller returns NGX_DONE to nginx's phase engine, or on NULL NGX_ERROR;
 * frames are read from the next event on.
 */
ngx_http_voice_ws_t *ngx_http_voice_ws_open(ngx_http_request_t *r,
    const ngx_http_voice_ws_handler_t *handler, void *data,
    size_t max_message);

/* Queues a text message; silently nothing after a close. */
void ngx_http_voice_ws_send(ngx_http_voice_ws_t *ws, const void *data,
    size_t len);

/* The same as a binary message. */
void ngx_http_voice_ws_send_binary(ngx_http_voice_ws_t *ws, const void *data,
    size_t len);

/* Too much output waits; `drained` will be called. */
ngx_uint_t ngx_http_voice_ws_full(ngx_http_voice_ws_t *ws);

/* Queues Close and waits a little for the peer's; reason: static, <= 123. */
void ngx_http_voice_ws_close(ngx_http_voice_ws_t *ws, ngx_uint_t code,
    const char *reason);

/* Ends the connection without a Close. */
void ngx_http_voice_ws_drop(ngx_http_voice_ws_t *ws, const char *reason);

/* One time-out for each websocket; a new one replaces it. */
void ngx_http_voice_ws_timer(ngx_http_voice_ws_t *ws, ngx_msec_t timeout);

/* Writes what is queued.  The websocket may be gone afterwards. */
void ngx_http_voice_ws_flush(ngx_http_voice_ws_t *ws);


#endif /* _NGX_HTTP_VOICE_WEBSOCKET_H_INCLUDED_ */
