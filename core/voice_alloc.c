/*
 * Copyright (C) ngx-voice contributors
 */


#include "voice_alloc.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>


#define ARENA_BLOCK   4000      /* the first; each next one is bigger */
#define ARENA_ALIGN   _Alignof(max_align_t)


struct voice_arena_block_s {
    voice_arena_block_t   *prev;
    size_t                 size;
    max_align_t            data[];
};


void *
voice_alloc(const voice_alloc_t *alloc, size_t size)
{
    if (alloc == NULL) {
        return malloc(size);
    }

    return alloc->alloc(alloc->data, size);
}


void
voice_free(const voice_alloc_t *alloc, void *p)
{
    if (p == NULL) {
        return;
    }

    if (alloc == NULL) {
        free(p);
        return;
    }

    alloc->free(alloc->data, p);
}


void
voice_arena_init(voice_arena_t *a, const voice_alloc_t *alloc)
{
    a->alloc = alloc;
    a->block = NULL;
    a->used = 0;
    a->total = 0;
}


/* Blocks grow with what there is, so that their number stays small. */
static voice_arena_block_t *
arena_grow(voice_arena_t *a, size_t size)
{
    size_t                n;
    voice_arena_block_t  *block;

    n = a->total / 2 > ARENA_BLOCK ? a->total / 2 : ARENA_BLOCK;
    n = size > n ? size : n;

    block = voice_alloc(a->alloc, sizeof(voice_arena_block_t) + n);
    if (block == NULL) {
        return NULL;
    }

    block->prev = a->block;
    block->size = n;

    a->block = block;
    a->used = 0;
    a->total += sizeof(voice_arena_block_t) + n;

    return block;
}


static void *
arena_take(voice_arena_t *a, size_t size, size_t align)
{
    void    *p;
    size_t   used;

    used = (a->used + align - 1) / align * align;

    if (a->block == NULL || used > a->block->size
        || size > a->block->size - used)
    {
        if (arena_grow(a, size) == NULL) {
            return NULL;
        }

        used = 0;
    }

    p = (char *) a->block->data + used;
    a->used = used + size;

    return p;
}


void *
voice_arena_array(voice_arena_t *a, size_t n, size_t size)
{
    void  *p;

    if (size != 0 && n > SIZE_MAX / 4 / size) {
        return NULL;
    }

    p = arena_take(a, n * size, ARENA_ALIGN);

    if (p != NULL) {
        memset(p, 0, n * size);
    }

    return p;
}


char *
voice_arena_text(voice_arena_t *a, const char *text, size_t len)
{
    char  *p;

    if (len > SIZE_MAX / 4) {
        return NULL;
    }

    p = arena_take(a, len + 1, 1);

    if (p != NULL) {
        memcpy(p, text, len);
        p[len] = '\0';
    }

    return p;
}


void
voice_arena_free(voice_arena_t *a)
{
    voice_arena_block_t  *block, *prev;

    for (block = a->block; block != NULL; block = prev) {
        prev = block->prev;
        voice_free(a->alloc, block);
    }

    voice_arena_init(a, a->alloc);
}
