/*
 * Copyright (C) ngx-voice contributors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>
#include <ngx_http.h>

#include "ngx_http_voice_dispatch.h"
#include "ngx_http_voice_handshake.h"

#include <sodium.h>


/* From the opening of the websocket to Identify or Resume. */
#define NGX_HTTP_VOICE_GATEWAY_AUTH     45000

/* From op 7 to the Close, and over how long a worker's are spread. */
#define NGX_HTTP_VOICE_GATEWAY_LEAVE    2000
#define NGX_HTTP_VOICE_GATEWAY_SPREAD   2000

/* How often a clock is looked at that may be set, in seconds. */
#define NGX_HTTP_VOICE_GATEWAY_LOOK     3600


static void ngx_http_voice_gateway_message(ngx_http_voice_ws_t *ws,
    ngx_uint_t text, u_char *data, size_t len);
static void ngx_http_voice_gateway_oversized(ngx_http_voice_ws_t *ws);
static void ngx_http_voice_gateway_timeout(ngx_http_voice_ws_t *ws);
static void ngx_http_voice_gateway_drained(ngx_http_voice_ws_t *ws);
static void ngx_http_voice_gateway_closed(ngx_http_voice_ws_t *ws);
static void ngx_http_voice_gateway_quit(ngx_http_voice_ws_t *ws);
static void ngx_http_voice_gateway_flush_handler(ngx_event_t *ev);


static const ngx_http_voice_ws_handler_t  ngx_http_voice_gateway_ws = {
    ngx_http_voice_gateway_message,
    ngx_http_voice_gateway_oversized,
    ngx_http_voice_gateway_timeout,
    ngx_http_voice_gateway_drained,
    ngx_http_voice_gateway_closed,
    ngx_http_voice_gateway_quit
};


/* This worker's gateways by the index of their session. */
static ngx_http_voice_gateway_t  **ngx_http_voice_gateways;
static ngx_uint_t                  ngx_http_voice_ngateways;

/* Those with output that nobody writes otherwise. */
static ngx_queue_t                 ngx_http_voice_gateway_dirty;
static ngx_event_t                 ngx_http_voice_gateway_flush;

static uint32_t                    ngx_http_voice_gateway_taken_seen;

/* A message as it goes out, and compressed. */
static voice_buf_t                 ngx_http_voice_gateway_out;
static voice_buf_t                 ngx_http_voice_gateway_packed;


ngx_int_t
ngx_http_voice_gateway_init_process(ngx_cycle_t *cycle)
{
    voice_zone_t  *z;

    z = ngx_voice_zone(cycle);

    if (z == NULL || !ngx_http_voice_guild_ready()) {
        return NGX_OK;
    }

    ngx_http_voice_ngateways = z->header->sessions;

    ngx_http_voice_gateways = ngx_pcalloc(cycle->pool,
                                          ngx_http_voice_ngateways
                                          * sizeof(ngx_http_voice_gateway_t *));
    if (ngx_http_voice_gateways == NULL) {
        return NGX_ERROR;
    }

    ngx_queue_init(&ngx_http_voice_gateway_dirty);

    ngx_http_voice_gateway_flush.handler =
                                          ngx_http_voice_gateway_flush_handler;
    ngx_http_voice_gateway_flush.log = cycle->log;

    voice_buf_growing(&ngx_http_voice_gateway_out, NULL,
                      2 * VOICE_DIR_GUILD_TEXT_MAX);
    voice_buf_growing(&ngx_http_voice_gateway_packed, NULL,
                      2 * VOICE_DIR_GUILD_TEXT_MAX);

    ngx_http_voice_gateway_taken_seen =
                           atomic_load(&z->header->worker[z->worker].taken);

    return NGX_OK;
}


ngx_http_voice_gateway_t *
ngx_http_voice_gateway_get(voice_id_t id)
{
    ngx_http_voice_gateway_t  *gw;

    if (id == 0 || voice_id_index(id) >= ngx_http_voice_ngateways) {
        return NULL;
    }

    gw = ngx_http_voice_gateways[voice_id_index(id)];

    return (gw != NULL && gw->session.id == id) ? gw : NULL;
}


void
ngx_http_voice_gateway_each(ngx_http_voice_gateway_each_pt each, void *data)
{
    ngx_uint_t  i;

    for (i = 0; i < ngx_http_voice_ngateways; i++) {
        if (ngx_http_voice_gateways[i] != NULL) {
            each(ngx_http_voice_gateways[i], data);
        }
    }
}


