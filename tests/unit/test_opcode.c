/*
 * Copyright (C) ngx-voice contributors
 *
 * Messages of clients: what is taken, what is refused and why.
 */


#include "test_util.h"

#include "voice_opcode.h"

#include <stdio.h>


#define S64   "0123456789012345678901234567890123456789012345678901234567890123"
#define IDS   "\"server_id\":\"1000\",\"user_id\":\"501\""
#define IDENT IDS ",\"session_id\":\"s1\",\"token\":\"t\""


/* The text stands in a block of its own, so that no byte past it is read. */
static voice_err_t
decode(const char *text, size_t len, voice_client_msg_t *msg, const char **why)
{
    char         *copy;
    voice_err_t   err;

    copy = (char *) test_copy(text, len);
    err = voice_client_msg_decode(copy, len, msg, why);
    free(copy);

    return err;
}


typedef struct {
    const char   *text;
    voice_err_t   err;
    const char   *why;
} refusal_t;


static const refusal_t  refusals[] = {

    /* the envelope */
    { "", VOICE_E_FORMAT, "not JSON" },
    { "{\"op\":3", VOICE_E_FORMAT, "not JSON" },
    { "{\"op\":3,\"d\":1}x", VOICE_E_FORMAT, "more than one" },
    { "{\"op\":3,\"d\":\"\xff\"}", VOICE_E_FORMAT, "not UTF-8" },
    { "{\"op\":3,\"d\":\"\xed\xa0\x80\"}", VOICE_E_FORMAT, "not UTF-8" },
    { "{\"op\":12,\"d\":[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]}", VOICE_E_FORMAT,
      "too deep" },
    { "[]", VOICE_E_FORMAT, "an object" },
    { "[{\"op\":3,\"d\":1}]", VOICE_E_FORMAT, "an object" },
    { "3", VOICE_E_FORMAT, "an object" },
    { "null", VOICE_E_FORMAT, "an object" },
    { "{}", VOICE_E_FORMAT, "op:" },
    { "{\"d\":1}", VOICE_E_FORMAT, "op:" },
    { "{\"op\":null}", VOICE_E_FORMAT, "op:" },
    { "{\"op\":\"3\",\"d\":1}", VOICE_E_FORMAT, "op:" },
    { "{\"op\":3.0,\"d\":1}", VOICE_E_FORMAT, "op:" },
    { "{\"op\":3e0,\"d\":1}", VOICE_E_FORMAT, "op:" },
    { "{\"op\":true,\"d\":1}", VOICE_E_FORMAT, "op:" },
    { "{\"op\":[3],\"d\":1}", VOICE_E_FORMAT, "op:" },
    { "{\"op\":2147483648,\"d\":1}", VOICE_E_RANGE, "op:" },
    { "{\"op\":-2147483649,\"d\":1}", VOICE_E_RANGE, "op:" },
    { "{\"op\":99999999999999999999,\"d\":1}", VOICE_E_RANGE, "op:" },
    { "{\"op\":3,\"op\":3,\"d\":1}", VOICE_E_FORMAT, "op:" },
    { "{\"op\":3,\"d\":1,\"d\":2}", VOICE_E_FORMAT, "d: stands there" },
    { "{\"op\":12,\"d\":1,\"\\u0064\":2}", VOICE_E_FORMAT, "d: stands there" },

    /* bodies that are no object */
    { "{\"op\":0}", VOICE_E_FORMAT, "d: an object" },
    { "{\"op\":0,\"d\":null}", VOICE_E_FORMAT, "d: an object" },
    { "{\"op\":1}", VOICE_E_FORMAT, "d: an object" },
    { "{\"op\":1,\"d\":[]}", VOICE_E_FORMAT, "d: an object" },
    { "{\"op\":5,\"d\":1}", VOICE_E_FORMAT, "d: an object" },
    { "{\"op\":7,\"d\":\"x\"}", VOICE_E_FORMAT, "d: an object" },

    /* Identify */
    { "{\"op\":0,\"d\":{\"user_id\":\"1\",\"session_id\":\"s\",\"token\":\"t\""
      "}}", VOICE_E_FORMAT, "d.server_id" },
    { "{\"op\":0,\"d\":{\"server_id\":\"1\",\"session_id\":\"s\","
      "\"token\":\"t\"}}", VOICE_E_FORMAT, "d.user_id" },
    { "{\"op\":0,\"d\":{" IDS ",\"token\":\"t\"}}", VOICE_E_FORMAT,
      "d.session_id" },
    { "{\"op\":0,\"d\":{" IDS ",\"session_id\":\"s\"}}", VOICE_E_FORMAT,
      "d.token" },
    { "{\"op\":0,\"d\":{" IDS ",\"session_id\":5,\"token\":\"t\"}}",
      VOICE_E_FORMAT, "d.session_id" },
    { "{\"op\":0,\"d\":{" IDS ",\"session_id\":\"\",\"token\":\"t\"}}",
      VOICE_E_RANGE, "d.session_id" },
    { "{\"op\":0,\"d\":{" IDS ",\"session_id\":\"a\\u0000\",\"token\":\"t\"}}",
      VOICE_E_FORMAT, "d.session_id" },
    { "{\"op\":0,\"d\":{" IDS ",\"session_id\":\"" S64 "4\",\"token\":\"t\"}}",
      VOICE_E_RANGE, "d.session_id" },
    { "{\"op\":0,\"d\":{" IDS ",\"session_id\":\"s\",\"token\":\"\"}}",
      VOICE_E_RANGE, "d.token" },
    { "{\"op\":0,\"d\":{" IDS ",\"session_id\":\"s\",\"token\":null}}",
      VOICE_E_FORMAT, "d.token" },
    { "{\"op\":0,\"d\":{" IDENT ",\"channel_id\":true}}", VOICE_E_FORMAT,
      "d.channel_id" },
    { "{\"op\":0,\"d\":{" IDENT ",\"channel_id\":\"0\"}}", VOICE_E_RANGE,
      "d.channel_id" },
    { "{\"op\":0,\"d\":{" IDENT ",\"server_id\":\"1000\"}}", VOICE_E_FORMAT,
      "d.server_id" },
    { "{\"op\":0,\"d\":{" IDENT ",\"video\":1}}", VOICE_E_FORMAT, "d.video" },
    { "{\"op\":0,\"d\":{" IDENT ",\"max_dave_protocol_version\":\"1\"}}",
      VOICE_E_FORMAT, "d.max_dave_protocol_version" },
    { "{\"op\":0,\"d\":{" IDENT ",\"max_dave_protocol_version\":-1}}",
      VOICE_E_RANGE, "d.max_dave_protocol_version" },
    { "{\"op\":0,\"d\":{" IDENT ",\"max_dave_protocol_version\":65536}}",
      VOICE_E_RANGE, "d.max_dave_protocol_version" },
    { "{\"op\":0,\"d\":{\"server_id\":\"abc\",\"user_id\":\"501\","
      "\"session_id\":\"s1\",\"token\":\"t\"}}", VOICE_E_FORMAT,
      "d.server_id" },
    { "{\"op\":0,\"d\":{\"server_id\":\"18446744073709551616\","
      "\"user_id\":\"501\",\"session_id\":\"s1\",\"token\":\"t\"}}",
      VOICE_E_RANGE, "d.server_id" },
    { "{\"op\":0,\"d\":{\"server_id\":\"1000\",\"user_id\":-501,"
      "\"session_id\":\"s1\",\"token\":\"t\"}}", VOICE_E_RANGE, "d.user_id" },

    /* Select Protocol */
    { "{\"op\":1,\"d\":{}}", VOICE_E_FORMAT, "d.protocol" },
    { "{\"op\":1,\"d\":{\"protocol\":1}}", VOICE_E_FORMAT, "d.protocol" },
    { "{\"op\":1,\"d\":{\"protocol\":\"udp\\u0000\"}}", VOICE_E_FORMAT,
      "d.protocol" },
    { "{\"op\":1,\"d\":{\"protocol\":\"udp\",\"protocol\":\"udp\"}}",
      VOICE_E_FORMAT, "d.protocol" },
    { "{\"op\":1,\"d\":{\"protocol\":\"udp\",\"data\":\"x\"}}",
      VOICE_E_FORMAT, "d.data:" },
    { "{\"op\":1,\"d\":{\"protocol\":\"udp\",\"data\":[]}}", VOICE_E_FORMAT,
      "d.data:" },
    { "{\"op\":1,\"d\":{\"protocol\":\"udp\",\"data\":{}}}", VOICE_E_FORMAT,
      "d.data.mode" },
    { "{\"op\":1,\"d\":{\"protocol\":\"udp\",\"data\":{\"mode\":7}}}",
      VOICE_E_FORMAT, "d.data.mode" },
    { "{\"op\":1,\"d\":{\"protocol\":\"udp\",\"data\":{\"mode\":\"m\","
      "\"port\":\"7\"}}}", VOICE_E_FORMAT, "d.data.port" },
    { "{\"op\":1,\"d\":{\"protocol\":\"udp\",\"data\":{\"mode\":\"m\","
      "\"port\":65536}}}", VOICE_E_RANGE, "d.data.port" },
    { "{\"op\":1,\"d\":{\"protocol\":\"udp\",\"data\":{\"mode\":\"m\","
      "\"port\":-1}}}", VOICE_E_RANGE, "d.data.port" },
    { "{\"op\":1,\"d\":{\"protocol\":\"udp\",\"data\":{\"mode\":\"m\","
      "\"address\":1}}}", VOICE_E_FORMAT, "d.data.address" },

    /* Heartbeat */
    { "{\"op\":3,\"d\":\"1\"}", VOICE_E_FORMAT, "d: a number or an object" },
    { "{\"op\":3,\"d\":true}", VOICE_E_FORMAT, "d: a number or an object" },
    { "{\"op\":3,\"d\":[1]}", VOICE_E_FORMAT, "d: a number or an object" },
    { "{\"op\":3,\"d\":01}", VOICE_E_FORMAT, "not JSON" },
    { "{\"op\":3,\"d\":NaN}", VOICE_E_FORMAT, "not JSON" },
    { "{\"op\":3,\"d\":12345678901234567890123456789012}", VOICE_E_RANGE,
      "at most 31" },
    { "{\"op\":3,\"d\":{\"t\":12345678901234567890123456789012}}",
      VOICE_E_RANGE, "d.t: a number of at most 31" },
    { "{\"op\":3,\"d\":{\"t\":\"1\"}}", VOICE_E_FORMAT, "d.t" },
    { "{\"op\":3,\"d\":{\"t\":{}}}", VOICE_E_FORMAT, "d.t" },
    { "{\"op\":3,\"d\":{\"t\":1,\"t\":2}}", VOICE_E_FORMAT, "d.t" },
    { "{\"op\":3,\"d\":{\"t\":1,\"seq_ack\":\"1\"}}", VOICE_E_FORMAT,
      "d.seq_ack" },
    { "{\"op\":3,\"d\":{\"t\":1,\"seq_ack\":1.5}}", VOICE_E_FORMAT,
      "d.seq_ack" },
    { "{\"op\":3,\"d\":{\"t\":1,\"seq_ack\":-2}}", VOICE_E_RANGE,
      "d.seq_ack" },
    { "{\"op\":3,\"d\":{\"t\":1,\"seq_ack\":65536}}", VOICE_E_RANGE,
      "d.seq_ack" },

    /* Speaking */
    { "{\"op\":5,\"d\":{}}", VOICE_E_FORMAT, "d.speaking" },
    { "{\"op\":5,\"d\":{\"speaking\":null}}", VOICE_E_FORMAT, "d.speaking" },
    { "{\"op\":5,\"d\":{\"speaking\":\"1\"}}", VOICE_E_FORMAT, "d.speaking" },
    { "{\"op\":5,\"d\":{\"speaking\":1.0}}", VOICE_E_FORMAT, "d.speaking" },
    { "{\"op\":5,\"d\":{\"speaking\":-1}}", VOICE_E_RANGE, "d.speaking" },
    { "{\"op\":5,\"d\":{\"speaking\":4294967296}}", VOICE_E_RANGE,
      "d.speaking" },
    { "{\"op\":5,\"d\":{\"speaking\":1,\"ssrc\":\"1\"}}", VOICE_E_FORMAT,
      "d.ssrc" },
    { "{\"op\":5,\"d\":{\"speaking\":1,\"ssrc\":-1}}", VOICE_E_RANGE,
      "d.ssrc" },
    { "{\"op\":5,\"d\":{\"speaking\":1,\"ssrc\":4294967296}}", VOICE_E_RANGE,
      "d.ssrc" },

    /* Resume */
    { "{\"op\":7,\"d\":{\"session_id\":\"s\",\"token\":\"t\"}}",
      VOICE_E_FORMAT, "d.server_id" },
    { "{\"op\":7,\"d\":{\"server_id\":\"1\",\"token\":\"t\"}}",
      VOICE_E_FORMAT, "d.session_id" },
    { "{\"op\":7,\"d\":{\"server_id\":\"1\",\"session_id\":\"s\"}}",
      VOICE_E_FORMAT, "d.token" },
    { "{\"op\":7,\"d\":{\"server_id\":\"1\",\"session_id\":\"s\","
      "\"token\":\"t\",\"seq_ack\":65536}}", VOICE_E_RANGE, "d.seq_ack" },
    { "{\"op\":7,\"d\":{\"server_id\":\"1\",\"session_id\":\"s\","
      "\"token\":\"t\",\"channel_id\":[]}}", VOICE_E_FORMAT, "d.channel_id" }
};


