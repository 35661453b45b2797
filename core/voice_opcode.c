/*
 * Copyright (C) ngx-voice contributors
 *
 * Messages of a client, decoded.
 */


#include "voice_opcode.h"
#include "voice_json.h"

#include <string.h>


#define opcode_nelts(a)  (sizeof(a) / sizeof((a)[0]))


static const voice_field_t  identify_fields[] = {

    { "server_id", VOICE_FIELD_ID, true,
      offsetof(voice_op_identify_t, guild_id), 0, 0,
      "d.server_id: a snowflake is expected" },

    { "channel_id", VOICE_FIELD_ID, false,
      offsetof(voice_op_identify_t, channel_id), 0, 0,
      "d.channel_id: a snowflake is expected" },

    { "user_id", VOICE_FIELD_ID, true,
      offsetof(voice_op_identify_t, user_id), 0, 0,
      "d.user_id: a snowflake is expected" },

    { "session_id", VOICE_FIELD_STRING, true,
      offsetof(voice_op_identify_t, session_id), 1, VOICE_SESSION_ID_MAX,
      "d.session_id: a string of 1 to 64 bytes is expected" },

    { "token", VOICE_FIELD_STRING, true,
      offsetof(voice_op_identify_t, token), 1, VOICE_TOKEN_MAX,
      "d.token: a string of 1 to 2048 bytes is expected" },

    { "max_dave_protocol_version", VOICE_FIELD_I32, false,
      offsetof(voice_op_identify_t, max_dave_version), 0, UINT16_MAX,
      "d.max_dave_protocol_version: an integer of 0 to 65535 is expected" },

    { "video", VOICE_FIELD_BOOL, false,
      offsetof(voice_op_identify_t, video), 0, 0,
      "d.video: a boolean is expected" }
};


static const voice_field_t  resume_fields[] = {

    { "server_id", VOICE_FIELD_ID, true,
      offsetof(voice_op_resume_t, guild_id), 0, 0,
      "d.server_id: a snowflake is expected" },

    { "channel_id", VOICE_FIELD_ID, false,
      offsetof(voice_op_resume_t, channel_id), 0, 0,
      "d.channel_id: a snowflake is expected" },

    { "session_id", VOICE_FIELD_STRING, true,
      offsetof(voice_op_resume_t, session_id), 1, VOICE_SESSION_ID_MAX,
      "d.session_id: a string of 1 to 64 bytes is expected" },

    { "token", VOICE_FIELD_STRING, true,
      offsetof(voice_op_resume_t, token), 1, VOICE_TOKEN_MAX,
      "d.token: a string of 1 to 2048 bytes is expected" }
};


static const voice_field_t  speaking_fields[] = {

    { "speaking", VOICE_FIELD_MASK, true,
      offsetof(voice_op_speaking_t, speaking), 0, UINT32_MAX,
      "d.speaking: a boolean or a 32-bit mask is expected" },

    { "ssrc", VOICE_FIELD_U32, false,
      offsetof(voice_op_speaking_t, ssrc), 0, UINT32_MAX,
      "d.ssrc: an integer below 2^32 is expected" }
};


static const voice_field_t  seq_ack_field[] = {

    { "seq_ack", VOICE_FIELD_I32, false, 0, -1, UINT16_MAX,
      "d.seq_ack: an integer of -1 to 65535 is expected" }
};


static const voice_field_t  op_field[] = {

    { "op", VOICE_FIELD_I32, true, 0, INT32_MIN, INT32_MAX,
      "op: an integer is expected" }
};


/* Absent, null and -1 are one: nothing numbered has come yet. */
static voice_err_t
opcode_seq_ack(const voice_json_t *d, bool *has, int32_t *seq_ack,
    const char **why)
{
    int32_t      n;
    voice_err_t  err;

    n = -1;

    err = voice_fields_read(d, seq_ack_field, 1, &n, why);
    if (err != VOICE_OK) {
        return err;
    }

    *has = n >= 0;
    *seq_ack = *has ? n : 0;

    return VOICE_OK;
}


