/*
 * Copyright (C) ngx-voice contributors
 *
 * Media that runs while something is done to the server: sixty participants
 * of voicectl, who count every packet and every nonce, and a pair of
 * libraries that hear each other.
 */

import assert from 'node:assert/strict';

import { Library } from './library.mjs';
import { frameOf, newRoom, numberOf } from './member.mjs';
import { connection, voicectl } from './voicectl.mjs';
import { until, within } from './wait.mjs';


/* ten rooms of six in six modes, 2000 packets a second */
const ROOMS = 10;
const PARTICIPANTS = 6;
const TALKERS = 4;

export const SESSIONS = ROOMS * PARTICIPANTS;


/*
 * Runs until fault() is done; gives the statistics, judged for what no fault
 * excuses.
 */
export async function underLoad(nginx, fault) {
    const load = voicectl('load', ...connection(nginx, newRoom()), '--rooms',
        ROOMS, '--participants', PARTICIPANTS, '--talkers', TALKERS, '--pps',
        50, '--mode', 'mix', '--seconds', 600, '--nonces', '--json');
    const accepted = async () => (await nginx.status()).rx.accepted;
    const before = await accepted();

    try {
        await until('the load', async () => await accepted() > before + 1000,
            20000, 50);
        await fault();
    } catch (e) {
        load.kill('SIGKILL');
        throw e;
    }

    /* it is told to stop talking, and listens to what is still coming */
    load.kill('SIGINT');

    const { stdout, stderr } = await within('voicectl load to end',
        load.ended, 20000);
    const stats = JSON.parse(stdout);
    const said = `${JSON.stringify(stats)} ${stderr}`;

    assert.ok(stats.expected > 10000, said);
    assert.doesNotMatch(stderr, /did not join/, said);
    assert.deepEqual([stats.participants, stats.duplicated,
        stats.undecryptable, stats.foreign], [SESSIONS, 0, 0, 0], said);
    assert.ok(stats.nonces >= stats.received, said);
    assert.equal(stats.nonces_reused, 0, said);

    return stats;
}


export function lossless(stats, reordered = 0) {
    assert.equal(stats.lost, 0, JSON.stringify(stats));
    assert.ok(stats.reordered <= reordered, JSON.stringify(stats));
}


/* What is worth a line in the report. */
export const brief = ({ expected, lost, reordered, reconnects, nonces,
    gap_ms: gap, seconds }) => `${expected} packets in ${seconds} s, `
    + `lost ${lost}, reordered ${reordered}, longest gap ${gap} ms, `
    + `${reconnects} websockets resumed, ${nonces} nonces`;


/* @discordjs/voice of two generations: voice v4 with xsalsa, v8 with AES. */
export class Pair {
    static async join(nginx) {
        const room = newRoom();
        const pair = new Pair();

        pair.peers = [await Library.join(nginx, 'djs016', room),
            await Library.join(nginx, 'djs019', room)];
        await pair.each((p, other) => p.listen(other.user));

        return pair;
    }

    each(f) {
        const [a, b] = this.peers;

        return Promise.all([f(a, b), f(b, a)]);
    }

    /* Both play for so long; what each heard of the other, in frames. */
    async play(seconds) {
        const frames = Array.from({ length: seconds * 50 },
            (_, i) => frameOf(i));

        await this.each((p) => p.play({ frames }));

        return this.each(async (p, other) => {
            const heard = (await p.heard(other.user, frames.length))
                .map(numberOf);
            const numbers = heard.toSorted((a, b) => a - b);
            const missing = [...numbers, frames.length]
                .map((n, k) => n - (numbers[k - 1] ?? -1) - 1);

            assert.equal(new Set(heard).size, heard.length,
                `${p.name} hears frames of ${other.name} twice: ${heard}`);

            return { sent: frames.length, heard: heard.length,
                reordered: heard.filter((n, k) => n < heard[k - 1]).length,
                longest: Math.max(...missing), end: missing.at(-1) };
        });
    }

    leave() {
        return this.each((p) => p.leave());
    }
}
