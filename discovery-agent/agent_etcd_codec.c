/*
 * Copyright (C) ngx-voice contributors
 */


#include "agent_etcd_codec.h"

#include <inttypes.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>


#define AGENT_B64        sodium_base64_VARIANT_ORIGINAL
#define AGENT_NUMBER_MAX 24


json_t *
agent_b64(const char *text)
{
    char    *b64;
    size_t   len, size;
    json_t  *value;

    len = strlen(text);
    size = sodium_base64_ENCODED_LEN(len, AGENT_B64);
    b64 = malloc(size);

    if (b64 == NULL) {
        return NULL;
    }

    sodium_bin2base64(b64, size, (const uint8_t *) text, len, AGENT_B64);
    value = json_string(b64);
    free(b64);

    return value;
}


/* Decodes with a NUL behind it; NULL: no base64, or no memory. */

static char *
agent_unb64(const json_t *value, size_t *len)
{
    char    *bin;
    size_t   n;

    if (!json_is_string(value)) {
        return NULL;
    }

    n = json_string_length(value);
    bin = malloc(n + 1);

    if (bin == NULL
        || sodium_base642bin((uint8_t *) bin, n, json_string_value(value), n,
                             NULL, len, NULL, AGENT_B64) != 0)
    {
        free(bin);
        return NULL;
    }

    bin[*len] = '\0';

    return bin;
}


uint64_t
agent_number(const json_t *object, const char *key)
{
    const json_t  *value;
    const char    *text;
    char          *end;
    uint64_t       n;

    value = json_object_get(object, key);

    if (json_is_integer(value)) {
        return json_integer_value(value) > 0
               ? (uint64_t) json_integer_value(value) : 0;
    }

    text = json_string_value(value);

    if (text == NULL || text[0] < '0' || text[0] > '9'
        || strlen(text) > AGENT_NUMBER_MAX)
    {
        return 0;
    }

    n = strtoull(text, &end, 10);

    return *end == '\0' ? n : 0;
}


/*
 * {"error":text,"code":n}, {"code":n,"message":text}, and of a stream
 * {"error":{"grpc_code":n,"message":text}} or {"error":{"code":n,...}}.
 */

int
agent_answer_error(const json_t *answer, char *text, size_t size)
{
    int            code;
    const char    *message;
    const json_t  *error, *holder;

    if (!json_is_object(answer)) {
        if (text != NULL) {
            snprintf(text, size, "no JSON object in the answer");
        }

        return AGENT_ETCD_TRANSPORT;
    }

    error = json_object_get(answer, "error");
    holder = json_is_object(error) ? error : answer;

    code = (int) (agent_number(holder, "code") & 0xFF);

    if (code == 0) {
        code = (int) (agent_number(holder, "grpc_code") & 0xFF);
    }

    if (code == 0 && error == NULL) {
        return AGENT_ETCD_OK;
    }

    if (text != NULL) {
        message = json_string_value(json_object_get(holder, "message"));

        if (message == NULL) {
            message = json_string_value(error);
        }

        snprintf(text, size, "%s", message ? message : "no text");
    }

    return code != 0 ? code : AGENT_ETCD_TRANSPORT;
}


uint64_t
agent_answer_revision(const json_t *answer)
{
    return agent_number(json_object_get(answer, "header"), "revision");
}


uint64_t
agent_answer_cluster(const json_t *answer)
{
    return agent_number(json_object_get(answer, "header"), "cluster_id");
}


static bool
agent_kv_read(const json_t *object, agent_kv_t *kv)
{
    const json_t  *value;

    memset(kv, 0, sizeof(agent_kv_t));

    kv->key = agent_unb64(json_object_get(object, "key"), &kv->key_len);

    if (kv->key == NULL || kv->key_len == 0) {
        free(kv->key);
        return false;
    }

    value = json_object_get(object, "value");

    if (value != NULL) {
        kv->value = agent_unb64(value, &kv->value_len);
    } else {
        kv->value = calloc(1, 1);
    }

    if (kv->value == NULL) {
        free(kv->key);
        return false;
    }

    kv->create_revision = agent_number(object, "create_revision");
    kv->mod_revision = agent_number(object, "mod_revision");
    kv->lease = agent_number(object, "lease");

    return true;
}


static bool
agent_kv_call(const json_t *object, bool deleted, agent_kv_pt handler,
    void *data)
{
    agent_kv_t  kv;

    if (!agent_kv_read(object, &kv)) {
        return false;
    }

    kv.deleted = deleted;

    if (handler != NULL) {
        handler(data, &kv);
    }

    free(kv.key);
    free(kv.value);

    return true;
}


size_t
agent_kvs_each(const json_t *kvs, agent_kv_pt handler, void *data)
{
    size_t         i, n;
    const json_t  *item;

    n = 0;

    json_array_foreach((json_t *) kvs, i, item) {
        n += agent_kv_call(item, false, handler, data);
    }

    return n;
}


static void
agent_watch_events(const json_t *events, agent_watch_line_t *line,
    agent_kv_pt handler, void *data)
{
    bool           deleted;
    size_t         i;
    uint64_t       revision;
    const char    *type;
    const json_t  *event, *kv;

    json_array_foreach((json_t *) events, i, event) {
        type = json_string_value(json_object_get(event, "type"));
        deleted = type != NULL && strcmp(type, "DELETE") == 0;

        kv = json_object_get(event, "kv");
        revision = agent_number(kv, "mod_revision");

        line->last = revision > line->last ? revision : line->last;
        line->events += agent_kv_call(kv, deleted, handler, data);
    }
}


