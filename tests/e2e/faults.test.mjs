/*
 * Copyright (C) ngx-voice contributors
 *
 * Nothing drops a call: what operators do and what happens to them, with
 * media running, packets counted, and the server's books balanced.
 */

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { appendFileSync, existsSync, readFileSync, readdirSync, rmSync,
    statSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';

import { balance } from './lib/accounts.mjs';
import { GUILD, Guest, USER, guilds } from './lib/gateway.mjs';
import { Pair, brief, lossless, underLoad } from './lib/load.mjs';
import { Member, OP, call, leave, newRoom } from './lib/member.mjs';
import { Nginx, SANITIZED, children, isRunning } from './lib/nginx.mjs';
import { smallFileSystem } from './lib/files.mjs';
import { until } from './lib/wait.mjs';
import { connection, voicectl } from './lib/voicectl.mjs';
import { dial, request } from './lib/websocket.mjs';


const BATCH = 64;          /* datagrams that a worker has in hand at most */

const RELAYS = [{ listen: '127.0.0.1', params: 'reuseport rcvbuf=4m' }];
const MORE = [...RELAYS, { listen: '127.0.0.2', advertise: '127.0.0.2',
    params: 'reuseport' }];

const killed = [/exited on signal 9/];

const start = (options = {}) => Nginx.start({ workers: 2, tcp: 'reuseport',
    daemon: true, relays: RELAYS,
    main: 'worker_shutdown_timeout 5s;', ...options });


/* The zone is what its records say, whatever was done to its users. */
function consistent(nginx) {
    execFileSync(process.env.VOICECTL ?? 'build/voicectl',
        ['zone', 'check', '--zone', join(nginx.dir, 'main.zone')]);
}


/* What came in went somewhere; kills: of workers, since the zone was made. */
async function balanced(nginx, kills = 0) {
    let off;

    await until('balanced books', async () => {
        off = balance(await nginx.status());
        return Object.values(off).every((n) =>
            Math.abs(n) <= kills * BATCH * 5);
    }).catch((e) => {
        throw new Error(`${e.message}: ${JSON.stringify(off)}`);
    });
}


async function finish(nginx, kills) {
    consistent(nginx);
    await balanced(nginx, kills);
    await nginx.stop();
}


/* A second master beside the first one, whose pid is returned. */
async function upgrade(nginx) {
    const old = nginx.pid;

    process.kill(old, 'SIGUSR2');
    await until('a new master', () =>
        existsSync(join(nginx.dir, 'nginx.pid.oldbin')) && pidOf(nginx)
        && pidOf(nginx) !== old
        && nginx.workers().length === nginx.options.workers
        && nginx.responds());

    return old;
}


function pidOf(nginx) {
    try {
        return Number(readFileSync(join(nginx.dir, 'nginx.pid'), 'utf8'));
    } catch {
        return 0;
    }
}


/* The directory with another name, and whatever channels more. */
function directory(name, ...channels) {
    const [guild, ...others] = guilds();

    return [{ ...guild, name, channels: [...guild.channels, ...channels] },
        ...others];
}


async function twentyReloads(nginx) {
    for (let i = 0; i < 20; i++) {
        if (i === 7) {
            nginx.certify();
        }
        await nginx.reload({ ...nginx.options, workers: [4, 1, 2][i % 3],
            relays: i % 8 === 3 ? MORE : RELAYS,
            guilds: directory(`Guild ${i}`),
            http: `voice_heartbeat ${13000 + i}ms;` });
    }
}


/* What a reload changed holds for those who come after it, and only them. */
async function newRules(nginx) {
    const { key } = nginx;
    const attic = '41771983423143999';
    const old = join(nginx.dir, 'old.key');
    const room = newRoom();
    const before = await Member.join(nginx, room);
    const { token } = before;

    writeFileSync(old, key, { mode: 0o644 });
    nginx.key = 'a-key-of-thirty-two-characters-or-more';
    await nginx.reload({ ...nginx.options,
        modes: ['xsalsa20_poly1305', 'aead_aes256_gcm_rtpsize'],
        guilds: directory('Guild', { id: attic, name: 'attic', type: 2 }),
        http: `voice_key ${old}; voice_heartbeat 7s; `
            + 'voice_signal_rate 1/s 20;' });

    const after = await Member.join(nginx, { ...room,
        mode: 'xsalsa20_poly1305' });

    assert.deepEqual(after.ready.modes,
        ['xsalsa20_poly1305', 'aead_aes256_gcm_rtpsize']);
    assert.equal(after.hello.heartbeat_interval, 7000);
    await before.knows(after);
    await before.speakFor(5);
    await after.hears(before);

    /* a token of the key that is on its way out */
    before.ws.socket.destroy();
    assert.equal(before.token, token);
    await before.resume();

    for (let i = 0; i < 30; i++) {
        after.say(OP.HEARTBEAT, { t: i });
    }
    assert.equal((await after.whenClosed()).code, 4021);
    await leave(before, after);

    const guest = await Guest.join(nginx, GUILD, attic, { user: USER.member });

    await guest.leave();
}


/* The old master's workers go.  It must have seen this before the next. */
async function retire(nginx, old) {
    const pids = children(old).filter((pid) => pid !== nginx.pid);

    process.kill(old, 'SIGWINCH');
    await until('old workers to retire', () => nginx.retired(pids));

    return pids;
}


async function upgradeAndBack(nginx) {
    const old = await upgrade(nginx);
    const unwanted = nginx.pid;
    const retired = await retire(nginx, old);

    process.kill(old, 'SIGHUP');
    await until('workers of the old master', () => children(old).filter(
        (pid) => pid !== unwanted && !retired.includes(pid)).length
            === nginx.options.workers);
    process.kill(unwanted, 'SIGQUIT');
    await until('the new master to end', () => !isRunning(unwanted), 20000);
    await until('the pid file of the old one', () => pidOf(nginx) === old);
}


async function upgradeForGood(nginx) {
    const old = await upgrade(nginx);

    await retire(nginx, old);
    process.kill(old, 'SIGQUIT');
    await until('the old master to end', () => !isRunning(old), 20000);
}


describe('what operators do', () => {
    test('reloads of all kinds, a binary upgrade, and one rolled back',
        async (t) => {
            const nginx = await start({ workers: 1 });
            const pair = await Pair.join(nginx);
            let heard;
            const stats = await underLoad(nginx, async () => {
                const playing = pair.play(20);

                await twentyReloads(nginx);
                await newRules(nginx);
                await upgradeAndBack(nginx);
                await upgradeForGood(nginx);
                heard = await playing;
            });

            t.diagnostic(brief(stats));
            t.diagnostic(`the libraries heard ${JSON.stringify(heard)}`);

            /* with another number of workers a sender's packets go to another
               queue, and may overtake those that wait in the old one: twenty
               times, and the more of them the busier the machine is */
            lossless(stats, stats.expected / 20);

            /* what they lose is what they don't send while they resume */
            for (const { sent, heard: n, end, reordered } of heard) {
                assert.ok(n >= sent / 2 && end < 100 && reordered < 100,
                    JSON.stringify(heard));
            }

            await pair.leave();
            await until('old workers to end', () =>
                nginx.workers().length === nginx.options.workers, 20000);
            await finish(nginx);
        });

    test('old workers do not pile up: they end when their time is over',
        async () => {
            const nginx = await start({ workers: 2,
                main: 'worker_shutdown_timeout 1s;' });
            const room = newRoom();
            const [a, b] = await call(nginx, room, { ...room, version: 4 });

            for (let i = 0; i < 3; i++) {
                await nginx.reload();
                /* an end that every library answers by a resume */
                for (const m of [a, b]) {
                    const { code } = await m.whenClosed(10000);

                    assert.ok(code < 4000, `closed with ${code}`);
                    await m.resume();
                }
                await until('the old workers to be gone', () =>
                    nginx.workers().length === 2, 10000);
            }
            await a.speakFor(10);
            await b.hears(a);
            await leave(a, b);
            await finish(nginx);
        });
});


describe('what happens to them', () => {
    test('fifty times workers are killed at random moments', async (t) => {
        const nginx = await start({ workers: 3, allow: killed });
        const pair = await Pair.join(nginx);
        let kills = 0;
        let heard;
        const stats = await underLoad(nginx, async () => {
            const playing = pair.play(20);

            for (let i = 0; i < 50; i++) {
                const pids = nginx.workers();
                const all = i % 10 === 9;

                for (const pid of all ? pids : [pids[i % pids.length]]) {
                    process.kill(pid, 'SIGKILL');
                    kills++;
                }
                await delay(50 + Math.random() * 200);
                await until('a full set of workers', () =>
                    nginx.workers().length === 3);
            }
            heard = await playing;
        });

        t.diagnostic(`${kills} workers killed: ${brief(stats)}`);
        t.diagnostic(`the libraries heard ${JSON.stringify(heard)}`);

        /* a killed worker has at most one batch in hand, each datagram on
           its way to five others */
        assert.ok(stats.lost <= kills * BATCH * 5, JSON.stringify(stats));
        assert.ok(stats.lost < stats.expected / 100, JSON.stringify(stats));
        assert.ok(stats.gap_ms < 3000, JSON.stringify(stats));
        for (const { heard: n, end } of heard) {
            assert.ok(n > 100 && end < 100, JSON.stringify(heard));
        }

        await pair.leave();
        await finish(nginx, kills);
    });

    test('a worker stopped for five seconds, a master killed, nginx started '
        + 'anew, stopped and started', async (t) => {
        const nginx = await start({ allow: [...killed, /is in use by/] });
        let kills = 0;
        const stats = await underLoad(nginx, async () => {
            const [pid] = nginx.workers();

            process.kill(pid, 'SIGSTOP');
            await delay(5000);
            process.kill(pid, 'SIGCONT');

            /* without a master the workers go on, and keep the zone */
            const workers = nginx.workers();

            process.kill(nginx.pid, 'SIGKILL');
            await until('the master to be dead', () => !isRunning(nginx.pid));

            const { rx } = await nginx.status();

            await until('media without a master', async () =>
                (await nginx.status()).rx.accepted > rx.accepted + 1000);
            /* while they do another start is refused, and says by whom */
            const { code, output } = await nginx.run();

            assert.notEqual(code, 0);
            assert.match(output, new RegExp(
                `in use by process (${workers.join('|')})`));

            /* as an init system does */
            for (const worker of workers) {
                process.kill(worker, 'SIGKILL');
                kills++;
            }
            await until('all to be dead', () => !workers.some(isRunning));
            await nginx.launch();
            await flows(nginx);

            await nginx.quit();
            await nginx.launch();
            await flows(nginx);
        });

        t.diagnostic(brief(stats));
        assert.ok(stats.reconnects >= 60, JSON.stringify(stats));
        await finish(nginx, kills);
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


/* Media, and all websockets, are back. */
async function flows(nginx) {
    const { rx } = await nginx.status();

    await until('media and websockets', async () => {
        const s = await nginx.status();

        return s.rx.accepted > rx.accepted + 1000
            && s.sessions.detached === 0;
    }, 20000, 50);
}


/* A worker of those that run now; nobody else answers new connections. */
async function elsewhere(nginx, m) {
    const { pid } = m;

    for (let i = 0; i < 200; i++) {
        const socket = await dial({ host: '127.0.0.1', port: nginx.http });
        const { body } = await request(socket, '/pid');

        if (body !== pid) {
            m.pid = body;
            return socket;
        }
        socket.destroy();
    }
    throw new Error(`200 connections went to worker ${pid}`);
}


/* What a member was told of others, in order, without its own answers. */
const TOLD = new Set([OP.SPEAKING, OP.CONNECT, OP.VIDEO, OP.DISCONNECT,
    OP.FLAGS, OP.PLATFORM]);

const told = (m) => m.messages.all.filter(({ op }) => TOLD.has(op));

const short = ({ op, d }) => `${op} ${d.user_id ?? d.user_ids}`;


/* They come and go while somebody is away. */
async function comeAndGo(nginx, room, stays) {
    const [x, y] = await call(nginx, room, room);

    await stays.knows(x);
    x.say(OP.SPEAKING, { speaking: 5, delay: 0, ssrc: x.ssrc });
    await stays.messages.find((m) => m.op === OP.SPEAKING
        && m.d.speaking === 5);
    await y.leave();
    await stays.messages.find((m) => m.op === OP.DISCONNECT
        && m.d.user_id === y.user);

    return { x, y };
}


describe('a resume', () => {
    const ways = [
        ['on another worker', async () => {}],
        ['in another generation', (nginx) => nginx.reload()],
        ['after all workers were killed', async (nginx) => {
            const pids = nginx.workers();

            for (const pid of pids) {
                process.kill(pid, 'SIGKILL');
            }
            await until('new workers', () => nginx.workers().length === 2
                && nginx.workers().every((p) => !pids.includes(p))
                && nginx.responds());
        }],
        ['after a binary upgrade', upgradeForGood]
    ];

    test('brings all that was missed, in order, wherever it arrives',
        async (t) => {
            const nginx = await start({ allow: killed });

            for (const [what, happens] of ways) {
                await t.test(what, () => missed(nginx, happens));
            }
            await finish(nginx, 2);
        });

    async function missed(nginx, happens) {
        const room = newRoom();
        const [stays, v8, v4] = await call(nginx, room, room,
            { ...room, version: 4 });

        for (const m of [v8, v4]) {
            await m.settled();
            m.pid = (await (await fetch(
                `http://127.0.0.1:${nginx.http}/pid`)).text());
            m.ws.socket.destroy();
        }
        await until('both to be away', () => [v8, v4].every(({ user }) =>
            nginx.logLines(new RegExp(`user ${user} is away`)).length > 0));

        /* one who is there sees all of it at once */
        const seen = told(stays).length;
        const who = await comeAndGo(nginx, room, stays);
        const live = told(stays).slice(seen).map(short);

        await happens(nginx);

        const { acked } = v8;

        for (const m of [v8, v4]) {
            await m.resume({ socket: await elsewhere(nginx, m) });
            await m.knows(who.x);
            await m.settled();
        }

        /* v8: each message with the number behind the last one */
        assert.deepEqual(told(v8).map(short), live);
        assert.deepEqual(told(v8).map((m) => m.seq),
            told(v8).map((_, i) => acked + 1 + i));

        /* v4 has no numbers: what was missed, and then all who are there */
        const list = told(v4).filter(({ op, d }) => op === OP.VIDEO
            || op === OP.DISCONNECT || d.speaking === 5).map(short);
        const { x, y } = who;

        assert.deepEqual(list.slice(0, 4), [`12 ${x.user}`, `12 ${y.user}`,
            `5 ${x.user}`, `13 ${y.user}`]);
        assert.deepEqual(list.slice(4).filter((m) => /^12 /.test(m)).sort(),
            [stays, v8, x].map((m) => `12 ${m.user}`).sort());

        for (const m of [v8, v4]) {
            await m.speakFor(5);
            await x.hears(m);
        }
        await leave(v8, v4, x, stays);
    }
});


/* What a server holds while nobody is there. */
async function holdings(nginx) {
    const pids = nginx.workers();
    const { sessions, rooms, websockets, zone } = await nginx.status();
    const rss = (pid) => Number(/^VmRSS:\s+(\d+)/m.exec(
        readFileSync(`/proc/${pid}/status`, 'utf8'))[1])
        - Number(/^RssShmem:\s+(\d+)/m.exec(
            readFileSync(`/proc/${pid}/status`, 'utf8'))[1]);

    return {
        used: [sessions.total, rooms, websockets, zone.sessions_used,
            zone.rooms_used],
        fds: pids.reduce((n, pid) =>
            n + readdirSync(`/proc/${pid}/fd`).length, 0),
        kilobytes: pids.reduce((n, pid) => n + rss(pid), 0)
    };
}


describe('ten thousand joins and leaves', () => {
    test('leave nothing behind', async (t) => {
        const nginx = await start();
        const round = async () => {
            const stats = await voicectl('load', '--url',
                `ws://127.0.0.1:${nginx.http}`,
                ...connection(nginx, newRoom()).slice(2), '--rooms', 100,
                '--participants', 10, '--mode', 'mix', '--ramp', 2000,
                '--pps', 10, '--seconds', 0.1, '--json').json(120000);

            assert.equal(stats.participants, 1000);
            await until('all to have left', async () =>
                (await nginx.status()).websockets === 0);
        };

        /* the first rounds fill what is kept for the next ones */
        for (let i = 0; i < 3; i++) {
            await round();
        }

        const before = await holdings(nginx);

        for (let i = 0; i < 7; i++) {
            await round();
        }

        const after = await holdings(nginx);

        t.diagnostic(`${JSON.stringify(before)} after 3000, `
            + `${JSON.stringify(after)} after 10000 joins`);
        assert.deepEqual(after.used, [0, 0, 0, 0, 0]);
        assert.equal(after.fds, before.fds);
        /* a sanitizer keeps for a while what was freed */
        assert.ok(SANITIZED || after.kilobytes < before.kilobytes + 3000,
            JSON.stringify([before, after]));
        assert.equal((await nginx.status()).outbox_overflows, 0);
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

    test('on a file system that is full, or becomes so', async (t) => {
        const dir = smallFileSystem(t, 8);

        if (dir === null) {
            return;
        }

        const zone = join(dir, 'main.zone');

        /* too big: refused, and nothing of it stays */
        await assert.rejects(start({ zone: `${zone} sessions=4096` }),
            /no room for the \d+ bytes of 4096 sessions, its .* has \d+ left/);
        assert.deepEqual(readdirSync(dir), []);

        const cluster = join(dir, 'cluster.zone');

        await assert.rejects(start({ zone: `${zone} sessions=64`,
            main: `voice_cluster ${cluster};` }),
        /voice_cluster .* no room for the \d+ bytes of nodes and guilds/);
        assert.deepEqual(readdirSync(dir), ['main.zone']);
        rmSync(zone);

        const nginx = await start({ zone: `${zone} sessions=256` });
        const room = newRoom();
        const all = await call(nginx, room, room);

        writeFileSync(join(dir, 'filler'), '');
        assert.throws(() => {
            for ( ; ; ) {
                appendFileSync(join(dir, 'filler'), Buffer.alloc(4096));
            }
        }, /ENOSPC/);

        /* every page of the zone is there all the same */
        while (all.length < 200) {
            all.push(await Member.join(nginx, room));
        }
        await all[0].speakFor(5);
        await all[199].hears(all[0]);

        /* a bigger one is refused, and the present one goes on */
        await nginx.configure({ ...nginx.options,
            zone: `${zone} sessions=2048` });
        nginx.signal('SIGHUP');
        await until('the refusal', () => nginx.logLines(
            /no room for the \d+ bytes of 2048 sessions/).length > 0);
        await all[0].speakFor(5);
        await all[199].hears(all[0]);

        await leave(...all);
        execFileSync(process.env.VOICECTL ?? 'build/voicectl',
            ['zone', 'check', '--zone', zone]);
        nginx.options.allow = [/no room for the/];
        await nginx.stop();
    });

    test('that can not be written is refused', async () => {
        await assert.rejects(start({ zone: '/proc/main.zone' }),
            /voice_zone "\/proc\/main.zone.*failed/);
    });
});
