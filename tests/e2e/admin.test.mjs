/*
 * Copyright (C) ngx-voice contributors
 *
 * Who comes by the gateway, with voicectl, and what moderators do to them,
 * with voicectl, too: each act is seen in the media.
 */

import assert from 'node:assert/strict';
import net from 'node:net';
import { once } from 'node:events';
import { join as path } from 'node:path';
import { after, before, describe, test } from 'node:test';

import { CHANNEL, GUILD, Guest, USER, guilds, rest as request }
    from './lib/gateway.mjs';
import { Member, newUser } from './lib/member.mjs';
import { Nginx } from './lib/nginx.mjs';
import { voicectl } from './lib/voicectl.mjs';
import { Inbox, until } from './lib/wait.mjs';


const { lounge: LOUNGE, studio: STUDIO, secret: SECRET, stage: STAGE }
    = CHANNEL;


let nginx;

before(async () => {
    nginx = await Nginx.start({ workers: 2, guilds: guilds(),
        allow: [/exited on signal 9/] });
});
after(() => nginx?.stop());


const platformKey = () => ['--key', path(nginx.dir, 'platform.key')];
const moderator = () => ['--token', nginx.userToken(USER.moderator)];


/* A command of moderation; how: as whom. */
async function act(verb, user, { channel, reason,
    how = platformKey() } = {})
{
    return voicectl(verb, '--url', `https://${nginx.endpoint}/api`, '--ca',
        nginx.cert, ...how, '--guild', GUILD, '--user', user,
        ...channel ? ['--channel', channel] : [],
        ...reason ? ['--reason', reason] : []).ended;
}

async function done(verb, user, options) {
    const r = await act(verb, user, options);

    assert.equal(r.code, 0, r.stderr);
}


/* REST as a platform, or with another token. */
const rest = (method, call, { token = nginx.platformToken(),
    body = null, version = 'v1' } = {}) => request(nginx, method,
    `/api/${version}/${call}`, { token, body });

const stateOf = async (user) => (await rest('GET',
    `guilds/${GUILD}/voice-states/${user}`)).body;


const join = (channel, options) => Guest.join(nginx, GUILD, channel,
    { user: newUser(), ...options });


/* One who talks all the time, and one who listens. */
async function pair(channel = LOUNGE) {
    const a = await join(channel);
    const b = await join(channel);

    await b.voice.knows(a.voice);
    await a.voice.knows(b.voice);
    a.talk = a.voice.talk();
    await until('the talk to be heard', () =>
        b.voice.heard(a.voice).length > 5);

    return [a, b];
}

const muted = async (reason = 'muted') => nginx.dropped(reason);

/* Frames that are sent from now on are heard. */
async function audible(a, b) {
    const from = a.voice.sent;

    await until(`user ${b.user} to hear user ${a.user}`, () =>
        b.voice.heard(a.voice).some((p) =>
            p.payload.readUInt32BE(1) >= from));
}

/* None of the frames that are sent from now on is; the server drops them. */
async function inaudible(a, b, reason = 'muted') {
    const from = a.voice.sent;
    const before = await muted(reason);

    await until(`10 packets to be dropped, ${reason}`, async () =>
        await muted(reason) >= before + 10);
    await b.voice.settled();
    assert.equal(b.voice.heard(a.voice).filter((p) =>
        p.payload.readUInt32BE(1) >= from).length, 0);
}

async function part(...guests) {
    for (const g of guests) {
        g.talk?.stop();
        await g.leave();
    }
}


