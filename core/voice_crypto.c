/*
 * Copyright (C) ngx-voice contributors
 */


#include "voice_crypto.h"
#include "voice_bytes.h"
#include "voice_crypto_aes.h"
#include "voice_packet.h"
#include "voice_rtcp.h"

#include <sodium.h>
#include <string.h>


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
 * filled up with zeros to 24 bytes; AES takes the first 12 of them.
 */

typedef voice_err_t (*voice_open_pt)(const voice_crypto_key_t *key,
    const uint8_t *nonce, const uint8_t *aad, size_t aad_len,
    const uint8_t *ct, size_t len, const uint8_t *tag, uint8_t *out);
typedef voice_err_t (*voice_seal_pt)(const voice_crypto_key_t *key,
    const uint8_t *nonce, const uint8_t *aad, size_t aad_len,
    const uint8_t *plain, size_t len, uint8_t *ct, uint8_t *tag);


typedef struct {
    const char     *name;
    bool            rtpsize;       /* clear CSRCs and extension preamble */
    bool            aad;           /* the clear prefix is authenticated */
    bool            tag_first;
    uint8_t         trailer;       /* bytes of the nonce behind the packet */
    voice_open_pt   open;
    voice_seal_pt   seal;
} voice_crypto_mode_t;


static voice_err_t voice_crypto_open(const voice_crypto_key_t *key,
    uint8_t *pkt, size_t len, size_t prefix, size_t *plain_len);
static void voice_crypto_seal(const voice_crypto_mode_t *m, const uint8_t *hdr,
    size_t hdr_len, const uint8_t *plain, size_t len, voice_crypto_to_t *to);
static size_t voice_crypto_rtp_prefix(const voice_crypto_mode_t *m,
    const voice_rtp_t *rtp);
static void voice_crypto_nonce(const voice_crypto_mode_t *m,
    const uint8_t *hdr, size_t hdr_len, const uint8_t *trailer,
    uint8_t nonce[VOICE_NONCE24_LEN]);

static voice_err_t voice_xsalsa20_open(const voice_crypto_key_t *key,
    const uint8_t *nonce, const uint8_t *aad, size_t aad_len,
    const uint8_t *ct, size_t len, const uint8_t *tag, uint8_t *out);
static voice_err_t voice_xsalsa20_seal(const voice_crypto_key_t *key,
    const uint8_t *nonce, const uint8_t *aad, size_t aad_len,
    const uint8_t *plain, size_t len, uint8_t *ct, uint8_t *tag);
static voice_err_t voice_xchacha20_open(const voice_crypto_key_t *key,
    const uint8_t *nonce, const uint8_t *aad, size_t aad_len,
    const uint8_t *ct, size_t len, const uint8_t *tag, uint8_t *out);
static voice_err_t voice_xchacha20_seal(const voice_crypto_key_t *key,
    const uint8_t *nonce, const uint8_t *aad, size_t aad_len,
    const uint8_t *plain, size_t len, uint8_t *ct, uint8_t *tag);


static const voice_crypto_mode_t  voice_crypto_modes[VOICE_MODE_COUNT] = {

    /* name, rtpsize, aad, tag_first, trailer, open, seal */

    [VOICE_MODE_AEAD_AES256_GCM_RTPSIZE] =
    { "aead_aes256_gcm_rtpsize", true, true, false,
      VOICE_NONCE4_LEN, voice_aes_open, voice_aes_seal },

    [VOICE_MODE_AEAD_XCHACHA20_POLY1305_RTPSIZE] =
    { "aead_xchacha20_poly1305_rtpsize", true, true, false,
      VOICE_NONCE4_LEN, voice_xchacha20_open, voice_xchacha20_seal },

    [VOICE_MODE_XSALSA20_POLY1305_LITE_RTPSIZE] =
    { "xsalsa20_poly1305_lite_rtpsize", true, false, true,
      VOICE_NONCE4_LEN, voice_xsalsa20_open, voice_xsalsa20_seal },

    [VOICE_MODE_XSALSA20_POLY1305_LITE] =
    { "xsalsa20_poly1305_lite", false, false, true,
      VOICE_NONCE4_LEN, voice_xsalsa20_open, voice_xsalsa20_seal },

    [VOICE_MODE_XSALSA20_POLY1305_SUFFIX] =
    { "xsalsa20_poly1305_suffix", false, false, true,
      VOICE_NONCE24_LEN, voice_xsalsa20_open, voice_xsalsa20_seal },

    [VOICE_MODE_XSALSA20_POLY1305] =
    { "xsalsa20_poly1305", false, false, true,
      0, voice_xsalsa20_open, voice_xsalsa20_seal },

    [VOICE_MODE_AEAD_AES256_GCM] =
    { "aead_aes256_gcm", false, true, false,
      VOICE_NONCE4_LEN, voice_aes_open, voice_aes_seal },
};


