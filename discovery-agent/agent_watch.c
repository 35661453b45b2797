/*
 * Copyright (C) ngx-voice contributors
 *
 * Everything under the prefix: a list, page by page, then a watch that goes
 * on behind it; a list again when the watch can't.
 */


#include "agent.h"
#include "agent_value.h"

#include <stdio.h>
#include <string.h>


#define AGENT_LIST_PAGE      1000
#define AGENT_LIST_TIMEOUT   10000
#define AGENT_VERIFY         300000      /* ms between full lists */
#define AGENT_ECHO           1500        /* ms until our own load comes back */
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


static void
agent_watch_guild_deleted(agent_t *a, uint64_t id, bool ours)
{
    uint64_t  at, now;

    /* somebody else's mistake, or etcd's data are gone: it is in use here */

    now = agent_zone_now();

    if (ours && a->zone.mem != NULL
        && voice_cluster_used_at(&a->zone.w, id, &at, NULL) == VOICE_OK
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


static void
agent_watch_put(agent_t *a, const agent_kv_t *kv)
{
    char      load[AGENT_KEY_MAX];
    uint64_t  bad;

    bad = a->model.bad_values;

    agent_model_put(&a->model, kv->key, kv->value, kv->mod_revision, a->now);

    if (a->model.bad_values != bad) {
        agent_watch_refused(a, kv, a->model.refused);
    }

    agent_key(a, load, 'l', a->conf.node);

    if (strcmp(kv->key, load) == 0) {
        a->session.load_put = 0;       /* the watch is alive, end to end */
    }
}


static void
agent_watch_apply(void *data, const agent_kv_t *kv)
{
    bool              ours;
    uint64_t          id;
    agent_t          *a = data;
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
        agent_watch_put(a, kv);
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


/* Everything under the prefix, page by page, as it was at one revision. */

typedef struct {
    agent_t   *agent;
    char       last[AGENT_KEY_MAX];
} agent_page_t;


static void
agent_list_kv(void *data, const agent_kv_t *kv)
{
    agent_page_t  *page = data;

    agent_watch_apply(page->agent, kv);
    snprintf(page->last, sizeof(page->last), "%s", kv->key);
}


static void agent_list_page(agent_t *a);


static void
agent_list_failed(agent_t *a)
{
    agent_session_t  *s = &a->session;

    s->listing = false;
    s->next_list = a->now + agent_backoff(s->list_failures++);
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

    n = agent_model_list_end(&a->model, s->list_revision, a->now);

    if (!first) {
        a->differences += n;
    }

    s->listing = false;
    s->listed = true;
    s->list_failures = 0;
    s->next_watch = 0;
    s->next_verify = a->now + agent_spread(AGENT_VERIFY);

    agent_log(AGENT_LOG_INFO, "listed at revision %llu: %zu guilds, %zu gone",
              (unsigned long long) s->list_revision, a->model.guilds, n);
}


static void
agent_list_handler(void *data, int code, const json_t *answer, uint64_t sent)
{
    agent_t          *a = data;
    agent_page_t      page;
    agent_session_t  *s = &a->session;

    (void) sent;

    if (!s->listing) {
        return;
    }

    if (code != AGENT_ETCD_OK) {
        agent_list_failed(a);
        return;
    }

    if (s->pages++ == 0) {
        s->list_revision = agent_answer_revision(answer);
        agent_model_list_begin(&a->model);
    }

    page.agent = a;
    page.last[0] = '\0';

    agent_kvs_each(json_object_get(answer, "kvs"), agent_list_kv, &page);

    if (!json_is_true(json_object_get(answer, "more"))) {
        agent_list_end(a);
        return;
    }

    if (page.last[0] == '\0') {
        agent_list_failed(a);
        return;
    }

    /* the key behind the last one: it, and a byte of 1 */

    snprintf(s->list_from, sizeof(s->list_from), "%.*s\001",
             AGENT_KEY_MAX - 2, page.last);
    agent_list_page(a);
}


static void
agent_list_page(agent_t *a)
{
    agent_session_t  *s = &a->session;

    s->listing = agent_etcd_call(a->etcd, "kv/range",
        agent_range_prefix(a->conf.prefix, s->list_from, AGENT_LIST_PAGE,
                           s->pages == 0 ? 0 : s->list_revision),
        AGENT_LIST_TIMEOUT, agent_list_handler, a);
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

    s->pages = 0;
    snprintf(s->list_from, sizeof(s->list_from), "%s", a->conf.prefix);

    agent_list_page(a);
}


static void
agent_watch_ended(agent_t *a, const char *reason)
{
    agent_session_t  *s = &a->session;

    agent_log(AGENT_LOG_INFO, "watch ended: %s", reason);

    s->watching = false;
    s->created = false;
    s->load_put = 0;
    s->next_watch = a->now + agent_backoff(s->watch_failures++);
}


/* Moves the resume point; never beyond what was delivered. */

static void
agent_watch_event(void *data, const agent_kv_t *kv)
{
    agent_t  *a = data;

    agent_watch_apply(a, kv);

    if (kv->mod_revision > a->model.revision) {
        a->model.revision = kv->mod_revision;
    }
}


static void
agent_watch_line(void *data, const char *text, size_t len, const char *reason)
{
    agent_t             *a = data;
    agent_session_t     *s = &a->session;
    agent_watch_line_t   line;

    if (text == NULL) {
        agent_watch_ended(a, reason);
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
        agent_etcd_watch_blame(a->etcd);
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

    if (line.created) {
        s->created = true;
        s->watch_failures = 0;
    }

    if (line.events == 0 && !line.created
        && line.revision > a->model.revision)
    {
        a->model.revision = line.revision;     /* progress */
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
