/*
 * Copyright (C) ngx-voice contributors
 *
 * How much one user, or one address, may ask of the gateway and of REST; it
 * is the same however many workers there are.
 */

import assert from 'node:assert/strict';
import http from 'node:http';
import { once } from 'node:events';
import { after, before, describe, test } from 'node:test';

import { CHANNEL, GUILD, GW, GatewayClient, guilds, rest }
    from './lib/gateway.mjs';
import { newUser } from './lib/member.mjs';
import { Nginx } from './lib/nginx.mjs';
import { signToken } from './lib/token.mjs';
import { until, within } from './lib/wait.mjs';


const SESSIONS = 4;

const later = (s) => Math.floor(Date.now() / 1000) + s;


let nginx;             /* the limits as they are by default */
let many;              /* logs in whoever comes; few sessions, slow REST */

before(async () => {
    nginx = await Nginx.start({ workers: 4, tcp: 'reuseport',
        guilds: guilds(), identify: null });
    many = await Nginx.start({ workers: 4, tcp: 'reuseport',
        guilds: guilds(), http: `voice_gateway_sessions ${SESSIONS};`
            + ' set_real_ip_from 127.0.0.1; real_ip_header X-Real-IP;',
        server: 'location /slow/ { voice_api; voice_api_rate 1/s 8; }' });
});
after(() => Promise.all([nginx?.stop(), many?.stop()]));

const metric = async (server, name) =>
    (await server.metrics())[name] ?? 0;

const startLimit = async (user) => {
    const r = await rest(nginx, 'GET', 'gateway/bot',
        { token: nginx.userToken(user) });

    return r.body.session_start_limit;
};


describe('Identify', () => {
    test('once in five seconds, at whichever worker: op 9', async () => {
        const user = newUser();
        const before = await metric(nginx,
            'voice_gateway_refused_total{reason="identify"}');
        const first = await GatewayClient.login(nginx, { user });
        const others = await Promise.all(Array.from({ length: 8 },
            () => GatewayClient.open(nginx, { user })));

        for (const g of others) {
            g.sayIdentify();
            assert.deepEqual((await g.next(GW.INVALID)).d, false);
        }
        assert.equal(await metric(nginx,
            'voice_gateway_refused_total{reason="identify"}') - before, 8);

        /* the websocket stays, and a later Identify on it is good */
        const from = others[0].mark;

        await until('another Identify', async () => {
            others[0].sayIdentify();
            await others[0].settled();

            return others[0].events('READY', from).length > 0;
        }, 15000, 500);

        for (const g of [first, ...others]) {
            g.destroy();
        }
    });

    test('others are not kept waiting', async () => {
        const all = await Promise.all(Array.from({ length: 20 },
            () => GatewayClient.login(nginx, { user: newUser() })));

        await Promise.all(all.map((g) => g.close()));
    });

    test('a resume is none', async () => {
        const g = await GatewayClient.login(nginx, { user: newUser() });

        for (let i = 0; i < 3; i++) {
            await g.cut();
            await g.resume();
        }
        await g.close();
    });

    test('GET gateway/bot says what is left of the day', async () => {
        const user = newUser();

        assert.deepEqual(await startLimit(user), { total: 1000,
            remaining: 1000, reset_after: 0, max_concurrency: 1 });

        const g = await GatewayClient.login(nginx, { user });
        const left = await startLimit(user);

        assert.equal(left.remaining, 999);
        assert.ok(left.reset_after > 0 && left.reset_after <= 86400);
        await g.close();
        assert.equal((await startLimit(user)).remaining, 999);
    });

    test('as often as the directive says', async () => {
        const user = newUser();
        const all = await Promise.all(Array.from({ length: SESSIONS },
            () => GatewayClient.login(many, { user })));

        await Promise.all(all.map((g) => g.close()));
    });
});


