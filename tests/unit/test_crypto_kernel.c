/*
 * Copyright (C) ngx-voice contributors
 *
 * Each kernel gives, to the bit, what libsodium and OpenSSL give; and which
 * kernels there are for a CPU.
 *
 * Every length and every number of receivers is tried with each mode and
 * kernel, but not all pairs of them, which take minutes: those with
 * VOICE_TEST_ALL=1 in the environment.
 */


#include "test_util.h"

#include "voice_crypto.h"
#include "voice_crypto_kernel.h"
#include "voice_packet.h"

#include <openssl/evp.h>
#include <sodium.h>
#include <stdbool.h>
#include <stdlib.h>


#define LEN_MAX    1400
#define LANES      40
#define HDR        VOICE_RTP_HEADER_LEN
#define ROW        (HDR + LEN_MAX + VOICE_SEAL_OVERHEAD)
#define AFTER      16          /* bytes that nobody may touch */


typedef struct {
    voice_crypto_key_t   key[LANES];
    uint8_t              nonce[LANES][VOICE_NONCE4_LEN];
    uint8_t              hdr[HDR];
    uint8_t              plain[LEN_MAX];
    uint8_t              expected[LANES][ROW];
    size_t               expected_len;
    uint8_t              out[LANES][ROW + AFTER];
    EVP_CIPHER_CTX      *ctx;
} desk_t;


static void
fill(uint8_t *p, size_t len, uint32_t seed)
{
    size_t  i;

    for (i = 0; i < len; i++) {
        seed = seed * 1664525 + 1013904223;
        p[i] = (uint8_t) (seed >> 24);
    }
}


static desk_t *
desk_create(voice_mode_t mode)
{
    size_t    i;
    desk_t  *b;
    uint8_t   secret[VOICE_KEY_LEN];

    b = calloc(1, sizeof(desk_t));
    assert_non_null(b);

    b->ctx = EVP_CIPHER_CTX_new();
    assert_non_null(b->ctx);

    fill(b->plain, sizeof(b->plain), 3);
    fill(b->hdr, sizeof(b->hdr), 5);
    b->hdr[0] = 0x80;
    b->hdr[1] = 0x78;

    for (i = 0; i < LANES; i++) {
        fill(secret, sizeof(secret), (uint32_t) (100 * mode + i));
        voice_crypto_key_init(&b->key[i], mode, secret);
        voice_nonce_server((uint32_t) (77 * i + mode), b->nonce[i]);
    }

    return b;
}


static void
desk_free(desk_t *b)
{
    EVP_CIPHER_CTX_free(b->ctx);
    free(b);
}


static void
gcm_reference(desk_t *b, const voice_crypto_key_t *key,
    const uint8_t *nonce, size_t len, uint8_t *out)
{
    int  n;

    assert_int_equal(EVP_EncryptInit_ex(b->ctx, EVP_aes_256_gcm(), NULL,
                                        key->secret, nonce), 1);
    assert_int_equal(EVP_EncryptUpdate(b->ctx, NULL, &n, b->hdr, HDR), 1);
    assert_int_equal(EVP_EncryptUpdate(b->ctx, out, &n, b->plain, (int) len),
                     1);
    assert_int_equal(EVP_EncryptFinal_ex(b->ctx, out + len, &n), 1);
    assert_int_equal(EVP_CIPHER_CTX_ctrl(b->ctx, EVP_CTRL_GCM_GET_TAG,
                                         VOICE_TAG_LEN, out + len), 1);
}


