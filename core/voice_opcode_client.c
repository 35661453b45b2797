/*
 * Copyright (C) ngx-voice contributors
 *
 * The client's side: its messages encoded, those of the server decoded.
 */


#include "voice_opcode.h"
#include "voice_json.h"

#include <inttypes.h>
#include <string.h>


/* a list of everybody in a full room is the longest there is */
#define CLIENT_SERVER_MESSAGE_MAX   65536

#define client_nelts(a)  (sizeof(a) / sizeof((a)[0]))


static const voice_field_t  hello_fields[] = {

    { "heartbeat_interval", VOICE_FIELD_U32, true,
      offsetof(voice_server_msg_t, heartbeat_interval), 1, UINT32_MAX,
      "d.heartbeat_interval: milliseconds above 0 are expected" }
};


static const voice_field_t  ready_fields[] = {

    { "ssrc", VOICE_FIELD_U32, true,
      offsetof(voice_server_msg_t, ssrc), 1, UINT32_MAX,
      "d.ssrc: an integer of 1 to 2^32 - 1 is expected" },

    { "ip", VOICE_FIELD_STRING, true,
      offsetof(voice_server_msg_t, ip), 1, VOICE_ADDRESS_MAX - 1,
      "d.ip: a string of 1 to 63 bytes is expected" },

    { "port", VOICE_FIELD_U16, true,
      offsetof(voice_server_msg_t, port), 1, UINT16_MAX,
      "d.port: an integer of 1 to 65535 is expected" },

    { "heartbeat_interval", VOICE_FIELD_U32, false,
      offsetof(voice_server_msg_t, heartbeat_interval), 1, UINT32_MAX,
      "d.heartbeat_interval: milliseconds above 0 are expected" }
};


static const voice_field_t  speaking_fields[] = {

    { "user_id", VOICE_FIELD_ID, true,
      offsetof(voice_server_msg_t, user_id), 0, 0,
      "d.user_id: a snowflake is expected" },

    { "ssrc", VOICE_FIELD_U32, true,
      offsetof(voice_server_msg_t, ssrc), 0, UINT32_MAX,
      "d.ssrc: an integer below 2^32 is expected" },

    { "speaking", VOICE_FIELD_MASK, true,
      offsetof(voice_server_msg_t, speaking), 0, UINT32_MAX,
      "d.speaking: a boolean or a 32-bit mask is expected" }
};


static const voice_field_t  disconnect_fields[] = {

    { "user_id", VOICE_FIELD_ID, true,
      offsetof(voice_server_msg_t, user_id), 0, 0,
      "d.user_id: a snowflake is expected" }
};


static const voice_field_t  envelope_fields[] = {

    { "op", VOICE_FIELD_I32, true,
      offsetof(voice_server_msg_t, op), INT32_MIN, INT32_MAX,
      "op: an integer is expected" },

    { "seq", VOICE_FIELD_I32, false,
      offsetof(voice_server_msg_t, seq), 0, UINT16_MAX,
      "seq: an integer of 0 to 65535 is expected" }
};


/* Modes that we don't know are passed over: newer servers have more. */
static voice_err_t
client_modes(const voice_json_t *d, voice_server_msg_t *msg,
    const char **why)
{
    char          name[VOICE_MODE_NAME_MAX];
    voice_err_t   err;
    voice_mode_t  mode;
    voice_json_t  array, item;

    *why = "d.modes: an array of strings is expected";

    if (voice_json_get(d, "modes", &array) != VOICE_JSON_ARRAY) {
        return VOICE_E_FORMAT;
    }

    memset(&item, 0, sizeof(item));

    while (voice_json_next(&array, &item)) {
        err = voice_json_string(&item, name, sizeof(name));
        if (err == VOICE_E_FORMAT) {
            return err;
        }

        if (voice_mode_parse(name, strlen(name), &mode) == VOICE_OK) {
            if (msg->modes == 0) {
                msg->mode = mode;
            }

            msg->modes |= 1u << mode;
        }
    }

    return VOICE_OK;
}


static voice_err_t
client_ready(const voice_json_t *d, voice_server_msg_t *msg, const char **why)
{
    voice_err_t  err;

    err = voice_fields_read(d, ready_fields, client_nelts(ready_fields), msg,
                            why);
    if (err != VOICE_OK) {
        return err;
    }

    return client_modes(d, msg, why);
}


