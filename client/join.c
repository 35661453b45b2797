/*
 * Copyright (C) ngx-voice contributors
 *
 * protocol: "Main gateway" sections 7, 8 and 10.
 */


#include "join.h"

#include "voice_session.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>


/* from being asked for to the first media */
#define VC_JOIN_TIMEOUT     (20 * VC_SEC)

/* op 4 that isn't allowed is passed over in silence, section 7.2 */
#define VC_JOIN_ANSWER      (10 * VC_SEC)

/* without a voice session, once there was one */
#define VC_JOIN_PATIENCE    (60 * VC_SEC)

#define VC_JOIN_DELAY_MIN   (100 * VC_MS)
#define VC_JOIN_DELAY_MAX   (3 * VC_SEC)


static void vc_join_ready(void *data, const voice_gateway_got_t *got);
static void vc_join_event(void *data, const voice_gateway_got_t *got);
static void vc_join_state(vc_join_t *j, const voice_gateway_got_state_t *st);
static void vc_join_flags(vc_join_t *j, const voice_gateway_got_state_t *st);
static void vc_join_server(vc_join_t *j,
    const voice_gateway_got_server_t *server);
static bool vc_join_open(vc_join_t *j, const char *endpoint, char *error);
static void vc_join_close(vc_join_t *j);
static void vc_join_gateway_ended(void *data, const char *error);

static void vc_join_live(void *data);
static void vc_join_media(void *data, const vc_media_t *media);
static void vc_join_speaking(void *data, uint64_t user_id, uint32_t ssrc,
    uint32_t speaking);
static void vc_join_left(void *data, uint64_t user_id);
static void vc_join_report(void *data, const voice_rtcp_block_t *block,
    uint64_t rtt);
static void vc_join_lost(void *data);
static void vc_join_voice_ended(void *data, const char *error);
static void vc_join_broken(vc_join_t *j, const char *error);

static void vc_join_ask(vc_join_t *j);
static void vc_join_timer(void *data, uint64_t now);
static void vc_join_arm(vc_join_t *j);
static void vc_join_wait(vc_join_t *j, const char *what, uint64_t time);
static void vc_join_fail(vc_join_t *j, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
static void vc_join_note(void *data, const char *text);
static void vc_join_notef(vc_join_t *j, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));


static const vc_gateway_handlers_t  vc_join_gateway_handlers = {
    vc_join_ready,
    vc_join_event,
    vc_join_note,
    vc_join_gateway_ended
};


static const vc_client_handlers_t  vc_join_voice_handlers = {
    vc_join_live,
    vc_join_media,
    vc_join_speaking,
    vc_join_left,
    vc_join_report,
    vc_join_note,
    vc_join_lost,
    vc_join_voice_ended
};


void
vc_join_start(vc_join_t *j, vc_loop_t *loop, const vc_join_conf_t *conf,
    const vc_client_handlers_t *handlers, void *data)
{
    j->conf = *conf;
    j->loop = loop;
    j->handlers = handlers;
    j->data = data;
    j->timer.handler = vc_join_timer;
    j->timer.data = j;

    vc_gateway_start(&j->gateway, loop, &conf->gateway,
                     &vc_join_gateway_handlers, j);
}


/* A gateway session without a voice state: the first one, or a new one. */
static void
vc_join_ready(void *data, const voice_gateway_got_t *got)
{
    vc_join_t         *j = data;
    vc_client_conf_t  *voice;

    voice = &j->conf.voice;

    j->asked = false;
    j->present = false;

    voice->user_id = got->d.ready.user_id;
    memcpy(voice->session_id, got->d.ready.session_id,
           sizeof(voice->session_id));

    if (!j->leaving) {
        vc_join_wait(j, "the gateway to show the guild: expected one that "
                     "the token names and that exists", VC_JOIN_ANSWER);
    }
}


static void
vc_join_event(void *data, const voice_gateway_got_t *got)
{
    vc_join_t         *j = data;
    vc_client_conf_t  *voice;

    voice = &j->conf.voice;

    if (j->leaving) {
        return;
    }

    switch (got->event) {

    case VOICE_DISPATCH_GUILD_CREATE:
        if (got->guild_id == voice->guild_id && !j->asked) {
            vc_join_ask(j);
        }
        break;

    case VOICE_DISPATCH_VOICE_STATE:
        if (got->d.state.guild_id == voice->guild_id
            && got->d.state.user_id == voice->user_id)
        {
            vc_join_state(j, &got->d.state);
        }
        break;

    case VOICE_DISPATCH_VOICE_SERVER:
        if (got->d.server.guild_id == voice->guild_id) {
            vc_join_server(j, &got->d.server);
        }
        break;

    default:
        break;
    }
}


static void
vc_join_ask(vc_join_t *j)
{
    voice_gateway_voice_state_t  vs;

    memset(&vs, 0, sizeof(vs));
    vs.guild_id = j->conf.voice.guild_id;
    vs.channel_id = j->conf.voice.channel_id;

    /* while the gateway is away the timer asks again */

    if (vc_gateway_voice(&j->gateway, &vs)) {
        j->asked = true;
    }

    if (!j->joined) {
        vc_join_wait(j, "an answer to the wish to join: expected a voice "
                     "channel with a free place and the permission to "
                     "connect", VC_JOIN_ANSWER);
    }
}


