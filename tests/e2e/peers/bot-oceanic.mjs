/*
 * Copyright (C) ngx-voice contributors
 *
 * oceanic.js, which leaves voice to @discordjs/voice, through our main
 * gateway.  It can do all that is asked for here.
 */

import { createRequire } from 'node:module';

import { Client, Intents } from 'oceanic.js';

import { Voice } from './discordjs-voice.mjs';
import { changed, log, serve } from './peer.mjs';


/* the instance that oceanic.js has */
const voice = new Voice(createRequire(import.meta.url)('@discordjs/voice'));
const count = { ready: 0, resumed: 0 };

let client = null;


const stateOf = (guild, user) =>
    client.guilds.get(guild).voiceStates.get(user);

const seen = (member) => {
    const s = stateOf(member.guildID, member.id);

    changed(member.id, s?.channelID ?? null, s?.selfMute ?? false);
};


serve({
    async login({ token, port }) {
        client = new Client({
            auth: `Bot ${token}`,
            gateway: { intents: Intents.GUILDS | Intents.GUILD_MEMBERS
                | Intents.GUILD_VOICE_STATES },
            rest: { baseURL: `https://127.0.0.1:${port}/api/v10` }
        });
        client.on('debug', (m) => log(String(m).replace(token, '...')));
        client.on('error', (e) => log('error', e));
        client.on('warn', (m) => log('warn', m));
        /* after a resume it is also "ready" */
        client.on('packet', ({ t }) => {
            count.ready += t === 'READY';
            count.resumed += t === 'RESUMED';
        });
        for (const name of ['voiceChannelJoin', 'voiceChannelLeave',
            'voiceChannelSwitch', 'voiceStateUpdate'])
        {
            client.on(name, seen);
        }

        const ready = new Promise((resolve) => {
            client.once('ready', resolve);
        });

        await client.connect();
        await ready;

        return { user: client.user.id, guilds: [...client.guilds.keys()] };
    },

    join: ({ guild, channel }) => voice.open(client.joinVoiceChannel({
        guildID: guild, channelID: channel, selfDeaf: false,
        selfMute: false, debug: true,
        voiceAdapterCreator: client.guilds.get(guild).voiceAdapterCreator
    })),

    listen: (args) => voice.listen(args),
    play: (args) => voice.play(args),
    ready: () => voice.ready(),
    leave: () => voice.leave(),
    count: () => count,

    state({ guild, user }) {
        const s = stateOf(guild, user);

        return { channel: s?.channelID ?? null, mute: s?.mute ?? null };
    },

    async moderate({ guild, user, mute, channel }) {
        await client.rest.guilds.editMember(guild, user, { mute,
            channelID: channel, reason: 'a test' });
    },

    end: () => client.disconnect(false)
});
