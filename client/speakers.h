/*
 * Copyright (C) ngx-voice contributors
 *
 * The others in a call: what came of each, and their recordings.
 */


#ifndef _VC_SPEAKERS_H_INCLUDED_
#define _VC_SPEAKERS_H_INCLUDED_


#include "audio_sink.h"
#include "histogram.h"
#include "stream.h"
#include "voice_client.h"

#include "voice_rtpstat.h"


#define VC_SPEAKERS_MAX   512


typedef struct {
    uint32_t          ssrc;
    uint64_t          user;        /* 0: not told yet */
    bool              former;      /* of a server that was left */
    vc_stream_t       stream;
    vc_playout_t      playout;
    voice_rtpstat_t   rtpstat;
    vc_sink_t        *sink;        /* NULL: not recorded, or silent so far */
} vc_speaker_t;


typedef struct {
    vc_speaker_t     *list[VC_SPEAKERS_MAX];
    size_t            n;
    const char       *record;      /* NULL: nothing is recorded */
    unsigned          recordings;
    vc_histogram_t    latency;     /* of packets with a stamp */
    uint64_t          not_opus;
    bool              failed;      /* a recording, see error */
    char              error[VC_ERROR_MAX];
} vc_speakers_t;


typedef struct {
    uint64_t   received;
    uint64_t   lost;
    uint64_t   duplicated;
    uint64_t   reordered;
    uint64_t   late;
    uint64_t   gap;                /* ns */
} vc_totals_t;


/* Speaking and Client Disconnect of the server. */
void vc_speakers_name(vc_speakers_t *s, uint64_t user, uint32_t ssrc);
void vc_speakers_left(vc_speakers_t *s, uint64_t user);

/* We are in another channel: nothing more is expected of anybody. */
void vc_speakers_gone(vc_speakers_t *s);

/*
 * We are on another server, where the same SSRC may be somebody else.  Those
 * who were talking are expected to go on there.
 */
void vc_speakers_elsewhere(vc_speakers_t *s);

void vc_speakers_media(vc_speakers_t *s, const vc_media_t *media);

/* now: when we stopped listening */
void vc_speakers_total(const vc_speakers_t *s, uint64_t now,
    vc_totals_t *total);

/* Finishes the recordings and frees all. */
void vc_speakers_close(vc_speakers_t *s);


#endif /* _VC_SPEAKERS_H_INCLUDED_ */
