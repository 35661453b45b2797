/*
 * Copyright (C) ngx-voice contributors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_voice_admit.h"
#include "ngx_http_voice_event.h"
#include "ngx_http_voice_handshake.h"
#include "ngx_http_voice_registry.h"

#include <arpa/inet.h>
#include <sodium.h>


/* From the opening of the websocket to Identify or Resume. */
#define NGX_HTTP_VOICE_IDENTIFY_TIMEOUT   15000

/* No media goes to a client that may not know its new key yet. */
#define NGX_HTTP_VOICE_KEY_HOLD           500

/* How long another node may take to say that a user is in voice, and how
   often it is looked for, ms. */
#define NGX_HTTP_VOICE_LATE               3000
#define NGX_HTTP_VOICE_LATE_LOOK          20

#define ngx_http_voice_identified(sg)                                         \
    ((sg)->state.state == VOICE_SIGNAL_READY                                  \
     || (sg)->state.state == VOICE_SIGNAL_LIVE)


static void ngx_http_voice_signal_message(ngx_http_voice_ws_t *ws,
    ngx_uint_t text, u_char *data, size_t len);
static void ngx_http_voice_signal_identify(ngx_http_voice_signal_t *sg,
    const voice_op_identify_t *id);
static void ngx_http_voice_signal_oversized(ngx_http_voice_ws_t *ws);
static void ngx_http_voice_signal_timeout(ngx_http_voice_ws_t *ws);
static void ngx_http_voice_signal_drained(ngx_http_voice_ws_t *ws);
static void ngx_http_voice_signal_closed(ngx_http_voice_ws_t *ws);


static const ngx_http_voice_ws_handler_t  ngx_http_voice_signal_ws = {
    ngx_http_voice_signal_message,
    ngx_http_voice_signal_oversized,
    ngx_http_voice_signal_timeout,
    ngx_http_voice_signal_drained,
    ngx_http_voice_signal_closed,
    NULL
};


void
ngx_http_voice_signal_count(ngx_http_voice_signal_t *sg)
{
    int32_t           lost;
    voice_rtpstat_t   stat;
    voice_session_t  *s;

    if (sg->id == 0) {
        return;
    }

    s = voice_session_get(sg->zone, sg->id);

    if (s == NULL) {
        return;
    }

    stat = s->stat;
    lost = voice_rtpstat_lost(&stat);

    sg->packets_in = atomic_load(&s->rx_packets);
    sg->packets_out = atomic_load(&s->tx_packets);
    sg->packets_lost = (lost > 0) ? lost : 0;
}


void
ngx_http_voice_signal_send(ngx_http_voice_signal_t *sg, const char *text,
    size_t len)
{
    voice_metric_add(voice_zone_metrics(sg->zone), VOICE_M_WS_MESSAGES_TX, 1);

    ngx_http_voice_ws_send(sg->ws, text, len);
}


static void
ngx_http_voice_signal_attach(ngx_http_voice_signal_t *sg, voice_id_t id,
    uint32_t attach)
{
    sg->id = id;
    sg->attach = attach;
    sg->known = 1;

    ngx_http_voice_registry_add(sg);
}


/*
 * Parts from the session; it stays resumable or it is over.  Where another
 * websocket has it by now neither happens, since the number differs.
 */

static void
ngx_http_voice_signal_part(ngx_http_voice_signal_t *sg, ngx_uint_t resumable)
{
    ngx_http_voice_signal_count(sg);

    if (resumable) {
        voice_session_detach(sg->zone, sg->id, sg->attach, ngx_voice_now(),
                        ngx_voice_resume_window((ngx_cycle_t *) ngx_cycle));

    } else {
        voice_session_close(sg->zone, sg->id, sg->attach, 0);
    }

    ngx_http_voice_registry_remove(sg);
    sg->id = 0;

    ngx_http_voice_registry_told();
    ngx_voice_wake(sg->zone, sg->log);
}


/* One line at the end of each websocket that got as far as the protocol. */

