/*
 * Copyright (C) ngx-voice contributors
 *
 * Tokens verified and signed, with keys of each kind.
 */


#include "test_util.h"

#include "test_token_vectors.h"

#include "voice_opcode.h"
#include "voice_token.h"

#include <openssl/bio.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <sodium.h>
#include <stdio.h>


#define NOW     1999999999     /* a second before the vectors expire */
#define SECRET  VECTOR_SECRET
#define OTHER   "fedcba9876543210fedcba9876543210"

#define HEADER  "{\"alg\":\"HS256\",\"typ\":\"JWT\"}"
#define CLAIMS  "\"sub\":\"501\",\"sid\":\"s1\",\"gid\":\"1000\","           \
                "\"cid\":\"2000\""

#define PEM_MAX     8192
#define B64         sodium_base64_VARIANT_URLSAFE_NO_PADDING


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


static void
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


static void
keys_of(voice_token_keys_t *keys, const char *text)
{
    memset(keys, 0, sizeof(*keys));
    add(keys, text);
}


/* An HS256 token of any header and payload, without the code under test. */
static void
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


static voice_err_t
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


static void
check_vector(const voice_token_t *t)
{
    assert_true(t->user_id == 501);
    assert_true(t->guild_id == 1000);
    assert_true(t->channel_id == 2000);
    assert_string_equal(t->session_id, "s1");
    assert_true(t->has_permissions);
    assert_true(t->permissions == 3146752);
    assert_true(t->mute);
    assert_false(t->deaf);
    assert_false(t->suppress);
    assert_string_equal(t->node, "n1");
    assert_string_equal(t->boot, "b1");
    assert_true(t->rev == 7);
    assert_true(t->expires == 2000000000);
}


static void
token_verify_vectors(void **state)
{
    size_t              i;
    voice_token_t       token;
    voice_token_keys_t  keys;

    static const struct {
        const char  *key;
        const char  *jwt;
    } vectors[] = {
        { VECTOR_SECRET, vector_hs256 },
        { vector_rsa_public, vector_rs256 },
        { vector_ec_public, vector_es256 }
    };

    (void) state;

    for (i = 0; i < test_n(vectors); i++) {
        keys_of(&keys, vectors[i].key);
        memset(&token, 0xa5, sizeof(token));

        test_err(vectors[i].jwt, verify(&keys, vectors[i].jwt, &token),
                 VOICE_OK);
        check_vector(&token);

        voice_token_keys_free(&keys);
    }
}


static void
user_token_verify_vector(void **state)
{
    const char          *why;
    voice_user_token_t   token;
    voice_token_keys_t   keys;

    (void) state;

    keys_of(&keys, VECTOR_SECRET);

    assert_int_equal(voice_user_token_verify(&keys, vector_user_hs256, NOW,
                                             &token, &why),
                     VOICE_OK);
    assert_true(token.user_id == 501);
    assert_string_equal(token.name, "J\xc3\xb6rg");
    assert_true(token.bot);
    assert_int_equal(token.nguilds, 2);
    assert_true(token.guild_id[0] == 1000);
    assert_true(token.guild_id[1] == UINT64_MAX);
    assert_true(token.expires == 0);

    voice_token_keys_free(&keys);
}


/* Each character changed, each length cut, and a bit more at the end. */
static void
check_tampering(const char *key, const char *jwt)
{
    char                 copy[VOICE_TOKEN_MAX];
    size_t               i, len;
    voice_err_t          err;
    voice_token_t        token, before;
    voice_token_keys_t   keys;

    keys_of(&keys, key);
    memset(&token, 0xa5, sizeof(token));
    before = token;
    len = strlen(jwt);

    for (i = 0; i < len; i++) {
        strcpy(copy, jwt);
        copy[i] = copy[i] == 'A' ? 'B' : 'A';

        err = verify(&keys, copy, &token);
        assert_true(err == VOICE_E_AUTH || err == VOICE_E_FORMAT);

        copy[i] = '*';
        test_err("*", verify(&keys, copy, &token), VOICE_E_FORMAT);

        copy[i] = '\0';
        err = verify(&keys, copy, &token);
        assert_true(err == VOICE_E_AUTH || err == VOICE_E_FORMAT);
    }

    for (i = 0; i < 4; i++) {
        snprintf(copy, sizeof(copy), "%s%c", jwt, "A=. "[i]);
        err = verify(&keys, copy, &token);
        assert_true(err == VOICE_E_AUTH || err == VOICE_E_FORMAT);
    }

    assert_memory_equal(&token, &before, sizeof(token));
    assert_int_equal(verify(&keys, jwt, &token), VOICE_OK);

    voice_token_keys_free(&keys);
}


