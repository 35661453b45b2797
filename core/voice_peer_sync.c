/*
 * Copyright (C) ngx-voice contributors
 *
 * All states of a node at a time: syncs, the end of what a node has left
 * behind, and what tells whether two nodes have the same.
 */


#include "voice_peer_internal.h"

#include <sodium.h>


/* Records that are looked at, or ended, under one hold of the lock. */
#define VOICE_PEER_STEP     1024
#define VOICE_PEER_ENDS     64


/* How far one hold of the lock may look from record i on. */

static uint32_t
voice_peer_step(const voice_zone_t *z, uint32_t i)
{
    uint32_t  end;

    end = atomic_load(&z->header->state_end);

    return (end > i && end - i > VOICE_PEER_STEP) ? i + VOICE_PEER_STEP : end;
}


/*
 * Ends a state of a peer.  What it did not name in a sync is gone; where the
 * peer itself is, its users keep their flags, and those are everybody's.
 */

static void
voice_peer_end_one(voice_zone_t *z, voice_state_t *st, bool over)
{
    voice_state_info_t  info;

    if (over && st->channel_id == 0) {
        st->peer = 0;
        return;
    }

    voice_state_info(st, &info);
    info.channel_id = 0;
    info.request_to_speak = 0;
    info.flags = over ? st->flags & VOICE_STATE_STICKY : 0;

    voice_peer_commit(z, st, &info, 0, 0);

    if (info.flags != 0) {
        st->peer = 0;
    }
}


/* over: all of a peer's; or else those that the last sync did not name. */

static unsigned
voice_peer_end(voice_zone_t *z, uint32_t peer, bool over)
{
    bool                        more;
    unsigned                    n, total;
    uint32_t                    i, end;
    voice_state_t              *st;
    const voice_peer_record_t  *p;

    total = 0;
    i = 0;

    do {
        voice_zone_lock(z);

        p = voice_peer_get(z, peer);
        end = (p != NULL) ? voice_peer_step(z, i) : i;

        for (n = 0; n < VOICE_PEER_ENDS && i < end; i++) {
            st = &z->state[i];

            if (st->used && st->peer == peer
                && (over || st->mark != p->mark))
            {
                voice_peer_end_one(z, st, over);
                n++;
            }
        }

        more = (p != NULL && i < atomic_load(&z->header->state_end));

        voice_zone_unlock(z);

        total += n;

    } while (more);

    return total;
}


/* Flags of users who are in no channel and whose node is gone. */

static void
voice_peer_adopt(voice_zone_t *z, uint32_t peer)
{
    bool            more;
    uint32_t        i, end;
    voice_state_t  *st;

    i = 0;

    do {
        voice_zone_lock(z);

        end = voice_peer_step(z, i);

        for ( /* void */ ; i < end; i++) {
            st = &z->state[i];

            if (st->used && st->channel_id == 0 && st->peer == peer) {
                st->peer = 0;
            }
        }

        more = (i < atomic_load(&z->header->state_end));

        voice_zone_unlock(z);

    } while (more);
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
    bool                  gone, over;
    voice_peer_record_t  *p;

    gone = false;
    over = false;

    voice_zone_lock(z);

    p = voice_peer_get(z, peer);

    if (p != NULL) {
        if (alive) {
            p->gone = 0;

        } else if (p->gone == 0) {
            gone = true;
            p->gone = (now != 0) ? now : 1;

        } else if (now > p->gone + VOICE_PEER_KEEP) {

            /* a look at all states, so not at each call from now on */

            over = true;
            p->gone = now;
        }
    }

    voice_zone_unlock(z);

    if (gone) {
        voice_peer_adopt(z, peer);
    }

    return over ? voice_peer_end(z, peer, true) : 0;
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
    d.flags = st->flags;

    if (st->channel_id != 0) {
        d.channel_id = st->channel_id;
        d.request_to_speak = st->request_to_speak;
        memcpy(d.session_id, st->session_id, strlen(st->session_id));
    }

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

            if (st->used && (st->channel_id == 0 || st->peer == peer)) {
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

            if (st->used && st->peer == 0) {
                voice_state_info(st, &list[*n]);
                (*n)++;
            }
        }

        more = (i < atomic_load(&z->header->state_end) && *n < max);

        voice_zone_unlock(z);

    } while (more);

    *slot = i;
}