static void
ngx_http_voice_signal_over(ngx_http_voice_signal_t *sg, ngx_uint_t code,
    const char *reason, ngx_uint_t resumable)
{
    if (sg->id == 0) {
        ngx_log_error(NGX_LOG_INFO, sg->log, 0,
                      "voice client claiming user %uL guild %uL has no "
                      "session: %ui \"%s\"",
                      sg->user_id, sg->guild_id, code, reason);
        return;
    }

    ngx_http_voice_signal_part(sg, resumable);

    ngx_log_error(NGX_LOG_INFO, sg->log, 0,
                  "voice user %uL %s guild %uL channel %uL: "
                  "%ui \"%s\", packets in %uL out %uL lost %uL",
                  sg->user_id, resumable ? "is away from" : "left",
                  sg->guild_id, sg->channel_id, code, reason,
                  sg->packets_in, sg->packets_out, sg->packets_lost);
}


void
ngx_http_voice_signal_close(ngx_http_voice_signal_t *sg, unsigned code,
    const char *reason, voice_metric_t metric)
{
    if (metric != VOICE_METRICS_COUNT) {
        voice_metric_add(voice_zone_metrics(sg->zone), metric, 1);
    }

    voice_signal_done(&sg->state, VOICE_SIGNAL_CLOSE);

    /* section 7.1: which codes a client may answer with Resume */
    ngx_http_voice_signal_over(sg, code, reason,
                               code < 4000
                               || code == VOICE_CLOSE_SERVER_CRASHED);

    ngx_http_voice_ws_close(sg->ws, code, reason);
}


static void
ngx_http_voice_signal_stale(ngx_http_voice_signal_t *sg)
{
    ngx_http_voice_signal_close(sg, VOICE_CLOSE_SESSION_INVALID,
                                "session is gone", VOICE_METRICS_COUNT);
}


static void
ngx_http_voice_signal_beat(ngx_http_voice_signal_t *sg)
{
    /* two lost and one late */
    ngx_http_voice_ws_timer(sg->ws, sg->conf->heartbeat * 5 / 2);
}


static void
ngx_http_voice_signal_ack(ngx_http_voice_signal_t *sg,
    const voice_op_heartbeat_t *hb)
{
    char    buf[VOICE_ENCODE_MAX];
    size_t  len;

    if (voice_heartbeat_ack_encode(buf, sizeof(buf), sg->state.version, hb,
                                   &len)
        == VOICE_OK)
    {
        ngx_http_voice_signal_send(sg, buf, len);
    }

    if (ngx_http_voice_identified(sg)) {
        ngx_http_voice_signal_beat(sg);

        /* finds out, too, that another worker has the session now */
        ngx_http_voice_event_drain(sg);
    }
}


static void
ngx_http_voice_signal_ready(ngx_http_voice_signal_t *sg,
    const voice_endpoint_t *ep)
{
    char               buf[VOICE_ENCODE_MAX];
    size_t             len;
    voice_session_t   *s;
    voice_op_ready_t   ready;

    s = voice_session_get(sg->zone, sg->id);

    if (s == NULL) {
        ngx_http_voice_signal_stale(sg);
        return;
    }

    ready.ssrc = atomic_load(&s->ssrc);
    ready.ip = ep->ip;
    ready.port = ep->port;
    ready.mode = sg->conf->mode;
    ready.nmodes = sg->conf->nmodes;
    ready.heartbeat_interval = (uint32_t) sg->conf->heartbeat;

    if (voice_ready_encode(buf, sizeof(buf), &ready, &len) != VOICE_OK) {
        ngx_log_error(NGX_LOG_ALERT, sg->log, 0, "voice Ready is too long");
        ngx_http_voice_signal_close(sg, VOICE_CLOSE_SERVER_NOT_FOUND,
                                    "internal error", VOICE_METRICS_COUNT);
        return;
    }

    ngx_http_voice_signal_send(sg, buf, len);
    ngx_http_voice_signal_beat(sg);

    voice_signal_done(&sg->state, VOICE_SIGNAL_IDENTIFY);
    voice_metric_add(voice_zone_metrics(sg->zone), VOICE_M_IDENTIFIED, 1);
}


/* One whose voice state is on its way from another node; in the pool. */
struct ngx_http_voice_late_s {
    ngx_event_t               timer;
    ngx_http_voice_signal_t  *signal;
    ngx_msec_t                until;
    voice_op_identify_t       identify;
};


static void
ngx_http_voice_signal_late_handler(ngx_event_t *ev)
{
    ngx_http_voice_late_t    *late = ev->data;
    ngx_http_voice_signal_t  *sg = late->signal;

    if (sg->state.state != VOICE_SIGNAL_CLOSED
        && !ngx_http_voice_identified(sg))
    {
        ngx_http_voice_signal_identify(sg, &late->identify);
        ngx_http_voice_ws_flush(sg->ws);
    }
}


