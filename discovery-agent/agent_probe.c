/*
 * Copyright (C) ngx-voice contributors
 *
 * Voice-like traffic through this node's own relay: two voice sessions of the
 * agent in a guild that is nobody's.  What one of them sends is received,
 * opened, routed, sealed and sent by nginx as any voice is, and has to come
 * to the other one.  Both stay for as long as the agent runs, so a probe is
 * two datagrams.
 *
 * A relay that lets nothing through any more says that it is down, as one
 * that has ended, however alive its processes look.
 */


#include "agent_probe.h"
#include "agent_check.h"

#include "voice_bytes.h"
#include "voice_client.h"
#include "voice_session.h"
#include "voice_token.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>


#define AGENT_PROBE_LEN       60       /* bytes, as those of a voice frame */
#define AGENT_PROBE_SAMPLES   960
#define AGENT_PROBE_MAGIC     0x6E785062u   /* "nxPb" */
#define AGENT_PROBE_TTL       60       /* s, of a token for one join */
#define AGENT_PROBE_AGAIN     1000     /* ms until a session is begun anew */
#define AGENT_PROBE_VERSION   8
#define AGENT_PROBE_KEY_MAX   16384


typedef struct {
    agent_probe_t   *probe;
    vc_client_t      client;
    uint64_t         user;
    uint64_t         next;             /* ms, of the next try to join */
    bool             used;
    bool             live;
    bool             ended;
} agent_probe_end_t;


struct agent_probe_s {
    agent_t             *agent;
    vc_loop_t           *loop;
    vc_server_t          server;
    voice_token_keys_t   keys;
    agent_probe_end_t    end[2];       /* who speaks, who hears */
    agent_check_t        check;
    bool                 told;         /* that the relay is bad */
    char                 boot[VOICE_CLUSTER_BOOT_MAX + 1];
};


static void
agent_probe_live(void *data)
{
    agent_probe_end_t  *e = data;

    e->live = true;

    if (e == &e->probe->end[0]) {
        vc_client_speak(&e->client, VOICE_SPEAKING_VOICE);
    }
}


static void
agent_probe_media(void *data, const vc_media_t *media)
{
    agent_t            *a;
    agent_probe_t      *p;
    agent_probe_end_t  *e = data;

    p = e->probe;
    a = p->agent;

    if (e != &p->end[1] || media->len != AGENT_PROBE_LEN
        || voice_get_u32(media->payload) != AGENT_PROBE_MAGIC)
    {
        return;
    }

    agent_check_back(&p->check, voice_get_u32(media->payload + 4),
                     a->now + agent_spread(a->conf.probe_period));
}


static void
agent_probe_ended(void *data, const char *error)
{
    agent_probe_end_t  *e = data;

    e->live = false;
    e->ended = true;

    agent_log(AGENT_LOG_DEBUG, "probe: %s", error != NULL ? error : "left");

    /* a key that was changed there and not here: the relay is not to blame */

    if (e->client.close_code == VOICE_CLOSE_AUTH_FAILED) {
        memset(&e->probe->check, 0, sizeof(e->probe->check));
    }
}


static const vc_client_handlers_t  agent_probe_handlers = {
    .live = agent_probe_live,
    .media = agent_probe_media,
    .ended = agent_probe_ended
};


/* False: no session can be begun. */

static bool
agent_probe_conf(agent_probe_t *p, agent_probe_end_t *e,
    vc_client_conf_t *conf)
{
    voice_token_t  token;

    memset(conf, 0, sizeof(vc_client_conf_t));
    memset(&token, 0, sizeof(token));

    token.user_id = e->user;
    token.guild_id = VOICE_PROBE_GUILD;
    token.channel_id = p->end[0].user;
    token.rev = 1;
    token.expires = time(NULL) + AGENT_PROBE_TTL;
    snprintf(token.session_id, sizeof(token.session_id), "probe%d",
             (int) (e - p->end));
    snprintf(token.node, sizeof(token.node), "%s", p->agent->conf.node);
    snprintf(token.boot, sizeof(token.boot), "%s", p->boot);

    conf->server = &p->server;
    conf->guild_id = token.guild_id;
    conf->channel_id = token.channel_id;
    conf->user_id = token.user_id;
    conf->version = AGENT_PROBE_VERSION;
    conf->mode = VC_MODE_FIRST;
    snprintf(conf->session_id, sizeof(conf->session_id), "%s",
             token.session_id);

    return voice_token_sign(&p->keys, &token, conf->token,
                            sizeof(conf->token)) == VOICE_OK;
}


static void
agent_probe_leave(agent_probe_end_t *e)
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
agent_probe_join(agent_probe_t *p, agent_probe_end_t *e)
{
    vc_client_conf_t  conf;

    if (e->ended) {
        agent_probe_leave(e);
        e->next = p->agent->now + agent_spread(AGENT_PROBE_AGAIN);
    }

    if (e->used || p->agent->now < e->next) {
        return;
    }

    if (agent_probe_conf(p, e, &conf)) {
        e->used = true;
        vc_client_start(&e->client, p->loop, &conf, &agent_probe_handlers, e);
    }

    sodium_memzero(conf.token, sizeof(conf.token));
}


static void
agent_probe_forget(agent_probe_t *p)
{
    agent_probe_leave(&p->end[0]);
    agent_probe_leave(&p->end[1]);
    memset(&p->check, 0, sizeof(p->check));
}


/* nginx has begun anew: sessions are gone, and nothing is known of it. */

