/*
 * Copyright (C) ngx-voice contributors
 *
 * Transport encryption: seven modes, each a row in a table.
 *
 * A key belongs to one session and serves both directions, RTP and RTCP.
 * What is clear, authenticated and encrypted in each mode stands in
 * voice_crypto.c beside the table.  Tags have 16 bytes everywhere.
 */


#ifndef _VOICE_CRYPTO_H_INCLUDED_
#define _VOICE_CRYPTO_H_INCLUDED_


#include "voice_err.h"
#include "voice_rtp.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>


#define VOICE_KEY_LEN         32
#define VOICE_TAG_LEN         16
#define VOICE_NONCE4_LEN      4
#define VOICE_NONCE24_LEN     24
#define VOICE_SALT_LEN        (VOICE_NONCE24_LEN - VOICE_NONCE4_LEN)

/* the most that sealing adds to header and plaintext (suffix mode) */
#define VOICE_SEAL_OVERHEAD   (VOICE_TAG_LEN + VOICE_NONCE24_LEN)

/* server nonces are numbers below this; a session is re-keyed before */
#define VOICE_NONCE_MAX       (1u << 30)

#define VOICE_MODE_NAME_MAX   32       /* with the final NUL */


typedef enum {
    VOICE_MODE_AEAD_AES256_GCM_RTPSIZE = 0,
    VOICE_MODE_AEAD_XCHACHA20_POLY1305_RTPSIZE,
    VOICE_MODE_XSALSA20_POLY1305_LITE_RTPSIZE,
    VOICE_MODE_XSALSA20_POLY1305_LITE,
    VOICE_MODE_XSALSA20_POLY1305_SUFFIX,
    VOICE_MODE_XSALSA20_POLY1305,
    VOICE_MODE_AEAD_AES256_GCM,
    VOICE_MODE_COUNT
} voice_mode_t;


/*
 * How packets are sealed and opened; the bytes are the same with all.  What
 * counts is how many receivers a packet has.
 */
typedef enum {
    VOICE_KERNEL_AUTO = 0,        /* the last of these that can be used */
    VOICE_KERNEL_PORTABLE,        /* libsodium and OpenSSL, one by one */
    VOICE_KERNEL_AVX2,            /* 8 side by side; AES-NI */
    VOICE_KERNEL_AVX512,          /* 16 side by side; VAES */
    VOICE_KERNEL_COUNT
} voice_crypto_kernel_t;

#define VOICE_KERNEL_WHY_MAX  128


/*
 * A key prepared for one mode, good for every kernel: with AES, the key
 * schedule and hash powers of our own and libsodium's.  Big (over 1000 bytes)
 * and process-local: what is shared is the 32-byte secret.  Sealing a packet
 * reads one of the first two cache lines, or what AES prepared.
 */
typedef struct {
    _Alignas(16) uint8_t   subkey[VOICE_KEY_LEN];  /* voice_crypto_salt() */
    uint8_t                salt[VOICE_SALT_LEN];
    voice_mode_t           mode;
    _Alignas(16) uint8_t   secret[VOICE_KEY_LEN];
    _Alignas(16) uint8_t   gcm[496];   /* voice_gcm_key_t */
    _Alignas(16) uint8_t   aes[512];   /* crypto_aead_aes256gcm_state */
} voice_crypto_key_t;


/* One receiver of a packet that is sealed. */
typedef struct {
    const voice_crypto_key_t  *key;
    uint8_t                   *out;      /* header + plain + SEAL_OVERHEAD */
    size_t                     out_len;  /* is set */
    uint8_t                    nonce[VOICE_NONCE4_LEN];
} voice_crypto_to_t;


/* A packet for one receiver. */
typedef struct {
    const uint8_t             *hdr;
    size_t                     hdr_len;
    const uint8_t             *plain;
    size_t                     len;
} voice_crypto_packet_t;


/* A datagram that is opened. */
typedef struct {
    const voice_crypto_key_t  *key;
    uint8_t                   *pkt;
    size_t                     len;
    size_t                     plain_len;  /* is set on success */
    voice_err_t                err;        /* is set */
} voice_crypto_from_t;


/*
 * Once in each process (and inherited by its children), before anything else
 * here.  Tests the kernels that the CPU can run against the portable one and
 * takes the best of those that pass.  VOICE_E_SYS
 */
voice_err_t voice_crypto_init(void);

/*
 * Takes another kernel, for the whole process and for all keys, old and new.
 * Between voice_crypto_init() and the first thread or packet.
 *
 * VOICE_E_RANGE      no such kernel
 * VOICE_E_NOT_FOUND  not in this build, or the CPU can't run it
 * VOICE_E_STATE      it failed its test at the start
 *
 * After an error the one before stays in use.
 */
