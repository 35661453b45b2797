/*
 * Copyright (C) ngx-voice contributors
 */


#include "agent_conf.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>


#define AGENT_CONF_FILE_MAX   65536


typedef enum {
    AGENT_CONF_TEXT = 0,       /* see valid; or up to max bytes */
    AGENT_CONF_NUMBER,         /* uint32_t, min..max */
    AGENT_CONF_FLAG            /* bool */
} agent_conf_kind_t;


typedef struct {
    const char         *section;   /* NULL: of the whole object */
    const char         *key;
    agent_conf_kind_t   kind;
    bool                required;
    bool                fixed;     /* for as long as the agent runs */
    size_t              offset;
    uint32_t            min;
    uint32_t            max;
    bool              (*valid)(const char *text);
    const char         *expected;
} agent_conf_field_t;


#define agent_field(section, key, kind, required, fixed, member, min, max)    \
    { section, key, kind, required, fixed, offsetof(agent_conf_t, member),    \
      min, max, NULL, NULL }

#define agent_checked(section, key, required, fixed, member, valid, expected) \
    { section, key, AGENT_CONF_TEXT, required, fixed,                         \
      offsetof(agent_conf_t, member), 0,                                      \
      sizeof(((agent_conf_t *) 0)->member) - 1, valid, expected }

#define agent_text(section, key, required, fixed, member)                     \
    agent_checked(section, key, required, fixed, member, NULL, NULL)

#define agent_name(key, required, fixed, member)                              \
    agent_checked(NULL, key, required, fixed, member, agent_name_valid,       \
                  AGENT_NAME_IS)

static const agent_conf_field_t  agent_conf_fields[] = {
    agent_name("node", true, true, node),
    agent_name("region", true, true, region),
    agent_name("dc", false, false, dc),
    agent_name("pool", false, false, pool),
    agent_checked(NULL, "endpoint", true, false, endpoint,
                  agent_endpoint_valid, AGENT_ENDPOINT_IS),
    agent_checked(NULL, "peer", false, false, peer, agent_url_valid,
                  AGENT_URL_IS),
    agent_checked(NULL, "machine", false, true, machine, agent_machine_valid,
                  AGENT_MACHINE_IS),
    agent_field(NULL, "capacity", AGENT_CONF_NUMBER, false, false, capacity,
                1, 10000000),
    agent_text(NULL, "cluster_zone", true, true, zone),
    agent_field(NULL, "guilds", AGENT_CONF_NUMBER, false, true, guilds,
                VOICE_CLUSTER_GUILDS_MIN, VOICE_CLUSTER_GUILDS_MAX),
    agent_text(NULL, "mirror", false, true, mirror),
    agent_text("etcd", "prefix", false, true, prefix),
    agent_text("etcd", "ca", false, false, ca),
    agent_text("etcd", "cert", false, false, cert),
    agent_text("etcd", "key", false, false, key),
    agent_text("etcd", "user", false, false, user),
    agent_text("etcd", "password_file", false, false, password_file),
    agent_field("etcd", "ttl", AGENT_CONF_NUMBER, false, true, ttl, 2, 60),
    agent_field("load", "period_ms", AGENT_CONF_NUMBER, false, false,
                load_period, 100, 5000),
    agent_field("load", "bandwidth_mbit", AGENT_CONF_NUMBER, false, false,
                bandwidth, 1, 1000000),
    agent_field("load", "packets", AGENT_CONF_NUMBER, false, false, packets,
                1000, 1000000000),
    agent_field("fleet", "grace_ms", AGENT_CONF_NUMBER, false, false, grace,
                50, 60000),
    agent_field("fleet", "hold_ms", AGENT_CONF_NUMBER, false, false, hold,
                0, 600000),
    agent_field("fleet", "empty_after_ms", AGENT_CONF_NUMBER, false, false,
                empty_after, 1000, 3600000),
    agent_field("fleet", "drain_after", AGENT_CONF_NUMBER, false, false,
                drain_after, 0, 86400),
    agent_field("fleet", "drain_rate", AGENT_CONF_NUMBER, false, false,
                drain_rate, 1, 10000),
    agent_field("fleet", "stop_after_ms", AGENT_CONF_NUMBER, false, false,
                stop_after, 0, 3600000),
    agent_field("fleet", "drain_percent", AGENT_CONF_NUMBER, false, false,
                drain_percent, 1, 100),
    agent_field("fleet", "alarm_packets", AGENT_CONF_NUMBER, false, false,
                alarm_packets, 0, 1000000000),
    agent_field("fleet", "alarm_seconds", AGENT_CONF_NUMBER, false, false,
                alarm_length, 5, 86400),
    agent_text("probe", "key", false, true, probe_key),
    agent_text("probe", "url", false, true, probe_url),
    agent_text("probe", "ca", false, true, probe_ca),
    agent_field("probe", "period_ms", AGENT_CONF_NUMBER, false, false,
                probe_period, 0, 60000),
    agent_field(NULL, "debug", AGENT_CONF_FLAG, false, false, debug, 0, 0)
};

