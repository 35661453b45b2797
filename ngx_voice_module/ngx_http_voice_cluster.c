/*
 * Copyright (C) ngx-voice contributors
 *
 * What follows from the cluster zone.  One worker, the first, tells clients
 * of guilds that were moved, stamps guilds that are in use here, and ends
 * what is left of those that are served elsewhere.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>

#include "ngx_http_voice_cluster.h"
#include "ngx_http_voice_dispatch.h"
#include "ngx_http_voice_peer.h"

#include "voice_drain.h"
#include "voice_peer.h"


/* Changes that are followed at once, and how soon the next ones are. */
#define NGX_HTTP_VOICE_FOLLOW_BATCH    64
#define NGX_HTTP_VOICE_FOLLOW_PACE     20       /* ms */

/*
 * Clients a second of a whole region that are told of another server, so that
 * a node's death is no flood of reconnects; each node has its share of it, and
 * 100 at least, for not all need theirs, and a server that was left goes on for
 * but ten seconds.  What would take a second is told at once, and no guild is
 * waited for longer.
 */
#define NGX_HTTP_VOICE_FOLLOW_RATE     2000
#define NGX_HTTP_VOICE_FOLLOW_SHARES   20
#define NGX_HTTP_VOICE_FOLLOW_AHEAD    1000     /* ms */

#define NGX_HTTP_VOICE_FOLLOW_SWEEP    1000

/* Silent for so long, a node that says it is down is gone, ms. */
#define NGX_HTTP_VOICE_FOLLOW_SILENT   15000

/* How long a server goes on with a guild that was moved. */
#define NGX_HTTP_VOICE_FOLLOW_OLD      10000


typedef struct {
    voice_zone_t     *zone;
    voice_cluster_t  *cluster;
    ngx_event_t       follow;         /* changes */
    ngx_event_t       sweep;
    ngx_connection_t  dumb;           /* what debug logs show */
    uint64_t          next;           /* change to look at */
    uint64_t          told;           /* us, what was told is good until then */
    uint32_t          slot;           /* of a look at all guilds */
    unsigned          first:1;        /* this is the first worker */
    unsigned          all:1;          /* a look at all guilds goes on */
} ngx_http_voice_follow_t;


static void ngx_http_voice_follow_handler(ngx_event_t *ev);
static void ngx_http_voice_sweep_handler(ngx_event_t *ev);


static ngx_http_voice_follow_t  ngx_http_voice_follow;


static ngx_int_t
ngx_http_voice_cluster_ask(voice_request_kind_t kind, uint64_t guild_id,
    const char *region, const char *node)
{
    uint64_t                  ticket;
    voice_cluster_request_t   rq;

    ngx_memzero(&rq, sizeof(voice_cluster_request_t));

    rq.kind = kind;
    rq.guild = guild_id;

    (void) ngx_cpystrn((u_char *) rq.region, (u_char *) region,
                       sizeof(rq.region));
    (void) ngx_cpystrn((u_char *) rq.node, (u_char *) node, sizeof(rq.node));

    if (voice_cluster_request(ngx_voice_cluster(),
                              (unsigned) ngx_voice_cluster_slot(), &rq,
                              ngx_voice_now(), &ticket)
        != VOICE_OK)
    {
        return NGX_DECLINED;
    }

    ngx_voice_cluster_wake();

    return NGX_OK;
}


ngx_int_t
ngx_http_voice_cluster_move(uint64_t guild_id, const char *region,
    const char *node, ngx_log_t *log)
{
    voice_assignment_t  a;

    /* one that nobody uses gets its server when somebody comes */

    if (ngx_voice_cluster() == NULL
        || voice_cluster_find(ngx_voice_cluster(), guild_id, &a) != VOICE_OK)
    {
        return NGX_OK;
    }

    ngx_log_error(NGX_LOG_NOTICE, log, 0,
                  "voice guild %uL is to move to region \"%s\"", guild_id,
                  region);

    if (ngx_http_voice_cluster_ask(VOICE_REQUEST_MOVE, guild_id, region, node)
        != NGX_OK)
    {
        ngx_log_error(NGX_LOG_ERR, log, 0,
                      "voice guild %uL can't move: no discovery agent",
                      guild_id);
        return NGX_ERROR;
    }

    return NGX_OK;
}


