/*
 * Copyright (C) ngx-voice contributors
 *
 * Sealing one packet for several receivers: each kernel, and beside it the
 * plain calls of libsodium and OpenSSL, in turns.  JSON on standard output:
 * ns for one receiver as [min, median, max].
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


typedef struct {
    voice_mode_t         mode;
    size_t               len;
    size_t               n;
    voice_crypto_key_t   key[BENCH_MAX];
    voice_crypto_to_t    to[BENCH_MAX];
    uint8_t              secret[BENCH_MAX][VOICE_KEY_LEN];
    uint8_t              hdr[VOICE_RTP_HEADER_LEN];
    uint8_t              plain[VOICE_DATAGRAM_MAX];
    uint8_t              out[BENCH_MAX][BENCH_ROW];
    EVP_CIPHER_CTX      *ctx[BENCH_MAX];
    crypto_aead_aes256gcm_state  aes[BENCH_MAX];
} bench_t;


/* One packet for all receivers; false: there is no such thing. */
typedef bool (*bench_seal_pt)(bench_t *b);

typedef struct {
    const char            *name;
    bench_seal_pt          seal;
    voice_crypto_kernel_t  kernel;       /* of ours */
} bench_way_t;


static bool bench_ours(bench_t *b);
static bool bench_libsodium(bench_t *b);
static bool bench_openssl(bench_t *b);


static const bench_way_t  bench_ways[] = {
    { "libsodium", bench_libsodium, VOICE_KERNEL_PORTABLE },
    { "openssl", bench_openssl, VOICE_KERNEL_PORTABLE },
    { "portable", bench_ours, VOICE_KERNEL_PORTABLE },
    { "avx2", bench_ours, VOICE_KERNEL_AVX2 },
    { "avx512", bench_ours, VOICE_KERNEL_AVX512 },
};

#define BENCH_WAYS  (sizeof(bench_ways) / sizeof(bench_ways[0]))


static const voice_mode_t  bench_modes[] = {
    VOICE_MODE_XSALSA20_POLY1305_LITE_RTPSIZE,
    VOICE_MODE_AEAD_XCHACHA20_POLY1305_RTPSIZE,
    VOICE_MODE_AEAD_AES256_GCM_RTPSIZE
};

#define BENCH_MODES  (sizeof(bench_modes) / sizeof(bench_modes[0]))


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

        case VOICE_MODE_XSALSA20_POLY1305_LITE_RTPSIZE:
            crypto_secretbox_detached(p + VOICE_TAG_LEN, p, b->plain, b->len,
                                      nonce, b->secret[i]);
            break;

        case VOICE_MODE_AEAD_XCHACHA20_POLY1305_RTPSIZE:
            crypto_aead_xchacha20poly1305_ietf_encrypt_detached(p,
                p + b->len, &tag_len, b->plain, b->len, b->hdr,
                sizeof(b->hdr), NULL, nonce, b->secret[i]);
            break;

        default:
            if (!crypto_aead_aes256gcm_is_available()) {
                return false;
            }

            crypto_aead_aes256gcm_encrypt_detached_afternm(p, p + b->len,
                &tag_len, b->plain, b->len, b->hdr, sizeof(b->hdr), NULL,
                nonce, &b->aes[i]);
            break;
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
        voice_crypto_key_init(&b->key[i], mode, b->secret[i]);

        b->to[i].key = &b->key[i];
        b->to[i].out = b->out[i];
        voice_nonce_server((uint32_t) i, b->to[i].nonce);

        if (crypto_aead_aes256gcm_is_available()) {
            crypto_aead_aes256gcm_beforenm(&b->aes[i], b->secret[i]);
        }

        if (b->ctx[i] == NULL) {
            b->ctx[i] = EVP_CIPHER_CTX_new();
        }

        EVP_EncryptInit_ex(b->ctx[i], EVP_aes_256_gcm(), NULL, b->secret[i],
                           NULL);
    }
}


/* ns for one receiver; 0: there is no such way. */
static double
bench_time(bench_t *b, const bench_way_t *way)
{
    unsigned  i, calls;
    uint64_t  start, ns;

    if (voice_crypto_use(way->kernel) != VOICE_OK || !way->seal(b)) {
        return 0;
    }

    for (calls = 0, start = bench_now(); /* void */ ; /* void */ ) {

        for (i = 0; i < 32; i++) {
            (void) way->seal(b);
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
bench_mode(bench_t *b)
{
    double    ns[BENCH_WAYS][BENCH_ROUNDS];
    size_t    w;
    unsigned  round;

    for (round = 0; round < BENCH_ROUNDS; round++) {
        for (w = 0; w < BENCH_WAYS; w++) {
            ns[w][round] = bench_time(b, &bench_ways[w]);
        }
    }

    printf("{\"cipher\":\"%s\",\"bytes\":%zu,\"receivers\":%zu,\"ns\":{",
           voice_mode_name(b->mode), b->len, b->n);

    for (w = 0; w < BENCH_WAYS; w++) {
        qsort(ns[w], BENCH_ROUNDS, sizeof(double), bench_compare);

        printf("%s\"%s\":", w != 0 ? "," : "", bench_ways[w].name);

        if (ns[w][0] == 0) {
            printf("null");

        } else {
            printf("[%.2f,%.2f,%.2f]", ns[w][0], ns[w][BENCH_ROUNDS / 2],
                   ns[w][BENCH_ROUNDS - 1]);
        }
    }

    printf("}}");
}


int
main(int argc, char **argv)
{
    size_t          i;
    static bench_t  b;

    b.len = argc > 1 ? (size_t) atoi(argv[1]) : 100;
    b.n = argc > 2 ? (size_t) atoi(argv[2]) : 16;

    if (b.len > VOICE_DATAGRAM_MAX || b.n == 0 || b.n > BENCH_MAX
        || voice_crypto_init() != VOICE_OK)
    {
        fprintf(stderr, "bench_crypto: expected at most %d bytes, and 1 to "
                "%d receivers\n", VOICE_DATAGRAM_MAX, BENCH_MAX);
        return 2;
    }

    printf("[");

    for (i = 0; i < BENCH_MODES; i++) {
        printf("%s", i != 0 ? "," : "");
        bench_keys(&b, bench_modes[i]);
        bench_mode(&b);
    }

    printf("]\n");

    for (i = 0; i < b.n; i++) {
        EVP_CIPHER_CTX_free(b.ctx[i]);
    }

    return 0;
}
