/*
 * Copyright (C) ngx-voice contributors
 */


#include "wav.h"

#include "little_endian.h"

#include <string.h>


#define VC_WAV_HEADER        44
#define VC_WAV_FMT           16
#define VC_WAV_PCM           1
#define VC_WAV_EXTENSIBLE    0xFFFE

#define VC_WAV_CHUNK         1024     /* samples of a channel at once */


static bool vc_wav_format(vc_wav_t *wav, const uint8_t *fmt,
    const char **why);


bool
vc_wav_read_header(vc_wav_t *wav, FILE *file, const char **why)
{
    bool      format;
    uint8_t   head[12], fmt[VC_WAV_FMT];
    uint32_t  len;

    memset(wav, 0, sizeof(vc_wav_t));
    wav->file = file;
    format = false;
    *why = "expected a WAV file with a \"fmt \" and a \"data\" chunk";

    if (fread(head, 1, 12, file) != 12 || memcmp(head, "RIFF", 4) != 0
        || memcmp(head + 8, "WAVE", 4) != 0)
    {
        return false;
    }

    while (fread(head, 1, 8, file) == 8) {
        len = vc_get_le32(head + 4);

        if (memcmp(head, "data", 4) == 0) {
            wav->left = len;
            return format;
        }

        if (memcmp(head, "fmt ", 4) == 0) {
            if (len < VC_WAV_FMT
                || fread(fmt, 1, VC_WAV_FMT, file) != VC_WAV_FMT
                || !vc_wav_format(wav, fmt, why))
            {
                return false;
            }

            format = true;
            len -= VC_WAV_FMT;
        }

        /* chunks are padded to an even length */
        if (fseek(file, (long) len + (len & 1), SEEK_CUR) == -1) {
            return false;
        }
    }

    return false;
}


static bool
vc_wav_format(vc_wav_t *wav, const uint8_t *fmt, const char **why)
{
    unsigned  tag, bits;

    tag = vc_get_le32(fmt) & 0xFFFF;
    wav->channels = vc_get_le32(fmt) >> 16;
    wav->rate = vc_get_le32(fmt + 4);
    bits = vc_get_le32(fmt + 12) >> 16;

    if ((tag != VC_WAV_PCM && tag != VC_WAV_EXTENSIBLE) || bits != 16) {
        *why = "expected samples of 16-bit PCM";
        return false;
    }

    if (wav->channels < 1 || wav->channels > 2) {
        *why = "expected one or two channels";
        return false;
    }

    if (wav->rate < VC_WAV_RATE_MIN || wav->rate > VC_WAV_RATE_MAX) {
        *why = "expected a rate from 8000 to 192000 Hz";
        return false;
    }

    return true;
}


size_t
vc_wav_read(vc_wav_t *wav, int16_t *pcm, size_t n)
{
    size_t   i, bytes, frame;
    uint8_t  buf[VC_WAV_CHUNK * 4];

    frame = (size_t) wav->channels * 2;
    n = n < VC_WAV_CHUNK ? n : VC_WAV_CHUNK;
    bytes = n * frame < wav->left ? n * frame : wav->left;

    n = fread(buf, 1, bytes, wav->file) / frame;
    wav->left -= (uint32_t) bytes;

    if (n * frame < bytes) {
        wav->left = 0;
    }

    for (i = 0; i < n * wav->channels; i++) {
        pcm[i] = (int16_t) (uint16_t) (buf[2 * i] | buf[2 * i + 1] << 8);
    }

    return n;
}


bool
vc_wav_write_header(vc_wav_t *wav, FILE *file, uint32_t rate,
    unsigned channels)
{
    uint8_t  h[VC_WAV_HEADER];

    memset(wav, 0, sizeof(vc_wav_t));
    wav->file = file;
    wav->rate = rate;
    wav->channels = channels;

    memcpy(h, "RIFF\0\0\0\0WAVEfmt ", 16);
    vc_put_le(h + 16, VC_WAV_FMT, 4);
    vc_put_le(h + 20, VC_WAV_PCM, 2);
    vc_put_le(h + 22, channels, 2);
    vc_put_le(h + 24, rate, 4);
    vc_put_le(h + 28, rate * channels * 2, 4);
    vc_put_le(h + 32, channels * 2, 2);
    vc_put_le(h + 34, 16, 2);
    memcpy(h + 36, "data\0\0\0\0", 8);

    return fwrite(h, 1, sizeof(h), file) == sizeof(h);
}


bool
vc_wav_write(vc_wav_t *wav, const int16_t *pcm, size_t n)
{
    size_t   i, k, values;
    uint8_t  buf[VC_WAV_CHUNK * 2];

    values = n * wav->channels;

    while (values != 0) {
        k = values < VC_WAV_CHUNK ? values : VC_WAV_CHUNK;

        for (i = 0; i < k; i++) {
            vc_put_le(buf + 2 * i, (uint16_t) pcm[i], 2);
        }

        if (fwrite(buf, 2, k, wav->file) != k) {
            return false;
        }

        wav->written += (uint32_t) (2 * k);
        pcm += k;
        values -= k;
    }

    return true;
}


bool
vc_wav_finish(vc_wav_t *wav)
{
    uint8_t  len[4];

    vc_put_le(len, wav->written + VC_WAV_HEADER - 8, 4);
    if (fseek(wav->file, 4, SEEK_SET) == -1
        || fwrite(len, 1, 4, wav->file) != 4)
    {
        return false;
    }

    vc_put_le(len, wav->written, 4);

    return fseek(wav->file, VC_WAV_HEADER - 4, SEEK_SET) == 0
           && fwrite(len, 1, 4, wav->file) == 4;
}
