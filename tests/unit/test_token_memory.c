/*
 * Copyright (C) ngx-voice contributors
 *
 * Tokens while memory runs out.  A token that is refused or not made is
 * fine; one that passes unverified, or says something else, is not.
 */


#define _GNU_SOURCE

#include "test_token_util.h"

#include <dlfcn.h>
#include <jansson.h>
#include <malloc.h>
#include <stdio.h>


#define ROUNDS_MAX  2000


/* What the JSON library holds, and when it gets no more. */
static size_t  json_live;          /* blocks */
static size_t  json_bytes;
static size_t  json_limit;         /* bytes at a time */
static long    json_count;         /* allocations so far */
static long    json_fail;          /* the number of one that fails, or -1 */
static long    json_biggest;       /* the number of the biggest one */
static size_t  json_biggest_size;
static bool    json_failed;


static void *
json_malloc(size_t size)
{
    void  *p;

    if (size > json_biggest_size) {
        json_biggest = json_count;
        json_biggest_size = size;
    }

    if (json_count++ == json_fail || json_bytes + size > json_limit) {
        json_failed = true;
        return NULL;
    }

    p = malloc(size);

    if (p != NULL) {
        json_live++;
        json_bytes += malloc_usable_size(p);
    }

    return p;
}


static void
json_free(void *p)
{
    if (p != NULL) {
        json_live--;
        json_bytes -= malloc_usable_size(p);
    }

    free(p);
}


static void
json_reset(long fail, size_t limit)
{
    json_live = 0;
    json_bytes = 0;
    json_count = 0;
    json_fail = fail;
    json_limit = limit;
    json_biggest_size = 0;
    json_failed = false;
}


/*
 * libjwt has no hooks, so malloc() itself stands here, unless a sanitizer
 * has taken its place.  It fails for libjwt only.
 */
#if defined(__SANITIZE_ADDRESS__)
#define HAVE_MALLOC_HERE  0
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define HAVE_MALLOC_HERE  0
#endif
#endif

#ifndef HAVE_MALLOC_HERE
#define HAVE_MALLOC_HERE  1
#endif


#if HAVE_MALLOC_HERE

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *p, size_t size);


static bool         jwt_counting;
static long         jwt_fail;
static bool         jwt_failed;
static const void  *jwt_base;


static bool
jwt_fails(const void *caller)
{
    Dl_info  info;

    if (!jwt_counting || dladdr(caller, &info) == 0
        || info.dli_fbase != jwt_base)
    {
        return false;
    }

    if (jwt_fail-- != 0) {
        return false;
    }

    jwt_failed = true;

    return true;
}


void *
malloc(size_t size)
{
    return jwt_fails(__builtin_return_address(0)) ? NULL : __libc_malloc(size);
}


void *
calloc(size_t n, size_t size)
{
    return jwt_fails(__builtin_return_address(0)) ? NULL
                                                  : __libc_calloc(n, size);
}


void *
realloc(void *p, size_t size)
{
    return jwt_fails(__builtin_return_address(0)) ? NULL
                                                  : __libc_realloc(p, size);
}


static void
jwt_reset(long fail)
{
    jwt_fail = fail;
    jwt_failed = false;
}

#endif


typedef struct {
    const char  *key;
    const char  *jwt;
} vector_t;


static const vector_t  vectors[] = {
    { VECTOR_SECRET, vector_hs256 },
    { vector_rsa_public, vector_rs256 },
    { vector_ec_public, vector_es256 }
};


static int
setup_hooks(void **state)
{
#if HAVE_MALLOC_HERE
    Dl_info  info;

    if (dladdr(dlsym(RTLD_DEFAULT, "jwt_decode"), &info) == 0) {
        return -1;
    }

    jwt_base = info.dli_fbase;
#endif

    (void) state;

    json_set_alloc_funcs(json_malloc, json_free);

    return 0;
}


