/*
 * Copyright (C) ngx-voice contributors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>

#include "ngx_voice.h"
#include "ngx_voice_cluster.h"
#include "ngx_voice_crypto.h"
#include "ngx_voice_watch.h"
#include "ngx_voice_zone.h"

#include "voice_drain.h"
#include "voice_guild.h"

#include <stddef.h>
#include <sys/un.h>


#define NGX_VOICE_HANDLERS     8
#define NGX_VOICE_HOUSEKEEP    1000     /* ms, between two times at least */

/* Sessions that are told to go at once, fewer than an outbox has places. */
#define NGX_VOICE_DRAIN_BATCH  64
#define NGX_VOICE_DRAIN_PAUSE  20       /* ms */


typedef struct {
    ngx_str_t                  path;
    ngx_uint_t                 sessions;
    ngx_msec_t                 resume_window;
    ngx_flag_t                 drain;
    ngx_uint_t                 crypto;       /* voice_crypto_kernel_t */
    ngx_voice_zone_file_t     *file;
    ngx_voice_cluster_conf_t   cluster;
} ngx_voice_conf_t;


/* This worker; everything else is in the zone. */
typedef struct {
    ngx_voice_conf_t        *conf;
    ngx_int_t                slot;
    ngx_connection_t        *connection;     /* of the wake socket */
    ngx_event_t              wake;           /* posted: from ourselves */
    ngx_event_t              housekeep;
    uint64_t                 keep;           /* ms: not before */
    uint64_t                 look;           /* ms: likewise, if blind */
    uint32_t                 workers;        /* as in the zone, at last look */
    unsigned                 blind:1;        /* can't watch them all */
    ngx_uint_t               nhandlers;
    ngx_voice_wake_pt        handler[NGX_VOICE_HANDLERS];
} ngx_voice_worker_t;


