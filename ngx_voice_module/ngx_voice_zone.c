/*
 * Copyright (C) ngx-voice contributors
 */


#include "ngx_voice_zone.h"

#include <sys/statvfs.h>


#define NGX_VOICE_ZONE_MODE      0600
#define NGX_VOICE_ZONE_LOCK      1          /* offset of slot 0's byte */


static ngx_int_t ngx_voice_zone_file_map(ngx_voice_zone_file_t *file,
    ngx_log_t *log);
static ngx_int_t ngx_voice_zone_file_existing(ngx_voice_zone_file_t *file,
    ngx_uint_t fresh, ngx_log_t *log);
static ngx_int_t ngx_voice_zone_file_create(ngx_voice_zone_file_t *file,
    ngx_log_t *log);
static ngx_int_t ngx_voice_zone_file_reserve(ngx_voice_zone_file_t *file,
    ngx_log_t *log);
static void ngx_voice_zone_file_unmap(ngx_voice_zone_file_t *file);
static ngx_pid_t ngx_voice_zone_locked(ngx_fd_t fd, off_t start, off_t len);


ngx_voice_zone_file_t *
ngx_voice_zone_file_open(ngx_str_t *path, uint32_t sessions, ngx_uint_t fresh,
    ngx_log_t *log)
{
    ngx_int_t               rc;
    ngx_voice_zone_file_t  *file;

    file = ngx_calloc(sizeof(ngx_voice_zone_file_t) + path->len + 1, log);
    if (file == NULL) {
        return NULL;
    }

    file->path.len = path->len;
    file->path.data = (u_char *) (file + 1);
    ngx_memcpy(file->path.data, path->data, path->len);

    file->sessions = sessions;
    file->size = voice_zone_size(sessions);
    file->fd = NGX_INVALID_FILE;
    file->users = 1;

    rc = ngx_voice_zone_file_existing(file, fresh, log);

    if (rc == NGX_DECLINED) {
        rc = ngx_voice_zone_file_create(file, log);
    }

    if (rc != NGX_OK) {
        ngx_voice_zone_file_unmap(file);
        ngx_free(file);
        return NULL;
    }

    return file;
}


/*
 * NGX_DECLINED if there is no file, or one that can't be used.
 */

static ngx_int_t
ngx_voice_zone_file_existing(ngx_voice_zone_file_t *file, ngx_uint_t fresh,
    ngx_log_t *log)
{
    ngx_err_t             err;
    ngx_pid_t             pid;
    ngx_uint_t            i;
    struct stat           st;
    voice_err_t           rc;
    voice_zone_header_t  *h;

    file->fd = open((char *) file->path.data, O_RDWR|O_CLOEXEC|O_NOFOLLOW);

    if (file->fd == NGX_INVALID_FILE) {
        err = ngx_errno;

        if (err == NGX_ENOENT) {
            return NGX_DECLINED;
        }

        ngx_log_error(NGX_LOG_EMERG, log, err,
                      "voice_zone \"%V\": open() failed", &file->path);
        return NGX_ERROR;
    }

    if (fstat(file->fd, &st) == -1) {
        ngx_log_error(NGX_LOG_EMERG, log, ngx_errno,
                      "voice_zone \"%V\": fstat() failed", &file->path);
        return NGX_ERROR;
    }

    if (!S_ISREG(st.st_mode) || st.st_uid != geteuid()) {
        ngx_log_error(NGX_LOG_EMERG, log, 0,
                      "voice_zone \"%V\" is not a regular file of user %ud",
                      &file->path, (unsigned) geteuid());
        return NGX_ERROR;
    }

    pid = fresh ? ngx_voice_zone_locked(file->fd, NGX_VOICE_ZONE_LOCK,
                                        VOICE_WORKERS_MAX)
                : 0;

    if (pid != 0) {
        ngx_log_error(NGX_LOG_EMERG, log, 0,
                      "voice_zone \"%V\" is in use by process %P: "
                      "each nginx needs a zone of its own",
                      &file->path, pid);
        return NGX_ERROR;
    }

    if (st.st_size != (off_t) file->size) {
        ngx_log_error(NGX_LOG_WARN, log, 0,
                      "voice_zone \"%V\" has %O bytes instead of the %uz of "
                      "%uD sessions: starting with an empty zone",
                      &file->path, st.st_size, file->size, file->sessions);
        return NGX_DECLINED;
    }

    if (ngx_voice_zone_file_reserve(file, log) != NGX_OK
        || ngx_voice_zone_file_map(file, log) != NGX_OK)
    {
        return NGX_ERROR;
    }

    rc = voice_zone_attach(&file->zone, file->mem, file->size,
                           file->sessions);

    if (rc != VOICE_OK) {
        ngx_log_error(NGX_LOG_WARN, log, 0,
                      "voice_zone \"%V\" is of another layout (%s): starting "
                      "with an empty zone", &file->path, voice_err_name(rc));
        return NGX_DECLINED;
    }

    /* times are of a clock that begins with the system */

    h = file->zone.header;

    for (i = 0; i < VOICE_WORKERS_MAX; i++) {
        if (h->worker[i].started > (uint64_t) ngx_current_msec) {
            ngx_log_error(NGX_LOG_WARN, log, 0,
                          "voice_zone \"%V\" is from before the system was "
                          "started: starting with an empty zone",
                          &file->path);
            return NGX_DECLINED;
        }
    }

    return NGX_OK;
}


