/*
 * Copyright (C) ngx-voice contributors
 *
 * A fleet under an operator's hands: nodes drain, one after the other, are
 * stopped, started anew and taken back, while people talk.
 */

import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';

import { Fleet, Traveller } from './lib/fleet.mjs';
import { GatewayClient, PERM, USER } from './lib/gateway.mjs';
import { newUser } from './lib/member.mjs';
import { voicectl } from './lib/voicectl.mjs';
import { now, until } from './lib/wait.mjs';


const GUILDS = Array.from({ length: 12 }, (_, i) => {
    const id = String(71000000000000000n + BigInt(i) * 10n);

    return { id, name: `Guild ${i}`, owner_id: USER.owner,
        roles: [{ id, name: '@everyone',
            permissions: String(PERM.VIEW | PERM.CONNECT | PERM.SPEAK) }],
        channels: [{ id: String(BigInt(id) + 1n), name: 'room', type: 2 }],
        members: [] };
});

const room = (guild) => String(BigInt(guild) + 1n);

let fleet;

before(async () => {
    fleet = await Fleet.start({ ttl: 3, more: GUILDS,
        nodes: ['ams', 'ber', 'cdg'].map((name) => ({ name })),
        agent: { fleet: { drain_rate: 10 }, load: { period_ms: 300 } } });
});

const callers = new Set();

after(async () => {
    callers.forEach((ctl) => ctl.kill('SIGKILL'));
    await fleet?.stop();
});


/* As the operator of a node types it. */
const cluster = (node, ...args) => voicectl('cluster', ...args, '--config',
    join(node.dir, 'agent.json'));

async function done(node, ...args) {
    const r = await cluster(node, ...args).ended;

    assert.equal(r.code, 0, `${args.join(' ')}: ${r.stderr}`);

    return r.stdout;
}

const states = async (node) => Object.fromEntries(
    (await cluster(node, 'nodes', '--json').json()).nodes.map((n) =>
        [n.name, n.state]));

const place = (node, guild) => until(`guild ${guild} on ${node.name}`,
    async () => {
        await cluster(fleet.nodes[0], 'move', guild, node.name).ended;
        return await fleet.serves(guild) === node;
    });

/* n people in a guild, by all gateways; the first two talk. */
async function call(guild, n) {
    const people = [];

    for (let i = 0; i < n; i++) {
        people.push(await Traveller.join(fleet, fleet.nodes[i % 3], guild,
            room(guild)));
    }
    await people[0].voice.knows(people[1].voice);
    await people[1].voice.knows(people[0].voice);
    people.slice(0, 2).forEach((p) => p.talk());
    await until('all to hear', () => people.every((p) =>
        p.arrivals().length > 5));

    return people;
}

/* One who talks and listens by voicectl, for as long as it takes. */
function caller(node, guild) {
    const ctl = voicectl('call', '--gateway',
        `wss://${node.nginx.endpoint}/gateway`, '--ca', node.nginx.cert,
        '--token', fleet.userToken(newUser()), '--guild', guild, '--channel',
        room(guild), '--tone', 440, '--seconds', 120, '--json', '--verbose');

    callers.add(ctl);

    return ctl;
}

const inVoice = async (node, n) =>
    (await node.nginx.status()).sessions.live >= n;


