/*
 * Copyright (C) ngx-voice contributors
 *
 * The main gateway, v9 and v10: a client's messages decoded, the state
 * machine of one websocket, the server's messages encoded.  protocol: "Main
 * gateway".
 *
 * One event goes to many sessions under different numbers.  So an event's
 * `d` is written once, and each session's message is a head, d and a tail.
 */


#ifndef _VOICE_GATEWAY_H_INCLUDED_
#define _VOICE_GATEWAY_H_INCLUDED_


#include "voice_buf.h"
#include "voice_directory.h"
#include "voice_json.h"
#include "voice_shape.h"
#include "voice_token.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>


#define VOICE_GATEWAY_VERSION         9        /* if the URL names none */
#define VOICE_GATEWAY_VERSION_MIN     9
#define VOICE_GATEWAY_VERSION_MAX     10

#define VOICE_GATEWAY_MESSAGE_MAX     16384    /* bytes, client to server */
#define VOICE_GATEWAY_HEARTBEAT       41250    /* ms, section 5 */

/*
 * 120 in 60 s, section 12.1: for voice_bucket_take().  Heartbeats have as
 * many of their own.
 */
#define VOICE_GATEWAY_RATE            2
#define VOICE_GATEWAY_BURST           120

#define VOICE_GATEWAY_SESSION_MAX     64       /* characters */
#define VOICE_GATEWAY_QUERY_MAX       400      /* bytes */
#define VOICE_GATEWAY_NONCE_MAX       32       /* bytes */
#define VOICE_GATEWAY_USERS_MAX       100      /* of one op 8 */
#define VOICE_GATEWAY_CHUNK           1000     /* members of one chunk */

/*
 * Op 8: more members than that at once only every so often of a guild, ms.
 * By a query there are never more.
 */
#define VOICE_GATEWAY_MEMBERS         100
#define VOICE_GATEWAY_MEMBERS_WAIT    30000


typedef enum {
    VOICE_GATEWAY_OP_DISPATCH = 0,
    VOICE_GATEWAY_OP_HEARTBEAT = 1,
    VOICE_GATEWAY_OP_IDENTIFY = 2,
    VOICE_GATEWAY_OP_PRESENCE = 3,
    VOICE_GATEWAY_OP_VOICE_STATE = 4,
    VOICE_GATEWAY_OP_VOICE_PING = 5,
    VOICE_GATEWAY_OP_RESUME = 6,
    VOICE_GATEWAY_OP_RECONNECT = 7,
    VOICE_GATEWAY_OP_MEMBERS = 8,
    VOICE_GATEWAY_OP_INVALID_SESSION = 9,
    VOICE_GATEWAY_OP_HELLO = 10,
    VOICE_GATEWAY_OP_HEARTBEAT_ACK = 11,
    VOICE_GATEWAY_OP_QOS_HEARTBEAT = 40
} voice_gateway_op_t;


/* Section 12.3. */
typedef enum {
    VOICE_GATEWAY_CLOSE_NORMAL = 1000,
    VOICE_GATEWAY_CLOSE_GOING_AWAY = 1001,
    VOICE_GATEWAY_CLOSE_UNKNOWN = 4000,
    VOICE_GATEWAY_CLOSE_OPCODE = 4001,
    VOICE_GATEWAY_CLOSE_DECODE = 4002,
    VOICE_GATEWAY_CLOSE_NOT_AUTHENTICATED = 4003,
    VOICE_GATEWAY_CLOSE_AUTH_FAILED = 4004,
    VOICE_GATEWAY_CLOSE_ALREADY_AUTHENTICATED = 4005,
    VOICE_GATEWAY_CLOSE_SESSION_INVALID = 4006,
    VOICE_GATEWAY_CLOSE_SEQ = 4007,
    VOICE_GATEWAY_CLOSE_RATE = 4008,
    VOICE_GATEWAY_CLOSE_TIMEOUT = 4009,
    VOICE_GATEWAY_CLOSE_SHARD = 4010,
    VOICE_GATEWAY_CLOSE_SHARDING = 4011,
    VOICE_GATEWAY_CLOSE_VERSION = 4012,
    VOICE_GATEWAY_CLOSE_INTENTS = 4013,
    VOICE_GATEWAY_CLOSE_DISALLOWED_INTENTS = 4014
} voice_gateway_close_t;


