/*
 * Copyright (C) ngx-voice contributors
 *
 * State machine of one voice websocket, protocol "Voice gateway" section 3.
 * (state, input) -> (state, action); it does nothing itself.  The caller
 * performs the action and reports what came of it as the next input.
 */


#ifndef _VOICE_SIGNAL_H_INCLUDED_
#define _VOICE_SIGNAL_H_INCLUDED_


#include "voice_opcode.h"


typedef enum {
    VOICE_SIGNAL_OPEN = 0,     /* Hello sent; nobody yet */
    VOICE_SIGNAL_READY,        /* identified, Ready sent */
    VOICE_SIGNAL_LIVE,         /* Session Description sent, or resumed */
    VOICE_SIGNAL_CLOSED,
    VOICE_SIGNAL_STATES
} voice_signal_state_t;


/* What the caller has to do. */
typedef enum {
    VOICE_SIGNAL_IGNORE = 0,   /* accepted, nothing follows */
    VOICE_SIGNAL_CLOSE,        /* close with code and reason */
    VOICE_SIGNAL_ACK,          /* answer the heartbeat */
    VOICE_SIGNAL_IDENTIFY,     /* check the token, make a session */
    VOICE_SIGNAL_SELECT,       /* check the mode, make a key, join the room */
    VOICE_SIGNAL_SPEAKING,     /* tell the others */
    VOICE_SIGNAL_RESUME,       /* find the session, replay */
    VOICE_SIGNAL_VERSION       /* answer the backend version */
} voice_signal_action_t;


typedef struct {
    voice_signal_state_t   state;
    int                    version;   /* 1..9, as negotiated by the URL */
} voice_signal_t;


typedef struct {
    voice_signal_action_t  action;
    voice_close_t          code;      /* VOICE_SIGNAL_CLOSE */
    const char            *reason;    /* static text, at most 100 bytes */
} voice_signal_out_t;


/* version as in the URL: 0 if absent, which means 1; above 9 means 9 */
void voice_signal_init(voice_signal_t *sg, int version);

/* A text message that was decoded. */
void voice_signal_message(voice_signal_t *sg, const voice_client_msg_t *msg,
    voice_signal_out_t *out);

/* A text message that was not: err and why of voice_client_msg_decode(). */
void voice_signal_malformed(voice_signal_t *sg, voice_err_t err,
    const char *why, voice_signal_out_t *out);

/* A binary message: no client of a server without DAVE sends one. */
void voice_signal_binary(voice_signal_t *sg, const uint8_t *data, size_t len,
    voice_signal_out_t *out);

/* The outcome of an action: Ready or Session Description was sent, ... */
void voice_signal_done(voice_signal_t *sg, voice_signal_action_t action);


#endif /* _VOICE_SIGNAL_H_INCLUDED_ */
