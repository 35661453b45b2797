/*
 * Copyright (C) ngx-voice contributors
 */


#include "voice_json.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>


void
voice_json_out_init(voice_json_out_t *out, char *buf, size_t size)
{
    out->start = buf;
    out->pos = buf;
    out->end = buf + size;
    out->full = size == 0;
}


void
voice_json_printf(voice_json_out_t *out, const char *fmt, ...)
{
    int      n;
    va_list  args;

    if (out->full) {
        return;
    }

    va_start(args, fmt);
    n = vsnprintf(out->pos, (size_t) (out->end - out->pos), fmt, args);
    va_end(args);

    if (n < 0 || n >= out->end - out->pos) {
        out->full = true;
        return;
    }

    out->pos += n;
}


/* RFC 8259 section 7: quote, backslash and controls must be escaped. */
void
voice_json_put_string(voice_json_out_t *out, const char *str)
{
    size_t   n;
    uint8_t  c;

    voice_json_printf(out, "\"");

    while (*str != '\0') {
        for (n = 0; (uint8_t) str[n] >= 0x20; n++) {
            if (str[n] == '"' || str[n] == '\\') {
                break;
            }
        }

        voice_json_printf(out, "%.*s", (int) n, str);
        str += n;
        c = (uint8_t) *str;

        if (c == '\0') {
            break;
        }

        if (c < 0x20) {
            voice_json_printf(out, "\\u%04x", c);

        } else {
            voice_json_printf(out, "\\%c", c);
        }

        str++;
    }

    voice_json_printf(out, "\"");
}


voice_err_t
voice_json_out_done(voice_json_out_t *out, size_t *len)
{
    if (out->full) {
        return VOICE_E_FULL;
    }

    *len = (size_t) (out->pos - out->start);

    return VOICE_OK;
}
