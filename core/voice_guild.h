/*
 * Copyright (C) ngx-voice contributors
 *
 * The guild service's part of the zone: voice states, gateway sessions, and
 * the log of events that ties them together.
 *
 * Every change of a voice state appends one event to a ring in the zone, so
 * that all see all changes in one order.  A worker reads the log once for all
 * of its gateway websockets.  A gateway session keeps its place in the log
 * and which events its last dispatches were, so that any worker can go on
 * where another one stopped; while nobody is connected nothing is written
 * for it.
 *
 * Unless a comment says otherwise each function takes the zone's lock, and
 * leaves wakes in z->wake as those of voice_session.h do.
 */


#ifndef _VOICE_GUILD_H_INCLUDED_
#define _VOICE_GUILD_H_INCLUDED_


#include "voice_session.h"


/* Events of the log, and what they hold, are in voice_zone.h. */

#define VOICE_GATEWAY_DISPATCHES    256       /* that a resume can replay */
#define VOICE_GATEWAY_SESSION_LEN   32        /* hex characters */


/*
 * Flags of a voice state, from voice_session.h: MUTE, DEAF, SUPPRESS,
 * SELF_MUTE, SELF_DEAF, VIDEO (the camera is on); and:
 */
#define VOICE_STATE_STREAM          0x100u

/*
 * A moderator has moved the user into a channel that it may not enter itself:
 * the mover's right is enough, for as long as the user stays there.
 */
#define VOICE_STATE_BROUGHT         0x200u

/* What the client itself says of itself. */
#define VOICE_STATE_SELF                                                      \
    (VOICE_SESSION_SELF_MUTE | VOICE_SESSION_SELF_DEAF | VOICE_SESSION_VIDEO  \
     | VOICE_STATE_STREAM)

/* Kept when the user leaves, so that nobody undoes them by rejoining. */
#define VOICE_STATE_STICKY                                                    \
    (VOICE_SESSION_MUTE | VOICE_SESSION_DEAF)

/* What a voice session has from its voice state. */
#define VOICE_STATE_ENFORCED                                                  \
    (VOICE_STATE_STICKY | VOICE_SESSION_SUPPRESS | VOICE_SESSION_SELF_MUTE    \
     | VOICE_SESSION_SELF_DEAF)

#define VOICE_STATE_FLAGS           (VOICE_STATE_ENFORCED | VOICE_STATE_SELF)

/* Of two nodes that say a user is theirs, see voice_peer.h. */
#define VOICE_STATE_CLAIM_MAX       INT32_MAX


/*
 * Copies up to max events from number *next on and moves it on; a single
 * event of a replay[] is read so too.
 *
 * VOICE_E_EXPIRED  *next is no longer in the ring, or was never
 */
voice_err_t voice_log_read(voice_zone_t *z, uint64_t *next,
    voice_log_event_t *list, size_t max, size_t *n);

/* The number that the next event will get; lock-free. */
uint64_t voice_log_next(const voice_zone_t *z);

/*
 * Appends a VOICE_LOG_GUILD or VOICE_LOG_GUILD_DELETE event; VOICE_E_RANGE:
 * another type.  Voice states of a deleted guild are for the caller to end.
 */
voice_err_t voice_log_guild(voice_zone_t *z, voice_log_type_t type,
    uint64_t guild_id);


/* Gateway sessions. */

typedef struct {
    voice_id_t   id;
    uint32_t     attach;           /* number of the websocket */
    uint64_t     seq;              /* s of the next dispatch */
    uint64_t     next;             /* next event of the log to look at */
    uint64_t     note;             /* the caller's; 0 at first */
    char         session_id[VOICE_GATEWAY_SESSION_LEN + 1];
} voice_gateway_session_t;


/*
 * Identify: a session with a random id; its websocket is this worker's.
 *
 * VOICE_E_FULL   no slot left
 * VOICE_E_STATE  this process has no slot in the worker table
 */
voice_err_t voice_gateway_session_create(voice_zone_t *z, uint64_t user_id,
    const uint8_t token_hash[VOICE_TOKEN_HASH_LEN], uint64_t now,
    voice_gateway_session_t *h);

/*
 * Resume behind dispatch number seq.  replay[] gets what the missed
 * dispatches were, in order: a log number, or a snapshot mark as given to
 * voice_gateway_session_dispatched().  h->seq is the s of the first of them,
 * or of the next dispatch if none was missed; the numbers of replayed
 * dispatches are not taken again.  Then the worker reads on from h->next.
 *
 * A websocket that the session still had is taken from it: its worker's
 * `taken` counts up, as for voice sessions.
 *
 * VOICE_E_NOT_FOUND  no such session
 * VOICE_E_AUTH       another token
 * VOICE_E_RANGE      seq was never reached
 * VOICE_E_EXPIRED    more than VOICE_GATEWAY_DISPATCHES behind, or the log
 *                    has moved on
 * VOICE_E_STATE      this process has no slot in the worker table
 */
