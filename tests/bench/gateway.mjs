/*
 * Copyright (C) ngx-voice contributors
 *
 * The gateway measured, on one nginx with two workers: how soon a change by
 * REST is seen, a burst of joins beside running calls, the memory of an idle
 * connection, and how soon the relay obeys a moderator.
 *
 *   make bench-gateway        or with BENCH=changes, joins, memory, enforce
 */

import net from 'node:net';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { Guest, rest } from '../e2e/lib/gateway.mjs';
import { Nginx } from '../e2e/lib/nginx.mjs';
import { newKey, signToken, userToken } from '../e2e/lib/token.mjs';
import { connection, voicectl } from '../e2e/lib/voicectl.mjs';
import { now, until } from '../e2e/lib/wait.mjs';


const GUILDS = 200;
const GUILD = 100000;
const CHANNEL = 200000;
const OTHER = 300000;

const PERMISSIONS = String((1n << 10n) | (1n << 20n) | (1n << 21n));

const wanted = process.env.BENCH ?? '';
const dir = mkdtempSync(join(tmpdir(), 'ngx-voice-bench-'));
const platformKey = join(dir, 'platform.key');


function directory() {
    const guilds = [];

    for (let i = 0; i < GUILDS; i++) {
        guilds.push({
            id: String(GUILD + i), name: `guild ${i}`, owner_id: '1',
            roles: [{ id: String(GUILD + i), name: '@everyone',
                permissions: PERMISSIONS }],
            channels: [
                { id: String(CHANNEL + i), name: 'voice', type: 2 },
                { id: String(OTHER + i), name: 'other', type: 2 }
            ]
        });
    }

    return { guilds };
}


const crowd = (nginx, ...args) => voicectl('crowd', '--gateway',
    `ws://127.0.0.1:${nginx.http}/gateway`, '--key', nginx.keyFile,
    '--guild', GUILD, '--channel', CHANNEL, '--guilds', GUILDS, '--json',
    '--verbose', ...args);


/* bytes that the workers have for themselves */
function memory(nginx) {
    return nginx.workers().reduce((sum, pid) => {
        const text = readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8');
        const kib = Number(/^Private_Dirty: *(\d+) kB/m.exec(text)[1]);

        return sum + kib * 1024;
    }, 0);
}


const quantile = (list, share) => [...list].sort((a, b) => a - b)[
    Math.min(list.length - 1, Math.floor(list.length * share))];

const ms = (n) => `${n.toFixed(2)} ms`;


async function changes(nginx) {
    const r = await crowd(nginx, '--clients', 2000, '--ramp', 1000, '--api',
        `http://127.0.0.1:${nginx.http}/api`, '--platform-key', platformKey,
        '--changes', 100, '--seconds', 20).json(180000);

    console.log('REST change -> seen by a gateway client, 2000 clients in 200 '
        + `guilds, 100 changes/s: p50 ${ms(r.seen_ms.p50)}, p99 `
        + `${ms(r.seen_ms.p99)}, max ${ms(r.seen_ms.max)}; ${r.seen} of `
        + `${r.seen_expected} seen`);
}


async function joins(nginx) {
    const load = voicectl('load', ...connection(nginx,
        { guild: 900000, channel: 900000 }), '--rooms', 10,
    '--participants', 10, '--talkers', 2, '--seconds', 40, '--json');
    const r = await crowd(nginx, '--clients', 5000, '--ramp', 500, '--joins',
        500, '--seconds', '1').json(180000);
    const l = await load.json(180000);

    console.log(`burst of 500 joins/s for 10 s: ${r.answered} of ${r.joins} `
        + `answered, p50 ${ms(r.join_ms.p50)}, p99 ${ms(r.join_ms.p99)}, max `
        + `${ms(r.join_ms.max)}; ${r.told} of ${r.told_expected} events; `
        + `calls beside it: ${l.lost} of ${l.expected} packets lost, p99 `
        + ms(l.latency_ms.p99));
}


