/*
 * Copyright (C) ngx-voice contributors
 *
 * Sealing one packet for several receivers, and opening a packet of each of
 * them: each kernel, and beside it the plain calls of libsodium and OpenSSL,
 * in turns.  JSON on standard output: ns for one packet, and how many times
 * as fast as libsodium in the same turn, both as [min, median, max].
 *
 *   bench_crypto [BYTES [RECEIVERS]]    default 100 and 16
 */


#include "voice_crypto.h"
#include "voice_packet.h"

#include <openssl/evp.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>


#define BENCH_ROUNDS     25
#define BENCH_ROUND      4000000     /* ns, about */
#define BENCH_MAX        64          /* receivers */
#define BENCH_ROW        1600        /* bytes between two outputs */


/* Aligned as in the relay. */

typedef struct {
    _Alignas(64) voice_crypto_key_t  key;
} bench_key_t;

typedef struct {
    _Alignas(64) uint8_t  out[BENCH_MAX][BENCH_ROW];
    uint8_t               sealed[BENCH_MAX][BENCH_ROW];
    bench_key_t           key[BENCH_MAX];
    voice_crypto_to_t     to[BENCH_MAX];
    voice_crypto_from_t   from[BENCH_MAX];
    uint8_t               secret[BENCH_MAX][VOICE_KEY_LEN];
    uint8_t               hdr[VOICE_RTP_HEADER_LEN];
    uint8_t               plain[VOICE_DATAGRAM_MAX];
    voice_mode_t          mode;
    size_t                len;
    size_t                n;
    size_t                sealed_len;
    EVP_CIPHER_CTX       *ctx[BENCH_MAX];
    EVP_CIPHER_CTX       *open_ctx[BENCH_MAX];
    crypto_aead_aes256gcm_state  aes[BENCH_MAX];
} bench_t;


/* A packet of each receiver; false: there is no such thing. */
typedef bool (*bench_pt)(bench_t *b);

typedef struct {
    const char            *name;
    bench_pt               seal;
    bench_pt               open;
    voice_crypto_kernel_t  kernel;       /* of ours */
} bench_way_t;


static bool bench_ours(bench_t *b);
static bool bench_ours_open(bench_t *b);
static bool bench_libsodium(bench_t *b);
static bool bench_libsodium_open(bench_t *b);
static bool bench_openssl(bench_t *b);
static bool bench_openssl_open(bench_t *b);


/* libsodium first: the others are compared with it */
static const bench_way_t  bench_ways[] = {
    { "libsodium", bench_libsodium, bench_libsodium_open,
      VOICE_KERNEL_PORTABLE },
    { "openssl", bench_openssl, bench_openssl_open, VOICE_KERNEL_PORTABLE },
    { "portable", bench_ours, bench_ours_open, VOICE_KERNEL_PORTABLE },
    { "avx2", bench_ours, bench_ours_open, VOICE_KERNEL_AVX2 },
    { "avx512", bench_ours, bench_ours_open, VOICE_KERNEL_AVX512 },
};

#define BENCH_WAYS  (sizeof(bench_ways) / sizeof(bench_ways[0]))


static const struct {
    voice_mode_t   mode;
    bool           open;
} bench_rows[] = {
    { VOICE_MODE_XSALSA20_POLY1305_SUFFIX, false },
    { VOICE_MODE_XSALSA20_POLY1305_LITE_RTPSIZE, false },
    { VOICE_MODE_XSALSA20_POLY1305, false },
    { VOICE_MODE_AEAD_XCHACHA20_POLY1305_RTPSIZE, false },
    { VOICE_MODE_AEAD_AES256_GCM_RTPSIZE, false },
    { VOICE_MODE_XSALSA20_POLY1305_LITE_RTPSIZE, true },
    { VOICE_MODE_AEAD_XCHACHA20_POLY1305_RTPSIZE, true },
    { VOICE_MODE_AEAD_AES256_GCM_RTPSIZE, true },
};

