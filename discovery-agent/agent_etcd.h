/*
 * Copyright (C) ngx-voice contributors
 *
 * Calls to etcd's JSON gateway and one watch, all by one thread.
 *
 * Calls go to one endpoint for as long as it answers; one that fails is left
 * alone for 1, 2, 4 to 16 s.  Every request says that it needs a leader, so a
 * member that is cut off from the others says so at once.  Handlers are called
 * by agent_etcd_turn(), never from within libcurl, and may call anything here.
 */


#ifndef _AGENT_ETCD_H_INCLUDED_
#define _AGENT_ETCD_H_INCLUDED_


#include "agent_conf.h"
#include "agent_etcd_codec.h"

#include <curl/curl.h>


typedef struct agent_etcd_s  agent_etcd_t;

/*
 * code: AGENT_ETCD_OK, or an error; answer: for the call, NULL where there is
 * none; sent: ms, when the call was made.
 */
typedef void (*agent_answer_pt)(void *data, int code, const json_t *answer,
    uint64_t sent);

/*
 * A line of the watch; NULL: it has ended, for the reason given, code is
 * AGENT_ETCD_TOO_LARGE if one of its lines was.
 */
typedef void (*agent_line_pt)(void *data, const char *line, size_t len,
    int code, const char *reason);


/* NULL: no memory.  conf must outlive it. */
agent_etcd_t *agent_etcd_create(const agent_conf_t *conf);

/* The handlers of calls that are under way are told that they failed. */
void agent_etcd_free(agent_etcd_t *e);

/* conf has changed: endpoints, certificates, user. */
void agent_etcd_reload(agent_etcd_t *e);

/*
 * Takes the reference of body, which may be NULL for want of memory.  The
 * handler is called once, whatever happens, unless false is given.
 */
bool agent_etcd_call(agent_etcd_t *e, const char *path, json_t *body,
    unsigned timeout, agent_answer_pt handler, void *data);

/* The watch; there is one at a time. */
bool agent_etcd_watch(agent_etcd_t *e, json_t *body, agent_line_pt handler,
    void *data);
void agent_etcd_watch_stop(agent_etcd_t *e);

/* The endpoint of the watch is silent: it counts as failed. */
void agent_etcd_watch_blame(agent_etcd_t *e);

/* A stream was refused because of its token: the next call asks for one. */
void agent_etcd_token_forget(agent_etcd_t *e);

/* Waits up to timeout ms for answers or for one of fds, and handles them. */
void agent_etcd_turn(agent_etcd_t *e, struct curl_waitfd *fds, unsigned n,
    int timeout);

/* ms, when a call was answered last; why the last one that failed did. */
uint64_t agent_etcd_answered(const agent_etcd_t *e);
const char *agent_etcd_error(const agent_etcd_t *e);


#endif /* _AGENT_ETCD_H_INCLUDED_ */
