/*
 * Copyright (C) ngx-voice contributors
 *
 * JSON web tokens (RFC 7519) by libjwt: voice tokens, which admit a user to
 * one channel of one voice server, and user tokens, which libraries use as
 * their bot token.  HS256, RS256, ES256; never "none", and never a public
 * key taken for an HMAC secret.
 */


#ifndef _VOICE_TOKEN_H_INCLUDED_
#define _VOICE_TOKEN_H_INCLUDED_


#include "voice_err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>


#define VOICE_USER_TOKEN_MAX      8192    /* characters; a voice token's:
                                             VOICE_TOKEN_MAX */
#define VOICE_TOKEN_NAME_MAX      64
#define VOICE_TOKEN_GUILDS_MAX    200
#define VOICE_TOKEN_HASH_LEN      16
#define VOICE_TOKEN_KEYS_MAX      8

#define VOICE_PLATFORM_SCOPE      "platform"


typedef enum {
    VOICE_ALG_HS256 = 0,
    VOICE_ALG_RS256,
    VOICE_ALG_ES256
} voice_alg_t;


/* A set of keys: the first one that can sign signs, all of them verify. */
typedef struct {
    struct {
        voice_alg_t   alg;
        uint8_t      *data;      /* secret, or PEM text with its NUL */
        size_t        len;
        bool          can_sign;  /* secret or private key */
    } key[VOICE_TOKEN_KEYS_MAX];
    size_t            n;
} voice_token_keys_t;


/* Voice token.  Ids travel as decimal strings. */
typedef struct {
    uint64_t   user_id;                 /* sub */
    uint64_t   guild_id;                /* gid */
    uint64_t   channel_id;              /* cid */
    uint64_t   permissions;             /* perm; has_permissions false: absent,
                                           everything is allowed */
    char       session_id[65];          /* sid */
    bool       has_permissions;
    bool       mute;                    /* server mute */
    bool       deaf;
    bool       suppress;
    char       node[65];                /* "" if absent */
    char       boot[37];                /* "" if absent */
    char       gateway[33];             /* gw: the node that has the user's
                                           voice state; "" if absent */
    uint64_t   rev;                     /* 0 if absent */
    uint64_t   serial;                  /* jti, which is only written: what
                                           makes it another token than the
                                           last one; 0: none */
    int64_t    expires;                 /* exp, unix seconds; 0: never */
} voice_token_t;


typedef struct {
    uint64_t   user_id;                              /* sub */
    char       name[VOICE_TOKEN_NAME_MAX + 1];
    bool       bot;
    uint64_t   guild_id[VOICE_TOKEN_GUILDS_MAX];     /* guilds */
    size_t     nguilds;
    int64_t    expires;
} voice_user_token_t;


/*
 * Adds a key as it stands in its file: PEM (RSA or P-256 EC, public or
 * private), or else an HS256 secret, whose last newline is dropped.
 * why: on error a static text that says what was expected.
 *
 * VOICE_E_SHORT   secret of fewer than 32 bytes
 * VOICE_E_FORMAT  PEM of another kind
 * VOICE_E_FULL    more than VOICE_TOKEN_KEYS_MAX
 */
voice_err_t voice_token_key_add(voice_token_keys_t *keys, const void *data,
    size_t len, const char **why);

/* Wipes and frees. */
void voice_token_keys_free(voice_token_keys_t *keys);

/*
 * Verifies and reads a voice token.
 *
 * VOICE_E_FORMAT   not a JWT, or a claim is missing, malformed or too long
 * VOICE_E_AUTH     no key of ours signed it, or its alg is not the key's
 * VOICE_E_EXPIRED  exp is not after now; *token is filled in all the same,
 *                  since a token stays good for a session that it began
 */
voice_err_t voice_token_verify(const voice_token_keys_t *keys,
    const char *jwt, int64_t now, voice_token_t *token, const char **why);

/*
 * The same for a user token; an expired one is refused.  Its claim guilds is
 * required, be it empty: without it a voice token would do as well.
 */
voice_err_t voice_user_token_verify(const voice_token_keys_t *keys,
    const char *jwt, int64_t now, voice_user_token_t *token,
    const char **why);

/*
 * A platform's token: whoever has it may change guilds and see all of them.
 * It is a JWT whose claim scope is "platform", under keys of its own, so that
 * no user or voice token passes for one.  expires: its exp, unix seconds; 0:
 * never.  Errors as above.
 */
voice_err_t voice_platform_token_verify(const voice_token_keys_t *keys,
    const char *jwt, int64_t now, int64_t *expires, const char **why);

/*
 * Signs into buf, NUL-terminated.
 *
 * VOICE_E_STATE   no key can sign
 * VOICE_E_FULL    size is too small
 * VOICE_E_RANGE   an id that must not be 0 is, or a claim is out of range
 * VOICE_E_FORMAT  a string is not UTF-8
 */
voice_err_t voice_token_sign(const voice_token_keys_t *keys,
    const voice_token_t *token, char *buf, size_t size);
voice_err_t voice_user_token_sign(const voice_token_keys_t *keys,
    const voice_user_token_t *token, char *buf, size_t size);

/* expires: unix seconds; 0: never */
voice_err_t voice_platform_token_sign(const voice_token_keys_t *keys,
    int64_t expires, char *buf, size_t size);

/* What the zone keeps of a token: the start of its SHA-256. */
void voice_token_hash(const char *jwt, uint8_t hash[VOICE_TOKEN_HASH_LEN]);


#endif /* _VOICE_TOKEN_H_INCLUDED_ */