static void
agent_probe_reborn(agent_probe_t *p)
{
    char                          boot[VOICE_CLUSTER_BOOT_MAX + 1];
    const voice_cluster_relay_t  *relay;

    relay = &p->agent->zone.w.c.header->relay;
    snprintf(boot, sizeof(boot), "%.*s", (int) sizeof(relay->boot) - 1,
             relay->boot);

    if (strcmp(boot, p->boot) == 0) {
        return;
    }

    memcpy(p->boot, boot, sizeof(boot));
    agent_probe_forget(p);
}


static void
agent_probe_send(agent_probe_t *p)
{
    uint8_t  payload[AGENT_PROBE_LEN];

    memset(payload, 0, sizeof(payload));
    voice_put_u32(payload, AGENT_PROBE_MAGIC);
    voice_put_u32(payload + 4, agent_check_sent(&p->check, p->agent->now));

    if (p->end[0].live && p->end[1].live) {
        (void) vc_client_send(&p->end[0].client, payload, sizeof(payload),
                              AGENT_PROBE_SAMPLES);
    }
}


void
agent_probe_tick(agent_t *a)
{
    agent_probe_t  *p = a->probe;

    if (p == NULL) {
        return;
    }

    if (a->conf.probe_period == 0) {
        agent_probe_forget(p);
        a->relay.mute = false;
        p->told = false;
        return;
    }

    /* first what has come: that we were slow is nobody's fault */

    (void) vc_loop_turn(p->loop, 0);

    /* before that it is not known which node this is */

    if (a->session.register_rev == 0 && !p->end[0].used) {
        return;
    }

    agent_probe_reborn(p);
    agent_probe_join(p, &p->end[0]);
    agent_probe_join(p, &p->end[1]);

    if (agent_check_due(&p->check, a->now)) {
        agent_probe_send(p);
    }

    a->relay.mute = p->check.bad;

    if (p->told != p->check.bad) {
        p->told = p->check.bad;
        agent_log(p->told ? AGENT_LOG_ERR : AGENT_LOG_INFO, p->told
                  ? "this node's relay has lost %d probes in a row: the node "
                    "says that it is down"
                  : "probes come through this node's relay again, %d in a row",
                  p->told ? AGENT_CHECK_MISSES : AGENT_CHECK_GOOD);
    }
}


/* Without a tick nobody would read what made it readable. */

int
agent_probe_fd(const agent_t *a)
{
    return a->probe == NULL || a->zone.mem == NULL
           || a->conf.probe_period == 0 ? -1 : vc_loop_fd(a->probe->loop);
}


static bool
agent_probe_key(agent_probe_t *p, const char *path)
{
    int          fd;
    char         buf[AGENT_PROBE_KEY_MAX];
    ssize_t      n;
    const char  *why;
    voice_err_t  err;

    fd = open(path, O_RDONLY|O_CLOEXEC);
    n = fd == -1 ? -1 : read(fd, buf, sizeof(buf));

    if (n == -1) {
        agent_log(AGENT_LOG_ERR, "\"probe.key\" is \"%s\": %s", path,
                  strerror(errno));
        err = VOICE_E_SYS;

    } else {
        why = "";
        err = voice_token_key_add(&p->keys, buf, (size_t) n, &why);

        if (err != VOICE_OK) {
            agent_log(AGENT_LOG_ERR, "\"probe.key\" is \"%s\": %s", path,
                      why);
        }
    }

    if (fd != -1) {
        close(fd);
    }

    sodium_memzero(buf, sizeof(buf));

    return err == VOICE_OK;
}


/* Only literal addresses: nobody here waits for names to be looked up. */

static bool
agent_probe_server(agent_probe_t *p, const agent_conf_t *conf)
{
    char     error[VC_ERROR_MAX];
    uint8_t  addr[16];

    if (!vc_server_parse(&p->server, conf->probe_url, error)) {
        agent_log(AGENT_LOG_ERR, "\"probe.url\": %s", error);
        return false;
    }

    if (inet_pton(AF_INET, p->server.host, addr) != 1
        && inet_pton(AF_INET6, p->server.host, addr) != 1)
    {
        agent_log(AGENT_LOG_ERR, "\"probe.url\" is \"%s\": expected an IP "
                  "address as its host", conf->probe_url);
        return false;
    }

    if (!vc_server_open(&p->server, conf->probe_ca[0] != '\0'
                        ? conf->probe_ca : NULL, false, error))
    {
        agent_log(AGENT_LOG_ERR, "\"probe.url\": %s", error);
        return false;
    }

    return true;
}


bool
agent_probe_start(agent_t *a)
{
    uint64_t        user;
    agent_probe_t  *p;

    if (a->conf.probe_key[0] == '\0') {
        return true;
    }

    p = calloc(1, sizeof(agent_probe_t));
    a->probe = p;

    if (p == NULL || (p->loop = vc_loop_create()) == NULL) {
        agent_log(AGENT_LOG_ERR, "no memory");
        return false;
    }

    /* the same ones after a restart: they take the place of the old ones */

    user = voice_assign_score(1, a->conf.node) | 2;

    p->agent = a;
    p->end[0].probe = p;
    p->end[0].user = user;
    p->end[1].probe = p;
    p->end[1].user = user ^ 1;

    return agent_probe_key(p, a->conf.probe_key)
           && agent_probe_server(p, &a->conf);
}


void
agent_probe_stop(agent_t *a)
{
    agent_probe_t  *p = a->probe;

    if (p == NULL) {
        return;
    }

    if (p->loop != NULL) {
        agent_probe_leave(&p->end[0]);
        agent_probe_leave(&p->end[1]);
        vc_loop_free(p->loop);
    }

    vc_server_close(&p->server);
    voice_token_keys_free(&p->keys);
    free(p);
    a->probe = NULL;
}
