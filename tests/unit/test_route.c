/*
 * Copyright (C) ngx-voice contributors
 */


#include "kill.h"
#include "test_util.h"
#include "zone_ops.h"

#include <sys/wait.h>


#define NONCE_PROCESSES   4
#define NONCE_SESSIONS    3
#define NONCE_RECORDS     (1u << 17)
#define NONCE_MS          4000
#define NONCE_ENOUGH      10000   /* on a busy machine */
#define NONCE_KEYS        100

#define LOG_VERSIONS      (1u << 20)
#define LOG_SAMPLES       (1u << 16)
#define LOG_READERS       3
#define LOG_MS            2500
#define LOG_BREAK         100     /* changes, then readers get a turn */
#define LOG_ENOUGH        1000    /* samples, on a busy machine */


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
make_live(uint64_t user, uint64_t channel)
{
    bool                  replaced;
    uint8_t               secret[VOICE_KEY_LEN] = { (uint8_t) user };
    uint32_t              attach;
    voice_id_t            id;
    voice_session_conf_t  c = { .user_id = user, .guild_id = 1,
                                .channel_id = channel, .session_id = "sid",
                                .version = 8 };

    if (voice_session_create(&o.z[0], &c, 1, &id, &attach, &replaced)
        != VOICE_OK
        || voice_session_select(&o.z[0], id, user % VOICE_MODE_COUNT, secret,
                                NULL, 1, 1) != VOICE_OK)
    {
        return 0;
    }

    return id;
}


static voice_err_t
bind_to(voice_id_t id, uint32_t host, uint16_t port)
{
    voice_addr_t  addr = zone_address(host, port);
    voice_addr_t  local = zone_address(~host, port);

    return voice_session_bind(&o.z[0], id, &addr, &local);
}


static uint32_t
room_of(voice_id_t id)
{
    return voice_id_index(voice_session_get(&o.z[0], id)->room);
}


/* A process that can't outlive the test. */

static pid_t
child_fork(void)
{
    pid_t  pid;

    pid = fork();
    assert_true(pid >= 0);

    if (pid == 0) {
        kill_child();
    }

    return pid;
}


static void
child_wait(pid_t pid)
{
    int  status;

    assert_int_equal(waitpid(pid, &status, 0), pid);

    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
        fail_msg("a process ended with status %d", status);
    }
}


static void
test_fanout(void **state)
{
    size_t           i, n;
    uint32_t         gen, room;
    uint64_t         version;
    voice_id_t       id[5];
    voice_route_t    list[8];
    voice_session_t  *s;

    (void) state;

    for (i = 0; i < 5; i++) {
        id[i] = make_live(1 + i, i == 4 ? 20 : 10);
        assert_true(id[i] != 0);
    }

    room = room_of(id[0]);

    test_err("unbound", voice_route_copy(&o.z[1], room, list, 8, &n, &version,
                                         &gen), VOICE_OK);
    assert_int_equal(n, 0);
    assert_true(voice_id_make(gen, room) == voice_session_get(&o.z[0],
                                                              id[0])->room);

    for (i = 0; i < 5; i++) {
        test_err("bind", bind_to(id[i], 100 + i, 1), VOICE_OK);
    }

    voice_session_flags(&o.z[0], id[1], VOICE_SESSION_DEAF, 0);
    voice_session_flags(&o.z[0], id[2], VOICE_SESSION_MUTE, 0);

    test_err("copy", voice_route_copy(&o.z[1], room, list, 8, &n, &version,
                                      &gen), VOICE_OK);
    assert_int_equal(n, 3);

    for (i = 0; i < n; i++) {
        s = &o.z[1].session[list[i].session];

        assert_true(voice_session_id(&o.z[1], s)
                    == voice_id_make(list[i].gen, list[i].session));
        assert_true(s->user_id != 2 && s->user_id != 5);
        assert_int_equal(list[i].mode, s->user_id % VOICE_MODE_COUNT);
        assert_int_equal(list[i].key, s->key);
        assert_int_equal(list[i].flags, s->user_id == 3 ? VOICE_SESSION_MUTE
                                                        : 0);
        assert_int_equal(list[i].remote.ip[0], 100 + s->user_id - 1);
        assert_int_equal(list[i].local.ip[0], 255 - list[i].remote.ip[0]);
    }

    n = 0;
    test_err("too many", voice_route_copy(&o.z[1], room, list, 2, &n,
                                          &version, &gen), VOICE_E_FULL);
    assert_int_equal(n, 3);

    /* a writer that died: no waiting for ever */

    o.z[0].room[room].version |= 1;
    test_err("closed", voice_route_copy(&o.z[1], room, list, 8, &n, &version,
                                        &gen), VOICE_AGAIN);
    o.z[0].room[room].version += 1;
}


