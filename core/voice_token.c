/*
 * Copyright (C) ngx-voice contributors
 *
 * Tokens are taken apart here, strictly, and libjwt is asked about the
 * signature only: its own decoding skips bytes that are not base64, and its
 * JSON parser drops characters when memory is short.
 */


#include "voice_token_key.h"
#include "voice_json.h"
#include "voice_opcode.h"

#include <errno.h>
#include <openssl/err.h>
#include <sodium.h>
#include <string.h>


#define TOKEN_HEADER_MAX   512
#define TOKEN_BYTES_MAX    (VOICE_USER_TOKEN_MAX / 4 * 3)


typedef struct {
    const char  *start;
    size_t       len;
} token_part_t;


typedef struct {
    token_part_t   header;
    token_part_t   payload;
    token_part_t   signature;
} token_parts_t;


static const voice_field_t  voice_claims[] = {

    { "sub", VOICE_FIELD_DECIMAL_ID, true,
      offsetof(voice_token_t, user_id), 0, 0,
      "token: sub: a snowflake as a string is expected" },

    { "gid", VOICE_FIELD_DECIMAL_ID, true,
      offsetof(voice_token_t, guild_id), 0, 0,
      "token: gid: a snowflake as a string is expected" },

    { "cid", VOICE_FIELD_DECIMAL_ID, true,
      offsetof(voice_token_t, channel_id), 0, 0,
      "token: cid: a snowflake as a string is expected" },

    { "sid", VOICE_FIELD_STRING, true,
      offsetof(voice_token_t, session_id), 1, 64,
      "token: sid: a string of 1 to 64 bytes is expected" },

    { "mute", VOICE_FIELD_BOOL, false,
      offsetof(voice_token_t, mute), 0, 0,
      "token: mute: a boolean is expected" },

    { "deaf", VOICE_FIELD_BOOL, false,
      offsetof(voice_token_t, deaf), 0, 0,
      "token: deaf: a boolean is expected" },

    { "suppress", VOICE_FIELD_BOOL, false,
      offsetof(voice_token_t, suppress), 0, 0,
      "token: suppress: a boolean is expected" },

    { "node", VOICE_FIELD_STRING, false,
      offsetof(voice_token_t, node), 0, 64,
      "token: node: a string of at most 64 bytes is expected" },

    { "boot", VOICE_FIELD_STRING, false,
      offsetof(voice_token_t, boot), 0, 36,
      "token: boot: a string of at most 36 bytes is expected" },

    { "gw", VOICE_FIELD_STRING, false,
      offsetof(voice_token_t, gateway), 0, 32,
      "token: gw: a string of at most 32 bytes is expected" },

    { "rev", VOICE_FIELD_I64, false,
      offsetof(voice_token_t, rev), 0, INT64_MAX,
      "token: rev: an integer of 0 to 2^63 - 1 is expected" }
};


static const voice_field_t  user_claims[] = {

    { "sub", VOICE_FIELD_DECIMAL_ID, true,
      offsetof(voice_user_token_t, user_id), 0, 0,
      "token: sub: a snowflake as a string is expected" },

    { "name", VOICE_FIELD_STRING, false,
      offsetof(voice_user_token_t, name), 0, VOICE_TOKEN_NAME_MAX,
      "token: name: a string of at most 64 bytes is expected" },

    { "bot", VOICE_FIELD_BOOL, false,
      offsetof(voice_user_token_t, bot), 0, 0,
      "token: bot: a boolean is expected" }
};


static const voice_field_t  header_fields[] = {

    { "alg", VOICE_FIELD_STRING, true, 0, 1, 5,
      "token: alg: HS256, RS256 or ES256 is expected" }
};


#define token_nelts(a)  (sizeof(a) / sizeof((a)[0]))