static void
token_verify_json_allocations_fail(void **state)
{
    long                 n;
    size_t               i;
    const char          *why;
    voice_err_t          err;
    voice_token_t        want, token;
    voice_token_keys_t   keys;

    (void) state;

    for (i = 0; i < test_n(vectors); i++) {
        keys_of(&keys, vectors[i].key);

        json_reset(-1, SIZE_MAX);
        memset(&want, 0, sizeof(want));
        assert_int_equal(voice_token_verify(&keys, vectors[i].jwt, NOW, &want,
                                            &why),
                         VOICE_OK);

        for (n = 0; n < ROUNDS_MAX; n++) {
            json_reset(n, SIZE_MAX);
            memset(&token, 0, sizeof(token));

            err = voice_token_verify(&keys, vectors[i].jwt, NOW, &token, &why);

            test_num("blocks left", json_live, 0);

            if (err == VOICE_OK) {
                assert_memory_equal(&token, &want, sizeof(want));
            }

            if (!json_failed) {
                break;
            }
        }

        test_err("at last", err, VOICE_OK);
        assert_in_range(n, 20, ROUNDS_MAX - 1);

        voice_token_keys_free(&keys);
    }
}


/* More and more memory for JSON until it is enough. */
static void
token_verify_json_memory_runs_out(void **state)
{
    size_t               limit, rounds;
    const char          *why;
    voice_err_t          err;
    voice_token_t        token;
    voice_token_keys_t   keys;

    (void) state;

    keys_of(&keys, VECTOR_SECRET);
    rounds = 0;

    for (limit = 0; limit < 1024 * 1024; limit += 64) {
        json_reset(-1, limit);
        err = voice_token_verify(&keys, vector_hs256, NOW, &token, &why);

        test_num("blocks left", json_live, 0);

        if (err == VOICE_OK) {
            break;
        }

        test_err("short of memory", err, VOICE_E_NOMEM);
        assert_string_equal(why, "no memory");
        rounds++;
    }

    test_err("at last", err, VOICE_OK);
    assert_in_range(rounds, 20, 16383);

    voice_token_keys_free(&keys);
}


typedef voice_err_t (*sign_pt)(const voice_token_keys_t *keys, char *buf,
    size_t size);


static voice_err_t
sign_voice(const voice_token_keys_t *keys, char *buf, size_t size)
{
    voice_token_t  token;

    memset(&token, 0, sizeof(token));
    token.user_id = 1100000000000000501;
    token.guild_id = 1100000000000001000;
    token.channel_id = 1100000000000002000;
    token.permissions = 3146752;
    token.has_permissions = true;
    token.suppress = true;
    token.rev = 7;
    token.expires = 2000000000;
    strcpy(token.session_id, "0123456789abcdef0123456789abcdef");
    strcpy(token.node, "n1");
    strcpy(token.boot, "01234567-89ab-cdef-0123-456789abcdef");

    return voice_token_sign(keys, &token, buf, size);
}


static voice_err_t
sign_user(const voice_token_keys_t *keys, char *buf, size_t size)
{
    size_t              i;
    voice_user_token_t  token;

    memset(&token, 0, sizeof(token));
    token.user_id = 1100000000000000501;
    token.bot = true;
    token.nguilds = 200;
    strcpy(token.name, "somebody");

    for (i = 0; i < token.nguilds; i++) {
        token.guild_id[i] = 1100000000000001000 + i;
    }

    return voice_user_token_sign(keys, &token, buf, size);
}


static const sign_pt  signers[] = { sign_voice, sign_user };


static void
token_sign_json_memory_runs_out(void **state)
{
    char                 want[VOICE_USER_TOKEN_MAX], jwt[VOICE_USER_TOKEN_MAX];
    size_t               i, limit, rounds;
    voice_err_t          err;
    voice_token_keys_t   keys;

    (void) state;

    keys_of(&keys, VECTOR_SECRET);

    for (i = 0; i < test_n(signers); i++) {
        json_reset(-1, SIZE_MAX);
        assert_int_equal(signers[i](&keys, want, sizeof(want)), VOICE_OK);

        rounds = 0;

        for (limit = 0; limit < 1024 * 1024; limit += 64) {
            json_reset(-1, limit);
            err = signers[i](&keys, jwt, sizeof(jwt));

            if (err == VOICE_OK) {
                break;
            }

            test_err("short of memory", err, VOICE_E_NOMEM);
            test_num("blocks left", json_live, 0);
            rounds++;
        }

        test_err("at last", err, VOICE_OK);
        assert_string_equal(jwt, want);
        assert_in_range(rounds, 20, 16383);
    }

    voice_token_keys_free(&keys);
}


