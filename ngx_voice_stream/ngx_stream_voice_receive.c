/*
 * Copyright (C) ngx-voice contributors
 */


#include "ngx_stream_voice.h"
#include "voice_rtp.h"
#include "voice_rtpstat.h"


#define NGX_VOICE_READS       16      /* system calls an event */
#define NGX_VOICE_CLOCK       48000


static void ngx_voice_receive_batch(ngx_voice_relay_t *r,
    ngx_voice_socket_t *sock, ngx_uint_t n);
static ngx_int_t ngx_voice_receive_take(ngx_voice_relay_t *r,
    ngx_voice_socket_t *sock, ngx_uint_t i, ngx_voice_datagram_t *d);
static void ngx_voice_receive_open_all(ngx_voice_relay_t *r, ngx_uint_t n);
static void ngx_voice_receive_datagram(ngx_voice_relay_t *r,
    ngx_voice_datagram_t *d);
static void ngx_voice_receive_rtp(ngx_voice_relay_t *r,
    ngx_voice_datagram_t *d);
static ngx_int_t ngx_voice_receive_policy(ngx_voice_relay_t *r,
    ngx_voice_datagram_t *d, voice_session_t *s, uint32_t ext_seq,
    const voice_rtp_body_t *body);
static ngx_uint_t ngx_voice_receive_crowded_out(ngx_voice_relay_t *r,
    ngx_voice_datagram_t *d, voice_session_t *s,
    const voice_rtp_body_t *body, ngx_uint_t silence);
static void ngx_voice_receive_talkers(ngx_voice_relay_t *r);


void
ngx_voice_time_update(ngx_voice_relay_t *r)
{
    struct timespec  ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);

    r->now_us = (uint64_t) ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
    r->now = r->now_us / 1000;
}


void
ngx_voice_receive_init(ngx_voice_relay_t *r)
{
    ngx_uint_t      i;
    struct msghdr  *hdr;

    for (i = 0; i < NGX_VOICE_BATCH; i++) {
        r->iov[i].iov_base = r->buf[i];
        r->iov[i].iov_len = NGX_VOICE_BUFFER;

        hdr = &r->msg[i].msg_hdr;
        hdr->msg_name = &r->name[i];
        hdr->msg_iov = &r->iov[i];
        hdr->msg_iovlen = 1;
        hdr->msg_control = r->control[i];
    }
}


ngx_uint_t
ngx_voice_receive_read(ngx_voice_socket_t *sock)
{
    int                 n;
    ngx_uint_t          i, reads, total;
    ngx_connection_t   *c = sock->connection;
    ngx_voice_relay_t  *r = sock->relay;

    total = 0;

    for (reads = 0; c->close || reads < NGX_VOICE_READS; reads++) {

        for (i = 0; i < NGX_VOICE_BATCH; i++) {
            r->msg[i].msg_hdr.msg_namelen = sizeof(struct sockaddr_storage);
            r->msg[i].msg_hdr.msg_controllen = NGX_VOICE_CONTROL;
        }

        n = recvmmsg(c->fd, r->msg, NGX_VOICE_BATCH, MSG_DONTWAIT, NULL);

        if (n <= 0) {
            break;
        }

        ngx_voice_time_update(r);
        ngx_voice_receive_batch(r, sock, n);
        total += n;

        if (n < NGX_VOICE_BATCH) {
            break;
        }
    }

    return total;
}


void
ngx_voice_receive_handler(ngx_event_t *rev)
{
    ngx_uint_t           n;
    ngx_connection_t    *c;
    ngx_voice_socket_t  *sock;

    c = rev->data;
    sock = c->data;

    n = ngx_voice_receive_read(sock);

    if (!c->close) {
        ngx_voice_window_update(sock, n);
        return;
    }

    /*
     * a worker that shuts down lets go of the socket, or it would go on
     * sharing it with its successor; what was queued for it is done
     */

    ngx_voice_window_stop(sock);
    ngx_voice_backlog_stop(sock);
    sock->connection = NULL;
    ngx_close_connection(c);
}


/* Where a datagram was sent to: the address that the answer comes from. */

static void
ngx_voice_receive_local(ngx_voice_socket_t *sock, struct msghdr *hdr,
    voice_addr_t *local)
{
    struct cmsghdr      *cmsg;
    struct in_pktinfo    pkt;
    struct in6_pktinfo   pkt6;

    *local = sock->local;

    if (!sock->wildcard) {
        return;
    }

    for (cmsg = CMSG_FIRSTHDR(hdr); cmsg != NULL;
         cmsg = CMSG_NXTHDR(hdr, cmsg))
    {
        if (cmsg->cmsg_level == IPPROTO_IP && cmsg->cmsg_type == IP_PKTINFO) {
            ngx_memcpy(&pkt, CMSG_DATA(cmsg), sizeof(struct in_pktinfo));
            ngx_memcpy(local->ip, &pkt.ipi_addr, 4);

        } else if (cmsg->cmsg_level == IPPROTO_IPV6
                   && cmsg->cmsg_type == IPV6_PKTINFO)
        {
            ngx_memcpy(&pkt6, CMSG_DATA(cmsg), sizeof(struct in6_pktinfo));
            ngx_memcpy(local->ip, &pkt6.ipi6_addr, 16);
        }
    }
}


