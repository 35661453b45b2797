/*
 * Copyright (C) ngx-voice contributors
 *
 * Orders and moves: by etcd, as the agents take them.
 */


#include "cluster.h"
#include "options.h"

#include "agent_etcd.h"
#include "agent_log.h"
#include "agent_value.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>


#define VC_CLUSTER_TIMEOUT   10000     /* ms, of one call */
#define VC_CLUSTER_KEY       320
#define VC_CLUSTER_HOLD      "hold"


typedef char  vc_order_text_t[512];


typedef struct {
    int       code;
    bool      done;
    json_t   *answer;
} vc_call_t;


static void
vc_call_handler(void *data, int code, const json_t *answer, uint64_t sent)
{
    vc_call_t  *call = data;

    (void) sent;

    call->code = code;
    call->done = true;
    call->answer = json_incref((json_t *) answer);
}


/* Waits for the answer; NULL: complained. */

static json_t *
vc_cluster_call(agent_etcd_t *etcd, const char *what, const char *path,
    json_t *body)
{
    vc_call_t  call;

    memset(&call, 0, sizeof(call));

    if (agent_etcd_call(etcd, path, body, VC_CLUSTER_TIMEOUT,
                        vc_call_handler, &call))
    {
        while (!call.done) {
            agent_etcd_turn(etcd, NULL, 0, 100);
        }
    }

    if (call.code != AGENT_ETCD_OK || call.answer == NULL) {
        vc_complain(what, "%s", agent_etcd_error(etcd));
        json_decref(call.answer);
        return NULL;
    }

    return call.answer;
}


static agent_etcd_t *
vc_cluster_etcd(const vc_cluster_t *cl)
{
    agent_etcd_t  *etcd;

    etcd = agent_etcd_create(&cl->conf);

    if (etcd == NULL) {
        vc_complain("cluster", "no memory");
    }

    return etcd;
}


static void
vc_cluster_key(const vc_cluster_t *cl, char *key, char kind,
    const char *name)
{
    snprintf(key, VC_CLUSTER_KEY, "%s%c/%s", cl->conf.prefix, kind, name);
}


/* What is below a prefix, as JSON. */
typedef struct {
    json_t   *list;
    size_t    prefix;                  /* its length */
} vc_listing_t;


/* What there is of orders in a region. */
typedef struct {
    json_t   *orders;
    json_t   *hold;                    /* none, or the one of the region */
    json_t   *suspicions;
} vc_orders_t;


/* Anybody may have written it: what is no order is shown as what it is. */

static void
vc_order_kv(void *data, const agent_kv_t *kv)
{
    json_t        *value, *item;
    vc_listing_t  *listing = data;

    agent_text_clean(kv->key);
    value = json_loads(kv->value, 0, NULL);

    if (value == NULL) {
        agent_text_clean(kv->value);
        value = json_string(kv->value);
    }

    item = json_pack("{s:s,s:o,s:I}", "node", kv->key + listing->prefix,
                     "order", value, "lease", (json_int_t) kv->lease);

    if (item != NULL) {
        json_array_append_new(listing->list, item);
    }
}


static const char *
vc_order_text(const json_t *item, const char *key, vc_order_text_t buf)
{
    const char  *text;

    text = json_string_value(json_object_get(json_object_get(item, "order"),
                                             key));
    snprintf(buf, sizeof(vc_order_text_t), "%s", text ? text : "-");
    agent_text_clean(buf);

    return buf;
}


/* How long it has to go; negative: no end. */

static json_int_t
vc_order_left(agent_etcd_t *etcd, const json_t *item)
{
    json_t      *answer;
    json_int_t   lease, left;

    lease = json_integer_value(json_object_get(item, "lease"));

    if (lease == 0) {
        return -1;
    }

    answer = vc_cluster_call(etcd, "cluster orders", "lease/timetolive",
                             agent_lease_id((uint64_t) lease));
    left = (json_int_t) agent_number(answer, "TTL");
    json_decref(answer);

    return left;
}


/* x/<node>/<by>; what is none says nothing to agents either. */

static void
vc_suspicion_kv(void *data, const agent_kv_t *kv)
{
    bool           ask;
    char          *by, *node;
    const char    *why;
    vc_listing_t  *listing = data;

    node = kv->key + listing->prefix;
    by = strchr(node, '/');

    if (by == NULL || !agent_value_accusation(kv->value, &ask, &why)) {
        return;
    }

    *by++ = '\0';

    if (agent_name_valid(node) && agent_name_valid(by)) {
        json_array_append_new(listing->list, json_pack("{s:s,s:s,s:b}",
                                  "node", node, "by", by, "client",
                                  (int) ask));
    }
}


/* Everything of a kind, or what has the name; NULL: complained. */