/* What moves a room's version, and what must not. */

static void
test_version(void **state)
{
    static const struct {
        const char  *name;
        bool         moves;
    } cases[] = {
        { "join", true }, { "bind", true }, { "rekey", true },
        { "deaf", true }, { "undeaf", true }, { "mute", true },
        { "leave", true }, { "identify", false }, { "speaking", false },
        { "events", false }, { "nonces", false }, { "resume", false },
        { "detach", false }, { "another room", false },
    };

    bool                   replaced;
    size_t                 i, n;
    uint8_t                secret[VOICE_KEY_LEN] = { 3 };
    uint8_t                hash[VOICE_TOKEN_HASH_LEN] = { 0 };
    uint32_t               attach, gen, from, to, room;
    uint64_t               before, after;
    voice_id_t             a, b, id;
    voice_route_t          list[8];
    voice_zone_t          *z = &o.z[0];
    voice_session_conf_t   c = { .user_id = 9, .guild_id = 1,
                                 .channel_id = 10, .session_id = "sid",
                                 .version = 8 };

    (void) state;

    a = make_live(1, 10);
    b = make_live(2, 10);
    room = room_of(a);

    for (i = 0; i < test_n(cases); i++) {
        test_err("copy", voice_route_copy(z, room, list, 8, &n, &before,
                                          &gen), VOICE_OK);

        switch (i) {
        case 0: make_live(3, 10); break;
        case 1: bind_to(a, 1, 1); break;
        case 2: voice_session_select(z, a, 1, secret, NULL, 1, 1); break;
        case 3: voice_session_flags(z, a, VOICE_SESSION_DEAF, 0); break;
        case 4: voice_session_flags(z, a, 0, VOICE_SESSION_DEAF); break;
        case 5: voice_session_flags(z, a, VOICE_SESSION_MUTE, 0); break;
        case 6: voice_session_close(z, b, 0, VOICE_CLOSE_DISCONNECTED); break;
        case 7: voice_session_create(z, &c, 1, &id, &attach, &replaced);
                break;
        case 8: voice_session_speaking(z, a, 1, true); break;
        case 9: voice_session_want_key(z, a, voice_session_get(z, a)->key);
                break;
        case 10: voice_route_nonces(voice_session_get(z, a),
                                    voice_session_get(z, a)->key, &from, &to);
                 break;
        case 11: voice_session_resume(z, 1, 1, "sid", hash, 8, false, 0, 1,
                                      &id, &attach);
                 break;
        case 12: voice_session_detach(z, a, 2, 1, 1000); break;
        default: make_live(7, 70);
        }

        test_err("copy", voice_route_copy(z, room, list, 8, &n, &after,
                                          &gen), VOICE_OK);
        test_num(cases[i].name, after > before, cases[i].moves);
    }
}


typedef struct {
    uint32_t   session;
    uint32_t   epoch;
    uint32_t   from;
    uint32_t   to;
} nonce_t;

typedef struct {
    _Atomic uint32_t   n;
    _Atomic uint32_t   stop;
    nonce_t            record[NONCE_RECORDS];
} nonce_log_t;


static int
nonce_cmp(const void *one, const void *two)
{
    const nonce_t  *a = one, *b = two;

    if (a->session != b->session) {
        return a->session < b->session ? -1 : 1;
    }

    if (a->epoch != b->epoch) {
        return a->epoch < b->epoch ? -1 : 1;
    }

    return (a->from > b->from) - (a->from < b->from);
}


static void
nonce_child(nonce_log_t *log)
{
    uint32_t          n, i, from, to, epoch;
    voice_session_t  *s;

    for (i = 0; !atomic_load(&log->stop); i++) {
        s = &o.z[0].session[i % NONCE_SESSIONS];
        epoch = atomic_load(&s->key);

        /* enough of this key: the next one */

        if ((uint32_t) atomic_load(&s->nonce) > 100 * VOICE_NONCE_RESERVE) {
            usleep(50);
            continue;
        }

        if (epoch == 0
            || voice_route_nonces(s, epoch, &from, &to) != VOICE_OK)
        {
            continue;
        }

        n = atomic_fetch_add(&log->n, 1);

        if (n >= NONCE_RECORDS) {
            break;
        }

        log->record[n] = (nonce_t) { i % NONCE_SESSIONS, epoch, from, to };
    }

    _exit(0);
}