describe('sessions of a user', () => {
    test('the one that was left first goes', async () => {
        const user = newUser();
        const left = [];

        for (let i = 0; i < SESSIONS; i++) {
            const g = await GatewayClient.login(many, { user });

            if (i === 0) {
                g.voice(GUILD, CHANNEL.lounge);
                await g.state(user);
            }
            await g.cut();
            left.push(g);
            await until('it is detached', async () =>
                (await many.status()).gateway.detached >= i + 1);
        }

        const watcher = await GatewayClient.login(many, { user: newUser() });
        const more = await GatewayClient.login(many, { user });

        /* and its user leaves voice */
        await watcher.state(user, (d) => d.channel_id === null);

        await left[0].connect();
        left[0].sayResume();
        assert.equal((await left[0].next(GW.INVALID)).d, false);

        await left[1].resume();
        await Promise.all([...left, more, watcher].map((g) => g.close()));
    });

    test('all are connected: 4008', async () => {
        const user = newUser();
        const all = [];

        for (let i = 0; i < SESSIONS; i++) {
            all.push(await GatewayClient.login(many, { user }));
        }

        const g = await GatewayClient.open(many, { user });

        g.sayIdentify();

        const is = await g.whenClosed();

        assert.equal(is.code, 4008);
        assert.match(is.reason, /too many sessions/);
        await Promise.all([g, ...all].map((one) => one.close()));
    });
});


describe('op 8', () => {
    const LARGE = '41771983423149000';
    const members = Array.from({ length: 2500 }, (_, i) => ({
        user: { id: String(41771983423150000n + BigInt(i)),
            username: `member ${i}` }, roles: [] }));
    let large;

    before(async () => {
        large = await Nginx.start({ workers: 2, tcp: 'reuseport',
            guilds: [{ id: LARGE, name: 'Large', owner_id: '1',
                roles: [{ id: LARGE, name: '@everyone',
                    permissions: '0' }], channels: [], members }] });
    });
    after(() => large?.stop());

    const ask = (g, more) => g.say(GW.MEMBERS,
        { guild_id: LARGE, limit: 0, query: '', ...more });
    const chunks = async (g, from, n) => {
        await until(`${n} chunks`, () =>
            g.events('GUILD_MEMBERS_CHUNK', from).length === n);

        return g.events('GUILD_MEMBERS_CHUNK', from).map((m) => m.d);
    };

    test('all of a large guild: not again at once', async () => {
        const g = await GatewayClient.login(large, { user: newUser() });
        let from = g.mark;

        ask(g);

        const all = await chunks(g, from, 3);

        assert.equal(all.flatMap((d) => d.members).length, 2501);

        from = g.mark;
        for (let i = 0; i < 50; i++) {
            ask(g, { nonce: `n${i}` });
        }
        await until('answers', () =>
            g.events('RATE_LIMITED', from).length === 50);

        const { d } = g.events('RATE_LIMITED', from)[49];

        assert.equal(d.opcode, 8);
        assert.deepEqual(d.meta, { guild_id: LARGE, nonce: 'n49' });
        assert.ok(d.retry_after > 0 && d.retry_after <= 30);
        assert.equal(g.events('GUILD_MEMBERS_CHUNK', from).length, 0);

        /* it has a number of its own, and is nothing that a resume stops at */
        await g.cut();
        from = await g.resume({ seq: g.seq - 1 });
        assert.equal(g.events('RATE_LIMITED', from).length, 1);
        await g.close();
    });

    test('few of them: as often as one likes, by name at most 100',
        async () => {
            const g = await GatewayClient.login(large, { user: newUser() });

            for (let i = 0; i < 3; i++) {
                const from = g.mark;

                ask(g, { query: 'member' });
                ask(g, { limit: 100 });
                ask(g, { user_ids: [members[7].user.id], query: undefined });
                assert.deepEqual((await chunks(g, from, 3)).map(
                    (d) => d.members.length), [100, 100, 1]);
            }
            assert.equal(g.events('RATE_LIMITED').length, 0);
            await g.close();
        });
});


