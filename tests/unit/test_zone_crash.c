/*
 * Copyright (C) ngx-voice contributors
 *
 * Processes that die inside the lock: one operation stopped after each of its
 * stores to the zone, and random operations killed at random moments.
 */


#include "kill.h"
#include "step.h"
#include "test_util.h"
#include "voice_guild.h"
#include "zone_ops.h"


#define CRASH_STEPS_MAX   400000
#define CRASH_KILLS       3           /* of each operation, with SIGKILL */

#define KILL_WRITERS      3
#define KILL_MS           3000


typedef struct {
    voice_zone_t   z;                 /* what operations work on */
    voice_zone_t   copy;              /* its state at one instruction */
    uint8_t       *mem;
    uint8_t       *scratch;
    uint8_t       *last;
    uint8_t       *before;            /* what all operations begin with */
    size_t         size;
    voice_id_t     id[8];             /* see crash_prepare() */
    char           where[64];
} crash_t;

typedef struct {
    const char  *name;
    void       (*run)(crash_t *c);
    int          target;              /* of id[]; -1: none, -2: all */
    bool         ends;                /* the target's session */
    bool         told;                /* and its websocket has to be told */
} crash_case_t;


enum { LIVE_A = 0, LIVE_B, LIVE_MUTED, READY, DETACHED, ALONE, CLOSING };


static uint8_t  crash_secret[2][VOICE_KEY_LEN] = { { 1, 2, 3 }, { 9, 8, 7 } };


static void
crash_conf(voice_session_conf_t *c, uint64_t user, uint64_t channel)
{
    memset(c, 0, sizeof(voice_session_conf_t));

    c->guild_id = 1;
    c->user_id = user;
    c->channel_id = channel;
    c->session_id = "session";
    c->version = 8;
}


static voice_id_t
crash_create(voice_zone_t *z, uint64_t user, uint64_t channel)
{
    bool                  replaced;
    uint32_t              attach;
    voice_id_t            id;
    voice_session_conf_t  conf;

    crash_conf(&conf, user, channel);

    return voice_session_create(z, &conf, 10, &id, &attach, &replaced)
           == VOICE_OK ? id : 0;
}


static void
crash_flush(voice_zone_t *z)
{
    voice_id_t      id;
    voice_event_t   ev;
    voice_session_t  *s;

    while (voice_outbox_dirty(z, &id) == VOICE_OK) {
        s = voice_session_get(z, id);

        while (voice_outbox_next(z, id, s->attach, &ev) == VOICE_OK) {
            voice_outbox_number(z, id, s->attach, &ev, 2);
            voice_outbox_sent(z, id, s->attach, &ev);
        }
    }
}


/* Four in one room, one of them away, one alone, one on each way in or out. */

static void
crash_prepare(crash_t *c)
{
    int              i;
    voice_zone_t    *z = &c->z;
    voice_addr_t     addr, local = zone_address(7, 50000);

    test_err("format", voice_zone_format(z, c->mem, c->size, OPS_SESSIONS,
                                         "node"), VOICE_OK);
    voice_worker_register(z, 0, 11, "one", 1, 1000);

    for (i = LIVE_A; i <= CLOSING; i++) {
        c->id[i] = crash_create(z, 501 + i, i == ALONE ? 77 : 70);
        addr = zone_address(100 + i, 4000);

        assert_true(c->id[i] != 0);
        test_err("candidate", voice_session_candidate(z, c->id[i], &addr,
                                                      &local), VOICE_OK);

        if (i != READY) {
            test_err("select", voice_session_select(z, c->id[i], i,
                         crash_secret[0], NULL, 10, 5), VOICE_OK);
            voice_session_get(z, c->id[i])->nonce += 640;
            voice_session_get(z, c->id[i])->talking = 1;
        }
    }

    crash_flush(z);

    voice_session_flags(z, c->id[LIVE_MUTED], VOICE_SESSION_MUTE, 0);
    voice_session_speaking(z, c->id[LIVE_A], 1, false);
    voice_session_detach(z, c->id[DETACHED], 1, 100, 1000);
    voice_session_close(z, c->id[CLOSING], 0, VOICE_CLOSE_DISCONNECTED);

    zone_copy(z, c->before, c->mem);
}


