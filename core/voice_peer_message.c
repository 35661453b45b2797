/*
 * Copyright (C) ngx-voice contributors
 */


#include "voice_peer_message.h"

#include <string.h>


#define voice_peer_fields(f)   (sizeof(f) / sizeof((f)[0]))


/* Numbers of 64 bits are strings, of which 0 is the absent one. */

static const voice_field_t  voice_peer_message_fields[] = {

    { "v", VOICE_FIELD_U32, true,
      offsetof(voice_peer_message_t, v), 1, 1,
      "v: 1 is expected" },

    { "from", VOICE_FIELD_STRING, true,
      offsetof(voice_peer_message_t, from), 1, VOICE_PEER_NAME_MAX,
      "from: the name of a node is expected" },

    { "boot", VOICE_FIELD_STRING, true,
      offsetof(voice_peer_message_t, boot), 1, VOICE_PEER_BOOT_MAX,
      "boot: a boot id is expected" },

    { "prev", VOICE_FIELD_DECIMAL_ID, false,
      offsetof(voice_peer_message_t, prev), 0, 0,
      "prev: a number as a string is expected" },

    { "seq", VOICE_FIELD_DECIMAL_ID, false,
      offsetof(voice_peer_message_t, seq), 0, 0,
      "seq: a number as a string is expected" },

    { "sync", VOICE_FIELD_U32, false,
      offsetof(voice_peer_message_t, sync), 0, 3,
      "sync: 0 to 3 is expected" },

    { "digest", VOICE_FIELD_DECIMAL_ID, false,
      offsetof(voice_peer_message_t, digest), 0, 0,
      "digest: a number as a string is expected" },

    { "count", VOICE_FIELD_U32, false,
      offsetof(voice_peer_message_t, count), 0, UINT32_MAX,
      "count: a number is expected" }
};


static const voice_field_t  voice_peer_offer_fields[] = {

    { "g", VOICE_FIELD_DECIMAL_ID, true,
      offsetof(voice_store_version_t, id), 0, 0,
      "g: a snowflake as a string is expected" },

    { "r", VOICE_FIELD_DECIMAL_ID, true,
      offsetof(voice_store_version_t, revision), 0, 0,
      "r: a revision as a string is expected" },

    { "h", VOICE_FIELD_DECIMAL_ID, false,
      offsetof(voice_store_version_t, digest), 0, 0,
      "h: a digest as a string is expected" }
};


static const voice_field_t  voice_peer_guild_fields[] = {

    { "g", VOICE_FIELD_DECIMAL_ID, true,
      offsetof(voice_peer_guild_t, id), 0, 0,
      "g: a snowflake as a string is expected" },

    { "r", VOICE_FIELD_DECIMAL_ID, true,
      offsetof(voice_peer_guild_t, revision), 0, 0,
      "r: a revision as a string is expected" }
};


static const voice_field_t  voice_peer_state_fields[] = {

    { "g", VOICE_FIELD_DECIMAL_ID, true,
      offsetof(voice_state_info_t, guild_id), 0, 0,
      "g: a snowflake as a string is expected" },

    { "u", VOICE_FIELD_DECIMAL_ID, true,
      offsetof(voice_state_info_t, user_id), 0, 0,
      "u: a snowflake as a string is expected" },

    { "c", VOICE_FIELD_DECIMAL_ID, false,
      offsetof(voice_state_info_t, channel_id), 0, 0,
      "c: a snowflake as a string is expected" },

    { "s", VOICE_FIELD_STRING, false,
      offsetof(voice_state_info_t, session_id), 1, VOICE_SESSION_ID_MAX,
      "s: a session id is expected" },

    { "f", VOICE_FIELD_U32, false,
      offsetof(voice_state_info_t, flags), 0, UINT32_MAX,
      "f: flags are expected" },

    { "r", VOICE_FIELD_DECIMAL_ID, false,
      offsetof(voice_state_info_t, request_to_speak), 0, 0,
      "r: a time as a string is expected" },

    { "n", VOICE_FIELD_U32, false,
      offsetof(voice_state_info_t, claim), 0, VOICE_STATE_CLAIM_MAX,
      "n: a claim is expected" }
};


static const voice_field_t  voice_peer_answer_fields[] = {

    { "v", VOICE_FIELD_U32, true,
      offsetof(voice_peer_answer_t, v), 1, 1,
      "v: 1 is expected" },

    { "seq", VOICE_FIELD_DECIMAL_ID, false,
      offsetof(voice_peer_answer_t, seq), 0, 0,
      "seq: a number as a string is expected" },

    { "sync", VOICE_FIELD_BOOL, false,
      offsetof(voice_peer_answer_t, sync), 0, 0,
      "sync: a boolean is expected" },

    { "refused", VOICE_FIELD_U32, false,
      offsetof(voice_peer_answer_t, refused), 0, UINT32_MAX,
      "refused: a number is expected" },

    { "want", VOICE_FIELD_DECIMAL_ID, false,
      offsetof(voice_peer_answer_t, want), 0, 0,
      "want: bits of offers, as a number in a string, are expected" },

    { "guilds", VOICE_FIELD_BOOL, false,
      offsetof(voice_peer_answer_t, guilds), 0, 0,
      "guilds: a boolean is expected" }
};


