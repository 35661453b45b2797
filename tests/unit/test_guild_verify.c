/*
 * Copyright (C) ngx-voice contributors
 *
 * voice_zone_verify() sees what is wrong with the guild service's records,
 * and the repair makes it right where it follows from others.
 */


#include "test_util.h"
#include "voice_guild_internal.h"
#include "zone_ops.h"


#define SESSIONS  64


typedef struct {
    const char  *name;
    void       (*spoil)(voice_zone_t *z);
    bool         repaired;
} verify_case_t;


static voice_state_t *
state_of(voice_zone_t *z, uint64_t guild, uint64_t user)
{
    voice_state_t  *st = voice_state_find(z, guild, user);

    assert_non_null(st);

    return st;
}


static voice_gateway_record_t *
gateway_of(voice_zone_t *z, uint64_t user)
{
    voice_gateway_record_t  *g = &z->gateway[user - 1];

    assert_true(g->user_id == user);

    return g;
}


static void
spoil_applied(voice_zone_t *z)
{
    z->header->log_applied--;
}

static void
spoil_event(voice_zone_t *z)
{
    z->header->log[2].number = 0;
}

static void
spoil_type(voice_zone_t *z)
{
    z->header->log[2].type = 9;
}

static void
spoil_guild_link(voice_zone_t *z)
{
    state_of(z, 10, 2)->guild_next = 0;
}

static void
spoil_guild_loop(voice_zone_t *z)
{
    voice_state_t  *st = state_of(z, 10, 1);

    st->guild_next = (uint32_t) (st - z->state) + 1;
}

static void
spoil_guild_count(voice_zone_t *z)
{
    voice_guild_find(z, 10)->count++;
}

static void
spoil_guild_index(voice_zone_t *z)
{
    voice_index_t  ix = voice_guild_index(z);

    voice_index_clear(&ix);
}

static void
spoil_guilds_used(voice_zone_t *z)
{
    z->header->guilds_used++;
}

static void
spoil_guild_free(voice_zone_t *z)
{
    z->header->guild_free = 1;
}

static void
spoil_member_index(voice_zone_t *z)
{
    voice_index_t  ix = voice_state_index(z);

    voice_index_remove(z, &ix, (uint32_t) (state_of(z, 10, 2) - z->state));
}

static void
spoil_states_used(voice_zone_t *z)
{
    z->header->states_used = 0;
}

static void
spoil_state_free(voice_zone_t *z)
{
    z->header->state_free = 1;
}

static void
spoil_owner(voice_zone_t *z)
{
    state_of(z, 10, 1)->gateway = 0x700000001ull;
}

static void
spoil_name(voice_zone_t *z)
{
    state_of(z, 10, 1)->session_id[0] = 'x';
}

static void
spoil_flags(voice_zone_t *z)
{
    state_of(z, 10, 1)->flags = VOICE_SESSION_OVERFLOW;
}

static void
spoil_sticky(voice_zone_t *z)
{
    state_of(z, 10, 3)->flags = 0;
}

static void
spoil_relay(voice_zone_t *z)
{
    voice_session_find(z, 10, 1)->flags |= VOICE_SESSION_MUTE;
}

static void
spoil_gateway_list(voice_zone_t *z)
{
    gateway_of(z, 1)->states = 0;
}

static void
spoil_gateway_prev(voice_zone_t *z)
{
    voice_gateway_record_t  *g = gateway_of(z, 1);

    z->state[g->states - 1].gateway_prev = 1;
}

static void
spoil_gateway_name(voice_zone_t *z)
{
    gateway_of(z, 3)->session_id[7] = 'f';
}

static void
spoil_gateway_deadline(voice_zone_t *z)
{
    gateway_of(z, 2)->deadline = 5;
}

static void
spoil_gateway_worker(voice_zone_t *z)
{
    gateway_of(z, 2)->worker = 9;
}

static void
spoil_gateway_next(voice_zone_t *z)
{
    gateway_of(z, 2)->next = 1000;
}

static void
spoil_gateway_behind(voice_zone_t *z)
{
    gateway_of(z, 1)->next = 1;
}

static void
spoil_dispatches(voice_zone_t *z)
{
    gateway_of(z, 1)->dispatch[1] = 3;
}

static void
spoil_worker_count(voice_zone_t *z)
{
    z->header->worker[0].gateways++;
}

static void
spoil_gateways_used(voice_zone_t *z)
{
    z->header->gateways_used++;
}

static void
spoil_gateway_free(voice_zone_t *z)
{
    z->header->gateway_free = 1;
}

static void
spoil_gateway_wiped(voice_zone_t *z)
{
    z->gateway[3].token_hash[0] = 1;
}

