/*
 * Copyright (C) ngx-voice contributors
 */


#include "test_util.h"
#include "zone_ops.h"


static void
test_random(void **state)
{
    char         text[256];
    void        *mem;
    unsigned     n, op;
    uint32_t     a, b;
    uint64_t     random;
    ops_zone_t   o;

    (void) state;

    random = 0x1234567;
    mem = zone_memory(voice_zone_size(OPS_SESSIONS));
    ops_init(&o, mem);

    for (n = 0; n < 200000; n++) {
        op = zone_random(&random) % OPS_COUNT;
        a = zone_random(&random);
        b = zone_random(&random);

        ops_run(&o, op, a, b);

        if (n % 4 == 0) {
            ops_compare(&o);
        }

        if (o.why[0] != '\0') {
            fail_msg("operation %u (%u): %s", n, op, o.why);
        }

        if (n % 4 == 0
            && voice_zone_verify(&o.z[0], text, sizeof(text)) != 0)
        {
            fail_msg("operation %u (%u): %s", n, op, text);
        }
    }

    munmap(mem, voice_zone_size(OPS_SESSIONS));
}


static void
test_format(void **state)
{
    void                *mem;
    size_t               size;
    voice_zone_t         z, y;
    voice_zone_header_t  *h;

    (void) state;

    size = voice_zone_size(OPS_SESSIONS);
    mem = zone_memory(size);
    h = mem;

    test_err("too few", voice_zone_format(&z, mem, size,
                            VOICE_ZONE_SESSIONS_MIN - 1, "n"), VOICE_E_RANGE);
    test_err("too many", voice_zone_format(&z, mem, size,
                             VOICE_ZONE_SESSIONS_MAX + 1, "n"),
             VOICE_E_RANGE);
    test_err("short", voice_zone_format(&z, mem, size - 1, OPS_SESSIONS,
                                        "n"), VOICE_E_LENGTH);
    test_err("long", voice_zone_format(&z, mem, size + 4096, OPS_SESSIONS,
                                       "n"), VOICE_E_LENGTH);
    test_err("no zone", voice_zone_attach(&y, mem, size, OPS_SESSIONS),
             VOICE_E_FORMAT);

    test_err("fine", voice_zone_format(&z, mem, size, OPS_SESSIONS, "n1"),
             VOICE_OK);
    assert_string_equal(h->node, "n1");

    test_err("attach", voice_zone_attach(&y, mem, size, OPS_SESSIONS),
             VOICE_OK);
    assert_ptr_equal(y.session, z.session);
    assert_int_equal(y.worker, VOICE_WORKER_NONE);

    test_err("no header", voice_zone_attach(&y, mem, 100, OPS_SESSIONS),
             VOICE_E_LENGTH);
    test_err("cut off", voice_zone_attach(&y, mem, size - 1, OPS_SESSIONS),
             VOICE_E_LENGTH);
    test_err("capacity", voice_zone_attach(&y, mem, size, OPS_SESSIONS + 1),
             VOICE_E_RANGE);

    h->layout++;
    test_err("layout", voice_zone_attach(&y, mem, size, OPS_SESSIONS),
             VOICE_E_FORMAT);
    h->layout--;
    h->record_size++;
    test_err("record", voice_zone_attach(&y, mem, size, OPS_SESSIONS),
             VOICE_E_FORMAT);
    h->record_size--;
    h->index_mask = 7;
    test_err("index", voice_zone_attach(&y, mem, size, OPS_SESSIONS),
             VOICE_E_LENGTH);

    munmap(mem, size);
}


static void
test_size(void **state)
{
    size_t  n;

    (void) state;

    n = voice_zone_size(VOICE_ZONE_SESSIONS);

    assert_true(n % 4096 == 0);
    assert_true(n > VOICE_ZONE_SESSIONS * sizeof(voice_session_t));
    assert_true(n < VOICE_ZONE_SESSIONS * voice_zone_session_size()
                    + sizeof(voice_zone_header_t) + 16 * 4096);
    assert_true(voice_zone_size(VOICE_ZONE_SESSIONS_MAX) > 7 * n);
}


