/*
 * Copyright (C) ngx-voice contributors
 *
 * Keys of each kind, and tokens that are signed with them.
 */


#include "test_token_util.h"

#include <openssl/bio.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <stdio.h>


#define PEM_MAX     8192


typedef enum {
    PEM_RSA_PRIVATE = 0,
    PEM_RSA_TRADITIONAL,
    PEM_RSA_PUBLIC,
    PEM_EC_PRIVATE,
    PEM_EC_PARAMETERS,         /* a block of them, then the private key */
    PEM_EC_PUBLIC,
    PEM_USABLE,

    PEM_RSA_1024 = PEM_USABLE,
    PEM_EC_P384,
    PEM_ED25519,
    PEM_ENCRYPTED,
    PEM_CUT,
    PEM_CERTIFICATE,
    PEM_COUNT
} pem_t;


static char  pem[PEM_COUNT][PEM_MAX];


static void
pem_take(BIO *bio, char *out)
{
    int  n;

    n = BIO_read(bio, out, PEM_MAX - 1);
    assert_in_range(n, 1, PEM_MAX - 1);
    out[n] = '\0';
    BIO_free(bio);
}


static void
pem_private(EVP_PKEY *pkey, pem_t i, const char *passphrase)
{
    BIO  *bio;

    bio = BIO_new(BIO_s_mem());
    assert_int_equal(PEM_write_bio_PKCS8PrivateKey(bio, pkey,
                         passphrase ? EVP_aes_128_cbc() : NULL, passphrase,
                         passphrase ? (int) strlen(passphrase) : 0, NULL,
                         NULL),
                     1);
    pem_take(bio, pem[i]);
}


static void
pem_traditional(EVP_PKEY *pkey, pem_t i)
{
    BIO  *bio;

    bio = BIO_new(BIO_s_mem());
    assert_int_equal(PEM_write_bio_PrivateKey_traditional(bio, pkey, NULL,
                                                          NULL, 0, NULL, NULL),
                     1);
    pem_take(bio, pem[i]);
}


static void
pem_public(EVP_PKEY *pkey, pem_t i)
{
    BIO  *bio;

    bio = BIO_new(BIO_s_mem());
    assert_int_equal(PEM_write_bio_PUBKEY(bio, pkey), 1);
    pem_take(bio, pem[i]);
}


static int
setup_keys(void **state)
{
    char       text[PEM_MAX];
    EVP_PKEY  *rsa, *ec, *other;

    static const char  parameters[] =
        "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n"
        "-----END EC PARAMETERS-----\n";

    (void) state;

    rsa = EVP_RSA_gen(2048);
    ec = EVP_EC_gen("P-256");

    if (rsa == NULL || ec == NULL) {
        return -1;
    }

    pem_private(rsa, PEM_RSA_PRIVATE, NULL);
    pem_traditional(rsa, PEM_RSA_TRADITIONAL);
    pem_public(rsa, PEM_RSA_PUBLIC);
    pem_private(rsa, PEM_ENCRYPTED, "secret");

    pem_private(ec, PEM_EC_PRIVATE, NULL);
    pem_public(ec, PEM_EC_PUBLIC);
    pem_traditional(ec, PEM_EC_PARAMETERS);
    strcpy(text, pem[PEM_EC_PARAMETERS]);
    snprintf(pem[PEM_EC_PARAMETERS], PEM_MAX, "%s%.4096s", parameters, text);

    strcpy(pem[PEM_CUT], pem[PEM_RSA_PUBLIC]);
    pem[PEM_CUT][200] = '\0';
    strcpy(pem[PEM_CERTIFICATE],
           "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");

    EVP_PKEY_free(rsa);
    EVP_PKEY_free(ec);

    other = EVP_RSA_gen(1024);
    pem_private(other, PEM_RSA_1024, NULL);
    EVP_PKEY_free(other);

    other = EVP_EC_gen("P-384");
    pem_private(other, PEM_EC_P384, NULL);
    EVP_PKEY_free(other);

    other = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    pem_private(other, PEM_ED25519, NULL);
    EVP_PKEY_free(other);

    return 0;
}


