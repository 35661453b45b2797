/*
 * Copyright (C) ngx-voice contributors
 *
 * The discovery agent and an etcd that is frozen, gone, strange or picky.
 */

import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync }
    from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';

import { Agent, agree, fleet } from './lib/agent.mjs';
import { Etcd, proxy } from './lib/etcd.mjs';
import { smallFileSystem } from './lib/files.mjs';
import { BUILD } from './lib/nginx.mjs';
import { until } from './lib/wait.mjs';


async function withEtcd(n, body, options = {}) {
    const etcd = await Etcd.start();
    let agents = [];

    try {
        agents = await fleet(n, { region: 'eu', endpoints: [etcd.url],
            ...options });
        await body(agents, etcd);
    } catch (e) {
        e.message += agents.map((a) => `\n--- ${a.node}\n${a.log}`).join('');
        throw e;
    } finally {
        await Promise.all(agents.map((a) => a.stop()));
        await etcd.stop();
    }
}


test('etcd killed: what is known goes on, what is new is provisional', () =>
    withEtcd(3, async (agents, etcd) => {
        const [a, b] = agents;

        await a.ask('bench', 60, 1000);

        const was = await agree(agents);

        await etcd.kill();
        await Promise.all(agents.map((x) => x.is('unsure')));
        assert.deepEqual(await a.guilds(), was);
        assert.equal((await a.join(1000)).result, 'ok');

        /* two nodes that can't ask come to the same server */
        const [x, y] = await Promise.all([a.join(7777), b.join(7777)]);

        for (const answer of [x, y]) {
            assert.equal(answer.result, 'ok');
            assert.ok(answer.provisional);
        }
        assert.equal(x.node, y.node);

        await etcd.run();
        await Promise.all(agents.map((z) => z.is('up')));
        await until('it to be assigned', async () =>
            (await etcd.get('rv1/eu/a/7777')) !== null, 10000);

        const now = await agree(agents);

        assert.equal(now[7777][0], x.node);
        assert.ok(!(await a.find(7777)).provisional);
        delete now[7777];
        assert.deepEqual(now, was);
    }, { etcd: { ttl: 2 } }));


test('etcd frozen beyond every lease: nothing moves', () =>
    withEtcd(4, async (agents, etcd) => {
        await agents[0].ask('bench', 200, 1000);

        const was = await agree(agents);

        etcd.signal('SIGSTOP');
        await Promise.all(agents.map((a) => a.is('unsure')));
        assert.equal((await agents[1].join(1000)).result, 'ok');
        etcd.signal('SIGCONT');

        await Promise.all(agents.map((a) => a.is('up')));
        await until('all to know each other', async () =>
            Object.values(await agents[0].nodes()).every((n) =>
                n.flags === 1), 10000);
        assert.deepEqual(await agree(agents), was);
    }, { etcd: { ttl: 2 } }));


test('a frozen agent knows that it is lost, and takes nothing back', () =>
    withEtcd(2, async ([a, b]) => {
        await a.ask('bench', 60, 1000);
        await agree([a, b]);

        a.signal('SIGSTOP');
        await until('its guilds to have moved', async () =>
            Object.values(await b.guilds()).every(([n]) => n === 'n1'),
        15000);

        const moved = await b.guilds();

        a.signal('SIGCONT');
        await a.says(/lease is lost/);
        await a.is('up');
        assert.deepEqual(await agree([a, b]), moved);
    }, { etcd: { ttl: 2 } }));


test('without etcd an agent begins from its mirror', () =>
    withEtcd(2, async ([a, b], etcd) => {
        await a.ask('bench', 30, 1000);

        const was = await agree([a, b]);

        await a.killAgent('SIGTERM');
        await etcd.kill();
        rmSync(a.zone);
        await a.killWorker();

        a.run();
        await a.startWorker();
        await until('the mirror in the zone', async () =>
            (await a.state()).guilds === 30);
        assert.deepEqual(await a.guilds(), was);
        assert.equal((await a.join(1003)).result, 'ok');
        assert.ok((await a.join(5555)).provisional);

        await etcd.run();
        await a.is('up');
        await b.is('up');
    }));


