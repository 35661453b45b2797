/*
 * Copyright (C) ngx-voice contributors
 */


#include "voice_session_internal.h"

#include <sodium.h>


/*
 * The key is switched over before its nonces start.  The other way round a
 * process that dies between leaves the old key with a counter set back; this
 * way the repair finds a new key of which no nonce was given out.
 */

static void
voice_session_rekey_slot(voice_session_t *s, voice_mode_t mode,
    const uint8_t secret[VOICE_KEY_LEN])
{
    uint32_t  key;

    key = atomic_load(&s->key);
    key = voice_slot_next(key != 0 ? key : s->key_last);

    /* a reader that sees what follows must see the last switch too */
    atomic_thread_fence(memory_order_release);

    memcpy(s->secret[key & 1], secret, VOICE_KEY_LEN);
    s->mode[key & 1] = (uint8_t) mode;
    s->key_last = key;
    atomic_store_explicit(&s->key, key, memory_order_release);

    atomic_store(&s->nonce, (uint64_t) key << 32);

    atomic_thread_fence(memory_order_release);
    sodium_memzero(s->secret[(key + 1) & 1], VOICE_KEY_LEN);
}


static void
voice_session_rekey(voice_zone_t *z, voice_session_t *s, voice_mode_t mode,
    const uint8_t secret[VOICE_KEY_LEN], uint64_t hold_until)
{
    voice_room_t  *r;

    r = voice_room_get(z, atomic_load(&s->room));

    if (r != NULL) {
        voice_room_change_begin(r);
    }

    if (atomic_load(&s->state) == VOICE_SESSION_LIVE) {
        atomic_store(&s->hold_until, hold_until);
    }

    /*
     * With a new key a client may count from anywhere.  A new session's
     * window may hold what a late packet of the slot's last owner left.
     */

    voice_replay_reset(&s->replay);
    memset(&s->stat, 0, sizeof(voice_rtpstat_t));
    atomic_store(&s->floor_seq, 0);
    atomic_store(&s->talking, 0);

    voice_session_rekey_slot(s, mode, secret);
    voice_zone_keys_over(z);

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

    if (voice_zone_lock_timed(z, VOICE_LOCK_MS) != VOICE_OK) {
        return;
    }

    s = voice_session_get(z, id);

    if (s != NULL && epoch != 0 && atomic_load(&s->key) == epoch
        && s->rekey != epoch)
    {
        voice_outbox_append(z, s, VOICE_EVENT_REKEY, 0, 0, epoch);
        voice_session_order();
        s->rekey = epoch;
    }

    voice_zone_unlock(z);
}