static void
test_endpoints(void **state)
{
    unsigned          i, seen;
    ops_zone_t        o;
    voice_endpoint_t  ep[3] = {
        { "192.0.2.1", 1, VOICE_ADDR_V4 },
        { "2001:db8::1", 2, VOICE_ADDR_V6 },
        { "192.0.2.2", 3, VOICE_ADDR_V4 }
    }, got;

    (void) state;

    ops_init(&o, zone_memory(voice_zone_size(OPS_SESSIONS)));

    test_err("none", voice_zone_endpoint(&o.z[0], VOICE_ADDR_V4, 0, &got),
             VOICE_E_NOT_FOUND);

    voice_zone_endpoints_set(&o.z[0], ep, 3);
    seen = 0;

    for (i = 0; i < 10; i++) {
        test_err("v4", voice_zone_endpoint(&o.z[1], VOICE_ADDR_V4, i, &got),
                 VOICE_OK);
        seen |= 1u << got.port;

        test_err("v6", voice_zone_endpoint(&o.z[1], VOICE_ADDR_V6, i, &got),
                 VOICE_OK);
        assert_int_equal(got.port, 2);
    }

    assert_int_equal(seen, 1u << 1 | 1u << 3);      /* spread over both */

    voice_zone_endpoints_set(&o.z[0], ep, 1);
    test_err("other family", voice_zone_endpoint(&o.z[0], VOICE_ADDR_V6, 5,
                                                 &got), VOICE_OK);
    assert_int_equal(got.port, 1);

    munmap(o.z[0].header, voice_zone_size(OPS_SESSIONS));
}


static void
test_metrics(void **state)
{
    ops_zone_t    o;
    uint64_t      sum[VOICE_METRICS_COUNT];
    voice_zone_t  z;

    (void) state;

    ops_init(&o, zone_memory(voice_zone_size(OPS_SESSIONS)));

    voice_metric_add(voice_zone_metrics(&o.z[0]), VOICE_M_ROAMED, 2);
    voice_metric_add(voice_zone_metrics(&o.z[2]), VOICE_M_ROAMED, 5);
    voice_zone_attach(&z, o.z[0].header, voice_zone_size(OPS_SESSIONS),
                      OPS_SESSIONS);
    voice_metric_add(voice_zone_metrics(&z), VOICE_M_ROAMED, 10);

    /* the next worker of a slot goes on counting */
    voice_worker_gone(&o.z[0], 2, 1, 1);

    voice_zone_metrics_sum(&z, sum);
    assert_int_equal(sum[VOICE_M_ROAMED], 17);
    assert_int_equal(sum[VOICE_M_REPAIRS], 0);

    munmap(o.z[0].header, voice_zone_size(OPS_SESSIONS));
}


/* Another address, and not one whose search passes the old one's bucket. */
static void
damage_address(const voice_zone_t *z, voice_addr_t *addr)
{
    uint64_t  hash;

    do {
        addr->port++;
        hash = voice_zone_hash(z, addr, sizeof(voice_addr_t));
    } while (z->by_address[hash & z->header->index_mask] != 0);
}


/* Each kind of damage is found, so a clean verify means something. */