#define AGENT_CONF_FIELDS                                                     \
    (sizeof(agent_conf_fields) / sizeof(agent_conf_fields[0]))

static const char  *agent_conf_sections[] = {
    "etcd", "load", "fleet", "probe"
};

#define AGENT_CONF_SECTIONS                                                   \
    (sizeof(agent_conf_sections) / sizeof(agent_conf_sections[0]))


static void
agent_conf_name(const agent_conf_field_t *f, char *name, size_t size)
{
    snprintf(name, size, "%s%s%s", f->section ? f->section : "",
             f->section ? "." : "", f->key);
}


/* The value as it stands in the file, for a message; NULL: not to be shown. */

static bool
agent_conf_refuse(const agent_conf_field_t *f, const json_t *value,
    const char *expected, char *error)
{
    char  *text, name[64];

    text = value == NULL ? NULL
           : json_dumps(value, JSON_ENCODE_ANY|JSON_COMPACT);
    agent_conf_name(f, name, sizeof(name));

    snprintf(error, AGENT_ERROR_MAX, "\"%s\" is %.100s, expected %s", name,
             text ? text : "not shown here", expected);
    free(text);

    return false;
}


static bool
agent_conf_text(agent_conf_t *conf, const agent_conf_field_t *f,
    const json_t *value, char *error)
{
    char         expected[64];
    size_t       len;
    const char  *text;

    text = json_string_value(value);
    len = json_string_length(value);

    if (text != NULL && strlen(text) == len && len <= f->max
        && (f->valid != NULL ? f->valid(text) : len != 0))
    {
        memcpy((char *) conf + f->offset, text, len + 1);
        return true;
    }

    if (f->valid != NULL) {

        /* an address may hold a password, which is for no log */

        return agent_conf_refuse(f, text != NULL && strchr(text, '@') != NULL
                                    ? NULL : value, f->expected, error);
    }

    snprintf(expected, sizeof(expected), "a text of 1 to %u bytes",
             (unsigned) f->max);

    return agent_conf_refuse(f, value, expected, error);
}


static bool
agent_conf_set(agent_conf_t *conf, const agent_conf_field_t *f,
    const json_t *value, char *error)
{
    char      expected[64];
    uint32_t  n;

    switch (f->kind) {

    case AGENT_CONF_NUMBER:
        if (!json_is_integer(value)
            || json_integer_value(value) < (json_int_t) f->min
            || json_integer_value(value) > (json_int_t) f->max)
        {
            snprintf(expected, sizeof(expected), "a number from %u to %u",
                     (unsigned) f->min, (unsigned) f->max);
            return agent_conf_refuse(f, value, expected, error);
        }

        n = (uint32_t) json_integer_value(value);
        memcpy((char *) conf + f->offset, &n, sizeof(n));
        return true;

    case AGENT_CONF_FLAG:
        if (!json_is_boolean(value)) {
            return agent_conf_refuse(f, value, "true or false", error);
        }

        *(bool *) ((char *) conf + f->offset) = json_is_true(value);
        return true;

    default:
        return agent_conf_text(conf, f, value, error);
    }
}


static const agent_conf_field_t *
agent_conf_find(const char *section, const char *key)
{
    size_t                     i;
    const agent_conf_field_t  *f;

    for (i = 0; i < AGENT_CONF_FIELDS; i++) {
        f = &agent_conf_fields[i];

        if (strcmp(f->key, key) == 0
            && (section == NULL ? f->section == NULL
                : f->section != NULL && strcmp(f->section, section) == 0))
        {
            return f;
        }
    }

    return NULL;
}


