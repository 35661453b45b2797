/*
 * Copyright (C) ngx-voice contributors
 */


#include "agent_etcd_internal.h"
#include "agent_log.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>


#define AGENT_ETCD_LINE_MAX      (16u << 20)
#define AGENT_ETCD_PENALTY       1000       /* ms, the first one */
#define AGENT_ETCD_PENALTY_MAX   16000
#define AGENT_ETCD_CONNECTIONS   32L


agent_etcd_t *
agent_etcd_create(const agent_conf_t *conf)
{
    agent_etcd_t  *e;

    e = calloc(1, sizeof(agent_etcd_t));

    if (e == NULL) {
        return NULL;
    }

    e->conf = conf;
    e->multi = curl_multi_init();

    if (e->multi == NULL) {
        free(e);
        return NULL;
    }

    curl_multi_setopt(e->multi, CURLMOPT_MAX_HOST_CONNECTIONS,
                      AGENT_ETCD_CONNECTIONS);
    curl_multi_setopt(e->multi, CURLMOPT_MAXCONNECTS, AGENT_ETCD_CONNECTIONS);

    return e;
}


void
agent_call_free(agent_call_t *call)
{
    agent_call_t  **p;
    agent_etcd_t   *e = call->etcd;

    for (p = &e->calls; *p != NULL; p = &(*p)->sibling) {
        if (*p == call) {
            *p = call->sibling;
            break;
        }
    }

    if (call->easy != NULL) {
        curl_multi_remove_handle(e->multi, call->easy);
        curl_easy_cleanup(call->easy);
    }

    curl_slist_free_all(call->headers);

    if (call->body != NULL) {
        sodium_memzero(call->body, strlen(call->body));
        free(call->body);
    }

    free(call->text);
    free(call);
}


void
agent_etcd_free(agent_etcd_t *e)
{
    agent_call_t  *call;

    if (e == NULL) {
        return;
    }

    e->ending = true;
    agent_etcd_watch_stop(e);

    while ((call = e->calls) != NULL) {
        if (call->handler != agent_etcd_token_handler) {
            call->handler(call->data, AGENT_ETCD_TRANSPORT, NULL, call->sent);
        }

        agent_call_free(call);
    }

    curl_multi_cleanup(e->multi);
    free(e->token);
    free(e);
}


void
agent_etcd_reload(agent_etcd_t *e)
{
    memset(e->endpoint, 0, sizeof(e->endpoint));
    e->current = 0;

    free(e->token);
    e->token = NULL;
}


uint64_t
agent_etcd_answered(const agent_etcd_t *e)
{
    return e->answered;
}


const char *
agent_etcd_error(const agent_etcd_t *e)
{
    return e->error;
}


/* Stays where it is for as long as that one is good. */

static unsigned
agent_etcd_choose(agent_etcd_t *e, uint64_t now)
{
    unsigned  i, n, best;

    n = e->conf->endpoints;
    best = e->current % n;

    if (e->endpoint[best].bad_until > now) {
        for (i = 0; i < n; i++) {
            if (e->endpoint[i].bad_until < e->endpoint[best].bad_until) {
                best = i;
            }
        }
    }

    e->current = best;

    return best;
}


static void
agent_etcd_blame(agent_etcd_t *e, unsigned endpoint, uint64_t sent)
{
    uint64_t           now;
    agent_endpoint_t  *ep = &e->endpoint[endpoint];

    now = agent_now();

    /* many calls that fail together are one failure */

    if (ep->bad_until > now && ep->bad_until - ep->penalty > sent) {
        return;
    }

    ep->penalty = ep->penalty == 0 ? AGENT_ETCD_PENALTY : ep->penalty * 2;

    if (ep->penalty > AGENT_ETCD_PENALTY_MAX) {
        ep->penalty = AGENT_ETCD_PENALTY_MAX;
    }

    ep->bad_until = now + ep->penalty;
}


