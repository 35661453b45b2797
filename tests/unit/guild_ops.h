/*
 * Copyright (C) ngx-voice contributors
 *
 * Random operations on the guild service beside its model.  Every gateway
 * client gets exactly the events that it may see, once and in order,
 * whichever worker it comes back to.
 */


#ifndef _GUILD_OPS_H_INCLUDED_
#define _GUILD_OPS_H_INCLUDED_


#include "guild_model.h"


/* A client gets a dispatch: the next one, and the next event for it. */
static inline void
gops_receive(gops_zone_t *o, gops_gateway_t *g, uint64_t s, uint64_t what)
{
    const gops_event_t  *e;

    ops_check(o, s == g->acked + 1);
    g->acked = s;

    if (!voice_gateway_is_event(what)) {
        return;
    }

    for ( /* void */ ; g->pos < o->events; g->pos++) {
        e = &o->history[g->pos % GOPS_HISTORY];

        if (gops_visible(o, g, e)) {
            break;
        }
    }

    ops_check(o, g->pos < o->events && e->number == what);
    g->pos++;
}


static inline void
gops_dispatch(gops_zone_t *o, gops_gateway_t *g, uint64_t what)
{
    uint64_t  seq;

    ops_check(o, voice_gateway_session_dispatched(&o->z[g->owner], &g->h,
                                                  what, &seq)
                 == VOICE_OK);

    g->sent[seq % GOPS_SENT] = what;
    ops_check(o, g->h.seq == seq + 1);

    if (!g->broken) {
        gops_receive(o, g, seq, what);
    }
}


/* The worker reads the log for a session. */
static inline void
gops_flush(gops_zone_t *o, gops_gateway_t *g, size_t max)
{
    size_t             i, n;
    voice_err_t        err;
    gops_event_t       e;
    voice_log_event_t  list[16];

    if (!g->exists || g->owner < 0) {
        return;
    }

    do {
        err = voice_log_read(&o->z[g->owner], &g->read, list,
                             max < 16 ? max : 16, &n);

        if (err == VOICE_E_EXPIRED) {
            ops_check(o, g->read + VOICE_LOG_EVENTS
                         < voice_log_next(&o->z[0]) + 2);
            voice_gateway_session_detach(&o->z[g->owner], &g->h, o->now,
                                         GOPS_WINDOW);
            g->owner = -1;
            g->deadline = o->now + GOPS_WINDOW;
            return;
        }

        ops_check(o, err == VOICE_OK);

        for (i = 0; i < n; i++) {
            e.guild = list[i].state.guild_id;
            e.gateway = list[i].gateway;

            if (gops_visible(o, g, &e)) {
                gops_dispatch(o, g, list[i].number);
            }
        }

        max -= n;

    } while (n != 0 && max != 0 && o->why[0] == '\0');

    if (g->read % 3 == 0) {
        ops_check(o, voice_gateway_session_seen(&o->z[g->owner], &g->h,
                                                g->read)
                     == VOICE_OK);
        ops_check(o, g->h.next == g->read);
    }
}


static inline void
gops_create(gops_zone_t *o, gops_gateway_t *g, uint32_t a)
{
    int          w = a % GOPS_WORKERS;
    voice_err_t  err;

    if (g->exists) {
        return;
    }

    memset(g, 0, sizeof(gops_gateway_t));

    g->user = a / 4 % GOPS_USERS;
    g->owner = w;
    o->serial++;
    memcpy(g->token, &o->serial, sizeof(o->serial));

    err = voice_gateway_session_create(&o->z[w], gops_user(o, g->user),
                                       g->token, o->now, &g->h);

    if (err == VOICE_E_FULL && o->shared) {
        return;
    }

    ops_check(o, err == VOICE_OK);
    ops_check(o, g->h.seq == 1 && g->h.attach == 1
                 && strlen(g->h.session_id) == VOICE_GATEWAY_SESSION_LEN);

    g->exists = true;
    g->read = g->h.next;
    g->pos = o->events;
}


/* The session's end, by whatever cause. */
static inline void
gops_ended(gops_zone_t *o, gops_gateway_t *gw)
{
    unsigned  g, u;

    for (g = 0; g < GOPS_GUILDS; g++) {
        for (u = 0; u < GOPS_USERS; u++) {
            if (o->state[g][u].channel && o->state[g][u].owner == gw->h.id) {
                gops_left(o, g, u);
            }
        }
    }

    gw->exists = false;
}


