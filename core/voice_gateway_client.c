/*
 * Copyright (C) ngx-voice contributors
 */


#include "voice_gateway_client.h"

#include <inttypes.h>
#include <string.h>


#define got_nelts(a)  (sizeof(a) / sizeof((a)[0]))


static const voice_field_t  got_ready_fields[] = {

    { "session_id", VOICE_FIELD_STRING, true,
      offsetof(voice_gateway_got_ready_t, session_id), 1,
      VOICE_SESSION_ID_MAX,
      "d.session_id: a string of 1 to 64 bytes is expected" },

    { "resume_gateway_url", VOICE_FIELD_STRING, false,
      offsetof(voice_gateway_got_ready_t, resume_url), 0,
      VOICE_GATEWAY_URL_MAX,
      "d.resume_gateway_url: a string of at most 255 bytes is expected" }
};


static const voice_field_t  got_user_fields[] = {

    { "id", VOICE_FIELD_ID, true,
      offsetof(voice_gateway_got_ready_t, user_id), 0, 0,
      "d.user.id: a snowflake is expected" }
};


static const voice_field_t  got_guild_fields[] = {

    { "id", VOICE_FIELD_ID, true,
      offsetof(voice_gateway_got_t, guild_id), 0, 0,
      "d.id: a snowflake is expected" }
};


static const voice_field_t  got_state_fields[] = {

    { "guild_id", VOICE_FIELD_ID, false,
      offsetof(voice_gateway_got_state_t, guild_id), 0, 0,
      "d.guild_id: a snowflake or null is expected" },

    { "channel_id", VOICE_FIELD_ID, false,
      offsetof(voice_gateway_got_state_t, channel_id), 0, 0,
      "d.channel_id: a snowflake or null is expected" },

    { "user_id", VOICE_FIELD_ID, true,
      offsetof(voice_gateway_got_state_t, user_id), 0, 0,
      "d.user_id: a snowflake is expected" },

    { "session_id", VOICE_FIELD_STRING, true,
      offsetof(voice_gateway_got_state_t, session_id), 1,
      VOICE_SESSION_ID_MAX,
      "d.session_id: a string of 1 to 64 bytes is expected" },

    { "mute", VOICE_FIELD_BOOL, false,
      offsetof(voice_gateway_got_state_t, mute), 0, 0,
      "d.mute: a boolean is expected" },

    { "deaf", VOICE_FIELD_BOOL, false,
      offsetof(voice_gateway_got_state_t, deaf), 0, 0,
      "d.deaf: a boolean is expected" },

    { "self_mute", VOICE_FIELD_BOOL, false,
      offsetof(voice_gateway_got_state_t, self_mute), 0, 0,
      "d.self_mute: a boolean is expected" },

    { "self_deaf", VOICE_FIELD_BOOL, false,
      offsetof(voice_gateway_got_state_t, self_deaf), 0, 0,
      "d.self_deaf: a boolean is expected" },

    { "suppress", VOICE_FIELD_BOOL, false,
      offsetof(voice_gateway_got_state_t, suppress), 0, 0,
      "d.suppress: a boolean is expected" }
};


static const voice_field_t  got_server_fields[] = {

    { "guild_id", VOICE_FIELD_ID, true,
      offsetof(voice_gateway_got_server_t, guild_id), 0, 0,
      "d.guild_id: a snowflake is expected" },

    { "token", VOICE_FIELD_STRING, true,
      offsetof(voice_gateway_got_server_t, token), 1, VOICE_TOKEN_MAX,
      "d.token: a string of 1 to 2048 bytes is expected" },

    { "endpoint", VOICE_FIELD_STRING, false,
      offsetof(voice_gateway_got_server_t, endpoint), 1,
      VOICE_GATEWAY_ENDPOINT_MAX,
      "d.endpoint: a string of 1 to 255 bytes, or null, is expected" }
};


/* The event of a name; the longest one fits. */

static voice_dispatch_t
got_event(const voice_json_t *message)
{
    int           i;
    char          name[32];
    voice_json_t  t;

    (void) voice_json_get(message, "t", &t);

    if (voice_json_string(&t, name, sizeof(name)) == VOICE_OK) {
        for (i = 0; i < VOICE_DISPATCHES; i++) {
            if (strcmp(voice_dispatch_name((voice_dispatch_t) i), name) == 0) {
                return (voice_dispatch_t) i;
            }
        }
    }

    return VOICE_DISPATCHES;
}


static voice_err_t
got_ready(const voice_json_t *d, voice_gateway_got_ready_t *ready,
    const char **why)
{
    voice_err_t   err;
    voice_json_t  user;

    err = voice_fields_read(d, got_ready_fields, got_nelts(got_ready_fields),
                            ready, why);
    if (err != VOICE_OK) {
        return err;
    }

    if (voice_json_get(d, "user", &user) != VOICE_JSON_OBJECT) {
        *why = "d.user: an object is expected";
        return VOICE_E_FORMAT;
    }

    return voice_fields_read(&user, got_user_fields,
                             got_nelts(got_user_fields), ready, why);
}


