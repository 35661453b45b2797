/*
 * Copyright (C) ngx-voice contributors
 *
 * The relay: each mode, each way in which a datagram can be wrong, addresses
 * that move, reports, and who may speak and hear.
 */

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, before, describe, test } from 'node:test';

import { Member, OP, call, frameOf, leave, newRoom, udpSocket }
    from './lib/member.mjs';
import { ALL_MODES } from './lib/modes.mjs';
import { Nginx } from './lib/nginx.mjs';
import { SILENCE, discoveryRequest, senderReport } from './lib/rtp.mjs';
import { now, until } from './lib/wait.mjs';


let nginx;

before(async () => {
    nginx = await Nginx.start({ modes: ALL_MODES });
});
after(() => nginx.stop());


/* { reason: how much it grew } */
async function droppedBy(action) {
    const counters = async () => Object.fromEntries(
        Object.entries(await nginx.metrics())
            .map(([name, n]) => [/^voice_dropped_total\{reason="(.*)"\}$/
                .exec(name)?.[1], n])
            .filter(([reason]) => reason));
    const old = await counters();

    await action();

    const fresh = await counters();

    return Object.fromEntries(Object.entries(fresh)
        .map(([reason, n]) => [reason, n - old[reason]])
        .filter(([, n]) => n !== 0));
}


/* The relay has looked at all that was sent before. */
async function relayed(member) {
    const before = member.others.length;
    const probe = Buffer.concat([Buffer.from('1337cafe', 'hex'),
        randomBytes(4)]);

    await member.datagram(probe);
    await until('the answer to a ping', () => member.others.slice(before)
        .some((d) => d.bytes.subarray(4).equals(probe.subarray(4))));
}


describe('modes', () => {
    test('members of all seven modes hear each other', async () => {
        const room = newRoom();
        const members = await call(nginx, ...ALL_MODES.map((mode) =>
            ({ ...room, mode })));

        await Promise.all(members.map((m) => m.speakFor(25)));
        for (const a of members) {
            for (const b of members) {
                if (a !== b) {
                    await a.hears(b);
                    assert.deepEqual(a.faults(b), [], `${b.mode} to `
                        + a.mode);
                }
            }
            assert.equal(a.heard(a).length, 0, 'an echo of the own voice');
        }
        await leave(...members);
    });

    for (const mode of ALL_MODES) {
        test(`${mode}: any Opus payload arrives as it was`, async () => {
            const room = newRoom();
            const [a, b] = await call(nginx, { ...room, mode },
                { ...room, mode });
            const payloads = [1, 2, 3, 8, 40, 66, 74, 100, 500, 1000, 1275]
                .map((n) => randomBytes(n));

            for (const payload of [...payloads, SILENCE]) {
                await a.speak(payload);
            }
            await until('all payloads',
                () => b.packets.length >= payloads.length + 1);
            assert.deepEqual(b.packets.map((p) => p.payload.toString('hex')),
                [...payloads, SILENCE].map((p) => p.toString('hex')));
            await leave(a, b);
        });

        test(`${mode}: headers are made plain for receivers`, async () => {
            const room = newRoom();
            const members = await call(nginx, { ...room, mode },
                ...ALL_MODES.map((m) => ({ ...room, mode: m })));
            const [a, ...others] = members;
            const extension = Buffer.from('1085000020123456', 'hex');

            await a.speak(frameOf(0));
            await a.speak(frameOf(1), { extension });
            await a.speak(frameOf(2), { marker: true });
            if (mode.endsWith('rtpsize')) {
                await a.speak(frameOf(3), { csrcs: [1, 2, 3], extension });
            }
            a.sent = mode.endsWith('rtpsize') ? 4 : 3;

            for (const b of others) {
                await b.hears(a);
                assert.deepEqual(b.faults(a), []);
                for (const p of b.packets) {
                    assert.deepEqual([p.version, p.pt, p.marker, p.csrcs],
                        [2, 120, false, 0], `to ${b.mode}`);
                }
            }
            await leave(...members);
        });
    }

    test('nonces towards a client have the top bits that it never has',
        async () => {
            const room = newRoom();
            const [a, b] = await call(nginx, room, room);

            await a.speakFor(20, { every: 5 });
            await b.hears(a);

            const nonces = b.packets.map((p) =>
                p.bytes.subarray(p.bytes.length - 4));

            assert.ok(nonces.every((n) => n[0] & 0x80 && n[3] & 0x80));
            assert.equal(new Set(nonces.map((n) => n.toString('hex'))).size,
                nonces.length);
            await leave(a, b);
        });

    test('another mode and key may be selected in the middle of a call',
        async () => {
            const room = newRoom();
            const [a, b] = await call(nginx, room, room);
            const talk = a.talk();

            for (const mode of ALL_MODES) {
                const key = b.key.toString('hex');

                await b.select(mode);
                assert.notEqual(b.key.toString('hex'), key);
                assert.equal(b.mode, mode);
                await b.speakNext();

                const heard = b.packets.length;

                await until(`packets in ${mode}`,
                    () => b.packets.length > heard + 3);
                await a.hears(b);
            }

            talk.stop();
            assert.equal(b.undecryptable.length, 0);
            assert.equal(a.undecryptable.length, 0);
            await leave(a, b);
        });
});


