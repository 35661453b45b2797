/*
 * Copyright (C) ngx-voice contributors
 *
 * Random faults for as many seconds as the command line says, with some 200
 * sessions that come and go.  At the end the zone is consistent, the books
 * are balanced, nobody is left in the zone, and no nonce was used twice.
 */

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

import { balance } from '../e2e/lib/accounts.mjs';
import { newRoom } from '../e2e/lib/member.mjs';
import { Nginx, children, isRunning } from '../e2e/lib/nginx.mjs';
import { now, until } from '../e2e/lib/wait.mjs';
import { connection, voicectl } from '../e2e/lib/voicectl.mjs';


const SECONDS = Number(process.argv[2]);
const SEED = Number(process.env.SOAK_SEED ?? Math.floor(Math.random() * 2e9));

const CROWDS = 5;          /* of 40, each with a voicectl of its own */
const BATCH = 64;          /* datagrams in the hands of a worker at most */
const RECEIVERS = 9;
const WINDOW = 20;         /* seconds to resume in */


/* mulberry32 */
let state = SEED;

function random() {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);

    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
}

const below = (n) => Math.floor(random() * n);
const pick = (list) => list[below(list.length)];

const say = (...what) => console.log(
    `${(now() / 1000).toFixed(1).padStart(7)} s `, ...what);


const total = { runs: 0, joined: 0, missed: 0, dropped: 0, expected: 0,
    lost: 0, reordered: 0, duplicated: 0, undecryptable: 0, foreign: 0,
    nonces: 0, nonces_reused: 0, reconnects: 0 };
let kills = 0;
let over = false;


/* One crowd after the other until the time is over. */
async function crowds(nginx, number) {
    while (!over) {
        const rooms = pick([4, 8]);
        const load = voicectl('load', ...connection(nginx, { ...newRoom(),
            user: 1000000 * (number + 1) }), '--rooms', rooms,
        '--participants', 40 / rooms, '--talkers', 2, '--mode', 'mix',
        '--seconds', 5 + below(25), '--allow-loss', 100, '--nonces',
        '--json');
        const { stdout, stderr, code } = await load.ended;

        if (stdout === '') {
            /* nobody got in: nginx was away */
            say(`crowd ${number}: ${stderr.trim().split('\n')[0]}`);
            await delay(200);
            continue;
        }

        const s = JSON.parse(stdout);
        const [, failed, gone] = /(\d+) of \d+ participants did not join, (\d+)/
            .exec(stderr) ?? [0, 0, 0];

        total.runs++;
        total.joined += s.participants;
        total.missed += Number(failed);
        total.dropped += Number(gone);
        for (const name of Object.keys(total).slice(4)) {
            total[name] += s[name];
        }
        if (code !== 0 && (!/did not join/.test(stderr) || gone > 0)) {
            say(`crowd ${number}: ${stderr.trim()}`);
        }
    }
}


const kill = (pid, signal = 'SIGKILL') => {
    try {
        process.kill(pid, signal);
        kills += signal === 'SIGKILL';
    } catch {
        /* gone already */
    }
};

const full = (nginx) => until('all workers', async () =>
    nginx.workers().length >= nginx.options.workers
    && await nginx.responds(), 20000);

const reload = (nginx, more) => nginx.reload({ ...nginx.options, ...more });


/* A second master, whose predecessor's pid and workers are returned. */
async function upgrade(nginx) {
    const old = nginx.pid;

    process.kill(old, 'SIGUSR2');
    await until('a new master', () => {
        try {
            return existsSync(join(nginx.dir, 'nginx.pid.oldbin'))
                && Number(readFileSync(join(nginx.dir, 'nginx.pid'))) !== old
                && nginx.workers().length === nginx.options.workers;
        } catch {
            return false;
        }
    }, 20000);

    const retired = children(old).filter((pid) => pid !== nginx.pid);

    process.kill(old, 'SIGWINCH');
    await until('the old workers to retire', () => retired.every((pid) =>
        !isRunning(pid) || nginx.retired([pid])), 20000);

    return { old, retired };
}


