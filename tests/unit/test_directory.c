/*
 * Copyright (C) ngx-voice contributors
 *
 * The directory: what is read and its defaults, each error with its place,
 * patches, and the set of guilds while it changes.
 */


#include "test_alloc.h"

#include "voice_directory.h"
#include "voice_permission.h"

#include <stdio.h>


#define G         "{\"id\":\"1000\",\"name\":\"g\",\"owner_id\":\"501\""
#define GUILD(x)  G "," x "}"

/* one guild in the first column of the second line */
#define DIR(x)    "{\"guilds\":[\n" GUILD(x) "\n]}"


static const char  full[] =
    "{\"version\": 1, \"guilds\": [\n"
    "  {\"id\": 1000, \"name\": \"Guild \\u00e9\", \"owner_id\": \"501\",\n"
    "   \"region\": \"rotterdam\", \"icon\": \"abc\", \"description\": \"d\",\n"
    "   \"joined_at\": \"2020-02-29T01:02:03Z\",\n"
    "   \"afk_channel_id\": \"2003\", \"afk_timeout\": 60,\n"
    "   \"roles\": [\n"
    "     {\"id\": \"1002\", \"name\": \"B\", \"permissions\": \"8\",\n"
    "      \"position\": 7, \"color\": 255, \"hoist\": true,\n"
    "      \"managed\": true, \"mentionable\": true},\n"
    "     {\"id\": \"1001\", \"name\": \"A\", \"permissions\": 2097152},\n"
    "     {\"id\": \"1000\", \"name\": \"@everyone\","
    " \"permissions\": \"1024\"}],\n"
    "   \"channels\": [\n"
    "     {\"id\": \"2003\", \"name\": \"afk\", \"parent_id\": \"2001\"},\n"
    "     {\"id\": \"2001\", \"name\": \"cat\", \"type\": 4},\n"
    "     {\"id\": 2002, \"name\": \"stage\", \"type\": 13,\n"
    "      \"position\": 9, \"bitrate\": 96000, \"user_limit\": 10000,\n"
    "      \"topic\": \"t\", \"rtc_region\": \"us\", \"nsfw\": true,\n"
    "      \"rate_limit_per_user\": 5, \"permission_overwrites\": [\n"
    "        {\"id\": \"1000\", \"type\": 0, \"allow\": \"1\","
    " \"deny\": 2},\n"
    "        {\"id\": \"1000\", \"type\": 1},\n"
    "        {\"id\": \"77\", \"type\": \"role\", \"deny\": \"1024\"}]}],\n"
    "   \"members\": [\n"
    "     {\"user\": {\"id\": \"502\", \"username\": \"bot\",\n"
    "      \"discriminator\": \"0001\", \"global_name\": \"Bot\",\n"
    "      \"avatar\": \"av\", \"bot\": true}, \"nick\": \"nick\",\n"
    "      \"roles\": [\"1002\", 1001, \"1002\", \"1000\"],\n"
    "      \"joined_at\": \"2021-01-01T00:00:00+00:00\",\n"
    "      \"mute\": true, \"deaf\": true, \"flags\": {\"x\": []}},\n"
    "     {\"user\": {\"id\": \"501\", \"username\": \"owner\"}}]},\n"
    "  {\"id\": \"18446744073709551615\", \"name\": \"last\",\n"
    "   \"owner_id\": 18446744073709551614, \"roles\": null,\n"
    "   \"channels\": [], \"region\": null}\n"
    "]}\n";


static voice_directory_t *
directory_of(const char *text)
{
    char                message[256];
    voice_err_t         err;
    voice_dir_error_t   error;
    voice_directory_t  *dir;

    err = voice_directory_parse(text, strlen(text), NULL, &dir, &error);

    if (err != VOICE_OK) {
        voice_dir_error_text(&error, message, sizeof(message));
        fail_msg("%s", message);
    }

    return dir;
}


static voice_dir_guild_t *
guild_of(const char *text)
{
    char                message[256];
    voice_err_t         err;
    voice_dir_error_t   error;
    voice_dir_guild_t  *guild;

    err = voice_dir_guild_parse(text, strlen(text), 0, NULL, &guild, &error);

    if (err != VOICE_OK) {
        voice_dir_error_text(&error, message, sizeof(message));
        fail_msg("%s", message);
    }

    return guild;
}


/* To be freed. */
static char *
json_of(const voice_dir_guild_t *guild)
{
    voice_buf_t  b;

    voice_buf_growing(&b, NULL, SIZE_MAX / 4);
    voice_dir_guild_encode(&b, guild);
    voice_buf_put(&b, "", 1);
    test_err("encode", voice_buf_done(&b), VOICE_OK);

    return b.data;
}


static void
check_roles(const voice_dir_guild_t *g)
{
    test_num("roles", g->nroles, 3);

    test_num("everyone", g->role[0].id, 1000);
    test_num("everyone", g->role[0].permissions, 1024);
    test_num("everyone", g->role[0].position, 0);
    assert_string_equal(g->role[0].name, "@everyone");

    test_num("A", g->role[1].id, 1001);
    test_num("A", g->role[1].permissions, 2097152);
    test_num("A", g->role[1].position, 2);
    test_num("A", g->role[1].color, 0);
    assert_false(g->role[1].hoist || g->role[1].managed
                 || g->role[1].mentionable);

    test_num("B", g->role[2].id, 1002);
    test_num("B", g->role[2].permissions, 8);
    test_num("B", g->role[2].position, 7);
    test_num("B", g->role[2].color, 255);
    assert_string_equal(g->role[2].name, "B");
    assert_true(g->role[2].hoist && g->role[2].managed
                && g->role[2].mentionable);
}


static void
check_channels(const voice_dir_guild_t *g)
{
    const voice_dir_channel_t  *c;

    test_num("channels", g->nchannels, 3);
    test_num("category", g->channel[0].id, 2001);
    test_num("category", g->channel[0].type, VOICE_CHANNEL_CATEGORY);
    test_num("category", g->channel[0].position, 1);

    c = &g->channel[1];
    test_num("stage", c->id, 2002);
    test_num("stage", c->type, VOICE_CHANNEL_STAGE);
    test_num("stage", c->position, 9);
    test_num("stage", c->bitrate, 96000);
    test_num("stage", c->user_limit, 10000);
    test_num("stage", c->rate_limit, 5);
    test_num("stage", c->parent_id, 0);
    test_num("stage", c->nsfw, true);
    assert_string_equal(c->name, "stage");
    assert_string_equal(c->topic, "t");
    assert_string_equal(c->rtc_region, "us");

    test_num("overwrites", c->noverwrites, 3);
    test_num("first", c->overwrite[0].id, 1000);
    test_num("first", c->overwrite[0].type, VOICE_OVERWRITE_ROLE);
    test_num("first", c->overwrite[0].allow, 1);
    test_num("first", c->overwrite[0].deny, 2);
    test_num("second", c->overwrite[1].type, VOICE_OVERWRITE_MEMBER);
    test_num("second", c->overwrite[1].allow, 0);
    test_num("third", c->overwrite[2].id, 77);
    test_num("third", c->overwrite[2].type, VOICE_OVERWRITE_ROLE);
    test_num("third", c->overwrite[2].deny, 1024);

    c = &g->channel[2];
    test_num("voice", c->id, 2003);
    test_num("voice", c->type, VOICE_CHANNEL_VOICE);
    test_num("voice", c->position, 0);
    test_num("voice", c->bitrate, 64000);
    test_num("voice", c->user_limit, 0);
    test_num("voice", c->parent_id, 2001);
    test_num("voice", c->noverwrites, 0);
    test_num("voice", c->nsfw, false);
    assert_null(c->topic);
    assert_null(c->rtc_region);
}


