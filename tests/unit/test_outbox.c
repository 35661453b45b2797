/*
 * Copyright (C) ngx-voice contributors
 */


#include "test_util.h"
#include "zone_ops.h"


#define MODEL_HISTORIES   400
#define MODEL_STEPS       300


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


static voice_session_t *
make(uint64_t user, voice_id_t *id)
{
    bool                  replaced;
    uint32_t              attach;
    voice_session_conf_t  c = { .user_id = user, .guild_id = 1,
                                .session_id = "sid", .version = 8 };

    test_err("create", voice_session_create(&o.z[0], &c, 5, id, &attach,
                                            &replaced), VOICE_OK);

    return voice_session_get(&o.z[0], *id);
}


static void
append(voice_session_t *s, voice_event_type_t type, uint64_t content)
{
    voice_zone_lock(&o.z[1]);
    voice_outbox_append(&o.z[1], s, type, content, 0, 0);
    voice_zone_unlock(&o.z[1]);
}


static void
test_numbers(void **state)
{
    static const struct {
        uint16_t  seq;
        uint32_t  i;
        uint16_t  expected;
    } seqs[] = {
        { 1, 0, 1 }, { 1, 1, 2 }, { 65534, 1, 65535 }, { 65535, 1, 1 },
        { 65535, 2, 2 }, { 1, 65535, 1 }, { 65000, 1000, 465 }
    };

    static const struct {
        uint16_t  a, b;
        int       expected;
    } distances[] = {
        { 1, 1, 0 }, { 1, 2, 1 }, { 2, 1, -1 }, { 65535, 1, 1 },
        { 1, 65535, -1 }, { 65535, 65535, 0 }, { 65000, 465, 1000 },
        { 465, 65000, -1000 }, { 1, 32768, 32767 }, { 1, 32769, -32767 }
    };

    size_t  i;

    (void) state;

    for (i = 0; i < test_n(seqs); i++) {
        test_num("seq", voice_outbox_seq(seqs[i].seq, seqs[i].i),
                 seqs[i].expected);
    }

    for (i = 0; i < test_n(distances); i++) {
        test_num("distance", voice_outbox_distance(distances[i].a,
                                                   distances[i].b),
                 distances[i].expected);
    }
}


static void
test_order(void **state)
{
    unsigned          i;
    voice_id_t        id, got;
    voice_event_t     ev, again;
    voice_session_t  *s;

    (void) state;

    s = make(1, &id);

    test_err("nothing", voice_outbox_next(&o.z[0], id, 1, &ev),
             VOICE_E_NOT_FOUND);
    test_err("nobody", voice_outbox_dirty(&o.z[0], &got), VOICE_E_NOT_FOUND);

    memset(o.z[1].wake, 0, sizeof(o.z[1].wake));

    for (i = 1; i <= 20; i++) {
        append(s, VOICE_EVENT_LEAVE, i);
    }

    assert_int_equal(o.z[1].wake[0], 1);      /* worker 0 has the websocket */

    test_err("not its", voice_outbox_dirty(&o.z[1], &got),
             VOICE_E_NOT_FOUND);
    test_err("its", voice_outbox_dirty(&o.z[0], &got), VOICE_OK);
    assert_int_equal(got, id);
    test_err("once", voice_outbox_dirty(&o.z[0], &got), VOICE_E_NOT_FOUND);

    test_err("other worker", voice_outbox_next(&o.z[1], id, 1, &ev),
             VOICE_E_STALE);
    test_err("other socket", voice_outbox_next(&o.z[0], id, 2, &ev),
             VOICE_E_STALE);

    for (i = 1; i <= 20; i++) {
        test_err("next", voice_outbox_next(&o.z[0], id, 1, &ev), VOICE_OK);
        assert_int_equal(ev.user_id, i);
        assert_int_equal(ev.number, i);
        assert_int_equal(ev.nseq, 0);

        test_err("number", voice_outbox_number(&o.z[0], id, 1, &ev, 3),
                 VOICE_OK);
        assert_int_equal(ev.seq, 3 * i - 2);

        again = ev;
        test_err("again", voice_outbox_number(&o.z[0], id, 1, &again, 9),
                 VOICE_OK);
        assert_int_equal(again.seq, ev.seq);
        assert_int_equal(again.nseq, 3);

        test_err("sent", voice_outbox_sent(&o.z[0], id, 1, &ev), VOICE_OK);
        test_err("twice", voice_outbox_sent(&o.z[0], id, 1, &ev), VOICE_OK);
        assert_int_equal(s->outbox.sent, i + 1);
    }

    test_err("all", voice_outbox_next(&o.z[0], id, 1, &ev),
             VOICE_E_NOT_FOUND);
}


