/*
 * Copyright (C) ngx-voice contributors
 *
 * The discovery agent of one node: one thread, one loop.
 *
 *   session   the node's lease, its registration, its load reports
 *   watch     the list of all keys and the watch that goes on behind it
 *   relay     the nginx of this node: is it alive, its load, its drain
 *   probe     voice through that nginx and those of other nodes: does it
 *             come out again
 *   suspect   what is said of other nodes whose probes are lost
 *   alarm     a flood of packets: the node takes itself out
 *   evict     the order that takes a node out
 *   join      requests of workers, each assigned by one transaction
 *   ask       nodes that vanished with many others: do they live?
 *   work      what the model wants moved, guilds that nobody uses
 *   drain     the node is to become empty, one after the other
 *   zone      what the model knows, written to the cluster zone
 *
 * Losing etcd stops none of the calls: while the lease can't be confirmed
 * the state is UNSURE, joins to known guilds go on, nothing is decided for
 * others, and new guilds are provisional.
 */


#ifndef _AGENT_H_INCLUDED_
#define _AGENT_H_INCLUDED_


#include "agent_conf.h"
#include "agent_etcd.h"
#include "agent_log.h"
#include "agent_model.h"
#include "agent_zone.h"


#define AGENT_TURN          250        /* ms, the longest sleep */
#define AGENT_KEY_MAX       320        /* prefix, kind and name */

/*
 * etcd has lost what it knew: for so long each server claims its guilds, and
 * nobody else gets them.
 */
#define AGENT_CLAIMS        5000       /* ms */


typedef struct agent_ask_s    agent_ask_t;
typedef struct agent_join_s   agent_join_t;
typedef struct agent_probe_s  agent_probe_t;


/* This node at etcd. */
typedef struct {
    uint64_t    lease;                 /* 0: none */
    uint64_t    asked;                 /* ms, when it was asked for */
    uint64_t    confirmed;             /* ms, when the last good call for it
                                          was sent */
    uint64_t    next_keepalive;
    uint64_t    next_grant;
    uint64_t    register_rev;          /* mod revision of our n/ */
    uint64_t    next_register;
    uint64_t    stranger_since;        /* another machine has our name */
    char       *published;             /* value of our n/ */
    bool        stranger_told;
    bool        granting;
    bool        keeping;               /* a keepalive is under way: only one */
    bool        registering;
    bool        lost;                  /* and not back yet */
    bool        ended;                 /* it was given back */

    uint64_t    cluster;               /* etcd's, of the last list */
    uint64_t    list_revision;
    uint64_t    next_list;
    uint64_t    next_verify;
    bool        listed;
    bool        listing;
    bool        list_anew;             /* not the etcd that we knew */
    uint64_t    claims_until;          /* ms; its guilds are claimed first */
    unsigned    pages;
    unsigned    page;                  /* keys in one of them, at most */
    char       *list_from;
    unsigned    list_failures;

    uint64_t    next_watch;
    uint64_t    watched;               /* ms, when it was confirmed */
    unsigned    watch_failures;
    bool        watching;              /* asked for */
    bool        created;               /* confirmed */

    uint64_t    next_load;
    uint64_t    load_known;            /* revision when it was sent */
    uint64_t    load_put;              /* ms, of the one that has to come back;
                                          0: it has */
    uint64_t    drain_next;
    uint64_t    ending;                /* ms, since when; 0: not */
    bool        load_busy;
    bool        load_awaited;          /* it is the one of load_put */
    bool        drain_busy;
    bool        drain_open;            /* it has been up, without a drain */
    bool        drain_waits;           /* the log knows */
    bool        drained;
    char        drain_key[AGENT_KEY_MAX];  /* the slot that we hold, or may
                                              hold: no answer yet */
} agent_session_t;


/* The nginx of this node. */
typedef struct {
    uint64_t    next;
    uint64_t    sampled;               /* ms of the sums below */
    uint64_t    cpu[VOICE_WORKERS_MAX];
    uint64_t    tx_bytes;
    uint64_t    packets;
    uint64_t    rx_packets;
    double      rx_rate;               /* packets/s, of the last report */
    unsigned    misses;
    bool        alive;
    bool        mute;                  /* probes do not come through */
} agent_relay_t;


/* The order that takes a node out, while it is made. */
typedef struct {
    uint64_t    lease;
    uint64_t    next;                  /* ms, not before that */
    uint64_t    order_rev;             /* of the order that it replaces */
    char       *value;                 /* NULL: none is made */
    char        node[VOICE_CLUSTER_NAME_MAX + 1];
    char        why[128];
    char        by[AGENT_PEERS][VOICE_CLUSTER_NAME_MAX + 1];  /* who still has
                                          to say then that it is lost */
    size_t      n;
} agent_evict_t;