/* header.payload.signature, RFC 7515 section 3.1; no part is empty */
static bool
token_split(const char *jwt, size_t max, token_parts_t *parts)
{
    size_t       len;
    const char  *dot1, *dot2, *end;

    len = strnlen(jwt, max + 1);
    if (len > max) {
        return false;
    }

    end = jwt + len;

    dot1 = memchr(jwt, '.', len);
    if (dot1 == NULL) {
        return false;
    }

    dot2 = memchr(dot1 + 1, '.', (size_t) (end - dot1 - 1));
    if (dot2 == NULL) {
        return false;
    }

    parts->header.start = jwt;
    parts->header.len = (size_t) (dot1 - jwt);
    parts->payload.start = dot1 + 1;
    parts->payload.len = (size_t) (dot2 - dot1 - 1);
    parts->signature.start = dot2 + 1;
    parts->signature.len = (size_t) (end - dot2 - 1);

    return parts->header.len > 0 && parts->payload.len > 0
           && parts->signature.len > 0;
}


static bool
token_base64(const token_part_t *part, uint8_t *buf, size_t size, size_t *len)
{
    return sodium_base642bin(buf, size, part->start, part->len, NULL, len,
                             NULL, sodium_base64_VARIANT_URLSAFE_NO_PADDING)
           == 0;
}


static voice_err_t
token_header(const token_part_t *part, voice_alg_t *alg, const char **why)
{
    int           i;
    char          name[6];
    size_t        len;
    uint8_t       buf[TOKEN_HEADER_MAX];
    voice_err_t   err;
    voice_json_t  header, crit;

    if (!token_base64(part, buf, sizeof(buf), &len)
        || voice_json_parse((char *) buf, len, &header, why) != VOICE_OK)
    {
        *why = "token: its header is not JSON in base64url";
        return VOICE_E_FORMAT;
    }

    err = voice_fields_read(&header, header_fields, 1, name, why);
    if (err != VOICE_OK) {
        return err == VOICE_E_RANGE ? VOICE_E_AUTH : VOICE_E_FORMAT;
    }

    /* RFC 7515 section 4.1.11: we understand no extension */
    if (voice_json_get(&header, "crit", &crit) != VOICE_JSON_ABSENT) {
        *why = "token: crit: no critical extension is expected";
        return VOICE_E_FORMAT;
    }

    for (i = VOICE_ALG_HS256; i <= VOICE_ALG_ES256; i++) {
        if (strcmp(name, jwt_alg_str(voice_token_key_alg(i))) == 0) {
            *alg = i;
            return VOICE_OK;
        }
    }

    *why = header_fields[0].why;

    return VOICE_E_AUTH;
}


/*
 * libjwt takes the algorithm from the token and gives it any key, so only
 * keys of that algorithm are tried.  When it gets no memory for the key it
 * reports success without having looked at the token; it has no algorithm
 * then.
 */
static voice_err_t
token_authenticate(const voice_token_keys_t *keys, voice_alg_t alg,
    const char *jwt, const char **why)
{
    int          rc;
    bool         memory;
    size_t       i;
    jwt_t       *j;
    voice_err_t  err;

    memory = true;
    err = VOICE_E_AUTH;

    for (i = 0; i < keys->n && err != VOICE_OK; i++) {
        if (keys->key[i].alg != alg) {
            continue;
        }

        j = NULL;
        rc = ENOMEM;

        if (voice_token_reserve()) {
            rc = jwt_decode(&j, jwt, keys->key[i].data,
                            voice_token_key_len(keys, i));
        }

        if (rc == ENOMEM || (rc == 0 && jwt_get_alg(j) == JWT_ALG_NONE)) {
            memory = false;

        } else if (rc == 0 && jwt_get_alg(j) == voice_token_key_alg(alg)) {
            err = VOICE_OK;
        }

        jwt_free(j);
    }

    /* a signature that did not match is no error of the TLS connection */
    ERR_clear_error();

    if (err == VOICE_OK) {
        return VOICE_OK;
    }

    *why = memory ? "token: not signed by one of our keys" : "no memory";

    return memory ? VOICE_E_AUTH : VOICE_E_NOMEM;
}


