/*
 * Copyright (C) ngx-voice contributors
 */


#include "stream.h"


static bool vc_stream_stale(const vc_stream_t *s, uint16_t seq);


vc_stream_result_t
vc_stream_add(vc_stream_t *s, uint16_t seq, uint32_t *ext_seq)
{
    uint32_t  ext;

    if (voice_replay_check(&s->window, seq, &ext) != VOICE_OK
        || voice_replay_add(&s->window, ext) != VOICE_OK)
    {
        if (vc_stream_stale(s, seq)) {
            s->stale++;
            return VC_STREAM_STALE;
        }

        s->duplicated++;
        return VC_STREAM_DUPLICATE;
    }

    if (s->received == 0) {
        s->first = ext;
        s->highest = ext;
    }

    if (ext < s->highest) {
        s->reordered++;

        if (ext < s->first) {
            s->first = ext;
        }

    } else {
        s->highest = ext;
    }

    s->received++;
    *ext_seq = ext;

    return VC_STREAM_NEW;
}


/* The window works in blocks of 32 packets. */
static bool
vc_stream_stale(const vc_stream_t *s, uint16_t seq)
{
    int64_t  ext;

    ext = (int64_t) s->highest + (int16_t) (uint16_t) (seq - s->highest);

    return ext < 0 || (ext >> 5) + VOICE_REPLAY_WORDS <= s->highest >> 5;
}


uint64_t
vc_stream_lost(const vc_stream_t *s)
{
    if (s->received == 0) {
        return 0;
    }

    return (uint64_t) s->highest - s->first + 1 - s->received;
}


void
vc_playout_add(vc_playout_t *p, uint32_t rtp_ts, bool silence, uint64_t now)
{
    int64_t  expected, behind;

    p->gap = vc_playout_gap(p, now);

    if (!p->talking) {
        /* clients differ in whether their stamps go on during a pause */
        p->talking = true;
        p->base_ts = rtp_ts;
        p->base = (int64_t) now;

    } else {
        expected = p->base + (int64_t) (int32_t) (rtp_ts - p->base_ts)
                             * 1000000000 / VC_RTP_CLOCK;
        behind = (int64_t) now - expected;

        if (behind < 0) {
            p->base += behind;

        } else if (behind > VC_LATE_NS) {
            p->late++;
        }
    }

    if (p->first == 0) {
        p->first = now;
    }

    p->awaited = false;
    p->last = now;

    if (silence) {
        p->talking = false;
    }
}


void
vc_playout_stop(vc_playout_t *p)
{
    p->talking = false;
    p->awaited = false;
}


void
vc_playout_follow(vc_playout_t *p, vc_playout_t *former)
{
    if (!former->talking && !former->awaited) {
        return;
    }

    if (p->first == 0) {
        p->awaited = true;
        p->last = former->last;

    } else if (p->first > former->last
               && p->first - former->last > p->gap)
    {
        p->gap = p->first - former->last;      /* its name came late */
    }

    vc_playout_stop(former);
}


uint64_t
vc_playout_gap(const vc_playout_t *p, uint64_t now)
{
    if ((p->talking || p->awaited) && now - p->last > p->gap) {
        return now - p->last;
    }

    return p->gap;
}
