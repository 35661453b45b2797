/*
 * Copyright (C) ngx-voice contributors
 *
 * What the library processes have in common: they take commands from the
 * test and answer each.
 */

import { setTimeout as delay } from 'node:timers/promises';


const PATIENCE = 2000;
const SILENCE = Buffer.from([0xf8, 0xff, 0xfe]);

const heard = new Map();


export function log(...what) {
    process.send?.({ log: what.map((w) =>
        w instanceof Error ? w.stack : String(w)).join(' ') });
}


/* Keeps a packet that was heard of a user. */
export function hear(user, packet) {
    if (!SILENCE.equals(packet)) {
        heard.get(user)?.push(Buffer.from(packet).toString('base64'));
    }
}


/* A user's voice state, as the library sees that it has become. */
export function changed(user, channel, selfMute) {
    process.send?.({ changed: { user, channel, selfMute } });
}


/* commands: { join, listen, play, leave } */
export function serve(commands) {
    const all = {
        ...commands,
        listen(args) {
            heard.set(args.user, []);
            return commands.listen?.(args);
        },
        async heard({ user, n }) {
            const end = performance.now() + PATIENCE;

            while (heard.get(user).length < n && performance.now() < end) {
                await delay(20);
            }
            return heard.get(user);
        }
    };

    process.on('message', async ({ id, command, args }) => {
        try {
            process.send({ id, result: await all[command](args) ?? null });
        } catch (e) {
            process.send({ id, error: e.stack ?? String(e) });
        }
    });

    /* the test is gone, or done with us */
    process.on('disconnect', () => process.exit(0));
}
