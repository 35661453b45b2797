/*
 * Copyright (C) ngx-voice contributors
 *
 * Voice states: what joins, moves, flags and leaves tell, and what becomes of
 * the voice sessions.
 */


#include "test_util.h"
#include "log_next.h"
#include "voice_guild_internal.h"
#include "zone_ops.h"


#define SESSIONS  64

#define GUILD     10
#define ANNA      1
#define BEN       2


typedef struct {
    voice_zone_t              z;
    void                     *mem;
    uint64_t                  next;      /* of the log, not looked at yet */
    voice_gateway_session_t   anna;
    voice_gateway_session_t   twin;      /* hers too */
    voice_gateway_session_t   ben;
} guild_t;


static voice_gateway_session_t
make(guild_t *t, uint64_t user)
{
    uint8_t                  token[VOICE_TOKEN_HASH_LEN] = { 1 };
    voice_gateway_session_t  h;

    test_err("create", voice_gateway_session_create(&t->z, user, token, 10,
                                                    &h), VOICE_OK);
    return h;
}


static int
setup(void **state)
{
    size_t          size = voice_zone_size(SESSIONS);
    static guild_t  t;

    memset(&t, 0, sizeof(t));
    t.mem = zone_memory(size);
    t.next = 1;

    test_err("zone", voice_zone_format(&t.z, t.mem, size, SESSIONS, "node"),
             VOICE_OK);
    voice_worker_register(&t.z, 3, 100, "w", 1, 1000);

    t.anna = make(&t, ANNA);
    t.twin = make(&t, ANNA);
    t.ben = make(&t, BEN);

    *state = &t;

    return 0;
}


static int
teardown(void **state)
{
    char      text[256];
    guild_t  *t = *state;

    if (voice_zone_verify(&t->z, text, sizeof(text)) != 0) {
        fail_msg("%s", text);
    }

    munmap(t->mem, voice_zone_size(SESSIONS));

    return 0;
}


static voice_err_t
join(guild_t *t, const voice_gateway_session_t *h, uint64_t user,
    uint64_t channel, uint32_t flags, voice_state_change_t *change)
{
    voice_state_join_t  j = { .guild_id = GUILD, .channel_id = channel,
                              .user_id = user, .flags = flags };

    j.gateway = (h != NULL) ? h->id : 0;
    j.session_id = (h != NULL) ? NULL : "platform";

    return voice_state_join(&t->z, &j, change);
}


static void
joined(guild_t *t, const voice_gateway_session_t *h, uint64_t user,
    uint64_t channel, uint32_t flags, voice_state_change_t expected)
{
    voice_state_change_t  change = 99;

    test_err("join", join(t, h, user, channel, flags, &change), VOICE_OK);
    test_num("join", change, expected);
}


/* The next event of the log; the last one if there must be no other. */

static voice_log_event_t
event(guild_t *t, voice_log_type_t type)
{
    return log_event(&t->z, &t->next, type);
}


static void
no_event(guild_t *t)
{
    log_no_event(&t->z, t->next);
}


static voice_id_t
voice(guild_t *t, const char *sid, uint64_t user, uint64_t channel,
    uint32_t flags, bool admitted, voice_err_t expected)
{
    bool                   replaced;
    uint32_t               attach;
    voice_id_t             id = 0;
    voice_session_conf_t   c = { .guild_id = GUILD, .user_id = user,
                                 .channel_id = channel, .session_id = sid,
                                 .version = 8, .flags = flags,
                                 .admitted = admitted };

    test_err("voice", voice_session_create(&t->z, &c, 10, &id, &attach,
                                           &replaced), expected);
    return id;
}


static void
select_live(guild_t *t, voice_id_t id)
{
    uint8_t       secret[VOICE_KEY_LEN] = { 1 };
    voice_addr_t  addr = zone_address(voice_id_index(id) + 1, 9);

    test_err("candidate", voice_session_candidate(&t->z, id, &addr, &addr),
             VOICE_OK);
    test_err("select", voice_session_select(&t->z, id, 0, secret, NULL, 10,
                                            5), VOICE_OK);
}


/* Told to close with 4014, and out of everything. */

static void
closed(guild_t *t, voice_id_t id)
{
    voice_event_t     ev;
    voice_session_t  *s = voice_session_get(&t->z, id);

    assert_non_null(s);
    test_num("state", s->state, VOICE_SESSION_CLOSING);
    test_num("code", s->close_code, 4014);

    do {
        test_err("outbox", voice_outbox_next(&t->z, id, 1, &ev), VOICE_OK);
        test_err("outbox", voice_outbox_sent(&t->z, id, 1, &ev), VOICE_OK);
    } while (ev.type != VOICE_EVENT_CLOSE);

    test_num("code", ev.arg, 4014);
    voice_session_close(&t->z, id, 1, 0);
}


