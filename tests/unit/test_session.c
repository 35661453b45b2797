/*
 * Copyright (C) ngx-voice contributors
 */


#include "test_util.h"
#include "zone_ops.h"

#include <sodium.h>


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


static voice_id_t
make(int worker, uint64_t user, uint32_t *attach, bool *replaced)
{
    voice_id_t            id;
    voice_session_conf_t  c = {
        .user_id = user, .guild_id = 1, .channel_id = 2,
        .permissions = 0x300000, .session_id = "sid", .version = 8,
        .token_hash = { (uint8_t) user }
    };

    test_err("create", voice_session_create(&o.z[worker], &c, 5, &id, attach,
                                            replaced), VOICE_OK);
    return id;
}


static voice_id_t
make_live(int worker, uint64_t user)
{
    bool        replaced;
    uint8_t     secret[VOICE_KEY_LEN] = { (uint8_t) user, 1 };
    uint32_t    attach;
    voice_id_t  id;

    id = make(worker, user, &attach, &replaced);
    test_err("select", voice_session_select(&o.z[worker], id, 2, secret, NULL,
                                            10, 5), VOICE_OK);
    return id;
}


/* The type of the next event of a session's websocket; it counts as sent. */

static int
event(int worker, voice_id_t id, uint32_t attach, voice_event_t *ev)
{
    if (voice_outbox_next(&o.z[worker], id, attach, ev) != VOICE_OK) {
        return 0;
    }

    test_err("sent", voice_outbox_sent(&o.z[worker], id, attach, ev),
             VOICE_OK);

    return ev->type;
}


static voice_err_t
resume(int worker, uint64_t user, const char *sid, int version, bool has_ack,
    uint16_t ack, uint64_t now, voice_id_t *id, uint32_t *attach)
{
    uint8_t  hash[VOICE_TOKEN_HASH_LEN] = { (uint8_t) user };

    return voice_session_resume(&o.z[worker], 1, user, sid, hash, version,
                                has_ack, ack, now, id, attach);
}


static void
test_create(void **state)
{
    bool                   replaced;
    char                   sid[VOICE_SESSION_ID_MAX + 2];
    uint32_t               attach;
    voice_id_t             id;
    voice_zone_t           nobody;
    voice_session_t       *s;
    voice_session_conf_t   c = { .user_id = 1, .guild_id = 1,
                                 .session_id = sid, .version = 8 };

    (void) state;

    id = make(1, 9, &attach, &replaced);
    s = voice_session_get(&o.z[0], id);

    assert_false(replaced);
    assert_non_null(s);
    assert_int_equal(voice_session_id(&o.z[2], s), id);
    assert_int_equal(s->state, VOICE_SESSION_READY);
    assert_int_equal(s->worker, 1);
    assert_int_equal(s->attach, attach);
    assert_int_equal(s->permissions, 0x300000);
    assert_int_equal(s->key, 0);
    assert_int_equal(s->room, 0);

    memset(sid, 'a', sizeof(sid));
    sid[sizeof(sid) - 1] = '\0';
    test_err("long id", voice_session_create(&o.z[0], &c, 5, &id, &attach,
                                             &replaced), VOICE_E_LENGTH);
    sid[VOICE_SESSION_ID_MAX] = '\0';
    test_err("longest id", voice_session_create(&o.z[0], &c, 5, &id, &attach,
                                                &replaced), VOICE_OK);

    nobody = o.z[0];
    nobody.worker = VOICE_WORKER_NONE;
    c.user_id = 2;
    test_err("no worker", voice_session_create(&nobody, &c, 5, &id, &attach,
                                               &replaced), VOICE_E_STATE);
}


