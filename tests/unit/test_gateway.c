/*
 * Copyright (C) ngx-voice contributors
 *
 * The main gateway: its states, and the messages of clients.
 */


#include "test_util.h"

#include "voice_gateway.h"
#include "voice_limit.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>


static const char *const  states[VOICE_GATEWAY_STATES] = {
    "await auth", "live", "closed"
};


static void
in_state(voice_gateway_t *gw, voice_gateway_state_t state)
{
    voice_gateway_out_t  out;

    voice_gateway_start(gw, 10, true, &out);
    test_num("start", out.action, VOICE_GATEWAY_DO_HELLO);

    if (state == VOICE_GATEWAY_LIVE) {
        voice_gateway_done(gw, VOICE_GATEWAY_DO_IDENTIFY);
    }

    if (state == VOICE_GATEWAY_CLOSED) {
        voice_gateway_done(gw, VOICE_GATEWAY_DO_CLOSE);
    }

    test_num(states[state], gw->state, state);
}


/*
 * For each state a letter per opcode 0, 1, 2, ... 44: what sections 3 and 4
 * say together.
 *
 *   i ignored     A ack         I identify     R resume
 *   V voice state P voice ping  M members      1 3 5  closed with 400x
 */
static const char *const  expected[VOICE_GATEWAY_STATES] = {
    "3AI333R3333333333333333333333333333333" "33" "A" "3333",
    "1A5iVP51M111iiiiiiiiiiiiiiiiiiiiiiiiii" "ii" "A" "iii1",
    "iiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiii" "ii" "i" "iiii"
};


static char
letter(const voice_gateway_out_t *out)
{
    static const char  actions[] = {
        [VOICE_GATEWAY_IGNORE] = 'i',
        [VOICE_GATEWAY_DO_HELLO] = 'H',
        [VOICE_GATEWAY_DO_ACK] = 'A',
        [VOICE_GATEWAY_DO_IDENTIFY] = 'I',
        [VOICE_GATEWAY_DO_RESUME] = 'R',
        [VOICE_GATEWAY_DO_VOICE_STATE] = 'V',
        [VOICE_GATEWAY_DO_VOICE_PING] = 'P',
        [VOICE_GATEWAY_DO_MEMBERS] = 'M'
    };

    if (out->action != VOICE_GATEWAY_DO_CLOSE) {
        return actions[out->action];
    }

    assert_non_null(out->reason);
    assert_in_range(strlen(out->reason), 1, 100);
    assert_in_range(out->code, 4001, 4012);

    return (char) ('0' + out->code - 4000);
}


static void
check_message(voice_gateway_state_t state, int op, char want)
{
    char                   name[64];
    voice_gateway_t        gw;
    voice_gateway_msg_t    msg;
    voice_gateway_out_t    out;
    voice_gateway_state_t  after;

    memset(&msg, 0, sizeof(msg));
    msg.op = op;

    snprintf(name, sizeof(name), "op %d in state %s", op, states[state]);

    in_state(&gw, state);
    voice_gateway_message(&gw, &msg, &out);

    if (letter(&out) != want) {
        fail_msg("%s: got %c, expected %c", name, letter(&out), want);
    }

    after = want >= '1' && want <= '5' ? VOICE_GATEWAY_CLOSED : state;
    test_num(name, gw.state, after);
}


static void
gateway_every_op_in_every_state(void **state)
{
    int                    op;
    size_t                 i;
    voice_gateway_state_t  s;
    static const int       foreign[] = { INT_MIN, -1, 64, 255, 296, INT_MAX };

    (void) state;

    for (s = VOICE_GATEWAY_AWAIT_AUTH; s < VOICE_GATEWAY_STATES; s++) {
        assert_int_equal(strlen(expected[s]), 45);

        for (op = 0; op < 45; op++) {
            check_message(s, op, expected[s][op]);
        }

        /* what is not in the table is as op 44 */
        for (i = 0; i < test_n(foreign); i++) {
            check_message(s, foreign[i], expected[s][44]);
        }
    }
}


typedef struct {
    int            version;
    bool           json;
    int            code;         /* 0: Hello */
    int            accepted;     /* the version then */
} start_case_t;