/* Section 6.4. */
#define VOICE_INTENT_GUILDS           (1u << 0)
#define VOICE_INTENT_MEMBERS          (1u << 1)
#define VOICE_INTENT_VOICE_STATES     (1u << 7)
#define VOICE_INTENT_ALL              UINT32_MAX      /* if none are named */


/* A client's messages. */

typedef struct {
    bool         has_seq;
    uint64_t     seq;              /* last s that it has seen */
} voice_gateway_heartbeat_t;


typedef struct {
    uint32_t     intents;
    uint32_t     shard;            /* of nshards: 0 of 1 if not named */
    uint32_t     nshards;
    bool         has_shard;
    bool         compress;
    char         token[VOICE_USER_TOKEN_MAX + 1];    /* without "Bot " */
} voice_gateway_identify_t;


typedef struct {
    uint64_t     guild_id;         /* 0: null, a call */
    uint64_t     channel_id;       /* 0: null, leave */
    bool         self_mute;
    bool         self_deaf;
    bool         self_video;
    bool         self_stream;
} voice_gateway_voice_state_t;


typedef struct {
    uint64_t     seq;
    char         session_id[VOICE_GATEWAY_SESSION_MAX + 1];
    char         token[VOICE_USER_TOKEN_MAX + 1];    /* without "Bot " */
} voice_gateway_resume_t;


typedef struct {
    uint64_t     guild_id;
    uint64_t     user_id[VOICE_GATEWAY_USERS_MAX];
    size_t       nusers;
    uint32_t     limit;            /* 0: all */
    bool         has_query;
    bool         presences;
    char         query[VOICE_GATEWAY_QUERY_MAX + 1];
    char         nonce[VOICE_GATEWAY_NONCE_MAX + 1]; /* "": none, or a
                                                        longer one */
} voice_gateway_members_t;


typedef struct {
    int          op;               /* any number; those below have a body */
    union {
        voice_gateway_heartbeat_t    heartbeat;      /* 1, 40 */
        voice_gateway_identify_t     identify;       /* 2 */
        voice_gateway_voice_state_t  voice_state;    /* 4 */
        voice_gateway_resume_t       resume;         /* 6 */
        voice_gateway_members_t      members;        /* 8 */
    } d;
} voice_gateway_msg_t;


/*
 * Decodes a text message of a client.  Ids are accepted as decimal strings
 * and as integers.  why: on error, a static text of at most 100 bytes that
 * names the field and what was expected.
 *
 * VOICE_E_LENGTH  longer than VOICE_GATEWAY_MESSAGE_MAX
 * VOICE_E_FORMAT  not UTF-8, not JSON, too deep, not an object with an
 *                 integer op, or a field that op needs is missing or of
 *                 another type
 * VOICE_E_RANGE   a field's value is out of its range
 */
voice_err_t voice_gateway_msg_decode(const char *text, size_t len,
    voice_gateway_msg_t *msg, const char **why);


/*
 * State machine of one websocket, section 4: (state, input) -> (state,
 * action).  The caller performs the action and reports what came of it.
 */

typedef enum {
    VOICE_GATEWAY_AWAIT_AUTH = 0,      /* Hello is sent; nobody yet */
    VOICE_GATEWAY_LIVE,                /* READY or RESUMED is sent */
    VOICE_GATEWAY_CLOSED,
    VOICE_GATEWAY_STATES
} voice_gateway_state_t;


typedef enum {
    VOICE_GATEWAY_IGNORE = 0,          /* accepted, nothing follows */
    VOICE_GATEWAY_DO_HELLO,            /* send Hello */
    VOICE_GATEWAY_DO_CLOSE,            /* close with code and reason */
    VOICE_GATEWAY_DO_ACK,              /* answer the heartbeat */
    VOICE_GATEWAY_DO_IDENTIFY,         /* check the token; READY, guilds */
    VOICE_GATEWAY_DO_RESUME,           /* replay and RESUMED; or op 9 */
    VOICE_GATEWAY_DO_VOICE_STATE,      /* join, move, leave, flags */
    VOICE_GATEWAY_DO_VOICE_PING,       /* is the voice server alive? */
    VOICE_GATEWAY_DO_MEMBERS           /* answer with chunks */
} voice_gateway_action_t;