/*
 * The claims of a token whose signature is right; they point into buf.  What
 * is not well-formed, or nested too deep, does not reach libjwt at all.
 */
static voice_err_t
token_open(const voice_token_keys_t *keys, const char *jwt, size_t max,
    uint8_t buf[TOKEN_BYTES_MAX], voice_json_t *claims, const char **why)
{
    size_t         len;
    voice_alg_t    alg;
    voice_err_t    err;
    token_parts_t  parts;

    if (!token_split(jwt, max, &parts)
        || !token_base64(&parts.signature, buf, TOKEN_BYTES_MAX, &len)
        || !token_base64(&parts.payload, buf, TOKEN_BYTES_MAX, &len))
    {
        *why = "token: three parts in base64url are expected";
        return VOICE_E_FORMAT;
    }

    err = token_header(&parts.header, &alg, why);
    if (err != VOICE_OK) {
        return err;
    }

    if (voice_json_parse((char *) buf, len, claims, why) != VOICE_OK
        || claims->type != VOICE_JSON_OBJECT)
    {
        *why = "token: its payload is not a JSON object";
        return VOICE_E_FORMAT;
    }

    return token_authenticate(keys, alg, jwt, why);
}


static voice_err_t
token_claims(const voice_json_t *claims, const voice_field_t *field, size_t n,
    void *out, const char **why)
{
    voice_err_t  err;

    err = voice_fields_read(claims, field, n, out, why);

    return err == VOICE_OK ? VOICE_OK : VOICE_E_FORMAT;
}


/* RFC 7519 section 2, NumericDate: seconds, perhaps with a fraction. */
static voice_err_t
token_expires(const voice_json_t *claims, int64_t *expires, const char **why)
{
    const char    *dot;
    voice_json_t   exp;

    if (voice_json_get(claims, "exp", &exp) == VOICE_JSON_ABSENT) {
        return VOICE_OK;
    }

    if (exp.type == VOICE_JSON_NUMBER
        && memchr(exp.start, 'e', (size_t) (exp.end - exp.start)) == NULL
        && memchr(exp.start, 'E', (size_t) (exp.end - exp.start)) == NULL)
    {
        dot = memchr(exp.start, '.', (size_t) (exp.end - exp.start));
        exp.end = dot ? dot : exp.end;
    }

    /* 0 would be "never" in the struct */
    if (voice_json_int(&exp, 1, INT64_MAX, expires) != VOICE_OK) {
        *why = "token: exp: seconds above 0 are expected";
        return VOICE_E_FORMAT;
    }

    return VOICE_OK;
}


static voice_err_t
token_permissions(const voice_json_t *claims, voice_token_t *token,
    const char **why)
{
    voice_json_t  perm;

    if (voice_json_get(claims, "perm", &perm) == VOICE_JSON_ABSENT) {
        return VOICE_OK;
    }

    if (voice_json_decimal(&perm, &token->permissions) != VOICE_OK) {
        *why = "token: perm: a decimal number as a string is expected";
        return VOICE_E_FORMAT;
    }

    token->has_permissions = true;

    return VOICE_OK;
}


static voice_err_t
token_expired(int64_t expires, int64_t now, const char **why)
{
    if (expires == 0 || expires > now) {
        return VOICE_OK;
    }

    *why = "token: expired";

    return VOICE_E_EXPIRED;
}


voice_err_t
voice_token_verify(const voice_token_keys_t *keys, const char *jwt,
    int64_t now, voice_token_t *token, const char **why)
{
    uint8_t        buf[TOKEN_BYTES_MAX];
    voice_err_t    err;
    voice_json_t   claims;
    voice_token_t  t;

    err = token_open(keys, jwt, VOICE_TOKEN_MAX, buf, &claims, why);
    if (err != VOICE_OK) {
        return err;
    }

    memset(&t, 0, sizeof(t));

    err = token_claims(&claims, voice_claims, token_nelts(voice_claims), &t,
                       why);
    if (err != VOICE_OK) {
        return err;
    }

    err = token_permissions(&claims, &t, why);
    if (err != VOICE_OK) {
        return err;
    }

    err = token_expires(&claims, &t.expires, why);
    if (err != VOICE_OK) {
        return err;
    }

    *token = t;

    return token_expired(t.expires, now, why);
}


