/*
 * Copyright (C) ngx-voice contributors
 *
 * The cluster zone: what several nodes know of each other, in a mapping that
 * one node's nginx and its discovery agent share.  It holds no key and no
 * token, so the process that talks to the network sees no call's secrets.
 *
 *   the agent writes    its own block (etcd's health), nodes and their loads,
 *                       assignments of guilds, the list of changes
 *   nginx writes        the relay's block and the workers' (load, names of
 *                       wake sockets), requests, stamps of guilds in use
 *
 * Nobody takes a lock and nobody waits.  A record of several words has two
 * copies of its value: the one that is not in use is written, then one store
 * to the record's version switches over.  A reader copies and looks whether
 * the version is still the same.  So either side may be killed or stopped at
 * any instruction: what the other one reads is the old value or the new one,
 * and calls and joins to known guilds go on for as long as the mapping is
 * there.  Each side takes every index that it reads for untrusted.
 *
 * One node alone has no such zone; then nothing in here is called.
 *
 * This file is for both sides; what only the agent may call is declared in
 * voice_cluster_write.h.  Who maps the memory, and where, is the caller's
 * business:
 *
 *   - nginx's master, which starts as root, and the agent, which is another
 *     user of the same group, open the same file, mode 0660, of the group of
 *     the folder it is in.  Workers inherit the mapping.
 *   - Whoever comes first makes it: complete under another name, then link()
 *     to the real one, which fails if the other side was faster.
 *   - voice_cluster_attach() refuses another layout.  nginx then replaces the
 *     file by an empty one (rename()) and says so at WARN.  The agent never
 *     replaces a file; it looks once a second whether it still has the one
 *     that stands under the name.
 *
 * Times are milliseconds of CLOCK_MONOTONIC (ngx_voice_now()), given by the
 * caller.
 */


#ifndef _VOICE_CLUSTER_H_INCLUDED_
#define _VOICE_CLUSTER_H_INCLUDED_


#include "voice_err.h"
#include "voice_zone.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>


#define VOICE_CLUSTER_MAGIC          0x726574736C43786Eull    /* "nxClster" */
#define VOICE_CLUSTER_LAYOUT         2

#define VOICE_CLUSTER_GUILDS_MIN     64
#define VOICE_CLUSTER_GUILDS_MAX     (1u << 22)
#define VOICE_CLUSTER_GUILDS         (1u << 18)    /* default */
#define VOICE_CLUSTER_NODES          4096
#define VOICE_CLUSTER_REQUESTS       1024
#define VOICE_CLUSTER_CHANGES        4096          /* a power of two */

#define VOICE_CLUSTER_NAME_MAX       32            /* of nodes, regions, dcs */
#define VOICE_CLUSTER_ENDPOINT_MAX   255
#define VOICE_CLUSTER_URL_MAX        255
#define VOICE_CLUSTER_BOOT_MAX       32            /* hex digits */

/*
 * A worker gives up on a request that has no answer after so long; the agent
 * answers before that, with a refusal if it knows nothing better.
 */
#define VOICE_CLUSTER_DEADLINE       3000

/* An agent that did not stamp its block for so long is away. */
#define VOICE_CLUSTER_AGENT_AWAY     3000

/* nginx stamps guilds in use at least this often, see voice_cluster_used(). */
#define VOICE_CLUSTER_USED_PERIOD    15000

/* As far as the people of a guild are counted. */
#define VOICE_CLUSTER_PEOPLE_MAX     0xFFFFu

/* Not in use for so long: the agent gives the guild back. */
#define VOICE_CLUSTER_EMPTY          60000


typedef enum {
    VOICE_AGENT_NONE = 0,      /* there was no agent since the zone was made */
    VOICE_AGENT_STARTING,      /* not registered yet, or again */
    VOICE_AGENT_UP,
    VOICE_AGENT_UNSURE,        /* etcd does not answer: what is known goes on,
                                  new guilds are provisional */
    VOICE_AGENT_LOST           /* etcd says that this node is gone */
} voice_agent_state_t;


