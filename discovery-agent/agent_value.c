/*
 * Copyright (C) ngx-voice contributors
 */


#include "agent_value.h"

#include <jansson.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>


#define AGENT_VALUE_VERSION    1
#define AGENT_CAPACITY_MAX     10000000
#define AGENT_AFTER_MAX        86400


bool
agent_value_id(const char *text, uint64_t *id)
{
    size_t    i;
    uint64_t  n;

    if (text[0] < '1' || text[0] > '9') {
        return false;
    }

    n = 0;

    for (i = 0; text[i] != '\0'; i++) {

        if (text[i] < '0' || text[i] > '9'
            || n > (UINT64_MAX - (uint64_t) (text[i] - '0')) / 10)
        {
            return false;
        }

        n = n * 10 + (uint64_t) (text[i] - '0');
    }

    *id = n;

    return true;
}


static json_t *
agent_value_object(const char *text, const char **why)
{
    json_t  *root;

    root = json_loads(text, JSON_REJECT_DUPLICATES, NULL);

    if (!json_is_object(root)) {
        *why = "expected a JSON object";
        json_decref(root);
        return NULL;
    }

    return root;
}


typedef struct {
    const char   *key;
    bool          required;        /* absent is "" otherwise */
    bool        (*valid)(const char *text);
    const char   *why;
    size_t        offset;          /* in a voice_node_info_t */
} agent_value_text_t;

static const agent_value_text_t  agent_value_node_texts[] = {
    { "e", true, agent_boot_valid, "\"e\" must be " AGENT_BOOT_IS,
      offsetof(voice_node_info_t, boot) },
    { "ws", true, agent_endpoint_valid, "\"ws\" must be " AGENT_ENDPOINT_IS,
      offsetof(voice_node_info_t, endpoint) },
    { "peer", false, agent_url_valid, "\"peer\" must be " AGENT_URL_IS,
      offsetof(voice_node_info_t, peer) },
    { "dc", false, agent_name_valid, "\"dc\" must be " AGENT_NAME_IS,
      offsetof(voice_node_info_t, dc) },
    { "rg", false, agent_name_valid, "\"rg\" must be " AGENT_NAME_IS,
      offsetof(voice_node_info_t, region) },
    { "pool", false, agent_name_valid, "\"pool\" must be " AGENT_NAME_IS,
      offsetof(voice_node_info_t, pool) }
};

#define AGENT_NODE_TEXTS                                                      \
    (sizeof(agent_value_node_texts) / sizeof(agent_value_node_texts[0]))

static const agent_value_text_t  agent_value_hid =
    { "hid", false, agent_machine_valid, "\"hid\" must be " AGENT_MACHINE_IS,
      0 };

static const agent_value_text_t  agent_value_server =
    { "s", true, agent_name_valid, "\"s\" must be " AGENT_NAME_IS, 0 };


/* A text that is valid fits: who checks it knows how long it may be. */

static bool
agent_value_text(const json_t *root, const agent_value_text_t *field,
    char *buf, const char **why)
{
    const char    *text;
    const json_t  *value;

    value = json_object_get(root, field->key);
    text = json_string_value(value);
    buf[0] = '\0';

    if (!field->required
        && (value == NULL || (text != NULL && json_string_length(value) == 0)))
    {
        return true;
    }

    if (text == NULL || strlen(text) != json_string_length(value)
        || !field->valid(text))
    {
        *why = field->why;
        return false;
    }

    strcpy(buf, text);

    return true;
}


static bool
agent_value_int(const json_t *root, const char *key, json_int_t max,
    uint64_t *n)
{
    const json_t  *value;

    value = json_object_get(root, key);

    if (!json_is_integer(value) || json_integer_value(value) < 0
        || json_integer_value(value) > max)
    {
        return false;
    }

    *n = (uint64_t) json_integer_value(value);

    return true;
}


static bool
agent_value_state(const json_t *root, uint32_t *said)
{
    const char  *state;

    state = json_string_value(json_object_get(root, "st"));

    if (state == NULL) {
        return false;
    }

    if (strcmp(state, "up") == 0) {
        *said = 0;

    } else if (strcmp(state, "drain") == 0) {
        *said = VOICE_NODE_DRAIN;

    } else if (strcmp(state, "drained") == 0) {
        *said = VOICE_NODE_DRAINED;

    } else if (strcmp(state, "down") == 0) {
        *said = VOICE_NODE_DOWN;

    } else {
        return false;
    }

    return true;
}


