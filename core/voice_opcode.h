/*
 * Copyright (C) ngx-voice contributors
 *
 * Voice websocket messages <-> structs.  Decoding takes one text message of
 * a client (or, for our own client, of the server); encoding writes compact
 * JSON into the caller's buffer.  protocol: "Voice gateway", sections 2-7.
 */


#ifndef _VOICE_OPCODE_H_INCLUDED_
#define _VOICE_OPCODE_H_INCLUDED_


#include "voice_crypto.h"
#include "voice_err.h"
#include "voice_json.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>


#define VOICE_VERSION_MIN        1       /* also: no v at all */
#define VOICE_VERSION_MAX        9
#define VOICE_VERSION_SEQ        8       /* buffered resume, seq */
#define VOICE_VERSION_MASK       4       /* speaking is a bit mask */

#define VOICE_MESSAGE_MAX        4096    /* bytes, client to server */

#define VOICE_SESSION_ID_MAX     64      /* characters */
#define VOICE_TOKEN_MAX          2048
#define VOICE_ADDRESS_MAX        64


typedef enum {
    VOICE_OP_IDENTIFY = 0,
    VOICE_OP_SELECT_PROTOCOL = 1,
    VOICE_OP_READY = 2,
    VOICE_OP_HEARTBEAT = 3,
    VOICE_OP_SESSION_DESCRIPTION = 4,
    VOICE_OP_SPEAKING = 5,
    VOICE_OP_HEARTBEAT_ACK = 6,
    VOICE_OP_RESUME = 7,
    VOICE_OP_HELLO = 8,
    VOICE_OP_RESUMED = 9,
    VOICE_OP_SIGNAL = 10,
    VOICE_OP_CLIENTS_CONNECT = 11,
    VOICE_OP_VIDEO = 12,
    VOICE_OP_CLIENT_DISCONNECT = 13,
    VOICE_OP_SESSION_UPDATE = 14,
    VOICE_OP_MEDIA_SINK_WANTS = 15,
    VOICE_OP_BACKEND_VERSION = 16,
    VOICE_OP_CHANNEL_OPTIONS = 17,
    VOICE_OP_CLIENT_FLAGS = 18,
    VOICE_OP_SPEED_TEST = 19,
    VOICE_OP_CLIENT_PLATFORM = 20,
    VOICE_OP_DAVE_PREPARE_TRANSITION = 21,
    VOICE_OP_DAVE_EXECUTE_TRANSITION = 22,
    VOICE_OP_DAVE_TRANSITION_READY = 23,
    VOICE_OP_DAVE_PREPARE_EPOCH = 24,
    VOICE_OP_MLS_KEY_PACKAGE = 26,
    VOICE_OP_MLS_COMMIT_WELCOME = 28,
    VOICE_OP_MLS_INVALID_COMMIT = 31,
    VOICE_OP_NO_ROUTE = 32
} voice_op_t;


#define VOICE_SPEAKING_VOICE       1u
#define VOICE_SPEAKING_SOUNDSHARE  2u
#define VOICE_SPEAKING_PRIORITY    4u


/* Close codes that this server sends, section 7.1. */
typedef enum {
    VOICE_CLOSE_NORMAL = 1000,
    VOICE_CLOSE_GOING_AWAY = 1001,
    VOICE_CLOSE_UNKNOWN_OPCODE = 4001,
    VOICE_CLOSE_DECODE = 4002,
    VOICE_CLOSE_NOT_AUTHENTICATED = 4003,
    VOICE_CLOSE_AUTH_FAILED = 4004,
    VOICE_CLOSE_ALREADY_AUTHENTICATED = 4005,
    VOICE_CLOSE_SESSION_INVALID = 4006,
    VOICE_CLOSE_SESSION_TIMEOUT = 4009,
    VOICE_CLOSE_SERVER_NOT_FOUND = 4011,
    VOICE_CLOSE_UNKNOWN_PROTOCOL = 4012,
    VOICE_CLOSE_DISCONNECTED = 4014,
    VOICE_CLOSE_SERVER_CRASHED = 4015,
    VOICE_CLOSE_UNKNOWN_MODE = 4016,
    VOICE_CLOSE_BAD_REQUEST = 4020,
    VOICE_CLOSE_RATE_LIMITED = 4021
} voice_close_t;


/*
 * A heartbeat's token goes back as it came, byte for byte: clients send
 * 64-bit numbers that a double can't hold.
 */
typedef struct {
    char       token[32];     /* number, as text; "null" if there was none */
    bool       object;        /* came as {"t":...}: answer in kind */
    bool       has_seq_ack;
    int32_t    seq_ack;       /* 0..65535, only if has_seq_ack */
} voice_op_heartbeat_t;


typedef struct {
    uint64_t   guild_id;      /* server_id */
    uint64_t   channel_id;    /* 0: absent (version < 9) */
    uint64_t   user_id;
    char       session_id[VOICE_SESSION_ID_MAX + 1];
    char       token[VOICE_TOKEN_MAX + 1];
    int        max_dave_version;
    bool       video;
} voice_op_identify_t;


typedef struct {
    char       protocol[16];                  /* "udp", "webrtc", ... */
    char       mode[VOICE_MODE_NAME_MAX];
    char       address[VOICE_ADDRESS_MAX];    /* a hint; may be "" */
    uint16_t   port;                          /* 0: absent */
} voice_op_select_t;


