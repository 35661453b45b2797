/*
 * Copyright (C) ngx-voice contributors
 *
 * XSalsa20-Poly1305 and XChaCha20-Poly1305, 16 lanes, AVX-512.
 */


#include "voice_crypto_kernel.h"


#if defined(__x86_64__)


#include <immintrin.h>
#include <stdbool.h>
#include <string.h>


#define VX_TARGET  "avx2,bmi2,avx512f,avx512dq,avx512bw,avx512vl,avx512ifma"
#define VX_FN      static inline __attribute__((always_inline,                \
                                                target(VX_TARGET)))
#define VX_PART    static __attribute__((noinline, target(VX_TARGET)))
#define VX_LANES      16
#define VX_REGISTERS  32


typedef __m512i  vx_t;


/* clang does so of its own accord */
#if defined(__clang__)
#define VX_UNROLL
#else
#define VX_UNROLL  _Pragma("GCC unroll 16")
#endif


#define vx_load(p)              _mm512_loadu_si512((const void *) (p))
#define vx_store(p, x)          _mm512_storeu_si512((void *) (p), x)
#define vx_set32(v)             _mm512_set1_epi32((int) (v))
#define vx_set64(v)             _mm512_set1_epi64((long long) (v))

#define vx_add32(a, b)          _mm512_add_epi32(a, b)
#define vx_sub32(a, b)          _mm512_sub_epi32(a, b)
#define vx_max32(a, b)          _mm512_max_epi32(a, b)
#define vx_gt32(a, b)           _mm512_movm_epi32(_mm512_cmpgt_epi32_mask(a, b))
#define vx_rol32(x, n)          _mm512_rol_epi32(x, n)
#define vx_xor_rol32(a, b, n)   vx_xor(a, vx_rol32(b, n))
#define vx_sll32(a, n)          _mm512_slli_epi32(a, n)
#define vx_sllv32(a, n)         _mm512_sllv_epi32(a, n)

#define vx_add64(a, b)          _mm512_add_epi64(a, b)
#define vx_sub64(a, b)          _mm512_sub_epi64(a, b)
#define vx_srl64(a, n)          _mm512_srli_epi64(a, n)
#define vx_sll64(a, n)          _mm512_slli_epi64(a, n)
#define vx_madlo52(acc, a, b)   _mm512_madd52lo_epu64(acc, a, b)
#define vx_madhi52(acc, a, b)   _mm512_madd52hi_epu64(acc, a, b)

#define vx_xor(a, b)            _mm512_xor_si512(a, b)
#define vx_and(a, b)            _mm512_and_si512(a, b)
#define vx_or(a, b)             _mm512_or_si512(a, b)
#define vx_andnot(a, b)         _mm512_andnot_si512(a, b)

#define vx_lo32(a, b)           _mm512_unpacklo_epi32(a, b)
#define vx_hi32(a, b)           _mm512_unpackhi_epi32(a, b)
#define vx_lo64(a, b)           _mm512_unpacklo_epi64(a, b)
#define vx_hi64(a, b)           _mm512_unpackhi_epi64(a, b)

/* the first `size` bytes, at most 64 */
#define vx_mask(size)           _bzhi_u64(0xFFFFFFFFFFFFFFFFull, size)

/* 128-bit parts of two vectors: 0 and 1 of each, 2 and 3, evens, odds */
#define vx_parts(a, b, which)   _mm512_shuffle_i32x4(a, b, which)
#define VX_PARTS_LOW            0x44
#define VX_PARTS_HIGH           0xEE
#define VX_PARTS_EVEN           0x88
#define VX_PARTS_ODD            0xDD


#include "voice_crypto_quads.h"


/* Sixteen quads to rows of 64 bytes. */

VX_FN void
vx_rows(vx_t x[16], const vx_t q[16])
{
    int   i;
    vx_t  a, b, c, d;

    VX_UNROLL
    for (i = 0; i < 4; i++) {
        a = vx_parts(q[i], q[i + 4], VX_PARTS_LOW);
        b = vx_parts(q[i + 8], q[i + 12], VX_PARTS_LOW);
        c = vx_parts(q[i], q[i + 4], VX_PARTS_HIGH);
        d = vx_parts(q[i + 8], q[i + 12], VX_PARTS_HIGH);

        x[i] = vx_parts(a, b, VX_PARTS_EVEN);
        x[i + 4] = vx_parts(a, b, VX_PARTS_ODD);
        x[i + 8] = vx_parts(c, d, VX_PARTS_EVEN);
        x[i + 12] = vx_parts(c, d, VX_PARTS_ODD);
    }
}