voice_err_t voice_crypto_use(voice_crypto_kernel_t kernel);
voice_crypto_kernel_t voice_crypto_used(void);

/*
 * VOICE_OK, or why the kernel can't be used: the errors of voice_crypto_use()
 * and a text for the log, such as "the CPU has no AVX512_IFMA".  A kernel
 * with VOICE_E_STATE should be reported loudly, even if nobody asked for it:
 * the CPU or the compiler is broken.
 */
voice_err_t voice_crypto_kernel_check(voice_crypto_kernel_t kernel,
    const char **why);

/* "auto", "portable", "avx2", "avx512" */
const char *voice_crypto_kernel_name(voice_crypto_kernel_t kernel);

/* VOICE_E_NOT_FOUND */
voice_err_t voice_crypto_kernel_parse(const char *name, size_t len,
    voice_crypto_kernel_t *kernel);

const char *voice_mode_name(voice_mode_t mode);

/* VOICE_E_NOT_FOUND */
voice_err_t voice_mode_parse(const char *name, size_t len, voice_mode_t *mode);

/*
 * True where the nonce is the packet's own header, so that sealing consumes
 * no counter (and two RTCP packets of one kind would share a nonce).
 */
bool voice_mode_nonce_is_header(voice_mode_t mode);

/*
 * Bytes of it that end a packet: 4, 24, or 0 where the header is the nonce.
 * Of 24 the first 20 are random and stay with the prepared key.
 */
size_t voice_mode_nonce_len(voice_mode_t mode);

void voice_crypto_key_init(voice_crypto_key_t *key, voice_mode_t mode,
    const uint8_t secret[VOICE_KEY_LEN]);
void voice_crypto_key_wipe(voice_crypto_key_t *key);

/*
 * The wire form of server nonce number k < VOICE_NONCE_MAX: the top bits of
 * bytes 0 and 3 are set, which no client's counter reaches, whichever its
 * byte order.
 */
void voice_nonce_server(uint32_t k, uint8_t out[VOICE_NONCE4_LEN]);

/*
 * Opens an RTP packet in place.
 *
 * pkt, len   the whole datagram
 * plain_len  on success: length of the plain RTP packet that now starts at
 *            pkt (header, then what was encrypted; tag and nonce are gone),
 *            ready for voice_rtp_split()
 *
 * VOICE_E_SHORT   shorter than header + tag + nonce of the mode
 * VOICE_E_LENGTH  longer than VOICE_DATAGRAM_MAX
 * VOICE_E_FORMAT  version is not 2
 * VOICE_E_AUTH    tag mismatch; pkt is unchanged
 */
voice_err_t voice_crypto_open_rtp(const voice_crypto_key_t *key, uint8_t *pkt,
    size_t len, size_t *plain_len);

/* The same for a compound RTCP packet, whose first 8 bytes are clear. */
voice_err_t voice_crypto_open_rtcp(const voice_crypto_key_t *key, uint8_t *pkt,
    size_t len, size_t *plain_len);

/*
 * voice_crypto_open_rtp() for several datagrams, of any modes; the fewer
 * modes, the faster.  No two may be in the same memory.
 */
void voice_crypto_open_many(voice_crypto_from_t *from, size_t n);

/*
 * Seals one packet for n receivers, whose keys all have the given mode.
 *
 * hdr, hdr_len  clear prefix: the RTP header with CSRCs and, in the rtpsize
 *               modes, with the 4-byte extension preamble.  In the other
 *               modes it has exactly 12 bytes.
 * plain, len    what is encrypted; must not overlap any out
 *
 * n = 0 is allowed.  Can't fail, but for one case: without AES in the CPU, a
 * thread that has never sealed and has no memory for that gets out_len 0.
 */
void voice_crypto_seal_rtp(voice_mode_t mode, const uint8_t *hdr,
    size_t hdr_len, const uint8_t *plain, size_t len, voice_crypto_to_t *to,
    size_t n);

/* The same for n packets with one receiver each. */
void voice_crypto_seal_many(voice_mode_t mode,
    const voice_crypto_packet_t *packet, voice_crypto_to_t *to, size_t n);

/*
 * Seals one compound RTCP packet (len >= 8) for one receiver.
 */
void voice_crypto_seal_rtcp(const uint8_t *pkt, size_t len,
    voice_crypto_to_t *to);


#endif /* _VOICE_CRYPTO_H_INCLUDED_ */
