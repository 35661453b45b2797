/*
 * Copyright (C) ngx-voice contributors
 *
 * Voice-like traffic through this node's own relay and through those of a few
 * others, see agent_ring.c.
 *
 * A relay that lets nothing through any more says that it is down, as one
 * that has ended, however alive its processes look.  Of others whose probes
 * are lost the model is told, unless those of all are: it is this node then
 * that is cut off.
 */


#include "agent_probe.h"
#include "agent_path.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>


#define AGENT_PROBE_KEY_MAX   16384


typedef enum {
    AGENT_PEER_GOOD = 0,
    AGENT_PEER_LOST,
    AGENT_PEER_ALONE                   /* it, and all others that we probe */
} agent_peer_said_t;


typedef struct {
    agent_path_t        path;
    char                endpoint[VOICE_CLUSTER_ENDPOINT_MAX + 1];
    agent_peer_said_t   said;          /* of it, and in the log */
} agent_peer_t;


struct agent_probe_s {
    agent_t          *agent;
    agent_talker_t    talker;
    vc_server_t       tls;             /* of its context peers have a part */
    agent_path_t      own;
    agent_peer_t      peer[AGENT_PEERS];   /* endpoint "": unused */
};


/* A first one is lost: whether others answer shall be known by the third. */

static void
agent_probe_hurry(agent_probe_t *p)
{
    size_t  i;

    agent_check_hurry(&p->own.check, p->talker.now);

    for (i = 0; i < AGENT_PEERS; i++) {
        agent_check_hurry(&p->peer[i].path.check, p->talker.now);
    }
}


static void
agent_probe_own(agent_probe_t *p)
{
    char           boot[VOICE_CLUSTER_BOOT_MAX + 1];
    agent_t       *a = p->agent;
    agent_node_t  *self;

    /* nginx has begun anew: sessions are gone, and nothing is known of it */

    snprintf(boot, sizeof(boot), "%.*s", VOICE_CLUSTER_BOOT_MAX,
             a->zone.w.c.header->relay.boot);
    agent_path_to(&p->own, a->conf.node, boot);

    self = agent_model_self(&a->model);

    if (self != NULL && self->hurry) {
        self->hurry = false;
        agent_check_hurry(&p->own.check, p->talker.now);
    }

    (void) agent_path_tick(&p->own);

    a->relay.mute = p->own.check.bad;

    if (p->own.told != p->own.check.bad) {
        p->own.told = p->own.check.bad;
        agent_log(p->own.told ? AGENT_LOG_ERR : AGENT_LOG_INFO, p->own.told
                  ? "this node's relay has lost %d probes in a row: the node "
                    "says that it is down"
                  : "probes come through this node's relay again, %d in a row",
                  p->own.told ? AGENT_CHECK_MISSES : AGENT_CHECK_GOOD);
    }
}


static void
agent_peer_end(agent_probe_t *p, agent_peer_t *peer)
{
    agent_node_t  *node;

    node = agent_model_node(&p->agent->model, peer->path.node);

    if (node != NULL) {
        node->lost = 0;
    }

    agent_path_close(&peer->path);
    memset(peer, 0, sizeof(agent_peer_t));
}


/* As clients find it. */

static void
agent_peer_begin(agent_probe_t *p, agent_peer_t *peer,
    const agent_node_t *node)
{
    char  error[VC_ERROR_MAX], url[VOICE_CLUSTER_ENDPOINT_MAX + 16];

    snprintf(url, sizeof(url), "wss://%s/", node->info.endpoint);

    if (!vc_server_parse(&peer->path.server, url, error)) {
        return;                        /* it was checked: it is one */
    }

    SSL_CTX_up_ref(p->tls.ctx);
    peer->path.server.ctx = p->tls.ctx;
    peer->path.server.verify = true;

    memcpy(peer->endpoint, node->info.endpoint, sizeof(peer->endpoint));
    agent_path_init(&peer->path, &p->talker);
}


static bool
agent_peer_is(const agent_peer_t *peer, const agent_node_t *node)
{
    return strcmp(peer->path.node, node->info.name) == 0
           && strcmp(peer->endpoint, node->info.endpoint) == 0;
}


/* Those of the list have a path each, and nobody else has. */

static void
agent_probe_choose(agent_probe_t *p, agent_node_t *const *list, size_t n)
{
    size_t         i, k;
    agent_peer_t  *peer;

    for (i = 0; i < AGENT_PEERS; i++) {
        peer = &p->peer[i];

        for (k = 0; k < n && !agent_peer_is(peer, list[k]); k++) {
            /* void */
        }

        if (k == n && peer->endpoint[0] != '\0') {
            agent_peer_end(p, peer);
        }
    }

    for (k = 0; k < n; k++) {

        for (i = 0; i < AGENT_PEERS && !agent_peer_is(&p->peer[i], list[k]);
             i++) { /* void */ }

        for (peer = p->peer; i == AGENT_PEERS && peer->endpoint[0] != '\0';
             peer++) { /* void */ }

        if (i == AGENT_PEERS) {
            agent_peer_begin(p, peer, list[k]);

        } else {
            peer = &p->peer[i];
        }

        agent_path_to(&peer->path, list[k]->info.name, list[k]->info.boot);
    }
}


/* Others of the ring; in a fleet of two there is none but ourselves. */

