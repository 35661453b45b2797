/*
 * Copyright (C) ngx-voice contributors
 */


#include "voice_bytes.h"
#include "voice_crypto.h"
#include "voice_crypto_aes.h"
#include "voice_crypto_kernel.h"
#include "voice_packet.h"
#include "voice_rtcp.h"

#include <pthread.h>
#include <sodium.h>
#include <string.h>


/* voice_crypto_open_many(), and more than the deepest of the kernels needs */
#define VOICE_STACK_WIPE  (sizeof(voice_crypto_batch_t) + 16384)


/*
 * What the modes do with a packet:
 *
 *   cipher         on the wire                 authenticated
 *   xsalsa20       prefix tag ct [trailer]     ct
 *   aes, xchacha   prefix ct tag trailer       prefix, ct
 *
 * The clear prefix of RTP is the 12-byte header; in the rtpsize modes the
 * CSRCs and the extension's 4-byte preamble belong to it too.  RTCP has 8
 * clear bytes in every mode.
 *
 * The nonce is the trailer, or the clear prefix if there is no trailer,
 * filled up with zeros to 24 bytes; AES takes the first 12 of them.  Where it
 * is ours to choose, in suffix mode, it begins with a salt that stays.
 */

typedef struct {
    const char       *name;
    voice_cipher_t    seal;
    voice_cipher_t    open;
    bool              rtpsize;     /* clear CSRCs and extension preamble */
    bool              aad;         /* the clear prefix is authenticated */
    bool              tag_first;
    uint8_t           trailer;     /* bytes of the nonce behind the packet */
} voice_crypto_mode_t;


/* Where a packet's parts come to lie; the same for all its receivers. */
typedef struct {
    const voice_crypto_packet_t  *packet;
    size_t                        aad_len;
    size_t                        text;
    size_t                        tag;
    size_t                        trailer;
    size_t                        trailer_len;
    uint64_t                      nonce[2];    /* the header, or zeros */
} voice_crypto_form_t;


/* Datagrams of one cipher that are opened together. */
typedef struct {
    size_t                 n;
    voice_lane_t           lane[VOICE_LANES_MAX];
    voice_crypto_from_t   *from[VOICE_LANES_MAX];
    size_t                 prefix[VOICE_LANES_MAX];
    uint8_t                plain[VOICE_LANES_MAX][VOICE_DATAGRAM_MAX];
} voice_crypto_batch_t;


static void voice_crypto_init_once(void);
static voice_err_t voice_crypto_rtp_prefix(const voice_crypto_from_t *from,
    size_t *prefix);
static voice_err_t voice_crypto_open(const voice_crypto_key_t *key,
    uint8_t *pkt, size_t len, size_t prefix, size_t *plain_len);
static voice_err_t voice_crypto_open_begin(const voice_crypto_key_t *key,
    uint8_t *pkt, size_t len, size_t prefix, uint8_t *plain,
    voice_lane_t *lane);
static size_t voice_crypto_open_end(const voice_lane_t *lane, uint8_t *pkt,
    size_t prefix);
static void voice_crypto_open_batch(voice_crypto_batch_t *b,
    voice_cipher_t cipher);
static void voice_crypto_seal_form(const voice_crypto_mode_t *m,
    const voice_crypto_packet_t *p, voice_crypto_form_t *f);
static void voice_crypto_seal_begin(const voice_crypto_form_t *f,
    voice_crypto_to_t *to, voice_lane_t *lane);
static void voice_crypto_seal_text(const voice_crypto_form_t *f,
    voice_lane_t *lane);
static void voice_crypto_seal_end(voice_crypto_to_t *to,
    const voice_lane_t *lane, size_t n);