/* the part of a token between two dots, decoded */
static void
part_of(const char *jwt, int which, char *out, size_t size)
{
    size_t       n;
    const char  *end;

    for ( /* void */ ; which > 0; which--) {
        jwt = strchr(jwt, '.') + 1;
    }

    end = strchr(jwt, '.');
    assert_non_null(end);

    assert_int_equal(sodium_base642bin((uint8_t *) out, size - 1, jwt,
                                       (size_t) (end - jwt), NULL, &n, NULL,
                                       B64),
                     0);
    out[n] = '\0';
}


static void
token_key_add_kinds(void **state)
{
    char                text[1024];
    pem_t               i;
    voice_token_keys_t  keys;

    (void) state;

    for (i = 0; i < PEM_USABLE; i++) {
        keys_of(&keys, pem[i]);

        assert_int_equal(keys.n, 1);
        assert_int_equal(keys.key[0].alg, i < PEM_EC_PRIVATE ? VOICE_ALG_RS256
                                                             : VOICE_ALG_ES256);
        assert_int_equal(keys.key[0].can_sign,
                         i != PEM_RSA_PUBLIC && i != PEM_EC_PUBLIC);
        assert_int_equal(keys.key[0].data[keys.key[0].len - 1], '\0');

        voice_token_keys_free(&keys);
        assert_int_equal(keys.n, 0);
        assert_null(keys.key[0].data);
    }

    /* text before the PEM block, as some tools write it */
    snprintf(text, sizeof(text), "Public-Key: (2048 bit)\n%s",
             vector_rsa_public);
    keys_of(&keys, text);
    assert_int_equal(keys.key[0].alg, VOICE_ALG_RS256);
    voice_token_keys_free(&keys);

    /* one newline is no part of the secret, a second one is */
    keys_of(&keys, SECRET "\n\n");
    assert_int_equal(keys.key[0].alg, VOICE_ALG_HS256);
    assert_true(keys.key[0].can_sign);
    test_mem("secret", keys.key[0].data, keys.key[0].len, SECRET "\n", 33);
    voice_token_keys_free(&keys);
}


static void
token_key_add_refusals(void **state)
{
    pem_t                i;
    char                *big;
    const char          *why;
    voice_token_keys_t   keys;

    (void) state;

    memset(&keys, 0, sizeof(keys));

    for (i = PEM_USABLE; i < PEM_COUNT; i++) {
        why = NULL;
        test_err(pem[i], voice_token_key_add(&keys, pem[i], strlen(pem[i]),
                                             &why),
                 VOICE_E_FORMAT);
        assert_non_null(why);
        assert_int_equal(keys.n, 0);
    }

    assert_int_equal(voice_token_key_add(&keys, SECRET, 31, &why),
                     VOICE_E_SHORT);
    assert_int_equal(voice_token_key_add(&keys, SECRET "\n", 32, &why),
                     VOICE_OK);
    assert_int_equal(voice_token_key_add(&keys, "0123456789abcdef0123456789ab"
                                         "cde\n", 32, &why),
                     VOICE_E_SHORT);
    assert_int_equal(voice_token_key_add(&keys, "", 0, &why), VOICE_E_SHORT);
    assert_int_equal(voice_token_key_add(&keys, NULL, 0, &why),
                     VOICE_E_SHORT);
    assert_int_equal(voice_token_key_add(&keys, "\n", 1, &why),
                     VOICE_E_SHORT);

    big = malloc(65537);
    assert_non_null(big);
    memset(big, 'x', 65537);
    assert_int_equal(voice_token_key_add(&keys, big, 65537, &why),
                     VOICE_E_FORMAT);
    free(big);

    while (keys.n < VOICE_TOKEN_KEYS_MAX) {
        add(&keys, SECRET);
    }

    assert_int_equal(voice_token_key_add(&keys, SECRET, 32, &why),
                     VOICE_E_FULL);
    voice_token_keys_free(&keys);
}


