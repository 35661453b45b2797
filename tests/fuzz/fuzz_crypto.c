/*
 * Copyright (C) ngx-voice contributors
 *
 * The first byte picks mode, RTP or RTCP and the implementation of AES; the
 * rest is a datagram.  It is opened as it is, which it survives unchanged
 * unless its tag is right, then taken for a plain packet, sealed and opened.
 */


#include "voice_crypto.h"
#include "voice_crypto_aes.h"
#include "voice_crypto_kernel.h"
#include "voice_packet.h"
#include "voice_rtcp.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>


#define FUZZ_MODE     0x07
#define FUZZ_RTCP     0x08
#define FUZZ_OPENSSL  0x10


int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
static voice_err_t fuzz_open_one(const voice_crypto_key_t *key, bool rtcp,
    uint8_t *pkt, size_t len, size_t *plain_len);
static void fuzz_open(const voice_crypto_key_t *key, bool rtcp,
    const uint8_t *data, size_t size);
static void fuzz_seal(const voice_crypto_key_t *key, bool rtcp,
    const uint8_t *data, size_t size);
static bool fuzz_clear_len(voice_mode_t mode, bool rtcp, const uint8_t *data,
    size_t size, size_t *clear);


static voice_crypto_key_t  fuzz_keys[VOICE_MODE_COUNT];


int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
    unsigned  i;
    uint8_t   secret[VOICE_KEY_LEN];

    (void) argc;
    (void) argv;

    if (voice_crypto_init() != VOICE_OK) {
        abort();
    }

    for (i = 0; i < VOICE_KEY_LEN; i++) {
        secret[i] = (uint8_t) i;
    }

    for (i = 0; i < VOICE_MODE_COUNT; i++) {
        voice_crypto_key_init(&fuzz_keys[i], (voice_mode_t) i, secret);

        /* a run with the same input must be the same run */
        voice_crypto_salt(&fuzz_keys[i], secret);
    }

    return 0;
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    bool                       rtcp;
    const voice_crypto_key_t  *key;

    if (size == 0) {
        return 0;
    }

    key = &fuzz_keys[(data[0] & FUZZ_MODE) % VOICE_MODE_COUNT];
    rtcp = (data[0] & FUZZ_RTCP) != 0;

    if ((data[0] & FUZZ_OPENSSL) || voice_aes_use(VOICE_AES_SODIUM)
                                    != VOICE_OK)
    {
        (void) voice_aes_use(VOICE_AES_OPENSSL);
    }

    fuzz_open(key, rtcp, data + 1, size - 1);
    fuzz_seal(key, rtcp, data + 1, size - 1);

    return 0;
}


static voice_err_t
fuzz_open_one(const voice_crypto_key_t *key, bool rtcp, uint8_t *pkt,
    size_t len, size_t *plain_len)
{
    return rtcp ? voice_crypto_open_rtcp(key, pkt, len, plain_len)
                : voice_crypto_open_rtp(key, pkt, len, plain_len);
}


static void
fuzz_open(const voice_crypto_key_t *key, bool rtcp, const uint8_t *data,
    size_t size)
{
    size_t         n;
    uint8_t       *pkt;
    voice_err_t    err;

    pkt = malloc(size != 0 ? size : 1);
    if (pkt == NULL) {
        abort();
    }

    memcpy(pkt, data, size);
    err = fuzz_open_one(key, rtcp, pkt, size, &n);

    if (err == VOICE_OK ? n + VOICE_TAG_LEN > size
                        : memcmp(pkt, data, size) != 0)
    {
        abort();
    }

    free(pkt);
}


static void
fuzz_seal(const voice_crypto_key_t *key, bool rtcp, const uint8_t *data,
    size_t size)
{
    size_t              clear, n;
    voice_crypto_to_t   to;
    uint8_t             out[VOICE_DATAGRAM_MAX + VOICE_SEAL_OVERHEAD];

    if (!fuzz_clear_len(key->mode, rtcp, data, size, &clear)) {
        return;
    }

    to.key = key;
    to.out = out;
    voice_nonce_server(data[0], to.nonce);

    if (rtcp) {
        voice_crypto_seal_rtcp(data, size, &to);

    } else {
        voice_crypto_seal_rtp(key->mode, data, clear, data + clear,
                              size - clear, &to, 1);
    }

    if (to.out_len < size + VOICE_TAG_LEN
        || to.out_len > size + VOICE_SEAL_OVERHEAD)
    {
        abort();
    }

    if (fuzz_open_one(key, rtcp, out, to.out_len, &n) != VOICE_OK
        || n != size || memcmp(out, data, size) != 0)
    {
        abort();
    }
}


/* The caller of a seal knows its header; here it must be worked out. */
static bool
fuzz_clear_len(voice_mode_t mode, bool rtcp, const uint8_t *data, size_t size,
    size_t *clear)
{
    voice_rtp_t  rtp;

    if (size < VOICE_RTCP_HEADER_LEN || data[0] >> 6 != 2
        || size > VOICE_DATAGRAM_MAX - VOICE_SEAL_OVERHEAD)
    {
        return false;
    }

    *clear = VOICE_RTCP_HEADER_LEN;

    if (rtcp) {
        return true;
    }

    if (voice_rtp_parse(data, size, &rtp) != VOICE_OK) {
        return false;
    }

    *clear = VOICE_RTP_HEADER_LEN;

    if (strstr(voice_mode_name(mode), "_rtpsize") != NULL) {
        *clear += 4 * (size_t) rtp.cc + (rtp.extension ? 4 : 0);
    }

    return *clear <= size;
}