static const voice_crypto_mode_t  voice_crypto_modes[VOICE_MODE_COUNT] = {

    /* name, seal, open, rtpsize, aad, tag_first, trailer */

    [VOICE_MODE_AEAD_AES256_GCM_RTPSIZE] =
    { "aead_aes256_gcm_rtpsize",
      VOICE_CIPHER_AES256_GCM, VOICE_CIPHER_AES256_GCM,
      true, true, false, VOICE_NONCE4_LEN },

    [VOICE_MODE_AEAD_XCHACHA20_POLY1305_RTPSIZE] =
    { "aead_xchacha20_poly1305_rtpsize",
      VOICE_CIPHER_XCHACHA20_POLY1305, VOICE_CIPHER_XCHACHA20_POLY1305,
      true, true, false, VOICE_NONCE4_LEN },

    [VOICE_MODE_XSALSA20_POLY1305_LITE_RTPSIZE] =
    { "xsalsa20_poly1305_lite_rtpsize",
      VOICE_CIPHER_XSALSA20_POLY1305, VOICE_CIPHER_XSALSA20_POLY1305,
      true, false, true, VOICE_NONCE4_LEN },

    [VOICE_MODE_XSALSA20_POLY1305_LITE] =
    { "xsalsa20_poly1305_lite",
      VOICE_CIPHER_XSALSA20_POLY1305, VOICE_CIPHER_XSALSA20_POLY1305,
      false, false, true, VOICE_NONCE4_LEN },

    [VOICE_MODE_XSALSA20_POLY1305_SUFFIX] =
    { "xsalsa20_poly1305_suffix",
      VOICE_CIPHER_XSALSA20_POLY1305_SALT, VOICE_CIPHER_XSALSA20_POLY1305,
      false, false, true, VOICE_NONCE24_LEN },

    [VOICE_MODE_XSALSA20_POLY1305] =
    { "xsalsa20_poly1305",
      VOICE_CIPHER_XSALSA20_POLY1305, VOICE_CIPHER_XSALSA20_POLY1305,
      false, false, true, 0 },

    [VOICE_MODE_AEAD_AES256_GCM] =
    { "aead_aes256_gcm",
      VOICE_CIPHER_AES256_GCM, VOICE_CIPHER_AES256_GCM,
      false, true, false, VOICE_NONCE4_LEN },
};


static pthread_once_t  voice_crypto_once = PTHREAD_ONCE_INIT;


/*
 * Four bytes and four zeros, or the other way round, in a register: kernels
 * read nonces by 8 bytes, and what was just stored is handed on quickly only
 * if it was one store.
 */

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define VOICE_FIRST_FOUR   0
#define VOICE_LAST_FOUR    32
#else
#define VOICE_FIRST_FOUR   32
#define VOICE_LAST_FOUR    0
#endif

static inline uint64_t
voice_crypto_four(const uint8_t *p, int where)
{
    uint32_t  v;

    memcpy(&v, p, 4);

    return (uint64_t) v << where;
}


voice_err_t
voice_crypto_init(void)
{
    voice_err_t  err;

    if (sodium_init() < 0) {
        return VOICE_E_SYS;
    }

    err = voice_aes_init();
    if (err != VOICE_OK) {
        return err;
    }

    if (pthread_once(&voice_crypto_once, voice_crypto_init_once) != 0) {
        return VOICE_E_SYS;
    }

    return VOICE_OK;
}


static void
voice_crypto_init_once(void)
{
    voice_kernels_init(voice_kernels(), voice_kernels_built_in(),
                       voice_cpu_features());
}


const char *
voice_mode_name(voice_mode_t mode)
{
    if ((size_t) mode >= VOICE_MODE_COUNT) {
        return "unknown";
    }

    return voice_crypto_modes[mode].name;
}


voice_err_t
voice_mode_parse(const char *name, size_t len, voice_mode_t *mode)
{
    size_t       i;
    const char  *p;

    for (i = 0; i < VOICE_MODE_COUNT; i++) {
        p = voice_crypto_modes[i].name;

        if (strlen(p) == len && memcmp(p, name, len) == 0) {
            *mode = (voice_mode_t) i;
            return VOICE_OK;
        }
    }

    return VOICE_E_NOT_FOUND;
}


bool
voice_mode_nonce_is_header(voice_mode_t mode)
{
    return voice_crypto_modes[mode].trailer == 0;
}


size_t
voice_mode_nonce_len(voice_mode_t mode)
{
    return voice_crypto_modes[mode].trailer;
}


void
voice_crypto_key_init(voice_crypto_key_t *key, voice_mode_t mode,
    const uint8_t secret[VOICE_KEY_LEN])
{
    uint8_t  salt[VOICE_SALT_LEN];

    memset(key, 0, sizeof(voice_crypto_key_t));

    key->mode = mode;
    memcpy(key->secret, secret, VOICE_KEY_LEN);

    if (mode == VOICE_MODE_XSALSA20_POLY1305_SUFFIX) {
        randombytes_buf(salt, sizeof(salt));
        voice_crypto_salt(key, salt);
        return;
    }

    if (voice_crypto_modes[mode].seal != VOICE_CIPHER_AES256_GCM) {
        return;
    }

    voice_aes_key_init(key);

#if defined(__x86_64__)

    if (voice_cpu_missing(VOICE_CPU_GCM, voice_kernels()->cpu) == NULL) {
        voice_gcm_key_init(key);
    }

#endif
}


