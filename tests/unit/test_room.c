/*
 * Copyright (C) ngx-voice contributors
 *
 * Rooms, and what their members are told: after all events were sent each
 * client knows exactly the others, and no medium comes before its sender was
 * announced.
 */


#include "test_util.h"
#include "zone_ops.h"


#define ROOM_USERS   10
#define ROOM_STEPS   30000


/* What one client knows. */
typedef struct {
    voice_id_t        id;            /* 0: not there */
    uint32_t          attach;
    int               worker;
    int               version;
    bool              live;
    uint32_t          knows[ROOM_USERS];     /* SSRC, 0: not known */
    uint32_t          speaking[ROOM_USERS];
    uint16_t          ack;
} room_client_t;


static ops_zone_t     o;
static room_client_t  client[ROOM_USERS];
static uint64_t       rnd;
static unsigned       gated, passed;         /* pairs of members seen so */


static int
setup(void **state)
{
    (void) state;

    rnd = 99;
    memset(client, 0, sizeof(client));

    return ops_setup(&o);
}


static int
teardown(void **state)
{
    (void) state;

    return ops_teardown(&o);
}


static void
identify(unsigned u, int version)
{
    bool                  replaced;
    room_client_t        *c = &client[u];
    voice_session_conf_t  conf = { .user_id = u, .guild_id = 1,
                                   .channel_id = 2, .session_id = "sid" };

    memset(c, 0, sizeof(room_client_t));

    conf.version = version;
    c->version = version;
    c->worker = u % OPS_WORKERS;

    test_err("create", voice_session_create(&o.z[c->worker], &conf, 1, &c->id,
                                            &c->attach, &replaced), VOICE_OK);
}


static void
select_protocol(unsigned u)
{
    uint8_t  secret[VOICE_KEY_LEN] = { 1 };

    test_err("select", voice_session_select(&o.z[client[u].worker],
                 client[u].id, 0, secret, NULL, 1, 1), VOICE_OK);
    client[u].live = true;
}


/* How a worker renders an event, and what the client makes of it. */

static unsigned
render(unsigned u, const voice_event_t *ev)
{
    size_t           i, n;
    voice_roster_t   list[ROOM_USERS];
    room_client_t   *c = &client[u];

    switch (ev->type) {

    case VOICE_EVENT_ROSTER:
        test_err("roster", voice_room_roster(&o.z[c->worker], c->id, ev->arg,
                                             list, ROOM_USERS, &n), VOICE_OK);
        assert_true(n < ROOM_USERS);

        for (i = 0; i < n; i++) {
            assert_true(list[i].user_id != u);
            c->knows[list[i].user_id] = list[i].ssrc;
            c->speaking[list[i].user_id] = list[i].speaking;
        }

        return (unsigned) n;

    case VOICE_EVENT_JOIN:
        assert_true(ev->user_id != u);
        c->knows[ev->user_id] = ev->ssrc;
        c->speaking[ev->user_id] = 0;
        return 1;

    case VOICE_EVENT_LEAVE:
        c->knows[ev->user_id] = 0;
        return 1;

    case VOICE_EVENT_SPEAKING:
        c->speaking[ev->user_id] = ev->arg;
        return 1;

    default:
        fail_msg("event of type %u", ev->type);
        return 0;
    }
}


static void
send_events(unsigned u, unsigned n)
{
    unsigned        count;
    voice_event_t   ev;
    room_client_t  *c = &client[u];

    while (n-- != 0 && voice_outbox_next(&o.z[c->worker], c->id, c->attach,
                                         &ev) == VOICE_OK)
    {
        count = render(u, &ev);

        test_err("number", voice_outbox_number(&o.z[c->worker], c->id,
                     c->attach, &ev, (uint16_t) count), VOICE_OK);

        if (ev.nseq != 0) {
            c->ack = voice_outbox_last(&ev);
        }

        test_err("sent", voice_outbox_sent(&o.z[c->worker], c->id, c->attach,
                                           &ev), VOICE_OK);
    }
}


static void
leave(unsigned u)
{
    voice_session_close(&o.z[client[u].worker], client[u].id,
                        client[u].attach, 0);
    memset(&client[u], 0, sizeof(room_client_t));
}


