/*
 * Copyright (C) ngx-voice contributors
 */


#include "ngx_stream_voice.h"


/*
 * Where a device is too slow, what has to be dropped is of those who are
 * served last; so it begins with another receiver each time.  By the golden
 * ratio of 2^32 these are spread over the room evenly: nobody loses many
 * packets in a row.
 */
#define NGX_VOICE_TURN   2654435769u


/*
 * Receivers that are served together: as many as have places in their
 * sockets' queues, each one's packets side by side.
 */
typedef struct {
    ngx_uint_t           n;
    ngx_voice_target_t  *target[NGX_VOICE_QUEUE];
    ngx_uint_t           slot[NGX_VOICE_QUEUE];   /* for its next packet */
} ngx_voice_chunk_t;


static void ngx_voice_forward_fanout(ngx_voice_relay_t *r,
    ngx_voice_fanout_t *f, const ngx_voice_packet_t **pkt, ngx_uint_t n);
static void ngx_voice_forward_mode(ngx_voice_relay_t *r,
    ngx_voice_fanout_t *f, voice_mode_t mode, uint32_t from,
    const ngx_voice_packet_t **pkt, ngx_uint_t n);
static ngx_uint_t ngx_voice_forward_due(ngx_voice_fanout_t *f,
    const ngx_voice_target_t *t, const ngx_voice_packet_t *p);
static void ngx_voice_forward_chunk(ngx_voice_relay_t *r,
    ngx_voice_fanout_t *f, voice_mode_t mode, ngx_voice_chunk_t *c,
    const ngx_voice_packet_t **pkt, ngx_uint_t n);
static void ngx_voice_forward_seal(ngx_voice_relay_t *r,
    ngx_voice_fanout_t *f, voice_mode_t mode, ngx_voice_chunk_t *c,
    const ngx_voice_packet_t *p);
static ngx_uint_t ngx_voice_forward_must_hold(ngx_voice_relay_t *r,
    ngx_voice_fanout_t *f, const voice_session_t *s);
static ngx_uint_t ngx_voice_forward_holds(ngx_voice_relay_t *r,
    voice_id_t session);
static void ngx_voice_forward_hold(ngx_voice_relay_t *r, voice_session_t *s,
    const voice_rtp_t *rtp, const u_char *payload, size_t len);
static void ngx_voice_forward_add(ngx_voice_relay_t *r, ngx_voice_fanout_t *f,
    uint32_t sender, uint32_t announced, const voice_rtp_t *rtp,
    const u_char *payload, size_t len);
static void ngx_voice_forward_silence(ngx_voice_relay_t *r,
    ngx_voice_fanout_t *f, const voice_cut_t *cut);


void
ngx_voice_forward(ngx_voice_relay_t *r, voice_session_t *s,
    const voice_rtp_t *rtp, const u_char *payload, size_t len)
{
    uint32_t             announced;
    ngx_voice_fanout_t  *f;

    f = ngx_voice_fanout_get(r, atomic_load_explicit(&s->room,
                                                     memory_order_acquire));
    if (f == NULL) {
        ngx_voice_count(r, DROP_BUSY);
        return;
    }

    announced = atomic_load_explicit(&s->announced, memory_order_relaxed);

    /* a member that is deaf is no target, and may be the newest */

    if ((int32_t) (announced - f->announced) > 0) {
        f->announced = announced;
        f->pending = 1;
    }

    /* behind its own packets that wait, or else it would overtake them */

    if (ngx_voice_forward_holds(r, voice_session_id(r->zone, s))
        || (f->pending && ngx_voice_forward_must_hold(r, f, s)))
    {
        ngx_voice_forward_hold(r, s, rtp, payload, len);
        return;
    }

    ngx_voice_count(r, RX_ACCEPTED);
    ngx_voice_forward_add(r, f, s - r->zone->session, announced, rtp, payload,
                          len);
}


static void
ngx_voice_forward_add(ngx_voice_relay_t *r, ngx_voice_fanout_t *f,
    uint32_t sender, uint32_t announced, const voice_rtp_t *rtp,
    const u_char *payload, size_t len)
{
    voice_rtp_t          out;
    ngx_voice_packet_t  *p;

    if (r->npackets == NGX_VOICE_BATCH) {
        ngx_voice_forward_flush(r);
    }

    p = &r->packet[r->npackets++];

    /* towards clients always the bare header: what all of them understand */

    ngx_memzero(&out, sizeof(voice_rtp_t));
    out.pt = VOICE_RTP_PT_OPUS;
    out.ssrc = rtp->ssrc;
    out.seq = rtp->seq;
    out.timestamp = rtp->timestamp;

    voice_rtp_write(p->header, &out);

    p->fanout = f;
    p->gen = f->gen;
    p->payload = payload;
    p->len = len;
    p->sender = sender;
    p->announced = announced;
}


