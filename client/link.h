/*
 * Copyright (C) ngx-voice contributors
 *
 * A non-blocking TCP connection, with TLS where the server's URL says so.
 */


#ifndef _VC_LINK_H_INCLUDED_
#define _VC_LINK_H_INCLUDED_


#include "loop.h"
#include "server.h"

#include <sys/types.h>


typedef enum {
    VC_LINK_DOWN = 0,
    VC_LINK_CONNECTING,
    VC_LINK_TLS,
    VC_LINK_OPEN,
    VC_LINK_FAILED       /* see error */
} vc_link_state_t;


typedef struct {
    vc_link_state_t         state;
    vc_loop_t              *loop;
    const vc_server_t      *server;
    const struct addrinfo  *address;    /* the one that is tried */
    SSL                    *ssl;
    vc_watch_t              watch;
    char                    error[VC_ERROR_MAX];
} vc_link_t;


/* handler: called when vc_link_step(), _read or _write may get further */
void vc_link_start(vc_link_t *link, vc_loop_t *loop,
    const vc_server_t *server, void (*handler)(void *data), void *data);

/* Moves on with connecting as far as it goes. */
vc_link_state_t vc_link_step(vc_link_t *link);

/* Bytes, 0 if it would block, -1 if the connection is gone: see error. */
ssize_t vc_link_read(vc_link_t *link, void *buf, size_t len);
ssize_t vc_link_write(vc_link_t *link, const void *buf, size_t len);

void vc_link_stop(vc_link_t *link);


#endif /* _VC_LINK_H_INCLUDED_ */
