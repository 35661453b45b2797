/*
 * Copyright (C) ngx-voice contributors
 *
 * Agents send voice through the servers of other nodes, by the ways that
 * clients take: a node that is alive and that nobody reaches is left, and one
 * that only a few do not reach is not.  What is measured is printed.
 */

import assert from 'node:assert/strict';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { test } from 'node:test';

import { withCall } from './lib/call.mjs';
import { Fleet, Traveller } from './lib/fleet.mjs';
import { GW, plainGuilds } from './lib/gateway.mjs';
import { Bot } from './lib/library.mjs';
import { melody } from './lib/opus.mjs';
import { now, until } from './lib/wait.mjs';


const ORDER = 6;           /* seconds that a node stays out */

const GUILDS = plainGuilds(8);

const TUNE = melody([600]);


function startFleet(nodes, period) {
    return Fleet.start({ nodes, fronts: true, more: GUILDS,
        agent: ({ nginx }) => ({
            fleet: { alarm_seconds: ORDER, empty_after_ms: 3600000 },
            probe: { key: join(nginx.dir, 'token.key'),
                url: `ws://127.0.0.1:${nginx.http}/`,
                ca: join(nginx.dir, 'ca.pem'), period_ms: period } }) });
}


const ordered = async (fleet, node) => JSON.parse(
    await fleet.etcd.get(`rv1/test/q/${node.name}`));


/* Until each server is probed by all agents. */
function probed({ nodes }) {
    return until('probes at all nodes', async () => (await Promise.all(
        nodes.map((n) => n.nginx.status()))).every((s) =>
        s.sessions.probes === 2 * nodes.length
        && s.rx.accepted >= nodes.length), 30000);
}


/* What a node says of others. */
const said = async (fleet, by) => (await fleet.suspicions()).filter(
    ([key]) => key.endsWith(`/${by.name}`));


/* Who reaches nobody is cut off itself. */
async function cutOff(fleet, prober) {
    const others = fleet.nodes.filter((n) => n !== prober);

    fleet.cutProbes(prober, others);
    await until('all to be lost', () => others.every((n) =>
        prober.agent.text.includes(`node "${n.name}" has lost 3 probes in a `
            + 'row, and no other node answers')), 20000, 50);
    assert.deepEqual(await said(fleet, prober), []);

    const { length } = prober.agent.text;

    fleet.joinProbes(others);
    await until('all to be back', () => others.every((n) =>
        prober.agent.text.includes(`probes of node "${n.name}" come back`)),
    20000, 50);
    assert.deepEqual(await said(fleet, prober), []);
    assert.doesNotMatch(prober.agent.text.slice(length), /is suspected/);
}


/* One alone is believed as far as new guilds go. */
async function oneAccuser(fleet, node, prober) {
    const start = now();

    fleet.cutProbes(prober, [node]);
    await until('a suspicion', async () => (await said(fleet, prober))
        .length > 0, 20000, 20);
    assert.deepEqual(await said(fleet, prober),
        [[`${node.name}/${prober.name}`, {}]]);
    await until('all to know', async () => (await Promise.all(fleet.nodes.map(
        (n) => fleet.sees(n, node)))).every((s) => s.state === 'suspect'));

    for (const guild of GUILDS.slice(1)) {
        const visitor = await Traveller.join(fleet, fleet.nodes[0], guild.id,
            guild.channels[0].id);

        assert.notEqual(visitor.at, node);
        await visitor.leave();
    }

    /* longer than it takes if others say so, too */
    await delay(Math.max(0, 5000 - (now() - start)));
    assert.equal(await ordered(fleet, node), null);
    assert.equal((await said(fleet, prober)).length, 1);
    fleet.joinProbes([node]);
    await until('the end of it', async () => (await fleet.suspicions())
        .length === 0 && (await fleet.sees(prober, node)).state === 'up',
    20000, 50);
}


