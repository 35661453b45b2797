/*
 * Copyright (C) ngx-voice contributors
 *
 * Records one speaker: .wav decoded (48 kHz, stereo), .opus as received.
 * Packets are put in order; the RTP time stamps set their place, so lost
 * packets are concealed (.wav) or become silence, and pauses last as long as
 * the sender's stamps say.
 */


#ifndef _VC_AUDIO_SINK_H_INCLUDED_
#define _VC_AUDIO_SINK_H_INCLUDED_


#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>


typedef struct vc_sink_s  vc_sink_t;


/* Whether the name ends with .wav or .opus. */
bool vc_sink_known(const char *path);

/*
 * Creates the file.  user: 0 for the first speaker, else it goes into the
 * name before the ending.  NULL with a text in error (VC_ERROR_MAX bytes).
 */
vc_sink_t *vc_sink_open(const char *path, uint64_t user, char *error);

/* seq: extended sequence number, each only once */
void vc_sink_push(vc_sink_t *s, uint32_t seq, uint32_t rtp_ts,
    const uint8_t *payload, size_t len);

/* Writes the rest; false with a text in error if writing failed somewhere. */
bool vc_sink_close(vc_sink_t *s, char *error);


#endif /* _VC_AUDIO_SINK_H_INCLUDED_ */
