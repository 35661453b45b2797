/*
 * Copyright (C) ngx-voice contributors
 *
 * etcd fails while people talk, in all the ways it can: not a packet is
 * lost, nobody moves, and joins go on.
 */

import assert from 'node:assert/strict';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';

import { withCall } from './lib/call.mjs';
import { Fleet, Traveller } from './lib/fleet.mjs';
import { GatewayClient, plainGuilds } from './lib/gateway.mjs';
import { newUser } from './lib/member.mjs';
import { now, until } from './lib/wait.mjs';


const GUILDS = plainGuilds(20);

const marks = (fleet) => fleet.nodes.map((n) => n.agent.text.length);

const ups = (fleet, from) => Promise.all(fleet.nodes.map((n, i) =>
    fleet.isUp(n, from[i])));

/* All agents say that they can't be sure. */
const unsure = (fleet, from) => until('agents that are UNSURE', () =>
    fleet.nodes.every((n, i) => /state UNSURE/.test(
        n.agent.text.slice(from[i]))), 30000);

/* Somebody comes to a guild, by each of these nodes, and goes again. */
async function joins(fleet, guild, nodes = fleet.nodes) {
    const all = [];

    for (const node of nodes) {
        all.push(await Traveller.join(fleet, node, guild.id,
            guild.channels[0].id));
    }

    const places = all.map((one) => one.at);

    await Promise.all(all.map((one) => one.leave()));
    assert.ok(places.every((p) => p === places[0]), 'two servers');

    return places[0];
}


describe('one etcd', () => {
    let fleet, a, b, c;

    before(async () => {
        fleet = await Fleet.start({ ttl: 3, more: GUILDS, ways: true,
            args: ['--quota-backend-bytes', String(16 << 20)] });
        [a, b, c] = fleet.nodes;
    });

    after(() => fleet?.stop());

    /* A call on one node, by the gateways of the others. */
    const calls = (n, body) => withCall(fleet, { guild: GUILDS[n], on: a,
        by: [b, c] }, async (call) => {
        const were = await fleet.assignments();
        const result = await body(call, GUILDS[n]);
        const are = await fleet.assignments();

        for (const guild of Object.keys(were)) {
            if (are[guild] || guild === GUILDS[n].id) {
                assert.equal(are[guild][0], were[guild][0], 'nobody moves');
            }
        }
        await call.isTogether();
        await call.endsUnbroken();

        return result;
    });

    test('killed for 15 s: calls and joins go on, new guilds are settled',
        async (t) => {
            await calls(0, async (call, guild) => {
                const from = marks(fleet);
                const start = now();

                await fleet.etcd.kill();
                await joins(fleet, guild);
                await unsure(fleet, from);
                await joins(fleet, guild);

                /* a new guild: all nodes come to the same answer */

                const place = await joins(fleet, GUILDS[1]);

                await delay(Math.max(0, start + 15000 - now()));
                await joins(fleet, guild);
                await call.heard(10);
                t.diagnostic(`${(now() - start).toFixed(0)} ms without etcd`);

                await fleet.etcd.run();
                await ups(fleet, from);
                assert.equal(await until('the new guild to be assigned', () =>
                    fleet.serves(GUILDS[1].id), 15000), place);
                await fleet.agree();
            });
        });

    test('full: known guilds take joins, then it has room again',
        async () => {
            const { etcd } = fleet;

            await calls(2, async (call, guild) => {
                const text = 'x'.repeat(1 << 20);

                await assert.rejects(async () => {
                    for (let i = 0; i < 40; i++) {
                        await etcd.put(`other/${i}`, text);
                    }
                }, /space exceeded/);

                /* longer than a lease: it is kept all the same */

                const end = now() + 4000;

                while (now() < end) {
                    await joins(fleet, guild);
                    await call.heard(20);
                }
                for (const node of fleet.nodes) {
                    assert.ok(await fleet.isRegistered(node));
                    assert.ok(!/lease is lost/.test(node.agent.text));
                }

                await etcd.delete('other/');
                await etcd.compact();
                await etcd.call('maintenance/defragment', {});
                for (const { memberID, alarm } of (await etcd.call(
                    'maintenance/alarm', {})).alarms)
                {
                    await etcd.call('maintenance/alarm',
                        { action: 'DEACTIVATE', memberID, alarm });
                }
                await joins(fleet, GUILDS[3]);
                assert.ok(await fleet.serves(GUILDS[3].id));
            });
        });

    test('its data lost: nobody moves, and those who come are let in',
        async () => {
            const { etcd } = fleet;

            await Promise.all(Array.from({ length: 200 }, (_, i) =>
                etcd.put(`other/${i}`, 'x')));
            await calls(6, async (call, guild) => {
                const { [guild.id]: [, before] } = await fleet.assignments();
                const from = marks(fleet);

                await joins(fleet, guild);
                await etcd.kill();
                rmSync(join(etcd.dir, 'data'), { recursive: true });
                await etcd.run();
                await ups(fleet, from);
                await until('the guild to be assigned', () =>
                    fleet.serves(guild.id), 20000, 50);

                const { [guild.id]: [, after] } = await fleet.assignments();

                assert.ok(after < before, 'revisions begin anew');
                await fleet.agree();
                assert.equal((await joins(fleet, guild)).name, a.name);
                assert.equal((await joins(fleet, guild)).name, a.name);

                /* who has no calls comes after those who have */

                const g = await GatewayClient.login(b.nginx,
                    { user: newUser() });

                await until('a first join', () => {
                    g.voice(GUILDS[7].id, GUILDS[7].channels[0].id);

                    return fleet.serves(GUILDS[7].id);
                }, 20000, 500);
                await g.close();
                await joins(fleet, GUILDS[7]);
                await call.heard(10);
            });
        });

    test('its watches silently dead: others are begun', async (t) => {
        await calls(4, async () => {
            const from = marks(fleet);
            const start = now();

            for (const { ways: [way] } of fleet.nodes) {
                assert.equal(way.silence((p) => p.marked).length, 1);
            }
            await until('other watches', () => fleet.nodes.every((n, i) =>
                /load report did not come back/.test(
                    n.agent.text.slice(from[i]))), 20000);
            t.diagnostic(`noticed after ${(now() - start).toFixed(0)} ms`);
            await fleet.assign(GUILDS[5].id, c);
            await fleet.agree();
            assert.equal(await joins(fleet, GUILDS[5]), c);
        });
    });
});


