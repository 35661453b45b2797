/*
 * Copyright (C) ngx-voice contributors
 *
 * ngx-voice-agent: keeps one node and its region known to each other.
 */


#include "agent.h"
#include "agent_probe.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/signalfd.h>


#define AGENT_MIRROR_PERIOD   10000


static const char  agent_usage[] =
    "Usage: ngx-voice-agent -c FILE [--check-config]\n\n"
    "Registers this node in etcd, assigns guilds to nodes, and writes what it\n"
    "knows to the cluster zone of nginx.  SIGHUP reads the file again,\n"
    "SIGTERM drains the node, for fleet.stop_after_ms at most, and ends,\n"
    "SIGINT ends at once.\n";


static void
agent_reload(agent_t *a, const char *path)
{
    char          error[AGENT_ERROR_MAX];
    agent_conf_t  conf;

    if (!agent_conf_read(&conf, path, error)
        || !agent_conf_reloadable(&a->conf, &conf, error))
    {
        agent_log(AGENT_LOG_ERR, "the configuration stays as it was: %s",
                  error);
        return;
    }

    a->conf = conf;
    agent_etcd_reload(a->etcd);
    agent_watch_restart(a);
    agent_log_debug(conf.debug);

    a->model.grace = conf.grace;
    a->model.hold = conf.hold;
    a->model.drain_after = conf.drain_after;
    a->model.drain_rate = conf.drain_rate;

    agent_log(AGENT_LOG_INFO, "configuration read again");
}


/* True: it is time to end; not before the node is empty, if that is near. */

static bool
agent_signals(agent_t *a, int fd, const char *path)
{
    struct signalfd_siginfo  info;

    while (read(fd, &info, sizeof(info)) == (ssize_t) sizeof(info)) {

        if (info.ssi_signo == SIGHUP) {
            agent_reload(a, path);

        } else if (info.ssi_signo == SIGINT || a->session.ending != 0
                   || a->zone.mem == NULL)
        {
            return true;

        } else {
            a->session.ending = a->now;
        }
    }

    if (a->session.ending == 0) {
        return false;
    }

    return a->zone.mem == NULL || agent_drain_done(a);
}


/* Where nodes are in another zone, nobody knows yet. */

static void
agent_zone_forget(agent_t *a)
{
    agent_node_t  *node;

    for (node = a->model.nodes; node != NULL; node = node->next) {
        node->id = 0;
    }

    while ((node = agent_model_gone(&a->model)) != NULL) {
        free(node);
    }
}


/* nginx may have made another file, or there was none that we could use. */

static void
agent_zone_check(agent_t *a)
{
    char         error[512];
    static char  told[512];

    if (a->now < a->next_stat) {
        return;
    }

    a->next_stat = a->now + 1000;

    if (a->zone.mem != NULL && !agent_zone_replaced(&a->zone)) {
        return;
    }

    if (a->zone.mem != NULL) {
        agent_log(AGENT_LOG_WARN, "cluster zone \"%s\" was replaced: using "
                  "the new one", a->conf.zone);
        agent_join_unzone(a);
        agent_zone_close(&a->zone);
    }

    if (!agent_zone_open(&a->zone, a->conf.zone, a->conf.guilds, error)) {
        if (strcmp(error, told) != 0) {
            agent_log(AGENT_LOG_ERR, "cluster zone: %s", error);
            snprintf(told, sizeof(told), "%s", error);
        }

        return;
    }

    told[0] = '\0';
    a->swept = 0;
    agent_relay_rezone(a);
    agent_zone_forget(a);
    agent_model_touch(&a->model);
}


/* What is in the zone and was taken back while nobody wrote it. */

static void
agent_zone_sweep(agent_t *a)
{
    uint32_t             slot;
    voice_id_t           id;
    agent_node_t        *node;
    agent_guild_t       *guild;
    voice_node_info_t    info;
    voice_assignment_t   as;

    slot = 0;

    while (voice_cluster_guild_next(&a->zone.w.c, &slot, &as) == VOICE_OK) {
        guild = agent_model_guild(&a->model, as.guild);

        if (guild == NULL || guild->node == NULL) {
            (void) voice_cluster_unassign(&a->zone.w, as.guild);
        }
    }

    slot = 0;

    while (voice_cluster_node_next(&a->zone.w.c, &slot, &id, &info, NULL)
           == VOICE_OK)
    {
        node = agent_model_node(&a->model, info.name);

        if ((node == NULL || node->id == 0)
            && !agent_model_adopt(&a->model, &info, a->now))
        {
            voice_cluster_node_remove(&a->zone.w, id);
        }
    }
}


