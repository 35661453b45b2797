/*
 * Copyright (C) ngx-voice contributors
 *
 * Salsa20 and ChaCha20 of one key per 32-bit element.  A template as
 * voice_crypto_lanes.h is, which uses it.
 */


#ifndef _VOICE_CRYPTO_STREAM_H_INCLUDED_
#define _VOICE_CRYPTO_STREAM_H_INCLUDED_


/*
 * Half of a round is four quarters that don't depend on each other.  Side by
 * side they keep the processor busier than one after the other, but not quite
 * busy; where there are 32 registers, two blocks are, by half of the quarters
 * of each in turns.  Where there are but 16, one Salsa quarter after the other
 * has fewer words wait in memory, and the processor looks far enough ahead.
 */

#if VX_REGISTERS == 16
#define VX_STAY(x)
#else
#define VX_STAY(x)  __asm__ volatile ("" : "+v" (x))   /* as and where it is */
#endif

#define VOICE_SALSA_STEP(x, d, a, b, r)                                       \
    (x)[d] = vx_xor_rol32((x)[d], vx_add32((x)[a], (x)[b]), r);               \
    VX_STAY((x)[d])

#define VOICE_SALSA_QUARTER(x, a, b, c, d)                                    \
    VOICE_SALSA_STEP(x, b, a, d, 7);                                          \
    VOICE_SALSA_STEP(x, c, b, a, 9);                                          \
    VOICE_SALSA_STEP(x, d, c, b, 13);                                         \
    VOICE_SALSA_STEP(x, a, d, c, 18)

/* a step of two quarters of x and of two of y, which may be x as well */
#define VOICE_SALSA_STEPS(x, a, b, d, e, f, h, y, i, j, l, m, n, p, r)        \
    VOICE_SALSA_STEP(x, b, a, d, r);                                          \
    VOICE_SALSA_STEP(x, f, e, h, r);                                          \
    VOICE_SALSA_STEP(y, j, i, l, r);                                          \
    VOICE_SALSA_STEP(y, n, m, p, r)

#define VOICE_SALSA_QUARTERS(x, a, b, c, d, e, f, g, h,                       \
                             y, i, j, k, l, m, n, o, p)                       \
    VOICE_SALSA_STEPS(x, a, b, d, e, f, h, y, i, j, l, m, n, p, 7);           \
    VOICE_SALSA_STEPS(x, b, c, a, f, g, e, y, j, k, i, n, o, m, 9);           \
    VOICE_SALSA_STEPS(x, c, d, b, g, h, f, y, k, l, j, o, p, n, 13);          \
    VOICE_SALSA_STEPS(x, d, a, c, h, e, g, y, l, i, k, p, m, o, 18)

#if VX_REGISTERS == 16

#define VOICE_SALSA_HALF(x, a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p)   \
    VOICE_SALSA_QUARTER(x, a, b, c, d);                                       \
    VOICE_SALSA_QUARTER(x, e, f, g, h);                                       \
    VOICE_SALSA_QUARTER(x, i, j, k, l);                                       \
    VOICE_SALSA_QUARTER(x, m, n, o, p)

#else

#define VOICE_SALSA_HALF(x, a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p)   \
    VOICE_SALSA_QUARTERS(x, a, b, c, d, e, f, g, h,                           \
                         x, i, j, k, l, m, n, o, p)

#endif

#define VOICE_SALSA_TWO(x, y, a, b, c, d, e, f, g, h)                         \
    VOICE_SALSA_QUARTERS(x, a, b, c, d, e, f, g, h,                           \
                         y, a, b, c, d, e, f, g, h)

#define VOICE_CHACHA_HALF(x, a, b, c, d, r, s)                                \
    (x)[a] = vx_add32((x)[a], (x)[b]);                                        \
    (x)[d] = vx_rol32(vx_xor((x)[d], (x)[a]), r);                             \
    (x)[c] = vx_add32((x)[c], (x)[d]);                                        \
    (x)[b] = vx_rol32(vx_xor((x)[b], (x)[c]), s)