_Static_assert(VOICE_KEY_LEN == crypto_secretbox_KEYBYTES
               && VOICE_KEY_LEN == crypto_aead_aes256gcm_KEYBYTES
               && VOICE_KEY_LEN == crypto_aead_xchacha20poly1305_ietf_KEYBYTES,
               "one key length in all modes");
_Static_assert(VOICE_NONCE24_LEN == crypto_secretbox_NONCEBYTES
               && VOICE_NONCE24_LEN
                  == crypto_aead_xchacha20poly1305_ietf_NPUBBYTES,
               "24-byte nonces");


voice_err_t
voice_crypto_init(void)
{
    if (sodium_init() < 0) {
        return VOICE_E_SYS;
    }

    return voice_aes_init();
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


void
voice_crypto_key_init(voice_crypto_key_t *key, voice_mode_t mode,
    const uint8_t secret[VOICE_KEY_LEN])
{
    memset(key, 0, sizeof(voice_crypto_key_t));

    key->mode = mode;
    memcpy(key->secret, secret, VOICE_KEY_LEN);
    randombytes_buf(key->salt, sizeof(key->salt));

    if (voice_crypto_modes[mode].open == voice_aes_open) {
        voice_aes_key_init(key);
    }
}


void
voice_crypto_key_wipe(voice_crypto_key_t *key)
{
    sodium_memzero(key, sizeof(voice_crypto_key_t));

    voice_aes_key_wipe();
}


void
voice_nonce_server(uint32_t k, uint8_t out[VOICE_NONCE4_LEN])
{
    out[0] = (uint8_t) (0x80 | (k >> 23 & 0x7F));
    out[1] = (uint8_t) (k >> 15);
    out[2] = (uint8_t) (k >> 7);
    out[3] = (uint8_t) (0x80 | (k & 0x7F));
}


voice_err_t
voice_crypto_open_rtp(const voice_crypto_key_t *key, uint8_t *pkt, size_t len,
    size_t *plain_len)
{
    voice_err_t   err;
    voice_rtp_t   rtp;

    err = voice_rtp_parse(pkt, len, &rtp);
    if (err != VOICE_OK) {
        return err;
    }

    return voice_crypto_open(key, pkt, len,
                     voice_crypto_rtp_prefix(&voice_crypto_modes[key->mode],
                                             &rtp),
                     plain_len);
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


static size_t
voice_crypto_rtp_prefix(const voice_crypto_mode_t *m, const voice_rtp_t *rtp)
{
    if (!m->rtpsize) {
        return VOICE_RTP_HEADER_LEN;
    }

    return VOICE_RTP_HEADER_LEN + 4 * (size_t) rtp->cc
           + (rtp->extension ? 4 : 0);
}


/*
 * Libraries clear their output when the tag is wrong, and some write it
 * before they know.  The packet must survive that, so that another session's
 * key can be tried; hence the detour over the stack.
 */
static voice_err_t
voice_crypto_open(const voice_crypto_key_t *key, uint8_t *pkt, size_t len,
    size_t prefix, size_t *plain_len)
{
    size_t                      n;
    uint8_t                    *ct, *tag, *trailer;
    voice_err_t                 err;
    const voice_crypto_mode_t  *m;
    uint8_t                     nonce[VOICE_NONCE24_LEN];
    uint8_t                     plain[VOICE_DATAGRAM_MAX];

    m = &voice_crypto_modes[key->mode];

    if (len < prefix + VOICE_TAG_LEN + m->trailer) {
        return VOICE_E_SHORT;
    }

    if (len > VOICE_DATAGRAM_MAX) {
        return VOICE_E_LENGTH;
    }

    n = len - prefix - VOICE_TAG_LEN - m->trailer;

    ct = pkt + prefix + (m->tag_first ? VOICE_TAG_LEN : 0);
    tag = m->tag_first ? pkt + prefix : ct + n;
    trailer = pkt + len - m->trailer;

    voice_crypto_nonce(m, pkt, prefix, trailer, nonce);

    err = m->open(key, nonce, pkt, m->aad ? prefix : 0, ct, n, tag, plain);
    if (err != VOICE_OK) {
        return err;
    }

    memcpy(pkt + prefix, plain, n);

    *plain_len = prefix + n;

    return VOICE_OK;
}


static void
voice_crypto_nonce(const voice_crypto_mode_t *m, const uint8_t *hdr,
    size_t hdr_len, const uint8_t *trailer, uint8_t nonce[VOICE_NONCE24_LEN])
{
    memset(nonce, 0, VOICE_NONCE24_LEN);

    if (m->trailer == 0) {
        memcpy(nonce, hdr, hdr_len);

    } else {
        memcpy(nonce, trailer, m->trailer);
    }
}


void
voice_crypto_seal_rtp(voice_mode_t mode, const uint8_t *hdr, size_t hdr_len,
    const uint8_t *plain, size_t len, voice_crypto_to_t *to, size_t n)
{
    size_t  i;

    for (i = 0; i < n; i++) {
        voice_crypto_seal(&voice_crypto_modes[mode], hdr, hdr_len, plain, len,
                          &to[i]);
    }
}


void
voice_crypto_seal_rtcp(const uint8_t *pkt, size_t len, voice_crypto_to_t *to)
{
    voice_crypto_seal(&voice_crypto_modes[to->key->mode], pkt,
                      VOICE_RTCP_HEADER_LEN, pkt + VOICE_RTCP_HEADER_LEN,
                      len - VOICE_RTCP_HEADER_LEN, to);
}


static void
voice_crypto_seal(const voice_crypto_mode_t *m, const uint8_t *hdr,
    size_t hdr_len, const uint8_t *plain, size_t len, voice_crypto_to_t *to)
{
    uint8_t  *ct, *tag, *last;
    uint8_t   trailer[VOICE_NONCE24_LEN], nonce[VOICE_NONCE24_LEN];

    memcpy(trailer, to->nonce, VOICE_NONCE4_LEN);
    memcpy(trailer + VOICE_NONCE4_LEN, to->key->salt, sizeof(to->key->salt));

    voice_crypto_nonce(m, hdr, hdr_len, trailer, nonce);

    ct = to->out + hdr_len + (m->tag_first ? VOICE_TAG_LEN : 0);
    tag = m->tag_first ? to->out + hdr_len : ct + len;
    last = to->out + hdr_len + VOICE_TAG_LEN + len;

    memcpy(to->out, hdr, hdr_len);

    if (m->seal(to->key, nonce, to->out, m->aad ? hdr_len : 0, plain, len, ct,
                tag)
        != VOICE_OK)
    {
        to->out_len = 0;
        return;
    }

    memcpy(last, trailer, m->trailer);

    to->out_len = (size_t) (last - to->out) + m->trailer;
}


static voice_err_t
voice_xsalsa20_open(const voice_crypto_key_t *key, const uint8_t *nonce,
    const uint8_t *aad, size_t aad_len, const uint8_t *ct, size_t len,
    const uint8_t *tag, uint8_t *out)
{
    (void) aad;
    (void) aad_len;

    return crypto_secretbox_open_detached(out, ct, tag, len, nonce,
                                          key->secret)
           == 0 ? VOICE_OK : VOICE_E_AUTH;
}


static voice_err_t
voice_xsalsa20_seal(const voice_crypto_key_t *key, const uint8_t *nonce,
    const uint8_t *aad, size_t aad_len, const uint8_t *plain, size_t len,
    uint8_t *ct, uint8_t *tag)
{
    (void) aad;
    (void) aad_len;

    crypto_secretbox_detached(ct, tag, plain, len, nonce, key->secret);

    return VOICE_OK;
}


static voice_err_t
voice_xchacha20_open(const voice_crypto_key_t *key, const uint8_t *nonce,
    const uint8_t *aad, size_t aad_len, const uint8_t *ct, size_t len,
    const uint8_t *tag, uint8_t *out)
{
    return crypto_aead_xchacha20poly1305_ietf_decrypt_detached(out, NULL, ct,
                                                 len, tag, aad, aad_len,
                                                 nonce, key->secret)
           == 0 ? VOICE_OK : VOICE_E_AUTH;
}


static voice_err_t
voice_xchacha20_seal(const voice_crypto_key_t *key, const uint8_t *nonce,
    const uint8_t *aad, size_t aad_len, const uint8_t *plain, size_t len,
    uint8_t *ct, uint8_t *tag)
{
    crypto_aead_xchacha20poly1305_ietf_encrypt_detached(ct, tag, NULL, plain,
                                              len, aad, aad_len, NULL, nonce,
                                              key->secret);
    return VOICE_OK;
}
