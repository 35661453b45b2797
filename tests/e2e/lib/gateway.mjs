/*
 * Copyright (C) ngx-voice contributors
 *
 * A client of the main gateway and of REST, with every step in the test's
 * hand; and a guest, who comes by the gateway and is in voice as a Member.
 */

import http from 'node:http';
import https from 'node:https';
import { once } from 'node:events';
import { constants, createInflate } from 'node:zlib';

import { Member } from './member.mjs';
import { Inbox, within } from './wait.mjs';
import { BINARY, TEXT, WebSocketClient } from './websocket.mjs';


export const GW = {
    DISPATCH: 0, HEARTBEAT: 1, IDENTIFY: 2, PRESENCE: 3, VOICE_STATE: 4,
    VOICE_PING: 5, RESUME: 6, RECONNECT: 7, MEMBERS: 8, INVALID: 9,
    HELLO: 10, ACK: 11
};

export const PERM = {
    PRIORITY: 1n << 8n, STREAM: 1n << 9n, VIEW: 1n << 10n,
    CONNECT: 1n << 20n, SPEAK: 1n << 21n, MUTE: 1n << 22n,
    DEAFEN: 1n << 23n, MOVE: 1n << 24n, VAD: 1n << 25n, REQUEST: 1n << 32n
};

export const ALL_INTENTS = 0x3ffff;

const SYNC = Buffer.from([0, 0, 0xff, 0xff]);


/* One zlib stream for all messages of a connection. */
class Inflater {
    constructor() {
        this.stream = createInflate({ flush: constants.Z_SYNC_FLUSH });
        this.plain = [];
        this.last = Promise.resolve();
        this.stream.on('data', (chunk) => this.plain.push(chunk));
    }

    take(data) {
        this.last = this.last.then(async () => {
            if (!data.subarray(-4).equals(SYNC)) {
                throw new Error('no sync flush at the end of a message');
            }
            this.plain = [];
            await new Promise((resolve, reject) => {
                this.stream.once('error', reject);
                this.stream.write(data, () => setImmediate(resolve));
            });

            return Buffer.concat(this.plain);
        });

        return this.last;
    }
}


export class GatewayClient {
    /* As far as Hello. */
    static async open(nginx, options = {}) {
        const g = new GatewayClient(nginx, options);

        await g.connect();
        await g.next(GW.HELLO);

        return g;
    }

    /* As far as READY and each GUILD_CREATE. */
    static async login(nginx, options = {}) {
        const g = await GatewayClient.open(nginx, options);

        await g.identify();

        return g;
    }

    /*
     * query: instead of the usual one; token: instead of one for the user;
     * socket: () => one to use for a connection
     */
    constructor(nginx, { user, token = nginx.userToken(user),
        intents = ALL_INTENTS, compress = null, query = null, tls = false,
        path = '/gateway', socket = () => null } = {})
    {
        Object.assign(this, { nginx, user, token, intents, compress, path,
            query, tls, socket });
        this.messages = new Inbox();     /* of all connections, parsed */
        this.seq = null;
        nginx.clients?.add(this);
    }

    async connect() {
        const query = this.query ?? 'v=10&encoding=json'
            + (this.compress ? `&compress=${this.compress}` : '');
        const ws = await WebSocketClient.connect({ host: '127.0.0.1',
            port: this.tls ? this.nginx.https : this.nginx.http,
            ca: this.tls ? this.nginx.ca : null,
            path: `${this.path}?${query}`, socket: await this.socket() });
        const inflater = this.compress ? new Inflater() : null;

        this.ws = ws;
        this.messages.ended = null;
        ws.onMessage = (message) => this.onMessage(ws, inflater, message);
        ws.inbox.all.forEach(ws.onMessage);
        ws.closed.then(({ code, reason }) => {
            if (ws === this.ws) {
                this.messages.end(`gateway closed with ${code} ${reason}`);
            }
        });
    }

    onMessage(ws, inflater, { opcode, data }) {
        if (opcode !== (inflater ? BINARY : TEXT)) {
            ws.bad(`a frame of opcode ${opcode}`);
            return;
        }
        if (inflater) {
            inflater.take(data).then((text) => this.keep(ws, text),
                (e) => ws.bad(e.message));
        } else {
            this.keep(ws, data);
        }
    }

    keep(ws, text) {
        const message = JSON.parse(text);

        if (message.op === GW.DISPATCH) {
            this.seq = message.s;
        }
        message.ws = ws;
        this.messages.push(message);
    }

    /* Where the messages that are still to come begin. */
    get mark() {
        return this.messages.all.length;
    }

