/*
 * Copyright (C) ngx-voice contributors
 *
 * Everything under the prefix: a list, page by page, then a watch that goes
 * on behind it; a list again when the watch can't.
 */


#include "agent.h"
#include "agent_value.h"

#include <stdlib.h>
#include <string.h>


#define AGENT_LIST_PAGE      1000
#define AGENT_LIST_TIMEOUT   10000
#define AGENT_VERIFY         300000      /* ms between full lists */
#define AGENT_ECHO           1500        /* ms until our own load comes back */
#define AGENT_WATCHED        5000        /* ms, of a watch that was good */
#define AGENT_REFUSAL        1000        /* ms between lines of bad values */


/* Our own key went although nobody told us: by an old leader, by a person. */

static void
agent_watch_self_deleted(agent_t *a, const agent_kv_t *kv)
{
    char              key[AGENT_KEY_MAX];
    agent_session_t  *s = &a->session;

    agent_key(a, key, 'n', a->conf.node);

    if (strcmp(kv->key, key) == 0 && s->register_rev != 0
        && kv->mod_revision > s->register_rev)
    {
        agent_session_lost(a, "its key was deleted");
    }
}


/* By hand, or by a machine that takes itself for this one. */

static void
agent_watch_self_put(agent_t *a, const agent_kv_t *kv)
{
    char              key[AGENT_KEY_MAX];
    agent_session_t  *s = &a->session;

    agent_key(a, key, 'n', a->conf.node);

    if (s->register_rev != 0 && kv->lease != s->lease
        && kv->mod_revision > s->register_rev && strcmp(kv->key, key) == 0)
    {
        agent_session_lost(a, "its key was overwritten");
    }
}


static void
agent_watch_guild_deleted(agent_t *a, uint64_t id, bool ours)
{
    uint64_t  at, now;

    /* somebody else's mistake, or etcd's data are gone: it is in use here */

    now = agent_zone_now();

    if (ours && a->zone.mem != NULL
        && voice_cluster_used_at(&a->zone.w.c, id, &at, NULL) == VOICE_OK
        && at != 0 && now < at + a->conf.empty_after / 2)
    {
        agent_join_claim(a, id);
    }
}


/* Not each of a thousand: who looks for them finds them in etcd. */

static void
agent_watch_refused(agent_t *a, const agent_kv_t *kv, const char *why)
{
    if (a->now < a->next_refusal) {
        a->refusals++;
        return;
    }

    agent_log(AGENT_LOG_WARN, "key \"%.300s\" of revision %llu is ignored, "
              "its value is \"%.200s\": %s (%u more like it)", kv->key,
              (unsigned long long) kv->mod_revision, kv->value, why,
              a->refusals);

    a->next_refusal = a->now + AGENT_REFUSAL;
    a->refusals = 0;
}


typedef bool (*agent_watch_put_pt)(agent_model_t *m, const char *key,
    const char *value, uint64_t mod_revision, uint64_t now);

static void
agent_watch_put(agent_t *a, const agent_kv_t *kv, agent_watch_put_pt put)
{
    char      load[AGENT_KEY_MAX];
    uint64_t  bad;

    bad = a->model.bad_values;

    put(&a->model, kv->key, kv->value, kv->mod_revision, a->now);

    if (a->model.bad_values != bad) {
        agent_watch_refused(a, kv, a->model.refused);
    }

    agent_key(a, load, 'l', a->conf.node);

    if (strcmp(kv->key, load) == 0) {
        a->session.load_put = 0;       /* the watch is alive, end to end */
    }
}


static void
agent_watch_apply(agent_t *a, const agent_kv_t *kv, agent_watch_put_pt put)
{
    bool              ours;
    uint64_t          id;
    agent_guild_t    *guild;
    size_t            prefix = strlen(a->conf.prefix);

    if (strlen(kv->key) != kv->key_len
        || strlen(kv->value) != kv->value_len)
    {
        a->model.bad_values++;
        agent_watch_refused(a, kv, "a zero byte");
        return;
    }

    if (!kv->deleted) {
        agent_watch_put(a, kv, put);
        agent_watch_self_put(a, kv);
        return;
    }

    id = 0;
    ours = false;

    if (strncmp(kv->key, a->conf.prefix, prefix) == 0
        && strncmp(kv->key + prefix, "a/", 2) == 0
        && agent_value_id(kv->key + prefix + 2, &id))
    {
        guild = agent_model_guild(&a->model, id);
        ours = guild != NULL && guild->node != NULL && guild->busy == 0
               && strcmp(guild->node->info.name, a->conf.node) == 0;
    }

    agent_model_delete(&a->model, kv->key, kv->mod_revision, a->now);

    if (id != 0) {
        agent_watch_guild_deleted(a, id, ours);
    }

    agent_watch_self_deleted(a, kv);
}


