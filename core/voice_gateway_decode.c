/*
 * Copyright (C) ngx-voice contributors
 *
 * Messages of a client, decoded.
 */


#include "voice_gateway.h"

#include <string.h>


#define gateway_nelts(a)  (sizeof(a) / sizeof((a)[0]))


static const voice_field_t  identify_fields[] = {

    { "token", VOICE_FIELD_STRING, true,
      offsetof(voice_gateway_identify_t, token), 1, VOICE_USER_TOKEN_MAX,
      "d.token: a string of 1 to 8192 bytes is expected" },

    { "intents", VOICE_FIELD_U32, false,
      offsetof(voice_gateway_identify_t, intents), 0, UINT32_MAX,
      "d.intents: an integer below 2^32 is expected" },

    { "compress", VOICE_FIELD_BOOL, false,
      offsetof(voice_gateway_identify_t, compress), 0, 0,
      "d.compress: a boolean is expected" }
};


static const voice_field_t  voice_state_fields[] = {

    { "guild_id", VOICE_FIELD_ID, false,
      offsetof(voice_gateway_voice_state_t, guild_id), 0, 0,
      "d.guild_id: a snowflake or null is expected" },

    { "channel_id", VOICE_FIELD_ID, false,
      offsetof(voice_gateway_voice_state_t, channel_id), 0, 0,
      "d.channel_id: a snowflake or null is expected" },

    { "self_mute", VOICE_FIELD_BOOL, false,
      offsetof(voice_gateway_voice_state_t, self_mute), 0, 0,
      "d.self_mute: a boolean is expected" },

    { "self_deaf", VOICE_FIELD_BOOL, false,
      offsetof(voice_gateway_voice_state_t, self_deaf), 0, 0,
      "d.self_deaf: a boolean is expected" },

    { "self_video", VOICE_FIELD_BOOL, false,
      offsetof(voice_gateway_voice_state_t, self_video), 0, 0,
      "d.self_video: a boolean is expected" },

    { "self_stream", VOICE_FIELD_BOOL, false,
      offsetof(voice_gateway_voice_state_t, self_stream), 0, 0,
      "d.self_stream: a boolean is expected" }
};


static const voice_field_t  resume_fields[] = {

    { "token", VOICE_FIELD_STRING, true,
      offsetof(voice_gateway_resume_t, token), 1, VOICE_USER_TOKEN_MAX,
      "d.token: a string of 1 to 8192 bytes is expected" },

    { "session_id", VOICE_FIELD_STRING, true,
      offsetof(voice_gateway_resume_t, session_id), 1,
      VOICE_GATEWAY_SESSION_MAX,
      "d.session_id: a string of 1 to 64 bytes is expected" }
};


static const voice_field_t  members_fields[] = {

    { "limit", VOICE_FIELD_U32, false,
      offsetof(voice_gateway_members_t, limit), 0, UINT32_MAX,
      "d.limit: an integer below 2^32 is expected" },

    { "query", VOICE_FIELD_STRING, false,
      offsetof(voice_gateway_members_t, query), 0, VOICE_GATEWAY_QUERY_MAX,
      "d.query: a string of at most 400 bytes is expected" },

    { "presences", VOICE_FIELD_BOOL, false,
      offsetof(voice_gateway_members_t, presences), 0, 0,
      "d.presences: a boolean is expected" }
};


static const voice_field_t  op_field[] = {

    { "op", VOICE_FIELD_I32, true, 0, INT32_MIN, INT32_MAX,
      "op: an integer is expected" }
};


/* Section 6.1: some put in front what belongs into REST's header. */
static void
gateway_token(char *token)
{
    size_t  len;

    if (strncmp(token, "Bot ", 4) != 0) {
        return;
    }

    len = strlen(token + 4);
    memmove(token, token + 4, len);
    memset(token + len, 0, 4);
}


/* Some count from -1: nothing seen yet. */
static voice_err_t
gateway_seq(const voice_json_t *val, bool *has, uint64_t *seq)
{
    int64_t      n;
    voice_err_t  err;

    *has = false;
    *seq = 0;

    if (voice_json_absent(val)) {
        return VOICE_OK;
    }

    err = voice_json_int(val, -1, INT64_MAX, &n);
    if (err != VOICE_OK) {
        return err;
    }

    *has = n >= 0;
    *seq = *has ? (uint64_t) n : 0;

    return VOICE_OK;
}


