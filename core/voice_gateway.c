/*
 * Copyright (C) ngx-voice contributors
 *
 * Two tables: what an opcode is when a client sends it, and what that leads
 * to in each state.
 */


#include "voice_gateway.h"


#define GATEWAY_OPS   44


typedef enum {
    GATEWAY_OP_UNKNOWN = 0,    /* also those that only a server sends */
    GATEWAY_OP_IGNORED,
    GATEWAY_OP_HEARTBEAT,
    GATEWAY_OP_IDENTIFY,
    GATEWAY_OP_VOICE_STATE,
    GATEWAY_OP_VOICE_PING,
    GATEWAY_OP_RESUME,
    GATEWAY_OP_MEMBERS,
    GATEWAY_OP_CLASSES
} gateway_op_t;


/* Section 3: below the table's end what isn't in it is ignored from 12 on. */
static const uint8_t  gateway_ops[12] = {
    [VOICE_GATEWAY_OP_HEARTBEAT] = GATEWAY_OP_HEARTBEAT,
    [VOICE_GATEWAY_OP_IDENTIFY] = GATEWAY_OP_IDENTIFY,
    [VOICE_GATEWAY_OP_PRESENCE] = GATEWAY_OP_IGNORED,
    [VOICE_GATEWAY_OP_VOICE_STATE] = GATEWAY_OP_VOICE_STATE,
    [VOICE_GATEWAY_OP_VOICE_PING] = GATEWAY_OP_VOICE_PING,
    [VOICE_GATEWAY_OP_RESUME] = GATEWAY_OP_RESUME,
    [VOICE_GATEWAY_OP_MEMBERS] = GATEWAY_OP_MEMBERS
};


#define gateway_do(action)  { VOICE_GATEWAY_DO_##action, 0, NULL }

#define gateway_ignore  { VOICE_GATEWAY_IGNORE, 0, NULL }

#define gateway_unknown                                                       \
    { VOICE_GATEWAY_DO_CLOSE, VOICE_GATEWAY_CLOSE_OPCODE,                     \
      "op: not one that a client sends" }

#define gateway_first                                                         \
    { VOICE_GATEWAY_DO_CLOSE, VOICE_GATEWAY_CLOSE_NOT_AUTHENTICATED,          \
      "Identify or Resume is expected first" }

#define gateway_again                                                         \
    { VOICE_GATEWAY_DO_CLOSE, VOICE_GATEWAY_CLOSE_ALREADY_AUTHENTICATED,      \
      "identified already" }


/* Section 4. */
static const voice_gateway_out_t
    gateway_table[VOICE_GATEWAY_STATES][GATEWAY_OP_CLASSES] =
{
    [VOICE_GATEWAY_AWAIT_AUTH] = {
        [GATEWAY_OP_UNKNOWN] = gateway_first,
        [GATEWAY_OP_IGNORED] = gateway_first,
        [GATEWAY_OP_HEARTBEAT] = gateway_do(ACK),
        [GATEWAY_OP_IDENTIFY] = gateway_do(IDENTIFY),
        [GATEWAY_OP_VOICE_STATE] = gateway_first,
        [GATEWAY_OP_VOICE_PING] = gateway_first,
        [GATEWAY_OP_RESUME] = gateway_do(RESUME),
        [GATEWAY_OP_MEMBERS] = gateway_first
    },

    [VOICE_GATEWAY_LIVE] = {
        [GATEWAY_OP_UNKNOWN] = gateway_unknown,
        [GATEWAY_OP_IGNORED] = gateway_ignore,
        [GATEWAY_OP_HEARTBEAT] = gateway_do(ACK),
        [GATEWAY_OP_IDENTIFY] = gateway_again,
        [GATEWAY_OP_VOICE_STATE] = gateway_do(VOICE_STATE),
        [GATEWAY_OP_VOICE_PING] = gateway_do(VOICE_PING),
        [GATEWAY_OP_RESUME] = gateway_again,
        [GATEWAY_OP_MEMBERS] = gateway_do(MEMBERS)
    },

    /* A zeroed row is VOICE_GATEWAY_IGNORE throughout. */
    [VOICE_GATEWAY_CLOSED] = { gateway_ignore }
};


