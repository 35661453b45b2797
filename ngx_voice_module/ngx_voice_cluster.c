/*
 * Copyright (C) ngx-voice contributors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>

#include "ngx_voice.h"
#include "ngx_voice_cluster.h"

#include "voice_drain.h"
#include "voice_guild.h"

#include <grp.h>
#include <sodium.h>
#include <stddef.h>
#include <sys/resource.h>
#include <sys/un.h>


#define NGX_VOICE_CLUSTER_MODE     0660
#define NGX_VOICE_CLUSTER_PULSE    250     /* ms */

/* A worker that has not stamped its block for so long is no first one. */
#define NGX_VOICE_CLUSTER_LATE     2000


/* This worker; everything else is in the zones. */
typedef struct {
    voice_cluster_t           *cluster;
    ngx_voice_cluster_conf_t  *conf;
    voice_zone_t              *zone;
    ngx_uint_t                 slot;
    ngx_socket_t               fd;             /* to wake the agent */
    ngx_event_t                pulse;
    uint64_t                   cpu;            /* us, that were counted */
    unsigned                   gone:1;
} ngx_voice_cluster_worker_t;


static void ngx_voice_cluster_cleanup(void *data);
static ngx_voice_cluster_file_t *ngx_voice_cluster_file_open(
    ngx_voice_cluster_conf_t *vcc, ngx_log_t *log);
static void ngx_voice_cluster_pulse_handler(ngx_event_t *ev);


static ngx_voice_cluster_worker_t  ngx_voice_cluster_worker;


char *
ngx_voice_cluster_parse(ngx_conf_t *cf, ngx_voice_cluster_conf_t *vcc)
{
    ngx_int_t    n;
    ngx_str_t   *value;
    ngx_uint_t   i;

    if (vcc->path.len != 0) {
        return "is duplicate";
    }

    value = cf->args->elts;
    vcc->guilds = VOICE_CLUSTER_GUILDS;

    for (i = 2; i < cf->args->nelts; i++) {

        if (ngx_strncmp(value[i].data, "group=", 6) == 0 && value[i].len > 6) {
            vcc->group.data = value[i].data + 6;
            vcc->group.len = value[i].len - 6;
            continue;
        }

        if (ngx_strncmp(value[i].data, "guilds=", 7) == 0) {
            n = ngx_atoi(value[i].data + 7, value[i].len - 7);

            if (n >= VOICE_CLUSTER_GUILDS_MIN
                && n <= (ngx_int_t) VOICE_CLUSTER_GUILDS_MAX
                && (n & (n - 1)) == 0)
            {
                vcc->guilds = n;
                continue;
            }
        }

        if (ngx_strncmp(value[i].data, "capacity=", 9) == 0) {
            n = ngx_atoi(value[i].data + 9, value[i].len - 9);

            if (n >= 1 && n <= (ngx_int_t) VOICE_ZONE_SESSIONS_MAX) {
                vcc->capacity = n;
                continue;
            }
        }

        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid parameter \"%V\" of \"voice_cluster\", "
                           "expected group=NAME, guilds=N with N a power of "
                           "two from %d to %d, or capacity=N with N from 1 "
                           "to %d", &value[i], VOICE_CLUSTER_GUILDS_MIN,
                           VOICE_CLUSTER_GUILDS_MAX, VOICE_ZONE_SESSIONS_MAX);
        return NGX_CONF_ERROR;
    }

    if (ngx_conf_full_name(cf->cycle, &value[1], 0) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    vcc->path = value[1];

    return NGX_CONF_OK;
}


ngx_int_t
ngx_voice_cluster_open(ngx_cycle_t *cycle, ngx_voice_cluster_conf_t *vcc,
    ngx_voice_cluster_conf_t *old)
{
    ngx_pool_cleanup_t        *cln;
    ngx_voice_cluster_file_t  *file;

    cln = ngx_pool_cleanup_add(cycle->pool, 0);
    if (cln == NULL) {
        return NGX_ERROR;
    }

    file = (old != NULL) ? old->file : NULL;

    if (file != NULL && ngx_voice_file_is(&file->file, &vcc->path)) {
        file->file.users++;

    } else {
        file = ngx_voice_cluster_file_open(vcc, cycle->log);

        if (file == NULL) {
            return NGX_ERROR;
        }
    }

    vcc->file = file;

    cln->handler = ngx_voice_cluster_cleanup;
    cln->data = file;

    return NGX_OK;
}


