/*
 * Copyright (C) ngx-voice contributors
 */


#include "test_util.h"

#include "voice_opcode.h"
#include "voice_token.h"


#define NOW       1800000000
#define SECRET    "0123456789abcdef0123456789abcdef"
#define OTHER     "fedcba9876543210fedcba9876543210"


static void
keys_make(voice_token_keys_t *keys, const char *secret)
{
    const char  *why;

    memset(keys, 0, sizeof(voice_token_keys_t));
    assert_int_equal(voice_token_key_add(keys, secret, strlen(secret), &why),
                     VOICE_OK);
}


static int64_t      expires;
static const char  *why;


static voice_err_t
verify(const voice_token_keys_t *keys, const char *jwt, int64_t now)
{
    return voice_platform_token_verify(keys, jwt, now, &expires, &why);
}


static void
token_is_good_until_it_expires(void **state)
{
    char                 jwt[VOICE_TOKEN_MAX + 1];
    voice_token_keys_t   keys;

    (void) state;
    keys_make(&keys, SECRET);

    assert_int_equal(voice_platform_token_sign(&keys, NOW + 60, jwt,
                                               sizeof(jwt)),
                     VOICE_OK);
    assert_int_equal(verify(&keys, jwt, NOW), VOICE_OK);
    assert_int_equal(verify(&keys, jwt, NOW + 60), VOICE_E_EXPIRED);
    assert_int_equal(expires, NOW + 60);

    assert_int_equal(voice_platform_token_sign(&keys, 0, jwt, sizeof(jwt)),
                     VOICE_OK);
    assert_int_equal(verify(&keys, jwt, INT64_MAX), VOICE_OK);
    assert_int_equal(expires, 0);

    assert_int_equal(voice_platform_token_sign(&keys, -1, jwt, sizeof(jwt)),
                     VOICE_E_RANGE);
    assert_int_equal(voice_platform_token_sign(&keys, 0, jwt, 20),
                     VOICE_E_FULL);

    voice_token_keys_free(&keys);
}


static void
token_of_another_kind_or_key_is_refused(void **state)
{
    char                 jwt[VOICE_USER_TOKEN_MAX + 1];
    voice_token_t        voice;
    voice_token_keys_t   keys, other, none;
    voice_user_token_t   user;

    (void) state;
    keys_make(&keys, SECRET);
    keys_make(&other, OTHER);
    memset(&none, 0, sizeof(none));
    memset(&user, 0, sizeof(user));
    memset(&voice, 0, sizeof(voice));

    user.user_id = 1;
    assert_int_equal(voice_user_token_sign(&keys, &user, jwt, sizeof(jwt)),
                     VOICE_OK);
    assert_int_equal(verify(&keys, jwt, NOW), VOICE_E_FORMAT);
    assert_non_null(strstr(why, "scope"));

    assert_int_equal(voice_platform_token_sign(&keys, 0, jwt, sizeof(jwt)),
                     VOICE_OK);
    assert_int_equal(verify(&other, jwt, NOW), VOICE_E_AUTH);
    assert_int_equal(verify(&none, jwt, NOW), VOICE_E_AUTH);
    assert_int_equal(voice_platform_token_sign(&none, 0, jwt, sizeof(jwt)),
                     VOICE_E_STATE);

    /* nor does a platform's token pass for one of the others */

    assert_int_equal(voice_platform_token_sign(&keys, 0, jwt, sizeof(jwt)),
                     VOICE_OK);
    assert_int_equal(voice_user_token_verify(&keys, jwt, NOW, &user, &why),
                     VOICE_E_FORMAT);
    assert_int_equal(voice_token_verify(&keys, jwt, NOW, &voice, &why),
                     VOICE_E_FORMAT);

    assert_int_equal(verify(&keys, "", NOW), VOICE_E_FORMAT);
    assert_int_equal(verify(&keys, "a.b.c", NOW), VOICE_E_FORMAT);

    voice_token_keys_free(&keys);
    voice_token_keys_free(&other);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(token_is_good_until_it_expires),
        cmocka_unit_test(token_of_another_kind_or_key_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
