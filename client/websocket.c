/*
 * Copyright (C) ngx-voice contributors
 */


#include "websocket.h"

#include <openssl/evp.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>


/* RFC 6455 section 1.3 */
#define VC_WS_GUID   "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


static void vc_ws_handler(void *data);
static bool vc_ws_request(vc_ws_t *ws, const char *query);
static bool vc_ws_upgrade(vc_ws_t *ws);
static bool vc_ws_response(vc_ws_t *ws);
static const char *vc_ws_header(const char *head, const char *name,
    size_t *len);
static bool vc_ws_begin(vc_ws_t *ws);
static void vc_ws_pump(vc_ws_t *ws);
static void vc_ws_finish(vc_ws_t *ws, int code, const char *reason);

static ssize_t vc_ws_on_recv(wslay_event_context_ptr ctx, uint8_t *buf,
    size_t len, int flags, void *data);
static ssize_t vc_ws_on_send(wslay_event_context_ptr ctx,
    const uint8_t *buf, size_t len, int flags, void *data);
static int vc_ws_on_mask(wslay_event_context_ptr ctx, uint8_t *buf,
    size_t len, void *data);
static void vc_ws_on_message(wslay_event_context_ptr ctx,
    const struct wslay_event_on_msg_recv_arg *arg, void *data);


static const struct wslay_event_callbacks  vc_ws_callbacks = {
    vc_ws_on_recv,
    vc_ws_on_send,
    vc_ws_on_mask,
    NULL,
    NULL,
    NULL,
    vc_ws_on_message
};


bool
vc_ws_start(vc_ws_t *ws, vc_loop_t *loop, const vc_server_t *server,
    const char *query, const vc_ws_handlers_t *handlers, void *data)
{
    memset(ws, 0, sizeof(vc_ws_t));

    ws->handlers = handlers;
    ws->data = data;
    ws->state = VC_WS_CONNECTING;

    vc_link_start(&ws->link, loop, server, vc_ws_handler, ws);

    if (ws->link.state == VC_LINK_FAILED) {
        memcpy(ws->error, ws->link.error, sizeof(ws->error));
        ws->state = VC_WS_DOWN;
        return false;
    }

    if (!vc_ws_request(ws, query)) {
        snprintf(ws->error, sizeof(ws->error), "path \"%.150s\" is too long",
                 server->path);
        vc_ws_stop(ws);
        return false;
    }

    return true;
}


static bool
vc_ws_request(vc_ws_t *ws, const char *query)
{
    int                 n;
    char                key[25], text[80];
    bool                v6;
    uint8_t             nonce[16], digest[20];
    const char         *port;
    const vc_server_t  *server;

    server = ws->link.server;

    randombytes_buf(nonce, sizeof(nonce));
    EVP_EncodeBlock((unsigned char *) key, nonce, sizeof(nonce));

    n = snprintf(text, sizeof(text), "%s" VC_WS_GUID, key);
    EVP_Digest(text, (size_t) n, digest, NULL, EVP_sha1(), NULL);
    EVP_EncodeBlock((unsigned char *) ws->accept, digest, sizeof(digest));

    v6 = strchr(server->host, ':') != NULL;
    port = strcmp(server->port, server->tls ? "443" : "80") == 0
           ? "" : server->port;

    n = snprintf(ws->http, sizeof(ws->http),
                 "GET %s?%s HTTP/1.1\r\n"
                 "Host: %s%s%s%s%s\r\n"
                 "Upgrade: websocket\r\n"
                 "Connection: Upgrade\r\n"
                 "Sec-WebSocket-Key: %s\r\n"
                 "Sec-WebSocket-Version: 13\r\n"
                 "User-Agent: voicectl\r\n\r\n",
                 server->path, query, v6 ? "[" : "", server->host,
                 v6 ? "]" : "", *port != '\0' ? ":" : "", port, key);

    ws->len = (size_t) n;
    return n > 0 && ws->len < sizeof(ws->http);
}


static void
vc_ws_handler(void *data)
{
    vc_ws_t  *ws = data;

    if (ws->state != VC_WS_OPEN && !vc_ws_upgrade(ws)) {
        return;
    }

    vc_ws_pump(ws);
}


