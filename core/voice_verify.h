/*
 * Copyright (C) ngx-voice contributors
 *
 * What the files of voice_zone_verify() share.
 */


#ifndef _VOICE_VERIFY_H_INCLUDED_
#define _VOICE_VERIFY_H_INCLUDED_


#include "voice_guild_internal.h"


typedef struct {
    voice_zone_t  *z;
    char          *text;         /* of the first fault */
    size_t         size;
    unsigned       faults;

    /* counted from the records */
    uint32_t       used;
    uint32_t       probes;       /* of those */
    uint32_t       live;
    uint32_t       named;        /* in the index of users */
    uint32_t       bound;
    uint32_t       dirty;

    uint32_t       states;
    uint32_t       owned;        /* states that belong to gateway sessions */
    uint32_t       gateways;
    uint32_t       attached[VOICE_WORKERS_MAX];
} voice_verify_t;


#define voice_verify(v, cond, ...)                                            \
    do {                                                                      \
        if (!(cond)) {                                                        \
            voice_verify_fault((v), __VA_ARGS__);                             \
        }                                                                     \
    } while (0)


/* voice_zone_verify.c */

void voice_verify_fault(voice_verify_t *v, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* One probe sequence, for the record itself and not one like it. */
bool voice_verify_indexed(const voice_zone_t *z, const voice_index_t *ix,
    uint32_t record);

bool voice_verify_zero(const void *data, size_t len);


/* voice_guild_verify.c: log, voice states, guilds, gateway sessions */
void voice_guild_verify(voice_verify_t *v);


#endif /* _VOICE_VERIFY_H_INCLUDED_ */
