/*
 * Copyright (C) ngx-voice contributors
 *
 * Kernels: implementations of the three ciphers for several packets at once.
 *
 * A lane is one packet under one key.  The receivers of a packet are lanes
 * that share text and clear header and differ in key and nonce; datagrams
 * that are opened together share nothing.  A kernel takes any number of
 * lanes and does the same, to the bit, as libsodium and OpenSSL do one by
 * one.  Only voice_crypto*.c and tests include this file.
 *
 *   portable  libsodium and OpenSSL
 *   avx2      8 lanes side by side; AES-NI
 *   avx512    16 lanes, or 8; VAES and VPCLMULQDQ
 */


#ifndef _VOICE_CRYPTO_KERNEL_H_INCLUDED_
#define _VOICE_CRYPTO_KERNEL_H_INCLUDED_


#include "voice_crypto.h"


#define VOICE_LANES_MAX  16    /* that a caller hands over at once */


typedef enum {
    VOICE_CIPHER_AES256_GCM = 0,
    VOICE_CIPHER_XCHACHA20_POLY1305,
    VOICE_CIPHER_XSALSA20_POLY1305,
    VOICE_CIPHER_XSALSA20_POLY1305_SALT,   /* nonces begin with key->salt */
    VOICE_CIPHER_COUNT
} voice_cipher_t;


typedef enum {
    VOICE_LANES_SEAL_SAME = 0,  /* in, aad and their lengths: lane 0's */
    VOICE_LANES_SEAL,
    VOICE_LANES_OPEN,
    VOICE_LANES_HOW_COUNT
} voice_lanes_how_t;


/*
 * The XSalsa20 ciphers know no AAD and ignore it.  Nothing may overlap.
 * When opening, out is scratch: it is written whatever the tag says.  With
 * VOICE_LANES_SEAL_SAME, in, aad, len and aad_len of lane 0 are for all; the
 * others' are not read.
 */
typedef struct {
    _Alignas(8) uint8_t        nonce[VOICE_NONCE24_LEN];   /* AES: 12 */
    const voice_crypto_key_t  *key;
    uint8_t                   *out;          /* len bytes */
    uint8_t                   *tag;          /* seal: set; open: compared */
    const uint8_t             *in;
    const uint8_t             *aad;
    uint32_t                   len;
    uint32_t                   aad_len;
    voice_err_t                err;          /* is set */
} voice_lane_t;


typedef void (*voice_lanes_pt)(voice_lane_t *lane, size_t n,
    voice_lanes_how_t how);


/* A kernel, as built in. */
typedef struct {
    uint32_t         cpu;                    /* VOICE_CPU_*: what it needs */
    voice_lanes_pt   lanes[VOICE_CIPHER_COUNT];   /* NULL: not built in */
} voice_kernel_t;


/* What became of the kernels: which can be used, which one is. */
typedef struct {
    voice_kernel_t          kernel[VOICE_KERNEL_COUNT];
    voice_err_t             err[VOICE_KERNEL_COUNT];
    char                    why[VOICE_KERNEL_COUNT][VOICE_KERNEL_WHY_MAX];
    uint32_t                cpu;                  /* VOICE_CPU_* */
    voice_crypto_kernel_t   used;                 /* not VOICE_KERNEL_AUTO */
} voice_kernels_t;


/* what CPU and operating system offer together */
#define VOICE_CPU_SSE41       (1u << 0)
#define VOICE_CPU_AES         (1u << 1)
#define VOICE_CPU_PCLMUL      (1u << 2)
#define VOICE_CPU_AVX         (1u << 3)
#define VOICE_CPU_AVX2        (1u << 4)
#define VOICE_CPU_BMI2        (1u << 5)
#define VOICE_CPU_AVX512F     (1u << 6)
#define VOICE_CPU_AVX512DQ    (1u << 7)
#define VOICE_CPU_AVX512IFMA  (1u << 8)
#define VOICE_CPU_AVX512BW    (1u << 9)
#define VOICE_CPU_AVX512VL    (1u << 10)
#define VOICE_CPU_VAES        (1u << 11)
#define VOICE_CPU_VPCLMUL     (1u << 12)

#define VOICE_CPU_GCM         (VOICE_CPU_SSE41|VOICE_CPU_AES                  \
                               |VOICE_CPU_PCLMUL|VOICE_CPU_AVX)