/* Nobody reaches it: it is left, and out until somebody does. */
async function cut(t, fleet, call, node) {
    const other = fleet.nodes.find((n) => n !== node);
    const start = now();

    fleet.cutFromClients(node);
    await until('the order', () => ordered(fleet, node), 20000, 10);
    t.diagnostic(`ordered after ${(now() - start).toFixed(0)} ms`);

    const { m, by, why } = await ordered(fleet, node);

    assert.equal(m, 'evict');
    assert.notEqual(by, node.name);
    assert.match(why, /^alive, but no voice comes back: \w+, \w+/);
    assert.equal((await fleet.registered(node)).st, 'up');
    await call.moves(node);
    t.diagnostic(`longest silence: ${call.silence(start).toFixed(0)} ms`);
    assert.notEqual(await fleet.serves(call.guild), node);

    /* the order ends, and nobody reaches it */
    for (let ends = 0, was = by; ends < 2; await delay(50)) {
        const order = await ordered(fleet, node);

        ends += was !== null && order === null;
        was = order;
        assert.match((await fleet.sees(other, node)).state,
            /^(evicted|suspect)$/);
    }

    const back = now();

    fleet.joinClients(node);
    await until('it to be up again', async () =>
        (await fleet.sees(other, node)).state === 'up', 60000, 50);
    t.diagnostic(`up ${(now() - back).toFixed(0)} ms after it was reached`);
    assert.deepEqual(await fleet.suspicions(), []);
}


/* A bot of discord.js in the call hears, and is heard, where all are then. */
async function converses(bot, call) {
    const { listener, talkers: [{ user }] } = call;
    const { length } = await bot.heard(user);
    const start = now();

    await until('the bot to hear', async () =>
        (await bot.heard(user)).length > length + 25, 20000, 50);
    await bot.play(TUNE);
    await until('the bot to be heard', () => listener.streams(bot.user).flat()
        .filter((p) => p.at > start).length > TUNE.frames.length / 2, 10000);
}


test('a node that nobody reaches is left, one that few do not reach is not',
    async (t) => {
        const fleet = await startFleet(4, 1000);
        const [node, prober, ...rest] = fleet.nodes;
        const [guild] = GUILDS;

        try {
            await probed(fleet);
            await withCall(fleet, { guild, on: node, by: [prober, ...rest] },
                async (call) => {
                    const bot = await Bot.login(rest[0].nginx, 'discordjs');

                    try {
                        await bot.join(guild.id, guild.channels[0].id);
                        await bot.listen(call.talkers[0].user);
                        await cutOff(fleet, prober);
                        await oneAccuser(fleet, node, prober);
                        await converses(bot, call);
                        assert.equal(call.listener.voices.length, 1);
                        await cut(t, fleet, call, node);
                        await converses(bot, call);
                        await bot.end();
                    } finally {
                        bot.destroy();
                    }
                    await call.end();
                });
        } catch (e) {
            await fleet.abandon();
            throw e;
        }
        await fleet.stop();
    });


test('websockets that are cut are noticed; a client who lost its server is '
    + 'believed at once', async (t) => {
    const fleet = await startFleet(3, 60000);
    const [node, other, third] = fleet.nodes;

    try {
        await probed(fleet);

        /* datagrams come and go, and nobody could join */
        let start = now();

        third.front.tcp.lose();
        await until('the order', () => ordered(fleet, third), 40000, 20);
        t.diagnostic('websockets: ordered after '
            + `${(now() - start).toFixed(0)} ms`);
        third.front.tcp.restore();
        await until('probes to come back', async () =>
            (await fleet.suspicions()).length === 0, 40000, 50);
        await fleet.allow(third);

        /* the next probe is a minute away */
        await withCall(fleet, { guild: GUILDS[0], on: node,
            by: [other, third] }, async (call) => {
            start = now();
            fleet.cutFromClients(node);
            call.listener.gateway.say(GW.VOICE_PING, null);
            await until('the order', () => ordered(fleet, node), 20000, 10);
            t.diagnostic('a client says so: ordered after '
                + `${(now() - start).toFixed(0)} ms`);
            await call.moves(node);
            fleet.joinClients(node);
            await call.end();
        });
    } catch (e) {
        await fleet.abandon();
        throw e;
    }
    await fleet.stop();
});