/*
 * Room by room, for then a receiver's packets are made side by side and
 * leave in one message.
 */

void
ngx_voice_forward_flush(ngx_voice_relay_t *r)
{
    ngx_uint_t                 i, k, n;
    ngx_voice_fanout_t        *f;
    const ngx_voice_packet_t  *pkt[NGX_VOICE_BATCH];

    for (i = 0; i < r->npackets; i++) {
        f = r->packet[i].fanout;

        if (f == NULL) {
            continue;
        }

        n = 0;

        for (k = i; k < r->npackets; k++) {

            if (r->packet[k].fanout != f) {
                continue;
            }

            r->packet[k].fanout = NULL;

            /* the slot may have got another room since */

            if (r->packet[k].gen == f->gen) {
                pkt[n++] = &r->packet[k];
            }
        }

        ngx_voice_forward_fanout(r, f, pkt, n);
    }

    r->npackets = 0;
}


static void
ngx_voice_forward_fanout(ngx_voice_relay_t *r, ngx_voice_fanout_t *f,
    const ngx_voice_packet_t **pkt, ngx_uint_t n)
{
    uint32_t      from;
    voice_mode_t  mode;

    if (f->pending) {
        ngx_voice_fanout_refresh(r, f);
    }

    from = 0;
    f->turn += NGX_VOICE_TURN;

    for (mode = 0; mode < VOICE_MODE_COUNT; mode++) {
        if (from < f->end[mode]) {
            ngx_voice_forward_mode(r, f, mode, from, pkt, n);
        }

        from = f->end[mode];
    }
}


static void
ngx_voice_forward_mode(ngx_voice_relay_t *r, ngx_voice_fanout_t *f,
    voice_mode_t mode, uint32_t from, const ngx_voice_packet_t **pkt,
    ngx_uint_t n)
{
    uint32_t             i, left;
    ngx_int_t            slot;
    ngx_uint_t           k, due, all, unannounced;
    ngx_voice_chunk_t    c;
    ngx_voice_target_t  *t;

    c.n = 0;
    all = 0;
    unannounced = 0;

    left = f->end[mode] - from;
    i = from + (uint32_t) ((uint64_t) f->turn * left >> 32);

    for ( /* void */ ; left != 0; left--, i++) {

        if (i == f->end[mode]) {
            i = from;
        }

        t = &f->target[i];
        due = 0;

        for (k = 0; k < n; k++) {
            if (ngx_voice_forward_due(f, t, pkt[k])) {
                due++;

            } else if (pkt[k]->sender != t->index) {
                unannounced++;
            }
        }

        if (due == 0) {
            continue;
        }

        all += due;

        if (t->socket == NULL) {
            ngx_voice_count_n(r, SKIP_SOCKET, due);
            continue;
        }

        slot = ngx_voice_send_slots(t->socket, due, t->index + 1, &t->remote,
                                    &t->local);

        if (slot == NGX_BUSY) {
            ngx_voice_forward_chunk(r, f, mode, &c, pkt, n);
            ngx_voice_send_flush(r, t->socket);

            slot = ngx_voice_send_slots(t->socket, due, t->index + 1,
                                        &t->remote, &t->local);
        }

        c.target[c.n] = t;
        c.slot[c.n++] = slot;

        if (c.n == NGX_VOICE_QUEUE) {
            ngx_voice_forward_chunk(r, f, mode, &c, pkt, n);
        }
    }

    ngx_voice_forward_chunk(r, f, mode, &c, pkt, n);

    ngx_voice_count_n(r, DUE, all + unannounced);
    ngx_voice_count_n(r, SKIP_UNANNOUNCED, unannounced);
}


/* Whether a packet is for a receiver: not its own, and known by now. */

static ngx_uint_t
ngx_voice_forward_due(ngx_voice_fanout_t *f, const ngx_voice_target_t *t,
    const ngx_voice_packet_t *p)
{
    return t->index != p->sender
           && !(f->pending && ngx_voice_target_waits(t, p->announced));
}


static void
ngx_voice_forward_chunk(ngx_voice_relay_t *r, ngx_voice_fanout_t *f,
    voice_mode_t mode, ngx_voice_chunk_t *c, const ngx_voice_packet_t **pkt,
    ngx_uint_t n)
{
    ngx_uint_t  k;

    if (c->n != 0) {
        for (k = 0; k < n; k++) {
            ngx_voice_forward_seal(r, f, mode, c, pkt[k]);
        }
    }

    c->n = 0;
}


/* One packet for all receivers of a chunk. */

