/*
 * Copyright (C) ngx-voice contributors
 *
 * The server of a guild, and those who wait to learn it.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>

#include "ngx_http_voice_cluster.h"
#include "ngx_http_voice_dispatch.h"

#include "voice_peer.h"


/* How often a look-up is tried again that the agent came in between. */
#define NGX_HTTP_VOICE_PLACE_TRIES   16

/* Keys of servers; 1 is none. */
#define NGX_HTTP_VOICE_PLACE_AWAY    1


static void ngx_http_voice_wait_timer_handler(ngx_event_t *ev);


static ngx_queue_t  ngx_http_voice_waiting = { &ngx_http_voice_waiting,
                                               &ngx_http_voice_waiting };


static voice_err_t
ngx_http_voice_place_find(voice_cluster_t *c, uint64_t guild_id,
    voice_assignment_t *a, voice_node_info_t *info)
{
    ngx_uint_t   i;
    voice_err_t  err;

    for (i = 0; i < NGX_HTTP_VOICE_PLACE_TRIES; i++) {

        err = voice_cluster_find(c, guild_id, a);

        if (err == VOICE_OK && !(a->flags & VOICE_ASSIGNED_ORPHAN)) {
            err = voice_cluster_node(c, a->node, info, NULL);

            if (err == VOICE_E_STALE) {
                a->flags |= VOICE_ASSIGNED_ORPHAN;
                err = VOICE_OK;
            }
        }

        if (err != VOICE_AGAIN) {
            return err;
        }
    }

    return VOICE_E_NOT_FOUND;
}


/* The same for each worker of this nginx, and for as long as it lives. */

static uint64_t
ngx_http_voice_place_key(const voice_zone_t *z, const char *node,
    const char *boot)
{
    char      text[VOICE_CLUSTER_NAME_MAX + VOICE_CLUSTER_BOOT_MAX + 2];
    size_t    len;
    uint64_t  key;

    len = ngx_sprintf((u_char *) text, "%s/%s", node, boot) - (u_char *) text;
    key = voice_zone_hash(z, text, len);

    return key > NGX_HTTP_VOICE_PLACE_AWAY ? key
                                           : NGX_HTTP_VOICE_PLACE_AWAY + 1;
}


static void
ngx_http_voice_place_copy(char *dst, size_t size, const char *src)
{
    (void) ngx_cpystrn((u_char *) dst, (u_char *) src, size);
}


ngx_int_t
ngx_http_voice_place(const voice_zone_t *z, uint64_t guild_id,
    ngx_http_voice_place_t *place)
{
    voice_cluster_t     *c;
    voice_node_info_t    info;
    voice_assignment_t   a;

    ngx_memzero(place, sizeof(ngx_http_voice_place_t));

    c = ngx_voice_cluster();

    if (c == NULL) {
        ngx_http_voice_place_copy(place->node, sizeof(place->node),
                                  z->header->node);
        ngx_voice_boot(z, place->boot);
        return NGX_OK;
    }

    if (voice_cluster_node(c, voice_cluster_self(c), &info, NULL)
        == VOICE_OK)
    {
        ngx_http_voice_place_copy(place->gateway, sizeof(place->gateway),
                                  info.name);
    }

    if (ngx_http_voice_place_find(c, guild_id, &a, &info) != VOICE_OK) {
        return NGX_DECLINED;
    }

    place->rev = a.revision;

    if (a.flags & VOICE_ASSIGNED_ORPHAN) {
        place->away = 1;
        place->key = NGX_HTTP_VOICE_PLACE_AWAY;
        return NGX_OK;
    }

    ngx_http_voice_place_copy(place->node, sizeof(place->node), info.name);
    ngx_http_voice_place_copy(place->boot, sizeof(place->boot), info.boot);
    ngx_http_voice_place_copy(place->endpoint, sizeof(place->endpoint),
                              info.endpoint);
    place->key = ngx_http_voice_place_key(z, info.name, info.boot);

    return NGX_OK;
}


