/*
 * Copyright (C) ngx-voice contributors
 */


#include "test_util.h"

#include "voice_store.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>


#define MEGABYTE     (1024 * 1024)
#define PIECE        (VOICE_STORE_CHUNK - 8)


static void
store_open(voice_store_t *st)
{
    void    *mem;
    size_t   size;

    size = voice_store_size(MEGABYTE);
    mem = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
               -1, 0);
    assert_ptr_not_equal(mem, MAP_FAILED);

    assert_int_equal(voice_store_format(st, mem, MEGABYTE), VOICE_OK);
}


static void
store_close(voice_store_t *st)
{
    munmap(st->header, st->header->size);
}


static char *
text_make(size_t len, unsigned seed)
{
    char    *text;
    size_t   i;

    text = malloc(len + 1);
    assert_non_null(text);

    for (i = 0; i < len; i++) {
        text[i] = (char) ('a' + (i * 7 + seed) % 26);
    }

    text[len] = '\0';

    return text;
}


static uint64_t
put(voice_store_t *st, uint64_t id, size_t len, unsigned seed,
    uint64_t expected, voice_err_t err)
{
    char      *text;
    uint64_t   change;

    change = 0;
    text = text_make(len, seed);
    assert_int_equal(voice_store_put(st, id, text, len, expected, &change),
                     err);
    free(text);

    return change;
}


/* The guild's text is that of the seed; len 0: it is marked as deleted. */

static void
expect(voice_store_t *st, uint64_t id, size_t len, unsigned seed,
    uint64_t change)
{
    char                 *text;
    voice_store_entry_t   e;

    assert_int_equal(voice_store_next(st, change - 1, NULL, &e), VOICE_OK);
    assert_int_equal(e.id, id);
    assert_int_equal(e.change, change);

    if (len == 0) {
        assert_int_equal(e.state, VOICE_STORE_DELETED);
        assert_null(e.text);
        return;
    }

    assert_int_equal(e.state, VOICE_STORE_TEXT);
    assert_int_equal(e.len, len);

    text = text_make(len, seed);
    assert_string_equal(e.text, text);
    free(text);
    voice_free(NULL, e.text);
}


static void
text_of_each_length_comes_back(void **state)
{
    size_t         i;
    uint64_t       change;
    voice_store_t  st;

    static const size_t  len[] = {
        1, 100, PIECE - 1, PIECE, PIECE + 1, 2 * PIECE - 1, 2 * PIECE,
        2 * PIECE + 1, 10 * PIECE + 3
    };

    (void) state;
    store_open(&st);

    for (i = 0; i < sizeof(len) / sizeof(len[0]); i++) {
        change = put(&st, 100 + i, len[i], (unsigned) i, 0, VOICE_OK);
        assert_int_equal(change, i + 1);
    }

    for (i = 0; i < sizeof(len) / sizeof(len[0]); i++) {
        expect(&st, 100 + i, len[i], (unsigned) i, i + 1);
    }

    assert_int_equal(voice_store_change(&st), i);
    store_close(&st);
}


static void
put_of_an_old_view_is_stale(void **state)
{
    uint64_t       a, b;
    voice_store_t  st;

    (void) state;
    store_open(&st);

    a = put(&st, 1, 10, 1, 0, VOICE_OK);
    put(&st, 1, 10, 2, 0, VOICE_E_STALE);
    b = put(&st, 1, 10, 3, a, VOICE_OK);
    put(&st, 1, 10, 4, a, VOICE_E_STALE);
    put(&st, 2, 10, 5, a, VOICE_E_STALE);
    expect(&st, 1, 10, 3, b);

    assert_int_equal(voice_store_put(&st, 1, NULL, 0, a, &a), VOICE_E_STALE);
    assert_int_equal(voice_store_put(&st, 1, NULL, 0, b, &a), VOICE_OK);
    expect(&st, 1, 0, 0, a);

    /* what was deleted can be made again */
    b = put(&st, 1, 10, 6, a, VOICE_OK);
    expect(&st, 1, 10, 6, b);

    store_close(&st);
}


