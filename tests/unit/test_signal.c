/*
 * Copyright (C) ngx-voice contributors
 */


#include "test_util.h"

#include "voice_signal.h"

#include <limits.h>
#include <stdio.h>


static const char *const  states[VOICE_SIGNAL_STATES] = {
    "open", "ready", "live", "closed"
};


static void
in_state(voice_signal_t *sg, voice_signal_state_t state)
{
    voice_signal_init(sg, 8);

    if (state == VOICE_SIGNAL_CLOSED) {
        voice_signal_done(sg, VOICE_SIGNAL_CLOSE);
        return;
    }

    if (state >= VOICE_SIGNAL_READY) {
        voice_signal_done(sg, VOICE_SIGNAL_IDENTIFY);
    }

    if (state == VOICE_SIGNAL_LIVE) {
        voice_signal_done(sg, VOICE_SIGNAL_SELECT);
    }
}


/*
 * For each state a letter per opcode 0, 1, 2, ...: what the table of section
 * 2, the state machine of section 3 and section 8 say together.
 *
 *   i ignored     A ack        I identify     S select   K speaking
 *   R resume      V version    1 3 5          closed with 4001, 4003, 4005
 */
static const char *const  expected[VOICE_SIGNAL_STATES] = {
    "I33A333R33333333333333333333333333",
    "5S1A1i1511i1i1iiV1iii11i11i1i11ii1",
    "5S1A1K1511i1i1iiV1iii11i11i1i11ii1",
    "iiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiii"
};


static char
letter(const voice_signal_out_t *out)
{
    static const char  actions[] = {
        [VOICE_SIGNAL_IGNORE] = 'i',
        [VOICE_SIGNAL_ACK] = 'A',
        [VOICE_SIGNAL_IDENTIFY] = 'I',
        [VOICE_SIGNAL_SELECT] = 'S',
        [VOICE_SIGNAL_SPEAKING] = 'K',
        [VOICE_SIGNAL_RESUME] = 'R',
        [VOICE_SIGNAL_VERSION] = 'V'
    };

    if (out->action != VOICE_SIGNAL_CLOSE) {
        return actions[out->action];
    }

    assert_non_null(out->reason);
    assert_in_range(strlen(out->reason), 1, 100);
    assert_in_range(out->code, 4001, 4005);

    return (char) ('0' + out->code - 4000);
}


static void
check_message(voice_signal_state_t state, int op, char want)
{
    char                  name[64];
    voice_signal_t        sg;
    voice_client_msg_t    msg;
    voice_signal_out_t    out;
    voice_signal_state_t  after;

    memset(&msg, 0, sizeof(msg));
    msg.op = op;

    snprintf(name, sizeof(name), "op %d in state %s", op, states[state]);

    in_state(&sg, state);
    test_num(name, sg.state, state);

    voice_signal_message(&sg, &msg, &out);

    if (letter(&out) != want) {
        fail_msg("%s: got %c, expected %c", name, letter(&out), want);
    }

    after = want >= '1' && want <= '5' ? VOICE_SIGNAL_CLOSED : state;
    test_num(name, sg.state, after);
}


static void
signal_message_every_op_in_every_state(void **state)
{
    int                   op;
    size_t                i;
    voice_signal_state_t  s;
    static const int      foreign[] = { INT_MIN, -1, 64, 255, 256, INT_MAX };

    (void) state;

    for (s = VOICE_SIGNAL_OPEN; s < VOICE_SIGNAL_STATES; s++) {
        assert_int_equal(strlen(expected[s]), 34);

        for (op = 0; op < 34; op++) {
            check_message(s, op, expected[s][op]);
        }

        /* what is not in the table is as op 33 */
        for (i = 0; i < test_n(foreign); i++) {
            check_message(s, foreign[i], expected[s][33]);
        }
    }
}


typedef struct {
    voice_err_t    err;
    voice_close_t  code;
} malformed_t;


static void
signal_malformed_close_codes(void **state)
{
    size_t                i;
    voice_signal_t        sg;
    voice_signal_out_t    out;
    voice_signal_state_t  s;

    static const malformed_t  cases[] = {
        { VOICE_E_FORMAT, VOICE_CLOSE_DECODE },
        { VOICE_E_LENGTH, VOICE_CLOSE_DECODE },
        { VOICE_E_NOMEM, VOICE_CLOSE_DECODE },
        { VOICE_E_RANGE, VOICE_CLOSE_BAD_REQUEST }
    };

    (void) state;

    for (s = VOICE_SIGNAL_OPEN; s < VOICE_SIGNAL_CLOSED; s++) {
        for (i = 0; i < test_n(cases); i++) {
            in_state(&sg, s);
            voice_signal_malformed(&sg, cases[i].err, "the field", &out);

            test_num(states[s], out.action, VOICE_SIGNAL_CLOSE);
            test_num(states[s], out.code, cases[i].code);
            assert_string_equal(out.reason, "the field");
            test_num(states[s], sg.state, VOICE_SIGNAL_CLOSED);
        }
    }

    in_state(&sg, VOICE_SIGNAL_CLOSED);
    voice_signal_malformed(&sg, VOICE_E_FORMAT, "the field", &out);
    assert_int_equal(out.action, VOICE_SIGNAL_IGNORE);
}


