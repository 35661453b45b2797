/*
 * Copyright (C) ngx-voice contributors
 *
 * A session: one user's connection to this voice server.  All that any
 * worker needs to serve its next packet or message; a worker holds nothing
 * but the websocket and caches.
 */


#ifndef _VOICE_SESSION_H_INCLUDED_
#define _VOICE_SESSION_H_INCLUDED_


#include "voice_crypto.h"
#include "voice_opcode.h"
#include "voice_outbox.h"
#include "voice_replay.h"
#include "voice_room.h"
#include "voice_rtpstat.h"
#include "voice_token.h"
#include "voice_zone.h"


/* SSRCs of a session: consecutive, audio first, rtx = video + 1 */
#define VOICE_SSRC_BLOCK           8
#define VOICE_SESSION_CANDIDATES   4

#define VOICE_NONCE_RESERVE        64

/*
 * Sessions of this guild are the discovery agents' own, by which they see
 * whether this server does what it is there for: no node is assigned to it,
 * no gateway knows it, and nobody counts them as participants.
 */
#define VOICE_PROBE_GUILD          UINT64_MAX


typedef enum {
    VOICE_SESSION_FREE = 0,
    VOICE_SESSION_READY,        /* identified; may do IP discovery */
    VOICE_SESSION_LIVE,         /* has mode, key and room */
    VOICE_SESSION_CLOSING       /* out of everything; its websocket is told */
} voice_session_state_t;


#define VOICE_SESSION_MUTE         0x01u   /* by the server: dropped */
#define VOICE_SESSION_DEAF         0x02u   /* by the server: gets nothing */
#define VOICE_SESSION_SUPPRESS     0x04u   /* may not speak: dropped */
#define VOICE_SESSION_SELF_MUTE    0x08u
#define VOICE_SESSION_SELF_DEAF    0x10u
#define VOICE_SESSION_VIDEO        0x20u
#define VOICE_SESSION_OVERFLOW     0x40u   /* outbox lost events */

#define VOICE_SESSION_UNHEARD                                                 \
    (VOICE_SESSION_MUTE | VOICE_SESSION_SUPPRESS)
#define VOICE_SESSION_UNHEARING                                               \
    (VOICE_SESSION_DEAF | VOICE_SESSION_SELF_DEAF)


/* How far the session is in its room; see voice_zone_repair(). */
#define VOICE_JOIN_NONE            0
#define VOICE_JOIN_ANNOUNCING      1
#define VOICE_JOIN_DONE            2


struct voice_session_s {
    /*
     * Hot: what the packet path reads.  `key` and `bound` are counters whose
     * lowest bit tells which slot is in use; 0 means none.
     */
    _Atomic uint32_t   gen;
    _Atomic uint32_t   ssrc;             /* base; 0 while free */
    _Atomic uint64_t   room;             /* room id; 0: in none */
    _Atomic uint32_t   flags;
    _Atomic uint32_t   key;              /* epoch of secret[] and mode[] */
    _Atomic uint32_t   bound;            /* version of remote[], local[] */
    _Atomic uint32_t   announced;        /* own announcement number */
    _Atomic uint32_t   heard;            /* announcements that were sent */
    _Atomic uint8_t    state;
    uint8_t            mode[2];
    _Atomic uint8_t    talking;          /* forwarded since last silence */
    _Atomic uint64_t   nonce;            /* epoch << 32 | next number */
    _Atomic uint64_t   hold_until;       /* ms: no media to it before */

    _Alignas(64) voice_addr_t   remote[2];
    uint8_t            secret[2][VOICE_KEY_LEN];
    voice_addr_t       local[2];

    /* written by the receiving worker, without the lock */
    voice_replay_t     replay;
    voice_rtpstat_t    stat;
    _Atomic uint32_t   last_seq;         /* extended; last forwarded packet */
    _Atomic uint32_t   last_timestamp;
    _Atomic uint32_t   floor_seq;        /* only later ones are forwarded */
    _Atomic uint32_t   speaking;         /* mask, as the others know it */
    _Atomic uint64_t   report_at;        /* us: next receiver report */
    _Atomic uint64_t   rx_packets;
    _Atomic uint64_t   rx_bytes;
    _Atomic uint64_t   tx_packets;       /* queued for it, by any worker */