static size_t
agent_call_write(char *data, size_t one, size_t n, void *arg)
{
    char          *text;
    size_t         size;
    agent_call_t  *call = arg;

    (void) one;

    /* nothing but this: libcurl must not be called from here */

    if (n > call->max - call->len) {
        call->overflow = true;
        return 0;
    }

    if (n > call->size - call->len) {
        size = 2 * (call->len + n) + 1024;
        text = realloc(call->text, size);

        if (text == NULL) {
            call->overflow = true;
            return 0;
        }

        call->text = text;
        call->size = size;
    }

    memcpy(call->text + call->len, data, n);
    call->len += n;

    return n;
}


static bool
agent_call_headers(agent_call_t *call)
{
    size_t               i, n;
    const char          *value[4];
    char                 token[AGENT_ETCD_TOKEN_MAX + 32];
    struct curl_slist   *list;

    n = 0;
    value[n++] = "Content-Type: application/json";
    value[n++] = "Expect:";
    value[n++] = "Grpc-Metadata-Hasleader: true";

    if (call->etcd->token != NULL) {
        snprintf(token, sizeof(token), "Authorization: %s",
                 call->etcd->token);
        value[n++] = token;
    }

    curl_slist_free_all(call->headers);
    call->headers = NULL;

    for (i = 0; i < n; i++) {
        list = curl_slist_append(call->headers, value[i]);

        if (list == NULL) {
            return false;
        }

        call->headers = list;
    }

    return true;
}


static void
agent_call_tls(CURL *easy, const agent_conf_t *conf)
{
    if (conf->ca[0] != '\0') {
        curl_easy_setopt(easy, CURLOPT_CAINFO, conf->ca);
    }

    if (conf->cert[0] != '\0') {
        curl_easy_setopt(easy, CURLOPT_SSLCERT, conf->cert);
        curl_easy_setopt(easy, CURLOPT_SSLKEY, conf->key);
    }
}


bool
agent_call_start(agent_call_t *call)
{
    CURL          *easy;
    char           url[AGENT_TEXT_MAX + 80];
    agent_etcd_t  *e = call->etcd;

    call->sent = agent_now();
    call->endpoint = agent_etcd_choose(e, call->sent);
    call->len = 0;
    call->seen = 0;

    if (!agent_call_headers(call)) {
        return false;
    }

    if (call->easy != NULL) {
        curl_multi_remove_handle(e->multi, call->easy);
        curl_easy_reset(call->easy);

    } else {
        call->easy = curl_easy_init();
    }

    easy = call->easy;

    if (easy == NULL) {
        return false;
    }

    snprintf(url, sizeof(url), "%s/v3/%s", e->conf->etcd[call->endpoint],
             call->path);

    curl_easy_setopt(easy, CURLOPT_URL, url);
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(easy, CURLOPT_PROXY, "");
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long) CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(easy, CURLOPT_POSTFIELDS, call->body);
    curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE, (long) strlen(call->body));
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, call->headers);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, agent_call_write);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, call);
    curl_easy_setopt(easy, CURLOPT_PRIVATE, call);
    curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS,
                     (long) AGENT_ETCD_CONNECT);
    curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long) call->timeout);
    curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
    curl_easy_setopt(easy, CURLOPT_TCP_KEEPIDLE, 5L);
    curl_easy_setopt(easy, CURLOPT_TCP_KEEPINTVL, 5L);

    /* a stream that is followed by others on its connection would block them */
    if (call->line != NULL) {
        curl_easy_setopt(easy, CURLOPT_FRESH_CONNECT, 1L);
        curl_easy_setopt(easy, CURLOPT_FORBID_REUSE, 1L);
    }

    agent_call_tls(easy, e->conf);

    return curl_multi_add_handle(e->multi, easy) == CURLM_OK;
}


