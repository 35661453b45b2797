/*
 * Copyright (C) ngx-voice contributors
 *
 * Bots that were written for another service, by their libraries' own means:
 * nothing but host names is changed.  They log in, join, are heard, hear, are
 * moderated by each other, lose their gateway and resume.
 */

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { CHANNEL, GUILD, Guest, ROLE, guilds, rest } from './lib/gateway.mjs';
import { BOTS, Bot } from './lib/library.mjs';
import { isSilence, newUser } from './lib/member.mjs';
import { Nginx } from './lib/nginx.mjs';
import { judge, melody } from './lib/opus.mjs';
import { until } from './lib/wait.mjs';


const NAMES = Object.keys(BOTS);
const MODES = { discordpy: 'xsalsa20_poly1305_lite',
    eris: 'xsalsa20_poly1305' };
const AES = 'aead_aes256_gcm_rtpsize';

const MELODIES = NAMES.map((name, i) =>
    melody([440 + 50 * i, 660 + 75 * i], i + 1));
const TUNE = melody([600]);

const { lounge, studio } = CHANNEL;


/* All bots are moderators, so that each may act on the next one. */
const users = Object.fromEntries(NAMES.map((name) => [name, newUser()]));

function directory() {
    const [guild, other] = guilds();

    guild.members.push(...NAMES.map((name) => ({
        user: { id: users[name], username: name, bot: true },
        roles: [ROLE.moderators] })));

    return [guild, other];
}


const bots = {};

let nginx;
let guest;


before(async () => {
    nginx = await Nginx.start({ workers: 2, tcp: 'reuseport',
        guilds: directory(), identify: null });

    /* their voice goes directly, all else by their proxies */
    await nginx.reload({ ...nginx.options,
        server: `voice_endpoint 127.0.0.1:${nginx.https};` });
    for (const name of NAMES) {
        bots[name] = await Bot.login(nginx, name, { user: users[name] });
    }
    guest = await Guest.join(nginx, GUILD, studio, { user: newUser() });
});

after(() => nginx?.stop());


const act = (bot, on, what) => bot.ask('moderate',
    { guild: GUILD, user: on.user, ...what });

/* What of a user comes from now on. */
async function listener(bot, user) {
    const { length } = await bot.heard(user);

    return {
        next: async (n) => (await bot.heard(user, length + n)).slice(length)
    };
}

/* What the guest has heard of a user, as the SSRC that it has now. */
function guestHears(user) {
    const { voice } = guest;
    const ssrc = voice.messages.all.findLast((m) =>
        m.op === 5 && m.d.user_id === user)?.d.ssrc;

    return voice.packets.filter((p) => p.ssrc === ssrc
        && !isSilence(p.payload)).map((p) => p.payload);
}


test('they log in and see their guilds', () => {
    for (const name of NAMES) {
        assert.equal(bots[name].is.user, users[name]);
        assert.deepEqual(bots[name].is.guilds.toSorted(),
            guilds().map((g) => g.id));
    }
});


test('they join one channel and hear each other', async () => {
    const all = Object.values(bots);

    for (const b of all) {
        await b.join(GUILD, lounge);
        assert.equal(b.mode, MODES[b.name] ?? AES);
    }
    await Promise.all(all.filter((b) => !b.deaf).flatMap((b) =>
        all.filter((o) => o !== b).map((o) => b.listen(o.user))));
    await Promise.all(all.map((b, i) => b.play(MELODIES[i])));

    const faults = {};

    for (const b of all.filter((b) => !b.deaf)) {
        for (const [i, o] of all.entries()) {
            const m = MELODIES[i];
            const found = o === b ? []
                : judge(m, await b.heard(o.user, m.frames.length));

            if (found.length > 0) {
                faults[`${b.name} hears of ${o.name}`] = found;
            }
        }
    }
    assert.deepEqual(faults, {});
});


