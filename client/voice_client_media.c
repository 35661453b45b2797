/*
 * Copyright (C) ngx-voice contributors
 *
 * The UDP side of a session: IP discovery, keep-alives, RTP and RTCP.
 */


#define _GNU_SOURCE

#include "voice_client.h"

#include "little_endian.h"

#include "voice_discovery.h"
#include "voice_packet.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>


#define VC_DISCOVERY_EVERY   VC_SEC
#define VC_KEEPALIVE_EVERY   (5 * VC_SEC)

/* packets sealed before a new key may still be on their way */
#define VC_OLD_KEY_FOR       (2 * VC_SEC)

#define VC_UDP_BATCH         16
#define VC_UDP_PACKET        2048
#define VC_UDP_BUFFER        (512 * 1024)

#define VC_NTP_OFFSET        UINT64_C(2208988800)    /* 1900 to 1970, s */


static void vc_udp_handler(void *data);
static void vc_udp_packet(vc_client_t *c, uint8_t *pkt, size_t len,
    uint64_t now);
static void vc_udp_discovered(vc_client_t *c, const uint8_t *pkt,
    size_t len);
static void vc_udp_rtp(vc_client_t *c, uint8_t *pkt, size_t len,
    uint64_t now);
static void vc_udp_rtcp(vc_client_t *c, uint8_t *pkt, size_t len,
    uint64_t now);
static voice_err_t vc_udp_open(vc_client_t *c, uint8_t *pkt, size_t len,
    bool rtcp, size_t *plain_len, uint64_t now);
static voice_err_t vc_udp_open_with(vc_client_t *c,
    const voice_crypto_key_t *key, uint8_t *pkt, size_t len, bool rtcp,
    size_t *plain_len);
static bool vc_udp_write(vc_client_t *c, const uint8_t *pkt, size_t len);
static void vc_udp_report(vc_client_t *c);
static void vc_udp_nonce(vc_client_t *c, uint8_t out[VOICE_NONCE4_LEN]);
static uint64_t vc_ntp_now(void);


bool
vc_client_udp_open(vc_client_t *c, const char *ip, uint16_t port)
{
    int                      fd, size;
    socklen_t                len;
    struct sockaddr_in      *in;
    struct sockaddr_in6     *in6;
    struct sockaddr_storage  ss;

    memset(&ss, 0, sizeof(ss));
    in = (struct sockaddr_in *) &ss;
    in6 = (struct sockaddr_in6 *) &ss;

    if (inet_pton(AF_INET, ip, &in->sin_addr) == 1) {
        in->sin_family = AF_INET;
        in->sin_port = htons(port);
        len = sizeof(*in);

    } else if (inet_pton(AF_INET6, ip, &in6->sin6_addr) == 1) {
        in6->sin6_family = AF_INET6;
        in6->sin6_port = htons(port);
        len = sizeof(*in6);

    } else {
        vc_client_fail(c, "Ready names the UDP address \"%.64s\": expected an "
                       "IP address", ip);
        return false;
    }

    fd = socket(ss.ss_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd == -1 || connect(fd, (struct sockaddr *) &ss, len) == -1) {
        vc_client_fail(c, "UDP socket to %.64s port %u: %s", ip, port,
                       strerror(errno));
        if (fd != -1) {
            close(fd);
        }

        return false;
    }

    size = VC_UDP_BUFFER;
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));

    c->udp.fd = fd;
    c->udp.handler = vc_udp_handler;
    c->udp.data = c;

    if (!vc_watch_add(c->loop, &c->udp)) {
        vc_client_fail(c, "epoll: %s", strerror(errno));
        return false;
    }

    return true;
}


void
vc_client_udp_close(vc_client_t *c)
{
    if (c->udp.fd != -1) {
        vc_watch_del(c->loop, &c->udp);
        close(c->udp.fd);
        c->udp.fd = -1;
    }
}


void
vc_client_discover(vc_client_t *c, uint64_t now)
{
    uint8_t  pkt[VOICE_DISCOVERY_LEN];

    voice_discovery_request_encode(pkt, c->ssrc);
    vc_udp_write(c, pkt, sizeof(pkt));

    c->discoveries++;
    c->discovery_at = now + VC_DISCOVERY_EVERY;
}


/* Eight bytes of a little-endian counter, as native clients send. */
void
vc_client_keepalive(vc_client_t *c, uint64_t now)
{
    uint8_t  pkt[VOICE_KEEPALIVE_LEN];

    vc_put_le(pkt, c->keepalives, sizeof(pkt));
    vc_udp_write(c, pkt, sizeof(pkt));
    c->keepalives++;
    c->keepalive_at = now + VC_KEEPALIVE_EVERY;

    /* where the header is the nonce, two reports would share one */
    if (c->conf.reports && c->stats.sent != 0
        && !voice_mode_nonce_is_header(c->mode))
    {
        vc_udp_report(c);
    }
}