static void
opcode_decode_refuses_with_reason(void **state)
{
    size_t               i;
    const char          *why;
    voice_client_msg_t   msg;

    (void) state;

    for (i = 0; i < test_n(refusals); i++) {
        why = NULL;

        test_err(refusals[i].text,
                 decode(refusals[i].text, strlen(refusals[i].text), &msg,
                        &why),
                 refusals[i].err);

        if (why == NULL || strstr(why, refusals[i].why) == NULL) {
            fail_msg("%s: the reason is \"%s\", expected \"%s\"",
                     refusals[i].text, why ? why : "", refusals[i].why);
        }

        assert_in_range(strlen(why), 1, 100);
    }
}


static void
opcode_decode_writes_only_on_success(void **state)
{
    size_t               i;
    const char          *why;
    voice_client_msg_t   msg, before;

    (void) state;

    memset(&msg, 0xa5, sizeof(msg));
    memcpy(&before, &msg, sizeof(msg));

    for (i = 0; i < test_n(refusals); i++) {
        (void) decode(refusals[i].text, strlen(refusals[i].text), &msg, &why);
        assert_memory_equal(&msg, &before, sizeof(msg));
    }
}


typedef struct {
    const char  *text;
    const char  *token;
    bool         object;
    int          seq_ack;      /* -1: none */
} heartbeat_t;


