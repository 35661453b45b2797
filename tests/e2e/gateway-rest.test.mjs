/*
 * Copyright (C) ngx-voice contributors
 *
 * REST as bots call it, and the directory as it changes: who may do what,
 * what is said to those who may not, and what follows in the calls.
 */

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { CHANNEL, GUILD, GatewayClient, Guest, OTHER_GUILD, PERM, USER,
    guilds, rest } from './lib/gateway.mjs';
import { newUser } from './lib/member.mjs';
import { Nginx } from './lib/nginx.mjs';
import { until } from './lib/wait.mjs';


const { lounge, studio, secret, stage } = CHANNEL;

const later = (s) => Math.floor(Date.now() / 1000) + s;


let nginx;

before(async () => {
    nginx = await Nginx.start({ workers: 2, guilds: guilds(),
        server: `location /slow/ { voice_api; voice_api_rate 1/s 3; }` });
});
after(() => nginx?.stop());


const call = (method, path, options) => rest(nginx, method, path, options);

const as = (user, claims) => ({ token: nginx.userToken(user, claims) });
const owner = () => as(USER.owner);
const moderator = () => as(USER.moderator);
const member = () => as(USER.member);

const MEMBER = `guilds/${GUILD}/members/${USER.member}`;
const STATE = `guilds/${GUILD}/voice-states`;


/* An answer of an error: status, Discord's code, and its field. */
function refused(r, status, code, field = null) {
    assert.equal(r.status, status, r.bytes.toString());
    assert.equal(r.body.code, code);
    assert.equal(typeof r.body.message, 'string');
    assert.match(r.headers['content-type'], /^application\/json$/);
    if (field !== null) {
        const at = field.split('/').filter(Boolean)
            .reduce((o, k) => o[k], r.body.errors);

        assert.equal(typeof at._errors[0].message, 'string',
            r.bytes.toString());
    }
}


describe('who asks', () => {
    const bad = {
        'nobody': () => null, 'no JWT': () => 'x',
        'an expired token': () => nginx.userToken(USER.member,
            { exp: later(-10) }),
        'a voice token': () => nginx.token({ user: USER.member, guild: GUILD,
            channel: lounge, session: 's' }),
        'a platform': () => nginx.platformToken(),
        'a long one': () => 'x'.repeat(8000)
    };

    for (const [name, token] of Object.entries(bad)) {
        test(`${name}: 401`, async () => {
            for (const [method, path] of [['GET', 'users/@me'],
                ['GET', 'gateway/bot'], ['PATCH', MEMBER]])
            {
                refused(await call(method, path, { token: token(),
                    body: method === 'PATCH' ? {} : null }), 401, 0);
            }
        });
    }

    test('a user is no platform: 401', async () => {
        for (const [method, path] of [['GET', `guilds/${GUILD}`],
            ['DELETE', `guilds/${GUILD}`], ['GET', 'events'],
            ['POST', 'voice-tokens']])
        {
            refused(await call(method, `/api/v1/${path}`, { ...owner(),
                body: method === 'POST' ? {} : null }), 401, 0);
        }
    });

    test('everybody: the URL of the gateway', async () => {
        const r = await call('GET', 'gateway');

        assert.equal(r.status, 200);
        assert.match(r.body.url, /^ws:\/\/127\.0\.0\.1:\d+\/gateway$/);
    });

    test('by "Bearer", and by older versions', async () => {
        const { token } = member();

        for (const path of ['/api/v6/users/@me', '/api/v9/users/@me',
            '/api/users/@me', '/api/v10/users/@me/'])
        {
            const r = await call('GET', path, { headers:
                { Authorization: `Bearer ${token}` } });

            assert.equal(r.status, 200);
            assert.equal(r.body.id, USER.member);
        }
    });
});


describe('what is not there', () => {
    const missing = [
        ['GET', 'nothing', 404, 0], ['GET', '/api/v11/users/@me', 404, 0],
        ['GET', '/api/v2/users/@me', 404, 0], ['DELETE', MEMBER, 405, 0],
        ['POST', 'users/@me', 405, 0],
        ['GET', 'guilds/77', 404, 10004],
        ['GET', 'guilds/77/members/1', 404, 10004],
        ['GET', `guilds/${GUILD}/members/77`, 404, 10007],
        ['PATCH', `guilds/${GUILD}/members/77`, 404, 10007],
        ['GET', 'channels/77', 404, 10003],
        ['GET', `${STATE}/@me`, 404, 10065],
        ['GET', `${STATE}/77`, 404, 10065],
        ['PATCH', `${STATE}/@me`, 404, 10065]
    ];

    for (const [method, path, status, code] of missing) {
        test(`${method} ${path}: ${status} ${code}`, async () => {
            refused(await call(method, path, { ...owner(),
                body: method === 'PATCH' ? {} : null }), status, code);
        });
    }

    test('a guild that is not in the token', async () => {
        const { token } = as(USER.owner, { guilds: [OTHER_GUILD] });

        for (const path of [`guilds/${GUILD}`, `guilds/${GUILD}/channels`,
            `${STATE}/@me`, MEMBER])
        {
            refused(await call('GET', path, { token }), 404, 10004);
        }
        assert.ok([403, 404].includes((await call('GET',
            `channels/${lounge}`, { token })).status));
    });
});


