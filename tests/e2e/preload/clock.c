/*
 * Copyright (C) ngx-voice contributors
 *
 * Preloaded: a wall clock that is wrong.  CLOCK_FILE holds by how many
 * seconds, as a native 64-bit number, which may change at any time.
 */


#define _GNU_SOURCE

#include <dlfcn.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>


static _Atomic int64_t  *clock_wrong;
static int             (*clock_real)(clockid_t, struct timespec *);


__attribute__((constructor)) static void
clock_init(void)
{
    int          fd;
    void        *mem;
    const char  *file;

    file = getenv("CLOCK_FILE");
    fd = (file != NULL) ? open(file, O_RDONLY) : -1;

    if (fd == -1) {
        abort();
    }

    mem = mmap(NULL, sizeof(int64_t), PROT_READ, MAP_SHARED, fd, 0);

    if (mem == MAP_FAILED) {
        abort();
    }

    close(fd);

    *(void **) &clock_real = dlsym(RTLD_NEXT, "clock_gettime");
    clock_wrong = mem;
}


int
clock_gettime(clockid_t id, struct timespec *ts)
{
    int  rc;

    /* another constructor may be before ours */

    if (clock_real == NULL) {
        *(void **) &clock_real = dlsym(RTLD_NEXT, "clock_gettime");
    }

    rc = clock_real(id, ts);

    if (rc == 0 && clock_wrong != NULL
        && (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE))
    {
        ts->tv_sec += atomic_load(clock_wrong);
    }

    return rc;
}


int
gettimeofday(struct timeval *restrict tv, void *restrict tz)
{
    int              rc;
    struct timespec  ts;

    (void) tz;

    rc = clock_gettime(CLOCK_REALTIME, &ts);
    tv->tv_sec = ts.tv_sec;
    tv->tv_usec = ts.tv_nsec / 1000;

    return rc;
}


time_t
time(time_t *t)
{
    struct timespec  ts;

    (void) clock_gettime(CLOCK_REALTIME, &ts);

    if (t != NULL) {
        *t = ts.tv_sec;
    }

    return ts.tv_sec;
}
