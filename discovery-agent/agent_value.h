/*
 * Copyright (C) ngx-voice contributors
 *
 * Values of keys in etcd: anybody may have written them.
 */


#ifndef _AGENT_VALUE_H_INCLUDED_
#define _AGENT_VALUE_H_INCLUDED_


#include "agent_model.h"


/* A guild as the name of a key: decimal, not 0, no zero in front. */
bool agent_value_id(const char *text, uint64_t *id);

/*
 * False: no such object, a field missing or not as agent_text.h has it,
 * another version; why says which and what was expected.
 */
bool agent_value_node(const char *text, voice_node_info_t *info,
    char machine[AGENT_MACHINE_MAX + 1], uint32_t *said, const char **why);
bool agent_value_load(const char *text, voice_node_load_t *load,
    const char **why);
bool agent_value_order(const char *text, agent_order_t *order,
    uint32_t *after, const char **why);
bool agent_value_hold(const char *text, agent_hold_t *order,
    const char **why);

/* ask: not the node's own probes, but a client of it */
bool agent_value_accusation(const char *text, bool *ask, const char **why);

/* server and boot: buffers of a name and of a boot id */
bool agent_value_guild(const char *text, char *server, char *boot,
    const char **why);

/*
 * The machine of a registration, of whatever version; "" if it names none.
 */
void agent_value_machine(const char *text,
    char machine[AGENT_MACHINE_MAX + 1]);


/* The other way; allocated, NULL without memory. */
/* Of info's flags VOICE_NODE_PROBES alone. */
char *agent_value_make_node(const voice_node_info_t *info,
    const char *machine, const char *state);
char *agent_value_make_load(const voice_node_load_t *load);
char *agent_value_make_guild(const char *server, const char *boot);
char *agent_value_make_hold(const char *mode, const char *by,
    const char *why);
char *agent_value_make_order(const char *mode, const char *by,
    const char *why, uint32_t after);


#endif /* _AGENT_VALUE_H_INCLUDED_ */
