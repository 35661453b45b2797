/*
 * Copyright (C) ngx-voice contributors
 *
 * The voice websocket: versions, the order of messages, resume, and all the
 * ways in which a client can be wrong.
 */

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';

import { Member, OP, call, leave, newRoom, newUser } from './lib/member.mjs';
import { Nginx } from './lib/nginx.mjs';
import { newKey, voiceToken } from './lib/token.mjs';
import { until, within } from './lib/wait.mjs';
import { BINARY, CONTINUATION, PING, TEXT, WebSocketClient, dial, frame,
    request, upgradeHeaders } from './lib/websocket.mjs';


const MODES = ['aead_aes256_gcm_rtpsize', 'aead_xchacha20_poly1305_rtpsize',
    'xsalsa20_poly1305_lite_rtpsize', 'xsalsa20_poly1305_lite',
    'xsalsa20_poly1305_suffix', 'xsalsa20_poly1305'];

const VERSIONS = [null, 1, 2, 3, 4, 5, 6, 7, 8, 9];

let nginx;

before(async () => {
    nginx = await Nginx.start({ workers: 2, tcp: 'reuseport' });
    mkdirSync(join(nginx.dir, 'html'));
    writeFileSync(join(nginx.dir, 'html/index.html'), 'a plain page\n');
});
after(() => nginx.stop());


/* A websocket of version 8 that has got its Hello. */
async function greeted(options = {}) {
    const m = new Member(nginx, { ...newRoom(), ...options });

    await m.open();
    await m.greeted();

    return m;
}


async function identified(options) {
    const m = await greeted(options);

    m.say(OP.IDENTIFY, m.identification());
    m.ready = (await m.next(OP.READY)).d;
    m.ssrc = m.ready.ssrc;

    return m;
}


/* What it is closed with, also seen by the access log. */
async function closedWith(m, code) {
    const closed = await m.whenClosed();

    assert.equal(closed.code, code, closed.reason);
}


describe('each version', () => {
    for (const version of [...VERSIONS, 42]) {
        const name = version ?? 'none';
        const n = version ?? 1;

        test(`${name}: the shapes of the handshake`, async () => {
            const m = new Member(nginx, { ...newRoom(), version });

            await m.open();

            const hello = await m.greeted();

            if (n < 3) {
                assert.equal(hello.text, '{"heartbeat_interval":13750}');
            } else {
                assert.equal(hello.text, `{"op":8,"d":{"v":${Math.min(n, 9)},`
                    + '"heartbeat_interval":13750}}');
            }

            m.say(OP.IDENTIFY, m.identification());

            const ready = await m.next(OP.READY);

            assert.deepEqual(Object.keys(JSON.parse(ready.text)),
                ['op', 'd']);
            m.ready = ready.d;
            m.ssrc = ready.d.ssrc;
            assert.deepEqual({ ...ready.d, ssrc: 0 }, { ssrc: 0,
                ip: '127.0.0.1', port: nginx.port, modes: ready.d.modes,
                experiments: [], streams: [], heartbeat_interval: 13750 });
            assert.deepEqual(ready.d.modes.slice(0, 6), MODES);
            assert.ok(Number.isInteger(m.ssrc) && m.ssrc >= 1
                && m.ssrc < 2 ** 31, `ssrc ${m.ssrc}`);

            await m.discover();
            await m.select();

            const { description } = m;

            assert.deepEqual(Object.keys(JSON.parse(
                m.got(OP.DESCRIPTION)[0].text)), ['op', 'd']);
            assert.equal(description.mode, 'aead_aes256_gcm_rtpsize');
            assert.equal(description.audio_codec, 'opus');
            assert.equal(description.dave_protocol_version, 0);
            assert.equal(description.secret_key.length, 32);
            assert.ok(description.secret_key.every((b) =>
                Number.isInteger(b) && b >= 0 && b < 256));
            await leave(m);
        });
    }

    test('no two keys are the same', async () => {
        const room = newRoom();
        const [a, b] = await call(nginx, room, room);
        const keys = [a.key, b.key];

        await b.select();
        keys.push(b.key);
        assert.equal(new Set(keys.map((k) => k.toString('hex'))).size, 3);
        await leave(a, b);
    });
});


