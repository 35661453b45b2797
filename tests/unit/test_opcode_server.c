/*
 * Copyright (C) ngx-voice contributors
 *
 * Messages of the server, those of our own client, and the two together.
 */


#include "test_util.h"

#include "voice_opcode.h"
#include "voice_token.h"

#include <stdio.h>


#define U64   "18446744073709551615"
#define U32   "4294967295"

#define HANDSHAKE_MAX   1000


static const voice_mode_t  modes[] = {
    VOICE_MODE_AEAD_AES256_GCM_RTPSIZE,
    VOICE_MODE_AEAD_XCHACHA20_POLY1305_RTPSIZE,
    VOICE_MODE_XSALSA20_POLY1305_LITE_RTPSIZE,
    VOICE_MODE_XSALSA20_POLY1305_LITE,
    VOICE_MODE_XSALSA20_POLY1305_SUFFIX,
    VOICE_MODE_XSALSA20_POLY1305
};

static const voice_op_ready_t  ready_full = {
    7276, "203.0.113.7", 50004, modes, test_n(modes), 13750
};

static const voice_op_ready_t  ready_bare = {
    UINT32_MAX, "2001:db8::1", 65535, NULL, 0, UINT32_MAX
};

static const uint64_t  users[] = { 1, UINT64_MAX };

static const voice_op_heartbeat_t  hb_number = { "18446744073709551615",
                                                 false, false, 0 };
static const voice_op_heartbeat_t  hb_object = { "1.50", true, true, 5 };
static const voice_op_heartbeat_t  hb_null = { "null", false, false, 0 };

static const voice_op_identify_t  identify_least = {
    1000, 2000, 501, "s1", "t", 0, false
};

static const voice_op_identify_t  identify_full = {
    UINT64_MAX, UINT64_MAX, UINT64_MAX, "a\"\\b", "x.y.z", 1, true
};

static const voice_op_resume_t  resume_none = { 1000, 0, "s1", "t", false, 0 };
static const voice_op_resume_t  resume_seq = { 1000, 2000, "s1", "t", true,
                                               65535 };

static const voice_op_select_t  select_udp = {
    "udp", "xsalsa20_poly1305", "192.0.2.7", 50001
};


static uint8_t  key_low[VOICE_KEY_LEN];


/* Each row of the table below is one call. */

static voice_err_t
make(int row, char *buf, size_t size, size_t *len)
{
    uint8_t  key[VOICE_KEY_LEN];

    memset(key, 255, sizeof(key));

    switch (row) {
    case 0: return voice_hello_encode(buf, size, 1, 13750, len);
    case 1: return voice_hello_encode(buf, size, 2, 13750, len);
    case 2: return voice_hello_encode(buf, size, 3, UINT32_MAX, len);
    case 3: return voice_hello_encode(buf, size, 9, 13750, len);
    case 4: return voice_ready_encode(buf, size, &ready_full, len);
    case 5: return voice_ready_encode(buf, size, &ready_bare, len);
    case 6: return voice_session_description_encode(buf, size,
                       VOICE_MODE_XSALSA20_POLY1305, key_low, len);
    case 7: return voice_session_description_encode(buf, size,
                       VOICE_MODE_AEAD_XCHACHA20_POLY1305_RTPSIZE, key, len);
    case 8: return voice_heartbeat_ack_encode(buf, size, 1, &hb_number, len);
    case 9: return voice_heartbeat_ack_encode(buf, size, 1, &hb_object, len);
    case 10: return voice_heartbeat_ack_encode(buf, size, 2, &hb_null, len);
    case 11: return voice_heartbeat_ack_encode(buf, size, 8, &hb_number, len);
    case 12: return voice_heartbeat_ack_encode(buf, size, 8, &hb_object, len);
    case 13: return voice_heartbeat_ack_encode(buf, size, 4, &hb_object, len);
    case 14: return voice_resumed_encode(buf, size, len);
    case 15: return voice_backend_version_encode(buf, size, len);
    case 16: return voice_speaking_encode(buf, size, 3, 0, 501, 7276, 0, len);
    case 17: return voice_speaking_encode(buf, size, 3, 0, 501, 7276, 4, len);
    case 18: return voice_speaking_encode(buf, size, 4, 0, 501, 7276, 5, len);
    case 19: return voice_speaking_encode(buf, size, 8, 65535, UINT64_MAX,
                                          UINT32_MAX, UINT32_MAX, len);
    case 20: return voice_clients_connect_encode(buf, size, 0, NULL, 0, len);
    case 21: return voice_clients_connect_encode(buf, size, 7, users, 2, len);
    case 22: return voice_client_connect_encode(buf, size, 501, 7276, len);
    case 23: return voice_client_disconnect_encode(buf, size, 0, 501, len);
    case 24: return voice_client_disconnect_encode(buf, size, 8, 501, len);
    case 25: return voice_client_flags_encode(buf, size, 9, 501, len);
    case 26: return voice_client_platform_encode(buf, size, 10, 501, len);
    case 27: return voice_identify_encode(buf, size, 8, &identify_least, len);
    case 28: return voice_identify_encode(buf, size, 9, &identify_full, len);
    case 29: return voice_select_encode(buf, size, &select_udp, len);
    case 30: return voice_resume_encode(buf, size, 4, &resume_seq, len);
    case 31: return voice_resume_encode(buf, size, 8, &resume_none, len);
    case 32: return voice_resume_encode(buf, size, 9, &resume_seq, len);
    case 33: return voice_heartbeat_encode(buf, size, 7, UINT64_MAX, 5, len);
    case 34: return voice_heartbeat_encode(buf, size, 8, UINT64_MAX, -1, len);
    case 35: return voice_heartbeat_encode(buf, size, 8, 1, 65535, len);
    case 36: return voice_speaking_request_encode(buf, size, 3, 7, 2, len);
    case 37: return voice_speaking_request_encode(buf, size, 4, 7, 2, len);
    default: return VOICE_E_NOT_FOUND;
    }
}