/* What we say of other nodes. */
typedef struct {
    uint64_t    lease;                 /* 0: none */
    uint64_t    next;                  /* ms, of the next call for it */
    uint64_t    next_key;
    uint64_t    next_told;             /* that a node should go and stays */
    bool        lease_busy;
    bool        key_busy;
    char        key[AGENT_KEY_MAX];    /* of the call under way, */
    char        value[16];             /* "": it is deleted */
} agent_suspect_t;


typedef struct {
    agent_conf_t      conf;
    agent_etcd_t     *etcd;
    agent_model_t     model;
    agent_zone_t      zone;
    agent_session_t   session;
    agent_relay_t     relay;
    unsigned          alarms;          /* reports in a row, of a flood */
    agent_evict_t     evict;
    agent_suspect_t   suspect;
    agent_probe_t    *probe;           /* NULL: none */
    agent_ask_t      *ask;
    agent_join_t     *joins;
    unsigned          moves;           /* transactions under way, of each */
    unsigned          empties;
    uint64_t          now;             /* of this turn, see agent_now() */
    uint64_t          next_requests;
    uint64_t          next_empty;
    uint64_t          next_mirror;
    uint64_t          next_stat;
    uint64_t          mirrored;        /* revision in the file */
    uint64_t          swept;           /* list that the zone was checked by */
    uint64_t          moved;           /* guilds so far */
    uint64_t          differences;     /* found by lists */
    uint64_t          next_refusal;    /* to be told */
    unsigned          refusals;        /* since the one told last */
    voice_agent_state_t  state;
} agent_t;


/* x times 0.8 to 1.2: that agents don't do all things at once */
uint64_t agent_spread(uint64_t x);

/* ms until the next try; grows, and is random */
uint64_t agent_backoff(unsigned failures);

/* A key: prefix, kind, name. */
void agent_key(const agent_t *a, char *key, char kind, const char *name);

/* Milliseconds for a call to etcd. */
unsigned agent_timeout(const agent_t *a);

/* The lease is confirmed and the model is up to date: we may decide. */
bool agent_confirmed(const agent_t *a);

/* Nothing from etcd for a while. */
bool agent_etcd_away(const agent_t *a);


void agent_session_tick(agent_t *a);

/* The list and the watch; part of the above. */
void agent_watch_tick(agent_t *a);

void agent_session_lost(agent_t *a, const char *why);

/* The answer to a call of that time is about a lease that we had before. */
bool agent_session_former(const agent_t *a, uint64_t sent);

/* By the endpoints and certificates that are configured now. */
void agent_watch_restart(agent_t *a);

/* etcd's data are others than we know: all is listed again, at once. */
void agent_watch_relist(agent_t *a, const char *why);

/* Our n/ has to say something else. */
void agent_session_publish(agent_t *a);
void agent_session_end(agent_t *a);

/* Puts the value of our n/ together; allocated. */
char *agent_session_value(agent_t *a, const char *state);


void agent_relay_tick(agent_t *a);
void agent_relay_load(agent_t *a, voice_node_load_t *load);

/* Counters begin anew: with another cluster zone. */
void agent_relay_rezone(agent_t *a);

/* "up", "drain", "drained" or "down" */
const char *agent_relay_state(const agent_t *a);


/* A load report was made: is this an attack? */
void agent_alarm_report(agent_t *a);


/*
 * Takes a node out for fleet.alarm_seconds, in place of an order to drain;
 * unless another one has come, or one of the n named does not say any more
 * that it is lost.  Nothing while another order is made, and a second after.
 */
void agent_evict(agent_t *a, const agent_node_t *node, const char *why,
    agent_node_t *const *by, size_t n);
void agent_evict_free(agent_t *a);


/* Says in etcd what our probes say, and draws the conclusions of all. */
void agent_suspect_tick(agent_t *a);


/* Takes what workers asked for; goes on with what is under way. */
void agent_join_tick(agent_t *a);
void agent_join_free(agent_t *a);

/* The cluster zone goes: who waits in it gets no answer. */
void agent_join_unzone(agent_t *a);

/* The guild is ours by what its sessions say: assign it, if it is nobody's. */
void agent_join_claim(agent_t *a, uint64_t guild);


/* Before the model is freed: it has to do with its nodes. */
bool agent_ask_create(agent_t *a);
void agent_ask_tick(agent_t *a);
void agent_ask_free(agent_t *a);


void agent_work_tick(agent_t *a);


void agent_drain_tick(agent_t *a);

/* By nginx or because we end; an order is in the model. */
bool agent_drain_wanted(const agent_t *a);

/* No reason to wait any longer before we end. */
bool agent_drain_done(agent_t *a);


/* Writes what has changed to the cluster zone and wakes workers. */
void agent_work_flush(agent_t *a);


/* The model in a file, for a start without etcd. */
bool agent_mirror_save(agent_t *a);
bool agent_mirror_load(agent_t *a);


#endif /* _AGENT_H_INCLUDED_ */
