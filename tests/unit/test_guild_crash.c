/*
 * Copyright (C) ngx-voice contributors
 *
 * Processes that die in the middle of the guild service's work: one operation
 * stopped after each of its stores to the zone, and random operations killed
 * at random moments.
 */


#include "guild_ops.h"
#include "kill.h"
#include "step.h"
#include "test_util.h"


#define CRASH_STEPS_MAX    400000
#define CRASH_BASE         1000
#define CRASH_GUILDS       2

#define KILL_WRITERS       3
#define KILL_MS            4000


enum { ANNA = 1, BEN, CLEO, DORA, EMIL, FAY, MUTED, CRASH_USERS };

typedef struct {
    voice_zone_t              z;       /* what operations work on: worker 0 */
    voice_zone_t              other;   /* the same: worker 1 */
    voice_zone_t              copy;    /* its state at one instruction */
    uint8_t                  *mem;
    uint8_t                  *scratch;
    uint8_t                  *last;
    uint8_t                  *before;  /* what all operations begin with */
    size_t                    size;
    uint64_t                  events;  /* log_next of `before` */
    char                      where[64];
    voice_gateway_session_t   h[CRASH_USERS];
    voice_gateway_session_t   twin;    /* Anna's second one */
} crash_t;

typedef struct {
    const char  *name;
    void       (*run)(crash_t *c);
    unsigned     events;               /* that come together or not at all */
    unsigned     times;                /* and how often */
} crash_case_t;


static uint64_t
crash_user(unsigned u)
{
    return CRASH_BASE * 100ull + u;
}


static void
crash_join(voice_zone_t *z, const voice_gateway_session_t *h, unsigned u,
    unsigned guild, uint64_t channel, uint32_t flags)
{
    voice_state_join_t    j;
    voice_state_change_t  change;

    memset(&j, 0, sizeof(j));

    j.guild_id = CRASH_BASE + guild;
    j.channel_id = channel;
    j.user_id = crash_user(u);
    j.gateway = (h != NULL) ? h->id : 0;
    j.session_id = "platform";
    j.flags = flags;

    (void) voice_state_join(z, &j, &change);
}


static voice_id_t
crash_voice(voice_zone_t *z, const char *sid, unsigned u, uint64_t channel,
    bool live)
{
    bool                   replaced;
    uint8_t                secret[VOICE_KEY_LEN] = { 1 };
    uint32_t               attach;
    voice_id_t             id;
    voice_session_conf_t   conf;

    memset(&conf, 0, sizeof(conf));

    conf.guild_id = CRASH_BASE;
    conf.user_id = crash_user(u);
    conf.channel_id = channel;
    conf.session_id = sid;
    conf.version = 8;
    conf.admitted = true;

    if (voice_session_create(z, &conf, 10, &id, &attach, &replaced)
        != VOICE_OK)
    {
        return 0;
    }

    if (live) {
        (void) voice_session_select(z, id, 0, secret, NULL, 10, 5);
        voice_session_get(z, id)->talking = 1;
    }

    return id;
}


/* The worker tells a session all that it may see. */

static void
crash_flush(voice_zone_t *z, voice_gateway_session_t *h, unsigned u)
{
    size_t              n;
    uint64_t            seq;
    uint64_t            next = h->next;
    voice_log_event_t   ev;

    while (voice_log_read(z, &next, &ev, 1, &n) == VOICE_OK && n == 1) {
        if (gops_may_see(CRASH_BASE, &ev, h->id, crash_user(u))) {
            (void) voice_gateway_session_dispatched(z, h, ev.number, &seq);
        }
    }
}


