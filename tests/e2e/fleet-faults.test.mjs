/*
 * Copyright (C) ngx-voice contributors
 *
 * Nodes and agents of a fleet fail while people talk.  Silence is measured
 * and printed; bounds are generous, for this may run on a loaded machine.
 * Guilds stay in their region, so of two rows that run at a time neither
 * hears of the other.
 */

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { missing, withCall } from './lib/call.mjs';
import { Fleet, Traveller } from './lib/fleet.mjs';
import { GW, GatewayClient, USER, plainGuilds, rest }
    from './lib/gateway.mjs';
import { Bot } from './lib/library.mjs';
import { now, until } from './lib/wait.mjs';


const TTL = 3;

const GUILDS = plainGuilds(10);

let fleet, a, b, c, d;

before(async () => {
    fleet = await Fleet.start({ ttl: TTL, more: GUILDS, ways: true,
        nodes: [['ams', 'west'], ['ber', 'east'], ['cdg', 'west'],
            ['dub', 'east']].map(([name, region]) => ({ name, region })) });
    [a, b, c, d] = fleet.nodes;
});

after(() => fleet?.stop());


const since = (node) => node.agent.text.length;

/* Of a fault that moves a guild: its silence; everybody is together then. */
async function moved(t, call, start, bound) {
    await call.moves(call.home);

    const ms = call.silence(start);

    t.diagnostic(`silence of ${ms.toFixed(0)} ms`);
    assert.ok(ms < bound, `${ms} ms of silence`);
    await call.isTogether();

    return fleet.serves(call.guild);
}


test('an agent that crashes and is back in time is not missed', async () => {
    await withCall(fleet, { guild: GUILDS[0], on: a, by: [a, b] },
        async (call) => {
            await a.agent.end('SIGKILL');
            await fleet.startAgent(a);
            await fleet.isUp(a);
            await call.heard(25);
            await call.endsUnbroken();
        });
});


describe('agents that are away', { concurrency: true }, () => {
    test('frozen: joins go on, the guild moves while the server plays',
        async (t) => {
            await withCall(fleet, { guild: GUILDS[1], on: a, by: [c, d] },
                async (call) => {
                    const start = now();
                    const from = since(a);

                    process.kill(a.agent.pid, 'SIGSTOP');

                    /* by its own gateway, too */

                    const one = await Traveller.join(fleet, a,
                        GUILDS[1].id, GUILDS[1].channels[0].id);

                    await one.leave();

                    const place = await moved(t, call, start, 2000);

                    assert.equal(place, c);
                    process.kill(a.agent.pid, 'SIGCONT');
                    await fleet.isUp(a, from);
                    assert.equal(await fleet.serves(GUILDS[1].id), place);
                    await call.heard(10);
                    await call.end();
                });
        });

    test('gone: the guild moves while the server plays', async (t) => {
        await withCall(fleet, { guild: GUILDS[2], on: b, by: [d, c] },
            async (call) => {
                const start = now();

                await b.agent.end('SIGKILL');
                assert.equal(await moved(t, call, start, 2000), d);
                await fleet.startAgent(b);
                await fleet.isUp(b);
                assert.equal(await fleet.serves(GUILDS[2].id), d);
                await call.heard(10);
                await call.end();
            });
    });
});


describe('nodes that are away', { concurrency: true }, () => {
    test('frozen: it takes nothing back when it goes on', async (t) => {
        await withCall(fleet, { guild: GUILDS[3], on: a, by: [c, d] },
            async (call) => {
                const start = now();
                const from = since(a);

                fleet.signal(a, 'SIGSTOP');
                fleet.stopped.add(a);
                try {
                    assert.equal(await moved(t, call, start, 18000), c);
                } finally {
                    fleet.signal(a, 'SIGCONT');
                    fleet.stopped.delete(a);
                }
                await fleet.isUp(a, from);
                assert.equal(await fleet.serves(GUILDS[3].id), c);
                await call.heard(10);
                await call.isTogether();
                await call.end();
            });
    });

    test('from etcd alone: it is UNSURE, and left without a break',
        async (t) => {
            await withCall(fleet, { guild: GUILDS[4], on: b, by: [d, c] },
                async (call) => {
                    const from = since(b);
                    const start = now();
                    let unsure = null;
                    let gone = null;

                    fleet.cutFromEtcd(b);
                    await until('its guild to move', async () => {
                        const [is, at] = await Promise.all([
                            fleet.isRegistered(b),
                            fleet.serves(GUILDS[4].id)]);

                        if (/state UNSURE/.test(b.agent.text.slice(from))) {
                            unsure ??= now();
                        }
                        gone ??= is ? null : now();

                        return at !== b;
                    }, 30000, 5);
                    assert.ok(unsure, 'it knew before it was replaced');
                    t.diagnostic('UNSURE after '
                        + `${(unsure - start).toFixed(0)} ms, its key gone `
                        + `after ${(gone - start).toFixed(0)} ms`);
                    assert.equal(await moved(t, call, start, 2000), d);

                    /* what it does not hear of is compacted, too */

                    await fleet.assign(GUILDS[5].id, d);
                    await fleet.etcd.compact();
                    fleet.joinEtcd(b);
                    await fleet.isUp(b, from);
                    await fleet.agree();
                    assert.equal(await fleet.serves(GUILDS[4].id), d);
                    await call.heard(10);
                    await call.end();
                });
        });
});