static uint32_t
voice_flags(guild_t *t, voice_id_t id)
{
    voice_session_t  *s = voice_session_get(&t->z, id);

    assert_non_null(s);
    assert_true(s->state != VOICE_SESSION_CLOSING);

    return s->flags;
}


static void
test_join(void **state)
{
    guild_t             *t = *state;
    voice_log_event_t    ev;
    voice_state_info_t   info;

    joined(t, &t->anna, ANNA, 20, VOICE_SESSION_SELF_MUTE
           | VOICE_SESSION_SUPPRESS | VOICE_SESSION_MUTE | 0x40
           | VOICE_STATE_STREAM, VOICE_STATE_JOINED);

    /* the state, to all, before the server, to her; one step */

    ev = event(t, VOICE_LOG_STATE);

    test_num("gateway", ev.gateway, 0);
    test_num("owner", ev.owner, t->anna.id);
    test_num("old", ev.old_channel, 0);
    test_num("channel", ev.state.channel_id, 20);
    test_num("user", ev.state.user_id, ANNA);
    test_num("guild", ev.state.guild_id, GUILD);
    test_num("request", ev.state.request_to_speak, 0);
    assert_string_equal(ev.state.session_id, t->anna.session_id);

    /* nobody mutes themselves as a moderator does */

    test_num("flags", ev.state.flags, VOICE_SESSION_SELF_MUTE
             | VOICE_SESSION_SUPPRESS | VOICE_STATE_STREAM);

    ev = event(t, VOICE_LOG_SERVER);

    test_num("gateway", ev.gateway, t->anna.id);
    test_num("channel", ev.state.channel_id, 20);
    test_num("user", ev.state.user_id, ANNA);
    no_event(t);

    test_err("get", voice_state_get(&t->z, GUILD, ANNA, &info), VOICE_OK);
    test_num("get", info.channel_id, 20);
    test_num("get", info.flags, ev.state.flags);
    assert_string_equal(info.session_id, t->anna.session_id);
    test_err("get", voice_state_get(&t->z, GUILD, BEN, &info),
             VOICE_E_NOT_FOUND);
    test_err("get", voice_state_get(&t->z, GUILD + 1, ANNA, &info),
             VOICE_E_NOT_FOUND);
}


static void
test_join_errors(void **state)
{
    guild_t               *t = *state;
    char                   sid[VOICE_SESSION_ID_MAX + 2];
    size_t                 i;
    voice_state_change_t   change;

    struct {
        const char          *name;
        voice_state_join_t   j;
        voice_err_t          err;
    } cases[] = {
        { "guild", { 0, 20, ANNA, t->anna.id, NULL, 0, 0, 0 },
          VOICE_E_RANGE },
        { "channel", { GUILD, 0, ANNA, t->anna.id, NULL, 0, 0, 0 },
          VOICE_E_RANGE },
        { "user", { GUILD, 20, 0, t->anna.id, NULL, 0, 0, 0 }, VOICE_E_RANGE },
        { "no name", { GUILD, 20, ANNA, 0, NULL, 0, 0, 0 }, VOICE_E_LENGTH },
        { "empty name", { GUILD, 20, ANNA, 0, "", 0, 0, 0 }, VOICE_E_LENGTH },
        { "long name", { GUILD, 20, ANNA, 0, sid, 0, 0, 0 }, VOICE_E_LENGTH },
        { "of another", { GUILD, 20, BEN, t->anna.id, NULL, 0, 0, 0 },
          VOICE_E_STALE },
        { "never",
          { GUILD, 20, ANNA, t->anna.id + (1ull << 32), NULL, 0, 0, 0 },
          VOICE_E_STALE },
    };

    memset(sid, 'a', sizeof(sid));
    sid[sizeof(sid) - 1] = '\0';

    for (i = 0; i < test_n(cases); i++) {
        test_err(cases[i].name, voice_state_join(&t->z, &cases[i].j, &change),
                 cases[i].err);
    }

    no_event(t);

    sid[VOICE_SESSION_ID_MAX] = '\0';
    test_err("longest", voice_state_join(&t->z, &cases[5].j, &change),
             VOICE_OK);
}


