/*
 * Copyright (C) ngx-voice contributors
 *
 * Everything here runs with each kernel that the CPU can run, and with the
 * portable one twice: with libsodium's AES (where the CPU has it) and with
 * OpenSSL's.
 */


#include "test_util.h"

#include "voice_crypto.h"
#include "voice_crypto_aes.h"
#include "voice_crypto_kernel.h"
#include "voice_packet.h"

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>


#define MAX        VOICE_DATAGRAM_MAX

#define GCM_RTP    VOICE_MODE_AEAD_AES256_GCM_RTPSIZE
#define GCM        VOICE_MODE_AEAD_AES256_GCM
#define XCHACHA    VOICE_MODE_AEAD_XCHACHA20_POLY1305_RTPSIZE
#define LITE_RTP   VOICE_MODE_XSALSA20_POLY1305_LITE_RTPSIZE
#define LITE       VOICE_MODE_XSALSA20_POLY1305_LITE
#define SUFFIX     VOICE_MODE_XSALSA20_POLY1305_SUFFIX
#define PLAIN      VOICE_MODE_XSALSA20_POLY1305

/* media.md section 5.4 */
#define A_HEAD     "80781234 000003C0 00001B58"
#define B_HEAD     "90781235 00000780 00001B58"
#define B_PREAMBLE "BEDE0001"
#define B_EXT      "10850000"
#define OPUS       "F8FFFE"
#define PLI        "81CE0002 00000001 00001B59"

/* CSRC and extension at once */
#define C_HEAD     "91F8FFFF FFFFFFFF 00001B58 0A0B0C0D"


typedef struct {
    const char     *name;
    voice_mode_t    mode;
    bool            rtcp;
    size_t          clear;     /* bytes of the plain packet */
    const char     *plain;     /* header included */
    const char     *nonce;
    const char     *wire;
} vector_t;


typedef struct {
    const char     *name;
    size_t          trailer;
    bool            rtpsize;
    bool            header_counts;    /* a changed header is noticed */
} mode_facts_t;


static const vector_t  vectors[] = {

    { "plain A", PLAIN, false, 12, A_HEAD OPUS, "00000000",
      "80781234000003c000001b58f4809deb99e6dcf67df8be4fb5ad0d57f17552" },
    { "plain B", PLAIN, false, 12, B_HEAD B_PREAMBLE B_EXT OPUS, "00000000",
      "907812350000078000001b586eb88c60c09f59cd6a2f6c00224168e9187b22bb5f42"
      "1299df847e" },
    { "suffix A", SUFFIX, false, 12, A_HEAD OPUS, "54555657",
      "80781234000003c000001b5856839a79b7f890d33b1edd56cf60e3f4b2e8ab404142"
      "434445464748494a4b4c4d4e4f5051525354555657" },
    { "lite A", LITE, false, 12, A_HEAD OPUS, "00000001",
      "80781234000003c000001b58373c50ba1774f0dedb75d5fd7d64251236542b000000"
      "01" },
    { "lite_rtpsize A", LITE_RTP, false, 12, A_HEAD OPUS, "00000001",
      "80781234000003c000001b58373c50ba1774f0dedb75d5fd7d64251236542b000000"
      "01" },
    { "lite_rtpsize B", LITE_RTP, false, 16, B_HEAD B_PREAMBLE B_EXT OPUS,
      "00000001",
      "907812350000078000001b58bede0001eb3dc5b5bd5777f4627770bd8be34848de2e"
      "d57ebf4e0900000001" },
    { "aes256_gcm A", GCM, false, 12, A_HEAD OPUS, "00000001",
      "80781234000003c000001b58bcc933d69fb517372f1eb7989ee731c8605e61000000"
      "01" },
    { "aes256_gcm_rtpsize A", GCM_RTP, false, 12, A_HEAD OPUS, "00000001",
      "80781234000003c000001b58bcc933d69fb517372f1eb7989ee731c8605e61000000"
      "01" },
    { "aes256_gcm_rtpsize B", GCM_RTP, false, 16,
      B_HEAD B_PREAMBLE B_EXT OPUS, "00000001",
      "907812350000078000001b58bede000154b3cdaaf4a50a40c1e6ad0e612ec93e6870"
      "a3c58826ce00000001" },
    { "xchacha20_rtpsize A", XCHACHA, false, 12, A_HEAD OPUS, "00000001",
      "80781234000003c000001b58f158af3ad9d5f19474051db27fc91a4a3a8b8e000000"
      "01" },
    { "xchacha20_rtpsize B", XCHACHA, false, 16, B_HEAD B_PREAMBLE B_EXT OPUS,
      "00000001",
      "907812350000078000001b58bede00011922512097ff6f420cd3a0f1afa985ed65e3"
      "3c3351724800000001" },

    { "aes256_gcm RTCP", GCM, true, 8, PLI, "00000002",
      "81ce000200000001ac7c41972e2b63302a9a9de8a48e74ad31ce379300000002" },
    { "aes256_gcm_rtpsize RTCP", GCM_RTP, true, 8, PLI, "00000002",
      "81ce000200000001ac7c41972e2b63302a9a9de8a48e74ad31ce379300000002" },
    { "xchacha20_rtpsize RTCP", XCHACHA, true, 8, PLI, "00000002",
      "81ce00020000000112b72dcdc1d086c71e22a5ca7ac101d259c688e200000002" },
    { "plain RTCP", PLAIN, true, 8, PLI, "00000002",
      "81ce0002000000016ffb4bf83d348e615604604cd0ff0e0e8ba82211" },
    { "lite RTCP", LITE, true, 8, PLI, "00000002",
      "81ce000200000001ec33cffe4a697f534046d93e5f02e3e4dc2f7f1900000002" },
    { "lite_rtpsize RTCP", LITE_RTP, true, 8, PLI, "00000002",
      "81ce000200000001ec33cffe4a697f534046d93e5f02e3e4dc2f7f1900000002" },
};


