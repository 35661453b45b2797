/*
 * Copyright (C) ngx-voice contributors
 *
 * The agent's side of the cluster zone.  One process writes at a time: who
 * opens it holds a lock on the file.  A writer that was killed anywhere is
 * followed by one that derives the indexes and its list of free records from
 * the records anew.
 */


#ifndef _VOICE_CLUSTER_WRITE_H_INCLUDED_
#define _VOICE_CLUSTER_WRITE_H_INCLUDED_


#include "voice_alloc.h"
#include "voice_cluster.h"


typedef struct {
    voice_cluster_t       c;
    const voice_alloc_t  *alloc;
    uint32_t             *free;        /* records below guilds_end, a stack */
    uint32_t              frees;
    uint32_t              filled;      /* buckets that are not empty */
    uint32_t              nodes_end;
    uint64_t              wake[VOICE_WORKERS_MAX / 64];  /* workers to wake,
                                          as z->wake: the caller clears it */
} voice_cluster_writer_t;


/*
 * Takes over: rebuilds what is derived, makes requests that a former agent
 * had begun new again, and has all workers look at all they know.
 *
 * name   of the agent's wake socket
 *
 * VOICE_E_NOMEM   no memory for the list of free records
 * VOICE_E_LENGTH  name is too long
 */
voice_err_t voice_cluster_open(voice_cluster_writer_t *w,
    const voice_cluster_t *c, const voice_alloc_t *alloc, uint32_t pid,
    const char *name, uint64_t now);

/* An orderly end: the agent is away at once.  What is known stays. */
void voice_cluster_close(voice_cluster_writer_t *w);

/* The agent's block and pulse. */
void voice_cluster_pulse(voice_cluster_writer_t *w, voice_agent_state_t state,
    bool etcd, uint64_t revision, uint64_t now);

/* Which node this one is. */
void voice_cluster_self_set(voice_cluster_writer_t *w, voice_id_t id);


/*
 * Adds or replaces the node info->name; its generation is set here.  Nothing
 * is written if nothing differs.
 *
 * VOICE_E_FULL   all slots are taken
 * VOICE_E_RANGE  no name
 */
voice_err_t voice_cluster_node_set(voice_cluster_writer_t *w,
    const voice_node_info_t *info, voice_id_t *id);

/* VOICE_E_STALE */
voice_err_t voice_cluster_load_set(voice_cluster_writer_t *w, voice_id_t id,
    const voice_node_load_t *load);

/* Frees the slot; assignments that still name it are orphans. */
void voice_cluster_node_remove(voice_cluster_writer_t *w, voice_id_t id);


/*
 * Adds or replaces an assignment; nothing is written if nothing differs.
 *
 * VOICE_E_NOMEM  the table is full: counted in agent.refused
 */
voice_err_t voice_cluster_assign(voice_cluster_writer_t *w,
    const voice_assignment_t *a);

/* VOICE_E_NOT_FOUND */
voice_err_t voice_cluster_unassign(voice_cluster_writer_t *w,
    uint64_t guild);

/*
 * Takes the next request that nobody works on; *slot, from 0, moves on.
 * VOICE_E_NOT_FOUND after the last.
 */
voice_err_t voice_cluster_take(voice_cluster_writer_t *w, uint32_t *slot,
    voice_cluster_request_t *rq, uint64_t *ticket, uint64_t *at);

/* Answers; leaves a wake for its worker.  result: see voice_cluster_answer() */
void voice_cluster_reply(voice_cluster_writer_t *w, uint64_t ticket,
    voice_err_t result);


/*
 * Compares all that is derived with the records.  Gives the number of faults
 * and describes the first one in text.
 */
unsigned voice_cluster_verify(const voice_cluster_t *c, char *text,
    size_t size);


#endif /* _VOICE_CLUSTER_WRITE_H_INCLUDED_ */