#define BENCH_ROWS  (sizeof(bench_rows) / sizeof(bench_rows[0]))


static uint64_t
bench_now(void)
{
    struct timespec  ts;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);

    return (uint64_t) ts.tv_sec * 1000000000 + (uint64_t) ts.tv_nsec;
}


static bool
bench_ours(bench_t *b)
{
    voice_crypto_seal_rtp(b->mode, b->hdr, sizeof(b->hdr), b->plain, b->len,
                          b->to, b->n);
    return true;
}


static bool
bench_libsodium(bench_t *b)
{
    size_t               i;
    uint8_t             *p;
    uint8_t              nonce[VOICE_NONCE24_LEN];
    unsigned long long   tag_len;

    memset(nonce, 0, sizeof(nonce));

    for (i = 0; i < b->n; i++) {
        p = b->out[i] + sizeof(b->hdr);
        memcpy(b->out[i], b->hdr, sizeof(b->hdr));

        switch (b->mode) {

        case VOICE_MODE_AEAD_XCHACHA20_POLY1305_RTPSIZE:
            crypto_aead_xchacha20poly1305_ietf_encrypt_detached(p,
                p + b->len, &tag_len, b->plain, b->len, b->hdr,
                sizeof(b->hdr), NULL, nonce, b->secret[i]);
            break;

        case VOICE_MODE_AEAD_AES256_GCM_RTPSIZE:
            if (!crypto_aead_aes256gcm_is_available()) {
                return false;
            }

            crypto_aead_aes256gcm_encrypt_detached_afternm(p, p + b->len,
                &tag_len, b->plain, b->len, b->hdr, sizeof(b->hdr), NULL,
                nonce, &b->aes[i]);
            break;

        default: /* XSalsa20 */
            crypto_secretbox_detached(p + VOICE_TAG_LEN, p, b->plain, b->len,
                                      nonce, b->secret[i]);
            break;
        }
    }

    return true;
}


/* Opening is in place, of a new copy each time: so it is for all. */
static uint8_t *
bench_copy(bench_t *b, size_t i)
{
    memcpy(b->out[i], b->sealed[i], b->sealed_len);

    return b->out[i] + sizeof(b->hdr);
}


static bool
bench_ours_open(bench_t *b)
{
    size_t  i;

    for (i = 0; i < b->n; i++) {
        (void) bench_copy(b, i);
    }

    voice_crypto_open_many(b->from, b->n);

    for (i = 0; i < b->n; i++) {
        if (b->from[i].err != VOICE_OK) {
            return false;
        }
    }

    return true;
}


static bool
bench_libsodium_open(bench_t *b)
{
    int       rc;
    size_t    i;
    uint8_t  *p;
    uint8_t   nonce[VOICE_NONCE24_LEN];

    memset(nonce, 0, sizeof(nonce));

    for (i = 0; i < b->n; i++) {
        p = bench_copy(b, i);
        memcpy(nonce, b->to[i].nonce, VOICE_NONCE4_LEN);

        switch (b->mode) {

        case VOICE_MODE_AEAD_XCHACHA20_POLY1305_RTPSIZE:
            rc = crypto_aead_xchacha20poly1305_ietf_decrypt_detached(p, NULL,
                     p, b->len, p + b->len, b->out[i], sizeof(b->hdr), nonce,
                     b->secret[i]);
            break;

        case VOICE_MODE_AEAD_AES256_GCM_RTPSIZE:
            if (!crypto_aead_aes256gcm_is_available()) {
                return false;
            }

            rc = crypto_aead_aes256gcm_decrypt_detached_afternm(p, NULL, p,
                     b->len, p + b->len, b->out[i], sizeof(b->hdr), nonce,
                     &b->aes[i]);
            break;

        default: /* XSalsa20 */
            rc = crypto_secretbox_open_detached(p, p + VOICE_TAG_LEN, p,
                                                b->len, nonce, b->secret[i]);
            break;
        }

        if (rc != 0) {
            return false;
        }
    }

    return true;
}


