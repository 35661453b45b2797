/*
 * Copyright (C) ngx-voice contributors
 *
 * A websocket client that also does what no client should: any bytes, any
 * frame.  What comes from the server is checked strictly.
 */

import net from 'node:net';
import tls from 'node:tls';
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';

import { Inbox, within } from './wait.mjs';


const GUID = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';

export const CONTINUATION = 0;
export const TEXT = 1;
export const BINARY = 2;
export const CLOSE = 8;
export const PING = 9;
export const PONG = 10;


export async function dial({ host, port, ca = null, localAddress }) {
    const socket = ca
        ? tls.connect({ host, port, ca, localAddress, ALPNProtocols: [] })
        : net.connect({ host, port, localAddress });

    await within(`a connection to ${host}:${port}`,
        once(socket, ca ? 'secureConnect' : 'connect'));
    socket.setNoDelay(true);

    return socket;
}


/*
 * Sends one HTTP request and reads the head of its response, and as much
 * body as Content-Length says.  The connection stays open.
 */
export async function request(socket, path, headers = {}, { method = 'GET',
    version = '1.1' } = {})
{
    const head = Object.entries({ Host: 'localhost', ...headers })
        .filter(([, value]) => value !== undefined)
        .map(([name, value]) => `${name}: ${value}\r\n`).join('');

    socket.write(`${method} ${path} HTTP/${version}\r\n${head}\r\n`);

    return within(`the answer to ${method} ${path}`, response(socket));
}


/* A connection, and the worker that has it. */
async function connect(nginx) {
    const socket = await dial({ host: '127.0.0.1', port: nginx.http });
    const { body } = await request(socket, '/pid');

    return { socket, pid: body };
}


/* A connection that is not with these workers. */
export async function connectElsewhere(nginx, pids) {
    for (let i = 0; i < 200; i++) {
        const { socket, pid } = await connect(nginx);

        if (!pids.has(pid)) {
            return { socket, pid };
        }
        socket.destroy();
    }

    throw new Error(`200 connections went to ${[...pids].join(', ')}`);
}


function response(socket) {
    return new Promise((resolve, reject) => {
        let data = Buffer.alloc(0);

        const settle = (f, value) => {
            socket.off('data', onData);
            socket.off('close', onEnd);
            socket.off('end', onEnd);
            socket.off('error', onEnd);
            socket.pause();
            f(value);
        };
        const onEnd = () => settle(reject, new Error(
            `connection closed after ${data.length} bytes of a response`));
        const onData = (chunk) => {
            data = Buffer.concat([data, chunk]);

            const end = data.indexOf('\r\n\r\n');

            if (end < 0) {
                return;
            }

            const r = parseHead(data.toString('latin1', 0, end));
            const length = r.status === 101 ? 0
                : Number(r.headers['content-length'] ?? 0);

            if (data.length < end + 4 + length) {
                return;
            }

            r.body = data.toString('utf8', end + 4, end + 4 + length);
            r.rest = data.subarray(end + 4 + length);
            settle(resolve, r);
        };

        socket.on('data', onData);
        socket.on('close', onEnd);
        socket.on('end', onEnd);
        socket.on('error', onEnd);
        socket.resume();
    });
}


function parseHead(text) {
    const [first, ...lines] = text.split('\r\n');

    return {
        status: Number(first.split(' ')[1]),
        headers: Object.fromEntries(lines.map((line) => {
            const i = line.indexOf(':');

            return [line.slice(0, i).toLowerCase(), line.slice(i + 1).trim()];
        }))
    };
}


export function upgradeHeaders(key = randomBytes(16).toString('base64')) {
    return {
        Upgrade: 'websocket', Connection: 'Upgrade',
        'Sec-WebSocket-Key': key, 'Sec-WebSocket-Version': '13'
    };
}


/*
 * One frame.  length: what the frame claims, if that isn't the truth; form:
 * 7, 16 or 64 bits of length field, if not the shortest.
 */
export function frame(opcode, payload = Buffer.alloc(0), { fin = true,
    mask = true, rsv = 0, length = payload.length, form = 0 } = {})
{
    const bits = form || (length < 126 ? 7 : length < 65536 ? 16 : 64);
    const head = Buffer.alloc({ 7: 2, 16: 4, 64: 10 }[bits]);

    head[0] = (fin ? 0x80 : 0) | rsv << 4 | opcode;
    head[1] = (mask ? 0x80 : 0) | { 7: length, 16: 126, 64: 127 }[bits];
    if (bits === 16) {
        head.writeUInt16BE(length, 2);
    } else if (bits === 64) {
        head.writeBigUInt64BE(BigInt(length), 2);
    }

    if (!mask) {
        return Buffer.concat([head, payload]);
    }

    const key = randomBytes(4);
    const masked = Buffer.from(payload);

    for (let i = 0; i < masked.length; i++) {
        masked[i] ^= key[i & 3];
    }

    return Buffer.concat([head, key, masked]);
}


