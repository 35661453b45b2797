/*
 * Copyright (C) ngx-voice contributors
 *
 * Drain: who wants it, since when and until when, and what becomes of those
 * who are left at the deadline.
 */


#include "test_util.h"
#include "voice_drain.h"
#include "voice_guild.h"
#include "voice_session.h"
#include "zone_ops.h"


#define SESSIONS  64


static voice_zone_t  z;


static int
setup(void **state)
{
    size_t  size = voice_zone_size(SESSIONS);

    (void) state;

    memset(&z, 0, sizeof(z));
    test_err("zone", voice_zone_format(&z, zone_memory(size), size, SESSIONS,
                                       "node"), VOICE_OK);
    voice_worker_register(&z, 0, 100, "w", 1, 1000);

    return 0;
}


static int
teardown(void **state)
{
    char  text[256];

    (void) state;

    if (voice_zone_verify(&z, text, sizeof(text)) != 0) {
        fail_msg("%s", text);
    }

    munmap(z.header, voice_zone_size(SESSIONS));

    return 0;
}


static voice_id_t
make_in(uint64_t guild, uint64_t user, const char *session_id)
{
    bool                  replaced;
    uint8_t               secret[VOICE_KEY_LEN] = { (uint8_t) user, 1 };
    uint32_t              attach;
    voice_id_t            id;
    voice_session_conf_t  c = {
        .user_id = user, .guild_id = guild, .channel_id = 2,
        .session_id = session_id, .version = 8
    };

    test_err("create", voice_session_create(&z, &c, 5, &id, &attach,
                                            &replaced), VOICE_OK);
    test_err("select", voice_session_select(&z, id, 2, secret, NULL, 10, 5),
             VOICE_OK);
    return id;
}


static voice_id_t
make(uint64_t user, const char *session_id)
{
    return make_in(1, user, session_id);
}


/* The first event of the wanted kind, or 0 */
static uint32_t
closed(voice_id_t id)
{
    voice_event_t  ev;

    while (voice_outbox_next(&z, id, 1, &ev) == VOICE_OK) {

        if (ev.type == VOICE_EVENT_CLOSE) {
            return ev.arg;
        }

        voice_outbox_number(&z, id, 1, &ev, 1);
        voice_outbox_sent(&z, id, 1, &ev);
    }

    return 0;
}


static void
test_nobody_wants_it_at_first(void **state)
{
    voice_drain_t  d;

    (void) state;

    assert_false(voice_drain_get(&z, &d));
    test_num("by", d.by, 0);
    test_num("since", d.since, 0);
    test_num("deadline", d.deadline, 0);
    test_num("expired", voice_drain_expire(&z, 1000000, 64), 0);
}


static void
test_it_stands_until_the_last_one_takes_it_back(void **state)
{
    voice_drain_t  d;

    (void) state;

    voice_drain_start(&z, VOICE_DRAIN_FLEET, 700, 5000);
    voice_drain_start(&z, VOICE_DRAIN_ORDER, 800, 4000);
    voice_drain_start(&z, VOICE_DRAIN_DIRECTIVE, 600, 0);

    assert_true(voice_drain_get(&z, &d));
    test_num("by", d.by, 7);
    test_num("since", d.since, 600);
    test_num("deadline", d.deadline, 4000);

    voice_drain_stop(&z, VOICE_DRAIN_ORDER);
    voice_drain_stop(&z, VOICE_DRAIN_DIRECTIVE);

    assert_true(voice_drain_get(&z, &d));
    test_num("by", d.by, 1u << VOICE_DRAIN_FLEET);
    test_num("since", d.since, 700);
    test_num("deadline", d.deadline, 5000);

    voice_drain_stop(&z, VOICE_DRAIN_FLEET);
    assert_false(voice_drain_get(&z, NULL));
}


static void
test_said_again_it_keeps_its_begin(void **state)
{
    voice_drain_t  d;

    (void) state;

    voice_drain_start(&z, VOICE_DRAIN_ORDER, 0, 9000);
    voice_drain_start(&z, VOICE_DRAIN_ORDER, 500, 0);

    assert_true(voice_drain_get(&z, &d));
    test_num("since", d.since, 1);
    test_num("deadline", d.deadline, 0);
}


static void
test_a_zone_found_again_still_drains(void **state)
{
    voice_zone_t   other;
    voice_drain_t  d;

    (void) state;

    voice_drain_start(&z, VOICE_DRAIN_ORDER, 500, 9000);

    test_err("attach", voice_zone_attach(&other, z.header,
                                         voice_zone_size(SESSIONS), SESSIONS),
             VOICE_OK);
    voice_zone_lock(&other);
    voice_zone_repair(&other);
    voice_zone_unlock(&other);

    assert_true(voice_drain_get(&other, &d));
    test_num("since", d.since, 500);
    test_num("deadline", d.deadline, 9000);
}


