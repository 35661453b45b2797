/*
 * Copyright (C) ngx-voice contributors
 *
 * A file that processes share by mapping it: reload, binary upgrade, crash
 * and restart find it again by its name.  What is in it is its owner's
 * business.
 */


#ifndef _NGX_VOICE_FILE_H_INCLUDED_
#define _NGX_VOICE_FILE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


typedef struct {
    const char   *directive;
    ngx_str_t     path;          /* NUL-terminated */
    char          holds[32];     /* what takes the room, in messages */
    mode_t        mode;
    gid_t         gid;           /* of a new file; -1: the process's */
    ngx_fd_t      fd;
    void         *mem;
    size_t        size;
    ngx_uint_t    users;         /* cycles of this process */
    unsigned      unnamed:1;     /* made and not published yet */
} ngx_voice_file_t;


ngx_int_t ngx_voice_file_init(ngx_voice_file_t *file, const char *directive,
    ngx_str_t *path, mode_t mode, ngx_log_t *log);

/* Unmaps the file and forgets its path; one that has no name is removed. */
void ngx_voice_file_close(ngx_voice_file_t *file);

/*
 * Opens what stands under the name; size is that of it.  NGX_DECLINED:
 * nothing; NGX_ERROR after an EMERG message, as below.
 */
ngx_int_t ngx_voice_file_open(ngx_voice_file_t *file, struct stat *st,
    ngx_log_t *log);

/* Maps size bytes of it, all of which are reserved on its file system. */
ngx_int_t ngx_voice_file_map(ngx_voice_file_t *file, ngx_log_t *log);

/*
 * In place of what may be open, a new one of size zero bytes, mapped.  It has
 * no name until _publish(), so nobody sees it before it is complete.
 */
ngx_int_t ngx_voice_file_create(ngx_voice_file_t *file, size_t size,
    ngx_log_t *log);

/*
 * replace: a file that stands there remains with those who have mapped it;
 * otherwise NGX_BUSY if there is one.
 */
ngx_int_t ngx_voice_file_publish(ngx_voice_file_t *file, ngx_uint_t replace,
    ngx_log_t *log);

ngx_uint_t ngx_voice_file_is(const ngx_voice_file_t *file,
    const ngx_str_t *path);

/*
 * A lock on some of its bytes ends with its process, however that ends.  The
 * one other than us that holds one there, or 0.
 */
ngx_pid_t ngx_voice_file_holder(const ngx_voice_file_t *file, off_t start,
    off_t len);


#endif /* _NGX_VOICE_FILE_H_INCLUDED_ */