static void
agent_turn(agent_t *a, int signals)
{
    unsigned            n;
    struct curl_waitfd  fds[3];

    memset(fds, 0, sizeof(fds));
    fds[0].fd = signals;
    fds[0].events = CURL_WAIT_POLLIN;
    fds[1].fd = a->zone.socket;
    fds[1].events = CURL_WAIT_POLLIN;

    fds[2].fd = agent_probe_fd(a);
    fds[2].events = CURL_WAIT_POLLIN;
    n = fds[2].fd == -1 ? 2 : 3;

    agent_etcd_turn(a->etcd, fds, n, a->zone.mem == NULL ? AGENT_TURN
                    : a->model.dirty_guilds != NULL ? 0
                    : a->joins != NULL || a->moves != 0 ? 20
                    : AGENT_TURN / 5);

    a->now = agent_now();
    agent_zone_drain(&a->zone);
    agent_zone_check(a);

    if (a->zone.mem == NULL) {
        return;                        /* nothing to serve */
    }

    agent_relay_tick(a);
    agent_probe_tick(a);
    agent_session_tick(a);
    agent_suspect_tick(a);
    agent_ask_tick(a);
    agent_work_tick(a);
    agent_join_tick(a);
    agent_work_flush(a);

    if (a->session.listed && a->swept != a->session.list_revision) {
        a->swept = a->session.list_revision;
        agent_zone_sweep(a);
    }

    atomic_store(&a->zone.w.c.header->agent.bad_values, a->model.bad_values);
    voice_cluster_pulse(&a->zone.w, a->state, !agent_etcd_away(a),
                        a->model.revision, agent_zone_now());
    agent_zone_wake(&a->zone);

    if (a->now >= a->next_mirror) {
        a->next_mirror = a->now + agent_spread(AGENT_MIRROR_PERIOD);
        (void) agent_mirror_save(a);
    }
}


static bool
agent_start(agent_t *a)
{
    a->zone.fd = -1;
    a->zone.socket = -1;
    a->now = agent_now();

    if (!agent_zone_listen(&a->zone)) {
        agent_log(AGENT_LOG_ERR, "wake socket: %s", strerror(errno));
        return false;
    }

    a->etcd = agent_etcd_create(&a->conf);

    if (a->etcd == NULL || !agent_ask_create(a)
        || !agent_model_init(&a->model, a->conf.prefix, a->conf.node,
                             a->conf.region))
    {
        agent_log(AGENT_LOG_ERR, "no memory");
        return false;
    }

    a->model.grace = a->conf.grace;
    a->model.hold = a->conf.hold;
    a->model.drain_after = a->conf.drain_after;
    a->model.drain_rate = a->conf.drain_rate;

    (void) agent_mirror_load(a);

    return agent_probe_start(a);
}


static void
agent_end(agent_t *a)
{
    (void) agent_mirror_save(a);
    agent_session_end(a);
    agent_etcd_free(a->etcd);
    agent_join_free(a);
    agent_probe_stop(a);
    agent_evict_free(a);
    agent_ask_free(a);
    agent_model_free(&a->model);
    agent_zone_close(&a->zone);
    free(a->session.published);
    free(a->session.list_from);

    if (a->zone.socket != -1) {
        close(a->zone.socket);
    }
}


static int
agent_run(const char *path, bool check)
{
    int             signals;
    char            error[AGENT_ERROR_MAX];
    sigset_t        set;
    static agent_t  a;

    if (!agent_conf_read(&a.conf, path, error)) {
        fprintf(stderr, "ngx-voice-agent: %s\n", error);
        return 1;
    }

    if (check) {
        printf("ngx-voice-agent: %s is fine\n", path);
        return 0;
    }

    sigemptyset(&set);
    sigaddset(&set, SIGHUP);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigprocmask(SIG_BLOCK, &set, NULL);
    signal(SIGPIPE, SIG_IGN);

    signals = signalfd(-1, &set, SFD_NONBLOCK|SFD_CLOEXEC);

    if (signals == -1) {
        fprintf(stderr, "ngx-voice-agent: signalfd: %s\n", strerror(errno));
        return 1;
    }

    agent_log_debug(a.conf.debug);

    if (!agent_start(&a)) {
        agent_end(&a);
        return 1;
    }

    while (!agent_signals(&a, signals, path)) {
        agent_turn(&a, signals);
    }

    agent_log(AGENT_LOG_INFO, "ending");
    agent_end(&a);
    close(signals);

    return 0;
}


int
main(int argc, char **argv)
{
    int          i, rc;
    bool         check;
    const char  *path;

    path = NULL;
    check = false;

    for (i = 1; i < argc; i++) {

        if (strcmp(argv[i], "--check-config") == 0) {
            check = true;

        } else if (strcmp(argv[i], "-c") == 0 && i + 1 < argc) {
            path = argv[++i];

        } else if (strcmp(argv[i], "--help") == 0
                   || strcmp(argv[i], "-h") == 0)
        {
            fputs(agent_usage, stdout);
            return 0;

        } else {
            fprintf(stderr, "ngx-voice-agent: unknown argument \"%s\"\n\n%s",
                    argv[i], agent_usage);
            return 2;
        }
    }

    if (path == NULL) {
        fputs(agent_usage, stderr);
        return 2;
    }

    if (sodium_init() == -1 || curl_global_init(CURL_GLOBAL_ALL) != 0) {
        fputs("ngx-voice-agent: libsodium or libcurl failed to start\n",
              stderr);
        return 1;
    }

    rc = agent_run(path, check);
    curl_global_cleanup();

    return rc;
}
