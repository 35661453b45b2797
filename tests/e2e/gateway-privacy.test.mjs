/*
 * Copyright (C) ngx-voice contributors
 *
 * No client learns the address of another one.  Each has addresses of its
 * own here, on loopback; every byte that it is sent, by websockets, REST and
 * UDP, is kept and searched for those of the others.
 */

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { CHANNEL, GUILD, GW, GatewayClient, Guest, USER, guilds, rest }
    from './lib/gateway.mjs';
import { OP, newUser, udpSocket } from './lib/member.mjs';
import { Nginx } from './lib/nginx.mjs';
import { senderReport } from './lib/rtp.mjs';
import { signToken } from './lib/token.mjs';
import { until } from './lib/wait.mjs';
import { dial } from './lib/websocket.mjs';


const { lounge, studio, stage } = CHANNEL;


/* All forms in which an address might be told. */
function formsOf(address) {
    const bytes = Buffer.from(address.split('.').map(Number));
    const hex = bytes.toString('hex');
    const word = (at) => bytes.readUInt16BE(at).toString(16);
    const texts = [address, address.split('.').reverse().join('.'), hex,
        Buffer.from(bytes).reverse().toString('hex'),
        `${word(0)}:${word(2)}`, String(bytes.readUInt32BE(0)),
        String(bytes.readUInt32LE(0)), bytes.join(','), bytes.join(', ')];

    return [
        ...texts.map((t) => ({ what: `"${t}"`, text: t })),
        { what: `bytes ${hex}`, bytes },
        { what: `bytes ${hex}, the last first`,
            bytes: Buffer.from(bytes).reverse() }
    ];
}


/* What stands in tokens, which is base64. */
const claims = (text) => [...text.matchAll(
    /eyJ[\w-]+\.([\w-]+)\.[\w-]+/g)].map(([, payload]) =>
    Buffer.from(payload, 'base64url').toString('latin1'));


/* Which of an address's forms are in some bytes. */
function find(address, bytes) {
    const text = bytes.toString('latin1');
    const lower = [text, ...claims(text)].join('\n').toLowerCase();

    return formsOf(address).filter((f) => f.bytes ? bytes.includes(f.bytes)
        : lower.includes(f.text.toLowerCase())).map((f) => f.what);
}


/* One with addresses of its own, and all that it was ever sent. */
class Client {
    constructor(n) {
        this.address = `127.${101 + n}.${17 + n}.${233 - n}`;
        this.other = `127.${151 + n}.${77 + n}.${193 - n}`;
        this.user = newUser();
        this.heard = { gateway: [], voice: [], rest: [], udp: [] };
    }

    /* A connection from here, recorded. */
    async dial(nginx, heard) {
        const socket = await dial({ host: '127.0.0.1', port: nginx.http,
            localAddress: this.address });

        socket.on('data', (chunk) => heard.push(chunk));

        return socket;
    }

    async join(nginx, { compress = null, version = 8 } = {}) {
        const { gateway, voice } = this.heard;

        this.nginx = nginx;
        this.compress = compress;
        this.guest = await Guest.join(nginx, GUILD, lounge, {
            user: this.user, compress,

            /* compressed, it is heard inflated: see bytes() */
            socket: () => this.dial(nginx, compress ? [] : gateway),
            member: { version, address: this.address,
                socket: () => this.dial(nginx, voice) }
        });
    }

    async rest(method, path, options) {
        const r = await rest(this.nginx, method, path,
            { from: this.address, token: this.guest.gateway.token,
                ...options });

        this.heard.rest.push(Buffer.from(r.rawHeaders.join('\n')), r.bytes);

        return r;
    }

    /*
     * Everything, by its way.  Of what was sealed it is what came out, with
     * its header: the seal itself says nothing.
     */
    bytes() {
        const { gateway, voice, rest: answers } = this.heard;
        const { members } = this.guest;
        const inflated = this.compress ? this.guest.gateway.messages.all
            .map(({ ws, ...m }) => Buffer.from(JSON.stringify(m))) : [];

        return {
            gateway: Buffer.concat([...gateway, ...inflated]),
            voice: Buffer.concat(voice),
            rest: Buffer.concat(answers),
            udp: Buffer.concat([
                ...members.flatMap((m) => [...m.discoveries, ...m.others,
                    ...m.undecryptable]).map((d) => d.bytes),
                ...members.flatMap((m) => [...m.packets, ...m.reports])
                    .map((d) => d.plain)
            ])
        };
    }
}


