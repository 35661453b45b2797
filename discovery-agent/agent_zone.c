/*
 * Copyright (C) ngx-voice contributors
 */


#include "agent_zone.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>


#define AGENT_ZONE_MODE    0660
#define AGENT_ZONE_ERROR   512
#define AGENT_ZONE_WAKES   1024


uint64_t
agent_zone_now(void)
{
    struct timespec  ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);

    return (uint64_t) ts.tv_sec * 1000 + (uint64_t) ts.tv_nsec / 1000000;
}


/* A name in the abstract space: no file, and it ends with its socket. */

static socklen_t
agent_zone_address(struct sockaddr_un *sun, const char *name)
{
    size_t  len;

    memset(sun, 0, sizeof(struct sockaddr_un));
    sun->sun_family = AF_UNIX;

    len = strnlen(name, VOICE_WORKER_NAME_MAX - 1);
    memcpy(sun->sun_path + 1, name, len);

    return (socklen_t) (offsetof(struct sockaddr_un, sun_path) + 1 + len);
}


bool
agent_zone_listen(agent_zone_t *z)
{
    socklen_t           len;
    struct sockaddr_un  sun;

    snprintf(z->name, sizeof(z->name), "ngx-voice-agent.%d.%08x",
             (int) getpid(), (unsigned) randombytes_random());

    z->socket = socket(AF_UNIX, SOCK_DGRAM|SOCK_NONBLOCK|SOCK_CLOEXEC, 0);

    if (z->socket == -1) {
        return false;
    }

    len = agent_zone_address(&sun, z->name);

    return bind(z->socket, (struct sockaddr *) &sun, len) == 0;
}


/* Complete before it appears under its name; EEXIST: somebody was faster. */

static bool
agent_zone_create(const char *path, uint32_t guilds)
{
    int              fd, err;
    void            *mem;
    char             tmp[300], *slash;
    size_t           size;
    struct stat      st;
    voice_cluster_t  c;

    size = voice_cluster_size(guilds);
    snprintf(tmp, sizeof(tmp), "%s", path);
    slash = strrchr(tmp, '/');

    if (slash == NULL) {
        errno = EINVAL;
        return false;
    }

    slash[slash == tmp] = '\0';

    if (stat(tmp, &st) == -1) {
        return false;
    }

    snprintf(tmp, sizeof(tmp), "%s.%d", path, (int) getpid());
    (void) unlink(tmp);

    fd = open(tmp, O_RDWR|O_CREAT|O_EXCL|O_CLOEXEC|O_NOFOLLOW,
              AGENT_ZONE_MODE);

    if (fd == -1) {
        return false;
    }

    /* the folder's group is the one that both sides have in common */

    if (fchown(fd, (uid_t) -1, st.st_gid) == -1 && errno != EPERM) {
        goto failed;
    }

    if (fchmod(fd, AGENT_ZONE_MODE) == -1) {
        goto failed;
    }

    /* all of it, now: on a full file system SIGBUS would come later */

    do {
        errno = posix_fallocate(fd, 0, (off_t) size);
    } while (errno == EINTR);

    if (errno != 0) {
        goto failed;
    }

    mem = mmap(NULL, size, PROT_READ|PROT_WRITE, MAP_SHARED, fd, 0);

    if (mem == MAP_FAILED) {
        goto failed;
    }

    (void) voice_cluster_format(&c, mem, size, guilds,
                                (uint64_t) randombytes_random() << 32
                                | randombytes_random());
    munmap(mem, size);

    if (link(tmp, path) == -1 && errno != EEXIST) {
        goto failed;
    }

    (void) unlink(tmp);
    close(fd);

    return true;

failed:

    err = errno;
    (void) unlink(tmp);
    close(fd);
    errno = err;

    return false;
}


/* One agent a zone.  The lock ends with the process, however it ends. */

static bool
agent_zone_lock(int fd)
{
    struct flock  fl;

    memset(&fl, 0, sizeof(fl));
    fl.l_type = F_WRLCK;
    fl.l_whence = SEEK_SET;
    fl.l_len = 1;

    return fcntl(fd, F_SETLK, &fl) != -1;
}


