/*
 * Copyright (C) ngx-voice contributors
 *
 * What nodes post to each other: round trips, and what is refused.
 */


#include "test_util.h"
#include "voice_peer_message.h"


static void
test_message_round_trip(void **state)
{
    char                  text[1024];
    size_t                n;
    const char           *why;
    voice_buf_t           b;
    voice_json_t          item;
    voice_peer_parts_t    parts;
    voice_state_info_t    info, got;
    voice_peer_message_t  m, back;

    (void) state;

    memset(&m, 0, sizeof(m));
    strcpy(m.from, "ams1");
    strcpy(m.boot, "0123456789abcdef0123456789abcdef");
    m.prev = 17;
    m.seq = UINT64_MAX;
    m.is_sync = true;
    m.sync = VOICE_PEER_SYNC_FIRST | VOICE_PEER_SYNC_LAST;
    m.has_digest = true;
    m.digest = 1ull << 63;
    m.count = 2;
    m.has_guilds = true;
    m.guilds = UINT64_MAX;

    memset(&info, 0, sizeof(info));
    info.guild_id = UINT64_MAX;
    info.user_id = 501;
    info.channel_id = 2000;
    info.request_to_speak = 1700000000000ull;
    info.flags = 0x3ff;
    info.claim = VOICE_STATE_CLAIM_MAX;
    strcpy(info.session_id, "a \"quoted\" one");

    voice_buf_fixed(&b, text, sizeof(text));
    voice_peer_put_begin(&b, &m);
    voice_peer_put_state(&b, &info, true);
    voice_peer_put_state(&b, &info, false);
    voice_peer_put_orders(&b);
    voice_peer_put_end(&b);
    test_err("fits", voice_buf_done(&b), VOICE_OK);

    test_err("decode", voice_peer_message_decode(text, b.len, &back, &parts,
                                                 &why), VOICE_OK);
    back.v = 0;
    test_num("equal", memcmp(&m, &back, sizeof(m)), 0);

    memset(&item, 0, sizeof(item));

    for (n = 0; voice_json_next(&parts.states, &item); n++) {
        test_err("state", voice_peer_state_decode(&item, &got, &why),
                 VOICE_OK);
        test_num("state", memcmp(&info, &got, sizeof(info)), 0);
    }

    test_num("states", n, 2);

    memset(&item, 0, sizeof(item));
    test_num("orders", voice_json_next(&parts.orders, &item), 0);
}


static void
test_message_hello(void **state)
{
    const char            *why;
    voice_json_t           item;
    voice_peer_parts_t     parts;
    voice_peer_message_t   m;

    static const char  text[] = "{\"v\":1,\"from\":\"a\",\"boot\":\"b\"}";

    (void) state;

    test_err("decode", voice_peer_message_decode(text, sizeof(text) - 1, &m,
                                                 &parts, &why),
             VOICE_OK);
    test_num("seq", m.seq, 0);
    test_num("sync", m.is_sync, 0);
    test_num("digest", m.has_digest, 0);

    memset(&item, 0, sizeof(item));
    test_num("states", voice_json_next(&parts.states, &item), 0);
}


static void
test_message_guilds(void **state)
{
    char                    text[1024];
    const char             *why;
    voice_buf_t             b;
    voice_json_t            item;
    voice_peer_guild_t      guild, got;
    voice_peer_parts_t      parts;
    voice_peer_message_t    m;
    voice_store_version_t   version;

    static const voice_store_version_t  list[] = {
        { 1000, 5, UINT64_MAX }, { 1001, INT64_MAX, 0 }
    };

    (void) state;

    memset(&m, 0, sizeof(m));
    strcpy(m.from, "a");
    strcpy(m.boot, "b");

    voice_buf_fixed(&b, text, sizeof(text));
    voice_peer_put_begin(&b, &m);
    voice_peer_put_offers(&b, list, 2);
    voice_peer_put_end(&b);

    test_err("offers", voice_peer_message_decode(text, b.len, &m, &parts,
                                                 &why), VOICE_OK);
    memset(&item, 0, sizeof(item));
    test_num("one", voice_json_next(&parts.offers, &item), 1);
    test_err("one", voice_peer_offer_decode(&item, &version, &why), VOICE_OK);
    test_num("one", memcmp(&version, &list[0], sizeof(version)), 0);
    test_num("two", voice_json_next(&parts.offers, &item), 1);
    test_err("two", voice_peer_offer_decode(&item, &version, &why), VOICE_OK);
    test_num("two", memcmp(&version, &list[1], sizeof(version)), 0);
    test_num("end", voice_json_next(&parts.offers, &item), 0);

    memset(&guild, 0, sizeof(guild));
    guild.id = 1000;
    guild.revision = 6;
    guild.text = "{\"name\":\"a, [b]\"}";
    guild.len = strlen(guild.text);

    voice_buf_fixed(&b, text, sizeof(text));
    voice_peer_put_begin(&b, &m);
    voice_peer_put_guild(&b, &guild);

    test_err("guild", voice_peer_message_decode(text, b.len, &m, &parts,
                                                &why), VOICE_OK);
    test_err("guild", voice_peer_guild_decode(&parts.guild, &got, &why),
             VOICE_OK);
    test_num("id", got.id, 1000);
    test_num("revision", got.revision, 6);
    test_num("len", got.len, guild.len);
    test_num("text", memcmp(got.text, guild.text, got.len), 0);

    guild.text = NULL;
    voice_buf_fixed(&b, text, sizeof(text));
    voice_peer_put_begin(&b, &m);
    voice_peer_put_guild(&b, &guild);

    test_err("gone", voice_peer_message_decode(text, b.len, &m, &parts,
                                               &why), VOICE_OK);
    test_err("gone", voice_peer_guild_decode(&parts.guild, &got, &why),
             VOICE_OK);
    test_num("gone", got.text == NULL, 1);
}


