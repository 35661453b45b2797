/*
 * Copyright (C) ngx-voice contributors
 *
 * Calls as they are under way.
 */


#ifndef _AGENT_ETCD_INTERNAL_H_INCLUDED_
#define _AGENT_ETCD_INTERNAL_H_INCLUDED_


#include "agent_etcd.h"


#define AGENT_ETCD_ANSWER_MAX    (16u << 20)
#define AGENT_ETCD_BUFFER        (256u << 10)   /* kept for the next line */
#define AGENT_ETCD_CONNECT       1000       /* ms */
#define AGENT_ETCD_TOKEN_MAX     4096


typedef struct agent_call_s  agent_call_t;

struct agent_call_s {
    agent_call_t       *next;          /* of those that wait for a token */
    agent_call_t       *sibling;       /* of all */
    agent_etcd_t       *etcd;
    CURL               *easy;
    char               *body;
    char               *text;          /* what came so far */
    size_t              len;
    size_t              seen;          /* of it holds no end of a line */
    size_t              size;
    size_t              max;
    struct curl_slist  *headers;
    char                path[64];
    unsigned            timeout;       /* ms; 0: the watch */
    unsigned            endpoint;
    uint64_t            sent;
    bool                again;         /* with a new token */
    bool                overflow;
    agent_answer_pt     handler;
    agent_line_pt       line;
    void               *data;
};


typedef struct {
    uint64_t   bad_until;
    uint64_t   penalty;
} agent_endpoint_t;


struct agent_etcd_s {
    const agent_conf_t  *conf;
    CURLM               *multi;
    agent_call_t        *calls;
    agent_call_t        *watch;
    agent_call_t        *waiting;      /* for a token */
    bool                 asking;       /* for one */
    bool                 ending;
    unsigned             current;
    agent_endpoint_t     endpoint[AGENT_ENDPOINTS_MAX];
    uint64_t             answered;
    char                *token;
    char                 error[256];
};


/* NULL: no memory.  Takes the reference of body. */
agent_call_t *agent_call_create(agent_etcd_t *e, const char *path,
    json_t *body, unsigned timeout);
bool agent_call_start(agent_call_t *call);
void agent_call_free(agent_call_t *call);

/* Asks for a token, if nobody does; those in e->waiting start with it. */
void agent_etcd_authenticate(agent_etcd_t *e);
void agent_etcd_token_handler(void *data, int code, const json_t *answer,
    uint64_t sent);

/* True: the token was no good, the call waits for another one. */
bool agent_call_retry(agent_call_t *call, int code);


#endif /* _AGENT_ETCD_INTERNAL_H_INCLUDED_ */
