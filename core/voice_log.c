/*
 * Copyright (C) ngx-voice contributors
 */


#include "voice_guild_internal.h"


_Static_assert((VOICE_LOG_EVENTS & (VOICE_LOG_EVENTS - 1)) == 0,
               "a power of two");


static voice_log_event_t *
voice_log_slot(const voice_zone_t *z, uint64_t number)
{
    return &z->header->log[number % VOICE_LOG_EVENTS];
}


/* A slot's number goes last: half an event is none, nor is half an old one. */

static void
voice_log_write(voice_zone_t *z, const voice_log_event_t *ev)
{
    voice_log_event_t  *slot = voice_log_slot(z, ev->number), copy;

    copy = *ev;
    copy.number = 0;

    slot->number = 0;
    voice_session_order();

    *slot = copy;
    voice_session_order();

    slot->number = ev->number;
}


static void
voice_log_wake(voice_zone_t *z)
{
    uint32_t  i;

    for (i = 0; i < VOICE_WORKERS_MAX; i++) {
        if (z->header->worker[i].gateways != 0
            || atomic_load(&z->header->worker[i].listeners) != 0)
        {
            z->wake[i / 64] |= 1ull << (i % 64);
        }
    }
}


void
voice_log_append(voice_zone_t *z, voice_log_event_t *list, size_t n)
{
    size_t    i;
    uint64_t  next;

    next = atomic_load(&z->header->log_next);

    for (i = 0; i < n; i++) {
        list[i].number = next + i;
        voice_log_write(z, &list[i]);
    }

    voice_session_order();
    atomic_store(&z->header->log_next, next + n);

    voice_log_wake(z);
}


const voice_log_event_t *
voice_log_get(const voice_zone_t *z, uint64_t number)
{
    const voice_log_event_t  *slot = voice_log_slot(z, number);

    if (number == 0 || number >= atomic_load(&z->header->log_next)
        || slot->number != number)
    {
        return NULL;
    }

    return slot;
}


voice_err_t
voice_log_read(voice_zone_t *z, uint64_t *next, voice_log_event_t *list,
    size_t max, size_t *n)
{
    size_t                    count;
    uint64_t                  number, end;
    voice_err_t               err;
    const voice_log_event_t  *ev;

    voice_zone_lock(z);

    err = VOICE_OK;
    number = *next;
    end = atomic_load(&z->header->log_next);

    if (number > end) {
        err = VOICE_E_EXPIRED;
    }

    for (count = 0; number < end && count < max; count++, number++) {
        ev = voice_log_get(z, number);

        if (ev == NULL) {
            err = VOICE_E_EXPIRED;
            break;
        }

        list[count] = *ev;
    }

    voice_zone_unlock(z);

    if (err == VOICE_OK) {
        *n = count;
        *next = number;
    }

    return err;
}


uint64_t
voice_log_next(const voice_zone_t *z)
{
    return atomic_load(&z->header->log_next);
}


voice_err_t
voice_log_guild(voice_zone_t *z, voice_log_type_t type, uint64_t guild_id)
{
    voice_log_event_t  ev;

    if (type != VOICE_LOG_GUILD && type != VOICE_LOG_GUILD_DELETE) {
        return VOICE_E_RANGE;
    }

    memset(&ev, 0, sizeof(ev));

    ev.type = type;
    ev.state.guild_id = guild_id;

    voice_zone_lock(z);
    voice_state_commit(z, &ev, 1);
    voice_zone_unlock(z);

    return VOICE_OK;
}
