/*
 * Copyright (C) ngx-voice contributors
 *
 * Where memory comes from, for what is not on the packet path; and an arena
 * for structures that are built once and freed as a whole.
 */


#ifndef _VOICE_ALLOC_H_INCLUDED_
#define _VOICE_ALLOC_H_INCLUDED_


#include <stddef.h>


typedef struct {
    void  *(*alloc)(void *data, size_t size);    /* NULL: no memory left */
    void   (*free)(void *data, void *p);
    void   *data;
} voice_alloc_t;


/* alloc NULL: malloc() and free() */
void *voice_alloc(const voice_alloc_t *alloc, size_t size);
void voice_free(const voice_alloc_t *alloc, void *p);


typedef struct voice_arena_block_s  voice_arena_block_t;

typedef struct {
    const voice_alloc_t   *alloc;
    voice_arena_block_t   *block;
    size_t                 used;      /* of the last block */
    size_t                 total;     /* bytes of all blocks */
} voice_arena_t;


/* alloc must outlive the arena. */
void voice_arena_init(voice_arena_t *a, const voice_alloc_t *alloc);

/* n zeroed items, aligned for anything; NULL: no memory, or too many. */
void *voice_arena_array(voice_arena_t *a, size_t n, size_t size);

/* A copy with a NUL behind it. */
char *voice_arena_text(voice_arena_t *a, const char *text, size_t len);

void voice_arena_free(voice_arena_t *a);


#endif /* _VOICE_ALLOC_H_INCLUDED_ */
