/*
 * Copyright (C) ngx-voice contributors
 *
 * Voice states of other nodes: whom a node is believed, what moderators order
 * each other, syncs, digests; fences of guilds; who is told of a server.
 */


#include "test_util.h"
#include "log_next.h"
#include "voice_guild_internal.h"
#include "voice_peer.h"
#include "zone_ops.h"


#define SESSIONS  64

#define GUILD     10
#define ROOM      20
#define STUDIO    21
#define ANNA      1
#define BEN       2
#define CARL      3


typedef struct {
    voice_zone_t              z;
    void                     *mem;
    uint64_t                  next;      /* of the log, not looked at yet */
    uint32_t                  ams;       /* two other nodes */
    uint32_t                  ber;
    voice_gateway_session_t   anna;
} peers_t;


static int
setup(void **state)
{
    size_t          size = voice_zone_size(SESSIONS);
    uint8_t         token[VOICE_TOKEN_HASH_LEN] = { 1 };
    uint64_t        seq;
    static peers_t  t;

    memset(&t, 0, sizeof(t));
    t.mem = zone_memory(size);
    t.next = 1;

    test_err("zone", voice_zone_format(&t.z, t.mem, size, SESSIONS, "node"),
             VOICE_OK);
    voice_worker_register(&t.z, 3, 100, "w", 1, 1000);

    test_err("create", voice_gateway_session_create(&t.z, ANNA, token, 10,
                                                    &t.anna), VOICE_OK);
    test_err("ams", voice_peer_meet(&t.z, "ams", "b1", 5, &t.ams, &seq),
             VOICE_OK);
    test_err("ber", voice_peer_meet(&t.z, "ber", "b2", 5, &t.ber, &seq),
             VOICE_OK);

    *state = &t;

    return 0;
}


static int
teardown(void **state)
{
    char      text[256];
    peers_t  *t = *state;

    if (voice_zone_verify(&t->z, text, sizeof(text)) != 0) {
        fail_msg("%s", text);
    }

    munmap(t->mem, voice_zone_size(SESSIONS));

    return 0;
}


static voice_state_info_t
state_of(uint64_t user, uint64_t channel, uint32_t flags)
{
    voice_state_info_t  info = { .guild_id = GUILD, .channel_id = channel,
                                 .user_id = user, .flags = flags,
                                 .session_id = "far" };

    return info;
}


static void
says(peers_t *t, uint32_t peer, uint64_t user, uint64_t channel,
    uint32_t flags, voice_err_t expected)
{
    voice_state_info_t  info = state_of(user, channel, flags);

    test_err("state", voice_peer_state(&t->z, peer, &info), expected);
}


/* The same by a node that knows of so many of a user's sessions before. */

static void
claims(peers_t *t, uint32_t peer, uint64_t user, uint64_t channel,
    uint32_t flags, uint32_t claim, voice_err_t expected)
{
    voice_state_info_t  info = state_of(user, channel, flags);

    info.claim = claim;
    test_err("state", voice_peer_state(&t->z, peer, &info), expected);
}


static void
here(peers_t *t, uint64_t server)
{
    voice_state_join_t    j = { .guild_id = GUILD, .channel_id = ROOM,
                                .user_id = ANNA, .server = server };
    voice_state_change_t  change;

    j.gateway = t->anna.id;

    test_err("join", voice_state_join(&t->z, &j, &change), VOICE_OK);
}


static voice_log_event_t
event(peers_t *t, voice_log_type_t type)
{
    return log_event(&t->z, &t->next, type);
}


static void
no_event(peers_t *t)
{
    log_no_event(&t->z, t->next);
}


static void
is(peers_t *t, uint64_t user, uint64_t channel, uint32_t flags, uint32_t peer)
{
    voice_state_info_t  info;

    test_err("get", voice_state_get(&t->z, GUILD, user, &info), VOICE_OK);
    test_num("channel", info.channel_id, channel);
    test_num("flags", info.flags, flags);
    test_num("peer", info.peer, peer);
}


static void
is_out(peers_t *t, uint64_t user)
{
    voice_state_info_t  info;

    test_err("get", voice_state_get(&t->z, GUILD, user, &info),
             VOICE_E_NOT_FOUND);
}


