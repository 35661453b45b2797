/*
 * Copyright (C) ngx-voice contributors
 *
 * The main gateway, message by message: what is said to whom, and what
 * becomes of those who say what they should not.
 */

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { CHANNEL, GUILD, GW, GatewayClient, Guest, OTHER_GUILD,
    USER, guilds, rest } from './lib/gateway.mjs';
import { newUser } from './lib/member.mjs';
import { Nginx } from './lib/nginx.mjs';
import { signToken } from './lib/token.mjs';
import { until, within } from './lib/wait.mjs';
import { BINARY, TEXT, connectElsewhere, dial, frame, request }
    from './lib/websocket.mjs';


const { lounge, studio, podium, secret, booth, stage, afk } = CHANNEL;

const LARGEST = '18446744073709551615';

const later = (s) => Math.floor(Date.now() / 1000) + s;


let nginx;

before(async () => {
    nginx = await Nginx.start({ workers: 4, tcp: 'reuseport',
        guilds: [...guilds(), { id: LARGEST, name: 'Last', owner_id: '1',
            channels: [{ id: '18446744073709551614', name: 'v',
                type: 2 }] }] });
});
after(() => nginx?.stop());

const open = (options) => GatewayClient.open(nginx,
    { user: newUser(), ...options });
const login = (options) => GatewayClient.login(nginx,
    { user: newUser(), ...options });
const join = (channel, options) => Guest.join(nginx, GUILD, channel,
    { user: newUser(), ...options });

/* Is closed with a code, for a reason. */
async function closes(g, code, reason) {
    const is = await g.whenClosed();

    assert.equal(is.code, code, `${is.code} ${is.reason}`);
    assert.match(is.reason, reason);
    g.destroy();
}

/*
 * Nothing was said but what a heartbeat brings; of users of other tests it
 * may still be told that they leave.
 */
async function silent(g, say, users = [g.user]) {
    const from = g.mark;

    await say();
    await g.settled();
    assert.deepEqual(g.messages.all.slice(from).filter((m) =>
        m.t !== 'VOICE_STATE_UPDATE' || users.includes(m.d.user_id))
        .map((m) => m.t ?? m.op), [GW.ACK]);
}


describe('opening', () => {
    const welcome = { 'v=10&encoding=json': 10, 'encoding=json&v=9': 9,
        'encoding=json': 9, '': 9, 'v=10': 10,
        'v=10&encoding=json&compress=zstd-stream': 10 };

    for (const [query, version] of Object.entries(welcome)) {
        test(`"${query}" is version ${version}`, async () => {
            const g = await login({ query });
            const hello = await g.next(GW.HELLO);

            assert.equal(hello.d.heartbeat_interval, 41250);
            assert.equal(hello.s, null);
            assert.equal(hello.t, null);
            assert.equal(g.ready.v, version);
            await g.close();
        });
    }

    const refused = [['v=8', 4012], ['v=11', 4012], ['v=x', 4012],
        ['v=10&encoding=etf', 4002]];

    for (const [query, code] of refused) {
        test(`"${query}" is refused`, async () => {
            const g = new GatewayClient(nginx, { user: newUser(), query });

            await g.connect();
            await closes(g, code, /is expected/);
        });
    }

    test('with a slash behind the path, and TLS', async () => {
        const g = await login({ path: '/gateway/', tls: true });

        assert.match(g.ready.resume_gateway_url, new RegExp(
            `^wss://127\\.0\\.0\\.1:${nginx.https}/gateway/$|`
            + `^wss://localhost/gateway/$`));
        await g.close();
    });

    test('READY and the guilds', async () => {
        const user = newUser();
        const g = await login({ user });
        const all = g.events();

        assert.deepEqual(all.map((m) => [m.t, m.s]), [['READY', 1],
            ['GUILD_CREATE', 2], ['GUILD_CREATE', 3], ['GUILD_CREATE', 4]]);
        assert.equal(g.ready.user.id, user);
        assert.match(g.ready.session_id, /^[0-9a-f]{32}$/);
        assert.deepEqual(g.ready.private_channels, []);
        assert.equal(g.ready.application.id, user);
        assert.equal(all[1].d.id, GUILD);
        assert.ok(all[1].d.members.some((m) => m.user.id === user));
        assert.equal(all[1].d.channels.find((c) => c.id === lounge).bitrate,
            96000);
        await g.close();
    });

    test('zlib-stream: one stream for all messages', async () => {
        const user = newUser();
        const g = await login({ user, compress: 'zlib-stream' });

        g.voice(GUILD, lounge);
        await g.state(user);
        await g.event('VOICE_SERVER_UPDATE');
        await g.settled();
        await g.close();
    });

    test('shards share the guilds', async () => {
        const seen = [];

        for (const id of [0, 1, 2]) {
            const g = await open();

            await g.identify({ shard: [id, 3] });
            assert.deepEqual(g.ready.shard, [id, 3]);
            for (const guild of g.ready.guilds) {
                assert.equal((BigInt(guild.id) >> 22n) % 3n, BigInt(id));
                seen.push(guild.id);
            }
            await g.close();
        }
        assert.equal(seen.length, 3);
    });
});


