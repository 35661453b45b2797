/*
 * Copyright (C) ngx-voice contributors
 *
 * Poly1305 of one message per 64-bit element, with the 52-bit multiply-add
 * of AVX-512 IFMA.  A template as voice_crypto_lanes.h is, which uses it.
 *
 * A number modulo 2^130 - 5 has limbs of 44, 44 and 42 bits.  The multiplier
 * takes 52-bit factors and adds either the low or the high 52 bits of the
 * product, so the high halves are gathered apart: one of limb k has the
 * weight 2^(44k + 52), which is limb k + 1, times 2^8; and one of limb 2,
 * 2^140, is limb 0, times 5 * 2^10.  Those factors are low halves, too.
 *
 * Bounds, with h below 2^45 2^45 2^43 (a block added to a carried sum), r
 * below 2^44 and s = 20r below 2^49: three low halves are below 2^54, three
 * high ones below 2^43, times 2^8 below 2^51.  Those of limb 2 have no s in
 * them: below 2^39, times 5 * 2^10 below 2^52, and so is limb 0 with them.
 */


#ifndef _VOICE_CRYPTO_POLY_H_INCLUDED_
#define _VOICE_CRYPTO_POLY_H_INCLUDED_


#define VOICE_POLY_LIMBS  3

#define VOICE_POLY_44    vx_set64((1ull << 44) - 1)
#define VOICE_POLY_42    vx_set64((1ull << 42) - 1)

/* 2^128 in limb 2: what stands behind a whole block */
#define VOICE_POLY_BIT   vx_set64(1ull << 40)


typedef struct {
    vx_t  h[3];
    vx_t  r[3];
    vx_t  s[3];       /* 20 r: 2^132 is 4 * 5; s[0] isn't needed */
    vx_t  pad[2];     /* second half of the key */
} voice_poly_t;


VX_FN void
voice_poly_split(vx_t m[3], vx_t lo, vx_t hi)
{
    m[0] = vx_and(lo, VOICE_POLY_44);
    m[1] = vx_and(vx_or(vx_srl64(lo, 44), vx_sll64(hi, 20)), VOICE_POLY_44);
    m[2] = vx_srl64(hi, 24);
}


VX_FN void
voice_poly_init(voice_poly_t *p, vx_t k0, vx_t k1, vx_t k2, vx_t k3)
{
    int  i;

    k0 = vx_and(k0, vx_set64(0x0ffffffc0fffffffull));
    k1 = vx_and(k1, vx_set64(0x0ffffffc0ffffffcull));

    voice_poly_split(p->r, k0, k1);

    VX_UNROLL
    for (i = 0; i < 3; i++) {
        p->h[i] = vx_set64(0);
        p->s[i] = vx_add64(vx_sll64(p->r[i], 4), vx_sll64(p->r[i], 2));
    }

    p->pad[0] = k2;
    p->pad[1] = k3;
}


VX_FN void
voice_poly_multiply(vx_t h[3], const vx_t r[3], const vx_t s[3])
{
    vx_t  d0, d1, d2, e0, e1, e2;

    const vx_t  zero = vx_set64(0);

    d0 = vx_madlo52(zero, h[0], r[0]);
    e0 = vx_madhi52(zero, h[0], r[0]);
    d1 = vx_madlo52(zero, h[0], r[1]);
    e1 = vx_madhi52(zero, h[0], r[1]);
    d2 = vx_madlo52(zero, h[0], r[2]);
    e2 = vx_madhi52(zero, h[0], r[2]);

    d0 = vx_madlo52(d0, h[1], s[2]);
    e0 = vx_madhi52(e0, h[1], s[2]);
    d1 = vx_madlo52(d1, h[1], r[0]);
    e1 = vx_madhi52(e1, h[1], r[0]);
    d2 = vx_madlo52(d2, h[1], r[1]);
    e2 = vx_madhi52(e2, h[1], r[1]);

    d0 = vx_madlo52(d0, h[2], s[1]);
    e0 = vx_madhi52(e0, h[2], s[1]);
    d1 = vx_madlo52(d1, h[2], s[2]);
    e1 = vx_madhi52(e1, h[2], s[2]);
    d2 = vx_madlo52(d2, h[2], r[0]);
    e2 = vx_madhi52(e2, h[2], r[0]);

    d1 = vx_madlo52(d1, e0, vx_set64(1 << 8));
    d2 = vx_madlo52(d2, e1, vx_set64(1 << 8));

    d1 = vx_add64(d1, vx_srl64(d0, 44));
    h[0] = vx_and(d0, VOICE_POLY_44);

    d2 = vx_add64(d2, vx_srl64(d1, 44));
    h[1] = vx_and(d1, VOICE_POLY_44);

    h[0] = vx_madlo52(h[0], e2, vx_set64(5 << 10));
    h[0] = vx_madlo52(h[0], vx_srl64(d2, 42), vx_set64(5));
    h[2] = vx_and(d2, VOICE_POLY_42);

    h[1] = vx_add64(h[1], vx_srl64(h[0], 44));
    h[0] = vx_and(h[0], VOICE_POLY_44);
}


