/*
 * Copyright (C) ngx-voice contributors
 *
 * The main gateway's messages and events, read again by another parser: each
 * key that a library needs ("Main gateway" 6.2, 6.3, 8, "Client libraries").
 */


#include "test_alloc.h"
#include "test_json_path.h"

#include "voice_gateway.h"
#include "voice_permission.h"

#include <stdio.h>


#define U64   "18446744073709551615"
#define SID   "0123456789abcdef0123456789abcdef"


static const char  text[] =
    "{\"id\":\"1000\",\"name\":\"G \\\"1\\\"\",\"owner_id\":\"501\","
    "\"region\":\"here\",\"afk_channel_id\":\"2000\",\"afk_timeout\":60,"
    "\"joined_at\":\"2020-01-01T00:00:00+00:00\","
    "\"roles\":[{\"id\":\"1000\",\"name\":\"@everyone\",\"permissions\":"
    "\"1024\"},{\"id\":\"1001\",\"name\":\"mod\",\"permissions\":"
    "\"9223372036854775807\",\"position\":3,\"color\":255,\"hoist\":true}],"
    "\"channels\":[{\"id\":\"2000\",\"name\":\"voice\",\"bitrate\":96000,"
    "\"user_limit\":5,\"parent_id\":\"2002\",\"rtc_region\":\"us\","
    "\"permission_overwrites\":[{\"id\":\"1001\",\"type\":0,\"allow\":"
    "\"1048576\",\"deny\":\"2\"},{\"id\":\"501\",\"type\":1}]},"
    "{\"id\":\"2001\",\"name\":\"stage\",\"type\":13},"
    "{\"id\":\"2002\",\"name\":\"cat\",\"type\":4},"
    "{\"id\":\"2003\",\"name\":\"text\",\"type\":0,\"topic\":\"t\"}],"
    "\"members\":[{\"user\":{\"id\":\"501\",\"username\":\"owner\"}},"
    "{\"user\":{\"id\":\"502\",\"username\":\"bot\",\"bot\":true,"
    "\"avatar\":\"av\",\"global_name\":\"B\"},\"roles\":[\"1001\"],"
    "\"nick\":\"n\",\"mute\":true,\"deaf\":true}]}";


static voice_dir_guild_t   *guild;
static voice_dir_member_t   stranger;


static int
setup_guild(void **state)
{
    voice_dir_error_t  error;

    (void) state;

    voice_dir_member_make(&stranger, UINT64_MAX, "stranger", false);

    return voice_dir_guild_parse(text, strlen(text), 0, NULL, &guild, &error)
           != VOICE_OK;
}


static int
teardown_guild(void **state)
{
    (void) state;

    voice_dir_guild_free(guild);

    return 0;
}


static void
is_json(voice_buf_t *b, const char *expected)
{
    json_t      *root;
    test_path_t  whole;

    whole.path = "";
    whole.json = expected;

    root = test_json_of(b);
    test_json_paths(root, &whole, 1);
    json_decref(root);
}


static void
gateway_messages(void **state)
{
    voice_buf_t  b;

    (void) state;

    voice_buf_growing(&b, NULL, 4096);

    voice_gateway_put_hello(&b, 41250, "gw-1");
    is_json(&b, "{\"op\":10,\"d\":{\"heartbeat_interval\":41250,\"_trace\":"
            "[\"gw-1\"]},\"s\":null,\"t\":null}");

    voice_gateway_put_hello(&b, UINT32_MAX, NULL);
    is_json(&b, "{\"op\":10,\"d\":{\"heartbeat_interval\":4294967295,"
            "\"_trace\":[]},\"s\":null,\"t\":null}");

    voice_gateway_put_ack(&b);
    is_json(&b, "{\"op\":11,\"d\":null,\"s\":null,\"t\":null}");

    voice_gateway_put_heartbeat(&b);
    is_json(&b, "{\"op\":1,\"d\":null,\"s\":null,\"t\":null}");

    voice_gateway_put_reconnect(&b);
    is_json(&b, "{\"op\":7,\"d\":null,\"s\":null,\"t\":null}");

    voice_gateway_put_invalid(&b, false);
    is_json(&b, "{\"op\":9,\"d\":false,\"s\":null,\"t\":null}");

    voice_gateway_put_invalid(&b, true);
    is_json(&b, "{\"op\":9,\"d\":true,\"s\":null,\"t\":null}");
}


