/*
 * Copyright (C) ngx-voice contributors
 */


#include "ngx_stream_voice.h"


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
ngx_voice_send_slot(ngx_voice_socket_t *sock,
    const ngx_voice_sockaddr_t *remote, const voice_addr_t *local)
{
    ngx_uint_t          i;
    struct msghdr      *hdr;
    ngx_voice_queue_t  *q = sock->queue;

    if (q->n == NGX_VOICE_BATCH) {
        return NGX_BUSY;
    }

    i = q->n++;

    q->name[i] = *remote;
    q->iov[i].iov_base = q->buf[i];
    q->iov[i].iov_len = 0;

    hdr = &q->msg[i].msg_hdr;

    hdr->msg_name = &q->name[i].u;
    hdr->msg_namelen = remote->len;
    hdr->msg_iov = &q->iov[i];
    hdr->msg_iovlen = 1;
    hdr->msg_control = NULL;
    hdr->msg_controllen = 0;

    if (sock->wildcard) {
        hdr->msg_controllen = ngx_voice_send_pktinfo(q->control[i], local);
        hdr->msg_control = q->control[i];
    }

    return i;
}


void
ngx_voice_send_flush(ngx_voice_relay_t *r, ngx_voice_socket_t *sock)
{
    int                 n;
    uint64_t            bytes;
    ngx_err_t           err;
    ngx_uint_t          i, done, packets;
    ngx_voice_queue_t  *q = sock->queue;

    done = 0;
    packets = 0;
    bytes = 0;

    while (done < q->n) {

        n = (sock->connection != NULL)
            ? sendmmsg(sock->connection->fd, &q->msg[done], q->n - done, 0)
            : -1;

        if (n >= 0) {
            for (i = done; i < done + n; i++) {
                bytes += q->iov[i].iov_len;
            }

            packets += n;
            done += n;
            continue;
        }

        err = ngx_socket_errno;

        if (sock->connection == NULL || err == NGX_EAGAIN || err == ENOBUFS) {

            /* media that waits is worth nothing */

            ngx_voice_count_n(r, SKIP_SEND, q->n - done);
            break;
        }

        if (err != NGX_EINTR) {
            ngx_log_debug1(NGX_LOG_DEBUG_STREAM, r->log, err,
                           "voice sendmmsg() failed at %ui", done);
            ngx_voice_count(r, SKIP_SEND);
            done++;
        }
    }

    ngx_voice_count_n(r, TX_PACKETS, packets);
    ngx_voice_count_n(r, TX_BYTES, bytes);

    q->n = 0;
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


void
ngx_voice_send_reply(ngx_voice_relay_t *r, ngx_voice_datagram_t *d,
    const u_char *data, size_t len)
{
    ngx_int_t              i;
    ngx_voice_sockaddr_t   remote;

    ngx_voice_addr_to(&remote, &d->remote);

    i = ngx_voice_send_slot(d->socket, &remote, &d->local);

    if (i == NGX_BUSY) {
        ngx_voice_send_flush(r, d->socket);
        i = ngx_voice_send_slot(d->socket, &remote, &d->local);
    }

    ngx_memcpy(d->socket->queue->buf[i], data, len);
    d->socket->queue->iov[i].iov_len = len;
}
