/*
 * Copyright (C) ngx-voice contributors
 *
 * What comes to the agent from outside: the first byte says what the rest
 * is, a line of a watch whose events go into a model, the value of a key, or
 * a configuration.
 */


#include "agent_conf.h"
#include "agent_etcd_codec.h"
#include "agent_model.h"
#include "agent_value.h"

#include <stdlib.h>
#include <string.h>


#define ROUNDS_MAX   64


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);


static void
fuzz_must(bool ok)
{
    if (!ok) {
        abort();
    }
}


static void
fuzz_event(void *data, const agent_kv_t *kv)
{
    agent_model_t  *m = data;

    if (strlen(kv->key) != kv->key_len) {
        return;
    }

    if (kv->deleted) {
        agent_model_delete(m, kv->key, kv->mod_revision, 1000);

    } else {
        agent_model_put(m, kv->key, kv->value, kv->mod_revision, 1000);
    }
}


/* Lists and counters agree, whatever came. */

static void
fuzz_check(agent_model_t *m)
{
    size_t          i, linked, counted;
    agent_node_t   *node;
    agent_guild_t  *guild;

    linked = 0;
    counted = 0;

    for (node = m->nodes; node != NULL; node = node->next) {
        counted += node->guilds;

        for (guild = node->first; guild != NULL; guild = guild->next) {
            fuzz_must(guild->node == node);
            linked++;
        }
    }

    fuzz_must(linked == counted);

    for (i = 0; i < m->buckets; i++) {
        for (guild = m->hash[i]; guild != NULL; guild = guild->chain) {
            linked -= (guild->node != NULL);
        }
    }

    fuzz_must(linked == 0);
}


static void
fuzz_watch(const char *text, size_t len)
{
    int                  i;
    const char          *nl;
    agent_move_t         move;
    agent_node_t        *node;
    agent_model_t        m;
    agent_watch_line_t   line;

    fuzz_must(agent_model_init(&m, "p/", "n0", "eu"));

    while (len != 0) {
        nl = memchr(text, '\n', len);
        nl = nl == NULL ? text + len : nl;

        (void) agent_watch_parse(text, (size_t) (nl - text), &line,
                                 fuzz_event, &m);

        len -= (size_t) (nl - text);
        text = nl + (len != 0);
        len -= (len != 0);
    }

    fuzz_check(&m);

    for (i = 0; i < ROUNDS_MAX; i++) {
        agent_model_tick(&m, 100000 + i);

        while ((node = agent_model_ask(&m, 100000 + i)) != NULL) {
            (void) agent_model_asked(node, (i & 1) != 0);
        }

        if (agent_model_plan(&m, 100000 + i, &move)) {
            fuzz_must(move.n >= 1 && move.n <= AGENT_BATCH);
            agent_model_moved(&m, &move);
        }
    }

    while (agent_model_dirty_node(&m) != NULL) { /* void */ }

    fuzz_check(&m);
    agent_model_free(&m);
}


static void
fuzz_value(const char *text)
{
    char                 machine[AGENT_MACHINE_MAX + 1], *again;
    const char          *why;
    char                 server[VOICE_CLUSTER_NAME_MAX + 1];
    char                 boot[VOICE_CLUSTER_BOOT_MAX + 1];
    uint32_t             said, after;
    agent_hold_t         hold;
    agent_order_t        order;
    voice_node_info_t    info, back;
    voice_node_load_t    load;

    if (agent_value_node(text, &info, machine, &said, &why)) {
        again = agent_value_make_node(&info, machine, said == 0 ? "up"
                                      : said == VOICE_NODE_DRAIN ? "drain"
                                      : "down");
        fuzz_must(again != NULL);
        fuzz_must(agent_value_node(again, &back, machine, &said, &why));
        fuzz_must(memcmp(&info, &back, sizeof(info)) == 0);
        free(again);
    }

    (void) agent_value_load(text, &load, &why);
    (void) agent_value_order(text, &order, &after, &why);
    (void) agent_value_hold(text, &hold, &why);
    (void) agent_value_guild(text, server, boot, &why);
    agent_value_machine(text, machine);
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char          *text, error[AGENT_ERROR_MAX];
    agent_conf_t   conf;

    if (size == 0) {
        return 0;
    }

    text = malloc(size);
    fuzz_must(text != NULL);
    memcpy(text, data + 1, size - 1);
    text[size - 1] = '\0';

    switch (data[0]) {

    case 'w':
        fuzz_watch(text, size - 1);
        break;

    case 'v':
        fuzz_value(text);
        break;

    case 'c':
        if (!agent_conf_parse(&conf, text, size - 1, error)) {
            fuzz_must(strlen(error) < AGENT_ERROR_MAX);
        }

        break;

    default:
        break;
    }

    free(text);

    return 0;
}
