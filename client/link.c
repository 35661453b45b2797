/*
 * Copyright (C) ngx-voice contributors
 */


#define _GNU_SOURCE

#include "link.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>


static bool vc_link_connect(vc_link_t *link);
static void vc_link_next(vc_link_t *link, int err);
static bool vc_link_tls(vc_link_t *link);
static ssize_t vc_link_ssl_result(vc_link_t *link, int rc, const char *what);
static void vc_link_fail(vc_link_t *link, const char *what, const char *why);


void
vc_link_start(vc_link_t *link, vc_loop_t *loop, const vc_server_t *server,
    void (*handler)(void *data), void *data)
{
    memset(link, 0, sizeof(vc_link_t));

    link->loop = loop;
    link->server = server;
    link->address = server->addresses;
    link->watch.fd = -1;
    link->watch.handler = handler;
    link->watch.data = data;
    link->state = VC_LINK_CONNECTING;

    while (link->state == VC_LINK_CONNECTING && !vc_link_connect(link)) {
        vc_link_next(link, errno);
    }
}


static bool
vc_link_connect(vc_link_t *link)
{
    int                     fd, on;
    const struct addrinfo  *ai;

    ai = link->address;

    fd = socket(ai->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd == -1) {
        return false;
    }

    on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));

    link->watch.fd = fd;

    if ((connect(fd, ai->ai_addr, ai->ai_addrlen) == -1
         && errno != EINPROGRESS)
        || !vc_watch_add(link->loop, &link->watch))
    {
        on = errno;
        close(fd);
        link->watch.fd = -1;
        errno = on;
        return false;
    }

    return true;
}


/* Gives this address up; the caller connects to the next one, if any. */
static void
vc_link_next(vc_link_t *link, int err)
{
    if (link->watch.fd != -1) {
        vc_watch_del(link->loop, &link->watch);
        close(link->watch.fd);
        link->watch.fd = -1;
    }

    link->address = link->address->ai_next;

    if (link->address == NULL) {
        vc_link_fail(link, "connect", strerror(err));
    }
}


vc_link_state_t
vc_link_step(vc_link_t *link)
{
    int                      err;
    socklen_t                len;
    struct sockaddr_storage  peer;

    if (link->state == VC_LINK_CONNECTING) {
        err = 0;
        len = sizeof(err);
        getsockopt(link->watch.fd, SOL_SOCKET, SO_ERROR, &err, &len);

        if (err != 0) {
            vc_link_next(link, err);

            while (link->state == VC_LINK_CONNECTING
                   && !vc_link_connect(link))
            {
                vc_link_next(link, errno);
            }

            return link->state;
        }

        len = sizeof(peer);
        if (getpeername(link->watch.fd, (struct sockaddr *) &peer, &len)
            == -1)
        {
            return link->state;
        }

        if (link->server->ctx == NULL) {
            link->state = VC_LINK_OPEN;

        } else if (vc_link_tls(link)) {
            link->state = VC_LINK_TLS;
        }
    }

    if (link->state == VC_LINK_TLS
        && vc_link_ssl_result(link, SSL_do_handshake(link->ssl),
                              "TLS handshake") > 0)
    {
        link->state = VC_LINK_OPEN;
    }

    return link->state;
}


static bool
vc_link_tls(vc_link_t *link)
{
    const char  *host;

    host = link->server->host;
    link->ssl = SSL_new(link->server->ctx);

    if (link->ssl == NULL || SSL_set_fd(link->ssl, link->watch.fd) != 1) {
        vc_link_fail(link, "TLS", "out of memory");
        return false;
    }

    if (vc_server_literal(link->server)) {
        X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(link->ssl), host);

    } else {
        SSL_set_tlsext_host_name(link->ssl, host);
        SSL_set1_host(link->ssl, host);
    }

    SSL_set_connect_state(link->ssl);
    return true;
}


ssize_t
vc_link_read(vc_link_t *link, void *buf, size_t len)
{
    ssize_t  n;

    if (link->ssl != NULL) {
        return vc_link_ssl_result(link, SSL_read(link->ssl, buf, (int) len),
                                  "read");
    }

    do {
        n = recv(link->watch.fd, buf, len, 0);
    } while (n == -1 && errno == EINTR);

    if (n == -1 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
        return 0;
    }

    if (n <= 0) {
        vc_link_fail(link, "read", n == 0 ? "connection closed by the server"
                                          : strerror(errno));
        return -1;
    }

    return n;
}


ssize_t
vc_link_write(vc_link_t *link, const void *buf, size_t len)
{
    ssize_t  n;

    if (link->ssl != NULL) {
        return vc_link_ssl_result(link, SSL_write(link->ssl, buf, (int) len),
                                  "write");
    }

    do {
        n = send(link->watch.fd, buf, len, MSG_NOSIGNAL);
    } while (n == -1 && errno == EINTR);

    if (n == -1 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
        return 0;
    }

    if (n == -1) {
        vc_link_fail(link, "write", strerror(errno));
    }

    return n;
}


/* The thread's error queue is shared by its connections: leave it empty. */
static ssize_t
vc_link_ssl_result(vc_link_t *link, int rc, const char *what)
{
    int          err;
    long         verify;
    const char  *why;

    if (rc > 0) {
        return rc;
    }

    err = SSL_get_error(link->ssl, rc);

    if (err == SSL_ERROR_WANT_READ || err == SSL_ERROR_WANT_WRITE) {
        return 0;
    }

    verify = SSL_get_verify_result(link->ssl);
    why = "connection closed by the server";

    if (link->server->verify && verify != X509_V_OK) {
        what = "server certificate";
        why = X509_verify_cert_error_string(verify);

    } else if (err == SSL_ERROR_SSL) {
        why = ERR_reason_error_string(ERR_peek_last_error());

        /* OpenSSL 3 reports a connection cut without close_notify so */
        if (ERR_GET_REASON(ERR_peek_last_error())
            == SSL_R_UNEXPECTED_EOF_WHILE_READING)
        {
            why = "connection cut by the server";
        }

    } else if (err == SSL_ERROR_SYSCALL && errno != 0) {
        why = strerror(errno);
    }

    vc_link_fail(link, what, why != NULL ? why : "TLS error");
    ERR_clear_error();

    return -1;
}


static void
vc_link_fail(vc_link_t *link, const char *what, const char *why)
{
    link->state = VC_LINK_FAILED;
    snprintf(link->error, sizeof(link->error), "%.80s port %s: %s: %.120s",
             link->server->host, link->server->port, what, why);
}


void
vc_link_stop(vc_link_t *link)
{
    if (link->ssl != NULL) {
        if (link->state == VC_LINK_OPEN) {
            SSL_shutdown(link->ssl);
        }

        SSL_free(link->ssl);
        link->ssl = NULL;
        ERR_clear_error();
    }

    if (link->state != VC_LINK_DOWN && link->watch.fd != -1) {
        vc_watch_del(link->loop, &link->watch);
        close(link->watch.fd);
        link->watch.fd = -1;
    }

    link->state = VC_LINK_DOWN;
}
