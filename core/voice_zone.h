/*
 * Copyright (C) ngx-voice contributors
 *
 * The zone: all state of the voice server in one shared mapping, used by
 * every worker of every generation.
 *
 * Records are linked by index, never by pointer.  Records of sessions, voice
 * states and gateway sessions, and the log of events, are the truth; free
 * lists, lists of rooms and guilds, and hash indexes are derived from them
 * and are rebuilt by voice_zone_repair() when a process died inside the lock.
 * For that, a record's fields of several words are written to the slot that
 * is not in use and switched over by one store (see voice_session_t).
 *
 * Writers hold the zone's lock, a robust process-shared mutex, for
 * microseconds.  Readers of the packet path never take it.
 *
 * This file knows memory only: who maps it, and where, is the caller's
 * business.  Times are milliseconds of CLOCK_MONOTONIC, given by the caller.
 */


#ifndef _VOICE_ZONE_H_INCLUDED_
#define _VOICE_ZONE_H_INCLUDED_


#include "voice_addr.h"
#include "voice_err.h"
#include "voice_limit.h"
#include "voice_metrics.h"
#include "voice_opcode.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>


#define VOICE_ZONE_MAGIC           0x656E6F5A2D786E76ull     /* "vnx-Zone" */
#define VOICE_ZONE_LAYOUT          9

#define VOICE_ZONE_SESSIONS_MIN    64
#define VOICE_ZONE_SESSIONS_MAX    (1u << 17)    /* 17 bits in an SSRC */
#define VOICE_ZONE_SESSIONS        16384         /* default */

#define VOICE_WORKERS_MAX          128           /* all generations together */
#define VOICE_WORKER_NAME_MAX      64
#define VOICE_ENDPOINTS_MAX        16
#define VOICE_CUTS_MAX             256
#define VOICE_LOG_EVENTS           16384         /* a power of two */
#define VOICE_SPOKE_EVENTS         1024          /* a power of two */

#define VOICE_PEERS_MAX            1024          /* other nodes */
#define VOICE_PEER_NAME_MAX        32
#define VOICE_PEER_BOOT_MAX        32
#define VOICE_FENCES               4096          /* a power of two */
#define VOICE_FENCE_WAYS           8

#define VOICE_IDENTIFIES           4096          /* a power of two */
#define VOICE_IDENTIFY_WAYS        8
#define VOICE_RATES                32768         /* a power of two */

#define VOICE_WORKER_NONE          0xFFFFu


/*
 * Index and generation of a record: generation << 32 | index.  A generation
 * is never 0, so neither is an id; 0 means "none".
 */
typedef uint64_t  voice_id_t;

#define voice_id_index(id)   ((uint32_t) (id))
#define voice_id_gen(id)     ((uint32_t) ((id) >> 32))
#define voice_id_make(gen, index)                                             \
    (((voice_id_t) (gen) << 32) | (uint32_t) (index))


typedef struct voice_session_s  voice_session_t;
typedef struct voice_room_s     voice_room_t;

/* of voice_guild.h */
typedef struct voice_state_s           voice_state_t;
typedef struct voice_guild_s           voice_guild_t;
typedef struct voice_gateway_record_s  voice_gateway_record_t;


/* Where clients send their media: what Ready says. */
typedef struct {
    char       ip[64];        /* literal */
    uint16_t   port;
    uint8_t    family;        /* voice_addr_family_t */
} voice_endpoint_t;


/*
 * A stream that the server has cut (mute, move, leave): the relay owes the
 * room silence frames that continue it.
 */
typedef struct {
    voice_id_t   room;
    uint32_t     ssrc;
    uint32_t     ext_seq;     /* of the last packet forwarded */
    uint32_t     timestamp;
    uint32_t     session;     /* index; not a receiver */
} voice_cut_t;


/* A copy of a voice state, for whoever shows it. */
typedef struct {
    uint64_t     guild_id;
    uint64_t     channel_id;        /* 0: in none */
    uint64_t     user_id;
    uint64_t     request_to_speak;  /* unix ms; 0: none */
    uint32_t     flags;
    uint32_t     peer;              /* the node that owns it; 0: this one */
    uint32_t     claim;             /* grows with each gateway session that
                                       the user joins by */
    char         session_id[VOICE_SESSION_ID_MAX + 1];
} voice_state_info_t;