/* Output. */

void
ngx_http_voice_gateway_touch(ngx_http_voice_gateway_t *gw)
{
    if (gw->dirty.next == NULL) {
        ngx_queue_insert_tail(&ngx_http_voice_gateway_dirty, &gw->dirty);
        ngx_post_event(&ngx_http_voice_gateway_flush, &ngx_posted_events);
    }
}


static void
ngx_http_voice_gateway_clean(ngx_http_voice_gateway_t *gw)
{
    if (gw->dirty.next != NULL) {
        ngx_queue_remove(&gw->dirty);
        gw->dirty.next = NULL;
    }
}


static void
ngx_http_voice_gateway_flush_handler(ngx_event_t *ev)
{
    ngx_queue_t               *q;
    ngx_http_voice_gateway_t  *gw;

    while (!ngx_queue_empty(&ngx_http_voice_gateway_dirty)) {
        q = ngx_queue_head(&ngx_http_voice_gateway_dirty);
        gw = ngx_queue_data(q, ngx_http_voice_gateway_t, dirty);

        ngx_http_voice_gateway_clean(gw);
        ngx_http_voice_ws_flush(gw->ws);
    }
}


void
ngx_http_voice_gateway_send(ngx_http_voice_gateway_t *gw, const char *text,
    size_t len)
{
    voice_buf_t  *b = &ngx_http_voice_gateway_packed;

    if (gw->deflate == NULL) {
        ngx_http_voice_ws_send(gw->ws, text, len);

    } else if (ngx_http_voice_deflate(gw, text, len, b) == NGX_OK) {
        ngx_http_voice_ws_send_binary(gw->ws, b->data, b->len);

    } else {
        ngx_http_voice_gateway_close(gw, VOICE_GATEWAY_CLOSE_UNKNOWN,
                                     "out of memory");
    }

    ngx_http_voice_gateway_touch(gw);
}


void
ngx_http_voice_gateway_send_buf(ngx_http_voice_gateway_t *gw,
    const voice_buf_t *b)
{
    if (voice_buf_done(b) != VOICE_OK) {
        ngx_http_voice_gateway_close(gw, VOICE_GATEWAY_CLOSE_UNKNOWN,
                                     "out of memory");
        ngx_http_voice_gateway_touch(gw);
        return;
    }

    ngx_http_voice_gateway_send(gw, b->data, b->len);
}


void
ngx_http_voice_gateway_event_again(ngx_http_voice_gateway_t *gw,
    voice_dispatch_t event, uint64_t seq, const voice_buf_t *d)
{
    size_t        len;
    char          head[VOICE_DISPATCH_HEAD_MAX];
    voice_buf_t  *b = &ngx_http_voice_gateway_out;

    len = voice_dispatch_head(head, event, seq);

    voice_buf_reset(b);
    voice_buf_put(b, head, len);
    voice_buf_put(b, d->data, d->len);
    voice_buf_puts(b, VOICE_DISPATCH_TAIL);

    if (voice_buf_done(d) != VOICE_OK) {
        b->err = d->err;
    }

    ngx_http_voice_gateway_send_buf(gw, b);
}


ngx_int_t
ngx_http_voice_gateway_event(ngx_http_voice_gateway_t *gw,
    voice_dispatch_t event, uint64_t what, const voice_buf_t *d)
{
    uint64_t  seq;

    if (gw->session.id == 0) {
        return NGX_DECLINED;
    }

    if (voice_gateway_session_dispatched(gw->zone, &gw->session, what, &seq)
        != VOICE_OK)
    {
        gw->session.id = 0;
        ngx_http_voice_gateway_close(gw, VOICE_GATEWAY_CLOSE_UNKNOWN,
                                     "the session has another websocket");
        ngx_http_voice_gateway_touch(gw);
        return NGX_DECLINED;
    }

    ngx_http_voice_gateway_count(gw, VOICE_M_GATEWAY_EVENTS);
    ngx_http_voice_gateway_event_again(gw, event, seq, d);

    if (gw->session.id == 0) {
        return NGX_DECLINED;
    }

    if (gw->phase == NGX_HTTP_VOICE_GATEWAY_CURRENT
        && ngx_http_voice_ws_full(gw->ws))
    {
        ngx_http_voice_dispatch_settle(gw);
        gw->phase = NGX_HTTP_VOICE_GATEWAY_BEHIND;
    }

    return NGX_OK;
}