/* Flags of a node. */
#define VOICE_NODE_UP          0x01u   /* registered, its lease is alive */
#define VOICE_NODE_DOWN        0x02u   /* says so itself: its relay is dead */
#define VOICE_NODE_DRAIN       0x04u   /* no new guilds; those there move */
#define VOICE_NODE_EVICT       0x08u   /* no guilds at all: attacked */
#define VOICE_NODE_SUSPECT     0x10u   /* probes of it are lost: no new guilds,
                                          if there is another node */
#define VOICE_NODE_WAIT        0x20u   /* is to drain once it is its turn;
                                          until then it is up */
#define VOICE_NODE_DRAINED     0x40u   /* it has drained: nobody is there */
#define VOICE_NODE_PROBES      0x80u   /* its agent probes, and is probed */
#define VOICE_NODE_HELD        0x100u  /* vanished with many others: not UP,
                                          nor taken for dead */


/* What a node says about itself, and what is said about it. */
typedef struct {
    uint32_t    generation;    /* of the slot; never 0 while it is in use */
    uint32_t    flags;
    uint32_t    capacity;      /* participants */
    uint32_t    reserved;
    uint64_t    revision;      /* of its registration in etcd */
    char        name[VOICE_CLUSTER_NAME_MAX + 1];      /* "": slot is free */
    char        region[VOICE_CLUSTER_NAME_MAX + 1];
    char        dc[VOICE_CLUSTER_NAME_MAX + 1];
    char        pool[VOICE_CLUSTER_NAME_MAX + 1];      /* "": the common one */
    char        boot[VOICE_CLUSTER_BOOT_MAX + 1];      /* its zone's boot id */
    char        endpoint[VOICE_CLUSTER_ENDPOINT_MAX + 1];  /* host[:port], as
                                                VOICE_SERVER_UPDATE says it */
    char        peer[VOICE_CLUSTER_URL_MAX + 1];       /* URL of voice_peer;
                                                          "": none */
} voice_node_info_t;


/* Load of a node; permille of its capacity where nothing else is said. */
typedef struct {
    uint64_t   at;             /* ms, when the report came; 0: none yet */
    uint64_t   applied;        /* highest revision of an assignment in it */
    uint32_t   participants;
    uint32_t   guilds;
    uint16_t   cpu;
    uint16_t   bandwidth;
    uint16_t   packets;
    uint16_t   used;           /* the highest of all, as assignments see it */
} voice_node_load_t;


/* What workers read: a version, two copies, see above. */
typedef struct {
    _Atomic uint32_t    info_version;
    _Atomic uint32_t    load_version;
    voice_node_info_t   info[2];
    voice_node_load_t   load[2];
} voice_cluster_node_t;


/* Flags of an assignment. */
#define VOICE_ASSIGNED_PROVISIONAL   0x1u   /* etcd was away: may move */
#define VOICE_ASSIGNED_ORPHAN        0x2u   /* its server is gone and there is
                                               no other one yet: clients get
                                               "endpoint": null */

typedef struct {
    uint64_t     guild;
    voice_id_t   node;         /* index and generation of the node's slot */
    uint64_t     revision;     /* fencing token: grows with each assignment */
    uint32_t     flags;
    uint32_t     reserved;
} voice_assignment_t;


typedef struct {
    _Atomic uint32_t     version;
    _Atomic uint32_t     people;   /* of the last look at all, << 16, and of
                                      the one that goes on */
    _Atomic uint64_t     used;     /* ms; both written by nginx of that node */
    voice_assignment_t   value[2];
} voice_cluster_guild_t;


typedef enum {
    VOICE_CHANGE_GUILD = 1,    /* assigned, moved, orphan, given back */
    VOICE_CHANGE_NODE          /* another state, endpoint or boot id; gone */
} voice_change_type_t;

typedef struct {
    uint64_t     number;       /* from 1 */
    uint64_t     guild;        /* of GUILD, else 0 */
    voice_id_t   node;         /* of NODE, else 0 */
    uint32_t     type;         /* voice_change_type_t */
    uint32_t     reserved;
} voice_cluster_change_t;