static char *ngx_voice_zone_directive(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_voice_cluster_directive(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static void *ngx_voice_create_conf(ngx_cycle_t *cycle);
static char *ngx_voice_init_conf(ngx_cycle_t *cycle, void *conf);
static ngx_int_t ngx_voice_init_module(ngx_cycle_t *cycle);
static void ngx_voice_cleanup(void *data);
static void ngx_voice_exit_process(ngx_cycle_t *cycle);

static ngx_int_t ngx_voice_worker_init(ngx_cycle_t *cycle);
static void ngx_voice_worker_drain(ngx_voice_conf_t *vcf);
static ngx_int_t ngx_voice_wake_listen(ngx_cycle_t *cycle, u_char *name);
static void ngx_voice_wake_read_handler(ngx_event_t *rev);
static void ngx_voice_wake_posted_handler(ngx_event_t *ev);
static void ngx_voice_worker_look(ngx_log_t *log);
static void ngx_voice_housekeep_arm(void);
static void ngx_voice_housekeep_handler(ngx_event_t *ev);


static ngx_command_t  ngx_voice_commands[] = {

    { ngx_string("voice_zone"),
      NGX_MAIN_CONF|NGX_DIRECT_CONF|NGX_CONF_TAKE12,
      ngx_voice_zone_directive,
      0,
      0,
      NULL },

    { ngx_string("voice_cluster"),
      NGX_MAIN_CONF|NGX_DIRECT_CONF|NGX_CONF_TAKE1234,
      ngx_voice_cluster_directive,
      0,
      0,
      NULL },

    { ngx_string("voice_resume_window"),
      NGX_MAIN_CONF|NGX_DIRECT_CONF|NGX_CONF_TAKE1,
      ngx_voice_conf_set_msec,
      0,
      offsetof(ngx_voice_conf_t, resume_window),
      NULL },

    { ngx_string("voice_drain"),
      NGX_MAIN_CONF|NGX_DIRECT_CONF|NGX_CONF_FLAG,
      ngx_conf_set_flag_slot,
      0,
      offsetof(ngx_voice_conf_t, drain),
      NULL },

    { ngx_string("voice_crypto"),
      NGX_MAIN_CONF|NGX_DIRECT_CONF|NGX_CONF_TAKE1,
      ngx_voice_crypto_directive,
      0,
      offsetof(ngx_voice_conf_t, crypto),
      NULL },

      ngx_null_command
};


static ngx_core_module_t  ngx_voice_module_ctx = {
    ngx_string("voice"),
    ngx_voice_create_conf,
    ngx_voice_init_conf
};


ngx_module_t  ngx_voice_module = {
    NGX_MODULE_V1,
    &ngx_voice_module_ctx,                 /* module context */
    ngx_voice_commands,                    /* module directives */
    NGX_CORE_MODULE,                       /* module type */
    NULL,                                  /* init master */
    ngx_voice_init_module,                 /* init module */
    NULL,                                  /* init process */
    NULL,                                  /* init thread */
    NULL,                                  /* exit thread */
    ngx_voice_exit_process,                /* exit process */
    NULL,                                  /* exit master */
    NGX_MODULE_V1_PADDING
};


static ngx_voice_worker_t  ngx_voice_worker = { .slot = NGX_ERROR };


static ngx_voice_conf_t *
ngx_voice_get_conf(ngx_cycle_t *cycle)
{
    /* the cycle that precedes the first one has no configuration */

    if (cycle == NULL || cycle->conf_ctx == NULL) {
        return NULL;
    }

    return (ngx_voice_conf_t *) ngx_get_conf(cycle->conf_ctx,
                                             ngx_voice_module);
}


voice_zone_t *
ngx_voice_zone(ngx_cycle_t *cycle)
{
    ngx_voice_conf_t  *vcf;

    vcf = ngx_voice_get_conf(cycle);

    return (vcf != NULL && vcf->file != NULL) ? &vcf->file->zone : NULL;
}


ngx_uint_t
ngx_voice_serves(void)
{
    return !ngx_test_config && ngx_process != NGX_PROCESS_SIGNALLER;
}


ngx_uint_t
ngx_voice_zone_configured(ngx_cycle_t *cycle)
{
    ngx_voice_conf_t  *vcf;

    vcf = ngx_voice_get_conf(cycle);

    return vcf != NULL && vcf->path.len != 0;
}


ngx_uint_t
ngx_voice_cluster_configured(ngx_cycle_t *cycle)
{
    ngx_voice_conf_t  *vcf;

    vcf = ngx_voice_get_conf(cycle);

    return vcf != NULL && vcf->cluster.path.len != 0;
}


ngx_str_t *
ngx_voice_zone_path(ngx_cycle_t *cycle)
{
    return &ngx_voice_get_conf(cycle)->path;
}


ngx_msec_t
ngx_voice_resume_window(ngx_cycle_t *cycle)
{
    return ngx_voice_get_conf(cycle)->resume_window;
}


ngx_int_t
ngx_voice_wake_handler(ngx_cycle_t *cycle, ngx_voice_wake_pt handler)
{
    ngx_voice_worker_t  *vw = &ngx_voice_worker;

    if (vw->slot == NGX_ERROR && ngx_voice_worker_init(cycle) != NGX_OK) {
        return NGX_ERROR;
    }

    if (vw->nhandlers == NGX_VOICE_HANDLERS) {
        return NGX_ERROR;
    }

    vw->handler[vw->nhandlers++] = handler;

    return NGX_OK;
}


/*
 * Not done by init_process of this module: where it is built into nginx it
 * comes before the event modules.
 */

static ngx_int_t
ngx_voice_worker_init(ngx_cycle_t *cycle)
{
    u_char                *p;
    u_char                 name[VOICE_WORKER_NAME_MAX];
    ngx_int_t              slot;
    ngx_voice_conf_t      *vcf;
    voice_zone_header_t   *h;
    ngx_voice_worker_t    *vw = &ngx_voice_worker;

    vcf = ngx_voice_get_conf(cycle);

    if (vcf == NULL || vcf->file == NULL
        || ngx_voice_crypto_use(vcf->crypto, cycle->log) != NGX_OK)
    {
        return NGX_ERROR;
    }

    slot = ngx_voice_zone_slot_take(vcf->file, cycle->log);
    if (slot == NGX_ERROR) {
        return NGX_ERROR;
    }

    h = vcf->file->zone.header;

    p = ngx_cpymem(name, "ngx-voice/", sizeof("ngx-voice/") - 1);
    p = ngx_hex_dump(p, h->boot_id, 8);
    p = ngx_sprintf(p, "/%i/%P", slot, ngx_pid);
    *p = '\0';

    if (ngx_voice_wake_listen(cycle, name) != NGX_OK
        || ngx_voice_watch_init(cycle, ngx_voice_worker_look) != NGX_OK)
    {
        return NGX_ERROR;
    }

    vw->conf = vcf;
    vw->slot = slot;

    voice_worker_register(&vcf->file->zone, slot, ngx_pid, (char *) name,
                          ngx_voice_now(), vcf->resume_window);

    ngx_voice_worker_drain(vcf);

    vw->wake.handler = ngx_voice_wake_posted_handler;
    vw->wake.log = cycle->log;

    vw->housekeep.handler = ngx_voice_housekeep_handler;
    vw->housekeep.log = cycle->log;
    vw->housekeep.data = vw;
    vw->housekeep.cancelable = 1;

    if (vcf->cluster.file != NULL) {
        ngx_voice_cluster_worker_init(cycle, &vcf->cluster, &vcf->file->zone,
                                      slot, (char *) name);
    }

    ngx_voice_wake(&vcf->file->zone, cycle->log);

    return NGX_OK;
}


/* As the configuration of this generation has it. */

static void
ngx_voice_worker_drain(ngx_voice_conf_t *vcf)
{
    voice_zone_t  *z = &vcf->file->zone;

    if (vcf->drain) {
        voice_drain_start(z, VOICE_DRAIN_DIRECTIVE, ngx_voice_now(), 0);

    } else {
        voice_drain_stop(z, VOICE_DRAIN_DIRECTIVE);
    }
}


/*
 * An abstract name: it needs no directory and is gone with the process.  What
 * a stranger could send there is a wake for nothing.
 */

static socklen_t
ngx_voice_wake_address(struct sockaddr_un *sun, const char *name)
{
    size_t  len;

    len = ngx_min(ngx_strlen(name), sizeof(sun->sun_path) - 1);

    ngx_memzero(sun, sizeof(struct sockaddr_un));
    sun->sun_family = AF_UNIX;
    ngx_memcpy(&sun->sun_path[1], name, len);

    return offsetof(struct sockaddr_un, sun_path) + 1 + len;
}


static ngx_int_t
ngx_voice_wake_listen(ngx_cycle_t *cycle, u_char *name)
{
    socklen_t            len;
    ngx_socket_t         fd;
    ngx_connection_t    *c;
    struct sockaddr_un   sun;

    fd = socket(AF_UNIX, SOCK_DGRAM|SOCK_NONBLOCK|SOCK_CLOEXEC, 0);

    if (fd == (ngx_socket_t) -1) {
        ngx_log_error(NGX_LOG_ALERT, cycle->log, ngx_socket_errno,
                      "voice wake socket failed");
        return NGX_ERROR;
    }

    len = ngx_voice_wake_address(&sun, (char *) name);

    if (bind(fd, (struct sockaddr *) &sun, len) == -1) {
        ngx_log_error(NGX_LOG_ALERT, cycle->log, ngx_socket_errno,
                      "voice wake socket: bind(\"%s\") failed", name);
        ngx_close_socket(fd);
        return NGX_ERROR;
    }

    c = ngx_get_connection(fd, cycle->log);

    if (c == NULL) {
        ngx_close_socket(fd);
        return NGX_ERROR;
    }

    c->log = cycle->log;
    c->read->log = cycle->log;
    c->write->log = cycle->log;
    c->read->channel = 1;               /* no "open socket left" alert */
    c->read->handler = ngx_voice_wake_read_handler;

    if (ngx_add_event(c->read, NGX_READ_EVENT, 0) != NGX_OK) {
        ngx_close_connection(c);
        return NGX_ERROR;
    }

    ngx_voice_worker.connection = c;

    return NGX_OK;
}


static void
ngx_voice_wake_call(ngx_log_t *log)
{
    ngx_uint_t           i;
    ngx_voice_worker_t  *vw = &ngx_voice_worker;

    for (i = 0; i < vw->nhandlers; i++) {
        vw->handler[i](log);
    }

    if (vw->workers != atomic_load(&vw->conf->file->zone.header->workers)) {
        ngx_voice_worker_look(log);
    }

    ngx_voice_housekeep_arm();
}


static void
ngx_voice_wake_read_handler(ngx_event_t *rev)
{
    u_char             buf[8];
    ngx_connection_t  *c;

    c = rev->data;

    /* many wakes are one */

    while (recv(c->fd, buf, sizeof(buf), MSG_DONTWAIT) != -1) { /* void */ }

    ngx_voice_wake_call(rev->log);
}


static void
ngx_voice_wake_posted_handler(ngx_event_t *ev)
{
    ngx_voice_wake_call(ev->log);
}


void
ngx_voice_wake(voice_zone_t *z, ngx_log_t *log)
{
    uint64_t             bits;
    ngx_int_t            slot;
    ngx_uint_t           i;
    socklen_t            len;
    voice_worker_t      *w;
    struct sockaddr_un   sun;
    ngx_voice_worker_t  *vw = &ngx_voice_worker;

    for (i = 0; i < VOICE_WORKERS_MAX / 64; i++) {
        bits = z->wake[i];
        z->wake[i] = 0;

        for ( /* void */ ; bits != 0; bits &= bits - 1) {
            slot = i * 64 + __builtin_ctzll(bits);

            if (slot == vw->slot) {
                ngx_post_event(&vw->wake, &ngx_posted_events);
                continue;
            }

            w = &z->header->worker[slot];
            len = ngx_voice_wake_address(&sun, w->name);

            /*
             * a full queue holds wakes enough; of a worker that is gone its
             * sessions will be taken by those who watch it
             */

            if (sendto(vw->connection->fd, "w", 1, MSG_DONTWAIT,
                       (struct sockaddr *) &sun, len)
                == -1)
            {
                ngx_log_debug2(NGX_LOG_DEBUG_CORE, log, ngx_socket_errno,
                               "voice wake of worker %i \"%s\" failed", slot,
                               w->name);
            }
        }
    }
}


/*
 * Those who are still here at the deadline; gives their number.  An agent
 * has their guilds move to other nodes, so nobody is sent away.
 */

static ngx_uint_t
ngx_voice_housekeep_drain(voice_zone_t *z, ngx_log_t *log)
{
    unsigned          n;
    voice_cluster_t  *c;

    c = ngx_voice_cluster();

    if (c != NULL
        && voice_cluster_agent(c, ngx_voice_now()) == VOICE_AGENT_UP)
    {
        return 0;
    }

    n = voice_drain_expire(z, ngx_voice_now(), NGX_VOICE_DRAIN_BATCH);

    if (n != 0) {
        ngx_log_error(NGX_LOG_NOTICE, log, 0,
                      "%ud voice sessions are ended: the server drains and "
                      "its deadline is over", n);
    }

    return n;
}


static void
ngx_voice_worker_gone(ngx_uint_t slot, ngx_log_t *log)
{
    uint32_t             pid;
    voice_zone_t        *z;
    ngx_voice_conf_t    *vcf;
    ngx_voice_worker_t  *vw = &ngx_voice_worker;

    vcf = vw->conf;
    z = &vcf->file->zone;

    /* of all that watched it one does it, and its successor can't begin */

    if (ngx_voice_zone_slot_seize(vcf->file, slot) != NGX_OK) {
        return;
    }

    pid = atomic_load(&z->header->worker[slot].pid);

    if (pid != 0) {
        ngx_log_error(NGX_LOG_NOTICE, log, 0,
                      "voice worker %uD of slot %ui is gone", pid, slot);
        voice_worker_gone(z, slot, ngx_voice_now(), vcf->resume_window);
        ngx_voice_cluster_worker_lost(slot);
    }

    ngx_voice_zone_slot_release(vcf->file, slot);
}


/*
 * After a change of the table of workers, or when one that was watched has
 * died: watches those who are there, takes away those who aren't.
 */

static void
ngx_voice_worker_look(ngx_log_t *log)
{
    uint32_t             pid;
    ngx_uint_t           slot;
    voice_zone_t        *z;
    ngx_voice_worker_t  *vw = &ngx_voice_worker;

    z = &vw->conf->file->zone;

    vw->workers = atomic_load(&z->header->workers);
    vw->look = ngx_voice_now() + NGX_VOICE_HOUSEKEEP;
    vw->blind = 0;

    for (slot = 0; slot < VOICE_WORKERS_MAX; slot++) {
        pid = atomic_load(&z->header->worker[slot].pid);

        if (pid == 0 || slot == (ngx_uint_t) vw->slot) {
            continue;
        }

        if (ngx_voice_watch(slot, pid, log) != NGX_OK) {
            vw->blind = 1;
        }

        ngx_voice_worker_gone(slot, log);
    }

    ngx_voice_wake(z, log);
    ngx_voice_housekeep_arm();
}


/*
 * The timer exists only while it serves something: for the worker that keeps
 * house until something is due, but not more than once a second; and for
 * those who can't watch the others.
 */

static void
ngx_voice_housekeep_arm(void)
{
    uint64_t             at, now, due;
    voice_zone_t        *z;
    ngx_voice_worker_t  *vw = &ngx_voice_worker;

    z = &vw->conf->file->zone;
    now = ngx_voice_now();
    at = vw->blind ? vw->look : UINT64_MAX;

    due = voice_zone_housekeeper(z) ? atomic_load(&z->header->due) : 0;

    if (due != 0) {
        due = ngx_max(due, vw->keep);
        at = ngx_min(at, due);
    }

    if (at != UINT64_MAX) {
        ngx_add_timer(&vw->housekeep, at > now ? at - now : 0);

    } else if (vw->housekeep.timer_set) {
        ngx_del_timer(&vw->housekeep);
    }
}


static void
ngx_voice_housekeep_expire(voice_zone_t *z, ngx_log_t *log)
{
    unsigned  expired;

    expired = voice_gateway_session_expire(z, ngx_voice_now());

    if (expired != 0) {
        ngx_log_error(NGX_LOG_INFO, log, 0,
                      "%ud gateway sessions were not resumed in time", expired);
        voice_metric_add(voice_zone_metrics(z), VOICE_M_GATEWAY_EXPIRED,
                         expired);
    }

    expired = voice_session_expire(z, ngx_voice_now());

    if (expired != 0) {
        ngx_log_error(NGX_LOG_INFO, log, 0,
                      "%ud voice sessions were not resumed in time", expired);
    }
}


static void
ngx_voice_housekeep_handler(ngx_event_t *ev)
{
    voice_zone_t        *z;
    ngx_voice_worker_t  *vw = &ngx_voice_worker;

    z = &vw->conf->file->zone;

    if (vw->blind) {
        ngx_voice_worker_look(ev->log);
    }

    if (voice_zone_housekeeper(z)) {
        vw->keep = ngx_voice_now() + NGX_VOICE_HOUSEKEEP;

        voice_zone_due_take(z);

        ngx_voice_housekeep_expire(z, ev->log);

        if (ngx_voice_housekeep_drain(z, ev->log) == NGX_VOICE_DRAIN_BATCH) {
            vw->keep = ngx_voice_now() + NGX_VOICE_DRAIN_PAUSE;

            voice_zone_lock(z);
            voice_zone_due(z, vw->keep);
            voice_zone_unlock(z);
        }

        ngx_voice_wake(z, ev->log);
    }

    ngx_voice_housekeep_arm();
}


static void
ngx_voice_exit_process(ngx_cycle_t *cycle)
{
    voice_zone_t        *z;
    ngx_voice_worker_t  *vw = &ngx_voice_worker;

    if (vw->slot == NGX_ERROR) {
        return;
    }

    z = &vw->conf->file->zone;

    ngx_voice_cluster_worker_exit();
    voice_worker_gone(z, vw->slot, ngx_voice_now(), vw->conf->resume_window);
    ngx_voice_wake(z, cycle->log);
}


static void *
ngx_voice_create_conf(ngx_cycle_t *cycle)
{
    ngx_voice_conf_t  *vcf;

    vcf = ngx_pcalloc(cycle->pool, sizeof(ngx_voice_conf_t));
    if (vcf == NULL) {
        return NULL;
    }

    vcf->resume_window = NGX_CONF_UNSET_MSEC;
    vcf->drain = NGX_CONF_UNSET;
    vcf->crypto = NGX_CONF_UNSET_UINT;

    return vcf;
}


char *
ngx_voice_conf_set_msec(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_str_t  *value;

    value = cf->args->elts;

    if (ngx_parse_time(&value[1], 0) == (ngx_int_t) NGX_ERROR) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid value \"%V\" of \"%V\", expected a time "
                           "such as 30s or 1500ms", &value[1], &cmd->name);
        return NGX_CONF_ERROR;
    }

    return ngx_conf_set_msec_slot(cf, cmd, conf);
}