static const heartbeat_t  heartbeats[] = {
    { "{\"op\":3,\"d\":1}", "1", false, -1 },
    { "{\"op\":3,\"d\":0}", "0", false, -1 },
    { "{\"op\":3}", "null", false, -1 },
    { "{\"op\":3,\"d\":null}", "null", false, -1 },
    { "{\"d\":7,\"op\":3}", "7", false, -1 },
    { " { \"op\" : 3 , \"d\" : 7 } ", "7", false, -1 },
    { "{\"op\":3,\"d\":9007199254740993}", "9007199254740993", false, -1 },
    { "{\"op\":3,\"d\":9223372036854775808}", "9223372036854775808", false,
      -1 },
    { "{\"op\":3,\"d\":18446744073709551615}", "18446744073709551615", false,
      -1 },
    { "{\"op\":3,\"d\":1234567890123456789012345678901}",
      "1234567890123456789012345678901", false, -1 },
    { "{\"op\":3,\"d\":-1}", "-1", false, -1 },
    { "{\"op\":3,\"d\":1724000000000.250}", "1724000000000.250", false, -1 },
    { "{\"op\":3,\"d\":1.5E+3}", "1.5E+3", false, -1 },
    { "{\"op\":3,\"d\":{}}", "null", true, -1 },
    { "{\"op\":3,\"d\":{\"t\":null}}", "null", true, -1 },
    { "{\"op\":3,\"d\":{\"t\":18446744073709551615}}", "18446744073709551615",
      true, -1 },
    { "{\"op\":3,\"d\":{\"\\u0074\":5}}", "5", true, -1 },
    { "{\"op\":3,\"d\":{\"seq_ack\":0,\"t\":5}}", "5", true, 0 },
    { "{\"op\":3,\"d\":{\"t\":5,\"seq_ack\":65535}}", "5", true, 65535 },
    { "{\"op\":3,\"d\":{\"t\":5,\"seq_ack\":-1}}", "5", true, -1 },
    { "{\"op\":3,\"d\":{\"t\":5,\"seq_ack\":null}}", "5", true, -1 },
    { "{\"op\":3,\"d\":{\"t\":5,\"u\":{\"t\":6}}}", "5", true, -1 }
};


