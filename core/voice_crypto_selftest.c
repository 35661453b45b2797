/*
 * Copyright (C) ngx-voice contributors
 *
 * Compares a kernel with the portable one, at the start of each process: a
 * kernel that is wrong on this CPU, or was compiled wrongly, must be found
 * before it seals a packet.
 */


#include "voice_crypto_kernel.h"

#include <sodium.h>
#include <stdio.h>
#include <string.h>


#define VOICE_SELFTEST_LEN    400
#define VOICE_SELFTEST_AAD    28
#define VOICE_SELFTEST_LANES  20


/* One side of the comparison. */
typedef struct {
    voice_lane_t   lane[VOICE_SELFTEST_LANES];
    uint8_t        out[VOICE_SELFTEST_LANES][VOICE_SELFTEST_LEN];
    uint8_t        tag[VOICE_SELFTEST_LANES][VOICE_TAG_LEN];
} voice_selftest_side_t;


typedef struct {
    const voice_kernel_t   *kernel;
    voice_crypto_key_t      key[VOICE_SELFTEST_LANES];
    uint8_t                 text[VOICE_SELFTEST_LANES][VOICE_SELFTEST_LEN];
    uint8_t                 aad[VOICE_SELFTEST_LANES][VOICE_SELFTEST_AAD];
    voice_selftest_side_t   expected;
    voice_selftest_side_t   got;
} voice_selftest_t;


/*
 * Around the borders of blocks (16, 64; the first 32 bytes and 48 bytes of a
 * stream are special), of the 16 hash powers, and of 4, 8 and 16 lanes.
 */
static const struct {
    uint16_t   len;
    uint8_t    n;
    uint8_t    aad_len;
} voice_selftest_cases[] = {
    { 0, 16, 12 },    { 1, 9, 12 },     { 3, 1, 12 },     { 15, 8, 16 },
    { 16, 16, 12 },   { 17, 7, 0 },     { 31, 20, 12 },   { 32, 16, 28 },
    { 33, 17, 12 },   { 48, 4, 16 },    { 49, 16, 12 },   { 63, 5, 12 },
    { 64, 16, 17 },   { 80, 2, 12 },    { 96, 13, 12 },   { 100, 16, 16 },
    { 112, 6, 12 },   { 113, 20, 12 },  { 160, 11, 12 },  { 223, 16, 12 },
    { 224, 3, 28 },   { 225, 16, 12 },  { 240, 12, 12 },  { 256, 16, 12 },
    { 351, 10, 12 },  { 360, 18, 16 }
};

#define VOICE_SELFTEST_CASES                                                  \
    (sizeof(voice_selftest_cases) / sizeof(voice_selftest_cases[0]))


static const char *const  voice_selftest_hows[VOICE_LANES_HOW_COUNT] = {
    [VOICE_LANES_SEAL_SAME] = "sealing one packet for",
    [VOICE_LANES_SEAL] = "sealing packets for",
    [VOICE_LANES_OPEN] = "opening packets of",
};


/* No secret, and the same in each process. */
static void
voice_selftest_fill(uint8_t *p, size_t len, uint32_t seed)
{
    size_t  i;

    for (i = 0; i < len; i++) {
        seed = seed * 1103515245 + 12345;
        p[i] = (uint8_t) (seed >> 16);
    }
}


static void
voice_selftest_init(voice_selftest_t *t, voice_cipher_t cipher)
{
    size_t   i;
    uint8_t  salt[VOICE_SALT_LEN];
    uint8_t  secret[VOICE_KEY_LEN];

    for (i = 0; i < VOICE_SELFTEST_LANES; i++) {
        voice_selftest_fill(secret, VOICE_KEY_LEN, (uint32_t) (i + 1));
        voice_selftest_fill(t->text[i], VOICE_SELFTEST_LEN,
                            (uint32_t) (i + 101));
        voice_selftest_fill(t->aad[i], VOICE_SELFTEST_AAD,
                            (uint32_t) (i + 201));

        voice_crypto_key_init(&t->key[i],
                              cipher == VOICE_CIPHER_AES256_GCM
                              ? VOICE_MODE_AEAD_AES256_GCM
                              : VOICE_MODE_XSALSA20_POLY1305_SUFFIX,
                              secret);

        voice_selftest_fill(salt, VOICE_SALT_LEN, (uint32_t) (i + 301));
        voice_crypto_salt(&t->key[i], salt);
    }
}