static void
crash_run_create(crash_t *c)
{
    crash_create(&c->z, 600, 70);
}

static void
crash_run_replace(crash_t *c)
{
    crash_create(&c->z, 501 + LIVE_A, 70);
}

static void
crash_run_replace_detached(crash_t *c)
{
    crash_create(&c->z, 501 + DETACHED, 70);
}

static void
crash_run_replace_alone(crash_t *c)
{
    crash_create(&c->z, 501 + ALONE, 70);
}

static void
crash_run_select(crash_t *c)
{
    voice_session_select(&c->z, c->id[READY], 1, crash_secret[1], NULL, 20,
                         5);
}

static void
crash_run_rekey(crash_t *c)
{
    voice_session_select(&c->z, c->id[LIVE_A], 1, crash_secret[1], NULL, 20,
                         5);
}

static void
crash_run_close_code(crash_t *c)
{
    voice_session_close(&c->z, c->id[LIVE_B], 0, VOICE_CLOSE_DISCONNECTED);
}

static void
crash_run_close(crash_t *c)
{
    voice_session_close(&c->z, c->id[LIVE_B], 1, 0);
}

static void
crash_run_close_ready(crash_t *c)
{
    voice_session_close(&c->z, c->id[READY], 1, 0);
}

static void
crash_run_close_alone(crash_t *c)
{
    voice_session_close(&c->z, c->id[ALONE], 1, 0);
}

static void
crash_run_closed(crash_t *c)
{
    voice_session_close(&c->z, c->id[CLOSING], 1, 0);
}

static void
crash_run_detach(crash_t *c)
{
    voice_session_detach(&c->z, c->id[LIVE_B], 1, 30, 1000);
}

static void
crash_resume(crash_t *c, int version)
{
    uint8_t     hash[VOICE_TOKEN_HASH_LEN] = { 0 };
    uint32_t    attach;
    voice_id_t  id;

    voice_session_resume(&c->z, 1, 501 + DETACHED, "session", hash, version,
                         true, 2, 200, &id, &attach);
}

static void
crash_run_resume(crash_t *c)
{
    crash_resume(c, 8);
}

static void
crash_run_resume_old(crash_t *c)
{
    crash_resume(c, 4);
}

static void
crash_run_expire(crash_t *c)
{
    voice_session_expire(&c->z, 5000);
}

static void
crash_run_speaking(crash_t *c)
{
    voice_session_speaking(&c->z, c->id[LIVE_B], 5, false);
}

static void
crash_run_flags(crash_t *c)
{
    voice_session_flags(&c->z, c->id[LIVE_A], VOICE_SESSION_MUTE, 0);
}

static void
crash_run_candidate(crash_t *c)
{
    voice_addr_t  addr = zone_address(200, 1), local = zone_address(7, 1);

    voice_session_candidate(&c->z, c->id[READY], &addr, &local);
}

static void
crash_run_bind(crash_t *c)
{
    voice_addr_t  addr = zone_address(200, 1), local = zone_address(7, 1);

    voice_session_bind(&c->z, c->id[LIVE_A], &addr, &local);
}

static void
crash_run_want_key(crash_t *c)
{
    voice_session_want_key(&c->z, c->id[LIVE_A], 1);
}

static void
crash_run_flush(crash_t *c)
{
    crash_flush(&c->z);
}

static void
crash_run_gone(crash_t *c)
{
    voice_worker_gone(&c->z, 0, 50, 1000);
}

static void
crash_run_repair(crash_t *c)
{
    voice_zone_lock(&c->z);
    voice_zone_repair(&c->z);
    voice_zone_unlock(&c->z);
}