static void
test_overflow(void **state)
{
    unsigned          i;
    uint8_t           hash[VOICE_TOKEN_HASH_LEN] = { 0 };
    uint32_t          attach;
    uint64_t          sum[VOICE_METRICS_COUNT];
    voice_id_t        id, got;
    voice_event_t     ev;
    voice_session_t  *s;

    (void) state;

    s = make(1, &id);

    for (i = 1; i <= VOICE_OUTBOX_EVENTS; i++) {
        append(s, VOICE_EVENT_LEAVE, i);
    }

    test_err("just full", voice_outbox_next(&o.z[0], id, 1, &ev), VOICE_OK);
    assert_int_equal(ev.user_id, 1);

    append(s, VOICE_EVENT_LEAVE, i);
    append(s, VOICE_EVENT_LEAVE, i);

    test_err("one too many", voice_outbox_next(&o.z[0], id, 1, &ev),
             VOICE_E_FULL);
    test_err("told", voice_outbox_dirty(&o.z[0], &got), VOICE_OK);
    assert_int_equal(s->outbox.ring[1].user_id, 1);       /* none is lost */

    test_err("resume", voice_session_resume(&o.z[0], 1, 1, "sid", hash, 8,
                                            false, 0, 1, &got, &attach),
             VOICE_E_EXPIRED);

    voice_zone_metrics_sum(&o.z[0], sum);
    assert_int_equal(sum[VOICE_M_OUTBOX_OVERFLOW], 1);

    /* it can be closed all the same */

    voice_session_close(&o.z[1], id, 0, VOICE_CLOSE_DISCONNECTED);
    test_err("close it", voice_outbox_next(&o.z[0], id, 1, &ev),
             VOICE_E_FULL);
    voice_session_close(&o.z[0], id, 1, 0);
    assert_null(voice_session_get(&o.z[0], id));
}


static void
test_stale_event(void **state)
{
    voice_id_t        id;
    voice_event_t     ev;
    voice_session_t  *s;

    (void) state;

    s = make(1, &id);
    append(s, VOICE_EVENT_LEAVE, 1);

    test_err("next", voice_outbox_next(&o.z[0], id, 1, &ev), VOICE_OK);
    ev.number += VOICE_OUTBOX_EVENTS;
    test_err("number", voice_outbox_number(&o.z[0], id, 1, &ev, 1),
             VOICE_E_STALE);
    test_err("sent", voice_outbox_sent(&o.z[0], id, 1, &ev), VOICE_OK);
    assert_int_equal(s->outbox.sent, 1);
}


/*
 * A client that drops connections and loses what was on the way.  Content is
 * a count; an event is carried by content % 4 messages.
 */

typedef struct {
    voice_id_t        id;
    voice_session_t  *s;
    uint32_t          attach;
    int               worker;
    uint64_t          random;
    uint64_t          appended;      /* content of the last event */
    uint16_t          ack;           /* last number seen, 0: none */
    uint64_t          content;       /* of the message that is due */
    unsigned          message;       /* and which one of its event */
    bool              cut;           /* nothing arrives any more */
    unsigned          expired;
    unsigned          resumed;
} model_t;


static void
model_due(model_t *m)
{
    while (m->message >= m->content % 4) {
        m->content++;
        m->message = 0;
    }
}


/* One message arrives. */

static void
model_receive(model_t *m, const voice_event_t *ev, unsigned i)
{
    uint16_t  seq;

    seq = voice_outbox_seq(ev->seq, i);

    if (m->ack != 0 && voice_outbox_distance(m->ack, seq) <= 0) {
        return;                       /* seen: clients skip it */
    }

    model_due(m);

    if (ev->user_id != m->content || i != m->message) {
        fail_msg("message %u of event %llu (number %u), expected message %u"
                 " of %llu (last number was %u)", i,
                 (unsigned long long) ev->user_id, seq, m->message,
                 (unsigned long long) m->content, m->ack);
    }

    m->ack = seq;
    m->message++;
}


