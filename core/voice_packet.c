/*
 * Copyright (C) ngx-voice contributors
 */


#include "voice_packet.h"
#include "voice_bytes.h"
#include "voice_discovery.h"
#include "voice_rtcp.h"
#include "voice_rtp.h"

#include <stdbool.h>


#define VOICE_STUN_HEADER_LEN  20
#define VOICE_STUN_COOKIE      0x2112A442u


static bool voice_packet_discovery_old(const uint8_t *pkt, size_t len);
static bool voice_packet_stun(const uint8_t *pkt, size_t len);


/*
 * Length comes first: small counters and the ping's magic overlap the first
 * bytes of STUN and DTLS, a discovery request begins as a STUN binding
 * request does.
 */
voice_packet_t
voice_packet_classify(const uint8_t *pkt, size_t len)
{
    if (len == 0 || len > VOICE_DATAGRAM_MAX) {
        return VOICE_PACKET_OTHER;
    }

    if (len == VOICE_DISCOVERY_LEN
        && voice_get_u16(pkt) == VOICE_DISCOVERY_REQUEST
        && voice_get_u16(pkt + 2) == VOICE_DISCOVERY_LEN - 4)
    {
        return VOICE_PACKET_DISCOVERY;
    }

    if (voice_packet_discovery_old(pkt, len)) {
        return VOICE_PACKET_DISCOVERY_OLD;
    }

    if (len == VOICE_KEEPALIVE_LEN) {
        return voice_get_u32(pkt) == VOICE_PING_REQUEST
               ? VOICE_PACKET_PING : VOICE_PACKET_KEEPALIVE;
    }

    if (voice_packet_stun(pkt, len)) {
        return VOICE_PACKET_STUN;
    }

    if (pkt[0] >= 20 && pkt[0] <= 63) {
        return VOICE_PACKET_DTLS;
    }

    if (pkt[0] < 128 || pkt[0] > 191) {
        return VOICE_PACKET_OTHER;
    }

    /* RFC 5761 section 4: payload types 64 to 95 are not used for RTP */
    if (len >= VOICE_RTCP_HEADER_LEN && pkt[1] >= 192 && pkt[1] <= 223) {
        return VOICE_PACKET_RTCP;
    }

    return len >= VOICE_RTP_HEADER_LEN ? VOICE_PACKET_RTP
                                       : VOICE_PACKET_OTHER;
}


static bool
voice_packet_discovery_old(const uint8_t *pkt, size_t len)
{
    uint32_t  ssrc;

    return len == VOICE_DISCOVERY_OLD_LEN
           && voice_discovery_request_decode(pkt, len, &ssrc) == VOICE_OK;
}


/* RFC 5389 section 6 */
static bool
voice_packet_stun(const uint8_t *pkt, size_t len)
{
    size_t  body;

    if (len < VOICE_STUN_HEADER_LEN || pkt[0] > 3) {
        return false;
    }

    body = voice_get_u16(pkt + 2);

    return voice_get_u32(pkt + 4) == VOICE_STUN_COOKIE
           && body % 4 == 0
           && body == len - VOICE_STUN_HEADER_LEN;
}
