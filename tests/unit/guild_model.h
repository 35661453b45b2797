/*
 * Copyright (C) ngx-voice contributors
 *
 * A plain model of the guild service: what each operation on voice states
 * should append to the log, and what becomes of voice sessions.
 */


#ifndef _GUILD_MODEL_H_INCLUDED_
#define _GUILD_MODEL_H_INCLUDED_


#include "voice_guild_internal.h"
#include "zone_ops.h"


#define GOPS_WORKERS     3
#define GOPS_GUILDS      2
#define GOPS_USERS       5
#define GOPS_CHANNELS    3
#define GOPS_GATEWAYS    9
#define GOPS_WINDOW      1000
#define GOPS_LIMIT       3             /* users of the first channel */
#define GOPS_SESSIONS    64
#define GOPS_HISTORY     32768         /* more than the log has */
#define GOPS_SENT        1024
#define GOPS_EXPECTED    (GOPS_GUILDS * GOPS_USERS + 2)


typedef enum {
    GOPS_JOIN = 0,
    GOPS_JOIN_AGAIN,
    GOPS_JOIN_PLATFORM,
    GOPS_LEAVE,
    GOPS_MOVE,
    GOPS_FLAGS,
    GOPS_VOICE,
    GOPS_VOICE_OTHER,
    GOPS_VOICE_DETACH,
    GOPS_CREATE,
    GOPS_FLUSH,
    GOPS_FLUSH_ALL,
    GOPS_SNAPSHOT,
    GOPS_BREAK,
    GOPS_RESUME,
    GOPS_DETACH,
    GOPS_DESTROY,
    GOPS_EXPIRE,
    GOPS_WORKER,
    GOPS_GUILD,
    GOPS_BURST,
    GOPS_REPAIR,
    GOPS_COUNT
} gops_t;


typedef struct {
    uint64_t     number;
    uint64_t     guild;
    voice_id_t   gateway;
} gops_event_t;

typedef struct {
    bool                      exists;
    bool                      broken;    /* nothing arrives any more */
    int                       owner;     /* worker, or -1 */
    unsigned                  user;
    uint8_t                   token[VOICE_TOKEN_HASH_LEN];
    voice_gateway_session_t   h;
    uint64_t                  read;      /* the worker's place in the log */
    uint64_t                  deadline;
    uint64_t                  sent[GOPS_SENT];       /* by s */
    uint64_t                  acked;     /* last s that the client has */
    uint64_t                  pos;       /* next event of the history */
} gops_gateway_t;

/* A voice state and the voice session of its user. */
typedef struct {
    unsigned     channel;                /* 0: in none */
    uint32_t     flags;
    uint64_t     request;
    voice_id_t   owner;
    char         sid[VOICE_SESSION_ID_MAX + 1];

    bool         voice;
    bool         connected;
    voice_id_t   id;
    uint32_t     attach;
    unsigned     voice_channel;
    uint32_t     voice_flags;
    char         voice_sid[VOICE_SESSION_ID_MAX + 1];
} gops_state_t;

typedef struct {
    voice_zone_t     z[GOPS_WORKERS];
    gops_gateway_t   gateway[GOPS_GATEWAYS];
    gops_state_t     state[GOPS_GUILDS][GOPS_USERS];
    gops_event_t     history[GOPS_HISTORY];
    uint64_t         events;             /* of the history, so far */
    uint64_t         now;
    uint64_t         before;             /* log_next before the operation */
    uint32_t         serial;
    unsigned         base;               /* of guilds: each process has its
                                            own */
    bool             shared;             /* others use the zone too */
    bool             late;               /* and have filled the log since */
    voice_log_event_t   expected[GOPS_EXPECTED];
    unsigned         nexpected;
    unsigned         replayed;           /* dispatches, by all resumes */
    unsigned         expired;            /* resumes that came too late */
    char             why[256];
} gops_zone_t;


static inline void
gops_init(gops_zone_t *o, void *mem, bool format, unsigned slot)
{
    int     w;
    size_t  size = voice_zone_size(GOPS_SESSIONS);

    o->now = 1;
    o->base = (o->base != 0) ? o->base : 1000;

    for (w = 0; w < GOPS_WORKERS; w++) {
        ops_check(o, (format && w == 0
                      ? voice_zone_format(&o->z[0], mem, size, GOPS_SESSIONS,
                                          "node")
                      : voice_zone_attach(&o->z[w], mem, size,
                                          GOPS_SESSIONS))
                     == VOICE_OK);

        voice_worker_register(&o->z[w], slot + w, 100 + w, "w", 1,
                              GOPS_WINDOW);
    }
}


static inline uint64_t
gops_user(const gops_zone_t *o, unsigned u)
{
    return o->base * 100ull + u;
}


