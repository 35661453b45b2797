/*
 * Copyright (C) ngx-voice contributors
 *
 * Agents send voice through the nginx of their own node: one whose processes
 * are there and do nothing is left as one that has ended.
 */

import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';

import { Fleet, Traveller, converse } from './lib/fleet.mjs';
import { CHANNEL, GUILD } from './lib/gateway.mjs';
import { now, until } from './lib/wait.mjs';


/* By the gateways of two nodes, at the third. */
async function callAway(fleet) {
    const first = await Traveller.join(fleet, fleet.nodes[0], GUILD,
        CHANNEL.lounge);
    const away = fleet.nodes.filter((n) => n !== first.at);
    const travellers = [];

    for (const node of away) {
        travellers.push(await Traveller.join(fleet, node, GUILD,
            CHANNEL.lounge));
    }
    await first.leave();

    const [one, two] = travellers;

    assert.equal(one.at, first.at);
    await converse(one, two);

    return travellers;
}


test('a relay that is there and lets nothing through is left, and comes back',
    async (t) => {
        const fleet = await Fleet.start({ agent: ({ nginx }) => ({
            probe: { key: join(nginx.dir, 'token.key'),
                url: `ws://127.0.0.1:${nginx.http}/`,
                ca: join(nginx.dir, 'ca.pem') } }) });

        try {
            await until('probes at all nodes', async () => (await Promise.all(
                fleet.nodes.map((n) => n.nginx.status()))).every((s) =>
                s.sessions.probes === 6 && s.rx.accepted > 6), 20000);

            const [one, two] = await callAway(fleet);
            const old = one.at;
            const workers = old.nginx.workers();

            /* agents are nobody */

            assert.equal((await old.nginx.status()).sessions.total, 2);
            await until('the load to say so', async () => JSON.parse(
                await fleet.etcd.get(`rv1/test/l/${old.name}`)).u === 2);

            const start = now();

            for (const pid of workers) {
                process.kill(pid, 'SIGSTOP');
            }
            try {
                await until('the node to be down', async () =>
                    (await fleet.registered(old)).st === 'down', 20000, 20);
                t.diagnostic(`down after ${(now() - start).toFixed(0)} ms`);
                assert.match(old.agent.text, /has lost 3 probes in a row/);
                await until('the call to be elsewhere', () => [one, two]
                    .every((m) => m.at !== old && m.arrivals(start + 1000)
                        .length > 10), 20000);
                t.diagnostic('longest silence: ' + [one, two].map((m) =>
                    `${m.silence(start).toFixed(0)} ms`).join(', '));
            } finally {
                for (const pid of workers) {
                    process.kill(pid, 'SIGCONT');
                }
            }
            await until('the node to be up again', async () =>
                (await fleet.registered(old)).st === 'up', 30000);
            assert.match(old.agent.text, /come through .* again/);
            await Promise.all([one.leave(), two.leave()]);
        } catch (e) {
            await fleet.abandon();
            throw e;
        }
        await fleet.stop();
    });