static void
vc_join_state(vc_join_t *j, const voice_gateway_got_state_t *st)
{
    /* one that another session of this user has is none of ours */

    if (strcmp(st->session_id, j->conf.voice.session_id) != 0) {
        if (j->present) {
            vc_join_fail(j, "the user has joined by another session");
        }

        return;
    }

    if (st->channel_id == 0) {
        if (j->present) {
            vc_join_fail(j, "disconnected from the channel by the server");
        }

        return;
    }

    if (st->channel_id != j->conf.voice.channel_id) {
        vc_join_notef(j, "moved to channel %" PRIu64, st->channel_id);
        j->conf.voice.channel_id = st->channel_id;
        j->stats.moves++;
    }

    j->present = true;
    vc_join_flags(j, st);
}


static void
vc_join_flags(vc_join_t *j, const voice_gateway_got_state_t *st)
{
    uint32_t  flags;

    flags = (st->mute ? VOICE_SESSION_MUTE : 0)
            | (st->deaf ? VOICE_SESSION_DEAF : 0)
            | (st->suppress ? VOICE_SESSION_SUPPRESS : 0);

    if (flags != j->flags) {
        j->flags = flags;
        vc_join_notef(j, "by the server: %s, %s, %s",
                      st->mute ? "muted" : "not muted",
                      st->deaf ? "deafened" : "not deafened",
                      st->suppress ? "suppressed" : "not suppressed");
    }
}


static void
vc_join_server(vc_join_t *j, const voice_gateway_got_server_t *server)
{
    char  error[VC_ERROR_MAX];

    j->ask_at = 0;

    if (j->joined) {
        j->stats.servers++;
    }

    vc_join_close(j);

    if (server->endpoint[0] == '\0') {
        vc_join_notef(j, "the voice server was taken away");
        vc_join_wait(j, "another voice server", VC_JOIN_PATIENCE);
        return;
    }

    if (!vc_join_open(j, server->endpoint, error)) {
        vc_join_broken(j, error);
        return;
    }

    vc_join_notef(j, "voice server %s", server->endpoint);

    memcpy(j->conf.voice.token, server->token, sizeof(j->conf.voice.token));
    j->conf.voice.server = &j->server;

    vc_client_start(&j->voice, j->loop, &j->conf.voice,
                    &vc_join_voice_handlers, j);

    vc_join_wait(j, "the voice session", j->joined ? VC_JOIN_PATIENCE
                                                   : VC_JOIN_TIMEOUT);
}


/* With TLS if the gateway has it: an endpoint has no scheme, section 8.1. */
static bool
vc_join_open(vc_join_t *j, const char *endpoint, char *error)
{
    char                      url[VOICE_GATEWAY_ENDPOINT_MAX + 8];
    const vc_gateway_conf_t  *gateway;

    gateway = &j->conf.gateway;

    snprintf(url, sizeof(url), "%s://%s", gateway->server->tls ? "wss" : "ws",
             endpoint);

    if (!vc_server_parse(&j->server, url, error)) {
        return false;
    }

    j->opened = true;

    return vc_server_open(&j->server, gateway->ca, gateway->insecure, error);
}


/* The voice session that there was, whatever it is doing. */
static void
vc_join_close(vc_join_t *j)
{
    vc_client_stats_t  total;

    if (j->voice.state != VC_CLIENT_NEW) {
        vc_join_totals(j, &total);
        j->earlier = total;

        vc_client_free(&j->voice);
        memset(&j->voice, 0, sizeof(j->voice));
    }

    if (j->opened) {
        vc_server_close(&j->server);
        j->opened = false;
    }
}


void
vc_join_totals(const vc_join_t *j, vc_client_stats_t *stats)
{
    const vc_client_stats_t  *s;

    s = &j->voice.stats;
    *stats = j->earlier;

    stats->sent += s->sent;
    stats->unsent += s->unsent;
    stats->undecryptable += s->undecryptable;
    stats->early += s->early;
    stats->reconnects += s->reconnects;
    stats->rekeys += s->rekeys;

    if (s->handshake_bytes != 0) {
        stats->handshake_bytes = s->handshake_bytes;
    }
}


static void
vc_join_live(void *data)
{
    vc_join_t  *j = data;

    j->joined = true;
    j->attempts = 0;
    j->ask_at = 0;
    j->give_up_at = 0;
    vc_join_arm(j);

    if (j->handlers->live != NULL) {
        j->handlers->live(j->data);
    }
}


static void
vc_join_media(void *data, const vc_media_t *media)
{
    vc_join_t  *j = data;

    if (j->handlers->media != NULL) {
        j->handlers->media(j->data, media);
    }
}


static void
vc_join_speaking(void *data, uint64_t user_id, uint32_t ssrc,
    uint32_t speaking)
{
    vc_join_t  *j = data;

    if (j->handlers->speaking != NULL) {
        j->handlers->speaking(j->data, user_id, ssrc, speaking);
    }
}


