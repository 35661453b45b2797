/*
 * Copyright (C) ngx-voice contributors
 *
 * What nodes post to each other, and the answer; JSON.
 *
 *   {"v":1,"from":"ams1","boot":"0f..","prev":"17","seq":"19",
 *    "sync":3,"digest":"..","count":2,
 *    "states":[{"g":"1000","u":"501","c":"2000","s":"..","f":8,"r":"1..",
 *               "n":1}],
 *    "orders":[{"g":"1000","u":"502"}]}
 *
 *   {"v":1,"seq":"19","sync":false,"refused":0}
 *
 *   {"v":1,"from":"ams1","boot":"0f..","states":[],
 *    "offers":[{"g":"1000","r":"5","h":".."},{"g":"1001","r":"2"}]}
 *
 *   {"v":1,"seq":"19","sync":false,"refused":0,"want":"1"}
 *
 *   {"v":1,"from":"ams1","boot":"0f..","states":[],
 *    "guild":{"g":"1000","r":"5","text":{"id":"1000","name":"..",..}}}
 *
 * g, u, c, s, f, r, n: guild, user, channel (absent: none), session, flags as
 * in voice_guild.h, request to speak in unix ms (absent: none), claim as in
 * voice_peer.h.
 *
 * A message without "sync" holds what happened behind event prev of the
 * sender's log up to seq, whole states in their order.  One with it is a part
 * of all states: 1 is set in the first part, 2 in the last one; seq is that
 * of the moment before the first.  The receiver answers with the event that
 * it is at; "sync" there asks for all states.
 */


#ifndef _VOICE_PEER_MESSAGE_H_INCLUDED_
#define _VOICE_PEER_MESSAGE_H_INCLUDED_


#include "voice_buf.h"
#include "voice_directory.h"
#include "voice_guild.h"
#include "voice_json.h"
#include "voice_store.h"
#include "voice_zone.h"


#define VOICE_PEER_SYNC_FIRST    1u
#define VOICE_PEER_SYNC_LAST     2u

#define VOICE_PEER_STATES_MAX    1024       /* states and orders of a message */
#define VOICE_PEER_MESSAGE_MAX   (VOICE_DIR_GUILD_TEXT_MAX + 64 * 1024)


typedef struct {
    uint32_t   v;                     /* 1 */
    char       from[VOICE_PEER_NAME_MAX + 1];
    char       boot[VOICE_PEER_BOOT_MAX + 1];
    uint64_t   prev;
    uint64_t   seq;
    bool       is_sync;
    uint32_t   sync;                  /* VOICE_PEER_SYNC_* */
    bool       has_digest;            /* of the states as of seq */
    uint64_t   digest;
    uint32_t   count;
    bool       has_guilds;
    uint64_t   guilds;                /* digest of all */
} voice_peer_message_t;

/* What is in a message, of type VOICE_JSON_ABSENT what isn't. */
typedef struct {
    voice_json_t   states;
    voice_json_t   orders;
    voice_json_t   offers;
    voice_json_t   guild;
} voice_peer_parts_t;

typedef struct {
    uint32_t   v;
    uint64_t   seq;
    bool       sync;
    uint32_t   refused;
    uint64_t   want;
    bool       guilds;
} voice_peer_answer_t;

/* A guild as it is sent. */
typedef struct {
    uint64_t     id;
    uint64_t     revision;
    const char  *text;                /* NULL: taken away */
    size_t       len;
} voice_peer_guild_t;


/*
 * A message: begin, states and orders one by one, end; or begin, offers, end;
 * or begin, one guild.
 */
void voice_peer_put_begin(voice_buf_t *b, const voice_peer_message_t *m);
void voice_peer_put_state(voice_buf_t *b, const voice_state_info_t *info,
    bool first);
void voice_peer_put_orders(voice_buf_t *b);
void voice_peer_put_end(voice_buf_t *b);

void voice_peer_put_offers(voice_buf_t *b, const voice_store_version_t *list,
    size_t n);
void voice_peer_put_guild(voice_buf_t *b, const voice_peer_guild_t *guild);

/*
 * The parts point into text.
 *
 * VOICE_E_FORMAT, VOICE_E_RANGE   *why says what was expected
 */
voice_err_t voice_peer_message_decode(const char *text, size_t len,
    voice_peer_message_t *m, voice_peer_parts_t *parts, const char **why);

/* An item of states or orders. */
voice_err_t voice_peer_state_decode(const voice_json_t *item,
    voice_state_info_t *info, const char **why);

/* An item of offers; the guild. */
voice_err_t voice_peer_offer_decode(const voice_json_t *item,
    voice_store_version_t *version, const char **why);
voice_err_t voice_peer_guild_decode(const voice_json_t *value,
    voice_peer_guild_t *guild, const char **why);

void voice_peer_put_answer(voice_buf_t *b, const voice_peer_answer_t *a);
voice_err_t voice_peer_answer_decode(const char *text, size_t len,
    voice_peer_answer_t *a, const char **why);


#endif /* _VOICE_PEER_MESSAGE_H_INCLUDED_ */
