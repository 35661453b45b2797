/*
 * Copyright (C) ngx-voice contributors
 */


#include "voice_drain.h"
#include "voice_guild_internal.h"

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


voice_index_t
voice_session_user_index(const voice_zone_t *z)
{
    return (voice_index_t) { z->by_user, z->header->index_mask,
                             voice_session_user_hash };
}


voice_session_t *
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

uint32_t
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

    s->used = 1;
    voice_session_order();

    s->next_free = 0;
    h->sessions_used++;

    return s;
}


void
voice_session_key_wipe(voice_session_t *s)
{
    atomic_store(&s->key, 0);
    atomic_thread_fence(memory_order_release);

    sodium_memzero(s->secret, sizeof(s->secret));
}


/*
 * The generation goes first, for old ids must not fit a record that is half
 * wiped, and `used` last: until then the wipe is done again by a repair.
 */

void
voice_session_wipe(voice_session_t *s)
{
    size_t    from, to;
    uint32_t  gen;

    if (!s->used) {
        return;
    }

    /* 0 would make an id that looks like "none" */
    gen = atomic_load(&s->gen) + 1;
    atomic_store(&s->gen, gen != 0 ? gen : 1);

    atomic_store(&s->bound, 0);
    voice_session_key_wipe(s);

    from = offsetof(voice_session_t, ssrc);
    to = offsetof(voice_session_t, key_last);

    sodium_memzero((uint8_t *) s + from, to - from);
    atomic_store(&s->worker, VOICE_WORKER_NONE);

    voice_session_order();
    s->used = 0;
}


void
voice_session_free(voice_zone_t *z, voice_session_t *s)
{
    voice_session_clean(z, s);

    z->header->probes_used -= (s->guild_id == VOICE_PROBE_GUILD);

    atomic_store(&s->ssrc, 0);
    atomic_store(&s->state, VOICE_SESSION_FREE);
    voice_session_order();

    voice_session_wipe(s);
    voice_session_free_push(z, s);

    z->header->sessions_used--;
}


void
voice_session_free_push(voice_zone_t *z, voice_session_t *s)
{
    uint32_t              index = (uint32_t) (s - z->session) + 1;
    voice_zone_header_t  *h = z->header;

    if (h->session_last != 0) {
        z->session[h->session_last - 1].next_free = index;
    } else {
        h->session_free = index;
    }

    h->session_last = index;
}


void
voice_session_close_locked(voice_zone_t *z, voice_session_t *s,
    unsigned code)
{
    voice_index_t  ix = voice_session_user_index(z);

    if (atomic_load(&s->state) != VOICE_SESSION_CLOSING) {
        s->close_code = (uint16_t) code;
        voice_session_order();
        atomic_store(&s->state, VOICE_SESSION_CLOSING);

        voice_session_leave(z, s);
        voice_session_unbind(z, s);
        voice_index_remove(z, &ix, (uint32_t) (s - z->session));
        voice_session_key_wipe(s);
        voice_zone_keys_over(z);

        if (code != 0 && s->worker != VOICE_WORKER_NONE) {
            voice_outbox_append(z, s, VOICE_EVENT_CLOSE, 0, 0, code);
            return;
        }
    }

    if (code == 0 || s->worker == VOICE_WORKER_NONE) {
        voice_session_free(z, s);
    }
}


static void
voice_session_fill(voice_zone_t *z, voice_session_t *s,
    const voice_session_conf_t *c, uint32_t flags, uint64_t now)
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

    atomic_store(&s->flags, flags);
    atomic_store(&s->outbox.head, 1);
    atomic_store(&s->outbox.sent, 1);
    s->outbox.seq = 1;
}


