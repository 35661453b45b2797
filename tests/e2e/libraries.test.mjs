/*
 * Copyright (C) ngx-voice contributors
 *
 * Real libraries in a call: each mode that a library has, as sender and as
 * receiver, with each other and with voicectl.  What is heard is judged
 * frame by frame and by its sound.
 */

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';

import { LIBRARIES, Library } from './lib/library.mjs';
import { newRoom, newUser } from './lib/member.mjs';
import { ALL_MODES } from './lib/modes.mjs';
import { Nginx } from './lib/nginx.mjs';
import { decode, judge, melody, readWav, snr } from './lib/opus.mjs';
import { until } from './lib/wait.mjs';
import { connection, voicectl } from './lib/voicectl.mjs';


const NAMES = Object.keys(LIBRARIES);

const modesOf = (name) => LIBRARIES[name].modes;
const ALL = [...new Set(NAMES.flatMap(modesOf))];


/* frames of silence with which voicectl ends */
const SILENCES = 5;


/* Something else for each to play: 1.5 seconds. */
const MELODIES = [[440, 660, 880], [500, 750, 1000], [550, 825, 1100],
    [600, 900, 1200], [650, 975, 1300]].map((tones, i) => melody(tones, i + 1));


async function joinAll(nginx, names, room, options = {}) {
    const peers = [];

    for (const name of names) {
        peers.push(await Library.join(nginx, name, { ...room, ...options }));
    }
    await Promise.all(peers.flatMap((p) =>
        peers.filter((o) => o !== p).map((o) => p.listen(o.user))));

    return peers;
}


/* All play at once; what each hears of each is judged. */
async function playAll(peers) {
    await Promise.all(peers.map((p, i) => p.play(MELODIES[i])));

    const faults = {};

    for (const p of peers) {
        for (const [i, o] of peers.entries()) {
            if (o === p) {
                continue;
            }

            const m = MELODIES[i];
            const found = judge(m, await p.heard(o.user, m.frames.length));

            if (found.length > 0) {
                faults[`${p.name} hears of ${o.name}`] = found;
            }
        }
    }

    assert.deepEqual(faults, {});
}


const leaveAll = (peers) => Promise.all(peers.map((p) => p.leave()));


/*
 * voicectl and a library, both ways.  The library's melody is over before
 * voicectl's time is.
 */
async function withVoicectl(nginx, name, mode) {
    const room = newRoom();
    const user = newUser();
    const wav = join(nginx.dir, `${name}-${mode}.wav`);
    const m = melody([600, 600, 600]);

    const peer = await Library.join(nginx, name, room);

    assert.equal(peer.mode, mode);
    await peer.listen(user);

    const ctl = voicectl('call', ...connection(nginx, { user, ...room }),
        '--tone', 440, '--record', wav, '--seconds', 4, '--json');

    await until('voicectl to be heard',
        async () => (await peer.heard(user)).length > 10, 10000, 50);
    await peer.play(m);

    const stats = await ctl.json();
    const frames = stats.sent - SILENCES;
    const heard = await peer.heard(user, frames);

    await peer.leave();

    assert.equal(stats.mode, mode);
    assert.ok(frames >= 150, `voicectl sent ${stats.sent} packets`);
    assert.equal(heard.length, frames);

    /* each carries the time of its sending */
    assert.equal(new Set(heard.map((f) => f.toString('hex'))).size, frames);

    const tone = decode(heard);

    assert.ok(snr(tone.subarray(tone.length / 4, tone.length * 3 / 4), 440)
        > 20, `${name} hears 440 Hz of voicectl`);

    assert.ok(stats.received >= m.frames.length,
        `voicectl received ${stats.received}`);
    assert.equal(stats.lost, LIBRARIES[name].eaten ?? 0);
    assert.equal(stats.duplicated, 0);
    assert.equal(stats.reordered, 0);

    const recorded = loudest(readWav(readFileSync(wav)), 1);

    assert.ok(snr(recorded.samples, 600, recorded.rate) > 20,
        `voicectl records 600 Hz of ${name}, it has `
        + `${snr(recorded.samples, 600, recorded.rate).toFixed(1)} dB`);
}


/* The `seconds` of a recording with the most power. */
function loudest({ samples, rate }, seconds) {
    const length = Math.floor(rate * seconds);
    let best = samples.subarray(0, 0);
    let most = -1;

    for (let at = 0; at + length <= samples.length; at += rate / 10) {
        const part = samples.subarray(at, at + length);
        const power = part.reduce((sum, v) => sum + v * v, 0);

        if (power > most) {
            best = part;
            most = power;
        }
    }

    return { samples: best, rate };
}


