/*
 * Copyright (C) ngx-voice contributors
 *
 * The reader's verdict on a text is compared with another parser's.
 */


#include "test_util.h"

#include "voice_json.h"

#include <jansson.h>
#include <stdio.h>


typedef struct {
    const char  *name;
    const char  *text;
    bool         ok;
} verdict_t;


static const verdict_t  verdicts[] = {
    { "empty", "", false },
    { "space only", " \t\r\n", false },
    { "object", "{}", true },
    { "space around", " \n{ \"a\" : [ 1 , 2 ] }\t", true },
    { "no-break space", "\xc2\xa0{}", false },
    { "byte order mark", "\xef\xbb\xbf{}", false },
    { "two values", "{}{}", false },
    { "open object", "{", false },
    { "open member", "{\"a\"", false },
    { "no value", "{\"a\":}", false },
    { "comma at the end", "{\"a\":1,}", false },
    { "comma first", "{,\"a\":1}", false },
    { "no comma", "{\"a\":1 \"b\":2}", false },
    { "key without quotes", "{a:1}", false },
    { "key is a number", "{1:1}", false },
    { "single quotes", "{'a':1}", false },
    { "open array", "[1", false },
    { "array with a comma at the end", "[1,]", false },
    { "crossed brackets", "[{]}", false },
    { "closing bracket only", "]", false },
    { "words", "[true,false,null]", true },
    { "word cut", "[tru]", false },
    { "word in capitals", "[True]", false },
    { "word runs on", "[nullx]", false },
    { "NaN", "[NaN]", false },
    { "0", "[0]", true },
    { "-0", "[-0]", true },
    { "leading zero", "[01]", false },
    { "minus only", "[-]", false },
    { "plus", "[+1]", false },
    { "dot first", "[.5]", false },
    { "dot last", "[5.]", false },
    { "fraction", "[5.25]", true },
    { "exponents", "[1e5,1E+5,1.5e-5]", true },
    { "no exponent", "[1e]", false },
    { "sign of no exponent", "[1e+]", false },
    { "hex", "[0x10]", false },
    { "above 2^64", "[123456789012345678901234567890]", true },
    { "open string", "[\"a", false },
    { "open escape", "[\"\\", false },
    { "escapes", "[\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e4\"]", true },
    { "unknown escape", "[\"\\x\"]", false },
    { "short unicode escape", "[\"\\u00e\"]", false },
    { "no hex digit", "[\"\\u00g0\"]", false },
    { "surrogates", "[\"\\ud83d\\ude00\"]", true },
    { "high surrogate alone", "[\"\\ud83d\"]", false },
    { "high surrogate twice", "[\"\\ud83d\\ud83d\"]", false },
    { "low surrogate first", "[\"\\ude00\"]", false },
    { "escaped NUL", "[\"\\u0000\"]", true },
    { "newline in a string", "[\"a\nb\"]", false },
    { "DEL in a string", "[\"\x7f\"]", true },
    { "2 bytes", "[\"\xc3\xa4\"]", true },
    { "3 bytes", "[\"\xe2\x82\xac\"]", true },
    { "4 bytes", "[\"\xf0\x9f\x98\x80\"]", true },
    { "10FFFF", "[\"\xf4\x8f\xbf\xbf\"]", true },
    { "above 10FFFF", "[\"\xf4\x90\x80\x80\"]", false },
    { "continuation first", "[\"\x80\"]", false },
    { "continuation missing", "[\"\xc3\"]", false },
    { "third byte missing", "[\"\xe2\x82\"]", false },
    { "overlong, 2 bytes", "[\"\xc0\xaf\"]", false },
    { "overlong, 3 bytes", "[\"\xe0\x80\xaf\"]", false },
    { "overlong, 4 bytes", "[\"\xf0\x80\x80\xaf\"]", false },
    { "surrogate in UTF-8", "[\"\xed\xa0\x80\"]", false },
    { "FF", "[\"\xff\"]", false },
    { "number alone", "5", true },
    { "string alone", "\"a\"", true }
};


static bool
other_parser_takes(const char *text, size_t len)
{
    json_t  *root;

    root = json_loadb(text, len, JSON_DECODE_ANY | JSON_ALLOW_NUL
                                 | JSON_DECODE_INT_AS_REAL, NULL);
    json_decref(root);

    return root != NULL;
}


