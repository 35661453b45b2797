/*
 * Copyright (C) ngx-voice contributors
 *
 * A client library in a process of its own, with the node that it needs: see
 * peers/.
 */

import { fork, spawn } from 'node:child_process';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

import { newUser } from './member.mjs';
import { TcpProxy } from './net.mjs';
import { until, within } from './wait.mjs';


const PEERS = join(dirname(fileURLToPath(import.meta.url)), '../peers');

const SALSA = ['xsalsa20_poly1305_lite', 'xsalsa20_poly1305_suffix',
    'xsalsa20_poly1305'];
const AEAD = ['aead_aes256_gcm_rtpsize', 'aead_xchacha20_poly1305_rtpsize'];


/*
 * node: the major version it needs, if that is above ours
 * eaten: frames of its final silence that it never sends: it seals five into
 * one buffer, which is sent five times when it holds the last one
 */
export const LIBRARIES = {
    djs016: { peer: 'djs.mjs', package: 'djs-voice-016', modes: SALSA },
    djs018: { peer: 'djs.mjs', package: 'djs-voice-018', modes: AEAD },
    djs019: { peer: 'djs.mjs', package: '@discordjs/voice', modes: AEAD,
        node: 22 },
    eris: { peer: 'eris.mjs', package: 'eris', eaten: 4,
        modes: ['xsalsa20_poly1305'] },
    dysnomia: { peer: 'eris.mjs', package: '@projectdysnomia/dysnomia',
        eaten: 4, modes: AEAD }
};


/*
 * Those that come by the main gateway.
 *
 * deaf: it has no way to receive voice
 */
export const BOTS = {
    discordjs: { peer: 'bot-discordjs.mjs', node: 22 },
    eris: { peer: 'bot-eris.mjs', package: 'eris' },
    oceanic: { peer: 'bot-oceanic.mjs', node: 22 },
    dysnomia: { peer: 'bot-eris.mjs',
        package: '@projectdysnomia/dysnomia' },
    discordpy: { peer: 'bot-discordpy.py', deaf: true }
};

/* the one that Debian's packages are for */
const PYTHON = '/usr/bin/python3';


function nodeFor(major) {
    if (!major || Number(process.versions.node.split('.')[0]) >= major) {
        return process.execPath;
    }

    const require = createRequire(import.meta.url);
    const arch = process.arch === 'arm64' ? 'arm64' : 'x64';

    return join(dirname(require.resolve(
        `node-linux-${arch}/package.json`)), 'bin/node');
}


/* A process that is spoken to by IPC, or in lines of JSON. */
function startNode(kind, cert) {
    return fork(join(PEERS, kind.peer), [kind.package ?? ''], {
        execPath: nodeFor(kind.node),
        execArgv: [],
        env: { ...process.env, NODE_EXTRA_CA_CERTS: cert },
        stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
        serialization: 'json'
    });
}


function startPython(kind, cert) {
    const child = spawn(PYTHON, [join(PEERS, kind.peer)],
        { env: { ...process.env, SSL_CERT_FILE: cert } });

    createInterface({ input: child.stdout }).on('line', (line) =>
        child.emit('message', JSON.parse(line)));
    child.send = (message) =>
        child.stdin.write(`${JSON.stringify(message)}\n`);
    child.disconnect = () => child.stdin.end();
    child.stdin.on('error', () => {});

    return child;
}


export class Library {
    /* Joins a channel; `mode` and `ssrc` say what it agreed upon. */
    static async join(nginx, name, { guild, channel, user = newUser(),
        hide = [], claims = {} })
    {
        const l = new Library(nginx, name, user);

        try {
            const session = `session-${user}`;

            Object.assign(l, await l.ask('join', {
                user, guild, channel, session, hide, endpoint: nginx.endpoint,
                token: nginx.token({ user, guild, channel, session,
                    ...claims })
            }));
        } catch (e) {
            l.destroy();
            throw e;
        }

        return l;
    }

