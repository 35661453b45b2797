/*
 * Copyright (C) ngx-voice contributors
 */


#include "load.h"

#include "stamp.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>


#define VC_LOAD_TURN          (10 * VC_MS)
#define VC_LOAD_COMPLAINTS    5


static void vc_worker_phase(vc_worker_t *w);
static void vc_worker_join(void *data, uint64_t now);
static bool vc_member_join(vc_member_t *m);
static void vc_worker_talk(vc_worker_t *w);
static void vc_worker_pace(void *data, uint64_t now);
static void vc_worker_leave(vc_worker_t *w);
static void vc_member_send(vc_member_t *m);
static void vc_member_over(vc_member_t *m);

static void vc_member_live(void *data);
static void vc_member_media(void *data, const vc_media_t *media);
static void vc_member_note(void *data, const char *text);
static void vc_member_ended(void *data, const char *error);


static const vc_client_handlers_t  vc_member_handlers = {
    .live = vc_member_live,
    .media = vc_member_media,
    .note = vc_member_note,
    .ended = vc_member_ended
};


bool
vc_worker_init(vc_worker_t *w, vc_load_t *load, uint32_t number)
{
    size_t                    i, rooms;
    uint32_t                  room, place;
    vc_member_t              *m;
    const vc_load_options_t  *o;

    o = load->options;

    w->load = load;
    w->number = number;
    w->join_timer.handler = vc_worker_join;
    w->join_timer.data = w;
    w->pace_timer.handler = vc_worker_pace;
    w->pace_timer.data = w;

    rooms = (o->rooms - number + o->threads - 1) / o->threads;

    w->n = rooms * o->participants;
    w->members = calloc(w->n, sizeof(vc_member_t));
    w->talkers = calloc(rooms * o->talkers + 1, sizeof(vc_member_t *));
    w->offsets = calloc(rooms * o->talkers + 1, sizeof(uint64_t));
    w->loop = vc_loop_create();

    if (w->members == NULL || w->talkers == NULL || w->offsets == NULL
        || w->loop == NULL)
    {
        return false;
    }

    for (i = 0; i < w->n; i++) {
        m = &w->members[i];
        room = (uint32_t) (i / o->participants) * o->threads + number;
        place = (uint32_t) (i % o->participants);

        m->worker = w;
        m->index = room * o->participants + place;
        m->streams = calloc(o->talkers + 1, sizeof(vc_stream_t));
        m->heard = calloc(o->talkers + 1, sizeof(uint64_t));

        if (m->streams == NULL || m->heard == NULL) {
            return false;
        }
    }

    return true;
}


void
vc_worker_free(vc_worker_t *w)
{
    size_t  i;

    for (i = 0; w->members != NULL && i < w->n; i++) {
        vc_client_free(&w->members[i].client);
        vc_nonces_free(&w->members[i].nonces);
        free(w->members[i].streams);
        free(w->members[i].heard);
    }

    free(w->members);
    free(w->talkers);
    free(w->offsets);

    if (w->loop != NULL) {
        vc_loop_free(w->loop);
    }
}


void *
vc_worker_run(void *data)
{
    vc_worker_t  *w = data;

    vc_timer_set(w->loop, &w->join_timer, w->load->begin);

    while (w->phase != VC_LOAD_LEAVE || w->over < w->started) {
        vc_loop_turn(w->loop, vc_now() + VC_LOAD_TURN);
        vc_worker_phase(w);
    }

    return NULL;
}


static void
vc_worker_phase(vc_worker_t *w)
{
    vc_load_phase_t  phase;

    phase = (vc_load_phase_t) atomic_load(&w->load->phase);

    if (phase == w->phase) {
        return;
    }

    w->phase = phase;
    vc_timer_clear(w->loop, &w->join_timer);

    if (w->pace_timer.slot != 0) {
        vc_timer_clear(w->loop, &w->pace_timer);
        w->finished_at = vc_now();
    }

    switch (phase) {

    case VC_LOAD_TALK:
        vc_worker_talk(w);
        break;

    case VC_LOAD_LEAVE:
        vc_worker_leave(w);
        break;

    case VC_LOAD_JOIN:
    case VC_LOAD_STOP:
        break;
    }
}


/* Joins come in the order of all participants, whatever their thread. */
static void
vc_worker_join(void *data, uint64_t now)
{
    uint64_t                  at;
    vc_member_t              *m;
    vc_worker_t              *w = data;
    const vc_load_options_t  *o;

    o = w->load->options;

    while (w->started < w->n) {
        m = &w->members[w->started];
        at = w->load->begin + (uint64_t) m->index * VC_SEC / o->ramp;

        if (at > now) {
            vc_timer_set(w->loop, &w->join_timer, at);
            return;
        }

        w->started++;

        if (!vc_member_join(m)) {
            atomic_fetch_add(&w->load->failed, 1);
            vc_member_over(m);
        }
    }
}


