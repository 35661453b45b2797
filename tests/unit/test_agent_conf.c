/*
 * Copyright (C) ngx-voice contributors
 *
 * The agent's configuration, and values that others have put into etcd.
 */


#include "test_util.h"

#include "agent_conf.h"
#include "agent_value.h"


#define BASE                                                                  \
    "\"node\":\"n1\",\"region\":\"eu\",\"endpoint\":\"v1.example:443\","      \
    "\"cluster_zone\":\"/run/z\""
#define ETCD  "\"etcd\":{\"endpoints\":[\"http://127.0.0.1:2379\"]}"


static void
test_valid(void **state)
{
    char          error[AGENT_ERROR_MAX];
    agent_conf_t  conf;
    const char    text[] = "{" BASE ",\"dc\":\"ams1\",\"capacity\":4000,"
        "\"etcd\":{\"endpoints\":[\"https://a:1\",\"https://b:2\"],"
        "\"prefix\":\"x/y\",\"ttl\":3,\"cert\":\"c\",\"key\":\"k\"},"
        "\"load\":{\"period_ms\":500},"
        "\"fleet\":{\"grace_ms\":100,\"hold_ms\":2000},\"debug\":true}";

    (void) state;

    if (!agent_conf_parse(&conf, text, strlen(text), error)) {
        fail_msg("%s", error);
    }

    assert_string_equal(conf.node, "n1");
    assert_string_equal(conf.dc, "ams1");
    assert_string_equal(conf.etcd[1], "https://b:2");
    assert_string_equal(conf.prefix, "x/y/");
    test_num("endpoints", conf.endpoints, 2);
    test_num("capacity", conf.capacity, 4000);
    test_num("ttl", conf.ttl, 3);
    test_num("period", conf.load_period, 500);
    test_num("grace", conf.grace, 100);
    test_num("hold", conf.hold, 2000);
    test_num("default", conf.drain_rate, 20);
    test_num("debug", conf.debug, 1);
    assert_string_equal(conf.probe_key, "");
    assert_string_equal(conf.probe_url, "");

    assert_true(agent_conf_parse(&conf, "{" BASE "," ETCD "}",
                                 strlen("{" BASE "," ETCD "}"), error));
    assert_string_equal(conf.prefix, "rv1/eu/");
}


static void
test_probe(void **state)
{
    char          error[AGENT_ERROR_MAX];
    agent_conf_t  a, b;
    const char    text[] = "{" BASE "," ETCD ",\"probe\":{\"key\":\"/k\","
        "\"url\":\"ws://127.0.0.1:1/\"}}";

    (void) state;

    assert_true(agent_conf_parse(&a, text, strlen(text), error));
    assert_string_equal(a.probe_key, "/k");
    assert_string_equal(a.probe_url, "ws://127.0.0.1:1/");
    assert_string_equal(a.probe_ca, "");
    test_num("period", a.probe_period, 1000);

    b = a;
    b.probe_period = 0;
    assert_true(agent_conf_reloadable(&a, &b, error));

    strcpy(b.probe_key, "/l");
    assert_false(agent_conf_reloadable(&a, &b, error));
    assert_non_null(strstr(error, "probe.key"));
}