static const crash_case_t  crash_cases[] = {
    { "create", crash_run_create, -1, false, false },
    { "replace", crash_run_replace, LIVE_A, true, true },
    { "replace detached", crash_run_replace_detached, DETACHED, true, false },
    { "replace alone", crash_run_replace_alone, ALONE, true, false },
    { "select", crash_run_select, READY, false, false },
    { "rekey", crash_run_rekey, LIVE_A, false, false },
    { "close with code", crash_run_close_code, LIVE_B, true, true },
    { "close", crash_run_close, LIVE_B, true, false },
    { "close ready", crash_run_close_ready, READY, true, false },
    { "close alone", crash_run_close_alone, ALONE, true, false },
    { "closed", crash_run_closed, CLOSING, true, false },
    { "detach", crash_run_detach, LIVE_B, false, false },
    { "resume", crash_run_resume, DETACHED, false, false },
    { "resume old", crash_run_resume_old, DETACHED, false, false },
    { "expire", crash_run_expire, DETACHED, true, false },
    { "speaking", crash_run_speaking, LIVE_B, false, false },
    { "flags", crash_run_flags, LIVE_A, false, false },
    { "candidate", crash_run_candidate, READY, false, false },
    { "bind", crash_run_bind, LIVE_A, false, false },
    { "want key", crash_run_want_key, LIVE_A, false, false },
    { "flush", crash_run_flush, -2, false, false },
    { "worker gone", crash_run_gone, -2, false, false },
    { "repair", crash_run_repair, -1, false, false },
};


/* What must be as before, whoever else's operation was cut off. */

static void
crash_compare(const char *name, const voice_session_t *a,
    const voice_session_t *b, bool target)
{
    uint32_t              n, key, bound;
    const voice_event_t  *x, *y;

    test_num(name, b->gen, a->gen);
    test_num(name, b->ssrc, a->ssrc);
    test_num(name, b->user_id, a->user_id);
    test_num(name, b->channel_id, a->channel_id);
    test_num(name, b->created, a->created);
    test_mem(name, b->session_id, sizeof(b->session_id), a->session_id,
             sizeof(a->session_id));

    if (a->room != 0) {
        test_num(name, b->room, a->room);
        test_num(name, b->announced, a->announced);
    }

    for (n = a->outbox.head - VOICE_OUTBOX_EVENTS; n != a->outbox.head; n++) {
        x = &a->outbox.ring[n % VOICE_OUTBOX_EVENTS];
        y = &b->outbox.ring[n % VOICE_OUTBOX_EVENTS];

        if (x->number == n && x->type != 0) {
            test_num(name, y->number, n);
            test_num(name, y->type, x->type);
            test_num(name, y->arg, x->arg);
            test_num(name, y->user_id, x->user_id);
        }
    }

    key = b->key;

    if (a->key != 0 && key == a->key) {
        test_mem(name, b->secret[key & 1], VOICE_KEY_LEN, a->secret[key & 1],
                 VOICE_KEY_LEN);
        test_num(name, b->mode[key & 1], a->mode[key & 1]);
        test_num(name, b->nonce >= a->nonce, true);

    } else if (key != 0) {
        test_num(name, target && key > a->key, true);
        test_mem(name, b->secret[key & 1], VOICE_KEY_LEN, crash_secret[1],
                 VOICE_KEY_LEN);
        test_num(name, b->mode[key & 1], 1);
    }

    if (!target || a->state != VOICE_SESSION_READY
        || b->state != VOICE_SESSION_LIVE)
    {
        test_num(name, b->state, a->state);
    }

    if (target) {
        return;
    }

    test_num(name, b->flags, a->flags);
    test_num(name, b->key, a->key);
    test_num(name, b->nonce, a->nonce);
    test_num(name, b->worker, a->worker);
    test_num(name, b->attach, a->attach);
    test_num(name, b->deadline, a->deadline);
    test_num(name, b->joined, a->joined);
    test_num(name, b->heard, a->heard);
    test_num(name, b->outbox.sent, a->outbox.sent);
    test_num(name, b->bound, a->bound);

    bound = a->bound;
    test_mem(name, &b->remote[bound & 1], sizeof(voice_addr_t),
             &a->remote[bound & 1], sizeof(voice_addr_t));
}


