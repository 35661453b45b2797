/*
 * Copyright (C) ngx-voice contributors
 *
 * Reception statistics of one RTP source: loss and jitter as RFC 3550
 * appendices A.3 and A.8 define them.  The extended sequence number comes
 * from the replay window, so duplicates never get here.
 *
 * The struct lives in shared memory.  One process at a time feeds it; a
 * reader, or a process that takes over, sees whole words.
 */


#ifndef _VOICE_RTPSTAT_H_INCLUDED_
#define _VOICE_RTPSTAT_H_INCLUDED_


#include "voice_rtcp.h"


typedef struct {
    uint32_t   base_seq;         /* first extended sequence number */
    uint32_t   max_seq;          /* highest one */
    uint32_t   received;         /* packets; 0: nothing came yet */
    uint32_t   expected_prior;   /* at the last report */
    uint32_t   received_prior;
    uint32_t   transit;          /* of the last packet, 48 kHz units */
    uint32_t   jitter_q4;        /* estimate, scaled by 16 */
    uint32_t   lsr;              /* last SR, middle 32 bits; 0: none */
    uint64_t   lsr_at;           /* when it came, microseconds */
} voice_rtpstat_t;


/* now in microseconds of any monotonic clock, clock_rate of the RTP stamps */
void voice_rtpstat_add(voice_rtpstat_t *st, uint32_t ext_seq, uint32_t rtp_ts,
    uint64_t now, uint32_t clock_rate);

void voice_rtpstat_sr(voice_rtpstat_t *st, const voice_rtcp_sr_t *sr,
    uint64_t now);

/* Cumulative loss; negative if there were more packets than expected. */
int32_t voice_rtpstat_lost(const voice_rtpstat_t *st);

/* Fills the block and begins the next report interval. */
void voice_rtpstat_report(voice_rtpstat_t *st, uint32_t ssrc, uint64_t now,
    voice_rtcp_block_t *block);


#endif /* _VOICE_RTPSTAT_H_INCLUDED_ */
