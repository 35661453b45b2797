/*
 * Copyright (C) ngx-voice contributors
 *
 * What readers and the writer of the cluster zone share.
 */


#ifndef _VOICE_CLUSTER_INTERNAL_H_INCLUDED_
#define _VOICE_CLUSTER_INTERNAL_H_INCLUDED_


#include "voice_cluster.h"

#include <string.h>


/* In an index: record + 1, 0 where it ends, or this where a record was. */
#define VOICE_CLUSTER_GONE         UINT32_MAX

#define VOICE_CLUSTER_READ_TRIES   16


/* what a slot of requests is, the low byte of its state */

enum {
    VOICE_SLOT_FREE = 0,
    VOICE_SLOT_WRITING,
    VOICE_SLOT_READY,
    VOICE_SLOT_TAKEN,
    VOICE_SLOT_ANSWERED = 0x80         /* | voice_err_t */
};

#define voice_slot_state(serial, worker, what)                                \
    ((uint64_t) (serial) << 16 | (uint64_t) (worker) << 8 | (what))

#define voice_slot_serial(state)   ((state) >> 16)
#define voice_slot_worker(state)   ((unsigned) ((state) >> 8 & 0xFF))
#define voice_slot_what(state)     ((unsigned) ((state) & 0xFF))

#define voice_slot_ticket(state, i)                                           \
    (voice_slot_serial(state) << 16 | (uint64_t) (i))


/* Copies the value in use; false: it changed each time. */

static inline bool
voice_twin_read(const _Atomic uint32_t *version, const void *copies,
    size_t size, void *out)
{
    unsigned        i;
    uint32_t        v;
    const uint8_t  *p = copies;

    for (i = 0; i < VOICE_CLUSTER_READ_TRIES; i++) {
        v = atomic_load_explicit(version, memory_order_acquire);

        memcpy(out, p + (v & 1) * size, size);

        atomic_thread_fence(memory_order_acquire);

        if (atomic_load_explicit(version, memory_order_relaxed) == v) {
            return true;
        }
    }

    return false;
}


static inline void
voice_twin_write(_Atomic uint32_t *version, void *copies, size_t size,
    const void *value)
{
    uint32_t   v;
    uint8_t   *p = copies;

    v = atomic_load_explicit(version, memory_order_relaxed) + 1;

    /* a reader that sees the bytes below sees the last switch as well */
    atomic_thread_fence(memory_order_release);

    memcpy(p + (v & 1) * size, value, size);

    atomic_store_explicit(version, v, memory_order_release);
}


/* The finalizer of SplitMix64: every bit of a guild moves every other. */

static inline uint32_t
voice_cluster_hash(const voice_cluster_t *c, uint64_t guild)
{
    uint64_t  h;

    h = guild ^ c->salt;
    h = (h ^ h >> 30) * 0xBF58476D1CE4E5B9ull;
    h = (h ^ h >> 27) * 0x94D049BB133111EBull;

    return (uint32_t) (h ^ h >> 31);
}


/*
 * The record of a guild and its value.  Errors as voice_cluster_find().
 */
voice_err_t voice_cluster_lookup(const voice_cluster_t *c, uint64_t guild,
    uint32_t *record, voice_assignment_t *a);


#endif /* _VOICE_CLUSTER_INTERNAL_H_INCLUDED_ */