typedef enum {
    VOICE_REQUEST_JOIN = 1,    /* somebody wants to join: assign the guild,
                                  or confirm that its node is alive */
    VOICE_REQUEST_CLAIM,       /* it is in use here and not known as ours:
                                  make it so unless it is somebody else's */
    VOICE_REQUEST_MOVE,        /* to a node of that region, or to that node */
    VOICE_REQUEST_SUSPECT      /* a client says the guild's server is dead
                                  (gateway op 5) */
} voice_request_kind_t;

typedef struct {
    uint64_t     guild;
    uint32_t     kind;         /* voice_request_kind_t */
    uint32_t     participants; /* that are about to come; 0: unknown */
    char         region[VOICE_CLUSTER_NAME_MAX + 1];  /* of the guild; "": ours.
                                  Of MOVE: where to */
    char         node[VOICE_CLUSTER_NAME_MAX + 1];    /* of MOVE: "": any */
} voice_cluster_request_t;


/*
 * A slot for a request.  state, one word, says all about it: serial << 16 |
 * worker << 8 | what; who dies in the middle leaves one slot unused until
 * voice_cluster_worker_gone() is called for it.
 */
typedef struct {
    _Atomic uint64_t          state;
    uint64_t                  at;      /* ms */
    voice_cluster_request_t   request;
} voice_cluster_slot_t;


/* A worker as the agent knows it.  Counters only grow, also over workers. */
typedef struct {
    _Atomic uint32_t   pid;          /* 0: none */
    uint32_t           reserved;
    _Atomic uint64_t   seen;         /* ms; each 250 ms, by a timer */
    _Atomic uint64_t   cpu;          /* us of processor time */
    _Atomic uint64_t   rx_packets;
    _Atomic uint64_t   rx_bytes;
    _Atomic uint64_t   tx_packets;
    _Atomic uint64_t   tx_bytes;
    char               name[VOICE_WORKER_NAME_MAX];   /* wake socket */
} voice_cluster_worker_t;


/* What nginx says of itself: any worker may, all say the same. */
typedef struct {
    char               boot[VOICE_CLUSTER_BOOT_MAX + 1];  /* of the zone */
    char               udp[72];        /* ip:port of the relay; "": unknown */
    _Atomic uint32_t   ready;          /* the two above are there */
    _Atomic uint32_t   draining;       /* by voice_drain: 1; 2: its deadline
                                          is over */
    _Atomic uint32_t   sessions;       /* participants now */
    _Atomic uint32_t   capacity;       /* of the zone */
    _Atomic uint32_t   guilds;
} voice_cluster_relay_t;


/* What the agent says of itself. */
typedef struct {
    _Atomic uint32_t     pid;
    _Atomic uint32_t     state;        /* voice_agent_state_t */
    _Atomic uint32_t     etcd;         /* 1: etcd answers */
    _Atomic uint32_t     nodes_up;
    _Atomic uint64_t     seen;         /* ms; each 250 ms */
    _Atomic uint64_t     self;         /* voice_id_t of this node; 0: not yet */
    _Atomic uint64_t     revision;     /* of etcd, that all here is of */
    _Atomic uint64_t     refused;      /* assignments without room here */
    _Atomic uint64_t     bad_values;   /* in etcd, ignored; of this agent */
    _Atomic uint64_t     starts;       /* agents so far */
    char                 name[VOICE_WORKER_NAME_MAX];  /* its wake socket,
                                          abstract; good while pid is not 0 */
} voice_cluster_agent_t;


