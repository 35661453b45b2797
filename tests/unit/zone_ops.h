/*
 * Copyright (C) ngx-voice contributors
 *
 * Random operations on a zone beside a plain model of what they should do.
 * The same for unit tests, crash tests and the fuzzer: an operation is a
 * number and two arguments, wherever they come from.
 */


#ifndef _ZONE_OPS_H_INCLUDED_
#define _ZONE_OPS_H_INCLUDED_


#include "voice_route.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>


#define OPS_WORKERS    3
#define OPS_GUILDS     2
#define OPS_USERS      9
#define OPS_CHANNELS   2
#define OPS_WINDOW     1000
#define OPS_CLOSINGS   64
#define OPS_SESSIONS   64


typedef enum {
    OPS_CREATE = 0,
    OPS_SELECT,
    OPS_CLOSE_CODE,
    OPS_CLOSE,
    OPS_DETACH,
    OPS_RESUME,
    OPS_EXPIRE,
    OPS_SPEAKING,
    OPS_FLAGS,
    OPS_CANDIDATE,
    OPS_BIND,
    OPS_WANT_KEY,
    OPS_FLUSH,
    OPS_CLOSED,
    OPS_WORKER,
    OPS_REPAIR,
    OPS_TALK,
    OPS_CUTS,
    OPS_STALE,
    OPS_COUNT
} ops_t;


/* What should be known of a user's session. */
typedef struct {
    bool         exists;
    bool         live;
    voice_id_t   id;
    uint32_t     attach;
    uint32_t     flags;
    unsigned     channel;
    int          owner;           /* worker, or -1 */
    uint64_t     deadline;
    uint32_t     serial;          /* in session id and token */
} ops_model_t;

/* A websocket whose session was ended by somebody else. */
typedef struct {
    voice_id_t   id;
    uint32_t     attach;
    int          owner;
} ops_closing_t;

typedef struct {
    voice_zone_t    z[OPS_WORKERS];
    ops_model_t     model[OPS_GUILDS][OPS_USERS];
    ops_closing_t   closing[OPS_CLOSINGS];
    unsigned        nclosing;
    uint64_t        now;
    uint32_t        serial;
    unsigned        base;         /* of guilds: each process has its own */
    bool            shared;       /* other processes use the zone too */
    voice_id_t      stale;
    char            why[256];     /* the first thing that went wrong */
} ops_zone_t;


#define ops_fail(o, ...)                                                      \
    do {                                                                      \
        if ((o)->why[0] == '\0') {                                            \
            snprintf((o)->why, sizeof((o)->why), __VA_ARGS__);                \
        }                                                                     \
    } while (0)

#define ops_check(o, cond)                                                    \
    do {                                                                      \
        if (!(cond)) {                                                        \
            ops_fail(o, "line %d: %s", __LINE__, #cond);                      \
        }                                                                     \
    } while (0)


static inline void *
zone_memory(size_t size)
{
    void  *p;

    p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
             -1, 0);

    if (p == MAP_FAILED) {
        perror("mmap");
        abort();
    }

    return p;
}


/*
 * Two mappings of one zone; what steps through an operation tells no more
 * than so many events, and the log beyond them stays untouched.
 */

#define ZONE_LOG   64

static inline size_t
zone_tables(const voice_zone_t *z)
{
    return (size_t) ((uint8_t *) z->session - (uint8_t *) z->header);
}


static inline void
zone_copy(const voice_zone_t *z, uint8_t *dst, const uint8_t *src)
{
    size_t  tables = zone_tables(z);

    memcpy(dst, src, offsetof(voice_zone_header_t, log[ZONE_LOG]));
    memcpy(dst + tables, src + tables, z->header->size - tables);
}


static inline bool
zone_equal(const voice_zone_t *z, const uint8_t *a, const uint8_t *b)
{
    size_t  tables = zone_tables(z);

    return memcmp(a, b, offsetof(voice_zone_header_t, log[ZONE_LOG])) == 0
           && memcmp(a + tables, b + tables, z->header->size - tables) == 0;
}


