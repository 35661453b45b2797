/*
 * Copyright (C) ngx-voice contributors
 */


#include "audio_sink.h"

#include "audio_source.h"
#include "ogg.h"
#include "server.h"
#include "wav.h"

#include "voice_rtp.h"

#include <errno.h>
#include <inttypes.h>
#include <opus.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>


/* packets that are waited for: 200 ms of 20 ms frames */
#define VC_SINK_DEPTH        10
#define VC_SINK_PAYLOAD      1500

#define VC_SINK_CHANNELS     2
#define VC_SINK_FRAME_MAX    5760     /* 120 ms, the longest Opus packet */

/* the decoder invents no more than this for what was lost */
#define VC_SINK_CONCEAL      (5 * VC_OPUS_FRAME)

/* stamps that jump further have been reset by the sender */
#define VC_SINK_JUMP         (60 * VC_OPUS_RATE)


typedef struct {
    bool        used;
    uint32_t    ts;
    size_t      len;
    uint8_t     data[VC_SINK_PAYLOAD];
} vc_slot_t;


struct vc_sink_s {
    char           *path;
    FILE           *file;
    bool            failed;
    bool            started;
    bool            is_wav;
    vc_wav_t        wav;
    vc_ogg_t        ogg;
    OpusDecoder    *decoder;
    uint64_t        position;       /* samples written */
    uint32_t        next_ts;
    uint32_t        next_seq;
    vc_slot_t       slot[VC_SINK_DEPTH];
};


static char *vc_sink_name(const char *path, uint64_t user);
static void vc_sink_advance(vc_sink_t *s);
static void vc_sink_write(vc_sink_t *s, const vc_slot_t *slot);
static void vc_sink_gap(vc_sink_t *s, uint32_t samples);
static void vc_sink_packet(vc_sink_t *s, const uint8_t *data, size_t len,
    uint32_t samples);


bool
vc_sink_known(const char *path)
{
    const char  *ext;

    ext = strrchr(path, '.');

    return ext != NULL
           && (strcmp(ext, ".wav") == 0 || strcmp(ext, ".opus") == 0);
}


vc_sink_t *
vc_sink_open(const char *path, uint64_t user, char *error)
{
    int         rc;
    vc_sink_t  *s;

    rc = 0;
    s = calloc(1, sizeof(vc_sink_t));

    if (s != NULL) {
        s->path = vc_sink_name(path, user);
        s->decoder = opus_decoder_create(VC_OPUS_RATE, VC_SINK_CHANNELS, &rc);
    }

    if (s == NULL || s->path == NULL || s->decoder == NULL) {
        snprintf(error, VC_ERROR_MAX, "out of memory");
        goto failed;
    }

    s->is_wav = strcmp(strrchr(path, '.'), ".wav") == 0;
    s->file = fopen(s->path, "wb");

    if (s->file == NULL
        || !(s->is_wav
             ? vc_wav_write_header(&s->wav, s->file, VC_OPUS_RATE,
                                   VC_SINK_CHANNELS)
             : vc_ogg_start(&s->ogg, s->file, 1, VC_SINK_CHANNELS)))
    {
        snprintf(error, VC_ERROR_MAX, "\"%.150s\": %s", s->path,
                 strerror(errno));
        goto failed;
    }

    return s;

failed:

    if (s != NULL) {
        if (s->file != NULL) {
            fclose(s->file);
        }

        if (s->decoder != NULL) {
            opus_decoder_destroy(s->decoder);
        }

        free(s->path);
        free(s);
    }

    return NULL;
}


/* talk.wav, talk.502.wav */
static char *
vc_sink_name(const char *path, uint64_t user)
{
    char        *name;
    size_t       size;
    const char  *ext;

    if (user == 0) {
        return strdup(path);
    }

    ext = strrchr(path, '.');
    size = strlen(path) + 32;
    name = malloc(size);

    if (name != NULL) {
        snprintf(name, size, "%.*s.%" PRIu64 "%s", (int) (ext - path), path,
                 user, ext);
    }

    return name;
}


