/*
 * Copyright (C) ngx-voice contributors
 *
 * JSON web tokens, signed by node's own crypto and thus independent of the
 * library that the server verifies them with.
 */

import { createHmac, randomBytes } from 'node:crypto';


const part = (object) =>
    Buffer.from(JSON.stringify(object)).toString('base64url');


export function newKey() {
    return randomBytes(32).toString('hex');
}


export function signToken(key, claims, { alg = 'HS256' } = {}) {
    const body = `${part({ alg, typ: 'JWT' })}.${part(claims)}`;

    if (alg === 'none') {
        return `${body}.`;
    }

    const mac = createHmac('sha256', key).update(body).digest('base64url');

    return `${body}.${mac}`;
}


/* A voice token as the main gateway hands it out. */
export function voiceToken(key, { user, guild, channel, session, ttl = 60,
    ...claims }, options)
{
    return signToken(key, {
        sub: String(user), sid: session, gid: String(guild),
        cid: String(channel), exp: Math.floor(Date.now() / 1000) + ttl,
        ...claims
    }, options);
}


/* A user's token, which is a library's bot token. */
export function userToken(key, { user, name = `user ${user}`, guilds,
    ttl = 600, ...claims }, options)
{
    return signToken(key, {
        sub: String(user), name, guilds,
        exp: Math.floor(Date.now() / 1000) + ttl, ...claims
    }, options);
}
