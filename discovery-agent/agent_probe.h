/*
 * Copyright (C) ngx-voice contributors
 *
 * Probes of this node's own relay by voice sessions; apart from agent.h
 * because only the agent itself has a client of voice in it.
 */


#ifndef _AGENT_PROBE_H_INCLUDED_
#define _AGENT_PROBE_H_INCLUDED_


#include "agent.h"


/* Nothing, without a key.  False: the key or the URL is no good. */
bool agent_probe_start(agent_t *a);
void agent_probe_stop(agent_t *a);

void agent_probe_tick(agent_t *a);

/* Readable when agent_probe_tick() has something to do; -1: none. */
int agent_probe_fd(const agent_t *a);


#endif /* _AGENT_PROBE_H_INCLUDED_ */
