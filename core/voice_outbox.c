/*
 * Copyright (C) ngx-voice contributors
 */


#include "voice_outbox.h"
#include "voice_session.h"


#define voice_outbox_slot(o, number)                                          \
    (&(o)->ring[(number) % VOICE_OUTBOX_EVENTS])


/*
 * One who starts and stops all the time must not fill the outboxes of a room:
 * what is not written yet is said as it is now.  A number makes an event
 * final, as does whatever else the session is told of the same user.
 */

static bool
voice_outbox_merge(voice_outbox_t *o, uint32_t head, uint64_t user_id,
    uint32_t ssrc, uint32_t arg)
{
    uint32_t        i;
    voice_event_t  *ev;

    for (i = head; i != atomic_load(&o->sent); i--) {
        ev = voice_outbox_slot(o, i - 1);

        if (ev->user_id != user_id && ev->type != VOICE_EVENT_CLOSE) {
            continue;
        }

        if (ev->type != VOICE_EVENT_SPEAKING || ev->ssrc != ssrc
            || ev->nseq != 0)
        {
            return false;
        }

        ev->arg = arg;

        return true;
    }

    return false;
}


void
voice_outbox_append(voice_zone_t *z, voice_session_t *s,
    voice_event_type_t type, uint64_t user_id, uint32_t ssrc, uint32_t arg)
{
    uint32_t         head;
    voice_event_t   *ev;
    voice_outbox_t  *o = &s->outbox;

    head = atomic_load_explicit(&o->head, memory_order_relaxed);

    if (type == VOICE_EVENT_SPEAKING
        && voice_outbox_merge(o, head, user_id, ssrc, arg))
    {
        voice_session_dirty(z, s);
        return;
    }

    if (head - atomic_load(&o->sent) >= VOICE_OUTBOX_EVENTS) {
        if (!(atomic_fetch_or(&s->flags, VOICE_SESSION_OVERFLOW)
              & VOICE_SESSION_OVERFLOW))
        {
            voice_metric_add(voice_zone_metrics(z), VOICE_M_OUTBOX_OVERFLOW,
                             1);
        }

        voice_session_dirty(z, s);
        return;
    }

    ev = voice_outbox_slot(o, head);

    /* the slot holds an old event, of which no half must be replayed */

    ev->type = 0;
    atomic_signal_fence(memory_order_seq_cst);

    ev->user_id = user_id;
    ev->ssrc = ssrc;
    ev->arg = arg;
    ev->number = head;
    ev->seq = 0;
    ev->nseq = 0;
    atomic_signal_fence(memory_order_seq_cst);

    ev->type = type;

    atomic_store_explicit(&o->head, head + 1, memory_order_release);

    voice_session_dirty(z, s);
}


voice_err_t
voice_outbox_dirty(voice_zone_t *z, voice_id_t *id)
{
    uint32_t          first;
    voice_session_t  *s;

    if (z->worker == VOICE_WORKER_NONE) {
        return VOICE_E_NOT_FOUND;
    }

    voice_zone_lock(z);

    first = z->header->worker[z->worker].dirty;

    if (first != 0) {
        s = &z->session[first - 1];
        voice_session_clean(z, s);
        *id = voice_session_id(z, s);
    }

    voice_zone_unlock(z);

    return first != 0 ? VOICE_OK : VOICE_E_NOT_FOUND;
}


/* Under the lock: the session, if this worker's websocket `attach` has it. */

static voice_session_t *
voice_outbox_owned(voice_zone_t *z, voice_id_t id, uint32_t attach)
{
    voice_session_t  *s;

    s = voice_session_get(z, id);

    if (s == NULL || s->worker != z->worker || s->attach != attach) {
        return NULL;
    }

    return s;
}


voice_err_t
voice_outbox_next(voice_zone_t *z, voice_id_t id, uint32_t attach,
    voice_event_t *ev)
{
    uint32_t          sent;
    voice_err_t       err;
    voice_session_t  *s;

    voice_zone_lock(z);

    s = voice_outbox_owned(z, id, attach);

    if (s == NULL) {
        err = VOICE_E_STALE;

    } else if (atomic_load(&s->flags) & VOICE_SESSION_OVERFLOW) {
        err = VOICE_E_FULL;

    } else {
        sent = atomic_load(&s->outbox.sent);

        if (sent == atomic_load(&s->outbox.head)) {
            err = VOICE_E_NOT_FOUND;

        } else {
            *ev = *voice_outbox_slot(&s->outbox, sent);
            err = VOICE_OK;
        }
    }

    voice_zone_unlock(z);

    return err;
}


voice_err_t
voice_outbox_number(voice_zone_t *z, voice_id_t id, uint32_t attach,
    voice_event_t *ev, uint16_t n)
{
    uint16_t          seq;
    voice_err_t       err;
    voice_event_t    *slot;
    voice_session_t  *s;

    voice_zone_lock(z);

    err = VOICE_E_STALE;
    s = voice_outbox_owned(z, id, attach);

    if (s != NULL) {
        slot = voice_outbox_slot(&s->outbox, ev->number);

        if (slot->number == ev->number && slot->type == ev->type) {

            /* if this process dies between, numbers are left out, not reused */

            if (slot->nseq == 0 && n != 0) {
                seq = s->outbox.seq;
                s->outbox.seq = voice_outbox_seq(seq, n);
                atomic_signal_fence(memory_order_seq_cst);
                slot->seq = seq;
                atomic_signal_fence(memory_order_seq_cst);
                slot->nseq = n;
            }

            *ev = *slot;
            err = VOICE_OK;
        }
    }

    voice_zone_unlock(z);

    return err;
}


/*
 * A JOIN ahead of the roster says nothing of those who were there before: a
 * resume without sequence numbers begins so.
 */

void
voice_outbox_heard(voice_session_t *s, const voice_event_t *ev)
{
    uint32_t  heard;

    heard = atomic_load(&s->heard);

    if (ev->type == VOICE_EVENT_ROSTER
        ? heard == 0 || (int32_t) (ev->arg - heard) > 0
        : ev->type == VOICE_EVENT_JOIN && heard != 0
          && (int32_t) (ev->arg - heard) > 0)
    {
        atomic_store(&s->heard, ev->arg);
    }
}


voice_err_t
voice_outbox_sent(voice_zone_t *z, voice_id_t id, uint32_t attach,
    const voice_event_t *ev)
{
    voice_session_t  *s;

    voice_zone_lock(z);

    s = voice_outbox_owned(z, id, attach);

    if (s != NULL && ev->number == atomic_load(&s->outbox.sent)) {

        voice_outbox_heard(s, ev);
        atomic_store(&s->outbox.sent, ev->number + 1);
    }

    voice_zone_unlock(z);

    return s != NULL ? VOICE_OK : VOICE_E_STALE;
}