static void
token_verify_tampered_refused(void **state)
{
    (void) state;

    check_tampering(VECTOR_SECRET, vector_hs256);
    check_tampering(vector_rsa_public, vector_rs256);
    check_tampering(vector_ec_public, vector_es256);
}


typedef struct {
    const char   *header;
    const char   *payload;
    voice_err_t   err;
    const char   *why;
} forged_t;


#define P(rest)  "{" CLAIMS rest "}"
#define S65  "01234567890123456789012345678901234567890123456789012345678901234"


static const forged_t  forged[] = {

    { HEADER, P(""), VOICE_OK, NULL },
    { "{\"alg\":\"HS256\"}", P(""), VOICE_OK, NULL },
    { "{\"alg\":\"HS256\",\"kid\":\"1\"}", P(",\"iat\":1"), VOICE_OK, NULL },

    /* the header */
    { "{\"alg\":\"none\"}", P(""), VOICE_E_AUTH, "alg" },
    { "{\"alg\":\"None\"}", P(""), VOICE_E_AUTH, "alg" },
    { "{\"alg\":\"\"}", P(""), VOICE_E_AUTH, "alg" },
    { "{\"alg\":\"hs256\"}", P(""), VOICE_E_AUTH, "alg" },
    { "{\"alg\":\"HS384\"}", P(""), VOICE_E_AUTH, "alg" },
    { "{\"alg\":\"HS256\\u0000\"}", P(""), VOICE_E_FORMAT, "alg" },
    { "{\"alg\":\"HS2567\"}", P(""), VOICE_E_AUTH, "alg" },
    { "{\"alg\":\"RS256\"}", P(""), VOICE_E_AUTH, "not signed" },
    { "{\"alg\":\"ES256\"}", P(""), VOICE_E_AUTH, "not signed" },
    { "{\"alg\":7}", P(""), VOICE_E_FORMAT, "alg" },
    { "{\"typ\":\"JWT\"}", P(""), VOICE_E_FORMAT, "alg" },
    { "{\"alg\":\"HS256\",\"alg\":\"HS256\"}", P(""), VOICE_E_FORMAT, "alg" },
    { "{\"alg\":\"HS256\",\"typ\":\"other\"}", P(""), VOICE_E_AUTH, "signed" },
    { "{\"alg\":\"HS256\",\"crit\":[\"x\"]}", P(""), VOICE_E_FORMAT, "crit" },
    { "[]", P(""), VOICE_E_FORMAT, "alg" },
    { "alg", P(""), VOICE_E_FORMAT, "header" },
    { "{\"alg\":\"HS256\"", P(""), VOICE_E_FORMAT, "header" },

    /* the payload */
    { HEADER, "{", VOICE_E_FORMAT, "payload" },
    { HEADER, "[]", VOICE_E_FORMAT, "payload" },
    { HEADER, "\xff", VOICE_E_FORMAT, "payload" },
    { HEADER, "{\"a\":[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]}", VOICE_E_FORMAT,
      "payload" },

    /* claims */
    { HEADER, "{}", VOICE_E_FORMAT, "sub" },
    { HEADER, "{\"sid\":\"s\",\"gid\":\"1\",\"cid\":\"1\"}", VOICE_E_FORMAT,
      "sub" },
    { HEADER, "{\"sub\":\"1\",\"sid\":\"s\",\"cid\":\"1\"}", VOICE_E_FORMAT,
      "gid" },
    { HEADER, "{\"sub\":\"1\",\"sid\":\"s\",\"gid\":\"1\"}", VOICE_E_FORMAT,
      "cid" },
    { HEADER, "{\"sub\":\"1\",\"gid\":\"1\",\"cid\":\"1\"}", VOICE_E_FORMAT,
      "sid" },
    { HEADER, "{\"sub\":501,\"sid\":\"s\",\"gid\":\"1\",\"cid\":\"1\"}",
      VOICE_E_FORMAT, "sub" },
    { HEADER, "{\"sub\":\"0\",\"sid\":\"s\",\"gid\":\"1\",\"cid\":\"1\"}",
      VOICE_E_FORMAT, "sub" },
    { HEADER, "{\"sub\":\"x\",\"sid\":\"s\",\"gid\":\"1\",\"cid\":\"1\"}",
      VOICE_E_FORMAT, "sub" },
    { HEADER, P(",\"sub\":\"501\""), VOICE_E_FORMAT, "sub" },
    { HEADER, "{\"sub\":\"1\",\"sid\":\"\",\"gid\":\"1\",\"cid\":\"1\"}",
      VOICE_E_FORMAT, "sid" },
    { HEADER, "{\"sub\":\"1\",\"sid\":\"" S65 "\",\"gid\":\"1\","
      "\"cid\":\"1\"}", VOICE_E_FORMAT, "sid" },
    { HEADER, P(",\"perm\":8"), VOICE_E_FORMAT, "perm" },
    { HEADER, P(",\"perm\":null"), VOICE_E_FORMAT, "perm" },
    { HEADER, P(",\"perm\":\"-1\""), VOICE_E_FORMAT, "perm" },
    { HEADER, P(",\"perm\":\"18446744073709551616\""), VOICE_E_FORMAT,
      "perm" },
    { HEADER, P(",\"perm\":\"8\",\"perm\":\"8\""), VOICE_E_FORMAT, "perm" },
    { HEADER, P(",\"mute\":1"), VOICE_E_FORMAT, "mute" },
    { HEADER, P(",\"deaf\":\"true\""), VOICE_E_FORMAT, "deaf" },
    { HEADER, P(",\"suppress\":0"), VOICE_E_FORMAT, "suppress" },
    { HEADER, P(",\"node\":7"), VOICE_E_FORMAT, "node" },
    { HEADER, P(",\"node\":\"" S65 "\""), VOICE_E_FORMAT, "node" },
    { HEADER, P(",\"boot\":\"0123456789012345678901234567890123456\""),
      VOICE_E_FORMAT, "boot" },
    { HEADER, P(",\"rev\":\"7\""), VOICE_E_FORMAT, "rev" },
    { HEADER, P(",\"rev\":-1"), VOICE_E_FORMAT, "rev" },
    { HEADER, P(",\"exp\":\"2000000000\""), VOICE_E_FORMAT, "exp" },
    { HEADER, P(",\"exp\":null"), VOICE_E_FORMAT, "exp" },
    { HEADER, P(",\"exp\":0"), VOICE_E_FORMAT, "exp" },
    { HEADER, P(",\"exp\":-5"), VOICE_E_FORMAT, "exp" },
    { HEADER, P(",\"exp\":2e9"), VOICE_E_FORMAT, "exp" },
    { HEADER, P(",\"exp\":2000000000,\"exp\":2000000000"), VOICE_E_FORMAT,
      "exp" },
    { HEADER, P(",\"exp\":1999999999"), VOICE_E_EXPIRED, "expired" },
    { HEADER, P(",\"exp\":1999999999.9"), VOICE_E_EXPIRED, "expired" },
    { HEADER, P(",\"exp\":1"), VOICE_E_EXPIRED, "expired" },
    { HEADER, P(",\"exp\":2000000000.5"), VOICE_OK, NULL },
    { HEADER, P(",\"exp\":9223372036854775807"), VOICE_OK, NULL }
};