static void
ngx_http_voice_signal_late_end(ngx_http_voice_signal_t *sg)
{
    if (sg->late == NULL) {
        return;
    }

    if (sg->late->timer.timer_set) {
        ngx_del_timer(&sg->late->timer);
    }

    sodium_memzero(&sg->late->identify, sizeof(voice_op_identify_t));
    sg->late = NULL;
}


/* NGX_DECLINED: it has waited for long enough. */

static ngx_int_t
ngx_http_voice_signal_late(ngx_http_voice_signal_t *sg,
    const voice_op_identify_t *id)
{
    ngx_http_voice_late_t  *late = sg->late;

    if (late == NULL) {
        late = ngx_pcalloc(sg->ws->request->pool,
                           sizeof(ngx_http_voice_late_t));
        if (late == NULL) {
            return NGX_DECLINED;
        }

        late->signal = sg;
        late->until = ngx_current_msec + NGX_HTTP_VOICE_LATE;
        late->timer.handler = ngx_http_voice_signal_late_handler;
        late->timer.data = late;
        late->timer.log = sg->log;
        late->timer.cancelable = 1;

        sg->late = late;
    }

    if ((ngx_msec_int_t) (late->until - ngx_current_msec) <= 0) {
        return NGX_DECLINED;
    }

    if (id != &late->identify) {
        late->identify = *id;
    }

    ngx_add_timer(&late->timer, NGX_HTTP_VOICE_LATE_LOOK);

    return NGX_OK;
}


static void
ngx_http_voice_signal_identify(ngx_http_voice_signal_t *sg,
    const voice_op_identify_t *id)
{
    bool                             replaced, video;
    uint32_t                         attach;
    voice_id_t                       session;
    voice_err_t                      err;
    voice_token_t                    token;
    voice_endpoint_t                 ep;
    voice_session_conf_t             conf;
    const ngx_http_voice_refusal_t  *refusal;

    sg->user_id = id->user_id;
    sg->guild_id = id->guild_id;

    ngx_memzero(&conf, sizeof(voice_session_conf_t));
    voice_token_hash(id->token, conf.token_hash);

    refusal = ngx_http_voice_admit(sg, id, conf.token_hash, &token);

    if (refusal == &ngx_http_voice_refuse_late
        && ngx_http_voice_signal_late(sg, id) == NGX_OK)
    {
        return;
    }

    video = id->video;
    ngx_http_voice_signal_late_end(sg);

    if (refusal != NULL) {
        ngx_http_voice_signal_close(sg, refusal->code, refusal->reason,
                                    refusal->metric);
        return;
    }

    ngx_http_voice_admit_conf(sg, &token, video, &conf);

    err = voice_session_create(sg->zone, &conf, ngx_voice_now(), &session,
                               &attach, &replaced);

    if (err == VOICE_E_STALE) {
        /* moved or disconnected since it was admitted */
        ngx_http_voice_signal_close(sg, VOICE_CLOSE_DISCONNECTED,
                                    "not in this channel any more",
                                    VOICE_M_REFUSED_USER);
        return;
    }

    if (err != VOICE_OK) {
        ngx_voice_wake(sg->zone, sg->log);

        ngx_log_error(NGX_LOG_ERR, sg->log, 0,
                      "voice user %uL of guild %uL refused: all %ud sessions "
                      "of the \"voice_zone\" are in use", token.user_id,
                      token.guild_id, sg->zone->header->sessions);

        /* no other code makes as many libraries come again, section 7.1 */
        ngx_http_voice_signal_close(sg, VOICE_CLOSE_SERVER_NOT_FOUND,
                                    "server full", VOICE_M_REFUSED_FULL);
        return;
    }

    ngx_http_voice_signal_attach(sg, session, attach);

    /* the replaced one may be ours: after this session has its slot */
    ngx_voice_wake(sg->zone, sg->log);

    ngx_log_error(NGX_LOG_INFO, sg->log, 0,
                  "voice user %uL joins guild %uL channel %uL, version %d%s",
                  sg->user_id, sg->guild_id, sg->channel_id,
                  sg->state.version, replaced ? ", replacing a session" : "");

    if (ngx_http_voice_admit_endpoint(sg, &ep) != NGX_OK) {
        ngx_http_voice_signal_close(sg, VOICE_CLOSE_SERVER_NOT_FOUND,
                                    "no voice relay", VOICE_METRICS_COUNT);
        return;
    }

    ngx_http_voice_signal_ready(sg, &ep);
}


