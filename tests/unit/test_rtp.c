/*
 * Copyright (C) ngx-voice contributors
 */


#include "test_util.h"

#include "voice_rtp.h"


#define HEADER  "80781234 000003C0 00001B58"


typedef struct {
    const char   *name;
    const char   *pkt;
    voice_err_t   err;
    int           ext;         /* offset of the extension body, -1: none */
    size_t        ext_len;
    uint16_t      profile;
    size_t        payload;     /* offset */
    size_t        payload_len;
} split_case_t;


typedef struct {
    const char   *name;
    const char   *ext;
    uint16_t      profile;
    uint8_t       id;
    voice_err_t   err;
    const char   *data;
} ext_case_t;


static const split_case_t  splits[] = {

    { "header alone", HEADER, VOICE_OK, -1, 0, 0, 12, 0 },
    { "silence", HEADER "F8FFFE", VOICE_OK, -1, 0, 0, 12, 3 },

    { "extension", "90781235 00000780 00001B58 BEDE0001 10850000 F8FFFE",
      VOICE_OK, 16, 4, 0xBEDE, 20, 3 },
    { "empty extension", "90781235 00000780 00001B58 BEDE0000 F8FFFE",
      VOICE_OK, 16, 0, 0xBEDE, 16, 3 },
    { "two-byte profile", "90781235 00000780 00001B58 10000001 01020304",
      VOICE_OK, 16, 4, 0x1000, 20, 0 },
    { "extension without preamble", "90781235 00000780 00001B58 BEDE00",
      VOICE_E_LENGTH, -1, 0, 0, 0, 0 },
    { "extension one word too long",
      "90781235 00000780 00001B58 BEDE0002 10850000 F8FFFE",
      VOICE_E_LENGTH, -1, 0, 0, 0, 0 },
    { "extension of 65535 words",
      "90781235 00000780 00001B58 BEDEFFFF 10850000 F8FFFE",
      VOICE_E_LENGTH, -1, 0, 0, 0, 0 },

    { "one CSRC", "81781234 000003C0 00001B58 00000001 F8FFFE",
      VOICE_OK, -1, 0, 0, 16, 3 },
    { "15 CSRCs but 14 there", "8F781234 000003C0 00001B58"
      "00000001 00000002 00000003 00000004 00000005 00000006 00000007"
      "00000008 00000009 0000000A 0000000B 0000000C 0000000D 0000000E",
      VOICE_E_LENGTH, -1, 0, 0, 0, 0 },
    { "CSRC and extension",
      "91781234 000003C0 00001B58 00000001 BEDE0001 10850000 F8",
      VOICE_OK, 20, 4, 0xBEDE, 24, 1 },
    { "CSRC cut", "81781234 000003C0 00001B58 000000",
      VOICE_E_LENGTH, -1, 0, 0, 0, 0 },

    { "padding of one byte", "A0781234 000003C0 00001B58 F8FFFE 01",
      VOICE_OK, -1, 0, 0, 12, 3 },
    { "nothing but padding", "A0781234 000003C0 00001B58 000003",
      VOICE_OK, -1, 0, 0, 12, 0 },
    { "padding behind an extension",
      "B0781234 000003C0 00001B58 BEDE0001 10850000 F8FFFE 0002",
      VOICE_OK, 16, 4, 0xBEDE, 20, 3 },
    { "padding of no bytes", "A0781234 000003C0 00001B58 F8FFFE 00",
      VOICE_E_LENGTH, -1, 0, 0, 0, 0 },
    { "padding longer than the payload",
      "A0781234 000003C0 00001B58 F8FFFE 05",
      VOICE_E_LENGTH, -1, 0, 0, 0, 0 },
    { "padding into the extension",
      "B0781234 000003C0 00001B58 BEDE0001 10850000 F8FF05",
      VOICE_E_LENGTH, -1, 0, 0, 0, 0 },
    { "padding flag without payload", "A0781234 000003C0 00001B58",
      VOICE_E_LENGTH, -1, 0, 0, 0, 0 },
    { "padding flag, the extension is last",
      "B0781234 000003C0 00001B58 BEDE0001 10850001",
      VOICE_E_LENGTH, -1, 0, 0, 0, 0 },
};