const FAULTS = {
    'reload': (nginx) => reload(nginx, {}),
    'reload with other workers': (nginx) => reload(nginx,
        { workers: 1 + below(4) }),
    'reload with other directives': (nginx) => reload(nginx,
        { http: `voice_heartbeat ${5000 + below(9000)}ms;` }),
    'new certificate': (nginx) => {
        nginx.certify();
        return reload(nginx, {});
    },
    'a worker killed': async (nginx) => {
        kill(pick(nginx.workers()));
        await full(nginx);
    },
    'all workers killed': async (nginx) => {
        nginx.workers().forEach((pid) => kill(pid));
        await full(nginx);
    },
    'a worker stopped for a while': async (nginx) => {
        const pid = pick(nginx.workers());

        kill(pid, 'SIGSTOP');
        await delay(500 + below(3000));
        kill(pid, 'SIGCONT');
    },
    'a binary upgrade': async (nginx) => {
        const { old } = await upgrade(nginx);

        process.kill(old, 'SIGQUIT');
        await until('the old master to end', () => !isRunning(old), 30000);
    },
    'a binary upgrade, rolled back': async (nginx) => {
        const { old, retired } = await upgrade(nginx);
        const unwanted = nginx.pid;

        process.kill(old, 'SIGHUP');
        await until('workers of the old master', () => children(old).filter(
            (pid) => pid !== unwanted && !retired.includes(pid)).length
                >= nginx.options.workers, 20000);
        process.kill(unwanted, 'SIGQUIT');
        await until('the new master to end', () => !isRunning(unwanted),
            30000);
        await until('the old pid file', () => {
            try {
                return nginx.pid === old;
            } catch {
                return false;
            }
        });
    },
    'all of nginx killed': async (nginx) => {
        kills += nginx.workers().length;
        await nginx.crash();
        await delay(below(1500));
        await nginx.launch();
    },
    'nginx stopped and started': async (nginx) => {
        await nginx.quit();
        await delay(below(1500));
        await nginx.launch();
    },
    'the zone checked': (nginx) => check(nginx)
};


function check(nginx) {
    execFileSync(process.env.VOICECTL, ['zone', 'check', '--zone',
        join(nginx.dir, 'main.zone')]);
}


async function faults(nginx) {
    const done = {};

    while (now() < SECONDS * 1000) {
        const what = pick(Object.keys(FAULTS));

        await FAULTS[what](nginx);
        done[what] = (done[what] ?? 0) + 1;
        await delay(below(3000));
    }

    return done;
}


async function judge(nginx) {
    const end = WINDOW * 1000 + 15000;

    await until('the zone to be empty', async () =>
        (await nginx.status()).sessions.total === 0, end, 200);

    const status = await nginx.status();
    const off = balance(status);
    const allowed = kills * BATCH * RECEIVERS;

    say(`${kills} workers killed, ${status.zone.repairs} repairs; books are `
        + `off by ${JSON.stringify(off)}, allowed ${allowed}`);
    say(JSON.stringify(total), `${status.sessions_expired} expired`);
    say(JSON.stringify({ skipped: status.skipped, dropped: status.dropped }));

    check(nginx);
    assert.ok(Object.values(off).every((n) => Math.abs(n) <= allowed));
    assert.deepEqual([status.zone.sessions_used, status.zone.rooms_used],
        [0, 0]);
    assert.deepEqual([total.duplicated, total.foreign, total.nonces_reused],
        [0, 0, 0]);

    /* who left while nginx was away has a session until that expires, and the
       port may be somebody else's by then: who gets the silence that ends
       another one's stream can't open it */
    assert.ok(total.undecryptable <= 5 * status.sessions_expired,
        `${total.undecryptable} undecryptable, ${status.sessions_expired} `
        + 'sessions expired');
    assert.ok(total.expected - total.lost > 1000 * SECONDS,
        'too few packets were heard for a proof');
}


/*
 * nginx 1.22 takes connections of a worker that was about to end, and was
 * then told to end at once, for forgotten ones.
 */
const STOPPED = [/open socket #\d+ left in connection/, /: aborting$/];

const nginx = await Nginx.start({ workers: 3, tcp: 'reuseport', daemon: true,
    relays: [{ listen: '127.0.0.1', params: 'reuseport rcvbuf=4m' }],
    main: `worker_shutdown_timeout 5s; voice_resume_window ${WINDOW}s;`,
    allow: [/exited on signal 9/, ...STOPPED] });

try {
    say(`${SECONDS} seconds, seed ${SEED}`);

    const running = Array.from({ length: CROWDS }, (_, i) =>
        crowds(nginx, i));
    const done = await faults(nginx);

    over = true;
    await Promise.all(running);
    say(JSON.stringify(done));
    await judge(nginx);
    await nginx.stop();
    console.log('1 passed, 0 failed');
} catch (e) {
    console.log(e.stack);
    console.log(`files are left in ${nginx.dir}`);
    nginx.kill([...nginx.workers(), ...nginx.pids()]);
    console.log('0 passed, 1 failed');
    process.exit(1);
}
