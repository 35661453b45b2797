/*
 * Copyright (C) ngx-voice contributors
 */


#include "commands.h"
#include "options.h"

#include "voice_session.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>


static int vc_zone_check(const char *path, bool json);
static int vc_zone_open(const char *path, voice_zone_t *z);
static int vc_zone_attach(const char *path, int fd, voice_zone_t *z);


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

    if (vc_zone_open(path, &z) == -1) {
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


static int
vc_zone_open(const char *path, voice_zone_t *z)
{
    int  fd, rc;

    fd = open(path, O_RDWR|O_CLOEXEC);

    if (fd == -1) {
        vc_complain("zone check", "%s: %s", path, strerror(errno));
        return -1;
    }

    rc = vc_zone_attach(path, fd, z);
    close(fd);

    return rc;
}


static int
vc_zone_attach(const char *path, int fd, voice_zone_t *z)
{
    void         *mem;
    struct stat   st;
    voice_err_t   err;

    if (fstat(fd, &st) == -1
        || (size_t) st.st_size < sizeof(voice_zone_header_t))
    {
        vc_complain("zone check", "%s has %lld bytes, expected a zone file",
                    path, (long long) st.st_size);
        return -1;
    }

    mem = mmap(NULL, (size_t) st.st_size, PROT_READ|PROT_WRITE, MAP_SHARED,
               fd, 0);

    if (mem == MAP_FAILED) {
        vc_complain("zone check", "%s: mmap: %s", path, strerror(errno));
        return -1;
    }

    err = voice_zone_attach(z, mem, (size_t) st.st_size,
                            ((voice_zone_header_t *) mem)->sessions);

    if (err != VOICE_OK) {
        vc_complain("zone check", "%s is no zone of this layout version, %d "
                    "(%s)", path, VOICE_ZONE_LAYOUT, voice_err_name(err));
        return -1;
    }

    return 0;
}