static void
check_members(const voice_dir_guild_t *g)
{
    const voice_dir_member_t  *m;

    test_num("members", g->nmembers, 2);

    m = &g->member[0];
    test_num("owner", m->user.id, 501);
    test_num("owner", m->nroles, 0);
    test_num("owner", m->user.bot, false);
    assert_string_equal(m->user.username, "owner");
    assert_string_equal(m->user.discriminator, "0");
    assert_string_equal(m->joined_at, VOICE_DIR_JOINED_AT);
    assert_null(m->user.global_name);
    assert_null(m->user.avatar);
    assert_null(m->nick);
    assert_false(m->mute || m->deaf);

    m = &g->member[1];
    test_num("bot", m->user.id, 502);
    test_num("bot", m->nroles, 2);
    test_num("bot", m->role[0], 1001);
    test_num("bot", m->role[1], 1002);
    assert_string_equal(m->user.username, "bot");
    assert_string_equal(m->user.discriminator, "0001");
    assert_string_equal(m->user.global_name, "Bot");
    assert_string_equal(m->user.avatar, "av");
    assert_string_equal(m->nick, "nick");
    assert_string_equal(m->joined_at, "2021-01-01T00:00:00+00:00");
    assert_true(m->mute && m->deaf && m->user.bot);
}


static void
directory_full(void **state)
{
    voice_directory_t        *dir;
    const voice_dir_guild_t  *g, *owner;

    (void) state;

    dir = directory_of(full);
    test_num("guilds", voice_directory_count(dir), 2);

    g = voice_directory_guild(dir, 1000);
    assert_non_null(g);
    test_num("id", g->id, 1000);
    test_num("owner", g->owner_id, 501);
    test_num("afk", g->afk_channel_id, 2003);
    test_num("afk", g->afk_timeout, 60);
    assert_string_equal(g->name, "Guild \xc3\xa9");
    assert_string_equal(g->region, "rotterdam");
    assert_string_equal(g->icon, "abc");
    assert_string_equal(g->description, "d");
    assert_string_equal(g->joined_at, "2020-02-29T01:02:03Z");
    assert_in_range(g->memory, sizeof(voice_dir_guild_t), 100000);

    check_roles(g);
    check_channels(g);
    check_members(g);

    g = voice_directory_guild(dir, UINT64_MAX);
    assert_non_null(g);
    assert_true(g->owner_id == UINT64_MAX - 1);
    test_num("default", g->afk_timeout, 300);
    test_num("default", g->afk_channel_id, 0);
    test_num("default", g->nchannels, 0);
    test_num("default", g->nmembers, 0);
    test_num("default", g->nroles, 1);
    assert_true(g->role[0].id == UINT64_MAX);
    assert_true(g->role[0].permissions == VOICE_PERM_EVERYONE);
    assert_string_equal(g->role[0].name, "@everyone");
    assert_null(g->region);
    assert_null(g->icon);
    assert_string_equal(g->joined_at, VOICE_DIR_JOINED_AT);

    assert_null(voice_directory_guild(dir, 0));
    assert_null(voice_directory_guild(dir, 999));
    assert_non_null(voice_directory_channel(dir, 2003, &owner));
    test_num("its guild", owner->id, 1000);
    assert_null(voice_directory_channel(dir, 0, &owner));
    assert_null(voice_directory_channel(dir, 2004, &owner));
    assert_null(voice_directory_at(dir, 2));

    voice_directory_free(dir);
    voice_directory_free(NULL);
    voice_dir_guild_free(NULL);
}


/* An array alone, nothing in it, the default of an @everyone without bits. */
static void
directory_forms(void **state)
{
    voice_directory_t        *dir;
    const voice_dir_guild_t  *g;

    (void) state;

    dir = directory_of(" [] ");
    test_num("none", voice_directory_count(dir), 0);
    assert_null(voice_directory_guild(dir, 1));
    assert_null(voice_directory_at(dir, 0));
    voice_directory_free(dir);

    dir = directory_of("{\"guilds\":[]}");
    test_num("none", voice_directory_count(dir), 0);
    voice_directory_free(dir);

    dir = directory_of("[" GUILD("\"roles\":[{\"id\":\"1000\",\"name\":\"e\"},"
                                 "{\"id\":\"5\",\"name\":\"five\"}]") "]");
    g = voice_directory_at(dir, 0);
    assert_non_null(g);
    test_num("roles", g->nroles, 2);
    assert_true(voice_dir_role(g, 1000)->permissions == VOICE_PERM_EVERYONE);
    test_num("other", voice_dir_role(g, 5)->permissions, 0);
    test_num("position", voice_dir_role(g, 1000)->position, 0);
    test_num("position", voice_dir_role(g, 5)->position, 2);
    voice_directory_free(dir);

    /* keys may be escaped, values may stand in any order */
    dir = directory_of("[{\"owner_id\":1,\"n\\u0061me\":\"x\",\"id\":7}]");
    assert_string_equal(voice_directory_guild(dir, 7)->name, "x");
    voice_directory_free(dir);
}


typedef struct {
    const char   *text;
    voice_err_t   err;
    const char   *pointer;
    const char   *found;
    const char   *expected;      /* its start */
    unsigned      line;
    unsigned      column;
} error_case_t;


#define FORMAT   VOICE_E_FORMAT
#define RANGE    VOICE_E_RANGE
#define FLAKE    "a snowflake"
#define NAME     "a string of 1 to 100"
#define BITS     "permission bits"

#define X50      "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
#define X100     X50 X50