typedef struct {
    uint64_t   guild_id;
    uint64_t   channel_id;                    /* 0: absent */
    char       session_id[VOICE_SESSION_ID_MAX + 1];
    char       token[VOICE_TOKEN_MAX + 1];
    bool       has_seq_ack;
    int32_t    seq_ack;
} voice_op_resume_t;


typedef struct {
    uint32_t   speaking;      /* mask; true is 1 */
    uint32_t   ssrc;          /* 0: absent */
} voice_op_speaking_t;


/* A message of a client. */
typedef struct {
    int        op;            /* any number; only those below have a body */
    union {
        voice_op_identify_t   identify;
        voice_op_select_t     select;
        voice_op_heartbeat_t  heartbeat;
        voice_op_resume_t     resume;
        voice_op_speaking_t   speaking;
    } d;
} voice_client_msg_t;


/*
 * Decodes a text message of a client.  Ids are accepted as decimal strings
 * and as integers.  why: on error, a static text that names the field and
 * what was expected, for the close reason and the log (never its value).
 *
 * VOICE_E_LENGTH  longer than VOICE_MESSAGE_MAX
 * VOICE_E_FORMAT  not UTF-8, not JSON, too deep, not an object with an
 *                 integer op, or a field that op needs is missing or of
 *                 another type
 * VOICE_E_RANGE   a field's value is out of its range
 */
voice_err_t voice_client_msg_decode(const char *text, size_t len,
    voice_client_msg_t *msg, const char **why);


/* Server messages.  seq: 0 leaves the key out (versions < 8). */

typedef struct {
    uint32_t             ssrc;
    const char          *ip;
    uint16_t             port;
    const voice_mode_t  *mode;              /* in order of preference */
    size_t               nmodes;
    uint32_t             heartbeat_interval; /* ms */
} voice_op_ready_t;


/*
 * Each writes one message and a NUL into buf and gives its length without
 * the NUL.  VOICE_E_FULL if size is too small.  VOICE_ENCODE_MAX suffices for
 * all but clients_connect, which needs 64 + 24 * n.
 */
#define VOICE_ENCODE_MAX   1024

voice_err_t voice_hello_encode(char *buf, size_t size, int version,
    uint32_t heartbeat_interval, size_t *len);
voice_err_t voice_ready_encode(char *buf, size_t size,
    const voice_op_ready_t *ready, size_t *len);
voice_err_t voice_session_description_encode(char *buf, size_t size,
    voice_mode_t mode, const uint8_t key[VOICE_KEY_LEN], size_t *len);
voice_err_t voice_heartbeat_ack_encode(char *buf, size_t size, int version,
    const voice_op_heartbeat_t *hb, size_t *len);
voice_err_t voice_resumed_encode(char *buf, size_t size, size_t *len);
voice_err_t voice_backend_version_encode(char *buf, size_t size, size_t *len);

/* speaking as a boolean for versions < 4 */
voice_err_t voice_speaking_encode(char *buf, size_t size, int version,
    uint16_t seq, uint64_t user_id, uint32_t ssrc, uint32_t speaking,
    size_t *len);
voice_err_t voice_clients_connect_encode(char *buf, size_t size, uint16_t seq,
    const uint64_t *user_id, size_t n, size_t *len);

/* op 12 in its old meaning, "client connect": for versions < 8 */
voice_err_t voice_client_connect_encode(char *buf, size_t size,
    uint64_t user_id, uint32_t audio_ssrc, size_t *len);
voice_err_t voice_client_disconnect_encode(char *buf, size_t size,
    uint16_t seq, uint64_t user_id, size_t *len);

/* ops 18 and 20, with null values */
voice_err_t voice_client_flags_encode(char *buf, size_t size, uint16_t seq,
    uint64_t user_id, size_t *len);
voice_err_t voice_client_platform_encode(char *buf, size_t size, uint16_t seq,
    uint64_t user_id, size_t *len);


/* The other side, for our own client: a message of the server. */
typedef struct {
    int                  op;
    int32_t              seq;             /* -1: absent */
    uint32_t             heartbeat_interval;      /* 8 and 2 */
    uint32_t             ssrc;                    /* 2, 5 */
    char                 ip[VOICE_ADDRESS_MAX];   /* 2 */
    uint16_t             port;                    /* 2 */
    unsigned             modes;                   /* 2: bit per voice_mode_t */
    voice_mode_t         mode;                    /* 4; 2: its first known */
    uint8_t              key[VOICE_KEY_LEN];      /* 4 */
    uint64_t             user_id;                 /* 5, 13 */
    uint32_t             speaking;                /* 5 */
} voice_server_msg_t;

voice_err_t voice_server_msg_decode(const char *text, size_t len,
    voice_server_msg_t *msg, const char **why);

voice_err_t voice_identify_encode(char *buf, size_t size, int version,
    const voice_op_identify_t *id, size_t *len);
voice_err_t voice_select_encode(char *buf, size_t size,
    const voice_op_select_t *sel, size_t *len);
voice_err_t voice_resume_encode(char *buf, size_t size, int version,
    const voice_op_resume_t *r, size_t *len);

/* seq_ack < 0: none yet; versions < 8 send the bare number */
voice_err_t voice_heartbeat_encode(char *buf, size_t size, int version,
    uint64_t token, int32_t seq_ack, size_t *len);
voice_err_t voice_speaking_request_encode(char *buf, size_t size, int version,
    uint32_t ssrc, uint32_t speaking, size_t *len);


#endif /* _VOICE_OPCODE_H_INCLUDED_ */