typedef enum {
    VOICE_LOG_STATE = 1,      /* a voice state as it is now */
    VOICE_LOG_SERVER,         /* VOICE_SERVER_UPDATE to one gateway session */
    VOICE_LOG_GUILD,          /* the directory's guild was made or changed */
    VOICE_LOG_GUILD_DELETE,
    VOICE_LOG_MEMBER          /* GUILD_MEMBER_UPDATE: mute or deaf changed */
} voice_log_type_t;


/* Of the guild service's log, see voice_guild.h. */
typedef struct {
    uint64_t             number;        /* in the log, from 1 */
    voice_state_info_t   state;         /* whole and new; GUILD, GUILD_DELETE:
                                           guild_id alone */
    uint64_t             old_channel;   /* that the user was in before */
    voice_id_t           gateway;       /* for this gateway session alone: any
                                           SERVER, a STATE that changed
                                           nothing; 0: for the guild */
    voice_id_t           owner;         /* the gateway session that the voice
                                           state belongs to; 0: none here */
    uint64_t             server;        /* of SERVER: key of the server that
                                           the client is told of */
    uint32_t             type;          /* voice_log_type_t */
    uint32_t             order;         /* of STATE: the node that has to make
                                           it so at its own, see voice_peer.h */
} voice_log_event_t;


/*
 * Another node of the cluster, as far as its voice states are here; one that
 * began anew, with another boot id, is another one.
 */
typedef struct {
    uint64_t   seq;           /* event of its log that its states are of */
    uint64_t   seen;          /* ms */
    uint64_t   gone;          /* ms since when it is no node any more, or its
                                 states were last ended; or 0 */
    uint64_t   target;        /* event that the sync in progress is of; or 0 */
    uint32_t   mark;          /* of the last or present sync of all states */
    char       name[VOICE_PEER_NAME_MAX + 1];     /* "": free */
    char       boot[VOICE_PEER_BOOT_MAX + 1];
} voice_peer_record_t;


/* The highest assignment revisions that tokens have shown. */
typedef struct {
    uint64_t   guild;
    uint64_t   rev;
} voice_fence_record_t;


/* How often a user has begun a gateway session, see voice_guild.h. */
typedef struct {
    uint64_t       user_id;
    voice_rate_t   soon;           /* in seconds */
    voice_rate_t   day;
} voice_identify_record_t;


/* Somebody starts or stops speaking, see voice_spoke.h. */
typedef struct {
    uint64_t             guild_id;
    uint64_t             channel_id;
    uint64_t             user_id;
    uint32_t             ssrc;
    uint32_t             speaking;      /* mask; 0: stops */
} voice_spoke_t;


typedef struct {
    _Atomic uint32_t   pid;          /* 0: the slot is free */
    uint32_t           dirty;        /* first session with events, index + 1 */
    _Atomic uint32_t   taken;        /* sessions resumed by other workers */
    uint32_t           gateways;     /* gateway sessions attached */
    _Atomic uint32_t   listeners;    /* others that want the log's events */
    _Atomic uint32_t   hearers;      /* those that want to know who speaks */
    char               name[VOICE_WORKER_NAME_MAX];  /* wake socket, abstract */
    uint64_t           started;      /* ms */
    _Alignas(64) voice_metrics_t   metrics;
} voice_worker_t;


/* Who may want the server to become empty, see voice_drain.h. */
typedef enum {
    VOICE_DRAIN_DIRECTIVE = 0,
    VOICE_DRAIN_ORDER,         /* of an operator, by voicectl */
    VOICE_DRAIN_FLEET,         /* by whoever assigns guilds to servers */
    VOICE_DRAIN_BY
} voice_drain_by_t;


typedef struct {
    _Atomic uint64_t   since;        /* ms; 0: it doesn't */
    _Atomic uint64_t   deadline;     /* ms; 0: none */
} voice_drain_record_t;


