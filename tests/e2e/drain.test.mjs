/*
 * Copyright (C) ngx-voice contributors
 *
 * A server that is to become empty: no new calls, those that run go on.
 */

import assert from 'node:assert/strict';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';

import { Member, OP, call, leave, newRoom, newUser } from './lib/member.mjs';
import { Nginx } from './lib/nginx.mjs';
import { signToken } from './lib/token.mjs';
import { until } from './lib/wait.mjs';
import { voicectl } from './lib/voicectl.mjs';
import { WebSocketClient } from './lib/websocket.mjs';


const start = (options = {}) => Nginx.start({ workers: 2, tcp: 'reuseport',
    ...options });

const drain = (nginx, ...args) => voicectl('drain', '--zone',
    join(nginx.dir, 'main.zone'), ...args, '--json').json();


/* What becomes of somebody who wants to join. */
async function refused(nginx, room) {
    const m = new Member(nginx, room);

    await m.open();
    await m.greeted();
    m.say(OP.IDENTIFY, m.identification());

    const { code, reason } = await m.whenClosed();

    await m.leave();

    return { code, reason };
}


const NO_NEW = { code: 4014, reason: 'draining, no new calls' };


describe('drain', () => {
    test('by order: no new calls, those that run go on, over a restart too',
        async () => {
            const nginx = await start({ allow: [/exited on signal 9/] });
            const room = newRoom();
            const [a, b] = await call(nginx, room, room);

            assert.deepEqual((await nginx.status()).drain, { on: false,
                by: [], seconds: 0, deadline_seconds: null, left: 2 });

            assert.deepEqual(await drain(nginx, '--deadline', '30m'),
                { on: true, left: 2, deadline_seconds: 1800 });
            assert.deepEqual(await refused(nginx, room), NO_NEW);
            assert.deepEqual(await refused(nginx, newRoom()), NO_NEW);

            /* who is in a call may come back, in either way */
            b.ws.socket.destroy();
            await b.resume();
            await a.ws.close(1001);
            await a.identify();
            await a.discover();
            await a.select();
            await a.knows(b);
            await b.knows(a);
            await a.speakFor(10);
            await b.hears(a);

            await nginx.crash();
            await nginx.launch();
            assert.deepEqual(await refused(nginx, room), NO_NEW);
            await b.resume();
            await a.resume();

            const { drain: state, refused: reasons } = await nginx.status();

            assert.ok(state.deadline_seconds > 1500
                && state.deadline_seconds <= 1800, JSON.stringify(state));
            assert.deepEqual([state.on, state.by, state.left],
                [true, ['order'], 2]);
            assert.equal(reasons.draining, 3);

            const metrics = await nginx.metrics();

            assert.equal(metrics.voice_draining, 1);
            assert.ok(metrics.voice_drain_deadline_seconds > 1500);

            assert.deepEqual(await drain(nginx, '--off'),
                { on: false, left: 2, deadline_seconds: null });
            assert.equal((await nginx.metrics()).voice_draining, 0);
            await leave(...await call(nginx, room, room), a, b);
            await nginx.stop();
        });

    test('by directive and reload, whatever is ordered beside it',
        async () => {
            const nginx = await start({ main: 'voice_drain on;' });

            assert.match(nginx.logText(), /"voice_drain" is on/);
            assert.deepEqual(await refused(nginx, newRoom()), NO_NEW);

            await drain(nginx);
            await nginx.reload({ ...nginx.options, main: 'voice_drain off;' });
            assert.deepEqual((await nginx.status()).drain.by, ['order']);
            assert.deepEqual(await refused(nginx, newRoom()), NO_NEW);

            await nginx.reload({ ...nginx.options, main: 'voice_drain on;' });
            assert.deepEqual((await nginx.status()).drain.by,
                ['directive', 'order']);
            await drain(nginx, '--off');
            assert.deepEqual(await refused(nginx, newRoom()), NO_NEW);

            await nginx.reload({ ...nginx.options, main: '' });

            const room = newRoom();

            await leave(...await call(nginx, room, room));
            await nginx.stop();
        });

    test('at the deadline those who are left are told to go', async () => {
        const nginx = await start();
        const rooms = [newRoom(), newRoom()];
        const members = [];

        /* more than are told at once */
        for (let i = 0; i < 80; i++) {
            members.push(await Member.join(nginx, rooms[i % 2]));
        }

        await drain(nginx, '--deadline', '1s');

        for (const { code, reason } of await Promise.all(
            members.map((m) => m.whenClosed(15000))))
        {
            assert.deepEqual([code, reason], [4014, 'disconnected']);
        }
        await until('nobody to be left', async () =>
            (await nginx.status()).drain.left === 0);
        assert.deepEqual((await nginx.status()).drain.deadline_seconds, 0);
        assert.equal((await nginx.status()).outbox_overflows, 0);
        await leave(...members);
        await nginx.stop();
    });

    test('the gateway lets nobody in, but those who are in may move',
        async () => {
            const guild = '700';
            const dir = mkdtempSync(join(tmpdir(), 'ngx-voice-drain-'));
            const file = join(dir, 'guilds.json');
            const channels = ['701', '702'];

            writeFileSync(file, JSON.stringify([{ id: guild, name: 'g',
                owner_id: '1', members: [], roles: [{ id: guild,
                    name: '@everyone', permissions: '3146752' }],
                channels: channels.map((id) => ({ id, name: id, type: 2 })) }],
            ));
            chmodSync(dir, 0o755);

            const nginx = await start({ http: `voice_guilds ${file};`,
                server: 'location /gateway { voice_gateway; }' });
            const [a, b] = await Promise.all([newUser(), newUser()]
                .map((user) => gateway(nginx, user, guild)));

            await a.enter(channels[0]);
            await a.states(channels[0]);
            await drain(nginx);
            await b.enter(channels[0]);
            await until('the refusal', async () =>
                (await nginx.status()).refused.draining === 1);
            await a.enter(channels[1]);
            await a.states(channels[1]);
            assert.equal(b.seen.filter((m) => m.t === 'VOICE_STATE_UPDATE'
                && m.d.user_id === b.user).length, 0);

            await drain(nginx, '--off');
            await b.enter(channels[0]);
            await b.states(channels[0]);
            a.ws.socket.destroy();
            b.ws.socket.destroy();
            await nginx.stop();
            rmSync(dir, { recursive: true });
        });
});


/* Somebody with a session of the main gateway. */
async function gateway(nginx, user, guild) {
    const token = signToken(nginx.key, { sub: user, name: 'n',
        guilds: [guild], exp: Math.floor(Date.now() / 1000) + 60 });
    const ws = await WebSocketClient.connect({ port: nginx.http,
        path: '/gateway?v=10&encoding=json' });
    const seen = [];

    ws.onMessage = ({ data }) => seen.push(JSON.parse(data));
    ws.inbox.all.forEach(ws.onMessage);
    ws.json({ op: 2, d: { token, intents: 1 << 0 | 1 << 7,
        properties: {} } });
    await until('the guild', () => seen.some((m) => m.t === 'GUILD_CREATE'));

    return {
        ws, user, seen,

        enter: (channel) => ws.json({ op: 4, d: { guild_id: guild,
            channel_id: channel, self_mute: false, self_deaf: false } }),

        states: (channel) => until(`user ${user} in ${channel}`, () =>
            seen.some((m) => m.t === 'VOICE_STATE_UPDATE'
                && m.d.user_id === user && m.d.channel_id === channel))
    };
}
