/*
 * Copyright (C) ngx-voice contributors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include <ngx_sha1.h>

#include "ngx_http_voice_handshake.h"


/* Is it one of the comma-separated words of a header? */

static ngx_uint_t
ngx_http_voice_handshake_has_token(ngx_str_t *value, const char *token)
{
    size_t   len;
    u_char  *p, *last, *end;

    len = ngx_strlen(token);
    last = value->data + value->len;

    for (p = value->data; p < last; p = end + 1) {

        while (p < last && (*p == ' ' || *p == '\t')) {
            p++;
        }

        end = ngx_strlchr(p, last, ',');
        if (end == NULL) {
            end = last;
        }

        if ((size_t) (end - p) >= len
            && ngx_strncasecmp(p, (u_char *) token, len) == 0)
        {
            for (p += len; p < end && (*p == ' ' || *p == '\t'); p++) {
                /* void */
            }

            if (p == end) {
                return 1;
            }
        }
    }

    return 0;
}


/*
 * The first header of a name, or the first one that has a token.  nginx's
 * own headers_in.connection is not filled in.
 */

static ngx_table_elt_t *
ngx_http_voice_handshake_header(ngx_http_request_t *r, const char *name,
    const char *token)
{
    size_t            len;
    ngx_uint_t        i;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *h;

    len = ngx_strlen(name);
    part = &r->headers_in.headers.part;
    h = part->elts;

    for (i = 0; /* void */ ; i++) {

        if (i >= part->nelts) {
            part = part->next;

            if (part == NULL) {
                return NULL;
            }

            h = part->elts;
            i = 0;
        }

        if (h[i].key.len == len
            && ngx_strncasecmp(h[i].key.data, (u_char *) name, len) == 0
            && (token == NULL
                || ngx_http_voice_handshake_has_token(&h[i].value, token)))
        {
            return &h[i];
        }
    }
}


/* 16 bytes in base64 */

static ngx_uint_t
ngx_http_voice_handshake_key_valid(ngx_str_t *key)
{
    u_char     buf[ngx_base64_decoded_length(24) + 1];
    ngx_str_t  dst;

    if (key->len != 24) {
        return 0;
    }

    dst.data = buf;

    return ngx_decode_base64(&dst, key) == NGX_OK && dst.len == 16;
}


