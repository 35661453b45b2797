/*
 * Copyright (C) ngx-voice contributors
 *
 * The agent's configuration: one JSON object in a file, checked as a whole
 * before anything of it is used.
 */


#ifndef _AGENT_CONF_H_INCLUDED_
#define _AGENT_CONF_H_INCLUDED_


#include "agent_text.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>


#define AGENT_ERROR_MAX       512
#define AGENT_ENDPOINTS_MAX   16
#define AGENT_TEXT_MAX        255


typedef struct {
    char       node[VOICE_CLUSTER_NAME_MAX + 1];
    char       region[VOICE_CLUSTER_NAME_MAX + 1];
    char       dc[VOICE_CLUSTER_NAME_MAX + 1];
    char       pool[VOICE_CLUSTER_NAME_MAX + 1];
    char       endpoint[VOICE_CLUSTER_ENDPOINT_MAX + 1];   /* host[:port] */
    char       peer[VOICE_CLUSTER_URL_MAX + 1];
    char       machine[AGENT_MACHINE_MAX + 1]; /* which one this is */
    uint32_t   capacity;               /* participants; 0: of the zone */

    char       zone[AGENT_TEXT_MAX + 1];
    uint32_t   guilds;                 /* of a zone that is made here */
    char       mirror[AGENT_TEXT_MAX + 1];     /* "": none */

    char       etcd[AGENT_ENDPOINTS_MAX][AGENT_TEXT_MAX + 1];
    uint32_t   endpoints;
    char       prefix[AGENT_TEXT_MAX + 1];     /* of all keys, ends in '/' */
    char       ca[AGENT_TEXT_MAX + 1];
    char       cert[AGENT_TEXT_MAX + 1];
    char       key[AGENT_TEXT_MAX + 1];
    char       user[AGENT_TEXT_MAX + 1];
    char       password_file[AGENT_TEXT_MAX + 1];
    uint32_t   ttl;                    /* s, of this node's lease */

    uint32_t   load_period;            /* ms */
    uint32_t   bandwidth;              /* Mbit/s that the node can send */
    uint32_t   packets;                /* packets/s that it can send */

    uint32_t   grace;                  /* ms from a node's end to its death */
    uint32_t   hold;                   /* ms, of many that end at once */
    uint32_t   empty_after;            /* ms, of a guild that nobody uses */
    uint32_t   drain_after;            /* s until what is there moves */
    uint32_t   drain_rate;             /* guilds/s */
    uint32_t   stop_after;             /* ms, SIGTERM to the end */
    uint32_t   drain_percent;          /* of a region that drains at once */
    uint32_t   alarm_packets;          /* received in a second; 0: no alarm */
    char       probe_key[AGENT_TEXT_MAX + 1];  /* "": no probes */
    char       probe_url[AGENT_TEXT_MAX + 1];
    char       probe_ca[AGENT_TEXT_MAX + 1];
    uint32_t   probe_period;           /* ms; 0: none */
    uint32_t   alarm_length;           /* s that the node stays out */
    bool       debug;
} agent_conf_t;


/*
 * Reads and checks; error: AGENT_ERROR_MAX bytes, names the field, its value
 * and what was expected.  conf is written on success only.
 */
bool agent_conf_read(agent_conf_t *conf, const char *path, char *error);

/* The same from text; the machine's id is not looked up. */
bool agent_conf_parse(agent_conf_t *conf, const char *text, size_t len,
    char *error);

/*
 * Whether a running agent can change from one to the other; error names what
 * needs a restart.
 */
bool agent_conf_reloadable(const agent_conf_t *was, const agent_conf_t *now,
    char *error);

#endif /* _AGENT_CONF_H_INCLUDED_ */
