/*
 * Copyright (C) ngx-voice contributors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_voice.h"
#include "ngx_http_voice_module.h"
#include "ngx_http_voice_status.h"

#include "voice_drain.h"
#include "voice_guild.h"


/* a line of each counter with its help, and all else */
#define NGX_HTTP_VOICE_STATUS_SIZE                                            \
    (VOICE_METRICS_COUNT * 320 + VOICE_WORKERS_MAX * 16 + 8192)


/* All that is told, collected once. */
typedef struct {
    voice_zone_t            *zone;
    voice_session_stats_t    sessions;
    voice_drain_t            drain;
    uint64_t                 now;
    uint64_t                 sum[VOICE_METRICS_COUNT];
    voice_guild_stats_t      guilds;
    uint64_t                 websockets;
    uint64_t                 gateways;
    ngx_uint_t               workers;
    char                     boot[NGX_VOICE_BOOT_LEN + 1];
    u_char                  *last;        /* of the answer's buffer */
} ngx_http_voice_status_t;


typedef struct {
    const char              *family;
    const char              *help;
} ngx_http_voice_help_t;


static const ngx_http_voice_help_t  ngx_http_voice_helps[] = {
    { "rx_packets", "Datagrams received." },
    { "rx_bytes", "Bytes of the datagrams received." },
    { "rx_accepted", "Packets of speech that were routed." },
    { "tx_packets", "Datagrams sent." },
    { "tx_bytes", "Bytes of the datagrams sent." },
    { "control", "Datagrams received that are no speech." },
    { "dropped", "Datagrams received and not routed, by reason." },
    { "due_packets", "Packets due to receivers: each is sent or skipped." },
    { "skipped", "Packets due to a receiver and not sent, by reason." },
    { "sealed", "Packets encrypted, by mode." },
    { "silence_packets", "Silence sent where a stream was cut." },
    { "rtcp_reports", "Receiver reports sent." },
    { "address_changes", "Sessions that moved to another address." },
    { "fanout_built", "Lists of receivers that were built." },
    { "rekeyed", "Keys renewed because their nonces ran out." },
    { "websockets_opened", "Voice websockets opened." },
    { "websockets_closed", "Voice websockets closed." },
    { "websocket_messages", "Messages of voice websockets." },
    { "identifies", "Sessions made by Identify." },
    { "resumes", "Attempts to resume a session, by result." },
    { "sessions_replaced", "Sessions ended by a newer one of their user." },
    { "sessions_expired", "Sessions that were not resumed in time." },
    { "outbox_overflows", "Sessions that lost events, being too slow." },
    { "refused", "Voice websockets refused or ended, by reason." },
    { "gateway_websockets_opened", "Gateway websockets opened." },
    { "gateway_websockets_closed", "Gateway websockets closed." },
    { "gateway_identifies", "Gateway sessions made by Identify." },
    { "gateway_resumes", "Attempts to resume a gateway session." },
    { "gateway_sessions_expired", "Gateway sessions not resumed in time." },
    { "gateway_commands", "Messages of gateway clients." },
    { "gateway_events", "Events sent to gateway clients." },
    { "gateway_refused", "Gateway websockets refused or ended, by reason." },
    { "api_requests", "Requests of REST, by status." },
    { "peer_refused", "States and messages of other nodes refused." },
    { "peer_syncs", "Nodes that had to tell all of their states anew." },
    { "zone_repairs", "Repairs after a process died inside the lock." }
};


static const char *
ngx_http_voice_status_help(const char *family)
{
    ngx_uint_t  i;

    for (i = 0; i < sizeof(ngx_http_voice_helps)
                    / sizeof(ngx_http_voice_helps[0]);
         i++)
    {
        if (ngx_strcmp(ngx_http_voice_helps[i].family, family) == 0) {
            return ngx_http_voice_helps[i].help;
        }
    }

    return "A counter of the voice server.";
}


/* Of a living worker: one that was killed could not count the closed. */