voice_err_t voice_gateway_session_resume(voice_zone_t *z,
    const char *session_id, const uint8_t token_hash[VOICE_TOKEN_HASH_LEN],
    uint64_t seq, uint64_t now, voice_gateway_session_t *h,
    uint64_t replay[VOICE_GATEWAY_DISPATCHES], size_t *n);

/*
 * A dispatch that isn't an event of the log: READY, GUILD_CREATE, chunks;
 * what: 31 bits.
 */
#define VOICE_GATEWAY_SNAPSHOT(what, guild_index)                             \
    (1ull << 63 | (uint64_t) (what) << 32 | (uint32_t) (guild_index))

/*
 * Takes the next s for a dispatch, before it is written.  what: a snapshot
 * mark, or the number of an event of the log, which then counts as seen: no
 * resume, after whatever crash, gives it a second s.  An event that becomes
 * several dispatches (GUILD) goes out under marks, and then is seen.
 *
 * VOICE_E_STALE  the session has another websocket now, or is gone: close
 *                this one
 * VOICE_E_RANGE  no event has that number yet
 */
voice_err_t voice_gateway_session_dispatched(voice_zone_t *z,
    voice_gateway_session_t *h, uint64_t what, uint64_t *seq);

/*
 * All events below number `next` were looked at (dispatched or not).  No need
 * to say so for each event: it must be said before the log moves on by
 * VOICE_LOG_EVENTS, or a crash of the worker makes the session expire.
 *
 * VOICE_E_STALE  as above
 * VOICE_E_RANGE  the log isn't there yet
 */
voice_err_t voice_gateway_session_seen(voice_zone_t *z,
    voice_gateway_session_t *h, uint64_t next);

/* Sets the note, for who resumes.  VOICE_E_STALE as above. */
voice_err_t voice_gateway_session_note(voice_zone_t *z,
    voice_gateway_session_t *h, uint64_t note);

/*
 * Identify, before a session is made: room for one more of a user's, of whom
 * there may be max.  The one whose websocket went away first is destroyed.
 * VOICE_E_FULL: all of them are connected.  Identifies at the same moment may
 * find room both.
 */
voice_err_t voice_gateway_session_limit(voice_zone_t *z, uint64_t user_id,
    uint32_t max);

/*
 * How often a user may identify: `soon` and `day` each have to let it.  A
 * user who did so long ago that it counts no more is forgotten; so is, where
 * a set of them is full, the one to whom it makes the least difference.
 */
typedef struct {
    voice_rate_limit_t   soon;
    voice_rate_limit_t   day;
} voice_identify_limit_t;

/* VOICE_AGAIN: not now; it counts as none.  left: of the day. */
voice_err_t voice_identify_take(voice_zone_t *z, uint64_t user_id,
    const voice_identify_limit_t *limit, uint64_t now,
    voice_rate_left_t *left);

/* What is left of the day. */
void voice_identify_look(voice_zone_t *z, uint64_t user_id,
    const voice_identify_limit_t *limit, uint64_t now,
    voice_rate_left_t *left);

/*
 * The websocket is gone; the session is resumable until now + window.
 * h->next counts as seen.
 */
void voice_gateway_session_detach(voice_zone_t *z,
    const voice_gateway_session_t *h, uint64_t now, uint64_t window);

/*
 * The session is over: its voice states leave.  h->attach 0: whichever
 * websocket it has; else nothing happens if it has another one by now.
 */
void voice_gateway_session_destroy(voice_zone_t *z,
    const voice_gateway_session_t *h);

/* Destroys those whose deadline is over; gives their number. */
unsigned voice_gateway_session_expire(voice_zone_t *z, uint64_t now);


/* Voice states. */

typedef struct {
    uint64_t     guild_id;
    uint64_t     channel_id;
    uint64_t     user_id;
    voice_id_t   gateway;          /* 0: of a platform's own gateway */
    const char  *session_id;       /* of a platform's own gateway, else NULL:
                                      the gateway session's */
    uint32_t     flags;            /* VOICE_STATE_SELF; SUPPRESS: as the
                                      channel wants it of who comes in */
    uint32_t     user_limit;       /* of the channel; 0: none */
    uint64_t     server;           /* key of the server of the guild, see
                                      voice_state_server(); 0: one alone */
} voice_state_join_t;


typedef enum {
    VOICE_STATE_UNCHANGED = 0,     /* same session, channel and flags */
    VOICE_STATE_CHANGED,           /* flags */
    VOICE_STATE_JOINED,            /* also: from another gateway session */
    VOICE_STATE_MOVED
} voice_state_change_t;