describe('what is no request', () => {
    const ids = ['x', '-1', '0', '1.5', '18446744073709551616', '1e3',
        '%20', '99999999999999999999999999'];

    for (const id of ids) {
        test(`the id ${id} in a path: 400`, async () => {
            for (const path of [`guilds/${id}`, `channels/${id}`,
                `guilds/${GUILD}/members/${id}`])
            {
                refused(await call('GET', path, owner()), 400, 50035);
            }
        });
    }

    const fields = [
        [{ mute: 'yes' }, '/mute'], [{ mute: 1 }, '/mute'],
        [{ deaf: [] }, '/deaf'], [{ channel_id: 'x' }, '/channel_id'],
        [{ channel_id: -1 }, '/channel_id'],
        [{ channel_id: {} }, '/channel_id'],
        [`{"channel_id":18446744073709551616}`, '/channel_id'],
        ['[]', ''], ['1', ''], ['null', '']
    ];

    for (const [body, field] of fields) {
        test(`${JSON.stringify(body)} of a member: 400`, async () => {
            refused(await call('PATCH', MEMBER, { ...owner(), body }), 400,
                50035, field);
        });
    }

    const stages = [
        [{ suppress: 'no' }, '/suppress'], [{ channel_id: 'x' },
            '/channel_id'],
        [{ request_to_speak_timestamp: 'soon' },
            '/request_to_speak_timestamp'],
        [{ request_to_speak_timestamp: 5 },
            '/request_to_speak_timestamp'],
        [{ request_to_speak_timestamp: '2020-01-01T00:00:00Z' },
            '/request_to_speak_timestamp']
    ];

    for (const [body, field] of stages) {
        test(`${JSON.stringify(body)} of a voice state: 400`, async () => {
            refused(await call('PATCH', `${STATE}/@me`, { ...owner(), body }),
                400, 50035, field);
        });
    }

    const broken = { 'half': '{"mute":', 'nothing': '', 'text': 'mute',
        'deep': `{"mute":${'['.repeat(30000)}`,
        'deep and whole': `{"x":${'[1,'.repeat(2000)}1${']'.repeat(2000)}}`,
        'bytes': Buffer.from('{"mute":"\xff"}', 'latin1') };

    for (const [name, body] of Object.entries(broken)) {
        test(`JSON: ${name}: 400`, async () => {
            refused(await call('PATCH', MEMBER, { ...owner(), body }), 400,
                50109);
        });
    }

    test('too much: 413', async () => {
        const r = await call('PATCH', MEMBER, { ...owner(),
            body: `{"mute":true,"x":"${'x'.repeat(70000)}"}` });

        refused(r, 413, 40005);
    });
});


test('a channel goes back to the region of its guild', async () => {
    const [{ id }] = (await call('GET', 'voice/regions', member())).body;
    const patch = async (path, body) => {
        const r = await call('PATCH', path, { ...owner(), body });

        assert.equal(r.status, 200, r.bytes.toString());

        return r.body;
    };
    const region = async () => (await call('GET', `/api/v1/guilds/${GUILD}`,
        { token: nginx.platformToken() })).body.region;

    await patch(`guilds/${GUILD}`, { region: id });
    assert.equal((await patch(`channels/${lounge}`,
        { rtc_region: id })).rtc_region, id);
    assert.equal((await patch(`channels/${lounge}`,
        { rtc_region: null })).rtc_region, null);
    assert.equal(await region(), id);
});