describe('bad datagrams', () => {
    let a;
    let b;
    let stranger;
    let talk;

    before(async () => {
        const room = newRoom();

        [a, b] = await call(nginx, room, { ...room, version: 4 });
        stranger = await Member.join(nginx, newRoom());
        talk = a.talk();
    });

    after(async () => {
        const { to } = talk.stop();

        await b.hears(a, to);
        assert.deepEqual(b.faults(a, { to }), [], 'the call was disturbed');
        assert.deepEqual(b.packets.filter((p) => p.ssrc !== a.ssrc), []);
        await leave(a, b, stranger);
    });

    /* what the relay says of n datagrams; b sends them unless said */
    const cases = {
        'longer than 1500 bytes': ['oversized', (m) =>
            [m.sealed(randomBytes(1600)), randomBytes(4000)]],
        'with a byte of ciphertext changed': ['auth', (m) =>
            [20, 40, 60].map((at) => flipped(m.sealed(frameOf(0)), at))],
        'with a byte of the tag changed': ['auth', (m) =>
            [-5, -10, -20].map((at) => flipped(m.sealed(frameOf(0)), at))],
        'with a byte of the nonce changed': ['auth', (m) =>
            [flipped(m.sealed(frameOf(0)), -1)]],
        'with a byte of the header changed': ['auth', (m) =>
            [2, 5].map((at) => flipped(m.sealed(frameOf(0)), at))],
        'sealed with another key': ['auth', (m) =>
            [m.sealed(frameOf(0), { key: randomBytes(32) })]],
        'sealed in another mode': ['auth', (m) =>
            [m.sealed(frameOf(0),
                { mode: 'aead_xchacha20_poly1305_rtpsize' })]],
        'of random bytes that look like RTP': ['auth', (m) =>
            Array.from({ length: 20 }, () => {
                const p = randomBytes(100);

                p[0] = 0x80;
                p[1] = 120;
                p.writeUInt32BE(m.ssrc, 8);
                return p;
            })],
        'of video': ['payload_type', (m) =>
            [m.sealed(frameOf(0), { pt: 105 })]],
        'of RTCP that does not open': ['auth', (m) =>
            [flipped(m.sealedRtcp(senderReport({ ssrc: m.ssrc, ntp: 1n,
                timestamp: 1, packets: 1, octets: 1 })), 12)]]
    };

    function flipped(bytes, at) {
        bytes[at < 0 ? bytes.length + at : at] ^= 0x10;
        return bytes;
    }

    for (const [what, [reason, make]] of Object.entries(cases)) {
        test(`${what} are counted as ${reason}`, async () => {
            b.advance();

            const datagrams = make(b);

            assert.deepEqual(await droppedBy(async () => {
                for (const d of datagrams) {
                    await b.datagram(d);
                }
                await relayed(b);
            }), { [reason]: datagrams.length });
        });
    }

    test('cut short anywhere are all dropped', async () => {
        b.advance();

        const whole = b.sealed(frameOf(0));
        const dropped = await droppedBy(async () => {
            for (let n = 12; n < whole.length; n++) {
                await b.datagram(whole.subarray(0, n));
            }
            await relayed(b);
        });

        assert.deepEqual(Object.keys(dropped).filter((r) =>
            !['auth', 'malformed'].includes(r)), []);
        assert.equal(Object.values(dropped).reduce((x, y) => x + y),
            whole.length - 12);
    });

    test('of all sizes and any content are survived', async () => {
        const old = await nginx.metric('rx_packets');

        for (let n = 0; n < 300; n++) {
            await b.datagram(randomBytes(n * 5 % 1500));
            if (n % 20 === 0) {
                await relayed(b);
            }
        }
        for (let first = 0; first < 256; first++) {
            for (const n of [1, 4, 9, 12, 20, 74]) {
                await stranger.datagram(Buffer.alloc(n, first));
            }
            await relayed(stranger);
        }
        assert.ok(await nginx.metric('rx_packets') >= old + 300 + 256 * 6);
    });

    test('that come again are counted as replay', async () => {
        const sent = [];

        assert.deepEqual(await droppedBy(async () => {
            const room = newRoom();
            const [x, y] = await call(nginx, room, room);

            for (let i = 0; i < 10; i++) {
                sent.push(await x.speakNext());
            }
            for (const d of sent) {
                await x.datagram(d);
            }
            await relayed(x);
            await y.hears(x);
            assert.deepEqual(y.faults(x), []);
            await leave(x, y);
        }), { replay: 10 });
    });

    test('in another order than sent are no replay', async () => {
        const room = newRoom();
        const [x, y] = await call(nginx, room, room);
        const all = [];

        for (let i = 0; i < 10; i++) {
            all.push(x.sealed(frameOf(i)));
            x.advance();
        }

        const order = [0, 2, 1, 5, 3, 4, 9, 8, 7, 6];

        assert.deepEqual(await droppedBy(async () => {
            for (const i of order) {
                await x.datagram(all[i]);
            }
            await relayed(x);
        }), {});
        await until('all of them', () => y.heard(x).length === 10);
        assert.deepEqual(y.heard(x).map((p) => p.seq), order);
        await leave(x, y);
    });

    test('with an SSRC of nobody, of the own room or of another are dropped',
        async () => {
            for (const ssrc of [0x7ffffff0, a.ssrc, stranger.ssrc]) {
                const dropped = await droppedBy(async () => {
                    await b.datagram(b.sealed(frameOf(0), { ssrc }));
                    await relayed(b);
                });

                assert.equal(Object.values(dropped)
                    .reduce((x, y) => x + y, 0), 1,
                `SSRC ${ssrc}: ${JSON.stringify(dropped)}`);
            }
        });

    test('before Select Protocol are counted as state', async () => {
        const m = new Member(nginx, newRoom());

        await m.identify();
        await m.discover();
        m.key = randomBytes(32);
        assert.deepEqual(await droppedBy(async () => {
            await m.datagram(m.sealed(frameOf(0)));
            await relayed(b);
        }), { state: 1 });
        m.key = null;
        await leave(m);
    });

    test('from a stranger do not move an address', async () => {
        const attacker = await udpSocket();
        const got = [];

        attacker.on('message', (d) => got.push(d));

        const old = await b.speak(frameOf(0));
        const dropped = await droppedBy(async () => {
            await b.datagram(old, attacker);
            await b.datagram(flipped(b.sealed(frameOf(1)), 30), attacker);
            await b.datagram(randomBytes(60), attacker);
            await relayed(b);
        });

        assert.ok(dropped.replay >= 1 && dropped.auth >= 1,
            JSON.stringify(dropped));

        const { length } = b.packets;

        await until('more of the call at the old address',
            () => b.packets.length > length + 3);
        assert.deepEqual(got, []);
        attacker.close();
    });
});


