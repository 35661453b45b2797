/*
 * Copyright (C) ngx-voice contributors
 *
 * make bench: what a packet costs, and what the machine can carry.
 *
 *   run.mjs [NAME...]    of the sections below, default all but `profile`
 *
 * One nginx worker on one core, its clients on another.  Costs are the
 * worker's own CPU time, softirqs included, over the packets that arrived;
 * beside each of them, in turns with it, the floor: a bare sendmmsg() program
 * on the worker's core that sends the same datagrams to the same sockets.
 * Medians of BENCH_REPEAT turns (default 5) of BENCH_SECONDS (default 2).
 *
 * Text goes to standard output; BUILD/bench/ gets result.json and cost.svg.
 * Where the system allows it all of it runs with real-time priority, or else
 * other programs of the machine would be measured too.
 */

import { execFile, execFileSync, spawn } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout } from 'node:timers/promises';
import { promisify } from 'node:util';

import { BUILD, Nginx } from '../e2e/lib/nginx.mjs';
import { chart } from './chart.mjs';


const REPEAT = Number(process.env.BENCH_REPEAT ?? 5);
const SECONDS = Number(process.env.BENCH_SECONDS ?? 2);
const OBJECTS = process.env.BENCH_OBJECTS ?? join(BUILD, 'gcc');
const VOICECTL = process.env.VOICECTL ?? join(BUILD, 'voicectl');

const CLIENT_CPU = 0;
const WORKER_CPU = cpus().length > 1 ? 1 : 0;

const GCM = 'aead_aes256_gcm_rtpsize';
const XCHACHA = 'aead_xchacha20_poly1305_rtpsize';
const XSALSA = 'xsalsa20_poly1305_lite_rtpsize';
const MODES = [GCM, XCHACHA, XSALSA];

/* each about 100 000 packets a second out, the smallest ones less */
const ROOMS = [
    { rooms: 100, participants: 2, talkers: 1 },
    { rooms: 100, participants: 2, talkers: 2 },
    { rooms: 40, participants: 5, talkers: 2 },
    { rooms: 42, participants: 25, talkers: 2 },
    { rooms: 3, participants: 100, talkers: 8 },
    { rooms: 1, participants: 100, talkers: 100, pps: 10 },
    { rooms: 1, participants: 1000, talkers: 2 }
];


/* Real-time priority, if we may. */
const REALTIME = (() => {
    try {
        execFileSync('chrt', ['-f', '1', 'true'], { stdio: 'ignore' });
        return ['chrt', '-f', '1'];
    } catch {
        return [];
    }
})();


const sorted = (list) => list.toSorted((a, b) => a - b);
const median = (list) => sorted(list)[list.length >> 1];
const digits = (n, d = 2) => n.toFixed(d);
const say = (text = '') => process.stdout.write(`${text}\n`);


function table(head, rows) {
    const width = head.map((h, i) =>
        Math.max(h.length, ...rows.map((row) => row[i].length)));

    for (const row of [head, ...rows]) {
        say(`  ${row.map((text, i) => i === 0 ? text.padEnd(width[i])
            : text.padStart(width[i])).join('  ')}`);
    }
    say();
}


let servers = 0;

/* { worker, nginx } of a server that ends with the work. */
async function withServer({ relay = '', zone = 16384, heartbeat = 300000 }
    = {}, work) {
    const file = `/dev/shm/ngx-voice-bench-${process.pid}-${servers++}.zone`;
    const nginx = await Nginx.start({
        workers: 1,
        connections: 19000,
        main: `worker_cpu_affinity ${WORKER_CPU ? '10' : '1'};
worker_rlimit_nofile 20000;`,
        zone: `${file} sessions=${zone}`,
        relay: `voice_relay advertise=127.0.0.1 ${relay};`,
        relays: [{ listen: '127.0.0.1', params: 'reuseport rcvbuf=4m' }],

        /* what is measured is packets, each of them */
        http: `voice_signal_rate off; voice_heartbeat ${heartbeat}ms;`,
        stream: 'voice_max_speakers off;'
    });
    const [worker] = nginx.workers();

    if (REALTIME.length) {
        execFileSync('chrt', ['-f', '-p', '1', String(worker)]);
    }

    try {
        return await work({ nginx, worker });
    } finally {
        await nginx.stop();
        for (const name of [file, `${file}.guilds`]) {
            rmSync(name, { force: true });
        }
    }
}


