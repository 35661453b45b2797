/*
 * Copyright (C) ngx-voice contributors
 */


#include "voice_guild_internal.h"
#include "voice_peer.h"


_Static_assert((VOICE_FENCES & (VOICE_FENCES - 1)) == 0, "a power of two");


/*
 * Revisions grow over all guilds, so the lowest one of a full set is of the
 * guild that was assigned the longest ago.  `rev` goes last: a guild with
 * revision 0 lets everything pass.
 */

static voice_err_t
voice_fence_raise(voice_fence_record_t *set, uint64_t guild_id, uint64_t rev,
    uint64_t present)
{
    size_t                 i;
    voice_fence_record_t  *f;

    f = &set[0];

    for (i = 0; i < VOICE_FENCE_WAYS; i++) {

        if (set[i].guild == guild_id) {
            f = &set[i];
            break;
        }

        if (set[i].rev < f->rev) {
            f = &set[i];
        }
    }

    if (f->guild != guild_id) {
        f->rev = 0;
        voice_session_order();
        f->guild = guild_id;
    }

    if (rev < f->rev && rev != present) {
        return VOICE_E_STALE;
    }

    voice_session_order();
    f->rev = rev;

    return VOICE_OK;
}


voice_err_t
voice_fence_check(voice_zone_t *z, uint64_t guild_id, uint64_t rev,
    uint64_t present)
{
    uint64_t     hash;
    voice_err_t  err;

    hash = voice_zone_hash(z, &guild_id, sizeof(uint64_t));

    voice_zone_lock(z);
    err = voice_fence_raise(z->header->fence[hash & (VOICE_FENCES - 1)],
                            guild_id, rev, present);
    voice_zone_unlock(z);

    return err;
}