/*
 * What a connection costs beyond nginx's own share: that of one which has
 * sent all but the end of the same request.
 */
async function idle(nginx) {
    const n = 2000;
    const start = memory(nginx);
    const sockets = [];

    for (let i = 0; i < n; i++) {
        const socket = net.connect(nginx.http, '127.0.0.1');

        await once(socket, 'connect');
        socket.write('GET /gateway?v=10&encoding=json HTTP/1.1\r\n'
            + 'Host: 127.0.0.1\r\nUpgrade: websocket\r\n');
        sockets.push(socket);
    }
    await until('nginx to have them all', async () => {
        const before = memory(nginx);

        await new Promise((resolve) => setTimeout(resolve, 500));
        return memory(nginx) === before;
    }, 10000);

    const open = memory(nginx) - start;

    sockets.forEach((s) => s.destroy());

    const c = crowd(nginx, '--clients', n, '--ramp', 1000, '--seconds', 8);

    await until('all clients to be idle', () =>
        c.stderr.includes('joined: '), 60000);
    await new Promise((resolve) => setTimeout(resolve, 2000));

    const all = memory(nginx) - start;

    await c.json(60000);

    console.log(`an idle gateway connection of one guild: ${(all / n / 1024)
        .toFixed(1)} KiB of worker memory, of which an open request of nginx `
        + `has ${(open / n / 1024).toFixed(1)} KiB: ${((all - open) / n / 1024)
            .toFixed(1)} KiB on top`);
}


/* From the request to the last packet that still gets through. */
async function enforce(nginx) {
    const guild = String(GUILD);
    const [a, b] = await Promise.all(['501', '502'].map((user) =>
        Guest.join(nginx, guild, String(CHANNEL), { user,
            token: userToken(nginx.key, { user, guilds: [guild] }) })));
    const took = [];

    await b.voice.knows(a.voice);

    /* dense, so that the last one tells the time */
    const timer = setInterval(() => a.voice.speakNext().catch(() => {}), 2);

    const token = signToken(readFileSync(platformKey, 'utf8').trim(),
        { scope: 'platform' });
    const patch = (mute) => rest(nginx, 'PATCH',
        `/api/v1/guilds/${guild}/members/${a.user}`,
        { token, body: { mute } });

    for (let i = 0; i < 50; i++) {
        await until('the talk to be heard', () =>
            b.voice.packets.at(-1)?.at > now() - 5);

        const start = now();

        await patch(true);
        await until('the talk to be over', () =>
            b.voice.packets.at(-1).at < now() - 60);
        took.push(Math.max(0, b.voice.heard(a.voice).at(-1).at - start));
        await patch(false);
    }

    clearInterval(timer);
    await a.leave();
    await b.leave();

    console.log('mute by REST, from the start of the request to the last '
        + `packet that is heard: p50 ${ms(quantile(took, 0.5))}, max ${ms(Math.max(...took))} in `
        + `${took.length} rounds`);
}


async function main() {
    writeFileSync(join(dir, 'guilds.json'), JSON.stringify(directory()));
    writeFileSync(platformKey, `${newKey()}\n`);

    const parts = { memory: idle, changes, joins, enforce };

    for (const [name, part] of Object.entries(parts)) {
        if (wanted && wanted !== name) {
            continue;
        }

        const nginx = await Nginx.start({ workers: 2, tcp: 'reuseport',
            zone: `${dir}/${name}.zone sessions=16384`,
            relays: [{ listen: '127.0.0.1', params: 'reuseport rcvbuf=4m' }],
            http: `voice_guilds ${dir}/guilds.json;`
                + `voice_platform_key ${platformKey};`,
            server: 'location /gateway { voice_gateway; }'
                + ' location /api/ { voice_api; }' });

        try {
            await part(nginx);
        } finally {
            await nginx.stop();
        }
    }
}


main().finally(() => rmSync(dir, { recursive: true, force: true }));
