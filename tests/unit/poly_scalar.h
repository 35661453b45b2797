/*
 * Copyright (C) ngx-voice contributors
 *
 * Poly1305 as the kernels compute it, with vectors of one element, against
 * big numbers: keys, blocks and sums at the borders, where carries run through
 * and the last reduction decides.  Keys of real packets never come there.
 *
 * Before it, the includer names the multiplier's header: VOICE_POLY_HEADER.
 */


#ifndef _VOICE_TEST_POLY_SCALAR_H_INCLUDED_
#define _VOICE_TEST_POLY_SCALAR_H_INCLUDED_


#include "test_util.h"

#include <openssl/bn.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>


#define VX_FN      static
#define VX_UNROLL

typedef uint64_t  vx_t;

#define vx_set64(v)     ((vx_t) (v))
#define vx_add64(a, b)  ((a) + (b))
#define vx_sub64(a, b)  ((a) - (b))
#define vx_srl64(a, n)  ((a) >> (n))
#define vx_sll64(a, n)  ((a) << (n))
#define vx_and(a, b)    ((a) & (b))
#define vx_or(a, b)     ((a) | (b))
#define vx_andnot(a, b) (~(a) & (b))


#define POLY_LOW52      ((1ull << 52) - 1)

/* The products as the processor makes them: too large factors are cut. */

static inline vx_t
vx_mul32(vx_t a, vx_t b)
{
    return (a & 0xFFFFFFFF) * (b & 0xFFFFFFFF);
}


static inline vx_t
vx_madlo52(vx_t acc, vx_t a, vx_t b)
{
    return acc + ((vx_t) ((unsigned __int128) (a & POLY_LOW52)
                          * (b & POLY_LOW52)) & POLY_LOW52);
}


static inline vx_t
vx_madhi52(vx_t acc, vx_t a, vx_t b)
{
    return acc + (vx_t) ((unsigned __int128) (a & POLY_LOW52)
                         * (b & POLY_LOW52) >> 52);
}


#include VOICE_POLY_HEADER


#define BLOCKS  7


typedef struct {
    uint64_t   key[4];             /* r, clamped by the code; s */
    uint64_t   block[BLOCKS][2];
    bool       cut[BLOCKS];        /* no bit behind it */
    size_t     n;
} poly_case_t;


static BN_CTX  *poly_ctx;
static BIGNUM  *poly_p;            /* 2^130 - 5 */


static BIGNUM *
poly_number(uint64_t lo, uint64_t hi)
{
    int      i;
    uint8_t  bytes[16];
    BIGNUM  *bn;

    for (i = 0; i < 8; i++) {
        bytes[i] = (uint8_t) (lo >> 8 * i);
        bytes[8 + i] = (uint8_t) (hi >> 8 * i);
    }

    bn = BN_lebin2bn(bytes, sizeof(bytes), NULL);
    assert_non_null(bn);

    return bn;
}


/* RFC 8439 2.5, as it stands there. */
static void
poly_expected(const poly_case_t *c, uint8_t tag[16])
{
    size_t   i;
    BIGNUM  *r, *s, *sum, *m;

    r = poly_number(c->key[0] & 0x0ffffffc0fffffff,
                    c->key[1] & 0x0ffffffc0ffffffc);
    s = poly_number(c->key[2], c->key[3]);
    sum = poly_number(0, 0);

    for (i = 0; i < c->n; i++) {
        m = poly_number(c->block[i][0], c->block[i][1]);

        if (!c->cut[i]) {
            assert_int_equal(BN_set_bit(m, 128), 1);
        }

        assert_int_equal(BN_add(sum, sum, m), 1);
        assert_int_equal(BN_mod_mul(sum, sum, r, poly_p, poly_ctx), 1);
        BN_free(m);
    }

    assert_int_equal(BN_add(sum, sum, s), 1);

    if (BN_num_bits(sum) > 128) {
        assert_int_equal(BN_mask_bits(sum, 128), 1);
    }

    assert_int_equal(BN_bn2lebinpad(sum, tag, 16), 16);

    BN_free(r);
    BN_free(s);
    BN_free(sum);
}


