/*
 * Copyright (C) ngx-voice contributors
 */


#include "voice_guild_internal.h"
#include "voice_peer.h"

#include <sodium.h>


/* Records that are looked at, or ended, under one hold of the lock. */
#define VOICE_PEER_STEP     1024
#define VOICE_PEER_ENDS     64

/* What moderators decide about. */
#define VOICE_PEER_ORDERED                                                    \
    (VOICE_STATE_STICKY | VOICE_SESSION_SUPPRESS | VOICE_STATE_BROUGHT)

#define VOICE_PEER_FLAGS    (VOICE_STATE_FLAGS | VOICE_STATE_BROUGHT)


static voice_peer_record_t *
voice_peer_get(const voice_zone_t *z, uint32_t peer)
{
    return (peer != 0 && peer <= z->header->peers_end
            && peer <= VOICE_PEERS_MAX)
           ? &z->header->peer[peer - 1] : NULL;
}


static uint32_t
voice_peer_find_locked(const voice_zone_t *z, const char *name)
{
    uint32_t  i;

    for (i = 1; i <= z->header->peers_end; i++) {
        if (strcmp(z->header->peer[i - 1].name, name) == 0) {
            return i;
        }
    }

    return 0;
}


uint32_t
voice_peer_find(voice_zone_t *z, const char *name)
{
    uint32_t  peer;

    voice_zone_lock(z);
    peer = (name[0] != '\0') ? voice_peer_find_locked(z, name) : 0;
    voice_zone_unlock(z);

    return peer;
}


/* One of a node that is gone and left no state behind, or 0. */

static uint32_t
voice_peer_left(const voice_zone_t *z)
{
    bool                        has[VOICE_PEERS_MAX + 1];
    uint32_t                    i;
    const voice_zone_header_t  *h = z->header;

    memset(has, 0, sizeof(has));

    for (i = 0; i < atomic_load(&h->state_end); i++) {
        if (z->state[i].used && z->state[i].peer <= VOICE_PEERS_MAX) {
            has[z->state[i].peer] = true;
        }
    }

    for (i = 1; i <= h->peers_end; i++) {
        if (h->peer[i - 1].gone != 0 && !has[i]) {
            return i;
        }
    }

    return 0;
}


/* The first letter of its name makes a record one. */

static void
voice_peer_fill(voice_peer_record_t *p, const char *name)
{
    p->name[0] = '\0';
    voice_session_order();

    memset(p, 0, sizeof(voice_peer_record_t));
    memcpy(p->name + 1, name + 1, strlen(name));

    voice_session_order();
    p->name[0] = name[0];
}


/* 0: there is no room. */

static uint32_t
voice_peer_make(voice_zone_t *z, const char *name)
{
    uint32_t              peer;
    voice_zone_header_t  *h = z->header;

    /* one that somebody died over, or that was never used */

    for (peer = 1; peer <= h->peers_end; peer++) {
        if (h->peer[peer - 1].name[0] == '\0') {
            break;
        }
    }

    if (peer > VOICE_PEERS_MAX) {
        peer = voice_peer_left(z);
    }

    if (peer == 0) {
        return 0;
    }

    voice_peer_fill(&h->peer[peer - 1], name);

    if (peer > h->peers_end) {
        voice_session_order();
        h->peers_end = peer;
    }

    return peer;
}


static void
voice_peer_boot(voice_peer_record_t *p, const char *boot)
{
    if (strcmp(p->boot, boot) == 0) {
        return;
    }

    /* its log begins anew */

    p->seq = 0;
    p->target = 0;
    voice_session_order();
    memcpy(p->boot, boot, strlen(boot) + 1);
}


voice_err_t
voice_peer_meet(voice_zone_t *z, const char *name, const char *boot,
    uint64_t now, uint32_t *peer, uint64_t *seq)
{
    uint32_t              number;
    voice_peer_record_t  *p;

    if (name[0] == '\0' || strlen(name) > VOICE_PEER_NAME_MAX
        || strlen(boot) > VOICE_PEER_BOOT_MAX)
    {
        return VOICE_E_LENGTH;
    }

    voice_zone_lock(z);

    number = voice_peer_find_locked(z, name);

    if (number == 0) {
        number = voice_peer_make(z, name);
    }

    if (number != 0) {
        p = &z->header->peer[number - 1];
        voice_peer_boot(p, boot);
        p->seen = now;

        *peer = number;
        *seq = p->seq;
    }

    voice_zone_unlock(z);

    return number != 0 ? VOICE_OK : VOICE_E_FULL;
}


