/*
 * Copyright (C) ngx-voice contributors
 *
 * A websocket client (RFC 6455): the HTTP upgrade, then wslay's framing over
 * a link.  Pings are answered.  No extension is offered.
 */


#ifndef _VC_WEBSOCKET_H_INCLUDED_
#define _VC_WEBSOCKET_H_INCLUDED_


#include "link.h"

#include <wslay/wslay.h>


#define VC_WS_HTTP_MAX      4096

/* a guild of a hundred thousand members in one message */
#define VC_WS_MESSAGE_MAX   (64 * 1024 * 1024)


typedef struct {
    void  (*open)(void *data);     /* or NULL */

    /* may send and close, must not stop */
    void  (*text)(void *data, const char *text, size_t len);

    /*
     * The end: a close frame's code (1005 if it had none) and reason, or 0
     * and what went wrong with the connection.
     */
    void  (*closed)(void *data, int code, const char *reason);
} vc_ws_handlers_t;


typedef enum {
    VC_WS_DOWN = 0,
    VC_WS_CONNECTING,
    VC_WS_REQUEST,       /* the upgrade is being sent */
    VC_WS_RESPONSE,
    VC_WS_OPEN
} vc_ws_state_t;


typedef struct {
    vc_ws_state_t             state;
    bool                      pumping;      /* inside of wslay_event_recv() */
    vc_link_t                 link;
    wslay_event_context_ptr   wslay;
    const vc_ws_handlers_t   *handlers;
    void                     *data;

    char                      http[VC_WS_HTTP_MAX];
    size_t                    len;          /* bytes in http */
    size_t                    pos;          /* of them done */
    char                      accept[29];

    bool                      close_received;
    int                       close_code;
    char                      close_reason[124];
    char                      error[VC_ERROR_MAX];
} vc_ws_t;


/*
 * Connects and asks for server->path with the query added to it.  The
 * outcome comes by a handler, never from within this call.
 */
bool vc_ws_start(vc_ws_t *ws, vc_loop_t *loop, const vc_server_t *server,
    const char *query, const vc_ws_handlers_t *handlers, void *data);

/* False if the websocket is not open. */
bool vc_ws_send(vc_ws_t *ws, const char *text, size_t len);

/* Starts the closing handshake; closed() comes when the server answers. */
void vc_ws_close(vc_ws_t *ws, int code, const char *reason);

/* Drops it at once; no handler is called. */
void vc_ws_stop(vc_ws_t *ws);


#endif /* _VC_WEBSOCKET_H_INCLUDED_ */
