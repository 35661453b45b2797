/*
 * Copyright (C) ngx-voice contributors
 *
 * Where Opus packets to play come from: an Ogg Opus file as it is, a WAV
 * file or a tone, both encoded on the way.
 */


#ifndef _VC_AUDIO_SOURCE_H_INCLUDED_
#define _VC_AUDIO_SOURCE_H_INCLUDED_


#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>


#define VC_OPUS_RATE     48000
#define VC_OPUS_FRAME    960        /* samples of 20 ms */


typedef struct vc_source_s  vc_source_t;


typedef enum {
    VC_SOURCE_PACKET,
    VC_SOURCE_END,
    VC_SOURCE_ERROR
} vc_source_result_t;


/*
 * Opens an Ogg Opus file (mono or stereo) or a WAV file (16-bit PCM, mono or
 * stereo, any rate), told apart by their first bytes.  NULL with a text in
 * error, of at least VC_ERROR_MAX bytes.
 */
vc_source_t *vc_source_open(const char *path, char *error);

/* A sine, without end. */
vc_source_t *vc_source_tone(double hz, char *error);

/*
 * The next packet, its length and its duration in samples at 48 kHz.
 * size: at least 1275 bytes, the most that one Opus frame may have.
 */
vc_source_result_t vc_source_next(vc_source_t *s, uint8_t *buf, size_t size,
    size_t *len, uint32_t *samples, char *error);

/* From the start again. */
bool vc_source_rewind(vc_source_t *s, char *error);

void vc_source_close(vc_source_t *s);


#endif /* _VC_AUDIO_SOURCE_H_INCLUDED_ */
