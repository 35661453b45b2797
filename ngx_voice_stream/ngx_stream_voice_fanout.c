/*
 * Copyright (C) ngx-voice contributors
 */


#include "ngx_stream_voice.h"


#define NGX_VOICE_FANOUT_MIN   8


static ngx_int_t ngx_voice_fanout_build(ngx_voice_relay_t *r,
    ngx_voice_fanout_t *f, uint32_t index, uint32_t gen);
static ngx_int_t ngx_voice_fanout_copy(ngx_voice_relay_t *r, uint32_t index,
    size_t *n, uint64_t *version, uint32_t *gen);
static ngx_int_t ngx_voice_fanout_grow(ngx_voice_relay_t *r,
    ngx_voice_fanout_t *f, size_t n);
static void ngx_voice_fanout_add(ngx_voice_relay_t *r, ngx_voice_fanout_t *f,
    const voice_route_t *m);


ngx_voice_fanout_t *
ngx_voice_fanout_get(ngx_voice_relay_t *r, voice_id_t room)
{
    uint32_t             index;
    ngx_voice_fanout_t  *f;

    index = voice_id_index(room);

    if (room == 0 || index >= r->zone->header->sessions) {
        return NULL;
    }

    f = r->fanout[index];

    if (f != NULL && f->gen == voice_id_gen(room)
        && f->version == atomic_load_explicit(&r->zone->room[index].version,
                                              memory_order_acquire))
    {
        return f;
    }

    if (f == NULL) {
        f = ngx_calloc(sizeof(ngx_voice_fanout_t), r->log);
        if (f == NULL) {
            return NULL;
        }

        r->fanout[index] = f;
    }

    if (ngx_voice_fanout_build(r, f, index, voice_id_gen(room)) != NGX_OK) {
        f->gen = 0;
        return NULL;
    }

    return f;
}


/*
 * Whoever holds a room open for longer than the tries of voice_route_copy()
 * take has died: taking the lock once has the zone repaired.
 */

static ngx_int_t
ngx_voice_fanout_copy(ngx_voice_relay_t *r, uint32_t index, size_t *n,
    uint64_t *version, uint32_t *gen)
{
    size_t         size;
    ngx_uint_t     tries;
    voice_err_t    err;
    voice_route_t *route;

    for (tries = 0; tries < 4; tries++) {
        err = voice_route_copy(r->zone, index, r->route, r->routes, n,
                               version, gen);

        if (err == VOICE_OK) {
            return NGX_OK;
        }

        if (err == VOICE_E_FULL) {
            size = ngx_max(*n + *n / 2, NGX_VOICE_FANOUT_MIN);

            route = ngx_alloc(size * sizeof(voice_route_t), r->log);
            if (route == NULL) {
                return NGX_ERROR;
            }

            if (r->route != NULL) {
                ngx_free(r->route);
            }

            r->route = route;
            r->routes = size;
            continue;
        }

        if (voice_zone_lock_timed(r->zone, 1) != VOICE_OK) {
            return NGX_ERROR;
        }

        voice_zone_unlock(r->zone);
        ngx_voice_wake(r->zone, r->log);
    }

    return NGX_ERROR;
}


static ngx_int_t
ngx_voice_fanout_build(ngx_voice_relay_t *r, ngx_voice_fanout_t *f,
    uint32_t index, uint32_t gen)
{
    size_t        i, n;
    uint32_t      g;
    uint64_t      version;
    voice_mode_t  mode;

    if (ngx_voice_fanout_copy(r, index, &n, &version, &g) != NGX_OK
        || g != gen || ngx_voice_fanout_grow(r, f, n) != NGX_OK)
    {
        return NGX_ERROR;
    }

    f->n = 0;
    f->announced = 0;

    for (mode = 0; mode < VOICE_MODE_COUNT; mode++) {
        for (i = 0; i < n; i++) {
            if (r->route[i].mode == mode) {
                ngx_voice_fanout_add(r, f, &r->route[i]);
            }
        }

        f->end[mode] = f->n;
    }

    f->version = version;
    f->gen = gen;
    f->built = r->now;

    ngx_voice_fanout_refresh(r, f);
    ngx_voice_count(r, FANOUT_BUILT);

    return NGX_OK;
}


static ngx_int_t
ngx_voice_fanout_grow(ngx_voice_relay_t *r, ngx_voice_fanout_t *f, size_t n)
{
    size_t               size;
    ngx_voice_target_t  *target;

    if (n <= f->size) {
        return NGX_OK;
    }

    size = ngx_max(n + n / 2, NGX_VOICE_FANOUT_MIN);

    target = ngx_alloc(size * sizeof(ngx_voice_target_t), r->log);
    if (target == NULL) {
        return NGX_ERROR;
    }

    if (f->target != NULL) {
        ngx_free(f->target);
    }

    f->target = target;
    f->size = size;

    return NGX_OK;
}


static void
ngx_voice_fanout_add(ngx_voice_relay_t *r, ngx_voice_fanout_t *f,
    const voice_route_t *m)
{
    ngx_voice_peer_t    *peer;
    ngx_voice_target_t  *t;

    peer = ngx_voice_peer_get(r, m->session);

    if (peer == NULL || peer->gen != m->gen || peer->epoch != m->key) {
        return;         /* changing: then the version changes too */
    }

    t = &f->target[f->n++];

    t->peer = peer;
    t->session = &r->zone->session[m->session];
    t->socket = ngx_voice_send_socket(r, &m->local);
    t->index = m->session;
    t->announced = atomic_load(&t->session->announced);
    t->heard = 0;
    t->hold = 1;
    t->local = m->local;

    ngx_voice_addr_to(&t->remote, &m->remote);

    if (f->announced == 0 || (int32_t) (t->announced - f->announced) > 0) {
        f->announced = t->announced;
    }
}


void
ngx_voice_fanout_refresh(ngx_voice_relay_t *r, ngx_voice_fanout_t *f)
{
    uint32_t             i;
    uint64_t             until;
    ngx_voice_target_t  *t;

    f->pending = 0;

    for (i = 0; i < f->n; i++) {
        t = &f->target[i];

        t->heard = atomic_load_explicit(&t->session->heard,
                                        memory_order_acquire);

        if (t->hold) {
            until = atomic_load_explicit(&t->session->hold_until,
                                         memory_order_relaxed);
            t->hold = (until > r->now);
        }

        if (ngx_voice_target_waits(t, f->announced)) {
            f->pending = 1;
        }
    }
}


void
ngx_voice_fanout_exit(ngx_voice_relay_t *r)
{
    uint32_t             i;
    ngx_voice_fanout_t  *f;

    for (i = 0; i < r->zone->header->sessions; i++) {
        f = r->fanout[i];

        if (f != NULL) {
            if (f->target != NULL) {
                ngx_free(f->target);
            }

            ngx_free(f);
            r->fanout[i] = NULL;
        }
    }

    if (r->route != NULL) {
        ngx_free(r->route);
        r->route = NULL;
        r->routes = 0;
    }
}
