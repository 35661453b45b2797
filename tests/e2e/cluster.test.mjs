/*
 * Copyright (C) ngx-voice contributors
 *
 * Several nodes are one service: nginx, agents and etcd as they are in the
 * field, on loopback.  What is measured is printed; bounds are generous, for
 * this may run on a loaded machine.
 */

import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { after, before, describe, test } from 'node:test';

import { Fleet, Traveller } from './lib/fleet.mjs';
import { CHANNEL, GUILD, GW, GatewayClient, OTHER_GUILD, PERM, USER, rest }
    from './lib/gateway.mjs';
import { Member, newUser } from './lib/member.mjs';
import { now, until } from './lib/wait.mjs';


const FIRST = 70000000000000000n;

/* Guilds that nobody has used yet. */
const fresh = (n) => Array.from({ length: n }, (_, i) => {
    const id = String(FIRST + BigInt(i) * 10n);

    return { id, name: `Guild ${i}`, owner_id: USER.owner,
        roles: [{ id, name: '@everyone',
            permissions: String(PERM.VIEW | PERM.CONNECT | PERM.SPEAK) }],
        channels: [{ id: String(BigInt(id) + 1n), name: 'room', type: 2 }],
        members: [] };
});

const say = (t, text) => t.diagnostic(text);

const rank = (list, p) => [...list].sort((a, b) => a - b)[
    Math.min(list.length - 1, Math.floor(list.length * p))];

const leave = (...members) => Promise.all(members.map((m) => m.leave()));


describe('three nodes', () => {
    const GUILDS = fresh(40);
    let fleet;

    before(async () => {
        fleet = await Fleet.start({ nodes: 3, more: GUILDS });
    });

    after(() => fleet?.stop());

    test('members come by different nodes and meet at one', async () => {
        const [a, b, c] = fleet.nodes;
        const one = await Traveller.join(fleet, a, GUILD, CHANNEL.lounge);
        const two = await Traveller.join(fleet, b, GUILD, CHANNEL.lounge);
        const watcher = await GatewayClient.login(c.nginx,
            { user: newUser() });

        assert.equal(one.at, two.at);
        assert.equal((await fleet.assignment(GUILD)).node, one.at);
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

    test('a node is believed about its own users only', async () => {
        const [a, b, c] = fleet.nodes;
        const one = await Traveller.join(fleet, a, GUILD, CHANNEL.lounge);
        const { boot } = await c.nginx.status();
        const post = (body, key = fleet.peerKey, when = Date.now()) => {
            const text = JSON.stringify(body);
            const s = Math.floor(when / 1000);
            const mac = createHmac('sha256', key).update(`${s}\n${text}`)
                .digest('hex');

            return rest(b.nginx, 'POST', '/peer', { body: text,
                headers: key ? { 'X-Voice-Peer': `${s}.${mac}` } : {} });
        };

        /* by whose boot id another node pushes is seen at the third */

        const record = JSON.parse(Buffer.from((await fleet.ask('kv/range',
            { key: Buffer.from(`rv1/test/n/${c.name}`).toString('base64') }))
            .kvs[0].value, 'base64'));
        const lie = { v: 1, from: c.name, boot: record.e, sync: 3, seq: '7',
            states: [{ g: GUILD, u: one.user, c: CHANNEL.studio, s: 'x',
                f: 0 }] };

        assert.ok(boot === undefined || boot);
        assert.equal((await post(lie, 'another key')).status, 403);
        assert.equal((await post(lie, fleet.peerKey,
            Date.now() - 600000)).status, 403);
        assert.equal((await rest(b.nginx, 'POST', '/peer',
            { body: lie })).status, 403);
        assert.equal((await post({ ...lie, from: 'nobody' })).status, 409);
        assert.equal((await post({ ...lie, boot: '00' })).status, 409);
        assert.equal((await post({ ...lie, v: 2 })).status, 400);

        const r = await post(lie);

        assert.equal(r.status, 200);
        assert.equal(r.body.refused, 1);

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