static const char *const  made[] = {
    "{\"heartbeat_interval\":13750}",
    "{\"heartbeat_interval\":13750}",
    "{\"op\":8,\"d\":{\"v\":3,\"heartbeat_interval\":" U32 "}}",
    "{\"op\":8,\"d\":{\"v\":9,\"heartbeat_interval\":13750}}",
    "{\"op\":2,\"d\":{\"ssrc\":7276,\"ip\":\"203.0.113.7\",\"port\":50004,"
    "\"modes\":[\"aead_aes256_gcm_rtpsize\",\"aead_xchacha20_poly1305_rtpsize"
    "\",\"xsalsa20_poly1305_lite_rtpsize\",\"xsalsa20_poly1305_lite\","
    "\"xsalsa20_poly1305_suffix\",\"xsalsa20_poly1305\"],\"experiments\":[],"
    "\"streams\":[],\"heartbeat_interval\":13750}}",
    "{\"op\":2,\"d\":{\"ssrc\":" U32 ",\"ip\":\"2001:db8::1\",\"port\":65535,"
    "\"modes\":[],\"experiments\":[],\"streams\":[],\"heartbeat_interval\":"
    U32 "}}",
    "{\"op\":4,\"d\":{\"mode\":\"xsalsa20_poly1305\",\"secret_key\":[0,1,2,3,4,"
    "5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,"
    "31],\"audio_codec\":\"opus\",\"dave_protocol_version\":0}}",
    "{\"op\":4,\"d\":{\"mode\":\"aead_xchacha20_poly1305_rtpsize\","
    "\"secret_key\":[255,255,255,255,255,255,255,255,255,255,255,255,255,255,"
    "255,255,255,255,255,255,255,255,255,255,255,255,255,255,255,255,255,255],"
    "\"audio_codec\":\"opus\",\"dave_protocol_version\":0}}",
    "{\"op\":3,\"d\":" U64 "}",
    "{\"op\":3,\"d\":{\"t\":1.50}}",
    "{\"op\":6,\"d\":null}",
    "{\"op\":6,\"d\":" U64 "}",
    "{\"op\":6,\"d\":{\"t\":1.50}}",
    "{\"op\":6,\"d\":{\"t\":1.50}}",
    "{\"op\":9,\"d\":null}",
    "{\"op\":16,\"d\":{\"voice\":\"ngx-voice\",\"rtc_worker\":\"ngx-voice\"}}",
    "{\"op\":5,\"d\":{\"user_id\":\"501\",\"ssrc\":7276,\"speaking\":false}}",
    "{\"op\":5,\"d\":{\"user_id\":\"501\",\"ssrc\":7276,\"speaking\":true}}",
    "{\"op\":5,\"d\":{\"user_id\":\"501\",\"ssrc\":7276,\"speaking\":5}}",
    "{\"op\":5,\"d\":{\"user_id\":\"" U64 "\",\"ssrc\":" U32 ",\"speaking\":"
    U32 "},\"seq\":65535}",
    "{\"op\":11,\"d\":{\"user_ids\":[]}}",
    "{\"op\":11,\"d\":{\"user_ids\":[\"1\",\"" U64 "\"]},\"seq\":7}",
    "{\"op\":12,\"d\":{\"audio_ssrc\":7276,\"user_id\":\"501\","
    "\"video_ssrc\":0}}",
    "{\"op\":13,\"d\":{\"user_id\":\"501\"}}",
    "{\"op\":13,\"d\":{\"user_id\":\"501\"},\"seq\":8}",
    "{\"op\":18,\"d\":{\"user_id\":\"501\",\"flags\":null},\"seq\":9}",
    "{\"op\":20,\"d\":{\"user_id\":\"501\",\"platform\":null},\"seq\":10}",
    "{\"op\":0,\"d\":{\"server_id\":\"1000\",\"user_id\":\"501\","
    "\"session_id\":\"s1\",\"token\":\"t\"}}",
    "{\"op\":0,\"d\":{\"server_id\":\"" U64 "\",\"channel_id\":\"" U64 "\","
    "\"user_id\":\"" U64 "\",\"session_id\":\"a\\\"\\\\b\",\"token\":\"x.y.z\""
    ",\"video\":true,\"max_dave_protocol_version\":1}}",
    "{\"op\":1,\"d\":{\"protocol\":\"udp\",\"data\":{\"address\":\"192.0.2.7\""
    ",\"port\":50001,\"mode\":\"xsalsa20_poly1305\"}}}",
    "{\"op\":7,\"d\":{\"server_id\":\"1000\",\"session_id\":\"s1\","
    "\"token\":\"t\"}}",
    "{\"op\":7,\"d\":{\"server_id\":\"1000\",\"session_id\":\"s1\","
    "\"token\":\"t\"}}",
    "{\"op\":7,\"d\":{\"server_id\":\"1000\",\"channel_id\":\"2000\","
    "\"session_id\":\"s1\",\"token\":\"t\",\"seq_ack\":65535}}",
    "{\"op\":3,\"d\":" U64 "}",
    "{\"op\":3,\"d\":{\"t\":" U64 "}}",
    "{\"op\":3,\"d\":{\"t\":1,\"seq_ack\":65535}}",
    "{\"op\":5,\"d\":{\"speaking\":true,\"delay\":0,\"ssrc\":7}}",
    "{\"op\":5,\"d\":{\"speaking\":2,\"delay\":0,\"ssrc\":7}}"
};


