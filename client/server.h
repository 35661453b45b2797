/*
 * Copyright (C) ngx-voice contributors
 *
 * The websocket server to talk to: its URL, addresses and TLS context, made
 * once and shared by all sessions.
 */


#ifndef _VC_SERVER_H_INCLUDED_
#define _VC_SERVER_H_INCLUDED_


#include <netdb.h>
#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>


#define VC_ERROR_MAX   256


typedef struct {
    char              host[256];      /* name or IP literal, no brackets */
    char              port[6];
    char              path[512];      /* "/" at least, without a query */
    bool              tls;
    bool              verify;
    struct addrinfo  *addresses;
    SSL_CTX          *ctx;            /* NULL without TLS */
} vc_server_t;


/*
 * Takes ws://HOST[:PORT][/PATH] or wss://...; error: at least VC_ERROR_MAX
 * bytes for a text that names the value and what was expected.
 */
bool vc_server_parse(vc_server_t *server, const char *url, char *error);

/* Its host is an IP address: there is no name to look up or to show. */
bool vc_server_literal(const vc_server_t *server);

/*
 * Resolves the host and, for wss, makes the TLS context: certificates are
 * verified against ca (a PEM file; NULL: those of the system) unless
 * insecure.
 */
bool vc_server_open(vc_server_t *server, const char *ca, bool insecure,
    char *error);

/* The TLS context alone, whatever the URL is. */
bool vc_server_secure(vc_server_t *server, const char *ca, bool insecure,
    char *error);

void vc_server_close(vc_server_t *server);

/*
 * Whether both URLs name one place; a slash at the end of the path makes no
 * difference.
 */
bool vc_server_same(const vc_server_t *a, const vc_server_t *b);


#endif /* _VC_SERVER_H_INCLUDED_ */
