/*
 * Copyright (C) ngx-voice contributors
 *
 * protocol: "Main gateway" sections 4, 5, 6 and 11.
 */


#include "gateway.h"

#include "close_code.h"

#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>


#define VC_GATEWAY_QUERY       "v=10&encoding=json"

#define VC_GATEWAY_TIMEOUT     (20 * VC_SEC)
#define VC_GATEWAY_PATIENCE    (60 * VC_SEC)
#define VC_GATEWAY_DELAY_MIN   (50 * VC_MS)
#define VC_GATEWAY_DELAY_MAX   (5 * VC_SEC)
#define VC_GATEWAY_LEAVE       VC_SEC

/* Between two Identifies of a user, "Main gateway", section 12.1. */
#define VC_GATEWAY_IDENTIFY    (5 * VC_SEC)


static void vc_gateway_timer(void *data, uint64_t now);
static void vc_gateway_arm(vc_gateway_t *g);
static void vc_gateway_connect(vc_gateway_t *g, uint64_t now);
static void vc_gateway_text(void *data, const char *text, size_t len);
static void vc_gateway_message(vc_gateway_t *g,
    const voice_gateway_got_t *got);
static void vc_gateway_hello(vc_gateway_t *g, uint32_t interval);
static void vc_gateway_dispatch(vc_gateway_t *g,
    const voice_gateway_got_t *got);
static void vc_gateway_ready(vc_gateway_t *g,
    const voice_gateway_got_ready_t *ready);
static void vc_gateway_beat(vc_gateway_t *g, uint64_t now);
static void vc_gateway_authenticate(vc_gateway_t *g);
static void vc_gateway_closed(void *data, int code, const char *reason);
static void vc_gateway_lost(vc_gateway_t *g, const char *why);
static void vc_gateway_send(vc_gateway_t *g, const voice_buf_t *b);
static void vc_gateway_fail(vc_gateway_t *g, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
static void vc_gateway_note(vc_gateway_t *g, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));


static const vc_ws_handlers_t  vc_gateway_ws_handlers = {
    .text = vc_gateway_text,
    .closed = vc_gateway_closed
};


void
vc_gateway_start(vc_gateway_t *g, vc_loop_t *loop,
    const vc_gateway_conf_t *conf, const vc_gateway_handlers_t *handlers,
    void *data)
{
    g->conf = *conf;
    g->loop = loop;
    g->handlers = handlers;
    g->data = data;
    g->timer.handler = vc_gateway_timer;
    g->timer.data = g;

    vc_gateway_connect(g, vc_now());
    vc_gateway_arm(g);
}


static void
vc_gateway_connect(vc_gateway_t *g, uint64_t now)
{
    const vc_server_t  *server;

    server = g->resuming && g->elsewhere ? &g->other : g->conf.server;

    g->state = VC_GATEWAY_CONNECTING;
    g->answer_at = now + VC_GATEWAY_TIMEOUT;
    g->beat_at = 0;
    g->identify_at = 0;
    g->unacked = false;

    if (!vc_ws_start(&g->ws, g->loop, server, VC_GATEWAY_QUERY,
                     &vc_gateway_ws_handlers, g))
    {
        vc_gateway_closed(g, 0, g->ws.error);
    }
}


/* The one timer stands at the earliest of the deadlines. */
static void
vc_gateway_arm(vc_gateway_t *g)
{
    size_t    i;
    uint64_t  at;

    const uint64_t  deadlines[] = {
        g->answer_at, g->beat_at, g->connect_at, g->identify_at, g->end_at
    };

    at = 0;

    for (i = 0; i < sizeof(deadlines) / sizeof(deadlines[0]); i++) {
        if (deadlines[i] != 0 && (at == 0 || deadlines[i] < at)) {
            at = deadlines[i];
        }
    }

    if (at != 0) {
        vc_timer_set(g->loop, &g->timer, at);

    } else {
        vc_timer_clear(g->loop, &g->timer);
    }
}


