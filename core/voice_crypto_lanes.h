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
 *   VX_UNROLL                before a loop that is to be unrolled
 *   VX_FN, VX_PART           static for the right target: inlined; not so
 *   vx_load vx_store         from and to memory, unaligned
 *   vx_set32 vx_set64        the same number everywhere
 *   vx_add32 vx_sub32 vx_max32 vx_gt32 vx_rol32 vx_sll32 vx_sllv32
 *   vx_xor_rol32             a ^ rol(b, n)
 *   vx_add64 vx_sub64 vx_srl64 vx_sll64
 *   vx_xor vx_and vx_or vx_andnot (~a & b)
 *   vx_lo32 vx_hi32          interleave words of two vectors, low and high
 *   vx_lo64 vx_hi64          the same with 64-bit words
 *   vx_gather_keys           secrets, or subkeys, into 8 words
 *   vx_gather_pair           8 bytes of each nonce into 2 words
 *   vx_gather                up to 64 bytes of each lane into words
 *   vx_quads                 of voice_crypto_quads.h: 4 words to 16 bytes of
 *                            each lane, rows 0 4 8 12, 1 5 9 13 and so on
 *   vx_scatter               quads into up to 64 bytes of each lane's output
 *   voice_poly_*             voice_crypto_poly26.h or ..._poly44.h
 */


#ifndef _VOICE_CRYPTO_LANES_H_INCLUDED_
#define _VOICE_CRYPTO_LANES_H_INCLUDED_


#include "voice_crypto_copy.h"
#include "voice_crypto_stream.h"

#include <sodium.h>
#include <string.h>


/*
 * Lanes beyond n are dummies: lane 0 again, but nothing is stored.  Where all
 * lanes share one text, the arrays aren't set.
 */
typedef struct {
    voice_poly_t         a;
    voice_poly_t         b;
    vx_t                 in[16];            /* of the next block */
    voice_lane_t        *lane;              /* n of them */
    size_t               n;
    const voice_lane_t  *shared;            /* has the text of all; or NULL */
    uint32_t             least;             /* length of the shortest text */
    uint32_t             most;              /* of the longest */
    bool                 salsa;
    bool                 salted;            /* the subkeys are there */
    bool                 open;
    const uint8_t       *text[VX_LANES];
    const uint8_t       *aad[VX_LANES];
    uint32_t             len[VX_LANES];
    uint32_t             aad_len[VX_LANES];
} voice_lanes_t;


/*
 * Read from 64 - size on: ones in the first `size` bytes; a 1 behind them.
 * For words, so the bytes in front of both don't matter.
 */
static const uint8_t  voice_lanes_keep[128] = {
    [0 ... 63] = 0xFF
};

static const uint8_t  voice_lanes_pad[128] = {
    [64] = 1
};


/*
 * The block input: a subkey and the last 8 bytes of the nonce.  A subkey can
 * only be kept where the nonces begin with a salt.  All other modes have the
 * number of the packet in the first four bytes.
 */

VX_PART void
voice_lanes_setup(voice_lanes_t *l)
{
    vx_t  key[8], nonce[4];

    vx_gather_keys(key, l->lane, l->n, l->salted);

    if (!l->salted) {
        vx_gather_pair(nonce, l->lane, l->n, 0);
        vx_gather_pair(nonce + 2, l->lane, l->n, 8);

        if (l->salsa) {
            voice_stream_hsalsa20(key, nonce);

        } else {
            voice_stream_hchacha20(key, nonce);
        }
    }

    if (l->salsa) {

        /* nonce, 64-bit counter */

        vx_gather_pair(nonce, l->lane, l->n, 16);
        nonce[2] = vx_set32(0);
        nonce[3] = vx_set32(0);

        voice_stream_salsa20_input(l->in, key, nonce);
        return;
    }

    /* RFC 8439 2.3: 32-bit counter, nonce of 12 bytes, 4 of them zero */

    nonce[0] = vx_set32(0);
    nonce[1] = vx_set32(0);
    vx_gather_pair(nonce + 2, l->lane, l->n, 16);

    voice_stream_chacha20_input(l->in, key, nonce);
}


/*
 * Key stream for the next bytes: one block or two, 16 words each; gives their
 * number.  32 bits of counter are enough by far.
 */

VX_PART size_t
voice_lanes_blocks(voice_lanes_t *l, vx_t x[32], uint32_t bytes)
{
    if (!l->salsa) {
        voice_stream_chacha20(x, l->in);
        l->in[12] = vx_add32(l->in[12], vx_set32(1));

        return 16;
    }

#if VX_REGISTERS == 32

    if (bytes > 64) {
        voice_stream_salsa20_two(x, l->in);
        l->in[8] = vx_add32(l->in[8], vx_set32(2));

        return 32;
    }

#endif

    (void) bytes;

    voice_stream_salsa20(x, l->in);
    l->in[8] = vx_add32(l->in[8], vx_set32(1));

    return 16;
}


