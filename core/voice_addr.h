/*
 * Copyright (C) ngx-voice contributors
 *
 * An UDP address in shared memory: no pointer, no padding, one size.
 */


#ifndef _VOICE_ADDR_H_INCLUDED_
#define _VOICE_ADDR_H_INCLUDED_


#include <stdbool.h>
#include <stdint.h>
#include <string.h>


typedef enum {
    VOICE_ADDR_NONE = 0,
    VOICE_ADDR_V4 = 4,
    VOICE_ADDR_V6 = 6
} voice_addr_family_t;


typedef struct {
    uint8_t    ip[16];     /* network order; IPv4: the first four, then zeros */
    uint16_t   port;       /* host order; 0 where only the IP matters */
    uint8_t    family;     /* voice_addr_family_t */
    uint8_t    zero;
    uint32_t   scope;      /* IPv6 link-local interface, else 0 */
} voice_addr_t;


static inline bool
voice_addr_equal(const voice_addr_t *a, const voice_addr_t *b)
{
    return memcmp(a, b, sizeof(voice_addr_t)) == 0;
}


#endif /* _VOICE_ADDR_H_INCLUDED_ */