/* Over processes, re-keys, and sessions that follow each other in a slot. */

static void
test_nonces(void **state)
{
    int           i;
    pid_t         pid[NONCE_PROCESSES];
    uint8_t       secret[VOICE_KEY_LEN] = { 1 };
    uint32_t      k, n, epochs;
    uint64_t      start, user;
    voice_id_t    id[NONCE_SESSIONS];
    nonce_log_t  *log;

    (void) state;

    log = zone_memory(sizeof(nonce_log_t));
    user = 100;

    for (i = 0; i < NONCE_SESSIONS; i++) {
        id[i] = make_live(user++, 10);
        assert_int_equal(voice_id_index(id[i]), i);
    }

    for (i = 0; i < NONCE_PROCESSES; i++) {
        pid[i] = child_fork();

        if (pid[i] == 0) {
            nonce_child(log);
        }
    }

    start = kill_now();

    for (k = 0; atomic_load(&log->n) < NONCE_RECORDS; k++) {

        if (kill_now() - start > NONCE_MS && k > NONCE_KEYS
            && atomic_load(&log->n) > NONCE_ENOUGH)
        {
            break;
        }

        assert_true(kill_now() - start < KILL_SECONDS * 1000);

        i = k % NONCE_SESSIONS;

        if (k % 5 == 0) {
            voice_session_close(&o.z[0], id[i], 0, 0);
            id[i] = make_live(user++, 10);
            assert_int_equal(voice_id_index(id[i]), i);

        } else {
            voice_session_select(&o.z[0], id[i], 0, secret, NULL, 1, 1);
        }

        usleep(200);
    }

    atomic_store(&log->stop, 1);

    for (i = 0; i < NONCE_PROCESSES; i++) {
        child_wait(pid[i]);
    }

    n = atomic_load(&log->n);
    n = n < NONCE_RECORDS ? n : NONCE_RECORDS;
    qsort(log->record, n, sizeof(nonce_t), nonce_cmp);
    epochs = 1;

    for (k = 0; k < n; k++) {
        assert_true(log->record[k].to == log->record[k].from
                                         + VOICE_NONCE_RESERVE);

        if (k == 0) {
            continue;
        }

        if (log->record[k].session == log->record[k - 1].session
            && log->record[k].epoch == log->record[k - 1].epoch)
        {
            assert_true(log->record[k].from >= log->record[k - 1].to);
        } else {
            epochs++;
        }
    }

    print_message("%u ranges of %u keys\n", n, epochs);
    assert_true(n > NONCE_ENOUGH && epochs > NONCE_KEYS / 5);

    munmap(log, sizeof(nonce_log_t));
}


static void
test_nonces_end(void **state)
{
    uint32_t          from, to;
    voice_id_t        id;
    voice_session_t  *s;

    (void) state;

    id = make_live(1, 10);
    s = voice_session_get(&o.z[0], id);

    atomic_store(&s->nonce, (uint64_t) s->key << 32
                            | (VOICE_NONCE_MAX - VOICE_NONCE_RESERVE));
    test_err("last", voice_route_nonces(s, s->key, &from, &to), VOICE_OK);
    assert_int_equal(to, VOICE_NONCE_MAX);
    test_err("end", voice_route_nonces(s, s->key, &from, &to), VOICE_E_FULL);
    test_err("other", voice_route_nonces(s, s->key + 1, &from, &to),
             VOICE_E_STALE);
}


/*
 * One writer notes what each version of a room held; readers note what they
 * copied.  Each copy must be one of those that were.
 */

typedef struct {
    uint64_t   version;
    uint64_t   hash;
} sample_t;

typedef struct {
    _Atomic uint32_t   stop;
    _Atomic uint32_t   n[LOG_READERS];
    sample_t           sample[LOG_READERS][LOG_SAMPLES];
    uint64_t           hash[LOG_VERSIONS];
} route_log_t;


/* 0 if a member isn't what its own address says, so never a real hash. */

static uint64_t
log_hash(const voice_route_t *list, size_t n)
{
    size_t    i;
    uint32_t  gen;
    uint64_t  hash;

    hash = 1 + n;

    for (i = 0; i < n; i++) {
        memcpy(&gen, list[i].remote.ip, sizeof(gen));

        if (gen != list[i].gen || list[i].remote.port != list[i].session + 1
            || list[i].local.port != list[i].remote.port)
        {
            return 0;
        }

        hash = hash * 6364136223846793005u + list[i].session;
        hash = hash * 6364136223846793005u + list[i].gen;
        hash = hash * 6364136223846793005u + list[i].key;
        hash = hash * 6364136223846793005u + list[i].flags;
        hash = hash * 6364136223846793005u + list[i].mode;
        hash = hash * 6364136223846793005u + list[i].local.ip[4];
    }

    return hash != 0 ? hash : 1;
}


