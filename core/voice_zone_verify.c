/*
 * Copyright (C) ngx-voice contributors
 *
 * Checks the zone against itself: the records are the truth, all else must
 * follow from them.  For tests, fuzzers and operators' tools.
 */


#include "voice_verify.h"

#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>


void
voice_verify_fault(voice_verify_t *v, const char *format, ...)
{
    va_list  args;

    if (v->faults++ == 0 && v->size != 0) {
        va_start(args, format);
        vsnprintf(v->text, v->size, format, args);
        va_end(args);
    }
}


bool
voice_verify_indexed(const voice_zone_t *z, const voice_index_t *ix,
    uint32_t record)
{
    uint32_t  i, n, value;

    i = (uint32_t) ix->hash(z, record);

    for (n = 0; n <= ix->mask; n++) {
        value = atomic_load(&ix->bucket[(i + n) & ix->mask]);

        if (value == 0) {
            return false;
        }

        if (value == record + 1) {
            return true;
        }
    }

    return false;
}


bool
voice_verify_zero(const void *data, size_t len)
{
    return sodium_is_zero(data, len) == 1;
}


static void
voice_verify_free_slot(voice_verify_t *v, uint32_t i)
{
    const voice_session_t  *s = &v->z->session[i];

    voice_verify(v, s->used == 0, "session %u: free but not wiped", i);
    voice_verify(v, atomic_load(&s->ssrc) == 0,
                 "session %u: free but has SSRC %u", i,
                 atomic_load(&s->ssrc));
    voice_verify(v, atomic_load(&s->room) == 0 && s->room_next == 0
                    && s->room_prev == 0,
                 "session %u: free but in a room", i);
    voice_verify(v, atomic_load(&s->key) == 0 && atomic_load(&s->bound) == 0,
                 "session %u: free but has a key or an address", i);
    voice_verify(v, s->dirty == 0, "session %u: free but dirty", i);
    voice_verify(v, voice_verify_zero(s->secret, sizeof(s->secret))
                    && voice_verify_zero(s->token_hash,
                                         sizeof(s->token_hash))
                    && voice_verify_zero(&s->outbox, sizeof(s->outbox)),
                 "session %u: free but holds old data", i);
}


/* numbers, order and sequence numbers of what the ring holds */

static void
voice_verify_outbox(voice_verify_t *v, uint32_t i)
{
    bool                   have;
    uint16_t               next;
    uint32_t               n, head, sent;
    const voice_event_t   *ev;
    const voice_outbox_t  *o = &v->z->session[i].outbox;

    head = atomic_load(&o->head);
    sent = atomic_load(&o->sent);

    voice_verify(v, head - sent <= VOICE_OUTBOX_EVENTS,
                 "session %u: outbox head %u, but sent %u", i, head, sent);
    voice_verify(v, o->seq != 0, "session %u: next sequence number is 0", i);

    have = false;
    next = 0;

    for (n = head - VOICE_OUTBOX_EVENTS; n != head; n++) {
        ev = &o->ring[n % VOICE_OUTBOX_EVENTS];

        if (ev->type == 0 || ev->number != n) {
            voice_verify(v, (int32_t) (n - sent) < 0,
                         "session %u: event %u is lost", i, n);
            continue;
        }

        voice_verify(v, ev->type <= VOICE_EVENT_REKEY,
                     "session %u: event %u has type %u", i, n, ev->type);

        if (ev->nseq == 0) {
            continue;
        }

        voice_verify(v, ev->seq != 0
                        && (!have || voice_outbox_distance(next, ev->seq)
                                     >= 0),
                     "session %u: event %u has number %u, expected %u", i, n,
                     ev->seq, next);

        next = voice_outbox_seq(ev->seq, ev->nseq);
        have = true;
    }

    voice_verify(v, !have || voice_outbox_distance(next, o->seq) >= 0,
                 "session %u: next sequence number is %u, expected %u", i,
                 o->seq, next);
}


