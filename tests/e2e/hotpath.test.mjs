/*
 * Copyright (C) ngx-voice contributors
 *
 * Media never waits: on the way of a packet nothing is allocated and no lock
 * is taken.  A preloaded library counts both in the workers.
 */

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, openSync, readSync, rmSync, writeFileSync }
    from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

import { newRoom } from './lib/member.mjs';
import { Nginx } from './lib/nginx.mjs';
import { until } from './lib/wait.mjs';
import { connection, voicectl } from './lib/voicectl.mjs';


const HERE = dirname(fileURLToPath(import.meta.url));


/* The counters of an nginx that is started with `env`. */
class Counters {
    constructor() {
        this.dir = mkdtempSync(join(tmpdir(), 'ngx-voice-count-'));

        const library = join(this.dir, 'count.so');
        const file = join(this.dir, 'counters');

        execFileSync('cc', ['-std=gnu11', '-O2', '-Wall', '-Wextra',
            '-Werror', '-fno-builtin', '-shared', '-fPIC', '-o', library,
            join(HERE, 'preload/count.c'), '-ldl']);
        writeFileSync(file, Buffer.alloc(16));

        this.fd = openSync(file);
        this.env = { LD_PRELOAD: library, COUNT_FILE: file };
    }

    read() {
        const b = Buffer.alloc(16);

        readSync(this.fd, b, 0, 16, 0);

        return { allocations: b.readBigUInt64LE(0),
            locks: b.readBigUInt64LE(8) };
    }

    /* Once the answer to a request has left nothing more to do. */
    async still() {
        return until('the counters to stand still', async () => {
            const before = this.read();

            await delay(100);

            const after = this.read();

            return before.allocations === after.allocations
                && before.locks === after.locks && after;
        });
    }

    destroy() {
        rmSync(this.dir, { recursive: true });
    }
}


const sanitized = /asan/.test(process.env.NGINX_BIN ?? '');

test('thousands of packets make no allocation and take no lock',
    { skip: sanitized && 'the sanitizer has an allocator of its own' },
    async () => {
        const counters = new Counters();
        const nginx = await Nginx.start({ workers: 2, env: counters.env });

        /* heartbeats come after 13 s, and would count */
        const load = voicectl('load', ...connection(nginx, newRoom()),
            '--rooms', 4, '--participants', 8, '--talkers', 2, '--seconds', 8,
            '--ramp', 100, '--json');

        await until('media', async () =>
            (await nginx.status()).rx.packets > 400, 20000, 200);

        const before = await nginx.status();
        const from = await counters.still();

        assert.ok(from.allocations > 0n && from.locks > 0n,
            'the counters count');

        await delay(3000);

        const to = counters.read();
        const after = await nginx.status();

        assert.equal(to.allocations - from.allocations, 0n);
        assert.equal(to.locks - from.locks, 0n);
        assert.ok(after.tx.packets - before.tx.packets > 5000,
            `${after.tx.packets - before.tx.packets} packets were sent`);

        assert.equal((await load.json()).lost, 0);
        await nginx.stop();
        counters.destroy();
    });
