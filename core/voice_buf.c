/*
 * Copyright (C) ngx-voice contributors
 */


#include "voice_buf.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>


#define BUF_FIRST   1024


void
voice_buf_fixed(voice_buf_t *b, char *data, size_t size)
{
    memset(b, 0, sizeof(voice_buf_t));

    b->data = data;
    b->size = size;
    b->max = size;
}


void
voice_buf_growing(voice_buf_t *b, const voice_alloc_t *alloc, size_t max)
{
    memset(b, 0, sizeof(voice_buf_t));

    b->alloc = alloc;
    b->max = max;
    b->grows = true;
}


void
voice_buf_reset(voice_buf_t *b)
{
    b->len = 0;
    b->err = VOICE_OK;
}


void
voice_buf_free(voice_buf_t *b)
{
    if (b->grows) {
        voice_free(b->alloc, b->data);
        voice_buf_growing(b, b->alloc, b->max);
    }
}


voice_err_t
voice_buf_done(const voice_buf_t *b)
{
    return b->err;
}


/* Makes room for n more bytes. */
static bool
buf_room(voice_buf_t *b, size_t n)
{
    char    *data;
    size_t   size;

    if (b->err != VOICE_OK) {
        return false;
    }

    if (n <= b->size - b->len) {
        return true;
    }

    if (n > b->max - b->len) {
        b->err = VOICE_E_FULL;
        return false;
    }

    size = b->size != 0 ? b->size : BUF_FIRST;
    size = size > b->max / 2 ? b->max : size * 2;
    size = size < b->len + n ? b->len + n : size;

    data = voice_alloc(b->alloc, size);
    if (data == NULL) {
        b->err = VOICE_E_NOMEM;
        return false;
    }

    if (b->len != 0) {
        memcpy(data, b->data, b->len);
    }

    voice_free(b->alloc, b->data);

    b->data = data;
    b->size = size;

    return true;
}


void
voice_buf_put(voice_buf_t *b, const void *data, size_t len)
{
    if (len == 0 || !buf_room(b, len)) {
        return;
    }

    memcpy(b->data + b->len, data, len);
    b->len += len;
}


void
voice_buf_puts(voice_buf_t *b, const char *str)
{
    voice_buf_put(b, str, strlen(str));
}


/* vsnprintf() needs room for a NUL, which is not part of the text. */
void
voice_buf_printf(voice_buf_t *b, const char *fmt, ...)
{
    int      n;
    char     few[256];
    va_list  args;

    va_start(args, fmt);
    n = vsnprintf(few, sizeof(few), fmt, args);
    va_end(args);

    if (n < 0 || (size_t) n >= sizeof(few)) {
        b->err = b->err != VOICE_OK ? b->err : VOICE_E_FULL;
        return;
    }

    voice_buf_put(b, few, (size_t) n);
}


void
voice_buf_uint(voice_buf_t *b, uint64_t n)
{
    char   digits[20];
    char  *p;

    p = digits + sizeof(digits);

    do {
        *--p = (char) ('0' + n % 10);
        n /= 10;
    } while (n != 0);

    voice_buf_put(b, p, (size_t) (digits + sizeof(digits) - p));
}


void
voice_buf_bool(voice_buf_t *b, bool value)
{
    voice_buf_puts(b, value ? "true" : "false");
}


void
voice_buf_id(voice_buf_t *b, uint64_t id)
{
    if (id == 0) {
        voice_buf_puts(b, "null");
        return;
    }

    voice_buf_put(b, "\"", 1);
    voice_buf_uint(b, id);
    voice_buf_put(b, "\"", 1);
}


/* RFC 8259 section 7: quote, backslash and controls must be escaped. */
void
voice_buf_string(voice_buf_t *b, const char *str)
{
    char         escape[8];
    size_t       n;
    const char  *p;

    if (str == NULL) {
        voice_buf_puts(b, "null");
        return;
    }

    voice_buf_put(b, "\"", 1);

    for (p = str; *p != '\0'; p++) {
        for (n = 0; (uint8_t) p[n] >= 0x20; n++) {
            if (p[n] == '"' || p[n] == '\\') {
                break;
            }
        }

        voice_buf_put(b, p, n);
        p += n;

        if (*p == '\0') {
            break;
        }

        n = (size_t) snprintf(escape, sizeof(escape),
                              (uint8_t) *p < 0x20 ? "\\u%04x" : "\\%c", *p);
        voice_buf_put(b, escape, n);
    }

    voice_buf_put(b, "\"", 1);
}
