/*
 * Copyright (C) ngx-voice contributors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_voice_event.h"


/* Rooms up to this size are told of without an allocation. */
#define NGX_HTTP_VOICE_ROSTER   64


/* What the buffer for op 11 needs, see voice_opcode.h. */
#define ngx_http_voice_connect_size(n)  (64 + 24 * (n))


/* Versions below 8 have no numbers. */

static uint16_t
ngx_http_voice_event_seq(ngx_http_voice_signal_t *sg, const voice_event_t *ev,
    ngx_uint_t i)
{
    if (sg->state.version < VOICE_VERSION_SEQ || ev->nseq == 0) {
        return 0;
    }

    return voice_outbox_seq(ev->seq, ngx_min(i, ev->nseq - 1u));
}


static ngx_int_t
ngx_http_voice_event_number(ngx_http_voice_signal_t *sg, voice_event_t *ev,
    size_t n)
{
    return voice_outbox_number(sg->zone, sg->id, sg->attach, ev,
                               (uint16_t) ngx_min(n, UINT16_MAX))
           == VOICE_OK ? NGX_OK : NGX_ERROR;
}


static void
ngx_http_voice_event_connect(ngx_http_voice_signal_t *sg, uint16_t seq,
    const uint64_t *users, size_t n)
{
    char    *buf, one[ngx_http_voice_connect_size(1)];
    size_t   len, size;

    size = ngx_http_voice_connect_size(n);
    buf = one;

    if (size > sizeof(one)) {
        buf = ngx_alloc(size, sg->log);

        if (buf == NULL) {
            ngx_http_voice_signal_close(sg, NGX_HTTP_VOICE_WS_GOING_AWAY,
                                        "out of memory",
                                        VOICE_METRICS_COUNT);
            return;
        }
    }

    if (voice_clients_connect_encode(buf, size, seq, users, n, &len)
        == VOICE_OK)
    {
        ngx_http_voice_signal_send(sg, buf, len);
    }

    if (buf != one) {
        ngx_free(buf);
    }
}


static void
ngx_http_voice_event_speaking(ngx_http_voice_signal_t *sg, uint16_t seq,
    const voice_roster_t *m)
{
    char    buf[VOICE_ENCODE_MAX];
    size_t  len;

    if (voice_speaking_encode(buf, sizeof(buf), sg->state.version, seq,
                              m->user_id, m->ssrc, m->speaking, &len)
        == VOICE_OK)
    {
        ngx_http_voice_signal_send(sg, buf, len);
    }
}


/*
 * Ops 18, 20 and 5 of one member for clients that know op 11; ops 12, in its
 * old meaning, and 5 for others.  i: of the first message in its event.
 */

static void
ngx_http_voice_event_member(ngx_http_voice_signal_t *sg,
    const voice_event_t *ev, ngx_uint_t i, const voice_roster_t *m)
{
    char    buf[VOICE_ENCODE_MAX];
    size_t  len;

    if (sg->state.version < VOICE_VERSION_SEQ) {

        if (voice_client_connect_encode(buf, sizeof(buf), m->user_id, m->ssrc,
                                        &len)
            == VOICE_OK)
        {
            ngx_http_voice_signal_send(sg, buf, len);
        }

        ngx_http_voice_event_speaking(sg, 0, m);
        return;
    }

    if (voice_client_flags_encode(buf, sizeof(buf),
                                  ngx_http_voice_event_seq(sg, ev, i),
                                  m->user_id, &len)
        == VOICE_OK)
    {
        ngx_http_voice_signal_send(sg, buf, len);
    }

    if (voice_client_platform_encode(buf, sizeof(buf),
                                     ngx_http_voice_event_seq(sg, ev, i + 1),
                                     m->user_id, &len)
        == VOICE_OK)
    {
        ngx_http_voice_signal_send(sg, buf, len);
    }

    ngx_http_voice_event_speaking(sg, ngx_http_voice_event_seq(sg, ev, i + 2),
                                  m);
}


