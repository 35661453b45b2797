/*
 * Copyright (C) ngx-voice contributors
 *
 * AES-256-GCM with VAES and VPCLMULQDQ: four blocks in a vector, four lanes
 * in step.
 *
 * Two vectors of each lane are in the air at once, eight blocks, the first
 * of which makes the tag's mask.  For the hash that first place is free; the
 * last block of AAD goes there, so that hash and text run in step:
 *
 *   vector   1                2            3
 *   stream   mask t0 t1 t2    t3 t4 t5 t6  ...
 *   hash     aad  c0 c1 c2    c3 c4 c5 c6  ...   lengths
 *
 * Lanes of the same lengths need the same steps, whatever their keys and
 * texts; folding four sums and reducing them is one piece of work for all
 * four.
 */


#include "voice_crypto_kernel.h"


#if defined(__x86_64__)


#include "voice_crypto_gcm.h"

#include <sodium.h>
#include <stdbool.h>
#include <string.h>


#define VOICE_VAES_LANES   4

#define VOICE_VAES_TARGET  "avx2,bmi2,sse4.1,aes,pclmul,avx512f,avx512dq,"    \
                           "avx512bw,avx512vl,vaes,vpclmulqdq"
#define VOICE_VAES_FN      static inline __attribute__((always_inline,        \
                                               target(VOICE_VAES_TARGET)))

/* clang does so of its own accord */
#if defined(__clang__)
#define VOICE_VAES_UNROLL
#else
#define VOICE_VAES_UNROLL  _Pragma("GCC unroll 4")
#endif

/* the first `size` bytes, at most 64 */
#define voice_vaes_mask(size)  _bzhi_u64(0xFFFFFFFFFFFFFFFFull, size)


typedef struct {
    __m512i   lo;
    __m512i   mid;
    __m512i   hi;
} voice_vaes_sum_t;


/* Up to four packets on their way. */
typedef struct {
    const voice_gcm_key_t  *key[VOICE_VAES_LANES];
    const uint8_t          *in[VOICE_VAES_LANES];
    uint8_t                *out[VOICE_VAES_LANES];
    __m512i                 counter[VOICE_VAES_LANES];  /* bytes reversed */
    __m512i                 ks[VOICE_VAES_LANES][2];    /* key stream */
    __m128i                 mask[VOICE_VAES_LANES];     /* of the tag */
    voice_vaes_sum_t        sum[VOICE_VAES_LANES];
    __m128i                 carry[VOICE_VAES_LANES];    /* to next block */

    /* the same for all */

    size_t                  len;        /* bytes of text that are left */
    size_t                  blocks;     /* of the hash that are left */
    size_t                  power;      /* of the next block */
} voice_vaes_t;


VOICE_VAES_FN __m512i
voice_vaes_reverse(__m512i x)
{
    return _mm512_shuffle_epi8(x, _mm512_broadcast_i32x4(
                           _mm_set_epi8(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11,
                                        12, 13, 14, 15)));
}


VOICE_VAES_FN void
voice_vaes_zero(voice_vaes_sum_t *s)
{
    s->lo = _mm512_setzero_si512();
    s->mid = _mm512_setzero_si512();
    s->hi = _mm512_setzero_si512();
}


VOICE_VAES_FN void
voice_vaes_add(voice_vaes_sum_t *s, __m512i x, __m512i power)
{
    s->lo = _mm512_xor_si512(s->lo, _mm512_clmulepi64_epi128(x, power, 0x00));
    s->hi = _mm512_xor_si512(s->hi, _mm512_clmulepi64_epi128(x, power, 0x11));

    /* 0x96: the exclusive or of three */

    s->mid = _mm512_ternarylogic_epi64(s->mid,
                                    _mm512_clmulepi64_epi128(x, power, 0x01),
                                    _mm512_clmulepi64_epi128(x, power, 0x10),
                                    0x96);
}


/* As voice_gcm_reduce(), for four sums. */

VOICE_VAES_FN __m512i
voice_vaes_reduce(const voice_vaes_sum_t *s)
{
    __m512i  lo, hi;

    const __m512i  poly = _mm512_set1_epi64((long long) 0xC200000000000000ull);

    lo = _mm512_xor_si512(s->lo, _mm512_bslli_epi128(s->mid, 8));
    hi = _mm512_xor_si512(s->hi, _mm512_bsrli_epi128(s->mid, 8));

    lo = _mm512_xor_si512(_mm512_shuffle_epi32(lo, (_MM_PERM_ENUM) 0x4E),
                          _mm512_clmulepi64_epi128(lo, poly, 0x00));
    lo = _mm512_xor_si512(_mm512_shuffle_epi32(lo, (_MM_PERM_ENUM) 0x4E),
                          _mm512_clmulepi64_epi128(lo, poly, 0x00));

    return _mm512_xor_si512(hi, lo);
}