static voice_err_t
gateway_heartbeat(const voice_json_t *d, voice_gateway_heartbeat_t *hb,
    const char **why)
{
    voice_err_t  err;

    err = gateway_seq(d, &hb->has_seq, &hb->seq);
    if (err != VOICE_OK) {
        *why = "d: an integer or null is expected";
    }

    return err;
}


static voice_err_t
gateway_qos_heartbeat(const voice_json_t *d, voice_gateway_heartbeat_t *hb,
    const char **why)
{
    voice_err_t   err;
    voice_json_t  seq;

    (void) voice_json_get(d, "seq", &seq);

    err = gateway_seq(&seq, &hb->has_seq, &hb->seq);
    if (err != VOICE_OK) {
        *why = "d.seq: an integer or null is expected";
    }

    return err;
}


static voice_err_t
gateway_shard_pair(const voice_json_t *d, voice_gateway_identify_t *id,
    const char **why)
{
    int64_t       shard, nshards;
    voice_err_t   err;
    voice_json_t  pair, item;

    (void) voice_json_get(d, "shard", &pair);

    if (voice_json_absent(&pair)) {
        return VOICE_OK;
    }

    *why = "d.shard: an array of two integers is expected";
    item.type = VOICE_JSON_ABSENT;

    if (!voice_json_next(&pair, &item)) {
        return VOICE_E_FORMAT;
    }

    err = voice_json_int(&item, 0, UINT32_MAX, &shard);
    if (err != VOICE_OK) {
        return err;
    }

    if (!voice_json_next(&pair, &item)) {
        return VOICE_E_FORMAT;
    }

    err = voice_json_int(&item, 1, UINT32_MAX, &nshards);
    if (err != VOICE_OK) {
        return err;
    }

    if (voice_json_next(&pair, &item)) {
        return VOICE_E_FORMAT;
    }

    id->has_shard = true;
    id->shard = (uint32_t) shard;
    id->nshards = (uint32_t) nshards;

    return VOICE_OK;
}


static voice_err_t
gateway_identify(const voice_json_t *d, voice_gateway_identify_t *id,
    const char **why)
{
    voice_err_t  err;

    id->intents = VOICE_INTENT_ALL;
    id->nshards = 1;

    err = voice_fields_read(d, identify_fields, gateway_nelts(identify_fields),
                            id, why);
    if (err != VOICE_OK) {
        return err;
    }

    gateway_token(id->token);

    return gateway_shard_pair(d, id, why);
}


static voice_err_t
gateway_resume(const voice_json_t *d, voice_gateway_resume_t *resume,
    const char **why)
{
    bool          has;
    voice_err_t   err;
    voice_json_t  seq;

    err = voice_fields_read(d, resume_fields, gateway_nelts(resume_fields),
                            resume, why);
    if (err != VOICE_OK) {
        return err;
    }

    gateway_token(resume->token);

    (void) voice_json_get(d, "seq", &seq);

    err = gateway_seq(&seq, &has, &resume->seq);
    if (err != VOICE_OK) {
        *why = "d.seq: an integer or null is expected";
    }

    return err;
}


/* One guild; as an array too, which old clients send. */
static voice_err_t
gateway_members_guild(const voice_json_t *d, uint64_t *guild_id,
    const char **why)
{
    voice_json_t  val, item;

    *why = "d.guild_id: a snowflake is expected";

    if (voice_json_get(d, "guild_id", &val) != VOICE_JSON_ARRAY) {
        return voice_json_id(&val, guild_id);
    }

    item.type = VOICE_JSON_ABSENT;

    if (!voice_json_next(&val, &item)) {
        return VOICE_E_FORMAT;
    }

    if (voice_json_id(&item, guild_id) != VOICE_OK
        || voice_json_next(&val, &item))
    {
        return VOICE_E_FORMAT;
    }

    return VOICE_OK;
}


static voice_err_t
gateway_members_users(const voice_json_t *d, voice_gateway_members_t *members,
    const char **why)
{
    voice_err_t   err;
    voice_json_t  val, item;

    (void) voice_json_get(d, "user_ids", &val);

    if (voice_json_absent(&val)) {
        return VOICE_OK;
    }

    *why = "d.user_ids: a snowflake or an array of at most 100 is expected";

    if (val.type != VOICE_JSON_ARRAY) {
        members->nusers = 1;
        return voice_json_id(&val, &members->user_id[0]);
    }

    item.type = VOICE_JSON_ABSENT;

    while (voice_json_next(&val, &item)) {
        if (members->nusers == VOICE_GATEWAY_USERS_MAX) {
            return VOICE_E_RANGE;
        }

        err = voice_json_id(&item, &members->user_id[members->nusers++]);
        if (err != VOICE_OK) {
            return err;
        }
    }

    return VOICE_OK;
}


