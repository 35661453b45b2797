/*
 * Copyright (C) ngx-voice contributors
 *
 * More than a fifth of a region vanishes at once, while people talk.
 */

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';

import { withCall } from './lib/call.mjs';
import { Fleet, Traveller } from './lib/fleet.mjs';
import { plainGuilds } from './lib/gateway.mjs';
import { voicectl } from './lib/voicectl.mjs';
import { now, until } from './lib/wait.mjs';


const TTL = 2;

const GUILDS = plainGuilds(2);

let fleet, survivor, lost;

before(async () => {
    fleet = await Fleet.start({ nodes: 4, ttl: TTL, more: GUILDS,
        agent: { fleet: { hold_ms: 2000 } } });
    [survivor, ...lost] = fleet.nodes;
});

after(() => fleet?.stop());


const command = (...args) => voicectl('cluster', ...args, '--json',
    '--config', join(survivor.dir, 'agent.json'));

const held = () => until('three nodes to be held', async () =>
    (await command('nodes').json()).nodes.filter((n) => n.state === 'held')
        .length === lost.length, 15000, 50);

/* How often the survivor has asked a node itself. */
const asked = (node) => readFileSync(join(node.nginx.dir, 'access.log'),
    'utf8').split('\n').filter((line) => line.includes('"HEAD /peer ')).length;


test('nodes whose keys vanish and that answer keep their guilds', async () => {
    const [b] = lost;

    await withCall(fleet, { guild: GUILDS[0], on: b, by: [survivor] },
        async (call) => {
            const truth = await fleet.assignments();

            /* leases would end one by one, half a second apart */

            await Promise.all(lost.map((n) => n.agent.end('SIGKILL')));
            await fleet.unregister(lost);
            await held();

            /* each 2 s: three times are longer than they are held */

            await until('all to be asked', () =>
                lost.every((n) => asked(n) >= 3), 20000, 50);
            assert.deepEqual(await fleet.assignments(), truth);

            /* whoever comes now is sent there as ever */

            const one = await Traveller.join(fleet, survivor, GUILDS[0].id,
                GUILDS[0].channels[0].id);

            assert.equal(one.at, b);
            await one.leave();
            await call.heard(25);

            await Promise.all(lost.map((n) => fleet.startAgent(n)));
            await Promise.all(lost.map((n) => fleet.isUp(n)));
            await fleet.agree();
            assert.deepEqual(await fleet.assignments(), truth);
            await call.endsUnbroken();
        });
});


test('nodes that are dead move when an operator says so', async (t) => {
    const [b] = lost;

    await withCall(fleet, { guild: GUILDS[1], on: b, by: [survivor] },
        async (call) => {
            assert.equal((await command('hold', 'on').ended).code, 0);
            await Promise.all(lost.map((n) => fleet.kill(n)));
            await held();
            await until('it to be known that nobody answers', () =>
                lost.every((n) => survivor.agent.text.includes(
                    `"${n.name}" is not in etcd and does not answer`)),
            15000, 50);
            assert.equal(await fleet.serves(GUILDS[1].id), b);

            const start = now();

            assert.equal((await command('hold', 'off').ended).code, 0);
            await call.moves(b);
            assert.equal(call.listener.at, survivor);
            t.diagnostic(`moved ${(call.listener.servers.at(-1).at - start)
                .toFixed(0)} ms after the order`);
            await call.isTogether();
            await call.end();
        });
});