static void
voice_peer_put_number(voice_buf_t *b, const char *key, uint64_t n)
{
    if (n != 0) {
        voice_buf_printf(b, ",\"%s\":\"%llu\"", key, (unsigned long long) n);
    }
}


void
voice_peer_put_begin(voice_buf_t *b, const voice_peer_message_t *m)
{
    voice_buf_puts(b, "{\"v\":1,\"from\":");
    voice_buf_string(b, m->from);
    voice_buf_puts(b, ",\"boot\":");
    voice_buf_string(b, m->boot);

    voice_peer_put_number(b, "prev", m->prev);
    voice_peer_put_number(b, "seq", m->seq);

    if (m->is_sync) {
        voice_buf_printf(b, ",\"sync\":%u", m->sync);
    }

    if (m->has_digest) {
        voice_peer_put_number(b, "digest", m->digest);
        voice_buf_printf(b, ",\"count\":%u", m->count);
    }

    if (m->has_guilds) {
        voice_buf_printf(b, ",\"guilds\":\"%llu\"",
                         (unsigned long long) m->guilds);
    }

    voice_buf_puts(b, ",\"states\":[");
}


void
voice_peer_put_state(voice_buf_t *b, const voice_state_info_t *info,
    bool first)
{
    voice_buf_printf(b, "%s{\"g\":\"%llu\",\"u\":\"%llu\"", first ? "" : ",",
                     (unsigned long long) info->guild_id,
                     (unsigned long long) info->user_id);

    voice_peer_put_number(b, "c", info->channel_id);
    voice_peer_put_number(b, "r", info->request_to_speak);

    if (info->session_id[0] != '\0') {
        voice_buf_puts(b, ",\"s\":");
        voice_buf_string(b, info->session_id);
    }

    if (info->claim != 0) {
        voice_buf_printf(b, ",\"n\":%u", info->claim);
    }

    voice_buf_printf(b, ",\"f\":%u}", info->flags);
}


void
voice_peer_put_orders(voice_buf_t *b)
{
    voice_buf_puts(b, "],\"orders\":[");
}


void
voice_peer_put_end(voice_buf_t *b)
{
    voice_buf_puts(b, "]}");
}


void
voice_peer_put_offers(voice_buf_t *b, const voice_store_version_t *list,
    size_t n)
{
    size_t  i;

    voice_buf_puts(b, "],\"offers\":[");

    for (i = 0; i < n; i++) {
        voice_buf_printf(b, "%s{\"g\":\"%llu\",\"r\":\"%llu\"",
                         i == 0 ? "" : ",", (unsigned long long) list[i].id,
                         (unsigned long long) list[i].revision);
        voice_peer_put_number(b, "h", list[i].digest);
        voice_buf_puts(b, "}");
    }
}


void
voice_peer_put_guild(voice_buf_t *b, const voice_peer_guild_t *guild)
{
    voice_buf_printf(b, "],\"guild\":{\"g\":\"%llu\",\"r\":\"%llu\"",
                     (unsigned long long) guild->id,
                     (unsigned long long) guild->revision);

    if (guild->text != NULL) {
        voice_buf_puts(b, ",\"text\":");
        voice_buf_put(b, guild->text, guild->len);
    }

    voice_buf_puts(b, "}}");
}


static bool
voice_peer_part(const voice_json_t *object, const char *key,
    voice_json_type_t expected, voice_json_t *part)
{
    voice_json_type_t  type;

    type = voice_json_get(object, key, part);

    return type == expected || type == VOICE_JSON_ABSENT;
}


static voice_err_t
voice_peer_parts(const voice_json_t *object, voice_peer_parts_t *parts,
    const char **why)
{
    if (!voice_peer_part(object, "states", VOICE_JSON_ARRAY, &parts->states)
        || !voice_peer_part(object, "orders", VOICE_JSON_ARRAY,
                            &parts->orders)
        || !voice_peer_part(object, "offers", VOICE_JSON_ARRAY,
                            &parts->offers))
    {
        *why = "states, orders and offers: arrays are expected";
        return VOICE_E_FORMAT;
    }

    if (!voice_peer_part(object, "guild", VOICE_JSON_OBJECT, &parts->guild)) {
        *why = "guild: an object is expected";
        return VOICE_E_FORMAT;
    }

    return VOICE_OK;
}


/* One that may be 0. */

