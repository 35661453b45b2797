/*
 * Copyright (C) ngx-voice contributors
 *
 * IP discovery: a client asks how its UDP source address looks from here.
 *
 * 74 bytes: type, length 70, ssrc, 64 bytes of NUL-padded text, port, all
 * big-endian.  70 bytes (libraries before 2022): ssrc, 64 bytes of text,
 * two bytes of padding in the request or the port in the response; one old
 * client puts the SSRC into the last four bytes instead.
 */


#ifndef _VOICE_DISCOVERY_H_INCLUDED_
#define _VOICE_DISCOVERY_H_INCLUDED_


#include "voice_err.h"

#include <stddef.h>
#include <stdint.h>


#define VOICE_DISCOVERY_LEN        74
#define VOICE_DISCOVERY_OLD_LEN    70
#define VOICE_DISCOVERY_TEXT_LEN   64

#define VOICE_DISCOVERY_REQUEST    1
#define VOICE_DISCOVERY_RESPONSE   2


typedef struct {
    uint32_t   ssrc;
    uint16_t   port;                             /* host order */
    char       address[VOICE_DISCOVERY_TEXT_LEN + 1];
} voice_discovery_t;


/*
 * Reads a request of either size.
 *
 * VOICE_E_SHORT, VOICE_E_LENGTH  the size is neither 74 nor 70
 * VOICE_E_FORMAT                 not a request (type, length, SSRC 0)
 */
voice_err_t voice_discovery_request_decode(const uint8_t *pkt, size_t len,
    uint32_t *ssrc);

/* Writes a 74-byte request. */
void voice_discovery_request_encode(uint8_t out[VOICE_DISCOVERY_LEN],
    uint32_t ssrc);

/*
 * Writes a response of the request's size (74 or 70).
 *
 * VOICE_E_LENGTH  len is neither
 * VOICE_E_RANGE   the address text has more than 63 characters
 */
voice_err_t voice_discovery_response_encode(uint8_t *out, size_t len,
    const voice_discovery_t *d);

/* Reads a 74-byte response; errors as above. */
voice_err_t voice_discovery_response_decode(const uint8_t *pkt, size_t len,
    voice_discovery_t *d);


#endif /* _VOICE_DISCOVERY_H_INCLUDED_ */
