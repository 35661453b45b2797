/*
 * Copyright (C) ngx-voice contributors
 *
 * XSalsa20-Poly1305 and XChaCha20-Poly1305, 8 lanes, AVX2.
 */


#include "voice_crypto_kernel.h"


#if defined(__x86_64__)


#define VX_FN    static inline __attribute__((always_inline, target("avx2")))
#define VX_PART  static __attribute__((noinline, target("avx2")))

#define VX_REGISTERS  16

#include "voice_crypto_copy.h"
#include "voice_crypto_vx256.h"


#define vx_mul32(a, b)  _mm256_mul_epu32(a, b)

/* A rotation by whole bytes is a shuffle, one instruction instead of three. */

#define vx_rol32(x, n)                                                        \
    ((n) == 16 ? _mm256_shuffle_epi8(x, vx_bytes(0x0d0c0f0e09080b0a,          \
                                                 0x0504070601000302))         \
     : (n) == 8 ? _mm256_shuffle_epi8(x, vx_bytes(0x0e0d0c0f0a09080b,         \
                                                  0x0605040702010003))        \
     : vx_or(_mm256_slli_epi32(x, n), _mm256_srli_epi32(x, 32 - (n))))

#define vx_bytes(hi, lo)                                                      \
    _mm256_broadcastsi128_si256(_mm_set_epi64x(hi, lo))


/* a ^ rol(b, n): that way it takes one register less */

VX_FN vx_t
vx_xor_rol32(vx_t a, vx_t b, int n)
{
    a = vx_xor(a, vx_sll32(b, n));

    return vx_xor(a, _mm256_srli_epi32(b, 32 - n));
}


VX_FN vx_t
vx_load_some(const uint8_t *p, uint32_t size)
{
    _Alignas(32) uint8_t  buf[32];

    vx_store(buf, vx_set32(0));
    voice_copy_some(buf, p, size);

    return vx_load(buf);
}


VX_FN void
vx_store_some(uint8_t *p, vx_t x, uint32_t size)
{
    _Alignas(32) uint8_t  buf[32];

    vx_store(buf, x);
    voice_copy_some(p, buf, size);
}


#include "voice_crypto_poly26.h"
#include "voice_crypto_lanes.h"


void
voice_lanes_avx2_xsalsa20(voice_lane_t *lane, size_t n,
    voice_lanes_how_t how)
{
    voice_lanes_all(lane, n, how, VOICE_CIPHER_XSALSA20_POLY1305);
}


void
voice_lanes_avx2_xsalsa20_salt(voice_lane_t *lane, size_t n,
    voice_lanes_how_t how)
{
    voice_lanes_all(lane, n, how, VOICE_CIPHER_XSALSA20_POLY1305_SALT);
}


void
voice_lanes_avx2_xchacha20(voice_lane_t *lane, size_t n,
    voice_lanes_how_t how)
{
    voice_lanes_all(lane, n, how, VOICE_CIPHER_XCHACHA20_POLY1305);
}


#endif /* __x86_64__ */