static bool
agent_peer_lost(const agent_probe_t *p, const agent_peer_t *peer)
{
    size_t                i, n;
    const agent_check_t  *others[AGENT_PEERS];

    n = 0;

    for (i = 0; i < AGENT_PEERS; i++) {
        if (p->peer[i].endpoint[0] != '\0' && &p->peer[i] != peer) {
            others[n++] = &p->peer[i].path.check;
        }
    }

    if (n == 0) {
        others[n++] = &p->own.check;
    }

    return agent_check_accuses(&peer->path.check,
                               peer->said == AGENT_PEER_LOST, others, n);
}


static void
agent_peer_judge(agent_probe_t *p, agent_peer_t *peer, agent_node_t *node)
{
    bool               lost;
    agent_peer_said_t  said;

    lost = agent_peer_lost(p, peer);
    node->lost = lost ? peer->path.check.since : 0;

    said = lost ? AGENT_PEER_LOST
           : peer->path.check.bad ? AGENT_PEER_ALONE : AGENT_PEER_GOOD;

    if (peer->said == said) {
        return;
    }

    peer->said = said;

    switch (said) {

    case AGENT_PEER_LOST:
        agent_log(AGENT_LOG_WARN, "node \"%s\" is suspected: it has lost %d "
                  "probes in a row", node->info.name, AGENT_CHECK_MISSES);
        break;

    case AGENT_PEER_ALONE:
        agent_log(AGENT_LOG_WARN, "node \"%s\" has lost %d probes in a row, "
                  "and no other node answers: it is not suspected",
                  node->info.name, AGENT_CHECK_MISSES);
        break;

    default:
        agent_log(AGENT_LOG_INFO, "probes of node \"%s\" come back again",
                  node->info.name);
    }
}


static void
agent_probe_peers(agent_probe_t *p)
{
    size_t         i, n;
    agent_peer_t  *peer;
    agent_node_t  *node, *self, *list[AGENT_PEERS];

    self = agent_model_self(&p->agent->model);
    n = self == NULL ? 0 : agent_model_peers(&p->agent->model, self, list);
    agent_probe_choose(p, list, n);

    for (i = 0; i < AGENT_PEERS; i++) {
        peer = &p->peer[i];

        if (peer->endpoint[0] == '\0') {
            continue;
        }

        node = agent_model_node(&p->agent->model, peer->path.node);

        if (node->hurry) {
            node->hurry = false;
            agent_check_hurry(&peer->path.check, p->talker.now);
        }

        if (agent_path_tick(&peer->path)) {
            agent_probe_hurry(p);
        }

        agent_peer_judge(p, peer, node);
    }
}


/* Before the node is registered it is not known which one it is. */

void
agent_probe_tick(agent_t *a)
{
    agent_probe_t  *p = a->probe;

    if (p == NULL) {
        return;
    }

    p->talker.now = a->now;
    p->talker.period = a->conf.probe_period;

    if (p->talker.period == 0) {
        agent_path_forget(&p->own);
        agent_probe_choose(p, NULL, 0);
        a->relay.mute = false;
        p->own.told = false;
        return;
    }

    /* first what has come: that we were slow is nobody's fault */

    (void) vc_loop_turn(p->talker.loop, 0);

    if (a->session.register_rev != 0 || p->own.end[0].used) {
        agent_probe_own(p);
        agent_probe_peers(p);
    }
}


/* Without a tick nobody would read what made it readable. */

int
agent_probe_fd(const agent_t *a)
{
    return a->probe == NULL || a->zone.mem == NULL
           || a->conf.probe_period == 0 ? -1
           : vc_loop_fd(a->probe->talker.loop);
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
        err = voice_token_key_add(&p->talker.keys, buf, (size_t) n, &why);

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
    char         error[VC_ERROR_MAX];
    const char  *ca;

    ca = conf->probe_ca[0] != '\0' ? conf->probe_ca : NULL;

    if (!vc_server_parse(&p->own.server, conf->probe_url, error)) {
        agent_log(AGENT_LOG_ERR, "\"probe.url\": %s", error);
        return false;
    }

    if (!vc_server_literal(&p->own.server)) {
        agent_log(AGENT_LOG_ERR, "\"probe.url\" is \"%s\": expected an IP "
                  "address as its host", conf->probe_url);
        return false;
    }

    if (!vc_server_open(&p->own.server, ca, false, error)
        || !vc_server_secure(&p->tls, ca, false, error))
    {
        agent_log(AGENT_LOG_ERR, "\"probe.url\" or \"probe.ca\": %s", error);
        return false;
    }

    return true;
}


bool
agent_probe_start(agent_t *a)
{
    agent_probe_t  *p;

    if (a->conf.probe_key[0] == '\0') {
        return true;
    }

    p = calloc(1, sizeof(agent_probe_t));
    a->probe = p;

    if (p == NULL || (p->talker.loop = vc_loop_create()) == NULL) {
        agent_log(AGENT_LOG_ERR, "no memory");
        return false;
    }

    p->agent = a;

    /* the same ones after a restart: they take the place of the old ones */

    p->talker.user = voice_assign_score(1, a->conf.node) | 2;

    agent_path_init(&p->own, &p->talker);

    return agent_probe_key(p, a->conf.probe_key)
           && agent_probe_server(p, &a->conf);
}


void
agent_probe_stop(agent_t *a)
{
    size_t          i;
    agent_probe_t  *p = a->probe;

    if (p == NULL) {
        return;
    }

    if (p->talker.loop != NULL) {
        agent_path_close(&p->own);

        for (i = 0; i < AGENT_PEERS; i++) {
            agent_path_close(&p->peer[i].path);
        }

        vc_loop_free(p->talker.loop);
    }

    vc_server_close(&p->tls);
    voice_token_keys_free(&p->talker.keys);
    free(p);
    a->probe = NULL;
}