/* media.md section 5: by the libraries themselves. */
static size_t
reference(desk_t *b, size_t lane, size_t len, uint8_t *out)
{
    size_t                     trailer;
    uint8_t                   *p;
    uint8_t                    nonce[VOICE_NONCE24_LEN];
    const voice_crypto_key_t  *key;

    key = &b->key[lane];
    p = out + HDR;
    trailer = VOICE_NONCE4_LEN;

    memcpy(out, b->hdr, HDR);
    memset(nonce, 0, sizeof(nonce));
    memcpy(nonce, b->nonce[lane], VOICE_NONCE4_LEN);

    switch (key->mode) {

    case VOICE_MODE_AEAD_AES256_GCM:
    case VOICE_MODE_AEAD_AES256_GCM_RTPSIZE:
        gcm_reference(b, key, nonce, len, p);
        break;

    case VOICE_MODE_AEAD_XCHACHA20_POLY1305_RTPSIZE:
        crypto_aead_xchacha20poly1305_ietf_encrypt(p, NULL, b->plain, len,
                                                   b->hdr, HDR, NULL, nonce,
                                                   key->secret);
        break;

    case VOICE_MODE_XSALSA20_POLY1305:
        memcpy(nonce, b->hdr, HDR);
        crypto_secretbox_easy(p, b->plain, len, nonce, key->secret);
        trailer = 0;
        break;

    case VOICE_MODE_XSALSA20_POLY1305_SUFFIX:
        memcpy(nonce, key->salt, VOICE_SALT_LEN);
        memcpy(nonce + VOICE_SALT_LEN, b->nonce[lane], VOICE_NONCE4_LEN);
        crypto_secretbox_easy(p, b->plain, len, nonce, key->secret);
        trailer = VOICE_NONCE24_LEN;
        break;

    default:
        crypto_secretbox_easy(p, b->plain, len, nonce, key->secret);
        break;
    }

    memcpy(p + len + VOICE_TAG_LEN, nonce, trailer);

    return HDR + len + VOICE_TAG_LEN + trailer;
}


static void
expect(desk_t *b, size_t len)
{
    size_t  i;

    for (i = 0; i < LANES; i++) {
        b->expected_len = reference(b, i, len, b->expected[i]);
    }
}


/* One packet for n receivers, the first of them being `first`. */
static void
check_seal(desk_t *b, size_t len, size_t first, size_t n)
{
    size_t             i, lane;
    voice_crypto_to_t  to[LANES];
    uint8_t            after[AFTER];

    memset(after, 0xA5, sizeof(after));

    for (i = 0; i < n; i++) {
        lane = (first + i) % LANES;
        to[i].key = &b->key[lane];
        to[i].out = b->out[i];
        to[i].out_len = 0;
        memcpy(to[i].nonce, b->nonce[lane], VOICE_NONCE4_LEN);
        memset(b->out[i] + b->expected_len, 0xA5, AFTER);
    }

    voice_crypto_seal_rtp(b->key[0].mode, b->hdr, HDR, b->plain, len, to, n);

    for (i = 0; i < n; i++) {
        if (to[i].out_len != b->expected_len
            || memcmp(b->out[i], b->expected[(first + i) % LANES],
                      b->expected_len) != 0
            || memcmp(b->out[i] + b->expected_len, after, AFTER) != 0)
        {
            fail_msg("%s, %s: %zu bytes, receiver %zu of %zu differs",
                     voice_crypto_kernel_name(voice_crypto_used()),
                     voice_mode_name(b->key[0].mode), len, i, n);
        }
    }
}


/*
 * n datagrams of different lengths, sealed by the libraries, opened together;
 * one of them is forged.
 */
static void
check_open(desk_t *b, size_t len, size_t n)
{
    size_t               i, bad;
    size_t               plain[LANES];
    voice_crypto_from_t  from[LANES];

    bad = len % n;

    for (i = 0; i < n; i++) {
        plain[i] = (len + 37 * i) % (LEN_MAX + 1);
        from[i].key = &b->key[i];
        from[i].pkt = b->out[i];
        from[i].len = reference(b, i, plain[i], b->out[i]);
    }

    b->out[bad][HDR + len % VOICE_TAG_LEN] ^= 0x10;

    voice_crypto_open_many(from, n);

    for (i = 0; i < n; i++) {
        if (from[i].err != (i == bad ? VOICE_E_AUTH : VOICE_OK)
            || (i != bad
                && (from[i].plain_len != HDR + plain[i]
                    || memcmp(b->out[i] + HDR, b->plain, plain[i]) != 0)))
        {
            fail_msg("%s, %s: datagram %zu of %zu with %zu bytes: %s",
                     voice_crypto_kernel_name(voice_crypto_used()),
                     voice_mode_name(b->key[0].mode), i, n, plain[i],
                     voice_err_name(from[i].err));
        }
    }
}


