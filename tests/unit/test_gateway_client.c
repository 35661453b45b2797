/*
 * Copyright (C) ngx-voice contributors
 *
 * The gateway from its client's side: what it asks is what the server
 * understands, what it gets is what the server writes.
 */


#include "test_util.h"

#include "voice_gateway_client.h"

#include <inttypes.h>
#include <stdio.h>


#define SESSION  "0f3a0f3a0f3a0f3a0f3a0f3a0f3a0f3a"


static voice_gateway_got_t
got(const char *text)
{
    char                *copy;
    voice_err_t          err;
    const char          *why;
    voice_gateway_got_t  g;

    why = "";
    copy = (char *) test_copy(text, strlen(text));
    err = voice_gateway_got_decode(copy, strlen(text), &g, &why);
    free(copy);

    if (err != VOICE_OK) {
        fail_msg("%s: %s: %s", text, voice_err_name(err), why);
    }

    return g;
}


static voice_gateway_msg_t
asked(const voice_buf_t *b)
{
    const char           *why;
    voice_gateway_msg_t   msg;

    why = "";
    test_err("written", voice_buf_done(b), VOICE_OK);

    if (voice_gateway_msg_decode(b->data, b->len, &msg, &why) != VOICE_OK) {
        fail_msg("%.*s: %s", (int) b->len, b->data, why);
    }

    return msg;
}


static void
asks_as_the_server_understands(void **state)
{
    char                         text[4096];
    voice_buf_t                  b;
    voice_gateway_msg_t          msg;
    voice_gateway_voice_state_t  vs;

    (void) state;

    voice_buf_fixed(&b, text, sizeof(text));
    voice_gateway_ask_identify(&b, "a.b\"c", 129);
    msg = asked(&b);
    test_num("identify", msg.op, VOICE_GATEWAY_OP_IDENTIFY);
    test_num("intents", msg.d.identify.intents, 129);
    assert_string_equal(msg.d.identify.token, "a.b\"c");

    voice_buf_fixed(&b, text, sizeof(text));
    voice_gateway_ask_resume(&b, "a.b.c", SESSION, 1ull << 40);
    msg = asked(&b);
    test_num("resume", msg.op, VOICE_GATEWAY_OP_RESUME);
    test_num("seq", msg.d.resume.seq, 1ull << 40);
    assert_string_equal(msg.d.resume.session_id, SESSION);
    assert_string_equal(msg.d.resume.token, "a.b.c");

    voice_buf_fixed(&b, text, sizeof(text));
    voice_gateway_ask_heartbeat(&b, 0);
    msg = asked(&b);
    test_num("heartbeat", msg.op, VOICE_GATEWAY_OP_HEARTBEAT);
    assert_false(msg.d.heartbeat.has_seq);

    voice_buf_fixed(&b, text, sizeof(text));
    voice_gateway_ask_heartbeat(&b, 1ull << 33);
    msg = asked(&b);
    assert_true(msg.d.heartbeat.has_seq);
    test_num("seen", msg.d.heartbeat.seq, 1ull << 33);

    memset(&vs, 0, sizeof(vs));
    vs.guild_id = UINT64_MAX;
    vs.channel_id = 2000;
    vs.self_deaf = true;
    voice_buf_fixed(&b, text, sizeof(text));
    voice_gateway_ask_voice_state(&b, &vs);
    msg = asked(&b);
    test_num("op 4", msg.op, VOICE_GATEWAY_OP_VOICE_STATE);
    test_mem("state", &msg.d.voice_state, sizeof(vs), &vs, sizeof(vs));

    vs.channel_id = 0;
    voice_buf_fixed(&b, text, sizeof(text));
    voice_gateway_ask_voice_state(&b, &vs);
    test_num("leave", asked(&b).d.voice_state.channel_id, 0);

    voice_buf_fixed(&b, text, sizeof(text));
    voice_gateway_ask_voice_ping(&b);
    test_num("op 5", asked(&b).op, VOICE_GATEWAY_OP_VOICE_PING);
}


