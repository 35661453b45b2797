/*
 * Copyright (C) ngx-voice contributors
 *
 * The discovery agent against a real etcd: what several agents make of one
 * region together, and what becomes of it when parts of it fail.
 */

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { Agent, agree, fleet } from './lib/agent.mjs';
import { Etcd } from './lib/etcd.mjs';
import { until } from './lib/wait.mjs';


const UP = 1, DOWN = 2, DRAIN = 4, EVICT = 8, WAIT = 32, DRAINED = 64;

let etcd;
let regions = 0;

before(async () => {
    etcd = await Etcd.start();
});

after(() => etcd.stop());


/* Runs with n agents in a region of their own. */
async function withFleet(n, body, options = {}) {
    const region = `r${++regions}`;
    const agents = await fleet(n, { region, endpoints: [etcd.url],
        ...options });

    try {
        return await body(agents, `rv1/${region}/`);
    } catch (e) {
        e.message += agents.map((a) => `\n--- ${a.node}\n${a.log}`).join('');
        throw e;
    } finally {
        await Promise.all(agents.map((a) => a.stop()));
    }
}


const guildsOf = (guilds, node) =>
    Object.values(guilds).filter(([n]) => n === node).length;


describe('nodes', () => {
    test('register, report their load, and go when they end', () =>
        withFleet(2, async ([a, b], prefix) => {
            const value = JSON.parse(await etcd.get(`${prefix}n/n0`));

            assert.equal(value.e, a.boot);
            assert.equal(value.ws, 'n0.example:443');
            assert.equal(value.st, 'up');

            a.tell('sessions', 77);
            await until('the load', async () =>
                (await b.nodes()).n0.participants === 77);

            await a.killAgent('SIGTERM');
            await until('the other to see it', async () =>
                (await b.nodes()).n0.flags === 0, 3000);
            assert.equal(await etcd.get(`${prefix}n/n0`), null);
        }));

    test('a lost one\'s guilds are served by others', () =>
        withFleet(3, async ([a, b, c]) => {
            assert.equal((await a.ask('bench', 300, 1000)).ok, 300);

            const was = await agree([a, b, c]);
            const lost = guildsOf(was, 'n0');

            assert.ok(lost >= 50, `${lost} guilds on n0`);
            await a.kill();

            await until('all guilds to have moved', async () =>
                guildsOf(await b.guilds(), 'n0') === 0, 15000);

            const now = await agree([b, c]);

            assert.equal(Object.keys(now).length, 300);
            for (const [guild, [node, revision]] of Object.entries(was)) {
                if (node !== 'n0') {
                    assert.deepEqual(now[guild], [node, revision]);
                } else {
                    assert.ok(now[guild][1] > revision);
                }
            }
        }, { etcd: { ttl: 2 } }));

    test('an agent that is back in time is not missed', () =>
        withFleet(2, async ([a, b]) => {
            await a.ask('bench', 50, 1000);

            const was = await agree([a, b]);

            await a.killAgent();
            a.run();
            await until('the new agent', async () => {
                const s = await a.state();
                return s.starts === 2 && s.state === 'up';
            }, 10000);

            assert.deepEqual(await agree([a, b]), was);
            assert.equal((await b.nodes()).n0.flags, UP);
            assert.equal((await a.find(1000)).find, 'ok');
        }));

    test('a relay that dies is left at once; one that is back is used', () =>
        withFleet(2, async ([a, b]) => {
            await a.ask('bench', 60, 1000);
            await agree([a, b]);
            await a.killWorker();

            await until('its guilds to have moved', async () =>
                guildsOf(await b.guilds(), 'n0') === 0, 10000);
            assert.equal((await b.nodes()).n0.flags, UP | DOWN);

            await a.startWorker('another');
            await until('it to be up', async () => {
                const { n0 } = await b.nodes();
                return n0.flags === UP && n0.boot === 'another';
            }, 10000);
        }));

    test('one that began anew says so for its guilds', () =>
        withFleet(2, async ([a, b], prefix) => {
            await a.ask('bench', 60, 1000);

            const was = await agree([a, b]);
            const [guild] = Object.entries(was).find(([, [n]]) => n === 'n0');

            await a.killWorker();
            await a.startWorker('another');

            await until('its guilds to have its new boot id', async () =>
                (await etcd.list(`${prefix}a/`)).every(({ value }) => {
                    const { s, e } = JSON.parse(value);
                    return e === (s === 'n0' ? 'another' : b.boot);
                }), 10000);
            assert.equal((await b.find(guild)).boot,
                (await b.find(guild)).node === 'n0' ? 'another' : b.boot);
        }));

    for (const [what, machine] of [['one machine', 'another'],
        ['one machine, also of two made from one image', 'machine-n0']])
    {
        test(`a name belongs to ${what}`, () =>
            withFleet(1, async ([a], prefix) => {
                const [{ mod }] = await etcd.list(`${prefix}n/`);
                const b = await Agent.start({ node: 'n0', region: a.region,
                    endpoints: [etcd.url], etcd: { ttl: 2 }, up: false,
                    conf: { machine } });

                try {
                    await b.says(/node name "n0" is used by another machine/);
                    assert.notEqual((await b.state()).state, 'up');
                    assert.equal((await a.state()).state, 'up');
                    assert.deepEqual((await etcd.list(`${prefix}n/`)).map(
                        (kv) => kv.mod), [mod]);

                    /* until that one has gone */
                    await a.kill();
                    await b.is('up');
                } finally {
                    await b.stop();
                }
            }, { etcd: { ttl: 2 } }));
    }

    test('one of a version to come keeps its name', () =>
        withFleet(1, async ([a], prefix) => {
            const key = `${prefix}n/n9`;
            const { ID } = await etcd.call('lease/grant', { TTL: 60 });

            await etcd.put(key, { v: 9, who: 'knows' }, ID);

            const b = await Agent.start({ node: 'n9', region: a.region,
                endpoints: [etcd.url], etcd: { ttl: 2 }, up: false });

            try {
                await b.says(/node name "n9" is used by another machine/);
                assert.deepEqual(JSON.parse(await etcd.get(key)),
                    { v: 9, who: 'knows' });

                /* what no lease holds is nobody's */
                await etcd.put(key, 'garbage');
                await b.is('up');
            } finally {
                await b.stop();
            }
        }));
});


