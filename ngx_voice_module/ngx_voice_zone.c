/*
 * Copyright (C) ngx-voice contributors
 */


#include "ngx_voice.h"
#include "ngx_voice_zone.h"


#define NGX_VOICE_ZONE_MODE      0600
#define NGX_VOICE_ZONE_LOCK      1          /* offset of slot 0's byte */


static ngx_int_t ngx_voice_zone_existing(ngx_voice_zone_file_t *zf,
    ngx_uint_t fresh, ngx_log_t *log);
static ngx_int_t ngx_voice_zone_create(ngx_voice_zone_file_t *zf,
    ngx_log_t *log);


ngx_voice_zone_file_t *
ngx_voice_zone_file_open(ngx_str_t *path, uint32_t sessions, ngx_uint_t fresh,
    ngx_log_t *log)
{
    ngx_int_t               rc;
    ngx_voice_zone_file_t  *zf;

    zf = ngx_calloc(sizeof(ngx_voice_zone_file_t), log);
    if (zf == NULL) {
        return NULL;
    }

    if (ngx_voice_file_init(&zf->file, "voice_zone", path,
                            NGX_VOICE_ZONE_MODE, log)
        != NGX_OK)
    {
        ngx_free(zf);
        return NULL;
    }

    (void) ngx_snprintf((u_char *) zf->file.holds, sizeof(zf->file.holds),
                        "%uD sessions%Z", sessions);
    zf->sessions = sessions;

    rc = ngx_voice_zone_existing(zf, fresh, log);

    if (rc == NGX_DECLINED) {
        rc = ngx_voice_zone_create(zf, log);
    }

    if (rc != NGX_OK) {
        ngx_voice_zone_file_close(zf);
        return NULL;
    }

    return zf;
}


/*
 * NGX_DECLINED if there is no file, or one that can't be used.
 */

static ngx_int_t
ngx_voice_zone_existing(ngx_voice_zone_file_t *zf, ngx_uint_t fresh,
    ngx_log_t *log)
{
    size_t                size;
    ngx_int_t             rc;
    ngx_pid_t             pid;
    ngx_uint_t            i;
    voice_err_t           err;
    struct stat           st;
    ngx_voice_file_t     *file = &zf->file;
    voice_zone_header_t  *h;

    rc = ngx_voice_file_open(file, &st, log);

    if (rc != NGX_OK) {
        return rc;
    }

    if (st.st_uid != geteuid()) {
        ngx_log_error(NGX_LOG_EMERG, log, 0,
                      "voice_zone \"%V\" is not a regular file of user %ud",
                      &file->path, (unsigned) geteuid());
        return NGX_ERROR;
    }

    pid = fresh ? ngx_voice_file_holder(file, NGX_VOICE_ZONE_LOCK,
                                        VOICE_WORKERS_MAX)
                : 0;

    if (pid != 0) {
        ngx_log_error(NGX_LOG_EMERG, log, 0,
                      "voice_zone \"%V\" is in use by process %P: "
                      "each nginx needs a zone of its own",
                      &file->path, pid);
        return NGX_ERROR;
    }

    size = voice_zone_size(zf->sessions);

    if (file->size != size) {
        ngx_log_error(NGX_LOG_WARN, log, 0,
                      "voice_zone \"%V\" has %uz bytes instead of the %uz of "
                      "%uD sessions: starting with an empty zone",
                      &file->path, file->size, size, zf->sessions);
        return NGX_DECLINED;
    }

    if (ngx_voice_file_map(file, log) != NGX_OK) {
        return NGX_ERROR;
    }

    err = voice_zone_attach(&zf->zone, file->mem, file->size, zf->sessions);

    if (err != VOICE_OK) {
        ngx_log_error(NGX_LOG_WARN, log, 0,
                      "voice_zone \"%V\" is of another layout (%s): starting "
                      "with an empty zone", &file->path, voice_err_name(err));
        return NGX_DECLINED;
    }

    /* times are of a clock that begins with the system */

    h = zf->zone.header;

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


static ngx_int_t
ngx_voice_zone_create(ngx_voice_zone_file_t *zf, ngx_log_t *log)
{
    voice_err_t        err;
    char               node[NGX_MAXHOSTNAMELEN];
    ngx_voice_file_t  *file = &zf->file;

    if (ngx_voice_file_create(file, voice_zone_size(zf->sessions), log)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (gethostname(node, sizeof(node)) == -1) {
        node[0] = '\0';
    }

    node[sizeof(node) - 1] = '\0';

    err = voice_zone_format(&zf->zone, file->mem, file->size, zf->sessions,
                            node);

    if (err != VOICE_OK) {
        ngx_log_error(NGX_LOG_EMERG, log, ngx_errno,
                      "voice_zone \"%V\" can't be made: %s", &file->path,
                      voice_err_name(err));
        return NGX_ERROR;
    }

    return ngx_voice_file_publish(file, 1, log);
}


void
ngx_voice_zone_file_close(ngx_voice_zone_file_t *zf)
{
    if (--zf->file.users == 0) {
        ngx_voice_file_close(&zf->file);
        ngx_free(zf);
    }
}


static int
ngx_voice_zone_slot_lock(ngx_voice_zone_file_t *zf, ngx_uint_t slot,
    short type)
{
    struct flock  fl;

    ngx_memzero(&fl, sizeof(struct flock));
    fl.l_type = type;
    fl.l_whence = SEEK_SET;
    fl.l_start = NGX_VOICE_ZONE_LOCK + slot;
    fl.l_len = 1;

    return fcntl(zf->file.fd, F_SETLK, &fl);
}


ngx_int_t
ngx_voice_zone_slot_take(ngx_voice_zone_file_t *zf, ngx_log_t *log)
{
    ngx_int_t  i;

    for (i = 0; i < VOICE_WORKERS_MAX; i++) {

        if (ngx_voice_zone_slot_lock(zf, i, F_WRLCK) != -1) {
            return i;
        }

        if (ngx_errno != NGX_EAGAIN && ngx_errno != NGX_EACCES) {
            ngx_log_error(NGX_LOG_ALERT, log, ngx_errno,
                          "voice_zone \"%V\": fcntl(F_SETLK) failed",
                          &zf->file.path);
            return NGX_ERROR;
        }
    }

    ngx_log_error(NGX_LOG_ALERT, log, 0,
                  "voice_zone \"%V\": all %d worker slots are taken",
                  &zf->file.path, VOICE_WORKERS_MAX);

    return NGX_ERROR;
}


ngx_int_t
ngx_voice_zone_slot_seize(ngx_voice_zone_file_t *zf, ngx_uint_t slot)
{
    return ngx_voice_zone_slot_lock(zf, slot, F_WRLCK) != -1 ? NGX_OK
                                                             : NGX_DECLINED;
}


void
ngx_voice_zone_slot_release(ngx_voice_zone_file_t *zf, ngx_uint_t slot)
{
    (void) ngx_voice_zone_slot_lock(zf, slot, F_UNLCK);
}


void
ngx_voice_boot(const voice_zone_t *z, char boot[NGX_VOICE_BOOT_LEN + 1])
{
    u_char      *p;
    ngx_uint_t   i;

    p = (u_char *) boot;

    for (i = 0; i < sizeof(z->header->boot_id); i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10) {
            *p++ = '-';
        }

        p = ngx_hex_dump(p, &z->header->boot_id[i], 1);
    }

    *p = '\0';
}
