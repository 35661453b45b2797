/*
 * Copyright (C) ngx-voice contributors
 *
 * What the agent knows of its region: nodes, their loads, orders, and which
 * node serves which guild.  It is fed with keys of etcd as they come, by a
 * list or by a watch, and with the time; what has changed stands in two
 * lists, and what should be done next is asked for.  It calls nobody.
 *
 * Keys below the prefix; foreign ones are ignored, bad values are counted and
 * leave what was known before:
 *
 *   n/<node>   {"v":1,"e":boot id,"ws":endpoint,"peer":url,"dc":..,"hid":..,
 *              "cap":n,"st":"up"|"drain"|"drained"|"down","rg":region,
 *               "pool":..,"probe":true if it probes and is probed}
 *   l/<node>   {"u":participants,"g":guilds,"c":cpu,"bw":..,"pp":..,"r":rev}
 *   a/<guild>  {"s":node,"e":boot id}
 *   q/<node>   {"m":"drain"|"evict","by":..,"why":..,"after":s}
 *   o/drain/<slot>   a node: it is its turn to drain
 *   x/<node>/<node>  {}: probes of the first one by the second one are lost;
 *                    {"ask":true}: a client of the second one says so
 *   c/hold     {"m":"on"|"off","by":..,"why":..}: nodes that vanish are held,
 *              however few they are, or not held, however many
 *
 * Times are ms of one clock, given by the caller.
 */


#ifndef _AGENT_MODEL_H_INCLUDED_
#define _AGENT_MODEL_H_INCLUDED_


#include "agent_text.h"
#include "voice_assign.h"
#include "voice_cluster.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>


#define AGENT_BATCH            60      /* guilds that move in one transaction */
#define AGENT_RANK_DELAY       400     /* ms, for each node that is before us */
#define AGENT_RANKS            3
#define AGENT_LAST_DELAY       2000    /* then anybody may */
#define AGENT_HOLD             30000   /* ms, by default */
#define AGENT_HOLD_SILENT      2       /* questions without an answer */
#define AGENT_POOL_HUNTED      "q"     /* nodes for guilds that are attacked */
#define AGENT_NEWS             2000    /* beyond the grace: "together" */
#define AGENT_FORGET           600000  /* ms, nodes that nothing refers to */
#define AGENT_SLOT_MAX         56      /* "drain/", a region, a number */
#define AGENT_PEERS            3       /* that a node probes */
#define AGENT_ACCUSATIONS      4096
#define AGENT_ASKED            3000    /* ms between two doubts of clients */


typedef struct agent_node_s   agent_node_t;
typedef struct agent_guild_s  agent_guild_t;
typedef struct agent_model_s  agent_model_t;

typedef struct agent_accusation_s  agent_accusation_t;


typedef enum {
    AGENT_ORDER_NONE = 0,
    AGENT_ORDER_DRAIN,
    AGENT_ORDER_EVICT
} agent_order_t;


typedef enum {
    AGENT_HOLD_AUTO = 0,       /* if many vanish together */
    AGENT_HOLD_ON,
    AGENT_HOLD_OFF
} agent_hold_t;


struct agent_node_s {
    agent_node_t       *next;
    agent_node_t       *dirty_next;
    voice_node_info_t   info;        /* flags: as they follow from all below */
    voice_node_load_t   load;
    char                machine[AGENT_MACHINE_MAX + 1];
    uint64_t            register_rev;    /* mod revision of n/; 0: not there */
    uint64_t            told_rev;    /* of the last put or end of n/ */
    uint64_t            load_rev;
    uint64_t            order_rev;
    uint64_t            vanished;    /* when n/ went, 0: it is there */
    uint64_t            since;       /* when its guilds began to need a move */
    uint64_t            left;        /* when one of them went elsewhere */
    uint64_t            ordered;     /* since when it is to drain */
    uint64_t            evicted;     /* when the order to evict it came */
    uint32_t            order_after; /* s */
    agent_order_t       order;
    char                slot[AGENT_SLOT_MAX];   /* "": it has none */
    bool                registered;
    bool                reborn;      /* some of its guilds have an old boot */
    bool                dead;
    bool                on_hold;     /* vanished: is it dead? */
    bool                asking;      /* it itself, right now */
    bool                answers;     /* it does */
    bool                dirty;
    uint64_t            ask_next;
    uint32_t            silent;      /* questions in a row that it did not
                                        answer */
    uint32_t            seen;        /* of the last list */
    uint32_t            slot_seen;
    uint32_t            order_seen;
    uint32_t            held;        /* by calls under way */
    uint32_t            said;        /* DOWN, DRAIN, DRAINED: of n/ itself */
    uint32_t            pending;     /* guilds assigned since its report */
    uint32_t            inflight;    /* that the caller is assigning now */
    uint32_t            guilds;
    agent_guild_t      *first;
    voice_id_t          id;          /* in the cluster zone; the writer's */
    uint64_t            place;       /* on the ring, see agent_ring.c */
    uint64_t            lost;        /* since when our probes of it are lost,
                                        not those of all; 0: they are not */
    uint64_t            agreed;      /* since when enough others say so */
    uint64_t            asked;       /* when clients of ours doubted it last */
    bool                hurry;       /* it should be probed at once */
};


