/*
 * Copyright (C) ngx-voice contributors
 *
 * nginx's side of the cluster zone without nginx: what a worker does, told
 * by lines on standard input, for tests of the agent alone.
 *
 *   cluster-worker FILE BOOT CAPACITY
 *
 *   join ID GUILD [REGION]     claim ID GUILD     suspect ID GUILD
 *   move ID GUILD NODE|REGION/
 *   use GUILD    unuse GUILD   stamped as used from now on, or no more
 *   find ID GUILD              sessions N         drain 0|1
 *   flood N                    packets received at each turn from now on
 *   state ID                   nodes ID           guilds ID
 *   bench ID N FIRST           N joins at once, FIRST first; their number
 *
 * Each question gets one line of JSON with its ID.
 */


#include "agent_zone.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/socket.h>
#include <sys/un.h>


#define WORKER           0
#define WORKER_TICK      50
#define WORKER_PENDING   4096
#define WORKER_USED      65536


typedef struct {
    uint64_t   id;             /* 0: free */
    uint64_t   guild;
    uint64_t   ticket;
    uint64_t   deadline;
    uint64_t   begun;
    bool       refused;        /* voice_cluster_request() itself refused */
    bool       bench;
} worker_wait_t;


typedef struct {
    voice_cluster_t   c;
    int               socket;
    char              name[VOICE_WORKER_NAME_MAX];
    worker_wait_t     wait[WORKER_PENDING];
    uint64_t         *used;
    size_t            uses;
    uint64_t          changes;
    uint64_t          change_count;
    uint64_t          changes_next;
    uint64_t          bench_id;
    size_t            bench_left;
    size_t            bench_ok;
    uint64_t          bench_begun;
    uint64_t          flood;
} worker_t;


static socklen_t
worker_address(struct sockaddr_un *sun, const char *name)
{
    memset(sun, 0, sizeof(struct sockaddr_un));
    sun->sun_family = AF_UNIX;
    memcpy(sun->sun_path + 1, name, strnlen(name, VOICE_WORKER_NAME_MAX));

    return (socklen_t) (offsetof(struct sockaddr_un, sun_path) + 1
                        + strnlen(name, VOICE_WORKER_NAME_MAX));
}


static void
worker_wake_agent(worker_t *w)
{
    socklen_t           len;
    struct sockaddr_un  sun;

    len = worker_address(&sun, w->c.header->agent.name);
    (void) sendto(w->socket, "", 1, MSG_DONTWAIT, (struct sockaddr *) &sun,
                  len);
}


static void
worker_find(worker_t *w, uint64_t id, uint64_t guild, voice_err_t result,
    uint64_t took)
{
    voice_err_t         err;
    voice_node_info_t   info;
    voice_assignment_t  a;

    memset(&a, 0, sizeof(a));
    memset(&info, 0, sizeof(info));

    err = voice_cluster_find(&w->c, guild, &a);

    if (err == VOICE_OK) {
        (void) voice_cluster_node(&w->c, a.node, &info, NULL);
    }

    printf("{\"id\":%" PRIu64 ",\"result\":\"%s\",\"find\":\"%s\","
           "\"node\":\"%s\",\"boot\":\"%s\",\"endpoint\":\"%s\","
           "\"revision\":%" PRIu64 ",\"provisional\":%s,\"orphan\":%s,"
           "\"ms\":%" PRIu64 "}\n", id, voice_err_name(result),
           voice_err_name(err), info.name, info.boot, info.endpoint,
           a.revision,
           a.flags & VOICE_ASSIGNED_PROVISIONAL ? "true" : "false",
           a.flags & VOICE_ASSIGNED_ORPHAN ? "true" : "false", took);
}