static void
gateway_dispatch(void **state)
{
    char              head[VOICE_DISPATCH_HEAD_MAX], want[256];
    size_t            n;
    voice_buf_t       b;
    voice_dispatch_t  e;

    static const char *const  names[] = {
        "READY", "RESUMED", "GUILD_CREATE", "GUILD_UPDATE", "GUILD_DELETE",
        "CHANNEL_CREATE", "CHANNEL_UPDATE", "CHANNEL_DELETE",
        "GUILD_ROLE_CREATE", "GUILD_ROLE_UPDATE", "GUILD_ROLE_DELETE",
        "GUILD_MEMBER_ADD", "GUILD_MEMBER_UPDATE", "GUILD_MEMBER_REMOVE",
        "GUILD_MEMBERS_CHUNK", "RATE_LIMITED", "VOICE_STATE_UPDATE",
        "VOICE_SERVER_UPDATE"
    };

    (void) state;

    test_num("events", test_n(names), VOICE_DISPATCHES);

    for (e = VOICE_DISPATCH_READY; e < VOICE_DISPATCHES; e++) {
        assert_string_equal(voice_dispatch_name(e), names[e]);

        n = voice_dispatch_head(head, e, INT64_MAX);
        assert_in_range(n, 1, VOICE_DISPATCH_HEAD_MAX - 1);
        test_num("length", strlen(head), n);

        voice_buf_growing(&b, NULL, 4096);
        voice_gateway_put_dispatch(&b, e, INT64_MAX, "{\"x\":[1]}", 9);
        assert_memory_equal(b.data, head, n);
        test_num("length", b.len, n + 9 + strlen(VOICE_DISPATCH_TAIL));

        snprintf(want, sizeof(want), "{\"op\":0,\"s\":9223372036854775807,"
                 "\"t\":\"%s\",\"d\":{\"x\":[1]}}", names[e]);
        is_json(&b, want);
    }

    /* the longest number fits too */
    n = voice_dispatch_head(head, VOICE_DISPATCH_MEMBER_REMOVE, UINT64_MAX);
    assert_in_range(n, 1, VOICE_DISPATCH_HEAD_MAX - 1);
}


static const test_path_t  ready_paths[] = {
    { "v", "10" },
    { "user.id", "\"502\"" },
    { "user.username", "\"bot\"" },
    { "user.discriminator", "\"0\"" },
    { "user.avatar", "\"av\"" },
    { "user.global_name", "\"B\"" },
    { "user.bot", "true" },
    { "user.flags", "0" },
    { "user.public_flags", "0" },
    { "user.mfa_enabled", "false" },
    { "user.verified", "true" },
    { "session_id", "\"" SID "\"" },
    { "resume_gateway_url", "\"wss://host/gateway/\"" },
    { "guilds", "[{\"id\":\"1000\",\"unavailable\":true},"
                "{\"id\":\"" U64 "\",\"unavailable\":true}]" },
    { "private_channels", "[]" },
    { "application", "{\"id\":\"502\",\"flags\":0}" },
    { "shard", "[1,4]" },
    { "relationships", "[]" },
    { "presences", "[]" },
    { "_trace", "[\"node \\\"1\\\"\"]" }
};