static void
json_parse_verdicts(void **state)
{
    char          *copy;
    size_t         i, len;
    const char    *why;
    voice_err_t    err;
    voice_json_t   val;

    (void) state;

    for (i = 0; i < test_n(verdicts); i++) {
        len = strlen(verdicts[i].text);
        copy = (char *) test_copy(verdicts[i].text, len);
        why = NULL;

        err = voice_json_parse(copy, len, &val, &why);

        test_err(verdicts[i].name, err,
                 verdicts[i].ok ? VOICE_OK : VOICE_E_FORMAT);
        test_num(verdicts[i].name, why != NULL, !verdicts[i].ok);
        test_num(verdicts[i].name, other_parser_takes(copy, len),
                 verdicts[i].ok);

        free(copy);
    }
}


static void
json_parse_nul_byte_refused(void **state)
{
    const char    *why;
    voice_json_t   val;

    (void) state;

    test_err("no text", voice_json_parse(NULL, 0, &val, &why),
             VOICE_E_FORMAT);
    test_err("NUL after", voice_json_parse("{}", 3, &val, &why),
             VOICE_E_FORMAT);
    test_err("NUL inside", voice_json_parse("[\"\0\"]", 5, &val, &why),
             VOICE_E_FORMAT);
    test_err("NUL escaped", voice_json_parse("[\"\\\0\"]", 6, &val, &why),
             VOICE_E_FORMAT);
}


static void
json_parse_depth(void **state)
{
    char           text[2 * (VOICE_JSON_DEPTH_MAX + 1)];
    size_t         n;
    const char    *why;
    voice_err_t    err;
    voice_json_t   val;

    (void) state;

    for (n = 1; n <= VOICE_JSON_DEPTH_MAX + 1; n++) {
        memset(text, '[', n);
        memset(text + n, ']', n);

        err = voice_json_parse(text, 2 * n, &val, &why);

        if (n <= VOICE_JSON_DEPTH_MAX) {
            test_err("depth", err, VOICE_OK);

        } else {
            test_err("too deep", err, VOICE_E_FORMAT);
            assert_string_equal(why, "nested too deep");
        }
    }
}


/* As wide as one likes, and back at the same depth after each item. */
static void
json_parse_depth_is_not_width(void **state)
{
    char           text[400];
    size_t         i, len;
    const char    *why;
    voice_json_t   val;

    (void) state;

    len = 0;
    text[len++] = '[';

    for (i = 0; i < 99; i++) {
        memcpy(text + len, "{},", 3);
        len += 3;
    }

    memcpy(text + len, "[]]", 3);

    test_err("wide", voice_json_parse(text, len + 3, &val, &why), VOICE_OK);
}


typedef struct {
    const char         *name;
    const char         *text;
    const char         *key;
    voice_json_type_t   type;
    const char         *value;
} member_t;


static const member_t  members[] = {
    { "first", "{\"a\":1,\"b\":2}", "a", VOICE_JSON_NUMBER, "1" },
    { "last", "{\"a\":1,\"b\":[2, 3] }", "b", VOICE_JSON_ARRAY, "[2, 3]" },
    { "none", "{\"a\":1}", "b", VOICE_JSON_ABSENT, NULL },
    { "none in {}", "{ }", "a", VOICE_JSON_ABSENT, NULL },
    { "not an object", "[\"a\"]", "a", VOICE_JSON_ABSENT, NULL },
    { "a number", "7", "a", VOICE_JSON_ABSENT, NULL },
    { "inner one only", "{\"b\":{\"a\":1}}", "a", VOICE_JSON_ABSENT, NULL },
    { "value is the key", "{\"b\":\"a\"}", "a", VOICE_JSON_ABSENT, NULL },
    { "prefix", "{\"ab\":1}", "a", VOICE_JSON_ABSENT, NULL },
    { "twice", "{\"a\":1,\"b\":2,\"a\":1}", "a", VOICE_JSON_TWICE, NULL },
    { "escaped", "{\"\\u0061\":null}", "a", VOICE_JSON_NULL, "null" },
    { "twice, escaped", "{\"\\u0061\":1,\"a\":1}", "a", VOICE_JSON_TWICE,
      NULL },
    { "key with a NUL", "{\"a\\u0000\":1}", "a", VOICE_JSON_ABSENT, NULL },
    { "string", "{\"a\":\"x\\\"y\"}", "a", VOICE_JSON_STRING, "\"x\\\"y\"" }
};