/* xorshift: repeatable, and good enough to choose operations */
static inline uint32_t
zone_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;

    return (uint32_t) (*state >> 16);
}


static inline voice_addr_t
zone_address(uint32_t host, uint16_t port)
{
    voice_addr_t  a;

    memset(&a, 0, sizeof(a));

    a.family = VOICE_ADDR_V4;
    a.port = port;
    memcpy(a.ip, &host, sizeof(host));

    return a;
}


static inline void
ops_init(ops_zone_t *o, void *mem)
{
    int  w;

    memset(o, 0, sizeof(ops_zone_t));

    o->now = 1;
    o->base = 1000;

    for (w = 0; w < OPS_WORKERS; w++) {
        if (w == 0) {
            ops_check(o, voice_zone_format(&o->z[0], mem,
                                           voice_zone_size(OPS_SESSIONS),
                                           OPS_SESSIONS, "node")
                         == VOICE_OK);
        } else {
            ops_check(o, voice_zone_attach(&o->z[w], mem,
                                           voice_zone_size(OPS_SESSIONS),
                                           OPS_SESSIONS)
                         == VOICE_OK);
        }

        voice_worker_register(&o->z[w], w, 100 + w, "w", 1, OPS_WINDOW);
    }
}


/* Around a test: whatever it did, the zone must be sound after it. */

static inline int
ops_setup(ops_zone_t *o)
{
    ops_init(o, zone_memory(voice_zone_size(OPS_SESSIONS)));

    return o->why[0] != '\0';
}


static inline int
ops_teardown(ops_zone_t *o)
{
    int   rc;
    char  text[256];

    text[0] = '\0';

    rc = voice_zone_verify(&o->z[0], text, sizeof(text)) != 0
         || o->why[0] != '\0';

    if (rc != 0) {
        fprintf(stderr, "%s %s\n", text, o->why);
    }

    munmap(o->z[0].header, voice_zone_size(OPS_SESSIONS));

    return rc;
}


static inline void
ops_conf(const ops_zone_t *o, voice_session_conf_t *c, char *sid, unsigned g,
    unsigned u, unsigned ch, uint32_t serial)
{
    memset(c, 0, sizeof(voice_session_conf_t));

    snprintf(sid, VOICE_SESSION_ID_MAX, "sid-%u-%u-%u", g, u, serial);

    c->guild_id = o->base + g;
    c->user_id = 500 + u;
    c->channel_id = 2000 + ch;
    c->session_id = sid;
    c->version = 8;
    memcpy(c->token_hash, &serial, sizeof(serial));
}


/* Somebody else ends a session. */
static inline void
ops_ended(ops_zone_t *o, ops_model_t *m)
{
    if (m->owner >= 0) {
        ops_check(o, o->nclosing < OPS_CLOSINGS);

        o->closing[o->nclosing].id = m->id;
        o->closing[o->nclosing].attach = m->attach;
        o->closing[o->nclosing++].owner = m->owner;

    } else {
        ops_check(o, voice_session_get(&o->z[0], m->id) == NULL);
    }

    o->stale = m->id;
    m->exists = false;
}


static inline void
ops_create(ops_zone_t *o, unsigned g, unsigned u, uint32_t a, uint32_t b)
{
    int                    w = a % OPS_WORKERS;
    bool                   replaced;
    char                   sid[VOICE_SESSION_ID_MAX + 1];
    uint32_t               attach;
    voice_id_t             id;
    voice_err_t            err;
    ops_model_t           *m = &o->model[g][u];
    voice_session_conf_t   c;

    ops_conf(o, &c, sid, g, u, b % OPS_CHANNELS, ++o->serial);
    c.version = (b & 64) ? 8 : 4;
    c.flags = (b & 128) ? VOICE_SESSION_MUTE : 0;

    err = voice_session_create(&o->z[w], &c, o->now, &id, &attach,
                               &replaced);

    ops_check(o, replaced == m->exists);
    ops_check(o, err == VOICE_OK || err == VOICE_E_FULL);

    if (m->exists) {
        ops_ended(o, m);
    }

    if (err != VOICE_OK) {
        ops_check(o, o->shared
                     || o->z[0].header->sessions_used == OPS_SESSIONS);
        return;
    }

    memset(m, 0, sizeof(ops_model_t));

    m->exists = true;
    m->id = id;
    m->attach = attach;
    m->flags = c.flags;
    m->channel = b % OPS_CHANNELS;
    m->owner = w;
    m->serial = o->serial;

    ops_check(o, voice_session_token_known(&o->z[w], c.guild_id, c.user_id,
                                           c.token_hash));
}


