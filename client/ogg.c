/*
 * Copyright (C) ngx-voice contributors
 */


#include "ogg.h"

#include "little_endian.h"

#include <string.h>


#define VC_OGG_HEADER         27
#define VC_OGG_FIRST          0x02
#define VC_OGG_LAST           0x04

/* a second of packets a page */
#define VC_OGG_PAGE_PACKETS   50


static bool vc_ogg_flush(vc_ogg_t *ogg, uint8_t flags);
static uint32_t vc_ogg_crc(uint32_t crc, const uint8_t *p, size_t len);


bool
vc_ogg_start(vc_ogg_t *ogg, FILE *file, uint32_t serial, unsigned channels)
{
    uint8_t  head[19], tags[8 + 4 + 8 + 4];

    memset(ogg, 0, sizeof(vc_ogg_t));
    ogg->file = file;
    ogg->serial = serial;

    /* RFC 7845 section 5.1: version 1, no pre-skip, 48 kHz, no gain */
    memset(head, 0, sizeof(head));
    memcpy(head, "OpusHead", 8);
    head[8] = 1;
    head[9] = (uint8_t) channels;
    vc_put_le(head + 12, 48000, 4);

    /* section 5.2: a vendor and no comments */
    memset(tags, 0, sizeof(tags));
    memcpy(tags, "OpusTags", 8);
    vc_put_le(tags + 8, 8, 4);
    memcpy(tags + 12, "voicectl", 8);

    return vc_ogg_write(ogg, head, sizeof(head), 0)
           && vc_ogg_flush(ogg, VC_OGG_FIRST)
           && vc_ogg_write(ogg, tags, sizeof(tags), 0)
           && vc_ogg_flush(ogg, 0);
}


bool
vc_ogg_write(vc_ogg_t *ogg, const uint8_t *packet, size_t len,
    uint64_t granule)
{
    size_t  segments;

    if (len > VC_OGG_PACKET_MAX) {
        return false;
    }

    /* a packet ends with a segment of fewer than 255 bytes */
    segments = len / 255 + 1;

    if ((ogg->packets == VC_OGG_PAGE_PACKETS
         || ogg->nsegments + segments > VC_OGG_SEGMENTS)
        && !vc_ogg_flush(ogg, 0))
    {
        return false;
    }

    memcpy(ogg->body + ogg->len, packet, len);
    ogg->len += len;
    ogg->granule = granule;
    ogg->packets++;

    for ( /* void */ ; len >= 255; len -= 255) {
        ogg->segment[ogg->nsegments++] = 255;
    }

    ogg->segment[ogg->nsegments++] = (uint8_t) len;
    return true;
}


bool
vc_ogg_finish(vc_ogg_t *ogg)
{
    return vc_ogg_flush(ogg, VC_OGG_LAST);
}


/* RFC 3533 section 6 */
static bool
vc_ogg_flush(vc_ogg_t *ogg, uint8_t flags)
{
    bool      written;
    size_t    head_len;
    uint8_t   head[VC_OGG_HEADER + VC_OGG_SEGMENTS];
    uint32_t  crc;

    memset(head, 0, VC_OGG_HEADER);
    memcpy(head, "OggS", 4);
    head[5] = flags;
    vc_put_le(head + 6, ogg->granule, 8);
    vc_put_le(head + 14, ogg->serial, 4);
    vc_put_le(head + 18, ogg->page++, 4);
    head[26] = (uint8_t) ogg->nsegments;
    memcpy(head + VC_OGG_HEADER, ogg->segment, ogg->nsegments);
    head_len = VC_OGG_HEADER + ogg->nsegments;

    crc = vc_ogg_crc(0, head, head_len);
    crc = vc_ogg_crc(crc, ogg->body, ogg->len);
    vc_put_le(head + 22, crc, 4);

    written = fwrite(head, 1, head_len, ogg->file) == head_len
              && fwrite(ogg->body, 1, ogg->len, ogg->file) == ogg->len;

    ogg->nsegments = 0;
    ogg->packets = 0;
    ogg->len = 0;

    return written;
}


/* Polynomial 0x04c11db7, not reflected; a recording is a few kB a second. */
static uint32_t
vc_ogg_crc(uint32_t crc, const uint8_t *p, size_t len)
{
    int     bit;
    size_t  i;

    for (i = 0; i < len; i++) {
        crc ^= (uint32_t) p[i] << 24;

        for (bit = 0; bit < 8; bit++) {
            crc = crc << 1 ^ (crc & 0x80000000u ? 0x04c11db7u : 0);
        }
    }

    return crc;
}