void
ngx_http_voice_place_token(const ngx_http_voice_place_t *place,
    voice_token_t *token)
{
    ngx_http_voice_place_copy(token->node, sizeof(token->node), place->node);
    ngx_http_voice_place_copy(token->boot, sizeof(token->boot), place->boot);
    token->rev = place->rev;
}


ngx_int_t
ngx_http_voice_cluster_admit(voice_zone_t *z, const voice_token_t *token)
{
    char                 boot[VOICE_CLUSTER_BOOT_MAX + 1];
    uint64_t             present;
    voice_cluster_t     *c;
    voice_node_info_t    self, info;
    voice_assignment_t   a;

    c = ngx_voice_cluster();

    if (voice_cluster_node(c, voice_cluster_self(c), &self, NULL) != VOICE_OK
        || ngx_strcmp(token->node, self.name) != 0)
    {
        return NGX_DECLINED;
    }

    ngx_voice_cluster_boot(z, boot);

    if (ngx_strcmp(token->boot, boot) != 0) {
        return NGX_ABORT;
    }

    /* agents probe this very server, whichever guilds it serves */

    if (token->guild_id == VOICE_PROBE_GUILD) {
        return NGX_OK;
    }

    /* what etcd says counts as seen, if it is newer than the token */

    present = 0;

    if (ngx_http_voice_place_find(c, token->guild_id, &a, &info) == VOICE_OK) {

        if (!(a.flags & VOICE_ASSIGNED_ORPHAN)
            && ngx_strcmp(info.name, self.name) == 0)
        {
            present = a.revision;

        } else if (a.revision > token->rev) {
            return NGX_BUSY;
        }
    }

    return voice_fence_check(z, token->guild_id, token->rev, present)
           == VOICE_OK ? NGX_OK : NGX_BUSY;
}


/* Those who wait. */

const char *
ngx_http_voice_cluster_region(const voice_dir_guild_t *guild)
{
    size_t       i;
    const char  *region;

    region = (guild != NULL && guild->region != NULL) ? guild->region : "";

    /* one server for all channels of a guild: the first that says one */

    for (i = 0; guild != NULL && i < guild->nchannels; i++) {
        if (guild->channel[i].rtc_region != NULL
            && guild->channel[i].rtc_region[0] != '\0')
        {
            region = guild->channel[i].rtc_region;
            break;
        }
    }

    return ngx_strlen(region) <= VOICE_CLUSTER_NAME_MAX ? region : "";
}


static const char *
ngx_http_voice_wait_why(voice_err_t err)
{
    switch (err) {

    case VOICE_E_FULL:
        return "no node has capacity";

    case VOICE_E_NOT_FOUND:
        return "there is no node in that region";

    case VOICE_E_STATE:
        return "no discovery agent, or it has no etcd";

    case VOICE_E_NOMEM:
        return "the cluster zone is full";

    default:
        return "the discovery agent can't assign it";
    }
}


static voice_err_t
ngx_http_voice_wait_ask(uint64_t guild_id, uint64_t *ticket)
{
    voice_err_t               err;
    voice_cluster_request_t   rq;

    ngx_memzero(&rq, sizeof(voice_cluster_request_t));

    rq.kind = VOICE_REQUEST_JOIN;
    rq.guild = guild_id;
    rq.participants = 1;

    ngx_http_voice_place_copy(rq.region, sizeof(rq.region),
             ngx_http_voice_cluster_region(ngx_http_voice_guild_get(guild_id)));

    err = voice_cluster_request(ngx_voice_cluster(),
                                (unsigned) ngx_voice_cluster_slot(), &rq,
                                ngx_voice_now(), ticket);

    if (err == VOICE_OK) {
        ngx_voice_cluster_wake();
    }

    return err;
}