/* Beginning and end. */

static void
ngx_http_voice_gateway_forget(ngx_http_voice_gateway_t *gw)
{
    ngx_http_voice_gateway_t  **slot;

    if (gw->expiry.timer_set) {
        ngx_del_timer(&gw->expiry);
    }

    ngx_http_voice_dispatch_unsubscribe(gw);

    if (gw->replay != NULL) {
        ngx_free(gw->replay);
        gw->replay = NULL;
    }

    slot = &ngx_http_voice_gateways[gw->slot];

    if (*slot == gw) {
        *slot = NULL;
    }
}


static void
ngx_http_voice_gateway_over(ngx_http_voice_gateway_t *gw, ngx_uint_t code,
    const char *reason, ngx_uint_t resumable)
{
    voice_gateway_done(&gw->state, VOICE_GATEWAY_DO_CLOSE);

    if (gw->known) {
        ngx_http_voice_dispatch_settle(gw);
    }

    ngx_http_voice_gateway_forget(gw);

    if (gw->session.id != 0) {

        if (resumable) {
            voice_gateway_session_detach(gw->zone, &gw->session,
                         ngx_voice_now(),
                         ngx_voice_resume_window((ngx_cycle_t *) ngx_cycle));

        } else {
            voice_gateway_session_destroy(gw->zone, &gw->session);
        }

        gw->session.id = 0;
        ngx_voice_wake(gw->zone, gw->log);
    }

    ngx_log_error(NGX_LOG_INFO, gw->log, 0,
                  "voice gateway of user %uL is %s: %ui \"%s\"", gw->user_id,
                  gw->known && resumable ? "away" : "over", code, reason);
}


/* Why the server ends it; what else ends with 4000 counts for itself. */

static void
ngx_http_voice_gateway_refused(ngx_http_voice_gateway_t *gw, ngx_uint_t code)
{
    ngx_uint_t  i;

    static const struct {
        ngx_uint_t      code;
        voice_metric_t  metric;
    } reasons[] = {
        { VOICE_GATEWAY_CLOSE_AUTH_FAILED, VOICE_M_GATEWAY_REFUSED_TOKEN },
        { VOICE_GATEWAY_CLOSE_VERSION, VOICE_M_GATEWAY_REFUSED_VERSION },
        { VOICE_GATEWAY_CLOSE_SHARD, VOICE_M_GATEWAY_REFUSED_SHARD },
        { VOICE_GATEWAY_CLOSE_OPCODE, VOICE_M_GATEWAY_REFUSED_MESSAGE },
        { VOICE_GATEWAY_CLOSE_DECODE, VOICE_M_GATEWAY_REFUSED_MESSAGE },
        { VOICE_GATEWAY_CLOSE_NOT_AUTHENTICATED,
          VOICE_M_GATEWAY_REFUSED_PROTOCOL },
        { VOICE_GATEWAY_CLOSE_ALREADY_AUTHENTICATED,
          VOICE_M_GATEWAY_REFUSED_PROTOCOL },
        { VOICE_GATEWAY_CLOSE_RATE, VOICE_M_GATEWAY_REFUSED_RATE },
        { VOICE_GATEWAY_CLOSE_TIMEOUT, VOICE_M_GATEWAY_REFUSED_TIMEOUT }
    };

    for (i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++) {
        if (reasons[i].code == code) {
            ngx_http_voice_gateway_count(gw, reasons[i].metric);
        }
    }
}


void
ngx_http_voice_gateway_close(ngx_http_voice_gateway_t *gw, ngx_uint_t code,
    const char *reason)
{
    ngx_http_voice_gateway_refused(gw, code);
    ngx_http_voice_gateway_over(gw, code, reason, 1);
    ngx_http_voice_ws_close(gw->ws, code, reason);
}


/* The token is over, and with it the session: nobody can resume it. */

static void
ngx_http_voice_gateway_expiry_handler(ngx_event_t *ev)
{
    time_t                     left;
    ngx_http_voice_gateway_t  *gw = ev->data;

    static const char  reason[] = "the token has expired";

    left = gw->expires - ngx_time();

    if (left > 0) {
        ngx_add_timer(ev, (ngx_msec_t) ngx_min(left,
                                               NGX_HTTP_VOICE_GATEWAY_LOOK)
                          * 1000);
        return;
    }

    ngx_http_voice_gateway_refused(gw, VOICE_GATEWAY_CLOSE_AUTH_FAILED);
    ngx_http_voice_gateway_over(gw, VOICE_GATEWAY_CLOSE_AUTH_FAILED, reason,
                                0);
    ngx_http_voice_ws_close(gw->ws, VOICE_GATEWAY_CLOSE_AUTH_FAILED, reason);
    ngx_http_voice_gateway_touch(gw);
}