static void
opcode_heartbeat_token_is_verbatim(void **state)
{
    char                   ack[VOICE_ENCODE_MAX], want[VOICE_ENCODE_MAX];
    size_t                 i, len;
    const char            *why;
    voice_client_msg_t     msg;
    voice_op_heartbeat_t  *hb;

    (void) state;

    for (i = 0; i < test_n(heartbeats); i++) {
        test_err(heartbeats[i].text,
                 decode(heartbeats[i].text, strlen(heartbeats[i].text), &msg,
                        &why),
                 VOICE_OK);

        hb = &msg.d.heartbeat;

        test_num(heartbeats[i].text, msg.op, VOICE_OP_HEARTBEAT);
        assert_string_equal(hb->token, heartbeats[i].token);
        test_num(heartbeats[i].text, hb->object, heartbeats[i].object);
        test_num(heartbeats[i].text, hb->has_seq_ack,
                 heartbeats[i].seq_ack >= 0);
        test_num(heartbeats[i].text, hb->seq_ack,
                 heartbeats[i].seq_ack < 0 ? 0 : heartbeats[i].seq_ack);

        snprintf(want, sizeof(want),
                 heartbeats[i].object ? "{\"op\":6,\"d\":{\"t\":%s}}"
                                      : "{\"op\":6,\"d\":%s}",
                 heartbeats[i].token);

        assert_int_equal(voice_heartbeat_ack_encode(ack, sizeof(ack), 8, hb,
                                                    &len),
                         VOICE_OK);
        assert_string_equal(ack, want);
    }
}