static void
test_join_again(void **state)
{
    guild_t            *t = *state;
    uint64_t            request = 777;
    voice_id_t          id;
    voice_log_event_t   ev;

    joined(t, &t->anna, ANNA, 20, VOICE_SESSION_SUPPRESS, VOICE_STATE_JOINED);
    voice_state_flags(&t->z, GUILD, ANNA, 0, 0, &request);
    t->next += 3;

    /* the same again: a new token, and nobody else hears of it */

    joined(t, &t->anna, ANNA, 20, VOICE_SESSION_SUPPRESS,
           VOICE_STATE_UNCHANGED);

    ev = event(t, VOICE_LOG_STATE);
    test_num("gateway", ev.gateway, t->anna.id);
    test_num("old", ev.old_channel, 20);
    test_num("request", ev.state.request_to_speak, 777);
    ev = event(t, VOICE_LOG_SERVER);
    test_num("gateway", ev.gateway, t->anna.id);
    no_event(t);

    /* other flags; no voice websocket: it is on its way in, or in trouble */

    joined(t, &t->anna, ANNA, 20, VOICE_SESSION_SELF_MUTE,
           VOICE_STATE_CHANGED);

    ev = event(t, VOICE_LOG_STATE);
    test_num("gateway", ev.gateway, 0);
    test_num("flags", ev.state.flags, VOICE_SESSION_SELF_MUTE
             | VOICE_SESSION_SUPPRESS);
    test_num("request", ev.state.request_to_speak, 777);
    event(t, VOICE_LOG_SERVER);

    /* with one: the state alone, and the relay follows */

    id = voice(t, t->anna.session_id, ANNA, 20, 0, true, VOICE_OK);
    joined(t, &t->anna, ANNA, 20, VOICE_SESSION_SELF_DEAF
           | VOICE_SESSION_VIDEO, VOICE_STATE_CHANGED);

    event(t, VOICE_LOG_STATE);
    no_event(t);
    test_num("relay", voice_flags(t, id), VOICE_SESSION_SELF_DEAF
             | VOICE_SESSION_SUPPRESS);

    /* detached is not alive */

    voice_session_detach(&t->z, id, 1, 10, 1000);
    joined(t, &t->anna, ANNA, 20, 0, VOICE_STATE_CHANGED);

    event(t, VOICE_LOG_STATE);
    event(t, VOICE_LOG_SERVER);
    no_event(t);
}


static void
test_platform(void **state)
{
    guild_t            *t = *state;
    voice_log_event_t   ev;

    joined(t, NULL, 77, 20, 0, VOICE_STATE_JOINED);
    ev = event(t, VOICE_LOG_STATE);
    test_num("owner", ev.owner, 0);
    assert_string_equal(ev.state.session_id, "platform");
    no_event(t);

    joined(t, NULL, 77, 20, 0, VOICE_STATE_UNCHANGED);
    no_event(t);

    joined(t, NULL, 77, 20, VOICE_SESSION_SELF_MUTE, VOICE_STATE_CHANGED);
    event(t, VOICE_LOG_STATE);
    no_event(t);

    joined(t, NULL, 77, 21, 0, VOICE_STATE_MOVED);
    event(t, VOICE_LOG_STATE);
    no_event(t);

    test_err("move", voice_state_move(&t->z, GUILD, 77, 22, 0), VOICE_OK);
    ev = event(t, VOICE_LOG_STATE);
    test_num("move", ev.state.channel_id, 22);
    no_event(t);
}


static void
test_join_moves(void **state)
{
    guild_t            *t = *state;
    uint64_t            request = 777;
    voice_id_t          id;
    voice_log_event_t   ev;

    joined(t, &t->anna, ANNA, 20, 0, VOICE_STATE_JOINED);
    id = voice(t, t->anna.session_id, ANNA, 20, 0, true, VOICE_OK);
    select_live(t, id);
    voice_state_flags(&t->z, GUILD, ANNA, 0, 0, &request);
    t->next += 3;

    joined(t, &t->anna, ANNA, 21, VOICE_SESSION_SUPPRESS, VOICE_STATE_MOVED);

    ev = event(t, VOICE_LOG_STATE);
    test_num("gateway", ev.gateway, 0);
    test_num("old", ev.old_channel, 20);
    test_num("channel", ev.state.channel_id, 21);
    test_num("request", ev.state.request_to_speak, 0);
    test_num("flags", ev.state.flags, VOICE_SESSION_SUPPRESS);
    event(t, VOICE_LOG_SERVER);
    no_event(t);

    closed(t, id);
}


static void
test_displaced(void **state)
{
    guild_t            *t = *state;
    voice_id_t          id;
    voice_log_event_t   ev;

    joined(t, &t->anna, ANNA, 20, 0, VOICE_STATE_JOINED);
    id = voice(t, t->anna.session_id, ANNA, 20, 0, true, VOICE_OK);
    select_live(t, id);
    t->next += 2;

    joined(t, &t->twin, ANNA, 20, 0, VOICE_STATE_JOINED);

    ev = event(t, VOICE_LOG_STATE);
    test_num("for all, the displaced one too", ev.gateway, 0);
    test_num("owner", ev.owner, t->twin.id);
    assert_string_equal(ev.state.session_id, t->twin.session_id);
    ev = event(t, VOICE_LOG_SERVER);
    test_num("server", ev.gateway, t->twin.id);
    no_event(t);

    closed(t, id);

    /* the end of the displaced session takes nothing with it */

    voice_gateway_session_destroy(&t->z, &t->anna);
    no_event(t);
    voice_gateway_session_destroy(&t->z, &t->twin);
    ev = event(t, VOICE_LOG_STATE);
    test_num("left", ev.state.channel_id, 0);
    no_event(t);
}


