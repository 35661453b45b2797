/*
 * Copyright (C) ngx-voice contributors
 *
 * The discovery agent of one node, and a stand-in for its nginx: what a
 * worker does with the cluster zone, see tests/cluster/cluster_worker.c.
 */

import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

import { spawnChild } from './etcd.mjs';
import { BUILD } from './nginx.mjs';
import { until, within } from './wait.mjs';


const AGENT = process.env.NGX_VOICE_AGENT ?? join(BUILD, 'ngx-voice-agent');
const WORKER = join(BUILD, 'cluster-worker');

let boots = 0;


export class Agent {
    /*
     * endpoints: of etcd; region: tests that share an etcd have one each.
     * conf: more of the configuration; up: wait until it is
     */
    static async start({ node, region, endpoints, conf = {}, etcd = {},
        capacity = 1000, up = true, worker = true })
    {
        const a = new Agent();

        a.dir = mkdtempSync(join(tmpdir(), 'agent-'));
        a.node = node;
        a.region = region;
        a.capacity = capacity;
        a.zone = join(a.dir, 'cluster.zone');
        a.file = join(a.dir, 'agent.json');
        a.mirror = join(a.dir, 'mirror');
        a.boot = `boot${++boots}`;
        a.conf = { node, region, endpoint: `${node}.example:443`,
            machine: `machine-${node}`, cluster_zone: a.zone, guilds: 8192,
            mirror: a.mirror, load: { period_ms: 400 },
            etcd: { endpoints, ttl: 5, ...etcd }, ...conf,
            fleet: { stop_after_ms: 0, ...conf.fleet } };
        a.log = '';
        a.configure();
        a.run();

        if (worker) {
            await a.startWorker();
        }
        if (up) {
            await a.is('up');
        }

        return a;
    }

    configure(more = {}) {
        Object.assign(this.conf, more);
        writeFileSync(this.file, JSON.stringify(this.conf));
    }

    run() {
        this.child = spawnChild(AGENT, ['-c', this.file],
            { stdio: ['ignore', 'ignore', 'pipe'] });
        this.child.stderr.setEncoding('utf8');
        this.child.stderr.on('data', (text) => {
            this.log += text;
        });
        this.ended = once(this.child, 'close');
    }

    async startWorker(boot = this.boot) {
        this.boot = boot;
        this.questions = new Map();
        this.next = 1;

        /* the agent may not have made the zone yet */
        await until(`the worker of ${this.node}`, async () => {
            this.worker = spawnChild(WORKER, [this.zone, boot,
                this.capacity], { stdio: ['pipe', 'pipe', 'ignore'] });
            this.worker.stdin.on('error', () => {});
            this.workerEnded = once(this.worker, 'exit');

            const lines = createInterface({ input: this.worker.stdout });
            const ready = new Promise((resolve) => {
                lines.on('line', (line) => {
                    const answer = JSON.parse(line);

                    if (answer.ready) {
                        resolve(true);
                    }
                    this.questions.get(answer.id)?.(answer);
                    this.questions.delete(answer.id);
                });
            });

            return Promise.race([ready, this.workerEnded.then(() => false)]);
        }, 10000, 20);
    }

    /* What the worker says to a question. */
    ask(what, ...args) {
        const id = this.next++;
        const answer = new Promise((resolve) => {
            this.questions.set(id, resolve);
        });

        this.worker.stdin.write(`${[what, id, ...args].join(' ')}\n`);

        return within(`${this.node}: ${what} ${args.join(' ')}`, answer,
            15000);
    }

    tell(what, ...args) {
        this.worker.stdin.write(`${[what, ...args].join(' ')}\n`);
    }

    join(guild, region = '') {
        return this.ask('join', guild, region);
    }

    find(guild) {
        return this.ask('find', guild);
    }

    state() {
        return this.ask('state');
    }

    /* { name: node } */
    async nodes() {
        const { nodes } = await this.ask('nodes');

        return Object.fromEntries(nodes.map((n) => [n.name, n]));
    }

    /* { guild: [node, revision] } */
    async guilds() {
        const { guilds } = await this.ask('guilds');

        return Object.fromEntries(guilds.map(([g, ...rest]) => [g, rest]));
    }

    is(state, ms = 20000) {
        return until(`${this.node} to be ${state}`, async () =>
            (await this.state()).state === state, ms, 20).catch((e) => {
            throw new Error(`${e.message}\n${this.log}`);
        });
    }

    says(what, ms = 15000) {
        return until(`${this.node} to say ${what}`, () =>
            what.test(this.log), ms, 20).catch((e) => {
            throw new Error(`${e.message}\n${this.log}`);
        });
    }

    signal(name) {
        process.kill(this.child.pid, name);
    }

    async killAgent(name = 'SIGKILL') {
        this.child.kill(name);
        await within(`agent ${this.node} to end`, this.ended, 10000);
    }

    async killWorker() {
        this.worker.kill('SIGKILL');
        await within(`worker ${this.node} to end`, this.workerEnded);
    }

    /* as a host that is lost */
    async kill() {
        await this.killAgent();
        await this.killWorker();
    }

    async stop() {
        if (this.child.exitCode === null && this.child.signalCode === null) {
            this.child.kill('SIGCONT');
            await this.killAgent('SIGTERM').catch(() => this.killAgent());
        }
        if (this.worker && this.worker.exitCode === null
            && this.worker.signalCode === null)
        {
            await this.killWorker();
        }
        rmSync(this.dir, { recursive: true, force: true });

        const report = /^.*(Sanitizer|runtime error).*$/m.exec(this.log);

        if (report) {
            throw new Error(`agent ${this.node}:\n${this.log}`);
        }
    }
}


/* n agents of one region, all up and known to each other. */
export async function fleet(n, options) {
    const agents = await Promise.all(Array.from({ length: n }, (_, i) =>
        Agent.start({ node: `n${i}`, ...options })));

    await until('all to know each other', async () =>
        (await Promise.all(agents.map((a) => a.nodes()))).every((nodes) =>
            Object.values(nodes).filter((x) => x.flags === 1 && x.loaded)
                .length === n), 20000, 20);

    return agents;
}


/* Until the zones of all of them hold the same assignments. */
export function agree(agents, ms = 10000) {
    let seen;

    return until('zones to be the same', async () => {
        seen = await Promise.all(agents.map((a) => a.guilds()));

        const texts = seen.map((g) => JSON.stringify(Object.entries(g)
            .sort()));

        return texts.every((t) => t === texts[0]) && seen[0];
    }, ms, 50);
}