static int
setup_key(void **state)
{
    size_t  i;

    (void) state;

    for (i = 0; i < VOICE_KEY_LEN; i++) {
        key_low[i] = (uint8_t) i;
    }

    return 0;
}


/* The text, and the same in the smallest buffer and in all smaller ones. */
static void
opcode_encode_texts(void **state)
{
    char        *buf;
    size_t       i, size, len, want;
    voice_err_t  err;

    (void) state;

    for (i = 0; i < test_n(made); i++) {
        want = strlen(made[i]);
        assert_true(want < VOICE_ENCODE_MAX);

        for (size = 0; size <= want + 1; size++) {
            buf = malloc(size ? size : 1);
            assert_non_null(buf);

            len = 9999;
            err = make((int) i, buf, size, &len);

            if (size <= want) {
                test_err(made[i], err, VOICE_E_FULL);
                test_num(made[i], len, 9999);

            } else {
                test_err(made[i], err, VOICE_OK);
                assert_string_equal(buf, made[i]);
                test_num(made[i], len, want);
            }

            free(buf);
        }
    }

    assert_int_equal(make((int) test_n(made), NULL, 0, &len),
                     VOICE_E_NOT_FOUND);
}


static void
opcode_encode_documented_sizes(void **state)
{
    char          buf[64 + 24 * 100];
    size_t        i, len;
    uint64_t      ids[100];
    voice_mode_t  all[VOICE_MODE_COUNT];

    voice_op_ready_t  ready = {
        UINT32_MAX, "2001:db8:1234:1234:1234:1234:1234:1234", 65535, all,
        VOICE_MODE_COUNT, UINT32_MAX
    };

    (void) state;

    for (i = 0; i < 100; i++) {
        ids[i] = UINT64_MAX;
    }

    for (i = 0; i <= 100; i++) {
        assert_int_equal(voice_clients_connect_encode(buf, 64 + 24 * i, 65535,
                                                      ids, i, &len),
                         VOICE_OK);
    }

    for (i = 0; i < VOICE_MODE_COUNT; i++) {
        all[i] = (voice_mode_t) i;
    }

    assert_int_equal(voice_ready_encode(buf, VOICE_ENCODE_MAX, &ready, &len),
                     VOICE_OK);
}