/* The same four bytes for every lane. */

VX_FN vx_t
voice_lanes_word(const uint8_t *p)
{
    uint32_t  v;

    memcpy(&v, p, 4);

    return vx_set32(v);
}


/*
 * Blocks of Poly1305, 4 words each; `last` is the bit behind the last one.
 * With a text they are key stream, and encrypted first.  The words become
 * quads, as by vx_quads(): two of its eight steps are there already, and the
 * others fill what multiplications leave of the processor.
 */

VX_FN void
voice_lanes_sum(voice_lanes_t *l, vx_t *w, const uint8_t *text, size_t nw,
    vx_t last)
{
    size_t  i, k;
    vx_t    bit, t[4], x[4], a[VOICE_POLY_LIMBS], b[VOICE_POLY_LIMBS];

    VX_UNROLL
    for (i = 0; i < VOICE_POLY_LIMBS; i++) {
        a[i] = l->a.h[i];
        b[i] = l->b.h[i];
    }

    for (i = 0; i < nw; i += 4) {
        bit = i + 4 < nw ? VOICE_POLY_BIT : last;

        VX_UNROLL
        for (k = 0; k < 4; k++) {
            x[k] = w[i + k];

            if (text != NULL) {
                x[k] = vx_xor(x[k], voice_lanes_word(text + 4 * (i + k)));
            }
        }

        t[0] = vx_lo32(x[0], x[1]);
        t[1] = vx_hi32(x[0], x[1]);
        t[2] = vx_lo32(x[2], x[3]);
        t[3] = vx_hi32(x[2], x[3]);

        voice_poly_block(a, &l->a, t[0], t[2], bit);
        voice_poly_block(b, &l->b, t[1], t[3], bit);

        w[i] = vx_lo64(t[0], t[2]);
        w[i + 1] = vx_hi64(t[0], t[2]);
        w[i + 2] = vx_lo64(t[1], t[3]);
        w[i + 3] = vx_hi64(t[1], t[3]);
    }

    VX_UNROLL
    for (i = 0; i < VOICE_POLY_LIMBS; i++) {
        l->a.h[i] = a[i];
        l->b.h[i] = b[i];
    }
}


VX_PART void
voice_lanes_absorb(voice_lanes_t *l, vx_t *w, size_t nw, vx_t last)
{
    voice_lanes_sum(l, w, NULL, nw, last);
}


VX_PART void
voice_lanes_encrypt(voice_lanes_t *l, vx_t *w, const uint8_t *text, size_t nw)
{
    voice_lanes_sum(l, w, text, nw, VOICE_POLY_BIT);
}


/* A block, for the messages whose element of `where` is all ones. */

VX_FN void
voice_lanes_block_where(voice_poly_t *p, vx_t lo, vx_t hi, vx_t bit,
    vx_t where)
{
    int   i;
    vx_t  h[VOICE_POLY_LIMBS];

    VX_UNROLL
    for (i = 0; i < VOICE_POLY_LIMBS; i++) {
        h[i] = p->h[i];
    }

    voice_poly_block(h, p, lo, hi, bit);

    VX_UNROLL
    for (i = 0; i < VOICE_POLY_LIMBS; i++) {
        p->h[i] = vx_or(vx_and(where, h[i]), vx_andnot(where, p->h[i]));
    }
}


/*
 * The same where lanes end: left has the number of bytes of each lane, the
 * rest of its words is zero.  A lane that has no byte of a block left keeps
 * its sum.  With `pad` a cut block ends in a 1 behind its last byte, which
 * the caller wrote, instead of the bit behind the block.
 */