describe('an etcd of three', () => {
    let fleet, a, b, c;

    before(async () => {
        fleet = await Fleet.start({ ttl: 3, more: GUILDS, members: 3 });
        [a, b, c] = fleet.nodes;
    });

    after(() => fleet?.stop());

    async function leader() {
        const leads = await Promise.all(fleet.members.map((e) =>
            e.leads().catch(() => false)));

        return fleet.members[leads.indexOf(true)];
    }

    /* The leader fails while people talk, comes back, and nobody moved. */
    async function without(n, fail, back) {
        await withCall(fleet, { guild: GUILDS[n], on: a, by: [b, c] },
            async (call) => {
                const were = await fleet.assignments();
                const gone = await until('a leader', leader, 20000);

                fleet.etcd = fleet.members.find((e) => e !== gone);
                await fail(gone);
                await joins(fleet, GUILDS[n]);

                /* one that is new waits, if need be */

                await until('a new guild to be served', () => joins(fleet,
                    GUILDS[n + 1], [b]).catch(() => false), 30000, 100);
                await back(gone);
                await until('all members to agree', async () => (await
                Promise.all(fleet.members.map((e) => e.call(
                    'maintenance/status', {}).then((r) => r.leader,
                    () => undefined)))).every((l, i, all) =>
                    l && l === all[0]), 20000, 50);
                await until('all nodes to be registered', async () =>
                    (await Promise.all(fleet.nodes.map((x) =>
                        fleet.isRegistered(x)))).every(Boolean), 20000, 50);
                await fleet.agree();

                const are = await fleet.assignments();

                for (const guild of Object.keys(were)) {
                    assert.deepEqual(are[guild], were[guild], 'it stayed');
                }
                await call.isTogether();
                await call.endsUnbroken();
            });
    }

    test('its leader killed', () => without(0, (e) => e.kill(),
        (e) => e.run()));

    test('its leader frozen', () => without(2, (e) => e.signal('SIGSTOP'),
        (e) => e.signal('SIGCONT')));

    test('all of it frozen beyond every lease: nothing moves', async () => {
        await withCall(fleet, { guild: GUILDS[4], on: a, by: [b, c] },
            async (call) => {
                const were = await fleet.assignments();
                const from = marks(fleet);

                fleet.members.forEach((e) => e.signal('SIGSTOP'));
                await unsure(fleet, from);
                assert.equal(await joins(fleet, GUILDS[4]), a);
                await delay(1000);
                fleet.members.forEach((e) => e.signal('SIGCONT'));
                await ups(fleet, from);
                await until('all nodes to be registered', async () =>
                    (await Promise.all(fleet.nodes.map((x) =>
                        fleet.isRegistered(x)))).every(Boolean), 20000, 50);
                await fleet.agree();
                assert.deepEqual(await fleet.assignments(), were);
                await call.isTogether();
                await call.endsUnbroken();
            });
    });
});
