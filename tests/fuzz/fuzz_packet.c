/*
 * Copyright (C) ngx-voice contributors
 *
 * Whatever class a datagram gets, the class's own reader must not refuse it
 * for a reason that the class has ruled out.
 */


#include "voice_discovery.h"
#include "voice_packet.h"
#include "voice_rtp.h"

#include <stdlib.h>


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint32_t      ssrc;
    voice_err_t   err;
    voice_rtp_t   rtp;

    switch (voice_packet_classify(data, size)) {

    case VOICE_PACKET_RTP:
    case VOICE_PACKET_RTCP:
        err = voice_rtp_parse(data, size, &rtp);
        if (err != VOICE_OK && size >= VOICE_RTP_HEADER_LEN) {
            abort();
        }

        break;

    case VOICE_PACKET_DISCOVERY:
    case VOICE_PACKET_DISCOVERY_OLD:
        err = voice_discovery_request_decode(data, size, &ssrc);
        if (err == VOICE_E_SHORT || err == VOICE_E_LENGTH
            || (err == VOICE_OK && ssrc == 0))
        {
            abort();
        }

        break;

    case VOICE_PACKET_PING:
    case VOICE_PACKET_KEEPALIVE:
        if (size != VOICE_KEEPALIVE_LEN) {
            abort();
        }

        break;

    case VOICE_PACKET_STUN:
        if (size < 20) {
            abort();
        }

        break;

    default:
        break;
    }

    return 0;
}
