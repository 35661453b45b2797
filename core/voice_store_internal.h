/*
 * Copyright (C) ngx-voice contributors
 *
 * What the store's files share; all but _valid() and _digest_text() under the
 * lock.
 */


#ifndef _VOICE_STORE_INTERNAL_H_INCLUDED_
#define _VOICE_STORE_INTERNAL_H_INCLUDED_


#include "voice_store.h"


void voice_store_lock(voice_store_t *st);
void voice_store_unlock(voice_store_t *st);

/* What holds of a guild. */
voice_store_value_t *voice_store_value(voice_store_guild_t *g);

/* NULL: it was never put. */
voice_store_guild_t *voice_store_find(voice_store_t *st, uint64_t guild_id);

/*
 * digest: of the text; revision: of another node's change; 0: of our own, the
 * one after the guild's.
 */
voice_err_t voice_store_put_locked(voice_store_t *st, uint64_t guild_id,
    const char *text, size_t len, uint64_t digest, uint64_t revision,
    uint64_t *change);

/*
 * Not against anybody: nodes compare what they have.  Takes as long as the
 * copy of the text, and so is made before the lock is taken.
 */
uint64_t voice_store_digest_text(const char *text, size_t len);

bool voice_store_valid(uint64_t guild_id, const char *text, size_t len);


#endif /* _VOICE_STORE_INTERNAL_H_INCLUDED_ */
