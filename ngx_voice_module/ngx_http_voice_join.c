/*
 * Copyright (C) ngx-voice contributors
 *
 * What a client of the gateway asks for: to be in a voice channel (op 4),
 * and to be told of members (op 8).
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_voice_cluster.h"
#include "ngx_http_voice_dispatch.h"

#include "voice_drain.h"


static void
ngx_http_voice_join_leave(ngx_http_voice_gateway_t *gw, uint64_t guild_id)
{
    voice_state_info_t  info;

    /* a session that was displaced by another one of its user keeps out */

    if (voice_state_get(gw->zone, guild_id, gw->user_id, &info) != VOICE_OK
        || ngx_strcmp(info.session_id, gw->session.session_id) != 0)
    {
        return;
    }

    if (voice_state_leave(gw->zone, guild_id, gw->user_id) == VOICE_OK) {
        ngx_log_error(NGX_LOG_INFO, gw->log, 0,
                      "voice user %uL leaves guild %uL channel %uL",
                      gw->user_id, guild_id, info.channel_id);
    }

    ngx_voice_wake(gw->zone, gw->log);
}


static void
ngx_http_voice_join_done(ngx_http_voice_gateway_t *gw,
    const voice_state_join_t *j, voice_err_t err, voice_state_change_t change)
{
    switch (err) {

    case VOICE_OK:
        break;

    case VOICE_E_FULL:
        ngx_log_error(NGX_LOG_INFO, gw->log, 0,
                      "voice user %uL can't join guild %uL channel %uL: its "
                      "%uD places are taken", j->user_id, j->guild_id,
                      j->channel_id, j->user_limit);
        return;

    case VOICE_E_NOMEM:
        ngx_log_error(NGX_LOG_ERR, gw->log, 0,
                      "voice user %uL can't join guild %uL: all %uD voice "
                      "states of the \"voice_zone\" are in use", j->user_id,
                      j->guild_id, gw->zone->header->sessions);
        return;

    default:
        ngx_log_error(NGX_LOG_INFO, gw->log, 0,
                      "voice user %uL can't join guild %uL channel %uL: %s",
                      j->user_id, j->guild_id, j->channel_id,
                      voice_err_name(err));
        return;
    }

    if (change == VOICE_STATE_JOINED || change == VOICE_STATE_MOVED) {
        ngx_log_error(NGX_LOG_INFO, gw->log, 0,
                      "voice user %uL %s guild %uL channel %uL%s",
                      j->user_id,
                      change == VOICE_STATE_JOINED ? "enters" : "moves in",
                      j->guild_id, j->channel_id,
                      (j->flags & VOICE_SESSION_SUPPRESS) ? ", suppressed"
                                                          : "");
    }
}


static uint32_t
ngx_http_voice_join_flags(const voice_gateway_voice_state_t *vs,
    uint64_t permissions)
{
    uint32_t  flags;

    flags = 0;

    if (vs->self_mute) {
        flags |= VOICE_SESSION_SELF_MUTE;
    }

    if (vs->self_deaf) {
        flags |= VOICE_SESSION_SELF_DEAF;
    }

    if (!(permissions & VOICE_PERM_STREAM)) {
        return flags;
    }

    if (vs->self_video) {
        flags |= VOICE_SESSION_VIDEO;
    }

    if (vs->self_stream) {
        flags |= VOICE_STATE_STREAM;
    }

    return flags;
}


/* Who is in voice already may move, and ask for a new token. */

static ngx_uint_t
ngx_http_voice_join_drains(ngx_http_voice_gateway_t *gw, uint64_t guild_id)
{
    voice_state_info_t  info;

    /* in a cluster the agents have other nodes serve new guilds */

    if (ngx_voice_cluster() != NULL
        || !voice_drain_get(gw->zone, NULL)
        || voice_state_get(gw->zone, guild_id, gw->user_id, &info)
           == VOICE_OK)
    {
        return 0;
    }

    voice_metric_add(voice_zone_metrics(gw->zone), VOICE_M_REFUSED_DRAINING,
                     1);

    return 1;
}


/* One whom a moderator has brought there may ask for it again, and stays. */

static uint64_t
ngx_http_voice_join_permissions(ngx_http_voice_gateway_t *gw,
    const voice_dir_guild_t *guild, const voice_dir_channel_t *channel)
{
    uint64_t            permissions;
    voice_state_info_t  info;

    permissions = ngx_http_voice_guild_permissions(guild, channel, gw->user_id,
                                                   0);

    if (ngx_http_voice_may_join(permissions)
        || voice_state_get(gw->zone, guild->id, gw->user_id, &info) != VOICE_OK
        || info.channel_id != channel->id
        || ngx_strcmp(info.session_id, gw->session.session_id) != 0)
    {
        return permissions;
    }

    return ngx_http_voice_guild_permissions(guild, channel, gw->user_id,
                                            info.flags);
}


