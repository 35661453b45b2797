/*
 * Copyright (C) ngx-voice contributors
 *
 * What the guild service's log says next, event by event.
 */


#ifndef _LOG_NEXT_H_INCLUDED_
#define _LOG_NEXT_H_INCLUDED_


#include "test_util.h"
#include "voice_guild_internal.h"


/* The next event, of this type; *next moves behind it. */

static inline voice_log_event_t
log_event(voice_zone_t *z, uint64_t *next, voice_log_type_t type)
{
    size_t             n;
    voice_log_event_t  ev;

    memset(&ev, 0, sizeof(ev));

    test_err("log", voice_log_read(z, next, &ev, 1, &n), VOICE_OK);
    test_num("log", n, 1);
    test_num("type", ev.type, type);

    return ev;
}


static inline void
log_no_event(voice_zone_t *z, uint64_t next)
{
    test_num("further events", voice_log_next(z) - next, 0);
}


#endif /* _LOG_NEXT_H_INCLUDED_ */