static void
vc_gateway_timer(void *data, uint64_t now)
{
    vc_gateway_t  *g = data;

    if (g->end_at != 0 && now >= g->end_at) {
        vc_gateway_free(g);
        g->state = VC_GATEWAY_ENDED;

        if (g->handlers->ended != NULL) {
            g->handlers->ended(g->data, g->failed ? g->error : NULL);
        }

        return;
    }

    if (g->connect_at != 0 && now >= g->connect_at) {
        g->connect_at = 0;
        vc_ws_stop(&g->ws);
        vc_gateway_connect(g, now);
    }

    if (g->identify_at != 0 && now >= g->identify_at) {
        g->identify_at = 0;
        vc_gateway_authenticate(g);
    }

    if (g->answer_at != 0 && now >= g->answer_at) {
        vc_ws_stop(&g->ws);
        vc_gateway_lost(g, "no answer within 20 s");
    }

    if (g->beat_at != 0 && now >= g->beat_at) {
        if (g->unacked) {
            vc_ws_stop(&g->ws);
            vc_gateway_lost(g, "a heartbeat was not answered");

        } else {
            vc_gateway_beat(g, now);
        }
    }

    vc_gateway_arm(g);
}


static void
vc_gateway_text(void *data, const char *text, size_t len)
{
    const char           *why;
    vc_gateway_t         *g = data;
    voice_gateway_got_t   got;

    if (g->state != VC_GATEWAY_CONNECTING && g->state != VC_GATEWAY_LIVE) {
        return;
    }

    why = "";

    if (voice_gateway_got_decode(text, len, &got, &why) != VOICE_OK) {
        vc_gateway_fail(g, "message of the gateway: %s", why);

    } else {
        vc_gateway_message(g, &got);
    }

    sodium_memzero(&got, sizeof(got));
    vc_gateway_arm(g);
}


static void
vc_gateway_message(vc_gateway_t *g, const voice_gateway_got_t *got)
{
    switch (got->op) {

    case VOICE_GATEWAY_OP_DISPATCH:
        vc_gateway_dispatch(g, got);
        break;

    case VOICE_GATEWAY_OP_HELLO:
        vc_gateway_hello(g, got->interval);
        break;

    case VOICE_GATEWAY_OP_HEARTBEAT:
        vc_gateway_beat(g, vc_now());
        break;

    case VOICE_GATEWAY_OP_HEARTBEAT_ACK:
        g->unacked = false;
        break;

    case VOICE_GATEWAY_OP_RECONNECT:
        vc_gateway_lost(g, "the gateway asks to reconnect");
        break;

    case VOICE_GATEWAY_OP_INVALID_SESSION:
        if (got->resumable) {
            vc_gateway_lost(g, "the gateway asks to resume later");
            break;
        }

        if (!g->resuming) {
            vc_gateway_note(g, "the user identifies too often: again in 5 s");
            g->identify_at = vc_now() + VC_GATEWAY_IDENTIFY;
            break;
        }

        vc_gateway_note(g, "the gateway has no such session any more");
        g->resuming = false;
        vc_gateway_authenticate(g);
        break;

    default:
        break;
    }
}


/* Clients that came together should not beat together: section 5. */
static void
vc_gateway_hello(vc_gateway_t *g, uint32_t interval)
{
    g->interval = interval * VC_MS;
    g->beat_at = vc_now() + (uint64_t) randombytes_uniform(interval) * VC_MS
                 + 1;

    vc_gateway_authenticate(g);
}


static void
vc_gateway_authenticate(vc_gateway_t *g)
{
    char         text[VOICE_USER_TOKEN_MAX + 512];
    voice_buf_t  b;

    voice_buf_fixed(&b, text, sizeof(text));

    if (g->resuming) {
        voice_gateway_ask_resume(&b, g->conf.token, g->session_id, g->seq);

    } else {
        voice_gateway_ask_identify(&b, g->conf.token, g->conf.intents);
    }

    vc_gateway_send(g, &b);
    sodium_memzero(text, sizeof(text));
}


static void
vc_gateway_beat(vc_gateway_t *g, uint64_t now)
{
    char         text[64];
    voice_buf_t  b;

    voice_buf_fixed(&b, text, sizeof(text));
    voice_gateway_ask_heartbeat(&b, g->seq);
    vc_gateway_send(g, &b);

    g->unacked = true;
    g->beat_at = now + g->interval;
}


