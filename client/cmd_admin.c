/*
 * Copyright (C) ngx-voice contributors
 *
 * What moderators do, from the command line: mute, unmute, deafen, undeafen,
 * move, kick; and who is in voice.
 */


#include "commands.h"
#include "rest.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>


typedef struct {
    const char  *name;
    const char  *summary;
    const char  *body;         /* NULL: a channel to move to */
    const char  *flag;         /* of the answer that must agree, or NULL */
    bool         value;
} vc_act_t;


static int vc_act(const vc_act_t *act, int argc, char **argv);
static bool vc_act_done(const vc_act_t *act, const json_t *member);
static void vc_states_print(const json_t *list);
static const char *vc_states_text(const json_t *state, const char *key);


static const char  vc_act_notes[] =
    "With a token of a user or bot that is a member of the guild and has the\n"
    "permission (MUTE_MEMBERS, DEAFEN_MEMBERS, MOVE_MEMBERS), or with the "
    "platform's key\nor token.  Who is muted or deafened stays so when leaving "
    "and coming back.";


static int
vc_act(const vc_act_t *act, int argc, char **argv)
{
    char        path[80], body[64];
    bool        done;
    json_t     *member;
    uint64_t    channel;
    vc_rest_t   rest;
    vc_parse_t  rc;

    const vc_option_t  options[] = {
        VC_OPTION_API(&rest),
        { "guild", VC_OPT_ID, &rest.conn.guild, "ID", "the guild", 0, 0 },
        { "user", VC_OPT_ID, &rest.conn.user, "ID", "whom", 0, 0 },
        { "reason", VC_OPT_TEXT, &rest.reason, "TEXT", "for the server's log",
          0, 0 },

        /* the last one, which only a move has */
        { "channel", VC_OPT_ID, &channel, "ID", "voice channel to move to, "
          "of the same guild", 0, 0 }
    };

    const vc_command_t  cmd = {
        act->name, act->summary, vc_act_notes, options,
        sizeof(options) / sizeof(options[0]) - (act->body != NULL)
    };

    memset(&rest, 0, sizeof(rest));
    channel = 0;

    rc = vc_options_parse(&cmd, argc, argv);
    if (rc != VC_PARSE_OK) {
        return rc == VC_PARSE_HELP ? VC_EXIT_OK : VC_EXIT_USAGE;
    }

    if (!vc_rest_check(cmd.name, &rest)) {
        return VC_EXIT_USAGE;
    }

    if (rest.conn.user == 0 || (act->body == NULL && channel == 0)) {
        vc_complain(cmd.name, "expected --user ID%s",
                    act->body == NULL ? " and --channel ID" : "");
        return VC_EXIT_USAGE;
    }

    snprintf(path, sizeof(path), "guilds/%" PRIu64 "/members/%" PRIu64,
             rest.conn.guild, rest.conn.user);
    snprintf(body, sizeof(body), "{\"channel_id\":\"%" PRIu64 "\"}", channel);

    member = vc_rest_call(cmd.name, &rest, "PATCH", path,
                          act->body != NULL ? act->body : body);
    if (member == NULL) {
        return VC_EXIT_FAILED;
    }

    done = vc_act_done(act, member);
    json_decref(member);

    return done ? VC_EXIT_OK : VC_EXIT_FAILED;
}


/* The answer is the member as it is now. */
static bool
vc_act_done(const vc_act_t *act, const json_t *member)
{
    const json_t  *flag;

    if (act->flag == NULL) {
        return true;
    }

    flag = json_object_get(member, act->flag);

    if (json_is_boolean(flag) && json_is_true(flag) == act->value) {
        return true;
    }

    vc_complain(act->name, "the server's answer has no \"%s\":%s",
                act->flag, act->value ? "true" : "false");
    return false;
}


int
vc_cmd_mute(int argc, char **argv)
{
    static const vc_act_t  act = {
        "mute", "Mutes a user who is in voice: the server drops what they "
        "say.", "{\"mute\":true}", "mute", true
    };

    return vc_act(&act, argc, argv);
}


