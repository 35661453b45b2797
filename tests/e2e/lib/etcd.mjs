/*
 * Copyright (C) ngx-voice contributors
 *
 * etcd, one member or several, each in a folder of its own; and its JSON
 * gateway.
 */

import http from 'node:http';
import https from 'node:https';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

import { freePort } from './net.mjs';
import { until, within } from './wait.mjs';


/* Debian's, or the one that shall be tested with */
const command = process.env.ETCD || 'etcd';

const b64 = (text) => Buffer.from(text).toString('base64');
const unb64 = (text) => Buffer.from(text ?? '', 'base64').toString();
const end = (prefix) => prefix.slice(0, -1)
    + String.fromCharCode(prefix.charCodeAt(prefix.length - 1) + 1);


/* A child that does not outlive this process, however that ends. */
export function spawnChild(command, args, options) {
    return spawn('setpriv', ['--pdeathsig', 'KILL', command, ...args],
        options);
}


export class Etcd {
    /*
     * tls: { ca, cert, key } of the server; clients need one of the ca
     * args: more of its command line
     */
    static async start(options) {
        const [e] = await Etcd.startCluster(1, options);

        return e;
    }

    /* The members of one cluster. */
    static async startCluster(n, { tls = null, args = [] } = {}) {
        const members = [];

        for (let i = 0; i < n; i++) {
            const e = new Etcd();

            Object.assign(e, { name: `e${i}`, tls, args, members,
                dir: mkdtempSync(join(tmpdir(), 'etcd-')),
                port: await freePort(),
                peer: `http://127.0.0.1:${await freePort()}` });
            members.push(e);
        }
        await Promise.all(members.map((e) => e.run()));

        return members;
    }

    get url() {
        return `${this.tls ? 'https' : 'http'}://127.0.0.1:${this.port}`;
    }

    /* token: another one is another cluster, if there is no data */
    async run({ token = 'etcd-cluster' } = {}) {
        const { members, peer } = this;
        const tls = this.tls ? ['--cert-file', this.tls.cert, '--key-file',
            this.tls.key, '--trusted-ca-file', this.tls.ca,
            '--client-cert-auth'] : [];

        this.child = spawnChild(command, ['--data-dir',
            join(this.dir, 'data'), '--listen-client-urls', this.url,
            '--advertise-client-urls', this.url, '--listen-peer-urls', peer,
            '--initial-advertise-peer-urls', peer, '--name', this.name,
            '--initial-cluster',
            members.map((e) => `${e.name}=${e.peer}`).join(),
            '--initial-cluster-token', token, '--logger', 'zap',
            '--log-level', 'error', ...tls, ...this.args],
        { stdio: ['ignore', 'ignore', 'pipe'] });
        this.log = '';
        this.child.stderr.on('data', (text) => {
            this.log += text;
        });
        this.ended = once(this.child, 'exit');

        await until('etcd to answer', async () => {
            if (this.child.exitCode !== null) {
                throw new Error(`etcd ended:\n${this.log}`);
            }
            return this.call('maintenance/status', {}).then(
                (r) => r.leader, () => false);
        }, 30000, 50);
    }

    call(path, body, headers = {}) {
        return new Promise((resolve, reject) => {
            const { request } = this.tls ? https : http;
            const req = request(`${this.url}/v3/${path}`, { method: 'POST',
                agent: false, timeout: 5000, headers,
                ...this.tls && { ca: this.tls.caText,
                    cert: this.tls.clientCert, key: this.tls.clientKey } },
            (res) => {
                let text = '';

                res.setEncoding('utf8');
                res.on('data', (part) => {
                    text += part;
                });
                res.on('end', () => {
                    try {
                        const answer = JSON.parse(text);

                        if (res.statusCode === 200) {
                            resolve(answer);
                        } else {
                            reject(new Error(text));
                        }
                    } catch (e) {
                        reject(e);
                    }
                });
            });

            req.on('error', reject);
            req.on('timeout', () => req.destroy(new Error('timeout')));
            req.end(JSON.stringify(body));
        });
    }

    put(key, value, lease) {
        return this.call('kv/put', { key: b64(key), value: b64(
            typeof value === 'string' ? value : JSON.stringify(value)),
        ...lease && { lease } });
    }

    async get(key) {
        const { kvs } = await this.call('kv/range', { key: b64(key) });

        return kvs ? unb64(kvs[0].value) : null;
    }

    /* [{ key, value, mod, version }] */
    async list(prefix) {
        const { kvs = [] } = await this.call('kv/range', { key: b64(prefix),
            range_end: b64(end(prefix)) });

        return kvs.map((kv) => ({ key: unb64(kv.key),
            value: unb64(kv.value), mod: Number(kv.mod_revision),
            version: Number(kv.version) }));
    }

    delete(prefix, one = false) {
        return this.call('kv/deleterange', { key: b64(prefix),
            ...!one && { range_end: b64(end(prefix)) } });
    }

    /* some keys, at one revision */
    deleteAll(keys) {
        return this.call('kv/txn', { success: keys.map((key) => ({
            request_delete_range: { key: b64(key) } })) });
    }

    /* many keys at once, 100 a transaction */
    async fill(entries) {
        for (let i = 0; i < entries.length; i += 100) {
            await this.call('kv/txn', { success: entries.slice(i, i + 100)
                .map(([key, value]) => ({ request_put: { key: b64(key),
                    value: b64(JSON.stringify(value)) } })) });
        }
    }

    async compact() {
        const { header } = await this.call('maintenance/status', {});

        await this.call('kv/compaction', { revision: header.revision,
            physical: true });
    }

    async leads() {
        const { header, leader } = await this.call('maintenance/status', {});

        return leader !== undefined && leader === header.member_id;
    }

    signal(name) {
        process.kill(this.child.pid, name);
    }

    async kill() {
        this.child.kill('SIGCONT');
        this.child.kill('SIGKILL');
        await within('etcd to end', this.ended);
    }

    async stop() {
        await this.kill();
        rmSync(this.dir, { recursive: true, force: true });
    }
}


/*
 * Passes calls on to etcd.  change(path, body, status, asked) may alter an
 * answer, or give a promise of one; watch(line), a line of a watch: it gives
 * what is sent instead, null ends the watch.
 */
export async function proxy(etcd, change, watch = (line) => line) {
    const pass = async (answer, res) => {
        const lines = createInterface({ input: answer });

        lines.on('error', () => res.destroy());
        res.writeHead(answer.statusCode);

        for await (const line of lines) {
            for (const text of [watch(line)].flat()) {
                if (text === null) {
                    res.destroy();
                    return;
                }
                res.write(`${text}\n`);
            }
        }
        res.end();
    };
    const server = http.createServer((req, res) => {
        const asked = [];
        const up = http.request(`${etcd.url}${req.url}`, { method: 'POST',
            headers: req.headers, agent: false }, (answer) => {
            if (req.url === '/v3/watch') {
                answer.on('error', () => res.destroy());
                pass(answer, res).catch(() => res.destroy());
                return;
            }

            const parts = [];

            answer.on('error', () => res.destroy());
            answer.on('data', (part) => parts.push(part));
            answer.on('end', async () => {
                const [status, text] = await change(req.url,
                    Buffer.concat(parts).toString(), answer.statusCode,
                    Buffer.concat(asked).toString());

                res.writeHead(status);
                res.end(text);
            });
        });

        up.on('error', () => res.destroy());
        res.on('error', () => {});
        res.on('close', () => up.destroy());
        req.on('data', (part) => asked.push(part));
        req.pipe(up);
    });

    server.listen(0, '127.0.0.1');
    await once(server, 'listening');

    return server;
}