/* One who waits for the server of a guild. */
typedef struct {
    ngx_queue_t                   queue;       /* of the gateway */
    ngx_http_voice_gateway_t     *gateway;
    voice_gateway_voice_state_t   asked;
    ngx_http_voice_wait_t         wait;
} ngx_http_voice_join_wait_t;


static void
ngx_http_voice_join_wait_free(ngx_http_voice_join_wait_t *jw)
{
    ngx_http_voice_wait_cancel(&jw->wait);
    ngx_queue_remove(&jw->queue);
    ngx_free(jw);
}


/* guild_id 0: for all guilds */

void
ngx_http_voice_join_forget(ngx_http_voice_gateway_t *gw, uint64_t guild_id)
{
    ngx_queue_t                 *q, *next;
    ngx_http_voice_join_wait_t  *jw;

    for (q = ngx_queue_head(&gw->joins);
         q != ngx_queue_sentinel(&gw->joins);
         q = next)
    {
        next = ngx_queue_next(q);
        jw = ngx_queue_data(q, ngx_http_voice_join_wait_t, queue);

        if (guild_id == 0 || jw->asked.guild_id == guild_id) {
            ngx_http_voice_join_wait_free(jw);
        }
    }
}


/* The client is told that it is in no channel. */

static void
ngx_http_voice_join_refuse(ngx_http_voice_gateway_t *gw, uint64_t guild_id,
    const char *why)
{
    ngx_log_error(NGX_LOG_ERR, gw->log, 0,
                  "voice user %uL can't join guild %uL, it has no server: %s",
                  gw->user_id, guild_id, why);

    voice_state_refuse(gw->zone, guild_id, gw->user_id, gw->session.id);
    ngx_voice_wake(gw->zone, gw->log);
}


static void
ngx_http_voice_join_wait_handler(ngx_http_voice_wait_t *w, const char *why)
{
    ngx_http_voice_gateway_t     *gw;
    ngx_http_voice_join_wait_t   *jw = w->data;
    voice_gateway_voice_state_t   asked;

    gw = jw->gateway;
    asked = jw->asked;

    ngx_http_voice_join_wait_free(jw);

    if (gw->session.id == 0) {
        return;
    }

    if (why != NULL) {
        ngx_http_voice_join_refuse(gw, asked.guild_id, why);
        return;
    }

    ngx_http_voice_gateway_voice_state(gw, &asked);
}


/* True: the client has to wait, or is refused. */

static ngx_uint_t
ngx_http_voice_join_waits(ngx_http_voice_gateway_t *gw,
    const voice_gateway_voice_state_t *vs, ngx_http_voice_place_t *place)
{
    const char                  *why;
    ngx_http_voice_join_wait_t  *jw;

    /* the last one counts */

    ngx_http_voice_join_forget(gw, vs->guild_id);

    if (ngx_http_voice_place(gw->zone, vs->guild_id, place) == NGX_OK
        && !place->away)
    {
        return 0;
    }

    jw = ngx_calloc(sizeof(ngx_http_voice_join_wait_t), gw->log);

    if (jw == NULL) {
        return 1;
    }

    jw->gateway = gw;
    jw->asked = *vs;
    jw->wait.handler = ngx_http_voice_join_wait_handler;
    jw->wait.data = jw;
    jw->wait.log = gw->log;

    if (ngx_http_voice_wait_start(&jw->wait, vs->guild_id, &why) != NGX_OK) {
        ngx_free(jw);
        ngx_http_voice_join_refuse(gw, vs->guild_id, why);
        return 1;
    }

    ngx_queue_insert_tail(&gw->joins, &jw->queue);

    return 1;
}


void
ngx_http_voice_gateway_ping(ngx_http_voice_gateway_t *gw)
{
    uint64_t            guild_id;
    ngx_uint_t          i;
    voice_state_info_t  info;

    /* alone this nginx is the voice server: whoever reads this is alive */

    for (i = 0; ngx_voice_cluster() != NULL && i < gw->nsubs; i++) {
        guild_id = ngx_http_voice_node_guild(gw->sub[i].node);

        if (voice_state_get(gw->zone, guild_id, gw->user_id, &info)
            == VOICE_OK
            && info.peer == 0
            && ngx_strcmp(info.session_id, gw->session.session_id) == 0)
        {
            ngx_http_voice_cluster_suspect(guild_id, gw->log);
        }
    }
}


/* Section 7.2: what isn't allowed is passed over in silence. */