ngx_int_t
ngx_http_voice_signal_key(ngx_http_voice_signal_t *sg, voice_mode_t mode,
    const voice_addr_t *hint)
{
    char         buf[VOICE_ENCODE_MAX];
    size_t       len;
    uint8_t      key[VOICE_KEY_LEN];
    voice_err_t  err;

    randombytes_buf(key, sizeof(key));

    err = voice_session_select(sg->zone, sg->id, mode, key, hint,
                               ngx_voice_now(), NGX_HTTP_VOICE_KEY_HOLD);

    if (err == VOICE_OK) {
        err = voice_session_description_encode(buf, sizeof(buf), mode, key,
                                               &len);
    }

    if (err == VOICE_OK) {
        ngx_http_voice_signal_send(sg, buf, len);
    }

    sodium_memzero(key, sizeof(key));
    sodium_memzero(buf, sizeof(buf));

    ngx_http_voice_registry_told();
    ngx_voice_wake(sg->zone, sg->log);

    return err == VOICE_OK ? NGX_OK : NGX_DECLINED;
}


/* The address that a client found out by IP discovery; it need not be one. */

static const voice_addr_t *
ngx_http_voice_signal_hint(const voice_op_select_t *sel, voice_addr_t *addr)
{
    ngx_memzero(addr, sizeof(voice_addr_t));
    addr->port = sel->port;

    if (sel->port == 0) {
        return NULL;
    }

    if (inet_pton(AF_INET, sel->address, addr->ip) == 1) {
        addr->family = VOICE_ADDR_V4;
        return addr;
    }

    if (inet_pton(AF_INET6, sel->address, addr->ip) == 1) {
        addr->family = VOICE_ADDR_V6;
        return addr;
    }

    return NULL;
}


static void
ngx_http_voice_signal_select(ngx_http_voice_signal_t *sg,
    const voice_op_select_t *sel)
{
    voice_mode_t                     mode;
    voice_addr_t                     addr;
    const ngx_http_voice_refusal_t  *refusal;

    refusal = ngx_http_voice_admit_mode(sg, sel, &mode);

    if (refusal != NULL) {
        ngx_http_voice_signal_close(sg, refusal->code, refusal->reason,
                                    refusal->metric);
        return;
    }

    if (ngx_http_voice_signal_key(sg, mode,
                                  ngx_http_voice_signal_hint(sel, &addr))
        != NGX_OK)
    {
        ngx_http_voice_signal_stale(sg);
        return;
    }

    sg->mode = mode;
    sg->selected = 1;

    voice_signal_done(&sg->state, VOICE_SIGNAL_SELECT);

    /* the others, behind op 4 */
    ngx_http_voice_event_drain(sg);
}


static void
ngx_http_voice_signal_speaking(ngx_http_voice_signal_t *sg,
    const voice_op_speaking_t *sp)
{
    uint32_t     mask;
    voice_err_t  err;

    /* whose SSRC it names doesn't matter: it is this session that speaks */

    mask = sp->speaking & (VOICE_SPEAKING_VOICE | VOICE_SPEAKING_SOUNDSHARE
                           | VOICE_SPEAKING_PRIORITY);

    if (!sg->priority) {
        mask &= ~VOICE_SPEAKING_PRIORITY;
    }

    err = voice_session_speaking(sg->zone, sg->id, mask, !sg->spoken);

    if (err == VOICE_OK) {
        sg->spoken = 1;

    } else if (err == VOICE_E_STALE) {
        ngx_http_voice_signal_stale(sg);
        return;
    }

    ngx_http_voice_registry_told();
    ngx_voice_wake(sg->zone, sg->log);
}


static void
ngx_http_voice_signal_version(ngx_http_voice_signal_t *sg)
{
    char    buf[VOICE_ENCODE_MAX];
    size_t  len;

    if (voice_backend_version_encode(buf, sizeof(buf), &len) == VOICE_OK) {
        ngx_http_voice_signal_send(sg, buf, len);
    }
}


/* An older websocket of this worker for the session that a new one takes. */