static void
gateway_start_versions(void **state)
{
    size_t               i;
    voice_gateway_t      gw;
    voice_gateway_out_t  out;

    static const start_case_t  cases[] = {
        { 0, true, 0, 9 }, { 9, true, 0, 9 }, { 10, true, 0, 10 },
        { 8, true, 4012, 0 }, { 11, true, 4012, 0 }, { 1, true, 4012, 0 },
        { -1, true, 4012, 0 }, { INT_MAX, true, 4012, 0 },
        { INT_MIN, true, 4012, 0 }, { 10, false, 4002, 0 },
        { 7, false, 4012, 0 }
    };

    (void) state;

    for (i = 0; i < test_n(cases); i++) {
        memset(&gw, 0xa5, sizeof(gw));
        memset(&out, 0xa5, sizeof(out));
        voice_gateway_start(&gw, cases[i].version, cases[i].json, &out);

        if (cases[i].code == 0) {
            test_num("action", out.action, VOICE_GATEWAY_DO_HELLO);
            test_num("state", gw.state, VOICE_GATEWAY_AWAIT_AUTH);
            test_num("version", gw.version, cases[i].accepted);
            continue;
        }

        test_num("action", out.action, VOICE_GATEWAY_DO_CLOSE);
        test_num("code", out.code, cases[i].code);
        test_num("state", gw.state, VOICE_GATEWAY_CLOSED);
        assert_non_null(out.reason);
    }
}


typedef struct {
    voice_gateway_state_t   state;
    voice_gateway_input_t   input;
    int                     code;      /* 0: ignored */
    const char             *reason;    /* part of it */
} input_case_t;


static void
gateway_other_inputs(void **state)
{
    size_t               i;
    voice_gateway_t      gw;
    voice_gateway_out_t  out;

    static const input_case_t  cases[] = {
        { VOICE_GATEWAY_AWAIT_AUTH, VOICE_GATEWAY_GOT_BINARY, 4002, "text" },
        { VOICE_GATEWAY_AWAIT_AUTH, VOICE_GATEWAY_GOT_FLOOD, 4008, "120" },
        { VOICE_GATEWAY_AWAIT_AUTH, VOICE_GATEWAY_GOT_TIMEOUT, 4009,
          "Identify" },
        { VOICE_GATEWAY_LIVE, VOICE_GATEWAY_GOT_BINARY, 4002, "text" },
        { VOICE_GATEWAY_LIVE, VOICE_GATEWAY_GOT_FLOOD, 4008, "120" },
        { VOICE_GATEWAY_LIVE, VOICE_GATEWAY_GOT_TIMEOUT, 4009, "heartbeat" },
        { VOICE_GATEWAY_CLOSED, VOICE_GATEWAY_GOT_BINARY, 0, NULL },
        { VOICE_GATEWAY_CLOSED, VOICE_GATEWAY_GOT_FLOOD, 0, NULL },
        { VOICE_GATEWAY_CLOSED, VOICE_GATEWAY_GOT_TIMEOUT, 0, NULL }
    };

    (void) state;

    for (i = 0; i < test_n(cases); i++) {
        in_state(&gw, cases[i].state);
        voice_gateway_input(&gw, cases[i].input, &out);
        test_num("state", gw.state, VOICE_GATEWAY_CLOSED);

        if (cases[i].code == 0) {
            test_num("action", out.action, VOICE_GATEWAY_IGNORE);
            continue;
        }

        test_num("action", out.action, VOICE_GATEWAY_DO_CLOSE);
        test_num("code", out.code, cases[i].code);
        assert_non_null(strstr(out.reason, cases[i].reason));
    }
}


static void
gateway_malformed(void **state)
{
    voice_gateway_t        gw;
    voice_gateway_out_t    out;
    voice_gateway_state_t  s;

    (void) state;

    for (s = VOICE_GATEWAY_AWAIT_AUTH; s < VOICE_GATEWAY_CLOSED; s++) {
        in_state(&gw, s);
        voice_gateway_malformed(&gw, "why", &out);

        test_num("action", out.action, VOICE_GATEWAY_DO_CLOSE);
        test_num("code", out.code, 4002);
        assert_string_equal(out.reason, "why");
        test_num("state", gw.state, VOICE_GATEWAY_CLOSED);

        /* once is enough */
        voice_gateway_malformed(&gw, "why", &out);
        test_num("action", out.action, VOICE_GATEWAY_IGNORE);
    }
}