void
vc_client_set_key(vc_client_t *c, voice_mode_t mode,
    const uint8_t key[VOICE_KEY_LEN], uint64_t now)
{
    if (c->state == VC_CLIENT_LIVE) {
        c->old_key = c->key;
        c->old_until = now + VC_OLD_KEY_FOR;
    }

    c->mode = mode;
    voice_crypto_key_init(&c->key, mode, key);
}


bool
vc_client_send(vc_client_t *c, const uint8_t *payload, size_t len,
    uint32_t samples)
{
    bool               sent;
    uint8_t            hdr[VOICE_RTP_HEADER_LEN];
    uint8_t            out[VOICE_RTP_HEADER_LEN + VC_PAYLOAD_MAX
                           + VOICE_SEAL_OVERHEAD];
    voice_rtp_t        rtp;
    voice_crypto_to_t  to;

    if (c->state != VC_CLIENT_LIVE || len > VC_PAYLOAD_MAX) {
        return false;
    }

    memset(&rtp, 0, sizeof(rtp));
    rtp.ssrc = c->ssrc;
    rtp.seq = c->rtp_seq++;
    rtp.timestamp = c->rtp_ts;
    rtp.pt = VOICE_RTP_PT_OPUS;
    voice_rtp_write(hdr, &rtp);

    to.key = &c->key;
    to.out = out;
    to.out_len = 0;
    vc_udp_nonce(c, to.nonce);

    voice_crypto_seal_rtp(c->mode, hdr, sizeof(hdr), payload, len, &to, 1);

    c->rtp_ts += samples;
    sent = vc_udp_write(c, out, to.out_len);

    if (sent) {
        c->stats.sent++;
        c->octets += (uint32_t) len;

    } else {
        c->stats.unsent++;
    }

    return sent;
}


/* A counter from 1 in big-endian: servers' nonces have other top bits. */
static void
vc_udp_nonce(vc_client_t *c, uint8_t out[VOICE_NONCE4_LEN])
{
    voice_put_u32(out, ++c->nonce);
}


/*
 * A connected socket reports the last packet's ICMP error in place of taking
 * the next one.
 */
static bool
vc_udp_write(vc_client_t *c, const uint8_t *pkt, size_t len)
{
    int  tries;

    if (c->udp.fd == -1) {
        return false;
    }

    for (tries = 0; tries < 3; tries++) {
        if (send(c->udp.fd, pkt, len, 0) != -1) {
            return true;
        }

        if (errno != ECONNREFUSED && errno != EINTR) {
            return false;
        }
    }

    return false;
}


/* RFC 3550 section 6.4.1: for the round trip time */
static void
vc_udp_report(vc_client_t *c)
{
    uint8_t            pkt[VOICE_RTCP_SR_LEN];
    uint8_t            out[VOICE_RTCP_SR_LEN + VOICE_SEAL_OVERHEAD];
    uint64_t           ntp;
    voice_rtcp_sr_t    sr;
    voice_crypto_to_t  to;

    ntp = vc_ntp_now();

    sr.ssrc = c->ssrc;
    sr.ntp_sec = (uint32_t) (ntp >> 32);
    sr.ntp_frac = (uint32_t) ntp;
    sr.rtp_ts = c->rtp_ts;
    sr.packets = (uint32_t) c->stats.sent;
    sr.octets = c->octets;
    voice_rtcp_sr_encode(pkt, &sr);

    to.key = &c->key;
    to.out = out;
    to.out_len = 0;
    vc_udp_nonce(c, to.nonce);

    voice_crypto_seal_rtcp(pkt, sizeof(pkt), &to);
    vc_udp_write(c, out, to.out_len);
}


static void
vc_udp_handler(void *data)
{
    int             n, i;
    uint8_t         buf[VC_UDP_BATCH][VC_UDP_PACKET];
    uint64_t        now;
    vc_client_t    *c = data;
    struct iovec    iov[VC_UDP_BATCH];
    struct mmsghdr  msg[VC_UDP_BATCH];

    memset(msg, 0, sizeof(msg));

    for (i = 0; i < VC_UDP_BATCH; i++) {
        iov[i].iov_base = buf[i];
        iov[i].iov_len = sizeof(buf[i]);
        msg[i].msg_hdr.msg_iov = &iov[i];
        msg[i].msg_hdr.msg_iovlen = 1;
    }

    do {
        n = recvmmsg(c->udp.fd, msg, VC_UDP_BATCH, 0, NULL);

        if (n == -1) {
            if (errno == ECONNREFUSED || errno == EINTR) {
                n = VC_UDP_BATCH;
                continue;
            }

            break;
        }

        now = vc_now();

        for (i = 0; i < n; i++) {
            vc_udp_packet(c, buf[i], msg[i].msg_len, now);
        }

        /* fewer than asked for: empty, and edge-triggered epoll tells of
           what comes after */

    } while (n == VC_UDP_BATCH && c->udp.fd != -1);
}


