/*
 * Copyright (C) ngx-voice contributors
 *
 * One HTTP request and its answer, by libcurl.
 */


#ifndef _VC_HTTP_H_INCLUDED_
#define _VC_HTTP_H_INCLUDED_


#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>


typedef struct {
    const char  *method;
    const char  *url;
    const char  *ca;           /* PEM file; NULL: the system's */
    bool         insecure;
    const char  *token;        /* NULL: no Authorization */
    const char  *reason;       /* of an audit log, or NULL */
    const char  *body;         /* JSON, or NULL */
} vc_http_request_t;


typedef struct {
    long         status;
    char        *data;         /* with a NUL behind it; NULL: empty */
    size_t       len;
} vc_http_answer_t;


/*
 * False if there is no answer, which is complained about under the command's
 * name; else the answer, which the caller frees.
 */
bool vc_http(const char *name, const vc_http_request_t *req,
    vc_http_answer_t *answer);
void vc_http_free(vc_http_answer_t *answer);

/* The answer as JSON; NULL with a complaint. */
json_t *vc_http_json(const char *name, const char *url,
    const vc_http_answer_t *answer);


#endif /* _VC_HTTP_H_INCLUDED_ */
