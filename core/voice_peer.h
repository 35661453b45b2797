/*
 * Copyright (C) ngx-voice contributors
 *
 * Voice states of other nodes.  Each node owns the states of the users whose
 * gateway sockets it has and tells them to all others, in the order of its
 * log; so every node knows who is in voice, and the one that serves a guild
 * knows whom to admit and whom to silence.
 *
 * A node is believed what it says of its own users, and nothing else: a state
 * in a channel is its owner's until that node takes it back or is gone, or
 * until the user has come by another node.  That one then says so with a
 * higher claim than the last one that it knew of, and needs no consent: the
 * former may be dead.
 *
 * Flags that are kept of users who are in no channel (VOICE_STATE_STICKY) are
 * told by the node that had the user last; when it is gone, by everybody.
 * They end with the next claim.  A node that was cut off while a user came,
 * lost its flags and left brings them back.
 *
 * What a moderator does to another node's user holds here at once; the event
 * has that node as its order, and the pusher sends it there.  If the order is
 * lost the next sync undoes it here as well.
 *
 * A peer is the number of its record, from 1; 0 is this node.
 */


#ifndef _VOICE_PEER_H_INCLUDED_
#define _VOICE_PEER_H_INCLUDED_


#include "voice_guild.h"


/* Of a node that is gone: its users may come back elsewhere meanwhile. */
#define VOICE_PEER_KEEP    60000


/*
 * The record of a node, which is made if there is none; then *seq is 0.  One
 * that was started anew is another node: the former one is gone, and what is
 * said of VOICE_PEER_KEEP holds for its states.
 *
 * VOICE_E_LENGTH  a name of none or more than VOICE_PEER_NAME_MAX characters,
 *                 or a boot id that is too long
 * VOICE_E_FULL    no record left
 */
voice_err_t voice_peer_meet(voice_zone_t *z, const char *name,
    const char *boot, uint64_t now, uint32_t *peer, uint64_t *seq);

/* What it is called; "" for 0 or none. */
void voice_peer_name(voice_zone_t *z, uint32_t peer,
    char name[VOICE_PEER_NAME_MAX + 1]);

/* Its states here are now those of that event of its log. */
void voice_peer_advance(voice_zone_t *z, uint32_t peer, uint64_t seq);

/*
 * A state that the peer says is its user's; channel 0: not in voice.  Appends
 * what a change of an own state does; nothing if all is so already.
 *
 * VOICE_E_RANGE   an id is 0, the session id is empty, or unknown flags
 * VOICE_E_AUTH    the user is in voice by another node that is there, and
 *                 has not come by this one later
 * VOICE_E_NOMEM   no slot left
 */
voice_err_t voice_peer_state(voice_zone_t *z, uint32_t peer,
    const voice_state_info_t *info);

/*
 * An order about a user of ours: channel 0 ends the state, another channel
 * moves it; MUTE, DEAF, SUPPRESS and the request to speak as in info.
 *
 * VOICE_E_NOT_FOUND  it isn't our user in voice, or by another session
 */
voice_err_t voice_peer_order(voice_zone_t *z, const voice_state_info_t *info);

/*
 * A sync: all states of a peer come, then the rest is ended.  seq, which isn't
 * 0, as in voice_peer_advance(), is the record's target until _done().  One of
 * before what the states are of is passed over.  Gives how many were ended.
 */
void voice_peer_sync_begin(voice_zone_t *z, uint32_t peer, uint64_t seq);
unsigned voice_peer_sync_done(voice_zone_t *z, uint32_t peer);

/*
 * To be called often, with what the cluster zone says: a peer that is no node
 * any more, or has another boot id there, loses its states after
 * VOICE_PEER_KEEP.  Gives how many were ended.
 */
unsigned voice_peer_alive(voice_zone_t *z, uint32_t peer, bool alive,
    uint64_t now);

/* One peer after the other, as voice_state_guild_next(). */
voice_err_t voice_peer_next(voice_zone_t *z, uint32_t *slot, uint32_t *peer,
    voice_peer_record_t *record);

/*
 * What tells two sets of states apart: those of a peer, 0: our own, and the
 * flags of all users who are in no channel.
 */
void voice_peer_digest(voice_zone_t *z, uint32_t peer, uint64_t *digest,
    uint32_t *n);

/* Our own states and such flags, from record *slot on, which moves. */
void voice_peer_own(voice_zone_t *z, uint32_t *slot, voice_state_info_t *list,
    size_t max, size_t *n);


/*
 * Fencing: a token with an assignment revision below the highest one that was
 * seen for its guild is of before a move.  But if etcd has lost its data it
 * counts anew: a token of `present`, the assignment to this node that its
 * agent knows of now, or 0, is good, and later ones are compared with that.
 *
 * VOICE_E_STALE  it is
 */
voice_err_t voice_fence_check(voice_zone_t *z, uint64_t guild_id,
    uint64_t rev, uint64_t present);


#endif /* _VOICE_PEER_H_INCLUDED_ */