static void
test_leave(void **state)
{
    guild_t            *t = *state;
    voice_id_t          id;
    voice_log_event_t   ev;
    voice_state_info_t  info;

    test_err("not in voice", voice_state_leave(&t->z, GUILD, ANNA),
             VOICE_E_NOT_FOUND);
    no_event(t);

    joined(t, &t->anna, ANNA, 20, VOICE_SESSION_SELF_DEAF,
           VOICE_STATE_JOINED);
    id = voice(t, t->anna.session_id, ANNA, 20, 0, true, VOICE_OK);
    t->next += 2;

    test_err("leave", voice_state_leave(&t->z, GUILD, ANNA), VOICE_OK);

    ev = event(t, VOICE_LOG_STATE);
    test_num("channel", ev.state.channel_id, 0);
    test_num("old", ev.old_channel, 20);
    test_num("owner", ev.owner, 0);
    test_num("flags", ev.state.flags, 0);
    assert_string_equal(ev.state.session_id, t->anna.session_id);
    no_event(t);

    closed(t, id);
    test_err("left", voice_state_get(&t->z, GUILD, ANNA, &info),
             VOICE_E_NOT_FOUND);
    test_err("twice", voice_state_leave(&t->z, GUILD, ANNA),
             VOICE_E_NOT_FOUND);
    no_event(t);
}


static void
test_sticky(void **state)
{
    guild_t              *t = *state;
    size_t                n;
    voice_id_t            id;
    voice_log_event_t     ev;
    voice_state_info_t    info;
    voice_guild_stats_t   st;

    joined(t, &t->anna, ANNA, 20, 0, VOICE_STATE_JOINED);
    test_err("mute", voice_state_flags(&t->z, GUILD, ANNA,
             VOICE_SESSION_MUTE | VOICE_SESSION_SUPPRESS, 0, NULL), VOICE_OK);
    test_err("leave", voice_state_leave(&t->z, GUILD, ANNA), VOICE_OK);

    t->next = voice_log_next(&t->z) - 1;
    ev = event(t, VOICE_LOG_STATE);
    test_num("flags", ev.state.flags, VOICE_SESSION_MUTE);

    /* in no channel, for all that ask */

    voice_guild_stats(&t->z, &st);
    test_num("states", st.states, 0);
    test_num("sticky", st.sticky, 1);
    test_num("flags", voice_state_sticky(&t->z, GUILD, ANNA),
             VOICE_SESSION_MUTE);
    test_num("others", voice_state_sticky(&t->z, GUILD, BEN), 0);
    test_err("get", voice_state_get(&t->z, GUILD, ANNA, &info),
             VOICE_E_NOT_FOUND);
    test_err("flags", voice_state_flags(&t->z, GUILD, ANNA, 0,
                                        VOICE_SESSION_MUTE, NULL),
             VOICE_E_NOT_FOUND);
    test_err("move", voice_state_move(&t->z, GUILD, ANNA, 21, 0),
             VOICE_E_NOT_FOUND);
    test_err("leave", voice_state_leave(&t->z, GUILD, ANNA),
             VOICE_E_NOT_FOUND);
    voice_state_list(&t->z, GUILD, &info, 1, &n);
    test_num("list", n, 0);
    test_num("count", voice_state_count(&t->z, GUILD, 0), 0);
    no_event(t);

    /* the session's end, another session, a token of a platform: still muted */

    voice_gateway_session_destroy(&t->z, &t->anna);
    no_event(t);

    id = voice(t, "another", ANNA, 20, VOICE_SESSION_VIDEO, false, VOICE_OK);
    test_num("platform's token", voice_flags(t, id), VOICE_SESSION_MUTE
             | VOICE_SESSION_VIDEO);

    joined(t, &t->twin, ANNA, 21, 0, VOICE_STATE_JOINED);
    ev = event(t, VOICE_LOG_STATE);
    test_num("rejoined", ev.state.flags, VOICE_SESSION_MUTE);
    test_num("old", ev.old_channel, 0);
    event(t, VOICE_LOG_SERVER);
    closed(t, id);

    id = voice(t, t->twin.session_id, ANNA, 21, 0, true, VOICE_OK);
    test_num("relay", voice_flags(t, id), VOICE_SESSION_MUTE);

    test_err("lifted", voice_state_flags(&t->z, GUILD, ANNA, 0,
                                         VOICE_SESSION_MUTE, NULL), VOICE_OK);
    test_num("relay", voice_flags(t, id), 0);
    test_err("leave", voice_state_leave(&t->z, GUILD, ANNA), VOICE_OK);

    voice_guild_stats(&t->z, &st);
    test_num("nothing kept", st.sticky + st.states + st.guilds, 0);
}