static void
changes_come_in_order_and_once(void **state)
{
    uint64_t              since;
    unsigned              i;
    voice_store_t         st;
    voice_store_entry_t   e;

    static const uint64_t  order[] = { 1, 3, 2 };

    (void) state;
    store_open(&st);

    put(&st, 1, 10, 1, 0, VOICE_OK);
    put(&st, 2, 10, 1, 0, VOICE_OK);
    put(&st, 3, 10, 1, 0, VOICE_OK);
    put(&st, 2, 10, 2, 2, VOICE_OK);

    for (i = 0, since = 0; i < 3; i++, since = e.change) {
        assert_int_equal(voice_store_next(&st, since, NULL, &e), VOICE_OK);
        assert_int_equal(e.id, order[i]);
        voice_free(NULL, e.text);
    }

    assert_int_equal(since, 4);
    assert_int_equal(voice_store_next(&st, since, NULL, &e),
                     VOICE_E_NOT_FOUND);

    store_close(&st);
}


static void
full_store_changes_nothing_and_gives_back(void **state)
{
    char                  *text;
    uint64_t               change, last;
    voice_store_t          st;
    voice_store_stats_t    stats;

    (void) state;
    store_open(&st);

    change = put(&st, 1, MEGABYTE / 2, 1, 0, VOICE_OK);
    voice_store_stats(&st, &stats);
    last = stats.chunks_used;

    put(&st, 2, MEGABYTE / 2 + PIECE, 2, 0, VOICE_E_FULL);
    put(&st, 1, MEGABYTE / 2 + PIECE, 3, change, VOICE_E_FULL);
    expect(&st, 1, MEGABYTE / 2, 1, change);

    voice_store_stats(&st, &stats);
    assert_int_equal(stats.chunks_used, last);
    assert_int_equal(stats.guilds, 1);

    /* the former text's chunks are free again, each time */

    text = text_make(MEGABYTE / 4, 5);

    for (last = 0; last < 20; last++) {
        assert_int_equal(voice_store_put(&st, 1, text, MEGABYTE / 4, change,
                                         &change),
                         VOICE_OK);
    }

    free(text);

    assert_int_equal(voice_store_put(&st, 1, NULL, 0, change, &change),
                     VOICE_OK);
    voice_store_stats(&st, &stats);
    assert_int_equal(stats.chunks_used, 0);
    assert_int_equal(stats.deleted, 1);

    store_close(&st);
}


static void
what_is_no_guild_is_out_of_range(void **state)
{
    uint64_t       change;
    voice_store_t  st;

    (void) state;
    store_open(&st);

    put(&st, 0, 10, 1, 0, VOICE_E_RANGE);
    assert_int_equal(voice_store_put(&st, 1, "", 0, 0, &change),
                     VOICE_E_RANGE);
    assert_int_equal(voice_store_change(&st), 0);

    store_close(&st);
}


static void
attach_refuses_what_is_another(void **state)
{
    voice_store_t  st, other;
    size_t         size;

    (void) state;
    store_open(&st);
    size = voice_store_size(MEGABYTE);

    assert_int_equal(voice_store_attach(&other, st.header, size), VOICE_OK);
    assert_ptr_equal(other.chunk, st.chunk);
    assert_int_equal(voice_store_attach(&other, st.header, 4096),
                     VOICE_E_FORMAT);
    assert_int_equal(voice_store_attach(&other, st.header,
                                        voice_store_size(2 * MEGABYTE)),
                     VOICE_E_LENGTH);

    st.header->layout++;
    assert_int_equal(voice_store_attach(&other, st.header, size),
                     VOICE_E_FORMAT);
    st.header->layout--;

    st.header->magic++;
    assert_int_equal(voice_store_attach(&other, st.header, size),
                     VOICE_E_FORMAT);

    store_close(&st);
}


