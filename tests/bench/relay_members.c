/*
 * Copyright (C) ngx-voice contributors
 *
 * Members join as every client does, over the websocket; then their UDP
 * sockets are taken out of the event loop and read in bulk.
 */


#include "relay.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>


#define BENCH_JOINING      64              /* at once */
#define BENCH_TURN         (20 * VC_MS)
#define BENCH_SETTLE       (500 * VC_MS)
#define BENCH_SETTLE_EACH  (VC_MS / 5)     /* and so much for each member */
#define BENCH_RCVBUF       (2 * 1024 * 1024)


static void bench_settle(bench_t *b);
static bool bench_member_join(bench_member_t *m);
static bool bench_member_take(bench_member_t *m);
static void bench_member_live(void *data);
static void bench_member_ended(void *data, const char *error);


static const vc_client_handlers_t  bench_member_handlers = {
    .live = bench_member_live,
    .ended = bench_member_ended
};


bool
bench_join(bench_t *b)
{
    uint32_t       i, started;
    struct rlimit  lim;

    lim.rlim_cur = lim.rlim_max = 2 * (rlim_t) b->n + 64;

    if (lim.rlim_cur > 1024 && setrlimit(RLIMIT_NOFILE, &lim) == -1) {
        fprintf(stderr, BENCH_NAME ": %ju file descriptors: %s\n",
                (uintmax_t) lim.rlim_cur, strerror(errno));
        return false;
    }

    b->members = calloc(b->n, sizeof(bench_member_t));
    b->addr = calloc(b->n, sizeof(struct sockaddr_in));

    if (b->members == NULL || b->addr == NULL) {
        return false;
    }

    for (started = 0; b->joined + b->failed < b->n; /* void */ ) {

        while (started < b->n
               && started - b->joined - b->failed < BENCH_JOINING)
        {
            b->members[started].bench = b;
            b->members[started].index = started;

            if (!bench_member_join(&b->members[started++])) {
                return false;
            }
        }

        vc_loop_turn(b->loop, vc_now() + BENCH_TURN);
    }

    bench_settle(b);

    for (i = 0; i < b->n && b->failed == 0; i++) {
        if (!bench_member_take(&b->members[i])) {
            return false;
        }
    }

    bench_settle(b);

    return b->failed == 0;
}


/* Messages about the others are still coming. */
static void
bench_settle(bench_t *b)
{
    uint64_t  until;

    until = vc_now() + BENCH_SETTLE + b->n * BENCH_SETTLE_EACH;

    while (vc_now() < until) {
        vc_loop_turn(b->loop, until);
    }
}


static bool
bench_member_join(bench_member_t *m)
{
    vc_client_conf_t  conf;
    bench_t          *b = m->bench;

    memset(&conf, 0, sizeof(conf));
    conf.server = &b->server;
    conf.guild_id = 1000;
    conf.channel_id = 2000 + m->index / b->options.participants;
    conf.user_id = 1000000 + m->index;
    conf.version = VOICE_VERSION_SEQ;
    conf.mode = b->options.mode;
    snprintf(conf.session_id, sizeof(conf.session_id), "bench%08x-%u", b->run,
             m->index);

    if (!vc_connection_sign(BENCH_NAME, &b->keys, &conf, VC_TOKEN_TTL)) {
        return false;
    }

    vc_client_start(&m->client, b->loop, &conf, &bench_member_handlers, m);

    return true;
}


static bool
bench_member_take(bench_member_t *m)
{
    int        size;
    socklen_t  len;
    bench_t   *b = m->bench;

    vc_client_speak(&m->client,
                    m->index % b->options.participants < b->options.talkers
                    ? VOICE_SPEAKING_VOICE : 0);

    vc_watch_del(b->loop, &m->client.udp);

    if (!b->options.idle) {
        m->client.keepalive_at = 0;     /* a packet is what is measured */
        vc_client_arm(&m->client);
    }

    size = BENCH_RCVBUF;
    setsockopt(m->client.udp.fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));

    len = sizeof(struct sockaddr_in);

    if (getsockname(m->client.udp.fd,
                    (struct sockaddr *) &b->addr[m->index], &len)
        == -1)
    {
        return false;
    }

    len = sizeof(b->relay);

    return getpeername(m->client.udp.fd, (struct sockaddr *) &b->relay, &len)
           == 0;
}


static void
bench_member_live(void *data)
{
    bench_member_t  *m = data;

    m->live = true;
    m->bench->joined++;
}


static void
bench_member_ended(void *data, const char *error)
{
    bench_member_t  *m = data;

    if (error != NULL && m->bench->failed++ == 0) {
        fprintf(stderr, BENCH_NAME ": member %u: %s\n", m->index, error);
    }

    if (m->live) {
        m->live = false;
        m->bench->joined--;
    }
}


bool
bench_connect(bench_t *b, const struct sockaddr_in *to)
{
    uint32_t  i;

    for (i = 0; i < b->n; i++) {
        if (connect(b->members[i].client.udp.fd, (const struct sockaddr *) to,
                    sizeof(*to))
            == -1)
        {
            perror(BENCH_NAME ": connect");
            return false;
        }
    }

    return true;
}


/* The server finds out itself. */
void
bench_leave(bench_t *b)
{
    uint32_t  i;

    for (i = 0; b->members != NULL && i < b->n; i++) {
        if (b->members[i].bench != NULL) {
            vc_client_free(&b->members[i].client);
        }
    }

    free(b->members);
    free(b->addr);
}