static void
test_verify(void **state)
{
    char              text[256];
    void             *mem, *kept;
    size_t            i, size;
    ops_zone_t        o;
    voice_zone_t     *z = &o.z[0];
    voice_session_t  *s;

    (void) state;

    size = voice_zone_size(OPS_SESSIONS);
    mem = zone_memory(size);
    kept = malloc(size);
    assert_non_null(kept);

    ops_init(&o, mem);

    for (i = 0; i < 6; i++) {
        ops_run(&o, OPS_CREATE, 0, (uint32_t) i << 20);
        ops_run(&o, OPS_SELECT, 0, (uint32_t) i << 20);
        ops_run(&o, OPS_BIND, 3, (uint32_t) i << 20);
    }

    ops_run(&o, OPS_CLOSE, 0, 5u << 20);
    assert_string_equal(o.why, "");
    assert_int_equal(voice_zone_verify(z, text, sizeof(text)), 0);
    memcpy(kept, mem, size);

    s = voice_session_get(z, o.model[0][2].id);
    assert_non_null(s);

    for (i = 0; i <= 18; i++) {
        memcpy(mem, kept, size);

        switch (i) {
        case 0: s->ssrc += 8; break;
        case 1: s->room_next = 0; break;
        case 2: s->room_prev = 40; break;
        case 3: s->room += 1ull << 32; break;
        case 4: s->key++; break;
        case 5: s->nonce = 0; break;
        case 6: s->joined = VOICE_JOIN_ANNOUNCING; break;
        case 7: s->user_id++; break;
        case 8: damage_address(z, &s->remote[s->bound & 1]); break;
        case 9: s->state = VOICE_SESSION_READY; break;
        case 10: s->deadline = 5; break;
        case 11: s->dirty = !s->dirty; break;
        case 12: s->outbox.sent = s->outbox.head + 1; break;
        case 13: z->header->sessions_used++; break;
        case 14: z->header->session_free = 0; break;
        case 15: z->header->room_free = z->header->room_end; break;
        case 16: z->room[voice_id_index(s->room)].version |= 1; break;
        case 17: z->room[voice_id_index(s->room)].members++; break;
        default: z->session[5].secret[0][0] = 1; break;
        }

        if (voice_zone_verify(z, text, sizeof(text)) == 0) {
            fail_msg("damage %zu: not found", i);
        }

        assert_true(text[0] != '\0');
    }

    free(kept);
    munmap(mem, size);
}


static void
test_no_leak(void **state)
{
    char        text[256];
    unsigned    i;
    uint32_t    end, rooms;
    ops_zone_t  o;

    (void) state;

    ops_init(&o, zone_memory(voice_zone_size(OPS_SESSIONS)));
    end = 0;
    rooms = 0;

    for (i = 0; i < 10000; i++) {
        ops_run(&o, OPS_CREATE, i, (i % OPS_USERS) << 20 | i % 2);
        ops_run(&o, OPS_SELECT, i, (i % OPS_USERS) << 20);
        ops_run(&o, OPS_BIND, i, (i % OPS_USERS) << 20);
        ops_run(&o, OPS_CLOSE, i, ((i + 3) % OPS_USERS) << 20);

        while (o.nclosing != 0) {
            ops_closing_drop(&o, 0, i & 1);
        }

        if (i == 100) {
            end = o.z[0].header->session_end;
            rooms = o.z[0].header->room_end;
        }
    }

    assert_string_equal(o.why, "");
    assert_int_equal(o.z[0].header->session_end, end);
    assert_int_equal(o.z[0].header->room_end, rooms);

    for (i = 0; i < OPS_USERS; i++) {
        ops_run(&o, OPS_CLOSE, 0, i << 20);
    }

    assert_int_equal(o.z[0].header->sessions_used, 0);
    assert_int_equal(o.z[0].header->rooms_used, 0);

    if (voice_zone_verify(&o.z[0], text, sizeof(text)) != 0) {
        fail_msg("%s", text);
    }

    munmap(o.z[0].header, voice_zone_size(OPS_SESSIONS));
}


/* A worker's slot is given to another one: its sessions may be resumed. */

static void
test_worker(void **state)
{
    ops_zone_t        o;
    voice_session_t  *s;

    (void) state;

    ops_init(&o, zone_memory(voice_zone_size(OPS_SESSIONS)));

    ops_run(&o, OPS_CREATE, 1, 0);
    ops_run(&o, OPS_CREATE, 1, 1u << 20);
    ops_run(&o, OPS_CLOSE_CODE, 0, 1u << 20);
    assert_int_equal(o.nclosing, 1);

    voice_worker_gone(&o.z[0], 1, 50, 1000);

    s = voice_session_get(&o.z[0], o.model[0][0].id);
    assert_non_null(s);
    assert_int_equal(s->worker, VOICE_WORKER_NONE);
    assert_int_equal(s->deadline, 1050);
    assert_null(voice_session_get(&o.z[0], o.closing[0].id));

    assert_int_equal(voice_session_expire(&o.z[0], 1049), 0);
    assert_int_equal(voice_session_expire(&o.z[0], 1050), 1);
    assert_int_equal(o.z[0].header->sessions_used, 0);

    munmap(o.z[0].header, voice_zone_size(OPS_SESSIONS));
}