describe('who may come in', () => {
    const user = newUser();
    const bad = {
        'no JWT': () => 'x', 'an empty part': () => 'a..b',
        'another key': () => signToken('k'.repeat(64), { sub: user,
            guilds: [GUILD], exp: later(60) }),
        'no signature': () => signToken('', { sub: user, guilds: [GUILD],
            exp: later(60) }, { alg: 'none' }),
        'an expired one': () => nginx.userToken(user, { exp: later(-10) }),
        'a voice token': () => nginx.token({ user, guild: GUILD,
            channel: lounge, session: 's' }),
        'a platform token': () => nginx.platformToken()
    };

    for (const [name, token] of Object.entries(bad)) {
        test(`not with ${name}`, async () => {
            const g = await open({ token: token() });

            g.sayIdentify();
            await closes(g, 4004, /token/);
        });
    }

    test('nor by resuming with such a token', async () => {
        const g = await open({ token: 'x' });

        g.sayResume({ session: '0'.repeat(32), seq: 1 });
        await closes(g, 4004, /token/);
    });

    test('with "Bot " before the token', async () => {
        const g = await open();

        g.token = `Bot ${g.token}`;
        await g.identify();
        await g.close();
    });

    for (const op of [3, 4, 5, 8, 12, 14, 43, 44, 0, 7]) {
        test(`op ${op} before Identify`, async () => {
            const g = await open();

            g.say(op, { guild_id: GUILD, limit: 0, query: '' });
            await closes(g, 4003, /./);
        });
    }

    for (const op of [1, 40]) {
        test(`op ${op} before Identify is answered`, async () => {
            const g = await open();

            g.say(op, op === 1 ? null : { seq: null, qos: {} });
            await g.next(GW.ACK);
            await g.identify();
            await g.close();
        });
    }

    for (const [say, name] of [[(g) => g.sayIdentify(), 'Identify'],
        [(g) => g.sayResume(), 'Resume']])
    {
        test(`${name} after Identify`, async () => {
            const g = await login();

            say(g);
            await closes(g, 4005, /./);
        });
    }

    for (const shard of [[1, 1], [5, 2], [0, 0]]) {
        test(`shard ${shard}`, async () => {
            const g = await open();

            g.sayIdentify({ shard });
            await closes(g, shard[1] === 0 ? 4002 : 4010, /shard/);
        });
    }
});