static void
token_verify_forged(void **state)
{
    char                 jwt[VOICE_TOKEN_MAX];
    size_t               i;
    const char          *why;
    voice_err_t          err;
    voice_token_t        token;
    voice_token_keys_t   keys;

    (void) state;

    keys_of(&keys, SECRET);

    for (i = 0; i < test_n(forged); i++) {
        forge(forged[i].header, forged[i].payload, strlen(forged[i].payload),
              SECRET, jwt, sizeof(jwt));

        why = NULL;
        err = voice_token_verify(&keys, jwt, NOW, &token, &why);
        test_err(forged[i].payload, err, forged[i].err);

        if (err != VOICE_OK && (why == NULL
                                || strstr(why, forged[i].why) == NULL))
        {
            fail_msg("%s %s: the reason is \"%s\", expected \"%s\"",
                     forged[i].header, forged[i].payload, why ? why : "",
                     forged[i].why);
        }
    }

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

        forge(HEADER, P(""), strlen(P("")), pem[public[i]], jwt, sizeof(jwt));
        test_err("alone", verify(&keys, jwt, &token), VOICE_E_AUTH);

        add(&keys, SECRET);
        test_err("beside a secret", verify(&keys, jwt, &token), VOICE_E_AUTH);

        voice_token_keys_free(&keys);
    }
}