typedef struct {
    uint64_t           magic;
    uint32_t           layout;
    uint32_t           record_size;  /* of all kinds of records together */
    uint64_t           size;         /* bytes of the whole zone */
    uint32_t           sessions;     /* capacity of each table */
    uint32_t           index_mask;   /* buckets of each hash index - 1 */
    uint8_t            boot_id[16];  /* new with each empty zone */
    uint8_t            salt[16];     /* of hashes and SSRCs */
    char               node[64];

    _Alignas(64) pthread_mutex_t   mutex;

    uint32_t           session_free; /* FIFO: next to use, index + 1 */
    uint32_t           session_last; /* last freed */
    _Atomic uint32_t   session_end;  /* slots from here on were never used */
    uint32_t           room_free;
    uint32_t           room_end;
    uint32_t           sessions_used;
    uint32_t           probes_used;  /* of those, in VOICE_PROBE_GUILD */
    uint32_t           rooms_used;
    uint32_t           cut_head;     /* number of the next cut */
    uint32_t           cut_tail;     /* number of the oldest one */
    uint32_t           announced;    /* number of the last announcement */
    uint64_t           repairs;

    _Atomic uint64_t   log_next;     /* number of the next event */
    uint64_t           log_applied;  /* those below are in the records */
    uint32_t           state_free;   /* index + 1, as those below */
    _Atomic uint32_t   state_end;
    uint32_t           states_used;
    uint32_t           guild_free;
    uint32_t           guild_end;
    _Atomic uint32_t   guilds_used;
    uint32_t           gateway_free;
    _Atomic uint32_t   gateway_end;
    uint32_t           gateways_used;

    voice_drain_record_t   drain[VOICE_DRAIN_BY];

    _Atomic uint64_t   due;          /* ms: see voice_zone_due(); 0: never */
    _Atomic uint64_t   keepers[VOICE_WORKERS_MAX / 64];  /* of keys */
    _Atomic uint32_t   workers;      /* changes of the table of workers */

    uint32_t           endpoints;
    voice_endpoint_t   endpoint[VOICE_ENDPOINTS_MAX];

    voice_cut_t        cut[VOICE_CUTS_MAX];
    voice_worker_t     worker[VOICE_WORKERS_MAX];

    uint32_t               peers_end;
    voice_peer_record_t    peer[VOICE_PEERS_MAX];     /* peer - 1 */
    voice_fence_record_t   fence[VOICE_FENCES][VOICE_FENCE_WAYS];

    voice_identify_record_t
                           identify[VOICE_IDENTIFIES][VOICE_IDENTIFY_WAYS];
    voice_rate_t           rate[VOICE_RATES];         /* of requests */

    voice_log_event_t  log[VOICE_LOG_EVENTS];

    _Atomic uint64_t   spoke_next;   /* number of the next one */
    voice_spoke_t      spoke[VOICE_SPOKE_EVENTS];
} voice_zone_header_t;


/* A process's view of the zone. */
typedef struct {
    voice_zone_header_t  *header;
    voice_session_t      *session;
    voice_room_t         *room;
    _Atomic uint32_t     *by_user;     /* hash indexes, see voice_index.h */
    _Atomic uint32_t     *by_channel;
    _Atomic uint32_t     *by_address;
    voice_state_t        *state;
    voice_guild_t        *guild;
    voice_gateway_record_t  *gateway;
    _Atomic uint32_t     *by_member;
    _Atomic uint32_t     *by_guild;
    _Atomic uint32_t     *by_owner;    /* gateway sessions */
    uint16_t              worker;      /* own slot, or VOICE_WORKER_NONE */
    uint64_t              wake[VOICE_WORKERS_MAX / 64];  /* see below */
} voice_zone_t;


/* bytes of a zone for so many sessions */
size_t voice_zone_size(uint32_t sessions);

/*
 * Bytes of it that one participant accounts for: voice session, voice state,
 * gateway session; and a room, a guild and the indexes for each of them.
 */
size_t voice_zone_session_size(void);

/*
 * Makes an empty zone of mem, which is size = voice_zone_size(sessions) zero
 * bytes, page aligned, and attaches to it.  VOICE_E_SYS if the system refuses
 * the lock, VOICE_E_RANGE if sessions is outside of its bounds.
 */
voice_err_t voice_zone_format(voice_zone_t *z, void *mem, size_t size,
    uint32_t sessions, const char *node);

/*
 * Attaches to an existing zone.
 *
 * VOICE_E_FORMAT  no zone (magic), or another layout version
 * VOICE_E_LENGTH  size doesn't agree with what the header says
 * VOICE_E_RANGE   made for another number of sessions
 */
