/*
 * Copyright (C) ngx-voice contributors
 */


#include "voice_discovery.h"
#include "voice_bytes.h"

#include <string.h>


#define VOICE_DISCOVERY_BODY_LEN     (VOICE_DISCOVERY_LEN - 4)

/* offsets in the 74-byte form */
#define VOICE_DISCOVERY_SSRC         4
#define VOICE_DISCOVERY_TEXT         8
#define VOICE_DISCOVERY_PORT         72

/* offsets in the 70-byte form */
#define VOICE_DISCOVERY_OLD_TEXT     4
#define VOICE_DISCOVERY_OLD_TAIL     66    /* the SSRC of one old client */
#define VOICE_DISCOVERY_OLD_PORT     68


static voice_err_t voice_discovery_old_decode(const uint8_t *pkt,
    uint32_t *ssrc);


voice_err_t
voice_discovery_request_decode(const uint8_t *pkt, size_t len, uint32_t *ssrc)
{
    uint32_t  id;

    if (len < VOICE_DISCOVERY_OLD_LEN) {
        return VOICE_E_SHORT;
    }

    if (len == VOICE_DISCOVERY_OLD_LEN) {
        return voice_discovery_old_decode(pkt, ssrc);
    }

    if (len != VOICE_DISCOVERY_LEN) {
        return VOICE_E_LENGTH;
    }

    id = voice_get_u32(pkt + VOICE_DISCOVERY_SSRC);

    if (voice_get_u16(pkt) != VOICE_DISCOVERY_REQUEST
        || voice_get_u16(pkt + 2) != VOICE_DISCOVERY_BODY_LEN
        || id == 0)
    {
        return VOICE_E_FORMAT;
    }

    *ssrc = id;

    return VOICE_OK;
}


/*
 * The old form has no magic of its own: what tells it from a packet of 70
 * bytes is that everything but the SSRC is zero.
 */
static voice_err_t
voice_discovery_old_decode(const uint8_t *pkt, uint32_t *ssrc)
{
    size_t    i;
    uint32_t  head, tail;

    for (i = VOICE_DISCOVERY_OLD_TEXT; i < VOICE_DISCOVERY_OLD_TAIL; i++) {
        if (pkt[i] != 0) {
            return VOICE_E_FORMAT;
        }
    }

    head = voice_get_u32(pkt);
    tail = voice_get_u32(pkt + VOICE_DISCOVERY_OLD_TAIL);

    if ((head == 0) == (tail == 0)) {
        return VOICE_E_FORMAT;
    }

    *ssrc = head != 0 ? head : tail;

    return VOICE_OK;
}


void
voice_discovery_request_encode(uint8_t out[VOICE_DISCOVERY_LEN], uint32_t ssrc)
{
    memset(out, 0, VOICE_DISCOVERY_LEN);

    voice_put_u16(out, VOICE_DISCOVERY_REQUEST);
    voice_put_u16(out + 2, VOICE_DISCOVERY_BODY_LEN);
    voice_put_u32(out + VOICE_DISCOVERY_SSRC, ssrc);
}


voice_err_t
voice_discovery_response_encode(uint8_t *out, size_t len,
    const voice_discovery_t *d)
{
    size_t  n;

    if (len != VOICE_DISCOVERY_LEN && len != VOICE_DISCOVERY_OLD_LEN) {
        return VOICE_E_LENGTH;
    }

    n = strnlen(d->address, sizeof(d->address));
    if (n >= VOICE_DISCOVERY_TEXT_LEN) {
        return VOICE_E_RANGE;
    }

    memset(out, 0, len);

    if (len == VOICE_DISCOVERY_OLD_LEN) {
        voice_put_u32(out, d->ssrc);
        memcpy(out + VOICE_DISCOVERY_OLD_TEXT, d->address, n);
        voice_put_u16(out + VOICE_DISCOVERY_OLD_PORT, d->port);
        return VOICE_OK;
    }

    voice_put_u16(out, VOICE_DISCOVERY_RESPONSE);
    voice_put_u16(out + 2, VOICE_DISCOVERY_BODY_LEN);
    voice_put_u32(out + VOICE_DISCOVERY_SSRC, d->ssrc);
    memcpy(out + VOICE_DISCOVERY_TEXT, d->address, n);
    voice_put_u16(out + VOICE_DISCOVERY_PORT, d->port);

    return VOICE_OK;
}


voice_err_t
voice_discovery_response_decode(const uint8_t *pkt, size_t len,
    voice_discovery_t *d)
{
    uint32_t  ssrc;

    if (len < VOICE_DISCOVERY_LEN) {
        return VOICE_E_SHORT;
    }

    if (len > VOICE_DISCOVERY_LEN) {
        return VOICE_E_LENGTH;
    }

    ssrc = voice_get_u32(pkt + VOICE_DISCOVERY_SSRC);

    if (voice_get_u16(pkt) != VOICE_DISCOVERY_RESPONSE
        || voice_get_u16(pkt + 2) != VOICE_DISCOVERY_BODY_LEN
        || ssrc == 0)
    {
        return VOICE_E_FORMAT;
    }

    d->ssrc = ssrc;
    d->port = voice_get_u16(pkt + VOICE_DISCOVERY_PORT);

    memcpy(d->address, pkt + VOICE_DISCOVERY_TEXT, VOICE_DISCOVERY_TEXT_LEN);
    d->address[VOICE_DISCOVERY_TEXT_LEN] = '\0';

    return VOICE_OK;
}