static void
ngx_voice_forward_seal(ngx_voice_relay_t *r, ngx_voice_fanout_t *f,
    voice_mode_t mode, ngx_voice_chunk_t *c, const ngx_voice_packet_t *p)
{
    ngx_uint_t           i, n, slot;
    uint16_t            *len[NGX_VOICE_QUEUE];
    voice_crypto_to_t    to[NGX_VOICE_QUEUE];
    ngx_voice_target_t  *t;

    n = 0;

    for (i = 0; i < c->n; i++) {
        t = c->target[i];

        if (!ngx_voice_forward_due(f, t, p)) {
            continue;
        }

        slot = c->slot[i]++;

        if (ngx_voice_peer_nonce(r, t->peer, t->session, to[n].nonce)
            != NGX_OK)
        {
            ngx_voice_count(r, SKIP_NONCE);
            continue;
        }

        to[n].key = &t->peer->key;
        to[n].out = t->socket->queue->buf[slot];
        len[n++] = &t->socket->queue->len[slot];
    }

    voice_crypto_seal_rtp(mode, p->header, VOICE_RTP_HEADER_LEN, p->payload,
                          p->len, to, n);

    for (i = 0; i < n; i++) {
        *len[i] = to[i].out_len;
    }

    voice_metric_add(r->metrics, VOICE_M_SEALED_AEAD_AES256_GCM_RTPSIZE + mode,
                     n);
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


static ngx_uint_t
ngx_voice_forward_holds(ngx_voice_relay_t *r, voice_id_t session)
{
    ngx_uint_t  i;

    for (i = r->held_tail; i != r->held_head; i++) {
        if (r->held[i % NGX_VOICE_HELD].session == session) {
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
        ngx_voice_forward_add(r, f, s - r->zone->session,
                              atomic_load(&s->announced), &h->rtp, h->payload,
                              h->len);
        r->held_tail++;
    }

    ngx_voice_forward_flush(r);
    ngx_voice_send_flush_all(r);
}


static void
ngx_voice_forward_silence(ngx_voice_relay_t *r, ngx_voice_fanout_t *f,
    const voice_cut_t *cut)
{
    ngx_uint_t   i;
    voice_rtp_t  rtp;

    ngx_memzero(&rtp, sizeof(voice_rtp_t));
    rtp.ssrc = cut->ssrc;

    for (i = 1; i <= VOICE_OPUS_SILENCE_COUNT; i++) {
        rtp.seq = (uint16_t) (cut->ext_seq + i);
        rtp.timestamp = cut->timestamp + i * VOICE_RTP_OPUS_TICKS;

        /* announced 0: who doesn't know the SSRC drops it */

        ngx_voice_forward_add(r, f, cut->session, 0, &rtp,
                              (const u_char *) VOICE_OPUS_SILENCE,
                              VOICE_OPUS_SILENCE_LEN);
    }

    ngx_voice_count_n(r, SILENCE, VOICE_OPUS_SILENCE_COUNT);
}


void
ngx_voice_forward_end(ngx_voice_relay_t *r, voice_session_t *s)
{
    voice_cut_t          cut;
    ngx_voice_fanout_t  *f;

    if (atomic_load_explicit(&s->talking, memory_order_relaxed) == 0) {
        return;
    }

    cut.room = atomic_load_explicit(&s->room, memory_order_acquire);
    f = ngx_voice_fanout_get(r, cut.room);

    /* not before its own packets that wait: the next one tries again */

    if (f == NULL
        || ngx_voice_forward_holds(r, voice_session_id(r->zone, s))
        || atomic_exchange(&s->talking, 0) == 0)
    {
        return;
    }

    cut.ssrc = atomic_load(&s->ssrc);
    cut.ext_seq = atomic_load(&s->last_seq);
    cut.timestamp = atomic_load(&s->last_timestamp);
    cut.session = s - r->zone->session;

    atomic_store(&s->floor_seq, cut.ext_seq + VOICE_OPUS_SILENCE_COUNT);

    ngx_voice_forward_silence(r, f, &cut);
}


void
ngx_voice_forward_cuts(ngx_voice_relay_t *r)
{
    voice_cut_t           cut;
    ngx_voice_fanout_t   *f;
    voice_zone_header_t  *h = r->zone->header;

    /* looked at without the lock: most wakes are not for this */

    if (h->cut_head == h->cut_tail) {
        return;
    }

    ngx_voice_time_update(r);

    while (voice_zone_cut_take(r->zone, &cut) == VOICE_OK) {
        f = ngx_voice_fanout_get(r, cut.room);

        if (f != NULL) {
            ngx_voice_forward_silence(r, f, &cut);
        }
    }

    ngx_voice_forward_flush(r);
    ngx_voice_send_flush_all(r);
}
