/*
 * Copyright (C) ngx-voice contributors
 *
 * What is known at run time beside the directory's file, in a shared mapping
 * of its own: guilds that a platform has put, changed or taken away, as JSON
 * text; and the names of users that only their tokens name.
 *
 * Each change of a guild gets a number, so that a worker asks for what
 * changed since it looked last, and parses only that.
 *
 * Several nodes tell each other of their guilds.  Each change raises the
 * guild's revision, and the higher revision holds at all nodes; of two that
 * were made at once the one whose text has the higher digest.  So all come to
 * the same guild, whatever the order in which they hear of it, and of two
 * changes that did not know of each other one is lost.
 *
 * The truth are the guilds' entries and the chains of chunks that they lead
 * to; which chunks are free is derived from them when a process died inside
 * the lock.  Nothing of this is on the packet path: each function takes the
 * store's lock, for as long as it takes to copy a text.
 */


#ifndef _VOICE_STORE_H_INCLUDED_
#define _VOICE_STORE_H_INCLUDED_


#include "voice_alloc.h"
#include "voice_err.h"
#include "voice_token.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>


#define VOICE_STORE_MAGIC          0x65726F74532D7876ull    /* "vx-Store" */
#define VOICE_STORE_LAYOUT         4

#define VOICE_STORE_CHUNK          4096
#define VOICE_STORE_GUILDS         16384
#define VOICE_STORE_NAMES          65536      /* a power of two */
#define VOICE_STORE_WAYS           4          /* places for one name */

#define VOICE_STORE_VERSIONS       64         /* compared at once */

/* How long one node's guilds are taken before another's are asked for, ms. */
#define VOICE_STORE_SYNC           10000

/* The same after guilds that could not be taken: doubled each time. */
#define VOICE_STORE_WAIT_MIN       60000
#define VOICE_STORE_WAIT_MAX       (16 * VOICE_STORE_WAIT_MIN)

#define VOICE_STORE_SIZE_MIN       (1024 * 1024)          /* bytes of text */
#define VOICE_STORE_SIZE_MAX       (4096ull * 1024 * 1024)
#define VOICE_STORE_SIZE           (64 * 1024 * 1024)


typedef enum {
    VOICE_STORE_FREE = 0,
    VOICE_STORE_TEXT,
    VOICE_STORE_DELETED        /* also one that the directory's file has */
} voice_store_state_t;


typedef struct {
    uint64_t   change;         /* number of the change; 0: none so far */
    uint64_t   revision;       /* over all nodes */
    uint64_t   digest;         /* of the text; 0: deleted */
    uint32_t   head;           /* first chunk, index + 1 */
    uint32_t   len;
    uint32_t   state;          /* voice_store_state_t */
    uint32_t   foreign;        /* another node has changed it */
} voice_store_value_t;


typedef struct {
    uint64_t              id;
    voice_store_value_t   value[2];
    _Atomic uint32_t      now;      /* which value holds */
} voice_store_guild_t;


typedef struct {
    uint32_t   next;           /* index + 1 */
    uint32_t   mark;           /* of the repair */
    char       data[VOICE_STORE_CHUNK - 2 * sizeof(uint32_t)];
} voice_store_chunk_t;


typedef struct {
    uint64_t   user_id;
    uint64_t   used;           /* counts up: the lowest one is the oldest */
    bool       bot;
    char       name[VOICE_TOKEN_NAME_MAX + 1];
} voice_store_name_t;


typedef struct {
    uint64_t           magic;
    uint32_t           layout;
    uint32_t           chunks;
    uint64_t           size;            /* bytes of the whole mapping */
    _Atomic uint64_t   change;          /* number of the last change */
    _Atomic uint64_t   generation;      /* of the directory's file in use */
    uint64_t           digest;          /* of all guilds' versions */
    _Atomic uint64_t   sync;            /* ms, when others may be asked */
    _Atomic uint32_t   wait;            /* ms, after what failed; 0: nothing */
    _Atomic uint32_t   failed;          /* since others were asked */
    uint64_t           named;
    uint32_t           guilds;          /* entries that were ever used */
    uint32_t           chunk_free;      /* index + 1 */
    uint32_t           chunk_end;       /* chunks from here were never used */
    uint32_t           chunks_used;

    _Alignas(64) pthread_mutex_t   mutex;

    voice_store_guild_t   guild[VOICE_STORE_GUILDS];
    voice_store_name_t    name[VOICE_STORE_NAMES];
} voice_store_header_t;


