/*
 * Copyright (C) ngx-voice contributors
 *
 * How clients reach this nginx: as a directive says, or else as the client
 * that asks has reached it.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_voice_gateway.h"


#define NGX_HTTP_VOICE_URL_MAX       255
#define NGX_HTTP_VOICE_GATEWAY_PATH  "/gateway"


/*
 * The name that the client has used, if it is one that can stand in a URL;
 * for it goes back into JSON and is dialled.
 */

static ngx_int_t
ngx_http_voice_url_host(ngx_http_request_t *r, ngx_str_t *host)
{
    size_t  i;
    u_char  c;

    *host = r->headers_in.server;

    if (host->len == 0 || host->len > NGX_HTTP_VOICE_URL_MAX - 64) {
        return NGX_DECLINED;
    }

    for (i = 0; i < host->len; i++) {
        c = host->data[i];

        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')
              || (c >= '0' && c <= '9') || c == '.' || c == '-' || c == '_'
              || c == ':' || c == '[' || c == ']'))
        {
            return NGX_DECLINED;
        }
    }

    return NGX_OK;
}


static in_port_t
ngx_http_voice_url_port(ngx_http_request_t *r)
{
    if (ngx_connection_local_sockaddr(r->connection, NULL, 0) != NGX_OK) {
        return 0;
    }

    return ngx_inet_get_port(r->connection->local_sockaddr);
}


/*
 * The port of the Host header, which is what the client has dialled, be there
 * a port mapping before us; else the socket's.
 */

static ngx_uint_t
ngx_http_voice_url_client_port(ngx_http_request_t *r)
{
    u_char     *p, *last;
    ngx_int_t   n;
    ngx_str_t  *value;

    if (r->headers_in.host != NULL) {
        value = &r->headers_in.host->value;
        last = value->data + value->len;

        for (p = last; p > value->data && p[-1] >= '0' && p[-1] <= '9'; p--) {
            /* void */
        }

        if (p > value->data && p < last && p[-1] == ':') {
            n = ngx_atoi(p, last - p);
            return (n > 0 && n < 65536) ? (ngx_uint_t) n : 0;
        }
    }

    return 0;
}


static ngx_uint_t
ngx_http_voice_url_tls(ngx_http_request_t *r)
{
#if (NGX_HTTP_SSL)
    return r->connection->ssl != NULL;
#else
    return 0;
#endif
}


static u_char *
ngx_http_voice_url_alloc(ngx_http_request_t *r, size_t len)
{
    return ngx_pnalloc(r->pool, len + 1);
}


ngx_int_t
ngx_http_voice_gateway_url(ngx_http_request_t *r, ngx_uint_t slash,
    ngx_str_t *url)
{
    u_char                     *p;
    ngx_str_t                   host;
    ngx_uint_t                  port, tls;
    ngx_http_voice_loc_conf_t  *vlcf;

    vlcf = ngx_http_get_module_loc_conf(r, ngx_http_voice_module);

    url->data = ngx_http_voice_url_alloc(r, vlcf->gateway_url.len
                                            + NGX_HTTP_VOICE_URL_MAX);
    if (url->data == NULL) {
        return NGX_ERROR;
    }

    p = url->data;

    if (vlcf->gateway_url.len != 0) {
        p = ngx_cpymem(p, vlcf->gateway_url.data, vlcf->gateway_url.len);

    } else {

        if (ngx_http_voice_url_host(r, &host) != NGX_OK) {
            ngx_str_set(&host, "localhost");
        }

        tls = ngx_http_voice_url_tls(r);
        port = ngx_http_voice_url_client_port(r);

        p = ngx_sprintf(p, "%s://%V", tls ? "wss" : "ws", &host);

        if (port != 0 && port != (tls ? 443 : 80)) {
            p = ngx_sprintf(p, ":%ui", port);
        }

        p = ngx_cpymem(p, NGX_HTTP_VOICE_GATEWAY_PATH,
                       sizeof(NGX_HTTP_VOICE_GATEWAY_PATH) - 1);
    }

    if (slash && p[-1] != '/') {
        *p++ = '/';
    }

    *p = '\0';
    url->len = p - url->data;

    return NGX_OK;
}


/* Some clients drop a port of 80, others need one: it is always there. */

ngx_int_t
ngx_http_voice_endpoint(ngx_http_request_t *r, ngx_str_t *endpoint)
{
    u_char                     *p;
    ngx_str_t                   host;
    ngx_uint_t                  port;
    ngx_http_voice_loc_conf_t  *vlcf;
    ngx_http_core_srv_conf_t   *cscf;

    vlcf = ngx_http_get_module_loc_conf(r, ngx_http_voice_module);

    /* by the directive: parsed once, NUL-terminated as nginx's words are */

    if (vlcf->endpoint.len != 0) {
        *endpoint = vlcf->endpoint;
        return NGX_OK;
    }

    if (ngx_http_voice_url_host(r, &host) != NGX_OK) {
        cscf = ngx_http_get_module_srv_conf(r, ngx_http_core_module);
        host = cscf->server_name;
    }

    if (host.len == 0 || host.len > NGX_HTTP_VOICE_URL_MAX - 64) {
        ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                      "voice clients can't be told where to connect to: "
                      "\"voice_endpoint\" or \"server_name\" is needed");
        return NGX_ERROR;
    }

    port = ngx_http_voice_url_client_port(r);

    if (port == 0) {
        port = ngx_http_voice_url_port(r);
    }

    p = ngx_http_voice_url_alloc(r, NGX_HTTP_VOICE_URL_MAX);
    if (p == NULL) {
        return NGX_ERROR;
    }

    endpoint->data = p;
    p = ngx_sprintf(p, "%V:%ui", &host, port != 0 ? port : 443);
    *p = '\0';
    endpoint->len = p - endpoint->data;

    return NGX_OK;
}
