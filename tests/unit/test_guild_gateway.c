/*
 * Copyright (C) ngx-voice contributors
 *
 * The log of the guild service and gateway sessions.
 */


#include "test_util.h"
#include "voice_guild_internal.h"
#include "zone_ops.h"


#define SESSIONS  64


typedef struct {
    voice_zone_t   z[2];         /* two workers */
    void          *mem;
    uint8_t        token[VOICE_TOKEN_HASH_LEN];
} guild_t;


static int
setup(void **state)
{
    int             w;
    size_t          size = voice_zone_size(SESSIONS);
    static guild_t  t;

    memset(&t, 0, sizeof(t));
    t.mem = zone_memory(size);
    t.token[0] = 42;

    for (w = 0; w < 2; w++) {
        test_err("zone", w == 0
                 ? voice_zone_format(&t.z[0], t.mem, size, SESSIONS, "node")
                 : voice_zone_attach(&t.z[1], t.mem, size, SESSIONS),
                 VOICE_OK);
        voice_worker_register(&t.z[w], w + 3, 100 + w, "w", 1, 1000);
    }

    *state = &t;

    return 0;
}


static int
teardown(void **state)
{
    char      text[256];
    guild_t  *t = *state;

    if (voice_zone_verify(&t->z[0], text, sizeof(text)) != 0) {
        fail_msg("%s", text);
    }

    munmap(t->mem, voice_zone_size(SESSIONS));

    return 0;
}


static voice_gateway_session_t
make(guild_t *t, int w, uint64_t user)
{
    voice_gateway_session_t  h;

    memset(&h, 0xff, sizeof(h));
    test_err("create", voice_gateway_session_create(&t->z[w], user, t->token,
                                                    10, &h), VOICE_OK);
    return h;
}


static void
join(voice_zone_t *z, const voice_gateway_session_t *h, uint64_t guild,
    uint64_t user)
{
    voice_state_join_t    j = { .guild_id = guild, .channel_id = 20,
                                .user_id = user, .gateway = h->id };
    voice_state_change_t  change;

    test_err("join", voice_state_join(z, &j, &change), VOICE_OK);
}


static voice_err_t
resume(guild_t *t, int w, const voice_gateway_session_t *h, uint64_t seq,
    uint64_t now, voice_gateway_session_t *got, uint64_t *replay, size_t *n)
{
    return voice_gateway_session_resume(&t->z[w], h->session_id, t->token,
                                        seq, now, got, replay, n);
}


static void
test_size(void **state)
{
    size_t  a, b, one;

    (void) state;

    one = voice_zone_session_size();
    a = voice_zone_size(16384);
    b = voice_zone_size(32768);

    assert_true(sizeof(voice_session_t) + sizeof(voice_state_t)
                + sizeof(voice_gateway_record_t) < 8192);
    assert_true(one < 8192);

    /* the indexes are half full there, and a quarter at worst */

    test_num("a zone twice as large", (b - a) / 16384,
             one - 6 * 2 * sizeof(uint32_t));
}


static void
test_layout(void **state)
{
    guild_t       *t = *state;
    size_t         size = voice_zone_size(SESSIONS);
    voice_zone_t   z;

    t->z[0].header->layout = 1;
    test_err("former layout", voice_zone_attach(&z, t->mem, size, SESSIONS),
             VOICE_E_FORMAT);

    t->z[0].header->layout = VOICE_ZONE_LAYOUT;
    test_err("this layout", voice_zone_attach(&z, t->mem, size, SESSIONS),
             VOICE_OK);

    t->z[0].header->record_size--;
    test_err("other records", voice_zone_attach(&z, t->mem, size, SESSIONS),
             VOICE_E_FORMAT);

    t->z[0].header->record_size++;
}


