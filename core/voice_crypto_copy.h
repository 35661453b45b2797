/*
 * Copyright (C) ngx-voice contributors
 *
 * A memcpy() of few bytes without the call, which costs as much as a block
 * of AES.  Two moves that may overlap cover all lengths between their size
 * and twice that.
 */


#ifndef _VOICE_CRYPTO_COPY_H_INCLUDED_
#define _VOICE_CRYPTO_COPY_H_INCLUDED_


#include <stddef.h>
#include <stdint.h>
#include <string.h>


#define VOICE_COPY_SOME_MAX  32

#define VOICE_COPY_TWICE(to, from, size, type)                                \
    do {                                                                      \
        type  a_, b_;                                                         \
                                                                              \
        memcpy(&a_, (from), sizeof(type));                                    \
        memcpy(&b_, (from) + (size) - sizeof(type), sizeof(type));            \
        memcpy((to), &a_, sizeof(type));                                      \
        memcpy((to) + (size) - sizeof(type), &b_, sizeof(type));              \
    } while (0)


typedef struct {
    uint64_t  half[2];
} voice_copy16_t;


/* size <= VOICE_COPY_SOME_MAX */
static inline __attribute__((always_inline)) void
voice_copy_some(uint8_t *to, const uint8_t *from, size_t size)
{
    if (size >= 16) {
        VOICE_COPY_TWICE(to, from, size, voice_copy16_t);

    } else if (size >= 8) {
        VOICE_COPY_TWICE(to, from, size, uint64_t);

    } else if (size >= 4) {
        VOICE_COPY_TWICE(to, from, size, uint32_t);

    } else if (size >= 2) {
        VOICE_COPY_TWICE(to, from, size, uint16_t);

    } else if (size == 1) {
        *to = *from;
    }
}


#endif /* _VOICE_CRYPTO_COPY_H_INCLUDED_ */
