/*
 * Copyright (C) ngx-voice contributors
 *
 * Addresses come, or nothing does, while the caller goes on.
 */


#include "test_util.h"

#include "agent_lookup.h"

#include <time.h>


static void
nap(void)
{
    struct timespec  ts = { 0, 1000000 };

    nanosleep(&ts, NULL);
}


static struct addrinfo *
over(agent_lookup_t *l)
{
    int               i;
    struct addrinfo  *addresses;

    for (i = 0; !agent_lookup_done(l, &addresses); i++) {
        assert_true(i < 30000);
        nap();
    }

    return addresses;
}


static void
test_addresses(void **state)
{
    agent_lookup_t   *l;
    struct addrinfo  *addresses;

    (void) state;

    l = agent_lookup_start("127.0.0.1", "443");
    assert_non_null(l);
    addresses = over(l);
    assert_non_null(addresses);
    assert_int_equal(addresses->ai_family, AF_INET);
    assert_null(addresses->ai_next);
    freeaddrinfo(addresses);

    l = agent_lookup_start("127.0.0.1", "no-such-service");
    assert_non_null(l);
    assert_null(over(l));
}


/* Whoever is last frees it, and only then is there room for another one. */

static void
test_dropped(void **state)
{
    int              i, round;
    agent_lookup_t  *l[AGENT_LOOKUPS], *more;

    (void) state;

    agent_lookup_drop(NULL);

    for (round = 0; round < 50; round++) {

        for (i = 0; i < AGENT_LOOKUPS; i++) {

            /* those of the last round may still be under way */

            while ((l[i] = agent_lookup_start("127.0.0.1", "443")) == NULL) {
                nap();
            }
        }

        more = agent_lookup_start("127.0.0.1", "443");
        assert_null(more);

        for (i = 0; i < AGENT_LOOKUPS; i++) {
            if (i % 2 != 0) {
                nap();
            }

            agent_lookup_drop(l[i]);
        }
    }
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_addresses),
        cmocka_unit_test(test_dropped),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
