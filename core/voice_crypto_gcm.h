/*
 * Copyright (C) ngx-voice contributors
 *
 * What the two kernels of AES-256-GCM share: the prepared key, and GHASH.
 *
 * GHASH (NIST SP 800-38D 6.4) counts its bits the other way round than the
 * processor.  With the bytes of each block reversed, and H multiplied by x
 * once, it is POLYVAL (RFC 8452, appendix A): a product is clmul of numbers
 * as they stand, and reduction is by x^128 + x^127 + x^126 + x^121 + 1 from
 * the low end, which divides by x^128.  The powers of H carry such factors
 * along; they are made by the same product, so it comes out right.
 *
 * Sums of products are kept unreduced: several blocks, each times its own
 * power of H, cost one reduction.
 */


#ifndef _VOICE_CRYPTO_GCM_H_INCLUDED_
#define _VOICE_CRYPTO_GCM_H_INCLUDED_


#include "voice_crypto_copy.h"
#include "voice_crypto_kernel.h"

#include <immintrin.h>


#define VOICE_GCM_ROUNDS  14
#define VOICE_GCM_POWERS  16
#define VOICE_GCM_BLOCK   16

#define VOICE_GCM_TARGET  "sse4.1,aes,pclmul,avx"
#define VOICE_GCM_FN      static inline __attribute__((always_inline,         \
                                              target(VOICE_GCM_TARGET)))


/* Falling powers, so that those of successive blocks lie side by side. */
typedef struct {
    uint8_t   round[VOICE_GCM_ROUNDS + 1][VOICE_GCM_BLOCK];
    uint8_t   power[VOICE_GCM_POWERS][VOICE_GCM_BLOCK];   /* 16 ... 1 */
} voice_gcm_key_t;


_Static_assert(sizeof(voice_gcm_key_t)
               <= sizeof(((voice_crypto_key_t *) 0)->gcm),
               "prepared AES-GCM key fits");


/* The 256-bit sum of products, the middle one not yet spread. */
typedef struct {
    __m128i   lo;
    __m128i   mid;
    __m128i   hi;
} voice_gcm_sum_t;


#define voice_gcm_load(p)      _mm_loadu_si128((const __m128i *) (p))
#define voice_gcm_store(p, x)  _mm_storeu_si128((__m128i *) (p), x)

/* where the i-th power is */
#define voice_gcm_power(key, i)  ((key)->power[VOICE_GCM_POWERS - (i)])


VOICE_GCM_FN __m128i
voice_gcm_reverse(__m128i x)
{
    return _mm_shuffle_epi8(x, _mm_set_epi8(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10,
                                            11, 12, 13, 14, 15));
}


VOICE_GCM_FN voice_gcm_sum_t
voice_gcm_zero(void)
{
    voice_gcm_sum_t  s;

    s.lo = _mm_setzero_si128();
    s.mid = s.lo;
    s.hi = s.lo;

    return s;
}


VOICE_GCM_FN void
voice_gcm_add(voice_gcm_sum_t *s, __m128i x, __m128i power)
{
    s->lo = _mm_xor_si128(s->lo, _mm_clmulepi64_si128(x, power, 0x00));
    s->hi = _mm_xor_si128(s->hi, _mm_clmulepi64_si128(x, power, 0x11));
    s->mid = _mm_xor_si128(s->mid, _mm_clmulepi64_si128(x, power, 0x01));
    s->mid = _mm_xor_si128(s->mid, _mm_clmulepi64_si128(x, power, 0x10));
}


/* Folds the low half twice by 64 bits; 0xC2... is x^127 + x^126 + x^121. */

VOICE_GCM_FN __m128i
voice_gcm_reduce(const voice_gcm_sum_t *s)
{
    __m128i  lo, hi;

    const __m128i  poly = _mm_set1_epi64x((long long) 0xC200000000000000ull);

    lo = _mm_xor_si128(s->lo, _mm_slli_si128(s->mid, 8));
    hi = _mm_xor_si128(s->hi, _mm_srli_si128(s->mid, 8));

    lo = _mm_xor_si128(_mm_shuffle_epi32(lo, 0x4E),
                       _mm_clmulepi64_si128(lo, poly, 0x00));
    lo = _mm_xor_si128(_mm_shuffle_epi32(lo, 0x4E),
                       _mm_clmulepi64_si128(lo, poly, 0x00));

    return _mm_xor_si128(hi, lo);
}


VOICE_GCM_FN __m128i
voice_gcm_multiply(__m128i x, __m128i y)
{
    voice_gcm_sum_t  s;

    s = voice_gcm_zero();
    voice_gcm_add(&s, x, y);

    return voice_gcm_reduce(&s);
}


/* A cut block, zero-padded. */

VOICE_GCM_FN __m128i
voice_gcm_load_some(const uint8_t *p, size_t size)
{
    uint8_t  block[VOICE_GCM_BLOCK];

    voice_gcm_store(block, _mm_setzero_si128());
    voice_copy_some(block, p, size);

    return voice_gcm_load(block);
}


/*
 * The hash of all blocks of AAD but the last, plus the last: what is to be
 * multiplied next.  Mostly there is only one.
 */

VOICE_GCM_FN __m128i
voice_gcm_aad(const voice_gcm_key_t *key, const uint8_t *p, size_t len)
{
    __m128i  y, x;

    y = _mm_setzero_si128();

    while (len > VOICE_GCM_BLOCK) {
        x = voice_gcm_reverse(voice_gcm_load(p));
        y = voice_gcm_multiply(_mm_xor_si128(y, x),
                               voice_gcm_load(voice_gcm_power(key, 1)));
        p += VOICE_GCM_BLOCK;
        len -= VOICE_GCM_BLOCK;
    }

    x = voice_gcm_reverse(voice_gcm_load_some(p, len));

    return _mm_xor_si128(y, x);
}


/* The blocks to hash: the last one of AAD, the text, the lengths. */

VOICE_GCM_FN size_t
voice_gcm_blocks(size_t len)
{
    return 1 + (len + VOICE_GCM_BLOCK - 1) / VOICE_GCM_BLOCK + 1;
}


/* The power for the first of so many blocks. */

VOICE_GCM_FN size_t
voice_gcm_first_power(size_t blocks)
{
    return blocks < VOICE_GCM_POWERS ? blocks : VOICE_GCM_POWERS;
}


/* SP 800-38D 7.1: a 96-bit nonce is followed by a counter, which starts at 1
 * for the tag; here with the bytes reversed. */

VOICE_GCM_FN __m128i
voice_gcm_counter(const uint8_t *nonce)
{
    return _mm_insert_epi32(voice_gcm_reverse(voice_gcm_load(nonce)), 1, 0);
}


/* SP 800-38D 7.1: both lengths in bits; here with the bytes reversed. */

VOICE_GCM_FN __m128i
voice_gcm_lengths(size_t aad_len, size_t len)
{
    return _mm_set_epi64x((long long) (8 * aad_len), (long long) (8 * len));
}


#endif /* _VOICE_CRYPTO_GCM_H_INCLUDED_ */