/*
 * The connection drops and comes back.  Half of the time the client has lost
 * all that came since; then it knows what it knew.
 */

static void
reconnect(unsigned u)
{
    bool             lossy;
    uint8_t          hash[VOICE_TOKEN_HASH_LEN] = { 0 };
    voice_id_t       id;
    voice_err_t      err;
    room_client_t    before = client[u];
    room_client_t   *c = &client[u];

    lossy = zone_random(&rnd) % 2;

    if (lossy) {
        send_events(u, zone_random(&rnd) % 5);
        *c = before;
    }

    if (zone_random(&rnd) % 2) {
        voice_session_detach(&o.z[c->worker], c->id, c->attach, 1, 100);
    }

    c->worker = zone_random(&rnd) % OPS_WORKERS;
    err = voice_session_resume(&o.z[c->worker], 1, u, "sid", hash, c->version,
                               c->ack != 0, c->ack, 2, &id, &c->attach);

    if (err != VOICE_OK) {
        test_err("resume", err, VOICE_E_EXPIRED);
        voice_session_close(&o.z[0], c->id, 0, 0);
        memset(c, 0, sizeof(room_client_t));
    }
}


/* Media may flow only from who is known; gate and knowledge must agree. */

static void
check_gate(unsigned u)
{
    unsigned          v;
    voice_session_t  *s, *from;

    if (client[u].id == 0 || !client[u].live) {
        return;
    }

    s = voice_session_get(&o.z[0], client[u].id);

    for (v = 0; v < ROOM_USERS; v++) {
        if (v == u || client[v].id == 0 || !client[v].live) {
            continue;
        }

        from = voice_session_get(&o.z[0], client[v].id);

        if (!voice_session_heard(s, from->announced)) {
            gated++;
            continue;
        }

        passed++;

        if (client[u].knows[v] != from->ssrc) {
            fail_msg("media of user %u would reach user %u, who knows SSRC"
                     " %u and not %u", v, u, client[u].knows[v], from->ssrc);
        }
    }
}


static void
check_complete(unsigned u)
{
    uint32_t          ssrc;
    unsigned          v;
    voice_session_t  *s, *from;

    send_events(u, UINT32_MAX);

    if (!client[u].live) {
        return;
    }

    s = voice_session_get(&o.z[0], client[u].id);

    for (v = 0; v < ROOM_USERS; v++) {
        from = client[v].live ? voice_session_get(&o.z[0], client[v].id)
                              : NULL;
        ssrc = (from != NULL && v != u) ? from->ssrc : 0;

        /* before version 8 a client may miss that somebody left */

        if (ssrc != 0 || client[u].version >= VOICE_VERSION_SEQ) {
            test_num("knows", client[u].knows[v], ssrc);
        }

        if (ssrc != 0) {
            test_num("speaking", client[u].speaking[v], from->speaking);
            test_num("heard", voice_session_heard(s, from->announced), true);
        }
    }
}


static void
step(unsigned u)
{
    if (client[u].id == 0) {
        identify(u, zone_random(&rnd) % 4 == 0 ? 4 : 8);
        return;
    }

    switch (zone_random(&rnd) % 8) {

    case 0:
        select_protocol(u);
        break;

    case 1:
        if (zone_random(&rnd) % 3 == 0) {
            leave(u);
        }
        break;

    case 2:
        reconnect(u);
        break;

    case 3:
        voice_session_speaking(&o.z[0], client[u].id, zone_random(&rnd) % 3,
                               false);
        break;

    case 4:
        voice_zone_lock(&o.z[0]);
        if (zone_random(&rnd) % 8 == 0) {
            voice_zone_repair(&o.z[0]);
        }
        voice_zone_unlock(&o.z[0]);
        break;

    default:
        send_events(u, zone_random(&rnd) % 6);
    }
}


