/*
 * Copyright (C) ngx-voice contributors
 *
 * JSON that was written, read again by another parser: values are looked up
 * by path ("roles.0.name") and compared as JSON.
 */


#ifndef _TEST_JSON_PATH_H_INCLUDED_
#define _TEST_JSON_PATH_H_INCLUDED_


#include "test_util.h"

#include "voice_buf.h"

#include <jansson.h>


typedef struct {
    const char  *path;
    const char  *json;      /* NULL: the key must not be there */
} test_path_t;


static inline json_t *
test_json_load(const char *text, size_t len)
{
    json_t        *root;
    json_error_t   error;

    root = json_loadb(text, len, JSON_DECODE_ANY | JSON_REJECT_DUPLICATES,
                      &error);

    if (root == NULL) {
        fail_msg("%s at %d in %.*s", error.text, error.position, (int) len,
                 text);
    }

    return root;
}


/* What a buffer holds; frees it. */
static inline json_t *
test_json_of(voice_buf_t *b)
{
    json_t  *root;

    test_err("written", voice_buf_done(b), VOICE_OK);
    root = test_json_load(b->data, b->len);
    voice_buf_free(b);

    return root;
}


static inline json_t *
test_json_at(json_t *root, const char *path)
{
    char     key[64];
    size_t   n;
    json_t  *at;

    for (at = root; at != NULL && *path != '\0'; path += *path == '.') {
        n = strcspn(path, ".");
        assert_true(n < sizeof(key));
        memcpy(key, path, n);
        key[n] = '\0';
        path += n;

        at = json_is_array(at) ? json_array_get(at, strtoul(key, NULL, 10))
                               : json_object_get(at, key);
    }

    return at;
}


static inline void
test_json_paths(json_t *root, const test_path_t *paths, size_t n)
{
    char    *text;
    size_t   i;
    json_t  *got, *expected;

    for (i = 0; i < n; i++) {
        got = test_json_at(root, paths[i].path);

        if (paths[i].json == NULL) {
            if (got != NULL) {
                fail_msg("%s is there", paths[i].path);
            }

            continue;
        }

        if (got == NULL) {
            fail_msg("%s is missing", paths[i].path);
        }

        expected = test_json_load(paths[i].json, strlen(paths[i].json));

        if (!json_equal(got, expected)) {
            text = json_dumps(got, JSON_ENCODE_ANY | JSON_COMPACT);
            fail_msg("%s is %s, expected %s", paths[i].path, text,
                     paths[i].json);
        }

        json_decref(expected);
    }
}


#endif /* _TEST_JSON_PATH_H_INCLUDED_ */