static void
test_invalid(void **state)
{
    size_t        i;
    char          error[AGENT_ERROR_MAX];
    agent_conf_t  conf;
    const struct {
        const char  *text;
        const char  *error;
    } cases[] = {
        { "", "line 1: " },
        { "[]", "an object was expected" },
        { "{\"node\":1,", "line 1: " },
        { "{" ETCD "}", "\"node\" is missing" },
        { "{" BASE "}", "\"etcd.endpoints\" is missing" },
        { "{" BASE "," ETCD ",\"nod\":1}", "unknown field \"nod\"" },
        { "{" BASE ",\"etcd\":{\"endpoint\":1}}",
          "unknown field \"etcd.endpoint\"" },
        { "{" BASE ",\"etcd\":[]}", "\"etcd\" must be an object" },
        { "{" BASE ",\"etcd\":{\"endpoints\":[]}}",
          "must be a list of 1 to 16 URLs" },
        { "{" BASE ",\"etcd\":{\"endpoints\":[\"ftp://x\"]}}",
          "\"etcd.endpoints[0]\" is \"ftp://x\", expected http" },
        { "{" BASE ",\"etcd\":{\"endpoints\":[7]}}", "is \"no text\"" },
        { "{" BASE "," ETCD ",\"dc\":\"Ams 1\"}",
          "\"dc\" is \"Ams 1\", expected 1 to 32 of a-z, 0-9 and -" },
        { "{" BASE "," ETCD ",\"capacity\":0}",
          "\"capacity\" is 0, expected a number from 1 to 10000000" },
        { "{" BASE "," ETCD ",\"capacity\":\"5\"}",
          "\"capacity\" is \"5\", expected a number" },
        { "{" BASE "," ETCD ",\"guilds\":1000}",
          "\"guilds\" is 1000, expected a power of two" },
        { "{" BASE "," ETCD ",\"debug\":1}", "\"debug\" is 1, expected true" },
        { "{" BASE "," ETCD ",\"mirror\":\"\"}",
          "\"mirror\" is \"\", expected a text of 1 to 255 bytes" },
        { "{" BASE "," ETCD ",\"peer\":\"a\\u0000b\"}", "" },
        { "{" BASE "," ETCD ",\"load\":{\"period_ms\":1e3}}",
          "\"load.period_ms\" is 1000.0, expected a number" },
        { "{" BASE ",\"etcd\":{\"endpoints\":[\"http://a:1\"],"
          "\"cert\":\"c\"}}", "\"etcd.cert\" and \"etcd.key\" go together" },
        { "{" BASE ",\"etcd\":{\"endpoints\":[\"http://a:1\"],"
          "\"user\":\"u\"}}", "\"etcd.password_file\" go together" },
        { "{\"node\":\"n\",\"region\":\"r\",\"cluster_zone\":\"z\","
          "\"endpoint\":\"wss://x\"," ETCD "}",
          "\"endpoint\" is \"wss://x\", expected host or host:port" },
        { "{" BASE "," ETCD ",\"machine\":\"a b\"}",
          "\"machine\" is \"a b\", expected 1 to 63 of" },
        { "{" BASE "," ETCD ",\"peer\":\"https://me:secret@h/\"}",
          "\"peer\" is not shown here, expected http" },
        { "{" BASE ",\"etcd\":{\"endpoints\":[\"http://me:secret@h:1\"]}}",
          "\"etcd.endpoints[0]\" is \"not shown here\"" },
        { "{" BASE "," ETCD ",\"node\":\"n2\"}", "duplicate" },
        { "{" BASE "," ETCD ",\"probe\":1}",
          "\"probe\" must be an object" },
        { "{" BASE "," ETCD ",\"probe\":{\"key\":\"k\"}}",
          "\"probe.key\" and \"probe.url\" go together" },
        { "{" BASE "," ETCD ",\"probe\":{\"period_ms\":60001}}",
          "\"probe.period_ms\" is 60001, expected a number from 0" },
        { "{" BASE "," ETCD ",\"probe\":{\"uri\":\"u\"}}",
          "unknown field \"probe.uri\"" },
    };

    (void) state;

    for (i = 0; i < test_n(cases); i++) {
        memset(&conf, 0xa5, sizeof(conf));

        if (agent_conf_parse(&conf, cases[i].text, strlen(cases[i].text),
                             error))
        {
            fail_msg("%s is taken", cases[i].text);
        }

        if (strstr(error, cases[i].error) == NULL) {
            fail_msg("%s: got \"%s\", expected \"%s\"", cases[i].text, error,
                     cases[i].error);
        }

        test_num("untouched", (uint8_t) conf.node[0], 0xa5);
    }
}


static void
test_reload(void **state)
{
    char          error[AGENT_ERROR_MAX];
    agent_conf_t  a, b;
    const char    text[] = "{" BASE "," ETCD "}";

    (void) state;

    assert_true(agent_conf_parse(&a, text, strlen(text), error));
    b = a;
    b.capacity = 5;
    strcpy(b.dc, "dc2");
    assert_true(agent_conf_reloadable(&a, &b, error));

    strcpy(b.node, "n2");
    assert_false(agent_conf_reloadable(&a, &b, error));
    assert_string_equal(error, "\"node\" can't change while the agent runs: "
                        "restart it");

    b = a;
    b.ttl = 9;
    assert_false(agent_conf_reloadable(&a, &b, error));
    assert_non_null(strstr(error, "etcd.ttl"));
}


static void
test_ids(void **state)
{
    size_t    i;
    uint64_t  id;
    const struct {
        const char  *text;
        uint64_t     id;       /* 0: refused */
    } cases[] = {
        { "1", 1 }, { "18446744073709551615", UINT64_MAX },
        { "18446744073709551616", 0 }, { "99999999999999999999", 0 },
        { "0", 0 }, { "01", 0 }, { "", 0 }, { "-1", 0 }, { "+1", 0 },
        { "1 ", 0 }, { "1x", 0 },
    };

    (void) state;

    for (i = 0; i < test_n(cases); i++) {
        id = 0;
        assert_true(agent_value_id(cases[i].text, &id) == (cases[i].id != 0));
        assert_true(id == cases[i].id);
    }
}