void
agent_watch_relist(agent_t *a, const char *why)
{
    agent_session_t  *s = &a->session;

    if (!s->listed) {
        return;                        /* it is on its way */
    }

    agent_log(AGENT_LOG_ERR, "etcd's data are others than before, %s: "
              "listing them", why);

    s->listed = false;
    s->list_anew = true;
    s->next_list = a->now;
}


/* Everything under the prefix, page by page, as it was at one revision. */

static void
agent_list_kv(void *data, const agent_kv_t *kv)
{
    agent_t  *a = data;

    free(a->session.list_from);
    a->session.list_from = strdup(kv->key);

    agent_watch_apply(a, kv, agent_model_list_put);
}


static void agent_list_page(agent_t *a);


/* One that is too large is of values that are none of ours. */

static void
agent_list_failed(agent_t *a, int code)
{
    agent_session_t  *s = &a->session;

    s->listing = false;
    s->next_list = a->now + agent_backoff(s->list_failures++);

    if (code == AGENT_ETCD_TOO_LARGE && s->page > 1) {
        s->page /= 4;
    }

    agent_log(AGENT_LOG_INFO, "no list of etcd's keys: %s",
              code != AGENT_ETCD_OK ? agent_etcd_error(a->etcd)
                                    : "an answer without keys");
}


/* The lease was good, but of a time when we had not registered by it. */

static void
agent_list_self(agent_t *a)
{
    agent_node_t     *self;
    agent_session_t  *s = &a->session;

    self = agent_model_self(&a->model);

    if (s->register_rev != 0 && (self == NULL || !self->registered)
        && (s->list_anew || s->register_rev <= s->list_revision))
    {
        agent_session_lost(a, "its key is not there");
        s->listed = true;
    }
}


static void
agent_list_end(agent_t *a)
{
    size_t            n;
    bool              first;
    agent_session_t  *s = &a->session;

    first = a->model.revision == 0;

    if (s->list_revision < a->model.revision) {
        agent_log(AGENT_LOG_ERR, "etcd's revision went back from %llu to %llu"
                  ": its data are of a former time",
                  (unsigned long long) a->model.revision,
                  (unsigned long long) s->list_revision);
    }

    if (!first && a->model.list_anew) {
        s->claims_until = a->now + AGENT_CLAIMS;
    }

    n = agent_model_list_end(&a->model, a->now);

    if (!first) {
        a->differences += n;
    }

    s->listing = false;
    s->listed = true;
    s->list_failures = 0;
    s->page = AGENT_LIST_PAGE;
    s->next_verify = a->now + agent_spread(AGENT_VERIFY);

    agent_list_self(a);
    s->list_anew = false;

    agent_log(AGENT_LOG_INFO, "listed at revision %llu: %zu guilds, %zu gone",
              (unsigned long long) s->list_revision, a->model.guilds, n);
}


static void
agent_list_first(agent_t *a, const json_t *answer)
{
    uint64_t          cluster;
    agent_session_t  *s = &a->session;

    cluster = agent_answer_cluster(answer);

    if (s->cluster != 0 && cluster != s->cluster) {
        s->list_anew = true;
    }

    s->cluster = cluster;
    s->list_revision = agent_answer_revision(answer);
    agent_model_list_begin(&a->model, s->list_revision, s->list_anew);
}


static void
agent_list_handler(void *data, int code, const json_t *answer, uint64_t sent)
{
    size_t            n;
    agent_t          *a = data;
    agent_session_t  *s = &a->session;

    (void) sent;

    if (!s->listing) {
        return;
    }

    if (code != AGENT_ETCD_OK) {
        agent_list_failed(a, code);
        return;
    }

    if (s->pages++ == 0) {
        agent_list_first(a, answer);
    }

    n = agent_kvs_each(json_object_get(answer, "kvs"), agent_list_kv, a);

    if (!json_is_true(json_object_get(answer, "more"))) {
        agent_list_end(a);
        return;
    }

    if (n == 0) {
        agent_list_failed(a, AGENT_ETCD_OK);
        return;
    }

    agent_list_page(a);
}


/* from: of the first page the prefix, of others the key before it */

static void
agent_list_page(agent_t *a)
{
    char             *from;
    size_t            len;
    agent_session_t  *s = &a->session;

    len = s->list_from == NULL ? 0 : strlen(s->list_from);
    from = len == 0 ? NULL : malloc(len + 2);

    if (from != NULL) {
        memcpy(from, s->list_from, len);
        memcpy(from + len, s->pages == 0 ? "" : "\001", s->pages == 0 ? 1 : 2);

        s->listing = agent_etcd_call(a->etcd, "kv/range",
            agent_range_prefix(a->conf.prefix, from, s->page,
                               s->pages == 0 ? 0 : s->list_revision),
            AGENT_LIST_TIMEOUT, agent_list_handler, a);
        free(from);
    }

    if (from == NULL || !s->listing) {
        s->listing = false;
        s->next_list = a->now + agent_backoff(s->list_failures++);
    }
}