/*
 * One allocation that fails, of all up to the biggest, which makes sure of
 * memory: what comes after it can't cope with a failure.
 */
static void
token_sign_json_allocations_fail(void **state)
{
    char                 jwt[VOICE_USER_TOKEN_MAX];
    long                 n, enough;
    size_t               i;
    voice_err_t          err;
    voice_token_keys_t   keys;

    (void) state;

    keys_of(&keys, VECTOR_SECRET);

    for (i = 0; i < test_n(signers); i++) {
        json_reset(-1, SIZE_MAX);
        assert_int_equal(signers[i](&keys, jwt, sizeof(jwt)), VOICE_OK);

        enough = json_biggest;
        assert_in_range(enough, 10, ROUNDS_MAX);

        for (n = 0; n <= enough; n++) {
            json_reset(n, SIZE_MAX);
            err = signers[i](&keys, jwt, sizeof(jwt));

            assert_true(json_failed);
            test_err("one fails", err, VOICE_E_NOMEM);
            test_num("blocks left", json_live, 0);
        }
    }

    voice_token_keys_free(&keys);
}


/* Without memory for a key libjwt says that the token is all right. */
static void
token_verify_libjwt_allocations_fail(void **state)
{
#if HAVE_MALLOC_HERE
    char                *p, foreign[VOICE_TOKEN_MAX];
    long                 n;
    size_t               i;
    const char          *why;
    voice_err_t          err;
    voice_token_t        token;
    voice_token_keys_t   keys;

    (void) state;

    json_reset(-1, SIZE_MAX);
    jwt_counting = true;

    for (i = 0; i < test_n(vectors); i++) {
        keys_of(&keys, vectors[i].key);

        /* in good form, but for its signature */
        strcpy(foreign, vectors[i].jwt);
        p = strrchr(foreign, '.') + 1;
        *p = *p == 'A' ? 'B' : 'A';

        for (n = 0; n < ROUNDS_MAX; n++) {
            jwt_reset(n);
            err = voice_token_verify(&keys, foreign, NOW, &token, &why);
            assert_int_not_equal(err, VOICE_OK);

            jwt_reset(n);
            err = voice_token_verify(&keys, vectors[i].jwt, NOW, &token, &why);

            if (!jwt_failed) {
                break;
            }

            assert_int_not_equal(err, VOICE_OK);
        }

        test_err("at last", err, VOICE_OK);
        assert_in_range(n, 3, ROUNDS_MAX - 1);

        voice_token_keys_free(&keys);
    }

    jwt_counting = false;
#else
    (void) state;
    skip();
#endif
}


static void
token_sign_libjwt_allocations_fail(void **state)
{
#if HAVE_MALLOC_HERE
    char                 want[VOICE_USER_TOKEN_MAX], jwt[VOICE_USER_TOKEN_MAX];
    long                 n;
    size_t               i;
    voice_err_t          err;
    voice_token_keys_t   keys;

    (void) state;

    keys_of(&keys, VECTOR_SECRET);
    json_reset(-1, SIZE_MAX);

    for (i = 0; i < test_n(signers); i++) {
        assert_int_equal(signers[i](&keys, want, sizeof(want)), VOICE_OK);

        jwt_counting = true;

        for (n = 0; n < ROUNDS_MAX; n++) {
            jwt_reset(n);
            err = signers[i](&keys, jwt, sizeof(jwt));

            if (!jwt_failed) {
                break;
            }

            test_err("one fails", err, VOICE_E_NOMEM);
        }

        jwt_counting = false;

        test_err("at last", err, VOICE_OK);
        assert_string_equal(jwt, want);
        assert_in_range(n, 5, ROUNDS_MAX - 1);
    }

    voice_token_keys_free(&keys);
#else
    (void) state;
    skip();
#endif
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(token_verify_json_allocations_fail),
        cmocka_unit_test(token_verify_json_memory_runs_out),
        cmocka_unit_test(token_sign_json_memory_runs_out),
        cmocka_unit_test(token_sign_json_allocations_fail),
        cmocka_unit_test(token_verify_libjwt_allocations_fail),
        cmocka_unit_test(token_sign_libjwt_allocations_fail)
    };

    return cmocka_run_group_tests(tests, setup_hooks, NULL);
}