static void
gateway_ready(void **state)
{
    json_t                 *root;
    uint64_t                ids[] = { 1000, UINT64_MAX };
    voice_buf_t             b;
    voice_gateway_ready_t   ready;

    (void) state;

    memset(&ready, 0, sizeof(ready));
    ready.version = 10;
    ready.user = &voice_dir_member(guild, 502)->user;
    ready.session_id = SID;
    ready.resume_url = "wss://host/gateway/";
    ready.guild_id = ids;
    ready.nguilds = 2;
    ready.application_id = 502;
    ready.shard = 1;
    ready.nshards = 4;
    ready.trace = "node \"1\"";

    voice_buf_growing(&b, NULL, 4096);
    voice_gateway_ready_d(&b, &ready);
    root = test_json_of(&b);
    test_json_paths(root, ready_paths, test_n(ready_paths));
    json_decref(root);

    /* nobody's guilds; somebody without a name to show and without avatar */
    ready.user = &stranger.user;
    ready.nguilds = 0;
    ready.trace = NULL;
    voice_gateway_ready_d(&b, &ready);
    root = test_json_of(&b);
    test_json_paths(root, (test_path_t[]) {
                        { "guilds", "[]" }, { "user.avatar", "null" },
                        { "user.global_name", "null" },
                        { "user.bot", "false" },
                        { "user.id", "\"" U64 "\"" }, { "_trace", "[]" }
                    }, 6);
    json_decref(root);
}


/* A library writes into it: an object, whatever there is to say. */
static void
gateway_resumed(void **state)
{
    voice_buf_t  b;

    (void) state;

    voice_buf_growing(&b, NULL, 4096);
    voice_gateway_resumed_d(&b, NULL);
    is_json(&b, "{\"_trace\":[]}");
    voice_gateway_resumed_d(&b, "n1");
    is_json(&b, "{\"_trace\":[\"n1\"]}");
}


static void
gateway_rate_limited(void **state)
{
    voice_buf_t  b;

    (void) state;

    voice_buf_growing(&b, NULL, 4096);
    voice_gateway_rate_limited_d(&b, UINT64_MAX, 29007, "n\"1");
    is_json(&b, "{\"opcode\":8,\"retry_after\":29.007,\"meta\":{\"guild_id\":"
            "\"18446744073709551615\",\"nonce\":\"n\\\"1\"}}");
    voice_gateway_rate_limited_d(&b, 1, 0, "");
    is_json(&b, "{\"opcode\":8,\"retry_after\":0.0,"
            "\"meta\":{\"guild_id\":\"1\"}}");
}