    /* Of this connection. */
    next(op, { from = 0, ms } = {}) {
        return this.messages.find((m) => m.op === op && m.ws === this.ws,
            { from, ms, what: `op ${op} of the gateway` });
    }

    async event(name, fits = () => true, { from = 0, ms } = {}) {
        const message = await this.messages.find(
            (m) => m.t === name && fits(m.d), { from, ms, what: name });

        return message.d;
    }

    /* Of a user's voice state, by default one that joined. */
    state(user, fits = (d) => d.channel_id !== null, options) {
        return this.event('VOICE_STATE_UPDATE',
            (d) => d.user_id === user && fits(d), options);
    }

    events(name = null, from = 0) {
        return this.messages.all.slice(from).filter((m) =>
            m.op === GW.DISPATCH && (name === null || m.t === name));
    }

    say(op, d) {
        this.ws.json({ op, d });
    }

    /* Sends op 2 only. */
    sayIdentify(more = {}) {
        this.say(GW.IDENTIFY, { token: this.token, intents: this.intents,
            properties: { os: 'linux', browser: 'x', device: 'x' },
            ...more });
    }

    async identify(more) {
        const from = this.mark;

        this.sayIdentify(more);
        this.ready = await this.event('READY', () => true, { from });
        this.session = this.ready.session_id;
        for (const { id } of this.ready.guilds) {
            await this.event('GUILD_CREATE', (d) => d.id === id, { from });
        }
    }

    /* All that the server has said before is here now. */
    async settled() {
        const from = this.mark;

        this.say(GW.HEARTBEAT, this.seq);
        await this.next(GW.ACK, { from });
    }

    voice(guild, channel, more = {}) {
        this.say(GW.VOICE_STATE, { guild_id: guild, channel_id: channel,
            self_mute: false, self_deaf: false, ...more });
    }

    sayResume({ token = this.token, session = this.session,
        seq = this.seq } = {})
    {
        this.say(GW.RESUME, { token, session_id: session, seq });
    }

    /* On a new connection: RESUMED, and where in the messages this began. */
    async resume(options) {
        const from = this.mark;

        await this.connect();
        await this.next(GW.HELLO, { from });
        this.sayResume(options);
        await this.event('RESUMED', () => true, { from, ms: 10000 });

        return from;
    }

    /* The network takes the connection away. */
    async cut() {
        this.ws.cut();
        await this.ws.whenClosed();
    }

    whenClosed(ms) {
        return this.ws.whenClosed(ms);
    }

    async close(code = 1000) {
        if (!this.ws.ending) {
            await this.ws.close(code);
        }
        this.destroy();
    }

    destroy() {
        this.ws?.socket.destroy();
        this.nginx.clients?.delete(this);
    }
}


/*
 * A request to REST: { status, headers, body, bytes }.  path: below /api/v10,
 * or a whole one; body: an object, or any text or bytes; from: an address of
 * ours.
 */
export async function rest(nginx, method, path, { token = null, body = null,
    headers = {}, tls = false, from = undefined } = {})
{
    const data = body === null || typeof body === 'string'
        || Buffer.isBuffer(body) ? body : JSON.stringify(body);
    const r = (tls ? https : http).request({ host: '127.0.0.1',
        port: tls ? nginx.https : nginx.http, method, localAddress: from,
        ca: tls ? nginx.ca : undefined, agent: false,
        path: path.startsWith('/') ? path : `/api/v10/${path}`,
        headers: { ...token ? { Authorization: `Bot ${token}` } : {},
            ...data === null ? {} : { 'Content-Type': 'application/json',
                'Content-Length': Buffer.byteLength(data) }, ...headers } });

    r.end(data ?? undefined);

    const what = `the answer to ${method} ${path}`;
    const [answer] = await within(what, once(r, 'response'));
    const chunks = [];

    answer.on('data', (chunk) => chunks.push(chunk));
    await within(what, once(answer, 'end'));

    const bytes = Buffer.concat(chunks);

    return { status: answer.statusCode, headers: answer.headers, bytes,
        rawHeaders: answer.rawHeaders,
        body: bytes.length > 0 ? JSON.parse(bytes) : null };
}


/* Comes by the gateway, and is in voice. */
export class Guest {
    static async join(nginx, guild, channel, options = {}) {
        const g = new Guest();

        g.nginx = nginx;
        g.guild = guild;
        g.options = options;
        g.user = options.user;
        g.members = [];                  /* of its voice, one by one */
        g.gateway = await GatewayClient.login(nginx, options);
        await g.enter(channel);

        return g;
    }