static void
ngx_http_voice_gateway_closed(ngx_http_voice_ws_t *ws)
{
    ngx_http_voice_gateway_t  *gw = ws->data;

    /* c->error: the end of the worker, which is no wish of the client's */

    ngx_http_voice_gateway_over(gw, ws->code, ws->reason,
                                ws->request->connection->error
                                || voice_gateway_resumable(ws->code));
}


static void
ngx_http_voice_gateway_quit(ngx_http_voice_ws_t *ws)
{
    voice_buf_t               *b;
    ngx_http_voice_gateway_t  *gw = ws->data;

    if (gw->leaving) {
        return;
    }

    b = ngx_http_voice_render_buf();
    voice_gateway_put_reconnect(b);
    ngx_http_voice_gateway_send_buf(gw, b);

    gw->leaving = 1;

    ngx_http_voice_ws_timer(ws, NGX_HTTP_VOICE_GATEWAY_LEAVE
                                + ngx_random()
                                  % NGX_HTTP_VOICE_GATEWAY_SPREAD);
}


static void
ngx_http_voice_gateway_taken_one(ngx_http_voice_gateway_t *gw, void *data)
{
    ngx_http_voice_dispatch_settle(gw);

    if (voice_gateway_session_seen(gw->zone, &gw->session, gw->session.next)
        == VOICE_E_STALE)
    {
        ngx_http_voice_gateway_close(gw, VOICE_GATEWAY_CLOSE_UNKNOWN,
                                     "resumed by another websocket");
        ngx_http_voice_gateway_touch(gw);
    }
}


void
ngx_http_voice_gateway_taken(voice_zone_t *z)
{
    uint32_t  taken;

    taken = atomic_load(&z->header->worker[z->worker].taken);

    if (taken == ngx_http_voice_gateway_taken_seen) {
        return;
    }

    ngx_http_voice_gateway_taken_seen = taken;
    ngx_http_voice_gateway_each(ngx_http_voice_gateway_taken_one, NULL);
}


void
ngx_http_voice_gateway_beat(ngx_http_voice_gateway_t *gw)
{
    if (!gw->leaving && gw->session.id != 0) {
        gw->asked = 0;
        ngx_http_voice_ws_timer(gw->ws, gw->conf->gateway_heartbeat * 5 / 4);
    }
}


/* The heartbeat is late: section 3, op 1 from the server asks for one. */

static void
ngx_http_voice_gateway_ask(ngx_http_voice_gateway_t *gw)
{
    voice_buf_t  *b;

    b = ngx_http_voice_render_buf();
    voice_gateway_put_heartbeat(b);
    ngx_http_voice_gateway_send_buf(gw, b);

    gw->asked = 1;
    ngx_http_voice_ws_timer(gw->ws, gw->conf->gateway_heartbeat * 3 / 4);
}


static void
ngx_http_voice_gateway_ack(ngx_http_voice_gateway_t *gw)
{
    voice_buf_t  *b;

    b = ngx_http_voice_render_buf();
    voice_gateway_put_ack(b);
    ngx_http_voice_gateway_send_buf(gw, b);

    ngx_http_voice_gateway_beat(gw);
}


void
ngx_http_voice_gateway_attach(ngx_http_voice_gateway_t *gw,
    const voice_user_token_t *token)
{
    ngx_http_voice_gateway_t  *old;

    gw->known = 1;
    gw->user_id = token->user_id;
    gw->bot = token->bot;

    (void) ngx_cpystrn((u_char *) gw->name, (u_char *) token->name,
                       sizeof(gw->name));

    gw->slot = voice_id_index(gw->session.id);
    old = ngx_http_voice_gateways[gw->slot];

    if (old != NULL) {
        ngx_http_voice_gateway_close(old, VOICE_GATEWAY_CLOSE_UNKNOWN,
                                     "resumed by another websocket");
        ngx_http_voice_gateway_touch(old);
    }

    ngx_http_voice_gateways[gw->slot] = gw;

    ngx_http_voice_guild_name(gw->user_id, gw->name, gw->bot);

    if (token->expires != 0) {
        gw->expires = token->expires;
        gw->expiry.handler = ngx_http_voice_gateway_expiry_handler;
        gw->expiry.data = gw;
        gw->expiry.log = gw->log;
        gw->expiry.cancelable = 1;

        ngx_http_voice_gateway_expiry_handler(&gw->expiry);
    }
}