static bool
agent_conf_endpoints(agent_conf_t *conf, const json_t *list, char *error)
{
    size_t         i;
    const char    *url;
    const json_t  *item;

    if (!json_is_array(list) || json_array_size(list) == 0
        || json_array_size(list) > AGENT_ENDPOINTS_MAX)
    {
        snprintf(error, AGENT_ERROR_MAX, "\"etcd.endpoints\" must be a list "
                 "of 1 to %d URLs", AGENT_ENDPOINTS_MAX);
        return false;
    }

    json_array_foreach((json_t *) list, i, item) {
        url = json_string_value(item);

        if (url == NULL || !agent_url_valid(url)
            || url[strlen(url) - 1] == '/')
        {
            snprintf(error, AGENT_ERROR_MAX, "\"etcd.endpoints[%zu]\" is "
                     "\"%.100s\", expected http://HOST:PORT or "
                     "https://HOST:PORT; user and password are fields of "
                     "their own", i, url == NULL ? "no text"
                     : strchr(url, '@') != NULL ? "not shown here" : url);
            return false;
        }

        strcpy(conf->etcd[i], url);
    }

    conf->endpoints = (uint32_t) json_array_size(list);

    return true;
}


static bool
agent_conf_section(agent_conf_t *conf, const char *section, json_t *object,
    char *error)
{
    size_t                     i;
    json_t                    *value;
    const char                *key;
    const agent_conf_field_t  *f;

    json_object_foreach(object, key, value) {

        if (section == NULL) {
            for (i = 0; i < AGENT_CONF_SECTIONS
                        && strcmp(key, agent_conf_sections[i]) != 0;
                 i++) { /* void */ }

            if (i < AGENT_CONF_SECTIONS) {
                if (!json_is_object(value)) {
                    snprintf(error, AGENT_ERROR_MAX,
                             "\"%s\" must be an object", key);
                    return false;
                }

                if (!agent_conf_section(conf, agent_conf_sections[i], value,
                                        error))
                {
                    return false;
                }

                continue;
            }

        } else if (strcmp(section, "etcd") == 0
                   && strcmp(key, "endpoints") == 0)
        {
            if (!agent_conf_endpoints(conf, value, error)) {
                return false;
            }

            continue;
        }

        f = agent_conf_find(section, key);

        if (f == NULL) {
            snprintf(error, AGENT_ERROR_MAX, "unknown field \"%s%s%.100s\"",
                     section ? section : "", section ? "." : "", key);
            return false;
        }

        if (!agent_conf_set(conf, f, value, error)) {
            return false;
        }
    }

    return true;
}


static bool
agent_conf_together(agent_conf_t *conf, char *error)
{
    size_t  len;

    if (conf->endpoints == 0) {
        snprintf(error, AGENT_ERROR_MAX,
                 "\"etcd.endpoints\" is missing, expected a list of URLs");
        return false;
    }

    if ((conf->cert[0] == '\0') != (conf->key[0] == '\0')) {
        snprintf(error, AGENT_ERROR_MAX, "\"etcd.cert\" and \"etcd.key\" go "
                 "together");
        return false;
    }

    if ((conf->probe_key[0] == '\0') != (conf->probe_url[0] == '\0')) {
        snprintf(error, AGENT_ERROR_MAX, "\"probe.key\" and \"probe.url\" go "
                 "together");
        return false;
    }

    if ((conf->user[0] == '\0') != (conf->password_file[0] == '\0')) {
        snprintf(error, AGENT_ERROR_MAX, "\"etcd.user\" and "
                 "\"etcd.password_file\" go together");
        return false;
    }

    if ((conf->guilds & (conf->guilds - 1)) != 0) {
        snprintf(error, AGENT_ERROR_MAX, "\"guilds\" is %u, expected a power "
                 "of two", (unsigned) conf->guilds);
        return false;
    }

    if (conf->prefix[0] == '\0') {
        snprintf(conf->prefix, sizeof(conf->prefix), "rv1/%s/", conf->region);
    }

    len = strlen(conf->prefix);

    if (conf->prefix[len - 1] != '/') {
        if (len == AGENT_TEXT_MAX) {
            snprintf(error, AGENT_ERROR_MAX, "\"etcd.prefix\" is too long");
            return false;
        }

        strcat(conf->prefix, "/");
    }

    return true;
}