/* Whether the log has what the session needs. */
static inline bool
gops_resumable(const gops_zone_t *o, const gops_gateway_t *g)
{
    uint64_t  s;
    uint64_t  next, oldest;

    next = voice_log_next(&o->z[0]);
    oldest = (next > VOICE_LOG_EVENTS) ? next - VOICE_LOG_EVENTS : 1;

    if (g->h.next < oldest
        || g->h.seq - 1 - g->acked > VOICE_GATEWAY_DISPATCHES)
    {
        return false;
    }

    for (s = g->acked + 1; s < g->h.seq; s++) {
        if (voice_gateway_is_event(g->sent[s % GOPS_SENT])
            && g->sent[s % GOPS_SENT] < oldest)
        {
            return false;
        }
    }

    return true;
}


static inline void
gops_resume(gops_zone_t *o, gops_gateway_t *g, uint32_t a)
{
    int                       w = a % GOPS_WORKERS, former = g->owner;
    char                      sid[VOICE_GATEWAY_SESSION_LEN + 2];
    size_t                    i, n;
    uint8_t                   token[VOICE_TOKEN_HASH_LEN];
    uint32_t                  taken;
    uint64_t                  s, seq = g->acked;
    uint64_t                  replay[VOICE_GATEWAY_DISPATCHES];
    voice_err_t               err, expected;
    voice_gateway_session_t   h, old = g->h;

    strcpy(sid, g->h.session_id);
    memcpy(token, g->token, sizeof(token));

    expected = gops_resumable(o, g) ? VOICE_OK : VOICE_E_EXPIRED;

    if (g->owner < 0 && g->deadline <= o->now) {
        expected = VOICE_E_NOT_FOUND;

    } else if (a / 4 % 13 == 1) {
        token[7] ^= 1;
        expected = VOICE_E_AUTH;

    } else if (a / 4 % 13 == 2) {
        seq = g->h.seq;
        expected = VOICE_E_RANGE;

    } else if (a / 4 % 13 == 3) {
        sid[31] ^= 1;
        expected = VOICE_E_NOT_FOUND;
    }

    taken = former >= 0 ? o->z[0].header->worker[o->z[former].worker].taken
                        : 0;

    err = voice_gateway_session_resume(&o->z[w], sid, token, seq, o->now, &h,
                                       replay, &n);

    if (err != expected && !(o->shared && err == VOICE_E_EXPIRED
                             && expected == VOICE_OK))
    {
        ops_fail(o, "resume: %s, expected %s", voice_err_name(err),
                 voice_err_name(expected));
        return;
    }

    if (err == VOICE_E_EXPIRED) {
        o->expired++;
        h.id = g->h.id;
        h.attach = 0;
        voice_gateway_session_destroy(&o->z[w], &h);
        gops_ended(o, g);
    }

    if (err != VOICE_OK) {
        return;
    }

    ops_check(o, h.id == old.id && h.attach != old.attach
                 && h.seq == g->acked + 1 && h.next == old.next
                 && n == old.seq - 1 - g->acked);
    ops_check(o, former < 0 || former == w
                 || o->z[0].header->worker[o->z[former].worker].taken
                    == taken + 1);

    if (former >= 0) {
        ops_check(o, voice_gateway_session_dispatched(&o->z[former], &old,
                         VOICE_GATEWAY_SNAPSHOT(1, 1), &s) == VOICE_E_STALE);
        ops_check(o, voice_gateway_session_seen(&o->z[former], &old, old.next)
                     == VOICE_E_STALE);
        voice_gateway_session_detach(&o->z[former], &old, o->now, 1);
        voice_gateway_session_destroy(&o->z[former], &old);
    }

    g->broken = false;

    for (i = 0; i < n; i++) {
        ops_check(o, replay[i] == g->sent[(h.seq + i) % GOPS_SENT]);
        gops_receive(o, g, h.seq + i, replay[i]);
    }

    o->replayed += (unsigned) n;
    g->h = h;
    g->h.seq += n;
    g->owner = w;
    g->read = h.next;
}


static inline void
gops_gateway(gops_zone_t *o, gops_t op, gops_gateway_t *g, uint32_t a)
{
    uint32_t  i;
    uint64_t  read;

    if (op == GOPS_CREATE) {
        gops_create(o, g, a);
        return;
    }

    if (!g->exists) {
        return;
    }

    if (op == GOPS_RESUME) {
        gops_resume(o, g, a);
        return;
    }

    if (op == GOPS_DESTROY) {
        if (a % 4 == 0) {
            voice_gateway_session_destroy(&o->z[a % GOPS_WORKERS], &g->h);
            gops_ended(o, g);
        }
        return;
    }

    if (g->owner < 0) {
        return;
    }

    switch (op) {

    case GOPS_FLUSH:
        gops_flush(o, g, 1 + a % 400);
        break;

    case GOPS_SNAPSHOT:
        for (i = (a % 32 == 0) ? a / 32 % 300 : 1; i != 0; i--) {
            gops_dispatch(o, g, VOICE_GATEWAY_SNAPSHOT(1 + a % 9, i));
        }
        break;

    case GOPS_BREAK:
        g->broken = true;
        break;

    default:
        read = g->read;
        g->h.next = (read > g->h.next) ? read : g->h.next;
        voice_gateway_session_detach(&o->z[g->owner], &g->h, o->now,
                                     GOPS_WINDOW);
        g->owner = -1;
        g->deadline = o->now + GOPS_WINDOW;
    }
}