static json_t *
vc_cluster_list(agent_etcd_t *etcd, const vc_cluster_t *cl, char kind,
    const char *name, agent_kv_pt handler)
{
    char           key[VC_CLUSTER_KEY];
    json_t        *answer;
    vc_listing_t   listing;

    vc_cluster_key(cl, key, kind, name);
    answer = vc_cluster_call(etcd, "cluster orders", "kv/range",
                             name[0] != '\0' ? agent_range(key)
                             : agent_range_prefix(key, key, 4096, 0));

    if (answer == NULL) {
        return NULL;
    }

    listing.list = json_array();
    listing.prefix = strlen(key);
    agent_kvs_each(json_object_get(answer, "kvs"), handler, &listing);
    json_decref(answer);

    return listing.list;
}


/* The same, and how long each has to go. */

static json_t *
vc_orders_list(agent_etcd_t *etcd, const vc_cluster_t *cl, char kind,
    const char *name)
{
    size_t       i;
    json_t      *list, *item;
    json_int_t   left;

    list = vc_cluster_list(etcd, cl, kind, name, vc_order_kv);

    json_array_foreach(list, i, item) {
        left = vc_order_left(etcd, item);
        json_object_set_new(item, "seconds", left < 0 ? json_null()
                                             : json_integer(left));
        json_object_del(item, "lease");
    }

    return list;
}


static void
vc_order_print(const json_t *item, const char *what)
{
    char              left[24];
    const json_t     *seconds;
    vc_order_text_t   mode, by, why;

    seconds = json_object_get(item, "seconds");
    snprintf(left, sizeof(left), "-");

    if (!json_is_null(seconds)) {
        snprintf(left, sizeof(left), "%lld s",
                 (long long) json_integer_value(seconds));
    }

    printf("%-20s %s%-*s %-10s %-16s %s\n",
           what[0] == '\0' ? json_string_value(json_object_get(item, "node"))
                           : "-",
           what, (int) (8 - strlen(what)), vc_order_text(item, "m", mode),
           left, vc_order_text(item, "by", by),
           vc_order_text(item, "why", why));
}


static void
vc_orders_print(const vc_orders_t *all)
{
    size_t         i;
    const json_t  *item;

    printf("%-20s %-8s %-10s %-16s %s\n", "node", "order", "ends in", "by",
           "why");

    json_array_foreach(all->hold, i, item) {
        vc_order_print(item, "hold ");
    }

    json_array_foreach(all->orders, i, item) {
        vc_order_print(item, "");
    }

    json_array_foreach(all->suspicions, i, item) {
        printf("%-20s %-8s %-10s %-16s %s\n",
               json_string_value(json_object_get(item, "node")), "suspect",
               "-", json_string_value(json_object_get(item, "by")),
               json_is_true(json_object_get(item, "client"))
               ? "a client has lost it" : "probes of it are lost");
    }
}


static void
vc_orders_json(const vc_orders_t *all)
{
    char    *text;
    json_t  *item, *root;

    item = json_array_get(all->hold, 0);
    json_object_del(item, "node");

    root = json_pack("{s:O,s:O,s:O?}", "orders", all->orders, "suspicions",
                     all->suspicions, "hold", item);
    text = json_dumps(root, JSON_COMPACT|JSON_ENSURE_ASCII);
    printf("%s\n", text ? text : "{}");
    free(text);
    json_decref(root);
}


int
vc_cluster_orders(const vc_cluster_t *cl)
{
    bool           ok;
    vc_orders_t    all;
    agent_etcd_t  *etcd;

    etcd = vc_cluster_etcd(cl);

    if (etcd == NULL) {
        return VC_EXIT_FAILED;
    }

    memset(&all, 0, sizeof(all));

    ok = (all.orders = vc_orders_list(etcd, cl, 'q', "")) != NULL
         && (all.hold = vc_orders_list(etcd, cl, 'c', VC_CLUSTER_HOLD)) != NULL
         && (all.suspicions = vc_cluster_list(etcd, cl, 'x', "",
                                              vc_suspicion_kv)) != NULL;

    if (ok && cl->json) {
        vc_orders_json(&all);

    } else if (ok) {
        vc_orders_print(&all);
    }

    json_decref(all.orders);
    json_decref(all.hold);
    json_decref(all.suspicions);
    agent_etcd_free(etcd);

    return ok ? VC_EXIT_OK : VC_EXIT_FAILED;
}


/* Its lease is the order's length. */

static bool
vc_order_lease(agent_etcd_t *etcd, const vc_cluster_t *cl, uint64_t *lease)
{
    json_t  *answer;

    *lease = 0;

    if (cl->length == 0) {
        return true;
    }

    answer = vc_cluster_call(etcd, cl->what, "lease/grant",
                             agent_lease_grant(cl->length / 1000));
    *lease = agent_number(answer, "ID");
    json_decref(answer);

    return *lease != 0;
}


