/*
 * Copyright (C) ngx-voice contributors
 *
 * Transport encryption of the seven modes, written against their description
 * and from other libraries than the server's.
 */

import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';
import nacl from 'tweetnacl';
import xchacha from '@stablelib/xchacha20poly1305';

import { rtpPrefix } from './rtp.mjs';


const TAG = 16;
const RTCP_PREFIX = 8;


/* nonce: where it travels; rtpsize: CSRCs and extension preamble are clear */
const MODES = {
    aead_aes256_gcm_rtpsize:
        { cipher: 'gcm', nonce: 'counter', rtpsize: true },
    aead_xchacha20_poly1305_rtpsize:
        { cipher: 'xchacha', nonce: 'counter', rtpsize: true },
    xsalsa20_poly1305_lite_rtpsize:
        { cipher: 'salsa', nonce: 'counter', rtpsize: true },
    xsalsa20_poly1305_lite:
        { cipher: 'salsa', nonce: 'counter', rtpsize: false },
    xsalsa20_poly1305_suffix:
        { cipher: 'salsa', nonce: 'suffix', rtpsize: false },
    xsalsa20_poly1305:
        { cipher: 'salsa', nonce: 'header', rtpsize: false },
    aead_aes256_gcm:
        { cipher: 'gcm', nonce: 'counter', rtpsize: false }
};

export const ALL_MODES = Object.keys(MODES);


const CIPHERS = {
    salsa: {
        nonceLength: 24,
        seal: (key, nonce, aad, plain) =>
            Buffer.from(nacl.secretbox(plain, nonce, key)),
        open: (key, nonce, aad, box) => nacl.secretbox.open(box, nonce, key)
    },
    xchacha: {
        nonceLength: 24,
        seal: (key, nonce, aad, plain) => Buffer.from(
            new xchacha.XChaCha20Poly1305(key).seal(nonce, plain, aad)),
        open: (key, nonce, aad, box) =>
            new xchacha.XChaCha20Poly1305(key).open(nonce, box, aad)
    },
    gcm: {
        nonceLength: 12,
        seal(key, nonce, aad, plain) {
            const c = createCipheriv('aes-256-gcm', key, nonce);

            c.setAAD(aad);
            return Buffer.concat([c.update(plain), c.final(),
                c.getAuthTag()]);
        },
        open(key, nonce, aad, box) {
            const d = createDecipheriv('aes-256-gcm', key, nonce,
                { authTagLength: TAG });

            d.setAAD(aad);
            d.setAuthTag(box.subarray(box.length - TAG));
            try {
                return Buffer.concat([
                    d.update(box.subarray(0, box.length - TAG)), d.final()]);
            } catch {
                return null;
            }
        }
    }
};


function padded(bytes, length) {
    const out = Buffer.alloc(length);

    bytes.copy(out);
    return out;
}


function seal(mode, key, prefix, plain, counter) {
    const m = MODES[mode];
    const cipher = CIPHERS[m.cipher];
    let trailer = Buffer.alloc(0);

    if (m.nonce === 'counter') {
        trailer = Buffer.alloc(4);
        trailer.writeUInt32BE(counter >>> 0);
    } else if (m.nonce === 'suffix') {
        trailer = randomBytes(24);
    }

    const nonce = padded(m.nonce === 'header' ? prefix : trailer,
        cipher.nonceLength);

    return Buffer.concat([prefix, cipher.seal(key, nonce, prefix, plain),
        trailer]);
}


function open(mode, key, packet, prefixLength) {
    const m = MODES[mode];
    const cipher = CIPHERS[m.cipher];
    const trailerLength = { counter: 4, suffix: 24, header: 0 }[m.nonce];

    if (packet.length < prefixLength + TAG + trailerLength) {
        return null;
    }

    const prefix = packet.subarray(0, prefixLength);
    const end = packet.length - trailerLength;
    const nonce = padded(
        m.nonce === 'header' ? prefix : packet.subarray(end),
        cipher.nonceLength);
    const plain = cipher.open(key, nonce, prefix,
        packet.subarray(prefixLength, end));

    return plain && Buffer.concat([prefix, plain]);
}


const prefixOf = (mode, packet) =>
    MODES[mode].rtpsize ? rtpPrefix(packet) : 12;


/* packet: a whole plain RTP packet */
export function sealRtp(mode, key, packet, counter) {
    const n = prefixOf(mode, packet);

    return seal(mode, key, packet.subarray(0, n), packet.subarray(n),
        counter);
}


/* Gives the whole plain RTP packet, or null if it doesn't open. */
export function openRtp(mode, key, packet) {
    return open(mode, key, packet, prefixOf(mode, packet));
}


export function sealRtcp(mode, key, packet, counter) {
    return seal(mode, key, packet.subarray(0, RTCP_PREFIX),
        packet.subarray(RTCP_PREFIX), counter);
}


export function openRtcp(mode, key, packet) {
    return open(mode, key, packet, RTCP_PREFIX);
}
