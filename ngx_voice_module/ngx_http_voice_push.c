/*
 * Copyright (C) ngx-voice contributors
 *
 * The first worker tells all other nodes what happens to the voice states of
 * our users, as the log has it, and orders what was done to theirs; and which
 * guilds were changed here.
 *
 * Nothing about that is kept: a node answers with the event that it is at,
 * and is told on from there, or all anew.  Each few seconds it is asked
 * whether it has the same states as we.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>

#include "ngx_http_voice_link.h"
#include "ngx_http_voice_replica.h"

#include "voice_peer.h"


#define NGX_HTTP_VOICE_PUSH_BEAT      5000    /* ms between comparisons */
#define NGX_HTTP_VOICE_PUSH_AGAIN     250     /* where states were refused;
                                                 doubles */
#define NGX_HTTP_VOICE_PUSH_RETRY     100     /* doubles up to: */
#define NGX_HTTP_VOICE_PUSH_RETRY_MAX 5000

#define NGX_HTTP_VOICE_PUSH_EVENTS    256     /* looked at for one message */
#define NGX_HTTP_VOICE_PUSH_STATES    512     /* of a part of a sync */


/* Another node. */
typedef struct {
    ngx_queue_t               queue;
    ngx_http_voice_link_t     link;
    ngx_http_voice_replica_t  replica;       /* guilds */
    ngx_event_t               timer;         /* when to try again, or compare */
    ngx_msec_t                beat;          /* when to compare */
    ngx_uint_t                failures;
    ngx_uint_t                refusals;
    uint64_t                  has;           /* event of our log it is at */
    uint64_t                  next;          /* what was looked at for it */
    uint64_t                  going;         /* seq of the present message */
    uint32_t                  slot;          /* of a sync */
    char                      name[VOICE_CLUSTER_NAME_MAX + 1];
    char                      url[VOICE_CLUSTER_URL_MAX + 1];
    char                      boot[VOICE_CLUSTER_BOOT_MAX + 1];
    unsigned                  known:1;       /* `has` is what it said */
    unsigned                  sync:1;        /* a sync goes on */
    unsigned                  began:1;       /* its first part is out */
    unsigned                  last:1;        /* the present part is the last */
    unsigned                  there:1;       /* seen in the list of nodes */
    unsigned                  wait:1;        /* for the timer */
} ngx_http_voice_push_t;


typedef struct {
    voice_zone_t                *zone;
    voice_cluster_t             *cluster;
    ngx_http_voice_peer_conf_t  *conf;
    ngx_log_t                   *log;
    ngx_queue_t                  peers;
    voice_buf_t                  body;
    char                         name[VOICE_CLUSTER_NAME_MAX + 1];
    char                         boot[VOICE_CLUSTER_BOOT_MAX + 1];
    uint64_t                     digest_of;     /* log_next of: */
    uint64_t                     digest;
    uint32_t                     count;
    unsigned                     started:1;
} ngx_http_voice_pusher_t;


static void ngx_http_voice_push_handler(ngx_http_voice_link_t *link,
    const voice_peer_answer_t *answer, const char *why);
static void ngx_http_voice_push_timer_handler(ngx_event_t *ev);
static void ngx_http_voice_push_go(ngx_http_voice_push_t *p);


static ngx_http_voice_pusher_t  ngx_http_voice_pusher;


/* What is to be said. */

static void
ngx_http_voice_push_begin(ngx_http_voice_push_t *p, voice_peer_message_t *m)
{
    ngx_http_voice_pusher_t  *ps = &ngx_http_voice_pusher;

    ngx_memzero(m, sizeof(voice_peer_message_t));

    (void) ngx_cpystrn((u_char *) m->from, (u_char *) ps->name,
                       sizeof(m->from));
    (void) ngx_cpystrn((u_char *) m->boot, (u_char *) ps->boot,
                       sizeof(m->boot));

    voice_buf_reset(&ps->body);
    (void) p;
}


/* A part of all states. */