static worker_wait_t *
worker_ask(worker_t *w, uint64_t id, voice_cluster_request_t *rq)
{
    size_t          i;
    uint64_t        now, ticket;
    voice_err_t     err;
    worker_wait_t  *wait;

    now = agent_zone_now();
    ticket = 0;
    err = voice_cluster_request(&w->c, WORKER, rq, now, &ticket);

    if (err != VOICE_OK) {
        if (id != w->bench_id) {
            worker_find(w, id, rq->guild, err, 0);
        }

        return NULL;
    }

    for (i = 0; i < WORKER_PENDING; i++) {
        wait = &w->wait[i];

        if (wait->id == 0) {
            memset(wait, 0, sizeof(worker_wait_t));
            wait->id = id;
            wait->guild = rq->guild;
            wait->ticket = ticket;
            wait->begun = now;
            wait->deadline = now + VOICE_CLUSTER_DEADLINE;
            worker_wake_agent(w);
            return wait;
        }
    }

    return NULL;
}


static void
worker_bench_one(worker_t *w, voice_err_t err)
{
    w->bench_ok += (err == VOICE_OK);

    if (--w->bench_left == 0) {
        printf("{\"id\":%" PRIu64 ",\"ok\":%zu,\"ms\":%" PRIu64 "}\n",
               w->bench_id, w->bench_ok, agent_zone_now() - w->bench_begun);
        w->bench_id = 0;
    }
}


static void
worker_answers(worker_t *w)
{
    size_t          i;
    uint64_t        now, id;
    voice_err_t     err;
    worker_wait_t  *wait;

    now = agent_zone_now();

    for (i = 0; i < WORKER_PENDING; i++) {
        wait = &w->wait[i];

        if (wait->id == 0) {
            continue;
        }

        err = voice_cluster_answer(&w->c, wait->ticket);

        if (err == VOICE_AGAIN && now < wait->deadline) {
            continue;
        }

        id = wait->id;
        wait->id = 0;

        if (wait->bench) {
            worker_bench_one(w, err);

        } else {
            worker_find(w, id, wait->guild, err, now - wait->begun);
        }
    }
}


static void
worker_bench(worker_t *w, uint64_t id, uint64_t n, uint64_t first)
{
    uint64_t                  i;
    worker_wait_t            *wait;
    voice_cluster_request_t   rq;

    memset(&rq, 0, sizeof(rq));
    rq.kind = VOICE_REQUEST_JOIN;

    w->bench_id = id;
    w->bench_left = n;
    w->bench_ok = 0;
    w->bench_begun = agent_zone_now();

    for (i = 0; i < n; i++) {
        rq.guild = first + i;
        wait = worker_ask(w, id, &rq);

        if (wait != NULL) {
            wait->bench = true;

        } else {
            worker_bench_one(w, VOICE_E_FULL);
        }
    }
}


static void
worker_use(worker_t *w, uint64_t guild, bool on)
{
    size_t  i;

    for (i = 0; i < w->uses && w->used[i] != guild; i++) { /* void */ }

    if (on && i == w->uses && i < WORKER_USED) {
        w->used[w->uses++] = guild;
        (void) voice_cluster_used(&w->c, guild, 1, agent_zone_now());

    } else if (!on && i < w->uses) {
        w->used[i] = w->used[--w->uses];
    }
}


static void
worker_nodes(worker_t *w, uint64_t id)
{
    uint32_t           slot;
    voice_id_t         node;
    const char        *comma;
    voice_node_info_t  info;
    voice_node_load_t  load;

    slot = 0;
    comma = "";
    printf("{\"id\":%" PRIu64 ",\"nodes\":[", id);

    while (voice_cluster_node_next(&w->c, &slot, &node, &info, &load)
           == VOICE_OK)
    {
        printf("%s{\"name\":\"%s\",\"flags\":%u,\"boot\":\"%s\","
               "\"participants\":%u,\"capacity\":%u,\"loaded\":%s}", comma,
               info.name, info.flags, info.boot, load.participants,
               info.capacity, load.at != 0 ? "true" : "false");
        comma = ",";
    }

    printf("]}\n");
}