describe('messages', () => {
    let bystander;

    before(async () => {
        bystander = await login();
    });
    after(async () => {
        await bystander.settled();
        await bystander.close();
    });

    test('ops that nobody here needs are accepted', async () => {
        const g = await login();

        await silent(g, () => {
            for (let op = 12; op < 44; op++) {
                if (op !== 40) {
                    g.say(op, { guild_id: GUILD });
                }
            }
            g.say(GW.PRESENCE, { status: 'idle', activities: [],
                since: null, afk: false });
            g.say(GW.VOICE_PING, null);
        });
        await g.close();
    });

    for (const op of [0, 7, 9, 10, 11, 44, 99, -1, 2147483647]) {
        test(`op ${op} is none of a client's`, async () => {
            const g = await login();

            g.say(op, null);
            await closes(g, 4001, /op/);
        });
    }

    const nested = (n, open, close) => open.repeat(n) + close.repeat(n);
    const malformed = {
        'no JSON': 'hello', 'half of it': '{"op":1,"d":', 'nothing': '',
        'an array': '[1]', 'no op': '{"d":null}', 'null': 'null',
        'op as text': '{"op":"1","d":null}', 'op 1.5': '{"op":1.5,"d":1}',
        'op beyond 32 bits': '{"op":4294967297,"d":null}',
        'two of op': '{"op":1,"op":2,"d":null}',
        'a text behind it': '{"op":1,"d":null} x',
        'no UTF-8': Buffer.from('{"op":3,"d":"\xff"}', 'latin1'),
        'arrays in arrays': `{"op":3,"d":${nested(8000, '[', ']')}}`,
        'objects in objects': `{"op":3,"d":${'{"a":'.repeat(3000)}1${
            '}'.repeat(3000)}}`,
        'arrays without an end': `{"op":3,"d":${'['.repeat(16000)}`
    };

    for (const [name, text] of Object.entries(malformed)) {
        test(`${name} is refused`, async () => {
            const g = await login();

            g.ws.send(frame(TEXT, Buffer.from(text)));
            await closes(g, 4002, /./);
        });
    }

    test('a binary message is refused', async () => {
        const g = await login();

        g.ws.send(frame(BINARY, Buffer.from('{"op":1,"d":null}')));
        await closes(g, 4002, /text/);
    });

    test('16384 bytes are read, one more is refused', async () => {
        const text = (n) => {
            const start = '{"op":1,"d":null,"x":"';

            return `${start}${'x'.repeat(n - start.length - 2)}"}`;
        };
        const g = await login();
        const from = g.mark;

        g.ws.text(text(16384));
        await g.next(GW.ACK, { from });
        g.ws.text(text(16385));
        await closes(g, 4002, /16384/);
    });

    test('a size without the bytes is refused at once', async () => {
        for (const length of [16385, 2 ** 31, Number.MAX_SAFE_INTEGER]) {
            const g = await login();

            g.ws.send(frame(TEXT, Buffer.from('{"op":1'), { length }));
            await closes(g, 4002, /16384/);
        }
    });

    test('many small parts of one message are refused, too', async () => {
        const g = await login();

        g.ws.send(frame(TEXT, Buffer.alloc(1000, 0x20), { fin: false }));
        for (let i = 0; i < 16; i++) {
            g.ws.send(frame(0, Buffer.alloc(1000, 0x20), { fin: false }));
        }
        await closes(g, 4002, /16384/);
    });

    const fields = [
        [2, { token: 1 }, /d\.token/], [2, {}, /d\.token/],
        [2, { token: '' }, /d\.token/],
        [2, { token: 'x'.repeat(9000) }, /d\.token/],
        [2, { token: 'x', intents: 'all' }, /d\.intents/],
        [2, { token: 'x', intents: -1 }, /d\.intents/],
        [2, { token: 'x', shard: [0] }, /d\.shard/],
        [2, { token: 'x', compress: 'yes' }, /d\.compress/],
        [2, null, /d/], [6, {}, /d\.token/],
        [6, { token: 'x' }, /d\.session_id/],
        [6, { token: 'x', session_id: 'x', seq: 'y' }, /d\.seq/],
        [6, { token: 'x', session_id: 'x'.repeat(99), seq: 1 },
            /d\.session_id/]
    ];

    for (const [op, d, reason] of fields) {
        test(`op ${op} ${JSON.stringify(d).slice(0, 40)}`, async () => {
            const g = await open();

            g.say(op, d);
            await closes(g, 4002, reason);
        });
    }

    const ids = ['"x"', '""', '"-1"', '-1', '1.5', '1e3', 'true', '[]', '{}',
        '"18446744073709551616"', '18446744073709551616', '"0x10"', '" 1"',
        '"1 "', '"1\\u0000"'];

    for (const id of ids) {
        test(`op 4 with the id ${id}`, async () => {
            for (const [key, other] of [['guild_id', 'channel_id'],
                ['channel_id', 'guild_id']])
            {
                const g = await login();

                g.ws.text(`{"op":4,"d":{"${key}":${id},"${other}":"1"}}`);
                await closes(g, 4002, new RegExp(`d\\.${key}`));
            }
        });
    }

    test('a flood of commands is stopped, heartbeats are none', async () => {
        const g = await login();
        const from = g.mark;

        for (let i = 0; i < 110; i++) {
            g.say(GW.HEARTBEAT, i);
            g.say(GW.PRESENCE, {});
        }
        await until('110 answers', () => g.messages.all.slice(from)
            .filter((m) => m.op === GW.ACK).length === 110);

        for (let i = 0; i < 100; i++) {
            g.say(GW.PRESENCE, {});
        }
        await closes(g, 4008, /120/);
    });

    test('so is a flood of heartbeats', async () => {
        const g = await login();

        for (let i = 0; i < 300; i++) {
            g.say(GW.HEARTBEAT, i);
        }
        await closes(g, 4008, /120/);
    });
});


