/*
 * Copyright (C) ngx-voice contributors
 */


#include "voice_session_internal.h"

#include <sodium.h>


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