for (const [i, name] of NAMES.entries()) {
    const moderator = NAMES.at(i - 1);
    const ear = NAMES.find((n) => !BOTS[n].deaf && n !== name
        && n !== moderator);

    describe(`${name}, moderated by ${moderator}`, () => {
        let bot;
        let mod;
        let other;

        before(() => {
            [bot, mod, other] = [bots[name], bots[moderator], bots[ear]];
        });

        test('is muted, and is not heard until that is undone', async () => {
            const heard = await listener(other, bot.user);
            const dropped = await nginx.dropped('muted');

            await act(mod, bot, { mute: true });
            await Promise.all([bot, mod, other].map((b) =>
                b.sees(GUILD, bot.user, { mute: true, channel: lounge })));
            await bot.play(TUNE);
            await until('its packets to be dropped', async () =>
                await nginx.dropped('muted')
                    >= dropped + TUNE.frames.length);
            assert.equal((await heard.next(0)).length, 0);

            await act(mod, bot, { mute: false });
            await Promise.all([bot, other].map((b) =>
                b.sees(GUILD, bot.user, { mute: false })));
            await bot.play(TUNE);
            assert.deepEqual(judge(TUNE,
                await heard.next(TUNE.frames.length)), []);
        });

        test('is moved, and is heard there', async () => {
            const heard = await listener(other, bot.user);
            const from = guest.voice.messages.all.length;

            await act(mod, bot, { channel: studio });
            await Promise.all([bot, mod, other].map((b) =>
                b.sees(GUILD, bot.user, { channel: studio })));

            /* it takes its time to follow */
            await guest.voice.messages.find((m) => m.op === 11
                && m.d.user_ids.includes(bot.user),
            { from, ms: 15000, what: `op 11 of ${name}` });
            await bot.ask('ready');
            await bot.play(TUNE);
            await until(`${name} to be heard in the other channel`, () =>
                guestHears(bot.user).length >= TUNE.frames.length);
            assert.deepEqual(judge(TUNE, guestHears(bot.user)), []);
            assert.equal((await heard.next(0)).length, 0);
        });

        test('is disconnected, and joins again', async () => {
            const from = guest.voice.messages.all.length;
            const heard = await listener(other, bot.user);

            await act(mod, bot, { channel: null });
            await Promise.all([bot, other].map((b) =>
                b.sees(GUILD, bot.user, { channel: null })));
            await guest.voice.messages.find((m) => m.op === 13
                && m.d.user_id === bot.user,
            { from, what: `op 13 of ${name}` });
            assert.equal((await rest(nginx, 'GET',
                `guilds/${GUILD}/voice-states/${bot.user}`,
                { token: guest.gateway.token })).status, 404);

            await bot.join(GUILD, lounge);
            await bot.play(TUNE);
            assert.deepEqual(judge(TUNE,
                await heard.next(TUNE.frames.length)), []);
        });
    });
}


test('each loses its gateway and misses nothing', async () => {
    const all = Object.values(bots);
    const { gateway, user } = guest;
    const marks = all.map((b) => b.changes.length);

    all.forEach((b) => b.proxy.cut());

    const steps = [
        [lounge, false], [lounge, true], [studio, true], [studio, false],
        [null, false], [lounge, false]
    ];

    for (const [channel, mute] of steps) {
        const from = gateway.mark;

        gateway.voice(GUILD, channel, { self_mute: mute });
        await gateway.state(user, (d) => d.channel_id === channel
            && d.self_mute === mute, { from });
    }

    all.forEach((b) => b.proxy.release());
    await Promise.all(all.map((b) => until(`${b.name} to resume`,
        async () => (await b.ask('count')).resumed === 1, 20000, 50)));
    await Promise.all(all.map((b) => b.sees(GUILD, user,
        { channel: lounge })));

    for (const [i, b] of all.entries()) {
        assert.deepEqual((await b.ask('count')), { ready: 1, resumed: 1 },
            b.name);
        assert.deepEqual(b.changes.slice(marks[i])
            .filter((c) => c.user === user)
            .map((c) => [c.channel, c.selfMute]), steps, b.name);
    }

    /* their calls went on meanwhile */
    for (const b of all) {
        const ear = all.find((o) => !o.deaf && o !== b);
        const heard = await listener(ear, b.user);

        await b.play(TUNE);
        assert.deepEqual(judge(TUNE, await heard.next(TUNE.frames.length)),
            [], `${ear.name} hears of ${b.name}`);
    }
});


test('they leave', async () => {
    for (const b of Object.values(bots)) {
        const from = guest.gateway.mark;

        await b.leaveChannel();
        await guest.gateway.state(b.user, (d) => d.channel_id === null,
            { from });
        assert.equal((await rest(nginx, 'GET',
            `guilds/${GUILD}/voice-states/${b.user}`,
            { token: guest.gateway.token })).status, 404);
        await b.end();
    }
    await guest.leave();
});
