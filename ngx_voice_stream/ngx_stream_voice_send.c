/*
 * Copyright (C) ngx-voice contributors
 */


#include "ngx_stream_voice.h"

#include <netinet/udp.h>


#ifndef UDP_SEGMENT
#define UDP_SEGMENT          103
#endif

/* the kernel takes 64, and 64 KiB altogether */
#define NGX_VOICE_SEGMENTS   32


void
ngx_voice_addr_from(voice_addr_t *addr, const struct sockaddr *sa)
{
    const struct sockaddr_in   *sin;
    const struct sockaddr_in6  *sin6;

    ngx_memzero(addr, sizeof(voice_addr_t));

    switch (sa->sa_family) {

    case AF_INET:
        sin = (const struct sockaddr_in *) sa;
        addr->family = VOICE_ADDR_V4;
        addr->port = ntohs(sin->sin_port);
        ngx_memcpy(addr->ip, &sin->sin_addr, 4);
        break;

    case AF_INET6:
        sin6 = (const struct sockaddr_in6 *) sa;
        addr->family = VOICE_ADDR_V6;
        addr->port = ntohs(sin6->sin6_port);
        addr->scope = sin6->sin6_scope_id;
        ngx_memcpy(addr->ip, &sin6->sin6_addr, 16);
        break;
    }
}


void
ngx_voice_addr_to(ngx_voice_sockaddr_t *sa, const voice_addr_t *addr)
{
    ngx_memzero(sa, sizeof(ngx_voice_sockaddr_t));

    if (addr->family == VOICE_ADDR_V6) {
        sa->len = sizeof(struct sockaddr_in6);
        sa->u.sin6.sin6_family = AF_INET6;
        sa->u.sin6.sin6_port = htons(addr->port);
        sa->u.sin6.sin6_scope_id = addr->scope;
        ngx_memcpy(&sa->u.sin6.sin6_addr, addr->ip, 16);
        return;
    }

    sa->len = sizeof(struct sockaddr_in);
    sa->u.sin.sin_family = AF_INET;
    sa->u.sin.sin_port = htons(addr->port);
    ngx_memcpy(&sa->u.sin.sin_addr, addr->ip, 4);
}


ngx_voice_socket_t *
ngx_voice_send_socket(ngx_voice_relay_t *r, const voice_addr_t *local)
{
    ngx_uint_t           i;
    ngx_voice_socket_t  *sock, *wildcard;

    wildcard = NULL;

    for (i = 0; i < r->nsockets; i++) {
        sock = &r->socket[i];

        if (sock->connection == NULL
            || sock->local.family != local->family
            || sock->local.port != local->port)
        {
            continue;
        }

        if (sock->wildcard) {
            wildcard = sock;

        } else if (ngx_memcmp(sock->local.ip, local->ip, 16) == 0) {
            return sock;
        }
    }

    return wildcard;
}


/*
 * A wildcard socket would let the routing table choose the source address,
 * and the client's NAT knows only the one that it has sent to.
 */

static size_t
ngx_voice_send_pktinfo(u_char *control, const voice_addr_t *local)
{
    struct cmsghdr      *cmsg;
    struct in_pktinfo   *pkt;
    struct in6_pktinfo  *pkt6;

    cmsg = (struct cmsghdr *) control;

    if (local->family == VOICE_ADDR_V6) {
        ngx_memzero(control, CMSG_SPACE(sizeof(struct in6_pktinfo)));
        cmsg->cmsg_level = IPPROTO_IPV6;
        cmsg->cmsg_type = IPV6_PKTINFO;
        cmsg->cmsg_len = CMSG_LEN(sizeof(struct in6_pktinfo));
        pkt6 = (struct in6_pktinfo *) CMSG_DATA(cmsg);
        ngx_memcpy(&pkt6->ipi6_addr, local->ip, 16);

        return CMSG_SPACE(sizeof(struct in6_pktinfo));
    }

    ngx_memzero(control, CMSG_SPACE(sizeof(struct in_pktinfo)));
    cmsg->cmsg_level = IPPROTO_IP;
    cmsg->cmsg_type = IP_PKTINFO;
    cmsg->cmsg_len = CMSG_LEN(sizeof(struct in_pktinfo));
    pkt = (struct in_pktinfo *) CMSG_DATA(cmsg);
    ngx_memcpy(&pkt->ipi_spec_dst, local->ip, 4);

    return CMSG_SPACE(sizeof(struct in_pktinfo));
}