static void
crash_prepare(crash_t *c)
{
    unsigned       u;
    uint8_t        token[VOICE_TOKEN_HASH_LEN] = { 0 };
    voice_id_t     id;
    voice_zone_t  *z = &c->z;

    test_err("format", voice_zone_format(z, c->mem, c->size, GOPS_SESSIONS,
                                         "node"), VOICE_OK);
    test_err("attach", voice_zone_attach(&c->other, c->mem, c->size,
                                         GOPS_SESSIONS), VOICE_OK);
    voice_worker_register(z, 0, 11, "one", 1, 1000);
    voice_worker_register(&c->other, 1, 12, "two", 1, 1000);


    for (u = ANNA; u < MUTED; u++) {
        test_err("create", voice_gateway_session_create(
                     u == CLEO ? &c->other : z, crash_user(u), token, 1,
                     &c->h[u]), VOICE_OK);

        if (u != FAY) {
            crash_join(z, &c->h[u], u, 0, u == CLEO ? 11 : 10, 0);
        }
    }

    test_err("twin", voice_gateway_session_create(z, crash_user(ANNA), token,
                                                  1, &c->twin), VOICE_OK);

    crash_join(z, &c->h[EMIL], EMIL, 1, 20, VOICE_SESSION_SELF_MUTE);
    crash_join(z, NULL, MUTED, 0, 10, 0);
    voice_state_flags(z, CRASH_BASE, crash_user(MUTED), VOICE_SESSION_MUTE, 0,
                      NULL);
    voice_state_leave(z, CRASH_BASE, crash_user(MUTED));

    for (u = ANNA; u <= EMIL; u++) {
        if (u != CLEO) {
            id = crash_voice(z, c->h[u].session_id, u, 10, u != EMIL);
            assert_true(id != 0);
        }
    }

    for (u = ANNA; u < MUTED; u++) {
        if (u != CLEO) {
            crash_flush(z, &c->h[u], u);
        }
    }

    voice_log_guild(z, VOICE_LOG_GUILD, CRASH_BASE);
    voice_gateway_session_detach(z, &c->h[DORA], 100, 1000);
    voice_session_detach(z, id, 1, 100, 10000);

    c->events = voice_log_next(z);
    assert_true(c->events + 16 < ZONE_LOG);

    zone_copy(&c->z, c->before, c->mem);
}


static void
crash_run_join(crash_t *c)
{
    crash_join(&c->z, &c->h[FAY], FAY, 0, 10, VOICE_SESSION_SUPPRESS);
}

static void
crash_run_join_guild(crash_t *c)
{
    crash_join(&c->z, &c->h[FAY], FAY, 5, 10, 0);
}

static void
crash_run_join_sticky(crash_t *c)
{
    crash_join(&c->z, NULL, MUTED, 0, 11, 0);
}

static void
crash_run_displace(crash_t *c)
{
    crash_join(&c->z, &c->twin, ANNA, 0, 10, 0);
}

static void
crash_run_rejoin(crash_t *c)
{
    crash_join(&c->z, &c->h[ANNA], ANNA, 0, 10, 0);
}

static void
crash_run_change(crash_t *c)
{
    crash_join(&c->z, &c->h[ANNA], ANNA, 0, 10, VOICE_SESSION_SELF_DEAF);
}

static void
crash_run_move(crash_t *c)
{
    voice_state_move(&c->z, CRASH_BASE, crash_user(ANNA), 12,
                     VOICE_SESSION_SUPPRESS | VOICE_STATE_BROUGHT);
}

static void
crash_run_leave(crash_t *c)
{
    voice_state_leave(&c->z, CRASH_BASE, crash_user(BEN));
}

static void
crash_run_leave_guild(crash_t *c)
{
    voice_state_leave(&c->z, CRASH_BASE + 1, crash_user(EMIL));
}

static void
crash_run_mute(crash_t *c)
{
    voice_state_flags(&c->z, CRASH_BASE, crash_user(BEN),
                      VOICE_SESSION_MUTE | VOICE_SESSION_DEAF, 0, NULL);
}

static void
crash_run_request(crash_t *c)
{
    uint64_t  request = 1234567890123;

    voice_state_flags(&c->z, CRASH_BASE, crash_user(CLEO), 0, 0, &request);
}

static void
crash_run_voice(crash_t *c)
{
    crash_voice(&c->z, c->h[CLEO].session_id, CLEO, 11, false);
}