int
vc_cmd_unmute(int argc, char **argv)
{
    static const vc_act_t  act = {
        "unmute", "Takes a mute back.", "{\"mute\":false}", "mute", false
    };

    return vc_act(&act, argc, argv);
}


int
vc_cmd_deafen(int argc, char **argv)
{
    static const vc_act_t  act = {
        "deafen", "Deafens a user who is in voice: the server sends them "
        "nothing.", "{\"deaf\":true}", "deaf", true
    };

    return vc_act(&act, argc, argv);
}


int
vc_cmd_undeafen(int argc, char **argv)
{
    static const vc_act_t  act = {
        "undeafen", "Takes a deafening back.", "{\"deaf\":false}", "deaf",
        false
    };

    return vc_act(&act, argc, argv);
}


int
vc_cmd_move(int argc, char **argv)
{
    static const vc_act_t  act = {
        "move", "Moves a user who is in voice to another voice channel.",
        NULL, NULL, false
    };

    return vc_act(&act, argc, argv);
}


int
vc_cmd_kick(int argc, char **argv)
{
    static const vc_act_t  act = {
        "kick", "Disconnects a user from voice.", "{\"channel_id\":null}",
        NULL, false
    };

    return vc_act(&act, argc, argv);
}


int
vc_cmd_states(int argc, char **argv)
{
    char        path[80];
    bool        json;
    json_t     *list;
    vc_rest_t   rest;
    vc_parse_t  rc;

    const vc_option_t  options[] = {
        VC_OPTION_API(&rest),
        { "guild", VC_OPT_ID, &rest.conn.guild, "ID", "the guild", 0, 0 },
        { "user", VC_OPT_ID, &rest.conn.user, "ID", "of this user alone; all "
          "of them are for the platform", 0, 0 },
        { "json", VC_OPT_FLAG, &json, NULL, "print the JSON, on one line", 0,
          0 }
    };

    const vc_command_t  cmd = {
        "states",
        "Shows who is in the voice channels of a guild.",
        NULL, options, sizeof(options) / sizeof(options[0])
    };

    memset(&rest, 0, sizeof(rest));
    json = false;

    rc = vc_options_parse(&cmd, argc, argv);
    if (rc != VC_PARSE_OK) {
        return rc == VC_PARSE_HELP ? VC_EXIT_OK : VC_EXIT_USAGE;
    }

    if (!vc_rest_check(cmd.name, &rest)) {
        return VC_EXIT_USAGE;
    }

    if (rest.conn.user != 0) {
        snprintf(path, sizeof(path), "guilds/%" PRIu64 "/voice-states/%"
                 PRIu64, rest.conn.guild, rest.conn.user);
    } else {
        snprintf(path, sizeof(path), "guilds/%" PRIu64 "/voice-states",
                 rest.conn.guild);
    }

    list = vc_rest_call(cmd.name, &rest, "GET", path, NULL);
    if (list == NULL) {
        return VC_EXIT_FAILED;
    }

    if (json) {
        json_dumpf(list, stdout, JSON_COMPACT);
        putchar('\n');

    } else {
        vc_states_print(list);
    }

    json_decref(list);

    return fflush(stdout) == 0 ? VC_EXIT_OK : VC_EXIT_FAILED;
}


static void
vc_states_print(const json_t *list)
{
    size_t   i, k;
    json_t  *state;

    static const char *const  flags[] = {
        "mute", "deaf", "suppress", "self_mute", "self_deaf", "self_video",
        "self_stream"
    };

    for (i = 0; ; i++) {
        state = json_is_array(list) ? json_array_get(list, i)
                : i == 0 ? (json_t *) list : NULL;

        if (state == NULL) {
            return;
        }

        printf("channel %s user %s", vc_states_text(state, "channel_id"),
               vc_states_text(state, "user_id"));

        for (k = 0; k < sizeof(flags) / sizeof(flags[0]); k++) {
            if (json_is_true(json_object_get(state, flags[k]))) {
                printf(" %s", flags[k]);
            }
        }

        putchar('\n');
    }
}


static const char *
vc_states_text(const json_t *state, const char *key)
{
    const char  *text;

    text = json_string_value(json_object_get(state, key));

    return text != NULL ? text : "-";
}
