/*
 * Copyright (C) ngx-voice contributors
 *
 * Server-sent events (WHATWG HTML, section 9.2) of what happens in voice, for
 * a platform.
 *
 * Each stream has its own place in the zone's log and reads on from there as
 * its client takes what is sent.  An event's id is its number and names the
 * zone, so that a client may go on at any worker, with Last-Event-ID, as long
 * as the log has what comes next; or else it is told to look anew.  Who
 * speaks is told only to those that ask for it, and as it happens: these
 * events have no id, and none that was missed is told later.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>
#include <ngx_http.h>

#include "ngx_http_voice_api.h"

#include "voice_spoke.h"


/* A comment, so that proxies and clients see that the stream is alive. */
#define NGX_HTTP_VOICE_STREAM_ALIVE     15000

/* Events of one write. */
#define NGX_HTTP_VOICE_STREAM_BATCH     32

/* Of the zone's boot id, in hex. */
#define NGX_HTTP_VOICE_STREAM_BOOT      8


typedef struct {
    ngx_queue_t           queue;
    ngx_http_request_t   *request;
    voice_zone_t         *zone;
    uint64_t              next;          /* number in the log */
    uint64_t              spoke;         /* and of who speaks */
    uint64_t              guild_id;      /* 0: all */
    voice_buf_t           text;          /* what is being sent */
    ngx_buf_t             buf;           /* of it */
    time_t                expires;       /* of the token; 0: never */
    ngx_event_t           alive;
    unsigned              sending:1;     /* text isn't written yet */
    unsigned              last:1;        /* and is the end */
    unsigned              speaking:1;    /* is wanted */
} ngx_http_voice_stream_t;


static void ngx_http_voice_stream_run(ngx_http_voice_stream_t *st);
static void ngx_http_voice_stream_write_handler(ngx_http_request_t *r);
static void ngx_http_voice_stream_alive_handler(ngx_event_t *ev);
static void ngx_http_voice_stream_cleanup(void *data);


static ngx_queue_t  ngx_http_voice_streams;


ngx_int_t
ngx_http_voice_stream_init_process(ngx_cycle_t *cycle)
{
    ngx_queue_init(&ngx_http_voice_streams);

    return NGX_OK;
}


static u_char *
ngx_http_voice_stream_boot(voice_zone_t *z, u_char *p)
{
    return ngx_hex_dump(p, z->header->boot_id, NGX_HTTP_VOICE_STREAM_BOOT / 2);
}


static const char *
ngx_http_voice_stream_name(const voice_log_event_t *ev)
{
    switch (ev->type) {

    case VOICE_LOG_STATE:

        if (ev->old_channel == ev->state.channel_id) {
            return "update";
        }

        if (ev->state.channel_id == 0) {
            return "leave";
        }

        return (ev->old_channel == 0) ? "join" : "move";

    case VOICE_LOG_MEMBER:
        return "mute";

    case VOICE_LOG_GUILD:
        return "guild";

    case VOICE_LOG_GUILD_DELETE:
        return "guild_delete";

    default:
        return NULL;
    }
}


static void
ngx_http_voice_stream_state(voice_buf_t *b, const voice_log_event_t *ev)
{
    voice_shape_state_t       state;
    ngx_http_voice_member_t   m;
    const voice_dir_guild_t  *guild;

    guild = ngx_http_voice_guild_get(ev->state.guild_id);

    ngx_http_voice_guild_member(guild, ev->state.user_id, &m);
    ngx_http_voice_guild_shape(&ev->state, &state);

    voice_buf_puts(b, ",\"old_channel_id\":");
    voice_buf_id(b, ev->old_channel);
    voice_buf_puts(b, ",\"voice_state\":");
    voice_shape_state(b, &state, true, m.member);
}