void
vc_sink_push(vc_sink_t *s, uint32_t seq, uint32_t rtp_ts,
    const uint8_t *payload, size_t len)
{
    vc_slot_t  *slot;

    if (len > VC_SINK_PAYLOAD) {
        return;
    }

    if (!s->started) {
        s->started = true;
        s->next_seq = seq;
        s->next_ts = rtp_ts;
    }

    /* came after its place had been filled otherwise */
    if (seq < s->next_seq) {
        return;
    }

    while (seq - s->next_seq >= VC_SINK_DEPTH) {
        vc_sink_advance(s);
    }

    slot = &s->slot[seq % VC_SINK_DEPTH];
    slot->used = true;
    slot->ts = rtp_ts;
    slot->len = len;
    memcpy(slot->data, payload, len);

    while (s->slot[s->next_seq % VC_SINK_DEPTH].used) {
        vc_sink_advance(s);
    }
}


static void
vc_sink_advance(vc_sink_t *s)
{
    vc_slot_t  *slot;

    slot = &s->slot[s->next_seq % VC_SINK_DEPTH];

    if (slot->used) {
        vc_sink_write(s, slot);
        slot->used = false;
    }

    s->next_seq++;
}


static void
vc_sink_write(vc_sink_t *s, const vc_slot_t *slot)
{
    int       samples;
    uint32_t  gap;

    samples = opus_packet_get_nb_samples(slot->data, (opus_int32) slot->len,
                                         VC_OPUS_RATE);
    if (samples <= 0) {
        return;
    }

    gap = slot->ts - s->next_ts;

    if (gap < VC_SINK_JUMP) {
        vc_sink_gap(s, gap);
    }

    vc_sink_packet(s, slot->data, slot->len, (uint32_t) samples);
    s->next_ts = slot->ts + (uint32_t) samples;
}


static void
vc_sink_gap(vc_sink_t *s, uint32_t samples)
{
    uint32_t  filled;

    for (filled = 0; samples - filled >= VC_OPUS_FRAME;
         filled += VC_OPUS_FRAME)
    {
        if (s->is_wav && filled < VC_SINK_CONCEAL) {
            vc_sink_packet(s, NULL, 0, VC_OPUS_FRAME);

        } else {
            vc_sink_packet(s, (const uint8_t *) VOICE_OPUS_SILENCE,
                           VOICE_OPUS_SILENCE_LEN, VC_OPUS_FRAME);
        }
    }
}


/* data NULL: lost, what the decoder makes of it */
static void
vc_sink_packet(vc_sink_t *s, const uint8_t *data, size_t len,
    uint32_t samples)
{
    int      n;
    int16_t  pcm[VC_SINK_FRAME_MAX * VC_SINK_CHANNELS];

    s->position += samples;

    if (!s->is_wav) {
        s->failed |= !vc_ogg_write(&s->ogg, data, len, s->position);
        return;
    }

    n = opus_decode(s->decoder, data, (opus_int32) len, pcm,
                    data != NULL ? VC_SINK_FRAME_MAX : (int) samples, 0);

    if (n < 0) {
        /* not Opus: as long a silence */
        n = (int) samples;
        memset(pcm, 0, (size_t) n * VC_SINK_CHANNELS * sizeof(pcm[0]));
    }

    s->failed |= !vc_wav_write(&s->wav, pcm, (size_t) n);
}


bool
vc_sink_close(vc_sink_t *s, char *error)
{
    int   i;
    bool  ok;

    for (i = 0; i < VC_SINK_DEPTH; i++) {
        vc_sink_advance(s);
    }

    ok = (s->is_wav ? vc_wav_finish(&s->wav) : vc_ogg_finish(&s->ogg))
         && !s->failed;
    ok = fclose(s->file) == 0 && ok;

    if (!ok) {
        snprintf(error, VC_ERROR_MAX, "\"%.150s\": writing failed", s->path);
    }

    opus_decoder_destroy(s->decoder);
    free(s->path);
    free(s);

    return ok;
}
