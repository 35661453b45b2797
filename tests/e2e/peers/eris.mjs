/*
 * Copyright (C) ngx-voice contributors
 *
 * eris or dysnomia, as named on the command line, without their main
 * gateway.
 */

import crypto from 'node:crypto';
import { createRequire } from 'node:module';

import { Voice } from './eris-voice.mjs';
import { log, serve } from './peer.mjs';


const library = createRequire(import.meta.url)(process.argv[2]);
const voice = new Voice();


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

        return voice.open(await joined);
    },

    play: (args) => voice.play(args),
    leave: () => voice.leave(),
    cut: () => voice.cut()
});