static void
test_log_read(void **state)
{
    guild_t            *t = *state;
    size_t              n;
    unsigned            i;
    uint64_t            next;
    voice_log_event_t   list[4];

    test_num("first", voice_log_next(&t->z[0]), 1);

    next = 1;
    n = 9;
    test_err("empty", voice_log_read(&t->z[0], &next, list, 4, &n), VOICE_OK);
    test_num("empty", n, 0);
    test_num("empty", next, 1);

    for (i = 1; i <= 6; i++) {
        test_err("append", voice_log_guild(&t->z[0], i % 2 ? VOICE_LOG_GUILD
                 : VOICE_LOG_GUILD_DELETE, 70 + i), VOICE_OK);
    }

    test_err("first ones", voice_log_read(&t->z[1], &next, list, 4, &n),
             VOICE_OK);
    test_num("first ones", n, 4);
    test_num("first ones", next, 5);

    for (i = 0; i < 4; i++) {
        test_num("number", list[i].number, i + 1);
        test_num("guild", list[i].state.guild_id, 71 + i);
        test_num("type", list[i].type, i % 2 ? VOICE_LOG_GUILD_DELETE
                                             : VOICE_LOG_GUILD);
        test_num("gateway", list[i].gateway, 0);
    }

    test_err("the rest", voice_log_read(&t->z[1], &next, list, 4, &n),
             VOICE_OK);
    test_num("the rest", n, 2);
    test_num("the rest", next, 7);
    test_num("the rest", list[1].number, 6);

    next = 3;
    test_err("a single one", voice_log_read(&t->z[0], &next, list, 1, &n),
             VOICE_OK);
    test_num("a single one", list[0].state.guild_id, 73);

    next = 8;
    test_err("not yet", voice_log_read(&t->z[0], &next, list, 4, &n),
             VOICE_E_EXPIRED);
    test_num("not yet", next, 8);

    next = 0;
    test_err("never", voice_log_read(&t->z[0], &next, list, 4, &n),
             VOICE_E_EXPIRED);

    test_err("type", voice_log_guild(&t->z[0], VOICE_LOG_STATE, 1),
             VOICE_E_RANGE);
    test_num("type", voice_log_next(&t->z[0]), 7);
}


static void
test_log_wrap(void **state)
{
    guild_t                  *t = *state;
    size_t                    n;
    unsigned                  i;
    uint64_t                  next, replay[VOICE_GATEWAY_DISPATCHES];
    voice_log_event_t         ev;
    voice_gateway_session_t   h = make(t, 0, 5), got;

    for (i = 0; i < VOICE_LOG_EVENTS; i++) {
        voice_log_guild(&t->z[0], VOICE_LOG_GUILD, i);
    }

    next = 1;
    test_err("oldest", voice_log_read(&t->z[0], &next, &ev, 1, &n),
             VOICE_OK);
    test_num("oldest", ev.state.guild_id, 0);

    voice_gateway_session_detach(&t->z[0], &h, 10, 1000);
    test_err("all is there", resume(t, 1, &h, 0, 20, &got, replay, &n),
             VOICE_OK);
    test_num("all is there", got.next, 1);

    voice_gateway_session_detach(&t->z[1], &got, 10, 1000);
    voice_log_guild(&t->z[0], VOICE_LOG_GUILD, 9);

    next = 1;
    test_err("gone", voice_log_read(&t->z[0], &next, &ev, 1, &n),
             VOICE_E_EXPIRED);
    test_num("gone", next, 1);
    test_err("gone", resume(t, 1, &h, 0, 20, &got, replay, &n),
             VOICE_E_EXPIRED);
}


static void
test_log_wrap_dispatches(void **state)
{
    guild_t                  *t = *state;
    size_t                    n;
    unsigned                  i;
    uint64_t                  seq;
    uint64_t                  replay[VOICE_GATEWAY_DISPATCHES];
    voice_gateway_session_t   h = make(t, 0, 5), got;

    voice_log_guild(&t->z[0], VOICE_LOG_GUILD, 1);
    voice_log_guild(&t->z[0], VOICE_LOG_GUILD, 2);

    for (i = 1; i <= 2; i++) {
        test_err("dispatch", voice_gateway_session_dispatched(&t->z[0], &h, i,
                                                              &seq),
                 VOICE_OK);
    }

    for (i = 0; i < VOICE_LOG_EVENTS - 1; i++) {
        voice_log_guild(&t->z[0], VOICE_LOG_GUILD, i);
    }

    test_err("seen", voice_gateway_session_seen(&t->z[0], &h,
                                                voice_log_next(&t->z[0])),
             VOICE_OK);
    voice_gateway_session_detach(&t->z[0], &h, 10, 1000);

    /* the second is the log's oldest now */

    test_err("missed what is gone", resume(t, 1, &h, 0, 20, &got, replay,
                                           &n), VOICE_E_EXPIRED);
    test_err("missed the oldest", resume(t, 1, &h, 1, 20, &got, replay, &n),
             VOICE_OK);
    test_num("missed the oldest", n, 1);
    test_num("missed the oldest", replay[0], 2);
}


/* A user's sessions are bounded: the one that was left first makes room. */

