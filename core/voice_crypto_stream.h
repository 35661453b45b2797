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
 * side they keep the processor busier than one after the other.  With 32
 * registers two blocks of Salsa20 are faster still, half of the quarters of
 * each in turns; ChaCha20 gains nothing by that.  With 16 registers one Salsa
 * quarter after the other has fewer words wait in memory, and the processor
 * looks far enough ahead.
 */

#if VX_REGISTERS == 16
#define VX_STAY(x)
#else
#define VX_STAY(x)  __asm__ volatile ("" : "+v" (x))  /* no copy; in order */
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

#define VOICE_CHACHA_STEP(x, a, b, d, r)                                      \
    (x)[a] = vx_add32((x)[a], (x)[b]);                                        \
    (x)[d] = vx_rol32(vx_xor((x)[d], (x)[a]), r);                             \
    VX_STAY((x)[d])

#define VOICE_CHACHA_STEPS(x, a, b, d, e, f, h, y, i, j, l, m, n, p, r)       \
    VOICE_CHACHA_STEP(x, a, b, d, r);                                         \
    VOICE_CHACHA_STEP(x, e, f, h, r);                                         \
    VOICE_CHACHA_STEP(y, i, j, l, r);                                         \
    VOICE_CHACHA_STEP(y, m, n, p, r)

#define VOICE_CHACHA_QUARTERS(x, a, b, c, d, e, f, g, h,                      \
                              y, i, j, k, l, m, n, o, p)                      \
    VOICE_CHACHA_STEPS(x, a, b, d, e, f, h, y, i, j, l, m, n, p, 16);         \
    VOICE_CHACHA_STEPS(x, c, d, b, g, h, f, y, k, l, j, o, p, n, 12);         \
    VOICE_CHACHA_STEPS(x, a, b, d, e, f, h, y, i, j, l, m, n, p, 8);          \
    VOICE_CHACHA_STEPS(x, c, d, b, g, h, f, y, k, l, j, o, p, n, 7)


/* Where constants, key, and nonce or counter go in the input of a block. */

#define VOICE_STREAM_C0  vx_set32(0x61707865)
#define VOICE_STREAM_C1  vx_set32(0x3320646e)
#define VOICE_STREAM_C2  vx_set32(0x79622d32)
#define VOICE_STREAM_C3  vx_set32(0x6b206574)

VX_FN void
voice_stream_salsa20_input(vx_t x[16], const vx_t key[8], const vx_t nonce[4])
{
    int  i;

    VX_UNROLL
    for (i = 0; i < 4; i++) {
        x[1 + i] = key[i];
        x[6 + i] = nonce[i];
        x[11 + i] = key[4 + i];
    }

    x[0] = VOICE_STREAM_C0;
    x[5] = VOICE_STREAM_C1;
    x[10] = VOICE_STREAM_C2;
    x[15] = VOICE_STREAM_C3;
}


VX_FN void
voice_stream_chacha20_input(vx_t x[16], const vx_t key[8],
    const vx_t nonce[4])
{
    int  i;

    VX_UNROLL
    for (i = 0; i < 4; i++) {
        x[4 + i] = key[i];
        x[8 + i] = key[4 + i];
        x[12 + i] = nonce[i];
    }

    x[0] = VOICE_STREAM_C0;
    x[1] = VOICE_STREAM_C1;
    x[2] = VOICE_STREAM_C2;
    x[3] = VOICE_STREAM_C3;
}


/* Twenty rounds: columns, then rows. */

VX_FN void
voice_stream_salsa20_rounds(vx_t v[16])
{
    int  i;

    for (i = 0; i < 20; i += 2) {
        VOICE_SALSA_HALF(v, 0, 4, 8, 12, 5, 9, 13, 1, 10, 14, 2, 6,
                         15, 3, 7, 11);
        VOICE_SALSA_HALF(v, 0, 1, 2, 3, 5, 6, 7, 4, 10, 11, 8, 9,
                         15, 12, 13, 14);
    }
}


/* Columns, then diagonals. */

VX_FN void
voice_stream_chacha20_rounds(vx_t v[16])
{
    int  i;

    for (i = 0; i < 20; i += 2) {
        VOICE_CHACHA_QUARTERS(v, 0, 4, 8, 12, 1, 5, 9, 13,
                              v, 2, 6, 10, 14, 3, 7, 11, 15);
        VOICE_CHACHA_QUARTERS(v, 0, 5, 10, 15, 1, 6, 11, 12,
                              v, 2, 7, 8, 13, 3, 4, 9, 14);
    }
}


/* A key and 16 bytes of nonce make another key. */

VX_PART void
voice_stream_hsalsa20(vx_t key[8], const vx_t nonce[4])
{
    int   i;
    vx_t  v[16];

    voice_stream_salsa20_input(v, key, nonce);
    voice_stream_salsa20_rounds(v);

    VX_UNROLL
    for (i = 0; i < 4; i++) {
        key[i] = v[5 * i];
        key[4 + i] = v[6 + i];
    }
}


VX_PART void
voice_stream_hchacha20(vx_t key[8], const vx_t nonce[4])
{
    int   i;
    vx_t  v[16];

    voice_stream_chacha20_input(v, key, nonce);
    voice_stream_chacha20_rounds(v);

    VX_UNROLL
    for (i = 0; i < 4; i++) {
        key[i] = v[i];
        key[4 + i] = v[12 + i];
    }
}


/* A block of key stream. */

VX_PART void
voice_stream_salsa20(vx_t x[16], const vx_t in[16])
{
    int   i;
    vx_t  v[16];

    VX_UNROLL
    for (i = 0; i < 16; i++) {
        v[i] = in[i];
    }

    voice_stream_salsa20_rounds(v);

    VX_UNROLL
    for (i = 0; i < 16; i++) {
        x[i] = vx_add32(v[i], in[i]);
    }
}


VX_PART void
voice_stream_chacha20(vx_t x[16], const vx_t in[16])
{
    int   i;
    vx_t  v[16];

    VX_UNROLL
    for (i = 0; i < 16; i++) {
        v[i] = in[i];
    }

    voice_stream_chacha20_rounds(v);

    VX_UNROLL
    for (i = 0; i < 16; i++) {
        x[i] = vx_add32(v[i], in[i]);
    }
}


#if VX_REGISTERS == 32

/* A block and the next one. */

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

#endif


#endif /* _VOICE_CRYPTO_STREAM_H_INCLUDED_ */
