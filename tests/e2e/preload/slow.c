/*
 * Copyright (C) ngx-voice contributors
 *
 * Preloaded into nginx: a device that is too slow.  SLOW_FILE holds three
 * native 64-bit numbers: how many calls of sendmmsg() are refused from now
 * on, and with which error; then as many messages pass as the third one says,
 * or all of them if that is -1.
 */


#define _GNU_SOURCE

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>


typedef struct {
    _Atomic int64_t   refused;
    _Atomic int64_t   error;
    _Atomic int64_t   pass;
} slow_t;


static slow_t  *slow;
static int    (*slow_sendmmsg)(int, struct mmsghdr *, unsigned, int);


__attribute__((constructor)) static void
slow_init(void)
{
    int          fd;
    const char  *file;

    file = getenv("SLOW_FILE");
    fd = (file != NULL) ? open(file, O_RDWR) : -1;

    if (fd == -1) {
        abort();
    }

    slow = mmap(NULL, sizeof(slow_t), PROT_READ|PROT_WRITE, MAP_SHARED, fd, 0);

    if (slow == MAP_FAILED) {
        abort();
    }

    close(fd);

    *(void **) &slow_sendmmsg = dlsym(RTLD_NEXT, "sendmmsg");
}


int
sendmmsg(int fd, struct mmsghdr *msg, unsigned n, int flags)
{
    int      sent;
    int64_t  pass;

    if (atomic_load(&slow->refused) > 0) {
        atomic_fetch_sub(&slow->refused, 1);
        errno = (int) atomic_load(&slow->error);
        return -1;
    }

    pass = atomic_load(&slow->pass);

    if (pass == 0) {
        errno = (int) atomic_load(&slow->error);
        return -1;
    }

    if (pass > 0 && n > pass) {
        n = (unsigned) pass;
    }

    sent = slow_sendmmsg(fd, msg, n, flags);

    if (pass > 0 && sent > 0) {
        atomic_fetch_sub(&slow->pass, sent);
    }

    return sent;
}