static void
test_limit(void **state)
{
    size_t                    n;
    unsigned                  i;
    guild_t                  *t = *state;
    uint64_t                  replay[VOICE_GATEWAY_DISPATCHES];
    voice_gateway_session_t   h[4], got;

    for (i = 0; i < 4; i++) {
        test_err("room", voice_gateway_session_limit(&t->z[0], 500, 4),
                 VOICE_OK);
        h[i] = make(t, i % 2, 500);
        (void) make(t, 0, 600 + i);
    }

    test_err("all connected", voice_gateway_session_limit(&t->z[0], 500, 4),
             VOICE_E_FULL);
    test_err("another user", voice_gateway_session_limit(&t->z[0], 501, 4),
             VOICE_OK);

    for (i = 0; i < 60; i++) {
        join(&t->z[0], &h[2], 100 + i, 500);
    }

    voice_gateway_session_detach(&t->z[0], &h[2], 20, 100);
    voice_gateway_session_detach(&t->z[1], &h[1], 21, 100);

    test_err("room for one", voice_gateway_session_limit(&t->z[1], 500, 4),
             VOICE_OK);
    test_err("the first that left is over", resume(t, 0, &h[2], 0, 30, &got,
                                                   replay, &n),
             VOICE_E_NOT_FOUND);
    test_num("with its voice states",
             voice_state_count(&t->z[0], 159, 20), 0);

    (void) make(t, 1, 500);

    test_err("room for one", voice_gateway_session_limit(&t->z[1], 500, 4),
             VOICE_OK);
    test_err("then the next", resume(t, 0, &h[1], 0, 30, &got, replay, &n),
             VOICE_E_NOT_FOUND);

    (void) make(t, 1, 500);

    test_err("all connected", voice_gateway_session_limit(&t->z[0], 500, 4),
             VOICE_E_FULL);
}


static void
test_identify(void **state)
{
    unsigned                 i, forgotten;
    guild_t                 *t = *state;
    uint64_t                 user;
    voice_rate_left_t        left;
    voice_identify_limit_t   limit = { voice_rate_limit(1, 5000, 1),
                                       voice_rate_limit(3, 86400000, 3) };

    voice_identify_look(&t->z[0], 500, &limit, 1000, &left);
    test_num("nothing yet", left.remaining, 3);
    test_num("nothing yet", left.reset, 0);

    for (i = 0; i < 3; i++) {
        test_err("one", voice_identify_take(&t->z[i % 2], 500, &limit,
                                            1000 + i * 5000, &left), VOICE_OK);
        test_num("left", left.remaining, 2 - i);
        test_err("too soon, whichever process",
                 voice_identify_take(&t->z[(i + 1) % 2], 500, &limit,
                                     5999 + i * 5000, &left), VOICE_AGAIN);
        test_num("took none", left.remaining, 2 - i);
        test_err("another user", voice_identify_take(&t->z[0], 501 + i,
                                                     &limit, 1000, &left),
                 VOICE_OK);
    }

    test_err("three a day", voice_identify_take(&t->z[0], 500, &limit, 30000,
                                                &left), VOICE_AGAIN);
    test_num("retry", left.retry, 28800000 - 29000);

    voice_identify_look(&t->z[1], 500, &limit, 30000, &left);
    test_num("look", left.remaining, 0);
    test_num("look", left.reset, 86400000 - 29000);

    test_err("then one more", voice_identify_take(&t->z[0], 500, &limit,
                                                  1000 + 28800000, &left),
             VOICE_OK);

    /* of many those are kept that have used up most */

    for (user = 1000; user < 1000 + 2 * VOICE_IDENTIFIES; user++) {
        test_err("many", voice_identify_take(&t->z[0], user, &limit,
                                             28900000, &left), VOICE_OK);
    }

    forgotten = 0;

    for (user = 1000; user < 1000 + 2 * VOICE_IDENTIFIES; user++) {
        voice_identify_look(&t->z[0], user, &limit, 28900000, &left);
        forgotten += (left.remaining == 3);
    }

    assert_in_range(forgotten, 0, VOICE_IDENTIFIES / 100);

    voice_identify_look(&t->z[0], 500, &limit, 28900000, &left);
    test_num("kept", left.remaining, 0);
}


