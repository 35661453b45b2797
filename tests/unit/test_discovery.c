/*
 * Copyright (C) ngx-voice contributors
 */


#include "test_util.h"

#include "voice_discovery.h"


typedef struct {
    const char   *name;
    const char   *head;        /* hex; zeros follow up to len */
    size_t        len;
    voice_err_t   err;
    uint32_t      ssrc;
} request_case_t;


static const request_case_t  requests[] = {
    { "74 bytes", "00010046 00001B58", 74, VOICE_OK, 7000 },
    { "74 bytes, highest SSRC", "00010046 FFFFFFFF", 74, VOICE_OK,
      0xFFFFFFFF },
    { "a response", "00020046 00001B58", 74, VOICE_E_FORMAT, 0 },
    { "type 0", "00000046 00001B58", 74, VOICE_E_FORMAT, 0 },
    { "length 71", "00010047 00001B58", 74, VOICE_E_FORMAT, 0 },
    { "length 65535", "0001FFFF 00001B58", 74, VOICE_E_FORMAT, 0 },
    { "length 0", "00010000 00001B58", 74, VOICE_E_FORMAT, 0 },
    { "SSRC 0", "00010046", 74, VOICE_E_FORMAT, 0 },
    { "71 bytes", "00010046 00001B58", 71, VOICE_E_LENGTH, 0 },
    { "72 bytes", "00010046 00001B58", 72, VOICE_E_LENGTH, 0 },
    { "73 bytes", "00010046 00001B58", 73, VOICE_E_LENGTH, 0 },
    { "75 bytes", "00010046 00001B58", 75, VOICE_E_LENGTH, 0 },
    { "70 bytes", "00001B58", 70, VOICE_OK, 7000 },
    { "70 bytes, SSRC 0", "", 70, VOICE_E_FORMAT, 0 },
    { "70 bytes, dirty", "00001B58 01", 70, VOICE_E_FORMAT, 0 },
    { "70 bytes of a new one", "00010046 00001B58", 70, VOICE_E_FORMAT, 0 },
    { "69 bytes", "00001B58", 69, VOICE_E_SHORT, 0 },
    { "8 bytes", "00010046 00001B58", 8, VOICE_E_SHORT, 0 },
    { "empty", "", 0, VOICE_E_SHORT, 0 },
};


static void
request_table(void **state)
{
    size_t    i;
    uint8_t  *p;
    uint32_t  ssrc;
    uint8_t   buf[128];

    (void) state;

    for (i = 0; i < test_n(requests); i++) {
        memset(buf, 0, sizeof(buf));
        test_hex(requests[i].head, buf, sizeof(buf));

        ssrc = 0;
        p = test_copy(buf, requests[i].len);
        test_err(requests[i].name,
                 voice_discovery_request_decode(p, requests[i].len, &ssrc),
                 requests[i].err);
        test_num(requests[i].name, ssrc, requests[i].ssrc);
        free(p);
    }
}


/* Only the SSRC may differ from zero, at one end or the other. */
static void
old_request_must_be_zero(void **state)
{
    size_t    i;
    uint32_t  ssrc;
    uint8_t   buf[VOICE_DISCOVERY_OLD_LEN];

    (void) state;

    memset(buf, 0, sizeof(buf));
    buf[69] = 9;
    assert_int_equal(voice_discovery_request_decode(buf, 70, &ssrc), VOICE_OK);
    assert_int_equal(ssrc, 9);

    for (i = 0; i < 66; i++) {
        buf[i] = 1;
        assert_int_equal(voice_discovery_request_decode(buf, 70, &ssrc),
                         VOICE_E_FORMAT);
        buf[i] = 0;
    }

    memset(buf, 0, sizeof(buf));
    buf[0] = 9;

    for (i = 4; i < 70; i++) {
        buf[i] = 1;
        assert_int_equal(voice_discovery_request_decode(buf, 70, &ssrc),
                         VOICE_E_FORMAT);
        buf[i] = 0;
    }
}


static void
request_round_trip(void **state)
{
    uint32_t  ssrc;
    uint8_t   out[VOICE_DISCOVERY_LEN], expected[VOICE_DISCOVERY_LEN];

    (void) state;

    memset(out, 0xFF, sizeof(out));
    voice_discovery_request_encode(out, 7000);

    memset(expected, 0, sizeof(expected));
    test_hex("00010046 00001B58", expected, sizeof(expected));
    test_mem("request", out, sizeof(out), expected, sizeof(expected));

    assert_int_equal(voice_discovery_request_decode(out, sizeof(out), &ssrc),
                     VOICE_OK);
    assert_int_equal(ssrc, 7000);
}