static voice_err_t
voice_peer_guilds(const voice_json_t *object, voice_peer_message_t *m,
    const char **why)
{
    voice_json_t  value;

    if (voice_json_get(object, "guilds", &value) == VOICE_JSON_ABSENT) {
        return VOICE_OK;
    }

    m->has_guilds = true;
    *why = "guilds: a number as a string is expected";

    return voice_json_decimal(&value, &m->guilds);
}


/* It is said in logs before anything is known of who sent it. */

static voice_err_t
voice_peer_from(const voice_peer_message_t *m, const char **why)
{
    static const char  letters[] = "abcdefghijklmnopqrstuvwxyz0123456789-";

    if (m->from[strspn(m->from, letters)] != '\0') {
        *why = "from: the name of a node is expected, of a-z, 0-9 and -";
        return VOICE_E_RANGE;
    }

    return VOICE_OK;
}


voice_err_t
voice_peer_message_decode(const char *text, size_t len,
    voice_peer_message_t *m, voice_peer_parts_t *parts, const char **why)
{
    voice_err_t           err;
    voice_json_t          object, value;
    voice_peer_message_t  got;

    err = voice_json_parse(text, len, &object, why);

    if (err != VOICE_OK) {
        return err;
    }

    memset(&got, 0, sizeof(got));

    err = voice_fields_read(&object, voice_peer_message_fields,
                            voice_peer_fields(voice_peer_message_fields),
                            &got, why);

    if (err == VOICE_OK) {
        err = voice_peer_from(&got, why);
    }

    if (err == VOICE_OK) {
        err = voice_peer_guilds(&object, &got, why);
    }

    if (err == VOICE_OK) {
        err = voice_peer_parts(&object, parts, why);
    }

    if (err != VOICE_OK) {
        return err;
    }

    got.is_sync = voice_json_get(&object, "sync", &value)
                  != VOICE_JSON_ABSENT;
    got.has_digest = voice_json_get(&object, "count", &value)
                     != VOICE_JSON_ABSENT;
    *m = got;

    return VOICE_OK;
}


voice_err_t
voice_peer_state_decode(const voice_json_t *item, voice_state_info_t *info,
    const char **why)
{
    voice_err_t         err;
    voice_state_info_t  got;

    memset(&got, 0, sizeof(got));

    err = voice_fields_read(item, voice_peer_state_fields,
                            voice_peer_fields(voice_peer_state_fields), &got,
                            why);
    if (err == VOICE_OK) {
        *info = got;
    }

    return err;
}


voice_err_t
voice_peer_offer_decode(const voice_json_t *item,
    voice_store_version_t *version, const char **why)
{
    voice_err_t            err;
    voice_store_version_t  got;

    memset(&got, 0, sizeof(got));

    err = voice_fields_read(item, voice_peer_offer_fields,
                            voice_peer_fields(voice_peer_offer_fields), &got,
                            why);
    if (err == VOICE_OK) {
        *version = got;
    }

    return err;
}


voice_err_t
voice_peer_guild_decode(const voice_json_t *value, voice_peer_guild_t *guild,
    const char **why)
{
    voice_err_t         err;
    voice_json_t        text;
    voice_peer_guild_t  got;

    memset(&got, 0, sizeof(got));

    err = voice_fields_read(value, voice_peer_guild_fields,
                            voice_peer_fields(voice_peer_guild_fields), &got,
                            why);
    if (err != VOICE_OK) {
        return err;
    }

    if (!voice_peer_part(value, "text", VOICE_JSON_OBJECT, &text)) {
        *why = "text: an object is expected";
        return VOICE_E_FORMAT;
    }

    if (text.type == VOICE_JSON_OBJECT) {
        got.text = text.start;
        got.len = (size_t) (text.end - text.start);
    }

    *guild = got;

    return VOICE_OK;
}


void
voice_peer_put_answer(voice_buf_t *b, const voice_peer_answer_t *a)
{
    voice_buf_puts(b, "{\"v\":1");
    voice_peer_put_number(b, "seq", a->seq);
    voice_buf_printf(b, ",\"sync\":%s,\"refused\":%u",
                     a->sync ? "true" : "false", a->refused);
    voice_peer_put_number(b, "want", a->want);
    voice_buf_printf(b, ",\"guilds\":%s}", a->guilds ? "true" : "false");
}


voice_err_t
voice_peer_answer_decode(const char *text, size_t len,
    voice_peer_answer_t *a, const char **why)
{
    voice_err_t          err;
    voice_json_t         object;
    voice_peer_answer_t  got;

    err = voice_json_parse(text, len, &object, why);

    if (err != VOICE_OK) {
        return err;
    }

    memset(&got, 0, sizeof(got));

    err = voice_fields_read(&object, voice_peer_answer_fields,
                            voice_peer_fields(voice_peer_answer_fields), &got,
                            why);
    if (err == VOICE_OK) {
        *a = got;
    }

    return err;
}
