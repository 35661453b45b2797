/*
 * Copyright (C) ngx-voice contributors
 *
 * Several nodes on loopback: an nginx and its discovery agent each, and one
 * etcd.
 *
 * ETCD   the binary, default etcd
 * AGENT  ngx-voice-agent, default the one in BUILD
 */

import { spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { GatewayClient, guilds } from './gateway.mjs';
import { Member, newUser } from './member.mjs';
import { freePort } from './net.mjs';
import { BUILD, Nginx, isRunning } from './nginx.mjs';
import { newKey, signToken } from './token.mjs';
import { now, until } from './wait.mjs';


const ETCD = process.env.ETCD ?? 'etcd';
const AGENT = process.env.AGENT ?? join(BUILD, 'ngx-voice-agent');

const SANITIZER = /(Address|Leak|UndefinedBehavior)Sanitizer|runtime error:/;


const base64 = (text) => Buffer.from(text).toString('base64');


/* A child process that says what it has to say on stderr. */
class Process {
    constructor(command, args, options = {}) {
        this.text = '';
        this.child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'],
            ...options });
        for (const stream of [this.child.stdout, this.child.stderr]) {
            stream.setEncoding('utf8');
            stream.on('data', (chunk) => {
                this.text += chunk;
            });
        }
        this.child.once('error', (e) => {
            this.text += e.message;
        });
    }

    get pid() {
        return this.child.pid;
    }

    async end(signal = 'SIGTERM') {
        if (this.pid === undefined || !isRunning(this.pid)) {
            return;
        }
        this.child.kill('SIGCONT');
        this.child.kill(signal);
        try {
            await until(`process ${this.pid} to end`,
                () => !isRunning(this.pid), 10000);
        } catch (e) {
            this.child.kill('SIGKILL');
            throw new Error(`${e.message}:\n${this.text.slice(-2000)}`);
        }
    }
}


/* What makes an nginx one of several. */
export class Fleet {
    /*
     * nodes: [{ name, region, workers, more }] or their number; agent: of its
     * configuration; more: guilds; tls: nodes know each other by their
     * certificates, and have no common key
     */
    static async start({ nodes = 3, ttl = 5, agent = {}, more = [],
        tls = false } = {})
    {
        const fleet = new Fleet(more, tls);

        try {
            await fleet.launch(typeof nodes === 'number'
                ? Array.from({ length: nodes }, (_, i) => ({ name: `n${i}` }))
                : nodes, ttl, agent);
        } catch (e) {
            await fleet.abandon();
            throw e;
        }

        return fleet;
    }

    constructor(more, tls) {
        this.tls = tls;
        this.guilds = [...guilds(), ...more];
        this.dir = mkdtempSync(join(tmpdir(), 'ngx-voice-fleet-'));
        this.nodes = [];
        this.key = newKey();
        this.platformKey = newKey();
        this.stopped = new Set();
        writeFileSync(join(this.dir, 'guilds.json'),
            JSON.stringify({ guilds: this.guilds }));
        writeFileSync(join(this.dir, 'platform.key'),
            `${this.platformKey}\n`);
        this.peerKey = newKey();
        writeFileSync(join(this.dir, 'peer.key'), `${this.peerKey}\n`);
    }

    async launch(nodes, ttl, agent) {
        this.ttl = ttl;
        this.agent = agent;
        await this.startEtcd();
        for (const node of nodes) {
            this.nodes.push(await this.startNode(node));
        }
        await Promise.all(this.nodes.map((n) => this.startAgent(n)));
        await until('all nodes to know each other', () => {
            const dead = this.nodes.find((n) => !isRunning(n.agent.pid));

            if (dead) {
                throw new Error(`the agent of ${dead.name} ended:\n`
                    + dead.agent.text);
            }

            return this.nodes.every((n) => this.nodes.every((o) => o === n
                || n.nginx.logLines(/states of node .* are in step/).some(
                    (line) => line.includes(`"${o.name}"`))));
        }, 30000);
    }