static void
json_get_members(void **state)
{
    size_t         i;
    const char    *why;
    voice_json_t   root, val;

    (void) state;

    for (i = 0; i < test_n(members); i++) {
        test_err(members[i].name,
                 voice_json_parse(members[i].text, strlen(members[i].text),
                                  &root, &why),
                 VOICE_OK);

        test_num(members[i].name, voice_json_get(&root, members[i].key, &val),
                 members[i].type);
        test_num(members[i].name, val.type, members[i].type);

        if (members[i].value != NULL) {
            test_mem(members[i].name, val.start, val.end - val.start,
                     members[i].value, (long) strlen(members[i].value));
        }
    }
}


/* A key that is too long to be one of ours is another key. */
static void
json_get_long_key(void **state)
{
    char           text[VOICE_JSON_KEY_MAX + 16];
    const char    *why;
    voice_json_t   root, val;

    (void) state;

    snprintf(text, sizeof(text), "{\"%0*d\":1,\"a\":2}", VOICE_JSON_KEY_MAX,
             0);

    assert_int_equal(voice_json_parse(text, strlen(text), &root, &why),
                     VOICE_OK);
    assert_int_equal(voice_json_get(&root, "a", &val), VOICE_JSON_NUMBER);
    assert_int_equal(*val.start, '2');
}


static void
json_next_items(void **state)
{
    size_t         i, n;
    const char    *why;
    voice_json_t   root, item;

    static const struct {
        const char  *text;
        size_t       n;
    } arrays[] = {
        { "[]", 0 }, { "[ ]", 0 }, { "[1]", 1 }, { "[1,[2,3],\"],\" ]", 3 },
        { "{\"a\":1}", 0 }, { "\"[1]\"", 0 }
    };

    (void) state;

    for (i = 0; i < test_n(arrays); i++) {
        assert_int_equal(voice_json_parse(arrays[i].text,
                                          strlen(arrays[i].text), &root, &why),
                         VOICE_OK);

        memset(&item, 0, sizeof(item));

        for (n = 0; voice_json_next(&root, &item); n++) {
            assert_true(n < arrays[i].n);
        }

        test_num(arrays[i].text, n, arrays[i].n);
    }
}


typedef struct {
    const char   *text;
    voice_err_t   err;
    const char   *value;
} string_t;


/* into 6 bytes with the NUL */
static const string_t  strings[] = {
    { "\"\"", VOICE_OK, "" },
    { "\"abcde\"", VOICE_OK, "abcde" },
    { "\"abcdef\"", VOICE_E_RANGE, "" },
    { "\"abcd\xc3\xa4\"", VOICE_E_RANGE, "" },
    { "\"abcd\\u00e4\"", VOICE_E_RANGE, "" },
    { "\"abc\\u00e4\"", VOICE_OK, "abc\xc3\xa4" },
    { "\"\\u20ac\"", VOICE_OK, "\xe2\x82\xac" },
    { "\"\\uD83D\\uDE00\"", VOICE_OK, "\xf0\x9f\x98\x80" },
    { "\"\\\"\\\\\\/\\b\\t\"", VOICE_OK, "\"\\/\b\t" },
    { "\"\\f\\n\\r\"", VOICE_OK, "\f\n\r" },
    { "\"a\\u0000b\"", VOICE_E_FORMAT, "" },
    { "5", VOICE_E_FORMAT, "" },
    { "null", VOICE_E_FORMAT, "" }
};


static void
json_string_values(void **state)
{
    char          *buf;
    size_t         i;
    const char    *why;
    voice_json_t   val;

    (void) state;

    for (i = 0; i < test_n(strings); i++) {
        assert_int_equal(voice_json_parse(strings[i].text,
                                          strlen(strings[i].text), &val,
                                          &why),
                         VOICE_OK);

        buf = (char *) test_copy("xxxxx", 6);

        test_err(strings[i].text, voice_json_string(&val, buf, 6),
                 strings[i].err);
        assert_string_equal(buf, strings[i].value);

        free(buf);
    }
}


typedef struct {
    const char   *text;
    voice_err_t   err;
    int64_t       value;
} int_t;