static void
test_full(void **state)
{
    bool                  replaced;
    unsigned              i;
    uint32_t              attach, old;
    voice_id_t            id, away;
    voice_session_conf_t  c = { .guild_id = 1, .session_id = "s",
                                .version = 8 };

    (void) state;

    away = make(0, 1, &old, &replaced);

    for (i = 2; i <= OPS_SESSIONS; i++) {
        make(0, i, &attach, &replaced);
    }

    c.user_id = 1000;
    test_err("full", voice_session_create(&o.z[0], &c, 1, &id, &attach,
                                          &replaced), VOICE_E_FULL);

    /* who is away makes room for himself */

    voice_session_detach(&o.z[0], away, old, 1, 1000);
    c.user_id = 1;
    test_err("again", voice_session_create(&o.z[0], &c, 1, &id, &attach,
                                           &replaced), VOICE_OK);
    assert_true(replaced && id != away);
}


static void
test_ssrc(void **state)
{
    int               i;
    uint32_t          ssrc, former;
    voice_id_t        id;
    voice_session_t  *s;

    (void) state;

    former = 0;

    for (i = 0; i < 100; i++) {
        id = make_live(0, 1);
        s = voice_session_get(&o.z[0], id);
        ssrc = s->ssrc;

        assert_true(ssrc % VOICE_SSRC_BLOCK == 0 && ssrc < 1u << 31);
        assert_ptr_equal(voice_session_by_ssrc(&o.z[1], ssrc), s);
        assert_ptr_equal(voice_session_by_ssrc(&o.z[1],
                                               ssrc + VOICE_SSRC_BLOCK - 1),
                         s);
        assert_null(voice_session_by_ssrc(&o.z[1], ssrc + VOICE_SSRC_BLOCK));
        assert_null(voice_session_by_ssrc(&o.z[1], ssrc - 1));
        assert_true(ssrc != former);
        assert_null(voice_session_by_ssrc(&o.z[1], former));

        former = ssrc;
        voice_session_close(&o.z[0], id, 1, 0);
        assert_null(voice_session_get(&o.z[0], id));
        assert_null(voice_session_by_ssrc(&o.z[1], ssrc));
    }

    assert_null(voice_session_by_ssrc(&o.z[0], 0));
    assert_null(voice_session_by_ssrc(&o.z[0], 7));
    assert_null(voice_session_by_ssrc(&o.z[0], UINT32_MAX));
}


static void
test_generation_wraps(void **state)
{
    uint32_t          attach, i;
    voice_id_t        id, last;
    bool              replaced;
    voice_session_t  *s;

    (void) state;

    id = make(0, 1, &attach, &replaced);
    s = voice_session_get(&o.z[0], id);
    voice_session_close(&o.z[0], id, 0, 0);

    atomic_store(&s->gen, UINT32_MAX - 1);
    last = 0;

    for (i = 0; i < 4; i++) {
        id = make(0, 1, &attach, &replaced);
        assert_ptr_equal(voice_session_get(&o.z[0], id), s);
        assert_true(voice_id_gen(id) != 0 && id != last);
        assert_null(voice_session_get(&o.z[0], last));
        last = id;
        voice_session_close(&o.z[0], id, 0, 0);
    }

    assert_null(voice_session_get(&o.z[0], 0));
    assert_null(voice_session_get(&o.z[0], voice_id_make(1, OPS_SESSIONS)));
}


static void
test_replace(void **state)
{
    bool              replaced;
    uint32_t          attach;
    voice_id_t        old, id, other;
    voice_event_t     ev;
    voice_session_t  *s;

    (void) state;

    other = make_live(2, 8);
    old = make_live(0, 9);

    assert_int_equal(event(2, other, 1, &ev), VOICE_EVENT_ROSTER);
    assert_int_equal(event(2, other, 1, &ev), VOICE_EVENT_JOIN);
    assert_int_equal(event(0, old, 1, &ev), VOICE_EVENT_ROSTER);

    id = make(1, 9, &attach, &replaced);
    assert_true(replaced);

    s = voice_session_get(&o.z[0], old);
    assert_int_equal(s->state, VOICE_SESSION_CLOSING);
    assert_int_equal(s->key, 0);
    assert_true(sodium_is_zero(s->secret[0], sizeof(s->secret)));

    assert_int_equal(event(2, other, 1, &ev), VOICE_EVENT_LEAVE);
    assert_int_equal(ev.user_id, 9);
    assert_int_equal(event(2, other, 1, &ev), 0);

    assert_int_equal(event(0, old, 1, &ev), VOICE_EVENT_CLOSE);
    assert_int_equal(ev.arg, VOICE_CLOSE_SESSION_INVALID);
    assert_int_equal(event(0, old, 1, &ev), 0);

    /* the end of the old websocket does nothing to the new session */

    voice_session_close(&o.z[0], old, 1, 0);
    assert_null(voice_session_get(&o.z[0], old));
    voice_session_close(&o.z[0], old, 1, 0);
    assert_int_equal(voice_session_get(&o.z[0], id)->state,
                     VOICE_SESSION_READY);
}