describe('op 4', () => {
    test('state, then server, with a token of its own each time',
        async () => {
            const user = newUser();
            const g = await login({ user });
            const tokens = new Set();

            for (const channel of [lounge, lounge, studio, lounge]) {
                const from = g.mark;

                g.voice(GUILD, channel);

                const server = await g.event('VOICE_SERVER_UPDATE',
                    () => true, { from });
                const [first] = g.events(null, from);

                assert.equal(first.t, 'VOICE_STATE_UPDATE');
                assert.equal(first.d.channel_id, channel);
                assert.equal(first.d.session_id, g.session);
                assert.equal(first.d.member.user.id, user);
                assert.equal(server.guild_id, GUILD);
                tokens.add(server.token);
            }
            assert.equal(tokens.size, 4);

            /* leaving, which needs no server */
            const from = g.mark;

            g.voice(GUILD, null);
            await g.state(user, (d) => d.channel_id === null, { from });
            await silent(g, () => g.voice(GUILD, null));
            await g.close();
        });

    test('ids of 64 bits as numbers', async () => {
        const user = newUser();
        const g = await login({ user });

        for (const [guild, channel] of [[GUILD, lounge],
            [LARGEST, '18446744073709551614']])
        {
            g.ws.text(`{"op":4,"d":{"guild_id":${guild},"channel_id":${
                channel},"self_mute":true}}`);
            await g.state(user, (d) => d.guild_id === guild
                && d.channel_id === channel && d.self_mute);
        }
        await g.close();
    });

    test('what is not there, or not allowed, is passed over', async () => {
        const g = await login({ user: USER.member,
            token: nginx.userToken(USER.member, { guilds: [GUILD] }) });
        const wishes = [['1', lounge], [GUILD, '1'], [GUILD, CHANNEL.text],
            [GUILD, CHANNEL.other], [OTHER_GUILD, CHANNEL.other],
            [GUILD, secret], [GUILD, GUILD], [null, lounge], [null, null],
            [LARGEST, LARGEST]];

        await silent(g, () => wishes.forEach(([guild, channel]) =>
            g.voice(guild, channel)));
        g.voice(GUILD, lounge);
        await g.state(USER.member);
        assert.equal(g.events('VOICE_STATE_UPDATE').filter((m) =>
            m.d.user_id === USER.member).length, 1);
        await g.close();
    });

    test('flags alone: no new server while the call lives', async () => {
        const a = await join(lounge);
        const b = await login();
        const from = a.gateway.mark;

        a.gateway.voice(GUILD, lounge, { self_mute: true,
            self_video: true });
        for (const g of [a.gateway, b]) {
            await g.state(a.user, (d) => d.self_mute && d.self_video
                && !d.self_deaf);
        }
        await a.gateway.settled();
        assert.equal(a.gateway.events('VOICE_SERVER_UPDATE', from).length, 0);
        assert.equal(a.voice.ws.ending, null);
        await a.leave();
        await b.close();
    });

    test('a channel that is full stays silent, but not to movers',
        async () => {
            const [a, b] = [await login(), await login()];
            const c = await login();
            const mover = await login({ user: USER.moderator });

            for (const g of [a, b]) {
                g.voice(GUILD, booth);
                await c.state(g.user);
            }
            await silent(c, () => c.voice(GUILD, booth));
            mover.voice(GUILD, booth);
            await mover.state(USER.moderator);

            /* a seat that is left is free */
            b.voice(GUILD, null);
            mover.voice(GUILD, null);
            await c.state(USER.moderator, (d) => d.channel_id === null);
            await c.state(b.user, (d) => d.channel_id === null);
            c.voice(GUILD, booth);
            await c.state(c.user);
            assert.equal(c.events('VOICE_STATE_UPDATE').filter((m) =>
                m.d.user_id === c.user).length, 1);
            await Promise.all([a, b, c, mover].map((g) => g.close()));
        });

    for (const [name, channel] of [['who may not speak', podium],
        ['who sleeps', afk], ['in the audience', stage]])
    {
        test(`${name} is suppressed`, async () => {
            const b = await join(channel);
            const a = await join(channel);
            const dropped = await nginx.dropped('suppressed');

            await b.gateway.state(a.user, (d) => d.suppress);
            await a.voice.speakFor(5, { every: 5 });
            await until('the packets to be dropped', async () =>
                await nginx.dropped('suppressed') >= dropped + 5);
            assert.equal(b.voice.heard(a.voice).length, 0);
            await a.leave();
            await b.leave();
        });
    }

    test('one who may speak there is not', async () => {
        const a = await join(podium, { user: USER.moderator });
        const b = await join(podium);

        await a.voice.speakFor(3, { every: 5 });
        await b.voice.hears(a.voice);
        await a.leave();
        await b.leave();
    });

    test('a stage: a hand is raised, and one speaks', async () => {
        const a = await join(stage);
        const b = await join(stage, { user: USER.moderator });
        const patch = (g, who, body) => rest(nginx, 'PATCH',
            `guilds/${GUILD}/voice-states/${who}`, { token: g.token, body });
        const time = new Date(Date.now() + 1000).toISOString();

        assert.equal((await patch(a.gateway, '@me', { channel_id: stage,
            request_to_speak_timestamp: time })).status, 204);
        await b.gateway.state(a.user,
            (d) => d.request_to_speak_timestamp !== null && d.suppress);
        assert.equal((await patch(a.gateway, '@me', { channel_id: stage,
            suppress: false })).status, 403);
        assert.equal((await patch(b.gateway, a.user, { channel_id: stage,
            suppress: false })).status, 204);
        await a.gateway.state(a.user, (d) => !d.suppress
            && d.request_to_speak_timestamp === null);
        await a.voice.speakFor(3, { every: 5 });
        await b.voice.hears(a.voice);
        await a.leave();
        await b.leave();
    });

    test('a place that one cannot see: gone, but not where', async () => {
        const a = await login({ user: USER.moderator });
        const b = await login({ user: USER.member });

        a.voice(GUILD, lounge);
        await b.state(USER.moderator);

        const from = b.mark;

        a.voice(GUILD, secret);
        await a.state(USER.moderator, (d) => d.channel_id === secret);
        await b.state(USER.moderator, (d) => d.channel_id === null,
            { from });

        /* and what happens there is not told at all */
        await silent(b, async () => {
            a.voice(GUILD, secret, { self_mute: true });
            await a.state(USER.moderator, (d) => d.self_mute);
        }, [USER.moderator]);
        a.voice(GUILD, lounge);
        await b.state(USER.moderator, undefined, { from });
        assert.deepEqual(b.events('VOICE_STATE_UPDATE', from).filter((m) =>
            m.d.user_id === USER.moderator).map((m) => m.d.channel_id),
        [null, lounge]);
        await a.close();
        await b.close();
    });

    test('twice the same user: the newer session has the call', async () => {
        const user = newUser();
        const old = await join(lounge, { user });
        const from = old.gateway.mark;
        const fresh = await join(lounge, { user });

        assert.equal((await old.voice.whenClosed()).code, 4014);
        await old.gateway.state(user,
            (d) => d.session_id === fresh.gateway.session, { from });

        /* the old one has no say any more */
        await silent(old.gateway, () => old.gateway.voice(GUILD, null));
        await old.leave();
        assert.equal((await rest(nginx, 'GET',
            `guilds/${GUILD}/voice-states/@me`,
            { token: fresh.gateway.token })).body.session_id,
        fresh.gateway.session);
        assert.equal(fresh.voice.ws.ending, null);
        await fresh.leave();
    });

    test('intents: others only if asked for, oneself always', async () => {
        const user = newUser();
        const g = await login({ user, intents: 1 });
        const other = await login();

        await silent(g, async () => {
            other.voice(GUILD, lounge);
            await other.state(other.user);
        }, [other.user]);
        g.voice(GUILD, lounge);
        await g.state(user);
        await g.event('VOICE_SERVER_UPDATE');
        await g.close();
        await other.close();
    });
});


