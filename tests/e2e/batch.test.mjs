/*
 * Copyright (C) ngx-voice contributors
 *
 * Datagrams that are read together: opened side by side, each judged as if
 * it had come alone.
 */

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { call, frameOf, leave, newRoom, numberOf, udpSocket }
    from './lib/member.mjs';
import { ALL_MODES } from './lib/modes.mjs';
import { Nginx } from './lib/nginx.mjs';
import { senderReport } from './lib/rtp.mjs';
import { until } from './lib/wait.mjs';


const PING = Buffer.from('1337cafe01020304', 'hex');


let nginx;

before(async () => {
    nginx = await Nginx.start({ workers: 1, modes: ALL_MODES });
});
after(() => nginx.stop());


/* What `action` sends waits for the worker, who reads it at once. */
async function together(action) {
    const [worker] = nginx.workers();

    process.kill(worker, 'SIGSTOP');
    try {
        await action();
    } finally {
        process.kill(worker, 'SIGCONT');
    }
}


/* How much each counter grew until `arrived` datagrams more were read. */
async function grown(arrived, action) {
    const old = await nginx.metrics();
    let fresh;

    await action();
    await until('the datagrams to be read', async () => {
        fresh = await nginx.metrics();
        return fresh.voice_rx_packets_total - old.voice_rx_packets_total
            >= arrived;
    });

    return (name) => fresh[name] - old[name];
}

const dropped = (reason) => `voice_dropped_total{reason="${reason}"}`;

function flipped(bytes) {
    const copy = Buffer.from(bytes);

    copy[20] ^= 1;
    return copy;
}


describe('datagrams that are read together', () => {
    test('of all modes arrive in the order of their senders', async () => {
        const room = newRoom();
        const members = await call(nginx,
            ...ALL_MODES.map((mode) => ({ ...room, mode })));

        for (let turn = 0; turn < 3; turn++) {
            await together(async () => {
                for (let i = 0; i < 9; i++) {
                    for (const m of members) {
                        await m.speakNext();
                    }
                }
            });
        }

        for (const m of members) {
            for (const other of members.filter((x) => x !== m)) {
                await m.hears(other);
                assert.deepEqual(m.faults(other), []);
            }
        }
        await leave(...members);
    });

    test('are judged one after the other', async () => {
        const room = newRoom();
        const [a, b] = await call(nginx, room,
            { ...room, mode: 'xsalsa20_poly1305' });
        const elsewhere = await udpSocket();

        a.listen(elsewhere);

        const count = await grown(13, () => together(async () => {
            const first = await a.speakNext();

            await a.datagram(first);
            await a.datagram(flipped(first));

            const second = a.sealed(frameOf(a.sent++));

            a.advance();
            await a.datagram(flipped(second));
            await a.datagram(second);
            await a.datagram(second);

            await a.datagram(a.sealed(frameOf(0), { ssrc: 8 }));
            await a.datagram(Buffer.alloc(1501, 0x80));
            await a.datagram(flipped(a.sealedRtcp(senderReport({
                ssrc: a.ssrc, ntp: 1n, timestamp: 1, packets: 1,
                octets: 1 }))));

            /* it moves, and with it who gets an answer; it comes back */
            await a.speakNext(elsewhere);
            await a.datagram(PING);
            await a.datagram(PING, elsewhere);
            await a.speakNext();
        }));

        await b.hears(a);
        assert.deepEqual(b.faults(a), []);
        assert.deepEqual(Object.fromEntries(['replay', 'auth', 'unknown_ssrc',
            'oversized', 'unknown_address', 'limited']
            .map((reason) => [reason, count(dropped(reason))])),
        { replay: 3, auth: 2, unknown_ssrc: 1, oversized: 1,
            unknown_address: 1, limited: 0 });
        assert.equal(count('voice_rx_accepted_total'), 4);
        assert.equal(count('voice_address_changes_total'), 2);

        await until('the pong', () => a.others.length === 1);
        assert.equal(a.others[0].to, elsewhere);

        await b.speakNext();
        await a.hears(b);
        assert.equal(a.heard(b)[0].to, a.udp);
        elsewhere.close();
        await leave(a, b);
    });

    test('may be the first ones, in another order', async () => {
        const room = newRoom();
        const [a, b] = await call(nginx, room, room);

        /* 65535 was overtaken by 0 */
        await together(async () => {
            a.seq = 0;
            await a.speakNext();
            a.seq = 65535;
            await a.speakNext();
            a.seq = 1;
            await a.speakNext();
        });
        await b.hears(a);
        assert.deepEqual(b.heard(a).map((p) => [p.seq, numberOf(p.payload)]),
            [[0, 0], [65535, 1], [1, 2]]);
        await leave(a, b);
    });

    test('may end with the key that they were sealed with', async () => {
        const room = newRoom();
        const [a, b] = await call(nginx, room, room);

        await a.speakFor(3, { every: 5 });
        await b.hears(a);

        const old = a.key;

        await a.select();

        const count = await grown(4, () => together(async () => {
            await a.speak(frameOf(99), { key: old });
            await a.speakNext();
            await a.speak(frameOf(98), { key: old });
            await a.speakNext();
        }));

        await b.hears(a);
        assert.deepEqual(b.heard(a).map((p) => numberOf(p.payload)),
            [0, 1, 2, 3, 4]);
        assert.equal(count(dropped('auth')), 2);
        await leave(a, b);
    });
});