/* What was done; for programs the exit code is enough. */

static void
vc_order_done(const vc_cluster_t *cl)
{
    if (cl->json) {
        return;
    }

    printf("%s: %s", cl->node,
           strcmp(cl->what, "evict") == 0 ? "all guilds leave it now"
                                          : "no new guilds");

    if (strcmp(cl->what, "drain") == 0) {
        printf(", those it has leave %s", cl->after == 0 ? "now" : "in ");

        if (cl->after != 0) {
            printf("%" PRIu64 " s", cl->after / 1000);
        }
    }

    if (cl->length != 0) {
        printf("; the order ends in %" PRIu64 " s\n", cl->length / 1000);

    } else {
        printf("; until \"voicectl cluster allow %s\"\n", cl->node);
    }

    fflush(stdout);
}


/* Who gives it. */

static const char *
vc_order_by(char host[64])
{
    if (gethostname(host, 64) == -1) {
        host[0] = '\0';
    }

    host[63] = '\0';

    return host;
}


int
vc_cluster_order(const vc_cluster_t *cl)
{
    bool           ok;
    char          *value, order[VC_CLUSTER_KEY], node[VC_CLUSTER_KEY],
                   host[64];
    json_t        *answer;
    uint64_t       lease;
    agent_etcd_t  *etcd;

    etcd = vc_cluster_etcd(cl);

    if (etcd == NULL) {
        return VC_EXIT_FAILED;
    }

    vc_cluster_key(cl, order, 'q', cl->node);
    vc_cluster_key(cl, node, 'n', cl->node);

    value = agent_value_make_order(cl->what, vc_order_by(host), cl->why,
                                   (uint32_t) (cl->after / 1000));
    answer = NULL;

    if (value != NULL && vc_order_lease(etcd, cl, &lease)) {
        answer = vc_cluster_call(etcd, cl->what, "kv/txn", agent_txn(
                     json_pack("[o]", agent_compare_exists(node)),
                     json_pack("[o]", agent_op("request_put",
                                   agent_put(order, value, lease))),
                     json_array()));
    }

    ok = json_is_true(json_object_get(answer, "succeeded"));

    if (answer != NULL && !ok) {
        vc_complain(cl->what, "no node \"%s\" is registered below \"%s\"",
                    cl->node, cl->conf.prefix);
    }

    json_decref(answer);
    free(value);
    agent_etcd_free(etcd);

    if (!ok) {
        return VC_EXIT_FAILED;
    }

    vc_order_done(cl);

    return cl->wait ? vc_cluster_wait(cl) : VC_EXIT_OK;
}


int
vc_cluster_allow(const vc_cluster_t *cl)
{
    bool           ok;
    char           order[VC_CLUSTER_KEY];
    json_t        *answer;
    agent_etcd_t  *etcd;

    etcd = vc_cluster_etcd(cl);

    if (etcd == NULL) {
        return VC_EXIT_FAILED;
    }

    vc_cluster_key(cl, order, 'q', cl->node);
    answer = vc_cluster_call(etcd, cl->what, "kv/deleterange",
                             agent_range(order));
    ok = agent_number(answer, "deleted") != 0;

    if (answer != NULL && !ok) {
        vc_complain(cl->what, "there is no order for \"%s\"", cl->node);
    }

    if (ok && !cl->json) {
        printf("%s: takes guilds again\n", cl->node);
    }

    json_decref(answer);
    agent_etcd_free(etcd);

    return ok ? VC_EXIT_OK : VC_EXIT_FAILED;
}


typedef struct {
    uint64_t            revision;
    char               *value;
} vc_seen_t;


static void
vc_seen_kv(void *data, const agent_kv_t *kv)
{
    vc_seen_t  *seen = data;

    seen->revision = kv->mod_revision;
    seen->value = strdup(kv->value);
}


static bool
vc_cluster_see(agent_etcd_t *etcd, const vc_cluster_t *cl, const char *key,
    vc_seen_t *seen)
{
    json_t  *answer;

    memset(seen, 0, sizeof(vc_seen_t));

    answer = vc_cluster_call(etcd, cl->what, "kv/range", agent_range(key));
    agent_kvs_each(json_object_get(answer, "kvs"), vc_seen_kv, seen);
    json_decref(answer);

    return answer != NULL;
}


/* True: the guild is on its new node, by one transaction. */

