/*
 * Copyright (C) ngx-voice contributors
 */


#include "test_util.h"

#include "agent_etcd_codec.h"

#include <stdio.h>


typedef struct {
    char      text[256];       /* "key=value@rev " or "-key@rev " each */
} seen_t;


static void
on_kv(void *data, const agent_kv_t *kv)
{
    seen_t  *seen = data;
    size_t   len = strlen(seen->text);

    snprintf(seen->text + len, sizeof(seen->text) - len,
             kv->deleted ? "-%s%s@%llu " : "%s=%s@%llu ", kv->key, kv->value,
             (unsigned long long) kv->mod_revision);
}


static void
test_bodies(void **state)
{
    size_t   i;
    char    *text;
    struct {
        json_t      *body;
        const char  *expected;
    } cases[] = {
        { agent_put("p/a", "x", 0),
          "{\"key\":\"cC9h\",\"value\":\"eA==\"}" },
        { agent_put("p/a", "", 18446744073709551615ull),
          "{\"key\":\"cC9h\",\"value\":\"\","
          "\"lease\":\"18446744073709551615\"}" },
        { agent_range_prefix("p/", "p/", 1000, 0),
          "{\"key\":\"cC8=\",\"range_end\":\"cDA=\",\"limit\":\"1000\"}" },
        { agent_range_prefix("p/", "p/b", 5, 77),
          "{\"key\":\"cC9i\",\"range_end\":\"cDA=\",\"limit\":\"5\","
          "\"revision\":\"77\",\"serializable\":true}" },
        { agent_compare("p/a", "CREATE", 0),
          "{\"key\":\"cC9h\",\"target\":\"CREATE\","
          "\"create_revision\":\"0\"}" },
        { agent_compare("p/a", "MOD", 9),
          "{\"key\":\"cC9h\",\"target\":\"MOD\",\"mod_revision\":\"9\"}" },
        { agent_compare("p/a", "LEASE", UINT64_C(7587891234567890123)),
          "{\"key\":\"cC9h\",\"target\":\"LEASE\","
          "\"lease\":\"7587891234567890123\"}" },
        { agent_compare_exists("p/a"),
          "{\"key\":\"cC9h\",\"target\":\"CREATE\",\"result\":\"GREATER\","
          "\"create_revision\":\"0\"}" },
        { agent_watch_body("p/", 12),
          "{\"create_request\":{\"key\":\"cC8=\",\"range_end\":\"cDA=\","
          "\"watch_id\":\"1\",\"start_revision\":\"12\","
          "\"progress_notify\":true,\"fragment\":true}}" },
        { agent_txn(json_pack("[o]", agent_compare("k", "MOD", 1)),
                    json_pack("[o]", agent_op("request_range",
                                              agent_range("k"))),
                    json_array()),
          "{\"compare\":[{\"key\":\"aw==\",\"target\":\"MOD\","
          "\"mod_revision\":\"1\"}],"
          "\"success\":[{\"request_range\":{\"key\":\"aw==\"}}],"
          "\"failure\":[]}" },
    };

    (void) state;

    for (i = 0; i < test_n(cases); i++) {
        text = json_dumps(cases[i].body, JSON_COMPACT);
        assert_non_null(text);
        assert_string_equal(text, cases[i].expected);
        free(text);
        json_decref(cases[i].body);
    }
}