static void
agent_list_start(agent_t *a)
{
    agent_session_t  *s = &a->session;

    if (s->listing || a->now < s->next_list) {
        return;
    }

    agent_etcd_watch_stop(a->etcd);
    s->watching = false;
    s->created = false;
    s->load_put = 0;

    s->pages = 0;
    s->page = s->page == 0 ? AGENT_LIST_PAGE : s->page;

    free(s->list_from);
    s->list_from = strdup(a->conf.prefix);

    agent_list_page(a);
}


static void
agent_watch_ended(agent_t *a, const char *reason)
{
    agent_session_t  *s = &a->session;

    agent_log(AGENT_LOG_INFO, "watch ended: %s", reason);

    if (s->created && a->now - s->watched >= AGENT_WATCHED) {
        s->watch_failures = 0;
    }

    s->watching = false;
    s->created = false;
    s->load_put = 0;
    s->next_watch = a->now + agent_backoff(s->watch_failures++);
}


static void
agent_watch_event(void *data, const agent_kv_t *kv)
{
    agent_watch_apply(data, kv, agent_model_put);
}


static void
agent_watch_created(agent_t *a)
{
    agent_session_t  *s = &a->session;

    s->created = true;
    s->watched = a->now;

    /* is it the etcd that we know: by a revision that is of now */

    s->next_load = a->now;
}


/* Moves the resume point; never beyond what was delivered whole. */

static void
agent_watch_resume(agent_t *a, const agent_watch_line_t *line)
{
    uint64_t  revision;

    revision = line->last != 0 ? line->last - line->fragment
               : line->created ? 0 : line->revision;

    if (revision > a->model.revision) {
        a->model.revision = revision;
    }
}


static void
agent_watch_line(void *data, const char *text, size_t len, int code,
    const char *reason)
{
    agent_t             *a = data;
    agent_session_t     *s = &a->session;
    agent_watch_line_t   line;

    if (text == NULL) {
        agent_watch_ended(a, reason);

        if (code == AGENT_ETCD_TOO_LARGE) {
            s->listed = false;         /* it would be no smaller again */
        }

        return;
    }

    if (!agent_watch_parse(text, len, &line, agent_watch_event, a)) {
        agent_etcd_watch_stop(a->etcd);
        agent_watch_ended(a, "a line that is no answer of etcd's");
        return;
    }

    if (!s->watching) {
        return;                        /* an event was the end of it */
    }

    if (line.error != AGENT_ETCD_OK || line.canceled) {
        if (line.error == AGENT_ETCD_UNAUTHENTICATED) {
            agent_etcd_token_forget(a->etcd);

        } else {
            agent_etcd_watch_blame(a->etcd);
        }

        agent_etcd_watch_stop(a->etcd);
        agent_watch_ended(a, line.reason[0] != '\0' ? line.reason
                             : line.compacted != 0 ? "compacted"
                             : "canceled");

        /* what happened meanwhile is not told any more */

        if (line.compacted != 0) {
            s->listed = false;
        }

        return;
    }

    if (line.cluster != 0 && line.cluster != s->cluster) {
        agent_watch_relist(a, "it is another cluster");
        return;
    }

    if (line.created) {
        agent_watch_created(a);
    }

    agent_watch_resume(a, &line);
}


void
agent_watch_restart(agent_t *a)
{
    if (a->session.watching) {
        agent_etcd_watch_stop(a->etcd);
        agent_watch_ended(a, "configured anew");
    }
}


static void
agent_watch_start(agent_t *a)
{
    agent_session_t  *s = &a->session;

    if (s->watching) {

        if (s->load_put != 0 && a->now - s->load_put > AGENT_ECHO) {
            agent_etcd_watch_blame(a->etcd);
            agent_etcd_watch_stop(a->etcd);
            agent_watch_ended(a, "our own load report did not come back");
        }

        return;
    }

    if (a->now < s->next_watch) {
        return;
    }

    s->watching = agent_etcd_watch(a->etcd,
        agent_watch_body(a->conf.prefix, a->model.revision + 1),
        agent_watch_line, a);
}


void
agent_watch_tick(agent_t *a)
{
    agent_session_t  *s = &a->session;

    if (s->listed && s->watching && a->now >= s->next_verify) {
        s->listed = false;             /* compare with all there is */
    }

    if (!s->listed) {
        agent_list_start(a);

    } else {
        agent_watch_start(a);
    }
}
