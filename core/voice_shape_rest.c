/*
 * Copyright (C) ngx-voice contributors
 *
 * Bodies that only REST has, section 14.
 */


#include "voice_shape.h"

#include <inttypes.h>
#include <string.h>


typedef struct {
    unsigned     status;
    unsigned     code;
    const char  *message;
} shape_error_t;


static const shape_error_t  shape_errors[VOICE_REST_ERRORS] = {
    [VOICE_REST_UNAUTHORIZED] = { 401, 0, "401: Unauthorized" },
    [VOICE_REST_NOT_FOUND] = { 404, 0, "404: Not Found" },
    [VOICE_REST_METHOD] = { 405, 0, "405: Method Not Allowed" },
    [VOICE_REST_UNKNOWN_CHANNEL] = { 404, 10003, "Unknown Channel" },
    [VOICE_REST_UNKNOWN_GUILD] = { 404, 10004, "Unknown Guild" },
    [VOICE_REST_UNKNOWN_MEMBER] = { 404, 10007, "Unknown Member" },
    [VOICE_REST_UNKNOWN_USER] = { 404, 10013, "Unknown User" },
    [VOICE_REST_UNKNOWN_VOICE_STATE] = { 404, 10065, "Unknown Voice State" },
    [VOICE_REST_NOT_IN_VOICE] =
        { 400, 40032, "Target user is not connected to voice." },
    [VOICE_REST_TOO_LARGE] = { 413, 40005, "Request entity too large" },
    [VOICE_REST_RATE_LIMITED] =
        { 429, 0, "You are being rate limited." },
    [VOICE_REST_MISSING_ACCESS] = { 403, 50001, "Missing Access" },
    [VOICE_REST_MISSING_PERMISSIONS] = { 403, 50013, "Missing Permissions" },
    [VOICE_REST_WRONG_CHANNEL_TYPE] =
        { 400, 50024, "Cannot execute action on this channel type" },
    [VOICE_REST_INVALID_FORM] = { 400, 50035, "Invalid Form Body" },
    [VOICE_REST_INVALID_JSON] =
        { 400, 50109, "The request body contains invalid JSON." },
    [VOICE_REST_CHANNEL_FULL] = { 400, 0, "The channel is full." },
    [VOICE_REST_UNAVAILABLE] = { 503, 0, "503: Service Unavailable" }
};


unsigned
voice_rest_status(voice_rest_error_t error)
{
    return shape_errors[error].status;
}


static void
shape_error_keys(voice_buf_t *b, const shape_error_t *error)
{
    voice_buf_puts(b, "\"message\":");
    voice_buf_string(b, error->message);
    voice_buf_printf(b, ",\"code\":%u", error->code);
}


void
voice_shape_error(voice_buf_t *b, voice_rest_error_t error)
{
    voice_buf_put(b, "{", 1);
    shape_error_keys(b, &shape_errors[error]);
    voice_buf_put(b, "}", 1);
}


/* RFC 6901 section 4: "~1" is a slash and "~0" a tilde. */
static void
shape_pointer_key(voice_buf_t *b, const char *key, size_t len)
{
    char    name[128];
    size_t  i, n;

    for (i = 0, n = 0; i < len && n < sizeof(name) - 1; i++) {
        name[n] = key[i];

        if (key[i] == '~' && i + 1 < len) {
            i++;
            name[n] = key[i] == '1' ? '/' : '~';
        }

        n++;
    }

    name[n] = '\0';
    voice_buf_string(b, name);
}


void
voice_shape_field_error(voice_buf_t *b, const char *pointer,
    const char *message)
{
    size_t       len, depth;
    const char  *p;

    voice_buf_put(b, "{", 1);
    shape_error_keys(b, &shape_errors[VOICE_REST_INVALID_FORM]);
    voice_buf_puts(b, ",\"errors\":{");

    depth = 0;

    for (p = pointer; *p == '/'; p += len) {
        p++;
        len = strcspn(p, "/");

        shape_pointer_key(b, p, len);
        voice_buf_puts(b, ":{");
        depth++;
    }

    voice_buf_puts(b, "\"_errors\":[{\"code\":\"BASE_TYPE_INVALID\","
                   "\"message\":");
    voice_buf_string(b, message);
    voice_buf_puts(b, "}]");

    while (depth-- > 0) {
        voice_buf_put(b, "}", 1);
    }

    voice_buf_puts(b, "}}");
}


void
voice_shape_rate_limited(voice_buf_t *b, uint64_t retry_after_ms, bool global)
{
    voice_buf_put(b, "{", 1);
    shape_error_keys(b, &shape_errors[VOICE_REST_RATE_LIMITED]);
    voice_buf_printf(b, ",\"retry_after\":%" PRIu64 ".%03u,\"global\":%s}",
                     retry_after_ms / 1000,
                     (unsigned) (retry_after_ms % 1000),
                     global ? "true" : "false");
}


void
voice_shape_regions(voice_buf_t *b, const voice_shape_region_t *region,
    size_t n)
{
    size_t  i;

    voice_buf_put(b, "[", 1);

    for (i = 0; i < n; i++) {
        voice_buf_puts(b, i != 0 ? ",{\"id\":" : "{\"id\":");
        voice_buf_string(b, region[i].id);
        voice_buf_puts(b, ",\"name\":");
        voice_buf_string(b, region[i].name);
        voice_buf_printf(b, ",\"optimal\":%s,\"deprecated\":%s,"
                         "\"custom\":false,\"vip\":false}",
                         region[i].optimal ? "true" : "false",
                         region[i].deprecated ? "true" : "false");
    }

    voice_buf_put(b, "]", 1);
}


/* A verify_key of zeros: nobody signs interactions here. */
void
voice_shape_application(voice_buf_t *b, const voice_dir_user_t *bot)
{
    voice_buf_puts(b, "{\"id\":");
    voice_buf_id(b, bot->id);
    voice_buf_puts(b, ",\"name\":");
    voice_buf_string(b, bot->username);
    voice_buf_puts(b, ",\"description\":\"\",\"summary\":\"\",\"icon\":null,"
                   "\"bot_public\":false,\"bot_require_code_grant\":false,"
                   "\"verify_key\":\"00000000000000000000000000000000"
                   "00000000000000000000000000000000\",\"flags\":0,"
                   "\"team\":null,\"hook\":true,\"rpc_origins\":[],"
                   "\"tags\":[],\"owner\":");
    voice_shape_user(b, bot, false);
    voice_buf_puts(b, ",\"bot\":");
    voice_shape_user(b, bot, false);
    voice_buf_put(b, "}", 1);
}


void
voice_shape_gateway(voice_buf_t *b, const char *url)
{
    voice_buf_puts(b, "{\"url\":");
    voice_buf_string(b, url);
    voice_buf_put(b, "}", 1);
}


void
voice_shape_gateway_bot(voice_buf_t *b, const char *url,
    const voice_shape_session_limit_t *limit)
{
    voice_buf_puts(b, "{\"url\":");
    voice_buf_string(b, url);
    voice_buf_puts(b, ",\"shards\":1,\"session_start_limit\":{\"total\":");
    voice_buf_uint(b, limit->total);
    voice_buf_puts(b, ",\"remaining\":");
    voice_buf_uint(b, limit->remaining);
    voice_buf_puts(b, ",\"reset_after\":");
    voice_buf_uint(b, limit->reset_after);
    voice_buf_puts(b, ",\"max_concurrency\":");
    voice_buf_uint(b, limit->max_concurrency);
    voice_buf_puts(b, "}}");
}