describe('heartbeats', () => {
    const U64 = '18446744073709551615';

    for (const version of VERSIONS) {
        test(`of version ${version ?? 'none'} come back verbatim`, async () => {
            const m = await greeted({ version });
            const op = (version ?? 1) < 2 ? OP.HEARTBEAT : OP.ACK;

            m.ws.text(`{"op":3,"d":${U64}}`);
            assert.equal((await m.next(op)).text, `{"op":${op},"d":${U64}}`);
            await leave(m);
        });
    }

    test('are answered in kind, whatever the version', async () => {
        for (const version of [4, 8]) {
            const m = await greeted({ version });

            for (const [d, back] of [
                [`{"t":${U64}}`, `{"t":${U64}}`],
                [`{"t":${U64},"seq_ack":-1}`, `{"t":${U64}}`],
                [`{"t":1,"seq_ack":null}`, '{"t":1}'],
                [`{"seq_ack":10,"t":-5}`, '{"t":-5}'],
                ['1501184119561', '1501184119561'],
                ['13750.5', '13750.5'],
                ['null', 'null']
            ]) {
                m.ws.text(`{"op":3,"d":${d}}`);
                assert.equal((await m.next(OP.ACK)).text,
                    `{"op":6,"d":${back}}`);
            }
            await leave(m);
        }
    });

    test('are answered before and after Identify, and when live',
        async () => {
            const m = await greeted();

            m.say(OP.HEARTBEAT, { t: 1 });
            await m.next(OP.ACK);
            m.say(OP.IDENTIFY, m.identification());
            m.ready = (await m.next(OP.READY)).d;
            m.ssrc = m.ready.ssrc;
            m.say(OP.HEARTBEAT, { t: 2 });
            await m.next(OP.ACK);
            await m.discover();
            await m.select();
            m.say(OP.HEARTBEAT, { t: 3 });
            assert.deepEqual((await m.next(OP.ACK)).d, { t: 3 });
            await leave(m);
        });

    test('that stop coming end the websocket, not the session', async () => {
        const quick = await Nginx.start({ http: 'voice_heartbeat 300ms;' });

        try {
            const room = newRoom();
            const [a, b] = await call(quick, room, room);
            const beats = setInterval(() =>
                b.say(OP.HEARTBEAT, { t: 1, seq_ack: b.acked }), 100).unref();

            assert.equal(a.hello.heartbeat_interval, 300);
            await a.whenClosed(5000);
            await a.resume();
            assert.equal(b.got(OP.DISCONNECT).length, 0);
            clearInterval(beats);
            await leave(a, b);
        } finally {
            await quick.stop();
        }
    });
});


describe('speaking', () => {
    test('is told to the others in the form of their version', async () => {
        const room = newRoom();
        const members = await call(nginx, { ...room, version: null },
            { ...room, version: 3 }, { ...room, version: 4 },
            { ...room, version: 8 });
        const [old, three, four, eight] = members;

        eight.say(OP.SPEAKING, { speaking: 5, delay: 0, ssrc: eight.ssrc });

        const told = async (m) => (await m.messages.find((x) =>
            x.op === OP.SPEAKING && x.d.ssrc === eight.ssrc
            && Number(x.d.speaking) > 0)).d;

        assert.deepEqual(await told(old), { user_id: eight.user,
            ssrc: eight.ssrc, speaking: true });
        assert.equal((await told(three)).speaking, true);
        assert.equal((await told(four)).speaking, 5);
        assert.equal(eight.got(OP.SPEAKING).filter((m) =>
            m.d.ssrc === eight.ssrc).length, 0, 'it came back to its sender');
        await leave(...members);
    });

    test('may be a boolean, and without an SSRC', async () => {
        const room = newRoom();
        const [a, b] = await call(nginx, { ...room, version: null }, room);

        for (const [speaking, is] of [[true, 1], [false, 0], [2, 2]]) {
            a.say(OP.SPEAKING, { speaking, delay: 0 });
            await b.messages.find((m) => m.op === OP.SPEAKING
                && m.d.speaking === is && m.d.ssrc === a.ssrc
                && m.d.user_id === a.user);
        }
        await leave(a, b);
    });

    test('is told of who just sends audio', async () => {
        const room = newRoom();
        const [a, b] = await call(nginx, { ...room, version: 4 }, room);

        await a.speakFor(3);
        await b.hears(a);

        const op5 = b.events.findIndex((e) => e.op === OP.SPEAKING
            && e.d.ssrc === a.ssrc && e.d.speaking === 1);

        assert.ok(op5 >= 0, 'no op 5 with speaking 1');
        await leave(a, b);
    });

    test('changes are told, repetitions are harmless', async () => {
        const room = newRoom();
        const [a, b] = await call(nginx, room, room);

        for (let i = 0; i < 20; i++) {
            a.say(OP.SPEAKING, { speaking: i & 1, delay: 0, ssrc: a.ssrc });
        }
        await b.messages.find((m) => m.op === OP.SPEAKING
            && m.d.ssrc === a.ssrc && m.d.speaking === 1);
        await until('the last state to be told', () => b.got(OP.SPEAKING)
            .filter((m) => m.d.ssrc === a.ssrc).at(-1).d.speaking === 1);
        await leave(a, b);
    });
});


