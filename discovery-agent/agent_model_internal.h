/*
 * Copyright (C) ngx-voice contributors
 *
 * What the parts of the model share: its tables, what keys do to them, what
 * is planned by them.
 */


#ifndef _AGENT_MODEL_INTERNAL_H_INCLUDED_
#define _AGENT_MODEL_INTERNAL_H_INCLUDED_


#include "agent_model.h"


/* The one there is, or a new one; NULL: no memory. */
agent_node_t *agent_model_node_add(agent_model_t *m, const char *name,
    uint64_t now);
agent_guild_t *agent_model_guild_add(agent_model_t *m, uint64_t id);

/* It has changed. */
void agent_node_touch(agent_model_t *m, agent_node_t *node);
void agent_guild_touch(agent_model_t *m, agent_guild_t *guild);

/* Flags as they follow from registration, what n/ says, and the order. */
void agent_node_flags(agent_model_t *m, agent_node_t *node, uint64_t now);

/* The guild has left a node that was evicted. */
void agent_guild_evicted(agent_guild_t *guild, uint64_t now);

/* Attacks follow it: its nodes were evicted twice within ten minutes. */
bool agent_guild_hunted(const agent_guild_t *guild, uint64_t now);

/* It was evicted lately, and is known even if it is nobody's. */
bool agent_guild_remembered(const agent_guild_t *guild, uint64_t now);

/* The pool whose nodes may serve the guild, in that region. */
const char *agent_model_pool(agent_model_t *m, uint64_t guild,
    const char *region, uint64_t now);

/*
 * So many nodes fail together that what they have in common is more likely to
 * have failed than each of them.
 */
static inline bool
agent_model_many(size_t n, size_t total)
{
    return n >= 3 && n * 100 > total * 20;
}

/* Keys x/node/by; name: what follows "x/".  False: refused says why. */
bool agent_accusation_put(agent_model_t *m, const char *name, bool ask,
    uint64_t revision, uint64_t now);
void agent_accusation_delete(agent_model_t *m, const char *name,
    uint64_t revision, uint64_t now);
void agent_accusation_keep(agent_model_t *m, const char *name);

/* Takes back what the list has not; gives how many. */
size_t agent_accusation_list_end(agent_model_t *m);
void agent_accusation_free(agent_model_t *m);

/* Not in the list; true: and it would be, if it were still there. */
bool agent_list_missing(const agent_model_t *m, uint32_t seen,
    uint64_t revision);

/* What is known is of a later time than what comes now. */
bool agent_known_newer(const agent_model_t *m, uint64_t known,
    uint64_t revision);

/* To another node's list, or off any. */
void agent_guild_link(agent_guild_t *guild, agent_node_t *node);
void agent_guild_unlink(agent_guild_t *guild);


#endif /* _AGENT_MODEL_INTERNAL_H_INCLUDED_ */
