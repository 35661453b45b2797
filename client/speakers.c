/*
 * Copyright (C) ngx-voice contributors
 */


#include "speakers.h"

#include "stamp.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>


/* a stamp older than this was made on a machine with another clock */
#define VC_LATENCY_MAX   (60 * VC_SEC)


static vc_speaker_t *vc_speakers_get(vc_speakers_t *s, uint32_t ssrc);
static void vc_speakers_record(vc_speakers_t *s, vc_speaker_t *sp,
    const vc_media_t *media, uint32_t ext_seq, bool silence);


void
vc_speakers_name(vc_speakers_t *s, uint64_t user, uint32_t ssrc)
{
    size_t         i;
    vc_speaker_t  *sp;

    sp = ssrc != 0 && user != 0 ? vc_speakers_get(s, ssrc) : NULL;

    if (sp == NULL) {
        return;
    }

    sp->user = user;

    for (i = 0; i < s->n; i++) {
        if (s->list[i] != sp && s->list[i]->user == user) {
            vc_playout_follow(&sp->playout, &s->list[i]->playout);
        }
    }
}


void
vc_speakers_left(vc_speakers_t *s, uint64_t user)
{
    size_t  i;

    for (i = 0; i < s->n; i++) {
        if (s->list[i]->user == user) {
            vc_playout_stop(&s->list[i]->playout);
        }
    }
}


void
vc_speakers_gone(vc_speakers_t *s)
{
    size_t  i;

    for (i = 0; i < s->n; i++) {
        vc_playout_stop(&s->list[i]->playout);
    }
}


void
vc_speakers_elsewhere(vc_speakers_t *s)
{
    size_t  i;

    for (i = 0; i < s->n; i++) {
        s->list[i]->former = true;

        if (s->list[i]->user == 0) {
            vc_playout_stop(&s->list[i]->playout);
        }
    }
}


static vc_speaker_t *
vc_speakers_get(vc_speakers_t *s, uint32_t ssrc)
{
    size_t         i;
    vc_speaker_t  *sp;

    for (i = 0; i < s->n; i++) {
        if (s->list[i]->ssrc == ssrc && !s->list[i]->former) {
            return s->list[i];
        }
    }

    if (s->n == VC_SPEAKERS_MAX) {
        return NULL;
    }

    sp = calloc(1, sizeof(vc_speaker_t));

    if (sp != NULL) {
        sp->ssrc = ssrc;
        s->list[s->n++] = sp;
    }

    return sp;
}


void
vc_speakers_media(vc_speakers_t *s, const vc_media_t *media)
{
    bool           silence;
    uint32_t       ext_seq;
    vc_stamp_t     stamp;
    vc_speaker_t  *sp;

    if (media->rtp.pt != VOICE_RTP_PT_OPUS) {
        s->not_opus++;
        return;
    }

    sp = vc_speakers_get(s, media->rtp.ssrc);

    if (sp == NULL
        || vc_stream_add(&sp->stream, media->rtp.seq, &ext_seq)
           != VC_STREAM_NEW)
    {
        return;
    }

    silence = media->len == VOICE_OPUS_SILENCE_LEN
              && memcmp(media->payload, VOICE_OPUS_SILENCE,
                        VOICE_OPUS_SILENCE_LEN) == 0;

    vc_playout_add(&sp->playout, media->rtp.timestamp, silence, media->now);
    voice_rtpstat_add(&sp->rtpstat, ext_seq, media->rtp.timestamp,
                      media->now / 1000, VC_RTP_CLOCK);

    if (vc_stamp_read(media->payload, media->len, &stamp)
        && media->now >= stamp.time
        && media->now - stamp.time < VC_LATENCY_MAX)
    {
        vc_histogram_add(&s->latency, (media->now - stamp.time) / 1000);
    }

    if (s->record != NULL && !s->failed) {
        vc_speakers_record(s, sp, media, ext_seq, silence);
    }
}


/* The first who is more than silent gets the file name as it is. */
static void
vc_speakers_record(vc_speakers_t *s, vc_speaker_t *sp,
    const vc_media_t *media, uint32_t ext_seq, bool silence)
{
    uint64_t  name;

    if (sp->sink == NULL) {
        if (silence) {
            return;
        }

        name = sp->user != 0 ? sp->user : sp->ssrc;

        sp->sink = vc_sink_open(s->record, s->recordings == 0 ? 0 : name,
                                s->error);
        if (sp->sink == NULL) {
            s->failed = true;
            return;
        }

        s->recordings++;
    }

    vc_sink_push(sp->sink, ext_seq, media->rtp.timestamp, media->payload,
                 media->len);
}


void
vc_speakers_total(const vc_speakers_t *s, uint64_t now, vc_totals_t *total)
{
    size_t               i;
    uint64_t             gap;
    const vc_speaker_t  *sp;

    memset(total, 0, sizeof(vc_totals_t));

    for (i = 0; i < s->n; i++) {
        sp = s->list[i];

        total->received += sp->stream.received;
        total->lost += vc_stream_lost(&sp->stream);
        total->duplicated += sp->stream.duplicated;
        total->reordered += sp->stream.reordered;
        total->late += sp->playout.late;

        gap = vc_playout_gap(&sp->playout, now);
        total->gap = gap > total->gap ? gap : total->gap;
    }
}


void
vc_speakers_close(vc_speakers_t *s)
{
    size_t  i;

    for (i = 0; i < s->n; i++) {
        if (s->list[i]->sink != NULL
            && !vc_sink_close(s->list[i]->sink, s->error))
        {
            s->failed = true;
        }

        free(s->list[i]);
    }

    s->n = 0;
}