describe('who comes and goes', () => {
    test('a newcomer of version 8 is told of all in one message',
        async () => {
            const room = newRoom();
            const [a, b] = await call(nginx, room, room);
            const c = await Member.join(nginx, room);

            await c.knows(a);
            await c.knows(b);

            assert.deepEqual(c.got(OP.CONNECT).map((m) => m.d.user_ids.sort()),
                [[a.user, b.user].sort()]);
            for (const other of [a, b]) {
                const told = await other.messages.find((m) =>
                    m.op === OP.CONNECT && m.d.user_ids.includes(c.user));

                assert.deepEqual(told.d.user_ids, [c.user]);
                await other.knows(c);
            }
            assert.ok(order(c, OP.DESCRIPTION) < order(c, OP.CONNECT));
            assert.ok(order(c, OP.CONNECT) < order(c, OP.SPEAKING));
            await leave(a, b, c);
        });

    test('version 4 is told in the old words and no newer ones', async () => {
        const room = newRoom();
        const [a, b] = await call(nginx, { ...room, version: 4 }, room);

        assert.deepEqual((await a.next(OP.VIDEO)).d,
            { audio_ssrc: b.ssrc, user_id: b.user, video_ssrc: 0 });
        assert.deepEqual((await a.next(OP.SPEAKING)).text,
            `{"op":5,"d":{"user_id":"${b.user}","ssrc":${b.ssrc},`
            + '"speaking":0}}');
        await leave(b);
        assert.deepEqual((await a.next(OP.DISCONNECT)).text,
            `{"op":13,"d":{"user_id":"${b.user}"}}`);
        assert.deepEqual([OP.CONNECT, OP.FLAGS, OP.PLATFORM].flatMap((op) =>
            a.got(op)), []);
        await leave(a);
    });

    test('each of many hears of each of them', async () => {
        const room = newRoom();
        const members = await call(nginx, ...VERSIONS.map((version) =>
            ({ ...room, version })));

        /* leaving in turn: the rest is told each time, in any version */
        while (members.length > 1) {
            const gone = members.shift();

            await leave(gone);
            await Promise.all(members.map((m) => m.messages.find((x) =>
                x.op === OP.DISCONNECT && x.d.user_id === gone.user,
            { what: `op 13 of ${gone.user} in version ${m.version}` })));
        }
        await leave(...members);
    });

    test('numbers run on from 1 in version 8, and are absent before',
        async () => {
            const room = newRoom();
            const [a, old] = await call(nginx, room,
                { ...room, version: 7 });

            for (let i = 0; i < 3; i++) {
                const x = await Member.join(nginx, room);

                await a.knows(x);
                await leave(x);
                await a.messages.find((m) => m.op === OP.DISCONNECT
                    && m.d.user_id === x.user);
                await old.messages.find((m) => m.op === OP.DISCONNECT
                    && m.d.user_id === x.user);
            }

            const numbered = a.messages.all.filter((m) => 'seq' in m);

            assert.deepEqual(numbered.map((m) => m.seq),
                numbered.map((m, i) => i + 1));
            assert.deepEqual(
                [...new Set(a.messages.all.filter((m) => !('seq' in m))
                    .map((m) => m.op))].sort((x, y) => x - y),
                [OP.READY, OP.DESCRIPTION, OP.HELLO]);
            assert.deepEqual(
                old.messages.all.filter((m) => 'seq' in m), []);
            await leave(a, old);
        });

    test('nothing but the discovery answer arrives before Select Protocol',
        async () => {
            const room = newRoom();
            const [a, b] = await call(nginx, room, room);
            const c = await identified(room);

            await c.discover();
            await a.speakFor(10, { every: 10 });
            await b.hears(a);
            assert.deepEqual(c.events.filter((e) => e.bytes)
                .map((e) => e.bytes.length), [74]);
            assert.deepEqual(c.messages.all.map((m) => m.op),
                [OP.HELLO, OP.READY]);
            await c.select();
            await c.knows(a);
            await a.speakFor(5, { every: 10 });
            await c.hears(a);
            await leave(a, b, c);
        });

    test('a speaker is announced before the first packet, in any version',
        async () => {
            const room = newRoom();
            const [a, b] = await call(nginx, room, room);
            const talk = a.talk();

            for (const version of VERSIONS) {
                const c = await Member.join(nginx, { ...room, version });

                await until('the first packet', () => c.packets.length > 0);

                const known = c.events.findIndex((e) =>
                    e.op === OP.SPEAKING && e.d.ssrc === a.ssrc);
                const first = c.events.findIndex((e) => e.plain);

                assert.ok(known >= 0 && known < first,
                    `version ${version}: op 5 is event ${known}, the first `
                    + `packet is event ${first}`);
                assert.equal(c.undecryptable.length, 0);
                await leave(c);
            }
            talk.stop();
            await leave(a, b);
        });

    test('members of other channels and guilds are not told', async () => {
        const room = newRoom();
        const other = { ...room, channel: `${room.channel}9` };
        const [a, b] = await call(nginx, room, room);
        const c = await Member.join(nginx, other);
        const d = await Member.join(nginx,
            { ...newRoom(), channel: room.channel });

        await a.speakFor(5);
        await b.hears(a);
        for (const m of [c, d]) {
            assert.deepEqual(m.messages.all.map((x) => x.op),
                [OP.HELLO, OP.READY, OP.DESCRIPTION]);
            assert.equal(m.packets.length + m.undecryptable.length, 0);
        }
        await leave(a, b, c, d);
    });
});


