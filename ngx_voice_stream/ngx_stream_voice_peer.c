/*
 * Copyright (C) ngx-voice contributors
 */


#include "ngx_stream_voice.h"


#define NGX_VOICE_SWEEP   5000      /* ms */


/* Once there is something to do: counts to pass on, keys that are over. */

static void
ngx_voice_peer_sweep(ngx_voice_relay_t *r)
{
    if (!r->sweep_timer.timer_set) {
        ngx_add_timer(&r->sweep_timer, NGX_VOICE_SWEEP);
    }
}


void
ngx_voice_peer_over(ngx_voice_relay_t *r)
{
    if (r->keeps && !voice_zone_keys_held(r->zone)) {
        ngx_voice_peer_sweep(r);
    }
}


static ngx_voice_peer_t *
ngx_voice_peer_load(ngx_voice_relay_t *r, uint32_t index)
{
    uint8_t            secret[VOICE_KEY_LEN];
    uint32_t           epoch, gen;
    voice_mode_t       mode;
    voice_session_t   *s;
    ngx_voice_peer_t  *peer;

    s = &r->zone->session[index];
    gen = atomic_load(&s->gen);

    if (voice_route_key(s, &epoch, &mode, secret) != VOICE_OK
        || atomic_load(&s->gen) != gen)
    {
        return NULL;
    }

    peer = r->peer[index];

    if (peer == NULL) {
        peer = ngx_memalign(64, sizeof(ngx_voice_peer_t), r->log);
        if (peer == NULL) {
            return NULL;
        }

        ngx_memzero(peer, sizeof(ngx_voice_peer_t));
        r->peer[index] = peer;
    }

    if (!r->keeps) {
        r->keeps = 1;
        voice_zone_keys_hold(r->zone);
    }

    voice_crypto_key_init(&peer->key, mode, secret);
    ngx_explicit_memzero(secret, VOICE_KEY_LEN);

    peer->gen = gen;
    peer->epoch = epoch;
    peer->nonce = 0;
    peer->nonce_end = 0;
    peer->sent = 0;

    return peer;
}


ngx_voice_peer_t *
ngx_voice_peer_get(ngx_voice_relay_t *r, uint32_t index)
{
    voice_session_t   *s;
    ngx_voice_peer_t  *peer;

    s = &r->zone->session[index];
    peer = r->peer[index];

    if (peer != NULL
        && peer->epoch == atomic_load_explicit(&s->key, memory_order_acquire)
        && peer->gen == atomic_load_explicit(&s->gen, memory_order_relaxed))
    {
        return peer;
    }

    return ngx_voice_peer_load(r, index);
}


ngx_int_t
ngx_voice_peer_nonce(ngx_voice_relay_t *r, ngx_voice_peer_t *peer,
    voice_session_t *s, u_char nonce[VOICE_NONCE4_LEN])
{
    voice_err_t  err;

    if (peer->sent == 0) {
        ngx_voice_peer_sweep(r);
    }

    if (++peer->sent == VOICE_NONCE_RESERVE) {
        atomic_fetch_add_explicit(&s->tx_packets, peer->sent,
                                  memory_order_relaxed);
        peer->sent = 0;
    }

    if (voice_mode_nonce_is_header(peer->key.mode)) {
        return NGX_OK;
    }

    if (peer->nonce == peer->nonce_end) {
        err = voice_route_nonces(s, peer->epoch, &peer->nonce,
                                 &peer->nonce_end);

        if (err != VOICE_OK) {
            peer->nonce = 0;
            peer->nonce_end = 0;

            if (err == VOICE_E_FULL) {
                voice_session_want_key(r->zone,
                                       voice_id_make(peer->gen,
                                                     s - r->zone->session),
                                       peer->epoch);
                ngx_voice_wake(r->zone, r->log);
            }

            return NGX_DECLINED;
        }
    }

    voice_nonce_server(peer->nonce++, nonce);

    return NGX_OK;
}


/*
 * Keys of sessions that are over don't stay in this process.
 */

void
ngx_voice_peer_sweep_handler(ngx_event_t *ev)
{
    uint32_t            i, n;
    voice_session_t    *s;
    ngx_voice_peer_t   *peer;
    ngx_voice_relay_t  *r = ev->data;

    /* before the look: what is over from now on is told again */

    r->keeps = 1;
    voice_zone_keys_hold(r->zone);

    n = atomic_load(&r->zone->header->session_end);

    for (i = 0; i < n; i++) {
        peer = r->peer[i];

        if (peer == NULL) {
            continue;
        }

        s = &r->zone->session[i];

        if (atomic_load(&s->gen) == peer->gen
            && atomic_load(&s->key) == peer->epoch)
        {
            atomic_fetch_add_explicit(&s->tx_packets, peer->sent,
                                      memory_order_relaxed);
            peer->sent = 0;
            continue;
        }

        /* fan-outs point to it, but none of them is good any more */

        voice_crypto_key_wipe(&peer->key);
        peer->gen = 0;
        peer->epoch = 0;
        peer->nonce = 0;
        peer->nonce_end = 0;
    }
}


void
ngx_voice_peer_exit(ngx_voice_relay_t *r)
{
    uint32_t           i;
    ngx_voice_peer_t  *peer;

    for (i = 0; i < r->zone->header->sessions; i++) {
        peer = r->peer[i];

        if (peer != NULL) {
            voice_crypto_key_wipe(&peer->key);
            ngx_free(peer);
            r->peer[i] = NULL;
        }
    }
}