typedef struct {
    uint64_t                magic;
    uint32_t                layout;
    uint32_t                record_size;   /* of all records together */
    uint64_t                size;          /* bytes of the whole zone */
    uint32_t                guilds;        /* capacity */
    uint32_t                index_mask;    /* buckets of one index - 1 */
    uint64_t                salt;          /* of the hash of guilds */

    _Atomic uint32_t        index_version; /* bit 0: the index in use */
    _Atomic uint32_t        guilds_end;    /* records never used from here on */
    _Atomic uint32_t        guilds_used;
    _Atomic uint32_t        nodes_end;
    _Atomic uint64_t        change_next;   /* number of the next change */

    _Alignas(64) voice_cluster_agent_t    agent;
    _Alignas(64) voice_cluster_relay_t    relay;
    _Alignas(64) voice_cluster_worker_t   worker[VOICE_WORKERS_MAX];
    voice_cluster_change_t  change[VOICE_CLUSTER_CHANGES];
    voice_cluster_slot_t    request[VOICE_CLUSTER_REQUESTS];
    voice_cluster_node_t    node[VOICE_CLUSTER_NODES];
} voice_cluster_header_t;


/* A process's view of the zone. */
typedef struct {
    voice_cluster_header_t  *header;
    voice_cluster_guild_t   *guild;
    _Atomic uint32_t        *index[2];
    uint32_t                 guilds;       /* checked copies of the header's */
    uint32_t                 index_mask;
    uint64_t                 salt;
    uint32_t                 hint;         /* where to look for a free slot */
} voice_cluster_t;


/* Bytes of a cluster zone for so many guilds. */
size_t voice_cluster_size(uint32_t guilds);

/*
 * Makes an empty cluster zone of mem, which is size = voice_cluster_size()
 * zero bytes, page aligned, and attaches to it.  salt: random.
 *
 * VOICE_E_RANGE   guilds is no power of two within its bounds
 * VOICE_E_LENGTH  size is not that of so many guilds
 */
voice_err_t voice_cluster_format(voice_cluster_t *c, void *mem, size_t size,
    uint32_t guilds, uint64_t salt);

/*
 * Attaches to an existing one; its capacity is what its maker chose.
 *
 * VOICE_E_FORMAT  no cluster zone (magic), or another layout version
 * VOICE_E_LENGTH  size doesn't agree with what the header says
 */
voice_err_t voice_cluster_attach(voice_cluster_t *c, void *mem, size_t size);


/*
 * Where a guild is served.  A look-up: some 20 ns, no lock, bounded.
 *
 * VOICE_E_NOT_FOUND  not assigned: ask for it with voice_cluster_request()
 * VOICE_AGAIN        the agent was writing each time we looked; try again
 *                    (it takes a writer that is as fast as the reader)
 *
 * An answer for a node whose slot is free or another node's by now comes with
 * VOICE_ASSIGNED_ORPHAN.
 */
voice_err_t voice_cluster_find(const voice_cluster_t *c, uint64_t guild,
    voice_assignment_t *a);

/*
 * A node by its id; load may be NULL.
 *
 * VOICE_E_STALE  no such node any more
 * VOICE_AGAIN    as above
 */
voice_err_t voice_cluster_node(const voice_cluster_t *c, voice_id_t id,
    voice_node_info_t *info, voice_node_load_t *load);

/* By its name; VOICE_E_NOT_FOUND. */
voice_err_t voice_cluster_node_named(const voice_cluster_t *c,
    const char *name, voice_id_t *id, voice_node_info_t *info);

/*
 * One node after the other: *slot, from 0, moves behind the one given.
 * VOICE_E_NOT_FOUND after the last.
 */
voice_err_t voice_cluster_node_next(const voice_cluster_t *c, uint32_t *slot,
    voice_id_t *id, voice_node_info_t *info, voice_node_load_t *load);

/* The same for assignments; order and moment are by chance. */
voice_err_t voice_cluster_guild_next(const voice_cluster_t *c, uint32_t *slot,
    voice_assignment_t *a);

/* This node; 0 if the agent has never said which one it is. */
voice_id_t voice_cluster_self(const voice_cluster_t *c);

/* How many nodes are registered, this one among them. */
uint32_t voice_cluster_nodes_up(const voice_cluster_t *c);

/*
 * The agent's state, VOICE_AGENT_NONE too if it is away.  While it is away or
 * UNSURE, known guilds are served as ever.
 */
voice_agent_state_t voice_cluster_agent(const voice_cluster_t *c,
    uint64_t now);


