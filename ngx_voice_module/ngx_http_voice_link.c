/*
 * Copyright (C) ngx-voice contributors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>
#include <ngx_event_connect.h>

#include "ngx_http_voice_link.h"


/* From the request to its answer, ms, and more for each so many bytes. */
#define NGX_HTTP_VOICE_LINK_TIMEOUT    2000
#define NGX_HTTP_VOICE_LINK_BYTES      1024


static void ngx_http_voice_link_handler(ngx_event_t *ev);
static void ngx_http_voice_link_timer_handler(ngx_event_t *ev);


ngx_int_t
ngx_http_voice_link_init(ngx_http_voice_link_t *link, const char *url,
    const char **why)
{
    size_t      prefix;
    ngx_url_t  *u = &link->parsed;

    link->https = (ngx_strncmp(url, "https://", 8) == 0);
    prefix = link->https ? 8 : 7;

    if (!link->https && ngx_strncmp(url, "http://", 7) != 0) {
        *why = "http:// or https:// is expected";
        return NGX_DECLINED;
    }

    if (link->https && !link->conf->trusted) {
        *why = "https needs a \"voice_peer_trusted_certificate\" directive";
        return NGX_DECLINED;
    }

    if (!link->https && link->conf->keys.n == 0) {
        *why = "http needs a \"voice_peer_key\" directive";
        return NGX_DECLINED;
    }

    link->pool = ngx_create_pool(1024, link->log);

    if (link->pool == NULL) {
        *why = "no memory";
        return NGX_DECLINED;
    }

    u->url.len = ngx_strlen(url) - prefix;
    u->url.data = ngx_pnalloc(link->pool, u->url.len + 1);

    if (u->url.data == NULL) {
        *why = "no memory";
        goto failed;
    }

    ngx_memcpy(u->url.data, url + prefix, u->url.len + 1);
    u->default_port = link->https ? 443 : 80;
    u->uri_part = 1;
    u->no_resolve = 1;

    /* a worker never waits for a name server */

    if (ngx_parse_url(link->pool, u) != NGX_OK || u->naddrs == 0) {
        *why = "a literal address is expected";
        goto failed;
    }

    if (u->uri.len == 0) {
        ngx_str_set(&u->uri, "/");
    }

    voice_buf_growing(&link->out, NULL, VOICE_PEER_MESSAGE_MAX + 1024);

    link->timer.handler = ngx_http_voice_link_timer_handler;
    link->timer.data = link;
    link->timer.log = link->log;
    link->timer.cancelable = 1;

    return NGX_OK;

failed:

    ngx_destroy_pool(link->pool);
    link->pool = NULL;

    return NGX_DECLINED;
}


static void
ngx_http_voice_link_disconnect(ngx_http_voice_link_t *link)
{
    ngx_connection_t  *c = link->connection;

    if (c == NULL) {
        return;
    }

    link->connection = NULL;
    link->ready = 0;

#if (NGX_SSL)
    if (c->ssl != NULL) {
        c->ssl->no_wait_shutdown = 1;
        c->ssl->no_send_shutdown = 1;
        (void) ngx_ssl_shutdown(c);
    }
#endif

    if (c->pool != NULL) {
        ngx_destroy_pool(c->pool);
    }

    ngx_close_connection(c);
}


void
ngx_http_voice_link_close(ngx_http_voice_link_t *link)
{
    ngx_http_voice_link_disconnect(link);

    if (link->timer.timer_set) {
        ngx_del_timer(&link->timer);
    }

    voice_buf_free(&link->out);

    if (link->pool != NULL) {
        ngx_destroy_pool(link->pool);
        link->pool = NULL;
    }
}


/* The end of a request; the handler may free the link. */

static void
ngx_http_voice_link_done(ngx_http_voice_link_t *link,
    const voice_peer_answer_t *answer, const char *why)
{
    if (answer == NULL) {
        ngx_http_voice_link_disconnect(link);
    }

    if (link->timer.timer_set) {
        ngx_del_timer(&link->timer);
    }

    link->busy = 0;
    link->received = 0;

    link->handler(link, answer, why);
}


