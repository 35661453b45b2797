/*
 * Copyright (C) ngx-voice contributors
 *
 * The relay: one per worker, caches and buffers only.  A datagram's way:
 *
 *   receive    recvmmsg, what it is, whose it is, open
 *   control    discovery, keep-alives, RTCP
 *   forward    policy, fan-out of the room, seal
 *   send       queues by socket, sendmmsg
 *   fanout     a room's receivers, copied from the zone
 *   peer       keys and nonces of sessions, prepared
 */


#ifndef _NGX_STREAM_VOICE_H_INCLUDED_
#define _NGX_STREAM_VOICE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>

#include "ngx_voice.h"
#include "voice_limit.h"
#include "voice_packet.h"
#include "voice_route.h"


#define NGX_VOICE_BATCH          64        /* datagrams a system call */
#define NGX_VOICE_BUFFER         1600      /* one datagram, sealed */
#define NGX_VOICE_CONTROL        64        /* room for a pktinfo message */
#define NGX_VOICE_HELD           64        /* packets */
#define NGX_VOICE_HOLD           250       /* ms, at most */
#define NGX_VOICE_TALKERS        64        /* first packets in one batch */

#if (VOICE_DATAGRAM_MAX + VOICE_SEAL_OVERHEAD > NGX_VOICE_BUFFER)
#error NGX_VOICE_BUFFER is too small
#endif


typedef struct {
    union {
        struct sockaddr        sa;
        struct sockaddr_in     sin;
        struct sockaddr_in6    sin6;
    } u;
    socklen_t                  len;
} ngx_voice_sockaddr_t;


/* Packets that wait for a sendmmsg(). */
typedef struct {
    ngx_uint_t                 n;
    struct mmsghdr             msg[NGX_VOICE_BATCH];
    struct iovec               iov[NGX_VOICE_BATCH];
    ngx_voice_sockaddr_t       name[NGX_VOICE_BATCH];
    _Alignas(8) u_char         control[NGX_VOICE_BATCH][NGX_VOICE_CONTROL];
    _Alignas(64) u_char        buf[NGX_VOICE_BATCH][NGX_VOICE_BUFFER];
} ngx_voice_queue_t;


typedef struct ngx_voice_relay_s  ngx_voice_relay_t;


typedef struct {
    ngx_voice_relay_t         *relay;
    ngx_connection_t          *connection;    /* NULL: closed */
    voice_addr_t               local;         /* IP zeros: wildcard */
    unsigned                   wildcard:1;
    ngx_voice_queue_t         *queue;
} ngx_voice_socket_t;


/* A session's key, ready to use, and this worker's share of its nonces. */
typedef struct {
    voice_crypto_key_t         key;
    uint32_t                   gen;
    uint32_t                   epoch;
    uint32_t                   nonce;
    uint32_t                   nonce_end;
    uint32_t                   sent;          /* not in the zone yet */
} ngx_voice_peer_t;


/* A receiver in a fan-out. */
typedef struct {
    ngx_voice_peer_t          *peer;
    voice_session_t           *session;
    ngx_voice_socket_t        *socket;
    uint32_t                   index;
    uint32_t                   announced;
    uint32_t                   heard;         /* of voice_session_t */
    uint32_t                   hold;          /* no media to it yet */
    ngx_voice_sockaddr_t       remote;
    voice_addr_t               local;
} ngx_voice_target_t;


/* Whether it may not have media of the member with this announcement yet. */
#define ngx_voice_target_waits(t, number)                                     \
    ((t)->hold || (t)->heard == 0 || (int32_t) ((number) - (t)->heard) > 0)


/* A room's receivers, sorted by mode; good for one version of the room. */
typedef struct {
    uint64_t                   version;
    uint64_t                   built;         /* ms */
    uint32_t                   gen;           /* 0: nothing in it */
    uint32_t                   announced;     /* newest of the members */
    uint32_t                   pending;       /* some target waits for it */
    uint32_t                   n;
    uint32_t                   size;          /* of target[] */
    uint32_t                   end[VOICE_MODE_COUNT];
    ngx_voice_target_t        *target;
} ngx_voice_fanout_t;


/* A packet that came before everybody was told of its sender. */
typedef struct {
    voice_id_t                 session;
    uint64_t                   until;         /* ms */
    voice_rtp_t                rtp;
    size_t                     len;
    u_char                     payload[VOICE_DATAGRAM_MAX];
} ngx_voice_held_t;


/* A datagram in hand. */
typedef struct {
    u_char                    *data;
    size_t                     len;
    voice_addr_t               remote;
    voice_addr_t               local;
    ngx_voice_socket_t        *socket;
} ngx_voice_datagram_t;


struct ngx_voice_relay_s {
    voice_zone_t              *zone;
    voice_metrics_t           *metrics;
    ngx_log_t                 *log;
    uint64_t                   now;           /* ms */
    uint64_t                   now_us;

    ngx_voice_socket_t        *socket;
    ngx_uint_t                 nsockets;