static void
decode_made(int row, voice_server_msg_t *msg)
{
    char         buf[VOICE_ENCODE_MAX];
    char        *copy;
    size_t       len;
    const char  *why;

    assert_int_equal(make(row, buf, sizeof(buf), &len), VOICE_OK);

    copy = (char *) test_copy(buf, len);
    memset(msg, 0xa5, sizeof(*msg));
    test_err(buf, voice_server_msg_decode(copy, len, msg, &why), VOICE_OK);
    free(copy);
}


static void
opcode_server_round_trip(void **state)
{
    size_t              i;
    unsigned            bits;
    voice_server_msg_t  msg;

    (void) state;

    decode_made(0, &msg);
    assert_int_equal(msg.op, VOICE_OP_HELLO);
    assert_int_equal(msg.heartbeat_interval, 13750);
    assert_int_equal(msg.seq, -1);

    decode_made(2, &msg);
    assert_int_equal(msg.op, VOICE_OP_HELLO);
    assert_true(msg.heartbeat_interval == UINT32_MAX);

    decode_made(4, &msg);

    for (bits = 0, i = 0; i < test_n(modes); i++) {
        bits |= 1u << modes[i];
    }

    assert_int_equal(msg.op, VOICE_OP_READY);
    assert_int_equal(msg.ssrc, 7276);
    assert_string_equal(msg.ip, "203.0.113.7");
    assert_int_equal(msg.port, 50004);
    assert_int_equal(msg.modes, bits);
    assert_int_equal(msg.heartbeat_interval, 13750);

    decode_made(5, &msg);
    assert_int_equal(msg.modes, 0);
    assert_string_equal(msg.ip, "2001:db8::1");

    decode_made(6, &msg);
    assert_int_equal(msg.op, VOICE_OP_SESSION_DESCRIPTION);
    assert_int_equal(msg.mode, VOICE_MODE_XSALSA20_POLY1305);
    assert_memory_equal(msg.key, key_low, VOICE_KEY_LEN);

    decode_made(11, &msg);
    assert_int_equal(msg.op, VOICE_OP_HEARTBEAT_ACK);

    decode_made(14, &msg);
    assert_int_equal(msg.op, VOICE_OP_RESUMED);

    decode_made(17, &msg);
    assert_int_equal(msg.speaking, 1);

    decode_made(19, &msg);
    assert_int_equal(msg.op, VOICE_OP_SPEAKING);
    assert_int_equal(msg.seq, 65535);
    assert_true(msg.user_id == UINT64_MAX);
    assert_true(msg.ssrc == UINT32_MAX);
    assert_true(msg.speaking == UINT32_MAX);

    decode_made(24, &msg);
    assert_int_equal(msg.op, VOICE_OP_CLIENT_DISCONNECT);
    assert_int_equal(msg.seq, 8);
    assert_true(msg.user_id == 501);
}


typedef struct {
    const char   *text;
    voice_err_t   err;
    const char   *why;
} refusal_t;


#define READY(rest)  "{\"op\":2,\"d\":{\"ssrc\":1," rest "}}"
#define KEY31  "1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1"
#define DESCRIPTION(mode, key)                                                \
    "{\"op\":4,\"d\":{\"mode\":" mode ",\"secret_key\":" key "}}"


