/*
 * Copyright (C) ngx-voice contributors
 *
 * Where a guild is served.  Alone: here.  In a cluster: where the cluster
 * zone says; what it does not know yet is asked for, and whoever needs it
 * waits.
 */


#ifndef _NGX_HTTP_VOICE_CLUSTER_H_INCLUDED_
#define _NGX_HTTP_VOICE_CLUSTER_H_INCLUDED_


#include "ngx_http_voice_guild.h"


/* The server of a guild, and what a token for it says. */
typedef struct {
    char         node[65];
    char         boot[NGX_VOICE_BOOT_LEN + 1];
    char         gateway[33];          /* this node's name; "": alone */
    char         endpoint[VOICE_CLUSTER_ENDPOINT_MAX + 1];  /* "": as the
                                          request says */
    uint64_t     rev;                  /* 0: alone */
    uint64_t     key;                  /* see voice_state_server(); 0: alone */
    ngx_uint_t   away;                 /* it was taken away, and there is no
                                          other one yet */
} ngx_http_voice_place_t;


/* NGX_DECLINED: none is known; ask for one, and wait. */
ngx_int_t ngx_http_voice_place(const voice_zone_t *z, uint64_t guild_id,
    ngx_http_voice_place_t *place);

/* What the place says, into a token. */
void ngx_http_voice_place_token(const ngx_http_voice_place_t *place,
    voice_token_t *token);


typedef struct ngx_http_voice_wait_s  ngx_http_voice_wait_t;

/* why: NULL if the place is known now, or a text that says why it isn't */
typedef void (*ngx_http_voice_wait_pt)(ngx_http_voice_wait_t *w,
    const char *why);

/* Somebody who waits.  The memory is the caller's. */
struct ngx_http_voice_wait_s {
    ngx_queue_t              queue;
    ngx_event_t              timer;
    ngx_http_voice_wait_pt   handler;
    void                    *data;
    uint64_t                 guild_id;
    uint64_t                 ticket;
    ngx_log_t               *log;
};

/*
 * Asks for the guild's server.  NGX_OK: the handler will be called, once;
 * NGX_DECLINED: *why says why nothing comes.
 */
ngx_int_t ngx_http_voice_wait_start(ngx_http_voice_wait_t *w,
    uint64_t guild_id, const char **why);
void ngx_http_voice_wait_cancel(ngx_http_voice_wait_t *w);


/* Region and name that a MOVE asks for; both may be empty. */
ngx_int_t ngx_http_voice_cluster_move(uint64_t guild_id, const char *region,
    const char *node, ngx_log_t *log);

/* The region of a guild: that of its channels that say one, or its own. */
const char *ngx_http_voice_cluster_region(const voice_dir_guild_t *guild);

/* A client has lost its voice server. */
void ngx_http_voice_cluster_suspect(uint64_t guild_id, ngx_log_t *log);

/*
 * Checks a token that names a node, boot id and revision.
 *
 * NGX_OK, or NGX_DECLINED: of another node, NGX_ABORT: of before a restart,
 * NGX_BUSY: the guild has moved since
 */
ngx_int_t ngx_http_voice_cluster_admit(voice_zone_t *z,
    const voice_token_t *token);


/* After all that take this worker's slot. */
ngx_int_t ngx_http_voice_cluster_init_process(ngx_cycle_t *cycle);

/* At each wake of this worker: those who wait look again. */
void ngx_http_voice_wait_wake(void);


#endif /* _NGX_HTTP_VOICE_CLUSTER_H_INCLUDED_ */
