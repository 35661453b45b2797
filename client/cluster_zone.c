/*
 * Copyright (C) ngx-voice contributors
 *
 * What this machine's cluster zone says.
 */


#include "cluster.h"
#include "options.h"

#include "agent_zone.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>


#define VC_CLUSTER_POLL   100          /* ms */


typedef struct {
    voice_id_t          id;
    voice_node_info_t   info;
    voice_node_load_t   load;
    uint32_t            guilds;        /* that are assigned to it */
} vc_node_t;


static bool
vc_cluster_open(const vc_cluster_t *cl, voice_cluster_t *c)
{
    char  error[512];

    if (!agent_zone_view(c, cl->conf.zone, error)) {
        vc_complain("cluster", "%s", error);
        return false;
    }

    return true;
}


static const char *
vc_cluster_agent(const voice_cluster_t *c)
{
    switch (voice_cluster_agent(c, agent_zone_now())) {
    case VOICE_AGENT_STARTING:
        return "starting";
    case VOICE_AGENT_UP:
        return "up";
    case VOICE_AGENT_UNSURE:
        return "unsure";
    case VOICE_AGENT_LOST:
        return "lost";
    default:
        return "away";
    }
}


static const char *
vc_node_state(const voice_node_info_t *info)
{
    return info->flags & VOICE_NODE_HELD ? "held"
           : (info->flags & VOICE_NODE_UP) == 0 ? "gone"
           : info->flags & VOICE_NODE_DOWN ? "down"
           : info->flags & VOICE_NODE_EVICT ? "evicted"
           : info->flags & VOICE_NODE_DRAINED ? "drained"
           : info->flags & VOICE_NODE_DRAIN ? "draining"
           : info->flags & VOICE_NODE_WAIT ? "waiting for slot"
           : info->flags & VOICE_NODE_SUSPECT ? "suspect" : "up";
}


/* The agent has checked all of it, if it was an agent that wrote it. */

static void
vc_node_clean(voice_node_info_t *info)
{
    agent_text_clean(info->name);
    agent_text_clean(info->region);
    agent_text_clean(info->dc);
    agent_text_clean(info->pool);
    agent_text_clean(info->endpoint);
    agent_text_clean(info->boot);
}


static int
vc_node_order(const void *a, const void *b)
{
    return strcmp(((const vc_node_t *) a)->info.name,
                  ((const vc_node_t *) b)->info.name);
}


/* All nodes, by name, with the guilds that they have; NULL: complained. */

static vc_node_t *
vc_nodes_read(const voice_cluster_t *c, size_t *n)
{
    size_t              i;
    uint32_t            slot, *guilds;
    vc_node_t          *list;
    voice_assignment_t  a;

    list = calloc(VOICE_CLUSTER_NODES, sizeof(vc_node_t));
    guilds = calloc(VOICE_CLUSTER_NODES, sizeof(uint32_t));

    if (list == NULL || guilds == NULL) {
        vc_complain("cluster", "no memory");
        free(list);
        free(guilds);
        return NULL;
    }

    for (slot = 0; voice_cluster_guild_next(c, &slot, &a) == VOICE_OK; ) {
        if (voice_id_index(a.node) < VOICE_CLUSTER_NODES) {
            guilds[voice_id_index(a.node)]++;
        }
    }

    slot = 0;
    *n = 0;

    while (*n < VOICE_CLUSTER_NODES
           && voice_cluster_node_next(c, &slot, &list[*n].id, &list[*n].info,
                                      &list[*n].load) == VOICE_OK)
    {
        (*n)++;
    }

    for (i = 0; i < *n; i++) {
        list[i].guilds = guilds[voice_id_index(list[i].id)];
        vc_node_clean(&list[i].info);
    }

    free(guilds);
    qsort(list, *n, sizeof(vc_node_t), vc_node_order);

    return list;
}


static json_t *
vc_node_json(const vc_node_t *node, bool self)
{
    const voice_node_info_t  *info = &node->info;
    const voice_node_load_t  *load = &node->load;

    return json_pack("{s:s,s:s,s:b,s:s,s:s,s:s,s:s,s:s,s:I,s:I,s:I,s:i,s:i,"
                     "s:i,s:o}",
        "name", info->name, "state", vc_node_state(info), "self", self,
        "region", info->region, "dc", info->dc, "pool", info->pool,
        "endpoint", info->endpoint, "boot", info->boot,
        "capacity", (json_int_t) info->capacity,
        "participants", (json_int_t) load->participants,
        "guilds", (json_int_t) node->guilds,
        "cpu", (int) load->cpu, "bandwidth", (int) load->bandwidth,
        "packets", (int) load->packets,
        "age_ms", load->at == 0 ? json_null()
                  : json_integer((json_int_t) (agent_zone_now() - load->at)));
}


