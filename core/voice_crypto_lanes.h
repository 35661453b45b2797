/*
 * Copyright (C) ngx-voice contributors
 *
 * XSalsa20-Poly1305 and XChaCha20-Poly1305 over lanes.  A template: three
 * files include it, each with its own vectors.
 *
 * Words lie side by side: a vector holds the same 32-bit word of every lane,
 * so that a stream cipher's block is 16 vectors, its rounds are the scalar
 * ones written once, and no lane waits for another.  The text is turned into
 * that layout and back at the border only: when all lanes carry the same
 * text, each of its words is broadcast, and only the way out is a transpose.
 *
 * Poly1305 has to multiply, so it works on 64-bit elements, half of the
 * lanes in each of two groups.  The interleave that makes 64-bit words of two
 * neighbouring words is also the first step of the transpose:
 *
 *   group a  interleave low   lanes 0 1, 4 5, 8 9, 12 13
 *   group b  interleave high  lanes 2 3, 6 7, 10 11, 14 15
 *
 * (with 8 lanes the first half of each row).  Keys and text go through the
 * same interleave, so the order matters nowhere but at the tag.
 *
 * Time depends on the lengths, never on keys, text or tags.
 *
 * The includer gives, as file-local words:
 *
 *   VX_LANES, vx_t           lanes, and a vector of so many 32-bit words
 *   VX_REGISTERS             how many vectors fit the registers
 *   VX_FN, VX_PART           static for the right target: inlined; not so
 *   vx_load vx_store         from and to memory, unaligned
 *   vx_set32 vx_set64        the same number everywhere
 *   vx_add32 vx_sub32 vx_max32 vx_gt32 vx_rol32 vx_sll32 vx_sllv32
 *   vx_xor_rol32             a ^ rol(b, n)
 *   vx_add64 vx_sub64 vx_srl64 vx_sll64
 *   vx_xor vx_and vx_or vx_andnot (~a & b)
 *   vx_lo32 vx_hi32          interleave words of two vectors, low and high
 *   vx_lo64 vx_hi64          the same with 64-bit words
 *   vx_gather_keys           words 0..7 of keys, 8..13 of nonces
 *   vx_gather                up to 64 bytes of each lane into words
 *   vx_scatter               the way back
 *   voice_poly_*             voice_crypto_poly26.h or ..._poly44.h
 */


#ifndef _VOICE_CRYPTO_LANES_H_INCLUDED_
#define _VOICE_CRYPTO_LANES_H_INCLUDED_


#include <sodium.h>
#include <string.h>


/* Lanes beyond n are dummies: lane 0 again, but nothing is stored. */
typedef struct {
    voice_poly_t         a;
    voice_poly_t         b;
    vx_t                 in[16];            /* of the next block */
    const uint8_t       *text[VX_LANES];
    const uint8_t       *aad[VX_LANES];
    uint8_t             *out[VX_LANES];
    uint32_t             len[VX_LANES];
    uint32_t             aad_len[VX_LANES];
    uint32_t             least;             /* length of the shortest text */
    uint32_t             most;              /* of the longest */
    size_t               n;
    bool                 salsa;
    voice_lanes_how_t    how;
} voice_lanes_t;


/*
 * Half of a round is four quarters that don't depend on each other.  Side by
 * side they keep the processor busiest.  Where there are but 16 registers, one
 * Salsa quarter after the other has fewer words wait in memory, and the
 * processor still looks far enough ahead; for ChaCha it is all the same.
 */

#define VOICE_SALSA_STEP(x, d, a, b, r)                                       \
    (x)[d] = vx_xor_rol32((x)[d], vx_add32((x)[a], (x)[b]), r)

#define VOICE_CHACHA_HALF(x, a, b, c, d, r, s)                                \
    (x)[a] = vx_add32((x)[a], (x)[b]);                                        \
    (x)[d] = vx_rol32(vx_xor((x)[d], (x)[a]), r);                             \
    (x)[c] = vx_add32((x)[c], (x)[d]);                                        \
    (x)[b] = vx_rol32(vx_xor((x)[b], (x)[c]), s)


#if VX_REGISTERS == 16

#define VOICE_SALSA_QUARTER(x, a, b, c, d)                                    \
    VOICE_SALSA_STEP(x, b, a, d, 7);                                          \
    VOICE_SALSA_STEP(x, c, b, a, 9);                                          \
    VOICE_SALSA_STEP(x, d, c, b, 13);                                         \
    VOICE_SALSA_STEP(x, a, d, c, 18)