static void
test_errors(void **state)
{
    int      code;
    char     text[64];
    size_t   i;
    json_t  *answer;
    const struct {
        const char  *answer;
        int          code;
        const char  *text;
    } cases[] = {
        { "{\"header\":{\"revision\":\"3\"}}", AGENT_ETCD_OK, "" },
        { "{}", AGENT_ETCD_OK, "" },

        /* of a call: 3.4 and 3.5, then 3.6 */
        { "{\"error\":\"etcdserver: requested lease not found\","
          "\"message\":\"etcdserver: requested lease not found\","
          "\"code\":5}", AGENT_ETCD_NOT_FOUND,
          "etcdserver: requested lease not found" },
        { "{ \"code\" : 14 ,  \"message\": \"no leader\" }",
          AGENT_ETCD_UNAVAILABLE, "no leader" },

        /* of a stream */
        { "{\"error\":{\"grpc_code\":14,\"http_code\":503,\"message\":"
          "\"etcdserver: no leader\"}}", AGENT_ETCD_UNAVAILABLE,
          "etcdserver: no leader" },
        { "{\"error\":{\"code\":16,\"message\":\"invalid auth token\"}}",
          AGENT_ETCD_UNAUTHENTICATED, "invalid auth token" },

        { "{\"error\":\"what\"}", AGENT_ETCD_TRANSPORT, "what" },
        { "{\"error\":null}", AGENT_ETCD_TRANSPORT, "no text" },
        { "{\"code\":\"no number\"}", AGENT_ETCD_OK, "" },
        { "[]", AGENT_ETCD_TRANSPORT, "no JSON object in the answer" },
    };

    (void) state;

    for (i = 0; i < test_n(cases); i++) {
        answer = json_loads(cases[i].answer, 0, NULL);
        assert_non_null(answer);
        text[0] = '\0';
        code = agent_answer_error(answer, text, sizeof(text));
        test_num(cases[i].answer, code, cases[i].code);
        assert_string_equal(text, cases[i].text);
        json_decref(answer);
    }

    test_num("none", agent_answer_error(NULL, NULL, 0), AGENT_ETCD_TRANSPORT);
}


static void
test_numbers(void **state)
{
    size_t   i;
    json_t  *object;
    const struct {
        const char  *text;
        uint64_t     n;
    } cases[] = {
        { "{\"n\":\"18446744073709551615\"}", UINT64_MAX },
        { "{\"n\":17}", 17 },
        { "{\"n\":-1}", 0 },
        { "{\"n\":\"-1\"}", 0 },
        { "{\"n\":\" 1\"}", 0 },
        { "{\"n\":\"1x\"}", 0 },
        { "{\"n\":\"\"}", 0 },
        { "{\"n\":\"0000000000000000000000000000001\"}", 0 },
        { "{\"n\":1.5}", 0 },
        { "{\"n\":null}", 0 },
        { "{}", 0 },
    };

    (void) state;

    for (i = 0; i < test_n(cases); i++) {
        object = json_loads(cases[i].text, 0, NULL);
        assert_true(agent_number(object, "n") == cases[i].n);
        json_decref(object);
    }

    assert_true(agent_number(NULL, "n") == 0);
}


