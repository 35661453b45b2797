/*
 * Copyright (C) ngx-voice contributors
 */


#include "voice_err.h"

#include <stddef.h>


static const char *const  voice_err_names[VOICE_E_COUNT] = {
    [VOICE_OK] = "ok",
    [VOICE_AGAIN] = "again",
    [VOICE_E_SHORT] = "short",
    [VOICE_E_LENGTH] = "length",
    [VOICE_E_FORMAT] = "format",
    [VOICE_E_AUTH] = "auth",
    [VOICE_E_REPLAY] = "replay",
    [VOICE_E_RANGE] = "range",
    [VOICE_E_FULL] = "full",
    [VOICE_E_NOT_FOUND] = "not_found",
    [VOICE_E_STALE] = "stale",
    [VOICE_E_STATE] = "state",
    [VOICE_E_EXPIRED] = "expired",
    [VOICE_E_NOMEM] = "nomem",
    [VOICE_E_SYS] = "sys"
};


const char *
voice_err_name(voice_err_t err)
{
    /* the cast sends negative values of a signed enum out of range too */
    if ((size_t) err >= VOICE_E_COUNT || voice_err_names[err] == NULL) {
        return "unknown";
    }

    return voice_err_names[err];
}
