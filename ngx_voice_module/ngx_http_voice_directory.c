/*
 * Copyright (C) ngx-voice contributors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_voice.h"
#include "ngx_http_voice_module.h"


#define NGX_HTTP_VOICE_STORE_SUFFIX    ".guilds"
#define NGX_HTTP_VOICE_STORE_MODE      0600


char *
ngx_http_voice_directory_file(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_voice_main_conf_t  *vmcf = conf;

    ngx_str_t  *value;

    if (vmcf->directory.file.len != 0) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (ngx_conf_full_name(cf->cycle, &value[1], 1) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    vmcf->directory.file = value[1];

    return NGX_CONF_OK;
}


static ngx_http_voice_directory_conf_t *
ngx_http_voice_directory_former(ngx_conf_t *cf)
{
    ngx_cycle_t                 *old;
    ngx_http_voice_main_conf_t  *vmcf;

    old = cf->cycle->old_cycle;

    if (old == NULL || ngx_is_init_cycle(old) || old->conf_ctx == NULL) {
        return NULL;
    }

    vmcf = ngx_http_cycle_get_module_main_conf(old, ngx_http_voice_module);

    return (vmcf != NULL && vmcf->directory.base != NULL) ? &vmcf->directory
                                                          : NULL;
}


/* Text of the whole file, which the caller frees; says itself what fails. */

static ngx_int_t
ngx_http_voice_directory_read(ngx_conf_t *cf, ngx_uint_t level,
    ngx_str_t *name, ngx_str_t *text)
{
    off_t            size;
    ssize_t          n;
    ngx_file_t       file;
    ngx_file_info_t  fi;

    ngx_memzero(&file, sizeof(ngx_file_t));
    ngx_str_null(text);
    file.name = *name;
    file.log = cf->log;
    file.fd = ngx_open_file(name->data, NGX_FILE_RDONLY, NGX_FILE_OPEN, 0);

    if (file.fd == NGX_INVALID_FILE) {
        ngx_log_error(level, cf->log, ngx_errno,
                      "\"voice_guilds\" \"%V\" can't be opened", name);
        return NGX_ERROR;
    }

    if (ngx_fd_info(file.fd, &fi) == NGX_FILE_ERROR || !ngx_is_file(&fi)
        || ngx_file_size(&fi) > VOICE_DIR_TEXT_MAX)
    {
        ngx_log_error(level, cf->log, 0,
                      "\"voice_guilds\" \"%V\": a regular file of at most %d "
                      "MB is expected", name, VOICE_DIR_TEXT_MAX >> 20);
        goto failed;
    }

    size = ngx_file_size(&fi);

    text->data = ngx_alloc(size + 1, cf->log);
    if (text->data == NULL) {
        goto failed;
    }

    for (text->len = 0; (off_t) text->len < size; text->len += n) {
        n = ngx_read_file(&file, text->data + text->len, size - text->len,
                          text->len);
        if (n <= 0) {
            ngx_log_error(level, cf->log, 0,
                          "\"voice_guilds\" \"%V\" can't be read", name);
            ngx_free(text->data);
            goto failed;
        }
    }

    (void) ngx_close_file(file.fd);

    return NGX_OK;

failed:

    (void) ngx_close_file(file.fd);

    return NGX_ERROR;
}


static voice_directory_t *
ngx_http_voice_directory_parse(ngx_conf_t *cf, ngx_uint_t level,
    ngx_str_t *name)
{
    char                why[512];
    ngx_str_t           text;
    voice_err_t         err;
    voice_dir_error_t   error;
    voice_directory_t  *dir;

    if (ngx_http_voice_directory_read(cf, level, name, &text) != NGX_OK) {
        return NULL;
    }

    dir = NULL;
    err = voice_directory_parse((char *) text.data, text.len, NULL, &dir,
                                &error);
    ngx_free(text.data);

    if (err == VOICE_E_NOMEM) {
        ngx_log_error(level, cf->log, 0,
                      "\"voice_guilds\" \"%V\": no memory for it", name);
        return NULL;
    }

    if (err != VOICE_OK) {
        voice_dir_error_text(&error, why, sizeof(why));
        ngx_log_error(level, cf->log, 0, "\"voice_guilds\" \"%V\", %s", name,
                      why);
        return NULL;
    }

    return dir;
}


