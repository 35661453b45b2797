/*
 * Copyright (C) ngx-voice contributors
 *
 * Outbox: what a session's websocket has to be told, as small fixed events in
 * a ring of the session record.  It is the mailbox between workers (any
 * worker appends, the owner of the websocket renders and sends), and the
 * resume buffer: a resume sets `sent` back, and the same events go out again
 * with the same sequence numbers.
 */


#ifndef _VOICE_OUTBOX_H_INCLUDED_
#define _VOICE_OUTBOX_H_INCLUDED_


#include "voice_zone.h"


#define VOICE_OUTBOX_EVENTS   128


typedef enum {
    VOICE_EVENT_ROSTER = 1,   /* tell of all members announced up to `arg` */
    VOICE_EVENT_JOIN,         /* user, ssrc; arg: announcement number */
    VOICE_EVENT_LEAVE,        /* user */
    VOICE_EVENT_SPEAKING,     /* user, ssrc; arg: mask */
    VOICE_EVENT_CLOSE,        /* arg: close code; nothing follows */
    VOICE_EVENT_REKEY         /* the nonces of epoch `arg` run out: make a
                                 new key, unless it has another by now */
} voice_event_type_t;


typedef struct {
    uint64_t   user_id;
    uint32_t   ssrc;
    uint32_t   arg;
    uint32_t   number;        /* of the event in its outbox, from 1 */
    uint16_t   seq;           /* first sequence number; 0: not sent yet */
    uint16_t   nseq;          /* how many messages carry one */
    uint8_t    type;
    uint8_t    zero[7];
} voice_event_t;              /* 32 bytes */


typedef struct {
    _Atomic uint32_t   head;      /* number of the next event to append */
    _Atomic uint32_t   sent;      /* number of the next event to send */
    uint16_t           seq;       /* next sequence number, never 0 */
    uint16_t           zero;
    voice_event_t      ring[VOICE_OUTBOX_EVENTS];
} voice_outbox_t;


/*
 * Under the lock: appends, and marks the owner for waking.  SPEAKING takes
 * the place of one of the same stream that has no number yet.
 */
void voice_outbox_append(voice_zone_t *z, voice_session_t *s,
    voice_event_type_t type, uint64_t user_id, uint32_t ssrc, uint32_t arg);

/* Under the lock: the announcement that was made by sending ev is known. */
void voice_outbox_heard(voice_session_t *s, const voice_event_t *ev);

/*
 * A session of this worker that has something to send; each call gives
 * another one.  VOICE_E_NOT_FOUND: none left.
 */
voice_err_t voice_outbox_dirty(voice_zone_t *z, voice_id_t *id);

/*
 * The next event to send on the websocket number `attach` of the session.
 *
 * VOICE_E_NOT_FOUND  all is sent
 * VOICE_E_STALE      the session is gone, or has another websocket now:
 *                    close this one
 * VOICE_E_FULL       the ring overflowed: close with VOICE_CLOSE_SESSION_
 *                    INVALID, what was lost can't be told
 */
voice_err_t voice_outbox_next(voice_zone_t *z, voice_id_t id, uint32_t attach,
    voice_event_t *ev);

/*
 * Reserves n sequence numbers for the messages of ev and gives the first one;
 * the same ones again if ev was sent before, n is then only a wish: message i
 * carries voice_outbox_seq(first, i < nseq ? i : nseq - 1).  Call it before
 * the messages leave.
 */
voice_err_t voice_outbox_number(voice_zone_t *z, voice_id_t id,
    uint32_t attach, voice_event_t *ev, uint16_t n);

/* Moves on behind ev; to be called after its messages were given away. */
voice_err_t voice_outbox_sent(voice_zone_t *z, voice_id_t id, uint32_t attach,
    const voice_event_t *ev);


/* seq + i, skipping 0 (a client takes 0 for "none") */
static inline uint16_t
voice_outbox_seq(uint16_t seq, uint32_t i)
{
    return (uint16_t) ((seq - 1u + i) % 65535u + 1u);
}


/* the last one of an event that has some */
static inline uint16_t
voice_outbox_last(const voice_event_t *ev)
{
    return voice_outbox_seq(ev->seq, ev->nseq - 1u);
}


/* How far b is ahead of a; negative if it is behind. */
static inline int
voice_outbox_distance(uint16_t a, uint16_t b)
{
    int  d;

    d = ((int) b - (int) a + 65535) % 65535;

    return d < 32768 ? d : d - 65535;
}


#endif /* _VOICE_OUTBOX_H_INCLUDED_ */