/* A session that was ended is there still, or gone, or on its proper way. */

static void
crash_ended(const char *name, bool told, const voice_session_t *a,
    const voice_session_t *b)
{
    if (b->state == VOICE_SESSION_CLOSING) {
        test_num(name, b->gen, a->gen);
        test_num(name, b->attach, a->attach);

    } else if (told) {
        test_num(name, b->gen, a->gen);
        test_num(name, b->state, a->state);
    }
}


static void
crash_check(crash_t *c, voice_zone_t *z, const crash_case_t *cc)
{
    int               i;
    char              text[256], name[128];
    voice_zone_t      old;
    voice_session_t  *a, *b;

    if (voice_zone_verify(z, text, sizeof(text)) != 0) {
        fail_msg("%s: %s", c->where, text);
    }

    old = c->z;
    old.session = (voice_session_t *) (c->before + ((uint8_t *) c->z.session
                                                    - c->mem));

    for (i = LIVE_A; i <= CLOSING; i++) {
        a = &old.session[voice_id_index(c->id[i])];
        b = &z->session[voice_id_index(c->id[i])];

        snprintf(name, sizeof(name), "%s: session %d", c->where, i);

        if (cc->target == i && cc->ends) {
            crash_ended(name, cc->told, a, b);
            continue;
        }

        if (a->state == VOICE_SESSION_CLOSING && cc->target == -2) {
            continue;
        }

        crash_compare(name, a, b, cc->target == i || cc->target == -2);
    }
}


/* A child that has stopped before its operation. */

static pid_t
crash_child(crash_t *c, const crash_case_t *cc)
{
    pid_t  pid;

    zone_copy(&c->z, c->mem, c->before);

    pid = step_fork();

    if (pid == 0) {
        cc->run(c);
        step_end();
    }

    return pid;
}


/*
 * A copy of the zone after each instruction that changed it is repaired;
 * gives the number of such instructions.
 */

static unsigned
crash_each(crash_t *c, const crash_case_t *cc, unsigned *steps)
{
    pid_t     pid;
    unsigned  stores;

    zone_copy(&c->z, c->last, c->before);

    pid = crash_child(c, cc);
    stores = 0;

    for (*steps = 0; *steps < CRASH_STEPS_MAX && step_next(pid); ++*steps) {

        if (zone_equal(&c->z, c->last, c->mem)) {
            continue;
        }

        stores++;
        snprintf(c->where, sizeof(c->where), "%s, instruction %u", cc->name,
                 *steps + 1);

        zone_copy(&c->z, c->last, c->mem);
        zone_copy(&c->z, c->scratch, c->mem);

        voice_zone_repair(&c->copy);
        crash_check(c, &c->copy, cc);
    }

    step_kill(pid);

    assert_true(*steps < CRASH_STEPS_MAX);

    return stores;
}


static void
crash_one(crash_t *c, const crash_case_t *cc)
{
    pid_t     pid;
    unsigned  i, n, stores, steps, repaired;
    uint64_t  repairs;

    stores = crash_each(c, cc, &steps);
    assert_true(stores > 2);

    repaired = 0;

    for (i = 1; i <= CRASH_KILLS; i++) {
        pid = crash_child(c, cc);

        for (n = 0; n < (unsigned long long) steps * i / (CRASH_KILLS + 1);
             n++)
        {
            if (!step_next(pid)) {
                break;
            }
        }

        step_kill(pid);

        snprintf(c->where, sizeof(c->where), "%s, killed after %u of %u",
                 cc->name, n, steps);

        repairs = c->z.header->repairs;
        voice_zone_lock(&c->z);
        repaired += (c->z.header->repairs != repairs);
        crash_check(c, &c->z, cc);
        voice_zone_unlock(&c->z);
    }

    print_message("%-18s %6u instructions, %4u stores, %u of %u kills"
                  " inside the lock\n", cc->name, steps, stores, repaired,
                  CRASH_KILLS);
}