static void
test_peer_state_is_told_once(void **state)
{
    peers_t            *t = *state;
    voice_log_event_t   ev;

    says(t, t->ams, BEN, ROOM, VOICE_SESSION_SELF_MUTE, VOICE_OK);

    ev = event(t, VOICE_LOG_STATE);
    test_num("peer", ev.state.peer, t->ams);
    test_num("order", ev.order, 0);
    test_num("old channel", ev.old_channel, 0);
    is(t, BEN, ROOM, VOICE_SESSION_SELF_MUTE, t->ams);

    says(t, t->ams, BEN, ROOM, VOICE_SESSION_SELF_MUTE, VOICE_OK);
    no_event(t);

    says(t, t->ams, BEN, STUDIO, VOICE_SESSION_MUTE, VOICE_OK);
    event(t, VOICE_LOG_MEMBER);
    ev = event(t, VOICE_LOG_STATE);
    test_num("old channel", ev.old_channel, ROOM);

    /* the flag stays with the user */

    says(t, t->ams, BEN, 0, VOICE_SESSION_MUTE, VOICE_OK);
    event(t, VOICE_LOG_STATE);
    is_out(t, BEN);
    test_num("sticky", voice_state_sticky(&t->z, GUILD, BEN),
             VOICE_SESSION_MUTE);
}


static void
test_peer_is_believed_about_its_own(void **state)
{
    peers_t  *t = *state;

    here(t, 0);
    event(t, VOICE_LOG_STATE);
    event(t, VOICE_LOG_SERVER);

    says(t, t->ams, ANNA, STUDIO, 0, VOICE_E_AUTH);
    claims(t, t->ams, ANNA, 0, 0, 1, VOICE_E_AUTH);
    is(t, ANNA, ROOM, 0, 0);

    says(t, t->ber, BEN, ROOM, 0, VOICE_OK);
    says(t, t->ams, BEN, ROOM, VOICE_SESSION_MUTE, VOICE_E_AUTH);
    says(t, t->ams, BEN, 0, 0, VOICE_E_AUTH);
    is(t, BEN, ROOM, 0, t->ber);

    /* of a node that is gone others may have the users */

    voice_peer_alive(&t->z, t->ber, false, 100);
    says(t, t->ams, BEN, 0, 0, VOICE_OK);
    is(t, BEN, ROOM, 0, t->ber);
    says(t, t->ams, BEN, STUDIO, 0, VOICE_OK);
    is(t, BEN, STUDIO, 0, t->ams);
}


/* Who has lost its gateway is another node's user at once. */

static void
test_peer_user_comes_elsewhere(void **state)
{
    peers_t            *t = *state;
    voice_log_event_t   ev;

    claims(t, t->ams, BEN, ROOM, 0, 1, VOICE_OK);
    event(t, VOICE_LOG_STATE);
    claims(t, t->ber, BEN, ROOM, 0, 2, VOICE_OK);
    ev = event(t, VOICE_LOG_STATE);
    test_num("peer", ev.state.peer, t->ber);
    test_num("old channel", ev.old_channel, ROOM);

    /* what the former says late, or when it is back, is over */

    claims(t, t->ams, BEN, STUDIO, 0, 1, VOICE_E_AUTH);
    claims(t, t->ams, BEN, 0, 0, 1, VOICE_OK);
    is(t, BEN, ROOM, 0, t->ber);
    no_event(t);

    /* both at once: the same one for all, whoever is heard first */

    claims(t, t->ams, CARL, ROOM, 0, 1, VOICE_OK);
    claims(t, t->ber, CARL, STUDIO, 0, 1, VOICE_OK);
    is(t, CARL, STUDIO, 0, t->ber);
    claims(t, t->ams, CARL, ROOM, 0, 1, VOICE_E_AUTH);
    is(t, CARL, STUDIO, 0, t->ber);

    /* from us, and to us */

    here(t, 0);
    claims(t, t->ber, ANNA, STUDIO, 0, 2, VOICE_OK);
    is(t, ANNA, STUDIO, 0, t->ber);
    here(t, 0);
    is(t, ANNA, ROOM, 0, 0);
    claims(t, t->ber, ANNA, STUDIO, 0, 2, VOICE_E_AUTH);
    claims(t, t->ber, ANNA, STUDIO, 0, VOICE_STATE_CLAIM_MAX, VOICE_OK);
    here(t, 0);
    is(t, ANNA, ROOM, 0, 0);
}


