/*
 * Copyright (C) ngx-voice contributors
 */


#include "voice_bytes.h"


void
voice_reader_init(voice_reader_t *r, const void *buf, size_t len)
{
    r->pos = buf;
    r->end = r->pos;
    r->failed = false;

    /* an empty part may come as NULL, to which nothing may be added */
    if (len != 0) {
        r->end += len;
    }
}


size_t
voice_reader_left(const voice_reader_t *r)
{
    return (size_t) (r->end - r->pos);
}


const uint8_t *
voice_read_bytes(voice_reader_t *r, size_t n)
{
    const uint8_t  *p;

    if (r->failed || n > voice_reader_left(r)) {
        r->failed = true;
        r->pos = r->end;
        return NULL;
    }

    p = r->pos;

    if (n != 0) {
        r->pos += n;
    }

    return p;
}


uint8_t
voice_read_u8(voice_reader_t *r)
{
    const uint8_t  *p;

    p = voice_read_bytes(r, 1);

    return p != NULL ? p[0] : 0;
}


uint16_t
voice_read_u16(voice_reader_t *r)
{
    const uint8_t  *p;

    p = voice_read_bytes(r, 2);

    return p != NULL ? voice_get_u16(p) : 0;
}


uint32_t
voice_read_u24(voice_reader_t *r)
{
    const uint8_t  *p;

    p = voice_read_bytes(r, 3);
    if (p == NULL) {
        return 0;
    }

    return ((uint32_t) p[0] << 16) | ((uint32_t) p[1] << 8) | p[2];
}


uint32_t
voice_read_u32(voice_reader_t *r)
{
    const uint8_t  *p;

    p = voice_read_bytes(r, 4);

    return p != NULL ? voice_get_u32(p) : 0;
}


void
voice_read_slice(voice_reader_t *r, size_t n, voice_reader_t *slice)
{
    const uint8_t  *p;

    p = voice_read_bytes(r, n);

    voice_reader_init(slice, p, r->failed ? 0 : n);
    slice->failed = r->failed;
}