static void
test_each_instruction(void **state)
{
    size_t   i;
    crash_t  c;

    (void) state;

    if (!step_permitted()) {
        print_message("ptrace is not permitted here\n");
        skip();
    }

    memset(&c, 0, sizeof(c));

    c.size = voice_zone_size(OPS_SESSIONS);
    c.mem = zone_memory(c.size);
    c.scratch = zone_memory(c.size);
    c.last = zone_memory(c.size);
    c.before = zone_memory(c.size);

    crash_prepare(&c);
    assert_true(voice_log_next(&c.z) + 16 < ZONE_LOG);

    zone_copy(&c.z, c.scratch, c.mem);
    test_err("attach", voice_zone_attach(&c.copy, c.scratch, c.size,
                                         OPS_SESSIONS), VOICE_OK);
    c.copy.worker = 0;

    for (i = 0; i < test_n(crash_cases); i++) {
        crash_one(&c, &crash_cases[i]);
    }

    munmap(c.mem, c.size);
    munmap(c.scratch, c.size);
    munmap(c.last, c.size);
    munmap(c.before, c.size);
}


static void
kill_writer(void *mem, unsigned k, unsigned base)
{
    int                w;
    unsigned           i, op;
    uint64_t           random = 12345 + base;
    static ops_zone_t  o;

    memset(&o, 0, sizeof(o));

    o.now = 1;
    o.base = base;
    o.shared = true;

    for (w = 0; w < OPS_WORKERS; w++) {
        if (voice_zone_attach(&o.z[w], mem, voice_zone_size(OPS_SESSIONS),
                              OPS_SESSIONS) != VOICE_OK)
        {
            _exit(2);
        }

        voice_worker_register(&o.z[w], k * OPS_WORKERS + w, 1 + w, "w", 1,
                              OPS_WINDOW);
    }

    for (i = 1; /* void */ ; i++) {
        op = zone_random(&random) % OPS_COUNT;

        /* two know nothing of the sessions of others, one would be counted */

        if (op == OPS_EXPIRE || op == OPS_WORKER || op == OPS_REPAIR) {
            continue;
        }

        ops_run(&o, op, zone_random(&random), zone_random(&random));

        if (o.why[0] != '\0') {
            fprintf(stderr, "process %u, seed %u, step %u, operation %u: "
                    "%s\n", k, base, i, op, o.why);
            _exit(3);
        }
    }
}


static const char *
kill_wrong(const voice_route_t *list, size_t n)
{
    size_t  i, k;

    for (i = 0; i < n; i++) {
        for (k = 0; k < i; k++) {
            if (list[k].session == list[i].session) {
                return "a session twice";
            }
        }

        if (list[i].mode >= VOICE_MODE_COUNT) {
            return "no mode";
        }

        if (list[i].key == 0) {
            return "no key";
        }

        if (list[i].remote.family != VOICE_ADDR_V4) {
            return "no address";
        }

        if (list[i].flags & VOICE_SESSION_DEAF) {
            return "a deaf session";
        }
    }

    return NULL;
}