static void
opcode_identify_fields(void **state)
{
    const char           *why;
    voice_client_msg_t    msg;
    voice_op_identify_t  *id;

    static const char     full[] =
        "{\"op\":0,\"d\":{\"server_id\":\"18446744073709551615\","
        "\"channel_id\":2000,\"user_id\":9007199254740993,"
        "\"session_id\":\"" S64 "\",\"token\":\"a.b-c_d\",\"video\":true,"
        "\"streams\":[{\"type\":\"video\",\"rid\":\"100\",\"quality\":100}],"
        "\"max_dave_protocol_version\":1}}";

    static const char     least[] =
        "{\"op\":0,\"d\":{" IDENT ",\"channel_id\":null,\"video\":null}}";

    (void) state;

    assert_int_equal(decode(full, strlen(full), &msg, &why), VOICE_OK);

    id = &msg.d.identify;
    assert_int_equal(msg.op, VOICE_OP_IDENTIFY);
    assert_true(id->guild_id == UINT64_MAX);
    assert_true(id->channel_id == 2000);
    assert_true(id->user_id == 9007199254740993);
    assert_string_equal(id->session_id, S64);
    assert_string_equal(id->token, "a.b-c_d");
    assert_true(id->video);
    assert_int_equal(id->max_dave_version, 1);

    assert_int_equal(decode(least, strlen(least), &msg, &why), VOICE_OK);

    assert_true(id->guild_id == 1000);
    assert_true(id->channel_id == 0);
    assert_true(id->user_id == 501);
    assert_string_equal(id->session_id, "s1");
    assert_string_equal(id->token, "t");
    assert_false(id->video);
    assert_int_equal(id->max_dave_version, 0);
}