static inline bool
gops_ours(const gops_zone_t *o, uint64_t guild)
{
    return guild - o->base < GOPS_GUILDS;
}


/* Who sees which guild. */
static inline bool
gops_visible(const gops_zone_t *o, const gops_gateway_t *g,
    const gops_event_t *e)
{
    if (e->gateway != 0) {
        return e->gateway == g->h.id;
    }

    return gops_ours(o, e->guild)
           && (e->guild == o->base || g->user % 2 == 1);
}


/* What the operation in progress should append. */
static inline voice_log_event_t *
gops_expect(gops_zone_t *o, voice_log_type_t type, unsigned g, unsigned u,
    unsigned old_channel, voice_id_t gateway)
{
    voice_log_event_t   *ev;
    const gops_state_t  *st = &o->state[g][u];

    ev = &o->expected[o->nexpected++];
    memset(ev, 0, sizeof(voice_log_event_t));

    ev->type = type;
    ev->gateway = gateway;
    ev->owner = st->owner;
    ev->old_channel = old_channel ? 2000 + old_channel : 0;
    ev->state.guild_id = o->base + g;
    ev->state.user_id = gops_user(o, u);
    ev->state.channel_id = st->channel ? 2000 + st->channel : 0;
    ev->state.flags = st->flags;
    ev->state.request_to_speak = st->request;
    strcpy(ev->state.session_id, st->sid);

    return ev;
}


static inline bool
gops_same(const voice_log_event_t *a, const voice_log_event_t *b)
{
    return a->type == b->type && a->gateway == b->gateway
           && a->owner == b->owner && a->old_channel == b->old_channel
           && a->state.guild_id == b->state.guild_id
           && a->state.user_id == b->state.user_id
           && a->state.channel_id == b->state.channel_id
           && a->state.flags == b->state.flags
           && a->state.request_to_speak == b->state.request_to_speak
           && strcmp(a->state.session_id, b->state.session_id) == 0;
}


/*
 * Compares what was appended with what should have been, in order; the end of
 * a session lets its states go in any order.  All of ours go to the history.
 */
static inline void
gops_appended(gops_zone_t *o, bool any_order)
{
    size_t              n;
    unsigned            i;
    uint64_t            next = o->before;
    voice_err_t         err;
    gops_event_t       *e;
    voice_log_event_t   ev;

    for ( ;; ) {
        err = voice_log_read(&o->z[0], &next, &ev, 1, &n);

        if (err == VOICE_E_EXPIRED && o->shared) {
            o->late = true;
            return;
        }

        ops_check(o, err == VOICE_OK);

        if (o->why[0] != '\0' || n == 0) {
            break;
        }

        ops_check(o, ev.number == next - 1);

        if (!gops_ours(o, ev.state.guild_id)) {
            continue;
        }

        for (i = 0; i < o->nexpected; i++) {
            if (!any_order || gops_same(&ev, &o->expected[i])) {
                break;
            }
        }

        if (i == o->nexpected || !gops_same(&ev, &o->expected[i])) {
            ops_fail(o, "event %llu of type %u, user %llu, isn't expected",
                     (unsigned long long) ev.number, ev.type,
                     (unsigned long long) ev.state.user_id);
            return;
        }

        memmove(&o->expected[i], &o->expected[i + 1],
                (--o->nexpected - i) * sizeof(voice_log_event_t));

        e = &o->history[o->events++ % GOPS_HISTORY];
        e->number = ev.number;
        e->guild = ev.state.guild_id;
        e->gateway = ev.gateway;
    }

    if (o->nexpected != 0) {
        ops_fail(o, "an event of type %u is missing", o->expected[0].type);
    }
}


/* The voice session must have followed its state. */
static inline void
gops_follow(gops_zone_t *o, unsigned g, unsigned u)
{
    voice_zone_t     *z = &o->z[0];
    gops_state_t     *st = &o->state[g][u];
    voice_session_t  *s;

    if (!st->voice) {
        return;
    }

    s = voice_session_get(z, st->id);

    if (st->channel != st->voice_channel || strcmp(st->sid, st->voice_sid)) {
        ops_check(o, (s == NULL) == !st->connected);
        ops_check(o, s == NULL || (s->state == VOICE_SESSION_CLOSING
                                   && s->close_code
                                      == VOICE_CLOSE_DISCONNECTED));

        voice_session_close(z, st->id, 0, 0);
        st->voice = false;
        return;
    }

    st->voice_flags = (st->voice_flags & ~VOICE_STATE_ENFORCED)
                      | (st->flags & VOICE_STATE_ENFORCED);

    ops_check(o, s != NULL && (s->flags & ~VOICE_SESSION_OVERFLOW)
                              == st->voice_flags);
}


