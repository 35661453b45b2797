/*
 * Copyright (C) ngx-voice contributors
 *
 * Poly1305 of one message per 64-bit element, with the 32-bit multiplier of
 * AVX2.  A template as voice_crypto_lanes.h is, which uses it.
 *
 * A number modulo 2^130 - 5 has five limbs of 26 bits.
 *
 * Bounds, with h below 2^28 in each limb (a block added to a carried sum), r
 * below 2^26 and 5r below 2^29: a product is below 2^57, five of them are
 * below 2^60, so what leaves limb 4 is below 2^34 and its 5-fold below 2^37.
 */


#ifndef _VOICE_CRYPTO_POLY_H_INCLUDED_
#define _VOICE_CRYPTO_POLY_H_INCLUDED_


#define VOICE_POLY_LIMBS  5

#define VOICE_POLY_26    vx_set64((1ull << 26) - 1)

/* 2^128 in limb 4: what stands behind a whole block */
#define VOICE_POLY_BIT   vx_set64(1ull << 24)

/* what is above 26 bits moves from limb a to limb b */
#define VOICE_POLY_MOVE(h, a, b)                                              \
    (h)[b] = vx_add64((h)[b], vx_srl64((h)[a], 26));                          \
    (h)[a] = vx_and((h)[a], VOICE_POLY_26)


typedef struct {
    vx_t  h[5];
    vx_t  r[5];
    vx_t  s[5];       /* 5 r; s[0] isn't needed */
    vx_t  pad[2];     /* second half of the key */
} voice_poly_t;


VX_FN void
voice_poly_split(vx_t m[5], vx_t lo, vx_t hi)
{
    m[0] = vx_and(lo, VOICE_POLY_26);
    m[1] = vx_and(vx_srl64(lo, 26), VOICE_POLY_26);
    m[2] = vx_and(vx_or(vx_srl64(lo, 52), vx_sll64(hi, 12)), VOICE_POLY_26);
    m[3] = vx_and(vx_srl64(hi, 14), VOICE_POLY_26);
    m[4] = vx_srl64(hi, 40);
}


VX_FN void
voice_poly_init(voice_poly_t *p, vx_t k0, vx_t k1, vx_t k2, vx_t k3)
{
    int  i;

    k0 = vx_and(k0, vx_set64(0x0ffffffc0fffffffull));
    k1 = vx_and(k1, vx_set64(0x0ffffffc0ffffffcull));

    voice_poly_split(p->r, k0, k1);

    VX_UNROLL
    for (i = 0; i < 5; i++) {
        p->h[i] = vx_set64(0);
        p->s[i] = vx_add64(p->r[i], vx_sll64(p->r[i], 2));
    }

    p->pad[0] = k2;
    p->pad[1] = k3;
}


/* h[0] b0 + ... + h[4] b4 */

VX_FN vx_t
voice_poly_sum5(const vx_t h[5], vx_t b0, vx_t b1, vx_t b2, vx_t b3, vx_t b4)
{
    vx_t  d, e;

    d = vx_mul32(h[0], b0);
    e = vx_mul32(h[1], b1);
    d = vx_add64(d, vx_mul32(h[2], b2));
    e = vx_add64(e, vx_mul32(h[3], b3));
    d = vx_add64(d, vx_mul32(h[4], b4));

    return vx_add64(d, e);
}


/* Multiplies by 5 what is above limb 4, and adds it to limb 0. */

VX_FN void
voice_poly_wrap(vx_t h[5])
{
    vx_t  c;

    c = vx_srl64(h[4], 26);
    h[4] = vx_and(h[4], VOICE_POLY_26);
    h[0] = vx_add64(h[0], vx_add64(c, vx_sll64(c, 2)));
}


