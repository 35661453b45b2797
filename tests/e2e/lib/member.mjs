/*
 * Copyright (C) ngx-voice contributors
 *
 * A member of a call, made of a websocket and an UDP socket, with every step
 * in the test's hand.
 */

import dgram from 'node:dgram';
import { once } from 'node:events';

import { openRtcp, openRtp, sealRtcp, sealRtp } from './modes.mjs';
import { SILENCE, discoveryRequest, isDiscoveryResponse, isRtcp,
    parseDiscovery, parseRtcp, parseRtp, rtpPacket } from './rtp.mjs';
import { Inbox, now, until } from './wait.mjs';
import { TEXT, WebSocketClient } from './websocket.mjs';


export const OP = {
    IDENTIFY: 0, SELECT: 1, READY: 2, HEARTBEAT: 3, DESCRIPTION: 4,
    SPEAKING: 5, ACK: 6, RESUME: 7, HELLO: 8, RESUMED: 9, CONNECT: 11,
    VIDEO: 12, DISCONNECT: 13, VERSION: 16, FLAGS: 18, PLATFORM: 20
};

const SAMPLES = 960;


let lastUser = 5000;
let lastRoom = 1000;

export const newUser = () => String(++lastUser);


/* A channel of its own for each test. */
export function newRoom() {
    lastRoom++;
    return { guild: String(lastRoom), channel: String(lastRoom * 10) };
}


/* A UDP socket that keeps what it gets. */
export async function udpSocket({ address = '127.0.0.1', port = 0 } = {}) {
    const socket = dgram.createSocket({
        type: address.includes(':') ? 'udp6' : 'udp4',
        recvBufferSize: 1 << 20
    });

    socket.bind(port, address);
    await once(socket, 'listening');

    return socket;
}


/* Opus-like frames that carry a number. */
export function frameOf(n, length = 80) {
    const frame = Buffer.alloc(length, 0x5a);

    frame[0] = 0xfc;
    frame.writeUInt32BE(n, 1);

    return frame;
}

export const numberOf = (payload) => payload.readUInt32BE(1);

export const isSilence = (payload) => payload.equals(SILENCE);


export class Member {
    /*
     * room: { guild, channel }; version: of the voice gateway, null for a
     * URL without one; mode: the one that is selected; socket: () => one to
     * use for a websocket.
     */
    constructor(nginx, { user = newUser(), guild, channel, version = 8,
        mode = 'aead_aes256_gcm_rtpsize', tls = false,
        session = `session-${user}`, host = '127.0.0.1',
        address = '127.0.0.1', claims = {}, relay = null,
        socket = () => null })
    {
        Object.assign(this, { nginx, user, guild, channel, version, mode,
            tls, session, host, address, claims, relay, socket });
        this.token = nginx.token({ user, guild, channel, session, ...claims });
        nginx.clients?.add(this);
        this.sockets = [];                /* of its websockets */
        this.messages = new Inbox();      /* websocket messages, parsed */
        this.packets = [];                /* RTP that opened */
        this.reports = [];                /* RTCP that opened */
        this.discoveries = [];
        this.others = [];                 /* datagrams of no known kind */
        this.undecryptable = [];
        this.events = [];                 /* all of these in order */
        this.cursor = new Map();
        this.seq = 0;
        this.timestamp = 0;
        this.counter = 0;
        this.sent = 0;
        this.acked = -1;
        this.beats = 0;
    }

    static async join(nginx, options) {
        const m = new Member(nginx, options);

        await m.identify();
        await m.discover();
        await m.select();

        return m;
    }

    get query() {
        return this.version === null ? '' : `?v=${this.version}`;
    }

    /* socket: an open connection to use for the websocket */
    async open({ socket = null } = {}) {
        const { nginx } = this;

        this.ws = await WebSocketClient.connect({
            socket: socket ?? await this.socket(),
            host: this.host, path: `/${this.query}`,
            port: this.tls ? nginx.https : nginx.http,
            ca: this.tls ? nginx.ca : null
        });
        this.sockets.push(this.ws.socket);
        this.messages.ended = null;

        const { ws } = this;

        ws.onMessage = (message) => {
            /* one that another has taken over from has nothing to say */
            if (ws === this.ws) {
                this.onMessage(message);
            }
        };
        ws.inbox.all.forEach(ws.onMessage);
        ws.closed.then(({ code, reason }) => {
            if (ws === this.ws) {
                this.messages.end(`websocket closed with ${code} ${reason}`);
            }
        });
    }

    onMessage({ opcode, data, at }) {
        if (opcode !== TEXT) {
            this.ws.bad(`a frame of opcode ${opcode}`);
            return;
        }

        const text = data.toString();
        const message = { ...JSON.parse(text), text, at };

        if (message.seq !== undefined) {
            this.acked = message.seq;
        }
        this.events.push(message);
        this.messages.push(message);
    }