/*
 * In stages, so that what all datagrams need is done for all of them side by
 * side: taken and classified, opened, then each judged and routed in the
 * order of arrival, sealed, sent.
 */

static void
ngx_voice_receive_batch(ngx_voice_relay_t *r, ngx_voice_socket_t *sock,
    ngx_uint_t n)
{
    uint64_t    bytes;
    ngx_uint_t  i, taken;

    bytes = 0;
    taken = 0;

    for (i = 0; i < n; i++) {
        bytes += r->msg[i].msg_len;

        if (ngx_voice_receive_take(r, sock, i, &r->datagram[taken])
            == NGX_OK)
        {
            taken++;
        }
    }

    ngx_voice_count_n(r, RX_PACKETS, n);
    ngx_voice_count_n(r, RX_BYTES, bytes);

    ngx_voice_receive_open_all(r, taken);

    for (i = 0; i < taken; i++) {
        ngx_voice_receive_datagram(r, &r->datagram[i]);
    }

    ngx_voice_forward_flush(r);
    ngx_voice_send_flush_all(r);

    if (r->ntalkers != 0) {
        ngx_voice_receive_talkers(r);
    }
}


static ngx_int_t
ngx_voice_receive_take(ngx_voice_relay_t *r, ngx_voice_socket_t *sock,
    ngx_uint_t i, ngx_voice_datagram_t *d)
{
    struct msghdr  *hdr;

    hdr = &r->msg[i].msg_hdr;

    d->data = r->buf[i];
    d->len = r->msg[i].msg_len;
    d->socket = sock;

    if ((hdr->msg_flags & MSG_TRUNC) || d->len > VOICE_DATAGRAM_MAX) {
        ngx_voice_count(r, DROP_OVERSIZED);
        return NGX_DECLINED;
    }

    d->kind = voice_packet_classify(d->data, d->len);

    if (d->kind == VOICE_PACKET_RTP
        && voice_rtp_parse(d->data, d->len, &d->rtp) != VOICE_OK)
    {
        ngx_voice_count(r, DROP_MALFORMED);
        return NGX_DECLINED;
    }

    ngx_voice_addr_from(&d->remote, hdr->msg_name);
    ngx_voice_receive_local(sock, hdr, &d->local);

    return NGX_OK;
}


/* Whether a datagram came the way that its session's media goes. */

static ngx_uint_t
ngx_voice_receive_known(const ngx_voice_datagram_t *d,
    const voice_session_t *s)
{
    voice_addr_t  remote, local;

    return voice_route_address(s, &remote, &local)
           && voice_addr_equal(&remote, &d->remote)
           && voice_addr_equal(&local, &d->local);
}


/*
 * Opens what almost certainly has to be opened: packets from the address of
 * the session that they name.  Nothing is decided by it.  Each is judged in
 * its turn, as if it was opened only then, for those before it may end its
 * session, move its address or have its number.
 */

static void
ngx_voice_receive_open_all(ngx_voice_relay_t *r, ngx_uint_t n)
{
    uint32_t               ext_seq;
    ngx_uint_t             i, k;
    voice_session_t       *s;
    ngx_voice_peer_t      *peer;
    ngx_voice_datagram_t  *d;

    k = 0;

    for (i = 0; i < n; i++) {
        d = &r->datagram[i];
        d->from = NULL;

        if (d->kind != VOICE_PACKET_RTP) {
            continue;
        }

        s = voice_session_by_ssrc(r->zone, d->rtp.ssrc);

        if (s == NULL) {
            continue;
        }

        d->bound = atomic_load_explicit(&s->bound, memory_order_acquire);

        if (!ngx_voice_receive_known(d, s)) {
            continue;
        }

        peer = ngx_voice_peer_get(r, s - r->zone->session);

        if (peer == NULL
            || voice_replay_check(&s->replay, d->rtp.seq, &ext_seq)
               != VOICE_OK)
        {
            continue;
        }

        d->gen = peer->gen;
        d->from = &r->from[k++];

        d->from->key = &peer->key;
        d->from->pkt = d->data;
        d->from->len = d->len;
    }

    voice_crypto_open_many(r->from, k);
}