const order = (m, op) => m.messages.all.findIndex((x) => x.op === op);


describe('resume', () => {
    test('version 8 gets what it missed, under the same numbers', async () => {
        const room = newRoom();
        const [a, b, witness] = await call(nginx, room, room, room);
        const talk = a.talk();

        await b.settled();

        const seen = b.acked;

        b.ws.cut();
        await b.whenClosed();

        const c = await Member.join(nginx, room);

        await witness.knows(c);
        a.say(OP.SPEAKING, { speaking: 4, delay: 0, ssrc: a.ssrc });
        await leave(c);
        await witness.messages.find((m) => m.op === OP.DISCONNECT
            && m.d.user_id === c.user);

        await b.resume({ seqAck: seen });

        const ops = (m) => m.messages.all.filter((x) => x.seq > seen
            && (x.d.user_id === c.user || x.d.user_ids?.includes(c.user)));

        await until('all that was missed', () =>
            b.got(OP.DISCONNECT).length > 0);
        assert.deepEqual(b.messages.all.slice(0, 2).map((m) => m.op),
            [OP.HELLO, OP.RESUMED]);
        assert.deepEqual(ops(b).map((m) => [m.op, m.d]),
            ops(witness).map((m) => [m.op, m.d]));

        const numbers = b.messages.all.filter((m) => 'seq' in m)
            .map((m) => m.seq);

        assert.deepEqual(numbers, numbers.map((n, i) => seen + 1 + i));

        /* media went on both ways all the time */
        const { to } = talk.stop();

        await b.hears(a, to);
        assert.deepEqual(b.faults(a, { to }), []);
        await b.speakFor(5);
        await a.hears(b);
        assert.deepEqual(a.faults(b), []);
        await leave(a, b, witness);
    });

    test('version 8 is told again from the number that it names',
        async () => {
            const room = newRoom();
            const [a, b] = await call(nginx, room, room);
            const x = await Member.join(nginx, room);

            await b.knows(x);
            await b.settled();

            const before = b.messages.all.filter((m) => 'seq' in m);
            const third = before[2].seq;

            for (const seqAck of [third, 0, -1]) {
                b.ws.cut();
                await b.resume({ seqAck });

                await b.settled();

                /* what was one event is repeated as a whole */
                const again = b.messages.all.filter((m) => 'seq' in m);

                assert.ok(again[0].seq <= Math.max(seqAck, 0) + 1);
                assert.deepEqual(again.map((m) => m.text),
                    before.filter((m) => m.seq >= again[0].seq)
                        .map((m) => m.text));
            }
            await leave(a, b, x);
        });

    test('below version 8 the state of the others is told again',
        async () => {
            const room = newRoom();
            const [a, b] = await call(nginx, room, { ...room, version: 4 });

            b.ws.cut();
            await b.resume();

            const known = await b.next(OP.SPEAKING);

            assert.equal(known.d.ssrc, a.ssrc);
            assert.ok(!('seq' in known));
            await a.speakFor(5);
            await b.hears(a);
            assert.deepEqual(b.faults(a), []);
            await leave(a, b);
        });

    test('ssrc, key and address stay as they were', async () => {
        const room = newRoom();
        const [a, b] = await call(nginx, room, room);

        for (let i = 0; i < 3; i++) {
            a.ws.cut();
            await a.speakFor(3, { every: 5 });
            await a.resume();
            await a.speakFor(3, { every: 5 });
        }
        await b.hears(a);
        assert.deepEqual(b.faults(a), []);
        assert.equal(b.got(OP.DISCONNECT).length, 0);
        await leave(a, b);
    });

    test('the newer websocket takes over from the one that is there',
        async () => {
            const room = newRoom();
            const [a, b] = await call(nginx, room, room);
            const old = b.ws;

            await b.resume();
            assert.equal((await old.whenClosed()).code, 1001);
            a.say(OP.SPEAKING, { speaking: 1, delay: 0, ssrc: a.ssrc });
            await b.next(OP.SPEAKING);
            await leave(a, b);
        });

    const refusals = {
        'of a session that never was': (m) => {
            m.session = 'nobody';
        },
        "with another session's token": (m) => {
            m.token = nginx.token({ user: newUser(), guild: m.guild,
                channel: m.channel, session: m.session });
        },
        'with a token of another key': (m) => {
            m.token = voiceToken(newKey(), { user: m.user, guild: m.guild,
                channel: m.channel, session: m.session });
        },
        'for another guild': (m) => {
            m.guild = newRoom().guild;
        },
        'with a number from the future': (m) => {
            m.acked = 30000;
        }
    };

    for (const [what, change] of Object.entries(refusals)) {
        test(`${what} is refused, the session lives on`, async () => {
            const room = newRoom();
            const [a, b] = await call(nginx, room, room);
            const { guild, session, token, acked } = b;

            b.ws.cut();
            change(b);
            await assert.rejects(b.resume(), /closed with 4006/);
            Object.assign(b, { guild, session, token });
            await b.resume({ seqAck: acked });
            await leave(a, b);
        });
    }

    for (const code of [1000, 4000, 4014, 4901]) {
        test(`a client that closes with ${code} is gone`, async () => {
            const room = newRoom();
            const [a, b] = await call(nginx, room, room);

            await b.ws.close(code);
            assert.equal((await a.next(OP.DISCONNECT)).d.user_id, b.user);
            await assert.rejects(b.resume(), /closed with 4006/);
            b.closeUdp();
            await leave(a);
        });
    }

    test('a client that closes with 1001 may come back', async () => {
        const room = newRoom();
        const [a, b] = await call(nginx, room, room);

        await b.ws.close(1001);
        await b.resume();
        assert.equal(a.got(OP.DISCONNECT).length, 0);
        await leave(a, b);
    });

    test('a session is over when the window is', async () => {
        const quick = await Nginx.start({ main: 'voice_resume_window 1s;' });

        try {
            const room = newRoom();
            const [a, b] = await call(quick, room, room);

            b.ws.cut();
            assert.equal((await a.next(OP.DISCONNECT, 10000)).d.user_id,
                b.user);
            await assert.rejects(b.resume(), /closed with 4006/);
            b.closeUdp();
            await leave(a);
        } finally {
            await quick.stop();
        }
    });

    test('whoever misses too much must join anew', async () => {
        const free = await Nginx.start({ http: 'voice_signal_rate off;' });

        try {
            const room = newRoom();
            const [a, b] = await call(free, room, room);

            b.ws.cut();
            await b.whenClosed();

            /* each says at least that it came and that it went */
            for (let i = 0; i < 65; i++) {
                await leave(await Member.join(free, room));
            }
            await a.settled();
            await assert.rejects(b.resume(), /closed with 4006/);
            assert.equal(await free.metric('outbox_overflows'), 1);
            b.closeUdp();
            await leave(a);
        } finally {
            await free.stop();
        }
    });

    test('one who toggles Speaking makes nobody miss too much', async () => {
        const free = await Nginx.start({ http: 'voice_signal_rate off;' });

        try {
            const room = newRoom();
            const [a, b] = await call(free, room, room);

            b.ws.cut();
            await b.whenClosed();
            for (let i = 0; i < 1000; i++) {
                a.say(OP.SPEAKING, { speaking: i & 1, delay: 0,
                    ssrc: a.ssrc });
            }
            await a.settled();
            await b.resume();
            await until('the last of it', () => b.messages.all.findLast(
                (m) => m.op === OP.SPEAKING)?.d.speaking === 1);
            assert.equal(await free.metric('outbox_overflows'), 0);
            await leave(a, b);
        } finally {
            await free.stop();
        }
    });
});