static uint64_t
ngx_http_voice_status_open(voice_worker_t *w, voice_metric_t opens,
    voice_metric_t closes)
{
    uint64_t  closed, opened;

    opened = atomic_load(&w->metrics.value[opens]);
    closed = atomic_load(&w->metrics.value[closes]);

    return opened - ngx_min(opened, closed);
}


static void
ngx_http_voice_status_collect(ngx_http_voice_status_t *st, voice_zone_t *z)
{
    ngx_uint_t       i;
    voice_worker_t  *w;

    st->zone = z;
    st->workers = 0;
    st->websockets = 0;
    st->gateways = 0;

    ngx_voice_boot(z, st->boot);
    voice_session_stats(z, &st->sessions);
    (void) voice_drain_get(z, &st->drain);
    st->now = ngx_voice_now();
    voice_guild_stats(z, &st->guilds);
    voice_zone_metrics_sum(z, st->sum);

    for (i = 0; i < VOICE_WORKERS_MAX; i++) {
        w = &z->header->worker[i];

        if (atomic_load(&w->pid) == 0) {
            continue;
        }

        st->workers++;
        st->websockets += ngx_http_voice_status_open(w, VOICE_M_WS_OPENED,
                                                     VOICE_M_WS_CLOSED);
        st->gateways += ngx_http_voice_status_open(w, VOICE_M_GATEWAY_OPENED,
                                                   VOICE_M_GATEWAY_CLOSED);
    }
}


static u_char *
ngx_http_voice_status_quoted(ngx_http_voice_status_t *st, u_char *p,
    const char *s)
{
    size_t  len;

    len = ngx_strlen(s);

    if ((size_t) (st->last - p)
        < len + ngx_escape_json(NULL, (u_char *) s, len))
    {
        return st->last;
    }

    return (u_char *) ngx_escape_json(p, (u_char *) s, len);
}


static u_char *
ngx_http_voice_status_json_head(ngx_http_voice_status_t *st, u_char *p)
{
    uint32_t              pid;
    ngx_uint_t            i;
    const char           *comma;
    voice_zone_header_t  *h = st->zone->header;

    p = ngx_slprintf(p, st->last,
                     "{\"version\":\"" NGX_VOICE_VERSION "\",\"node\":\"");
    p = ngx_http_voice_status_quoted(st, p, h->node);
    p = ngx_slprintf(p, st->last, "\",\"boot_id\":\"%s\",\"crypto\":\"%s\","
                     "\"worker_pids\":[", st->boot,
                     voice_crypto_kernel_name(voice_crypto_used()));

    for (comma = "", i = 0; i < VOICE_WORKERS_MAX; i++) {
        pid = atomic_load(&h->worker[i].pid);

        if (pid != 0) {
            p = ngx_slprintf(p, st->last, "%s%uD", comma, pid);
            comma = ",";
        }
    }

    return ngx_slprintf(p, st->last,
                        "],\"zone\":{\"size\":%uL,\"sessions_capacity\":%uD,"
                        "\"sessions_used\":%uD,\"bytes_per_session\":%uz,"
                        "\"rooms_used\":%uD,\"repairs\":%uL},",
                        h->size, st->sessions.capacity, st->sessions.sessions,
                        voice_zone_session_size(), st->sessions.rooms,
                        h->repairs);
}