static void
test_announcements(void **state)
{
    int       i;
    char      text[256];
    unsigned  u;

    (void) state;

    /* close to where the numbers wrap */
    o.z[0].header->announced = UINT32_MAX - 500;

    for (i = 0; i < ROOM_STEPS; i++) {
        step(zone_random(&rnd) % ROOM_USERS);

        for (u = 0; u < ROOM_USERS; u++) {
            check_gate(u);
        }

        if (i % 50 == 0) {
            for (u = 0; u < ROOM_USERS; u++) {
                if (client[u].id != 0) {
                    check_complete(u);
                }
            }
        }

        if (i % 20 == 0
            && voice_zone_verify(&o.z[0], text, sizeof(text)) != 0)
        {
            fail_msg("step %d: %s", i, text);
        }
    }

    print_message("%u pairs of members gated, %u not\n", gated, passed);
    assert_true(gated > ROOM_STEPS && passed > ROOM_STEPS);
}


static void
test_join_order(void **state)
{
    size_t          n;
    voice_event_t   ev;
    voice_roster_t  list[1];

    (void) state;

    identify(0, 8);
    identify(1, 8);

    test_err("nowhere", voice_room_roster(&o.z[0], client[0].id, 99, list, 1,
                                          &n), VOICE_OK);
    assert_int_equal(n, 0);

    select_protocol(0);
    select_protocol(1);

    test_err("a", voice_outbox_next(&o.z[0], client[0].id, 1, &ev), VOICE_OK);
    assert_int_equal(ev.type, VOICE_EVENT_ROSTER);
    test_err("a", voice_room_roster(&o.z[0], client[0].id, ev.arg, list, 1,
                                    &n), VOICE_OK);
    assert_int_equal(n, 0);                   /* the other one came later */
    test_err("a", voice_outbox_sent(&o.z[0], client[0].id, 1, &ev), VOICE_OK);

    test_err("a", voice_outbox_next(&o.z[0], client[0].id, 1, &ev), VOICE_OK);
    assert_int_equal(ev.type, VOICE_EVENT_JOIN);
    assert_int_equal(ev.user_id, 1);
    assert_int_equal(ev.ssrc, voice_session_get(&o.z[0],
                                                client[1].id)->ssrc);

    test_err("b", voice_outbox_next(&o.z[1], client[1].id, 1, &ev), VOICE_OK);
    assert_int_equal(ev.type, VOICE_EVENT_ROSTER);

    identify(2, 8);
    select_protocol(2);

    test_err("b", voice_room_roster(&o.z[0], client[1].id, ev.arg, list, 0,
                                    &n), VOICE_OK);
    assert_int_equal(n, 1);                   /* not the third one */
    test_err("stale", voice_room_roster(&o.z[0], client[1].id + (1ull << 32),
                                        1, list, 1, &n), VOICE_E_STALE);
}


static void
test_slot_reuse(void **state)
{
    int               i;
    uint64_t          version;
    voice_id_t        room;
    voice_room_t     *r, *slot;
    voice_session_t  *s;

    (void) state;

    slot = NULL;
    room = 0;
    version = 0;

    for (i = 0; i < 20; i++) {
        identify(0, 8);
        select_protocol(0);

        s = voice_session_get(&o.z[0], client[0].id);
        r = voice_room_get(&o.z[0], s->room);

        assert_non_null(r);
        assert_true(slot == NULL || r == slot);
        assert_true(s->room != room && r->version > version);
        assert_null(voice_room_get(&o.z[0], room));

        slot = r;
        room = s->room;
        version = r->version;

        if (i == 5) {
            atomic_store(&r->gen, UINT32_MAX);
            atomic_store(&s->room, voice_room_id(&o.z[0], r));
            room = s->room;
        }

        leave(0);
        assert_true(r->version > version && (r->version & 1) == 0);
        assert_null(voice_room_get(&o.z[0], room));
        assert_int_equal(r->members, 0);
    }
}