#define X16  "0123456789abcdef"
#define X64  X16 X16 X16 X16
#define NODE                                                                  \
    "\"v\":1,\"e\":\"b1\",\"ws\":\"a:1\",\"cap\":100"

static void
test_values(void **state)
{
    size_t               i;
    uint32_t             said, after;
    char                 machine[AGENT_MACHINE_MAX + 1];
    char                 server[VOICE_CLUSTER_NAME_MAX + 1];
    const char          *why;
    char                 boot[VOICE_CLUSTER_BOOT_MAX + 1];
    agent_order_t        order;
    voice_node_info_t    info;
    voice_node_load_t    load;
    const struct {
        char         kind;
        bool         ok;
        const char  *text;
    } cases[] = {
        { 'n', true, "{" NODE ",\"st\":\"up\"}" },
        { 'n', true, "{" NODE ",\"st\":\"drain\",\"new\":[1]}" },
        { 'n', true, "{" NODE ",\"st\":\"down\",\"hid\":\"1234567\"}" },
        { 'n', false, "{" NODE ",\"st\":\"up\",\"hid\":\"" X64 "\"}" },
        { 'n', false, "{" NODE ",\"st\":\"up\",\"hid\":\"a b\"}" },
        { 'n', false, "{" NODE ",\"st\":\"up\",\"dc\":\"\\u001b[2J\"}" },
        { 'n', false, "{" NODE ",\"st\":\"up\",\"pool\":\"Q\"}" },
        { 'n', false, "{" NODE ",\"st\":\"up\",\"rg\":7}" },
        { 'n', true, "{" NODE ",\"st\":\"up\",\"rg\":\"\"}" },
        { 'n', true, "{" NODE ",\"st\":\"up\",\"peer\":"
          "\"https://[fd00::1]:8443/peer?x=1\"}" },
        { 'n', false, "{" NODE ",\"st\":\"up\",\"peer\":"
          "\"https://me:secret@h/\"}" },
        { 'n', false, "{" NODE ",\"st\":\"up\",\"peer\":\"ftp://h/\"}" },
        { 'n', false, "{" NODE ",\"st\":\"up\",\"peer\":\"http://h/ x\"}" },
        { 'n', false, "{" NODE ",\"st\":\"up\",\"peer\":\"http://\"}" },
        { 'n', false, "{\"v\":1,\"e\":\"b\\u009b1\",\"ws\":\"a\","
          "\"cap\":1,\"st\":\"up\"}" },
        { 'n', false, "{\"v\":1,\"e\":\"b\",\"ws\":\"a b\",\"cap\":1,"
          "\"st\":\"up\"}" },
        { 'n', false, "{\"v\":1,\"e\":\"b\",\"ws\":\"a:123456\","
          "\"cap\":1,\"st\":\"up\"}" },
        { 'n', false, "{\"v\":1,\"e\":\"b\",\"ws\":\"[::1\",\"cap\":1,"
          "\"st\":\"up\"}" },
        { 'n', false, "{" NODE ",\"st\":\"sleeping\"}" },
        { 'n', false, "{" NODE "}" },
        { 'n', false, "{\"v\":2,\"e\":\"b\",\"ws\":\"a\",\"cap\":1,"
          "\"st\":\"up\"}" },
        { 'n', false, "{\"v\":1,\"e\":\"\",\"ws\":\"a\",\"cap\":1,"
          "\"st\":\"up\"}" },
        { 'n', false, "{\"v\":1,\"e\":\"0123456789012345678901234567890123\","
          "\"ws\":\"a\",\"cap\":1,\"st\":\"up\"}" },
        { 'n', false, "{\"v\":1,\"e\":\"b\",\"ws\":\"a\",\"cap\":-1,"
          "\"st\":\"up\"}" },
        { 'n', false, "{\"v\":1,\"e\":\"b\",\"ws\":\"a\",\"cap\":1e9,"
          "\"st\":\"up\"}" },
        { 'n', false, "null" }, { 'n', false, "" }, { 'n', false, "{" },

        { 'l', true, "{\"u\":3,\"g\":1,\"r\":9}" },
        { 'l', true, "{\"u\":3,\"g\":1,\"r\":9,\"c\":0.5,\"bw\":1e300}" },
        { 'l', false, "{\"u\":3,\"g\":1,\"r\":9,\"c\":-0.5}" },
        { 'l', false, "{\"u\":3,\"g\":1,\"r\":9,\"c\":\"x\"}" },
        { 'l', false, "{\"u\":-3,\"g\":1,\"r\":9}" },
        { 'l', false, "{\"u\":3,\"g\":1}" }, { 'l', false, "[]" },

        { 'a', true, "{\"s\":\"n1\",\"e\":\"b1\"}" },
        { 'a', false, "{\"s\":\"N1\",\"e\":\"b1\"}" },
        { 'a', false, "{\"s\":\"\",\"e\":\"b1\"}" },
        { 'a', false, "{\"s\":\"n1\"}" },
        { 'a', false, "{\"s\":\"n1\",\"e\":\"b\\\"1\"}" },
        { 'a', false, "{\"s\":[],\"e\":\"b1\"}" },

        { 'q', true, "{\"m\":\"drain\",\"by\":\"x\"}" },
        { 'q', true, "{\"m\":\"evict\",\"after\":60}" },
        { 'q', false, "{\"m\":\"evict\",\"after\":-1}" },
        { 'q', false, "{\"m\":\"explode\"}" }, { 'q', false, "{}" },
    };

    (void) state;

    for (i = 0; i < test_n(cases); i++) {
        why = NULL;
        test_num(cases[i].text,
            cases[i].kind == 'n' ? agent_value_node(cases[i].text, &info,
                                                    machine, &said, &why)
            : cases[i].kind == 'l' ? agent_value_load(cases[i].text, &load,
                                                      &why)
            : cases[i].kind == 'a' ? agent_value_guild(cases[i].text, server,
                                                       boot, &why)
            : agent_value_order(cases[i].text, &order, &after, &why),
            cases[i].ok);
        assert_true((why == NULL) == cases[i].ok);
    }

    /* whose it is is read even of a version that is not known */

    agent_value_machine("{\"v\":2,\"hid\":\"m1\"}", machine);
    assert_string_equal(machine, "m1");
    agent_value_machine("garbage", machine);
    assert_string_equal(machine, "");
}


