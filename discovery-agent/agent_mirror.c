/*
 * Copyright (C) ngx-voice contributors
 *
 * The model in a file: what an agent begins with when etcd is away.  A line
 * for each key, as etcd has it; the list of keys corrects it later.
 */


#include "agent.h"
#include "agent_value.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>


#define AGENT_MIRROR_HEAD    "ngx-voice-agent mirror 1 "
#define AGENT_MIRROR_LINE    2048


static bool
agent_mirror_node(FILE *f, agent_t *a, agent_node_t *node)
{
    char  *value;

    if (!node->registered) {
        return true;
    }

    value = agent_value_make_node(&node->info, node->machine,
                node->info.flags & VOICE_NODE_DOWN ? "down"
                : node->said & VOICE_NODE_DRAIN ? "drain" : "up");

    if (value == NULL) {
        return false;
    }

    fprintf(f, "%llu %sn/%s %s\n", (unsigned long long) node->register_rev,
            a->conf.prefix, node->info.name, value);
    free(value);

    return true;
}


static bool
agent_mirror_write(FILE *f, agent_t *a)
{
    size_t          i;
    agent_node_t   *node;
    agent_guild_t  *guild;

    fprintf(f, AGENT_MIRROR_HEAD "%llu\n",
            (unsigned long long) a->model.revision);

    for (node = a->model.nodes; node != NULL; node = node->next) {
        if (!agent_mirror_node(f, a, node)) {
            return false;
        }
    }

    /* names and boot ids have no character that JSON would escape */

    for (i = 0; i < a->model.buckets; i++) {
        for (guild = a->model.hash[i]; guild != NULL; guild = guild->chain) {

            if (guild->node != NULL && !guild->provisional) {
                fprintf(f, "%llu %sa/%llu {\"s\":\"%s\",\"e\":\"%s\"}\n",
                        (unsigned long long) guild->revision, a->conf.prefix,
                        (unsigned long long) guild->id,
                        guild->node->info.name, guild->boot);
            }
        }
    }

    return ferror(f) == 0;
}


bool
agent_mirror_save(agent_t *a)
{
    bool   ok;
    FILE  *f;
    char   tmp[AGENT_TEXT_MAX + 16];

    if (a->conf.mirror[0] == '\0' || a->mirrored == a->model.revision
        || !a->session.listed)
    {
        return true;
    }

    snprintf(tmp, sizeof(tmp), "%s.new", a->conf.mirror);
    f = fopen(tmp, "we");

    if (f == NULL) {
        agent_log(AGENT_LOG_WARN, "mirror \"%s\": %s", tmp, strerror(errno));
        return false;
    }

    ok = agent_mirror_write(f, a);
    ok = fclose(f) == 0 && ok;

    if (!ok || rename(tmp, a->conf.mirror) == -1) {
        agent_log(AGENT_LOG_WARN, "mirror \"%s\": %s", a->conf.mirror,
                  strerror(errno));
        (void) unlink(tmp);
        return false;
    }

    a->mirrored = a->model.revision;

    return true;
}


static bool
agent_mirror_read(FILE *f, agent_t *a, size_t *n)
{
    int                  end;
    char                 line[AGENT_MIRROR_LINE], key[AGENT_KEY_MAX + 1];
    unsigned long long   revision, total;

    if (fgets(line, sizeof(line), f) == NULL
        || sscanf(line, AGENT_MIRROR_HEAD "%llu", &total) != 1)
    {
        return false;
    }

    while (fgets(line, sizeof(line), f) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        end = 0;

        if (sscanf(line, "%llu %320s %n", &revision, key, &end) != 2
            || end == 0
            || !agent_model_put(&a->model, key, line + end, revision,
                                a->now))
        {
            return false;
        }

        (*n)++;
    }

    a->model.revision = total;

    return true;
}


bool
agent_mirror_load(agent_t *a)
{
    bool    ok;
    FILE   *f;
    size_t  n;

    if (a->conf.mirror[0] == '\0') {
        return true;
    }

    f = fopen(a->conf.mirror, "re");

    if (f == NULL) {
        return errno == ENOENT;
    }

    n = 0;
    ok = agent_mirror_read(f, a, &n);
    fclose(f);

    if (ok) {
        a->mirrored = a->model.revision;
        agent_log(AGENT_LOG_INFO, "mirror \"%s\": %zu keys of revision %llu",
                  a->conf.mirror, n, (unsigned long long) a->model.revision);

    } else {
        agent_log(AGENT_LOG_WARN, "mirror \"%s\" is damaged behind key %zu: "
                  "waiting for etcd", a->conf.mirror, n);
    }

    return ok;
}