describe('close codes', () => {
    const bad = {
        'an opcode that is none': [4001, (m) => m.say(99, {})],
        'an opcode of the server': [4001, (m) => m.say(OP.READY, {})],
        'a negative opcode': [4001, (m) => m.say(-1, {})],
        'no JSON': [4002, (m) => m.ws.text('hello')],
        'nothing': [4002, (m) => m.ws.text('')],
        'an array': [4002, (m) => m.ws.text('[]')],
        'no opcode': [4002, (m) => m.ws.text('{"d":{}}')],
        'an opcode in a string': [4002, (m) => m.ws.text('{"op":"3"}')],
        'JSON cut short': [4002, (m) => m.ws.text('{"op":3,"d":')],
        'JSON with more behind it': [4002,
            (m) => m.ws.text('{"op":3,"d":1} x')],
        'JSON too deep': [4002,
            (m) => m.ws.text('{"op":3,"d":' + '['.repeat(100)
                + ']'.repeat(100) + '}')],
        'bytes that are no UTF-8': [4002, (m) => m.ws.send(frame(TEXT,
            Buffer.from([0x7b, 0x22, 0xff, 0xfe, 0x22, 0x7d])))],
        'an encoded surrogate': [4002, (m) => m.ws.send(frame(TEXT,
            Buffer.from('7b226f70223a332c2264223a22eda080227d', 'hex')))],
        'more than 4 KiB': [4002, (m) => m.ws.text(
            `{"op":3,"d":1${' '.repeat(4096)}}`)],
        'more than 4 KiB in pieces': [4002, (m) => {
            m.ws.send(frame(TEXT, Buffer.from('{"op":3,"d":1'),
                { fin: false }));
            for (let i = 0; i < 50; i++) {
                m.ws.send(frame(CONTINUATION, Buffer.alloc(100, ' '),
                    { fin: false }));
            }
            m.ws.send(frame(CONTINUATION, Buffer.from('}')));
        }],
        'binary garbage': [4002,
            (m) => m.ws.send(frame(BINARY, randomBytes(100).fill(0, 0, 1)))],
        'an empty binary message': [4002, (m) => m.ws.send(frame(BINARY))],
        'Identify again': [4005,
            (m) => m.say(OP.IDENTIFY, m.identification())],
        'an unknown protocol': [4012, (m) => m.say(OP.SELECT,
            { protocol: 'webrtc-p2p', data: {} })],
        'an unknown mode': [4016, (m) => m.say(OP.SELECT, { protocol: 'udp',
            data: { address: '127.0.0.1', port: 1, mode: 'rot13' } })],
        'a mode without an end': [4016, (m) => m.say(OP.SELECT,
            { protocol: 'udp', data: { address: '127.0.0.1', port: 1,
                mode: 'x'.repeat(3000) } })],
        'a mode that is a number': [4002, (m) => m.say(OP.SELECT,
            { protocol: 'udp', data: { address: '1.2.3.4', port: 1,
                mode: 5 } })],
        'a port beyond all': [4020, (m) => m.say(OP.SELECT,
            { protocol: 'udp', data: { address: '127.0.0.1', port: 65536,
                mode: 'aead_aes256_gcm_rtpsize' } })]
    };

    for (const [what, [code, does]] of Object.entries(bad)) {
        test(`${code} for ${what}`, async () => {
            const m = await identified();

            does(m);
            await closedWith(m, code);
        });
    }

    const early = {
        'Select Protocol': (m) => m.say(OP.SELECT, { protocol: 'udp',
            data: { address: '127.0.0.1', port: 1,
                mode: 'aead_aes256_gcm_rtpsize' } }),
        'Speaking': (m) => m.say(OP.SPEAKING, { speaking: 1, ssrc: 1 }),
        'a backend version': (m) => m.say(OP.VERSION, {})
    };

    for (const [what, does] of Object.entries(early)) {
        test(`4003 for ${what} before Identify`, async () => {
            const m = await greeted();

            does(m);
            await closedWith(m, 4003);
        });
    }

    const change = (d) => (m) => ({ ...m.identification(), ...d(m) });
    const token = (claims, key, options) => change((m) => ({
        token: voiceToken(key ?? nginx.key, { user: m.user, guild: m.guild,
            channel: m.channel, session: m.session, ...claims }, options)
    }));
    const identifies = {
        'an expired token': [4004, token({ ttl: -10 })],
        'a token of another key': [4004, token({}, newKey())],
        'a token without signature': [4004,
            token({}, undefined, { alg: 'none' })],
        'a token for another algorithm': [4004,
            token({}, undefined, { alg: 'HS512' })],
        'a token for another guild': [4004, token({ guild: '77' })],
        'a token for another user': [4004, token({ user: '78' })],
        'a token for another session': [4004, token({ session: 'other' })],
        'a token without a channel': [4004, token({ cid: undefined })],
        'a token that is none': [4004, change(() => ({ token: 'x.y.z' }))],
        'no token': [4002, change(() => ({ token: undefined }))],
        'an empty token': [4020, change(() => ({ token: '' }))],
        'a token too long': [4020,
            change(() => ({ token: 'x'.repeat(2049) }))],
        'no user': [4002, change(() => ({ user_id: undefined }))],
        'a user that is a word': [4002, change(() => ({ user_id: 'me' }))]
    };

    for (const [what, [code, d]] of Object.entries(identifies)) {
        test(`${code} for ${what}`, async () => {
            const m = await greeted();

            m.say(OP.IDENTIFY, d(m));

            const closed = await m.whenClosed();

            assert.equal(closed.code, code, closed.reason);
            assert.ok(!closed.reason.includes(m.token.slice(-20)),
                'the reason repeats the token');
        });
    }

    test('no token stands in the error log', async () => {
        const m = await greeted();

        m.say(OP.IDENTIFY, { ...m.identification(),
            token: `${m.token}x` });
        await closedWith(m, 4004);
        assert.ok(!nginx.logText().includes(m.token.split('.')[2]));
    });

    test('ids may be numbers', async () => {
        const m = await greeted();

        m.say(OP.IDENTIFY, { ...m.identification(),
            server_id: Number(m.guild), user_id: Number(m.user) });
        await m.next(OP.READY);
        await leave(m);
    });

    test('4006 for the session that a second Identify replaces', async () => {
        const room = newRoom();
        const [a, b] = await call(nginx, room, room);
        const again = await Member.join(nginx, { ...room, user: b.user });

        await closedWith(b, 4006);
        await a.knows(again);
        await again.speakFor(5);
        await a.hears(again);
        assert.notEqual(again.ssrc, b.ssrc);

        /* the replaced one has no voice left */
        const before = a.packets.length;

        await b.speakFor(5);
        await again.speakFor(5);
        await a.hears(again);
        assert.equal(a.heard(b).length, 0);
        assert.equal(a.packets.length, before + 5);
        b.closeUdp();
        await leave(a, again);
    });

    test('a token is good for another Identify while its session lives',
        async () => {
            const room = newRoom();
            const m = new Member(nginx, { ...room, claims: { ttl: 1 } });

            await m.identify();
            await m.discover();
            await m.select();
            await until('the token to expire',
                () => !fresh(m.token), 5000, 50);

            const again = new Member(nginx, { ...room, user: m.user });

            again.token = m.token;
            await again.identify();
            await closedWith(m, 4006);
            await leave(again);
            m.closeUdp();

            /* and no more afterwards */
            const late = new Member(nginx, { ...room, user: m.user });

            late.token = m.token;
            await assert.rejects(late.identify(), /closed with 4004/);
        });

    test('4021 for more messages than voice_signal_rate allows', async () => {
        const slow = await Nginx.start(
            { http: 'voice_signal_rate 10/s 20;' });

        try {
            const room = newRoom();
            const [a, b] = await call(slow, room, room);

            for (let i = 0; i < 15; i++) {
                a.say(OP.HEARTBEAT, { t: i });
            }
            await a.settled();
            for (let i = 0; i < 30; i++) {
                a.say(OP.HEARTBEAT, { t: i });
            }
            await closedWith(a, 4021);
            assert.equal((await b.next(OP.DISCONNECT)).d.user_id, a.user);
            assert.equal(await slow.metric('refused', 'reason="rate"'), 1);
            a.closeUdp();
            await leave(b);
        } finally {
            await slow.stop();
        }
    });

    test('4020 for a version that is no number', async () => {
        const ws = await WebSocketClient.connect({ host: '127.0.0.1',
            port: nginx.http, path: '/?v=four' });

        assert.equal((await ws.whenClosed()).code, 4020);
    });

    test('opcodes of newer clients are let pass', async () => {
        const m = await identified();

        for (const op of [10, 12, 14, 15, 18, 19, 20, 23, 31, 32]) {
            m.say(op, {});
        }
        for (const op of [26, 28]) {
            m.ws.send(frame(BINARY, Buffer.from([op, 1, 2, 3])));
        }
        m.say(OP.VERSION, {});
        assert.deepEqual(Object.keys((await m.next(OP.VERSION)).d),
            ['voice', 'rtc_worker']);
        await leave(m);
    });
});