static void
crash_run_voice_again(crash_t *c)
{
    crash_voice(&c->z, c->h[ANNA].session_id, ANNA, 10, false);
}

static void
crash_run_create(crash_t *c)
{
    uint8_t                  token[VOICE_TOKEN_HASH_LEN] = { 9 };
    voice_gateway_session_t  h;

    (void) voice_gateway_session_create(&c->z, crash_user(FAY), token, 1, &h);
}

static void
crash_run_destroy(crash_t *c)
{
    voice_gateway_session_destroy(&c->z, &c->h[EMIL]);
}

static void
crash_run_expire(crash_t *c)
{
    (void) voice_gateway_session_expire(&c->z, 5000);
}

static void
crash_run_dispatch(crash_t *c)
{
    crash_flush(&c->z, &c->h[ANNA], ANNA);
}

static void
crash_run_snapshot(crash_t *c)
{
    uint64_t  seq;

    (void) voice_gateway_session_dispatched(&c->z, &c->h[BEN],
                                            VOICE_GATEWAY_SNAPSHOT(3, 7),
                                            &seq);
}

static void
crash_run_note(crash_t *c)
{
    (void) voice_gateway_session_note(&c->z, &c->h[BEN], 77);
}

static void
crash_run_detach(crash_t *c)
{
    voice_gateway_session_detach(&c->z, &c->h[ANNA], 100, 1000);
}

static void
crash_resume(voice_zone_t *z, const voice_gateway_session_t *h)
{
    size_t                   n;
    uint8_t                  token[VOICE_TOKEN_HASH_LEN] = { 0 };
    uint64_t                 replay[VOICE_GATEWAY_DISPATCHES];
    voice_gateway_session_t  got;

    (void) voice_gateway_session_resume(z, h->session_id, token, 1, 200, &got,
                                        replay, &n);
}

static void
crash_run_resume(crash_t *c)
{
    crash_resume(&c->z, &c->h[DORA]);
}

static void
crash_run_take(crash_t *c)
{
    crash_resume(&c->other, &c->h[ANNA]);
}

static void
crash_run_gone(crash_t *c)
{
    voice_worker_gone(&c->z, 0, 50, 1000);
}

static void
crash_run_log(crash_t *c)
{
    voice_log_guild(&c->z, VOICE_LOG_GUILD, CRASH_BASE);
}

static void
crash_run_repair(crash_t *c)
{
    voice_zone_lock(&c->z);
    voice_zone_repair(&c->z);
    voice_zone_unlock(&c->z);
}


static const crash_case_t  crash_cases[] = {
    { "join", crash_run_join, 2, 1 },
    { "join, first of guild", crash_run_join_guild, 2, 1 },
    { "join, was muted", crash_run_join_sticky, 1, 1 },
    { "displace", crash_run_displace, 2, 1 },
    { "rejoin", crash_run_rejoin, 2, 1 },
    { "change", crash_run_change, 1, 1 },
    { "move", crash_run_move, 2, 1 },
    { "leave", crash_run_leave, 1, 1 },
    { "leave, last of guild", crash_run_leave_guild, 1, 1 },
    { "mute and deafen", crash_run_mute, 2, 1 },
    { "request to speak", crash_run_request, 1, 1 },
    { "voice session", crash_run_voice, 0, 0 },
    { "voice session again", crash_run_voice_again, 0, 0 },
    { "create", crash_run_create, 0, 0 },
    { "destroy", crash_run_destroy, 1, 2 },
    { "expire", crash_run_expire, 1, 1 },
    { "dispatch", crash_run_dispatch, 0, 0 },
    { "snapshot", crash_run_snapshot, 0, 0 },
    { "note", crash_run_note, 0, 0 },
    { "detach", crash_run_detach, 0, 0 },
    { "resume", crash_run_resume, 0, 0 },
    { "take", crash_run_take, 0, 0 },
    { "worker gone", crash_run_gone, 0, 0 },
    { "log", crash_run_log, 1, 1 },
    { "repair", crash_run_repair, 0, 0 },
};


/* Whoever is in a room has been told to be, and of what is enforced there. */