for (const mode of ALL) {
    const able = NAMES.filter((name) => modesOf(name).includes(mode));

    describe(mode, () => {
        let nginx;

        before(async () => {
            nginx = await Nginx.start({ modes: [mode] });
        });
        after(() => nginx.stop());

        const names = able.length > 1 ? able : [able[0], able[0]];

        test(`${names.join(', ')} hear each other`, async () => {
            const peers = await joinAll(nginx, names, newRoom());

            assert.deepEqual(peers.map((p) => p.mode), names.map(() => mode));
            await playAll(peers);
            await leaveAll(peers);
        });

        for (const name of able) {
            test(`${name} and voicectl hear each other`,
                () => withVoicectl(nginx, name, mode));
        }
    });
}


describe('in modes that no library has', () => {
    for (const mode of ALL_MODES.filter((m) => !ALL.includes(m))) {
        test(`${mode}: voicectl hears voicectl`, async () => {
            const nginx = await Nginx.start({ modes: [mode] });

            try {
                const room = newRoom();
                const wav = join(nginx.dir, 'heard.wav');
                const start = (...more) => voicectl('call',
                    ...connection(nginx, { user: newUser(), ...room }),
                    ...more, '--seconds', 3, '--json');
                const calls = [start('--tone', 500, '--record', wav),
                    start('--tone', 800)];
                const stats = await Promise.all(calls.map((c) => c.json()));

                for (const s of stats) {
                    assert.equal(s.mode, mode);
                    assert.ok(s.received >= 100, JSON.stringify(stats));
                    assert.deepEqual([s.lost, s.duplicated, s.reordered,
                        s.undecryptable], [0, 0, 0, 0]);
                }

                const heard = loudest(readWav(readFileSync(wav)), 1);

                assert.ok(snr(heard.samples, 800, heard.rate) > 20);
            } finally {
                await nginx.stop();
            }
        });
    }
});


describe('with the default list of modes', () => {
    let nginx;

    before(async () => {
        nginx = await Nginx.start({ workers: 2, tcp: 'reuseport' });
    });
    after(() => nginx.stop());

    test('libraries of five kinds hear each other over their modes',
        async () => {
            const peers = await joinAll(nginx, NAMES, newRoom());

            assert.deepEqual(
                Object.fromEntries(peers.map((p) => [p.name, p.mode])), {
                    djs016: 'xsalsa20_poly1305_lite',
                    djs018: 'aead_aes256_gcm_rtpsize',
                    djs019: 'aead_aes256_gcm_rtpsize',
                    eris: 'xsalsa20_poly1305',
                    dysnomia: 'aead_aes256_gcm_rtpsize'
                });
            await playAll(peers);
            await leaveAll(peers);
        });

    test('dysnomia without AES takes XChaCha20', async () => {
        const peers = await joinAll(nginx, ['dysnomia', 'dysnomia'],
            newRoom(), { hide: ['aes-256-gcm'] });

        assert.deepEqual(peers.map((p) => p.mode),
            Array(2).fill('aead_xchacha20_poly1305_rtpsize'));
        await playAll(peers);
        await leaveAll(peers);
    });

    for (const name of ['djs018', 'djs019', 'eris', 'dysnomia']) {
        test(`${name} loses its websocket and hears on`, async () => {
            const m = melody([440, 550, 660, 770, 880]);
            const [peer, talker] = await joinAll(nginx, [name, 'djs016'],
                newRoom());

            const playing = talker.play(m);

            await until('the melody to be heard',
                async () => (await peer.heard(talker.user)).length > 20,
                5000, 20);
            await peer.ask('cut');
            await playing;

            assert.deepEqual(
                judge(m, await peer.heard(talker.user, m.frames.length)), []);
            assert.ok(await nginx.metric('resumes', 'result="ok"') > 0);

            /* and is heard, as the one that it was */
            await peer.play(MELODIES[0]);
            assert.deepEqual(judge(MELODIES[0], await talker.heard(peer.user,
                MELODIES[0].frames.length)), []);
            await leaveAll([peer, talker]);
        });

        test(`${name} comes late and hears who talks already`, async () => {
            const room = newRoom();
            const m = melody([440, 440, 440, 440, 440, 440, 440, 440]);
            const talker = await Library.join(nginx, 'djs018', room);
            const playing = talker.play(m);
            const peer = await Library.join(nginx, name, room);

            await peer.listen(talker.user);
            await playing;

            const heard = await peer.heard(talker.user);
            const all = m.frames.map((f) => f.toString('hex'));
            const first = all.indexOf(heard[0]?.toString('hex'));

            assert.ok(first >= 0, 'nothing of the melody was heard');
            assert.deepEqual(heard.map((f) => f.toString('hex')),
                all.slice(first));
            assert.ok(heard.length > 50, `${heard.length} frames were heard`);
            await leaveAll([peer, talker]);
        });
    }
});
