/*
 * Copyright (C) ngx-voice contributors
 *
 * What an operator meets: nginx -t, reload, limits and logs of nginx itself.
 */

import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';

import { Member, OP, call, leave, newRoom } from './lib/member.mjs';
import { Nginx } from './lib/nginx.mjs';
import { until } from './lib/wait.mjs';
import { connection, voicectl } from './lib/voicectl.mjs';
import { dial, request, upgradeHeaders } from './lib/websocket.mjs';


describe('nginx -t', () => {
    test('accepts what the tests use, and what is documented', async () => {
        for (const options of [{},
            { http: 'voice_heartbeat 41250ms;' },
            { main: 'voice_resume_window 30s;' },
            { http: 'voice_guests on;' },
            { main: 'voice_crypto auto;' },
            { stream: 'voice_max_speakers 64;' },
            { stream: 'voice_max_speakers off;' },
            { main: 'voice_crypto portable;' },
            { modes: ['xsalsa20_poly1305', 'aead_aes256_gcm_rtpsize'] }])
        {
            const { code, output } = await Nginx.check(options);

            assert.equal(code, 0, output);
        }
    });

    /* the directive, its value, and what it says was expected */
    const bad = [
        [{ modes: ['rot13'] }, 'voice_modes', 'rot13',
            /aead_aes256_gcm_rtpsize/],
        [{ modes: ['xsalsa20_poly1305', 'xsalsa20_poly1305'] },
            'voice_modes', 'xsalsa20_poly1305', /twice|duplicate/],
        [{ zone: 'x.zone sessions=10' }, 'voice_zone', '10', /64/],
        [{ zone: 'x.zone sessions=1000000' }, 'voice_zone', '1000000',
            /131072/],
        [{ zone: 'x.zone sessions=many' }, 'voice_zone', 'many',
            /number|64/],
        [{ zone: 'x.zone colour=blue' }, 'voice_zone', 'colour=blue',
            /sessions=/],
        [{ relay: 'voice_relay advertise=nowhere;' }, 'voice_relay',
            'nowhere', /IP|address/],
        [{ relay: 'voice_relay advertise=;' }, 'voice_relay', 'advertise=',
            /IP|address/],
        [{ relay: 'voice_relay colour=blue;' }, 'voice_relay', 'colour=blue',
            /advertise=/],
        [{ http: 'voice_heartbeat often;' }, 'voice_heartbeat', 'often',
            /time/],
        [{ http: 'voice_heartbeat 0;' }, 'voice_heartbeat', '0', /ms|s\b/],
        [{ stream: 'voice_max_speakers 0;' }, 'voice_max_speakers', '0',
            /1 to 64, or off/],
        [{ stream: 'voice_max_speakers 65;' }, 'voice_max_speakers', '65',
            /1 to 64, or off/],
        [{ main: 'voice_crypto sse9;' }, 'voice_crypto', 'sse9',
            /auto, portable, avx2 or avx512/],
        [{ main: 'voice_resume_window never;' }, 'voice_resume_window',
            'never', /time/],
        [{ http: 'voice_signal_rate fast;' }, 'voice_signal_rate', 'fast',
            /\/s/],
        [{ http: 'voice_signal_rate 0/s;' }, 'voice_signal_rate', '0/s',
            /1\/s/],
        [{ http: 'voice_guests perhaps;' }, 'voice_guests', 'perhaps',
            /"on" or "off"/],
        [{ http: 'voice_key /nonexistent/key;' }, 'voice_key',
            '/nonexistent/key', /No such file/],
        [{ signal: 'voice_signal on;' }, 'voice_signal', '', /arguments/],
        [{ server: 'location = /x { voice_status yaml; }' }, 'voice_status',
            'yaml', /prometheus/]
    ];

    for (const [options, directive, value, expected] of bad) {
        test(`refuses ${JSON.stringify(options)}`, async () => {
            const { code, output } = await Nginx.check(options);
            const line = output.split('\n').find((l) =>
                /\[emerg\]/.test(l)) ?? '';

            assert.equal(code, 1, output);
            assert.ok(line.includes(`"${directive}"`), output);
            assert.ok(line.includes(value), output);
            assert.match(line, expected);
            assert.match(line, /nginx\.conf:\d+/);
        });
    }

    test('refuses a key that is too short, without telling it', async () => {
        const dir = mkdtempSync(join(tmpdir(), 'ngx-voice-key-'));
        const file = join(dir, 'short.key');

        writeFileSync(file, 'c0ffee\n');

        const { code, output } = await Nginx.check(
            { http: `voice_key ${file};` });

        rmSync(dir, { recursive: true });
        assert.equal(code, 1);
        assert.match(output, /"voice_key".*32/);
        assert.ok(!output.includes('c0ffee'));
    });

    test('takes a crypto kernel if the CPU can run it', async () => {
        const cpu = readFileSync('/proc/cpuinfo', 'utf8');
        const able = { avx2: ['avx2', 'aes', 'pclmulqdq'],
            avx512: ['avx512f', 'avx512ifma', 'avx512vl', 'vaes',
                'vpclmulqdq', 'bmi2'] };

        for (const [name, flags] of Object.entries(able)) {
            const { code, output } = await Nginx.check({ main:
                `voice_crypto ${name};` });

            if (flags.every((flag) => cpu.includes(` ${flag} `))) {
                assert.equal(code, 0, output);
            } else {
                assert.equal(code, 1, output);
                assert.match(output, new RegExp(`"voice_crypto ${name}" `
                    + "can't be used on this machine: the CPU has no "));
            }
        }
    });

    test('refuses a relay for TCP', async () => {
        const { code, output } = await Nginx.check({
            stream: 'server { listen 127.0.0.1:1; voice_relay '
                + 'advertise=127.0.0.1; }' });

        assert.equal(code, 1);
        assert.match(output, /"voice_relay".*udp/);
    });
});