describe('addresses', () => {
    test('a fresh packet from elsewhere moves its sender', async () => {
        const room = newRoom();
        const [a, b] = await call(nginx, room, room);
        const talk = a.talk();
        const elsewhere = await udpSocket();
        const moved = await nginx.metric('address_changes');

        await b.speakNext();
        await until('the call to run', () => b.packets.length > 3);
        b.listen(elsewhere);
        await b.speakNext(elsewhere);
        await a.hears(b);

        const isThere = (p) => p.to === elsewhere;

        await until('the call at the new address',
            () => b.packets.filter(isThere).length > 10);

        /* one or two may have been on their way */
        const first = b.packets.findIndex(isThere);

        assert.ok(b.packets.slice(first + 2).every(isThere),
            'the old address gets packets still');
        assert.equal(await nginx.metric('address_changes'), moved + 1);

        const { to } = talk.stop();

        await b.hears(a, to);
        assert.deepEqual(b.faults(a, { to }), []);
        elsewhere.close();
        await leave(a, b);
    });

    test('discovery is answered each time, the last address counts',
        async () => {
            const room = newRoom();
            const a = await Member.join(nginx, room);
            const b = new Member(nginx, room);

            await b.identify();
            for (let i = 0; i < 4; i++) {
                b.closeUdp();
                await b.openUdp();
                b.discoveries = [];
                await b.discover();
                assert.deepEqual(
                    [b.discovered.ssrc, b.discovered.address,
                        b.discovered.port],
                    [b.ssrc, '127.0.0.1', b.udp.address().port]);
            }
            await b.select();
            await b.knows(a);
            await a.knows(b);
            await a.speakFor(3);
            await b.hears(a);
            await leave(a, b);
        });

    test('discovery of an unknown SSRC is not answered', async () => {
        const [a] = await call(nginx, newRoom());
        const dropped = await droppedBy(async () => {
            await a.datagram(discoveryRequest(0x7ffffff0));
            await a.datagram(discoveryRequest(0));
            await relayed(a);
        });

        assert.equal(a.discoveries.length, 1);
        assert.ok(dropped.unknown_ssrc >= 1, JSON.stringify(dropped));
        await leave(a);
    });

    test('without discovery the first packet tells the address', async () => {
        const room = newRoom();
        const a = await Member.join(nginx, room);
        const b = new Member(nginx, room);

        await b.identify();
        await b.openUdp();
        await b.select();
        await b.knows(a);
        await b.speakNext();
        await a.hears(b);
        await a.speakFor(3);
        await b.hears(a);
        assert.deepEqual(b.faults(a), []);
        await leave(a, b);
    });

    test('the old discovery of 70 bytes is answered', async () => {
        const m = new Member(nginx, newRoom());

        await m.identify();
        await m.openUdp();

        const request = Buffer.alloc(70);

        request.writeUInt32BE(m.ssrc, 0);
        await m.datagram(request);

        const { bytes } = await until('an answer', () => m.others.at(-1));

        assert.equal(bytes.length, 70);
        assert.equal(bytes.readUInt32BE(0), m.ssrc);
        assert.equal(bytes.toString('latin1', 4, bytes.indexOf(0, 4)),
            '127.0.0.1');
        assert.equal(bytes.readUInt16BE(68), m.udp.address().port);
        await leave(m);
    });
});


