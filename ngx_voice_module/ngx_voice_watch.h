/*
 * Copyright (C) ngx-voice contributors
 *
 * Workers watch each other: the kernel says at once when one has died, and
 * nobody has to look from time to time.
 */


#ifndef _NGX_VOICE_WATCH_H_INCLUDED_
#define _NGX_VOICE_WATCH_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/* Called after the end of a process that was watched. */
typedef void (*ngx_voice_watch_pt)(ngx_log_t *log);


ngx_int_t ngx_voice_watch_init(ngx_cycle_t *cycle, ngx_voice_watch_pt handler);

/*
 * Watches a process as the owner of a slot, instead of a former one.  Only
 * the slot's lock says whether it was alive: look at that afterwards.
 *
 * NGX_DECLINED  the system can't watch it, or it is gone
 */
ngx_int_t ngx_voice_watch(ngx_uint_t slot, ngx_pid_t pid, ngx_log_t *log);


#endif /* _NGX_VOICE_WATCH_H_INCLUDED_ */