/* A resume that failed leaves the socket open for an Identify. */
static void
gateway_done(void **state)
{
    voice_gateway_t         gw;
    voice_gateway_action_t  a;

    (void) state;

    for (a = VOICE_GATEWAY_IGNORE; a <= VOICE_GATEWAY_DO_MEMBERS; a++) {
        in_state(&gw, VOICE_GATEWAY_AWAIT_AUTH);
        voice_gateway_done(&gw, a);

        test_num("after", gw.state,
                 a == VOICE_GATEWAY_DO_CLOSE ? VOICE_GATEWAY_CLOSED
                 : a == VOICE_GATEWAY_DO_IDENTIFY
                   || a == VOICE_GATEWAY_DO_RESUME ? VOICE_GATEWAY_LIVE
                 : VOICE_GATEWAY_AWAIT_AUTH);

        in_state(&gw, VOICE_GATEWAY_CLOSED);
        voice_gateway_done(&gw, a);
        test_num("after", gw.state, VOICE_GATEWAY_CLOSED);
    }
}


static void
gateway_small_questions(void **state)
{
    int                  op;
    voice_gateway_msg_t  msg;

    (void) state;

    memset(&msg, 0, sizeof(msg));

    for (op = -1; op < 50; op++) {
        msg.op = op;
        test_num("counts", voice_gateway_counts(&msg), op != 1 && op != 40);
    }

    assert_false(voice_gateway_resumable(1000));
    assert_false(voice_gateway_resumable(1001));
    assert_true(voice_gateway_resumable(1005));
    assert_true(voice_gateway_resumable(1006));
    assert_true(voice_gateway_resumable(4000));
    assert_true(voice_gateway_resumable(4901));

    test_num("one shard", voice_gateway_shard(UINT64_MAX, 1), 0);
    test_num("none", voice_gateway_shard(UINT64_MAX, 0), 0);
    test_num("low bits", voice_gateway_shard((1 << 22) - 1, 7), 0);
    test_num("first", voice_gateway_shard(1 << 22, 7), 1);
    test_num("a real one", voice_gateway_shard(197038439483310086, 10),
             (197038439483310086ull >> 22) % 10);
    test_num("many", voice_gateway_shard(UINT64_MAX, UINT32_MAX),
             (UINT64_MAX >> 22) % UINT32_MAX);
}


/* 120 at once, then two a second. */
static void
gateway_rate(void **state)
{
    int             i;
    voice_bucket_t  b;

    (void) state;

    memset(&b, 0, sizeof(b));

    for (i = 0; i < 120; i++) {
        assert_true(voice_bucket_take(&b, VOICE_GATEWAY_RATE,
                                      VOICE_GATEWAY_BURST, 1000000));
    }

    assert_false(voice_bucket_take(&b, VOICE_GATEWAY_RATE,
                                   VOICE_GATEWAY_BURST, 1000000));
    assert_true(voice_bucket_take(&b, VOICE_GATEWAY_RATE,
                                  VOICE_GATEWAY_BURST, 1000500));
    assert_false(voice_bucket_take(&b, VOICE_GATEWAY_RATE,
                                   VOICE_GATEWAY_BURST, 1000500));
}


/* The text stands in a block of its own, so that no byte past it is read. */
static voice_err_t
decode(const char *text, size_t len, voice_gateway_msg_t *msg,
    const char **why)
{
    char         *copy;
    voice_err_t   err;

    copy = (char *) test_copy(text, len);
    err = voice_gateway_msg_decode(copy, len, msg, why);
    free(copy);

    return err;
}


static void
show_members(char *buf, size_t size, const voice_gateway_members_t *m)
{
    size_t  i, n;

    n = (size_t) snprintf(buf, size, "%" PRIu64 " limit %" PRIu32
                          " query %s\"%s\" nonce \"%s\"%s users",
                          m->guild_id, m->limit, m->has_query ? "" : "none ",
                          m->query, m->nonce,
                          m->presences ? " presences" : "");

    for (i = 0; i < m->nusers && n < size; i++) {
        n += (size_t) snprintf(buf + n, size - n, " %" PRIu64, m->user_id[i]);
    }
}