ngx_int_t
ngx_http_voice_handshake_check(ngx_http_request_t *r)
{
    ngx_table_elt_t  *key, *version;

    /* HTTP/2 has no Upgrade (RFC 9113, 8.6) */
    if (r->method != NGX_HTTP_GET || r != r->main
#if (NGX_HTTP_V2)
        || r->stream
#endif
        || ngx_http_voice_handshake_header(r, "Upgrade", "websocket") == NULL)
    {
        return NGX_DECLINED;
    }

    if (r->http_version != NGX_HTTP_VERSION_11
        || ngx_http_voice_handshake_header(r, "Connection", "upgrade") == NULL)
    {
        ngx_log_error(NGX_LOG_INFO, r->connection->log, 0,
                      "websocket handshake without \"HTTP/1.1\" and "
                      "\"Connection: Upgrade\"");
        return NGX_HTTP_BAD_REQUEST;
    }

    if (r->headers_in.content_length_n > 0 || r->headers_in.chunked) {
        ngx_log_error(NGX_LOG_INFO, r->connection->log, 0,
                      "websocket handshake with a body");
        return NGX_HTTP_BAD_REQUEST;
    }

    version = ngx_http_voice_handshake_header(r, "Sec-WebSocket-Version", NULL);

    if (version == NULL || version->value.len != 2
        || ngx_strncmp(version->value.data, "13", 2) != 0)
    {
        ngx_log_error(NGX_LOG_INFO, r->connection->log, 0,
                      "websocket handshake without "
                      "\"Sec-WebSocket-Version: 13\"");
        return NGX_HTTP_VOICE_UPGRADE_REQUIRED;
    }

    key = ngx_http_voice_handshake_header(r, "Sec-WebSocket-Key", NULL);

    if (key == NULL || !ngx_http_voice_handshake_key_valid(&key->value)) {
        ngx_log_error(NGX_LOG_INFO, r->connection->log, 0,
                      "websocket handshake without a \"Sec-WebSocket-Key\" "
                      "of 16 bytes in base64");
        return NGX_HTTP_BAD_REQUEST;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_voice_handshake_add_header(ngx_http_request_t *r, const char *name,
    const char *value, size_t len)
{
    ngx_table_elt_t  *h;

    h = ngx_list_push(&r->headers_out.headers);
    if (h == NULL) {
        return NGX_ERROR;
    }

    ngx_memzero(h, sizeof(ngx_table_elt_t));

    h->hash = 1;
    h->key.data = (u_char *) name;
    h->key.len = ngx_strlen(name);
    h->value.len = len;
    h->value.data = ngx_pnalloc(r->pool, len);

    if (h->value.data == NULL) {
        h->hash = 0;
        return NGX_ERROR;
    }

    ngx_memcpy(h->value.data, value, len);

    return NGX_OK;
}


/*
 * RFC 6455, 4.4.  Not by nginx's error pages: they would drop the header and
 * know no text for 426.
 */

ngx_int_t
ngx_http_voice_handshake_refuse(ngx_http_request_t *r)
{
    if (ngx_http_voice_handshake_add_header(r, "Sec-WebSocket-Version", "13", 2)
        != NGX_OK
        || ngx_http_voice_handshake_add_header(r, "Upgrade", "websocket", 9)
           != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    r->headers_out.status = NGX_HTTP_VOICE_UPGRADE_REQUIRED;
    ngx_str_set(&r->headers_out.status_line, "426 Upgrade Required");
    r->headers_out.content_length_n = 0;
    r->header_only = 1;

    return ngx_http_send_header(r);
}


ngx_int_t
ngx_http_voice_handshake_answer(ngx_http_request_t *r)
{
    u_char            accept[ngx_base64_encoded_length(20)], hash[20];
    ngx_int_t         rc;
    ngx_str_t         dst, src;
    ngx_sha1_t        sha1;
    ngx_table_elt_t  *key;

    key = ngx_http_voice_handshake_header(r, "Sec-WebSocket-Key", NULL);
    if (key == NULL) {
        return NGX_ERROR;
    }

    /* 4.2.2, 5.4 */
    ngx_sha1_init(&sha1);
    ngx_sha1_update(&sha1, key->value.data, key->value.len);
    ngx_sha1_update(&sha1, "258EAFA5-E914-47DA-95CA-C5AB0DC85B11", 36);
    ngx_sha1_final(hash, &sha1);

    src.data = hash;
    src.len = sizeof(hash);
    dst.data = accept;
    ngx_encode_base64(&dst, &src);

    if (ngx_http_voice_handshake_add_header(r, "Upgrade", "websocket", 9)
        != NGX_OK
        || ngx_http_voice_handshake_add_header(r, "Sec-WebSocket-Accept",
                                        (char *) accept, dst.len)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    r->headers_out.status = NGX_HTTP_SWITCHING_PROTOCOLS;
    ngx_str_set(&r->headers_out.status_line, "101 Switching Protocols");

    r->keepalive = 0;

    /* else the write event may be delayed, and with it the messages */
    r->limit_rate = 0;
    r->limit_rate_set = 1;

    rc = ngx_http_send_header(r);

    if (rc == NGX_ERROR || rc > NGX_OK || r->header_only) {
        return NGX_ERROR;
    }

    /* without it the header waits in postpone_output */
    if (ngx_http_send_special(r, NGX_HTTP_FLUSH) == NGX_ERROR) {
        return NGX_ERROR;
    }

    if (r->out != NULL || r->connection->buffered) {
        ngx_log_error(NGX_LOG_INFO, r->connection->log, 0,
                      "client doesn't take the websocket handshake");
        return NGX_ERROR;
    }

    return NGX_OK;
}
