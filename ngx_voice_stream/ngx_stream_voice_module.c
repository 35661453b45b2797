/*
 * Copyright (C) ngx-voice contributors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>
#include <ngx_stream.h>

#include <stddef.h>

#include "ngx_stream_voice.h"


#define NGX_VOICE_LIMIT_BUCKETS     4096

/*
 * What is looked at from an address that no session has: a client needs one
 * discovery request, or as many packets as are on the way when it roams.
 */
#define NGX_VOICE_ADDRESS_RATE      50         /* a second */
#define NGX_VOICE_ADDRESS_BURST     100
#define NGX_VOICE_IP_RATE           5000
#define NGX_VOICE_IP_BURST          20000

#define NGX_VOICE_SPEAKERS          25


typedef struct {
    ngx_uint_t           enable;
    ngx_uint_t           window;               /* ngx_voice_window_e */
    ngx_uint_t           segment;
    ngx_uint_t           speakers;             /* of a room; 0: no limit */
    voice_addr_t         advertise;            /* family 0: none given */
} ngx_stream_voice_srv_conf_t;


static char *ngx_stream_voice_relay(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static ngx_int_t ngx_stream_voice_option(ngx_stream_voice_srv_conf_t *vscf,
    ngx_str_t *value);
static char *ngx_stream_voice_max_speakers(ngx_conf_t *cf,
    ngx_command_t *cmd, void *conf);
static void *ngx_stream_voice_create_srv_conf(ngx_conf_t *cf);
static char *ngx_stream_voice_merge_srv_conf(ngx_conf_t *cf, void *parent,
    void *child);
static ngx_int_t ngx_stream_voice_postconfiguration(ngx_conf_t *cf);
static void ngx_stream_voice_handler(ngx_stream_session_t *s);

static ngx_int_t ngx_stream_voice_init_module(ngx_cycle_t *cycle);
static ngx_int_t ngx_stream_voice_init_process(ngx_cycle_t *cycle);
static void ngx_stream_voice_exit_process(ngx_cycle_t *cycle);
static ngx_stream_voice_srv_conf_t *ngx_stream_voice_listening(
    ngx_listening_t *ls);
static ngx_voice_relay_t *ngx_stream_voice_create_relay(ngx_cycle_t *cycle,
    ngx_uint_t nsockets);
static ngx_int_t ngx_stream_voice_take_over(ngx_cycle_t *cycle,
    ngx_voice_relay_t *r, ngx_listening_t *ls);
static void ngx_stream_voice_wake(ngx_log_t *log);


static ngx_command_t  ngx_stream_voice_commands[] = {

    { ngx_string("voice_relay"),
      NGX_STREAM_SRV_CONF|NGX_CONF_NOARGS|NGX_CONF_TAKE123,
      ngx_stream_voice_relay,
      NGX_STREAM_SRV_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("voice_max_speakers"),
      NGX_STREAM_MAIN_CONF|NGX_STREAM_SRV_CONF|NGX_CONF_TAKE1,
      ngx_stream_voice_max_speakers,
      NGX_STREAM_SRV_CONF_OFFSET,
      0,
      NULL },

      ngx_null_command
};


static ngx_stream_module_t  ngx_stream_voice_module_ctx = {
    NULL,                                  /* preconfiguration */
    ngx_stream_voice_postconfiguration,    /* postconfiguration */

    NULL,                                  /* create main configuration */
    NULL,                                  /* init main configuration */

    ngx_stream_voice_create_srv_conf,      /* create server configuration */
    ngx_stream_voice_merge_srv_conf        /* merge server configuration */
};


ngx_module_t  ngx_stream_voice_module = {
    NGX_MODULE_V1,
    &ngx_stream_voice_module_ctx,          /* module context */
    ngx_stream_voice_commands,             /* module directives */
    NGX_STREAM_MODULE,                     /* module type */
    NULL,                                  /* init master */
    ngx_stream_voice_init_module,          /* init module */
    ngx_stream_voice_init_process,         /* init process */
    NULL,                                  /* init thread */
    NULL,                                  /* exit thread */
    ngx_stream_voice_exit_process,         /* exit process */
    NULL,                                  /* exit master */
    NGX_MODULE_V1_PADDING
};


static ngx_voice_relay_t  *ngx_stream_voice;


static void *
ngx_stream_voice_create_srv_conf(ngx_conf_t *cf)
{
    ngx_stream_voice_srv_conf_t  *vscf;

    vscf = ngx_pcalloc(cf->pool, sizeof(ngx_stream_voice_srv_conf_t));
    if (vscf == NULL) {
        return NULL;
    }

    vscf->speakers = NGX_CONF_UNSET_UINT;

    return vscf;
}


static char *
ngx_stream_voice_merge_srv_conf(ngx_conf_t *cf, void *parent, void *child)
{
    ngx_stream_voice_srv_conf_t  *prev = parent;
    ngx_stream_voice_srv_conf_t  *conf = child;

    ngx_conf_merge_uint_value(conf->speakers, prev->speakers,
                              NGX_VOICE_SPEAKERS);

    return NGX_CONF_OK;
}


static char *
ngx_stream_voice_max_speakers(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_stream_voice_srv_conf_t  *vscf = conf;

    ngx_int_t   n;
    ngx_str_t  *value;

    if (vscf->speakers != NGX_CONF_UNSET_UINT) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (ngx_strcmp(value[1].data, "off") == 0) {
        vscf->speakers = 0;
        return NGX_CONF_OK;
    }

    n = ngx_atoi(value[1].data, value[1].len);

    if (n < 1 || n > VOICE_SPEAKERS_MAX) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid value \"%V\" of \"voice_max_speakers\", "
                           "expected a number from 1 to %d, or off",
                           &value[1], VOICE_SPEAKERS_MAX);
        return NGX_CONF_ERROR;
    }

    vscf->speakers = n;

    return NGX_CONF_OK;
}