describe('the search', () => {
    const address = '127.101.17.233';
    const packed = Buffer.from([127, 101, 17, 233]);
    const forms = {
        'text': 'x127.101.17.233y', 'in reverse': '233.17.101.127.in-addr',
        'mapped': '::ffff:127.101.17.233', 'mapped hex': '::ffff:7f65:11e9',
        'hex': '7f6511e9', 'HEX': '7F6511E9', 'little hex': 'e911657f',
        'a number': String(0x7f6511e9), 'a list': '[127,101,17,233]'
    };

    for (const [name, text] of Object.entries(forms)) {
        test(`finds an address as ${name}`, () => {
            assert.notDeepEqual(find(address, Buffer.from(text)), []);
        });
    }

    test('finds its bytes', () => {
        for (const b of [packed, Buffer.from(packed).reverse()]) {
            assert.notDeepEqual(find(address, Buffer.concat(
                [Buffer.alloc(7, 1), b, Buffer.alloc(7, 2)])), []);
        }
    });

    test('looks into tokens', () => {
        const token = signToken('key', { sub: '1', ip: address });

        assert.notDeepEqual(find(address, Buffer.from(
            `{"token":"${token}"}`)), []);
    });

    test('finds nothing in what says nothing', () => {
        assert.deepEqual(find(address, Buffer.from(
            '127.0.0.1 127.101.17.23 127.101.18.233')), []);
    });
});