static void
gets_what_the_server_writes(void **state)
{
    char                 text[4096];
    voice_buf_t          b;
    voice_shape_state_t  vs;
    voice_gateway_got_t  g;

    (void) state;

    voice_buf_fixed(&b, text, sizeof(text) - 1);
    voice_gateway_put_hello(&b, 41250, "n");
    text[b.len] = '\0';
    g = got(text);
    test_num("hello", g.op, VOICE_GATEWAY_OP_HELLO);
    test_num("interval", g.interval, 41250);

    voice_buf_fixed(&b, text, sizeof(text) - 1);
    voice_gateway_put_invalid(&b, true);
    text[b.len] = '\0';
    assert_true(got(text).resumable);

    voice_buf_fixed(&b, text, sizeof(text) - 1);
    voice_gateway_put_ack(&b);
    text[b.len] = '\0';
    test_num("ack", got(text).op, VOICE_GATEWAY_OP_HEARTBEAT_ACK);

    memset(&vs, 0, sizeof(vs));
    vs.guild_id = 1000;
    vs.channel_id = UINT64_MAX;
    vs.user_id = 501;
    vs.session_id = SESSION;
    vs.mute = true;

    voice_buf_fixed(&b, text, sizeof(text) - 1);
    voice_buf_put(&b, text, voice_dispatch_head(text,
                                     VOICE_DISPATCH_VOICE_STATE, 7));
    voice_gateway_voice_state_d(&b, &vs, NULL);
    voice_buf_puts(&b, VOICE_DISPATCH_TAIL);
    text[b.len] = '\0';
    g = got(text);
    test_num("event", g.event, VOICE_DISPATCH_VOICE_STATE);
    test_num("s", g.seq, 7);
    test_num("guild", g.d.state.guild_id, 1000);
    test_num("channel", g.d.state.channel_id, UINT64_MAX);
    test_num("user", g.d.state.user_id, 501);
    assert_string_equal(g.d.state.session_id, SESSION);
    assert_true(g.d.state.mute);
    assert_false(g.d.state.deaf);

    voice_buf_fixed(&b, text, sizeof(text) - 1);
    voice_buf_put(&b, text, voice_dispatch_head(text,
                                     VOICE_DISPATCH_VOICE_SERVER, 8));
    voice_gateway_voice_server_d(&b, 1000, "t.o.k", "host:443");
    voice_buf_puts(&b, VOICE_DISPATCH_TAIL);
    text[b.len] = '\0';
    g = got(text);
    test_num("server", g.event, VOICE_DISPATCH_VOICE_SERVER);
    assert_string_equal(g.d.server.token, "t.o.k");
    assert_string_equal(g.d.server.endpoint, "host:443");

    g = got("{\"op\":0,\"s\":9,\"t\":\"VOICE_SERVER_UPDATE\",\"d\":{"
            "\"token\":\"t\",\"guild_id\":\"1000\",\"endpoint\":null}}");
    assert_string_equal(g.d.server.endpoint, "");

    g = got("{\"t\":\"READY\",\"s\":1,\"op\":0,\"d\":{\"user\":{\"id\":"
            "\"501\"},\"session_id\":\"" SESSION "\",\"resume_gateway_url\":"
            "\"wss://h/\"}}");
    test_num("ready", g.event, VOICE_DISPATCH_READY);
    test_num("self", g.d.ready.user_id, 501);
    assert_string_equal(g.d.ready.session_id, SESSION);
    assert_string_equal(g.d.ready.resume_url, "wss://h/");

    g = got("{\"op\":0,\"s\":2,\"t\":\"GUILD_CREATE\",\"d\":{\"id\":1000}}");
    test_num("guild", g.guild_id, 1000);

    g = got("{\"op\":0,\"s\":3,\"t\":\"TYPING_START\",\"d\":[]}");
    test_num("unknown", g.event, VOICE_DISPATCHES);
    test_num("counted", g.seq, 3);
}


static void
names_what_is_wrong(void **state)
{
    size_t               i;
    const char          *why;
    voice_gateway_got_t  g;

    static const struct {
        const char  *text;
        const char  *field;
    } cases[] = {
        { "", "" },
        { "{\"op\":0", "" },
        { "[]", "op" },
        { "{}", "op" },
        { "{\"op\":-1}", "op" },
        { "{\"op\":\"0\"}", "op" },
        { "{\"op\":10,\"d\":{}}", "d.heartbeat_interval" },
        { "{\"op\":10,\"d\":{\"heartbeat_interval\":0}}",
          "d.heartbeat_interval" },
        { "{\"op\":0,\"t\":\"READY\",\"d\":{}}", "s" },
        { "{\"op\":0,\"s\":0,\"t\":\"READY\",\"d\":{}}", "s" },
        { "{\"op\":0,\"s\":1,\"t\":\"READY\",\"d\":{\"user\":{\"id\":"
          "\"1\"}}}", "d.session_id" },
        { "{\"op\":0,\"s\":1,\"t\":\"READY\",\"d\":{\"session_id\":\"s\"}}",
          "d.user" },
        { "{\"op\":0,\"s\":1,\"t\":\"READY\",\"d\":{\"session_id\":\"s\","
          "\"user\":{}}}", "d.user.id" },
        { "{\"op\":0,\"s\":1,\"t\":\"GUILD_CREATE\",\"d\":null}", "d.id" },
        { "{\"op\":0,\"s\":1,\"t\":\"VOICE_STATE_UPDATE\",\"d\":{"
          "\"session_id\":\"s\"}}", "d.user_id" },
        { "{\"op\":0,\"s\":1,\"t\":\"VOICE_STATE_UPDATE\",\"d\":{"
          "\"user_id\":\"1\",\"session_id\":\"s\",\"mute\":1}}", "d.mute" },
        { "{\"op\":0,\"s\":1,\"t\":\"VOICE_SERVER_UPDATE\",\"d\":{"
          "\"guild_id\":\"1\"}}", "d.token" },
        { "{\"op\":0,\"s\":1,\"t\":\"VOICE_SERVER_UPDATE\",\"d\":{"
          "\"guild_id\":\"1\",\"token\":\"t\",\"endpoint\":7}}",
          "d.endpoint" }
    };

    (void) state;

    for (i = 0; i < test_n(cases); i++) {
        why = NULL;
        assert_true(voice_gateway_got_decode(cases[i].text,
                                             strlen(cases[i].text), &g, &why)
                    != VOICE_OK);
        assert_non_null(why);

        if (strncmp(why, cases[i].field, strlen(cases[i].field)) != 0) {
            fail_msg("%s: \"%s\" doesn't name %s", cases[i].text, why,
                     cases[i].field);
        }
    }
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(asks_as_the_server_understands),
        cmocka_unit_test(gets_what_the_server_writes),
        cmocka_unit_test(names_what_is_wrong)
    };

    return cmocka_run_group_tests_name("gateway client", tests, NULL, NULL);
}
