/*
 * Copyright (C) ngx-voice contributors
 */


#include "voice_session_internal.h"
#include "voice_spoke.h"


void
voice_session_tell(voice_zone_t *z, voice_room_t *r, voice_session_t *s,
    voice_event_type_t type, uint32_t arg)
{
    uint32_t          i;
    voice_session_t  *m;

    for (i = r->head; i != 0; i = m->room_next) {
        m = &z->session[i - 1];

        if (m != s) {
            voice_outbox_append(z, m, type, s->user_id,
                                atomic_load(&s->ssrc), arg);
        }
    }
}


void
voice_session_cut(voice_zone_t *z, voice_session_t *s, const voice_room_t *r)
{
    voice_cut_t          *cut;
    voice_zone_header_t  *h = z->header;

    if (atomic_exchange(&s->talking, 0) == 0) {
        return;
    }

    if (h->cut_head - h->cut_tail == VOICE_CUTS_MAX) {
        h->cut_tail++;
    }

    cut = &h->cut[h->cut_head % VOICE_CUTS_MAX];

    cut->room = voice_room_id(z, r);
    cut->ssrc = atomic_load(&s->ssrc);
    cut->ext_seq = atomic_load(&s->last_seq);
    cut->timestamp = atomic_load(&s->last_timestamp);
    cut->session = (uint32_t) (s - z->session);

    /* the silence frames use the next sequence numbers up */
    atomic_store(&s->floor_seq, cut->ext_seq + VOICE_OPUS_SILENCE_COUNT);

    h->cut_head++;

    /* this worker may have let go of its sockets: any relay will do */

    voice_zone_wake_all(z);
}


/*
 * Numbers are counted in the header and not in the room: they must never go
 * back, not even when a repair makes the rooms anew while events of members
 * that left are still on their way.
 */

void
voice_session_announce(voice_zone_t *z, voice_room_t *r, voice_session_t *s)
{
    uint32_t  number;

    number = z->header->announced + 1;

    if (number == 0) {
        number = 1;                     /* 0 is "none" */
    }

    z->header->announced = number;

    atomic_store(&s->heard, 0);
    atomic_store(&s->announced, number);

    voice_session_tell(z, r, s, VOICE_EVENT_JOIN, number);
    voice_outbox_append(z, s, VOICE_EVENT_ROSTER, 0, 0, number);
}


voice_err_t
voice_session_enter(voice_zone_t *z, voice_session_t *s)
{
    voice_room_t  *r;

    r = voice_room_find(z, s->guild_id, s->channel_id, true);
    if (r == NULL) {
        return VOICE_E_FULL;
    }

    s->joined = VOICE_JOIN_ANNOUNCING;
    voice_session_order();

    voice_session_announce(z, r, s);

    voice_room_change_begin(r);
    voice_room_link(z, r, s);
    voice_room_change_end(r);

    voice_session_order();
    s->joined = VOICE_JOIN_DONE;

    return VOICE_OK;
}


/* Others are told again what they know; who listens from outside isn't. */

static void
voice_session_spoke(voice_zone_t *z, const voice_session_t *s, uint32_t mask)
{
    if (atomic_load(&s->speaking) != mask) {
        voice_spoke_append(z, s, mask);
    }
}


/* In a repair the session is out of the room's list already. */

void
voice_session_leave(voice_zone_t *z, voice_session_t *s)
{
    voice_room_t  *r;

    if (s->joined == VOICE_JOIN_NONE) {
        return;
    }

    r = voice_room_find(z, s->guild_id, s->channel_id, false);

    if (r != NULL) {
        voice_session_cut(z, s, r);

        if (atomic_load(&s->room) != 0) {
            voice_room_change_begin(r);
            voice_room_unlink(z, r, s);
            voice_room_change_end(r);
        }

        voice_session_tell(z, r, s, VOICE_EVENT_LEAVE, 0);
        voice_session_spoke(z, s, 0);
    }

    voice_session_order();
    s->joined = VOICE_JOIN_NONE;
}


voice_err_t
voice_session_speaking(voice_zone_t *z, voice_id_t id, uint32_t mask,
    bool force)
{
    voice_err_t       err;
    voice_room_t     *r;
    voice_session_t  *s;

    voice_zone_lock(z);

    err = VOICE_E_STALE;
    s = voice_session_get(z, id);

    if (s != NULL) {
        err = VOICE_E_STATE;
        r = voice_room_get(z, atomic_load(&s->room));

        if (r != NULL) {
            err = VOICE_OK;

            /* told first: who dies between is asked for it again */

            if (atomic_load(&s->speaking) != mask || force) {
                voice_session_tell(z, r, s, VOICE_EVENT_SPEAKING, mask);
                voice_session_spoke(z, s, mask);
                atomic_store(&s->speaking, mask);
            }
        }
    }

    voice_zone_unlock(z);

    return err;
}


/*
 * The cut comes even if the flags are so already: who set them may have died
 * before it.
 */

void
voice_session_flags_locked(voice_zone_t *z, voice_session_t *s, uint32_t set,
    uint32_t clear)
{
    uint32_t       old, flags;
    voice_room_t  *r;

    old = atomic_load(&s->flags);
    flags = (old & ~clear) | set;
    r = voice_room_get(z, atomic_load(&s->room));

    if (flags != old) {

        if (r != NULL) {
            voice_room_change_begin(r);
        }

        atomic_store(&s->flags, flags);

        if (r != NULL) {
            voice_room_change_end(r);
        }
    }

    if (r != NULL && (flags & VOICE_SESSION_UNHEARD)) {
        voice_session_cut(z, s, r);
    }
}


voice_err_t
voice_session_flags(voice_zone_t *z, voice_id_t id, uint32_t set,
    uint32_t clear)
{
    voice_session_t  *s;

    voice_zone_lock(z);

    s = voice_session_get(z, id);

    if (s != NULL) {
        voice_session_flags_locked(z, s, set, clear);
    }

    voice_zone_unlock(z);

    return s != NULL ? VOICE_OK : VOICE_E_STALE;
}
