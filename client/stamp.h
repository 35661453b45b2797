/*
 * Copyright (C) ngx-voice contributors
 *
 * Time stamps inside Opus packets, so that a receiver on the same machine
 * measures the latency of packets that every decoder still plays.
 *
 * RFC 6716 section 3.2.5: a packet of code 3 may end with padding, which
 * decoders skip whatever its bytes are.  The stamp is its last 32 bytes:
 *
 *   magic 8 | run 4 | sender 4 | seq 4 | 4 zero | time 8   (big-endian)
 */


#ifndef _VC_STAMP_H_INCLUDED_
#define _VC_STAMP_H_INCLUDED_


#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>


#define VC_STAMP_LEN         32

/* what a stamp adds to a packet: count and padding length bytes as well */
#define VC_STAMP_OVERHEAD    (VC_STAMP_LEN + 3)

/* the smallest packet that vc_stamp_packet() can make */
#define VC_STAMP_PACKET_MIN  (VC_STAMP_LEN + 5)
#define VC_STAMP_PACKET_MAX  1275


typedef struct {
    uint32_t   run;       /* random number of the sending process */
    uint32_t   sender;    /* of that run */
    uint32_t   seq;
    uint64_t   time;      /* CLOCK_MONOTONIC, ns */
} vc_stamp_t;


/*
 * Makes a packet of exactly len bytes (VC_STAMP_PACKET_MIN ... _MAX) that
 * decodes to 20 ms of silence and ends with the stamp.
 */
void vc_stamp_packet(uint8_t *out, size_t len, const vc_stamp_t *stamp);

/*
 * Adds the stamp to an encoder's packet in place; size is the room that pkt
 * has.  The new length, or 0 if the packet is malformed or does not fit: it
 * is unchanged then.
 */
size_t vc_stamp_add(uint8_t *pkt, size_t len, size_t size,
    const vc_stamp_t *stamp);

/* Reads the stamp of a packet; false if it has none. */
bool vc_stamp_read(const uint8_t *pkt, size_t len, vc_stamp_t *stamp);


#endif /* _VC_STAMP_H_INCLUDED_ */
