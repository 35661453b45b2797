/*
 * Copyright (C) ngx-voice contributors
 *
 * Workers with nothing to do sleep; what happens by the clock or to another
 * worker is done all the same, with nobody else there to wake them.
 */

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';

import { Member, leave, newRoom } from './lib/member.mjs';
import { Nginx } from './lib/nginx.mjs';
import { until } from './lib/wait.mjs';
import { connectElsewhere } from './lib/websocket.mjs';


/* Each time that a process waited for something. */
const sleeps = (pids) => pids.map((pid) => Number(
    /^voluntary_ctxt_switches:\s+(\d+)$/m
        .exec(readFileSync(`/proc/${pid}/status`, 'utf8'))[1]));

/* There is no clock of these workers that ticks within so many ms. */
function undisturbed(pids, ms = 6000) {
    return until(`${ms} ms without a wake-up`, async () => {
        const before = sleeps(pids);

        await delay(ms);

        return sleeps(pids).every((n, i) => n === before[i]);
    }, 45000, 10);
}

/* One member on each of the workers. */
async function onEach(nginx, workers, room) {
    const used = new Set();
    const members = [];

    while (used.size < workers) {
        const { socket, pid } = await connectElsewhere(nginx, used);
        const m = new Member(nginx, room);

        used.add(pid);
        m.worker = Number(pid);
        await m.identify({ socket });
        await m.discover();
        await m.select();
        members.push(m);
    }

    return members;
}

const saying = (nginx, pattern, n = 1) => until(`${pattern} in the log`,
    () => nginx.logLines(pattern).length >= n, 15000);


describe('an idle server', () => {
    test('makes no wake-up, with silent sessions only their heartbeats',
        async () => {
            const nginx = await Nginx.start({ workers: 2,
                http: 'voice_heartbeat 300s;' });
            const workers = nginx.workers();

            await undisturbed(workers);

            const room = newRoom();
            const members = [...await onEach(nginx, 2, room),
                ...await onEach(nginx, 2, room)];

            for (const m of members) {
                for (const other of members.filter((x) => x !== m)) {
                    await m.knows(other);
                }
            }
            for (const m of members) {
                await m.speakFor(5);
            }
            for (const m of members.slice(1)) {
                await m.hears(members[0]);
            }
            await undisturbed(workers);

            const before = sleeps(workers);
            const [m] = members;

            for (let i = 0; i < 20; i++) {
                await m.settled();
            }

            const woken = sleeps(workers).map((n, i) => n - before[i]);
            const own = woken[workers.indexOf(m.worker)];

            assert.ok(own >= 1 && own <= 20 * 4, `${own} for 20 heartbeats`);
            assert.equal(woken[1 - workers.indexOf(m.worker)], 0);

            await leave(...members);
            await undisturbed(workers);
            await nginx.stop();
        });

    test('ends sessions in time that nobody resumes', async () => {
        const nginx = await Nginx.start({ workers: 2,
            main: 'voice_resume_window 2s;' });
        const members = await onEach(nginx, 2, newRoom());

        for (const [i, m] of members.entries()) {
            m.ws.socket.destroy();
            await saying(nginx, /voice sessions were not resumed/, i + 1);
        }
        assert.equal((await nginx.status()).sessions.total, 0);
        await nginx.stop();
    });

    test('sees workers die that nobody replaces', async () => {
        const nginx = await Nginx.start({ workers: 2,
            main: 'voice_resume_window 2s;', allow: [/exited on signal 9/] });
        const members = await onEach(nginx, 2, newRoom());
        const old = nginx.workers();

        /* they stay for their websockets */
        await nginx.reload();
        for (const pid of old) {
            process.kill(pid, 'SIGKILL');
        }

        for (const pid of old) {
            await saying(nginx, new RegExp(`voice worker ${pid} of slot`));
        }
        await saying(nginx, /voice sessions were not resumed/);

        /* they may have died at two times, and have two deadlines */
        await until('all sessions to end', async () =>
            (await nginx.status()).sessions.total === 0);
        members.forEach((m) => m.closeUdp());
        await nginx.stop();
    });
});