/* A vector has two rows of 32 bytes: lanes i and i + 4 of a row of eight. */

VX_PART void
vx_gather_keys(vx_t w[8], const voice_lane_t *lane, size_t n, bool salted)
{
    size_t                     i, j, k;
    vx_t                       x[8], q[8];
    __m256i                    row[2];
    const voice_crypto_key_t  *key;

    VX_UNROLL
    for (i = 0; i < 8; i++) {

        VX_UNROLL
        for (k = 0; k < 2; k++) {
            j = i / 4 * 8 + i % 4 + 4 * k;
            key = lane[j < n ? j : 0].key;
            row[k] = _mm256_loadu_si256((const __m256i *)
                                        (salted ? key->subkey : key->secret));
        }

        x[i] = _mm512_inserti64x4(_mm512_castsi256_si512(row[0]), row[1], 1);
    }

    vx_quads(q, x);
    vx_quads(q + 4, x + 4);

    VX_UNROLL
    for (i = 0; i < 4; i++) {
        w[i] = vx_parts(q[i], q[i + 4], VX_PARTS_EVEN);
        w[i + 4] = vx_parts(q[i], q[i + 4], VX_PARTS_ODD);
    }
}


/* Words at and at + 4 of each nonce. */

VX_PART void
vx_gather_pair(vx_t w[2], const voice_lane_t *lane, size_t n, size_t at)
{
    size_t     i;
    __m512     x, y;
    long long  v[16];

    VX_UNROLL
    for (i = 0; i < 16; i++) {
        memcpy(&v[i], lane[i < n ? i : 0].nonce + at, 8);
    }

    x = _mm512_castsi512_ps(_mm512_setr_epi64(v[0], v[1], v[4], v[5], v[8],
                                              v[9], v[12], v[13]));
    y = _mm512_castsi512_ps(_mm512_setr_epi64(v[2], v[3], v[6], v[7], v[10],
                                              v[11], v[14], v[15]));

    w[0] = _mm512_castps_si512(_mm512_shuffle_ps(x, y, 0x88));
    w[1] = _mm512_castps_si512(_mm512_shuffle_ps(x, y, 0xDD));
}


/* 4 * nw bytes from off on; with sizes so many, then zeros. */

VX_PART void
vx_gather(vx_t *w, size_t nw, const uint8_t *const *p, uint32_t off,
    const uint32_t *size)
{
    vx_t      x[16], q[16];
    size_t    i;
    uint32_t  some;

    some = 4 * (uint32_t) nw;

    VX_UNROLL
    for (i = 0; i < 16; i++) {
        if (size != NULL) {
            some = size[i];
        }

        x[i] = some == 0 ? vx_set32(0)
                         : _mm512_maskz_loadu_epi8(vx_mask(some), p[i] + off);
    }

    /* quads and rows together are a transpose, its own inverse */

    VX_UNROLL
    for (i = 0; i < 16; i += 4) {
        vx_quads(q + i, x + i);
    }

    vx_rows(w, q);
}


/* Columns of 16 bytes: four lanes in a vector, the others in three more. */

VX_PART void
vx_scatter_quads(const vx_t q[4], const voice_lane_t *lane, uint32_t off,
    const uint32_t *size, size_t n)
{
    size_t   i;
    __m128i  x[16];

    VX_UNROLL
    for (i = 0; i < 4; i++) {
        x[i] = _mm512_castsi512_si128(q[i]);
        x[i + 4] = _mm512_extracti32x4_epi32(q[i], 1);
        x[i + 8] = _mm512_extracti32x4_epi32(q[i], 2);
        x[i + 12] = _mm512_extracti32x4_epi32(q[i], 3);
    }

    VX_UNROLL
    for (i = 0; i < 16; i++) {
        if (i >= n) {
            break;
        }

        if (size == NULL) {
            _mm_storeu_si128((__m128i *) (lane[i].out + off), x[i]);

        } else if (size[i] != 0) {
            _mm_mask_storeu_epi8(lane[i].out + off,
                                 (__mmask16) _bzhi_u32(0xFFFF, size[i]), x[i]);
        }
    }
}