static void
test_close(void **state)
{
    voice_id_t     id, away;
    voice_event_t  ev;

    (void) state;

    id = make_live(0, 1);
    away = make_live(0, 2);

    voice_session_detach(&o.z[0], away, 1, 1, 1000);
    voice_session_close(&o.z[1], away, 0, VOICE_CLOSE_DISCONNECTED);
    assert_null(voice_session_get(&o.z[0], away));      /* nobody to tell */

    voice_session_close(&o.z[1], id, 7, VOICE_CLOSE_DISCONNECTED);
    assert_int_equal(voice_session_get(&o.z[0], id)->state,
                     VOICE_SESSION_LIVE);               /* another websocket */

    voice_session_close(&o.z[1], id, 0, VOICE_CLOSE_DISCONNECTED);
    voice_session_close(&o.z[1], id, 0, VOICE_CLOSE_SESSION_TIMEOUT);

    assert_int_equal(event(0, id, 1, &ev), VOICE_EVENT_ROSTER);
    assert_int_equal(event(0, id, 1, &ev), VOICE_EVENT_JOIN);
    assert_int_equal(event(0, id, 1, &ev), VOICE_EVENT_LEAVE);
    assert_int_equal(event(0, id, 1, &ev), VOICE_EVENT_CLOSE);
    assert_int_equal(ev.arg, VOICE_CLOSE_DISCONNECTED);
    assert_int_equal(event(0, id, 1, &ev), 0);

    voice_session_detach(&o.z[0], id, 1, 1, 1000);      /* it went first */
    assert_null(voice_session_get(&o.z[0], id));
}


static void
test_resume(void **state)
{
    uint8_t           hash[VOICE_TOKEN_HASH_LEN] = { 2 };
    uint32_t          attach;
    voice_id_t        id, got;
    voice_event_t     ev;
    voice_session_t  *s;

    (void) state;

    id = make_live(0, 1);
    s = voice_session_get(&o.z[0], id);

    test_err("user", resume(1, 2, "sid", 8, false, 0, 1, &got, &attach),
             VOICE_E_NOT_FOUND);
    test_err("session", resume(1, 1, "other", 8, false, 0, 1, &got, &attach),
             VOICE_E_NOT_FOUND);
    test_err("token", voice_session_resume(&o.z[1], 1, 1, "sid", hash, 8,
                                           false, 0, 1, &got, &attach),
             VOICE_E_AUTH);

    /* it may come before the old websocket is known to be dead */

    test_err("take over", resume(1, 1, "sid", 8, false, 0, 1, &got, &attach),
             VOICE_OK);
    assert_int_equal(got, id);
    assert_int_equal(attach, 2);
    assert_int_equal(s->worker, 1);
    test_err("old socket", voice_outbox_next(&o.z[0], id, 1, &ev),
             VOICE_E_STALE);
    voice_session_detach(&o.z[0], id, 1, 1, 1000);
    assert_int_equal(s->worker, 1);

    voice_session_detach(&o.z[1], id, 2, 100, 50);
    assert_int_equal(s->deadline, 150);
    test_err("too late", resume(1, 1, "sid", 8, false, 0, 150, &got, &attach),
             VOICE_E_NOT_FOUND);
    test_err("in time", resume(2, 1, "sid", 8, false, 0, 149, &got, &attach),
             VOICE_OK);
    assert_int_equal(s->deadline, 0);
    assert_int_equal(voice_session_expire(&o.z[0], 9999), 0);

    /* what is to be sent again is sent without anything new happening */

    test_err("wake", voice_outbox_dirty(&o.z[2], &got), VOICE_OK);
    assert_int_equal(got, id);
}


