/*
 * Copyright (C) ngx-voice contributors
 */


#include "agent_lookup.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>


/* Thread and caller: who is the second to say so frees it. */
typedef enum {
    AGENT_LOOKUP_RUNS = 0,
    AGENT_LOOKUP_OVER,
    AGENT_LOOKUP_DROPPED
} agent_lookup_state_t;


struct agent_lookup_s {
    _Atomic agent_lookup_state_t   state;
    struct addrinfo               *addresses;
    char                           host[256];
    char                           port[6];
};


static _Atomic unsigned  agent_lookups;


static void
agent_lookup_free(agent_lookup_t *l)
{
    if (l->addresses != NULL) {
        freeaddrinfo(l->addresses);
    }

    free(l);
    atomic_fetch_sub(&agent_lookups, 1);
}


static void *
agent_lookup_thread(void *data)
{
    agent_lookup_t   *l = data;
    struct addrinfo   hints;

    memset(&hints, 0, sizeof(hints));
    hints.ai_socktype = SOCK_STREAM;

    if (getaddrinfo(l->host, l->port, &hints, &l->addresses) != 0) {
        l->addresses = NULL;
    }

    if (atomic_exchange(&l->state, AGENT_LOOKUP_OVER)
        == AGENT_LOOKUP_DROPPED)
    {
        agent_lookup_free(l);
    }

    return NULL;
}


static bool
agent_lookup_run(agent_lookup_t *l)
{
    bool            ok;
    pthread_t       thread;
    pthread_attr_t  attr;

    if (pthread_attr_init(&attr) != 0) {
        return false;
    }

    ok = pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED) == 0
         && pthread_create(&thread, &attr, agent_lookup_thread, l) == 0;

    pthread_attr_destroy(&attr);

    return ok;
}


agent_lookup_t *
agent_lookup_start(const char *host, const char *port)
{
    agent_lookup_t  *l;

    if (atomic_load(&agent_lookups) >= AGENT_LOOKUPS) {
        return NULL;
    }

    l = calloc(1, sizeof(agent_lookup_t));

    if (l == NULL) {
        return NULL;
    }

    snprintf(l->host, sizeof(l->host), "%s", host);
    snprintf(l->port, sizeof(l->port), "%s", port);
    atomic_fetch_add(&agent_lookups, 1);

    if (!agent_lookup_run(l)) {
        agent_lookup_free(l);
        return NULL;
    }

    return l;
}


bool
agent_lookup_done(agent_lookup_t *l, struct addrinfo **addresses)
{
    if (atomic_load(&l->state) != AGENT_LOOKUP_OVER) {
        return false;
    }

    *addresses = l->addresses;
    l->addresses = NULL;
    agent_lookup_free(l);

    return true;
}


void
agent_lookup_drop(agent_lookup_t *l)
{
    if (l != NULL
        && atomic_exchange(&l->state, AGENT_LOOKUP_DROPPED)
           == AGENT_LOOKUP_OVER)
    {
        agent_lookup_free(l);
    }
}