static const error_case_t  errors[] = {

    /* JSON itself */
    { "", FORMAT, "", "the end of the text", "JSON", 1, 1 },
    { "  \n ", FORMAT, "", "the end of the text", "JSON", 2, 2 },
    { "{", FORMAT, "", "the end of the text", "JSON", 1, 2 },
    { "[\n{\"id\":1,}]", FORMAT, "", "}", "JSON", 2, 9 },
    { "[\n\n  x]", FORMAT, "", "x", "JSON", 3, 3 },
    { "[1 2]", FORMAT, "", "2", "JSON", 1, 4 },
    { "[]\n[]", FORMAT, "", "[", "the end of the text", 2, 1 },
    { "[\"\xff\"]", FORMAT, "", "?", "UTF-8", 1, 3 },
    { "[\"\x01\"]", FORMAT, "", "?", "JSON", 1, 3 },
    { "[[[[[[[[[[[[[[[[[", FORMAT, "", "[", "at most 16 levels", 1, 17 },

    /* the outside */
    { "5", FORMAT, "", "5", "an object", 1, 1 },
    { "\"x\"", FORMAT, "", "\"x\"", "an object", 1, 1 },
    { "null", FORMAT, "", "null", "an object", 1, 1 },
    { "{}", FORMAT, "/guilds", "nothing", "an array", 1, 1 },
    { "{\"guilds\":null}", FORMAT, "/guilds", "null", "an array", 1, 11 },
    { "{\"guilds\":{}}", FORMAT, "/guilds", "an object", "an array", 1, 11 },
    { "{\"guilds\":[],\n\"guilds\":[]}", FORMAT, "/guilds", "the key twice",
      "an array", 2, 10 },
    { "[5]", FORMAT, "/0", "5", "an object", 1, 2 },
    { "{\"guilds\":[[]]}", FORMAT, "/guilds/0", "an array", "an object", 1,
      12 },

    /* a guild */
    { "[{\"name\":\"g\",\"owner_id\":1}]", FORMAT, "/0/id", "nothing", FLAKE,
      1, 2 },
    { "[{\"id\":1,\"owner_id\":1}]", FORMAT, "/0/name", "nothing", NAME, 1,
      2 },
    { "[{\"id\":1,\"name\":\"g\"}]", FORMAT, "/0/owner_id", "nothing", FLAKE,
      1, 2 },
    { "[{\"id\":0,\"name\":\"g\",\"owner_id\":1}]", RANGE, "/0/id", "0",
      FLAKE, 1, 8 },
    { "[{\"id\":-1,\"name\":\"g\",\"owner_id\":1}]", RANGE, "/0/id", "-1",
      FLAKE, 1, 8 },
    { "[{\"id\":1.5,\"name\":\"g\",\"owner_id\":1}]", FORMAT, "/0/id", "1.5",
      FLAKE, 1, 8 },
    { "[{\"id\":18446744073709551616,\"name\":\"g\",\"owner_id\":1}]", RANGE,
      "/0/id", "18446744073709551616", FLAKE, 1, 8 },
    { "[{\"id\":\"1x\",\"name\":\"g\",\"owner_id\":1}]", FORMAT, "/0/id",
      "\"1x\"", FLAKE, 1, 8 },
    { "[{\"id\":\"\",\"name\":\"g\",\"owner_id\":1}]", FORMAT, "/0/id",
      "\"\"", FLAKE, 1, 8 },
    { "[{\"id\":true,\"name\":\"g\",\"owner_id\":1}]", FORMAT, "/0/id",
      "true", FLAKE, 1, 8 },
    { "[{\"id\":1,\"name\":\"\",\"owner_id\":1}]", RANGE, "/0/name", "\"\"",
      NAME, 1, 17 },
    { "[{\"id\":1,\"name\":7,\"owner_id\":1}]", FORMAT, "/0/name", "7", NAME,
      1, 17 },
    { "[{\"id\":1,\"name\":\"" X100 "x\",\"owner_id\":1}]", RANGE, "/0/name",
      "\"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx...", NAME, 1, 17 },
    { "[{\"id\":1,\"name\":\"a\\u0000b\",\"owner_id\":1}]", FORMAT,
      "/0/name", "\"a\\u0000b\"", NAME, 1, 17 },
    { "[{\"id\":1,\"name\":\"\xc3\xa9\",\"owner_id\":[]}]", FORMAT,
      "/0/owner_id", "an array", FLAKE, 1, 33 },
    { "[" G ",\"owner_id\":1}]", FORMAT, "/0/owner_id", "the key twice",
      FLAKE, 1, 54 },
    { DIR("\"icon\":\"a b\""), RANGE, "/guilds/0/icon", "\"a b\"",
      "a string of 1 to 64", 2, 49 },
    { DIR("\"icon\":\"\""), RANGE, "/guilds/0/icon", "\"\"",
      "a string of 1 to 64", 2, 49 },
    { DIR("\"region\":\"" X50 "123456789012345\""), RANGE,
      "/guilds/0/region", "\"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx...",
      "a string of 1 to 64", 2, 51 },
    { DIR("\"region\":\"\xc3\xa9\""), RANGE, "/guilds/0/region", "\"??\"",
      "a string of 1 to 64", 2, 51 },
    { DIR("\"joined_at\":\"yesterday\""), RANGE, "/guilds/0/joined_at",
      "\"yesterday\"", "a time", 2, 54 },
    { DIR("\"afk_timeout\":0"), RANGE, "/guilds/0/afk_timeout", "0",
      "seconds", 2, 56 },
    { DIR("\"afk_timeout\":86401"), RANGE, "/guilds/0/afk_timeout", "86401",
      "seconds", 2, 56 },
    { DIR("\"afk_timeout\":\"60\""), FORMAT, "/guilds/0/afk_timeout",
      "\"60\"", "seconds", 2, 56 },
    { DIR("\"afk_channel_id\":\"9\""), RANGE, "/guilds/0/afk_channel_id",
      "9", "a channel of type 2", 2, 1 },
    { DIR("\"afk_channel_id\":9,\"channels\":[{\"id\":9,\"name\":\"s\","
          "\"type\":13}]"), RANGE, "/guilds/0/afk_channel_id",
      "9", "a channel of type 2", 2, 1 },
    { DIR("\"roles\":{}"), FORMAT, "/guilds/0/roles", "an object",
      "an array", 2, 50 },
    { DIR("\"channels\":7"), FORMAT, "/guilds/0/channels", "7", "an array", 2,
      53 },
    { DIR("\"members\":\"x\""), FORMAT, "/guilds/0/members", "\"x\"",
      "an array", 2, 52 },
    { "[" GUILD("\"x\":1") ",\n" GUILD("\"x\":2") "]", RANGE, "/1/id",
      "1000 again", "an id that no other guild", 2, 1 },

    /* roles */
    { DIR("\"roles\":[\n7]"), FORMAT, "/guilds/0/roles/0", "7", "an object",
      3, 1 },
    { DIR("\"roles\":[\n{\"name\":\"r\"}]"), FORMAT, "/guilds/0/roles/0/id",
      "nothing", FLAKE, 3, 1 },
    { DIR("\"roles\":[\n{\"id\":1}]"), FORMAT, "/guilds/0/roles/0/name",
      "nothing", NAME, 3, 1 },
    { DIR("\"roles\":[\n{\"id\":1,\"name\":\"r\",\"permissions\":-1}]"),
      RANGE, "/guilds/0/roles/0/permissions", "-1", BITS, 3, 34 },
    { DIR("\"roles\":[\n{\"id\":1,\"name\":\"r\",\"permissions\":"
          "\"9223372036854775808\"}]"),
      RANGE, "/guilds/0/roles/0/permissions", "\"9223372036854775808\"",
      BITS, 3, 34 },
    { DIR("\"roles\":[\n{\"id\":1,\"name\":\"r\",\"permissions\":\"0x8\"}]"),
      FORMAT, "/guilds/0/roles/0/permissions", "\"0x8\"", BITS, 3, 34 },
    { DIR("\"roles\":[\n{\"id\":1,\"name\":\"r\",\"permissions\":[\"CONNECT\""
          "]}]"),
      FORMAT, "/guilds/0/roles/0/permissions", "an array", BITS, 3, 34 },
    { DIR("\"roles\":[\n{\"id\":1,\"name\":\"r\",\"color\":16777216}]"),
      RANGE, "/guilds/0/roles/0/color", "16777216", "a colour", 3, 28 },
    { DIR("\"roles\":[\n{\"id\":1,\"name\":\"r\",\"position\":-1}]"),
      RANGE, "/guilds/0/roles/0/position", "-1", "an integer of 0", 3, 31 },
    { DIR("\"roles\":[\n{\"id\":1,\"name\":\"r\",\"hoist\":1}]"),
      FORMAT, "/guilds/0/roles/0/hoist", "1", "true or false", 3, 28 },
    { DIR("\"roles\":[\n{\"id\":1,\"name\":\"r\"},{\"id\":2,\"name\":\"s\"},"
          "\n{\"id\":\"1\",\"name\":\"t\"}]"),
      RANGE, "/guilds/0/roles/2/id", "1 again", "an id that no other role", 4,
      1 },

    /* channels */
    { DIR("\"channels\":[\nnull]"), FORMAT, "/guilds/0/channels/0", "null",
      "an object", 3, 1 },
    { DIR("\"channels\":[\n{\"name\":\"c\"}]"), FORMAT,
      "/guilds/0/channels/0/id", "nothing", FLAKE, 3, 1 },
    { DIR("\"channels\":[\n{\"id\":1,\"name\":null}]"), FORMAT,
      "/guilds/0/channels/0/name", "null", NAME, 3, 16 },
    { DIR("\"channels\":[\n{\"id\":1,\"name\":\"c\",\"type\":1}]"), RANGE,
      "/guilds/0/channels/0/type", "1", "a type of channel", 3, 27 },
    { DIR("\"channels\":[\n{\"id\":1,\"name\":\"c\",\"type\":\"voice\"}]"),
      FORMAT, "/guilds/0/channels/0/type", "\"voice\"", "a type of channel",
      3, 27 },
    { DIR("\"channels\":[\n{\"id\":1,\"name\":\"c\",\"type\":999}]"), RANGE,
      "/guilds/0/channels/0/type", "999", "a type of channel", 3, 27 },
    { DIR("\"channels\":[\n{\"id\":1,\"name\":\"c\",\"bitrate\":7999}]"),
      RANGE, "/guilds/0/channels/0/bitrate", "7999", "bits per second", 3,
      30 },
    { DIR("\"channels\":[\n{\"id\":1,\"name\":\"c\",\"bitrate\":510001}]"),
      RANGE, "/guilds/0/channels/0/bitrate", "510001", "bits per second", 3,
      30 },
    { DIR("\"channels\":[\n{\"id\":1,\"name\":\"c\",\"user_limit\":10001}]"),
      RANGE, "/guilds/0/channels/0/user_limit", "10001", "an integer of 0",
      3, 33 },
    { DIR("\"channels\":[\n{\"id\":1,\"name\":\"c\",\"user_limit\":-1}]"),
      RANGE, "/guilds/0/channels/0/user_limit", "-1", "an integer of 0",
      3, 33 },
    { DIR("\"channels\":[\n{\"id\":1,\"name\":\"c\","
          "\"rate_limit_per_user\":21601}]"),
      RANGE, "/guilds/0/channels/0/rate_limit_per_user", "21601", "seconds",
      3, 42 },
    { DIR("\"channels\":[\n{\"id\":1,\"name\":\"c\",\"nsfw\":\"no\"}]"),
      FORMAT, "/guilds/0/channels/0/nsfw", "\"no\"", "true or false", 3, 27 },
    { DIR("\"channels\":[\n{\"id\":1,\"name\":\"c\",\"topic\":1e3}]"),
      FORMAT, "/guilds/0/channels/0/topic", "1e3", "a string of at most", 3,
      28 },
    { DIR("\"channels\":[\n{\"id\":1,\"name\":\"c\",\"rtc_region\":\"\"}]"),
      RANGE, "/guilds/0/channels/0/rtc_region", "\"\"",
      "a string of 1 to 64", 3, 33 },
    { DIR("\"channels\":[\n{\"id\":1,\"name\":\"c\",\"parent_id\":\"x\"}]"),
      FORMAT, "/guilds/0/channels/0/parent_id", "\"x\"", FLAKE, 3, 32 },
    { DIR("\"channels\":[{\"id\":9,\"name\":\"d\"},"
          "\n{\"id\":1,\"name\":\"c\",\"parent_id\":8}]"),
      RANGE, "/guilds/0/channels/1/parent_id", "8", "a channel of type 4", 3,
      1 },
    { DIR("\"channels\":[{\"id\":9,\"name\":\"d\"},"
          "\n{\"id\":1,\"name\":\"c\",\"parent_id\":9}]"),
      RANGE, "/guilds/0/channels/1/parent_id", "9", "a channel of type 4", 3,
      1 },
    { DIR("\"channels\":[{\"id\":9,\"name\":\"d\"},{\"id\":8,\"name\":\"e\"},"
          "\n{\"id\":9,\"name\":\"c\"}]"),
      RANGE, "/guilds/0/channels/2/id", "9 again", "an id that no other", 3,
      1 },
    { "[" GUILD("\"channels\":[{\"id\":2,\"name\":\"c\"}]")
      ",\n{\"id\":2000,\"name\":\"h\",\"owner_id\":1,\"channels\":"
      "[{\"id\":3,\"name\":\"d\"},\n{\"id\":2,\"name\":\"e\"}]}]",
      RANGE, "/1/channels/1/id", "2 again", "an id that no other channel", 3,
      7 },

    /* overwrites */
    { DIR("\"channels\":[{\"id\":1,\"name\":\"c\",\"permission_overwrites\":"
          "\n\"none\"}]"),
      FORMAT, "/guilds/0/channels/0/permission_overwrites", "\"none\"",
      "an array", 3, 1 },
    { DIR("\"channels\":[{\"id\":1,\"name\":\"c\",\"permission_overwrites\":["
          "\n1]}]"),
      FORMAT, "/guilds/0/channels/0/permission_overwrites/0", "1",
      "an object", 3, 1 },
    { DIR("\"channels\":[{\"id\":1,\"name\":\"c\",\"permission_overwrites\":["
          "\n{\"id\":1}]}]"),
      FORMAT, "/guilds/0/channels/0/permission_overwrites/0/type", "nothing",
      "0 for a role", 3, 1 },
    { DIR("\"channels\":[{\"id\":1,\"name\":\"c\",\"permission_overwrites\":["
          "\n{\"id\":1,\"type\":2}]}]"),
      RANGE, "/guilds/0/channels/0/permission_overwrites/0/type", "2",
      "0 for a role", 3, 16 },
    { DIR("\"channels\":[{\"id\":1,\"name\":\"c\",\"permission_overwrites\":["
          "\n{\"id\":1,\"type\":\"user\"}]}]"),
      RANGE, "/guilds/0/channels/0/permission_overwrites/0/type", "\"user\"",
      "0 for a role", 3, 16 },
    { DIR("\"channels\":[{\"id\":1,\"name\":\"c\",\"permission_overwrites\":["
          "{\"id\":1,\"type\":0},\n{\"id\":2,\"type\":0,\"allow\":\"all\"}"
          "]}]"),
      FORMAT, "/guilds/0/channels/0/permission_overwrites/1/allow", "\"all\"",
      BITS, 3, 26 },
    { DIR("\"channels\":[{\"id\":1,\"name\":\"c\",\"permission_overwrites\":["
          "{\"id\":1,\"type\":0},\n{\"id\":2,\"type\":0,\"deny\":true}]}]"),
      FORMAT, "/guilds/0/channels/0/permission_overwrites/1/deny", "true",
      BITS, 3, 25 },
    { DIR("\"channels\":[{\"id\":1,\"name\":\"c\",\"permission_overwrites\":["
          "{\"id\":1,\"type\":0},{\"id\":1,\"type\":1},"
          "\n{\"id\":1,\"type\":0}]}]"),
      RANGE, "/guilds/0/channels/0/permission_overwrites/2/id", "1 again",
      "an id that no other overwrite", 3, 1 },

    /* members */
    { DIR("\"members\":[\n{}]"), FORMAT, "/guilds/0/members/0/user",
      "nothing", "an object", 3, 1 },
    { DIR("\"members\":[\n{\"user\":\"501\"}]"), FORMAT,
      "/guilds/0/members/0/user", "\"501\"", "an object", 3, 9 },
    { DIR("\"members\":[\n{\"user\":{\"username\":\"u\"}}]"), FORMAT,
      "/guilds/0/members/0/user/id", "nothing", FLAKE, 3, 9 },
    { DIR("\"members\":[\n{\"user\":{\"id\":1}}]"), FORMAT,
      "/guilds/0/members/0/user/username", "nothing", NAME, 3, 9 },
    { DIR("\"members\":[\n{\"user\":{\"id\":1,\"username\":\"u\",\"bot\":0}}"
          "]"),
      FORMAT, "/guilds/0/members/0/user/bot", "0", "true or false", 3, 38 },
    { DIR("\"members\":[\n{\"user\":{\"id\":1,\"username\":\"u\","
          "\"avatar\":\"\"}}]"),
      RANGE, "/guilds/0/members/0/user/avatar", "\"\"",
      "a string of 1 to 64", 3, 41 },
    { DIR("\"members\":[\n{\"user\":{\"id\":1,\"username\":\"u\","
          "\"global_name\":\"\"}}]"),
      RANGE, "/guilds/0/members/0/user/global_name", "\"\"", NAME, 3, 46 },
    { DIR("\"members\":[\n{\"user\":{\"id\":1,\"username\":\"u\"},"
          "\"nick\":7}]"),
      FORMAT, "/guilds/0/members/0/nick", "7", NAME, 3, 40 },
    { DIR("\"members\":[\n{\"user\":{\"id\":1,\"username\":\"u\"},"
          "\"joined_at\":\"2020-02-30T00:00:00Z\"}]"),
      RANGE, "/guilds/0/members/0/joined_at", "\"2020-02-30T00:00:00Z\"",
      "a time", 3, 45 },
    { DIR("\"members\":[\n{\"user\":{\"id\":1,\"username\":\"u\"},"
          "\"mute\":\"yes\"}]"),
      FORMAT, "/guilds/0/members/0/mute", "\"yes\"", "true or false", 3, 40 },
    { DIR("\"members\":[\n{\"user\":{\"id\":1,\"username\":\"u\"},"
          "\"roles\":[\"1000\",7]}]"),
      RANGE, "/guilds/0/members/0/roles/1", "7", "the id of a role", 3, 49 },
    { DIR("\"members\":[\n{\"user\":{\"id\":1,\"username\":\"u\"},"
          "\"roles\":[{}]}]"),
      FORMAT, "/guilds/0/members/0/roles/0", "an object", FLAKE, 3, 42 },
    { DIR("\"members\":[\n{\"user\":{\"id\":1,\"username\":\"u\"}},"
          "\n{\"user\":{\"id\":\"1\",\"username\":\"v\"}}]"),
      RANGE, "/guilds/0/members/1/user/id", "1 again", "a user that occurs",
      4, 1 }
};


