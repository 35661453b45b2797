/*
 * Copyright (C) ngx-voice contributors
 */


#include "voice_rtcp.h"


#define VOICE_RTCP_VERSION      2
#define VOICE_RTCP_COMMON_LEN   4          /* header without the SSRC */

/* bodies in front of the report blocks */
#define VOICE_RTCP_SR_INFO_LEN  24
#define VOICE_RTCP_RR_INFO_LEN  4

#define VOICE_RTCP_LOST_MAX     0x7FFFFF
#define VOICE_RTCP_LOST_MIN     (-0x800000)


static void voice_rtcp_header_encode(uint8_t *out, uint8_t count, uint8_t pt,
    size_t len, uint32_t ssrc);
static int32_t voice_rtcp_lost_decode(uint32_t v);
static uint32_t voice_rtcp_lost_encode(int32_t lost);


voice_err_t
voice_rtcp_next(voice_reader_t *r, voice_rtcp_t *rtcp)
{
    size_t           len, pad;
    const uint8_t   *p, *body;
    voice_reader_t   next;

    if (!r->failed && voice_reader_left(r) == 0) {
        return VOICE_AGAIN;
    }

    next = *r;

    p = voice_read_bytes(&next, VOICE_RTCP_COMMON_LEN);
    if (p == NULL) {
        return VOICE_E_SHORT;
    }

    if (p[0] >> 6 != VOICE_RTCP_VERSION) {
        return VOICE_E_FORMAT;
    }

    len = 4 * (size_t) voice_get_u16(p + 2);

    body = voice_read_bytes(&next, len);
    if (body == NULL) {
        return VOICE_E_LENGTH;
    }

    /* RFC 3550 section 6.4.1: the last byte counts the padding */

    if (p[0] & 0x20) {
        pad = len != 0 ? body[len - 1] : 0;

        if (pad == 0 || pad > len) {
            return VOICE_E_LENGTH;
        }

        len -= pad;
    }

    rtcp->pt = p[1];
    rtcp->count = p[0] & 0x1F;
    rtcp->body = body;
    rtcp->body_len = len;

    *r = next;

    return VOICE_OK;
}


voice_err_t
voice_rtcp_sr_decode(const voice_rtcp_t *rtcp, voice_rtcp_sr_t *sr)
{
    const uint8_t  *p;

    if (rtcp->pt != VOICE_RTCP_SR) {
        return VOICE_E_FORMAT;
    }

    if (rtcp->body_len < VOICE_RTCP_SR_INFO_LEN) {
        return VOICE_E_LENGTH;
    }

    p = rtcp->body;

    sr->ssrc = voice_get_u32(p);
    sr->ntp_sec = voice_get_u32(p + 4);
    sr->ntp_frac = voice_get_u32(p + 8);
    sr->rtp_ts = voice_get_u32(p + 12);
    sr->packets = voice_get_u32(p + 16);
    sr->octets = voice_get_u32(p + 20);

    return VOICE_OK;
}


void
voice_rtcp_sr_encode(uint8_t out[VOICE_RTCP_SR_LEN], const voice_rtcp_sr_t *sr)
{
    voice_rtcp_header_encode(out, 0, VOICE_RTCP_SR, VOICE_RTCP_SR_LEN,
                             sr->ssrc);

    voice_put_u32(out + 8, sr->ntp_sec);
    voice_put_u32(out + 12, sr->ntp_frac);
    voice_put_u32(out + 16, sr->rtp_ts);
    voice_put_u32(out + 20, sr->packets);
    voice_put_u32(out + 24, sr->octets);
}


voice_err_t
voice_rtcp_block_decode(const voice_rtcp_t *rtcp, unsigned i,
    voice_rtcp_block_t *block)
{
    size_t          info;
    uint32_t        lost;
    const uint8_t  *p;

    switch (rtcp->pt) {

    case VOICE_RTCP_SR:
        info = VOICE_RTCP_SR_INFO_LEN;
        break;

    case VOICE_RTCP_RR:
        info = VOICE_RTCP_RR_INFO_LEN;
        break;

    default:
        return VOICE_E_FORMAT;
    }

    if (i >= rtcp->count) {
        return VOICE_E_NOT_FOUND;
    }

    if (rtcp->body_len < info + (size_t) rtcp->count * VOICE_RTCP_BLOCK_LEN) {
        return VOICE_E_LENGTH;
    }

    p = rtcp->body + info + (size_t) i * VOICE_RTCP_BLOCK_LEN;

    lost = voice_get_u32(p + 4);

    block->ssrc = voice_get_u32(p);
    block->fraction = (uint8_t) (lost >> 24);
    block->lost = voice_rtcp_lost_decode(lost & 0xFFFFFF);
    block->highest_seq = voice_get_u32(p + 8);
    block->jitter = voice_get_u32(p + 12);
    block->lsr = voice_get_u32(p + 16);
    block->dlsr = voice_get_u32(p + 20);

    return VOICE_OK;
}


void
voice_rtcp_rr_encode(uint8_t out[VOICE_RTCP_RR_LEN], uint32_t ssrc,
    const voice_rtcp_block_t *block)
{
    uint8_t  *p;

    voice_rtcp_header_encode(out, 1, VOICE_RTCP_RR, VOICE_RTCP_RR_LEN, ssrc);

    p = out + VOICE_RTCP_HEADER_LEN;

    voice_put_u32(p, block->ssrc);
    voice_put_u32(p + 4, ((uint32_t) block->fraction << 24)
                         | voice_rtcp_lost_encode(block->lost));
    voice_put_u32(p + 8, block->highest_seq);
    voice_put_u32(p + 12, block->jitter);
    voice_put_u32(p + 16, block->lsr);
    voice_put_u32(p + 20, block->dlsr);
}


static void
voice_rtcp_header_encode(uint8_t *out, uint8_t count, uint8_t pt, size_t len,
    uint32_t ssrc)
{
    out[0] = (uint8_t) (VOICE_RTCP_VERSION << 6 | count);
    out[1] = pt;
    voice_put_u16(out + 2, (uint16_t) (len / 4 - 1));
    voice_put_u32(out + 4, ssrc);
}


/* RFC 3550 section 6.4.1: 24 bits, two's complement */
static int32_t
voice_rtcp_lost_decode(uint32_t v)
{
    return (int32_t) v - ((v & 0x800000) ? 0x1000000 : 0);
}


static uint32_t
voice_rtcp_lost_encode(int32_t lost)
{
    if (lost > VOICE_RTCP_LOST_MAX) {
        lost = VOICE_RTCP_LOST_MAX;
    }

    if (lost < VOICE_RTCP_LOST_MIN) {
        lost = VOICE_RTCP_LOST_MIN;
    }

    return (uint32_t) lost & 0xFFFFFF;
}
