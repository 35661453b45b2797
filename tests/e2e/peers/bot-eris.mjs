/*
 * Copyright (C) ngx-voice contributors
 *
 * eris or dysnomia, as named on the command line, through our main gateway.
 * They can do all that is asked for here.
 */

import https from 'node:https';
import { once } from 'node:events';
import { createRequire } from 'node:module';

import { Voice } from './eris-voice.mjs';
import { changed, log, serve } from './peer.mjs';


const library = createRequire(import.meta.url)(process.argv[2]);
const voice = new Voice();
const count = { ready: 0, resumed: 0 };

let client = null;


/*
 * eris has no option for a port, and names none in the Host header, from
 * which the server knows what to say in a URL.
 */
function options(port) {
    const intents = ['guilds', 'guildMembers', 'guildVoiceStates'];
    const rest = { domain: '127.0.0.1', baseURL: '/api/v9' };

    return process.argv[2] === 'eris'
        ? { intents, rest: { ...rest,
            agent: new https.Agent({ defaultPort: port }) } }
        : { gateway: { intents }, rest: { ...rest, port, https: true } };
}


const stateOf = (guild, user) =>
    client.guilds.get(guild).members.get(user)?.voiceState;

const seen = (member) => {
    const s = stateOf(member.guild.id, member.id);

    changed(member.id, s?.channelID ?? null, s?.selfMute ?? false);
};


serve({
    async login({ token, port }) {
        client = new library.Client(`Bot ${token}`, options(port));
        if (process.argv[2] === 'eris') {
            client.getBotGateway = async () => ({
                ...await library.Client.prototype.getBotGateway.call(client),
                url: `wss://127.0.0.1:${port}/gateway` });
        }
        client.on('debug', (m) => log(String(m).replace(token, '...')));
        client.on('error', (e) => log('error', e));
        client.on('warn', (m) => log('warn', m));
        client.on('shardReady', () => count.ready++);
        client.on('shardResume', () => count.resumed++);
        for (const name of ['voiceChannelJoin', 'voiceChannelLeave',
            'voiceChannelSwitch', 'voiceStateUpdate'])
        {
            client.on(name, seen);
        }
        await Promise.all([once(client, 'ready'), client.connect()]);

        return { user: client.user.id, guilds: [...client.guilds.keys()] };
    },

    async join({ channel }) {
        const connection = await client.joinVoiceChannel(channel,
            { opusOnly: true });

        connection.on('debug', (m) => log('voice', m));

        return voice.open(connection);
    },

    play: (args) => voice.play(args),
    ready: () => voice.ready(),
    leave: () => client.leaveVoiceChannel(voice.connection.channelID),

    count: () => count,

    state({ guild, user }) {
        const s = stateOf(guild, user);

        return { channel: s?.channelID ?? null, mute: s?.mute ?? null };
    },

    async moderate({ guild, user, mute, channel }) {
        await client.editGuildMember(guild, user, { mute,
            channelID: channel }, 'a test');
    },

    end: () => client.disconnect({ reconnect: false })
});
