/*
 * Copyright (C) ngx-voice contributors
 */


#include "voice_session_internal.h"

#include <sodium.h>


/* What the ring still holds of this outbox, unsent or for a resume. */

static uint32_t
voice_session_oldest(const voice_outbox_t *o)
{
    uint32_t              i, head;
    const voice_event_t  *ev;

    head = atomic_load(&o->head);

    for (i = head - VOICE_OUTBOX_EVENTS; i != head; i++) {
        ev = &o->ring[i % VOICE_OUTBOX_EVENTS];

        if (ev->type != 0 && ev->number == i) {
            break;
        }
    }

    return i;
}


/*
 * Finds the first event behind seq_ack.  It may be behind `sent` too, if the
 * worker died between writing an event's messages and saying so.
 */

static voice_err_t
voice_session_rewind(const voice_session_t *s, bool has_ack, uint16_t seq_ack,
    uint32_t *number)
{
    bool                   seen;
    uint16_t               first;
    uint32_t               i, head, sent;
    const voice_event_t   *ev;
    const voice_outbox_t  *o = &s->outbox;

    head = atomic_load(&o->head);
    sent = atomic_load(&o->sent);
    i = voice_session_oldest(o);

    if (!has_ack || seq_ack == 0) {
        *number = 1;
        return i == 1 ? VOICE_OK : VOICE_E_EXPIRED;
    }

    if (voice_outbox_distance(seq_ack, o->seq) <= 0) {
        return VOICE_E_EXPIRED;         /* never sent */
    }

    seen = false;
    first = o->seq;

    for ( /* void */ ; i != head; i++) {
        ev = &o->ring[i % VOICE_OUTBOX_EVENTS];

        if (ev->nseq != 0) {

            if (voice_outbox_distance(seq_ack, voice_outbox_last(ev)) > 0) {
                first = ev->seq;
                break;
            }

            seen = true;

        } else if ((int32_t) (i - sent) >= 0) {
            break;
        }
    }

    *number = i;

    /* is there a gap before what the ring still has? */

    return seen || voice_outbox_distance(seq_ack, first) <= 1
           ? VOICE_OK : VOICE_E_EXPIRED;
}


/*
 * Announcements that go out again, or were seen without our knowing it, count
 * only so for the media that depend on them.
 */

static void
voice_session_rewind_heard(voice_session_t *s, uint32_t number)
{
    uint32_t               i, sent, heard;
    const voice_event_t   *ev;
    const voice_outbox_t  *o = &s->outbox;

    sent = atomic_load(&o->sent);

    for (i = sent; (int32_t) (number - i) > 0; i++) {
        voice_outbox_heard(s, &o->ring[i % VOICE_OUTBOX_EVENTS]);
    }

    for (i = number; (int32_t) (sent - i) > 0; i++) {
        ev = &o->ring[i % VOICE_OUTBOX_EVENTS];

        if (ev->type == VOICE_EVENT_ROSTER) {
            atomic_store(&s->heard, 0);
            return;
        }

        if (ev->type == VOICE_EVENT_JOIN) {
            heard = ev->arg - 1;

            if (atomic_load(&s->heard) != 0) {
                atomic_store(&s->heard, heard != 0 ? heard : UINT32_MAX);
            }

            return;
        }
    }
}


/*
 * The client came back before its former websocket was found dead: that one's
 * worker compares the number and looks which of its sessions it was.
 */

static void
voice_session_take(voice_zone_t *z, voice_session_t *s)
{
    uint16_t  worker;

    worker = atomic_load(&s->worker);

    if (worker != VOICE_WORKER_NONE && worker != z->worker) {
        atomic_fetch_add(&z->header->worker[worker].taken, 1);
        z->wake[worker / 64] |= 1ull << (worker % 64);
    }
}


static voice_err_t
voice_session_resume_locked(voice_zone_t *z, voice_session_t *s, int version,
    bool has_ack, uint16_t seq_ack)
{
    bool             roster;
    uint32_t         number;
    voice_err_t      err;
    voice_outbox_t  *o = &s->outbox;

    if (atomic_load(&s->flags) & VOICE_SESSION_OVERFLOW) {
        return VOICE_E_EXPIRED;
    }

    number = atomic_load(&o->sent);
    roster = (version < VOICE_VERSION_SEQ && atomic_load(&s->room) != 0);

    if (version >= VOICE_VERSION_SEQ) {
        err = voice_session_rewind(s, has_ack, seq_ack, &number);
        if (err != VOICE_OK) {
            return err;
        }

    } else if (roster
               && atomic_load(&o->head) - number >= VOICE_OUTBOX_EVENTS)
    {
        return VOICE_E_EXPIRED;
    }

    voice_session_clean(z, s);
    voice_session_take(z, s);

    s->attach++;
    s->version = (uint8_t) version;

    voice_session_rewind_heard(s, number);
    atomic_store(&o->sent, number);

    /* with a worker again before without a deadline: one of them must stand */

    atomic_store(&s->worker, z->worker);
    atomic_store(&s->deadline, 0);

    if (roster) {
        atomic_store(&s->heard, 0);
        voice_outbox_append(z, s, VOICE_EVENT_ROSTER, 0, 0,
                            z->header->announced);
    }

    if (atomic_load(&o->head) != number) {
        voice_session_dirty(z, s);
    }

    return VOICE_OK;
}


voice_err_t
voice_session_resume(voice_zone_t *z, uint64_t guild_id, uint64_t user_id,
    const char *session_id, const uint8_t hash[VOICE_TOKEN_HASH_LEN],
    int version, bool has_ack, uint16_t seq_ack, uint64_t now, voice_id_t *id,
    uint32_t *attach)
{
    voice_err_t       err;
    voice_session_t  *s;

    if (z->worker == VOICE_WORKER_NONE) {
        return VOICE_E_STATE;
    }

    voice_zone_lock(z);

    s = voice_session_find(z, guild_id, user_id);

    if (s == NULL || strcmp(s->session_id, session_id) != 0) {
        err = VOICE_E_NOT_FOUND;

    } else if (sodium_memcmp(s->token_hash, hash, VOICE_TOKEN_HASH_LEN) != 0) {
        err = VOICE_E_AUTH;

    } else if (s->deadline != 0 && s->deadline <= now) {
        err = VOICE_E_NOT_FOUND;

    } else {
        err = voice_session_resume_locked(z, s, version, has_ack, seq_ack);

        if (err == VOICE_OK) {
            *id = voice_session_id(z, s);
            *attach = s->attach;
        }
    }

    voice_zone_unlock(z);

    return err;
}


void
voice_session_orphan(voice_zone_t *z, voice_session_t *s, uint64_t deadline)
{
    voice_session_clean(z, s);

    if (atomic_load(&s->state) == VOICE_SESSION_CLOSING) {
        voice_session_free(z, s);
        return;
    }

    atomic_store(&s->deadline, deadline != 0 ? deadline : 1);
    atomic_store(&s->worker, VOICE_WORKER_NONE);

    voice_zone_due(z, deadline);
}


void
voice_session_detach(voice_zone_t *z, voice_id_t id, uint32_t attach,
    uint64_t now, uint64_t window)
{
    voice_session_t  *s;

    voice_zone_lock(z);

    s = voice_session_get(z, id);

    if (s != NULL && s->attach == attach) {
        voice_session_orphan(z, s, now + window);
    }

    voice_zone_unlock(z);
}