    async startEtcd() {
        this.etcdPort ??= await freePort();
        this.etcdPeer ??= await freePort();

        const client = `http://127.0.0.1:${this.etcdPort}`;
        const peer = `http://127.0.0.1:${this.etcdPeer}`;

        this.etcd = new Process(ETCD, ['--data-dir', join(this.dir, 'etcd'),
            '--listen-client-urls', client, '--advertise-client-urls', client,
            '--listen-peer-urls', peer, '--initial-advertise-peer-urls', peer,
            '--initial-cluster', `default=${peer}`, '--log-level', 'error']);
        await until('etcd to answer', async () => {
            try {
                return (await fetch(`${client}/health`)).ok;
            } catch {
                return false;
            }
        }, 20000, 50);
    }

    async startNode({ name, workers = 1, region = 'main', more = '' }) {
        const dir = join(this.dir, name);

        mkdirSync(dir);

        const nginx = await Nginx.start({ workers,
            allow: [/exited on signal 9/],
            main: `voice_cluster ${dir}/cluster.zone guilds=1024;`,
            authority: this.nodes[0]?.nginx.dir,
            http: `voice_guilds ${this.dir}/guilds.json;
                voice_platform_key ${this.dir}/platform.key;
                ${this.tls ? 'voice_peer_certificate cert.pem cert.key;'
                    + 'voice_peer_trusted_certificate ca.pem;'
                    : `voice_peer_key ${this.dir}/peer.key;`}`,
            server: 'location /gateway { voice_gateway; }'
                + ' location /api/ { voice_api; }'
                + ` location = /peer { voice_peer; } ${more}`
                + (this.tls ? 'ssl_client_certificate ca.pem;'
                    + ' ssl_verify_client optional;' : ''),
            key: this.key });

        nginx.userToken = (user, claims) => this.userToken(user, claims);

        return { name, region, dir, nginx, agent: null };
    }

    async startAgent(node) {
        const conf = join(node.dir, 'agent.json');

        writeFileSync(conf, JSON.stringify({ node: node.name,
            region: node.region,
            endpoint: `127.0.0.1:${node.nginx.https}`,
            peer: this.tls ? `https://127.0.0.1:${node.nginx.https}/peer`
                : `http://127.0.0.1:${node.nginx.http}/peer`,
            machine: node.name, cluster_zone: join(node.dir, 'cluster.zone'),
            mirror: join(node.dir, 'mirror.json'), capacity: 1000,
            etcd: { endpoints: [`http://127.0.0.1:${this.etcdPort}`],
                prefix: 'rv1/test/', ttl: this.ttl }, ...this.agent }));
        node.agent = new Process(AGENT, ['-c', conf]);
    }

    userToken(user, claims = {}) {
        return signToken(this.key, { sub: user, name: `user ${user}`,
            guilds: this.guilds.map((g) => g.id),
            exp: Math.floor(Date.now() / 1000) + 600, ...claims });
    }

    platformToken() {
        return signToken(this.platformKey, { scope: 'platform',
            exp: Math.floor(Date.now() / 1000) + 600 });
    }

    node(name) {
        return this.nodes.find((n) => n.name === name);
    }

    /* Who is meant by an endpoint. */
    at(endpoint) {
        return this.nodes.find((n) => n.nginx.endpoint === endpoint);
    }

    /* Host lost: agent and nginx at once; neither says good-bye. */
    async kill(node) {
        const pids = [node.agent.pid, node.nginx.pid,
            ...node.nginx.workers()];

        this.stopped.add(node);
        for (const pid of pids) {
            process.kill(pid, 'SIGKILL');
        }
        await until(`${node.name} to be dead`, () => !pids.some(isRunning));
    }

    async stop() {
        const faults = [];

        for (const node of this.nodes) {
            await node.agent?.end().catch((e) => faults.push(e.message));
            if (SANITIZER.test(node.agent?.text ?? '')) {
                faults.push(node.agent.text);
            }
            if (this.stopped.has(node)) {
                await node.nginx.abandon();
            } else {
                await node.nginx.stop().catch((e) => faults.push(e.message));
            }
        }
        await this.etcd?.end().catch((e) => faults.push(e.message));
        rmSync(this.dir, { recursive: true, force: true });
        if (faults.length > 0) {
            throw new Error(faults.join('\n'));
        }
    }

    async abandon() {
        for (const node of this.nodes) {
            await node.agent?.end('SIGKILL').catch(() => {});
            await node.nginx.abandon();
        }
        await this.etcd?.end('SIGKILL').catch(() => {});
        rmSync(this.dir, { recursive: true, force: true });
    }