static void
ngx_http_voice_stream_event(ngx_http_voice_stream_t *st,
    const voice_log_event_t *ev)
{
    u_char        id[NGX_HTTP_VOICE_STREAM_BOOT + 1];
    const char   *name;
    voice_buf_t  *b = &st->text;

    name = ngx_http_voice_stream_name(ev);

    /* one that a single gateway is told is nothing new */

    if (name == NULL || ev->gateway != 0
        || (st->guild_id != 0 && st->guild_id != ev->state.guild_id))
    {
        return;
    }

    *ngx_http_voice_stream_boot(st->zone, id) = '\0';

    voice_buf_puts(b, "id: ");
    voice_buf_puts(b, (char *) id);
    voice_buf_puts(b, "-");
    voice_buf_uint(b, ev->number);
    voice_buf_puts(b, "\nevent: ");
    voice_buf_puts(b, name);
    voice_buf_puts(b, "\ndata: {\"guild_id\":");
    voice_buf_id(b, ev->state.guild_id);

    if (ev->type == VOICE_LOG_STATE || ev->type == VOICE_LOG_MEMBER) {
        ngx_http_voice_stream_state(b, ev);
    }

    voice_buf_puts(b, "}\n\n");
}


/* Events are lost: the client has to ask for the voice states. */

static void
ngx_http_voice_stream_reset(ngx_http_voice_stream_t *st)
{
    u_char  id[NGX_HTTP_VOICE_STREAM_BOOT + 1];

    st->next = voice_log_next(st->zone);

    *ngx_http_voice_stream_boot(st->zone, id) = '\0';

    voice_buf_puts(&st->text, "id: ");
    voice_buf_puts(&st->text, (char *) id);
    voice_buf_puts(&st->text, "-");
    voice_buf_uint(&st->text, st->next - 1);
    voice_buf_puts(&st->text, "\nevent: reset\ndata: {}\n\n");
}


static void
ngx_http_voice_stream_spoke(ngx_http_voice_stream_t *st,
    const voice_spoke_t *sp)
{
    voice_buf_t  *b = &st->text;

    if (st->guild_id != 0 && st->guild_id != sp->guild_id) {
        return;
    }

    voice_buf_puts(b, "event: speaking\ndata: {\"guild_id\":");
    voice_buf_id(b, sp->guild_id);
    voice_buf_puts(b, ",\"channel_id\":");
    voice_buf_id(b, sp->channel_id);
    voice_buf_puts(b, ",\"user_id\":");
    voice_buf_id(b, sp->user_id);
    voice_buf_puts(b, ",\"ssrc\":");
    voice_buf_uint(b, sp->ssrc);
    voice_buf_puts(b, ",\"speaking\":");
    voice_buf_uint(b, sp->speaking);
    voice_buf_puts(b, "}\n\n");
}


static void
ngx_http_voice_stream_fill_spoke(ngx_http_voice_stream_t *st)
{
    bool           missed;
    size_t         i, n;
    voice_spoke_t  list[NGX_HTTP_VOICE_STREAM_BATCH];

    while (st->speaking && st->text.len == 0
           && st->spoke != voice_spoke_next(st->zone))
    {
        voice_spoke_read(st->zone, &st->spoke, list,
                         NGX_HTTP_VOICE_STREAM_BATCH, &n, &missed);

        if (missed) {
            voice_buf_puts(&st->text, "event: speaking_reset\ndata: {}\n\n");
        }

        for (i = 0; i < n; i++) {
            ngx_http_voice_stream_spoke(st, &list[i]);
        }
    }
}


static void
ngx_http_voice_stream_fill(ngx_http_voice_stream_t *st)
{
    size_t              i, n;
    uint64_t            next;
    voice_log_event_t   list[NGX_HTTP_VOICE_STREAM_BATCH];

    while (st->text.len == 0 && st->next != voice_log_next(st->zone)) {

        next = st->next;

        if (voice_log_read(st->zone, &next, list, NGX_HTTP_VOICE_STREAM_BATCH,
                           &n)
            != VOICE_OK)
        {
            ngx_http_voice_stream_reset(st);
            return;
        }

        for (i = 0; i < n; i++) {
            ngx_http_voice_stream_event(st, &list[i]);
        }

        st->next = next;
    }
}


/* NGX_OK: all is written; NGX_AGAIN; NGX_ERROR: the request is over. */