static voice_err_t
client_secret_key(const voice_json_t *d, uint8_t key[VOICE_KEY_LEN],
    const char **why)
{
    size_t        n;
    int64_t       byte;
    voice_err_t   err;
    voice_json_t  array, item;

    *why = "d.secret_key: an array of 32 bytes is expected";

    if (voice_json_get(d, "secret_key", &array) != VOICE_JSON_ARRAY) {
        return VOICE_E_FORMAT;
    }

    memset(&item, 0, sizeof(item));

    for (n = 0; voice_json_next(&array, &item); n++) {
        if (n == VOICE_KEY_LEN) {
            return VOICE_E_RANGE;
        }

        err = voice_json_int(&item, 0, UINT8_MAX, &byte);
        if (err != VOICE_OK) {
            return err;
        }

        key[n] = (uint8_t) byte;
    }

    return n == VOICE_KEY_LEN ? VOICE_OK : VOICE_E_RANGE;
}


static voice_err_t
client_session_description(const voice_json_t *d, voice_server_msg_t *msg,
    const char **why)
{
    char          name[VOICE_MODE_NAME_MAX];
    voice_err_t   err;
    voice_json_t  val;

    (void) voice_json_get(d, "mode", &val);

    err = voice_json_string(&val, name, sizeof(name));

    if (err == VOICE_OK
        && voice_mode_parse(name, strlen(name), &msg->mode) != VOICE_OK)
    {
        err = VOICE_E_RANGE;
    }

    if (err != VOICE_OK) {
        *why = "d.mode: the name of an encryption mode is expected";
        return err;
    }

    return client_secret_key(d, msg->key, why);
}


static voice_err_t
client_body(const voice_json_t *d, voice_server_msg_t *msg, const char **why)
{
    switch (msg->op) {

    case VOICE_OP_READY:
        return client_ready(d, msg, why);

    case VOICE_OP_SESSION_DESCRIPTION:
        return client_session_description(d, msg, why);

    case VOICE_OP_SPEAKING:
        return voice_fields_read(d, speaking_fields,
                                 client_nelts(speaking_fields), msg, why);

    case VOICE_OP_HELLO:
        return voice_fields_read(d, hello_fields, client_nelts(hello_fields),
                                 msg, why);

    case VOICE_OP_CLIENT_DISCONNECT:
        return voice_fields_read(d, disconnect_fields,
                                 client_nelts(disconnect_fields), msg, why);

    default:
        return VOICE_OK;
    }
}


static voice_err_t
client_envelope(const voice_json_t *root, voice_json_t *d,
    voice_server_msg_t *msg, const char **why)
{
    voice_json_t  op, interval;

    /* section 1.1: Hello has no envelope before version 3 */
    if (voice_json_get(root, "op", &op) == VOICE_JSON_ABSENT
        && voice_json_get(root, "heartbeat_interval", &interval)
           != VOICE_JSON_ABSENT)
    {
        msg->op = VOICE_OP_HELLO;
        *d = *root;
        return VOICE_OK;
    }

    if (voice_json_get(root, "d", d) == VOICE_JSON_TWICE) {
        *why = "d: stands there more than once";
        return VOICE_E_FORMAT;
    }

    return voice_fields_read(root, envelope_fields,
                             client_nelts(envelope_fields), msg, why);
}


