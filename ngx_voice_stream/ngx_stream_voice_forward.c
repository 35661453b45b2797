/*
 * Copyright (C) ngx-voice contributors
 */


#include "ngx_stream_voice.h"


/* A packet on its way out. */
typedef struct {
    u_char               header[VOICE_RTP_HEADER_LEN];
    const u_char        *payload;
    size_t               len;
    uint32_t             sender;        /* session index: not a receiver */
    uint32_t             announced;     /* number of its announcement */
} ngx_voice_packet_t;


/* Its receivers that are sealed together. */
typedef struct {
    ngx_uint_t           n;
    struct iovec        *iov[NGX_VOICE_BATCH];
    voice_crypto_to_t    to[NGX_VOICE_BATCH];
} ngx_voice_seal_t;


static void ngx_voice_forward_fanout(ngx_voice_relay_t *r,
    ngx_voice_fanout_t *f, const ngx_voice_packet_t *p);
static void ngx_voice_forward_mode(ngx_voice_relay_t *r,
    ngx_voice_fanout_t *f, voice_mode_t mode, uint32_t from,
    const ngx_voice_packet_t *p);
static void ngx_voice_forward_seal(ngx_voice_relay_t *r, voice_mode_t mode,
    const ngx_voice_packet_t *p, ngx_voice_seal_t *seal);
static ngx_uint_t ngx_voice_forward_must_hold(ngx_voice_relay_t *r,
    ngx_voice_fanout_t *f, const voice_session_t *s);
static void ngx_voice_forward_hold(ngx_voice_relay_t *r, voice_session_t *s,
    const voice_rtp_t *rtp, const u_char *payload, size_t len);
static void ngx_voice_forward_now(ngx_voice_relay_t *r, ngx_voice_fanout_t *f,
    voice_session_t *s, const voice_rtp_t *rtp, const u_char *payload,
    size_t len);


void
ngx_voice_forward(ngx_voice_relay_t *r, voice_session_t *s,
    const voice_rtp_t *rtp, const u_char *payload, size_t len)
{
    uint32_t             announced;
    ngx_uint_t           i;
    voice_id_t           id;
    ngx_voice_fanout_t  *f;

    f = ngx_voice_fanout_get(r, atomic_load_explicit(&s->room,
                                                     memory_order_acquire));
    if (f == NULL) {
        ngx_voice_count(r, DROP_BUSY);
        return;
    }

    id = voice_session_id(r->zone, s);
    announced = atomic_load_explicit(&s->announced, memory_order_relaxed);

    /* a member that is deaf is no target, and may be the newest */

    if ((int32_t) (announced - f->announced) > 0) {
        f->announced = announced;
        f->pending = 1;
    }

    /* behind its own packets that wait, or else it would overtake them */

    for (i = r->held_tail; i != r->held_head; i++) {
        if (r->held[i % NGX_VOICE_HELD].session == id) {
            ngx_voice_forward_hold(r, s, rtp, payload, len);
            return;
        }
    }

    if (f->pending && ngx_voice_forward_must_hold(r, f, s)) {
        ngx_voice_forward_hold(r, s, rtp, payload, len);
        return;
    }

    ngx_voice_count(r, RX_ACCEPTED);
    ngx_voice_forward_now(r, f, s, rtp, payload, len);
}


static void
ngx_voice_forward_now(ngx_voice_relay_t *r, ngx_voice_fanout_t *f,
    voice_session_t *s, const voice_rtp_t *rtp, const u_char *payload,
    size_t len)
{
    voice_rtp_t         out;
    ngx_voice_packet_t  p;

    /* towards clients always the bare header: what all of them understand */

    ngx_memzero(&out, sizeof(voice_rtp_t));
    out.pt = VOICE_RTP_PT_OPUS;
    out.ssrc = rtp->ssrc;
    out.seq = rtp->seq;
    out.timestamp = rtp->timestamp;

    voice_rtp_write(p.header, &out);

    p.payload = payload;
    p.len = len;
    p.sender = s - r->zone->session;
    p.announced = atomic_load_explicit(&s->announced, memory_order_relaxed);

    ngx_voice_forward_fanout(r, f, &p);
}