describe('reload', () => {
    test('in the middle of a call loses no packet', async () => {
        const nginx = await Nginx.start({ workers: 2, tcp: 'reuseport' });

        try {
            const room = newRoom();
            const [a, b] = await call(nginx, room, room);
            const talk = a.talk();

            await until('the call to run', () => b.packets.length > 10);

            const old = new Set(nginx.workers());

            await nginx.reload();

            /* websockets are asked to come back, sooner or later */
            for (const m of [a, b]) {
                const closed = await Promise.race([m.ws.closed,
                    until('some more of the call', ((n) => () =>
                        b.packets.length > n + 50)(b.packets.length))]);

                if (closed.code !== undefined) {
                    assert.ok(closed.code < 4000, `closed with ${closed.code}`);
                    await m.resume();
                }
            }
            await b.speakFor(10);
            await a.hears(b);

            const { to } = talk.stop();

            await b.hears(a, to);
            assert.deepEqual(b.faults(a, { to }), []);
            assert.deepEqual(a.faults(b), []);

            /* a newcomer meets those who were there before */
            const c = await Member.join(nginx, room);

            await Promise.all([c.knows(a), c.knows(b), a.knows(c)]);
            await c.speakFor(5);
            await a.hears(c);
            await leave(a, b, c);
            await until('the end of the old workers', () =>
                nginx.workers().every((pid) => !old.has(pid)), 15000);
        } finally {
            await nginx.stop();
        }
    });

    for (const [from, to] of [[2, 2], [1, 4], [4, 2]]) {
        test(`with ${from} and then ${to} workers under load loses nothing`,
            async () => {
                const nginx = await Nginx.start({ workers: from,
                    tcp: 'reuseport', relays: [{ listen: '127.0.0.1',
                        params: 'reuseport rcvbuf=4m' }] });

                try {
                    const load = voicectl('load',
                        ...connection(nginx, newRoom()), '--rooms', 4,
                        '--participants', 5, '--talkers', 2, '--pps', 50,
                        '--frame', 80, '--mode', 'aead_aes256_gcm_rtpsize',
                        '--seconds', 8, '--json');

                    await until('the load', async () =>
                        await nginx.metric('rx_accepted') > 400, 15000, 50);
                    await nginx.reload({ ...nginx.options, workers: to });

                    const stats = await load.json();

                    assert.ok(stats.expected > 4 * 2 * 4 * 300,
                        JSON.stringify(stats));
                    assert.deepEqual(
                        [stats.participants, stats.received, stats.lost,
                            stats.duplicated, stats.reordered,
                            stats.undecryptable],
                        [20, stats.expected, 0, 0, 0, 0],
                        JSON.stringify(stats));
                } finally {
                    await nginx.stop();
                }
            });
    }

    test('changes the crypto kernel, which the log names once', async () => {
        const nginx = await Nginx.start({ main: 'voice_crypto portable;' });
        const load = () => voicectl('load', ...connection(nginx,
            { guild: 700, channel: 7000 }), '--rooms', 2, '--participants', 9,
        '--talkers', 2, '--mode', 'mix', '--seconds', 1, '--json').json();
        const names = () => nginx.logLines(/voice crypto/).map((line) =>
            line.match(/\[notice\].*voice crypto (\w+)$/)?.[1]);

        try {
            assert.equal((await nginx.status()).crypto, 'portable');
            assert.ok((await load()).received > 0);
            assert.deepEqual(names(), ['portable']);

            await nginx.reload({ main: 'voice_crypto auto;' });

            const { crypto } = await nginx.status();
            const info = Object.keys(await nginx.metrics())
                .find((name) => name.startsWith('voice_info'));

            assert.match(crypto, /^(portable|avx2|avx512)$/);
            assert.ok(info.includes(`crypto="${crypto}"`), info);
            assert.ok((await load()).received > 0);
            assert.deepEqual(names(), ['portable', crypto]);
        } finally {
            await nginx.stop();
        }
    });

    test('takes other modes for those who join from then on', async () => {
        const nginx = await Nginx.start();

        try {
            const room = newRoom();
            const a = await Member.join(nginx, room);

            await nginx.reload({ modes: ['xsalsa20_poly1305_lite'] });

            const b = await Member.join(nginx,
                { ...room, mode: 'xsalsa20_poly1305_lite' });

            assert.deepEqual(b.ready.modes, ['xsalsa20_poly1305_lite']);
            await b.knows(a);
            await a.speakFor(5);
            await b.hears(a);
            await leave(a, b);
        } finally {
            await nginx.stop();
        }
    });
});