/*
 * The file appears under its name once it is complete; a file that stood
 * there remains with those who have mapped it.
 */

static ngx_int_t
ngx_voice_zone_file_create(ngx_voice_zone_file_t *file, ngx_log_t *log)
{
    u_char           *tmp;
    voice_err_t       rc;
    char              node[NGX_MAXHOSTNAMELEN];
    u_char            name[NGX_MAX_PATH + 1];

    ngx_voice_zone_file_unmap(file);

    tmp = ngx_snprintf(name, NGX_MAX_PATH, "%V.%P", &file->path, ngx_getpid());
    *tmp = '\0';

    (void) unlink((char *) name);

    file->fd = open((char *) name, O_RDWR|O_CREAT|O_EXCL|O_CLOEXEC|O_NOFOLLOW,
                    NGX_VOICE_ZONE_MODE);

    if (file->fd == NGX_INVALID_FILE) {
        ngx_log_error(NGX_LOG_EMERG, log, ngx_errno,
                      "voice_zone \"%V\": open(\"%s\") failed", &file->path,
                      name);
        return NGX_ERROR;
    }

    if (fchmod(file->fd, NGX_VOICE_ZONE_MODE) == -1
        || ftruncate(file->fd, (off_t) file->size) == -1)
    {
        ngx_log_error(NGX_LOG_EMERG, log, ngx_errno,
                      "voice_zone \"%V\": file of %uz bytes can't be made",
                      &file->path, file->size);
        goto failed;
    }

    if (ngx_voice_zone_file_reserve(file, log) != NGX_OK
        || ngx_voice_zone_file_map(file, log) != NGX_OK)
    {
        goto failed;
    }

    if (gethostname(node, sizeof(node)) == -1) {
        node[0] = '\0';
    }

    node[sizeof(node) - 1] = '\0';

    rc = voice_zone_format(&file->zone, file->mem, file->size, file->sessions,
                           node);

    if (rc != VOICE_OK) {
        ngx_log_error(NGX_LOG_EMERG, log, ngx_errno,
                      "voice_zone \"%V\" can't be made: %s", &file->path,
                      voice_err_name(rc));
        goto failed;
    }

    if (rename((char *) name, (char *) file->path.data) == -1) {
        ngx_log_error(NGX_LOG_EMERG, log, ngx_errno,
                      "voice_zone \"%V\": rename(\"%s\") failed", &file->path,
                      name);
        goto failed;
    }

    return NGX_OK;

failed:

    (void) unlink((char *) name);

    return NGX_ERROR;
}