static void
worker_guilds(worker_t *w, uint64_t id)
{
    uint32_t            slot;
    const char         *comma;
    voice_node_info_t   info;
    voice_assignment_t  a;

    slot = 0;
    comma = "";
    printf("{\"id\":%" PRIu64 ",\"guilds\":[", id);

    while (voice_cluster_guild_next(&w->c, &slot, &a) == VOICE_OK) {
        memset(&info, 0, sizeof(info));
        (void) voice_cluster_node(&w->c, a.node, &info, NULL);
        printf("%s[\"%" PRIu64 "\",\"%s\",%" PRIu64 "]", comma, a.guild,
               info.name, a.revision);
        comma = ",";
    }

    printf("]}\n");
}


static void
worker_state(worker_t *w, uint64_t id)
{
    static const char  *name[] = { "none", "starting", "up", "unsure",
                                   "lost" };
    voice_cluster_agent_t  *agent = &w->c.header->agent;

    printf("{\"id\":%" PRIu64 ",\"state\":\"%s\",\"etcd\":%u,"
           "\"nodes_up\":%u,\"revision\":%" PRIu64 ",\"guilds\":%u,"
           "\"changes\":%" PRIu64 ",\"starts\":%" PRIu64 "}\n", id,
           name[voice_cluster_agent(&w->c, agent_zone_now()) % 5],
           atomic_load(&agent->etcd), atomic_load(&agent->nodes_up),
           atomic_load(&agent->revision),
           atomic_load(&w->c.header->guilds_used), w->change_count,
           atomic_load(&agent->starts));
}


static void
worker_line(worker_t *w, char *line)
{
    int                       n;
    char                      what[16], text[40];
    size_t                    len;
    uint64_t                  id, guild;
    voice_cluster_request_t   rq;

    text[0] = '\0';
    guild = 0;
    n = sscanf(line, "%15s %" SCNu64 " %" SCNu64 " %39s", what, &id, &guild,
               text);

    if (n < 2) {
        fprintf(stderr, "cluster-worker: \"%s\"?\n", line);
        return;
    }

    memset(&rq, 0, sizeof(rq));
    rq.guild = guild;
    len = strlen(text);

    if (strcmp(what, "join") == 0) {
        rq.kind = VOICE_REQUEST_JOIN;
        snprintf(rq.region, sizeof(rq.region), "%.32s", text);
        (void) worker_ask(w, id, &rq);

    } else if (strcmp(what, "claim") == 0) {
        rq.kind = VOICE_REQUEST_CLAIM;
        (void) worker_ask(w, id, &rq);

    } else if (strcmp(what, "suspect") == 0) {
        rq.kind = VOICE_REQUEST_SUSPECT;
        (void) worker_ask(w, id, &rq);

    } else if (strcmp(what, "move") == 0 && len != 0) {
        rq.kind = VOICE_REQUEST_MOVE;

        if (text[len - 1] == '/') {
            snprintf(rq.region, sizeof(rq.region), "%.*s", (int) len - 1,
                     text);
        } else {
            snprintf(rq.node, sizeof(rq.node), "%.32s", text);
        }

        (void) worker_ask(w, id, &rq);

    } else if (strcmp(what, "bench") == 0) {
        worker_bench(w, id, guild, strtoull(text, NULL, 10));

    } else if (strcmp(what, "find") == 0) {
        worker_find(w, id, guild, VOICE_OK, 0);

    } else if (strcmp(what, "nodes") == 0) {
        worker_nodes(w, id);

    } else if (strcmp(what, "guilds") == 0) {
        worker_guilds(w, id);

    } else if (strcmp(what, "state") == 0) {
        worker_state(w, id);

    } else if (strcmp(what, "use") == 0 || strcmp(what, "unuse") == 0) {
        worker_use(w, id, what[1] == 's');

    } else if (strcmp(what, "sessions") == 0) {
        atomic_store(&w->c.header->relay.sessions, (uint32_t) id);

    } else if (strcmp(what, "flood") == 0) {
        w->flood = id;

    } else if (strcmp(what, "drain") == 0) {
        atomic_store(&w->c.header->relay.draining, (uint32_t) id);

    } else {
        fprintf(stderr, "cluster-worker: \"%s\"?\n", what);
    }
}