/* What was decoded, as text. */
static void
show(char *buf, size_t size, const voice_gateway_msg_t *msg)
{
    const voice_gateway_resume_t       *r;
    const voice_gateway_identify_t     *id;
    const voice_gateway_voice_state_t  *vs;

    switch (msg->op) {

    case VOICE_GATEWAY_OP_HEARTBEAT:
    case VOICE_GATEWAY_OP_QOS_HEARTBEAT:
        snprintf(buf, size, "%s%" PRIu64,
                 msg->d.heartbeat.has_seq ? "" : "none ",
                 msg->d.heartbeat.seq);
        break;

    case VOICE_GATEWAY_OP_IDENTIFY:
        id = &msg->d.identify;
        snprintf(buf, size, "\"%s\" %" PRIu32 " shard %s%" PRIu32 "/%" PRIu32
                 "%s", id->token, id->intents, id->has_shard ? "" : "none ",
                 id->shard, id->nshards, id->compress ? " compress" : "");
        break;

    case VOICE_GATEWAY_OP_VOICE_STATE:
        vs = &msg->d.voice_state;
        snprintf(buf, size, "%" PRIu64 " %" PRIu64 " %d%d%d%d", vs->guild_id,
                 vs->channel_id, vs->self_mute, vs->self_deaf, vs->self_video,
                 vs->self_stream);
        break;

    case VOICE_GATEWAY_OP_RESUME:
        r = &msg->d.resume;
        snprintf(buf, size, "\"%s\" \"%s\" %" PRIu64, r->token, r->session_id,
                 r->seq);
        break;

    case VOICE_GATEWAY_OP_MEMBERS:
        show_members(buf, size, &msg->d.members);
        break;

    default:
        snprintf(buf, size, "-");
        break;
    }
}


typedef struct {
    const char   *text;
    int           op;
    const char   *shown;
} accepted_t;


#define U64   "18446744073709551615"
#define S64   "0123456789012345678901234567890123456789012345678901234567890123"
#define ALL   "4294967295"