static void
test_create(void **state)
{
    guild_t                  *t = *state;
    unsigned                  i;
    voice_zone_t              z = t->z[0];
    voice_guild_stats_t       st;
    voice_gateway_session_t   h[SESSIONS], more;

    z.worker = VOICE_WORKER_NONE;
    test_err("no worker", voice_gateway_session_create(&z, 1, t->token, 1,
                                                       &more), VOICE_E_STATE);

    voice_log_guild(&t->z[0], VOICE_LOG_GUILD, 1);

    for (i = 0; i < SESSIONS; i++) {
        h[i] = make(t, i % 2, i);

        test_num("attach", h[i].attach, 1);
        test_num("seq", h[i].seq, 1);
        test_num("next", h[i].next, 2);
        test_num("note", h[i].note, 0);
        test_num("id", strspn(h[i].session_id, "0123456789abcdef"), 32);
        test_num("id", strlen(h[i].session_id), 32);
        assert_true(i == 0 || strcmp(h[i].session_id + 8,
                                     h[i - 1].session_id + 8) != 0);
    }

    test_err("full", voice_gateway_session_create(&t->z[0], 1, t->token, 1,
                                                  &more), VOICE_E_FULL);

    voice_guild_stats(&t->z[0], &st);
    test_num("stats", st.attached, SESSIONS);
    test_num("stats", st.detached, 0);

    voice_gateway_session_destroy(&t->z[0], &h[7]);
    more = make(t, 0, 900);

    assert_true(voice_id_index(more.id) == voice_id_index(h[7].id));
    assert_true(more.id != h[7].id);
    assert_string_not_equal(more.session_id, h[7].session_id);

    /* the former owner's handle does nothing */

    voice_gateway_session_destroy(&t->z[0], &h[7]);
    voice_gateway_session_detach(&t->z[0], &h[7], 1, 1);
    test_err("stale", voice_gateway_session_seen(&t->z[0], &h[7], 1),
             VOICE_E_STALE);
    test_err("alive", voice_gateway_session_seen(&t->z[0], &more, 2),
             VOICE_OK);
}


static void
test_dispatched(void **state)
{
    guild_t                  *t = *state;
    uint64_t                  seq;
    voice_zone_t             *z = &t->z[0];
    voice_gateway_session_t   h = make(t, 0, 5), old;

    voice_log_guild(z, VOICE_LOG_GUILD, 1);
    voice_log_guild(z, VOICE_LOG_GUILD, 1);

    test_err("snapshot", voice_gateway_session_dispatched(z, &h,
                             VOICE_GATEWAY_SNAPSHOT(1, 0), &seq), VOICE_OK);
    test_num("snapshot", seq, 1);
    test_num("snapshot", h.seq, 2);
    test_num("snapshot", h.next, 1);

    test_err("event", voice_gateway_session_dispatched(z, &h, 1, &seq),
             VOICE_OK);
    test_num("event", seq, 2);
    test_num("event", h.next, 2);

    test_err("no event", voice_gateway_session_dispatched(z, &h, 3, &seq),
             VOICE_E_RANGE);
    test_err("no event", voice_gateway_session_dispatched(z, &h, 0, &seq),
             VOICE_E_RANGE);
    test_num("no event", h.seq, 3);

    test_err("seen", voice_gateway_session_seen(z, &h, 3), VOICE_OK);
    test_num("seen", h.next, 3);
    test_err("not back", voice_gateway_session_seen(z, &h, 1), VOICE_OK);
    test_num("not back", h.next, 3);
    test_err("not there", voice_gateway_session_seen(z, &h, 4),
             VOICE_E_RANGE);

    test_err("note", voice_gateway_session_note(z, &h, 0x123456789ull),
             VOICE_OK);
    test_num("note", h.note, 0x123456789ll);

    /* of another websocket, another worker, nobody */

    old = h;
    old.attach++;
    test_err("attach", voice_gateway_session_dispatched(z, &old, 1, &seq),
             VOICE_E_STALE);
    test_err("attach", voice_gateway_session_seen(z, &old, 1),
             VOICE_E_STALE);
    test_err("attach", voice_gateway_session_note(z, &old, 1),
             VOICE_E_STALE);
    test_err("worker", voice_gateway_session_dispatched(&t->z[1], &h, 1,
                                                        &seq),
             VOICE_E_STALE);

    old.id = 0;
    test_err("no id", voice_gateway_session_seen(z, &old, 1), VOICE_E_STALE);
    old.id = voice_id_make(1, SESSIONS);
    test_err("no slot", voice_gateway_session_seen(z, &old, 1),
             VOICE_E_STALE);

    voice_gateway_session_detach(z, &h, 1, 1000);
    test_err("detached", voice_gateway_session_dispatched(z, &h, 1, &seq),
             VOICE_E_STALE);
}


