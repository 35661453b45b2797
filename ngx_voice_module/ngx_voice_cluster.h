/*
 * Copyright (C) ngx-voice contributors
 *
 * The cluster zone's file, and what this nginx says of itself in it.  See
 * voice_cluster.h for who may do what there.
 */


#ifndef _NGX_VOICE_CLUSTER_H_INCLUDED_
#define _NGX_VOICE_CLUSTER_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_voice_file.h"

#include "voice_cluster.h"
#include "voice_zone.h"


/* The master's mapping; workers inherit it.  Cycles of one path share it. */
typedef struct {
    ngx_voice_file_t   file;
    voice_cluster_t    cluster;
} ngx_voice_cluster_file_t;


/* voice_cluster; path.len 0: not given */
typedef struct {
    ngx_str_t                  path;
    ngx_str_t                  group;      /* empty: that of the folder */
    ngx_uint_t                 guilds;
    ngx_uint_t                 capacity;   /* participants; 0: the zone's */
    ngx_voice_cluster_file_t  *file;
} ngx_voice_cluster_conf_t;


/* Parses the directive's arguments. */
char *ngx_voice_cluster_parse(ngx_conf_t *cf, ngx_voice_cluster_conf_t *vcc);

/* Maps the file, or goes on with the former cycle's mapping. */
ngx_int_t ngx_voice_cluster_open(ngx_cycle_t *cycle,
    ngx_voice_cluster_conf_t *vcc, ngx_voice_cluster_conf_t *old);

/* In a worker that has taken its slot: name is that of its wake socket. */
void ngx_voice_cluster_worker_init(ngx_cycle_t *cycle,
    ngx_voice_cluster_conf_t *vcc, voice_zone_t *z, ngx_uint_t slot,
    const char *name);
void ngx_voice_cluster_worker_exit(void);


#endif /* _NGX_VOICE_CLUSTER_H_INCLUDED_ */
