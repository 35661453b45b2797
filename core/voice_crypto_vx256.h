/*
 * Copyright (C) ngx-voice contributors
 *
 * Eight lanes in 256-bit vectors: the words that voice_crypto_lanes.h speaks,
 * as far as AVX2 and AVX-512 VL say them alike.  The includer defines VX_FN
 * and VX_PART, and what is declared here:
 *
 *   vx_load_some(p, size)      size bytes, 1 to 32, then zeros
 *   vx_store_some(p, x, size)  size bytes, 1 to 32
 */


#ifndef _VOICE_CRYPTO_VX256_H_INCLUDED_
#define _VOICE_CRYPTO_VX256_H_INCLUDED_


#include <immintrin.h>
#include <stdbool.h>
#include <string.h>


#define VX_LANES  8


typedef __m256i  vx_t;


/* clang does so of its own accord */
#if defined(__clang__)
#define VX_UNROLL
#else
#define VX_UNROLL  _Pragma("GCC unroll 16")
#endif


#define vx_load(p)          _mm256_loadu_si256((const __m256i *) (p))
#define vx_store(p, x)      _mm256_storeu_si256((__m256i *) (p), x)
#define vx_set32(v)         _mm256_set1_epi32((int) (v))
#define vx_set64(v)         _mm256_set1_epi64x((long long) (v))

#define vx_add32(a, b)      _mm256_add_epi32(a, b)
#define vx_sub32(a, b)      _mm256_sub_epi32(a, b)
#define vx_max32(a, b)      _mm256_max_epi32(a, b)
#define vx_gt32(a, b)       _mm256_cmpgt_epi32(a, b)
#define vx_sll32(a, n)      _mm256_slli_epi32(a, n)
#define vx_sllv32(a, n)     _mm256_sllv_epi32(a, n)

#define vx_add64(a, b)      _mm256_add_epi64(a, b)
#define vx_sub64(a, b)      _mm256_sub_epi64(a, b)
#define vx_srl64(a, n)      _mm256_srli_epi64(a, n)
#define vx_sll64(a, n)      _mm256_slli_epi64(a, n)

#define vx_xor(a, b)        _mm256_xor_si256(a, b)
#define vx_and(a, b)        _mm256_and_si256(a, b)
#define vx_or(a, b)         _mm256_or_si256(a, b)
#define vx_andnot(a, b)     _mm256_andnot_si256(a, b)

#define vx_lo32(a, b)       _mm256_unpacklo_epi32(a, b)
#define vx_hi32(a, b)       _mm256_unpackhi_epi32(a, b)
#define vx_lo64(a, b)       _mm256_unpacklo_epi64(a, b)
#define vx_hi64(a, b)       _mm256_unpackhi_epi64(a, b)


VX_FN vx_t vx_load_some(const uint8_t *p, uint32_t size);
VX_FN void vx_store_some(uint8_t *p, vx_t x, uint32_t size);


#include "voice_crypto_quads.h"


/* Eight quads to rows of 32 bytes. */

VX_FN void
vx_rows(vx_t x[8], const vx_t q[8])
{
    int  i;

    VX_UNROLL
    for (i = 0; i < 4; i++) {
        x[i] = _mm256_permute2x128_si256(q[i], q[i + 4], 0x20);
        x[i + 4] = _mm256_permute2x128_si256(q[i], q[i + 4], 0x31);
    }
}


/* Eight vectors of eight words; its own inverse. */

VX_FN void
vx_transpose(vx_t w[8], const vx_t x[8])
{
    vx_t  q[8];

    vx_quads(q, x);
    vx_quads(q + 4, x + 4);
    vx_rows(w, q);
}


VX_PART void
vx_gather_keys(vx_t w[8], const voice_lane_t *lane, size_t n, bool salted)
{
    size_t                     i;
    vx_t                       x[8];
    const voice_crypto_key_t  *key;

    VX_UNROLL
    for (i = 0; i < 8; i++) {
        key = lane[i < n ? i : 0].key;
        x[i] = vx_load(salted ? key->subkey : key->secret);
    }

    vx_transpose(w, x);
}


/* Words at and at + 4 of each nonce. */

VX_PART void
vx_gather_pair(vx_t w[2], const voice_lane_t *lane, size_t n, size_t at)
{
    size_t     i;
    __m256     x, y;
    long long  v[8];

    VX_UNROLL
    for (i = 0; i < 8; i++) {
        memcpy(&v[i], lane[i < n ? i : 0].nonce + at, 8);
    }

    x = _mm256_castsi256_ps(_mm256_setr_epi64x(v[0], v[1], v[4], v[5]));
    y = _mm256_castsi256_ps(_mm256_setr_epi64x(v[2], v[3], v[6], v[7]));

    w[0] = _mm256_castps_si256(_mm256_shuffle_ps(x, y, 0x88));
    w[1] = _mm256_castps_si256(_mm256_shuffle_ps(x, y, 0xDD));
}


/* What a row of size bytes has in its 32 bytes from `from` on. */

VX_FN uint32_t
vx_half(uint32_t size, uint32_t from)
{
    if (size <= from) {
        return 0;
    }

    return size - from < 32 ? size - from : 32;
}


/* 4 * nw bytes from off on; with sizes so many, then zeros. */

VX_PART void
vx_gather(vx_t *w, size_t nw, const uint8_t *const *p, uint32_t off,
    const uint32_t *size)
{
    vx_t      x[8];
    size_t    i;
    uint32_t  from, some;

    for (from = 0; from < 4 * nw; from += 32) {

        VX_UNROLL
        for (i = 0; i < 8; i++) {
            if (size == NULL) {
                x[i] = vx_load(p[i] + off + from);
                continue;
            }

            some = vx_half(size[i], from);
            x[i] = some == 0 ? vx_set32(0)
                             : vx_load_some(p[i] + off + from, some);
        }

        vx_transpose(w + from / 4, x);
    }
}


/* To the first n lanes; with sizes so many bytes, else 4 * nq. */

VX_PART void
vx_scatter(const vx_t *q, size_t nq, const voice_lane_t *lane, uint32_t off,
    const uint32_t *size, size_t n)
{
    vx_t      x[8];
    size_t    i;
    uint32_t  from, some;

    for (from = 0; from < 4 * nq; from += 32) {

        vx_rows(x, q + from / 4);

        VX_UNROLL
        for (i = 0; i < 8; i++) {
            if (i >= n) {
                break;
            }

            if (size == NULL) {
                vx_store(lane[i].out + off + from, x[i]);
                continue;
            }

            some = vx_half(size[i], from);

            if (some != 0) {
                vx_store_some(lane[i].out + off + from, x[i], some);
            }
        }
    }
}


#endif /* _VOICE_CRYPTO_VX256_H_INCLUDED_ */