    /* The next message of this opcode that wasn't given out before. */
    async next(op, ms) {
        const message = await this.messages.find((m) => m.op === op,
            { from: this.cursor.get(op) ?? 0, ms, what: `op ${op}` });

        this.cursor.set(op, this.messages.all.indexOf(message) + 1);

        return message;
    }

    /* All that came so far, by opcode. */
    got(op) {
        return this.messages.all.filter((m) => m.op === op);
    }

    say(op, d) {
        this.ws.json({ op, d });
    }

    /* All that the server has said before is here now. */
    async settled() {
        const t = ++this.beats;

        this.say(OP.HEARTBEAT, this.version >= 8 ? { t } : t);
        await this.messages.find(
            (m) => (m.op === OP.ACK || m.op === OP.HEARTBEAT)
                && (m.d === t || m.d.t === t), { what: 'a heartbeat' });
    }

    identification() {
        return { server_id: this.guild, user_id: this.user,
            session_id: this.session, token: this.token,
            ...this.version === 9 ? { channel_id: this.channel } : {} };
    }

    async identify({ socket = null } = {}) {
        await this.open({ socket });
        await this.greeted();
        this.say(OP.IDENTIFY, this.identification());
        this.ready = (await this.next(OP.READY)).d;
        this.ssrc = this.ready.ssrc;
    }

    /* Hello; versions 1 and 2 have it without an envelope. */
    async greeted() {
        const hello = await this.messages.find(
            (m) => m.op === OP.HELLO || m.heartbeat_interval,
            { what: 'Hello' });

        this.hello = hello.op === undefined ? hello : hello.d;

        return hello;
    }

    async openUdp() {
        this.udp = await udpSocket({ address: this.address });
        this.listen(this.udp);
    }

    /*
     * A datagram and the message before it may lie side by side in their
     * sockets, and nobody knows which one node looks at first.  After the
     * present round of the event loop the message has been seen.
     */
    listen(socket) {
        socket.on('message', (bytes, from) => {
            const { key, mode } = this;

            setImmediate(() => this.onDatagram(
                { bytes, from, to: socket, at: now(),
                    keys: [[mode, key], [this.mode, this.key]] }));
        });
    }

    get port() {
        return this.relay?.port ?? this.ready.port;
    }

    get ip() {
        return this.relay?.ip ?? this.ready.ip;
    }

    /* Any bytes, from any socket. */
    datagram(bytes, socket = this.udp) {
        return new Promise((resolve, reject) =>
            socket.send(bytes, this.port, this.ip,
                (e) => e ? reject(e) : resolve()));
    }

    async discover() {
        if (!this.udp) {
            await this.openUdp();
        }
        await this.datagram(discoveryRequest(this.ssrc));
        this.discovered = await until('the answer to IP discovery',
            () => this.discoveries.at(-1));
    }

    /* Resolves with Session Description. */
    async select(mode = this.mode) {
        const { address, port } = this.discovered
            ?? { address: '127.0.0.1', port: 9 };

        this.say(OP.SELECT,
            { protocol: 'udp', data: { address, port, mode } });
        this.description = (await this.next(OP.DESCRIPTION)).d;
        this.mode = this.description.mode;
        this.key = Buffer.from(this.description.secret_key);
    }

    onDatagram({ keys, ...datagram }) {
        this.events.push(this.sort(datagram, keys));
    }

    /* keys: the one of its arrival, and the one that has come since */
    sort(datagram, keys) {
        const { bytes } = datagram;
        const keep = (list, more) => {
            const item = { ...datagram, ...more };

            list.push(item);
            return item;
        };

        if (isDiscoveryResponse(bytes)) {
            return keep(this.discoveries, parseDiscovery(bytes));
        }

        if (bytes.length < 12 || bytes[0] >> 6 !== 2) {
            return keep(this.others, {});
        }

        const open = isRtcp(bytes) ? openRtcp : openRtp;
        const plain = keys.reduce((found, [mode, key]) =>
            found ?? (key ? open(mode, key, bytes) : null), null);

        if (!plain) {
            return keep(this.undecryptable, {});
        }

        return isRtcp(bytes)
            ? keep(this.reports, { parts: parseRtcp(plain), plain })
            : keep(this.packets, { ...parseRtp(plain), plain });
    }

    /* The next packet of this member's stream, sealed but not sent. */
    sealed(payload, { ssrc = this.ssrc, seq = this.seq, pt, marker, csrcs,
        extension, timestamp = this.timestamp, key = this.key,
        mode = this.mode } = {})
    {
        return sealRtp(mode, key, rtpPacket({ seq, timestamp, ssrc, payload,
            pt, marker, csrcs, extension }), ++this.counter);
    }

    sealedRtcp(packet) {
        return sealRtcp(this.mode, this.key, packet, ++this.counter);
    }

    advance() {
        this.seq = (this.seq + 1) & 0xffff;
        this.timestamp = (this.timestamp + SAMPLES) >>> 0;
    }

