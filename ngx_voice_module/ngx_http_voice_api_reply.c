/*
 * Copyright (C) ngx-voice contributors
 *
 * Answers of REST, and what the log and the counters tell of a request.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_voice_api.h"


#define NGX_HTTP_VOICE_API_REASON      512      /* as Discord's longest */


static ngx_int_t
ngx_http_voice_api_header(ngx_http_request_t *r, const char *name,
    const char *fmt, ngx_uint_t value, ngx_uint_t more)
{
    u_char           *p;
    ngx_table_elt_t  *h;

    h = ngx_list_push(&r->headers_out.headers);
    p = ngx_pnalloc(r->pool, 64);

    if (h == NULL) {
        return NGX_ERROR;
    }

    ngx_memzero(h, sizeof(ngx_table_elt_t));

    if (p == NULL) {
        return NGX_ERROR;
    }

    h->hash = 1;
    h->key.data = (u_char *) name;
    h->key.len = ngx_strlen(name);
    h->value.data = p;
    h->value.len = ngx_snprintf(p, 64, fmt, value, more) - p;

    return NGX_OK;
}


void
ngx_http_voice_api_reply(ngx_http_voice_api_t *api, ngx_uint_t status)
{
    ngx_int_t            rc;
    ngx_buf_t           *b;
    ngx_chain_t          out;
    ngx_http_request_t  *r = api->request;

    if (voice_buf_done(&api->reply) != VOICE_OK) {
        ngx_http_finalize_request(r, NGX_HTTP_INTERNAL_SERVER_ERROR);
        return;
    }

    r->headers_out.status = status;
    r->headers_out.content_length_n = (status == NGX_HTTP_NO_CONTENT)
                                      ? 0 : (off_t) api->reply.len;

    if (status == NGX_HTTP_NO_CONTENT) {
        r->header_only = 1;

    } else {
        /* exactly this: a library looks at nothing else */
        ngx_str_set(&r->headers_out.content_type, "application/json");
        r->headers_out.content_type_len = r->headers_out.content_type.len;
    }

    rc = ngx_http_send_header(r);

    if (rc == NGX_ERROR || rc > NGX_OK || r->header_only) {
        ngx_http_finalize_request(r, rc);
        return;
    }

    b = ngx_calloc_buf(r->pool);

    if (b == NULL) {
        ngx_http_finalize_request(r, NGX_ERROR);
        return;
    }

    b->pos = (u_char *) api->reply.data;
    b->last = b->pos + api->reply.len;
    b->memory = 1;
    b->last_buf = (r == r->main) ? 1 : 0;
    b->last_in_chain = 1;

    out.buf = b;
    out.next = NULL;

    ngx_http_finalize_request(r, ngx_http_output_filter(r, &out));
}


void
ngx_http_voice_api_error(ngx_http_voice_api_t *api, voice_rest_error_t error)
{
    voice_buf_reset(&api->reply);
    voice_shape_error(&api->reply, error);

    ngx_http_voice_api_reply(api, voice_rest_status(error));
}


void
ngx_http_voice_api_field(ngx_http_voice_api_t *api, const char *pointer,
    const char *message)
{
    voice_buf_reset(&api->reply);
    voice_shape_field_error(&api->reply, pointer, message);

    ngx_http_voice_api_reply(api,
                             voice_rest_status(VOICE_REST_INVALID_FORM));
}


void
ngx_http_voice_api_limited(ngx_http_voice_api_t *api)
{
    ngx_time_t          *tp = ngx_timeofday();
    ngx_uint_t           now = (ngx_uint_t) tp->sec * 1000 + tp->msec;
    ngx_uint_t           retry = (ngx_uint_t) api->left.retry;
    ngx_http_request_t  *r = api->request;

    /* until there is one again; Retry-After has no parts of a second */

    if (ngx_http_voice_api_header(r, "Retry-After", "%ui",
                                  (retry + 999) / 1000, 0)
        != NGX_OK
        || ngx_http_voice_api_header(r, "X-RateLimit-Limit", "%ui",
                                     api->conf->api_burst, 0)
           != NGX_OK
        || ngx_http_voice_api_header(r, "X-RateLimit-Remaining", "%ui",
                                     api->left.remaining, 0)
           != NGX_OK
        || ngx_http_voice_api_header(r, "X-RateLimit-Reset", "%ui.%03ui",
                                     (now + retry) / 1000,
                                     (now + retry) % 1000)
           != NGX_OK
        || ngx_http_voice_api_header(r, "X-RateLimit-Reset-After",
                                     "%ui.%03ui", retry / 1000, retry % 1000)
           != NGX_OK
        || ngx_http_voice_api_header(r, "X-RateLimit-Global", "true", 0, 0)
           != NGX_OK
        || ngx_http_voice_api_header(r, "X-RateLimit-Scope", "global", 0, 0)
           != NGX_OK)
    {
        ngx_http_finalize_request(r, NGX_HTTP_INTERNAL_SERVER_ERROR);
        return;
    }

    voice_buf_reset(&api->reply);
    voice_shape_rate_limited(&api->reply, (uint32_t) retry, true);

    ngx_http_voice_api_reply(api, voice_rest_status(VOICE_REST_RATE_LIMITED));
}


