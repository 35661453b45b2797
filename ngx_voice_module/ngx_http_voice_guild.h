/*
 * Copyright (C) ngx-voice contributors
 *
 * A worker's view of the guilds: the directory's file with what was changed
 * at run time on top of it; and what follows from a guild for the voice
 * states of its members.
 */


#ifndef _NGX_HTTP_VOICE_GUILD_H_INCLUDED_
#define _NGX_HTTP_VOICE_GUILD_H_INCLUDED_


#include "ngx_voice.h"
#include "ngx_http_voice_module.h"

#include "voice_guild.h"
#include "voice_permission.h"
#include "voice_shape.h"


/* A member, be it of the directory or made from what a token has said. */
typedef struct {
    const voice_dir_member_t   *member;
    voice_dir_member_t          made;
    char                        name[VOICE_TOKEN_NAME_MAX + 1];
} ngx_http_voice_member_t;


/*
 * Told of each guild that has become another one: old or guild is NULL if
 * there was, or is, none.
 */
typedef void (*ngx_http_voice_guild_changed_pt)(uint64_t guild_id,
    const voice_dir_guild_t *old, const voice_dir_guild_t *guild);


ngx_int_t ngx_http_voice_guild_init_process(ngx_cycle_t *cycle,
    ngx_http_voice_guild_changed_pt changed);

/* True if this worker can serve gateways and the API. */
ngx_uint_t ngx_http_voice_guild_ready(void);

/*
 * True if workers of another configuration have taken over, whose directory
 * this one doesn't know.
 */
ngx_uint_t ngx_http_voice_guild_outdated(void);

/* Takes over what has changed since; the functions below don't. */
void ngx_http_voice_guild_sync(ngx_log_t *log);

const voice_dir_guild_t *ngx_http_voice_guild_get(uint64_t guild_id);
const voice_dir_channel_t *ngx_http_voice_guild_channel(uint64_t channel_id,
    const voice_dir_guild_t **guild);

/* guild may be NULL: then nobody is known in it */
void ngx_http_voice_guild_member(const voice_dir_guild_t *guild,
    uint64_t user_id, ngx_http_voice_member_t *m);

/* What a user's token says of it, for those that see it. */
void ngx_http_voice_guild_name(uint64_t user_id, const char *name,
    ngx_uint_t bot);

/*
 * Replaces a guild by a text that voice_dir_guild_encode() made, or takes it
 * away (NULL), for all workers, and lets its voice states follow.  before:
 * of ngx_http_voice_guild_change(), what the text was made from.
 *
 * NGX_OK, NGX_DECLINED: somebody else has changed it, NGX_ABORT: no room
 */
ngx_int_t ngx_http_voice_guild_put(uint64_t guild_id, const char *text,
    size_t len, uint64_t before, ngx_log_t *log);
uint64_t ngx_http_voice_guild_change(uint64_t guild_id);

/* The same for what another node has put at that revision. */
ngx_int_t ngx_http_voice_guild_merge(uint64_t guild_id, const char *text,
    size_t len, uint64_t revision, ngx_log_t *log);

/*
 * One of another node can't be taken: all are asked for later.  Gives the
 * level to log that at.
 */
ngx_uint_t ngx_http_voice_guild_failed(void);

/* What all nodes have to have the same of; NULL: there are no guilds here. */
voice_store_t *ngx_http_voice_guild_store(void);

/* Whether a guild has a channel that another guild has, too. */
ngx_uint_t ngx_http_voice_guild_conflict(const voice_dir_guild_t *guild,
    size_t *channel);


/* Permissions of a user in a channel; flags: of its voice state there, or 0 */
uint64_t ngx_http_voice_guild_permissions(const voice_dir_guild_t *guild,
    const voice_dir_channel_t *channel, uint64_t user_id, uint32_t flags);

#define ngx_http_voice_may_join(permissions)                                  \
    (((permissions) & (VOICE_PERM_VIEW_CHANNEL | VOICE_PERM_CONNECT))         \
     == (VOICE_PERM_VIEW_CHANNEL | VOICE_PERM_CONNECT))

/* Whether somebody with these permissions comes in suppressed. */
ngx_uint_t ngx_http_voice_guild_suppress(const voice_dir_guild_t *guild,
    const voice_dir_channel_t *channel, uint64_t permissions);

/* Makes the voice states of a guild follow its channels and permissions. */
void ngx_http_voice_guild_enforce(uint64_t guild_id, ngx_log_t *log);

/*
 * The voice states of a guild, for the caller to free (ngx_free); NULL with
 * *n = 0 if there are none or no memory.  In ascending order of users.
 */
voice_state_info_t *ngx_http_voice_guild_states(uint64_t guild_id, size_t *n,
    ngx_log_t *log);

/* info as JSON wants it; it must outlive *state */
void ngx_http_voice_guild_shape(const voice_state_info_t *info,
    voice_shape_state_t *state);


#endif /* _NGX_HTTP_VOICE_GUILD_H_INCLUDED_ */
