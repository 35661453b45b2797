/*
 * Copyright (C) ngx-voice contributors
 */


#include "agent_path.h"
#include "agent.h"

#include "voice_bytes.h"
#include "voice_session.h"

#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <time.h>


#define AGENT_PATH_LEN       60        /* bytes, as those of a voice frame */
#define AGENT_PATH_SAMPLES   960
#define AGENT_PATH_MAGIC     0x6E785062u   /* "nxPb" */
#define AGENT_PATH_TTL       60        /* s, of a token for one join */
#define AGENT_PATH_AGAIN     1000      /* ms until a session is begun anew, or
                                          a bad relay probed */
#define AGENT_PATH_BEAT      2000      /* ms: a websocket that is cut without a
                                          word is noticed after three */
#define AGENT_PATH_LOOKUP    5000      /* ms until a name is looked up again */
#define AGENT_PATH_FAILURES  5
#define AGENT_PATH_VERSION   8


static void
agent_path_live(void *data)
{
    agent_path_end_t  *e = data;

    e->live = true;
    e->next = e->path->talker->now + agent_spread(AGENT_PATH_AGAIN);

    if (e == &e->path->end[0]) {
        vc_client_speak(&e->client, VOICE_SPEAKING_VOICE);
    }
}


static void
agent_path_media(void *data, const vc_media_t *media)
{
    uint64_t           pause;
    agent_path_t      *path;
    agent_path_end_t  *e = data;

    path = e->path;

    if (e != &path->end[1] || media->len != AGENT_PATH_LEN
        || voice_get_u32(media->payload) != AGENT_PATH_MAGIC)
    {
        return;
    }

    /* one that was bad is good again soon, however seldom it is probed */

    pause = path->talker->period;
    pause = path->check.bad && pause > AGENT_PATH_AGAIN ? AGENT_PATH_AGAIN
                                                        : pause;

    agent_check_back(&path->check, voice_get_u32(media->payload + 4),
                     path->talker->now + agent_spread(pause));
    path->failures = 0;
}


/*
 * A server that answers, and takes us not, is there: a key that was changed
 * there and not here, or it is full.  That a session has ended says nothing.
 */

static bool
agent_path_refused(int code)
{
    return code >= 4000 && code != VOICE_CLOSE_SESSION_INVALID
           && code != VOICE_CLOSE_SESSION_TIMEOUT
           && code != VOICE_CLOSE_SERVER_CRASHED;
}


static void
agent_path_ended(void *data, const char *error)
{
    agent_path_t      *path;
    agent_path_end_t  *e = data;

    path = e->path;

    /* one that went well is begun anew at once: nothing is sent meanwhile */

    if (!e->live) {
        e->next = path->talker->now + agent_spread(AGENT_PATH_AGAIN);
    }

    e->live = false;
    e->ended = true;

    if (agent_path_refused(e->client.close_code)) {
        memset(&path->check, 0, sizeof(path->check));
    }

    /* nodes that have just come up know not all of each other yet */

    if (path->check.heard == 0 && ++path->failures == AGENT_PATH_FAILURES) {
        agent_log(AGENT_LOG_WARN, "node \"%s\" can't be probed: %s",
                  path->node, error != NULL ? error : "left");
    }
}


/* Whoever it was that cut it: is it the server that is away? */

static void
agent_path_lost(void *data)
{
    agent_path_end_t  *e = data;

    agent_check_hurry(&e->path->check, e->path->talker->now);
}


static const vc_client_handlers_t  agent_path_handlers = {
    .live = agent_path_live,
    .media = agent_path_media,
    .lost = agent_path_lost,
    .ended = agent_path_ended
};


/* False: no session can be begun. */

static bool
agent_path_conf(agent_path_t *path, agent_path_end_t *e,
    vc_client_conf_t *conf)
{
    voice_token_t  token;

    memset(conf, 0, sizeof(vc_client_conf_t));
    memset(&token, 0, sizeof(token));

    token.user_id = e->user;
    token.guild_id = VOICE_PROBE_GUILD;
    token.channel_id = path->talker->user;
    token.rev = 1;
    token.expires = time(NULL) + AGENT_PATH_TTL;
    snprintf(token.session_id, sizeof(token.session_id), "probe%d",
             (int) (e - path->end));
    snprintf(token.node, sizeof(token.node), "%s", path->node);
    snprintf(token.boot, sizeof(token.boot), "%s", path->boot);

    conf->server = &path->server;
    conf->guild_id = token.guild_id;
    conf->channel_id = token.channel_id;
    conf->user_id = token.user_id;
    conf->version = AGENT_PATH_VERSION;
    conf->mode = VC_MODE_FIRST;
    conf->beat = AGENT_PATH_BEAT;
    snprintf(conf->session_id, sizeof(conf->session_id), "%s",
             token.session_id);

    return voice_token_sign(&path->talker->keys, &token, conf->token,
                            sizeof(conf->token)) == VOICE_OK;
}