static void
check_length(desk_t *b, size_t len, bool all)
{
    int     kernel;
    size_t  n, most;

    expect(b, len);

    for (kernel = VOICE_KERNEL_PORTABLE; kernel < VOICE_KERNEL_COUNT;
         kernel++)
    {
        if (voice_crypto_use((voice_crypto_kernel_t) kernel) != VOICE_OK) {
            continue;
        }

        /* neighbours in length differ in number, and the other way round */

        n = all ? 1 : 1 + (len * 7 + b->key[0].mode * 11) % LANES;
        most = all ? LANES : n;

        for ( /* void */ ; n <= most; n++) {
            check_seal(b, len, len % LANES, n);
        }

        if (all || len % 3 == 0) {
            check_open(b, len, 1 + (len / 3 + b->key[0].mode) % LANES);
        }
    }
}


static void
each_length(void **state)
{
    int       mode;
    bool      all;
    size_t    len;
    desk_t  *b;

    (void) state;

    all = getenv("VOICE_TEST_ALL") != NULL;

    for (mode = 0; mode < VOICE_MODE_COUNT; mode++) {
        b = desk_create((voice_mode_t) mode);

        for (len = 0; len <= LEN_MAX; len++) {
            check_length(b, len, all);
        }

        desk_free(b);
    }
}


