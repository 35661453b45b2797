/*
 * Copyright (C) ngx-voice contributors
 *
 * Several nodes on loopback: an nginx and its discovery agent each, and an
 * etcd of one member or more.
 *
 * NGX_VOICE_AGENT  the agent, default ngx-voice-agent in BUILD
 */

import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';

import { Etcd, spawnChild } from './etcd.mjs';
import { GatewayClient, guilds } from './gateway.mjs';
import { Member, OP, newUser } from './member.mjs';
import { TcpProxy, UdpProxy, udpPorts } from './net.mjs';
import { BUILD, Nginx, isRunning } from './nginx.mjs';
import { newKey, signToken } from './token.mjs';
import { voicectl } from './voicectl.mjs';
import { now, until } from './wait.mjs';


const AGENT = process.env.NGX_VOICE_AGENT ?? join(BUILD, 'ngx-voice-agent');

const PREFIX = 'rv1/test/';

/* what stands before a relay at 127.0.0.1 */
const FRONT = '127.0.0.2';

const SANITIZER = /(Address|Leak|UndefinedBehavior)Sanitizer|runtime error:/;


class Agent {
    constructor(file, env) {
        this.text = '';
        this.child = spawnChild(AGENT, ['-c', file],
            { stdio: ['ignore', 'ignore', 'pipe'],
                env: { ...process.env, ...env } });
        this.child.stderr.setEncoding('utf8');
        this.child.stderr.on('data', (text) => {
            this.text += text;
        });
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
        this.child.kill(signal);
        this.child.kill('SIGCONT');
        try {
            await until(`agent ${this.pid} to end`,
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
     * nodes: [{ name, region, pool, workers, more, env }] or their number;
     * agent: of its configuration, or what gives it for a node; more: guilds; tls:
     * nodes know each other by their certificates, and have no common key;
     * members, args: of etcd; ways: each agent has one of its own to each
     * member, which can be cut; fronts: so has each voice server to clients
     */
    static async start({ nodes = 3, ttl = 5, agent = {}, more = [],
        tls = false, members = 1, args = [], ways = false,
        fronts = false } = {})
    {
        const fleet = new Fleet(more, tls);

        Object.assign(fleet, { ttl, agent, ways, fronts });
        try {
            fleet.members = await Etcd.startCluster(members, { args });
            fleet.etcd = fleet.members[0];     /* the one that is asked */
            await fleet.launch(typeof nodes === 'number'
                ? Array.from({ length: nodes }, (_, i) => ({ name: `n${i}` }))
                : nodes);
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
        this.members = [];         /* of etcd */
        this.agents = [];          /* all there have been */
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

    async launch(nodes) {
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

    async startNode({ name, workers = 1, region = 'main', pool, more = '',
        env = {} })
    {
        const dir = join(this.dir, name);

        mkdirSync(dir);

        const nginx = await Nginx.start({ workers, name, env,
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
            ...this.fronts && { relays: [{ listen: '127.0.0.1',
                advertise: FRONT }] },
            key: this.key });

        nginx.userToken = (user, claims) => this.userToken(user, claims);

        const ways = this.ways ? await Promise.all(this.members.map((e) =>
            TcpProxy.open(e.port, { mark: '/v3/watch' }))) : [];

        const front = this.fronts && {
            tcp: await TcpProxy.open(nginx.https),
            udp: await UdpProxy.open(FRONT, '127.0.0.1', nginx.ports[0]) };

        return { name, region, pool, env, dir, nginx, ways, front, agent: null,
            endpoint: front ? `localhost:${front.tcp.port}`
                : nginx.endpoint };
    }

    async startAgent(node) {
        const conf = join(node.dir, 'agent.json');

        writeFileSync(conf, JSON.stringify({ node: node.name,
            region: node.region, ...node.pool && { pool: node.pool },
            endpoint: node.endpoint,
            peer: this.tls ? `https://127.0.0.1:${node.nginx.https}/peer`
                : `http://127.0.0.1:${node.nginx.http}/peer`,
            machine: node.name, cluster_zone: join(node.dir, 'cluster.zone'),
            mirror: join(node.dir, 'mirror.json'), capacity: 1000,
            etcd: { endpoints: this.ways
                ? node.ways.map((w) => `http://127.0.0.1:${w.port}`)
                : this.members.map((e) => e.url), prefix: PREFIX,
            ttl: this.ttl }, ...(typeof this.agent === 'function'
                ? this.agent(node) : this.agent) }));
        node.agent = new Agent(conf, node.env);
        this.agents.push(node.agent);
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
        return this.nodes.find((n) => n.endpoint === endpoint);
    }

    /* Until all agents say so, from where in their texts each one is. */
    isUp(node, from = 0) {
        return until(`${node.name} to be up`, () => node.agent.text.slice(from)
            .includes('state UP'), 30000).catch((e) => {
            throw new Error(`${e.message}\n${node.agent.text}`);
        });
    }

    relay(node) {
        return [node.nginx.pid, ...node.nginx.workers()];
    }

    /* Host lost: agent and nginx at once; neither says good-bye. */
    async kill(node) {
        this.stopped.add(node);
        await this.blow(node, [node.agent.pid, ...this.relay(node)]);
    }

    /* nginx alone. */
    async killRelay(node) {
        this.stopped.add(node);
        await this.blow(node, this.relay(node));
    }

    async blow(node, pids) {
        for (const pid of pids) {
            process.kill(pid, 'SIGKILL');
        }
        await until(`${node.name} to be dead`, () => !pids.some(isRunning));
    }

    /* A lost host comes back, and has nothing of its former memory. */
    async revive(node) {
        for (const zone of [join(node.dir, 'cluster.zone'),
            join(node.nginx.dir, 'main.zone')])
        {
            rmSync(zone, { force: true });
        }
        await this.restart(node);
        await this.startAgent(node);
        await this.isUp(node);
    }

    /* nginx comes back, with the zone that it had. */
    async restart(node) {
        await node.nginx.launch();
        this.stopped.delete(node);
    }

    /* SIGSTOP or SIGCONT for agent and nginx. */
    signal(node, name) {
        for (const pid of [node.agent.pid, ...this.relay(node)]) {
            process.kill(pid, name);
        }
    }

    /* No more packets between a node and etcd. */
    cutFromEtcd(node) {
        node.ways.forEach((w) => w.lose());
    }

    joinEtcd(node) {
        node.ways.forEach((w) => w.restore());
    }

    /* Nobody else reaches its voice server any more; the rest goes on. */
    cutFromClients(node) {
        const own = udpPorts(node.agent.pid);

        node.front.tcp.lose();
        node.front.udp.lose((port) => !own.has(port));
    }

    joinClients(node) {
        node.front.tcp.restore();
        node.front.udp.restore();
    }

    /* Voice of a node's agent does not come through at others. */
    cutProbes(node, others) {
        const ports = udpPorts(node.agent.pid);

        others.forEach((o) => o.front.udp.lose((port) => ports.has(port)));
    }

    joinProbes(others) {
        others.forEach((o) => o.front.udp.restore());
    }

    /* Everything that is said in etcd about nodes that are lost. */
    async suspicions() {
        return (await this.etcd.list(`${PREFIX}x/`)).map(({ key, value }) =>
            [key.slice(`${PREFIX}x/`.length), JSON.parse(value)]);
    }

    /* What a node's nginx has of another one. */
    async sees(node, other) {
        const { nodes } = await voicectl('cluster', 'nodes', '--json',
            '--config', join(node.dir, 'agent.json')).json();

        return nodes.find((n) => n.name === other.name);
    }

    async stop() {
        const faults = [];

        for (const agent of this.agents) {
            await agent.end().catch((e) => faults.push(e.message));
            if (SANITIZER.test(agent.text)) {
                faults.push(agent.text);
            }
        }
        for (const node of this.nodes) {
            if (this.stopped.has(node)) {
                await node.nginx.abandon();
            } else {
                await node.nginx.stop().catch((e) => faults.push(e.message));
            }
        }
        await this.clear();
        if (faults.length > 0) {
            throw new Error(faults.join('\n'));
        }
    }

    async abandon() {
        for (const node of this.nodes) {
            await node.agent?.end('SIGKILL').catch(() => {});
            await node.nginx.abandon();
        }
        await this.clear();
    }

    async clear() {
        for (const way of this.nodes.flatMap((n) => [...n.ways,
            ...n.front ? [n.front.tcp, n.front.udp] : []]))
        {
            way.close();
        }
        await Promise.all(this.members.map((e) => e.stop()));
        rmSync(this.dir, { recursive: true, force: true });
    }

    /* A guild is on a node, before anybody asked where. */
    async assign(guild, node) {
        const { e } = await this.registered(node);

        await this.etcd.put(`${PREFIX}a/${guild}`, { s: node.name, e });
    }

    /* { guild: [node, revision] } as etcd says. */
    async assignments() {
        return Object.fromEntries((await this.etcd.list(`${PREFIX}a/`)).map(
            ({ key, value, mod }) => [key.split('/').at(-1),
                [JSON.parse(value).s, mod]]));
    }

    /* Nodes vanish from etcd, all at once. */
    unregister(nodes) {
        return this.etcd.deleteAll(nodes.map((n) => `${PREFIX}n/${n.name}`));
    }

    async isRegistered(node) {
        return await this.etcd.get(`${PREFIX}n/${node.name}`) !== null;
    }

    /* Until every node's nginx sees what etcd says. */
    agree(nodes = this.nodes) {
        return until('all to know the same', async () => {
            const truth = await this.assignments();
            const seen = await Promise.all(nodes.map((n) => this.knows(n)));

            return seen.every((s) => isDeepStrictEqual(s, truth));
        }, 15000, 100);
    }

    /* What a node's nginx sees of them. */
    async knows(node) {
        const { guilds: known } = await voicectl('cluster', 'guilds',
            '--json', '--config', join(node.dir, 'agent.json')).json();

        return Object.fromEntries(known.map((g) =>
            [g.guild, [g.node, g.revision]]));
    }

    /* What operators and curators say of a node. */
    order(node, mode) {
        return this.etcd.put(`${PREFIX}q/${node.name}`,
            { m: mode, by: 'test', why: 'test' });
    }

    allow(node) {
        return this.etcd.delete(`${PREFIX}q/${node.name}`, true);
    }

    /* What etcd has of a node. */
    async registered(node) {
        return JSON.parse(await this.etcd.get(`${PREFIX}n/${node.name}`));
    }

    /* The node that serves a guild, as etcd says; or undefined. */
    async serves(guild) {
        const value = await this.etcd.get(`${PREFIX}a/${guild}`);

        return value ? this.node(JSON.parse(value).s) : undefined;
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

    /* [[packets of one stream]] of a user, one by each server that it had. */
    streams(user) {
        return this.voices.flatMap((v) => [...new Set(v.got(OP.SPEAKING)
            .filter(({ d }) => d.user_id === user).map(({ d }) => d.ssrc))]
            .map((ssrc) => v.packets.filter((p) => p.ssrc === ssrc
                && p.payload.length > 3)));
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


/* Two Travellers of one channel talk, and hear each other. */
export async function converse(one, two) {
    await Promise.all([one.voice.knows(two.voice),
        two.voice.knows(one.voice)]);
    one.talk();
    two.talk();
    await until('voice both ways', () => one.arrivals().length > 10
        && two.arrivals().length > 10);
}