ngx_int_t
ngx_voice_send_slots(ngx_voice_socket_t *sock, ngx_uint_t n,
    uint32_t receiver, const ngx_voice_sockaddr_t *remote,
    const voice_addr_t *local)
{
    ngx_uint_t          i;
    ngx_voice_queue_t  *q = sock->queue;

    if (NGX_VOICE_QUEUE - q->n < n) {
        return NGX_BUSY;
    }

    for (i = q->n; i < q->n + n; i++) {
        q->len[i] = 0;
        q->receiver[i] = receiver;
        q->name[i] = *remote;
        q->local[i] = *local;
    }

    q->n += n;

    return q->n - n;
}


/* What waits may be for where a receiver was before its address changed. */

static ngx_uint_t
ngx_voice_send_same(const ngx_voice_queue_t *q, ngx_uint_t i, ngx_uint_t k)
{
    return q->receiver[k] == q->receiver[i]
           && q->name[k].len == q->name[i].len
           && ngx_memcmp(&q->name[k].u, &q->name[i].u, q->name[i].len) == 0
           && voice_addr_equal(&q->local[k], &q->local[i]);
}


/*
 * The length of a run from place i on: one receiver and one way to it, all of
 * one size but the last, which may be smaller.
 */

static ngx_uint_t
ngx_voice_send_run(const ngx_voice_queue_t *q, ngx_uint_t i)
{
    ngx_uint_t  k;

    if (q->receiver[i] == 0) {
        return 1;
    }

    for (k = i + 1; k < q->n && k - i < NGX_VOICE_SEGMENTS; k++) {

        if (!ngx_voice_send_same(q, i, k) || q->len[k] == 0
            || q->len[k] > q->len[i])
        {
            break;
        }

        if (q->len[k] < q->len[i]) {
            k++;
            break;
        }
    }

    return k - i;
}


/* A message of n datagrams from place i on. */

static void
ngx_voice_send_message(ngx_voice_socket_t *sock, ngx_uint_t m, ngx_uint_t i,
    ngx_uint_t n)
{
    size_t              control;
    ngx_uint_t          k;
    struct msghdr      *hdr;
    struct cmsghdr     *cmsg;
    ngx_voice_queue_t  *q = sock->queue;

    for (k = i; k < i + n; k++) {
        q->iov[k].iov_base = q->buf[k];
        q->iov[k].iov_len = q->len[k];
    }

    q->first[m] = i;

    hdr = &q->msg[m].msg_hdr;

    hdr->msg_name = &q->name[i].u;
    hdr->msg_namelen = q->name[i].len;
    hdr->msg_iov = &q->iov[i];
    hdr->msg_iovlen = n;
    hdr->msg_flags = 0;

    control = sock->wildcard
              ? ngx_voice_send_pktinfo(q->control[m], &q->local[i]) : 0;

    if (n > 1) {
        cmsg = (struct cmsghdr *) (q->control[m] + control);
        cmsg->cmsg_level = IPPROTO_UDP;
        cmsg->cmsg_type = UDP_SEGMENT;
        cmsg->cmsg_len = CMSG_LEN(sizeof(uint16_t));
        ngx_memcpy(CMSG_DATA(cmsg), &q->len[i], sizeof(uint16_t));
        control += CMSG_SPACE(sizeof(uint16_t));
    }

    hdr->msg_control = control != 0 ? q->control[m] : NULL;
    hdr->msg_controllen = control;
}


/* Makes messages of what is queued from place i on; gives their number. */

static ngx_uint_t
ngx_voice_send_messages(ngx_voice_socket_t *sock, ngx_uint_t i)
{
    ngx_uint_t          m, n;
    ngx_voice_queue_t  *q = sock->queue;

    for (m = 0; i < q->n; i += n) {
        n = 1;

        if (q->len[i] != 0) {
            n = sock->segment ? ngx_voice_send_run(q, i) : 1;
            ngx_voice_send_message(sock, m++, i, n);
        }
    }

    return m;
}