describe('op 8', () => {
    const ask = async (g, d) => {
        const from = g.mark;

        g.say(GW.MEMBERS, { guild_id: GUILD, limit: 0, ...d });

        return g.event('GUILD_MEMBERS_CHUNK', () => true, { from });
    };
    const idsOf = (chunk) => chunk.members.map((m) => m.user.id).toSorted();

    test('all, by name, by id', async () => {
        const user = newUser();
        const g = await login({ user });
        const all = await ask(g, { query: '', nonce: 'n1' });

        assert.deepEqual(idsOf(all), [user, ...Object.values(USER)]
            .toSorted());
        assert.deepEqual([all.chunk_index, all.chunk_count, all.nonce],
            [0, 1, 'n1']);
        assert.deepEqual(idsOf(await ask(g, { query: 'OWN' })),
            [USER.owner]);
        assert.equal((await ask(g, { query: '', limit: 2 })).members.length,
            2);

        const named = await ask(g, { user_ids: [USER.member, '77', user] });

        assert.deepEqual(idsOf(named), [USER.member, user].toSorted());
        assert.deepEqual(named.not_found, ['77']);
        await silent(g, () => g.say(GW.MEMBERS, { guild_id: '1', limit: 0,
            query: '' }));
        await g.close();
    });
});


/* A connection for a client, with another worker than those. */
async function elsewhere(pids = new Set()) {
    const { socket, pid } = await connectElsewhere(nginx, pids);

    return { socket: () => socket, pid };
}

/* The client is with a worker from now on that is none of those. */
async function awayFrom(g, pids) {
    const { socket, pid } = await elsewhere(pids);

    g.socket = socket;

    return pid;
}


/*
 * Things that happen in the guild: 8 events; told to a witness, who never
 * loses its connection.
 */
async function happen(actor, witness) {
    const from = witness.mark;
    const { user } = actor;
    const patch = (body) => rest(nginx, 'PATCH',
        `/api/v1/guilds/${GUILD}/members/${user}`,
        { token: nginx.platformToken(), body });

    actor.voice(GUILD, lounge);
    await witness.state(user, (d) => d.channel_id === lounge, { from });
    await patch({ mute: true });
    await patch({ channel_id: studio });
    await patch({ mute: false });
    actor.voice(GUILD, studio, { self_deaf: true });
    await witness.state(user, (d) => d.self_deaf, { from });
    actor.voice(GUILD, null);
    await witness.state(user, (d) => d.channel_id === null, { from });
}

const plain = (events) => events.map(({ t, d }) => ({ t, d }));

/* One resumed from `from` on has all that the witness has since `seen`. */
function complete(g, from, witness, seen) {
    const all = g.events();
    const mine = all.slice(all.findIndex((m) =>
        m === g.events(null, from)[0]));

    assert.equal(mine.at(-1).t, 'RESUMED');
    assert.equal(typeof mine.at(-1).d, 'object');
    assert.deepEqual(plain(mine.slice(0, -1)),
        plain(witness.events(null, seen)));
    assert.ok(mine.length > 8);

    /* numbered without a gap since READY */
    assert.deepEqual(all.map((m) => m.s), all.map((m, i) => i + 1));
}


