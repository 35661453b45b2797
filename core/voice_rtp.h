/*
 * Copyright (C) ngx-voice contributors
 *
 * RTP header, RFC 3550 section 5.1, and header extensions, RFC 8285.
 */


#ifndef _VOICE_RTP_H_INCLUDED_
#define _VOICE_RTP_H_INCLUDED_


#include "voice_err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>


#define VOICE_RTP_HEADER_LEN      12
#define VOICE_RTP_PT_OPUS         120     /* native clients, fixed */
#define VOICE_RTP_OPUS_TICKS      960     /* 20 ms at 48 kHz */

#define VOICE_RTP_EXT_LEVEL       1       /* RFC 6464 audio level */

/* a sender ends a talk spurt with five of them, then sends nothing */
#define VOICE_OPUS_SILENCE        "\xF8\xFF\xFE"
#define VOICE_OPUS_SILENCE_LEN    3
#define VOICE_OPUS_SILENCE_COUNT  5


typedef struct {
    uint32_t   ssrc;
    uint32_t   timestamp;
    uint16_t   seq;
    uint8_t    pt;
    uint8_t    cc;           /* number of CSRCs */
    bool       marker;
    bool       padding;
    bool       extension;
} voice_rtp_t;


/*
 * Parts of a packet whose whole content is in the clear.  The pointers lead
 * into the parsed buffer.
 */
typedef struct {
    const uint8_t  *ext;          /* extension body, NULL if there is none */
    size_t          ext_len;
    uint16_t        ext_profile;  /* 0xBEDE: one-byte elements */
    const uint8_t  *payload;
    size_t          payload_len;  /* without padding */
} voice_rtp_body_t;


/*
 * Reads the fixed header, the only part that every mode leaves in the clear.
 *
 * VOICE_E_SHORT   fewer than 12 bytes
 * VOICE_E_FORMAT  version is not 2
 */
voice_err_t voice_rtp_parse(const uint8_t *pkt, size_t len, voice_rtp_t *rtp);

/*
 * Splits the plaintext behind the fixed header: CSRCs, extension, payload,
 * padding, all of which must be in pkt.
 *
 * VOICE_E_LENGTH  one of them doesn't fit
 */
voice_err_t voice_rtp_split(const voice_rtp_t *rtp, const uint8_t *pkt,
    size_t len, voice_rtp_body_t *body);

/*
 * Finds a one-byte header extension element (RFC 8285 section 4.2).
 *
 * VOICE_E_NOT_FOUND  no such element, or the profile is another
 * VOICE_E_LENGTH     an element leaves the body
 */
voice_err_t voice_rtp_ext_find(const voice_rtp_body_t *body, uint8_t id,
    const uint8_t **data, size_t *len);

/* Writes a 12-byte header: V=2, no padding, extension or CSRCs. */
void voice_rtp_write(uint8_t out[VOICE_RTP_HEADER_LEN], const voice_rtp_t *rtp);


#endif /* _VOICE_RTP_H_INCLUDED_ */
