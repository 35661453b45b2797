/*
 * Copyright (C) ngx-voice contributors
 *
 * Bodies of REST, and times.
 */


#define _GNU_SOURCE

#include "test_json_path.h"

#include "voice_shape.h"

#include <stdio.h>
#include <time.h>


typedef struct {
    voice_rest_error_t   error;
    unsigned             status;
    const char          *body;
} rest_case_t;


static const rest_case_t  rest_cases[] = {
    { VOICE_REST_UNAUTHORIZED, 401,
      "{\"message\":\"401: Unauthorized\",\"code\":0}" },
    { VOICE_REST_NOT_FOUND, 404,
      "{\"message\":\"404: Not Found\",\"code\":0}" },
    { VOICE_REST_METHOD, 405,
      "{\"message\":\"405: Method Not Allowed\",\"code\":0}" },
    { VOICE_REST_UNKNOWN_CHANNEL, 404,
      "{\"message\":\"Unknown Channel\",\"code\":10003}" },
    { VOICE_REST_UNKNOWN_GUILD, 404,
      "{\"message\":\"Unknown Guild\",\"code\":10004}" },
    { VOICE_REST_UNKNOWN_MEMBER, 404,
      "{\"message\":\"Unknown Member\",\"code\":10007}" },
    { VOICE_REST_UNKNOWN_USER, 404,
      "{\"message\":\"Unknown User\",\"code\":10013}" },
    { VOICE_REST_UNKNOWN_VOICE_STATE, 404,
      "{\"message\":\"Unknown Voice State\",\"code\":10065}" },
    { VOICE_REST_NOT_IN_VOICE, 400,
      "{\"message\":\"Target user is not connected to voice.\","
      "\"code\":40032}" },
    { VOICE_REST_TOO_LARGE, 413,
      "{\"message\":\"Request entity too large\",\"code\":40005}" },
    { VOICE_REST_RATE_LIMITED, 429,
      "{\"message\":\"You are being rate limited.\",\"code\":0}" },
    { VOICE_REST_MISSING_ACCESS, 403,
      "{\"message\":\"Missing Access\",\"code\":50001}" },
    { VOICE_REST_MISSING_PERMISSIONS, 403,
      "{\"message\":\"Missing Permissions\",\"code\":50013}" },
    { VOICE_REST_WRONG_CHANNEL_TYPE, 400,
      "{\"message\":\"Cannot execute action on this channel type\","
      "\"code\":50024}" },
    { VOICE_REST_INVALID_FORM, 400,
      "{\"message\":\"Invalid Form Body\",\"code\":50035}" },
    { VOICE_REST_INVALID_JSON, 400,
      "{\"message\":\"The request body contains invalid JSON.\","
      "\"code\":50109}" },
    { VOICE_REST_CHANNEL_FULL, 400,
      "{\"message\":\"The channel is full.\",\"code\":0}" },
    { VOICE_REST_UNAVAILABLE, 503,
      "{\"message\":\"503: Service Unavailable\",\"code\":0}" }
};


static void
is_json(voice_buf_t *b, const char *expected)
{
    json_t      *root;
    test_path_t  whole;

    whole.path = "";
    whole.json = expected;

    root = test_json_of(b);
    test_json_paths(root, &whole, 1);
    json_decref(root);
}


static void
shape_errors(void **state)
{
    size_t       i;
    voice_buf_t  b;

    (void) state;

    test_num("errors", test_n(rest_cases), VOICE_REST_ERRORS);
    voice_buf_growing(&b, NULL, 4096);

    for (i = 0; i < test_n(rest_cases); i++) {
        test_num("in order", rest_cases[i].error, i);
        test_num("status", voice_rest_status(rest_cases[i].error),
                 rest_cases[i].status);

        voice_shape_error(&b, rest_cases[i].error);
        is_json(&b, rest_cases[i].body);
    }
}


#define FORM(x)                                                               \
    "{\"message\":\"Invalid Form Body\",\"code\":50035,\"errors\":" x "}"

#define SAID(m)                                                               \
    "{\"_errors\":[{\"code\":\"BASE_TYPE_INVALID\",\"message\":\"" m "\"}]}"

static void
shape_field_errors(void **state)
{
    voice_buf_t  b;

    (void) state;

    voice_buf_growing(&b, NULL, 4096);

    voice_shape_field_error(&b, "", "m");
    is_json(&b, FORM(SAID("m")));

    voice_shape_field_error(&b, "/channel_id", "a \"snowflake\"");
    is_json(&b, FORM("{\"channel_id\":" SAID("a \\\"snowflake\\\"") "}"));

    voice_shape_field_error(&b, "/channels/3/permission_overwrites/1/allow",
                            "m");
    is_json(&b, FORM("{\"channels\":{\"3\":{\"permission_overwrites\":{\"1\":"
                     "{\"allow\":" SAID("m") "}}}}}"));

    voice_shape_field_error(&b, "/a~1b/~0/\"", "m");
    is_json(&b, FORM("{\"a/b\":{\"~\":{\"\\\"\":" SAID("m") "}}}"));

    voice_shape_field_error(&b, "//", "m");
    is_json(&b, FORM("{\"\":{\"\":" SAID("m") "}}"));
}


