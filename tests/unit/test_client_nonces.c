/*
 * Copyright (C) ngx-voice contributors
 *
 * The recorder of nonces finds each one that is used twice with a key, in
 * every mode, and nothing else.
 */


#include "test_util.h"

#include "nonces.h"

#include "voice_rtcp.h"
#include "voice_rtp.h"


#define PAYLOAD  40


typedef struct {
    uint8_t   bytes[VOICE_RTP_HEADER_LEN + PAYLOAD + VOICE_SEAL_OVERHEAD];
    size_t    len;
} packet_t;


/* As the server seals number k for the key's owner. */
static void
seal(packet_t *p, const voice_crypto_key_t *key, uint32_t k, uint16_t seq,
    uint8_t fill)
{
    uint8_t            hdr[VOICE_RTP_HEADER_LEN], plain[PAYLOAD];
    voice_rtp_t        rtp;
    voice_crypto_to_t  to;

    memset(&rtp, 0, sizeof(rtp));
    rtp.pt = VOICE_RTP_PT_OPUS;
    rtp.ssrc = 8;
    rtp.seq = seq;
    rtp.timestamp = 960u * seq;
    voice_rtp_write(hdr, &rtp);
    memset(plain, fill, sizeof(plain));

    to.key = key;
    to.out = p->bytes;
    voice_nonce_server(k, to.nonce);

    voice_crypto_seal_rtp(key->mode, hdr, sizeof(hdr), plain, sizeof(plain),
                          &to, 1);
    p->len = to.out_len;
}


static void
add(vc_nonces_t *n, const voice_crypto_key_t *key, const packet_t *p)
{
    vc_nonces_add(n, key, p->bytes, p->len, VOICE_RTP_HEADER_LEN);
}


static void
a_nonce_used_twice_is_found(void **state)
{
    int                 mode;
    packet_t            p;
    vc_nonces_t         n;
    const uint8_t       secret[VOICE_KEY_LEN] = { 1, 2, 3 };
    const char         *name;
    voice_crypto_key_t  key;

    (void) state;

    for (mode = 0; mode < VOICE_MODE_COUNT; mode++) {
        name = voice_mode_name((voice_mode_t) mode);
        voice_crypto_key_init(&key, (voice_mode_t) mode, secret);
        memset(&n, 0, sizeof(n));

        seal(&p, &key, 7, 100, 'a');
        add(&n, &key, &p);
        seal(&p, &key, 8, 101, 'a');
        add(&n, &key, &p);

        test_num(name, n.seen, 2);
        test_num(name, n.reused, 0);

        /* another packet: the same number, or where it has none the header */
        seal(&p, &key, 7, voice_mode_nonce_is_header((voice_mode_t) mode)
                          ? 100 : 102, 'b');
        add(&n, &key, &p);

        test_num(name, n.seen, 2);
        test_num(name, n.reused, 1);

        vc_nonces_free(&n);
        voice_crypto_key_wipe(&key);
    }
}


static void
the_same_packet_twice_is_no_reuse(void **state)
{
    packet_t            p;
    vc_nonces_t         n = { 0 };
    const uint8_t       secret[VOICE_KEY_LEN] = { 1 };
    voice_crypto_key_t  key;

    (void) state;

    voice_crypto_key_init(&key, VOICE_MODE_AEAD_AES256_GCM_RTPSIZE, secret);
    seal(&p, &key, 7, 100, 'a');

    add(&n, &key, &p);
    add(&n, &key, &p);

    test_num("seen", n.seen, 1);
    test_num("reused", n.reused, 0);

    vc_nonces_free(&n);
}


static void
another_key_may_use_the_same_nonce(void **state)
{
    int                 i;
    packet_t            p;
    uint8_t             secret[VOICE_KEY_LEN] = { 1 };
    vc_nonces_t         n = { 0 };
    voice_crypto_key_t  key;

    (void) state;

    for (i = 0; i < 10; i++) {
        secret[31] = (uint8_t) i;
        voice_crypto_key_init(&key, VOICE_MODE_XSALSA20_POLY1305_LITE,
                              secret);
        seal(&p, &key, 7, 100, 'a');
        add(&n, &key, &p);
    }

    test_num("seen", n.seen, 10);
    test_num("reused", n.reused, 0);

    vc_nonces_free(&n);
}


/* Beyond its first size, and each one a second time at the end. */
static void
it_forgets_none_of_many(void **state)
{
    uint32_t            i;
    packet_t            p;
    vc_nonces_t         n = { 0 };
    const uint8_t       secret[VOICE_KEY_LEN] = { 9 };
    voice_crypto_key_t  key;

    (void) state;

    voice_crypto_key_init(&key, VOICE_MODE_AEAD_XCHACHA20_POLY1305_RTPSIZE,
                          secret);

    for (i = 0; i < 10000; i++) {
        seal(&p, &key, i, (uint16_t) i, 'a');
        add(&n, &key, &p);
    }

    test_num("seen", n.seen, 10000);
    test_num("reused", n.reused, 0);

    for (i = 0; i < 10000; i++) {
        seal(&p, &key, i, (uint16_t) i, 'b');
        add(&n, &key, &p);
    }

    test_num("seen", n.seen, 10000);
    test_num("reused", n.reused, 10000);
    assert_false(n.failed);

    vc_nonces_free(&n);
}


static int
init(void **state)
{
    (void) state;

    return voice_crypto_init() == VOICE_OK ? 0 : 1;
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(a_nonce_used_twice_is_found),
        cmocka_unit_test(the_same_packet_twice_is_no_reuse),
        cmocka_unit_test(another_key_may_use_the_same_nonce),
        cmocka_unit_test(it_forgets_none_of_many),
    };

    return cmocka_run_group_tests(tests, init, NULL);
}