/* Without sequence numbers: what is unsent, and then the roster anew. */

static void
test_resume_old(void **state)
{
    uint32_t          attach;
    voice_id_t        id, other, got;
    voice_event_t     ev;
    voice_session_t  *s;

    (void) state;

    id = make_live(0, 1);
    other = make_live(0, 2);
    s = voice_session_get(&o.z[0], id);

    while (event(0, id, 1, &ev) != 0) { /* void */ }

    assert_true(voice_session_heard(s, o.z[0].header->announced));

    voice_session_detach(&o.z[0], id, 1, 1, 1000);
    voice_session_close(&o.z[0], other, 1, 0);
    other = make_live(0, 3);

    test_err("resume", resume(1, 1, "sid", 4, false, 0, 5, &got, &attach),
             VOICE_OK);

    assert_int_equal(event(1, id, attach, &ev), VOICE_EVENT_LEAVE);
    assert_int_equal(event(1, id, attach, &ev), VOICE_EVENT_JOIN);
    assert_false(voice_session_heard(s, voice_session_get(&o.z[0],
                                                          other)->announced));
    assert_int_equal(event(1, id, attach, &ev), VOICE_EVENT_ROSTER);
    assert_int_equal(event(1, id, attach, &ev), 0);
    assert_true(voice_session_heard(s, voice_session_get(&o.z[0],
                                                         other)->announced));
}


static void
test_candidates(void **state)
{
    static const struct {
        const char  *name;
        int          asked[8];        /* hosts, 0 ends */
        int          hint;
        int          bound;
    } cases[] = {
        { "none", { 0 }, 0, 0 },
        { "none, hint", { 0 }, 3, 0 },
        { "one", { 1, 0 }, 0, 1 },
        { "last", { 1, 2, 3, 0 }, 0, 3 },
        { "hint", { 1, 2, 3, 0 }, 1, 1 },
        { "unknown hint", { 1, 2, 3, 0 }, 9, 3 },
        { "again moves to the end", { 1, 2, 1, 0 }, 0, 1 },
        { "the same twice", { 1, 1, 1, 2, 0 }, 1, 1 },
        { "oldest falls out", { 1, 2, 3, 4, 5, 0 }, 1, 5 },
        { "second stays", { 1, 2, 3, 4, 5, 0 }, 2, 2 },
    };

    int               k;
    bool              replaced;
    size_t            i;
    uint8_t           secret[VOICE_KEY_LEN] = { 1 };
    uint32_t          attach;
    voice_id_t        id;
    voice_addr_t      addr, hint, remote, local;
    voice_session_t  *s;

    (void) state;

    for (i = 0; i < test_n(cases); i++) {
        id = make(0, 50 + i, &attach, &replaced);
        s = voice_session_get(&o.z[0], id);

        for (k = 0; cases[i].asked[k] != 0; k++) {
            addr = zone_address(cases[i].asked[k], 10 + i);
            local = zone_address(1000 + cases[i].asked[k], 1);
            test_err(cases[i].name, voice_session_candidate(&o.z[0], id,
                         &addr, &local), VOICE_OK);
        }

        assert_false(voice_route_address(s, &remote, &local));
        hint = zone_address(cases[i].hint, 10 + i);

        test_err(cases[i].name, voice_session_select(&o.z[0], id, 0, secret,
                     cases[i].hint != 0 ? &hint : NULL, 1, 1), VOICE_OK);
        test_num(cases[i].name, voice_route_address(s, &remote, &local),
                 cases[i].bound != 0);

        if (cases[i].bound != 0) {
            addr = zone_address(cases[i].bound, 10 + i);
            assert_true(voice_addr_equal(&remote, &addr));
            addr = zone_address(1000 + cases[i].bound, 1);
            assert_true(voice_addr_equal(&local, &addr));
        }

        test_err(cases[i].name, voice_session_candidate(&o.z[0], id, &addr,
                                                        &addr),
                 VOICE_E_STATE);
    }
}


