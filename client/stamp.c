/*
 * Copyright (C) ngx-voice contributors
 */


#include "stamp.h"

#include "voice_bytes.h"

#include <opus.h>
#include <string.h>


#define VC_STAMP_MAGIC       "\x9fngxvcs1"
#define VC_STAMP_MAGIC_LEN   8

#define VC_OPUS_CODE3        3
#define VC_OPUS_PADDING      0x40     /* p of the frame count byte */


static void vc_stamp_write(uint8_t *out, const vc_stamp_t *stamp);


void
vc_stamp_packet(uint8_t *out, size_t len, const vc_stamp_t *stamp)
{
    size_t   pad;
    uint8_t *p;

    /* the silence frame FF FE of CELT, full band, 20 ms, mono, one frame */
    p = out;
    *p++ = 0xF8 | VC_OPUS_CODE3;
    *p++ = VC_OPUS_PADDING | 1;

    /* each length byte 255 stands for 254 bytes and one more length byte */
    pad = len - 2 - 2;

    while (pad > 255) {
        *p++ = 255;
        pad -= 255;
    }

    *p++ = (uint8_t) (pad - 1);
    *p++ = 0xFF;
    *p++ = 0xFE;

    memset(p, 0, len - (size_t) (p - out));
    vc_stamp_write(out + len - VC_STAMP_LEN, stamp);
}


size_t
vc_stamp_add(uint8_t *pkt, size_t len, size_t size, const vc_stamp_t *stamp)
{
    size_t   want;
    uint8_t  copy[VC_STAMP_PACKET_MAX + VC_STAMP_OVERHEAD];

    want = len + VC_STAMP_OVERHEAD;

    if (len == 0 || want > size || want > sizeof(copy)) {
        return 0;
    }

    memcpy(copy, pkt, len);

    if (opus_packet_pad(copy, (opus_int32) len, (opus_int32) want)
        != OPUS_OK)
    {
        return 0;
    }

    memcpy(pkt, copy, want);
    vc_stamp_write(pkt + want - VC_STAMP_LEN, stamp);

    return want;
}


bool
vc_stamp_read(const uint8_t *pkt, size_t len, vc_stamp_t *stamp)
{
    const uint8_t  *p;

    if (len < VC_STAMP_PACKET_MIN - 2 || (pkt[0] & 3) != VC_OPUS_CODE3
        || (pkt[1] & VC_OPUS_PADDING) == 0)
    {
        return false;
    }

    p = pkt + len - VC_STAMP_LEN;

    if (memcmp(p, VC_STAMP_MAGIC, VC_STAMP_MAGIC_LEN) != 0) {
        return false;
    }

    stamp->run = voice_get_u32(p + 8);
    stamp->sender = voice_get_u32(p + 12);
    stamp->seq = voice_get_u32(p + 16);
    stamp->time = (uint64_t) voice_get_u32(p + 24) << 32
                  | voice_get_u32(p + 28);

    return true;
}


static void
vc_stamp_write(uint8_t *out, const vc_stamp_t *stamp)
{
    memcpy(out, VC_STAMP_MAGIC, VC_STAMP_MAGIC_LEN);
    voice_put_u32(out + 8, stamp->run);
    voice_put_u32(out + 12, stamp->sender);
    voice_put_u32(out + 16, stamp->seq);
    voice_put_u32(out + 20, 0);
    voice_put_u32(out + 24, (uint32_t) (stamp->time >> 32));
    voice_put_u32(out + 28, (uint32_t) stamp->time);
}
