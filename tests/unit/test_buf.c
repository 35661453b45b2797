/*
 * Copyright (C) ngx-voice contributors
 *
 * Text in a fixed and in a growing buffer; arenas.
 */


#include "test_alloc.h"

#include "voice_buf.h"

#include <stdio.h>


static void
write_some(voice_buf_t *b)
{
    voice_buf_puts(b, "a");
    voice_buf_put(b, "bc", 2);
    voice_buf_put(b, NULL, 0);
    voice_buf_printf(b, "%d%s", -7, "x");
    voice_buf_id(b, UINT64_MAX);
    voice_buf_id(b, 0);
    voice_buf_uint(b, 0);
    voice_buf_uint(b, 1234567890123);
    voice_buf_bool(b, true);
    voice_buf_bool(b, false);
    voice_buf_string(b, NULL);
    voice_buf_string(b, "q\"b\\n\n\x01\x1f\x7f\xc3\xa9");
}


static const char  written[] =
    "abc-7x\"18446744073709551615\"null01234567890123truefalsenull"
    "\"q\\\"b\\\\n\\u000a\\u0001\\u001f\x7f\xc3\xa9\"";


static void
buf_fixed_every_size(void **state)
{
    char         *data;
    size_t        size, len;
    voice_buf_t   b;

    (void) state;

    len = sizeof(written) - 1;

    for (size = 0; size <= len + 1; size++) {
        data = malloc(size != 0 ? size : 1);
        assert_non_null(data);

        voice_buf_fixed(&b, data, size);
        write_some(&b);

        test_err("fits", voice_buf_done(&b),
                 size < len ? VOICE_E_FULL : VOICE_OK);

        if (size >= len) {
            test_mem("text", b.data, b.len, written, len);
        }

        voice_buf_free(&b);
        free(data);
    }
}


static void
buf_grows_up_to_its_limit(void **state)
{
    size_t        i, n;
    voice_buf_t   b;
    test_alloc_t  t;

    (void) state;

    test_alloc_init(&t, -1);
    voice_buf_growing(&b, &t.alloc, 100000);
    test_num("nothing taken yet", t.count, 0);

    for (i = 0, n = 0; i < 2000; i++) {
        write_some(&b);
        n += sizeof(written) - 1;

        if (n > 100000) {
            break;
        }

        test_err("below", voice_buf_done(&b), VOICE_OK);
        test_num("length", b.len, n);
    }

    test_err("above", voice_buf_done(&b), VOICE_E_FULL);
    assert_memory_equal(b.data, written, sizeof(written) - 1);
    assert_in_range(b.size, 99000, 100000);

    /* the first error stays */
    voice_buf_puts(&b, "");
    test_err("still", voice_buf_done(&b), VOICE_E_FULL);

    n = (size_t) t.count;
    voice_buf_reset(&b);
    write_some(&b);
    test_err("anew", voice_buf_done(&b), VOICE_OK);
    test_mem("text", b.data, b.len, written, sizeof(written) - 1);
    test_num("in the same memory", t.count, n);

    voice_buf_free(&b);
    test_num("blocks left", t.live, 0);

    write_some(&b);
    test_err("after free", voice_buf_done(&b), VOICE_OK);
    voice_buf_free(&b);
    test_num("blocks left", t.live, 0);
}


static void
buf_allocations_fail(void **state)
{
    long          n;
    size_t        i;
    voice_buf_t   b;
    test_alloc_t  t;

    (void) state;

    for (n = 0; n < 20; n++) {
        test_alloc_init(&t, n);
        voice_buf_growing(&b, &t.alloc, 1000000);

        for (i = 0; i < 100; i++) {
            write_some(&b);
        }

        test_err("one fails", voice_buf_done(&b),
                 t.failed ? VOICE_E_NOMEM : VOICE_OK);

        voice_buf_free(&b);
        test_num("blocks left", t.live, 0);

        if (!t.failed) {
            break;
        }
    }

    assert_in_range(n, 3, 19);
}


static void
buf_printf_is_for_short_pieces(void **state)
{
    char          few[256], many[257];
    voice_buf_t   b;

    (void) state;

    memset(few, 'x', 255);
    few[255] = '\0';
    memset(many, 'x', 256);
    many[256] = '\0';

    voice_buf_growing(&b, NULL, 10000);
    voice_buf_printf(&b, "%s", few);
    test_err("255", voice_buf_done(&b), VOICE_OK);
    test_mem("text", b.data, b.len, few, 255);

    voice_buf_printf(&b, "%s", many);
    test_err("256", voice_buf_done(&b), VOICE_E_FULL);
    test_num("nothing of it", b.len, 255);

    voice_buf_free(&b);
}


static void
arena_keeps_what_it_gave(void **state)
{
    char          *text[2000], name[32];
    size_t         i, k;
    uint64_t      *list[200];
    test_alloc_t   t;
    voice_arena_t  a;

    (void) state;

    test_alloc_init(&t, -1);
    voice_arena_init(&a, &t.alloc);

    for (i = 0; i < test_n(text); i++) {
        (void) snprintf(name, sizeof(name), "text %zu", i);
        text[i] = voice_arena_text(&a, name, strlen(name));
        assert_non_null(text[i]);

        if (i % 10 == 0) {
            list[i / 10] = voice_arena_array(&a, i, sizeof(uint64_t));
            assert_non_null(list[i / 10]);
            test_num("aligned", (uintptr_t) list[i / 10]
                                % _Alignof(max_align_t), 0);

            for (k = 0; k < i; k++) {
                test_num("zeroed", list[i / 10][k], 0);
                list[i / 10][k] = i;
            }
        }
    }

    for (i = 0; i < test_n(text); i++) {
        (void) snprintf(name, sizeof(name), "text %zu", i);
        assert_string_equal(text[i], name);

        for (k = 0; i % 10 == 0 && k < i; k++) {
            test_num("list", list[i / 10][k], i);
        }
    }

    assert_null(voice_arena_array(&a, SIZE_MAX / 8, 16));
    assert_null(voice_arena_array(&a, SIZE_MAX, 1));
    assert_null(voice_arena_text(&a, "", SIZE_MAX));

    /* blocks grow: their number is nowhere near that of the items */
    assert_in_range(t.live, 2, 30);

    voice_arena_free(&a);
    test_num("blocks left", t.live, 0);
    assert_non_null(voice_arena_array(&a, 0, 8));
    voice_arena_free(&a);
    test_num("blocks left", t.live, 0);
}


static void
arena_allocations_fail(void **state)
{
    test_alloc_t   t;
    voice_arena_t  a;

    (void) state;

    test_alloc_init(&t, 1);
    voice_arena_init(&a, &t.alloc);

    assert_non_null(voice_arena_array(&a, 10, 100));
    assert_null(voice_arena_array(&a, 1000, 100));
    assert_non_null(voice_arena_array(&a, 1000, 100));

    voice_arena_free(&a);
    test_num("blocks left", t.live, 0);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(buf_fixed_every_size),
        cmocka_unit_test(buf_grows_up_to_its_limit),
        cmocka_unit_test(buf_allocations_fail),
        cmocka_unit_test(buf_printf_is_for_short_pieces),
        cmocka_unit_test(arena_keeps_what_it_gave),
        cmocka_unit_test(arena_allocations_fail)
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
