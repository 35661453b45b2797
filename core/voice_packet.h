/*
 * Copyright (C) ngx-voice contributors
 *
 * What a datagram on the voice port is, told from its length and first
 * bytes alone (RFC 7983, extended by the native clients' formats).
 */


#ifndef _VOICE_PACKET_H_INCLUDED_
#define _VOICE_PACKET_H_INCLUDED_


#include <stddef.h>
#include <stdint.h>


#define VOICE_DATAGRAM_MAX     1500        /* larger ones are dropped */

#define VOICE_PING_REQUEST     0x1337CAFEu /* native UDP ping: magic, u32 */
#define VOICE_PING_RESPONSE    0x1337F00Du
#define VOICE_KEEPALIVE_LEN    8


typedef enum {
    VOICE_PACKET_RTP = 0,
    VOICE_PACKET_RTCP,
    VOICE_PACKET_DISCOVERY,      /* 74 bytes */
    VOICE_PACKET_DISCOVERY_OLD,  /* 70 bytes */
    VOICE_PACKET_PING,           /* 8 bytes, VOICE_PING_REQUEST */
    VOICE_PACKET_KEEPALIVE,      /* 8 bytes, counter */
    VOICE_PACKET_STUN,
    VOICE_PACKET_DTLS,
    VOICE_PACKET_OTHER           /* NAT keep-alives and junk: ignored */
} voice_packet_t;


voice_packet_t voice_packet_classify(const uint8_t *pkt, size_t len);


#endif /* _VOICE_PACKET_H_INCLUDED_ */
