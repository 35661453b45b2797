/*
 * Copyright (C) ngx-voice contributors
 *
 * Requests and responses of IP discovery, in both directions.
 */


#include "voice_discovery.h"

#include <stdlib.h>
#include <string.h>


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint32_t            ssrc, again;
    voice_err_t         err;
    voice_discovery_t   d, e;
    uint8_t             out[VOICE_DISCOVERY_LEN];

    if (voice_discovery_request_decode(data, size, &ssrc) == VOICE_OK) {

        voice_discovery_request_encode(out, ssrc);

        if (voice_discovery_request_decode(out, sizeof(out), &again)
            != VOICE_OK || again != ssrc || ssrc == 0)
        {
            abort();
        }
    }

    if (voice_discovery_response_decode(data, size, &d) != VOICE_OK) {
        return 0;
    }

    err = voice_discovery_response_encode(out, sizeof(out), &d);

    /* a text without its end is read, but never written */
    if (strlen(d.address) == VOICE_DISCOVERY_TEXT_LEN) {
        if (err != VOICE_E_RANGE) {
            abort();
        }

        return 0;
    }

    if (err != VOICE_OK
        || voice_discovery_response_decode(out, sizeof(out), &e) != VOICE_OK
        || d.ssrc != e.ssrc || d.port != e.port
        || strcmp(d.address, e.address) != 0)
    {
        abort();
    }

    return 0;
}
