/*
 * Copyright (C) ngx-voice contributors
 */


#include "close_code.h"

#include "voice_opcode.h"

#include <stddef.h>


const char *
vc_close_name(int code)
{
    size_t  i;

    static const struct {
        int          code;
        const char  *name;
    } names[] = {
        { VOICE_CLOSE_UNKNOWN_OPCODE, " (unknown opcode)" },
        { VOICE_CLOSE_DECODE, " (message not understood)" },
        { VOICE_CLOSE_NOT_AUTHENTICATED, " (not identified)" },
        { VOICE_CLOSE_AUTH_FAILED, " (token refused)" },
        { VOICE_CLOSE_ALREADY_AUTHENTICATED, " (identified twice)" },
        { VOICE_CLOSE_SESSION_INVALID, " (session no longer valid)" },
        { VOICE_CLOSE_SESSION_TIMEOUT, " (session timed out)" },
        { VOICE_CLOSE_SERVER_NOT_FOUND, " (server not found)" },
        { VOICE_CLOSE_UNKNOWN_PROTOCOL, " (unknown protocol)" },
        { VOICE_CLOSE_DISCONNECTED, " (disconnected or moved)" },
        { VOICE_CLOSE_SERVER_CRASHED, " (voice server crashed)" },
        { VOICE_CLOSE_UNKNOWN_MODE, " (unknown encryption mode)" },
        { VOICE_CLOSE_BAD_REQUEST, " (bad request)" },
        { VOICE_CLOSE_RATE_LIMITED, " (rate limited)" }
    };

    for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (names[i].code == code) {
            return names[i].name;
        }
    }

    return "";
}
