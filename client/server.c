/*
 * Copyright (C) ngx-voice contributors
 */


#include "server.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <openssl/err.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>


static bool vc_server_authority(vc_server_t *server, const char *p,
    size_t len);
static bool vc_server_port(vc_server_t *server, const char *p, size_t len);


bool
vc_server_parse(vc_server_t *server, const char *url, char *error)
{
    size_t       len;
    const char  *p, *path;

    memset(server, 0, sizeof(vc_server_t));

    if (strncmp(url, "wss://", 6) == 0) {
        server->tls = true;
        p = url + 6;

    } else if (strncmp(url, "ws://", 5) == 0) {
        p = url + 5;

    } else {
        snprintf(error, VC_ERROR_MAX, "\"%.150s\": expected a URL that begins "
                 "with wss:// or ws://", url);
        return false;
    }

    len = strcspn(p, "/?#");
    path = p + len;

    if (strpbrk(path, "?# \r\n") != NULL
        || strlen(path) >= sizeof(server->path))
    {
        snprintf(error, VC_ERROR_MAX, "\"%.100s\": expected a path of fewer "
                 "than %zu characters and no query (the version is added to "
                 "it)", url, sizeof(server->path));
        return false;
    }

    strcpy(server->path, *path != '\0' ? path : "/");
    strcpy(server->port, server->tls ? "443" : "80");

    if (!vc_server_authority(server, p, len)) {
        snprintf(error, VC_ERROR_MAX, "\"%.150s\": expected a host, and a "
                 "port from 1 to 65535 if there is one", url);
        return false;
    }

    return true;
}


/* host, host:port, [v6], [v6]:port */
static bool
vc_server_authority(vc_server_t *server, const char *p, size_t len)
{
    size_t       host_len;
    const char  *end, *host;

    end = p + len;
    host = p;

    if (len != 0 && *p == '[') {
        host++;
        p = memchr(p, ']', len);

        if (p == NULL) {
            return false;
        }

        host_len = (size_t) (p - host);
        p++;

    } else {
        p = memchr(host, ':', len);
        p = p != NULL ? p : end;
        host_len = (size_t) (p - host);
    }

    if (host_len == 0 || host_len >= sizeof(server->host)
        || memchr(host, '@', host_len) != NULL)
    {
        return false;
    }

    memcpy(server->host, host, host_len);
    server->host[host_len] = '\0';

    if (p == end) {
        return true;
    }

    return *p == ':' && vc_server_port(server, p + 1, (size_t) (end - p - 1));
}


static bool
vc_server_port(vc_server_t *server, const char *p, size_t len)
{
    size_t    i;
    unsigned  port;

    if (len == 0 || len >= sizeof(server->port)) {
        return false;
    }

    port = 0;

    for (i = 0; i < len; i++) {
        if (!isdigit((unsigned char) p[i])) {
            return false;
        }

        port = port * 10 + (unsigned) (p[i] - '0');
    }

    if (port == 0 || port > 65535) {
        return false;
    }

    snprintf(server->port, sizeof(server->port), "%u", port);
    return true;
}


bool
vc_server_literal(const vc_server_t *server)
{
    uint8_t  addr[16];

    return inet_pton(AF_INET, server->host, addr) == 1
           || inet_pton(AF_INET6, server->host, addr) == 1;
}


bool
vc_server_open(vc_server_t *server, const char *ca, bool insecure,
    char *error)
{
    int              rc;
    struct addrinfo  hints;

    memset(&hints, 0, sizeof(hints));
    hints.ai_socktype = SOCK_STREAM;

    rc = getaddrinfo(server->host, server->port, &hints, &server->addresses);

    if (rc != 0) {
        server->addresses = NULL;
        snprintf(error, VC_ERROR_MAX, "host \"%.150s\": %s", server->host,
                 gai_strerror(rc));
        return false;
    }

    return !server->tls || vc_server_secure(server, ca, insecure, error);
}


bool
vc_server_secure(vc_server_t *server, const char *ca, bool insecure,
    char *error)
{
    int  rc;

    server->ctx = SSL_CTX_new(TLS_client_method());

    if (server->ctx == NULL) {
        snprintf(error, VC_ERROR_MAX, "TLS: %s",
                 ERR_reason_error_string(ERR_peek_last_error()));
        return false;
    }

    SSL_CTX_set_min_proto_version(server->ctx, TLS1_2_VERSION);

    /* thousands of idle connections: keep no buffers for them */
    SSL_CTX_set_mode(server->ctx, SSL_MODE_RELEASE_BUFFERS
                                  | SSL_MODE_ENABLE_PARTIAL_WRITE
                                  | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);

    server->verify = !insecure;

    if (insecure) {
        SSL_CTX_set_verify(server->ctx, SSL_VERIFY_NONE, NULL);
        return true;
    }

    SSL_CTX_set_verify(server->ctx, SSL_VERIFY_PEER, NULL);

    rc = ca != NULL ? SSL_CTX_load_verify_locations(server->ctx, ca, NULL)
                    : SSL_CTX_set_default_verify_paths(server->ctx);

    if (rc != 1) {
        snprintf(error, VC_ERROR_MAX, "--ca \"%.150s\": expected a readable "
                 "PEM file of certificates", ca != NULL ? ca : "");
        ERR_clear_error();
        return false;
    }

    return true;
}


void
vc_server_close(vc_server_t *server)
{
    if (server->addresses != NULL) {
        freeaddrinfo(server->addresses);
    }

    SSL_CTX_free(server->ctx);
    server->addresses = NULL;
    server->ctx = NULL;
}


bool
vc_server_same(const vc_server_t *a, const vc_server_t *b)
{
    size_t  alen, blen;

    alen = strlen(a->path);
    blen = strlen(b->path);

    alen -= (alen != 0 && a->path[alen - 1] == '/');
    blen -= (blen != 0 && b->path[blen - 1] == '/');

    return a->tls == b->tls && strcmp(a->host, b->host) == 0
           && strcmp(a->port, b->port) == 0 && alen == blen
           && strncmp(a->path, b->path, alen) == 0;
}
