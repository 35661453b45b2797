/*
 * Copyright (C) ngx-voice contributors
 */


#include "connection.h"

#include <errno.h>
#include <jansson.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>


#define VC_KEY_FILE_MAX   65536


static bool vc_token_ids(const char *jwt, vc_client_conf_t *conf);
static void vc_claim_id(const json_t *claims, const char *name,
    uint64_t *id);


bool
vc_keys_load(const char *name, const char *path, voice_token_keys_t *keys)
{
    char         data[VC_KEY_FILE_MAX];
    FILE        *f;
    size_t       len;
    const char  *why;
    voice_err_t  err;

    f = fopen(path, "rb");

    if (f == NULL) {
        vc_complain(name, "--key \"%s\": %s", path, strerror(errno));
        return false;
    }

    len = fread(data, 1, sizeof(data), f);

    if (ferror(f) || len == sizeof(data)) {
        vc_complain(name, "--key \"%s\": %s", path,
                    ferror(f) ? strerror(errno)
                              : "expected a file of fewer than 65536 bytes");
        fclose(f);
        return false;
    }

    fclose(f);

    why = "";
    memset(keys, 0, sizeof(voice_token_keys_t));
    err = voice_token_key_add(keys, data, len, &why);
    sodium_memzero(data, sizeof(data));

    if (err != VOICE_OK) {
        vc_complain(name, "--key \"%s\": %s", path, why);
        return false;
    }

    return true;
}


bool
vc_connection_open(const char *name, const vc_connection_t *conn,
    vc_server_t *server)
{
    char  error[VC_ERROR_MAX];

    if (!vc_server_parse(server, conn->url, error)) {
        vc_complain(name, "--url %s", error);
        return false;
    }

    if (!vc_server_open(server, conn->ca, conn->insecure, error)) {
        vc_complain(name, "%s", error);
        vc_server_close(server);
        return false;
    }

    return true;
}


bool
vc_connection_session(const char *name, const vc_connection_t *conn,
    const vc_server_t *server, vc_client_conf_t *conf)
{
    bool                signed_;
    voice_token_keys_t  keys;

    memset(conf, 0, sizeof(vc_client_conf_t));
    conf->server = server;
    conf->version = (int) conn->version;

    if (conn->token != NULL) {
        if (strlen(conn->token) >= sizeof(conf->token)
            || !vc_token_ids(conn->token, conf))
        {
            vc_complain(name, "--token \"%.16s...\": expected a JSON web token "
                        "of at most %d characters", conn->token,
                        VOICE_TOKEN_MAX);
            return false;
        }

        strcpy(conf->token, conn->token);
    }

    conf->user_id = conn->user != 0 ? conn->user : conf->user_id;
    conf->guild_id = conn->guild != 0 ? conn->guild : conf->guild_id;
    conf->channel_id = conn->channel != 0 ? conn->channel : conf->channel_id;

    if (conn->session != NULL) {
        snprintf(conf->session_id, sizeof(conf->session_id), "%s",
                 conn->session);

    } else if (conf->session_id[0] == '\0') {
        snprintf(conf->session_id, sizeof(conf->session_id), "vc%08x%08x",
                 randombytes_random(), randombytes_random());
    }

    if (conf->user_id == 0 || conf->guild_id == 0) {
        vc_complain(name, "--token names no user (sub) or no guild (gid): "
                    "expected --user and --guild");
        return false;
    }

    if (conn->token != NULL) {
        return true;
    }

    if (!vc_keys_load(name, conn->key, &keys)) {
        return false;
    }

    signed_ = vc_connection_sign(name, &keys, conf, VC_TOKEN_TTL);
    voice_token_keys_free(&keys);

    return signed_;
}


bool
vc_connection_sign(const char *name, const voice_token_keys_t *keys,
    vc_client_conf_t *conf, int64_t ttl)
{
    voice_err_t    err;
    voice_token_t  token;

    memset(&token, 0, sizeof(token));
    token.user_id = conf->user_id;
    token.guild_id = conf->guild_id;
    token.channel_id = conf->channel_id;
    token.expires = (int64_t) time(NULL) + ttl;
    snprintf(token.session_id, sizeof(token.session_id), "%s",
             conf->session_id);

    err = voice_token_sign(keys, &token, conf->token, sizeof(conf->token));

    if (err != VOICE_OK) {
        vc_sign_complain(name, err);
        return false;
    }

    return true;
}


void
vc_sign_complain(const char *name, voice_err_t err)
{
    vc_complain(name, "--key: signing failed (%s)%s", voice_err_name(err),
                err == VOICE_E_STATE ? ": expected a secret or a private key, "
                                       "not a public one" : "");
}


bool
vc_connection_user(const char *name, const vc_connection_t *conn,
    uint64_t ttl, char *jwt, size_t size)
{
    voice_err_t         err;
    voice_token_keys_t  keys;
    voice_user_token_t  token;

    if (!vc_keys_load(name, conn->key, &keys)) {
        return false;
    }

    memset(&token, 0, sizeof(token));
    token.user_id = conn->user;
    token.guild_id[0] = conn->guild;
    token.nguilds = 1;
    token.expires = (int64_t) time(NULL) + (int64_t) ttl;

    err = voice_user_token_sign(&keys, &token, jwt, size);
    voice_token_keys_free(&keys);

    if (err != VOICE_OK) {
        vc_sign_complain(name, err);
        return false;
    }

    return true;
}


json_t *
vc_token_claims(const char *jwt)
{
    char         text[VOICE_USER_TOKEN_MAX];
    json_t      *claims;
    size_t       len;
    const char  *part, *end;

    part = strchr(jwt, '.');
    end = part != NULL ? strchr(part + 1, '.') : NULL;

    if (end == NULL
        || sodium_base642bin((unsigned char *) text, sizeof(text), part + 1,
                             (size_t) (end - part - 1), NULL, &len, NULL,
                             sodium_base64_VARIANT_URLSAFE_NO_PADDING) != 0)
    {
        return NULL;
    }

    claims = json_loadb(text, len, 0, NULL);

    if (!json_is_object(claims)) {
        json_decref(claims);
        return NULL;
    }

    return claims;
}


static bool
vc_token_ids(const char *jwt, vc_client_conf_t *conf)
{
    json_t      *claims;
    const char  *sid;

    claims = vc_token_claims(jwt);
    if (claims == NULL) {
        return false;
    }

    vc_claim_id(claims, "sub", &conf->user_id);
    vc_claim_id(claims, "gid", &conf->guild_id);
    vc_claim_id(claims, "cid", &conf->channel_id);

    sid = json_string_value(json_object_get(claims, "sid"));
    if (sid != NULL) {
        snprintf(conf->session_id, sizeof(conf->session_id), "%s", sid);
    }

    json_decref(claims);
    return true;
}


static void
vc_claim_id(const json_t *claims, const char *name, uint64_t *id)
{
    const char  *text;

    text = json_string_value(json_object_get(claims, name));

    if (text != NULL) {
        vc_parse_id(text, id);
    }
}


bool
vc_connection_mode(const char *name, const char *mode, int *out)
{
    int           i;
    voice_mode_t  m;

    if (mode == NULL) {
        *out = VC_MODE_FIRST;
        return true;
    }

    if (voice_mode_parse(mode, strlen(mode), &m) == VOICE_OK) {
        *out = (int) m;
        return true;
    }

    vc_complain(name, "--mode \"%s\": expected one of", mode);

    for (i = 0; i < VOICE_MODE_COUNT; i++) {
        fprintf(stderr, "  %s\n", voice_mode_name((voice_mode_t) i));
    }

    return false;
}