/*
 * All of it, now: on a file system that is full by then, SIGBUS would end
 * whoever touches a page for the first time.
 */

static ngx_int_t
ngx_voice_zone_file_reserve(ngx_voice_zone_file_t *file, ngx_log_t *log)
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
                  "voice_zone \"%V\": no room for the %uz bytes of %uD "
                  "sessions, its file system has %uL left", &file->path,
                  file->size, file->sessions, left);

    return NGX_ERROR;
}


static ngx_int_t
ngx_voice_zone_file_map(ngx_voice_zone_file_t *file, ngx_log_t *log)
{
    void  *mem;

    mem = mmap(NULL, file->size, PROT_READ|PROT_WRITE, MAP_SHARED, file->fd,
               0);

    if (mem == MAP_FAILED) {
        ngx_log_error(NGX_LOG_EMERG, log, ngx_errno,
                      "voice_zone \"%V\": mmap() of %uz bytes failed",
                      &file->path, file->size);
        return NGX_ERROR;
    }

    file->mem = mem;

    /* there are keys in it */

    if (madvise(mem, file->size, MADV_DONTDUMP) == -1) {
        ngx_log_error(NGX_LOG_WARN, log, ngx_errno,
                      "voice_zone \"%V\": madvise(MADV_DONTDUMP) failed",
                      &file->path);
    }

    return NGX_OK;
}


static void
ngx_voice_zone_file_unmap(ngx_voice_zone_file_t *file)
{
    if (file->mem != NULL) {
        (void) munmap(file->mem, file->size);
        file->mem = NULL;
    }

    if (file->fd != NGX_INVALID_FILE) {
        (void) close(file->fd);
        file->fd = NGX_INVALID_FILE;
    }
}


void
ngx_voice_zone_file_close(ngx_voice_zone_file_t *file)
{
    if (--file->users == 0) {
        ngx_voice_zone_file_unmap(file);
        ngx_free(file);
    }
}


/*
 * POSIX locks belong to a process, so a fork doesn't pass them on; a process
 * must never close another descriptor of the same file, or it loses them.
 */

static ngx_pid_t
ngx_voice_zone_locked(ngx_fd_t fd, off_t start, off_t len)
{
    struct flock  fl;

    ngx_memzero(&fl, sizeof(struct flock));
    fl.l_type = F_WRLCK;
    fl.l_whence = SEEK_SET;
    fl.l_start = start;
    fl.l_len = len;

    if (fcntl(fd, F_GETLK, &fl) == -1 || fl.l_type == F_UNLCK) {
        return 0;
    }

    return fl.l_pid;
}


ngx_int_t
ngx_voice_zone_slot_take(ngx_voice_zone_file_t *file, ngx_log_t *log)
{
    ngx_int_t     i;
    struct flock  fl;

    ngx_memzero(&fl, sizeof(struct flock));
    fl.l_type = F_WRLCK;
    fl.l_whence = SEEK_SET;
    fl.l_len = 1;

    for (i = 0; i < VOICE_WORKERS_MAX; i++) {
        fl.l_start = NGX_VOICE_ZONE_LOCK + i;

        if (fcntl(file->fd, F_SETLK, &fl) != -1) {
            return i;
        }

        if (ngx_errno != NGX_EAGAIN && ngx_errno != NGX_EACCES) {
            ngx_log_error(NGX_LOG_ALERT, log, ngx_errno,
                          "voice_zone \"%V\": fcntl(F_SETLK) failed",
                          &file->path);
            return NGX_ERROR;
        }
    }

    ngx_log_error(NGX_LOG_ALERT, log, 0,
                  "voice_zone \"%V\": all %d worker slots are taken",
                  &file->path, VOICE_WORKERS_MAX);

    return NGX_ERROR;
}


ngx_pid_t
ngx_voice_zone_slot_owner(ngx_voice_zone_file_t *file, ngx_uint_t slot)
{
    return ngx_voice_zone_locked(file->fd, NGX_VOICE_ZONE_LOCK + slot, 1);
}