static void
ngx_voice_send_account(ngx_voice_relay_t *r, ngx_voice_queue_t *q,
    ngx_uint_t from, ngx_uint_t to)
{
    size_t      k;
    uint64_t    bytes;
    ngx_uint_t  packets;

    bytes = 0;
    packets = 0;

    for ( /* void */ ; from < to; from++) {
        packets += q->msg[from].msg_hdr.msg_iovlen;

        for (k = 0; k < q->msg[from].msg_hdr.msg_iovlen; k++) {
            bytes += q->msg[from].msg_hdr.msg_iov[k].iov_len;
        }
    }

    ngx_voice_count_n(r, TX_PACKETS, packets);
    ngx_voice_count_n(r, TX_BYTES, bytes);
}


static void
ngx_voice_send_skip(ngx_voice_relay_t *r, ngx_voice_queue_t *q,
    ngx_uint_t from, ngx_uint_t to)
{
    for ( /* void */ ; from < to; from++) {
        ngx_voice_count_n(r, SKIP_SEND, q->msg[from].msg_hdr.msg_iovlen);
    }
}


ngx_int_t
ngx_voice_send_queue(ngx_voice_relay_t *r, ngx_voice_socket_t *sock,
    ngx_uint_t *left)
{
    int                 n;
    ngx_err_t           err;
    ngx_uint_t          done, total;
    ngx_voice_queue_t  *q = sock->queue;

    done = 0;
    total = ngx_voice_send_messages(sock, 0);

    while (done < total) {

        if (sock->connection == NULL) {
            ngx_voice_send_skip(r, q, done, total);
            break;
        }

        n = sendmmsg(sock->connection->fd, &q->msg[done], total - done, 0);

        if (n > 0) {
            ngx_voice_send_account(r, q, done, done + n);
            done += n;
            continue;
        }

        err = ngx_socket_errno;

        if (err == NGX_EINTR) {
            continue;
        }

        if (err == NGX_EAGAIN || err == ENOBUFS) {
            *left = q->first[done];
            return NGX_AGAIN;
        }

        if (q->msg[done].msg_hdr.msg_iovlen > 1) {

            /* a device without checksum offload, say */

            ngx_log_error(NGX_LOG_NOTICE, r->log, err,
                          "voice sendmmsg() with UDP_SEGMENT failed, packets "
                          "are sent one by one from now on");
            sock->segment = 0;
            total = ngx_voice_send_messages(sock, q->first[done]);
            done = 0;
            continue;
        }

        ngx_log_debug1(NGX_LOG_DEBUG_STREAM, r->log, err,
                       "voice sendmmsg() failed at %ui", done);
        ngx_voice_send_skip(r, q, done, done + 1);
        done++;
    }

    return NGX_OK;
}


void
ngx_voice_send_flush(ngx_voice_relay_t *r, ngx_voice_socket_t *sock)
{
    ngx_uint_t  left;

    if (ngx_voice_backlog_n(sock) != 0) {
        ngx_voice_backlog_add(sock, 0);

    } else if (ngx_voice_send_queue(r, sock, &left) == NGX_AGAIN) {
        ngx_voice_backlog_add(sock, left);
    }

    sock->queue->n = 0;
}


void
ngx_voice_send_flush_all(ngx_voice_relay_t *r)
{
    ngx_uint_t  i;

    for (i = 0; i < r->nsockets; i++) {
        if (r->socket[i].queue->n != 0) {
            ngx_voice_send_flush(r, &r->socket[i]);
        }
    }
}


ngx_uint_t
ngx_voice_send_slot(ngx_voice_relay_t *r, ngx_voice_socket_t *sock,
    const voice_addr_t *remote, const voice_addr_t *local)
{
    ngx_voice_sockaddr_t  sa;

    if (sock->queue->n == NGX_VOICE_QUEUE) {
        ngx_voice_send_flush(r, sock);
    }

    ngx_voice_addr_to(&sa, remote);

    return ngx_voice_send_slots(sock, 1, 0, &sa, local);
}


void
ngx_voice_send_reply(ngx_voice_relay_t *r, ngx_voice_datagram_t *d,
    const u_char *data, size_t len)
{
    ngx_uint_t  i;

    i = ngx_voice_send_slot(r, d->socket, &d->remote, &d->local);

    ngx_memcpy(d->socket->queue->buf[i], data, len);
    d->socket->queue->len[i] = len;
}
