/*
 * Copyright (C) ngx-voice contributors
 */


#include "http.h"

#include "options.h"

#include <curl/curl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>


#define VC_HTTP_MAX       (64 * 1024 * 1024)
#define VC_HTTP_TIMEOUT   10


static bool vc_http_headers(const vc_http_request_t *req,
    struct curl_slist **list);
static bool vc_http_header(struct curl_slist **list, const char *name,
    const char *value);
static size_t vc_http_write(char *data, size_t size, size_t n, void *ctx);


bool
vc_http(const char *name, const vc_http_request_t *req,
    vc_http_answer_t *answer)
{
    char                error[CURL_ERROR_SIZE];
    CURL               *curl;
    CURLcode            rc;
    struct curl_slist  *headers;

    memset(answer, 0, sizeof(vc_http_answer_t));
    headers = NULL;
    error[0] = '\0';
    curl = curl_easy_init();

    if (curl == NULL || !vc_http_headers(req, &headers)) {
        vc_complain(name, "out of memory");
        curl_slist_free_all(headers);
        curl_easy_cleanup(curl);
        return false;
    }

    curl_easy_setopt(curl, CURLOPT_URL, req->url);
    curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, req->method);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(curl, CURLOPT_TIMEOUT, (long) VC_HTTP_TIMEOUT);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, error);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, vc_http_write);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, answer);

    if (req->body != NULL) {
        curl_easy_setopt(curl, CURLOPT_POSTFIELDS, req->body);
    }

    if (req->ca != NULL) {
        curl_easy_setopt(curl, CURLOPT_CAINFO, req->ca);
    }

    if (req->insecure) {
        curl_easy_setopt(curl, CURLOPT_SSL_VERIFYPEER, 0L);
        curl_easy_setopt(curl, CURLOPT_SSL_VERIFYHOST, 0L);
    }

    rc = curl_easy_perform(curl);

    if (rc != CURLE_OK) {
        vc_complain(name, "--url \"%s\": %s", req->url,
                    error[0] != '\0' ? error : curl_easy_strerror(rc));
        vc_http_free(answer);

    } else {
        curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &answer->status);
    }

    curl_slist_free_all(headers);
    curl_easy_cleanup(curl);

    return rc == CURLE_OK;
}


static bool
vc_http_headers(const vc_http_request_t *req, struct curl_slist **list)
{
    return (req->token == NULL
            || vc_http_header(list, "Authorization: Bearer ", req->token))
           && (req->reason == NULL
               || vc_http_header(list, "X-Audit-Log-Reason: ", req->reason))
           && (req->body == NULL
               || vc_http_header(list, "Content-Type: ",
                                 "application/json"));
}


static bool
vc_http_header(struct curl_slist **list, const char *name, const char *value)
{
    char               *line;
    size_t              size;
    struct curl_slist  *more;

    size = strlen(name) + strlen(value) + 1;
    line = malloc(size);

    if (line == NULL) {
        return false;
    }

    snprintf(line, size, "%s%s", name, value);
    more = curl_slist_append(*list, line);

    sodium_memzero(line, size);
    free(line);

    if (more != NULL) {
        *list = more;
    }

    return more != NULL;
}


static size_t
vc_http_write(char *data, size_t size, size_t n, void *ctx)
{
    char              *p;
    vc_http_answer_t  *answer = ctx;

    n *= size;

    if (n > VC_HTTP_MAX - answer->len) {
        return 0;
    }

    p = realloc(answer->data, answer->len + n + 1);
    if (p == NULL) {
        return 0;
    }

    memcpy(p + answer->len, data, n);
    answer->data = p;
    answer->len += n;
    p[answer->len] = '\0';

    return n;
}


void
vc_http_free(vc_http_answer_t *answer)
{
    free(answer->data);
    memset(answer, 0, sizeof(vc_http_answer_t));
}


json_t *
vc_http_json(const char *name, const char *url,
    const vc_http_answer_t *answer)
{
    json_t        *root;
    json_error_t   error;

    root = answer->len != 0 ? json_loadb(answer->data, answer->len, 0, &error)
                            : NULL;

    if (root == NULL) {
        vc_complain(name, "--url \"%s\": expected JSON: %s", url,
                    answer->len != 0 ? error.text : "the answer is empty");
    }

    return root;
}
