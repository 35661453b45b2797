/*
 * Copyright (C) ngx-voice contributors
 */


#include "ngx_stream_voice.h"

#include <linux/filter.h>


/*
 * The kernel's choice among the sockets of a reuseport group moves with the
 * number of sockets, which changes in a reload while packets are queued in
 * sockets that nobody will read any more.  A classic BPF program of our own
 * keeps to the first n sockets; their order is that of the workers.
 */

static ngx_int_t
ngx_stream_voice_steer(ngx_listening_t *ls, ngx_uint_t n, ngx_log_t *log)
{
    struct sock_fprog   prog;
    struct sock_filter  code[] = {

        /* A = source address, or its last four bytes; X = A; A = port */

        { BPF_LD|BPF_W|BPF_ABS, 0, 0, SKF_NET_OFF + 12 },
        { BPF_MISC|BPF_TAX, 0, 0, 0 },
        { BPF_LD|BPF_H|BPF_ABS, 0, 0, SKF_NET_OFF + 20 },

        { BPF_ALU|BPF_XOR|BPF_X, 0, 0, 0 },
        { BPF_ALU|BPF_MUL|BPF_K, 0, 0, 0x9E3779B1u },
        { BPF_ALU|BPF_RSH|BPF_K, 0, 0, 16 },
        { BPF_ALU|BPF_MOD|BPF_K, 0, 0, n },
        { BPF_RET|BPF_A, 0, 0, 0 }
    };

    if (ls->sockaddr->sa_family == AF_INET6) {
        code[0].k = SKF_NET_OFF + 20;
        code[2].k = SKF_NET_OFF + 40;
    }

    prog.len = sizeof(code) / sizeof(code[0]);
    prog.filter = code;

    if (setsockopt(ls->fd, SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, &prog,
                   sizeof(struct sock_fprog))
        == -1)
    {
        /* the kernel's own choice serves, but for a change of workers */

        ngx_log_error(NGX_LOG_WARN, log, ngx_socket_errno,
                      "setsockopt(SO_ATTACH_REUSEPORT_CBPF) for \"%V\" "
                      "failed", &ls->addr_text);
        return NGX_DECLINED;
    }

    return NGX_OK;
}


static ngx_uint_t
ngx_stream_voice_steer_same(ngx_listening_t *a, ngx_listening_t *b)
{
    return a->reuseport && b->reuseport && a->type == b->type
           && ngx_cmp_sockaddr(a->sockaddr, a->socklen, b->sockaddr,
                               b->socklen, 1)
              == NGX_OK;
}


/*
 * Before old sockets are closed: only those that the former workers have and
 * the new ones will have too.
 */

void
ngx_stream_voice_steer_begin(ngx_cycle_t *cycle, ngx_listening_t *first)
{
    ngx_uint_t        i, n, kept;
    ngx_listening_t  *ls;

    n = 0;
    kept = 0;
    ls = cycle->listening.elts;

    for (i = 0; i < cycle->listening.nelts; i++) {
        if (ngx_stream_voice_steer_same(first, &ls[i])) {
            n++;
            kept += (ls[i].previous != NULL);
        }
    }

    (void) ngx_stream_voice_steer(first, kept != 0 ? kept : n, cycle->log);
}


/* In the last worker, which has all the others before it: to all of them. */

void
ngx_stream_voice_steer_end(ngx_cycle_t *cycle, ngx_listening_t *last)
{
    ngx_uint_t        i, n;
    ngx_listening_t  *ls;

    n = 0;
    ls = cycle->listening.elts;

    for (i = 0; i < cycle->listening.nelts; i++) {
        n += ngx_stream_voice_steer_same(last, &ls[i]);
    }

    if (last->worker + 1 == n) {
        (void) ngx_stream_voice_steer(last, n, cycle->log);
    }
}
