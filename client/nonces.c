/*
 * Copyright (C) ngx-voice contributors
 */


#include "nonces.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>


#define VC_NONCES_FIRST   1024


static uint64_t vc_nonces_hash(const vc_nonces_t *n, const void *data,
    size_t len);
static bool vc_nonces_grow(vc_nonces_t *n);
static vc_nonce_t *vc_nonces_find(vc_nonce_t *slot, size_t size,
    uint64_t nonce);


void
vc_nonces_add(vc_nonces_t *n, const voice_crypto_key_t *key,
    const uint8_t *pkt, size_t len, size_t header)
{
    size_t       trailer;
    uint64_t     nonce, packet;
    uint8_t      used[VOICE_KEY_LEN + VOICE_NONCE24_LEN];
    vc_nonce_t  *slot;

    if (n->seen >= n->size / 2 && !vc_nonces_grow(n)) {
        n->failed = true;
        return;
    }

    trailer = voice_mode_nonce_len(key->mode);

    memset(used, 0, sizeof(used));
    memcpy(used, key->secret, VOICE_KEY_LEN);

    if (trailer == 0) {
        memcpy(used + VOICE_KEY_LEN, pkt, header);

    } else {
        memcpy(used + VOICE_KEY_LEN, pkt + len - trailer, trailer);
    }

    nonce = vc_nonces_hash(n, used, sizeof(used));
    packet = vc_nonces_hash(n, pkt, len);
    sodium_memzero(used, sizeof(used));

    slot = vc_nonces_find(n->slot, n->size, nonce);

    if (slot->nonce == 0) {
        slot->nonce = nonce;
        slot->packet = packet;
        n->seen++;

    } else if (slot->packet != packet) {
        n->reused++;
    }
}


/* Never 0, which is what a free slot has. */
static uint64_t
vc_nonces_hash(const vc_nonces_t *n, const void *data, size_t len)
{
    uint64_t  hash;

    crypto_shorthash((unsigned char *) &hash, data, len, n->salt);

    return hash != 0 ? hash : 1;
}


static bool
vc_nonces_grow(vc_nonces_t *n)
{
    size_t       i, size;
    vc_nonce_t  *slot;

    if (n->size == 0) {
        randombytes_buf(n->salt, sizeof(n->salt));
    }

    size = n->size != 0 ? n->size * 2 : VC_NONCES_FIRST;

    slot = calloc(size, sizeof(vc_nonce_t));
    if (slot == NULL) {
        return false;
    }

    for (i = 0; i < n->size; i++) {
        if (n->slot[i].nonce != 0) {
            *vc_nonces_find(slot, size, n->slot[i].nonce) = n->slot[i];
        }
    }

    free(n->slot);
    n->slot = slot;
    n->size = size;

    return true;
}


/* The slot that has it, or the free one where it belongs. */
static vc_nonce_t *
vc_nonces_find(vc_nonce_t *slot, size_t size, uint64_t nonce)
{
    size_t  i;

    i = nonce & (size - 1);

    while (slot[i].nonce != 0 && slot[i].nonce != nonce) {
        i = (i + 1) & (size - 1);
    }

    return &slot[i];
}


void
vc_nonces_free(vc_nonces_t *n)
{
    free(n->slot);
    memset(n, 0, sizeof(*n));
}