describe('keep-alives', () => {
    const counter = Buffer.from('2a00000000000000', 'hex');
    const ping = Buffer.from('1337cafe01020304', 'hex');

    test('of 8 bytes come back, pings as pongs', async () => {
        const m = await Member.join(nginx, newRoom());

        await m.datagram(counter);
        await m.datagram(ping);
        await until('two answers', () => m.others.length === 2);
        assert.deepEqual(m.others.map((d) => d.bytes.toString('hex')).sort(),
            ['1337f00d01020304', '2a00000000000000']);
        await leave(m);
    });

    test('of other sizes are not answered', async () => {
        const m = await Member.join(nginx, newRoom());

        for (const hex of ['80c80000', 'c90000000000000000', '00',
            '12345678', '2a000000000000', '2a0000000000000000'])
        {
            await m.datagram(Buffer.from(hex, 'hex'));
        }
        await relayed(m);
        assert.equal(m.others.length, 1);
        await leave(m);
    });

    test('are not answered before Select Protocol, nor to strangers',
        async () => {
            const m = new Member(nginx, newRoom());
            const live = await Member.join(nginx, newRoom());

            await m.identify();
            await m.discover();

            const stranger = await udpSocket();
            const got = [];

            stranger.on('message', (d) => got.push(d));
            for (const d of [counter, ping]) {
                await m.datagram(d);
                await m.datagram(d, stranger);
            }
            await relayed(live);
            assert.deepEqual(m.others, []);
            assert.deepEqual(got, []);
            stranger.close();
            await leave(m, live);
        });
});