static void
kill_reader(void *mem)
{
    size_t          n;
    uint32_t        room, gen;
    uint64_t        version;
    const char     *why;
    voice_zone_t    z;
    voice_route_t   list[OPS_SESSIONS];

    if (voice_zone_attach(&z, mem, voice_zone_size(OPS_SESSIONS),
                          OPS_SESSIONS) != VOICE_OK)
    {
        _exit(2);
    }

    for (room = 0; /* void */ ; room = (room + 1) % OPS_SESSIONS) {

        if (voice_route_copy(&z, room, list, OPS_SESSIONS, &n, &version,
                             &gen) != VOICE_OK)
        {
            continue;
        }

        why = kill_wrong(list, n);

        if (why != NULL) {
            fprintf(stderr, "reader, room %u of %zu sessions, version %llu: "
                    "%s\n", room, n, (unsigned long long) version, why);
            _exit(3);
        }
    }
}


static pid_t
kill_fork(void *mem, int k, unsigned base)
{
    pid_t  pid;

    pid = fork();
    assert_true(pid >= 0);

    if (pid == 0) {
        kill_child();

        if (k < KILL_WRITERS) {
            kill_writer(mem, (unsigned) k, base);
        }

        kill_reader(mem);
    }

    return pid;
}


/* As the master does, and nobody comes back for what it left. */

static void
kill_clean(voice_zone_t *z, int k, unsigned base)
{
    int               w;
    uint32_t          i;
    voice_session_t  *s;

    for (w = 0; k < KILL_WRITERS && w < OPS_WORKERS; w++) {
        voice_worker_gone(z, k * OPS_WORKERS + w, 1, 1000);
    }

    for (i = 0; i < z->header->session_end; i++) {
        s = &z->session[i];

        if (s->state != VOICE_SESSION_FREE
            && s->guild_id - base < OPS_GUILDS)
        {
            voice_session_close(z, voice_session_id(z, s), 0, 0);
        }
    }
}


/* One process, and what it left. */

static void
kill_one(voice_zone_t *z, const kill_t *kl, pid_t pid, int k, unsigned base)
{
    int       status;
    char      text[256];
    uint64_t  repairs;

    kill(pid, SIGKILL);
    assert_int_equal(waitpid(pid, &status, 0), pid);

    if (WIFEXITED(status)) {
        fail_msg("kill %u, process %d, seed %u: exit code %d", kl->kills, k,
                 base, WEXITSTATUS(status));
    }

    repairs = z->header->repairs;

    voice_zone_lock(z);

    if (voice_zone_verify(z, text, sizeof(text)) != 0) {
        fail_msg("kill %u, process %d, seed %u, repairs %llu, of this one "
                 "%llu: %s", kl->kills, k, base, (unsigned long long) repairs,
                 (unsigned long long) (z->header->repairs - repairs), text);
    }

    voice_zone_unlock(z);

    kill_clean(z, k, base);
}


static void
test_kill(void **state)
{
    int            k;
    void          *mem;
    pid_t          pid[KILL_WRITERS + 1];
    size_t         size;
    kill_t         kl = { KILL_MS, 0, 0, 77 };
    unsigned       base[KILL_WRITERS + 1];
    voice_zone_t   z;

    (void) state;

    size = voice_zone_size(OPS_SESSIONS);
    mem = zone_memory(size);
    test_err("format", voice_zone_format(&z, mem, size, OPS_SESSIONS, "node"),
             VOICE_OK);

    for (k = 0; k <= KILL_WRITERS; k++) {
        base[k] = 1000 + k * 10;
        pid[k] = kill_fork(mem, k, base[k]);
    }

    while (kill_next(&kl, z.header->repairs != 0)) {
        k = (kl.random >> 40) % (KILL_WRITERS + 1);
        kill_one(&z, &kl, pid[k], k, base[k]);

        base[k] += 100;
        pid[k] = kill_fork(mem, k, base[k]);
    }

    for (k = 0; k <= KILL_WRITERS; k++) {
        kill_one(&z, &kl, pid[k], k, base[k]);
    }

    print_message("%u kills, %llu of them inside the lock\n", kl.kills,
                  (unsigned long long) z.header->repairs);

    munmap(mem, size);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_each_instruction),
        cmocka_unit_test(test_kill),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