#define VOICE_SALSA_HALF(x, a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p)   \
    VOICE_SALSA_QUARTER(x, a, b, c, d);                                       \
    VOICE_SALSA_QUARTER(x, e, f, g, h);                                       \
    VOICE_SALSA_QUARTER(x, i, j, k, l);                                       \
    VOICE_SALSA_QUARTER(x, m, n, o, p)

#else

#define VOICE_SALSA_STEPS(x, b, a, d, f, e, h, j, i, l, n, m, p, r)           \
    VOICE_SALSA_STEP(x, b, a, d, r);                                          \
    VOICE_SALSA_STEP(x, f, e, h, r);                                          \
    VOICE_SALSA_STEP(x, j, i, l, r);                                          \
    VOICE_SALSA_STEP(x, n, m, p, r)

#define VOICE_SALSA_HALF(x, a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p)   \
    VOICE_SALSA_STEPS(x, b, a, d, f, e, h, j, i, l, n, m, p, 7);              \
    VOICE_SALSA_STEPS(x, c, b, a, g, f, e, k, j, i, o, n, m, 9);              \
    VOICE_SALSA_STEPS(x, d, c, b, h, g, f, l, k, j, p, o, n, 13);             \
    VOICE_SALSA_STEPS(x, a, d, c, e, h, g, i, l, k, m, p, o, 18)

#endif


/* Columns, then rows. */

VX_FN void
voice_lanes_salsa20(vx_t x[16])
{
    int  i;

    for (i = 0; i < 20; i += 2) {
        VOICE_SALSA_HALF(x, 0, 4, 8, 12, 5, 9, 13, 1, 10, 14, 2, 6,
                         15, 3, 7, 11);
        VOICE_SALSA_HALF(x, 0, 1, 2, 3, 5, 6, 7, 4, 10, 11, 8, 9,
                         15, 12, 13, 14);
    }
}


VX_FN void
voice_lanes_chacha20(vx_t x[16])
{
    int  i;

    for (i = 0; i < 20; i += 2) {

        /* columns */

        VOICE_CHACHA_HALF(x, 0, 4, 8, 12, 16, 12);
        VOICE_CHACHA_HALF(x, 1, 5, 9, 13, 16, 12);
        VOICE_CHACHA_HALF(x, 2, 6, 10, 14, 16, 12);
        VOICE_CHACHA_HALF(x, 3, 7, 11, 15, 16, 12);

        VOICE_CHACHA_HALF(x, 0, 4, 8, 12, 8, 7);
        VOICE_CHACHA_HALF(x, 1, 5, 9, 13, 8, 7);
        VOICE_CHACHA_HALF(x, 2, 6, 10, 14, 8, 7);
        VOICE_CHACHA_HALF(x, 3, 7, 11, 15, 8, 7);

        /* diagonals */

        VOICE_CHACHA_HALF(x, 0, 5, 10, 15, 16, 12);
        VOICE_CHACHA_HALF(x, 1, 6, 11, 12, 16, 12);
        VOICE_CHACHA_HALF(x, 2, 7, 8, 13, 16, 12);
        VOICE_CHACHA_HALF(x, 3, 4, 9, 14, 16, 12);

        VOICE_CHACHA_HALF(x, 0, 5, 10, 15, 8, 7);
        VOICE_CHACHA_HALF(x, 1, 6, 11, 12, 8, 7);
        VOICE_CHACHA_HALF(x, 2, 7, 8, 13, 8, 7);
        VOICE_CHACHA_HALF(x, 3, 4, 9, 14, 8, 7);
    }
}


/* Where key, nonce or counter, and constant go in a block of each cipher. */