static void
worker_tick(worker_t *w)
{
    size_t                   i, n;
    uint64_t                 now;
    voice_err_t              err;
    voice_cluster_change_t   list[64];

    now = agent_zone_now();
    atomic_store(&w->c.header->worker[WORKER].seen, now);
    atomic_fetch_add(&w->c.header->worker[WORKER].rx_packets, w->flood);

    for (i = 0; i < w->uses; i++) {
        (void) voice_cluster_used(&w->c, w->used[i], 1, now);
    }

    do {
        n = 0;
        err = voice_cluster_changes(&w->c, &w->changes_next, list, 64, &n);
        w->change_count += n;
    } while (err == VOICE_E_EXPIRED || n != 0);
}


static bool
worker_start(worker_t *w, char **argv)
{
    char                error[512];
    socklen_t           len;
    struct sockaddr_un  sun;

    if (!agent_zone_view(&w->c, argv[1], error)) {
        fprintf(stderr, "cluster-worker: %s\n", error);
        return false;
    }

    snprintf(w->name, sizeof(w->name), "cluster-worker.%d", (int) getpid());
    w->socket = socket(AF_UNIX, SOCK_DGRAM|SOCK_NONBLOCK|SOCK_CLOEXEC, 0);
    len = worker_address(&sun, w->name);
    w->used = calloc(WORKER_USED, sizeof(uint64_t));

    if (w->socket == -1 || w->used == NULL
        || bind(w->socket, (struct sockaddr *) &sun, len) == -1)
    {
        perror("cluster-worker");
        return false;
    }

    if (voice_cluster_relay_set(&w->c, argv[2], "127.0.0.1:1",
                                (uint32_t) atoi(argv[3])) != VOICE_OK)
    {
        fprintf(stderr, "cluster-worker: boot id \"%s\"?\n", argv[2]);
        return false;
    }

    w->changes_next = voice_cluster_changes_next(&w->c);
    voice_cluster_worker_register(&w->c, WORKER, (uint32_t) getpid(),
                                  w->name, agent_zone_now());

    return true;
}


int
main(int argc, char **argv)
{
    char             byte, *nl;
    size_t           len;
    ssize_t          n;
    struct pollfd    fds[2];
    static char      line[4096];
    static worker_t  w;

    if (argc != 4 || !worker_start(&w, argv)) {
        return 2;
    }

    setvbuf(stdout, NULL, _IOLBF, 0);
    printf("{\"id\":0,\"ready\":true}\n");

    fds[0].fd = STDIN_FILENO;
    fds[0].events = POLLIN;
    fds[1].fd = w.socket;
    fds[1].events = POLLIN;

    for (len = 0; /* void */ ; ) {
        (void) poll(fds, 2, WORKER_TICK);

        while (recv(w.socket, &byte, 1, MSG_DONTWAIT) >= 0) { /* void */ }

        worker_tick(&w);
        worker_answers(&w);

        if ((fds[0].revents & (POLLIN | POLLHUP)) == 0) {
            continue;
        }

        n = read(STDIN_FILENO, line + len, sizeof(line) - 1 - len);

        if (n <= 0) {
            return 0;
        }

        len += (size_t) n;
        line[len] = '\0';

        while ((nl = strchr(line, '\n')) != NULL) {
            *nl = '\0';
            worker_line(&w, line);
            len -= (size_t) (nl + 1 - line);
            memmove(line, nl + 1, len + 1);
        }
    }
}