voice_err_t voice_zone_attach(voice_zone_t *z, void *mem, size_t size,
    uint32_t sessions);


/*
 * Lock.  If its owner died the zone is repaired first.  Every function of
 * voice_session.h and voice_outbox.h takes it itself unless its comment says
 * otherwise.
 *
 * Functions that leave work for a worker set its bit in z->wake; after the
 * call the process sends a datagram to each of them (its own bit included)
 * and clears the set.
 */
void voice_zone_lock(voice_zone_t *z);
void voice_zone_unlock(voice_zone_t *z);

/* Under the lock: leaves a wake for every worker. */
void voice_zone_wake_all(voice_zone_t *z);

/*
 * Housekeeping is for what happens by the clock alone: sessions that nobody
 * resumes, a drain whose deadline comes.  It is done by the worker in the
 * lowest slot, which sleeps until h->due, at or before the first of them.
 *
 * voice_zone_due(), under the lock: there is something to do at that time;
 * leaves a wake for that worker if it doesn't know.
 *
 * voice_zone_due_take(): that worker is going to do all that is due, by the
 * _expire() functions; they say again what remains.  If it dies meanwhile,
 * voice_worker_gone() has the next one look at everything.
 */
void voice_zone_due(voice_zone_t *z, uint64_t at);
void voice_zone_due_take(voice_zone_t *z);
bool voice_zone_housekeeper(const voice_zone_t *z);

/*
 * This worker has keys of sessions in its memory: it gets one wake when any
 * is over, for then it shall not keep it.  True if it would get that wake,
 * false if it was sent.
 */
void voice_zone_keys_hold(voice_zone_t *z);
bool voice_zone_keys_held(const voice_zone_t *z);

/* Under the lock: a session's key is over. */
void voice_zone_keys_over(voice_zone_t *z);

/* Waits at most so long; VOICE_AGAIN. */
voice_err_t voice_zone_lock_timed(voice_zone_t *z, unsigned ms);

/* Under the lock: rebuilds all that is derived. */
void voice_zone_repair(voice_zone_t *z);

/*
 * Under the lock: compares all that is derived with the records.
 * Gives the number of faults and describes the first one in text.
 */
unsigned voice_zone_verify(voice_zone_t *z, char *text, size_t size);


/*
 * Worker table.  A process takes a slot at start and gives it back at exit;
 * the caller finds out which processes are dead and which slots are free.
 * Sessions of the slot's former worker, voice and gateway, are detached and
 * may be resumed until now + window.  Both leave wakes for all workers: they
 * watch each other.
 */
void voice_worker_register(voice_zone_t *z, uint16_t slot, uint32_t pid,
    const char *name, uint64_t now, uint64_t window);
void voice_worker_gone(voice_zone_t *z, uint16_t slot, uint64_t now,
    uint64_t window);

/* own counters; the first slot's if there is no own slot */
voice_metrics_t *voice_zone_metrics(voice_zone_t *z);

/* the sum over all slots */
void voice_zone_metrics_sum(const voice_zone_t *z,
    uint64_t sum[VOICE_METRICS_COUNT]);

/* Replaces the list of endpoints. */
void voice_zone_endpoints_set(voice_zone_t *z, const voice_endpoint_t *ep,
    size_t n);

/*
 * The endpoint for a session: of the wanted family if there is one, else any;
 * sessions are spread over several.  VOICE_E_NOT_FOUND: there is no relay.
 */
voice_err_t voice_zone_endpoint(voice_zone_t *z, uint8_t family,
    uint32_t session, voice_endpoint_t *ep);

/* Takes the oldest cut; VOICE_E_NOT_FOUND. */
voice_err_t voice_zone_cut_take(voice_zone_t *z, voice_cut_t *cut);

/*
 * The bucket of whoever makes requests, which is no more than bytes; those
 * whose hash is the same share one.  Needs no lock.
 */
voice_rate_t *voice_zone_rate(const voice_zone_t *z, const void *who,
    size_t len);

/* SipHash-2-4 of data under the zone's salt */
uint64_t voice_zone_hash(const voice_zone_t *z, const void *data, size_t len);


#endif /* _VOICE_ZONE_H_INCLUDED_ */