describe("nginx's own tools", () => {
    test('limit_conn, deny and auth_request work on the websocket',
        async () => {
            const nginx = await Nginx.start({
                http: 'limit_conn_zone $binary_remote_addr zone=c:1m; '
                    + 'limit_conn_status 429;',
                server: `
                location = /limited { limit_conn c 2; voice_signal; }
                location = /denied { deny all; voice_signal; }
                location = /asked { auth_request /no; voice_signal; }
                location = /no { internal; return 401; }`
            });
            const sockets = [];
            const open = async (path) => {
                const socket = await dial({ host: '127.0.0.1',
                    port: nginx.http });

                sockets.push(socket);

                const { status } = await request(socket, path,
                    upgradeHeaders());

                return { socket, status };
            };

            try {
                assert.equal((await open('/denied')).status, 403);
                assert.equal((await open('/asked')).status, 401);

                const some = [await open('/limited'), await open('/limited'),
                    await open('/limited')];

                assert.deepEqual(some.map((s) => s.status), [101, 101, 429]);
                some[0].socket.destroy();
                await until('a place to be free again', async () =>
                    (await open('/limited')).status === 101);
            } finally {
                for (const socket of sockets) {
                    socket.destroy();
                }
                await nginx.stop();
            }
        });

    test('the access log tells of each websocket', async () => {
        const nginx = await Nginx.start({
            http: 'log_format voice "$voice_user $voice_guild '
                + '$voice_channel $voice_mode $voice_close_code '
                + '$voice_packets_in $voice_packets_out '
                + '$voice_packets_lost"; access_log voice.log voice;'
        });

        try {
            const room = newRoom();
            const [a, b] = await call(nginx, room, room);

            await a.speakFor(130, { every: 5 });
            await b.hears(a);
            await leave(a, b);

            const lines = await until('two lines', () => {
                const text = readFileSync(join(nginx.dir, 'voice.log'),
                    'utf8').split('\n').filter((l) => !l.startsWith('-'));

                return text.length > 2 && text;
            });
            const line = (m) => lines.find((l) => l.startsWith(`${m.user} `));
            const mode = 'aead_aes256_gcm_rtpsize';

            assert.match(line(a), new RegExp(`^${a.user} ${room.guild} `
                + `${room.channel} ${mode} 1000 130 0 0$`));

            const [, out] = new RegExp(`^${b.user} ${room.guild} `
                + `${room.channel} ${mode} 1000 0 (\\d+) 0$`).exec(line(b))
                ?? assert.fail(line(b));

            /* each worker counts in lots of up to 64 */
            assert.ok(out > 130 - 64 && out <= 130, line(b));
        } finally {
            await nginx.stop();
        }
    });

    test('an Identify that does not come is not waited for', async () => {
        const nginx = await Nginx.start();

        try {
            const m = new Member(nginx, newRoom());

            await m.open();
            await m.greeted();

            const { code } = await m.whenClosed(20000);

            assert.equal(code, 4009);
            assert.equal(m.got(OP.READY).length, 0);
        } finally {
            await nginx.stop();
        }
    });
});
