/*
 * Copyright (C) ngx-voice contributors
 *
 * Writes Opus packets as they are into an Ogg stream (RFC 3533, RFC 7845).
 */


#ifndef _VC_OGG_H_INCLUDED_
#define _VC_OGG_H_INCLUDED_


#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>


#define VC_OGG_PACKET_MAX   2048
#define VC_OGG_SEGMENTS     255


typedef struct {
    FILE       *file;
    uint32_t    serial;
    uint32_t    page;                     /* number of the next one */
    uint64_t    granule;                  /* of the last whole packet */
    uint8_t     segment[VC_OGG_SEGMENTS];
    unsigned    nsegments;
    unsigned    packets;                  /* in this page */
    uint8_t     body[VC_OGG_SEGMENTS * 255];
    size_t      len;
} vc_ogg_t;


/* Writes the two header packets. */
bool vc_ogg_start(vc_ogg_t *ogg, FILE *file, uint32_t serial,
    unsigned channels);

/* granule: samples at 48 kHz up to the end of this packet */
bool vc_ogg_write(vc_ogg_t *ogg, const uint8_t *packet, size_t len,
    uint64_t granule);

/* Writes the last page. */
bool vc_ogg_finish(vc_ogg_t *ogg);


#endif /* _VC_OGG_H_INCLUDED_ */
