/*
 * Copyright (C) ngx-voice contributors
 *
 * Voice-like traffic through a relay, this node's own or a peer's: two voice
 * sessions of the agent in a guild that is nobody's.  What one of them sends
 * is received, opened, routed, sealed and sent by nginx as any voice is, and
 * has to come to the other one.  Both stay for as long as the relay is
 * probed, so a probe is two datagrams.
 *
 * It comes back only if the relay can be reached as clients reach it: while a
 * websocket is away nothing is sent, and what is not sent is lost.
 */


#ifndef _AGENT_PATH_H_INCLUDED_
#define _AGENT_PATH_H_INCLUDED_


#include "agent_check.h"
#include "agent_lookup.h"

#include "voice_client.h"
#include "voice_cluster.h"
#include "voice_token.h"

#include <stdbool.h>
#include <stdint.h>


typedef struct agent_path_s  agent_path_t;


/* Who speaks by all paths. */
typedef struct {
    vc_loop_t           *loop;
    voice_token_keys_t   keys;
    uint64_t             user;         /* and the one with another last bit */
    uint64_t             now;          /* ms, of this turn */
    uint32_t             period;       /* ms */
} agent_talker_t;


typedef struct {
    agent_path_t   *path;
    vc_client_t     client;
    uint64_t        user;
    uint64_t        next;              /* ms, of the next try to join */
    bool            used;
    bool            live;
    bool            ended;
} agent_path_end_t;


struct agent_path_s {
    agent_talker_t    *talker;
    vc_server_t        server;
    agent_path_end_t   end[2];         /* who speaks, who hears */
    agent_check_t      check;
    agent_lookup_t    *lookup;         /* of the host's name; NULL: none */
    uint64_t           next_lookup;
    bool               told;           /* that the relay is bad */
    unsigned           failures;       /* to begin, in a row */
    char               node[VOICE_CLUSTER_NAME_MAX + 1];
    char               boot[VOICE_CLUSTER_BOOT_MAX + 1];
};


/* Zeroed memory; path->server is the caller's to fill. */
void agent_path_init(agent_path_t *path, agent_talker_t *talker);

/*
 * The relay that is probed, by its node and boot id; of another one than
 * before nothing is known.
 */
void agent_path_to(agent_path_t *path, const char *node, const char *boot);

/* Ends the sessions; nothing is known any more. */
void agent_path_forget(agent_path_t *path);

/* The same, and the server. */
void agent_path_close(agent_path_t *path);

/* Joins and sends what is due.  True: a first one was lost just now. */
bool agent_path_tick(agent_path_t *path);


#endif /* _AGENT_PATH_H_INCLUDED_ */
