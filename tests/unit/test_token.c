/*
 * Copyright (C) ngx-voice contributors
 *
 * Tokens verified: genuine ones, forged ones, too long and too old ones.
 */


#include "test_token_util.h"

#include <stdio.h>


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
token_hash_is_sha256(void **state)
{
    uint8_t  hash[VOICE_TOKEN_HASH_LEN], want[VOICE_TOKEN_HASH_LEN];

    (void) state;

    /* FIPS 180-2 appendix B.1 */
    test_hex("ba7816bf 8f01cfea 414140de 5dae2223", want, sizeof(want));
    voice_token_hash("abc", hash);
    assert_memory_equal(hash, want, sizeof(want));
}


/* Two tokens that say the same are two tokens. */
static void
token_sign_serial(void **state)
{
    char                one[VOICE_TOKEN_MAX + 1], two[VOICE_TOKEN_MAX + 1];
    voice_token_t       token, read;
    voice_token_keys_t  keys;

    (void) state;

    keys_of(&keys, VECTOR_SECRET);

    memset(&token, 0, sizeof(token));
    token.user_id = 1;
    token.guild_id = 2;
    token.channel_id = 3;
    token.expires = NOW + 60;
    strcpy(token.session_id, "s");

    token.serial = 1;
    assert_int_equal(voice_token_sign(&keys, &token, one, sizeof(one)),
                     VOICE_OK);
    token.serial = UINT64_MAX;
    assert_int_equal(voice_token_sign(&keys, &token, two, sizeof(two)),
                     VOICE_OK);

    assert_string_not_equal(one, two);
    assert_int_equal(verify(&keys, one, &read), VOICE_OK);
    assert_int_equal(verify(&keys, two, &read), VOICE_OK);
    assert_int_equal(read.user_id, 1);

    voice_token_keys_free(&keys);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(token_sign_serial),
        cmocka_unit_test(token_verify_vectors),
        cmocka_unit_test(token_verify_tampered_refused),
        cmocka_unit_test(token_verify_forged),
        cmocka_unit_test(token_verify_unsigned_refused),
        cmocka_unit_test(token_verify_length),
        cmocka_unit_test(token_verify_expired_is_filled_in),
        cmocka_unit_test(token_kinds_are_apart),
        cmocka_unit_test(user_token_verify_vector),
        cmocka_unit_test(user_token_verify_forged),
        cmocka_unit_test(token_hash_is_sha256)
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