static bool
vc_member_join(vc_member_t *m)
{
    vc_load_t                *load;
    vc_client_conf_t          conf;
    const vc_load_options_t  *o;

    load = m->worker->load;
    o = load->options;

    memset(&conf, 0, sizeof(conf));
    conf.server = load->server;
    conf.guild_id = o->conn.guild;
    conf.channel_id = o->conn.channel + m->index / o->participants;
    conf.user_id = o->conn.user + m->index;
    conf.version = (int) o->conn.version;
    conf.mode = o->mode;
    conf.mix = m->index % o->participants;
    conf.nonces = o->nonces ? &m->nonces : NULL;
    snprintf(conf.session_id, sizeof(conf.session_id), "load%08x-%u",
             load->run, m->index);

    if (!vc_connection_sign(VC_LOAD_NAME, &load->keys, &conf, VC_TOKEN_TTL)) {
        return false;
    }

    vc_client_start(&m->client, m->worker->loop, &conf, &vc_member_handlers,
                    m);
    return true;
}


static void
vc_member_live(void *data)
{
    vc_member_t              *m = data;
    const vc_load_options_t  *o;

    o = m->worker->load->options;
    m->live = true;

    vc_client_speak(&m->client, m->index % o->participants < o->talkers
                                ? VOICE_SPEAKING_VOICE : 0);

    atomic_fetch_add(&m->worker->load->joined, 1);
}


/* The talkers of all threads are spread evenly over the interval. */
static void
vc_worker_talk(vc_worker_t *w)
{
    size_t                    i;
    uint32_t                  place, talker;
    uint64_t                  all, interval;
    vc_member_t              *m;
    const vc_load_options_t  *o;

    o = w->load->options;
    interval = VC_SEC / o->pps;
    all = (uint64_t) o->rooms * o->talkers;

    for (i = 0; i < w->n; i++) {
        m = &w->members[i];
        m->joined = m->live;
        place = m->index % o->participants;

        if (!m->joined || place >= o->talkers) {
            continue;
        }

        talker = m->index / o->participants * o->talkers + place;
        w->talkers[w->ntalkers] = m;
        w->offsets[w->ntalkers] = interval * talker / all;
        w->ntalkers++;
    }

    w->cycles = o->milliseconds * o->pps / 1000;
    w->finished_at = w->load->start_at;

    if (w->ntalkers == 0 || w->cycles == 0) {
        atomic_fetch_add(&w->load->talked, 1);
        return;
    }

    vc_timer_set(w->loop, &w->pace_timer, w->load->start_at + w->offsets[0]);
}


static void
vc_worker_pace(void *data, uint64_t now)
{
    uint64_t      due, interval;
    vc_worker_t  *w = data;

    interval = VC_SEC / w->load->options->pps;

    for ( ;; ) {
        due = w->load->start_at + w->cycle * interval + w->offsets[w->next];

        if (due > now) {
            vc_timer_set(w->loop, &w->pace_timer, due);
            return;
        }

        if (now - due > w->behind) {
            w->behind = now - due;
        }

        vc_member_send(w->talkers[w->next]);

        if (++w->next == w->ntalkers) {
            w->next = 0;

            if (++w->cycle == w->cycles) {
                w->finished_at = vc_now();
                atomic_fetch_add(&w->load->talked, 1);
                return;
            }
        }
    }
}


static void
vc_member_send(vc_member_t *m)
{
    uint8_t                   buf[VC_STAMP_PACKET_MAX];
    vc_stamp_t                stamp;
    const vc_load_options_t  *o;

    if (!m->live) {
        return;
    }

    o = m->worker->load->options;

    stamp.run = m->worker->load->run;
    stamp.sender = m->index;
    stamp.seq = m->seq;
    stamp.time = vc_now();
    vc_stamp_packet(buf, o->frame, &stamp);

    if (vc_client_send(&m->client, buf, o->frame, 48000 / o->pps)) {
        m->seq++;
        m->sent++;
    }
}


/*
 * A stamp tells whose packet it is, so one that went astray is seen whatever
 * its SSRC says.  Silence may be the server's own, at the end of a stream.
 */
static void
vc_member_media(void *data, const vc_media_t *media)
{
    uint32_t                  place, ext_seq;
    vc_stamp_t                stamp;
    vc_member_t              *m = data;
    vc_worker_t              *w;
    const vc_load_options_t  *o;

    w = m->worker;
    o = w->load->options;

    if (w->phase == VC_LOAD_LEAVE) {
        return;
    }

    if (media->len == VOICE_OPUS_SILENCE_LEN
        && memcmp(media->payload, VOICE_OPUS_SILENCE, VOICE_OPUS_SILENCE_LEN)
           == 0)
    {
        return;
    }

    if (!vc_stamp_read(media->payload, media->len, &stamp)
        || stamp.run != w->load->run || stamp.sender == m->index
        || stamp.sender / o->participants != m->index / o->participants
        || stamp.sender % o->participants >= o->talkers)
    {
        m->foreign++;
        return;
    }

    place = stamp.sender % o->participants;
    atomic_store_explicit(&w->load->last_packet, media->now,
                          memory_order_relaxed);

    if (vc_stream_add(&m->streams[place], (uint16_t) stamp.seq, &ext_seq)
        == VC_STREAM_NEW)
    {
        vc_histogram_add(&w->latency[m->client.mode],
                         media->now > stamp.time
                         ? (media->now - stamp.time) / 1000 : 0);

        if (m->heard[place] != 0 && media->now - m->heard[place] > m->gap) {
            m->gap = media->now - m->heard[place];
        }

        m->heard[place] = media->now;
    }
}