void
voice_crypto_salt(voice_crypto_key_t *key, const uint8_t salt[VOICE_SALT_LEN])
{
    memcpy(key->salt, salt, VOICE_SALT_LEN);

    crypto_core_hsalsa20(key->subkey, salt, key->secret, NULL);
}


/*
 * Kernels keep key material in registers, which the compiler may spill; what
 * they left on the stack goes with the key.
 */
void
voice_crypto_key_wipe(voice_crypto_key_t *key)
{
    sodium_memzero(key, sizeof(voice_crypto_key_t));
    sodium_stackzero(VOICE_STACK_WIPE);

    voice_aes_key_wipe();
}


void
voice_nonce_server(uint32_t k, uint8_t out[VOICE_NONCE4_LEN])
{
    voice_put_u32(out, 0x80000080 | (k << 1 & 0x7FFFFF00) | (k & 0x7F));
}


voice_err_t
voice_crypto_open_rtp(const voice_crypto_key_t *key, uint8_t *pkt, size_t len,
    size_t *plain_len)
{
    size_t               prefix;
    voice_err_t          err;
    voice_crypto_from_t  from;

    from.key = key;
    from.pkt = pkt;
    from.len = len;

    err = voice_crypto_rtp_prefix(&from, &prefix);
    if (err != VOICE_OK) {
        return err;
    }

    return voice_crypto_open(key, pkt, len, prefix, plain_len);
}


voice_err_t
voice_crypto_open_rtcp(const voice_crypto_key_t *key, uint8_t *pkt, size_t len,
    size_t *plain_len)
{
    if (len < VOICE_RTCP_HEADER_LEN) {
        return VOICE_E_SHORT;
    }

    if (pkt[0] >> 6 != 2) {
        return VOICE_E_FORMAT;
    }

    return voice_crypto_open(key, pkt, len, VOICE_RTCP_HEADER_LEN, plain_len);
}


void
voice_crypto_open_many(voice_crypto_from_t *from, size_t n)
{
    int                    cipher;
    size_t                 i, prefix;
    voice_crypto_from_t   *f;
    voice_crypto_batch_t   b;

    for (cipher = 0; cipher < VOICE_CIPHER_COUNT; cipher++) {
        b.n = 0;

        for (i = 0; i < n; i++) {
            f = &from[i];

            if ((int) voice_crypto_modes[f->key->mode].open != cipher) {
                continue;
            }

            f->err = voice_crypto_rtp_prefix(f, &prefix);
            if (f->err != VOICE_OK) {
                continue;
            }

            f->err = voice_crypto_open_begin(f->key, f->pkt, f->len, prefix,
                                             b.plain[b.n], &b.lane[b.n]);
            if (f->err != VOICE_OK) {
                continue;
            }

            b.from[b.n] = f;
            b.prefix[b.n] = prefix;

            if (++b.n == VOICE_LANES_MAX) {
                voice_crypto_open_batch(&b, (voice_cipher_t) cipher);
            }
        }

        if (b.n != 0) {
            voice_crypto_open_batch(&b, (voice_cipher_t) cipher);
        }
    }
}


static void
voice_crypto_open_batch(voice_crypto_batch_t *b, voice_cipher_t cipher)
{
    size_t                i;
    voice_crypto_from_t  *f;

    voice_lanes_run(cipher, b->lane, b->n, VOICE_LANES_OPEN);

    for (i = 0; i < b->n; i++) {
        f = b->from[i];
        f->err = b->lane[i].err;

        if (f->err == VOICE_OK) {
            f->plain_len = voice_crypto_open_end(&b->lane[i], f->pkt,
                                                 b->prefix[i]);
        }
    }

    b->n = 0;
}


/* How much of an RTP packet is clear. */
static voice_err_t
voice_crypto_rtp_prefix(const voice_crypto_from_t *from, size_t *prefix)
{
    voice_err_t  err;
    voice_rtp_t  rtp;

    err = voice_rtp_parse(from->pkt, from->len, &rtp);
    if (err != VOICE_OK) {
        return err;
    }

    *prefix = VOICE_RTP_HEADER_LEN;

    if (voice_crypto_modes[from->key->mode].rtpsize) {
        *prefix += 4 * (size_t) rtp.cc + (rtp.extension ? 4 : 0);
    }

    return VOICE_OK;
}