/* Around the borders of blocks: each number with each of these lengths. */
static void
each_number(void **state)
{
    int                  mode;
    size_t               i;
    desk_t             *b;
    static const size_t  lens[] = { 0, 1, 16, 32, 33, 64, 80, 96, 97, 129 };

    (void) state;

    for (mode = 0; mode < VOICE_MODE_COUNT; mode++) {
        b = desk_create((voice_mode_t) mode);

        for (i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {
            check_length(b, lens[i], true);
        }

        desk_free(b);
    }
}


/* Different packets for one receiver each, as seal_rtp() makes them. */
static void
many_packets(void **state)
{
    int                    kernel, mode;
    size_t                 i;
    desk_t               *b;
    voice_crypto_to_t      to[LANES];
    voice_crypto_packet_t  packet[LANES];

    (void) state;

    for (mode = 0; mode < VOICE_MODE_COUNT; mode++) {
        b = desk_create((voice_mode_t) mode);

        for (kernel = VOICE_KERNEL_PORTABLE; kernel < VOICE_KERNEL_COUNT;
             kernel++)
        {
            if (voice_crypto_use((voice_crypto_kernel_t) kernel) != VOICE_OK) {
                continue;
            }

            for (i = 0; i < LANES; i++) {
                packet[i].hdr = b->hdr;
                packet[i].hdr_len = HDR;
                packet[i].plain = b->plain;
                packet[i].len = 31 * i;
                to[i].key = &b->key[i];
                to[i].out = b->out[i];
                memcpy(to[i].nonce, b->nonce[i], VOICE_NONCE4_LEN);
            }

            voice_crypto_seal_many((voice_mode_t) mode, packet, to, LANES);

            for (i = 0; i < LANES; i++) {
                assert_int_equal(to[i].out_len,
                                 reference(b, i, 31 * i, b->expected[i]));
                assert_memory_equal(b->out[i], b->expected[i],
                                    to[i].out_len);
            }
        }

        desk_free(b);
    }
}


static void
kernel_for_a_cpu(void **state)
{
    voice_kernels_t        ks;
    const voice_kernel_t  *built_in;

    (void) state;

    built_in = voice_kernels_built_in();

    voice_kernels_init(&ks, built_in, 0);
    assert_int_equal(ks.used, VOICE_KERNEL_PORTABLE);
    assert_int_equal(voice_kernels_use(&ks, VOICE_KERNEL_AVX2),
                     VOICE_E_NOT_FOUND);
    assert_int_equal(voice_kernels_use(&ks, VOICE_KERNEL_COUNT),
                     VOICE_E_RANGE);
    assert_int_equal(ks.used, VOICE_KERNEL_PORTABLE);

    if (built_in[VOICE_KERNEL_AVX2].lanes[0] == NULL) {
        assert_non_null(strstr(ks.why[VOICE_KERNEL_AVX2], "not built in"));
        return;
    }

    assert_non_null(strstr(ks.why[VOICE_KERNEL_AVX2], "the CPU has no"));

    if (voice_cpu_missing(VOICE_CPU_KERNEL2, voice_cpu_features()) != NULL) {
        return;
    }

    /* one feature of AVX-512 is not there */

    voice_kernels_init(&ks, built_in,
                       voice_cpu_features() & ~VOICE_CPU_AVX512IFMA);
    assert_int_equal(ks.used, VOICE_KERNEL_AVX2);
    assert_int_equal(ks.err[VOICE_KERNEL_AVX512], VOICE_E_NOT_FOUND);
    assert_int_equal(voice_kernels_use(&ks, VOICE_KERNEL_PORTABLE), VOICE_OK);
    assert_int_equal(ks.used, VOICE_KERNEL_PORTABLE);
    assert_int_equal(voice_kernels_use(&ks, VOICE_KERNEL_AUTO), VOICE_OK);
    assert_int_equal(ks.used, VOICE_KERNEL_AVX2);
}


/* Right, but for one bit of the last receiver's tag. */
static void
broken_lanes(voice_lane_t *lane, size_t n, voice_lanes_how_t how)
{
    voice_lanes_portable_xsalsa20(lane, n, how);

    if (how != VOICE_LANES_OPEN && n > 16) {
        lane[n - 1].tag[15] ^= 1;
    }
}


/* Takes what is forged. */
static void
gullible_lanes(voice_lane_t *lane, size_t n, voice_lanes_how_t how)
{
    size_t  i;

    voice_lanes_portable_xchacha20(lane, n, how);

    for (i = 0; i < n; i++) {
        lane[i].err = VOICE_OK;
    }
}


static void
broken_kernel_is_out_of_use(void **state)
{
    voice_kernels_t  ks;
    voice_kernel_t   kernels[VOICE_KERNEL_COUNT];

    (void) state;

    memset(kernels, 0, sizeof(kernels));
    kernels[VOICE_KERNEL_PORTABLE]
        = voice_kernels_built_in()[VOICE_KERNEL_PORTABLE];
    kernels[VOICE_KERNEL_AVX2] = kernels[VOICE_KERNEL_PORTABLE];
    kernels[VOICE_KERNEL_AVX512] = kernels[VOICE_KERNEL_PORTABLE];

    voice_kernels_init(&ks, kernels, 0);
    assert_int_equal(ks.used, VOICE_KERNEL_AVX512);

    kernels[VOICE_KERNEL_AVX512].lanes[VOICE_CIPHER_XSALSA20_POLY1305]
        = broken_lanes;
    kernels[VOICE_KERNEL_AVX2].lanes[VOICE_CIPHER_XCHACHA20_POLY1305]
        = gullible_lanes;

    voice_kernels_init(&ks, kernels, 0);

    assert_int_equal(ks.used, VOICE_KERNEL_PORTABLE);
    assert_int_equal(voice_kernels_use(&ks, VOICE_KERNEL_AVX512),
                     VOICE_E_STATE);
    assert_int_equal(voice_kernels_use(&ks, VOICE_KERNEL_AVX2),
                     VOICE_E_STATE);
    assert_int_equal(ks.used, VOICE_KERNEL_PORTABLE);
    assert_non_null(strstr(ks.why[VOICE_KERNEL_AVX512], "XSalsa20"));
    assert_non_null(strstr(ks.why[VOICE_KERNEL_AVX2], "opening"));
}


static void
kernel_names(void **state)
{
    int                     i;
    const char             *name;
    voice_crypto_kernel_t   kernel;

    (void) state;

    for (i = 0; i < VOICE_KERNEL_COUNT; i++) {
        name = voice_crypto_kernel_name((voice_crypto_kernel_t) i);
        assert_int_equal(voice_crypto_kernel_parse(name, strlen(name),
                                                   &kernel), VOICE_OK);
        assert_int_equal(kernel, i);
    }

    assert_int_equal(voice_crypto_kernel_parse("avx", 3, &kernel),
                     VOICE_E_NOT_FOUND);
    assert_int_equal(voice_crypto_kernel_parse("avx5120", 7, &kernel),
                     VOICE_E_NOT_FOUND);
    assert_int_equal(voice_crypto_kernel_parse("", 0, &kernel),
                     VOICE_E_NOT_FOUND);
}


static int
setup(void **state)
{
    (void) state;

    return voice_crypto_init() == VOICE_OK ? 0 : -1;
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(each_length),
        cmocka_unit_test(each_number),
        cmocka_unit_test(many_packets),
        cmocka_unit_test(kernel_for_a_cpu),
        cmocka_unit_test(broken_kernel_is_out_of_use),
        cmocka_unit_test(kernel_names),
    };

    return cmocka_run_group_tests(tests, setup, NULL);
}
