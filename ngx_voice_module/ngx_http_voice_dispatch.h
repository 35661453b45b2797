/*
 * Copyright (C) ngx-voice contributors
 *
 * The worker's cursor over the zone's log of events.  Each event is rendered
 * once, and goes to those of this worker's gateways that have the guild and
 * may see it, under the numbers of their own.
 *
 * A gateway whose client doesn't read is left behind, and reads on from the
 * log by itself; nobody waits for it.
 */


#ifndef _NGX_HTTP_VOICE_DISPATCH_H_INCLUDED_
#define _NGX_HTTP_VOICE_DISPATCH_H_INCLUDED_


#include "ngx_http_voice_gateway.h"


/* This worker's gateways that have a guild. */
struct ngx_http_voice_node_s {
    ngx_rbtree_node_t    node;         /* by guild id */
    ngx_queue_t          subs;         /* ngx_http_voice_subscription_t */
    uint64_t             version;      /* counts up as the guild changes */
};

#define ngx_http_voice_node_guild(n)   ((uint64_t) (n)->node.key)


ngx_int_t ngx_http_voice_dispatch_init_process(ngx_cycle_t *cycle);

/* Takes what is new in the log. */
void ngx_http_voice_dispatch_log(ngx_log_t *log);

/*
 * Subscribes to the token's guilds that belong to the gateway's shard.
 * resumed: which versions the client has is not known.
 */
ngx_int_t ngx_http_voice_dispatch_subscribe(ngx_http_voice_gateway_t *gw,
    const uint64_t *guild_id, size_t n, ngx_uint_t resumed);
void ngx_http_voice_dispatch_unsubscribe(ngx_http_voice_gateway_t *gw);

/*
 * Brings a gateway on: guilds, what it has missed, what the log has; as far
 * as its client reads.
 */
void ngx_http_voice_dispatch_continue(ngx_http_voice_gateway_t *gw);

/* A guild has changed in this worker. */
void ngx_http_voice_dispatch_guild(uint64_t guild_id,
    const voice_dir_guild_t *old, const voice_dir_guild_t *guild);

/* Before a session is detached: how far its client got. */
void ngx_http_voice_dispatch_settle(ngx_http_voice_gateway_t *gw);


/* ngx_http_voice_render.c */

/* Buffers of this worker, empty. */
voice_buf_t *ngx_http_voice_render_buf(void);

ngx_int_t ngx_http_voice_render_ready(ngx_http_voice_gateway_t *gw,
    voice_buf_t *b);

/* GUILD_CREATE, as the gateway's user sees the guild. */
void ngx_http_voice_render_guild(ngx_http_voice_gateway_t *gw,
    const voice_dir_guild_t *guild, voice_buf_t *b);

/* gone: for those who can't see where the user is now */
void ngx_http_voice_render_state(const voice_state_info_t *info,
    const voice_dir_guild_t *guild, ngx_uint_t gone, voice_buf_t *b);
void ngx_http_voice_render_member(const voice_state_info_t *info,
    const voice_dir_guild_t *guild, voice_buf_t *b);

/* With a new token.  NGX_DECLINED: there is nothing to connect to. */
ngx_int_t ngx_http_voice_render_server(ngx_http_voice_gateway_t *gw,
    const voice_state_info_t *info, const voice_dir_guild_t *guild,
    voice_buf_t *b);

ngx_uint_t ngx_http_voice_render_visible(ngx_http_voice_gateway_t *gw,
    const voice_dir_guild_t *guild, uint64_t channel_id);


/* ngx_http_voice_change.c: what a client is told of a guild's change. */

/* Zeroed, but for the two; of either there may be none. */
typedef struct {
    const voice_dir_guild_t   *old;
    const voice_dir_guild_t   *guild;
    ngx_pool_t                *pool;       /* NULL: not needed so far */
    ngx_array_t                events;
    voice_buf_t                text;       /* of all of them */
} ngx_http_voice_change_t;

/* The gateway stays as it is, or is closed. */
void ngx_http_voice_change_tell(ngx_http_voice_subscription_t *sub,
    ngx_http_voice_change_t *ch);

void ngx_http_voice_change_done(ngx_http_voice_change_t *ch);

/* Not known what the client has of it. */
void ngx_http_voice_change_whole(ngx_http_voice_subscription_t *sub,
    const voice_dir_guild_t *guild);


#endif /* _NGX_HTTP_VOICE_DISPATCH_H_INCLUDED_ */