agent_call_t *
agent_call_create(agent_etcd_t *e, const char *path, json_t *body,
    unsigned timeout)
{
    agent_call_t  *call;

    call = e->ending ? NULL : calloc(1, sizeof(agent_call_t));

    if (call == NULL || body == NULL) {
        json_decref(body);
        free(call);
        return NULL;
    }

    call->etcd = e;
    call->sent = agent_now();
    call->timeout = timeout;
    call->body = json_dumps(body, JSON_COMPACT);
    json_decref(body);

    snprintf(call->path, sizeof(call->path), "%s", path);

    call->sibling = e->calls;
    e->calls = call;

    if (call->body == NULL) {
        agent_call_free(call);
        return NULL;
    }

    return call;
}


/* At once, or when there is a token. */

static bool
agent_call_submit(agent_call_t *call)
{
    agent_call_t  **last;
    agent_etcd_t   *e = call->etcd;

    if (e->conf->user[0] == '\0' || e->token != NULL) {
        if (agent_call_start(call)) {
            return true;
        }

        agent_call_free(call);
        return false;
    }

    for (last = &e->waiting; *last != NULL; last = &(*last)->next) {
        /* void */
    }

    call->next = NULL;
    *last = call;

    agent_etcd_authenticate(e);

    return true;
}


bool
agent_etcd_call(agent_etcd_t *e, const char *path, json_t *body,
    unsigned timeout, agent_answer_pt handler, void *data)
{
    agent_call_t  *call;

    call = agent_call_create(e, path, body, timeout);

    if (call == NULL) {
        return false;
    }

    call->max = AGENT_ETCD_ANSWER_MAX;
    call->handler = handler;
    call->data = data;

    return agent_call_submit(call);
}


bool
agent_etcd_watch(agent_etcd_t *e, json_t *body, agent_line_pt handler,
    void *data)
{
    agent_call_t  *call;

    agent_etcd_watch_stop(e);

    call = agent_call_create(e, "watch", body, 0);

    if (call == NULL) {
        return false;
    }

    call->max = AGENT_ETCD_LINE_MAX;
    call->line = handler;
    call->data = data;

    e->watch = call;

    if (!agent_call_submit(call)) {
        e->watch = NULL;
        return false;
    }

    return true;
}


void
agent_etcd_watch_stop(agent_etcd_t *e)
{
    agent_call_t  **p;

    if (e->watch == NULL) {
        return;
    }

    for (p = &e->waiting; *p != NULL; p = &(*p)->next) {
        if (*p == e->watch) {
            *p = e->watch->next;
            break;
        }
    }

    agent_call_free(e->watch);
    e->watch = NULL;
}


void
agent_etcd_watch_blame(agent_etcd_t *e)
{
    if (e->watch != NULL) {
        agent_etcd_blame(e, e->watch->endpoint, agent_now());
    }
}


/* What came and what that means. */

static int
agent_call_result(agent_call_t *call, CURLcode rc, json_t **answer)
{
    int            code;
    long           status;
    char           text[160];
    json_error_t   where;
    agent_etcd_t  *e = call->etcd;

    *answer = NULL;

    if (rc != CURLE_OK) {
        snprintf(e->error, sizeof(e->error), "%.100s: %.100s",
                 e->conf->etcd[call->endpoint],
                 call->overflow ? "answer too large"
                                : curl_easy_strerror(rc));
        return call->overflow ? AGENT_ETCD_TOO_LARGE : AGENT_ETCD_TRANSPORT;
    }

    *answer = json_loadb(call->text ? call->text : "", call->len,
                         JSON_DISABLE_EOF_CHECK, &where);
    code = agent_answer_error(*answer, text, sizeof(text));

    status = 0;
    curl_easy_getinfo(call->easy, CURLINFO_RESPONSE_CODE, &status);

    if (code == AGENT_ETCD_OK && status != 200) {
        snprintf(text, sizeof(text), "HTTP status %ld", status);
        code = AGENT_ETCD_TRANSPORT;
    }

    if (code != AGENT_ETCD_OK) {
        snprintf(e->error, sizeof(e->error), "%.80s/v3/%s: %.100s",
                 e->conf->etcd[call->endpoint], call->path, text);
        agent_text_clean(e->error);
    }

    return code;
}


