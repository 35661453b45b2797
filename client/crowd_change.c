/*
 * Copyright (C) ngx-voice contributors
 *
 * Mutes and unmutes by REST, one guild after the other, at a steady rate.
 */


#include "crowd.h"

#include "http.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>


/* one that isn't seen by all within that is lost */
#define VC_CHANGE_PATIENCE   (5 * VC_SEC)


static void vc_change_sleep(uint64_t until);
static bool vc_change_settled(vc_crowd_t *crowd, vc_crowd_guild_t *guild);
static bool vc_change_send(vc_crowd_t *crowd, uint32_t index, bool mute);


void *
vc_crowd_change(void *data)
{
    bool                       mute;
    uint32_t                   index;
    uint64_t                   i, n, begin;
    vc_crowd_t                *crowd = data;
    vc_crowd_guild_t          *guild;
    const vc_crowd_options_t  *o;

    o = crowd->options;
    n = o->milliseconds * o->changes / 1000;
    begin = vc_now();

    for (i = 0; i < n && !atomic_load(&crowd->stop); i++) {
        vc_change_sleep(begin + i * VC_SEC / o->changes);

        index = (uint32_t) (i % o->guilds);
        guild = &crowd->guilds[index];

        if (!vc_change_settled(crowd, guild)) {
            break;
        }

        mute = !atomic_load(&guild->mute);

        atomic_store(&guild->mute, mute);
        atomic_store(&guild->seen, 0);
        atomic_store(&guild->changed_at, vc_now());

        crowd->changes++;

        if (vc_change_send(crowd, index, mute)) {
            crowd->seen_expected += guild->clients;

        } else {
            crowd->refused++;
            atomic_store(&guild->seen, guild->clients);
        }
    }

    for (index = 0; index < o->guilds; index++) {
        if (!vc_change_settled(crowd, &crowd->guilds[index])) {
            break;
        }
    }

    atomic_store(&crowd->changed, true);

    return NULL;
}


static void
vc_change_sleep(uint64_t until)
{
    struct timespec  ts;

    ts.tv_sec = (time_t) (until / VC_SEC);
    ts.tv_nsec = (long) (until % VC_SEC);

    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL) != 0) {
        /* interrupted */
    }
}


/* All have seen the last change of the guild. */
static bool
vc_change_settled(vc_crowd_t *crowd, vc_crowd_guild_t *guild)
{
    uint64_t  begin, changed_at;

    changed_at = atomic_load(&guild->changed_at);
    begin = vc_now();

    while (changed_at != 0 && atomic_load(&guild->seen) < guild->clients) {
        if (vc_now() - begin > VC_CHANGE_PATIENCE
            || atomic_load(&crowd->stop))
        {
            return false;
        }

        vc_change_sleep(vc_now() + VC_MS);
    }

    return true;
}


static bool
vc_change_send(vc_crowd_t *crowd, uint32_t index, bool mute)
{
    char                       url[512];
    bool                       ok;
    vc_http_answer_t           answer;
    vc_http_request_t          req;
    const vc_crowd_options_t  *o;

    o = crowd->options;

    /* the first client of guild i is client i */

    snprintf(url, sizeof(url), "%s/v1/guilds/%" PRIu64 "/members/%" PRIu64,
             o->api, o->conn.guild + index, o->conn.user + index);

    memset(&req, 0, sizeof(req));
    req.method = "PATCH";
    req.url = url;
    req.ca = o->conn.ca;
    req.insecure = o->conn.insecure;
    req.token = crowd->jwt;
    req.body = mute ? "{\"mute\":true}" : "{\"mute\":false}";

    if (!vc_http(VC_CROWD_NAME, &req, &answer)) {
        return false;
    }

    ok = answer.status == 200;
    vc_http_free(&answer);

    return ok;
}