static const refusal_t  refusals[] = {
    { "[]", VOICE_E_FORMAT, "an object" },
    { "{}", VOICE_E_FORMAT, "op:" },
    { "{\"op\":1.0}", VOICE_E_FORMAT, "op:" },
    { "{\"op\":99999999999}", VOICE_E_RANGE, "op:" },
    { "{\"op\":6,\"d\":1,\"d\":1}", VOICE_E_FORMAT, "d: stands" },
    { "{\"op\":6,\"d\":1,\"seq\":65536}", VOICE_E_RANGE, "seq" },
    { "{\"op\":6,\"d\":1,\"seq\":-1}", VOICE_E_RANGE, "seq" },
    { "{\"op\":6,\"d\":1,\"seq\":\"1\"}", VOICE_E_FORMAT, "seq" },
    { "{\"heartbeat_interval\":0}", VOICE_E_RANGE, "d.heartbeat_interval" },
    { "{\"op\":8}", VOICE_E_FORMAT, "d.heartbeat_interval" },
    { "{\"op\":8,\"d\":{\"heartbeat_interval\":\"1\"}}", VOICE_E_FORMAT,
      "d.heartbeat_interval" },
    { "{\"op\":2,\"d\":null}", VOICE_E_FORMAT, "d.ssrc" },
    { "{\"op\":2,\"d\":{\"ssrc\":0}}", VOICE_E_RANGE, "d.ssrc" },
    { READY("\"ip\":7"), VOICE_E_FORMAT, "d.ip" },
    { READY("\"ip\":\"\""), VOICE_E_RANGE, "d.ip" },
    { READY("\"ip\":\"0123456789012345678901234567890123456789012345678901234"
            "567890123\""), VOICE_E_RANGE, "d.ip" },
    { READY("\"ip\":\"a\",\"port\":0"), VOICE_E_RANGE, "d.port" },
    { READY("\"ip\":\"a\",\"port\":65536"), VOICE_E_RANGE, "d.port" },
    { READY("\"ip\":\"a\",\"port\":1"), VOICE_E_FORMAT, "d.modes" },
    { READY("\"ip\":\"a\",\"port\":1,\"modes\":\"m\""), VOICE_E_FORMAT,
      "d.modes" },
    { READY("\"ip\":\"a\",\"port\":1,\"modes\":[\"m\",1]"), VOICE_E_FORMAT,
      "d.modes" },
    { "{\"op\":4,\"d\":{}}", VOICE_E_FORMAT, "d.mode:" },
    { DESCRIPTION("\"no_such_mode\"", "[]"), VOICE_E_RANGE, "d.mode:" },
    { DESCRIPTION("\"xsalsa20_poly1305\"", "7"), VOICE_E_FORMAT,
      "d.secret_key" },
    { DESCRIPTION("\"xsalsa20_poly1305\"", "[]"), VOICE_E_RANGE,
      "d.secret_key" },
    { DESCRIPTION("\"xsalsa20_poly1305\"", "[" KEY31 "]"), VOICE_E_RANGE,
      "d.secret_key" },
    { DESCRIPTION("\"xsalsa20_poly1305\"", "[" KEY31 ",1,1]"), VOICE_E_RANGE,
      "d.secret_key" },
    { DESCRIPTION("\"xsalsa20_poly1305\"", "[" KEY31 ",256]"), VOICE_E_RANGE,
      "d.secret_key" },
    { DESCRIPTION("\"xsalsa20_poly1305\"", "[" KEY31 ",-1]"), VOICE_E_RANGE,
      "d.secret_key" },
    { DESCRIPTION("\"xsalsa20_poly1305\"", "[" KEY31 ",\"1\"]"),
      VOICE_E_FORMAT, "d.secret_key" },
    { "{\"op\":5,\"d\":{\"ssrc\":1,\"speaking\":1}}", VOICE_E_FORMAT,
      "d.user_id" },
    { "{\"op\":5,\"d\":{\"user_id\":\"1\",\"speaking\":1}}", VOICE_E_FORMAT,
      "d.ssrc" },
    { "{\"op\":5,\"d\":{\"user_id\":\"1\",\"ssrc\":1}}", VOICE_E_FORMAT,
      "d.speaking" },
    { "{\"op\":13,\"d\":{\"user_id\":\"0\"}}", VOICE_E_RANGE, "d.user_id" }
};


