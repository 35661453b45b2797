/*
 * Copyright (C) ngx-voice contributors
 *
 * Several workers, and several ways to listen: where a packet or a message
 * arrives must make no difference.
 */

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import { Member, OP, leave, newRoom } from './lib/member.mjs';
import { Nginx } from './lib/nginx.mjs';
import { discoveryRequest } from './lib/rtp.mjs';
import { until } from './lib/wait.mjs';
import { connectElsewhere } from './lib/websocket.mjs';


/* n members, in turn on each of the workers. */
async function spread(nginx, workers, n, room) {
    const members = [];
    let used = new Set();

    for (let i = 0; i < n; i++) {
        if (used.size === workers) {
            used = new Set();
        }

        const { socket, pid } = await connectElsewhere(nginx, used);

        used.add(pid);

        const m = new Member(nginx, { ...room, version: i % 2 ? 4 : 8 });

        m.worker = pid;
        await m.identify({ socket });
        await m.discover();
        await m.select();
        members.push(m);
    }
    await knowEachOther(members);

    return members;
}


/*
 * With a worker that doesn't answer: the source port decides which one gets
 * a member's datagrams.
 */
async function discoverElsewhere(member) {
    for (let i = 0; i < 50; i++) {
        member.closeUdp();
        await member.openUdp();
        await member.datagram(discoveryRequest(member.ssrc));

        const answer = await until('an answer',
            () => member.discoveries.at(-1), 200).catch(() => null);

        if (answer) {
            member.discovered = answer;
            return;
        }
    }

    throw new Error('no worker answers IP discovery');
}


const knowEachOther = (members) => Promise.all(members.flatMap((a) =>
    members.filter((b) => a !== b).map((b) => a.knows(b))));


async function talkAll(members, frames) {
    await Promise.all(members.map((m) => m.speakFor(frames)));
    for (const a of members) {
        for (const b of members) {
            if (a !== b) {
                await a.hears(b);
                assert.deepEqual(a.faults(b), []);
            }
        }
    }
}


async function withNginx(options, f) {
    const nginx = await Nginx.start(options);

    try {
        await f(nginx);
    } finally {
        await nginx.stop();
    }
}


describe('workers', () => {
    for (const workers of [1, 2, 4]) {
        test(`${workers}: members on all of them hear each other in order`,
            () => withNginx({ workers, tcp: 'reuseport' }, async (nginx) => {
                const members = await spread(nginx, workers, 8, newRoom());

                assert.equal(new Set(members.map((m) => m.worker)).size,
                    workers);
                await talkAll(members, 50);

                /* a leave is told over all workers, too */
                const gone = members.pop();

                await leave(gone);
                await Promise.all(members.map((m) => m.messages.find((x) =>
                    x.op === OP.DISCONNECT && x.d.user_id === gone.user)));
                await leave(...members);
            }));
    }

    test('a session resumes on another one', () => withNginx(
        { workers: 2, tcp: 'reuseport' }, async (nginx) => {
            const [a, b] = await spread(nginx, 2, 2, newRoom());
            const talk = a.talk();

            for (const victim of [a, b, a]) {
                const old = victim.ws;
                const { socket, pid } = await connectElsewhere(nginx,
                    new Set([victim.worker]));

                const { length } = b.packets;

                await victim.resume({ socket });
                victim.worker = pid;
                assert.equal((await old.whenClosed()).code, 1001);
                await victim.settled();
                await until('more of the call',
                    () => b.packets.length > length + 10);
            }

            const { to } = talk.stop();

            await b.hears(a, to);
            assert.deepEqual(b.faults(a, { to }), []);
            assert.equal(b.got(OP.DISCONNECT).length, 0);
            await b.speakFor(3);
            await a.hears(b);
            await leave(a, b);
        }));

    test('an Identify replaces a session of another one', () => withNginx(
        { workers: 2, tcp: 'reuseport' }, async (nginx) => {
            const room = newRoom();
            const [a, b] = await spread(nginx, 2, 2, room);
            const { socket } = await connectElsewhere(nginx,
                new Set([b.worker]));
            const again = new Member(nginx, { ...room, user: b.user });

            await again.identify({ socket });
            assert.equal((await b.whenClosed()).code, 4006);
            await again.discover();
            await again.select();
            b.closeUdp();
            await knowEachOther([a, again]);
            await talkAll([a, again], 10);
            await leave(a, again);
        }));

    test('no voice comes before its name, however late a worker is',
        () => withNginx({ workers: 2, tcp: 'reuseport' }, async (nginx) => {
            const room = newRoom();
            const [a, b] = await spread(nginx, 2, 2, room);
            const speaker = new Member(nginx, room);
            const { socket } = await connectElsewhere(nginx,
                new Set([b.worker]));

            await speaker.identify({ socket });

            /* b's websocket is with a worker that does nothing now */
            process.kill(Number(b.worker), 'SIGSTOP');
            try {
                await discoverElsewhere(speaker);
                await speaker.select();
                await speaker.speakFor(40);
                await a.hears(speaker);
                assert.deepEqual(b.events.filter((e) => e.ssrc
                    === speaker.ssrc), []);
            } finally {
                process.kill(Number(b.worker), 'SIGCONT');
            }

            await b.knows(speaker);
            await speaker.speakFor(10);
            await b.hears(speaker);

            const named = b.events.findIndex((e) => e.op === OP.SPEAKING
                && e.d.ssrc === speaker.ssrc);
            const heard = b.events.findIndex((e) => e.ssrc === speaker.ssrc);

            assert.ok(named < heard, `named in event ${named}, heard in `
                + heard);
            assert.deepEqual(b.faults(speaker, { from: 40 }), []);
            assert.deepEqual(a.faults(speaker), []);
            await leave(a, b, speaker);
        }));

    test('a change of address is seen by all of them', () => withNginx(
        { workers: 4, tcp: 'reuseport' }, async (nginx) => {
            const members = await spread(nginx, 4, 4, newRoom());
            const [first] = members;
            const talks = members.slice(1).map((m) => m.talk());

            for (let i = 0; i < 8; i++) {
                first.closeUdp();
                await first.openUdp();
                await first.speakNext();

                const { length } = first.packets;

                await until('packets at the new address',
                    () => first.packets.length > length + 10);
            }
            for (const talk of talks) {
                talk.stop();
            }
            for (const m of members.slice(1)) {
                await m.hears(first);
                assert.deepEqual(m.faults(first), []);
            }
            assert.equal(first.undecryptable.length, 0);
            await leave(...members);
        }));
});


