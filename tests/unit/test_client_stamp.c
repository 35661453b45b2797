/*
 * Copyright (C) ngx-voice contributors
 *
 * Stamped packets must still be what they were for every decoder.
 */


#include "test_util.h"

#include "audio_source.h"
#include "server.h"
#include "stamp.h"

#include <opus.h>


#define PACKETS  100


static const vc_stamp_t  some = {
    0xDEADBEEF, 7, 0xFFFFFFFE, UINT64_C(0x0123456789ABCDEF)
};


static void
check_stamp(const uint8_t *pkt, size_t len)
{
    vc_stamp_t  got;

    memset(&got, 0, sizeof(got));
    assert_true(vc_stamp_read(pkt, len, &got));
    assert_int_equal(got.run, some.run);
    assert_int_equal(got.sender, some.sender);
    assert_int_equal(got.seq, some.seq);
    assert_true(got.time == some.time);
}


/* Each length of padding needs its own number of length bytes. */
static void
packets_of_every_size(void **state)
{
    int           i, rc;
    size_t        len;
    int16_t       pcm[960];
    uint8_t      *buf;
    OpusDecoder  *decoder;

    (void) state;

    decoder = opus_decoder_create(48000, 1, &rc);
    assert_non_null(decoder);

    for (len = VC_STAMP_PACKET_MIN; len <= VC_STAMP_PACKET_MAX; len++) {
        buf = malloc(len);
        assert_non_null(buf);
        vc_stamp_packet(buf, len, &some);

        check_stamp(buf, len);
        test_num("samples", opus_packet_get_nb_samples(buf, (int) len, 48000),
                 960);
        test_num("frames", opus_packet_get_nb_frames(buf, (int) len), 1);
        assert_int_equal(opus_decode(decoder, buf, (int) len, pcm, 960, 0),
                         960);

        for (i = 0; i < 960; i++) {
            assert_true(pcm[i] >= -1 && pcm[i] <= 1);
        }

        free(buf);
    }

    opus_decoder_destroy(decoder);
}


/* The same sound with a stamp and without, sample by sample. */
static void
sound_is_unchanged(void **state)
{
    int           i, rc, n;
    char          error[VC_ERROR_MAX];
    size_t        len, stamped;
    int16_t       plain[960 * 2], got[960 * 2];
    uint8_t       buf[1400];
    uint32_t      samples;
    OpusDecoder  *a, *b;
    vc_source_t  *source;

    (void) state;

    source = vc_source_tone(440, error);
    a = opus_decoder_create(48000, 2, &rc);
    b = opus_decoder_create(48000, 2, &rc);
    assert_non_null(source);
    assert_non_null(a);
    assert_non_null(b);

    for (i = 0; i < PACKETS; i++) {
        assert_int_equal(vc_source_next(source, buf, sizeof(buf), &len,
                                        &samples, error), VC_SOURCE_PACKET);
        assert_int_equal(samples, 960);
        assert_false(vc_stamp_read(buf, len, &(vc_stamp_t) { 0 }));

        n = opus_decode(a, buf, (int) len, plain, 960, 0);
        assert_int_equal(n, 960);

        stamped = vc_stamp_add(buf, len, sizeof(buf), &some);
        assert_int_equal(stamped, len + VC_STAMP_OVERHEAD);
        check_stamp(buf, stamped);

        n = opus_decode(b, buf, (int) stamped, got, 960, 0);
        assert_int_equal(n, 960);
        assert_memory_equal(plain, got, sizeof(plain));
    }

    opus_decoder_destroy(a);
    opus_decoder_destroy(b);
    vc_source_close(source);
}


typedef struct {
    const char  *name;
    const char  *hex;
    bool         ok;
} add_case_t;


static const add_case_t  add_cases[] = {
    { "one frame", "F8 FFFE", true },
    { "two frames of a size", "F9 FFFE FFFE", true },
    { "two frames of two sizes", "FA 02 FFFE FFFEFF", true },
    { "three frames", "FB 03 FFFE FFFE FFFE", true },
    { "three frames of three sizes", "FB 83 02 03 FFFE FFFEFF FF", true },
    { "padded already", "FB 41 03 FFFE 000000", true },
    { "an empty frame", "F8", true },
    { "two frames, odd length", "F9 FFFEFF", false },
    { "no frame count", "FB", false },
    { "frame count 0", "FB 00", false },
    { "more than 120 ms", "FB 07 FF FF FF FF FF FF FF", false },
    { "length too big", "FA 05 FFFE", false },
};


static void
packets_of_every_code(void **state)
{
    int                n;
    size_t             i, len, stamped;
    uint8_t            buf[256], before[256];
    const add_case_t  *c;

    (void) state;

    for (i = 0; i < test_n(add_cases); i++) {
        c = &add_cases[i];
        len = test_hex(c->hex, buf, sizeof(buf));
        memcpy(before, buf, len);
        n = opus_packet_get_nb_samples(buf, (int) len, 48000);

        stamped = vc_stamp_add(buf, len, sizeof(buf), &some);
        test_num(c->name, stamped != 0, c->ok);

        if (!c->ok) {
            test_mem(c->name, buf, len, before, len);
            continue;
        }

        test_num(c->name, stamped, len + VC_STAMP_OVERHEAD);
        check_stamp(buf, stamped);
        test_num(c->name,
                 opus_packet_get_nb_samples(buf, (int) stamped, 48000), n);
    }

    /* no room, by a byte */
    len = test_hex("F8 FFFE", buf, sizeof(buf));
    assert_int_equal(vc_stamp_add(buf, len, len + VC_STAMP_OVERHEAD - 1,
                                  &some), 0);
    assert_int_equal(vc_stamp_add(buf, 0, sizeof(buf), &some), 0);
}


static void
truncated_stamps_are_none(void **state)
{
    size_t      len;
    uint8_t     pkt[80], *copy;
    vc_stamp_t  got;

    (void) state;

    vc_stamp_packet(pkt, sizeof(pkt), &some);

    for (len = 0; len < sizeof(pkt); len++) {
        copy = test_copy(pkt, len);
        assert_false(vc_stamp_read(copy, len, &got));
        free(copy);
    }

    assert_true(vc_stamp_read(pkt, sizeof(pkt), &got));

    pkt[0] ^= 1;
    assert_false(vc_stamp_read(pkt, sizeof(pkt), &got));
    pkt[0] ^= 1;
    pkt[1] ^= 0x40;
    assert_false(vc_stamp_read(pkt, sizeof(pkt), &got));
    pkt[1] ^= 0x40;
    pkt[sizeof(pkt) - VC_STAMP_LEN] ^= 1;
    assert_false(vc_stamp_read(pkt, sizeof(pkt), &got));
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(packets_of_every_size),
        cmocka_unit_test(sound_is_unchanged),
        cmocka_unit_test(packets_of_every_code),
        cmocka_unit_test(truncated_stamps_are_none),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