/*
 * Changes since number *next, which moves on; begin with
 * voice_cluster_changes_next().  A worker that was woken reads them until
 * *n is 0, and for each does what voice_cluster_find() says now: the list
 * tells that something changed, never what it is.
 *
 * VOICE_E_EXPIRED  too far behind, or an agent has started anew: *next is
 *                  that of the next change, look at every guild you have
 *                  members of
 */
voice_err_t voice_cluster_changes(const voice_cluster_t *c, uint64_t *next,
    voice_cluster_change_t *list, size_t max, size_t *n);

uint64_t voice_cluster_changes_next(const voice_cluster_t *c);


/*
 * Asks the agent for something.  Afterwards wake it: one datagram of any byte
 * to the abstract address header->agent.name, without waiting; if that fails
 * the agent finds the request by itself within 250 ms.
 *
 * The worker then waits for a wake of its own socket and looks at
 * voice_cluster_answer(), or at voice_cluster_find() alone; a worker that
 * already waits for a guild need not ask again.  After
 * VOICE_CLUSTER_DEADLINE without answer the join is refused ("no answer from
 * the discovery agent").
 *
 * worker: own slot in the table of workers
 *
 * VOICE_E_STATE  no agent, or it is away: refuse at once
 * VOICE_E_FULL   VOICE_CLUSTER_REQUESTS are being worked on
 * VOICE_E_RANGE  unknown kind, guild 0, or a worker out of range
 */
voice_err_t voice_cluster_request(voice_cluster_t *c, unsigned worker,
    const voice_cluster_request_t *rq, uint64_t now, uint64_t *ticket);

/*
 * VOICE_AGAIN        not answered yet
 * VOICE_OK           done: voice_cluster_find() knows
 * VOICE_E_FULL       no node of the region has capacity: refuse the join
 * VOICE_E_NOT_FOUND  there is no node in that region, or not that node
 * VOICE_E_STATE      etcd is away, and this can't be done without it
 * VOICE_E_NOMEM      the cluster zone is full
 * VOICE_E_EXPIRED    the slot has another request by now: find, or ask again
 */
voice_err_t voice_cluster_answer(const voice_cluster_t *c, uint64_t ticket);


/*
 * By the nginx of the node that serves a guild: it is in use, somebody is in
 * voice or about to be.  To be called when the first one comes, and again at
 * least each VOICE_CLUSTER_USED_PERIOD for as long as one is there; nothing is
 * said when the last one leaves.  So no crash of a worker leaves a guild
 * assigned for ever, and a restarted agent knows at once.
 *
 * people: how many this call stands for; those of calls with the same `now`
 * add up.  0: it is in use, and nobody was counted.
 *
 * VOICE_E_NOT_FOUND  it is not assigned to this node: send a CLAIM; if the
 *                    guild turns out to be another node's, its sessions here
 *                    have to end
 */
voice_err_t voice_cluster_used(voice_cluster_t *c, uint64_t guild,
    unsigned people, uint64_t now);


/*
 * ms when nginx last said that the guild is in use here; 0: never.  people,
 * which may be NULL: how many there were.
 */
voice_err_t voice_cluster_used_at(const voice_cluster_t *c,
    uint64_t guild, uint64_t *at, uint32_t *people);


/*
 * A worker takes its slot, the same as in the table of the zone, or has gone.
 * Requests that the slot's former worker left half written are freed.
 */
void voice_cluster_worker_register(voice_cluster_t *c, unsigned slot,
    uint32_t pid, const char *name, uint64_t now);
void voice_cluster_worker_gone(voice_cluster_t *c, unsigned slot);

/*
 * What the relay is; by the master at start and reload, before workers run.
 * Another boot id means: all sessions are gone.
 *
 * VOICE_E_LENGTH  boot or udp is too long
 */
voice_err_t voice_cluster_relay_set(voice_cluster_t *c, const char *boot,
    const char *udp, uint32_t capacity);


#endif /* _VOICE_CLUSTER_H_INCLUDED_ */