static void
opcode_server_decode_refuses_with_reason(void **state)
{
    char                *copy;
    size_t               i, len;
    const char          *why;
    voice_server_msg_t   msg, before;

    (void) state;

    memset(&msg, 0xa5, sizeof(msg));
    memcpy(&before, &msg, sizeof(msg));

    for (i = 0; i < test_n(refusals); i++) {
        len = strlen(refusals[i].text);
        copy = (char *) test_copy(refusals[i].text, len);
        why = NULL;

        test_err(refusals[i].text,
                 voice_server_msg_decode(copy, len, &msg, &why),
                 refusals[i].err);

        if (why == NULL || strstr(why, refusals[i].why) == NULL) {
            fail_msg("%s: the reason is \"%s\", expected \"%s\"",
                     refusals[i].text, why ? why : "", refusals[i].why);
        }

        assert_memory_equal(&msg, &before, sizeof(msg));
        free(copy);
    }
}


static void
opcode_server_decode_unknown_is_passed_over(void **state)
{
    const char          *why;
    voice_server_msg_t   msg;

    static const char    ready[] =
        READY("\"ip\":\"a\",\"port\":1,\"x\":[{}],\"modes\":[\"xsalsa20_poly13"
              "05\",\"a_mode_that_nobody_has_ever_heard_of_until_now\",\"m\"]");
    static const char    other[] = "{\"op\":200,\"d\":[1],\"seq\":3,\"x\":0}";

    (void) state;

    assert_int_equal(voice_server_msg_decode(ready, strlen(ready), &msg, &why),
                     VOICE_OK);
    assert_int_equal(msg.modes, 1u << VOICE_MODE_XSALSA20_POLY1305);
    assert_int_equal(msg.heartbeat_interval, 0);

    assert_int_equal(voice_server_msg_decode(other, strlen(other), &msg, &why),
                     VOICE_OK);
    assert_int_equal(msg.op, 200);
    assert_int_equal(msg.seq, 3);
}


static void
opcode_server_decode_longest_message(void **state)
{
    char                *text;
    const char          *why;
    voice_server_msg_t   msg;

    (void) state;

    text = malloc(65537);
    assert_non_null(text);
    memset(text, ' ', 65537);
    memcpy(text, "{\"op\":6}", 8);

    assert_int_equal(voice_server_msg_decode(text, 65536, &msg, &why),
                     VOICE_OK);
    assert_int_equal(voice_server_msg_decode(text, 65537, &msg, &why),
                     VOICE_E_LENGTH);

    free(text);
}


/* Our client's messages, read by our server. */
static void
opcode_client_round_trip(void **state)
{
    int                  row;
    char                 buf[VOICE_ENCODE_MAX];
    size_t               len;
    const char          *why;
    voice_client_msg_t   msg;

    (void) state;

    for (row = 27; row < (int) test_n(made); row++) {
        assert_int_equal(make(row, buf, sizeof(buf), &len), VOICE_OK);
        test_err(buf, voice_client_msg_decode(buf, len, &msg, &why), VOICE_OK);

        switch (row) {

        case 28:
            assert_true(msg.d.identify.guild_id == UINT64_MAX);
            assert_true(msg.d.identify.channel_id == UINT64_MAX);
            assert_true(msg.d.identify.user_id == UINT64_MAX);
            assert_string_equal(msg.d.identify.session_id, "a\"\\b");
            assert_string_equal(msg.d.identify.token, "x.y.z");
            assert_int_equal(msg.d.identify.max_dave_version, 1);
            assert_true(msg.d.identify.video);
            break;

        case 29:
            assert_memory_equal(&msg.d.select, &select_udp,
                                sizeof(select_udp));
            break;

        case 32:
            assert_int_equal(msg.d.resume.seq_ack, 65535);
            assert_true(msg.d.resume.channel_id == 2000);
            break;

        case 34:
            assert_string_equal(msg.d.heartbeat.token, U64);
            assert_true(msg.d.heartbeat.object);
            assert_false(msg.d.heartbeat.has_seq_ack);
            break;

        case 36:
            assert_int_equal(msg.d.speaking.speaking, 1);
            assert_int_equal(msg.d.speaking.ssrc, 7);
            break;
        }
    }
}