static void
ngx_voice_cluster_cleanup(void *data)
{
    ngx_voice_cluster_file_t  *cf = data;

    if (--cf->file.users == 0) {
        ngx_voice_file_close(&cf->file);
        ngx_free(cf);
    }
}


/* NGX_DECLINED: there is none; NGX_BUSY: one that can't be used. */

static ngx_int_t
ngx_voice_cluster_existing(ngx_voice_cluster_file_t *cf, ngx_log_t *log)
{
    ngx_int_t          rc;
    voice_err_t        err;
    struct stat        st;
    ngx_voice_file_t  *file = &cf->file;

    rc = ngx_voice_file_open(file, &st, log);

    if (rc != NGX_OK) {
        return rc;
    }

    err = VOICE_E_LENGTH;

    if (file->size >= sizeof(voice_cluster_header_t)
        && file->size <= voice_cluster_size(VOICE_CLUSTER_GUILDS_MAX))
    {
        if (ngx_voice_file_map(file, log) != NGX_OK) {
            return NGX_ERROR;
        }

        err = voice_cluster_attach(&cf->cluster, file->mem, file->size);
    }

    if (err != VOICE_OK) {
        ngx_log_error(NGX_LOG_WARN, log, 0,
                      "voice_cluster \"%V\" is of another layout (%s): "
                      "starting with an empty one", &file->path,
                      voice_err_name(err));
        return NGX_BUSY;
    }

    return NGX_OK;
}


static gid_t
ngx_voice_cluster_group(ngx_voice_cluster_conf_t *vcc, ngx_log_t *log)
{
    char            name[NGX_MAX_PATH + 1], *slash;
    struct stat     st;
    struct group   *grp;

    (void) ngx_cpystrn((u_char *) name, vcc->group.len != 0
                       ? vcc->group.data : vcc->path.data, sizeof(name));

    if (vcc->group.len != 0) {
        grp = getgrnam(name);

        if (grp == NULL) {
            ngx_log_error(NGX_LOG_EMERG, log, 0,
                          "\"voice_cluster\": there is no group \"%s\"", name);
            return (gid_t) -1;
        }

        return grp->gr_gid;
    }

    slash = strrchr(name, '/');

    if (slash != NULL) {
        *slash = '\0';
    }

    if (stat(name[0] != '\0' ? name : "/", &st) == -1) {
        ngx_log_error(NGX_LOG_EMERG, log, ngx_errno,
                      "voice_cluster \"%V\": stat(\"%s\") failed", &vcc->path,
                      name);
        return (gid_t) -1;
    }

    return st.st_gid;
}


/* NGX_BUSY: the agent was faster. */