static const mode_facts_t  modes[VOICE_MODE_COUNT] = {
    [GCM_RTP] = { "aead_aes256_gcm_rtpsize", 4, true, true },
    [XCHACHA] = { "aead_xchacha20_poly1305_rtpsize", 4, true, true },
    [LITE_RTP] = { "xsalsa20_poly1305_lite_rtpsize", 4, true, false },
    [LITE] = { "xsalsa20_poly1305_lite", 4, false, false },
    [SUFFIX] = { "xsalsa20_poly1305_suffix", 24, false, false },
    [PLAIN] = { "xsalsa20_poly1305", 0, false, true },
    [GCM] = { "aead_aes256_gcm", 4, false, true },
};


static _Atomic unsigned  allocations;


/* The key of the vectors, or another one. */
static void
key_init(voice_crypto_key_t *key, voice_mode_t mode, uint8_t first)
{
    size_t   i;
    uint8_t  secret[VOICE_KEY_LEN];

    for (i = 0; i < sizeof(secret); i++) {
        secret[i] = (uint8_t) (first + i);
    }

    voice_crypto_key_init(key, mode, secret);
}


static size_t
seal_one(const voice_crypto_key_t *key, bool rtcp, const uint8_t *plain,
    size_t len, size_t clear, const uint8_t *nonce, uint8_t *out)
{
    voice_crypto_to_t  to;

    to.key = key;
    to.out = out;
    to.out_len = 0;
    memcpy(to.nonce, nonce, VOICE_NONCE4_LEN);

    if (rtcp) {
        voice_crypto_seal_rtcp(plain, len, &to);

    } else {
        voice_crypto_seal_rtp(key->mode, plain, clear, plain + clear,
                              len - clear, &to, 1);
    }

    return to.out_len;
}


static voice_err_t
open_one(const voice_crypto_key_t *key, bool rtcp, uint8_t *pkt, size_t len,
    size_t *plain_len)
{
    return rtcp ? voice_crypto_open_rtcp(key, pkt, len, plain_len)
                : voice_crypto_open_rtp(key, pkt, len, plain_len);
}


/* Opens a copy, which must stay as it was unless it opens. */
static voice_err_t
open_copy(const char *name, const voice_crypto_key_t *key, bool rtcp,
    const uint8_t *pkt, size_t len)
{
    size_t        n;
    uint8_t      *p;
    voice_err_t   err;

    n = 12345;
    p = test_copy(pkt, len);
    err = open_one(key, rtcp, p, len, &n);

    if (err != VOICE_OK) {
        test_mem(name, p, len, pkt, len);
        test_num(name, n, 12345);
    }

    free(p);

    return err;
}


