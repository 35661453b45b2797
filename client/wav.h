/*
 * Copyright (C) ngx-voice contributors
 *
 * WAV files of 16-bit PCM.
 */


#ifndef _VC_WAV_H_INCLUDED_
#define _VC_WAV_H_INCLUDED_


#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>


#define VC_WAV_RATE_MIN   8000
#define VC_WAV_RATE_MAX   192000


typedef struct {
    FILE       *file;
    uint32_t    rate;
    unsigned    channels;
    uint32_t    left;          /* reading: bytes of samples to come */
    uint32_t    written;       /* writing: bytes of samples */
} vc_wav_t;


/*
 * Reads up to the samples.  On false why is a static text that says what was
 * expected; the file stays open.
 */
bool vc_wav_read_header(vc_wav_t *wav, FILE *file, const char **why);

/* Interleaved samples for each channel; their number, 0 at the end. */
size_t vc_wav_read(vc_wav_t *wav, int16_t *pcm, size_t n);

/* Writes a header whose lengths vc_wav_finish() fills in. */
bool vc_wav_write_header(vc_wav_t *wav, FILE *file, uint32_t rate,
    unsigned channels);
bool vc_wav_write(vc_wav_t *wav, const int16_t *pcm, size_t n);
bool vc_wav_finish(vc_wav_t *wav);


#endif /* _VC_WAV_H_INCLUDED_ */