describe('guilds', () => {
    test('of all who ask at once one has its way', () =>
        withFleet(4, async (agents, prefix) => {
            const answers = await Promise.all(agents.map((a) =>
                a.ask('bench', 300, 5000)));

            answers.forEach((x) => assert.equal(x.ok, 300));

            const kvs = await etcd.list(`${prefix}a/`);

            assert.equal(kvs.length, 300);
            kvs.forEach((kv) => assert.equal(kv.version, 1, kv.key));

            const guilds = await agree(agents);

            for (const { key, value, mod } of kvs) {
                assert.deepEqual(guilds[key.split('/').at(-1)],
                    [JSON.parse(value).s, mod]);
            }
            for (const a of agents) {
                const n = guildsOf(guilds, a.node);
                assert.ok(n > 40 && n < 120, `${n} on ${a.node}`);
            }
        }));

    test('are refused when there is no room, and told why', () =>
        withFleet(1, async ([a]) => {
            assert.equal((await a.ask('join', 1, 'mars')).result,
                'not_found');

            a.tell('sessions', 10);
            await until('the load', async () =>
                (await a.nodes()).n0.participants === 10);
            assert.equal((await a.join(2)).result, 'full');
        }, { capacity: 10 }));

    test('that nobody uses are given back', () =>
        withFleet(2, async ([a, b]) => {
            const { node } = await a.join(1);
            const owner = node === 'n0' ? a : b;

            owner.tell('use', 1);
            await a.join(2);

            await until('the other one to go', async () =>
                (await a.find(2)).find === 'not_found', 10000);
            assert.equal((await a.find(1)).find, 'ok');

            owner.tell('unuse', 1);
            await until('it to go', async () =>
                (await b.find(1)).find === 'not_found', 10000);
        }, { conf: { fleet: { empty_after_ms: 1200 } } }));

    test('in use are claimed back when etcd has lost them', () =>
        withFleet(2, async ([a, b], prefix) => {
            const { node } = await a.join(1);
            const owner = node === 'n0' ? a : b;

            owner.tell('use', 1);
            await until('it to be known', async () =>
                (await owner.find(1)).find === 'ok');
            owner.tell('use', 1);
            await owner.find(1);
            await etcd.delete(`${prefix}a/`);

            await until('it to be there again', async () =>
                JSON.parse(await etcd.get(`${prefix}a/1`) ?? '{}').s === node);
            assert.equal((await owner.ask('claim', 3)).node, owner.node);
        }));

    test('move where they are told to', () =>
        withFleet(2, async ([a, b]) => {
            const { node, revision } = await a.join(1);
            const to = node === 'n0' ? 'n1' : 'n0';
            const moved = await a.ask('move', 1, to);

            assert.equal(moved.result, 'ok');
            assert.equal(moved.node, to);
            assert.ok(moved.revision > revision);
            await agree([a, b]);

            assert.equal((await a.ask('move', 1, 'nobody')).result,
                'not_found');
            assert.equal((await a.ask('suspect', 1)).result, 'ok');
        }));
});