static void
names_are_kept_until_others_need_the_place(void **state)
{
    bool           bot;
    char           name[VOICE_TOKEN_NAME_MAX + 1];
    char           longest[VOICE_TOKEN_NAME_MAX + 1];
    uint64_t       id;
    voice_store_t  st;

    (void) state;
    store_open(&st);

    assert_int_equal(voice_store_name_get(&st, 7, name, &bot),
                     VOICE_E_NOT_FOUND);

    voice_store_name_set(&st, 7, "ann", false);
    voice_store_name_set(&st, 7, "anna", true);
    assert_int_equal(voice_store_name_get(&st, 7, name, &bot), VOICE_OK);
    assert_string_equal(name, "anna");
    assert_true(bot);

    memset(longest, 'x', sizeof(longest) - 1);
    longest[sizeof(longest) - 1] = '\0';
    voice_store_name_set(&st, 8, longest, false);
    assert_int_equal(voice_store_name_get(&st, 8, name, &bot), VOICE_OK);
    assert_string_equal(name, longest);
    assert_false(bot);

    for (id = 1000; id < 1000 + 20 * VOICE_STORE_NAMES; id++) {
        voice_store_name_set(&st, id, "other", false);
    }

    assert_int_equal(voice_store_name_get(&st, 7, name, &bot),
                     VOICE_E_NOT_FOUND);
    assert_int_equal(voice_store_name_get(&st, id - 1, name, &bot), VOICE_OK);

    store_close(&st);
}


static void *
alloc_nothing(void *data, size_t size)
{
    (void) data;
    (void) size;

    return NULL;
}


static void
no_memory_is_told(void **state)
{
    voice_alloc_t         none;
    voice_store_t         st;
    voice_store_entry_t   e;

    (void) state;
    store_open(&st);
    put(&st, 1, 10, 1, 0, VOICE_OK);

    none.alloc = alloc_nothing;
    none.free = NULL;
    none.data = NULL;

    assert_int_equal(voice_store_next(&st, 0, &none, &e), VOICE_E_NOMEM);

    /* nor does it hold the lock */
    put(&st, 2, 10, 1, 0, VOICE_OK);

    store_close(&st);
}


static uint64_t
change_of(const voice_store_t *st, uint64_t id)
{
    uint32_t                     i;
    const voice_store_guild_t   *g;

    for (i = 0; i < st->header->guilds; i++) {
        g = &st->header->guild[i];

        if (g->id == id) {
            return g->value[g->now & 1].change;
        }
    }

    return 0;
}


/* Puts texts of many sizes until it is killed. */

static void
writer(voice_store_t *st, unsigned seed)
{
    char      *text;
    size_t     len;
    uint64_t   change, id;

    srand(seed);

    for ( ;; ) {
        id = (uint64_t) rand() % 8 + 1;
        len = (size_t) rand() % (6 * PIECE) + 1;
        text = text_make(len, (unsigned) len);

        /* taking the lock first, it is repaired before it is looked at */

        (void) voice_store_put(st, id, text, len, UINT64_MAX, &change);
        (void) voice_store_put(st, id, rand() % 9 ? text : NULL, len,
                               change_of(st, id), &change);

        free(text);
    }
}


/* Each text is whole, and each chunk is either in one text or free. */

static void
expect_sound(voice_store_t *st)
{
    char                  *text;
    size_t                 used;
    uint64_t               since;
    voice_store_entry_t    e;
    voice_store_stats_t    stats;

    used = 0;

    for (since = 0;
         voice_store_next(st, since, NULL, &e) == VOICE_OK;
         since = e.change)
    {
        if (e.state != VOICE_STORE_TEXT) {
            continue;
        }

        text = text_make(e.len, (unsigned) e.len);
        assert_string_equal(e.text, text);
        free(text);
        voice_free(NULL, e.text);

        used += (e.len + PIECE - 1) / PIECE;
    }

    assert_int_equal(since, voice_store_change(st));

    voice_store_stats(st, &stats);
    assert_int_equal(stats.chunks_used, used);
}


static void
a_writer_may_die_at_any_instruction(void **state)
{
    int            i, inside;
    pid_t          pid;
    voice_store_t  st;

    (void) state;
    store_open(&st);

    /* without one that dies inside the lock this shows nothing */

    for (i = 0, inside = 0; i < 300 || inside == 0; i++) {
        assert_true(i < 10000);

        pid = fork();
        assert_true(pid >= 0);

        if (pid == 0) {
            writer(&st, (unsigned) i);
        }

        usleep(500 + (i % 50) * 40);
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);

        /* glibc: the owner's thread id, with a bit when it has died */
        inside += st.header->mutex.__data.__lock != 0;

        expect_sound(&st);
    }

    store_close(&st);
}


