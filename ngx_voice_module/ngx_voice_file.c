/*
 * Copyright (C) ngx-voice contributors
 */


#include "ngx_voice_file.h"

#include <sys/mman.h>
#include <sys/statvfs.h>


ngx_int_t
ngx_voice_file_init(ngx_voice_file_t *file, const char *directive,
    ngx_str_t *path, mode_t mode, ngx_log_t *log)
{
    ngx_memzero(file, sizeof(ngx_voice_file_t));

    file->directive = directive;
    file->mode = mode;
    file->gid = (gid_t) -1;
    file->fd = NGX_INVALID_FILE;
    file->users = 1;

    /* it outlives the cycle that has the path */

    file->path.data = ngx_alloc(path->len + 1, log);

    if (file->path.data == NULL) {
        return NGX_ERROR;
    }

    file->path.len = path->len;
    (void) ngx_cpystrn(file->path.data, path->data, path->len + 1);

    return NGX_OK;
}


static void
ngx_voice_file_temporary(const ngx_voice_file_t *file,
    char name[NGX_MAX_PATH + 1])
{
    u_char  *last;

    last = ngx_snprintf((u_char *) name, NGX_MAX_PATH, "%V.%P", &file->path,
                        ngx_getpid());
    *last = '\0';
}


static void
ngx_voice_file_release(ngx_voice_file_t *file)
{
    char  name[NGX_MAX_PATH + 1];

    if (file->mem != NULL) {
        (void) munmap(file->mem, file->size);
        file->mem = NULL;
    }

    if (file->fd != NGX_INVALID_FILE) {
        (void) close(file->fd);
        file->fd = NGX_INVALID_FILE;
    }

    if (file->unnamed) {
        ngx_voice_file_temporary(file, name);
        (void) unlink(name);
        file->unnamed = 0;
    }
}


void
ngx_voice_file_close(ngx_voice_file_t *file)
{
    ngx_voice_file_release(file);

    ngx_free(file->path.data);
    ngx_str_null(&file->path);
}


ngx_int_t
ngx_voice_file_open(ngx_voice_file_t *file, struct stat *st, ngx_log_t *log)
{
    ngx_err_t  err;

    ngx_voice_file_release(file);

    file->fd = open((char *) file->path.data, O_RDWR|O_CLOEXEC|O_NOFOLLOW);

    if (file->fd == NGX_INVALID_FILE) {
        err = ngx_errno;

        if (err == NGX_ENOENT) {
            return NGX_DECLINED;
        }

        ngx_log_error(NGX_LOG_EMERG, log, err, "%s \"%V\": open() failed",
                      file->directive, &file->path);
        return NGX_ERROR;
    }

    if (fstat(file->fd, st) == -1) {
        ngx_log_error(NGX_LOG_EMERG, log, ngx_errno,
                      "%s \"%V\": fstat() failed", file->directive,
                      &file->path);
        return NGX_ERROR;
    }

    if (!S_ISREG(st->st_mode)) {
        ngx_log_error(NGX_LOG_EMERG, log, 0, "%s \"%V\" is not a regular file",
                      file->directive, &file->path);
        return NGX_ERROR;
    }

    file->size = st->st_size;

    return NGX_OK;
}


/*
 * All of it, now: on a file system that is full by then, SIGBUS would end
 * whoever touches a page for the first time.
 */

static ngx_int_t
ngx_voice_file_reserve(ngx_voice_file_t *file, ngx_log_t *log)
{
    int             err;
    uint64_t        left;
    struct statvfs  fs;

    do {
        err = posix_fallocate(file->fd, 0, (off_t) file->size);
    } while (err == NGX_EINTR);

    if (err == 0) {
        return NGX_OK;
    }

    left = (fstatvfs(file->fd, &fs) == 0)
           ? (uint64_t) fs.f_bavail * fs.f_frsize : 0;

    ngx_log_error(NGX_LOG_EMERG, log, err,
                  "%s \"%V\": no room for the %uz bytes of %s, its file system "
                  "has %uL left", file->directive, &file->path, file->size,
                  file->holds, left);

    return NGX_ERROR;
}


