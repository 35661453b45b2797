/*
 * Copyright (C) ngx-voice contributors
 */


#include "call.h"

#include "stamp.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>


/* a player that was asleep for longer does not catch up */
#define VC_CALL_BEHIND    VC_SEC

/* what is still on its way when playing has ended */
#define VC_CALL_DRAIN     (250 * VC_MS)


static void vc_call_server(vc_call_t *call);
static void vc_call_live(void *data);
static void vc_call_media(void *data, const vc_media_t *media);
static void vc_call_speaking(void *data, uint64_t user_id, uint32_t ssrc,
    uint32_t speaking);
static void vc_call_left(void *data, uint64_t user_id);
static void vc_call_report(void *data, const voice_rtcp_block_t *block,
    uint64_t rtt);
static void vc_call_note(void *data, const char *text);
static void vc_call_ended(void *data, const char *error);
static bool vc_call_packet(vc_call_t *call, uint32_t *samples);
static bool vc_call_stamped(vc_call_t *call, uint32_t *samples);
static void vc_call_played(vc_call_t *call, uint64_t now);
static void vc_call_leave(vc_call_t *call);
static void vc_call_error(vc_call_t *call, const char *text);


const vc_client_handlers_t  vc_call_handlers = {
    vc_call_live,
    vc_call_media,
    vc_call_speaking,
    vc_call_left,
    vc_call_report,
    vc_call_note,
    NULL,
    vc_call_ended
};


/* Before anything that a server says of others is taken. */
static void
vc_call_server(vc_call_t *call)
{
    if (call->servers != call->join.stats.servers) {
        call->servers = call->join.stats.servers;
        vc_speakers_elsewhere(&call->speakers);
    }
}


static void
vc_call_live(void *data)
{
    uint64_t     now;
    vc_call_t   *call = data;

    now = vc_now();
    vc_call_server(call);

    fprintf(stderr, "joined: user %" PRIu64 " guild %" PRIu64 " ssrc %u mode "
            "%s\n", call->client->conf.user_id, call->client->conf.guild_id,
            call->client->ssrc, voice_mode_name(call->client->mode));

    call->mode = call->client->mode;
    call->ssrc = call->client->ssrc;

    if (call->channel != call->client->conf.channel_id) {
        call->channel = call->client->conf.channel_id;
        vc_speakers_gone(&call->speakers);
    }

    /* after a move or on another voice server it goes on */

    if (call->joined) {
        vc_client_speak(call->client, call->playing ? VOICE_SPEAKING_VOICE
                                                    : 0);
        return;
    }

    call->joined = true;
    call->playing = call->source != NULL || call->options->stamp;
    vc_client_speak(call->client, call->playing ? VOICE_SPEAKING_VOICE : 0);

    if (call->playing) {
        call->next_at = now;
        vc_timer_set(call->loop, &call->frame_timer, now);
    }

    if (call->options->milliseconds != 0) {
        vc_timer_set(call->loop, &call->stop_timer,
                     now + call->options->milliseconds * VC_MS);
    }
}


static void
vc_call_media(void *data, const vc_media_t *media)
{
    vc_call_t  *call = data;

    vc_call_server(call);
    vc_speakers_media(&call->speakers, media);

    if (call->speakers.failed && !call->stopping) {
        call->failed = true;
        vc_call_stop(call, media->now);
    }
}


static void
vc_call_speaking(void *data, uint64_t user_id, uint32_t ssrc,
    uint32_t speaking)
{
    vc_call_t  *call = data;

    vc_call_server(call);
    vc_speakers_name(&call->speakers, user_id, ssrc);

    if (call->options->verbose) {
        fprintf(stderr, "speaking: user %" PRIu64 " ssrc %u flags %u\n",
                user_id, ssrc, speaking);
    }
}


static void
vc_call_left(void *data, uint64_t user_id)
{
    vc_call_t  *call = data;

    vc_call_server(call);
    vc_speakers_left(&call->speakers, user_id);

    if (call->options->verbose) {
        fprintf(stderr, "left: user %" PRIu64 "\n", user_id);
    }
}


static void
vc_call_report(void *data, const voice_rtcp_block_t *block, uint64_t rtt)
{
    vc_call_t  *call = data;

    if (!call->options->verbose || block->ssrc != call->client->ssrc) {
        return;
    }

    fprintf(stderr, "report: the server lost %d of our packets, %.1f %% since "
            "the last report, jitter %.2f ms",
            block->lost, block->fraction * 100.0 / 256,
            block->jitter * 1000.0 / VC_OPUS_RATE);

    if (rtt != 0) {
        fprintf(stderr, ", round trip %.2f ms", (double) rtt / 1e6);
    }

    fputc('\n', stderr);
}


static void
vc_call_note(void *data, const char *text)
{
    vc_call_t  *call = data;

    if (call->options->verbose) {
        fprintf(stderr, "note: %s\n", text);
    }
}