static void
ngx_http_voice_push_sync(ngx_http_voice_push_t *p)
{
    size_t                    i, n;
    voice_state_info_t        list[NGX_HTTP_VOICE_PUSH_STATES];
    voice_peer_message_t      m;
    ngx_http_voice_pusher_t  *ps = &ngx_http_voice_pusher;

    ngx_http_voice_push_begin(p, &m);

    m.is_sync = true;

    if (!p->began) {
        p->began = 1;
        p->slot = 0;
        p->going = voice_log_next(ps->zone);
        m.sync |= VOICE_PEER_SYNC_FIRST;
    }

    voice_peer_own(ps->zone, &p->slot, list, NGX_HTTP_VOICE_PUSH_STATES, &n);

    p->last = (n < NGX_HTTP_VOICE_PUSH_STATES);
    m.sync |= p->last ? VOICE_PEER_SYNC_LAST : 0;
    m.seq = p->going;

    voice_peer_put_begin(&ps->body, &m);

    for (i = 0; i < n; i++) {
        voice_peer_put_state(&ps->body, &list[i], i == 0);
    }

    voice_peer_put_orders(&ps->body);
    voice_peer_put_end(&ps->body);
}


/* Which node an event is an order to. */

static ngx_uint_t
ngx_http_voice_push_ordered(ngx_http_voice_push_t *p,
    const voice_log_event_t *ev)
{
    char  name[VOICE_PEER_NAME_MAX + 1];

    if (ev->type != VOICE_LOG_STATE || ev->order == 0) {
        return 0;
    }

    voice_peer_name(ngx_http_voice_pusher.zone, ev->order, name);

    return ngx_strcmp(name, p->name) == 0;
}


#define ngx_http_voice_push_own(ev)                                           \
    ((ev)->type == VOICE_LOG_STATE && (ev)->state.peer == 0                   \
     && ((ev)->gateway == 0 || (ev)->state.channel_id != 0))


/* NGX_DECLINED: none of it is of interest to that node. */

static ngx_int_t
ngx_http_voice_push_put(ngx_http_voice_push_t *p,
    const voice_log_event_t *list, size_t n)
{
    size_t                    i;
    ngx_uint_t                states, orders;
    ngx_http_voice_pusher_t  *ps = &ngx_http_voice_pusher;

    states = 0;
    orders = 0;

    for (i = 0; i < n; i++) {
        if (ngx_http_voice_push_own(&list[i])) {
            voice_peer_put_state(&ps->body, &list[i].state, states++ == 0);
        }
    }

    voice_peer_put_orders(&ps->body);

    for (i = 0; i < n; i++) {
        if (ngx_http_voice_push_ordered(p, &list[i])) {
            voice_peer_put_state(&ps->body, &list[i].state, orders++ == 0);
        }
    }

    voice_peer_put_end(&ps->body);

    return (states != 0 || orders != 0) ? NGX_OK : NGX_DECLINED;
}


/* NGX_DECLINED: there is nothing new; NGX_ABORT: the log has moved on. */

static ngx_int_t
ngx_http_voice_push_events(ngx_http_voice_push_t *p)
{
    size_t                    n;
    ngx_int_t                 rc;
    uint64_t                  next;
    voice_log_event_t         list[NGX_HTTP_VOICE_PUSH_EVENTS];
    voice_peer_message_t      m;
    ngx_http_voice_pusher_t  *ps = &ngx_http_voice_pusher;

    while (p->next != voice_log_next(ps->zone)) {

        next = p->next;

        if (voice_log_read(ps->zone, &next, list, NGX_HTTP_VOICE_PUSH_EVENTS,
                           &n)
            != VOICE_OK)
        {
            return NGX_ABORT;
        }

        ngx_http_voice_push_begin(p, &m);
        m.prev = p->has;
        m.seq = next;
        voice_peer_put_begin(&ps->body, &m);

        rc = ngx_http_voice_push_put(p, list, n);

        p->next = next;
        p->going = next;

        if (rc == NGX_OK) {
            return NGX_OK;
        }
    }

    return NGX_DECLINED;
}


/* NGX_DECLINED: something happens right now. */

static ngx_int_t
ngx_http_voice_push_compare(ngx_http_voice_push_t *p)
{
    uint64_t                  next;
    voice_peer_message_t      m;
    ngx_http_voice_pusher_t  *ps = &ngx_http_voice_pusher;

    next = voice_log_next(ps->zone);

    if (ps->digest_of != next) {
        voice_peer_digest(ps->zone, 0, &ps->digest, &ps->count);
        ps->digest_of = next;

        if (voice_log_next(ps->zone) != next) {
            ps->digest_of = 0;
            return NGX_DECLINED;
        }
    }

    ngx_http_voice_push_begin(p, &m);

    m.prev = p->has;
    m.seq = next;
    m.has_digest = true;
    m.digest = ps->digest;
    m.count = ps->count;
    p->going = next;
    ngx_http_voice_replica_compare(&m);

    voice_peer_put_begin(&ps->body, &m);
    voice_peer_put_orders(&ps->body);
    voice_peer_put_end(&ps->body);

    return NGX_OK;
}


