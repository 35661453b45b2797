/*
 * Copyright (C) ngx-voice contributors
 */


#include "test_util.h"

#include "voice_rtcp.h"


#define SR     "80C80006 00001B58 E0000001 80000002 000003C0 00000004 00000005"
#define BLOCK  "00001B59 40FFFFFE 00011234 00000010 00018000 00020000"
#define PLI    "81CE0002 00000001 00001B59"


typedef struct {
    uint8_t   pt;
    uint8_t   count;
    size_t    body;            /* offset in the compound */
    size_t    body_len;
} packet_t;


typedef struct {
    const char   *name;
    const char   *compound;
    voice_err_t   end;         /* behind the packets */
    unsigned      n;
    packet_t      packets[3];
} walk_case_t;


typedef struct {
    const char   *name;
    const char   *pkt;
    unsigned      i;
    voice_err_t   err;
} block_case_t;


static const walk_case_t  walks[] = {

    { "empty", "", VOICE_AGAIN, 0, { { 0, 0, 0, 0 } } },
    { "PLI", PLI, VOICE_AGAIN, 1, { { 206, 1, 4, 8 } } },
    { "shortest: 4 bytes", "80CB0000", VOICE_AGAIN, 1, { { 203, 0, 4, 0 } } },
    { "SR, SDES, BYE",
      SR "81CA0002 00001B58 01000000" "81CB0001 00001B58", VOICE_AGAIN, 3,
      { { 200, 0, 4, 24 }, { 202, 1, 32, 8 }, { 203, 1, 44, 4 } } },
    { "padding", "A1CE0003 00000001 00001B59 00000004", VOICE_AGAIN, 1,
      { { 206, 1, 4, 8 } } },
    { "nothing but padding", "A0CB0001 00000004", VOICE_AGAIN, 1,
      { { 203, 0, 4, 0 } } },

    { "3 bytes", "80CB00", VOICE_E_SHORT, 0, { { 0, 0, 0, 0 } } },
    { "3 bytes behind a packet", PLI "81CE00", VOICE_E_SHORT, 1,
      { { 206, 1, 4, 8 } } },
    { "version 1", "40CB0000", VOICE_E_FORMAT, 0, { { 0, 0, 0, 0 } } },
    { "version 3 behind a packet", PLI "C1CE0002 00000001 00001B59",
      VOICE_E_FORMAT, 1, { { 206, 1, 4, 8 } } },
    { "one word too long", "81CE0003 00000001 00001B59", VOICE_E_LENGTH, 0,
      { { 0, 0, 0, 0 } } },
    { "65535 words", "81CEFFFF 00000001 00001B59", VOICE_E_LENGTH, 0,
      { { 0, 0, 0, 0 } } },
    { "second one word too long", PLI "81CB0002 00001B58", VOICE_E_LENGTH, 1,
      { { 206, 1, 4, 8 } } },
    { "padding of no bytes", "A1CE0002 00000001 00001B00", VOICE_E_LENGTH, 0,
      { { 0, 0, 0, 0 } } },
    { "padding into the header", "A1CE0002 00000001 00001B09",
      VOICE_E_LENGTH, 0, { { 0, 0, 0, 0 } } },
    { "padding flag, no body", "A0CB0000", VOICE_E_LENGTH, 0,
      { { 0, 0, 0, 0 } } },
    { "padding stays in its own packet", PLI "A0CB0001 00000008",
      VOICE_E_LENGTH, 1, { { 206, 1, 4, 8 } } },
};


static const block_case_t  blocks[] = {
    { "RR with one", "81C90007 00000001" BLOCK, 0, VOICE_OK },
    { "RR, second of two", "82C9000D 00000001"
      "00000009 00000000 00000000 00000000 00000000 00000000" BLOCK, 1,
      VOICE_OK },
    { "SR with one", "81C8000C 00001B58 E0000001 80000002 000003C0 00000004"
      "00000005" BLOCK, 0, VOICE_OK },
    { "RR with an extension behind", "81C90008 00000001" BLOCK "01020304", 0,
      VOICE_OK },
    { "RR with one, second asked for", "81C90007 00000001" BLOCK, 1,
      VOICE_E_NOT_FOUND },
    { "RR with none", "80C90001 00000001", 0, VOICE_E_NOT_FOUND },
    { "RR promises two", "82C90007 00000001" BLOCK, 0, VOICE_E_LENGTH },
    { "RR promises 31", "9FC90007 00000001" BLOCK, 0, VOICE_E_LENGTH },
    { "SR promises one", "81C80006 00001B58 E0000001 80000002 000003C0"
      "00000004 00000005", 0, VOICE_E_LENGTH },
    { "RR of 4 bytes", "81C90000", 0, VOICE_E_LENGTH },
    { "BYE", "81CB0001 00001B58", 0, VOICE_E_FORMAT },
    { "PLI", PLI, 0, VOICE_E_FORMAT },
};


