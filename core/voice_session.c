/*
 * Copyright (C) ngx-voice contributors
 */


#include "voice_index.h"
#include "voice_session.h"

#include <sodium.h>


#define VOICE_SSRC_INDEX_SHIFT   3       /* VOICE_SSRC_BLOCK */
#define VOICE_SSRC_GEN_SHIFT     20
#define VOICE_SSRC_GENS          2047    /* 11 bits, never 0 */


typedef struct {
    uint64_t   guild_id;
    uint64_t   user_id;
} voice_user_key_t;


static uint64_t
voice_session_user_hash(const voice_zone_t *z, uint32_t record)
{
    voice_user_key_t  key;

    key.guild_id = z->session[record].guild_id;
    key.user_id = z->session[record].user_id;

    return voice_zone_hash(z, &key, sizeof(key));
}


static bool
voice_session_user_match(const voice_zone_t *z, uint32_t record,
    const void *data)
{
    const voice_session_t   *s = &z->session[record];
    const voice_user_key_t  *key = data;

    return s->user_id == key->user_id && s->guild_id == key->guild_id;
}


static voice_index_t
voice_session_user_index(const voice_zone_t *z)
{
    return (voice_index_t) { z->by_user, z->header->index_mask,
                             voice_session_user_hash };
}


static uint64_t
voice_session_address_hash(const voice_zone_t *z, uint32_t record)
{
    uint32_t                bound;
    const voice_session_t  *s = &z->session[record];

    bound = atomic_load(&s->bound);

    return voice_zone_hash(z, &s->remote[bound & 1], sizeof(voice_addr_t));
}


static voice_index_t
voice_session_address_index(const voice_zone_t *z)
{
    return (voice_index_t) { z->by_address, z->header->index_mask,
                             voice_session_address_hash };
}


voice_session_t *
voice_session_get(const voice_zone_t *z, voice_id_t id)
{
    voice_session_t  *s;

    if (id == 0 || voice_id_index(id) >= z->header->sessions) {
        return NULL;
    }

    s = &z->session[voice_id_index(id)];

    if (atomic_load(&s->gen) != voice_id_gen(id)
        || atomic_load(&s->state) == VOICE_SESSION_FREE)
    {
        return NULL;
    }

    return s;
}


voice_id_t
voice_session_id(const voice_zone_t *z, const voice_session_t *s)
{
    return voice_id_make(atomic_load(&s->gen), s - z->session);
}


/*
 * An SSRC is the slot's index and some bits of its generation, so that it is
 * found without a hash, is unique on this server, and a former owner's is
 * refused.
 */

static uint32_t
voice_session_ssrc(const voice_zone_t *z, const voice_session_t *s)
{
    uint32_t  index, salt;

    index = (uint32_t) (s - z->session);
    memcpy(&salt, z->header->salt, sizeof(salt));

    return (1 + (atomic_load(&s->gen) + (salt ^ index * 2654435761u) % 65536)
                % VOICE_SSRC_GENS)
           << VOICE_SSRC_GEN_SHIFT
           | index << VOICE_SSRC_INDEX_SHIFT;
}


voice_session_t *
voice_session_by_ssrc(const voice_zone_t *z, uint32_t ssrc)
{
    uint32_t          index;
    voice_session_t  *s;

    index = (ssrc >> VOICE_SSRC_INDEX_SHIFT) & (VOICE_ZONE_SESSIONS_MAX - 1);

    if (index >= z->header->sessions) {
        return NULL;
    }

    s = &z->session[index];

    if (ssrc < VOICE_SSRC_BLOCK
        || atomic_load_explicit(&s->ssrc, memory_order_acquire)
           != (ssrc & ~(uint32_t) (VOICE_SSRC_BLOCK - 1)))
    {
        return NULL;
    }

    return s;
}


void
voice_session_dirty(voice_zone_t *z, voice_session_t *s)
{
    uint32_t         index = (uint32_t) (s - z->session) + 1;
    voice_worker_t  *w;

    if (s->worker == VOICE_WORKER_NONE) {
        return;
    }

    z->wake[s->worker / 64] |= 1ull << (s->worker % 64);

    if (s->dirty) {
        return;
    }

    w = &z->header->worker[s->worker];

    s->dirty_prev = 0;
    s->dirty_next = w->dirty;

    if (w->dirty != 0) {
        z->session[w->dirty - 1].dirty_prev = index;
    }

    w->dirty = index;
    s->dirty = 1;
}