ngx_int_t
ngx_voice_file_map(ngx_voice_file_t *file, ngx_log_t *log)
{
    void  *mem;

    if (ngx_voice_file_reserve(file, log) != NGX_OK) {
        return NGX_ERROR;
    }

    mem = mmap(NULL, file->size, PROT_READ|PROT_WRITE, MAP_SHARED, file->fd,
               0);

    if (mem == MAP_FAILED) {
        ngx_log_error(NGX_LOG_EMERG, log, ngx_errno,
                      "%s \"%V\": mmap() of %uz bytes failed",
                      file->directive, &file->path, file->size);
        return NGX_ERROR;
    }

    file->mem = mem;

    /* there may be keys in it */

    if (madvise(mem, file->size, MADV_DONTDUMP) == -1) {
        ngx_log_error(NGX_LOG_WARN, log, ngx_errno,
                      "%s \"%V\": madvise(MADV_DONTDUMP) failed",
                      file->directive, &file->path);
    }

    return NGX_OK;
}


ngx_int_t
ngx_voice_file_create(ngx_voice_file_t *file, size_t size, ngx_log_t *log)
{
    char  name[NGX_MAX_PATH + 1];

    ngx_voice_file_release(file);
    file->size = size;

    ngx_voice_file_temporary(file, name);
    (void) unlink(name);

    file->fd = open(name, O_RDWR|O_CREAT|O_EXCL|O_CLOEXEC|O_NOFOLLOW,
                    file->mode);

    if (file->fd == NGX_INVALID_FILE) {
        ngx_log_error(NGX_LOG_EMERG, log, ngx_errno,
                      "%s \"%V\": open(\"%s\") failed", file->directive,
                      &file->path, name);
        return NGX_ERROR;
    }

    file->unnamed = 1;

    if (fchown(file->fd, (uid_t) -1, file->gid) == -1
        || fchmod(file->fd, file->mode) == -1)
    {
        ngx_log_error(NGX_LOG_EMERG, log, ngx_errno,
                      "%s \"%V\": \"%s\" can't be given mode %04uo and group "
                      "%d", file->directive, &file->path, name,
                      (unsigned) file->mode, (int) file->gid);
        return NGX_ERROR;
    }

    return ngx_voice_file_map(file, log);
}


ngx_int_t
ngx_voice_file_publish(ngx_voice_file_t *file, ngx_uint_t replace,
    ngx_log_t *log)
{
    int   rc;
    char  name[NGX_MAX_PATH + 1];

    ngx_voice_file_temporary(file, name);

    rc = replace ? rename(name, (char *) file->path.data)
                 : link(name, (char *) file->path.data);

    if (rc == -1) {

        if (!replace && ngx_errno == NGX_EEXIST) {
            return NGX_BUSY;
        }

        ngx_log_error(NGX_LOG_EMERG, log, ngx_errno,
                      "%s \"%V\": \"%s\" can't be given its name",
                      file->directive, &file->path, name);
        return NGX_ERROR;
    }

    if (!replace) {
        (void) unlink(name);
    }

    file->unnamed = 0;

    return NGX_OK;
}


ngx_uint_t
ngx_voice_file_is(const ngx_voice_file_t *file, const ngx_str_t *path)
{
    return file->path.len == path->len
           && ngx_memcmp(file->path.data, path->data, path->len) == 0;
}


/*
 * POSIX locks belong to a process, so a fork doesn't pass them on; a process
 * must never close another descriptor of the same file, or it loses them.
 */

ngx_pid_t
ngx_voice_file_holder(const ngx_voice_file_t *file, off_t start, off_t len)
{
    struct flock  fl;

    ngx_memzero(&fl, sizeof(struct flock));
    fl.l_type = F_WRLCK;
    fl.l_whence = SEEK_SET;
    fl.l_start = start;
    fl.l_len = len;

    if (fcntl(file->fd, F_GETLK, &fl) == -1 || fl.l_type == F_UNLCK) {
        return 0;
    }

    return fl.l_pid;
}
