/*
 * Copyright (C) ngx-voice contributors
 */


#include "voice_crypto_aes.h"

#include <openssl/evp.h>
#include <pthread.h>
#include <sodium.h>


#define VOICE_GCM_NONCE_LEN  12


typedef struct {
    voice_err_t      err;
    voice_aes_t      used;
    EVP_CIPHER      *cipher;
    pthread_key_t    ctx;      /* EVP_CIPHER_CTX of each thread */
} voice_aes_state_t;


static void voice_aes_init_once(void);
static void voice_aes_ctx_free(void *ctx);
static EVP_CIPHER_CTX *voice_aes_ctx(void);
static const crypto_aead_aes256gcm_state *voice_aes_prepared(
    const voice_crypto_key_t *key);
static voice_err_t voice_aes_openssl_open(const uint8_t *secret,
    const uint8_t *nonce, const uint8_t *aad, size_t aad_len,
    const uint8_t *ct, size_t len, const uint8_t *tag, uint8_t *out);
static voice_err_t voice_aes_openssl_seal(const uint8_t *secret,
    const uint8_t *nonce, const uint8_t *aad, size_t aad_len,
    const uint8_t *plain, size_t len, uint8_t *ct, uint8_t *tag);


_Static_assert(sizeof(crypto_aead_aes256gcm_state)
               <= sizeof(((voice_crypto_key_t *) 0)->aes),
               "prepared AES key fits");

/*
 * Written by voice_aes_init() alone, before the first packet; what a CPU can
 * do and where a fetched cipher lies belong to the process, not to a key.
 */
static voice_aes_state_t  voice_aes_state;
static pthread_once_t     voice_aes_once = PTHREAD_ONCE_INIT;


voice_err_t
voice_aes_init(void)
{
    if (pthread_once(&voice_aes_once, voice_aes_init_once) != 0) {
        return VOICE_E_SYS;
    }

    if (voice_aes_state.err != VOICE_OK) {
        return voice_aes_state.err;
    }

    /* not on the first packet: sealing has no way to fail there */
    if (voice_aes_state.used == VOICE_AES_OPENSSL && voice_aes_ctx() == NULL) {
        return VOICE_E_SYS;
    }

    return VOICE_OK;
}


static void
voice_aes_init_once(void)
{
    voice_aes_state_t  *st;

    st = &voice_aes_state;
    st->err = VOICE_E_SYS;

    if (pthread_key_create(&st->ctx, voice_aes_ctx_free) != 0) {
        return;
    }

    st->cipher = EVP_CIPHER_fetch(NULL, "AES-256-GCM", NULL);
    if (st->cipher == NULL) {
        return;
    }

    st->used = crypto_aead_aes256gcm_is_available() ? VOICE_AES_SODIUM
                                                    : VOICE_AES_OPENSSL;
    st->err = VOICE_OK;
}


voice_err_t
voice_aes_use(voice_aes_t aes)
{
    if (aes == VOICE_AES_SODIUM && !crypto_aead_aes256gcm_is_available()) {
        return VOICE_E_RANGE;
    }

    voice_aes_state.used = aes;

    return VOICE_OK;
}


voice_aes_t
voice_aes_used(void)
{
    return voice_aes_state.used;
}


void
voice_aes_key_init(voice_crypto_key_t *key)
{
    if (crypto_aead_aes256gcm_is_available()) {
        crypto_aead_aes256gcm_beforenm((crypto_aead_aes256gcm_state *) key->aes,
                                       key->secret);
    }
}


void
voice_aes_key_wipe(void)
{
    EVP_CIPHER_CTX        *ctx;
    static const uint8_t   zero[VOICE_KEY_LEN];

    /* before voice_aes_init() there is no slot to look into */
    if (voice_aes_state.cipher == NULL) {
        return;
    }

    ctx = pthread_getspecific(voice_aes_state.ctx);

    if (ctx != NULL) {
        (void) EVP_EncryptInit_ex2(ctx, NULL, zero, NULL, NULL);
    }
}