static voice_err_t
got_dispatch(const voice_json_t *d, voice_gateway_got_t *got,
    const char **why)
{
    switch (got->event) {

    case VOICE_DISPATCH_READY:
        return got_ready(d, &got->d.ready, why);

    case VOICE_DISPATCH_GUILD_CREATE:
        return voice_fields_read(d, got_guild_fields,
                                 got_nelts(got_guild_fields), got, why);

    case VOICE_DISPATCH_VOICE_STATE:
        return voice_fields_read(d, got_state_fields,
                                 got_nelts(got_state_fields), &got->d.state,
                                 why);

    case VOICE_DISPATCH_VOICE_SERVER:
        return voice_fields_read(d, got_server_fields,
                                 got_nelts(got_server_fields),
                                 &got->d.server, why);

    default:
        return VOICE_OK;
    }
}


static voice_err_t
got_hello(const voice_json_t *d, voice_gateway_got_t *got, const char **why)
{
    int64_t       ms;
    voice_json_t  interval;

    (void) voice_json_get(d, "heartbeat_interval", &interval);

    if (voice_json_int(&interval, 1, UINT32_MAX, &ms) != VOICE_OK) {
        *why = "d.heartbeat_interval: milliseconds above 0 are expected";
        return VOICE_E_FORMAT;
    }

    got->interval = (uint32_t) ms;

    return VOICE_OK;
}


voice_err_t
voice_gateway_got_decode(const char *text, size_t len,
    voice_gateway_got_t *got, const char **why)
{
    int64_t       n;
    voice_err_t   err;
    voice_json_t  message, d, val;

    memset(got, 0, sizeof(voice_gateway_got_t));
    got->event = VOICE_DISPATCHES;

    err = voice_json_parse(text, len, &message, why);
    if (err != VOICE_OK) {
        return err;
    }

    (void) voice_json_get(&message, "op", &val);

    if (voice_json_int(&val, 0, INT32_MAX, &n) != VOICE_OK) {
        *why = "op: an integer of 0 to 2^31 - 1 is expected";
        return VOICE_E_FORMAT;
    }

    got->op = (int) n;
    (void) voice_json_get(&message, "d", &d);

    switch (got->op) {

    case VOICE_GATEWAY_OP_DISPATCH:
        (void) voice_json_get(&message, "s", &val);

        if (voice_json_int(&val, 1, INT64_MAX, &n) != VOICE_OK) {
            *why = "s: an integer above 0 is expected";
            return VOICE_E_FORMAT;
        }

        got->seq = (uint64_t) n;
        got->event = got_event(&message);
        return got_dispatch(&d, got, why);

    case VOICE_GATEWAY_OP_INVALID_SESSION:
        got->resumable = (d.type == VOICE_JSON_TRUE);
        return VOICE_OK;

    case VOICE_GATEWAY_OP_HELLO:
        return got_hello(&d, got, why);

    default:
        return VOICE_OK;
    }
}


void
voice_gateway_ask_identify(voice_buf_t *b, const char *token,
    uint32_t intents)
{
    voice_buf_printf(b, "{\"op\":%d,\"d\":{\"token\":",
                     VOICE_GATEWAY_OP_IDENTIFY);
    voice_buf_string(b, token);
    voice_buf_printf(b, ",\"intents\":%" PRIu32 ",\"properties\":{\"os\":"
                     "\"linux\",\"browser\":\"voicectl\",\"device\":"
                     "\"voicectl\"}}}", intents);
}


void
voice_gateway_ask_resume(voice_buf_t *b, const char *token,
    const char *session_id, uint64_t seq)
{
    voice_buf_printf(b, "{\"op\":%d,\"d\":{\"token\":",
                     VOICE_GATEWAY_OP_RESUME);
    voice_buf_string(b, token);
    voice_buf_puts(b, ",\"session_id\":");
    voice_buf_string(b, session_id);
    voice_buf_puts(b, ",\"seq\":");
    voice_buf_uint(b, seq);
    voice_buf_puts(b, "}}");
}


void
voice_gateway_ask_heartbeat(voice_buf_t *b, uint64_t seq)
{
    voice_buf_printf(b, "{\"op\":%d,\"d\":", VOICE_GATEWAY_OP_HEARTBEAT);

    if (seq != 0) {
        voice_buf_uint(b, seq);

    } else {
        voice_buf_puts(b, "null");
    }

    voice_buf_puts(b, "}");
}


void
voice_gateway_ask_voice_state(voice_buf_t *b,
    const voice_gateway_voice_state_t *vs)
{
    voice_buf_printf(b, "{\"op\":%d,\"d\":{\"guild_id\":",
                     VOICE_GATEWAY_OP_VOICE_STATE);
    voice_buf_id(b, vs->guild_id);
    voice_buf_puts(b, ",\"channel_id\":");
    voice_buf_id(b, vs->channel_id);
    voice_buf_puts(b, ",\"self_mute\":");
    voice_buf_bool(b, vs->self_mute);
    voice_buf_puts(b, ",\"self_deaf\":");
    voice_buf_bool(b, vs->self_deaf);
    voice_buf_puts(b, ",\"self_video\":");
    voice_buf_bool(b, vs->self_video);
    voice_buf_puts(b, ",\"self_stream\":");
    voice_buf_bool(b, vs->self_stream);
    voice_buf_puts(b, "}}");
}


void
voice_gateway_ask_voice_ping(voice_buf_t *b)
{
    voice_buf_printf(b, "{\"op\":%d,\"d\":null}",
                     VOICE_GATEWAY_OP_VOICE_PING);
}