static inline void
ops_select(ops_zone_t *o, ops_model_t *m, uint32_t a, uint32_t b)
{
    uint8_t       secret[VOICE_KEY_LEN];
    voice_addr_t  hint = zone_address(1 + b % 8, 1 + b % 3);

    memset(secret, 1 + (int) (a % 255), sizeof(secret));

    ops_check(o, voice_session_select(&o->z[a % OPS_WORKERS], m->id,
                                      a % VOICE_MODE_COUNT, secret,
                                      (b & 8) ? &hint : NULL, o->now, 5)
                 == VOICE_OK);
    m->live = true;
}


static inline void
ops_resume(ops_zone_t *o, ops_model_t *m, unsigned g, unsigned u, uint32_t a,
    uint32_t b)
{
    int                    w = a % OPS_WORKERS;
    char                   sid[VOICE_SESSION_ID_MAX + 1];
    uint32_t               attach;
    voice_id_t             id;
    voice_err_t            err, expected;
    voice_session_t       *s;
    voice_session_conf_t   c;

    ops_conf(o, &c, sid, g, u, 0, m->serial);

    expected = VOICE_OK;

    if (b % 11 == 1) {
        sid[0] = 'x';
        expected = VOICE_E_NOT_FOUND;

    } else if (b % 11 == 2) {
        c.token_hash[5] ^= 1;
        expected = VOICE_E_AUTH;

    } else if (m->owner < 0 && m->deadline <= o->now) {
        expected = VOICE_E_NOT_FOUND;
    }

    s = voice_session_get(&o->z[w], m->id);

    err = voice_session_resume(&o->z[w], c.guild_id, c.user_id, sid,
                               c.token_hash, (b & 16) ? 4 : 8, a & 32,
                               (a & 64) ? s->outbox.seq - 1u : a % 200,
                               o->now, &id, &attach);

    ops_check(o, err == expected
                 || (err == VOICE_E_EXPIRED && expected == VOICE_OK));

    if (err == VOICE_OK) {
        ops_check(o, id == m->id && attach != m->attach);
        m->owner = w;
        m->attach = attach;
        m->deadline = 0;
    }
}


static inline void
ops_expire(ops_zone_t *o, uint32_t a)
{
    unsigned      g, u, n;
    ops_model_t  *m;

    n = 0;
    o->now += a % OPS_WINDOW;

    for (g = 0; g < OPS_GUILDS; g++) {
        for (u = 0; u < OPS_USERS; u++) {
            m = &o->model[g][u];

            if (m->exists && m->owner < 0 && m->deadline <= o->now) {
                m->exists = false;
                n++;
            }
        }
    }

    ops_check(o, voice_session_expire(&o->z[a % OPS_WORKERS], o->now) == n);
}


static inline ops_model_t *
ops_find(ops_zone_t *o, voice_id_t id)
{
    unsigned  g, u;

    for (g = 0; g < OPS_GUILDS; g++) {
        for (u = 0; u < OPS_USERS; u++) {
            if (o->model[g][u].exists && o->model[g][u].id == id) {
                return &o->model[g][u];
            }
        }
    }

    return NULL;
}


static inline void
ops_closing_drop(ops_zone_t *o, unsigned i, bool detach)
{
    voice_zone_t   *z;
    ops_closing_t  *c = &o->closing[i];

    z = &o->z[c->owner];

    if (detach) {
        voice_session_detach(z, c->id, c->attach, o->now, OPS_WINDOW);
    } else {
        voice_session_close(z, c->id, c->attach, 0);
    }

    ops_check(o, voice_session_get(z, c->id) == NULL);
    *c = o->closing[--o->nclosing];
}