static void
test_cuts(void **state)
{
    int               i;
    voice_id_t        room;
    voice_cut_t       cut;
    voice_session_t  *s;

    (void) state;

    identify(0, 8);
    select_protocol(0);
    identify(1, 8);
    select_protocol(1);

    s = voice_session_get(&o.z[0], client[0].id);
    room = s->room;

    voice_session_flags(&o.z[0], client[0].id, VOICE_SESSION_MUTE, 0);
    test_err("silent", voice_zone_cut_take(&o.z[0], &cut), VOICE_E_NOT_FOUND);
    voice_session_flags(&o.z[0], client[0].id, 0, VOICE_SESSION_MUTE);

    s->talking = 1;
    s->last_seq = 70000;
    s->last_timestamp = 4800;

    voice_session_flags(&o.z[0], client[0].id, VOICE_SESSION_DEAF, 0);
    test_err("deaf", voice_zone_cut_take(&o.z[0], &cut), VOICE_E_NOT_FOUND);

    voice_session_flags(&o.z[0], client[0].id, VOICE_SESSION_SUPPRESS, 0);
    test_err("suppressed", voice_zone_cut_take(&o.z[1], &cut), VOICE_OK);
    assert_true(cut.room == room);
    assert_int_equal(cut.ssrc, s->ssrc);
    assert_int_equal(cut.ext_seq, 70000);
    assert_int_equal(cut.timestamp, 4800);
    assert_int_equal(s->talking, 0);
    assert_int_equal(s->floor_seq, 70000 + VOICE_OPUS_SILENCE_COUNT);

    /* a repair keeps room ids, so a cut still finds its room */

    s->talking = 1;
    leave(0);
    voice_zone_lock(&o.z[0]);
    voice_zone_repair(&o.z[0]);
    voice_zone_unlock(&o.z[0]);
    test_err("left", voice_zone_cut_take(&o.z[1], &cut), VOICE_OK);
    assert_non_null(voice_room_get(&o.z[0], cut.room));

    /* the oldest are given up */

    s = voice_session_get(&o.z[0], client[1].id);

    for (i = 0; i < VOICE_CUTS_MAX + 10; i++) {
        s->talking = 1;
        s->last_seq = i;
        voice_session_flags(&o.z[0], client[1].id, VOICE_SESSION_MUTE, 0);
        voice_session_flags(&o.z[0], client[1].id, 0, VOICE_SESSION_MUTE);
    }

    for (i = 10; i < VOICE_CUTS_MAX + 10; i++) {
        test_err("take", voice_zone_cut_take(&o.z[1], &cut), VOICE_OK);
        assert_int_equal(cut.ext_seq, i);
    }

    test_err("none", voice_zone_cut_take(&o.z[1], &cut), VOICE_E_NOT_FOUND);
}


static void
test_speaking(void **state)
{
    size_t         i;
    uint32_t       head;
    voice_event_t  ev;

    static const struct {
        const char  *name;
        uint32_t     mask;
        bool         force;
        bool         told;
    } cases[] = {
        { "new", 1, false, true },
        { "same", 1, false, false },
        { "forced", 1, true, true },
        { "end", 0, false, true }
    };

    (void) state;

    identify(0, 8);
    identify(1, 8);
    test_err("not in", voice_session_speaking(&o.z[0], client[0].id, 1, true),
             VOICE_E_STATE);

    select_protocol(0);
    select_protocol(1);
    send_events(0, 99);
    send_events(1, 99);

    for (i = 0; i < test_n(cases); i++) {
        head = voice_session_get(&o.z[0], client[1].id)->outbox.head;

        test_err(cases[i].name, voice_session_speaking(&o.z[0], client[0].id,
                 cases[i].mask, cases[i].force), VOICE_OK);
        test_num(cases[i].name,
                 voice_session_get(&o.z[0], client[1].id)->outbox.head - head,
                 cases[i].told);

        if (cases[i].told) {
            test_err(cases[i].name, voice_outbox_next(&o.z[1], client[1].id,
                     1, &ev), VOICE_OK);
            test_num(cases[i].name, ev.type, VOICE_EVENT_SPEAKING);
            test_num(cases[i].name, ev.arg, cases[i].mask);
            send_events(1, 99);
        }
    }

    test_err("own", voice_outbox_next(&o.z[0], client[0].id, 1, &ev),
             VOICE_E_NOT_FOUND);
}


#define room_test(f)  cmocka_unit_test_setup_teardown(f, setup, teardown)


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        room_test(test_join_order),
        room_test(test_slot_reuse),
        room_test(test_cuts),
        room_test(test_speaking),
        room_test(test_announcements),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
