/*
 * Copyright (C) ngx-voice contributors
 */


#include "audio_source.h"

#include "server.h"
#include "wav.h"

#include <errno.h>
#include <math.h>
#include <opus.h>
#include <opusenc.h>
#include <opusfile.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>


#define VC_SOURCE_QUEUE     64       /* packets; one step makes a few */
#define VC_SOURCE_PACKET_MAX  1400
#define VC_SOURCE_CHUNK     960      /* WAV samples encoded at once */
#define VC_TONE_BITRATE     64000
#define VC_TONE_LEVEL       6000.0   /* of 32767 */


typedef struct {
    uint8_t    data[VC_SOURCE_PACKET_MAX];
    size_t     len;
} vc_queued_t;


struct vc_source_s {
    char           *path;             /* NULL: a tone */
    OggOpusFile    *ogg;

    FILE           *file;
    vc_wav_t        wav;
    OggOpusEnc     *encoder;
    bool            drained;

    OpusEncoder    *tone;
    double          phase;
    double          step;

    vc_queued_t     queue[VC_SOURCE_QUEUE];
    unsigned        head;
    unsigned        n;
    bool            overflow;
};


static bool vc_source_start(vc_source_t *s, char *error);
static bool vc_source_start_ogg(vc_source_t *s, char *error);
static bool vc_source_start_wav(vc_source_t *s, char *error);
static void vc_source_stop(vc_source_t *s);
static vc_source_result_t vc_source_fill(vc_source_t *s, char *error);
static vc_source_result_t vc_source_fill_ogg(vc_source_t *s, char *error);
static vc_source_result_t vc_source_fill_wav(vc_source_t *s, char *error);
static vc_source_result_t vc_source_fill_tone(vc_source_t *s, char *error);
static void vc_source_push(vc_source_t *s, const uint8_t *data, size_t len);
static int vc_source_on_ogg(void *ctx, OpusMSDecoder *decoder, void *pcm,
    const ogg_packet *op, int nsamples, int nchannels, int format, int li);
static void vc_source_on_encoded(void *ctx, const unsigned char *data,
    opus_int32 len, opus_uint32 flags);
static int vc_source_no_write(void *ctx, const unsigned char *data,
    opus_int32 len);
static int vc_source_no_close(void *ctx);


vc_source_t *
vc_source_open(const char *path, char *error)
{
    vc_source_t  *s;

    s = calloc(1, sizeof(vc_source_t));

    if (s == NULL || (s->path = strdup(path)) == NULL) {
        snprintf(error, VC_ERROR_MAX, "out of memory");
        free(s);
        return NULL;
    }

    if (!vc_source_start(s, error)) {
        vc_source_close(s);
        return NULL;
    }

    return s;
}


vc_source_t *
vc_source_tone(double hz, char *error)
{
    int           rc;
    vc_source_t  *s;

    s = calloc(1, sizeof(vc_source_t));

    if (s != NULL) {
        s->tone = opus_encoder_create(VC_OPUS_RATE, 1, OPUS_APPLICATION_AUDIO,
                                      &rc);
    }

    if (s == NULL || s->tone == NULL) {
        snprintf(error, VC_ERROR_MAX, "out of memory");
        free(s);
        return NULL;
    }

    opus_encoder_ctl(s->tone, OPUS_SET_BITRATE(VC_TONE_BITRATE));
    s->step = 2 * M_PI * hz / VC_OPUS_RATE;

    return s;
}


static bool
vc_source_start(vc_source_t *s, char *error)
{
    char     magic[4];
    size_t   n;

    s->head = 0;
    s->n = 0;
    s->drained = false;

    s->file = fopen(s->path, "rb");
    if (s->file == NULL) {
        snprintf(error, VC_ERROR_MAX, "\"%.150s\": %s", s->path,
                 strerror(errno));
        return false;
    }

    n = fread(magic, 1, 4, s->file);
    rewind(s->file);

    if (n == 4 && memcmp(magic, "OggS", 4) == 0) {
        return vc_source_start_ogg(s, error);
    }

    if (n == 4 && memcmp(magic, "RIFF", 4) == 0) {
        return vc_source_start_wav(s, error);
    }

    snprintf(error, VC_ERROR_MAX, "\"%.150s\": expected an Ogg Opus or a WAV "
             "file", s->path);
    return false;
}