static voice_err_t
opcode_object(const voice_json_t *d, const char **why)
{
    if (d->type != VOICE_JSON_OBJECT) {
        *why = "d: an object is expected";
        return VOICE_E_FORMAT;
    }

    return VOICE_OK;
}


static voice_err_t
opcode_identify(const voice_json_t *d, voice_op_identify_t *id,
    const char **why)
{
    voice_err_t  err;

    err = opcode_object(d, why);
    if (err != VOICE_OK) {
        return err;
    }

    return voice_fields_read(d, identify_fields, opcode_nelts(identify_fields),
                             id, why);
}


static voice_err_t
opcode_resume(const voice_json_t *d, voice_op_resume_t *resume,
    const char **why)
{
    voice_err_t  err;

    err = opcode_object(d, why);
    if (err != VOICE_OK) {
        return err;
    }

    err = voice_fields_read(d, resume_fields, opcode_nelts(resume_fields),
                            resume, why);
    if (err != VOICE_OK) {
        return err;
    }

    return opcode_seq_ack(d, &resume->has_seq_ack, &resume->seq_ack, why);
}


static voice_err_t
opcode_speaking(const voice_json_t *d, voice_op_speaking_t *speaking,
    const char **why)
{
    voice_err_t  err;

    err = opcode_object(d, why);
    if (err != VOICE_OK) {
        return err;
    }

    return voice_fields_read(d, speaking_fields, opcode_nelts(speaking_fields),
                             speaking, why);
}


/*
 * A name that is longer than any of ours is no error of decoding: the caller
 * closes with 4012 or 4016, as for any other name that it does not know.
 */
static voice_err_t
opcode_name(const voice_json_t *val, char *buf, size_t size)
{
    voice_err_t  err;

    err = voice_json_string(val, buf, size);
    if (err != VOICE_E_RANGE) {
        return err;
    }

    memcpy(buf, "unknown", sizeof("unknown"));

    return VOICE_OK;
}


/* A field of data; old clients have it at the top level of d, section 4.4. */
static void
opcode_select_get(const voice_json_t *d, const voice_json_t *data,
    const char *key, voice_json_t *val)
{
    if (voice_json_get(data, key, val) == VOICE_JSON_ABSENT) {
        (void) voice_json_get(d, key, val);
    }
}


/*
 * Only a hint, section 4.4: libraries that were confused by an early packet
 * send anything here, so an address that can't be one is left out.
 */
static voice_err_t
opcode_select_address(const voice_json_t *val, char *address, const char **why)
{
    if (voice_json_absent(val)) {
        return VOICE_OK;
    }

    if (val->type != VOICE_JSON_STRING) {
        *why = "d.data.address: a string is expected";
        return VOICE_E_FORMAT;
    }

    (void) voice_json_string(val, address, VOICE_ADDRESS_MAX);

    return VOICE_OK;
}


static voice_err_t
opcode_select_port(const voice_json_t *val, uint16_t *port, const char **why)
{
    int64_t      n;
    voice_err_t  err;

    if (voice_json_absent(val)) {
        return VOICE_OK;
    }

    err = voice_json_int(val, 0, UINT16_MAX, &n);
    if (err != VOICE_OK) {
        *why = "d.data.port: an integer of 0 to 65535 is expected";
        return err;
    }

    *port = (uint16_t) n;

    return VOICE_OK;
}


static voice_err_t
opcode_select_udp(const voice_json_t *d, voice_op_select_t *sel,
    const char **why)
{
    voice_err_t   err;
    voice_json_t  data, val;

    (void) voice_json_get(d, "data", &data);

    if (data.type != VOICE_JSON_OBJECT && !voice_json_absent(&data)) {
        *why = "d.data: an object is expected";
        return VOICE_E_FORMAT;
    }

    opcode_select_get(d, &data, "mode", &val);

    err = opcode_name(&val, sel->mode, sizeof(sel->mode));
    if (err != VOICE_OK) {
        *why = "d.data.mode: a string is expected";
        return err;
    }

    opcode_select_get(d, &data, "port", &val);

    err = opcode_select_port(&val, &sel->port, why);
    if (err != VOICE_OK) {
        return err;
    }

    opcode_select_get(d, &data, "address", &val);

    return opcode_select_address(&val, sel->address, why);
}