void
voice_peer_name(voice_zone_t *z, uint32_t peer,
    char name[VOICE_PEER_NAME_MAX + 1])
{
    voice_peer_record_t  *p;

    voice_zone_lock(z);

    p = voice_peer_get(z, peer);

    if (p != NULL) {
        memcpy(name, p->name, sizeof(p->name));
    } else {
        name[0] = '\0';
    }

    voice_zone_unlock(z);
}


void
voice_peer_advance(voice_zone_t *z, uint32_t peer, uint64_t seq)
{
    voice_peer_record_t  *p;

    voice_zone_lock(z);

    p = voice_peer_get(z, peer);

    if (p != NULL) {
        p->seq = seq;
    }

    voice_zone_unlock(z);
}


static bool
voice_peer_valid(const voice_state_info_t *info)
{
    return info->guild_id != 0 && info->user_id != 0
           && (info->flags & ~VOICE_PEER_FLAGS) == 0
           && memchr(info->session_id, '\0', sizeof(info->session_id)) != NULL
           && (info->channel_id == 0 || info->session_id[0] != '\0');
}


static bool
voice_peer_may(const voice_zone_t *z, uint32_t peer, const voice_state_t *st)
{
    const voice_peer_record_t  *owner;

    if (st == NULL || st->channel_id == 0 || st->peer == peer) {
        return true;
    }

    owner = voice_peer_get(z, st->peer);

    return owner != NULL && owner->gone != 0;
}


static bool
voice_peer_same(const voice_state_t *st, uint32_t peer,
    const voice_state_info_t *info)
{
    if (st == NULL) {
        return info->channel_id == 0
               && (info->flags & VOICE_STATE_STICKY) == 0;
    }

    if (st->channel_id != info->channel_id) {
        return false;
    }

    if (st->channel_id == 0) {
        return st->flags == (info->flags & VOICE_STATE_STICKY);
    }

    return st->peer == peer && st->flags == info->flags
           && st->request_to_speak == info->request_to_speak
           && strcmp(st->session_id, info->session_id) == 0;
}


/* STATE, before it MEMBER where mute or deaf changes. */

static void
voice_peer_commit(voice_zone_t *z, const voice_state_t *old,
    const voice_state_info_t *info, voice_id_t owner)
{
    uint32_t           before;
    voice_log_event_t  ev[2], *first;

    memset(ev, 0, sizeof(ev));

    ev[1].type = VOICE_LOG_STATE;
    ev[1].state = *info;
    ev[1].owner = owner;
    ev[1].old_channel = (old != NULL) ? old->channel_id : 0;

    before = (old != NULL) ? old->flags : 0;

    ev[0] = ev[1];
    ev[0].type = VOICE_LOG_MEMBER;

    first = ((before ^ info->flags) & VOICE_STATE_STICKY) ? &ev[0] : &ev[1];

    voice_state_commit(z, first, (size_t) (&ev[2] - first));
}


static voice_err_t
voice_peer_state_locked(voice_zone_t *z, uint32_t peer,
    voice_state_info_t *info)
{
    voice_state_t              *st;
    const voice_peer_record_t  *p;

    p = voice_peer_get(z, peer);

    if (p == NULL || !voice_peer_valid(info)) {
        return VOICE_E_RANGE;
    }

    st = voice_state_find(z, info->guild_id, info->user_id);

    if (!voice_peer_may(z, peer, st)) {
        return VOICE_E_AUTH;
    }

    info->peer = peer;

    if (info->channel_id == 0) {

        /* whose it is by now it can't end */

        if (st != NULL && st->channel_id != 0 && st->peer != peer) {
            return VOICE_OK;
        }

        info->flags &= VOICE_STATE_STICKY;
        info->request_to_speak = 0;
    }

    if (!voice_peer_same(st, peer, info)) {

        if (st == NULL && !voice_state_room(z)) {
            return VOICE_E_NOMEM;
        }

        voice_peer_commit(z, st, info, 0);
        st = voice_state_find(z, info->guild_id, info->user_id);
    }

    if (st != NULL && st->peer == peer) {
        st->mark = p->mark;
    }

    return VOICE_OK;
}


