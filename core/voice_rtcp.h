/*
 * Copyright (C) ngx-voice contributors
 *
 * RTCP: compound walker (RFC 3550 section 6.1), sender and receiver reports
 * (6.4).  Works on plaintext; see voice_crypto.h for what is encrypted.
 */


#ifndef _VOICE_RTCP_H_INCLUDED_
#define _VOICE_RTCP_H_INCLUDED_


#include "voice_bytes.h"
#include "voice_err.h"


#define VOICE_RTCP_HEADER_LEN   8      /* with the sender's SSRC */
#define VOICE_RTCP_BLOCK_LEN    24
#define VOICE_RTCP_RR_LEN       (VOICE_RTCP_HEADER_LEN + VOICE_RTCP_BLOCK_LEN)

#define VOICE_RTCP_SR           200
#define VOICE_RTCP_RR           201
#define VOICE_RTCP_SDES         202
#define VOICE_RTCP_BYE          203
#define VOICE_RTCP_APP          204
#define VOICE_RTCP_RTPFB        205
#define VOICE_RTCP_PSFB         206


typedef struct {
    uint8_t         pt;
    uint8_t         count;    /* RC, SC or FMT */
    const uint8_t  *body;     /* behind the first 4 bytes: SSRC first */
    size_t          body_len; /* without padding */
} voice_rtcp_t;


typedef struct {
    uint32_t   ssrc;
    uint32_t   ntp_sec;
    uint32_t   ntp_frac;
    uint32_t   rtp_ts;
    uint32_t   packets;
    uint32_t   octets;
} voice_rtcp_sr_t;


typedef struct {
    uint32_t   ssrc;           /* of the reported source */
    uint32_t   highest_seq;    /* extended */
    uint32_t   jitter;         /* RTP timestamp units */
    uint32_t   lsr;            /* middle 32 bits of the last SR's NTP time */
    uint32_t   dlsr;           /* since that SR, 1/65536 s */
    int32_t    lost;           /* cumulative, clamped to 24 bits signed */
    uint8_t    fraction;       /* lost since the last report, 1/256 */
} voice_rtcp_block_t;


/*
 * Walks a compound: each call gives one packet.
 *
 * VOICE_AGAIN     the end was reached exactly
 * VOICE_E_SHORT   fewer than 4 bytes left
 * VOICE_E_FORMAT  version is not 2
 * VOICE_E_LENGTH  a packet's length or padding leaves the compound
 */
voice_err_t voice_rtcp_next(voice_reader_t *r, voice_rtcp_t *rtcp);

/* VOICE_E_FORMAT if not an SR, VOICE_E_LENGTH if cut */
voice_err_t voice_rtcp_sr_decode(const voice_rtcp_t *rtcp,
    voice_rtcp_sr_t *sr);

/*
 * Report block number i (from 0) of an SR or RR.
 *
 * VOICE_E_NOT_FOUND  i is not below the packet's count
 * VOICE_E_FORMAT     neither SR nor RR
 * VOICE_E_LENGTH     count promises more than is there
 */
voice_err_t voice_rtcp_block_decode(const voice_rtcp_t *rtcp, unsigned i,
    voice_rtcp_block_t *block);

/* An SR without report blocks: 28 bytes. */
#define VOICE_RTCP_SR_LEN       28
void voice_rtcp_sr_encode(uint8_t out[VOICE_RTCP_SR_LEN],
    const voice_rtcp_sr_t *sr);

/* An RR with one block. */
void voice_rtcp_rr_encode(uint8_t out[VOICE_RTCP_RR_LEN], uint32_t ssrc,
    const voice_rtcp_block_t *block);


#endif /* _VOICE_RTCP_H_INCLUDED_ */
