/*
 * Copyright (C) ngx-voice contributors
 */


#include "voice_rtpstat.h"


#define VOICE_USEC             1000000
#define VOICE_DLSR_PER_SEC     65536

/* a delay of 65536 seconds or more doesn't fit into the field */
#define VOICE_DLSR_MAX_USEC    ((uint64_t) 65536 * VOICE_USEC - 1)


static uint32_t voice_rtpstat_expected(const voice_rtpstat_t *st);
static void voice_rtpstat_jitter(voice_rtpstat_t *st, uint32_t transit);
static uint8_t voice_rtpstat_fraction(uint32_t expected, uint32_t received);
static uint32_t voice_rtpstat_dlsr(const voice_rtpstat_t *st, uint64_t now);


void
voice_rtpstat_add(voice_rtpstat_t *st, uint32_t ext_seq, uint32_t rtp_ts,
    uint64_t now, uint32_t clock_rate)
{
    uint32_t  arrival, transit;

    /* seconds and rest apart, or a wall clock in microseconds overflows */
    arrival = (uint32_t) (now / VOICE_USEC * clock_rate
                          + now % VOICE_USEC * clock_rate / VOICE_USEC);
    transit = arrival - rtp_ts;

    if (st->received == 0) {
        st->base_seq = ext_seq;
        st->max_seq = ext_seq;

    } else {
        voice_rtpstat_jitter(st, transit);

        if (ext_seq > st->max_seq) {
            st->max_seq = ext_seq;
        }
    }

    st->transit = transit;
    st->received++;
}


/* RFC 3550 appendix A.8: the estimate is kept scaled by 16 and rounded */
static void
voice_rtpstat_jitter(voice_rtpstat_t *st, uint32_t transit)
{
    uint32_t  d;
    uint64_t  jitter;

    d = transit - st->transit;
    if (d > INT32_MAX) {
        d = -d;
    }

    jitter = st->jitter_q4;
    jitter += d;
    jitter -= ((uint64_t) st->jitter_q4 + 8) >> 4;

    /* stamps that jump on purpose would take it past 32 bits */
    st->jitter_q4 = jitter > UINT32_MAX ? UINT32_MAX : (uint32_t) jitter;
}


void
voice_rtpstat_sr(voice_rtpstat_t *st, const voice_rtcp_sr_t *sr, uint64_t now)
{
    st->lsr = (sr->ntp_sec << 16) | (sr->ntp_frac >> 16);
    st->lsr_at = now;
}


int32_t
voice_rtpstat_lost(const voice_rtpstat_t *st)
{
    return (int32_t) (voice_rtpstat_expected(st) - st->received);
}


static uint32_t
voice_rtpstat_expected(const voice_rtpstat_t *st)
{
    return st->received != 0 ? st->max_seq - st->base_seq + 1 : 0;
}


/* RFC 3550 appendix A.3 */
void
voice_rtpstat_report(voice_rtpstat_t *st, uint32_t ssrc, uint64_t now,
    voice_rtcp_block_t *block)
{
    uint32_t  expected;

    expected = voice_rtpstat_expected(st);

    block->ssrc = ssrc;
    block->highest_seq = st->max_seq;
    block->lost = voice_rtpstat_lost(st);
    block->fraction = voice_rtpstat_fraction(expected - st->expected_prior,
                                     st->received - st->received_prior);
    block->jitter = st->jitter_q4 >> 4;
    block->lsr = st->lsr;
    block->dlsr = voice_rtpstat_dlsr(st, now);

    st->expected_prior = expected;
    st->received_prior = st->received;
}


static uint8_t
voice_rtpstat_fraction(uint32_t expected, uint32_t received)
{
    uint64_t  fraction;

    /* late packets of the last interval can outnumber this one's losses */
    if (expected == 0 || received >= expected) {
        return 0;
    }

    fraction = ((uint64_t) (expected - received) << 8) / expected;

    return fraction > UINT8_MAX ? UINT8_MAX : (uint8_t) fraction;
}


static uint32_t
voice_rtpstat_dlsr(const voice_rtpstat_t *st, uint64_t now)
{
    uint64_t  delay;

    if (st->lsr == 0 || now < st->lsr_at) {
        return 0;
    }

    delay = now - st->lsr_at;
    if (delay > VOICE_DLSR_MAX_USEC) {
        return UINT32_MAX;
    }

    return (uint32_t) (delay * VOICE_DLSR_PER_SEC / VOICE_USEC);
}