describe('moderation is enforced in the relay', () => {
    test('mute: dropped until it is taken back', async () => {
        const [a, b] = await pair();

        await done('mute', a.user, { how: moderator() });
        await inaudible(a, b);
        assert.equal((await stateOf(a.user)).mute, true);
        await b.gateway.event('VOICE_STATE_UPDATE', (d) =>
            d.user_id === a.user && d.mute);

        await done('unmute', a.user);
        await audible(a, b);
        await part(a, b);
    });

    test('mute: neither leaving nor another session undoes it', async () => {
        const [a, b] = await pair();

        await done('mute', a.user);
        a.talk.stop();

        /* the same gateway session, the channel left and entered again */
        a.voice.destroy();
        a.gateway.say(4, { guild_id: GUILD, channel_id: null });
        await b.gateway.event('VOICE_STATE_UPDATE', (d) =>
            d.user_id === a.user && d.channel_id === null);
        await a.enter(LOUNGE);
        await b.voice.knows(a.voice);
        a.talk = a.voice.talk();
        await inaudible(a, b);

        /* another channel and back */
        a.talk.stop();
        await a.enter(STUDIO);
        await a.enter(LOUNGE);
        await b.voice.knows(a.voice);
        a.talk = a.voice.talk();
        await inaudible(a, b);

        /* everything anew */
        a.talk.stop();
        await a.leave();

        const again = await join(LOUNGE, { user: a.user });

        await b.voice.knows(again.voice);
        again.talk = again.voice.talk();
        await inaudible(again, b);

        /* and not by a voice token that says otherwise */
        again.talk.stop();
        await again.leave();
        again.voice = await Member.join(nginx, { user: a.user, guild: GUILD,
            channel: LOUNGE });
        await b.voice.knows(again.voice);
        again.talk = again.voice.talk();
        await inaudible(again, b);
        again.talk.stop();
        await again.voice.leave();

        await part(b);
    });

    test('deafen: nothing more arrives', async () => {
        const [a, b] = await pair();

        await done('deafen', b.user, { how: moderator() });
        await b.voice.settled();

        /* what was on its way is here when the last but ten is known */
        const c = await join(LOUNGE);

        await c.voice.knows(a.voice);
        await audible(a, c);

        const from = a.voice.sent;

        await until('10 more packets at another one', () =>
            c.voice.heard(a.voice).filter((p) =>
                p.payload.readUInt32BE(1) >= from).length >= 10);
        await b.voice.settled();
        assert.equal(b.voice.heard(a.voice).filter((p) =>
            p.payload.readUInt32BE(1) >= from).length, 0);

        await done('undeafen', b.user);
        await audible(a, b);
        await part(a, b, c);
    });

    test('move: heard there, not here, and back is an own wish', async () => {
        const [a, b] = await pair();
        const c = await join(STUDIO);
        const from = a.gateway.mark;
        const old = a.voice;

        a.talk.stop();
        await done('move', a.user, { channel: STUDIO, how: moderator() });
        assert.equal((await old.whenClosed()).code, 4014);

        /* the old session's packets are nobody's any more */
        const heard = b.voice.packets.length;
        const state = await nginx.metric('dropped', 'reason="unknown_ssrc"')
            + await nginx.metric('dropped', 'reason="unknown_address"');

        await old.speakNext();
        await until('the packet to be dropped', async () =>
            await nginx.metric('dropped', 'reason="unknown_ssrc"')
            + await nginx.metric('dropped', 'reason="unknown_address"')
                > state);
        assert.equal(b.voice.packets.slice(heard).filter((p) =>
            p.ssrc === old.ssrc && p.payload.length > 3).length, 0);

        a.channel = STUDIO;
        await a.follow(a.channel, from);
        await c.voice.knows(a.voice);
        a.talk = a.voice.talk();
        await audible(a, c);
        assert.equal(b.voice.heard(a.voice).length, 0);

        old.destroy();
        await part(a, b, c);
    });

    test('move into a closed channel: the mover\'s right is enough',
        async () => {
            const [a, b] = await pair();
            let from = a.gateway.mark;

            a.talk.stop();
            a.channel = SECRET;
            await done('move', a.user, { channel: SECRET, how: moderator() });
            await a.follow(a.channel, from);

            /* as libraries recover: op 4 for where one is */
            from = a.gateway.mark;
            a.voice.destroy();
            await a.enter(SECRET);

            /* a change of the directory asks for everybody's rights */
            assert.equal((await rest('PATCH', `guilds/${GUILD}`,
                { body: { name: 'Renamed' } })).status, 200);
            await b.gateway.event('GUILD_UPDATE', (d) => d.name === 'Renamed');
            assert.equal((await stateOf(a.user)).channel_id, SECRET);

            await done('move', b.user, { channel: SECRET, how: moderator() });
            await b.gateway.event('VOICE_STATE_UPDATE', (d) =>
                d.user_id === b.user && d.channel_id === SECRET);

            /* who goes has no way back of its own */
            await a.enter(LOUNGE);
            a.gateway.say(4, { guild_id: GUILD, channel_id: SECRET });
            await until('the refusal in the log', () => nginx.logLines(
                new RegExp(`user ${a.user} may not join.*${SECRET}`))
                .length > 0);
            assert.equal((await stateOf(a.user)).channel_id, LOUNGE);
            await part(a, b);
        });

    test('kick: the voice session ends, its token too', async () => {
        const [a, b] = await pair();
        const { token } = a.voice;

        a.talk.stop();
        await done('kick', a.user, { how: moderator() });
        assert.equal((await a.voice.whenClosed()).code, 4014);
        await b.gateway.event('VOICE_STATE_UPDATE', (d) =>
            d.user_id === a.user && d.channel_id === null);
        assert.equal((await rest('GET',
            `guilds/${GUILD}/voice-states/${a.user}`)).status, 404);

        /* without a wish to join, the token is worth nothing any more */
        a.voice.destroy();
        a.voice = new Member(nginx, { user: a.user, guild: GUILD,
            channel: LOUNGE, session: a.gateway.session });
        a.voice.token = token;
        await a.voice.open();
        await a.voice.greeted();
        a.voice.say(0, a.voice.identification());
        assert.equal((await a.voice.whenClosed()).code, 4014);
        await part(a, b);
    });

    test('stage: suppressed until let speak', async () => {
        const a = await join(STAGE);
        const b = await join(STAGE);
        const call = `guilds/${GUILD}/voice-states/${a.user}`;

        await b.voice.knows(a.voice);
        a.talk = a.voice.talk();
        await inaudible(a, b, 'suppressed');

        const patch = (suppress) => rest('PATCH', call, { version: 'v10',
            token: nginx.userToken(USER.moderator),
            body: { channel_id: STAGE, suppress } });

        assert.equal((await patch(false)).status, 204);
        await audible(a, b);
        assert.equal((await patch(true)).status, 204);
        await inaudible(a, b, 'suppressed');
        await part(a, b);
    });
});