/* Of two sessions at once, one of them ours, both nodes take the same one. */

static void
test_peer_claims_at_once(void **state)
{
    bool      low;
    uint32_t  peer;
    uint64_t  seq;
    peers_t  *t = *state;

    for (low = false; /* void */ ; low = true) {
        test_err("meet", voice_peer_meet(&t->z, "cdg", low ? "0" : "g", 5,
                                         &peer, &seq), VOICE_OK);
        here(t, 0);
        claims(t, peer, ANNA, STUDIO, 0, 1,
               low ? VOICE_E_AUTH : VOICE_OK);
        is(t, ANNA, low ? ROOM : STUDIO, 0, low ? 0 : peer);

        if (low) {
            break;
        }

        claims(t, peer, ANNA, 0, 0, 1, VOICE_OK);
        is_out(t, ANNA);
    }
}


static void
test_peer_bad_states(void **state)
{
    peers_t             *t = *state;
    voice_state_info_t   info;

    says(t, t->ams, 0, ROOM, 0, VOICE_E_RANGE);
    says(t, t->ams, BEN, ROOM, 1u << 31, VOICE_E_RANGE);
    claims(t, t->ams, BEN, ROOM, 0, VOICE_STATE_CLAIM_MAX + 1u,
           VOICE_E_RANGE);
    says(t, 0, BEN, ROOM, 0, VOICE_E_RANGE);
    says(t, t->ber + 1, BEN, ROOM, 0, VOICE_E_RANGE);

    info = state_of(BEN, ROOM, 0);
    info.session_id[0] = '\0';
    test_err("no session", voice_peer_state(&t->z, t->ams, &info),
             VOICE_E_RANGE);

    info = state_of(BEN, ROOM, 0);
    info.guild_id = 0;
    test_err("no guild", voice_peer_state(&t->z, t->ams, &info),
             VOICE_E_RANGE);

    no_event(t);
}


static void
test_peer_states_fill_the_zone(void **state)
{
    uint64_t  user;
    peers_t  *t = *state;

    for (user = 100; user < 100 + SESSIONS; user++) {
        says(t, t->ams, user, ROOM, 0, VOICE_OK);
    }

    says(t, t->ams, user, ROOM, 0, VOICE_E_NOMEM);
    says(t, t->ams, 100, 0, 0, VOICE_OK);
    says(t, t->ams, user, ROOM, 0, VOICE_OK);
}


/* A moderator here, the user there. */

static void
test_peer_orders_go_out(void **state)
{
    peers_t            *t = *state;
    voice_log_event_t   ev;

    says(t, t->ams, BEN, ROOM, 0, VOICE_OK);
    event(t, VOICE_LOG_STATE);

    test_err("flags", voice_state_flags(&t->z, GUILD, BEN, VOICE_SESSION_MUTE,
                                        0, NULL), VOICE_OK);
    ev = event(t, VOICE_LOG_MEMBER);
    test_num("order", ev.order, 0);
    ev = event(t, VOICE_LOG_STATE);
    test_num("order", ev.order, t->ams);
    test_num("peer", ev.state.peer, t->ams);
    is(t, BEN, ROOM, VOICE_SESSION_MUTE, t->ams);

    test_err("leave", voice_state_leave(&t->z, GUILD, BEN), VOICE_OK);
    ev = event(t, VOICE_LOG_STATE);
    test_num("order", ev.order, t->ams);
    test_num("channel", ev.state.channel_id, 0);
    no_event(t);
}


/* The user comes in by a gateway of ours. */

static void
test_peer_user_comes_here(void **state)
{
    peers_t            *t = *state;
    voice_log_event_t   ev;

    says(t, t->ams, ANNA, STUDIO, 0, VOICE_OK);
    event(t, VOICE_LOG_STATE);

    here(t, 7);
    ev = event(t, VOICE_LOG_STATE);
    test_num("peer", ev.state.peer, 0);
    test_num("claim", ev.state.claim, 1);
    ev = event(t, VOICE_LOG_SERVER);
    test_num("server", ev.server, 7);
    is(t, ANNA, ROOM, 0, 0);
}


