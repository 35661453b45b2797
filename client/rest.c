/*
 * Copyright (C) ngx-voice contributors
 */


#include "rest.h"

#include "http.h"

#include <curl/curl.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <time.h>


#define VC_REST_URL_MAX      1024
#define VC_REST_TOKEN_TTL    60

/* of the server's paths: libraries' and the platform's */
#define VC_REST_LIBRARY      "v10"
#define VC_REST_PLATFORM     "v1"


static bool vc_rest_sign(const char *name, const vc_rest_t *rest, char *jwt,
    size_t size);
static bool vc_rest_is_platform(const vc_rest_t *rest);
static json_t *vc_rest_answer(const char *name, const char *url,
    const vc_http_answer_t *answer);
static void vc_rest_refused(const char *name, const vc_http_answer_t *answer);
static void vc_rest_field(const char *name, const json_t *errors,
    const char *field);


bool
vc_rest_check(const char *name, const vc_rest_t *rest)
{
    const char  *url;

    url = rest->conn.url;

    if (url == NULL || (strncmp(url, "https://", 8) != 0
                        && strncmp(url, "http://", 7) != 0))
    {
        vc_complain(name, "--url \"%s\": expected https://HOST[:PORT]/api",
                    url != NULL ? url : "");
        return false;
    }

    if ((rest->conn.token != NULL) == (rest->conn.key != NULL)) {
        vc_complain(name, "expected either --token JWT or --key FILE");
        return false;
    }

    if (rest->conn.guild == 0) {
        vc_complain(name, "expected --guild ID");
        return false;
    }

    return true;
}


json_t *
vc_rest_call(const char *name, const vc_rest_t *rest, const char *method,
    const char *path, const char *body)
{
    int                 n;
    char                url[VC_REST_URL_MAX], jwt[VOICE_USER_TOKEN_MAX + 1];
    char               *reason;
    size_t              len;
    json_t             *root;
    vc_http_answer_t    answer;
    vc_http_request_t   req;

    len = strlen(rest->conn.url);
    len -= (rest->conn.url[len - 1] == '/');

    n = snprintf(url, sizeof(url), "%.*s/%s/%s", (int) len, rest->conn.url,
                 vc_rest_is_platform(rest) ? VC_REST_PLATFORM
                                           : VC_REST_LIBRARY, path);

    if (n < 0 || (size_t) n >= sizeof(url)) {
        vc_complain(name, "--url \"%.60s...\": expected a shorter one",
                    rest->conn.url);
        return NULL;
    }

    if (!vc_rest_sign(name, rest, jwt, sizeof(jwt))) {
        return NULL;
    }

    memset(&req, 0, sizeof(req));
    req.method = method;
    req.url = url;
    req.ca = rest->conn.ca;
    req.insecure = rest->conn.insecure;
    req.token = jwt;
    req.body = body;

    /* as libraries send it: a header holds no other characters */
    reason = rest->reason != NULL ? curl_easy_escape(NULL, rest->reason, 0)
                                  : NULL;
    req.reason = reason;

    root = NULL;

    if (vc_http(name, &req, &answer)) {
        root = vc_rest_answer(name, url, &answer);
        vc_http_free(&answer);
    }

    curl_free(reason);
    sodium_memzero(jwt, sizeof(jwt));

    return root;
}


static bool
vc_rest_sign(const char *name, const vc_rest_t *rest, char *jwt, size_t size)
{
    voice_err_t         err;
    voice_token_keys_t  keys;

    if (rest->conn.token != NULL) {
        if (strlen(rest->conn.token) >= size) {
            vc_complain(name, "--token \"%.16s...\": expected at most %zu "
                        "characters", rest->conn.token, size - 1);
            return false;
        }

        strcpy(jwt, rest->conn.token);
        return true;
    }

    if (!vc_keys_load(name, rest->conn.key, &keys)) {
        return false;
    }

    err = voice_platform_token_sign(&keys, (int64_t) time(NULL)
                                           + VC_REST_TOKEN_TTL, jwt, size);
    voice_token_keys_free(&keys);

    if (err != VOICE_OK) {
        vc_sign_complain(name, err);
    }

    return err == VOICE_OK;
}


static bool
vc_rest_is_platform(const vc_rest_t *rest)
{
    bool         platform;
    json_t      *claims;
    const char  *scope;

    if (rest->conn.key != NULL) {
        return true;
    }

    claims = vc_token_claims(rest->conn.token);
    scope = json_string_value(json_object_get(claims, "scope"));
    platform = scope != NULL && strcmp(scope, VOICE_PLATFORM_SCOPE) == 0;
    json_decref(claims);

    return platform;
}


static json_t *
vc_rest_answer(const char *name, const char *url,
    const vc_http_answer_t *answer)
{
    if (answer->status >= 200 && answer->status < 300) {
        return vc_http_json(name, url, answer);
    }

    vc_rest_refused(name, answer);
    return NULL;
}


/* Discord's error bodies: code, message, and what is wrong with which field. */
static void
vc_rest_refused(const char *name, const vc_http_answer_t *answer)
{
    json_t      *root;
    const char  *message;

    root = answer->len != 0 ? json_loadb(answer->data, answer->len, 0, NULL)
                            : NULL;
    message = json_string_value(json_object_get(root, "message"));

    if (message == NULL) {
        vc_complain(name, "the server answered with HTTP status %ld and no "
                    "reason: is this the URL of its REST?", answer->status);

    } else {
        vc_complain(name, "the server refused it: %s (HTTP status %ld, code "
                    "%" JSON_INTEGER_FORMAT ")", message, answer->status,
                    json_integer_value(json_object_get(root, "code")));
        vc_rest_field(name, json_object_get(root, "errors"), "");
    }

    json_decref(root);
}


static void
vc_rest_field(const char *name, const json_t *errors, const char *field)
{
    json_t      *value;
    const char  *key, *message;
    json_t      *object = (json_t *) errors;

    json_object_foreach(object, key, value) {
        if (strcmp(key, "_errors") != 0) {
            vc_rest_field(name, value, key);
            continue;
        }

        message = json_string_value(json_object_get(json_array_get(value, 0),
                                                    "message"));
        vc_complain(name, "%s%s%s", field, *field != '\0' ? ": " : "",
                    message != NULL ? message : "wrong");
    }
}