static const ext_case_t  exts[] = {
    { "only element", "10850000", 0xBEDE, 1, VOICE_OK, "85" },
    { "second element", "1085 9002", 0xBEDE, 9, VOICE_OK, "02" },
    { "first of two alike", "1085 1007", 0xBEDE, 1, VOICE_OK, "85" },
    { "three bytes", "32010203 1085 0000", 0xBEDE, 3, VOICE_OK, "010203" },
    { "16 bytes", "EF000102030405060708090A0B0C0D0E0F 000000", 0xBEDE, 14,
      VOICE_OK, "000102030405060708090A0B0C0D0E0F" },
    { "behind padding", "0000 1085", 0xBEDE, 1, VOICE_OK, "85" },
    { "absent", "10850000", 0xBEDE, 2, VOICE_E_NOT_FOUND, "" },
    { "behind the stop element", "F0 00 1085", 0xBEDE, 1,
      VOICE_E_NOT_FOUND, "" },
    { "behind element 0 with a length", "01 00 1085", 0xBEDE, 1,
      VOICE_E_NOT_FOUND, "" },
    { "element 0 is padding", "00000000", 0xBEDE, 0, VOICE_E_NOT_FOUND, "" },
    { "element 15 is none", "F0850000", 0xBEDE, 15, VOICE_E_NOT_FOUND, "" },
    { "data cut", "00000010", 0xBEDE, 1, VOICE_E_LENGTH, "" },
    { "data cut by one", "00 328182", 0xBEDE, 3, VOICE_E_LENGTH, "" },
    { "an earlier element cut", "1085 2F 00", 0xBEDE, 3, VOICE_E_LENGTH,
      "" },
    { "found before the cut one", "1085 2F 00", 0xBEDE, 1, VOICE_OK, "85" },
    { "two-byte profile", "01018500", 0x1000, 1, VOICE_E_NOT_FOUND, "" },
    { "empty", "", 0xBEDE, 1, VOICE_E_NOT_FOUND, "" },
};


static void
parse_reads_each_field(void **state)
{
    voice_rtp_t  rtp;
    uint8_t      buf[VOICE_RTP_HEADER_LEN];

    (void) state;

    test_hex("80781234 000003C0 00001B58", buf, sizeof(buf));
    assert_int_equal(voice_rtp_parse(buf, sizeof(buf), &rtp), VOICE_OK);
    assert_int_equal(rtp.pt, VOICE_RTP_PT_OPUS);
    assert_int_equal(rtp.seq, 0x1234);
    assert_int_equal(rtp.timestamp, 960);
    assert_int_equal(rtp.ssrc, 7000);
    assert_int_equal(rtp.cc, 0);
    assert_false(rtp.marker);
    assert_false(rtp.padding);
    assert_false(rtp.extension);

    test_hex("BFFFFEDC FEDCBA98 87654321", buf, sizeof(buf));
    assert_int_equal(voice_rtp_parse(buf, sizeof(buf), &rtp), VOICE_OK);
    assert_int_equal(rtp.pt, 127);
    assert_int_equal(rtp.seq, 0xFEDC);
    assert_true(rtp.timestamp == 0xFEDCBA98u);
    assert_true(rtp.ssrc == 0x87654321u);
    assert_int_equal(rtp.cc, 15);
    assert_true(rtp.marker);
    assert_true(rtp.padding);
    assert_true(rtp.extension);
}


static void
parse_refuses_short_and_other_versions(void **state)
{
    size_t        len;
    uint8_t      *p;
    unsigned      version;
    voice_rtp_t   rtp, clean;
    uint8_t       buf[VOICE_RTP_HEADER_LEN];

    (void) state;

    memset(&clean, 0x55, sizeof(clean));
    memcpy(&rtp, &clean, sizeof(rtp));
    test_hex(HEADER, buf, sizeof(buf));

    for (len = 0; len < VOICE_RTP_HEADER_LEN; len++) {
        p = test_copy(buf, len);
        assert_int_equal(voice_rtp_parse(p, len, &rtp), VOICE_E_SHORT);
        free(p);
    }

    for (version = 0; version < 4; version++) {
        if (version != 2) {
            buf[0] = (uint8_t) (version << 6);
            assert_int_equal(voice_rtp_parse(buf, sizeof(buf), &rtp),
                             VOICE_E_FORMAT);
        }
    }

    assert_memory_equal(&rtp, &clean, sizeof(rtp));
}


static void
write_round_trip(void **state)
{
    size_t              i;
    voice_rtp_t         rtp;
    uint8_t             buf[VOICE_RTP_HEADER_LEN], out[VOICE_RTP_HEADER_LEN];
    static const char  *headers[] = {
        "80781234 000003C0 00001B58",
        "80F8FFFF FFFFFFFF FFFFFFFF",
        "80000000 00000000 00000001",
        "80E58001 80000001 80000001"
    };

    (void) state;

    for (i = 0; i < test_n(headers); i++) {
        test_hex(headers[i], buf, sizeof(buf));
        assert_int_equal(voice_rtp_parse(buf, sizeof(buf), &rtp), VOICE_OK);
        voice_rtp_write(out, &rtp);
        test_mem(headers[i], out, sizeof(out), buf, sizeof(buf));
    }
}