static void
ngx_http_voice_signal_supersede(ngx_http_voice_signal_t *sg, voice_id_t id)
{
    ngx_http_voice_signal_t  *old;

    old = ngx_http_voice_registry_find(id);

    if (old == NULL || old == sg) {
        return;
    }

    ngx_http_voice_signal_close(old, NGX_HTTP_VOICE_WS_GOING_AWAY,
                                "resumed by another websocket",
                                VOICE_METRICS_COUNT);
    ngx_http_voice_ws_flush(old->ws);
}


static void
ngx_http_voice_signal_resumed(ngx_http_voice_signal_t *sg,
    const voice_token_t *token)
{
    char              buf[VOICE_ENCODE_MAX];
    size_t            len;
    uint32_t          key;
    voice_session_t  *s;

    s = voice_session_get(sg->zone, sg->id);

    if (s == NULL) {
        ngx_http_voice_signal_stale(sg);
        return;
    }

    ngx_http_voice_admit_known(sg, token);

    key = atomic_load(&s->key);

    /* moved by an operator since the token was made? */
    sg->channel_id = s->channel_id;

    if (key != 0) {
        sg->mode = (voice_mode_t) s->mode[key & 1];
        sg->selected = 1;
    }

    if (voice_resumed_encode(buf, sizeof(buf), &len) == VOICE_OK) {
        ngx_http_voice_signal_send(sg, buf, len);
    }

    ngx_http_voice_signal_beat(sg);

    voice_signal_done(&sg->state, VOICE_SIGNAL_RESUME);
    voice_metric_add(voice_zone_metrics(sg->zone), VOICE_M_RESUMED, 1);

    ngx_log_error(NGX_LOG_INFO, sg->log, 0,
                  "voice user %uL resumes in guild %uL channel %uL, "
                  "version %d", sg->user_id, sg->guild_id, sg->channel_id,
                  sg->state.version);

    ngx_http_voice_event_drain(sg);
}


static void
ngx_http_voice_signal_resume(ngx_http_voice_signal_t *sg,
    const voice_op_resume_t *r)
{
    uint8_t        hash[VOICE_TOKEN_HASH_LEN];
    uint32_t       attach;
    voice_id_t     id;
    voice_err_t    err;
    voice_token_t  token;

    sg->guild_id = r->guild_id;

    if (ngx_http_voice_admit_resume(sg, r, &token) != NGX_OK) {
        ngx_http_voice_signal_close(sg, VOICE_CLOSE_SESSION_INVALID,
                                    "token not valid for this session",
                                    VOICE_M_RESUME_FAILED);
        return;
    }

    voice_token_hash(r->token, hash);

    err = voice_session_resume(sg->zone, token.guild_id, token.user_id,
                               token.session_id, hash, sg->state.version,
                               r->has_seq_ack, (uint16_t) r->seq_ack,
                               ngx_voice_now(), &id, &attach);

    if (err != VOICE_OK) {
        ngx_log_error(NGX_LOG_INFO, sg->log, 0,
                      "voice user %uL can't resume in guild %uL: %s",
                      token.user_id, token.guild_id, voice_err_name(err));

        ngx_http_voice_signal_close(sg, VOICE_CLOSE_SESSION_INVALID,
                                    err == VOICE_E_EXPIRED
                                    ? "missed messages are no longer there"
                                    : "no such session",
                                    VOICE_M_RESUME_FAILED);
        return;
    }

    ngx_http_voice_signal_supersede(sg, id);
    ngx_http_voice_signal_attach(sg, id, attach);
    ngx_voice_wake(sg->zone, sg->log);

    ngx_http_voice_signal_resumed(sg, &token);
}


static void
ngx_http_voice_signal_perform(ngx_http_voice_signal_t *sg,
    const voice_client_msg_t *msg, const voice_signal_out_t *out)
{
    switch (out->action) {

    case VOICE_SIGNAL_IGNORE:
        break;

    case VOICE_SIGNAL_CLOSE:
        ngx_http_voice_signal_close(sg, out->code, out->reason,
                                    VOICE_M_REFUSED_MESSAGE);
        break;

    case VOICE_SIGNAL_ACK:
        ngx_http_voice_signal_ack(sg, &msg->d.heartbeat);
        break;

    case VOICE_SIGNAL_IDENTIFY:
        ngx_http_voice_signal_identify(sg, &msg->d.identify);
        break;

    case VOICE_SIGNAL_SELECT:
        ngx_http_voice_signal_select(sg, &msg->d.select);
        break;

    case VOICE_SIGNAL_SPEAKING:
        ngx_http_voice_signal_speaking(sg, &msg->d.speaking);
        break;

    case VOICE_SIGNAL_RESUME:
        ngx_http_voice_signal_resume(sg, &msg->d.resume);
        break;

    case VOICE_SIGNAL_VERSION:
        ngx_http_voice_signal_version(sg);
        break;
    }
}