voice_err_t
voice_server_msg_decode(const char *text, size_t len, voice_server_msg_t *msg,
    const char **why)
{
    voice_err_t         err;
    voice_json_t        root, d;
    voice_server_msg_t  m;

    if (len > CLIENT_SERVER_MESSAGE_MAX) {
        *why = "longer than 65536 bytes";
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

    memset(&m, 0, sizeof(m));
    m.seq = -1;

    err = client_envelope(&root, &d, &m, why);
    if (err != VOICE_OK) {
        return err;
    }

    err = client_body(&d, &m, why);
    if (err != VOICE_OK) {
        return err;
    }

    *msg = m;

    return VOICE_OK;
}


voice_err_t
voice_identify_encode(char *buf, size_t size, int version,
    const voice_op_identify_t *id, size_t *len)
{
    voice_json_out_t  out;

    voice_json_out_init(&out, buf, size);

    voice_json_printf(&out, "{\"op\":0,\"d\":{\"server_id\":\"%" PRIu64 "\",",
                      id->guild_id);

    if (version >= 9 && id->channel_id != 0) {
        voice_json_printf(&out, "\"channel_id\":\"%" PRIu64 "\",",
                          id->channel_id);
    }

    voice_json_printf(&out, "\"user_id\":\"%" PRIu64 "\",\"session_id\":",
                      id->user_id);
    voice_json_put_string(&out, id->session_id);
    voice_json_printf(&out, ",\"token\":");
    voice_json_put_string(&out, id->token);

    if (id->video) {
        voice_json_printf(&out, ",\"video\":true");
    }

    if (id->max_dave_version > 0) {
        voice_json_printf(&out, ",\"max_dave_protocol_version\":%d",
                          id->max_dave_version);
    }

    voice_json_printf(&out, "}}");

    return voice_json_out_done(&out, len);
}


voice_err_t
voice_select_encode(char *buf, size_t size, const voice_op_select_t *sel,
    size_t *len)
{
    voice_json_out_t  out;

    voice_json_out_init(&out, buf, size);

    voice_json_printf(&out, "{\"op\":1,\"d\":{\"protocol\":");
    voice_json_put_string(&out, sel->protocol);
    voice_json_printf(&out, ",\"data\":{\"address\":");
    voice_json_put_string(&out, sel->address);
    voice_json_printf(&out, ",\"port\":%u,\"mode\":", sel->port);
    voice_json_put_string(&out, sel->mode);
    voice_json_printf(&out, "}}}");

    return voice_json_out_done(&out, len);
}


voice_err_t
voice_resume_encode(char *buf, size_t size, int version,
    const voice_op_resume_t *r, size_t *len)
{
    voice_json_out_t  out;

    voice_json_out_init(&out, buf, size);

    voice_json_printf(&out, "{\"op\":7,\"d\":{\"server_id\":\"%" PRIu64 "\",",
                      r->guild_id);

    if (version >= 9 && r->channel_id != 0) {
        voice_json_printf(&out, "\"channel_id\":\"%" PRIu64 "\",",
                          r->channel_id);
    }

    voice_json_printf(&out, "\"session_id\":");
    voice_json_put_string(&out, r->session_id);
    voice_json_printf(&out, ",\"token\":");
    voice_json_put_string(&out, r->token);

    if (version >= VOICE_VERSION_SEQ && r->has_seq_ack) {
        voice_json_printf(&out, ",\"seq_ack\":%" PRId32, r->seq_ack);
    }

    voice_json_printf(&out, "}}");

    return voice_json_out_done(&out, len);
}


voice_err_t
voice_heartbeat_encode(char *buf, size_t size, int version, uint64_t token,
    int32_t seq_ack, size_t *len)
{
    voice_json_out_t  out;

    voice_json_out_init(&out, buf, size);

    if (version < VOICE_VERSION_SEQ) {
        voice_json_printf(&out, "{\"op\":3,\"d\":%" PRIu64 "}", token);
        return voice_json_out_done(&out, len);
    }

    voice_json_printf(&out, "{\"op\":3,\"d\":{\"t\":%" PRIu64, token);

    if (seq_ack >= 0) {
        voice_json_printf(&out, ",\"seq_ack\":%" PRId32, seq_ack);
    }

    voice_json_printf(&out, "}}");

    return voice_json_out_done(&out, len);
}


voice_err_t
voice_speaking_request_encode(char *buf, size_t size, int version,
    uint32_t ssrc, uint32_t speaking, size_t *len)
{
    voice_json_out_t  out;

    voice_json_out_init(&out, buf, size);
    voice_json_printf(&out, "{\"op\":5,\"d\":{\"speaking\":");

    if (version < VOICE_VERSION_MASK) {
        voice_json_printf(&out, "%s", speaking ? "true" : "false");

    } else {
        voice_json_printf(&out, "%" PRIu32, speaking);
    }

    voice_json_printf(&out, ",\"delay\":0,\"ssrc\":%" PRIu32 "}}", ssrc);

    return voice_json_out_done(&out, len);
}