static void
check_error(const error_case_t *c, voice_err_t err,
    const voice_dir_error_t *error)
{
    if (err != c->err || strcmp(error->pointer, c->pointer) != 0
        || strcmp(error->found, c->found) != 0
        || strncmp(error->expected, c->expected, strlen(c->expected)) != 0
        || error->line != c->line || error->column != c->column)
    {
        fail_msg("%s\n  is %s at \"%s\" %u:%u, found %s, expected %s",
                 c->text, voice_err_name(err), error->pointer, error->line,
                 error->column, error->found, error->expected);
    }
}


static void
directory_errors(void **state)
{
    char               *text;
    size_t              i, len;
    voice_err_t         err;
    test_alloc_t        t;
    voice_dir_error_t   error;
    voice_directory_t  *dir;

    (void) state;

    for (i = 0; i < test_n(errors); i++) {
        len = strlen(errors[i].text);
        text = (char *) test_copy(errors[i].text, len);

        test_alloc_init(&t, -1);
        dir = NULL;
        memset(&error, 0xa5, sizeof(error));

        err = voice_directory_parse(text, len, &t.alloc, &dir, &error);

        check_error(&errors[i], err, &error);
        assert_null(dir);
        test_num("blocks left", t.live, 0);

        free(text);
    }
}


