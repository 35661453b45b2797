/*
 * Copyright (C) ngx-voice contributors
 *
 * What the CPU can do and the operating system lets it do.
 */


#include "voice_crypto_kernel.h"

#if defined(__x86_64__)
#include <cpuid.h>
#endif


/* state that the system saves for us: SSE and AVX, AVX-512 (XCR0) */
#define VOICE_XCR0_AVX      0x06u
#define VOICE_XCR0_AVX512   0xE6u

#define VOICE_CPUID_OSXSAVE (1u << 27)


typedef enum {
    VOICE_CPUID_1_ECX = 0,
    VOICE_CPUID_7_EBX,
    VOICE_CPUID_7_ECX,
    VOICE_CPUID_COUNT
} voice_cpuid_t;


typedef struct {
    uint32_t        feature;
    voice_cpuid_t   word;
    unsigned        bit;
    uint32_t        state;       /* what the system must save */
    const char     *name;
} voice_cpu_feature_t;


static const voice_cpu_feature_t  voice_cpu_table[] = {

    { VOICE_CPU_SSE41, VOICE_CPUID_1_ECX, 19, 0, "SSE4.1" },
    { VOICE_CPU_AES, VOICE_CPUID_1_ECX, 25, 0, "AES-NI" },
    { VOICE_CPU_PCLMUL, VOICE_CPUID_1_ECX, 1, 0, "PCLMULQDQ" },
    { VOICE_CPU_AVX, VOICE_CPUID_1_ECX, 28, VOICE_XCR0_AVX, "AVX" },
    { VOICE_CPU_AVX2, VOICE_CPUID_7_EBX, 5, VOICE_XCR0_AVX, "AVX2" },
    { VOICE_CPU_BMI2, VOICE_CPUID_7_EBX, 8, 0, "BMI2" },
    { VOICE_CPU_AVX512F, VOICE_CPUID_7_EBX, 16, VOICE_XCR0_AVX512,
      "AVX512F" },
    { VOICE_CPU_AVX512DQ, VOICE_CPUID_7_EBX, 17, VOICE_XCR0_AVX512,
      "AVX512DQ" },
    { VOICE_CPU_AVX512IFMA, VOICE_CPUID_7_EBX, 21, VOICE_XCR0_AVX512,
      "AVX512_IFMA" },
    { VOICE_CPU_AVX512BW, VOICE_CPUID_7_EBX, 30, VOICE_XCR0_AVX512,
      "AVX512BW" },
    { VOICE_CPU_AVX512VL, VOICE_CPUID_7_EBX, 31, VOICE_XCR0_AVX512,
      "AVX512VL" },
    { VOICE_CPU_VAES, VOICE_CPUID_7_ECX, 9, VOICE_XCR0_AVX, "VAES" },
    { VOICE_CPU_VPCLMUL, VOICE_CPUID_7_ECX, 10, VOICE_XCR0_AVX,
      "VPCLMULQDQ" },
};

#define VOICE_CPU_TABLE_N                                                     \
    (sizeof(voice_cpu_table) / sizeof(voice_cpu_table[0]))


#if defined(__x86_64__)


uint32_t
voice_cpu_features(void)
{
    size_t                      i;
    unsigned                    eax, ebx, ecx, edx, xcr0, high;
    uint32_t                    features, word[VOICE_CPUID_COUNT];
    const voice_cpu_feature_t  *f;

    if (!__get_cpuid(1, &eax, &ebx, &ecx, &edx)) {
        return 0;
    }

    word[VOICE_CPUID_1_ECX] = ecx;
    word[VOICE_CPUID_7_EBX] = 0;
    word[VOICE_CPUID_7_ECX] = 0;

    if (__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx)) {
        word[VOICE_CPUID_7_EBX] = ebx;
        word[VOICE_CPUID_7_ECX] = ecx;
    }

    xcr0 = 0;

    if (word[VOICE_CPUID_1_ECX] & VOICE_CPUID_OSXSAVE) {
        __asm__ volatile ("xgetbv" : "=a" (xcr0), "=d" (high) : "c" (0));
    }

    features = 0;

    for (i = 0; i < VOICE_CPU_TABLE_N; i++) {
        f = &voice_cpu_table[i];

        if ((word[f->word] >> f->bit & 1) && (xcr0 & f->state) == f->state) {
            features |= f->feature;
        }
    }

    return features;
}


#else


uint32_t
voice_cpu_features(void)
{
    return 0;
}


#endif


const char *
voice_cpu_missing(uint32_t needed, uint32_t present)
{
    size_t  i;

    for (i = 0; i < VOICE_CPU_TABLE_N; i++) {
        if (needed & ~present & voice_cpu_table[i].feature) {
            return voice_cpu_table[i].name;
        }
    }

    return NULL;
}
