/*
 * Copyright (C) ngx-voice contributors
 *
 * A text is decoded as a message of a client and as one of a server.  What
 * was decoded is encoded and must come back, and whether the text is JSON at
 * all is a question to another parser too.
 */


#include "voice_json.h"
#include "voice_opcode.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>


#define REASON_MAX   100
#define TEXT_MAX     16384       /* a token of escaped characters */


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
static void fuzz_json(const char *text, size_t len);
static void fuzz_client(const char *text, size_t len);
static void fuzz_server(const char *text, size_t len);
static void fuzz_heartbeat(const voice_op_heartbeat_t *hb);
static void fuzz_identify(const voice_op_identify_t *id);
static void fuzz_select(const voice_op_select_t *sel);
static void fuzz_resume(const voice_op_resume_t *r);
static void fuzz_speaking(const voice_op_speaking_t *sp);
static bool fuzz_again(const char *text, size_t len, int op,
    voice_client_msg_t *msg);
static void fuzz_reason(const char *why);
static void fuzz_must(bool ok);


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char  *text;

    text = (const char *) data;

    fuzz_json(text, size);
    fuzz_client(text, size);
    fuzz_server(text, size);

    return 0;
}


/* The other parser has no limit of depth, but one of numbers and of keys. */
static void
fuzz_json(const char *text, size_t len)
{
    bool                    ours;
    json_t                 *root;
    const char             *why;
    json_error_t            error;
    voice_json_t            val;
    enum json_error_code    code;

    why = NULL;
    ours = voice_json_parse(text, len, &val, &why) == VOICE_OK;

    /* which is no JSON anywhere, but the other parser drops one at times */
    if (memchr(text, '\0', len) != NULL) {
        fuzz_must(!ours);
        return;
    }

    memset(&error, 0, sizeof(error));
    root = json_loadb(text, len, JSON_DECODE_ANY | JSON_ALLOW_NUL
                                 | JSON_DECODE_INT_AS_REAL, &error);
    code = json_error_code(&error);

    if (ours) {
        fuzz_must(root != NULL || code == json_error_numeric_overflow
                  || code == json_error_null_byte_in_key);

    } else {
        fuzz_reason(why);
        fuzz_must(root == NULL || strcmp(why, "nested too deep") == 0);
    }

    json_decref(root);
}


static void
fuzz_client(const char *text, size_t len)
{
    const char          *why;
    voice_client_msg_t   msg;

    why = NULL;

    if (voice_client_msg_decode(text, len, &msg, &why) != VOICE_OK) {
        fuzz_reason(why);
        return;
    }

    switch (msg.op) {

    case VOICE_OP_IDENTIFY:
        fuzz_identify(&msg.d.identify);
        break;

    case VOICE_OP_SELECT_PROTOCOL:
        fuzz_select(&msg.d.select);
        break;

    case VOICE_OP_HEARTBEAT:
        fuzz_heartbeat(&msg.d.heartbeat);
        break;

    case VOICE_OP_SPEAKING:
        fuzz_speaking(&msg.d.speaking);
        break;

    case VOICE_OP_RESUME:
        fuzz_resume(&msg.d.resume);
        break;
    }
}


/* What is echoed to the client is JSON again. */
static void
fuzz_heartbeat(const voice_op_heartbeat_t *hb)
{
    int                  version;
    char                 buf[VOICE_ENCODE_MAX];
    size_t               len;
    const char          *why;
    voice_server_msg_t   msg;

    fuzz_must(strlen(hb->token) > 0);

    for (version = 1; version <= 2; version++) {
        fuzz_must(voice_heartbeat_ack_encode(buf, sizeof(buf), version, hb,
                                             &len)
                  == VOICE_OK);
        fuzz_must(voice_server_msg_decode(buf, len, &msg, &why) == VOICE_OK);
        fuzz_must(msg.op == (version == 1 ? VOICE_OP_HEARTBEAT
                                          : VOICE_OP_HEARTBEAT_ACK));
    }
}


static void
fuzz_identify(const voice_op_identify_t *id)
{
    char                 buf[TEXT_MAX];
    size_t               len;
    voice_client_msg_t   msg;

    fuzz_must(voice_identify_encode(buf, sizeof(buf), 9, id, &len)
              == VOICE_OK);

    if (fuzz_again(buf, len, VOICE_OP_IDENTIFY, &msg)) {
        fuzz_must(msg.d.identify.guild_id == id->guild_id);
        fuzz_must(msg.d.identify.channel_id == id->channel_id);
        fuzz_must(msg.d.identify.user_id == id->user_id);
        fuzz_must(strcmp(msg.d.identify.session_id, id->session_id) == 0);
        fuzz_must(strcmp(msg.d.identify.token, id->token) == 0);
        fuzz_must(msg.d.identify.video == id->video);
        fuzz_must(msg.d.identify.max_dave_version == id->max_dave_version);
    }
}