    /* Op 4, and to the voice server that the gateway names. */
    async enter(channel) {
        const from = this.gateway.mark;

        this.gateway.voice(this.guild, channel);
        await this.follow(channel, from);
    }

    async follow(channel, from) {
        const server = await this.gateway.event('VOICE_SERVER_UPDATE',
            () => true, { from });

        this.channel = channel;
        this.voice?.destroy();
        this.voice = new Member(this.nginx, { user: this.user,
            guild: this.guild, channel, session: this.gateway.session,
            ...this.options.member });
        this.voice.token = server.token;
        this.members.push(this.voice);
        await this.voice.identify();
        await this.voice.discover();
        await this.voice.select();
    }

    destroy() {
        this.voice?.destroy();
        this.gateway?.destroy();
    }

    async leave() {
        this.voice?.destroy();
        await this.gateway.close(1000);
    }
}


/*
 * Two guilds.  In the first: an open channel, a second one, one where only
 * moderators may speak, one that only moderators see, one for two, a stage,
 * and one for those that sleep.
 */
export const GUILD = '41771983423143937';
export const OTHER_GUILD = '41771983423143938';

export const CHANNEL = {
    lounge: '41771983423143940', studio: '41771983423143941',
    podium: '41771983423143942', secret: '41771983423143943',
    booth: '41771983423143944', stage: '41771983423143945',
    afk: '41771983423143946', text: '41771983423143947',
    other: '41771983423143950'
};

export const ROLE = { moderators: '41771983423143960' };
export const USER = {
    owner: '80351110224678912', moderator: '80351110224678913',
    member: '80351110224678914'
};

const EVERYONE = PERM.VIEW | PERM.CONNECT | PERM.SPEAK | PERM.VAD
    | PERM.STREAM | PERM.REQUEST;

const overwrite = (id, allow, deny) => ({ id, type: 0, allow: String(allow),
    deny: String(deny) });

export function guilds() {
    const user = (id, username) => ({ id, username });

    return [
        { id: GUILD, name: 'Guild', owner_id: USER.owner,
            afk_channel_id: CHANNEL.afk, afk_timeout: 300,
            roles: [
                { id: GUILD, name: '@everyone',
                    permissions: String(EVERYONE) },
                { id: ROLE.moderators, name: 'moderators', position: 1,
                    permissions: String(PERM.MUTE | PERM.DEAFEN
                        | PERM.MOVE) }
            ],
            channels: [
                { id: CHANNEL.lounge, name: 'lounge', type: 2,
                    bitrate: 96000 },
                { id: CHANNEL.studio, name: 'studio', type: 2 },
                { id: CHANNEL.podium, name: 'podium', type: 2,
                    permission_overwrites: [
                        overwrite(GUILD, 0, PERM.SPEAK),
                        overwrite(ROLE.moderators, PERM.SPEAK, 0)] },
                { id: CHANNEL.secret, name: 'secret', type: 2,
                    permission_overwrites: [
                        overwrite(GUILD, 0, PERM.VIEW | PERM.CONNECT),
                        overwrite(ROLE.moderators,
                            PERM.VIEW | PERM.CONNECT, 0)] },
                { id: CHANNEL.booth, name: 'booth', type: 2, user_limit: 2 },
                { id: CHANNEL.stage, name: 'stage', type: 13 },
                { id: CHANNEL.afk, name: 'afk', type: 2 },
                { id: CHANNEL.text, name: 'text', type: 0 }
            ],
            members: [
                { user: user(USER.owner, 'owner'), roles: [] },
                { user: user(USER.moderator, 'moderator'),
                    roles: [ROLE.moderators] },
                { user: user(USER.member, 'member'), roles: [] }
            ] },
        { id: OTHER_GUILD, name: 'Other', owner_id: USER.owner,
            roles: [{ id: OTHER_GUILD, name: '@everyone',
                permissions: String(EVERYONE) }],
            channels: [{ id: CHANNEL.other, name: 'other', type: 2 }],
            members: [] }
    ];
}


/* More guilds, of one room for everybody. */
export function plainGuilds(n) {
    return Array.from({ length: n }, (_, i) => {
        const id = 70000000000000000n + BigInt(i) * 10n;

        return { id: String(id), name: `Guild ${i}`, owner_id: USER.owner,
            roles: [{ id: String(id), name: '@everyone',
                permissions: String(PERM.VIEW | PERM.CONNECT | PERM.SPEAK) }],
            channels: [{ id: String(id + 1n), name: 'room', type: 2 }],
            members: [] };
    });
}