    ngx_voice_peer_t         **peer;          /* by session index */
    ngx_voice_fanout_t       **fanout;        /* by room index */
    voice_route_t             *route;         /* scratch */
    uint32_t                   routes;

    voice_limit_t              by_address;    /* of unknown sources */
    voice_limit_t              by_ip;

    voice_id_t                 talker[NGX_VOICE_TALKERS];
    ngx_uint_t                 ntalkers;

    ngx_voice_held_t          *held;          /* ring */
    ngx_uint_t                 held_head;
    ngx_uint_t                 held_tail;
    ngx_event_t                held_timer;
    ngx_event_t                sweep_timer;

    struct mmsghdr             msg[NGX_VOICE_BATCH];
    struct iovec               iov[NGX_VOICE_BATCH];
    struct sockaddr_storage    name[NGX_VOICE_BATCH];
    _Alignas(8) u_char         control[NGX_VOICE_BATCH][NGX_VOICE_CONTROL];
    _Alignas(64) u_char        buf[NGX_VOICE_BATCH][NGX_VOICE_BUFFER];
};


#define ngx_voice_count(r, metric)                                            \
    voice_metric_add((r)->metrics, VOICE_M_##metric, 1)

#define ngx_voice_count_n(r, metric, n)                                       \
    voice_metric_add((r)->metrics, VOICE_M_##metric, n)


/* steer: which socket of a reuseport group a datagram comes to */

void ngx_stream_voice_steer_begin(ngx_cycle_t *cycle, ngx_listening_t *first);
void ngx_stream_voice_steer_end(ngx_cycle_t *cycle, ngx_listening_t *last);

/* receive */

void ngx_voice_receive_handler(ngx_event_t *rev);
void ngx_voice_receive_init(ngx_voice_relay_t *r);
void ngx_voice_time_update(ngx_voice_relay_t *r);

/* control */

void ngx_voice_control_discovery(ngx_voice_relay_t *r,
    ngx_voice_datagram_t *d);
void ngx_voice_control_echo(ngx_voice_relay_t *r, ngx_voice_datagram_t *d,
    ngx_uint_t ping);
void ngx_voice_control_rtcp(ngx_voice_relay_t *r, ngx_voice_datagram_t *d);

/* A receiver report to a sender, if it is due. */
void ngx_voice_control_report(ngx_voice_relay_t *r, voice_session_t *s,
    ngx_voice_peer_t *peer);

/*
 * Work that strangers cause is bounded by source; false: drop the datagram.
 */
ngx_uint_t ngx_voice_control_allowed(ngx_voice_relay_t *r,
    const voice_addr_t *remote);

/* forward */

/* An accepted packet to the room of its sender. */
void ngx_voice_forward(ngx_voice_relay_t *r, voice_session_t *s,
    const voice_rtp_t *rtp, const u_char *payload, size_t len);

/* Sends the silence that ends streams which the server has cut. */
void ngx_voice_forward_cuts(ngx_voice_relay_t *r);
void ngx_voice_forward_held_handler(ngx_event_t *ev);

/* fanout */

/* NULL: the room is being changed, or is gone. */
ngx_voice_fanout_t *ngx_voice_fanout_get(ngx_voice_relay_t *r,
    voice_id_t room);

/* Looks again at those who had to wait. */
void ngx_voice_fanout_refresh(ngx_voice_relay_t *r, ngx_voice_fanout_t *f);

/* peer */

/* NULL: the session has no key, or is gone. */
ngx_voice_peer_t *ngx_voice_peer_get(ngx_voice_relay_t *r, uint32_t index);

/* NGX_DECLINED: no nonce is left, the packet can't be sealed. */
ngx_int_t ngx_voice_peer_nonce(ngx_voice_relay_t *r, ngx_voice_peer_t *peer,
    voice_session_t *s, u_char nonce[VOICE_NONCE4_LEN]);
void ngx_voice_peer_sweep_handler(ngx_event_t *ev);

/* send */

/*
 * A free place in the queue of a socket, addressed; the caller writes buf[i]
 * and then sets iov[i].iov_len.  NGX_BUSY: the queue is full, flush it.
 */
ngx_int_t ngx_voice_send_slot(ngx_voice_socket_t *sock,
    const ngx_voice_sockaddr_t *remote, const voice_addr_t *local);

void ngx_voice_send_flush(ngx_voice_relay_t *r, ngx_voice_socket_t *sock);
void ngx_voice_send_flush_all(ngx_voice_relay_t *r);

/* Answers a datagram; len is at most NGX_VOICE_BUFFER. */
void ngx_voice_send_reply(ngx_voice_relay_t *r, ngx_voice_datagram_t *d,
    const u_char *data, size_t len);

/* The socket whose packets leave from a local address, or NULL. */
ngx_voice_socket_t *ngx_voice_send_socket(ngx_voice_relay_t *r,
    const voice_addr_t *local);

void ngx_voice_addr_from(voice_addr_t *addr, const struct sockaddr *sa);
void ngx_voice_addr_to(ngx_voice_sockaddr_t *sa, const voice_addr_t *addr);


#endif /* _NGX_STREAM_VOICE_H_INCLUDED_ */