static ngx_int_t
ngx_http_voice_stream_write(ngx_http_voice_stream_t *st)
{
    ngx_int_t                  rc;
    ngx_chain_t                out, *in;
    ngx_http_request_t        *r;
    ngx_http_core_loc_conf_t  *clcf;

    r = st->request;
    in = NULL;

    if (!st->sending) {

        /* nobody has the former one any more; the pool never gets smaller */

        ngx_memzero(&st->buf, sizeof(ngx_buf_t));

        st->buf.pos = (u_char *) st->text.data;
        st->buf.last = st->buf.pos + st->text.len;
        st->buf.memory = 1;
        st->buf.flush = 1;
        st->buf.last_buf = st->last;

        out.buf = &st->buf;
        out.next = NULL;
        in = &out;

        st->sending = 1;
    }

    rc = ngx_http_output_filter(r, in);

    if (rc == NGX_ERROR) {
        return NGX_ERROR;
    }

    if (rc == NGX_AGAIN || r->buffered || r->connection->buffered) {

        clcf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);

        if (!r->connection->write->timer_set) {
            ngx_add_timer(r->connection->write, clcf->send_timeout);
        }

        return ngx_handle_write_event(r->connection->write, 0) == NGX_OK
               ? NGX_AGAIN : NGX_ERROR;
    }

    if (r->connection->write->timer_set) {
        ngx_del_timer(r->connection->write);
    }

    st->sending = 0;
    voice_buf_reset(&st->text);

    return NGX_OK;
}


static void
ngx_http_voice_stream_run(ngx_http_voice_stream_t *st)
{
    ngx_int_t  rc;

    do {
        if (!st->sending && !st->last) {
            ngx_http_voice_stream_fill(st);
            ngx_http_voice_stream_fill_spoke(st);

            if (st->text.len == 0) {
                return;
            }

            if (voice_buf_done(&st->text) != VOICE_OK) {
                rc = NGX_ERROR;
                break;
            }
        }

        rc = ngx_http_voice_stream_write(st);

    } while (rc == NGX_OK && !st->last);

    if (rc != NGX_AGAIN) {
        ngx_http_finalize_request(st->request, rc);
    }
}


void
ngx_http_voice_stream_wake(void)
{
    ngx_queue_t              *q, *next;
    ngx_connection_t         *c;
    ngx_http_voice_stream_t  *st;

    if (ngx_http_voice_streams.next == NULL) {
        return;
    }

    for (q = ngx_queue_head(&ngx_http_voice_streams);
         q != ngx_queue_sentinel(&ngx_http_voice_streams);
         q = next)
    {
        next = ngx_queue_next(q);
        st = ngx_queue_data(q, ngx_http_voice_stream_t, queue);
        c = st->request->connection;

        if (!st->sending) {
            ngx_http_voice_stream_run(st);
            ngx_http_run_posted_requests(c);
        }
    }
}


static ngx_http_voice_stream_t *
ngx_http_voice_stream_get(ngx_http_request_t *r)
{
    ngx_http_cleanup_t  *cln;

    for (cln = r->main->cleanup; cln != NULL; cln = cln->next) {
        if (cln->handler == ngx_http_voice_stream_cleanup) {
            return cln->data;
        }
    }

    return NULL;
}


static void
ngx_http_voice_stream_write_handler(ngx_http_request_t *r)
{
    ngx_http_voice_stream_t  *st;

    if (r->connection->write->timedout) {
        ngx_log_error(NGX_LOG_INFO, r->connection->log, NGX_ETIMEDOUT,
                      "client of voice events doesn't read");
        r->connection->timedout = 1;
        ngx_http_finalize_request(r, NGX_HTTP_REQUEST_TIME_OUT);
        return;
    }

    st = ngx_http_voice_stream_get(r);

    if (st != NULL) {
        ngx_http_voice_stream_run(st);
    }
}