void
ngx_http_voice_gateway_voice_state(ngx_http_voice_gateway_t *gw,
    const voice_gateway_voice_state_t *vs)
{
    uint64_t                    permissions;
    ngx_uint_t                  i;
    voice_err_t                 err;
    voice_state_join_t          j;
    voice_state_change_t        change;
    ngx_http_voice_place_t      place;
    const voice_dir_guild_t    *guild;
    const voice_dir_channel_t  *channel;

    for (i = 0; i < gw->nsubs; i++) {
        if (ngx_http_voice_node_guild(gw->sub[i].node) == vs->guild_id) {
            break;
        }
    }

    if (i == gw->nsubs) {
        ngx_log_error(NGX_LOG_INFO, gw->log, 0,
                      "voice user %uL asks for guild %uL, which its token or "
                      "its shard hasn't", gw->user_id, vs->guild_id);
        return;
    }

    if (vs->channel_id == 0) {
        ngx_http_voice_join_forget(gw, vs->guild_id);
        ngx_http_voice_join_leave(gw, vs->guild_id);
        return;
    }

    ngx_http_voice_guild_sync(gw->log);

    if (gw->session.id == 0) {
        return;
    }

    guild = ngx_http_voice_guild_get(vs->guild_id);
    channel = (guild != NULL) ? voice_dir_channel(guild, vs->channel_id)
                              : NULL;

    if (channel == NULL || !voice_dir_channel_is_voice(channel)) {
        ngx_log_error(NGX_LOG_INFO, gw->log, 0,
                      "voice user %uL asks for guild %uL channel %uL, which "
                      "is no voice channel there", gw->user_id, vs->guild_id,
                      vs->channel_id);
        return;
    }

    permissions = ngx_http_voice_join_permissions(gw, guild, channel);

    if (!ngx_http_voice_may_join(permissions)) {
        ngx_log_error(NGX_LOG_INFO, gw->log, 0,
                      "voice user %uL may not join guild %uL channel %uL",
                      gw->user_id, vs->guild_id, vs->channel_id);
        return;
    }

    if (ngx_http_voice_join_drains(gw, vs->guild_id)) {
        ngx_log_error(NGX_LOG_INFO, gw->log, 0,
                      "voice user %uL can't join guild %uL channel %uL: "
                      "draining, no new calls", gw->user_id, vs->guild_id,
                      vs->channel_id);
        return;
    }

    if (ngx_http_voice_join_waits(gw, vs, &place)) {
        return;
    }

    ngx_memzero(&j, sizeof(voice_state_join_t));

    j.server = place.key;
    j.guild_id = vs->guild_id;
    j.channel_id = vs->channel_id;
    j.user_id = gw->user_id;
    j.gateway = gw->session.id;
    j.flags = ngx_http_voice_join_flags(vs, permissions);
    j.user_limit = (permissions & VOICE_PERM_MOVE_MEMBERS)
                   ? 0 : channel->user_limit;

    if (ngx_http_voice_guild_suppress(guild, channel, permissions)) {
        j.flags |= VOICE_SESSION_SUPPRESS;
    }

    err = voice_state_join(gw->zone, &j, &change);
    ngx_voice_wake(gw->zone, gw->log);

    ngx_http_voice_join_done(gw, &j, err, change);
}


/* Op 8, section 12.2. */

typedef struct {
    const voice_dir_member_t   **list;
    size_t                       n;
    size_t                       max;
    uint64_t                     missing[VOICE_GATEWAY_USERS_MAX];
    size_t                       nmissing;
    ngx_http_voice_member_t      self;
} ngx_http_voice_members_t;


static void
ngx_http_voice_members_named(ngx_http_voice_members_t *ms,
    ngx_http_voice_gateway_t *gw, const voice_dir_guild_t *guild,
    const voice_gateway_members_t *m)
{
    size_t                     i;
    const voice_dir_member_t  *member;

    for (i = 0; i < m->nusers; i++) {
        member = voice_dir_member(guild, m->user_id[i]);

        if (member == NULL && m->user_id[i] == gw->user_id) {
            member = ms->self.member;
        }

        if (member == NULL) {
            ms->missing[ms->nmissing++] = m->user_id[i];

        } else if (ms->n < ms->max) {
            ms->list[ms->n++] = member;
        }
    }
}


static void
ngx_http_voice_members_asked(ngx_http_voice_members_t *ms,
    const voice_dir_guild_t *guild, const voice_gateway_members_t *m)
{
    size_t                     i;
    const voice_dir_member_t  *member;

    for (i = 0; i <= guild->nmembers && ms->n < ms->max; i++) {

        member = (i < guild->nmembers) ? &guild->member[i] : ms->self.member;

        /* oneself comes last, if the directory hasn't named one */

        if (i == guild->nmembers
            && voice_dir_member(guild, member->user.id) != NULL)
        {
            break;
        }

        if (!m->has_query || m->query[0] == '\0'
            || voice_gateway_member_matches(member, m->query))
        {
            ms->list[ms->n++] = member;
        }
    }
}