static void
ngx_http_voice_directory_release(void *data)
{
    ngx_http_voice_base_t  *base = data;

    if (--base->users == 0) {
        voice_directory_free(base->dir);
        ngx_free(base);
    }
}


static ngx_int_t
ngx_http_voice_directory_use(ngx_conf_t *cf,
    ngx_http_voice_directory_conf_t *dcf, ngx_http_voice_base_t *base)
{
    ngx_pool_cleanup_t  *cln;

    cln = ngx_pool_cleanup_add(cf->pool, 0);
    if (cln == NULL) {
        return NGX_ERROR;
    }

    base->users++;
    dcf->base = base;

    cln->handler = ngx_http_voice_directory_release;
    cln->data = base;

    return NGX_OK;
}


static ngx_int_t
ngx_http_voice_directory_load(ngx_conf_t *cf,
    ngx_http_voice_directory_conf_t *dcf,
    ngx_http_voice_directory_conf_t *former)
{
    ngx_uint_t              level;
    voice_directory_t      *dir;
    ngx_http_voice_base_t  *base;

    level = (former != NULL) ? NGX_LOG_ERR : NGX_LOG_EMERG;

    dir = (dcf->file.len != 0)
          ? ngx_http_voice_directory_parse(cf, level, &dcf->file)
          : voice_directory_create(NULL);

    if (dir == NULL && former != NULL) {
        ngx_log_error(NGX_LOG_ERR, cf->log, 0,
                      "\"voice_guilds\": the former directory of guilds stays "
                      "in use");
        return ngx_http_voice_directory_use(cf, dcf, former->base);
    }

    if (dir == NULL) {
        return NGX_ERROR;
    }

    base = ngx_calloc(sizeof(ngx_http_voice_base_t), cf->log);

    if (base == NULL) {
        voice_directory_free(dir);
        return NGX_ERROR;
    }

    base->dir = dir;

    return ngx_http_voice_directory_use(cf, dcf, base);
}


static ngx_uint_t
ngx_http_voice_directory_same(const voice_dir_guild_t *a,
    const voice_dir_guild_t *b)
{
    ngx_uint_t   same;
    voice_buf_t  one, two;

    voice_buf_growing(&one, NULL, VOICE_DIR_GUILD_TEXT_MAX);
    voice_buf_growing(&two, NULL, VOICE_DIR_GUILD_TEXT_MAX);

    voice_dir_guild_encode(&one, a);
    voice_dir_guild_encode(&two, b);

    same = (voice_buf_done(&one) == VOICE_OK && voice_buf_done(&two) == VOICE_OK
            && one.len == two.len
            && ngx_memcmp(one.data, two.data, one.len) == 0);

    voice_buf_free(&one);
    voice_buf_free(&two);

    return same;
}


/* Which guilds this reload has changed: clients have to be told of them. */

static ngx_int_t
ngx_http_voice_directory_compare(ngx_conf_t *cf,
    ngx_http_voice_directory_conf_t *dcf, const voice_directory_t *old)
{
    size_t                    i, n;
    voice_directory_t        *dir;
    const voice_dir_guild_t  *g, *other;

    dir = dcf->base->dir;
    n = voice_directory_count(dir) + voice_directory_count(old);

    if (old == dir || n == 0) {
        return NGX_OK;
    }

    dcf->changed = ngx_palloc(cf->pool, n * sizeof(uint64_t));
    if (dcf->changed == NULL) {
        return NGX_ERROR;
    }

    for (i = 0; i < voice_directory_count(dir); i++) {
        g = voice_directory_at(dir, i);
        other = voice_directory_guild(old, g->id);

        if (other == NULL || !ngx_http_voice_directory_same(g, other)) {
            dcf->changed[dcf->nchanged++] = g->id;
        }
    }

    for (i = 0; i < voice_directory_count(old); i++) {
        g = voice_directory_at(old, i);

        if (voice_directory_guild(dir, g->id) == NULL) {
            dcf->changed[dcf->nchanged++] = g->id;
        }
    }

    return NGX_OK;
}


static void
ngx_http_voice_store_cleanup(void *data)
{
    ngx_http_voice_directory_conf_t  *dcf = data;

    ngx_voice_file_close(&dcf->mapped);
    dcf->store.header = NULL;
}


/* NGX_DECLINED where a new one is to be made. */