static char *
ngx_stream_voice_relay(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_stream_voice_srv_conf_t  *vscf = conf;

    ngx_str_t                    *value;
    ngx_addr_t                    addr;
    ngx_uint_t                    i;
    ngx_stream_core_srv_conf_t   *cscf;

    if (vscf->enable) {
        return "is duplicate";
    }

    vscf->enable = 1;

    cscf = ngx_stream_conf_get_module_srv_conf(cf, ngx_stream_core_module);
    cscf->handler = ngx_stream_voice_handler;

    vscf->segment = 1;

    value = cf->args->elts;

    for (i = 1; i < cf->args->nelts; i++) {

        if (ngx_strncmp(value[i].data, "advertise=", 10) == 0
            && ngx_parse_addr(cf->pool, &addr, value[i].data + 10,
                              value[i].len - 10)
               == NGX_OK)
        {
            ngx_voice_addr_from(&vscf->advertise, addr.sockaddr);
            continue;
        }

        if (ngx_stream_voice_option(vscf, &value[i]) == NGX_OK) {
            continue;
        }

        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid parameter \"%V\" of \"voice_relay\", "
                           "expected advertise=ADDRESS with an IPv4 or IPv6 "
                           "address that clients can send to, "
                           "window=auto|off|1ms, or segment=on|off",
                           &value[i]);
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


static ngx_int_t
ngx_stream_voice_option(ngx_stream_voice_srv_conf_t *vscf, ngx_str_t *value)
{
    ngx_uint_t  i;

    static const struct {
        ngx_str_t     text;
        size_t        offset;
        ngx_uint_t    value;
    } option[] = {
        { ngx_string("window=auto"),
          offsetof(ngx_stream_voice_srv_conf_t, window),
          NGX_VOICE_WINDOW_AUTO },

        { ngx_string("window=off"),
          offsetof(ngx_stream_voice_srv_conf_t, window),
          NGX_VOICE_WINDOW_OFF },

        { ngx_string("window=1ms"),
          offsetof(ngx_stream_voice_srv_conf_t, window),
          NGX_VOICE_WINDOW_ON },

        { ngx_string("segment=on"),
          offsetof(ngx_stream_voice_srv_conf_t, segment), 1 },

        { ngx_string("segment=off"),
          offsetof(ngx_stream_voice_srv_conf_t, segment), 0 }
    };

    for (i = 0; i < sizeof(option) / sizeof(option[0]); i++) {

        if (value->len == option[i].text.len
            && ngx_strncmp(value->data, option[i].text.data, value->len) == 0)
        {
            *(ngx_uint_t *) ((u_char *) vscf + option[i].offset)
                = option[i].value;
            return NGX_OK;
        }
    }

    return NGX_DECLINED;
}


static ngx_int_t
ngx_stream_voice_postconfiguration(ngx_conf_t *cf)
{
    ngx_uint_t                     i, used;
    ngx_stream_listen_t           *listen;
    ngx_stream_core_main_conf_t   *cmcf;
    ngx_stream_voice_srv_conf_t   *vscf;

    used = 0;

    cmcf = ngx_stream_conf_get_module_main_conf(cf, ngx_stream_core_module);
    listen = cmcf->listen.elts;

    for (i = 0; i < cmcf->listen.nelts; i++) {

        vscf = listen[i].ctx->srv_conf[ngx_stream_voice_module.ctx_index];

        if (!vscf->enable) {
            continue;
        }

        used = 1;

        if (listen[i].type != SOCK_DGRAM) {
            ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                          "\"voice_relay\" needs \"udp\" in \"listen %V\"",
                          &listen[i].addr_text);
            return NGX_ERROR;
        }
    }

    if (used && !ngx_voice_zone_configured(cf->cycle)) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "\"voice_relay\" needs a \"voice_zone\" before the "
                      "stream block");
        return NGX_ERROR;
    }

    return NGX_OK;
}


