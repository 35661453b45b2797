/*
 * Copyright (C) ngx-voice contributors
 *
 * Tokens signed.  A claim that says nothing is left out: the token is the
 * largest part of a handshake.
 */


#include "voice_token_key.h"
#include "voice_json.h"

#include <inttypes.h>
#include <jansson.h>
#include <openssl/err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>


#define SIGN_GUILDS_MAX   (16 + VOICE_TOKEN_GUILDS_MAX * 23)


/* Claims that are put together; the first error stays. */
typedef struct {
    jwt_t        *jwt;
    voice_err_t   err;
} sign_claims_t;


static void
sign_result(sign_claims_t *claims, int rc)
{
    if (rc != 0) {
        claims->err = VOICE_E_NOMEM;
    }
}


/* Escaped text has at most 6 bytes for each one. */
static void
sign_string(sign_claims_t *claims, const char *name, const char *str)
{
    char               buf[6 * VOICE_TOKEN_NAME_MAX + 3];
    size_t             len;
    const char        *why;
    voice_json_t       val;
    voice_json_out_t   out;

    if (claims->err != VOICE_OK) {
        return;
    }

    voice_json_out_init(&out, buf, sizeof(buf));
    voice_json_put_string(&out, str);

    if (voice_json_out_done(&out, &len) != VOICE_OK
        || voice_json_parse(buf, len, &val, &why) != VOICE_OK)
    {
        claims->err = VOICE_E_FORMAT;
        return;
    }

    sign_result(claims, jwt_add_grant(claims->jwt, name, str));
}


static void
sign_decimal(sign_claims_t *claims, const char *name, uint64_t n)
{
    char  buf[24];

    if (claims->err != VOICE_OK) {
        return;
    }

    (void) snprintf(buf, sizeof(buf), "%" PRIu64, n);

    sign_result(claims, jwt_add_grant(claims->jwt, name, buf));
}


static void
sign_id(sign_claims_t *claims, const char *name, uint64_t id)
{
    if (id == 0) {
        claims->err = VOICE_E_RANGE;
    }

    sign_decimal(claims, name, id);
}


static void
sign_true(sign_claims_t *claims, const char *name, bool set)
{
    if (set && claims->err == VOICE_OK) {
        sign_result(claims, jwt_add_grant_bool(claims->jwt, name, 1));
    }
}


static void
sign_positive(sign_claims_t *claims, const char *name, int64_t n)
{
    if (n < 0) {
        claims->err = VOICE_E_RANGE;
    }

    if (n != 0 && claims->err == VOICE_OK) {
        sign_result(claims, jwt_add_grant_int(claims->jwt, name, n));
    }
}


/*
 * libjwt parses what it is given.  That is read back, since an id from which
 * its parser drops a digit (see voice_token_reserve()) would be signed.
 */
static void
sign_guilds(sign_claims_t *claims, const uint64_t *id, size_t n)
{
    char              *back;
    char               buf[SIGN_GUILDS_MAX];
    size_t             i, len;
    json_free_t        free_fn;
    json_malloc_t      malloc_fn;
    voice_json_out_t   out;

    voice_json_out_init(&out, buf, sizeof(buf));
    voice_json_printf(&out, "{\"guilds\":[");

    for (i = 0; i < n; i++) {
        voice_json_printf(&out, "%s\"%" PRIu64 "\"", i ? "," : "", id[i]);

        if (id[i] == 0) {
            claims->err = VOICE_E_RANGE;
        }
    }

    voice_json_printf(&out, "]}");

    if (voice_json_out_done(&out, &len) != VOICE_OK) {
        claims->err = VOICE_E_RANGE;
    }

    if (claims->err == VOICE_OK && !voice_token_reserve()) {
        claims->err = VOICE_E_NOMEM;
    }

    if (claims->err != VOICE_OK) {
        return;
    }

    sign_result(claims, jwt_add_grants_json(claims->jwt, buf));

    /* what stands before and after it is {"guilds": and } */
    back = jwt_get_grants_json(claims->jwt, "guilds");

    if (back == NULL || strlen(back) != len - 11
        || memcmp(back, buf + 10, len - 11) != 0)
    {
        claims->err = VOICE_E_NOMEM;
    }

    json_get_alloc_funcs(&malloc_fn, &free_fn);
    free_fn(back);
}