/* Input. */

static void
ngx_http_voice_gateway_perform(ngx_http_voice_gateway_t *gw,
    const voice_gateway_msg_t *msg, const voice_gateway_out_t *out)
{
    voice_buf_t  *b;

    switch (out->action) {

    case VOICE_GATEWAY_DO_HELLO:
        b = ngx_http_voice_render_buf();
        voice_gateway_put_hello(b, (uint32_t) gw->conf->gateway_heartbeat,
                                gw->zone->header->node);
        ngx_http_voice_gateway_send_buf(gw, b);
        break;

    case VOICE_GATEWAY_DO_CLOSE:
        ngx_http_voice_gateway_close(gw, out->code, out->reason);
        break;

    case VOICE_GATEWAY_DO_ACK:
        ngx_http_voice_gateway_ack(gw);
        break;

    case VOICE_GATEWAY_DO_IDENTIFY:
        ngx_http_voice_gateway_identify(gw, &msg->d.identify);
        break;

    case VOICE_GATEWAY_DO_RESUME:
        ngx_http_voice_gateway_resume(gw, &msg->d.resume);
        break;

    case VOICE_GATEWAY_DO_VOICE_STATE:
        ngx_http_voice_gateway_voice_state(gw, &msg->d.voice_state);
        break;

    case VOICE_GATEWAY_DO_MEMBERS:
        ngx_http_voice_gateway_members(gw, &msg->d.members);
        break;

    case VOICE_GATEWAY_DO_VOICE_PING:
        ngx_http_voice_gateway_ping(gw);
        break;

    case VOICE_GATEWAY_IGNORE:
        break;
    }
}


static void
ngx_http_voice_gateway_message(ngx_http_voice_ws_t *ws, ngx_uint_t text,
    u_char *data, size_t len)
{
    const char                *why;
    voice_bucket_t            *bucket;
    voice_gateway_msg_t        msg;
    voice_gateway_out_t        out;
    ngx_http_voice_gateway_t  *gw = ws->data;

    ngx_http_voice_gateway_count(gw, VOICE_M_GATEWAY_COMMANDS);

    if (!text) {
        voice_gateway_input(&gw->state, VOICE_GATEWAY_GOT_BINARY, &out);
        ngx_http_voice_gateway_perform(gw, NULL, &out);
        return;
    }

    if (voice_gateway_msg_decode((char *) data, len, &msg, &why) != VOICE_OK) {
        voice_gateway_malformed(&gw->state, why, &out);
        ngx_http_voice_gateway_perform(gw, NULL, &out);
        return;
    }

    bucket = voice_gateway_counts(&msg) ? &gw->commands : &gw->beats;

    if (!voice_bucket_take(bucket, VOICE_GATEWAY_RATE, VOICE_GATEWAY_BURST,
                           ngx_voice_now()))
    {
        voice_gateway_input(&gw->state, VOICE_GATEWAY_GOT_FLOOD, &out);
        ngx_http_voice_gateway_perform(gw, NULL, &out);
        return;
    }

    voice_gateway_message(&gw->state, &msg, &out);
    ngx_http_voice_gateway_perform(gw, &msg, &out);

    if (msg.op == VOICE_GATEWAY_OP_IDENTIFY
        || msg.op == VOICE_GATEWAY_OP_RESUME)
    {
        /* the token must not lie about in memory */
        sodium_memzero(&msg, sizeof(msg));
        sodium_memzero(data, len);
    }
}


static void
ngx_http_voice_gateway_oversized(ngx_http_voice_ws_t *ws)
{
    voice_gateway_out_t        out;
    ngx_http_voice_gateway_t  *gw = ws->data;

    voice_gateway_malformed(&gw->state, "message longer than "
                            ngx_value(VOICE_GATEWAY_MESSAGE_MAX) " bytes",
                            &out);
    ngx_http_voice_gateway_perform(gw, NULL, &out);
}