static void
test_resume_errors(void **state)
{
    guild_t                  *t = *state;
    char                      sid[VOICE_GATEWAY_SESSION_LEN + 2];
    size_t                    i, n;
    uint8_t                   token[VOICE_TOKEN_HASH_LEN];
    uint64_t                  seq;
    uint64_t                  replay[VOICE_GATEWAY_DISPATCHES];
    voice_zone_t              nobody = t->z[0];
    voice_gateway_session_t   h = make(t, 0, 5), got;

    static const char *const  names[] = {
        "", "0", "0000000", "zz", "00000000zzzzzzzzzzzzzzzzzzzzzzzz",
        "00000001000000000000000000000000", "ffffffff000000000000000000000000",
        "zzzzzzzz000000000000000000000000", "00000000000000000000000000000000"
    };

    test_err("dispatch", voice_gateway_session_dispatched(&t->z[0], &h,
                             VOICE_GATEWAY_SNAPSHOT(1, 0), &seq), VOICE_OK);
    voice_gateway_session_detach(&t->z[0], &h, 100, 1000);

    for (i = 0; i < test_n(names); i++) {
        test_err(names[i], voice_gateway_session_resume(&t->z[0], names[i],
                 t->token, 0, 200, &got, replay, &n), VOICE_E_NOT_FOUND);
    }

    for (i = 0; i < VOICE_GATEWAY_SESSION_LEN; i++) {
        strcpy(sid, h.session_id);
        sid[i] ^= 1;
        test_err(sid, voice_gateway_session_resume(&t->z[0], sid, t->token, 0,
                 200, &got, replay, &n), VOICE_E_NOT_FOUND);
    }

    strcpy(sid, h.session_id);
    strcat(sid, "0");
    test_err("too long", voice_gateway_session_resume(&t->z[0], sid, t->token,
             0, 200, &got, replay, &n), VOICE_E_NOT_FOUND);

    for (i = 0; i < VOICE_TOKEN_HASH_LEN; i++) {
        memcpy(token, t->token, sizeof(token));
        token[i] ^= 0x80;
        test_err("token", voice_gateway_session_resume(&t->z[0], h.session_id,
                 token, 0, 200, &got, replay, &n), VOICE_E_AUTH);
    }

    nobody.worker = VOICE_WORKER_NONE;
    test_err("no worker", voice_gateway_session_resume(&nobody, h.session_id,
             t->token, 0, 200, &got, replay, &n), VOICE_E_STATE);

    test_err("seq", resume(t, 0, &h, 2, 200, &got, replay, &n),
             VOICE_E_RANGE);
    test_err("seq", resume(t, 0, &h, 1ull << 32, 200, &got, replay, &n),
             VOICE_E_RANGE);
    test_err("seq", resume(t, 0, &h, UINT64_MAX, 200, &got, replay, &n),
             VOICE_E_RANGE);

    test_err("late", resume(t, 0, &h, 1, 1100, &got, replay, &n),
             VOICE_E_NOT_FOUND);
    test_err("in time", resume(t, 0, &h, 1, 1099, &got, replay, &n),
             VOICE_OK);
    test_num("in time", n, 0);
    test_num("in time", got.seq, 2);
}