static void
test_peer_orders_come_in(void **state)
{
    peers_t             *t = *state;
    voice_log_event_t    ev;
    voice_state_info_t   info;

    info = state_of(ANNA, 0, 0);
    test_err("nobody", voice_peer_order(&t->z, &info), VOICE_E_NOT_FOUND);

    here(t, 7);
    event(t, VOICE_LOG_STATE);
    event(t, VOICE_LOG_SERVER);

    info = state_of(ANNA, ROOM, VOICE_SESSION_MUTE);
    test_err("another session", voice_peer_order(&t->z, &info),
             VOICE_E_NOT_FOUND);

    strcpy(info.session_id, t->anna.session_id);
    info.flags |= VOICE_SESSION_SELF_DEAF;      /* not a moderator's */
    test_err("mute", voice_peer_order(&t->z, &info), VOICE_OK);
    event(t, VOICE_LOG_MEMBER);
    ev = event(t, VOICE_LOG_STATE);
    test_num("order", ev.order, 0);
    is(t, ANNA, ROOM, VOICE_SESSION_MUTE, 0);

    info.channel_id = STUDIO;
    test_err("move", voice_peer_order(&t->z, &info), VOICE_OK);
    ev = event(t, VOICE_LOG_STATE);
    test_num("old channel", ev.old_channel, ROOM);
    ev = event(t, VOICE_LOG_SERVER);
    test_num("server", ev.server, 7);
    test_num("channel", ev.state.channel_id, STUDIO);

    info.channel_id = 0;
    test_err("out", voice_peer_order(&t->z, &info), VOICE_OK);
    event(t, VOICE_LOG_STATE);
    is_out(t, ANNA);
    no_event(t);

    says(t, t->ams, BEN, ROOM, 0, VOICE_OK);
    info = state_of(BEN, 0, 0);
    test_err("theirs", voice_peer_order(&t->z, &info), VOICE_E_NOT_FOUND);
}


static void
test_peer_sync_ends_the_rest(void **state)
{
    uint32_t              slot, peer, n;
    uint64_t              seq, ours, theirs;
    peers_t              *t = *state;
    voice_peer_record_t   record;

    says(t, t->ams, BEN, ROOM, 0, VOICE_OK);
    says(t, t->ams, CARL, ROOM, 0, VOICE_OK);
    says(t, t->ber, 4, ROOM, 0, VOICE_OK);
    here(t, 0);

    voice_peer_sync_begin(&t->z, t->ams, 17);
    says(t, t->ams, CARL, ROOM, 0, VOICE_OK);
    test_num("ended", voice_peer_sync_done(&t->z, t->ams), 1);

    is_out(t, BEN);
    is(t, CARL, ROOM, 0, t->ams);
    is(t, 4, ROOM, 0, t->ber);
    is(t, ANNA, ROOM, 0, 0);

    slot = t->ams - 1;
    test_err("next", voice_peer_next(&t->z, &slot, &peer, &record), VOICE_OK);
    test_num("peer", peer, t->ams);
    test_num("seq", record.seq, 17);

    test_num("target", record.target, 0);

    /* one of before, which somebody repeats */

    voice_peer_advance(&t->z, t->ams, 19);
    voice_peer_sync_begin(&t->z, t->ams, 18);
    slot = t->ams - 1;
    test_err("next", voice_peer_next(&t->z, &slot, &peer, &record), VOICE_OK);
    test_num("target", record.target, 0);
    test_num("ended", voice_peer_sync_done(&t->z, t->ams), 0);
    slot = t->ams - 1;
    test_err("next", voice_peer_next(&t->z, &slot, &peer, &record), VOICE_OK);
    test_num("seq", record.seq, 19);

    /* what differs shows */

    voice_peer_digest(&t->z, t->ams, &theirs, &n);
    test_num("count", n, 1);
    says(t, t->ams, CARL, ROOM, VOICE_SESSION_SELF_MUTE, VOICE_OK);
    voice_peer_digest(&t->z, t->ams, &ours, &n);
    test_num("differs", ours != theirs, 1);
    says(t, t->ams, CARL, ROOM, 0, VOICE_OK);
    voice_peer_digest(&t->z, t->ams, &ours, &n);
    test_num("is the same", ours == theirs, 1);

    /* of a node that was started anew the former states are kept */

    test_err("meet", voice_peer_meet(&t->z, "ams", "b9", 9, &peer, &seq),
             VOICE_OK);
    test_num("another", peer != t->ams, 1);
    test_num("seq", seq, 0);
    voice_peer_sync_begin(&t->z, peer, 1);
    test_num("ended", voice_peer_sync_done(&t->z, peer), 0);
    is(t, CARL, ROOM, 0, t->ams);
}