static void
walk_table(void **state)
{
    size_t           i, len;
    uint8_t         *p;
    unsigned         k;
    const char      *name;
    voice_rtcp_t     rtcp, clean;
    voice_reader_t   r;
    uint8_t          buf[256];

    (void) state;

    memset(&clean, 0x55, sizeof(clean));

    for (i = 0; i < test_n(walks); i++) {
        name = walks[i].name;
        len = test_hex(walks[i].compound, buf, sizeof(buf));
        p = test_copy(buf, len);
        voice_reader_init(&r, p, len);

        for (k = 0; k < walks[i].n; k++) {
            test_err(name, voice_rtcp_next(&r, &rtcp), VOICE_OK);
            test_num(name, rtcp.pt, walks[i].packets[k].pt);
            test_num(name, rtcp.count, walks[i].packets[k].count);
            test_num(name, rtcp.body - p, walks[i].packets[k].body);
            test_num(name, rtcp.body_len, walks[i].packets[k].body_len);
        }

        /* the end is the same however often it is asked for */
        for (k = 0; k < 2; k++) {
            memcpy(&rtcp, &clean, sizeof(rtcp));
            test_err(name, voice_rtcp_next(&r, &rtcp), walks[i].end);
            assert_memory_equal(&rtcp, &clean, sizeof(rtcp));
        }

        free(p);
    }
}


static void
walk_truncated(void **state)
{
    size_t           len, whole;
    uint8_t         *p;
    unsigned         n;
    voice_err_t      err;
    voice_rtcp_t     rtcp;
    voice_reader_t   r;
    uint8_t          buf[64];

    (void) state;

    whole = test_hex(SR PLI, buf, sizeof(buf));

    for (len = 0; len <= whole; len++) {
        p = test_copy(buf, len);
        voice_reader_init(&r, p, len);
        n = 0;

        do {
            err = voice_rtcp_next(&r, &rtcp);
            n += err == VOICE_OK;
        } while (err == VOICE_OK);

        test_num("packets", n, (len >= 28) + (len >= 40));
        test_num("end", err, len == 0 || len == 28 || len == 40
                             ? VOICE_AGAIN
                             : len % 28 < 4 ? VOICE_E_SHORT : VOICE_E_LENGTH);
        free(p);
    }
}


static void
walk_after_failed_read(void **state)
{
    voice_rtcp_t    rtcp;
    voice_reader_t  r;
    uint8_t         buf[4];

    (void) state;

    test_hex("80CB0000", buf, sizeof(buf));
    voice_reader_init(&r, buf, sizeof(buf));
    voice_read_bytes(&r, 5);

    assert_int_equal(voice_rtcp_next(&r, &rtcp), VOICE_E_SHORT);
}


static void
first_packet(const char *hex, uint8_t *buf, size_t size, voice_rtcp_t *rtcp)
{
    voice_reader_t  r;

    voice_reader_init(&r, buf, test_hex(hex, buf, size));
    test_err(hex, voice_rtcp_next(&r, rtcp), VOICE_OK);
}


static void
sr_decodes_and_encodes(void **state)
{
    voice_rtcp_t     rtcp;
    voice_rtcp_sr_t  sr;
    uint8_t          buf[64], out[VOICE_RTCP_SR_LEN];

    (void) state;

    first_packet(SR, buf, sizeof(buf), &rtcp);
    assert_int_equal(voice_rtcp_sr_decode(&rtcp, &sr), VOICE_OK);
    assert_int_equal(sr.ssrc, 7000);
    assert_true(sr.ntp_sec == 0xE0000001u);
    assert_true(sr.ntp_frac == 0x80000002u);
    assert_int_equal(sr.rtp_ts, 960);
    assert_int_equal(sr.packets, 4);
    assert_int_equal(sr.octets, 5);

    voice_rtcp_sr_encode(out, &sr);
    test_mem("SR", out, sizeof(out), buf, 28);
}


