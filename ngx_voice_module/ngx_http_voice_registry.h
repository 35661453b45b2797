/*
 * Copyright (C) ngx-voice contributors
 *
 * This worker's voice websockets by their session, and what is done when the
 * worker is woken for them.
 */


#ifndef _NGX_HTTP_VOICE_REGISTRY_H_INCLUDED_
#define _NGX_HTTP_VOICE_REGISTRY_H_INCLUDED_


#include "ngx_http_voice_signal.h"


ngx_int_t ngx_http_voice_registry_init_process(ngx_cycle_t *cycle);

/* False: this worker can't take voice clients. */
ngx_uint_t ngx_http_voice_registry_ready(void);

/* By sg->id, which is not 0. */
void ngx_http_voice_registry_add(ngx_http_voice_signal_t *sg);
void ngx_http_voice_registry_remove(ngx_http_voice_signal_t *sg);

/* The websocket of a session, or NULL if it is not this worker's. */
ngx_http_voice_signal_t *ngx_http_voice_registry_find(voice_id_t id);

/* To be called when something was said to a room. */
void ngx_http_voice_registry_told(void);

/*
 * Drains the outboxes if much was said.  Many clients that come, go or speak
 * in one round of the event loop must not overflow the outboxes of others
 * that are not slow at all.
 *
 * sg      the websocket whose handler is at work: it is not flushed
 * ending  it is about to end: nothing is sent to it
 */
void ngx_http_voice_registry_relieve(ngx_http_voice_signal_t *sg,
    ngx_uint_t ending);


#endif /* _NGX_HTTP_VOICE_REGISTRY_H_INCLUDED_ */