static void
voice_verify_ready(voice_verify_t *v, uint32_t i)
{
    const voice_session_t  *s = &v->z->session[i];

    voice_verify(v, atomic_load(&s->key) == 0
                    && voice_verify_zero(s->secret, sizeof(s->secret)),
                 "session %u: ready but has a key", i);
    voice_verify(v, atomic_load(&s->bound) == 0,
                 "session %u: ready but has an address", i);
    voice_verify(v, s->joined == VOICE_JOIN_NONE
                    && atomic_load(&s->room) == 0,
                 "session %u: ready but in a room", i);
}


static void
voice_verify_live(voice_verify_t *v, uint32_t i)
{
    uint32_t                key, bound, heard, announced, last;
    const voice_room_t     *r;
    const voice_session_t  *s = &v->z->session[i];

    key = atomic_load(&s->key);
    bound = atomic_load(&s->bound);
    heard = atomic_load(&s->heard);
    announced = atomic_load(&s->announced);
    last = v->z->header->announced;

    voice_verify(v, key != 0 && s->key_last == key,
                 "session %u: live with key %u, last was %u", i, key,
                 s->key_last);
    voice_verify(v, atomic_load(&s->nonce) >> 32 == key,
                 "session %u: key %u, but nonces of key %u", i, key,
                 (uint32_t) (atomic_load(&s->nonce) >> 32));
    voice_verify(v, s->mode[key & 1] < VOICE_MODE_COUNT,
                 "session %u: mode %u", i, s->mode[key & 1]);
    voice_verify(v, voice_verify_zero(s->secret[(key + 1) & 1],
                                      VOICE_KEY_LEN),
                 "session %u: the former key is there still", i);
    voice_verify(v, bound == 0 || s->bound_last == bound,
                 "session %u: address %u, last was %u", i, bound,
                 s->bound_last);
    voice_verify(v, announced != 0 && (int32_t) (last - announced) >= 0
                    && (heard == 0 || (int32_t) (last - heard) >= 0),
                 "session %u: announced %u and heard %u, last was %u", i,
                 announced, heard, last);

    r = voice_room_get(v->z, atomic_load(&s->room));

    voice_verify(v, s->joined == VOICE_JOIN_DONE && r != NULL,
                 "session %u: live but in no room", i);
    voice_verify(v, r == NULL || (r->guild_id == s->guild_id
                                  && r->channel_id == s->channel_id),
                 "session %u: in the room of another channel", i);
}


static void
voice_verify_closing(voice_verify_t *v, uint32_t i)
{
    uint32_t                head;
    const voice_event_t    *last;
    const voice_session_t  *s = &v->z->session[i];

    voice_verify_ready(v, i);

    head = atomic_load(&s->outbox.head);
    last = &s->outbox.ring[(head - 1) % VOICE_OUTBOX_EVENTS];

    voice_verify(v, s->worker != VOICE_WORKER_NONE && s->close_code != 0,
                 "session %u: closing, but nobody will free it", i);
    voice_verify(v, (last->type == VOICE_EVENT_CLOSE
                     && last->number == head - 1)
                    || (atomic_load(&s->flags) & VOICE_SESSION_OVERFLOW),
                 "session %u: closing, but its websocket isn't told", i);
}


static void
voice_verify_indexes_of(voice_verify_t *v, uint32_t i)
{
    voice_zone_t           *z = v->z;
    const voice_session_t  *s = &z->session[i];
    const voice_index_t     by_user = voice_session_user_index(z);
    const voice_index_t     by_address = voice_session_address_index(z);

    if (atomic_load(&s->state) != VOICE_SESSION_CLOSING) {
        v->named++;

        voice_verify(v, voice_verify_indexed(z, &by_user, i),
                     "session %u: not in the index of users", i);
        voice_verify(v, voice_session_find(z, s->guild_id, s->user_id) == s,
                     "session %u: its user has another session too", i);
    }

    if (atomic_load(&s->bound) != 0) {
        v->bound++;

        voice_verify(v, voice_verify_indexed(z, &by_address, i),
                     "session %u: not in the index of addresses", i);
    }
}


