/*
 * Copyright (C) ngx-voice contributors
 */


#include "commands.h"
#include "loop.h"
#include "options.h"
#include "zone.h"

#include "voice_drain.h"
#include "voice_session.h"

#include <stdio.h>
#include <string.h>


#define VC_DRAIN_DEADLINE_MAX  (7.0 * 86400)


static int vc_drain(const char *path, bool off, uint64_t ms, bool json);
static void vc_drain_print(const char *path, const voice_zone_t *z,
    uint64_t now, bool json);


static const char  vc_drain_notes[] =
    "New sessions are refused with close code 4014, \"draining, no new "
    "calls\".  Calls\ngo on, resume included, until the deadline, when those "
    "who are left are told to\ngo by the same code.  The order stands until "
    "--off, over restarts too.  Progress:\n\"drain\" in voice_status.  "
    "\"voice_drain on\" in the configuration is separate from\nit: the "
    "server drains as long as either stands.";


int
vc_cmd_drain(int argc, char **argv)
{
    bool         off, json;
    uint64_t     ms;
    const char  *path;
    vc_parse_t   rc;

    const vc_option_t  options[] = {
        { "zone", VC_OPT_TEXT, &path, "FILE", "the file of the voice_zone "
          "directive", 0, 0 },
        { "deadline", VC_OPT_TIME, &ms, "TIME", "end the calls that are left "
          "by then; default: never", 1, VC_DRAIN_DEADLINE_MAX },
        { "off", VC_OPT_FLAG, &off, NULL, "admit calls again", 0, 0 },
        { "json", VC_OPT_FLAG, &json, NULL, "one object on one line", 0, 0 }
    };

    const vc_command_t  cmd = {
        "drain",
        "Has a voice server admit no new calls, before maintenance.",
        vc_drain_notes, options, sizeof(options) / sizeof(options[0])
    };

    path = NULL;
    ms = 0;
    off = false;
    json = false;

    rc = vc_options_parse(&cmd, argc, argv);
    if (rc != VC_PARSE_OK) {
        return rc == VC_PARSE_HELP ? VC_EXIT_OK : VC_EXIT_USAGE;
    }

    if (path == NULL || (off && ms != 0)) {
        vc_complain(cmd.name, "expected --zone FILE, and --deadline without "
                    "--off");
        return VC_EXIT_USAGE;
    }

    return vc_drain(path, off, ms, json);
}


static int
vc_drain(const char *path, bool off, uint64_t ms, bool json)
{
    uint64_t      now;
    voice_zone_t  z;

    if (!vc_zone_open("drain", path, &z)) {
        return VC_EXIT_FAILED;
    }

    now = vc_now() / VC_MS;

    if (off) {
        voice_drain_stop(&z, VOICE_DRAIN_ORDER);

    } else {
        voice_drain_start(&z, VOICE_DRAIN_ORDER, now, ms != 0 ? now + ms : 0);
    }

    vc_zone_wake(&z);

    vc_drain_print(path, &z, now, json);

    if (off && voice_drain_get(&z, NULL)) {
        fprintf(stderr, "voicectl drain: the server still drains, by its "
                "configuration or its fleet\n");
    }

    return VC_EXIT_OK;
}


static void
vc_drain_print(const char *path, const voice_zone_t *z, uint64_t now,
    bool json)
{
    bool                   on;
    uint64_t               seconds;
    voice_drain_t          drain;
    voice_session_stats_t  st;

    on = voice_drain_get(z, &drain);
    voice_session_stats(z, &st);
    seconds = drain.deadline > now ? (drain.deadline - now + 999) / 1000 : 0;

    if (json) {
        printf("{\"on\":%s,\"left\":%u,\"deadline_seconds\":",
               on ? "true" : "false", st.sessions);

        if (drain.deadline != 0) {
            printf("%llu}\n", (unsigned long long) seconds);
        } else {
            printf("null}\n");
        }

        return;
    }

    printf("%s: %s, %u sessions", path,
           on ? "no new calls" : "calls are admitted", st.sessions);

    if (drain.deadline != 0) {
        printf(", those that are left end in %llu s",
               (unsigned long long) seconds);
    }

    putchar('\n');
}
