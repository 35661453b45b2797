/*
 * Copyright (C) ngx-voice contributors
 */


#include "ngx_stream_voice.h"
#include "voice_discovery.h"
#include "voice_rtcp.h"
#include "voice_rtpstat.h"


#define NGX_VOICE_REPORT_INTERVAL   5000000ull     /* us */
#define NGX_VOICE_REPORT_SSRC       7              /* of a session's block */


ngx_uint_t
ngx_voice_control_allowed(ngx_voice_relay_t *r, const voice_addr_t *remote)
{
    size_t  len;

    /* an IPv6 host has a whole /64 to send from */

    len = (remote->family == VOICE_ADDR_V6) ? 8 : 4;

    if (voice_limit_take(&r->by_address, remote, sizeof(voice_addr_t), r->now)
        && voice_limit_take(&r->by_ip, remote->ip, len, r->now))
    {
        return 1;
    }

    ngx_voice_count(r, DROP_LIMITED);

    return 0;
}


static void
ngx_voice_control_text(const voice_addr_t *addr, char *text, size_t size)
{
    const uint8_t         *ip = addr->ip;
    static const uint8_t   mapped[12] = { [10] = 0xFF, [11] = 0xFF };

    /* libraries take nothing but a dotted quad for IPv4 */

    if (addr->family == VOICE_ADDR_V6 && ngx_memcmp(ip, mapped, 12) != 0) {
        (void) inet_ntop(AF_INET6, ip, text, size);
        return;
    }

    if (addr->family == VOICE_ADDR_V6) {
        ip += 12;
    }

    (void) inet_ntop(AF_INET, ip, text, size);
}


void
ngx_voice_control_discovery(ngx_voice_relay_t *r, ngx_voice_datagram_t *d)
{
    uint32_t            ssrc;
    voice_err_t         err;
    voice_session_t    *s;
    voice_discovery_t   reply;
    u_char              buf[VOICE_DISCOVERY_LEN];

    if (!ngx_voice_control_allowed(r, &d->remote)) {
        return;
    }

    if (voice_discovery_request_decode(d->data, d->len, &ssrc) != VOICE_OK) {
        ngx_voice_count(r, DROP_MALFORMED);
        return;
    }

    s = voice_session_by_ssrc(r->zone, ssrc);

    if (s == NULL) {
        ngx_voice_count(r, DROP_UNKNOWN_SSRC);
        return;
    }

    /*
     * an address that is bound already moves by authenticated packets only,
     * but whoever asks is answered
     */

    err = voice_session_candidate(r->zone, voice_session_id(r->zone, s),
                                  &d->remote, &d->local);

    if (err != VOICE_OK && err != VOICE_E_STATE) {
        ngx_voice_count(r, DROP_UNKNOWN_SSRC);
        return;
    }

    ngx_memzero(&reply, sizeof(voice_discovery_t));
    reply.ssrc = ssrc;
    reply.port = d->remote.port;
    ngx_voice_control_text(&d->remote, reply.address, sizeof(reply.address));

    if (voice_discovery_response_encode(buf, d->len, &reply) != VOICE_OK) {
        ngx_voice_count(r, DROP_MALFORMED);
        return;
    }

    ngx_voice_send_reply(r, d, buf, d->len);
    ngx_voice_count(r, CONTROL_DISCOVERY);
}


/*
 * Keep-alive counters come back as they are, pings with another magic; only
 * to those who have an address here, which is after Select Protocol.
 */

void
ngx_voice_control_echo(ngx_voice_relay_t *r, ngx_voice_datagram_t *d,
    ngx_uint_t ping)
{
    if (voice_route_by_address(r->zone, &d->remote) == NULL) {
        ngx_voice_count(r, DROP_UNKNOWN_ADDRESS);
        return;
    }

    if (ping) {
        voice_put_u32(d->data, VOICE_PING_RESPONSE);
        ngx_voice_count(r, CONTROL_PING);

    } else {
        ngx_voice_count(r, CONTROL_KEEPALIVE);
    }

    ngx_voice_send_reply(r, d, d->data, d->len);
}