test('too often: 429, and when to come again', async () => {
    const user = newUser();
    const ask = (who) => call('GET', '/slow/v10/users/@me', as(who));
    let r = null;

    for (let i = 0; i < 20 && r?.status !== 429; i++) {
        r = await ask(user);
    }
    refused(r, 429, 0);
    assert.ok(Number(r.headers['retry-after']) >= 1);
    assert.equal(r.headers['x-ratelimit-limit'], '3');
    assert.equal(r.headers['x-ratelimit-remaining'], '0');
    assert.ok(Number(r.headers['x-ratelimit-reset']) >= later(-1));
    assert.ok(Number(r.headers['x-ratelimit-reset-after']) > 0);
    assert.equal(r.headers['x-ratelimit-global'], 'true');
    assert.equal(r.body.global, true);
    assert.ok(r.body.retry_after > 0);

    /* whoever takes itself for the platform is a stranger */
    const guess = (token) => call('GET', `/slow/v1/guilds/${GUILD}`,
        { token });

    for (let i = 0; i < 20 && r?.status !== 401; i++) {
        r = await guess(nginx.userToken(user));
    }
    refused(r, 401, 0);
    for (let i = 0; i < 20 && r?.status !== 429; i++) {
        r = await guess(nginx.userToken(user));
    }
    refused(r, 429, 0);
    for (let i = 0; i < 10; i++) {
        assert.equal((await guess(nginx.platformToken())).status, 200);
    }

    /* others are not held up elsewhere, and it is let in again */
    assert.equal((await call('GET', '/slow/v10/users/@me',
        { ...as(newUser()), from: '127.0.0.2' })).status, 200);
    await until('it to be let in', async () =>
        (await ask(user)).status === 200, 10000, 200);
});


describe('rights', () => {
    test('who is not in voice can be neither muted nor moved', async () => {
        for (const body of [{ mute: true }, { deaf: false },
            { channel_id: lounge }, { channel_id: null }])
        {
            refused(await call('PATCH', MEMBER, { ...owner(), body }), 400,
                40032);
        }
    });

    test('each act needs its own', async () => {
        const g = await GatewayClient.login(nginx, { user: USER.member });

        g.voice(GUILD, lounge);
        await g.state(USER.member);

        for (const body of [{ mute: true }, { deaf: true },
            { channel_id: studio }, { channel_id: null }])
        {
            refused(await call('PATCH', MEMBER, { ...member(), body }), 403,
                50013);
            refused(await call('PATCH', MEMBER, { ...as(newUser()), body }),
                403, 50013);
        }
        await g.settled();
        assert.equal(g.events('VOICE_STATE_UPDATE').filter((m) =>
            m.d.user_id === USER.member).length, 1);

        /* those who may; the ids as numbers, too */
        const done = [
            [{ mute: true, deaf: true }, (d) => d.mute && d.deaf],
            [{ mute: false }, (d) => !d.mute && d.deaf],
            [`{"channel_id":${studio}}`, (d) => d.channel_id === studio],
            [{ deaf: false, channel_id: lounge },
                (d) => !d.deaf && d.channel_id === lounge],
            [{ channel_id: null }, (d) => d.channel_id === null]
        ];

        for (const [body, fits] of done) {
            const from = g.mark;
            const r = await call('PATCH', MEMBER, { ...moderator(), body });

            assert.equal(r.status, 200);
            assert.equal(r.body.user.id, USER.member);
            await g.state(USER.member, fits, { from });
        }
        await g.close();
    });

    test('where to move: a voice channel that one could join', async () => {
        const g = await GatewayClient.login(nginx, { user: USER.member });
        const move = (channel, who) => call('PATCH', MEMBER, { ...who,
            body: { channel_id: channel } });

        g.voice(GUILD, lounge);
        await g.state(USER.member);
        refused(await move('77', owner()), 404, 10003);
        refused(await move(CHANNEL.other, owner()), 404, 10003);
        refused(await move(CHANNEL.text, owner()), 400, 50024);
        refused(await move(CHANNEL.text, member()), 403, 50013);
        await g.close();
    });

    test('a voice state of a channel that is no stage', async () => {
        const g = await GatewayClient.login(nginx, { user: USER.member });
        const patch = (body, who = member()) => call('PATCH',
            `${STATE}/@me`, { ...who, body });

        g.voice(GUILD, lounge);
        await g.state(USER.member);
        refused(await patch({ suppress: true }), 400, 50024);
        refused(await patch({ channel_id: stage }), 400, 50035,
            '/channel_id');
        await g.close();
    });
});