/* Time passes, and whoever is late is gone. */
static inline void
gops_expire(gops_zone_t *o, uint32_t a)
{
    unsigned  i, n;

    o->now += a % GOPS_WINDOW;

    for (i = 0, n = 0; i < GOPS_GATEWAYS; i++) {
        n += o->gateway[i].exists && o->gateway[i].owner < 0
             && o->gateway[i].deadline <= o->now;
    }

    ops_check(o, voice_gateway_session_expire(&o->z[a % GOPS_WORKERS],
                                              o->now)
                 == n);

    /* one by one: their events come by session */

    for (i = 0; i < GOPS_GATEWAYS; i++) {
        if (o->gateway[i].exists && o->gateway[i].owner < 0
            && o->gateway[i].deadline <= o->now)
        {
            gops_ended(o, &o->gateway[i]);
        }
    }
}


/* A worker dies and another one takes its slot. */
static inline void
gops_worker(gops_zone_t *o, int w)
{
    unsigned         i, g, u;
    gops_state_t    *st;
    gops_gateway_t  *gw;

    voice_worker_register(&o->z[w], o->z[w].worker, 1 + w, "again", o->now,
                          GOPS_WINDOW);

    for (i = 0; i < GOPS_GATEWAYS; i++) {
        gw = &o->gateway[i];

        if (gw->exists && gw->owner == w) {
            gw->owner = -1;
            gw->deadline = o->now + GOPS_WINDOW;
        }
    }

    for (g = 0; g < GOPS_GUILDS; g++) {
        for (u = 0; u < GOPS_USERS; u++) {
            st = &o->state[g][u];

            if (st->voice && voice_session_get(&o->z[0], st->id)->worker
                             == VOICE_WORKER_NONE)
            {
                st->connected = false;
            }
        }
    }
}


static inline void
gops_run_state(gops_zone_t *o, gops_t op, uint32_t a, uint32_t b)
{
    unsigned         g = (b >> 16) % GOPS_GUILDS;
    unsigned         u = (b >> 20) % GOPS_USERS;
    gops_state_t    *st = &o->state[g][u];
    gops_gateway_t  *gw = &o->gateway[(b >> 24) % GOPS_GATEWAYS];

    switch (op) {

    case GOPS_JOIN:
        if (gw->exists) {
            gops_join(o, gw, g, gw->user, 1 + a % GOPS_CHANNELS, b);
        }
        break;

    case GOPS_JOIN_AGAIN:
        if (gw->exists && o->state[g][gw->user].channel != 0) {
            gops_join(o, gw, g, gw->user, o->state[g][gw->user].channel,
                      o->state[g][gw->user].flags ^ ((a & 1) ? 0 : b));
        }
        break;

    case GOPS_JOIN_PLATFORM:
        gops_join(o, NULL, g, u, 1 + a % GOPS_CHANNELS, b);
        break;

    case GOPS_VOICE:
    case GOPS_VOICE_OTHER:
        gops_voice(o, op == GOPS_VOICE_OTHER, g, u, a);
        break;

    case GOPS_VOICE_DETACH:
        if (st->voice) {
            voice_session_detach(&o->z[0], st->id, st->attach, o->now,
                                 1000000);
            st->connected = false;
        }
        break;

    default:
        gops_moderate(o, op, g, u, a, b);
    }
}


