/*
 * Copyright (C) ngx-voice contributors
 *
 * Files that voicectl writes are read by opusfile and by its own reader;
 * files that it plays are made here.
 */


#include "test_util.h"

#include "audio_sink.h"
#include "audio_source.h"
#include "server.h"
#include "wav.h"

#include <math.h>
#include <opusfile.h>
#include <stdio.h>
#include <unistd.h>


#define FRAME       960
#define PACKETS     60
#define PACKET_MAX  1275

#define WAV_HEADER  44


typedef struct {
    uint8_t   data[PACKET_MAX];
    size_t    len;
} packet_t;


static char      dir[] = "/tmp/voicectl-test-XXXXXX";
static char      path[256];
static packet_t  packets[PACKETS];


static const char *
in_dir(const char *name)
{
    snprintf(path, sizeof(path), "%s/%s", dir, name);
    return path;
}


static int
make_dir(void **state)
{
    int           i;
    char          error[VC_ERROR_MAX];
    uint32_t      samples;
    vc_source_t  *s;

    (void) state;

    if (mkdtemp(dir) == NULL || (s = vc_source_tone(440, error)) == NULL) {
        return -1;
    }

    for (i = 0; i < PACKETS; i++) {
        if (vc_source_next(s, packets[i].data, PACKET_MAX, &packets[i].len,
                           &samples, error) != VC_SOURCE_PACKET)
        {
            return -1;
        }
    }

    vc_source_close(s);
    return 0;
}


static int
remove_dir(void **state)
{
    (void) state;

    return rmdir(dir);
}


/* Samples of the whole file for each channel, and their loudness. */
static size_t
wav_measure(const char *name, double *rms)
{
    FILE        *f;
    size_t       n, i, total;
    double       energy;
    int16_t      pcm[1024 * 2];
    vc_wav_t     wav;
    const char  *why;

    f = fopen(name, "rb");
    assert_non_null(f);
    assert_true(vc_wav_read_header(&wav, f, &why));
    assert_int_equal(wav.rate, 48000);
    assert_int_equal(wav.channels, 2);

    total = 0;
    energy = 0;

    while ((n = vc_wav_read(&wav, pcm, 1024)) != 0) {
        for (i = 0; i < 2 * n; i++) {
            energy += (double) pcm[i] * pcm[i];
        }

        total += n;
    }

    fclose(f);
    *rms = total != 0 ? sqrt(energy / (2.0 * (double) total)) : 0;

    return total;
}


static size_t
opus_measure(const char *name, unsigned *holes)
{
    int           rc;
    float         pcm[5760 * 2];
    size_t        total;
    OggOpusFile  *of;

    of = op_open_file(name, &rc);
    assert_non_null(of);
    assert_int_equal(op_channel_count(of, -1), 2);

    total = 0;
    *holes = 0;

    while ((rc = op_read_float_stereo(of, pcm, 5760 * 2)) != 0) {
        if (rc == OP_HOLE) {
            (*holes)++;
            continue;
        }

        assert_true(rc > 0);
        total += (size_t) rc;
    }

    op_free(of);
    return total;
}


typedef struct {
    const char  *name;
    int          order[10];      /* packets of which seq and stamp; -1 ends */
    unsigned     frames;         /* that the file has */
} record_case_t;


static const record_case_t  record_cases[] = {
    { "in order", { 0, 1, 2, 3, -1 }, 4 },
    { "reordered", { 0, 2, 1, 4, 3, -1 }, 5 },
    { "the first is late", { 1, 0, 2, -1 }, 2 },
    { "one is lost", { 0, 1, 3, -1 }, 4 },
    { "many are lost", { 0, 1, 30, 31, -1 }, 32 },
    { "the one that is missed comes too late",
      { 0, 2, 3, 4, 5, 20, 1, 21, -1 }, 22 },
};