ngx_int_t
ngx_http_voice_wait_start(ngx_http_voice_wait_t *w, uint64_t guild_id,
    const char **why)
{
    ngx_queue_t            *q;
    voice_err_t             err;
    ngx_http_voice_wait_t  *other;

    err = VOICE_E_NOT_FOUND;

    for (q = ngx_queue_head(&ngx_http_voice_waiting);
         q != ngx_queue_sentinel(&ngx_http_voice_waiting);
         q = ngx_queue_next(q))
    {
        other = ngx_queue_data(q, ngx_http_voice_wait_t, queue);

        if (other->guild_id == guild_id) {
            w->ticket = other->ticket;
            err = VOICE_OK;
            break;
        }
    }

    if (err != VOICE_OK) {
        err = ngx_http_voice_wait_ask(guild_id, &w->ticket);
    }

    if (err != VOICE_OK) {
        *why = (err == VOICE_E_FULL)
               ? "too many requests to the discovery agent"
               : ngx_http_voice_wait_why(err);
        return NGX_DECLINED;
    }

    w->guild_id = guild_id;
    w->timer.handler = ngx_http_voice_wait_timer_handler;
    w->timer.data = w;
    w->timer.log = w->log;
    w->timer.cancelable = 1;

    ngx_queue_insert_tail(&ngx_http_voice_waiting, &w->queue);
    ngx_add_timer(&w->timer, VOICE_CLUSTER_DEADLINE);

    return NGX_OK;
}


void
ngx_http_voice_wait_cancel(ngx_http_voice_wait_t *w)
{
    if (w->timer.timer_set) {
        ngx_del_timer(&w->timer);
        ngx_queue_remove(&w->queue);
    }
}


static void
ngx_http_voice_wait_timer_handler(ngx_event_t *ev)
{
    ngx_http_voice_wait_t  *w = ev->data;

    ngx_queue_remove(&w->queue);

    w->handler(w, "no answer from the discovery agent");
}


/* NGX_AGAIN: not yet. */

static ngx_int_t
ngx_http_voice_wait_look(ngx_http_voice_wait_t *w, const char **why)
{
    voice_err_t          err;
    voice_node_info_t    info;
    voice_assignment_t   a;

    if (ngx_http_voice_place_find(ngx_voice_cluster(), w->guild_id, &a, &info)
        == VOICE_OK
        && !(a.flags & VOICE_ASSIGNED_ORPHAN))
    {
        *why = NULL;
        return NGX_OK;
    }

    err = voice_cluster_answer(ngx_voice_cluster(), w->ticket);

    switch (err) {

    case VOICE_AGAIN:
    case VOICE_OK:
        return NGX_AGAIN;

    case VOICE_E_EXPIRED:
        /* it was answered, and taken away at once: ask again */
        return ngx_http_voice_wait_ask(w->guild_id, &w->ticket) == VOICE_OK
               ? NGX_AGAIN : (*why = ngx_http_voice_wait_why(err), NGX_OK);

    default:
        *why = ngx_http_voice_wait_why(err);
        return NGX_OK;
    }
}


void
ngx_http_voice_wait_wake(void)
{
    const char             *why;
    ngx_queue_t            *q, done;
    ngx_http_voice_wait_t  *w;

    /* a handler may cancel others of the list */

    ngx_queue_init(&done);

    if (!ngx_queue_empty(&ngx_http_voice_waiting)) {
        ngx_queue_add(&done, &ngx_http_voice_waiting);
        ngx_queue_init(&ngx_http_voice_waiting);
    }

    while (!ngx_queue_empty(&done)) {
        q = ngx_queue_head(&done);
        ngx_queue_remove(q);
        w = ngx_queue_data(q, ngx_http_voice_wait_t, queue);

        if (ngx_http_voice_wait_look(w, &why) == NGX_AGAIN) {
            ngx_queue_insert_tail(&ngx_http_voice_waiting, q);
            continue;
        }

        ngx_del_timer(&w->timer);
        w->handler(w, why);
    }
}