static void
voice_verify_session(voice_verify_t *v, uint32_t i)
{
    uint8_t                 state;
    voice_zone_t           *z = v->z;
    const voice_session_t  *s = &z->session[i];

    state = atomic_load(&s->state);

    voice_verify(v, atomic_load(&s->gen) != 0, "session %u: generation 0", i);

    if (state == VOICE_SESSION_FREE) {
        voice_verify_free_slot(v, i);
        return;
    }

    v->used++;
    v->probes += (s->guild_id == VOICE_PROBE_GUILD);
    v->live += (state == VOICE_SESSION_LIVE);
    v->dirty += (s->dirty != 0);

    voice_verify(v, s->used == 1, "session %u: in use but not marked", i);
    voice_verify(v, atomic_load(&s->ssrc) == voice_session_ssrc(z, s)
                    && voice_session_by_ssrc(z, s->ssrc) == s,
                 "session %u: SSRC %u, expected %u", i,
                 atomic_load(&s->ssrc), voice_session_ssrc(z, s));
    voice_verify(v, s->version <= VOICE_VERSION_MAX
                    && s->ncandidates <= VOICE_SESSION_CANDIDATES
                    && memchr(s->session_id, '\0', sizeof(s->session_id)),
                 "session %u: version, candidates or id out of range", i);
    voice_verify(v, (s->worker == VOICE_WORKER_NONE) == (s->deadline != 0),
                 "session %u: worker %u and deadline %llu", i, s->worker,
                 (unsigned long long) s->deadline);
    voice_verify(v, s->worker == VOICE_WORKER_NONE
                    || (s->worker < VOICE_WORKERS_MAX
                        && atomic_load(&z->header->worker[s->worker].pid)
                           != 0),
                 "session %u: its worker %u doesn't exist", i, s->worker);

    switch (state) {

    case VOICE_SESSION_READY:
        voice_verify_ready(v, i);
        break;

    case VOICE_SESSION_LIVE:
        voice_verify_live(v, i);
        break;

    case VOICE_SESSION_CLOSING:
        voice_verify_closing(v, i);
        break;

    default:
        voice_verify_fault(v, "session %u: state %u", i, state);
    }

    voice_verify_outbox(v, i);
    voice_verify_indexes_of(v, i);
}


static void
voice_verify_free_list(voice_verify_t *v)
{
    uint32_t               i, n, end, last;
    voice_zone_header_t   *h = v->z->header;

    n = 0;
    last = 0;
    end = atomic_load(&h->session_end);

    for (i = h->session_free; i != 0; i = v->z->session[i - 1].next_free) {

        if (i > end || n == end) {
            voice_verify_fault(v, "free list: leads to session %u", i - 1);
            return;
        }

        voice_verify(v, atomic_load(&v->z->session[i - 1].state)
                        == VOICE_SESSION_FREE,
                     "free list: session %u is in use", i - 1);
        last = i;
        n++;
    }

    voice_verify(v, h->session_last == last,
                 "free list: ends at %u, expected %u", last, h->session_last);
    voice_verify(v, n + v->used == end,
                 "free list: %u sessions, expected %u", n, end - v->used);
    voice_verify(v, h->sessions_used == v->used,
                 "sessions used: %u, expected %u", h->sessions_used, v->used);
    voice_verify(v, h->probes_used == v->probes,
                 "probes used: %u, expected %u", h->probes_used, v->probes);
}


static void
voice_verify_dirty(voice_verify_t *v)
{
    uint32_t                i, n, w, prev;
    const voice_session_t  *s;

    n = 0;

    for (w = 0; w < VOICE_WORKERS_MAX; w++) {
        prev = 0;

        for (i = v->z->header->worker[w].dirty; i != 0; i = s->dirty_next) {

            if (i > v->z->header->sessions || n == v->dirty) {
                voice_verify_fault(v, "worker %u: its list leads to "
                                   "session %u", w, i - 1);
                return;
            }

            s = &v->z->session[i - 1];

            voice_verify(v, s->dirty && s->worker == w
                            && s->dirty_prev == prev,
                         "worker %u: session %u doesn't belong in its list",
                         w, i - 1);
            prev = i;
            n++;
        }
    }

    voice_verify(v, n == v->dirty, "%u sessions in lists of workers, "
                 "expected %u", n, v->dirty);
}