static u_char *
ngx_http_voice_status_json_sessions(ngx_http_voice_status_t *st, u_char *p)
{
    ngx_uint_t              i;
    voice_session_stats_t  *ss = &st->sessions;

    p = ngx_slprintf(p, st->last,
                     "\"sessions\":{\"total\":%uD,\"live\":%uD,"
                     "\"detached\":%uD,\"bound\":%uD,\"probes\":%uD,"
                     "\"by_mode\":{",
                     ss->sessions, ss->live, ss->detached, ss->bound,
                     ss->probes);

    for (i = 0; i < VOICE_MODE_COUNT; i++) {
        p = ngx_slprintf(p, st->last, "%s\"%s\":%uD", i == 0 ? "" : ",",
                         voice_mode_name((voice_mode_t) i), ss->by_mode[i]);
    }

    p = ngx_slprintf(p, st->last,
                     "}},\"gateway\":{\"websockets\":%uL,\"attached\":%uD,"
                     "\"detached\":%uD,\"voice_states\":%uD,"
                     "\"guilds\":%uD,\"log_events\":%uL}",
                     st->gateways, st->guilds.attached, st->guilds.detached,
                     st->guilds.states, st->guilds.guilds, st->guilds.events);

    return ngx_slprintf(p, st->last,
                        ",\"rooms\":%uD,\"websockets\":%uL,"
                        "\"rx\":{\"packets\":%uL,\"bytes\":%uL,"
                        "\"accepted\":%uL},"
                        "\"tx\":{\"packets\":%uL,\"bytes\":%uL}",
                        ss->rooms, st->websockets,
                        st->sum[VOICE_M_RX_PACKETS],
                        st->sum[VOICE_M_RX_BYTES],
                        st->sum[VOICE_M_RX_ACCEPTED],
                        st->sum[VOICE_M_TX_PACKETS],
                        st->sum[VOICE_M_TX_BYTES]);
}


/* What is left to wait for. */

static uint64_t
ngx_http_voice_status_deadline(ngx_http_voice_status_t *st)
{
    return st->drain.deadline > st->now ? st->drain.deadline - st->now : 0;
}


static u_char *
ngx_http_voice_status_json_drain(ngx_http_voice_status_t *st, u_char *p)
{
    ngx_uint_t   i;
    const char  *comma;

    p = ngx_slprintf(p, st->last, ",\"drain\":{\"on\":%s,\"by\":[",
                     st->drain.by != 0 ? "true" : "false");

    for (comma = "", i = 0; i < VOICE_DRAIN_BY; i++) {
        if (st->drain.by & (1u << i)) {
            p = ngx_slprintf(p, st->last, "%s\"%s\"", comma,
                             voice_drain_name((voice_drain_by_t) i));
            comma = ",";
        }
    }

    p = ngx_slprintf(p, st->last, "],\"seconds\":%uL,\"deadline_seconds\":",
                     st->drain.by != 0 && st->now > st->drain.since
                     ? (st->now - st->drain.since) / 1000 : 0);

    if (st->drain.deadline == 0) {
        return ngx_slprintf(p, st->last, "null,\"left\":%uD}",
                            st->sessions.sessions);
    }

    return ngx_slprintf(p, st->last, "%uL,\"left\":%uD}",
                        (ngx_http_voice_status_deadline(st) + 999) / 1000,
                        st->sessions.sessions);
}


static ngx_uint_t
ngx_http_voice_status_first(ngx_uint_t i)
{
    return i == 0 || ngx_strcmp(voice_metric_desc[i].family,
                                voice_metric_desc[i - 1].family)
                     != 0;
}


/* Families as members; those with a label are objects. */

static u_char *
ngx_http_voice_status_json(ngx_http_voice_status_t *st, u_char *p)
{
    ngx_uint_t                  i, open;
    const voice_metric_desc_t  *m;

    p = ngx_http_voice_status_json_head(st, p);
    p = ngx_http_voice_status_json_sessions(st, p);
    p = ngx_http_voice_status_json_drain(st, p);

    for (open = 0, i = 0; i < VOICE_METRICS_COUNT; i++) {
        m = &voice_metric_desc[i];

        /* said already, in rx and tx */
        if (ngx_strncmp(m->family, "rx_", 3) == 0
            || ngx_strncmp(m->family, "tx_", 3) == 0)
        {
            continue;
        }

        if (ngx_http_voice_status_first(i)) {
            p = ngx_slprintf(p, st->last, "%s,\"%s\":%s", open ? "}" : "",
                             m->family, m->label != NULL ? "{" : "");
            open = (m->label != NULL);

        } else if (open) {
            p = ngx_slprintf(p, st->last, ",");
        }

        if (open) {
            p = ngx_slprintf(p, st->last, "\"%s\":", m->value);
        }

        p = ngx_slprintf(p, st->last, "%uL", st->sum[i]);
    }

    return ngx_slprintf(p, st->last, "%s}\n", open ? "}" : "");
}


