/*
 * Copyright (C) ngx-voice contributors
 *
 * make bench-fleet: what the discovery agent takes and how fast it is, with
 * one etcd and all agents on this machine; and how long those who talk hear
 * nothing when something fails.
 *
 *   fleet.mjs [join|move|many|faults]...     default all of them; so BENCH
 */

import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

import { agree, fleet } from '../e2e/lib/agent.mjs';
import { missing, plainGuild, withCall } from '../e2e/lib/call.mjs';
import { Etcd } from '../e2e/lib/etcd.mjs';
import { Fleet } from '../e2e/lib/fleet.mjs';
import { BUILD } from '../e2e/lib/nginx.mjs';
import { now, until } from '../e2e/lib/wait.mjs';


const TICKS = Number(execFileSync('getconf', ['CLK_TCK']).toString());

const at = (sorted, share) =>
    sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))];


async function withFleet(n, options, body) {
    const etcd = await Etcd.start();
    let agents = [];

    try {
        agents = await fleet(n, { region: 'eu', endpoints: [etcd.url],
            ...options });
        await body(agents, etcd);
    } finally {
        await Promise.all(agents.map((a) => a.stop()));
        await etcd.stop();
    }
}


/* User and system time of a process in s, and its memory in MiB. */
function usage(pid) {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
        .replace(/^.*\) /, '').split(' ');
    const rss = /VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`,
        'utf8'))[1];

    return { cpu: (Number(stat[11]) + Number(stat[12])) / TICKS,
        rss: rss / 1024 };
}


/* One first join after the other, and 1000 at once by each of eight. */
async function joins() {
    await withFleet(8, { capacity: 100000 }, async (agents) => {
        const took = [];

        for (let i = 0; i < 1000; i++) {
            const begun = now();

            await agents[i % 8].join(1000000 + i);
            took.push(now() - begun);
        }

        took.sort((a, b) => a - b);
        console.log(`first join        p50 ${at(took, 0.5).toFixed(1)} ms, `
            + `p99 ${at(took, 0.99).toFixed(1)} ms, with the way to the `
            + 'worker and back');

        const begun = now();
        const answers = await Promise.all(agents.map((a) =>
            a.ask('bench', 1000, 1)));

        console.log(`8 x 1000 at once  ${(now() - begun).toFixed(0)} ms, `
            + `${answers.map((a) => a.ok).join(' ')} answered`);
        await agree(agents);
    });
}


/* 3000 guilds of a node that is lost, by four others. */
async function moves() {
    await withFleet(5, { capacity: 100000, etcd: { ttl: 2 } },
        async (agents, etcd) => {
            const [lost, ...rest] = agents;

            await etcd.fill(Array.from({ length: 3000 }, (_, i) =>
                [`rv1/eu/a/${i + 1}`, { s: 'n0', e: lost.boot }]));
            await agree(agents);
            await lost.kill();
            await until('its end', async () =>
                (await rest[0].nodes()).n0.flags === 0, 10000, 5);

            const begun = now();

            await until('3000 guilds', async () => {
                const g = Object.values(await rest[0].guilds());
                return g.every(([n]) => n !== 'n0');
            }, 20000, 20);
            console.log(`3000 guilds       ${(now() - begun).toFixed(0)} ms `
                + 'from the end of their node, 500 ms of grace included, '
                + '4 agents');
        });
}


/* A region of 64 on this machine, nobody joining. */
async function many() {
    await withFleet(64, { conf: { load: { period_ms: 2000 }, guilds: 1024 } },
        async (agents, etcd) => {
            const pids = agents.map((a) => a.child.pid);

            await delay(3000);

            const before = pids.map(usage);
            const etcdBefore = usage(etcd.child.pid).cpu;
            const begun = now();

            await delay(10000);

            const seconds = (now() - begun) / 1000;
            const after = pids.map(usage);
            const share = after.map((u, i) =>
                100 * (u.cpu - before[i].cpu) / seconds);
            const rss = after.map((u) => u.rss);

            console.log('64 agents         each '
                + `${(share.reduce((a, b) => a + b) / 64).toFixed(2)} % of a `
                + `core (most ${Math.max(...share).toFixed(2)}), `
                + `${Math.max(...rss).toFixed(1)} MiB at most; etcd `
                + `${(100 * (usage(etcd.child.pid).cpu - etcdBefore)
                    / seconds).toFixed(0)} %`);
        });
}


/*
 * A call on one node of three, again and again, and something happens to
 * that node.  fail(node) does it, heal(node) ends it.
 */
async function silences(fleet, guilds, { name, times, fail, heal }) {
    const took = [];

    for (let i = 0; i < times; i++) {
        const guild = guilds.shift();
        const on = fleet.nodes[i % 3];
        const by = fleet.nodes.filter((n) => n !== on);

        await withCall(fleet, { guild, on, by }, async (call) => {
            const start = now();

            await fail(on);
            await call.moves(on);
            took.push(call.silence(start));
            await call.end();
        });
        await heal(on);
    }

    took.sort((a, b) => a - b);

    const s = (ms) => `${(ms / 1000).toFixed(2).padStart(6)} s`;

    console.log(`${name.padEnd(28)} ${String(times).padStart(3)} times `
        + `${s(took[0])} ${s(at(took, 0.5))} ${s(took.at(-1))}`);
}


/* etcd is away for 15 s. */
async function withoutEtcd(fleet, guild) {
    const [on, ...by] = fleet.nodes;

    await withCall(fleet, { guild, on, by }, async (call) => {
        const start = now();

        await fleet.etcd.kill();
        await delay(15000);
        await call.heard(10);

        const ms = call.silence(start);
        const packets = call.talkers.map(({ user }) =>
            call.listener.streams(user));

        console.log(`${'etcd killed for 15 s'.padEnd(28)}           `
            + `${packets.map((p) => p.map(missing)).flat()
                .reduce((a, b) => a + b)} of ${packets.flat(2).length} `
            + `packets lost, longest gap ${ms.toFixed(0)} ms`);
        await fleet.etcd.run();
        await call.end();
    });
}


async function faults() {
    const guilds = Array.from({ length: 50 }, (_, i) => plainGuild(i));
    const fleet = await Fleet.start({ more: guilds, agent: { fleet:
        { drain_after: 0, drain_percent: 50 } } });

    try {
        console.log(`ttl ${fleet.ttl} s, silence:                      min   `
            + 'median      max');
        await silences(fleet, guilds, { name: 'relay killed, agent alive',
            times: 10, fail: (n) => fleet.killRelay(n),
            heal: async (n) => {
                await fleet.restart(n);
                await until('it to be up', async () =>
                    (await fleet.registered(n)).st === 'up', 15000);
            } });
        await silences(fleet, guilds, { name: 'drain', times: 10,
            fail: (n) => fleet.order(n, 'drain'),
            heal: (n) => fleet.allow(n) });
        await silences(fleet, guilds, { name: 'host lost', times: 20,
            fail: (n) => fleet.kill(n), heal: (n) => fleet.revive(n) });
        await withoutEtcd(fleet, guilds.shift());
    } finally {
        await fleet.stop();
    }
}


const sections = { join: joins, move: moves, many, faults };
const chosen = [...process.argv.slice(2),
    ...(process.env.BENCH ?? '').split(' ').filter(Boolean)];

for (const name of chosen) {
    if (!sections[name]) {
        console.error(`bench-fleet: "${name}" is none of `
            + Object.keys(sections).join(', '));
        process.exit(2);
    }
}

console.log(`${cpus().length} cores, ${cpus()[0].model}`);

if (chosen.length === 0) {
    console.log(execFileSync(join(BUILD, 'gcc', 'bench_assign')).toString());
}

for (const name of chosen.length ? chosen : Object.keys(sections)) {
    await sections[name]();
}
