/*
 * Copyright (C) ngx-voice contributors
 *
 * voicectl, our own client, as a child process.
 *
 * VOICECTL  the binary, default voicectl in BUILD
 */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';

import { BUILD } from './nginx.mjs';
import { within } from './wait.mjs';


const VOICECTL = process.env.VOICECTL ?? join(BUILD, 'voicectl');


export function voicectl(...args) {
    const child = spawn(VOICECTL, args.map(String),
        { stdio: ['ignore', 'pipe', 'pipe'] });
    const out = { stdout: '', stderr: '' };

    for (const name of ['stdout', 'stderr']) {
        child[name].setEncoding('utf8');
        child[name].on('data', (text) => {
            out[name] += text;
        });
    }

    /* { code, stdout, stderr } */
    const ended = Promise.race([
        once(child, 'close').then(([code, signal]) => ({ code, signal,
            ...out })),
        once(child, 'error').then(([e]) => {
            throw e;
        })
    ]);

    return {
        pid: child.pid,
        kill: (signal) => child.kill(signal),

        /* what it has said so far */
        get stdout() {
            return out.stdout;
        },

        get stderr() {
            return out.stderr;
        },

        /* The statistics; anything but success throws. */
        async json(ms = 60000) {
            let r;

            try {
                r = await within(`voicectl ${args[0]} to end`, ended, ms);
            } catch (e) {
                child.kill('SIGKILL');
                throw new Error(`${e.message}\n${out.stderr}`);
            }
            if (r.code !== 0) {
                throw new Error(`voicectl ${args.join(' ')} ended with `
                    + `${r.code ?? r.signal}:\n${r.stderr}${r.stdout}`);
            }

            return JSON.parse(r.stdout);
        },

        ended
    };
}


/* What the commands that speak to the voice server have in common. */
export function connection(nginx, { user, guild, channel }) {
    return ['--url', `wss://${nginx.endpoint}`, '--ca', nginx.cert, '--key',
        nginx.keyFile, '--guild', guild, '--channel', channel,
        ...user ? ['--user', user] : []];
}