static void
ngx_voice_forward_fanout(ngx_voice_relay_t *r, ngx_voice_fanout_t *f,
    const ngx_voice_packet_t *p)
{
    uint32_t      from;
    voice_mode_t  mode;

    if (f->pending) {
        ngx_voice_fanout_refresh(r, f);
    }

    from = 0;

    for (mode = 0; mode < VOICE_MODE_COUNT; mode++) {
        if (from < f->end[mode]) {
            ngx_voice_forward_mode(r, f, mode, from, p);
        }

        from = f->end[mode];
    }
}


static void
ngx_voice_forward_mode(ngx_voice_relay_t *r, ngx_voice_fanout_t *f,
    voice_mode_t mode, uint32_t from, const ngx_voice_packet_t *p)
{
    uint32_t             i;
    ngx_int_t            slot;
    ngx_voice_seal_t     seal;
    voice_crypto_to_t   *to;
    ngx_voice_target_t  *t;

    seal.n = 0;

    for (i = from; i < f->end[mode]; i++) {
        t = &f->target[i];

        if (t->index == p->sender) {
            continue;
        }

        if (f->pending && ngx_voice_target_waits(t, p->announced)) {
            ngx_voice_count(r, SKIP_UNANNOUNCED);
            continue;
        }

        if (t->socket == NULL) {
            ngx_voice_count(r, SKIP_SOCKET);
            continue;
        }

        to = &seal.to[seal.n];

        if (ngx_voice_peer_nonce(r, t->peer, t->session, to->nonce)
            != NGX_OK)
        {
            ngx_voice_count(r, SKIP_NONCE);
            continue;
        }

        slot = ngx_voice_send_slot(t->socket, &t->remote, &t->local);

        if (slot == NGX_BUSY) {
            u_char  nonce[VOICE_NONCE4_LEN];

            ngx_memcpy(nonce, to->nonce, VOICE_NONCE4_LEN);

            ngx_voice_forward_seal(r, mode, p, &seal);
            ngx_voice_send_flush(r, t->socket);

            to = &seal.to[0];
            ngx_memcpy(to->nonce, nonce, VOICE_NONCE4_LEN);
            slot = ngx_voice_send_slot(t->socket, &t->remote, &t->local);
        }

        to->key = &t->peer->key;
        to->out = t->socket->queue->buf[slot];
        seal.iov[seal.n++] = &t->socket->queue->iov[slot];

        if (seal.n == NGX_VOICE_BATCH) {
            ngx_voice_forward_seal(r, mode, p, &seal);
        }
    }

    ngx_voice_forward_seal(r, mode, p, &seal);
}


static void
ngx_voice_forward_seal(ngx_voice_relay_t *r, voice_mode_t mode,
    const ngx_voice_packet_t *p, ngx_voice_seal_t *seal)
{
    ngx_uint_t  i;

    voice_crypto_seal_rtp(mode, p->header, VOICE_RTP_HEADER_LEN, p->payload,
                          p->len, seal->to, seal->n);

    for (i = 0; i < seal->n; i++) {
        seal->iov[i]->iov_len = seal->to[i].out_len;
    }

    voice_metric_add(r->metrics, VOICE_M_SEALED_AEAD_AES256_GCM_RTPSIZE + mode,
                     seal->n);

    seal->n = 0;
}


/*
 * A client drops media of an SSRC that it was not told of.  So the first
 * packets of a newcomer wait until those who were there before have its
 * announcement on their websockets; a receiver that came later than the
 * sender misses what was said before it was told.
 */

static ngx_uint_t
ngx_voice_forward_must_hold(ngx_voice_relay_t *r, ngx_voice_fanout_t *f,
    const voice_session_t *s)
{
    uint32_t                   i, announced;
    const ngx_voice_target_t  *t;

    if (r->now - f->built >= NGX_VOICE_HOLD) {
        return 0;
    }

    ngx_voice_fanout_refresh(r, f);

    announced = atomic_load_explicit(&s->announced, memory_order_relaxed);

    for (i = 0; i < f->n; i++) {
        t = &f->target[i];

        if (ngx_voice_target_waits(t, announced)
            && (int32_t) (announced - t->announced) > 0)
        {
            return 1;
        }
    }

    return 0;
}