static void
model_send(model_t *m, bool lossy)
{
    unsigned       i, n, arrive;
    voice_event_t  ev;

    if (voice_outbox_next(&o.z[m->worker], m->id, m->attach, &ev)
        != VOICE_OK)
    {
        return;
    }

    n = ev.user_id % 4;
    test_err("number", voice_outbox_number(&o.z[m->worker], m->id, m->attach,
                                           &ev, (uint16_t) n), VOICE_OK);
    arrive = n;

    if (lossy && !m->cut && zone_random(&m->random) % 4 == 0) {
        arrive = zone_random(&m->random) % (n + 1);
    }

    for (i = 0; !m->cut && i < arrive; i++) {
        model_receive(m, &ev, i);
    }

    /* what comes behind a lost one is lost too */
    m->cut = m->cut || arrive < n;

    /* a worker may die before it says so */

    if (!lossy || zone_random(&m->random) % 8 != 0) {
        test_err("sent", voice_outbox_sent(&o.z[m->worker], m->id, m->attach,
                                           &ev), VOICE_OK);
    }
}


/* False if the events are gone, which must be for a reason. */

static bool
model_resume(model_t *m)
{
    uint8_t      hash[VOICE_TOKEN_HASH_LEN] = { 0 };
    voice_id_t   id;
    voice_err_t  err;

    if (zone_random(&m->random) % 2) {
        voice_session_detach(&o.z[m->worker], m->id, m->attach, 1, 1000);
    }

    m->worker = zone_random(&m->random) % OPS_WORKERS;

    err = voice_session_resume(&o.z[m->worker], 1, m->s->user_id, "sid", hash,
                               8, m->ack != 0, m->ack, 2, &id, &m->attach);

    if (err == VOICE_OK) {
        m->cut = false;
        m->resumed++;
        assert_int_equal(id, m->id);
        return true;
    }

    model_due(m);
    test_err("resume", err, VOICE_E_EXPIRED);
    m->expired++;

    if (m->content + VOICE_OUTBOX_EVENTS > m->appended + 1
        && !(m->s->flags & VOICE_SESSION_OVERFLOW) && m->ack != 0)
    {
        fail_msg("event %llu of %llu is said to be gone",
                 (unsigned long long) m->content,
                 (unsigned long long) m->appended);
    }

    return false;
}


static void
model_history(model_t *m, unsigned history)
{
    unsigned  i, n, rate;

    m->s = make(100 + history, &m->id);
    m->attach = 1;
    m->worker = 0;
    m->appended = 0;
    m->ack = 0;
    m->content = 1;
    m->message = 0;
    m->cut = false;

    /* most begin near one of the edges */

    if (history % 3 != 0) {
        m->s->outbox.seq = 65535 - history % 200;
        m->ack = m->s->outbox.seq - 1;
    }

    if (history % 3 == 2) {
        m->s->outbox.head = m->s->outbox.sent = UINT32_MAX - history % 150;
    }

    rate = 1 + zone_random(&m->random) % 12;

    for (i = 0; i < MODEL_STEPS; i++) {

        for (n = zone_random(&m->random) % rate; n != 0; n--) {
            append(m->s, VOICE_EVENT_LEAVE, ++m->appended);
        }

        for (n = zone_random(&m->random) % 12; n != 0; n--) {
            model_send(m, false);
        }

        if (zone_random(&m->random) % 8 != 0) {
            continue;
        }

        /* now and then so much that the ring forgets what was lost */

        n = zone_random(&m->random) % 10 == 0 ? 250 : 30;

        for (n = zone_random(&m->random) % n; n != 0; n--) {
            append(m->s, VOICE_EVENT_LEAVE, ++m->appended);
            model_send(m, true);
        }

        if (!model_resume(m)) {
            break;
        }
    }

    if (i == MODEL_STEPS && !(m->s->flags & VOICE_SESSION_OVERFLOW)) {
        while (m->s->outbox.sent != m->s->outbox.head) {
            model_send(m, false);
        }

        model_due(m);
        test_num("all seen", m->content > m->appended, true);
    }

    voice_session_close(&o.z[0], m->id, 0, 0);
}


static void
test_resume_model(void **state)
{
    unsigned  i;
    model_t   m;

    (void) state;

    memset(&m, 0, sizeof(m));
    m.random = 4711;

    for (i = 0; i < MODEL_HISTORIES; i++) {
        model_history(&m, i);
    }

    print_message("%u resumed, %u expired\n", m.resumed, m.expired);
    assert_true(m.resumed > MODEL_HISTORIES);
    assert_true(m.expired > 0);
}


