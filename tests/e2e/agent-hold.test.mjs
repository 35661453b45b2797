/*
 * Copyright (C) ngx-voice contributors
 *
 * Many nodes of a region vanish at once.  Agents with a stand-in for nginx;
 * what their nodes answer when they are asked themselves is a server here.
 */

import assert from 'node:assert/strict';
import { once } from 'node:events';
import http from 'node:http';
import net from 'node:net';
import { test } from 'node:test';

import { Agent, agree } from './lib/agent.mjs';
import { Etcd } from './lib/etcd.mjs';
import { freePort } from './lib/net.mjs';
import { voicectl } from './lib/voicectl.mjs';
import { now, until } from './lib/wait.mjs';


const UP = 1;
const HELD = 0x100;

const NAMES = ['n0', 'n1', 'n2', 'n3', 'n4'];

const cluster = (agent, ...args) => voicectl('cluster', ...args, '--config',
    agent.file);

async function command(agent, ...args) {
    const r = await cluster(agent, ...args).ended;

    assert.equal(r.code, 0, r.stderr);

    return r.stdout;
}


/* nodes: what else of each one's configuration; 20 guilds on each. */
async function withRegion({ nodes = {}, hold }, body) {
    const etcd = await Etcd.start();
    let agents = [];

    try {
        agents = await Promise.all(NAMES.map((node) => Agent.start({ node,
            region: 'eu', endpoints: [etcd.url], etcd: { ttl: 2 },
            conf: { fleet: { hold_ms: hold }, ...nodes[node] } })));
        await until('all to know each other', async () =>
            (await Promise.all(agents.map((a) => a.nodes()))).every((known) =>
                Object.values(known).filter((n) => n.flags === UP).length
                    === NAMES.length), 20000, 20);
        await etcd.fill(agents.flatMap((a, i) =>
            Array.from({ length: 20 }, (_, j) =>
                [`rv1/eu/a/${1000 + i * 20 + j}`,
                    { s: a.node, e: a.boot }])));
        await until('all guilds to be known', async () =>
            Object.keys(await agree(agents)).length === 100);
        await body(agents, etcd);
    } finally {
        await Promise.all(agents.map((a) => a.stop()));
        await etcd.stop();
    }
}


const flags = async (agent, names) => {
    const nodes = await agent.nodes();

    return names.map((n) => nodes[n].flags);
};

const held = (agent, names) => until(`${names} to be held`, async () =>
    (await flags(agent, names)).every((f) => f === HELD), 15000, 50);

/* All at once: leases would end one by one, half a second apart. */
async function vanish(etcd, agents) {
    await Promise.all(agents.map((a) => a.kill()));
    await etcd.deleteAll(agents.map((a) => `rv1/eu/n/${a.node}`));
}

/* How many guilds each node has, by what an agent knows. */
async function spread(agent) {
    const count = Object.fromEntries(NAMES.map((n) => [n, 0]));

    for (const [node] of Object.values(await agent.guilds())) {
        count[node]++;
    }

    return count;
}

/* Values in etcd that were refused. */
const bads = async (agent) => (await cluster(agent, 'nodes',
    '--json').json()).bad_values;

const left = (agent, names, ms = 15000) => until(`no guilds on ${names}`,
    async () => {
        const count = await spread(agent);

        return names.every((n) => count[n] === 0);
    }, ms, 50);


test('of those held too long, who answers keeps its guilds', async () => {
    const asked = { n2: 0, n4: 0 };
    const hold = 3000;

    /* n2 lives; at n3 nobody listens; n4 is there and says nothing */

    const lives = http.createServer((req, res) => {
        asked.n2++;
        res.writeHead(403).end();
    });
    const hangs = net.createServer((socket) => {
        asked.n4++;
        socket.on('error', () => {});
    });

    for (const server of [lives, hangs]) {
        server.listen(0, '127.0.0.1');
        await once(server, 'listening');
    }

    const peer = (port) => ({ peer: `http://127.0.0.1:${port}/peer` });

    try {
        await withRegion({ hold, nodes: { n2: peer(lives.address().port),
            n3: peer(await freePort()), n4: peer(hangs.address().port) } },
        async ([a, b, ...gone], etcd) => {
            const was = await a.guilds();
            const start = now();

            await vanish(etcd, gone);
            await held(a, ['n2', 'n3', 'n4']);
            await held(b, ['n2', 'n3', 'n4']);
            assert.deepEqual(await a.guilds(), was);
            assert.match(await command(b, 'nodes'), /^ {2}n3 +held +/m);

            await left(a, ['n3', 'n4']);
            assert.ok(now() - start >= hold, 'they were not held');

            /* what is asked each 2 s: more than it takes to be dead */

            const before = asked.n2;

            await until('n2 to be asked', () => asked.n2 >= before + 6,
                20000, 50);
            assert.equal((await spread(a)).n2, 20);
            assert.deepEqual(await flags(a, ['n2', 'n3', 'n4']),
                [HELD, 0, 0]);
            assert.ok(asked.n4 >= 4);
            assert.match(a.log, /"n2" is not in etcd and answers: it lives/);

            lives.close();
            lives.closeAllConnections();
            await left(a, ['n2']);
            await agree([a, b]);
        });
    } finally {
        lives.close();
        hangs.close();
    }
});


test('an operator says that they are dead, or that nobody is', async (t) => {
    await withRegion({ hold: 600000 }, async ([a, b, c, d, e], etcd) => {
        const was = await a.guilds();

        /* on: one of five is no mass */

        assert.match(await command(a, 'hold', 'on', '--why', 'a new etcd'),
            /are not taken for dead; the order ends in 600 s/);
        await c.kill();
        await held(a, ['n2']);
        assert.deepEqual(await b.guilds(), was);

        const { hold, orders } = await cluster(b, 'orders', '--json').json();

        assert.deepEqual(orders, []);
        assert.deepEqual([hold.order.m, hold.order.why], ['on', 'a new etcd']);
        assert.ok(hold.seconds > 0 && hold.seconds <= 600);
        assert.match(await command(a, 'orders'),
            /^- +hold on +\d+ s +\S+ +a new etcd$/m);

        /* auto: one that does not answer is dead */

        await command(a, 'hold', 'auto');
        await left(a, ['n2']);
        assert.equal((await cluster(b, 'orders', '--json').json()).hold,
            null);

        /* off: three of five, at once; what is no order is none */

        c.run();
        await c.startWorker();
        await c.is('up');
        await until('all to be there', async () =>
            (await flags(a, NAMES)).every((f) => f === UP));

        const watch = cluster(b, 'watch', '--json');

        t.after(() => watch.kill('SIGKILL'));

        await vanish(etcd, [c, d, e]);
        await held(a, ['n2', 'n3', 'n4']);
        await until('it to be seen', () =>
            /"n3".*"held"/.test(watch.stdout));

        const then = await a.guilds();
        const before = await bads(a);

        await etcd.put('rv1/eu/c/hold', { m: 'perhaps' });
        await until('it to be refused', async () => await bads(a) > before);
        assert.match(a.log, /"m" must be "on" or "off"/);
        assert.deepEqual((await flags(a, ['n3', 'n4'])), [HELD, HELD]);
        assert.deepEqual(await a.guilds(), then);

        await command(b, 'hold', 'off', '--for', '60s');
        await left(a, ['n2', 'n3', 'n4']);
        await agree([a, b]);

    });
});