static void
ngx_http_voice_link_timer_handler(ngx_event_t *ev)
{
    ngx_http_voice_link_t  *link = ev->data;

    ngx_http_voice_link_done(link, NULL, link->failed != NULL ? link->failed
                                                              : "no answer");
}


/* What went wrong inside of a call of _post() is told by the timer. */

static void
ngx_http_voice_link_fail(ngx_http_voice_link_t *link, const char *why)
{
    ngx_http_voice_link_disconnect(link);

    link->failed = why;
    ngx_add_timer(&link->timer, 1);
}


static ngx_int_t
ngx_http_voice_link_send(ngx_http_voice_link_t *link)
{
    ssize_t            n;
    ngx_connection_t  *c = link->connection;

    while (link->sent < link->out.len) {

        n = c->send(c, (u_char *) link->out.data + link->sent,
                    link->out.len - link->sent);

        if (n == NGX_AGAIN) {
            break;
        }

        if (n == NGX_ERROR || n == 0) {
            return NGX_ERROR;
        }

        link->sent += n;
    }

    return ngx_handle_write_event(c->write, 0);
}


/* NGX_AGAIN: more has to come. */

static ngx_int_t
ngx_http_voice_link_parse(ngx_http_voice_link_t *link,
    voice_peer_answer_t *answer, const char **why)
{
    u_char     *p, *body, *last;
    ngx_int_t   len;

    last = link->in + link->received;
    *last = '\0';

    body = (u_char *) ngx_strstr(link->in, "\r\n\r\n");

    if (body == NULL) {
        return NGX_AGAIN;
    }

    body += 4;

    if (ngx_strncmp(link->in, "HTTP/1.1 200", 12) != 0) {
        *why = (ngx_strncmp(link->in, "HTTP/1.1 4", 10) == 0)
               ? "it refuses what we say" : "it answers with an error";
        return NGX_ERROR;
    }

    p = ngx_strcasestrn(link->in, "\r\nContent-Length: ", 18 - 1);
    len = NGX_ERROR;

    if (p != NULL && p < body) {
        p += 18;
        len = ngx_atoi(p, ngx_strstr(p, "\r\n") - (char *) p);
    }

    if (len == NGX_ERROR) {
        *why = "its answer has no Content-Length";
        return NGX_ERROR;
    }

    if (last - body < len) {
        return NGX_AGAIN;
    }

    if (voice_peer_answer_decode((char *) body, len, answer, why) != VOICE_OK)
    {
        return NGX_ERROR;
    }

    p = ngx_strcasestrn(link->in, "\r\nConnection: close", 19 - 1);

    return (p != NULL && p < body) ? NGX_DONE : NGX_OK;
}


static void
ngx_http_voice_link_read(ngx_http_voice_link_t *link)
{
    ssize_t               n;
    ngx_int_t             rc;
    const char           *why;
    ngx_connection_t     *c = link->connection;
    voice_peer_answer_t   answer;

    for ( ;; ) {
        n = c->recv(c, link->in + link->received,
                    sizeof(link->in) - 1 - link->received);

        if (n == NGX_AGAIN) {
            if (ngx_handle_read_event(c->read, 0) != NGX_OK && link->busy) {
                ngx_http_voice_link_done(link, NULL, "internal error");
            }

            return;
        }

        if (!link->busy || n == NGX_ERROR || n == 0) {

            if (link->busy) {
                ngx_http_voice_link_done(link, NULL, "connection lost");
            } else {
                ngx_http_voice_link_disconnect(link);
            }

            return;
        }

        link->received += n;
        rc = ngx_http_voice_link_parse(link, &answer, &why);

        if (rc == NGX_AGAIN && link->received < sizeof(link->in) - 1) {
            continue;
        }

        if (rc == NGX_AGAIN) {
            rc = NGX_ERROR;
            why = "its answer is too long";
        }

        if (rc == NGX_DONE) {
            ngx_http_voice_link_disconnect(link);
        }

        ngx_http_voice_link_done(link, rc == NGX_ERROR ? NULL : &answer, why);
        return;
    }
}


