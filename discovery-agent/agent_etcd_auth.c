/*
 * Copyright (C) ngx-voice contributors
 *
 * etcd's users: a token, asked for when there is none or it is refused.
 * Tokens live in one member's memory and die with it.
 */


#include "agent_etcd_internal.h"

#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>


static bool
agent_etcd_password(const char *path, char *password, size_t size)
{
    int      fd;
    ssize_t  n;

    fd = open(path, O_RDONLY|O_CLOEXEC);

    if (fd == -1) {
        return false;
    }

    n = read(fd, password, size - 1);
    close(fd);

    if (n <= 0) {
        return false;
    }

    password[n] = '\0';
    password[strcspn(password, "\r\n")] = '\0';

    return true;
}


void
agent_etcd_token_handler(void *data, int code, const json_t *answer,
    uint64_t sent)
{
    const char    *token;
    agent_call_t  *call, *next;
    agent_etcd_t  *e = data;

    (void) sent;

    e->asking = false;
    token = json_string_value(json_object_get(answer, "token"));

    if (code == AGENT_ETCD_OK && token != NULL
        && strlen(token) <= AGENT_ETCD_TOKEN_MAX)
    {
        free(e->token);
        e->token = strdup(token);
    }

    call = e->waiting;
    e->waiting = NULL;

    for ( /* void */ ; call != NULL; call = next) {
        next = call->next;

        if (e->token != NULL && agent_call_start(call)) {
            continue;
        }

        if (call == e->watch) {
            e->watch = NULL;
            call->line(call->data, NULL, 0, AGENT_ETCD_UNAUTHENTICATED,
                       "not authenticated");

        } else {
            call->handler(call->data, code == AGENT_ETCD_OK
                          ? AGENT_ETCD_TRANSPORT : code, NULL, call->sent);
        }

        agent_call_free(call);
    }
}


void
agent_etcd_authenticate(agent_etcd_t *e)
{
    char           password[256];
    agent_call_t  *call;

    if (e->asking) {
        return;
    }

    if (!agent_etcd_password(e->conf->password_file, password,
                             sizeof(password)))
    {
        snprintf(e->error, sizeof(e->error), "%.200s can't be read",
                 e->conf->password_file);
        password[0] = '\0';
    }

    call = agent_call_create(e, "auth/authenticate",
                             json_pack("{s:s,s:s}", "name", e->conf->user,
                                       "password", password),
                             AGENT_ETCD_CONNECT);
    sodium_memzero(password, sizeof(password));

    if (call == NULL) {
        return;
    }

    call->max = AGENT_ETCD_ANSWER_MAX;
    call->handler = agent_etcd_token_handler;
    call->data = e;

    e->asking = agent_call_start(call);

    if (!e->asking) {
        agent_call_free(call);
    }
}


void
agent_etcd_token_forget(agent_etcd_t *e)
{
    free(e->token);
    e->token = NULL;
}


/* A token that is no good any more: another one, once. */

bool
agent_call_retry(agent_call_t *call, int code)
{
    agent_etcd_t  *e = call->etcd;

    if (code != AGENT_ETCD_UNAUTHENTICATED || call->again
        || e->conf->user[0] == '\0'
        || call->handler == agent_etcd_token_handler)
    {
        return false;
    }

    call->again = true;

    agent_etcd_token_forget(e);

    call->next = e->waiting;
    e->waiting = call;
    agent_etcd_authenticate(e);

    return true;
}
