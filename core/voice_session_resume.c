/*
 * Copyright (C) ngx-voice contributors
 */


#include "voice_session_internal.h"

#include <sodium.h>


/* How far b is ahead of a, with numbers 1..65535 that wrap. */

static int
voice_seq_distance(uint16_t a, uint16_t b)
{
    int  d;

    d = ((int) b - (int) a + 65535) % 65535;

    return d < 32768 ? d : d - 65535;
}


/*
 * Finds the first event behind seq_ack.
 */

static voice_err_t
voice_session_rewind(const voice_session_t *s, bool has_ack, uint16_t seq_ack,
    uint32_t *number)
{
    uint16_t               last;
    uint32_t               i, head, oldest, sent;
    const voice_event_t   *ev;
    const voice_outbox_t  *o = &s->outbox;

    head = atomic_load(&o->head);
    sent = atomic_load(&o->sent);
    oldest = (head > VOICE_OUTBOX_EVENTS) ? head - VOICE_OUTBOX_EVENTS : 1;

    if (!has_ack || seq_ack == 0) {
        *number = 1;
        return oldest == 1 ? VOICE_OK : VOICE_E_EXPIRED;
    }

    if (voice_seq_distance(seq_ack, o->seq) <= 0) {
        return VOICE_E_EXPIRED;         /* never sent */
    }

    *number = sent;

    for (i = oldest; i != sent; i++) {
        ev = &o->ring[i % VOICE_OUTBOX_EVENTS];

        if (ev->nseq == 0) {
            continue;
        }

        last = voice_outbox_seq(ev->seq, ev->nseq - 1u);

        if (voice_seq_distance(seq_ack, last) > 0) {
            *number = i;
            break;
        }
    }

    if (*number != oldest || oldest == 1) {
        return VOICE_OK;
    }

    /* all in the ring is missing; is there a gap before it? */

    ev = &o->ring[oldest % VOICE_OUTBOX_EVENTS];

    return ev->nseq != 0 && voice_seq_distance(seq_ack, ev->seq) <= 1
           ? VOICE_OK : VOICE_E_EXPIRED;
}


static voice_err_t
voice_session_resume_locked(voice_zone_t *z, voice_session_t *s, int version,
    bool has_ack, uint16_t seq_ack)
{
    uint32_t       number;
    voice_err_t    err;
    voice_room_t  *r;

    if (atomic_load(&s->flags) & VOICE_SESSION_OVERFLOW) {
        return VOICE_E_EXPIRED;
    }

    number = atomic_load(&s->outbox.head);

    if (version >= VOICE_VERSION_SEQ) {
        err = voice_session_rewind(s, has_ack, seq_ack, &number);
        if (err != VOICE_OK) {
            return err;
        }
    }

    voice_session_clean(z, s);
    s->worker = z->worker;
    s->version = (uint8_t) version;
    s->deadline = 0;
    s->attach++;
    atomic_store(&s->outbox.sent, number);

    r = voice_room_get(z, atomic_load(&s->room));

    if (version < VOICE_VERSION_SEQ && r != NULL) {
        voice_outbox_append(z, s, VOICE_EVENT_ROSTER, 0, 0, r->announced);
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
    s->worker = VOICE_WORKER_NONE;

    if (atomic_load(&s->state) == VOICE_SESSION_CLOSING) {
        voice_session_free(z, s);
        return;
    }

    s->deadline = deadline;
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