static void
vc_join_left(void *data, uint64_t user_id)
{
    vc_join_t  *j = data;

    if (j->handlers->left != NULL) {
        j->handlers->left(j->data, user_id);
    }
}


static void
vc_join_report(void *data, const voice_rtcp_block_t *block, uint64_t rtt)
{
    vc_join_t  *j = data;

    if (j->handlers->report != NULL) {
        j->handlers->report(j->data, block, rtt);
    }
}


/* The voice websocket is away; section 9: perhaps its server is. */
static void
vc_join_lost(void *data)
{
    vc_join_t  *j = data;

    vc_gateway_voice_ping(&j->gateway);

    if (j->handlers->lost != NULL) {
        j->handlers->lost(j->data);
    }
}


/*
 * The voice session is over, and not by our wish.  4014 is a move or a
 * disconnect, of which the gateway tells more: asking again would undo it.
 * Else a wish to join where one is brings a new token.
 */
static void
vc_join_voice_ended(void *data, const char *error)
{
    vc_join_t  *j = data;

    if (j->leaving) {
        vc_gateway_leave(&j->gateway);
        return;
    }

    vc_join_broken(j, error != NULL ? error : "the voice session is over");
}


static void
vc_join_broken(vc_join_t *j, const char *error)
{
    uint64_t  delay;

    if (!j->joined) {
        vc_join_fail(j, "%s", error);
        return;
    }

    vc_join_note(j, error);

    if (j->give_up_at == 0) {
        vc_join_wait(j, "a voice session again", VC_JOIN_PATIENCE);
    }

    if (j->voice.close_code == VOICE_CLOSE_DISCONNECTED) {
        return;
    }

    delay = j->attempts < 6 ? VC_JOIN_DELAY_MIN << j->attempts
                            : VC_JOIN_DELAY_MAX;
    j->attempts++;
    j->ask_at = vc_now() + delay;
    vc_join_arm(j);
}


static void
vc_join_wait(vc_join_t *j, const char *what, uint64_t time)
{
    j->waiting = what;
    j->give_up_at = vc_now() + time;
    vc_join_arm(j);
}


static void
vc_join_arm(vc_join_t *j)
{
    uint64_t  at;

    at = j->give_up_at;

    if (j->ask_at != 0 && (at == 0 || j->ask_at < at)) {
        at = j->ask_at;
    }

    if (at != 0) {
        vc_timer_set(j->loop, &j->timer, at);

    } else {
        vc_timer_clear(j->loop, &j->timer);
    }
}


static void
vc_join_timer(void *data, uint64_t now)
{
    vc_join_t  *j = data;

    if (j->give_up_at != 0 && now >= j->give_up_at) {
        vc_join_fail(j, "guild %" PRIu64 " channel %" PRIu64 ": waited in "
                     "vain for %s", j->conf.voice.guild_id,
                     j->conf.voice.channel_id, j->waiting);
        return;
    }

    if (j->ask_at != 0 && now >= j->ask_at) {
        j->ask_at = now + VC_JOIN_DELAY_MAX;
        j->stats.rejoins++;
        vc_join_ask(j);
    }

    vc_join_arm(j);
}


static void
vc_join_gateway_ended(void *data, const char *error)
{
    vc_join_t  *j = data;

    vc_timer_clear(j->loop, &j->timer);
    vc_join_close(j);

    if (error != NULL && !j->failed) {
        snprintf(j->error, sizeof(j->error), "%s", error);
        j->failed = true;
    }

    if (j->handlers->ended != NULL) {
        j->handlers->ended(j->data, j->failed ? j->error : NULL);
    }
}


void
vc_join_leave(vc_join_t *j)
{
    if (j->leaving) {
        return;
    }

    j->leaving = true;
    j->ask_at = 0;
    j->give_up_at = 0;
    vc_join_arm(j);

    if (j->voice.state != VC_CLIENT_NEW && j->voice.state < VC_CLIENT_ENDED) {
        vc_client_leave(&j->voice);

    } else {
        vc_gateway_leave(&j->gateway);
    }
}


static void
vc_join_fail(vc_join_t *j, const char *fmt, ...)
{
    va_list  args;

    if (j->leaving) {
        return;
    }

    va_start(args, fmt);
    vsnprintf(j->error, sizeof(j->error), fmt, args);
    va_end(args);

    j->failed = true;
    vc_join_leave(j);
}


static void
vc_join_note(void *data, const char *text)
{
    vc_join_t  *j = data;

    if (j->handlers->note != NULL) {
        j->handlers->note(j->data, text);
    }
}


static void
vc_join_notef(vc_join_t *j, const char *fmt, ...)
{
    char     text[VC_ERROR_MAX + 64];
    va_list  args;

    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);

    vc_join_note(j, text);
}


void
vc_join_free(vc_join_t *j)
{
    if (j->loop != NULL) {
        vc_timer_clear(j->loop, &j->timer);
        vc_join_close(j);
        vc_gateway_free(&j->gateway);
    }
}