static int
vc_cluster_print(json_t *root)
{
    char  *text;

    text = root == NULL ? NULL : json_dumps(root, JSON_COMPACT);
    json_decref(root);

    if (text == NULL) {
        vc_complain("cluster", "no memory");
        return VC_EXIT_FAILED;
    }

    puts(text);
    free(text);

    return VC_EXIT_OK;
}


/* Columns are as wide as what is in them. */

static int
vc_width(int width, const char *text)
{
    return (int) strlen(text) > width ? (int) strlen(text) : width;
}


static const char *
vc_or_dash(const char *text)
{
    return text[0] != '\0' ? text : "-";
}


static void
vc_nodes_table(const vc_node_t *list, size_t n, voice_id_t self)
{
    int               name, state, region, dc;
    char              age[24];
    size_t            i;
    const vc_node_t  *node;

    name = 4;
    state = 5;
    region = 6;
    dc = 2;

    for (i = 0; i < n; i++) {
        name = vc_width(name, list[i].info.name);
        state = vc_width(state, vc_node_state(&list[i].info));
        region = vc_width(region, list[i].info.region);
        dc = vc_width(dc, list[i].info.dc);
    }

    printf("  %-*s  %-*s  %-*s  %-*s  %7s %9s %7s %5s %5s %5s %9s  %s\n",
           name, "node", state, "state", region, "region", dc, "dc", "people",
           "capacity", "guilds", "cpu", "bw", "pkts", "report", "endpoint");

    for (i = 0; i < n; i++) {
        node = &list[i];
        snprintf(age, sizeof(age), "-");

        if (node->load.at != 0) {
            snprintf(age, sizeof(age), "%.1f s ago",
                     (double) (agent_zone_now() - node->load.at) / 1000);
        }

        printf("%c %-*s  %-*s  %-*s  %-*s  %7u %9u %7u %4u%% %4u%% %4u%% %9s"
               "  %s\n", node->id == self ? '*' : ' ', name, node->info.name,
               state, vc_node_state(&node->info), region,
               vc_or_dash(node->info.region), dc, vc_or_dash(node->info.dc),
               node->load.participants, node->info.capacity, node->guilds,
               node->load.cpu / 10, node->load.bandwidth / 10,
               node->load.packets / 10, age, node->info.endpoint);
    }
}


int
vc_cluster_nodes(const vc_cluster_t *cl)
{
    size_t           i, n;
    json_t          *array;
    vc_node_t       *list;
    voice_id_t       self;
    voice_cluster_t  c;

    if (!vc_cluster_open(cl, &c)) {
        return VC_EXIT_FAILED;
    }

    list = vc_nodes_read(&c, &n);

    if (list == NULL) {
        return VC_EXIT_FAILED;
    }

    self = voice_cluster_self(&c);

    if (cl->json) {
        array = json_array();

        for (i = 0; i < n; i++) {
            json_array_append_new(array, vc_node_json(&list[i],
                                                      list[i].id == self));
        }

        free(list);

        return vc_cluster_print(json_pack("{s:s,s:b,s:I,s:I,s:I,s:o}",
                   "agent", vc_cluster_agent(&c), "etcd",
                   atomic_load(&c.header->agent.etcd) != 0, "revision",
                   (json_int_t) atomic_load(&c.header->agent.revision),
                   "no_room",
                   (json_int_t) atomic_load(&c.header->agent.refused),
                   "bad_values",
                   (json_int_t) atomic_load(&c.header->agent.bad_values),
                   "nodes", array));
    }

    vc_nodes_table(list, n, self);
    free(list);

    printf("agent %s, etcd %s, revision %" PRIu64 ", %u guilds, %" PRIu64
           " bad values\n", vc_cluster_agent(&c),
           atomic_load(&c.header->agent.etcd) ? "answers" : "is away",
           atomic_load(&c.header->agent.revision),
           atomic_load(&c.header->guilds_used),
           atomic_load(&c.header->agent.bad_values));

    return VC_EXIT_OK;
}


static void
vc_guild_name(const voice_cluster_t *c, const voice_assignment_t *a,
    char *name, size_t size)
{
    voice_node_info_t  info;

    if (voice_cluster_node(c, a->node, &info, NULL) == VOICE_OK) {
        vc_node_clean(&info);
        snprintf(name, size, "%s", info.name);
    } else {
        snprintf(name, size, "?");
    }
}


