/*
 * Copyright (C) ngx-voice contributors
 *
 * The file of the cluster zone, and the sockets by which workers and agent
 * wake each other.
 */


#ifndef _AGENT_ZONE_H_INCLUDED_
#define _AGENT_ZONE_H_INCLUDED_


#include "voice_cluster_write.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>


typedef struct {
    char                     path[256];
    char                     name[VOICE_WORKER_NAME_MAX];
    int                      fd;         /* -1: none open */
    int                      socket;
    void                    *mem;
    size_t                   size;
    dev_t                    device;
    ino_t                    inode;
    voice_cluster_writer_t   w;
} agent_zone_t;


/* CLOCK_MONOTONIC, ms: the clock of the zone */
uint64_t agent_zone_now(void);

/* The socket that workers wake; false: errno. */
bool agent_zone_listen(agent_zone_t *z);

/*
 * Maps the file; makes it if there is none.  False: error, at least 512
 * bytes, says why, another agent that has it included.
 */
bool agent_zone_open(agent_zone_t *z, const char *path, uint32_t guilds,
    char *error);
void agent_zone_close(agent_zone_t *z);

/* Whether another file stands under the name by now. */
bool agent_zone_replaced(const agent_zone_t *z);

/* Takes the wakes that have come; wakes those in w.wake. */
void agent_zone_drain(agent_zone_t *z);
void agent_zone_wake(agent_zone_t *z);

/* A mapping for reading only, as voicectl has; NULL: error says why. */
bool agent_zone_view(voice_cluster_t *c, const char *path, char *error);


#endif /* _AGENT_ZONE_H_INCLUDED_ */
