/*
 * Copyright (C) ngx-voice contributors
 */


#include "commands.h"
#include "connection.h"

#include <stdio.h>
#include <string.h>
#include <time.h>


#define VC_TTL_MAX   (100.0 * 365 * 86400)


static int vc_token_user(int argc, char **argv);
static int vc_token_voice(int argc, char **argv);
static int vc_token_platform(int argc, char **argv);
static int vc_token_print(const char *name, voice_err_t err,
    const char *jwt);


int
vc_cmd_token(int argc, char **argv)
{
    if (argc > 0 && strcmp(argv[0], "user") == 0) {
        return vc_token_user(argc - 1, argv + 1);
    }

    if (argc > 0 && strcmp(argv[0], "voice") == 0) {
        return vc_token_voice(argc - 1, argv + 1);
    }

    if (argc > 0 && strcmp(argv[0], "platform") == 0) {
        return vc_token_platform(argc - 1, argv + 1);
    }

    if (argc > 0
        && (strcmp(argv[0], "--help") == 0 || strcmp(argv[0], "-h") == 0))
    {
        printf("Usage: voicectl token user|voice|platform [options]\n\n"
               "  user      what a client library takes as its bot token\n"
               "  voice     what admits one user to one voice channel\n"
               "  platform  what lets its bearer manage guilds and all who "
               "are in voice\n\n"
               "\"voicectl token user --help\" lists the options of one.\n");
        return VC_EXIT_OK;
    }

    vc_complain("token", "\"%s\": expected \"user\", \"voice\" or "
                "\"platform\"",
                argc > 0 ? argv[0] : "");
    return VC_EXIT_USAGE;
}


static int
vc_token_user(int argc, char **argv)
{
    char                jwt[VOICE_TOKEN_MAX * 4];
    bool                bot;
    size_t              i;
    uint64_t            user, ttl;
    const char         *key, *name;
    voice_err_t         err;
    vc_ids_t            guilds;
    vc_parse_t          rc;
    vc_connection_t     conn;
    voice_token_keys_t  keys;
    voice_user_token_t  token;

    const vc_option_t  options[] = {
        VC_OPTION_KEY(&conn),
        { "user", VC_OPT_ID, &user, "ID", "the user", 0, 0 },
        { "name", VC_OPT_TEXT, &name, "NAME", "how others see the user", 0,
          0 },
        { "guild", VC_OPT_IDS, &guilds, "ID", "a guild that the user may see; "
          "may be repeated", 0, 0 },
        { "bot", VC_OPT_FLAG, &bot, NULL, "the user is a bot", 0, 0 },
        { "ttl", VC_OPT_TIME, &ttl, "TIME", "how long it is valid, default "
          "24h; 0: for ever", 0, VC_TTL_MAX }
    };

    const vc_command_t  cmd = {
        "token user",
        "Signs a user token, which client libraries use as their bot token, "
        "and prints\nit alone.",
        NULL, options, sizeof(options) / sizeof(options[0])
    };

    memset(&conn, 0, sizeof(conn));
    memset(&token, 0, sizeof(token));
    guilds.n = 0;
    user = 0;
    name = NULL;
    bot = false;
    ttl = 24 * 3600 * 1000;

    rc = vc_options_parse(&cmd, argc, argv);
    if (rc != VC_PARSE_OK) {
        return rc == VC_PARSE_HELP ? VC_EXIT_OK : VC_EXIT_USAGE;
    }

    key = conn.key;

    if (key == NULL || user == 0) {
        vc_complain(cmd.name, "expected --key FILE and --user ID");
        return VC_EXIT_USAGE;
    }

    if (name != NULL && strlen(name) > VOICE_TOKEN_NAME_MAX) {
        vc_complain(cmd.name, "--name \"%s\": expected at most %d bytes",
                    name, VOICE_TOKEN_NAME_MAX);
        return VC_EXIT_USAGE;
    }

    token.user_id = user;
    token.bot = bot;
    token.nguilds = guilds.n;
    token.expires = ttl != 0 ? (int64_t) time(NULL) + (int64_t) (ttl / 1000)
                             : 0;
    snprintf(token.name, sizeof(token.name), "%s", name != NULL ? name : "");

    for (i = 0; i < guilds.n; i++) {
        token.guild_id[i] = guilds.id[i];
    }

    if (!vc_keys_load(cmd.name, key, &keys)) {
        return VC_EXIT_FAILED;
    }

    err = voice_user_token_sign(&keys, &token, jwt, sizeof(jwt));
    voice_token_keys_free(&keys);

    return vc_token_print(cmd.name, err, jwt);
}