    /* One call of etcd's JSON gateway; keys and values are texts. */
    async ask(path, body) {
        const r = await fetch(`http://127.0.0.1:${this.etcdPort}/v3/${path}`,
            { method: 'POST', body: JSON.stringify(body) });

        if (!r.ok) {
            throw new Error(`etcd answers ${r.status} to ${path}`);
        }

        return r.json();
    }

    /* What operators and curators say of a node. */
    order(node, mode) {
        return this.ask('kv/put', { key: base64(`rv1/test/q/${node.name}`),
            value: base64(JSON.stringify({ m: mode, by: 'test',
                why: 'test' })) });
    }

    async allow(node) {
        await this.ask('kv/deleterange',
            { key: base64(`rv1/test/q/${node.name}`) });
    }

    /* { node, revision } that serves a guild, as etcd says; or null. */
    async assignment(guild) {
        const { kvs } = await this.ask('kv/range',
            { key: base64(`rv1/test/a/${guild}`) });

        if (!kvs) {
            return null;
        }

        const value = JSON.parse(Buffer.from(kvs[0].value, 'base64'));

        return { node: this.node(value.s), revision: kvs[0].mod_revision };
    }
}


/*
 * Comes by the gateway of one node and is in voice at whichever node it is
 * sent to, as clients are: by each VOICE_SERVER_UPDATE, until it leaves.
 */
export class Traveller {
    static async join(fleet, node, guild, channel, { user = newUser(),
        member = {} } = {})
    {
        const t = new Traveller();

        Object.assign(t, { fleet, node, guild, channel, user, member });
        t.voices = [];             /* Members, the last one is in use */
        t.servers = [];            /* what the gateway said of servers */
        t.faults = [];
        t.gateway = await GatewayClient.login(node.nginx, { user });

        const from = t.gateway.mark;

        t.asked = now();
        t.gateway.voice(guild, channel);
        await t.follow(from);
        t.following = t.goOn().catch((e) => t.faults.push(e.message));

        return t;
    }

    get voice() {
        return this.voices.at(-1);
    }

    /* The next thing that the gateway says of servers. */
    async follow(from, ms) {
        const update = await this.gateway.messages.find(
            (m) => m.t === 'VOICE_SERVER_UPDATE'
                && m.d.guild_id === this.guild,
            { from, ms, what: `a server for user ${this.user}` });

        this.place = this.gateway.messages.all.indexOf(update) + 1;
        this.servers.push({ ...update.d, at: now() });
        if (update.d.endpoint !== null) {
            await this.connect(update.d);
        }
    }

    async connect({ endpoint, token }) {
        const at = this.fleet.at(endpoint);
        const voice = new Member(at.nginx, { user: this.user,
            guild: this.guild, channel: this.channel,
            session: this.gateway.session, ...this.member });
        const old = this.voice;

        voice.token = token;
        await voice.identify();
        await voice.discover();
        await voice.select();
        this.at = at;
        this.voices.push(voice);
        old?.destroy();
    }

    async goOn() {
        while (!this.left) {
            try {
                await this.follow(this.place, 120000);
            } catch (e) {
                if (!this.left) {
                    throw e;
                }
            }
        }
    }

    /* Frames all the time, to whoever serves the guild. */
    talk() {
        this.timer = setInterval(() => {
            this.voice.speakNext().catch(() => {});
        }, 20);
    }

    /* When voice of others came, by whichever server. */
    arrivals(from = 0) {
        return this.voices.flatMap((v) => v.packets
            .filter((p) => p.at >= from && p.payload.length > 3)
            .map((p) => p.at)).sort((a, b) => a - b);
    }

    /* The longest pause in what it heard between two moments, ms. */
    silence(from, to = now()) {
        const times = [from, ...this.arrivals(from).filter((t) => t < to), to];

        return Math.max(...times.slice(1).map((t, i) => t - times[i]));
    }

    async leave() {
        this.left = true;
        clearInterval(this.timer);
        for (const voice of this.voices) {
            voice.destroy();
        }
        await this.gateway.close(1000);
        await this.following;
        if (this.faults.length > 0) {
            throw new Error(this.faults.join('\n'));
        }
    }
}