/* -10..INT64_MAX */
static const int_t  ints[] = {
    { "0", VOICE_OK, 0 },
    { "-0", VOICE_OK, 0 },
    { "-10", VOICE_OK, -10 },
    { "-11", VOICE_E_RANGE, 0 },
    { "9007199254740993", VOICE_OK, 9007199254740993 },
    { "9223372036854775807", VOICE_OK, INT64_MAX },
    { "9223372036854775808", VOICE_E_RANGE, 0 },
    { "-9223372036854775809", VOICE_E_RANGE, 0 },
    { "99999999999999999999999", VOICE_E_RANGE, 0 },
    { "1.0", VOICE_E_FORMAT, 0 },
    { "1e2", VOICE_E_FORMAT, 0 },
    { "-1.5", VOICE_E_FORMAT, 0 },
    { "99999999999999999999999.5", VOICE_E_FORMAT, 0 },
    { "\"1\"", VOICE_E_FORMAT, 0 },
    { "true", VOICE_E_FORMAT, 0 },
    { "[1]", VOICE_E_FORMAT, 0 }
};


static void
json_int_values(void **state)
{
    size_t         i;
    int64_t        n;
    const char    *why;
    voice_json_t   val;

    (void) state;

    for (i = 0; i < test_n(ints); i++) {
        assert_int_equal(voice_json_parse(ints[i].text, strlen(ints[i].text),
                                          &val, &why),
                         VOICE_OK);
        n = 0;
        test_err(ints[i].text, voice_json_int(&val, -10, INT64_MAX, &n),
                 ints[i].err);
        test_num(ints[i].text, n, ints[i].value);
    }
}


typedef struct {
    const char   *text;
    voice_err_t   err;
    uint64_t      value;
} snowflake_t;


static const snowflake_t  ids[] = {
    { "\"1\"", VOICE_OK, 1 },
    { "1", VOICE_OK, 1 },
    { "\"18446744073709551615\"", VOICE_OK, UINT64_MAX },
    { "18446744073709551615", VOICE_OK, UINT64_MAX },
    { "9007199254740993", VOICE_OK, 9007199254740993 },
    { "\"18446744073709551616\"", VOICE_E_RANGE, 0 },
    { "18446744073709551616", VOICE_E_RANGE, 0 },
    { "\"184467440737095516150\"", VOICE_E_RANGE, 0 },
    { "\"0\"", VOICE_E_RANGE, 0 },
    { "0", VOICE_E_RANGE, 0 },
    { "-0", VOICE_E_RANGE, 0 },
    { "-1", VOICE_E_RANGE, 0 },
    { "-9223372036854775809", VOICE_E_RANGE, 0 },
    { "-1.5", VOICE_E_FORMAT, 0 },
    { "\"-1\"", VOICE_E_FORMAT, 0 },
    { "\"+1\"", VOICE_E_FORMAT, 0 },
    { "\" 1\"", VOICE_E_FORMAT, 0 },
    { "\"1 \"", VOICE_E_FORMAT, 0 },
    { "\"0x1\"", VOICE_E_FORMAT, 0 },
    { "\"\"", VOICE_E_FORMAT, 0 },
    { "\"\\u0031\"", VOICE_E_FORMAT, 0 },
    { "1.0", VOICE_E_FORMAT, 0 },
    { "1e3", VOICE_E_FORMAT, 0 },
    { "null", VOICE_E_FORMAT, 0 },
    { "true", VOICE_E_FORMAT, 0 },
    { "[1]", VOICE_E_FORMAT, 0 }
};


static void
json_id_values(void **state)
{
    size_t         i;
    uint64_t       id;
    const char    *why;
    voice_json_t   val;

    (void) state;

    for (i = 0; i < test_n(ids); i++) {
        assert_int_equal(voice_json_parse(ids[i].text, strlen(ids[i].text),
                                          &val, &why),
                         VOICE_OK);
        id = 0;
        test_err(ids[i].text, voice_json_id(&val, &id), ids[i].err);
        assert_true(id == ids[i].value);
    }
}


static void
json_out_string_round_trip(void **state)
{
    char               buf[64], back[64];
    size_t             len;
    const char        *why;
    voice_json_t       val;
    voice_json_out_t   out;

    static const char  str[] = "a\"b\\c/\n\x01\x1f\x7f\xc3\xa4";
    static const char  text[] =
        "\"a\\\"b\\\\c/\\u000a\\u0001\\u001f\x7f\xc3\xa4\"";

    (void) state;

    voice_json_out_init(&out, buf, sizeof(buf));
    voice_json_put_string(&out, str);

    assert_int_equal(voice_json_out_done(&out, &len), VOICE_OK);
    assert_string_equal(buf, text);
    assert_int_equal(len, sizeof(text) - 1);

    assert_int_equal(voice_json_parse(buf, len, &val, &why), VOICE_OK);
    assert_int_equal(voice_json_string(&val, back, sizeof(back)), VOICE_OK);
    assert_string_equal(back, str);
}