ngx_str_t *
ngx_http_voice_api_header_in(ngx_http_request_t *r, const char *name)
{
    size_t            len;
    ngx_uint_t        i;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *h;

    len = ngx_strlen(name);

    for (part = &r->headers_in.headers.part; part != NULL; part = part->next) {
        h = part->elts;

        for (i = 0; i < part->nelts; i++) {
            if (h[i].key.len == len
                && ngx_strncasecmp(h[i].key.data, (u_char *) name, len) == 0)
            {
                return &h[i].value;
            }
        }
    }

    return NULL;
}


/*
 * Why, as the caller says, who has percent-encoded it.  It can't get out of
 * its quotes or its line, and does nothing to a terminal that shows it.
 */

static void
ngx_http_voice_api_reason(ngx_http_voice_api_t *api, ngx_str_t *reason)
{
    size_t      i;
    u_char     *dst, *src;
    ngx_str_t  *value;

    ngx_str_null(reason);

    value = ngx_http_voice_api_header_in(api->request, "X-Audit-Log-Reason");

    if (value == NULL) {
        return;
    }

    dst = ngx_pnalloc(api->request->pool, value->len);
    if (dst == NULL) {
        return;
    }

    reason->data = dst;
    src = value->data;
    ngx_unescape_uri(&dst, &src, value->len, 0);
    reason->len = ngx_min((size_t) (dst - reason->data),
                          NGX_HTTP_VOICE_API_REASON);

    for (i = 0; i < reason->len; i++) {
        dst = &reason->data[i];

        if (*dst < 0x20 || *dst == 0x7f) {
            *dst = '?';

        } else if (*dst == '"') {
            *dst = '\'';

        /* U+0080 to U+009F: control characters, too */

        } else if (i != 0 && dst[-1] == 0xc2 && *dst >= 0x80 && *dst < 0xa0) {
            dst[-1] = '?';
            *dst = '?';
        }
    }
}


void
ngx_http_voice_api_log(ngx_http_voice_api_t *api, const char *what,
    uint64_t user_id, uint64_t channel_id)
{
    ngx_str_t  reason;

    ngx_http_voice_api_reason(api, &reason);

    ngx_log_error(NGX_LOG_INFO, api->log, 0,
                  "voice user %uL of guild %uL is %s, channel %uL, by %s %uL, "
                  "reason: \"%V\"", user_id, api->guild_id, what, channel_id,
                  api->token != NULL ? "user" : "platform",
                  api->token != NULL ? api->token->user_id : (uint64_t) 0,
                  &reason);
}


void
ngx_http_voice_api_count(void *data)
{
    ngx_uint_t             i, status;
    ngx_http_request_t    *r;
    ngx_http_voice_api_t  *api = data;

    static const struct {
        ngx_uint_t      status;
        voice_metric_t  metric;
    } counters[] = {
        { NGX_HTTP_OK, VOICE_M_API_200 },
        { NGX_HTTP_CREATED, VOICE_M_API_201 },
        { NGX_HTTP_NO_CONTENT, VOICE_M_API_204 },
        { NGX_HTTP_BAD_REQUEST, VOICE_M_API_400 },
        { NGX_HTTP_UNAUTHORIZED, VOICE_M_API_401 },
        { NGX_HTTP_FORBIDDEN, VOICE_M_API_403 },
        { NGX_HTTP_NOT_FOUND, VOICE_M_API_404 },
        { NGX_HTTP_NOT_ALLOWED, VOICE_M_API_405 },
        { NGX_HTTP_REQUEST_ENTITY_TOO_LARGE, VOICE_M_API_413 },
        { NGX_HTTP_TOO_MANY_REQUESTS, VOICE_M_API_429 },
        { NGX_HTTP_INTERNAL_SERVER_ERROR, VOICE_M_API_500 },
        { NGX_HTTP_SERVICE_UNAVAILABLE, VOICE_M_API_503 }
    };

    r = api->request;
    status = (r->err_status != 0) ? r->err_status : r->headers_out.status;

    for (i = 0; i < sizeof(counters) / sizeof(counters[0]); i++) {
        if (counters[i].status == status) {
            break;
        }
    }

    voice_metric_add(voice_zone_metrics(api->zone),
                     i < sizeof(counters) / sizeof(counters[0])
                     ? counters[i].metric : VOICE_M_API_OTHER, 1);
}