static void
voice_selftest_lanes(const voice_selftest_t *t, voice_selftest_side_t *side,
    voice_cipher_t cipher, size_t test, voice_lanes_how_t how)
{
    size_t         i, nonce_len;
    voice_lane_t  *l;

    memset(side->out, 0, sizeof(side->out));

    for (i = 0; i < voice_selftest_cases[test].n; i++) {
        l = &side->lane[i];

        l->key = &t->key[i];
        l->in = t->text[i];
        l->aad = t->aad[i];
        l->out = side->out[i];
        l->tag = side->tag[i];
        l->len = voice_selftest_cases[test].len;
        l->aad_len = voice_selftest_cases[test].aad_len;
        l->err = VOICE_E_STATE;

        if (how != VOICE_LANES_SEAL_SAME) {
            l->len += (uint32_t) (7 * i % 40);
        }

        nonce_len = sizeof(l->nonce);
        memset(l->nonce, 0, sizeof(l->nonce));
        voice_selftest_fill(l->nonce, nonce_len, (uint32_t) (test + 32 * i));

        if (cipher == VOICE_CIPHER_XSALSA20_POLY1305_SALT) {
            memcpy(l->nonce, l->key->salt, VOICE_SALT_LEN);
        }
    }
}


static voice_err_t
voice_selftest_compare(const voice_selftest_t *t, size_t n)
{
    size_t               i;
    const voice_lane_t  *a, *b;

    for (i = 0; i < n; i++) {
        a = &t->expected.lane[i];
        b = &t->got.lane[i];

        /* what is behind the end counts too */

        if (a->err != b->err
            || memcmp(t->expected.tag[i], t->got.tag[i], VOICE_TAG_LEN) != 0)
        {
            return VOICE_E_STATE;
        }

        if (a->err == VOICE_OK
            && memcmp(t->expected.out[i], t->got.out[i], VOICE_SELFTEST_LEN)
               != 0)
        {
            return VOICE_E_STATE;
        }
    }

    return VOICE_OK;
}


static voice_err_t
voice_selftest_case(voice_selftest_t *t, voice_cipher_t cipher, size_t test,
    voice_lanes_how_t how)
{
    size_t           i, n;
    voice_lanes_pt   lanes;
    uint8_t          sealed[VOICE_SELFTEST_LANES][VOICE_SELFTEST_LEN];
    const voice_kernel_t  *portable;

    n = voice_selftest_cases[test].n;
    lanes = t->kernel->lanes[cipher];
    portable = &voice_kernels_built_in()[VOICE_KERNEL_PORTABLE];

    voice_selftest_lanes(t, &t->expected, cipher, test, how);
    voice_selftest_lanes(t, &t->got, cipher, test, how);

    if (how != VOICE_LANES_OPEN) {
        portable->lanes[cipher](t->expected.lane, n, how);
        lanes(t->got.lane, n, how);

        return voice_selftest_compare(t, n);
    }

    portable->lanes[cipher](t->expected.lane, n, VOICE_LANES_SEAL);

    /* one of them is forged */

    t->expected.tag[test % n][test % VOICE_TAG_LEN] ^= 0x40;

    memcpy(sealed, t->expected.out, sizeof(sealed));
    memcpy(t->got.tag, t->expected.tag, sizeof(t->got.tag));
    memset(t->expected.out, 0, sizeof(t->expected.out));

    for (i = 0; i < n; i++) {
        t->expected.lane[i].in = sealed[i];
        t->got.lane[i].in = sealed[i];
    }

    portable->lanes[cipher](t->expected.lane, n, how);
    lanes(t->got.lane, n, how);

    return voice_selftest_compare(t, n);
}


voice_err_t
voice_kernel_selftest(const voice_kernel_t *kernel,
    char why[VOICE_KERNEL_WHY_MAX])
{
    int               cipher, how;
    size_t            i;
    voice_err_t       err;
    voice_selftest_t  t;

    t.kernel = kernel;
    err = VOICE_OK;

    for (cipher = 0; cipher < VOICE_CIPHER_COUNT; cipher++) {
        voice_selftest_init(&t, (voice_cipher_t) cipher);

        for (i = 0; i < VOICE_SELFTEST_CASES * VOICE_LANES_HOW_COUNT; i++) {
            how = (int) (i % VOICE_LANES_HOW_COUNT);

            err = voice_selftest_case(&t, (voice_cipher_t) cipher,
                                      i / VOICE_LANES_HOW_COUNT,
                                      (voice_lanes_how_t) how);
            if (err != VOICE_OK) {
                break;
            }
        }

        if (err != VOICE_OK) {
            (void) snprintf(why, VOICE_KERNEL_WHY_MAX,
                     "self-test: %s, %s %u receivers, %u bytes: not what the "
                     "portable code gives",
                     voice_cipher_name((voice_cipher_t) cipher),
                     voice_selftest_hows[how],
                     voice_selftest_cases[i / VOICE_LANES_HOW_COUNT].n,
                     voice_selftest_cases[i / VOICE_LANES_HOW_COUNT].len);
            break;
        }
    }

    return err;
}
