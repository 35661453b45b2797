/*
 * Copyright (C) ngx-voice contributors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>

#include "ngx_http_voice_dispatch.h"


/* Events that are read from the log at once. */
#define NGX_HTTP_VOICE_DISPATCH_BATCH   32

/*
 * Events told to gateways in one turn, some milliseconds' worth: then this
 * worker's packets and other clients have theirs.
 */
#define NGX_HTTP_VOICE_DISPATCH_TURN    1024

/* A client that is so far behind doesn't read. */
#define NGX_HTTP_VOICE_DISPATCH_BEHIND  (VOICE_LOG_EVENTS / 4)


/* One event and what it looks like, once that was needed. */
typedef struct {
    const voice_log_event_t   *event;
    const voice_dir_guild_t   *guild;
    voice_buf_t               *state;
    voice_buf_t               *gone;
    voice_buf_t               *member;
} ngx_http_voice_event_view_t;


static ngx_rbtree_t       ngx_http_voice_nodes;
static ngx_rbtree_node_t  ngx_http_voice_nodes_sentinel;

static voice_zone_t      *ngx_http_voice_dispatch_zone;
static uint64_t           ngx_http_voice_dispatch_next;   /* cursor */
static uint64_t           ngx_http_voice_dispatch_swept;
static ngx_event_t        ngx_http_voice_dispatch_more;

static voice_buf_t        ngx_http_voice_view_state;
static voice_buf_t        ngx_http_voice_view_gone;
static voice_buf_t        ngx_http_voice_view_member;


static void
ngx_http_voice_dispatch_more_handler(ngx_event_t *ev)
{
    ngx_http_voice_dispatch_log(ev->log);
}


ngx_int_t
ngx_http_voice_dispatch_init_process(ngx_cycle_t *cycle)
{
    voice_zone_t  *z;

    z = ngx_voice_zone(cycle);

    if (z == NULL || !ngx_http_voice_guild_ready()) {
        return NGX_OK;
    }

    ngx_rbtree_init(&ngx_http_voice_nodes, &ngx_http_voice_nodes_sentinel,
                    ngx_rbtree_insert_value);

    voice_buf_growing(&ngx_http_voice_view_state, NULL, 65536);
    voice_buf_growing(&ngx_http_voice_view_gone, NULL, 65536);
    voice_buf_growing(&ngx_http_voice_view_member, NULL, 65536);

    ngx_http_voice_dispatch_more.handler =
                                          ngx_http_voice_dispatch_more_handler;
    ngx_http_voice_dispatch_more.log = cycle->log;

    ngx_http_voice_dispatch_zone = z;
    ngx_http_voice_dispatch_next = voice_log_next(z);
    ngx_http_voice_dispatch_swept = ngx_http_voice_dispatch_next;

    return NGX_OK;
}


static ngx_http_voice_node_t *
ngx_http_voice_dispatch_node(uint64_t guild_id)
{
    ngx_rbtree_node_t  *node;

    node = ngx_http_voice_nodes.root;

    while (node != NULL && node != &ngx_http_voice_nodes_sentinel) {
        if (guild_id == node->key) {
            return (ngx_http_voice_node_t *) node;
        }

        node = (guild_id < node->key) ? node->left : node->right;
    }

    return NULL;
}


static ngx_int_t
ngx_http_voice_dispatch_add(ngx_http_voice_gateway_t *gw, uint64_t guild_id,
    uint32_t index, ngx_uint_t resumed)
{
    ngx_http_voice_node_t          *node;
    ngx_http_voice_subscription_t  *sub;

    node = ngx_http_voice_dispatch_node(guild_id);

    if (node == NULL) {
        node = ngx_calloc(sizeof(ngx_http_voice_node_t), gw->log);
        if (node == NULL) {
            return NGX_ERROR;
        }

        node->node.key = guild_id;
        node->version = 1;
        ngx_queue_init(&node->subs);
        ngx_rbtree_insert(&ngx_http_voice_nodes, &node->node);
    }

    sub = &gw->sub[gw->nsubs++];

    sub->gateway = gw;
    sub->node = node;
    sub->index = index;
    sub->version = resumed ? 0 : node->version;
    sub->known = resumed && ngx_http_voice_guild_get(guild_id) != NULL;

    ngx_queue_insert_tail(&node->subs, &sub->queue);

    return NGX_OK;
}


