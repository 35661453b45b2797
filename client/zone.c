/*
 * Copyright (C) ngx-voice contributors
 */


#include "zone.h"

#include "options.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
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


/* A worker without room for it has wakes enough; one that died is seen. */
void
vc_zone_wake(voice_zone_t *z)
{
    int                  fd;
    size_t               i, len;
    const char          *name;
    struct sockaddr_un   sun;

    fd = socket(AF_UNIX, SOCK_DGRAM|SOCK_CLOEXEC, 0);

    if (fd == -1) {
        return;
    }

    memset(&sun, 0, sizeof(sun));
    sun.sun_family = AF_UNIX;

    for (i = 0; i < VOICE_WORKERS_MAX; i++) {
        if ((z->wake[i / 64] >> (i % 64) & 1) == 0) {
            continue;
        }

        name = z->header->worker[i].name;
        len = strnlen(name, VOICE_WORKER_NAME_MAX);

        memcpy(&sun.sun_path[1], name, len);
        (void) sendto(fd, "w", 1, MSG_DONTWAIT, (struct sockaddr *) &sun,
                      (socklen_t) (offsetof(struct sockaddr_un, sun_path) + 1
                                   + len));
    }

    memset(z->wake, 0, sizeof(z->wake));
    close(fd);
}
