/*
 * Copyright (C) ngx-voice contributors
 *
 * The nginx of this node, as it shows itself in the cluster zone.
 */


#include "agent.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>


#define AGENT_RELAY_PERIOD    250
#define AGENT_RELAY_MISSES    3
#define AGENT_RELAY_HUNG      5000     /* ms without a sign of any worker */


/*
 * A process that was killed is there until its parent has seen it; of one
 * whose master has died, too, that is init, which may take its time.
 */

static bool
agent_relay_runs(uint32_t pid)
{
    char    path[32], stat[256], *p;
    FILE   *f;
    size_t  n;

    /* another user's process can't be signalled, but it is there */

    if (pid == 0 || pid > INT32_MAX
        || (kill((pid_t) pid, 0) != 0 && errno != EPERM))
    {
        return false;
    }

    snprintf(path, sizeof(path), "/proc/%u/stat", (unsigned) pid);

    f = fopen(path, "re");
    if (f == NULL) {
        return true;
    }

    n = fread(stat, 1, sizeof(stat) - 1, f);
    fclose(f);
    stat[n] = '\0';

    /* proc(5): the name in parentheses, a space, the state */

    p = strrchr(stat, ')');

    return p == NULL || strncmp(p, ") Z", 3) != 0;
}


/* At least one worker is there, and one has moved lately. */

static bool
agent_relay_probe(agent_t *a)
{
    bool                     alive;
    unsigned                 i;
    uint64_t                 now;
    voice_cluster_worker_t  *w;

    alive = false;
    now = agent_zone_now();

    for (i = 0; i < VOICE_WORKERS_MAX && !alive; i++) {
        w = &a->zone.w.c.header->worker[i];

        alive = now < atomic_load(&w->seen) + AGENT_RELAY_HUNG
                && agent_relay_runs(atomic_load(&w->pid));
    }

    return alive;
}


void
agent_relay_tick(agent_t *a)
{
    agent_relay_t  *r = &a->relay;

    if (a->now < r->next) {
        return;
    }

    r->next = a->now + AGENT_RELAY_PERIOD;

    if (agent_relay_probe(a)) {
        r->misses = 0;

        if (!r->alive) {
            r->alive = true;
            agent_log(AGENT_LOG_INFO, "this node's nginx is there");
        }

        return;
    }

    if (++r->misses == AGENT_RELAY_MISSES && r->alive) {
        r->alive = false;
        agent_log(AGENT_LOG_ERR, "this node's nginx has gone: the node says "
                  "that it is down");
    }
}


/* Whether it is alive is not another matter because its counters are. */

void
agent_relay_rezone(agent_t *a)
{
    agent_relay_t  *r = &a->relay;

    r->sampled = 0;
    r->rx_rate = 0;
    memset(r->cpu, 0, sizeof(r->cpu));
}


const char *
agent_relay_state(const agent_t *a)
{
    if (!a->relay.alive || a->relay.mute) {
        return "down";
    }

    return a->session.drained ? "drained"
           : agent_drain_wanted(a) ? "drain" : "up";
}


static uint16_t
agent_permille(double share)
{
    return share < 0 ? 0 : share > 60 ? 60000 : (uint16_t) (share * 1000);
}


void
agent_relay_load(agent_t *a, voice_node_load_t *load)
{
    double                   seconds, busiest, share;
    unsigned                 i;
    uint64_t                 cpu, tx_bytes, packets, rx_packets;
    agent_relay_t           *r = &a->relay;
    voice_cluster_worker_t  *w;
    voice_cluster_header_t  *h = a->zone.w.c.header;

    memset(load, 0, sizeof(voice_node_load_t));

    load->participants = atomic_load(&h->relay.sessions);
    load->guilds = atomic_load(&h->relay.guilds);

    seconds = (double) (a->now - r->sampled) / 1000;
    busiest = 0;
    tx_bytes = 0;
    packets = 0;
    rx_packets = 0;

    for (i = 0; i < VOICE_WORKERS_MAX; i++) {
        w = &h->worker[i];
        cpu = atomic_load(&w->cpu);

        /* a worker is one thread: the busiest one is the limit */

        share = cpu > r->cpu[i] ? (double) (cpu - r->cpu[i]) / 1e6 / seconds
                                : 0;
        busiest = share > busiest ? share : busiest;

        r->cpu[i] = cpu;
        tx_bytes += atomic_load(&w->tx_bytes);
        packets += atomic_load(&w->tx_packets);
        rx_packets += atomic_load(&w->rx_packets);
    }

    packets += rx_packets;

    if (r->sampled != 0 && seconds > 0) {
        load->cpu = agent_permille(busiest);
        load->bandwidth = agent_permille((double) (tx_bytes - r->tx_bytes) * 8
                                         / seconds / a->conf.bandwidth / 1e6);
        load->packets = agent_permille((double) (packets - r->packets)
                                       / seconds / a->conf.packets);
        r->rx_rate = rx_packets < r->rx_packets ? 0
                     : (double) (rx_packets - r->rx_packets) / seconds;
    }

    r->sampled = a->now;
    r->tx_bytes = tx_bytes;
    r->packets = packets;
    r->rx_packets = rx_packets;
}
