/*
 * Copyright (C) ngx-voice contributors
 */


#include "zone.h"

#include "options.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>


static bool
vc_zone_attach(const char *command, const char *path, int fd,
    voice_zone_t *z)
{
    void         *mem;
    struct stat   st;
    voice_err_t   err;

    if (fstat(fd, &st) == -1
        || (size_t) st.st_size < sizeof(voice_zone_header_t))
    {
        vc_complain(command, "%s has %lld bytes, expected a zone file", path,
                    (long long) st.st_size);
        return false;
    }

    mem = mmap(NULL, (size_t) st.st_size, PROT_READ|PROT_WRITE, MAP_SHARED,
               fd, 0);

    if (mem == MAP_FAILED) {
        vc_complain(command, "%s: mmap: %s", path, strerror(errno));
        return false;
    }

    err = voice_zone_attach(z, mem, (size_t) st.st_size,
                            ((voice_zone_header_t *) mem)->sessions);

    if (err != VOICE_OK) {
        vc_complain(command, "%s is no zone of this layout version, %d (%s)",
                    path, VOICE_ZONE_LAYOUT, voice_err_name(err));
        return false;
    }

    return true;
}


bool
vc_zone_open(const char *command, const char *path, voice_zone_t *z)
{
    int   fd;
    bool  ok;

    fd = open(path, O_RDWR|O_CLOEXEC);

    if (fd == -1) {
        vc_complain(command, "%s: %s", path, strerror(errno));
        return false;
    }

    ok = vc_zone_attach(command, path, fd, z);
    close(fd);

    return ok;
}
