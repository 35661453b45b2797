/*
 * Copyright (C) ngx-voice contributors
 *
 * The voice_crypto directive: which kernel seals and opens packets.
 */


#ifndef _NGX_VOICE_CRYPTO_H_INCLUDED_
#define _NGX_VOICE_CRYPTO_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/* For an ngx_uint_t that takes a voice_crypto_kernel_t. */
char *ngx_voice_crypto_directive(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);

/* The configured kernel from now on, in this process and its children. */
ngx_int_t ngx_voice_crypto_use(ngx_uint_t kernel, ngx_log_t *log);

/* Says which kernel is used, and which of them are broken. */
void ngx_voice_crypto_report(ngx_log_t *log);


#endif /* _NGX_VOICE_CRYPTO_H_INCLUDED_ */
