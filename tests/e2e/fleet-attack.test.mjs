/*
 * Copyright (C) ngx-voice contributors
 *
 * An attack on voice servers, with calls: the one that is flooded is left at
 * once and comes back later, and a guild that is followed by the attack ends
 * at the nodes that are there for that.  What is measured is printed; bounds
 * are generous, for this may run on a loaded machine.
 */

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { test } from 'node:test';

import { Fleet, Traveller, converse } from './lib/fleet.mjs';
import { CHANNEL, GUILD, PERM, USER } from './lib/gateway.mjs';
import { now, until } from './lib/wait.mjs';


const ORDER = 5;           /* seconds that a node stays out */

const OTHER = { id: '70000000000000000', name: 'Other', owner_id: USER.owner,
    roles: [{ id: '70000000000000000', name: '@everyone',
        permissions: String(PERM.VIEW | PERM.CONNECT | PERM.SPEAK) }],
    channels: [{ id: '70000000000000001', name: 'room', type: 2 }],
    members: [] };


/* Datagrams of nobody, for as long as the flood is not over. */
function flood(node) {
    const socket = createSocket('udp4');
    const datagram = randomBytes(60);
    const timer = setInterval(() => {
        for (let i = 0; i < 200; i++) {
            socket.send(datagram, node.nginx.ports[0], '127.0.0.1', () => {});
        }
    }, 20);

    return () => {
        clearInterval(timer);
        socket.close();
    };
}


const ordered = (fleet, node) => fleet.etcd.get(`rv1/test/q/${node.name}`);


async function callOf(fleet) {
    const travellers = [];

    for (const node of fleet.nodes.slice(0, 2)) {
        travellers.push(await Traveller.join(fleet, node, GUILD,
            CHANNEL.lounge));
    }

    const [one, two] = travellers;

    await converse(one, two);

    return [one, two];
}


/* Both are there, and hear each other there. */
async function together(node, one, two) {
    await until(`the call to be at ${node.name}`,
        () => one.at === node && two.at === node, 20000);

    const from = now();

    await until('voice both ways', () => one.arrivals(from).length > 10
        && two.arrivals(from).length > 10, 10000);
}


test('a flooded node is left and comes back; a guild that is followed goes to '
    + 'the pool for that', async (t) => {
    const fleet = await Fleet.start({ more: [OTHER],
        nodes: [{ name: 'a' }, { name: 'b' }, { name: 's', pool: 'q' }],
        agent: { load: { period_ms: 200 },
            fleet: { alarm_packets: 3000, alarm_seconds: ORDER } } });

    try {
        const [one, two] = await callOf(fleet);
        const hit = one.at;
        const [next] = fleet.nodes.filter((n) => n !== hit && !n.pool);
        const last = fleet.node('s');
        const start = now();
        const end = flood(hit);

        /* one attack: another common node, and not for ever */

        await until('the order', () => ordered(fleet, hit), 20000, 20)
            .finally(end);
        t.diagnostic(`detected after ${(now() - start).toFixed(0)} ms`);
        assert.equal(JSON.parse(await ordered(fleet, hit)).by, hit.name);
        await together(next, one, two);
        t.diagnostic('longest silence of the attack: '
            + [one, two].map((m) => `${m.silence(start).toFixed(0)} ms`)
                .join(', '));
        await until('the end of the order', async () =>
            !await ordered(fleet, hit), 30000);
        await fleet.registered(hit);

        /* who was not attacked before is not what the attack is after */

        const three = await Traveller.join(fleet, fleet.nodes[0], OTHER.id,
            OTHER.channels[0].id);
        const again = now();

        await fleet.order(next, 'evict');
        await together(last, one, two);
        t.diagnostic('longest silence of the second one: '
            + [one, two].map((m) => `${m.silence(again).toFixed(0)} ms`)
                .join(', '));
        await until('the other guild to be where the first one began',
            () => three.at === hit, 20000);
        assert.equal(await fleet.serves(OTHER.id), hit);

        /* without an order it stays where it is */

        await fleet.allow(next);
        assert.equal(await fleet.serves(GUILD), last);
        await Promise.all([one, two, three].map((m) => m.leave()));
    } catch (e) {
        await fleet.abandon();
        throw e;
    }
    await fleet.stop();
});