static const accepted_t  accepted[] = {

    /* heartbeats */
    { "{\"op\":1,\"d\":null}", 1, "none 0" },
    { "{\"op\":1}", 1, "none 0" },
    { "{\"op\":1,\"d\":0}", 1, "0" },
    { "{\"op\":1,\"d\":251}", 1, "251" },
    { "{\"op\":1,\"d\":-1}", 1, "none 0" },
    { "{\"op\":1,\"d\":9223372036854775807}", 1, "9223372036854775807" },
    { "{\"op\":40,\"d\":{\"seq\":7,\"qos\":{\"ver\":26,\"active\":true,"
      "\"reasons\":[\"foregrounded\"]}}}", 40, "7" },
    { "{\"op\":40,\"d\":{\"seq\":null}}", 40, "none 0" },
    { "{\"op\":40,\"d\":{}}", 40, "none 0" },

    /* Identify, as several libraries send it */
    { "{\"op\":2,\"d\":{\"token\":\"t\"}}", 2, "\"t\" " ALL " shard none 0/1" },
    { "{\"op\":2,\"d\":{\"token\":\"Bot t\",\"intents\":129,\"properties\":"
      "{\"os\":\"linux\",\"browser\":\"x\",\"device\":\"x\"},\"compress\":"
      "false,\"large_threshold\":250,\"presence\":null,\"shard\":[0,1]}}",
      2, "\"t\" 129 shard 0/1" },
    { "{\"op\":2,\"d\":{\"token\":\"Bott\",\"intents\":0,\"shard\":[3,16],"
      "\"compress\":true,\"capabilities\":16381,\"client_state\":{}}}",
      2, "\"Bott\" 0 shard 3/16 compress" },
    { "{\"op\":2,\"d\":{\"token\":\"a.b.c\",\"intents\":" ALL ",\"shard\":"
      "null,\"compress\":null}}", 2, "\"a.b.c\" " ALL " shard none 0/1" },
    { "{\"op\":2,\"d\":{\"token\":\"t\",\"shard\":[" ALL "," ALL "]}}", 2,
      "\"t\" " ALL " shard " ALL "/" ALL },

    /* a shard that can't be is for the caller to close with 4010 */
    { "{\"op\":2,\"d\":{\"token\":\"t\",\"shard\":[5,2]}}", 2,
      "\"t\" " ALL " shard 5/2" },

    /* ids as strings and as integers */
    { "{\"op\":4,\"d\":{\"guild_id\":\"1000\",\"channel_id\":\"2000\","
      "\"self_mute\":false,\"self_deaf\":true}}", 4, "1000 2000 0100" },
    { "{\"op\":4,\"d\":{\"guild_id\":" U64 ",\"channel_id\":" U64 ","
      "\"self_mute\":true,\"self_deaf\":false}}", 4, U64 " " U64 " 1000" },
    { "{\"op\":4,\"d\":{\"guild_id\":\"" U64 "\",\"channel_id\":null,"
      "\"self_mute\":false,\"self_deaf\":false}}", 4, U64 " 0 0000" },
    { "{\"op\":4,\"d\":{\"guild_id\":null,\"channel_id\":\"2000\"}}", 4,
      "0 2000 0000" },
    { "{\"op\":4,\"d\":{}}", 4, "0 0 0000" },
    { "{\"op\":4,\"d\":{\"guild_id\":1,\"channel_id\":2,\"self_mute\":true,"
      "\"self_deaf\":true,\"self_video\":true,\"self_stream\":true,\"flags\":"
      "2,\"preferred_region\":null,\"preferred_regions\":[\"a\"]}}", 4,
      "1 2 1111" },
    { "{\"s\":null,\"t\":null,\"d\":{\"self_mute\":null,\"channel_id\":3},"
      "\"op\":4}", 4, "0 3 0000" },

    { "{\"op\":6,\"d\":{\"token\":\"Bot t\",\"session_id\":\"s\",\"seq\":9}}",
      6, "\"t\" \"s\" 9" },
    { "{\"op\":6,\"d\":{\"token\":\"t\",\"session_id\":\"" S64 "\","
      "\"seq\":null}}", 6, "\"t\" \"" S64 "\" 0" },
    { "{\"op\":6,\"d\":{\"token\":\"t\",\"session_id\":\"s\"}}", 6,
      "\"t\" \"s\" 0" },
    { "{\"op\":6,\"d\":{\"token\":\"t\",\"session_id\":\"s\",\"seq\":-1}}", 6,
      "\"t\" \"s\" 0" },

    { "{\"op\":8,\"d\":{\"guild_id\":1000,\"query\":\"\",\"limit\":0,"
      "\"presences\":true,\"nonce\":\"n1\"}}", 8,
      "1000 limit 0 query \"\" nonce \"n1\" presences users" },
    { "{\"op\":8,\"d\":{\"guild_id\":[\"1000\"],\"user_ids\":[\"1\",2,\"" U64
      "\"],\"limit\":100}}", 8,
      "1000 limit 100 query none \"\" nonce \"\" users 1 2 " U64 },
    { "{\"op\":8,\"d\":{\"guild_id\":\"1000\",\"user_ids\":\"7\"}}", 8,
      "1000 limit 0 query none \"\" nonce \"\" users 7" },
    { "{\"op\":8,\"d\":{\"guild_id\":\"1000\",\"user_ids\":[],\"query\":"
      "\"\\u00c9\"}}", 8,
      "1000 limit 0 query \"\xc3\x89\" nonce \"\" users" },
    { "{\"op\":8,\"d\":{\"guild_id\":\"1000\",\"query\":null,\"user_ids\":"
      "null,\"nonce\":\"01234567890123456789012345678901\"}}", 8,
      "1000 limit 0 query none \"\" nonce \"01234567890123456789012345678901"
      "\" users" },

    /* a nonce too long, or of another type, is left out */
    { "{\"op\":8,\"d\":{\"guild_id\":\"1\",\"nonce\":"
      "\"012345678901234567890123456789012\"}}", 8,
      "1 limit 0 query none \"\" nonce \"\" users" },
    { "{\"op\":8,\"d\":{\"guild_id\":\"1\",\"nonce\":5}}", 8,
      "1 limit 0 query none \"\" nonce \"\" users" },

    /* without a body that matters */
    { "{\"op\":3,\"d\":{\"since\":null,\"activities\":[],\"status\":\"online\""
      ",\"afk\":false}}", 3, "-" },
    { "{\"op\":3,\"d\":5}", 3, "-" },
    { "{\"op\":5,\"d\":null}", 5, "-" },
    { "{\"op\":5}", 5, "-" },
    { "{\"op\":14,\"d\":[]}", 14, "-" },
    { "{\"op\":-2147483648}", INT_MIN, "-" },
    { "{\"op\":2147483647}", INT_MAX, "-" },
    { " { \"op\" : 12 } ", 12, "-" }
};


static void
gateway_decode_accepted(void **state)
{
    char                  shown[VOICE_USER_TOKEN_MAX + 512];
    size_t                i;
    const char           *why;
    voice_err_t           err;
    voice_gateway_msg_t   msg;

    (void) state;

    for (i = 0; i < test_n(accepted); i++) {
        memset(&msg, 0xa5, sizeof(msg));

        err = decode(accepted[i].text, strlen(accepted[i].text), &msg, &why);

        if (err != VOICE_OK) {
            fail_msg("%s: %s", accepted[i].text, why);
        }

        test_num(accepted[i].text, msg.op, accepted[i].op);
        show(shown, sizeof(shown), &msg);

        if (strcmp(shown, accepted[i].shown) != 0) {
            fail_msg("%s:\n  got      %s\n  expected %s", accepted[i].text,
                     shown, accepted[i].shown);
        }
    }
}


