/*
 * Copyright (C) ngx-voice contributors
 *
 * The signalling side of a session: protocol "Voice gateway" sections 3-7.
 */


#include "voice_client.h"

#include "close_code.h"

#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>


#define VC_JOIN_TIMEOUT      (20 * VC_SEC)
#define VC_RESUME_TIMEOUT    (10 * VC_SEC)
#define VC_RESUME_PATIENCE   (60 * VC_SEC)
#define VC_RESUME_DELAY_MIN  (50 * VC_MS)
#define VC_RESUME_DELAY_MAX  (2 * VC_SEC)
#define VC_LEAVE_TIMEOUT     VC_SEC

/* so many heartbeats without an answer: the connection is dead */
#define VC_UNACKED_MAX       3

#define VC_DISCOVERIES_MAX   6


static void vc_client_timer(void *data, uint64_t now);
static void vc_client_connect(vc_client_t *c);
static void vc_client_open(void *data);
static void vc_client_text(void *data, const char *text, size_t len);
static void vc_client_message(vc_client_t *c, const voice_server_msg_t *msg);
static void vc_client_ready(vc_client_t *c, const voice_server_msg_t *msg);
static voice_mode_t vc_client_mode(const vc_client_t *c,
    const voice_server_msg_t *msg);
static void vc_client_described(vc_client_t *c,
    const voice_server_msg_t *msg);
static void vc_client_resumed(vc_client_t *c);
static void vc_client_closed(void *data, int code, const char *reason);
static void vc_client_lost(vc_client_t *c, const char *why);
static void vc_client_identify(vc_client_t *c);
static void vc_client_resume(vc_client_t *c);
static void vc_client_beat(vc_client_t *c, uint64_t now);
static void vc_client_write(vc_client_t *c, voice_err_t err, const char *text,
    size_t len);
static void vc_client_say_speaking(vc_client_t *c);


static const vc_ws_handlers_t  vc_client_ws_handlers = {
    vc_client_open,
    vc_client_text,
    vc_client_closed
};


void
vc_client_start(vc_client_t *c, vc_loop_t *loop, const vc_client_conf_t *conf,
    const vc_client_handlers_t *handlers, void *data)
{
    uint64_t  now;

    now = vc_now();

    c->conf = *conf;
    c->loop = loop;
    c->handlers = handlers;
    c->data = data;
    c->seq = -1;
    c->udp.fd = -1;
    c->timer.handler = vc_client_timer;
    c->timer.data = c;
    c->state = VC_CLIENT_IDENTIFYING;
    c->join_at = now + VC_JOIN_TIMEOUT;
    c->rtp_seq = (uint16_t) randombytes_random();
    c->rtp_ts = randombytes_random();

    vc_client_connect(c);
    vc_client_arm(c);
}


static void
vc_client_connect(vc_client_t *c)
{
    char  query[16];

    snprintf(query, sizeof(query), "v=%d", c->conf.version);

    c->linked = false;
    c->unacked = 0;
    c->beat_at = 0;

    if (!vc_ws_start(&c->ws, c->loop, c->conf.server, query,
                     &vc_client_ws_handlers, c))
    {
        vc_client_closed(c, 0, c->ws.error);
    }
}


/* The one timer of a session stands at the earliest of its deadlines. */
void
vc_client_arm(vc_client_t *c)
{
    size_t    i;
    uint64_t  at;

    const uint64_t  deadlines[] = {
        c->join_at, c->beat_at, c->resume_at, c->discovery_at,
        c->keepalive_at, c->end_at
    };

    at = 0;

    for (i = 0; i < sizeof(deadlines) / sizeof(deadlines[0]); i++) {
        if (deadlines[i] != 0 && (at == 0 || deadlines[i] < at)) {
            at = deadlines[i];
        }
    }

    if (at != 0) {
        vc_timer_set(c->loop, &c->timer, at);

    } else {
        vc_timer_clear(c->loop, &c->timer);
    }
}


