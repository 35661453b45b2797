/*
 * Copyright (C) ngx-voice contributors
 *
 * Two tables: what an opcode is when a client sends it, and what that leads
 * to in each state.
 */


#include "voice_signal.h"

#include <stddef.h>


#define SIGNAL_OPS   33


typedef enum {
    SIGNAL_OP_UNKNOWN = 0,     /* also those that only a server sends */
    SIGNAL_OP_IGNORED,
    SIGNAL_OP_IDENTIFY,
    SIGNAL_OP_SELECT,
    SIGNAL_OP_HEARTBEAT,
    SIGNAL_OP_SPEAKING,
    SIGNAL_OP_RESUME,
    SIGNAL_OP_VERSION,
    SIGNAL_OP_CLASSES
} signal_op_t;


/* Sections 2 and 8. */
static const uint8_t  signal_ops[SIGNAL_OPS] = {
    [VOICE_OP_IDENTIFY] = SIGNAL_OP_IDENTIFY,
    [VOICE_OP_SELECT_PROTOCOL] = SIGNAL_OP_SELECT,
    [VOICE_OP_HEARTBEAT] = SIGNAL_OP_HEARTBEAT,
    [VOICE_OP_SPEAKING] = SIGNAL_OP_SPEAKING,
    [VOICE_OP_RESUME] = SIGNAL_OP_RESUME,
    [VOICE_OP_SIGNAL] = SIGNAL_OP_IGNORED,
    [VOICE_OP_VIDEO] = SIGNAL_OP_IGNORED,
    [VOICE_OP_SESSION_UPDATE] = SIGNAL_OP_IGNORED,
    [VOICE_OP_MEDIA_SINK_WANTS] = SIGNAL_OP_IGNORED,
    [VOICE_OP_BACKEND_VERSION] = SIGNAL_OP_VERSION,
    [VOICE_OP_CLIENT_FLAGS] = SIGNAL_OP_IGNORED,
    [VOICE_OP_SPEED_TEST] = SIGNAL_OP_IGNORED,
    [VOICE_OP_CLIENT_PLATFORM] = SIGNAL_OP_IGNORED,
    [VOICE_OP_DAVE_TRANSITION_READY] = SIGNAL_OP_IGNORED,
    [VOICE_OP_MLS_KEY_PACKAGE] = SIGNAL_OP_IGNORED,
    [VOICE_OP_MLS_COMMIT_WELCOME] = SIGNAL_OP_IGNORED,
    [VOICE_OP_MLS_INVALID_COMMIT] = SIGNAL_OP_IGNORED,
    [VOICE_OP_NO_ROUTE] = SIGNAL_OP_IGNORED
};


#define signal_do(action)  { VOICE_SIGNAL_##action, 0, NULL }

#define signal_unknown                                                        \
    { VOICE_SIGNAL_CLOSE, VOICE_CLOSE_UNKNOWN_OPCODE,                         \
      "op: not one that a client sends" }

#define signal_first                                                          \
    { VOICE_SIGNAL_CLOSE, VOICE_CLOSE_NOT_AUTHENTICATED,                      \
      "Identify or Resume is expected first" }

#define signal_again                                                          \
    { VOICE_SIGNAL_CLOSE, VOICE_CLOSE_ALREADY_AUTHENTICATED,                  \
      "identified already" }


/* Section 3. */
static const voice_signal_out_t
    signal_table[VOICE_SIGNAL_STATES][SIGNAL_OP_CLASSES] =
{
    [VOICE_SIGNAL_OPEN] = {
        [SIGNAL_OP_UNKNOWN] = signal_first,
        [SIGNAL_OP_IGNORED] = signal_first,
        [SIGNAL_OP_IDENTIFY] = signal_do(IDENTIFY),
        [SIGNAL_OP_SELECT] = signal_first,
        [SIGNAL_OP_HEARTBEAT] = signal_do(ACK),
        [SIGNAL_OP_SPEAKING] = signal_first,
        [SIGNAL_OP_RESUME] = signal_do(RESUME),
        [SIGNAL_OP_VERSION] = signal_first
    },

    /* Speaking before the room is joined: some libraries are that early. */
    [VOICE_SIGNAL_READY] = {
        [SIGNAL_OP_UNKNOWN] = signal_unknown,
        [SIGNAL_OP_IGNORED] = signal_do(IGNORE),
        [SIGNAL_OP_IDENTIFY] = signal_again,
        [SIGNAL_OP_SELECT] = signal_do(SELECT),
        [SIGNAL_OP_HEARTBEAT] = signal_do(ACK),
        [SIGNAL_OP_SPEAKING] = signal_do(IGNORE),
        [SIGNAL_OP_RESUME] = signal_again,
        [SIGNAL_OP_VERSION] = signal_do(VERSION)
    },

    [VOICE_SIGNAL_LIVE] = {
        [SIGNAL_OP_UNKNOWN] = signal_unknown,
        [SIGNAL_OP_IGNORED] = signal_do(IGNORE),
        [SIGNAL_OP_IDENTIFY] = signal_again,
        [SIGNAL_OP_SELECT] = signal_do(SELECT),
        [SIGNAL_OP_HEARTBEAT] = signal_do(ACK),
        [SIGNAL_OP_SPEAKING] = signal_do(SPEAKING),
        [SIGNAL_OP_RESUME] = signal_again,
        [SIGNAL_OP_VERSION] = signal_do(VERSION)
    },

    /* A zeroed row is VOICE_SIGNAL_IGNORE throughout. */
    [VOICE_SIGNAL_CLOSED] = { signal_do(IGNORE) }
};