/* Only for a socket that no worker took over, which is not to be. */

static void
ngx_stream_voice_handler(ngx_stream_session_t *s)
{
    ngx_stream_finalize_session(s, NGX_STREAM_INTERNAL_SERVER_ERROR);
}


/* The relay's configuration if a listening socket belongs to one. */

static ngx_stream_voice_srv_conf_t *
ngx_stream_voice_listening(ngx_listening_t *ls)
{
    ngx_stream_port_t            *port;
    ngx_stream_conf_ctx_t        *ctx;
    ngx_stream_addr_conf_t       *addr;
    ngx_stream_in6_addr_t        *addr6;
    ngx_stream_voice_srv_conf_t  *vscf;

    if (ls->type != SOCK_DGRAM || ls->handler != ngx_stream_init_connection) {
        return NULL;
    }

    port = ls->servers;

    if (ls->sockaddr->sa_family == AF_INET6) {
        addr6 = port->addrs;
        addr = &addr6[0].conf;

    } else {
        addr = &((ngx_stream_in_addr_t *) port->addrs)[0].conf;
    }

#if (nginx_version >= 1025005)
    ctx = addr->default_server->ctx;
#else
    ctx = addr->ctx;
#endif

    vscf = ctx->srv_conf[ngx_stream_voice_module.ctx_index];

    return vscf->enable ? vscf : NULL;
}


/* Tells the signalling, through the zone, where media is taken. */

static ngx_int_t
ngx_stream_voice_init_module(ngx_cycle_t *cycle)
{
    ngx_uint_t                    i, k, n;
    voice_addr_t                  addr, ip;
    voice_zone_t                 *z;
    ngx_listening_t              *ls;
    voice_endpoint_t              ep[VOICE_ENDPOINTS_MAX + 1];
    ngx_stream_voice_srv_conf_t  *vscf;

    z = ngx_voice_zone(cycle);

    if (z == NULL) {
        return NGX_OK;
    }

    n = 0;
    ls = cycle->listening.elts;

    for (i = 0; i < cycle->listening.nelts; i++) {

        vscf = ngx_stream_voice_listening(&ls[i]);
        if (vscf == NULL) {
            continue;
        }

        if (ls[i].reuseport && ls[i].worker == 0) {
            ngx_stream_voice_steer_begin(cycle, &ls[i]);
        }

        ngx_voice_addr_from(&addr, ls[i].sockaddr);
        ip = vscf->advertise.family != VOICE_ADDR_NONE ? vscf->advertise
                                                       : addr;

        ngx_memzero(&ep[n], sizeof(voice_endpoint_t));
        ep[n].family = ip.family;
        ep[n].port = addr.port;
        (void) inet_ntop(ip.family == VOICE_ADDR_V6 ? AF_INET6 : AF_INET,
                         ip.ip, ep[n].ip, sizeof(ep[n].ip));

        /* reuseport makes one socket for each worker of a listen */

        for (k = 0; k < n; k++) {
            if (ngx_memcmp(&ep[k], &ep[n], sizeof(voice_endpoint_t)) == 0) {
                break;
            }
        }

        if (k == n && n < VOICE_ENDPOINTS_MAX) {
            n++;
        }
    }

    voice_zone_endpoints_set(z, ep, n);

    return NGX_OK;
}