static void
opcode_identify_token_length(void **state)
{
    char                 text[VOICE_TOKEN_MAX + 256];
    char                 token[VOICE_TOKEN_MAX + 2];
    size_t               len;
    const char          *why;
    voice_client_msg_t   msg;

    (void) state;

    for (len = VOICE_TOKEN_MAX; len <= VOICE_TOKEN_MAX + 1; len++) {
        memset(token, 'x', len);
        token[len] = '\0';

        snprintf(text, sizeof(text),
                 "{\"op\":0,\"d\":{" IDS ",\"session_id\":\"s\","
                 "\"token\":\"%s\"}}", token);

        test_err("token", decode(text, strlen(text), &msg, &why),
                 len > VOICE_TOKEN_MAX ? VOICE_E_RANGE : VOICE_OK);
    }
}


static void
opcode_decode_every_truncation_refused(void **state)
{
    size_t               i, len;
    const char          *why;
    voice_client_msg_t   msg;

    static const char   *texts[] = {
        "{\"op\":0,\"d\":{" IDENT ",\"video\":false}}",
        "{\"op\":1,\"d\":{\"protocol\":\"udp\",\"mode\":\"\xc3\xa4\\u00e4\"}}",
        "{\"op\":3,\"d\":{\"t\":-1.5e+3,\"seq_ack\":10}}",
        "{\"op\":5,\"d\":{\"speaking\":true,\"delay\":0,\"ssrc\":null}}"
    };

    (void) state;

    for (i = 0; i < test_n(texts); i++) {
        len = strlen(texts[i]);
        test_err(texts[i], decode(texts[i], len, &msg, &why), VOICE_OK);

        while (len-- > 0) {
            test_err(texts[i], decode(texts[i], len, &msg, &why),
                     VOICE_E_FORMAT);
        }
    }
}


static void
opcode_decode_longest_message(void **state)
{
    char                *text;
    const char          *why;
    voice_client_msg_t   msg;

    (void) state;

    text = malloc(VOICE_MESSAGE_MAX + 1);
    assert_non_null(text);
    memset(text, ' ', VOICE_MESSAGE_MAX + 1);
    memcpy(text, "{\"op\":3,\"d\":1}", 14);

    assert_int_equal(voice_client_msg_decode(text, VOICE_MESSAGE_MAX, &msg,
                                             &why),
                     VOICE_OK);
    assert_int_equal(voice_client_msg_decode(text, VOICE_MESSAGE_MAX + 1, &msg,
                                             &why),
                     VOICE_E_LENGTH);
    assert_string_equal(why, "longer than 4096 bytes");

    free(text);
}


typedef struct {
    const char  *d;
    const char  *protocol;
    const char  *mode;
    const char  *address;
    uint16_t     port;
} select_t;


