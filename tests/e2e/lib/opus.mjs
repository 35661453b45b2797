/*
 * Copyright (C) ngx-voice contributors
 *
 * Sound whose every frame is known: made here, recognized behind the call.
 *
 * A melody is a row of tones.  Some noise makes each Opus frame of 20 ms
 * unlike all others, so that one that got lost, doubled or out of order is
 * seen by its bytes; and what is decoded is judged by its frequencies.
 */

import OpusScript from 'opusscript';


const RATE = 48000;
const CHANNELS = 2;

export const FRAME_MS = 20;
const FRAME = RATE * FRAME_MS / 1000;
const STEP = 25;                     /* frames of one tone */


/* A small generator of numbers: the same noise each time. */
function noise(seed) {
    let x = seed >>> 0 || 1;

    return () => {
        x ^= x << 13;
        x ^= x >>> 17;
        x ^= x << 5;
        return (x >>> 0) / 2 ** 32 - 0.5;
    };
}


/*
 * tones: frequencies in Hz, each for half a second.  Gives { tones, frames }.
 */
export function melody(tones, seed = 1) {
    const encoder = new OpusScript(RATE, CHANNELS,
        OpusScript.Application.AUDIO);
    const rand = noise(seed);
    const frames = [];
    let phase = 0;

    encoder.setBitrate(64000);
    for (const hz of tones) {
        for (let f = 0; f < STEP; f++) {
            const pcm = Buffer.alloc(FRAME * CHANNELS * 2);

            for (let i = 0; i < FRAME; i++) {
                phase += 2 * Math.PI * hz / RATE;

                const v = Math.round(12000 * Math.sin(phase)
                    + 300 * rand());

                pcm.writeInt16LE(v, i * 4);
                pcm.writeInt16LE(v, i * 4 + 2);
            }
            frames.push(encoder.encode(pcm, FRAME));
        }
    }
    encoder.delete();

    const distinct = new Set(frames.map((f) => f.toString('hex')));

    if (distinct.size !== frames.length) {
        throw new Error(`of ${frames.length} frames only ${distinct.size} are `
            + 'distinct');
    }

    return { tones, frames };
}


/* Mono samples of Opus packets. */
export function decode(packets) {
    const decoder = new OpusScript(RATE, CHANNELS,
        OpusScript.Application.AUDIO);

    try {
        return Int16Array.from(packets.flatMap((packet) => {
            const pcm = decoder.decode(packet);
            const out = [];

            for (let i = 0; i < pcm.length; i += 4) {
                out.push(pcm.readInt16LE(i));
            }
            return out;
        }));
    } finally {
        decoder.delete();
    }
}


/* The share of the samples' power that is at one frequency, 0..1. */
export function share(samples, hz, rate = RATE) {
    const w = 2 * Math.PI * hz / rate;
    let re = 0;
    let im = 0;
    let total = 0;

    samples.forEach((v, i) => {
        re += v * Math.cos(w * i);
        im += v * Math.sin(w * i);
        total += v * v;
    });

    return total === 0 ? 0
        : 2 * (re * re + im * im) / (samples.length * total);
}


/* Of the tone against all else, in dB. */
export function snr(samples, hz, rate = RATE) {
    const s = Math.min(share(samples, hz, rate), 1 - 1e-9);

    return 10 * Math.log10(s / (1 - s));
}


/*
 * Judges packets that were received of a melody: a list of what is wrong
 * with them, empty if all is well.
 */
export function judge({ tones, frames }, packets, { dB = 20 } = {}) {
    const index = new Map(frames.map((f, i) => [f.toString('hex'), i]));
    const seen = packets.map((p) => index.get(p.toString('hex')) ?? -1);
    const faults = [];

    const foreign = seen.filter((i) => i < 0).length;
    const lost = frames.filter((f, i) => !seen.includes(i)).length;
    const doubled = seen.length - foreign - (frames.length - lost);
    const reordered = seen.filter((v, i) => i > 0 && v < seen[i - 1]).length;

    for (const [what, n] of Object.entries(
        { foreign, lost, doubled, reordered }))
    {
        if (n > 0) {
            faults.push(`${n} of ${frames.length} frames ${what}`);
        }
    }

    if (foreign === 0) {
        faults.push(...judgeTones(tones, decode(packets), dB));
    }

    return faults;
}


/* Looks at the middle of each tone, away from the codec's transitions. */
function judgeTones(tones, samples, dB) {
    const length = STEP * FRAME;

    return tones.flatMap((hz, i) => {
        const part = samples.subarray(i * length + length / 4,
            i * length + 3 * length / 4);
        const is = snr(part, hz);

        return is >= dB ? []
            : [`tone ${i} of ${hz} Hz has ${is.toFixed(1)} dB, not ${dB}`];
    });
}


/* PCM of a WAV file: { rate, channels, samples } with the first channel. */
export function readWav(file) {
    if (file.toString('latin1', 0, 4) !== 'RIFF'
        || file.toString('latin1', 8, 12) !== 'WAVE')
    {
        throw new Error('not a WAV file');
    }

    let format = null;

    for (let at = 12; at + 8 <= file.length;) {
        const id = file.toString('latin1', at, at + 4);
        const size = file.readUInt32LE(at + 4);
        const body = file.subarray(at + 8, at + 8 + size);

        if (id === 'fmt ') {
            format = { codec: body.readUInt16LE(0),
                channels: body.readUInt16LE(2), rate: body.readUInt32LE(4),
                bits: body.readUInt16LE(14) };
        } else if (id === 'data') {
            return { ...format, samples: pcm16(body, format) };
        }
        at += 8 + size + (size & 1);
    }

    throw new Error('WAV file without data');
}


function pcm16(body, format) {
    if (format?.bits !== 16) {
        throw new Error(`WAV file of ${format?.bits} bits, 16 are read here`);
    }

    const step = 2 * format.channels;
    const samples = new Int16Array(Math.floor(body.length / step));

    for (let i = 0; i < samples.length; i++) {
        samples[i] = body.readInt16LE(i * step);
    }

    return samples;
}