/* 0: ignored, otherwise the close code */
static void
check_binary(voice_signal_state_t state, const uint8_t *data, size_t len,
    int code)
{
    uint8_t             *copy;
    voice_signal_t       sg;
    voice_signal_out_t   out;

    copy = test_copy(data, len);
    in_state(&sg, state);
    voice_signal_binary(&sg, copy, len, &out);
    free(copy);

    if (code == 0) {
        test_num(states[state], out.action, VOICE_SIGNAL_IGNORE);
        test_num(states[state], sg.state, state);
        return;
    }

    test_num(states[state], out.action, VOICE_SIGNAL_CLOSE);
    test_num(states[state], out.code, code);
    test_num(states[state], sg.state, VOICE_SIGNAL_CLOSED);
    assert_in_range(strlen(out.reason), 1, 100);
}


static void
signal_binary_every_opcode_in_every_state(void **state)
{
    int      op;
    bool     dave;
    uint8_t  data[2];

    (void) state;

    data[1] = 0;

    for (op = 0; op < 256; op++) {
        dave = op == 26 || op == 28;
        data[0] = (uint8_t) op;

        check_binary(VOICE_SIGNAL_OPEN, data, 2, dave ? 4003 : 4002);
        check_binary(VOICE_SIGNAL_READY, data, 2, dave ? 0 : 4002);
        check_binary(VOICE_SIGNAL_LIVE, data, 1, dave ? 0 : 4002);
        check_binary(VOICE_SIGNAL_CLOSED, data, 2, 0);
    }

    check_binary(VOICE_SIGNAL_OPEN, data, 0, 4002);
    check_binary(VOICE_SIGNAL_LIVE, data, 0, 4002);
    check_binary(VOICE_SIGNAL_CLOSED, data, 0, 0);
}


typedef struct {
    voice_signal_state_t   from;
    voice_signal_action_t  action;
    voice_signal_state_t   to;
} done_t;


static const done_t  outcomes[] = {
    { VOICE_SIGNAL_OPEN, VOICE_SIGNAL_ACK, VOICE_SIGNAL_OPEN },
    { VOICE_SIGNAL_OPEN, VOICE_SIGNAL_IDENTIFY, VOICE_SIGNAL_READY },
    { VOICE_SIGNAL_OPEN, VOICE_SIGNAL_RESUME, VOICE_SIGNAL_LIVE },
    { VOICE_SIGNAL_OPEN, VOICE_SIGNAL_CLOSE, VOICE_SIGNAL_CLOSED },
    { VOICE_SIGNAL_READY, VOICE_SIGNAL_IGNORE, VOICE_SIGNAL_READY },
    { VOICE_SIGNAL_READY, VOICE_SIGNAL_ACK, VOICE_SIGNAL_READY },
    { VOICE_SIGNAL_READY, VOICE_SIGNAL_VERSION, VOICE_SIGNAL_READY },
    { VOICE_SIGNAL_READY, VOICE_SIGNAL_SELECT, VOICE_SIGNAL_LIVE },
    { VOICE_SIGNAL_READY, VOICE_SIGNAL_CLOSE, VOICE_SIGNAL_CLOSED },
    { VOICE_SIGNAL_LIVE, VOICE_SIGNAL_SPEAKING, VOICE_SIGNAL_LIVE },
    { VOICE_SIGNAL_LIVE, VOICE_SIGNAL_SELECT, VOICE_SIGNAL_LIVE },
    { VOICE_SIGNAL_LIVE, VOICE_SIGNAL_CLOSE, VOICE_SIGNAL_CLOSED },
    { VOICE_SIGNAL_CLOSED, VOICE_SIGNAL_IDENTIFY, VOICE_SIGNAL_CLOSED },
    { VOICE_SIGNAL_CLOSED, VOICE_SIGNAL_SELECT, VOICE_SIGNAL_CLOSED },
    { VOICE_SIGNAL_CLOSED, VOICE_SIGNAL_RESUME, VOICE_SIGNAL_CLOSED },
    { VOICE_SIGNAL_CLOSED, VOICE_SIGNAL_CLOSE, VOICE_SIGNAL_CLOSED }
};


static void
signal_done_states(void **state)
{
    size_t          i;
    voice_signal_t  sg;

    (void) state;

    for (i = 0; i < test_n(outcomes); i++) {
        in_state(&sg, outcomes[i].from);
        voice_signal_done(&sg, outcomes[i].action);
        test_num(states[outcomes[i].from], sg.state, outcomes[i].to);
    }
}


static void
signal_init_version(void **state)
{
    int             i;
    voice_signal_t  sg;

    (void) state;

    for (i = 1; i <= 9; i++) {
        voice_signal_init(&sg, i);
        assert_int_equal(sg.version, i);
        assert_int_equal(sg.state, VOICE_SIGNAL_OPEN);
    }

    voice_signal_init(&sg, 0);
    assert_int_equal(sg.version, 1);

    voice_signal_init(&sg, INT_MIN);
    assert_int_equal(sg.version, 1);

    voice_signal_init(&sg, 10);
    assert_int_equal(sg.version, 9);

    voice_signal_init(&sg, INT_MAX);
    assert_int_equal(sg.version, 9);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(signal_message_every_op_in_every_state),
        cmocka_unit_test(signal_malformed_close_codes),
        cmocka_unit_test(signal_binary_every_opcode_in_every_state),
        cmocka_unit_test(signal_done_states),
        cmocka_unit_test(signal_init_version)
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
