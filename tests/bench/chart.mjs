/*
 * Copyright (C) ngx-voice contributors
 *
 * The plot of `make bench`: cost of a packet over the size of its room.
 */


const WIDTH = 640;
const HEIGHT = 360;
const LEFT = 56;
const RIGHT = 20;
const TOP = 40;
const BOTTOM = 48;

const COLOURS = ['#1f6fb4', '#c4561a', '#3b8a3e'];


/* Rooms of one size several times: the one with the fewest talkers. */
function points(list) {
    const by = new Map();

    for (const s of list) {
        if (!(by.get(s.participants)?.talkers <= s.talkers)) {
            by.set(s.participants, s);
        }
    }

    return [...by.values()].sort((a, b) => a.participants - b.participants);
}


export function chart({ rooms, machine }) {
    const modes = [...new Set(rooms.map((s) => s.mode))];
    const series = [
        { name: 'sendmmsg() alone', colour: '#777', dash: '5 4',
            at: points(rooms.filter((s) => s.mode === modes[0]))
                .map((s) => [s.participants, s.floor[1]]) },
        ...modes.map((mode, i) => ({ name: mode, colour: COLOURS[i],
            at: points(rooms.filter((s) => s.mode === mode))
                .map((s) => [s.participants, s.relay[1]]) }))
    ];
    const sizes = [...new Set(series.flatMap((s) => s.at.map(([x]) => x)))];
    const top = Math.ceil(Math.max(...series.flatMap((s) =>
        s.at.map(([, y]) => y))));
    const [low, high] = [Math.min(...sizes), Math.max(...sizes)];
    const x = (n) => LEFT + Math.log(n / low) / Math.log(high / low)
        * (WIDTH - LEFT - RIGHT);
    const y = (us) => HEIGHT - BOTTOM - us / top * (HEIGHT - TOP - BOTTOM);
    const fix = (n) => Number(n.toFixed(1));
    const step = Math.max(1, Math.round(top / 6));
    const out = [];

    for (let us = 0; us <= top; us += step) {
        out.push(`<path d="M${LEFT} ${fix(y(us))}H${WIDTH - RIGHT}" `
            + 'stroke="#ddd"/>',
        `<text x="${LEFT - 8}" y="${fix(y(us) + 4)}" text-anchor="end">`
            + `${us}</text>`);
    }

    for (const size of sizes) {
        out.push(`<text x="${fix(x(size))}" y="${HEIGHT - BOTTOM + 18}" `
            + `text-anchor="middle">${size}</text>`);
    }

    series.forEach(({ name, colour, dash, at }, i) => {
        const line = at.map(([n, us]) => `${fix(x(n))} ${fix(y(us))}`);

        out.push(`<path d="M${line.join('L')}" fill="none" `
            + `stroke="${colour}" stroke-width="2"`
            + `${dash ? ` stroke-dasharray="${dash}"` : ''}/>`,
        `<text x="${WIDTH - RIGHT}" y="${TOP + 16 * i + 12}" `
            + `text-anchor="end" fill="${colour}">${name}</text>`);
    });

    return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} `
        + `${HEIGHT}" font-family="sans-serif" font-size="12">\n`
        + `<rect width="${WIDTH}" height="${HEIGHT}" fill="#fff"/>\n`
        + `<text x="${LEFT}" y="20">CPU of a forwarded packet, us `
        + `(${machine})</text>\n`
        + `${out.join('\n')}\n`
        + `<text x="${(LEFT + WIDTH - RIGHT) / 2}" y="${HEIGHT - 8}" `
        + 'text-anchor="middle">members of a room</text>\n</svg>\n';
}
