/*
 * Copyright (C) ngx-voice contributors
 *
 * The core module: owns the zone's mapping, this worker's slot in it, and
 * the sockets by which workers wake each other.  The HTTP and the stream
 * module see each other only through what is declared here.
 */


#ifndef _NGX_VOICE_H_INCLUDED_
#define _NGX_VOICE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "voice_cluster.h"
#include "voice_session.h"


/*
 * Called in a worker after somebody left work for it in the zone, or it did
 * so itself; never from within ngx_voice_wake().
 */
typedef void (*ngx_voice_wake_pt)(ngx_log_t *log);


/* The zone of this cycle, or NULL if there is no voice_zone directive. */
voice_zone_t *ngx_voice_zone(ngx_cycle_t *cycle);

/*
 * False where nginx only reads its configuration, by -t or to send a signal
 * by -s: files that a running nginx uses are left alone then.
 */
ngx_uint_t ngx_voice_serves(void);

/* True if the directive was given: to be asked once all has been parsed. */
ngx_uint_t ngx_voice_zone_configured(ngx_cycle_t *cycle);
ngx_uint_t ngx_voice_cluster_configured(ngx_cycle_t *cycle);

/* Path of the zone's file, NUL-terminated; once all has been parsed. */
ngx_str_t *ngx_voice_zone_path(ngx_cycle_t *cycle);

/*
 * In init_process of a worker: takes the worker's slot in the zone, if that
 * was not done yet, and has the handler called at each wake of this worker.
 */
ngx_int_t ngx_voice_wake_handler(ngx_cycle_t *cycle,
    ngx_voice_wake_pt handler);

/*
 * Sends the wakes that the last calls into the zone have left in z->wake.
 * To be called after every function of voice_session.h and voice_outbox.h
 * that may leave some.
 */
void ngx_voice_wake(voice_zone_t *z, ngx_log_t *log);

/* The zone's boot id as tokens and the status have it, NUL-terminated. */
#define NGX_VOICE_BOOT_LEN   36

void ngx_voice_boot(const voice_zone_t *z, char boot[NGX_VOICE_BOOT_LEN + 1]);

/* How long a session without websocket stays resumable, ms. */
ngx_msec_t ngx_voice_resume_window(ngx_cycle_t *cycle);

/*
 * Sets a time as ngx_conf_set_msec_slot() does, post handler included, and
 * says what was expected where the value is none.
 */
char *ngx_voice_conf_set_msec(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);


/* In a worker: the cluster zone, or NULL without a voice_cluster directive. */
voice_cluster_t *ngx_voice_cluster(void);

/* This worker's slot there. */
ngx_uint_t ngx_voice_cluster_slot(void);

/*
 * Whether this worker is the one that does what is to be done once: of those
 * that aren't about to exit the one in the lowest slot.
 */
ngx_uint_t ngx_voice_cluster_first(void);

/* After a request: has the agent look at it. */
void ngx_voice_cluster_wake(void);

/* The zone's boot id as the cluster zone has it. */
void ngx_voice_cluster_boot(const voice_zone_t *z,
    char boot[VOICE_CLUSTER_BOOT_MAX + 1]);

/* A worker has died. */
void ngx_voice_cluster_worker_lost(ngx_uint_t slot);

/* CLOCK_MONOTONIC, as the zone wants it */
#define ngx_voice_now()   ((uint64_t) ngx_current_msec)


extern ngx_module_t  ngx_voice_module;


#endif /* _NGX_VOICE_H_INCLUDED_ */