static void
token_verify_unsigned_refused(void **state)
{
    char                 jwt[VOICE_TOKEN_MAX];
    size_t               i;
    voice_token_t        token;
    voice_token_keys_t   keys;

    static const char   *texts[] = {
        "", ".", "..", "...", "a", "a.b", "a.b.", ".b.c", "a..c",
        "AAAA.AAAA.AAAA", "e30.e30.e30",
        /* {"alg":"none"} and {} */
        "eyJhbGciOiJub25lIn0.e30.", "eyJhbGciOiJub25lIn0.e30.AA"
    };

    (void) state;

    keys_of(&keys, SECRET);

    for (i = 0; i < test_n(texts); i++) {
        assert_int_not_equal(verify(&keys, texts[i], &token), VOICE_OK);
    }

    /* three dots, an empty signature, none at all */
    snprintf(jwt, sizeof(jwt), "%s.AAAA", vector_hs256);
    assert_int_equal(verify(&keys, jwt, &token), VOICE_E_FORMAT);

    strrchr(jwt, '.')[0] = '\0';
    assert_int_equal(verify(&keys, jwt, &token), VOICE_OK);

    strrchr(jwt, '.')[1] = '\0';
    assert_int_equal(verify(&keys, jwt, &token), VOICE_E_FORMAT);

    strrchr(jwt, '.')[0] = '\0';
    assert_int_equal(verify(&keys, jwt, &token), VOICE_E_FORMAT);

    voice_token_keys_free(&keys);

    /* without keys nothing is believed */
    assert_int_equal(verify(&keys, vector_hs256, &token), VOICE_E_AUTH);
}


/* payload of so many bytes, filled up by a claim that nobody reads */
static void
long_token(const char *claims, size_t jwt_len, char *jwt, size_t size)
{
    char    payload[VOICE_USER_TOKEN_MAX];
    size_t  n, fill;

    for (fill = jwt_len / 4 * 3 - 256; ; fill++) {
        n = (size_t) snprintf(payload, sizeof(payload), "{%s,\"x\":\"%0*d\"}",
                              claims, (int) fill + 1, 0);
        assert_true(n < sizeof(payload));
        forge(HEADER, payload, n, SECRET, jwt, size);

        if (strlen(jwt) >= jwt_len) {
            break;
        }
    }

    assert_int_equal(strlen(jwt), jwt_len);
}