/* What a client must not see: media.md section 4.1, "CC = 0". */
static void
write_leaves_out_what_is_stripped(void **state)
{
    voice_rtp_t  rtp;
    uint8_t      out[VOICE_RTP_HEADER_LEN], expected[VOICE_RTP_HEADER_LEN];

    (void) state;

    memset(&rtp, 0, sizeof(rtp));
    rtp.cc = 15;
    rtp.padding = true;
    rtp.extension = true;
    rtp.pt = 0xFF;
    rtp.ssrc = 1;
    test_hex("807F0000 00000000 00000001", expected, sizeof(expected));

    voice_rtp_write(out, &rtp);
    assert_memory_equal(out, expected, sizeof(out));
}


static void
split_table(void **state)
{
    size_t             i, len;
    uint8_t           *p;
    voice_rtp_t        rtp;
    voice_rtp_body_t   body;
    const char        *name;
    uint8_t            buf[256];

    (void) state;

    for (i = 0; i < test_n(splits); i++) {
        name = splits[i].name;
        len = test_hex(splits[i].pkt, buf, sizeof(buf));
        p = test_copy(buf, len);
        memset(&body, 0x55, sizeof(body));

        test_err(name, voice_rtp_parse(p, len, &rtp), VOICE_OK);
        test_err(name, voice_rtp_split(&rtp, p, len, &body), splits[i].err);

        if (splits[i].err == VOICE_OK) {
            test_num(name, body.ext == NULL ? -1 : body.ext - p,
                     splits[i].ext);
            test_num(name, body.ext_len, splits[i].ext_len);
            test_num(name, body.ext_profile, splits[i].profile);
            test_num(name, body.payload - p, splits[i].payload);
            test_num(name, body.payload_len, splits[i].payload_len);

        } else {
            test_num(name, body.payload_len, 0x5555555555555555);
        }

        free(p);
    }
}


/* CSRCs and extension: 24 bytes must be there, the payload may be shorter. */
static void
split_truncated(void **state)
{
    size_t             len, whole;
    uint8_t           *p;
    voice_rtp_t        rtp;
    voice_rtp_body_t   body;
    uint8_t            buf[64];

    (void) state;

    whole = test_hex("91781234 000003C0 00001B58 00000001 BEDE0001 10850000"
                     "F8FFFE", buf, sizeof(buf));

    for (len = 0; len <= whole; len++) {
        p = test_copy(buf, len);
        assert_int_equal(voice_rtp_parse(buf, whole, &rtp), VOICE_OK);
        test_num("truncated", voice_rtp_split(&rtp, p, len, &body),
                 len < 24 ? VOICE_E_LENGTH : VOICE_OK);
        free(p);
    }
}


static void
ext_table(void **state)
{
    size_t             i, len, n;
    uint8_t           *p;
    voice_rtp_body_t   body;
    const char        *name;
    const uint8_t     *data;
    uint8_t            buf[64], expected[64];

    (void) state;

    for (i = 0; i < test_n(exts); i++) {
        name = exts[i].name;
        len = test_hex(exts[i].ext, buf, sizeof(buf));
        p = test_copy(buf, len);

        memset(&body, 0, sizeof(body));
        body.ext = p;
        body.ext_len = len;
        body.ext_profile = exts[i].profile;
        data = NULL;
        n = 0;

        test_err(name, voice_rtp_ext_find(&body, exts[i].id, &data, &n),
                 exts[i].err);

        if (exts[i].err == VOICE_OK) {
            len = test_hex(exts[i].data, expected, sizeof(expected));
            test_mem(name, data, n, expected, len);

        } else {
            assert_null(data);
        }

        free(p);
    }
}


static void
ext_find_without_extension(void **state)
{
    size_t             len;
    const uint8_t     *data;
    voice_rtp_body_t   body;

    (void) state;

    memset(&body, 0, sizeof(body));
    assert_int_equal(voice_rtp_ext_find(&body, 1, &data, &len),
                     VOICE_E_NOT_FOUND);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(parse_reads_each_field),
        cmocka_unit_test(parse_refuses_short_and_other_versions),
        cmocka_unit_test(write_round_trip),
        cmocka_unit_test(write_leaves_out_what_is_stripped),
        cmocka_unit_test(split_table),
        cmocka_unit_test(split_truncated),
        cmocka_unit_test(ext_table),
        cmocka_unit_test(ext_find_without_extension),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
