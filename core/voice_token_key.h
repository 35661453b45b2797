/*
 * Copyright (C) ngx-voice contributors
 *
 * A key as libjwt takes it; for voice_token*.c.
 */


#ifndef _VOICE_TOKEN_KEY_H_INCLUDED_
#define _VOICE_TOKEN_KEY_H_INCLUDED_


#include "voice_token.h"

#include <jwt.h>


jwt_alg_t voice_token_key_alg(voice_alg_t alg);

/* without the NUL of PEM text */
int voice_token_key_len(const voice_token_keys_t *keys, size_t i);

/*
 * Before anything of libjwt that reads or writes JSON: the library below it
 * aborts, or drops characters, when memory is short while it reads, and
 * libjwt doesn't look whether it could write.  So what the longest token
 * needs is taken and given back just before; false if it isn't there.
 */
bool voice_token_reserve(void);


#endif /* _VOICE_TOKEN_KEY_H_INCLUDED_ */