static void
fuzz_select(const voice_op_select_t *sel)
{
    char                 buf[TEXT_MAX];
    size_t               len;
    voice_client_msg_t   msg;

    fuzz_must(voice_select_encode(buf, sizeof(buf), sel, &len) == VOICE_OK);
    fuzz_must(fuzz_again(buf, len, VOICE_OP_SELECT_PROTOCOL, &msg));
    fuzz_must(strcmp(msg.d.select.protocol, sel->protocol) == 0);

    if (strcmp(sel->protocol, "udp") == 0) {
        fuzz_must(strcmp(msg.d.select.mode, sel->mode) == 0);
        fuzz_must(strcmp(msg.d.select.address, sel->address) == 0);
        fuzz_must(msg.d.select.port == sel->port);
    }
}


static void
fuzz_resume(const voice_op_resume_t *r)
{
    char                 buf[TEXT_MAX];
    size_t               len;
    voice_client_msg_t   msg;

    fuzz_must(voice_resume_encode(buf, sizeof(buf), 9, r, &len) == VOICE_OK);

    if (fuzz_again(buf, len, VOICE_OP_RESUME, &msg)) {
        fuzz_must(msg.d.resume.guild_id == r->guild_id);
        fuzz_must(msg.d.resume.channel_id == r->channel_id);
        fuzz_must(strcmp(msg.d.resume.session_id, r->session_id) == 0);
        fuzz_must(strcmp(msg.d.resume.token, r->token) == 0);
        fuzz_must(msg.d.resume.has_seq_ack == r->has_seq_ack);
        fuzz_must(msg.d.resume.seq_ack == r->seq_ack);
    }
}


static void
fuzz_speaking(const voice_op_speaking_t *sp)
{
    char                 buf[VOICE_ENCODE_MAX];
    size_t               len;
    voice_client_msg_t   msg;

    fuzz_must(voice_speaking_request_encode(buf, sizeof(buf), 8, sp->ssrc,
                                            sp->speaking, &len)
              == VOICE_OK);
    fuzz_must(fuzz_again(buf, len, VOICE_OP_SPEAKING, &msg));
    fuzz_must(msg.d.speaking.speaking == sp->speaking);
    fuzz_must(msg.d.speaking.ssrc == sp->ssrc);
}


/* false: escapes have made it longer than a message may be */
static bool
fuzz_again(const char *text, size_t len, int op, voice_client_msg_t *msg)
{
    const char   *why;
    voice_err_t   err;

    err = voice_client_msg_decode(text, len, msg, &why);

    if (len > VOICE_MESSAGE_MAX) {
        fuzz_must(err == VOICE_E_LENGTH);
        return false;
    }

    fuzz_must(err == VOICE_OK && msg->op == op);

    return true;
}


static void
fuzz_server(const char *text, size_t len)
{
    char                 buf[VOICE_ENCODE_MAX];
    size_t               n;
    const char          *why;
    voice_server_msg_t   msg, again;

    why = NULL;

    if (voice_server_msg_decode(text, len, &msg, &why) != VOICE_OK) {
        fuzz_reason(why);
        return;
    }

    fuzz_must(msg.seq >= -1 && msg.seq <= UINT16_MAX);

    switch (msg.op) {

    case VOICE_OP_READY:
        fuzz_must(msg.ssrc != 0 && msg.port != 0 && msg.ip[0] != '\0');
        fuzz_must(msg.modes < 1u << VOICE_MODE_COUNT);
        break;

    case VOICE_OP_SESSION_DESCRIPTION:
        fuzz_must(voice_session_description_encode(buf, sizeof(buf), msg.mode,
                                                   msg.key, &n)
                  == VOICE_OK);
        fuzz_must(voice_server_msg_decode(buf, n, &again, &why) == VOICE_OK);
        fuzz_must(again.mode == msg.mode);
        fuzz_must(memcmp(again.key, msg.key, sizeof(msg.key)) == 0);
        break;

    case VOICE_OP_SPEAKING:
        fuzz_must(voice_speaking_encode(buf, sizeof(buf), 8, 7, msg.user_id,
                                        msg.ssrc, msg.speaking, &n)
                  == VOICE_OK);
        fuzz_must(voice_server_msg_decode(buf, n, &again, &why) == VOICE_OK);
        fuzz_must(again.user_id == msg.user_id && again.ssrc == msg.ssrc);
        fuzz_must(again.speaking == msg.speaking && again.seq == 7);
        break;
    }
}


static void
fuzz_reason(const char *why)
{
    fuzz_must(why != NULL && strlen(why) > 0 && strlen(why) <= REASON_MAX);
}


static void
fuzz_must(bool ok)
{
    if (!ok) {
        abort();
    }
}
