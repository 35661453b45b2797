/*
 * Copyright (C) ngx-voice contributors
 *
 * A connection of @discordjs/voice, whoever stands for the main gateway.
 */

import { Readable } from 'node:stream';

import { hear, log } from './peer.mjs';


const TIMEOUT = 10000;


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


export class Voice {
    /* voice: the module */
    constructor(voice) {
        this.voice = voice;
        this.connection = null;
    }

    get networking() {
        return this.connection.state.networking?.state;
    }

    async until(status) {
        await this.voice.entersState(this.connection, status, TIMEOUT);
    }

    /* What joinVoiceChannel() gave; the same again if it had one already. */
    async open(connection, secret = '') {
        if (this.connection !== connection) {
            this.connection = connection;
            mend(connection.receiver);
            connection.on('debug', (m) => log(secret
                ? m.replace(secret, '...') : m));
            connection.on('error', (e) => log('error', e));
            connection.on('stateChange', (a, b) =>
                log('state', a.status, '->', b.status));
        }
        await this.ready();

        const { connectionData } = this.networking;

        return { ssrc: connectionData.ssrc,
            mode: connectionData.encryptionMode };
    }

    listen({ user }) {
        const stream = this.connection.receiver.subscribe(user,
            { end: { behavior: this.voice.EndBehaviorType.Manual } });

        stream.on('data', (packet) => hear(user, packet));
        stream.on('error', (e) => log('stream of', user, e));
    }

    async play({ frames }) {
        const { voice } = this;
        const player = voice.createAudioPlayer();
        const resource = voice.createAudioResource(
            Readable.from(frames.map((f) => Buffer.from(f, 'base64'))),
            { inputType: voice.StreamType.Opus });

        this.connection.subscribe(player);
        player.on('error', (e) => log('player', e));
        player.play(resource);
        await voice.entersState(player, voice.AudioPlayerStatus.Playing,
            TIMEOUT);
        await voice.entersState(player, voice.AudioPlayerStatus.Idle,
            50000);
    }

    leave() {
        this.connection.destroy();
        this.connection = null;
    }

    ready() {
        return this.until(this.voice.VoiceConnectionStatus.Ready);
    }

    get status() {
        return this.connection.state.status;
    }

    /* The network takes the websocket away. */
    async cut() {
        this.networking.ws.ws._socket.destroy();
        await this.until(this.voice.VoiceConnectionStatus.Connecting);
        await this.ready();
    }
}
