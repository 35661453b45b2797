/*
 * Copyright (C) ngx-voice contributors
 *
 * Free ports.  They are taken below the range that the kernel gives to
 * sockets without one, so that no client of a test gets a server's port.
 */

import dgram from 'node:dgram';
import net from 'node:net';
import { randomInt } from 'node:crypto';


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