static bool
bench_openssl(bench_t *b)
{
    int              n;
    size_t           i;
    uint8_t         *p;
    EVP_CIPHER_CTX  *ctx;
    uint8_t          nonce[12];

    if (b->mode != VOICE_MODE_AEAD_AES256_GCM_RTPSIZE) {
        return false;
    }

    memset(nonce, 0, sizeof(nonce));

    for (i = 0; i < b->n; i++) {
        p = b->out[i] + sizeof(b->hdr);
        ctx = b->ctx[i];
        memcpy(b->out[i], b->hdr, sizeof(b->hdr));

        EVP_EncryptInit_ex(ctx, NULL, NULL, NULL, nonce);
        EVP_EncryptUpdate(ctx, NULL, &n, b->hdr, sizeof(b->hdr));
        EVP_EncryptUpdate(ctx, p, &n, b->plain, (int) b->len);
        EVP_EncryptFinal_ex(ctx, p + b->len, &n);
        EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_GCM_GET_TAG, VOICE_TAG_LEN,
                            p + b->len);
    }

    return true;
}


static bool
bench_openssl_open(bench_t *b)
{
    int              n;
    size_t           i;
    uint8_t         *p;
    EVP_CIPHER_CTX  *ctx;
    uint8_t          nonce[12];

    if (b->mode != VOICE_MODE_AEAD_AES256_GCM_RTPSIZE) {
        return false;
    }

    memset(nonce, 0, sizeof(nonce));

    for (i = 0; i < b->n; i++) {
        p = bench_copy(b, i);
        ctx = b->open_ctx[i];
        memcpy(nonce, b->to[i].nonce, VOICE_NONCE4_LEN);

        EVP_DecryptInit_ex(ctx, NULL, NULL, NULL, nonce);
        EVP_DecryptUpdate(ctx, NULL, &n, b->out[i], sizeof(b->hdr));
        EVP_DecryptUpdate(ctx, p, &n, p, (int) b->len);
        EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_GCM_SET_TAG, VOICE_TAG_LEN,
                            p + b->len);

        if (EVP_DecryptFinal_ex(ctx, p + b->len, &n) != 1) {
            return false;
        }
    }

    return true;
}


static void
bench_keys(bench_t *b, voice_mode_t mode)
{
    size_t  i;

    b->mode = mode;
    randombytes_buf(b->plain, sizeof(b->plain));
    memset(b->hdr, 0, sizeof(b->hdr));
    b->hdr[0] = 0x80;

    for (i = 0; i < b->n; i++) {
        randombytes_buf(b->secret[i], VOICE_KEY_LEN);
        voice_crypto_key_init(&b->key[i].key, mode, b->secret[i]);

        b->to[i].key = &b->key[i].key;
        b->to[i].out = b->out[i];
        voice_nonce_server((uint32_t) i, b->to[i].nonce);

        if (crypto_aead_aes256gcm_is_available()) {
            crypto_aead_aes256gcm_beforenm(&b->aes[i], b->secret[i]);
        }

        EVP_EncryptInit_ex(b->ctx[i], EVP_aes_256_gcm(), NULL, b->secret[i],
                           NULL);
        EVP_DecryptInit_ex(b->open_ctx[i], EVP_aes_256_gcm(), NULL,
                           b->secret[i], NULL);
    }
}


/* The datagrams that are opened. */
static void
bench_sealed(bench_t *b)
{
    size_t  i;

    (void) bench_ours(b);

    for (i = 0; i < b->n; i++) {
        b->sealed_len = b->to[i].out_len;
        memcpy(b->sealed[i], b->out[i], b->sealed_len);

        b->from[i].key = &b->key[i].key;
        b->from[i].pkt = b->out[i];
        b->from[i].len = b->sealed_len;
    }
}


