/*
 * Copyright (C) ngx-voice contributors
 *
 * The directory's file, read while nginx reads its configuration, and the
 * mapping that holds what was changed at run time.
 */


#ifndef _NGX_HTTP_VOICE_DIRECTORY_H_INCLUDED_
#define _NGX_HTTP_VOICE_DIRECTORY_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_voice_file.h"

#include "voice_directory.h"
#include "voice_store.h"


/* What the file said; a reload with a bad file goes on with the former. */
typedef struct {
    voice_directory_t            *dir;
    ngx_uint_t                    users;      /* configurations */
} ngx_http_voice_base_t;


typedef struct {
    ngx_str_t                     file;       /* voice_guilds */
    size_t                        memory;     /* voice_guilds_memory */
    ngx_uint_t                    used;       /* something needs it */
    ngx_http_voice_base_t        *base;
    voice_store_t                 store;      /* header NULL: not mapped */
    ngx_voice_file_t              mapped;     /* what it is in */
    uint64_t                      generation; /* of the file */
    uint64_t                     *changed;    /* guilds, by this reload */
    size_t                        nchanged;
} ngx_http_voice_directory_conf_t;


char *ngx_http_voice_directory_file(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);

/* After all of "http" was read: reads the file, maps the store. */
ngx_int_t ngx_http_voice_directory_init(ngx_conf_t *cf,
    ngx_http_voice_directory_conf_t *dcf);


#endif /* _NGX_HTTP_VOICE_DIRECTORY_H_INCLUDED_ */