#if (NGX_SSL)

static const char *
ngx_http_voice_link_verify(ngx_http_voice_link_t *link)
{
    int          ok;
    X509        *cert;
    char         host[NGX_SOCKADDR_STRLEN + 1];
    ngx_str_t    name;
    SSL         *ssl = link->connection->ssl->connection;

    if (SSL_get_verify_result(ssl) != X509_V_OK) {
        return "its certificate is not of our authority";
    }

    cert = SSL_get_peer_certificate(ssl);

    if (cert == NULL) {
        return "it has no certificate";
    }

    name = link->parsed.host;

    if (name.len > 2 && name.data[0] == '[') {
        name.data++;
        name.len -= 2;
    }

    (void) ngx_cpystrn((u_char *) host, name.data,
                       ngx_min(name.len + 1, sizeof(host)));

    ok = X509_check_ip_asc(cert, host, 0);
    X509_free(cert);

    return ok == 1 ? NULL : "its certificate is of another address";
}


static void
ngx_http_voice_link_shaken(ngx_connection_t *c)
{
    const char             *why;
    ngx_http_voice_link_t  *link = c->data;

    if (!c->ssl->handshaked) {
        ngx_http_voice_link_done(link, NULL, "TLS handshake failed");
        return;
    }

    why = ngx_http_voice_link_verify(link);

    if (why != NULL) {
        ngx_http_voice_link_done(link, NULL, why);
        return;
    }

    link->ready = 1;
    c->read->handler = ngx_http_voice_link_handler;
    c->write->handler = ngx_http_voice_link_handler;

    ngx_http_voice_link_handler(c->write);
}


/* NGX_OK: may go on; NGX_AGAIN: not yet. */

