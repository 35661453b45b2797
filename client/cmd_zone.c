/*
 * Copyright (C) ngx-voice contributors
 */


#include "commands.h"
#include "options.h"
#include "zone.h"

#include "voice_session.h"

#include <stdio.h>
#include <string.h>


static int vc_zone_check(const char *path, bool json);


int
vc_cmd_zone(int argc, char **argv)
{
    bool         json;
    const char  *path;
    vc_parse_t   rc;

    const vc_option_t  options[] = {
        { "zone", VC_OPT_TEXT, &path, "FILE", "the file of the voice_zone "
          "directive", 0, 0 },
        { "json", VC_OPT_FLAG, &json, NULL, "one object on one line", 0, 0 }
    };

    const vc_command_t  cmd = {
        "zone check",
        "Checks the shared memory of a voice server, running or not, for "
        "consistency.",
        "Exit code 0 means that no fault was found.  The zone is locked while "
        "it is\nread, for some milliseconds; media doesn't wait for that.\n",
        options, sizeof(options) / sizeof(options[0])
    };

    path = NULL;
    json = false;

    if (argc > 0 && strcmp(argv[0], "check") == 0) {
        argc--;
        argv++;

    } else if (argc == 0 || argv[0][0] != '-') {
        vc_complain("zone", "expected \"check\", found \"%s\"",
                    argc > 0 ? argv[0] : "");
        return VC_EXIT_USAGE;
    }

    rc = vc_options_parse(&cmd, argc, argv);
    if (rc != VC_PARSE_OK) {
        return rc == VC_PARSE_HELP ? VC_EXIT_OK : VC_EXIT_USAGE;
    }

    if (path == NULL) {
        vc_complain(cmd.name, "expected --zone FILE");
        return VC_EXIT_USAGE;
    }

    return vc_zone_check(path, json);
}


static int
vc_zone_check(const char *path, bool json)
{
    char                   text[256];
    unsigned               faults;
    uint64_t               repairs;
    voice_zone_t           z;
    voice_session_stats_t  st;

    if (!vc_zone_open("zone check", path, &z)) {
        return VC_EXIT_FAILED;
    }

    text[0] = '\0';

    voice_zone_lock(&z);
    faults = voice_zone_verify(&z, text, sizeof(text));
    voice_zone_unlock(&z);

    voice_session_stats(&z, &st);
    repairs = z.header->repairs;

    if (json) {
        printf("{\"faults\":%u,\"sessions\":%u,\"live\":%u,\"detached\":%u,"
               "\"rooms\":%u,\"capacity\":%u,\"repairs\":%llu}\n",
               faults, st.sessions, st.live, st.detached, st.rooms,
               st.capacity, (unsigned long long) repairs);
    } else {
        printf("%s: %u sessions of %u (%u live, %u detached), %u rooms, "
               "%llu repairs, %u faults\n",
               path, st.sessions, st.capacity, st.live, st.detached,
               st.rooms, (unsigned long long) repairs, faults);
    }

    if (faults != 0) {
        vc_complain("zone check", "%s", text);
        return VC_EXIT_FAILED;
    }

    return VC_EXIT_OK;
}