static void
shape_rate_limited(void **state)
{
    voice_buf_t  b;

    (void) state;

    voice_buf_growing(&b, NULL, 4096);

    voice_shape_rate_limited(&b, 1500, false);
    is_json(&b, "{\"message\":\"You are being rate limited.\",\"code\":0,"
            "\"retry_after\":1.5,\"global\":false}");

    voice_shape_rate_limited(&b, 7, true);
    is_json(&b, "{\"message\":\"You are being rate limited.\",\"code\":0,"
            "\"retry_after\":0.007,\"global\":true}");
}


static void
shape_regions(void **state)
{
    voice_buf_t                 b;
    const voice_shape_region_t  regions[] = {
        { "here", "Here \"1\"", true, false }, { "there", "There", false, true }
    };

    (void) state;

    voice_buf_growing(&b, NULL, 4096);

    voice_shape_regions(&b, regions, 2);
    is_json(&b, "[{\"id\":\"here\",\"name\":\"Here \\\"1\\\"\",\"optimal\":"
            "true,\"deprecated\":false,\"custom\":false,\"vip\":false},"
            "{\"id\":\"there\",\"name\":\"There\",\"optimal\":false,"
            "\"deprecated\":true,\"custom\":false,\"vip\":false}]");

    voice_shape_regions(&b, NULL, 0);
    is_json(&b, "[]");
}


/* What a library's login asks for, section 14. */
static void
shape_login(void **state)
{
    json_t              *root;
    voice_buf_t          b;
    voice_dir_member_t   m;

    (void) state;

    voice_dir_member_make(&m, UINT64_MAX, "bot", true);
    voice_buf_growing(&b, NULL, 4096);

    voice_shape_gateway(&b, "wss://host:1/gateway");
    is_json(&b, "{\"url\":\"wss://host:1/gateway\"}");

    voice_shape_gateway_bot(&b, "wss://host/",
                            &(voice_shape_session_limit_t) {
                                1000, 998, 172800, 1 });
    root = test_json_of(&b);
    test_json_paths(root, (test_path_t[]) {
                        { "url", "\"wss://host/\"" }, { "shards", "1" },
                        { "session_start_limit.total", "1000" },
                        { "session_start_limit.remaining", "998" },
                        { "session_start_limit.reset_after", "172800" },
                        { "session_start_limit.max_concurrency", "1" }
                    }, 6);
    json_decref(root);

    voice_shape_user(&b, &m.user, true);
    root = test_json_of(&b);
    test_json_paths(root, (test_path_t[]) {
                        { "id", "\"18446744073709551615\"" },
                        { "username", "\"bot\"" },
                        { "discriminator", "\"0\"" }, { "avatar", "null" },
                        { "bot", "true" }, { "flags", "0" },
                        { "verified", "true" }, { "email", "null" }
                    }, 8);
    json_decref(root);

    voice_shape_application(&b, &m.user);
    root = test_json_of(&b);
    test_json_paths(root, (test_path_t[]) {
                        { "id", "\"18446744073709551615\"" },
                        { "name", "\"bot\"" }, { "description", "\"\"" },
                        { "icon", "null" }, { "bot_public", "false" },
                        { "bot_require_code_grant", "false" },
                        { "owner.id", "\"18446744073709551615\"" },
                        { "owner.discriminator", "\"0\"" },
                        { "flags", "0" }, { "team", "null" }
                    }, 10);
    test_num("verify_key", strlen(json_string_value(
                               test_json_at(root, "verify_key"))), 64);
    json_decref(root);
}


/* The C library's calendar is another implementation. */
static void
shape_time_against_the_c_library(void **state)
{
    char       got[VOICE_SHAPE_TIME_LEN + 1], want[64], day[32];
    int        i;
    time_t     t;
    uint64_t   ms, back;
    struct tm  tm;

    (void) state;

    ms = 0;

    for (i = 0; i < 200000; i++) {
        t = (time_t) (ms / 1000);
        assert_non_null(gmtime_r(&t, &tm));
        assert_in_range(strftime(day, sizeof(day), "%Y-%m-%dT%H:%M:%S", &tm),
                        19, 19);
        snprintf(want, sizeof(want), "%s.%03u000+00:00", day,
                 (unsigned) (ms % 1000));

        voice_shape_time(got, ms);

        if (strcmp(got, want) != 0) {
            fail_msg("%llu: %s, expected %s", (unsigned long long) ms, got,
                     want);
        }

        test_err(got, voice_shape_time_parse(got, &back), VOICE_OK);
        test_num(got, back, ms);

        /* every 14.6 days until the end of the year 9999, never in step */
        ms += 1266988123;

        if (ms > 253402300799999) {
            break;
        }
    }

    assert_in_range(i, 199000, 200001);

    voice_shape_time(got, 253402300799999);
    assert_string_equal(got, "9999-12-31T23:59:59.999000+00:00");
    voice_shape_time(got, UINT64_MAX);
    assert_string_equal(got, "9999-12-31T23:59:59.999000+00:00");
}


