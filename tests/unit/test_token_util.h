/*
 * Copyright (C) ngx-voice contributors
 *
 * What the tests of tokens share.
 */


#ifndef _TEST_TOKEN_UTIL_H_INCLUDED_
#define _TEST_TOKEN_UTIL_H_INCLUDED_


#include "test_util.h"

#include "test_token_vectors.h"

#include "voice_opcode.h"
#include "voice_token.h"

#include <sodium.h>


#define NOW     1999999999     /* a second before the vectors expire */
#define SECRET  VECTOR_SECRET
#define OTHER   "fedcba9876543210fedcba9876543210"

#define HEADER  "{\"alg\":\"HS256\",\"typ\":\"JWT\"}"
#define CLAIMS  "\"sub\":\"501\",\"sid\":\"s1\",\"gid\":\"1000\","           \
                "\"cid\":\"2000\""

#define B64     sodium_base64_VARIANT_URLSAFE_NO_PADDING


static inline void
add(voice_token_keys_t *keys, const char *text)
{
    const char   *why;
    voice_err_t   err;
    uint8_t      *copy;

    copy = test_copy(text, strlen(text));
    err = voice_token_key_add(keys, copy, strlen(text), &why);
    free(copy);

    test_err(text, err, VOICE_OK);
}


static inline void
keys_of(voice_token_keys_t *keys, const char *text)
{
    memset(keys, 0, sizeof(*keys));
    add(keys, text);
}


/* An HS256 token of any header and payload, without the code under test. */
static inline void
forge(const char *header, const char *payload, size_t len, const char *secret,
    char *out, size_t size)
{
    size_t                       n;
    unsigned char                mac[crypto_auth_hmacsha256_BYTES];
    crypto_auth_hmacsha256_state  st;

    assert_non_null(sodium_bin2base64(out, size, (const uint8_t *) header,
                                      strlen(header), B64));
    n = strlen(out);
    out[n++] = '.';
    assert_non_null(sodium_bin2base64(out + n, size - n,
                                      (const uint8_t *) payload, len, B64));
    n = strlen(out);

    crypto_auth_hmacsha256_init(&st, (const uint8_t *) secret, strlen(secret));
    crypto_auth_hmacsha256_update(&st, (uint8_t *) out, n);
    crypto_auth_hmacsha256_final(&st, mac);

    out[n++] = '.';
    assert_non_null(sodium_bin2base64(out + n, size - n, mac, sizeof(mac),
                                      B64));
}


static inline voice_err_t
verify(const voice_token_keys_t *keys, const char *jwt, voice_token_t *token)
{
    char         *copy;
    const char   *why;
    voice_err_t   err;

    why = NULL;
    copy = (char *) test_copy(jwt, strlen(jwt) + 1);
    err = voice_token_verify(keys, copy, NOW, token, &why);
    free(copy);

    if (err != VOICE_OK) {
        assert_non_null(why);
        assert_in_range(strlen(why), 1, 100);
    }

    return err;
}


#endif /* _TEST_TOKEN_UTIL_H_INCLUDED_ */
