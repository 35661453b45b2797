/*
 * Copyright (C) ngx-voice contributors
 *
 * Free ports, and a network that can be cut.  Free ports are taken below the
 * range that the kernel gives to sockets without one, so that no client of a
 * test gets a server's port.
 */

import dgram from 'node:dgram';
import net from 'node:net';
import { randomInt } from 'node:crypto';
import { once } from 'node:events';


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
