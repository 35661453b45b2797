/*
 * Copyright (C) ngx-voice contributors
 *
 * A node's wall clock jumps while people talk by its server.  Leases, calls
 * and whoever orders what go by clocks that can't be set; what does not are
 * proofs by a common key and tokens, until the clock is right again.
 */

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { withCall } from './lib/call.mjs';
import { Fleet, Traveller } from './lib/fleet.mjs';
import { plainGuilds } from './lib/gateway.mjs';
import { Preload } from './lib/preload.mjs';
import { now, until } from './lib/wait.mjs';


const TTL = 2;
const GUILDS = plainGuilds(2);

const sanitized = /asan/.test(process.env.NGINX_BIN ?? '');


describe('a clock that jumps', { skip: sanitized
    && 'the sanitizer has to be loaded first' }, () => {
    let clock, fleet, a, b, c;

    /* From now on it is wrong by so many seconds. */
    const jump = (seconds) => clock.write(seconds);

    before(async () => {
        clock = new Preload('clock', 1);
        fleet = await Fleet.start({ ttl: TTL, more: GUILDS,
            nodes: [{ name: 'ams', env: clock.env }, { name: 'ber' },
                { name: 'cdg' }] });
        [a, b, c] = fleet.nodes;
    });

    after(async () => {
        await fleet?.stop();
        clock.close();
    });

    for (const [i, [what, seconds]] of [['ahead', 3600],
        ['back', -3600]].entries())
    {
        test(`an hour ${what}: calls, leases and guilds stay`, () =>
            withCall(fleet, { guild: GUILDS[i], on: a, by: [b, c] },
                async (call) => {
                    const from = a.agent.text.length;
                    const before = a.nginx.logText().length;
                    const said = (pattern) => pattern.test(
                        a.nginx.logText().slice(before));
                    const start = now();

                    /* nobody takes its word, but it is there as before */

                    jump(seconds);
                    await until('its proofs to be refused', () =>
                        said(/can't be told to node "ber".* it refuses/)
                        && said(/can't be told to node "cdg".* it refuses/)
                        && [b, c].every((n) => n.nginx.logLines(
                            /refused: its clock differs/).length > 0), 20000);
                    await until('leases to be renewed', async () => {
                        assert.ok(await fleet.isRegistered(a));

                        return now() - start > 2 * TTL * 1000;
                    });
                    await call.heard(25);
                    assert.doesNotMatch(a.agent.text.slice(from),
                        /state|lost/);

                    jump(0);
                    await until('its proofs to be taken again', () =>
                        said(/told to node "ber" again/)
                        && said(/told to node "cdg" again/), 20000);

                    const one = await Traveller.join(fleet, a, GUILDS[i].id,
                        GUILDS[i].channels[0].id);

                    assert.equal(one.at.name, a.name);
                    await one.leave();
                    await call.endsUnbroken();
                }));
    }
});