test('a keepalive without TTL is the end of the lease', async () => {
    const etcd = await Etcd.start();
    let strange = 0;
    const server = await proxy(etcd, (path, text, status) => {
        if (path === '/v3/lease/keepalive' && strange > 0) {
            strange--;
            const { result } = JSON.parse(text);
            delete result.TTL;
            return [200, `${JSON.stringify({ result })}\n`];
        }
        return [status, text];
    });
    const a = await Agent.start({ node: 'n0', region: 'eu',
        endpoints: [`http://127.0.0.1:${server.address().port}`] });

    try {
        assert.equal((await a.join(1)).result, 'ok');
        strange = 1;
        await a.says(/keepalive without TTL/);
        await a.is('up');
        assert.equal((await a.find(1)).find, 'ok');
    } finally {
        await a.stop();
        server.closeAllConnections();
        server.close();
        await etcd.stop();
    }
});


test('a slot to drain is held although the answer was lost', async () => {
    const etcd = await Etcd.start();
    const slot = Buffer.from('rv1/eu/o/drain/0').toString('base64');
    let lost = 1;
    const server = await proxy(etcd, (path, text, status, asked) => {
        if (path === '/v3/kv/txn' && asked.includes(slot) && lost > 0) {
            lost--;
            return [503, '{"code":14,"message":"no leader"}'];
        }
        return [status, text];
    });
    const a = await Agent.start({ node: 'n0', region: 'eu',
        endpoints: [`http://127.0.0.1:${server.address().port}`] });

    try {
        await a.is('up');
        a.tell('drain', 1);
        await a.says(/draining, with slot/);
        assert.equal(lost, 0);
        assert.equal((await etcd.list('rv1/eu/o/')).length, 1);

        a.tell('drain', 0);
        await until('the slot to be free', async () =>
            (await etcd.list('rv1/eu/o/')).length === 0);
    } finally {
        await a.stop();
        server.closeAllConnections();
        server.close();
        await etcd.stop();
    }
});


test('a refused, then a dead endpoint: the next one is taken', async () => {
    const etcd = await Etcd.start();
    let refuse = true;
    const server = await proxy(etcd, (path, text, status) => refuse
        ? [503, '{ "code" : 14, "message": "etcdserver: no leader" }']
        : [status, text]);
    const first = `http://127.0.0.1:${server.address().port}`;
    const a = await Agent.start({ node: 'n0', region: 'eu',
        endpoints: [first, etcd.url] });

    try {
        refuse = false;
        server.closeAllConnections();
        server.close();
        assert.equal((await a.join(1)).result, 'ok');
        await a.is('up');
    } finally {
        await a.stop();
        await etcd.stop();
    }
});


/* A CA, a server and a client, and a stranger's certificate. */
function certificates(dir) {
    const run = (...args) => execFileSync('openssl', args,
        { cwd: dir, stdio: 'ignore' });
    const sign = (name, ca, ext) => {
        writeFileSync(join(dir, `${name}.ext`), ext);
        run('req', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256',
            '-nodes', '-keyout', `${name}.key`, '-out', `${name}.csr`,
            '-subj', '/O=test');
        run('x509', '-req', '-in', `${name}.csr`, '-CA', `${ca}.pem`,
            '-CAkey', `${ca}.key`, '-CAcreateserial', '-days', '2', '-out',
            `${name}.pem`, '-extfile', `${name}.ext`);
    };

    for (const ca of ['ca', 'other']) {
        run('req', '-x509', '-newkey', 'ec', '-pkeyopt',
            'ec_paramgen_curve:P-256', '-nodes', '-keyout', `${ca}.key`,
            '-out', `${ca}.pem`, '-subj', `/O=${ca}`, '-days', '2');
    }

    sign('server', 'ca', 'subjectAltName=IP:127.0.0.1\n'
        + 'extendedKeyUsage=serverAuth,clientAuth\n');
    sign('client', 'ca', 'extendedKeyUsage=clientAuth\n');
    sign('stranger', 'other', 'extendedKeyUsage=clientAuth\n');
}