/* What may happen besides a message. */
typedef enum {
    VOICE_GATEWAY_GOT_BINARY = 0,      /* a binary message */
    VOICE_GATEWAY_GOT_FLOOD,           /* more commands than allowed */
    VOICE_GATEWAY_GOT_TIMEOUT          /* no Identify or no heartbeat */
} voice_gateway_input_t;


typedef struct {
    voice_gateway_state_t    state;
    int                      version;
} voice_gateway_t;


typedef struct {
    voice_gateway_action_t   action;
    voice_gateway_close_t    code;     /* VOICE_GATEWAY_DO_CLOSE */
    const char              *reason;   /* static text, at most 100 bytes */
} voice_gateway_out_t;


/*
 * The websocket is open: VOICE_GATEWAY_DO_HELLO or VOICE_GATEWAY_DO_CLOSE.
 * version: of the URL, 0 if absent, -1 if not a number; json: whether the
 * URL asks for encoding=json or for none
 */
void voice_gateway_start(voice_gateway_t *gw, int version, bool json,
    voice_gateway_out_t *out);

/* A text message that was decoded. */
void voice_gateway_message(voice_gateway_t *gw,
    const voice_gateway_msg_t *msg, voice_gateway_out_t *out);

/* A text message that was not: why of voice_gateway_msg_decode(). */
void voice_gateway_malformed(voice_gateway_t *gw, const char *why,
    voice_gateway_out_t *out);

void voice_gateway_input(voice_gateway_t *gw, voice_gateway_input_t input,
    voice_gateway_out_t *out);

/* The outcome of an action: READY was sent, ...  Not after op 9. */
void voice_gateway_done(voice_gateway_t *gw, voice_gateway_action_t action);

/* Whether a message counts for the rate limit: heartbeats don't. */
bool voice_gateway_counts(const voice_gateway_msg_t *msg);

/* Whether the session may be resumed after its client closed so. */
bool voice_gateway_resumable(unsigned close_code);

/* The shard that a guild belongs to, section 6.1. */
uint32_t voice_gateway_shard(uint64_t guild_id, uint32_t nshards);


/* Messages that are no events.  Each is complete. */

/* trace: a name for logs, or NULL */
void voice_gateway_put_hello(voice_buf_t *b, uint32_t heartbeat_interval,
    const char *trace);
void voice_gateway_put_ack(voice_buf_t *b);
void voice_gateway_put_heartbeat(voice_buf_t *b);      /* asks for one */
void voice_gateway_put_reconnect(voice_buf_t *b);
void voice_gateway_put_invalid(voice_buf_t *b, bool resumable);


/* Events. */

typedef enum {
    VOICE_DISPATCH_READY = 0,
    VOICE_DISPATCH_RESUMED,
    VOICE_DISPATCH_GUILD_CREATE,
    VOICE_DISPATCH_GUILD_UPDATE,
    VOICE_DISPATCH_GUILD_DELETE,
    VOICE_DISPATCH_CHANNEL_CREATE,
    VOICE_DISPATCH_CHANNEL_UPDATE,
    VOICE_DISPATCH_CHANNEL_DELETE,
    VOICE_DISPATCH_ROLE_CREATE,
    VOICE_DISPATCH_ROLE_UPDATE,
    VOICE_DISPATCH_ROLE_DELETE,
    VOICE_DISPATCH_MEMBER_ADD,
    VOICE_DISPATCH_MEMBER_UPDATE,
    VOICE_DISPATCH_MEMBER_REMOVE,
    VOICE_DISPATCH_MEMBERS_CHUNK,
    VOICE_DISPATCH_RATE_LIMITED,
    VOICE_DISPATCH_VOICE_STATE,
    VOICE_DISPATCH_VOICE_SERVER,
    VOICE_DISPATCHES
} voice_dispatch_t;

/* "GUILD_CREATE", ... */
const char *voice_dispatch_name(voice_dispatch_t event);

/*
 * What stands before d, NUL-terminated; gives its length.  After d comes
 * VOICE_DISPATCH_TAIL.
 */