static const test_path_t  guild_paths[] = {
    { "id", "\"1000\"" },
    { "name", "\"G \\\"1\\\"\"" },
    { "owner_id", "\"501\"" },
    { "region", "\"here\"" },
    { "icon", "null" },
    { "splash", "null" },
    { "banner", "null" },
    { "description", "null" },
    { "unavailable", "false" },
    { "member_count", "3" },
    { "large", "false" },
    { "joined_at", "\"2020-01-01T00:00:00+00:00\"" },
    { "threads", "[]" },
    { "presences", "[]" },
    { "stage_instances", "[]" },
    { "guild_scheduled_events", "[]" },
    { "soundboard_sounds", "[]" },
    { "emojis", "[]" },
    { "stickers", "[]" },
    { "features", "[]" },
    { "preferred_locale", "\"en-US\"" },
    { "verification_level", "0" },
    { "default_message_notifications", "0" },
    { "explicit_content_filter", "0" },
    { "nsfw_level", "0" },
    { "mfa_level", "0" },
    { "premium_tier", "0" },
    { "system_channel_flags", "0" },
    { "afk_timeout", "60" },
    { "afk_channel_id", "\"2000\"" },
    { "system_channel_id", "null" },
    { "rules_channel_id", "null" },
    { "public_updates_channel_id", "null" },
    { "vanity_url_code", "null" },
    { "application_id", "null" },
    { "premium_subscription_count", "0" },
    { "max_members", "500000" },
    { "max_video_channel_users", "25" },
    { "max_stage_video_channel_users", "50" },
    { "premium_progress_bar_enabled", "false" },
    { "nsfw", "false" },

    { "roles.0", "{\"id\":\"1000\",\"name\":\"@everyone\",\"permissions\":"
      "\"1024\",\"position\":0,\"color\":0,\"colors\":{\"primary_color\":0,"
      "\"secondary_color\":null,\"tertiary_color\":null},\"hoist\":false,"
      "\"managed\":false,\"mentionable\":false,\"flags\":0,\"icon\":null,"
      "\"unicode_emoji\":null}" },
    { "roles.1.permissions", "\"9223372036854775807\"" },
    { "roles.1.position", "3" },
    { "roles.1.color", "255" },
    { "roles.1.colors.primary_color", "255" },
    { "roles.1.hoist", "true" },
    { "roles.2", NULL },

    { "channels.0", "{\"id\":\"2000\",\"type\":2,\"position\":0,\"name\":"
      "\"voice\",\"parent_id\":\"2002\",\"topic\":null,\"nsfw\":false,"
      "\"permission_overwrites\":[{\"id\":\"1001\",\"type\":0,\"allow\":"
      "\"1048576\",\"deny\":\"2\"},{\"id\":\"501\",\"type\":1,\"allow\":"
      "\"0\",\"deny\":\"0\"}],\"bitrate\":96000,\"user_limit\":5,"
      "\"video_quality_mode\":1,\"rtc_region\":\"us\","
      "\"rate_limit_per_user\":0,\"flags\":0,\"last_message_id\":null}" },
    { "channels.1.type", "13" },
    { "channels.1.bitrate", "64000" },
    { "channels.1.user_limit", "0" },
    { "channels.1.rtc_region", "null" },
    { "channels.1.permission_overwrites", "[]" },
    { "channels.1.topic", "null" },
    { "channels.2.type", "4" },
    { "channels.2.bitrate", NULL },
    { "channels.3.type", "0" },
    { "channels.3.topic", "\"t\"" },
    { "channels.3.position", "3" },
    { "channels.4", NULL },

    { "members.0.user.id", "\"501\"" },
    { "members.0.user.username", "\"owner\"" },
    { "members.0.user.discriminator", "\"0\"" },
    { "members.0.user.avatar", "null" },
    { "members.0.user.global_name", "null" },
    { "members.0.user.bot", "false" },
    { "members.0.user.email", NULL },
    { "members.0.user.verified", NULL },
    { "members.0.roles", "[]" },
    { "members.0.joined_at", "\"2015-01-01T00:00:00+00:00\"" },
    { "members.0.mute", "true" },
    { "members.0.deaf", "false" },
    { "members.0.nick", "null" },
    { "members.0.avatar", "null" },
    { "members.0.pending", "false" },
    { "members.0.flags", "0" },
    { "members.0.premium_since", "null" },
    { "members.0.communication_disabled_until", "null" },
    { "members.1.user.id", "\"502\"" },
    { "members.1.user.bot", "true" },
    { "members.1.roles", "[\"1001\"]" },
    { "members.1.nick", "\"n\"" },
    { "members.1.mute", "true" },
    { "members.1.deaf", "true" },
    { "members.2.user.id", "\"" U64 "\"" },
    { "members.2.mute", "false" },
    { "members.2.deaf", "true" },
    { "members.3", NULL },

    { "voice_states.0", "{\"channel_id\":\"2000\",\"user_id\":\"" U64 "\","
      "\"session_id\":\"" SID "\",\"deaf\":true,\"mute\":false,"
      "\"self_deaf\":false,\"self_mute\":true,\"self_stream\":false,"
      "\"self_video\":true,\"suppress\":false,"
      "\"request_to_speak_timestamp\":null}" },
    { "voice_states.1.user_id", "\"501\"" },
    { "voice_states.1.guild_id", NULL },
    { "voice_states.1.member", NULL },
    { "voice_states.2", NULL }
};