static void
agent_call_done(agent_call_t *call, CURLcode rc)
{
    int            code;
    bool           bad;
    json_t        *answer;
    agent_etcd_t  *e = call->etcd;

    code = agent_call_result(call, rc, &answer);
    bad = (code == AGENT_ETCD_TRANSPORT || code == AGENT_ETCD_UNAVAILABLE);

    if (bad) {
        agent_etcd_blame(e, call->endpoint, call->sent);

    } else {
        e->answered = agent_now();
        e->endpoint[call->endpoint].penalty = 0;
        e->endpoint[call->endpoint].bad_until = 0;
    }

    if (!agent_call_retry(call, code)) {
        call->handler(call->data, code, answer, call->sent);
        agent_call_free(call);
    }

    json_decref(answer);
}


/* The stream is over, one way or another. */

static void
agent_watch_done(agent_call_t *call, CURLcode rc)
{
    int                  code;
    char                 reason[160];
    agent_etcd_t        *e = call->etcd;
    agent_watch_line_t   line;

    code = AGENT_ETCD_OK;
    snprintf(reason, sizeof(reason), "%s", call->overflow
             ? "a line of more than 16 MiB" : rc == CURLE_OK
             ? "closed by etcd" : curl_easy_strerror(rc));

    /* an error that came without a line end */

    if (call->len != 0 && !call->overflow
        && agent_watch_parse(call->text, call->len, &line, NULL, NULL)
        && line.error != AGENT_ETCD_OK)
    {
        code = line.error;
        snprintf(reason, sizeof(reason), "%s", line.reason);
    }

    if (agent_call_retry(call, code)) {
        return;
    }

    if (call->overflow) {
        code = AGENT_ETCD_TOO_LARGE;

    } else {
        agent_etcd_blame(e, call->endpoint, call->sent);
    }

    e->watch = NULL;
    call->line(call->data, NULL, 0, code, reason);
    agent_call_free(call);
}


/* What is behind the lines that were taken stays, in no more than it needs. */

static void
agent_watch_rest(agent_call_t *call, const char *start)
{
    char  *text;

    call->len -= (size_t) (start - call->text);
    memmove(call->text, start, call->len);
    call->seen = call->len;

    if (call->size > AGENT_ETCD_BUFFER && call->len < AGENT_ETCD_BUFFER) {
        text = realloc(call->text, AGENT_ETCD_BUFFER);

        if (text != NULL) {
            call->text = text;
            call->size = AGENT_ETCD_BUFFER;
        }
    }
}


/* The whole lines that are there; a handler may end the watch. */

static void
agent_watch_lines(agent_etcd_t *e)
{
    char          *start, *from, *end, *nl;
    agent_call_t  *call = e->watch;

    if (call == NULL || call->len == call->seen) {
        return;
    }

    start = call->text;
    from = start + call->seen;
    end = start + call->len;

    while ((nl = memchr(from, '\n', (size_t) (end - from))) != NULL) {
        call->line(call->data, start, (size_t) (nl - start), AGENT_ETCD_OK,
                   NULL);

        if (e->watch != call) {
            return;
        }

        start = nl + 1;
        from = start;
    }

    agent_watch_rest(call, start);
}


void
agent_etcd_turn(agent_etcd_t *e, struct curl_waitfd *fds, unsigned n,
    int timeout)
{
    int            left;
    CURLMsg       *msg;
    CURLcode       rc;
    agent_call_t  *call;

    curl_multi_poll(e->multi, fds, n, timeout, NULL);
    curl_multi_perform(e->multi, &left);

    agent_watch_lines(e);

    while ((msg = curl_multi_info_read(e->multi, &left)) != NULL) {

        if (msg->msg != CURLMSG_DONE) {
            continue;
        }

        rc = msg->data.result;
        curl_easy_getinfo(msg->easy_handle, CURLINFO_PRIVATE,
                          (char **) &call);

        if (call->line != NULL) {
            agent_watch_done(call, rc);

        } else {
            agent_call_done(call, rc);
        }
    }

    /* calls that the handlers have made go out now */
    curl_multi_perform(e->multi, &left);
}
