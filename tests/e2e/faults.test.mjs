/*
 * Copyright (C) ngx-voice contributors
 *
 * Nothing drops a call: what operators do and what happens to them, each
 * with media running, and packets counted.
 */

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, statSync, truncateSync, writeFileSync }
    from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';

import { call, leave, newRoom } from './lib/member.mjs';
import { Nginx, isRunning } from './lib/nginx.mjs';
import { until } from './lib/wait.mjs';
import { connection, voicectl } from './lib/voicectl.mjs';


const RELAYS = [{ listen: '127.0.0.1', params: 'reuseport rcvbuf=4m' }];

const start = (options = {}) => Nginx.start({ workers: 2, tcp: 'reuseport',
    daemon: true, relays: RELAYS,
    main: 'worker_shutdown_timeout 5s;', ...options });


/* 2000 packets a second, six modes in ten rooms of six. */
async function underLoad(nginx, seconds, fault, allow = 0) {
    const load = voicectl('load', ...connection(nginx, newRoom()), '--rooms',
        10, '--participants', 6, '--talkers', 4, '--pps', 50, '--mode', 'mix',
        '--seconds', seconds, '--allow-loss', allow, '--json');

    try {
        await until('the load', async () =>
            (await nginx.status()).rx.accepted > 1000, 20000, 50);
        await fault();
    } catch (e) {
        load.kill('SIGKILL');
        throw e;
    }

    return load.json(120000);
}


function lossless(stats, reordered = 0) {
    assert.ok(stats.expected > 10000, JSON.stringify(stats));
    assert.deepEqual([stats.participants, stats.received, stats.lost,
        stats.duplicated, stats.undecryptable],
    [60, stats.expected, 0, 0, 0], JSON.stringify(stats));
    assert.ok(stats.reordered <= reordered, JSON.stringify(stats));
}


/* The zone is what its records say, whatever was done to its users. */
function consistent(nginx) {
    execFileSync(process.env.VOICECTL ?? 'build/voicectl',
        ['zone', 'check', '--zone', join(nginx.dir, 'main.zone')]);
}


async function finish(nginx) {
    consistent(nginx);
    await nginx.stop();
}


describe('what operators do', () => {
    test('twenty reloads, with other workers and directives', async () => {
        const nginx = await start({ workers: 1 });
        const stats = await underLoad(nginx, 22, async () => {
            for (let i = 0; i < 20; i++) {
                const before = nginx.workers();

                await nginx.configure({ ...nginx.options,
                    workers: [4, 1, 2][i % 3],
                    http: `voice_heartbeat ${13000 + i}ms;` });
                nginx.signal('SIGHUP');
                await until('new workers', () => nginx.workers()
                    .some((pid) => !before.includes(pid)));
                await delay(300);
            }
        });

        /* with another number of workers a sender's packets go to another
           queue, and may overtake those that still wait in the old one */
        lossless(stats, stats.expected / 1000);
        await until('old workers to end', () => nginx.workers().length === 1,
            15000);
        await finish(nginx);
    });

    test('another listen comes and goes', async () => {
        const nginx = await start();
        const more = [...RELAYS, { listen: '127.0.0.2', params: 'reuseport' }];

        lossless(await underLoad(nginx, 8, async () => {
            await nginx.reload({ ...nginx.options, relays: more });
            await nginx.reload({ ...nginx.options, relays: RELAYS });
        }));
        await finish(nginx);
    });

    test('a renewed certificate', async () => {
        const nginx = await start();

        lossless(await underLoad(nginx, 6, async () => {
            execFileSync('openssl', ['req', '-x509', '-newkey', 'ec',
                '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days',
                '2', '-subj', '/CN=localhost', '-addext',
                'subjectAltName=DNS:localhost,IP:127.0.0.1', '-keyout',
                join(nginx.dir, 'cert.key'), '-out', nginx.cert],
            { stdio: 'ignore' });
            await nginx.reload();
        }));
        await finish(nginx);
    });

    test('a binary upgrade', async () => {
        const nginx = await start();

        lossless(await underLoad(nginx, 12, async () => {
            const old = await upgrade(nginx);

            process.kill(old, 'SIGWINCH');
            await delay(500);
            process.kill(old, 'SIGQUIT');
            await until('the old master to end', () => !isRunning(old),
                15000);
        }));
        await finish(nginx);
    });

    test('a binary upgrade that is rolled back', async () => {
        const nginx = await start();

        lossless(await underLoad(nginx, 14, async () => {
            const old = await upgrade(nginx);
            const unwanted = nginx.pid;

            process.kill(old, 'SIGWINCH');
            await delay(500);
            process.kill(old, 'SIGHUP');
            await delay(500);
            process.kill(unwanted, 'SIGQUIT');
            await until('the new master to end', () => !isRunning(unwanted),
                15000);
            await until('the pid file of the old one', () =>
                nginx.pid === old);
        }));
        await finish(nginx);
    });
});