static ngx_int_t
ngx_http_voice_link_handshake(ngx_http_voice_link_t *link)
{
    ngx_int_t          rc;
    ngx_connection_t  *c = link->connection;

    if (c->ssl == NULL
        && ngx_ssl_create_connection(link->conf->ssl, c,
                                     NGX_SSL_BUFFER|NGX_SSL_CLIENT)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    rc = ngx_ssl_handshake(c);

    if (rc == NGX_AGAIN) {

        /* nginx's own handlers know nothing of c->close */

        c->read->handler = ngx_http_voice_link_handler;
        c->write->handler = ngx_http_voice_link_handler;

        return NGX_AGAIN;
    }

    ngx_http_voice_link_shaken(c);

    return NGX_AGAIN;
}

#endif


static ngx_int_t
ngx_http_voice_link_connected(ngx_connection_t *c)
{
    int        err;
    socklen_t  len;

    err = 0;
    len = sizeof(int);

    if (getsockopt(c->fd, SOL_SOCKET, SO_ERROR, (void *) &err, &len) == -1) {
        err = ngx_socket_errno;
    }

    return err == 0 ? NGX_OK : NGX_ERROR;
}


static void
ngx_http_voice_link_handler(ngx_event_t *ev)
{
    ngx_connection_t       *c = ev->data;
    ngx_http_voice_link_t  *link = c->data;

    if (c->close) {
        ngx_http_voice_link_disconnect(link);
        return;
    }

    if (!link->ready) {

        if (ngx_http_voice_link_connected(c) != NGX_OK) {
            ngx_http_voice_link_done(link, NULL, "can't connect");
            return;
        }

#if (NGX_SSL)
        if (link->https) {
            if (ngx_http_voice_link_handshake(link) == NGX_ERROR) {
                ngx_http_voice_link_done(link, NULL, "no TLS");
            }

            return;
        }
#endif

        link->ready = 1;
    }

    if (link->busy && link->sent < link->out.len
        && ngx_http_voice_link_send(link) != NGX_OK)
    {
        ngx_http_voice_link_done(link, NULL, "connection lost");
        return;
    }

    if (!ev->write) {
        ngx_http_voice_link_read(link);
    }
}


static ngx_int_t
ngx_http_voice_link_connect(ngx_http_voice_link_t *link)
{
    ngx_int_t               rc;
    ngx_connection_t       *c;
    ngx_peer_connection_t  *pc = &link->pc;

    ngx_memzero(pc, sizeof(ngx_peer_connection_t));

    pc->sockaddr = link->parsed.addrs[0].sockaddr;
    pc->socklen = link->parsed.addrs[0].socklen;
    pc->name = &link->parsed.addrs[0].name;
    pc->get = ngx_event_get_peer;
    pc->log = link->log;
    pc->log_error = NGX_ERROR_INFO;

    rc = ngx_event_connect_peer(pc);

    if (rc != NGX_OK && rc != NGX_AGAIN) {
        if (pc->connection != NULL) {
            ngx_close_connection(pc->connection);
            pc->connection = NULL;
        }

        return NGX_ERROR;
    }

    c = pc->connection;

    link->connection = c;
    link->ready = 0;

    c->data = link;
    c->log = link->log;
    c->read->log = link->log;
    c->write->log = link->log;
    c->pool = ngx_create_pool(256, link->log);
    c->sendfile = 0;
    c->idle = 1;
    c->read->handler = ngx_http_voice_link_handler;
    c->write->handler = ngx_http_voice_link_handler;

    if (c->pool == NULL) {
        ngx_http_voice_link_disconnect(link);
        return NGX_ERROR;
    }

    return rc;
}


void
ngx_http_voice_link_post(ngx_http_voice_link_t *link, const voice_buf_t *body)
{
    char          mac[NGX_HTTP_VOICE_PEER_MAC];
    ngx_int_t     rc;
    ngx_str_t    *host;
    voice_buf_t  *b = &link->out;

    link->busy = 1;
    link->sent = 0;
    link->received = 0;
    link->failed = NULL;

    host = &link->parsed.host;

    voice_buf_reset(b);
    voice_buf_puts(b, "POST ");
    voice_buf_put(b, link->parsed.uri.data, link->parsed.uri.len);
    voice_buf_puts(b, " HTTP/1.1\r\nHost: ");
    voice_buf_put(b, host->data, host->len);
    voice_buf_printf(b, "\r\nContent-Type: application/json\r\n"
                     "Content-Length: %zu\r\n", body->len);

    if (link->conf->keys.n != 0) {
        ngx_http_voice_peer_sign(&link->conf->keys, ngx_time(),
                                 (u_char *) body->data, body->len, mac);
        voice_buf_printf(b, "%s: %s\r\n", NGX_HTTP_VOICE_PEER_HEADER, mac);
    }

    voice_buf_puts(b, "\r\n");
    voice_buf_put(b, body->data, body->len);

    if (voice_buf_done(b) != VOICE_OK) {
        ngx_http_voice_link_fail(link, "no memory");
        return;
    }

    ngx_add_timer(&link->timer, NGX_HTTP_VOICE_LINK_TIMEOUT
                                + b->len / NGX_HTTP_VOICE_LINK_BYTES);

    if (link->connection == NULL) {
        rc = ngx_http_voice_link_connect(link);

        if (rc == NGX_ERROR) {
            ngx_http_voice_link_fail(link, "can't connect");
            return;
        }

        if (rc == NGX_AGAIN) {
            return;
        }

        /* on this machine: it is there at once, the write event tells */
        ngx_post_event(link->connection->write, &ngx_posted_events);
        return;
    }

    if (ngx_http_voice_link_send(link) != NGX_OK) {
        ngx_http_voice_link_fail(link, "connection lost");
    }
}
