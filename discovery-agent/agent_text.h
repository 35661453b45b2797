/*
 * Copyright (C) ngx-voice contributors
 *
 * What texts may be that come from outside: from a configuration, or from
 * etcd, where anybody may have written them.  They are shown to people, put
 * into JSON, and told to clients.
 */


#ifndef _AGENT_TEXT_H_INCLUDED_
#define _AGENT_TEXT_H_INCLUDED_


#include "voice_cluster.h"

#include <stdbool.h>


#define AGENT_MACHINE_MAX     63


/* Lower case letters, digits and '-', 1 to VOICE_CLUSTER_NAME_MAX. */
bool agent_name_valid(const char *name);
#define AGENT_NAME_IS         "1 to 32 of a-z, 0-9 and -"

bool agent_boot_valid(const char *boot);
#define AGENT_BOOT_IS         "1 to 32 letters, digits and -"

bool agent_machine_valid(const char *machine);
#define AGENT_MACHINE_IS      "1 to 63 of a-z, A-Z, 0-9 and ._:-"

/* What clients are told: a name or an address, an IPv6 one in brackets. */
bool agent_endpoint_valid(const char *endpoint);
#define AGENT_ENDPOINT_IS     "host or host:port, as clients are told"

/*
 * Of HTTP.  Without user and password, which would be shown to all who may
 * read logs or etcd.
 */
bool agent_url_valid(const char *url);
#define AGENT_URL_IS                                                          \
    "http://HOST[:PORT][/PATH] or https://..., without user and password"


/*
 * Bytes that do something to a terminal, or are no UTF-8, become '?': for all
 * that is shown and was not checked by one of the above.
 */
void agent_text_clean(char *text);


#endif /* _AGENT_TEXT_H_INCLUDED_ */