#define VOICE_DISPATCH_HEAD_MAX   80
#define VOICE_DISPATCH_TAIL       "}"

size_t voice_dispatch_head(char head[VOICE_DISPATCH_HEAD_MAX],
    voice_dispatch_t event, uint64_t seq);

/* The same at once: head, d, tail. */
void voice_gateway_put_dispatch(voice_buf_t *b, voice_dispatch_t event,
    uint64_t seq, const char *d, size_t len);


typedef struct {
    int                       version;
    const voice_dir_user_t   *user;
    const char               *session_id;
    const char               *resume_url;    /* "wss://host/" */
    const uint64_t           *guild_id;
    size_t                    nguilds;
    uint64_t                  application_id;
    uint32_t                  shard;
    uint32_t                  nshards;
    const char               *trace;         /* or NULL */
} voice_gateway_ready_t;


typedef struct {
    const voice_dir_guild_t          *guild;
    const voice_shape_state_t        *state;      /* that it may see; quicker
                                                     in order of user ids */
    size_t                            nstates;
    bool                              directory;  /* all of the directory's
                                                     members, and then */
    const voice_dir_member_t *const  *member;     /* these; those that are
                                                     in both come once */
    size_t                            nmembers;
} voice_gateway_guild_t;


typedef struct {
    uint64_t                          guild_id;
    const voice_dir_member_t *const  *member;
    size_t                            nmembers;
    const uint64_t                   *not_found;
    size_t                            nnot_found;
    uint32_t                          chunk_index;
    uint32_t                          chunk_count;
    bool                              presences;
    const char                       *nonce;      /* NULL or "": none */
} voice_gateway_chunk_t;


/* Each writes an event's d. */

void voice_gateway_ready_d(voice_buf_t *b,
    const voice_gateway_ready_t *ready);
void voice_gateway_resumed_d(voice_buf_t *b, const char *trace);

/* GUILD_CREATE; in a member mute and deaf are those of its voice state */
void voice_gateway_guild_d(voice_buf_t *b,
    const voice_gateway_guild_t *guild);

void voice_gateway_guild_update_d(voice_buf_t *b,
    const voice_dir_guild_t *guild, size_t member_count);

/* unavailable: an outage; or else the user isn't in it any more */
void voice_gateway_guild_delete_d(voice_buf_t *b, uint64_t guild_id,
    bool unavailable);

/* CHANNEL_CREATE, _UPDATE and _DELETE */
void voice_gateway_channel_d(voice_buf_t *b, uint64_t guild_id,
    const voice_dir_channel_t *channel);

/* GUILD_ROLE_CREATE and _UPDATE; _DELETE */
void voice_gateway_role_d(voice_buf_t *b, uint64_t guild_id,
    const voice_dir_role_t *role);
void voice_gateway_role_delete_d(voice_buf_t *b, uint64_t guild_id,
    uint64_t role_id);

/* GUILD_MEMBER_ADD and _UPDATE; _REMOVE */
void voice_gateway_member_d(voice_buf_t *b, uint64_t guild_id,
    const voice_dir_member_t *member, bool mute, bool deaf);
void voice_gateway_member_remove_d(voice_buf_t *b, uint64_t guild_id,
    const voice_dir_user_t *user);

void voice_gateway_chunk_d(voice_buf_t *b,
    const voice_gateway_chunk_t *chunk);

/* Of op 8; retry_after: ms; nonce: NULL or "": none */
void voice_gateway_rate_limited_d(voice_buf_t *b, uint64_t guild_id,
    uint64_t retry_after, const char *nonce);

/* member: never NULL in earnest, section 8 */
void voice_gateway_voice_state_d(voice_buf_t *b,
    const voice_shape_state_t *state, const voice_dir_member_t *member);

/* endpoint: "host[:port]"; NULL: the server was taken away, section 8.1 */
void voice_gateway_voice_server_d(voice_buf_t *b, uint64_t guild_id,
    const char *token, const char *endpoint);


/*
 * Op 8: whether a member's user name, display name or nick starts with the
 * query; the case of ASCII letters doesn't matter.
 */
bool voice_gateway_member_matches(const voice_dir_member_t *member,
    const char *query);


#endif /* _VOICE_GATEWAY_H_INCLUDED_ */
