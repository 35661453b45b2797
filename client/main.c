/*
 * Copyright (C) ngx-voice contributors
 *
 * voicectl: the command line client of ngx-voice.
 */


#include "commands.h"
#include "options.h"

#include "voice_crypto.h"

#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>


static const struct {
    const char  *name;
    int        (*run)(int argc, char **argv);
    const char  *summary;
} commands[] = {
    { "token", vc_cmd_token, "sign a token: user, voice or platform" },
    { "call", vc_cmd_call, "join a voice channel, play and record, measure" },
    { "load", vc_cmd_load, "many participants at once, every packet counted" },
    { "crowd", vc_cmd_crowd, "many gateway clients, every event counted" },
    { "mute", vc_cmd_mute, "mute a user in voice" },
    { "unmute", vc_cmd_unmute, "take a mute back" },
    { "deafen", vc_cmd_deafen, "deafen a user in voice" },
    { "undeafen", vc_cmd_undeafen, "take a deafening back" },
    { "move", vc_cmd_move, "move a user to another voice channel" },
    { "kick", vc_cmd_kick, "disconnect a user from voice" },
    { "states", vc_cmd_states, "show who is in voice in a guild" },
    { "status", vc_cmd_status, "show what a voice server says about itself" },
    { "zone", vc_cmd_zone, "check the shared memory of a voice server" },
    { "drain", vc_cmd_drain, "admit no new calls, before maintenance" },
    { "cluster", vc_cmd_cluster, "show the nodes of a region, give orders" }
};


static void
help(FILE *out)
{
    size_t  i;

    fprintf(out, "Usage: voicectl COMMAND [options]\n\nCommands:\n");

    for (i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
        fprintf(out, "  %-8s  %s\n", commands[i].name, commands[i].summary);
    }

    fprintf(out, "\n\"voicectl COMMAND --help\" lists the options of one.\n"
            "Exit code: 0 what was asked for happened, 1 it did not, "
            "2 bad command line.\n");
}


int
main(int argc, char **argv)
{
    size_t  i;

    if (argc < 2) {
        help(stderr);
        return VC_EXIT_USAGE;
    }

    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0
        || strcmp(argv[1], "help") == 0)
    {
        help(stdout);
        return VC_EXIT_OK;
    }

    for (i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
        if (strcmp(argv[1], commands[i].name) == 0) {
            break;
        }
    }

    if (i == sizeof(commands) / sizeof(commands[0])) {
        fprintf(stderr, "voicectl: unknown command \"%s\", see \"voicectl "
                "--help\"\n", argv[1]);
        return VC_EXIT_USAGE;
    }

    /* a connection that the server cut is an error code, not the end */
    signal(SIGPIPE, SIG_IGN);

    if (sodium_init() == -1 || voice_crypto_init() != VOICE_OK) {
        fprintf(stderr, "voicectl: no random numbers: libsodium failed to "
                "initialize\n");
        return VC_EXIT_FAILED;
    }

    return commands[i].run(argc - 2, argv + 2);
}