static void
test_watch(void **state)
{
    bool                 ok;
    size_t               i;
    seen_t               seen;
    agent_watch_line_t   line;
    const struct {
        const char  *text;
        bool         ok;
        const char  *events;
        uint64_t     revision;
        uint64_t     compacted;
        bool         created;
        bool         canceled;
        int          error;
    } cases[] = {
        { "{\"result\":{\"header\":{\"revision\":\"10\"},\"watch_id\":\"1\","
          "\"created\":true}}", true, "", 10, 0, true, false, 0 },

        /* zero fields left out; spaces wherever they like */
        { "{ \"result\" :{\"header\": {\"revision\" : \"11\" } ,"
          "\"events\":[ {\"kv\":{\"key\":\"cC9h\",\"mod_revision\":\"9\","
          "\"value\":\"eA==\"}} , {\"type\":\"DELETE\" ,\"kv\": "
          "{\"key\":\"cC9i\",\"mod_revision\":\"10\"}}]}}",
          true, "p/a=x@9 -p/b@10 ", 11, 0, false, false, 0 },
        { "{\"result\":{\"header\":{\"revision\":\"12\"},\"events\":["
          "{\"type\":\"PUT\",\"kv\":{\"key\":\"cC9h\","
          "\"mod_revision\":\"12\"}}]}}",
          true, "p/a=@12 ", 12, 0, false, false, 0 },

        { "{\"result\":{\"header\":{\"revision\":\"13\"}}}", true, "", 13, 0,
          false, false, 0 },
        { "{\"result\":{\"header\":{},\"watch_id\":\"1\",\"canceled\":true,"
          "\"compact_revision\":\"18\"}}", true, "", 0, 18, false, true, 0 },
        { "{\"result\":{\"watch_id\":\"-1\",\"created\":true,"
          "\"canceled\":true,\"cancel_reason\":\"permission denied\"}}",
          true, "", 0, 0, true, true, 0 },
        { "{\"result\":{\"watch_id\":\"-1\",\"created\":true,"
          "\"canceled\":true,\"cancel_reason\":\"rpc error: code = "
          "Unauthenticated desc = etcdserver: invalid auth token\"}}",
          true, "", 0, 0, true, true, AGENT_ETCD_UNAUTHENTICATED },
        { "{\"error\":{\"grpc_code\":14,\"message\":\"no leader\"}}", true,
          "", 0, 0, false, false, AGENT_ETCD_UNAVAILABLE },

        /* some of it is nonsense: the rest counts */
        { "{\"result\":{\"events\":[1,{},{\"kv\":{\"key\":\"!!\"}},"
          "{\"kv\":{\"key\":\"cC9h\",\"value\":\"eA==\"}}]}}", true,
          "p/a=x@0 ", 0, 0, false, false, 0 },
        { "{\"result\":{\"events\":{}}}", true, "", 0, 0, false, false, 0 },

        { "{\"result\":[]}", false, "", 0, 0, false, false, 0 },
        { "{}", false, "", 0, 0, false, false, 0 },
        { "[]", false, "", 0, 0, false, false, 0 },
        { "{\"result\":{\"header\"", false, "", 0, 0, false, false, 0 },
        { "", false, "", 0, 0, false, false, 0 },
    };

    (void) state;

    for (i = 0; i < test_n(cases); i++) {
        memset(&seen, 0, sizeof(seen));
        ok = agent_watch_parse(cases[i].text, strlen(cases[i].text), &line,
                               on_kv, &seen);
        test_num(cases[i].text, ok, cases[i].ok);
        assert_string_equal(seen.text, cases[i].events);
        test_num(cases[i].text, line.revision, cases[i].revision);
        test_num(cases[i].text, line.compacted, cases[i].compacted);
        test_num(cases[i].text, line.created, cases[i].created);
        test_num(cases[i].text, line.canceled, cases[i].canceled);

        if (ok) {
            test_num(cases[i].text, line.error, cases[i].error);
        }
    }
}


/* The end of a transaction may come in another line. */

static void
test_fragment(void **state)
{
    agent_watch_line_t   line;
    const char           text[] = "{\"result\":{\"header\":{\"cluster_id\":"
                                  "\"77\",\"revision\":\"30\"},"
                                  "\"fragment\":true,\"events\":["
                                  "{\"kv\":{\"key\":\"cC9h\","
                                  "\"mod_revision\":\"9\"}},"
                                  "{\"kv\":{\"key\":\"cC9i\","
                                  "\"mod_revision\":\"10\"}}]}}";

    (void) state;

    assert_true(agent_watch_parse(text, sizeof(text) - 1, &line, NULL, NULL));
    assert_true(line.fragment);
    test_num("events", line.events, 2);
    test_num("last", line.last, 10);
    test_num("cluster", line.cluster, 77);
}


/* Each line cut off anywhere is no line, and nothing is read behind it. */

static void
test_truncated(void **state)
{
    char                *copy;
    size_t               len;
    agent_watch_line_t   line;
    const char           text[] = "{\"result\":{\"events\":[{\"kv\":{\"key\":"
                                  "\"cC9h\",\"value\":\"eA==\"}}]}}";

    (void) state;

    for (len = 0; len < sizeof(text) - 1; len++) {
        copy = malloc(len + 1);
        assert_non_null(copy);
        memcpy(copy, text, len);
        assert_false(agent_watch_parse(copy, len, &line, NULL, NULL));
        free(copy);
    }
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_bodies),
        cmocka_unit_test(test_errors),
        cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_watch),
        cmocka_unit_test(test_fragment),
        cmocka_unit_test(test_truncated),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