/* Text of n times a pattern with a number in it, between two others. */
static char *
repeated(const char *before, const char *pattern, size_t n,
    const char *after, size_t *len)
{
    size_t       i;
    const char  *p;
    voice_buf_t  b;

    voice_buf_growing(&b, NULL, SIZE_MAX / 4);
    voice_buf_puts(&b, before);

    for (i = 0; i < n; i++) {
        voice_buf_puts(&b, i != 0 ? "," : "");

        for (p = pattern; *p != '\0'; p++) {
            if (*p == '#') {
                voice_buf_uint(&b, 100000 + i);

            } else {
                voice_buf_put(&b, p, 1);
            }
        }
    }

    voice_buf_puts(&b, after);
    test_err("text", voice_buf_done(&b), VOICE_OK);
    *len = b.len;

    return b.data;
}


typedef struct {
    const char   *name;
    const char   *before;
    const char   *pattern;
    const char   *after;
    size_t        max;
    const char   *pointer;
} cap_case_t;


static const cap_case_t  caps[] = {
    { "roles", "[" G ",\"roles\":[", "{\"id\":#,\"name\":\"r\"}", "]}]",
      VOICE_DIR_ROLES_MAX, "/0/roles" },
    { "channels", "[" G ",\"channels\":[", "{\"id\":#,\"name\":\"c\"}", "]}]",
      VOICE_DIR_CHANNELS_MAX, "/0/channels" },
    { "overwrites",
      "[" G ",\"channels\":[{\"id\":1,\"name\":\"c\","
      "\"permission_overwrites\":[", "{\"id\":#,\"type\":1}", "]}]}]",
      VOICE_DIR_OVERWRITES_MAX, "/0/channels/0/permission_overwrites" },
    { "members", "[" G ",\"members\":[",
      "{\"user\":{\"id\":#,\"username\":\"u\"}}", "]}]",
      VOICE_DIR_MEMBERS_MAX, "/0/members" },
    { "roles of a member",
      "[" G ",\"members\":[{\"user\":{\"id\":1,\"username\":\"u\"},"
      "\"roles\":[", "1000", "]}]}]",
      VOICE_DIR_ROLES_MAX, "/0/members/0/roles" },
    { "guilds", "[", "{\"id\":#,\"name\":\"g\",\"owner_id\":1}", "]",
      VOICE_DIR_GUILDS_MAX, "" }
};


static void
directory_caps(void **state)
{
    char               *text;
    size_t              i, len;
    voice_dir_error_t   error;
    voice_directory_t  *dir;
    const cap_case_t   *c;

    (void) state;

    for (i = 0; i < test_n(caps); i++) {
        c = &caps[i];

        text = repeated(c->before, c->pattern, c->max, c->after, &len);
        test_err(c->name, voice_directory_parse(text, len, NULL, &dir, &error),
                 VOICE_OK);
        voice_directory_free(dir);
        free(text);

        text = repeated(c->before, c->pattern, c->max + 1, c->after, &len);
        test_err(c->name, voice_directory_parse(text, len, NULL, &dir, &error),
                 VOICE_E_LENGTH);
        assert_string_equal(error.pointer, c->pointer);
        assert_memory_equal(error.found, "more than ", 10);
        free(text);
    }
}