/* When there is something to do by the clock, and for whom. */

static void
test_due(void **state)
{
    ops_zone_t            o;
    voice_zone_header_t  *h;

    (void) state;

    ops_init(&o, zone_memory(voice_zone_size(OPS_SESSIONS)));
    h = o.z[0].header;

    /* whoever comes into the table has everything looked at once */

    assert_int_equal(h->due, 1);
    assert_true(voice_zone_housekeeper(&o.z[0]));
    assert_false(voice_zone_housekeeper(&o.z[1]));

    voice_zone_due_take(&o.z[0]);
    memset(o.z[1].wake, 0, sizeof(o.z[1].wake));

    voice_zone_lock(&o.z[1]);
    voice_zone_due(&o.z[1], 5000);
    assert_int_equal(o.z[1].wake[0], 1);

    o.z[1].wake[0] = 0;
    voice_zone_due(&o.z[1], 6000);
    assert_int_equal(h->due, 5000);
    assert_int_equal(o.z[1].wake[0], 0);

    voice_zone_due(&o.z[1], 4000);
    assert_int_equal(h->due, 4000);
    assert_int_equal(o.z[1].wake[0], 1);
    voice_zone_unlock(&o.z[1]);

    /* a session that is detached, and again what remains of it */

    ops_run(&o, OPS_CREATE, 1, 0);
    voice_zone_due_take(&o.z[0]);
    voice_session_detach(&o.z[1], o.model[0][0].id, 1, 50, 1000);
    assert_int_equal(h->due, 1050);

    voice_zone_due_take(&o.z[0]);
    assert_int_equal(voice_session_expire(&o.z[0], 100), 0);
    assert_int_equal(h->due, 1050);

    voice_zone_due_take(&o.z[0]);
    assert_int_equal(voice_session_expire(&o.z[0], 1050), 1);
    assert_int_equal(h->due, 0);

    /* the next one in the table, who has to look at everything */

    voice_worker_gone(&o.z[0], 0, 60, 1000);
    assert_int_equal(h->due, 1);
    assert_true(voice_zone_housekeeper(&o.z[1]));

    munmap(o.z[0].header, voice_zone_size(OPS_SESSIONS));
}


/* Those who have keys are told once when any is over. */

static void
test_keys(void **state)
{
    ops_zone_t  o;

    (void) state;

    ops_init(&o, zone_memory(voice_zone_size(OPS_SESSIONS)));
    ops_run(&o, OPS_CREATE, 1, 0);

    voice_zone_keys_hold(&o.z[1]);
    assert_true(voice_zone_keys_held(&o.z[1]));
    assert_false(voice_zone_keys_held(&o.z[0]));

    memset(o.z[0].wake, 0, sizeof(o.z[0].wake));
    voice_session_close(&o.z[0], o.model[0][0].id, 0, 0);

    assert_int_equal(o.z[0].wake[0], 2);
    assert_false(voice_zone_keys_held(&o.z[1]));

    voice_zone_keys_hold(&o.z[1]);
    voice_worker_gone(&o.z[0], 1, 60, 1000);
    assert_false(voice_zone_keys_held(&o.z[1]));

    munmap(o.z[0].header, voice_zone_size(OPS_SESSIONS));
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_due),
        cmocka_unit_test(test_keys),
        cmocka_unit_test(test_format),
        cmocka_unit_test(test_size),
        cmocka_unit_test(test_endpoints),
        cmocka_unit_test(test_metrics),
        cmocka_unit_test(test_verify),
        cmocka_unit_test(test_worker),
        cmocka_unit_test(test_no_leak),
        cmocka_unit_test(test_random),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