static void
test_peer_flags_of_the_absent(void **state)
{
    size_t               n;
    uint32_t             slot, count, peer;
    uint64_t             seq, empty, one, two;
    peers_t             *t = *state;
    voice_state_info_t   list[8];

    voice_peer_digest(&t->z, 0, &empty, &count);
    claims(t, t->ams, BEN, 0, VOICE_SESSION_MUTE, 1, VOICE_OK);

    /* all nodes have to have them, whoever tells of them */

    voice_peer_digest(&t->z, 0, &one, &count);
    test_num("differs", one != empty, 1);
    test_num("count", count, 1);
    voice_peer_digest(&t->z, t->ber, &two, &count);
    test_num("the same", one == two, 1);

    slot = 0;
    voice_peer_own(&t->z, &slot, list, 8, &n);
    test_num("ams tells of them", n, 0);

    test_err("meet", voice_peer_meet(&t->z, "ams", "b9", 9, &peer, &seq),
             VOICE_OK);
    (void) voice_peer_alive(&t->z, t->ams, false, 10);

    slot = 0;
    voice_peer_own(&t->z, &slot, list, 8, &n);
    test_num("so do we now", n, 1);
    test_num("user", list[0].user_id, BEN);
    test_num("flags", list[0].flags, VOICE_SESSION_MUTE);
    voice_peer_digest(&t->z, 0, &two, &count);
    test_num("the same", one == two, 1);

    /* its gateway did not know of them yet */

    claims(t, peer, BEN, ROOM, 0, 1, VOICE_OK);
    is(t, BEN, ROOM, VOICE_SESSION_MUTE, peer);
    claims(t, peer, BEN, ROOM, VOICE_SESSION_MUTE, 2, VOICE_OK);
    claims(t, t->ber, BEN, 0, VOICE_SESSION_MUTE, 1, VOICE_OK);
    claims(t, peer, BEN, ROOM, 0, 2, VOICE_OK);
    is(t, BEN, ROOM, 0, peer);

    /* of a sync that names them no more they are over */

    claims(t, t->ber, CARL, 0, VOICE_SESSION_DEAF, 1, VOICE_OK);
    voice_peer_sync_begin(&t->z, t->ber, 17);
    test_num("ended", voice_peer_sync_done(&t->z, t->ber), 1);
    test_num("flags", voice_state_sticky(&t->z, GUILD, CARL), 0);
}


/* A muted user comes back by a node that began anew with nothing. */

static void
test_peer_is_told_of_flags(void **state)
{
    uint32_t            peer;
    uint64_t            seq;
    peers_t            *t = *state;
    voice_log_event_t   ev;

    claims(t, t->ams, BEN, ROOM, VOICE_SESSION_MUTE, 1, VOICE_OK);
    event(t, VOICE_LOG_MEMBER);
    event(t, VOICE_LOG_STATE);

    test_err("meet", voice_peer_meet(&t->z, "ams", "b9", 9, &peer, &seq),
             VOICE_OK);
    (void) voice_peer_alive(&t->z, t->ams, false, 10);

    claims(t, peer, BEN, ROOM, 0, 1, VOICE_OK);
    ev = event(t, VOICE_LOG_STATE);
    test_num("order", ev.order, peer);
    is(t, BEN, ROOM, VOICE_SESSION_MUTE, peer);

    /* by now it knows, and may say otherwise */

    claims(t, peer, BEN, ROOM, VOICE_SESSION_MUTE, 1, VOICE_OK);
    no_event(t);
    claims(t, peer, BEN, ROOM, 0, 1, VOICE_OK);
    event(t, VOICE_LOG_MEMBER);
    ev = event(t, VOICE_LOG_STATE);
    test_num("order", ev.order, 0);
    is(t, BEN, ROOM, 0, peer);
}