static voice_err_t
voice_crypto_open(const voice_crypto_key_t *key, uint8_t *pkt, size_t len,
    size_t prefix, size_t *plain_len)
{
    voice_err_t   err;
    voice_lane_t  lane;
    uint8_t       plain[VOICE_DATAGRAM_MAX];

    err = voice_crypto_open_begin(key, pkt, len, prefix, plain, &lane);
    if (err != VOICE_OK) {
        return err;
    }

    voice_lanes_run(voice_crypto_modes[key->mode].open, &lane, 1,
                    VOICE_LANES_OPEN);

    if (lane.err != VOICE_OK) {
        return lane.err;
    }

    *plain_len = voice_crypto_open_end(&lane, pkt, prefix);

    return VOICE_OK;
}


/*
 * Ciphers write their output before they know the tag, and libraries clear it
 * when the tag is wrong.  The packet must survive that, so that another
 * session's key can be tried; hence the detour over the stack.
 */
static voice_err_t
voice_crypto_open_begin(const voice_crypto_key_t *key, uint8_t *pkt,
    size_t len, size_t prefix, uint8_t *plain, voice_lane_t *lane)
{
    size_t                      n;
    const voice_crypto_mode_t  *m;

    m = &voice_crypto_modes[key->mode];

    if (len < prefix + VOICE_TAG_LEN + m->trailer) {
        return VOICE_E_SHORT;
    }

    if (len > VOICE_DATAGRAM_MAX) {
        return VOICE_E_LENGTH;
    }

    n = len - prefix - VOICE_TAG_LEN - m->trailer;

    lane->key = key;
    lane->in = pkt + prefix + (m->tag_first ? VOICE_TAG_LEN : 0);
    lane->tag = pkt + prefix + (m->tag_first ? 0 : n);
    lane->out = plain;
    lane->len = (uint32_t) n;
    lane->aad = pkt;
    lane->aad_len = m->aad ? (uint32_t) prefix : 0;

    memset(lane->nonce, 0, sizeof(lane->nonce));

    if (m->trailer == 0) {
        memcpy(lane->nonce, pkt, prefix);

    } else {
        memcpy(lane->nonce, pkt + len - m->trailer, m->trailer);
    }

    return VOICE_OK;
}


static size_t
voice_crypto_open_end(const voice_lane_t *lane, uint8_t *pkt, size_t prefix)
{
    memcpy(pkt + prefix, lane->out, lane->len);

    return prefix + lane->len;
}


void
voice_crypto_seal_rtp(voice_mode_t mode, const uint8_t *hdr, size_t hdr_len,
    const uint8_t *plain, size_t len, voice_crypto_to_t *to, size_t n)
{
    size_t                      i, k;
    voice_lane_t                lane[VOICE_LANES_MAX];
    voice_crypto_form_t         f;
    voice_crypto_packet_t       p;
    const voice_crypto_mode_t  *m;

    m = &voice_crypto_modes[mode];

    p.hdr = hdr;
    p.hdr_len = hdr_len;
    p.plain = plain;
    p.len = len;

    voice_crypto_seal_form(m, &p, &f);

    for ( /* void */ ; n != 0; to += k, n -= k) {
        k = n < VOICE_LANES_MAX ? n : VOICE_LANES_MAX;

        for (i = 0; i < k; i++) {
            voice_crypto_seal_begin(&f, &to[i], &lane[i]);
        }

        voice_crypto_seal_text(&f, lane);
        voice_lanes_run(m->seal, lane, k, VOICE_LANES_SEAL_SAME);
        voice_crypto_seal_end(to, lane, k);
    }
}


void
voice_crypto_seal_many(voice_mode_t mode, const voice_crypto_packet_t *packet,
    voice_crypto_to_t *to, size_t n)
{
    size_t                      i, k;
    voice_lane_t                lane[VOICE_LANES_MAX];
    voice_crypto_form_t         f;
    const voice_crypto_mode_t  *m;

    m = &voice_crypto_modes[mode];

    for ( /* void */ ; n != 0; to += k, packet += k, n -= k) {
        k = n < VOICE_LANES_MAX ? n : VOICE_LANES_MAX;

        for (i = 0; i < k; i++) {
            voice_crypto_seal_form(m, &packet[i], &f);
            voice_crypto_seal_begin(&f, &to[i], &lane[i]);
            voice_crypto_seal_text(&f, &lane[i]);
        }

        voice_lanes_run(m->seal, lane, k, VOICE_LANES_SEAL);
        voice_crypto_seal_end(to, lane, k);
    }
}