/* The parts of each of four vectors added up: of the i-th, in part i. */

VOICE_VAES_FN __m512i
voice_vaes_fold(__m512i a, __m512i b, __m512i c, __m512i d)
{
    __m512i  x, y;

    x = _mm512_xor_si512(_mm512_shuffle_i32x4(a, b, 0x44),
                         _mm512_shuffle_i32x4(a, b, 0xEE));
    y = _mm512_xor_si512(_mm512_shuffle_i32x4(c, d, 0x44),
                         _mm512_shuffle_i32x4(c, d, 0xEE));

    return _mm512_xor_si512(_mm512_shuffle_i32x4(x, y, 0x88),
                            _mm512_shuffle_i32x4(x, y, 0xDD));
}


/* Brings the sums of all lanes together, lane i's in part i. */

VOICE_VAES_FN voice_vaes_sum_t
voice_vaes_collect(const voice_vaes_sum_t *v, const size_t lanes)
{
    voice_vaes_sum_t  s;

    if (lanes == 1) {
        s.lo = voice_vaes_fold(v[0].lo, v[0].lo, v[0].lo, v[0].lo);
        s.mid = voice_vaes_fold(v[0].mid, v[0].mid, v[0].mid, v[0].mid);
        s.hi = voice_vaes_fold(v[0].hi, v[0].hi, v[0].hi, v[0].hi);

    } else {
        s.lo = voice_vaes_fold(v[0].lo, v[1].lo, v[2].lo, v[3].lo);
        s.mid = voice_vaes_fold(v[0].mid, v[1].mid, v[2].mid, v[3].mid);
        s.hi = voice_vaes_fold(v[0].hi, v[1].hi, v[2].hi, v[3].hi);
    }

    return s;
}


/* One 128-bit value of each lane, side by side. */

VOICE_VAES_FN __m512i
voice_vaes_join(const __m128i *x, const size_t lanes)
{
    __m512i  v;

    v = _mm512_zextsi128_si512(x[0]);

    if (lanes == 1) {
        return v;
    }

    v = _mm512_inserti32x4(v, x[1], 1);
    v = _mm512_inserti32x4(v, x[2], 2);

    return _mm512_inserti32x4(v, x[3], 3);
}


VOICE_VAES_FN void
voice_vaes_part(__m128i *x, __m512i v, const size_t lanes)
{
    x[0] = _mm512_castsi512_si128(v);

    if (lanes == 1) {
        return;
    }

    x[1] = _mm512_extracti32x4_epi32(v, 1);
    x[2] = _mm512_extracti32x4_epi32(v, 2);
    x[3] = _mm512_extracti32x4_epi32(v, 3);
}


/* The next nv vectors of key stream of each lane. */

#define VOICE_VAES_ROUND(g, v, r, step)                                       \
    VOICE_VAES_UNROLL                                                         \
    for (i = 0; i < lanes; i++) {                                             \
        rk = _mm512_broadcast_i32x4(voice_gcm_load((g)->key[i]->round[r]));   \
                                                                              \
        VOICE_VAES_UNROLL                                                     \
        for (j = 0; j < nv; j++) {                                            \
            (v)[i][j] = step((v)[i][j], rk);                                  \
        }                                                                     \
    }

VOICE_VAES_FN void
voice_vaes_stream(voice_vaes_t *g, const size_t lanes, const size_t nv)
{
    size_t   i, j, r;
    __m512i  rk, v[VOICE_VAES_LANES][2];

    const __m512i  next = _mm512_broadcast_i32x4(_mm_set_epi32(0, 0, 0, 4));

    VOICE_VAES_UNROLL
    for (i = 0; i < lanes; i++) {

        VOICE_VAES_UNROLL
        for (j = 0; j < nv; j++) {
            v[i][j] = voice_vaes_reverse(g->counter[i]);
            g->counter[i] = _mm512_add_epi32(g->counter[i], next);
        }
    }

    VOICE_VAES_ROUND(g, v, 0, _mm512_xor_si512)

    for (r = 1; r < VOICE_GCM_ROUNDS; r++) {
        VOICE_VAES_ROUND(g, v, r, _mm512_aesenc_epi128)
    }

    VOICE_VAES_ROUND(g, v, VOICE_GCM_ROUNDS, _mm512_aesenclast_epi128)

    VOICE_VAES_UNROLL
    for (i = 0; i < lanes; i++) {

        VOICE_VAES_UNROLL
        for (j = 0; j < nv; j++) {
            g->ks[i][j] = v[i][j];
        }
    }
}