static void
test_flags(void **state)
{
    guild_t            *t = *state;
    uint64_t            request = 1700000000000;
    voice_id_t          id;
    voice_log_event_t   ev;

    test_err("not in voice", voice_state_flags(&t->z, GUILD, ANNA,
             VOICE_SESSION_MUTE, 0, NULL), VOICE_E_NOT_FOUND);

    joined(t, &t->anna, ANNA, 20, 0, VOICE_STATE_JOINED);
    id = voice(t, t->anna.session_id, ANNA, 20, VOICE_SESSION_VIDEO, true,
               VOICE_OK);
    select_live(t, id);
    t->next += 2;

    test_err("mute", voice_state_flags(&t->z, GUILD, ANNA,
             VOICE_SESSION_MUTE, 0, NULL), VOICE_OK);
    ev = event(t, VOICE_LOG_MEMBER);
    test_num("member", ev.state.flags, VOICE_SESSION_MUTE);
    test_num("member", ev.state.user_id, ANNA);
    ev = event(t, VOICE_LOG_STATE);
    test_num("state", ev.state.flags, VOICE_SESSION_MUTE);
    test_num("state", ev.gateway, 0);
    test_num("state", ev.owner, t->anna.id);
    no_event(t);
    test_num("relay", voice_flags(t, id), VOICE_SESSION_MUTE
             | VOICE_SESSION_VIDEO);

    test_err("the same", voice_state_flags(&t->z, GUILD, ANNA,
             VOICE_SESSION_MUTE | 0x40, VOICE_SESSION_DEAF, NULL), VOICE_OK);
    no_event(t);

    test_err("suppress", voice_state_flags(&t->z, GUILD, ANNA,
             VOICE_SESSION_SUPPRESS, 0, &request), VOICE_OK);
    ev = event(t, VOICE_LOG_STATE);
    test_num("request", ev.state.request_to_speak, (long long) request);
    no_event(t);
    test_num("relay", voice_flags(t, id), VOICE_SESSION_MUTE
             | VOICE_SESSION_SUPPRESS | VOICE_SESSION_VIDEO);

    request = 0;
    test_err("request", voice_state_flags(&t->z, GUILD, ANNA, 0, 0,
                                          &request), VOICE_OK);
    ev = event(t, VOICE_LOG_STATE);
    test_num("request", ev.state.request_to_speak, 0);
    no_event(t);

    /* both in one: set wins */

    test_err("both", voice_state_flags(&t->z, GUILD, ANNA,
             VOICE_SESSION_DEAF, VOICE_STATE_FLAGS, NULL), VOICE_OK);
    event(t, VOICE_LOG_MEMBER);
    ev = event(t, VOICE_LOG_STATE);
    test_num("both", ev.state.flags, VOICE_SESSION_DEAF);
    test_num("relay", voice_flags(t, id), VOICE_SESSION_DEAF
             | VOICE_SESSION_VIDEO);
}


static void
test_move(void **state)
{
    guild_t            *t = *state;
    uint64_t            request = 5;
    voice_id_t          id;
    voice_log_event_t   ev;

    test_err("not in voice", voice_state_move(&t->z, GUILD, ANNA, 21, 0),
             VOICE_E_NOT_FOUND);

    joined(t, &t->anna, ANNA, 20, VOICE_SESSION_SELF_MUTE,
           VOICE_STATE_JOINED);
    voice_state_flags(&t->z, GUILD, ANNA, VOICE_SESSION_DEAF, 0, &request);
    id = voice(t, t->anna.session_id, ANNA, 20, 0, true, VOICE_OK);
    select_live(t, id);
    t->next = voice_log_next(&t->z);

    test_err("channel 0", voice_state_move(&t->z, GUILD, ANNA, 0, 0),
             VOICE_E_RANGE);
    test_err("there already", voice_state_move(&t->z, GUILD, ANNA, 20,
             VOICE_SESSION_SUPPRESS),
             VOICE_OK);
    no_event(t);
    test_num("stays", voice_flags(t, id), VOICE_SESSION_DEAF
             | VOICE_SESSION_SELF_MUTE);

    test_err("move", voice_state_move(&t->z, GUILD, ANNA, 21,
             VOICE_SESSION_SUPPRESS),
             VOICE_OK);
    ev = event(t, VOICE_LOG_STATE);
    test_num("old", ev.old_channel, 20);
    test_num("channel", ev.state.channel_id, 21);
    test_num("request", ev.state.request_to_speak, 0);
    test_num("flags", ev.state.flags, VOICE_SESSION_SUPPRESS
             | VOICE_SESSION_DEAF | VOICE_SESSION_SELF_MUTE);
    assert_string_equal(ev.state.session_id, t->anna.session_id);
    ev = event(t, VOICE_LOG_SERVER);
    test_num("server", ev.gateway, t->anna.id);
    no_event(t);
    closed(t, id);

    test_err("back", voice_state_move(&t->z, GUILD, ANNA, 20, 0),
             VOICE_OK);
    ev = event(t, VOICE_LOG_STATE);
    test_num("flags", ev.state.flags, VOICE_SESSION_DEAF
             | VOICE_SESSION_SELF_MUTE);
}