static int
vc_token_voice(int argc, char **argv)
{
    char                jwt[VOICE_TOKEN_MAX + 1];
    bool                mute, deaf, suppress;
    uint64_t            ttl;
    vc_parse_t          rc;
    voice_err_t         err;
    voice_token_t       token;
    vc_connection_t     conn;
    voice_token_keys_t  keys;

    const vc_option_t  options[] = {
        VC_OPTION_KEY(&conn),
        { "user", VC_OPT_ID, &conn.user, "ID", "the user", 0, 0 },
        { "guild", VC_OPT_ID, &conn.guild, "ID", "guild of the channel", 0,
          0 },
        { "channel", VC_OPT_ID, &conn.channel, "ID", "the voice channel", 0,
          0 },
        { "session", VC_OPT_TEXT, &conn.session, "TEXT", "session id, up to "
          "64 characters", 0, 0 },
        { "ttl", VC_OPT_TIME, &ttl, "TIME", "how long it is valid, default "
          "60s; 0: for ever", 0, VC_TTL_MAX },
        { "mute", VC_OPT_FLAG, &mute, NULL, "muted by the server", 0, 0 },
        { "deaf", VC_OPT_FLAG, &deaf, NULL, "deafened by the server", 0, 0 },
        { "suppress", VC_OPT_FLAG, &suppress, NULL, "may not speak (stage "
          "audience)", 0, 0 }
    };

    const vc_command_t  cmd = {
        "token voice",
        "Signs a voice token, which admits one user to one voice channel, and "
        "prints it\nalone.",
        NULL, options, sizeof(options) / sizeof(options[0])
    };

    memset(&conn, 0, sizeof(conn));
    memset(&token, 0, sizeof(token));
    mute = deaf = suppress = false;
    ttl = VC_TOKEN_TTL * 1000;

    rc = vc_options_parse(&cmd, argc, argv);
    if (rc != VC_PARSE_OK) {
        return rc == VC_PARSE_HELP ? VC_EXIT_OK : VC_EXIT_USAGE;
    }

    if (conn.key == NULL || conn.user == 0 || conn.guild == 0
        || conn.channel == 0 || conn.session == NULL)
    {
        vc_complain(cmd.name, "expected --key, --user, --guild, --channel and "
                    "--session");
        return VC_EXIT_USAGE;
    }

    if (strlen(conn.session) > VOICE_SESSION_ID_MAX) {
        vc_complain(cmd.name, "--session \"%s\": expected at most %d "
                    "characters", conn.session, VOICE_SESSION_ID_MAX);
        return VC_EXIT_USAGE;
    }

    token.user_id = conn.user;
    token.guild_id = conn.guild;
    token.channel_id = conn.channel;
    token.mute = mute;
    token.deaf = deaf;
    token.suppress = suppress;
    token.expires = ttl != 0 ? (int64_t) time(NULL) + (int64_t) (ttl / 1000)
                             : 0;
    strcpy(token.session_id, conn.session);

    if (!vc_keys_load(cmd.name, conn.key, &keys)) {
        return VC_EXIT_FAILED;
    }

    err = voice_token_sign(&keys, &token, jwt, sizeof(jwt));
    voice_token_keys_free(&keys);

    return vc_token_print(cmd.name, err, jwt);
}


static int
vc_token_platform(int argc, char **argv)
{
    char                jwt[VOICE_TOKEN_MAX + 1];
    uint64_t            ttl;
    vc_parse_t          rc;
    voice_err_t         err;
    vc_connection_t     conn;
    voice_token_keys_t  keys;

    const vc_option_t  options[] = {
        VC_OPTION_KEY(&conn),
        { "ttl", VC_OPT_TIME, &ttl, "TIME", "how long it is valid, default "
          "1h; 0: for ever", 0, VC_TTL_MAX }
    };

    const vc_command_t  cmd = {
        "token platform",
        "Signs a token for /api/v1 with a key that the server has as\n"
        "voice_platform_key, and prints it alone.",
        NULL, options, sizeof(options) / sizeof(options[0])
    };

    memset(&conn, 0, sizeof(conn));
    ttl = 3600 * 1000;

    rc = vc_options_parse(&cmd, argc, argv);
    if (rc != VC_PARSE_OK) {
        return rc == VC_PARSE_HELP ? VC_EXIT_OK : VC_EXIT_USAGE;
    }

    if (conn.key == NULL) {
        vc_complain(cmd.name, "expected --key FILE");
        return VC_EXIT_USAGE;
    }

    if (!vc_keys_load(cmd.name, conn.key, &keys)) {
        return VC_EXIT_FAILED;
    }

    err = voice_platform_token_sign(&keys, ttl != 0
                                    ? (int64_t) time(NULL)
                                      + (int64_t) (ttl / 1000)
                                    : 0, jwt, sizeof(jwt));
    voice_token_keys_free(&keys);

    return vc_token_print(cmd.name, err, jwt);
}


static int
vc_token_print(const char *name, voice_err_t err, const char *jwt)
{
    if (err != VOICE_OK) {
        vc_sign_complain(name, err);
        return VC_EXIT_FAILED;
    }

    if (puts(jwt) == EOF || fflush(stdout) == EOF) {
        vc_complain(name, "standard output: write failed");
        return VC_EXIT_FAILED;
    }

    return VC_EXIT_OK;
}
