/*
 * Copyright (C) ngx-voice contributors
 *
 * Addresses of a host by its name, while the agent goes on: the C library
 * may wait for a silent name server for a minute, so it does that in a thread
 * of its own.
 */


#ifndef _AGENT_LOOKUP_H_INCLUDED_
#define _AGENT_LOOKUP_H_INCLUDED_


#include <netdb.h>
#include <stdbool.h>


#define AGENT_LOOKUPS   8              /* at a time, the dropped ones too */


typedef struct agent_lookup_s  agent_lookup_t;


/* NULL: there are too many, or no memory; try again later. */
agent_lookup_t *agent_lookup_start(const char *host, const char *port);

/*
 * True: it is over, and freed; the addresses are the caller's, NULL if the
 * host has none.
 */
bool agent_lookup_done(agent_lookup_t *l, struct addrinfo **addresses);

/* Nobody waits for it any more; l may be NULL. */
void agent_lookup_drop(agent_lookup_t *l);


#endif /* _AGENT_LOOKUP_H_INCLUDED_ */