static u_char *
ngx_http_voice_status_gauge(ngx_http_voice_status_t *st, u_char *p,
    const char *name, const char *help, uint64_t value)
{
    return ngx_slprintf(p, st->last,
                        "# HELP %s %s\n# TYPE %s gauge\n%s %uL\n",
                        name, help, name, name, value);
}


static u_char *
ngx_http_voice_status_gauges(ngx_http_voice_status_t *st, u_char *p)
{
    ngx_uint_t              i;
    voice_session_stats_t  *ss = &st->sessions;

    p = ngx_slprintf(p, st->last,
                     "# HELP voice_info The voice server and its zone.\n"
                     "# TYPE voice_info gauge\n"
                     "voice_info{version=\"" NGX_VOICE_VERSION "\",node=\"");

    /* label values have the escapes of JSON, and few enough others */
    p = ngx_http_voice_status_quoted(st, p, st->zone->header->node);
    p = ngx_slprintf(p, st->last, "\",boot_id=\"%s\",crypto=\"%s\"} 1\n",
                     st->boot,
                     voice_crypto_kernel_name(voice_crypto_used()));

    p = ngx_http_voice_status_gauge(st, p, "voice_workers",
                                    "Workers that serve the zone.",
                                    st->workers);
    p = ngx_http_voice_status_gauge(st, p, "voice_zone_bytes",
                                    "Size of the zone.",
                                    st->zone->header->size);
    p = ngx_http_voice_status_gauge(st, p, "voice_sessions_capacity",
                                    "Sessions that the zone has room for.",
                                    ss->capacity);
    p = ngx_http_voice_status_gauge(st, p, "voice_sessions",
                                    "Sessions.", ss->sessions);
    p = ngx_http_voice_status_gauge(st, p, "voice_sessions_live",
                                    "Sessions that are in a room.", ss->live);
    p = ngx_http_voice_status_gauge(st, p, "voice_sessions_detached",
                                    "Sessions without a websocket.",
                                    ss->detached);
    p = ngx_http_voice_status_gauge(st, p, "voice_sessions_bound",
                                    "Sessions whose address is known.",
                                    ss->bound);
    p = ngx_http_voice_status_gauge(st, p, "voice_probe_sessions",
                                    "Sessions of discovery agents.",
                                    ss->probes);
    p = ngx_http_voice_status_gauge(st, p, "voice_rooms",
                                    "Rooms with a session in them.",
                                    ss->rooms);
    p = ngx_http_voice_status_gauge(st, p, "voice_websockets",
                                    "Open voice websockets.",
                                    st->websockets);
    p = ngx_http_voice_status_gauge(st, p, "voice_draining",
                                    "1: no new calls are admitted.",
                                    st->drain.by != 0);
    p = ngx_http_voice_status_gauge(st, p, "voice_drain_deadline_seconds",
                                    "Until those who are left have to go; 0: "
                                    "no deadline, or it is over.",
                                    (ngx_http_voice_status_deadline(st) + 999)
                                    / 1000);
    p = ngx_http_voice_status_gauge(st, p, "voice_gateway_websockets",
                                    "Open gateway websockets.",
                                    st->gateways);
    p = ngx_http_voice_status_gauge(st, p, "voice_gateway_sessions",
                                    "Gateway sessions.",
                                    st->guilds.attached
                                    + st->guilds.detached);
    p = ngx_http_voice_status_gauge(st, p, "voice_gateway_sessions_detached",
                                    "Gateway sessions without a websocket.",
                                    st->guilds.detached);
    p = ngx_http_voice_status_gauge(st, p, "voice_states",
                                    "Users who are in a voice channel by way "
                                    "of the gateway.", st->guilds.states);

    p = ngx_slprintf(p, st->last,
                     "# HELP voice_sessions_by_mode Sessions by mode.\n"
                     "# TYPE voice_sessions_by_mode gauge\n");

    for (i = 0; i < VOICE_MODE_COUNT; i++) {
        p = ngx_slprintf(p, st->last,
                         "voice_sessions_by_mode{mode=\"%s\"} %uD\n",
                         voice_mode_name((voice_mode_t) i), ss->by_mode[i]);
    }

    return p;
}