typedef struct {
    const char   *text;
    long long     ms;      /* -1: refused */
} time_case_t;


static const time_case_t  times[] = {
    { "1970-01-01T00:00:00Z", 0 },
    { "1970-01-01T00:00:00.001Z", 1 },
    { "1970-01-01t00:00:00z", 0 },
    { "1970-01-01 00:00:01", 1000 },
    { "2015-01-01T00:00:00+00:00", 1420070400000 },
    { "2026-08-01T12:00:00.123456+00:00", 1785585600123 },
    { "2026-08-01T12:00:00.123456", 1785585600123 },
    { "2026-08-01T12:00:00.1Z", 1785585600100 },
    { "2026-08-01T12:00:00.000999999999999999999Z", 1785585600000 },
    { "2026-08-01T14:00:00.123+02:00", 1785585600123 },
    { "2026-08-01T14:00:00.123+0200", 1785585600123 },
    { "2026-08-01T06:30:00-05:30", 1785585600000 },
    { "2020-02-29T00:00:00Z", 1582934400000 },
    { "2000-02-29T00:00:00Z", 951782400000 },
    { "2016-12-31T23:59:60Z", 1483228800000 },
    { "9999-12-31T23:59:59.999Z", 253402300799999 },

    { "", -1 },
    { "2026", -1 },
    { "2026-08-01", -1 },
    { "2026-08-01T", -1 },
    { "2026-08-01T12", -1 },
    { "2026-08-01T12:00", -1 },
    { "2026-08-01T12:00Z", -1 },
    { "2026-08-01T12:00:00.", -1 },
    { "2026-08-01T12:00:00.Z", -1 },
    { "2026-08-01T12:00:00+", -1 },
    { "2026-08-01T12:00:00+02", -1 },
    { "2026-08-01T12:00:00+24:00", -1 },
    { "2026-08-01T12:00:00+02:60", -1 },
    { "2026-08-01T12:00:00Zx", -1 },
    { "2026-08-01T12:00:00x", -1 },
    { "2026-8-01T12:00:00Z", -1 },
    { "26-08-01T12:00:00Z", -1 },
    { "2026-00-01T12:00:00Z", -1 },
    { "2026-13-01T12:00:00Z", -1 },
    { "2026-08-00T12:00:00Z", -1 },
    { "2026-08-32T12:00:00Z", -1 },
    { "2026-09-31T12:00:00Z", -1 },
    { "2026-04-31T12:00:00Z", -1 },
    { "2026-02-29T12:00:00Z", -1 },
    { "2100-02-29T12:00:00Z", -1 },
    { "2020-02-30T12:00:00Z", -1 },
    { "2026-08-01T24:00:00Z", -1 },
    { "2026-08-01T12:60:00Z", -1 },
    { "2026-08-01T12:00:61Z", -1 },
    { "2026-08-01X12:00:00Z", -1 },
    { "-026-08-01T12:00:00Z", -1 },
    { "+026-08-01T12:00:00Z", -1 },
    { "1969-12-31T23:59:59Z", -1 },
    { "1970-01-01T00:00:00+00:01", -1 },
    { "9999-12-31T23:59:59-00:01", -1 },
    { "now", -1 }
};


static void
shape_time_cases(void **state)
{
    char         *copy;
    size_t        i;
    uint64_t      ms;
    voice_err_t   err;

    (void) state;

    for (i = 0; i < test_n(times); i++) {
        copy = (char *) test_copy(times[i].text, strlen(times[i].text) + 1);
        ms = 7;
        err = voice_shape_time_parse(copy, &ms);

        test_err(copy, err, times[i].ms < 0 ? VOICE_E_FORMAT : VOICE_OK);
        test_num(copy, ms, times[i].ms < 0 ? 7 : times[i].ms);
        free(copy);
    }
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(shape_errors),
        cmocka_unit_test(shape_field_errors),
        cmocka_unit_test(shape_rate_limited),
        cmocka_unit_test(shape_regions),
        cmocka_unit_test(shape_login),
        cmocka_unit_test(shape_time_against_the_c_library),
        cmocka_unit_test(shape_time_cases)
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
