/*
 * Copyright (C) ngx-voice contributors
 *
 * One error enum for the whole core.  Zero is success; an output parameter
 * is written only on success.
 */


#ifndef _VOICE_ERR_H_INCLUDED_
#define _VOICE_ERR_H_INCLUDED_


typedef enum {
    VOICE_OK = 0,
    VOICE_AGAIN,           /* more bytes, or a later try, are needed */
    VOICE_E_SHORT,         /* fewer bytes than the format needs */
    VOICE_E_LENGTH,        /* a length field disagrees with the bytes there */
    VOICE_E_FORMAT,        /* not this format, or malformed */
    VOICE_E_AUTH,          /* authentication tag or signature mismatch */
    VOICE_E_REPLAY,        /* seen before, or older than the window */
    VOICE_E_RANGE,         /* a value outside of what is allowed */
    VOICE_E_FULL,          /* a table, ring or buffer has no room */
    VOICE_E_NOT_FOUND,     /* no such object */
    VOICE_E_STALE,         /* the id's slot belongs to somebody else now */
    VOICE_E_STATE,         /* not allowed in this state */
    VOICE_E_EXPIRED,       /* valid once, not any more */
    VOICE_E_NOMEM,         /* memory allocation failed */
    VOICE_E_SYS,           /* a system call failed, see errno */
    VOICE_E_COUNT
} voice_err_t;


/* "short", "auth", ...: a metric label; "unknown" for a foreign value */
const char *voice_err_name(voice_err_t err);


#endif /* _VOICE_ERR_H_INCLUDED_ */
