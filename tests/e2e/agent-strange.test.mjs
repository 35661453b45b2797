/*
 * Copyright (C) ngx-voice contributors
 *
 * The discovery agent when etcd's data, its stream or this machine's files
 * are not what they should be.
 */

import assert from 'node:assert/strict';
import { cpSync, existsSync, readFileSync, renameSync, rmSync, symlinkSync,
    writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { test } from 'node:test';

import { Agent, agree, fleet } from './lib/agent.mjs';
import { Etcd, proxy } from './lib/etcd.mjs';
import { until } from './lib/wait.mjs';


const A = 'rv1/eu/a/';
const same = (path, text, status) => [status, text];


/* One agent, by way of a proxy, and what stops all of it. */
async function withProxy(change, watch, body) {
    const etcd = await Etcd.start();
    const server = await proxy(etcd, change, watch);
    const a = await Agent.start({ node: 'n0', region: 'eu',
        endpoints: [`http://127.0.0.1:${server.address().port}`] });

    try {
        await body(a, etcd);
    } catch (e) {
        e.message += `\n${a.log}`;
        throw e;
    } finally {
        await a.stop();
        server.closeAllConnections();
        server.close();
        await etcd.stop();
    }
}


/* { guild: [node, revision] }, as etcd has it */
async function truth(etcd) {
    return Object.fromEntries((await etcd.list(A)).map(({ key, value, mod }) =>
        [key.slice(A.length), [JSON.parse(value).s, mod]]));
}


for (const [what, token] of [['a backup', undefined],
    ['nothing, another cluster', 'another']])
{
    test(`etcd begins anew from ${what}: its data are listed at once`,
        async () => {
            const etcd = await Etcd.start();
            const data = join(etcd.dir, 'data');
            const agents = await fleet(2, { region: 'eu',
                endpoints: [etcd.url] });

            try {
                await agents[0].ask('bench', 20, 1000);
                await agree(agents);
                await etcd.kill();
                cpSync(data, `${data}.old`, { recursive: true });
                await etcd.run();
                await Promise.all(agents.map((a) => a.is('up')));

                await agents[0].ask('bench', 40, 2000);
                assert.equal(Object.keys(await agree(agents)).length, 60);

                await etcd.kill();
                rmSync(data, { recursive: true });
                if (!token) {
                    renameSync(`${data}.old`, data);
                }
                await etcd.run({ token });

                /* the lists to compare by are five minutes away */
                await until('zones to be as etcd is', async () => {
                    const now = JSON.stringify(await truth(etcd));

                    return (await Promise.all(agents.map((a) => a.guilds())))
                        .every((g) => JSON.stringify(g) === now);
                }, 30000, 100);
                await Promise.all(agents.map((a) => a.is('up')));
                assert.equal(Object.keys(await truth(etcd)).length,
                    token ? 0 : 20);

                /* after those who have calls could say so */
                await until('a first join', async () =>
                    (await agents[1].join(3000)).result === 'ok', 20000);
            } catch (e) {
                e.message += agents.map((a) => `\n--- ${a.log}`).join('');
                throw e;
            } finally {
                await Promise.all(agents.map((a) => a.stop()));
                await etcd.stop();
            }
        });
}


test('a watch that breaks within a transaction goes on before it', () => {
    let cut = 0;

    return withProxy(same, (line) => {
        const { result } = JSON.parse(line);

        if (cut !== 0 || (result?.events?.length ?? 0) < 10) {
            return line;
        }
        cut = result.events.length;

        return [JSON.stringify({ result: { ...result, fragment: true,
            events: result.events.slice(0, 4) } }), null];
    }, async (a, etcd) => {
        await etcd.fill(Array.from({ length: 50 }, (_, i) =>
            [`${A}${i + 1}`, { s: 'n0', e: a.boot }]));
        await until('all of them', async () =>
            (await a.state()).guilds === 50, 10000);
        assert.equal(cut, 50);
    });
});


test('a line without end is given up, and all is listed', () => {
    let send = false;

    return withProxy(same, (line) => {
        if (!send) {
            return line;
        }
        send = false;

        return [`{"result":{"x":"${'x'.repeat(17 << 20)}"}}`, line];
    }, async (a, etcd) => {
        const lists = () => a.log.match(/listed at revision/g).length;
        const before = lists();

        send = true;
        await a.says(/watch ended: a line of more than 16 MiB/);
        await until('a list', () => lists() > before, 10000);
        await etcd.put(`${A}77`, { s: 'n0', e: a.boot });
        await until('what comes next', async () =>
            (await a.find(77)).find === 'ok', 10000);
        await a.is('up');

        /* and its memory is given back */
        const rss = () => Number(/VmRSS:\s+(\d+)/.exec(readFileSync(
            `/proc/${a.child.pid}/status`, 'utf8'))[1]) / 1024;

        if (!process.env.NGX_VOICE_AGENT?.includes('asan')) {
            await until('its memory', () => rss() < 30, 10000);
        }
    });
});


test('an etcd that is slow is asked no more often', () => {
    let calls = 0, slow = 0;

    return withProxy(async (path, text, status) => {
        calls++;
        await delay(slow);
        return [status, text];
    }, undefined, async (a) => {
        await a.join(1);
        slow = 4000;
        calls = 0;
        await a.is('unsure');
        assert.equal((await a.join(1)).result, 'ok');
        await delay(3000);
        assert.ok(calls < 60, `${calls} calls`);
        slow = 0;
        await a.is('up');
    });
});


test('what is not ours below the prefix keeps nobody from a list', async () => {
    const etcd = await Etcd.start();

    try {
        /* keys longer than any of ours, more than a page of them */
        for (let i = 0; i < 1100; i += 100) {
            await etcd.fill(Array.from({ length: 100 }, (_, n) =>
                [`rv1/eu/0/${'x'.repeat(400)}${i + n}`, 'x']));
        }

        /* and more than an answer may have */
        for (let i = 0; i < 18; i++) {
            await etcd.put(`rv1/eu/0/y${i}`, 'y'.repeat(1000000));
        }
        await etcd.put(`${A}5`, { s: 'n0', e: 'b' });

        const a = await Agent.start({ node: 'n0', region: 'eu',
            endpoints: [etcd.url] });

        try {
            assert.equal((await a.find(5)).node, 'n0');
            assert.match(a.log, /no list of etcd's keys: .*answer too large/);
        } finally {
            await a.stop();
        }
    } finally {
        await etcd.stop();
    }
});


test('another zone while joins are under way', async () => {
    const etcd = await Etcd.start();
    const [a, b] = await fleet(2, { region: 'eu', endpoints: [etcd.url] });
    const maker = await Agent.start({ node: 'n9', region: 'eu',
        endpoints: ['http://127.0.0.1:1'], up: false, worker: false,
        conf: { guilds: 64 } });

    try {
        const [{ mod }] = await etcd.list('rv1/eu/n/n0');

        await until('the other zone', () => existsSync(maker.zone));
        await maker.killAgent();

        etcd.signal('SIGSTOP');
        a.join(1).catch(() => {});
        a.join(2).catch(() => {});
        await delay(200);
        await a.killWorker();
        renameSync(maker.zone, a.zone);
        await a.startWorker(a.boot);
        await a.says(/was replaced: using the new one/);

        /* its first tickets are those of the ones before */
        const joins = [a.ask('join', 3, 'mars'), a.ask('join', 4, 'mars')];

        etcd.signal('SIGCONT');

        for (const join of joins) {
            const { result } = await join;

            assert.ok(['not_found', 'state'].includes(result), result);
        }
        await a.is('up');
        assert.equal((await a.join(5)).result, 'ok');
        assert.deepEqual(Object.keys(await a.nodes()).sort(), ['n0', 'n1']);

        /* to others nothing has happened */
        assert.equal((await etcd.list('rv1/eu/n/n0'))[0].mod, mod);
        assert.equal((await b.nodes()).n0.flags, 1);
    } finally {
        await Promise.all([a, b, maker].map((x) => x.stop()));
        await etcd.stop();
    }
});


test('a full disk and a broken configuration change nothing', async () => {
    const etcd = await Etcd.start();
    const a = await Agent.start({ node: 'n0', region: 'eu',
        endpoints: [etcd.url] });

    try {
        writeFileSync(a.file, '{ "node": ');
        a.signal('SIGHUP');
        await a.says(/the configuration stays as it was: .*line 1/);
        assert.equal((await a.join(1)).result, 'ok');
        a.configure();

        /* the file that becomes the mirror */
        symlinkSync('/dev/full', `${a.mirror}.new`);
        await a.killAgent('SIGINT');
        assert.match(a.log, /mirror ".*": No space left on device/);
        assert.ok(!existsSync(a.mirror));

        a.run();
        await until('the new agent', async () =>
            (await a.state()).starts === 2 && (await a.state()).state === 'up');
        await a.killAgent('SIGINT');
        assert.ok(existsSync(a.mirror));
    } finally {
        await a.stop();
        await etcd.stop();
    }
});
