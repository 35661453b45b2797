/*
 * Copyright (C) ngx-voice contributors
 *
 * Preloaded into nginx: counts allocations and locks of all its processes in
 * the file that COUNT_FILE names, as two native 64-bit numbers.
 */


#define _GNU_SOURCE

#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>


extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t n, size_t size);
extern void *__libc_realloc(void *p, size_t size);
extern void *__libc_memalign(size_t alignment, size_t size);


typedef struct {
    _Atomic uint64_t   allocations;
    _Atomic uint64_t   locks;
} count_t;


static count_t   count_none;
static count_t  *count = &count_none;


__attribute__((constructor)) static void
count_init(void)
{
    int          fd;
    void        *p;
    const char  *file;

    file = getenv("COUNT_FILE");
    fd = (file != NULL) ? open(file, O_RDWR) : -1;

    if (fd == -1) {
        abort();
    }

    p = mmap(NULL, sizeof(count_t), PROT_READ|PROT_WRITE, MAP_SHARED, fd, 0);

    if (p == MAP_FAILED) {
        abort();
    }

    close(fd);
    count = p;
}


void *
malloc(size_t size)
{
    count->allocations++;
    return __libc_malloc(size);
}


void *
calloc(size_t n, size_t size)
{
    count->allocations++;
    return __libc_calloc(n, size);
}


void *
realloc(void *p, size_t size)
{
    count->allocations++;
    return __libc_realloc(p, size);
}


int
posix_memalign(void **p, size_t alignment, size_t size)
{
    count->allocations++;
    *p = __libc_memalign(alignment, size);

    return *p != NULL ? 0 : 12;     /* ENOMEM */
}


int
pthread_mutex_lock(pthread_mutex_t *mutex)
{
    static int  (*next)(pthread_mutex_t *);

    if (next == NULL) {
        next = dlsym(RTLD_NEXT, "pthread_mutex_lock");
    }

    count->locks++;
    return next(mutex);
}


int
pthread_mutex_trylock(pthread_mutex_t *mutex)
{
    static int  (*next)(pthread_mutex_t *);

    if (next == NULL) {
        next = dlsym(RTLD_NEXT, "pthread_mutex_trylock");
    }

    count->locks++;
    return next(mutex);
}


int
pthread_mutex_timedlock(pthread_mutex_t *mutex, const struct timespec *ts)
{
    static int  (*next)(pthread_mutex_t *, const struct timespec *);

    if (next == NULL) {
        next = dlsym(RTLD_NEXT, "pthread_mutex_timedlock");
    }

    count->locks++;
    return next(mutex, ts);
}
