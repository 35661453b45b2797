/*
 * Copyright (C) ngx-voice contributors
 */


#include "crowd.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>


/* for what is still awaited at the end of a phase */
#define VC_CROWD_PATIENCE     (30 * VC_SEC)

#define VC_CROWD_COMPLAINTS   5


static bool vc_crowd_open(vc_crowd_t *crowd);
static bool vc_crowd_sign(vc_crowd_t *crowd);
static void vc_crowd_next(vc_crowd_t *crowd);
static bool vc_crowd_done(const vc_crowd_t *crowd);
static void vc_crowd_begin(vc_crowd_t *crowd, vc_crowd_phase_t phase);
static void vc_crowd_timer(void *data, uint64_t now);
static void vc_crowd_end(void *data, uint64_t now);
static void vc_crowd_interrupt(void *data);
static uint32_t vc_crowd_joining(const vc_crowd_t *crowd);
static void vc_crowd_leave(vc_crowd_t *crowd);

static bool vc_fan_connect(vc_fan_t *fan);
static void vc_fan_ask(vc_fan_t *fan, uint64_t now);
static void vc_fan_event(void *data, const voice_gateway_got_t *got);
static void vc_fan_state(vc_fan_t *fan,
    const voice_gateway_got_state_t *state);
static void vc_fan_note(void *data, const char *text);
static void vc_fan_ended(void *data, const char *error);


static const vc_gateway_handlers_t  vc_fan_handlers = {
    .event = vc_fan_event,
    .note = vc_fan_note,
    .ended = vc_fan_ended
};


bool
vc_crowd_run(vc_crowd_t *crowd)
{
    crowd->timer.handler = vc_crowd_timer;
    crowd->timer.data = crowd;
    crowd->end.handler = vc_crowd_end;
    crowd->end.data = crowd;
    crowd->interrupt.watch.fd = -1;

    if (!vc_crowd_open(crowd)) {
        return false;
    }

    vc_crowd_begin(crowd, VC_CROWD_CONNECT);

    while (crowd->phase != VC_CROWD_LEAVE || crowd->over < crowd->started) {
        vc_loop_turn(crowd->loop, vc_now() + 10 * VC_MS);
        vc_crowd_next(crowd);
    }

    if (crowd->running) {
        atomic_store(&crowd->stop, true);
        pthread_join(crowd->thread, NULL);
        crowd->running = false;
    }

    if (crowd->interrupted) {
        vc_complain(VC_CROWD_NAME, "interrupted");
    }

    return !crowd->interrupted;
}


static bool
vc_crowd_open(vc_crowd_t *crowd)
{
    uint32_t                   i;
    const vc_crowd_options_t  *o;

    o = crowd->options;

    if (!vc_connection_open(VC_CROWD_NAME, &o->conn, &crowd->server)) {
        return false;
    }

    crowd->opened = true;

    if (!vc_keys_load(VC_CROWD_NAME, o->conn.key, &crowd->keys)
        || !vc_crowd_sign(crowd))
    {
        return false;
    }

    crowd->fans = calloc(o->clients, sizeof(vc_fan_t));
    crowd->guilds = calloc(o->guilds, sizeof(vc_crowd_guild_t));
    crowd->loop = vc_loop_create();

    if (crowd->fans == NULL || crowd->guilds == NULL || crowd->loop == NULL
        || !vc_interrupt_start(&crowd->interrupt, crowd->loop,
                               vc_crowd_interrupt, crowd))
    {
        vc_complain(VC_CROWD_NAME, "start: %s", strerror(errno));
        return false;
    }

    for (i = 0; i < o->clients; i++) {
        crowd->fans[i].crowd = crowd;
        crowd->fans[i].index = i;
        crowd->guilds[i % o->guilds].clients++;
    }

    return true;
}


/* The platform's token, which the thread sends. */
static bool
vc_crowd_sign(vc_crowd_t *crowd)
{
    voice_err_t         err;
    voice_token_keys_t  keys;

    if (crowd->options->changes == 0) {
        return true;
    }

    if (!vc_keys_load(VC_CROWD_NAME, crowd->options->platform_key, &keys)) {
        return false;
    }

    err = voice_platform_token_sign(&keys, (int64_t) time(NULL)
                                           + VC_USER_TOKEN_TTL,
                                    crowd->jwt, sizeof(crowd->jwt));
    voice_token_keys_free(&keys);

    if (err != VOICE_OK) {
        vc_sign_complain(VC_CROWD_NAME, err);
    }

    return err == VOICE_OK;
}