static voice_err_t
merge(voice_store_t *st, uint64_t id, const char *text, uint64_t revision)
{
    uint64_t  change;

    return voice_store_merge(st, id, text, text != NULL ? strlen(text) : 0,
                             revision, &change);
}


static void
text_is(voice_store_t *st, uint64_t id, const char *text, uint64_t revision)
{
    voice_store_entry_t  e;

    assert_int_equal(voice_store_get(st, id, NULL, &e), VOICE_OK);
    assert_int_equal(e.revision, revision);

    if (text == NULL) {
        assert_int_equal(e.state, VOICE_STORE_DELETED);
        return;
    }

    assert_string_equal(e.text, text);
    voice_free(NULL, e.text);
}


static void
higher_revision_holds_in_any_order(void **state)
{
    size_t         i, k;
    uint64_t       change;
    voice_store_t  st[6];

    static const struct {
        const char  *text;
        uint64_t     revision;
    } put[] = { { "two", 2 }, { "three", 3 }, { NULL, 3 } };

    static const unsigned  order[6][3] = {
        { 0, 1, 2 }, { 0, 2, 1 }, { 1, 0, 2 }, { 1, 2, 0 }, { 2, 0, 1 },
        { 2, 1, 0 }
    };

    (void) state;

    for (i = 0; i < 6; i++) {
        store_open(&st[i]);

        for (k = 0; k < 3; k++) {
            (void) merge(&st[i], 1, put[order[i][k]].text,
                         put[order[i][k]].revision);
        }

        /* of two that were made at once a text holds against none */

        text_is(&st[i], 1, "three", 3);
        assert_int_equal(voice_store_digest(&st[i]),
                         voice_store_digest(&st[0]));
        assert_int_equal(merge(&st[i], 1, "three", 3), VOICE_E_STALE);
    }

    /* a change of our own is one after what it was made from */

    assert_int_equal(voice_store_put(&st[0], 1, "mine", 4,
                                     voice_store_change(&st[0]), &change),
                     VOICE_OK);
    text_is(&st[0], 1, "mine", 4);
    assert_true(voice_store_digest(&st[0]) != voice_store_digest(&st[1]));

    assert_int_equal(merge(&st[1], 1, "mine", 4), VOICE_OK);
    assert_int_equal(voice_store_digest(&st[0]), voice_store_digest(&st[1]));

    assert_int_equal(merge(&st[0], 1, "none", 0), VOICE_E_RANGE);
    assert_int_equal(merge(&st[0], 1, "late", UINT64_MAX), VOICE_E_RANGE);
    assert_int_equal(merge(&st[0], 0, "none", 1), VOICE_E_RANGE);

    for (i = 0; i < 6; i++) {
        store_close(&st[i]);
    }
}