static void
crash_check_voice(voice_zone_t *z, const char *name)
{
    uint32_t               i;
    const voice_state_t   *st;
    const voice_session_t *s;

    for (i = 0; i < z->header->session_end; i++) {
        s = &z->session[i];

        if (s->state == VOICE_SESSION_FREE
            || s->state == VOICE_SESSION_CLOSING)
        {
            continue;
        }

        st = voice_state_find(z, s->guild_id, s->user_id);

        if (st == NULL || st->channel_id != s->channel_id
            || strcmp(st->session_id, s->session_id) != 0
            || ((st->flags ^ s->flags) & VOICE_STATE_ENFORCED))
        {
            fail_msg("%s: user %llu is in voice without leave", name,
                     (unsigned long long) s->user_id);
        }
    }
}


static void
crash_check(crash_t *c, voice_zone_t *z, const crash_case_t *cc)
{
    char                           text[256];
    unsigned                       g, u;
    uint32_t                       i;
    uint64_t                       n;
    const char                    *why;
    const voice_gateway_record_t  *r;

    if (voice_zone_verify(z, text, sizeof(text)) != 0) {
        fail_msg("%s: %s", c->where, text);
    }

    n = voice_log_next(z) - c->events;

    if (cc->events == 0 ? n != 0
                        : n % cc->events != 0 || n > cc->events * cc->times)
    {
        fail_msg("%s: %llu events", c->where, (unsigned long long) n);
    }

    for (g = 0; g <= 5; g += (g == 1) ? 4 : 1) {
        for (u = ANNA; u < CRASH_USERS; u++) {
            why = gops_told(z, CRASH_BASE + g, crash_user(u));

            if (why != NULL) {
                fail_msg("%s: user %u: %s", c->where, u, why);
            }
        }
    }

    crash_check_voice(z, c->where);

    for (i = 0; i < z->header->gateway_end; i++) {
        r = &z->gateway[i];

        if (r->state != VOICE_GATEWAY_FREE) {
            why = gops_exact(z, CRASH_BASE, r, 0);

            if (why != NULL) {
                fail_msg("%s: gateway session %u: %s", c->where, i, why);
            }
        }
    }
}


/* What was given to a websocket before is there still, for who resumes. */

