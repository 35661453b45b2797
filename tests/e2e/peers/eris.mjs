/*
 * Copyright (C) ngx-voice contributors
 *
 * eris or dysnomia, as named on the command line, without their main
 * gateway.
 */

import crypto from 'node:crypto';
import { once } from 'node:events';
import { createRequire } from 'node:module';
import { Readable } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';

import { hear, log, serve } from './peer.mjs';


const library = createRequire(import.meta.url)(process.argv[2]);

let connection = null;


serve({
    /* hide: ciphers that the runtime shall not have, to steer the choice */
    async join({ user, guild, channel, session, token, endpoint, hide }) {
        const ciphers = crypto.getCiphers();

        crypto.getCiphers = () => ciphers.filter((c) => !hide.includes(c));

        const manager = new library.VoiceConnectionManager();
        const joined = manager.join(guild, channel, { opusOnly: true });

        manager.voiceServerUpdate({ guild_id: guild, endpoint, token,
            session_id: session, user_id: user,
            shard: { sendWS: (op, d) => log('gateway', op,
                JSON.stringify(d)) } });
        manager.get(guild).on('debug', (m) => log(m.replace(token, '...')));
        connection = await joined;
        connection.on('error', (e) => log('error', e));
        connection.on('warn', (m) => log('warn', m));
        connection.receive('opus').on('data',
            (packet, from) => hear(from, packet));

        return { ssrc: connection.ssrc, mode: connection.mode };
    },

    async play({ frames }) {
        connection.play(
            Readable.from(frames.map((f) => Buffer.from(f, 'base64'))),
            { format: 'opusPackets' });
        await once(connection, 'end');
    },

    leave() {
        connection.disconnect();
    },

    /* The network takes the websocket away. */
    async cut() {
        const before = connection.ws;

        before._socket.destroy();
        while (connection.ws === before || connection.ws === null
            || connection.connecting)
        {
            await delay(20);
        }
    }
});
