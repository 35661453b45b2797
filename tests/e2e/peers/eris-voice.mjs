/*
 * Copyright (C) ngx-voice contributors
 *
 * A connection of eris or dysnomia, whoever stands for the main gateway.
 */

import { once } from 'node:events';
import { Readable } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';

import { hear, log } from './peer.mjs';


export class Voice {
    open(connection) {
        this.connection = connection;
        connection.on('error', (e) => log('voice error', e));
        connection.on('warn', (m) => log('voice warn', m));
        connection.receive('opus').on('data',
            (packet, from) => hear(from, packet));

        return { ssrc: connection.ssrc, mode: connection.mode };
    }

    async play({ frames }) {
        this.connection.play(
            Readable.from(frames.map((f) => Buffer.from(f, 'base64'))),
            { format: 'opusPackets' });
        await once(this.connection, 'end');
    }

    async ready() {
        while (!this.connection.ready) {
            await delay(20);
        }
    }

    leave() {
        this.connection.disconnect();
        this.connection = null;
    }

    /* The network takes the websocket away. */
    async cut() {
        const { connection } = this;
        const before = connection.ws;

        before._socket.destroy();
        while (connection.ws === before || connection.ws === null
            || connection.connecting)
        {
            await delay(20);
        }
    }
}