/* Text format 0.0.4 */

static u_char *
ngx_http_voice_status_prometheus(ngx_http_voice_status_t *st, u_char *p)
{
    ngx_uint_t                  i;
    const voice_metric_desc_t  *m;

    p = ngx_http_voice_status_gauges(st, p);

    for (i = 0; i < VOICE_METRICS_COUNT; i++) {
        m = &voice_metric_desc[i];

        if (ngx_http_voice_status_first(i)) {
            p = ngx_slprintf(p, st->last,
                             "# HELP voice_%s_total %s\n"
                             "# TYPE voice_%s_total counter\n",
                             m->family, ngx_http_voice_status_help(m->family),
                             m->family);
        }

        if (m->label != NULL) {
            p = ngx_slprintf(p, st->last,
                             "voice_%s_total{%s=\"%s\"} %uL\n",
                             m->family, m->label, m->value, st->sum[i]);

        } else {
            p = ngx_slprintf(p, st->last, "voice_%s_total %uL\n", m->family,
                             st->sum[i]);
        }
    }

    return p;
}


static ngx_int_t
ngx_http_voice_status_render(ngx_http_request_t *r, ngx_uint_t format,
    ngx_buf_t *b)
{
    voice_zone_t             *z;
    ngx_http_voice_status_t   st;

    z = ngx_voice_zone((ngx_cycle_t *) ngx_cycle);

    if (z == NULL) {
        ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                      "no voice zone is mapped");
        return NGX_HTTP_SERVICE_UNAVAILABLE;
    }

    ngx_http_voice_status_collect(&st, z);
    st.last = b->end;

    b->last = (format == NGX_HTTP_VOICE_STATUS_PROMETHEUS)
              ? ngx_http_voice_status_prometheus(&st, b->last)
              : ngx_http_voice_status_json(&st, b->last);

    if (b->last == b->end) {
        ngx_log_error(NGX_LOG_ALERT, r->connection->log, 0,
                      "voice status of more than %d bytes",
                      NGX_HTTP_VOICE_STATUS_SIZE);
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return NGX_OK;
}


ngx_int_t
ngx_http_voice_status_handler(ngx_http_request_t *r)
{
    ngx_int_t                   rc;
    ngx_buf_t                  *b;
    ngx_chain_t                 out;
    ngx_http_voice_loc_conf_t  *vlcf;

    if (!(r->method & (NGX_HTTP_GET|NGX_HTTP_HEAD))) {
        return NGX_HTTP_NOT_ALLOWED;
    }

    rc = ngx_http_discard_request_body(r);

    if (rc != NGX_OK) {
        return rc;
    }

    vlcf = ngx_http_get_module_loc_conf(r, ngx_http_voice_module);

    b = ngx_create_temp_buf(r->pool, NGX_HTTP_VOICE_STATUS_SIZE);
    if (b == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    rc = ngx_http_voice_status_render(r, vlcf->status, b);

    if (rc != NGX_OK) {
        return rc;
    }

    b->last_buf = (r == r->main) ? 1 : 0;
    b->last_in_chain = 1;

    if (vlcf->status == NGX_HTTP_VOICE_STATUS_PROMETHEUS) {
        ngx_str_set(&r->headers_out.content_type,
                    "text/plain; version=0.0.4; charset=utf-8");

    } else {
        ngx_str_set(&r->headers_out.content_type, "application/json");
    }

    r->headers_out.content_type_len = r->headers_out.content_type.len;
    r->headers_out.status = NGX_HTTP_OK;
    r->headers_out.content_length_n = b->last - b->pos;

    rc = ngx_http_send_header(r);

    if (rc == NGX_ERROR || rc > NGX_OK || r->header_only) {
        return rc;
    }

    out.buf = b;
    out.next = NULL;

    return ngx_http_output_filter(r, &out);
}