static const select_t  selects[] = {
    { "{\"protocol\":\"udp\",\"data\":{\"address\":\"192.0.2.7\","
      "\"port\":50001,\"mode\":\"aead_aes256_gcm_rtpsize\"}}",
      "udp", "aead_aes256_gcm_rtpsize", "192.0.2.7", 50001 },

    { "{\"protocol\":\"udp\",\"address\":\"192.0.2.7\",\"port\":50001,"
      "\"mode\":\"xsalsa20_poly1305\"}",
      "udp", "xsalsa20_poly1305", "192.0.2.7", 50001 },

    { "{\"protocol\":\"udp\",\"data\":null,\"mode\":\"m\"}",
      "udp", "m", "", 0 },

    { "{\"protocol\":\"udp\",\"data\":{\"mode\":\"m\"},\"mode\":\"n\","
      "\"port\":7}", "udp", "m", "", 7 },

    { "{\"protocol\":\"udp\",\"data\":{\"mode\":\"m\",\"address\":null,"
      "\"port\":null},\"codecs\":[{\"name\":\"opus\"}]}",
      "udp", "m", "", 0 },

    /* hints that can't be addresses */
    { "{\"protocol\":\"udp\",\"data\":{\"mode\":\"m\","
      "\"address\":\"" S64 "\"}}", "udp", "m", "", 0 },
    { "{\"protocol\":\"udp\",\"data\":{\"mode\":\"m\","
      "\"address\":\"192.0.2.7\\u0000\\u0000\"}}", "udp", "m", "", 0 },

    /* names that are longer than any of ours */
    { "{\"protocol\":\"udp\",\"data\":{\"mode\":\"" S64 "\"}}",
      "udp", "unknown", "", 0 },
    { "{\"protocol\":\"udp456789012345\"}", "udp456789012345", "", "", 0 },
    { "{\"protocol\":\"udp4567890123456\"}", "unknown", "", "", 0 },

    { "{\"protocol\":\"webrtc\",\"data\":\"a=fingerprint\",\"sdp\":\"a=\"}",
      "webrtc", "", "", 0 },
    { "{\"protocol\":\"webrtc\",\"data\":{\"mode\":\"m\"}}",
      "webrtc", "", "", 0 },
    { "{\"protocol\":\"\"}", "", "", "", 0 },
    { "{\"protocol\":\"UDP\",\"data\":7}", "UDP", "", "", 0 }
};


static void
opcode_select_forms(void **state)
{
    char                 text[512];
    size_t               i;
    const char          *why;
    voice_client_msg_t   msg;

    (void) state;

    for (i = 0; i < test_n(selects); i++) {
        snprintf(text, sizeof(text), "{\"op\":1,\"d\":%s}", selects[i].d);

        test_err(text, decode(text, strlen(text), &msg, &why), VOICE_OK);

        test_num(text, msg.op, VOICE_OP_SELECT_PROTOCOL);
        assert_string_equal(msg.d.select.protocol, selects[i].protocol);
        assert_string_equal(msg.d.select.mode, selects[i].mode);
        assert_string_equal(msg.d.select.address, selects[i].address);
        test_num(text, msg.d.select.port, selects[i].port);
    }
}


typedef struct {
    const char  *d;
    uint32_t     speaking;
    uint32_t     ssrc;
} speaking_t;


static const speaking_t  speakings[] = {
    { "{\"speaking\":true}", 1, 0 },
    { "{\"speaking\":false,\"delay\":0}", 0, 0 },
    { "{\"speaking\":0,\"delay\":0,\"ssrc\":7276}", 0, 7276 },
    { "{\"speaking\":5,\"delay\":0.5,\"ssrc\":4294967295}", 5, UINT32_MAX },
    { "{\"speaking\":4294967295,\"ssrc\":null}", UINT32_MAX, 0 }
};