static void
signal_close(voice_signal_t *sg, voice_close_t code, const char *reason,
    voice_signal_out_t *out)
{
    sg->state = VOICE_SIGNAL_CLOSED;

    out->action = VOICE_SIGNAL_CLOSE;
    out->code = code;
    out->reason = reason;
}


void
voice_signal_init(voice_signal_t *sg, int version)
{
    sg->state = VOICE_SIGNAL_OPEN;
    sg->version = version;

    if (version < VOICE_VERSION_MIN) {
        sg->version = VOICE_VERSION_MIN;
    }

    if (version > VOICE_VERSION_MAX) {
        sg->version = VOICE_VERSION_MAX;
    }
}


void
voice_signal_message(voice_signal_t *sg, const voice_client_msg_t *msg,
    voice_signal_out_t *out)
{
    unsigned  op;

    op = SIGNAL_OP_UNKNOWN;

    if (msg->op >= 0 && msg->op < SIGNAL_OPS) {
        op = signal_ops[msg->op];
    }

    *out = signal_table[sg->state][op];

    if (out->action == VOICE_SIGNAL_CLOSE) {
        sg->state = VOICE_SIGNAL_CLOSED;
    }
}


/*
 * A value out of its range is 4020, since the message itself could be
 * decoded: the log then tells a broken encoder from a bad argument.  Of the
 * libraries none treats the two codes differently except for one that would
 * resume after 4020, and its types hold no value that is out of range.
 */
void
voice_signal_malformed(voice_signal_t *sg, voice_err_t err, const char *why,
    voice_signal_out_t *out)
{
    if (sg->state == VOICE_SIGNAL_CLOSED) {
        *out = signal_table[VOICE_SIGNAL_CLOSED][SIGNAL_OP_UNKNOWN];
        return;
    }

    signal_close(sg, err == VOICE_E_RANGE ? VOICE_CLOSE_BAD_REQUEST
                                          : VOICE_CLOSE_DECODE,
                 why, out);
}


/*
 * Section 8: a client that offered DAVE may send its key package or a commit
 * although it was told version 0.
 */
void
voice_signal_binary(voice_signal_t *sg, const uint8_t *data, size_t len,
    voice_signal_out_t *out)
{
    if (sg->state == VOICE_SIGNAL_CLOSED
        || (len > 0 && (data[0] == VOICE_OP_MLS_KEY_PACKAGE
                        || data[0] == VOICE_OP_MLS_COMMIT_WELCOME)))
    {
        *out = signal_table[sg->state][SIGNAL_OP_IGNORED];

        if (out->action == VOICE_SIGNAL_CLOSE) {
            sg->state = VOICE_SIGNAL_CLOSED;
        }

        return;
    }

    signal_close(sg, VOICE_CLOSE_DECODE, "a text message is expected", out);
}


void
voice_signal_done(voice_signal_t *sg, voice_signal_action_t action)
{
    if (sg->state == VOICE_SIGNAL_CLOSED) {
        return;
    }

    switch (action) {

    case VOICE_SIGNAL_IDENTIFY:
        sg->state = VOICE_SIGNAL_READY;
        break;

    case VOICE_SIGNAL_SELECT:
    case VOICE_SIGNAL_RESUME:
        sg->state = VOICE_SIGNAL_LIVE;
        break;

    case VOICE_SIGNAL_CLOSE:
        sg->state = VOICE_SIGNAL_CLOSED;
        break;

    default:
        break;
    }
}