static void
ngx_http_voice_push_hello(ngx_http_voice_push_t *p)
{
    voice_peer_message_t      m;
    ngx_http_voice_pusher_t  *ps = &ngx_http_voice_pusher;

    ngx_http_voice_push_begin(p, &m);

    p->going = 0;

    voice_peer_put_begin(&ps->body, &m);
    voice_peer_put_orders(&ps->body);
    voice_peer_put_end(&ps->body);
}


/* Guilds; NGX_DECLINED: nothing new. */

static ngx_int_t
ngx_http_voice_push_guilds(ngx_http_voice_push_t *p)
{
    voice_peer_message_t  m;

    ngx_http_voice_push_begin(p, &m);
    p->going = p->has;

    return ngx_http_voice_replica_say(&p->replica, &m,
                                      &ngx_http_voice_pusher.body);
}


static void
ngx_http_voice_push_later(ngx_http_voice_push_t *p, ngx_msec_t ms)
{
    if (p->timer.timer_set) {
        ngx_del_timer(&p->timer);
    }

    ngx_add_timer(&p->timer, ms);
}


/* NGX_OK: there is a message in the buffer. */

static ngx_int_t
ngx_http_voice_push_say(ngx_http_voice_push_t *p)
{
    ngx_int_t  rc;

    if (!p->known) {
        ngx_http_voice_push_hello(p);
        return NGX_OK;
    }

    if (!p->sync) {

        /* a new channel before those who come in; but not all guilds */

        if (!p->replica.all && ngx_http_voice_push_guilds(p) == NGX_OK) {
            return NGX_OK;
        }

        rc = ngx_http_voice_push_events(p);

        if (rc == NGX_OK) {
            return NGX_OK;
        }

        if (rc == NGX_DECLINED && ngx_http_voice_push_guilds(p) == NGX_OK) {
            return NGX_OK;
        }

        if (rc == NGX_DECLINED) {

            if ((ngx_msec_int_t) (p->beat - ngx_current_msec) > 0) {
                ngx_http_voice_push_later(p, p->beat - ngx_current_msec);
                return NGX_DECLINED;
            }

            p->beat = ngx_current_msec + NGX_HTTP_VOICE_PUSH_BEAT;
            rc = ngx_http_voice_push_compare(p);

            if (rc == NGX_DECLINED) {
                ngx_http_voice_push_later(p, NGX_HTTP_VOICE_PUSH_BEAT);
            }

            return rc;
        }

        p->sync = 1;
        p->began = 0;
    }

    ngx_http_voice_push_sync(p);

    return NGX_OK;
}


static void
ngx_http_voice_push_go(ngx_http_voice_push_t *p)
{
    if (p->link.busy || p->wait || ngx_exiting) {
        return;
    }

    if (ngx_http_voice_push_say(p) != NGX_OK) {
        return;
    }

    if (voice_buf_done(&ngx_http_voice_pusher.body) != VOICE_OK) {
        p->known = 0;
        p->wait = 1;
        ngx_http_voice_push_later(p, NGX_HTTP_VOICE_PUSH_RETRY_MAX);
        return;
    }

    ngx_http_voice_link_post(&p->link, &ngx_http_voice_pusher.body);
}


static void
ngx_http_voice_push_timer_handler(ngx_event_t *ev)
{
    ngx_http_voice_push_t  *p = ev->data;

    p->wait = 0;
    ngx_http_voice_push_go(p);
}


static void
ngx_http_voice_push_failed(ngx_http_voice_push_t *p, const char *why)
{
    ngx_msec_t  ms;

    ms = NGX_HTTP_VOICE_PUSH_RETRY << ngx_min(p->failures, 8);
    ms = ngx_min(ms, NGX_HTTP_VOICE_PUSH_RETRY_MAX);

    if (p->failures++ == 0) {
        ngx_log_error(NGX_LOG_WARN, p->link.log, 0,
                      "voice states can't be told to node \"%s\" at %s: %s",
                      p->name, p->url, why);
    }

    p->known = 0;
    p->sync = 0;
    p->wait = 1;
    ngx_http_voice_replica_lost(&p->replica);

    ngx_http_voice_push_later(p, ms / 2 + ngx_random() % ms);
}


