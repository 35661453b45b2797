/*
 * Copyright (C) ngx-voice contributors
 *
 * A device that is slower than the relay: what the system doesn't take waits
 * for a little while, the oldest packets go first, and all are counted.
 */

import assert from 'node:assert/strict';
import { constants } from 'node:os';
import { after, before, describe, test } from 'node:test';

import { call, leave, newRoom, numberOf } from './lib/member.mjs';
import { Nginx } from './lib/nginx.mjs';
import { Preload } from './lib/preload.mjs';
import { until } from './lib/wait.mjs';


const WAITING = 2048;                   /* NGX_VOICE_BACKLOG */
const QUEUE = 'voice_skipped_total{reason="queue"}';

const sanitized = /asan/.test(process.env.NGINX_BIN ?? '');


describe('a device that is too slow', { skip: sanitized
    && 'the sanitizer has to be loaded first' }, () => {
    let library;
    let nginx;

    /* The next `calls` fail with an error, then `pass` messages go out. */
    function slow({ calls = 0, error = 'EAGAIN', pass = -1 } = {}) {
        library.write(calls, constants.errno[error], pass);
    }

    /* Until as many are due as said: what became of them. */
    async function became(due, old) {
        const grown = (m, name) => m[name] - old[name];

        return until('the books to balance', async () => {
            const m = await nginx.metrics();
            const sent = grown(m, 'voice_tx_packets_total');

            return grown(m, 'voice_due_packets_total') === due
                && sent + grown(m, QUEUE) === due
                && { sent, queue: grown(m, QUEUE) };
        }, 10000);
    }

    before(async () => {
        library = new Preload('slow', 3);
        slow();
        nginx = await Nginx.start({ workers: 1,
            env: library.env,
            relay: 'voice_relay advertise=127.0.0.1 segment=off;',
            relays: [{ listen: '127.0.0.1', params: 'rcvbuf=4m' }] });
    });

    after(async () => {
        await nginx.stop();
        library.close();
    });

    for (const error of ['EAGAIN', 'ENOBUFS']) {
        test(`${error}: for a moment, delays packets and loses none`,
            async () => {
                const room = newRoom();
                const [a, b, c] = await call(nginx, room, room, room);
                const old = await nginx.metrics();

                for (let i = 0; i < 10; i++) {
                    slow({ calls: 1, error });
                    await a.speakNext();
                    await a.speakNext();
                    await b.hears(a);
                    await c.hears(a);
                }
                assert.deepEqual(b.faults(a), []);
                assert.deepEqual(c.faults(a), []);
                assert.deepEqual(await became(40, old),
                    { sent: 40, queue: 0 });
                await leave(a, b, c);
            });

        test(`${error}: for good, drops and counts them, and goes on`,
            async () => {
                const room = newRoom();
                const [a, b, c] = await call(nginx, room, room, room);
                const old = await nginx.metrics();

                slow({ error, pass: 3 });
                await a.speakFor(20, { every: 5 });

                /* an HTTP answer each time that it looks */
                assert.deepEqual(await became(40, old),
                    { sent: 3, queue: 37 });

                slow();

                const from = a.sent;

                await a.speakFor(20, { every: 5 });
                await b.hears(a);
                await c.hears(a);
                assert.deepEqual(b.faults(a, { from }), []);
                assert.deepEqual(c.faults(a, { from }), []);
                assert.deepEqual(await became(80, old),
                    { sent: 43, queue: 37 });
                await leave(a, b, c);
            });
    }

    test('when too many wait the oldest ones go', async () => {
        const n = 300;
        const room = newRoom();
        const members = await call(nginx, ...Array(9).fill(room));
        const [a, ...others] = members;
        const [worker] = nginx.workers();
        const old = await nginx.metrics();

        process.kill(worker, 'SIGSTOP');
        try {
            for (let i = 0; i < n; i++) {
                await a.speakNext();
            }
            slow({ calls: 1 });
        } finally {
            process.kill(worker, 'SIGCONT');
        }

        const { queue } = await became(n * 8, old);

        /* nothing was sent before: the rest is what had no place */
        assert.equal(queue, n * 8 - WAITING);
        for (const m of others) {
            await m.hears(a);

            const heard = m.heard(a).map((p) => numberOf(p.payload));

            assert.deepEqual(heard,
                Array.from({ length: heard.length },
                    (_, i) => n - heard.length + i));
        }
        assert.equal(others.reduce((sum, m) => sum + m.heard(a).length, 0),
            WAITING);
        await leave(...members);
    });

    test('what has no place is not always of the same members', async () => {
        const n = 32;
        const pass = 4;

        /* a mode without receiver reports, which would pass, too */
        const room = { ...newRoom(), mode: 'xsalsa20_poly1305' };
        const members = await call(nginx, ...Array(9).fill(room));
        const [a, ...others] = members;

        for (let i = 0; i < n; i++) {
            const old = await nginx.metrics();

            slow({ pass });
            await a.speakNext();
            assert.deepEqual(await became(8, old),
                { sent: pass, queue: 8 - pass });
        }
        slow();
        await a.speakNext();

        for (const m of others) {
            await m.hears(a);

            const heard = m.heard(a).map((p) => numberOf(p.payload));

            /* half of them each, never many lost in a row */
            assert.ok(heard.length > n / 3, `heard ${heard}`);
            heard.reduce((from, to) => {
                assert.ok(to - from <= 4, `heard ${heard}`);
                return to;
            }, -1);
        }
        await leave(...members);
    });
});