/* True when the websocket has just opened. */
static bool
vc_ws_upgrade(vc_ws_t *ws)
{
    ssize_t  n;

    if (ws->state == VC_WS_CONNECTING) {
        switch (vc_link_step(&ws->link)) {

        case VC_LINK_OPEN:
            ws->state = VC_WS_REQUEST;
            break;

        case VC_LINK_FAILED:
            vc_ws_finish(ws, 0, ws->link.error);
            return false;

        default:
            return false;
        }
    }

    while (ws->state == VC_WS_REQUEST) {
        n = vc_link_write(&ws->link, ws->http + ws->pos, ws->len - ws->pos);

        if (n <= 0) {
            break;
        }

        ws->pos += (size_t) n;

        if (ws->pos == ws->len) {
            ws->state = VC_WS_RESPONSE;
            ws->len = 0;
            ws->pos = 0;
        }
    }

    if (ws->link.state == VC_LINK_FAILED) {
        vc_ws_finish(ws, 0, ws->link.error);
        return false;
    }

    return ws->state == VC_WS_RESPONSE && vc_ws_response(ws);
}


static bool
vc_ws_response(vc_ws_t *ws)
{
    char        *end;
    size_t       len;
    ssize_t      n;
    const char  *value;

    for ( ;; ) {
        n = vc_link_read(&ws->link, ws->http + ws->len,
                         sizeof(ws->http) - 1 - ws->len);
        if (n <= 0) {
            break;
        }

        ws->len += (size_t) n;
        ws->http[ws->len] = '\0';

        end = strstr(ws->http, "\r\n\r\n");

        if (end != NULL) {
            end[2] = '\0';
            ws->pos = (size_t) (end - ws->http) + 4;
            break;
        }

        if (ws->len == sizeof(ws->http) - 1) {
            vc_ws_finish(ws, 0, "the answer to the websocket upgrade has "
                                "more than 4095 bytes of headers");
            return false;
        }
    }

    if (ws->pos == 0) {
        if (n == -1) {
            vc_ws_finish(ws, 0, ws->link.error);
        }

        return false;
    }

    if (strncmp(ws->http, "HTTP/1.1 101", 12) != 0) {
        len = strcspn(ws->http, "\r\n");

        snprintf(ws->error, sizeof(ws->error), "the server answered \"%.*s\" "
                 "to the websocket upgrade, expected \"HTTP/1.1 101\"",
                 len < 100 ? (int) len : 100, ws->http);
        vc_ws_finish(ws, 0, ws->error);
        return false;
    }

    value = vc_ws_header(ws->http, "Sec-WebSocket-Accept", &len);

    if (value == NULL || len != strlen(ws->accept)
        || memcmp(value, ws->accept, len) != 0)
    {
        vc_ws_finish(ws, 0, "the server's Sec-WebSocket-Accept does not "
                            "match our key: not a websocket server");
        return false;
    }

    return vc_ws_begin(ws);
}


static const char *
vc_ws_header(const char *head, const char *name, size_t *len)
{
    size_t       n;
    const char  *line, *value;

    n = strlen(name);

    for (line = strstr(head, "\r\n"); line != NULL;
         line = strstr(line, "\r\n"))
    {
        line += 2;

        if (strncasecmp(line, name, n) == 0 && line[n] == ':') {
            value = line + n + 1;
            value += strspn(value, " \t");
            *len = strcspn(value, " \t\r");
            return value;
        }
    }

    return NULL;
}


static bool
vc_ws_begin(vc_ws_t *ws)
{
    if (wslay_event_context_client_init(&ws->wslay, &vc_ws_callbacks, ws)
        != 0)
    {
        ws->wslay = NULL;
        vc_ws_finish(ws, 0, "out of memory");
        return false;
    }

    wslay_event_config_set_max_recv_msg_length(ws->wslay, VC_WS_MESSAGE_MAX);

    ws->state = VC_WS_OPEN;

    if (ws->handlers->open != NULL) {
        ws->handlers->open(ws->data);
    }

    return ws->state == VC_WS_OPEN;
}


bool
vc_ws_send(vc_ws_t *ws, const char *text, size_t len)
{
    struct wslay_event_msg  msg;

    if (ws->state != VC_WS_OPEN) {
        return false;
    }

    msg.opcode = WSLAY_TEXT_FRAME;
    msg.msg = (const uint8_t *) text;
    msg.msg_length = len;

    if (wslay_event_queue_msg(ws->wslay, &msg) != 0) {
        return false;
    }

    /* a broken connection is reported by its event */
    if (!ws->pumping) {
        wslay_event_send(ws->wslay);
    }

    return true;
}


