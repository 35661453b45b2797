/*
 * Copyright (C) ngx-voice contributors
 */


#include "commands.h"
#include "connection.h"
#include "http.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>


#define VC_STATUS_COLUMN    32


static json_t *vc_status_fetch(const char *name, const vc_connection_t *conn);
static void vc_status_print(const json_t *value, int depth);
static void vc_status_member(const char *key, const json_t *value,
    int depth);
static bool vc_status_flat(const json_t *value);
static void vc_status_scalar(const json_t *value);


int
vc_cmd_status(int argc, char **argv)
{
    int              code;
    bool             json;
    json_t          *root;
    vc_parse_t       rc;
    vc_connection_t  conn;

    const vc_option_t  options[] = {
        { "url", VC_OPT_TEXT, &conn.url, "URL", "http://HOST/status or "
          "https://...", 0, 0 },
        VC_OPTION_CA(&conn),
        VC_OPTION_INSECURE(&conn),
        { "json", VC_OPT_FLAG, &json, NULL, "print the JSON, on one line", 0,
          0 }
    };

    const vc_command_t  cmd = {
        "status",
        "Fetches the status of a voice server and prints it.",
        NULL, options, sizeof(options) / sizeof(options[0])
    };

    memset(&conn, 0, sizeof(conn));
    json = false;

    rc = vc_options_parse(&cmd, argc, argv);
    if (rc != VC_PARSE_OK) {
        return rc == VC_PARSE_HELP ? VC_EXIT_OK : VC_EXIT_USAGE;
    }

    if (conn.url == NULL) {
        vc_complain(cmd.name, "expected --url http://HOST/status");
        return VC_EXIT_USAGE;
    }

    root = vc_status_fetch(cmd.name, &conn);
    if (root == NULL) {
        return VC_EXIT_FAILED;
    }

    if (json) {
        json_dumpf(root, stdout, JSON_COMPACT | JSON_ENCODE_ANY);
        putchar('\n');

    } else {
        vc_status_print(root, 0);
    }

    code = fflush(stdout) == 0 ? VC_EXIT_OK : VC_EXIT_FAILED;
    json_decref(root);

    return code;
}


static json_t *
vc_status_fetch(const char *name, const vc_connection_t *conn)
{
    json_t             *root;
    vc_http_answer_t    answer;
    vc_http_request_t   req;

    memset(&req, 0, sizeof(req));
    req.method = "GET";
    req.url = conn->url;
    req.ca = conn->ca;
    req.insecure = conn->insecure;

    if (!vc_http(name, &req, &answer)) {
        return NULL;
    }

    root = NULL;

    if (answer.status != 200) {
        vc_complain(name, "--url \"%s\": the server answered with HTTP status "
                    "%ld, expected 200", conn->url, answer.status);

    } else {
        root = vc_http_json(name, conn->url, &answer);
    }

    vc_http_free(&answer);

    return root;
}


/* Whatever keys there are: one a line, what is nested indented. */
static void
vc_status_print(const json_t *value, int depth)
{
    size_t       i;
    json_t      *member;
    const char  *key;
    json_t      *object = (json_t *) value;

    if (json_is_object(value)) {
        json_object_foreach(object, key, member) {
            vc_status_member(key, member, depth);
        }

    } else if (json_is_array(value) && !vc_status_flat(value)) {
        json_array_foreach(object, i, member) {
            vc_status_member("-", member, depth);
        }

    } else {
        printf("%*s", depth * 2, "");
        vc_status_scalar(value);
        putchar('\n');
    }
}


static void
vc_status_member(const char *key, const json_t *value, int depth)
{
    if (vc_status_flat(value)) {
        printf("%*s%-*s ", depth * 2, "", VC_STATUS_COLUMN - depth * 2, key);
        vc_status_scalar(value);
        putchar('\n');
        return;
    }

    printf("%*s%s\n", depth * 2, "", key);
    vc_status_print(value, depth + 1);
}


/* Fits on a line: no object inside, and not an object with members. */
static bool
vc_status_flat(const json_t *value)
{
    size_t   i;
    json_t  *item;

    if (json_is_object(value)) {
        return json_object_size(value) == 0;
    }

    json_array_foreach((json_t *) value, i, item) {
        if (json_is_object(item) || json_is_array(item)) {
            return false;
        }
    }

    return true;
}


static void
vc_status_scalar(const json_t *value)
{
    size_t   i;
    json_t  *item;

    switch (json_typeof(value)) {

    case JSON_STRING:
        fputs(json_string_value(value), stdout);
        break;

    case JSON_INTEGER:
        printf("%" JSON_INTEGER_FORMAT, json_integer_value(value));
        break;

    case JSON_REAL:
        printf("%.6g", json_real_value(value));
        break;

    case JSON_TRUE:
        fputs("yes", stdout);
        break;

    case JSON_FALSE:
        fputs("no", stdout);
        break;

    case JSON_ARRAY:
        json_array_foreach((json_t *) value, i, item) {
            fputs(i != 0 ? ", " : "", stdout);
            vc_status_scalar(item);
        }
        break;

    case JSON_NULL:
    case JSON_OBJECT:
        putchar('-');
        break;
    }
}