void
ngx_http_voice_cluster_suspect(uint64_t guild_id, ngx_log_t *log)
{
    if (ngx_voice_cluster() != NULL
        && ngx_http_voice_cluster_ask(VOICE_REQUEST_SUSPECT, guild_id, "", "")
           == NGX_OK)
    {
        ngx_log_error(NGX_LOG_INFO, log, 0,
                      "a client has lost the voice server of guild %uL",
                      guild_id);
    }
}


/* How long nobody is to be told, ms. */

static ngx_msec_t
ngx_http_voice_follow_wait(void)
{
    uint64_t                  limit;
    ngx_http_voice_follow_t  *fl = &ngx_http_voice_follow;

    limit = (ngx_voice_now() + NGX_HTTP_VOICE_FOLLOW_AHEAD) * 1000;

    return fl->told < limit ? 0 : (fl->told - limit) / 1000 + 1;
}


static void
ngx_http_voice_follow_told(size_t n)
{
    uint64_t                  now, up;
    ngx_http_voice_follow_t  *fl = &ngx_http_voice_follow;

    now = ngx_voice_now() * 1000;
    up = ngx_max(voice_cluster_nodes_up(fl->cluster), 1);
    up = ngx_min(up, NGX_HTTP_VOICE_FOLLOW_SHARES);

    fl->told = ngx_max(fl->told, now)
               + n * up * 1000000 / NGX_HTTP_VOICE_FOLLOW_RATE;
    fl->told = ngx_min(fl->told,
                       now + 2 * NGX_HTTP_VOICE_FOLLOW_AHEAD * 1000);
}


/* Changes. */

static void
ngx_http_voice_follow_guild(uint64_t guild_id, ngx_log_t *log)
{
    size_t                    n;
    ngx_http_voice_place_t    place;
    ngx_http_voice_follow_t  *fl = &ngx_http_voice_follow;

    /* given back in between: asked for again by the sweep */

    if (ngx_http_voice_place(fl->zone, guild_id, &place) != NGX_OK) {
        return;
    }

    n = voice_state_server(fl->zone, guild_id, place.key);

    if (n != 0) {
        ngx_http_voice_follow_told(n);

        ngx_log_error(NGX_LOG_NOTICE, log, 0,
                      "voice guild %uL is served by \"%s\" now, revision %uL: "
                      "%uz clients are told", guild_id,
                      place.away ? "nobody" : place.node, place.rev, n);
    }
}


/* After a restart, and where changes were missed. */

static void
ngx_http_voice_follow_all(ngx_log_t *log)
{
    uint64_t                  guild_id;
    ngx_uint_t                n;
    ngx_http_voice_follow_t  *fl = &ngx_http_voice_follow;

    for (n = 0;
         n < NGX_HTTP_VOICE_FOLLOW_BATCH && ngx_http_voice_follow_wait() == 0;
         n++)
    {
        if (voice_state_guild_next(fl->zone, &fl->slot, &guild_id)
            != VOICE_OK)
        {
            fl->all = 0;
            fl->slot = 0;
            return;
        }

        ngx_http_voice_follow_guild(guild_id, log);
    }
}


static void
ngx_http_voice_follow_changes(ngx_log_t *log)
{
    size_t                    n;
    ngx_uint_t                i;
    voice_cluster_change_t    change;
    ngx_http_voice_follow_t  *fl = &ngx_http_voice_follow;

    for (i = 0;
         i < NGX_HTTP_VOICE_FOLLOW_BATCH && ngx_http_voice_follow_wait() == 0;
         i++)
    {
        if (voice_cluster_changes(fl->cluster, &fl->next, &change, 1, &n)
            != VOICE_OK)
        {
            fl->all = 1;
            fl->slot = 0;
            return;
        }

        if (n == 0) {
            return;
        }

        if (change.type == VOICE_CHANGE_GUILD) {
            ngx_http_voice_follow_guild(change.guild, log);

        } else {
            fl->all = 1;
            fl->slot = 0;
        }
    }
}