/* A watch that etcd cancels has its error as a text only. */

static int
agent_watch_canceled(const char *reason)
{
    return strstr(reason, "auth token") != NULL
           || strstr(reason, "auth store is old") != NULL
           ? AGENT_ETCD_UNAUTHENTICATED : AGENT_ETCD_OK;
}


bool
agent_watch_parse(const char *text, size_t len, agent_watch_line_t *line,
    agent_kv_pt handler, void *data)
{
    json_t        *root;
    const char    *reason;
    const json_t  *result, *id;

    memset(line, 0, sizeof(agent_watch_line_t));

    root = json_loadb(text, len, 0, NULL);

    if (!json_is_object(root)) {
        json_decref(root);
        return false;
    }

    line->error = agent_answer_error(root, line->reason,
                                     sizeof(line->reason));
    result = json_object_get(root, "result");

    if (line->error != AGENT_ETCD_OK || !json_is_object(result)) {
        json_decref(root);
        return line->error != AGENT_ETCD_OK;
    }

    line->revision = agent_answer_revision(result);
    line->cluster = agent_answer_cluster(result);
    line->compacted = agent_number(result, "compact_revision");
    line->fragment = json_is_true(json_object_get(result, "fragment"));
    line->created = json_is_true(json_object_get(result, "created"));
    line->canceled = json_is_true(json_object_get(result, "canceled"));

    id = json_object_get(result, "watch_id");
    line->watch = json_is_string(id) ? strtoll(json_string_value(id), NULL, 10)
                  : json_integer_value(id);

    reason = json_string_value(json_object_get(result, "cancel_reason"));
    snprintf(line->reason, sizeof(line->reason), "%s", reason ? reason : "");

    if (line->canceled) {
        line->error = agent_watch_canceled(line->reason);
    }

    agent_watch_events(json_object_get(result, "events"), line, handler,
                       data);

    json_decref(root);

    return true;
}


static json_t *
agent_digits(uint64_t n)
{
    return json_sprintf("%" PRIu64, n);
}


json_t *
agent_put(const char *key, const char *value, uint64_t lease)
{
    json_t  *put;

    put = json_pack("{s:o,s:o}", "key", agent_b64(key), "value",
                    agent_b64(value));

    if (put != NULL && lease != 0) {
        json_object_set_new(put, "lease", agent_digits(lease));
    }

    return put;
}


json_t *
agent_range(const char *key)
{
    return json_pack("{s:o}", "key", agent_b64(key));
}


/* The first key behind all that begin with prefix: its last byte + 1. */

static json_t *
agent_prefix_end(const char *prefix)
{
    char     end[512];
    size_t   len;

    len = strlen(prefix);

    if (len == 0 || len >= sizeof(end)) {
        return NULL;
    }

    memcpy(end, prefix, len + 1);
    end[len - 1]++;

    return agent_b64(end);
}


json_t *
agent_range_prefix(const char *prefix, const char *from, unsigned limit,
    uint64_t revision)
{
    json_t  *range;

    range = json_pack("{s:o,s:o,s:o}", "key", agent_b64(from), "range_end",
                      agent_prefix_end(prefix), "limit", agent_digits(limit));

    /* a page behind the first one is of the same moment */

    if (range != NULL && revision != 0) {
        json_object_set_new(range, "revision", agent_digits(revision));
        json_object_set_new(range, "serializable", json_true());
    }

    return range;
}


json_t *
agent_compare(const char *key, const char *target, uint64_t number)
{
    return json_pack("{s:o,s:s,s:o}", "key", agent_b64(key), "target", target,
                     strcmp(target, "CREATE") == 0 ? "create_revision"
                     : strcmp(target, "LEASE") == 0 ? "lease"
                     : "mod_revision",
                     agent_digits(number));
}


json_t *
agent_compare_exists(const char *key)
{
    return json_pack("{s:o,s:s,s:s,s:s}", "key", agent_b64(key), "target",
                     "CREATE", "result", "GREATER", "create_revision", "0");
}


json_t *
agent_op(const char *what, json_t *request)
{
    return json_pack("{s:o}", what, request);
}


json_t *
agent_txn(json_t *compare, json_t *success, json_t *failure)
{
    return json_pack("{s:o,s:o,s:o}", "compare", compare, "success", success,
                     "failure", failure);
}


json_t *
agent_lease_grant(uint64_t seconds)
{
    return json_pack("{s:o}", "TTL", agent_digits(seconds));
}


json_t *
agent_lease_id(uint64_t lease)
{
    return json_pack("{s:o}", "ID", agent_digits(lease));
}


json_t *
agent_watch_body(const char *prefix, uint64_t start_revision)
{
    return json_pack("{s:{s:o,s:o,s:s,s:o,s:b,s:b}}", "create_request",
                     "key", agent_b64(prefix),
                     "range_end", agent_prefix_end(prefix),
                     "watch_id", "1",
                     "start_revision", agent_digits(start_revision),
                     "progress_notify", 1, "fragment", 1);
}