static void
vc_client_timer(void *data, uint64_t now)
{
    vc_client_t  *c = data;

    if (c->end_at != 0 && now >= c->end_at) {
        c->state = VC_CLIENT_ENDED;
        vc_client_free(c);

        if (c->handlers->ended != NULL) {
            c->handlers->ended(c->data, c->failed ? c->error : NULL);
        }

        return;
    }

    if (c->resume_at != 0 && now >= c->resume_at) {
        c->resume_at = 0;
        c->join_at = now + VC_RESUME_TIMEOUT;
        vc_client_connect(c);
    }

    if (c->join_at != 0 && now >= c->join_at) {
        c->join_at = 0;

        if (c->ssrc == 0 || c->state < VC_CLIENT_LIVE) {
            vc_client_fail(c, "not joined within %d s (%s)",
                           (int) (VC_JOIN_TIMEOUT / VC_SEC),
                           c->ssrc != 0 ? "no Session Description"
                           : c->linked ? "no Ready" : "no connection");
        } else {
            vc_ws_stop(&c->ws);
            vc_client_lost(c, "no answer to Resume within 10 s");
        }
    }

    if (c->discovery_at != 0 && now >= c->discovery_at) {
        if (c->discoveries < VC_DISCOVERIES_MAX) {
            vc_client_discover(c, now);

        } else {
            vc_client_fail(c, "no answer to %d IP discovery packets: is UDP "
                           "to the voice server blocked?",
                           VC_DISCOVERIES_MAX);
        }
    }

    if (c->beat_at != 0 && now >= c->beat_at) {
        vc_client_beat(c, now);
    }

    if (c->keepalive_at != 0 && now >= c->keepalive_at) {
        vc_client_keepalive(c, now);
    }

    vc_client_arm(c);
}


static void
vc_client_open(void *data)
{
    vc_client_t  *c = data;

    if (c->ssrc != 0) {
        vc_client_resume(c);

    } else {
        vc_client_identify(c);
    }

    vc_client_arm(c);
}


static void
vc_client_identify(vc_client_t *c)
{
    char                 buf[VOICE_TOKEN_MAX + 1024];
    size_t               len;
    voice_err_t          err;
    voice_op_identify_t  id;

    memset(&id, 0, sizeof(id));
    id.guild_id = c->conf.guild_id;
    id.channel_id = c->conf.channel_id;
    id.user_id = c->conf.user_id;
    memcpy(id.session_id, c->conf.session_id, sizeof(id.session_id));
    memcpy(id.token, c->conf.token, sizeof(id.token));

    len = 0;
    err = voice_identify_encode(buf, sizeof(buf), c->conf.version, &id, &len);
    vc_client_write(c, err, buf, len);
}


static void
vc_client_resume(vc_client_t *c)
{
    char               buf[VOICE_TOKEN_MAX + 1024];
    size_t             len;
    voice_err_t        err;
    voice_op_resume_t  r;

    memset(&r, 0, sizeof(r));
    r.guild_id = c->conf.guild_id;
    r.channel_id = c->conf.channel_id;
    memcpy(r.session_id, c->conf.session_id, sizeof(r.session_id));
    memcpy(r.token, c->conf.token, sizeof(r.token));
    r.has_seq_ack = c->seq >= 0;
    r.seq_ack = c->seq;

    len = 0;
    err = voice_resume_encode(buf, sizeof(buf), c->conf.version, &r, &len);
    vc_client_write(c, err, buf, len);
}


void
vc_client_select(vc_client_t *c)
{
    char               buf[VOICE_ENCODE_MAX];
    size_t             len;
    voice_err_t        err;
    voice_op_select_t  sel;

    memset(&sel, 0, sizeof(sel));
    strcpy(sel.protocol, "udp");
    snprintf(sel.mode, sizeof(sel.mode), "%s", voice_mode_name(c->mode));
    memcpy(sel.address, c->address, sizeof(sel.address));
    sel.port = c->port;

    len = 0;
    err = voice_select_encode(buf, sizeof(buf), &sel, &len);
    vc_client_write(c, err, buf, len);
}


static void
vc_client_write(vc_client_t *c, voice_err_t err, const char *text, size_t len)
{
    if (err != VOICE_OK) {
        vc_client_fail(c, "message to the server: %s", voice_err_name(err));
        return;
    }

    if (c->state < VC_CLIENT_LIVE) {
        c->stats.handshake_bytes += len;
    }

    vc_ws_send(&c->ws, text, len);
}


static void
vc_client_beat(vc_client_t *c, uint64_t now)
{
    char         buf[VOICE_ENCODE_MAX];
    size_t       len;
    voice_err_t  err;

    if (c->unacked == VC_UNACKED_MAX) {
        vc_ws_stop(&c->ws);
        vc_client_lost(c, "3 heartbeats without an answer");
        return;
    }

    len = 0;
    err = voice_heartbeat_encode(buf, sizeof(buf), c->conf.version,
                                 now / VC_MS, c->seq, &len);
    vc_client_write(c, err, buf, len);

    c->unacked++;
    c->beat_sent = now;
    c->beat_at = now + c->interval;
}


