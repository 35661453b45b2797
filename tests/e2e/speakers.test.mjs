/*
 * Copyright (C) ngx-voice contributors
 *
 * Rooms with more open microphones than voice_max_speakers.
 */

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import { call, frameOf, leave, newRoom } from './lib/member.mjs';
import { Nginx } from './lib/nginx.mjs';
import { until } from './lib/wait.mjs';
import { connection, voicectl } from './lib/voicectl.mjs';


const DROPPED = 'voice_dropped_total{reason="speakers"}';
const MUTED = 'voice_dropped_total{reason="muted"}';
const ACCEPTED = 'voice_rx_accepted_total';
const SILENCE = 'voice_silence_packets_total';


/* RFC 6464 as element 1 of a one-byte extension: -dBov. */
const level = (quietness) => Buffer.from([0x10, 0x80 | quietness, 0, 0]);


/*
 * One frame of each, [member, how quiet], one right behind the other, so that
 * no place is free for a pause.  Gives how many were forwarded.
 */
async function forwarded(nginx, ...frames) {
    const before = await nginx.metrics();
    const grown = (after, name) => after[name] - before[name];
    let after;

    for (const [member, quietness] of frames) {
        await member.speak(frameOf(member.sent++), { extension:
            quietness === undefined ? undefined : level(quietness) });
    }
    await until('the packets to be counted', async () => {
        after = await nginx.metrics();
        return grown(after, DROPPED) + grown(after, ACCEPTED)
            === frames.length;
    });

    return grown(after, ACCEPTED);
}


describe('more microphones than voice_max_speakers', () => {
    test('as many are heard, and the others are counted', async () => {
        const nginx = await Nginx.start({ workers: 2,
            stream: 'voice_max_speakers 3;' });

        try {
            const stats = await voicectl('load', ...connection(nginx,
                newRoom()), '--rooms', 1, '--participants', 9, '--talkers', 9,
            '--seconds', 2, '--allow-loss', 100, '--json').json();
            const m = await nginx.metrics();

            /* packets whose numbers the server's silence had count as muted */
            assert.equal(m[ACCEPTED] + m[DROPPED] + m[MUTED], stats.sent);
            assert.equal(stats.received, m[ACCEPTED] * 8);

            /* 3 of 9; a late packet gives a place to somebody else */
            assert.ok(m[ACCEPTED] >= stats.sent * 0.3
                && m[ACCEPTED] <= stats.sent * 0.5, JSON.stringify(stats));
        } finally {
            await nginx.stop();
        }
    });

    test('the louder one takes the place of the quieter one', async () => {
        const nginx = await Nginx.start({ stream: 'voice_max_speakers 1;' });

        try {
            const room = newRoom();
            const [a, b, c] = await call(nginx, room, room, room);

            assert.equal(await forwarded(nginx, [a, 60], [b, 58]), 1,
                'hardly louder');
            assert.equal(await forwarded(nginx, [a, 60], [b, 20]), 2,
                'louder');
            assert.equal(await forwarded(nginx, [b, 20], [a, 60]), 1);
            assert.equal(await forwarded(nginx, [b, 20], [c]), 1,
                'no level: an ordinary one');

            /* the place is free when nothing came for a while */
            await until('a pause to be long enough', async () =>
                await forwarded(nginx, [c]) === 1, 5000, 200);
            await leave(a, b, c);
        } finally {
            await nginx.stop();
        }
    });

    test('who loses the place ends with five frames of silence', async () => {
        const nginx = await Nginx.start({ stream: 'voice_max_speakers 1;' });

        try {
            const room = newRoom();
            const [a, b, c] = await call(nginx, room,
                { ...room, mode: 'xsalsa20_poly1305' }, room);

            /* round the ends of both counters */
            a.seq = 65534;
            a.timestamp = 2 ** 32 - 2 * 960;
            assert.equal(await forwarded(nginx, [a, 60], [a, 60]), 2);
            assert.equal(await forwarded(nginx, [b, 20], [a, 60], [a, 60]), 1);

            for (const m of [b, c]) {
                await until('the silence', () => m.silences(a).length >= 5);

                const last = m.heard(a).at(-1);

                assert.equal(last.seq, 65535);
                assert.deepEqual(
                    m.silences(a).map((p) => [p.seq, p.timestamp]),
                    Array.from({ length: 5 }, (_, i) => [i, 960 * i]));
            }

            /* no second time; with a place again it goes on, and ends anew */
            assert.equal(await forwarded(nginx, [b, 20], [a, 60]), 1);

            /* behind the numbers that the silence had */
            a.seq += 10;

            const silent = a.seq;

            await until('a pause to be long enough', async () =>
                await forwarded(nginx, [a, 60]) === 1, 5000, 200);
            assert.equal(await forwarded(nginx, [a, 60], [b, 20], [a, 60]), 2);
            await until('its end', () => c.silences(a).length >= 10);
            assert.deepEqual(c.silences(a).map((p) => p.seq).slice(5),
                Array.from({ length: 5 }, (_, i) =>
                    c.heard(a).at(-1).seq + 1 + i));
            assert.ok(c.heard(a).at(-1).seq > silent, 'it was heard again');
            assert.equal((await nginx.metrics())[SILENCE], 10);
            await leave(a, b, c);
        } finally {
            await nginx.stop();
        }
    });

    test('off: all are heard', async () => {
        const nginx = await Nginx.start({ stream: 'voice_max_speakers off;' });

        try {
            const stats = await voicectl('load', ...connection(nginx,
                newRoom()), '--rooms', 1, '--participants', 30, '--talkers',
            30, '--pps', 10, '--seconds', 1, '--json').json();

            assert.equal(stats.received, stats.expected);
        } finally {
            await nginx.stop();
        }
    });
});