static void
response_bytes(void **state)
{
    voice_discovery_t  d;
    uint8_t            out[VOICE_DISCOVERY_LEN], expected[VOICE_DISCOVERY_LEN];

    (void) state;

    d.ssrc = 7000;
    d.port = 50004;
    strcpy(d.address, "203.0.113.7");

    memset(out, 0xFF, sizeof(out));
    memset(expected, 0, sizeof(expected));
    test_hex("00020046 00001B58", expected, sizeof(expected));
    memcpy(expected + 8, "203.0.113.7", 11);
    test_hex("C354", expected + 72, 2);

    assert_int_equal(voice_discovery_response_encode(out, 74, &d), VOICE_OK);
    test_mem("new response", out, 74, expected, 74);

    memset(out, 0xFF, sizeof(out));
    memset(expected, 0, sizeof(expected));
    test_hex("00001B58", expected, sizeof(expected));
    memcpy(expected + 4, "203.0.113.7", 11);
    test_hex("C354", expected + 68, 2);

    assert_int_equal(voice_discovery_response_encode(out, 70, &d), VOICE_OK);
    test_mem("old response", out, 70, expected, 70);
    assert_int_equal(out[70], 0xFF);
}


static void
response_round_trip(void **state)
{
    size_t              i;
    voice_discovery_t   d, got;
    uint8_t             out[VOICE_DISCOVERY_LEN];
    static const char  *addresses[] = {
        "0.0.0.0", "255.255.255.255", "2001:db8::1", "",
        "a-text-of-63-characters-0123456789-0123456789-0123456789-012345"
    };

    (void) state;

    assert_int_equal(strlen(addresses[4]), 63);

    for (i = 0; i < test_n(addresses); i++) {
        d.ssrc = 0x80000001;
        d.port = (uint16_t) (0xFFFF - i);
        strcpy(d.address, addresses[i]);

        test_err(addresses[i], voice_discovery_response_encode(out, 74, &d),
                 VOICE_OK);
        memset(&got, 0xFF, sizeof(got));
        test_err(addresses[i], voice_discovery_response_decode(out, 74, &got),
                 VOICE_OK);
        assert_true(got.ssrc == d.ssrc);
        assert_int_equal(got.port, d.port);
        assert_string_equal(got.address, d.address);
    }
}


static void
response_encode_refuses(void **state)
{
    size_t             len;
    voice_discovery_t  d;
    uint8_t            out[128], clean[128];

    (void) state;

    memset(out, 0x55, sizeof(out));
    memset(clean, 0x55, sizeof(clean));
    memset(&d, 0, sizeof(d));
    d.ssrc = 1;

    for (len = 0; len < sizeof(out); len++) {
        if (len != 70 && len != 74) {
            test_num("length",
                     voice_discovery_response_encode(out, len, &d),
                     VOICE_E_LENGTH);
        }
    }

    memset(d.address, '1', 64);
    d.address[64] = '\0';
    test_err("64 characters", voice_discovery_response_encode(out, 74, &d),
             VOICE_E_RANGE);
    test_err("64 characters", voice_discovery_response_encode(out, 70, &d),
             VOICE_E_RANGE);

    memset(d.address, '1', sizeof(d.address));
    test_err("no end", voice_discovery_response_encode(out, 74, &d),
             VOICE_E_RANGE);

    test_mem("untouched", out, sizeof(out), clean, sizeof(clean));
}


static void
response_decode_refuses(void **state)
{
    size_t             i, len;
    uint8_t           *p;
    voice_discovery_t  d;
    uint8_t            out[80];
    static const char *heads[] = {
        "00010046 00001B58", "00030046 00001B58", "00020045 00001B58",
        "0002FFFF 00001B58", "00020046 00000000"
    };

    (void) state;

    memset(out, 0, sizeof(out));
    test_hex("00020046 00001B58", out, sizeof(out));

    for (len = 0; len <= sizeof(out); len++) {
        p = test_copy(out, len);
        test_num("length", voice_discovery_response_decode(p, len, &d),
                 len < 74 ? VOICE_E_SHORT
                          : len == 74 ? VOICE_OK : VOICE_E_LENGTH);
        free(p);
    }

    for (i = 0; i < test_n(heads); i++) {
        test_hex(heads[i], out, sizeof(out));
        test_err(heads[i], voice_discovery_response_decode(out, 74, &d),
                 VOICE_E_FORMAT);
    }
}


/* A text that fills its field to the end still ends in the struct. */
static void
response_text_is_terminated(void **state)
{
    voice_discovery_t  d;
    uint8_t            out[VOICE_DISCOVERY_LEN];

    (void) state;

    memset(out, '1', sizeof(out));
    test_hex("00020046 00001B58", out, sizeof(out));
    memset(&d, 0xFF, sizeof(d));

    assert_int_equal(voice_discovery_response_decode(out, sizeof(out), &d),
                     VOICE_OK);
    assert_int_equal(strlen(d.address), 64);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(request_table),
        cmocka_unit_test(old_request_must_be_zero),
        cmocka_unit_test(request_round_trip),
        cmocka_unit_test(response_bytes),
        cmocka_unit_test(response_round_trip),
        cmocka_unit_test(response_encode_refuses),
        cmocka_unit_test(response_decode_refuses),
        cmocka_unit_test(response_text_is_terminated),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