/* A key of ours is public, and a token claims that it is a secret. */
static void
token_verify_public_key_is_no_secret(void **state)
{
    char                 jwt[VOICE_TOKEN_MAX];
    size_t               i;
    voice_token_t        token;
    voice_token_keys_t   keys;

    static const pem_t   public[] = { PEM_RSA_PUBLIC, PEM_EC_PUBLIC };

    (void) state;

    for (i = 0; i < test_n(public); i++) {
        keys_of(&keys, pem[public[i]]);

        forge(HEADER, "{" CLAIMS "}", strlen(CLAIMS) + 2, pem[public[i]], jwt,
              sizeof(jwt));
        test_err("alone", verify(&keys, jwt, &token), VOICE_E_AUTH);

        add(&keys, SECRET);
        test_err("beside a secret", verify(&keys, jwt, &token), VOICE_E_AUTH);

        voice_token_keys_free(&keys);
    }
}


static void
token_verify_wrong_key(void **state)
{
    voice_token_t       token;
    voice_token_keys_t  keys;

    (void) state;

    keys_of(&keys, OTHER);
    assert_int_equal(verify(&keys, vector_hs256, &token), VOICE_E_AUTH);
    assert_int_equal(verify(&keys, vector_rs256, &token), VOICE_E_AUTH);
    voice_token_keys_free(&keys);

    keys_of(&keys, pem[PEM_RSA_PUBLIC]);
    assert_int_equal(verify(&keys, vector_rs256, &token), VOICE_E_AUTH);
    voice_token_keys_free(&keys);

    keys_of(&keys, pem[PEM_EC_PUBLIC]);
    assert_int_equal(verify(&keys, vector_es256, &token), VOICE_E_AUTH);
    voice_token_keys_free(&keys);
}


static voice_token_t
token_full(void)
{
    voice_token_t  token;

    memset(&token, 0, sizeof(token));

    token.user_id = UINT64_MAX;
    token.guild_id = 1000;
    token.channel_id = 9007199254740993;
    token.permissions = UINT64_MAX;
    token.has_permissions = true;
    token.mute = true;
    token.deaf = true;
    token.suppress = true;
    token.rev = INT64_MAX;
    token.expires = 2000000000;
    strcpy(token.session_id, "a\"\\/\x01\xc3\xa4");
    strcpy(token.node, "eu1.example");
    strcpy(token.boot, "01234567-89ab-cdef-0123-456789abcdef");

    return token;
}


static voice_token_t
token_least(void)
{
    voice_token_t  token;

    memset(&token, 0, sizeof(token));

    token.user_id = 501;
    token.guild_id = 1000;
    token.channel_id = 2000;
    strcpy(token.session_id, "s1");

    return token;
}


static void
check_round_trip(const voice_token_keys_t *sign, const voice_token_keys_t *ver)
{
    char           jwt[VOICE_TOKEN_MAX];
    voice_token_t  token, back;

    token = token_full();
    assert_int_equal(voice_token_sign(sign, &token, jwt, sizeof(jwt)),
                     VOICE_OK);
    memset(&back, 0, sizeof(back));
    assert_int_equal(verify(ver, jwt, &back), VOICE_OK);
    assert_memory_equal(&back, &token, sizeof(token));

    token = token_least();
    assert_int_equal(voice_token_sign(sign, &token, jwt, sizeof(jwt)),
                     VOICE_OK);
    memset(&back, 0, sizeof(back));
    assert_int_equal(verify(ver, jwt, &back), VOICE_OK);
    assert_memory_equal(&back, &token, sizeof(token));
}


static void
token_sign_round_trip_of_every_key(void **state)
{
    pem_t               i, public;
    voice_token_keys_t  sign, ver;

    (void) state;

    keys_of(&sign, SECRET "\n");
    keys_of(&ver, SECRET);
    check_round_trip(&sign, &ver);
    voice_token_keys_free(&sign);
    voice_token_keys_free(&ver);

    for (i = 0; i < PEM_USABLE; i++) {
        if (i == PEM_RSA_PUBLIC || i == PEM_EC_PUBLIC) {
            continue;
        }

        public = i < PEM_RSA_PUBLIC ? PEM_RSA_PUBLIC : PEM_EC_PUBLIC;

        keys_of(&sign, pem[i]);
        keys_of(&ver, pem[public]);

        check_round_trip(&sign, &ver);
        check_round_trip(&sign, &sign);

        voice_token_keys_free(&sign);
        voice_token_keys_free(&ver);
    }
}


