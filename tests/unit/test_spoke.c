/*
 * Copyright (C) ngx-voice contributors
 *
 * Who speaks, for those that listen from outside.
 */


#include "test_util.h"
#include "zone_ops.h"

#include "voice_spoke.h"


static ops_zone_t  o;


static int
setup(void **state)
{
    (void) state;

    return ops_setup(&o);
}


static int
teardown(void **state)
{
    (void) state;

    return ops_teardown(&o);
}


/* A live session of a user in guild 1, channel 2. */
static voice_id_t
live(uint64_t user)
{
    bool                  replaced;
    uint32_t              attach;
    uint8_t               key[VOICE_KEY_LEN] = { 0 };
    voice_id_t            id;
    voice_session_conf_t  c = { .user_id = user, .guild_id = 1,
                                .channel_id = 2, .session_id = "sid",
                                .version = 8 };

    test_err("create", voice_session_create(&o.z[0], &c, 5, &id, &attach,
                                            &replaced), VOICE_OK);
    test_err("select", voice_session_select(&o.z[0], id,
                                            VOICE_MODE_AEAD_AES256_GCM_RTPSIZE,
                                            key, NULL, 5, 0), VOICE_OK);

    return id;
}


static size_t
read_all(uint64_t *next, voice_spoke_t *list, size_t max, bool *missed)
{
    size_t  n;

    voice_spoke_read(&o.z[1], next, list, max, &n, missed);

    return n;
}


static void
nobody_listens(void **state)
{
    bool           missed;
    uint64_t       next = 0;
    voice_id_t     id = live(7);
    voice_spoke_t  list[4];

    (void) state;

    test_err("speaks", voice_session_speaking(&o.z[0], id, 1, false),
             VOICE_OK);
    test_num("next", voice_spoke_next(&o.z[0]), 0);
    test_num("none", read_all(&next, list, 4, &missed), 0);
    assert_false(missed);
}


static void
starts_and_stops(void **state)
{
    bool           missed;
    uint64_t       next;
    voice_id_t     id = live(7), other = live(8);
    voice_spoke_t  list[8];

    (void) state;

    atomic_store(&o.z[0].header->worker[o.z[1].worker].hearers, 1);
    next = voice_spoke_next(&o.z[1]);
    memset(o.z[0].wake, 0, sizeof(o.z[0].wake));

    voice_session_speaking(&o.z[0], id, 1, true);
    assert_true(o.z[0].wake[o.z[1].worker / 64] >> (o.z[1].worker % 64) & 1);

    voice_session_speaking(&o.z[0], id, 1, true);        /* said before */
    voice_session_speaking(&o.z[0], other, 5, false);
    voice_session_speaking(&o.z[0], id, 0, false);

    test_num("three", read_all(&next, list, 8, &missed), 3);
    test_num("guild", list[0].guild_id, 1);
    test_num("channel", list[0].channel_id, 2);
    test_num("user", list[0].user_id, 7);
    test_num("starts", list[0].speaking, 1);
    test_num("other", list[1].user_id, 8);
    test_num("mask", list[1].speaking, 5);
    test_num("stops", list[2].speaking, 0);
    test_num("ssrc", list[2].ssrc, list[0].ssrc);

    /* one that goes in the middle of a word has stopped */

    voice_session_close(&o.z[0], other, 1, VOICE_CLOSE_DISCONNECTED);
    voice_session_close(&o.z[0], id, 1, VOICE_CLOSE_DISCONNECTED);
    test_num("one", read_all(&next, list, 8, &missed), 1);
    test_num("user", list[0].user_id, 8);
    test_num("stops", list[0].speaking, 0);
}


static void
too_many(void **state)
{
    bool           missed;
    size_t         i;
    uint64_t       next, old;
    voice_id_t     id = live(7);
    voice_spoke_t  list[VOICE_SPOKE_EVENTS];

    (void) state;

    atomic_store(&o.z[0].header->worker[0].hearers, 1);
    next = old = voice_spoke_next(&o.z[1]);

    for (i = 1; i <= VOICE_SPOKE_EVENTS; i++) {
        voice_session_speaking(&o.z[0], id, i & 1, false);
    }

    test_num("a part", read_all(&next, list, 10, &missed), 10);
    assert_false(missed);
    test_num("goes on", next, old + 10);

    voice_session_speaking(&o.z[0], id, 1, false);

    test_num("the rest", read_all(&old, list, VOICE_SPOKE_EVENTS, &missed),
             VOICE_SPOKE_EVENTS);
    assert_true(missed);
    test_num("the newest", list[VOICE_SPOKE_EVENTS - 1].speaking, 1);
    test_num("all", old, voice_spoke_next(&o.z[1]));
}


#define spoke_test(f)  cmocka_unit_test_setup_teardown(f, setup, teardown)


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        spoke_test(nobody_listens),
        spoke_test(starts_and_stops),
        spoke_test(too_many)
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