describe('a token that expires', () => {
    test('ends the session: 4004, and the user leaves voice', async () => {
        const user = newUser();
        const watcher = await GatewayClient.login(many, { user: newUser() });
        const g = await GatewayClient.login(many, { user,
            token: many.userToken(user, { ttl: 4 }) });

        g.voice(GUILD, CHANNEL.lounge);
        await watcher.state(user);

        const is = await g.whenClosed(15000);

        assert.equal(is.code, 4004);
        assert.match(is.reason, /expired/);
        await watcher.state(user, (d) => d.channel_id === null);
        g.destroy();
        await watcher.close();
    });

    test('ends a stream of events, and says so', async () => {
        const token = signToken(many.platformKey, { scope: 'platform',
            exp: later(3) });
        const r = http.request({ host: '127.0.0.1', port: many.http,
            path: '/api/v1/events', agent: false,
            headers: { Authorization: `Bearer ${token}` } });

        r.end();

        const [answer] = await within('the stream', once(r, 'response'));
        const text = [];

        answer.on('data', (chunk) => text.push(chunk));
        assert.equal(answer.statusCode, 200);
        await within('the end of the stream', once(answer, 'end'), 15000);
        assert.match(Buffer.concat(text).toString(),
            /\n\nevent: expired\ndata: \{\}\n\n$/);
    });
});


describe('REST', () => {
    const ask = (path, token, ip) => rest(many, 'GET', path, { token,
        headers: ip ? { 'X-Real-IP': ip } : {} });

    async function grants(path, tokenOf, ipOf, n) {
        const answers = await Promise.all(Array.from({ length: n },
            (_, i) => ask(path, tokenOf(i), ipOf(i))));

        return answers.map((r) => r.status);
    }

    const count = (list, status) => list.filter((s) => s === status).length;

    test('a user has one bucket at all workers', async () => {
        const token = many.userToken(newUser());
        const from = Date.now();
        const seen = await grants('/slow/v10/users/@me', () => token,
            () => '192.0.2.1', 40);
        const seconds = Math.ceil((Date.now() - from) / 1000);

        assert.ok(count(seen, 200) >= 8);
        assert.ok(count(seen, 200) <= 8 + seconds, String(seen));
        assert.equal(count(seen, 200) + count(seen, 429), 40);

        /* others at the address have their own */
        assert.equal((await ask('/slow/v10/users/@me',
            many.userToken(newUser()), '192.0.2.1')).status, 200);
    });

    test('429 says when there is one again, and then there is', async () => {
        const token = many.userToken(newUser());
        let r;

        do {
            r = await ask('/slow/v10/users/@me', token, '192.0.2.2');
        } while (r.status === 200);

        assert.equal(r.status, 429);
        assert.equal(r.headers['x-ratelimit-remaining'], '0');
        assert.equal(r.headers['x-ratelimit-reset-after'],
            r.body.retry_after.toFixed(3));
        assert.ok(r.body.retry_after > 0 && r.body.retry_after <= 1);
        assert.equal(r.headers['retry-after'], '1');
        assert.ok(Number(r.headers['x-ratelimit-reset']) <= later(2));

        await new Promise((done) =>
            setTimeout(done, r.body.retry_after * 1000 + 50));
        assert.equal((await ask('/slow/v10/users/@me', token,
            '192.0.2.2')).status, 200);
    });

    test('an address that guesses is refused before its token is looked at',
        async () => {
            const ip = '192.0.2.3';
            const seen = await grants('/slow/v10/users/@me', () => 'a.b.c',
                () => ip, 40);

            assert.ok(count(seen, 401) >= 8);
            assert.ok(count(seen, 429) >= 1);

            /* one more may have come by then, which a guess takes */
            await until('a good token is refused, too', async () => {
                await ask('/slow/v10/users/@me', 'a.b.c', ip);

                return (await ask('/slow/v10/users/@me',
                    many.userToken(newUser()), ip)).status === 429;
            });
            assert.equal((await ask('/slow/v10/users/@me',
                many.userToken(newUser()), '192.0.2.4')).status, 200);
        });

    test('what anybody may ask keeps no user at the address out', async () => {
        const ip = '192.0.2.5';

        await until('the calls of anybody to be used up', async () =>
            (await ask('/slow/v10/gateway', undefined, ip)).status === 429);
        assert.equal((await ask('/slow/v10/users/@me',
            many.userToken(newUser()), ip)).status, 200);
    });

    test('an IPv6 address is its network of 64 bits', async () => {
        const seen = await grants('/slow/v10/users/@me', () => 'a.b.c',
            (i) => `2001:db8:1:2::${i + 1}`, 40);

        assert.ok(count(seen, 429) >= 1, String(seen));
        assert.equal((await ask('/slow/v10/users/@me', 'a.b.c',
            '2001:db8:1:3::1')).status, 401);
    });
});
