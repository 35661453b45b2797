/*
 * Copyright (C) ngx-voice contributors
 *
 * Random histories of the guild service against a model, and the zone
 * against itself.
 */


#include "test_util.h"
#include "guild_ops.h"


#define RANDOM_SEEDS   6
#define RANDOM_OPS     40000


static void
random_compare_states(gops_zone_t *o)
{
    size_t               n, expected;
    unsigned             g, u;
    const char          *why;
    voice_err_t          err;
    voice_zone_t        *z = &o->z[1];
    const gops_state_t  *st;
    voice_state_info_t   info, list[GOPS_USERS];

    for (g = 0; g < GOPS_GUILDS; g++) {
        expected = 0;

        for (u = 0; u < GOPS_USERS; u++) {
            st = &o->state[g][u];
            err = voice_state_get(z, o->base + g, gops_user(o, u), &info);

            ops_check(o, err == (st->channel ? VOICE_OK
                                             : VOICE_E_NOT_FOUND));
            ops_check(o, voice_state_sticky(z, o->base + g, gops_user(o, u))
                         == (st->flags & VOICE_STATE_STICKY));

            why = gops_told(z, o->base + g, gops_user(o, u));

            if (why != NULL) {
                ops_fail(o, "user %u of guild %u: %s", u, g, why);
            }

            if (st->channel == 0 || err != VOICE_OK) {
                continue;
            }

            expected++;
            ops_check(o, info.flags == st->flags
                         && info.channel_id == 2000 + st->channel
                         && info.request_to_speak == st->request
                         && strcmp(info.session_id, st->sid) == 0);
        }

        voice_state_list(z, o->base + g, list, GOPS_USERS, &n);
        ops_check(o, n == expected);

        for (u = 1; u <= GOPS_CHANNELS; u++) {
            ops_check(o, voice_state_count(z, o->base + g, 2000 + u)
                         == gops_count(o, g, u));
        }
    }
}


static void
random_compare(gops_zone_t *o)
{
    unsigned              i, attached, detached;
    char                  text[256];
    voice_guild_stats_t   st;

    if (voice_zone_verify(&o->z[0], text, sizeof(text)) != 0) {
        ops_fail(o, "%s", text);
        return;
    }

    random_compare_states(o);

    attached = 0;
    detached = 0;

    for (i = 0; i < GOPS_GATEWAYS; i++) {
        attached += o->gateway[i].exists && o->gateway[i].owner >= 0;
        detached += o->gateway[i].exists && o->gateway[i].owner < 0;
    }

    voice_guild_stats(&o->z[2], &st);
    ops_check(o, st.attached == attached && st.detached == detached);
}


/* Nobody is owed anything in the end: all come back and get it. */

static void
random_end(gops_zone_t *o)
{
    unsigned         i;
    gops_gateway_t  *g;

    for (i = 0; i < GOPS_GATEWAYS; i++) {
        g = &o->gateway[i];

        o->nexpected = 0;
        o->before = voice_log_next(&o->z[0]);

        if (g->exists && (g->owner < 0 || g->broken)) {
            gops_resume(o, g, i % GOPS_WORKERS);
            gops_voice_clean(o);
            gops_appended(o, true);
        }
    }

    for (i = 0; i < GOPS_GATEWAYS && o->why[0] == '\0'; i++) {
        g = &o->gateway[i];

        if (!g->exists || g->owner < 0) {
            continue;
        }

        gops_flush(o, g, 1000000);

        for ( /* void */ ; g->owner >= 0 && g->pos < o->events; g->pos++) {
            if (gops_visible(o, g, &o->history[g->pos % GOPS_HISTORY])) {
                ops_fail(o, "client %u never got event %llu", i,
                         (unsigned long long)
                         o->history[g->pos % GOPS_HISTORY].number);
                return;
            }
        }
    }
}


static void
test_random(void **state)
{
    void                *mem;
    size_t               size;
    unsigned             seed, i, op, replayed, expired;
    uint64_t             random;
    static gops_zone_t   o;

    (void) state;

    size = voice_zone_size(GOPS_SESSIONS);
    replayed = 0;
    expired = 0;

    for (seed = 1; seed <= RANDOM_SEEDS; seed++) {
        mem = zone_memory(size);
        random = seed * 0x9E3779B97F4A7C15ull;

        memset(&o, 0, sizeof(o));
        gops_init(&o, mem, true, 0);

        for (i = 0; i < RANDOM_OPS && o.why[0] == '\0'; i++) {
            op = zone_random(&random) % GOPS_COUNT;
            gops_run(&o, op, zone_random(&random), zone_random(&random));

            if (i % 32 == 0 && o.why[0] == '\0') {
                random_compare(&o);
            }
        }

        if (o.why[0] == '\0') {
            random_end(&o);
            random_compare(&o);
        }

        if (o.why[0] != '\0') {
            fail_msg("seed %u, operation %u of kind %u: %s", seed, i, op,
                     o.why);
        }

        replayed += o.replayed;
        expired += o.expired;
        munmap(mem, size);
    }

    print_message("%u dispatches replayed, %u sessions came too late\n",
                  replayed, expired);

    /* or the test has not tested what it is for */

    assert_true(replayed > 10000);
    assert_true(expired > 10);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_random),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