static void
vectors_seal(void **state)
{
    size_t              i, k, n, len, wire_len;
    const char         *name;
    voice_crypto_key_t  key;
    uint8_t             plain[64], wire[128], out[128], nonce[4];
    uint8_t             salt[VOICE_SALT_LEN];

    (void) state;

    for (k = 0; k < sizeof(salt); k++) {
        salt[k] = (uint8_t) (0x40 + k);
    }

    for (i = 0; i < test_n(vectors); i++) {
        name = vectors[i].name;
        len = test_hex(vectors[i].plain, plain, sizeof(plain));
        wire_len = test_hex(vectors[i].wire, wire, sizeof(wire));
        test_hex(vectors[i].nonce, nonce, sizeof(nonce));

        key_init(&key, vectors[i].mode, 0);

        voice_crypto_salt(&key, salt);

        n = seal_one(&key, vectors[i].rtcp, plain, len, vectors[i].clear,
                     nonce, out);
        test_mem(name, out, n, wire, wire_len);
    }
}


static void
vectors_open(void **state)
{
    size_t               i, n, len, wire_len;
    uint8_t             *p;
    const char          *name;
    voice_crypto_key_t   key;
    uint8_t              plain[64], wire[128];

    (void) state;

    for (i = 0; i < test_n(vectors); i++) {
        name = vectors[i].name;
        len = test_hex(vectors[i].plain, plain, sizeof(plain));
        wire_len = test_hex(vectors[i].wire, wire, sizeof(wire));
        p = test_copy(wire, wire_len);

        key_init(&key, vectors[i].mode, 0);
        test_err(name, open_one(&key, vectors[i].rtcp, p, wire_len, &n),
                 VOICE_OK);
        test_mem(name, p, n, plain, len);
        free(p);
    }
}


/* Whatever the mode leaves in the clear, extension and payload are found. */
static void
opened_packet_splits(void **state)
{
    size_t               i, n, len;
    voice_rtp_t          rtp;
    const uint8_t       *level;
    voice_rtp_body_t     body;
    voice_crypto_key_t   key;
    uint8_t              wire[128];

    (void) state;

    for (i = 0; i < test_n(vectors); i++) {
        if (strchr(vectors[i].name, 'B') == NULL) {
            continue;
        }

        len = test_hex(vectors[i].wire, wire, sizeof(wire));
        key_init(&key, vectors[i].mode, 0);
        test_err(vectors[i].name,
                 voice_crypto_open_rtp(&key, wire, len, &n), VOICE_OK);
        test_err(vectors[i].name, voice_rtp_parse(wire, n, &rtp), VOICE_OK);
        test_err(vectors[i].name, voice_rtp_split(&rtp, wire, n, &body),
                 VOICE_OK);
        test_mem(vectors[i].name, body.payload, body.payload_len,
                 VOICE_OPUS_SILENCE, VOICE_OPUS_SILENCE_LEN);
        test_err(vectors[i].name,
                 voice_rtp_ext_find(&body, VOICE_RTP_EXT_LEVEL, &level, &len),
                 VOICE_OK);
        test_mem(vectors[i].name, level, len, "\x85", 1);
    }
}


/* Header forms by mode; gives the clear part's length. */
static size_t
make_header(voice_mode_t mode, unsigned form, uint8_t *out)
{
    static const char  *forms[] = { A_HEAD, B_HEAD B_PREAMBLE, C_HEAD,
                                    C_HEAD B_PREAMBLE };
    size_t  len;

    len = test_hex(forms[form], out, 64);

    if (form == 2) {
        out[0] = 0x81;
    }

    return modes[mode].rtpsize ? len : 12;
}


static void
round_trip(void **state)
{
    size_t              len, clear, n;
    unsigned            mode, form;
    voice_crypto_key_t  key;
    uint8_t             pkt[MAX], out[MAX + 1], nonce[4];

    (void) state;

    for (mode = 0; mode < VOICE_MODE_COUNT; mode++) {
        key_init(&key, (voice_mode_t) mode, 0x80);

        for (form = 0; form < 4; form++) {
            for (len = 0; len < MAX - 64; len += len < 70 ? 1 : 61) {

                memset(pkt, (int) len, sizeof(pkt));
                clear = make_header((voice_mode_t) mode, form, pkt);
                voice_nonce_server((uint32_t) len, nonce);

                n = clear + len + VOICE_TAG_LEN + modes[mode].trailer;
                out[n] = 0x5A;
                test_num(modes[mode].name,
                         seal_one(&key, false, pkt, clear + len, clear, nonce,
                                  out),
                         n);
                test_num(modes[mode].name, out[n], 0x5A);
                test_mem(modes[mode].name, out, clear, pkt, clear);

                if (modes[mode].trailer != 0) {
                    test_mem(modes[mode].name, out + n - 4, 4, nonce, 4);
                }

                test_err(modes[mode].name,
                         voice_crypto_open_rtp(&key, out, n, &n), VOICE_OK);
                test_mem(modes[mode].name, out, n, pkt, clear + len);
            }
        }
    }
}