export class WebSocketClient {
    /*
     * socket: one that is already open, on which requests may have been
     * made; else host, port and ca say where to.
     */
    static async connect({ path = '/?v=8', socket = null, headers = {},
        ...where })
    {
        const s = socket ?? await dial(where);
        const key = randomBytes(16).toString('base64');
        const r = await request(s, path,
            { ...upgradeHeaders(key), ...headers });

        if (r.status !== 101) {
            s.destroy();
            throw new Error(`upgrade of ${path} refused with ${r.status}`);
        }

        const accept = createHash('sha1').update(key + GUID).digest('base64');

        if (r.headers['sec-websocket-accept'] !== accept) {
            s.destroy();
            throw new Error('Sec-WebSocket-Accept is '
                + `${r.headers['sec-websocket-accept']}, not ${accept}`);
        }

        return new WebSocketClient(s, r);
    }

    constructor(socket, { rest, headers }) {
        this.socket = socket;
        this.headers = headers;
        this.inbox = new Inbox();      /* { opcode, data, at } */
        this.onMessage = () => {};
        this.pongs = [];
        this.buffer = Buffer.alloc(0);
        this.partial = null;
        this.ending = null;
        this.closed = new Promise((resolve) => {
            this.settle = resolve;
        });

        socket.on('data', (chunk) => this.read(chunk));
        socket.on('error', (e) => this.finish(1006, e.message));
        socket.on('end', () => this.finish(1006, 'end of stream'));
        socket.on('close', () => this.finish(1006, 'closed'));
        this.read(rest);
        socket.resume();
    }

    /* { code, reason }: how the server closed it; 1006 without a frame */
    whenClosed(ms = 5000) {
        return within('the websocket to be closed', this.closed, ms);
    }

    finish(code, reason) {
        if (this.ending) {
            return;
        }

        this.ending = { code, reason };
        this.settle(this.ending);
        this.inbox.end(`websocket closed with ${code} ${reason}`);
        this.socket.end();
    }

    /* Whatever is wrong with the server's frames fails loudly. */
    bad(why) {
        this.finish(-1, `server broke the websocket protocol: ${why}`);
        this.socket.destroy();
    }

    read(chunk) {
        this.buffer = Buffer.concat([this.buffer, chunk]);

        for (;;) {
            const b = this.buffer;

            if (b.length < 2 || this.ending) {
                return;
            }

            if (b[1] & 0x80) {
                return this.bad('masked frame');
            }
            if (b[0] & 0x70) {
                return this.bad('reserved bit');
            }

            let length = b[1] & 0x7f;
            let head = 2;

            if (length === 126) {
                head = 4;
            } else if (length === 127) {
                head = 10;
            }
            if (b.length < head) {
                return;
            }
            if (head === 4) {
                length = b.readUInt16BE(2);
            } else if (head === 10) {
                length = Number(b.readBigUInt64BE(2));
            }
            if (b.length < head + length) {
                return;
            }

            this.buffer = b.subarray(head + length);
            this.take(b[0] & 0x0f, (b[0] & 0x80) !== 0,
                Buffer.from(b.subarray(head, head + length)));
        }
    }

    take(opcode, fin, data) {
        if (opcode === CLOSE) {
            const code = data.length >= 2 ? data.readUInt16BE(0) : 1005;

            this.send(frame(CLOSE, data.subarray(0, 2)));
            return this.finish(code, data.toString('utf8', 2));
        }

        if (opcode === PING) {
            return this.send(frame(PONG, data));
        }

        if (opcode === CONTINUATION) {
            if (!this.partial) {
                return this.bad('continuation of nothing');
            }
            this.partial.data = Buffer.concat([this.partial.data, data]);
        } else if (opcode !== PONG) {
            if (this.partial) {
                return this.bad('new message inside of another');
            }
            this.partial = { opcode, data };
        } else {
            this.pongs.push(data);
            return;
        }

        if (fin) {
            const whole = this.partial;

            this.partial = null;
            this.deliver(whole);
        }
    }

    deliver(message) {
        message.at = performance.now();
        this.inbox.push(message);
        this.onMessage(message);
    }

    /* Any bytes. */
    send(bytes) {
        if (!this.socket.destroyed && this.socket.writable) {
            this.socket.write(bytes);
        }
    }

    text(string) {
        this.send(frame(TEXT, Buffer.from(string)));
    }

    json(object) {
        this.text(JSON.stringify(object));
    }

    /* Closes as a client does, and waits for the server's answer. */
    close(code = 1000) {
        const data = Buffer.alloc(2);

        data.writeUInt16BE(code);
        this.send(frame(CLOSE, data));

        return this.whenClosed();
    }

    /* The network is gone: no close frame, and no goodbye of TCP either. */
    cut() {
        if (typeof this.socket.resetAndDestroy === 'function') {
            this.socket.resetAndDestroy();
        } else {
            this.socket.destroy();
        }
    }
}