static void
crash_check_sent(crash_t *c, voice_zone_t *z, const crash_case_t *cc)
{
    unsigned                       u;
    uint32_t                       s;
    const voice_gateway_record_t  *a, *b;

    for (u = ANNA; u < MUTED; u++) {
        a = (voice_gateway_record_t *)
            (c->before + ((uint8_t *) c->z.gateway - c->mem))
            + voice_id_index(c->h[u].id);
        b = voice_gateway_get(z, c->h[u].id);

        if (b == NULL) {
            assert_true(cc->run == crash_run_destroy
                        || cc->run == crash_run_expire);
            continue;
        }

        assert_true(b->seq >= a->seq && b->next >= a->next);
        assert_string_equal(b->session_id, a->session_id);

        for (s = 1; s < a->seq; s++) {
            test_num(c->where, b->dispatch[s % VOICE_GATEWAY_RING],
                     a->dispatch[s % VOICE_GATEWAY_RING]);
        }
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


static void
crash_one(crash_t *c, const crash_case_t *cc)
{
    pid_t     pid;
    unsigned  steps, stores;

    zone_copy(&c->z, c->last, c->before);

    pid = crash_child(c, cc);
    stores = 0;

    for (steps = 0; steps < CRASH_STEPS_MAX && step_next(pid); steps++) {

        if (zone_equal(&c->z, c->last, c->mem)) {
            continue;
        }

        stores++;
        snprintf(c->where, sizeof(c->where), "%s, instruction %u", cc->name,
                 steps + 1);

        zone_copy(&c->z, c->last, c->mem);
        zone_copy(&c->z, c->scratch, c->mem);

        voice_zone_repair(&c->copy);
        crash_check(c, &c->copy, cc);
        crash_check_sent(c, &c->copy, cc);
    }

    step_kill(pid);

    assert_true(steps < CRASH_STEPS_MAX);
    assert_true(stores > 2);

    /* and it must have done its work in the end */

    snprintf(c->where, sizeof(c->where), "%s, at its end", cc->name);

    zone_copy(&c->z, c->scratch, c->mem);
    crash_check(c, &c->copy, cc);
    test_num(c->where, voice_log_next(&c->copy) - c->events,
             cc->events * cc->times);

    print_message("%-22s %6u instructions, %4u stores\n", cc->name, steps,
                  stores);
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

    c.size = voice_zone_size(GOPS_SESSIONS);
    c.mem = zone_memory(c.size);
    c.scratch = zone_memory(c.size);
    c.last = zone_memory(c.size);
    c.before = zone_memory(c.size);

    crash_prepare(&c);

    zone_copy(&c.z, c.scratch, c.before);
    test_err("attach", voice_zone_attach(&c.copy, c.scratch, c.size,
                                         GOPS_SESSIONS), VOICE_OK);
    c.copy.worker = 0;

    for (i = 0; i < test_n(crash_cases); i++) {
        crash_one(&c, &crash_cases[i]);
    }

    munmap(c.mem, c.size);
    munmap(c.scratch, c.size);
    munmap(c.last, c.size);
    munmap(c.before, c.size);
}


/* One who was not let run until others filled the log ends with code 0. */

static void
kill_writer(void *mem, unsigned k, unsigned base)
{
    unsigned            i, op;
    uint64_t            random = 12345 + base * 7919ull;
    struct timespec     pause = { 0, 100000 };
    static gops_zone_t  o;

    memset(&o, 0, sizeof(o));

    o.base = base;
    o.shared = true;
    gops_init(&o, mem, false, k * GOPS_WORKERS);

    for (i = 1; !o.late; i++) {
        op = zone_random(&random) % GOPS_COUNT;

        if (i % 128 == 0) {
            nanosleep(&pause, NULL);
        }

        /* these know nothing of what belongs to others; repairs are counted */

        if (op == GOPS_EXPIRE || op == GOPS_WORKER || op == GOPS_BURST
            || op == GOPS_REPAIR)
        {
            continue;
        }

        gops_run(&o, op, zone_random(&random), zone_random(&random));

        if (o.why[0] != '\0') {
            fprintf(stderr, "process %u, seed %u, step %u, operation %u: "
                    "%s\n", k, base, i, op, o.why);
            _exit(3);
        }
    }

    _exit(0);
}


static pid_t
kill_fork(void *mem, unsigned k, unsigned base)
{
    pid_t  pid;

    pid = fork();
    assert_true(pid >= 0);

    if (pid == 0) {
        kill_child();
        kill_writer(mem, k, base);
    }

    return pid;
}


/* Under the lock: what a dead writer left is what it told. */

static void
kill_check(voice_zone_t *z, unsigned base, const char *where)
{
    char                           text[256];
    unsigned                       g, u;
    uint32_t                       i;
    const char                    *why;
    const voice_gateway_record_t  *r;

    if (voice_zone_verify(z, text, sizeof(text)) != 0) {
        fail_msg("%s: %s", where, text);
    }

    for (g = 0; g < GOPS_GUILDS; g++) {
        for (u = 0; u < GOPS_USERS; u++) {
            why = gops_told(z, base + g, base * 100ull + u);

            if (why != NULL) {
                fail_msg("%s: user %u: %s", where, u, why);
            }
        }
    }

    for (i = 0; i < z->header->gateway_end; i++) {
        r = &z->gateway[i];

        if (r->state != VOICE_GATEWAY_FREE && r->user_id / 100 == base) {
            why = gops_exact(z, base, r, 0);

            if (why != NULL) {
                fail_msg("%s: gateway session %u: %s", where, i, why);
            }
        }
    }
}


/* Nobody comes back for what it left. */

static void
kill_clean(voice_zone_t *z, unsigned k, unsigned base)
{
    int                      w;
    unsigned                 g, u;
    uint32_t                 i;
    voice_session_t         *s;
    voice_state_join_t       j;
    voice_state_change_t     change;
    voice_gateway_session_t  h;

    for (w = 0; w < GOPS_WORKERS; w++) {
        voice_worker_gone(z, k * GOPS_WORKERS + w, 1, 1000);
    }

    memset(&h, 0, sizeof(h));

    for (i = 0; i < z->header->gateway_end; i++) {
        if (z->gateway[i].state != VOICE_GATEWAY_FREE
            && z->gateway[i].user_id / 100 == base)
        {
            h.id = voice_gateway_id(z, &z->gateway[i]);
            voice_gateway_session_destroy(z, &h);
        }
    }

    memset(&j, 0, sizeof(j));
    j.session_id = "clean";
    j.channel_id = 2009;

    for (g = 0; g < GOPS_GUILDS; g++) {
        for (u = 0; u < GOPS_USERS; u++) {
            j.guild_id = base + g;
            j.user_id = base * 100ull + u;

            (void) voice_state_join(z, &j, &change);
            (void) voice_state_flags(z, j.guild_id, j.user_id, 0,
                                     VOICE_STATE_FLAGS, NULL);
            (void) voice_state_leave(z, j.guild_id, j.user_id);
        }
    }

    for (i = 0; i < z->header->session_end; i++) {
        s = &z->session[i];

        if (s->state != VOICE_SESSION_FREE
            && s->guild_id - base < GOPS_GUILDS)
        {
            voice_session_close(z, voice_session_id(z, s), 0, 0);
        }
    }
}


/* One process, and what it left. */

static void
kill_one(voice_zone_t *z, const kill_t *kl, pid_t pid, unsigned k,
    unsigned base)
{
    int       status;
    char      where[128];
    uint64_t  repairs;

    kill(pid, SIGKILL);
    assert_int_equal(waitpid(pid, &status, 0), pid);

    if (WIFEXITED(status) && WEXITSTATUS(status) != 0) {
        fail_msg("kill %u, process %u, seed %u: exit code %d", kl->kills, k,
                 base, WEXITSTATUS(status));
    }

    repairs = z->header->repairs;

    voice_zone_lock(z);

    snprintf(where, sizeof(where), "kill %u, process %u, seed %u, repairs "
             "%llu, of this one %llu", kl->kills, k, base,
             (unsigned long long) repairs,
             (unsigned long long) (z->header->repairs - repairs));

    kill_check(z, base, where);
    voice_zone_unlock(z);

    kill_clean(z, k, base);
}


static void
test_kill(void **state)
{
    void                 *mem;
    pid_t                 pid[KILL_WRITERS];
    kill_t                kl = { KILL_MS, 0, 0, 77 };
    size_t                size;
    unsigned              k, base[KILL_WRITERS];
    voice_zone_t          z;
    voice_guild_stats_t   st;

    (void) state;

    size = voice_zone_size(GOPS_SESSIONS);
    mem = zone_memory(size);
    test_err("format", voice_zone_format(&z, mem, size, GOPS_SESSIONS,
                                         "node"), VOICE_OK);

    for (k = 0; k < KILL_WRITERS; k++) {
        base[k] = 1000 + k * 10;
        pid[k] = kill_fork(mem, k, base[k]);
    }

    while (kill_next(&kl, z.header->repairs != 0)) {
        k = (kl.random >> 40) % KILL_WRITERS;
        kill_one(&z, &kl, pid[k], k, base[k]);

        base[k] += 100;
        pid[k] = kill_fork(mem, k, base[k]);
    }

    for (k = 0; k < KILL_WRITERS; k++) {
        kill_one(&z, &kl, pid[k], k, base[k]);
    }

    /* nothing has leaked */

    voice_guild_stats(&z, &st);
    test_num("end", st.attached + st.detached + st.states + st.sticky
                    + st.guilds, 0);

    print_message("%u kills, %llu of them inside the lock, %llu events\n",
                  kl.kills, (unsigned long long) z.header->repairs,
                  (unsigned long long) st.events);

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