voice_err_t
voice_peer_state(voice_zone_t *z, uint32_t peer,
    const voice_state_info_t *info)
{
    voice_err_t         err;
    voice_state_info_t  copy = *info;

    voice_zone_lock(z);
    err = voice_peer_state_locked(z, peer, &copy);
    voice_zone_unlock(z);

    return err;
}


static voice_err_t
voice_peer_order_locked(voice_zone_t *z, const voice_state_info_t *info)
{
    bool                moved;
    voice_state_t      *st;
    voice_log_event_t   ev;
    voice_state_info_t  to;

    st = voice_state_find(z, info->guild_id, info->user_id);

    if (st == NULL || st->channel_id == 0 || st->peer != 0) {
        return VOICE_E_NOT_FOUND;
    }

    if (info->channel_id == 0) {
        voice_state_end(z, st);
        return VOICE_OK;
    }

    if (strcmp(st->session_id, info->session_id) != 0) {
        return VOICE_E_NOT_FOUND;
    }

    moved = (st->channel_id != info->channel_id);

    to = *info;
    to.peer = 0;
    to.flags = (st->flags & ~VOICE_PEER_ORDERED)
               | (info->flags & VOICE_PEER_ORDERED);

    if (!voice_peer_same(st, 0, &to)) {
        voice_peer_commit(z, st, &to, st->gateway);
    }

    if (moved && st->gateway != 0) {
        memset(&ev, 0, sizeof(ev));

        ev.type = VOICE_LOG_SERVER;
        ev.state = to;
        ev.gateway = st->gateway;
        ev.owner = st->gateway;
        ev.old_channel = to.channel_id;
        ev.server = st->server;

        voice_state_commit(z, &ev, 1);
    }

    return VOICE_OK;
}


voice_err_t
voice_peer_order(voice_zone_t *z, const voice_state_info_t *info)
{
    voice_err_t  err;

    voice_zone_lock(z);

    err = voice_peer_valid(info) ? voice_peer_order_locked(z, info)
                                 : VOICE_E_NOT_FOUND;
    voice_zone_unlock(z);

    return err;
}


/* How far one hold of the lock may look from record i on. */

static uint32_t
voice_peer_step(const voice_zone_t *z, uint32_t i)
{
    uint32_t  end;

    end = atomic_load(&z->header->state_end);

    return (end > i && end - i > VOICE_PEER_STEP) ? i + VOICE_PEER_STEP : end;
}


/* Ends states of a peer; of all marks, or all but the present one. */

static unsigned
voice_peer_end(voice_zone_t *z, uint32_t peer, bool all)
{
    bool                        more;
    unsigned                    n, total;
    uint32_t                    i, end;
    voice_state_t              *st;
    voice_state_info_t          info;
    const voice_peer_record_t  *p;

    total = 0;
    i = 0;

    do {
        voice_zone_lock(z);

        p = voice_peer_get(z, peer);
        end = (p != NULL) ? voice_peer_step(z, i) : i;

        for (n = 0; n < VOICE_PEER_ENDS && i < end; i++) {
            st = &z->state[i];

            if (!st->used || st->channel_id == 0 || st->peer != peer
                || (!all && st->mark == p->mark))
            {
                continue;
            }

            memset(&info, 0, sizeof(info));
            info.guild_id = st->guild_id;
            info.user_id = st->user_id;
            info.flags = st->flags & VOICE_STATE_STICKY;
            info.peer = peer;
            memcpy(info.session_id, st->session_id, sizeof(info.session_id));

            voice_peer_commit(z, st, &info, 0);
            n++;
        }

        more = (p != NULL && i < atomic_load(&z->header->state_end));

        voice_zone_unlock(z);

        total += n;

    } while (more);

    return total;
}


void
voice_peer_sync_begin(voice_zone_t *z, uint32_t peer, uint64_t seq)
{
    voice_peer_record_t  *p;

    voice_zone_lock(z);

    p = voice_peer_get(z, peer);

    /* its log only grows: one of before was repeated by somebody */

    if (p != NULL && seq >= p->seq) {
        p->mark++;
        p->target = seq;
    }

    voice_zone_unlock(z);
}


unsigned
voice_peer_sync_done(voice_zone_t *z, uint32_t peer)
{
    unsigned              n;
    voice_peer_record_t  *p;

    n = voice_peer_end(z, peer, false);

    voice_zone_lock(z);

    p = voice_peer_get(z, peer);

    if (p != NULL && p->target != 0) {
        p->seq = p->target;
        p->target = 0;
    }

    voice_zone_unlock(z);

    return n;
}


