/*
 * Copyright (C) ngx-voice contributors
 *
 * make bench: what a packet costs, and what the machine can carry.
 *
 *   run.mjs [NAME...]    of the sections below, default all of them
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


/* { worker, url, args, nginx } of a server that ends with the work. */
async function withServer({ relay = '', zone = 16384 } = {}, work) {
    const file = `/dev/shm/ngx-voice-bench-${process.pid}.zone`;
    const nginx = await Nginx.start({
        workers: 1,
        connections: 19000,
        main: `worker_cpu_affinity ${WORKER_CPU ? '10' : '1'};
worker_rlimit_nofile 20000;`,
        zone: `${file} sessions=${zone}`,
        relay: `voice_relay advertise=127.0.0.1 ${relay};`,
        relays: [{ listen: '127.0.0.1', params: 'reuseport rcvbuf=4m' }],

        /* what is measured is packets, each of them */
        http: 'voice_signal_rate off; voice_heartbeat 300s;',
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


async function bench({ nginx, worker }, options, ...flags) {
    const args = { url: `ws://127.0.0.1:${nginx.http}`, key: nginx.keyFile,
        pid: worker, 'worker-cpu': WORKER_CPU, 'client-cpu': CLIENT_CPU,
        seconds: SECONDS, repeat: REPEAT, ...options };
    const command = [...REALTIME, join(OBJECTS, 'bench_relay'),
        ...Object.entries(args).map(([k, v]) => `--${k}=${v}`),
        ...flags.map((flag) => `--${flag}`)];

    const { stdout } = await promisify(execFile)(command[0],
        command.slice(1).map(String), { maxBuffer: 1 << 24 });

    return JSON.parse(stdout);
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
     * they are silent, then they talk in turns, so that nothing is in a cache.
     */
    async sessions() {
        const list = [];

        for (const [rooms, loud] of [[10, 10], [990, 10], [990, 990]]) {
            const s = summary(await withServer({}, (server) =>
                bench(server, { rooms, loud, participants: 10, talkers: 2,
                    pps: 500 / loud, mode: GCM }, 'floor', 'latency')));

            list.push({ ...s, loud });
        }

        say('More sessions, the same packets\n');
        costs(list, (s) => `${kind(s)} in ${s.loud}`);

        return list;
    },

    /* nobody talks: keep-alives and heartbeats are all there is */
    async idle() {
        const all = [];

        for (const rooms of [1, 1000]) {
            const { idle } = await withServer({}, (server) =>
                bench(server, { rooms, participants: rooms > 1 ? 9 : 2,
                    mode: GCM, idle: 15 }));

            all.push({ sessions: rooms > 1 ? rooms * 9 : 2,
                cpu: idle.cpu_ns / idle.wall_ns,
                wakes: idle.wakes / idle.wall_ns * 1e9 });
        }

        say('Nobody talks\n');
        table(['sessions', 'CPU %', 'wake-ups/s'], all.map((s) =>
            [`${s.sessions}`, digits(100 * s.cpu, 3), digits(s.wakes, 1)]));

        return all;
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

for (const name of names.length ? names : Object.keys(sections)) {
    result[name] = await sections[name]();
    writeFileSync(file, `${JSON.stringify(result, null, 1)}\n`);
}

if (result.rooms) {
    writeFileSync(join(folder, 'cost.svg'), chart(result));
    say(`${join(folder, 'cost.svg')}: cost over room size`);
}

say(file);