static ngx_int_t
ngx_voice_cluster_create(ngx_voice_cluster_file_t *cf,
    ngx_voice_cluster_conf_t *vcc, ngx_uint_t replace, ngx_log_t *log)
{
    uint64_t           salt;
    voice_err_t        err;
    ngx_voice_file_t  *file = &cf->file;

    file->gid = ngx_voice_cluster_group(vcc, log);

    if (file->gid == (gid_t) -1) {
        return NGX_ERROR;
    }

    if (ngx_voice_file_create(file, voice_cluster_size(vcc->guilds), log)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    randombytes_buf(&salt, sizeof(salt));

    err = voice_cluster_format(&cf->cluster, file->mem, file->size,
                               vcc->guilds, salt);
    if (err != VOICE_OK) {
        ngx_log_error(NGX_LOG_EMERG, log, 0,
                      "voice_cluster \"%V\" can't be made: %s", &file->path,
                      voice_err_name(err));
        return NGX_ERROR;
    }

    return ngx_voice_file_publish(file, replace, log);
}


static ngx_voice_cluster_file_t *
ngx_voice_cluster_file_open(ngx_voice_cluster_conf_t *vcc, ngx_log_t *log)
{
    ngx_int_t                  rc;
    ngx_voice_cluster_file_t  *cf;

    cf = ngx_calloc(sizeof(ngx_voice_cluster_file_t), log);
    if (cf == NULL) {
        return NULL;
    }

    if (ngx_voice_file_init(&cf->file, "voice_cluster", &vcc->path,
                            NGX_VOICE_CLUSTER_MODE, log)
        != NGX_OK)
    {
        ngx_free(cf);
        return NULL;
    }

    (void) ngx_cpystrn((u_char *) cf->file.holds, (u_char *) "nodes and guilds",
                       sizeof(cf->file.holds));

    do {
        rc = ngx_voice_cluster_existing(cf, log);

        if (rc == NGX_BUSY || rc == NGX_DECLINED) {
            rc = ngx_voice_cluster_create(cf, vcc, rc == NGX_BUSY, log);
        }

    } while (rc == NGX_BUSY);

    if (rc != NGX_OK) {
        ngx_voice_cluster_cleanup(cf);
        return NULL;
    }

    return cf;
}


/* Workers. */

void
ngx_voice_cluster_boot(const voice_zone_t *z,
    char boot[VOICE_CLUSTER_BOOT_MAX + 1])
{
    u_char  *p;

    p = ngx_hex_dump((u_char *) boot, z->header->boot_id,
                     sizeof(z->header->boot_id));
    *p = '\0';
}


/* Once the relay's endpoint is there, and whenever it is another one. */

static void
ngx_voice_cluster_relay(voice_cluster_t *c, voice_zone_t *z,
    ngx_uint_t capacity)
{
    char                    udp[72], boot[VOICE_CLUSTER_BOOT_MAX + 1];
    uint32_t                draining;
    voice_drain_t           drain;
    voice_cluster_relay_t  *relay = &c->header->relay;

    ngx_voice_cluster_boot(z, boot);
    udp[0] = '\0';

    if (z->header->endpoints != 0) {
        (void) ngx_snprintf((u_char *) udp, sizeof(udp), "%s:%ud%Z",
                            z->header->endpoint[0].ip,
                            (unsigned) z->header->endpoint[0].port);
        udp[sizeof(udp) - 1] = '\0';
    }

    if (atomic_load(&relay->ready) == 0
        || ngx_strcmp(relay->boot, boot) != 0
        || ngx_strcmp(relay->udp, udp) != 0
        || atomic_load(&relay->capacity) != capacity)
    {
        (void) voice_cluster_relay_set(c, boot, udp, (uint32_t) capacity);
    }

    atomic_store(&relay->sessions,
                 z->header->sessions_used - z->header->probes_used);
    atomic_store(&relay->guilds, atomic_load(&z->header->guilds_used));
    draining = 0;

    if (voice_drain_get(z, &drain)) {
        draining = (drain.deadline != 0 && drain.deadline <= ngx_voice_now())
                   ? 2 : 1;
    }

    atomic_store(&relay->draining, draining);
}


static void
ngx_voice_cluster_load(ngx_voice_cluster_worker_t *cw)
{
    uint64_t                 cpu;
    struct rusage            ru;
    voice_metrics_t         *m;
    voice_cluster_worker_t  *w;

    w = &cw->cluster->header->worker[cw->slot];
    m = &cw->zone->header->worker[cw->slot].metrics;

    if (getrusage(RUSAGE_SELF, &ru) == 0) {
        cpu = ((uint64_t) ru.ru_utime.tv_sec + ru.ru_stime.tv_sec) * 1000000
              + ru.ru_utime.tv_usec + ru.ru_stime.tv_usec;

        atomic_fetch_add(&w->cpu, cpu - cw->cpu);
        cw->cpu = cpu;
    }

    atomic_store(&w->rx_packets, atomic_load(&m->value[VOICE_M_RX_PACKETS]));
    atomic_store(&w->rx_bytes, atomic_load(&m->value[VOICE_M_RX_BYTES]));
    atomic_store(&w->tx_packets, atomic_load(&m->value[VOICE_M_TX_PACKETS]));
    atomic_store(&w->tx_bytes, atomic_load(&m->value[VOICE_M_TX_BYTES]));
    atomic_store(&w->seen, ngx_voice_now());
}


static void
ngx_voice_cluster_pulse_handler(ngx_event_t *ev)
{
    ngx_uint_t                   capacity;
    ngx_voice_cluster_worker_t  *cw = &ngx_voice_cluster_worker;

    /* the next generation's is the first one's work from now on */

    if (ngx_exiting) {
        ngx_voice_cluster_worker_exit();
        return;
    }

    ngx_voice_cluster_load(cw);

    if (ngx_voice_cluster_first()) {
        capacity = cw->conf->capacity != 0 ? cw->conf->capacity
                                           : cw->zone->header->sessions;
        ngx_voice_cluster_relay(cw->cluster, cw->zone, capacity);
    }

    ngx_add_timer(ev, NGX_VOICE_CLUSTER_PULSE);
}


void
ngx_voice_cluster_worker_init(ngx_cycle_t *cycle,
    ngx_voice_cluster_conf_t *vcc, voice_zone_t *z, ngx_uint_t slot,
    const char *name)
{
    ngx_voice_cluster_worker_t  *cw = &ngx_voice_cluster_worker;

    cw->fd = socket(AF_UNIX, SOCK_DGRAM|SOCK_NONBLOCK|SOCK_CLOEXEC, 0);

    if (cw->fd == (ngx_socket_t) -1) {
        ngx_log_error(NGX_LOG_ALERT, cycle->log, ngx_socket_errno,
                      "voice_cluster: socket() failed");
    }

    cw->cluster = &vcc->file->cluster;
    cw->conf = vcc;
    cw->zone = z;
    cw->slot = slot;
    cw->cpu = 0;

    voice_cluster_worker_register(cw->cluster, (unsigned) slot, ngx_pid, name,
                                  ngx_voice_now());

    cw->pulse.handler = ngx_voice_cluster_pulse_handler;
    cw->pulse.log = cycle->log;
    cw->pulse.data = cw;
    cw->pulse.cancelable = 1;

    ngx_voice_cluster_pulse_handler(&cw->pulse);
}


void
ngx_voice_cluster_worker_exit(void)
{
    ngx_voice_cluster_worker_t  *cw = &ngx_voice_cluster_worker;

    if (cw->cluster != NULL && !cw->gone) {
        cw->gone = 1;
        voice_cluster_worker_gone(cw->cluster, (unsigned) cw->slot);
    }
}


void
ngx_voice_cluster_worker_lost(ngx_uint_t slot)
{
    if (ngx_voice_cluster_worker.cluster != NULL) {
        voice_cluster_worker_gone(ngx_voice_cluster_worker.cluster,
                                  (unsigned) slot);
    }
}


voice_cluster_t *
ngx_voice_cluster(void)
{
    return ngx_voice_cluster_worker.cluster;
}


ngx_uint_t
ngx_voice_cluster_slot(void)
{
    return ngx_voice_cluster_worker.slot;
}


ngx_uint_t
ngx_voice_cluster_first(void)
{
    uint64_t                     now;
    ngx_uint_t                   i;
    voice_cluster_worker_t      *w;
    ngx_voice_cluster_worker_t  *cw = &ngx_voice_cluster_worker;

    if (cw->cluster == NULL || ngx_exiting) {
        return 0;
    }

    now = ngx_voice_now();

    for (i = 0; i < cw->slot; i++) {
        w = &cw->cluster->header->worker[i];

        if (atomic_load(&w->pid) != 0
            && now < atomic_load(&w->seen) + NGX_VOICE_CLUSTER_LATE)
        {
            return 0;
        }
    }

    return 1;
}


/* An agent that isn't woken looks by itself. */

void
ngx_voice_cluster_wake(void)
{
    size_t                       len;
    struct sockaddr_un           sun;
    voice_cluster_agent_t       *agent;
    ngx_voice_cluster_worker_t  *cw = &ngx_voice_cluster_worker;

    if (cw->cluster == NULL || cw->fd == (ngx_socket_t) -1) {
        return;
    }

    agent = &cw->cluster->header->agent;

    if (atomic_load(&agent->pid) == 0) {
        return;
    }

    ngx_memzero(&sun, sizeof(struct sockaddr_un));
    sun.sun_family = AF_UNIX;

    len = strnlen(agent->name, sizeof(agent->name));
    ngx_memcpy(&sun.sun_path[1], agent->name, len);

    (void) sendto(cw->fd, "w", 1, MSG_DONTWAIT, (struct sockaddr *) &sun,
                  offsetof(struct sockaddr_un, sun_path) + 1 + len);
}