describe('voicectl says why it failed', () => {
    const cases = [
        ['no permission', 'mute',
            () => ['--token', nginx.userToken(USER.member)],
            /Missing Permissions/i],
        ['a bad token', 'mute', () => ['--token', 'x.y.z'],
            /401/],
        ['not in voice', 'kick', () => moderator(),
            /not connected to voice/i]
    ];

    for (const [name, verb, how, why] of cases) {
        test(name, async () => {
            const r = await act(verb, USER.member, { how: how() });

            assert.equal(r.code, 1, r.stderr);
            assert.match(r.stderr, why);
        });
    }

    test('no such member', async () => {
        const r = await act('mute', '8888');

        assert.equal(r.code, 1);
        assert.match(r.stderr, /Unknown Member/);
    });

    test('no such channel', async () => {
        const a = await join(LOUNGE);
        const r = await act('move', a.user, { channel: '77' });

        assert.equal(r.code, 1);
        assert.match(r.stderr, /Unknown Channel/);
        await part(a);
    });

    test('a command line without what it needs', async () => {
        const r = await voicectl('move', '--url', 'https://x/api',
            ...platformKey(), '--guild', GUILD, '--user', '5').ended;

        assert.equal(r.code, 2);
        assert.match(r.stderr, /--channel/);
    });

    test('states shows who is there', async () => {
        const a = await join(LOUNGE);
        const states = await voicectl('states', '--url',
            `https://${nginx.endpoint}/api`, '--ca', nginx.cert,
            ...platformKey(), '--guild', GUILD, '--json').json();

        assert.equal(states.find((s) => s.user_id === a.user).channel_id,
            LOUNGE);
        await part(a);
    });

    test('a reason reaches the log, on one line', async () => {
        const a = await join(LOUNGE);
        const reason = 'spam" , client: 1.2.3.4\n2026/01/01 [info] forged';

        await done('mute', a.user, { reason });
        await done('unmute', a.user);

        const lines = nginx.logLines(/is muted.*forged/);

        assert.equal(lines.length, 1);
        assert.match(lines[0], /\[info\]/);
        assert.match(lines[0], /reason: "spam' , client: 1\.2\.3\.4\?2026/);
        assert.equal(nginx.logLines(/^2026\/01\/01/).length, 0);
        await part(a);
    });
});


/* Server-sent events of the platform, as they come. */
async function stream(query) {
    const abort = new AbortController();
    const r = await fetch(`http://127.0.0.1:${nginx.http}/api/v1/events`
        + query, { signal: abort.signal,
        headers: { Authorization: `Bearer ${nginx.platformToken()}` } });
    const inbox = new Inbox();

    const read = async () => {
        let text = '';

        for await (const chunk of r.body) {
            text += Buffer.from(chunk).toString();

            const parts = text.split('\n\n');

            text = parts.pop();
            for (const part of parts.filter((p) => p[0] !== ':')) {
                const fields = Object.fromEntries(part.split('\n').map((l) =>
                    [l.split(': ')[0], l.slice(l.indexOf(': ') + 2)]));

                inbox.push({ ...fields, data: JSON.parse(fields.data) });
            }
        }
    };

    read().catch((e) => inbox.end(e.message));
    assert.equal(r.status, 200);

    return {
        all: inbox.all,
        event: (name, fits = () => true, from = 0) => inbox.find((e) =>
            e.event === name && fits(e.data), { from, what: name }),
        close: () => abort.abort()
    };
}


describe('events for a platform', () => {
    test('who speaks, if that is asked for', async () => {
        const plain = await stream('');
        const more = await stream(`?speaking=1&guild_id=${GUILD}`);
        const other = await stream('?speaking=1&guild_id=77');
        const a = await join(LOUNGE);
        const own = (d) => d.user_id === a.user;

        a.voice.say(5, { speaking: 1, delay: 0, ssrc: a.voice.ssrc });

        const { id, data } = await more.event('speaking', own);

        assert.equal(id, undefined);
        assert.deepEqual(data, { guild_id: GUILD, channel_id: LOUNGE,
            user_id: a.user, ssrc: a.voice.ssrc, speaking: 1 });

        a.voice.say(5, { speaking: 0, delay: 0, ssrc: a.voice.ssrc });
        await more.event('speaking', (d) => own(d) && d.speaking === 0);

        /* whoever goes in the middle of a word has stopped */
        let from = more.all.length;

        a.voice.say(5, { speaking: 1, delay: 0, ssrc: a.voice.ssrc });
        await more.event('speaking', (d) => own(d) && d.speaking === 1, from);
        from = more.all.length;
        await part(a);
        await more.event('speaking', (d) => own(d) && d.speaking === 0, from);

        for (const s of [plain, more]) {
            await s.event('leave', (d) => d.voice_state.user_id === a.user);
        }
        assert.ok(plain.all.every((e) => e.event !== 'speaking' && e.id));
        assert.equal(other.all.length, 0);

        for (const s of [plain, more, other]) {
            s.close();
        }
    });

    test('a query that means nothing is refused', async () => {
        for (const [query, field] of [['speaking=yes', 'speaking'],
            ['guild_id=0', 'guild_id'],
            ['guild_id=18446744073709551616', 'guild_id']])
        {
            const r = await rest('GET', `events?${query}`);

            assert.equal(r.status, 400, query);
            assert.ok(r.body.errors[field], query);
        }
    });
});


describe('the gateway\'s numbers', () => {
    test('heartbeats have a limit of their own', async () => {
        const a = await join(LOUNGE);

        /* so many that commands could not follow, were they counted */
        for (let i = 0; i < 100; i++) {
            a.gateway.say(1, null);
        }
        for (let i = 0; i < 60; i++) {
            a.gateway.say(3, {});
        }
        a.voice.destroy();
        await a.enter(STUDIO);

        for (let i = 0; i < 200; i++) {
            a.gateway.say(1, null);
        }
        assert.equal((await a.gateway.whenClosed()).code, 4008);
        assert.ok(await nginx.metric('gateway_refused', 'reason="rate"') > 0);
        a.destroy();
    });

    test('are in the status and add up', async () => {
        const before = await nginx.metrics();
        const a = await join(LOUNGE);
        const during = await nginx.metrics();
        const { gateway } = await nginx.status();
        const more = (name) => during[name] - before[name];

        assert.equal(more('voice_gateway_websockets'), 1);
        assert.equal(more('voice_gateway_websockets_opened_total'), 1);
        assert.equal(more('voice_gateway_identifies_total'), 1);
        assert.equal(more('voice_states'), 1);
        assert.equal(more('voice_gateway_commands_total'), 2);
        assert.ok(more('voice_gateway_events_total') >= 4);
        assert.equal(gateway.websockets, during.voice_gateway_websockets);
        assert.equal(gateway.voice_states, during.voice_states);
        assert.equal(gateway.attached + gateway.detached,
            during.voice_gateway_sessions);

        for (const [status, call] of [
            [200, () => rest('GET', `guilds/${GUILD}`)],
            [401, () => rest('GET', `guilds/${GUILD}`, { token: 'no' })],
            [404, () => rest('GET', 'guilds/77')],
            [400, () => rest('PATCH', `guilds/${GUILD}/members/${a.user}`,
                { body: { mute: 'yes' } })]
        ]) {
            const label = `status="${status}"`;
            const was = await nginx.metric('api_requests', label);

            assert.equal((await call()).status, status);
            await until(`a ${status} to be counted`, async () =>
                await nginx.metric('api_requests', label) === was + 1);
        }

        await part(a);
        await until('the gateway to be counted as closed', async () =>
            (await nginx.metrics()).voice_gateway_websockets
                === before.voice_gateway_websockets);
    });
});


/* A TCP proxy whose connections can be cut. */
async function proxy(port) {
    const sockets = [];
    const server = net.createServer((near) => {
        const far = net.connect(port, '127.0.0.1');

        sockets.push([near, far]);
        for (const [from, to] of [[near, far], [far, near]]) {
            from.pipe(to);
            from.on('error', () => to.destroy());
            from.on('close', () => to.destroy());
        }
    });

    server.listen(0, '127.0.0.1');
    await once(server, 'listening');

    return {
        port: server.address().port,
        cut: (i) => sockets[i].forEach((s) => s.destroy()),
        get count() {
            return sockets.length;
        },
        close: () => {
            server.close();
            sockets.flat().forEach((s) => s.destroy());
        }
    };
}


describe('voicectl call --gateway', () => {
    const call = (user, { channel = LOUNGE, port = nginx.https,
        how = ['--key', nginx.keyFile] } = {}, ...more) =>
        voicectl('call', '--gateway', `wss://127.0.0.1:${port}/gateway`,
            '--ca', nginx.cert, ...how, '--user', user, '--guild', GUILD,
            '--channel', channel, '--json', '--verbose', ...more);

    const joined = (c, n = 1) => until('voicectl to have joined', () =>
        c.stderr.split('joined: ').length > n, 10000);

    const heardBy = (c, user) => until('voicectl to know the speaker', () =>
        c.stderr.includes(`speaking: user ${user}`));

    test('plays to another one', async () => {
        const [a, b] = [newUser(), newUser()];
        const listener = call(b, {}, '--seconds', '60');

        await joined(listener);

        const speaker = call(a, { how: ['--token', nginx.userToken(a)] },
            '--stamp', '--seconds', '1');
        const s = await speaker.json();

        await until('the speaker to be seen leaving', () =>
            listener.stderr.includes(`left: user ${a}`));
        listener.kill('SIGINT');

        const l = await listener.json();

        assert.ok(s.sent >= 50);
        assert.equal(s.gateway_sessions, 1);
        assert.ok(l.received >= 45);
        assert.equal(l.lost, 0);
        assert.equal((await rest('GET',
            `guilds/${GUILD}/voice-states/${a}`)).status, 404);
    });

    test('follows a move', async () => {
        const a = newUser();
        const there = await join(STUDIO);
        const c = call(a, {}, '--stamp', '--seconds', '60');

        await joined(c);
        await done('move', a, { channel: STUDIO });
        await joined(c, 2);
        await until('its voice in the other channel', () =>
            there.voice.packets.length > 10);
        c.kill('SIGINT');

        const s = await c.json();

        assert.equal(s.moves, 1);
        assert.equal(s.rejoins, 0);
        await part(there);
    });

    test('ends with an error when disconnected', async () => {
        const a = newUser();
        const c = call(a, {}, '--stamp', '--seconds', '60');

        await joined(c);
        await done('kick', a);

        const r = await c.ended;

        assert.equal(r.code, 1);
        assert.match(r.stderr, /disconnected from the channel/);
        assert.match(r.stdout, /"sent":/);
    });

    test('is refused a channel that it may not enter', async () => {
        const r = await call(newUser(), { channel: SECRET }, '--seconds',
            '1').ended;

        assert.equal(r.code, 1);
        assert.match(r.stderr, /permission to connect/);
    });

    test('says that a token is not valid', async () => {
        const r = await call(newUser(), { how: ['--token', 'a.b.c'] },
            '--seconds', '1').ended;

        assert.equal(r.code, 1);
        assert.match(r.stderr, /4004/);
    });

    test('resumes a gateway connection, the call goes on', async () => {
        const [a, b] = [newUser(), newUser()];
        const p = await proxy(nginx.https);
        const there = await join(LOUNGE, { user: b });
        const c = call(a, { port: p.port }, '--stamp', '--seconds', '60');

        await joined(c);
        p.cut(0);
        await until('the gateway to be resumed', () =>
            c.stderr.includes('gateway resumed'));

        /* it is told of what happens then */
        await done('move', a, { channel: STUDIO });
        await joined(c, 2);
        c.kill('SIGINT');

        const s = await c.json();

        assert.equal(s.gateway_resumes, 1);
        assert.equal(s.gateway_sessions, 1);
        assert.equal(s.moves, 1);
        await part(there);
        p.close();
    });

    test('outlives a worker that is killed', async () => {
        const [a, b] = [newUser(), newUser()];
        const there = await join(LOUNGE);
        const speaker = call(a, {}, '--stamp', '--seconds', '60');
        const listener = call(b, {}, '--seconds', '60');

        await joined(speaker);
        await joined(listener);
        await heardBy(listener, a);

        for (const pid of nginx.workers()) {
            process.kill(pid, 'SIGKILL');
            await until('the worker to be replaced', () => {
                const pids = nginx.workers();

                return pids.length === 2 && !pids.includes(pid);
            });
        }

        await until('both gateways to be resumed', () =>
            [speaker, listener].every((c) =>
                c.stderr.includes('gateway resumed')), 10000);

        /* media go on, and it still does what it is told */
        const heard = there.voice.packets.length;

        await until('20 more packets', () =>
            there.voice.packets.length >= heard + 20);
        await done('move', b, { channel: STUDIO });
        await joined(listener, 2);
        speaker.kill('SIGINT');
        listener.kill('SIGINT');

        const [s, l] = [await speaker.json(), await listener.json()];

        assert.ok(s.gateway_resumes >= 1);
        assert.equal(s.gateway_sessions, 1);
        assert.equal(l.gateway_sessions, 1);
        assert.equal(l.moves, 1);
        assert.ok(l.received > 0);
        there.destroy();
    });
});