/* True or false; it may be absent. */

static bool
agent_value_flag(const json_t *root, const char *key, bool *flag)
{
    const json_t  *value;

    value = json_object_get(root, key);
    *flag = json_is_true(value);

    return value == NULL || json_is_boolean(value);
}


static bool
agent_value_node_read(const json_t *root, voice_node_info_t *info,
    char *machine, uint32_t *said, const char **why)
{
    bool       probes;
    size_t     i;
    uint64_t   version, capacity;

    if (!agent_value_int(root, "v", INT32_MAX, &version)
        || version != AGENT_VALUE_VERSION)
    {
        *why = "\"v\" must be 1, the version that this agent knows";
        return false;
    }

    if (!agent_value_int(root, "cap", AGENT_CAPACITY_MAX, &capacity)) {
        *why = "\"cap\" must be a number from 0 to 10000000";
        return false;
    }

    if (!agent_value_state(root, said)) {
        *why = "\"st\" must be \"up\", \"drain\", \"drained\" or \"down\"";
        return false;
    }

    for (i = 0; i < AGENT_NODE_TEXTS; i++) {
        if (!agent_value_text(root, &agent_value_node_texts[i], (char *) info
                              + agent_value_node_texts[i].offset, why))
        {
            return false;
        }
    }

    if (!agent_value_flag(root, "probe", &probes)) {
        *why = "\"probe\" must be true or false";
        return false;
    }

    info->capacity = (uint32_t) capacity;
    *said |= probes ? VOICE_NODE_PROBES : 0;

    return agent_value_text(root, &agent_value_hid, machine, why);
}


bool
agent_value_node(const char *text, voice_node_info_t *info,
    char machine[AGENT_MACHINE_MAX + 1], uint32_t *said, const char **why)
{
    bool     ok;
    json_t  *root;

    root = agent_value_object(text, why);

    if (root == NULL) {
        return false;
    }

    memset(info, 0, sizeof(voice_node_info_t));

    ok = agent_value_node_read(root, info, machine, said, why);
    json_decref(root);

    return ok;
}


void
agent_value_machine(const char *text, char machine[AGENT_MACHINE_MAX + 1])
{
    json_t      *root;
    const char  *why;

    machine[0] = '\0';
    root = agent_value_object(text, &why);

    (void) agent_value_text(root, &agent_value_hid, machine, &why);
    json_decref(root);
}


/* A share of the whole, 0 if it is not there, as permille. */

static bool
agent_value_share(const json_t *root, const char *key, uint16_t *permille)
{
    double         x;
    const json_t  *value;

    value = json_object_get(root, key);

    if (value == NULL) {
        *permille = 0;
        return true;
    }

    if (!json_is_number(value)) {
        return false;
    }

    x = json_number_value(value);

    if (!(x >= 0)) {
        return false;
    }

    *permille = x > 60 ? 60000 : (uint16_t) (x * 1000 + 0.5);

    return true;
}


bool
agent_value_load(const char *text, voice_node_load_t *load, const char **why)
{
    bool       ok;
    json_t    *root;
    uint64_t   u, g, r;

    root = agent_value_object(text, why);

    if (root == NULL) {
        return false;
    }

    memset(load, 0, sizeof(voice_node_load_t));

    ok = agent_value_int(root, "u", AGENT_CAPACITY_MAX * 10LL, &u)
         && agent_value_int(root, "g", AGENT_CAPACITY_MAX * 10LL, &g)
         && agent_value_int(root, "r", INT64_MAX, &r)
         && agent_value_share(root, "c", &load->cpu)
         && agent_value_share(root, "bw", &load->bandwidth)
         && agent_value_share(root, "pp", &load->packets);

    if (ok) {
        load->participants = (uint32_t) u;
        load->guilds = (uint32_t) g;
        load->applied = r;

    } else {
        *why = "\"u\", \"g\" and \"r\" must be numbers, and \"c\", \"bw\" "
               "and \"pp\" shares, none below 0";
    }

    json_decref(root);

    return ok;
}