struct agent_guild_s {
    agent_guild_t      *chain;       /* of the hash */
    agent_guild_t      *next;        /* of the node */
    agent_guild_t     **prev;
    agent_guild_t      *dirty_next;
    agent_node_t       *node;        /* NULL: not assigned (any more) */
    uint64_t            id;
    uint64_t            revision;
    uint64_t            since;       /* when it came to its node */
    uint64_t            busy;        /* until then a transaction runs */
    uint64_t            checked;     /* when a client's doubt was looked at */
    uint64_t            evicted;     /* when it left an evicted node last */
    uint32_t            evictions;   /* up to then, see agent_attack.c */
    char                boot[VOICE_CLUSTER_BOOT_MAX + 1];
    uint32_t            seen;
    uint32_t            people;      /* of ours, while we drain */
    bool                unused;      /* all of them have left */
    bool                provisional;
    bool                orphan;
    bool                dirty;
};


struct agent_model_s {
    char                prefix[256];
    char                self[VOICE_CLUSTER_NAME_MAX + 1];
    char                region[VOICE_CLUSTER_NAME_MAX + 1];
    uint32_t            grace;       /* ms */
    uint32_t            hold;        /* ms that nobody is taken for dead if
                                        many vanish together */
    uint32_t            drain_after; /* s, of a node that drains by itself */
    uint32_t            drain_rate;  /* guilds/s */
    bool                drain_slot;  /* it is our turn to move guilds away */
    bool                drain_now;   /* and time, whatever was ordered */

    agent_node_t       *nodes;
    size_t              node_count;
    agent_node_t       *gone;        /* that have left, see below */
    agent_guild_t     **hash;
    size_t              buckets;
    size_t              guilds;
    agent_node_t       *dirty_nodes;
    agent_guild_t      *dirty_guilds;
    agent_accusation_t *accusations;
    size_t              accused;

    uint64_t            revision;    /* all up to it is known */
    uint32_t            list;        /* number of the list under way */
    uint64_t            list_revision;
    bool                list_anew;   /* it may be of a former time */
    bool                listing;     /* a key of it is being put */
    bool                holding;     /* too many vanished at once */
    uint64_t            hold_since;
    agent_hold_t        hold_order;
    uint64_t            hold_rev;
    uint32_t            hold_seen;   /* of the last list */
    uint64_t            drained;     /* when the last guild of a drain moved */
    uint64_t            drain_busy;  /* until then its transaction runs */
    uint64_t            bad_values;
    const char         *refused;     /* why the last one of them is bad */
    uint64_t            random;
};


/* x/<node>/<by> */
struct agent_accusation_s {
    agent_accusation_t  *next;
    uint64_t             revision;
    uint32_t             seen;
    bool                 ask;
    char                 node[VOICE_CLUSTER_NAME_MAX + 1];
    char                 by[VOICE_CLUSTER_NAME_MAX + 1];
};


/* Guilds that should go from one node to another. */
typedef struct {
    agent_node_t       *from;
    agent_node_t       *to;
    uint64_t            guild[AGENT_BATCH];
    uint64_t            revision[AGENT_BATCH];   /* guard: of a/guild */
    size_t              n;
    bool                from_gone;   /* guard: n/from is not there; else:
                                        q/from is there if it is to go by an
                                        order, or n/from is as we know it */
} agent_move_t;


bool agent_model_init(agent_model_t *m, const char *prefix, const char *self,
    const char *region);
void agent_model_free(agent_model_t *m);


/* A key that is there.  False: not ours, or its value is bad. */
bool agent_model_put(agent_model_t *m, const char *key, const char *value,
    uint64_t mod_revision, uint64_t now);

/* A key that was deleted. */
void agent_model_delete(agent_model_t *m, const char *key, uint64_t revision,
    uint64_t now);

/*
 * A full list: its keys are put by agent_model_list_put(), page by page; what
 * was known and did not come is deleted at the end, as if it were told.  Gives
 * the number of those.  What is known of a later time than the list's stays,
 * unless etcd's data are others than before: anew, or the revision has gone
 * back.  A list that is never ended has done no harm.
 */
void agent_model_list_begin(agent_model_t *m, uint64_t revision, bool anew);
bool agent_model_list_put(agent_model_t *m, const char *key,
    const char *value, uint64_t mod_revision, uint64_t now);
size_t agent_model_list_end(agent_model_t *m, uint64_t now);

