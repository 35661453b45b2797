/*
 * Copyright (C) ngx-voice contributors
 *
 * The tests' own instruments: do they measure what they claim to?
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { decode, judge, melody, snr } from './lib/opus.mjs';
import { ALL_MODES, openRtcp, openRtp, sealRtcp, sealRtp }
    from './lib/modes.mjs';
import { parseRtp, rtpPacket } from './lib/rtp.mjs';


const KEY = Buffer.from(Array.from({ length: 32 }, (_, i) => i));
const A = Buffer.from('80781234000003c000001b58f8fffe', 'hex');
const B = Buffer.from('907812350000078000001b58bede000110850000f8fffe', 'hex');
const PLI = Buffer.from('81ce00020000000100001b59', 'hex');


/* The vectors of the protocol's description; n4 is the counter. */
const VECTORS = [
    ['xsalsa20_poly1305', A, 0,
        '80781234000003c000001b58f4809deb99e6dcf67df8be4fb5ad0d57f17552'],
    ['xsalsa20_poly1305', B, 0,
        '907812350000078000001b586eb88c60c09f59cd6a2f6c00224168e9187b22bb5f42'
        + '1299df847e'],
    ['xsalsa20_poly1305_lite', A, 1,
        '80781234000003c000001b58373c50ba1774f0dedb75d5fd7d64251236542b000000'
        + '01'],
    ['xsalsa20_poly1305_lite_rtpsize', B, 1,
        '907812350000078000001b58bede0001eb3dc5b5bd5777f4627770bd8be34848de2e'
        + 'd57ebf4e0900000001'],
    ['aead_aes256_gcm', A, 1,
        '80781234000003c000001b58bcc933d69fb517372f1eb7989ee731c8605e61000000'
        + '01'],
    ['aead_aes256_gcm_rtpsize', B, 1,
        '907812350000078000001b58bede000154b3cdaaf4a50a40c1e6ad0e612ec93e6870'
        + 'a3c58826ce00000001'],
    ['aead_xchacha20_poly1305_rtpsize', B, 1,
        '907812350000078000001b58bede00011922512097ff6f420cd3a0f1afa985ed65e3'
        + '3c3351724800000001']
];

const SUFFIX = Buffer.from('80781234000003c000001b5856839a79b7f890d33b1edd56c'
    + 'f60e3f4b2e8ab404142434445464748494a4b4c4d4e4f5051525354555657', 'hex');


for (const [mode, plain, counter, hex] of VECTORS) {
    test(`${mode} seals ${plain === A ? 'a bare' : 'an extended'} packet`,
        () => {
            const sealed = sealRtp(mode, KEY, plain, counter);

            assert.equal(sealed.toString('hex'), hex);
            assert.deepEqual(openRtp(mode, KEY, sealed), plain);
        });
}


test('xsalsa20_poly1305_suffix opens the vector', () => {
    assert.deepEqual(openRtp('xsalsa20_poly1305_suffix', KEY, SUFFIX), A);
});


test('each mode opens what it seals and nothing that was touched', () => {
    for (const mode of ALL_MODES) {
        const sealed = sealRtp(mode, KEY, A, 7);

        assert.deepEqual(openRtp(mode, KEY, sealed), A, mode);
        sealed[14] ^= 1;
        assert.equal(openRtp(mode, KEY, sealed), null, mode);
    }
});


test('RTCP is sealed behind its first 8 bytes', () => {
    assert.equal(
        sealRtcp('aead_aes256_gcm_rtpsize', KEY, PLI, 2).toString('hex'),
        '81ce000200000001ac7c41972e2b63302a9a9de8a48e74ad31ce379300000002');
    assert.deepEqual(openRtcp('xsalsa20_poly1305', KEY, Buffer.from(
        '81ce0002000000016ffb4bf83d348e615604604cd0ff0e0e8ba82211', 'hex')),
    PLI);
});


test('an RTP packet is read as it was written', () => {
    const p = parseRtp(rtpPacket({ seq: 65536 + 5, timestamp: 960, ssrc: 77,
        payload: Buffer.from('abc'), csrcs: [1, 2],
        extension: Buffer.from('10850000', 'hex') }));

    assert.deepEqual({ ...p, payload: p.payload.toString() },
        { version: 2, extension: true, csrcs: 2, marker: false, pt: 120,
            seq: 5, timestamp: 960, ssrc: 77, payload: 'abc' });
});


test('the judge of sound accepts the melody and hears each fault', () => {
    const m = melody([440, 660, 880]);
    const { frames } = m;

    assert.deepEqual(judge(m, frames), []);
    assert.deepEqual(judge(m, frames.filter((f, i) => i !== 10)).slice(0, 1),
        ['1 of 75 frames lost']);
    assert.deepEqual(judge(m, [frames[0], ...frames]).slice(0, 1),
        ['1 of 75 frames doubled']);
    assert.deepEqual(judge(m, [frames[1], frames[0], ...frames.slice(2)])
        .slice(0, 1), ['1 of 75 frames reordered']);
    assert.deepEqual(judge(m, [Buffer.from('x'), ...frames]),
        ['1 of 75 frames foreign']);

    const other = judge({ tones: [440, 700, 880], frames }, frames);

    assert.equal(other.length, 1);
    assert.match(other[0], /^tone 1 of 700 Hz has -/);
});


test('the meter of tones tells neighbours apart', () => {
    const samples = decode(melody([440, 440]).frames).subarray(12000, 36000);

    assert.ok(snr(samples, 440) > 25, `${snr(samples, 440)} dB`);
    assert.ok(snr(samples, 450) < -10, `${snr(samples, 450)} dB`);
});