static void
test_resume_replay(void **state)
{
    guild_t                  *t = *state;
    size_t                    i, n;
    uint64_t                  seq;
    uint64_t                  replay[VOICE_GATEWAY_DISPATCHES], what;
    voice_gateway_session_t   h = make(t, 0, 5), got;

    voice_gateway_session_note(&t->z[0], &h, 99);

    for (i = 1; i <= 300; i++) {
        what = VOICE_GATEWAY_SNAPSHOT(i, i);

        if (i % 3 == 0) {
            voice_log_guild(&t->z[0], VOICE_LOG_GUILD, 1);
            what = i / 3;
        }

        test_err("dispatch", voice_gateway_session_dispatched(&t->z[0], &h,
                                                              what, &seq),
                 VOICE_OK);
        test_num("dispatch", seq, i);
    }

    /* from a worker that was never told that the first one is gone */

    test_err("too far behind", resume(t, 1, &h,
                 300 - VOICE_GATEWAY_DISPATCHES - 1, 20, &got, replay, &n),
             VOICE_E_EXPIRED);
    test_err("as far as can be", resume(t, 1, &h,
                 300 - VOICE_GATEWAY_DISPATCHES, 20, &got, replay, &n),
             VOICE_OK);

    test_num("number", n, VOICE_GATEWAY_DISPATCHES);
    test_num("seq", got.seq, 300 - VOICE_GATEWAY_DISPATCHES + 1);
    test_num("next", got.next, 101);
    test_num("note", got.note, 99);
    test_num("attach", got.attach, 2);
    test_num("id", got.id, h.id);

    for (i = 0; i < n; i++) {
        what = got.seq + i;
        test_num("replay", replay[i], what % 3 == 0 ? what / 3
                 : VOICE_GATEWAY_SNAPSHOT(what, what));
    }

    /* the former websocket's worker is told, and it can do nothing more */

    test_num("taken", t->z[0].header->worker[3].taken, 1);
    test_num("taken", t->z[0].header->worker[4].taken, 0);
    assert_true(t->z[1].wake[0] & (1u << 3));
    test_err("stale", voice_gateway_session_dispatched(&t->z[0], &h, 1, &seq),
             VOICE_E_STALE);

    voice_gateway_session_detach(&t->z[0], &h, 1, 1);
    voice_gateway_session_destroy(&t->z[0], &h);

    test_err("goes on", voice_gateway_session_dispatched(&t->z[1], &got,
                            VOICE_GATEWAY_SNAPSHOT(2, 2), &seq), VOICE_OK);
    test_num("goes on", seq, 301);

    /* by its own worker: nothing to be told */

    test_err("same worker", resume(t, 1, &h, 300, 20, &h, replay, &n),
             VOICE_OK);
    test_num("same worker", n, 1);
    test_num("same worker", h.attach, 3);
    test_num("same worker", t->z[0].header->worker[4].taken, 0);
}


static void
test_wakes(void **state)
{
    guild_t                  *t = *state;
    voice_gateway_session_t   h, other;

    memset(t->z[0].wake, 0, sizeof(t->z[0].wake));
    voice_log_guild(&t->z[0], VOICE_LOG_GUILD, 1);
    test_num("nobody", t->z[0].wake[0], 0);

    h = make(t, 1, 5);
    other = make(t, 1, 6);
    voice_log_guild(&t->z[0], VOICE_LOG_GUILD, 1);
    test_num("one", t->z[0].wake[0], 1 << 4);

    voice_gateway_session_detach(&t->z[1], &h, 1, 1000);
    voice_gateway_session_detach(&t->z[1], &h, 1, 1000);

    memset(t->z[0].wake, 0, sizeof(t->z[0].wake));
    voice_log_guild(&t->z[0], VOICE_LOG_GUILD, 1);
    test_num("one of two", t->z[0].wake[0], 1 << 4);

    voice_gateway_session_destroy(&t->z[0], &other);

    memset(t->z[0].wake, 0, sizeof(t->z[0].wake));
    voice_log_guild(&t->z[0], VOICE_LOG_GUILD, 1);
    test_num("none left", t->z[0].wake[0], 0);
}


static void
test_detach_expire(void **state)
{
    guild_t                  *t = *state;
    size_t                    n;
    uint64_t                  next, replay[VOICE_GATEWAY_DISPATCHES];
    voice_log_event_t         ev[4];
    voice_guild_stats_t       st;
    voice_state_info_t        info;
    voice_gateway_session_t   h = make(t, 0, 5), far = make(t, 0, 6), got;

    join(&t->z[0], &h, 10, 5);
    join(&t->z[0], &h, 11, 5);

    /* how far the worker had looked goes with it */

    h.next = 3;
    voice_gateway_session_detach(&t->z[0], &h, 100, 1000);
    far.next = 77;
    voice_gateway_session_detach(&t->z[0], &far, 100, 5000);

    test_err("resume", resume(t, 1, &h, 0, 200, &got, replay, &n), VOICE_OK);
    test_num("looked", got.next, 3);
    voice_gateway_session_detach(&t->z[1], &got, 200, 1000);

    test_err("far", resume(t, 1, &far, 0, 200, &got, replay, &n), VOICE_OK);
    test_num("never there", got.next, 1);
    voice_gateway_session_detach(&t->z[1], &got, 200, 5000);

    voice_guild_stats(&t->z[0], &st);
    test_num("detached", st.detached, 2);
    test_num("states", st.states, 2);
    test_num("guilds", st.guilds, 2);
    test_num("events", st.events, 4);

    test_num("too early", voice_gateway_session_expire(&t->z[1], 1199), 0);
    test_err("in voice", voice_state_get(&t->z[0], 10, 5, &info), VOICE_OK);

    next = voice_log_next(&t->z[0]);
    test_num("over", voice_gateway_session_expire(&t->z[1], 1200), 1);
    test_err("left", voice_state_get(&t->z[0], 10, 5, &info),
             VOICE_E_NOT_FOUND);
    test_err("left", voice_state_get(&t->z[0], 11, 5, &info),
             VOICE_E_NOT_FOUND);

    test_err("events", voice_log_read(&t->z[0], &next, ev, 4, &n), VOICE_OK);
    test_num("events", n, 2);
    test_num("events", ev[0].type, VOICE_LOG_STATE);
    test_num("events", ev[0].state.channel_id, 0);
    test_num("events", ev[0].old_channel, 20);
    assert_string_equal(ev[1].state.session_id, h.session_id);

    test_err("gone", resume(t, 1, &h, 0, 1201, &got, replay, &n),
             VOICE_E_NOT_FOUND);

    voice_guild_stats(&t->z[0], &st);
    test_num("one left", st.detached, 1);
    test_num("none in voice", st.states + st.sticky + st.guilds, 0);
}