static void
ngx_http_voice_push_handler(ngx_http_voice_link_t *link,
    const voice_peer_answer_t *answer, const char *why)
{
    ngx_http_voice_push_t    *p;
    ngx_http_voice_pusher_t  *ps = &ngx_http_voice_pusher;

    p = (ngx_http_voice_push_t *)
        ((u_char *) link - offsetof(ngx_http_voice_push_t, link));

    if (answer == NULL) {
        ngx_http_voice_push_failed(p, why);
        return;
    }

    if (p->failures != 0) {
        ngx_log_error(NGX_LOG_NOTICE, p->link.log, 0,
                      "voice states are told to node \"%s\" again", p->name);
        p->failures = 0;
    }

    p->has = answer->seq;
    ngx_http_voice_replica_answer(&p->replica, answer);

    if (p->sync && answer->sync) {
        ngx_http_voice_push_failed(p, "it is in another sync");
        return;
    }

    if (p->sync && !p->last) {
        ngx_http_voice_push_go(p);
        return;
    }

    /* of a log that is another one by now */

    if (answer->sync || answer->seq == 0
        || answer->seq > voice_log_next(ps->zone))
    {
        p->sync = 1;
        p->began = 0;

    } else {
        p->sync = 0;

        if (!p->known || p->going != answer->seq) {
            p->next = answer->seq;
        }

        if (p->next < answer->seq) {
            p->next = answer->seq;
        }
    }

    p->known = 1;

    if (answer->refused == 0) {
        p->refusals = 0;

    } else {
        p->beat = ngx_current_msec
                  + ngx_min(NGX_HTTP_VOICE_PUSH_AGAIN
                            << ngx_min(p->refusals, 8),
                            NGX_HTTP_VOICE_PUSH_BEAT);
        p->refusals++;
    }

    ngx_http_voice_push_go(p);
}


/* Who is to be told. */

static void
ngx_http_voice_push_remove(ngx_http_voice_push_t *p)
{
    ngx_http_voice_link_close(&p->link);

    if (p->timer.timer_set) {
        ngx_del_timer(&p->timer);
    }

    ngx_queue_remove(&p->queue);
    ngx_free(p);
}


static ngx_http_voice_push_t *
ngx_http_voice_push_find(const char *name)
{
    ngx_queue_t            *q;
    ngx_http_voice_push_t  *p;

    for (q = ngx_queue_head(&ngx_http_voice_pusher.peers);
         q != ngx_queue_sentinel(&ngx_http_voice_pusher.peers);
         q = ngx_queue_next(q))
    {
        p = ngx_queue_data(q, ngx_http_voice_push_t, queue);

        if (ngx_strcmp(p->name, name) == 0) {
            return p;
        }
    }

    return NULL;
}


static void
ngx_http_voice_push_add(const voice_node_info_t *info)
{
    const char               *why;
    ngx_http_voice_push_t    *p;
    ngx_http_voice_pusher_t  *ps = &ngx_http_voice_pusher;

    p = ngx_calloc(sizeof(ngx_http_voice_push_t), ps->log);

    if (p == NULL) {
        return;
    }

    (void) ngx_cpystrn((u_char *) p->name, (u_char *) info->name,
                       sizeof(p->name));
    (void) ngx_cpystrn((u_char *) p->url, (u_char *) info->peer,
                       sizeof(p->url));
    (void) ngx_cpystrn((u_char *) p->boot, (u_char *) info->boot,
                       sizeof(p->boot));

    p->there = 1;

    /* what it does not know of guilds it finds out at once */
    p->beat = ngx_current_msec;
    ngx_http_voice_replica_init(&p->replica);

    p->timer.handler = ngx_http_voice_push_timer_handler;
    p->timer.data = p;
    p->timer.log = ps->log;
    p->timer.cancelable = 1;

    p->link.conf = ps->conf;
    p->link.log = ps->log;
    p->link.handler = ngx_http_voice_push_handler;

    ngx_queue_insert_tail(&ps->peers, &p->queue);

    if (ngx_http_voice_link_init(&p->link, p->url, &why) != NGX_OK) {
        ngx_log_error(NGX_LOG_ERR, ps->log, 0,
                      "voice states can't be told to node \"%s\" at \"%s\": "
                      "%s", p->name, p->url, why);
        p->wait = 1;
        return;
    }

    ngx_http_voice_push_go(p);
}