static inline size_t
gops_count(const gops_zone_t *o, unsigned g, unsigned channel)
{
    size_t    n;
    unsigned  u;

    for (u = 0, n = 0; u < GOPS_USERS; u++) {
        n += (o->state[g][u].channel == channel);
    }

    return n;
}


/* Op 4 of a client, or of a platform's own gateway (gw NULL). */
static inline void
gops_join(gops_zone_t *o, gops_gateway_t *gw, unsigned g, unsigned u,
    unsigned channel, uint32_t flags)
{
    int                    w = (int) (flags % GOPS_WORKERS);
    bool                   same, stays, connected;
    char                   sid[VOICE_SESSION_ID_MAX + 1];
    unsigned               old_channel;
    voice_id_t             id = (gw != NULL) ? gw->h.id : 0;
    voice_err_t            err;
    gops_state_t          *st = &o->state[g][u], old = *st;
    voice_state_join_t     j;
    voice_state_change_t   change, expected;

    memset(&j, 0, sizeof(j));
    snprintf(sid, sizeof(sid), "platform-%u-%u", u, channel % 2);

    if (gw != NULL) {
        strcpy(sid, gw->h.session_id);
    }

    j.guild_id = o->base + g;
    j.channel_id = 2000 + channel;
    j.user_id = gops_user(o, u);
    j.gateway = id;
    j.session_id = (gw != NULL) ? NULL : sid;
    j.flags = flags;
    j.user_limit = (channel == 1) ? GOPS_LIMIT : 0;

    same = old.channel != 0 && strcmp(old.sid, sid) == 0;
    stays = same && old.channel == channel;
    connected = old.voice && old.connected;
    old_channel = old.channel;

    err = voice_state_join(&o->z[w], &j, &change);

    if (channel == 1 && old.channel != 1
        && gops_count(o, g, 1) >= GOPS_LIMIT)
    {
        ops_check(o, err == VOICE_E_FULL);
        return;
    }

    if (err == VOICE_E_NOMEM && o->shared) {
        return;
    }

    ops_check(o, err == VOICE_OK);

    st->channel = channel;
    st->owner = id;
    st->request = stays ? old.request : 0;
    strcpy(st->sid, sid);

    st->flags = (old.flags & VOICE_STATE_STICKY)
                | (flags & VOICE_STATE_SELF)
                | ((stays ? old.flags : flags) & VOICE_SESSION_SUPPRESS)
                | (stays ? old.flags & VOICE_STATE_BROUGHT : 0);

    expected = !stays ? (same ? VOICE_STATE_MOVED : VOICE_STATE_JOINED)
               : st->flags == old.flags ? VOICE_STATE_UNCHANGED
                                        : VOICE_STATE_CHANGED;
    ops_check(o, change == expected);

    if (expected == VOICE_STATE_UNCHANGED && id == 0) {
        return;
    }

    gops_expect(o, VOICE_LOG_STATE, g, u, old_channel,
                expected == VOICE_STATE_UNCHANGED ? id : 0);

    if (id != 0 && (expected != VOICE_STATE_CHANGED || !connected)) {
        gops_expect(o, VOICE_LOG_SERVER, g, u, old_channel, id);
    }

    gops_follow(o, g, u);
}


/* The model of a leave. */
static inline void
gops_left(gops_zone_t *o, unsigned g, unsigned u)
{
    unsigned       old_channel;
    gops_state_t  *st = &o->state[g][u];

    old_channel = st->channel;

    st->channel = 0;
    st->owner = 0;
    st->request = 0;
    st->flags &= VOICE_STATE_STICKY;

    gops_expect(o, VOICE_LOG_STATE, g, u, old_channel, 0);
    gops_follow(o, g, u);
}


static inline uint32_t
gops_brought(uint32_t a)
{
    return ((a & 64) ? VOICE_SESSION_SUPPRESS : 0)
           | ((a & 128) ? VOICE_STATE_BROUGHT : 0);
}