static voice_err_t
opcode_select(const voice_json_t *d, voice_op_select_t *sel, const char **why)
{
    voice_err_t   err;
    voice_json_t  protocol;

    err = opcode_object(d, why);
    if (err != VOICE_OK) {
        return err;
    }

    (void) voice_json_get(d, "protocol", &protocol);

    err = opcode_name(&protocol, sel->protocol, sizeof(sel->protocol));
    if (err != VOICE_OK) {
        *why = "d.protocol: a string is expected";
        return err;
    }

    if (strcmp(sel->protocol, "udp") != 0) {
        return VOICE_OK;
    }

    return opcode_select_udp(d, sel, why);
}


/* Section 4.7: the token goes back verbatim, so it stays text. */
static voice_err_t
opcode_heartbeat_token(const voice_json_t *val, voice_op_heartbeat_t *hb,
    const char **why)
{
    size_t  len;

    if (voice_json_absent(val)) {
        memcpy(hb->token, "null", sizeof("null"));
        return VOICE_OK;
    }

    if (val->type != VOICE_JSON_NUMBER) {
        *why = hb->object ? "d.t: a number is expected"
                          : "d: a number or an object is expected";
        return VOICE_E_FORMAT;
    }

    len = (size_t) (val->end - val->start);

    if (len >= sizeof(hb->token)) {
        *why = hb->object ? "d.t: a number of at most 31 digits is expected"
                          : "d: a number of at most 31 digits is expected";
        return VOICE_E_RANGE;
    }

    memcpy(hb->token, val->start, len);
    hb->token[len] = '\0';

    return VOICE_OK;
}


static voice_err_t
opcode_heartbeat(const voice_json_t *d, voice_op_heartbeat_t *hb,
    const char **why)
{
    voice_err_t   err;
    voice_json_t  t;

    hb->object = d->type == VOICE_JSON_OBJECT;

    if (!hb->object) {
        return opcode_heartbeat_token(d, hb, why);
    }

    (void) voice_json_get(d, "t", &t);

    err = opcode_heartbeat_token(&t, hb, why);
    if (err != VOICE_OK) {
        return err;
    }

    return opcode_seq_ack(d, &hb->has_seq_ack, &hb->seq_ack, why);
}


static voice_err_t
opcode_body(const voice_json_t *d, voice_client_msg_t *msg, const char **why)
{
    if (d->type == VOICE_JSON_TWICE) {
        *why = "d: stands there more than once";
        return VOICE_E_FORMAT;
    }

    switch (msg->op) {

    case VOICE_OP_IDENTIFY:
        return opcode_identify(d, &msg->d.identify, why);

    case VOICE_OP_SELECT_PROTOCOL:
        return opcode_select(d, &msg->d.select, why);

    case VOICE_OP_HEARTBEAT:
        return opcode_heartbeat(d, &msg->d.heartbeat, why);

    case VOICE_OP_SPEAKING:
        return opcode_speaking(d, &msg->d.speaking, why);

    case VOICE_OP_RESUME:
        return opcode_resume(d, &msg->d.resume, why);

    default:
        return VOICE_OK;
    }
}


voice_err_t
voice_client_msg_decode(const char *text, size_t len, voice_client_msg_t *msg,
    const char **why)
{
    int32_t             op;
    voice_err_t         err;
    voice_json_t        root, d;
    voice_client_msg_t  m;

    if (len > VOICE_MESSAGE_MAX) {
        *why = "longer than 4096 bytes";
        return VOICE_E_LENGTH;
    }

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

    memset(&m, 0, sizeof(m));
    m.op = op;

    (void) voice_json_get(&root, "d", &d);

    err = opcode_body(&d, &m, why);
    if (err != VOICE_OK) {
        return err;
    }

    *msg = m;

    return VOICE_OK;
}