static void
log_reader(route_log_t *log, int k, uint32_t room)
{
    size_t         n;
    uint32_t       gen;
    uint64_t       version, last;
    sample_t      *sample;
    voice_route_t  list[OPS_SESSIONS];

    last = 0;

    while (!atomic_load(&log->stop) && log->n[k] < LOG_SAMPLES) {

        if (voice_route_copy(&o.z[1], room, list, OPS_SESSIONS, &n, &version,
                             &gen) != VOICE_OK || version == last)
        {
            continue;
        }

        sample = &log->sample[k][log->n[k]++];
        sample->version = last = version;
        sample->hash = log_hash(list, n);
    }

    _exit(0);
}


/* On a busy machine readers may come long after the writer. */

static void
log_await(route_log_t *log)
{
    int       k;
    uint64_t  start;

    start = kill_now();

    for (k = 0; k < LOG_READERS; k++) {
        while (atomic_load(&log->n[k]) == 0) {
            assert_true(kill_now() - start < KILL_SECONDS * 1000 / 2);
            usleep(1000);
        }
    }
}


static uint32_t
log_samples(const route_log_t *log)
{
    int       k;
    uint32_t  n;

    for (k = 0, n = 0; k < LOG_READERS; k++) {
        n += log->n[k];
    }

    return n;
}


static void
log_note(route_log_t *log, uint32_t room)
{
    size_t         n;
    uint32_t       gen;
    uint64_t       version;
    voice_route_t  list[OPS_SESSIONS];

    test_err("copy", voice_route_copy(&o.z[0], room, list, OPS_SESSIONS, &n,
                                      &version, &gen), VOICE_OK);
    assert_true(version / 2 < LOG_VERSIONS);
    log->hash[version / 2] = log_hash(list, n);
    assert_true(log->hash[version / 2] != 0);
}


static void
log_change(voice_id_t *id, uint64_t *user, uint32_t rnd)
{
    voice_addr_t  addr, local;

    /* who has no address yet is in no fan-out */

    switch (rnd % 4) {

    case 0:
        voice_session_close(&o.z[0], *id, 0, 0);
        *id = make_live((*user)++, 10);
        return;

    case 1:
        voice_session_flags(&o.z[0], *id, VOICE_SESSION_DEAF, 0);
        return;

    case 2:
        voice_session_flags(&o.z[0], *id, VOICE_SESSION_MUTE * (rnd >> 8 & 1),
                            VOICE_SESSION_DEAF | VOICE_SESSION_MUTE);
        return;

    default:
        addr = zone_address(voice_id_gen(*id), voice_id_index(*id) + 1);
        local = addr;
        local.ip[4] = rnd >> 8;
        voice_session_bind(&o.z[0], *id, &addr, &local);
    }
}


static void
log_compare(const route_log_t *log)
{
    int              k;
    uint32_t         i, n, checked;
    const sample_t  *sample;

    n = 0;
    checked = 0;

    for (k = 0; k < LOG_READERS; k++) {
        for (i = 0; i < log->n[k]; i++) {
            sample = &log->sample[k][i];
            n++;

            if (sample->hash == 0) {
                fail_msg("version %llu: a torn member",
                         (unsigned long long) sample->version);
            }

            /* one step may have two versions: leave, and join again */

            if (log->hash[sample->version / 2] == 0) {
                continue;
            }

            if (sample->hash != log->hash[sample->version / 2]) {
                fail_msg("version %llu: a copy that never was",
                         (unsigned long long) sample->version);
            }

            checked++;
        }
    }

    print_message("%u copies, %u of them of a version that was noted\n", n,
                  checked);
    assert_true(checked > 200);
}