static void
ngx_voice_receive_datagram(ngx_voice_relay_t *r, ngx_voice_datagram_t *d)
{
    switch (d->kind) {

    case VOICE_PACKET_RTP:
        ngx_voice_receive_rtp(r, d);
        break;

    case VOICE_PACKET_RTCP:
        ngx_voice_control_rtcp(r, d);
        break;

    case VOICE_PACKET_DISCOVERY:
    case VOICE_PACKET_DISCOVERY_OLD:
        ngx_voice_control_discovery(r, d);
        break;

    case VOICE_PACKET_PING:
        ngx_voice_control_echo(r, d, 1);
        break;

    case VOICE_PACKET_KEEPALIVE:
        ngx_voice_control_echo(r, d, 0);
        break;

    case VOICE_PACKET_STUN:
    case VOICE_PACKET_DTLS:
        ngx_voice_count(r, DROP_UNSUPPORTED);
        break;

    case VOICE_PACKET_OTHER:
        ngx_voice_count(r, CONTROL_IGNORED);
        break;
    }
}


/*
 * Check, authenticate, add: until the tag has been verified nothing is
 * changed, and from an address that isn't the session's only so many are
 * looked at.
 */

static ngx_voice_peer_t *
ngx_voice_receive_open(ngx_voice_relay_t *r, ngx_voice_datagram_t *d,
    voice_session_t *s, ngx_uint_t known, uint32_t *ext_seq, size_t *len)
{
    voice_err_t        err;
    ngx_voice_peer_t  *peer;

    peer = ngx_voice_peer_get(r, s - r->zone->session);

    if (peer == NULL) {
        ngx_voice_count(r, DROP_STATE);
        return NULL;
    }

    if (!known && !ngx_voice_control_allowed(r, &d->remote)) {
        return NULL;
    }

    if (voice_replay_check(&s->replay, d->rtp.seq, ext_seq) != VOICE_OK) {
        ngx_voice_count(r, DROP_REPLAY);
        return NULL;
    }

    if (d->from != NULL) {
        err = d->from->err;
        *len = d->from->plain_len;

    } else {
        d->gen = peer->gen;
        err = voice_crypto_open_rtp(&peer->key, d->data, d->len, len);
    }

    if (err == VOICE_E_AUTH) {
        ngx_voice_count(r, DROP_AUTH);
        return NULL;
    }

    if (err != VOICE_OK) {
        ngx_voice_count(r, DROP_MALFORMED);
        return NULL;
    }

    if (atomic_load(&s->gen) != d->gen) {
        ngx_voice_count(r, DROP_UNKNOWN_SSRC);
        return NULL;
    }

    return peer;
}


static void
ngx_voice_receive_rtp(ngx_voice_relay_t *r, ngx_voice_datagram_t *d)
{
    size_t             len;
    uint32_t           ext_seq;
    uint64_t           highest;
    ngx_uint_t         known;
    voice_session_t   *s;
    voice_rtp_body_t   body;
    ngx_voice_peer_t  *peer;

    s = voice_session_by_ssrc(r->zone, d->rtp.ssrc);

    if (s == NULL) {
        ngx_voice_count(r, DROP_UNKNOWN_SSRC);
        return;
    }

    known = (d->from != NULL
             && atomic_load_explicit(&s->bound, memory_order_acquire)
                == d->bound)
            || ngx_voice_receive_known(d, s);

    peer = ngx_voice_receive_open(r, d, s, known, &ext_seq, &len);
    if (peer == NULL) {
        return;
    }

    highest = atomic_load(&s->replay.highest);

    if (voice_replay_add(&s->replay, ext_seq) != VOICE_OK) {
        ngx_voice_count(r, DROP_REPLAY);
        return;
    }

    /*
     * only by its newest packet: an older one may have been held back and
     * sent from elsewhere
     */

    if (!known && (uint64_t) ext_seq + 1 > highest
        && voice_session_bind(r->zone,
                              voice_id_make(d->gen, s - r->zone->session),
                              &d->remote, &d->local)
           == VOICE_OK)
    {
        ngx_voice_count(r, ROAMED);
    }

    /* it uses the key, so it can read what is sealed with it */

    if (atomic_load_explicit(&s->hold_until, memory_order_relaxed) != 0) {
        atomic_store(&s->hold_until, 0);
    }

    atomic_fetch_add_explicit(&s->rx_packets, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&s->rx_bytes, d->len, memory_order_relaxed);

    voice_rtpstat_add(&s->stat, ext_seq, d->rtp.timestamp, r->now_us,
                      NGX_VOICE_CLOCK);
    ngx_voice_control_report(r, s, peer);

    if (d->rtp.ssrc != atomic_load(&s->ssrc)) {
        ngx_voice_count(r, DROP_UNSUPPORTED);
        return;
    }

    if (voice_rtp_split(&d->rtp, d->data, len, &body) != VOICE_OK
        || body.payload_len == 0)
    {
        ngx_voice_count(r, DROP_MALFORMED);
        return;
    }

    if (ngx_voice_receive_policy(r, d, s, ext_seq, &body) == NGX_OK) {
        ngx_voice_forward(r, s, &d->rtp, body.payload, body.payload_len);
    }
}


