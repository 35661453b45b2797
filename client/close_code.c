/*
 * Copyright (C) ngx-voice contributors
 */


#include "close_code.h"

#include "voice_gateway.h"
#include "voice_opcode.h"

#include <stddef.h>


typedef struct {
    int          code;
    const char  *name;
} vc_close_t;


static const char *
vc_close_find(const vc_close_t *list, size_t n, int code)
{
    size_t  i;

    for (i = 0; i < n; i++) {
        if (list[i].code == code) {
            return list[i].name;
        }
    }

    return "";
}


const char *
vc_close_name(int code)
{
    static const vc_close_t  names[] = {
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

    return vc_close_find(names, sizeof(names) / sizeof(names[0]), code);
}


const char *
vc_gateway_close_name(int code)
{
    static const vc_close_t  names[] = {
        { VOICE_GATEWAY_CLOSE_OPCODE, " (unknown opcode)" },
        { VOICE_GATEWAY_CLOSE_DECODE, " (message not understood)" },
        { VOICE_GATEWAY_CLOSE_NOT_AUTHENTICATED, " (not identified)" },
        { VOICE_GATEWAY_CLOSE_AUTH_FAILED, " (token refused)" },
        { VOICE_GATEWAY_CLOSE_ALREADY_AUTHENTICATED, " (identified twice)" },
        { VOICE_GATEWAY_CLOSE_SESSION_INVALID, " (session no longer valid)" },
        { VOICE_GATEWAY_CLOSE_SEQ, " (number of an event never sent)" },
        { VOICE_GATEWAY_CLOSE_RATE, " (rate limited)" },
        { VOICE_GATEWAY_CLOSE_TIMEOUT, " (session timed out)" },
        { VOICE_GATEWAY_CLOSE_SHARD, " (invalid shard)" },
        { VOICE_GATEWAY_CLOSE_SHARDING, " (sharding required)" },
        { VOICE_GATEWAY_CLOSE_VERSION, " (invalid version)" },
        { VOICE_GATEWAY_CLOSE_INTENTS, " (invalid intents)" },
        { VOICE_GATEWAY_CLOSE_DISALLOWED_INTENTS, " (intents not allowed)" }
    };

    return vc_close_find(names, sizeof(names) / sizeof(names[0]), code);
}