/*
 * Op 4 with a channel: join, move, or change of flags.  A voice session that
 * doesn't fit any more is closed (VOICE_CLOSE_DISCONNECTED).
 *
 * Appends STATE and behind it, in one step, SERVER where the client has to
 * (re)connect: on a join or move; for UNCHANGED, which is how libraries ask
 * for a new token (STATE then goes to this gateway session alone); and for
 * CHANGED if no voice websocket is alive.  Without a gateway session there is
 * no SERVER, and nothing at all for UNCHANGED.
 *
 * MUTE and DEAF stay as moderators left them.  So do SUPPRESS, BROUGHT and
 * the request to speak, as long as the channel and session stay the same.
 *
 * VOICE_E_FULL    the channel has user_limit users
 * VOICE_E_NOMEM   no slot left
 * VOICE_E_STALE   no such gateway session of this user
 * VOICE_E_LENGTH  session id of none or more than VOICE_SESSION_ID_MAX
 *                 characters
 * VOICE_E_RANGE   an id is 0
 */
voice_err_t voice_state_join(voice_zone_t *z, const voice_state_join_t *j,
    voice_state_change_t *change);

/*
 * A join that can't be: STATE with no channel to this gateway session alone.
 * Nothing happens if the user is in voice.
 */
void voice_state_refuse(voice_zone_t *z, uint64_t guild_id, uint64_t user_id,
    voice_id_t gateway);

/*
 * Leaves: by op 4 with null, by a moderator, by the end of a session.  The
 * voice session is closed.  VOICE_E_NOT_FOUND: not in voice.
 */
voice_err_t voice_state_leave(voice_zone_t *z, uint64_t guild_id,
    uint64_t user_id);

/*
 * By a moderator: to another channel of the guild.  flags: SUPPRESS as there,
 * BROUGHT.  The user limit doesn't count.  Nothing happens if the user is
 * there already.
 *
 * VOICE_E_NOT_FOUND  not in voice
 * VOICE_E_RANGE      channel 0
 */
voice_err_t voice_state_move(voice_zone_t *z, uint64_t guild_id,
    uint64_t user_id, uint64_t channel_id, uint32_t flags);

/*
 * Sets and clears flags and, with request not NULL, the request to speak.
 * The relay follows at once.  Appends STATE, before it MEMBER if MUTE or DEAF
 * changed; nothing if all is so already.  VOICE_E_NOT_FOUND: not in voice.
 */
voice_err_t voice_state_flags(voice_zone_t *z, uint64_t guild_id,
    uint64_t user_id, uint32_t set, uint32_t clear, const uint64_t *request);

/*
 * The guild is served elsewhere from now on.  server: a key of that server,
 * which is what it is to the caller; not 0.  Appends SERVER for each user in
 * voice who has a gateway session here and was told of another one; gives how
 * many these were.
 */
size_t voice_state_server(voice_zone_t *z, uint64_t guild_id,
    uint64_t server);

/* How many are in voice in a guild, and of these by gateways of ours. */
size_t voice_state_users(voice_zone_t *z, uint64_t guild_id, size_t *here);

/*
 * One guild with voice states after the other: *slot, from 0, moves behind
 * the one given.  VOICE_E_NOT_FOUND after the last.
 */
voice_err_t voice_state_guild_next(voice_zone_t *z, uint32_t *slot,
    uint64_t *guild_id);

/* VOICE_E_NOT_FOUND: no state, or in no channel. */
voice_err_t voice_state_get(voice_zone_t *z, uint64_t guild_id,
    uint64_t user_id, voice_state_info_t *info);

/* MUTE and DEAF of a member, in voice or not. */
uint32_t voice_state_sticky(voice_zone_t *z, uint64_t guild_id,
    uint64_t user_id);

/* The states of a guild that are in a channel; *n may be more than max. */
void voice_state_list(voice_zone_t *z, uint64_t guild_id,
    voice_state_info_t *list, size_t max, size_t *n);

/* How many are in a channel. */
size_t voice_state_count(voice_zone_t *z, uint64_t guild_id,
    uint64_t channel_id);


/*
 * Identify on the voice websocket: what the guild service says of the user.
 * info is filled in if there is a state in a channel, for VOICE_E_STALE too.
 * With voice_session_conf_t.admitted voice_session_create() looks again.
 *
 * VOICE_E_NOT_FOUND  none: a platform's own gateway made the token, or the
 *                    user left
 * VOICE_E_STALE      the state has another session id or channel
 */
voice_err_t voice_state_admit(voice_zone_t *z, uint64_t guild_id,
    uint64_t user_id, uint64_t channel_id, const char *session_id,
    voice_state_info_t *info);


/* Numbers for status, without the lock: a moment's view. */
typedef struct {
    uint32_t   attached;         /* gateway sessions with a websocket */
    uint32_t   detached;
    uint32_t   states;           /* voice states in a channel */
    uint32_t   sticky;           /* in none: kept for their flags */
    uint32_t   guilds;           /* that have either */
    uint64_t   events;           /* appended to the log so far */
} voice_guild_stats_t;

void voice_guild_stats(const voice_zone_t *z, voice_guild_stats_t *st);


#endif /* _VOICE_GUILD_H_INCLUDED_ */