static const char *
vc_guild_flags(const voice_assignment_t *a)
{
    return a->flags & VOICE_ASSIGNED_ORPHAN ? "orphan"
           : a->flags & VOICE_ASSIGNED_PROVISIONAL ? "provisional"
           : "assigned";
}


static int
vc_guild_order(const void *a, const void *b)
{
    uint64_t  x = ((const voice_assignment_t *) a)->guild;
    uint64_t  y = ((const voice_assignment_t *) b)->guild;

    return x < y ? -1 : x > y;
}


/* By id; of those that were read, for the agent goes on writing. */

static voice_assignment_t *
vc_guilds_read(const voice_cluster_t *c, size_t *n)
{
    uint32_t             slot;
    voice_assignment_t  *list;

    list = calloc(c->guilds, sizeof(voice_assignment_t));

    if (list == NULL) {
        vc_complain("cluster", "no memory");
        return NULL;
    }

    slot = 0;
    *n = 0;

    while (*n < c->guilds
           && voice_cluster_guild_next(c, &slot, &list[*n]) == VOICE_OK)
    {
        (*n)++;
    }

    qsort(list, *n, sizeof(voice_assignment_t), vc_guild_order);

    return list;
}


/* Only this node's own are counted here; of others: negative. */

static json_int_t
vc_guild_people(const voice_cluster_t *c, const voice_assignment_t *a)
{
    uint32_t  people;
    uint64_t  at;

    if (a->node != voice_cluster_self(c)
        || voice_cluster_used_at(c, a->guild, &at, &people) != VOICE_OK)
    {
        return -1;
    }

    return people;
}


static json_t *
vc_guild_json(const voice_cluster_t *c, const voice_assignment_t *a)
{
    char        name[VOICE_CLUSTER_NAME_MAX + 1], id[24];
    json_int_t  people;

    vc_guild_name(c, a, name, sizeof(name));
    snprintf(id, sizeof(id), "%" PRIu64, a->guild);
    people = vc_guild_people(c, a);

    return json_pack("{s:s,s:s,s:I,s:s,s:o}", "guild", id, "node", name,
                     "revision", (json_int_t) a->revision, "state",
                     vc_guild_flags(a), "participants",
                     people < 0 ? json_null() : json_integer(people));
}


static void
vc_guild_row(const voice_cluster_t *c, const voice_assignment_t *a)
{
    char        name[VOICE_CLUSTER_NAME_MAX + 1], people[24];
    json_int_t  n;

    vc_guild_name(c, a, name, sizeof(name));
    n = vc_guild_people(c, a);
    snprintf(people, sizeof(people), "-");

    if (n >= 0) {
        snprintf(people, sizeof(people), "%lld", (long long) n);
    }

    printf("%-20" PRIu64 "  %-20s  %-11s  %6s  %10" PRIu64 "\n", a->guild,
           name, vc_guild_flags(a), people, a->revision);
}


int
vc_cluster_guilds(const vc_cluster_t *cl)
{
    size_t               i, n;
    json_t              *array;
    voice_cluster_t      c;
    voice_assignment_t  *list;

    if (!vc_cluster_open(cl, &c)) {
        return VC_EXIT_FAILED;
    }

    list = vc_guilds_read(&c, &n);

    if (list == NULL) {
        return VC_EXIT_FAILED;
    }

    array = json_array();

    if (!cl->json) {
        printf("%-20s  %-20s  %-11s  %6s  %10s\n", "guild", "node", "state",
               "people", "revision");
    }

    for (i = 0; i < n; i++) {
        if (cl->json) {
            json_array_append_new(array, vc_guild_json(&c, &list[i]));
        } else {
            vc_guild_row(&c, &list[i]);
        }
    }

    free(list);

    if (cl->json) {
        return vc_cluster_print(json_pack("{s:o}", "guilds", array));
    }

    json_decref(array);

    return VC_EXIT_OK;
}


/* True: the last line about a node that drains is said. */

static bool
vc_drain_print(const vc_cluster_t *cl, const vc_node_t *node, char *told,
    size_t size)
{
    char        text[128];
    const char *state;

    state = vc_node_state(&node->info);

    snprintf(text, sizeof(text), cl->json
             ? "{\"node\":\"%s\",\"state\":\"%s\",\"guilds\":%u,"
               "\"participants\":%u}"
             : "%s: %s, %u guilds, %u people", node->info.name, state,
             node->guilds, node->load.participants);

    if (strcmp(text, told) != 0) {
        puts(text);
        fflush(stdout);
        snprintf(told, size, "%s", text);
    }

    /* its last report may be older than that */

    return strcmp(state, "drained") == 0 && node->load.participants == 0;
}


