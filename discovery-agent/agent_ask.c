/*
 * Copyright (C) ngx-voice contributors
 *
 * Nodes that vanished with many others are asked themselves: whatever HTTP
 * their nginx answers, it lives.
 */


#include "agent.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>


#define AGENT_ASK_MAX        64        /* at a time */
#define AGENT_ASK_TIMEOUT    1000L     /* ms */
#define AGENT_ASK_URL        (VOICE_CLUSTER_URL_MAX + 16)

/* What a proxy in front of a node says if nobody is behind it. */
#define AGENT_ASK_NOBODY     502
#define AGENT_ASK_LATE       504


typedef struct agent_question_s  agent_question_t;

struct agent_question_s {
    agent_question_t  *next;
    agent_node_t      *node;
    CURL              *easy;
    char               url[AGENT_ASK_URL];
};


struct agent_ask_s {
    CURLM             *multi;
    agent_question_t  *questions;
    unsigned           n;
};


/* By voice_peer, or where its clients come to: nginx answers TLS's, too. */

static void
agent_ask_url(const voice_node_info_t *info, char *url)
{
    const char  *port;

    if (info->peer[0] != '\0') {
        snprintf(url, AGENT_ASK_URL, "%s", info->peer);
        return;
    }

    port = strrchr(info->endpoint, ':');

    snprintf(url, AGENT_ASK_URL, "http://%s%s/", info->endpoint,
             port == NULL || strchr(port, ']') != NULL ? ":443" : "");
}


static void
agent_question_end(agent_t *a, agent_question_t *q, bool answered)
{
    agent_question_t  **p;
    agent_ask_t        *ask = a->ask;

    for (p = &ask->questions; *p != q; p = &(*p)->next) { /* void */ }

    *p = q->next;
    ask->n--;

    if (agent_model_asked(q->node, answered)) {
        agent_log(AGENT_LOG_WARN, "node \"%s\" is not in etcd and %s at %s",
                  q->node->info.name,
                  answered ? "answers: it lives," : "does not answer",
                  q->url);
    }

    if (q->easy != NULL) {
        curl_multi_remove_handle(ask->multi, q->easy);
        curl_easy_cleanup(q->easy);
    }

    free(q);
}


static bool
agent_question_send(agent_ask_t *ask, agent_question_t *q)
{
    CURL  *easy;

    q->easy = easy = curl_easy_init();

    if (easy == NULL) {
        return false;
    }

    curl_easy_setopt(easy, CURLOPT_URL, q->url);
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(easy, CURLOPT_PROXY, "");
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
    curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, AGENT_ASK_TIMEOUT);
    curl_easy_setopt(easy, CURLOPT_FORBID_REUSE, 1L);
    curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L);    /* of look-ups, too */
    curl_easy_setopt(easy, CURLOPT_PRIVATE, q);

    /* nothing is told to it, nor believed but that somebody is there */

    curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 0L);
    curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 0L);

    return curl_multi_add_handle(ask->multi, easy) == CURLM_OK;
}


static void
agent_ask_start(agent_t *a, agent_node_t *node)
{
    agent_ask_t       *ask = a->ask;
    agent_question_t  *q;

    q = calloc(1, sizeof(agent_question_t));

    if (q == NULL) {
        (void) agent_model_asked(node, node->answers);
        return;
    }

    q->node = node;
    q->next = ask->questions;
    ask->questions = q;
    ask->n++;

    agent_ask_url(&node->info, q->url);

    if (!agent_question_send(ask, q)) {
        agent_question_end(a, q, false);
    }
}


static bool
agent_ask_answered(CURL *easy, CURLcode rc)
{
    long  status;

    status = 0;
    curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);

    return rc == CURLE_OK && status != AGENT_ASK_NOBODY
           && status != AGENT_ASK_LATE;
}


void
agent_ask_tick(agent_t *a)
{
    int                left;
    CURLMsg           *msg;
    agent_ask_t       *ask = a->ask;
    agent_node_t      *node;
    agent_question_t  *q;

    while (ask->n < AGENT_ASK_MAX && agent_confirmed(a)
           && (node = agent_model_ask(&a->model, a->now)) != NULL)
    {
        agent_ask_start(a, node);
    }

    if (ask->n == 0) {
        return;
    }

    curl_multi_perform(ask->multi, &left);

    while ((msg = curl_multi_info_read(ask->multi, &left)) != NULL) {

        if (msg->msg == CURLMSG_DONE) {
            curl_easy_getinfo(msg->easy_handle, CURLINFO_PRIVATE,
                              (char **) &q);
            agent_question_end(a, q, agent_ask_answered(msg->easy_handle,
                                                        msg->data.result));
        }
    }
}


bool
agent_ask_create(agent_t *a)
{
    a->ask = calloc(1, sizeof(agent_ask_t));

    if (a->ask != NULL) {
        a->ask->multi = curl_multi_init();
    }

    return a->ask != NULL && a->ask->multi != NULL;
}


void
agent_ask_free(agent_t *a)
{
    if (a->ask == NULL) {
        return;
    }

    while (a->ask->questions != NULL) {
        agent_question_end(a, a->ask->questions, false);
    }

    curl_multi_cleanup(a->ask->multi);
    free(a->ask);
}