static void
ngx_http_voice_stream_timer(ngx_http_voice_stream_t *st)
{
    time_t      left;
    ngx_msec_t  ms;

    ms = NGX_HTTP_VOICE_STREAM_ALIVE;

    if (st->expires != 0) {
        left = ngx_max(st->expires - ngx_time(), 0);

        if (left < NGX_HTTP_VOICE_STREAM_ALIVE / 1000) {
            ms = (ngx_msec_t) left * 1000;
        }
    }

    ngx_add_timer(&st->alive, ms);
}


/* Whoever doesn't read misses that it is the end, too. */

static void
ngx_http_voice_stream_expired(ngx_http_voice_stream_t *st)
{
    ngx_log_error(NGX_LOG_INFO, st->request->connection->log, 0,
                  "voice events end, the token of the platform has expired");

    if (st->sending) {
        ngx_http_finalize_request(st->request, NGX_ERROR);
        return;
    }

    st->last = 1;
    voice_buf_puts(&st->text, "event: expired\ndata: {}\n\n");
    ngx_http_voice_stream_run(st);
}


static void
ngx_http_voice_stream_alive_handler(ngx_event_t *ev)
{
    ngx_connection_t         *c;
    ngx_http_voice_stream_t  *st = ev->data;

    c = st->request->connection;

    /* one that nginx's end of idle connections didn't reach */

    if (ngx_exiting) {
        ngx_http_finalize_request(st->request, NGX_ERROR);
        ngx_http_run_posted_requests(c);
        return;
    }

    if (st->expires != 0 && st->expires <= ngx_time()) {
        ngx_http_voice_stream_expired(st);
        ngx_http_run_posted_requests(c);
        return;
    }

    ngx_http_voice_stream_timer(st);

    if (!st->sending) {
        voice_buf_puts(&st->text, ": alive\n\n");
        ngx_http_voice_stream_run(st);
        ngx_http_run_posted_requests(c);
    }
}


static void
ngx_http_voice_stream_cleanup(void *data)
{
    voice_worker_t           *w;
    ngx_http_voice_stream_t  *st = data;

    ngx_queue_remove(&st->queue);

    if (st->alive.timer_set) {
        ngx_del_timer(&st->alive);
    }

    voice_buf_free(&st->text);

    w = &st->zone->header->worker[st->zone->worker];

    atomic_fetch_sub(&w->listeners, 1);
    atomic_fetch_sub(&w->hearers, st->speaking);
}


/* Where the client left off; NGX_DECLINED: it says so, but not of this zone. */

static ngx_int_t
ngx_http_voice_stream_last(ngx_http_voice_stream_t *st, ngx_str_t *value)
{
    size_t     i;
    u_char     boot[NGX_HTTP_VOICE_STREAM_BOOT];
    uint64_t   n;

    (void) ngx_http_voice_stream_boot(st->zone, boot);

    if (value->len <= NGX_HTTP_VOICE_STREAM_BOOT + 1
        || value->len > NGX_HTTP_VOICE_STREAM_BOOT + 1 + 18
        || ngx_memcmp(value->data, boot, NGX_HTTP_VOICE_STREAM_BOOT) != 0
        || value->data[NGX_HTTP_VOICE_STREAM_BOOT] != '-')
    {
        return NGX_DECLINED;
    }

    for (i = NGX_HTTP_VOICE_STREAM_BOOT + 1, n = 0; i < value->len; i++) {
        if (value->data[i] < '0' || value->data[i] > '9') {
            return NGX_DECLINED;
        }

        n = n * 10 + (value->data[i] - '0');
    }

    st->next = n + 1;

    return NGX_OK;
}


/* NGX_OK, or the request is answered. */