static void
ngx_http_voice_follow_handler(ngx_event_t *ev)
{
    ngx_msec_t                wait;
    ngx_http_voice_follow_t  *fl = &ngx_http_voice_follow;

    if (fl->all) {
        ngx_http_voice_follow_all(ev->log);
    } else {
        ngx_http_voice_follow_changes(ev->log);
    }

    ngx_voice_wake(fl->zone, ev->log);

    if ((fl->all || fl->next != voice_cluster_changes_next(fl->cluster))
        && !ev->timer_set)
    {
        wait = ngx_http_voice_follow_wait();
        ngx_add_timer(ev, ngx_max(wait, NGX_HTTP_VOICE_FOLLOW_PACE));
    }
}


/* Guilds in use. */

static void
ngx_http_voice_sweep_states(ngx_log_t *log)
{
    size_t                    here;
    uint32_t                  slot;
    uint64_t                  guild_id, now;
    voice_assignment_t        a;
    ngx_http_voice_follow_t  *fl = &ngx_http_voice_follow;

    slot = 0;
    now = ngx_voice_now();

    while (voice_state_guild_next(fl->zone, &slot, &guild_id) == VOICE_OK) {

        if (voice_state_users(fl->zone, guild_id, &here) == 0
            || voice_cluster_used(fl->cluster, guild_id, 0, now) == VOICE_OK
            || voice_cluster_find(fl->cluster, guild_id, &a)
               != VOICE_E_NOT_FOUND
            || here == 0)
        {
            continue;
        }

        if (ngx_http_voice_cluster_ask(VOICE_REQUEST_JOIN, guild_id,
             ngx_http_voice_cluster_region(ngx_http_voice_guild_get(guild_id)),
                                       "")
            != NGX_OK)
        {
            return;
        }

        ngx_log_error(NGX_LOG_INFO, log, 0,
                      "voice guild %uL is in use and has no server: asking "
                      "for one", guild_id);
    }
}


/* Sessions of guilds that are served elsewhere by now. */

static void
ngx_http_voice_sweep_sessions(ngx_log_t *log)
{
    uint64_t                  now;
    ngx_uint_t                n, claims;
    voice_id_t                id;
    uint32_t                  slot;
    uint64_t                  guild_id;
    voice_err_t               err;
    voice_assignment_t        a;
    ngx_http_voice_follow_t  *fl = &ngx_http_voice_follow;

    n = 0;
    slot = 0;
    claims = 0;
    now = ngx_voice_now();

    while (voice_session_next(fl->zone, &slot, &id, &guild_id) == VOICE_OK) {

        if (guild_id == VOICE_PROBE_GUILD) {
            continue;
        }

        err = voice_cluster_used(fl->cluster, guild_id, 1, now);

        if (err == VOICE_OK) {
            (void) voice_session_moved(fl->zone, id, 0, 0);
            continue;
        }

        err = voice_cluster_find(fl->cluster, guild_id, &a);

        if (err == VOICE_E_NOT_FOUND && claims < NGX_HTTP_VOICE_FOLLOW_BATCH) {
            claims++;
            (void) ngx_http_voice_cluster_ask(VOICE_REQUEST_CLAIM, guild_id,
                                              "", "");
            continue;
        }

        if (err != VOICE_OK || (a.flags & VOICE_ASSIGNED_ORPHAN)
            || a.node == voice_cluster_self(fl->cluster)
            || voice_cluster_self(fl->cluster) == 0)
        {
            continue;
        }

        n += voice_session_moved(fl->zone, id, now,
                                 NGX_HTTP_VOICE_FOLLOW_OLD);
    }

    if (n != 0) {
        ngx_log_error(NGX_LOG_NOTICE, log, 0,
                      "%ui voice sessions of guilds that were moved are "
                      "closed", n);
    }
}


/* Nodes whose states are here. */

