/*
 * Copyright (C) ngx-voice contributors
 */


#include "test_util.h"

#include "voice_discovery.h"
#include "voice_packet.h"


typedef struct {
    const char      *name;
    const char      *head;     /* hex; zeros follow up to len */
    size_t           len;
    voice_packet_t   expected;
} classify_case_t;


#define COOKIE  "2112A442"


static const classify_case_t  cases[] = {

    { "discovery", "00010046 00001B58", 74, VOICE_PACKET_DISCOVERY },
    { "discovery, SSRC 0", "00010046", 74, VOICE_PACKET_DISCOVERY },
    { "discovery response", "00020046 00001B58", 74, VOICE_PACKET_OTHER },
    { "discovery, length 69", "00010045 00001B58", 74, VOICE_PACKET_OTHER },
    { "discovery of 73 bytes", "00010046 00001B58", 73, VOICE_PACKET_OTHER },
    { "discovery of 75 bytes", "00010046 00001B58", 75, VOICE_PACKET_OTHER },

    { "old discovery", "00001B58", 70, VOICE_PACKET_DISCOVERY_OLD },
    { "old discovery, SSRC with the top bit", "80781234", 70,
      VOICE_PACKET_DISCOVERY_OLD },
    { "old discovery, SSRC 0", "", 70, VOICE_PACKET_OTHER },
    { "RTP of 70 bytes", "80781234 000003C0 00001B58", 70,
      VOICE_PACKET_RTP },
    { "70 bytes, one not zero", "00001B58 00000000 00000000 01", 70,
      VOICE_PACKET_OTHER },

    { "ping", "1337CAFE 00000007", 8, VOICE_PACKET_PING },
    { "ping of 7 bytes", "1337CAFE 000000", 7, VOICE_PACKET_OTHER },
    { "ping of 9 bytes", "1337CAFE 00000007 00", 9, VOICE_PACKET_OTHER },
    { "ping response", "1337F00D 00000007", 8, VOICE_PACKET_KEEPALIVE },
    { "keep-alive, first", "", 8, VOICE_PACKET_KEEPALIVE },
    { "keep-alive 20: DTLS range", "14000000", 8, VOICE_PACKET_KEEPALIVE },
    { "keep-alive 200: RTP range", "80C80000", 8, VOICE_PACKET_KEEPALIVE },

    { "STUN binding", "00010000" COOKIE, 20, VOICE_PACKET_STUN },
    { "STUN, 8 bytes of attributes", "00010008" COOKIE, 28,
      VOICE_PACKET_STUN },
    { "STUN, highest first byte", "03FF0000" COOKIE, 20,
      VOICE_PACKET_STUN },
    { "STUN, first byte 4", "04010000" COOKIE, 20, VOICE_PACKET_OTHER },
    { "STUN of 19 bytes", "00010000" COOKIE, 19, VOICE_PACKET_OTHER },
    { "STUN, length too big", "00010004" COOKIE, 20, VOICE_PACKET_OTHER },
    { "STUN, length too small", "00010000" COOKIE, 24, VOICE_PACKET_OTHER },
    { "STUN, length not in words", "00010002" COOKIE, 22,
      VOICE_PACKET_OTHER },
    { "STUN, other cookie", "00010000 2112A443", 20, VOICE_PACKET_OTHER },

    { "DTLS, lowest", "14", 1, VOICE_PACKET_DTLS },
    { "DTLS handshake", "16FEFD", 100, VOICE_PACKET_DTLS },
    { "DTLS, highest", "3F", 13, VOICE_PACKET_DTLS },
    { "below DTLS", "13", 13, VOICE_PACKET_OTHER },
    { "above DTLS", "40", 13, VOICE_PACKET_OTHER },

    { "RTCP, first type", "80C00001", 9, VOICE_PACKET_RTCP },
    { "RTCP receiver report", "81C90007 00001B58", 32, VOICE_PACKET_RTCP },
    { "RTCP, last type", "BFDF0000", 12, VOICE_PACKET_RTCP },
    { "type below RTCP", "80BF0000", 12, VOICE_PACKET_RTP },
    { "type above RTCP", "80E00000", 12, VOICE_PACKET_RTP },
    { "type below RTCP, 11 bytes", "80BF0000", 11, VOICE_PACKET_OTHER },

    { "RTP header alone", "80781234 000003C0 00001B58", 12,
      VOICE_PACKET_RTP },
    { "RTP of 11 bytes", "80781234 000003C0 00001B", 11,
      VOICE_PACKET_OTHER },
    { "RTP, desktop", "90781234 000003C0 00001B58", 60, VOICE_PACKET_RTP },
    { "RTP, all bits", "BF781234", 60, VOICE_PACKET_RTP },
    { "version 1", "7F781234", 60, VOICE_PACKET_OTHER },
    { "version 3", "C0781234", 60, VOICE_PACKET_OTHER },
    { "RTP as long as allowed", "80781234", 1500, VOICE_PACKET_RTP },
    { "RTP longer than allowed", "80781234", 1501, VOICE_PACKET_OTHER },

    { "nothing", "", 0, VOICE_PACKET_OTHER },
    { "one byte", "C9", 1, VOICE_PACKET_OTHER },
    { "4-byte SSRC", "00001B58", 4, VOICE_PACKET_OTHER },
    { "4-byte keep-alive", "80C80000", 4, VOICE_PACKET_OTHER },
    { "9-byte keep-alive", "C9", 9, VOICE_PACKET_OTHER },
};


static void
classify_table(void **state)
{
    size_t    i;
    uint8_t  *p;
    uint8_t   buf[2048];

    (void) state;

    for (i = 0; i < test_n(cases); i++) {
        memset(buf, 0, sizeof(buf));
        test_hex(cases[i].head, buf, sizeof(buf));

        p = test_copy(buf, cases[i].len);
        test_num(cases[i].name, voice_packet_classify(p, cases[i].len),
                 cases[i].expected);
        free(p);
    }
}


static void
classify_old_discovery_with_ssrc_last(void **state)
{
    uint8_t  buf[VOICE_DISCOVERY_OLD_LEN];

    (void) state;

    memset(buf, 0, sizeof(buf));
    buf[68] = 0x1B;
    buf[69] = 0x58;
    assert_int_equal(voice_packet_classify(buf, sizeof(buf)),
                     VOICE_PACKET_DISCOVERY_OLD);

    buf[3] = 1;
    assert_int_equal(voice_packet_classify(buf, sizeof(buf)),
                     VOICE_PACKET_OTHER);
}


/* Any two first bytes at any length: a class, and no read past the end. */
static void
classify_reads_only_what_is_there(void **state)
{
    size_t          len;
    uint8_t        *p;
    unsigned        first;
    uint8_t         buf[100];
    voice_packet_t  type;

    (void) state;

    for (len = 0; len < sizeof(buf); len++) {
        for (first = 0; first < 0x10000; first += 0x3F) {
            memset(buf, 0, sizeof(buf));
            buf[0] = (uint8_t) (first >> 8);
            buf[1] = (uint8_t) first;

            p = test_copy(buf, len);
            type = voice_packet_classify(p, len);
            free(p);

            if (type == VOICE_PACKET_RTP) {
                assert_true(len >= 12 && buf[0] >> 6 == 2);
            }

            if (type == VOICE_PACKET_RTCP) {
                assert_true(len > 8 && buf[0] >> 6 == 2 && buf[1] >= 192);
            }
        }
    }
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(classify_table),
        cmocka_unit_test(classify_old_discovery_with_ssrc_last),
        cmocka_unit_test(classify_reads_only_what_is_there),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