describe('a node that drains', () => {
    test('small guilds go first, each with one short gap', async (t) => {
        const [old, other] = fleet.nodes;
        const sizes = [4, 2, 3];
        const calls = [];

        for (const [i, n] of sizes.entries()) {
            calls.push(await call(GUILDS[i].id, n));
        }

        /* one that stays, to tell what the machine does to all of them */
        const still = await call(GUILDS[3].id, 2);

        await place(other, GUILDS[3].id);
        for (const i of sizes.keys()) {
            await place(old, GUILDS[i].id);
        }
        await until('all to be there', () => calls.flat().every((p) =>
            p.at === old && p.voice.packets.length > 10));

        const watcher = await GatewayClient.login(other.nginx,
            { user: newUser() });
        const ctl = caller(other, GUILDS[1].id);

        await watcher.event('VOICE_STATE_UPDATE', (d) =>
            d.guild_id === GUILDS[1].id && d.channel_id !== null);
        await until('voicectl to talk', async () => inVoice(old, 10));
        await until('all to be counted', async () => {
            const { guilds } = await cluster(old, 'guilds', '--json').json();

            return [4, 3, 3].every((n, i) => guilds.find((g) =>
                g.guild === GUILDS[i].id).participants === n);
        });
        calls.flat().concat(still).forEach((p) => {
            p.before = p.servers.length;
        });

        const start = now();
        const said = await done(other, 'drain', old.name, '--after', '0s',
            '--wait');

        assert.match(said, /^ams: no new guilds, those it has leave now/);
        assert.match(said, /^ams: drained, 0 guilds, 0 people$/m);
        await until('all to be elsewhere', () => calls.flat().every((p) =>
            p.at !== old && p.voice.packets.length > 10));

        const end = now();
        const gap = (p) => p.silence(start, end);
        const longest = Math.max(...calls.flat().map(gap));
        const usual = Math.max(...still.map(gap));

        t.diagnostic(`longest gap ${longest.toFixed(0)} ms, of a guild that `
            + `stayed ${usual.toFixed(0)} ms`);
        assert.ok(longest < 500 + usual, `${longest} ms`);
        calls.flat().forEach((p) =>
            assert.equal(p.servers.length, p.before + 1));
        still.forEach((p) => assert.equal(p.servers.length, p.before));

        /* voicectl joined the smallest one, which has three by now */
        const keys = await fleet.etcd.list('rv1/test/a/');
        const moved = [0, 1, 2].map((i) => keys.find((kv) =>
            kv.key.endsWith(`/${GUILDS[i].id}`)).mod);

        assert.ok(moved[0] > moved[1] && moved[0] > moved[2],
            `the largest moved before another one: ${moved}`);

        ctl.kill('SIGINT');

        const r = await ctl.json();

        assert.equal(r.servers, 1);
        t.diagnostic(`voicectl: ${r.silence_ms} ms`);
        assert.ok(r.silence_ms < 500 + usual, `${r.silence_ms} ms`);

        /* shut until it is allowed again, as the node itself sees it */
        assert.equal((await states(old)).ams, 'drained');
        await until('the slot to be free', async () =>
            (await fleet.etcd.list('rv1/test/o/')).length === 0);
        assert.match(await done(other, 'allow', old.name),
            /takes guilds again/);
        await until('it to be up', async () =>
            (await states(other)).ams === 'up');

        await watcher.close();
        await Promise.all(calls.flat().concat(still).map((p) => p.leave()));
    });

    test('one at a time: the next one waits, and works on meanwhile',
        async () => {
            const [a, b, c] = fleet.nodes;
            const [one, two] = [await call(GUILDS[4].id, 2),
                await call(GUILDS[5].id, 2)];

            await place(a, GUILDS[4].id);
            await place(b, GUILDS[5].id);
            await done(c, 'drain', a.name, '--after', '1h');
            await until('the first one to drain', async () =>
                (await states(c)).ams === 'draining');

            /* who is there is joined there still, new guilds go elsewhere */
            const late = await Traveller.join(fleet, c, GUILDS[4].id,
                room(GUILDS[4].id));

            assert.equal(late.at, a);

            const wait = cluster(c, 'drain', b.name, '--after', '0s',
                '--wait');

            await until('the second one to wait', async () =>
                (await states(a)).ber === 'waiting for slot');
            assert.match(await done(c, 'nodes'),
                /^ {2}ber +waiting for slot +main /m);

            /* a drain of all has nobody refused */
            await done(c, 'drain', c.name, '--after', '1h');
            await until('the third one to wait', async () =>
                (await states(a)).cdg === 'waiting for slot');

            const fresh = await call(GUILDS[6].id, 2);

            assert.notEqual(await fleet.serves(GUILDS[6].id), a);
            await done(c, 'allow', c.name);

            /* the first drain ends: taken back */
            assert.equal(await fleet.serves(GUILDS[5].id), b);
            await done(c, 'allow', a.name);

            const r = await wait.ended;

            assert.equal(r.code, 0, r.stderr);
            assert.match(r.stdout, /^ber: waiting for slot, [1-9]/m);
            assert.match(r.stdout, /^ber: draining, [1-9]/m);
            assert.notEqual(await fleet.serves(GUILDS[5].id), b);
            assert.equal(await fleet.serves(GUILDS[4].id), a);
            await done(c, 'allow', b.name);

            /* one who waits is told when the order is taken back */
            await done(c, 'drain', a.name, '--after', '1h');

            const never = cluster(c, 'drain', a.name, '--after', '1h',
                '--wait');

            await until('the drain to go on', async () =>
                (await states(c)).ams === 'draining');
            await done(c, 'allow', a.name);

            const back = await never.ended;

            assert.equal(back.code, 1);
            assert.match(back.stderr, /"ams" does not drain any more, it is/);
            await Promise.all([...one, ...two, ...fresh, late].map((p) =>
                p.leave()));
        });
});


