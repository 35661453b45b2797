/*
 * Copyright (C) ngx-voice contributors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_voice_event.h"
#include "ngx_http_voice_registry.h"


/*
 * An event loop hands over up to worker_connections events before it comes to
 * wakes; an outbox has 128 places.
 */
#define NGX_HTTP_VOICE_UNTOLD   32


static void ngx_http_voice_registry_wake(ngx_log_t *log);


/* This worker's websockets by the index of their session. */
static ngx_http_voice_signal_t  **ngx_http_voice_signals;

/* How many of their sessions other workers had taken when we last looked. */
static uint32_t                   ngx_http_voice_taken;

/* What was said to rooms since this worker's outboxes were drained. */
static ngx_uint_t                 ngx_http_voice_untold;
static ngx_uint_t                 ngx_http_voice_draining;


/* The slot's former worker may have been killed with websockets open. */

static void
ngx_http_voice_registry_settle(voice_metrics_t *m, voice_metric_t opens,
    voice_metric_t closes)
{
    uint64_t  closed, opened;

    opened = atomic_load(&m->value[opens]);
    closed = atomic_load(&m->value[closes]);

    voice_metric_add(m, closes, opened - ngx_min(opened, closed));
}


ngx_int_t
ngx_http_voice_registry_init_process(ngx_cycle_t *cycle)
{
    voice_zone_t  *z;

    z = ngx_voice_zone(cycle);

    if (z == NULL) {
        return NGX_OK;
    }

    ngx_http_voice_signals = ngx_pcalloc(cycle->pool,
                                         z->header->sessions
                                         * sizeof(ngx_http_voice_signal_t *));
    if (ngx_http_voice_signals == NULL) {
        return NGX_ERROR;
    }

    if (ngx_voice_wake_handler(cycle, ngx_http_voice_registry_wake)
        != NGX_OK)
    {
        /* an error would end this worker for good, and the rest of its sites */

        ngx_log_error(NGX_LOG_ALERT, cycle->log, 0,
                      "this worker can't be woken and takes no voice clients");
        ngx_http_voice_signals = NULL;
        return NGX_OK;
    }

    ngx_http_voice_registry_settle(voice_zone_metrics(z), VOICE_M_WS_OPENED,
                                   VOICE_M_WS_CLOSED);
    ngx_http_voice_registry_settle(voice_zone_metrics(z),
                                   VOICE_M_GATEWAY_OPENED,
                                   VOICE_M_GATEWAY_CLOSED);
    ngx_http_voice_taken = atomic_load(&z->header->worker[z->worker].taken);

    return NGX_OK;
}


ngx_uint_t
ngx_http_voice_registry_ready(void)
{
    return ngx_http_voice_signals != NULL;
}


void
ngx_http_voice_registry_add(ngx_http_voice_signal_t *sg)
{
    ngx_http_voice_signals[voice_id_index(sg->id)] = sg;
}


void
ngx_http_voice_registry_remove(ngx_http_voice_signal_t *sg)
{
    ngx_http_voice_signal_t  **slot;

    slot = &ngx_http_voice_signals[voice_id_index(sg->id)];

    if (*slot == sg) {
        *slot = NULL;
    }
}


ngx_http_voice_signal_t *
ngx_http_voice_registry_find(voice_id_t id)
{
    ngx_http_voice_signal_t  *sg;

    sg = ngx_http_voice_signals[voice_id_index(id)];

    return (sg != NULL && sg->id == id) ? sg : NULL;
}


void
ngx_http_voice_registry_told(void)
{
    ngx_http_voice_untold++;
}


/* Closes websockets whose client has resumed at another worker. */

static void
ngx_http_voice_registry_taken(voice_zone_t *z)
{
    uint32_t                  taken;
    ngx_uint_t                i;
    voice_session_t          *s;
    ngx_http_voice_signal_t  *sg;

    if (z->worker == VOICE_WORKER_NONE) {
        return;
    }

    taken = atomic_load(&z->header->worker[z->worker].taken);

    if (taken == ngx_http_voice_taken) {
        return;
    }

    ngx_http_voice_taken = taken;

    for (i = 0; i < z->header->sessions; i++) {
        sg = ngx_http_voice_signals[i];

        if (sg == NULL) {
            continue;
        }

        s = voice_session_get(z, sg->id);

        /* none: it was resumed and has ended since */

        if (s != NULL && atomic_load(&s->worker) == z->worker) {
            continue;
        }

        ngx_http_voice_signal_close(sg, NGX_HTTP_VOICE_WS_GOING_AWAY,
                                    "resumed by another websocket",
                                    VOICE_METRICS_COUNT);
        ngx_http_voice_ws_flush(sg->ws);
    }
}


/* busy: whose handler is at work and will flush by itself, or NULL */

static void
ngx_http_voice_registry_drain(voice_zone_t *z, ngx_http_voice_signal_t *busy,
    ngx_uint_t ending)
{
    voice_id_t                id;
    ngx_http_voice_signal_t  *sg;

    ngx_http_voice_draining = 1;
    ngx_http_voice_untold = 0;

    while (voice_outbox_dirty(z, &id) == VOICE_OK) {

        sg = ngx_http_voice_registry_find(id);

        /* none: not ours any more, or its websocket is about to take it */

        if (sg == NULL || (sg == busy && ending)) {
            continue;
        }

        ngx_http_voice_event_drain(sg);

        if (sg != busy) {
            ngx_http_voice_ws_flush(sg->ws);
        }
    }

    ngx_http_voice_draining = 0;
}


void
ngx_http_voice_registry_relieve(ngx_http_voice_signal_t *sg, ngx_uint_t ending)
{
    if (ngx_http_voice_untold >= NGX_HTTP_VOICE_UNTOLD
        && !ngx_http_voice_draining)
    {
        ngx_http_voice_registry_drain(sg->zone, sg, ending);
    }
}


static void
ngx_http_voice_registry_wake(ngx_log_t *log)
{
    voice_zone_t  *z;

    z = ngx_voice_zone((ngx_cycle_t *) ngx_cycle);

    ngx_http_voice_registry_taken(z);
    ngx_http_voice_registry_drain(z, NULL, 0);
}