/*
 * A vector of text of each lane, with its key stream ks[i][j].  In the first
 * vector, three blocks of text are behind the place of the mask.
 */

VOICE_VAES_FN void
voice_vaes_text(voice_vaes_t *g, const size_t j, const size_t lanes,
    const bool first, const bool open)
{
    size_t     i, size, blocks;
    __m512i    x, y, h, power;
    __mmask8   words;
    __mmask64  bytes;

    const __m512i  up = _mm512_setr_epi64(0, 0, 0, 1, 2, 3, 4, 5);
    const __m512i  down = _mm512_setr_epi64(2, 3, 4, 5, 6, 7, 0, 1);

    size = first ? 48 : 64;
    size = g->len < size ? g->len : size;
    bytes = voice_vaes_mask(size);
    blocks = (size + VOICE_GCM_BLOCK - 1) / VOICE_GCM_BLOCK + (first ? 1 : 0);

    /* at the end fewer blocks than places: no power is behind the last */

    words = (__mmask8) _bzhi_u32(0xFF, 2 * (uint32_t) blocks);

    VOICE_VAES_UNROLL
    for (i = 0; i < lanes; i++) {
        x = _mm512_maskz_loadu_epi8(bytes, g->in[i]);
        y = first ? _mm512_permutexvar_epi64(down, g->ks[i][j]) : g->ks[i][j];
        y = _mm512_maskz_mov_epi8(bytes, _mm512_xor_si512(x, y));
        _mm512_mask_storeu_epi8(g->out[i], bytes, y);

        h = open ? x : y;
        h = first ? _mm512_maskz_permutexvar_epi64(0xFC, up, h) : h;
        h = _mm512_xor_si512(voice_vaes_reverse(h),
                             _mm512_zextsi128_si512(g->carry[i]));
        g->carry[i] = _mm_setzero_si128();

        power = _mm512_maskz_loadu_epi64(words, voice_gcm_power(g->key[i],
                                                                g->power));
        voice_vaes_add(&g->sum[i], h, power);

        g->in[i] += size;
        g->out[i] += size;
    }

    g->len -= size;
    g->power -= blocks;
    g->blocks -= blocks;
}


/* Sixteen blocks are summed up, and the text goes on. */

VOICE_VAES_FN void
voice_vaes_wrap(voice_vaes_t *g, const size_t lanes)
{
    size_t            i;
    voice_vaes_sum_t  s;

    if (g->power != 0) {
        return;
    }

    s = voice_vaes_collect(g->sum, lanes);
    voice_vaes_part(g->carry, voice_vaes_reduce(&s), lanes);

    VOICE_VAES_UNROLL
    for (i = 0; i < lanes; i++) {
        voice_vaes_zero(&g->sum[i]);
    }

    g->power = voice_gcm_first_power(g->blocks);
}


VOICE_VAES_FN void
voice_vaes_begin(voice_vaes_t *g, const voice_lane_t *lane,
    const voice_lane_t *shared, const size_t lanes)
{
    size_t               i;
    const voice_lane_t  *from;

    VOICE_VAES_UNROLL
    for (i = 0; i < lanes; i++) {
        from = shared != NULL ? shared : &lane[i];

        g->key[i] = (const voice_gcm_key_t *) lane[i].key->gcm;
        g->in[i] = from->in;
        g->out[i] = lane[i].out;
        g->carry[i] = voice_gcm_aad(g->key[i], from->aad, from->aad_len);
        g->counter[i] = _mm512_add_epi32(
                            _mm512_broadcast_i32x4(
                                voice_gcm_counter(lane[i].nonce)),
                            _mm512_setr_epi32(0, 0, 0, 0, 1, 0, 0, 0,
                                              2, 0, 0, 0, 3, 0, 0, 0));
        voice_vaes_zero(&g->sum[i]);
    }

    from = shared != NULL ? shared : lane;

    g->len = from->len;
    g->blocks = voice_gcm_blocks(from->len);
    g->power = voice_gcm_first_power(g->blocks);
}


VOICE_VAES_FN void
voice_vaes_first(voice_vaes_t *g, const size_t lanes, const bool open)
{
    size_t  i;

    VOICE_VAES_UNROLL
    for (i = 0; i < lanes; i++) {
        g->mask[i] = _mm512_castsi512_si128(g->ks[i][0]);
    }

    voice_vaes_text(g, 0, lanes, true, open);
}