static void
token_verify_length(void **state)
{
    char                 jwt[VOICE_USER_TOKEN_MAX + 64];
    const char          *why;
    voice_token_t        token;
    voice_token_keys_t   keys;
    voice_user_token_t   user;

    (void) state;

    keys_of(&keys, SECRET);

    long_token(CLAIMS, VOICE_TOKEN_MAX - 1, jwt, sizeof(jwt));
    assert_int_equal(verify(&keys, jwt, &token), VOICE_OK);

    long_token(CLAIMS, VOICE_TOKEN_MAX + 1, jwt, sizeof(jwt));
    assert_int_equal(verify(&keys, jwt, &token), VOICE_E_FORMAT);

    long_token("\"sub\":\"1\",\"guilds\":[]", VOICE_USER_TOKEN_MAX - 1, jwt,
               sizeof(jwt));
    assert_int_equal(voice_user_token_verify(&keys, jwt, NOW, &user, &why),
                     VOICE_OK);

    long_token("\"sub\":\"1\",\"guilds\":[]", VOICE_USER_TOKEN_MAX + 1, jwt,
               sizeof(jwt));
    assert_int_equal(voice_user_token_verify(&keys, jwt, NOW, &user, &why),
                     VOICE_E_FORMAT);

    voice_token_keys_free(&keys);
}