/* bench_relay for a server: [file, arguments] */
function command({ nginx, worker }, options, flags) {
    const args = { url: `ws://127.0.0.1:${nginx.http}`, key: nginx.keyFile,
        pid: worker, 'worker-cpu': WORKER_CPU, 'client-cpu': CLIENT_CPU,
        seconds: SECONDS, repeat: REPEAT, ...options };
    const [file, ...rest] = [...REALTIME, join(OBJECTS, 'bench_relay'),
        ...Object.entries(args).map(([k, v]) => `--${k}=${v}`),
        ...flags.map((flag) => `--${flag}`)];

    return [file, rest];
}


async function bench(server, options, ...flags) {
    const { stdout } = await promisify(execFile)(
        ...command(server, options, flags), { maxBuffer: 1 << 24 });

    return JSON.parse(stdout);
}


/*
 * One that stays with its members and does a run when it is told: servers and
 * kinds of traffic are compared in turns by it.
 */
async function withSteps(server, options, work, ...flags) {
    const child = spawn(...command(server, options, ['steps', ...flags]),
        { stdio: ['pipe', 'pipe', 'inherit'] });
    const ended = new Promise((resolve) => {
        child.once('close', resolve);
    });
    const lines = createInterface({ input: child.stdout })[
        Symbol.asyncIterator]();
    const line = async () => {
        const { value, done } = await lines.next();

        if (done) {
            throw new Error('bench_relay ended; see above');
        }

        return value;
    };

    try {
        await line();
        return await work(async (kind, loud, pps) => {
            child.stdin.write(`${kind} ${loud} ${pps}\n`);
            return JSON.parse(await line())[kind];
        });
    } finally {
        child.stdin.end();
        await ended;
    }
}


const cost = (run) => run.cpu_ns / run.packets / 1000;

/* What came of one kind of room: us, and the share of user time. */
function summary(result) {
    const relay = sorted(result.runs.map((r) => cost(r.relay)));
    const floor = sorted(result.runs.flatMap((r) =>
        r.floor ? [cost(r.floor)] : []));
    const sum = (what) => result.runs.reduce((n, r) => n + r.relay[what], 0);

    return {
        rooms: result.rooms, participants: result.participants,
        talkers: result.talkers, mode: result.mode,
        relay: [relay[0], median(relay), relay.at(-1)],
        floor: floor.length
            ? [floor[0], median(floor), floor.at(-1)] : undefined,
        ratio: floor.length ? median(relay) / median(floor) : undefined,
        user: sum('user_ns') / (sum('user_ns') + sum('sys_ns')),
        rate: sum('packets') / sum('wall_ns') * 1e9,
        lost: sum('expected') - sum('packets'),
        strange: sum('strange'),
        behind: Math.max(...result.runs.map((r) => r.relay.behind_us)),
        latency: result.timed?.latency_us
    };
}


const spread = ([min, mid, max]) =>
    `${digits(mid)} (${digits(min)}-${digits(max)})`;
const kind = (s) => `${s.rooms} x ${s.participants}, ${s.talkers} talk`;
const ms = (us) => digits(us / 1000);


const range = (list) => [Math.min(...list), median(list), Math.max(...list)];


/* What a worker that serves nobody uses. */
async function alone({ worker }, seconds) {
    const cpu = () => Number(readFileSync(`/proc/${worker}/schedstat`, 'utf8')
        .split(' ')[0]);
    const wakes = () => Number(readFileSync(`/proc/${worker}/status`, 'utf8')
        .match(/^voluntary_ctxt_switches:\s*(\d+)/m)[1]);
    const old = [cpu(), wakes()];

    await setTimeout(1000 * seconds);

    return { cpu: (cpu() - old[0]) / 1e9 / seconds,
        wakes: (wakes() - old[1]) / seconds,
        keepalives: 0, heartbeats: 0, others: 0 };
}


/*
 * The same with members: what they sent is counted a little longer, from the
 * look before until the look behind.
 */
async function silence({ nginx }, run) {
    const look = async () => ({ at: performance.now(),
        ...await nginx.metrics() });
    const old = await look();
    const { cpu_ns, wall_ns, wakes } = await run('idle', 0, 0);
    const now = await look();
    const rate = (name) => (now[name] - old[name]) * 1000 / (now.at - old.at);
    const keepalives = rate('voice_control_total{kind="keepalive"}');

    return { cpu: cpu_ns / wall_ns, wakes: wakes / wall_ns * 1e9, keepalives,
        heartbeats: rate('voice_websocket_messages_total{direction="rx"}'),
        others: rate('voice_rx_packets_total') - keepalives };
}