static void
vc_crowd_begin(vc_crowd_t *crowd, vc_crowd_phase_t phase)
{
    crowd->phase = phase;
    crowd->begin = vc_now();
    vc_timer_clear(crowd->loop, &crowd->end);

    switch (phase) {

    case VC_CROWD_CONNECT:
    case VC_CROWD_JOIN:
        vc_timer_set(crowd->loop, &crowd->timer, crowd->begin);
        break;

    case VC_CROWD_CHANGE:
        if (crowd->options->changes == 0) {
            vc_timer_set(crowd->loop, &crowd->end, crowd->begin
                         + crowd->options->milliseconds * VC_MS);

        } else if (pthread_create(&crowd->thread, NULL, vc_crowd_change,
                                  crowd) == 0)
        {
            crowd->running = true;

        } else {
            vc_complain(VC_CROWD_NAME, "thread: %s", strerror(errno));
            atomic_store(&crowd->changed, true);
        }
        break;

    case VC_CROWD_LEAVE:
        vc_timer_clear(crowd->loop, &crowd->timer);
        vc_crowd_leave(crowd);
        break;
    }
}


static void
vc_crowd_next(vc_crowd_t *crowd)
{
    const vc_crowd_options_t  *o;

    o = crowd->options;

    if (crowd->phase == VC_CROWD_LEAVE || !vc_crowd_done(crowd)) {
        return;
    }

    if (o->verbose) {
        static const char *const  names[] = { "connected", "joined", "done" };

        fprintf(stderr, "%s: %u clients after %.2f s\n", names[crowd->phase],
                crowd->connected, (double) (vc_now() - crowd->begin) / 1e9);
    }

    vc_crowd_begin(crowd, crowd->interrupted ? VC_CROWD_LEAVE
                          : (vc_crowd_phase_t) (crowd->phase + 1));
}


static bool
vc_crowd_done(const vc_crowd_t *crowd)
{
    const vc_crowd_options_t  *o;

    o = crowd->options;

    if (crowd->interrupted) {
        return true;
    }

    switch (crowd->phase) {

    case VC_CROWD_CONNECT:
        return crowd->connected + crowd->failed == o->clients;

    case VC_CROWD_JOIN:
        return crowd->asked == vc_crowd_joining(crowd)
               && crowd->answered == crowd->asked
               && crowd->told >= crowd->told_expected;

    case VC_CROWD_CHANGE:
        return atomic_load(&crowd->changed);

    case VC_CROWD_LEAVE:
        break;
    }

    return false;
}


/* All, or those whose state is to be changed. */
static uint32_t
vc_crowd_joining(const vc_crowd_t *crowd)
{
    const vc_crowd_options_t  *o;

    o = crowd->options;

    return o->joins != 0 ? o->clients : o->changes != 0 ? o->guilds : 0;
}


/* The clients that are due to connect, or to ask for their channel. */
static void
vc_crowd_timer(void *data, uint64_t now)
{
    uint32_t                   all, next, rate;
    uint64_t                   at;
    vc_crowd_t                *crowd = data;
    const vc_crowd_options_t  *o;

    o = crowd->options;

    for ( ;; ) {
        if (crowd->phase == VC_CROWD_CONNECT) {
            all = o->clients;
            next = crowd->started;
            rate = o->ramp;

        } else {
            all = vc_crowd_joining(crowd);
            next = crowd->asked;
            rate = o->joins != 0 ? o->joins : o->ramp;
        }

        if (next == all) {
            vc_timer_set(crowd->loop, &crowd->end, now + VC_CROWD_PATIENCE);
            return;
        }

        at = crowd->begin + (uint64_t) next * VC_SEC / rate;

        if (at > now) {
            vc_timer_set(crowd->loop, &crowd->timer, at);
            return;
        }

        if (crowd->phase == VC_CROWD_JOIN) {
            vc_fan_ask(&crowd->fans[next], now);
            continue;
        }

        crowd->started++;

        if (!vc_fan_connect(&crowd->fans[next])) {
            crowd->fans[next].over = true;
            crowd->over++;
            crowd->failed++;
        }
    }
}


/* What hasn't come by now is missing. */
static void
vc_crowd_end(void *data, uint64_t now)
{
    vc_crowd_t  *crowd = data;

    (void) now;

    if (crowd->phase == VC_CROWD_CHANGE) {
        atomic_store(&crowd->changed, true);
        return;
    }

    vc_crowd_begin(crowd, VC_CROWD_LEAVE);
}


static void
vc_crowd_interrupt(void *data)
{
    vc_crowd_t  *crowd = data;

    crowd->interrupted = true;
}


static void
vc_crowd_leave(vc_crowd_t *crowd)
{
    uint32_t  i;

    for (i = 0; i < crowd->started; i++) {
        if (!crowd->fans[i].over) {
            vc_gateway_leave(&crowd->fans[i].gateway);
        }
    }
}


