/*
 * Copyright (C) ngx-voice contributors
 *
 * A server goes, and many clients are told of another one: not all at once.
 */

import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';

import { Fleet } from './lib/fleet.mjs';
import { GatewayClient, plainGuilds } from './lib/gateway.mjs';
import { newUser } from './lib/member.mjs';
import { voicectl } from './lib/voicectl.mjs';
import { now, until } from './lib/wait.mjs';


/* 2000 a second of 20 nodes: 100 at once, then 100 a second */
const NODES = 20;
const GUILDS = plainGuilds(60);
const MEMBERS = 5;                     /* of each */


/* Nodes that there are in etcd alone, in a pool that nobody asks for. */
async function crowd(fleet) {
    const { peer, probe, ...node } = await fleet.registered(fleet.nodes[0]);

    await fleet.etcd.fill(Array.from({ length: NODES - fleet.nodes.length },
        (_, i) => [`rv1/test/n/crowd${i}`,
            { ...node, e: `crowd${i}`, hid: `crowd${i}`, pool: 'q' }]));
    for (const { dir } of fleet.nodes) {
        await until('all nodes to be known', async () =>
            (await voicectl('cluster', 'nodes', '--json', '--config',
                join(dir, 'agent.json')).json()).nodes.filter((n) =>
                n.state === 'up').length === NODES);
    }
}


async function joined(node, guild) {
    const client = await GatewayClient.login(node.nginx, { user: newUser() });
    const from = client.mark;

    client.voice(guild.id, guild.channels[0].id);
    await client.messages.find((m) => m.t === 'VOICE_SERVER_UPDATE',
        { from, what: `a server for guild ${guild.id}` });

    return client;
}


test('of many guilds whose server goes, clients are told one after the other',
    async (t) => {
        const fleet = await Fleet.start({ nodes: 2, more: GUILDS });
        const [a, b] = fleet.nodes;

        try {
            await crowd(fleet);
            for (const { id } of GUILDS) {
                await fleet.assign(id, b);
            }

            const clients = await Promise.all(GUILDS.flatMap((g) =>
                Array.from({ length: MEMBERS }, () => joined(a, g))));
            const marks = clients.map((c) => c.mark);

            await fleet.order(b, 'evict');

            const told = (await Promise.all(clients.map(async (c, i) => {
                const { d } = await c.messages.find((m) =>
                    m.t === 'VOICE_SERVER_UPDATE' && m.d.endpoint !== null,
                { from: marks[i], ms: 30000, what: 'the new server' });

                assert.equal(d.endpoint, a.endpoint);

                return now();
            }))).sort((x, y) => x - y);
            const took = told.at(-1) - told[0];

            t.diagnostic(`told within ${took.toFixed(0)} ms`);
            assert.ok(took >= 1000, `told within ${took} ms`);
            clients.forEach((c) => c.destroy());
        } catch (e) {
            await fleet.abandon();
            throw e;
        }
        await fleet.stop();
    });