/* All of the text.  The first vector has room for 48 bytes. */

VOICE_VAES_FN void
voice_vaes_run(voice_vaes_t *g, const size_t lanes, const bool open)
{
    if (g->len > 48) {
        voice_vaes_stream(g, lanes, 2);
        voice_vaes_first(g, lanes, open);
        voice_vaes_text(g, 1, lanes, false, open);

    } else {
        voice_vaes_stream(g, lanes, 1);
        voice_vaes_first(g, lanes, open);
    }

    while (g->len > 64) {
        voice_vaes_stream(g, lanes, 2);
        voice_vaes_text(g, 0, lanes, false, open);
        voice_vaes_wrap(g, lanes);
        voice_vaes_text(g, 1, lanes, false, open);
        voice_vaes_wrap(g, lanes);
    }

    if (g->len != 0) {
        voice_vaes_stream(g, lanes, 1);
        voice_vaes_text(g, 0, lanes, false, open);
        voice_vaes_wrap(g, lanes);
    }
}


VOICE_VAES_FN void
voice_vaes_tags(voice_vaes_t *g, voice_lane_t *lane,
    const voice_lane_t *from, const size_t lanes, const bool open)
{
    size_t            i;
    __m128i           h[VOICE_VAES_LANES];
    __m512i           last, tag;
    uint8_t           tags[VOICE_VAES_LANES][VOICE_TAG_LEN];
    voice_vaes_sum_t  s;

    VOICE_VAES_UNROLL
    for (i = 0; i < lanes; i++) {
        h[i] = voice_gcm_load(voice_gcm_power(g->key[i], 1));
    }

    last = _mm512_broadcast_i32x4(voice_gcm_lengths(from->aad_len,
                                                    from->len));
    last = _mm512_xor_si512(last, voice_vaes_join(g->carry, lanes));

    s = voice_vaes_collect(g->sum, lanes);
    voice_vaes_add(&s, last, voice_vaes_join(h, lanes));

    tag = voice_vaes_reverse(voice_vaes_reduce(&s));
    tag = _mm512_xor_si512(tag, voice_vaes_join(g->mask, lanes));

    _mm512_storeu_si512(tags, tag);

    for (i = 0; i < lanes; i++) {

        if (!open) {
            memcpy(lane[i].tag, tags[i], VOICE_TAG_LEN);
            lane[i].err = VOICE_OK;
            continue;
        }

        lane[i].err = crypto_verify_16(tags[i], lane[i].tag) == 0
                      ? VOICE_OK : VOICE_E_AUTH;
    }
}


VOICE_VAES_FN void
voice_vaes_lanes(voice_lane_t *lane, const voice_lane_t *shared,
    const size_t lanes, const bool open)
{
    voice_vaes_t  g;

    voice_vaes_begin(&g, lane, shared, lanes);
    voice_vaes_run(&g, lanes, open);
    voice_vaes_tags(&g, lane, shared != NULL ? shared : lane, lanes, open);
}


static __attribute__((noinline, target(VOICE_VAES_TARGET))) void
voice_vaes_seal_four(voice_lane_t *lane, const voice_lane_t *shared)
{
    voice_vaes_lanes(lane, shared, VOICE_VAES_LANES, false);
}


static __attribute__((noinline, target(VOICE_VAES_TARGET))) void
voice_vaes_seal_one(voice_lane_t *lane, const voice_lane_t *shared)
{
    voice_vaes_lanes(lane, shared, 1, false);
}


static __attribute__((noinline, target(VOICE_VAES_TARGET))) void
voice_vaes_open_one(voice_lane_t *lane)
{
    voice_vaes_lanes(lane, NULL, 1, true);
}


void
voice_lanes_avx512_gcm(voice_lane_t *lane, size_t n, voice_lanes_how_t how)
{
    size_t               i;
    const voice_lane_t  *shared;

    if (how == VOICE_LANES_OPEN) {
        for (i = 0; i < n; i++) {
            voice_vaes_open_one(&lane[i]);
        }

        return;
    }

    shared = how == VOICE_LANES_SEAL_SAME ? lane : NULL;
    i = 0;

    if (shared != NULL) {
        for ( /* void */ ; n - i >= VOICE_VAES_LANES; i += VOICE_VAES_LANES) {
            voice_vaes_seal_four(&lane[i], shared);
        }
    }

    for ( /* void */ ; i < n; i++) {
        voice_vaes_seal_one(&lane[i], shared);
    }
}


#endif /* __x86_64__ */
