/*
 * Copyright (C) ngx-voice contributors
 *
 * AES-256-GCM behind the modes that use it.  There are two implementations:
 * libsodium's, which wants AES and carry-less multiplication in the CPU and
 * keeps a prepared key, and OpenSSL's, which runs everywhere and sets the key
 * for each packet.  Only voice_crypto.c and tests include this file.
 */


#ifndef _VOICE_CRYPTO_AES_H_INCLUDED_
#define _VOICE_CRYPTO_AES_H_INCLUDED_


#include "voice_crypto.h"


typedef enum {
    VOICE_AES_SODIUM = 0,
    VOICE_AES_OPENSSL
} voice_aes_t;


/* Takes libsodium's if the CPU can do it.  VOICE_E_SYS */
voice_err_t voice_aes_init(void);

/*
 * Forces one of the two in this process.  Keys stay valid: a prepared key
 * carries what both need.
 *
 * VOICE_E_RANGE  the CPU can't do it
 */
voice_err_t voice_aes_use(voice_aes_t aes);
voice_aes_t voice_aes_used(void);

void voice_aes_key_init(voice_crypto_key_t *key);

/* Makes this thread's OpenSSL context forget the last key. */
void voice_aes_key_wipe(void);

/*
 * As the functions of a mode in voice_crypto.c; of nonce, the first 12 bytes
 * are used.
 */
voice_err_t voice_aes_open(const voice_crypto_key_t *key, const uint8_t *nonce,
    const uint8_t *aad, size_t aad_len, const uint8_t *ct, size_t len,
    const uint8_t *tag, uint8_t *out);
voice_err_t voice_aes_seal(const voice_crypto_key_t *key, const uint8_t *nonce,
    const uint8_t *aad, size_t aad_len, const uint8_t *plain, size_t len,
    uint8_t *ct, uint8_t *tag);


#endif /* _VOICE_CRYPTO_AES_H_INCLUDED_ */