voice_err_t
voice_aes_open(const voice_crypto_key_t *key, const uint8_t *nonce,
    const uint8_t *aad, size_t aad_len, const uint8_t *ct, size_t len,
    const uint8_t *tag, uint8_t *out)
{
    int  rc;

    if (voice_aes_state.used == VOICE_AES_OPENSSL) {
        return voice_aes_openssl_open(key->secret, nonce, aad, aad_len, ct,
                                      len, tag, out);
    }

    rc = crypto_aead_aes256gcm_decrypt_detached_afternm(out, NULL, ct, len,
                                                   tag, aad, aad_len, nonce,
                                                   voice_aes_prepared(key));

    return rc == 0 ? VOICE_OK : VOICE_E_AUTH;
}


voice_err_t
voice_aes_seal(const voice_crypto_key_t *key, const uint8_t *nonce,
    const uint8_t *aad, size_t aad_len, const uint8_t *plain, size_t len,
    uint8_t *ct, uint8_t *tag)
{
    if (voice_aes_state.used == VOICE_AES_OPENSSL) {
        return voice_aes_openssl_seal(key->secret, nonce, aad, aad_len, plain,
                                      len, ct, tag);
    }

    crypto_aead_aes256gcm_encrypt_detached_afternm(ct, tag, NULL, plain, len,
                                                   aad, aad_len, NULL, nonce,
                                                   voice_aes_prepared(key));
    return VOICE_OK;
}


static const crypto_aead_aes256gcm_state *
voice_aes_prepared(const voice_crypto_key_t *key)
{
    return (const crypto_aead_aes256gcm_state *) key->aes;
}


static voice_err_t
voice_aes_openssl_open(const uint8_t *secret, const uint8_t *nonce,
    const uint8_t *aad, size_t aad_len, const uint8_t *ct, size_t len,
    const uint8_t *tag, uint8_t *out)
{
    int              n;
    EVP_CIPHER_CTX  *ctx;

    ctx = voice_aes_ctx();
    if (ctx == NULL) {
        return VOICE_E_NOMEM;
    }

    if (EVP_DecryptInit_ex2(ctx, NULL, secret, nonce, NULL) != 1
        || EVP_DecryptUpdate(ctx, NULL, &n, aad, (int) aad_len) != 1
        || EVP_DecryptUpdate(ctx, out, &n, ct, (int) len) != 1
        || EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, VOICE_TAG_LEN,
                               (void *) tag)
           != 1
        || EVP_DecryptFinal_ex(ctx, out + len, &n) != 1)
    {
        return VOICE_E_AUTH;
    }

    return VOICE_OK;
}


static voice_err_t
voice_aes_openssl_seal(const uint8_t *secret, const uint8_t *nonce,
    const uint8_t *aad, size_t aad_len, const uint8_t *plain, size_t len,
    uint8_t *ct, uint8_t *tag)
{
    int              n;
    EVP_CIPHER_CTX  *ctx;

    ctx = voice_aes_ctx();
    if (ctx == NULL) {
        return VOICE_E_NOMEM;
    }

    if (EVP_EncryptInit_ex2(ctx, NULL, secret, nonce, NULL) != 1
        || EVP_EncryptUpdate(ctx, NULL, &n, aad, (int) aad_len) != 1
        || EVP_EncryptUpdate(ctx, ct, &n, plain, (int) len) != 1
        || EVP_EncryptFinal_ex(ctx, ct + len, &n) != 1
        || EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, VOICE_TAG_LEN, tag)
           != 1)
    {
        return VOICE_E_SYS;
    }

    return VOICE_OK;
}


/* One context for each thread, allocated once, then only given new keys. */
static EVP_CIPHER_CTX *
voice_aes_ctx(void)
{
    EVP_CIPHER_CTX  *ctx;

    ctx = pthread_getspecific(voice_aes_state.ctx);
    if (ctx != NULL) {
        return ctx;
    }

    ctx = EVP_CIPHER_CTX_new();
    if (ctx == NULL) {
        return NULL;
    }

    if (EVP_CipherInit_ex2(ctx, voice_aes_state.cipher, NULL, NULL, 1, NULL)
        != 1
        || EVP_CIPHER_CTX_get_iv_length(ctx) != VOICE_GCM_NONCE_LEN
        || pthread_setspecific(voice_aes_state.ctx, ctx) != 0)
    {
        EVP_CIPHER_CTX_free(ctx);
        return NULL;
    }

    return ctx;
}


static void
voice_aes_ctx_free(void *ctx)
{
    EVP_CIPHER_CTX_free(ctx);
}