/* Characters count, not bytes. */
static void
directory_long_texts(void **state)
{
    char                text[8192];
    size_t              i, n;
    voice_err_t         err;
    voice_dir_error_t   error;
    voice_dir_guild_t  *g;

    (void) state;

    for (n = 1023; n <= 1025; n++) {
        strcpy(text, "{\"id\":1,\"owner_id\":1,\"name\":\"x\","
               "\"description\":\"");

        for (i = 0; i < n; i++) {
            strcat(text, "\xf0\x9f\x8e\x99");
        }

        strcat(text, "\"}");

        err = voice_dir_guild_parse(text, strlen(text), 0, NULL, &g, &error);
        test_err("characters", err, n <= 1024 ? VOICE_OK : VOICE_E_RANGE);

        if (err == VOICE_OK) {
            test_num("bytes", strlen(g->description), n * 4);
            voice_dir_guild_free(g);
        }
    }

    /* by its length alone: nothing of it is read */
    test_err("too long", voice_dir_guild_parse("", VOICE_DIR_GUILD_TEXT_MAX
                                               + 1, 0, NULL, &g, &error),
             VOICE_E_LENGTH);
    assert_string_equal(error.found, "33554433 bytes");
    assert_string_equal(error.expected, "at most 33554432 bytes");
}


/* Each start of a good text is an error, and reads nothing behind its end. */
static void
directory_truncated(void **state)
{
    char               *text;
    size_t              len;
    test_alloc_t        t;
    voice_dir_error_t   error;
    voice_directory_t  *dir;

    (void) state;

    for (len = 0; len < strlen(full) - 1; len++) {
        text = (char *) test_copy(full, len);
        test_alloc_init(&t, -1);

        test_err("cut", voice_directory_parse(text, len, &t.alloc, &dir,
                                              &error),
                 VOICE_E_FORMAT);
        assert_string_equal(error.pointer, "");
        test_num("blocks", t.count, 0);

        free(text);
    }
}


static void
directory_error_text(void **state)
{
    char               text[256], few[8];
    voice_dir_error_t  error;

    (void) state;

    memset(&error, 0, sizeof(error));
    strcpy(error.pointer, "/guilds/0/name");
    strcpy(error.found, "5");
    error.expected = "a string";
    error.line = 3;
    error.column = 14;

    voice_dir_error_text(&error, text, sizeof(text));
    assert_string_equal(text, "line 3, column 14: /guilds/0/name: found 5, "
                        "expected a string");

    error.line = 0;
    voice_dir_error_text(&error, text, sizeof(text));
    assert_string_equal(text, "/guilds/0/name: found 5, expected a string");

    error.pointer[0] = '\0';
    voice_dir_error_text(&error, text, sizeof(text));
    assert_string_equal(text, "found 5, expected a string");

    voice_dir_error_text(&error, few, sizeof(few));
    assert_string_equal(few, "found 5");
}


static void
directory_guild_ids(void **state)
{
    voice_dir_error_t   error;
    voice_dir_guild_t  *g;

    (void) state;

    test_err("named by the caller",
             voice_dir_guild_parse("{\"name\":\"g\",\"owner_id\":1}", 25, 77,
                                   NULL, &g, &error), VOICE_OK);
    test_num("id", g->id, 77);
    test_num("everyone", g->role[0].id, 77);
    voice_dir_guild_free(g);

    test_err("the same", voice_dir_guild_parse(G "}", strlen(G) + 1, 1000,
                                               NULL, &g, &error), VOICE_OK);
    test_num("id", g->id, 1000);
    voice_dir_guild_free(g);

    test_err("another", voice_dir_guild_parse(G "}", strlen(G) + 1, 77, NULL,
                                              &g, &error), VOICE_E_RANGE);
    assert_string_equal(error.pointer, "/id");
    assert_string_equal(error.found, "1000");

    test_err("none", voice_dir_guild_parse("{\"name\":\"g\",\"owner_id\":1}",
                                           25, 0, NULL, &g, &error),
             VOICE_E_FORMAT);
    assert_string_equal(error.pointer, "/id");
    assert_string_equal(error.found, "nothing");
}


/* What is written is read again as the same. */
static void
directory_round_trip(void **state)
{
    char                     *one, *two;
    size_t                    i;
    voice_directory_t        *dir;
    voice_dir_guild_t        *again;
    const voice_dir_guild_t  *g;

    (void) state;

    dir = directory_of(full);

    for (i = 0; i < voice_directory_count(dir); i++) {
        g = voice_directory_at(dir, i);
        one = json_of(g);
        again = guild_of(one);
        two = json_of(again);

        assert_string_equal(one, two);

        if (g->id == 1000) {
            check_roles(again);
            check_members(again);
            test_num("afk", again->afk_channel_id, 2003);
            test_num("overwrites", again->channel[1].noverwrites, 3);
        }

        voice_dir_guild_free(again);
        free(one);
        free(two);
    }

    voice_directory_free(dir);
}


#define BASE                                                                  \
    "{\"id\":\"1000\",\"name\":\"g\",\"owner_id\":\"501\",\"region\":\"r\","  \
    "\"afk_channel_id\":\"2\",\"afk_timeout\":60,"                            \
    "\"roles\":[{\"id\":\"5\",\"name\":\"five\"},"                            \
    "{\"id\":\"6\",\"name\":\"six\"}],"                                       \
    "\"channels\":[{\"id\":\"2\",\"name\":\"two\"}],"                         \
    "\"members\":[{\"user\":{\"id\":\"501\",\"username\":\"u\"},"             \
    "\"roles\":[\"5\",\"6\"]}]}"

/* whole: the guild as it should be then */
typedef struct {
    const char   *name;
    const char   *patch;
    const char   *whole;
} patch_case_t;


static const patch_case_t  patches[] = {

    { "nothing", "{}", BASE },

    { "unknown keys", "{\"x\":1,\"y\":{\"name\":\"no\"}}", BASE },

    { "a name", "{\"name\":\"new\"}",
      "{\"id\":\"1000\",\"name\":\"new\",\"owner_id\":\"501\","
      "\"region\":\"r\",\"afk_channel_id\":\"2\",\"afk_timeout\":60,"
      "\"roles\":[{\"id\":\"5\",\"name\":\"five\"},"
      "{\"id\":\"6\",\"name\":\"six\"}],"
      "\"channels\":[{\"id\":\"2\",\"name\":\"two\"}],"
      "\"members\":[{\"user\":{\"id\":\"501\",\"username\":\"u\"},"
      "\"roles\":[\"5\",\"6\"]}]}" },

    { "null takes away", "{\"region\":null,\"afk_channel_id\":null,"
      "\"afk_timeout\":null,\"members\":null}",
      "{\"id\":\"1000\",\"name\":\"g\",\"owner_id\":\"501\","
      "\"roles\":[{\"id\":\"5\",\"name\":\"five\"},"
      "{\"id\":\"6\",\"name\":\"six\"}],"
      "\"channels\":[{\"id\":\"2\",\"name\":\"two\"}]}" },

    { "members lose roles that are gone",
      "{\"roles\":[{\"id\":\"6\",\"name\":\"six\",\"permissions\":\"8\"}]}",
      "{\"id\":\"1000\",\"name\":\"g\",\"owner_id\":\"501\","
      "\"region\":\"r\",\"afk_channel_id\":\"2\",\"afk_timeout\":60,"
      "\"roles\":[{\"id\":\"6\",\"name\":\"six\",\"permissions\":\"8\"}],"
      "\"channels\":[{\"id\":\"2\",\"name\":\"two\"}],"
      "\"members\":[{\"user\":{\"id\":\"501\",\"username\":\"u\"},"
      "\"roles\":[\"6\"]}]}" },

    { "the AFK channel is gone",
      "{\"channels\":[{\"id\":\"3\",\"name\":\"three\"}]}",
      "{\"id\":\"1000\",\"name\":\"g\",\"owner_id\":\"501\","
      "\"region\":\"r\",\"afk_timeout\":60,"
      "\"roles\":[{\"id\":\"5\",\"name\":\"five\"},"
      "{\"id\":\"6\",\"name\":\"six\"}],"
      "\"channels\":[{\"id\":\"3\",\"name\":\"three\"}],"
      "\"members\":[{\"user\":{\"id\":\"501\",\"username\":\"u\"},"
      "\"roles\":[\"5\",\"6\"]}]}" },

    { "everything",
      "{\"id\":1000,\"name\":\"h\",\"owner_id\":7,\"region\":\"s\","
      "\"afk_channel_id\":3,\"afk_timeout\":61,\"roles\":[],\"channels\":"
      "[{\"id\":\"3\",\"name\":\"three\"}],\"members\":[]}",
      "{\"id\":1000,\"name\":\"h\",\"owner_id\":7,\"region\":\"s\","
      "\"afk_channel_id\":3,\"afk_timeout\":61,\"roles\":[],\"channels\":"
      "[{\"id\":\"3\",\"name\":\"three\"}],\"members\":[]}" }
};