static void
spoil_bounds(voice_zone_t *z)
{
    z->header->guild_end = SESSIONS + 1;
}


static const verify_case_t  cases[] = {
    { "not applied", spoil_applied, true },
    { "lost event", spoil_event, false },
    { "type of event", spoil_type, false },
    { "cut list of a guild", spoil_guild_link, true },
    { "round list of a guild", spoil_guild_loop, true },
    { "count of a guild", spoil_guild_count, true },
    { "index of guilds", spoil_guild_index, true },
    { "guilds used", spoil_guilds_used, true },
    { "free list of guilds", spoil_guild_free, true },
    { "index of members", spoil_member_index, true },
    { "states used", spoil_states_used, true },
    { "free list of states", spoil_state_free, true },
    { "owner", spoil_owner, false },
    { "session id", spoil_name, false },
    { "flags", spoil_flags, false },
    { "sticky flags", spoil_sticky, false },
    { "flags of the relay", spoil_relay, false },
    { "list of a gateway session", spoil_gateway_list, true },
    { "link of a gateway session", spoil_gateway_prev, true },
    { "id of a gateway session", spoil_gateway_name, false },
    { "deadline of a gateway session", spoil_gateway_deadline, true },
    { "worker of a gateway session", spoil_gateway_worker, false },
    { "place in the log", spoil_gateway_next, false },
    { "place behind the last dispatch", spoil_gateway_behind, true },
    { "order of dispatches", spoil_dispatches, false },
    { "count of a worker", spoil_worker_count, true },
    { "gateway sessions used", spoil_gateways_used, true },
    { "free list of gateway sessions", spoil_gateway_free, true },
    { "free gateway session", spoil_gateway_wiped, false },
    { "bounds", spoil_bounds, true },
};


/* Two in voice, one of them by the relay, one kept for a mute, a free slot. */

static void
prepare(voice_zone_t *z, void *mem)
{
    bool                      replaced;
    uint8_t                   token[VOICE_TOKEN_HASH_LEN] = { 1 };
    uint32_t                  attach;
    uint64_t                  seq;
    uint64_t                  user;
    voice_id_t                id;
    voice_state_join_t        j = { .guild_id = 10, .channel_id = 20 };
    voice_state_change_t      change;
    voice_session_conf_t      c = { .guild_id = 10, .user_id = 1,
                                    .channel_id = 20, .version = 8 };
    voice_gateway_session_t   h[4];

    test_err("format", voice_zone_format(z, mem, voice_zone_size(SESSIONS),
                                         SESSIONS, "node"), VOICE_OK);
    voice_worker_register(z, 0, 11, "one", 1, 1000);

    for (user = 1; user <= 4; user++) {
        test_err("create", voice_gateway_session_create(z, user, token, 1,
                                                        &h[user - 1]),
                 VOICE_OK);

        j.user_id = user;
        j.gateway = h[user - 1].id;
        test_err("join", voice_state_join(z, &j, &change), VOICE_OK);
    }

    c.session_id = h[0].session_id;
    test_err("voice", voice_session_create(z, &c, 10, &id, &attach,
                                           &replaced), VOICE_OK);

    voice_state_flags(z, 10, 3, VOICE_SESSION_MUTE, 0, NULL);
    voice_state_leave(z, 10, 3);
    voice_gateway_session_destroy(z, &h[3]);

    test_err("dispatch", voice_gateway_session_dispatched(z, &h[0], 1, &seq),
             VOICE_OK);
    test_err("dispatch", voice_gateway_session_dispatched(z, &h[0], 2, &seq),
             VOICE_OK);
}


static void
test_verify(void **state)
{
    char          text[256];
    size_t        i, size = voice_zone_size(SESSIONS);
    void         *mem;
    unsigned      faults;
    voice_zone_t  z;

    (void) state;

    for (i = 0; i < test_n(cases); i++) {
        mem = zone_memory(size);
        prepare(&z, mem);

        test_num(cases[i].name, voice_zone_verify(&z, text, sizeof(text)), 0);

        cases[i].spoil(&z);

        if (voice_zone_verify(&z, text, sizeof(text)) == 0
            || text[0] == '\0')
        {
            fail_msg("%s: not seen", cases[i].name);
        }

        voice_zone_lock(&z);
        voice_zone_repair(&z);
        faults = voice_zone_verify(&z, text, sizeof(text));
        voice_zone_unlock(&z);

        if ((faults == 0) != cases[i].repaired) {
            fail_msg("%s: %u faults after the repair: %s", cases[i].name,
                     faults, text);
        }

        munmap(mem, size);
    }
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_verify),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