static bool
vc_source_start_ogg(vc_source_t *s, char *error)
{
    int  rc;

    s->ogg = op_open_file(s->path, &rc);

    if (s->ogg == NULL) {
        snprintf(error, VC_ERROR_MAX, "\"%.150s\": expected an Ogg Opus file "
                 "(opusfile error %d)", s->path, rc);
        return false;
    }

    rc = op_channel_count(s->ogg, -1);

    if (rc > 2) {
        snprintf(error, VC_ERROR_MAX, "\"%.150s\" has %d channels: expected "
                 "one or two", s->path, rc);
        return false;
    }

    op_set_decode_callback(s->ogg, vc_source_on_ogg, s);
    return true;
}


/* libopusenc resamples and encodes; its packets are taken, its pages not. */
static bool
vc_source_start_wav(vc_source_t *s, char *error)
{
    int               rc;
    const char       *why;
    OggOpusComments  *comments;

    static const OpusEncCallbacks  callbacks = {
        vc_source_no_write, vc_source_no_close
    };

    if (!vc_wav_read_header(&s->wav, s->file, &why)) {
        snprintf(error, VC_ERROR_MAX, "\"%.150s\": %s", s->path, why);
        return false;
    }

    comments = ope_comments_create();
    if (comments == NULL) {
        snprintf(error, VC_ERROR_MAX, "out of memory");
        return false;
    }

    s->encoder = ope_encoder_create_callbacks(&callbacks, s, comments,
                                              (opus_int32) s->wav.rate,
                                              (int) s->wav.channels, 0, &rc);
    ope_comments_destroy(comments);

    if (s->encoder == NULL) {
        snprintf(error, VC_ERROR_MAX, "\"%.150s\": encoder: %s", s->path,
                 ope_strerror(rc));
        return false;
    }

    ope_encoder_ctl(s->encoder, OPE_SET_DECISION_DELAY(0));
    ope_encoder_ctl(s->encoder, OPE_SET_PACKET_CALLBACK(vc_source_on_encoded,
                                                        s));
    return true;
}


bool
vc_source_rewind(vc_source_t *s, char *error)
{
    if (s->path == NULL) {
        return true;
    }

    vc_source_stop(s);
    return vc_source_start(s, error);
}


static void
vc_source_stop(vc_source_t *s)
{
    if (s->ogg != NULL) {
        op_free(s->ogg);
        s->ogg = NULL;
    }

    if (s->encoder != NULL) {
        ope_encoder_destroy(s->encoder);
        s->encoder = NULL;
    }

    if (s->file != NULL) {
        fclose(s->file);
        s->file = NULL;
    }
}


void
vc_source_close(vc_source_t *s)
{
    if (s == NULL) {
        return;
    }

    vc_source_stop(s);

    if (s->tone != NULL) {
        opus_encoder_destroy(s->tone);
    }

    free(s->path);
    free(s);
}


vc_source_result_t
vc_source_next(vc_source_t *s, uint8_t *buf, size_t size, size_t *len,
    uint32_t *samples, char *error)
{
    int                 n;
    vc_queued_t        *q;
    vc_source_result_t  rc;

    while (s->n == 0) {
        rc = vc_source_fill(s, error);

        if (rc != VC_SOURCE_PACKET && s->n == 0) {
            return rc;
        }
    }

    q = &s->queue[s->head];
    s->head = (s->head + 1) % VC_SOURCE_QUEUE;
    s->n--;

    n = opus_packet_get_nb_samples(q->data, (opus_int32) q->len,
                                   VC_OPUS_RATE);

    if (n <= 0 || q->len > size || s->overflow) {
        snprintf(error, VC_ERROR_MAX, "an Opus packet of %zu bytes is %s",
                 q->len, n <= 0 ? "malformed" : "too big to be sent");
        return VC_SOURCE_ERROR;
    }

    memcpy(buf, q->data, q->len);
    *len = q->len;
    *samples = (uint32_t) n;

    return VC_SOURCE_PACKET;
}


static vc_source_result_t
vc_source_fill(vc_source_t *s, char *error)
{
    if (s->tone != NULL) {
        return vc_source_fill_tone(s, error);
    }

    return s->ogg != NULL ? vc_source_fill_ogg(s, error)
                          : vc_source_fill_wav(s, error);
}


