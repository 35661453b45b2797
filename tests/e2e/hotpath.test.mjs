/*
 * Copyright (C) ngx-voice contributors
 *
 * Media never waits: on the way of a packet nothing is allocated and no lock
 * is taken.  A preloaded library counts both in the workers.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';

import { newRoom } from './lib/member.mjs';
import { Nginx } from './lib/nginx.mjs';
import { Preload } from './lib/preload.mjs';
import { until } from './lib/wait.mjs';
import { connection, voicectl } from './lib/voicectl.mjs';


/* The counters of an nginx that is started with `env`. */
class Counters extends Preload {
    constructor() {
        super('count', 2);
    }

    counted() {
        const [allocations, locks] = this.read();

        return { allocations, locks };
    }

    /* Once the answer to a request has left nothing more to do. */
    async still() {
        return until('the counters to stand still', async () => {
            const before = this.counted();

            await delay(100);

            const after = this.counted();

            return before.allocations === after.allocations
                && before.locks === after.locks && after;
        });
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

        const to = counters.counted();
        const after = await nginx.status();

        assert.equal(to.allocations - from.allocations, 0n);
        assert.equal(to.locks - from.locks, 0n);
        assert.ok(after.tx.packets - before.tx.packets > 5000,
            `${after.tx.packets - before.tx.packets} packets were sent`);

        assert.equal((await load.json()).lost, 0);
        await nginx.stop();
        counters.close();
    });