/* Every size that is too small is noticed, and nothing is written past it. */
static void
json_out_full(void **state)
{
    char              *buf;
    size_t             size, len, needed;
    voice_err_t        err;
    voice_json_out_t   out;

    (void) state;

    needed = sizeof("{\"a\\\"\"}");

    for (size = 0; size <= needed; size++) {
        buf = (char *) test_copy("xxxxxxxxxxxxxxxx", size);
        len = 99;

        voice_json_out_init(&out, buf, size);
        voice_json_printf(&out, "{");
        voice_json_put_string(&out, "a\"");
        voice_json_printf(&out, "}");

        err = voice_json_out_done(&out, &len);

        test_err("size", err, size < needed ? VOICE_E_FULL : VOICE_OK);
        test_num("len", len, size < needed ? 99 : needed - 1);

        free(buf);
    }
}


typedef struct {
    const char  *text;
    size_t       offset;
} stop_t;


static void
json_parse_at_tells_where(void **state)
{
    char          *copy;
    size_t         i, offset;
    const char    *why;
    voice_json_t   val;

    static const stop_t  stops[] = {
        { "", 0 }, { "  ", 2 }, { "x", 0 }, { "[1,]", 3 }, { "[1 2]", 3 },
        { "{\"a\":1,}", 7 }, { "{\"a\" 1}", 5 }, { "[]x", 2 },
        { "[\"\xff\"]", 2 }, { "[\"\x01\"]", 2 }, { "{\"a\":tru}", 5 },
        { "[[[[[[[[[[[[[[[[[", 16 }, { "[\"abc", 5 }, { "-", 1 }
    };

    (void) state;

    for (i = 0; i < test_n(stops); i++) {
        copy = (char *) test_copy(stops[i].text, strlen(stops[i].text));
        offset = 77;

        test_err(stops[i].text,
                 voice_json_parse_at(copy, strlen(stops[i].text), &val, &why,
                                     &offset),
                 VOICE_E_FORMAT);
        test_num(stops[i].text, offset, stops[i].offset);
        free(copy);
    }
}


static void
json_members_in_their_order(void **state)
{
    char          name[8];
    int64_t       n, i;
    const char   *why;
    voice_json_t  object, key, val;

    static const char  text[] = " { \"a\" : 0 , \"b\":1,\"a\":2 } ";
    static const char *const  names[] = { "a", "b", "a" };

    (void) state;

    test_err("parse", voice_json_parse(text, strlen(text), &object, &why),
             VOICE_OK);
    val.type = VOICE_JSON_ABSENT;

    for (i = 0; voice_json_next_member(&object, &key, &val); i++) {
        assert_in_range(i, 0, 2);
        test_err("key", voice_json_string(&key, name, sizeof(name)),
                 VOICE_OK);
        assert_string_equal(name, names[i]);
        test_err("value", voice_json_int(&val, 0, 9, &n), VOICE_OK);
        test_num("value", n, i);
    }

    test_num("members", i, 3);

    test_err("parse", voice_json_parse("{ }", 3, &object, &why), VOICE_OK);
    val.type = VOICE_JSON_ABSENT;
    assert_false(voice_json_next_member(&object, &key, &val));

    test_err("parse", voice_json_parse("[1]", 3, &object, &why), VOICE_OK);
    val.type = VOICE_JSON_ABSENT;
    assert_false(voice_json_next_member(&object, &key, &val));
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(json_parse_verdicts),
        cmocka_unit_test(json_parse_nul_byte_refused),
        cmocka_unit_test(json_parse_depth),
        cmocka_unit_test(json_parse_depth_is_not_width),
        cmocka_unit_test(json_get_members),
        cmocka_unit_test(json_get_long_key),
        cmocka_unit_test(json_next_items),
        cmocka_unit_test(json_string_values),
        cmocka_unit_test(json_int_values),
        cmocka_unit_test(json_id_values),
        cmocka_unit_test(json_out_string_round_trip),
        cmocka_unit_test(json_out_full),
        cmocka_unit_test(json_parse_at_tells_where),
        cmocka_unit_test(json_members_in_their_order)
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
