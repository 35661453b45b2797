/*
 * Copyright (C) ngx-voice contributors
 *
 * AES-256-GCM with AES-NI and PCLMULQDQ.
 *
 * Eight blocks are in the air at once, which is what hides the latency of an
 * AES round; the first of them makes the tag's mask.  Lanes follow each other
 * without a dependency, so the processor hashes one while it encrypts the
 * next.
 */


#include "voice_crypto_kernel.h"


#if defined(__x86_64__)


#include "voice_crypto_gcm.h"

#include <sodium.h>
#include <stdbool.h>
#include <string.h>


#define VOICE_GCM_WIDE    8       /* blocks at once */

/* clang does so of its own accord */
#if defined(__clang__)
#define VOICE_GCM_UNROLL
#else
#define VOICE_GCM_UNROLL  _Pragma("GCC unroll 8")
#endif

/* round key i of AES-256 from those before it, FIPS 197 5.2 */
#define VOICE_GCM_EXPAND(rk, i, rcon)                                         \
    (rk)[i] = voice_gcm_mix((rk)[(i) - 2], _mm_shuffle_epi32(                 \
                  _mm_aeskeygenassist_si128((rk)[(i) - 1], rcon),             \
                  (rcon) != 0 ? 0xFF : 0xAA))


/* One packet on its way. */
typedef struct {
    const voice_gcm_key_t  *key;
    const uint8_t          *in;
    uint8_t                *out;
    size_t                  len;        /* bytes that are left */
    size_t                  blocks;     /* of the hash that are left */
    size_t                  power;      /* of the next block */
    __m128i                 counter;    /* its bytes reversed */
    __m128i                 carry;      /* is added to the next block */
    voice_gcm_sum_t         sum;
} voice_gcm_t;


VOICE_GCM_FN __m128i
voice_gcm_mix(__m128i x, __m128i t)
{
    x = _mm_xor_si128(x, _mm_slli_si128(x, 4));
    x = _mm_xor_si128(x, _mm_slli_si128(x, 8));

    return _mm_xor_si128(x, t);
}


/* H times x: a shift, and the polynomial if a bit fell out. */

VOICE_GCM_FN __m128i
voice_gcm_double(__m128i h)
{
    __m128i  carry, out;

    carry = _mm_srli_epi64(h, 63);
    out = _mm_shuffle_epi32(_mm_cmpeq_epi32(carry, _mm_set1_epi32(1)), 0xAA);

    h = _mm_or_si128(_mm_slli_epi64(h, 1), _mm_slli_si128(carry, 8));

    return _mm_xor_si128(h, _mm_and_si128(out,
                     _mm_set_epi64x((long long) 0xC200000000000000ull, 1)));
}


__attribute__((target(VOICE_GCM_TARGET))) void
voice_gcm_key_init(voice_crypto_key_t *key)
{
    int               i;
    __m128i           h, p, rk[VOICE_GCM_ROUNDS + 1];
    voice_gcm_key_t  *k;

    k = (voice_gcm_key_t *) key->gcm;

    rk[0] = voice_gcm_load(key->secret);
    rk[1] = voice_gcm_load(key->secret + 16);

    VOICE_GCM_EXPAND(rk, 2, 0x01);
    VOICE_GCM_EXPAND(rk, 3, 0);
    VOICE_GCM_EXPAND(rk, 4, 0x02);
    VOICE_GCM_EXPAND(rk, 5, 0);
    VOICE_GCM_EXPAND(rk, 6, 0x04);
    VOICE_GCM_EXPAND(rk, 7, 0);
    VOICE_GCM_EXPAND(rk, 8, 0x08);
    VOICE_GCM_EXPAND(rk, 9, 0);
    VOICE_GCM_EXPAND(rk, 10, 0x10);
    VOICE_GCM_EXPAND(rk, 11, 0);
    VOICE_GCM_EXPAND(rk, 12, 0x20);
    VOICE_GCM_EXPAND(rk, 13, 0);
    VOICE_GCM_EXPAND(rk, 14, 0x40);

    h = rk[0];

    for (i = 1; i < VOICE_GCM_ROUNDS; i++) {
        h = _mm_aesenc_si128(h, rk[i]);
    }

    h = _mm_aesenclast_si128(h, rk[VOICE_GCM_ROUNDS]);
    h = voice_gcm_double(voice_gcm_reverse(h));
    p = h;

    for (i = 1; i <= VOICE_GCM_POWERS; i++) {
        voice_gcm_store(voice_gcm_power(k, i), p);
        p = voice_gcm_multiply(p, h);
    }

    for (i = 0; i <= VOICE_GCM_ROUNDS; i++) {
        voice_gcm_store(k->round[i], rk[i]);
    }

    sodium_memzero(rk, sizeof(rk));
}


/* The next n blocks of key stream. */