ngx_int_t
ngx_http_voice_dispatch_subscribe(ngx_http_voice_gateway_t *gw,
    const uint64_t *guild_id, size_t n, ngx_uint_t resumed)
{
    size_t  i, k;

    if (n == 0) {
        return NGX_OK;
    }

    gw->sub = ngx_calloc(n * sizeof(ngx_http_voice_subscription_t), gw->log);
    if (gw->sub == NULL) {
        return NGX_ERROR;
    }

    for (i = 0; i < n; i++) {

        for (k = 0; k < i && guild_id[k] != guild_id[i]; k++) { /* void */ }

        if (k < i
            || voice_gateway_shard(guild_id[i], gw->nshards) != gw->shard)
        {
            continue;
        }

        if (ngx_http_voice_dispatch_add(gw, guild_id[i], (uint32_t) i, resumed)
            != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


void
ngx_http_voice_dispatch_unsubscribe(ngx_http_voice_gateway_t *gw)
{
    ngx_uint_t              i;
    ngx_http_voice_node_t  *node;

    for (i = 0; i < gw->nsubs; i++) {
        node = gw->sub[i].node;
        ngx_queue_remove(&gw->sub[i].queue);

        if (ngx_queue_empty(&node->subs)) {
            ngx_rbtree_delete(&ngx_http_voice_nodes, &node->node);
            ngx_free(node);
        }
    }

    gw->nsubs = 0;

    if (gw->sub != NULL) {
        ngx_free(gw->sub);
        gw->sub = NULL;
    }
}


void
ngx_http_voice_dispatch_settle(ngx_http_voice_gateway_t *gw)
{
    if (gw->phase == NGX_HTTP_VOICE_GATEWAY_CURRENT
        && gw->session.next < ngx_http_voice_dispatch_next)
    {
        gw->session.next = ngx_http_voice_dispatch_next;
    }
}


static ngx_http_voice_subscription_t *
ngx_http_voice_dispatch_sub(ngx_http_voice_gateway_t *gw, uint64_t guild_id)
{
    ngx_uint_t  i;

    for (i = 0; i < gw->nsubs; i++) {
        if (ngx_http_voice_node_guild(gw->sub[i].node) == guild_id) {
            return &gw->sub[i];
        }
    }

    return NULL;
}


/* What an event is for one gateway.  NULL: nothing. */

static voice_buf_t *
ngx_http_voice_dispatch_view_state(ngx_http_voice_gateway_t *gw,
    ngx_http_voice_event_view_t *view)
{
    ngx_uint_t                 own;
    const voice_log_event_t   *ev = view->event;

    own = (ev->state.user_id == gw->user_id);

    if (!own && !(gw->intents & VOICE_INTENT_VOICE_STATES)) {
        return NULL;
    }

    /* not in voice, as before: its flags alone, see MEMBER */

    if (ev->gateway == 0 && ev->state.channel_id == 0 && ev->old_channel == 0)
    {
        return NULL;
    }

    if (own
        || ngx_http_voice_render_visible(gw, view->guild,
                                         ev->state.channel_id)
        || (ev->state.channel_id == 0
            && ngx_http_voice_render_visible(gw, view->guild,
                                             ev->old_channel)))
    {
        if (view->state == NULL) {
            view->state = &ngx_http_voice_view_state;
            voice_buf_reset(view->state);
            ngx_http_voice_render_state(&ev->state, view->guild, 0,
                                        view->state);
        }

        return view->state;
    }

    if (!ngx_http_voice_render_visible(gw, view->guild, ev->old_channel)) {
        return NULL;
    }

    /* it sees that the user is no longer there, but not where */

    if (view->gone == NULL) {
        view->gone = &ngx_http_voice_view_gone;
        voice_buf_reset(view->gone);
        ngx_http_voice_render_state(&ev->state, view->guild, 1, view->gone);
    }

    return view->gone;
}


static voice_buf_t *
ngx_http_voice_dispatch_view(ngx_http_voice_gateway_t *gw,
    ngx_http_voice_event_view_t *view, voice_dispatch_t *name)
{
    voice_buf_t              *b;
    const voice_log_event_t  *ev = view->event;

    switch (ev->type) {

    case VOICE_LOG_STATE:
        *name = VOICE_DISPATCH_VOICE_STATE;
        return ngx_http_voice_dispatch_view_state(gw, view);

    case VOICE_LOG_SERVER:
        *name = VOICE_DISPATCH_VOICE_SERVER;
        b = ngx_http_voice_render_buf();

        return ngx_http_voice_render_server(gw, &ev->state, view->guild, b)
               == NGX_OK ? b : NULL;

    case VOICE_LOG_MEMBER:
        *name = VOICE_DISPATCH_MEMBER_UPDATE;

        if (!(gw->intents & VOICE_INTENT_MEMBERS)) {
            return NULL;
        }

        if (view->member == NULL) {
            view->member = &ngx_http_voice_view_member;
            voice_buf_reset(view->member);
            ngx_http_voice_render_member(&ev->state, view->guild,
                                         view->member);
        }

        return view->member;

    default:
        return NULL;
    }
}


/* A guild has changed at this place of the log; perhaps it is known. */

static void
ngx_http_voice_dispatch_sub_guild(ngx_http_voice_subscription_t *sub)
{
    if (sub->version != sub->node->version) {
        ngx_http_voice_change_whole(sub,
                  ngx_http_voice_guild_get(
                                       ngx_http_voice_node_guild(sub->node)));
    }
}


/* An event of the log for a gateway that has its guild. */

static ngx_int_t
ngx_http_voice_dispatch_one(ngx_http_voice_gateway_t *gw,
    ngx_http_voice_event_view_t *view)
{
    voice_buf_t                    *b;
    voice_dispatch_t                name;
    const voice_log_event_t        *ev = view->event;
    ngx_http_voice_subscription_t  *sub;

    if (ev->number < gw->session.next
        || (ev->gateway != 0 && ev->gateway != gw->session.id))
    {
        return NGX_OK;
    }

    sub = ngx_http_voice_dispatch_sub(gw, ev->state.guild_id);

    if (sub == NULL) {
        return NGX_OK;
    }

    if (ev->type == VOICE_LOG_GUILD || ev->type == VOICE_LOG_GUILD_DELETE) {

        if (ngx_http_voice_guild_outdated()) {
            /* a newer worker can say what has changed: not seen yet */
            gw->session.next = ev->number;
            gw->phase = NGX_HTTP_VOICE_GATEWAY_BEHIND;

            ngx_http_voice_gateway_close(gw, VOICE_GATEWAY_CLOSE_UNKNOWN,
                                         "the server restarts, please resume");
            ngx_http_voice_gateway_touch(gw);
            return NGX_DECLINED;
        }

        ngx_http_voice_dispatch_sub_guild(sub);
        return gw->session.id != 0 ? NGX_OK : NGX_DECLINED;
    }

    b = ngx_http_voice_dispatch_view(gw, view, &name);

    if (b == NULL) {
        return NGX_OK;
    }

    return ngx_http_voice_gateway_event(gw, name, ev->number, b);
}


static void
ngx_http_voice_dispatch_view_init(ngx_http_voice_event_view_t *view,
    const voice_log_event_t *ev)
{
    ngx_memzero(view, sizeof(ngx_http_voice_event_view_t));

    view->event = ev;
    view->guild = ngx_http_voice_guild_get(ev->state.guild_id);
}


/* Gives how many gateways it went to, or might have. */

static ngx_uint_t
ngx_http_voice_dispatch_event(const voice_log_event_t *ev)
{
    ngx_uint_t                      n;
    ngx_queue_t                    *q, *next;
    ngx_http_voice_node_t          *node;
    ngx_http_voice_gateway_t       *gw;
    ngx_http_voice_event_view_t     view;
    ngx_http_voice_subscription_t  *sub;

    ngx_http_voice_dispatch_view_init(&view, ev);

    if (ev->gateway != 0) {
        gw = ngx_http_voice_gateway_get(ev->gateway);

        if (gw != NULL && gw->phase == NGX_HTTP_VOICE_GATEWAY_CURRENT) {
            (void) ngx_http_voice_dispatch_one(gw, &view);
        }

        return 1;
    }

    node = ngx_http_voice_dispatch_node(ev->state.guild_id);

    if (node == NULL) {
        return 0;
    }

    n = 0;

    /* a gateway that is closed takes only itself out, or the node, too */

    for (q = ngx_queue_head(&node->subs);
         q != ngx_queue_sentinel(&node->subs);
         q = next)
    {
        next = ngx_queue_next(q);
        sub = ngx_queue_data(q, ngx_http_voice_subscription_t, queue);
        n++;

        if (sub->gateway->phase == NGX_HTTP_VOICE_GATEWAY_CURRENT
            && ngx_http_voice_dispatch_one(sub->gateway, &view) != NGX_OK
            && ngx_http_voice_dispatch_node(ev->state.guild_id) != node)
        {
            break;
        }
    }

    return n;
}


/* What a gateway has looked at must not get too old, or it is lost. */

static void
ngx_http_voice_dispatch_sweep_one(ngx_http_voice_gateway_t *gw, void *data)
{
    ngx_http_voice_dispatch_settle(gw);

    if (gw->session.next + NGX_HTTP_VOICE_DISPATCH_BEHIND
        < ngx_http_voice_dispatch_next)
    {
        ngx_http_voice_gateway_count(gw, VOICE_M_GATEWAY_REFUSED_SLOW);
        ngx_http_voice_gateway_close(gw, VOICE_GATEWAY_CLOSE_UNKNOWN,
                                     "too slow, the client doesn't read");
        ngx_http_voice_ws_drop(gw->ws, "too slow, the client doesn't read");
        ngx_http_voice_gateway_touch(gw);
        return;
    }

    if (voice_gateway_session_seen(gw->zone, &gw->session, gw->session.next)
        == VOICE_E_STALE)
    {
        ngx_http_voice_gateway_close(gw, VOICE_GATEWAY_CLOSE_UNKNOWN,
                                     "the session has another websocket");
        ngx_http_voice_gateway_touch(gw);
    }
}


static void
ngx_http_voice_dispatch_lost(ngx_http_voice_gateway_t *gw, void *data)
{
    ngx_http_voice_gateway_close(gw, VOICE_GATEWAY_CLOSE_UNKNOWN,
                                 "events are lost");
    ngx_http_voice_gateway_touch(gw);
}


void
ngx_http_voice_dispatch_log(ngx_log_t *log)
{
    size_t              i, n;
    uint64_t            next;
    ngx_uint_t          told;
    voice_err_t         err;
    voice_zone_t       *z = ngx_http_voice_dispatch_zone;
    voice_log_event_t   list[NGX_HTTP_VOICE_DISPATCH_BATCH];

    if (z == NULL) {
        return;
    }

    ngx_http_voice_guild_sync(log);
    told = 0;

    while (ngx_http_voice_dispatch_next != voice_log_next(z)) {

        if (told >= NGX_HTTP_VOICE_DISPATCH_TURN) {
            ngx_post_event(&ngx_http_voice_dispatch_more,
                           &ngx_posted_next_events);
            break;
        }

        next = ngx_http_voice_dispatch_next;
        err = voice_log_read(z, &next, list, NGX_HTTP_VOICE_DISPATCH_BATCH,
                             &n);

        if (err != VOICE_OK
            && ngx_http_voice_nodes.root == &ngx_http_voice_nodes_sentinel)
        {
            /* there was nobody to tell */
            ngx_http_voice_dispatch_next = voice_log_next(z);
            return;
        }

        if (err != VOICE_OK) {
            ngx_log_error(NGX_LOG_ERR, log, 0,
                          "voice events %uL to %uL are lost to this worker, "
                          "which was held up: its gateways have to resume",
                          next, voice_log_next(z));
            ngx_http_voice_dispatch_next = voice_log_next(z);
            ngx_http_voice_gateway_each(ngx_http_voice_dispatch_lost, NULL);
            return;
        }

        for (i = 0; i < n; i++) {

            if (list[i].type == VOICE_LOG_GUILD
                || list[i].type == VOICE_LOG_GUILD_DELETE)
            {
                ngx_http_voice_guild_sync(log);
            }

            told += ngx_http_voice_dispatch_event(&list[i]);
            ngx_http_voice_dispatch_next = list[i].number + 1;
        }
    }

    if (ngx_http_voice_dispatch_next - ngx_http_voice_dispatch_swept
        > NGX_HTTP_VOICE_DISPATCH_BEHIND / 2)
    {
        ngx_http_voice_dispatch_swept = ngx_http_voice_dispatch_next;
        ngx_http_voice_gateway_each(ngx_http_voice_dispatch_sweep_one, NULL);
    }
}


/* A client that isn't current yet. */

static void
ngx_http_voice_dispatch_guilds(ngx_http_voice_gateway_t *gw)
{
    voice_buf_t                    *b;
    const voice_dir_guild_t        *guild;
    ngx_http_voice_subscription_t  *sub;

    while (gw->next_sub < gw->nsubs) {

        if (ngx_http_voice_ws_full(gw->ws)) {
            return;
        }

        sub = &gw->sub[gw->next_sub++];
        guild = ngx_http_voice_guild_get(ngx_http_voice_node_guild(sub->node));

        if (guild == NULL) {
            continue;
        }

        b = ngx_http_voice_render_buf();
        ngx_http_voice_render_guild(gw, guild, b);

        sub->known = 1;
        sub->version = sub->node->version;

        if (ngx_http_voice_gateway_event(gw, VOICE_DISPATCH_GUILD_CREATE,
                              VOICE_GATEWAY_SNAPSHOT(NGX_HTTP_VOICE_MARK_GUILD,
                                                     sub->index), b)
            != NGX_OK)
        {
            return;
        }
    }

    ngx_http_voice_gateway_complete(gw);
    gw->phase = NGX_HTTP_VOICE_GATEWAY_BEHIND;
}


/* A dispatch that was no event, as it would look now. */

static voice_buf_t *
ngx_http_voice_dispatch_mark(ngx_http_voice_gateway_t *gw, uint64_t mark,
    voice_dispatch_t *name)
{
    uint64_t                        id;
    ngx_uint_t                      i;
    voice_buf_t                    *b;
    voice_gateway_chunk_t           chunk;
    const voice_dir_guild_t        *guild;
    ngx_http_voice_subscription_t  *sub;

    b = ngx_http_voice_render_buf();
    sub = NULL;

    for (i = 0; i < gw->nsubs; i++) {
        if (gw->sub[i].index == ngx_http_voice_mark_index(mark)) {
            sub = &gw->sub[i];
        }
    }

    id = (sub != NULL) ? ngx_http_voice_node_guild(sub->node) : 0;
    guild = (id != 0) ? ngx_http_voice_guild_get(id) : NULL;

    switch (ngx_http_voice_mark_what(mark)) {

    case NGX_HTTP_VOICE_MARK_READY:
        *name = VOICE_DISPATCH_READY;
        (void) ngx_http_voice_render_ready(gw, b);
        return b;

    case NGX_HTTP_VOICE_MARK_GUILD:
    case NGX_HTTP_VOICE_MARK_CHANGE:

        if (guild == NULL) {
            *name = VOICE_DISPATCH_GUILD_DELETE;
            voice_gateway_guild_delete_d(b, id, false);
            return b;
        }

        *name = VOICE_DISPATCH_GUILD_CREATE;

        if (ngx_http_voice_mark_what(mark) == NGX_HTTP_VOICE_MARK_CHANGE) {
            *name = VOICE_DISPATCH_GUILD_UPDATE;
            sub->stale = 1;
        }

        ngx_http_voice_render_guild(gw, guild, b);
        return b;

    case NGX_HTTP_VOICE_MARK_CHUNK:
        *name = VOICE_DISPATCH_MEMBERS_CHUNK;
        ngx_memzero(&chunk, sizeof(voice_gateway_chunk_t));
        chunk.guild_id = id;
        chunk.chunk_count = 1;
        voice_gateway_chunk_d(b, &chunk);
        return b;

    case NGX_HTTP_VOICE_MARK_LIMITED:
        *name = VOICE_DISPATCH_RATE_LIMITED;
        voice_gateway_rate_limited_d(b, id, 0, NULL);
        return b;

    default:
        *name = VOICE_DISPATCH_RESUMED;
        voice_gateway_resumed_d(b, NULL);
        return b;
    }
}


/* A missed event, under the number that it had. */

static voice_buf_t *
ngx_http_voice_dispatch_missed(ngx_http_voice_gateway_t *gw, uint64_t what,
    voice_dispatch_t *name)
{
    size_t                        n;
    uint64_t                      next;
    voice_buf_t                  *b;
    voice_log_event_t             ev;
    ngx_http_voice_event_view_t   view;

    if (what >> 63) {
        return ngx_http_voice_dispatch_mark(gw, what, name);
    }

    next = what;

    if (voice_log_read(gw->zone, &next, &ev, 1, &n) != VOICE_OK || n == 0) {
        return NULL;
    }

    ngx_http_voice_dispatch_view_init(&view, &ev);
    b = ngx_http_voice_dispatch_view(gw, &view, name);

    if (b == NULL) {
        /* it has a number, but may not be seen any more, or be done */
        *name = VOICE_DISPATCH_VOICE_STATE;
        b = ngx_http_voice_render_buf();
        ngx_http_voice_render_state(&ev.state, view.guild, 1, b);
    }

    return b;
}


static void
ngx_http_voice_dispatch_replay(ngx_http_voice_gateway_t *gw)
{
    voice_buf_t       *b;
    voice_dispatch_t   name;

    while (gw->next_replay < gw->nreplay) {

        if (ngx_http_voice_ws_full(gw->ws)) {
            return;
        }

        b = ngx_http_voice_dispatch_missed(gw, gw->replay[gw->next_replay],
                                           &name);
        if (b == NULL) {
            ngx_http_voice_gateway_close(gw, VOICE_GATEWAY_CLOSE_UNKNOWN,
                                         "events are lost");
            return;
        }

        ngx_http_voice_gateway_event_again(gw, name,
                                          gw->replay_seq + gw->next_replay, b);
        gw->next_replay++;

        if (gw->session.id == 0) {
            return;
        }
    }

    ngx_free(gw->replay);
    gw->replay = NULL;

    gw->phase = NGX_HTTP_VOICE_GATEWAY_BEHIND;
}


/* The end of a resume, behind all that was missed: section 11. */

static ngx_int_t
ngx_http_voice_dispatch_resumed(ngx_http_voice_gateway_t *gw)
{
    voice_buf_t                    *b;
    ngx_uint_t                      i;
    ngx_http_voice_subscription_t  *sub;

    for (i = 0; i < gw->nsubs; i++) {
        sub = &gw->sub[i];

        if (sub->stale) {
            ngx_http_voice_change_whole(sub,
                  ngx_http_voice_guild_get(
                                       ngx_http_voice_node_guild(sub->node)));
        }

        if (gw->session.id == 0) {
            return NGX_DECLINED;
        }
    }

    gw->resuming = 0;

    b = ngx_http_voice_render_buf();
    voice_gateway_resumed_d(b, gw->zone->header->node);

    return ngx_http_voice_gateway_event(gw, VOICE_DISPATCH_RESUMED,
                VOICE_GATEWAY_SNAPSHOT(NGX_HTTP_VOICE_MARK_RESUMED, 0), b);
}


/* Reads on from the log until it is where the worker is. */

static void
ngx_http_voice_dispatch_behind(ngx_http_voice_gateway_t *gw)
{
    size_t                        i, n;
    uint64_t                      next;
    voice_log_event_t             list[NGX_HTTP_VOICE_DISPATCH_BATCH];
    ngx_http_voice_event_view_t   view;

    while (gw->session.next < ngx_http_voice_dispatch_next) {

        next = gw->session.next;

        if (voice_log_read(gw->zone, &next, list,
                           ngx_min(NGX_HTTP_VOICE_DISPATCH_BATCH,
                                   ngx_http_voice_dispatch_next - next), &n)
            != VOICE_OK)
        {
            ngx_http_voice_gateway_count(gw, VOICE_M_GATEWAY_REFUSED_SLOW);
            ngx_http_voice_gateway_close(gw, VOICE_GATEWAY_CLOSE_UNKNOWN,
                                         "too slow, events are lost");
            return;
        }

        for (i = 0; i < n; i++) {

            if (ngx_http_voice_ws_full(gw->ws)) {
                return;
            }

            ngx_http_voice_dispatch_view_init(&view, &list[i]);

            if (ngx_http_voice_dispatch_one(gw, &view) != NGX_OK) {
                return;
            }

            gw->session.next = list[i].number + 1;
        }
    }

    if (gw->resuming && ngx_http_voice_dispatch_resumed(gw) != NGX_OK) {
        return;
    }

    gw->phase = NGX_HTTP_VOICE_GATEWAY_CURRENT;
}


void
ngx_http_voice_dispatch_continue(ngx_http_voice_gateway_t *gw)
{
    if (gw->session.id != 0 && gw->phase == NGX_HTTP_VOICE_GATEWAY_GUILDS) {
        ngx_http_voice_dispatch_guilds(gw);
    }

    if (gw->session.id != 0 && gw->phase == NGX_HTTP_VOICE_GATEWAY_REPLAY) {
        ngx_http_voice_dispatch_replay(gw);
    }

    if (gw->session.id != 0 && gw->phase == NGX_HTTP_VOICE_GATEWAY_BEHIND) {
        ngx_http_voice_dispatch_behind(gw);
    }
}


void
ngx_http_voice_dispatch_guild(uint64_t guild_id,
    const voice_dir_guild_t *old, const voice_dir_guild_t *guild)
{
    ngx_uint_t                      same;
    ngx_queue_t                    *q, *next;
    ngx_http_voice_node_t          *node;
    ngx_http_voice_change_t         change;
    ngx_http_voice_subscription_t  *sub;

    node = ngx_http_voice_dispatch_node(guild_id);

    if (node == NULL) {
        return;
    }

    node->version++;

    ngx_memzero(&change, sizeof(ngx_http_voice_change_t));
    change.old = old;
    change.guild = guild;

    for (q = ngx_queue_head(&node->subs);
         q != ngx_queue_sentinel(&node->subs);
         q = next)
    {
        next = ngx_queue_next(q);
        sub = ngx_queue_data(q, ngx_http_voice_subscription_t, queue);

        /* the others learn it where the log says so */

        same = (sub->version + 1 == node->version);

        if (same && sub->gateway->phase == NGX_HTTP_VOICE_GATEWAY_CURRENT) {
            ngx_http_voice_change_tell(sub, &change);

            if (ngx_http_voice_dispatch_node(guild_id) != node) {
                break;
            }
        }
    }

    ngx_http_voice_change_done(&change);
}