    /* cold: under the lock */
    uint64_t           user_id;
    uint64_t           guild_id;
    uint64_t           channel_id;
    uint64_t           permissions;
    uint64_t           created;          /* ms */
    _Atomic uint64_t   deadline;         /* ms; 0: none; detached until */
    uint32_t           attach;           /* number of the websocket */
    uint32_t           room_next;        /* links: index + 1 */
    uint32_t           room_prev;
    uint32_t           next_free;        /* index + 1 */
    uint32_t           dirty_next;       /* list of its worker: index + 1 */
    uint32_t           dirty_prev;
    uint64_t           moved;            /* ms since its guild is served by
                                            another node; or 0 */
    uint32_t           rekey;            /* epoch that was asked to end */
    _Atomic uint16_t   worker;           /* of the websocket, or NONE */
    uint8_t            joined;           /* VOICE_JOIN_* */
    uint8_t            dirty;            /* in its worker's list */
    uint8_t            version;          /* of the voice gateway, 1..9 */
    uint8_t            ncandidates;
    uint16_t           close_code;       /* that its websocket is due */
    uint8_t            token_hash[VOICE_TOKEN_HASH_LEN];
    char               session_id[VOICE_SESSION_ID_MAX + 1];
    voice_addr_t       candidate[VOICE_SESSION_CANDIDATES];
    voice_addr_t       candidate_local[VOICE_SESSION_CANDIDATES];

    voice_outbox_t     outbox;

    /*
     * Stays when the slot is freed, like gen: with counters that start anew
     * a cache of the slot's former owner would look valid.
     */
    uint32_t           key_last;
    uint32_t           bound_last;
    uint8_t            used;             /* not wiped since its last owner */
};


/*
 * Whether a session was told of a member with this announcement number, so
 * that it may get its media.  heard is 0 until the roster was sent.
 */
static inline bool
voice_session_heard(const voice_session_t *s, uint32_t announced)
{
    uint32_t  heard;

    heard = atomic_load_explicit(&s->heard, memory_order_relaxed);

    return heard != 0 && (int32_t) (heard - announced) >= 0;
}


typedef struct {
    uint64_t     user_id;
    uint64_t     guild_id;
    uint64_t     channel_id;
    uint64_t     permissions;
    const char  *session_id;
    uint8_t      token_hash[VOICE_TOKEN_HASH_LEN];
    uint32_t     flags;              /* MUTE, DEAF, SUPPRESS, VIDEO */
    int          version;
    bool         admitted;           /* by voice_state_admit() */
} voice_session_conf_t;


/* The session of an id, or NULL if the id is stale. */
voice_session_t *voice_session_get(const voice_zone_t *z, voice_id_t id);
voice_id_t voice_session_id(const voice_zone_t *z, const voice_session_t *s);

/* Lock-free: the session that owns an SSRC, or NULL. */
voice_session_t *voice_session_by_ssrc(const voice_zone_t *z, uint32_t ssrc);


/*
 * Identify.  Makes a session whose websocket is held by this worker;
 * *attach is that websocket's number.  An older session of the same user in
 * the same guild is replaced: it leaves its room, its websocket gets
 * VOICE_CLOSE_SESSION_INVALID.
 *
 * A voice state of this session (voice_guild.h) decides about its flags, for
 * it may have changed since the token was made; MUTE and DEAF of any other
 * voice state of the user are added.
 *
 * VOICE_E_FULL    no slot left
 * VOICE_E_STALE   c->admitted, but the voice state left or moved since then
 * VOICE_E_LENGTH  session id of more than VOICE_SESSION_ID_MAX
 * VOICE_E_STATE   this process has no slot in the worker table
 */
voice_err_t voice_session_create(voice_zone_t *z, const voice_session_conf_t *c,
    uint64_t now, voice_id_t *id, uint32_t *attach, bool *replaced);

/* True if a session that this very token began is alive. */
bool voice_session_token_known(voice_zone_t *z, uint64_t guild_id,
    uint64_t user_id, const uint8_t hash[VOICE_TOKEN_HASH_LEN]);

/*
 * Select Protocol.  Sets mode and key (drawn by the caller), makes the
 * session live, binds the discovered address (the one that equals hint, else
 * the last one) and, the first time, joins the room: the others get JOIN, the
 * session gets ROSTER.  A later call is a re-negotiation: a new key; media to
 * the session pauses until it uses that key or hold_ms passed.
 */
voice_err_t voice_session_select(voice_zone_t *z, voice_id_t id,
    voice_mode_t mode, const uint8_t secret[VOICE_KEY_LEN],
    const voice_addr_t *hint, uint64_t now, unsigned hold_ms);