static inline void
gops_run(gops_zone_t *o, unsigned op, uint32_t a, uint32_t b)
{
    unsigned            i;
    gops_gateway_t     *gw = &o->gateway[(b >> 24) % GOPS_GATEWAYS];
    voice_log_event_t  *ev;

    o->nexpected = 0;
    o->before = voice_log_next(&o->z[0]);

    if (op <= GOPS_VOICE_DETACH) {
        gops_run_state(o, op, a, b);
        gops_voice_clean(o);

    } else if (op == GOPS_FLUSH_ALL) {
        for (i = 0; i < GOPS_GATEWAYS; i++) {
            gops_flush(o, &o->gateway[i], 100000);
        }

    } else if (op == GOPS_EXPIRE) {
        gops_expire(o, a);
        gops_voice_clean(o);

    } else if (op == GOPS_WORKER) {
        if (b % 16 == 0) {
            gops_worker(o, a % GOPS_WORKERS);
        }

    } else if (op == GOPS_GUILD) {
        ev = gops_expect(o, VOICE_LOG_GUILD, b % GOPS_GUILDS, 0, 0, 0);
        memset(&ev->state, 0, sizeof(ev->state));
        ev->state.guild_id = o->base + b % GOPS_GUILDS;
        ev->owner = 0;
        ops_check(o, voice_log_guild(&o->z[0], VOICE_LOG_GUILD,
                                     ev->state.guild_id) == VOICE_OK);

    } else if (op == GOPS_BURST) {
        for (i = (b % 128 == 0) ? 17000 : a % 8; i != 0; i--) {
            voice_log_guild(&o->z[0], VOICE_LOG_GUILD_DELETE, 7);
        }

    } else if (op == GOPS_REPAIR) {
        voice_zone_lock(&o->z[0]);
        voice_zone_repair(&o->z[0]);
        voice_zone_unlock(&o->z[0]);

    } else {
        gops_gateway(o, op, gw, a);
        gops_voice_clean(o);
    }

    /* more than the log holds, and nothing of ours, in a burst */

    if (o->why[0] == '\0' && op != GOPS_BURST) {
        gops_appended(o, op == GOPS_DESTROY || op == GOPS_EXPIRE
                         || op == GOPS_RESUME);
    }
}


/*
 * What was told is what is: the last event of each user's state against the
 * record.  Under the lock.  NULL if all agree.
 */
static inline const char *
gops_told(const voice_zone_t *z, uint64_t guild, uint64_t user)
{
    uint64_t                  n;
    const voice_state_t      *st;
    const voice_log_event_t  *ev = NULL;

    for (n = voice_log_next(z) - 1; n != 0; n--) {
        ev = voice_log_get(z, n);

        if (ev == NULL) {
            return NULL;                 /* told too long ago */
        }

        if (ev->type == VOICE_LOG_STATE && ev->state.guild_id == guild
            && ev->state.user_id == user)
        {
            break;
        }
    }

    st = voice_state_find(z, guild, user);

    if (n == 0 || (ev->state.channel_id == 0
                   && (ev->state.flags & VOICE_STATE_STICKY) == 0))
    {
        return st == NULL ? NULL : "a state that was never told";
    }

    if (st == NULL) {
        return "told of a state that isn't there";
    }

    if (st->channel_id != ev->state.channel_id
        || st->flags != ev->state.flags || st->gateway != ev->owner
        || st->request_to_speak != ev->state.request_to_speak
        || strcmp(st->session_id, ev->state.session_id) != 0)
    {
        return "a state that is other than it was told";
    }

    return NULL;
}


/* Users and guilds as in the model, by number alone. */
static inline bool
gops_may_see(unsigned base, const voice_log_event_t *ev, voice_id_t id,
    uint64_t user)
{
    if (ev->gateway != 0) {
        return ev->gateway == id;
    }

    return ev->state.guild_id == base
           || (ev->state.guild_id == base + 1 && user % 2 == 1);
}


/*
 * What a session was sent, as far as a resume can tell, is each event that it
 * may see, once and in order, up to where its next worker would read on.
 * from: the first that it should have, 0: don't know.  NULL, or what is wrong.
 */
static inline const char *
gops_exact(const voice_zone_t *z, unsigned base,
    const voice_gateway_record_t *g, uint64_t from)
{
    uint64_t                  s;
    uint64_t                  what, n = from;
    const voice_log_event_t  *ev;

    s = g->seq > VOICE_GATEWAY_DISPATCHES ? g->seq - VOICE_GATEWAY_DISPATCHES
                                          : 1;

    for ( /* void */ ; s <= g->seq; s++) {
        what = (s < g->seq) ? g->dispatch[s % VOICE_GATEWAY_RING] : g->next;

        if (!voice_gateway_is_event(what)) {
            continue;
        }

        if (n != 0 && what < n) {
            return "an event was sent twice, or is to be looked at again";
        }

        for ( /* void */ ; n != 0 && n < what; n++) {
            ev = voice_log_get(z, n);

            if (ev != NULL
                && gops_may_see(base, ev, voice_gateway_id(z, g), g->user_id))
            {
                return "an event was left out";
            }
        }

        n = what + 1;
    }

    return NULL;
}


#endif /* _GUILD_OPS_H_INCLUDED_ */