static const voice_shape_state_t  states[] = {
    { .guild_id = 1000, .channel_id = 2000, .user_id = UINT64_MAX,
      .session_id = SID, .deaf = true, .self_mute = true,
      .self_video = true },
    { .guild_id = 1000, .channel_id = 2001, .user_id = 501,
      .session_id = "s2", .mute = true, .suppress = true,
      .request_to_speak = 1785585600123 }
};


/*
 * The stranger and a member of the directory, who must not come twice; both
 * are in voice, in no order and in that of their ids.
 */
static void
gateway_guild_create(void **state)
{
    json_t                    *root;
    voice_buf_t                b;
    voice_shape_state_t        sorted[2];
    voice_gateway_guild_t      g;
    const voice_dir_member_t  *members[2];

    (void) state;

    members[0] = voice_dir_member(guild, 502);
    members[1] = &stranger;

    memset(&g, 0, sizeof(g));
    g.guild = guild;
    g.state = states;
    g.nstates = 2;
    g.directory = true;
    g.member = members;
    g.nmembers = 2;

    voice_buf_growing(&b, NULL, 65536);
    voice_gateway_guild_d(&b, &g);
    root = test_json_of(&b);
    test_json_paths(root, guild_paths, test_n(guild_paths));
    json_decref(root);

    sorted[0] = states[1];
    sorted[1] = states[0];
    g.state = sorted;

    voice_gateway_guild_d(&b, &g);
    root = test_json_of(&b);
    test_json_paths(root, (test_path_t[]) {
                        { "members.0.mute", "true" },
                        { "members.0.deaf", "false" },
                        { "members.1.mute", "true" },
                        { "members.2.mute", "false" },
                        { "members.2.deaf", "true" },
                        { "voice_states.0.user_id", "\"501\"" }
                    }, 6);
    json_decref(root);

    /* only some of the members: a large guild */
    g.directory = false;
    voice_gateway_guild_d(&b, &g);
    root = test_json_of(&b);
    test_json_paths(root, (test_path_t[]) {
                        { "large", "true" }, { "member_count", "3" },
                        { "members.0.user.id", "\"502\"" },
                        { "members.1.user.id", "\"" U64 "\"" },
                        { "members.2", NULL }
                    }, 5);
    json_decref(root);

    g.nmembers = 0;
    g.nstates = 0;
    voice_gateway_guild_d(&b, &g);
    root = test_json_of(&b);
    test_json_paths(root, (test_path_t[]) {
                        { "large", "true" }, { "member_count", "2" },
                        { "members", "[]" }, { "voice_states", "[]" }
                    }, 4);
    json_decref(root);
}


/* Many states, each found for its member in either order. */
static void
gateway_guild_create_states(void **state)
{
    char                   path[64];
    json_t                *root;
    size_t                 i, k, n;
    voice_buf_t            b;
    voice_dir_error_t      error;
    voice_dir_guild_t     *big;
    voice_shape_state_t    many[200];
    voice_gateway_guild_t  g;

    (void) state;

    voice_buf_growing(&b, NULL, 1000000);
    voice_buf_puts(&b, "{\"id\":1,\"name\":\"g\",\"owner_id\":1,\"members\":[");

    for (i = 1; i <= 300; i++) {
        voice_buf_printf(&b, "%s{\"user\":{\"id\":%zu,\"username\":\"u\"}}",
                         i > 1 ? "," : "", i);
    }

    voice_buf_puts(&b, "]}");
    test_err("guild", voice_dir_guild_parse(b.data, b.len, 0, NULL, &big,
                                            &error), VOICE_OK);
    voice_buf_reset(&b);

    for (n = 0; n < 2; n++) {
        memset(many, 0, sizeof(many));
        memset(&g, 0, sizeof(g));

        /* of the ids 2, 4 ... 400 every third is muted */
        for (i = 0; i < 200; i++) {
            k = n == 0 ? i : 199 - i;
            many[k].user_id = (i + 1) * 2;
            many[k].session_id = "s";
            many[k].mute = (i + 1) * 2 % 3 == 0;
        }

        g.guild = big;
        g.state = many;
        g.nstates = 200;
        g.directory = true;

        voice_gateway_guild_d(&b, &g);
        root = test_json_load(b.data, b.len);
        voice_buf_reset(&b);

        for (i = 1; i <= 300; i++) {
            snprintf(path, sizeof(path), "members.%zu.mute", i - 1);
            test_num(path, json_is_true(test_json_at(root, path)),
                     i % 6 == 0);
        }

        json_decref(root);
    }

    voice_buf_free(&b);
    voice_dir_guild_free(big);
}