static void
gateway_close(voice_gateway_t *gw, voice_gateway_close_t code,
    const char *reason, voice_gateway_out_t *out)
{
    if (gw->state == VOICE_GATEWAY_CLOSED) {
        *out = gateway_table[VOICE_GATEWAY_CLOSED][GATEWAY_OP_UNKNOWN];
        return;
    }

    gw->state = VOICE_GATEWAY_CLOSED;

    out->action = VOICE_GATEWAY_DO_CLOSE;
    out->code = code;
    out->reason = reason;
}


static gateway_op_t
gateway_op(int op)
{
    if (op == VOICE_GATEWAY_OP_QOS_HEARTBEAT) {
        return GATEWAY_OP_HEARTBEAT;
    }

    if (op < 0 || op >= GATEWAY_OPS) {
        return GATEWAY_OP_UNKNOWN;
    }

    if (op >= (int) sizeof(gateway_ops)) {
        return GATEWAY_OP_IGNORED;
    }

    return gateway_ops[op];
}


void
voice_gateway_start(voice_gateway_t *gw, int version, bool json,
    voice_gateway_out_t *out)
{
    gw->state = VOICE_GATEWAY_AWAIT_AUTH;
    gw->version = version != 0 ? version : VOICE_GATEWAY_VERSION;

    if (gw->version < VOICE_GATEWAY_VERSION_MIN
        || gw->version > VOICE_GATEWAY_VERSION_MAX)
    {
        gateway_close(gw, VOICE_GATEWAY_CLOSE_VERSION,
                      "v: 9 or 10 is expected", out);
        return;
    }

    if (!json) {
        gateway_close(gw, VOICE_GATEWAY_CLOSE_DECODE,
                      "encoding: json is expected", out);
        return;
    }

    out->action = VOICE_GATEWAY_DO_HELLO;
    out->code = 0;
    out->reason = NULL;
}


void
voice_gateway_message(voice_gateway_t *gw, const voice_gateway_msg_t *msg,
    voice_gateway_out_t *out)
{
    *out = gateway_table[gw->state][gateway_op(msg->op)];

    if (out->action == VOICE_GATEWAY_DO_CLOSE) {
        gw->state = VOICE_GATEWAY_CLOSED;
    }
}


void
voice_gateway_malformed(voice_gateway_t *gw, const char *why,
    voice_gateway_out_t *out)
{
    gateway_close(gw, VOICE_GATEWAY_CLOSE_DECODE, why, out);
}


void
voice_gateway_input(voice_gateway_t *gw, voice_gateway_input_t input,
    voice_gateway_out_t *out)
{
    switch (input) {

    case VOICE_GATEWAY_GOT_BINARY:
        gateway_close(gw, VOICE_GATEWAY_CLOSE_DECODE,
                      "a text message is expected", out);
        break;

    case VOICE_GATEWAY_GOT_FLOOD:
        gateway_close(gw, VOICE_GATEWAY_CLOSE_RATE,
                      "at most 120 messages in 60 seconds are expected", out);
        break;

    default:
        gateway_close(gw, VOICE_GATEWAY_CLOSE_TIMEOUT,
                      gw->state == VOICE_GATEWAY_LIVE
                      ? "heartbeats are expected"
                      : "Identify or Resume is expected in time", out);
        break;
    }
}


void
voice_gateway_done(voice_gateway_t *gw, voice_gateway_action_t action)
{
    if (gw->state == VOICE_GATEWAY_CLOSED) {
        return;
    }

    switch (action) {

    case VOICE_GATEWAY_DO_IDENTIFY:
    case VOICE_GATEWAY_DO_RESUME:
        gw->state = VOICE_GATEWAY_LIVE;
        break;

    case VOICE_GATEWAY_DO_CLOSE:
        gw->state = VOICE_GATEWAY_CLOSED;
        break;

    default:
        break;
    }
}


bool
voice_gateway_counts(const voice_gateway_msg_t *msg)
{
    return gateway_op(msg->op) != GATEWAY_OP_HEARTBEAT;
}


/* Section 11. */
bool
voice_gateway_resumable(unsigned close_code)
{
    return close_code != VOICE_GATEWAY_CLOSE_NORMAL
           && close_code != VOICE_GATEWAY_CLOSE_GOING_AWAY;
}


uint32_t
voice_gateway_shard(uint64_t guild_id, uint32_t nshards)
{
    return nshards != 0 ? (uint32_t) ((guild_id >> 22) % nshards) : 0;
}