static void
vc_gateway_send(vc_gateway_t *g, const voice_buf_t *b)
{
    if (voice_buf_done(b) != VOICE_OK) {
        vc_gateway_fail(g, "message to the gateway: %s",
                        voice_err_name(voice_buf_done(b)));
        return;
    }

    vc_ws_send(&g->ws, b->data, b->len);
}


static void
vc_gateway_dispatch(vc_gateway_t *g, const voice_gateway_got_t *got)
{
    switch (got->event) {

    case VOICE_DISPATCH_READY:
        vc_gateway_ready(g, &got->d.ready);
        break;

    case VOICE_DISPATCH_RESUMED:
        vc_gateway_note(g, "gateway resumed after %.1f ms",
                        (double) (vc_now() - g->lost_at) / 1e6);
        g->resumes++;
        break;

    default:
        break;
    }

    /* a resume replays dispatches under the numbers that they had */
    g->seq = got->seq;

    if (got->event == VOICE_DISPATCH_READY
        || got->event == VOICE_DISPATCH_RESUMED)
    {
        g->state = VC_GATEWAY_LIVE;
        g->answer_at = 0;
        g->attempts = 0;
        g->lost_at = 0;
    }

    if (got->event == VOICE_DISPATCH_READY) {
        if (g->handlers->ready != NULL) {
            g->handlers->ready(g->data, got);
        }

    } else if (g->handlers->event != NULL) {
        g->handlers->event(g->data, got);
    }
}


static void
vc_gateway_ready(vc_gateway_t *g, const voice_gateway_got_ready_t *ready)
{
    char         error[VC_ERROR_MAX];
    vc_server_t  other;

    g->user_id = ready->user_id;
    memcpy(g->session_id, ready->session_id, sizeof(g->session_id));
    g->resuming = true;
    g->identified = true;
    g->sessions++;

    if (g->elsewhere) {
        vc_server_close(&g->other);
        g->elsewhere = false;
    }

    if (ready->resume_url[0] == '\0') {
        return;
    }

    if (!vc_server_parse(&other, ready->resume_url, error)) {
        vc_gateway_note(g, "resume_gateway_url %s", error);
        return;
    }

    /* the one that we know has a resolved address and a TLS context */

    if (vc_server_same(&other, g->conf.server)) {
        return;
    }

    if (!vc_server_open(&other, g->conf.ca, g->conf.insecure, error)) {
        vc_gateway_note(g, "resume_gateway_url %s", error);
        vc_server_close(&other);
        return;
    }

    g->other = other;
    g->elsewhere = true;
}


static void
vc_gateway_closed(void *data, int code, const char *reason)
{
    char           text[VC_ERROR_MAX];
    vc_gateway_t  *g = data;

    if (g->state == VC_GATEWAY_LEAVING) {
        g->end_at = vc_now();
        vc_gateway_arm(g);
        return;
    }

    if (g->state == VC_GATEWAY_ENDED || g->state == VC_GATEWAY_WAITING) {
        return;
    }

    if (code == 0) {
        snprintf(text, sizeof(text), "gateway: %.240s", reason);

    } else {
        snprintf(text, sizeof(text), "the gateway closed the connection with "
                 "code %d%s%s%s%s", code, vc_gateway_close_name(code),
                 *reason != '\0' ? ": \"" : "", reason,
                 *reason != '\0' ? "\"" : "");
    }

    switch (code) {

    case VOICE_GATEWAY_CLOSE_AUTH_FAILED:
    case VOICE_GATEWAY_CLOSE_SHARD:
    case VOICE_GATEWAY_CLOSE_SHARDING:
    case VOICE_GATEWAY_CLOSE_VERSION:
    case VOICE_GATEWAY_CLOSE_INTENTS:
    case VOICE_GATEWAY_CLOSE_DISALLOWED_INTENTS:
        vc_gateway_fail(g, "%s", text);
        break;

    case VOICE_GATEWAY_CLOSE_SESSION_INVALID:
    case VOICE_GATEWAY_CLOSE_SEQ:
        g->resuming = false;

        /* fall through */

    default:
        if (g->identified) {
            vc_gateway_lost(g, text);

        } else {
            vc_gateway_fail(g, "%s", text);
        }
    }

    vc_gateway_arm(g);
}