/* ns for one packet; 0: there is no such way. */
static double
bench_time(bench_t *b, const bench_way_t *way, bench_pt run)
{
    unsigned  i, calls;
    uint64_t  start, ns;

    if (voice_crypto_use(way->kernel) != VOICE_OK || !run(b)) {
        return 0;
    }

    for (calls = 0, start = bench_now(); /* void */ ; /* void */ ) {

        for (i = 0; i < 32; i++) {
            (void) run(b);
        }

        calls += i;
        ns = bench_now() - start;

        if (ns >= BENCH_ROUND) {
            return (double) ns / calls / (double) b->n;
        }
    }
}


static int
bench_compare(const void *one, const void *two)
{
    const double  *a = one;
    const double  *b = two;

    return (*a > *b) - (*a < *b);
}


static void
bench_print(const char *name, double (*turn)[BENCH_ROUNDS])
{
    size_t  w;

    printf("\"%s\":{", name);

    for (w = 0; w < BENCH_WAYS; w++) {
        qsort(turn[w], BENCH_ROUNDS, sizeof(double), bench_compare);

        printf("%s\"%s\":", w != 0 ? "," : "", bench_ways[w].name);

        if (turn[w][0] == 0) {
            printf("null");

        } else {
            printf("[%.2f,%.2f,%.2f]", turn[w][0], turn[w][BENCH_ROUNDS / 2],
                   turn[w][BENCH_ROUNDS - 1]);
        }
    }

    printf("}");
}


static void
bench_row(bench_t *b, bool open)
{
    double    ns[BENCH_WAYS][BENCH_ROUNDS], times[BENCH_WAYS][BENCH_ROUNDS];
    size_t    w;
    unsigned  round;

    for (round = 0; round < BENCH_ROUNDS; round++) {
        for (w = 0; w < BENCH_WAYS; w++) {
            ns[w][round] = bench_time(b, &bench_ways[w],
                                      open ? bench_ways[w].open
                                           : bench_ways[w].seal);
            times[w][round] = ns[w][round] == 0 ? 0
                              : ns[0][round] / ns[w][round];
        }
    }

    printf("{\"what\":\"%s\",\"cipher\":\"%s\",\"bytes\":%zu,"
           "\"packets\":%zu,", open ? "open" : "seal",
           voice_mode_name(b->mode), b->len, b->n);
    bench_print("ns", ns);
    printf(",");
    bench_print("times", times);
    printf("}");
}


int
main(int argc, char **argv)
{
    size_t          i;
    static bench_t  b;

    b.len = argc > 1 ? (size_t) atoi(argv[1]) : 100;
    b.n = argc > 2 ? (size_t) atoi(argv[2]) : 16;

    if (b.len > VOICE_DATAGRAM_MAX - VOICE_RTP_HEADER_LEN - VOICE_SEAL_OVERHEAD
        || b.n == 0 || b.n > BENCH_MAX || voice_crypto_init() != VOICE_OK)
    {
        fprintf(stderr, "bench_crypto: expected at most %d bytes, and 1 to "
                "%d receivers\n", VOICE_DATAGRAM_MAX - VOICE_RTP_HEADER_LEN
                - VOICE_SEAL_OVERHEAD, BENCH_MAX);
        return 2;
    }

    for (i = 0; i < b.n; i++) {
        b.ctx[i] = EVP_CIPHER_CTX_new();
        b.open_ctx[i] = EVP_CIPHER_CTX_new();
    }

    printf("[");

    for (i = 0; i < BENCH_ROWS; i++) {
        printf("%s", i != 0 ? "," : "");
        bench_keys(&b, bench_rows[i].mode);
        bench_sealed(&b);
        bench_row(&b, bench_rows[i].open);
    }

    printf("]\n");

    for (i = 0; i < b.n; i++) {
        EVP_CIPHER_CTX_free(b.ctx[i]);
        EVP_CIPHER_CTX_free(b.open_ctx[i]);
    }

    return 0;
}