static void
directory_patches(void **state)
{
    char                *one, *two;
    size_t               i;
    voice_err_t          err;
    voice_dir_error_t    error;
    voice_dir_guild_t   *base, *patched, *whole;
    const patch_case_t  *c;

    (void) state;

    base = guild_of(BASE);

    for (i = 0; i < test_n(patches); i++) {
        c = &patches[i];

        err = voice_dir_guild_patch(base, c->patch, strlen(c->patch), NULL,
                                    &patched, &error);
        test_err(c->name, err, VOICE_OK);

        whole = guild_of(c->whole);
        one = json_of(patched);
        two = json_of(whole);

        if (strcmp(one, two) != 0) {
            fail_msg("%s:\n%s\n%s", c->name, one, two);
        }

        voice_dir_guild_free(patched);
        voice_dir_guild_free(whole);
        free(one);
        free(two);
    }

    voice_dir_guild_free(base);
}


static const error_case_t  patch_errors[] = {
    { "", FORMAT, "", "the end of the text", "JSON", 1, 1 },
    { "{\"name\":\n}", FORMAT, "", "}", "JSON", 2, 1 },
    { "[]", FORMAT, "", "an array", "an object", 1, 1 },
    { "{\"name\":null}", FORMAT, "/name", "null", NAME, 1, 9 },
    { "{\n\"name\":\"\"}", RANGE, "/name", "\"\"", NAME, 2, 8 },
    { "{\"id\":1}", RANGE, "/id", "1", "the id", 1, 1 },
    { "{\"roles\":{\"0\":{}}}", FORMAT, "/roles", "an object", "an array", 1,
      10 },
    { "{\"roles\":[],\"members\":[\n{\"user\":{\"id\":1,\"username\":\"u\"},"
      "\"roles\":[5]}]}", RANGE, "/members/0/roles/0", "5",
      "the id of a role", 2, 42 },
    { "{\"channels\":[],\"afk_channel_id\":2}", RANGE, "/afk_channel_id",
      "2", "a channel of type 2", 1, 1 },
    { "{\"name\":\"a\",\"name\":\"b\"}", FORMAT, "/name", "the key twice",
      NAME, 1, 20 }
};


static void
directory_patch_errors(void **state)
{
    size_t              i;
    voice_err_t         err;
    test_alloc_t        t;
    voice_dir_error_t   error;
    voice_dir_guild_t  *base, *patched;

    (void) state;

    base = guild_of(BASE);

    for (i = 0; i < test_n(patch_errors); i++) {
        test_alloc_init(&t, -1);
        memset(&error, 0xa5, sizeof(error));

        err = voice_dir_guild_patch(base, patch_errors[i].text,
                                    strlen(patch_errors[i].text), &t.alloc,
                                    &patched, &error);

        check_error(&patch_errors[i], err, &error);
        test_num("blocks left", t.live, 0);
    }

    voice_dir_guild_free(base);
}


static voice_dir_guild_t *
guild_number(uint64_t id, unsigned nchannels, const voice_alloc_t *alloc)
{
    unsigned            i;
    voice_buf_t         b;
    voice_dir_error_t   error;
    voice_dir_guild_t  *g;

    voice_buf_growing(&b, NULL, 1000000);
    voice_buf_puts(&b, "{\"name\":\"g\",\"owner_id\":1,\"channels\":[");

    for (i = 0; i < nchannels; i++) {
        voice_buf_printf(&b, "%s{\"id\":\"%llu\",\"name\":\"c\"}",
                         i != 0 ? "," : "",
                         (unsigned long long) id * 1000 + i);
    }

    voice_buf_puts(&b, "]}");
    test_err("text", voice_buf_done(&b), VOICE_OK);
    test_err("guild", voice_dir_guild_parse(b.data, b.len, id, alloc, &g,
                                            &error), VOICE_OK);
    voice_buf_free(&b);

    return g;
}


#define MODEL_GUILDS   60

/* The number of channels of each guild; -1: it isn't there. */
static void
check_model(const voice_directory_t *dir, const int *model)
{
    int                         i, k;
    size_t                      n;
    uint64_t                    id;
    const voice_dir_guild_t    *g, *owner;
    const voice_dir_channel_t  *c;

    for (i = 0, n = 0; i < MODEL_GUILDS; i++) {
        id = (uint64_t) i + 1;
        g = voice_directory_guild(dir, id);

        if ((g != NULL) != (model[i] >= 0)) {
            fail_msg("guild %d: there %d, expected %d", i, g != NULL,
                     model[i] >= 0);
        }

        n += g != NULL;

        for (k = 0; k < 12; k++) {
            c = voice_directory_channel(dir, id * 1000 + (uint64_t) k, &owner);

            if ((c != NULL) != (k < model[i])) {
                fail_msg("channel %d of %d", k, i);
            }

            if (c != NULL) {
                assert_ptr_equal(owner, g);
                assert_ptr_equal(c, voice_dir_channel(g, c->id));
            }
        }
    }

    test_num("guilds", voice_directory_count(dir), n);

    for (i = 0; i < (int) n; i++) {
        g = voice_directory_at(dir, (size_t) i);
        assert_ptr_equal(g, voice_directory_guild(dir, g->id));
    }
}


/* Guilds that come, change and go in an order without order. */
static void
directory_put_and_remove(void **state)
{
    int                 i, slot, model[MODEL_GUILDS];
    uint32_t            seed;
    voice_dir_error_t   error;
    voice_dir_guild_t  *g, *old;
    voice_directory_t  *dir;

    (void) state;

    memset(model, 0xff, sizeof(model));
    dir = voice_directory_create(NULL);
    assert_non_null(dir);
    seed = 1;

    for (i = 0; i < 3000; i++) {
        seed = seed * 1664525 + 1013904223;
        slot = (int) (seed >> 8) % MODEL_GUILDS;

        if ((seed >> 20) % 3 == 0) {
            g = voice_directory_remove(dir, (uint64_t) slot + 1);
            assert_true((g != NULL) == (model[slot] >= 0));
            voice_dir_guild_free(g);
            model[slot] = -1;

        } else {
            g = guild_number((uint64_t) slot + 1, (seed >> 24) % 12, NULL);
            test_err("put", voice_directory_put(dir, g, &old, &error),
                     VOICE_OK);
            assert_true((old != NULL) == (model[slot] >= 0));

            if (old != NULL) {
                test_num("the old one", old->nchannels, model[slot]);
            }

            voice_dir_guild_free(old);
            model[slot] = (int) ((seed >> 24) % 12);
        }

        check_model(dir, model);
    }

    voice_directory_free(dir);
}