describe('orders', () => {
    test('evict: all guilds go now, none come', () =>
        withFleet(3, async (agents, prefix) => {
            const [a] = agents;

            await a.ask('bench', 90, 1000);
            await agree(agents);
            await etcd.put(`${prefix}q/n1`, { m: 'evict', by: 'test' });

            await until('its guilds to have moved', async () =>
                guildsOf(await a.guilds(), 'n1') === 0, 10000);
            assert.equal((await a.nodes()).n1.flags, UP | EVICT);

            await a.ask('bench', 30, 2000);
            assert.equal(guildsOf(await agree(agents), 'n1'), 0);

            await etcd.delete(`${prefix}q/n1`, true);
            await until('it to be back', async () =>
                (await a.nodes()).n1.flags === UP);
        }));

    test('a flood: the node takes itself out, and comes back', () =>
        withFleet(2, async ([a, b], prefix) => {
            await a.ask('bench', 40, 1000);
            await agree([a, b]);

            a.tell('flood', 100000);
            await until('its guilds to have moved', async () =>
                guildsOf(await b.guilds(), 'n0') === 0, 10000);

            const order = JSON.parse(await etcd.get(`${prefix}q/n0`));

            assert.equal(order.m, 'evict');
            assert.match(order.why, /^\d+ packets\/s received$/);

            /* nobody would be left: the other one stays */
            b.tell('flood', 100000);
            await b.says(/nobody to take this node's guilds/);
            assert.equal((await a.nodes()).n1.flags, UP);

            a.tell('flood', 0);
            await until('it to be back', async () =>
                (await b.nodes()).n0.flags === UP, 15000);
        }, { conf: { fleet: { alarm_packets: 50000, alarm_seconds: 5 } } }));

    test('drain: guilds go at a pace, one node at a time', () =>
        withFleet(3, async (agents, prefix) => {
            const [a, b, c] = agents;

            await a.ask('bench', 60, 1000);
            await agree(agents);

            const flags = async () => {
                const nodes = await c.nodes();

                return [nodes.n0.flags, nodes.n1.flags];
            };

            a.tell('drain', 1);
            b.tell('drain', 1);
            await until('one to drain, the other one to wait', async () => {
                const both = await flags();

                return both.includes(UP | DRAIN) && both.includes(UP | WAIT);
            });

            const slots = await etcd.list(`${prefix}o/`);

            assert.equal(slots.length, 1);

            const [first, next] = slots[0].value === 'n0' ? [a, b] : [b, a];

            /* who waits is as good as ever */
            assert.notEqual((await c.join(9000)).node, first.node);
            await next.says(/waiting for a slot/);

            /* the slot goes on by itself */
            await first.says(/drained: nobody is left/, 20000);
            assert.equal(guildsOf(await first.guilds(), first.node), 0);
            await next.says(/draining, with slot/);
            await next.says(/drained: nobody is left/, 20000);
            await until('both to be shut, without a slot', async () =>
                (await flags()).every((f) => f === (UP | DRAIN | DRAINED))
                && (await etcd.list(`${prefix}o/`)).length === 0);
            assert.equal((await c.join(9001)).node, 'n2');
            assert.equal(guildsOf(await agree(agents), 'n2'), 62);

            /* and back */
            first.tell('drain', 0);
            await until('it to be up', async () =>
                (await c.nodes())[first.node].flags === UP);
            await until('guilds to go there', async () =>
                (await c.join(10000 + Math.floor(Math.random() * 1e6))).node
                    === first.node);
        }, { conf: { fleet: { drain_after: 0, drain_rate: 60 } } }));

    test('drain: a slot is free when its holder is lost', () =>
        withFleet(3, async (agents, prefix) => {
            const [a, b] = agents;

            a.tell('drain', 1);
            a.tell('sessions', 1);
            await a.says(/draining, with slot/);
            b.tell('drain', 1);
            b.tell('sessions', 1);
            await b.says(/waiting for a slot/);
            await a.kill();
            await b.says(/draining, with slot/, 15000);
            assert.deepEqual((await etcd.list(`${prefix}o/`)).map((kv) =>
                kv.value), ['n1']);
        }, { conf: { fleet: { drain_after: 0 } } }));

    test('an agent that ends has its guilds moved before', () =>
        withFleet(3, async (agents) => {
            const [a, b] = agents;

            assert.equal((await a.ask('bench', 60, 1000)).ok, 60);

            const n = guildsOf(await agree(agents), 'n0');

            assert.ok(n > 5, `${n} guilds on n0`);
            a.child.kill('SIGTERM');
            await a.ended;
            assert.match(a.log, /draining, with slot/);

            /* by itself, and its own nginx knows where they are now */
            assert.equal(a.log.match(/guilds of "n0" are on/g).length > 1,
                true);
            assert.equal(guildsOf(await agree([a, b]), 'n0'), 0);
        }, { conf: { fleet: { drain_rate: 60, stop_after_ms: 30000 } } }));
});


describe('what others write', () => {
    test('garbage and foreign keys change nothing', () =>
        withFleet(2, async ([a, b], prefix) => {
            await a.join(1);

            const was = await agree([a, b]);
            const future = { v: 2, what: [] };

            for (const [key, value] of [
                ['n/n1', 'garbage'], ['n/n0', future], ['n/UPPER', future],
                ['n/', ''], ['l/n0', '\x00\x01'], ['a/1', '{"s":1}'],
                ['a/zero', 'x'], ['a/0', '{}'], ['q/n0', '{"m":"dance"}'],
                ['z/else', 'x'], ['', 'x'], ['a/2', '[]'],
                ['a/3', '{"s":"n0","e":"b","new":{"deep":[[[]]]}}'],
                ['q/n1', 'x'.repeat(1000000)], ['q/ghost', { m: 'evict' }],
                ['x/n1', {}], ['x/n1/n0', 'garbage'], ['x/n1/n0/n0', {}],
                ['x/UPPER/n0', {}], ['x/n1/ghost', {}], ['x/ghost/n0', {}],
                ['x/n1/n0', {}],
                ['l/ghost', { u: 0, g: 0, r: 0 }]
            ]) {
                await etcd.put(prefix + key, value);
            }

            await until('the last but one', async () =>
                (await b.find(3)).node === 'n0');
            assert.deepEqual((await b.guilds())[1], was[1]);

            const nodes = await b.nodes();

            assert.deepEqual(Object.keys(nodes).sort(), ['n0', 'n1']);
            assert.equal(nodes.n0.flags, UP);
            assert.equal(nodes.n1.flags, UP);
            assert.equal((await b.state()).state, 'up');
        }));

    test('thousands of changes come in one line', () =>
        withFleet(2, async ([a, b], prefix) => {
            const value = { s: 'n0', e: a.boot };

            await etcd.fill(Array.from({ length: 3000 }, (_, i) =>
                [`${prefix}a/${i + 1}`, value]));
            await until('all to be there', async () =>
                (await b.state()).guilds === 3000, 15000);

            await etcd.delete(`${prefix}a/`);
            await until('all to be gone', async () =>
                (await b.state()).guilds === 0
                && (await a.state()).guilds === 0, 15000);
        }));

    test('what was compacted is listed', () =>
        withFleet(2, async ([a, b], prefix) => {
            await a.ask('bench', 20, 100);
            await agree([a, b]);

            b.signal('SIGSTOP');
            await etcd.delete(`${prefix}a/100`, true);
            await etcd.put(`${prefix}a/7`, { s: 'n0', e: a.boot });
            await etcd.compact();
            b.signal('SIGCONT');

            const guilds = await agree([a, b], 15000);

            assert.equal(guilds[100], undefined);
            assert.equal(guilds[7][0], 'n0');
        }));

    test('who deletes a node\'s key is corrected', () =>
        withFleet(2, async ([a, b], prefix) => {
            await a.ask('bench', 20, 100);

            const was = await agree([a, b]);

            await etcd.delete(`${prefix}n/n0`, true);
            await a.says(/lease is lost/);
            await until('it to be back', async () =>
                await etcd.get(`${prefix}n/n0`) !== null
                && (await a.state()).state === 'up', 10000);
            assert.deepEqual(await agree([a, b]), was);
        }, { conf: { fleet: { grace_ms: 5000 } } }));
});
