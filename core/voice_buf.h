/*
 * Copyright (C) ngx-voice contributors
 *
 * Text that is written piece by piece: into a buffer of the caller's, or
 * into one that grows.  The first error sticks and is told at the end, so
 * that an encoder is a row of calls without checks.
 */


#ifndef _VOICE_BUF_H_INCLUDED_
#define _VOICE_BUF_H_INCLUDED_


#include "voice_alloc.h"
#include "voice_err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>


typedef struct {
    char                *data;
    size_t               len;
    size_t               size;
    size_t               max;     /* it never grows beyond */
    const voice_alloc_t *alloc;
    voice_err_t          err;     /* the first one */
    bool                 grows;
} voice_buf_t;


/* Writes into the caller's memory; what doesn't fit is VOICE_E_FULL. */
void voice_buf_fixed(voice_buf_t *b, char *data, size_t size);

/*
 * Grows up to max bytes, beyond which it is VOICE_E_FULL.  alloc: NULL for
 * malloc().  No memory is taken before the first byte.
 */
void voice_buf_growing(voice_buf_t *b, const voice_alloc_t *alloc,
    size_t max);

/* Starts anew and keeps the memory. */
void voice_buf_reset(voice_buf_t *b);

/* Frees what a growing one holds; nothing for a fixed one. */
void voice_buf_free(voice_buf_t *b);

/* VOICE_OK, or the first error: VOICE_E_FULL, VOICE_E_NOMEM. */
voice_err_t voice_buf_done(const voice_buf_t *b);


void voice_buf_put(voice_buf_t *b, const void *data, size_t len);
void voice_buf_puts(voice_buf_t *b, const char *str);

/* for short pieces: more than 255 bytes at once are VOICE_E_FULL */
void voice_buf_printf(voice_buf_t *b, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* JSON: with its quotes, escaped; str is UTF-8; NULL is null */
void voice_buf_string(voice_buf_t *b, const char *str);

/* JSON: a snowflake with its quotes; 0 is null */
void voice_buf_id(voice_buf_t *b, uint64_t id);

void voice_buf_uint(voice_buf_t *b, uint64_t n);
void voice_buf_bool(voice_buf_t *b, bool value);


#endif /* _VOICE_BUF_H_INCLUDED_ */
