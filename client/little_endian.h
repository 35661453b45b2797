/*
 * Copyright (C) ngx-voice contributors
 *
 * Little-endian numbers: keep-alives, WAV and Ogg.
 */


#ifndef _VC_LITTLE_ENDIAN_H_INCLUDED_
#define _VC_LITTLE_ENDIAN_H_INCLUDED_


#include <stdint.h>


static inline void
vc_put_le(uint8_t *p, uint64_t v, int bytes)
{
    int  i;

    for (i = 0; i < bytes; i++) {
        p[i] = (uint8_t) (v >> (8 * i));
    }
}


static inline uint32_t
vc_get_le32(const uint8_t *p)
{
    return (uint32_t) p[0] | (uint32_t) p[1] << 8 | (uint32_t) p[2] << 16
           | (uint32_t) p[3] << 24;
}


#endif /* _VC_LITTLE_ENDIAN_H_INCLUDED_ */
