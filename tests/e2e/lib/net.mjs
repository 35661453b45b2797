/*
 * Copyright (C) ngx-voice contributors
 *
 * Free ports, and networks that can be cut.  Free ports are taken below the
 * range that the kernel gives to sockets without one, so that no client of a
 * test gets a server's port.
 */

import dgram from 'node:dgram';
import net from 'node:net';
import { randomInt } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync, readdirSync, readlinkSync } from 'node:fs';


const FIRST = 20000;
const LAST = 32000;

const given = new Set();


function tcpFree(port) {
    return new Promise((resolve) => {
        const s = net.createServer();

        s.once('error', () => resolve(false));
        s.listen(port, '0.0.0.0', () => s.close(() => resolve(true)));
    });
}


function udpFree(port) {
    return new Promise((resolve) => {
        const s = dgram.createSocket('udp4');

        s.once('error', () => resolve(false));
        s.bind(port, '0.0.0.0', () => s.close(() => resolve(true)));
    });
}


export async function freePort() {
    for (let i = 0; i < 200; i++) {
        const port = randomInt(FIRST, LAST);

        if (given.has(port)) {
            continue;
        }

        if (await tcpFree(port) && await udpFree(port)) {
            given.add(port);
            return port;
        }
    }

    throw new Error(`no free port in ${FIRST}..${LAST - 1}`);
}


/* Passes TCP connections on to a port; they can be cut, or go silent. */
export class TcpProxy {
    /* mark: connections by which such a text went are marked */
    static async open(to, { mark = null } = {}) {
        const p = new TcpProxy(to, mark);

        p.server.listen(0, '127.0.0.1');
        await once(p.server, 'listening');

        return p;
    }

    constructor(to, mark) {
        this.to = to;
        this.mark = mark;
        this.pairs = new Set();
        this.held = null;
        this.server = net.createServer((near) => {
            near.on('error', () => near.destroy());
            if (this.held) {
                this.held.add(near);
            } else {
                this.pass(near);
            }
        });
    }

    get port() {
        return this.server.address().port;
    }

    pass(near) {
        const far = net.connect(this.to, '127.0.0.1');
        const pair = [near, far];
        const end = () => {
            this.pairs.delete(pair);
            near.destroy();
            far.destroy();
        };

        this.pairs.add(pair);
        for (const socket of pair) {
            socket.setNoDelay(true);
            socket.on('error', end);
            socket.on('close', end);
        }
        near.pipe(far);
        far.pipe(near);
        if (this.mark) {
            near.on('data', (bytes) => {
                pair.marked ||= bytes.includes(this.mark);
            });
        }
    }

    /* Nothing passes any more, and neither side is told. */
    silence(which = () => true) {
        const pairs = [...this.pairs].filter(which);

        for (const [near, far] of pairs) {
            near.unpipe(far).pause();
            far.unpipe(near).pause();
        }

        return pairs;
    }

    /* As a network that is gone: what comes waits, too. */
    lose() {
        this.held = new Set();
        this.silent = this.silence();
    }

    restore() {
        for (const [near, far] of this.silent) {
            near.pipe(far);
            far.pipe(near);
        }
        this.release();
    }

    /* Cuts what there is; what comes waits for release(). */
    cut() {
        this.held = new Set();
        for (const pair of this.pairs) {
            for (const socket of pair) {
                socket.resetAndDestroy();
            }
        }
    }

    release() {
        const held = this.held;

        this.held = null;
        held.forEach((near) => this.pass(near));
    }

    close() {
        this.server.close();
        for (const pair of this.pairs) {
            pair.forEach((socket) => socket.destroy());
        }
        this.held?.forEach((near) => near.destroy());
    }
}


/* Passes datagrams on from one address to another, of the same port. */
export class UdpProxy {
    static async open(address, to, port) {
        const p = new UdpProxy();

        Object.assign(p, { to, port, ways: new Map(), lost: () => false });
        p.near = dgram.createSocket('udp4', (bytes, from) => {
            if (!p.lost(from.port)) {
                p.way(from).send(bytes, port, to);
            }
        });
        p.near.bind(port, address);
        await once(p.near, 'listening');

        return p;
    }

    /* The socket that stands for a client. */
    way(from) {
        const name = `${from.address}:${from.port}`;
        let far = this.ways.get(name);

        if (!far) {
            far = dgram.createSocket('udp4', (bytes) => {
                if (!this.lost(from.port)) {
                    this.near.send(bytes, from.port, from.address);
                }
            });
            far.on('error', () => {});
            this.ways.set(name, far);
        }

        return far;
    }

    /* Nothing of clients at such ports passes any more, either way. */
    lose(which = () => true) {
        this.lost = which;
    }

    restore() {
        this.lost = () => false;
    }

    close() {
        this.near.close();
        this.ways.forEach((far) => far.close());
    }
}


/* The UDP ports that a process has, over IPv4. */
export function udpPorts(pid) {
    const inodes = new Set(readdirSync(`/proc/${pid}/fd`).map((fd) => {
        try {
            return /^socket:\[(\d+)\]$/.exec(
                readlinkSync(`/proc/${pid}/fd/${fd}`))?.[1];
        } catch {
            return undefined;          /* closed meanwhile */
        }
    }));

    return new Set(readFileSync('/proc/net/udp', 'utf8').trim().split('\n')
        .slice(1).map((line) => line.trim().split(/\s+/))
        .filter((f) => inodes.has(f[9]))
        .map((f) => parseInt(f[1].split(':')[1], 16)));
}