static void
test_until_the_deadline_all_stay(void **state)
{
    voice_id_t  id;

    (void) state;

    id = make(501, "sid");

    voice_drain_start(&z, VOICE_DRAIN_DIRECTIVE, 100, 0);
    test_num("no deadline", voice_drain_expire(&z, 1000000, 64), 0);

    voice_drain_start(&z, VOICE_DRAIN_ORDER, 100, 2000);
    test_num("before it", voice_drain_expire(&z, 1999, 64), 0);
    assert_non_null(voice_session_get(&z, id));

    voice_drain_stop(&z, VOICE_DRAIN_ORDER);
    test_num("taken back", voice_drain_expire(&z, 3000, 64), 0);
    test_num("code", closed(id), 0);
}


static void
test_at_the_deadline_all_go_a_few_at_a_time(void **state)
{
    int         i;
    voice_id_t  id[5];

    (void) state;

    for (i = 0; i < 5; i++) {
        id[i] = make(501 + i, "sid");
    }

    /* one is away: nobody has to be told */
    voice_session_detach(&z, id[4], 1, 50, 100000);
    voice_drain_start(&z, VOICE_DRAIN_ORDER, 100, 2000);

    test_num("first", voice_drain_expire(&z, 2000, 2), 2);
    test_num("second", voice_drain_expire(&z, 2000, 2), 2);
    test_num("third", voice_drain_expire(&z, 2000, 2), 1);
    test_num("no more", voice_drain_expire(&z, 2000, 2), 0);

    for (i = 0; i < 4; i++) {
        test_num("code", closed(id[i]), VOICE_CLOSE_DISCONNECTED);
        voice_session_close(&z, id[i], 1, 0);
    }

    assert_null(voice_session_get(&z, id[4]));
    test_num("used", z.header->sessions_used, 0);
}


static void
test_a_voice_state_goes_with_its_session(void **state)
{
    uint8_t                  token[VOICE_TOKEN_HASH_LEN] = { 1 };
    voice_id_t               id;
    voice_state_info_t       info;
    voice_state_join_t       j = { .guild_id = 1, .channel_id = 2,
                                   .user_id = 501 };
    voice_state_change_t     change;
    voice_gateway_session_t  h;

    (void) state;

    test_err("gateway", voice_gateway_session_create(&z, 501, token, 10, &h),
             VOICE_OK);
    j.gateway = h.id;
    test_err("join", voice_state_join(&z, &j, &change), VOICE_OK);

    id = make(501, h.session_id);

    voice_drain_start(&z, VOICE_DRAIN_FLEET, 100, 2000);
    test_num("expired", voice_drain_expire(&z, 2000, 64), 1);

    test_num("code", closed(id), VOICE_CLOSE_DISCONNECTED);
    test_err("state", voice_state_get(&z, 1, 501, &info),
             VOICE_E_NOT_FOUND);
}


static void
test_probes_are_nobody_and_stay(void **state)
{
    voice_id_t             id, probe;
    voice_session_stats_t  st;

    (void) state;

    id = make(501, "sid");
    probe = make_in(VOICE_PROBE_GUILD, 7, "sid");

    voice_session_stats(&z, &st);
    test_num("participants", st.sessions, 1);
    test_num("live", st.live, 1);
    test_num("probes", st.probes, 1);
    test_num("used", z.header->probes_used, 1);

    voice_zone_lock(&z);
    voice_zone_repair(&z);
    voice_zone_unlock(&z);
    test_num("after a repair", z.header->probes_used, 1);

    voice_drain_start(&z, VOICE_DRAIN_ORDER, 100, 2000);
    test_num("expired", voice_drain_expire(&z, 2000, 64), 1);
    test_num("code", closed(id), VOICE_CLOSE_DISCONNECTED);
    test_num("code of the probe", closed(probe), 0);

    voice_session_close(&z, probe, 1, 0);
    test_num("none left", z.header->probes_used, 0);
}


static void
test_each_has_a_name(void **state)
{
    (void) state;

    assert_string_equal(voice_drain_name(VOICE_DRAIN_DIRECTIVE), "directive");
    assert_string_equal(voice_drain_name(VOICE_DRAIN_ORDER), "order");
    assert_string_equal(voice_drain_name(VOICE_DRAIN_FLEET), "fleet");
}


#define drain_test(name)                                                      \
    cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
    const struct CMUnitTest  tests[] = {
        drain_test(test_nobody_wants_it_at_first),
        drain_test(test_it_stands_until_the_last_one_takes_it_back),
        drain_test(test_said_again_it_keeps_its_begin),
        drain_test(test_a_zone_found_again_still_drains),
        drain_test(test_until_the_deadline_all_stay),
        drain_test(test_at_the_deadline_all_go_a_few_at_a_time),
        drain_test(test_a_voice_state_goes_with_its_session),
        drain_test(test_probes_are_nobody_and_stay),
        drain_test(test_each_has_a_name),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