/* False: the message is not to be looked at. */

static ngx_uint_t
ngx_http_voice_signal_allowed(ngx_http_voice_signal_t *sg)
{
    ngx_http_voice_loc_conf_t  *vlcf = sg->conf;

    if (vlcf->rate == 0
        || voice_bucket_take(&sg->bucket, (uint32_t) vlcf->rate,
                             (uint32_t) vlcf->burst, ngx_voice_now()))
    {
        return 1;
    }

    if (vlcf->rate_dry_run) {

        if (!sg->limited) {
            ngx_log_error(NGX_LOG_INFO, sg->log, 0,
                          "voice client sends more than %ui messages a "
                          "second with bursts of %ui, dry run",
                          vlcf->rate, vlcf->burst);
            sg->limited = 1;
        }

        return 1;
    }

    ngx_http_voice_signal_close(sg, VOICE_CLOSE_RATE_LIMITED, "rate limited",
                                VOICE_M_REFUSED_RATE);
    return 0;
}


static void
ngx_http_voice_signal_message(ngx_http_voice_ws_t *ws, ngx_uint_t text,
    u_char *data, size_t len)
{
    const char               *why;
    voice_err_t               err;
    voice_client_msg_t        msg;
    voice_signal_out_t        out;
    ngx_http_voice_signal_t  *sg = ws->data;

    voice_metric_add(voice_zone_metrics(sg->zone), VOICE_M_WS_MESSAGES_RX, 1);

    ngx_http_voice_registry_relieve(sg, 0);

    if (sg->state.state == VOICE_SIGNAL_CLOSED) {
        return;
    }

    if (!ngx_http_voice_signal_allowed(sg)) {
        return;
    }

    if (!text) {
        voice_signal_binary(&sg->state, data, len, &out);
        ngx_http_voice_signal_perform(sg, NULL, &out);
        return;
    }

    err = voice_client_msg_decode((char *) data, len, &msg, &why);

    if (err != VOICE_OK) {
        voice_signal_malformed(&sg->state, err, why, &out);
        ngx_http_voice_signal_perform(sg, NULL, &out);
        return;
    }

    voice_signal_message(&sg->state, &msg, &out);
    ngx_http_voice_signal_perform(sg, &msg, &out);

    if (msg.op == VOICE_OP_IDENTIFY || msg.op == VOICE_OP_RESUME) {
        /* the token must not lie about in memory */
        sodium_memzero(&msg, sizeof(msg));
        sodium_memzero(data, len);
    }
}


static void
ngx_http_voice_signal_oversized(ngx_http_voice_ws_t *ws)
{
    voice_signal_out_t        out;
    ngx_http_voice_signal_t  *sg = ws->data;

    voice_signal_malformed(&sg->state, VOICE_E_LENGTH,
                           "message longer than "
                           ngx_value(VOICE_MESSAGE_MAX) " bytes", &out);
    ngx_http_voice_signal_perform(sg, NULL, &out);
}


static void
ngx_http_voice_signal_timeout(ngx_http_voice_ws_t *ws)
{
    ngx_http_voice_signal_t  *sg = ws->data;

    if (!ngx_http_voice_identified(sg)) {
        ngx_http_voice_signal_close(sg, VOICE_CLOSE_SESSION_TIMEOUT,
                                    "neither Identify nor Resume came",
                                    VOICE_M_REFUSED_TIMEOUT);
        return;
    }

    voice_signal_done(&sg->state, VOICE_SIGNAL_CLOSE);

    ngx_http_voice_signal_over(sg, NGX_HTTP_VOICE_WS_LOST,
                               "heartbeat missing", 1);
    ngx_http_voice_ws_drop(ws, "heartbeat missing");
}


static void
ngx_http_voice_signal_drained(ngx_http_voice_ws_t *ws)
{
    ngx_http_voice_event_drain(ws->data);
}