/* Section 12.2; a nonce that is too long is left out of the answer. */
static voice_err_t
gateway_members(const voice_json_t *d, voice_gateway_members_t *members,
    const char **why)
{
    voice_err_t   err;
    voice_json_t  val;

    err = gateway_members_guild(d, &members->guild_id, why);
    if (err != VOICE_OK) {
        return err;
    }

    err = voice_fields_read(d, members_fields, gateway_nelts(members_fields),
                            members, why);
    if (err != VOICE_OK) {
        return err;
    }

    members->has_query =
        voice_json_get(d, "query", &val) == VOICE_JSON_STRING;

    (void) voice_json_get(d, "nonce", &val);

    if (voice_json_string(&val, members->nonce, sizeof(members->nonce))
        != VOICE_OK)
    {
        memset(members->nonce, 0, sizeof(members->nonce));
    }

    return gateway_members_users(d, members, why);
}


static voice_err_t
gateway_body(const voice_json_t *d, voice_gateway_msg_t *msg,
    const char **why)
{
    switch (msg->op) {

    case VOICE_GATEWAY_OP_IDENTIFY:
        return gateway_identify(d, &msg->d.identify, why);

    case VOICE_GATEWAY_OP_VOICE_STATE:
        return voice_fields_read(d, voice_state_fields,
                                 gateway_nelts(voice_state_fields),
                                 &msg->d.voice_state, why);

    case VOICE_GATEWAY_OP_RESUME:
        return gateway_resume(d, &msg->d.resume, why);

    case VOICE_GATEWAY_OP_MEMBERS:
        return gateway_members(d, &msg->d.members, why);

    default:
        return gateway_qos_heartbeat(d, &msg->d.heartbeat, why);
    }
}


static bool
gateway_has_object(int op)
{
    return op == VOICE_GATEWAY_OP_IDENTIFY
           || op == VOICE_GATEWAY_OP_VOICE_STATE
           || op == VOICE_GATEWAY_OP_RESUME
           || op == VOICE_GATEWAY_OP_MEMBERS
           || op == VOICE_GATEWAY_OP_QOS_HEARTBEAT;
}


static voice_err_t
gateway_decode(const char *text, size_t len, voice_gateway_msg_t *msg,
    const char **why)
{
    int32_t       op;
    voice_err_t   err;
    voice_json_t  root, d;

    err = voice_json_parse(text, len, &root, why);
    if (err != VOICE_OK) {
        return err;
    }

    if (root.type != VOICE_JSON_OBJECT) {
        *why = "an object is expected";
        return VOICE_E_FORMAT;
    }

    err = voice_fields_read(&root, op_field, 1, &op, why);
    if (err != VOICE_OK) {
        return err;
    }

    msg->op = op;

    if (voice_json_get(&root, "d", &d) == VOICE_JSON_TWICE) {
        *why = "d: stands there more than once";
        return VOICE_E_FORMAT;
    }

    if (op == VOICE_GATEWAY_OP_HEARTBEAT) {
        return gateway_heartbeat(&d, &msg->d.heartbeat, why);
    }

    if (!gateway_has_object(op)) {
        return VOICE_OK;
    }

    if (d.type != VOICE_JSON_OBJECT) {
        *why = "d: an object is expected";
        return VOICE_E_FORMAT;
    }

    return gateway_body(&d, msg, why);
}


voice_err_t
voice_gateway_msg_decode(const char *text, size_t len,
    voice_gateway_msg_t *msg, const char **why)
{
    voice_err_t          err;
    voice_gateway_msg_t  m;

    if (len > VOICE_GATEWAY_MESSAGE_MAX) {
        *why = "longer than 16384 bytes";
        return VOICE_E_LENGTH;
    }

    memset(&m, 0, sizeof(m));

    err = gateway_decode(text, len, &m, why);
    if (err != VOICE_OK) {
        return err;
    }

    *msg = m;

    return VOICE_OK;
}