static void
round_trip_rtcp(void **state)
{
    size_t              len, n;
    unsigned            mode;
    voice_crypto_key_t  key;
    uint8_t             pkt[MAX], out[MAX];

    (void) state;

    for (mode = 0; mode < VOICE_MODE_COUNT; mode++) {
        key_init(&key, (voice_mode_t) mode, 0x80);

        for (len = 8; len < 300; len += 4) {
            memset(pkt, (int) len, sizeof(pkt));
            test_hex(PLI, pkt, sizeof(pkt));

            n = seal_one(&key, true, pkt, len, 8, pkt + 4, out);
            test_num(modes[mode].name, n,
                     len + VOICE_TAG_LEN + modes[mode].trailer);
            test_mem(modes[mode].name, out, 8, pkt, 8);
            test_err(modes[mode].name,
                     voice_crypto_open_rtcp(&key, out, n, &n), VOICE_OK);
            test_mem(modes[mode].name, out, n, pkt, len);
        }
    }
}


static void
truncated(void **state)
{
    size_t              i, len, wire_len, least;
    voice_err_t         expected;
    voice_crypto_key_t  key;
    uint8_t             wire[128];

    (void) state;

    for (i = 0; i < test_n(vectors); i++) {
        wire_len = test_hex(vectors[i].wire, wire, sizeof(wire));
        key_init(&key, vectors[i].mode, 0);
        least = vectors[i].clear + VOICE_TAG_LEN
                + modes[vectors[i].mode].trailer;

        for (len = 0; len < wire_len; len++) {
            expected = len < least ? VOICE_E_SHORT : VOICE_E_AUTH;
            test_err(vectors[i].name,
                     open_copy(vectors[i].name, &key, vectors[i].rtcp, wire,
                               len),
                     expected);
        }
    }
}


/* CSRC count and extension flag promise a longer clear part than there is. */
static void
header_longer_than_packet(void **state)
{
    size_t              len;
    unsigned            mode, first;
    voice_err_t         err, expected;
    voice_crypto_key_t  key;
    uint8_t             wire[12 + 60 + 4 + 16 + 24];

    (void) state;

    for (mode = 0; mode < VOICE_MODE_COUNT; mode++) {
        key_init(&key, (voice_mode_t) mode, 0);

        for (first = 0x80; first < 0xC0; first++) {
            for (len = 12; len <= sizeof(wire); len++) {
                memset(wire, 0, sizeof(wire));
                test_hex(A_HEAD, wire, sizeof(wire));
                wire[0] = (uint8_t) first;

                expected = VOICE_E_AUTH;

                if (len < 12 + VOICE_TAG_LEN + modes[mode].trailer
                          + (modes[mode].rtpsize
                             ? 4 * (first & 15) + (first & 16) / 4 : 0))
                {
                    expected = VOICE_E_SHORT;
                }

                err = open_copy(modes[mode].name, &key, false, wire, len);
                test_err(modes[mode].name, err, expected);
            }
        }
    }
}


static void
other_versions(void **state)
{
    size_t              i, len;
    unsigned            version;
    voice_crypto_key_t  key;
    uint8_t             wire[128];

    (void) state;

    for (i = 0; i < test_n(vectors); i++) {
        len = test_hex(vectors[i].wire, wire, sizeof(wire));
        key_init(&key, vectors[i].mode, 0);

        for (version = 0; version < 4; version++) {
            wire[0] = (uint8_t) (version << 6 | (wire[0] & 0x3F));
            test_err(vectors[i].name,
                     open_copy(vectors[i].name, &key, vectors[i].rtcp, wire,
                               len),
                     version == 2 ? VOICE_OK : VOICE_E_FORMAT);
        }
    }
}