#define VOICE_CPU_KERNEL2     (VOICE_CPU_GCM|VOICE_CPU_AVX2)
#define VOICE_CPU_KERNEL512   (VOICE_CPU_KERNEL2|VOICE_CPU_BMI2               \
                               |VOICE_CPU_AVX512F|VOICE_CPU_AVX512DQ          \
                               |VOICE_CPU_AVX512IFMA|VOICE_CPU_AVX512BW       \
                               |VOICE_CPU_AVX512VL|VOICE_CPU_VAES             \
                               |VOICE_CPU_VPCLMUL)


uint32_t voice_cpu_features(void);

/* The first of the needed features that is not there; NULL if all are. */
const char *voice_cpu_missing(uint32_t needed, uint32_t present);


/* The kernels of this build, indexed by voice_crypto_kernel_t. */
const voice_kernel_t *voice_kernels_built_in(void);

/*
 * Checks each kernel, tells which of them can be used, and takes the best.
 * voice_crypto_init() does this with what is built in, tests with others.
 */
void voice_kernels_init(voice_kernels_t *ks, const voice_kernel_t *built_in,
    uint32_t cpu);

/*
 * The process's own: written by voice_crypto_init() and voice_crypto_use(),
 * before the first packet, and only read after that.
 */
voice_kernels_t *voice_kernels(void);

/* VOICE_E_NOT_FOUND, VOICE_E_STATE: as voice_crypto_use() */
voice_err_t voice_kernels_use(voice_kernels_t *ks,
    voice_crypto_kernel_t kernel);

/*
 * Compares a kernel with the portable one.
 *
 * VOICE_E_STATE  they differ; why says where
 */
voice_err_t voice_kernel_selftest(const voice_kernel_t *kernel,
    char why[VOICE_KERNEL_WHY_MAX]);

const char *voice_cipher_name(voice_cipher_t cipher);

/* Runs lanes on the kernel in use. */
static inline void
voice_lanes_run(voice_cipher_t cipher, voice_lane_t *lane, size_t n,
    voice_lanes_how_t how)
{
    voice_kernels_t  *ks;

    ks = voice_kernels();
    ks->kernel[ks->used].lanes[cipher](lane, n, how);
}


/*
 * The first 20 bytes of the nonces that a key seals with in suffix mode.
 * XSalsa20 derives a key for the packet from the first 16 of them, which is
 * one block in four of a short packet: here once for all packets.
 */
void voice_crypto_salt(voice_crypto_key_t *key,
    const uint8_t salt[VOICE_SALT_LEN]);

/* Prepares key->gcm from the secret; wants a CPU of VOICE_CPU_GCM. */
void voice_gcm_key_init(voice_crypto_key_t *key);


void voice_lanes_portable_gcm(voice_lane_t *lane, size_t n,
    voice_lanes_how_t how);
void voice_lanes_portable_xchacha20(voice_lane_t *lane, size_t n,
    voice_lanes_how_t how);
void voice_lanes_portable_xsalsa20(voice_lane_t *lane, size_t n,
    voice_lanes_how_t how);

void voice_lanes_avx2_gcm(voice_lane_t *lane, size_t n,
    voice_lanes_how_t how);
void voice_lanes_avx2_xchacha20(voice_lane_t *lane, size_t n,
    voice_lanes_how_t how);
void voice_lanes_avx2_xsalsa20(voice_lane_t *lane, size_t n,
    voice_lanes_how_t how);
void voice_lanes_avx2_xsalsa20_salt(voice_lane_t *lane, size_t n,
    voice_lanes_how_t how);

void voice_lanes_avx512_gcm(voice_lane_t *lane, size_t n,
    voice_lanes_how_t how);
void voice_lanes_avx512_xchacha20(voice_lane_t *lane, size_t n,
    voice_lanes_how_t how);
void voice_lanes_avx512_xsalsa20(voice_lane_t *lane, size_t n,
    voice_lanes_how_t how);
void voice_lanes_avx512_xsalsa20_salt(voice_lane_t *lane, size_t n,
    voice_lanes_how_t how);

/* 8 lanes with the instructions of AVX-512, for what wouldn't fill 16 */
void voice_lanes_avx512vl_xchacha20(voice_lane_t *lane, size_t n,
    voice_lanes_how_t how);
void voice_lanes_avx512vl_xsalsa20(voice_lane_t *lane, size_t n,
    voice_lanes_how_t how);
void voice_lanes_avx512vl_xsalsa20_salt(voice_lane_t *lane, size_t n,
    voice_lanes_how_t how);


#endif /* _VOICE_CRYPTO_KERNEL_H_INCLUDED_ */