static void
test_peer_flags_come_late(void **state)
{
    peers_t            *t = *state;
    voice_log_event_t   ev;

    here(t, 7);
    event(t, VOICE_LOG_STATE);
    event(t, VOICE_LOG_SERVER);

    claims(t, t->ams, ANNA, 0, VOICE_SESSION_MUTE, 5, VOICE_OK);
    event(t, VOICE_LOG_MEMBER);
    ev = event(t, VOICE_LOG_STATE);
    test_num("claim", ev.state.claim, 6);
    test_num("ours", ev.owner == t->anna.id, 1);
    is(t, ANNA, ROOM, VOICE_SESSION_MUTE, 0);

    /* once only */

    test_err("flags", voice_state_flags(&t->z, GUILD, ANNA, 0,
                                        VOICE_SESSION_MUTE, NULL), VOICE_OK);
    claims(t, t->ber, ANNA, 0, VOICE_SESSION_MUTE, 5, VOICE_OK);
    is(t, ANNA, ROOM, 0, 0);
}


static void
test_peer_that_is_gone(void **state)
{
    peers_t  *t = *state;

    says(t, t->ams, BEN, ROOM, VOICE_SESSION_DEAF, VOICE_OK);

    test_num("alive", voice_peer_alive(&t->z, t->ams, true, 10), 0);
    test_num("gone", voice_peer_alive(&t->z, t->ams, false, 1000), 0);
    test_num("soon", voice_peer_alive(&t->z, t->ams, false,
                                      1000 + VOICE_PEER_KEEP), 0);
    test_num("back", voice_peer_alive(&t->z, t->ams, true, 70000), 0);
    test_num("gone", voice_peer_alive(&t->z, t->ams, false, 80000), 0);
    is(t, BEN, ROOM, VOICE_SESSION_DEAF, t->ams);

    test_num("over", voice_peer_alive(&t->z, t->ams, false,
                                      80001 + VOICE_PEER_KEEP), 1);
    is_out(t, BEN);

    /* not looked at again with each call */

    says(t, t->ams, BEN, ROOM, VOICE_SESSION_DEAF, VOICE_OK);
    test_num("late", voice_peer_alive(&t->z, t->ams, false,
                                      80002 + VOICE_PEER_KEEP), 0);
    test_num("over", voice_peer_alive(&t->z, t->ams, false,
                                      80002 + 2 * VOICE_PEER_KEEP), 1);
    is_out(t, BEN);
}


static void
test_peer_own_states(void **state)
{
    size_t               n;
    uint32_t             slot;
    peers_t             *t = *state;
    voice_state_info_t   list[8];

    says(t, t->ams, BEN, ROOM, 0, VOICE_OK);
    here(t, 0);

    slot = 0;
    voice_peer_own(&t->z, &slot, list, 8, &n);
    test_num("own", n, 1);
    test_num("user", list[0].user_id, ANNA);
}


static void
test_peer_names(void **state)
{
    char      name[VOICE_PEER_NAME_MAX + 1];
    uint32_t  peer;
    uint64_t  seq;
    peers_t  *t = *state;

    test_err("none", voice_peer_meet(&t->z, "", "b", 1, &peer, &seq),
             VOICE_E_LENGTH);
    test_err("long", voice_peer_meet(&t->z,
                                     "123456789012345678901234567890123", "b",
                                     1, &peer, &seq), VOICE_E_LENGTH);
    test_err("again", voice_peer_meet(&t->z, "ber", "b2", 1, &peer, &seq),
             VOICE_OK);
    test_num("the same", peer, t->ber);

    voice_peer_name(&t->z, t->ams, name);
    assert_string_equal(name, "ams");
    voice_peer_name(&t->z, 0, name);
    assert_string_equal(name, "");
}


/* Those who were told of another server are told, and nobody else. */