/* 1000 and 4xxx from a client are the end, all else may be resumed. */

static void
ngx_http_voice_signal_closed(ngx_http_voice_ws_t *ws)
{
    ngx_http_voice_signal_t  *sg = ws->data;

    ngx_http_voice_registry_relieve(sg, 1);

    voice_signal_done(&sg->state, VOICE_SIGNAL_CLOSE);

    ngx_http_voice_signal_over(sg, ws->code, ws->reason,
                               ws->code != NGX_HTTP_VOICE_WS_NORMAL
                               && (ws->code < 4000 || ws->code > 4999));
}


static void
ngx_http_voice_signal_cleanup(void *data)
{
    ngx_http_voice_signal_t  *sg = data;

    ngx_http_voice_signal_late_end(sg);
    voice_metric_add(voice_zone_metrics(sg->zone), VOICE_M_WS_CLOSED, 1);
}


/* Section 1: none is version 1; what isn't a number is -1. */

static int
ngx_http_voice_signal_requested(ngx_http_request_t *r)
{
    ngx_int_t  version;
    ngx_str_t  value;

    if (ngx_http_arg(r, (u_char *) "v", 1, &value) != NGX_OK) {
        return 0;
    }

    version = ngx_atoi(value.data, ngx_min(value.len, 9));

    if (version == NGX_ERROR || value.len > 9) {
        return -1;
    }

    return ngx_min(version, VOICE_VERSION_MAX);
}


static void
ngx_http_voice_signal_start(ngx_http_voice_signal_t *sg, int version)
{
    char    buf[VOICE_ENCODE_MAX];
    size_t  len;

    voice_signal_init(&sg->state, version < 0 ? 0 : version);

    if (version < 0) {
        ngx_http_voice_signal_close(sg, VOICE_CLOSE_BAD_REQUEST,
                                    "v: a number is expected",
                                    VOICE_M_REFUSED_MESSAGE);
        return;
    }

    if (voice_hello_encode(buf, sizeof(buf), sg->state.version,
                           (uint32_t) sg->conf->heartbeat, &len)
        == VOICE_OK)
    {
        ngx_http_voice_signal_send(sg, buf, len);
    }

    ngx_http_voice_ws_timer(sg->ws, NGX_HTTP_VOICE_IDENTIFY_TIMEOUT);
}


ngx_int_t
ngx_http_voice_signal_handler(ngx_http_request_t *r)
{
    ngx_int_t                   rc;
    ngx_http_cleanup_t         *cln;
    ngx_http_voice_signal_t    *sg;
    ngx_http_voice_loc_conf_t  *vlcf;

    vlcf = ngx_http_get_module_loc_conf(r, ngx_http_voice_module);

    if (!vlcf->signal) {
        return NGX_DECLINED;
    }

    rc = ngx_http_voice_handshake_check(r);

    if (rc == NGX_HTTP_VOICE_UPGRADE_REQUIRED) {
        return ngx_http_voice_handshake_refuse(r);
    }

    if (rc != NGX_OK) {
        return rc;
    }

    sg = ngx_pcalloc(r->pool, sizeof(ngx_http_voice_signal_t));
    if (sg == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    sg->conf = vlcf;
    sg->log = r->connection->log;
    sg->zone = ngx_voice_zone((ngx_cycle_t *) ngx_cycle);
    sg->opened = ngx_current_msec;

    if (sg->zone == NULL || !ngx_http_voice_registry_ready()) {
        ngx_log_error(NGX_LOG_ERR, sg->log, 0,
                      "voice client refused: this worker has no voice zone");
        return NGX_HTTP_SERVICE_UNAVAILABLE;
    }

    cln = ngx_http_cleanup_add(r, 0);
    if (cln == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    sg->ws = ngx_http_voice_ws_open(r, &ngx_http_voice_signal_ws, sg,
                                    VOICE_MESSAGE_MAX);
    if (sg->ws == NULL) {
        return NGX_ERROR;
    }

    cln->handler = ngx_http_voice_signal_cleanup;
    cln->data = sg;

    voice_metric_add(voice_zone_metrics(sg->zone), VOICE_M_WS_OPENED, 1);
    ngx_http_set_ctx(r, sg, ngx_http_voice_module);

    ngx_http_voice_signal_start(sg, ngx_http_voice_signal_requested(r));

    return NGX_DONE;
}
