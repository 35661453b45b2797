/*
 * Copyright (C) ngx-voice contributors
 *
 * Several nodes are one service: nginx, agents and etcd as they are in the
 * field, on loopback.  What is measured is printed; bounds are generous, for
 * this may run on a loaded machine.
 */

import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync, rmSync } from 'node:fs';
import { request } from 'node:http';
import { request as secure } from 'node:https';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';

import { Fleet, Traveller, converse } from './lib/fleet.mjs';
import { CHANNEL, GUILD, GW, GatewayClient, PERM, USER, plainGuilds, rest }
    from './lib/gateway.mjs';
import { Bot } from './lib/library.mjs';
import { Member, newUser } from './lib/member.mjs';
import { Nginx } from './lib/nginx.mjs';
import { voicectl } from './lib/voicectl.mjs';
import { now, until, within } from './lib/wait.mjs';


const say = (t, text) => t.diagnostic(text);

const rank = (list, p) => [...list].sort((a, b) => a - b)[
    Math.min(list.length - 1, Math.floor(list.length * p))];

const leave = (...members) => Promise.all(members.map((m) => m.leave()));


describe('three nodes', () => {
    const GUILDS = plainGuilds(40);   /* that nobody has used yet */
    let fleet;

    before(async () => {
        fleet = await Fleet.start({ more: GUILDS,
            nodes: ['ams', 'ber', 'cdg'].map((name) => ({ name,
                workers: 2 })) });
    });

    after(() => fleet?.stop());

    test('members come by different nodes and meet at one', async () => {
        const [a, b, c] = fleet.nodes;
        const one = await Traveller.join(fleet, a, GUILD, CHANNEL.lounge);
        const two = await Traveller.join(fleet, b, GUILD, CHANNEL.lounge);
        const watcher = await GatewayClient.login(c.nginx,
            { user: newUser() });

        assert.equal(one.at, two.at);
        assert.equal(await fleet.serves(GUILD), one.at);
        await Promise.all([one.voice.knows(two.voice),
            two.voice.knows(one.voice)]);
        await one.voice.speakFor(5);
        await two.voice.hears(one.voice);

        /* who watches by the third node sees both, and sees them go */

        const guild = await watcher.event('GUILD_CREATE',
            (d) => d.id === GUILD);

        assert.deepEqual(guild.voice_states.map((s) => s.user_id).sort(),
            [one.user, two.user].sort());
        await leave(one, two);
        for (const { user } of [one, two]) {
            await watcher.state(user, (d) => d.channel_id === null);
        }
        await watcher.close();
    });

    test('first joins wait for the agent, not for long', async (t) => {
        const g = await GatewayClient.login(fleet.nodes[0].nginx,
            { user: newUser() });
        const times = [];

        for (const { id, channels } of GUILDS.slice(0, 30)) {
            const from = g.mark;
            const start = now();

            g.voice(id, channels[0].id);
            const { endpoint } = await g.event('VOICE_SERVER_UPDATE',
                (d) => d.guild_id === id, { from });
            times.push(now() - start);
            assert.ok(fleet.at(endpoint), endpoint);
        }
        say(t, `first join: p50 ${rank(times, 0.5).toFixed(1)} ms, p99 `
            + `${rank(times, 0.99).toFixed(1)} ms`);
        await g.close();
    });

    test('moderation at any node is heard at once', async (t) => {
        const [a, b, c] = fleet.nodes;
        const one = await Traveller.join(fleet, a, GUILD, CHANNEL.lounge);
        const two = await Traveller.join(fleet, b, GUILD, CHANNEL.lounge);
        const path = `guilds/${GUILD}/members/${one.user}`;
        const token = fleet.userToken(USER.owner);
        const times = [];

        await two.voice.knows(one.voice);
        one.talk();
        await until('voice', () => two.arrivals().length > 5);
        for (const node of [a, b, c]) {
            const start = now();

            assert.equal((await rest(node.nginx, 'PATCH', path,
                { token, body: { mute: true } })).status, 200);
            await until('silence', () => two.silence(
                two.arrivals().at(-1)) > 150);
            times.push(two.arrivals().at(-1) - start);
            assert.equal((await rest(node.nginx, 'PATCH', path,
                { token, body: { mute: false } })).status, 200);

            const before = two.arrivals().length;

            await until('voice again', () => two.arrivals().length > before);
        }
        say(t, 'from the request to the last packet: '
            + times.map((n) => `${n.toFixed(0)} ms`).join(', '));
        assert.ok(Math.max(...times) < 2000, String(times));

        /* moved by the third node, then put out by the second */

        const from = one.gateway.mark;

        await rest(c.nginx, 'PATCH', path,
            { token, body: { channel_id: CHANNEL.studio } });
        await one.gateway.state(one.user,
            (d) => d.channel_id === CHANNEL.studio, { from });
        await rest(b.nginx, 'PATCH', path,
            { token, body: { channel_id: null } });
        await one.gateway.state(one.user, (d) => d.channel_id === null,
            { from });
        await until('the roster of the second node', () =>
            two.gateway.events('VOICE_STATE_UPDATE').some(({ d }) =>
                d.user_id === one.user && d.channel_id === null));
        one.faults.length = 0;
        await leave(one, two);
    });

    test('a user who comes by another node takes its place along',
        async () => {
            const [a, b] = fleet.nodes;
            const user = newUser();
            const one = await Traveller.join(fleet, a, GUILD, CHANNEL.lounge,
                { user });
            const from = one.gateway.mark;
            const two = await Traveller.join(fleet, b, GUILD, CHANNEL.studio,
                { user });

            await one.gateway.state(user, (d) => d.session_id
                === two.gateway.session, { from });
            await leave(one, two);
        });

    test('tokens are good at one server, in one life of it', async () => {
        const [a] = fleet.nodes;
        const one = await Traveller.join(fleet, a, GUILD, CHANNEL.lounge);
        const other = fleet.nodes.find((n) => n !== one.at);
        const refused = async (node, more, code) => {
            const m = new Member(node.nginx, { user: one.user, guild: GUILD,
                channel: CHANNEL.lounge, session: one.gateway.session,
                ...more });

            await m.open();
            await m.greeted();
            m.say(0, m.identification());
            assert.equal((await m.whenClosed()).code, code);
            m.destroy();
        };
        const claims = JSON.parse(Buffer.from(
            one.servers[0].token.split('.')[1], 'base64url'));

        assert.equal(claims.node, one.at.name);
        assert.equal(claims.gw, a.name);
        assert.ok(claims.rev > 0);

        const { node, boot, gw, rev } = claims;

        await refused(other, { claims: { node, boot, gw, rev } }, 4011);
        await refused(one.at, { claims: { node, gw, rev,
            boot: '0'.repeat(32) } }, 4006);
        await refused(one.at, { claims: { node, boot, gw, rev: rev - 1 } },
            4006);
        await refused(one.at, {}, 4004);
        await one.leave();
    });

    test('a platform gets a token for a guild that has no server',
        async () => {
            const { id, channels } = GUILDS[30];
            const user = newUser();
            const r = await rest(fleet.nodes[1].nginx, 'POST',
                '/api/v1/voice-tokens', { token: fleet.platformToken(),
                    body: { user_id: user, guild_id: id,
                        channel_id: channels[0].id, session_id: 'own' } });

            assert.equal(r.status, 200, JSON.stringify(r.body));

            const m = new Member(fleet.at(r.body.endpoint).nginx, { user,
                guild: id, channel: channels[0].id, session: 'own' });

            m.token = r.body.token;
            await m.identify();
            await m.leave();
        });

    test('without an agent known guilds take joins, others are refused',
        async () => {
            const [a] = fleet.nodes;
            const { id, channels } = GUILDS[31];
            const one = await Traveller.join(fleet, a, GUILD, CHANNEL.lounge);

            await a.agent.end('SIGKILL');
            await until('the agent to be missed', async () => {
                const g = await GatewayClient.login(a.nginx,
                    { user: newUser() });
                const from = g.mark;

                g.voice(id, channels[0].id);
                await g.state(g.user, (d) => d.channel_id === null, { from });
                await g.close();

                return a.nginx.logLines(/no server: no discovery agent/)
                    .length > 0;
            }, 15000);

            const two = await Traveller.join(fleet, a, GUILD, CHANNEL.lounge);

            await two.voice.knows(one.voice);
            assert.equal((await rest(a.nginx, 'POST', '/api/v1/voice-tokens',
                { token: fleet.platformToken(), body: { user_id: newUser(),
                    guild_id: id, channel_id: channels[0].id,
                    session_id: 'own' } })).status, 503);

            await fleet.startAgent(a);
            await until('the agent to be back', () =>
                /state UP/.test(a.agent.text), 15000);
            const three = await Traveller.join(fleet, a, id, channels[0].id);

            await leave(one, two, three);
        });

    test('workers die and nginx reloads: others see all that happens',
        async () => {
            const [a, b] = fleet.nodes;
            const watcher = await GatewayClient.login(b.nginx,
                { user: newUser() });
            const meet = async () => {
                const one = await Traveller.join(fleet, a, GUILD,
                    CHANNEL.lounge);

                await watcher.state(one.user, undefined, { ms: 15000 });
                await one.leave();
                await watcher.state(one.user, (d) => d.channel_id === null,
                    { ms: 15000 });
            };

            await meet();
            for (const pid of a.nginx.workers()) {
                process.kill(pid, 'SIGKILL');
            }
            await until('new workers', () => a.nginx.responds(), 10000);
            await meet();
            await a.nginx.reload();
            await meet();
            await watcher.close();
        });

    test('a client that has lost its server has it looked after',
        async () => {
            const one = await Traveller.join(fleet, fleet.nodes[1], GUILD,
                CHANNEL.lounge);

            one.gateway.say(GW.VOICE_PING, null);
            await until('the agent to be asked', () =>
                fleet.nodes[1].nginx.logLines(
                    /a client has lost the voice server of guild/).length);
            await one.leave();
        });

    test('a guild that is changed at one node is so at all others',
        async (t) => {
            const [a, b, c] = fleet.nodes;
            const id = '79000000000000000';
            const room = '79000000000000001';
            const other = newUser();
            const api = (node, method, body, path = `guilds/${id}`) =>
                rest(node.nginx, method, `/api/v1/${path}`,
                    { token: fleet.platformToken(), body });
            const everybody = (mask) => [{ id, name: '@everyone',
                permissions: String(mask) }];
            const allowed = PERM.VIEW | PERM.CONNECT | PERM.SPEAK;
            const claims = { guilds: [id] };
            const watcher = await GatewayClient.login(b.nginx,
                { user: other, token: fleet.userToken(other, claims) });

            assert.equal((await api(a, 'PUT', { name: 'Made at run time',
                owner_id: USER.owner, roles: everybody(allowed),
                channels: [{ id: room, name: 'room', type: 2 }],
                members: [] })).status, 201);
            await watcher.event('GUILD_CREATE', (d) => d.id === id
                && !d.unavailable);

            /* it can be used there, and the third node sees who is in it */

            watcher.voice(id, room);
            await watcher.event('VOICE_SERVER_UPDATE',
                (d) => d.guild_id === id);

            const start = now();
            const name = (n) => api(a, 'PATCH', { name: n });

            assert.equal((await name('Another')).status, 200);
            await watcher.event('GUILD_UPDATE', (d) => d.name === 'Another');
            say(t, `told at the other node after ${(now() - start).toFixed(0)} `
                + 'ms');
            assert.equal((await api(c, 'PATCH', { channels: [
                { id: room, name: 'room', type: 2 },
                { id: `${room}0`, name: 'second', type: 2 }] })).status, 200);
            await watcher.event('CHANNEL_CREATE', (d) => d.id === `${room}0`);

            /* who may not be there any more is put out by its own node */

            const from = watcher.mark;

            assert.equal((await api(a, 'PATCH',
                { roles: everybody(PERM.VIEW) })).status, 200);
            await watcher.state(other, (d) => d.channel_id === null,
                { from });

            /* two at once: all come to the same one */

            const texts = async () => Promise.all(fleet.nodes.map(
                async (n) => (await api(n, 'GET')).bytes.toString()));

            for (let i = 0; i < 5; i++) {
                await Promise.all([api(a, 'PATCH', { name: `a ${i}` }),
                    api(b, 'PATCH', { name: `b ${i}` }),
                    api(c, 'PATCH', { name: `c ${i}` })]);
            }
            await until('one guild at all nodes', async () =>
                new Set(await texts()).size === 1, 20000, 100);
            assert.match((await texts())[0], /"name":"[abc] 4"/);

            /* a node that knows of nothing is told, also of what is old */

            const quiet = 'guilds/79000000000000010';

            assert.equal((await api(b, 'PUT', { name: 'Quiet',
                owner_id: USER.owner, members: Array.from({ length: 4000 },
                    (_, i) => ({ user: { id: String(5000 + i),
                        username: `Member number ${i}`.padEnd(32, '.') } }))
            }, quiet)).status, 201);
            await until('the other guild', async () =>
                (await api(a, 'GET', null, quiet)).status === 200
                && (await api(c, 'GET', null, quiet)).status === 200);
            await c.nginx.quit();
            rmSync(join(c.nginx.dir, 'main.zone.guilds'));
            assert.equal((await api(a, 'PATCH',
                { name: 'Meanwhile' })).status, 200);
            await c.nginx.launch();
            await until('the guilds at the node that is back', async () =>
                /Meanwhile/.test((await texts())[2])
                && (await api(c, 'GET', null, quiet)).status === 200, 30000,
            100);

            assert.equal((await api(c, 'DELETE')).status, 204);
            await watcher.event('GUILD_DELETE', (d) => d.id === id);
            await until('no such guild', async () => (await api(a, 'GET'))
                .status === 404, 10000);
            await watcher.close();
        });

    test('a node is believed about its own users only', async () => {
        const [a, b, c] = fleet.nodes;
        const one = await Traveller.join(fleet, a, GUILD, CHANNEL.lounge);
        const { e: boot } = await fleet.registered(c);
        const post = (body, key = fleet.peerKey, when = Date.now()) => {
            const text = JSON.stringify(body);
            const s = Math.floor(when / 1000);
            const mac = createHmac('sha256', key).update(`${s}\n${text}`)
                .digest('hex');

            return rest(b.nginx, 'POST', '/peer', { body: text,
                headers: key ? { 'X-Voice-Peer': `${s}.${mac}` } : {} });
        };

        /* the node has told of a user, who is gone */
        await leave(await Traveller.join(fleet, c, GUILD, CHANNEL.lounge));

        const seq = await until('the node to have told', async () => {
            const { body } = await post({ v: 1, from: c.name, boot });

            return body.seq !== '0' && body.seq;
        });
        const lie = { v: 1, from: c.name, boot, sync: 3, seq,
            states: [{ g: GUILD, u: one.user, c: CHANNEL.studio, s: 'x',
                f: 0 }] };

        assert.equal((await post(lie, 'another key')).status, 403);
        assert.equal((await post(lie, fleet.peerKey,
            Date.now() - 600000)).status, 403);
        assert.equal((await rest(b.nginx, 'POST', '/peer',
            { body: lie })).status, 403);

        /* without a proof it is refused before its body comes */
        const waiting = request({ host: '127.0.0.1', port: b.nginx.http,
            path: '/peer', method: 'POST', agent: false,
            headers: { 'Content-Length': 1000000 } });

        waiting.on('error', () => {});
        waiting.flushHeaders();

        const [answer] = await within('the refusal', once(waiting,
            'response'));

        assert.equal(answer.statusCode, 403);
        waiting.destroy();
        assert.equal((await post({ ...lie, from: 'nobody' })).status, 409);
        assert.equal((await post({ ...lie, boot: '00' })).status, 409);
        assert.equal((await post({ ...lie, v: 2 })).status, 400);

        const r = await post(lie);

        assert.equal(r.status, 200);
        assert.equal(r.body.refused, 1);

        const old = await post({ ...lie, seq: String(BigInt(seq) - 1n) });

        assert.equal(old.status, 200);
        assert.equal(old.body.sync, true, 'a repeated sync is passed over');
        assert.equal(old.body.refused, 0);

        /* more states than there is room for: the rest waits, which is said */

        const crowd = (part) => Array.from({ length: 1000 }, (_, i) => ({
            g: GUILD, u: String(880000 + part * 1000 + i),
            c: CHANNEL.studio, s: 'x', f: 0 }));
        const full = () => b.nginx.metric('peer_refused', 'reason="zone_full"');

        await until('a zone that is full', async () => {
            const parts = Array.from({ length: 6 }, (_, i) => i);
            const at = (await post({ v: 1, from: c.name, boot })).body.seq;

            for (const i of parts) {
                await post({ v: 1, from: c.name, boot, seq: at,
                    sync: (i === 0 ? 1 : 0) + (i === 5 ? 2 : 0),
                    states: crowd(i) });
            }

            return await full() > 0;
        }, 20000);
        assert.ok(b.nginx.logLines(/find no room: all \d+ of the zone/).length);

        /* the node itself puts right what is said there of its users */

        await until('room again', async () => (await rest(b.nginx, 'GET',
            `/api/v1/guilds/${GUILD}/voice-states`,
            { token: fleet.platformToken() })).body.length === 1, 30000, 200);
        b.nginx.options.allow.push(/find no room/);

        const watcher = await GatewayClient.login(b.nginx,
            { user: newUser() });
        const guild = await watcher.event('GUILD_CREATE',
            (d) => d.id === GUILD);

        assert.equal(guild.voice_states.find((s) => s.user_id
            === one.user).channel_id, CHANNEL.lounge);
        await watcher.close();
        await one.leave();
    });
});


