/*
 * Copyright (C) ngx-voice contributors
 *
 * Proof that a server uses no nonce twice with one key: remembers each that
 * it was seen to use.
 */


#ifndef _VC_NONCES_H_INCLUDED_
#define _VC_NONCES_H_INCLUDED_


#include "voice_crypto.h"


typedef struct {
    uint64_t   nonce;           /* hash of key and nonce; 0: free */
    uint64_t   packet;          /* hash of what was sealed with them */
} vc_nonce_t;


/* Zeroed it is empty. */
typedef struct {
    vc_nonce_t  *slot;
    size_t       size;          /* a power of two */
    uint64_t     seen;          /* different ones */
    uint64_t     reused;        /* packets whose nonce another one had */
    bool         failed;        /* no memory: it knows not all of them */
    uint8_t      salt[16];
} vc_nonces_t;


/*
 * A packet as it came, which was found to open with the key.  The network may
 * bring the same packet twice; it then counts once.
 *
 * header  bytes that are the nonce in a mode that carries none
 */
void vc_nonces_add(vc_nonces_t *n, const voice_crypto_key_t *key,
    const uint8_t *pkt, size_t len, size_t header);

void vc_nonces_free(vc_nonces_t *n);


#endif /* _VC_NONCES_H_INCLUDED_ */