bool
agent_value_order(const char *text, agent_order_t *order, uint32_t *after,
    const char **why)
{
    bool         ok;
    json_t      *root;
    uint64_t     n;
    const char  *mode;

    root = agent_value_object(text, why);

    if (root == NULL) {
        return false;
    }

    mode = json_string_value(json_object_get(root, "m"));
    n = 0;
    ok = mode != NULL
         && (strcmp(mode, "drain") == 0 || strcmp(mode, "evict") == 0)
         && (json_object_get(root, "after") == NULL
             || agent_value_int(root, "after", AGENT_AFTER_MAX, &n));

    if (ok) {
        *order = mode[0] == 'd' ? AGENT_ORDER_DRAIN : AGENT_ORDER_EVICT;
        *after = (uint32_t) n;

    } else {
        *why = "\"m\" must be \"drain\" or \"evict\", and \"after\" 0 to "
               "86400 seconds";
    }

    json_decref(root);

    return ok;
}


bool
agent_value_accusation(const char *text, bool *ask, const char **why)
{
    bool     ok;
    json_t  *root;

    root = agent_value_object(text, why);

    if (root == NULL) {
        return false;
    }

    ok = agent_value_flag(root, "ask", ask);
    json_decref(root);

    if (!ok) {
        *why = "\"ask\" must be true or false";
    }

    return ok;
}


bool
agent_value_hold(const char *text, agent_hold_t *order, const char **why)
{
    bool         ok;
    json_t      *root;
    const char  *mode;

    root = agent_value_object(text, why);

    if (root == NULL) {
        return false;
    }

    mode = json_string_value(json_object_get(root, "m"));
    ok = mode != NULL
         && (strcmp(mode, "on") == 0 || strcmp(mode, "off") == 0);

    if (ok) {
        *order = strcmp(mode, "on") == 0 ? AGENT_HOLD_ON : AGENT_HOLD_OFF;

    } else {
        *why = "\"m\" must be \"on\" or \"off\"";
    }

    json_decref(root);

    return ok;
}


bool
agent_value_guild(const char *text, char *server, char *boot,
    const char **why)
{
    bool     ok;
    json_t  *root;

    root = agent_value_object(text, why);

    if (root == NULL) {
        return false;
    }

    ok = agent_value_text(root, &agent_value_server, server, why)
         && agent_value_text(root, &agent_value_node_texts[0], boot, why);

    json_decref(root);

    return ok;
}


static char *
agent_value_dump(json_t *root)
{
    char  *text;

    text = root == NULL ? NULL : json_dumps(root, JSON_COMPACT);
    json_decref(root);

    return text;
}


char *
agent_value_make_node(const voice_node_info_t *info, const char *machine,
    const char *state)
{
    return agent_value_dump(json_pack("{s:i,s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:I,"
                                      "s:s,s:b}",
               "v", AGENT_VALUE_VERSION, "e", info->boot,
               "ws", info->endpoint, "peer", info->peer, "dc", info->dc,
               "rg", info->region, "pool", info->pool, "hid", machine,
               "cap", (json_int_t) info->capacity, "st", state,
               "probe", (info->flags & VOICE_NODE_PROBES) != 0));
}


char *
agent_value_make_load(const voice_node_load_t *load)
{
    return agent_value_dump(json_pack("{s:I,s:I,s:f,s:f,s:f,s:I}",
               "u", (json_int_t) load->participants,
               "g", (json_int_t) load->guilds,
               "c", load->cpu / 1000.0, "bw", load->bandwidth / 1000.0,
               "pp", load->packets / 1000.0,
               "r", (json_int_t) load->applied));
}


char *
agent_value_make_guild(const char *server, const char *boot)
{
    return agent_value_dump(json_pack("{s:s,s:s}", "s", server, "e", boot));
}


char *
agent_value_make_hold(const char *mode, const char *by, const char *why)
{
    return agent_value_dump(json_pack("{s:s,s:s,s:s}", "m", mode, "by", by,
                                      "why", why));
}


char *
agent_value_make_order(const char *mode, const char *by, const char *why,
    uint32_t after)
{
    return agent_value_dump(json_pack("{s:s,s:s,s:s,s:I}", "m", mode,
                                      "by", by, "why", why,
                                      "after", (json_int_t) after));
}