VX_FN void
voice_poly_multiply(vx_t h[5], const vx_t r[5], const vx_t s[5])
{
    int   i;
    vx_t  d[5];

    d[0] = voice_poly_sum5(h, r[0], s[4], s[3], s[2], s[1]);
    d[1] = voice_poly_sum5(h, r[1], r[0], s[4], s[3], s[2]);
    d[2] = voice_poly_sum5(h, r[2], r[1], r[0], s[4], s[3]);
    d[3] = voice_poly_sum5(h, r[3], r[2], r[1], r[0], s[4]);
    d[4] = voice_poly_sum5(h, r[4], r[3], r[2], r[1], r[0]);

    /* two chains side by side, from limb 0 and from limb 3 */

    VOICE_POLY_MOVE(d, 0, 1);
    VOICE_POLY_MOVE(d, 3, 4);
    VOICE_POLY_MOVE(d, 1, 2);
    voice_poly_wrap(d);
    VOICE_POLY_MOVE(d, 2, 3);
    VOICE_POLY_MOVE(d, 0, 1);
    VOICE_POLY_MOVE(d, 3, 4);

    VX_UNROLL
    for (i = 0; i < 5; i++) {
        h[i] = d[i];
    }
}


/* Adds a block to the sum h, and multiplies. */

VX_FN void
voice_poly_block(vx_t h[VOICE_POLY_LIMBS], const voice_poly_t *p, vx_t lo,
    vx_t hi, vx_t bit)
{
    int   i;
    vx_t  m[5];

    voice_poly_split(m, lo, hi);
    m[4] = vx_or(m[4], bit);

    VX_UNROLL
    for (i = 0; i < 5; i++) {
        h[i] = vx_add64(h[i], m[i]);
    }

    voice_poly_multiply(h, p->r, p->s);
}


VX_FN void
voice_poly_carry(vx_t h[5])
{
    VOICE_POLY_MOVE(h, 0, 1);
    VOICE_POLY_MOVE(h, 1, 2);
    VOICE_POLY_MOVE(h, 2, 3);
    VOICE_POLY_MOVE(h, 3, 4);
    voice_poly_wrap(h);
}


/* Reduces fully, adds the second half of the key, gives 128 bits. */

VX_FN void
voice_poly_finish(voice_poly_t *p, vx_t *lo, vx_t *hi)
{
    int   i;
    vx_t  ge, g[5], m[5];

    voice_poly_carry(p->h);

    /*
     * Limb 0 may have 26 bits and a little more, which both sums below carry
     * on.  h + 5 reaches 2^130 exactly if h is not below 2^130 - 5.
     */

    VX_UNROLL
    for (i = 0; i < 5; i++) {
        g[i] = p->h[i];
    }

    g[0] = vx_add64(g[0], vx_set64(5));
    VOICE_POLY_MOVE(g, 0, 1);
    VOICE_POLY_MOVE(g, 1, 2);
    VOICE_POLY_MOVE(g, 2, 3);
    VOICE_POLY_MOVE(g, 3, 4);

    ge = vx_sub64(vx_set64(0), vx_srl64(g[4], 26));
    g[4] = vx_and(g[4], VOICE_POLY_26);

    voice_poly_split(m, p->pad[0], p->pad[1]);

    VX_UNROLL
    for (i = 0; i < 5; i++) {
        g[i] = vx_or(vx_and(ge, g[i]), vx_andnot(ge, p->h[i]));
        g[i] = vx_add64(g[i], m[i]);
    }

    VOICE_POLY_MOVE(g, 0, 1);
    VOICE_POLY_MOVE(g, 1, 2);
    VOICE_POLY_MOVE(g, 2, 3);
    VOICE_POLY_MOVE(g, 3, 4);

    *lo = vx_or(g[0], vx_or(vx_sll64(g[1], 26), vx_sll64(g[2], 52)));
    *hi = vx_or(vx_or(vx_srl64(g[2], 12), vx_sll64(g[3], 14)),
                vx_sll64(g[4], 40));
}


#endif /* _VOICE_CRYPTO_POLY_H_INCLUDED_ */