/*
 * The claim is required: without it a voice token, which the same keys sign,
 * would pass for a user token.
 */
static voice_err_t
token_guilds(const voice_json_t *claims, voice_user_token_t *token,
    const char **why)
{
    voice_json_t  guilds, id;

    *why = "token: guilds: at most 200 snowflakes as strings are expected";

    if (voice_json_get(claims, "guilds", &guilds) != VOICE_JSON_ARRAY) {
        return VOICE_E_FORMAT;
    }

    memset(&id, 0, sizeof(id));

    while (voice_json_next(&guilds, &id)) {
        if (token->nguilds == VOICE_TOKEN_GUILDS_MAX
            || id.type != VOICE_JSON_STRING
            || voice_json_id(&id, &token->guild_id[token->nguilds])
               != VOICE_OK)
        {
            return VOICE_E_FORMAT;
        }

        token->nguilds++;
    }

    return VOICE_OK;
}


voice_err_t
voice_user_token_verify(const voice_token_keys_t *keys, const char *jwt,
    int64_t now, voice_user_token_t *token, const char **why)
{
    uint8_t             buf[TOKEN_BYTES_MAX];
    voice_err_t         err;
    voice_json_t        claims;
    voice_user_token_t  t;

    err = token_open(keys, jwt, VOICE_USER_TOKEN_MAX, buf, &claims, why);
    if (err != VOICE_OK) {
        return err;
    }

    memset(&t, 0, sizeof(t));

    err = token_claims(&claims, user_claims, token_nelts(user_claims), &t,
                       why);
    if (err != VOICE_OK) {
        return err;
    }

    err = token_guilds(&claims, &t, why);
    if (err != VOICE_OK) {
        return err;
    }

    err = token_expires(&claims, &t.expires, why);
    if (err != VOICE_OK) {
        return err;
    }

    err = token_expired(t.expires, now, why);
    if (err != VOICE_OK) {
        return err;
    }

    *token = t;

    return VOICE_OK;
}


voice_err_t
voice_platform_token_verify(const voice_token_keys_t *keys, const char *jwt,
    int64_t now, int64_t *expires, const char **why)
{
    char          scope[sizeof(VOICE_PLATFORM_SCOPE)];
    uint8_t       buf[TOKEN_BYTES_MAX];
    voice_err_t   err;
    voice_json_t  claims, value;

    err = token_open(keys, jwt, VOICE_TOKEN_MAX, buf, &claims, why);
    if (err != VOICE_OK) {
        return err;
    }

    if (voice_json_get(&claims, "scope", &value) != VOICE_JSON_STRING
        || voice_json_string(&value, scope, sizeof(scope)) != VOICE_OK
        || strcmp(scope, VOICE_PLATFORM_SCOPE) != 0)
    {
        *why = "token: scope: \"" VOICE_PLATFORM_SCOPE "\" is expected";
        return VOICE_E_FORMAT;
    }

    *expires = 0;

    err = token_expires(&claims, expires, why);
    if (err != VOICE_OK) {
        return err;
    }

    return token_expired(*expires, now, why);
}


void
voice_token_hash(const char *jwt, uint8_t hash[VOICE_TOKEN_HASH_LEN])
{
    uint8_t  sha256[crypto_hash_sha256_BYTES];

    (void) crypto_hash_sha256(sha256, (const uint8_t *) jwt, strlen(jwt));

    memcpy(hash, sha256, VOICE_TOKEN_HASH_LEN);
}