static void
speak(voice_session_t *s, uint64_t user, uint32_t mask)
{
    voice_zone_lock(&o.z[1]);
    voice_outbox_append(&o.z[1], s, VOICE_EVENT_SPEAKING, user,
                        (uint32_t) user * 10, mask);
    voice_zone_unlock(&o.z[1]);
}


/* The next event is SPEAKING of this user; sent with a number. */
static uint16_t
spoke(voice_id_t id, uint64_t user, uint32_t mask)
{
    voice_event_t  ev;

    test_err("next", voice_outbox_next(&o.z[0], id, 1, &ev), VOICE_OK);
    test_err("number", voice_outbox_number(&o.z[0], id, 1, &ev, 1), VOICE_OK);
    test_num("type", ev.type, VOICE_EVENT_SPEAKING);
    test_num("user", ev.user_id, user);
    test_num("ssrc", ev.ssrc, user * 10);
    test_num("mask", ev.arg, mask);
    test_err("sent", voice_outbox_sent(&o.z[0], id, 1, &ev), VOICE_OK);

    return ev.seq;
}


static void
test_speaking(void **state)
{
    unsigned          i;
    uint16_t          first, second;
    voice_id_t        id;
    voice_event_t     ev;
    voice_session_t  *s;

    (void) state;

    s = make(1, &id);

    /* more of them than the ring has room for */

    for (i = 0; i < 10 * VOICE_OUTBOX_EVENTS; i++) {
        speak(s, 7, i & 1);
        speak(s, 8, 1);
    }

    first = spoke(id, 7, 1);
    spoke(id, 8, 1);
    test_err("all", voice_outbox_next(&o.z[0], id, 1, &ev),
             VOICE_E_NOT_FOUND);

    /* one that has a number stays as it was: a resume says it once more */

    speak(s, 7, 0);
    test_err("next", voice_outbox_next(&o.z[0], id, 1, &ev), VOICE_OK);
    test_err("number", voice_outbox_number(&o.z[0], id, 1, &ev, 1), VOICE_OK);
    speak(s, 7, 5);
    second = spoke(id, 7, 0);
    test_num("numbers", voice_outbox_distance(first, second), 2);
    spoke(id, 7, 5);

    /* nor does it get in front of what else is told of its user */

    speak(s, 7, 1);
    append(s, VOICE_EVENT_LEAVE, 7);
    append(s, VOICE_EVENT_LEAVE, 9);
    append(s, VOICE_EVENT_JOIN, 7);
    speak(s, 7, 2);
    speak(s, 7, 3);

    spoke(id, 7, 1);

    for (i = 0; i < 3; i++) {
        test_err("next", voice_outbox_next(&o.z[0], id, 1, &ev), VOICE_OK);
        test_num("between", ev.type, i == 2 ? VOICE_EVENT_JOIN
                                            : VOICE_EVENT_LEAVE);
        test_err("sent", voice_outbox_sent(&o.z[0], id, 1, &ev), VOICE_OK);
    }

    spoke(id, 7, 3);

    /* another stream of the same user is another one */

    speak(s, 7, 1);
    voice_zone_lock(&o.z[1]);
    voice_outbox_append(&o.z[1], s, VOICE_EVENT_SPEAKING, 7, 71, 0);
    voice_zone_unlock(&o.z[1]);
    spoke(id, 7, 1);
    test_err("next", voice_outbox_next(&o.z[0], id, 1, &ev), VOICE_OK);
    test_num("ssrc", ev.ssrc, 71);

    /* and what was changed in between is what is told */

    test_num("unnumbered", ev.nseq, 0);
    voice_zone_lock(&o.z[1]);
    voice_outbox_append(&o.z[1], s, VOICE_EVENT_SPEAKING, 7, 71, 4);
    voice_zone_unlock(&o.z[1]);
    test_err("number", voice_outbox_number(&o.z[0], id, 1, &ev, 1), VOICE_OK);
    test_num("mask", ev.arg, 4);
}


#define outbox_test(f)  cmocka_unit_test_setup_teardown(f, setup, teardown)


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_numbers),
        outbox_test(test_order),
        outbox_test(test_overflow),
        outbox_test(test_stale_event),
        outbox_test(test_speaking),
        outbox_test(test_resume_model),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