/* What a look at the zone says of the node; false: there is none. */

static bool
vc_node_read(const voice_cluster_t *c, const char *name, vc_node_t *node)
{
    size_t      i, n;
    bool        found;
    vc_node_t  *list;

    list = vc_nodes_read(c, &n);
    found = false;

    for (i = 0; list != NULL && i < n; i++) {
        if (strcmp(list[i].info.name, name) == 0) {
            *node = list[i];
            found = (node->info.flags & VOICE_NODE_UP) != 0;
        }
    }

    free(list);

    return found;
}


int
vc_cluster_wait(const vc_cluster_t *cl)
{
    bool             begun;
    char             told[128];
    vc_node_t        node;
    voice_cluster_t  c;
    struct timespec  pause = { 0, VC_CLUSTER_POLL * 1000000L };

    if (!vc_cluster_open(cl, &c)) {
        return VC_EXIT_FAILED;
    }

    begun = false;
    told[0] = '\0';

    for ( ;; ) {
        if (!vc_node_read(&c, cl->node, &node)) {
            vc_complain("cluster", "\"%s\" is gone", cl->node);
            return VC_EXIT_FAILED;
        }

        if (node.info.flags & (VOICE_NODE_DRAIN | VOICE_NODE_WAIT)) {
            begun = true;

            if (vc_drain_print(cl, &node, told, sizeof(told))) {
                return VC_EXIT_OK;
            }

        } else if (begun) {
            vc_complain("cluster", "\"%s\" does not drain any more, it is %s",
                        cl->node, vc_node_state(&node.info));
            return VC_EXIT_FAILED;
        }

        nanosleep(&pause, NULL);
    }
}


/* A change, as things are now. */

static void
vc_change_print(const vc_cluster_t *cl, const voice_cluster_t *c,
    const voice_cluster_change_t *change)
{
    char                name[VOICE_CLUSTER_NAME_MAX + 1], when[16];
    time_t              now;
    struct tm           tm;
    voice_node_info_t   info;
    voice_assignment_t  a;

    now = time(NULL);
    strftime(when, sizeof(when), "%H:%M:%S", localtime_r(&now, &tm));

    if (!cl->json) {
        printf("%s  ", when);
    }

    if (change->type == VOICE_CHANGE_NODE) {

        if (voice_cluster_node(c, change->node, &info, NULL) != VOICE_OK) {
            printf(cl->json ? "{\"node\":null}\n"
                            : "a node is forgotten\n");
            return;
        }

        vc_node_clean(&info);
        printf(cl->json ? "{\"node\":\"%s\",\"state\":\"%s\"}\n"
                        : "node %s is %s\n", info.name, vc_node_state(&info));
        return;
    }

    if (voice_cluster_find(c, change->guild, &a) != VOICE_OK) {
        printf(cl->json ? "{\"guild\":\"%" PRIu64 "\",\"node\":null}\n"
                        : "guild %" PRIu64 " is given back\n",
               change->guild);
        return;
    }

    vc_guild_name(c, &a, name, sizeof(name));
    printf(cl->json ? "{\"guild\":\"%" PRIu64 "\",\"node\":\"%s\",\"state\":"
                      "\"%s\",\"revision\":%" PRIu64 "}\n"
                    : "guild %" PRIu64 " is on %s (%s, revision %" PRIu64
                      ")\n",
           change->guild, name, vc_guild_flags(&a), a.revision);
}


int
vc_cluster_watch(const vc_cluster_t *cl)
{
    size_t                   i, n;
    uint32_t                 seen;
    uint64_t                 next;
    voice_cluster_t          c;
    struct timespec          pause = { 0, VC_CLUSTER_POLL * 1000000L };
    voice_cluster_change_t   list[64];

    if (!vc_cluster_open(cl, &c)) {
        return VC_EXIT_FAILED;
    }

    setvbuf(stdout, NULL, _IOLBF, 0);
    next = voice_cluster_changes_next(&c);
    seen = 0;

    for ( ;; ) {
        n = 0;

        if (voice_cluster_changes(&c, &next, list, 64, &n) != VOICE_OK) {
            fprintf(stderr, "some changes were missed\n");
        }

        for (i = 0; i < n; i++) {
            vc_change_print(cl, &c, &list[i]);

            if (++seen == cl->count) {
                return VC_EXIT_OK;
            }
        }

        if (n == 0) {
            nanosleep(&pause, NULL);
        }
    }
}