static bool
agent_zone_attach(agent_zone_t *z, voice_cluster_t *c, char *error)
{
    voice_err_t  err;
    struct stat  st;

    if (fstat(z->fd, &st) == -1 || !S_ISREG(st.st_mode)
        || (size_t) st.st_size < sizeof(voice_cluster_header_t))
    {
        snprintf(error, AGENT_ZONE_ERROR, "%s is no cluster zone", z->path);
        return false;
    }

    z->device = st.st_dev;
    z->inode = st.st_ino;
    z->size = (size_t) st.st_size;

    z->mem = mmap(NULL, z->size, PROT_READ|PROT_WRITE, MAP_SHARED, z->fd, 0);

    if (z->mem == MAP_FAILED) {
        z->mem = NULL;
        snprintf(error, AGENT_ZONE_ERROR, "%s: mmap: %s", z->path,
                 strerror(errno));
        return false;
    }

    err = voice_cluster_attach(c, z->mem, z->size);

    if (err != VOICE_OK) {
        snprintf(error, AGENT_ZONE_ERROR, "%s is no cluster zone of layout "
                 "version %d (%s): are nginx and agent of one release?",
                 z->path, VOICE_CLUSTER_LAYOUT, voice_err_name(err));
        return false;
    }

    return true;
}


bool
agent_zone_open(agent_zone_t *z, const char *path, uint32_t guilds,
    char *error)
{
    voice_err_t      err;
    voice_cluster_t  c;

    snprintf(z->path, sizeof(z->path), "%s", path);

    z->fd = open(path, O_RDWR|O_CLOEXEC|O_NOFOLLOW);

    if (z->fd == -1 && errno == ENOENT && agent_zone_create(path, guilds)) {
        z->fd = open(path, O_RDWR|O_CLOEXEC|O_NOFOLLOW);
    }

    if (z->fd == -1) {
        snprintf(error, AGENT_ZONE_ERROR, "%s: %s", path, strerror(errno));
        return false;
    }

    if (!agent_zone_lock(z->fd)) {
        snprintf(error, AGENT_ZONE_ERROR, "%s is in use by another agent",
                 path);
        agent_zone_close(z);
        return false;
    }

    if (!agent_zone_attach(z, &c, error)) {
        agent_zone_close(z);
        return false;
    }

    err = voice_cluster_open(&z->w, &c, NULL, (uint32_t) getpid(), z->name,
                             agent_zone_now());

    if (err != VOICE_OK) {
        snprintf(error, AGENT_ZONE_ERROR, "%s: %s", path,
                 voice_err_name(err));
        agent_zone_close(z);
        return false;
    }

    return true;
}


void
agent_zone_close(agent_zone_t *z)
{
    if (z->w.free != NULL) {
        voice_cluster_close(&z->w);
    }

    if (z->mem != NULL) {
        munmap(z->mem, z->size);
        z->mem = NULL;
    }

    if (z->fd != -1) {
        close(z->fd);
        z->fd = -1;
    }
}


bool
agent_zone_replaced(const agent_zone_t *z)
{
    struct stat  st;

    return stat(z->path, &st) == 0
           && (st.st_ino != z->inode || st.st_dev != z->device);
}


void
agent_zone_drain(agent_zone_t *z)
{
    char      byte;
    unsigned  n;

    /* they may come as fast as they are taken; the rest is for the next turn */

    for (n = 0;
         n < AGENT_ZONE_WAKES && recv(z->socket, &byte, 1, MSG_DONTWAIT) >= 0;
         n++)
    {
        /* void */
    }
}


void
agent_zone_wake(agent_zone_t *z)
{
    unsigned                 i;
    socklen_t                len;
    struct sockaddr_un       sun;
    voice_cluster_worker_t  *worker;

    for (i = 0; i < VOICE_WORKERS_MAX; i++) {

        if ((z->w.wake[i / 64] & 1ull << (i % 64)) == 0) {
            continue;
        }

        worker = &z->w.c.header->worker[i];

        if (atomic_load(&worker->pid) == 0) {
            continue;
        }

        /* a full queue holds wakes enough; nobody there: it wakes anew */

        len = agent_zone_address(&sun, worker->name);
        (void) sendto(z->socket, "", 1, MSG_DONTWAIT,
                      (struct sockaddr *) &sun, len);
    }

    memset(z->w.wake, 0, sizeof(z->w.wake));
}


bool
agent_zone_view(voice_cluster_t *c, const char *path, char *error)
{
    int           fd;
    bool          ok;
    agent_zone_t  z;

    memset(&z, 0, sizeof(z));
    snprintf(z.path, sizeof(z.path), "%s", path);

    fd = open(path, O_RDWR|O_CLOEXEC|O_NOFOLLOW);

    if (fd == -1) {
        snprintf(error, AGENT_ZONE_ERROR, "%s: %s", path, strerror(errno));
        return false;
    }

    z.fd = fd;
    ok = agent_zone_attach(&z, c, error);
    close(fd);

    return ok;
}