describe('a roll of the fleet', () => {
    /* What README says of one node. */
    async function renew(node, operator) {
        await done(operator, 'drain', node.name, '--after', '0s', '--wait');
        await node.agent.end();
        await node.nginx.quit();
        await node.nginx.launch();
        await fleet.startAgent(node);
        await until(`${node.name} to be back, and shut`, async () =>
            (await states(operator))[node.name] === 'drained', 20000);
        await done(operator, 'allow', node.name);
        await until(`${node.name} to take guilds`, async () =>
            (await states(operator))[node.name] === 'up');
    }

    test('calls go on, with one gap for each time their node is renewed',
        async (t) => {
            const guilds = GUILDS.slice(8, 11).map((g) => g.id);
            const ring = [];
            const moves = {};

            for (const [i, guild] of guilds.entries()) {
                ring.push({ guild, ctl: caller(fleet.nodes[i], guild) },
                    { guild, ctl: caller(fleet.nodes[(i + 1) % 3], guild) });
                moves[guild] = 0;
            }
            await until('all to be in voice', () => ring.every((c) =>
                /^joined: /m.test(c.ctl.stderr)), 20000);
            for (const [i, guild] of guilds.entries()) {
                await place(fleet.nodes[i], guild);
            }
            await until('all to have followed', () => ring.every((c) => {
                const servers = [...c.ctl.stderr.matchAll(
                    /voice server (\S+)$/mg)].map((m) => m[1]);
                const node = fleet.nodes[guilds.indexOf(c.guild)];

                return servers.at(-1) === node.nginx.endpoint
                    && c.ctl.stderr.match(/^joined: /mg).length
                        === servers.length;
            }), 20000);
            ring.forEach((c) => {
                c.joined = c.ctl.stderr.match(/^joined: /mg).length;
            });

            for (const node of fleet.nodes) {
                for (const guild of guilds) {
                    moves[guild] += await fleet.serves(guild) === node;
                }
                await renew(node, fleet.nodes.find((n) => n !== node));
            }
            assert.ok(Object.values(moves).every((n) => n >= 1));

            await until('all to have followed', () => ring.every((c) =>
                c.ctl.stderr.match(/^joined: /mg).length
                    >= c.joined + moves[c.guild]));
            ring.forEach((c) => c.ctl.kill('SIGINT'));

            const silences = [];

            for (const c of ring) {
                const r = await c.ctl.json();

                silences.push(r.silence_ms);
                assert.equal(r.gateway_sessions, 1);
                assert.equal(c.ctl.stderr.match(/^joined: /mg).length,
                    c.joined + moves[c.guild], c.ctl.stderr);
                assert.ok(r.received > 100, JSON.stringify(r));
            }
            t.diagnostic(`longest gaps: ${silences.join(', ')} ms`);
            assert.ok(Math.max(...silences) < 2000);
        });
});