static void
ngx_voice_forward_hold(ngx_voice_relay_t *r, voice_session_t *s,
    const voice_rtp_t *rtp, const u_char *payload, size_t len)
{
    ngx_voice_held_t  *h;

    if (r->held_head - r->held_tail == NGX_VOICE_HELD
        || len > VOICE_DATAGRAM_MAX)
    {
        ngx_voice_count(r, DROP_HELD);
        return;
    }

    h = &r->held[r->held_head++ % NGX_VOICE_HELD];

    h->session = voice_session_id(r->zone, s);
    h->until = r->now + NGX_VOICE_HOLD;
    h->rtp = *rtp;
    h->len = len;
    ngx_memcpy(h->payload, payload, len);

    if (!r->held_timer.timer_set) {
        ngx_add_timer(&r->held_timer, 1);
    }
}


/*
 * In the order of arrival; the first one that still has to wait stops the
 * rest, but none longer than NGX_VOICE_HOLD.
 */

void
ngx_voice_forward_held_handler(ngx_event_t *ev)
{
    voice_session_t     *s;
    ngx_voice_held_t    *h;
    ngx_voice_fanout_t  *f;
    ngx_voice_relay_t   *r = ev->data;

    ngx_voice_time_update(r);

    while (r->held_tail != r->held_head) {
        h = &r->held[r->held_tail % NGX_VOICE_HELD];

        s = voice_session_get(r->zone, h->session);
        f = (s != NULL) ? ngx_voice_fanout_get(r, atomic_load(&s->room))
                        : NULL;

        if (f == NULL || (atomic_load(&s->flags) & VOICE_SESSION_UNHEARD)) {
            ngx_voice_count(r, DROP_HELD);
            r->held_tail++;
            continue;
        }

        if (r->now < h->until && f->pending
            && ngx_voice_forward_must_hold(r, f, s))
        {
            ngx_add_timer(ev, 1);
            break;
        }

        ngx_voice_count(r, RX_ACCEPTED);
        ngx_voice_forward_now(r, f, s, &h->rtp, h->payload, h->len);
        r->held_tail++;
    }

    ngx_voice_send_flush_all(r);
}


static void
ngx_voice_forward_silence(ngx_voice_relay_t *r, const voice_cut_t *cut)
{
    ngx_uint_t           i;
    voice_rtp_t          rtp;
    ngx_voice_fanout_t  *f;
    ngx_voice_packet_t   p;

    f = ngx_voice_fanout_get(r, cut->room);
    if (f == NULL) {
        return;
    }

    ngx_memzero(&rtp, sizeof(voice_rtp_t));
    rtp.pt = VOICE_RTP_PT_OPUS;
    rtp.ssrc = cut->ssrc;

    p.payload = (const u_char *) VOICE_OPUS_SILENCE;
    p.len = VOICE_OPUS_SILENCE_LEN;
    p.sender = cut->session;
    p.announced = 0;            /* who doesn't know the SSRC drops it */

    for (i = 1; i <= VOICE_OPUS_SILENCE_COUNT; i++) {
        rtp.seq = (uint16_t) (cut->ext_seq + i);
        rtp.timestamp = cut->timestamp + i * VOICE_RTP_OPUS_TICKS;

        voice_rtp_write(p.header, &rtp);
        ngx_voice_forward_fanout(r, f, &p);
        ngx_voice_count(r, SILENCE);
    }
}


void
ngx_voice_forward_cuts(ngx_voice_relay_t *r)
{
    voice_cut_t           cut;
    voice_zone_header_t  *h = r->zone->header;

    /* looked at without the lock: most wakes are not for this */

    if (h->cut_head == h->cut_tail) {
        return;
    }

    ngx_voice_time_update(r);

    while (voice_zone_cut_take(r->zone, &cut) == VOICE_OK) {
        ngx_voice_forward_silence(r, &cut);
    }

    ngx_voice_send_flush_all(r);
}