void
voice_crypto_seal_rtcp(const uint8_t *pkt, size_t len, voice_crypto_to_t *to)
{
    voice_lane_t                lane;
    voice_crypto_form_t         f;
    voice_crypto_packet_t       p;
    const voice_crypto_mode_t  *m;

    m = &voice_crypto_modes[to->key->mode];

    p.hdr = pkt;
    p.hdr_len = VOICE_RTCP_HEADER_LEN;
    p.plain = pkt + VOICE_RTCP_HEADER_LEN;
    p.len = len - VOICE_RTCP_HEADER_LEN;

    voice_crypto_seal_form(m, &p, &f);
    voice_crypto_seal_begin(&f, to, &lane);
    voice_crypto_seal_text(&f, &lane);
    voice_lanes_run(m->seal, &lane, 1, VOICE_LANES_SEAL_SAME);
    voice_crypto_seal_end(to, &lane, 1);
}


static void
voice_crypto_seal_form(const voice_crypto_mode_t *m,
    const voice_crypto_packet_t *p, voice_crypto_form_t *f)
{
    f->packet = p;
    f->aad_len = m->aad ? p->hdr_len : 0;
    f->text = p->hdr_len + (m->tag_first ? VOICE_TAG_LEN : 0);
    f->tag = p->hdr_len + (m->tag_first ? 0 : p->len);
    f->trailer = p->hdr_len + p->len + VOICE_TAG_LEN;
    f->trailer_len = m->trailer;

    f->nonce[0] = 0;
    f->nonce[1] = 0;

    if (m->trailer == 0) {
        memcpy(f->nonce, p->hdr, p->hdr_len);
    }
}


/*
 * All of a datagram that isn't the cipher's.  Copies of a known length are a
 * move or two, others are a call.
 */
static inline void
voice_crypto_seal_begin(const voice_crypto_form_t *f, voice_crypto_to_t *to,
    voice_lane_t *lane)
{
    uint8_t        *out;
    uint64_t        one, two, three;
    const uint8_t  *salt;

    out = to->out;

    if (f->packet->hdr_len == VOICE_RTP_HEADER_LEN) {
        memcpy(out, f->packet->hdr, VOICE_RTP_HEADER_LEN);

    } else {
        memcpy(out, f->packet->hdr, f->packet->hdr_len);
    }

    one = f->nonce[0];
    two = f->nonce[1];
    three = 0;

    switch (f->trailer_len) {

    case 0:
        break;

    case VOICE_NONCE4_LEN:
        memcpy(out + f->trailer, to->nonce, VOICE_NONCE4_LEN);
        one = voice_crypto_four(to->nonce, VOICE_FIRST_FOUR);
        break;

    default: /* VOICE_NONCE24_LEN */
        salt = to->key->salt;
        memcpy(out + f->trailer, salt, VOICE_SALT_LEN);
        memcpy(out + f->trailer + VOICE_SALT_LEN, to->nonce, VOICE_NONCE4_LEN);

        memcpy(&one, salt, 8);
        memcpy(&two, salt + 8, 8);
        three = voice_crypto_four(salt + 16, VOICE_FIRST_FOUR)
                | voice_crypto_four(to->nonce, VOICE_LAST_FOUR);
        break;
    }

    memcpy(lane->nonce, &one, 8);
    memcpy(lane->nonce + 8, &two, 8);
    memcpy(lane->nonce + 16, &three, 8);

    lane->key = to->key;
    lane->out = out + f->text;
    lane->tag = out + f->tag;

    to->out_len = f->trailer + f->trailer_len;
}


/* What may be the same for all. */
static void
voice_crypto_seal_text(const voice_crypto_form_t *f, voice_lane_t *lane)
{
    lane->in = f->packet->plain;
    lane->len = (uint32_t) f->packet->len;
    lane->aad = f->packet->hdr;
    lane->aad_len = (uint32_t) f->aad_len;
}


static void
voice_crypto_seal_end(voice_crypto_to_t *to, const voice_lane_t *lane,
    size_t n)
{
    size_t  i;

    for (i = 0; i < n; i++) {
        if (lane[i].err != VOICE_OK) {
            to[i].out_len = 0;
        }
    }
}