static void
vc_client_text(void *data, const char *text, size_t len)
{
    const char          *why;
    vc_client_t         *c = data;
    voice_server_msg_t   msg;

    if (c->state >= VC_CLIENT_LEAVING) {
        return;
    }

    if (c->state < VC_CLIENT_LIVE) {
        c->stats.handshake_bytes += len;
    }

    why = "";

    if (voice_server_msg_decode(text, len, &msg, &why) != VOICE_OK) {
        vc_client_fail(c, "message of the server: %s", why);

    } else {
        if (msg.seq >= 0) {
            c->seq = msg.seq;
        }

        vc_client_message(c, &msg);
        sodium_memzero(msg.key, sizeof(msg.key));
    }

    vc_client_arm(c);
}


/* Sessions that came together should not beat together. */
static void
vc_client_hello(vc_client_t *c, const voice_server_msg_t *msg)
{
    uint32_t  ms;

    ms = msg->heartbeat_interval;
    ms = c->conf.beat != 0 && c->conf.beat < ms ? c->conf.beat : ms;

    c->interval = ms * VC_MS;
    c->beat_at = vc_now() + c->interval / 2
                 + randombytes_uniform(ms / 2 + 1) * VC_MS;
}


static void
vc_client_message(vc_client_t *c, const voice_server_msg_t *msg)
{
    switch (msg->op) {

    case VOICE_OP_HELLO:
        vc_client_hello(c, msg);
        break;

    case VOICE_OP_READY:
        vc_client_ready(c, msg);
        break;

    case VOICE_OP_SESSION_DESCRIPTION:
        vc_client_described(c, msg);
        break;

    case VOICE_OP_RESUMED:
        vc_client_resumed(c);
        break;

    case VOICE_OP_HEARTBEAT:
        /* an answer in version 1, a request since */
        if (c->conf.version > 1) {
            c->beat_at = vc_now();
            break;
        }

        /* fall through */

    case VOICE_OP_HEARTBEAT_ACK:
        c->unacked = 0;
        c->rtt = vc_now() - c->beat_sent;
        break;

    case VOICE_OP_SPEAKING:
        if (c->handlers->speaking != NULL) {
            c->handlers->speaking(c->data, msg->user_id, msg->ssrc,
                                  msg->speaking);
        }
        break;

    case VOICE_OP_CLIENT_DISCONNECT:
        if (c->handlers->left != NULL) {
            c->handlers->left(c->data, msg->user_id);
        }
        break;

    default:
        break;
    }
}


static void
vc_client_ready(vc_client_t *c, const voice_server_msg_t *msg)
{
    if (c->state != VC_CLIENT_IDENTIFYING) {
        return;
    }

    if (msg->modes == 0) {
        vc_client_fail(c, "Ready offers no encryption mode that is known");
        return;
    }

    c->mode = vc_client_mode(c, msg);
    c->linked = true;
    c->ssrc = msg->ssrc;

    if (!vc_client_udp_open(c, msg->ip, msg->port)) {
        return;
    }

    c->state = VC_CLIENT_DISCOVERING;
    vc_client_discover(c, vc_now());
}


/* A mode that is not offered is asked for all the same: the server decides. */
static voice_mode_t
vc_client_mode(const vc_client_t *c, const voice_server_msg_t *msg)
{
    unsigned  left, modes;

    switch (c->conf.mode) {

    case VC_MODE_FIRST:
        return msg->mode;

    case VC_MODE_MIX:
        modes = msg->modes;
        left = c->conf.mix % (unsigned) __builtin_popcount(modes);

        for ( /* void */ ; left != 0; left--) {
            modes &= modes - 1;
        }

        return (voice_mode_t) __builtin_ctz(modes);

    default:
        return (voice_mode_t) c->conf.mode;
    }
}


static void
vc_client_described(vc_client_t *c, const voice_server_msg_t *msg)
{
    uint64_t  now;

    if (c->state < VC_CLIENT_SELECTING) {
        return;
    }

    now = vc_now();
    vc_client_set_key(c, msg->mode, msg->key, now);

    if (c->state == VC_CLIENT_LIVE) {
        c->stats.rekeys++;
        return;
    }

    c->state = VC_CLIENT_LIVE;
    c->join_at = 0;
    vc_client_keepalive(c, now);

    if (c->handlers->live != NULL) {
        c->handlers->live(c->data);
    }
}


static void
vc_client_resumed(vc_client_t *c)
{
    char  text[80];

    c->linked = true;
    c->attempts = 0;
    c->stats.reconnects++;

    if (c->state == VC_CLIENT_LIVE) {
        c->join_at = 0;

        /* what was said while the websocket was away */
        vc_client_say_speaking(c);

    } else if (c->state == VC_CLIENT_SELECTING) {
        vc_client_select(c);
    }

    if (c->handlers->note != NULL) {
        snprintf(text, sizeof(text), "resumed after %.1f ms",
                 (double) (vc_now() - c->lost_at) / 1e6);
        c->handlers->note(c->data, text);
    }
}


