/*
 * Copyright (C) ngx-voice contributors
 */


#include "voice_session_internal.h"


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
voice_session_cut(voice_zone_t *z, voice_session_t *s)
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

    cut->room = atomic_load(&s->room);
    cut->ssrc = atomic_load(&s->ssrc);
    cut->ext_seq = atomic_load(&s->last_seq);
    cut->timestamp = atomic_load(&s->last_timestamp);
    cut->session = (uint32_t) (s - z->session);

    /* the silence frames use the next sequence numbers up */
    atomic_store(&s->floor_seq, cut->ext_seq + VOICE_OPUS_SILENCE_COUNT);

    h->cut_head++;

    if (z->worker != VOICE_WORKER_NONE) {
        z->wake[z->worker / 64] |= 1ull << (z->worker % 64);
    }
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
    atomic_store(&s->heard, 0);
    atomic_store(&s->announced, ++r->announced);

    voice_session_tell(z, r, s, VOICE_EVENT_JOIN, r->announced);
    voice_outbox_append(z, s, VOICE_EVENT_ROSTER, 0, 0, r->announced);

    voice_room_change_begin(r);
    voice_room_link(z, r, s);
    voice_room_change_end(r);

    s->joined = VOICE_JOIN_DONE;

    return VOICE_OK;
}


void
voice_session_leave(voice_zone_t *z, voice_session_t *s)
{
    voice_room_t  *r;

    if (s->joined == VOICE_JOIN_NONE) {
        return;
    }

    voice_session_cut(z, s);

    r = voice_room_get(z, atomic_load(&s->room));

    if (r != NULL) {
        voice_room_change_begin(r);
        voice_room_unlink(z, r, s);
        voice_room_change_end(r);
    }

    r = voice_room_find(z, s->guild_id, s->channel_id, false);

    if (r != NULL) {
        voice_session_tell(z, r, s, VOICE_EVENT_LEAVE, 0);
    }

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

            if (atomic_exchange(&s->speaking, mask) != mask || force) {
                voice_session_tell(z, r, s, VOICE_EVENT_SPEAKING, mask);
            }
        }
    }

    voice_zone_unlock(z);

    return err;
}


voice_err_t
voice_session_flags(voice_zone_t *z, voice_id_t id, uint32_t set,
    uint32_t clear)
{
    uint32_t          flags;
    voice_room_t     *r;
    voice_session_t  *s;

    voice_zone_lock(z);

    s = voice_session_get(z, id);

    if (s != NULL) {
        r = voice_room_get(z, atomic_load(&s->room));

        if (r != NULL) {
            voice_room_change_begin(r);
        }

        flags = (atomic_load(&s->flags) & ~clear) | set;
        atomic_store(&s->flags, flags);

        if (r != NULL) {
            voice_room_change_end(r);
        }

        if (flags & VOICE_SESSION_UNHEARD) {
            voice_session_cut(z, s);
        }
    }

    voice_zone_unlock(z);

    return s != NULL ? VOICE_OK : VOICE_E_STALE;
}