/*
 * The connection is gone, or is to be dropped; that and the next try come by
 * the timer, as the websocket may be in the middle of its work here.
 */
static void
vc_gateway_lost(vc_gateway_t *g, const char *why)
{
    uint64_t  now, delay;

    now = vc_now();

    g->state = VC_GATEWAY_WAITING;
    g->answer_at = 0;
    g->beat_at = 0;
    g->identify_at = 0;

    if (g->lost_at == 0) {
        g->lost_at = now;
    }

    if (!g->identified || now - g->lost_at > VC_GATEWAY_PATIENCE) {
        vc_gateway_fail(g, "%s", why);
        return;
    }

    /* the first try comes at once, the others half at random */
    delay = 0;

    if (g->attempts != 0) {
        delay = g->attempts < 8 ? VC_GATEWAY_DELAY_MIN << (g->attempts - 1)
                                : VC_GATEWAY_DELAY_MAX;
        delay = delay / 2
                + randombytes_uniform((uint32_t) (delay / 2 / 1000)) * 1000;
    }

    g->attempts++;
    g->connect_at = now + delay + 1;

    vc_gateway_note(g, "%s; %s", why,
                    g->resuming ? "resuming" : "identifying again");
}


bool
vc_gateway_voice(vc_gateway_t *g, const voice_gateway_voice_state_t *vs)
{
    char         text[256];
    voice_buf_t  b;

    if (g->state != VC_GATEWAY_LIVE) {
        return false;
    }

    voice_buf_fixed(&b, text, sizeof(text));
    voice_gateway_ask_voice_state(&b, vs);
    vc_gateway_send(g, &b);

    return true;
}


void
vc_gateway_voice_ping(vc_gateway_t *g)
{
    char         text[64];
    voice_buf_t  b;

    if (g->state == VC_GATEWAY_LIVE) {
        voice_buf_fixed(&b, text, sizeof(text));
        voice_gateway_ask_voice_ping(&b);
        vc_gateway_send(g, &b);
    }
}


void
vc_gateway_cut(vc_gateway_t *g)
{
    if (g->state == VC_GATEWAY_LIVE) {
        vc_gateway_lost(g, "cut");
        vc_gateway_arm(g);
    }
}


/* Section 11: 1000 ends the session at once. */
void
vc_gateway_leave(vc_gateway_t *g)
{
    if (g->state >= VC_GATEWAY_LEAVING || g->state == VC_GATEWAY_NEW) {
        return;
    }

    g->state = VC_GATEWAY_LEAVING;
    g->answer_at = g->beat_at = g->connect_at = g->identify_at = 0;
    g->end_at = vc_now();

    if (g->ws.state == VC_WS_OPEN) {
        vc_ws_close(&g->ws, VOICE_GATEWAY_CLOSE_NORMAL, "");
        g->end_at += VC_GATEWAY_LEAVE;
    }

    vc_gateway_arm(g);
}


static void
vc_gateway_fail(vc_gateway_t *g, const char *fmt, ...)
{
    va_list  args;

    if (g->state >= VC_GATEWAY_LEAVING) {
        return;
    }

    va_start(args, fmt);
    vsnprintf(g->error, sizeof(g->error), fmt, args);
    va_end(args);

    g->failed = true;
    vc_gateway_leave(g);
    g->end_at = vc_now();
    vc_gateway_arm(g);
}


static void
vc_gateway_note(vc_gateway_t *g, const char *fmt, ...)
{
    char     text[VC_ERROR_MAX + 64];
    va_list  args;

    if (g->handlers->note == NULL) {
        return;
    }

    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);

    g->handlers->note(g->data, text);
}


void
vc_gateway_free(vc_gateway_t *g)
{
    if (g->state == VC_GATEWAY_NEW) {
        return;
    }

    vc_timer_clear(g->loop, &g->timer);
    vc_ws_stop(&g->ws);

    if (g->elsewhere) {
        vc_server_close(&g->other);
        g->elsewhere = false;
    }
}