static void
gateway_voice_state(void **state)
{
    json_t               *root;
    voice_buf_t           b;
    voice_shape_state_t   gone;

    (void) state;

    voice_buf_growing(&b, NULL, 4096);
    voice_gateway_voice_state_d(&b, &states[1], &guild->member[0]);
    root = test_json_of(&b);
    test_json_paths(root, (test_path_t[]) {
                        { "guild_id", "\"1000\"" },
                        { "channel_id", "\"2001\"" },
                        { "user_id", "\"501\"" },
                        { "session_id", "\"s2\"" },
                        { "mute", "true" }, { "deaf", "false" },
                        { "self_mute", "false" }, { "self_deaf", "false" },
                        { "self_video", "false" }, { "self_stream", "false" },
                        { "suppress", "true" },
                        { "request_to_speak_timestamp",
                          "\"2026-08-01T12:00:00.123000+00:00\"" },
                        { "member.user.id", "\"501\"" },
                        { "member.user.username", "\"owner\"" },
                        { "member.joined_at",
                          "\"2015-01-01T00:00:00+00:00\"" },
                        { "member.flags", "0" },
                        { "member.mute", "true" },
                        { "member.deaf", "false" },
                        { "member.roles", "[]" }
                    }, 19);
    json_decref(root);

    gone = states[0];
    gone.channel_id = 0;
    gone.self_stream = true;
    gone.self_deaf = true;

    voice_gateway_voice_state_d(&b, &gone, NULL);
    is_json(&b, "{\"guild_id\":\"1000\",\"channel_id\":null,\"user_id\":\"" U64
            "\",\"session_id\":\"" SID "\",\"deaf\":true,\"mute\":false,"
            "\"self_deaf\":true,\"self_mute\":true,\"self_stream\":true,"
            "\"self_video\":true,\"suppress\":false,"
            "\"request_to_speak_timestamp\":null}");
}


static void
gateway_voice_server(void **state)
{
    voice_buf_t  b;

    (void) state;

    voice_buf_growing(&b, NULL, 4096);

    voice_gateway_voice_server_d(&b, UINT64_MAX, "a.b.c", "host:2053");
    is_json(&b, "{\"token\":\"a.b.c\",\"guild_id\":\"" U64 "\",\"endpoint\":"
            "\"host:2053\"}");

    voice_gateway_voice_server_d(&b, 1, "t", NULL);
    is_json(&b, "{\"token\":\"t\",\"guild_id\":\"1\",\"endpoint\":null}");
}


