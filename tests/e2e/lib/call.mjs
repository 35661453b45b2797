/*
 * Copyright (C) ngx-voice contributors
 *
 * A call in a fleet: two voicectl that talk, and one who listens to both.
 * All of them come by the main gateway, and follow it by themselves.
 */

import assert from 'node:assert/strict';

import { Traveller } from './fleet.mjs';
import { newUser } from './member.mjs';
import { voicectl } from './voicectl.mjs';
import { now, until, within } from './wait.mjs';


/* Packets that are missing within a stream, by its sequence numbers. */
export function missing(packets) {
    const seen = new Set();
    let last = packets[0]?.seq ?? 0;
    let first = 0;
    let at = 0;
    let end = 0;

    for (const { seq } of packets) {
        at += ((seq - last + 0x8000) & 0xffff) - 0x8000;
        last = seq;
        seen.add(at);
        first = Math.min(first, at);
        end = Math.max(end, at);
    }

    return end - first + 1 - seen.size;
}


export class Call {
    /* by: the nodes at whose gateways they come, in turn */
    static async start(fleet, guild, by) {
        const c = new Call();
        const channel = guild.channels[0].id;

        Object.assign(c, { fleet, guild: guild.id, channel,
            talkers: [] });
        c.listener = await Traveller.join(fleet, by[0], guild.id, channel);
        c.home = c.listener.at;
        for (const i of [0, 1]) {
            const node = by[(i + 1) % by.length];
            const user = newUser();

            c.talkers.push({ user, ctl: voicectl('call', '--gateway',
                `wss://127.0.0.1:${node.nginx.https}/gateway`,
                '--ca', node.nginx.cert, '--key', node.nginx.keyFile,
                '--user', user, '--guild', guild.id, '--channel', channel,
                '--stamp', '--verbose', '--json') });
        }
        await c.heard(25, c.home).catch((e) => {
            c.destroy();
            throw e;
        });

        return c;
    }

    said() {
        return this.talkers.map(({ user, ctl }) =>
            `--- user ${user}\n${ctl.stderr}`).join('\n');
    }

    /* Until the listener hears n more packets of both by some server. */
    async heard(n, at = this.listener.at, ms = 15000) {
        const count = () => this.talkers.map(({ user }) =>
            this.listener.streams(user).flat().length);
        const before = count();

        await until(`voice at ${at.name}`, () => this.listener.at === at
            && count().every((k, i) => k >= before[i] + n), ms).catch((e) => {
            throw new Error(`${e.message}\n${this.said()}`);
        });
    }

    /* How many a server has who are connected to it. */
    static async present(node) {
        const { sessions } = await node.nginx.status();

        return sessions.live - sessions.detached;
    }

    /* Until all are at another server than this and hear each other there. */
    async moves(from, ms = 30000) {
        const { listener } = this;

        await until('another server', () => listener.at !== from, ms);
        await until(`both at ${listener.at.name}`, async () =>
            await Call.present(listener.at) >= 3, ms, 20).catch((e) => {
            throw new Error(`${e.message}\n${this.said()}`);
        });
        await this.heard(25);
    }

    /* The longest time without one of the talkers since then, ms. */
    silence(from) {
        return Math.max(...this.talkers.map(({ user }) => {
            const times = this.listener.streams(user).flat()
                .map((p) => p.at).filter((t) => t >= from)
                .sort((a, b) => a - b);

            return Math.max(...[...times, now()].map((t, i) =>
                t - (i ? times[i - 1] : from)));
        }));
    }

    /* All are on one server, the one that etcd names, and nobody elsewhere. */
    async isTogether(n = 3) {
        const { fleet, guild } = this;
        const place = await fleet.serves(guild);

        assert.equal(this.listener.at.name, place.name);
        await until(`${n} at ${place.name} alone`, async () => {
            const live = await Promise.all(fleet.nodes.filter((node) =>
                !fleet.stopped.has(node) && node.region === place.region)
                .map(async (node) => [node, await Call.present(node)]));

            return live.every(([node, m]) => m === (node === place ? n : 0));
        }, 20000, 50);
    }

    /* Ends it.  Nobody has moved, nothing is missing, nothing was left out. */
    async endsUnbroken() {
        const { listener, talkers } = this;

        await this.heard(10);
        assert.equal(listener.voices.length, 1, 'the listener was moved');
        assert.deepEqual(talkers.map(({ user }) =>
            listener.streams(user).map(missing)), [[0], [0]]);
        for (const r of await this.end()) {
            assert.deepEqual([r.lost, r.duplicated, r.servers, r.reconnects,
                r.rejoins], [0, 0, 0, 0, 0], JSON.stringify(r));
        }
    }

    /* Ends it; gives what both say of it. */
    async end() {
        for (const { ctl } of this.talkers) {
            ctl.kill('SIGINT');
        }

        const said = await Promise.all(this.talkers.map(({ ctl }) =>
            ctl.json(20000)));

        await this.listener.leave();

        return said;
    }

    /* After a failure. */
    destroy() {
        for (const { ctl } of this.talkers) {
            ctl.kill('SIGKILL');
        }
        this.listener.left = true;
        this.listener.voices.forEach((v) => v.destroy());
        this.listener.gateway.destroy();
    }
}


/*
 * Runs with a call of a guild that is on a node; others are their gateways.
 * body(call) ends it, in 90 seconds.
 */
export async function withCall(fleet, { guild, on, by }, body) {
    await fleet.assign(guild.id, on);
    await until('the guild to be known', async () => (await Promise.all(
        by.map((n) => fleet.knows(n)))).every((k) => k[guild.id]), 10000, 50);

    const call = await Call.start(fleet, guild, by);

    try {
        assert.equal(call.home.name, on.name);
        return await within('the call', body(call), 90000);
    } catch (e) {
        call.destroy();
        throw new Error(`${e.message}\n${fleet.nodes.map((n) =>
            `--- agent ${n.name}\n${n.agent.text.slice(-1500)}`).join('\n')}`
            + `\n${call.said()}`, { cause: e });
    }
}