/* Numbers go on beyond 32 bits, and so does what can be replayed. */

static void
test_many_dispatches(void **state)
{
    guild_t                  *t = *state;
    size_t                    i, n;
    uint64_t                  seq, first = UINT32_MAX - 9ull;
    uint64_t                  replay[VOICE_GATEWAY_DISPATCHES];
    voice_gateway_record_t   *g;
    voice_gateway_session_t   h = make(t, 0, 5), got;

    g = voice_gateway_get(&t->z[0], h.id);
    g->seq = first;

    for (i = 0; i < VOICE_GATEWAY_RING; i++) {
        g->dispatch[i] = VOICE_GATEWAY_SNAPSHOT(1, 0);
    }

    for (i = 0; i < 20; i++) {
        test_err("dispatch", voice_gateway_session_dispatched(&t->z[0], &h,
                 VOICE_GATEWAY_SNAPSHOT(2, i), &seq), VOICE_OK);
        test_num("seq", seq, first + i);
    }

    test_err("resume", resume(t, 1, &h, first + 4, 20, &got, replay, &n),
             VOICE_OK);
    test_num("first", got.seq, first + 5);
    test_num("replay", n, 15);

    for (i = 0; i < n; i++) {
        test_num("what", replay[i], VOICE_GATEWAY_SNAPSHOT(2, i + 5));
    }

    test_err("the same in 32 bits", resume(t, 1, &h, (uint32_t) (first + 15),
                                           20, &got, replay, &n),
             VOICE_E_EXPIRED);
}


static void
test_worker_gone(void **state)
{
    guild_t                  *t = *state;
    size_t                    n;
    uint64_t                  seq;
    uint64_t                  replay[VOICE_GATEWAY_DISPATCHES];
    voice_state_info_t        info;
    voice_guild_stats_t       st;
    voice_gateway_session_t   h = make(t, 0, 5), other = make(t, 1, 6), got;

    join(&t->z[0], &h, 10, 5);
    test_err("dispatch", voice_gateway_session_dispatched(&t->z[0], &h, 1,
                                                          &seq), VOICE_OK);

    voice_worker_gone(&t->z[1], 3, 100, 1000);

    voice_guild_stats(&t->z[0], &st);
    test_num("attached", st.attached, 1);
    test_num("detached", st.detached, 1);
    test_num("count", t->z[0].header->worker[3].gateways, 0);
    test_num("count", t->z[0].header->worker[4].gateways, 1);

    test_err("in voice", voice_state_get(&t->z[1], 10, 5, &info), VOICE_OK);
    test_err("resume", resume(t, 1, &h, 0, 1099, &got, replay, &n), VOICE_OK);
    test_num("replay", n, 1);
    test_num("replay", replay[0], 1);
    test_num("next", got.next, 2);
    test_num("count", t->z[0].header->worker[4].gateways, 2);
    test_err("other", voice_gateway_session_seen(&t->z[1], &other, 1),
             VOICE_OK);
}