/* Of 32 bytes: two lanes in a vector, i and i + 8. */

VX_PART void
vx_scatter_halves(const vx_t q[8], const voice_lane_t *lane, uint32_t off,
    const uint32_t *size, size_t n)
{
    vx_t     x[8];
    size_t   i;
    __m256i  y;

    const vx_t  even = _mm512_setr_epi64(0, 1, 8, 9, 4, 5, 12, 13);
    const vx_t  odd = _mm512_setr_epi64(2, 3, 10, 11, 6, 7, 14, 15);

    VX_UNROLL
    for (i = 0; i < 4; i++) {
        x[i] = _mm512_permutex2var_epi64(q[i], even, q[i + 4]);
        x[i + 4] = _mm512_permutex2var_epi64(q[i], odd, q[i + 4]);
    }

    VX_UNROLL
    for (i = 0; i < 16; i++) {
        if (i >= n) {
            break;
        }

        y = i < 8 ? _mm512_castsi512_si256(x[i % 8])
                  : _mm512_extracti64x4_epi64(x[i % 8], 1);

        if (size == NULL) {
            _mm256_storeu_si256((__m256i *) (lane[i].out + off), y);

        } else if (size[i] != 0) {
            _mm256_mask_storeu_epi8(lane[i].out + off,
                                    _bzhi_u32(0xFFFFFFFF, size[i]), y);
        }
    }
}


/* Of 64 bytes. */

VX_PART void
vx_scatter_rows(const vx_t q[16], const voice_lane_t *lane, uint32_t off,
    const uint32_t *size, size_t n)
{
    vx_t    x[16];
    size_t  i;

    vx_rows(x, q);

    VX_UNROLL
    for (i = 0; i < 16; i++) {
        if (i >= n) {
            break;
        }

        if (size == NULL) {
            vx_store(lane[i].out + off, x[i]);

        } else if (size[i] != 0) {
            _mm512_mask_storeu_epi8(lane[i].out + off, vx_mask(size[i]), x[i]);
        }
    }
}


/* To the first n lanes; with sizes so many bytes, else 4 * nq. */

VX_FN void
vx_scatter(const vx_t *q, size_t nq, const voice_lane_t *lane, uint32_t off,
    const uint32_t *size, size_t n)
{
    if (nq > 8) {
        vx_scatter_rows(q, lane, off, size, n);

    } else if (nq > 4) {
        vx_scatter_halves(q, lane, off, size, n);

    } else {
        vx_scatter_quads(q, lane, off, size, n);
    }
}


#include "voice_crypto_poly44.h"
#include "voice_crypto_lanes.h"


void
voice_lanes_avx512_xsalsa20(voice_lane_t *lane, size_t n,
    voice_lanes_how_t how)
{
    if (n <= VX_LANES / 2) {
        voice_lanes_avx512vl_xsalsa20(lane, n, how);
        return;
    }

    voice_lanes_all(lane, n, how, VOICE_CIPHER_XSALSA20_POLY1305);
}


void
voice_lanes_avx512_xsalsa20_salt(voice_lane_t *lane, size_t n,
    voice_lanes_how_t how)
{
    if (n <= VX_LANES / 2) {
        voice_lanes_avx512vl_xsalsa20_salt(lane, n, how);
        return;
    }

    voice_lanes_all(lane, n, how, VOICE_CIPHER_XSALSA20_POLY1305_SALT);
}


void
voice_lanes_avx512_xchacha20(voice_lane_t *lane, size_t n,
    voice_lanes_how_t how)
{
    if (n <= VX_LANES / 2) {
        voice_lanes_avx512vl_xchacha20(lane, n, how);
        return;
    }

    voice_lanes_all(lane, n, how, VOICE_CIPHER_XCHACHA20_POLY1305);
}


#endif /* __x86_64__ */