static void
agent_path_leave(agent_path_end_t *e)
{
    if (e->used && !e->ended) {
        vc_client_free(&e->client);
    }

    memset(&e->client, 0, sizeof(e->client));
    e->used = false;
    e->live = false;
    e->ended = false;
}


static void
agent_path_join(agent_path_t *path, agent_path_end_t *e)
{
    vc_client_conf_t  conf;

    if (e->ended) {
        agent_path_leave(e);
    }

    if (e->used || path->server.addresses == NULL
        || path->talker->now < e->next)
    {
        return;
    }

    if (agent_path_conf(path, e, &conf)) {
        e->used = true;
        vc_client_start(&e->client, path->talker->loop, &conf,
                        &agent_path_handlers, e);
    }

    sodium_memzero(conf.token, sizeof(conf.token));
}


/*
 * Addresses of the host, and new ones if those are no good: a node that was
 * attacked may come back with others.
 */

static void
agent_path_addresses(agent_path_t *path)
{
    uint64_t          now = path->talker->now;
    struct addrinfo  *addresses;

    if (path->lookup != NULL) {

        if (!agent_lookup_done(path->lookup, &addresses)) {
            return;
        }

        path->lookup = NULL;

        if (addresses != NULL) {
            agent_path_leave(&path->end[0]);
            agent_path_leave(&path->end[1]);

            if (path->server.addresses != NULL) {
                freeaddrinfo(path->server.addresses);
            }

            path->server.addresses = addresses;
        }

        return;
    }

    if (now < path->next_lookup
        || (path->server.addresses != NULL
            && (vc_server_literal(&path->server)
                || (path->check.heard != 0 && !path->check.bad))))
    {
        return;
    }

    path->next_lookup = now + (path->server.addresses == NULL
                               ? AGENT_PATH_LOOKUP : AGENT_PATH_LOOKUP * 6);
    path->lookup = agent_lookup_start(path->server.host, path->server.port);
}


static void
agent_path_send(agent_path_t *path)
{
    uint8_t            payload[AGENT_PATH_LEN];
    agent_path_end_t  *from, *to;

    from = &path->end[0];
    to = &path->end[1];

    memset(payload, 0, sizeof(payload));
    voice_put_u32(payload, AGENT_PATH_MAGIC);
    voice_put_u32(payload + 4, agent_check_sent(&path->check,
                                                path->talker->now));

    if (from->live && to->live && from->client.linked && to->client.linked) {
        (void) vc_client_send(&from->client, payload, sizeof(payload),
                              AGENT_PATH_SAMPLES);
    }
}


void
agent_path_init(agent_path_t *path, agent_talker_t *talker)
{
    path->talker = talker;
    path->end[0].path = path;
    path->end[0].user = talker->user;
    path->end[1].path = path;
    path->end[1].user = talker->user ^ 1;
}


void
agent_path_forget(agent_path_t *path)
{
    agent_path_leave(&path->end[0]);
    agent_path_leave(&path->end[1]);
    memset(&path->check, 0, sizeof(path->check));
    path->failures = 0;
}


void
agent_path_to(agent_path_t *path, const char *node, const char *boot)
{
    if (strcmp(path->node, node) == 0 && strcmp(path->boot, boot) == 0) {
        return;
    }

    snprintf(path->node, sizeof(path->node), "%s", node);
    snprintf(path->boot, sizeof(path->boot), "%s", boot);
    agent_path_forget(path);
}


void
agent_path_close(agent_path_t *path)
{
    agent_path_forget(path);
    agent_lookup_drop(path->lookup);
    path->lookup = NULL;
    path->next_lookup = 0;
    vc_server_close(&path->server);
}


bool
agent_path_tick(agent_path_t *path)
{
    unsigned  misses;

    misses = path->check.misses;

    agent_path_addresses(path);
    agent_path_join(path, &path->end[0]);
    agent_path_join(path, &path->end[1]);

    if (agent_check_due(&path->check, path->talker->now)) {
        agent_path_send(path);
    }

    return misses == 0 && path->check.misses != 0;
}
