/*
 * Copyright (C) ngx-voice contributors
 *
 * RTP and RTCP: the little that the tests say and read.
 */


export const OPUS = 120;
export const SILENCE = Buffer.from([0xf8, 0xff, 0xfe]);


export function rtpPacket({ seq, timestamp, ssrc, payload, pt = OPUS,
    marker = false, csrcs = [], extension = null })
{
    const head = Buffer.alloc(12 + 4 * csrcs.length + (extension ? 4 : 0));

    head[0] = 0x80 | (extension ? 0x10 : 0) | csrcs.length;
    head[1] = (marker ? 0x80 : 0) | pt;
    head.writeUInt16BE(seq & 0xffff, 2);
    head.writeUInt32BE(timestamp >>> 0, 4);
    head.writeUInt32BE(ssrc >>> 0, 8);
    csrcs.forEach((c, i) => head.writeUInt32BE(c, 12 + 4 * i));

    if (!extension) {
        return Buffer.concat([head, payload]);
    }

    head.writeUInt16BE(0xbede, head.length - 4);
    head.writeUInt16BE(extension.length / 4, head.length - 2);

    return Buffer.concat([head, extension, payload]);
}


/* Fixed header, CSRCs and extension preamble. */
export function rtpPrefix(packet) {
    return 12 + 4 * (packet[0] & 0x0f) + (packet[0] & 0x10 ? 4 : 0);
}


export function parseRtp(packet) {
    let at = rtpPrefix(packet);

    if (packet[0] & 0x10) {
        at += 4 * packet.readUInt16BE(at - 2);
    }

    return {
        version: packet[0] >> 6,
        extension: (packet[0] & 0x10) !== 0,
        csrcs: packet[0] & 0x0f,
        marker: (packet[1] & 0x80) !== 0,
        pt: packet[1] & 0x7f,
        seq: packet.readUInt16BE(2),
        timestamp: packet.readUInt32BE(4),
        ssrc: packet.readUInt32BE(8),
        payload: packet.subarray(at)
    };
}


export const isRtcp = (packet) => packet.length >= 8
    && packet[0] >> 6 === 2 && packet[1] >= 192 && packet[1] <= 223;


/* Sender report; ntp: 64 bits. */
export function senderReport({ ssrc, ntp, timestamp, packets, octets }) {
    const p = Buffer.alloc(28);

    p[0] = 0x80;
    p[1] = 200;
    p.writeUInt16BE(6, 2);
    p.writeUInt32BE(ssrc, 4);
    p.writeBigUInt64BE(ntp, 8);
    p.writeUInt32BE(timestamp >>> 0, 16);
    p.writeUInt32BE(packets, 20);
    p.writeUInt32BE(octets, 24);

    return p;
}


/* A compound packet as an array of its parts. */
export function parseRtcp(packet) {
    const parts = [];
    let at = 0;

    while (at < packet.length) {
        const length = 4 * (packet.readUInt16BE(at + 2) + 1);

        if (at + length > packet.length) {
            throw new RangeError(`RTCP part of ${length} bytes at ${at} of `
                + packet.length);
        }

        parts.push(rtcpPart(packet.subarray(at, at + length)));
        at += length;
    }

    return parts;
}


function rtcpPart(p) {
    const part = { type: p[1], count: p[0] & 0x1f, ssrc: p.readUInt32BE(4),
        blocks: [] };
    const first = { 200: 28, 201: 8 }[part.type];

    for (let i = 0; first && i < part.count; i++) {
        part.blocks.push(reportBlock(p.subarray(first + 24 * i)));
    }

    return part;
}


function reportBlock(b) {
    return {
        ssrc: b.readUInt32BE(0),
        fraction: b[4],
        lost: b.readIntBE(5, 3),
        highest: b.readUInt32BE(8),
        jitter: b.readUInt32BE(12),
        lsr: b.readUInt32BE(16),
        dlsr: b.readUInt32BE(20)
    };
}


export function discoveryRequest(ssrc) {
    const p = Buffer.alloc(74);

    p.writeUInt16BE(1, 0);
    p.writeUInt16BE(70, 2);
    p.writeUInt32BE(ssrc, 4);

    return p;
}


export const isDiscoveryResponse = (p) =>
    p.length === 74 && p.readUInt16BE(0) === 2 && p.readUInt16BE(2) === 70;


export function parseDiscovery(p) {
    return {
        ssrc: p.readUInt32BE(4),
        address: p.toString('latin1', 8, p.indexOf(0, 8)),
        port: p.readUInt16BE(72)
    };
}
