/*
 * Copyright (C) ngx-voice contributors
 *
 * The relay: one per worker, caches and buffers only.  A datagram's way:
 *
 *   receive    recvmmsg, what it is, whose it is, open; a batch in stages
 *   control    discovery, keep-alives, RTCP
 *   forward    fan-out of the room, seal
 *   send       queues by socket, sendmmsg
 *   backlog    packets that the system doesn't take at once
 *   window     reading by the clock where packets come singly
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


#define NGX_VOICE_BATCH          64        /* datagrams read at once */
#define NGX_VOICE_QUEUE          256       /* datagrams sent at once */
#define NGX_VOICE_BACKLOG        2048      /* datagrams that may wait */
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


/*
 * Datagrams that wait for a sendmmsg().  Those that stand side by side, have
 * one receiver and one length leave as one message (UDP_SEGMENT).
 */
typedef struct {
    ngx_uint_t                 n;
    uint16_t                   len[NGX_VOICE_QUEUE];       /* 0: none */
    uint32_t                   receiver[NGX_VOICE_QUEUE];  /* 0: a reply */
    ngx_voice_sockaddr_t       name[NGX_VOICE_QUEUE];
    voice_addr_t               local[NGX_VOICE_QUEUE];

    struct mmsghdr             msg[NGX_VOICE_QUEUE];       /* made of them */
    struct iovec               iov[NGX_VOICE_QUEUE];
    uint16_t                   first[NGX_VOICE_QUEUE];
    _Alignas(8) u_char         control[NGX_VOICE_QUEUE][NGX_VOICE_CONTROL];

    _Alignas(64) u_char        buf[NGX_VOICE_QUEUE][NGX_VOICE_BUFFER];
} ngx_voice_queue_t;


typedef enum {
    NGX_VOICE_WINDOW_AUTO = 0,
    NGX_VOICE_WINDOW_OFF,
    NGX_VOICE_WINDOW_ON
} ngx_voice_window_e;


typedef struct ngx_voice_relay_s    ngx_voice_relay_t;
typedef struct ngx_voice_waiting_s  ngx_voice_waiting_t;