test('voice_peer without a cluster is refused at the start', () =>
    assert.rejects(Nginx.start({
        server: 'location = /peer { voice_peer; }' }),
    /"voice_peer" in location "\/peer" needs a "voice_cluster" directive/));


/* Two who talk, by the gateways of nodes that don't serve them. */
async function callAway(fleet) {
    const first = await Traveller.join(fleet, fleet.nodes[0], GUILD,
        CHANNEL.lounge);
    const [a, b] = fleet.nodes.filter((n) => n !== first.at);

    await first.leave();
    await until('the first one to be gone', async () =>
        !(await rest(a.nginx, 'GET', `/api/v1/guilds/${GUILD}/voice-states`,
            { token: fleet.platformToken() })).body.length);

    const one = await Traveller.join(fleet, a, GUILD, CHANNEL.lounge);
    const two = await Traveller.join(fleet, b, GUILD, CHANNEL.lounge);

    await converse(one, two);

    return [one, two];
}


describe('failure and moves', () => {
    let fleet;

    before(async () => {
        fleet = await Fleet.start({ ttl: 3, tls: true,
            nodes: ['ams', 'ber', 'cdg', 'far'].map((name) => ({ name,
                region: name === 'far' ? 'far' : 'main' })),
            agent: { fleet: { drain_after: 0, drain_percent: 50 } } });
    });

    after(() => fleet?.stop());

    test('a certificate is of the node that it names', async () => {
        const [a, b, c] = fleet.nodes;
        const { e: boot } = await fleet.registered(a);
        const own = (node) => ['cert.key', 'cert.pem'].map((file) =>
            readFileSync(join(node.nginx.dir, file)));
        const refused = () => b.nginx.metric('peer_refused', 'reason="name"');

        /* as node a: { status, body } */
        const say = async ([key, cert] = []) => {
            const r = secure({ host: '127.0.0.1', port: b.nginx.https,
                path: '/peer', method: 'POST', agent: false, key, cert,
                ca: b.nginx.ca });

            r.end(JSON.stringify({ v: 1, from: a.name, boot }));

            const [answer] = await within('the answer', once(r, 'response'));

            return { status: answer.statusCode,
                text: (await answer.toArray()).join('') };
        };
        const said = async (...args) => (await say(...args)).status;

        assert.equal(await said(own(a)), 200);
        assert.equal(await said(), 403);

        const lie = await say(own(c));

        assert.equal(lie.status, 403);
        assert.match(lie.text, /its certificate is of another name/);
        for (let i = 0; i < 9; i++) {
            await said(own(c));
        }
        assert.equal(await refused(), 10);
        assert.equal(b.nginx.logLines(
            /states of node "ams" are refused: the client certificate/)
            .length, 1, 'it is said once, not each time');

        /* the CN counts where there is nothing better */

        assert.equal(await said(b.nginx.issue('/CN=ams')), 200);
        assert.equal(await said(b.nginx.issue('/CN=cdg')), 403);
        assert.equal(await said(b.nginx.issue('/CN=ams', 'DNS:cdg')), 403);
        assert.equal(await said(b.nginx.issue('/O=x', 'DNS:cdg,DNS:ams')),
            200);
        assert.equal(await said(b.nginx.issue('/O=x', 'DNS:am*')), 403);
        assert.equal(await said(b.nginx.issue('/O=x')), 403);
        assert.equal(await refused(), 14);

        /* an authority that nobody knows, and nothing of it is heard */

        const other = new Nginx({});

        try {
            await other.configure();
            assert.equal(await said(other.issue('/CN=ams', 'DNS:ams')), 400);
        } finally {
            await other.abandon();
        }
    });

    test('etcd is away: not a packet is lost, and known guilds take joins',
        async (t) => {
            const [one, two] = await callAway(fleet);
            const start = now();

            await fleet.etcd.kill();
            await until('agents without etcd', () => fleet.nodes.every((n) =>
                /state UNSURE/.test(n.agent.text)), 20000);

            const three = await Traveller.join(fleet, fleet.nodes[0], GUILD,
                CHANNEL.lounge);

            await three.voice.knows(one.voice);
            await three.leave();

            const lost = [[one, two], [two, one]].flatMap(([a, b]) =>
                a.voice.faults(b.voice, { from: 10,
                    to: b.voice.sent - 50 }));

            assert.deepEqual(lost, []);
            assert.equal(one.voices.length + two.voices.length, 2);
            say(t, `${((now() - start) / 1000).toFixed(1)} s without etcd, `
                + 'nothing lost');

            await fleet.etcd.run();
            await until('etcd is back', () => fleet.nodes.every((n) =>
                n.agent.text.lastIndexOf('state UP')
                    > n.agent.text.lastIndexOf('state UNSURE')), 20000);
            await leave(one, two);
        });

    test('a server that drains is left without a break', async (t) => {
        const [one, two] = await callAway(fleet);
        const old = one.at;
        const start = now();

        await fleet.order(old, 'drain');
        await until('both at another server', () => [one, two].every((m) =>
            m.at !== old), 20000);
        await until('voice there', () => [one, two].every((m) =>
            m.voice.packets.length > 10));
        assert.equal(one.at, two.at);
        say(t, `moved after ${(one.servers.at(-1).at - start).toFixed(0)} ms; `
            + 'longest pause '
            + `${Math.max(one.silence(start), two.silence(start)).toFixed(0)} `
            + 'ms');
        assert.ok([one, two].every((m) => m.servers.every(
            (s) => s.endpoint !== null)), 'no server was taken away');
        assert.ok(Math.max(one.silence(start), two.silence(start)) < 2000);
        await fleet.allow(old);
        await leave(one, two);
    });

    test('another region takes a guild along, and the old server lets go',
        async (t) => {
            const [one, two] = await callAway(fleet);
            const [a] = fleet.nodes;
            const stays = await GatewayClient.login(a.nginx,
                { user: newUser() });

            /* one who does not follow */

            stays.voice(GUILD, CHANNEL.lounge);

            const { endpoint, token } = await stays.event(
                'VOICE_SERVER_UPDATE');
            const member = new Member(fleet.at(endpoint).nginx,
                { user: stays.user, guild: GUILD, channel: CHANNEL.lounge,
                    session: stays.session });

            member.token = token;
            await member.identify();

            const start = now();
            const patch = (path, body, token = fleet.userToken(USER.owner)) =>
                rest(a.nginx, 'PATCH', path, { token, body });
            const region = (name) => patch(`channels/${CHANNEL.lounge}`,
                { rtc_region: name });

            const { body: regions } = await rest(a.nginx, 'GET',
                'voice/regions', { token: fleet.userToken(USER.member) });

            assert.deepEqual(regions.map((r) => [r.id, r.optimal]).sort(),
                [['far', false], ['main', true]]);

            /* what is not there, and who may not */
            for (const [r, field] of [
                [await region('nowhere'), 'rtc_region'],
                [await region(5), 'rtc_region'],
                [await patch(`channels/${CHANNEL.lounge}`, {}), 'rtc_region'],
                [await patch(`guilds/${GUILD}`, { region: 'x'.repeat(99) }),
                    'region'],
                [await patch(`/api/v1/guilds/${GUILD}`, { region: 'nowhere' },
                    fleet.platformToken()), 'region']
            ]) {
                assert.equal(r.status, 400);
                assert.equal(r.body.code, 50035);
                assert.match(r.body.errors[field]._errors[0].message,
                    /is expected/);
            }
            for (const path of [`channels/${CHANNEL.lounge}`,
                `guilds/${GUILD}`])
            {
                const r = await patch(path, { region: 'far',
                    rtc_region: 'far' }, fleet.userToken(USER.member));

                assert.deepEqual([r.status, r.body.code], [403, 50013]);
            }
            assert.equal((await patch(`channels/${CHANNEL.text}`,
                { rtc_region: 'far' })).status, 400);

            const { status, body } = await region('far');

            assert.equal(status, 200);
            assert.equal(body.rtc_region, 'far');
            await until('both at the far server', () => [one, two].every(
                (m) => m.at.name === 'far'), 20000);
            await until('voice there', () => [one, two].every((m) =>
                m.voice.packets.length > 10));
            say(t, 'longest pause '
                + `${Math.max(one.silence(start), two.silence(start))
                    .toFixed(0)} ms`);

            const closed = await member.whenClosed(20000);

            assert.equal(closed.code, 4006);
            assert.ok(now() - start > 9000, 'it went on for a while');
            member.destroy();
            await stays.close();
            assert.equal((await region(null)).status, 200);
            await until('both back', () => [one, two].every((m) =>
                m.at.name !== 'far'), 20000);
            await leave(one, two);
        });

    test('a server that is lost is replaced without any doing of users',
        async (t) => {
            const [one, two] = await callAway(fleet);
            const old = one.at;
            const bot = await Bot.login(two.node.nginx, 'discordjs');
            const ctl = voicectl('call', '--gateway',
                `wss://${one.node.nginx.endpoint}/gateway`, '--ca',
                one.node.nginx.cert, '--token', fleet.userToken(newUser()),
                '--guild', GUILD, '--channel', CHANNEL.lounge, '--seconds',
                '60', '--json');

            await bot.join(GUILD, CHANNEL.lounge);
            await bot.listen(one.user);
            await until('voicectl to be in voice', async () => (await rest(
                one.node.nginx, 'GET', `/api/v1/guilds/${GUILD}/voice-states`,
                { token: fleet.platformToken() })).body.length === 4);
            await bot.heard(one.user, 10);

            const start = now();

            await fleet.kill(old);
            await until('both at another server', () => [one, two].every(
                (m) => m.at !== old), 30000);
            await until('voice there', () => [one, two].every((m) =>
                m.voice.packets.length > 10), 10000);
            assert.equal(one.at, two.at);

            /* the library and our own client are there, too */

            const before = (await bot.heard(one.user)).length;

            await until('the library to hear again', async () =>
                (await bot.heard(one.user)).length > before + 20, 20000, 100);
            await until('both at the new server', async () =>
                (await one.at.nginx.status()).sessions.live >= 4, 10000);
            await until('more voice', () => one.voice.packets.length > 50);
            ctl.kill('SIGINT');

            const r = await ctl.json();

            assert.equal(r.servers, 1);
            say(t, `silence: ${one.silence(start).toFixed(0)} and `
                + `${two.silence(start).toFixed(0)} ms, voicectl `
                + `${r.silence_ms.toFixed(0)} ms`);
            assert.ok(one.silence(start) < 15000);
            await bot.end();
            await leave(one, two);
        });
});