static uint32_t
voice_verify_members(voice_verify_t *v, uint32_t room)
{
    uint32_t                i, n, prev;
    voice_id_t              id;
    const voice_room_t     *r = &v->z->room[room];
    const voice_session_t  *s;

    n = 0;
    prev = 0;
    id = voice_room_id(v->z, r);

    for (i = r->head; i != 0; i = s->room_next) {

        if (i > v->z->header->sessions || n == r->members) {
            voice_verify_fault(v, "room %u: its list leads to session %u",
                               room, i - 1);
            return n;
        }

        s = &v->z->session[i - 1];

        voice_verify(v, atomic_load(&s->state) == VOICE_SESSION_LIVE
                        && atomic_load(&s->room) == id
                        && s->room_prev == prev,
                     "room %u: session %u doesn't belong in its list", room,
                     i - 1);
        prev = i;
        n++;
    }

    voice_verify(v, n == r->members, "room %u: %u members, expected %u",
                 room, n, r->members);

    return n;
}


static void
voice_verify_rooms(voice_verify_t *v)
{
    uint32_t              i, n, used, members;
    voice_zone_t         *z = v->z;
    const voice_room_t   *r;
    const voice_index_t   ix = voice_room_index(z);

    used = 0;
    members = 0;

    for (i = 0; i < z->header->room_end; i++) {
        r = &z->room[i];

        voice_verify(v, (atomic_load(&r->version) & 1) == 0,
                     "room %u: version is odd", i);
        voice_verify(v, atomic_load(&r->gen) != 0, "room %u: generation 0",
                     i);

        members += voice_verify_members(v, i);

        if (r->members != 0) {
            used++;
            voice_verify(v, voice_verify_indexed(z, &ix, i)
                            && voice_room_find(z, r->guild_id, r->channel_id,
                                               false) == r,
                         "room %u: not in the index of channels", i);
        }
    }

    voice_verify(v, members == v->live, "%u members of rooms, expected %u",
                 members, v->live);
    voice_verify(v, z->header->rooms_used == used,
                 "rooms used: %u, expected %u", z->header->rooms_used, used);
    voice_verify(v, voice_index_count(&ix) == used,
                 "index of channels: %u rooms, expected %u",
                 voice_index_count(&ix), used);

    n = 0;

    for (i = z->header->room_free; i != 0; i = z->room[i - 1].next_free) {

        if (i > z->header->room_end || n == z->header->room_end
            || z->room[i - 1].members != 0)
        {
            voice_verify_fault(v, "free list: leads to room %u", i - 1);
            return;
        }

        n++;
    }

    voice_verify(v, n + used == z->header->room_end,
                 "free list: %u rooms, expected %u", n,
                 z->header->room_end - used);
}


unsigned
voice_zone_verify(voice_zone_t *z, char *text, size_t size)
{
    uint32_t              i;
    voice_verify_t        v = { .z = z, .text = text, .size = size };
    voice_zone_header_t  *h = z->header;
    const voice_index_t   by_user = voice_session_user_index(z);
    const voice_index_t   by_address = voice_session_address_index(z);

    if (size != 0) {
        text[0] = '\0';
    }

    if (atomic_load(&h->session_end) > h->sessions
        || h->room_end > h->sessions
        || h->endpoints > VOICE_ENDPOINTS_MAX
        || h->cut_head - h->cut_tail > VOICE_CUTS_MAX)
    {
        voice_verify_fault(&v, "header: out of its bounds");
        return v.faults;
    }

    for (i = 0; i < atomic_load(&h->session_end); i++) {
        voice_verify_session(&v, i);
    }

    voice_verify_free_list(&v);
    voice_verify_dirty(&v);
    voice_verify_rooms(&v);

    voice_verify(&v, voice_index_count(&by_user) == v.named,
                 "index of users: %u sessions, expected %u",
                 voice_index_count(&by_user), v.named);
    voice_verify(&v, voice_index_count(&by_address) == v.bound,
                 "index of addresses: %u sessions, expected %u",
                 voice_index_count(&by_address), v.bound);

    voice_guild_verify(&v);

    return v.faults;
}
