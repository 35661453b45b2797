/*
 * Copyright (C) ngx-voice contributors
 *
 * The options that say where to connect and as whom, common to call and
 * load, and the signing keys of a file.
 */


#ifndef _VC_CONNECTION_H_INCLUDED_
#define _VC_CONNECTION_H_INCLUDED_


#include "options.h"
#include "server.h"
#include "voice_client.h"

#include "voice_token.h"

#include <jansson.h>


/* a token that is signed for one join lives so long, seconds */
#define VC_TOKEN_TTL        60

/* and one of a user for a gateway, which looks again on each resume */
#define VC_USER_TOKEN_TTL   86400


typedef struct {
    const char  *url;
    const char  *ca;
    bool         insecure;
    const char  *token;
    const char  *key;
    uint64_t     user;
    uint64_t     guild;
    uint64_t     channel;
    const char  *session;
    uint32_t     version;
    const char  *mode;
} vc_connection_t;


#define VC_OPTION_URL(c)                                                     \
    { "url", VC_OPT_TEXT, &(c)->url, "URL", "voice server: wss://HOST[:PORT]"\
      "[/PATH], or ws:// without TLS", 0, 0 }
#define VC_OPTION_CA(c)                                                      \
    { "ca", VC_OPT_TEXT, &(c)->ca, "FILE", "PEM certificates that may have " \
      "signed the server's;\nthose of the system if absent", 0, 0 }
#define VC_OPTION_INSECURE(c)                                                \
    { "insecure", VC_OPT_FLAG, &(c)->insecure, NULL, "take any certificate", \
      0, 0 }
#define VC_OPTION_KEY(c)                                                     \
    { "key", VC_OPT_TEXT, &(c)->key, "FILE", "sign tokens with this key: an "\
      "HS256 secret of 32 bytes\nor more, or a PEM private key (RSA, P-256)",\
      0, 0 }
#define VC_OPTION_VERSION(c)                                                 \
    { "version", VC_OPT_NUMBER, &(c)->version, "N", "version of the voice "  \
      "gateway, 1 to 9, default 8", VOICE_VERSION_MIN, VOICE_VERSION_MAX }


/* Reads and parses the key file; complains under the command's name. */
bool vc_keys_load(const char *name, const char *path,
    voice_token_keys_t *keys);

/* The claims of a token, not verified; NULL if it is none. */
json_t *vc_token_claims(const char *jwt);

/* Says why a token could not be signed. */
void vc_sign_complain(const char *name, voice_err_t err);

/* --url, --ca and --insecure into a server that can be connected to. */
bool vc_connection_open(const char *name, const vc_connection_t *conn,
    vc_server_t *server);

/*
 * The session of --token, with the ids that it names unless they are given,
 * or of a new token signed with --key.
 */
bool vc_connection_session(const char *name, const vc_connection_t *conn,
    const vc_server_t *server, vc_client_conf_t *conf);

/* conf->token, for the other fields of conf and that many seconds */
bool vc_connection_sign(const char *name, const voice_token_keys_t *keys,
    vc_client_conf_t *conf, int64_t ttl);

/* A user token of --key for --user, who may see --guild. */
bool vc_connection_user(const char *name, const vc_connection_t *conn,
    uint64_t ttl, char *jwt, size_t size);

/* The name of --mode; NULL: the server's first. */
bool vc_connection_mode(const char *name, const char *mode, int *out);


#endif /* _VC_CONNECTION_H_INCLUDED_ */