typedef struct {
    ngx_voice_relay_t         *relay;
    ngx_connection_t          *connection;    /* NULL: closed */
    voice_addr_t               local;         /* IP zeros: wildcard */
    ngx_voice_queue_t         *queue;
    unsigned                   wildcard:1;
    unsigned                   segment:1;     /* UDP_SEGMENT is of use */
    ngx_uint_t                 speakers;      /* of a room; 0: no limit */

    /* the batch window, see ngx_stream_voice_window.c */
    unsigned                   polling:1;
    ngx_uint_t                 window;        /* ngx_voice_window_e */
    ngx_uint_t                 event;         /* flags of ngx_add_event() */
    ngx_event_t                timer;
    uint64_t                   since;         /* ms */
    ngx_uint_t                 reads;
    ngx_uint_t                 packets;
    ngx_uint_t                 idle;

    ngx_voice_waiting_t       *waiting;       /* ring */
    ngx_uint_t                 head;
    ngx_uint_t                 tail;
    ngx_event_t                retry;
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
    uint32_t                   turn;          /* where to begin, of 2^32 */
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


/* A packet on its way out. */
typedef struct {
    ngx_voice_fanout_t        *fanout;        /* NULL: is on its way */
    uint32_t                   gen;           /* of the room */
    uint32_t                   sender;        /* session index */
    uint32_t                   announced;     /* number of its announcement */
    u_char                     header[VOICE_RTP_HEADER_LEN];
    const u_char              *payload;
    size_t                     len;
} ngx_voice_packet_t;


/* A datagram in hand. */
typedef struct {
    u_char                    *data;
    size_t                     len;
    voice_addr_t               remote;
    voice_addr_t               local;
    ngx_voice_socket_t        *socket;
    voice_packet_t             kind;
    voice_rtp_t                rtp;           /* of kind RTP */
    voice_crypto_from_t       *from;          /* NULL: not opened yet */
    uint32_t                   gen;           /* of the session */
    uint32_t                   bound;         /* of the address */
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

    ngx_voice_datagram_t       datagram[NGX_VOICE_BATCH];
    voice_crypto_from_t        from[NGX_VOICE_BATCH];

    voice_limit_t              by_address;    /* of unknown sources */
    voice_limit_t              by_ip;

    ngx_voice_packet_t         packet[NGX_VOICE_BATCH];    /* accepted */
    ngx_uint_t                 npackets;

    voice_id_t                 talker[NGX_VOICE_TALKERS];
    ngx_uint_t                 ntalkers;

    ngx_voice_held_t          *held;          /* ring */
    ngx_uint_t                 held_head;
    ngx_uint_t                 held_tail;
    ngx_event_t                held_timer;
    ngx_event_t                sweep_timer;
    unsigned                   keeps:1;       /* keys, and is told */

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

/* Reads and serves what there is, within bounds; gives the number. */
ngx_uint_t ngx_voice_receive_read(ngx_voice_socket_t *sock);
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

/* window */

/* After n datagrams by an event: whether to read by the clock from now on. */
void ngx_voice_window_update(ngx_voice_socket_t *sock, ngx_uint_t n);
void ngx_voice_window_stop(ngx_voice_socket_t *sock);
void ngx_voice_window_handler(ngx_event_t *ev);

/* forward */

/*
 * Takes an accepted packet for the room of its sender.  It is sent by
 * ngx_voice_forward_flush(), until when payload must stay.
 */
void ngx_voice_forward(ngx_voice_relay_t *r, voice_session_t *s,
    const voice_rtp_t *rtp, const u_char *payload, size_t len);

void ngx_voice_forward_flush(ngx_voice_relay_t *r);

/*
 * The stream of a session goes no further: it ends with silence, as a talker
 * that stops sends it, or receivers would make up what is missing.
 */
void ngx_voice_forward_end(ngx_voice_relay_t *r, voice_session_t *s);

/* Sends the silence that ends streams which the server has cut. */
void ngx_voice_forward_cuts(ngx_voice_relay_t *r);
void ngx_voice_forward_held_handler(ngx_event_t *ev);

/* fanout */

/* NULL: the room is being changed, or is gone. */
ngx_voice_fanout_t *ngx_voice_fanout_get(ngx_voice_relay_t *r,
    voice_id_t room);

/* Looks again at those who had to wait. */
void ngx_voice_fanout_refresh(ngx_voice_relay_t *r, ngx_voice_fanout_t *f);
void ngx_voice_fanout_exit(ngx_voice_relay_t *r);

/* peer */

/* NULL: the session has no key, or is gone. */
ngx_voice_peer_t *ngx_voice_peer_get(ngx_voice_relay_t *r, uint32_t index);

/* NGX_DECLINED: no nonce is left, the packet can't be sealed. */
ngx_int_t ngx_voice_peer_nonce(ngx_voice_relay_t *r, ngx_voice_peer_t *peer,
    voice_session_t *s, u_char nonce[VOICE_NONCE4_LEN]);
void ngx_voice_peer_sweep_handler(ngx_event_t *ev);

/* After a wake: keys of this worker may be over. */
void ngx_voice_peer_over(ngx_voice_relay_t *r);

/* At the worker's exit: wipes and frees all of them. */
void ngx_voice_peer_exit(ngx_voice_relay_t *r);

/* send */

/*
 * n free places side by side in the queue of a socket, addressed, for one
 * receiver (its session index + 1, or 0); gives the first.  The caller writes
 * buf[i] and sets len[i].  NGX_BUSY: there are not so many, flush it.
 */
ngx_int_t ngx_voice_send_slots(ngx_voice_socket_t *sock, ngx_uint_t n,
    uint32_t receiver, const ngx_voice_sockaddr_t *remote,
    const voice_addr_t *local);

/* One place for what is no room's media; makes room if there is none. */
ngx_uint_t ngx_voice_send_slot(ngx_voice_relay_t *r, ngx_voice_socket_t *sock,
    const voice_addr_t *remote, const voice_addr_t *local);

void ngx_voice_send_flush(ngx_voice_relay_t *r, ngx_voice_socket_t *sock);

/*
 * Sends what is queued, and leaves it there.  NGX_AGAIN: but for what is
 * queued from place *left on, the system takes no more yet.
 */
ngx_int_t ngx_voice_send_queue(ngx_voice_relay_t *r, ngx_voice_socket_t *sock,
    ngx_uint_t *left);
void ngx_voice_send_flush_all(ngx_voice_relay_t *r);

/* Answers a datagram; len is at most NGX_VOICE_BUFFER. */
void ngx_voice_send_reply(ngx_voice_relay_t *r, ngx_voice_datagram_t *d,
    const u_char *data, size_t len);

/* backlog */

#define ngx_voice_backlog_n(sock)  ((sock)->head - (sock)->tail)

ngx_int_t ngx_voice_backlog_init(ngx_cycle_t *cycle,
    ngx_voice_socket_t *sock);

/* Takes what is queued from place i on; it is sent as soon as it can be. */
void ngx_voice_backlog_add(ngx_voice_socket_t *sock, ngx_uint_t i);

/* The socket is given up. */
void ngx_voice_backlog_stop(ngx_voice_socket_t *sock);

/* The socket whose packets leave from a local address, or NULL. */
ngx_voice_socket_t *ngx_voice_send_socket(ngx_voice_relay_t *r,
    const voice_addr_t *local);

void ngx_voice_addr_from(voice_addr_t *addr, const struct sockaddr *sa);
void ngx_voice_addr_to(ngx_voice_sockaddr_t *sa, const voice_addr_t *addr);


#endif /* _NGX_STREAM_VOICE_H_INCLUDED_ */