static vc_source_result_t
vc_source_fill_ogg(vc_source_t *s, char *error)
{
    int    rc;
    float  pcm[5760 * 2];

    rc = op_read_float_stereo(s->ogg, pcm, sizeof(pcm) / sizeof(pcm[0]));

    if (rc == OP_HOLE) {
        return VC_SOURCE_PACKET;
    }

    if (rc < 0) {
        snprintf(error, VC_ERROR_MAX, "\"%.150s\": broken Ogg Opus stream "
                 "(opusfile error %d)", s->path, rc);
        return VC_SOURCE_ERROR;
    }

    return rc == 0 ? VC_SOURCE_END : VC_SOURCE_PACKET;
}


static vc_source_result_t
vc_source_fill_wav(vc_source_t *s, char *error)
{
    int      rc;
    size_t   n;
    int16_t  pcm[VC_SOURCE_CHUNK * 2];

    if (s->drained) {
        return VC_SOURCE_END;
    }

    n = vc_wav_read(&s->wav, pcm, VC_SOURCE_CHUNK);

    if (n == 0) {
        s->drained = true;
        rc = ope_encoder_drain(s->encoder);

    } else {
        rc = ope_encoder_write(s->encoder, pcm, (int) n);
    }

    if (rc != OPE_OK) {
        snprintf(error, VC_ERROR_MAX, "\"%.150s\": encoder: %s", s->path,
                 ope_strerror(rc));
        return VC_SOURCE_ERROR;
    }

    return VC_SOURCE_PACKET;
}


static vc_source_result_t
vc_source_fill_tone(vc_source_t *s, char *error)
{
    int         i;
    int16_t     pcm[VC_OPUS_FRAME];
    uint8_t     out[VC_SOURCE_PACKET_MAX];
    opus_int32  len;

    for (i = 0; i < VC_OPUS_FRAME; i++) {
        pcm[i] = (int16_t) (VC_TONE_LEVEL * sin(s->phase));
        s->phase = fmod(s->phase + s->step, 2 * M_PI);
    }

    len = opus_encode(s->tone, pcm, VC_OPUS_FRAME, out, sizeof(out));

    if (len <= 0) {
        snprintf(error, VC_ERROR_MAX, "encoder: %s", opus_strerror(len));
        return VC_SOURCE_ERROR;
    }

    vc_source_push(s, out, (size_t) len);
    return VC_SOURCE_PACKET;
}


static void
vc_source_push(vc_source_t *s, const uint8_t *data, size_t len)
{
    vc_queued_t  *q;

    if (s->n == VC_SOURCE_QUEUE || len > sizeof(q->data)) {
        s->overflow = true;
        return;
    }

    q = &s->queue[(s->head + s->n) % VC_SOURCE_QUEUE];
    memcpy(q->data, data, len);
    q->len = len;
    s->n++;
}


/* Takes the packet in place of decoding it. */
static int
vc_source_on_ogg(void *ctx, OpusMSDecoder *decoder, void *pcm,
    const ogg_packet *op, int nsamples, int nchannels, int format, int li)
{
    size_t  size;

    (void) decoder;
    (void) li;

    size = format == OP_DEC_FORMAT_FLOAT ? sizeof(float) : sizeof(opus_int16);
    memset(pcm, 0, (size_t) nsamples * (size_t) nchannels * size);

    vc_source_push(ctx, op->packet, (size_t) op->bytes);
    return 0;
}


static void
vc_source_on_encoded(void *ctx, const unsigned char *data, opus_int32 len,
    opus_uint32 flags)
{
    (void) flags;

    /* the two header packets of Ogg come here as well */
    if (len >= 8 && (memcmp(data, "OpusHead", 8) == 0
                     || memcmp(data, "OpusTags", 8) == 0))
    {
        return;
    }

    vc_source_push(ctx, data, (size_t) len);
}


static int
vc_source_no_write(void *ctx, const unsigned char *data, opus_int32 len)
{
    (void) ctx;
    (void) data;
    (void) len;

    return 0;
}


static int
vc_source_no_close(void *ctx)
{
    (void) ctx;

    return 0;
}