static void
recordings_table(void **state)
{
    double                rms;
    size_t                i, k, n;
    char                  error[VC_ERROR_MAX], name[256];
    unsigned              kind, holes;
    vc_sink_t            *s;
    const record_case_t  *c;

    static const char *const  files[] = { "r.wav", "r.opus" };

    (void) state;

    for (i = 0; i < test_n(record_cases); i++) {
        for (kind = 0; kind < test_n(files); kind++) {
            c = &record_cases[i];
            strcpy(name, in_dir(files[kind]));
            assert_true(vc_sink_known(name));

            s = vc_sink_open(name, 0, error);
            assert_non_null(s);

            for (k = 0; c->order[k] != -1; k++) {
                n = (size_t) c->order[k];

                /* the time stamps wrap on the way */
                vc_sink_push(s, 70000 + (uint32_t) n,
                             UINT32_MAX - 500 + (uint32_t) n * FRAME,
                             packets[n].data, packets[n].len);
            }

            assert_true(vc_sink_close(s, error));

            if (kind == 0) {
                test_num(c->name, wav_measure(name, &rms), c->frames * FRAME);
                assert_true(rms > 100);

            } else {
                test_num(c->name, opus_measure(name, &holes),
                         c->frames * FRAME);
                test_num(c->name, holes, 0);
            }

            assert_int_equal(unlink(name), 0);
        }
    }
}


/* More than one page, and what was written comes out byte by byte. */
static void
opus_recording_is_played(void **state)
{
    int           i;
    char          error[VC_ERROR_MAX], name[256];
    size_t        len;
    uint8_t       buf[PACKET_MAX];
    uint32_t      samples;
    vc_sink_t    *sink;
    vc_source_t  *source;

    (void) state;

    strcpy(name, in_dir("p.opus"));
    sink = vc_sink_open(name, 0, error);
    assert_non_null(sink);

    for (i = 0; i < PACKETS; i++) {
        vc_sink_push(sink, (uint32_t) i, (uint32_t) i * FRAME,
                     packets[i].data, packets[i].len);
    }

    assert_true(vc_sink_close(sink, error));

    source = vc_source_open(name, error);
    assert_non_null(source);

    for (i = 0; i < 2 * PACKETS; i++) {
        if (i == PACKETS) {
            assert_int_equal(vc_source_next(source, buf, sizeof(buf), &len,
                                            &samples, error), VC_SOURCE_END);
            assert_true(vc_source_rewind(source, error));
        }

        assert_int_equal(vc_source_next(source, buf, sizeof(buf), &len,
                                        &samples, error), VC_SOURCE_PACKET);
        assert_int_equal(samples, FRAME);
        test_mem("packet", buf, len, packets[i % PACKETS].data,
                 packets[i % PACKETS].len);
    }

    vc_source_close(source);
    assert_int_equal(unlink(name), 0);
}


static void
other_speakers_have_names(void **state)
{
    char        error[VC_ERROR_MAX], name[256];
    vc_sink_t  *s;

    (void) state;

    strcpy(name, in_dir("a.b.wav"));
    s = vc_sink_open(name, 502, error);
    assert_non_null(s);
    assert_true(vc_sink_close(s, error));

    assert_int_equal(unlink(in_dir("a.b.502.wav")), 0);

    assert_false(vc_sink_known("talk"));
    assert_false(vc_sink_known("talk.mp3"));
    assert_null(vc_sink_open("/nowhere/talk.wav", 0, error));
    assert_non_null(strstr(error, "/nowhere/talk.wav"));
}


typedef struct {
    unsigned    rate;
    unsigned    channels;
} wav_rate_t;


/* A second of sound is a second of packets, whatever the rate. */
static void
wav_files_are_encoded(void **state)
{
    FILE              *f;
    char               error[VC_ERROR_MAX], name[256];
    size_t             i, k, len, total;
    uint8_t            buf[PACKET_MAX];
    int16_t            pcm[2];
    vc_wav_t           wav;
    uint32_t           samples;
    vc_source_t       *s;
    const wav_rate_t  *c;

    static const wav_rate_t  rates[] = {
        { 8000, 1 }, { 22050, 2 }, { 44100, 1 }, { 48000, 2 }, { 96000, 2 }
    };

    (void) state;

    strcpy(name, in_dir("s.wav"));

    for (i = 0; i < test_n(rates); i++) {
        c = &rates[i];
        f = fopen(name, "wb");
        assert_non_null(f);
        assert_true(vc_wav_write_header(&wav, f, c->rate, c->channels));

        for (k = 0; k < c->rate; k++) {
            pcm[0] = (int16_t) (8000 * sin((double) k * 2765 / c->rate));
            pcm[1] = pcm[0];
            assert_true(vc_wav_write(&wav, pcm, 1));
        }

        assert_true(vc_wav_finish(&wav));
        fclose(f);

        s = vc_source_open(name, error);
        assert_non_null(s);
        total = 0;

        while (vc_source_next(s, buf, sizeof(buf), &len, &samples, error)
               == VC_SOURCE_PACKET)
        {
            total += samples;
        }

        /* and what the codec looks ahead */
        assert_in_range(total, 48000, 48000 + 4 * FRAME);

        vc_source_close(s);
        assert_int_equal(unlink(name), 0);
    }
}