/*
 * [[function, percent]] of a process while some work is done: its own, and
 * the kernel's as one.
 */
async function sampled(pid, work) {
    const data = join(BUILD, 'bench', 'perf.data');
    const perf = spawn('perf', ['record', '-e', 'cpu-clock', '-F', '4999',
        '-p', `${pid}`, '-o', data], { stdio: 'ignore' });
    const ended = new Promise((resolve, reject) => {
        perf.once('close', resolve);
        perf.once('error', reject);
    });

    await Promise.race([work(), ended]);
    perf.kill('SIGINT');
    await ended;

    const text = execFileSync('perf', ['report', '-i', data, '--stdio', '-n',
        '--no-children', '--sort', 'symbol'], { encoding: 'utf8',
        maxBuffer: 1 << 26, stdio: ['ignore', 'pipe', 'ignore'] });
    const samples = new Map();
    let sum = 0;

    for (const [, n, space, symbol] of text.matchAll(
        /^ +[\d.]+% +(\d+) +\[(.)\] +(\S+)/gm)) {
        const name = space === 'k' ? 'the kernel' : symbol;

        samples.set(name, (samples.get(name) ?? 0) + Number(n));
        sum += Number(n);
    }

    return [...samples].map(([name, n]) => [name, 100 * n / sum])
        .sort((a, b) => b[1] - a[1]);
}


/* Runs of relay and floor for each shape, at 90 000 packets a second out. */
async function inTurns(shapes) {
    const all = shapes.map((s) => ({ ...s, turns: [], rate: 0, lost: 0 }));

    for (let turn = 0; turn <= 6 * REPEAT; turn++) {
        for (const s of all) {
            const pps = 10000 / (2 * s.loud);
            const relay = await s.run('relay', s.loud, pps);
            const floor = await s.run('floor', s.loud, pps);

            /* the first one only warms up */

            if (turn !== 0) {
                s.turns.push({ relay: cost(relay), floor: cost(floor) });
                s.lost += relay.expected - relay.packets;
                s.rate += relay.packets / relay.wall_ns * 1e9 / 6 / REPEAT;
            }
        }
    }

    return all;
}


function costs(list, name = kind) {
    table(['rooms', 'packets/s', 'relay us', 'floor us', 'ratio', 'lost',
        'p50 ms', 'p99 ms'],
    list.map((s) => [name(s), digits(s.rate, 0), spread(s.relay),
        s.floor ? spread(s.floor) : '-', s.ratio ? digits(s.ratio) : '-',
        `${s.lost}`, ms(s.latency.p50), ms(s.latency.p99)]));
}