static void
ngx_http_voice_gateway_timeout(ngx_http_voice_ws_t *ws)
{
    voice_gateway_out_t        out;
    ngx_http_voice_gateway_t  *gw = ws->data;

    if (gw->leaving) {
        ngx_http_voice_gateway_close(gw, VOICE_GATEWAY_CLOSE_UNKNOWN,
                                     "the server restarts, please resume");
        return;
    }

    if (gw->session.id != 0 && !gw->asked) {
        ngx_http_voice_gateway_ask(gw);
        return;
    }

    voice_gateway_input(&gw->state, VOICE_GATEWAY_GOT_TIMEOUT, &out);
    ngx_http_voice_gateway_perform(gw, NULL, &out);
}


static void
ngx_http_voice_gateway_drained(ngx_http_voice_ws_t *ws)
{
    ngx_http_voice_gateway_t  *gw = ws->data;

    if (gw->session.id != 0) {
        ngx_http_voice_dispatch_continue(gw);
    }
}


static void
ngx_http_voice_gateway_cleanup(void *data)
{
    ngx_http_voice_gateway_t  *gw = data;

    ngx_http_voice_gateway_clean(gw);
    ngx_http_voice_join_forget(gw, 0);

    ngx_http_voice_deflate_close(gw);
    ngx_http_voice_gateway_count(gw, VOICE_M_GATEWAY_CLOSED);
}


static void
ngx_http_voice_gateway_start(ngx_http_voice_gateway_t *gw,
    ngx_http_request_t *r)
{
    int                  version;
    bool                 json;
    ngx_int_t            n;
    ngx_str_t            value;
    voice_gateway_out_t  out;

    version = 0;

    if (ngx_http_arg(r, (u_char *) "v", 1, &value) == NGX_OK) {
        n = (value.len <= 9) ? ngx_atoi(value.data, value.len) : NGX_ERROR;
        version = (n <= 0) ? -1 : (int) n;
    }

    json = (ngx_http_arg(r, (u_char *) "encoding", 8, &value) != NGX_OK
            || (value.len == 4
                && ngx_strncmp(value.data, "json", 4) == 0));

    voice_gateway_start(&gw->state, version, json, &out);

    ngx_http_voice_ws_timer(gw->ws, NGX_HTTP_VOICE_GATEWAY_AUTH);
    ngx_http_voice_gateway_perform(gw, NULL, &out);

    /* the others were told before this one was here */

    if (ngx_exiting) {
        ngx_http_voice_gateway_quit(gw->ws);
    }
}


ngx_int_t
ngx_http_voice_gateway_handler(ngx_http_request_t *r)
{
    ngx_int_t                   rc;
    ngx_http_cleanup_t         *cln;
    ngx_http_voice_gateway_t   *gw;
    ngx_http_voice_loc_conf_t  *vlcf;

    vlcf = ngx_http_get_module_loc_conf(r, ngx_http_voice_module);

    if (!vlcf->gateway) {
        return NGX_DECLINED;
    }

    rc = ngx_http_voice_handshake_check(r);

    if (rc == NGX_HTTP_VOICE_UPGRADE_REQUIRED) {
        return ngx_http_voice_handshake_refuse(r);
    }

    if (rc != NGX_OK) {
        return rc;
    }

    if (ngx_http_voice_gateways == NULL) {
        ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                      "voice gateway refused: this worker has no voice zone");
        return NGX_HTTP_SERVICE_UNAVAILABLE;
    }

    gw = ngx_pcalloc(r->pool, sizeof(ngx_http_voice_gateway_t));
    cln = ngx_http_cleanup_add(r, 0);

    if (gw == NULL || cln == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    gw->conf = vlcf;
    gw->log = r->connection->log;
    gw->zone = ngx_voice_zone((ngx_cycle_t *) ngx_cycle);
    ngx_queue_init(&gw->joins);

    cln->handler = ngx_http_voice_gateway_cleanup;
    cln->data = gw;

    ngx_http_voice_gateway_count(gw, VOICE_M_GATEWAY_OPENED);

    if (ngx_http_voice_deflate_open(gw, r) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    gw->ws = ngx_http_voice_ws_open(r, &ngx_http_voice_gateway_ws, gw,
                                    VOICE_GATEWAY_MESSAGE_MAX);
    if (gw->ws == NULL) {
        return NGX_ERROR;
    }

    ngx_http_voice_gateway_start(gw, r);

    return NGX_DONE;
}