static void
longer_than_a_datagram(void **state)
{
    unsigned            mode;
    size_t              n;
    voice_crypto_key_t  key;
    uint8_t             pkt[MAX + 1], out[MAX + 64];

    (void) state;

    memset(pkt, 0, sizeof(pkt));
    test_hex(A_HEAD, pkt, sizeof(pkt));

    for (mode = 0; mode < VOICE_MODE_COUNT; mode++) {
        key_init(&key, (voice_mode_t) mode, 0);

        n = seal_one(&key, false, pkt,
                     MAX - VOICE_TAG_LEN - modes[mode].trailer, 12, pkt + 4,
                     out);
        test_num(modes[mode].name, n, MAX);
        test_err(modes[mode].name,
                 open_copy(modes[mode].name, &key, false, out, n), VOICE_OK);

        n = seal_one(&key, false, pkt,
                     MAX + 1 - VOICE_TAG_LEN - modes[mode].trailer, 12,
                     pkt + 4, out);
        test_err(modes[mode].name,
                 open_copy(modes[mode].name, &key, false, out, n),
                 VOICE_E_LENGTH);
    }
}


/*
 * Every bit of every byte.  The XSalsa20 modes authenticate no header; there
 * a changed one is noticed only where it is the nonce, or where it moves the
 * border between clear and encrypted.
 */
static void
tampered(void **state)
{
    size_t                i, pos, len;
    uint8_t               bit;
    voice_err_t           expected;
    const vector_t       *v;
    const mode_facts_t   *m;
    voice_crypto_key_t    key;
    uint8_t               wire[128];

    (void) state;

    for (i = 0; i < test_n(vectors); i++) {
        v = &vectors[i];
        m = &modes[v->mode];
        len = test_hex(v->wire, wire, sizeof(wire));
        key_init(&key, v->mode, 0);

        for (pos = 0; pos < len; pos++) {
            for (bit = 1; bit != 0; bit = (uint8_t) (bit << 1)) {

                expected = VOICE_E_AUTH;

                if (pos < v->clear && !m->header_counts) {
                    expected = VOICE_OK;
                }

                if (pos == 0 && (bit & 0x1F) && m->rtpsize && !v->rtcp) {
                    expected = VOICE_E_AUTH;

                    if (bit == 0x10 && len < 16 + VOICE_TAG_LEN + 4) {
                        expected = VOICE_E_SHORT;
                    }

                    if (v->clear + 4 * (bit & 15) + VOICE_TAG_LEN + 4 > len
                        && bit != 0x10)
                    {
                        expected = VOICE_E_SHORT;
                    }
                }

                if (pos == 0 && (bit & 0xC0)) {
                    expected = VOICE_E_FORMAT;
                }

                wire[pos] ^= bit;
                test_err(v->name, open_copy(v->name, &key, v->rtcp, wire, len),
                         expected);
                wire[pos] ^= bit;
            }
        }

        test_err(v->name, open_copy(v->name, &key, v->rtcp, wire, len),
                 VOICE_OK);
    }

    /* nginx takes entries left in the queue for errors of its own */
    assert_int_equal(ERR_peek_error(), 0);
}


static void
wrong_key(void **state)
{
    size_t              i, len;
    voice_crypto_key_t  key;
    uint8_t             wire[128];

    (void) state;

    for (i = 0; i < test_n(vectors); i++) {
        len = test_hex(vectors[i].wire, wire, sizeof(wire));
        key_init(&key, vectors[i].mode, 1);
        test_err(vectors[i].name,
                 open_copy(vectors[i].name, &key, vectors[i].rtcp, wire, len),
                 VOICE_E_AUTH);
    }
}


/* RTP isn't taken for RTCP, nor one mode for another, under the same key. */
static void
wrong_kind(void **state)
{
    size_t              i, k, n;
    const char         *name;
    voice_err_t         err;
    voice_crypto_key_t  key;
    uint8_t             pkt[256], wire[512];

    (void) state;

    memset(pkt, 0x11, sizeof(pkt));
    test_hex(B_HEAD B_PREAMBLE, pkt, sizeof(pkt));

    for (i = 0; i < VOICE_MODE_COUNT; i++) {
        for (k = 0; k < VOICE_MODE_COUNT; k++) {

            key_init(&key, (voice_mode_t) i, 0);
            n = seal_one(&key, false, pkt, sizeof(pkt),
                         modes[i].rtpsize ? 16 : 12, pkt + 4, wire);

            key_init(&key, (voice_mode_t) k, 0);
            name = modes[k].name;
            err = open_copy(name, &key, false, wire, n);
            test_err(name, err, i == k ? VOICE_OK : VOICE_E_AUTH);

            err = open_copy(name, &key, true, wire, n);
            test_err(name, err, VOICE_E_AUTH);
        }
    }
}