/* The token is most of a handshake: not a byte in it that says nothing. */
static void
token_sign_text(void **state)
{
    char                jwt[VOICE_TOKEN_MAX], text[512];
    voice_token_t       token;
    voice_token_keys_t  keys;

    (void) state;

    keys_of(&keys, SECRET);

    token = token_least();
    assert_int_equal(voice_token_sign(&keys, &token, jwt, sizeof(jwt)),
                     VOICE_OK);
    part_of(jwt, 0, text, sizeof(text));
    assert_string_equal(text, HEADER);
    part_of(jwt, 1, text, sizeof(text));
    assert_string_equal(text, "{\"cid\":\"2000\",\"gid\":\"1000\","
                              "\"sid\":\"s1\",\"sub\":\"501\"}");

    token.has_permissions = true;
    token.suppress = true;
    token.rev = 7;
    token.expires = 2000000000;
    strcpy(token.node, "n1");

    assert_int_equal(voice_token_sign(&keys, &token, jwt, sizeof(jwt)),
                     VOICE_OK);
    part_of(jwt, 1, text, sizeof(text));
    assert_string_equal(text, "{\"cid\":\"2000\",\"exp\":2000000000,"
                              "\"gid\":\"1000\",\"node\":\"n1\","
                              "\"perm\":\"0\",\"rev\":7,\"sid\":\"s1\","
                              "\"sub\":\"501\",\"suppress\":true}");

    voice_token_keys_free(&keys);
}


static void
token_keys_rotate(void **state)
{
    char                by_first[VOICE_TOKEN_MAX], by_second[VOICE_TOKEN_MAX];
    char                by_rsa[VOICE_TOKEN_MAX], text[512];
    voice_token_t       token, back;
    voice_token_keys_t  first, second, rsa, all;

    (void) state;

    token = token_least();
    keys_of(&first, SECRET);
    keys_of(&second, OTHER);
    keys_of(&rsa, pem[PEM_RSA_PRIVATE]);

    assert_int_equal(voice_token_sign(&first, &token, by_first, 2048),
                     VOICE_OK);
    assert_int_equal(voice_token_sign(&second, &token, by_second, 2048),
                     VOICE_OK);
    assert_int_equal(voice_token_sign(&rsa, &token, by_rsa, 2048), VOICE_OK);
    assert_string_not_equal(by_first, by_second);

    /* new key first, the old ones still verify */
    keys_of(&all, OTHER);
    add(&all, pem[PEM_RSA_PUBLIC]);
    add(&all, SECRET);

    assert_int_equal(verify(&all, by_first, &back), VOICE_OK);
    assert_int_equal(verify(&all, by_second, &back), VOICE_OK);
    assert_int_equal(verify(&all, by_rsa, &back), VOICE_OK);

    assert_int_equal(voice_token_sign(&all, &token, text, sizeof(text)),
                     VOICE_OK);
    assert_string_equal(text, by_second);
    voice_token_keys_free(&all);

    /* a public key does not sign, so the next one does */
    keys_of(&all, pem[PEM_EC_PUBLIC]);
    add(&all, SECRET);
    assert_int_equal(voice_token_sign(&all, &token, text, sizeof(text)),
                     VOICE_OK);
    assert_string_equal(text, by_first);

    voice_token_keys_free(&all);
    voice_token_keys_free(&first);
    voice_token_keys_free(&second);
    voice_token_keys_free(&rsa);
}