describe('reports', () => {
    test('tell a sender what was lost, and answer its own', async () => {
        const room = newRoom();
        const [a, b] = await call(nginx, room, room);
        const start = now();
        const from = a.seq;
        let lost = 0;

        /* RFC 3550 A.8, of what this busy machine really makes of it */
        let jitter = 0;
        let transit = null;

        const spoken = (frame) => {
            const last = transit;

            transit = now() * 48 - a.timestamp;
            if (last !== null) {
                jitter += (Math.abs(transit - last) - jitter) / 16;
            }
            return a.speak(frame);
        };

        const fraction = async () => {
            const known = a.reports.length;
            let sent = 0;
            let missing = 0;

            /* one in ten is lost on the way to the server */
            while (a.reports.length === known && now() - start < 15000) {
                if (sent % 10 === 5) {
                    a.advance();
                    missing++;
                } else {
                    await spoken(frameOf(sent));
                }
                sent++;
                await until('the next frame', ((end) => () =>
                    now() >= end)(now() + 20), 1000, 4);
            }
            lost += missing;

            return missing / sent;
        };

        const ntp = 0x0123456789abcdefn;
        const sr = now();

        await spoken(frameOf(0));
        await a.datagram(a.sealedRtcp(senderReport({ ssrc: a.ssrc, ntp,
            timestamp: a.timestamp, packets: 1, octets: 80 })));

        const first = await fraction();
        const report = a.reports[0];
        const [rr] = report.parts;
        const [block] = rr.blocks;

        assert.equal(report.parts.length, 1);
        assert.deepEqual([rr.type, rr.blocks.length, block.ssrc],
            [201, 1, a.ssrc]);
        assert.ok(block.lost >= lost - 2 && block.lost <= lost,
            `${block.lost} reported, ${lost} lost`);
        assert.ok(Math.abs(block.fraction / 256 - first) < 0.03,
            `${block.fraction}/256 reported, ${first} lost`);
        assert.ok(((a.seq - 1 - block.highest) & 0xffff) <= 2,
            `${block.highest} is the highest, ${a.seq - 1} was sent`);
        assert.ok(Math.abs(block.jitter - jitter) < 48 * 20,
            `jitter ${block.jitter} reported, ${jitter} sent`);
        assert.equal(block.lsr, 0x456789ab);

        const delay = (report.at - sr) / 1000;

        assert.ok(Math.abs(block.dlsr / 65536 - delay) < 0.1,
            `DLSR ${block.dlsr / 65536} s, it was ${delay} s`);

        await fraction();

        const second = a.reports[1].parts[0].blocks[0];
        const apart = a.reports[1].at - report.at;

        assert.ok(second.lost >= lost - 2 && second.lost <= lost,
            `${second.lost} reported, ${lost} lost`);
        assert.ok(apart > 2500 && apart < 8000,
            `reports ${Math.round(apart)} ms apart`);
        assert.ok(a.seq > from);
        assert.deepEqual(b.reports, [], 'a listener gets reports');
        await leave(a, b);
    });
});


describe('who may speak and hear', () => {
    for (const [claim, reason] of [['mute', 'muted'],
        ['suppress', 'suppressed']])
    {
        test(`${claim} in the token keeps a voice from all others`,
            async () => {
                const room = newRoom();
                const [a, b] = await call(nginx,
                    { ...room, claims: { [claim]: true } }, room);

                assert.deepEqual(await droppedBy(async () => {
                    await a.speakFor(5, { every: 5 });
                    await relayed(a);
                }), { [reason]: 5 });
                await b.speakFor(5, { every: 5 });
                await a.hears(b);
                assert.deepEqual(b.packets, []);
                await leave(a, b);
            });
    }

    test('deaf in the token keeps all voices from a member', async () => {
        const room = newRoom();
        const [a, b, c] = await call(nginx,
            { ...room, claims: { deaf: true } }, room, room);

        await b.speakFor(5, { every: 5 });
        await c.hears(b);
        await a.speakFor(5, { every: 5 });
        await b.hears(a);
        await relayed(a);
        assert.deepEqual(a.packets, []);
        await leave(a, b, c);
    });

    test('a token without the right to speak is as suppress', async () => {
        const room = newRoom();
        const connect = String(1 << 20);
        const speak = String(1 << 20 | 1 << 21);
        const [a, b] = await call(nginx,
            { ...room, claims: { perm: connect } },
            { ...room, claims: { perm: speak } });

        assert.deepEqual(await droppedBy(async () => {
            await a.speakFor(3, { every: 5 });
            await relayed(a);
        }), { suppressed: 3 });
        await b.speakFor(3, { every: 5 });
        await a.hears(b);
        assert.deepEqual(b.packets, []);
        await leave(a, b);
    });
});


