/*
 * Copyright (C) ngx-voice contributors
 *
 * Walks a compound and decodes all that is in it; what was decoded is
 * encoded and must come back.
 */


#include "voice_rtcp.h"

#include <stdlib.h>
#include <string.h>


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
static void fuzz_sr(const voice_rtcp_t *rtcp);
static void fuzz_blocks(const voice_rtcp_t *rtcp);


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t           left;
    voice_err_t      err;
    voice_rtcp_t     rtcp;
    voice_reader_t   r;

    voice_reader_init(&r, data, size);

    for ( ;; ) {
        left = voice_reader_left(&r);
        err = voice_rtcp_next(&r, &rtcp);

        if (err != VOICE_OK) {
            break;
        }

        if (voice_reader_left(&r) > left - 4
            || rtcp.body_len > left - 4 - voice_reader_left(&r))
        {
            abort();
        }

        fuzz_sr(&rtcp);
        fuzz_blocks(&rtcp);
    }

    if ((err == VOICE_AGAIN) != (voice_reader_left(&r) == 0)) {
        abort();
    }

    return 0;
}


static void
fuzz_sr(const voice_rtcp_t *rtcp)
{
    voice_rtcp_sr_t  sr;
    uint8_t          out[VOICE_RTCP_SR_LEN];

    if (voice_rtcp_sr_decode(rtcp, &sr) != VOICE_OK) {
        return;
    }

    voice_rtcp_sr_encode(out, &sr);

    if (memcmp(out + 4, rtcp->body, VOICE_RTCP_SR_LEN - 4) != 0) {
        abort();
    }
}


static void
fuzz_blocks(const voice_rtcp_t *rtcp)
{
    size_t              info;
    unsigned            i;
    voice_err_t         err;
    voice_rtcp_block_t  block;
    uint8_t             out[VOICE_RTCP_RR_LEN];

    info = rtcp->pt == VOICE_RTCP_SR ? 24 : 4;

    for (i = 0; i < 40; i++) {
        err = voice_rtcp_block_decode(rtcp, i, &block);

        if (err != VOICE_OK) {
            continue;
        }

        if (i >= rtcp->count) {
            abort();
        }

        voice_rtcp_rr_encode(out, 1, &block);

        if (memcmp(out + VOICE_RTCP_HEADER_LEN,
                   rtcp->body + info + (size_t) i * VOICE_RTCP_BLOCK_LEN,
                   VOICE_RTCP_BLOCK_LEN)
            != 0)
        {
            abort();
        }
    }
}
