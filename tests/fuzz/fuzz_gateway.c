/*
 * Copyright (C) ngx-voice contributors
 *
 * A text is decoded as a message of a client of the main gateway.  What was
 * decoded is written and must come back; strings of a client that go into
 * what the server writes must not break it; no state does what it must not.
 */


#include "voice_gateway.h"
#include "voice_json.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
static void fuzz_states(const voice_gateway_msg_t *msg);
static void fuzz_again(const voice_gateway_msg_t *msg);
static void fuzz_answer(const voice_gateway_msg_t *msg);
static void fuzz_must(bool ok);


static voice_gateway_msg_t  decoded, again;


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char           *why;
    voice_err_t           err;
    voice_gateway_t       gw;
    voice_gateway_out_t   out;

    why = NULL;
    err = voice_gateway_msg_decode((const char *) data, size, &decoded, &why);

    if (err != VOICE_OK) {
        fuzz_must(err == VOICE_E_FORMAT || err == VOICE_E_RANGE
                  || err == VOICE_E_LENGTH);
        fuzz_must(why != NULL && why[0] != '\0' && strlen(why) <= 100);

        voice_gateway_start(&gw, 0, true, &out);
        voice_gateway_malformed(&gw, why, &out);
        fuzz_must(out.action == VOICE_GATEWAY_DO_CLOSE
                  && out.code == VOICE_GATEWAY_CLOSE_DECODE);
        return 0;
    }

    fuzz_states(&decoded);
    fuzz_again(&decoded);
    fuzz_answer(&decoded);

    return 0;
}


static void
fuzz_states(const voice_gateway_msg_t *msg)
{
    voice_gateway_t      gw;
    voice_gateway_out_t  out;

    voice_gateway_start(&gw, 10, true, &out);
    voice_gateway_message(&gw, msg, &out);

    /* nobody does anything before it is known who that is */
    fuzz_must(out.action == VOICE_GATEWAY_DO_CLOSE
              || out.action == VOICE_GATEWAY_DO_ACK
              || out.action == VOICE_GATEWAY_DO_IDENTIFY
              || out.action == VOICE_GATEWAY_DO_RESUME);
    fuzz_must((gw.state == VOICE_GATEWAY_CLOSED)
              == (out.action == VOICE_GATEWAY_DO_CLOSE));

    voice_gateway_start(&gw, 10, true, &out);
    voice_gateway_done(&gw, VOICE_GATEWAY_DO_IDENTIFY);
    voice_gateway_message(&gw, msg, &out);

    fuzz_must(out.action != VOICE_GATEWAY_DO_IDENTIFY
              && out.action != VOICE_GATEWAY_DO_RESUME);

    gw.state = VOICE_GATEWAY_CLOSED;
    voice_gateway_message(&gw, msg, &out);
    fuzz_must(out.action == VOICE_GATEWAY_IGNORE);
}


static void
fuzz_put_members(voice_buf_t *b, const voice_gateway_members_t *m)
{
    size_t  i;

    voice_buf_puts(b, "{\"guild_id\":");
    voice_buf_id(b, m->guild_id);
    voice_buf_printf(b, ",\"limit\":%" PRIu32 ",\"presences\":%s,\"query\":",
                     m->limit, m->presences ? "true" : "false");
    voice_buf_string(b, m->has_query ? m->query : NULL);
    voice_buf_puts(b, ",\"nonce\":");
    voice_buf_string(b, m->nonce);
    voice_buf_puts(b, ",\"user_ids\":[");

    for (i = 0; i < m->nusers; i++) {
        voice_buf_puts(b, i != 0 ? "," : "");
        voice_buf_id(b, m->user_id[i]);
    }

    voice_buf_puts(b, "]}");
}