static void
token_verify_expired_is_filled_in(void **state)
{
    const char          *why;
    voice_token_t        token;
    voice_token_keys_t   keys;

    (void) state;

    keys_of(&keys, SECRET);

    assert_int_equal(voice_token_verify(&keys, vector_hs256, 1999999999,
                                        &token, &why),
                     VOICE_OK);

    memset(&token, 0xa5, sizeof(token));
    assert_int_equal(voice_token_verify(&keys, vector_hs256, 2000000000,
                                        &token, &why),
                     VOICE_E_EXPIRED);
    check_vector(&token);

    memset(&token, 0xa5, sizeof(token));
    assert_int_equal(voice_token_verify(&keys, vector_hs256, INT64_MAX,
                                        &token, &why),
                     VOICE_E_EXPIRED);
    check_vector(&token);

    voice_token_keys_free(&keys);
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


/* The same keys sign both kinds, and neither passes for the other. */
static void
token_kinds_are_apart(void **state)
{
    const char          *why;
    voice_token_t        token;
    voice_token_keys_t   keys;
    voice_user_token_t   user;

    (void) state;

    keys_of(&keys, SECRET);

    assert_int_equal(voice_user_token_verify(&keys, vector_hs256, NOW, &user,
                                             &why),
                     VOICE_E_FORMAT);
    assert_non_null(strstr(why, "guilds"));
    assert_int_equal(verify(&keys, vector_user_hs256, &token), VOICE_E_FORMAT);

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


typedef struct {
    const char   *payload;
    voice_err_t   err;
    const char   *why;
} user_forged_t;


static const user_forged_t  user_forged[] = {
    { "{\"sub\":\"1\",\"guilds\":[]}", VOICE_OK, NULL },
    { "{\"sub\":\"1\",\"guilds\":[],\"name\":\"\",\"bot\":false}", VOICE_OK,
      NULL },
    { "{\"guilds\":[]}", VOICE_E_FORMAT, "sub" },
    { "{\"sub\":\"1\"}", VOICE_E_FORMAT, "guilds" },
    { "{\"sub\":\"1\",\"guilds\":\"1\"}", VOICE_E_FORMAT, "guilds" },
    { "{\"sub\":\"1\",\"guilds\":[1]}", VOICE_E_FORMAT, "guilds" },
    { "{\"sub\":\"1\",\"guilds\":[\"0\"]}", VOICE_E_FORMAT, "guilds" },
    { "{\"sub\":\"1\",\"guilds\":[[\"1\"]]}", VOICE_E_FORMAT, "guilds" },
    { "{\"sub\":\"1\",\"guilds\":[],\"guilds\":[]}", VOICE_E_FORMAT,
      "guilds" },
    { "{\"sub\":\"1\",\"guilds\":[],\"name\":7}", VOICE_E_FORMAT, "name" },
    { "{\"sub\":\"1\",\"guilds\":[],\"name\":\"" S65 "\"}", VOICE_E_FORMAT,
      "name" },
    { "{\"sub\":\"1\",\"guilds\":[],\"bot\":1}", VOICE_E_FORMAT, "bot" },
    { "{\"sub\":\"1\",\"guilds\":[],\"exp\":\"x\"}", VOICE_E_FORMAT, "exp" },
    { "{\"sub\":\"1\",\"guilds\":[],\"exp\":1999999999}", VOICE_E_EXPIRED,
      "expired" }
};


static void
user_token_verify_forged(void **state)
{
    char                 jwt[VOICE_USER_TOKEN_MAX], list[4096];
    size_t               i, n;
    const char          *why;
    voice_err_t          err;
    voice_token_keys_t   keys;
    voice_user_token_t   token;

    (void) state;

    keys_of(&keys, SECRET);

    for (i = 0; i < test_n(user_forged); i++) {
        forge(HEADER, user_forged[i].payload, strlen(user_forged[i].payload),
              SECRET, jwt, sizeof(jwt));

        why = "";
        err = voice_user_token_verify(&keys, jwt, NOW, &token, &why);
        test_err(user_forged[i].payload, err, user_forged[i].err);

        if (err != VOICE_OK && strstr(why, user_forged[i].why) == NULL) {
            fail_msg("%s: the reason is \"%s\"", user_forged[i].payload, why);
        }
    }

    for (i = VOICE_TOKEN_GUILDS_MAX; i <= VOICE_TOKEN_GUILDS_MAX + 1; i++) {
        n = (size_t) snprintf(list, sizeof(list), "{\"sub\":\"1\",\"guilds\":"
                              "[\"1\"");
        while (n < sizeof("{\"sub\":\"1\",\"guilds\":[") - 1 + 4 * i - 1) {
            n += (size_t) snprintf(list + n, sizeof(list) - n, ",\"1\"");
        }

        n += (size_t) snprintf(list + n, sizeof(list) - n, "]}");
        forge(HEADER, list, n, SECRET, jwt, sizeof(jwt));

        test_err("guilds",
                 voice_user_token_verify(&keys, jwt, NOW, &token, &why),
                 i > VOICE_TOKEN_GUILDS_MAX ? VOICE_E_FORMAT : VOICE_OK);
        test_num("guilds", token.nguilds, VOICE_TOKEN_GUILDS_MAX);
    }

    voice_token_keys_free(&keys);
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


static void
token_hash_is_sha256(void **state)
{
    uint8_t  hash[VOICE_TOKEN_HASH_LEN], want[VOICE_TOKEN_HASH_LEN];

    (void) state;

    /* FIPS 180-2 appendix B.1 */
    test_hex("ba7816bf 8f01cfea 414140de 5dae2223", want, sizeof(want));
    voice_token_hash("abc", hash);
    assert_memory_equal(hash, want, sizeof(want));
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(token_key_add_kinds),
        cmocka_unit_test(token_key_add_refusals),
        cmocka_unit_test(token_verify_vectors),
        cmocka_unit_test(token_verify_tampered_refused),
        cmocka_unit_test(token_verify_forged),
        cmocka_unit_test(token_verify_public_key_is_no_secret),
        cmocka_unit_test(token_verify_unsigned_refused),
        cmocka_unit_test(token_verify_length),
        cmocka_unit_test(token_verify_expired_is_filled_in),
        cmocka_unit_test(token_verify_wrong_key),
        cmocka_unit_test(token_sign_round_trip_of_every_key),
        cmocka_unit_test(token_sign_text),
        cmocka_unit_test(token_sign_refusals),
        cmocka_unit_test(token_keys_rotate),
        cmocka_unit_test(token_kinds_are_apart),
        cmocka_unit_test(user_token_verify_vector),
        cmocka_unit_test(user_token_verify_forged),
        cmocka_unit_test(user_token_round_trip),
        cmocka_unit_test(token_hash_is_sha256)
    };

    return cmocka_run_group_tests(tests, setup_keys, NULL);
}