/* A second master beside the first one, whose pid is returned. */
async function upgrade(nginx) {
    const old = nginx.pid;

    process.kill(old, 'SIGUSR2');
    await until('a new master', () =>
        existsSync(join(nginx.dir, 'nginx.pid.oldbin')) && pidOf(nginx)
        && pidOf(nginx) !== old && nginx.workers().length === 2);

    return old;
}


function pidOf(nginx) {
    try {
        return Number(readFileSync(join(nginx.dir, 'nginx.pid'), 'utf8'));
    } catch {
        return 0;
    }
}


describe('what happens to them', () => {
    const killed = [/exited on signal 9/];

    test('fifty workers killed at random moments', async () => {
        const nginx = await start({ workers: 3, allow: killed });
        let batches = 0;
        const stats = await underLoad(nginx, 25, async () => {
            for (let i = 0; i < 50; i++) {
                const pids = nginx.workers();
                const all = i % 10 === 9;

                for (const pid of all ? pids : [pids[i % pids.length]]) {
                    process.kill(pid, 'SIGKILL');
                    batches++;
                }
                await delay(100 + Math.random() * 200);
                await until('a full set of workers', () =>
                    nginx.workers().length === 3);
            }
        }, 100);

        /* a killed worker has at most one batch of 64 datagrams in hand,
           each on its way to five others */
        assert.ok(stats.lost <= batches * 64 * 5, JSON.stringify(stats));
        assert.ok(stats.lost < stats.expected / 100, JSON.stringify(stats));
        assert.deepEqual([stats.participants, stats.duplicated,
            stats.undecryptable], [60, 0, 0], JSON.stringify(stats));
        await finish(nginx);
    });

    test('a worker that is stopped for five seconds', async () => {
        const nginx = await start();
        const stats = await underLoad(nginx, 10, async () => {
            const [pid] = nginx.workers();

            process.kill(pid, 'SIGSTOP');
            await delay(5000);
            process.kill(pid, 'SIGCONT');
        }, 100);

        assert.deepEqual([stats.participants, stats.duplicated,
            stats.undecryptable], [60, 0, 0], JSON.stringify(stats));
        await finish(nginx);
    });

    test('all of nginx dead, and started again', async () => {
        const nginx = await start({ allow: killed });
        const room = newRoom();
        const [a, b] = await call(nginx, room, room);
        const talk = a.talk();

        await until('the call to run', () => b.packets.length > 20);
        await nginx.crash();
        await nginx.launch();

        /* the same keys and addresses: media needs no handshake */
        await until('media without a handshake', ((n) => () =>
            b.packets.length > n + 20)(b.packets.length));

        for (const m of [a, b]) {
            await m.resume();
        }
        talk.stop();
        await b.speakFor(10);
        await a.hears(b);
        assert.deepEqual(a.faults(b), []);
        await leave(a, b);
        await finish(nginx);
    });

    test('a session that nobody resumes is given up', async () => {
        const nginx = await start({
            main: 'voice_resume_window 1s; worker_shutdown_timeout 5s;' });
        const room = newRoom();
        const [a, b] = await call(nginx, room, room);

        b.ws.socket.destroy();
        await a.messages.find((m) => m.op === 13
            && m.d.user_id === String(b.user), { ms: 10000 });
        assert.equal((await nginx.status()).sessions.total, 1);
        await leave(a);
        await finish(nginx);
    });
});


describe('a zone file', () => {
    const log = (nginx, pattern) => assert.match(nginx.logText(), pattern);

    const cases = [
        ['that is cut short', (file) => truncateSync(file, 100000),
            /has 100000 bytes instead of/],
        ['of garbage', (file) => writeFileSync(file,
            Buffer.alloc(statSync(file).size, 'garbage')),
        /another layout/],
        ['of another layout version', (file) => {
            const b = readFileSync(file);

            b.writeUInt32LE(b.readUInt32LE(8) + 1, 8);
            writeFileSync(file, b);
        }, /another layout/]
    ];

    for (const [what, spoil, message] of cases) {
        test(`${what} is replaced by an empty one, and that is said`,
            async () => {
                const nginx = await start({ allow: [/exited on signal 9/] });

                await nginx.crash();
                spoil(join(nginx.dir, 'main.zone'));
                await nginx.launch();
                log(nginx, message);

                const room = newRoom();

                await leave(...await call(nginx, room, room));
                await finish(nginx);
            });
    }

    test('of another capacity is replaced in a reload', async () => {
        const nginx = await start();
        const zone = join(nginx.dir, 'main.zone');

        await nginx.reload({ ...nginx.options, zone: `${zone} sessions=128` });
        log(nginx, /bytes instead of .* 128 sessions/);
        assert.equal((await nginx.status()).zone.sessions_capacity, 128);
        await finish(nginx);
    });

    test('in use by another nginx is refused, with the pid', async () => {
        const nginx = await start();

        await assert.rejects(start({
            zone: `${join(nginx.dir, 'main.zone')} sessions=4096` }),
        new RegExp(`in use by process (${nginx.workers().join('|')})`));
        await finish(nginx);
    });

    test('that can not be written is refused', async () => {
        await assert.rejects(start({ zone: '/proc/main.zone' }),
            /voice_zone "\/proc\/main.zone.*failed/);
    });
});