static char *
ngx_voice_zone_directive(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_voice_conf_t  *vcf = conf;

    ngx_int_t    n;
    ngx_str_t   *value;

    if (vcf->path.len != 0) {
        return "is duplicate";
    }

    value = cf->args->elts;
    vcf->sessions = VOICE_ZONE_SESSIONS;

    if (cf->args->nelts == 3) {
        n = NGX_ERROR;

        if (ngx_strncmp(value[2].data, "sessions=", 9) == 0) {
            n = ngx_atoi(value[2].data + 9, value[2].len - 9);
        }

        if (n == NGX_ERROR || n < VOICE_ZONE_SESSIONS_MIN
            || n > (ngx_int_t) VOICE_ZONE_SESSIONS_MAX)
        {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid parameter \"%V\" of \"voice_zone\", "
                               "expected sessions=N with N from %d to %d",
                               &value[2], VOICE_ZONE_SESSIONS_MIN,
                               VOICE_ZONE_SESSIONS_MAX);
            return NGX_CONF_ERROR;
        }

        vcf->sessions = n;
    }

    if (ngx_conf_full_name(cf->cycle, &value[1], 0) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    vcf->path = value[1];

    return NGX_CONF_OK;
}


static char *
ngx_voice_cluster_directive(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_voice_conf_t  *vcf = conf;

    return ngx_voice_cluster_parse(cf, &vcf->cluster);
}