static void
seal_many_equals_single_seals(void **state)
{
    size_t                     i, n, len, one_len;
    unsigned                   mode;
    static const size_t        counts[] = { 0, 1, 3, 70 };
    static voice_crypto_key_t  keys[71];
    static voice_crypto_to_t   to[71];
    static uint8_t             outs[71][400];
    uint8_t                    pkt[300], one[400];

    (void) state;

    for (mode = 0; mode < VOICE_MODE_COUNT; mode++) {
        for (i = 0; i < test_n(keys); i++) {
            key_init(&keys[i], (voice_mode_t) mode, (uint8_t) (3 * i));
        }

        for (len = 0; len < 280; len += 93) {
            memset(pkt, 0x77, sizeof(pkt));
            test_hex(A_HEAD, pkt, sizeof(pkt));

            for (n = 0; n < test_n(counts); n++) {
                memset(outs, 0x5A, sizeof(outs));

                for (i = 0; i < test_n(keys); i++) {
                    to[i].key = &keys[i];
                    to[i].out = outs[i];
                    to[i].out_len = 9999;
                    voice_nonce_server((uint32_t) (1000 * i), to[i].nonce);
                }

                voice_crypto_seal_rtp((voice_mode_t) mode, pkt, 12, pkt + 12,
                                      len, to, counts[n]);

                for (i = 0; i < counts[n]; i++) {
                    one_len = seal_one(&keys[i], false, pkt, 12 + len, 12,
                                       to[i].nonce, one);
                    test_mem(modes[mode].name, outs[i], to[i].out_len, one,
                             one_len);
                    test_num(modes[mode].name, outs[i][one_len], 0x5A);
                }

                /* the next one is left alone */
                test_num(modes[mode].name, to[counts[n]].out_len, 9999);
                test_num(modes[mode].name, outs[counts[n]][0], 0x5A);
            }
        }
    }
}


static void
overhead_is_enough(void **state)
{
    unsigned            mode;
    size_t              n, most;
    voice_crypto_key_t  key;
    uint8_t             pkt[32], out[128];

    (void) state;

    memset(pkt, 0, sizeof(pkt));
    test_hex(A_HEAD, pkt, sizeof(pkt));
    most = 0;

    for (mode = 0; mode < VOICE_MODE_COUNT; mode++) {
        key_init(&key, (voice_mode_t) mode, 0);
        n = seal_one(&key, false, pkt, sizeof(pkt), 12, pkt, out);
        most = n > most ? n : most;
    }

    assert_int_equal(most, sizeof(pkt) + VOICE_SEAL_OVERHEAD);
}


/* All but the number in a suffix nonce is random, for each prepared key. */
static void
suffix_nonces_differ_by_key(void **state)
{
    size_t              n;
    voice_crypto_key_t  a, b;
    uint8_t             pkt[15], one[64], two[64];
    static const uint8_t  zero[20];

    (void) state;

    test_hex(A_HEAD OPUS, pkt, sizeof(pkt));
    key_init(&a, SUFFIX, 0);
    key_init(&b, SUFFIX, 0);

    n = seal_one(&a, false, pkt, sizeof(pkt), 12, pkt, one);
    assert_int_equal(n, 12 + 16 + 3 + 24);
    assert_memory_not_equal(one + n - 24, zero, 20);
    assert_memory_equal(one + n - 4, pkt, 4);

    seal_one(&b, false, pkt, sizeof(pkt), 12, pkt, two);
    assert_memory_not_equal(one + n - 24, two + n - 24, 20);
    assert_int_equal(open_copy("suffix", &b, false, one, n), VOICE_OK);
}


static void
server_nonces(void **state)
{
    size_t    i;
    uint8_t   out[4], expected[4];
    uint32_t  k, back;
    static const struct {
        uint32_t     k;
        const char  *nonce;
    } cases[] = {
        { 0, "80000080" }, { 1, "80000081" }, { 127, "800000FF" },
        { 128, "80000180" }, { 1 << 15, "80010080" }, { 1 << 23, "81000080" },
        { VOICE_NONCE_MAX - 1, "FFFFFFFF" }, { 0x15555555, "AAAAAAD5" }
    };

    (void) state;

    for (i = 0; i < test_n(cases); i++) {
        voice_nonce_server(cases[i].k, out);
        test_hex(cases[i].nonce, expected, sizeof(expected));
        test_mem(cases[i].nonce, out, 4, expected, 4);
    }

    /* each number can be read back: no two are alike */
    for (k = 0; k < VOICE_NONCE_MAX; k += 99991) {
        voice_nonce_server(k, out);
        assert_int_equal(out[0] & out[3] & 0x80, 0x80);

        back = (uint32_t) (out[0] & 0x7F) << 23 | (uint32_t) out[1] << 15
               | (uint32_t) out[2] << 7 | (out[3] & 0x7F);
        assert_int_equal(back, k);
    }
}