static bool
vc_cluster_move_to(agent_etcd_t *etcd, const vc_cluster_t *cl,
    const char *guild, const vc_seen_t *was, const char *node,
    const vc_seen_t *target)
{
    bool               ok;
    char              *value, machine[AGENT_MACHINE_MAX + 1],
                       server[VOICE_CLUSTER_NAME_MAX + 1],
                       boot[VOICE_CLUSTER_BOOT_MAX + 1];
    json_t            *answer;
    uint32_t           said;
    const char        *why;
    voice_node_info_t  info;

    if (target->value == NULL
        || !agent_value_node(target->value, &info, machine, &said, &why)
        || (said & ~(uint32_t) VOICE_NODE_PROBES) != 0)
    {
        vc_complain(cl->what, "no node \"%s\" is up below \"%s\"", cl->node,
                    cl->conf.prefix);
        return false;
    }

    if (was->revision == 0) {
        vc_complain(cl->what, "guild %" PRIu64 " is on no node: nobody is in "
                    "voice there", cl->guild);
        return false;
    }

    if (agent_value_guild(was->value, server, boot, &why)
        && strcmp(server, cl->node) == 0 && strcmp(boot, info.boot) == 0)
    {
        return true;                           /* it is there already */
    }

    value = agent_value_make_guild(cl->node, info.boot);

    if (value == NULL) {
        return false;
    }

    answer = vc_cluster_call(etcd, cl->what, "kv/txn", agent_txn(
                 json_pack("[o,o]", agent_compare(guild, "MOD",
                                                  was->revision),
                           agent_compare(node, "MOD", target->revision)),
                 json_pack("[o]", agent_op("request_put",
                                           agent_put(guild, value, 0))),
                 json_array()));
    free(value);

    ok = json_is_true(json_object_get(answer, "succeeded"));

    if (answer != NULL && !ok) {
        vc_complain(cl->what, "somebody else moved guild %" PRIu64 ", or "
                    "\"%s\" changed: try again", cl->guild, cl->node);
    }

    json_decref(answer);

    return ok;
}


int
vc_cluster_move(const vc_cluster_t *cl)
{
    bool           ok;
    char           guild[VC_CLUSTER_KEY], node[VC_CLUSTER_KEY], id[24];
    vc_seen_t      was, target;
    agent_etcd_t  *etcd;

    etcd = vc_cluster_etcd(cl);

    if (etcd == NULL) {
        return VC_EXIT_FAILED;
    }

    snprintf(id, sizeof(id), "%" PRIu64, cl->guild);
    vc_cluster_key(cl, guild, 'a', id);
    vc_cluster_key(cl, node, 'n', cl->node);

    memset(&target, 0, sizeof(target));

    ok = vc_cluster_see(etcd, cl, guild, &was)
         && vc_cluster_see(etcd, cl, node, &target)
         && vc_cluster_move_to(etcd, cl, guild, &was, node, &target);

    free(was.value);
    free(target.value);
    agent_etcd_free(etcd);

    if (ok && !cl->json) {
        printf("guild %" PRIu64 " is on %s\n", cl->guild, cl->node);
    }

    return ok ? VC_EXIT_OK : VC_EXIT_FAILED;
}


static bool
vc_hold_set(agent_etcd_t *etcd, const vc_cluster_t *cl, const char *key)
{
    bool       ok;
    char      *value, host[64];
    json_t    *answer;
    uint64_t   lease;

    if (strcmp(cl->mode, "auto") == 0) {
        answer = vc_cluster_call(etcd, "cluster hold", "kv/deleterange",
                                 agent_range(key));
        ok = answer != NULL;
        json_decref(answer);
        return ok;
    }

    value = agent_value_make_hold(cl->mode, vc_order_by(host), cl->why);
    answer = NULL;

    if (value != NULL && vc_order_lease(etcd, cl, &lease)) {
        answer = vc_cluster_call(etcd, "cluster hold", "kv/put",
                                 agent_put(key, value, lease));
    }

    ok = answer != NULL;
    json_decref(answer);
    free(value);

    return ok;
}


int
vc_cluster_hold(const vc_cluster_t *cl)
{
    bool           ok;
    char           key[VC_CLUSTER_KEY];
    agent_etcd_t  *etcd;

    etcd = vc_cluster_etcd(cl);

    if (etcd == NULL) {
        return VC_EXIT_FAILED;
    }

    vc_cluster_key(cl, key, 'c', VC_CLUSTER_HOLD);
    ok = vc_hold_set(etcd, cl, key);
    agent_etcd_free(etcd);

    if (!ok) {
        return VC_EXIT_FAILED;
    }

    if (cl->json) {
        return VC_EXIT_OK;
    }

    printf("nodes that vanish %s", strcmp(cl->mode, "auto") == 0
           ? "are held if many do so together"
           : strcmp(cl->mode, "on") == 0 ? "are not taken for dead"
                                         : "are dead, however many");

    if (strcmp(cl->mode, "auto") != 0) {
        printf("; the order ends in %" PRIu64 " s", cl->length / 1000);
    }

    puts("");

    return VC_EXIT_OK;
}
