/*
 * Copyright (C) ngx-voice contributors
 *
 * XSalsa20-Poly1305 and XChaCha20-Poly1305, 8 lanes, AVX-512 with 256-bit
 * vectors: half the work of 16 lanes for packets with few receivers.
 */


#include "voice_crypto_kernel.h"


#if defined(__x86_64__)


#define VX_TARGET  "avx2,bmi2,avx512f,avx512dq,avx512bw,avx512vl,avx512ifma"
#define VX_FN      static inline __attribute__((always_inline,                \
                                                target(VX_TARGET)))
#define VX_PART    static __attribute__((noinline, target(VX_TARGET)))

#define VX_REGISTERS  32

#include "voice_crypto_vx256.h"


#define vx_rol32(x, n)          _mm256_rol_epi32(x, n)
#define vx_xor_rol32(a, b, n)   vx_xor(a, vx_rol32(b, n))
#define vx_madlo52(acc, a, b)   _mm256_madd52lo_epu64(acc, a, b)
#define vx_madhi52(acc, a, b)   _mm256_madd52hi_epu64(acc, a, b)


VX_FN vx_t
vx_load_some(const uint8_t *p, uint32_t size)
{
    return _mm256_maskz_loadu_epi8(_bzhi_u32(0xFFFFFFFF, size), p);
}


VX_FN void
vx_store_some(uint8_t *p, vx_t x, uint32_t size)
{
    _mm256_mask_storeu_epi8(p, _bzhi_u32(0xFFFFFFFF, size), x);
}


#include "voice_crypto_poly44.h"
#include "voice_crypto_lanes.h"


void
voice_lanes_avx512vl_xsalsa20(voice_lane_t *lane, size_t n,
    voice_lanes_how_t how)
{
    voice_lanes_all(lane, n, how, VOICE_CIPHER_XSALSA20_POLY1305);
}


void
voice_lanes_avx512vl_xsalsa20_salt(voice_lane_t *lane, size_t n,
    voice_lanes_how_t how)
{
    voice_lanes_all(lane, n, how, VOICE_CIPHER_XSALSA20_POLY1305_SALT);
}


void
voice_lanes_avx512vl_xchacha20(voice_lane_t *lane, size_t n,
    voice_lanes_how_t how)
{
    voice_lanes_all(lane, n, how, VOICE_CIPHER_XCHACHA20_POLY1305);
}


#endif /* __x86_64__ */