/*
 * Resume: this worker's new websocket takes the session over.  seq_ack is the
 * last sequence number that the client has seen (has_ack false: none); events
 * behind it go out again.  For versions below 8: what was not sent yet, then
 * ROSTER.
 *
 * VOICE_E_NOT_FOUND  no such session, or another session id
 * VOICE_E_AUTH       another token
 * VOICE_E_EXPIRED    events behind seq_ack are no longer there
 * VOICE_E_STATE      this process has no slot in the worker table
 */
voice_err_t voice_session_resume(voice_zone_t *z, uint64_t guild_id,
    uint64_t user_id, const char *session_id,
    const uint8_t hash[VOICE_TOKEN_HASH_LEN], int version, bool has_ack,
    uint16_t seq_ack, uint64_t now, voice_id_t *id, uint32_t *attach);

/* The websocket is gone; resumable until now + window. */
void voice_session_detach(voice_zone_t *z, voice_id_t id, uint32_t attach,
    uint64_t now, uint64_t window);

/*
 * Ends a session: it leaves its room (LEAVE to the others), its key is wiped.
 * code 0: its websocket is closed already or will be by the caller, the slot
 * is freed; else its websocket gets the code and frees the slot by a second
 * call with 0.  attach 0: whichever websocket it has.
 */
void voice_session_close(voice_zone_t *z, voice_id_t id, uint32_t attach,
    unsigned code);

/* Tells the others, if mask is new (or force). */
voice_err_t voice_session_speaking(voice_zone_t *z, voice_id_t id,
    uint32_t mask, bool force);

/* Sets and clears VOICE_SESSION_MUTE, _DEAF, _SUPPRESS ... at once. */
voice_err_t voice_session_flags(voice_zone_t *z, voice_id_t id, uint32_t set,
    uint32_t clear);

/*
 * A discovery request came; VOICE_E_STATE once the address is final,
 * VOICE_AGAIN as in voice_session_bind().
 */
voice_err_t voice_session_candidate(voice_zone_t *z, voice_id_t id,
    const voice_addr_t *remote, const voice_addr_t *local);

/*
 * An authenticated packet came from another address.  VOICE_AGAIN if the
 * lock was not to be had within a millisecond: the next packet will do.
 */
voice_err_t voice_session_bind(voice_zone_t *z, voice_id_t id,
    const voice_addr_t *remote, const voice_addr_t *local);

/*
 * Asks the owner of the websocket for a new key, once for each epoch.  If the
 * lock is not to be had nothing happens: the next packet asks again.
 */
void voice_session_want_key(voice_zone_t *z, voice_id_t id, uint32_t epoch);

/*
 * For voice_zone.c, under the lock: puts a session on its worker's list of
 * those that have events to send, and takes it off.
 */
void voice_session_dirty(voice_zone_t *z, voice_session_t *s);
void voice_session_clean(voice_zone_t *z, voice_session_t *s);

/* Likewise: no websocket any more.  A closing session is freed. */
void voice_session_orphan(voice_zone_t *z, voice_session_t *s,
    uint64_t deadline);

/* Frees sessions whose deadline is over; gives their number. */
unsigned voice_session_expire(voice_zone_t *z, uint64_t now);

/*
 * One session after the other: *slot, from 0, moves behind the one given.
 * VOICE_E_NOT_FOUND after the last.
 */
voice_err_t voice_session_next(voice_zone_t *z, uint32_t *slot,
    voice_id_t *id, uint64_t *guild_id);

/*
 * Its guild is served by another node.  Once that is so for longer than
 * `after` the session is closed, VOICE_CLOSE_SESSION_INVALID: its client
 * asks the gateway anew.  True if so.  now 0: it is not so any more.
 */
bool voice_session_moved(voice_zone_t *z, voice_id_t id, uint64_t now,
    uint64_t after);

/* Numbers for status, without the lock: a moment's view. */
typedef struct {
    uint32_t   sessions;       /* used slots, as all below without probes */
    uint32_t   live;
    uint32_t   detached;
    uint32_t   bound;
    uint32_t   probes;         /* in VOICE_PROBE_GUILD */
    uint32_t   rooms;          /* of both */
    uint32_t   capacity;
    uint32_t   by_mode[VOICE_MODE_COUNT];
} voice_session_stats_t;

void voice_session_stats(const voice_zone_t *z, voice_session_stats_t *st);


#endif /* _VOICE_SESSION_H_INCLUDED_ */
