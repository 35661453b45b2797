/*
 * Copyright (C) ngx-voice contributors
 */


#include "test_util.h"

#include "voice_bytes.h"


static const uint8_t  bytes[] = { 0x81, 0x92, 0xA3, 0xB4, 0xC5, 0xD6, 0xE7 };


static void
reads_are_big_endian(void **state)
{
    voice_reader_t  r;

    (void) state;

    voice_reader_init(&r, bytes, 7);
    assert_int_equal(voice_read_u8(&r), 0x81);
    assert_int_equal(voice_read_u16(&r), 0x92A3);
    assert_int_equal(voice_read_u24(&r), 0xB4C5D6);
    assert_int_equal(voice_reader_left(&r), 1);
    assert_int_equal(voice_read_u8(&r), 0xE7);
    assert_int_equal(voice_reader_left(&r), 0);
    assert_false(r.failed);

    voice_reader_init(&r, bytes, 7);
    assert_true(voice_read_u32(&r) == 0x8192A3B4u);
    assert_ptr_equal(voice_read_bytes(&r, 3), bytes + 4);
    assert_false(r.failed);
}


static uint32_t
read_width(voice_reader_t *r, size_t width)
{
    switch (width) {

    case 1:
        return voice_read_u8(r);

    case 2:
        return voice_read_u16(r);

    case 3:
        return voice_read_u24(r);

    default:
        return voice_read_u32(r);
    }
}


static void
read_past_end_fails_for_good(void **state)
{
    size_t           width, len;
    uint8_t         *p;
    voice_reader_t   r;

    (void) state;

    for (width = 1; width <= 4; width++) {
        for (len = 0; len < width; len++) {

            p = test_copy(bytes, len);
            voice_reader_init(&r, p, len);

            assert_true(read_width(&r, width) == 0);
            assert_true(r.failed);
            assert_int_equal(voice_reader_left(&r), 0);

            /* what would have fitted before is refused too */
            assert_int_equal(voice_read_u8(&r), 0);
            assert_null(voice_read_bytes(&r, 0));
            assert_true(r.failed);

            free(p);
        }
    }
}


static void
read_bytes_checks_huge_lengths(void **state)
{
    voice_reader_t  r;

    (void) state;

    voice_reader_init(&r, bytes, 7);
    assert_null(voice_read_bytes(&r, SIZE_MAX));
    assert_true(r.failed);

    voice_reader_init(&r, bytes, 7);
    assert_null(voice_read_bytes(&r, 8));
    assert_true(r.failed);

    voice_reader_init(&r, bytes, 7);
    assert_ptr_equal(voice_read_bytes(&r, 7), bytes);
    assert_ptr_equal(voice_read_bytes(&r, 0), bytes + 7);
    assert_false(r.failed);
}


static void
empty_reader_takes_null(void **state)
{
    voice_reader_t  r;

    (void) state;

    voice_reader_init(&r, NULL, 0);
    assert_int_equal(voice_reader_left(&r), 0);
    assert_null(voice_read_bytes(&r, 0));
    assert_false(r.failed);
    assert_int_equal(voice_read_u8(&r), 0);
    assert_true(r.failed);
}


static void
slice_bounds_its_own_part(void **state)
{
    voice_reader_t  r, slice, inner;

    (void) state;

    voice_reader_init(&r, bytes, 7);
    voice_read_u8(&r);
    voice_read_slice(&r, 3, &slice);

    assert_int_equal(voice_reader_left(&slice), 3);
    assert_int_equal(voice_reader_left(&r), 3);
    assert_int_equal(voice_read_u16(&slice), 0x92A3);

    /* bytes follow in the outer reader, but not in this one */
    assert_int_equal(voice_read_u16(&slice), 0);
    assert_true(slice.failed);
    assert_false(r.failed);
    assert_int_equal(voice_read_u8(&r), 0xC5);

    voice_read_slice(&r, 3, &inner);
    assert_true(r.failed);
    assert_true(inner.failed);
    assert_int_equal(voice_reader_left(&inner), 0);
    assert_null(voice_read_bytes(&inner, 0));
}


static void
stores_and_loads_agree(void **state)
{
    size_t                 i;
    uint8_t                buf[6];
    static const uint32_t  values[] = {
        0, 1, 0x7F, 0x80, 0xFF, 0x100, 0x8000, 0xFFFF, 0x10000, 0x7FFFFFFF,
        0x80000000, 0xFFFFFFFF, 0x12345678
    };

    (void) state;

    for (i = 0; i < test_n(values); i++) {
        memset(buf, 0x55, sizeof(buf));
        voice_put_u32(buf + 1, values[i]);
        assert_true(voice_get_u32(buf + 1) == values[i]);
        assert_int_equal(buf[1], values[i] >> 24);
        assert_int_equal(buf[0], 0x55);
        assert_int_equal(buf[5], 0x55);

        memset(buf, 0x55, sizeof(buf));
        voice_put_u16(buf + 1, (uint16_t) values[i]);
        assert_int_equal(voice_get_u16(buf + 1), values[i] & 0xFFFF);
        assert_int_equal(buf[2], values[i] & 0xFF);
        assert_int_equal(buf[0], 0x55);
        assert_int_equal(buf[3], 0x55);
    }
}


static void
error_names_are_distinct(void **state)
{
    int  i, k;

    (void) state;

    for (i = 0; i < VOICE_E_COUNT; i++) {
        assert_string_not_equal(voice_err_name((voice_err_t) i), "unknown");

        for (k = 0; k < i; k++) {
            assert_string_not_equal(voice_err_name((voice_err_t) i),
                                    voice_err_name((voice_err_t) k));
        }
    }

    assert_string_equal(voice_err_name(VOICE_E_SHORT), "short");
    assert_string_equal(voice_err_name(VOICE_E_AUTH), "auth");
    assert_string_equal(voice_err_name(VOICE_E_NOT_FOUND), "not_found");
    assert_string_equal(voice_err_name(VOICE_E_COUNT), "unknown");
    assert_string_equal(voice_err_name((voice_err_t) -1), "unknown");
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(reads_are_big_endian),
        cmocka_unit_test(read_past_end_fails_for_good),
        cmocka_unit_test(read_bytes_checks_huge_lengths),
        cmocka_unit_test(empty_reader_takes_null),
        cmocka_unit_test(slice_bounds_its_own_part),
        cmocka_unit_test(stores_and_loads_agree),
        cmocka_unit_test(error_names_are_distinct),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
