/*
 * Copyright (C) ngx-voice contributors
 *
 * Which kernels there are, which of them can be used, which one is.
 */


#include "voice_crypto_kernel.h"

#include <stdio.h>
#include <string.h>


static voice_err_t voice_kernels_check(voice_kernels_t *ks,
    voice_crypto_kernel_t kernel);


#define VOICE_KERNEL_PORTABLE_LANES                                           \
    { voice_lanes_portable_gcm, voice_lanes_portable_xchacha20,               \
      voice_lanes_portable_xsalsa20, voice_lanes_portable_xsalsa20 }


static const voice_kernel_t  voice_kernel_table[VOICE_KERNEL_COUNT] = {

    [VOICE_KERNEL_PORTABLE] = { 0, VOICE_KERNEL_PORTABLE_LANES },

#if defined(__x86_64__)

    [VOICE_KERNEL_AVX2] = { VOICE_CPU_KERNEL2,
        { voice_lanes_avx2_gcm, voice_lanes_avx2_xchacha20,
          voice_lanes_avx2_xsalsa20, voice_lanes_avx2_xsalsa20_salt } },

    [VOICE_KERNEL_AVX512] = { VOICE_CPU_KERNEL512,
        { voice_lanes_avx512_gcm, voice_lanes_avx512_xchacha20,
          voice_lanes_avx512_xsalsa20, voice_lanes_avx512_xsalsa20_salt } },

#endif
};


static const char *const  voice_kernel_names[VOICE_KERNEL_COUNT] = {
    [VOICE_KERNEL_AUTO] = "auto",
    [VOICE_KERNEL_PORTABLE] = "portable",
    [VOICE_KERNEL_AVX2] = "avx2",
    [VOICE_KERNEL_AVX512] = "avx512",
};


static const char *const  voice_cipher_names[VOICE_CIPHER_COUNT] = {
    [VOICE_CIPHER_AES256_GCM] = "AES-256-GCM",
    [VOICE_CIPHER_XCHACHA20_POLY1305] = "XChaCha20-Poly1305",
    [VOICE_CIPHER_XSALSA20_POLY1305] = "XSalsa20-Poly1305",
    [VOICE_CIPHER_XSALSA20_POLY1305_SALT] = "XSalsa20-Poly1305 with a salt",
};


/*
 * What a CPU can do belongs to the process, not to a key.  Written before the
 * first packet, see voice_kernels().
 */
static voice_kernels_t  voice_kernels_process = {
    .kernel[VOICE_KERNEL_PORTABLE] = { 0, VOICE_KERNEL_PORTABLE_LANES },
    .used = VOICE_KERNEL_PORTABLE
};


voice_kernels_t *
voice_kernels(void)
{
    return &voice_kernels_process;
}


const voice_kernel_t *
voice_kernels_built_in(void)
{
    return voice_kernel_table;
}


const char *
voice_cipher_name(voice_cipher_t cipher)
{
    return voice_cipher_names[cipher];
}


void
voice_kernels_init(voice_kernels_t *ks, const voice_kernel_t *built_in,
    uint32_t cpu)
{
    int  i;

    ks->cpu = cpu;
    ks->used = VOICE_KERNEL_PORTABLE;

    for (i = VOICE_KERNEL_PORTABLE; i < VOICE_KERNEL_COUNT; i++) {
        ks->kernel[i] = built_in[i];
        ks->why[i][0] = '\0';
        ks->err[i] = voice_kernels_check(ks, (voice_crypto_kernel_t) i);
    }

    (void) voice_kernels_use(ks, VOICE_KERNEL_AUTO);
}


static voice_err_t
voice_kernels_check(voice_kernels_t *ks, voice_crypto_kernel_t kernel)
{
    char                  *why;
    const char            *missing;
    const voice_kernel_t  *k;

    k = &ks->kernel[kernel];
    why = ks->why[kernel];

    if (kernel == VOICE_KERNEL_PORTABLE) {
        return VOICE_OK;
    }

    if (k->lanes[0] == NULL) {
        (void) snprintf(why, VOICE_KERNEL_WHY_MAX,
                        "not built in for this kind of CPU");
        return VOICE_E_NOT_FOUND;
    }

    missing = voice_cpu_missing(k->cpu, ks->cpu);

    if (missing != NULL) {
        (void) snprintf(why, VOICE_KERNEL_WHY_MAX, "the CPU has no %s, or "
                        "the operating system doesn't let it be used",
                        missing);
        return VOICE_E_NOT_FOUND;
    }

    return voice_kernel_selftest(k, why);
}


voice_err_t
voice_kernels_use(voice_kernels_t *ks, voice_crypto_kernel_t kernel)
{
    int  i;

    if ((unsigned) kernel >= VOICE_KERNEL_COUNT) {
        return VOICE_E_RANGE;
    }

    if (kernel != VOICE_KERNEL_AUTO) {

        if (ks->err[kernel] == VOICE_OK) {
            ks->used = kernel;
        }

        return ks->err[kernel];
    }

    /* the portable one is always good */

    for (i = VOICE_KERNEL_COUNT - 1; ks->err[i] != VOICE_OK; i--) {
        /* void */
    }

    ks->used = (voice_crypto_kernel_t) i;

    return VOICE_OK;
}


voice_err_t
voice_crypto_use(voice_crypto_kernel_t kernel)
{
    return voice_kernels_use(&voice_kernels_process, kernel);
}


voice_crypto_kernel_t
voice_crypto_used(void)
{
    return voice_kernels_process.used;
}


voice_err_t
voice_crypto_kernel_check(voice_crypto_kernel_t kernel, const char **why)
{
    if ((unsigned) kernel >= VOICE_KERNEL_COUNT) {
        *why = "no such kernel";
        return VOICE_E_RANGE;
    }

    *why = voice_kernels_process.why[kernel];

    return voice_kernels_process.err[kernel];
}


const char *
voice_crypto_kernel_name(voice_crypto_kernel_t kernel)
{
    if ((unsigned) kernel >= VOICE_KERNEL_COUNT) {
        return "unknown";
    }

    return voice_kernel_names[kernel];
}


voice_err_t
voice_crypto_kernel_parse(const char *name, size_t len,
    voice_crypto_kernel_t *kernel)
{
    int          i;
    const char  *p;

    for (i = 0; i < VOICE_KERNEL_COUNT; i++) {
        p = voice_kernel_names[i];

        if (strlen(p) == len && memcmp(p, name, len) == 0) {
            *kernel = (voice_crypto_kernel_t) i;
            return VOICE_OK;
        }
    }

    return VOICE_E_NOT_FOUND;
}
