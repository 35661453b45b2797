/*
 * Copyright (C) ngx-voice contributors
 *
 * Bounded cursor over bytes from the network, and big-endian stores.
 *
 * A reader never passes its end: a read that doesn't fit sets `failed`,
 * returns 0 (or NULL), and so does every read after it.  A parser is a row
 * of reads with one check at the end.
 */


#ifndef _VOICE_BYTES_H_INCLUDED_
#define _VOICE_BYTES_H_INCLUDED_


#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>


typedef struct {
    const uint8_t  *pos;
    const uint8_t  *end;
    bool            failed;
} voice_reader_t;


static inline uint16_t
voice_get_u16(const uint8_t *p)
{
    return (uint16_t) ((p[0] << 8) | p[1]);
}


static inline uint32_t
voice_get_u32(const uint8_t *p)
{
    return ((uint32_t) p[0] << 24) | ((uint32_t) p[1] << 16)
           | ((uint32_t) p[2] << 8) | p[3];
}


static inline void
voice_put_u16(uint8_t *p, uint16_t v)
{
    p[0] = (uint8_t) (v >> 8);
    p[1] = (uint8_t) v;
}


static inline void
voice_put_u32(uint8_t *p, uint32_t v)
{
    p[0] = (uint8_t) (v >> 24);
    p[1] = (uint8_t) (v >> 16);
    p[2] = (uint8_t) (v >> 8);
    p[3] = (uint8_t) v;
}


void voice_reader_init(voice_reader_t *r, const void *buf, size_t len);

/* bytes not read yet */
size_t voice_reader_left(const voice_reader_t *r);

uint8_t voice_read_u8(voice_reader_t *r);
uint16_t voice_read_u16(voice_reader_t *r);
uint32_t voice_read_u24(voice_reader_t *r);
uint32_t voice_read_u32(voice_reader_t *r);

/* the address of the next n bytes, which are consumed; NULL if not there */
const uint8_t *voice_read_bytes(voice_reader_t *r, size_t n);

/*
 * Cuts the next n bytes off into a reader of their own, so that a nested
 * length is checked against its own part only.  A failed cut gives an empty
 * reader that has failed too.
 */
void voice_read_slice(voice_reader_t *r, size_t n, voice_reader_t *slice);


#endif /* _VOICE_BYTES_H_INCLUDED_ */