describe('resume', () => {
    let actor;
    let witness;

    before(async () => {
        actor = await login();
        witness = await login();
    });
    after(async () => {
        await actor.close();
        await witness.close();
    });

    test('on each other worker: all that was missed, in order', async () => {
        const { socket, pid } = await elsewhere();
        const g = await login({ socket });
        const used = new Set([pid]);

        for (let i = 0; i < 3; i++) {
            await g.settled();
            await witness.settled();

            const seen = witness.mark;

            await g.cut();
            await happen(actor, witness);
            used.add(await awayFrom(g, used));
            complete(g, await g.resume(), witness, seen);
        }
        assert.equal(used.size, 4);
        await g.close();
    });

    test('the old socket lives yet: it is closed', async () => {
        const { socket, pid } = await elsewhere();
        const g = await login({ socket });
        const old = g.ws;

        for (const again of [await awayFrom(g, new Set([pid])), null]) {
            const before = g.ws;

            /* also by one with the same worker */
            if (again === null) {
                g.socket = () => null;
            }
            await g.resume();

            const { code } = await within('the old socket to be closed',
                before.closed);

            assert.equal(code, 4000);
        }
        assert.notEqual(old, g.ws);
        await g.settled();
        await g.close();
    });

    test('with part of it seen already: the rest comes', async () => {
        const g = await login();
        const seq = g.seq;

        await happen(actor, witness);
        await g.settled();

        const seen = g.events().length;

        await g.cut();
        const from = await g.resume({ seq: seq + 3 });
        const again = g.events(null, from);

        assert.equal(again[0].s, seq + 4);
        assert.deepEqual(again.slice(0, -1).map(({ s, t, d }) =>
            ({ s, t, d })), g.events().slice(seq + 3, seen)
            .map(({ s, t, d }) => ({ s, t, d })));
        await g.close();
    });

    test('compressed, after having been plain', async () => {
        const g = await login();

        await g.settled();
        await witness.settled();

        const seen = witness.mark;

        await g.cut();
        await happen(actor, witness);
        g.compress = 'zlib-stream';
        complete(g, await g.resume(), witness, seen);
        await g.close();
    });

    const refused = {
        'no such session': (g) => ({ session: '0'.repeat(32) }),
        'a session id of another form': () => ({ session: 'x' }),
        'one in other letters': (g) => ({ session:
            g.session.toUpperCase().replace(/[0-9]$/, 'A') })
    };

    for (const [name, change] of Object.entries(refused)) {
        test(`${name}: op 9, then Identify on the same socket`, async () => {
            const g = await login();

            await g.cut();
            await g.connect();

            const from = g.mark;

            g.sayResume(change(g));
            assert.equal((await g.next(GW.INVALID, { from })).d, false);
            await g.identify();
            await g.close();
        });
    }

    test('of another\'s session, who notices nothing', async () => {
        const victim = await login();

        for (const token of [nginx.userToken(newUser()),
            nginx.userToken(victim.user, { name: 'another token' })])
        {
            const g = await open({ token });
            const from = g.mark;

            g.sayResume({ session: victim.session, seq: 1 });
            assert.equal((await g.next(GW.INVALID, { from })).d, false);
            await g.close();
        }
        await victim.settled();
        await victim.cut();
        await victim.resume();
        await victim.close();
    });

    test('behind a number that never was: 4007', async () => {
        const g = await login();

        await g.cut();
        await g.connect();
        g.sayResume({ seq: g.seq + 1 });
        await closes(g, 4007, /seq/);
    });

    for (const code of [1000, 1001]) {
        test(`after Close ${code}: the session is over`, async () => {
            const a = await join(lounge);
            const b = await login();

            await a.gateway.ws.close(code);
            await b.state(a.user, (d) => d.channel_id === null);
            assert.equal((await a.voice.whenClosed()).code, 4014);
            await a.gateway.connect();

            const from = a.gateway.mark;

            a.gateway.sayResume();
            assert.equal((await a.gateway.next(GW.INVALID, { from })).d,
                false);
            await a.leave();
            await b.close();
        });
    }

    for (const code of [4000, 3000, 1012]) {
        test(`after Close ${code}: it goes on`, async () => {
            const a = await join(lounge);

            await a.gateway.ws.close(code);
            await a.gateway.resume();
            assert.equal(a.voice.ws.ending, null);
            await a.leave();
        });
    }

    test('more than 256 missed: op 9', async () => {
        const g = await login();
        const token = nginx.platformToken();

        actor.voice(GUILD, lounge);
        await witness.state(actor.user, (d) => d.channel_id === lounge,
            { from: witness.mark });
        await g.settled();

        const { seq } = g;

        for (let i = 0; i < 130; i++) {
            await rest(nginx, 'PATCH',
                `/api/v1/guilds/${GUILD}/members/${actor.user}`,
                { token, body: { mute: i % 2 === 0 } });
        }
        await g.settled();
        assert.ok(g.seq > seq + 256);
        await g.cut();
        await g.connect();

        const from = g.mark;

        g.sayResume({ seq });
        assert.equal((await g.next(GW.INVALID, { from })).d, false);
        actor.voice(GUILD, null);
        await g.close();
    });
});


