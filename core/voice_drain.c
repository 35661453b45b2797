/*
 * Copyright (C) ngx-voice contributors
 */


#include "voice_drain.h"
#include "voice_guild.h"
#include "voice_session.h"


static const char  *voice_drain_names[VOICE_DRAIN_BY] = {
    [VOICE_DRAIN_DIRECTIVE] = "directive",
    [VOICE_DRAIN_ORDER] = "order",
    [VOICE_DRAIN_FLEET] = "fleet"
};


const char *
voice_drain_name(voice_drain_by_t by)
{
    return voice_drain_names[by];
}


void
voice_drain_start(voice_zone_t *z, voice_drain_by_t by, uint64_t now,
    uint64_t deadline)
{
    voice_drain_record_t  *d = &z->header->drain[by];

    voice_zone_lock(z);

    /* `since` last: until then nobody looks at the deadline */

    atomic_store(&d->deadline, deadline);

    if (atomic_load(&d->since) == 0) {
        atomic_store(&d->since, now != 0 ? now : 1);
    }

    if (deadline != 0) {
        voice_zone_due(z, deadline);
    }

    voice_zone_unlock(z);
}


void
voice_drain_stop(voice_zone_t *z, voice_drain_by_t by)
{
    voice_drain_record_t  *d = &z->header->drain[by];

    voice_zone_lock(z);

    atomic_store(&d->since, 0);
    atomic_store(&d->deadline, 0);

    voice_zone_unlock(z);
}


bool
voice_drain_get(const voice_zone_t *z, voice_drain_t *drain)
{
    unsigned               i;
    uint64_t               since, deadline;
    voice_drain_t          all;
    voice_drain_record_t  *d;

    all.by = 0;
    all.since = 0;
    all.deadline = 0;

    for (i = 0; i < VOICE_DRAIN_BY; i++) {
        d = &z->header->drain[i];

        since = atomic_load(&d->since);
        deadline = atomic_load(&d->deadline);

        if (since == 0) {
            continue;
        }

        all.by |= 1u << i;

        if (all.since == 0 || since < all.since) {
            all.since = since;
        }

        if (deadline != 0 && (all.deadline == 0 || deadline < all.deadline)) {
            all.deadline = deadline;
        }
    }

    if (drain != NULL) {
        *drain = all;
    }

    return all.by != 0;
}


unsigned
voice_drain_expire(voice_zone_t *z, uint64_t now, unsigned max)
{
    unsigned          n;
    uint32_t          i, end;
    voice_id_t        id;
    voice_drain_t     drain;
    voice_session_t  *s;

    n = 0;

    if (!voice_drain_get(z, &drain) || drain.deadline == 0) {
        return 0;
    }

    if (drain.deadline > now) {
        voice_zone_lock(z);
        voice_zone_due(z, drain.deadline);
        voice_zone_unlock(z);
        return 0;
    }

    end = atomic_load(&z->header->session_end);

    for (i = 0; i < end && n < max; i++) {
        s = &z->session[i];
        id = voice_session_id(z, s);

        if (atomic_load(&s->state) == VOICE_SESSION_FREE
            || atomic_load(&s->state) == VOICE_SESSION_CLOSING
            || s->guild_id == VOICE_PROBE_GUILD)
        {
            continue;
        }

        /* a voice state takes its session along; a platform has none here */

        if (voice_state_leave(z, s->guild_id, s->user_id) != VOICE_OK) {
            voice_session_close(z, id, 0, VOICE_CLOSE_DISCONNECTED);
        }

        n++;
    }

    return n;
}
