/*
 * Copyright (C) ngx-voice contributors
 *
 * Records of the guild service, and what its files share among themselves
 * and with the zone's repair.  Everything here is called under the zone's
 * lock.
 *
 * The log is written ahead: an event holds the whole new voice state, and is
 * appended before the record changes.  log_applied of the header follows when
 * the records are changed; what is between it and log_next after a crash is
 * done again by the repair.  So what was told is what is.
 */


#ifndef _VOICE_GUILD_INTERNAL_H_INCLUDED_
#define _VOICE_GUILD_INTERNAL_H_INCLUDED_


#include "voice_guild.h"
#include "voice_session_internal.h"


/*
 * One more than a resume can replay: the slot that a dispatch is written to
 * before it counts is nobody's.
 */
#define VOICE_GATEWAY_RING       (VOICE_GATEWAY_DISPATCHES + 1)

#define VOICE_GATEWAY_FREE       0
#define VOICE_GATEWAY_USED       1

#define voice_gateway_is_event(what)   (((what) >> 63) == 0)


struct voice_state_s {
    uint64_t           guild_id;
    uint64_t           user_id;
    uint64_t           channel_id;       /* 0: kept for its sticky flags */
    uint64_t           request_to_speak;
    voice_id_t         gateway;          /* that it belongs to; 0: to none */
    uint64_t           server;           /* key of the server that its client
                                            was told of; 0: of none */
    uint32_t           flags;
    uint32_t           peer;             /* owned by that node; 0: by us */
    uint32_t           claim;
    uint32_t           mark;             /* of the owner's sync */
    uint32_t           used;

    /* derived: index + 1 */
    uint32_t           guild_next;
    uint32_t           guild_prev;
    uint32_t           gateway_next;
    uint32_t           gateway_prev;
    uint32_t           next_free;

    char               session_id[VOICE_SESSION_ID_MAX + 1];
};


/* The states of a guild: entirely derived from them. */
struct voice_guild_s {
    uint64_t           id;
    uint32_t           count;            /* 0: the slot is free */
    uint32_t           head;             /* first state, index + 1 */
    uint32_t           next_free;        /* index + 1 */
};


struct voice_gateway_record_s {
    _Atomic uint32_t   gen;
    uint32_t           used;             /* not wiped since its last owner */

    /* wiped from here on */
    _Atomic uint8_t    state;            /* VOICE_GATEWAY_* */
    _Atomic uint16_t   worker;           /* of the websocket, or NONE */
    uint32_t           attach;           /* number of the websocket */
    uint32_t           states;           /* derived: first one, index + 1 */
    uint32_t           next_free;        /* derived: index + 1 */
    uint64_t           seq;              /* of the next dispatch, from 1 */
    uint64_t           next;             /* event of the log to look at */
    uint64_t           user_id;
    uint64_t           note;             /* the caller's */
    uint64_t           created;          /* ms */
    _Atomic uint64_t   deadline;         /* ms; 0: none; detached until */
    uint8_t            token_hash[VOICE_TOKEN_HASH_LEN];
    char               session_id[VOICE_GATEWAY_SESSION_LEN + 1];
    uint64_t           dispatch[VOICE_GATEWAY_RING];   /* by seq */
};


/* voice_log.c */

/*
 * Appends n events in one step, and wakes the workers that have gateway
 * sessions.  Numbers are filled in.  The caller sets log_applied.
 */
void voice_log_append(voice_zone_t *z, voice_log_event_t *list, size_t n);

/* The event of a number, or NULL if the ring doesn't have it. */
const voice_log_event_t *voice_log_get(const voice_zone_t *z,
    uint64_t number);


/* voice_state.c */

voice_index_t voice_state_index(const voice_zone_t *z);
voice_index_t voice_guild_index(const voice_zone_t *z);

voice_state_t *voice_state_find(const voice_zone_t *z, uint64_t guild_id,
    uint64_t user_id);
voice_guild_t *voice_guild_find(const voice_zone_t *z, uint64_t guild_id);

/* Whether voice_state_commit() could make a record. */
bool voice_state_room(const voice_zone_t *z);

/* Appends the events, changes the records, makes the relay follow. */
void voice_state_commit(voice_zone_t *z, voice_log_event_t *list, size_t n);

/* For the repair: the events that were not applied. */
void voice_state_redo(voice_zone_t *z);

/* Into lists and indexes, of a record that is in none; and the free list. */
void voice_state_link(voice_zone_t *z, voice_state_t *st);
void voice_state_free_push(voice_zone_t *z, voice_state_t *st);

/* Under the lock. */
void voice_state_info(const voice_state_t *st, voice_state_info_t *info);

/* The claim of a user who comes by another gateway session than before. */
uint32_t voice_state_claim(const voice_state_t *old);

/* A user leaves voice, as voice_state_leave(). */
void voice_state_end(voice_zone_t *z, const voice_state_t *st);

/*
 * Identify: what becomes of the flags of a voice session that is made now.
 * VOICE_E_STALE as voice_session_create().
 */
voice_err_t voice_state_session_flags(const voice_zone_t *z,
    const voice_session_conf_t *c, uint32_t *flags);


/* voice_gateway_session.c */

voice_gateway_record_t *voice_gateway_get(const voice_zone_t *z,
    voice_id_t id);
voice_id_t voice_gateway_id(const voice_zone_t *z,
    const voice_gateway_record_t *g);

void voice_gateway_wipe(voice_gateway_record_t *g);
void voice_gateway_free_push(voice_zone_t *z, voice_gateway_record_t *g);

/* By user, who may have several. */
voice_index_t voice_gateway_index(const voice_zone_t *z);

/* For voice_zone.c: its gateway sessions are detached. */
void voice_gateway_worker_gone(voice_zone_t *z, uint16_t slot,
    uint64_t deadline);


/* voice_guild_repair.c: after the voice sessions are repaired. */
void voice_guild_repair(voice_zone_t *z);


#endif /* _VOICE_GUILD_INTERNAL_H_INCLUDED_ */