describe('generations', () => {
    async function start(t, options) {
        const server = await Nginx.start({ workers: 4, tcp: 'reuseport',
            guilds: guilds(), ...options });

        t.after(() => server.stop());

        return server;
    }

    const logins = (server, n, options) => Promise.all(Array.from(
        { length: n }, () => GatewayClient.login(server,
            { user: newUser(), ...options })));

    /* A change, told to all but those that are away. */
    async function change(server, actor, mute) {
        const { status } = await rest(server, 'PATCH',
            `/api/v1/guilds/${GUILD}/members/${actor}`,
            { token: server.platformToken(), body: { mute } });

        assert.equal(status, 200);
    }

    const mutes = (g, from, user) => g.events('VOICE_STATE_UPDATE', from)
        .filter((m) => m.d.user_id === user).map((m) => m.d.mute);

    test('reload: op 7, Close, and the new workers go on', async (t) => {
        const server = await start(t);
        const guest = await Guest.join(server, GUILD, lounge,
            { user: newUser() });
        const all = [...await logins(server, 8), guest.gateway];
        const unready = await GatewayClient.open(server, { user: newUser() });

        const reload = server.reload();

        await unready.next(GW.RECONNECT);

        /* a session can't be taken up by who is about to leave */
        unready.token = all[0].token;
        unready.sayResume({ session: all[0].session, seq: all[0].seq });
        assert.equal((await unready.next(GW.INVALID)).d, true);
        await Promise.all([reload, ...all.map((g) =>
            g.next(GW.RECONNECT))]);

        await change(server, guest.user, true);
        await Promise.all(all.map(async (g) => {
            assert.equal((await g.whenClosed(10000)).code, 4000);
        }));
        await change(server, guest.user, false);

        for (const g of all) {
            const since = g.messages.all.findIndex((m) =>
                m.op === GW.RECONNECT);

            await g.resume();
            assert.deepEqual(mutes(g, since, guest.user), [true, false]);
            assert.deepEqual(g.events().map((m) => m.s),
                g.events().map((m, i) => i + 1));
        }
        assert.equal(guest.voice.ws.ending, null);
        unready.destroy();
        await Promise.all(all.slice(0, -1).map((g) => g.close()));
        await guest.leave();
    });

    /* A connection whose next request this worker has begun to read. */
    async function begun(server) {
        const socket = await dial({ host: '127.0.0.1', port: server.http });

        await request(socket, '/pid');
        socket.write('\r\n');
        await server.status();

        return socket;
    }

    test('reload: a worker that quits keeps nobody who comes late',
        async (t) => {
            const server = await start(t, { workers: 1 });
            const [one, two] = [await begun(server), await begun(server)];
            const before = server.workers();

            await server.reload();

            const g = await GatewayClient.open(server, { user: newUser(),
                socket: () => one });
            const { status } = await request(two, '/api/v1/events',
                { Authorization: `Bearer ${server.platformToken()}` });

            assert.equal(status, 200);
            two.resume();
            await g.next(GW.RECONNECT);
            assert.equal((await g.whenClosed(10000)).code, 4000);
            await until('the former worker to end', () => !server.workers()
                .some((p) => before.includes(p)), 30000);
        });

    test('kill -9 of every worker in turn', async (t) => {
        const server = await start(t, { allow: [/exited on signal 9/] });
        const guest = await Guest.join(server, GUILD, lounge,
            { user: newUser() });
        const all = [...await logins(server, 8), guest.gateway];
        const marks = all.map((g) => g.mark);
        const told = [];

        for (const pid of server.workers()) {
            process.kill(pid, 'SIGKILL');
            await until('the worker to be replaced', () =>
                server.workers().length === 4
                && !server.workers().includes(pid), 10000);
            told.push(told.length % 2 === 0);
            await change(server, guest.user, told.at(-1));
            for (const g of all.filter((g) => g.ws.ending)) {
                await g.resume();
            }
        }

        for (const [i, g] of all.entries()) {
            await g.settled();
            assert.deepEqual(mutes(g, marks[i], guest.user), told);
            assert.deepEqual(g.events().map((m) => m.s),
                g.events().map((m, i) => i + 1));
            assert.equal(g.events('READY').length, 1);
        }
        await Promise.all(all.slice(0, -1).map((g) => g.close()));
        await guest.leave();
    });

    test('stop and start', async (t) => {
        const server = await start(t, { allow: [/exited on signal 9/] });
        const guest = await Guest.join(server, GUILD, lounge,
            { user: newUser() });
        const all = [...await logins(server, 4), guest.gateway];

        for (const how of ['crash', 'stop']) {
            const marks = all.map((g) => g.mark);

            /* an event that nobody reads any more */
            all.forEach((g) => g.ws.socket.pause());
            await change(server, guest.user, how === 'crash');
            if (how === 'crash') {
                await server.crash();
            } else {
                await server.command('stop');
                await until('nginx to end', () => server.exit);
            }
            all.forEach((g) => g.ws.cut());
            await server.launch();

            for (const [i, g] of all.entries()) {
                await g.resume();
                assert.deepEqual(mutes(g, marks[i], guest.user),
                    [how === 'crash']);
            }
        }
        for (const g of all) {
            assert.deepEqual(g.events().map((m) => m.s),
                g.events().map((m, i) => i + 1));
        }
        await Promise.all(all.slice(0, -1).map((g) => g.close()));
        await guest.leave();
    });
});