/* Who was brought in may ask for a new token, and stays until it goes. */

static void
test_brought(void **state)
{
    guild_t  *t = *state;

    joined(t, &t->anna, ANNA, 20, 0, VOICE_STATE_JOINED);

    test_err("move", voice_state_move(&t->z, GUILD, ANNA, 21,
             VOICE_STATE_BROUGHT | VOICE_SESSION_DEAF), VOICE_OK);
    t->next = voice_log_next(&t->z) - 2;
    test_num("brought", event(t, VOICE_LOG_STATE).state.flags,
             VOICE_STATE_BROUGHT);

    joined(t, &t->anna, ANNA, 21, 0, VOICE_STATE_UNCHANGED);
    t->next = voice_log_next(&t->z) - 2;
    test_num("asks again", event(t, VOICE_LOG_STATE).state.flags,
             VOICE_STATE_BROUGHT);

    joined(t, &t->anna, ANNA, 21, VOICE_SESSION_SELF_MUTE,
           VOICE_STATE_CHANGED);
    voice_state_flags(&t->z, GUILD, ANNA, 0, VOICE_STATE_BROUGHT, NULL);
    t->next = voice_log_next(&t->z) - 2;
    test_num("mutes itself", event(t, VOICE_LOG_STATE).state.flags,
             VOICE_STATE_BROUGHT | VOICE_SESSION_SELF_MUTE);

    joined(t, &t->anna, ANNA, 20, VOICE_STATE_BROUGHT, VOICE_STATE_MOVED);
    t->next = voice_log_next(&t->z) - 2;
    test_num("goes, and can't say so itself",
             event(t, VOICE_LOG_STATE).state.flags, 0);
}


static void
test_user_limit(void **state)
{
    guild_t               *t = *state;
    voice_state_join_t     j = { .guild_id = GUILD, .channel_id = 20,
                                 .user_limit = 2, .session_id = "p" };
    voice_state_change_t   change;

    for (j.user_id = 100; j.user_id < 102; j.user_id++) {
        test_err("room", voice_state_join(&t->z, &j, &change), VOICE_OK);
    }

    t->next = voice_log_next(&t->z);
    test_err("full", voice_state_join(&t->z, &j, &change), VOICE_E_FULL);
    no_event(t);

    j.user_id = 100;
    j.flags = VOICE_SESSION_SELF_MUTE;
    test_err("who is in it", voice_state_join(&t->z, &j, &change), VOICE_OK);
    test_num("who is in it", change, VOICE_STATE_CHANGED);

    j.session_id = "q";
    test_err("by another session", voice_state_join(&t->z, &j, &change),
             VOICE_OK);
    test_num("by another session", change, VOICE_STATE_JOINED);
    test_num("count", voice_state_count(&t->z, GUILD, 20), 2);

    j.user_id = 103;
    j.channel_id = 21;
    test_err("another channel", voice_state_join(&t->z, &j, &change),
             VOICE_OK);

    j.channel_id = 20;
    test_err("move into it", voice_state_join(&t->z, &j, &change),
             VOICE_E_FULL);
    test_num("stays", voice_state_count(&t->z, GUILD, 21), 1);

    j.user_limit = 0;
    test_err("no limit", voice_state_join(&t->z, &j, &change), VOICE_OK);

    /* one more for whom a moderator makes room, none for who has left */

    j.user_limit = 3;
    test_err("leave", voice_state_flags(&t->z, GUILD, 103,
                                        VOICE_SESSION_MUTE, 0, NULL),
             VOICE_OK);
    test_err("leave", voice_state_leave(&t->z, GUILD, 103), VOICE_OK);
    test_num("count", voice_state_count(&t->z, GUILD, 20), 2);
    j.user_id = 104;
    test_err("room again", voice_state_join(&t->z, &j, &change), VOICE_OK);

    /* the same number of another guild */

    j.guild_id++;
    j.user_limit = 1;
    test_err("another guild", voice_state_join(&t->z, &j, &change),
             VOICE_OK);
}