static void
directory_put_refuses_foreign_channels(void **state)
{
    voice_dir_error_t         error;
    voice_dir_guild_t        *g, *old;
    voice_directory_t        *dir;
    const voice_dir_guild_t  *owner;

    (void) state;

    dir = directory_of("[" GUILD("\"channels\":[{\"id\":2,\"name\":\"c\"}]")
                       "]");
    g = guild_of("{\"id\":7,\"name\":\"h\",\"owner_id\":1,\"channels\":"
                 "[{\"id\":1,\"name\":\"a\"},{\"id\":2,\"name\":\"b\"}]}");

    test_err("put", voice_directory_put(dir, g, &old, &error), VOICE_E_RANGE);
    assert_string_equal(error.pointer, "/channels");
    assert_string_equal(error.found, "2");
    test_num("line", error.line, 0);
    test_num("guilds", voice_directory_count(dir), 1);
    assert_null(voice_directory_channel(dir, 1, &owner));
    voice_dir_guild_free(g);

    /* its own channels are its own */
    g = guild_of(GUILD("\"channels\":[{\"id\":2,\"name\":\"d\"}]"));
    test_err("put", voice_directory_put(dir, g, &old, &error), VOICE_OK);
    assert_non_null(old);
    assert_string_equal(voice_directory_channel(dir, 2, &owner)->name, "d");
    assert_ptr_equal(owner, g);
    voice_dir_guild_free(old);

    assert_null(voice_directory_remove(dir, 7));
    voice_directory_free(dir);
}


static void
directory_allocations_fail(void **state)
{
    long                n;
    voice_err_t         err;
    test_alloc_t        t;
    voice_dir_error_t   error;
    voice_directory_t  *dir;

    (void) state;

    for (n = 0; n < 1000; n++) {
        test_alloc_init(&t, n);
        dir = NULL;
        err = voice_directory_parse(full, strlen(full), &t.alloc, &dir,
                                    &error);

        if (!t.failed) {
            break;
        }

        test_err("one fails", err, VOICE_E_NOMEM);
        assert_null(dir);
        test_num("blocks left", t.live, 0);
    }

    test_err("at last", err, VOICE_OK);
    assert_in_range(n, 10, 999);
    voice_directory_free(dir);
    test_num("blocks left", t.live, 0);
}


static void
directory_patch_allocations_fail(void **state)
{
    long                n;
    voice_err_t         err;
    test_alloc_t        t;
    voice_dir_error_t   error;
    voice_dir_guild_t  *base, *g;

    (void) state;

    base = guild_of(BASE);

    for (n = 0; n < 100; n++) {
        test_alloc_init(&t, n);
        g = NULL;
        err = voice_dir_guild_patch(base, "{\"name\":\"x\"}", 12, &t.alloc, &g,
                                    &error);

        if (!t.failed) {
            break;
        }

        test_err("one fails", err, VOICE_E_NOMEM);
        assert_null(g);
        test_num("blocks left", t.live, 0);
    }

    test_err("at last", err, VOICE_OK);
    assert_in_range(n, 5, 99);
    voice_dir_guild_free(g);
    voice_dir_guild_free(base);
    test_num("blocks left", t.live, 0);
}


/* A put that fails has changed nothing. */
static void
directory_put_allocations_fail(void **state)
{
    int                 i, k, failures, model[MODEL_GUILDS];
    voice_err_t         err;
    test_alloc_t        t;
    voice_dir_error_t   error;
    voice_dir_guild_t  *g, *old;
    voice_directory_t  *dir;

    (void) state;

    test_alloc_init(&t, -1);
    memset(model, 0xff, sizeof(model));
    dir = voice_directory_create(&t.alloc);
    assert_non_null(dir);
    failures = 0;

    for (i = 0; i < MODEL_GUILDS; i++) {
        g = guild_number((uint64_t) i + 1, 11, NULL);

        /* at most three: the list and the two indexes */
        for (k = 0; k < 4; k++) {
            t.fail = t.count;
            t.failed = false;
            err = voice_directory_put(dir, g, &old, &error);

            if (!t.failed) {
                break;
            }

            test_err("put", err, VOICE_E_NOMEM);
            check_model(dir, model);
            failures++;

            /* the next attempt gets one allocation further */
            t.fail = t.count + 1;
            t.failed = false;
            err = voice_directory_put(dir, g, &old, &error);

            if (!t.failed) {
                break;
            }

            test_err("put", err, VOICE_E_NOMEM);
            check_model(dir, model);
            failures++;
        }

        test_err("put", err, VOICE_OK);
        assert_null(old);
        model[i] = 11;
        check_model(dir, model);
    }

    assert_in_range(failures, 6, 3 * MODEL_GUILDS);
    voice_directory_free(dir);
    test_num("blocks left", t.live, 0);
}


static void
directory_lookups(void **state)
{
    char                *text;
    size_t               len, i;
    voice_dir_error_t    error;
    voice_dir_guild_t   *g;
    voice_dir_member_t   member;

    (void) state;

    text = repeated("{\"id\":1,\"name\":\"g\",\"owner_id\":1,\"members\":[",
                    "{\"user\":{\"id\":#,\"username\":\"u\"}}", 1001, "]}",
                    &len);
    test_err("guild", voice_dir_guild_parse(text, len, 0, NULL, &g, &error),
             VOICE_OK);
    free(text);

    for (i = 0; i < 1001; i++) {
        test_num("member", voice_dir_member(g, 100000 + i)->user.id,
                 100000 + i);
    }

    assert_null(voice_dir_member(g, 99999));
    assert_null(voice_dir_member(g, 101001));
    assert_null(voice_dir_member(g, UINT64_MAX));
    assert_null(voice_dir_channel(g, 1));
    assert_null(voice_dir_role(g, 2));
    assert_non_null(voice_dir_role(g, 1));
    voice_dir_guild_free(g);

    voice_dir_member_make(&member, 9, "nine", true);
    test_num("id", member.user.id, 9);
    assert_string_equal(member.user.username, "nine");
    assert_string_equal(member.user.discriminator, "0");
    assert_true(member.user.bot);
    assert_null(member.user.avatar);
    assert_null(member.nick);
    test_num("roles", member.nroles, 0);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(directory_full),
        cmocka_unit_test(directory_forms),
        cmocka_unit_test(directory_errors),
        cmocka_unit_test(directory_caps),
        cmocka_unit_test(directory_long_texts),
        cmocka_unit_test(directory_truncated),
        cmocka_unit_test(directory_error_text),
        cmocka_unit_test(directory_guild_ids),
        cmocka_unit_test(directory_round_trip),
        cmocka_unit_test(directory_patches),
        cmocka_unit_test(directory_patch_errors),
        cmocka_unit_test(directory_put_and_remove),
        cmocka_unit_test(directory_put_refuses_foreign_channels),
        cmocka_unit_test(directory_allocations_fail),
        cmocka_unit_test(directory_patch_allocations_fail),
        cmocka_unit_test(directory_put_allocations_fail),
        cmocka_unit_test(directory_lookups)
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
