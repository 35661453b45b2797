/*
 * Copyright (C) ngx-voice contributors
 *
 * How often users begin gateway sessions.
 */


#include "voice_guild_internal.h"


/* When it is as if it had never been used. */

static uint64_t
voice_identify_over(voice_identify_record_t *r)
{
    uint64_t  soon, day;

    soon = atomic_load(&r->soon);
    day = atomic_load(&r->day);

    return soon > day ? soon : day;
}


/* Under the lock.  One that is made is taken from whom it costs least. */

static voice_identify_record_t *
voice_identify_find(voice_zone_t *z, uint64_t user_id, bool make)
{
    size_t                    i;
    uint64_t                  hash;
    voice_identify_record_t  *set, *r;

    hash = voice_zone_hash(z, &user_id, sizeof(user_id));
    set = z->header->identify[hash & (VOICE_IDENTIFIES - 1)];
    r = &set[0];

    for (i = 0; i < VOICE_IDENTIFY_WAYS; i++) {

        if (set[i].user_id == user_id) {
            return &set[i];
        }

        if (voice_identify_over(&set[i]) < voice_identify_over(r)) {
            r = &set[i];
        }
    }

    if (!make) {
        return NULL;
    }

    /* dies this process in between, somebody has one that is full */

    atomic_store(&r->soon, 0);
    atomic_store(&r->day, 0);
    voice_session_order();
    r->user_id = user_id;

    return r;
}


voice_err_t
voice_identify_take(voice_zone_t *z, uint64_t user_id,
    const voice_identify_limit_t *limit, uint64_t now,
    voice_rate_left_t *left)
{
    voice_err_t               err;
    voice_rate_left_t         soon;
    voice_identify_record_t  *r;

    voice_zone_lock(z);

    r = voice_identify_find(z, user_id, true);

    voice_rate_look(&r->soon, &limit->soon, now, &soon);
    voice_rate_look(&r->day, &limit->day, now, left);

    err = (soon.remaining != 0 && left->remaining != 0) ? VOICE_OK
                                                        : VOICE_AGAIN;

    if (err == VOICE_OK) {
        (void) voice_rate_take(&r->soon, &limit->soon, now, NULL);
        (void) voice_rate_take(&r->day, &limit->day, now, left);
    }

    voice_zone_unlock(z);

    return err;
}


void
voice_identify_look(voice_zone_t *z, uint64_t user_id,
    const voice_identify_limit_t *limit, uint64_t now,
    voice_rate_left_t *left)
{
    voice_rate_t              none = 0;
    voice_identify_record_t  *r;

    voice_zone_lock(z);

    r = voice_identify_find(z, user_id, false);
    voice_rate_look(r != NULL ? &r->day : &none, &limit->day, now, left);

    voice_zone_unlock(z);
}