static void
sr_decode_refuses(void **state)
{
    size_t           len;
    voice_rtcp_t     rtcp;
    voice_rtcp_sr_t  sr;
    uint8_t          buf[64];

    (void) state;

    first_packet(PLI, buf, sizeof(buf), &rtcp);
    assert_int_equal(voice_rtcp_sr_decode(&rtcp, &sr), VOICE_E_FORMAT);

    first_packet(SR, buf, sizeof(buf), &rtcp);

    for (len = 0; len < 24; len++) {
        rtcp.body = test_copy(buf + 4, len);
        rtcp.body_len = len;
        test_err("cut SR", voice_rtcp_sr_decode(&rtcp, &sr), VOICE_E_LENGTH);
        free((void *) rtcp.body);
    }
}


static void
block_table(void **state)
{
    size_t              i;
    const char         *name;
    voice_rtcp_t        rtcp;
    voice_rtcp_block_t  block;
    uint8_t             buf[128];

    (void) state;

    for (i = 0; i < test_n(blocks); i++) {
        name = blocks[i].name;
        first_packet(blocks[i].pkt, buf, sizeof(buf), &rtcp);
        memset(&block, 0, sizeof(block));

        test_err(name, voice_rtcp_block_decode(&rtcp, blocks[i].i, &block),
                 blocks[i].err);

        if (blocks[i].err == VOICE_OK) {
            test_num(name, block.ssrc, 7001);
            test_num(name, block.fraction, 64);
            test_num(name, block.lost, -2);
            test_num(name, block.highest_seq, 0x11234);
            test_num(name, block.jitter, 16);
            test_num(name, block.lsr, 0x18000);
            test_num(name, block.dlsr, 0x20000);

        } else {
            test_num(name, block.ssrc, 0);
        }
    }
}


static void
rr_bytes(void **state)
{
    size_t              len;
    voice_rtcp_block_t  block;
    uint8_t             out[VOICE_RTCP_RR_LEN], expected[64];

    (void) state;

    block.ssrc = 7001;
    block.fraction = 64;
    block.lost = -2;
    block.highest_seq = 0x11234;
    block.jitter = 16;
    block.lsr = 0x18000;
    block.dlsr = 0x20000;

    voice_rtcp_rr_encode(out, 1, &block);
    len = test_hex("81C90007 00000001" BLOCK, expected, sizeof(expected));
    test_mem("RR", out, sizeof(out), expected, len);
}


static void
lost_is_24_bits_signed(void **state)
{
    size_t              i;
    voice_rtcp_t        rtcp;
    voice_reader_t      r;
    voice_rtcp_block_t  block, got;
    uint8_t             out[VOICE_RTCP_RR_LEN];
    static const struct {
        int32_t  lost;
        int32_t  expected;
    } cases[] = {
        { 0, 0 }, { 1, 1 }, { -1, -1 }, { 8388607, 8388607 },
        { 8388608, 8388607 }, { INT32_MAX, 8388607 }, { -8388608, -8388608 },
        { -8388609, -8388608 }, { INT32_MIN, -8388608 }
    };

    (void) state;

    for (i = 0; i < test_n(cases); i++) {
        memset(&block, 0, sizeof(block));
        block.lost = cases[i].lost;
        block.fraction = 0xA5;

        voice_rtcp_rr_encode(out, 1, &block);
        voice_reader_init(&r, out, sizeof(out));
        assert_int_equal(voice_rtcp_next(&r, &rtcp), VOICE_OK);
        assert_int_equal(voice_rtcp_block_decode(&rtcp, 0, &got), VOICE_OK);
        test_num("lost", got.lost, cases[i].expected);
        test_num("fraction", got.fraction, 0xA5);
    }
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(walk_table),
        cmocka_unit_test(walk_truncated),
        cmocka_unit_test(walk_after_failed_read),
        cmocka_unit_test(sr_decodes_and_encodes),
        cmocka_unit_test(sr_decode_refuses),
        cmocka_unit_test(block_table),
        cmocka_unit_test(rr_bytes),
        cmocka_unit_test(lost_is_24_bits_signed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