VOICE_GCM_FN void
voice_gcm_stream(voice_gcm_t *g, __m128i *ks, const int n)
{
    int      i, r;
    __m128i  rk, v[VOICE_GCM_WIDE];

    rk = voice_gcm_load(g->key->round[0]);

    VOICE_GCM_UNROLL
    for (i = 0; i < n; i++) {
        v[i] = _mm_xor_si128(voice_gcm_reverse(g->counter), rk);
        g->counter = _mm_add_epi32(g->counter, _mm_set_epi32(0, 0, 0, 1));
    }

    for (r = 1; r < VOICE_GCM_ROUNDS; r++) {
        rk = voice_gcm_load(g->key->round[r]);

        VOICE_GCM_UNROLL
        for (i = 0; i < n; i++) {
            v[i] = _mm_aesenc_si128(v[i], rk);
        }
    }

    rk = voice_gcm_load(g->key->round[VOICE_GCM_ROUNDS]);

    VOICE_GCM_UNROLL
    for (i = 0; i < n; i++) {
        ks[i] = _mm_aesenclast_si128(v[i], rk);
    }
}


VOICE_GCM_FN void
voice_gcm_hash(voice_gcm_t *g, __m128i x)
{
    x = _mm_xor_si128(x, g->carry);
    g->carry = _mm_setzero_si128();

    voice_gcm_add(&g->sum, x,
                  voice_gcm_load(voice_gcm_power(g->key, g->power)));
    g->blocks--;

    if (--g->power == 0 && g->blocks != 0) {
        g->carry = voice_gcm_reduce(&g->sum);
        g->sum = voice_gcm_zero();
        g->power = voice_gcm_first_power(g->blocks);
    }
}


/* Encrypts or decrypts a block, or what is left of one, and hashes it. */

VOICE_GCM_FN void
voice_gcm_text(voice_gcm_t *g, __m128i ks, const bool open)
{
    __m128i  x, y;
    uint8_t  block[VOICE_GCM_BLOCK];

    if (g->len >= VOICE_GCM_BLOCK) {
        x = voice_gcm_load(g->in);
        y = _mm_xor_si128(x, ks);
        voice_gcm_store(g->out, y);

        g->in += VOICE_GCM_BLOCK;
        g->out += VOICE_GCM_BLOCK;
        g->len -= VOICE_GCM_BLOCK;

    } else {
        x = voice_gcm_load_some(g->in, g->len);
        voice_gcm_store(block, _mm_xor_si128(x, ks));
        voice_copy_some(g->out, block, g->len);

        y = voice_gcm_load_some(block, g->len);
        g->len = 0;
    }

    voice_gcm_hash(g, voice_gcm_reverse(open ? x : y));
}


VOICE_GCM_FN __m128i
voice_gcm_run(voice_gcm_t *g, const voice_lane_t *from, const bool open)
{
    int      i;
    __m128i  mask, tag, ks[VOICE_GCM_WIDE];

    voice_gcm_stream(g, ks, VOICE_GCM_WIDE);
    mask = ks[0];

    voice_gcm_hash(g, _mm_setzero_si128());     /* AAD is in the carry */

    for (i = 1; i < VOICE_GCM_WIDE && g->len != 0; i++) {
        voice_gcm_text(g, ks[i], open);
    }

    while (g->len != 0) {

        if (g->len > VOICE_GCM_WIDE / 2 * VOICE_GCM_BLOCK) {
            voice_gcm_stream(g, ks, VOICE_GCM_WIDE);

        } else {
            voice_gcm_stream(g, ks, VOICE_GCM_WIDE / 2);
        }

        for (i = 0; i < VOICE_GCM_WIDE && g->len != 0; i++) {
            voice_gcm_text(g, ks[i], open);
        }
    }

    voice_gcm_hash(g, voice_gcm_lengths(from->aad_len, from->len));

    tag = voice_gcm_reverse(voice_gcm_reduce(&g->sum));

    return _mm_xor_si128(tag, mask);
}


VOICE_GCM_FN void
voice_gcm_one(voice_lane_t *lane, const voice_lane_t *from, const bool open)
{
    __m128i      tag;
    uint8_t      buf[VOICE_TAG_LEN];
    voice_gcm_t  g;

    g.key = (const voice_gcm_key_t *) lane->key->gcm;
    g.in = from->in;
    g.out = lane->out;
    g.len = from->len;
    g.blocks = voice_gcm_blocks(from->len);
    g.power = voice_gcm_first_power(g.blocks);
    g.counter = voice_gcm_counter(lane->nonce);
    g.carry = voice_gcm_aad(g.key, from->aad, from->aad_len);
    g.sum = voice_gcm_zero();

    tag = voice_gcm_run(&g, from, open);

    if (!open) {
        voice_gcm_store(lane->tag, tag);
        lane->err = VOICE_OK;
        return;
    }

    voice_gcm_store(buf, tag);
    lane->err = crypto_verify_16(buf, lane->tag) == 0 ? VOICE_OK
                                                      : VOICE_E_AUTH;
}


__attribute__((target(VOICE_GCM_TARGET))) void
voice_lanes_avx2_gcm(voice_lane_t *lane, size_t n, voice_lanes_how_t how)
{
    size_t  i;

    if (how == VOICE_LANES_OPEN) {
        for (i = 0; i < n; i++) {
            voice_gcm_one(&lane[i], &lane[i], true);
        }

        return;
    }

    for (i = 0; i < n; i++) {
        voice_gcm_one(&lane[i], how == VOICE_LANES_SEAL_SAME ? lane : &lane[i],
                      false);
    }
}


#endif /* __x86_64__ */