static bool
vc_fan_connect(vc_fan_t *fan)
{
    char                       jwt[VOICE_USER_TOKEN_MAX + 1];
    vc_crowd_t                *crowd;
    voice_err_t                err;
    vc_gateway_conf_t          conf;
    voice_user_token_t         token;
    const vc_crowd_options_t  *o;

    crowd = fan->crowd;
    o = crowd->options;

    memset(&token, 0, sizeof(token));
    token.user_id = o->conn.user + fan->index;
    token.guild_id[0] = o->conn.guild + fan->index % o->guilds;
    token.nguilds = 1;
    token.expires = (int64_t) time(NULL) + VC_USER_TOKEN_TTL;

    err = voice_user_token_sign(&crowd->keys, &token, jwt, sizeof(jwt));

    if (err != VOICE_OK) {
        vc_sign_complain(VC_CROWD_NAME, err);
        return false;
    }

    fan->token = strdup(jwt);
    if (fan->token == NULL) {
        return false;
    }

    memset(&conf, 0, sizeof(conf));
    conf.server = &crowd->server;
    conf.token = fan->token;
    conf.ca = o->conn.ca;
    conf.insecure = o->conn.insecure;
    conf.intents = VC_GATEWAY_INTENTS;

    vc_gateway_start(&fan->gateway, crowd->loop, &conf, &vc_fan_handlers,
                     fan);
    return true;
}


static void
vc_fan_ask(vc_fan_t *fan, uint64_t now)
{
    vc_crowd_t                  *crowd;
    const vc_crowd_options_t    *o;
    voice_gateway_voice_state_t  vs;

    crowd = fan->crowd;
    o = crowd->options;

    memset(&vs, 0, sizeof(vs));
    vs.guild_id = o->conn.guild + fan->index % o->guilds;
    vs.channel_id = o->conn.channel + fan->index % o->guilds;

    fan->asked_at = now;
    crowd->asked++;
    crowd->told_expected += crowd->guilds[fan->index % o->guilds].clients;

    (void) vc_gateway_voice(&fan->gateway, &vs);
}


static void
vc_fan_event(void *data, const voice_gateway_got_t *got)
{
    vc_fan_t    *fan = data;
    vc_crowd_t  *crowd;

    crowd = fan->crowd;

    switch (got->event) {

    case VOICE_DISPATCH_GUILD_CREATE:
        if (!fan->connected) {
            fan->connected = true;
            crowd->connected++;
        }
        break;

    case VOICE_DISPATCH_VOICE_STATE:
        vc_fan_state(fan, &got->d.state);
        break;

    case VOICE_DISPATCH_VOICE_SERVER:
        if (!fan->answered && got->d.server.endpoint[0] != '\0') {
            fan->answered = true;
            crowd->answered++;
            vc_histogram_add(&crowd->join,
                             (vc_now() - fan->asked_at) / 1000);
        }
        break;

    default:
        break;
    }
}


static void
vc_fan_state(vc_fan_t *fan, const voice_gateway_got_state_t *state)
{
    vc_crowd_t                *crowd;
    vc_crowd_guild_t          *guild;
    const vc_crowd_options_t  *o;

    crowd = fan->crowd;
    o = crowd->options;

    if (crowd->phase == VC_CROWD_JOIN) {
        crowd->told += (state->channel_id != 0);
        return;
    }

    if (crowd->phase != VC_CROWD_CHANGE || o->changes == 0) {
        return;
    }

    guild = &crowd->guilds[fan->index % o->guilds];

    crowd->seen++;
    crowd->wrong += (state->mute != atomic_load(&guild->mute));
    vc_histogram_add(&crowd->change,
                     (vc_now() - atomic_load(&guild->changed_at)) / 1000);

    atomic_fetch_add(&guild->seen, 1);
}


static void
vc_fan_note(void *data, const char *text)
{
    vc_fan_t  *fan = data;

    if (fan->crowd->options->verbose) {
        fprintf(stderr, "user %" PRIu64 ": %s\n", fan->gateway.user_id, text);
    }
}


static void
vc_fan_ended(void *data, const char *error)
{
    vc_fan_t    *fan = data;
    vc_crowd_t  *crowd;

    crowd = fan->crowd;
    fan->over = true;
    crowd->over++;

    if (error != NULL && crowd->phase != VC_CROWD_LEAVE) {
        crowd->failed++;

        if (crowd->failed <= VC_CROWD_COMPLAINTS) {
            vc_complain(VC_CROWD_NAME, "user %" PRIu64 ": %s",
                        crowd->options->conn.user + fan->index, error);
        }
    }
}


uint64_t
vc_crowd_resumes(const vc_crowd_t *crowd)
{
    uint32_t  i;
    uint64_t  n;

    for (i = 0, n = 0; i < crowd->started; i++) {
        n += crowd->fans[i].gateway.resumes;
    }

    return n;
}


void
vc_crowd_free(vc_crowd_t *crowd)
{
    uint32_t  i;

    for (i = 0; crowd->fans != NULL && i < crowd->started; i++) {
        vc_gateway_free(&crowd->fans[i].gateway);
        free(crowd->fans[i].token);
    }

    free(crowd->fans);
    free(crowd->guilds);
    voice_token_keys_free(&crowd->keys);

    if (crowd->loop != NULL) {
        vc_interrupt_stop(&crowd->interrupt);
        vc_loop_free(crowd->loop);
    }

    if (crowd->opened) {
        vc_server_close(&crowd->server);
    }
}