void
voice_session_clean(voice_zone_t *z, voice_session_t *s)
{
    if (!s->dirty) {
        return;
    }

    if (s->dirty_prev != 0) {
        z->session[s->dirty_prev - 1].dirty_next = s->dirty_next;
    } else {
        z->header->worker[s->worker].dirty = s->dirty_next;
    }

    if (s->dirty_next != 0) {
        z->session[s->dirty_next - 1].dirty_prev = s->dirty_prev;
    }

    s->dirty_prev = 0;
    s->dirty_next = 0;
    s->dirty = 0;
}


static voice_session_t *
voice_session_alloc(voice_zone_t *z)
{
    uint32_t              end;
    voice_session_t      *s;
    voice_zone_header_t  *h = z->header;

    if (h->session_free != 0) {
        s = &z->session[h->session_free - 1];
        h->session_free = s->next_free;

        if (h->session_free == 0) {
            h->session_last = 0;
        }

    } else {
        end = atomic_load(&h->session_end);
        if (end == h->sessions) {
            return NULL;
        }

        s = &z->session[end];
        atomic_store(&s->gen, 1);
        atomic_store(&h->session_end, end + 1);
    }

    s->next_free = 0;
    h->sessions_used++;

    return s;
}


/* Everything but the generation and the state. */

static void
voice_session_clear(voice_session_t *s)
{
    uint32_t  gen;

    gen = atomic_load(&s->gen);

    atomic_store(&s->ssrc, 0);
    atomic_store(&s->key, 0);
    sodium_memzero(s, sizeof(voice_session_t));
    atomic_store(&s->gen, gen);
    s->worker = VOICE_WORKER_NONE;
}


static void
voice_session_free(voice_zone_t *z, voice_session_t *s)
{
    uint32_t              index;
    voice_zone_header_t  *h = z->header;

    index = (uint32_t) (s - z->session) + 1;

    voice_session_clean(z, s);

    /* 0 would make an id that looks like "none" */
    if (atomic_fetch_add(&s->gen, 1) + 1 == 0) {
        atomic_store(&s->gen, 1);
    }

    voice_session_clear(s);

    if (h->session_last != 0) {
        z->session[h->session_last - 1].next_free = index;
    } else {
        h->session_free = index;
    }

    h->session_last = index;
    h->sessions_used--;
}


static void
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


static void
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


static voice_err_t
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


static void
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


static void
voice_session_unbind(voice_zone_t *z, voice_session_t *s)
{
    voice_index_t  ix = voice_session_address_index(z);

    if (atomic_load(&s->bound) != 0) {
        voice_index_remove(z, &ix, (uint32_t) (s - z->session));
        atomic_store(&s->bound, 0);
    }
}


static uint32_t
voice_slot_next(uint32_t counter)
{
    counter++;

    return counter != 0 ? counter : 2;      /* 0 is "none"; keep the parity */
}


static void
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

    bound = voice_slot_next(bound);
    s->remote[bound & 1] = *remote;
    s->local[bound & 1] = *local;
    atomic_store_explicit(&s->bound, bound, memory_order_release);

    if (r != NULL) {
        voice_room_change_end(r);
    }

    voice_index_add(z, &ix, (uint32_t) (s - z->session));
}


static void
voice_session_close_locked(voice_zone_t *z, voice_session_t *s,
    unsigned code)
{
    voice_index_t  ix = voice_session_user_index(z);

    if (atomic_load(&s->state) != VOICE_SESSION_CLOSING) {
        atomic_store(&s->state, VOICE_SESSION_CLOSING);

        voice_session_leave(z, s);
        voice_session_unbind(z, s);
        voice_index_remove(z, &ix, (uint32_t) (s - z->session));

        atomic_store(&s->key, 0);
        sodium_memzero(s->secret, sizeof(s->secret));

        if (code != 0 && s->worker != VOICE_WORKER_NONE) {
            voice_outbox_append(z, s, VOICE_EVENT_CLOSE, 0, 0, code);
            return;
        }
    }

    if (code == 0 || s->worker == VOICE_WORKER_NONE) {
        voice_session_free(z, s);
    }
}