static ngx_int_t
ngx_stream_voice_init_process(ngx_cycle_t *cycle)
{
    ngx_uint_t          i, n;
    ngx_listening_t    *ls;
    ngx_voice_relay_t  *r;

    if (ngx_process != NGX_PROCESS_WORKER && ngx_process != NGX_PROCESS_SINGLE)
    {
        return NGX_OK;
    }

    n = 0;
    ls = cycle->listening.elts;

    for (i = 0; i < cycle->listening.nelts; i++) {
        n += (ngx_stream_voice_listening(&ls[i]) != NULL);
    }

    if (n == 0) {
        return NGX_OK;
    }

    r = ngx_stream_voice_create_relay(cycle, n);

    if (r == NULL
        || ngx_voice_wake_handler(cycle, ngx_stream_voice_wake) != NGX_OK)
    {
        return NGX_ERROR;
    }

    r->metrics = voice_zone_metrics(r->zone);
    ngx_stream_voice = r;

    for (i = 0; i < cycle->listening.nelts; i++) {

        if (ngx_stream_voice_listening(&ls[i]) == NULL
            || (ls[i].reuseport && ls[i].worker != ngx_worker))
        {
            continue;
        }

        if (ngx_stream_voice_take_over(cycle, r, &ls[i]) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static void
ngx_stream_voice_exit_process(ngx_cycle_t *cycle)
{
    ngx_voice_relay_t  *r = ngx_stream_voice;

    if (r != NULL) {
        ngx_voice_peer_exit(r);
        ngx_voice_fanout_exit(r);
    }
}


static ngx_voice_relay_t *
ngx_stream_voice_create_relay(ngx_cycle_t *cycle, ngx_uint_t nsockets)
{
    size_t               n;
    uint64_t             seed[2];
    voice_bucket_t      *buckets;
    ngx_voice_relay_t   *r;

    r = ngx_pmemalign(cycle->pool, sizeof(ngx_voice_relay_t), 64);
    if (r == NULL) {
        return NULL;
    }

    ngx_memzero(r, sizeof(ngx_voice_relay_t));

    r->zone = ngx_voice_zone(cycle);
    r->log = cycle->log;

    if (r->zone == NULL) {
        return NULL;
    }

    n = r->zone->header->sessions;

    r->socket = ngx_pcalloc(cycle->pool,
                            nsockets * sizeof(ngx_voice_socket_t));
    r->peer = ngx_pcalloc(cycle->pool, n * sizeof(ngx_voice_peer_t *));
    r->fanout = ngx_pcalloc(cycle->pool, n * sizeof(ngx_voice_fanout_t *));
    r->held = ngx_palloc(cycle->pool,
                         NGX_VOICE_HELD * sizeof(ngx_voice_held_t));
    buckets = ngx_pcalloc(cycle->pool, 2 * NGX_VOICE_LIMIT_BUCKETS
                                       * sizeof(voice_bucket_t));

    if (r->socket == NULL || r->peer == NULL || r->fanout == NULL
        || r->held == NULL || buckets == NULL)
    {
        return NULL;
    }

    seed[0] = ((uint64_t) ngx_random() << 32) ^ ngx_random();
    seed[1] = ((uint64_t) ngx_random() << 32) ^ ngx_pid;

    voice_limit_init(&r->by_address, buckets, NGX_VOICE_LIMIT_BUCKETS,
                     NGX_VOICE_ADDRESS_RATE, NGX_VOICE_ADDRESS_BURST, seed);
    voice_limit_init(&r->by_ip, buckets + NGX_VOICE_LIMIT_BUCKETS,
                     NGX_VOICE_LIMIT_BUCKETS, NGX_VOICE_IP_RATE,
                     NGX_VOICE_IP_BURST, seed);

    r->held_timer.handler = ngx_voice_forward_held_handler;
    r->held_timer.data = r;
    r->held_timer.log = cycle->log;
    r->held_timer.cancelable = 1;

    r->sweep_timer.handler = ngx_voice_peer_sweep_handler;
    r->sweep_timer.data = r;
    r->sweep_timer.log = cycle->log;
    r->sweep_timer.cancelable = 1;

    ngx_voice_receive_init(r);
    ngx_voice_time_update(r);

    return r;
}


/*
 * The socket is read by a descriptor and a connection of our own: nginx
 * stops its listening sockets, UDP too, when it runs out of descriptors.
 */

static ngx_int_t
ngx_stream_voice_take_over(ngx_cycle_t *cycle, ngx_voice_relay_t *r,
    ngx_listening_t *ls)
{
    ngx_socket_t         fd;
    voice_addr_t         zero;
    ngx_connection_t    *c;
    ngx_voice_socket_t  *sock;

    ngx_stream_voice_srv_conf_t  *vscf;

    vscf = ngx_stream_voice_listening(ls);
    c = ls->connection;

    if (c != NULL) {
        if (c->read->active
            && ngx_del_event(c->read, NGX_READ_EVENT, 0) != NGX_OK)
        {
            return NGX_ERROR;
        }

        ngx_free_connection(c);
        c->fd = (ngx_socket_t) -1;
        ls->connection = NULL;
    }

    sock = &r->socket[r->nsockets];
    sock->relay = r;
    sock->queue = ngx_pmemalign(cycle->pool, sizeof(ngx_voice_queue_t), 64);

    if (sock->queue == NULL || ngx_voice_backlog_init(cycle, sock) != NGX_OK) {
        return NGX_ERROR;
    }

    sock->queue->n = 0;
    sock->segment = vscf->segment;
    sock->window = vscf->window;
    sock->speakers = vscf->speakers;
    sock->event = ls->reuseport ? 0 : NGX_EXCLUSIVE_EVENT;
    sock->since = r->now;

    sock->timer.handler = ngx_voice_window_handler;
    sock->timer.data = sock;
    sock->timer.log = cycle->log;
    sock->timer.cancelable = 1;

    ngx_voice_addr_from(&sock->local, ls->sockaddr);
    ngx_memzero(&zero, sizeof(voice_addr_t));
    sock->wildcard = (ngx_memcmp(sock->local.ip, zero.ip, 16) == 0);

    fd = fcntl(ls->fd, F_DUPFD_CLOEXEC, 0);

    if (fd == (ngx_socket_t) -1) {
        ngx_log_error(NGX_LOG_ALERT, cycle->log, ngx_errno,
                      "voice_relay: fcntl(F_DUPFD_CLOEXEC) of \"%V\" failed",
                      &ls->addr_text);
        return NGX_ERROR;
    }

    c = ngx_get_connection(fd, cycle->log);

    if (c == NULL) {
        (void) ngx_close_socket(fd);
        return NGX_ERROR;
    }

    c->data = sock;
    c->log = cycle->log;
    c->idle = 1;                        /* told of a shutdown by c->close */
    c->read->log = cycle->log;
    c->write->log = cycle->log;
    c->read->channel = 1;               /* no "open socket left" alert */
    c->read->handler = ngx_voice_receive_handler;

    if (ngx_add_event(c->read, NGX_READ_EVENT, sock->event) != NGX_OK) {
        ngx_close_connection(c);
        return NGX_ERROR;
    }

    sock->connection = c;
    r->nsockets++;

    if (ls->reuseport) {
        ngx_stream_voice_steer_end(cycle, ls);
    }

    return NGX_OK;
}


static void
ngx_stream_voice_wake(ngx_log_t *log)
{
    ngx_uint_t          i;
    ngx_voice_relay_t  *r = ngx_stream_voice;

    ngx_voice_peer_over(r);

    /* a worker that has let go of its sockets leaves cuts to the others */

    for (i = 0; i < r->nsockets; i++) {
        if (r->socket[i].connection != NULL) {
            ngx_voice_forward_cuts(r);
            return;
        }
    }
}