void
vc_ws_close(vc_ws_t *ws, int code, const char *reason)
{
    if (ws->state != VC_WS_OPEN) {
        return;
    }

    wslay_event_queue_close(ws->wslay, (uint16_t) code,
                            (const uint8_t *) reason, strlen(reason));
    if (!ws->pumping) {
        wslay_event_send(ws->wslay);
    }
}


void
vc_ws_stop(vc_ws_t *ws)
{
    if (ws->wslay != NULL) {
        wslay_event_context_free(ws->wslay);
        ws->wslay = NULL;
    }

    if (ws->state != VC_WS_DOWN) {
        vc_link_stop(&ws->link);
        ws->state = VC_WS_DOWN;
    }
}


static void
vc_ws_pump(vc_ws_t *ws)
{
    int  rc;

    ws->pumping = true;
    rc = wslay_event_recv(ws->wslay);
    ws->pumping = false;

    if (rc == 0) {
        rc = wslay_event_send(ws->wslay);
    }

    if (ws->close_received) {
        vc_ws_finish(ws, ws->close_code, ws->close_reason);

    } else if (ws->link.state == VC_LINK_FAILED) {
        vc_ws_finish(ws, 0, ws->link.error);

    } else if (rc != 0 || !wslay_event_get_read_enabled(ws->wslay)) {
        vc_ws_finish(ws, 0, "the server broke the websocket protocol");
    }
}


static void
vc_ws_finish(vc_ws_t *ws, int code, const char *reason)
{
    char  text[VC_ERROR_MAX];

    /* the handler may start this websocket again */
    snprintf(text, sizeof(text), "%s", reason);
    vc_ws_stop(ws);
    ws->handlers->closed(ws->data, code, text);
}


static ssize_t
vc_ws_on_recv(wslay_event_context_ptr ctx, uint8_t *buf, size_t len,
    int flags, void *data)
{
    size_t    left;
    ssize_t   n;
    vc_ws_t  *ws = data;

    (void) flags;

    left = ws->len - ws->pos;

    if (left != 0) {
        left = left < len ? left : len;
        memcpy(buf, ws->http + ws->pos, left);
        ws->pos += left;
        return (ssize_t) left;
    }

    n = vc_link_read(&ws->link, buf, len);

    if (n <= 0) {
        wslay_event_set_error(ctx, n == 0 ? WSLAY_ERR_WOULDBLOCK
                                          : WSLAY_ERR_CALLBACK_FAILURE);
        return -1;
    }

    return n;
}


static ssize_t
vc_ws_on_send(wslay_event_context_ptr ctx, const uint8_t *buf, size_t len,
    int flags, void *data)
{
    ssize_t   n;
    vc_ws_t  *ws = data;

    (void) flags;

    n = vc_link_write(&ws->link, buf, len);

    if (n <= 0) {
        wslay_event_set_error(ctx, n == 0 ? WSLAY_ERR_WOULDBLOCK
                                          : WSLAY_ERR_CALLBACK_FAILURE);
        return -1;
    }

    return n;
}


static int
vc_ws_on_mask(wslay_event_context_ptr ctx, uint8_t *buf, size_t len,
    void *data)
{
    (void) ctx;
    (void) data;

    randombytes_buf(buf, len);
    return 0;
}


static void
vc_ws_on_message(wslay_event_context_ptr ctx,
    const struct wslay_event_on_msg_recv_arg *arg, void *data)
{
    vc_ws_t  *ws = data;

    (void) ctx;

    if (arg->opcode == WSLAY_CONNECTION_CLOSE) {
        ws->close_received = true;
        ws->close_code = arg->status_code != 0 ? arg->status_code
                                               : WSLAY_CODE_NO_STATUS_RCVD;

        /* the payload begins with the code, RFC 6455 section 5.5.1 */
        if (arg->msg_length > 2) {
            snprintf(ws->close_reason, sizeof(ws->close_reason), "%.*s",
                     (int) arg->msg_length - 2,
                     (const char *) arg->msg + 2);
        }

        return;
    }

    if (arg->opcode == WSLAY_TEXT_FRAME) {
        ws->handlers->text(ws->data, (const char *) arg->msg,
                           arg->msg_length);
    }
}