describe('a call with all that may happen', () => {
    let nginx;
    let clients;

    before(async () => {
        nginx = await Nginx.start({ workers: 2, guilds: guilds(),
            relays: [{ listen: '0.0.0.0', advertise: '127.0.0.1' }] });
        clients = [0, 1, 2, 3].map((n) => new Client(n));
        clients[0].user = USER.moderator;
    });
    after(() => nginx?.stop());

    const guestsOf = () => clients.map((c) => c.guest);

    const knowEachOther = (guests) => Promise.all(guests.flatMap((a) =>
        guests.filter((b) => a !== b).map((b) => a.voice.knows(b.voice))));

    async function speak(guests) {
        await Promise.all(guests.map((g) => g.voice.speakFor(5,
            { every: 5 })));
        await Promise.all(guests.flatMap((a) => guests
            .filter((b) => a !== b).map((b) => a.voice.hears(b.voice))));
    }

    test('they join and speak', async () => {
        const options = [{ version: 8 }, { version: 4 },
            { version: 8, compress: 'zlib-stream' }, { version: 9 }];

        for (const [i, c] of clients.entries()) {
            await c.join(nginx, options[i]);
        }
        await knowEachOther(guestsOf());
        await speak(guestsOf());
    });

    test('reports are sent, and come', async () => {
        const guests = guestsOf();

        await until('each to have a report', async () => {
            for (const { voice } of guests) {
                await voice.datagram(voice.sealedRtcp(senderReport({
                    ssrc: voice.ssrc, ntp: 1n << 32n,
                    timestamp: voice.timestamp, packets: voice.sent,
                    octets: voice.sent * 80 })));
                await voice.speakNext();
            }
            return guests.every((g) => g.voice.reports.length > 0);
        }, 20000, 100);
    });

    test('one comes from another address in the midst of it', async () => {
        const [a, b] = guestsOf();
        const socket = await udpSocket({ address: clients[0].other });
        const from = a.voice.udp;

        a.voice.listen(socket);
        a.voice.udp = socket;
        await until('its way to be found', async () => {
            await a.voice.speakNext();
            await b.voice.speakNext();
            return a.voice.packets.some((p) => p.to === socket);
        });
        from.close();
        assert.ok(await nginx.metric('address_changes') > 0);
    });

    test('moderation, by REST', async () => {
        const [moderator, ...others] = clients;
        const patch = (c, body) => moderator.rest('PATCH',
            `guilds/${GUILD}/members/${c.user}`, { body });

        for (const c of others) {
            const from = c.guest.gateway.mark;

            assert.equal((await patch(c, { mute: true })).status, 200);
            assert.equal((await patch(c, { mute: false, deaf: true })).status,
                200);
            assert.equal((await patch(c, { deaf: false })).status, 200);
            assert.equal((await patch(c, { channel_id: studio })).status,
                200);
            await c.guest.follow(studio, from);
            await c.guest.enter(lounge);
            await c.guest.enter(stage);
            await c.rest('PATCH', `guilds/${GUILD}/voice-states/@me`,
                { body: { channel_id: stage, request_to_speak_timestamp:
                    new Date(Date.now() + 1000).toISOString() } });
            await c.guest.enter(lounge);
        }
        for (const path of ['users/@me', 'gateway/bot', `guilds/${GUILD}`,
            `guilds/${GUILD}/members?limit=100`, 'voice/regions',
            `guilds/${GUILD}/voice-states/@me`,
            `guilds/${GUILD}/voice-states/${clients[1].user}`,
            `channels/${lounge}`, 'nothing', 'guilds/x'])
        {
            await Promise.all(clients.map((c) => c.rest('GET', path)));
        }
        await moderator.rest('GET', `/api/v1/guilds/${GUILD}/voice-states`,
            { token: nginx.platformToken() });
    });

    test('members, flags, and speech in the new sessions', async () => {
        for (const { guest } of clients) {
            guest.gateway.say(GW.MEMBERS, { guild_id: GUILD, limit: 0,
                query: '' });
            guest.gateway.voice(GUILD, lounge, { self_video: true });
            guest.voice.say(OP.SPEAKING, { speaking: 5, delay: 0,
                ssrc: guest.voice.ssrc });
            await guest.gateway.event('GUILD_MEMBERS_CHUNK');
        }
        await Promise.all(guestsOf().map((g) => g.voice.settled()));
        await speak(guestsOf().slice(1));
    });

    test('connections are lost, and come again', async () => {
        for (const { guest } of clients) {
            guest.voice.ws.cut();
            await guest.gateway.cut();
        }
        for (const { guest } of clients) {
            await guest.gateway.resume();
            await guest.voice.resume();
        }
        await speak(guestsOf().slice(1));
    });

    test('mistakes are made', async () => {
        for (const c of clients) {
            const { gateway, voice } = c.heard;
            const stranger = new GatewayClient(nginx, { user: c.user,
                token: 'x', socket: () => c.dial(nginx, gateway) });

            await stranger.connect();
            stranger.sayIdentify();
            assert.equal((await stranger.whenClosed()).code, 4004);
            stranger.destroy();

            for (const say of [() => c.guest.gateway.ws.text('{'),
                () => c.guest.gateway.say(99, null)])
            {
                say();
                await c.guest.gateway.whenClosed();
                await c.guest.gateway.resume();
            }

            c.guest.voice.ws.text('{"op":0,"d":{}}');
            await c.guest.voice.whenClosed();
            await c.guest.voice.datagram(Buffer.alloc(60, 0x80));
            await c.rest('PATCH', `guilds/${GUILD}/members/77`,
                { body: '{' });
            await c.dial(nginx, voice).then((socket) => socket.destroy());
        }
    });

    test('they are thrown out and leave', async () => {
        const [moderator, second] = clients;
        const { gateway } = moderator.guest;

        await moderator.rest('PATCH',
            `guilds/${GUILD}/members/${second.user}`,
            { body: { channel_id: null } });
        await gateway.state(second.user, (d) => d.channel_id === null);
        for (const c of clients.slice(1)) {
            await c.guest.leave();
        }
        await gateway.settled();
        await moderator.guest.leave();
    });

    test('each was told of itself, where it asked', () => {
        for (const c of clients) {
            const { udp } = c.bytes();

            assert.notDeepEqual(find(c.address, udp), []);
        }
    });

    test('nobody was told of another one', () => {
        for (const c of clients) {
            for (const [way, bytes] of Object.entries(c.bytes())) {
                assert.ok(bytes.length > 1000,
                    `${bytes.length} bytes of ${way} were kept`);

                for (const o of clients.filter((o) => o !== c)) {
                    for (const address of [o.address, o.other]) {
                        assert.deepEqual(find(address, bytes), [],
                            `${c.address} hears of ${address}: ${way}`);
                    }
                }
            }
        }
    });

    test('the server has seen them where they were', () => {
        for (const c of clients) {
            assert.ok(nginx.logLines(new RegExp(`client: ${
                c.address.replaceAll('.', '\\.')}`)).length > 0);
        }
    });
});
