/*
 * Copyright (C) ngx-voice contributors
 *
 * Compares the kernels: what one of them seals or opens, all of them do.
 *
 * Input: mode, how, number of lanes, seed of keys; then the text.  Lanes that
 * share nothing take texts of different lengths out of it.
 */


#include "voice_crypto.h"
#include "voice_crypto_kernel.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>


#define FUZZ_LANES   40
#define FUZZ_LEN     1400
#define FUZZ_HEAD    4
#define FUZZ_AAD     12


typedef struct {
    voice_lane_t   lane[FUZZ_LANES];
    uint8_t        out[FUZZ_LANES][FUZZ_LEN];
    uint8_t        tag[FUZZ_LANES][VOICE_TAG_LEN];
} fuzz_side_t;


int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);


static voice_crypto_key_t  fuzz_keys[2][FUZZ_LANES];
static fuzz_side_t         fuzz_expected, fuzz_got;
static const uint8_t       fuzz_empty[FUZZ_AAD];


int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
    unsigned  i, k;
    uint8_t   secret[VOICE_KEY_LEN];

    (void) argc;
    (void) argv;

    if (voice_crypto_init() != VOICE_OK) {
        abort();
    }

    for (i = 0; i < FUZZ_LANES; i++) {
        for (k = 0; k < VOICE_KEY_LEN; k++) {
            secret[k] = (uint8_t) (31 * i + 7 * k);
        }

        voice_crypto_key_init(&fuzz_keys[0][i],
                              VOICE_MODE_AEAD_AES256_GCM, secret);
        voice_crypto_key_init(&fuzz_keys[1][i],
                              VOICE_MODE_XSALSA20_POLY1305, secret);
        voice_crypto_salt(&fuzz_keys[1][i], secret);
    }

    return 0;
}


static void
fuzz_lanes(fuzz_side_t *side, voice_cipher_t cipher, voice_lanes_how_t how,
    size_t n, const uint8_t *data, size_t size)
{
    size_t         i, k;
    voice_lane_t  *l;

    for (i = 0; i < n; i++) {
        l = &side->lane[i];
        memset(l, 0, sizeof(voice_lane_t));
        memset(side->out[i], 0, FUZZ_LEN);

        l->key = &fuzz_keys[cipher != VOICE_CIPHER_AES256_GCM][i];
        l->in = data;
        l->len = (uint32_t) (how == VOICE_LANES_SEAL_SAME ? size
                             : size - size * i / n);
        l->aad = size >= FUZZ_AAD ? data : fuzz_empty;
        l->aad_len = FUZZ_AAD;
        l->out = side->out[i];
        l->tag = side->tag[i];
        l->err = VOICE_E_STATE;

        for (k = 0; k < (cipher == VOICE_CIPHER_AES256_GCM ? 12 : 24); k++) {
            l->nonce[k] = (uint8_t) (size + 13 * i + k);
        }

        if (cipher == VOICE_CIPHER_XSALSA20_POLY1305_SALT) {
            memcpy(l->nonce, l->key->salt, VOICE_SALT_LEN);
        }
    }
}


static void
fuzz_compare(size_t n)
{
    size_t  i;

    for (i = 0; i < n; i++) {
        if (fuzz_expected.lane[i].err != fuzz_got.lane[i].err
            || memcmp(fuzz_expected.tag[i], fuzz_got.tag[i], VOICE_TAG_LEN)
               != 0)
        {
            abort();
        }

        if (fuzz_got.lane[i].err == VOICE_OK
            && memcmp(fuzz_expected.out[i], fuzz_got.out[i], FUZZ_LEN) != 0)
        {
            abort();
        }
    }
}


/* What the portable kernel sealed, and what is not its own tag, is opened. */
static void
fuzz_forge(size_t n, uint8_t seed)
{
    size_t          i;
    static uint8_t  sealed[FUZZ_LANES][FUZZ_LEN];

    memcpy(sealed, fuzz_expected.out, sizeof(sealed));

    if (seed & 1) {
        fuzz_expected.tag[seed % n][seed % VOICE_TAG_LEN] ^= seed;
    }

    memcpy(fuzz_got.tag, fuzz_expected.tag, sizeof(fuzz_got.tag));
    memset(fuzz_expected.out, 0, sizeof(fuzz_expected.out));
    memset(fuzz_got.out, 0, sizeof(fuzz_got.out));

    for (i = 0; i < n; i++) {
        fuzz_expected.lane[i].in = sealed[i];
        fuzz_got.lane[i].in = sealed[i];
    }
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int                     k;
    size_t                  n;
    uint8_t                 seed;
    voice_cipher_t          cipher;
    voice_kernels_t        *ks;
    voice_lanes_how_t       how;

    if (size < FUZZ_HEAD || size > FUZZ_HEAD + FUZZ_LEN) {
        return 0;
    }

    cipher = (voice_cipher_t) (data[0] % VOICE_CIPHER_COUNT);
    how = (voice_lanes_how_t) (data[1] % VOICE_LANES_HOW_COUNT);
    n = 1 + data[2] % FUZZ_LANES;
    seed = data[3];
    data += FUZZ_HEAD;
    size -= FUZZ_HEAD;

    ks = voice_kernels();

    for (k = VOICE_KERNEL_PORTABLE + 1; k < VOICE_KERNEL_COUNT; k++) {
        if (ks->err[k] != VOICE_OK) {
            continue;
        }

        fuzz_lanes(&fuzz_expected, cipher, how, n, data, size);
        fuzz_lanes(&fuzz_got, cipher, how, n, data, size);

        if (how == VOICE_LANES_OPEN) {
            ks->kernel[VOICE_KERNEL_PORTABLE].lanes[cipher](
                fuzz_expected.lane, n, VOICE_LANES_SEAL);
            fuzz_forge(n, seed);
        }

        ks->kernel[VOICE_KERNEL_PORTABLE].lanes[cipher](fuzz_expected.lane,
                                                        n, how);
        ks->kernel[k].lanes[cipher](fuzz_got.lane, n, how);

        fuzz_compare(n);
    }

    return 0;
}