static void
versions_are_offered_and_wanted(void **state)
{
    size_t                  i, n;
    uint64_t                since, wants;
    voice_store_t           st, other;
    voice_store_version_t   list[VOICE_STORE_VERSIONS];

    (void) state;
    store_open(&st);
    store_open(&other);

    for (i = 1; i <= VOICE_STORE_VERSIONS + 6; i++) {
        put(&st, 1000 - i, 10, (unsigned) i, 0, VOICE_OK);
    }

    assert_int_equal(merge(&st, 5, "foreign", 7), VOICE_OK);

    /* in order of their changes, in two parts, without the foreign one */

    since = 0;
    voice_store_versions(&st, &since, false, list, VOICE_STORE_VERSIONS, &n);
    assert_int_equal(n, VOICE_STORE_VERSIONS);
    assert_int_equal(since, VOICE_STORE_VERSIONS);

    for (i = 0; i < n; i++) {
        assert_int_equal(list[i].id, 999 - i);
        assert_int_equal(list[i].revision, 1);
    }

    assert_int_equal(voice_store_wants(&other, list, n), UINT64_MAX);

    put(&other, list[3].id, 10, 4, 0, VOICE_OK);       /* the same */
    put(&other, list[0].id, 10, 9, 0, VOICE_OK);
    put(&other, list[0].id, 10, 9, 2, VOICE_OK);       /* newer */
    assert_int_equal(voice_store_wants(&other, list, n), UINT64_MAX - 9);
    assert_int_equal(voice_store_wants(&other, list, 3), 6);
    assert_int_equal(voice_store_wants(&other, list, 0), 0);

    voice_store_versions(&st, &since, false, list, VOICE_STORE_VERSIONS, &n);
    assert_int_equal(n, 6);
    assert_int_equal(since, voice_store_change(&st));
    voice_store_versions(&st, &since, true, list, VOICE_STORE_VERSIONS, &n);
    assert_int_equal(n, 0);

    since = VOICE_STORE_VERSIONS;
    voice_store_versions(&st, &since, true, list, VOICE_STORE_VERSIONS, &n);
    assert_int_equal(n, 7);
    assert_int_equal(list[6].id, 5);
    assert_int_equal(list[6].revision, 7);

    wants = voice_store_wants(&st, list, n);
    assert_int_equal(wants, 0);

    store_close(&st);
    store_close(&other);
}


static void
one_node_at_a_time_is_asked(void **state)
{
    voice_store_t  st;

    (void) state;
    store_open(&st);

    assert_true(voice_store_sync(&st, 50000));
    assert_false(voice_store_sync(&st, 50001));
    assert_false(voice_store_sync(&st, 50000 + VOICE_STORE_SYNC - 1));
    assert_true(voice_store_sync(&st, 50000 + VOICE_STORE_SYNC));

    /* the clock began anew */
    assert_true(voice_store_sync(&st, 10));

    store_close(&st);
}


static void
node_that_cannot_take_guilds_asks_less(void **state)
{
    size_t         i;
    uint64_t       at, wait;
    voice_store_t  st;

    (void) state;
    store_open(&st);

    at = 50000;
    wait = VOICE_STORE_WAIT_MIN;

    for (i = 0; i < 8; i++) {
        assert_true(voice_store_sync(&st, at));
        assert_true(voice_store_failed(&st, at));

        /* others of the same answer, or later ones, make it no longer */
        assert_false(voice_store_failed(&st, at + wait - 1));
        assert_false(voice_store_sync(&st, at + wait - 1));

        at += wait;
        wait = wait * 2 < VOICE_STORE_WAIT_MAX ? wait * 2
                                               : VOICE_STORE_WAIT_MAX;
    }

    assert_int_equal(wait, VOICE_STORE_WAIT_MAX);

    /* all are taken: as at first */
    assert_true(voice_store_sync(&st, at));
    assert_true(voice_store_sync(&st, at + VOICE_STORE_SYNC));
    assert_true(voice_store_failed(&st, at + VOICE_STORE_SYNC));
    at += VOICE_STORE_SYNC + VOICE_STORE_WAIT_MIN;
    assert_false(voice_store_sync(&st, at - 1));
    assert_true(voice_store_sync(&st, at));

    /* the clock began anew */
    assert_true(voice_store_failed(&st, 10 * at));
    assert_true(voice_store_sync(&st, 10));

    store_close(&st);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(text_of_each_length_comes_back),
        cmocka_unit_test(put_of_an_old_view_is_stale),
        cmocka_unit_test(changes_come_in_order_and_once),
        cmocka_unit_test(full_store_changes_nothing_and_gives_back),
        cmocka_unit_test(what_is_no_guild_is_out_of_range),
        cmocka_unit_test(attach_refuses_what_is_another),
        cmocka_unit_test(names_are_kept_until_others_need_the_place),
        cmocka_unit_test(no_memory_is_told),
        cmocka_unit_test(a_writer_may_die_at_any_instruction),
        cmocka_unit_test(higher_revision_holds_in_any_order),
        cmocka_unit_test(versions_are_offered_and_wanted),
        cmocka_unit_test(one_node_at_a_time_is_asked),
        cmocka_unit_test(node_that_cannot_take_guilds_asks_less),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