describe('listening', () => {
    test('on a socket that all workers share', () => withNginx(
        { workers: 2, tcp: 'reuseport',
            relays: [{ listen: '127.0.0.1', params: '' }] },
        async (nginx) => {
            const members = await spread(nginx, 2, 4, newRoom());

            await talkAll(members, 25);
            await leave(...members);
        }));

    test('on an IPv6 address', () => withNginx(
        { relays: [{ listen: '[::1]', advertise: '::1' }] },
        async (nginx) => {
            const room = newRoom();
            const members = [];

            for (let i = 0; i < 2; i++) {
                const m = await Member.join(nginx,
                    { ...room, address: '::1' });

                assert.equal(m.ready.ip, '::1');
                assert.deepEqual(
                    [m.discovered.address, m.discovered.port],
                    ['::1', m.udp.address().port]);
                members.push(m);
            }
            await knowEachOther(members);
            await talkAll(members, 10);
            await leave(...members);
        }));

    test('on IPv4 and IPv6: members of both hear each other', () => withNginx(
        { relays: [{ listen: '127.0.0.1' },
            { listen: '[::1]', advertise: '::1' }] },
        async (nginx) => {
            const room = newRoom();
            const four = await Member.join(nginx, room);

            assert.equal(four.ready.ip, '127.0.0.1');

            const six = await Member.join(nginx, { ...room, address: '::1',
                relay: { ip: '::1', port: nginx.ports[1] } });

            await knowEachOther([four, six]);
            await talkAll([four, six], 10);
            assert.ok(six.packets.every((p) => p.from.address === '::1'));
            await leave(four, six);
        }));

    for (const listen of ['0.0.0.0', '[::]']) {
        test(`on ${listen}: answers leave from the address they came to`,
            () => withNginx(
                { workers: 2, relays: [{ listen,
                    params: listen === '[::]'
                        ? 'reuseport ipv6only=off' : 'reuseport' }] },
                async (nginx) => {
                    const room = newRoom();
                    const members = [];

                    for (const ip of ['127.0.0.1', '127.0.0.2',
                        '127.0.0.3'])
                    {
                        const m = await Member.join(nginx, { ...room,
                            relay: { ip, port: nginx.port } });

                        m.to = ip;
                        assert.equal(m.discovered.address, '127.0.0.1');
                        assert.equal(m.discovered.from.address, ip);
                        members.push(m);
                    }
                    await knowEachOther(members);
                    await talkAll(members, 10);
                    for (const m of members) {
                        assert.deepEqual(
                            [...new Set(m.packets.map((p) =>
                                p.from.address))], [m.to]);
                    }
                    await leave(...members);
                }));
    }

    test('on several ports: packets leave by the one they came by',
        () => withNginx(
            { workers: 2, relays: [{ listen: '127.0.0.1' },
                { listen: '127.0.0.1' }, { listen: '127.0.0.2',
                    advertise: '127.0.0.2' }] },
            async (nginx) => {
                const room = newRoom();
                const members = [];

                for (const [i, port] of nginx.ports.entries()) {
                    const m = await Member.join(nginx, { ...room,
                        relay: { ip: i === 2 ? '127.0.0.2' : '127.0.0.1',
                            port } });

                    assert.ok(nginx.ports.includes(m.ready.port));
                    m.to = port;
                    members.push(m);
                }
                await knowEachOther(members);
                await talkAll(members, 10);
                for (const m of members) {
                    assert.deepEqual([...new Set(m.packets.map((p) =>
                        p.from.port))], [m.to]);
                }
                await leave(...members);
            }));
});