static void
test_roaming(void **state)
{
    int               i;
    voice_id_t        a, b;
    voice_addr_t      addr, last, local = zone_address(1, 1), remote;
    voice_session_t  *s;

    (void) state;

    a = make_live(0, 1);
    b = make_live(0, 2);
    s = voice_session_get(&o.z[0], a);
    last = zone_address(100, 1);

    for (i = 0; i < 50; i++) {
        addr = zone_address(100 + i, 1);
        test_err("bind", voice_session_bind(&o.z[1], a, &addr, &local),
                 VOICE_OK);
        assert_ptr_equal(voice_route_by_address(&o.z[2], &addr), s);
        assert_true(voice_route_address(s, &remote, &local)
                    && voice_addr_equal(&remote, &addr));

        if (i != 0) {
            assert_null(voice_route_by_address(&o.z[2], &last));
        }

        last = addr;
    }

    /* two behind one address: whoever is left is found */

    test_err("bind", voice_session_bind(&o.z[1], b, &last, &local), VOICE_OK);
    voice_session_close(&o.z[0], a, 1, 0);
    assert_ptr_equal(voice_route_by_address(&o.z[2], &last),
                     voice_session_get(&o.z[0], b));

    voice_session_close(&o.z[0], b, 1, 0);
    assert_null(voice_route_by_address(&o.z[2], &last));
}


static void
test_rekey(void **state)
{
    uint8_t           secret[VOICE_KEY_LEN] = { 77 }, got[VOICE_KEY_LEN];
    uint32_t          epoch, next, from, to;
    voice_id_t        id;
    voice_mode_t      mode;
    voice_event_t     ev;
    voice_session_t  *s;

    (void) state;

    id = make_live(0, 1);
    s = voice_session_get(&o.z[0], id);
    assert_int_equal(event(0, id, 1, &ev), VOICE_EVENT_ROSTER);

    test_err("key", voice_route_key(s, &epoch, &mode, got), VOICE_OK);
    assert_int_equal(mode, 2);
    assert_int_equal(s->hold_until, 0);

    voice_session_want_key(&o.z[1], id, epoch + 1);     /* not this one */
    voice_session_want_key(&o.z[1], id, epoch);
    voice_session_want_key(&o.z[1], id, epoch);
    assert_int_equal(event(0, id, 1, &ev), VOICE_EVENT_REKEY);
    assert_int_equal(ev.arg, epoch);
    assert_int_equal(event(0, id, 1, &ev), 0);

    test_err("select", voice_session_select(&o.z[0], id, 3, secret, NULL, 100,
                                            40), VOICE_OK);
    test_err("key", voice_route_key(s, &next, &mode, got), VOICE_OK);
    assert_int_equal(next, epoch + 1);
    assert_int_equal(mode, 3);
    assert_memory_equal(got, secret, VOICE_KEY_LEN);
    assert_int_equal(s->hold_until, 140);
    assert_int_equal(event(0, id, 1, &ev), 0);          /* no second JOIN */

    test_err("old epoch", voice_route_nonces(s, epoch, &from, &to),
             VOICE_E_STALE);
    test_err("new epoch", voice_route_nonces(s, next, &from, &to), VOICE_OK);
    assert_int_equal(from, 0);

    voice_session_want_key(&o.z[1], id, next);
    assert_int_equal(event(0, id, 1, &ev), VOICE_EVENT_REKEY);
}


/*
 * A relay that still holds the key of a slot's former owner must not get
 * nonces that belong to the new one's.
 */

