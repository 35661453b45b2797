/*
 * Copyright (C) ngx-voice contributors
 */


#include "voice_rtp.h"
#include "voice_bytes.h"


#define VOICE_RTP_VERSION         2

#define VOICE_RTP_EXT_ONE_BYTE    0xBEDE
#define VOICE_RTP_EXT_PAD         0
#define VOICE_RTP_EXT_STOP        15


static voice_err_t voice_rtp_unpad(voice_rtp_body_t *body);


voice_err_t
voice_rtp_parse(const uint8_t *pkt, size_t len, voice_rtp_t *rtp)
{
    if (len < VOICE_RTP_HEADER_LEN) {
        return VOICE_E_SHORT;
    }

    if (pkt[0] >> 6 != VOICE_RTP_VERSION) {
        return VOICE_E_FORMAT;
    }

    rtp->padding = (pkt[0] & 0x20) != 0;
    rtp->extension = (pkt[0] & 0x10) != 0;
    rtp->cc = pkt[0] & 0x0F;
    rtp->marker = (pkt[1] & 0x80) != 0;
    rtp->pt = pkt[1] & 0x7F;
    rtp->seq = voice_get_u16(pkt + 2);
    rtp->timestamp = voice_get_u32(pkt + 4);
    rtp->ssrc = voice_get_u32(pkt + 8);

    return VOICE_OK;
}


voice_err_t
voice_rtp_split(const voice_rtp_t *rtp, const uint8_t *pkt, size_t len,
    voice_rtp_body_t *body)
{
    voice_err_t       err;
    voice_reader_t    r;
    voice_rtp_body_t  b;

    b.ext = NULL;
    b.ext_len = 0;
    b.ext_profile = 0;

    voice_reader_init(&r, pkt, len);
    voice_read_bytes(&r, VOICE_RTP_HEADER_LEN + 4 * (size_t) rtp->cc);

    if (rtp->extension) {
        b.ext_profile = voice_read_u16(&r);
        b.ext_len = 4 * (size_t) voice_read_u16(&r);
        b.ext = voice_read_bytes(&r, b.ext_len);
    }

    if (r.failed) {
        return VOICE_E_LENGTH;
    }

    b.payload_len = voice_reader_left(&r);
    b.payload = r.pos;

    if (rtp->padding) {
        err = voice_rtp_unpad(&b);
        if (err != VOICE_OK) {
            return err;
        }
    }

    *body = b;

    return VOICE_OK;
}


/* RFC 3550 section 5.1: the last byte counts the padding, itself included */
static voice_err_t
voice_rtp_unpad(voice_rtp_body_t *body)
{
    uint8_t  pad;

    if (body->payload_len == 0) {
        return VOICE_E_LENGTH;
    }

    pad = body->payload[body->payload_len - 1];

    if (pad == 0 || pad > body->payload_len) {
        return VOICE_E_LENGTH;
    }

    body->payload_len -= pad;

    return VOICE_OK;
}


voice_err_t
voice_rtp_ext_find(const voice_rtp_body_t *body, uint8_t id,
    const uint8_t **data, size_t *len)
{
    size_t           n;
    uint8_t          head, element;
    const uint8_t   *p;
    voice_reader_t   r;

    if (body->ext == NULL || body->ext_profile != VOICE_RTP_EXT_ONE_BYTE) {
        return VOICE_E_NOT_FOUND;
    }

    voice_reader_init(&r, body->ext, body->ext_len);

    while (voice_reader_left(&r) != 0) {

        head = voice_read_u8(&r);

        if (head == VOICE_RTP_EXT_PAD) {
            continue;
        }

        element = head >> 4;

        /* RFC 8285 section 4.2: 15, and 0 with a length, end the list */
        if (element == VOICE_RTP_EXT_STOP || element == VOICE_RTP_EXT_PAD) {
            break;
        }

        n = (size_t) (head & 0x0F) + 1;

        p = voice_read_bytes(&r, n);
        if (p == NULL) {
            return VOICE_E_LENGTH;
        }

        if (element == id) {
            *data = p;
            *len = n;
            return VOICE_OK;
        }
    }

    return VOICE_E_NOT_FOUND;
}


void
voice_rtp_write(uint8_t out[VOICE_RTP_HEADER_LEN], const voice_rtp_t *rtp)
{
    out[0] = VOICE_RTP_VERSION << 6;
    out[1] = (uint8_t) ((rtp->marker ? 0x80 : 0) | (rtp->pt & 0x7F));
    voice_put_u16(out + 2, rtp->seq);
    voice_put_u32(out + 4, rtp->timestamp);
    voice_put_u32(out + 8, rtp->ssrc);
}