/* An assignment made without etcd. */
void agent_model_provisional(agent_model_t *m, uint64_t guild,
    agent_node_t *node, uint64_t now);


agent_node_t *agent_model_node(agent_model_t *m, const char *name);
agent_node_t *agent_model_self(agent_model_t *m);
agent_guild_t *agent_model_guild(agent_model_t *m, uint64_t id);

/* Up, and no order says otherwise: takes new guilds. */
bool agent_node_open(const agent_node_t *node);

/* The same, and nobody suspects it: others are taken only if there is none. */
bool agent_node_trusted(const agent_node_t *node);

/* Its guilds have to go, or it has lost their sessions. */
bool agent_node_failed(const agent_node_t *node);

/* It is to drain, whether it is its turn or not. */
bool agent_node_drains(const agent_node_t *node);

/*
 * A node for a guild, 0: for any of the common pool.  region "": ours;
 * except: not this one, or NULL.  Errors as voice_assign_choose().
 */
voice_err_t agent_model_choose(agent_model_t *m, uint64_t guild,
    const char *region, const agent_node_t *except, uint64_t now,
    agent_node_t **node);

/* Without loads and chance: all who know the same nodes take the same one. */
agent_node_t *agent_model_rendezvous(agent_model_t *m, uint64_t guild,
    const char *region, uint64_t now);

/*
 * Whether the node may be evicted by automation: somebody of its region is
 * left, and not too much of the region's capacity goes in a minute.
 */
bool agent_model_evictable(agent_model_t *m, const agent_node_t *node,
    uint64_t now);


/* Whom this node probes, the nearest one first; gives how many. */
size_t agent_model_peers(agent_model_t *m, const agent_node_t *node,
    agent_node_t *list[AGENT_PEERS]);

/*
 * Of those who probe this node the ones who say that it is lost, the nearest
 * one first; gives how many.  probers: how many there are of the former.
 */
size_t agent_model_accusers(agent_model_t *m, const agent_node_t *node,
    agent_node_t *list[AGENT_PEERS], size_t *probers);

/* What x/node/by says; NULL: nothing. */
agent_accusation_t *agent_model_accusation(agent_model_t *m,
    const char *node, const char *by);

/*
 * Whether nobody reaches the node, although it is alive: two at least, and
 * more than half of those who probe it, say so; its reports come; and it is
 * not one of many that are suspected at the same time, which is no fault of
 * theirs.
 */
bool agent_model_unreached(agent_model_t *m, const agent_node_t *node);

/*
 * A client says that the node is lost: whoever probes it does so at once, if
 * nobody has asked for that within seconds.
 */
void agent_model_doubt(agent_model_t *m, agent_node_t *node, uint64_t now);

/* Suspicions begin and end by what becomes of those who have them, too. */
void agent_model_suspects(agent_model_t *m, uint64_t now);


/* How many of those who live come before us; AGENT_RANKS: so many or more. */
unsigned agent_model_rank(agent_model_t *m, uint64_t guild);

/*
 * Time goes by: nodes that vanished die after the grace.  If too many did at
 * once they are held: nobody dies for a while, and then only those who do not
 * answer when they are asked themselves.
 */
void agent_model_tick(agent_model_t *m, uint64_t now);

/* The next one that is to be asked; NULL: none now. */
agent_node_t *agent_model_ask(agent_model_t *m, uint64_t now);

/* What came of it; true: that is news. */
bool agent_model_asked(agent_node_t *node, bool answered);

/*
 * What to move now, if it is upon us: rank by rendezvous among the nodes that
 * live, so that one acts at once and others only if it does not.  The guilds
 * given are busy until agent_model_moved(), or a while.
 */
bool agent_model_plan(agent_model_t *m, uint64_t now, agent_move_t *move);
void agent_model_moved(agent_model_t *m, agent_move_t *move);


/* The next one whose change was not taken yet; NULL: none. */
agent_node_t *agent_model_dirty_node(agent_model_t *m);
agent_guild_t *agent_model_dirty_guild(agent_model_t *m);

/* Everything counts as changed. */
void agent_model_touch(agent_model_t *m);

/* A node that is known to the cluster zone, by an agent before us. */
bool agent_model_adopt(agent_model_t *m, const voice_node_info_t *info,
    uint64_t now);

/*
 * Nodes that have been gone for AGENT_FORGET, with no guild, order, slot or
 * call that refers to them, leave the model.  Each is given once, to be taken
 * out of the cluster zone, after the guilds that have changed; the caller
 * frees it.
 */
void agent_model_reap(agent_model_t *m, uint64_t now);
agent_node_t *agent_model_gone(agent_model_t *m);

/*
 * Frees a guild that is not assigned any more and was taken as dirty, unless
 * it was evicted lately: a list forgets that.
 */
void agent_model_forget(agent_model_t *m, agent_guild_t *guild);


#endif /* _AGENT_MODEL_H_INCLUDED_ */