void
vc_client_speak(vc_client_t *c, uint32_t speaking)
{
    c->speaking = speaking;

    if (c->linked) {
        vc_client_say_speaking(c);
    }
}


static void
vc_client_say_speaking(vc_client_t *c)
{
    char         buf[VOICE_ENCODE_MAX];
    size_t       len;
    voice_err_t  err;

    len = 0;
    err = voice_speaking_request_encode(buf, sizeof(buf), c->conf.version,
                                        c->ssrc, c->speaking, &len);
    vc_client_write(c, err, buf, len);
}


static void
vc_client_closed(void *data, int code, const char *reason)
{
    char          text[VC_ERROR_MAX];
    const char   *name;
    vc_client_t  *c = data;

    c->linked = false;
    c->close_code = code;

    if (c->state == VC_CLIENT_LEAVING) {
        c->end_at = vc_now();
        vc_client_arm(c);
        return;
    }

    if (c->state == VC_CLIENT_ENDED) {
        return;
    }

    name = vc_close_name(code);

    if (code == 0) {
        snprintf(text, sizeof(text), "%s", reason);

    } else {
        snprintf(text, sizeof(text), "the server closed the voice connection "
                 "with code %d%s%s%s%s", code, name, *reason != '\0' ? ": \""
                 : "", reason, *reason != '\0' ? "\"" : "");
    }

    /* section 7.1: below 4000 and 4015 the session may go on */
    if (c->ssrc == 0 || (code >= 4000 && code != VOICE_CLOSE_SERVER_CRASHED))
    {
        vc_client_fail(c, "%s", text);

    } else {
        vc_client_lost(c, text);
    }

    vc_client_arm(c);
}


static void
vc_client_lost(vc_client_t *c, const char *why)
{
    char      text[VC_ERROR_MAX + 64];
    uint64_t  now, delay;

    now = vc_now();
    c->linked = false;
    c->beat_at = 0;

    if (c->state == VC_CLIENT_LIVE) {
        c->join_at = 0;
    }

    if (c->attempts == 0) {
        c->lost_at = now;
    }

    if (now - c->lost_at > VC_RESUME_PATIENCE) {
        vc_client_fail(c, "not resumed within %d s: %s",
                       (int) (VC_RESUME_PATIENCE / VC_SEC), why);
        return;
    }

    /* the first try comes at once, the others half at random */
    delay = 0;

    if (c->attempts != 0) {
        delay = c->attempts < 7 ? VC_RESUME_DELAY_MIN << (c->attempts - 1)
                                : VC_RESUME_DELAY_MAX;
        delay = delay / 2
                + randombytes_uniform((uint32_t) (delay / 2 / 1000)) * 1000;
    }

    c->attempts++;
    c->resume_at = now + delay + 1;

    if (c->handlers->note != NULL) {
        snprintf(text, sizeof(text), "%s; resuming", why);
        c->handlers->note(c->data, text);
    }

    if (c->handlers->lost != NULL) {
        c->handlers->lost(c->data);
    }
}


void
vc_client_leave(vc_client_t *c)
{
    if (c->state >= VC_CLIENT_LEAVING || c->state == VC_CLIENT_NEW) {
        return;
    }

    c->state = VC_CLIENT_LEAVING;
    c->join_at = c->resume_at = c->discovery_at = 0;
    c->beat_at = c->keepalive_at = 0;
    c->end_at = vc_now();

    if (c->ws.state == VC_WS_OPEN) {
        vc_ws_close(&c->ws, VOICE_CLOSE_NORMAL, "");
        c->end_at += VC_LEAVE_TIMEOUT;
    }

    vc_client_arm(c);
}


/*
 * The end comes by the timer, as the websocket may be in the middle of its
 * work here.
 */
void
vc_client_fail(vc_client_t *c, const char *fmt, ...)
{
    va_list  args;

    if (c->state >= VC_CLIENT_LEAVING) {
        return;
    }

    va_start(args, fmt);
    vsnprintf(c->error, sizeof(c->error), fmt, args);
    va_end(args);

    c->failed = true;
    vc_client_leave(c);
    c->end_at = vc_now();
    vc_client_arm(c);
}


void
vc_client_free(vc_client_t *c)
{
    if (c->state == VC_CLIENT_NEW) {
        return;
    }

    vc_timer_clear(c->loop, &c->timer);
    vc_ws_stop(&c->ws);
    vc_client_udp_close(c);
    voice_crypto_key_wipe(&c->key);
    voice_crypto_key_wipe(&c->old_key);
    sodium_memzero(c->conf.token, sizeof(c->conf.token));
}