static inline void
gops_moderate(gops_zone_t *o, gops_t op, unsigned g, unsigned u, uint32_t a,
    uint32_t b)
{
    uint32_t       set, clear, flags;
    uint64_t       request = b % 5;
    unsigned       channel = 1 + b % GOPS_CHANNELS, old_channel;
    voice_err_t    expected;
    voice_zone_t  *z = &o->z[a % GOPS_WORKERS];
    gops_state_t  *st = &o->state[g][u];

    expected = st->channel ? VOICE_OK : VOICE_E_NOT_FOUND;

    if (op == GOPS_LEAVE) {
        ops_check(o, voice_state_leave(z, o->base + g, gops_user(o, u))
                     == expected);

        if (expected == VOICE_OK) {
            gops_left(o, g, u);
        }

        return;
    }

    if (op == GOPS_MOVE) {
        ops_check(o, voice_state_move(z, o->base + g, gops_user(o, u),
                                      2000 + channel, gops_brought(a))
                     == expected);

        if (expected != VOICE_OK || st->channel == channel) {
            return;
        }

        old_channel = st->channel;
        st->channel = channel;
        st->request = 0;
        st->flags = (st->flags & ~(VOICE_SESSION_SUPPRESS
                                   | VOICE_STATE_BROUGHT))
                    | gops_brought(a);

        gops_expect(o, VOICE_LOG_STATE, g, u, old_channel, 0);

        if (st->owner != 0) {
            gops_expect(o, VOICE_LOG_SERVER, g, u, old_channel, st->owner);
        }

        gops_follow(o, g, u);
        return;
    }

    set = (b >> 8) & (b >> 10) & 0x1ffu;
    clear = (a >> 8) & 0x1ffu;

    ops_check(o, voice_state_flags(z, o->base + g, gops_user(o, u), set, clear,
                                   (a & 32) ? &request : NULL)
                 == expected);

    if (expected != VOICE_OK) {
        return;
    }

    flags = (st->flags & ~clear) | (set & VOICE_STATE_FLAGS);
    request = (a & 32) ? request : st->request;

    if (flags == st->flags && request == st->request) {
        return;
    }

    set = flags ^ st->flags;
    st->flags = flags;
    st->request = request;

    if (set & VOICE_STATE_STICKY) {
        gops_expect(o, VOICE_LOG_MEMBER, g, u, st->channel, 0);
    }

    gops_expect(o, VOICE_LOG_STATE, g, u, st->channel, 0);
    gops_follow(o, g, u);
}


/* Identify on the voice websocket, with the state's token or another one. */
static inline void
gops_voice(gops_zone_t *o, bool other, unsigned g, unsigned u, uint32_t a)
{
    bool                   replaced;
    voice_err_t            err, expected;
    voice_zone_t          *z = &o->z[a % GOPS_WORKERS];
    gops_state_t          *st = &o->state[g][u];
    voice_state_info_t     info;
    voice_session_conf_t   c;

    memset(&c, 0, sizeof(c));

    c.guild_id = o->base + g;
    c.user_id = gops_user(o, u);
    c.channel_id = 2000 + (other ? 1 + a / 8 % GOPS_CHANNELS : st->channel);
    c.session_id = (other && (a & 512)) ? "other" : st->sid;
    c.version = 8;
    c.flags = (a >> 10) & (VOICE_STATE_ENFORCED | VOICE_SESSION_VIDEO);
    c.admitted = a & 4;

    expected = st->channel == 0 ? VOICE_E_NOT_FOUND
               : c.channel_id == 2000 + st->channel
                 && strcmp(c.session_id, st->sid) == 0 ? VOICE_OK
                                                       : VOICE_E_STALE;

    ops_check(o, voice_state_admit(z, c.guild_id, c.user_id, c.channel_id,
                                   c.session_id, &info)
                 == expected);
    ops_check(o, expected == VOICE_E_NOT_FOUND
                 || (info.flags == st->flags
                     && info.channel_id == 2000 + st->channel));

    if (expected == VOICE_E_NOT_FOUND && !other) {
        return;                          /* its channel would be none */
    }

    err = voice_session_create(z, &c, o->now, &st->id, &st->attach,
                               &replaced);

    if (expected != VOICE_OK && c.admitted) {
        ops_check(o, err == VOICE_E_STALE);
        return;
    }

    if (st->voice && replaced) {
        st->voice = false;
    }

    if (err == VOICE_E_FULL) {
        ops_check(o, z->header->sessions_used == GOPS_SESSIONS);
        return;
    }

    ops_check(o, err == VOICE_OK);

    st->voice = true;
    st->connected = true;
    st->voice_channel = (unsigned) (c.channel_id - 2000);
    strcpy(st->voice_sid, c.session_id);
    st->voice_flags = c.flags | (st->flags & VOICE_STATE_STICKY);

    if (expected == VOICE_OK) {
        st->voice_flags = (c.flags & VOICE_SESSION_VIDEO)
                          | (st->flags & VOICE_STATE_ENFORCED);
    }

    ops_check(o, voice_session_get(z, st->id)->flags == st->voice_flags);
}


/* The websockets of voice sessions that were closed or replaced are gone. */
static inline void
gops_voice_clean(gops_zone_t *o)
{
    uint32_t          i;
    voice_session_t  *s;

    for (i = 0; i < o->z[0].header->session_end; i++) {
        s = &o->z[0].session[i];

        if (s->state == VOICE_SESSION_CLOSING && gops_ours(o, s->guild_id)) {
            voice_session_close(&o->z[0], voice_session_id(&o->z[0], s), 0,
                                0);
        }
    }
}


#endif /* _GUILD_MODEL_H_INCLUDED_ */
