/*
 * Copyright (C) ngx-voice contributors
 *
 * @discordjs/voice, in the version named on the command line, behind an
 * adapter that stands for the main gateway.
 */

import { Readable } from 'node:stream';

import { hear, log, serve } from './peer.mjs';


const voice = await import(process.argv[2]).then((m) => m.default ?? m);

const TIMEOUT = 10000;

let connection = null;


/* Any op 4 is answered with what the test gave for the join. */
function adapterCreator({ user, guild, channel, session, token, endpoint }) {
    return (methods) => ({
        sendPayload(payload) {
            log('gateway', JSON.stringify(payload));
            if (payload.d.channel_id === null) {
                return true;
            }
            setImmediate(() => {
                methods.onVoiceStateUpdate({ guild_id: guild,
                    channel_id: channel, user_id: user,
                    session_id: session, deaf: false, mute: false,
                    self_deaf: false, self_mute: false });
                methods.onVoiceServerUpdate({ guild_id: guild, endpoint,
                    token });
            });
            return true;
        },
        destroy() {}
    });
}


/*
 * Versions 0.18 and 0.19 look for a header extension where the ciphertext
 * begins, whatever the header says.  One packet in 65536 has the two bytes
 * there by chance and loses its beginning, or all of it.
 */
function mend(receiver) {
    const { parsePacket } = receiver;

    receiver.parsePacket = function (packet, mode, nonce, key, user) {
        const chance = mode.startsWith('aead') && (packet[0] & 0x10) === 0
            && packet.readUInt16BE(12) === 0xbede;

        return chance ? this.decrypt(packet, mode, nonce, key)
            : parsePacket.call(this, packet, mode, nonce, key, user);
    };
}


function networking() {
    return connection.state.networking?.state;
}


serve({
    async join(args) {
        connection = voice.joinVoiceChannel({ guildId: args.guild,
            channelId: args.channel, selfDeaf: false, selfMute: false,
            debug: true, adapterCreator: adapterCreator(args) });
        mend(connection.receiver);
        connection.on('debug', (m) => log(m.replace(args.token, '...')));
        connection.on('error', (e) => log('error', e));
        connection.on('stateChange', (a, b) =>
            log('state', a.status, '->', b.status));
        await voice.entersState(connection,
            voice.VoiceConnectionStatus.Ready, TIMEOUT);

        const { connectionData } = networking();

        return { ssrc: connectionData.ssrc,
            mode: connectionData.encryptionMode };
    },

    listen({ user }) {
        const stream = connection.receiver.subscribe(user,
            { end: { behavior: voice.EndBehaviorType.Manual } });

        stream.on('data', (packet) => hear(user, packet));
        stream.on('error', (e) => log('stream of', user, e));
    },

    async play({ frames }) {
        const player = voice.createAudioPlayer();
        const resource = voice.createAudioResource(
            Readable.from(frames.map((f) => Buffer.from(f, 'base64'))),
            { inputType: voice.StreamType.Opus });

        connection.subscribe(player);
        player.on('error', (e) => log('player', e));
        player.play(resource);
        await voice.entersState(player, voice.AudioPlayerStatus.Playing,
            TIMEOUT);
        await voice.entersState(player, voice.AudioPlayerStatus.Idle,
            50000);
    },

    leave() {
        connection.destroy();
    },

    status: () => connection.state.status,

    /* The network takes the websocket away. */
    async cut() {
        networking().ws.ws._socket.destroy();
        await voice.entersState(connection,
            voice.VoiceConnectionStatus.Connecting, TIMEOUT);
        await voice.entersState(connection,
            voice.VoiceConnectionStatus.Ready, TIMEOUT);
    }
});