static void
gateway_guild_events(void **state)
{
    json_t       *root;
    voice_buf_t   b;

    (void) state;

    voice_buf_growing(&b, NULL, 65536);

    voice_gateway_guild_delete_d(&b, 1000, true);
    is_json(&b, "{\"id\":\"1000\",\"unavailable\":true}");
    voice_gateway_guild_delete_d(&b, 1000, false);
    is_json(&b, "{\"id\":\"1000\"}");

    voice_gateway_guild_update_d(&b, guild, 7);
    root = test_json_of(&b);
    test_json_paths(root, (test_path_t[]) {
                        { "id", "\"1000\"" }, { "member_count", "7" },
                        { "roles.1.name", "\"mod\"" },
                        { "channels", NULL }, { "members", NULL },
                        { "voice_states", NULL }
                    }, 6);
    json_decref(root);

    voice_gateway_channel_d(&b, 1000, voice_dir_channel(guild, 2001));
    root = test_json_of(&b);
    test_json_paths(root, (test_path_t[]) {
                        { "id", "\"2001\"" }, { "guild_id", "\"1000\"" },
                        { "type", "13" }, { "name", "\"stage\"" }
                    }, 4);
    json_decref(root);

    voice_gateway_role_d(&b, 1000, voice_dir_role(guild, 1001));
    root = test_json_of(&b);
    test_json_paths(root, (test_path_t[]) {
                        { "guild_id", "\"1000\"" },
                        { "role.id", "\"1001\"" },
                        { "role.colors.primary_color", "255" }
                    }, 3);
    json_decref(root);

    voice_gateway_role_delete_d(&b, 1000, 1001);
    is_json(&b, "{\"guild_id\":\"1000\",\"role_id\":\"1001\"}");
}


static void
gateway_member_events(void **state)
{
    json_t       *root;
    voice_buf_t   b;

    (void) state;

    voice_buf_growing(&b, NULL, 65536);

    voice_gateway_member_d(&b, 1000, &stranger, true, false);
    root = test_json_of(&b);
    test_json_paths(root, (test_path_t[]) {
                        { "guild_id", "\"1000\"" },
                        { "user.id", "\"" U64 "\"" },
                        { "user.username", "\"stranger\"" },
                        { "roles", "[]" }, { "mute", "true" },
                        { "deaf", "false" }, { "flags", "0" },
                        { "joined_at", "\"2015-01-01T00:00:00+00:00\"" }
                    }, 8);
    json_decref(root);

    voice_gateway_member_remove_d(&b, 1000, &stranger.user);
    root = test_json_of(&b);
    test_json_paths(root, (test_path_t[]) {
                        { "guild_id", "\"1000\"" },
                        { "user.id", "\"" U64 "\"" },
                        { "user.verified", NULL }, { "roles", NULL }
                    }, 4);
    json_decref(root);
}


static void
gateway_chunk(void **state)
{
    json_t                    *root;
    uint64_t                   missing[] = { 7, UINT64_MAX };
    voice_buf_t                b;
    voice_gateway_chunk_t      chunk;
    const voice_dir_member_t  *members[2];

    (void) state;

    members[0] = &guild->member[1];
    members[1] = &stranger;

    memset(&chunk, 0, sizeof(chunk));
    chunk.guild_id = 1000;
    chunk.member = members;
    chunk.nmembers = 2;
    chunk.not_found = missing;
    chunk.nnot_found = 2;
    chunk.chunk_index = 1;
    chunk.chunk_count = 3;
    chunk.presences = true;
    chunk.nonce = "n\"1";

    voice_buf_growing(&b, NULL, 65536);
    voice_gateway_chunk_d(&b, &chunk);
    root = test_json_of(&b);
    test_json_paths(root, (test_path_t[]) {
                        { "guild_id", "\"1000\"" },
                        { "members.0.user.id", "\"502\"" },
                        { "members.0.mute", "true" },
                        { "members.1.user.id", "\"" U64 "\"" },
                        { "members.2", NULL },
                        { "not_found", "[\"7\",\"" U64 "\"]" },
                        { "chunk_index", "1" }, { "chunk_count", "3" },
                        { "presences", "[]" }, { "nonce", "\"n\\\"1\"" }
                    }, 10);
    json_decref(root);

    memset(&chunk, 0, sizeof(chunk));
    chunk.guild_id = 1;
    chunk.chunk_count = 1;
    chunk.nonce = "";
    voice_gateway_chunk_d(&b, &chunk);
    is_json(&b, "{\"guild_id\":\"1\",\"members\":[],\"chunk_index\":0,"
            "\"chunk_count\":1,\"not_found\":[]}");
}


