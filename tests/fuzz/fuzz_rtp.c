/*
 * Copyright (C) ngx-voice contributors
 *
 * Every byte that the RTP parser points at must lie in the packet: they are
 * all read here, under the address sanitizer.
 */


#include "voice_rtp.h"

#include <stdlib.h>
#include <string.h>


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
static void fuzz_body(const voice_rtp_body_t *body, const uint8_t *data,
    size_t size);


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    voice_rtp_t        rtp, again;
    voice_rtp_body_t   body;
    uint8_t            out[VOICE_RTP_HEADER_LEN];

    if (voice_rtp_parse(data, size, &rtp) != VOICE_OK) {
        return 0;
    }

    voice_rtp_write(out, &rtp);

    if (voice_rtp_parse(out, sizeof(out), &again) != VOICE_OK
        || again.ssrc != rtp.ssrc || again.timestamp != rtp.timestamp
        || again.seq != rtp.seq || again.pt != rtp.pt
        || again.marker != rtp.marker
        || again.cc != 0 || again.padding || again.extension)
    {
        abort();
    }

    if (voice_rtp_split(&rtp, data, size, &body) == VOICE_OK) {
        fuzz_body(&body, data, size);
    }

    return 0;
}


static void
fuzz_body(const voice_rtp_body_t *body, const uint8_t *data, size_t size)
{
    size_t             i, len;
    unsigned           id;
    const uint8_t     *p;
    volatile uint8_t   sum;

    sum = 0;

    for (i = 0; i < body->payload_len; i++) {
        sum = (uint8_t) (sum + body->payload[i]);
    }

    for (i = 0; i < body->ext_len; i++) {
        sum = (uint8_t) (sum + body->ext[i]);
    }

    if (body->payload + body->payload_len > data + size) {
        abort();
    }

    /* one past the four bits of an id */
    for (id = 0; id <= 16; id++) {

        if (voice_rtp_ext_find(body, (uint8_t) id, &p, &len) != VOICE_OK) {
            continue;
        }

        if (id == 0 || id > 14 || len == 0 || len > 16 || p < body->ext
            || len > (size_t) (body->ext + body->ext_len - p))
        {
            abort();
        }
    }
}
