/*
 * Copyright (C) ngx-voice contributors
 *
 * Discord's JSON objects as the gateway's events and the REST replies show
 * them, with every key that a library reads unasked.  protocol: "Main
 * gateway" sections 6.2, 6.3, 8 and 14, "Client libraries".
 */


#ifndef _VOICE_SHAPE_H_INCLUDED_
#define _VOICE_SHAPE_H_INCLUDED_


#include "voice_buf.h"
#include "voice_directory.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>


typedef struct {
    uint64_t     guild_id;
    uint64_t     channel_id;          /* 0: has left */
    uint64_t     user_id;
    const char  *session_id;
    uint64_t     request_to_speak;    /* unix ms; 0: none */
    bool         mute;                /* by a moderator, as deaf */
    bool         deaf;
    bool         self_mute;
    bool         self_deaf;
    bool         self_video;
    bool         self_stream;
    bool         suppress;
} voice_shape_state_t;


typedef struct {
    const char  *id;
    const char  *name;
    bool         optimal;
    bool         deprecated;
} voice_shape_region_t;


/* Each writes one object, without anything around it. */

/* self: the user that asks, with what only oneself is told */
void voice_shape_user(voice_buf_t *b, const voice_dir_user_t *user,
    bool self);

/* mute, deaf: as they are now */
void voice_shape_member(voice_buf_t *b, const voice_dir_member_t *member,
    bool mute, bool deaf);

/* The keys alone, without braces, for an object that has more. */
void voice_shape_member_keys(voice_buf_t *b, const voice_dir_member_t *member,
    bool mute, bool deaf);

void voice_shape_role(voice_buf_t *b, const voice_dir_role_t *role);

/* guild_id: 0 leaves the key out, as inside of GUILD_CREATE */
void voice_shape_channel(voice_buf_t *b, const voice_dir_channel_t *channel,
    uint64_t guild_id);

/*
 * guild_id: whether the key is there: not inside of GUILD_CREATE.
 * member: NULL leaves the key out.
 */
void voice_shape_state(voice_buf_t *b, const voice_shape_state_t *state,
    bool guild_id, const voice_dir_member_t *member);

/* The guild as REST gives it: roles, but no channels, members or states. */
void voice_shape_guild(voice_buf_t *b, const voice_dir_guild_t *guild,
    size_t member_count);

/* The keys of a guild alone, without braces, for an object that has more. */
void voice_shape_guild_keys(voice_buf_t *b, const voice_dir_guild_t *guild,
    size_t member_count);

/* [channel, ...] */
void voice_shape_channels(voice_buf_t *b, const voice_dir_guild_t *guild,
    bool guild_id);

void voice_shape_regions(voice_buf_t *b, const voice_shape_region_t *region,
    size_t n);

/* GET /applications/@me: of a bot, which owns itself */
void voice_shape_application(voice_buf_t *b, const voice_dir_user_t *bot);

/* GET /gateway, GET /gateway/bot; url: wss://host[:port][/path] */
void voice_shape_gateway(voice_buf_t *b, const char *url);

/* How often the user may identify; reset_after: ms */
typedef struct {
    uint32_t   total;
    uint32_t   remaining;
    uint64_t   reset_after;
    uint32_t   max_concurrency;
} voice_shape_session_limit_t;

void voice_shape_gateway_bot(voice_buf_t *b, const char *url,
    const voice_shape_session_limit_t *limit);


/* "2026-08-01T12:00:00.123000+00:00" */
#define VOICE_SHAPE_TIME_LEN   32

void voice_shape_time(char buf[VOICE_SHAPE_TIME_LEN + 1], uint64_t unix_ms);

/* ISO 8601 with "Z" or an offset, to the millisecond.  VOICE_E_FORMAT */
voice_err_t voice_shape_time_parse(const char *text, uint64_t *unix_ms);


/* Error bodies of REST. */

typedef enum {
    VOICE_REST_UNAUTHORIZED = 0,       /* 401 */
    VOICE_REST_NOT_FOUND,              /* 404, no such call */
    VOICE_REST_METHOD,                 /* 405 */
    VOICE_REST_UNKNOWN_CHANNEL,        /* 404, 10003 */
    VOICE_REST_UNKNOWN_GUILD,          /* 404, 10004 */
    VOICE_REST_UNKNOWN_MEMBER,         /* 404, 10007 */
    VOICE_REST_UNKNOWN_USER,           /* 404, 10013 */
    VOICE_REST_UNKNOWN_VOICE_STATE,    /* 404, 10065 */
    VOICE_REST_NOT_IN_VOICE,           /* 400, 40032 */
    VOICE_REST_TOO_LARGE,              /* 413, 40005 */
    VOICE_REST_RATE_LIMITED,           /* 429 */
    VOICE_REST_MISSING_ACCESS,         /* 403, 50001 */
    VOICE_REST_MISSING_PERMISSIONS,    /* 403, 50013 */
    VOICE_REST_WRONG_CHANNEL_TYPE,     /* 400, 50024 */
    VOICE_REST_INVALID_FORM,           /* 400, 50035, names a field */
    VOICE_REST_INVALID_JSON,           /* 400, 50109 */
    VOICE_REST_CHANNEL_FULL,           /* 400 */
    VOICE_REST_UNAVAILABLE,            /* 503 */
    VOICE_REST_ERRORS
} voice_rest_error_t;

/* HTTP status of an error */
unsigned voice_rest_status(voice_rest_error_t error);

/* {"message", "code"} */
void voice_shape_error(voice_buf_t *b, voice_rest_error_t error);

/*
 * VOICE_REST_INVALID_FORM with the place: a JSON pointer ("/channel_id",
 * "/channels/3/name"; "" is the whole body) becomes the keys under "errors".
 */
void voice_shape_field_error(voice_buf_t *b, const char *pointer,
    const char *message);

/* 429: seconds to wait, in ms here */
void voice_shape_rate_limited(voice_buf_t *b, uint64_t retry_after_ms,
    bool global);


#endif /* _VOICE_SHAPE_H_INCLUDED_ */
