/*
 * Copyright (C) ngx-voice contributors
 *
 * What the tests of the media codec share: bytes written as hex, copies
 * behind whose end the address sanitizer watches, checks that name the case.
 */


#ifndef _TEST_UTIL_H_INCLUDED_
#define _TEST_UTIL_H_INCLUDED_


#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "voice_err.h"

#include <stdlib.h>
#include <string.h>


#define test_n(array)  (sizeof(array) / sizeof((array)[0]))

#define test_err(name, got, expected)                                         \
    do {                                                                      \
        voice_err_t  got_ = (got), expected_ = (expected);                    \
                                                                              \
        if (got_ != expected_) {                                              \
            fail_msg("%s: got \"%s\", expected \"%s\"", (name),               \
                     voice_err_name(got_), voice_err_name(expected_));        \
        }                                                                     \
    } while (0)

#define test_num(name, got, expected)                                         \
    do {                                                                      \
        long long  got_ = (long long) (got);                                  \
        long long  expected_ = (long long) (expected);                        \
                                                                              \
        if (got_ != expected_) {                                              \
            fail_msg("%s: %s is %lld, expected %lld", (name), #got, got_,     \
                     expected_);                                              \
        }                                                                     \
    } while (0)

#define test_mem(name, got, got_len, expected, expected_len)                  \
    do {                                                                      \
        test_num((name), (got_len), (expected_len));                          \
                                                                              \
        if (memcmp((got), (expected), (expected_len)) != 0) {                 \
            fail_msg("%s: bytes differ", (name));                             \
        }                                                                     \
    } while (0)


/* Hex digits, with spaces between bytes where they help, into out. */
static inline size_t
test_hex(const char *hex, uint8_t *out, size_t size)
{
    char         digits[3];
    size_t       n;
    char        *end;
    const char  *p;

    n = 0;
    digits[2] = '\0';

    for (p = hex; *p != '\0'; p += 2) {

        if (*p == ' ') {
            p--;
            continue;
        }

        digits[0] = p[0];
        digits[1] = p[1];

        assert_true(n < size);
        out[n++] = (uint8_t) strtoul(digits, &end, 16);
        assert_ptr_equal(end, digits + 2);
    }

    return n;
}


/* A copy without a byte to spare; the caller frees it. */
static inline uint8_t *
test_copy(const void *data, size_t len)
{
    uint8_t  *p;

    p = malloc(len != 0 ? len : 1);
    assert_non_null(p);

    if (len != 0) {
        memcpy(p, data, len);
    }

    return p;
}


#endif /* _TEST_UTIL_H_INCLUDED_ */