/* Sends what one websocket has to say, not always all of it. */
static inline void
ops_send(ops_zone_t *o, int w, voice_id_t id, uint32_t a)
{
    unsigned        i, n;
    uint32_t        attach;
    voice_err_t     err;
    ops_model_t    *m;
    voice_event_t   ev;

    m = ops_find(o, id);
    attach = (m != NULL) ? m->attach : 0;

    for (i = 0; m == NULL && i < o->nclosing; i++) {
        if (o->closing[i].id == id) {
            attach = o->closing[i].attach;
            break;
        }
    }

    ops_check(o, m == NULL || m->owner == w);
    ops_check(o, attach != 0);

    for (n = 1 + a % 200; n != 0; n--) {
        err = voice_outbox_next(&o->z[w], id, attach, &ev);

        if (err == VOICE_E_FULL) {
            if (m != NULL) {
                voice_session_close(&o->z[w], id, attach, 0);
                m->exists = false;
            } else {
                ops_closing_drop(o, i, false);
            }

            return;
        }

        if (err != VOICE_OK) {
            ops_check(o, err == VOICE_E_NOT_FOUND);
            return;
        }

        if (ev.type == VOICE_EVENT_CLOSE) {
            ops_check(o, m == NULL);
            ops_closing_drop(o, i, a & 1);
            return;
        }

        ops_check(o, voice_outbox_number(&o->z[w], id, attach, &ev,
                                         ev.type % 3)
                     == VOICE_OK);

        if (n == 1 && (a & 256)) {
            return;                   /* written, but not said so */
        }

        ops_check(o, voice_outbox_sent(&o->z[w], id, attach, &ev)
                     == VOICE_OK);
    }
}


static inline void
ops_flush(ops_zone_t *o, uint32_t a)
{
    int         w = a % OPS_WORKERS;
    unsigned    n;
    voice_id_t  id;

    for (n = 0; voice_outbox_dirty(&o->z[w], &id) == VOICE_OK; n++) {
        ops_check(o, n < OPS_SESSIONS);
        ops_send(o, w, id, a / OPS_WORKERS);

        if (o->why[0] != '\0') {
            return;
        }
    }
}


static inline void
ops_worker(ops_zone_t *o, uint32_t a)
{
    int           w = a % OPS_WORKERS;
    unsigned      g, u, i;
    ops_model_t  *m;

    voice_worker_register(&o->z[w], w, 1 + a % 9999, "again", o->now,
                          OPS_WINDOW);

    for (g = 0; g < OPS_GUILDS; g++) {
        for (u = 0; u < OPS_USERS; u++) {
            m = &o->model[g][u];

            if (m->exists && m->owner == w) {
                m->owner = -1;
                m->deadline = o->now + OPS_WINDOW;
            }
        }
    }

    for (i = o->nclosing; i-- != 0; /* void */ ) {
        if (o->closing[i].owner == w) {
            ops_check(o, voice_session_get(&o->z[w], o->closing[i].id)
                         == NULL);
            o->closing[i] = o->closing[--o->nclosing];
        }
    }
}


/* An id of a session that is gone must do nothing to its slot's new owner. */
static inline void
ops_stale(ops_zone_t *o)
{
    size_t          n;
    uint8_t         secret[VOICE_KEY_LEN] = { 1 };
    voice_id_t      id = o->stale;
    voice_err_t     err;
    voice_addr_t    addr = zone_address(99, 99);
    voice_zone_t   *z = &o->z[0];
    voice_event_t   ev;
    voice_roster_t  list[1];

    if (id == 0 || voice_session_get(z, id) != NULL) {
        return;                       /* none yet, or closing still */
    }

    ops_check(o, voice_session_select(z, id, 0, secret, NULL, 1, 1)
                 == VOICE_E_STALE);
    ops_check(o, voice_session_speaking(z, id, 1, true) == VOICE_E_STALE);
    ops_check(o, voice_session_flags(z, id, VOICE_SESSION_MUTE, 0)
                 == VOICE_E_STALE);

    err = voice_session_candidate(z, id, &addr, &addr);
    ops_check(o, err == VOICE_E_STALE || (err == VOICE_AGAIN && o->shared));

    err = voice_session_bind(z, id, &addr, &addr);
    ops_check(o, err == VOICE_E_STALE || (err == VOICE_AGAIN && o->shared));

    ops_check(o, voice_outbox_next(z, id, 1, &ev) == VOICE_E_STALE);
    ops_check(o, voice_room_roster(z, id, 1, list, 1, &n) == VOICE_E_STALE);

    voice_session_close(z, id, 0, VOICE_CLOSE_DISCONNECTED);
    voice_session_detach(z, id, 1, o->now, OPS_WINDOW);
    voice_session_want_key(z, id, 1);
}


