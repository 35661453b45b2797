/*
 * Copyright (C) ngx-voice contributors
 *
 * Keys of tokens.  libjwt parses a key anew for each token, asks on the
 * terminal for a passphrase, and does not find the public half of a private
 * key.  So a PEM file is parsed here once and kept as plain PEM text: the
 * public key, then the private one if there is one; each reader skips the
 * other's block.
 */


#include "voice_token_key.h"

#include <jansson.h>
#include <openssl/bio.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>

#include <string.h>


#define KEY_RESERVE      65536
#define KEY_FILE_MAX     65536
#define KEY_SECRET_MIN   32       /* RFC 7518 section 3.2 */
#define KEY_RSA_MIN      2048     /* bits, RFC 7518 section 3.3 */


static int
key_no_password(char *buf, int size, int rwflag, void *data)
{
    (void) buf;
    (void) size;
    (void) rwflag;
    (void) data;

    return -1;
}


static bool
key_is_pem(const char *data, size_t len)
{
    size_t             i;
    static const char  begin[] = "-----BEGIN ";

    for (i = 0; len - i >= sizeof(begin) - 1; i++) {
        if (memcmp(data + i, begin, sizeof(begin) - 1) == 0) {
            return true;
        }
    }

    return false;
}


static EVP_PKEY *
key_parse(const void *data, size_t len, bool *private)
{
    BIO       *bio;
    EVP_PKEY  *pkey;

    bio = BIO_new_mem_buf(data, (int) len);
    if (bio == NULL) {
        return NULL;
    }

    pkey = PEM_read_bio_PrivateKey(bio, NULL, key_no_password, NULL);
    *private = pkey != NULL;

    if (pkey == NULL) {
        (void) BIO_reset(bio);
        pkey = PEM_read_bio_PUBKEY(bio, NULL, key_no_password, NULL);
    }

    BIO_free(bio);

    return pkey;
}


static bool
key_alg(const EVP_PKEY *pkey, voice_alg_t *alg)
{
    char  group[32];

    if (EVP_PKEY_is_a(pkey, "RSA")) {
        *alg = VOICE_ALG_RS256;
        return EVP_PKEY_get_bits(pkey) >= KEY_RSA_MIN;
    }

    *alg = VOICE_ALG_ES256;

    return EVP_PKEY_is_a(pkey, "EC")
           && EVP_PKEY_get_utf8_string_param(pkey, OSSL_PKEY_PARAM_GROUP_NAME,
                                             group, sizeof(group), NULL) == 1
           && strcmp(group, "prime256v1") == 0;
}


/* A BIO in memory wipes what it held. */
static voice_err_t
key_write(EVP_PKEY *pkey, bool private, uint8_t **data, size_t *len)
{
    BIO         *bio;
    char        *text;
    long         n;
    voice_err_t  err;

    bio = BIO_new(BIO_s_mem());
    if (bio == NULL) {
        return VOICE_E_NOMEM;
    }

    err = VOICE_E_NOMEM;

    if (PEM_write_bio_PUBKEY(bio, pkey) != 1) {
        goto done;
    }

    if (private
        && PEM_write_bio_PKCS8PrivateKey(bio, pkey, NULL, NULL, 0, NULL, NULL)
           != 1)
    {
        goto done;
    }

    n = BIO_get_mem_data(bio, &text);

    *data = OPENSSL_malloc((size_t) n + 1);
    if (*data == NULL) {
        goto done;
    }

    memcpy(*data, text, (size_t) n);
    (*data)[n] = '\0';
    *len = (size_t) n + 1;
    err = VOICE_OK;

done:

    BIO_free(bio);

    return err;
}


static voice_err_t
key_add_pem(voice_token_keys_t *keys, const void *data, size_t len,
    const char **why)
{
    bool          private;
    size_t        n;
    uint8_t      *text;
    EVP_PKEY     *pkey;
    voice_alg_t   alg;
    voice_err_t   err;

    pkey = key_parse(data, len, &private);

    if (pkey == NULL || !key_alg(pkey, &alg)) {
        err = VOICE_E_FORMAT;
        goto done;
    }

    err = key_write(pkey, private, &text, &n);
    if (err != VOICE_OK) {
        goto done;
    }

    keys->key[keys->n].alg = alg;
    keys->key[keys->n].data = text;
    keys->key[keys->n].len = n;
    keys->key[keys->n].can_sign = private;
    keys->n++;

done:

    EVP_PKEY_free(pkey);
    ERR_clear_error();

    if (err == VOICE_E_FORMAT) {
        *why = "PEM of an RSA key of 2048 bits or more or of a P-256 key, "
               "without a passphrase, is expected";

    } else if (err != VOICE_OK) {
        *why = "no memory";
    }

    return err;
}


static voice_err_t
key_add_secret(voice_token_keys_t *keys, const uint8_t *data, size_t len,
    const char **why)
{
    uint8_t  *secret;

    if (len > 0 && data[len - 1] == '\n') {
        len--;
    }

    if (len < KEY_SECRET_MIN) {
        *why = "a secret of at least 32 bytes, or PEM, is expected";
        return VOICE_E_SHORT;
    }

    secret = OPENSSL_malloc(len);
    if (secret == NULL) {
        *why = "no memory";
        return VOICE_E_NOMEM;
    }

    memcpy(secret, data, len);

    keys->key[keys->n].alg = VOICE_ALG_HS256;
    keys->key[keys->n].data = secret;
    keys->key[keys->n].len = len;
    keys->key[keys->n].can_sign = true;
    keys->n++;

    return VOICE_OK;
}


voice_err_t
voice_token_key_add(voice_token_keys_t *keys, const void *data, size_t len,
    const char **why)
{
    if (keys->n == VOICE_TOKEN_KEYS_MAX) {
        *why = "at most 8 keys are expected";
        return VOICE_E_FULL;
    }

    if (len > KEY_FILE_MAX) {
        *why = "a key of at most 65536 bytes is expected";
        return VOICE_E_FORMAT;
    }

    if (key_is_pem(data, len)) {
        return key_add_pem(keys, data, len, why);
    }

    return key_add_secret(keys, data, len, why);
}


void
voice_token_keys_free(voice_token_keys_t *keys)
{
    size_t  i;

    for (i = 0; i < keys->n; i++) {
        OPENSSL_clear_free(keys->key[i].data, keys->key[i].len);
    }

    OPENSSL_cleanse(keys, sizeof(*keys));
}


jwt_alg_t
voice_token_key_alg(voice_alg_t alg)
{
    static const jwt_alg_t  algs[] = {
        [VOICE_ALG_HS256] = JWT_ALG_HS256,
        [VOICE_ALG_RS256] = JWT_ALG_RS256,
        [VOICE_ALG_ES256] = JWT_ALG_ES256
    };

    return algs[alg];
}


int
voice_token_key_len(const voice_token_keys_t *keys, size_t i)
{
    int  len;

    len = (int) keys->key[i].len;

    return keys->key[i].alg == VOICE_ALG_HS256 ? len : len - 1;
}


bool
voice_token_reserve(void)
{
    void           *p;
    json_free_t     free_fn;
    json_malloc_t   malloc_fn;

    json_get_alloc_funcs(&malloc_fn, &free_fn);

    p = malloc_fn(KEY_RESERVE);
    if (p == NULL) {
        return false;
    }

    free_fn(p);

    return true;
}
