/*
 * Copyright (C) ngx-voice contributors
 *
 * @discordjs/voice, in the version named on the command line, behind an
 * adapter that stands for the main gateway.
 */

import { Voice } from './discordjs-voice.mjs';
import { log, serve } from './peer.mjs';


const module = await import(process.argv[2]).then((m) => m.default ?? m);
const voice = new Voice(module);


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


serve({
    join: (args) => voice.open(module.joinVoiceChannel({
        guildId: args.guild, channelId: args.channel, selfDeaf: false,
        selfMute: false, debug: true, adapterCreator: adapterCreator(args)
    }), args.token),

    listen: (args) => voice.listen(args),
    play: (args) => voice.play(args),
    leave: () => voice.leave(),
    status: () => voice.status,
    cut: () => voice.cut()
});