/* What the relay does beside the lock, and then an operation of its own. */
static inline void
ops_relay(ops_zone_t *o, ops_model_t *m, ops_t op, uint32_t a, uint32_t b)
{
    uint32_t          from, to;
    voice_err_t       err;
    voice_addr_t      addr = zone_address(1 + a % 8, 1 + a % 3);
    voice_addr_t      local = zone_address(77, 50000);
    voice_zone_t     *z = &o->z[b % OPS_WORKERS];
    voice_session_t  *s = voice_session_get(z, m->id);

    ops_check(o, s != NULL);

    if (s == NULL) {
        return;
    }

    switch (op) {

    case OPS_CANDIDATE:
        err = voice_session_candidate(z, m->id, &addr, &local);
        ops_check(o, err == (m->live ? VOICE_E_STATE : VOICE_OK)
                     || (err == VOICE_AGAIN && o->shared));
        break;

    case OPS_BIND:
        err = voice_session_bind(z, m->id, &addr, &local);
        ops_check(o, err == (m->live ? VOICE_OK : VOICE_E_STALE)
                     || (err == VOICE_AGAIN && o->shared));
        ops_check(o, err != VOICE_OK || o->shared
                     || voice_route_by_address(z, &addr) != NULL);
        break;

    case OPS_WANT_KEY:
        voice_session_want_key(z, m->id, s->key - (b & 1));
        break;

    default:
        err = voice_route_nonces(s, s->key, &from, &to);
        ops_check(o, err == VOICE_OK || !m->live);

        if (m->live) {
            atomic_store(&s->last_seq, a);
            atomic_store(&s->talking, 1);
        }
    }
}


static inline void
ops_session(ops_zone_t *o, ops_t op, unsigned g, unsigned u, uint32_t a,
    uint32_t b)
{
    uint32_t      set, clear;
    ops_model_t  *m = &o->model[g][u];
    voice_zone_t *z = &o->z[a % OPS_WORKERS];

    switch (op) {

    case OPS_SELECT:
        ops_select(o, m, a, b);
        break;

    case OPS_CLOSE_CODE:
        voice_session_close(z, m->id, 0, VOICE_CLOSE_DISCONNECTED);
        ops_ended(o, m);
        break;

    case OPS_CLOSE:
        voice_session_close(z, m->id, m->attach + 1, 0);   /* another's */
        ops_check(o, voice_session_get(z, m->id) != NULL);

        voice_session_close(z, m->id, m->attach, 0);
        ops_check(o, voice_session_get(z, m->id) == NULL);
        o->stale = m->id;
        m->exists = false;
        break;

    case OPS_DETACH:
        voice_session_detach(z, m->id, m->attach, o->now, OPS_WINDOW);
        m->owner = -1;
        m->deadline = o->now + OPS_WINDOW;
        break;

    case OPS_RESUME:
        ops_resume(o, m, g, u, a, b);
        break;

    case OPS_SPEAKING:
        ops_check(o, voice_session_speaking(z, m->id, b % 5, b & 64)
                     == (m->live ? VOICE_OK : VOICE_E_STATE));
        break;

    case OPS_FLAGS:
        set = b & (VOICE_SESSION_UNHEARD | VOICE_SESSION_DEAF);
        clear = (b >> 8) & (VOICE_SESSION_UNHEARD | VOICE_SESSION_DEAF);

        ops_check(o, voice_session_flags(z, m->id, set, clear) == VOICE_OK);
        m->flags = (m->flags & ~clear) | set;
        break;

    default:
        ops_relay(o, m, op, a, b);
    }
}