static ngx_int_t
ngx_http_voice_stream_guild(ngx_http_voice_api_t *api, uint64_t *guild_id)
{
    ngx_str_t  value;

    *guild_id = 0;

    if (ngx_http_arg(api->request, (u_char *) "guild_id", 8, &value) == NGX_OK
        && ngx_http_voice_api_id(&value, guild_id) != NGX_OK)
    {
        ngx_http_voice_api_field(api, "/guild_id", "a snowflake is expected");
        return NGX_DECLINED;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_voice_stream_speaking(ngx_http_voice_api_t *api, ngx_uint_t *speaking)
{
    ngx_str_t  value;

    *speaking = 0;

    if (ngx_http_arg(api->request, (u_char *) "speaking", 8, &value) != NGX_OK)
    {
        return NGX_OK;
    }

    if (value.len != 1 || (value.data[0] != '0' && value.data[0] != '1')) {
        ngx_http_voice_api_field(api, "/speaking", "0 or 1 is expected");
        return NGX_DECLINED;
    }

    *speaking = (value.data[0] == '1');

    return NGX_OK;
}


static ngx_int_t
ngx_http_voice_stream_header(ngx_http_request_t *r)
{
    ngx_int_t         rc;
    ngx_table_elt_t  *h;

    h = ngx_list_push(&r->headers_out.headers);
    if (h == NULL) {
        return NGX_ERROR;
    }

    ngx_memzero(h, sizeof(ngx_table_elt_t));
    h->hash = 1;
    ngx_str_set(&h->key, "Cache-Control");
    ngx_str_set(&h->value, "no-store");

    r->headers_out.status = NGX_HTTP_OK;
    ngx_str_set(&r->headers_out.content_type, "text/event-stream");
    r->headers_out.content_type_len = r->headers_out.content_type.len;
    ngx_http_clear_content_length(r);

    r->keepalive = 0;

    rc = ngx_http_send_header(r);

    return (rc == NGX_ERROR || rc > NGX_OK) ? NGX_ERROR : NGX_OK;
}


void
ngx_http_voice_stream_open(ngx_http_voice_api_t *api)
{
    uint64_t                  guild_id;
    ngx_str_t                *last;
    ngx_uint_t                speaking;
    voice_worker_t           *w;
    ngx_http_cleanup_t       *cln;
    ngx_http_request_t       *r = api->request;
    ngx_http_voice_stream_t  *st;

    if (ngx_http_voice_stream_guild(api, &guild_id) != NGX_OK
        || ngx_http_voice_stream_speaking(api, &speaking) != NGX_OK)
    {
        return;
    }

    st = ngx_pcalloc(r->pool, sizeof(ngx_http_voice_stream_t));
    cln = (st != NULL) ? ngx_http_cleanup_add(r, 0) : NULL;

    if (cln == NULL) {
        ngx_http_finalize_request(r, NGX_HTTP_INTERNAL_SERVER_ERROR);
        return;
    }

    st->request = r;
    st->zone = api->zone;
    st->guild_id = guild_id;
    st->next = voice_log_next(st->zone);
    st->spoke = voice_spoke_next(st->zone);
    st->speaking = speaking;
    st->expires = (time_t) api->expires;

    voice_buf_growing(&st->text, NULL, 1024 * 1024);
    voice_buf_puts(&st->text, ": voice events\n\n");

    last = ngx_http_voice_api_header_in(r, "Last-Event-ID");

    if (last != NULL && ngx_http_voice_stream_last(st, last) != NGX_OK) {
        ngx_http_voice_stream_reset(st);
    }

    if (ngx_http_voice_stream_header(r) != NGX_OK || r->header_only) {
        voice_buf_free(&st->text);
        ngx_http_finalize_request(r, r->header_only ? NGX_OK : NGX_ERROR);
        return;
    }

    w = &st->zone->header->worker[st->zone->worker];

    atomic_fetch_add(&w->listeners, 1);
    atomic_fetch_add(&w->hearers, st->speaking);
    ngx_queue_insert_tail(&ngx_http_voice_streams, &st->queue);

    cln->handler = ngx_http_voice_stream_cleanup;
    cln->data = st;

    st->alive.handler = ngx_http_voice_stream_alive_handler;
    st->alive.data = st;
    st->alive.log = r->connection->log;
    ngx_http_voice_stream_timer(st);

    /* a client that goes is noticed; a worker that quits ends the stream */

    r->read_event_handler = ngx_http_test_reading;
    r->write_event_handler = ngx_http_voice_stream_write_handler;
    r->connection->idle = 1;

    ngx_http_voice_stream_run(st);
}