bool
agent_conf_parse(agent_conf_t *conf, const char *text, size_t len,
    char *error)
{
    bool                       ok;
    size_t                     i;
    json_t                    *root;
    json_error_t               where;
    agent_conf_t               read;
    const agent_conf_field_t  *f;

    memset(&read, 0, sizeof(read));

    read.guilds = VOICE_CLUSTER_GUILDS;
    read.ttl = 5;
    read.load_period = 2000;
    read.bandwidth = 1000;
    read.packets = 500000;
    read.grace = 500;
    read.hold = 30000;
    read.empty_after = VOICE_CLUSTER_EMPTY;
    read.drain_after = 1800;
    read.drain_rate = 20;
    read.drain_percent = 5;
    read.stop_after = 60000;
    read.alarm_length = 600;
    read.probe_period = 1000;

    root = json_loadb(text, len, JSON_REJECT_DUPLICATES, &where);

    if (root == NULL || !json_is_object(root)) {
        snprintf(error, AGENT_ERROR_MAX, "line %d: %s", where.line,
                 root == NULL ? where.text : "an object was expected");
        json_decref(root);
        return false;
    }

    ok = agent_conf_section(&read, NULL, root, error);
    json_decref(root);

    for (i = 0; ok && i < AGENT_CONF_FIELDS; i++) {
        f = &agent_conf_fields[i];

        if (f->required && *((char *) &read + f->offset) == '\0') {
            snprintf(error, AGENT_ERROR_MAX, "\"%s\" is missing", f->key);
            ok = false;
        }
    }

    if (ok && agent_conf_together(&read, error)) {
        *conf = read;
        return true;
    }

    return false;
}


/* Not the machine's id itself, which is nobody else's business, but enough. */

static void
agent_conf_machine(agent_conf_t *conf)
{
    int      fd;
    char     id[128];
    size_t   i;
    ssize_t  n;
    uint64_t h;

    fd = open("/etc/machine-id", O_RDONLY|O_CLOEXEC);
    n = fd == -1 ? -1 : read(fd, id, sizeof(id));

    if (fd != -1) {
        close(fd);
    }

    if (n <= 0) {
        n = gethostname(id, sizeof(id) - 1) == 0 ? (ssize_t) strlen(id) : 0;
    }

    h = 0xCBF29CE484222325ull;

    for (i = 0; (ssize_t) i < n; i++) {
        h = (h ^ (uint8_t) id[i]) * 0x100000001B3ull;
    }

    snprintf(conf->machine, sizeof(conf->machine), "%016llx",
             (unsigned long long) h);
}


bool
agent_conf_read(agent_conf_t *conf, const char *path, char *error)
{
    int            fd;
    ssize_t        n;
    size_t         len;
    agent_conf_t   read_conf;
    static char    text[AGENT_CONF_FILE_MAX];
    char           why[AGENT_ERROR_MAX - 300];

    fd = open(path, O_RDONLY|O_CLOEXEC);

    if (fd == -1) {
        snprintf(error, AGENT_ERROR_MAX, "%.250s: %s", path,
                 strerror(errno));
        return false;
    }

    len = 0;

    while (len < sizeof(text)
           && (n = read(fd, text + len, sizeof(text) - len)) > 0)
    {
        len += (size_t) n;
    }

    close(fd);

    if (len == sizeof(text)) {
        snprintf(error, AGENT_ERROR_MAX, "%.250s has more than %d bytes",
                 path, AGENT_CONF_FILE_MAX);
        return false;
    }

    if (!agent_conf_parse(&read_conf, text, len, error)) {
        snprintf(why, sizeof(why), "%.*s", (int) sizeof(why) - 1, error);
        snprintf(error, AGENT_ERROR_MAX, "%.250s: %s", path, why);
        return false;
    }

    if (read_conf.machine[0] == '\0') {
        agent_conf_machine(&read_conf);
    }

    *conf = read_conf;

    return true;
}


bool
agent_conf_reloadable(const agent_conf_t *was, const agent_conf_t *now,
    char *error)
{
    char                       name[64];
    size_t                     i, size;
    const agent_conf_field_t  *f;

    for (i = 0; i < AGENT_CONF_FIELDS; i++) {
        f = &agent_conf_fields[i];

        if (!f->fixed) {
            continue;
        }

        size = f->kind == AGENT_CONF_NUMBER ? sizeof(uint32_t) : f->max + 1;

        if (memcmp((const char *) was + f->offset,
                   (const char *) now + f->offset, size) != 0)
        {
            agent_conf_name(f, name, sizeof(name));
            snprintf(error, AGENT_ERROR_MAX, "\"%s\" can't change while the "
                     "agent runs: restart it", name);
            return false;
        }
    }

    return true;
}