static void
mode_names(void **state)
{
    size_t               i;
    unsigned             mode;
    const char          *name;
    voice_mode_t         got;
    static const char   *foreign[] = {
        "", "x", "plain", "aead_aes256_gcm_rtpsiz", "aead_aes256_gcm_rtpsizee",
        "AEAD_AES256_GCM", "xsalsa20_poly1305 ", "xsalsa20_poly130",
        "unknown", "aead_xchacha20_poly1305"
    };

    (void) state;

    for (mode = 0; mode < VOICE_MODE_COUNT; mode++) {
        name = voice_mode_name((voice_mode_t) mode);
        assert_string_equal(name, modes[mode].name);
        assert_true(strlen(name) < VOICE_MODE_NAME_MAX);

        got = VOICE_MODE_COUNT;
        test_err(name, voice_mode_parse(name, strlen(name), &got), VOICE_OK);
        test_num(name, got, mode);
        test_num(name, voice_mode_nonce_is_header((voice_mode_t) mode),
                 mode == PLAIN);
    }

    for (i = 0; i < test_n(foreign); i++) {
        got = VOICE_MODE_COUNT;
        test_err(foreign[i],
                 voice_mode_parse(foreign[i], strlen(foreign[i]), &got),
                 VOICE_E_NOT_FOUND);
        test_num(foreign[i], got, VOICE_MODE_COUNT);
    }

    /* the length decides, not what stands behind it */
    assert_int_equal(voice_mode_parse("xsalsa20_poly1305_lite", 17, &got),
                     VOICE_OK);
    assert_int_equal(got, PLAIN);
    assert_string_equal(voice_mode_name(VOICE_MODE_COUNT), "unknown");
}


static void
key_wipe_leaves_nothing(void **state)
{
    size_t               i;
    unsigned             mode;
    const uint8_t       *p;
    voice_crypto_key_t   key;

    (void) state;

    for (mode = 0; mode < VOICE_MODE_COUNT; mode++) {
        key_init(&key, (voice_mode_t) mode, 1);
        assert_int_equal(key.secret[0], 1);
        voice_crypto_key_wipe(&key);

        p = (const uint8_t *) &key;

        for (i = 0; i < sizeof(key); i++) {
            assert_int_equal(p[i], 0);
        }
    }

    /* and another key works on as before */
    vectors_open(NULL);
}


static void
packets_allocate_nothing(void **state)
{
    unsigned  before;

    (void) state;

    vectors_seal(NULL);
    vectors_open(NULL);

    before = allocations;
    vectors_seal(NULL);
    vectors_open(NULL);
    wrong_key(NULL);
    assert_int_equal(allocations, before);
}


/* What one implementation of AES seals, the other opens. */
static void
aes_implementations_agree(void **state)
{
    size_t                  len, a, b, n;
    voice_aes_t             used;
    voice_crypto_key_t      key;
    voice_crypto_kernel_t   kernel;
    uint8_t                 pkt[1200], sodium[1300], openssl[1300];

    (void) state;

    used = voice_aes_used();

    if (voice_aes_use(VOICE_AES_SODIUM) != VOICE_OK) {
        skip();
    }

    kernel = voice_crypto_used();
    test_err("portable", voice_crypto_use(VOICE_KERNEL_PORTABLE), VOICE_OK);

    memset(pkt, 0xC3, sizeof(pkt));
    test_hex(A_HEAD, pkt, sizeof(pkt));
    key_init(&key, GCM_RTP, 9);

    for (len = 12; len <= sizeof(pkt); len += 27) {
        voice_aes_use(VOICE_AES_SODIUM);
        a = seal_one(&key, false, pkt, len, 12, pkt + 4, sodium);
        voice_aes_use(VOICE_AES_OPENSSL);
        b = seal_one(&key, false, pkt, len, 12, pkt + 4, openssl);
        test_mem("sealed", sodium, a, openssl, b);

        test_err("OpenSSL", voice_crypto_open_rtp(&key, sodium, a, &n),
                 VOICE_OK);
        voice_aes_use(VOICE_AES_SODIUM);
        test_err("libsodium", voice_crypto_open_rtp(&key, openssl, b, &n),
                 VOICE_OK);
        test_mem("opened", sodium, n, openssl, len);
    }

    voice_aes_use(used);
    test_err("kernel", voice_crypto_use(kernel), VOICE_OK);
}