static void
token_sign_refusals(void **state)
{
    char                 jwt[VOICE_TOKEN_MAX];
    size_t               len, size;
    char                *buf;
    voice_token_t        token;
    voice_token_keys_t   keys;

    (void) state;

    memset(&keys, 0, sizeof(keys));
    token = token_least();
    assert_int_equal(voice_token_sign(&keys, &token, jwt, sizeof(jwt)),
                     VOICE_E_STATE);

    add(&keys, pem[PEM_RSA_PUBLIC]);
    assert_int_equal(voice_token_sign(&keys, &token, jwt, sizeof(jwt)),
                     VOICE_E_STATE);

    add(&keys, SECRET);
    assert_int_equal(voice_token_sign(&keys, &token, jwt, sizeof(jwt)),
                     VOICE_OK);
    len = strlen(jwt);

    for (size = 0; size <= len + 1; size += size < len - 1 ? len - 1 : 1) {
        buf = malloc(size ? size : 1);
        test_err("size", voice_token_sign(&keys, &token, buf, size),
                 size > len ? VOICE_OK : VOICE_E_FULL);
        free(buf);
    }

    token = token_least();
    token.user_id = 0;
    assert_int_equal(voice_token_sign(&keys, &token, jwt, sizeof(jwt)),
                     VOICE_E_RANGE);

    token = token_least();
    token.session_id[0] = '\0';
    assert_int_equal(voice_token_sign(&keys, &token, jwt, sizeof(jwt)),
                     VOICE_E_RANGE);

    token = token_least();
    token.expires = -1;
    assert_int_equal(voice_token_sign(&keys, &token, jwt, sizeof(jwt)),
                     VOICE_E_RANGE);

    token = token_least();
    token.rev = (uint64_t) INT64_MAX + 1;
    assert_int_equal(voice_token_sign(&keys, &token, jwt, sizeof(jwt)),
                     VOICE_E_RANGE);

    token = token_least();
    strcpy(token.node, "\xff");
    assert_int_equal(voice_token_sign(&keys, &token, jwt, sizeof(jwt)),
                     VOICE_E_FORMAT);

    voice_token_keys_free(&keys);
}


static void
user_token_round_trip(void **state)
{
    size_t               i;
    char                 jwt[VOICE_USER_TOKEN_MAX + 1];
    const char          *why;
    voice_token_keys_t   keys;
    voice_user_token_t   token, back;

    (void) state;

    memset(&token, 0, sizeof(token));
    token.user_id = 501;
    token.bot = true;
    token.expires = 2000000000;
    memset(token.name, '\x01', VOICE_TOKEN_NAME_MAX);

    keys_of(&keys, pem[PEM_RSA_PRIVATE]);

    for (i = 0; i <= VOICE_TOKEN_GUILDS_MAX; i++) {
        token.nguilds = i;

        if (i % 50 == 0) {
            memset(&back, 0, sizeof(back));
            assert_int_equal(voice_user_token_sign(&keys, &token, jwt,
                                                   sizeof(jwt)),
                             VOICE_OK);
            assert_int_equal(voice_user_token_verify(&keys, jwt, NOW, &back,
                                                     &why),
                             VOICE_OK);
            assert_memory_equal(&back, &token, sizeof(token));
        }

        if (i < VOICE_TOKEN_GUILDS_MAX) {
            token.guild_id[i] = UINT64_MAX - i;
        }
    }

    assert_int_equal(voice_user_token_verify(&keys, jwt, 2000000000, &back,
                                             &why),
                     VOICE_E_EXPIRED);

    token.guild_id[3] = 0;
    assert_int_equal(voice_user_token_sign(&keys, &token, jwt, sizeof(jwt)),
                     VOICE_E_RANGE);

    token.nguilds = VOICE_TOKEN_GUILDS_MAX + 1;
    assert_int_equal(voice_user_token_sign(&keys, &token, jwt, sizeof(jwt)),
                     VOICE_E_RANGE);

    voice_token_keys_free(&keys);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(token_key_add_kinds),
        cmocka_unit_test(token_key_add_refusals),
        cmocka_unit_test(token_verify_public_key_is_no_secret),
        cmocka_unit_test(token_verify_wrong_key),
        cmocka_unit_test(token_sign_round_trip_of_every_key),
        cmocka_unit_test(token_sign_text),
        cmocka_unit_test(token_sign_refusals),
        cmocka_unit_test(token_keys_rotate),
        cmocka_unit_test(user_token_round_trip)
    };

    return cmocka_run_group_tests(tests, setup_keys, NULL);
}