voice_err_t
voice_session_create(voice_zone_t *z, const voice_session_conf_t *c,
    uint64_t now, voice_id_t *id, uint32_t *attach, bool *replaced)
{
    uint32_t          flags;
    voice_err_t       err;
    voice_drain_t     drain;
    voice_session_t  *s, *old;
    voice_index_t     ix = voice_session_user_index(z);

    if (strlen(c->session_id) > VOICE_SESSION_ID_MAX) {
        return VOICE_E_LENGTH;
    }

    if (z->worker == VOICE_WORKER_NONE) {
        return VOICE_E_STATE;
    }

    voice_zone_lock(z);

    err = voice_state_session_flags(z, c, &flags);

    if (err != VOICE_OK) {
        voice_zone_unlock(z);
        return err;
    }

    *replaced = false;
    old = voice_session_find(z, c->guild_id, c->user_id);

    if (old != NULL) {
        voice_session_close_locked(z, old, VOICE_CLOSE_SESSION_INVALID);
        voice_metric_add(voice_zone_metrics(z), VOICE_M_REPLACED, 1);
        *replaced = true;
    }

    s = voice_session_alloc(z);

    if (s != NULL) {
        voice_session_fill(z, s, c, flags, now);

        z->header->probes_used += (c->guild_id == VOICE_PROBE_GUILD);

        atomic_store(&s->state, VOICE_SESSION_READY);
        voice_index_add(z, &ix, (uint32_t) (s - z->session));
        atomic_store(&s->ssrc, voice_session_ssrc(z, s));

        *id = voice_session_id(z, s);
        *attach = s->attach;

        /* admitted before the drain began, it may be the only one left */

        if (voice_drain_get(z, &drain) && drain.deadline != 0) {
            voice_zone_due(z, drain.deadline);
        }
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


unsigned
voice_session_expire(voice_zone_t *z, uint64_t now)
{
    unsigned          n;
    uint32_t          i, end;
    uint64_t          deadline, next;
    voice_session_t  *s;

    n = 0;
    next = UINT64_MAX;
    end = atomic_load(&z->header->session_end);

    for (i = 0; i < end; i++) {
        s = &z->session[i];
        deadline = atomic_load(&s->deadline);

        if (deadline == 0 || deadline > now) {
            next = deadline != 0 && deadline < next ? deadline : next;
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

    if (next != UINT64_MAX) {
        voice_zone_lock(z);
        voice_zone_due(z, next);
        voice_zone_unlock(z);
    }

    return n;
}


voice_err_t
voice_session_next(voice_zone_t *z, uint32_t *slot, voice_id_t *id,
    uint64_t *guild_id)
{
    uint32_t          i;
    voice_err_t       err;
    voice_session_t  *s;

    for (i = *slot; i < atomic_load(&z->header->session_end); i++) {
        s = &z->session[i];

        if (atomic_load(&s->state) == VOICE_SESSION_FREE) {
            continue;
        }

        voice_zone_lock(z);

        err = VOICE_E_NOT_FOUND;

        if (atomic_load(&s->state) == VOICE_SESSION_READY
            || atomic_load(&s->state) == VOICE_SESSION_LIVE)
        {
            *id = voice_session_id(z, s);
            *guild_id = s->guild_id;
            *slot = i + 1;
            err = VOICE_OK;
        }

        voice_zone_unlock(z);

        if (err == VOICE_OK) {
            return err;
        }
    }

    return VOICE_E_NOT_FOUND;
}


bool
voice_session_moved(voice_zone_t *z, voice_id_t id, uint64_t now,
    uint64_t after)
{
    bool              over;
    voice_session_t  *s;

    over = false;

    voice_zone_lock(z);

    s = voice_session_get(z, id);

    if (s != NULL) {
        if (now == 0 || s->moved == 0) {
            s->moved = now;

        } else if (now - s->moved > after) {
            voice_session_close_locked(z, s, VOICE_CLOSE_SESSION_INVALID);
            over = true;
        }
    }

    voice_zone_unlock(z);

    return over;
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

        if (s->guild_id == VOICE_PROBE_GUILD) {
            st->probes++;
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
