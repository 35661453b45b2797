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
    return (info->flags & VOICE_NODE_UP) == 0 ? "gone"
           : info->flags & VOICE_NODE_DOWN ? "down"
           : info->flags & VOICE_NODE_EVICT ? "evicted"
           : info->flags & VOICE_NODE_DRAIN ? "draining"
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


static json_t *
vc_node_json(const voice_node_info_t *info, const voice_node_load_t *load,
    bool self)
{
    return json_pack("{s:s,s:s,s:b,s:s,s:s,s:s,s:s,s:s,s:I,s:I,s:I,s:i,s:i,"
                     "s:i,s:o}",
        "name", info->name, "state", vc_node_state(info), "self", self,
        "region", info->region, "dc", info->dc, "pool", info->pool,
        "endpoint", info->endpoint, "boot", info->boot,
        "capacity", (json_int_t) info->capacity,
        "participants", (json_int_t) load->participants,
        "guilds", (json_int_t) load->guilds,
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


static void
vc_node_row(const voice_node_info_t *info, const voice_node_load_t *load,
    bool self)
{
    char  age[16];

    snprintf(age, sizeof(age), "-");

    if (load->at != 0) {
        snprintf(age, sizeof(age), "%.1f s",
                 (double) (agent_zone_now() - load->at) / 1000);
    }

    printf("%c %-20s %-8s %-10s %-10s %8u %8u %7u %4u%% %4u%% %4u%% %8s  %s\n",
           self ? '*' : ' ', info->name, vc_node_state(info),
           info->region[0] ? info->region : "-", info->dc[0] ? info->dc : "-",
           load->participants, info->capacity, load->guilds,
           load->cpu / 10, load->bandwidth / 10, load->packets / 10, age,
           info->endpoint);
}


int
vc_cluster_nodes(const vc_cluster_t *cl)
{
    json_t             *list;
    uint32_t            slot;
    voice_id_t          id, self;
    voice_cluster_t     c;
    voice_node_info_t   info;
    voice_node_load_t   load;

    if (!vc_cluster_open(cl, &c)) {
        return VC_EXIT_FAILED;
    }

    list = json_array();
    self = voice_cluster_self(&c);
    slot = 0;

    if (!cl->json) {
        printf("  %-20s %-8s %-10s %-10s %8s %8s %7s %5s %5s %5s %8s  %s\n",
               "node", "state", "region", "dc", "people", "capacity",
               "guilds", "cpu", "bw", "pkts", "report", "endpoint");
    }

    while (voice_cluster_node_next(&c, &slot, &id, &info, &load) == VOICE_OK)
    {
        vc_node_clean(&info);

        if (cl->json) {
            json_array_append_new(list, vc_node_json(&info, &load,
                                                     id == self));
        } else {
            vc_node_row(&info, &load, id == self);
        }
    }

    if (cl->json) {
        return vc_cluster_print(json_pack("{s:s,s:b,s:I,s:I,s:I,s:o}",
                   "agent", vc_cluster_agent(&c), "etcd",
                   atomic_load(&c.header->agent.etcd) != 0, "revision",
                   (json_int_t) atomic_load(&c.header->agent.revision),
                   "no_room",
                   (json_int_t) atomic_load(&c.header->agent.refused),
                   "bad_values",
                   (json_int_t) atomic_load(&c.header->agent.bad_values),
                   "nodes", list));
    }

    json_decref(list);
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


int
vc_cluster_guilds(const vc_cluster_t *cl)
{
    char                name[VOICE_CLUSTER_NAME_MAX + 1], id[24];
    json_t             *list;
    uint32_t            slot;
    voice_cluster_t     c;
    voice_assignment_t  a;

    if (!vc_cluster_open(cl, &c)) {
        return VC_EXIT_FAILED;
    }

    list = json_array();
    slot = 0;

    if (!cl->json) {
        printf("%-20s  %-20s %12s  %s\n", "guild", "node", "revision",
               "state");
    }

    while (voice_cluster_guild_next(&c, &slot, &a) == VOICE_OK) {
        vc_guild_name(&c, &a, name, sizeof(name));
        snprintf(id, sizeof(id), "%" PRIu64, a.guild);

        if (cl->json) {
            json_array_append_new(list, json_pack("{s:s,s:s,s:I,s:s}",
                "guild", id, "node", name, "revision",
                (json_int_t) a.revision, "state", vc_guild_flags(&a)));
        } else {
            printf("%-20s  %-20s %12" PRIu64 "  %s\n", id, name, a.revision,
                   vc_guild_flags(&a));
        }
    }

    if (cl->json) {
        return vc_cluster_print(json_pack("{s:o}", "guilds", list));
    }

    json_decref(list);

    return VC_EXIT_OK;
}


/* A change, as things are now. */

static void
vc_change_print(const vc_cluster_t *cl, const voice_cluster_t *c,
    const voice_cluster_change_t *change)
{
    char                name[VOICE_CLUSTER_NAME_MAX + 1];
    voice_node_info_t   info;
    voice_assignment_t  a;

    if (change->type == VOICE_CHANGE_NODE) {

        if (voice_cluster_node(c, change->node, &info, NULL) != VOICE_OK) {
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