    /* Sends a payload as the next packet; gives the datagram. */
    async speak(payload, options = {}, socket = this.udp) {
        const bytes = this.sealed(payload, options);

        this.advance();
        await this.datagram(bytes, socket);

        return bytes;
    }

    /* Sends the next numbered frame. */
    speakNext(socket) {
        return this.speak(frameOf(this.sent++), {}, socket);
    }

    /* n numbered frames, 20 ms apart or as said. */
    async speakFor(n, { every = 20 } = {}) {
        const start = now();

        for (let i = 0; i < n; i++) {
            await this.speakNext();
            await until('the next frame to be due',
                () => now() >= start + (i + 1) * every, 1000, 2);
        }
    }

    /* Numbered frames all the time, until stop() is called. */
    talk() {
        const start = now();
        const from = this.sent;
        const timer = setInterval(() => {
            while (this.sent - from < (now() - start) / 20) {
                this.speakNext().catch(() => {});
            }
        }, 5).unref();

        return {
            stop: () => {
                clearInterval(timer);
                return { from, to: this.sent };
            }
        };
    }

    /* What came of a member's voice. */
    heard(other) {
        return this.packets.filter((p) => p.ssrc === other.ssrc
            && !isSilence(p.payload));
    }

    silences(other) {
        return this.packets.filter((p) => p.ssrc === other.ssrc
            && isSilence(p.payload));
    }

    /* Waits for the last of the first n frames. */
    hears(other, n = other.sent, ms = 5000) {
        return until(`user ${this.user} to hear frame ${n - 1} of user `
            + other.user,
        () => this.heard(other).some((p) => numberOf(p.payload) >= n - 1), ms);
    }

    /*
     * Did frames from..to - 1 of another member arrive once each, in order,
     * and with sequence numbers and timestamps that tell the same?  A list
     * of what is wrong.
     */
    faults(other, { from = 0, to = other.sent } = {}) {
        const heard = this.heard(other);
        const numbers = heard.map((p) => numberOf(p.payload))
            .filter((n) => n >= from && n < to);
        const faults = [];

        for (let i = from, at = 0; i < to; i++) {
            if (numbers[at] === i) {
                at++;
                continue;
            }
            faults.push(`frame ${i} of user ${other.user} is missing or late `
                + `at user ${this.user}: ${to - from} were sent, `
                + `${numbers.length} came`);
            break;
        }
        if (numbers.length > to - from) {
            faults.push(`${numbers.length} frames of ${to - from} came`);
        }
        if (this.undecryptable.length > 0) {
            faults.push(`${this.undecryptable.length} packets don't open at `
                + `user ${this.user}`);
        }

        return [...faults, ...headerFaults(heard)];
    }

    /* Knows whose an SSRC is: only then are packets due to it. */
    knows(other) {
        return this.messages.find((m) => m.op === OP.SPEAKING
            && m.d.ssrc === other.ssrc && m.d.user_id === other.user,
        { what: `op 5 of ${other.user} to ${this.user}` });
    }

    async resume({ seqAck = this.acked, socket = null } = {}) {
        this.cursor = new Map();
        this.messages.all = [];
        await this.open({ socket });
        this.say(OP.RESUME, {
            server_id: this.guild, session_id: this.session,
            token: this.token,
            ...this.version === 9 ? { channel_id: this.channel } : {},
            ...this.version >= 8 ? { seq_ack: seqAck } : {}
        });

        return this.next(OP.RESUMED);
    }

    whenClosed(ms) {
        return this.ws.whenClosed(ms);
    }

    closeUdp() {
        this.udp?.close();
        this.udp = null;
    }

    /* At the end of a test that didn't get as far as leave(). */
    destroy() {
        for (const socket of this.sockets) {
            socket.destroy();
        }
        this.closeUdp();
    }

    async leave() {
        if (this.ws && !this.ws.ending) {
            await this.ws.close(1000);
        }
        this.destroy();
        this.nginx.clients?.delete(this);
    }
}


/* The headers of a stream go on as its frames do. */
function headerFaults(packets) {
    return packets.slice(1).flatMap((p, i) => {
        const steps = numberOf(p.payload) - numberOf(packets[i].payload);
        const seq = (p.seq - packets[i].seq) & 0xffff;
        const time = (p.timestamp - packets[i].timestamp) >>> 0;

        return seq === (steps & 0xffff) && time === (steps * SAMPLES) >>> 0
            ? []
            : [`${steps} frames on, sequence moves by ${seq} and timestamp `
                + `by ${time}`];
    }).slice(0, 3);
}


/* Members that know each other. */
export async function call(nginx, ...options) {
    const members = [];

    for (const o of options) {
        members.push(await Member.join(nginx, o));
    }
    await Promise.all(members.flatMap((a) =>
        members.filter((b) => a !== b).map((b) => a.knows(b))));

    return members;
}


export async function leave(...members) {
    await Promise.all(members.map((m) => m.leave()));
}