static inline void
ops_run(ops_zone_t *o, unsigned op, uint32_t a, uint32_t b)
{
    unsigned     g = (b >> 16) % OPS_GUILDS, u = (b >> 20) % OPS_USERS;
    voice_cut_t  cut;

    while (o->nclosing > OPS_CLOSINGS - 8) {
        ops_closing_drop(o, 0, a & 1);
    }

    switch (op) {

    case OPS_CREATE:
        ops_create(o, g, u, a, b);
        return;

    case OPS_EXPIRE:
        ops_expire(o, a);
        return;

    case OPS_FLUSH:
        ops_flush(o, a);
        return;

    case OPS_CLOSED:
        if (o->nclosing != 0) {
            ops_closing_drop(o, a % o->nclosing, b & 1);
        }
        return;

    case OPS_WORKER:
        if (b % 16 == 0) {
            ops_worker(o, a);
        }
        return;

    case OPS_REPAIR:
        voice_zone_lock(&o->z[0]);
        voice_zone_repair(&o->z[0]);
        voice_zone_unlock(&o->z[0]);
        return;

    case OPS_CUTS:
        while (voice_zone_cut_take(&o->z[a % OPS_WORKERS], &cut) == VOICE_OK) {
            ops_check(o, cut.session < OPS_SESSIONS && cut.ssrc != 0
                         && cut.room != 0);
        }
        return;

    case OPS_STALE:
        ops_stale(o);
        return;

    default:
        if (o->model[g][u].exists) {
            ops_session(o, op, g, u, a, b);
        }
    }
}


/* The other members of the room, by the model and by the zone. */
static inline void
ops_compare_room(ops_zone_t *o, unsigned g, unsigned u)
{
    size_t              i, n, expected;
    unsigned            v;
    voice_zone_t       *z = &o->z[0];
    voice_roster_t      list[OPS_USERS];
    const ops_model_t  *m = &o->model[g][u], *other;

    n = 0;
    expected = 0;

    ops_check(o, voice_room_roster(z, m->id, z->header->announced, list,
                                   OPS_USERS, &n)
                 == VOICE_OK);

    for (v = 0; m->live && v < OPS_USERS; v++) {
        other = &o->model[g][v];

        if (v == u || !other->exists || !other->live
            || other->channel != m->channel)
        {
            continue;
        }

        expected++;

        for (i = 0; i < n && list[i].user_id != 500 + v; i++) { /* void */ }

        ops_check(o, i < n && list[i].ssrc
                              == voice_session_get(z, other->id)->ssrc);
    }

    ops_check(o, n == expected);
}


static inline void
ops_compare(ops_zone_t *o)
{
    unsigned            g, u, n;
    voice_zone_t       *z = &o->z[0];
    const ops_model_t  *m;
    voice_session_t    *s;

    n = o->nclosing;

    for (g = 0; g < OPS_GUILDS; g++) {
        for (u = 0; u < OPS_USERS; u++) {
            m = &o->model[g][u];

            if (!m->exists) {
                continue;
            }

            n++;
            s = voice_session_get(z, m->id);

            if (s == NULL) {
                ops_fail(o, "user %u of guild %u: no session", u, g);
                return;
            }

            ops_check(o, s->user_id == 500 + u && s->guild_id == o->base + g
                         && s->channel_id == 2000 + m->channel);
            ops_check(o, s->state == (m->live ? VOICE_SESSION_LIVE
                                              : VOICE_SESSION_READY));
            ops_check(o, s->attach == m->attach
                         && s->worker == (m->owner < 0 ? VOICE_WORKER_NONE
                                                       : (unsigned) m->owner)
                         && s->deadline == m->deadline);
            ops_check(o, (s->flags & ~VOICE_SESSION_OVERFLOW) == m->flags);

            ops_compare_room(o, g, u);
        }
    }

    ops_check(o, z->header->sessions_used == n);
}


#endif /* _ZONE_OPS_H_INCLUDED_ */