static ngx_int_t
ngx_voice_receive_policy(ngx_voice_relay_t *r, ngx_voice_datagram_t *d,
    voice_session_t *s, uint32_t ext_seq, const voice_rtp_body_t *body)
{
    uint32_t    flags;
    ngx_uint_t  silence;

    if (d->rtp.pt != VOICE_RTP_PT_OPUS) {
        ngx_voice_count(r, DROP_PAYLOAD_TYPE);
        return NGX_DECLINED;
    }

    flags = atomic_load_explicit(&s->flags, memory_order_acquire);

    if (flags & VOICE_SESSION_MUTE) {
        ngx_voice_count(r, DROP_MUTED);
        return NGX_DECLINED;
    }

    if (flags & VOICE_SESSION_SUPPRESS) {
        ngx_voice_count(r, DROP_SUPPRESSED);
        return NGX_DECLINED;
    }

    silence = (body->payload_len == VOICE_OPUS_SILENCE_LEN
               && ngx_memcmp(body->payload, VOICE_OPUS_SILENCE,
                             VOICE_OPUS_SILENCE_LEN) == 0);

    if (ngx_voice_receive_crowded_out(r, d, s, body, silence)) {
        ngx_voice_count(r, DROP_SPEAKERS);
        ngx_voice_forward_end(r, s);
        return NGX_DECLINED;
    }

    /* the server's own silence frames had these numbers */

    if (ext_seq <= atomic_load_explicit(&s->floor_seq, memory_order_relaxed)) {
        ngx_voice_count(r, DROP_MUTED);
        return NGX_DECLINED;
    }

    if (ext_seq > atomic_load_explicit(&s->last_seq, memory_order_relaxed)) {
        atomic_store_explicit(&s->last_seq, ext_seq, memory_order_relaxed);
        atomic_store_explicit(&s->last_timestamp, d->rtp.timestamp,
                              memory_order_relaxed);

        if (atomic_load_explicit(&s->talking, memory_order_relaxed)
            == silence)
        {
            atomic_store_explicit(&s->talking, !silence,
                                  memory_order_relaxed);
        }
    }

    if (!silence && r->ntalkers < NGX_VOICE_TALKERS
        && atomic_load_explicit(&s->speaking, memory_order_relaxed) == 0)
    {
        r->talker[r->ntalkers++] = voice_session_id(r->zone, s);
    }

    return NGX_OK;
}


/*
 * Whether a room has too many open microphones for this one.  The number of
 * members is a hint: it may change meanwhile.
 */

static ngx_uint_t
ngx_voice_receive_crowded_out(ngx_voice_relay_t *r, ngx_voice_datagram_t *d,
    voice_session_t *s, const voice_rtp_body_t *body, ngx_uint_t silence)
{
    size_t          len;
    ngx_uint_t      loudness;
    voice_id_t      id;
    voice_room_t   *room;
    const uint8_t  *level;

    id = atomic_load_explicit(&s->room, memory_order_relaxed);

    if (d->socket->speakers == 0 || id == 0
        || voice_id_index(id) >= r->zone->header->sessions)
    {
        return 0;
    }

    room = &r->zone->room[voice_id_index(id)];

    if (room->members <= d->socket->speakers) {
        return 0;
    }

    loudness = VOICE_LOUDNESS_USUAL;

    if (voice_rtp_ext_find(body, VOICE_RTP_EXT_LEVEL, &level, &len) == VOICE_OK
        && len == 1)
    {
        loudness = VOICE_LOUDNESS_MAX - (level[0] & VOICE_LOUDNESS_MAX);
    }

    return !voice_speakers_admit(&room->speakers, d->socket->speakers,
                                 s - r->zone->session, loudness, silence,
                                 r->now);
}


/*
 * Some libraries never say that they speak: the first packet says it for
 * them.  After the batch was sent, for this takes the zone's lock.
 */

static void
ngx_voice_receive_talkers(ngx_voice_relay_t *r)
{
    ngx_uint_t        i;
    voice_session_t  *s;

    for (i = 0; i < r->ntalkers; i++) {
        s = voice_session_get(r->zone, r->talker[i]);

        if (s != NULL && atomic_load(&s->speaking) == 0) {
            (void) voice_session_speaking(r->zone, r->talker[i],
                                          VOICE_SPEAKING_VOICE, false);
        }
    }

    r->ntalkers = 0;

    ngx_voice_wake(r->zone, r->log);
}
