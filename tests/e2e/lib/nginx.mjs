/*
 * Copyright (C) ngx-voice contributors
 *
 * A real nginx with the voice module, in a folder of its own.
 *
 * NGINX_BIN          the binary, default "nginx"
 * NGINX_MODULES_DIR  where its dynamic modules are; one that isn't there is
 *                    taken to be compiled in
 * BUILD              where what is tested was built, default build
 * NGX_VOICE_MODULE   the module, default ngx_voice_module.so in BUILD
 */

import { execFile, execFileSync, spawn } from 'node:child_process';
import { chmodSync, copyFileSync, existsSync, mkdtempSync, readFileSync,
    readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

import { freePort } from './net.mjs';
import { newKey, signToken, userToken, voiceToken } from './token.mjs';
import { until } from './wait.mjs';


const TOP = resolve(dirname(fileURLToPath(import.meta.url)), '../../..');

export const BUILD = resolve(TOP, process.env.BUILD ?? 'build');

/* by its whole path, for a binary upgrade looks nowhere else */
const NGINX = execFileSync('which', [process.env.NGINX_BIN ?? 'nginx'],
    { encoding: 'utf8' }).trim();
const MODULES = process.env.NGINX_MODULES_DIR ?? '/usr/lib/nginx/modules';
const MODULE = process.env.NGX_VOICE_MODULE
    ?? join(BUILD, 'ngx_voice_module.so');

/* the one of tests/build-nginx-asan, which is slow and takes much memory */
export const SANITIZED = NGINX.includes('nginx-asan');

const SANITIZER = /(Address|Leak|UndefinedBehavior)Sanitizer|runtime error:/;
const ALARM = /\[(alert|emerg)\]/;


const NEW_KEY = ['req', '-x509', '-newkey', 'ec', '-pkeyopt',
    'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2'];


/* Makes an authority of the test's own; gives its certificate. */
function authority(dir) {
    const ca = join(dir, 'ca.pem');

    execFileSync('openssl', [...NEW_KEY, '-subj', '/CN=test', '-keyout',
        join(dir, 'ca.key'), '-out', ca], { stdio: 'ignore' });

    return ca;
}


/* Of another one, for clients that go from one to another. */
function borrowed(from, dir) {
    for (const file of ['ca.pem', 'ca.key']) {
        copyFileSync(join(from, file), join(dir, file));
    }

    return join(dir, 'ca.pem');
}


const loadModule = (path) => existsSync(path) ? `load_module ${path};\n` : '';


/*
 * What a test may say about its nginx:
 *
 * workers   number of worker processes
 * modes     voice_modes
 * relays    [{ listen, params, advertise }]; listen is an address without
 *           port, the port is picked
 * main, http, server, stream   more directives for these places
 * tcp       parameters of the TCP listens
 * signal, relay, zone          what stands in the directives' places
 * guilds    the directory of guilds; then there are voice_gateway at /gateway
 *           and voice_api below /api/
 * identify  voice_gateway_identify: by default so many that the same users may
 *           log in again and again; null: as it is by default
 * connections                  worker_connections
 * env       more of the environment
 * daemon    started as init systems do it, so that SIGUSR2 is obeyed
 * key       the key of voice_key, instead of a new one
 * authority folder of another one, whose certificates' signer signs here, too
 * name      of its node, which is in its certificate
 * allow     lines of the error log that would fail the test otherwise
 */
export class Nginx {
    static async start(options = {}) {
        for (let left = 3; ; left--) {
            const nginx = new Nginx(options);

            try {
                await nginx.launch();
                return nginx;
            } catch (e) {
                await nginx.abandon();
                if (left <= 1 || !/Address already in use/.test(e.message)) {
                    throw e;
                }
            }
        }
    }

    /* `nginx -t` on such a configuration: { code, output } */
    static async check(options = {}) {
        const nginx = new Nginx(options);

        try {
            await nginx.configure();
            return await nginx.test();
        } finally {
            await nginx.abandon();
        }
    }

    constructor(options) {
        this.options = options;
        this.dir = mkdtempSync(join(tmpdir(), 'ngx-voice-e2e-'));
        chmodSync(this.dir, 0o755);
        this.key = options.key ?? newKey();
        this.platformKey = newKey();
        this.keyFile = join(this.dir, 'token.key');
        this.conf = join(this.dir, 'nginx.conf');
        this.log = join(this.dir, 'error.log');
        this.clients = new Set();     /* that stop() ends if nobody did */
        this.stderr = '';
        this.child = null;
        this.exit = null;
    }

    async configure(options = this.options) {
        this.http ??= await freePort();
        this.https ??= await freePort();
        this.ports ??= [];
        if (!this.cert) {
            /* what clients trust */
            this.cert = options.authority
                ? borrowed(options.authority, this.dir)
                : authority(this.dir);
            this.certify();
        }
        this.relays = options.relays ?? [{ listen: '127.0.0.1' }];
        for (let i = this.ports.length; i < this.relays.length; i++) {
            this.ports.push(await freePort());
        }

        writeFileSync(this.keyFile, `${this.key}\n`, { mode: 0o644 });
        if (options.guilds) {
            this.writeGuilds(options.guilds);
        }
        writeFileSync(this.conf, this.text(options));
    }

    /* In force with the next reload. */
    writeGuilds(guilds) {
        writeFileSync(join(this.dir, 'platform.key'), `${this.platformKey}\n`);
        writeFileSync(join(this.dir, 'guilds.json'),
            JSON.stringify({ guilds }));
    }

    get port() {
        return this.ports[0];
    }

    /* A certificate for the server, the first one or a new one. */
    certify() {
        const { name } = this.options;

        this.sign('cert', '/CN=localhost', 'DNS:localhost,'
            + (name ? `DNS:${name},` : '')
            + 'IP:127.0.0.1,IP:127.0.0.2,IP:127.0.0.3,IP:::1');
    }

    /* Another one of its authority: [key, certificate]. */
    issue(subject, names = null) {
        this.sign('issued', subject, names);

        return ['key', 'pem'].map((end) =>
            readFileSync(join(this.dir, `issued.${end}`)));
    }

    sign(file, subject, names) {
        execFileSync('openssl', [...NEW_KEY, '-subj', subject,
            ...names ? ['-addext', `subjectAltName=${names}`] : [], '-addext',
            'basicConstraints=critical,CA:FALSE', '-CA', this.cert, '-CAkey',
            join(this.dir, 'ca.key'), '-keyout', join(this.dir, `${file}.key`),
            '-out', join(this.dir, `${file}.pem`)], { stdio: 'ignore' });
    }

    get ca() {
        return readFileSync(this.cert);
    }

    get endpoint() {
        return `127.0.0.1:${this.https}`;
    }

    text({ workers = 1, modes, main = '', http = '', server = '', stream = '',
        tcp = '', signal = 'voice_signal;', relay, zone, guilds,
        connections = 4096, identify = '1000 100000' } = {})
    {
        const { dir } = this;
        const root = process.getuid?.() === 0;

        return `\
${loadModule(join(MODULES, 'ngx_stream_module.so'))}\
${loadModule(MODULE)}\
${root ? 'user nobody nogroup;\n' : ''}\
worker_processes ${workers};
worker_rlimit_core 512m;
working_directory ${dir};
pid ${dir}/nginx.pid;
error_log ${this.log} info;
voice_zone ${zone ?? `${dir}/main.zone sessions=4096`};
${main}
events {
    worker_connections ${connections};
}
http {
    access_log ${dir}/access.log;
    client_body_temp_path ${dir}/body;
    proxy_temp_path ${dir}/proxy;
    fastcgi_temp_path ${dir}/fastcgi;
    uwsgi_temp_path ${dir}/uwsgi;
    scgi_temp_path ${dir}/scgi;
    voice_key ${this.keyFile};
    ${modes ? `voice_modes ${modes.join(' ')};` : ''}
    ${guilds ? `voice_guilds ${dir}/guilds.json;
    voice_platform_key ${dir}/platform.key;` : ''}
    ${identify ? `voice_gateway_identify ${identify};` : ''}
    ${http}
    server {
        listen 127.0.0.1:${this.http} ${tcp};
        listen 127.0.0.1:${this.https} ssl ${tcp};
        server_name localhost;
        ssl_certificate ${dir}/cert.pem;
        ssl_certificate_key ${dir}/cert.key;
        root ${dir}/html;
        location = / { ${signal} }
        location = /status { voice_status; }
        location = /metrics { voice_status prometheus; }
        location = /pid { return 200 $pid; }
        ${guilds ? `location /gateway { voice_gateway; }
        location /api/ { voice_api; }` : ''}
        ${server}
    }
}
stream {
${this.relays.map((r, i) => `\
    server {
        listen ${r.listen}:${this.ports[i]} udp ${r.params ?? 'reuseport'};
        ${relay ?? `voice_relay advertise=${r.advertise ?? '127.0.0.1'};`}
    }
`).join('')}\
    ${stream}
}
`;
    }

    test() {
        return this.run('-t');
    }

    async run(...args) {
        args.push('-p', this.dir, '-e', this.log, '-c', this.conf);

        try {
            const { stderr } = await promisify(execFile)(NGINX, args);

            return { code: 0, output: stderr };
        } catch (e) {
            return { code: e.code, output: e.stderr };
        }
    }

    async launch() {
        await this.configure();
        this.exit = null;
        this.child = spawn(NGINX, ['-p', this.dir, '-e', this.log, '-c',
            this.conf, ...this.options.daemon ? [] : ['-g', 'daemon off;']],
        { stdio: ['ignore', 'ignore', 'pipe'],
            env: { ...process.env, ...this.options.env } });
        this.child.stderr.on('data', (chunk) => {
            this.stderr += chunk;
        });

        const { child } = this;
        const ended = (exit) => {
            /* one that was killed may tell so after the next was started */
            if (child === this.child) {
                this.exit = exit;
            }
        };

        child.once('exit', (code, signal) => ended({ code, signal }));
        child.once('error', (e) => ended({ code: e.message }));

        /* a test that failed, or was not picked, must not wait for it */
        this.child.unref();
        this.child.stderr.unref();

        await until('nginx to answer', async () => {
            if (this.exit && (!this.options.daemon || this.exit.code !== 0)) {
                throw new Error(`nginx ended with ${JSON.stringify(this.exit)}`
                    + `:\n${this.stderr}${this.logText()}`);
            }
            return await this.responds();
        }, 10000, 20);
    }

    async responds() {
        try {
            return (await fetch(`http://127.0.0.1:${this.http}/pid`)).ok;
        } catch {
            return false;
        }
    }

    logText() {
        return existsSync(this.log) ? readFileSync(this.log, 'utf8') : '';
    }

    logLines(pattern) {
        return this.logText().split('\n').filter((line) => pattern.test(line));
    }

    /* the master; of a daemon the pid file tells */
    get pid() {
        return this.options.daemon
            ? Number(readFileSync(join(this.dir, 'nginx.pid'), 'utf8'))
            : this.child.pid;
    }

    /* the same as a list, which is empty once it has ended */
    pids() {
        try {
            return [this.pid];
        } catch {
            return [];
        }
    }

    workers() {
        try {
            return children(this.pid);
        } catch {
            return [];
        }
    }

    signal(name) {
        process.kill(this.pid, name);
    }

    /* Everything at once, as a power cut would; the files stay. */
    async crash() {
        const pids = [this.pid, ...this.workers()];

        for (const pid of pids) {
            process.kill(pid, 'SIGKILL');
        }
        await until('nginx to be dead', () => !pids.some(isRunning));
    }

    /* Ends it as an init system does; the files stay. */
    async quit() {
        const pids = [this.pid, ...this.workers()];

        this.signal('SIGTERM');
        await until('nginx to end', () => !pids.some(isRunning), 15000);
    }

    /* as an operator does: nginx -s reload, stop, quit */
    async command(name) {
        await promisify(execFile)(NGINX, ['-s', name, '-p', this.dir, '-e',
            this.log, '-c', this.conf]);
    }

    async reload(options = this.options) {
        const before = this.workers();

        this.options = options;
        await this.configure(options);
        await this.command('reload');
        await until('new workers after a reload', () =>
            this.workers().filter((p) => !before.includes(p)).length
                === (options.workers ?? 1)
            && this.retired(before) && this.responds(), 10000);
    }

    /* Old ones live on for their websockets, but accept nothing new. */
    retired(pids) {
        return pids.every((p) => this.logLines(new RegExp(
            ` ${p}#${p}: gracefully shutting down`)).length > 0);
    }

    token(claims, options) {
        return voiceToken(this.key, claims, options);
    }

    /* What a library takes for its bot token. */
    userToken(user, claims = {}) {
        return userToken(this.key, { user,
            guilds: (this.options.guilds ?? []).map((g) => g.id),
            ...claims });
    }

    platformToken() {
        return signToken(this.platformKey, { scope: 'platform',
            exp: Math.floor(Date.now() / 1000) + 600 });
    }

    async status() {
        const r = await fetch(`http://127.0.0.1:${this.http}/status`);

        if (r.status !== 200) {
            throw new Error(`/status answers ${r.status}`);
        }
        return r.json();
    }

    /* { 'voice_dropped_total{reason="auth"}': 3, ... } */
    async metrics() {
        const r = await fetch(`http://127.0.0.1:${this.http}/metrics`);

        if (r.status !== 200) {
            throw new Error(`/metrics answers ${r.status}`);
        }

        const lines = (await r.text()).split('\n')
            .filter((line) => line !== '' && !line.startsWith('#'));

        return Object.fromEntries(lines.map((line) => {
            const i = line.lastIndexOf(' ');

            return [line.slice(0, i), Number(line.slice(i + 1))];
        }));
    }

    async metric(family, labels = '') {
        const name = `voice_${family}_total${labels && `{${labels}}`}`;
        const value = (await this.metrics())[name];

        if (value === undefined) {
            throw new Error(`/metrics has no ${name}`);
        }
        return value;
    }

    dropped(reason) {
        return this.metric('dropped', `reason="${reason}"`);
    }

    /*
     * Ends nginx and judges how it ended.  The clients are gone then, so a
     * worker that is still there after that is a fault.
     */
    async stop() {
        const faults = [];
        const pids = this.workers();

        for (const client of this.clients) {
            client.destroy();
        }

        if (this.exit && !this.options.daemon) {
            faults.push('the master ended before: '
                + JSON.stringify(this.exit));
        } else {
            pids.push(this.pid);
            this.signal('SIGQUIT');
        }

        try {
            await until('the end of nginx', () =>
                (this.exit || this.options.daemon)
                && pids.every((pid) => !isRunning(pid)), 15000);
        } catch {
            faults.push('these did not exit: '
                + pids.filter(isRunning).join(' '));
            this.kill(pids);
        }

        faults.push(...this.faults());
        if (faults.length > 0) {
            throw new Error(`nginx in ${this.dir} misbehaved:\n`
                + `${faults.join('\n')}\nlast lines of its log:\n`
                + this.logText().split('\n').slice(-40).join('\n'));
        }
        rmSync(this.dir, { recursive: true, force: true });
    }

    faults() {
        const allow = this.options.allow ?? [];
        const text = `${this.logText()}\n${this.stderr}`;
        const lines = text.split('\n').filter((line) =>
            (ALARM.test(line) || SANITIZER.test(line))
            && !allow.some((a) => a.test(line)));
        const cores = readdirSync(this.dir).filter((f) => /^core/.test(f));

        if (this.exit && this.exit.code !== 0) {
            lines.push(`nginx ended with ${JSON.stringify(this.exit)}`);
        }

        return [...lines, ...cores.map((c) => `core dump ${c}`)];
    }

    kill(pids) {
        for (const pid of pids) {
            try {
                process.kill(pid, 'SIGKILL');
            } catch {
                /* gone already */
            }
        }
    }

    /* After a start that failed. */
    async abandon() {
        if (this.child && !this.exit) {
            this.kill([this.child.pid, ...this.workers()]);
            await until('nginx to be dead', () => this.exit);
        }
        rmSync(this.dir, { recursive: true, force: true });
    }
}


export function children(pid) {
    try {
        return readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8')
            .split(' ').filter(Boolean).map(Number);
    } catch {
        return [];
    }
}


/* A zombie has exited, whoever is to wait for it. */
export function isRunning(pid) {
    try {
        const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');

        return stat.slice(stat.lastIndexOf(')') + 2)[0] !== 'Z';
    } catch {
        return false;
    }
}