static void *
thread_main(void *data)
{
    (void) data;

    vectors_seal(NULL);
    vectors_open(NULL);
    wrong_key(NULL);

    return NULL;
}


/* Each thread has a context of its own, and gives it back (leak check). */
static void
threads_do_not_meet(void **state)
{
    unsigned   i;
    pthread_t  threads[4];

    (void) state;

    for (i = 0; i < test_n(threads); i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, thread_main, NULL),
                         0);
    }

    for (i = 0; i < test_n(threads); i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
}


static void *
count_malloc(size_t n, const char *file, int line)
{
    (void) file;
    (void) line;

    allocations++;

    return malloc(n);
}


static void *
count_realloc(void *p, size_t n, const char *file, int line)
{
    (void) file;
    (void) line;

    allocations++;

    return realloc(p, n);
}


static void
plain_free(void *p, const char *file, int line)
{
    (void) file;
    (void) line;

    free(p);
}


static int
use_sodium(void **state)
{
    (void) state;

    if (voice_crypto_use(VOICE_KERNEL_PORTABLE) != VOICE_OK) {
        return -1;
    }

    return voice_aes_use(VOICE_AES_SODIUM) == VOICE_OK ? 0 : -1;
}


static int
use_openssl(void **state)
{
    (void) state;

    if (voice_crypto_use(VOICE_KERNEL_PORTABLE) != VOICE_OK) {
        return -1;
    }

    return voice_aes_use(VOICE_AES_OPENSSL) == VOICE_OK ? 0 : -1;
}


static int
use_avx2(void **state)
{
    (void) state;

    return voice_crypto_use(VOICE_KERNEL_AVX2) == VOICE_OK ? 0 : -1;
}


static int
use_avx512(void **state)
{
    (void) state;

    return voice_crypto_use(VOICE_KERNEL_AVX512) == VOICE_OK ? 0 : -1;
}


int
main(void)
{
    int                      failed;
    const char              *why;
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(vectors_seal),
        cmocka_unit_test(vectors_open),
        cmocka_unit_test(opened_packet_splits),
        cmocka_unit_test(round_trip),
        cmocka_unit_test(round_trip_rtcp),
        cmocka_unit_test(truncated),
        cmocka_unit_test(header_longer_than_packet),
        cmocka_unit_test(other_versions),
        cmocka_unit_test(longer_than_a_datagram),
        cmocka_unit_test(tampered),
        cmocka_unit_test(wrong_key),
        cmocka_unit_test(wrong_kind),
        cmocka_unit_test(seal_many_equals_single_seals),
        cmocka_unit_test(overhead_is_enough),
        cmocka_unit_test(suffix_nonces_differ_by_key),
        cmocka_unit_test(server_nonces),
        cmocka_unit_test(mode_names),
        cmocka_unit_test(key_wipe_leaves_nothing),
        cmocka_unit_test(packets_allocate_nothing),
        cmocka_unit_test(aes_implementations_agree),
        cmocka_unit_test(threads_do_not_meet),
    };

    if (CRYPTO_set_mem_functions(count_malloc, count_realloc, plain_free) != 1
        || voice_crypto_init() != VOICE_OK
        || voice_crypto_init() != VOICE_OK)
    {
        return 1;
    }

    failed = 0;

    if (voice_aes_used() == VOICE_AES_SODIUM) {
        failed += cmocka_run_group_tests_name("libsodium's AES", tests,
                                              use_sodium, NULL);
    }

    failed += cmocka_run_group_tests_name("OpenSSL's AES", tests, use_openssl,
                                          NULL);

    if (voice_crypto_kernel_check(VOICE_KERNEL_AVX2, &why)
        != VOICE_E_NOT_FOUND)
    {
        failed += cmocka_run_group_tests_name("avx2", tests, use_avx2, NULL);
    }

    if (voice_crypto_kernel_check(VOICE_KERNEL_AVX512, &why)
        != VOICE_E_NOT_FOUND)
    {
        failed += cmocka_run_group_tests_name("avx512", tests, use_avx512,
                                              NULL);
    }

    return failed;
}