static void
fuzz_put(voice_buf_t *b, const voice_gateway_msg_t *msg)
{
    const voice_gateway_identify_t     *id;
    const voice_gateway_voice_state_t  *vs;

    voice_buf_printf(b, "{\"op\":%d,\"d\":", msg->op);

    switch (msg->op) {

    case VOICE_GATEWAY_OP_HEARTBEAT:
        voice_buf_printf(b, msg->d.heartbeat.has_seq ? "%" PRIu64 : "null",
                         msg->d.heartbeat.seq);
        break;

    case VOICE_GATEWAY_OP_QOS_HEARTBEAT:
        voice_buf_printf(b, msg->d.heartbeat.has_seq
                         ? "{\"seq\":%" PRIu64 "}" : "{\"seq\":null}",
                         msg->d.heartbeat.seq);
        break;

    case VOICE_GATEWAY_OP_IDENTIFY:
        id = &msg->d.identify;
        voice_buf_puts(b, "{\"token\":");
        voice_buf_string(b, id->token);
        voice_buf_printf(b, ",\"intents\":%" PRIu32 ",\"compress\":%s",
                         id->intents, id->compress ? "true" : "false");

        if (id->has_shard) {
            voice_buf_printf(b, ",\"shard\":[%" PRIu32 ",%" PRIu32 "]",
                             id->shard, id->nshards);
        }

        voice_buf_puts(b, "}");
        break;

    case VOICE_GATEWAY_OP_VOICE_STATE:
        vs = &msg->d.voice_state;
        voice_buf_puts(b, "{\"guild_id\":");
        voice_buf_id(b, vs->guild_id);
        voice_buf_puts(b, ",\"channel_id\":");
        voice_buf_id(b, vs->channel_id);
        voice_buf_printf(b, ",\"self_mute\":%s,\"self_deaf\":%s,"
                         "\"self_video\":%s,\"self_stream\":%s}",
                         vs->self_mute ? "true" : "false",
                         vs->self_deaf ? "true" : "false",
                         vs->self_video ? "true" : "false",
                         vs->self_stream ? "true" : "false");
        break;

    case VOICE_GATEWAY_OP_RESUME:
        voice_buf_puts(b, "{\"token\":");
        voice_buf_string(b, msg->d.resume.token);
        voice_buf_puts(b, ",\"session_id\":");
        voice_buf_string(b, msg->d.resume.session_id);
        voice_buf_printf(b, ",\"seq\":%" PRIu64 "}", msg->d.resume.seq);
        break;

    case VOICE_GATEWAY_OP_MEMBERS:
        fuzz_put_members(b, &msg->d.members);
        break;

    default:
        voice_buf_puts(b, "null");
        break;
    }

    voice_buf_puts(b, "}");
}


/*
 * Not a token that is empty without its "Bot " or begins with another one,
 * nor text that escapes make longer than a message may be.
 */
static void
fuzz_again(const voice_gateway_msg_t *msg)
{
    const char   *why, *token;
    voice_buf_t   b;

    token = msg->op == VOICE_GATEWAY_OP_IDENTIFY ? msg->d.identify.token
            : msg->op == VOICE_GATEWAY_OP_RESUME ? msg->d.resume.token : "x";

    if (token[0] == '\0' || strncmp(token, "Bot ", 4) == 0) {
        return;
    }

    voice_buf_growing(&b, NULL, SIZE_MAX / 4);
    fuzz_put(&b, msg);
    fuzz_must(voice_buf_done(&b) == VOICE_OK);

    if (b.len <= VOICE_GATEWAY_MESSAGE_MAX) {
        fuzz_must(voice_gateway_msg_decode(b.data, b.len, &again, &why)
                  == VOICE_OK);

        /* structs that were zeroed first, so that padding is equal too */
        fuzz_must(memcmp(&again, msg, sizeof(again)) == 0);
    }

    voice_buf_free(&b);
}


static void
fuzz_answer(const voice_gateway_msg_t *msg)
{
    const char                *why;
    voice_buf_t                b;
    voice_json_t               val;
    voice_dir_member_t         member;
    voice_gateway_chunk_t      chunk;
    const voice_dir_member_t  *list;

    if (msg->op != VOICE_GATEWAY_OP_MEMBERS) {
        return;
    }

    voice_dir_member_make(&member, 1, msg->d.members.query, false);
    fuzz_must(voice_gateway_member_matches(&member, msg->d.members.query));
    list = &member;

    memset(&chunk, 0, sizeof(chunk));
    chunk.guild_id = msg->d.members.guild_id;
    chunk.member = &list;
    chunk.nmembers = 1;
    chunk.not_found = msg->d.members.user_id;
    chunk.nnot_found = msg->d.members.nusers;
    chunk.nonce = msg->d.members.nonce;

    voice_buf_growing(&b, NULL, SIZE_MAX / 4);
    voice_gateway_chunk_d(&b, &chunk);
    fuzz_must(voice_buf_done(&b) == VOICE_OK);
    fuzz_must(voice_json_parse(b.data, b.len, &val, &why) == VOICE_OK);
    voice_buf_free(&b);
}


static void
fuzz_must(bool ok)
{
    if (!ok) {
        abort();
    }
}