describe('a directory that changes', () => {
    let server;

    before(async () => {
        server = await Nginx.start({ workers: 2, guilds: guilds(),
            allow: [/guilds\.json".*channels\/1\/type/] });
    });
    after(() => server?.stop());

    const join = (channel, options) => Guest.join(server, GUILD, channel,
        { user: newUser(), ...options });

    /* With another directory; then with the first one again. */
    async function changed(change, check) {
        const other = guilds();

        change(other[0]);
        await server.reload({ ...server.options, guilds: other });
        await check();
        await server.reload({ ...server.options, guilds: guilds() });
    }

    /* All gateways had to come to the new workers. */
    const back = (...guests) => Promise.all(guests.map(async (g) => {
        await g.gateway.whenClosed(10000);
        await g.gateway.resume();
    }));

    test('a channel is taken away: all in it have to leave', async () => {
        const a = await join(studio);
        const b = await join(lounge);
        const from = b.gateway.mark;

        await changed((guild) => {
            guild.channels = guild.channels.filter((c) => c.id !== studio);
        }, async () => {
            assert.equal((await a.voice.whenClosed()).code, 4014);
            await back(a, b);
            await b.gateway.state(a.user, (d) => d.channel_id === null,
                { from });
            await a.gateway.state(a.user, (d) => d.channel_id === null);
            assert.equal(b.voice.ws.ending, null);
        });
        await back(a, b);
        await a.leave();
        await b.leave();
    });

    test('speech is taken away: suppressed at once, and back', async () => {
        const a = await join(lounge);
        const b = await join(lounge);

        await a.voice.speakFor(2, { every: 5 });
        await b.voice.hears(a.voice);

        const { sent } = a.voice;

        await changed((guild) => {
            guild.channels[0].permission_overwrites = [{ id: GUILD, type: 0,
                allow: '0', deny: String(PERM.SPEAK) }];
        }, async () => {
            const dropped = await server.dropped('suppressed');

            await until('its packets to be dropped', async () => {
                await a.voice.speakNext();
                return await server.dropped('suppressed') > dropped;
            });
            await back(a, b);
            await b.gateway.state(a.user, (d) => d.suppress);
            await b.voice.settled();
        });

        const before = b.voice.heard(a.voice).length;

        assert.ok(before < a.voice.sent);
        assert.ok(before >= sent);
        await until('it to be heard again', async () => {
            await a.voice.speakNext();
            return b.voice.heard(a.voice).length > before;
        });
        await back(a, b);
        await a.leave();
        await b.leave();
    });

    test('the right to be there is taken away', async () => {
        const a = await join(secret, { user: USER.moderator });

        await changed((guild) => {
            guild.members[1].roles = [];
        }, async () => {
            assert.equal((await a.voice.whenClosed()).code, 4014);
            await back(a);
            await a.gateway.state(a.user, (d) => d.channel_id === null);
        });
        await back(a);
        await a.leave();
    });

    test('at run time, by the platform: at once, without a reload',
        async () => {
            const [a, b] = [await join(studio), await join(lounge)];
            const from = b.gateway.mark;
            const path = `/api/v1/guilds/${GUILD}`;
            const token = server.platformToken();
            const [guild] = guilds();
            const put = (channels) => rest(server, 'PUT', path, { token,
                body: { ...guild, channels } });
            const without = guild.channels.filter((c) => c.id !== studio);

            assert.equal((await put(without)).status, 200);
            assert.equal((await a.voice.whenClosed()).code, 4014);
            await b.gateway.state(a.user, (d) => d.channel_id === null,
                { from });
            await b.gateway.event('CHANNEL_DELETE', (d) => d.id === studio,
                { from });

            /* it is not taken if anything in it is wrong */
            const r = await put([...without, { id: '5', name: 'x',
                type: 'voice' }]);

            refused(r, 400, 50035,
                `/channels/${without.length}/type`);
            assert.equal((await put(guild.channels)).status, 200);
            await b.gateway.event('CHANNEL_CREATE', (d) => d.id === studio,
                { from });
            await a.leave();
            await b.leave();
        });

    test('a file that is wrong: refused with its place, the old one stays',
        async () => {
            const bad = guilds();

            bad[0].channels[1].type = 'voice';
            server.writeGuilds(bad);

            const { code, output } = await server.test();

            assert.notEqual(code, 0);
            assert.match(output, /guilds\.json/);
            assert.match(output, /\/guilds\/0\/channels\/1\/type/);

            /* a reload all the same: what was there goes on */
            const before = server.workers();

            server.signal('SIGHUP');
            await until('the log to say so', () => server.logLines(
                /\[error\].*former directory of guilds stays/).length > 0);
            await until('the new workers', () => server.workers()
                .filter((p) => !before.includes(p)).length === 2);

            const a = await join(studio);

            await a.leave();
            server.writeGuilds(guilds());
        });
});
