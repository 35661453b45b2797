/*
 * Copyright (C) ngx-voice contributors
 *
 * The portable kernel: libsodium, and for AES what voice_crypto_aes.h offers,
 * lane after lane.  What the other kernels are checked against.
 */


#include "voice_crypto_aes.h"
#include "voice_crypto_kernel.h"

#include <sodium.h>


_Static_assert(VOICE_KEY_LEN == crypto_secretbox_KEYBYTES
               && VOICE_KEY_LEN == crypto_aead_aes256gcm_KEYBYTES
               && VOICE_KEY_LEN == crypto_aead_xchacha20poly1305_ietf_KEYBYTES,
               "one key length in all modes");
_Static_assert(VOICE_NONCE24_LEN == crypto_secretbox_NONCEBYTES
               && VOICE_NONCE24_LEN
                  == crypto_aead_xchacha20poly1305_ietf_NPUBBYTES,
               "24-byte nonces");


/* Where a lane's text and header are. */
static const voice_lane_t *
voice_lane_from(const voice_lane_t *lane, size_t i, voice_lanes_how_t how)
{
    return how == VOICE_LANES_SEAL_SAME ? &lane[0] : &lane[i];
}


void
voice_lanes_portable_gcm(voice_lane_t *lane, size_t n, voice_lanes_how_t how)
{
    size_t               i;
    voice_lane_t        *l;
    const voice_lane_t  *from;

    for (i = 0; i < n; i++) {
        l = &lane[i];
        from = voice_lane_from(lane, i, how);

        if (how == VOICE_LANES_OPEN) {
            l->err = voice_aes_open(l->key, l->nonce, l->aad, l->aad_len,
                                    l->in, l->len, l->tag, l->out);
            continue;
        }

        l->err = voice_aes_seal(l->key, l->nonce, from->aad, from->aad_len,
                                from->in, from->len, l->out, l->tag);
    }
}


void
voice_lanes_portable_xchacha20(voice_lane_t *lane, size_t n,
    voice_lanes_how_t how)
{
    int                  rc;
    size_t               i;
    voice_lane_t        *l;
    const voice_lane_t  *from;

    for (i = 0; i < n; i++) {
        l = &lane[i];
        from = voice_lane_from(lane, i, how);

        if (how == VOICE_LANES_OPEN) {
            rc = crypto_aead_xchacha20poly1305_ietf_decrypt_detached(l->out,
                                   NULL, l->in, l->len, l->tag, l->aad,
                                   l->aad_len, l->nonce, l->key->secret);
            l->err = rc == 0 ? VOICE_OK : VOICE_E_AUTH;
            continue;
        }

        crypto_aead_xchacha20poly1305_ietf_encrypt_detached(l->out, l->tag,
                                   NULL, from->in, from->len, from->aad,
                                   from->aad_len, NULL, l->nonce,
                                   l->key->secret);
        l->err = VOICE_OK;
    }
}


void
voice_lanes_portable_xsalsa20(voice_lane_t *lane, size_t n,
    voice_lanes_how_t how)
{
    int                  rc;
    size_t               i;
    voice_lane_t        *l;
    const voice_lane_t  *from;

    for (i = 0; i < n; i++) {
        l = &lane[i];
        from = voice_lane_from(lane, i, how);

        if (how == VOICE_LANES_OPEN) {
            rc = crypto_secretbox_open_detached(l->out, l->in, l->tag, l->len,
                                                l->nonce, l->key->secret);
            l->err = rc == 0 ? VOICE_OK : VOICE_E_AUTH;
            continue;
        }

        crypto_secretbox_detached(l->out, l->tag, from->in, from->len,
                                  l->nonce, l->key->secret);
        l->err = VOICE_OK;
    }
}
