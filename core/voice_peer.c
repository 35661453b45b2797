/*
 * Copyright (C) ngx-voice contributors
 */


#include "voice_peer_internal.h"

#include <sodium.h>


/* What moderators decide about. */
#define VOICE_PEER_ORDERED                                                    \
    (VOICE_STATE_STICKY | VOICE_SESSION_SUPPRESS | VOICE_STATE_BROUGHT)

#define VOICE_PEER_FLAGS    (VOICE_STATE_FLAGS | VOICE_STATE_BROUGHT)


voice_peer_record_t *
voice_peer_get(const voice_zone_t *z, uint32_t peer)
{
    return (peer != 0 && peer <= z->header->peers_end
            && peer <= VOICE_PEERS_MAX)
           ? &z->header->peer[peer - 1] : NULL;
}


/* 0: none. */

static uint32_t
voice_peer_find(const voice_zone_t *z, const char *name, const char *boot)
{
    uint32_t                    i;
    const voice_peer_record_t  *p;

    for (i = 1; i <= z->header->peers_end; i++) {
        p = &z->header->peer[i - 1];

        if (strcmp(p->name, name) == 0 && strcmp(p->boot, boot) == 0) {
            return i;
        }
    }

    return 0;
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
voice_peer_fill(voice_peer_record_t *p, const char *name, const char *boot)
{
    p->name[0] = '\0';
    voice_session_order();

    memset(p, 0, sizeof(voice_peer_record_t));
    memcpy(p->name + 1, name + 1, strlen(name));
    memcpy(p->boot, boot, strlen(boot) + 1);

    voice_session_order();
    p->name[0] = name[0];
}


/* 0: there is no room. */

static uint32_t
voice_peer_make(voice_zone_t *z, const char *name, const char *boot)
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

    voice_peer_fill(&h->peer[peer - 1], name, boot);

    if (peer > h->peers_end) {
        voice_session_order();
        h->peers_end = peer;
    }

    return peer;
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

    number = voice_peer_find(z, name, boot);

    if (number == 0) {
        number = voice_peer_make(z, name, boot);
    }

    if (number != 0) {
        p = &z->header->peer[number - 1];
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
           && info->claim <= VOICE_STATE_CLAIM_MAX
           && memchr(info->session_id, '\0', sizeof(info->session_id)) != NULL
           && (info->channel_id == 0 || info->session_id[0] != '\0');
}


static bool
voice_peer_is_gone(const voice_zone_t *z, uint32_t peer)
{
    const voice_peer_record_t  *p;

    p = voice_peer_get(z, peer);

    return p != NULL && p->gone != 0;
}


/*
 * Whether a user has come by that node after it came by the state's owner.
 * Of two at once all nodes take the same one for the later.
 */

static bool
voice_peer_later(const voice_zone_t *z, const voice_peer_record_t *p,
    const voice_state_t *st, const voice_state_info_t *info)
{
    char                        boot[2 * sizeof(z->header->boot_id) + 1];
    const voice_peer_record_t  *owner;

    if (info->claim != st->claim || info->claim == 0) {
        return info->claim > st->claim;
    }

    owner = voice_peer_get(z, st->peer);

    if (owner != NULL) {
        return strcmp(p->boot, owner->boot) > 0;
    }

    (void) sodium_bin2hex(boot, sizeof(boot), z->header->boot_id,
                          sizeof(z->header->boot_id));

    return strcmp(p->boot, boot) > 0;
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
           && st->claim == info->claim
           && st->request_to_speak == info->request_to_speak
           && strcmp(st->session_id, info->session_id) == 0;
}


void
voice_peer_commit(voice_zone_t *z, const voice_state_t *old,
    const voice_state_info_t *info, voice_id_t owner, uint32_t order)
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

    ev[1].order = order;

    first = ((before ^ info->flags) & VOICE_STATE_STICKY) ? &ev[0] : &ev[1];

    voice_state_commit(z, first, (size_t) (&ev[2] - first));
}


/*
 * The flags of a user who is in no channel, from a node that does not have
 * the user, who is in one by now.  Where it came by a gateway that did not
 * know of the flags it gets them late.
 */

static voice_err_t
voice_peer_reminded(voice_zone_t *z, voice_state_t *st,
    const voice_state_info_t *info)
{
    voice_state_info_t  to;

    if (info->claim < st->claim || voice_peer_is_gone(z, st->peer)) {
        return VOICE_OK;
    }

    if (info->flags == 0) {
        return VOICE_E_AUTH;
    }

    if (st->peer != 0) {
        return VOICE_OK;
    }

    st->claim = info->claim;

    voice_state_info(st, &to);
    to.flags |= info->flags;
    to.claim = voice_state_claim(st);

    voice_peer_commit(z, st, &to, st->gateway, 0);

    return VOICE_OK;
}


/* Not in voice. */

static voice_err_t
voice_peer_absent(voice_zone_t *z, uint32_t peer, voice_state_t *st,
    voice_state_info_t *info)
{
    info->flags &= VOICE_STATE_STICKY;
    info->request_to_speak = 0;

    if (st == NULL || st->peer == peer) {
        return VOICE_AGAIN;
    }

    if (st->channel_id != 0) {
        return voice_peer_reminded(z, st, info);
    }

    /* what was left behind by the user's later one stands */

    if (info->claim < st->claim) {
        return VOICE_OK;
    }

    if (info->claim == st->claim) {
        info->flags |= st->flags;
    }

    return VOICE_AGAIN;
}


static voice_err_t
voice_peer_present(voice_zone_t *z, uint32_t peer, voice_state_t *st,
    voice_state_info_t *info)
{
    if (st == NULL || st->peer == peer) {
        return VOICE_AGAIN;
    }

    if (st->channel_id == 0 || voice_peer_is_gone(z, st->peer)) {

        /* it came by a node that did not know of the flags */

        if (info->claim <= st->claim) {
            info->flags |= st->flags & VOICE_STATE_STICKY;
        }

        return VOICE_AGAIN;
    }

    return voice_peer_later(z, voice_peer_get(z, peer), st, info)
           ? VOICE_AGAIN : VOICE_E_AUTH;
}


static voice_err_t
voice_peer_state_locked(voice_zone_t *z, uint32_t peer,
    voice_state_info_t *info)
{
    uint32_t                    flags, order;
    voice_err_t                 err;
    voice_state_t              *st;
    const voice_peer_record_t  *p;

    p = voice_peer_get(z, peer);

    if (p == NULL || !voice_peer_valid(info)) {
        return VOICE_E_RANGE;
    }

    info->peer = peer;
    flags = info->flags;
    st = voice_state_find(z, info->guild_id, info->user_id);

    err = (info->channel_id == 0) ? voice_peer_absent(z, peer, st, info)
                                  : voice_peer_present(z, peer, st, info);
    if (err != VOICE_AGAIN) {
        return err;
    }

    /* a node is told what it has to know of its user */

    order = (info->channel_id != 0 && info->flags != flags) ? peer : 0;

    if (!voice_peer_same(st, peer, info)) {

        if (st == NULL && !voice_state_room(z)) {
            return VOICE_E_NOMEM;
        }

        voice_peer_commit(z, st, info, 0, order);
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
    to.claim = st->claim;
    to.flags = (st->flags & ~VOICE_PEER_ORDERED)
               | (info->flags & VOICE_PEER_ORDERED);

    if (!voice_peer_same(st, 0, &to)) {
        voice_peer_commit(z, st, &to, st->gateway, 0);
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