describe('the end of a stream', () => {
    function assertSilences(b, a, n = 5) {
        const last = b.heard(a).at(-1);

        assert.deepEqual(b.silences(a).map((p) => [p.seq, p.timestamp]),
            Array.from({ length: n }, (_, i) => [(last.seq + 1 + i) & 0xffff,
                (last.timestamp + 960 * (i + 1)) >>> 0]));
    }

    const ends = {
        'a talking member leaves': (a) => a.leave(),
        'a talking member says that it goes on': (a) => a.ws.close(4901),
        'a talking member joins anew': (a, room) => Member.join(nginx,
            { ...room, user: a.user })
    };

    for (const [what, end] of Object.entries(ends)) {
        test(`is five frames of silence when ${what}`, async () => {
            const room = newRoom();
            const [a, b, c] = await call(nginx, room,
                { ...room, mode: 'xsalsa20_poly1305' },
                { ...room, version: 4 });

            a.seq = 65533;
            a.timestamp = 2 ** 32 - 960;
            await a.speakFor(5, { every: 5 });
            await b.hears(a);
            await end(a, room);
            for (const m of [b, c]) {
                await until('the silence', () => m.silences(a).length >= 5);
                await m.messages.find((x) => x.op === OP.DISCONNECT
                    && x.d.user_id === a.user);
                await relayed(m);
                assertSilences(m, a);
            }
            await leave(b, c);
        });
    }

    test('is not doubled for a member that was silent already', async () => {
        const room = newRoom();
        const [a, b] = await call(nginx, room, room);

        await a.speakFor(5, { every: 5 });
        for (let i = 0; i < 5; i++) {
            await a.speak(SILENCE);
        }
        await until('its silence', () => b.silences(a).length === 5);
        await leave(a);
        await b.next(OP.DISCONNECT);
        await relayed(b);
        assertSilences(b, a);
        await leave(b);
    });

    test('is nothing for a member that never talked', async () => {
        const room = newRoom();
        const [a, b] = await call(nginx, room, room);

        await leave(a);
        await b.next(OP.DISCONNECT);
        await relayed(b);
        assert.deepEqual(b.packets, []);
        await leave(b);
    });

    test('means the end: no packet of it is heard afterwards', async () => {
        const room = newRoom();
        const [a, b] = await call(nginx, room, room);

        await a.speakFor(5, { every: 5 });
        await b.hears(a);
        await a.ws.close(1000);
        await b.next(OP.DISCONNECT);
        await until('the silence', () => b.silences(a).length === 5);

        const dropped = await droppedBy(async () => {
            await a.speakFor(5, { every: 5 });
            await relayed(b);
        });

        assert.equal(Object.values(dropped).reduce((x, y) => x + y, 0), 5,
            JSON.stringify(dropped));
        assert.equal(b.heard(a).length, 5);
        a.closeUdp();
        await leave(b);
    });
});


describe('status', () => {
    test('says the same as the metrics', async () => {
        const [a] = await call(nginx, newRoom());
        const metrics = await nginx.metrics();
        const status = await nginx.status();
        const flat = JSON.stringify(status);

        for (const reason of ['auth', 'replay', 'oversized', 'muted']) {
            const n = metrics[`voice_dropped_total{reason="${reason}"}`];

            assert.ok(n > 0, `${reason} was counted by the tests above`);
            assert.equal(status.dropped[reason], n, flat);
        }
        await leave(a);
    });
});
