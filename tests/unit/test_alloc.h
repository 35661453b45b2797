/*
 * Copyright (C) ngx-voice contributors
 *
 * An allocator that counts what is held and fails when it is told to.
 */


#ifndef _TEST_ALLOC_H_INCLUDED_
#define _TEST_ALLOC_H_INCLUDED_


#include "test_util.h"

#include "voice_alloc.h"

#include <stdbool.h>


typedef struct {
    voice_alloc_t   alloc;
    long            live;       /* blocks */
    long            count;      /* allocations so far */
    long            fail;       /* the number of the one that fails, or -1 */
    bool            failed;
} test_alloc_t;


static inline void *
test_alloc_take(void *data, size_t size)
{
    void          *p;
    test_alloc_t  *t = data;

    if (t->count++ == t->fail) {
        t->failed = true;
        return NULL;
    }

    p = malloc(size);
    assert_non_null(p);

    /* memory is never zeroed by chance */
    memset(p, 0xa5, size);
    t->live++;

    return p;
}


static inline void
test_alloc_give(void *data, void *p)
{
    test_alloc_t  *t = data;

    assert_non_null(p);
    t->live--;
    free(p);
}


static inline void
test_alloc_init(test_alloc_t *t, long fail)
{
    memset(t, 0, sizeof(test_alloc_t));

    t->alloc.alloc = test_alloc_take;
    t->alloc.free = test_alloc_give;
    t->alloc.data = t;
    t->fail = fail;
}


#endif /* _TEST_ALLOC_H_INCLUDED_ */