static void
test_concurrent(void **state)
{
    int           k;
    pid_t         pid[LOG_READERS];
    uint32_t      room, i;
    uint64_t      start, user, random;
    voice_id_t    id[12];
    route_log_t  *log;

    (void) state;

    log = zone_memory(sizeof(route_log_t));
    random = 31337;
    user = 1000;
    make_live(1, 10);                     /* the room stays where it is */

    for (k = 0; k < 12; k++) {
        id[k] = make_live(user++, 10);
    }

    room = room_of(id[0]);

    for (k = 0; k < LOG_READERS; k++) {
        pid[k] = child_fork();

        if (pid[k] == 0) {
            log_reader(log, k, room);
        }
    }

    log_await(log);
    start = kill_now();

    for (i = 0; i < LOG_VERSIONS / 3; i++) {

        if (kill_now() - start > LOG_MS && log_samples(log) > LOG_ENOUGH) {
            break;
        }

        assert_true(kill_now() - start < KILL_SECONDS * 1000);

        k = zone_random(&random) % 12;
        log_change(&id[k], &user, zone_random(&random));
        log_note(log, room);

        if (i % LOG_BREAK == 0) {
            usleep(100);
        }
    }

    atomic_store(&log->stop, 1);

    for (k = 0; k < LOG_READERS; k++) {
        child_wait(pid[k]);
    }

    log_compare(log);

    munmap(log, sizeof(route_log_t));
}


static voice_addr_t
address_of(uint32_t n)
{
    voice_addr_t  addr = zone_address(n, (uint16_t) n);

    memcpy(addr.ip + 4, &n, sizeof(n));
    memcpy(addr.ip + 12, &n, sizeof(n));

    return addr;
}


static void
torn_reader(_Atomic uint32_t *stop, voice_session_t *s)
{
    uint8_t       secret[VOICE_KEY_LEN];
    uint32_t      epoch, n;
    voice_addr_t  remote, local;
    voice_mode_t  mode;

    while (!atomic_load(stop)) {

        if (voice_route_key(s, &epoch, &mode, secret) == VOICE_OK
            && (memcmp(secret, secret + 1, VOICE_KEY_LEN - 1) != 0
                || secret[0] == 0 || mode != secret[0] % VOICE_MODE_COUNT))
        {
            _exit(3);
        }

        if (voice_route_address(s, &remote, &local)) {
            memcpy(&n, remote.ip, sizeof(n));

            if (memcmp(remote.ip + 4, &n, 4) != 0
                || memcmp(remote.ip + 12, &n, 4) != 0
                || remote.port != (uint16_t) n
                || memcmp(&remote, &local, sizeof(remote)) != 0)
            {
                _exit(4);
            }
        }
    }

    _exit(0);
}


/* Keys and addresses are whole, whoever has the slot. */

static void
test_not_torn(void **state)
{
    int                    k;
    bool                   replaced;
    pid_t                  pid[2];
    uint8_t                secret[VOICE_KEY_LEN];
    uint32_t               i, attach;
    uint64_t               start;
    voice_id_t             id;
    voice_addr_t           addr;
    voice_session_t       *s;
    _Atomic uint32_t      *stop;
    voice_session_conf_t   c = { .guild_id = 1, .session_id = "s",
                                 .version = 8 };

    (void) state;

    stop = zone_memory(4096);
    id = make_live(7, 10);
    memset(secret, 7, sizeof(secret));
    voice_session_select(&o.z[0], id, 0, secret, NULL, 1, 1);
    s = voice_session_get(&o.z[0], id);

    for (k = 0; k < 2; k++) {
        pid[k] = child_fork();

        if (pid[k] == 0) {
            torn_reader(stop, s);
        }
    }

    start = kill_now();

    for (i = 0; kill_now() - start < 1500; i++) {
        if (i % 16 == 0) {
            c.user_id = i;
            voice_session_close(&o.z[0], id, 0, 0);
            test_err("create", voice_session_create(&o.z[0], &c, 1, &id,
                                                    &attach, &replaced),
                     VOICE_OK);
            assert_ptr_equal(voice_session_get(&o.z[0], id), s);
        }

        memset(secret, 1 + i % 255, sizeof(secret));
        voice_session_select(&o.z[0], id, secret[0] % VOICE_MODE_COUNT,
                             secret, NULL, 1, 1);
        addr = address_of(i);
        voice_session_bind(&o.z[0], id, &addr, &addr);
    }

    atomic_store(stop, 1);

    for (k = 0; k < 2; k++) {
        child_wait(pid[k]);
    }

    print_message("%u keys and addresses\n", i);
    munmap(stop, 4096);
}


#define route_test(f)  cmocka_unit_test_setup_teardown(f, setup, teardown)


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        route_test(test_fanout),
        route_test(test_version),
        route_test(test_nonces_end),
        route_test(test_nonces),
        route_test(test_concurrent),
        route_test(test_not_torn),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
