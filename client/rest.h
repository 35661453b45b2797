/*
 * Copyright (C) ngx-voice contributors
 *
 * Calls of a voice server's REST, as a user of a guild or as its platform.
 */


#ifndef _VC_REST_H_INCLUDED_
#define _VC_REST_H_INCLUDED_


#include "connection.h"

#include <jansson.h>


typedef struct {
    vc_connection_t   conn;        /* url, ca, insecure, token, key, guild,
                                      user: of whom it is about */
    const char       *reason;      /* for the server's log, or NULL */
} vc_rest_t;


#define VC_OPTION_API(r)                                                     \
    { "url", VC_OPT_TEXT, &(r)->conn.url, "URL", "of REST: "                 \
      "https://HOST[:PORT]/api", 0, 0 },                                     \
    VC_OPTION_CA(&(r)->conn),                                                \
    VC_OPTION_INSECURE(&(r)->conn),                                          \
    { "token", VC_OPT_TEXT, &(r)->conn.token, "JWT", "token of a user or bot "\
      "with the permission to do it,\nor of the platform", 0, 0 },           \
    { "key", VC_OPT_TEXT, &(r)->conn.key, "FILE", "instead of --token: sign "\
      "as the platform with this key,\none that the server has as "          \
      "voice_platform_key", 0, 0 }


/* Complains if the options above don't fit together. */
bool vc_rest_check(const char *name, const vc_rest_t *rest);

/*
 * One call; path is what stands behind the version in the URL.  NULL, and a
 * complaint with the server's words, unless the answer is a 2xx with JSON.
 */
json_t *vc_rest_call(const char *name, const vc_rest_t *rest,
    const char *method, const char *path, const char *body);


#endif /* _VC_REST_H_INCLUDED_ */