static voice_err_t
sign_encode(jwt_t *jwt, char *buf, size_t size)
{
    char    *str;
    size_t   len;

    if (!voice_token_reserve()) {
        return VOICE_E_NOMEM;
    }

    str = jwt_encode_str(jwt);
    if (str == NULL) {
        return VOICE_E_NOMEM;
    }

    len = strlen(str);

    if (len < size) {
        memcpy(buf, str, len + 1);
    }

    free(str);

    return len < size ? VOICE_OK : VOICE_E_FULL;
}


static voice_err_t
sign_key(const voice_token_keys_t *keys, jwt_t *jwt)
{
    int     rc;
    size_t  i;

    for (i = 0; i < keys->n; i++) {
        if (!keys->key[i].can_sign) {
            continue;
        }

        rc = jwt_set_alg(jwt, voice_token_key_alg(keys->key[i].alg),
                         keys->key[i].data, voice_token_key_len(keys, i));

        return rc == 0 ? VOICE_OK : VOICE_E_NOMEM;
    }

    return VOICE_E_STATE;
}


static voice_err_t
sign_begin(const voice_token_keys_t *keys, sign_claims_t *claims)
{
    claims->err = VOICE_OK;

    if (jwt_new(&claims->jwt) != 0) {
        claims->jwt = NULL;
        claims->err = VOICE_E_NOMEM;

    } else {
        claims->err = sign_key(keys, claims->jwt);
    }

    return claims->err;
}


static voice_err_t
sign_end(sign_claims_t *claims, char *buf, size_t size)
{
    if (claims->err == VOICE_OK) {
        claims->err = sign_encode(claims->jwt, buf, size);
    }

    jwt_free(claims->jwt);
    ERR_clear_error();

    return claims->err;
}


voice_err_t
voice_token_sign(const voice_token_keys_t *keys, const voice_token_t *token,
    char *buf, size_t size)
{
    sign_claims_t  claims;

    if (token->session_id[0] == '\0' || token->rev > INT64_MAX) {
        return VOICE_E_RANGE;
    }

    if (sign_begin(keys, &claims) != VOICE_OK) {
        return sign_end(&claims, buf, size);
    }

    sign_id(&claims, "sub", token->user_id);
    sign_id(&claims, "gid", token->guild_id);
    sign_id(&claims, "cid", token->channel_id);
    sign_string(&claims, "sid", token->session_id);

    if (token->has_permissions) {
        sign_decimal(&claims, "perm", token->permissions);
    }

    sign_true(&claims, "mute", token->mute);
    sign_true(&claims, "deaf", token->deaf);
    sign_true(&claims, "suppress", token->suppress);

    if (token->node[0] != '\0') {
        sign_string(&claims, "node", token->node);
    }

    if (token->boot[0] != '\0') {
        sign_string(&claims, "boot", token->boot);
    }

    if (token->gateway[0] != '\0') {
        sign_string(&claims, "gw", token->gateway);
    }

    if (token->serial != 0) {
        sign_decimal(&claims, "jti", token->serial);
    }

    sign_positive(&claims, "rev", (int64_t) token->rev);
    sign_positive(&claims, "exp", token->expires);

    return sign_end(&claims, buf, size);
}


voice_err_t
voice_user_token_sign(const voice_token_keys_t *keys,
    const voice_user_token_t *token, char *buf, size_t size)
{
    sign_claims_t  claims;

    if (token->nguilds > VOICE_TOKEN_GUILDS_MAX) {
        return VOICE_E_RANGE;
    }

    if (sign_begin(keys, &claims) != VOICE_OK) {
        return sign_end(&claims, buf, size);
    }

    sign_id(&claims, "sub", token->user_id);

    if (token->name[0] != '\0') {
        sign_string(&claims, "name", token->name);
    }

    sign_true(&claims, "bot", token->bot);
    sign_guilds(&claims, token->guild_id, token->nguilds);
    sign_positive(&claims, "exp", token->expires);

    return sign_end(&claims, buf, size);
}


voice_err_t
voice_platform_token_sign(const voice_token_keys_t *keys, int64_t expires,
    char *buf, size_t size)
{
    sign_claims_t  claims;

    if (sign_begin(keys, &claims) != VOICE_OK) {
        return sign_end(&claims, buf, size);
    }

    sign_string(&claims, "scope", VOICE_PLATFORM_SCOPE);
    sign_positive(&claims, "exp", expires);

    return sign_end(&claims, buf, size);
}