typedef struct {
    voice_store_header_t  *header;
    voice_store_chunk_t   *chunk;
} voice_store_t;


/* One guild's entry, as it was read. */
typedef struct {
    uint64_t              id;
    uint64_t              change;
    uint64_t              revision;
    voice_store_state_t   state;
    char                 *text;         /* of VOICE_STORE_TEXT: the caller's,
                                           with a NUL; else NULL */
    size_t                len;
} voice_store_entry_t;


/* bytes of a mapping that holds so many bytes of text */
size_t voice_store_size(uint64_t text);

/*
 * Makes an empty store of mem: voice_store_size(text) zero bytes, page
 * aligned.  VOICE_E_SYS: the system refuses the lock.
 */
voice_err_t voice_store_format(voice_store_t *st, void *mem, uint64_t text);

/*
 * Attaches to an existing store.
 *
 * VOICE_E_FORMAT  none, or of another layout
 * VOICE_E_LENGTH  of another size
 */
voice_err_t voice_store_attach(voice_store_t *st, void *mem, size_t size);

/* The number of the last change; lock-free.  0: there was none. */
uint64_t voice_store_change(const voice_store_t *st);

/*
 * Puts a guild's text, or with text NULL marks it as deleted.
 *
 * expected  number of the change that the caller's view of the guild comes
 *           from; 0: the store had none of it
 * change    the new number
 *
 * VOICE_E_STALE  somebody else has changed it meanwhile
 * VOICE_E_FULL   no room
 */
voice_err_t voice_store_put(voice_store_t *st, uint64_t guild_id,
    const char *text, size_t len, uint64_t expected, uint64_t *change);

/*
 * The change with the lowest number above `since`.  VOICE_E_NOT_FOUND: no
 * more; VOICE_E_NOMEM.
 */
voice_err_t voice_store_next(voice_store_t *st, uint64_t since,
    const voice_alloc_t *alloc, voice_store_entry_t *entry);

/* That of a guild; VOICE_E_NOT_FOUND: it was never changed; VOICE_E_NOMEM. */
voice_err_t voice_store_get(voice_store_t *st, uint64_t guild_id,
    const voice_alloc_t *alloc, voice_store_entry_t *entry);


/* What tells two states of a guild apart. */
typedef struct {
    uint64_t   id;
    uint64_t   revision;
    uint64_t   digest;
} voice_store_version_t;

/*
 * Versions of guilds that were changed after `since`, which moves, in that
 * order; all: also those that came from other nodes.  n = 0: no more.
 */
void voice_store_versions(voice_store_t *st, uint64_t *since, bool all,
    voice_store_version_t *list, size_t max, size_t *n);

/* Which of them, at most VOICE_STORE_VERSIONS, are newer: bit 0, the first. */
uint64_t voice_store_wants(voice_store_t *st,
    const voice_store_version_t *list, size_t n);

/*
 * As voice_store_put(), for what another node has put at that revision.
 *
 * VOICE_E_STALE  what is here is as new
 * VOICE_E_RANGE  no such revision
 */
voice_err_t voice_store_merge(voice_store_t *st, uint64_t guild_id,
    const char *text, size_t len, uint64_t revision, uint64_t *change);

/* The same at two nodes if the versions of all guilds are. */
uint64_t voice_store_digest(voice_store_t *st);

/*
 * Whether a node may be asked for all its guilds.  Only one is, for
 * VOICE_STORE_SYNC: what it sends others need not send as well.
 */
bool voice_store_sync(voice_store_t *st, uint64_t now);

/*
 * A guild of another node can't be taken: the next are asked for later.
 * Whether it is the first such one since they were.
 */
bool voice_store_failed(voice_store_t *st, uint64_t now);


/* Remembers what a user's token says; others may be forgotten for it. */
void voice_store_name_set(voice_store_t *st, uint64_t user_id,
    const char *name, bool bot);

/* VOICE_E_NOT_FOUND */
voice_err_t voice_store_name_get(voice_store_t *st, uint64_t user_id,
    char name[VOICE_TOKEN_NAME_MAX + 1], bool *bot);


typedef struct {
    uint32_t   chunks;
    uint32_t   chunks_used;
    uint32_t   guilds;         /* with a text */
    uint32_t   deleted;
} voice_store_stats_t;

void voice_store_stats(voice_store_t *st, voice_store_stats_t *stats);


#endif /* _VOICE_STORE_H_INCLUDED_ */