#define VOICE_CHACHA_QUARTERS(x, a, b, c, d, e, f, g, h,                      \
                              y, i, j, k, l, m, n, o, p)                      \
    VOICE_CHACHA_HALF(x, a, b, c, d, 16, 12);                                 \
    VOICE_CHACHA_HALF(x, e, f, g, h, 16, 12);                                 \
    VOICE_CHACHA_HALF(y, i, j, k, l, 16, 12);                                 \
    VOICE_CHACHA_HALF(y, m, n, o, p, 16, 12);                                 \
    VOICE_CHACHA_HALF(x, a, b, c, d, 8, 7);                                   \
    VOICE_CHACHA_HALF(x, e, f, g, h, 8, 7);                                   \
    VOICE_CHACHA_HALF(y, i, j, k, l, 8, 7);                                   \
    VOICE_CHACHA_HALF(y, m, n, o, p, 8, 7)

#define VOICE_CHACHA_TWO(x, y, a, b, c, d, e, f, g, h)                        \
    VOICE_CHACHA_QUARTERS(x, a, b, c, d, e, f, g, h,                          \
                          y, a, b, c, d, e, f, g, h)


/* A block: 20 rounds of the input, columns and rows in turns, added to it. */

VX_PART void
voice_stream_salsa20(vx_t x[16], const vx_t in[16])
{
    int   i;
    vx_t  v[16];

    VX_UNROLL
    for (i = 0; i < 16; i++) {
        v[i] = in[i];
    }

    for (i = 0; i < 20; i += 2) {
        VOICE_SALSA_HALF(v, 0, 4, 8, 12, 5, 9, 13, 1, 10, 14, 2, 6,
                         15, 3, 7, 11);
        VOICE_SALSA_HALF(v, 0, 1, 2, 3, 5, 6, 7, 4, 10, 11, 8, 9,
                         15, 12, 13, 14);
    }

    VX_UNROLL
    for (i = 0; i < 16; i++) {
        x[i] = vx_add32(v[i], in[i]);
    }
}


/* The same with columns and diagonals. */

VX_PART void
voice_stream_chacha20(vx_t x[16], const vx_t in[16])
{
    int   i;
    vx_t  v[16];

    VX_UNROLL
    for (i = 0; i < 16; i++) {
        v[i] = in[i];
    }

    for (i = 0; i < 20; i += 2) {
        VOICE_CHACHA_QUARTERS(v, 0, 4, 8, 12, 1, 5, 9, 13,
                              v, 2, 6, 10, 14, 3, 7, 11, 15);
        VOICE_CHACHA_QUARTERS(v, 0, 5, 10, 15, 1, 6, 11, 12,
                              v, 2, 7, 8, 13, 3, 4, 9, 14);
    }

    VX_UNROLL
    for (i = 0; i < 16; i++) {
        x[i] = vx_add32(v[i], in[i]);
    }
}


#if VX_REGISTERS == 32

/* This block and the next one. */

VX_PART void
voice_stream_salsa20_two(vx_t x[32], const vx_t in[16])
{
    int   i;
    vx_t  v[16], w[16];

    VX_UNROLL
    for (i = 0; i < 16; i++) {
        v[i] = in[i];
        w[i] = i == 8 ? vx_add32(in[i], vx_set32(1)) : in[i];
    }

    for (i = 0; i < 20; i += 2) {
        VOICE_SALSA_TWO(v, w, 0, 4, 8, 12, 5, 9, 13, 1);
        VOICE_SALSA_TWO(v, w, 10, 14, 2, 6, 15, 3, 7, 11);
        VOICE_SALSA_TWO(v, w, 0, 1, 2, 3, 5, 6, 7, 4);
        VOICE_SALSA_TWO(v, w, 10, 11, 8, 9, 15, 12, 13, 14);
    }

    VX_UNROLL
    for (i = 0; i < 16; i++) {
        x[i] = vx_add32(v[i], in[i]);
        x[16 + i] = vx_add32(w[i], in[i]);
    }

    x[24] = vx_add32(x[24], vx_set32(1));
}