VX_PART void
voice_lanes_absorb_tail(voice_lanes_t *l, const vx_t *w, vx_t left,
    size_t most, bool pad)
{
    size_t  i;
    vx_t    any, full;

    for (i = 0; 4 * i < most; i += 4) {
        any = vx_gt32(left, vx_set32(4 * i));
        full = pad ? vx_gt32(left, vx_set32(4 * i + 15)) : any;

        voice_lanes_block_where(&l->a, vx_lo32(w[i], w[i + 1]),
                                vx_lo32(w[i + 2], w[i + 3]),
                                vx_and(VOICE_POLY_BIT, vx_lo32(full, full)),
                                vx_lo32(any, any));
        voice_lanes_block_where(&l->b, vx_hi32(w[i], w[i + 1]),
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


/* Less than 64 bytes, then zeros. */

VX_FN void
voice_lanes_copy(uint8_t to[64], const uint8_t *from, uint32_t size)
{
    memset(to, 0, 64);

    if (size > VOICE_COPY_SOME_MAX) {
        memcpy(to, from, VOICE_COPY_SOME_MAX);
        to += VOICE_COPY_SOME_MAX;
        from += VOICE_COPY_SOME_MAX;
        size -= VOICE_COPY_SOME_MAX;
    }

    voice_copy_some(to, from, size);
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
 * Encrypts the shared text from off on with up to nw words of key stream, x,
 * for every lane, and takes the outcome into the sum.
 */

VX_PART void
voice_lanes_chunk_same(voice_lanes_t *l, vx_t *x, size_t nw, uint32_t off)
{
    bool            cut;
    size_t          i;
    uint32_t        left;
    const uint8_t  *p, *keep, *pad;
    uint8_t         text[64];
    uint32_t        size[VX_LANES];

    p = l->shared->in + off;
    left = l->most - off;

    if (left >= 4 * nw) {
        voice_lanes_encrypt(l, x, p, nw);
        vx_scatter(x, nw, l->lane, off, NULL, l->n);
        return;
    }

    cut = l->salsa && left % 16 != 0;
    nw = (left + 15) / 16 * 4;

    voice_lanes_copy(text, p, left);

    keep = voice_lanes_keep + 64 - left;
    pad = voice_lanes_pad + 64 - left;

    for (i = 0; i < nw; i++) {
        x[i] = vx_xor(x[i], voice_lanes_word(text + 4 * i));
        x[i] = vx_and(x[i], voice_lanes_word(keep + 4 * i));

        if (cut) {
            x[i] = vx_or(x[i], voice_lanes_word(pad + 4 * i));
        }
    }

    voice_lanes_absorb(l, x, nw, cut ? vx_set64(0) : VOICE_POLY_BIT);

    vx_store(size, vx_set32(left));
    vx_scatter(x, nw, l->lane, off, size, l->n);
}


/* The same for texts of their own, and the way back. */

VX_PART void
voice_lanes_chunk(voice_lanes_t *l, vx_t *x, size_t nw, uint32_t off)
{
    bool        full;
    size_t      i;
    vx_t        left, t[16];
    uint32_t    room, most;
    uint32_t    size[VX_LANES];

    room = 4 * (uint32_t) nw;
    most = l->most - off < room ? l->most - off : room;
    full = l->least >= off + room;

    if (!full) {
        voice_lanes_left(size, l->len, off, room);
    }

    vx_gather(t, nw, l->text, off, full ? NULL : size);

    for (i = 0; i < nw; i++) {
        x[i] = vx_xor(x[i], t[i]);
    }

    if (!l->open) {
        memcpy(t, x, nw * sizeof(vx_t));
    }

    if (full) {
        voice_lanes_absorb(l, t, nw, VOICE_POLY_BIT);

    } else {
        left = vx_load(size);
        voice_lanes_cut(t, nw, left, l->salsa);
        voice_lanes_absorb_tail(l, t, left, most, l->salsa);
    }

    for (i = 0; i < nw; i += 4) {
        vx_quads(x + i, x + i);
    }

    vx_scatter(x, nw, l->lane, off, full ? NULL : size, l->n);
}


/* Associated data, zero-padded to whole blocks: RFC 8439 2.8. */

VX_PART void
voice_lanes_aad_same(voice_lanes_t *l)
{
    size_t          i, nw;
    vx_t            w[16];
    uint32_t        len;
    const uint8_t  *p;
    uint8_t         aad[64];

    p = l->shared->aad;
    len = l->shared->aad_len;

    for ( /* void */ ; len != 0; p += 4 * nw, len -= 4 * nw) {
        nw = 16;

        if (len < 64) {
            voice_lanes_copy(aad, p, len);
            nw = (len + 15) / 16 * 4;
            len = 4 * nw;
            p = aad;
        }

        for (i = 0; i < nw; i++) {
            w[i] = voice_lanes_word(p + 4 * i);
        }

        voice_lanes_absorb(l, w, nw, VOICE_POLY_BIT);
    }
}


VX_PART void
voice_lanes_aad(voice_lanes_t *l)
{
    size_t    i;
    vx_t      w[16];
    uint32_t  off, most;
    uint32_t  size[VX_LANES];

    if (l->shared != NULL) {
        voice_lanes_aad_same(l);
        return;
    }

    most = 0;

    for (i = 0; i < VX_LANES; i++) {
        most = l->aad_len[i] > most ? l->aad_len[i] : most;
    }

    for (off = 0; off < most; off += 64) {
        voice_lanes_left(size, l->aad_len, off, 64);
        vx_gather(w, 16, l->aad, off, size);
        voice_lanes_absorb_tail(l, w, vx_load(size),
                                most - off < 64 ? most - off : 64, false);
    }
}


/* Both lengths as 64-bit numbers: the last block of an AEAD. */

VX_PART void
voice_lanes_lengths(voice_lanes_t *l)
{
    vx_t  w[4];

    w[0] = l->shared != NULL ? vx_set32(l->shared->aad_len)
                             : vx_load(l->aad_len);
    w[1] = vx_set32(0);
    w[2] = l->shared != NULL ? vx_set32(l->shared->len) : vx_load(l->len);
    w[3] = vx_set32(0);

    voice_lanes_absorb(l, w, 4, VOICE_POLY_BIT);
}


/*
 * The halves of the groups' tags, interleaved by 64 bits, are the tags of the
 * lanes 0 4 8 12, 1 5 9 13, 2 6 10 14 and 3 7 11 15.
 */

VX_PART void
voice_lanes_tags(voice_lanes_t *l)
{
    size_t                i;
    vx_t                  lo, hi;
    voice_lane_t         *lane;
    _Alignas(64) uint8_t  tags[4][VX_LANES / 4][VOICE_TAG_LEN];

    voice_poly_finish(&l->a, &lo, &hi);
    vx_store(tags[0], vx_lo64(lo, hi));
    vx_store(tags[1], vx_hi64(lo, hi));

    voice_poly_finish(&l->b, &lo, &hi);
    vx_store(tags[2], vx_lo64(lo, hi));
    vx_store(tags[3], vx_hi64(lo, hi));

    lane = l->lane;

    if (!l->open) {

        for (i = 0; i < l->n; i++) {
            memcpy(lane[i].tag, tags[i % 4][i / 4], VOICE_TAG_LEN);
            lane[i].err = VOICE_OK;
        }

        return;
    }

    for (i = 0; i < l->n; i++) {
        lane[i].err = crypto_verify_16(tags[i % 4][i / 4], lane[i].tag) == 0
                      ? VOICE_OK : VOICE_E_AUTH;
    }
}


VX_PART void
voice_lanes_begin(voice_lanes_t *l)
{
    size_t               i;
    const voice_lane_t  *from;

    if (l->shared != NULL) {
        l->least = l->shared->len;
        l->most = l->shared->len;
        return;
    }

    l->least = UINT32_MAX;
    l->most = 0;

    for (i = 0; i < VX_LANES; i++) {
        from = &l->lane[i < l->n ? i : 0];

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
voice_lanes_round(voice_lanes_t *l)
{
    vx_t      x[32];
    size_t    nw, at, words;
    uint32_t  off;

    voice_lanes_begin(l);
    voice_lanes_setup(l);

    at = l->salsa ? 8 : 16;
    words = voice_lanes_blocks(l, x, 4 * (uint32_t) at + l->most);

    voice_poly_init(&l->a, vx_lo32(x[0], x[1]), vx_lo32(x[2], x[3]),
                    vx_lo32(x[4], x[5]), vx_lo32(x[6], x[7]));
    voice_poly_init(&l->b, vx_hi32(x[0], x[1]), vx_hi32(x[2], x[3]),
                    vx_hi32(x[4], x[5]), vx_hi32(x[6], x[7]));

    if (!l->salsa) {
        voice_lanes_aad(l);
    }

    for (off = 0; off < l->most; off += 4 * (uint32_t) nw, at += nw) {

        if (at == words) {
            words = voice_lanes_blocks(l, x, l->most - off);
            at = 0;
        }

        nw = at == 8 || l->most - off <= 32 ? 8 : 16;

        if (l->shared != NULL) {
            voice_lanes_chunk_same(l, x + at, nw, off);

        } else {
            voice_lanes_chunk(l, x + at, nw, off);
        }
    }

    if (!l->salsa) {
        voice_lanes_lengths(l);
    }

    voice_lanes_tags(l);
}


VX_PART void
voice_lanes_all(voice_lane_t *lane, size_t n, voice_lanes_how_t how,
    voice_cipher_t cipher)
{
    size_t         i;
    voice_lanes_t  l;

    l.salsa = cipher != VOICE_CIPHER_XCHACHA20_POLY1305;
    l.salted = cipher == VOICE_CIPHER_XSALSA20_POLY1305_SALT;
    l.open = how == VOICE_LANES_OPEN;
    l.shared = how == VOICE_LANES_SEAL_SAME ? lane : NULL;

    for (i = 0; i < n; i += VX_LANES) {
        l.lane = &lane[i];
        l.n = n - i < VX_LANES ? n - i : VX_LANES;

        voice_lanes_round(&l);
    }
}


#endif /* _VOICE_CRYPTO_LANES_H_INCLUDED_ */
