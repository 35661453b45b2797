/*
 * Copyright (C) ngx-voice contributors
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_voice_crypto.h"

#include "voice_crypto.h"


char *
ngx_voice_crypto_directive(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    char  *p = conf;

    ngx_str_t              *value;
    ngx_uint_t             *kp;
    const char             *why;
    voice_crypto_kernel_t   kernel;

    kp = (ngx_uint_t *) (p + cmd->offset);

    if (*kp != NGX_CONF_UNSET_UINT) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (voice_crypto_kernel_parse((char *) value[1].data, value[1].len,
                                  &kernel)
        != VOICE_OK)
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid value \"%V\" of \"voice_crypto\", "
                           "expected auto, portable, avx2 or avx512",
                           &value[1]);
        return NGX_CONF_ERROR;
    }

    if (voice_crypto_init() != VOICE_OK) {
        return "can't be set: libsodium or OpenSSL failed to start";
    }

    if (kernel != VOICE_KERNEL_AUTO
        && voice_crypto_kernel_check(kernel, &why) != VOICE_OK)
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"voice_crypto %V\" can't be used on this "
                           "machine: %s", &value[1], why);
        return NGX_CONF_ERROR;
    }

    *kp = kernel;

    return NGX_CONF_OK;
}


ngx_int_t
ngx_voice_crypto_use(ngx_uint_t kernel, ngx_log_t *log)
{
    if (voice_crypto_init() == VOICE_OK
        && voice_crypto_use((voice_crypto_kernel_t) kernel) == VOICE_OK)
    {
        return NGX_OK;
    }

    ngx_log_error(NGX_LOG_EMERG, log, 0,
                  "\"voice_crypto %s\" failed to start",
                  voice_crypto_kernel_name((voice_crypto_kernel_t) kernel));

    return NGX_ERROR;
}


void
ngx_voice_crypto_report(ngx_log_t *log)
{
    int          i;
    const char  *why;

    for (i = VOICE_KERNEL_PORTABLE; i < VOICE_KERNEL_COUNT; i++) {
        if (voice_crypto_kernel_check((voice_crypto_kernel_t) i, &why)
            == VOICE_E_STATE)
        {
            ngx_log_error(NGX_LOG_CRIT, log, 0,
                          "voice crypto %s is out of use, CPU or compiler "
                          "are broken: %s",
                          voice_crypto_kernel_name((voice_crypto_kernel_t) i),
                          why);
        }
    }

    ngx_log_error(NGX_LOG_NOTICE, log, 0, "voice crypto %s",
                  voice_crypto_kernel_name(voice_crypto_used()));
}
