/*
 * Copyright (C) ngx-voice contributors
 *
 * What the files of a session share among themselves and with the zone's
 * repair.  Everything here is called under the zone's lock.
 */


#ifndef _VOICE_SESSION_INTERNAL_H_INCLUDED_
#define _VOICE_SESSION_INTERNAL_H_INCLUDED_


#include "voice_index.h"
#include "voice_session.h"


/*
 * A process may be killed between any two stores, and the repair relies on
 * the order of some of them: the compiler has to keep it.
 */
#define voice_session_order()  atomic_signal_fence(memory_order_seq_cst)


/* the packet path's patience with the lock */
#define VOICE_LOCK_MS  1


/* voice_session.c */

voice_index_t voice_session_user_index(const voice_zone_t *z);
voice_session_t *voice_session_find(voice_zone_t *z, uint64_t guild_id,
    uint64_t user_id);

/* the base SSRC that belongs to the slot and its generation */
uint32_t voice_session_ssrc(const voice_zone_t *z, const voice_session_t *s);

/* Of a session that is in no list and no index but its worker's. */
void voice_session_free(voice_zone_t *z, voice_session_t *s);

/* Of a free slot: everything goes but what the next owner has to continue. */
void voice_session_wipe(voice_session_t *s);
void voice_session_free_push(voice_zone_t *z, voice_session_t *s);

/* Takes the session's key away. */
void voice_session_key_wipe(voice_session_t *s);
void voice_session_close_locked(voice_zone_t *z, voice_session_t *s,
    unsigned code);


/* voice_session_room.c */

/* An event for all members of the room but s. */
void voice_session_tell(voice_zone_t *z, voice_room_t *r, voice_session_t *s,
    voice_event_type_t type, uint32_t arg);

/* The server ends a stream that is under way: the relay owes silence. */
void voice_session_cut(voice_zone_t *z, voice_session_t *s,
    const voice_room_t *r);

/* The others get JOIN, s gets ROSTER. */
void voice_session_announce(voice_zone_t *z, voice_room_t *r,
    voice_session_t *s);

/* Under the lock: voice_session_flags(). */
void voice_session_flags_locked(voice_zone_t *z, voice_session_t *s,
    uint32_t set, uint32_t clear);

voice_err_t voice_session_enter(voice_zone_t *z, voice_session_t *s);
void voice_session_leave(voice_zone_t *z, voice_session_t *s);


/* voice_session_address.c */

voice_index_t voice_session_address_index(const voice_zone_t *z);
void voice_session_bind_locked(voice_zone_t *z, voice_session_t *s,
    const voice_addr_t *remote, const voice_addr_t *local);
void voice_session_unbind(voice_zone_t *z, voice_session_t *s);

/* Binds one of the addresses that asked, unless one is bound already. */
void voice_session_choose(voice_zone_t *z, voice_session_t *s,
    const voice_addr_t *hint);


/* The next value of voice_session_t.key or .bound. */
static inline uint32_t
voice_slot_next(uint32_t counter)
{
    counter++;

    return counter != 0 ? counter : 2;      /* 0 is "none"; keep the parity */
}


#endif /* _VOICE_SESSION_INTERNAL_H_INCLUDED_ */