typedef struct {
    const char   *text;
    voice_err_t   err;
    const char   *why;       /* its start */
} refusal_t;


#define FORMAT   VOICE_E_FORMAT
#define RANGE    VOICE_E_RANGE
#define ID2      "{\"op\":2,\"d\":{\"token\":\"t\","
#define RES      "{\"op\":6,\"d\":{\"token\":\"t\",\"session_id\":\"s\","
#define MEM      "{\"op\":8,\"d\":{\"guild_id\":\"1\","


static const refusal_t  refusals[] = {

    { "", FORMAT, "not JSON" },
    { "{\"op\":1", FORMAT, "not JSON" },
    { "{\"op\":1}{\"op\":1}", FORMAT, "more than one" },
    { "{\"op\":1,\"d\":\"\xff\"}", FORMAT, "not UTF-8" },
    { "{\"op\":3,\"d\":[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]}", FORMAT,
      "nested too deep" },
    { "[]", FORMAT, "an object" },
    { "\"op\"", FORMAT, "an object" },
    { "{}", FORMAT, "op:" },
    { "{\"op\":null}", FORMAT, "op:" },
    { "{\"op\":\"1\"}", FORMAT, "op:" },
    { "{\"op\":1.0}", FORMAT, "op:" },
    { "{\"op\":2147483648}", RANGE, "op:" },
    { "{\"op\":1,\"op\":1}", FORMAT, "op:" },
    { "{\"op\":1,\"d\":null,\"d\":null}", FORMAT, "d: stands there" },

    { "{\"op\":1,\"d\":\"1\"}", FORMAT, "d: an integer or null" },
    { "{\"op\":1,\"d\":1.5}", FORMAT, "d: an integer or null" },
    { "{\"op\":1,\"d\":{}}", FORMAT, "d: an integer or null" },
    { "{\"op\":1,\"d\":-2}", RANGE, "d: an integer or null" },
    { "{\"op\":1,\"d\":9223372036854775808}", RANGE, "d: an integer or null" },
    { "{\"op\":40,\"d\":null}", FORMAT, "d: an object" },
    { "{\"op\":40,\"d\":5}", FORMAT, "d: an object" },
    { "{\"op\":40,\"d\":{\"seq\":\"1\"}}", FORMAT, "d.seq:" },

    { "{\"op\":2}", FORMAT, "d: an object" },
    { "{\"op\":2,\"d\":[]}", FORMAT, "d: an object" },
    { "{\"op\":2,\"d\":{}}", FORMAT, "d.token:" },
    { "{\"op\":2,\"d\":{\"token\":\"\"}}", RANGE, "d.token:" },
    { "{\"op\":2,\"d\":{\"token\":null}}", FORMAT, "d.token:" },
    { "{\"op\":2,\"d\":{\"token\":5}}", FORMAT, "d.token:" },
    { "{\"op\":2,\"d\":{\"token\":\"a\\u0000\"}}", FORMAT, "d.token:" },
    { ID2 "\"token\":\"t\"}}", FORMAT, "d.token:" },
    { ID2 "\"intents\":\"1\"}}", FORMAT, "d.intents:" },
    { ID2 "\"intents\":-1}}", RANGE, "d.intents:" },
    { ID2 "\"intents\":4294967296}}", RANGE, "d.intents:" },
    { ID2 "\"compress\":1}}", FORMAT, "d.compress:" },
    { ID2 "\"shard\":0}}", FORMAT, "d.shard:" },
    { ID2 "\"shard\":[]}}", FORMAT, "d.shard:" },
    { ID2 "\"shard\":[0]}}", FORMAT, "d.shard:" },
    { ID2 "\"shard\":[0,1,2]}}", FORMAT, "d.shard:" },
    { ID2 "\"shard\":[\"0\",1]}}", FORMAT, "d.shard:" },
    { ID2 "\"shard\":[0,null]}}", FORMAT, "d.shard:" },
    { ID2 "\"shard\":[-1,1]}}", RANGE, "d.shard:" },
    { ID2 "\"shard\":[0,0]}}", RANGE, "d.shard:" },

    { "{\"op\":4}", FORMAT, "d: an object" },
    { "{\"op\":4,\"d\":null}", FORMAT, "d: an object" },
    { "{\"op\":4,\"d\":{\"guild_id\":0}}", RANGE, "d.guild_id:" },
    { "{\"op\":4,\"d\":{\"guild_id\":\"0\"}}", RANGE, "d.guild_id:" },
    { "{\"op\":4,\"d\":{\"guild_id\":\"\"}}", FORMAT, "d.guild_id:" },
    { "{\"op\":4,\"d\":{\"guild_id\":\"12a\"}}", FORMAT, "d.guild_id:" },
    { "{\"op\":4,\"d\":{\"guild_id\":-1}}", RANGE, "d.guild_id:" },
    { "{\"op\":4,\"d\":{\"guild_id\":1e3}}", FORMAT, "d.guild_id:" },
    { "{\"op\":4,\"d\":{\"guild_id\":18446744073709551616}}", RANGE,
      "d.guild_id:" },
    { "{\"op\":4,\"d\":{\"guild_id\":[1]}}", FORMAT, "d.guild_id:" },
    { "{\"op\":4,\"d\":{\"channel_id\":\"18446744073709551616\"}}", RANGE,
      "d.channel_id:" },
    { "{\"op\":4,\"d\":{\"channel_id\":false}}", FORMAT, "d.channel_id:" },
    { "{\"op\":4,\"d\":{\"channel_id\":1,\"channel_id\":2}}", FORMAT,
      "d.channel_id:" },
    { "{\"op\":4,\"d\":{\"self_mute\":0}}", FORMAT, "d.self_mute:" },
    { "{\"op\":4,\"d\":{\"self_deaf\":\"no\"}}", FORMAT, "d.self_deaf:" },
    { "{\"op\":4,\"d\":{\"self_video\":1}}", FORMAT, "d.self_video:" },
    { "{\"op\":4,\"d\":{\"self_stream\":1}}", FORMAT, "d.self_stream:" },

    { "{\"op\":6,\"d\":7}", FORMAT, "d: an object" },
    { "{\"op\":6,\"d\":{\"session_id\":\"s\",\"seq\":1}}", FORMAT,
      "d.token:" },
    { "{\"op\":6,\"d\":{\"token\":\"t\",\"seq\":1}}", FORMAT,
      "d.session_id:" },
    { "{\"op\":6,\"d\":{\"token\":\"t\",\"session_id\":\"\"}}", RANGE,
      "d.session_id:" },
    { "{\"op\":6,\"d\":{\"token\":\"t\",\"session_id\":\"" S64 "4\"}}", RANGE,
      "d.session_id:" },
    { RES "\"seq\":\"1\"}}", FORMAT, "d.seq:" },
    { RES "\"seq\":1.5}}", FORMAT, "d.seq:" },
    { RES "\"seq\":-2}}", RANGE, "d.seq:" },

    { "{\"op\":8,\"d\":{}}", FORMAT, "d.guild_id:" },
    { "{\"op\":8,\"d\":{\"guild_id\":null}}", FORMAT, "d.guild_id:" },
    { "{\"op\":8,\"d\":{\"guild_id\":[]}}", FORMAT, "d.guild_id:" },
    { "{\"op\":8,\"d\":{\"guild_id\":[\"1\",\"2\"]}}", FORMAT,
      "d.guild_id:" },
    { "{\"op\":8,\"d\":{\"guild_id\":[null]}}", FORMAT, "d.guild_id:" },
    { MEM "\"limit\":-1}}", RANGE, "d.limit:" },
    { MEM "\"limit\":\"5\"}}", FORMAT, "d.limit:" },
    { MEM "\"query\":5}}", FORMAT, "d.query:" },
    { MEM "\"presences\":1}}", FORMAT, "d.presences:" },
    { MEM "\"user_ids\":{}}}", FORMAT, "d.user_ids:" },
    { MEM "\"user_ids\":[0]}}", RANGE, "d.user_ids:" },
    { MEM "\"user_ids\":[[]]}}", FORMAT, "d.user_ids:" },
    { MEM "\"user_ids\":\"x\"}}", FORMAT, "d.user_ids:" }
};