static void
ngx_http_voice_sweep_peers(ngx_log_t *log)
{
    unsigned                  n;
    uint32_t                  slot, peer;
    uint64_t                  now;
    ngx_uint_t                alive;
    voice_id_t                id;
    voice_node_info_t         info;
    voice_peer_record_t       record;
    ngx_http_voice_follow_t  *fl = &ngx_http_voice_follow;

    slot = 0;
    now = ngx_voice_now();

    while (voice_peer_next(fl->zone, &slot, &peer, &record) == VOICE_OK) {

        /* its relay may be down and its gateway not: then it goes on telling */

        alive = voice_cluster_node_named(fl->cluster, record.name, &id, &info)
                == VOICE_OK
                && (info.flags & (VOICE_NODE_UP|VOICE_NODE_HELD))
                && (!(info.flags & VOICE_NODE_DOWN)
                    || now - record.seen < NGX_HTTP_VOICE_FOLLOW_SILENT)
                && ngx_strcmp(info.boot, record.boot) == 0;

        /* of a node that is back its own sync tells what is left */

        n = voice_peer_alive(fl->zone, peer, alive != 0, now);

        if (n != 0) {
            ngx_log_error(NGX_LOG_NOTICE, log, 0,
                          "%ud voice states of node \"%s\", which is gone, "
                          "are dropped", n, record.name);
        }
    }
}


static void
ngx_http_voice_sweep_handler(ngx_event_t *ev)
{
    ngx_uint_t                first;
    ngx_http_voice_follow_t  *fl = &ngx_http_voice_follow;

    if (ngx_exiting) {
        ngx_http_voice_push_stop();
        return;
    }

    first = ngx_voice_cluster_first();

    if (first && !fl->first) {
        fl->next = voice_cluster_changes_next(fl->cluster);
        fl->all = 1;
        fl->slot = 0;
        ngx_http_voice_push_start(ev->log);

    } else if (!first && fl->first) {
        ngx_http_voice_push_stop();
    }

    fl->first = first;

    if (first) {

        /* whom a node that began anew is told of depends on what it was */

        ngx_http_voice_sweep_peers(ev->log);
        ngx_http_voice_push_nodes();

        /* before states: these know who is here, those only that somebody is */

        ngx_http_voice_sweep_sessions(ev->log);

        /* an agent that was never there knows nothing of us */

        if (voice_cluster_agent(fl->cluster, ngx_voice_now())
            != VOICE_AGENT_NONE)
        {
            ngx_http_voice_sweep_states(ev->log);
        }

        ngx_http_voice_follow_handler(&fl->follow);
    }

    ngx_voice_wake(fl->zone, ev->log);
    ngx_add_timer(ev, NGX_HTTP_VOICE_FOLLOW_SWEEP);
}


static void
ngx_http_voice_cluster_wake_handler(ngx_log_t *log)
{
    ngx_http_voice_follow_t  *fl = &ngx_http_voice_follow;

    if (fl->cluster == NULL) {
        return;
    }

    ngx_http_voice_wait_wake();

    if (fl->first) {
        ngx_http_voice_follow_handler(&fl->follow);
        ngx_http_voice_push_wake();
    }
}


ngx_int_t
ngx_http_voice_cluster_init_process(ngx_cycle_t *cycle)
{
    ngx_http_voice_follow_t  *fl = &ngx_http_voice_follow;

    fl->cluster = ngx_voice_cluster();
    fl->zone = ngx_voice_zone(cycle);

    /* a worker that took no slot serves no voice */

    if (fl->cluster == NULL) {
        return NGX_OK;
    }

    if (ngx_voice_wake_handler(cycle, ngx_http_voice_cluster_wake_handler)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    fl->dumb.fd = (ngx_socket_t) -1;

    fl->follow.handler = ngx_http_voice_follow_handler;
    fl->follow.log = cycle->log;
    fl->follow.data = &fl->dumb;
    fl->follow.cancelable = 1;

    fl->sweep.handler = ngx_http_voice_sweep_handler;
    fl->sweep.log = cycle->log;
    fl->sweep.data = &fl->dumb;
    fl->sweep.cancelable = 1;

    ngx_add_timer(&fl->sweep, 1);

    return NGX_OK;
}