static void
test_slots(void **state)
{
    guild_t               *t = *state;
    size_t                 n;
    voice_state_join_t     j = { .channel_id = 20, .user_id = 9,
                                 .session_id = "p" };
    voice_guild_stats_t    st;
    voice_state_info_t     list[4];
    voice_state_change_t   change;

    for (j.guild_id = 1; j.guild_id <= SESSIONS; j.guild_id++) {
        test_err("slot", voice_state_join(&t->z, &j, &change), VOICE_OK);
    }

    t->next = voice_log_next(&t->z);
    test_err("none left", voice_state_join(&t->z, &j, &change),
             VOICE_E_NOMEM);
    no_event(t);

    voice_guild_stats(&t->z, &st);
    test_num("guilds", st.guilds, SESSIONS);
    test_num("states", st.states, SESSIONS);

    j.guild_id = 5;
    j.channel_id = 21;
    test_err("who has one", voice_state_join(&t->z, &j, &change), VOICE_OK);

    test_err("leave", voice_state_leave(&t->z, 7, 9), VOICE_OK);

    j.guild_id = 5;
    j.user_id = 10;
    test_err("slot again", voice_state_join(&t->z, &j, &change), VOICE_OK);

    voice_state_list(&t->z, 5, list, 1, &n);
    test_num("list", n, 2);
    voice_state_list(&t->z, 5, list, 4, &n);
    test_num("list", n, 2);
    test_num("list", list[0].user_id + list[1].user_id, 19);
    voice_state_list(&t->z, 7, list, 4, &n);
    test_num("list", n, 0);

    voice_guild_stats(&t->z, &st);
    test_num("guilds", st.guilds, SESSIONS - 1);
}


static void
test_admit(void **state)
{
    guild_t            *t = *state;
    voice_id_t          id;
    const char         *sid = t->anna.session_id;
    voice_state_info_t  info;

    test_err("none", voice_state_admit(&t->z, GUILD, ANNA, 20, sid, &info),
             VOICE_E_NOT_FOUND);
    voice(t, sid, ANNA, 20, 0, true, VOICE_E_STALE);

    joined(t, &t->anna, ANNA, 20, VOICE_SESSION_SELF_MUTE,
           VOICE_STATE_JOINED);

    memset(&info, 0, sizeof(info));
    test_err("admitted", voice_state_admit(&t->z, GUILD, ANNA, 20, sid,
                                           &info), VOICE_OK);
    test_num("admitted", info.flags, VOICE_SESSION_SELF_MUTE);

    memset(&info, 0, sizeof(info));
    test_err("channel", voice_state_admit(&t->z, GUILD, ANNA, 21, sid,
                                          &info), VOICE_E_STALE);
    test_num("channel", info.channel_id, 20);
    test_err("session", voice_state_admit(&t->z, GUILD, ANNA, 20, "x",
                                          &info), VOICE_E_STALE);
    test_err("user", voice_state_admit(&t->z, GUILD, BEN, 20, sid, &info),
             VOICE_E_NOT_FOUND);

    /* what a moderator said since the token was made, either way */

    voice_state_flags(&t->z, GUILD, ANNA, VOICE_SESSION_DEAF, 0, NULL);
    id = voice(t, sid, ANNA, 20, VOICE_SESSION_SUPPRESS | VOICE_SESSION_VIDEO,
               true, VOICE_OK);
    test_num("flags", voice_flags(t, id), VOICE_SESSION_DEAF
             | VOICE_SESSION_SELF_MUTE | VOICE_SESSION_VIDEO);

    /* moved between admit and create: not even the former session suffers */

    voice(t, sid, ANNA, 21, 0, true, VOICE_E_STALE);
    voice(t, "x", ANNA, 20, 0, true, VOICE_E_STALE);
    test_num("stays", voice_flags(t, id), VOICE_SESSION_DEAF
             | VOICE_SESSION_SELF_MUTE | VOICE_SESSION_VIDEO);

    test_err("leave", voice_state_leave(&t->z, GUILD, ANNA), VOICE_OK);
    closed(t, id);
    test_err("left", voice_state_admit(&t->z, GUILD, ANNA, 20, sid, &info),
             VOICE_E_NOT_FOUND);
    voice(t, sid, ANNA, 20, 0, true, VOICE_E_STALE);
}


/* What the relay's fan-out has of a room. */

