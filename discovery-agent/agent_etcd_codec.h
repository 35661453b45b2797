/*
 * Copyright (C) ngx-voice contributors
 *
 * What is said to etcd's JSON gateway and what it answers, without a
 * connection: bodies of calls, errors in both of their shapes, key-value
 * pairs, lines of a watch.
 *
 * Keys and values are base64 there; 64-bit numbers are strings; fields whose
 * value is zero are left out.  Newer gateways put spaces anywhere, so nothing
 * is ever matched as text.
 */


#ifndef _AGENT_ETCD_CODEC_H_INCLUDED_
#define _AGENT_ETCD_CODEC_H_INCLUDED_


#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>


/* Codes of gRPC that something follows from. */
enum {
    AGENT_ETCD_OK = 0,
    AGENT_ETCD_INVALID = 3,
    AGENT_ETCD_NOT_FOUND = 5,          /* of a lease: it is gone */
    AGENT_ETCD_DENIED = 7,
    AGENT_ETCD_EXHAUSTED = 8,          /* no space */
    AGENT_ETCD_EXISTS = 9,
    AGENT_ETCD_OUT_OF_RANGE = 11,      /* compacted */
    AGENT_ETCD_UNAVAILABLE = 14,       /* no leader */
    AGENT_ETCD_UNAUTHENTICATED = 16,
    AGENT_ETCD_TRANSPORT = 100,        /* no answer, or none of etcd */
    AGENT_ETCD_TOO_LARGE               /* more than we are ready to take */
};


typedef struct {
    char       *key;                   /* NUL-terminated */
    char       *value;
    size_t      key_len;
    size_t      value_len;
    uint64_t    create_revision;
    uint64_t    mod_revision;
    uint64_t    lease;
    bool        deleted;               /* of an event */
} agent_kv_t;


/* What a line of a watch holds. */
typedef struct {
    uint64_t    revision;              /* of the header */
    uint64_t    cluster;               /* of it as well; 0: not there */
    uint64_t    last;                  /* mod revision of the last event */
    uint64_t    compacted;             /* canceled: first revision there is */
    int64_t     watch;
    bool        created;
    bool        canceled;
    bool        fragment;              /* of the last event's revision there
                                          may be more */
    int         error;                 /* the stream is over; 0: not */
    size_t      events;
    char        reason[128];           /* of canceled or error */
} agent_watch_line_t;


/* Called for each event in its order; kv lives for the call. */
typedef void (*agent_kv_pt)(void *data, const agent_kv_t *kv);


/* base64 of a text as a JSON string; NULL: no memory */
json_t *agent_b64(const char *text);

/* An unsigned number, given as a string or as a number; 0 if there is none. */
uint64_t agent_number(const json_t *object, const char *key);

/*
 * The error code of an answer: AGENT_ETCD_OK if it is none.  text, which may
 * be NULL, gets what it says.
 */
int agent_answer_error(const json_t *answer, char *text, size_t size);

/* revision and cluster of the header; 0: none */
uint64_t agent_answer_revision(const json_t *answer);
uint64_t agent_answer_cluster(const json_t *answer);

/* Each of a list of kvs; gives how many were there and well-formed. */
size_t agent_kvs_each(const json_t *kvs, agent_kv_pt handler, void *data);

/*
 * One line of a watch.  False: it is no JSON object, or not one of a watch.
 * handler may be NULL.
 */
bool agent_watch_parse(const char *text, size_t len, agent_watch_line_t *line,
    agent_kv_pt handler, void *data);


/* Parts of bodies; each gives a new reference, NULL without memory. */

json_t *agent_put(const char *key, const char *value, uint64_t lease);
json_t *agent_range(const char *key);

/* Every key that begins with prefix. */
json_t *agent_range_prefix(const char *prefix, const char *from,
    unsigned limit, uint64_t revision);

/* target: CREATE, MOD or LEASE; 0 with CREATE: there is no such key */
json_t *agent_compare(const char *key, const char *target, uint64_t number);

/* CREATE revision greater than 0: there is such a key. */
json_t *agent_compare_exists(const char *key);

json_t *agent_op(const char *what, json_t *request);

/* Takes the references of the three lists. */
json_t *agent_txn(json_t *compare, json_t *success, json_t *failure);

/* Of a lease: to grant one for so many seconds; about one that there is. */
json_t *agent_lease_grant(uint64_t seconds);
json_t *agent_lease_id(uint64_t lease);

json_t *agent_watch_body(const char *prefix, uint64_t start_revision);


#endif /* _AGENT_ETCD_CODEC_H_INCLUDED_ */
