/*
 * Copyright (C) ngx-voice contributors
 *
 * Half of a transpose, in vectors of any width: included where vx_t, VX_FN
 * and the interleaves of voice_crypto_lanes.h are there.
 */


#ifndef _VOICE_CRYPTO_QUADS_H_INCLUDED_
#define _VOICE_CRYPTO_QUADS_H_INCLUDED_


/*
 * Four vectors of words to four of 128-bit parts: part k of vector j has the
 * words of lane 4k + j.
 */

VX_FN void
vx_quads(vx_t x[4], const vx_t w[4])
{
    vx_t  t[4];

    t[0] = vx_lo32(w[0], w[1]);
    t[1] = vx_hi32(w[0], w[1]);
    t[2] = vx_lo32(w[2], w[3]);
    t[3] = vx_hi32(w[2], w[3]);

    x[0] = vx_lo64(t[0], t[2]);
    x[1] = vx_hi64(t[0], t[2]);
    x[2] = vx_lo64(t[1], t[3]);
    x[3] = vx_hi64(t[1], t[3]);
}


#endif /* _VOICE_CRYPTO_QUADS_H_INCLUDED_ */