/* What is shown does nothing to a terminal. */

static void
test_clean(void **state)
{
    char    text[32];
    size_t  i;
    const struct {
        const char  *text;
        const char  *clean;
    } cases[] = {
        { "", "" }, { "a b~", "a b~" }, { "\x1b[31m", "?[31m" },
        { "a\tb\n\x7f", "a?b??" }, { "\xc3\xa9\xe2\x82\xac", "\xc3\xa9"
          "\xe2\x82\xac" }, { "\xf0\x9f\x98\x80", "\xf0\x9f\x98\x80" },
        { "\xc2\x9b" "31m", "??31m" }, { "\x9b" "31m", "?31m" },
        { "\xe2\x80\xaex", "???x" }, { "\xc3", "?" }, { "\xe2\x82", "??" },
        { "\xc0\xaf", "??" }, { "\xed\xa0\x80", "???" },
        { "\xff\xfe", "??" }
    };

    (void) state;

    for (i = 0; i < test_n(cases); i++) {
        strcpy(text, cases[i].text);
        agent_text_clean(text);
        assert_string_equal(text, cases[i].clean);
    }
}


static void
test_round_trip(void **state)
{
    char                *text;
    char                 machine[AGENT_MACHINE_MAX + 1];
    uint32_t             said, after;
    const char          *why;
    agent_order_t        order;
    voice_node_info_t    info, back;
    voice_node_load_t    load, load_back;

    (void) state;

    memset(&info, 0, sizeof(info));
    strcpy(info.boot, "b-1");
    strcpy(info.endpoint, "v:443");
    strcpy(info.peer, "https://v/peer");
    strcpy(info.dc, "ams1");
    strcpy(info.region, "eu");
    strcpy(info.pool, "q");
    info.capacity = 4000;

    text = agent_value_make_node(&info, "m1", "drain");
    assert_true(agent_value_node(text, &back, machine, &said, &why));
    assert_memory_equal(&info, &back, sizeof(info));
    assert_string_equal(machine, "m1");
    test_num("said", said, VOICE_NODE_DRAIN);
    free(text);

    memset(&load, 0, sizeof(load));
    load.participants = 3059;
    load.guilds = 742;
    load.cpu = 410;
    load.bandwidth = 370;
    load.packets = 1520;
    load.applied = INT64_MAX;

    text = agent_value_make_load(&load);
    assert_true(agent_value_load(text, &load_back, &why));
    assert_memory_equal(&load, &load_back, sizeof(load));
    free(text);

    text = agent_value_make_order("evict", "me", "attack", 7);
    assert_true(agent_value_order(text, &order, &after, &why));
    assert_true(order == AGENT_ORDER_EVICT && after == 7);
    free(text);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_valid),
        cmocka_unit_test(test_probe),
        cmocka_unit_test(test_invalid),
        cmocka_unit_test(test_reload),
        cmocka_unit_test(test_ids),
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_clean),
        cmocka_unit_test(test_round_trip),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
