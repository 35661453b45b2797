/*
 * Copyright (C) ngx-voice contributors
 *
 * The packet path's view of the zone: lock-free look-ups and copies.
 */


#ifndef _VOICE_ROUTE_H_INCLUDED_
#define _VOICE_ROUTE_H_INCLUDED_


#include "voice_session.h"


/* What a fan-out keeps of a member, as long as the room's version stands. */
typedef struct {
    uint32_t       session;      /* index */
    uint32_t       gen;
    uint32_t       key;          /* epoch */
    uint32_t       flags;
    voice_mode_t   mode;
    voice_addr_t   remote;
    voice_addr_t   local;
} voice_route_t;


/*
 * Copies the members that can receive: live, bound, not deaf (by a moderator
 * or themselves).  At most max; *n is how many there are, *version the one
 * that they belong to, *gen the room's generation.
 *
 * VOICE_AGAIN   the room kept changing, or its writer died: try later
 * VOICE_E_FULL  more than max: *n says how many
 */
voice_err_t voice_route_copy(const voice_zone_t *z, uint32_t room,
    voice_route_t *list, size_t max, size_t *n, uint64_t *version,
    uint32_t *gen);

/*
 * Mode and secret of a session.
 *
 * VOICE_E_STATE  it has no key yet
 * VOICE_AGAIN    it was changing
 */
voice_err_t voice_route_key(const voice_session_t *s, uint32_t *epoch,
    voice_mode_t *mode, uint8_t secret[VOICE_KEY_LEN]);

/*
 * Reserves up to VOICE_NONCE_RESERVE nonce numbers [*from, *to) of the key
 * with this epoch.
 *
 * VOICE_E_STALE  the session has another key now
 * VOICE_E_FULL   used up: ask for a new key
 */
voice_err_t voice_route_nonces(voice_session_t *s, uint32_t epoch,
    uint32_t *from, uint32_t *to);

/* The bound address, if it has one. */
bool voice_route_address(const voice_session_t *s, voice_addr_t *remote,
    voice_addr_t *local);

/* The session that is bound to an address, or NULL. */
voice_session_t *voice_route_by_address(const voice_zone_t *z,
    const voice_addr_t *remote);


#endif /* _VOICE_ROUTE_H_INCLUDED_ */
