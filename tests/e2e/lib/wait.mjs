/*
 * Copyright (C) ngx-voice contributors
 *
 * Waiting for conditions.  What is waited for has a name, so that a time-out
 * says what did not happen.
 */

import { setTimeout as delay } from 'node:timers/promises';


export const now = () => performance.now();


/* Polls check() until it gives something truthy, and returns that. */
export async function until(what, check, ms = 5000, every = 10) {
    const end = now() + ms;

    for (;;) {
        const value = await check();

        if (value) {
            return value;
        }

        if (now() > end) {
            throw new Error(`waited ${ms} ms in vain for ${what}`);
        }

        await delay(every);
    }
}


/* A promise with a time limit. */
export function within(what, promise, ms = 5000) {
    let timer;
    const limit = new Promise((resolve, reject) => {
        timer = setTimeout(() => reject(
            new Error(`waited ${ms} ms in vain for ${what}`)), ms);
    });

    return Promise.race([promise, limit]).finally(() => clearTimeout(timer));
}


/*
 * Things that arrive: each is kept, and somebody may wait for one that
 * fits.
 */
export class Inbox {
    constructor() {
        this.all = [];
        this.waiting = new Set();
        this.ended = null;
    }

    push(item) {
        this.all.push(item);
        for (const w of [...this.waiting]) {
            w();
        }
    }

    /* Nothing more comes: whoever waits is told why. */
    end(reason) {
        this.ended = reason;
        for (const w of [...this.waiting]) {
            w();
        }
    }

    /* The first item at or behind `from` that fits. */
    find(fits, { from = 0, ms = 5000, what = 'a message' } = {}) {
        return new Promise((resolve, reject) => {
            let at = from;
            let timer = null;

            const done = (settle, value) => {
                clearTimeout(timer);
                this.waiting.delete(look);
                settle(value);
            };

            const look = () => {
                for (; at < this.all.length; at++) {
                    if (fits(this.all[at])) {
                        return done(resolve, this.all[at]);
                    }
                }
                if (this.ended) {
                    return done(reject, new Error(
                        `${what} did not come: ${this.ended}`));
                }
            };

            this.waiting.add(look);
            timer = setTimeout(() => done(reject, new Error(
                `waited ${ms} ms in vain for ${what}`)), ms);
            look();
        });
    }
}