const fresh = (token) => JSON.parse(Buffer.from(token.split('.')[1],
    'base64url')).exp > Date.now() / 1000;


describe('websocket frames', () => {
    const say = (m) => Buffer.from(JSON.stringify(
        { op: OP.IDENTIFY, d: m.identification() }));

    test('of a message may be many', async () => {
        const m = await greeted();
        const bytes = say(m);

        m.ws.send(frame(TEXT, bytes.subarray(0, 1), { fin: false }));
        for (let i = 1; i < bytes.length - 1; i++) {
            m.ws.send(frame(CONTINUATION, bytes.subarray(i, i + 1),
                { fin: false }));
        }
        m.ws.send(frame(PING, Buffer.from('in between')));
        m.ws.send(frame(CONTINUATION, Buffer.alloc(0), { fin: false }));
        m.ws.send(frame(CONTINUATION, bytes.subarray(-1)));
        await m.next(OP.READY);
        assert.deepEqual(m.ws.pongs.map(String), ['in between']);
        await leave(m);
    });

    test('may be torn by the network anywhere', async () => {
        const m = await greeted();

        m.ws.socket.setNoDelay(true);
        for (const byte of frame(TEXT, say(m))) {
            m.ws.send(Buffer.from([byte]));
            await within('a byte to be written', new Promise((resolve) =>
                setImmediate(resolve)));
        }
        await m.next(OP.READY);
        await leave(m);
    });

    test('may come many at once', async () => {
        const m = await greeted();
        const beat = frame(TEXT, Buffer.from('{"op":3,"d":7}'));

        m.ws.send(Buffer.concat([frame(TEXT, say(m)),
            ...Array(30).fill(beat)]));
        await m.next(OP.READY);
        await until('30 answers', () => m.got(OP.ACK).length === 30);
        await leave(m);
    });

    const wrong = {
        'not masked': frame(TEXT, Buffer.from('{"op":3,"d":1}'),
            { mask: false }),
        'with a reserved bit': frame(TEXT, Buffer.from('{}'), { rsv: 4 }),
        'with a reserved opcode': frame(3, Buffer.from('{}')),
        'that continue nothing': frame(CONTINUATION, Buffer.from('{}')),
        'that begin inside of a message': Buffer.concat([
            frame(TEXT, Buffer.from('{'), { fin: false }),
            frame(TEXT, Buffer.from('}'))]),
        'that are a fragmented ping': frame(PING, Buffer.from('x'),
            { fin: false }),
        'that are a ping too long': frame(PING, Buffer.alloc(126)),
        'of 2^63 bytes': frame(TEXT, Buffer.from('x'),
            { length: 2n ** 63n, form: 64 })
    };

    for (const [what, bytes] of Object.entries(wrong)) {
        test(`${what} end the websocket with 1002`, async () => {
            const m = await greeted();

            m.ws.send(bytes);
            await closedWith(m, 1002);
        });
    }

    test('that claim 1 GB end the websocket at once', async () => {
        const m = await greeted();

        m.ws.send(frame(TEXT, Buffer.alloc(1000, 'x'),
            { length: 1 << 30, form: 64 }));
        await closedWith(m, 4002);
    });

    test('10000 of garbage harm nobody', async () => {
        const room = newRoom();
        const [a, b] = await call(nginx, room, room);
        const talk = a.talk();

        for (let i = 0; i < 100; i++) {
            const m = await greeted();

            for (let n = 0; n < 100; n++) {
                const opcode = [TEXT, BINARY, CONTINUATION, PING, 3, 11][n % 6];

                m.ws.send(i % 2 ? randomBytes(1 + n)
                    : frame(opcode, randomBytes(n), { fin: n % 3 > 0 }));
            }
            m.ws.socket.end();
            await m.whenClosed();
        }

        const { to } = talk.stop();

        await b.hears(a, to);
        assert.deepEqual(b.faults(a, { to }), []);
        await leave(a, b);
    });
});


