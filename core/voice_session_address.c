/*
 * Copyright (C) ngx-voice contributors
 */


#include "voice_index.h"
#include "voice_session_internal.h"


static uint64_t
voice_session_address_hash(const voice_zone_t *z, uint32_t record)
{
    uint32_t                bound;
    const voice_session_t  *s = &z->session[record];

    bound = atomic_load(&s->bound);

    return voice_zone_hash(z, &s->remote[bound & 1], sizeof(voice_addr_t));
}


voice_index_t
voice_session_address_index(const voice_zone_t *z)
{
    return (voice_index_t) { z->by_address, z->header->index_mask,
                             voice_session_address_hash };
}


void
voice_session_bind_locked(voice_zone_t *z, voice_session_t *s,
    const voice_addr_t *remote, const voice_addr_t *local)
{
    uint32_t        bound;
    voice_room_t   *r;
    voice_index_t   ix = voice_session_address_index(z);

    bound = atomic_load(&s->bound);
    r = voice_room_get(z, atomic_load(&s->room));

    if (bound != 0) {
        voice_index_remove(z, &ix, (uint32_t) (s - z->session));
    }

    if (r != NULL) {
        voice_room_change_begin(r);
    }

    bound = voice_slot_next(bound != 0 ? bound : s->bound_last);

    /* a reader that sees what follows must see the last switch too */
    atomic_thread_fence(memory_order_release);

    s->remote[bound & 1] = *remote;
    s->local[bound & 1] = *local;
    s->bound_last = bound;
    atomic_store_explicit(&s->bound, bound, memory_order_release);

    if (r != NULL) {
        voice_room_change_end(r);
    }

    voice_index_add(z, &ix, (uint32_t) (s - z->session));
}


void
voice_session_unbind(voice_zone_t *z, voice_session_t *s)
{
    voice_index_t  ix = voice_session_address_index(z);

    if (atomic_load(&s->bound) != 0) {
        voice_index_remove(z, &ix, (uint32_t) (s - z->session));
        atomic_store(&s->bound, 0);
    }
}


/*
 * A discovery request is not authenticated and its sender may be anybody; what
 * the client says on its websocket decides between several of them.
 */

void
voice_session_choose(voice_zone_t *z, voice_session_t *s,
    const voice_addr_t *hint)
{
    int  i, n;

    if (s->ncandidates == 0 || atomic_load(&s->bound) != 0) {
        return;
    }

    n = s->ncandidates - 1;

    for (i = 0; hint != NULL && i < s->ncandidates; i++) {
        if (voice_addr_equal(&s->candidate[i], hint)) {
            n = i;
            break;
        }
    }

    voice_session_bind_locked(z, s, &s->candidate[n], &s->candidate_local[n]);
}


voice_err_t
voice_session_candidate(voice_zone_t *z, voice_id_t id,
    const voice_addr_t *remote, const voice_addr_t *local)
{
    int               i;
    voice_err_t       err;
    voice_session_t  *s;

    if (voice_zone_lock_timed(z, VOICE_LOCK_MS) != VOICE_OK) {
        return VOICE_AGAIN;
    }

    s = voice_session_get(z, id);

    if (s == NULL) {
        err = VOICE_E_STALE;

    } else if (atomic_load(&s->state) != VOICE_SESSION_READY) {
        err = VOICE_E_STATE;

    } else {
        err = VOICE_OK;

        for (i = 0; i < s->ncandidates; i++) {
            if (voice_addr_equal(&s->candidate[i], remote)) {
                break;
            }
        }

        /* the last one asked counts: it moves to the end */

        if (i == VOICE_SESSION_CANDIDATES) {
            i = 0;
        }

        if (i == s->ncandidates) {
            s->ncandidates++;
        }

        for ( /* void */ ; i < s->ncandidates - 1; i++) {
            s->candidate[i] = s->candidate[i + 1];
            s->candidate_local[i] = s->candidate_local[i + 1];
        }

        s->candidate[i] = *remote;
        s->candidate_local[i] = *local;
    }

    voice_zone_unlock(z);

    return err;
}


voice_err_t
voice_session_bind(voice_zone_t *z, voice_id_t id, const voice_addr_t *remote,
    const voice_addr_t *local)
{
    voice_session_t  *s;

    if (voice_zone_lock_timed(z, VOICE_LOCK_MS) != VOICE_OK) {
        return VOICE_AGAIN;
    }

    s = voice_session_get(z, id);

    if (s != NULL && atomic_load(&s->state) == VOICE_SESSION_LIVE) {
        voice_session_bind_locked(z, s, remote, local);
    } else {
        s = NULL;
    }

    voice_zone_unlock(z);

    return s != NULL ? VOICE_OK : VOICE_E_STALE;
}