/* Adds a block to the sum h, and multiplies. */

VX_FN void
voice_poly_block(vx_t h[VOICE_POLY_LIMBS], const voice_poly_t *p, vx_t lo,
    vx_t hi, vx_t bit)
{
    vx_t  m[3];

    voice_poly_split(m, lo, hi);

    h[0] = vx_add64(h[0], m[0]);
    h[1] = vx_add64(h[1], m[1]);
    h[2] = vx_add64(h[2], vx_or(m[2], bit));

    voice_poly_multiply(h, p->r, p->s);
}


VX_FN void
voice_poly_carry(vx_t h[3])
{
    vx_t  c;

    h[1] = vx_add64(h[1], vx_srl64(h[0], 44));
    h[0] = vx_and(h[0], VOICE_POLY_44);

    h[2] = vx_add64(h[2], vx_srl64(h[1], 44));
    h[1] = vx_and(h[1], VOICE_POLY_44);

    c = vx_srl64(h[2], 42);
    h[2] = vx_and(h[2], VOICE_POLY_42);

    h[0] = vx_add64(h[0], vx_add64(c, vx_sll64(c, 2)));
}


/* Reduces fully, adds the second half of the key, gives 128 bits. */

VX_FN void
voice_poly_finish(voice_poly_t *p, vx_t *lo, vx_t *hi)
{
    int   i;
    vx_t  ge, g[3], m[3];

    voice_poly_carry(p->h);

    /*
     * Limb 0 may have 44 bits and a little more, which both sums below carry
     * on.  h + 5 reaches 2^130 exactly if h is not below 2^130 - 5.
     */

    g[0] = vx_add64(p->h[0], vx_set64(5));
    g[1] = vx_add64(p->h[1], vx_srl64(g[0], 44));
    g[2] = vx_add64(p->h[2], vx_srl64(g[1], 44));

    ge = vx_sub64(vx_set64(0), vx_srl64(g[2], 42));

    g[0] = vx_and(g[0], VOICE_POLY_44);
    g[1] = vx_and(g[1], VOICE_POLY_44);
    g[2] = vx_and(g[2], VOICE_POLY_42);

    voice_poly_split(m, p->pad[0], p->pad[1]);

    VX_UNROLL
    for (i = 0; i < 3; i++) {
        g[i] = vx_or(vx_and(ge, g[i]), vx_andnot(ge, p->h[i]));
        g[i] = vx_add64(g[i], m[i]);
    }

    g[1] = vx_add64(g[1], vx_srl64(g[0], 44));
    g[0] = vx_and(g[0], VOICE_POLY_44);

    g[2] = vx_add64(g[2], vx_srl64(g[1], 44));
    g[1] = vx_and(g[1], VOICE_POLY_44);

    *lo = vx_or(g[0], vx_sll64(g[1], 44));
    *hi = vx_or(vx_srl64(g[1], 20), vx_sll64(g[2], 24));
}


#endif /* _VOICE_CRYPTO_POLY_H_INCLUDED_ */