describe('time', () => {
    let quick;

    before(async () => {
        quick = await Nginx.start({ workers: 2, guilds: guilds(),
            main: 'voice_resume_window 2s;',
            http: 'voice_gateway_heartbeat 1s;' });
    });
    after(() => quick?.stop());

    test('who sends no heartbeat is asked, then closed', async () => {
        const g = await GatewayClient.login(quick, { user: newUser() });

        assert.equal((await g.next(GW.HEARTBEAT)).d, null);

        /* whoever answers stays */
        g.say(GW.HEARTBEAT, g.seq);
        await g.next(GW.ACK);
        await g.messages.find((m) => m.op === GW.HEARTBEAT,
            { from: g.mark });
        assert.equal((await g.whenClosed()).code, 4009);
        await g.resume();
        await g.close();
    });

    test('who is away stays in the call, for the resume window', async () => {
        const beat = (g) => {
            const timer = setInterval(() => g.say(GW.HEARTBEAT, g.seq), 300);

            g.whenClosed(60000).finally(() => clearInterval(timer))
                .catch(() => {});
            timer.unref();
        };
        const a = await Guest.join(quick, GUILD, lounge, { user: newUser() });
        const b = await GatewayClient.login(quick, { user: newUser() });
        const state = async () => (await rest(quick, 'GET',
            `guilds/${GUILD}/voice-states/${a.user}`, { token: b.token }))
            .status;

        beat(b);
        await a.gateway.cut();
        assert.equal(await state(), 200);
        assert.equal(a.voice.ws.ending, null);
        await b.state(a.user, (d) => d.channel_id === null, { ms: 10000 });
        assert.equal((await a.voice.whenClosed()).code, 4014);
        assert.equal(await state(), 404);

        /* then it is too late */
        await a.gateway.connect();

        const from = a.gateway.mark;

        a.gateway.sayResume();
        assert.equal((await a.gateway.next(GW.INVALID, { from })).d, false);
        a.destroy();
        await b.close();
    });
});


describe('slow readers', () => {
    test('who stops to read is dropped, and nobody waits', async (t) => {
        const server = await Nginx.start({ guilds: guilds(),
            tcp: 'sndbuf=16k', http: 'keepalive_requests 100000;' });

        t.after(() => server.stop());

        const guest = await Guest.join(server, GUILD, lounge,
            { user: newUser() });
        const slow = await GatewayClient.login(server, { user: newUser() });
        const quick = await GatewayClient.login(server, { user: newUser() });
        const platform = await dial({ host: '127.0.0.1',
            port: server.http });
        const from = quick.mark;
        let sent = 0;
        let answers = 0;

        platform.on('data', (data) => {
            answers += data.toString('latin1').split('HTTP/1.1 200')
                .length - 1;
        });
        slow.ws.socket.pause();

        const dropped = () => server.logLines(/the client doesn't read/)
            .length > 0;

        while (!dropped()) {
            assert.ok(sent < 20000, 'it is still there');
            for (let i = 0; i < 500; i++, sent++) {
                const body = JSON.stringify({ mute: sent % 2 === 0 });

                platform.write(`PATCH /api/v1/guilds/${GUILD}/members/${
                    guest.user} HTTP/1.1\r\nHost: x\r\nAuthorization: ${
                    server.platformToken()}\r\nContent-Length: ${
                    body.length}\r\n\r\n${body}`);
            }
            await until('all to see the changes', () => quick.events(
                'VOICE_STATE_UPDATE', from).length >= sent, 30000);
        }

        assert.deepEqual(quick.events('VOICE_STATE_UPDATE', from)
            .map((m) => m.d.mute), Array.from({ length: sent },
            (x, i) => i % 2 === 0));
        assert.equal(guest.voice.ws.ending, null);

        /* it may not resume, for too much is missed; but come again */
        slow.ws.cut();
        await slow.connect();

        const mark = slow.mark;

        slow.sayResume();
        assert.equal((await slow.next(GW.INVALID, { from: mark })).d, false);
        await slow.identify();
        platform.destroy();
        await Promise.all([slow.close(), quick.close()]);
        await guest.leave();
    });
});