static void
test_epochs_go_on(void **state)
{
    uint8_t           got[VOICE_KEY_LEN];
    uint32_t          epoch, last, from, to, bound;
    unsigned          i;
    voice_id_t        id;
    voice_addr_t      addr = zone_address(3, 3);
    voice_mode_t      mode;
    voice_session_t  *s, *slot;

    (void) state;

    last = 0;
    bound = 0;
    slot = NULL;

    for (i = 0; i < 20; i++) {
        id = make_live(0, 1);
        s = voice_session_get(&o.z[0], id);
        assert_true(slot == NULL || s == slot);
        slot = s;

        test_err("key", voice_route_key(s, &epoch, &mode, got), VOICE_OK);
        assert_true(epoch > last);

        if (last != 0) {
            test_err("old", voice_route_nonces(s, last, &from, &to),
                     VOICE_E_STALE);
        }

        test_err("bind", voice_session_bind(&o.z[0], id, &addr, &addr),
                 VOICE_OK);
        assert_true(s->bound > bound);

        last = epoch;
        bound = s->bound;
        voice_session_close(&o.z[0], id, 0, 0);

        test_err("closed", voice_route_key(s, &epoch, &mode, got),
                 VOICE_E_STATE);
        test_err("closed", voice_route_nonces(s, last, &from, &to),
                 VOICE_E_STALE);
    }
}


static void
test_counters_wrap(void **state)
{
    uint8_t           secret[VOICE_KEY_LEN] = { 5 };
    uint32_t          i, last;
    voice_id_t        id;
    voice_addr_t      addr = zone_address(3, 3);
    voice_session_t  *s;

    (void) state;

    id = make_live(0, 1);
    s = voice_session_get(&o.z[0], id);

    /* parities stay as they are: the slots in use don't move */

    atomic_store(&s->key, UINT32_MAX - 2);
    s->key_last = UINT32_MAX - 2;
    atomic_store(&s->nonce, (uint64_t) (UINT32_MAX - 2) << 32);
    memcpy(s->secret[(UINT32_MAX - 2) & 1], secret, VOICE_KEY_LEN);
    memset(s->secret[(UINT32_MAX - 1) & 1], 0, VOICE_KEY_LEN);

    for (i = 0; i < 6; i++) {
        last = s->key;
        test_err("select", voice_session_select(&o.z[0], id, 1, secret, NULL,
                                                1, 1), VOICE_OK);
        assert_true(s->key != 0 && ((s->key ^ last) & 1));
        test_err("bind", voice_session_bind(&o.z[0], id, &addr, &addr),
                 VOICE_OK);

        if (i == 0) {
            s->bound_last = UINT32_MAX - 1;
            atomic_store(&s->bound, UINT32_MAX - 1);
            s->remote[0] = addr;
            s->local[0] = addr;
        }

        assert_true(s->bound != 0);
    }
}


static void
test_stats(void **state)
{
    bool                   replaced;
    uint32_t               attach;
    voice_id_t             id;
    voice_addr_t           addr = zone_address(1, 1);
    voice_session_stats_t  st;

    (void) state;

    make(0, 1, &attach, &replaced);
    id = make_live(0, 2);
    make_live(1, 3);
    voice_session_bind(&o.z[0], id, &addr, &addr);
    voice_session_detach(&o.z[0], id, 1, 1, 10);

    voice_session_stats(&o.z[2], &st);

    assert_int_equal(st.sessions, 3);
    assert_int_equal(st.live, 2);
    assert_int_equal(st.detached, 1);
    assert_int_equal(st.bound, 1);
    assert_int_equal(st.rooms, 1);
    assert_int_equal(st.capacity, OPS_SESSIONS);
    assert_int_equal(st.by_mode[2], 2);
}


#define session_test(f)  cmocka_unit_test_setup_teardown(f, setup, teardown)


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        session_test(test_create),
        session_test(test_full),
        session_test(test_ssrc),
        session_test(test_generation_wraps),
        session_test(test_replace),
        session_test(test_close),
        session_test(test_resume),
        session_test(test_resume_old),
        session_test(test_candidates),
        session_test(test_roaming),
        session_test(test_rekey),
        session_test(test_epochs_go_on),
        session_test(test_counters_wrap),
        session_test(test_stats),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
