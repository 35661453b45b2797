/*
 * Copyright (C) ngx-voice contributors
 *
 * discord.js with @discordjs/voice, through our main gateway.  It can do all
 * that is asked for here.
 */

import { Client, Events, GatewayIntentBits } from 'discord.js';
import * as module from '@discordjs/voice';

import { Voice } from './discordjs-voice.mjs';
import { changed, log, serve } from './peer.mjs';


const voice = new Voice(module);
const count = { ready: 0, resumed: 0 };

let client = null;


serve({
    async login({ token, port }) {
        client = new Client({
            intents: [GatewayIntentBits.Guilds,
                GatewayIntentBits.GuildMembers,
                GatewayIntentBits.GuildVoiceStates],
            rest: { api: `https://127.0.0.1:${port}/api` }
        });
        client.on(Events.Debug, (m) => log(m.replace(token, '...')));
        client.on(Events.Error, (e) => log('error', e));
        client.on(Events.ShardReady, () => count.ready++);
        client.on(Events.ShardResume, () => count.resumed++);
        client.on(Events.VoiceStateUpdate, (before, now) =>
            changed(now.id, now.channelId, now.selfMute));

        const ready = new Promise((resolve) => {
            client.once(Events.ClientReady, resolve);
        });

        await client.login(token);
        await ready;

        return { user: client.user.id,
            guilds: [...client.guilds.cache.keys()] };
    },

    join: ({ guild, channel }) => voice.open(module.joinVoiceChannel({
        guildId: guild, channelId: channel, selfDeaf: false,
        selfMute: false, debug: true,
        adapterCreator: client.guilds.cache.get(guild).voiceAdapterCreator
    })),

    listen: (args) => voice.listen(args),
    play: (args) => voice.play(args),
    ready: () => voice.ready(),
    leave: () => voice.leave(),
    count: () => count,

    state({ guild, user }) {
        const s = client.guilds.cache.get(guild).voiceStates.cache.get(user);

        return { channel: s?.channelId ?? null,
            mute: s?.serverMute ?? null };
    },

    async moderate({ guild, user, mute, channel }) {
        const member = await client.guilds.cache.get(guild).members
            .fetch(user);

        if (mute !== undefined) {
            await member.voice.setMute(mute, 'a test');
        }
        if (channel !== undefined) {
            await member.voice.setChannel(channel, 'a test');
        }
    },

    end: () => client.destroy()
});