static void
gateway_decode_refused(void **state)
{
    size_t                i;
    const char           *why;
    voice_err_t           err;
    voice_gateway_msg_t   msg, before;

    (void) state;

    memset(&before, 0xa5, sizeof(before));

    for (i = 0; i < test_n(refusals); i++) {
        memset(&msg, 0xa5, sizeof(msg));
        why = NULL;

        err = decode(refusals[i].text, strlen(refusals[i].text), &msg, &why);

        test_err(refusals[i].text, err, refusals[i].err);
        assert_non_null(why);
        assert_in_range(strlen(why), 1, 100);

        if (strncmp(why, refusals[i].why, strlen(refusals[i].why)) != 0) {
            fail_msg("%s: %s, expected %s", refusals[i].text, why,
                     refusals[i].why);
        }

        assert_memory_equal(&msg, &before, sizeof(msg));
    }
}


static void
gateway_decode_truncated(void **state)
{
    size_t                i, len;
    const char           *why;
    voice_gateway_msg_t   msg;

    (void) state;

    for (i = 0; i < test_n(accepted); i++) {
        for (len = 0; len + 1 < strlen(accepted[i].text); len++) {
            test_err(accepted[i].text, decode(accepted[i].text, len, &msg,
                                              &why),
                     VOICE_E_FORMAT);
        }
    }
}