    constructor(nginx, name, user, kind = LIBRARIES[name]) {
        const python = kind.peer.endsWith('.py');

        this.nginx = nginx;
        this.name = name;
        this.user = user;
        this.log = [];
        this.asked = new Map();
        this.id = 0;
        this.child = (python ? startPython : startNode)(kind, nginx.cert);
        for (const stream of [this.child.stderr,
            ...python ? [] : [this.child.stdout]])
        {
            stream.setEncoding('utf8');
            stream.on('data', (text) => this.log.push(text.trimEnd()));
        }
        this.child.on('message', (m) => this.onMessage(m));
        /* a test that failed must not wait for it */
        this.child.unref();
        this.child.channel?.unref();
        for (const stream of [this.child.stdout, this.child.stderr]) {
            stream.unref();
        }
        nginx.clients?.add(this);
        this.exited = new Promise((resolve) => {
            this.child.once('exit', (code, signal) => {
                this.dead = `exit with ${code ?? signal}`;
                for (const { reject } of this.asked.values()) {
                    reject(this.failure(this.dead));
                }
                resolve(code ?? signal);
            });
        });
    }

    failure(what) {
        return new Error(`${this.name}: ${what}\n`
            + this.log.slice(-30).join('\n'));
    }

    onMessage({ id, log, error, result }) {
        if (log !== undefined) {
            this.log.push(log);
            return;
        }

        const asked = this.asked.get(id);

        this.asked.delete(id);
        if (error !== undefined) {
            asked?.reject(this.failure(error));
        } else {
            asked?.resolve(result);
        }
    }

    ask(command, args = {}, ms = 20000) {
        const id = ++this.id;
        const answer = new Promise((resolve, reject) => {
            if (this.dead) {
                reject(this.failure(this.dead));
                return;
            }
            this.asked.set(id, { resolve, reject });
            this.child.send({ id, command, args });
        });

        return within(`${this.name} to ${command}`, answer, ms)
            .catch((e) => {
                throw e.message.startsWith(this.name) ? e
                    : this.failure(e.message);
            });
    }

    /* Begins to keep what it hears of a user. */
    listen(user) {
        return this.ask('listen', { user });
    }

    /* Plays a melody to its end. */
    play({ frames }) {
        return this.ask('play',
            { frames: frames.map((f) => f.toString('base64')) }, 60000);
    }

    /*
     * Opus packets heard of a user, without the silence: when n of them are
     * there, or after a while those that are.
     */
    async heard(user, n = 0) {
        const packets = await this.ask('heard', { user, n });

        return packets.map((p) => Buffer.from(p, 'base64'));
    }

    destroy() {
        this.child.kill('SIGKILL');
        this.nginx.clients?.delete(this);
    }

    async leave() {
        if (this.dead) {
            throw this.failure(this.dead);
        }
        await this.ask('leave');
        await this.exit();
    }

    async exit() {
        this.child.disconnect();
        await within(`${this.name} to end`, this.exited, 10000)
            .catch((e) => {
                throw this.failure(e.message);
            })
            .finally(() => this.destroy());
    }
}


/*
 * A bot that a library made.  What it says to the main gateway and to REST
 * goes through a proxy, at which the network can be cut.
 */
export class Bot extends Library {
    static async login(nginx, name, { user = newUser(), token } = {}) {
        const proxy = await TcpProxy.open(nginx.https);
        const b = new Bot(nginx, name, user, BOTS[name]);

        b.proxy = proxy;
        b.deaf = BOTS[name].deaf ?? false;
        b.changes = [];
        try {
            Object.assign(b, { is: await b.ask('login', { port: proxy.port,
                token: token ?? nginx.userToken(user, { bot: true }) }) });
        } catch (e) {
            b.destroy();
            throw e;
        }

        return b;
    }

    onMessage(message) {
        const { changed } = message;

        if (!changed) {
            super.onMessage(message);
            return;
        }

        const last = this.changes.at(-1);

        /* some have one event for the channel and another one for the rest */
        if (JSON.stringify(last) !== JSON.stringify(changed)) {
            this.changes.push(changed);
        }
    }

    async join(guild, channel) {
        Object.assign(this, await this.ask('join', { guild, channel }));
    }

    /* Waits for what its cache says of a user's voice state. */
    sees(guild, user, wanted) {
        return until(`${this.name} to see ${JSON.stringify(wanted)}`,
            async () => {
                const is = await this.ask('state', { guild, user });

                return Object.entries(wanted).every(([k, v]) => is[k] === v);
            }, 10000, 20);
    }

    leaveChannel() {
        return this.ask('leave');
    }

    destroy() {
        super.destroy();
        this.proxy?.close();
    }

    async end() {
        await this.ask('end');
        await this.exit();
    }
}
