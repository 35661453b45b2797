/*
 * Copyright (C) ngx-voice contributors
 *
 * Compression of a gateway's messages, for clients that ask for it.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_voice_gateway.h"


/* Of a context: 16 KiB of window, 8 KiB of hash and buffer. */
#define NGX_HTTP_VOICE_DEFLATE_WBITS     12
#define NGX_HTTP_VOICE_DEFLATE_MEMLEVEL  4


ngx_int_t
ngx_http_voice_deflate_open(ngx_http_voice_gateway_t *gw,
    ngx_http_request_t *r)
{
    ngx_str_t  value;

    if (ngx_http_arg(r, (u_char *) "compress", 8, &value) != NGX_OK
        || value.len != 11
        || ngx_strncmp(value.data, "zlib-stream", 11) != 0)
    {
        return NGX_OK;
    }

    gw->deflate = ngx_calloc(sizeof(z_stream), gw->log);

    if (gw->deflate == NULL) {
        return NGX_ERROR;
    }

    if (deflateInit2(gw->deflate, Z_BEST_SPEED, Z_DEFLATED,
                     NGX_HTTP_VOICE_DEFLATE_WBITS,
                     NGX_HTTP_VOICE_DEFLATE_MEMLEVEL, Z_DEFAULT_STRATEGY)
        != Z_OK)
    {
        ngx_free(gw->deflate);
        gw->deflate = NULL;
        return NGX_ERROR;
    }

    return NGX_OK;
}


void
ngx_http_voice_deflate_close(ngx_http_voice_gateway_t *gw)
{
    if (gw->deflate != NULL) {
        (void) deflateEnd(gw->deflate);
        ngx_free(gw->deflate);
        gw->deflate = NULL;
    }
}


/* One stream for all messages, each ended by a sync flush: section 1.1. */

ngx_int_t
ngx_http_voice_deflate(ngx_http_voice_gateway_t *gw, const char *text,
    size_t len, voice_buf_t *b)
{
    int        rc;
    u_char     chunk[4096];
    z_stream  *zs = gw->deflate;

    voice_buf_reset(b);

    zs->next_in = (Bytef *) text;
    zs->avail_in = (uInt) len;

    do {
        zs->next_out = chunk;
        zs->avail_out = sizeof(chunk);

        rc = deflate(zs, Z_SYNC_FLUSH);

        if (rc != Z_OK && rc != Z_BUF_ERROR) {
            return NGX_ERROR;
        }

        voice_buf_put(b, chunk, sizeof(chunk) - zs->avail_out);

    } while (zs->avail_out == 0);

    return voice_buf_done(b) == VOICE_OK ? NGX_OK : NGX_ERROR;
}