static void
test_server_is_told_once(void **state)
{
    peers_t            *t = *state;
    voice_log_event_t   ev;

    here(t, 7);
    event(t, VOICE_LOG_STATE);
    event(t, VOICE_LOG_SERVER);
    says(t, t->ams, BEN, ROOM, 0, VOICE_OK);
    event(t, VOICE_LOG_STATE);

    test_num("same", voice_state_server(&t->z, GUILD, 7), 0);
    test_num("other", voice_state_server(&t->z, GUILD, 8), 1);
    ev = event(t, VOICE_LOG_SERVER);
    test_num("gateway", ev.gateway == t->anna.id, 1);
    test_num("server", ev.server, 8);
    test_num("again", voice_state_server(&t->z, GUILD, 8), 0);
    no_event(t);

    /* a repair forgets nothing of it */

    voice_zone_lock(&t->z);
    voice_zone_repair(&t->z);
    voice_zone_unlock(&t->z);

    test_num("repaired", voice_state_server(&t->z, GUILD, 8), 0);
}


/* At another node nobody sees a voice websocket of ours. */

static void
test_server_is_not_told_for_flags(void **state)
{
    peers_t               *t = *state;
    voice_state_join_t     j = { .guild_id = GUILD, .channel_id = ROOM,
                                 .user_id = ANNA, .server = 7,
                                 .flags = VOICE_SESSION_SELF_MUTE };
    voice_state_change_t   change;

    here(t, 7);
    event(t, VOICE_LOG_STATE);
    event(t, VOICE_LOG_SERVER);

    j.gateway = t->anna.id;
    test_err("join", voice_state_join(&t->z, &j, &change), VOICE_OK);
    test_num("change", change, VOICE_STATE_CHANGED);
    event(t, VOICE_LOG_STATE);
    no_event(t);

    j.flags = 0;
    j.server = 8;
    test_err("join", voice_state_join(&t->z, &j, &change), VOICE_OK);
    event(t, VOICE_LOG_STATE);
    event(t, VOICE_LOG_SERVER);
}


static void
test_refused_join(void **state)
{
    peers_t            *t = *state;
    voice_log_event_t   ev;

    voice_state_refuse(&t->z, GUILD, ANNA, t->anna.id);
    ev = event(t, VOICE_LOG_STATE);
    test_num("gateway", ev.gateway == t->anna.id, 1);
    test_num("channel", ev.state.channel_id, 0);

    here(t, 7);
    event(t, VOICE_LOG_STATE);
    event(t, VOICE_LOG_SERVER);
    voice_state_refuse(&t->z, GUILD, ANNA, t->anna.id);
    no_event(t);
    is(t, ANNA, ROOM, 0, 0);
}


static void
test_users_of_a_guild(void **state)
{
    size_t    n;
    uint32_t  slot;
    uint64_t  guild;
    peers_t  *t = *state;

    test_num("none", voice_state_users(&t->z, GUILD, &n), 0);

    here(t, 0);
    says(t, t->ams, BEN, ROOM, 0, VOICE_OK);
    test_num("users", voice_state_users(&t->z, GUILD, &n), 2);
    test_num("here", n, 1);

    slot = 0;
    test_err("guild", voice_state_guild_next(&t->z, &slot, &guild), VOICE_OK);
    test_num("guild", guild, GUILD);
    test_err("end", voice_state_guild_next(&t->z, &slot, &guild),
             VOICE_E_NOT_FOUND);
}


static void
test_fence_rises(void **state)
{
    uint64_t  guild;
    peers_t  *t = *state;

    test_err("first", voice_fence_check(&t->z, GUILD, 5, 0), VOICE_OK);
    test_err("same", voice_fence_check(&t->z, GUILD, 5, 0), VOICE_OK);
    test_err("lower", voice_fence_check(&t->z, GUILD, 4, 0), VOICE_E_STALE);
    test_err("higher", voice_fence_check(&t->z, GUILD, 9, 0), VOICE_OK);
    test_err("lower", voice_fence_check(&t->z, GUILD, 5, 0), VOICE_E_STALE);
    test_err("another", voice_fence_check(&t->z, GUILD + 1, 1, 0), VOICE_OK);

    /* many later ones do push it out, but never let a false one in */

    for (guild = 1000; guild < 1000 + 64 * VOICE_FENCES; guild++) {
        test_err("many", voice_fence_check(&t->z, guild, guild, 0), VOICE_OK);
    }

    test_err("last", voice_fence_check(&t->z, guild - 1, guild - 2, 0),
             VOICE_E_STALE);
}


