/*
 * Copyright (C) ngx-voice contributors
 *
 * What a receiver counts about one RTP source: loss, duplicates and order by
 * sequence numbers, and how its packets come in time.
 */


#ifndef _VC_STREAM_H_INCLUDED_
#define _VC_STREAM_H_INCLUDED_


#include "voice_replay.h"

#include <stdbool.h>
#include <stdint.h>


/* a packet this much behind its playout time is late: three frames */
#define VC_LATE_MS           60
#define VC_LATE_NS           ((int64_t) VC_LATE_MS * 1000000)

#define VC_RTP_CLOCK         48000


typedef struct {
    voice_replay_t   window;
    uint32_t         first;        /* extended, lowest seen */
    uint32_t         highest;
    uint64_t         received;     /* each packet once */
    uint64_t         duplicated;
    uint64_t         reordered;    /* new, but behind one that came before */
    uint64_t         stale;        /* too old to tell, so it stays lost */
} vc_stream_t;


typedef enum {
    VC_STREAM_NEW,
    VC_STREAM_DUPLICATE,
    VC_STREAM_STALE
} vc_stream_result_t;


/* A zeroed vc_stream_t is empty.  ext_seq is set for a new packet. */
vc_stream_result_t vc_stream_add(vc_stream_t *s, uint16_t seq,
    uint32_t *ext_seq);

/* Gaps between the lowest and the highest number seen. */
uint64_t vc_stream_lost(const vc_stream_t *s);


/*
 * Time of arrival.  A talk spurt starts with the first packet and ends with
 * a silence frame; between the two it should be continuous.  The packet that
 * came soonest against its RTP time stamp sets the spurt's playout clock.
 */
typedef struct {
    bool       talking;
    bool       awaited;       /* goes on with a spurt of another stream */
    uint32_t   base_ts;
    int64_t    base;          /* arrival of base_ts at the best, ns */
    uint64_t   first;         /* arrival of the oldest packet, ns */
    uint64_t   last;          /* and of the newest */
    uint64_t   gap;           /* longest time between two packets, ns */
    uint64_t   late;
} vc_playout_t;


void vc_playout_add(vc_playout_t *p, uint32_t rtp_ts, bool silence,
    uint64_t now);

/* The source has left, so that nothing more is expected of it. */
void vc_playout_stop(vc_playout_t *p);

/*
 * The same speaker's former stream, that of another server or session: from
 * its last packet to the first one here is a gap, too.
 */
void vc_playout_follow(vc_playout_t *p, vc_playout_t *former);

/* Longest gap, ns, with the one that still lasts. */
uint64_t vc_playout_gap(const vc_playout_t *p, uint64_t now);


#endif /* _VC_STREAM_H_INCLUDED_ */
