/*
 * Copyright (C) ngx-voice contributors
 *
 * A cluster zone for tests: shared memory, so that a child writes what its
 * parent reads.
 */


#ifndef _CLUSTER_MEMORY_H_INCLUDED_
#define _CLUSTER_MEMORY_H_INCLUDED_


#include "test_util.h"

#include "voice_cluster_write.h"

#include <stdio.h>
#include <sys/mman.h>


static inline void
cluster_make(voice_cluster_t *c, uint32_t guilds)
{
    void    *mem;
    size_t   size = voice_cluster_size(guilds);

    mem = mmap(NULL, size, PROT_READ|PROT_WRITE, MAP_SHARED|MAP_ANONYMOUS, -1,
               0);
    assert_true(mem != MAP_FAILED);

    test_err("format", voice_cluster_format(c, mem, size, guilds, 0x5a17),
             VOICE_OK);
}


static inline void
cluster_free(voice_cluster_t *c)
{
    munmap(c->header, c->header->size);
}


static inline void
cluster_open(voice_cluster_writer_t *w, const voice_cluster_t *c)
{
    test_err("open", voice_cluster_open(w, c, NULL, 1, "agent", 1000),
             VOICE_OK);
}


static inline voice_id_t
cluster_node(voice_cluster_writer_t *w, const char *name, uint32_t flags)
{
    voice_id_t         id;
    voice_node_info_t  info;

    memset(&info, 0, sizeof(info));
    snprintf(info.name, sizeof(info.name), "%s", name);
    snprintf(info.endpoint, sizeof(info.endpoint), "%s.example:443", name);
    info.flags = flags;
    info.capacity = 100;

    test_err(name, voice_cluster_node_set(w, &info, &id), VOICE_OK);

    return id;
}


static inline voice_err_t
cluster_assign(voice_cluster_writer_t *w, uint64_t guild, voice_id_t node,
    uint64_t revision)
{
    voice_assignment_t  a;

    memset(&a, 0, sizeof(a));
    a.guild = guild;
    a.node = node;
    a.revision = revision;

    return voice_cluster_assign(w, &a);
}


static inline void
cluster_verify(const voice_cluster_t *c)
{
    char  text[256];

    if (voice_cluster_verify(c, text, sizeof(text)) != 0) {
        fail_msg("%s", text);
    }
}


#endif /* _CLUSTER_MEMORY_H_INCLUDED_ */