typedef struct {
    size_t  payload;       /* bytes of JSON */
    size_t  wire;          /* with RFC 6455 headers and masks */
} handshake_t;


static void
handshake_add(handshake_t *sum, voice_err_t err, size_t len, bool client)
{
    assert_int_equal(err, VOICE_OK);

    sum->payload += len;
    sum->wire += len + 2 + (len > 125 ? 2 : 0) + (client ? 4 : 0);
}


static void
handshake(const voice_token_t *token, const char *ip, uint32_t ssrc,
    handshake_t *sum)
{
    char                  buf[VOICE_TOKEN_MAX];
    size_t                len;
    uint8_t               key[VOICE_KEY_LEN];
    const char           *why;
    voice_err_t           err;
    voice_op_ready_t      ready;
    voice_op_select_t     sel;
    voice_token_keys_t    keys;
    voice_op_identify_t   id;

    static const char     secret[] = "0123456789abcdef0123456789abcdef";

    memset(sum, 0, sizeof(*sum));
    memset(&keys, 0, sizeof(keys));
    memset(&id, 0, sizeof(id));

    assert_int_equal(voice_token_key_add(&keys, secret, 32, &why), VOICE_OK);

    id.guild_id = token->guild_id;
    id.user_id = token->user_id;
    strcpy(id.session_id, token->session_id);
    assert_int_equal(voice_token_sign(&keys, token, id.token,
                                      sizeof(id.token)),
                     VOICE_OK);
    voice_token_keys_free(&keys);

    ready = ready_full;
    ready.ip = ip;
    ready.ssrc = ssrc;
    sel = select_udp;
    strcpy(sel.address, ip);

    /* no byte of a key takes more than three digits */
    memset(key, 255, sizeof(key));

    err = voice_hello_encode(buf, sizeof(buf), 8, 13750, &len);
    handshake_add(sum, err, len, false);

    err = voice_identify_encode(buf, sizeof(buf), 8, &id, &len);
    handshake_add(sum, err, len, true);

    err = voice_ready_encode(buf, sizeof(buf), &ready, &len);
    handshake_add(sum, err, len, false);

    err = voice_select_encode(buf, sizeof(buf), &sel, &len);
    handshake_add(sum, err, len, true);

    err = voice_session_description_encode(buf, sizeof(buf),
                                           VOICE_MODE_XSALSA20_POLY1305, key,
                                           &len);
    handshake_add(sum, err, len, false);
}


static void
opcode_handshake_stays_small(void **state)
{
    handshake_t    sum;
    voice_token_t  token;

    (void) state;

    memset(&token, 0, sizeof(token));
    token.user_id = 501;
    token.guild_id = 1000;
    token.channel_id = 2000;
    strcpy(token.session_id, "s1");
    token.expires = 1790000000;

    handshake(&token, "127.0.0.1", 1, &sum);
    print_message("handshake, short ids: %zu bytes, %zu with frames\n",
                  sum.payload, sum.wire);
    assert_in_range(sum.payload, 1, HANDSHAKE_MAX - 1);
    assert_in_range(sum.wire, sum.payload, HANDSHAKE_MAX - 1);

    token.user_id = 1100000000000000501;
    token.guild_id = 1100000000000001000;
    token.channel_id = 1100000000000002000;
    strcpy(token.session_id, "0123456789abcdef0123456789abcdef");

    handshake(&token, "203.0.113.107", 123456, &sum);
    print_message("handshake, snowflakes: %zu bytes, %zu with frames\n",
                  sum.payload, sum.wire);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(opcode_encode_texts),
        cmocka_unit_test(opcode_encode_documented_sizes),
        cmocka_unit_test(opcode_server_round_trip),
        cmocka_unit_test(opcode_server_decode_refuses_with_reason),
        cmocka_unit_test(opcode_server_decode_unknown_is_passed_over),
        cmocka_unit_test(opcode_server_decode_longest_message),
        cmocka_unit_test(opcode_client_round_trip),
        cmocka_unit_test(opcode_handshake_stays_small)
    };

    return cmocka_run_group_tests(tests, setup_key, NULL);
}