const sections = {

    /* (a) the kernels alone */
    async crypto() {
        const { stdout } = await promisify(execFile)(
            REALTIME[0] ?? 'env', [...REALTIME.slice(1),
                join(OBJECTS, 'bench_crypto')]);
        const result = JSON.parse(stdout);

        say('100 bytes sealed for 16 receivers, or opened from 16 senders: ns '
            + 'for each of them, and times as fast as libsodium (min-max)\n');
        table(['what', 'cipher', ...Object.keys(result[0].ns)],
            result.map((r) => [r.what, r.cipher, ...Object.entries(r.ns).map(
                ([name, n]) => n === null ? '-' : `${digits(n[1], 0)}`
                + (name === 'libsodium' ? ''
                    : ` (${digits(r.times[name][1], 1)}`
                    + `x, ${digits(r.times[name][0], 1)}`
                    + `-${digits(r.times[name][2], 1)})`))]));

        return result;
    },

    /* (b) and (c), by size and mode */
    async rooms() {
        const all = [];

        for (const mode of MODES) {
            const list = [];

            for (const { pps = 50, ...room } of ROOMS) {
                list.push(summary(await withServer({}, (server) =>
                    bench(server, { ...room, pps, mode }, 'floor',
                        'latency'))));
            }

            say(`CPU of a forwarded packet, ${mode}\n`);
            costs(list);
            all.push(...list);
        }

        return all;
    },

    /* what reading once a millisecond saves, and what it costs */
    async window() {
        const all = [];

        for (const room of ROOMS.filter((r) => r.participants <= 5)) {
            for (const window of ['off', 'auto', '1ms']) {
                const s = summary(await withServer({ relay:
                    `window=${window}` }, (server) =>
                    bench(server, { ...room, mode: GCM }, 'latency')));

                all.push({ ...s, window });
            }
        }

        say('The batch window\n');
        costs(all, (s) => `${kind(s)}, window=${s.window}`);

        return all;
    },

    /* several packets to one receiver in one message, or one by one */
    async segment() {
        const all = [];

        for (const room of [{ rooms: 3, participants: 100, talkers: 8 },
            { rooms: 1, participants: 25, talkers: 25, pps: 160 }]) {
            for (const segment of ['off', 'on']) {
                const s = summary(await withServer({ relay:
                    `segment=${segment}` }, (server) =>
                    bench(server, { ...room, mode: GCM }, 'latency')));

                all.push({ ...s, segment });
            }
        }

        say('UDP_SEGMENT\n');
        costs(all, (s) => `${kind(s)}, segment=${s.segment}`);

        return all;
    },

    /*
     * The same packets a second with a hundred times the sessions: first
     * they are silent, then they talk in turns, so that nothing is in a
     * cache.  Many short runs in turns, for what else the machine does
     * changes more slowly.  The kernel has more in no cache, too: hence the
     * floor, which sends as often as the relay does, once a millisecond.
     * With segment=off, for in fewer rooms more packets would share one.
     */
    async sessions() {
        const members = { participants: 10, talkers: 2, mode: GCM,
            tick: 1000, seconds: SECONDS / 4 };
        const relay = 'segment=off';

        const shapes = await withServer({ relay }, (few) =>
            withServer({ relay }, (many) =>
                withSteps(few, { rooms: 10, ...members }, (runFew) =>
                    withSteps(many, { rooms: 990, ...members }, (runMany) =>
                        inTurns([
                            { name: '100', run: runFew, loud: 10 },
                            { name: '9900, of whom 100 talk', run: runMany,
                                loud: 10 },
                            { name: '9900 talk in turns', run: runMany,
                                loud: 990 }])))));

        const growth = (of) => (s) => s.turns.map((t, i) =>
            of(t) / of(shapes[0].turns[i]));
        const columns = {
            'relay us': (s) => s.turns.map((t) => t.relay),
            'floor us': (s) => s.turns.map((t) => t.floor),
            'growth': growth((t) => t.relay),
            'of the floor': growth((t) => t.floor),
            'ours': growth((t) => t.relay / t.floor)
        };

        say('More sessions, the same packets: median (min-max) of '
            + `${shapes[0].turns.length} turns\n`);
        table(['sessions', 'packets/s', ...Object.keys(columns), 'lost'],
            shapes.map((s) => [s.name, digits(s.rate, 0),
                ...Object.values(columns).map((f) => spread(range(f(s)))),
                `${s.lost}`]));

        return shapes.map(({ run, ...s }) => ({ ...s, ...Object.fromEntries(
            Object.entries(columns).map(([k, f]) => [k, range(f(s))])) }));
    },

    /*
     * Nobody talks: the worker has nothing to do but to answer keep-alives,
     * one of each client in 5 s, and heartbeats.
     */
    async idle() {
        const seconds = 15 * SECONDS;
        const all = [];

        for (const [rooms, heartbeat] of [[0], [990, 300000],
            [990, 13750]]) {
            all.push({ sessions: 10 * rooms, ...await withServer({ heartbeat },
                (server) => rooms === 0 ? alone(server, seconds)
                    : withSteps(server, { rooms, participants: 10, mode: GCM,
                        seconds }, (run) => silence(server, run), 'idle')) });
        }

        const [none, quiet, beating] = all;
        const us = (a, b, n) => (a.cpu - b.cpu) / n * 1e6;
        const each = { keepalive: us(quiet, none, quiet.keepalives),
            heartbeat: us(beating, quiet, beating.heartbeats
                - quiet.heartbeats) };

        say(`Nobody talks, for ${seconds} s\n`);
        table(['sessions', 'CPU %', 'wake-ups/s', 'keep-alives/s',
            'heartbeats/s', 'other datagrams/s'], all.map((s) =>
            [`${s.sessions}`, digits(100 * s.cpu, 3), digits(s.wakes, 1),
                digits(s.keepalives, 0), digits(s.heartbeats, 0),
                digits(s.others, 1)]));
        say(`  a keep-alive ${digits(each.keepalive, 1)} us, a heartbeat `
            + `${digits(each.heartbeat, 1)} us\n`);

        return { all, each };
    },

    /* (d) media while others join over TLS; the rate includes the start */
    async joins() {
        const all = [];

        for (const joins of [0, 700]) {
            all.push(await withServer({}, async (server) => {
                const { nginx } = server;
                const start = performance.now();
                const storm = joins === 0 ? null : spawn('taskset', ['-c',
                    `${CLIENT_CPU}`, ...REALTIME, VOICECTL, 'load', '--url',
                    `wss://127.0.0.1:${nginx.https}`, '--insecure',
                    '--key', nginx.keyFile, '--guild', '2000', '--channel',
                    '500000', '--user', '5000000', '--rooms', '4000',
                    '--participants', '2', '--talkers', '0', '--ramp',
                    `${joins}`, '--seconds', '0.1'], { stdio: 'ignore' });
                const ended = storm && new Promise((resolve) => {
                    storm.once('close', resolve);
                });
                const s = summary(await bench(server, { rooms: 10,
                    participants: 10, talkers: 2, mode: GCM, repeat: 1 },
                'latency'));
                const { identifies } = await nginx.status();

                storm?.kill('SIGTERM');
                await ended;

                return { ...s, joins: (identifies - 100) * 1000
                    / (performance.now() - start) };
            }));
        }

        say('Media while others join over TLS (ECDSA P-256)\n');
        costs(all, (s) => `${kind(s)}, ${digits(s.joins, 0)} joins/s`);

        return all;
    },

    /*
     * Where a worker's own time goes, by sampling; only when it is asked for,
     * as it needs perf and what it tells is a share, not a cost.
     */
    async profile() {
        const all = [];

        for (const { rooms, participants, talkers, pps = 50 } of [
            { rooms: 3, participants: 100, talkers: 8 },
            { rooms: 100, participants: 2, talkers: 2, pps: 500 }]) {
            const functions = await withServer({}, (server) =>
                withSteps(server, { rooms, participants, talkers, mode: GCM,
                    seconds: 10 * SECONDS }, (run) =>
                    sampled(server.worker, () => run('relay', rooms, pps))));

            say(`${kind({ rooms, participants, talkers })}: percent of the `
                + "worker's time\n");
            table(['function', '%'], functions.slice(0, 24).map(
                ([name, share]) => [name, digits(share)]));
            all.push({ rooms, participants, talkers, pps, functions });
        }

        return all;
    },

    /* (e) what one worker carries */
    async capacity() {
        const all = [];

        for (const room of [
            { rooms: 306, participants: 10, talkers: 1, pps: 51.3 },
            { rooms: 3, participants: 100, talkers: 8, pps: 50 },
            { rooms: 100, participants: 2, talkers: 2, pps: 100 }]) {

            const r = await withServer({}, (server) =>
                bench(server, { ...room, mode: GCM }, 'capacity'));

            all.push({ ...room, good: r.good,
                rate: r.best.packets / r.best.wall_ns * 1e9,
                cpu: r.best.cpu_ns / r.best.wall_ns,
                latency: r.best.latency_us });
        }

        say('The highest rate with nothing lost and p99 below 5 ms\n');
        table(['rooms', 'packets/s out', 'of a talker', 'CPU %', 'p50 ms',
            'p99 ms'],
        all.map((s) => [kind(s), digits(s.rate, 0), digits(s.good, 0),
            digits(100 * s.cpu, 0), ms(s.latency?.p50 ?? NaN),
            ms(s.latency?.p99 ?? NaN)]));

        return all;
    }
};


const names = process.argv.slice(2);
const wrong = names.filter((name) => !(name in sections));

if (wrong.length) {
    say(`"${wrong[0]}": expected ${Object.keys(sections).join(', ')}`);
    process.exit(2);
}

const folder = join(BUILD, 'bench');
const file = join(folder, 'result.json');
const result = { machine: `${cpus().length} x ${cpus()[0].model}`,
    kernel: readFileSync('/proc/sys/kernel/osrelease', 'utf8').trim(),
    realtime: REALTIME.length !== 0, repeat: REPEAT, seconds: SECONDS };

say(`${result.machine}, Linux ${result.kernel}${result.realtime ? ''
    : '; without real-time priority, on a machine that should be idle'}\n`);

mkdirSync(folder, { recursive: true });

const usual = Object.keys(sections).filter((name) => name !== 'profile');

for (const name of names.length ? names : usual) {
    result[name] = await sections[name]();
    writeFileSync(file, `${JSON.stringify(result, null, 1)}\n`);
}

if (result.rooms) {
    writeFileSync(join(folder, 'cost.svg'), chart(result));
    say(`${join(folder, 'cost.svg')}: cost over room size`);
}

say(file);