/* Every event once, into the buffer given. */
static void
write_all(voice_buf_t *b)
{
    uint64_t                   id;
    voice_gateway_guild_t      g;
    voice_gateway_chunk_t      chunk;
    voice_gateway_ready_t      ready;
    const voice_dir_member_t  *member;

    id = 1000;
    member = &stranger;

    memset(&g, 0, sizeof(g));
    g.guild = guild;
    g.state = states;
    g.nstates = 2;
    g.directory = true;
    g.member = &member;
    g.nmembers = 1;

    memset(&chunk, 0, sizeof(chunk));
    chunk.guild_id = 1000;
    chunk.member = &member;
    chunk.nmembers = 1;
    chunk.nonce = "n";

    memset(&ready, 0, sizeof(ready));
    ready.user = &stranger.user;
    ready.session_id = SID;
    ready.resume_url = "wss://h/";
    ready.guild_id = &id;
    ready.nguilds = 1;

    voice_buf_puts(b, "[");
    voice_gateway_put_hello(b, 1, "t");
    voice_buf_puts(b, ",");
    voice_gateway_ready_d(b, &ready);
    voice_buf_puts(b, ",");
    voice_gateway_guild_d(b, &g);
    voice_buf_puts(b, ",");
    voice_gateway_chunk_d(b, &chunk);
    voice_buf_puts(b, ",");
    voice_gateway_voice_state_d(b, &states[1], member);
    voice_buf_puts(b, "]");
}


/* A buffer of any size: all of it, or VOICE_E_FULL and not a byte too far. */
static void
gateway_every_size(void **state)
{
    char         *data;
    size_t        size, len;
    voice_buf_t   b;

    (void) state;

    voice_buf_growing(&b, NULL, 100000);
    write_all(&b);
    json_decref(test_json_load(b.data, b.len));
    len = b.len;
    voice_buf_free(&b);

    for (size = 0; size <= len; size++) {
        data = malloc(size != 0 ? size : 1);
        assert_non_null(data);
        voice_buf_fixed(&b, data, size);
        write_all(&b);
        test_err("size", voice_buf_done(&b),
                 size < len ? VOICE_E_FULL : VOICE_OK);
        free(data);
    }
}


static void
gateway_allocations_fail(void **state)
{
    long          n;
    voice_err_t   err;
    voice_buf_t   b;
    test_alloc_t  t;

    (void) state;

    for (n = 0; n < 20; n++) {
        test_alloc_init(&t, n);
        voice_buf_growing(&b, &t.alloc, 100000);
        write_all(&b);
        err = voice_buf_done(&b);
        voice_buf_free(&b);
        test_num("blocks left", t.live, 0);

        if (!t.failed) {
            break;
        }

        test_err("one fails", err, VOICE_E_NOMEM);
    }

    test_err("at last", err, VOICE_OK);
    assert_in_range(n, 2, 19);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(gateway_messages),
        cmocka_unit_test(gateway_dispatch),
        cmocka_unit_test(gateway_ready),
        cmocka_unit_test(gateway_resumed),
        cmocka_unit_test(gateway_rate_limited),
        cmocka_unit_test(gateway_guild_create),
        cmocka_unit_test(gateway_guild_create_states),
        cmocka_unit_test(gateway_voice_state),
        cmocka_unit_test(gateway_voice_server),
        cmocka_unit_test(gateway_guild_events),
        cmocka_unit_test(gateway_member_events),
        cmocka_unit_test(gateway_chunk),
        cmocka_unit_test(gateway_every_size),
        cmocka_unit_test(gateway_allocations_fail)
    };

    return cmocka_run_group_tests(tests, setup_guild, teardown_guild);
}