static ngx_int_t
ngx_http_voice_event_members(ngx_http_voice_signal_t *sg, voice_event_t *ev,
    const voice_roster_t *list, size_t n)
{
    uint64_t    *users, few[NGX_HTTP_VOICE_ROSTER];
    ngx_uint_t   i;

    if (ngx_http_voice_event_number(sg, ev, n == 0 ? 0 : 1 + 3 * n) != NGX_OK)
    {
        return NGX_DECLINED;
    }

    if (n != 0 && sg->state.version >= VOICE_VERSION_SEQ) {
        users = few;

        if (n > NGX_HTTP_VOICE_ROSTER) {
            users = ngx_alloc(n * sizeof(uint64_t), sg->log);

            if (users == NULL) {
                return NGX_ERROR;
            }
        }

        for (i = 0; i < n; i++) {
            users[i] = list[i].user_id;
        }

        ngx_http_voice_event_connect(sg, ngx_http_voice_event_seq(sg, ev, 0),
                                     users, n);

        if (users != few) {
            ngx_free(users);
        }
    }

    for (i = 0; i < n; i++) {
        ngx_http_voice_event_member(sg, ev, 1 + 3 * i, &list[i]);
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_voice_event_roster(ngx_http_voice_signal_t *sg, voice_event_t *ev)
{
    size_t           max, n;
    ngx_int_t        rc;
    voice_roster_t  *list, few[NGX_HTTP_VOICE_ROSTER];

    list = few;
    max = NGX_HTTP_VOICE_ROSTER;

    for ( ;; ) {
        if (voice_room_roster(sg->zone, sg->id, ev->arg, list, max, &n)
            != VOICE_OK)
        {
            rc = NGX_DECLINED;
            break;
        }

        if (n <= max) {
            rc = ngx_http_voice_event_members(sg, ev, list, n);
            break;
        }

        /* the list can only get shorter: who comes later has a higher number */

        if (list != few) {
            ngx_free(list);
        }

        max = n;
        list = ngx_alloc(max * sizeof(voice_roster_t), sg->log);

        if (list == NULL) {
            return NGX_ERROR;
        }
    }

    if (list != few) {
        ngx_free(list);
    }

    return rc;
}


static ngx_int_t
ngx_http_voice_event_join(ngx_http_voice_signal_t *sg, voice_event_t *ev)
{
    voice_roster_t  m;

    m.user_id = ev->user_id;
    m.ssrc = ev->ssrc;
    m.speaking = 0;

    return ngx_http_voice_event_members(sg, ev, &m, 1);
}


static ngx_int_t
ngx_http_voice_event_leave(ngx_http_voice_signal_t *sg, voice_event_t *ev)
{
    char    buf[VOICE_ENCODE_MAX];
    size_t  len;

    if (ngx_http_voice_event_number(sg, ev, 1) != NGX_OK) {
        return NGX_DECLINED;
    }

    if (voice_client_disconnect_encode(buf, sizeof(buf),
                                       ngx_http_voice_event_seq(sg, ev, 0),
                                       ev->user_id, &len)
        == VOICE_OK)
    {
        ngx_http_voice_signal_send(sg, buf, len);
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_voice_event_spoke(ngx_http_voice_signal_t *sg, voice_event_t *ev)
{
    voice_roster_t  m;

    if (ngx_http_voice_event_number(sg, ev, 1) != NGX_OK) {
        return NGX_DECLINED;
    }

    m.user_id = ev->user_id;
    m.ssrc = ev->ssrc;
    m.speaking = ev->arg;

    ngx_http_voice_event_speaking(sg, ngx_http_voice_event_seq(sg, ev, 0), &m);

    return NGX_OK;
}


static ngx_int_t
ngx_http_voice_event_rekey(ngx_http_voice_signal_t *sg,
    const voice_event_t *ev)
{
    uint32_t          epoch;
    voice_mode_t      mode;
    voice_session_t  *s;

    s = voice_session_get(sg->zone, sg->id);
    if (s == NULL) {
        return NGX_DECLINED;
    }

    epoch = atomic_load(&s->key);

    /* a resume brings the event once more, after it was obeyed */
    if (epoch == 0 || epoch != ev->arg) {
        return NGX_OK;
    }

    mode = (voice_mode_t) s->mode[epoch & 1];

    if (ngx_http_voice_signal_key(sg, mode, NULL) != NGX_OK) {
        return NGX_DECLINED;
    }

    voice_metric_add(voice_zone_metrics(sg->zone), VOICE_M_REKEYED, 1);

    return NGX_OK;
}


static void
ngx_http_voice_event_close(ngx_http_voice_signal_t *sg,
    const voice_event_t *ev)
{
    const char  *reason;

    switch (ev->arg) {

    case VOICE_CLOSE_SESSION_INVALID:
        reason = "session replaced";
        break;

    case VOICE_CLOSE_DISCONNECTED:
        reason = "disconnected";
        break;

    default:
        reason = "closed by the server";
        break;
    }

    ngx_http_voice_signal_close(sg, ev->arg, reason, VOICE_METRICS_COUNT);
}


static ngx_int_t
ngx_http_voice_event_render(ngx_http_voice_signal_t *sg, voice_event_t *ev)
{
    switch (ev->type) {

    case VOICE_EVENT_ROSTER:
        return ngx_http_voice_event_roster(sg, ev);

    case VOICE_EVENT_JOIN:
        return ngx_http_voice_event_join(sg, ev);

    case VOICE_EVENT_LEAVE:
        return ngx_http_voice_event_leave(sg, ev);

    case VOICE_EVENT_SPEAKING:
        return ngx_http_voice_event_spoke(sg, ev);

    case VOICE_EVENT_REKEY:
        return ngx_http_voice_event_rekey(sg, ev);

    case VOICE_EVENT_CLOSE:
        ngx_http_voice_event_close(sg, ev);
        return NGX_OK;

    default:
        ngx_log_error(NGX_LOG_ALERT, sg->log, 0,
                      "unknown event %ud in the outbox of a voice session",
                      (unsigned) ev->type);
        return NGX_OK;
    }
}


static void
ngx_http_voice_event_failed(ngx_http_voice_signal_t *sg, voice_err_t err)
{
    switch (err) {

    case VOICE_E_FULL:
        ngx_http_voice_signal_close(sg, VOICE_CLOSE_SESSION_INVALID,
                                    "too slow, events are lost",
                                    VOICE_METRICS_COUNT);
        break;

    case VOICE_E_NOMEM:
        ngx_http_voice_signal_close(sg, NGX_HTTP_VOICE_WS_GOING_AWAY,
                                    "out of memory", VOICE_METRICS_COUNT);
        break;

    default:
        ngx_http_voice_signal_close(sg, VOICE_CLOSE_SESSION_INVALID,
                                    "session is gone or has another websocket",
                                    VOICE_METRICS_COUNT);
        break;
    }
}


void
ngx_http_voice_event_drain(ngx_http_voice_signal_t *sg)
{
    ngx_int_t      rc;
    voice_err_t    err;
    voice_event_t  ev;

    /* closing makes id 0 */

    while (sg->id != 0 && !ngx_http_voice_ws_full(sg->ws)) {

        err = voice_outbox_next(sg->zone, sg->id, sg->attach, &ev);

        if (err == VOICE_E_NOT_FOUND) {
            return;
        }

        if (err != VOICE_OK) {
            ngx_http_voice_event_failed(sg, err);
            return;
        }

        rc = ngx_http_voice_event_render(sg, &ev);

        if (rc == NGX_ERROR) {
            ngx_http_voice_event_failed(sg, VOICE_E_NOMEM);
            return;
        }

        if (rc == NGX_DECLINED) {
            ngx_http_voice_event_failed(sg, VOICE_E_STALE);
            return;
        }

        if (sg->id != 0) {
            (void) voice_outbox_sent(sg->zone, sg->id, sg->attach, &ev);
        }
    }
}