typedef struct {
    const char  *name;
    size_t       at;
    const char  *bytes;
    size_t       len;
    const char  *expected;
} bad_wav_t;


static const bad_wav_t  bad_wavs[] = {
    { "not RIFF", 0, "RIFX", 4, "expected" },
    { "not WAVE", 8, "AVI ", 4, "WAV" },
    { "float", 20, "\3\0", 2, "16-bit PCM" },
    { "8 bits", 34, "\10\0", 2, "16-bit PCM" },
    { "no channel", 22, "\0\0", 2, "one or two channels" },
    { "six channels", 22, "\6\0", 2, "one or two channels" },
    { "rate 100", 24, "\x64\0\0\0", 4, "8000 to 192000" },
    { "fmt is short", 16, "\16\0\0\0", 4, "\"fmt \"" },
    { "no data chunk", 36, "DATA", 4, "\"data\"" },
    { "no fmt chunk", 12, "junk", 4, "\"fmt \"" },
};


static void
write_bytes(const char *name, const uint8_t *data, size_t len)
{
    FILE  *f;

    f = fopen(name, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(data, 1, len, f), len);
    fclose(f);
}


static void
bad_files_are_refused(void **state)
{
    FILE      *f;
    char       error[VC_ERROR_MAX], name[256];
    size_t     i;
    uint8_t    good[WAV_HEADER], bad[WAV_HEADER];
    vc_wav_t   wav;

    (void) state;

    strcpy(name, in_dir("b.wav"));
    f = fopen(name, "wb+");
    assert_non_null(f);
    assert_true(vc_wav_write_header(&wav, f, 48000, 1));
    rewind(f);
    assert_int_equal(fread(good, 1, sizeof(good), f), sizeof(good));
    fclose(f);

    for (i = 0; i < test_n(bad_wavs); i++) {
        memcpy(bad, good, sizeof(good));
        memcpy(bad + bad_wavs[i].at, bad_wavs[i].bytes, bad_wavs[i].len);
        write_bytes(name, bad, sizeof(bad));

        assert_null(vc_source_open(name, error));

        if (strstr(error, bad_wavs[i].expected) == NULL
            || strstr(error, name) == NULL)
        {
            fail_msg("%s: \"%s\"", bad_wavs[i].name, error);
        }
    }

    for (i = 0; i < WAV_HEADER; i++) {
        write_bytes(name, good, i);
        assert_null(vc_source_open(name, error));
    }

    write_bytes(name, (const uint8_t *) "OggS and no more", 16);
    assert_null(vc_source_open(name, error));
    assert_non_null(strstr(error, "Ogg Opus"));

    assert_int_equal(unlink(name), 0);
    assert_null(vc_source_open(name, error));
}


/* The header may promise more than the file has. */
static void
cut_wav_ends(void **state)
{
    FILE         *f;
    char          error[VC_ERROR_MAX], name[256];
    size_t        n, len;
    uint8_t       buf[PACKET_MAX];
    int16_t       pcm[FRAME];
    vc_wav_t      wav;
    uint32_t      samples;
    vc_source_t  *s;

    (void) state;

    memset(pcm, 0, sizeof(pcm));
    strcpy(name, in_dir("c.wav"));
    f = fopen(name, "wb");
    assert_non_null(f);
    assert_true(vc_wav_write_header(&wav, f, 48000, 1));

    for (n = 0; n < 10; n++) {
        assert_true(vc_wav_write(&wav, pcm, FRAME));
    }

    assert_true(vc_wav_finish(&wav));
    fclose(f);
    assert_int_equal(truncate(name, WAV_HEADER + 5 * FRAME * 2 + 1), 0);

    s = vc_source_open(name, error);
    assert_non_null(s);

    for (n = 0; vc_source_next(s, buf, sizeof(buf), &len, &samples, error)
                == VC_SOURCE_PACKET; n++)
    {
        assert_true(n < 10);
    }

    assert_in_range(n, 5, 7);

    vc_source_close(s);
    assert_int_equal(unlink(name), 0);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(recordings_table),
        cmocka_unit_test(opus_recording_is_played),
        cmocka_unit_test(other_speakers_have_names),
        cmocka_unit_test(wav_files_are_encoded),
        cmocka_unit_test(bad_files_are_refused),
        cmocka_unit_test(cut_wav_ends),
    };

    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