describe('the opening handshake', () => {
    const connect = () => dial({ host: '127.0.0.1', port: nginx.http });

    async function answers(path, headers, options) {
        const socket = await connect();

        try {
            return await request(socket, path, headers, options);
        } finally {
            socket.destroy();
        }
    }

    test('a plain GET gets what nginx has there else', async () => {
        for (const path of ['/', '/?v=8']) {
            const r = await answers(path, {});

            assert.equal(r.status, 200);
            assert.equal(r.body, 'a plain page\n');
        }
    });

    test('an upgrade to something else is a plain GET', async () => {
        const r = await answers('/', { Upgrade: 'h2c',
            Connection: 'Upgrade' });

        assert.equal(r.status, 200);
    });

    const headers = upgradeHeaders();
    const refused = {
        'another version': [426,
            { ...headers, 'Sec-WebSocket-Version': '8' }],
        'no version': [426,
            { ...headers, 'Sec-WebSocket-Version': undefined }],
        'no key': [400, { ...headers, 'Sec-WebSocket-Key': undefined }],
        'a key too short': [400, { ...headers, 'Sec-WebSocket-Key': 'YWJj' }],
        'a key that is none': [400,
            { ...headers, 'Sec-WebSocket-Key': '!'.repeat(24) }],
        'Connection: close': [400, { ...headers, Connection: 'close' }],
        'a body': [400, { ...headers, 'Content-Length': '5' }],
        'HTTP/1.0': [400, headers, { version: '1.0' }]
    };

    for (const [what, [status, h, options]] of Object.entries(refused)) {
        test(`${status} for ${what}`, async () => {
            const r = await answers('/?v=8', h, options);

            assert.equal(r.status, status);
            if (status === 426) {
                assert.equal(r.headers['sec-websocket-version'], '13');
            }
        });
    }

    test('header values may be lists in any case', async () => {
        const r = await answers('/?v=8', { ...headers, Upgrade: 'WebSocket',
            Connection: 'keep-alive, UPGRADE' });

        assert.equal(r.status, 101);
    });

    test('an offer of compression is not taken', async () => {
        const r = await answers('/?v=8', { ...headers,
            'Sec-WebSocket-Extensions': 'permessage-deflate; '
                + 'client_max_window_bits' });

        assert.equal(r.status, 101);
        assert.equal(r.headers['sec-websocket-extensions'], undefined);
    });

    test('frames may follow the request at once', async () => {
        const m = new Member(nginx, newRoom());
        const socket = await connect();
        const head = Object.entries({ Host: 'x', ...headers })
            .map(([name, value]) => `${name}: ${value}\r\n`).join('');

        socket.write(Buffer.concat([
            Buffer.from(`GET /?v=8 HTTP/1.1\r\n${head}\r\n`),
            frame(TEXT, Buffer.from(JSON.stringify({ op: OP.IDENTIFY,
                d: m.identification() })))]));

        let text = '';

        socket.setEncoding('latin1');
        socket.on('data', (chunk) => {
            text += chunk;
        });
        await until('Ready', () => text.includes('{"op":2,'));
        socket.destroy();
    });

    test('a websocket works over TLS and on a connection used before',
        async () => {
            const socket = await dial({ host: '127.0.0.1', port: nginx.https,
                ca: nginx.ca });

            assert.equal((await request(socket, '/pid')).status, 200);

            const ws = await WebSocketClient.connect({ socket });

            await ws.inbox.find((m) => m.opcode === TEXT);
            await ws.close();
        });
});
