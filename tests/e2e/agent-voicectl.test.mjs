/*
 * Copyright (C) ngx-voice contributors
 *
 * voicectl cluster: what an operator sees of a region and does to it.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { agree, fleet } from './lib/agent.mjs';
import { Etcd } from './lib/etcd.mjs';
import { until } from './lib/wait.mjs';
import { voicectl } from './lib/voicectl.mjs';


const cluster = (agent, ...args) => voicectl('cluster', ...args, '--config',
    agent.file);
const ended = async (agent, ...args) => cluster(agent, ...args).ended;


test('voicectl cluster shows a region and gives orders', async () => {
    const etcd = await Etcd.start();
    let agents = [];

    try {
        agents = await fleet(2, { region: 'eu', endpoints: [etcd.url] });

        const [a, b] = agents;

        a.tell('sessions', 12);
        await a.ask('bench', 40, 100);
        await agree(agents);
        for (const x of agents) {
            await until('the load', async () =>
                (await x.nodes()).n0.participants === 12);
        }

        /* nodes: for people and for programs */
        const table = await ended(a, 'nodes');

        assert.equal(table.code, 0, table.stderr);
        assert.match(table.stdout, /^\* n0 +up +eu +- +12 +1000 /m);
        assert.match(table.stdout, /^ {2}n1 +up /m);
        assert.match(table.stdout, /^agent up, etcd answers/m);
        table.stdout.split('\n').forEach((line) =>
            assert.ok(line.length < 160, line));

        const { nodes, agent } = await cluster(b, 'nodes', '--json').json();

        assert.equal(agent, 'up');
        assert.deepEqual(nodes.map((n) => [n.name, n.self, n.state]).sort(),
            [['n0', false, 'up'], ['n1', true, 'up']]);

        const { guilds } = await cluster(a, 'guilds', '--json').json();
        const truth = await a.guilds();

        assert.equal(guilds.length, 40);
        guilds.forEach((g) => assert.deepEqual([g.node, g.revision],
            truth[g.guild]));

        /* move, seen by watch */
        const { guild, node } = guilds[0];
        const to = node === 'n0' ? 'n1' : 'n0';
        const watch = cluster(b, 'watch', '--count', 1, '--json');

        await until('a move to be seen', async () => {
            const r = await ended(a, 'move', guild,
                (await a.guilds())[guild][0] === 'n0' ? 'n1' : 'n0');
            assert.equal(r.code, 0, r.stderr);

            return Promise.race([watch.ended.then(() => true),
                new Promise((resolve) => {
                    setTimeout(() => resolve(false), 500);
                })]);
        });
        assert.equal(JSON.parse((await watch.ended).stdout).guild, guild);
        assert.ok([to, node].includes((await agree(agents))[guild][0]));

        /* evict, orders, allow */
        const evict = await ended(a, 'evict', 'n1', '--for', '60s', '--why',
            'a flood');

        assert.equal(evict.code, 0, evict.stderr);
        await until('it to be empty', async () => Object.values(
            await b.guilds()).every(([n]) => n === 'n0'), 10000);

        await etcd.put('rv1/eu/x/n1/n0', {});
        await etcd.put('rv1/eu/x/n1/n2', { ask: true });
        await etcd.put('rv1/eu/x/n1', {});
        await etcd.put('rv1/eu/x/n1/n3', 'no object');

        const { orders, suspicions } =
            await cluster(a, 'orders', '--json').json();

        assert.equal(orders.length, 1);
        assert.equal(orders[0].node, 'n1');
        assert.equal(orders[0].order.m, 'evict');
        assert.ok(orders[0].seconds > 0 && orders[0].seconds <= 60);
        assert.match((await ended(a, 'orders')).stdout,
            /^n1 +evict +\d+ +s .* a flood$/m);
        assert.deepEqual(suspicions.filter((x) => x.by !== 'n0'),
            [{ node: 'n1', by: 'n2', client: true }]);
        assert.match((await ended(a, 'orders')).stdout,
            /^n1 +suspect +- +n2 +a client has lost it$/m);
        assert.match((await ended(a, 'nodes')).stdout, /n1 +evicted /);

        assert.equal((await ended(a, 'allow', 'n1')).code, 0);
        await until('it to be back', async () =>
            (await a.nodes()).n1.flags === 1);

        /* what is not there, and what is not meant */
        for (const [args, code, text] of [
            [['evict', 'n9'], 1, /no node "n9" is registered/],
            [['allow', 'n1'], 1, /no order for "n1"/],
            [['move', 999, 'n1'], 1, /guild 999 is on no node/],
            [['move', guild, 'n9'], 1, /no node "n9" is up/],
            [['move', 'x', 'n1'], 2, /"x" is no guild id/],
            [['evict', 'N9'], 2, /"N9" is no name of a node/],
            [['evict'], 2, /expected "cluster evict NODE"/],
            [['dance'], 2, /expected nodes, guilds, .*found "dance"/],
            [['nodes', 'n1'], 2, /expected "cluster nodes"/]
        ]) {
            const r = await ended(a, ...args);

            assert.equal(r.code, code, `${args}: ${r.stderr}`);
            assert.match(r.stderr, text);
        }

        /* what others wrote does nothing to a terminal */
        const evil = '\x1b]0;x\x07\x9b31m';

        await etcd.put('rv1/eu/q/n0', { m: 'drain', by: evil, why: evil });
        await etcd.put(`rv1/eu/q/${evil}`, evil);
        await etcd.put('rv1/eu/n/n7', { v: 1, e: 'b', ws: `a${evil}`, cap: 1,
            st: 'up' });
        await until('them to be counted', async () =>
            (await cluster(a, 'nodes', '--json').json()).bad_values >= 2);

        for (const args of [['orders'], ['orders', '--json'], ['nodes']]) {
            const { stdout } = await ended(a, ...args);

            assert.doesNotMatch(stdout, /[\x00-\x09\x0b-\x1f\x7f-\x9f]/);
            assert.match(stdout, /n0/);
        }
        assert.match(a.log, /key "rv1\/eu\/.*" of revision \d+ is ignored, its/);
        assert.doesNotMatch(a.log, /[\x00-\x09\x0b-\x1f\x7f-\x9f]/);

        await etcd.kill();

        const gone = await ended(a, 'evict', 'n1');

        assert.equal(gone.code, 1);
        assert.match(gone.stderr, /127\.0\.0\.1/);
        assert.equal((await ended(a, 'nodes')).code, 0);
    } finally {
        await Promise.all(agents.map((x) => x.stop()));
        await etcd.stop();
    }
});