static void
vc_member_note(void *data, const char *text)
{
    vc_member_t  *m = data;

    if (m->worker->load->options->verbose) {
        fprintf(stderr, "user %" PRIu64 ": %s\n", m->client.conf.user_id,
                text);
    }
}


static void
vc_member_ended(void *data, const char *error)
{
    vc_load_t    *load;
    vc_member_t  *m = data;

    load = m->worker->load;

    if (error != NULL && m->worker->phase != VC_LOAD_LEAVE) {
        atomic_fetch_add(m->live ? &load->dropped : &load->failed, 1);

        if (atomic_fetch_add(&load->complaints, 1) < VC_LOAD_COMPLAINTS) {
            vc_complain(VC_LOAD_NAME, "user %" PRIu64 ": %s",
                        m->client.conf.user_id, error);
        }
    }

    vc_member_over(m);
}


static void
vc_member_over(vc_member_t *m)
{
    m->live = false;

    if (!m->over) {
        m->over = true;
        m->worker->over++;
    }
}


static void
vc_worker_leave(vc_worker_t *w)
{
    size_t  i;

    for (i = 0; i < w->started; i++) {
        if (!w->members[i].over) {
            vc_client_leave(&w->members[i].client);
        }
    }
}


static void
vc_load_room(const vc_load_options_t *o, const vc_member_t *room,
    vc_load_sum_t *sums)
{
    uint64_t            sent;
    uint32_t            i, k;
    vc_load_sum_t      *sum;
    const vc_member_t  *m;

    sent = 0;

    for (i = 0; i < o->talkers; i++) {
        sent += room[i].sent;
    }

    for (i = 0; i < o->participants; i++) {
        m = &room[i];

        if (!m->joined) {
            continue;
        }

        sum = &sums[m->client.mode];
        sum->participants++;
        sum->sent += m->sent;
        sum->unsent += m->client.stats.unsent;
        sum->expected += sent - m->sent;
        sum->undecryptable += m->client.stats.undecryptable;
        sum->foreign += m->foreign;
        sum->reconnects += m->client.stats.reconnects;
        sum->handshake_bytes += m->client.stats.handshake_bytes;
        sum->gap = m->gap > sum->gap ? m->gap : sum->gap;
        sum->nonces += m->nonces.seen;
        sum->nonces_reused += m->nonces.reused;
        sum->nonces_failed |= m->nonces.failed;

        for (k = 0; k < o->talkers; k++) {
            sum->received += m->streams[k].received;
            sum->duplicated += m->streams[k].duplicated;
            sum->reordered += m->streams[k].reordered;
        }
    }
}


void
vc_load_sums(const vc_load_t *load, const vc_worker_t *workers,
    vc_load_sum_t sum[VC_LOAD_MODES + 1])
{
    size_t                    i, mode;
    uint32_t                  k;
    vc_load_sum_t            *all;
    const vc_load_options_t  *o;

    o = load->options;
    all = &sum[VC_LOAD_MODES];
    memset(sum, 0, (VC_LOAD_MODES + 1) * sizeof(vc_load_sum_t));

    for (k = 0; k < o->threads; k++) {
        for (i = 0; i < workers[k].n; i += o->participants) {
            vc_load_room(o, &workers[k].members[i], sum);
        }

        for (mode = 0; mode < VC_LOAD_MODES; mode++) {
            vc_histogram_merge(&sum[mode].latency, &workers[k].latency[mode]);
        }
    }

    for (mode = 0; mode < VC_LOAD_MODES; mode++) {
        all->participants += sum[mode].participants;
        all->sent += sum[mode].sent;
        all->unsent += sum[mode].unsent;
        all->expected += sum[mode].expected;
        all->received += sum[mode].received;
        all->duplicated += sum[mode].duplicated;
        all->reordered += sum[mode].reordered;
        all->undecryptable += sum[mode].undecryptable;
        all->foreign += sum[mode].foreign;
        all->reconnects += sum[mode].reconnects;
        all->handshake_bytes += sum[mode].handshake_bytes;
        all->gap = sum[mode].gap > all->gap ? sum[mode].gap : all->gap;
        all->nonces += sum[mode].nonces;
        all->nonces_reused += sum[mode].nonces_reused;
        all->nonces_failed |= sum[mode].nonces_failed;
        vc_histogram_merge(&all->latency, &sum[mode].latency);
    }
}