/*
 * The file is opened here and not in init_module, whose failure would end a
 * running master.
 */

static char *
ngx_voice_init_conf(ngx_cycle_t *cycle, void *conf)
{
    ngx_voice_conf_t  *vcf = conf;

    ngx_uint_t               fresh;
    ngx_voice_conf_t        *old;
    ngx_pool_cleanup_t      *cln;
    ngx_voice_zone_file_t   *file;

    ngx_conf_init_msec_value(vcf->resume_window, 60000);
    ngx_conf_init_value(vcf->drain, 0);
    ngx_conf_init_uint_value(vcf->crypto, VOICE_KERNEL_AUTO);

    if (vcf->drain && vcf->path.len == 0) {
        ngx_log_error(NGX_LOG_EMERG, cycle->log, 0,
                      "\"voice_drain\" needs a \"voice_zone\" directive");
        return NGX_CONF_ERROR;
    }

    if (vcf->cluster.path.len != 0 && vcf->path.len == 0) {
        ngx_log_error(NGX_LOG_EMERG, cycle->log, 0,
                      "\"voice_cluster\" needs a \"voice_zone\" directive");
        return NGX_CONF_ERROR;
    }

    if (vcf->drain) {
        ngx_log_error(NGX_LOG_WARN, cycle->log, 0,
                      "\"voice_drain\" is on: no new calls are admitted");
    }

    if (vcf->path.len == 0 || !ngx_voice_serves()) {
        return NGX_CONF_OK;
    }

    cln = ngx_pool_cleanup_add(cycle->pool, 0);
    if (cln == NULL) {
        return NGX_CONF_ERROR;
    }

    old = ngx_is_init_cycle(cycle->old_cycle)
          ? NULL : ngx_voice_get_conf(cycle->old_cycle);

    file = (old != NULL) ? old->file : NULL;

    if (file != NULL && file->sessions == vcf->sessions
        && ngx_voice_file_is(&file->file, &vcf->path))
    {
        file->file.users++;

    } else {
        /* in a binary upgrade the old master goes on using it */

        fresh = (old == NULL && getenv(NGINX_VAR) == NULL);

        file = ngx_voice_zone_file_open(&vcf->path, vcf->sessions, fresh,
                                        cycle->log);
        if (file == NULL) {
            return NGX_CONF_ERROR;
        }
    }

    vcf->file = file;

    cln->handler = ngx_voice_cleanup;
    cln->data = file;

    if (vcf->cluster.path.len != 0
        && ngx_voice_cluster_open(cycle, &vcf->cluster,
                                  old != NULL ? &old->cluster : NULL)
           != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


/* The master's kernel is that of its workers; they say no more of it. */

static ngx_int_t
ngx_voice_init_module(ngx_cycle_t *cycle)
{
    ngx_voice_conf_t  *vcf;

    vcf = ngx_voice_get_conf(cycle);

    if (vcf->file != NULL
        && ngx_voice_crypto_use(vcf->crypto, cycle->log) == NGX_OK)
    {
        ngx_voice_crypto_report(cycle->log);
    }

    return NGX_OK;
}


static void
ngx_voice_cleanup(void *data)
{
    ngx_voice_zone_file_close(data);
}