test('certificates and users of etcd', async () => {
    const dir = mkdtempSync(join(tmpdir(), 'certs-'));
    const at = (name) => join(dir, name);

    certificates(dir);

    const etcd = await Etcd.start({ tls: { ca: at('ca.pem'),
        cert: at('server.pem'), key: at('server.key'),
        caText: readFileSync(at('ca.pem')),
        clientCert: readFileSync(at('client.pem')),
        clientKey: readFileSync(at('client.key')) } });
    const good = { ca: at('ca.pem'), cert: at('client.pem'),
        key: at('client.key') };
    const a = await Agent.start({ node: 'n0', region: 'eu',
        endpoints: [etcd.url], etcd: { ...good, ttl: 2,
            cert: at('stranger.pem'), key: at('stranger.key') }, up: false });

    try {
        /* a stranger is not let in; SIGHUP reads what is put right */
        await until('it to have tried', async () =>
            (await a.state()).etcd === 0, 10000);
        assert.notEqual((await a.state()).state, 'up');
        a.configure({ etcd: { ...a.conf.etcd, ...good } });
        a.signal('SIGHUP');
        await a.says(/configuration read again/);
        await a.is('up');

        /* with users: nobody without, and tokens that die with etcd */
        await etcd.call('auth/user/add', { name: 'root', password: 'r' });
        await etcd.call('auth/user/grant', { user: 'root', role: 'root' });
        await etcd.call('auth/enable', {});
        writeFileSync(at('password'), 'r\n');
        a.configure({ etcd: { ...a.conf.etcd, user: 'root',
            password_file: at('password') } });
        a.signal('SIGHUP');
        await until('a join by its user', async () =>
            (await a.join(1)).result === 'ok', 15000, 100);
        await a.is('up');

        await etcd.kill();
        await a.is('unsure');
        await etcd.run().catch(() => {});
        await a.is('up');
        assert.equal((await a.join(2)).result, 'ok');

        /* what can't be is told, and the old one stays */
        a.configure({ etcd: { ...a.conf.etcd, ttl: 9 } });
        a.signal('SIGHUP');
        await a.says(/"etcd.ttl" can't change/);
        assert.equal((await a.state()).state, 'up');
    } finally {
        await a.stop();
        await etcd.stop();
        rmSync(dir, { recursive: true });
    }
});


test('configuration and zone are refused with a reason', async () => {
    const dir = mkdtempSync(join(tmpdir(), 'agent-conf-'));
    const file = join(dir, 'agent.json');
    const zone = join(dir, 'zone');
    const agent = join(BUILD, 'ngx-voice-agent');
    const check = (conf) => {
        writeFileSync(file, JSON.stringify(conf));
        return spawnSync(agent, ['-c', file, '--check-config'],
            { encoding: 'utf8' });
    };
    const conf = { node: 'n0', region: 'eu', endpoint: 'a:1',
        cluster_zone: zone, guilds: 64,
        etcd: { endpoints: ['http://127.0.0.1:1'] } };

    try {
        assert.equal(check(conf).status, 0);

        /* the one in the README */
        const readme = readFileSync(new URL('../../README.md',
            import.meta.url), 'utf8');
        const [, shown] = /^```json agent.json\n(.*?)^```/ms.exec(readme);
        const said = check(JSON.parse(shown));

        assert.equal(said.status, 0, said.stderr);

        const bad = check({ ...conf, node: 'N 0' });

        assert.equal(bad.status, 1);
        assert.match(bad.stderr,
            /agent\.json: "node" is "N 0", expected 1 to 32 of a-z/);

        /* a file that is none of ours is left as it is */
        writeFileSync(file, JSON.stringify(conf));
        writeFileSync(zone, 'x'.repeat(100000));

        const a = await Agent.start({ node: 'n0', region: 'eu',
            endpoints: ['http://127.0.0.1:1'], up: false, worker: false,
            conf: { cluster_zone: zone } });

        await a.says(/cluster zone: .*zone is no cluster zone/);
        assert.equal(readFileSync(zone, 'utf8'), 'x'.repeat(100000));
        await a.stop();
    } finally {
        rmSync(dir, { recursive: true });
    }
});


test('a cluster zone is reserved whole, or it is not made', async (t) => {
    const dir = smallFileSystem(t, 8);

    if (dir === null) {
        return;
    }

    const a = await Agent.start({ node: 'n0', region: 'eu',
        endpoints: ['http://127.0.0.1:1'], up: false, worker: false,
        conf: { cluster_zone: join(dir, 'cluster.zone'), guilds: 1 << 18 } });

    try {
        await a.says(/cluster zone: .*zone: No space left on device/);
        assert.deepEqual(readdirSync(dir), []);
    } finally {
        await a.stop();
    }
});