void
voice_session_mend(voice_zone_t *z, voice_session_t *s)
{
    uint32_t        index = (uint32_t) (s - z->session);
    voice_room_t   *r;
    voice_index_t   by_user = voice_session_user_index(z);
    voice_index_t   by_address = voice_session_address_index(z);

    if (atomic_load(&s->state) == VOICE_SESSION_CLOSING) {
        voice_session_leave(z, s);
        atomic_store(&s->bound, 0);
        atomic_store(&s->key, 0);
        sodium_memzero(s->secret, sizeof(s->secret));
        return;
    }

    voice_index_add(z, &by_user, index);

    if (atomic_load(&s->bound) != 0) {
        voice_index_add(z, &by_address, index);
    }

    if (s->joined == VOICE_JOIN_ANNOUNCING) {
        r = voice_room_get(z, atomic_load(&s->room));

        if (r != NULL) {
            atomic_store(&s->announced, ++r->announced);
            voice_session_tell(z, r, s, VOICE_EVENT_JOIN, r->announced);
            voice_outbox_append(z, s, VOICE_EVENT_ROSTER, 0, 0, r->announced);
        }

        s->joined = VOICE_JOIN_DONE;
    }
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


static voice_session_t *
voice_session_find(voice_zone_t *z, uint64_t guild_id, uint64_t user_id)
{
    uint32_t          record;
    voice_index_t     ix = voice_session_user_index(z);
    voice_user_key_t  key = { guild_id, user_id };

    if (voice_index_find(z, &ix, voice_zone_hash(z, &key, sizeof(key)),
                         voice_session_user_match, &key, &record)
        != VOICE_OK)
    {
        return NULL;
    }

    return &z->session[record];
}


static void
voice_session_fill(voice_zone_t *z, voice_session_t *s,
    const voice_session_conf_t *c, uint64_t now)
{
    s->user_id = c->user_id;
    s->guild_id = c->guild_id;
    s->channel_id = c->channel_id;
    s->permissions = c->permissions;
    s->created = now;
    s->version = (uint8_t) c->version;
    s->worker = z->worker;
    s->attach = 1;

    memcpy(s->token_hash, c->token_hash, VOICE_TOKEN_HASH_LEN);
    memcpy(s->session_id, c->session_id, strlen(c->session_id) + 1);

    atomic_store(&s->flags, c->flags);
    atomic_store(&s->outbox.head, 1);
    atomic_store(&s->outbox.sent, 1);
    s->outbox.seq = 1;
}


voice_err_t
voice_session_create(voice_zone_t *z, const voice_session_conf_t *c,
    uint64_t now, voice_id_t *id, uint32_t *attach, bool *replaced)
{
    voice_session_t  *s, *old;
    voice_index_t     ix = voice_session_user_index(z);

    if (strlen(c->session_id) > VOICE_SESSION_ID_MAX) {
        return VOICE_E_LENGTH;
    }

    voice_zone_lock(z);

    *replaced = false;
    old = voice_session_find(z, c->guild_id, c->user_id);

    if (old != NULL) {
        voice_session_close_locked(z, old, VOICE_CLOSE_SESSION_INVALID);
        voice_metric_add(voice_zone_metrics(z), VOICE_M_REPLACED, 1);
        *replaced = true;
    }

    s = voice_session_alloc(z);

    if (s != NULL) {
        voice_session_fill(z, s, c, now);

        atomic_store(&s->state, VOICE_SESSION_READY);
        voice_index_add(z, &ix, (uint32_t) (s - z->session));
        atomic_store(&s->ssrc, voice_session_ssrc(z, s));

        *id = voice_session_id(z, s);
        *attach = s->attach;
    }

    voice_zone_unlock(z);

    return s != NULL ? VOICE_OK : VOICE_E_FULL;
}


bool
voice_session_token_known(voice_zone_t *z, uint64_t guild_id,
    uint64_t user_id, const uint8_t hash[VOICE_TOKEN_HASH_LEN])
{
    bool              known;
    voice_session_t  *s;

    voice_zone_lock(z);

    s = voice_session_find(z, guild_id, user_id);
    known = s != NULL
            && sodium_memcmp(s->token_hash, hash, VOICE_TOKEN_HASH_LEN) == 0;

    voice_zone_unlock(z);

    return known;
}


static void
voice_session_rekey(voice_zone_t *z, voice_session_t *s, voice_mode_t mode,
    const uint8_t secret[VOICE_KEY_LEN], uint64_t hold_until)
{
    uint32_t       key;
    voice_room_t  *r;

    r = voice_room_get(z, atomic_load(&s->room));

    if (r != NULL) {
        voice_room_change_begin(r);
    }

    key = atomic_load(&s->key);

    if (key != 0) {
        atomic_store(&s->hold_until, hold_until);

        /* with a new key a client may count from anywhere */
        voice_replay_reset(&s->replay);
        memset(&s->stat, 0, sizeof(voice_rtpstat_t));
        atomic_store(&s->floor_seq, 0);
        atomic_store(&s->talking, 0);
    }

    key = voice_slot_next(key);

    memcpy(s->secret[key & 1], secret, VOICE_KEY_LEN);
    s->mode[key & 1] = (uint8_t) mode;
    atomic_store(&s->nonce, (uint64_t) key << 32);
    atomic_store_explicit(&s->key, key, memory_order_release);

    sodium_memzero(s->secret[(key + 1) & 1], VOICE_KEY_LEN);

    if (r != NULL) {
        voice_room_change_end(r);
    }
}


/*
 * A discovery request is not authenticated and its sender may be anybody; what
 * the client says on its websocket decides between several of them.
 */

static void
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
voice_session_select(voice_zone_t *z, voice_id_t id, voice_mode_t mode,
    const uint8_t secret[VOICE_KEY_LEN], const voice_addr_t *hint,
    uint64_t now, unsigned hold_ms)
{
    voice_err_t       err;
    voice_session_t  *s;

    voice_zone_lock(z);

    err = VOICE_E_STALE;
    s = voice_session_get(z, id);

    if (s != NULL && atomic_load(&s->state) != VOICE_SESSION_CLOSING) {
        err = VOICE_OK;

        voice_session_choose(z, s, hint);
        voice_session_rekey(z, s, mode, secret, now + hold_ms);
        atomic_store(&s->state, VOICE_SESSION_LIVE);

        if (s->joined == VOICE_JOIN_NONE) {
            err = voice_session_enter(z, s);
        }
    }

    voice_zone_unlock(z);

    return err;
}


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


void
voice_session_close(voice_zone_t *z, voice_id_t id, uint32_t attach,
    unsigned code)
{
    voice_session_t  *s;

    voice_zone_lock(z);

    s = voice_session_get(z, id);

    if (s != NULL && (attach == 0 || s->attach == attach)) {
        voice_session_close_locked(z, s, code);
    }

    voice_zone_unlock(z);
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


voice_err_t
voice_session_candidate(voice_zone_t *z, voice_id_t id,
    const voice_addr_t *remote, const voice_addr_t *local)
{
    int               i;
    voice_err_t       err;
    voice_session_t  *s;

    voice_zone_lock(z);

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

    if (voice_zone_lock_timed(z, 1) != VOICE_OK) {
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


void
voice_session_want_key(voice_zone_t *z, voice_id_t id, uint32_t epoch)
{
    voice_session_t  *s;

    voice_zone_lock(z);

    s = voice_session_get(z, id);

    if (s != NULL && atomic_load(&s->key) == epoch && s->rekey != epoch) {
        s->rekey = epoch;
        voice_outbox_append(z, s, VOICE_EVENT_REKEY, 0, 0, epoch);
    }

    voice_zone_unlock(z);
}


unsigned
voice_session_expire(voice_zone_t *z, uint64_t now)
{
    unsigned          n;
    uint32_t          i, end;
    voice_session_t  *s;

    n = 0;
    end = atomic_load(&z->header->session_end);

    for (i = 0; i < end; i++) {
        s = &z->session[i];

        if (s->deadline == 0 || s->deadline > now) {
            continue;
        }

        voice_zone_lock(z);

        if (s->deadline != 0 && s->deadline <= now
            && s->worker == VOICE_WORKER_NONE
            && atomic_load(&s->state) != VOICE_SESSION_FREE)
        {
            voice_session_close_locked(z, s, 0);
            voice_metric_add(voice_zone_metrics(z), VOICE_M_EXPIRED, 1);
            n++;
        }

        voice_zone_unlock(z);
    }

    return n;
}


void
voice_session_stats(const voice_zone_t *z, voice_session_stats_t *st)
{
    uint32_t                i, key;
    const voice_session_t  *s;

    memset(st, 0, sizeof(voice_session_stats_t));

    st->capacity = z->header->sessions;
    st->rooms = z->header->rooms_used;

    for (i = 0; i < atomic_load(&z->header->session_end); i++) {
        s = &z->session[i];

        if (atomic_load(&s->state) == VOICE_SESSION_FREE) {
            continue;
        }

        key = atomic_load(&s->key);

        st->sessions++;
        st->bound += (atomic_load(&s->bound) != 0);
        st->detached += (s->worker == VOICE_WORKER_NONE);

        if (atomic_load(&s->state) == VOICE_SESSION_LIVE
            && s->mode[key & 1] < VOICE_MODE_COUNT)
        {
            st->live++;
            st->by_mode[s->mode[key & 1]]++;
        }
    }
}