static ngx_int_t
ngx_http_voice_store_existing(ngx_conf_t *cf,
    ngx_http_voice_directory_conf_t *dcf)
{
    ngx_int_t          rc;
    voice_err_t        err;
    struct stat        st;
    ngx_voice_file_t  *file = &dcf->mapped;

    rc = ngx_voice_file_open(file, &st, cf->log);

    if (rc != NGX_OK) {
        return rc;
    }

    err = VOICE_E_LENGTH;

    if (file->size == voice_store_size(dcf->memory)) {

        if (ngx_voice_file_map(file, cf->log) != NGX_OK) {
            return NGX_ERROR;
        }

        err = voice_store_attach(&dcf->store, file->mem, file->size);
    }

    if (err != VOICE_OK) {
        ngx_log_error(NGX_LOG_WARN, cf->log, 0,
                      "\"%V\" is of another size or layout: guilds that were "
                      "changed at run time are forgotten", &file->path);
        return NGX_DECLINED;
    }

    return NGX_OK;
}


/* Whoever still has the former one goes on with that. */

static ngx_int_t
ngx_http_voice_store_create(ngx_conf_t *cf,
    ngx_http_voice_directory_conf_t *dcf)
{
    ngx_voice_file_t  *file = &dcf->mapped;

    if (ngx_voice_file_create(file, voice_store_size(dcf->memory), cf->log)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (voice_store_format(&dcf->store, file->mem, dcf->memory) != VOICE_OK) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "\"%V\" can't be made", &file->path);
        return NGX_ERROR;
    }

    return ngx_voice_file_publish(file, 1, cf->log);
}


static ngx_int_t
ngx_http_voice_store_map(ngx_conf_t *cf,
    ngx_http_voice_directory_conf_t *dcf)
{
    ngx_int_t            rc;
    ngx_str_t            name, *zone;
    ngx_voice_file_t    *file = &dcf->mapped;
    ngx_pool_cleanup_t  *cln;

    zone = ngx_voice_zone_path(cf->cycle);

    cln = ngx_pool_cleanup_add(cf->pool, 0);
    name.len = zone->len + sizeof(NGX_HTTP_VOICE_STORE_SUFFIX) - 1;
    name.data = ngx_pnalloc(cf->pool, name.len + 1);

    if (cln == NULL || name.data == NULL) {
        return NGX_ERROR;
    }

    ngx_sprintf(name.data, "%V" NGX_HTTP_VOICE_STORE_SUFFIX "%Z", zone);

    if (ngx_voice_file_init(file, "voice_guilds", &name,
                            NGX_HTTP_VOICE_STORE_MODE, cf->log)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    cln->handler = ngx_http_voice_store_cleanup;
    cln->data = dcf;

    (void) ngx_cpystrn((u_char *) file->holds,
                       (u_char *) "\"voice_guilds_memory\"",
                       sizeof(file->holds));

    rc = ngx_http_voice_store_existing(cf, dcf);

    if (rc == NGX_DECLINED) {
        rc = ngx_http_voice_store_create(cf, dcf);
    }

    if (rc != NGX_OK) {
        return NGX_ERROR;
    }

    dcf->generation = atomic_load(&dcf->store.header->generation) + 1;

    return NGX_OK;
}


ngx_int_t
ngx_http_voice_directory_init(ngx_conf_t *cf,
    ngx_http_voice_directory_conf_t *dcf)
{
    ngx_http_voice_directory_conf_t  *former;

    if (dcf->file.len == 0 && !dcf->used) {
        return NGX_OK;
    }

    if (dcf->memory < VOICE_STORE_SIZE_MIN
        || dcf->memory > VOICE_STORE_SIZE_MAX)
    {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "\"voice_guilds_memory\" of %uz bytes, expected 1m to "
                      "4096m", dcf->memory);
        return NGX_ERROR;
    }

    former = ngx_http_voice_directory_former(cf);

    if (ngx_http_voice_directory_load(cf, dcf, former) != NGX_OK) {
        return NGX_ERROR;
    }

    if (former != NULL
        && ngx_http_voice_directory_compare(cf, dcf, former->base->dir)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (!ngx_voice_serves() || !ngx_voice_zone_configured(cf->cycle)) {
        return NGX_OK;
    }

    return ngx_http_voice_store_map(cf, dcf);
}