void
ngx_http_voice_push_nodes(void)
{
    uint32_t                  slot;
    voice_id_t                id, self;
    ngx_queue_t              *q, *next;
    voice_node_info_t         info;
    ngx_http_voice_push_t    *p;
    ngx_http_voice_pusher_t  *ps = &ngx_http_voice_pusher;

    if (!ps->started) {
        return;
    }

    self = voice_cluster_self(ps->cluster);

    if (voice_cluster_node(ps->cluster, self, &info, NULL) != VOICE_OK) {
        return;
    }

    (void) ngx_cpystrn((u_char *) ps->name, (u_char *) info.name,
                       sizeof(ps->name));

    slot = 0;

    while (voice_cluster_node_next(ps->cluster, &slot, &id, &info, NULL)
           == VOICE_OK)
    {
        if (id == self || info.peer[0] == '\0'
            || !(info.flags & (VOICE_NODE_UP|VOICE_NODE_HELD)))
        {
            continue;
        }

        p = ngx_http_voice_push_find(info.name);

        if (p != NULL
            && (ngx_strcmp(p->url, info.peer) != 0
                || ngx_strcmp(p->boot, info.boot) != 0))
        {
            ngx_http_voice_push_remove(p);
            p = NULL;
        }

        if (p != NULL) {
            p->there = 1;

        } else {
            ngx_http_voice_push_add(&info);
        }
    }

    for (q = ngx_queue_head(&ps->peers);
         q != ngx_queue_sentinel(&ps->peers);
         q = next)
    {
        next = ngx_queue_next(q);
        p = ngx_queue_data(q, ngx_http_voice_push_t, queue);

        if (!p->there) {
            ngx_http_voice_push_remove(p);
            continue;
        }

        p->there = 0;
    }
}


void
ngx_http_voice_push_wake(void)
{
    ngx_queue_t              *q, *next;
    ngx_http_voice_push_t    *p;
    ngx_http_voice_pusher_t  *ps = &ngx_http_voice_pusher;

    if (!ps->started) {
        return;
    }

    for (q = ngx_queue_head(&ps->peers);
         q != ngx_queue_sentinel(&ps->peers);
         q = next)
    {
        next = ngx_queue_next(q);
        p = ngx_queue_data(q, ngx_http_voice_push_t, queue);

        ngx_http_voice_push_go(p);
    }
}


void
ngx_http_voice_push_start(ngx_log_t *log)
{
    ngx_http_voice_main_conf_t  *vmcf;
    ngx_http_voice_pusher_t     *ps = &ngx_http_voice_pusher;

    vmcf = ngx_http_cycle_get_module_main_conf(ngx_cycle,
                                               ngx_http_voice_module);

    ps->zone = ngx_voice_zone((ngx_cycle_t *) ngx_cycle);
    ps->cluster = ngx_voice_cluster();
    ps->conf = &vmcf->peer;
    ps->log = log;
    ps->digest_of = 0;

    ngx_voice_cluster_boot(ps->zone, ps->boot);
    ngx_queue_init(&ps->peers);
    voice_buf_growing(&ps->body, NULL, VOICE_PEER_MESSAGE_MAX);

    /* this worker wants to be woken by the log, whoever its clients are */

    atomic_fetch_add(&ps->zone->header->worker[ps->zone->worker].listeners,
                     1);
    ps->started = 1;

    ngx_http_voice_push_nodes();
}


void
ngx_http_voice_push_stop(void)
{
    ngx_queue_t              *q;
    ngx_http_voice_pusher_t  *ps = &ngx_http_voice_pusher;

    if (!ps->started) {
        return;
    }

    while (!ngx_queue_empty(&ps->peers)) {
        q = ngx_queue_head(&ps->peers);
        ngx_http_voice_push_remove(ngx_queue_data(q, ngx_http_voice_push_t,
                                                  queue));
    }

    voice_buf_free(&ps->body);
    atomic_fetch_sub(&ps->zone->header->worker[ps->zone->worker].listeners,
                     1);
    ps->started = 0;
}