/* etcd has lost its data and counts from 1 again. */

static void
test_fence_follows_etcd(void **state)
{
    peers_t  *t = *state;

    test_err("before", voice_fence_check(&t->z, GUILD, 900, 900), VOICE_OK);
    test_err("not known yet", voice_fence_check(&t->z, GUILD, 7, 900),
             VOICE_E_STALE);
    test_err("present", voice_fence_check(&t->z, GUILD, 7, 7), VOICE_OK);
    test_err("of before it", voice_fence_check(&t->z, GUILD, 6, 7),
             VOICE_E_STALE);
    test_err("moved away and back", voice_fence_check(&t->z, GUILD, 12, 7),
             VOICE_OK);
    test_err("of before that", voice_fence_check(&t->z, GUILD, 7, 12),
             VOICE_E_STALE);
}


/* As it is left by one who is killed while making it. */

static void
test_peer_half_made(void **state)
{
    char      name[VOICE_PEER_NAME_MAX + 1];
    uint32_t  i, peer;
    uint64_t  seq;
    peers_t  *t = *state;

    t->z.header->peer[t->ams - 1].name[0] = '\0';

    test_err("ber", voice_peer_meet(&t->z, "ber", "b2", 5, &peer, &seq),
             VOICE_OK);
    test_num("stays", peer, t->ber);
    test_err("meet", voice_peer_meet(&t->z, "cdg", "b3", 5, &peer, &seq),
             VOICE_OK);
    test_num("its place", peer, t->ams);
    voice_peer_name(&t->z, peer, name);
    assert_string_equal(name, "cdg");

    for (i = t->z.header->peers_end; i < VOICE_PEERS_MAX; i++) {
        snprintf(name, sizeof(name), "n%u", i);
        test_err(name, voice_peer_meet(&t->z, name, "b", 5, &peer, &seq),
                 VOICE_OK);
        test_num(name, peer, i + 1);
    }

    test_err("full", voice_peer_meet(&t->z, "more", "b", 5, &peer, &seq),
             VOICE_E_FULL);

    t->z.header->peer[700].name[0] = '\0';
    test_err("one", voice_peer_meet(&t->z, "more", "b", 5, &peer, &seq),
             VOICE_OK);
    test_num("its place", peer, 701);

    /* of those that are gone one without states makes room */

    says(t, t->ber, BEN, ROOM, 0, VOICE_OK);
    (void) voice_peer_alive(&t->z, t->ber, false, 10);
    test_err("kept", voice_peer_meet(&t->z, "last", "b", 11, &peer, &seq),
             VOICE_E_FULL);
    (void) voice_peer_alive(&t->z, 33, false, 10);
    test_err("taken", voice_peer_meet(&t->z, "last", "b", 11, &peer, &seq),
             VOICE_OK);
    test_num("its place", peer, 33);
}


int
main(void)
{
#define test(name)  cmocka_unit_test_setup_teardown(name, setup, teardown)

    const struct CMUnitTest  tests[] = {
        test(test_peer_state_is_told_once),
        test(test_peer_is_believed_about_its_own),
        test(test_peer_user_comes_elsewhere),
        test(test_peer_claims_at_once),
        test(test_peer_bad_states),
        test(test_peer_states_fill_the_zone),
        test(test_peer_orders_go_out),
        test(test_peer_user_comes_here),
        test(test_peer_orders_come_in),
        test(test_peer_sync_ends_the_rest),
        test(test_peer_flags_of_the_absent),
        test(test_peer_is_told_of_flags),
        test(test_peer_flags_come_late),
        test(test_peer_that_is_gone),
        test(test_peer_own_states),
        test(test_peer_names),
        test(test_server_is_told_once),
        test(test_server_is_not_told_for_flags),
        test(test_refused_join),
        test(test_users_of_a_guild),
        test(test_fence_rises),
        test(test_fence_follows_etcd),
        test(test_peer_half_made)
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