static void
vc_udp_packet(vc_client_t *c, uint8_t *pkt, size_t len, uint64_t now)
{
    if (c->state == VC_CLIENT_DISCOVERING) {
        vc_udp_discovered(c, pkt, len);
        return;
    }

    if (c->state >= VC_CLIENT_LEAVING) {
        return;
    }

    switch (voice_packet_classify(pkt, len)) {

    case VOICE_PACKET_RTP:
        vc_udp_rtp(c, pkt, len, now);
        break;

    case VOICE_PACKET_RTCP:
        vc_udp_rtcp(c, pkt, len, now);
        break;

    default:
        /* echoes of keep-alives, late answers to IP discovery */
        break;
    }
}


static void
vc_udp_discovered(vc_client_t *c, const uint8_t *pkt, size_t len)
{
    voice_discovery_t  d;

    if (voice_discovery_response_decode(pkt, len, &d) != VOICE_OK
        || d.ssrc != c->ssrc)
    {
        return;
    }

    snprintf(c->address, sizeof(c->address), "%.63s", d.address);
    c->port = d.port;
    c->discovery_at = 0;
    c->state = VC_CLIENT_SELECTING;

    if (c->linked) {
        vc_client_select(c);
    }

    vc_client_arm(c);
}


static void
vc_udp_rtp(vc_client_t *c, uint8_t *pkt, size_t len, uint64_t now)
{
    size_t            plain_len;
    vc_media_t        media;
    voice_rtp_body_t  body;

    if (c->state != VC_CLIENT_LIVE) {
        c->stats.early++;
        return;
    }

    if (vc_udp_open(c, pkt, len, false, &plain_len, now) != VOICE_OK
        || voice_rtp_parse(pkt, plain_len, &media.rtp) != VOICE_OK
        || voice_rtp_split(&media.rtp, pkt, plain_len, &body) != VOICE_OK)
    {
        c->stats.undecryptable++;
        return;
    }

    media.payload = body.payload;
    media.len = body.payload_len;
    media.now = now;

    if (c->handlers->media != NULL) {
        c->handlers->media(c->data, &media);
    }
}


static voice_err_t
vc_udp_open(vc_client_t *c, uint8_t *pkt, size_t len, bool rtcp,
    size_t *plain_len, uint64_t now)
{
    voice_err_t  err;

    err = vc_udp_open_with(c, &c->key, pkt, len, rtcp, plain_len);

    if (err == VOICE_OK || now >= c->old_until) {
        return err;
    }

    return vc_udp_open_with(c, &c->old_key, pkt, len, rtcp, plain_len);
}


static voice_err_t
vc_udp_open_with(vc_client_t *c, const voice_crypto_key_t *key, uint8_t *pkt,
    size_t len, bool rtcp, size_t *plain_len)
{
    uint8_t       sealed[VC_UDP_PACKET];
    voice_err_t   err;
    vc_nonces_t  *nonces = c->conf.nonces;

    if (nonces != NULL) {
        memcpy(sealed, pkt, len);
    }

    err = rtcp ? voice_crypto_open_rtcp(key, pkt, len, plain_len)
               : voice_crypto_open_rtp(key, pkt, len, plain_len);

    if (err == VOICE_OK && nonces != NULL) {
        vc_nonces_add(nonces, key, sealed, len, rtcp ? VOICE_RTCP_HEADER_LEN
                                                     : VOICE_RTP_HEADER_LEN);
    }

    return err;
}


static void
vc_udp_rtcp(vc_client_t *c, uint8_t *pkt, size_t len, uint64_t now)
{
    size_t              plain_len;
    unsigned            i;
    uint32_t            mid, away;
    voice_rtcp_t        rtcp;
    voice_reader_t      r;
    voice_rtcp_block_t  block;

    if (c->state != VC_CLIENT_LIVE) {
        c->stats.early++;
        return;
    }

    if (vc_udp_open(c, pkt, len, true, &plain_len, now) != VOICE_OK) {
        c->stats.undecryptable++;
        return;
    }

    if (c->handlers->report == NULL) {
        return;
    }

    mid = (uint32_t) (vc_ntp_now() >> 16);
    voice_reader_init(&r, pkt, plain_len);

    while (voice_rtcp_next(&r, &rtcp) == VOICE_OK) {
        for (i = 0; voice_rtcp_block_decode(&rtcp, i, &block) == VOICE_OK;
             i++)
        {
            /* RFC 3550 section 6.4.1: A - LSR - DLSR, 1/65536 s */
            away = mid - block.lsr - block.dlsr;

            c->handlers->report(c->data, &block,
                                block.lsr != 0 && away < 65536 * 10u
                                ? (uint64_t) away * VC_SEC / 65536 : 0);
        }
    }
}


static uint64_t
vc_ntp_now(void)
{
    struct timespec  ts;

    clock_gettime(CLOCK_REALTIME, &ts);

    return (((uint64_t) ts.tv_sec + VC_NTP_OFFSET) << 32)
           + (((uint64_t) ts.tv_nsec << 32) / VC_SEC);
}