static size_t
receivers(guild_t *t, voice_id_t id)
{
    size_t         n;
    uint32_t       gen;
    uint64_t       version;
    voice_route_t  list[8];

    test_err("copy", voice_route_copy(&t->z, voice_id_index(
                         voice_session_get(&t->z, id)->room), list, 8, &n,
                         &version, &gen), VOICE_OK);
    return n;
}


static void
test_relay(void **state)
{
    guild_t      *t = *state;
    voice_id_t    anna, ben;
    voice_cut_t   cut;

    joined(t, &t->anna, ANNA, 20, 0, VOICE_STATE_JOINED);
    joined(t, &t->ben, BEN, 20, 0, VOICE_STATE_JOINED);
    anna = voice(t, t->anna.session_id, ANNA, 20, 0, true, VOICE_OK);
    ben = voice(t, t->ben.session_id, BEN, 20, 0, true, VOICE_OK);
    select_live(t, anna);
    select_live(t, ben);

    test_num("both", receivers(t, anna), 2);

    joined(t, &t->ben, BEN, 20, VOICE_SESSION_SELF_DEAF, VOICE_STATE_CHANGED);
    test_num("self deaf", receivers(t, anna), 1);

    joined(t, &t->ben, BEN, 20, 0, VOICE_STATE_CHANGED);
    test_num("both", receivers(t, anna), 2);

    voice_state_flags(&t->z, GUILD, BEN, VOICE_SESSION_DEAF, 0, NULL);
    test_num("deaf", receivers(t, anna), 1);
    voice_state_flags(&t->z, GUILD, BEN, 0, VOICE_SESSION_DEAF, NULL);

    /* the room is owed the silence of who is muted in the middle of a word */

    test_err("no cut", voice_zone_cut_take(&t->z, &cut), VOICE_E_NOT_FOUND);
    voice_session_get(&t->z, ben)->talking = 1;
    voice_state_flags(&t->z, GUILD, BEN, VOICE_SESSION_MUTE, 0, NULL);
    test_err("cut", voice_zone_cut_take(&t->z, &cut), VOICE_OK);
    test_num("cut", cut.session, voice_id_index(ben));

    voice_session_get(&t->z, anna)->talking = 1;
    test_err("leave", voice_state_leave(&t->z, GUILD, ANNA), VOICE_OK);
    test_err("cut", voice_zone_cut_take(&t->z, &cut), VOICE_OK);
    test_num("one left", receivers(t, ben), 1);

    closed(t, anna);
}


/* A detached voice session is freed at once: nobody is there to be told. */

static void
test_detached_voice(void **state)
{
    guild_t     *t = *state;
    voice_id_t   id;

    joined(t, &t->anna, ANNA, 20, 0, VOICE_STATE_JOINED);
    id = voice(t, t->anna.session_id, ANNA, 20, 0, true, VOICE_OK);
    select_live(t, id);
    voice_session_detach(&t->z, id, 1, 10, 1000);

    test_err("move", voice_state_move(&t->z, GUILD, ANNA, 21, 0),
             VOICE_OK);
    assert_null(voice_session_get(&t->z, id));
}


/* The end of a gateway session ends the voice sessions of all its guilds. */

static void
test_session_ends(void **state)
{
    guild_t             *t = *state;
    unsigned             i;
    voice_id_t           id[3];
    voice_state_join_t   j = { .channel_id = 20, .user_id = ANNA,
                               .gateway = t->anna.id };
    voice_state_change_t   change;
    bool                   replaced;
    uint32_t               attach;
    voice_session_conf_t   c = { .user_id = ANNA, .channel_id = 20,
                                 .session_id = t->anna.session_id,
                                 .version = 8, .admitted = true };

    for (i = 0; i < 3; i++) {
        j.guild_id = c.guild_id = GUILD + i;
        test_err("join", voice_state_join(&t->z, &j, &change), VOICE_OK);
        test_err("voice", voice_session_create(&t->z, &c, 10, &id[i],
                                               &attach, &replaced), VOICE_OK);
    }

    voice_gateway_session_detach(&t->z, &t->anna, 100, 1000);
    test_num("voice goes on", voice_flags(t, id[0]), 0);

    test_num("expire", voice_gateway_session_expire(&t->z, 1100), 1);

    for (i = 0; i < 3; i++) {
        closed(t, id[i]);
    }
}


int
main(void)
{
#define test(name)  cmocka_unit_test_setup_teardown(name, setup, teardown)

    const struct CMUnitTest  tests[] = {
        test(test_join),
        test(test_join_errors),
        test(test_join_again),
        test(test_platform),
        test(test_join_moves),
        test(test_displaced),
        test(test_leave),
        test(test_sticky),
        test(test_flags),
        test(test_move),
        test(test_brought),
        test(test_user_limit),
        test(test_slots),
        test(test_admit),
        test(test_relay),
        test(test_detached_voice),
        test(test_session_ends),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
