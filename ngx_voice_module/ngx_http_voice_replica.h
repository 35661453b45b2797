/*
 * Copyright (C) ngx-voice contributors
 *
 * Guilds that REST has changed, between nodes.  The one where that happened
 * offers them to all others, see voice_peer_message.h; what a node was not
 * told of while it was away is found by comparing digests, and is offered by
 * one of the others.
 */


#ifndef _NGX_HTTP_VOICE_REPLICA_H_INCLUDED_
#define _NGX_HTTP_VOICE_REPLICA_H_INCLUDED_


#include "ngx_voice.h"

#include "voice_peer_message.h"


/* What another node is told. */
typedef struct {
    uint64_t                next;      /* change that was looked at */
    uint64_t                going;     /* the same once this offer is done */
    uint64_t                want;      /* of the offer, still to be sent */
    size_t                  n;
    voice_store_version_t   offer[VOICE_STORE_VERSIONS];
    unsigned                all:1;     /* it has asked for all */
    unsigned                asked:1;   /* the message is an offer */
    unsigned                sent:1;    /* the message is a guild */
} ngx_http_voice_replica_t;


/* What was before is known, or will be missed when nodes compare. */
void ngx_http_voice_replica_init(ngx_http_voice_replica_t *rp);

/*
 * Appends to the message m, or says that there is nothing to be said
 * (NGX_DECLINED).
 */
ngx_int_t ngx_http_voice_replica_say(ngx_http_voice_replica_t *rp,
    const voice_peer_message_t *m, voice_buf_t *b);

/* The answer to any message. */
void ngx_http_voice_replica_answer(ngx_http_voice_replica_t *rp,
    const voice_peer_answer_t *answer);

/* There was no answer. */
void ngx_http_voice_replica_lost(ngx_http_voice_replica_t *rp);

/* Adds what the other node may compare. */
void ngx_http_voice_replica_compare(voice_peer_message_t *m);

/* Takes what another node says. */
void ngx_http_voice_replica_take(const voice_peer_message_t *m,
    const voice_peer_parts_t *parts, voice_peer_answer_t *answer,
    ngx_log_t *log);


#endif /* _NGX_HTTP_VOICE_REPLICA_H_INCLUDED_ */
