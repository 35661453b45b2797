/*
 * Copyright (C) ngx-voice contributors
 */


#include "test_util.h"

#include "options.h"
#include "server.h"


#define ARGS_MAX  6


typedef struct {
    bool         flag;
    const char  *text;
    uint64_t     id;
    vc_ids_t     ids;
    uint32_t     number;
    double       real;
    uint64_t     time;
} values_t;


typedef struct {
    const char  *args[ARGS_MAX];
    vc_parse_t   expected;
} args_case_t;


static const args_case_t  args_cases[] = {
    { { NULL }, VC_PARSE_OK },
    { { "--flag" }, VC_PARSE_OK },
    { { "--flag=1" }, VC_PARSE_ERROR },
    { { "--text", "a", "--text=b" }, VC_PARSE_OK },
    { { "--text" }, VC_PARSE_ERROR },
    { { "--text", "" }, VC_PARSE_ERROR },
    { { "--text=" }, VC_PARSE_ERROR },
    { { "--tex", "a" }, VC_PARSE_ERROR },
    { { "--texts", "a" }, VC_PARSE_ERROR },
    { { "text" }, VC_PARSE_ERROR },
    { { "-t" }, VC_PARSE_ERROR },
    { { "--" }, VC_PARSE_ERROR },
    { { "--id", "18446744073709551615" }, VC_PARSE_OK },
    { { "--id", "18446744073709551616" }, VC_PARSE_ERROR },
    { { "--id", "0" }, VC_PARSE_ERROR },
    { { "--id", "-1" }, VC_PARSE_ERROR },
    { { "--id", " 1" }, VC_PARSE_ERROR },
    { { "--id", "1x" }, VC_PARSE_ERROR },
    { { "--ids", "1", "--ids", "2" }, VC_PARSE_OK },
    { { "--number", "2" }, VC_PARSE_OK },
    { { "--number", "9" }, VC_PARSE_OK },
    { { "--number", "1" }, VC_PARSE_ERROR },
    { { "--number", "10" }, VC_PARSE_ERROR },
    { { "--number", "2.5" }, VC_PARSE_ERROR },
    { { "--number", "4294967298" }, VC_PARSE_ERROR },
    { { "--real", "2.5" }, VC_PARSE_OK },
    { { "--real", "nan" }, VC_PARSE_ERROR },
    { { "--real", "-1" }, VC_PARSE_ERROR },
    { { "--time", "1500ms" }, VC_PARSE_OK },
    { { "--time", "11" }, VC_PARSE_ERROR },
    { { "--time", "0" }, VC_PARSE_ERROR },
    { { "--time", "5 s" }, VC_PARSE_ERROR },
    { { "--flag", "--help" }, VC_PARSE_HELP },
};


typedef struct {
    const char  *text;
    bool         ok;
    uint64_t     ms;
} time_case_t;


static const time_case_t  time_cases[] = {
    { "60", true, 60000 },
    { "60s", true, 60000 },
    { "0.25", true, 250 },
    { "1500ms", true, 1500 },
    { "1.5m", true, 90000 },
    { "2h", true, 7200000 },
    { "1d", true, 86400000 },
    { "0", true, 0 },
    { "", false, 0 },
    { "s", false, 0 },
    { "-1", false, 0 },
    { "5x", false, 0 },
    { "1e30", false, 0 },
    { "5s5", false, 0 },
};


typedef struct {
    const char  *url;
    bool         ok;
    const char  *host;
    const char  *port;
    const char  *path;
    bool         tls;
} url_case_t;


static const url_case_t  url_cases[] = {
    { "wss://voice.example", true, "voice.example", "443", "/", true },
    { "ws://voice.example", true, "voice.example", "80", "/", false },
    { "wss://h:8443", true, "h", "8443", "/", true },
    { "wss://h:8443/", true, "h", "8443", "/", true },
    { "wss://h/voice/a", true, "h", "443", "/voice/a", true },
    { "ws://[::1]:9", true, "::1", "9", "/", false },
    { "ws://[::1]", true, "::1", "80", "/", false },
    { "ws://127.0.0.1:65535", true, "127.0.0.1", "65535", "/", false },
    { "https://h", false, NULL, NULL, NULL, false },
    { "h:8443", false, NULL, NULL, NULL, false },
    { "", false, NULL, NULL, NULL, false },
    { "wss://", false, NULL, NULL, NULL, false },
    { "wss:///path", false, NULL, NULL, NULL, false },
    { "wss://:443", false, NULL, NULL, NULL, false },
    { "wss://h:", false, NULL, NULL, NULL, false },
    { "wss://h:0", false, NULL, NULL, NULL, false },
    { "wss://h:65536", false, NULL, NULL, NULL, false },
    { "wss://h:123456", false, NULL, NULL, NULL, false },
    { "wss://h:8x", false, NULL, NULL, NULL, false },
    { "wss://[::1", false, NULL, NULL, NULL, false },
    { "wss://[::1]x", false, NULL, NULL, NULL, false },
    { "wss://user@h", false, NULL, NULL, NULL, false },
    { "wss://h/?v=4", false, NULL, NULL, NULL, false },
    { "wss://h/a b", false, NULL, NULL, NULL, false },
    { "wss://h/a\r\nb", false, NULL, NULL, NULL, false },
};


