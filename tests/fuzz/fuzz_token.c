/*
 * Copyright (C) ngx-voice contributors
 *
 * The input is a token; and it is the payload of one, which is signed here,
 * so that the claims are reached as well.
 */


#include "voice_opcode.h"
#include "voice_token.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>


#define REASON_MAX   100
#define NOW          1700000000

#define SECRET       "0123456789abcdef0123456789abcdef"
#define HEADER       "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9."
#define B64          sodium_base64_VARIANT_URLSAFE_NO_PADDING

#define INPUT_MAX    6000          /* fits in base64 below */
#define TOKEN_SIZE   (VOICE_USER_TOKEN_MAX + 1024)


static const char  fuzz_ec_public[] =
    "-----BEGIN PUBLIC KEY-----\n"
    "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEhryvsO1Agw3o5YwF84phby7C9AkL\n"
    "X66BoGtAK3q4cPt6DA0bdagLu2gkIGwEjSnizEABCT8Kq25nqU0z2Nojuw==\n"
    "-----END PUBLIC KEY-----\n";


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
static void fuzz_keys(voice_token_keys_t *keys);
static void fuzz_sign(const uint8_t *payload, size_t size, char *jwt);
static bool fuzz_voice(const voice_token_keys_t *keys, const char *jwt);
static bool fuzz_user(const voice_token_keys_t *keys, const char *jwt);
static void fuzz_must(bool ok);


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char                       *text;
    char                        jwt[TOKEN_SIZE];
    static voice_token_keys_t   keys;

    if (size > INPUT_MAX) {
        return 0;
    }

    if (keys.n == 0) {
        fuzz_keys(&keys);
    }

    text = malloc(size + 1);
    fuzz_must(text != NULL);
    memcpy(text, data, size);
    text[size] = '\0';

    (void) fuzz_voice(&keys, text);
    (void) fuzz_user(&keys, text);

    free(text);

    fuzz_sign(data, size, jwt);

    (void) fuzz_voice(&keys, jwt);
    (void) fuzz_user(&keys, jwt);

    return 0;
}


static void
fuzz_keys(voice_token_keys_t *keys)
{
    const char  *why;

    fuzz_must(voice_token_key_add(keys, SECRET, strlen(SECRET), &why)
              == VOICE_OK);
    fuzz_must(voice_token_key_add(keys, fuzz_ec_public,
                                  strlen(fuzz_ec_public), &why)
              == VOICE_OK);
}


static void
fuzz_sign(const uint8_t *payload, size_t size, char *jwt)
{
    size_t                         n;
    uint8_t                        mac[crypto_auth_hmacsha256_BYTES];
    crypto_auth_hmacsha256_state   st;

    n = strlen(HEADER);
    memcpy(jwt, HEADER, n);

    fuzz_must(sodium_bin2base64(jwt + n, TOKEN_SIZE - n, payload, size, B64)
              != NULL);
    n = strlen(jwt);

    crypto_auth_hmacsha256_init(&st, (const uint8_t *) SECRET,
                                strlen(SECRET));
    crypto_auth_hmacsha256_update(&st, (uint8_t *) jwt, n);
    crypto_auth_hmacsha256_final(&st, mac);

    jwt[n++] = '.';
    fuzz_must(sodium_bin2base64(jwt + n, TOKEN_SIZE - n, mac, sizeof(mac),
                                B64)
              != NULL);
}


/* A token that was taken is signed again and means the same. */
static bool
fuzz_voice(const voice_token_keys_t *keys, const char *jwt)
{
    char            text[TOKEN_SIZE];
    const char     *why;
    voice_err_t     err;
    voice_token_t   token, again;

    why = NULL;
    memset(&again, 0, sizeof(again));

    err = voice_token_verify(keys, jwt, NOW, &token, &why);

    if (err != VOICE_OK) {
        fuzz_must(why != NULL && strlen(why) <= REASON_MAX);
    }

    if (err != VOICE_OK && err != VOICE_E_EXPIRED) {
        return false;
    }

    fuzz_must((err == VOICE_E_EXPIRED) == (token.expires != 0
                                           && token.expires <= NOW));
    fuzz_must(token.user_id != 0 && token.guild_id != 0
              && token.channel_id != 0 && token.session_id[0] != '\0');

    fuzz_must(voice_token_sign(keys, &token, text, sizeof(text)) == VOICE_OK);

    if (strlen(text) <= VOICE_TOKEN_MAX) {
        fuzz_must(voice_token_verify(keys, text, NOW, &again, &why) == err);
        fuzz_must(again.user_id == token.user_id);
        fuzz_must(again.channel_id == token.channel_id);
        fuzz_must(again.permissions == token.permissions);
        fuzz_must(again.has_permissions == token.has_permissions);
        fuzz_must(again.mute == token.mute && again.deaf == token.deaf);
        fuzz_must(again.rev == token.rev && again.expires == token.expires);
        fuzz_must(strcmp(again.session_id, token.session_id) == 0);
        fuzz_must(strcmp(again.node, token.node) == 0);
        fuzz_must(strcmp(again.boot, token.boot) == 0);
    }

    return true;
}


static bool
fuzz_user(const voice_token_keys_t *keys, const char *jwt)
{
    char                 text[TOKEN_SIZE];
    const char          *why;
    voice_user_token_t   token, again;

    why = NULL;

    if (voice_user_token_verify(keys, jwt, NOW, &token, &why) != VOICE_OK) {
        fuzz_must(why != NULL && strlen(why) <= REASON_MAX);
        return false;
    }

    fuzz_must(token.user_id != 0 && token.nguilds <= VOICE_TOKEN_GUILDS_MAX);

    fuzz_must(voice_user_token_sign(keys, &token, text, sizeof(text))
              == VOICE_OK);
    fuzz_must(voice_user_token_verify(keys, text, NOW, &again, &why)
              == VOICE_OK);
    fuzz_must(again.user_id == token.user_id && again.bot == token.bot);
    fuzz_must(strcmp(again.name, token.name) == 0);
    fuzz_must(again.nguilds == token.nguilds);
    fuzz_must(memcmp(again.guild_id, token.guild_id,
                     token.nguilds * sizeof(token.guild_id[0]))
              == 0);

    return true;
}


static void
fuzz_must(bool ok)
{
    if (!ok) {
        abort();
    }
}