static void
poly_check(const poly_case_t *c)
{
    size_t        i;
    vx_t          lo, hi;
    uint8_t       expected[16], got[16];
    voice_poly_t  p;

    voice_poly_init(&p, c->key[0], c->key[1], c->key[2], c->key[3]);

    for (i = 0; i < c->n; i++) {
        voice_poly_block(p.h, &p, c->block[i][0], c->block[i][1],
                         c->cut[i] ? 0 : VOICE_POLY_BIT);
    }

    voice_poly_finish(&p, &lo, &hi);

    for (i = 0; i < 8; i++) {
        got[i] = (uint8_t) (lo >> 8 * i);
        got[8 + i] = (uint8_t) (hi >> 8 * i);
    }

    poly_expected(c, expected);

    if (memcmp(got, expected, sizeof(got)) != 0) {
        fail_msg("r %016llx%016llx, %zu blocks, the last %016llx%016llx",
                 (unsigned long long) c->key[1],
                 (unsigned long long) c->key[0], c->n,
                 (unsigned long long) c->block[c->n - 1][1],
                 (unsigned long long) c->block[c->n - 1][0]);
    }
}


static uint64_t
poly_random(uint64_t *seed)
{
    *seed = *seed * 6364136223846793005 + 1442695040888963407;

    return *seed >> 32 | *seed << 32;
}


/* Mostly a number near a border. */
static uint64_t
poly_pick(uint64_t *seed)
{
    uint64_t  v;

    static const uint64_t  edges[] = {
        0, 0, 1, 2, 4, 5, 0xfffffffffffffffa, 0xfffffffffffffffb,
        0xfffffffffffffffc, 0xfffffffffffffffe, 0xffffffffffffffff,
        0xffffffffffffffff, 0x0ffffffc0fffffff, 0x0ffffffc0ffffffc,
        0x8000000000000000, 0x00000fffffffffff, 0x0000000003ffffff
    };

    v = poly_random(seed);

    if (v % 8 == 0) {
        return poly_random(seed);
    }

    return edges[(v >> 8) % test_n(edges)];
}


static void
poly_borders(void **state)
{
    size_t       i, k;
    uint64_t     seed;
    poly_case_t  c;

    (void) state;

    seed = 1;

    for (i = 0; i < 60000; i++) {
        memset(&c, 0, sizeof(c));

        for (k = 0; k < 4; k++) {
            c.key[k] = poly_pick(&seed);
        }

        c.n = 1 + poly_random(&seed) % BLOCKS;

        for (k = 0; k < c.n; k++) {
            c.block[k][0] = poly_pick(&seed);
            c.block[k][1] = poly_pick(&seed);
            c.cut[k] = poly_random(&seed) % 4 == 0;
        }

        poly_check(&c);
    }
}


/* With r = 1 the sum is that of the blocks: each number about 2^130 - 5. */
static void
poly_about_the_modulus(void **state)
{
    uint64_t     d;
    poly_case_t  c;

    (void) state;

    for (d = 0; d < 16; d++) {
        memset(&c, 0, sizeof(c));

        c.key[0] = 1;
        c.n = 3;

        /* 2 * (2^129 - 1) and d - 9: from 2^130 - 11 to 2^130 + 4 */

        c.block[0][0] = UINT64_MAX;
        c.block[0][1] = UINT64_MAX;
        c.block[1][0] = UINT64_MAX - 9;
        c.block[1][1] = UINT64_MAX;
        c.block[2][0] = d;
        c.cut[2] = true;

        poly_check(&c);
    }
}


static int
poly_setup(void **state)
{
    (void) state;

    poly_ctx = BN_CTX_new();
    poly_p = BN_new();

    return poly_ctx != NULL && poly_p != NULL
           && BN_set_bit(poly_p, 130) == 1 && BN_sub_word(poly_p, 5) == 1
           ? 0 : -1;
}


static int
poly_teardown(void **state)
{
    (void) state;

    BN_free(poly_p);
    BN_CTX_free(poly_ctx);

    return 0;
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(poly_borders),
        cmocka_unit_test(poly_about_the_modulus),
    };

    return cmocka_run_group_tests(tests, poly_setup, poly_teardown);
}


#endif /* _VOICE_TEST_POLY_SCALAR_H_INCLUDED_ */