static vc_parse_t
parse(values_t *v, const char *const args[ARGS_MAX])
{
    int    argc;
    char  *argv[ARGS_MAX];

    const vc_option_t  options[] = {
        { "flag", VC_OPT_FLAG, &v->flag, NULL, "one", 0, 0 },
        { "text", VC_OPT_TEXT, &v->text, "TEXT", "two\nlines", 0, 0 },
        { "id", VC_OPT_ID, &v->id, "ID", "three", 0, 0 },
        { "ids", VC_OPT_IDS, &v->ids, "ID", "four", 0, 0 },
        { "number", VC_OPT_NUMBER, &v->number, "N", "five", 2, 9 },
        { "real", VC_OPT_REAL, &v->real, "X", "six", 0, 9 },
        { "time", VC_OPT_TIME, &v->time, "T", "seven", 0.5, 10 }
    };

    const vc_command_t  cmd = {
        "test", "Tests.", "Notes.", options, test_n(options)
    };

    memset(v, 0, sizeof(values_t));

    for (argc = 0; argc < ARGS_MAX && args[argc] != NULL; argc++) {
        argv[argc] = (char *) args[argc];
    }

    return vc_options_parse(&cmd, argc, argv);
}


static void
arguments_table(void **state)
{
    size_t    i;
    values_t  v;

    (void) state;

    for (i = 0; i < test_n(args_cases); i++) {
        test_num(args_cases[i].args[0] != NULL ? args_cases[i].args[0] : "",
                 parse(&v, args_cases[i].args), args_cases[i].expected);
    }
}


static void
arguments_are_stored(void **state)
{
    values_t  v;

    static const char *const  first[ARGS_MAX] = {
        "--flag", "--text=a=b", "--id", "7", "--ids", "8"
    };
    static const char *const  second[ARGS_MAX] = {
        "--number=3", "--real", "1.25", "--time", "750ms", "--ids=9"
    };
    static const char *const  twice[ARGS_MAX] = {
        "--ids", "1", "--ids", "2", "--text=a", "--text=b"
    };

    (void) state;

    assert_int_equal(parse(&v, first), VC_PARSE_OK);
    assert_true(v.flag);
    assert_string_equal(v.text, "a=b");
    assert_int_equal(v.id, 7);
    assert_int_equal(v.ids.n, 1);
    assert_int_equal(v.ids.id[0], 8);

    assert_int_equal(parse(&v, second), VC_PARSE_OK);
    assert_false(v.flag);
    assert_int_equal(v.number, 3);
    assert_true(v.real == 1.25);
    assert_int_equal(v.time, 750);

    assert_int_equal(parse(&v, twice), VC_PARSE_OK);
    assert_int_equal(v.ids.n, 2);
    assert_int_equal(v.ids.id[1], 2);
    assert_string_equal(v.text, "b");
}


static void
times_table(void **state)
{
    size_t    i;
    uint64_t  ms;

    (void) state;

    for (i = 0; i < test_n(time_cases); i++) {
        ms = 0;
        test_num(time_cases[i].text, vc_parse_time(time_cases[i].text, &ms),
                 time_cases[i].ok);
        test_num(time_cases[i].text, ms, time_cases[i].ms);
    }
}


static void
urls_table(void **state)
{
    char               error[VC_ERROR_MAX];
    size_t             i;
    vc_server_t        server;
    const url_case_t  *c;

    (void) state;

    for (i = 0; i < test_n(url_cases); i++) {
        c = &url_cases[i];
        error[0] = '\0';

        test_num(c->url, vc_server_parse(&server, c->url, error), c->ok);

        if (!c->ok) {
            assert_non_null(strstr(error, "expected"));
            continue;
        }

        assert_string_equal(server.host, c->host);
        assert_string_equal(server.port, c->port);
        assert_string_equal(server.path, c->path);
        test_num(c->url, server.tls, c->tls);
    }
}


/* Host, path and URL longer than what there is room for. */
static void
long_urls_are_refused(void **state)
{
    char         url[2048], error[VC_ERROR_MAX];
    vc_server_t  server;

    (void) state;

    memset(url, 'a', sizeof(url));
    memcpy(url, "wss://", 6);
    url[6 + 256] = '\0';
    assert_false(vc_server_parse(&server, url, error));

    url[6 + 255] = '\0';
    assert_true(vc_server_parse(&server, url, error));
    assert_int_equal(strlen(server.host), 255);

    memset(url + 6, 'a', 600);
    url[7] = '/';
    url[7 + 512] = '\0';
    assert_false(vc_server_parse(&server, url, error));

    url[7 + 511] = '\0';
    assert_true(vc_server_parse(&server, url, error));
    assert_int_equal(strlen(server.path), 511);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(arguments_table),
        cmocka_unit_test(arguments_are_stored),
        cmocka_unit_test(times_table),
        cmocka_unit_test(urls_table),
        cmocka_unit_test(long_urls_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