VX_PART void
voice_lanes_input(vx_t x[16], const vx_t key[8], const vx_t nonce[4],
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


/* The rounds; arrays in memory are only touched before and after them. */

VX_PART void
voice_lanes_rounds(vx_t x[16], bool salsa)
{
    int   i;
    vx_t  v[16];

    VX_UNROLL
    for (i = 0; i < 16; i++) {
        v[i] = x[i];
    }

    if (salsa) {
        voice_lanes_salsa20(v);

    } else {
        voice_lanes_chacha20(v);
    }

    VX_UNROLL
    for (i = 0; i < 16; i++) {
        x[i] = v[i];
    }
}


/*
 * HSalsa20 or HChaCha20 of the first 16 nonce bytes, then the block input
 * with the last 8.  No mode lets the subkey be kept: all of them have the
 * packet's own number in the first four bytes.
 */

VX_PART void
voice_lanes_setup(voice_lanes_t *l, const voice_lane_t *lane)
{
    vx_t  w[16], x[16], sub[8], last[4];

    vx_gather_keys(w, lane, l->n);

    voice_lanes_input(x, w, w + 8, l->salsa);
    voice_lanes_rounds(x, l->salsa);

    if (l->salsa) {
        sub[0] = x[0];
        sub[1] = x[5];
        sub[2] = x[10];
        sub[3] = x[15];
        sub[4] = x[6];
        sub[5] = x[7];
        sub[6] = x[8];
        sub[7] = x[9];

        /* nonce, 64-bit counter */

        last[0] = w[12];
        last[1] = w[13];
        last[2] = vx_set32(0);
        last[3] = vx_set32(0);

    } else {
        sub[0] = x[0];
        sub[1] = x[1];
        sub[2] = x[2];
        sub[3] = x[3];
        sub[4] = x[12];
        sub[5] = x[13];
        sub[6] = x[14];
        sub[7] = x[15];

        /* RFC 8439 2.3: 32-bit counter, nonce of 12 bytes, 4 of them zero */

        last[0] = vx_set32(0);
        last[1] = vx_set32(0);
        last[2] = w[12];
        last[3] = w[13];
    }

    voice_lanes_input(l->in, sub, last, l->salsa);
}


/* The next 64 bytes of key stream; 32 bits of counter are enough by far. */

VX_PART void
voice_lanes_block(voice_lanes_t *l, vx_t x[16])
{
    int   i;
    vx_t  v[16];

    VX_UNROLL
    for (i = 0; i < 16; i++) {
        v[i] = l->in[i];
    }

    if (l->salsa) {
        voice_lanes_salsa20(v);

    } else {
        voice_lanes_chacha20(v);
    }

    VX_UNROLL
    for (i = 0; i < 16; i++) {
        x[i] = vx_add32(v[i], l->in[i]);
    }

    i = l->salsa ? 8 : 12;
    l->in[i] = vx_add32(l->in[i], vx_set32(1));
}


/* Whole blocks of Poly1305: 4 words each. */

VX_PART void
voice_lanes_absorb(voice_lanes_t *l, const vx_t *w, size_t nw)
{
    size_t  i;

    for (i = 0; i < nw; i += 4) {
        voice_poly_block(&l->a, vx_lo32(w[i], w[i + 1]),
                         vx_lo32(w[i + 2], w[i + 3]), VOICE_POLY_BIT);
        voice_poly_block(&l->b, vx_hi32(w[i], w[i + 1]),
                         vx_hi32(w[i + 2], w[i + 3]), VOICE_POLY_BIT);
    }
}


/*
 * The same where lanes end: left has the number of bytes of each lane, the
 * rest of its words is zero.  A lane that has no byte of a block left keeps
 * its sum; those that share a text end all at once.  With `pad` a cut block
 * ends in a 1 behind its last byte, which the caller wrote, instead of the
 * bit behind the block.
 */

VX_PART void
voice_lanes_absorb_tail(voice_lanes_t *l, const vx_t *w, vx_t left,
    size_t most, bool pad)
{
    size_t  i;
    vx_t    any, full;

    for (i = 0; 4 * i < most; i += 4) {

        if (l->how == VOICE_LANES_SEAL_SAME) {
            full = pad && 4 * i + 16 > most ? vx_set64(0) : VOICE_POLY_BIT;

            voice_poly_block(&l->a, vx_lo32(w[i], w[i + 1]),
                             vx_lo32(w[i + 2], w[i + 3]), full);
            voice_poly_block(&l->b, vx_hi32(w[i], w[i + 1]),
                             vx_hi32(w[i + 2], w[i + 3]), full);
            continue;
        }

        any = vx_gt32(left, vx_set32(4 * i));
        full = pad ? vx_gt32(left, vx_set32(4 * i + 15)) : any;

        voice_poly_block_where(&l->a, vx_lo32(w[i], w[i + 1]),
                               vx_lo32(w[i + 2], w[i + 3]),
                               vx_and(VOICE_POLY_BIT, vx_lo32(full, full)),
                               vx_lo32(any, any));
        voice_poly_block_where(&l->b, vx_hi32(w[i], w[i + 1]),
                               vx_hi32(w[i + 2], w[i + 3]),
                               vx_and(VOICE_POLY_BIT, vx_hi32(full, full)),
                               vx_hi32(any, any));
    }
}


/*
 * Clears what is behind the end of each lane, and writes the 1 there.  The
 * shift counts decide alone: one of 32 and more gives 0, and so does a
 * negative one, being a large unsigned number.
 */

VX_PART void
voice_lanes_cut(vx_t *w, size_t nw, vx_t left, bool pad)
{
    size_t  i;
    vx_t    bytes, bits, one;

    one = vx_set32(pad ? 1 : 0);

    for (i = 0; i < nw; i++) {
        bytes = vx_sub32(left, vx_set32(4 * i));
        bits = vx_sll32(vx_max32(bytes, vx_set32(0)), 3);

        w[i] = vx_andnot(vx_sllv32(vx_set32(0xFFFFFFFF), bits), w[i]);
        w[i] = vx_or(w[i], vx_sllv32(one, vx_sll32(bytes, 3)));
    }
}


/* Broadcasts the text that all lanes share. */

VX_PART void
voice_lanes_broadcast(vx_t *t, size_t nw, const uint8_t *p, size_t len)
{
    size_t    i;
    uint32_t  v;
    uint8_t   tail[64];

    if (len < 4 * nw) {
        memset(tail, 0, sizeof(tail));
        memcpy(tail, p, len);
        p = tail;
    }

    for (i = 0; i < nw; i++) {
        memcpy(&v, p + 4 * i, 4);
        t[i] = vx_set32(v);
    }
}


/* How many of the next `room` bytes from off on each lane still has. */

VX_FN void
voice_lanes_left(uint32_t size[VX_LANES], const uint32_t len[VX_LANES],
    uint32_t off, uint32_t room)
{
    size_t    i;
    uint32_t  left;

    for (i = 0; i < VX_LANES; i++) {
        left = len[i] > off ? len[i] - off : 0;
        size[i] = left < room ? left : room;
    }
}


/*
 * Encrypts or decrypts the bytes from off on with nw words of key stream, x,
 * and takes the encrypted ones into the sum.
 */

VX_PART void
voice_lanes_chunk(voice_lanes_t *l, vx_t *x, size_t nw, uint32_t off)
{
    bool        full;
    size_t      i;
    vx_t        left, t[16];
    vx_t       *c;
    uint32_t    room, most;
    uint32_t    size[VX_LANES];

    room = 4 * (uint32_t) nw;
    most = l->most - off < room ? l->most - off : room;
    full = l->least >= off + room;

    if (!full) {
        voice_lanes_left(size, l->len, off, room);
    }

    if (l->how == VOICE_LANES_SEAL_SAME) {
        voice_lanes_broadcast(t, nw, l->text[0] + off, most);

    } else {
        vx_gather(t, nw, l->text, off, full ? NULL : size);
    }

    for (i = 0; i < nw; i++) {
        x[i] = vx_xor(x[i], t[i]);
    }

    c = l->how == VOICE_LANES_OPEN ? t : x;

    if (full) {
        voice_lanes_absorb(l, c, nw);
        vx_scatter(x, nw, l->out, off, NULL, l->n);
        return;
    }

    left = vx_load(size);

    voice_lanes_cut(c, nw, left, l->salsa);
    voice_lanes_absorb_tail(l, c, left, most, l->salsa);
    vx_scatter(x, nw, l->out, off, size, l->n);
}


/* Associated data, zero-padded to whole blocks: RFC 8439 2.8. */

VX_PART void
voice_lanes_aad(voice_lanes_t *l)
{
    size_t    i;
    vx_t      w[16];
    uint32_t  off, most;
    uint32_t  size[VX_LANES];

    most = 0;

    for (i = 0; i < VX_LANES; i++) {
        most = l->aad_len[i] > most ? l->aad_len[i] : most;
    }

    for (off = 0; off < most; off += 64) {
        voice_lanes_left(size, l->aad_len, off, 64);

        if (l->how == VOICE_LANES_SEAL_SAME) {
            voice_lanes_broadcast(w, 16, l->aad[0] + off, size[0]);

        } else {
            vx_gather(w, 16, l->aad, off, size);
        }

        voice_lanes_absorb_tail(l, w, vx_load(size),
                                most - off < 64 ? most - off : 64, false);
    }
}


/* Both lengths as 64-bit numbers: the last block of an AEAD. */

VX_PART void
voice_lanes_lengths(voice_lanes_t *l)
{
    vx_t  w[4];

    w[0] = vx_load(l->aad_len);
    w[1] = vx_set32(0);
    w[2] = vx_load(l->len);
    w[3] = vx_set32(0);

    voice_lanes_absorb(l, w, 4);
}


/*
 * The halves of the groups' tags, interleaved by 64 bits, are the tags of the
 * lanes 0 4 8 12, 1 5 9 13, 2 6 10 14 and 3 7 11 15.
 */

VX_PART void
voice_lanes_tags(voice_lanes_t *l, voice_lane_t *lane)
{
    size_t                i;
    vx_t                  lo, hi;
    const uint8_t        *tag;
    _Alignas(64) uint8_t  tags[4][VX_LANES / 4][VOICE_TAG_LEN];

    voice_poly_finish(&l->a, &lo, &hi);
    vx_store(tags[0], vx_lo64(lo, hi));
    vx_store(tags[1], vx_hi64(lo, hi));

    voice_poly_finish(&l->b, &lo, &hi);
    vx_store(tags[2], vx_lo64(lo, hi));
    vx_store(tags[3], vx_hi64(lo, hi));

    for (i = 0; i < l->n; i++) {
        tag = tags[i % 4][i / 4];

        if (l->how != VOICE_LANES_OPEN) {
            memcpy(lane[i].tag, tag, VOICE_TAG_LEN);
            lane[i].err = VOICE_OK;
            continue;
        }

        lane[i].err = crypto_verify_16(tag, lane[i].tag) == 0 ? VOICE_OK
                                                              : VOICE_E_AUTH;
    }
}


/* `shared` is the lane whose text and header all others have. */

VX_PART void
voice_lanes_begin(voice_lanes_t *l, const voice_lane_t *lane,
    const voice_lane_t *shared)
{
    size_t               i;
    const voice_lane_t  *from;

    l->least = UINT32_MAX;
    l->most = 0;

    for (i = 0; i < VX_LANES; i++) {
        from = &lane[i < l->n ? i : 0];
        l->out[i] = from->out;

        from = l->how == VOICE_LANES_SEAL_SAME ? shared : from;
        l->text[i] = from->in;
        l->len[i] = from->len;
        l->aad[i] = from->aad;
        l->aad_len[i] = from->aad_len;

        l->least = from->len < l->least ? from->len : l->least;
        l->most = from->len > l->most ? from->len : l->most;
    }
}


/*
 * One round of up to VX_LANES lanes.  The first 32 bytes of key stream are
 * the key of Poly1305; XSalsa20 goes on with the text right there, XChaCha20
 * with the next block.
 */

VX_PART void
voice_lanes_round(voice_lanes_t *l, voice_lane_t *lane)
{
    vx_t      x[16];
    uint32_t  off;

    voice_lanes_setup(l, lane);
    voice_lanes_block(l, x);

    voice_poly_init(&l->a, vx_lo32(x[0], x[1]), vx_lo32(x[2], x[3]),
                    vx_lo32(x[4], x[5]), vx_lo32(x[6], x[7]));
    voice_poly_init(&l->b, vx_hi32(x[0], x[1]), vx_hi32(x[2], x[3]),
                    vx_hi32(x[4], x[5]), vx_hi32(x[6], x[7]));
    off = 0;

    if (!l->salsa) {
        voice_lanes_aad(l);

    } else if (l->most != 0) {
        voice_lanes_chunk(l, x + 8, 8, 0);
        off = 32;
    }

    for ( /* void */ ; off < l->most; off += 64) {
        voice_lanes_block(l, x);
        voice_lanes_chunk(l, x, l->most - off > 32 ? 16 : 8, off);
    }

    if (!l->salsa) {
        voice_lanes_lengths(l);
    }

    voice_lanes_tags(l, lane);
}


VX_PART void
voice_lanes_all(voice_lane_t *lane, size_t n, voice_lanes_how_t how,
    bool salsa)
{
    size_t         i;
    voice_lanes_t  l;

    l.salsa = salsa;
    l.how = how;

    for (i = 0; i < n; i += VX_LANES) {
        l.n = n - i < VX_LANES ? n - i : VX_LANES;

        voice_lanes_begin(&l, &lane[i], lane);
        voice_lanes_round(&l, &lane[i]);
    }
}


#endif /* _VOICE_CRYPTO_LANES_H_INCLUDED_ */