static void
test_message_errors(void **state)
{
    size_t                 i;
    const char            *why;
    voice_peer_parts_t     parts;
    voice_peer_message_t   m;

    static const struct {
        const char   *text;
        voice_err_t   err;
    } cases[] = {
        { "", VOICE_E_FORMAT },
        { "[]", VOICE_E_FORMAT },
        { "{\"v\":1,\"from\":\"a\",\"boot\":\"b\"", VOICE_E_FORMAT },
        { "{\"v\":1,\"from\":\"a\"}", VOICE_E_FORMAT },
        { "{\"v\":2,\"from\":\"a\",\"boot\":\"b\"}", VOICE_E_RANGE },
        { "{\"v\":1,\"from\":\"\",\"boot\":\"b\"}", VOICE_E_RANGE },
        { "{\"v\":1,\"from\":\"a\\nb\",\"boot\":\"b\"}", VOICE_E_RANGE },
        { "{\"v\":1,\"from\":\"A\",\"boot\":\"b\"}", VOICE_E_RANGE },
        { "{\"v\":1,\"from\":\"a\",\"boot\":\"b\",\"seq\":5}",
          VOICE_E_FORMAT },
        { "{\"v\":1,\"from\":\"a\",\"boot\":\"b\","
          "\"seq\":\"18446744073709551616\"}", VOICE_E_RANGE },
        { "{\"v\":1,\"from\":\"a\",\"boot\":\"b\",\"sync\":4}",
          VOICE_E_RANGE },
        { "{\"v\":1,\"from\":\"a\",\"boot\":\"b\",\"states\":{}}",
          VOICE_E_FORMAT },
        { "{\"v\":1,\"from\":\"a\",\"boot\":\"b\",\"orders\":1}",
          VOICE_E_FORMAT },
        { "{\"v\":1,\"from\":\"a\",\"boot\":\"b\",\"offers\":{}}",
          VOICE_E_FORMAT },
        { "{\"v\":1,\"from\":\"a\",\"boot\":\"b\",\"guild\":[]}",
          VOICE_E_FORMAT },
        { "{\"v\":1,\"from\":\"a\",\"boot\":\"b\",\"guilds\":1}",
          VOICE_E_FORMAT },
        { "{\"v\":1,\"from\":\"123456789012345678901234567890123\","
          "\"boot\":\"b\"}", VOICE_E_RANGE }
    };

    (void) state;

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        why = NULL;
        test_err(cases[i].text,
                 voice_peer_message_decode(cases[i].text,
                                           strlen(cases[i].text), &m, &parts,
                                           &why), cases[i].err);
        assert_non_null(why);
    }
}


static void
test_state_errors(void **state)
{
    size_t              i;
    const char         *why;
    voice_json_t        item;
    voice_state_info_t  info;

    static const struct {
        const char   *text;
        voice_err_t   err;
    } cases[] = {
        { "1", VOICE_E_FORMAT },
        { "{\"g\":\"1\"}", VOICE_E_FORMAT },
        { "{\"g\":1,\"u\":\"2\"}", VOICE_E_FORMAT },
        { "{\"g\":\"0\",\"u\":\"2\"}", VOICE_E_RANGE },
        { "{\"g\":\"1\",\"u\":\"2\",\"f\":-1}", VOICE_E_RANGE },
        { "{\"g\":\"1\",\"u\":\"2\",\"f\":1.5}", VOICE_E_FORMAT },
        { "{\"g\":\"1\",\"u\":\"2\",\"n\":2147483648}", VOICE_E_RANGE },
        { "{\"g\":\"1\",\"u\":\"2\",\"s\":\"\"}", VOICE_E_RANGE },
        { "{\"g\":\"1\",\"u\":\"2\",\"c\":\"x\"}", VOICE_E_FORMAT }
    };

    (void) state;

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        test_err("json", voice_json_parse(cases[i].text,
                                          strlen(cases[i].text), &item, &why),
                 VOICE_OK);
        test_err(cases[i].text, voice_peer_state_decode(&item, &info, &why),
                 cases[i].err);
    }
}


static void
test_answer_round_trip(void **state)
{
    char                 text[128];
    size_t               len;
    const char          *why;
    voice_buf_t          b;
    voice_peer_answer_t  a = { .seq = 19, .sync = true, .refused = 3 }, got;

    (void) state;

    voice_buf_fixed(&b, text, sizeof(text));
    voice_peer_put_answer(&b, &a);
    test_err("fits", voice_buf_done(&b), VOICE_OK);

    test_err("decode", voice_peer_answer_decode(text, b.len, &got, &why),
             VOICE_OK);
    test_num("seq", got.seq, 19);
    test_num("sync", got.sync, 1);
    test_num("refused", got.refused, 3);

    for (len = 0; len < b.len; len++) {
        test_err("cut", voice_peer_answer_decode(text, len, &got, &why),
                 VOICE_E_FORMAT);
    }
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_message_round_trip),
        cmocka_unit_test(test_message_hello),
        cmocka_unit_test(test_message_guilds),
        cmocka_unit_test(test_message_errors),
        cmocka_unit_test(test_state_errors),
        cmocka_unit_test(test_answer_round_trip),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