describe('nodes that are lost', { concurrency: true }, () => {
    test('a host: all go elsewhere, a library as well', async (t) => {
        await withCall(fleet, { guild: GUILDS[6], on: a, by: [c, d] },
            async (call) => {
                const [{ user }] = call.talkers;
                const bot = await Bot.login(d.nginx, 'discordjs');

                await bot.join(GUILDS[6].id, GUILDS[6].channels[0].id);
                await bot.listen(user);
                await bot.heard(user, 10);

                const start = now();

                await fleet.kill(a);
                await call.moves(a);

                const ms = call.silence(start);
                const before = (await bot.heard(user)).length;

                t.diagnostic(`silence of ${ms.toFixed(0)} ms`);
                assert.ok(ms < 18000, `${ms} ms of silence`);
                await until('the library to hear again', async () =>
                    (await bot.heard(user)).length > before + 20, 20000, 100);
                await call.isTogether(4);
                assert.equal(call.listener.at, c);
                await bot.end();
                await call.end();
                await fleet.revive(a);
            });
    });

    test('a relay whose agent lives: at once', async (t) => {
        await withCall(fleet, { guild: GUILDS[7], on: b, by: [c, d] },
            async (call) => {
                const start = now();

                await fleet.killRelay(b);
                assert.equal(await moved(t, call, start, 6000), d);

                /* it comes back with all that it had */

                await fleet.restart(b);
                await until('it to be there', async () => (await
                fleet.registered(b)).st === 'up', 15000);
                assert.equal(await fleet.serves(GUILDS[7].id), d);
                await call.heard(10);
                await call.end();
            });
    });
});


/* A moderator silences a user, who leaves. */
async function muted(node, { id, channels }) {
    const t = await Traveller.join(fleet, node, id, channels[0].id);
    const from = t.gateway.mark;

    assert.equal((await rest(node.nginx, 'PATCH',
        `guilds/${id}/members/${t.user}`, { body: { mute: true },
            token: fleet.userToken(USER.owner) })).status, 200);
    await t.gateway.state(t.user, (s) => s.mute, { from });
    await t.leave();

    return t.user;
}


/* Until all nodes that are there have this session of a user, and no other. */
function isEverywhere(guild, user, session) {
    return until('all rosters to be right', async () => (await Promise.all(
        fleet.nodes.filter((n) => !fleet.stopped.has(n)).map(async (n) =>
            (await rest(n.nginx, 'GET', `/api/v1/guilds/${guild}/voice-states`,
                { token: fleet.platformToken() })).body)))
        .every((list) => list.length === 4
            && list.find((s) => s.user_id === user).session_id === session),
    20000, 100);
}


/*
 * Node a is gone, which was a user's gateway and no more: the user is heard
 * all along, and comes by another one.
 */
async function withoutGateway(guild, lose, comeBack) {
    await withCall(fleet, { guild, on: c, by: [d, c] }, async (call) => {
        const channel = guild.channels[0].id;
        const one = await Traveller.join(fleet, a, guild.id, channel);
        const heard = () => call.listener.streams(one.user).flat().length;
        const isHeard = async (n) => {
            const before = heard();

            await until('the user to be heard', () => heard() >= before + n);
        };
        const quiet = await muted(a, guild);

        one.talk();
        await isHeard(10);
        one.left = true;
        await lose(a);
        await isHeard(50);
        assert.ok(!one.voice.ws.ending);
        assert.deepEqual(call.listener.streams(one.user).map(missing), [0]);

        /* the session is not known there */

        const again = await GatewayClient.open(d.nginx, { user: one.user });

        again.sayResume({ session: one.gateway.session,
            seq: one.gateway.seq });
        assert.equal((await again.next(GW.INVALID)).d, false);
        await again.close();

        const two = await Traveller.join(fleet, d, guild.id, channel,
            { user: one.user });

        await one.leave();
        assert.equal(two.at, c);
        two.talk();
        await isHeard(25);
        await isEverywhere(guild.id, one.user, two.gateway.session);
        await comeBack(a);
        await isEverywhere(guild.id, one.user, two.gateway.session);
        await isHeard(25);

        /* whom a moderator has silenced is so, whatever the node forgot */

        const three = await Traveller.join(fleet, a, guild.id, channel,
            { user: quiet });

        await three.gateway.state(quiet, (s) => s.mute);
        assert.equal(three.at, c);
        three.talk();
        await isHeard(25);
        assert.equal(call.listener.streams(quiet).flat().length, 0);
        assert.equal(two.voices.length, 1, 'the user was moved');
        await three.leave();
        await two.leave();
        await call.endsUnbroken();
    });
}


describe('a gateway that is lost', () => {
    test('its relay: its users are heard, and come by another node', () =>
        withoutGateway(GUILDS[8], (node) => fleet.killRelay(node),
            (node) => fleet.restart(node)));

    test('its host: the same, and mutes outlive its memory', () =>
        withoutGateway(GUILDS[9], (node) => fleet.kill(node),
            (node) => fleet.revive(node)));
});