static void
vc_call_ended(void *data, const char *error)
{
    vc_call_t  *call = data;

    if (call->stopped_at == 0) {
        call->stopped_at = vc_now();
    }

    if (error != NULL) {
        vc_call_error(call, error);
    }

    call->ended = true;
}


void
vc_call_frame(void *data, uint64_t now)
{
    uint32_t    samples;
    vc_call_t  *call = data;

    if (now > call->next_at + VC_CALL_BEHIND) {
        call->next_at = now;
    }

    while (call->playing && call->next_at <= now) {
        if (call->silence == 0 && !vc_call_packet(call, &samples)) {
            call->silence = VOICE_OPUS_SILENCE_COUNT;
        }

        if (call->silence != 0) {
            samples = VC_OPUS_FRAME;
            vc_client_send(call->client,
                           (const uint8_t *) VOICE_OPUS_SILENCE,
                           VOICE_OPUS_SILENCE_LEN, samples);

            if (--call->silence == 0) {
                vc_call_played(call, now);
            }
        }

        call->next_at += (uint64_t) samples * VC_SEC / VC_OPUS_RATE;
    }

    if (call->playing) {
        vc_timer_set(call->loop, &call->frame_timer, call->next_at);
    }
}


/* Sends one packet of what is played; false at its end. */
static bool
vc_call_packet(vc_call_t *call, uint32_t *samples)
{
    char                error[VC_ERROR_MAX];
    size_t              len, stamped;
    uint8_t             buf[VC_PAYLOAD_MAX];
    vc_stamp_t          stamp;
    vc_source_result_t  rc;

    if (call->source == NULL) {
        return vc_call_stamped(call, samples);
    }

    rc = vc_source_next(call->source, buf, sizeof(buf), &len, samples, error);

    if (rc == VC_SOURCE_END && call->options->loop) {
        rc = VC_SOURCE_ERROR;

        if (vc_source_rewind(call->source, error)) {
            rc = vc_source_next(call->source, buf, sizeof(buf), &len, samples,
                                error);
        }
    }

    if (rc == VC_SOURCE_ERROR) {
        vc_call_error(call, error);
    }

    if (rc != VC_SOURCE_PACKET) {
        return false;
    }

    if (!call->options->no_stamp) {
        stamp.run = call->run;
        stamp.sender = (uint32_t) call->client->conf.user_id;
        stamp.seq = call->seq++;
        stamp.time = vc_now();

        stamped = vc_stamp_add(buf, len, sizeof(buf), &stamp);
        len = stamped != 0 ? stamped : len;
    }

    vc_client_send(call->client, buf, len, *samples);
    return true;
}


static bool
vc_call_stamped(vc_call_t *call, uint32_t *samples)
{
    uint8_t     buf[VC_STAMP_PACKET_MAX];
    vc_stamp_t  stamp;

    stamp.run = call->run;
    stamp.sender = (uint32_t) call->client->conf.user_id;
    stamp.seq = call->seq++;
    stamp.time = vc_now();

    vc_stamp_packet(buf, call->options->frame, &stamp);

    *samples = VC_OPUS_FRAME;
    vc_client_send(call->client, buf, call->options->frame, *samples);

    return true;
}


/* All was played, its silence frames too. */
static void
vc_call_played(vc_call_t *call, uint64_t now)
{
    call->playing = false;
    vc_client_speak(call->client, 0);

    if (call->stopping) {
        vc_call_leave(call);

    } else if (call->options->milliseconds == 0) {
        vc_timer_set(call->loop, &call->stop_timer, now + VC_CALL_DRAIN);
    }
}


void
vc_call_stop(void *data, uint64_t now)
{
    vc_call_t  *call = data;

    (void) now;

    if (call->stopping) {
        return;
    }

    call->stopping = true;

    if (!call->playing) {
        vc_call_leave(call);

    } else if (call->silence == 0) {
        call->silence = VOICE_OPUS_SILENCE_COUNT;
    }
}


static void
vc_call_leave(vc_call_t *call)
{
    call->stopped_at = vc_now();

    if (call->options->gateway != NULL) {
        vc_join_leave(&call->join);

    } else {
        vc_client_leave(call->client);
    }
}


void
vc_call_interrupt(void *data)
{
    vc_call_t  *call = data;

    if (!call->joined) {
        vc_call_error(call, "interrupted before the call was joined");
        vc_call_leave(call);
        return;
    }

    /* the second one does not wait for silence frames and goodbyes */
    if (call->interrupt.count > 1) {
        call->playing = false;
        call->stopping = true;
        vc_call_leave(call);
        return;
    }

    vc_call_stop(call, vc_now());
}


static void
vc_call_error(vc_call_t *call, const char *text)
{
    vc_complain(VC_CALL_NAME, "%s", text);
    call->failed = true;
}
