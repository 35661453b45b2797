/*
 * Copyright (C) ngx-voice contributors
 */


#ifndef _VOICE_PEER_INTERNAL_H_INCLUDED_
#define _VOICE_PEER_INTERNAL_H_INCLUDED_


#include "voice_guild_internal.h"
#include "voice_peer.h"


/* All of it under the lock. */

/* NULL: no such peer, or ourselves. */
voice_peer_record_t *voice_peer_get(const voice_zone_t *z, uint32_t peer);

/*
 * Makes a state what info says; owner: the gateway session of ours that has
 * it, or 0; order: the node that does not know all of it, or 0.  Appends
 * STATE, before it MEMBER where mute or deaf changes.
 */
void voice_peer_commit(voice_zone_t *z, const voice_state_t *old,
    const voice_state_info_t *info, voice_id_t owner, uint32_t order);


#endif /* _VOICE_PEER_INTERNAL_H_INCLUDED_ */