static void
ngx_http_voice_members_send(ngx_http_voice_gateway_t *gw, uint32_t index,
    const voice_gateway_members_t *m, const ngx_http_voice_members_t *ms)
{
    size_t                  done;
    voice_buf_t            *b;
    voice_gateway_chunk_t   chunk;

    ngx_memzero(&chunk, sizeof(voice_gateway_chunk_t));

    chunk.guild_id = m->guild_id;
    chunk.presences = m->presences;
    chunk.nonce = m->nonce;
    chunk.chunk_count = (uint32_t) ((ms->n + VOICE_GATEWAY_CHUNK - 1)
                                    / VOICE_GATEWAY_CHUNK);
    chunk.not_found = ms->missing;
    chunk.nnot_found = ms->nmissing;

    if (chunk.chunk_count == 0) {
        chunk.chunk_count = 1;
    }

    for (done = 0; chunk.chunk_index < chunk.chunk_count; chunk.chunk_index++)
    {
        chunk.member = ms->list + done;
        chunk.nmembers = ngx_min(ms->n - done, VOICE_GATEWAY_CHUNK);
        done += chunk.nmembers;

        b = ngx_http_voice_render_buf();
        voice_gateway_chunk_d(b, &chunk);

        if (ngx_http_voice_gateway_event(gw, VOICE_DISPATCH_MEMBERS_CHUNK,
                       VOICE_GATEWAY_SNAPSHOT(NGX_HTTP_VOICE_MARK_CHUNK, index),
                       b)
            != NGX_OK)
        {
            return;
        }
    }
}


/* Of a large guild all are told every half minute, as at Discord. */

static ngx_int_t
ngx_http_voice_members_allowed(ngx_http_voice_gateway_t *gw,
    ngx_http_voice_subscription_t *sub, const voice_gateway_members_t *m)
{
    ngx_msec_t    now, since;
    voice_buf_t  *b;

    now = ngx_voice_now();
    since = now - sub->asked;

    if (sub->asked == 0 || since >= VOICE_GATEWAY_MEMBERS_WAIT) {
        sub->asked = now;
        return NGX_OK;
    }

    b = ngx_http_voice_render_buf();
    voice_gateway_rate_limited_d(b, m->guild_id,
                                 VOICE_GATEWAY_MEMBERS_WAIT - since, m->nonce);

    (void) ngx_http_voice_gateway_event(gw, VOICE_DISPATCH_RATE_LIMITED,
               VOICE_GATEWAY_SNAPSHOT(NGX_HTTP_VOICE_MARK_LIMITED, sub->index),
               b);

    return NGX_DECLINED;
}


void
ngx_http_voice_gateway_members(ngx_http_voice_gateway_t *gw,
    const voice_gateway_members_t *m)
{
    ngx_uint_t                 i;
    const voice_dir_guild_t   *guild;
    ngx_http_voice_members_t   ms;

    for (i = 0; i < gw->nsubs; i++) {
        if (ngx_http_voice_node_guild(gw->sub[i].node) == m->guild_id) {
            break;
        }
    }

    guild = (i < gw->nsubs) ? ngx_http_voice_guild_get(m->guild_id) : NULL;

    if (guild == NULL) {
        return;
    }

    ngx_memzero(&ms, sizeof(ngx_http_voice_members_t));
    ngx_http_voice_guild_member(guild, gw->user_id, &ms.self);

    ms.max = ngx_max(guild->nmembers + 1, VOICE_GATEWAY_USERS_MAX);
    ms.list = ngx_alloc(ms.max * sizeof(voice_dir_member_t *), gw->log);

    if (ms.list == NULL) {
        return;
    }

    if (m->limit != 0 && m->limit < ms.max) {
        ms.max = m->limit;
    }

    if (m->has_query && m->query[0] != '\0') {
        ms.max = ngx_min(ms.max, VOICE_GATEWAY_MEMBERS);
    }

    if (m->nusers != 0) {
        ngx_http_voice_members_named(&ms, gw, guild, m);

    } else {
        ngx_http_voice_members_asked(&ms, guild, m);
    }

    if (ms.n <= VOICE_GATEWAY_MEMBERS
        || ngx_http_voice_members_allowed(gw, &gw->sub[i], m) == NGX_OK)
    {
        ngx_http_voice_members_send(gw, gw->sub[i].index, m, &ms);
    }

    ngx_free(ms.list);
}