void
ngx_voice_control_rtcp(ngx_voice_relay_t *r, ngx_voice_datagram_t *d)
{
    size_t             len;
    voice_err_t        err;
    voice_addr_t       remote, local;
    voice_rtcp_t       rtcp;
    voice_reader_t     reader;
    voice_rtcp_sr_t    sr;
    voice_session_t   *s;
    ngx_voice_peer_t  *peer;

    s = voice_session_by_ssrc(r->zone, voice_get_u32(&d->data[4]));

    if (s == NULL) {
        ngx_voice_count(r, DROP_UNKNOWN_SSRC);
        return;
    }

    /* has no sequence number, so it could be a replay: it moves nothing */

    if (!voice_route_address(s, &remote, &local)
        || !voice_addr_equal(&remote, &d->remote))
    {
        ngx_voice_count(r, DROP_UNKNOWN_ADDRESS);
        return;
    }

    peer = ngx_voice_peer_get(r, s - r->zone->session);

    if (peer == NULL) {
        ngx_voice_count(r, DROP_STATE);
        return;
    }

    err = voice_crypto_open_rtcp(&peer->key, d->data, d->len, &len);

    if (err != VOICE_OK) {
        if (err == VOICE_E_AUTH) {
            ngx_voice_count(r, DROP_AUTH);
        } else {
            ngx_voice_count(r, DROP_MALFORMED);
        }

        return;
    }

    voice_reader_init(&reader, d->data, len);

    while ((err = voice_rtcp_next(&reader, &rtcp)) == VOICE_OK) {

        if (voice_rtcp_sr_decode(&rtcp, &sr) == VOICE_OK
            && sr.ssrc == atomic_load(&s->ssrc))
        {
            voice_rtpstat_sr(&s->stat, &sr, r->now_us);
        }
    }

    if (err != VOICE_AGAIN) {
        ngx_voice_count(r, DROP_MALFORMED);
        return;
    }

    ngx_voice_count(r, CONTROL_RTCP);
}


void
ngx_voice_control_report(ngx_voice_relay_t *r, voice_session_t *s,
    ngx_voice_peer_t *peer)
{
    u_char               rr[VOICE_RTCP_RR_LEN];
    uint64_t             at;
    ngx_uint_t           i;
    voice_addr_t         remote, local;
    voice_crypto_to_t    to;
    voice_rtcp_block_t   block;
    ngx_voice_socket_t  *sock;

    at = atomic_load_explicit(&s->report_at, memory_order_relaxed);

    if (r->now_us < at
        || !atomic_compare_exchange_strong(&s->report_at, &at,
                                           r->now_us
                                           + NGX_VOICE_REPORT_INTERVAL)
        || at == 0)
    {
        return;
    }

    /* each report would have the nonce of the last one */

    if (voice_mode_nonce_is_header(peer->key.mode)
        || !voice_route_address(s, &remote, &local)
        || (sock = ngx_voice_send_socket(r, &local)) == NULL
        || ngx_voice_peer_nonce(r, peer, s, to.nonce) != NGX_OK)
    {
        return;
    }

    voice_rtpstat_report(&s->stat, atomic_load(&s->ssrc), r->now_us, &block);
    voice_rtcp_rr_encode(rr, atomic_load(&s->ssrc) + NGX_VOICE_REPORT_SSRC,
                         &block);

    i = ngx_voice_send_slot(r, sock, &remote, &local);

    to.key = &peer->key;
    to.out = sock->queue->buf[i];

    voice_crypto_seal_rtcp(rr, VOICE_RTCP_RR_LEN, &to);

    sock->queue->len[i] = to.out_len;
    ngx_voice_count(r, RTCP_REPORTS);
}