static void
opcode_speaking_forms(void **state)
{
    char                 text[128];
    size_t               i;
    const char          *why;
    voice_client_msg_t   msg;

    (void) state;

    for (i = 0; i < test_n(speakings); i++) {
        snprintf(text, sizeof(text), "{\"op\":5,\"d\":%s}", speakings[i].d);

        test_err(text, decode(text, strlen(text), &msg, &why), VOICE_OK);

        test_num(text, msg.op, VOICE_OP_SPEAKING);
        test_num(text, msg.d.speaking.speaking, speakings[i].speaking);
        test_num(text, msg.d.speaking.ssrc, speakings[i].ssrc);
    }
}


typedef struct {
    const char  *rest;
    uint64_t     channel_id;
    int          seq_ack;      /* -1: none */
} resume_t;


static const resume_t  resumes[] = {
    { "", 0, -1 },
    { ",\"seq_ack\":-1", 0, -1 },
    { ",\"seq_ack\":null,\"channel_id\":null", 0, -1 },
    { ",\"seq_ack\":0", 0, 0 },
    { ",\"seq_ack\":10,\"channel_id\":\"2000\"", 2000, 10 }
};


static void
opcode_resume_forms(void **state)
{
    char                 text[256];
    size_t               i;
    const char          *why;
    voice_client_msg_t   msg;
    voice_op_resume_t   *r;

    (void) state;

    r = &msg.d.resume;

    for (i = 0; i < test_n(resumes); i++) {
        snprintf(text, sizeof(text),
                 "{\"op\":7,\"d\":{\"server_id\":\"1000\","
                 "\"session_id\":\"s1\",\"token\":\"t\"%s}}", resumes[i].rest);

        test_err(text, decode(text, strlen(text), &msg, &why), VOICE_OK);

        test_num(text, msg.op, VOICE_OP_RESUME);
        assert_true(r->guild_id == 1000);
        assert_true(r->channel_id == resumes[i].channel_id);
        assert_string_equal(r->session_id, "s1");
        assert_string_equal(r->token, "t");
        test_num(text, r->has_seq_ack, resumes[i].seq_ack >= 0);
        test_num(text, r->seq_ack,
                 resumes[i].seq_ack < 0 ? 0 : resumes[i].seq_ack);
    }
}


/* Section 3 decides about these by their number alone. */
static void
opcode_bodies_without_meaning_are_unchecked(void **state)
{
    char                 text[64];
    size_t               i, j;
    const char          *why;
    voice_client_msg_t   msg;

    static const int     ops[] = { 2, 4, 6, 8, 9, 10, 11, 12, 13, 14, 15, 16,
                                   17, 18, 19, 20, 23, 26, 28, 31, 32, 33, 255,
                                   -1, 2147483647, -2147483647 - 1 };
    static const char   *bodies[] = { "", ",\"d\":null", ",\"d\":{}",
                                      ",\"d\":[]", ",\"d\":\"x\"",
                                      ",\"d\":-1e999", ",\"x\":1" };

    (void) state;

    for (i = 0; i < test_n(ops); i++) {
        for (j = 0; j < test_n(bodies); j++) {
            snprintf(text, sizeof(text), "{\"op\":%d%s}", ops[i], bodies[j]);

            test_err(text, decode(text, strlen(text), &msg, &why), VOICE_OK);
            test_num(text, msg.op, ops[i]);
        }
    }
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(opcode_decode_refuses_with_reason),
        cmocka_unit_test(opcode_decode_writes_only_on_success),
        cmocka_unit_test(opcode_decode_every_truncation_refused),
        cmocka_unit_test(opcode_decode_longest_message),
        cmocka_unit_test(opcode_heartbeat_token_is_verbatim),
        cmocka_unit_test(opcode_identify_fields),
        cmocka_unit_test(opcode_identify_token_length),
        cmocka_unit_test(opcode_select_forms),
        cmocka_unit_test(opcode_speaking_forms),
        cmocka_unit_test(opcode_resume_forms),
        cmocka_unit_test(opcode_bodies_without_meaning_are_unchecked)
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
