/*
 * Copyright (C) ngx-voice contributors
 *
 * A room: the sessions of one channel on this server.  Entirely derived from
 * the session records.
 *
 * `version` is a sequence counter: odd while the list or anything of a member
 * that a fan-out copies is changing.  It is never set back, not even when the
 * slot gets another room, so a cache keyed by (slot, version) is never taken
 * for another one's.
 */


#ifndef _VOICE_ROOM_H_INCLUDED_
#define _VOICE_ROOM_H_INCLUDED_


#include "voice_index.h"
#include "voice_speakers.h"
#include "voice_zone.h"


struct voice_room_s {
    _Atomic uint64_t   version;
    _Atomic uint32_t   gen;
    uint32_t           members;      /* 0: the slot is free */
    uint32_t           head;         /* first member, session index + 1 */
    uint32_t           next_free;    /* index + 1 */
    uint64_t           guild_id;
    uint64_t           channel_id;
    uint32_t           zero[6];      /* 64 bytes so far */

    /* written by workers that forward, without the lock */
    voice_speakers_t   speakers;
};


typedef struct {
    uint64_t   user_id;
    uint32_t   ssrc;
    uint32_t   speaking;             /* mask, may be 0 */
} voice_roster_t;


/*
 * The other members of a session's room that were announced up to number
 * `announced`: at most max of them; *n is how many there are, which may be
 * more.  VOICE_E_STALE: no such session.
 */
voice_err_t voice_room_roster(voice_zone_t *z, voice_id_t session,
    uint32_t announced, voice_roster_t *list, size_t max, size_t *n);


/* The rest is for voice_session.c and voice_zone.c: all under the lock. */

void voice_room_change_begin(voice_room_t *r);
void voice_room_change_end(voice_room_t *r);

/* With create never NULL, for there are as many rooms as sessions. */
voice_room_t *voice_room_find(voice_zone_t *z, uint64_t guild_id,
    uint64_t channel_id, bool create);
voice_index_t voice_room_index(const voice_zone_t *z);
voice_id_t voice_room_id(const voice_zone_t *z, const voice_room_t *r);
voice_room_t *voice_room_get(const voice_zone_t *z, voice_id_t id);

void voice_room_link(voice_zone_t *z, voice_room_t *r, voice_session_t *s);

/* The last member's leaving frees the room. */
void voice_room_unlink(voice_zone_t *z, voice_room_t *r, voice_session_t *s);


#endif /* _VOICE_ROOM_H_INCLUDED_ */
