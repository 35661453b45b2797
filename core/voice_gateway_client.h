/*
 * Copyright (C) ngx-voice contributors
 *
 * The main gateway from its client's side: what a client sends, and as much
 * of what it is told as joining a voice channel takes.  protocol: "Main
 * gateway".
 */


#ifndef _VOICE_GATEWAY_CLIENT_H_INCLUDED_
#define _VOICE_GATEWAY_CLIENT_H_INCLUDED_


#include "voice_gateway.h"
#include "voice_opcode.h"


#define VOICE_GATEWAY_URL_MAX         255
#define VOICE_GATEWAY_ENDPOINT_MAX    255


typedef struct {
    uint64_t   user_id;
    char       session_id[VOICE_SESSION_ID_MAX + 1];
    char       resume_url[VOICE_GATEWAY_URL_MAX + 1];    /* "": none */
} voice_gateway_got_ready_t;


typedef struct {
    uint64_t   guild_id;
    uint64_t   channel_id;         /* 0: left */
    uint64_t   user_id;
    bool       mute;
    bool       deaf;
    bool       self_mute;
    bool       self_deaf;
    bool       suppress;
    char       session_id[VOICE_SESSION_ID_MAX + 1];
} voice_gateway_got_state_t;


typedef struct {
    uint64_t   guild_id;
    char       token[VOICE_TOKEN_MAX + 1];
    char       endpoint[VOICE_GATEWAY_ENDPOINT_MAX + 1];  /* "": null */
} voice_gateway_got_server_t;


typedef struct {
    int                            op;
    uint64_t                       seq;          /* s; 0: none */
    voice_dispatch_t               event;        /* op 0; VOICE_DISPATCHES:
                                                    one that isn't known */
    uint32_t                       interval;     /* op 10, ms */
    bool                           resumable;    /* op 9 */
    uint64_t                       guild_id;     /* GUILD_CREATE */
    union {
        voice_gateway_got_ready_t    ready;
        voice_gateway_got_state_t    state;      /* VOICE_STATE_UPDATE */
        voice_gateway_got_server_t   server;     /* VOICE_SERVER_UPDATE */
    } d;
} voice_gateway_got_t;


/*
 * Decodes a message of the server.  Errors as voice_gateway_msg_decode();
 * a field that nobody needs is not looked at.
 */
voice_err_t voice_gateway_got_decode(const char *text, size_t len,
    voice_gateway_got_t *got, const char **why);


/* What a client sends.  Each is complete. */

void voice_gateway_ask_identify(voice_buf_t *b, const char *token,
    uint32_t intents);
void voice_gateway_ask_resume(voice_buf_t *b, const char *token,
    const char *session_id, uint64_t seq);

/* seq 0: nothing seen yet */
void voice_gateway_ask_heartbeat(voice_buf_t *b, uint64_t seq);

void voice_gateway_ask_voice_state(voice_buf_t *b,
    const voice_gateway_voice_state_t *vs);

/* Op 5: is the voice server alive? */
void voice_gateway_ask_voice_ping(voice_buf_t *b);


#endif /* _VOICE_GATEWAY_CLIENT_H_INCLUDED_ */
