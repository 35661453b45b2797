/*
 * Copyright (C) ngx-voice contributors
 *
 * voicectl cluster: what reads the cluster zone, and what speaks to etcd.
 */


#ifndef _VC_CLUSTER_H_INCLUDED_
#define _VC_CLUSTER_H_INCLUDED_


#include "agent_conf.h"

#include <stdbool.h>
#include <stdint.h>


typedef struct {
    const char    *what;           /* "nodes", "evict", ... */
    const char    *node;           /* NULL: none given */
    const char    *mode;           /* of hold */
    const char    *why;
    uint64_t       guild;          /* 0: none given */
    uint64_t       length;         /* ms, of an order; 0: until it is taken
                                      back */
    uint64_t       after;          /* ms until guilds move */
    uint32_t       count;          /* of changes to watch; 0: no end */
    bool           wait;           /* until the node has drained */
    bool           json;
    agent_conf_t   conf;
} vc_cluster_t;


/* Each gives the exit code. */
int vc_cluster_nodes(const vc_cluster_t *cl);
int vc_cluster_guilds(const vc_cluster_t *cl);
int vc_cluster_watch(const vc_cluster_t *cl);

/* Until the node has drained. */
int vc_cluster_wait(const vc_cluster_t *cl);

int vc_cluster_orders(const vc_cluster_t *cl);
int vc_cluster_order(const vc_cluster_t *cl);
int vc_cluster_allow(const vc_cluster_t *cl);
int vc_cluster_move(const vc_cluster_t *cl);
int vc_cluster_hold(const vc_cluster_t *cl);


#endif /* _VC_CLUSTER_H_INCLUDED_ */