static void
test_destroy(void **state)
{
    guild_t                  *t = *state;
    size_t                    n;
    uint64_t                  next, replay[VOICE_GATEWAY_DISPATCHES];
    voice_log_event_t         ev[4];
    voice_state_info_t        info;
    voice_gateway_session_t   h = make(t, 0, 5), got, any;

    join(&t->z[0], &h, 10, 5);
    test_err("resume", resume(t, 1, &h, 0, 20, &got, replay, &n), VOICE_OK);

    voice_gateway_session_destroy(&t->z[0], &h);
    test_err("another websocket", voice_state_get(&t->z[0], 10, 5, &info),
             VOICE_OK);

    any = got;
    any.attach = 0;
    next = voice_log_next(&t->z[0]);
    memset(t->z[0].wake, 0, sizeof(t->z[0].wake));
    voice_gateway_session_destroy(&t->z[0], &any);

    test_err("any", voice_log_read(&t->z[0], &next, ev, 4, &n), VOICE_OK);
    test_num("any", n, 1);
    test_num("any", ev[0].state.channel_id, 0);
    test_err("any", voice_state_get(&t->z[0], 10, 5, &info),
             VOICE_E_NOT_FOUND);
    test_num("its worker is told", t->z[0].header->worker[4].taken, 1);
    assert_true(t->z[0].wake[0] & (1u << 4));
    test_err("stale", voice_gateway_session_seen(&t->z[1], &got, 1),
             VOICE_E_STALE);
}


/* More states than end under one hold of the lock. */

static void
test_many_states(void **state)
{
    guild_t                  *t = *state;
    size_t                    n;
    unsigned                  i;
    uint64_t                  replay[VOICE_GATEWAY_DISPATCHES];
    voice_guild_stats_t       st;
    voice_gateway_session_t   h = make(t, 0, 5), got;

    for (i = 1; i <= SESSIONS; i++) {
        join(&t->z[0], &h, i, 5);
    }

    voice_gateway_session_detach(&t->z[0], &h, 100, 1000);
    test_num("expire", voice_gateway_session_expire(&t->z[1], 1100), 1);

    voice_guild_stats(&t->z[0], &st);
    test_num("expired", st.states + st.guilds + st.detached, 0);
    test_num("events", st.events, 3 * SESSIONS);

    h = make(t, 1, 6);

    for (i = 1; i <= SESSIONS; i++) {
        join(&t->z[0], &h, i, 6);
    }

    voice_gateway_session_destroy(&t->z[0], &h);
    test_err("gone", resume(t, 0, &h, 0, 1, &got, replay, &n),
             VOICE_E_NOT_FOUND);

    voice_guild_stats(&t->z[0], &st);
    test_num("destroyed", st.states + st.guilds + st.attached, 0);
    test_num("events", st.events, 6 * SESSIONS);
    test_num("told", t->z[0].header->worker[4].taken, 1);
}


/* The number of dispatches a client may miss, exactly, at every distance. */

static void
test_distances(void **state)
{
    guild_t                  *t = *state;
    size_t                    i, n;
    uint64_t                  seq, last;
    uint64_t                  replay[VOICE_GATEWAY_DISPATCHES];
    voice_gateway_session_t   h = make(t, 0, 5);

    for (last = 1; last <= 2 * VOICE_GATEWAY_DISPATCHES + 3; last++) {
        test_err("dispatch", voice_gateway_session_dispatched(&t->z[0], &h,
                     VOICE_GATEWAY_SNAPSHOT(last, 7), &seq), VOICE_OK);

        for (seq = 0; seq <= last; seq += 1 + seq % 7) {
            if (last - seq > VOICE_GATEWAY_DISPATCHES) {
                test_err("far", resume(t, 0, &h, seq, 20, &h, replay, &n),
                         VOICE_E_EXPIRED);
                continue;
            }

            test_err("near", resume(t, 0, &h, seq, 20, &h, replay, &n),
                     VOICE_OK);
            test_num("near", n, last - seq);

            for (i = 0; i < n; i++) {
                test_num("near", replay[i],
                         VOICE_GATEWAY_SNAPSHOT(seq + 1 + i, 7));
            }
        }
    }
}


int
main(void)
{
#define test(name)  cmocka_unit_test_setup_teardown(name, setup, teardown)

    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_size),
        test(test_layout),
        test(test_log_read),
        test(test_log_wrap),
        test(test_log_wrap_dispatches),
        test(test_limit),
        test(test_identify),
        test(test_create),
        test(test_dispatched),
        test(test_resume_errors),
        test(test_resume_replay),
        test(test_wakes),
        test(test_detach_expire),
        test(test_many_dispatches),
        test(test_worker_gone),
        test(test_destroy),
        test(test_many_states),
        test(test_distances),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