/* A message with a token of n bytes, padded with spaces to len. */
static char *
long_message(size_t n, size_t len)
{
    char    *text;
    size_t   used;

    text = malloc(len + 64 + n);
    assert_non_null(text);

    strcpy(text, "{\"op\":2,\"d\":{\"token\":\"");
    used = strlen(text);
    memset(text + used, 'x', n);
    strcpy(text + used + n, "\"}}");
    used = strlen(text);

    if (used < len) {
        memset(text + used, ' ', len - used);
        text[len] = '\0';
    }

    return text;
}


static void
gateway_decode_limits(void **state)
{
    char                 *text;
    const char           *why;
    voice_gateway_msg_t   msg;

    (void) state;

    text = long_message(VOICE_USER_TOKEN_MAX, 16384);
    test_err("longest", decode(text, 16384, &msg, &why), VOICE_OK);
    test_num("token", strlen(msg.d.identify.token), VOICE_USER_TOKEN_MAX);
    free(text);

    text = long_message(10, 16385);
    test_err("too long", decode(text, 16385, &msg, &why), VOICE_E_LENGTH);
    assert_string_equal(why, "longer than 16384 bytes");
    free(text);

    text = long_message(VOICE_USER_TOKEN_MAX + 1, 0);
    test_err("token", decode(text, strlen(text), &msg, &why), VOICE_E_RANGE);
    free(text);
}


static void
gateway_decode_users(void **state)
{
    char                  text[4096];
    int                   n, i, used;
    const char           *why;
    voice_err_t           err;
    voice_gateway_msg_t   msg;

    (void) state;

    for (n = 99; n <= 101; n++) {
        used = snprintf(text, sizeof(text), MEM "\"user_ids\":[1");

        for (i = 2; i <= n; i++) {
            used += snprintf(text + used, sizeof(text) - (size_t) used,
                             ",\"%d\"", i);
        }

        strcat(text, "]}}");
        err = decode(text, strlen(text), &msg, &why);
        test_err("users", err, n <= 100 ? VOICE_OK : VOICE_E_RANGE);

        if (err == VOICE_OK) {
            test_num("users", msg.d.members.nusers, n);
            test_num("last", msg.d.members.user_id[n - 1], n);
        }
    }
}


static void
gateway_member_matches(void **state)
{
    voice_dir_member_t  m;

    (void) state;

    voice_dir_member_make(&m, 1, "Wumpus", false);

    assert_true(voice_gateway_member_matches(&m, ""));
    assert_true(voice_gateway_member_matches(&m, "w"));
    assert_true(voice_gateway_member_matches(&m, "wUMPUS"));
    assert_false(voice_gateway_member_matches(&m, "wumpusx"));
    assert_false(voice_gateway_member_matches(&m, "umpus"));
    assert_false(voice_gateway_member_matches(&m, "nelly"));

    m.nick = "Nelly";
    m.user.global_name = "\xc3\x89mile";
    assert_true(voice_gateway_member_matches(&m, "nelly"));
    assert_true(voice_gateway_member_matches(&m, "\xc3\x89M"));
    assert_true(voice_gateway_member_matches(&m, "wump"));
    assert_false(voice_gateway_member_matches(&m, "mile"));
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(gateway_every_op_in_every_state),
        cmocka_unit_test(gateway_start_versions),
        cmocka_unit_test(gateway_other_inputs),
        cmocka_unit_test(gateway_malformed),
        cmocka_unit_test(gateway_done),
        cmocka_unit_test(gateway_small_questions),
        cmocka_unit_test(gateway_rate),
        cmocka_unit_test(gateway_decode_accepted),
        cmocka_unit_test(gateway_decode_refused),
        cmocka_unit_test(gateway_decode_truncated),
        cmocka_unit_test(gateway_decode_limits),
        cmocka_unit_test(gateway_decode_users),
        cmocka_unit_test(gateway_member_matches)
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