VX_PART void
voice_stream_chacha20_two(vx_t x[32], const vx_t in[16])
{
    int   i;
    vx_t  v[16], w[16];

    VX_UNROLL
    for (i = 0; i < 16; i++) {
        v[i] = in[i];
        w[i] = i == 12 ? vx_add32(in[i], vx_set32(1)) : in[i];
    }

    for (i = 0; i < 20; i += 2) {
        VOICE_CHACHA_TWO(v, w, 0, 4, 8, 12, 1, 5, 9, 13);
        VOICE_CHACHA_TWO(v, w, 2, 6, 10, 14, 3, 7, 11, 15);
        VOICE_CHACHA_TWO(v, w, 0, 5, 10, 15, 1, 6, 11, 12);
        VOICE_CHACHA_TWO(v, w, 2, 7, 8, 13, 3, 4, 9, 14);
    }

    VX_UNROLL
    for (i = 0; i < 16; i++) {
        x[i] = vx_add32(v[i], in[i]);
        x[16 + i] = vx_add32(w[i], in[i]);
    }

    x[28] = vx_add32(x[28], vx_set32(1));
}

#endif


/* Where key, nonce or counter, and constant go in a block of each cipher. */

VX_PART void
voice_stream_input(vx_t x[16], const vx_t key[8], const vx_t nonce[4],
    bool salsa)
{
    const vx_t  c0 = vx_set32(0x61707865), c1 = vx_set32(0x3320646e),
                c2 = vx_set32(0x79622d32), c3 = vx_set32(0x6b206574);

    if (salsa) {
        x[0] = c0;
        x[1] = key[0];
        x[2] = key[1];
        x[3] = key[2];
        x[4] = key[3];
        x[5] = c1;
        x[6] = nonce[0];
        x[7] = nonce[1];
        x[8] = nonce[2];
        x[9] = nonce[3];
        x[10] = c2;
        x[11] = key[4];
        x[12] = key[5];
        x[13] = key[6];
        x[14] = key[7];
        x[15] = c3;
        return;
    }

    x[0] = c0;
    x[1] = c1;
    x[2] = c2;
    x[3] = c3;
    x[4] = key[0];
    x[5] = key[1];
    x[6] = key[2];
    x[7] = key[3];
    x[8] = key[4];
    x[9] = key[5];
    x[10] = key[6];
    x[11] = key[7];
    x[12] = nonce[0];
    x[13] = nonce[1];
    x[14] = nonce[2];
    x[15] = nonce[3];
}


/*
 * HSalsa20 or HChaCha20: a key and 16 bytes of nonce make a key, of the words
 * of a block that were constant or nonce, without what was added to them.
 */

VX_PART void
voice_stream_subkeys(vx_t key[8], const vx_t nonce[4], bool salsa)
{
    int             i;
    vx_t            in[16], x[16];
    const uint8_t  *from;

    static const uint8_t  salsa_from[8] = { 0, 5, 10, 15, 6, 7, 8, 9 };
    static const uint8_t  chacha_from[8] = { 0, 1, 2, 3, 12, 13, 14, 15 };

    voice_stream_input(in, key, nonce, salsa);

    if (salsa) {
        voice_stream_salsa20(x, in);
        from = salsa_from;

    } else {
        voice_stream_chacha20(x, in);
        from = chacha_from;
    }

    for (i = 0; i < 8; i++) {
        key[i] = vx_sub32(x[from[i]], in[from[i]]);
    }
}


#endif /* _VOICE_CRYPTO_STREAM_H_INCLUDED_ */