unsigned
voice_peer_alive(voice_zone_t *z, uint32_t peer, bool alive, uint64_t now)
{
    bool                  over;
    voice_peer_record_t  *p;

    over = false;

    voice_zone_lock(z);

    p = voice_peer_get(z, peer);

    if (p != NULL) {
        if (alive) {
            p->gone = 0;

        } else if (p->gone == 0) {
            p->gone = (now != 0) ? now : 1;

        } else if (now > p->gone + VOICE_PEER_KEEP) {

            /* a look at all states, so not at each call from now on */

            over = true;
            p->gone = now;
        }
    }

    voice_zone_unlock(z);

    return over ? voice_peer_end(z, peer, true) : 0;
}


voice_err_t
voice_peer_next(voice_zone_t *z, uint32_t *slot, uint32_t *peer,
    voice_peer_record_t *record)
{
    uint32_t     i;
    voice_err_t  err;

    err = VOICE_E_NOT_FOUND;

    voice_zone_lock(z);

    for (i = *slot; i < z->header->peers_end; i++) {
        if (z->header->peer[i].name[0] != '\0') {
            *slot = i + 1;
            *peer = i + 1;
            *record = z->header->peer[i];
            err = VOICE_OK;
            break;
        }
    }

    voice_zone_unlock(z);

    return err;
}


typedef struct {
    uint64_t   guild_id;
    uint64_t   user_id;
    uint64_t   channel_id;
    uint64_t   request_to_speak;
    uint64_t   flags;
    char       session_id[(VOICE_SESSION_ID_MAX + 8) & ~7u];
} voice_peer_digest_t;


static uint64_t
voice_peer_digest_one(const voice_state_t *st)
{
    uint8_t              hash[crypto_shorthash_BYTES];
    uint64_t             n;
    voice_peer_digest_t  d;

    static const uint8_t  key[crypto_shorthash_KEYBYTES];

    memset(&d, 0, sizeof(d));

    d.guild_id = st->guild_id;
    d.user_id = st->user_id;
    d.channel_id = st->channel_id;
    d.request_to_speak = st->request_to_speak;
    d.flags = st->flags;
    memcpy(d.session_id, st->session_id, strlen(st->session_id));

    crypto_shorthash(hash, (const uint8_t *) &d, sizeof(d), key);
    memcpy(&n, hash, sizeof(n));

    return n;
}


void
voice_peer_digest(voice_zone_t *z, uint32_t peer, uint64_t *digest,
    uint32_t *n)
{
    bool                  more;
    uint32_t              i, end;
    const voice_state_t  *st;

    *digest = 0;
    *n = 0;
    i = 0;

    do {
        voice_zone_lock(z);

        end = voice_peer_step(z, i);

        for ( /* void */ ; i < end; i++) {
            st = &z->state[i];

            if (st->used && st->channel_id != 0 && st->peer == peer) {
                *digest += voice_peer_digest_one(st);
                (*n)++;
            }
        }

        more = (i < atomic_load(&z->header->state_end));

        voice_zone_unlock(z);

    } while (more);
}


void
voice_peer_own(voice_zone_t *z, uint32_t *slot, voice_state_info_t *list,
    size_t max, size_t *n)
{
    bool                  more;
    uint32_t              i, end;
    const voice_state_t  *st;

    *n = 0;
    i = *slot;

    do {
        voice_zone_lock(z);

        end = voice_peer_step(z, i);

        for ( /* void */ ; i < end && *n < max; i++) {
            st = &z->state[i];

            if (!st->used || st->channel_id == 0 || st->peer != 0) {
                continue;
            }

            memset(&list[*n], 0, sizeof(voice_state_info_t));

            list[*n].guild_id = st->guild_id;
            list[*n].user_id = st->user_id;
            list[*n].channel_id = st->channel_id;
            list[*n].request_to_speak = st->request_to_speak;
            list[*n].flags = st->flags;
            memcpy(list[*n].session_id, st->session_id,
                   sizeof(list[*n].session_id));
            (*n)++;
        }

        more = (i < atomic_load(&z->header->state_end) && *n < max);

        voice_zone_unlock(z);

    } while (more);

    *slot = i;
}
