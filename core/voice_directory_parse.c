/*
 * Copyright (C) ngx-voice contributors
 *
 * One guild from JSON.  What refers to something comes after it: roles, then
 * channels, then members.
 */


#include "voice_directory_internal.h"
#include "voice_permission.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>


typedef struct {
    uint64_t               id;
    uint64_t               owner_id;
    uint64_t               afk_channel_id;
    const char            *name;
    const char            *icon;
    const char            *description;
    const char            *region;
    const char            *joined_at;
    uint32_t               afk_timeout;
    voice_json_t           roles;
    voice_json_t           channels;
    voice_json_t           members;
} dir_guild_raw_t;

/* What a guild is, and how it is freed. */
typedef struct {
    voice_dir_guild_t      guild;
    voice_arena_t          arena;
} dir_guild_memory_t;


/* The order is that of the bits in `fell`. */
enum {
    DIR_GUILD_AFK_CHANNEL = 0,
    DIR_GUILD_MEMBERS = 1
};

static const dir_field_t  guild_fields[] = {

    { "afk_channel_id", DIR_ID, false,
      offsetof(dir_guild_raw_t, afk_channel_id), 0, 0, DIR_A_SNOWFLAKE },

    { "members", DIR_ARRAY, false,
      offsetof(dir_guild_raw_t, members), 0, 0, DIR_AN_ARRAY },

    { "id", DIR_ID, false,
      offsetof(dir_guild_raw_t, id), 0, 0, DIR_A_SNOWFLAKE },

    { "name", DIR_STRING, true,
      offsetof(dir_guild_raw_t, name), 1, VOICE_DIR_NAME_MAX, DIR_A_NAME },

    { "owner_id", DIR_ID, true,
      offsetof(dir_guild_raw_t, owner_id), 0, 0, DIR_A_SNOWFLAKE },

    { "icon", DIR_WORD, false,
      offsetof(dir_guild_raw_t, icon), 0, 0, DIR_A_WORD },

    { "description", DIR_STRING, false,
      offsetof(dir_guild_raw_t, description), 0, VOICE_DIR_TOPIC_MAX,
      "a string of at most 1024 characters" },

    { "region", DIR_WORD, false,
      offsetof(dir_guild_raw_t, region), 0, 0, DIR_A_WORD },

    { "joined_at", DIR_TIME, false,
      offsetof(dir_guild_raw_t, joined_at), 0, 0, DIR_A_TIME },

    { "afk_timeout", DIR_UINT, false,
      offsetof(dir_guild_raw_t, afk_timeout), 1, VOICE_DIR_AFK_TIMEOUT_MAX,
      "seconds: an integer of 1 to 86400" },

    { "roles", DIR_ARRAY, false,
      offsetof(dir_guild_raw_t, roles), 0, 0, DIR_AN_ARRAY },

    { "channels", DIR_ARRAY, false,
      offsetof(dir_guild_raw_t, channels), 0, 0, DIR_AN_ARRAY }
};


static const dir_field_t  role_fields[] = {

    { "id", DIR_ID, true,
      offsetof(voice_dir_role_t, id), 0, 0, DIR_A_SNOWFLAKE },

    { "name", DIR_STRING, true,
      offsetof(voice_dir_role_t, name), 1, VOICE_DIR_NAME_MAX, DIR_A_NAME },

    { "permissions", DIR_PERMISSIONS, false,
      offsetof(voice_dir_role_t, permissions), 0, 0, DIR_PERMISSION_BITS },

    { "position", DIR_INT, false,
      offsetof(voice_dir_role_t, position), 0, INT32_MAX, DIR_A_POSITION },

    { "color", DIR_UINT, false,
      offsetof(voice_dir_role_t, color), 0, 0xffffff,
      "a colour: an integer of 0 to 16777215" },

    { "hoist", DIR_BOOL, false,
      offsetof(voice_dir_role_t, hoist), 0, 0, DIR_A_BOOLEAN },

    { "managed", DIR_BOOL, false,
      offsetof(voice_dir_role_t, managed), 0, 0, DIR_A_BOOLEAN },

    { "mentionable", DIR_BOOL, false,
      offsetof(voice_dir_role_t, mentionable), 0, 0, DIR_A_BOOLEAN }
};


/* Each of the structs that are sorted begins with its id. */
static int
dir_id_compare(const void *one, const void *two)
{
    const uint64_t  *a = one, *b = two;

    return *a < *b ? -1 : *a > *b;
}


void
dir_sort(void *items, size_t n, size_t size)
{
    if (n > 1) {
        qsort(items, n, size, dir_id_compare);
    }
}


voice_err_t
dir_items(dir_reader_t *r, dir_build_t *build, const voice_json_t *array,
    uint32_t n, dir_item_pt item, const char *where, const char *unique,
    dir_key_t **keys)
{
    size_t         path;
    uint32_t       i;
    dir_key_t     *key;
    voice_err_t    err;
    voice_json_t   val;

    key = voice_alloc(r->arena->alloc, (n + 1) * sizeof(dir_key_t));
    if (key == NULL) {
        return VOICE_E_NOMEM;
    }

    err = VOICE_OK;
    val.type = VOICE_JSON_ABSENT;

    for (i = 0; i < n && voice_json_next(array, &val); i++) {
        path = dir_push_index(r, i);

        key[i].index = i;
        key[i].type = 0;
        key[i].at = val.start;

        err = item(r, build, &val, &key[i]);
        if (err != VOICE_OK) {
            break;
        }

        dir_pop(r, path);
    }

    if (err == VOICE_OK) {
        err = dir_unique(r, key, n, where, unique);
    }

    if (err != VOICE_OK) {
        voice_free(r->arena->alloc, key);
        return err;
    }

    *keys = key;

    return VOICE_OK;
}


static voice_err_t
dir_role(dir_reader_t *r, dir_build_t *build, const voice_json_t *val,
    dir_key_t *key)
{
    voice_err_t        err;
    voice_dir_role_t  *role;

    role = &build->role[key->index];
    role->permissions = UINT64_MAX;
    role->position = DIR_ABSENT;

    err = dir_object(r, val, NULL, role_fields, dir_nelts(role_fields), role,
                     NULL);
    if (err != VOICE_OK) {
        return err;
    }

    if (role->permissions == UINT64_MAX) {
        role->permissions = role->id == build->guild->id ? VOICE_PERM_EVERYONE
                                                         : 0;
    }

    if (role->position == DIR_ABSENT) {
        role->position = role->id == build->guild->id
                         ? 0 : (int32_t) key->index + 1;
    }

    key->id = role->id;

    return VOICE_OK;
}


static void
dir_everyone(voice_dir_role_t *role, uint64_t guild_id)
{
    role->id = guild_id;
    role->name = "@everyone";
    role->permissions = VOICE_PERM_EVERYONE;
}


static voice_err_t
dir_roles(dir_reader_t *r, dir_build_t *build, const voice_json_t *array)
{
    size_t              path;
    uint32_t            n;
    dir_key_t          *key;
    voice_err_t         err;
    voice_dir_guild_t  *g;

    g = build->guild;
    path = dir_push_key(r, "roles");

    err = dir_count(r, array, VOICE_DIR_ROLES_MAX, "at most 500 roles", &n);
    if (err != VOICE_OK) {
        return err;
    }

    build->role = voice_arena_array(r->arena, n + 1, sizeof(voice_dir_role_t));
    if (build->role == NULL) {
        return VOICE_E_NOMEM;
    }

    err = dir_items(r, build, array, n, dir_role, "id",
                    "an id that no other role of the guild has", &key);
    if (err != VOICE_OK) {
        return err;
    }

    if (dir_key_find(key, n, g->id) == NULL) {
        dir_everyone(&build->role[n++], g->id);
    }

    voice_free(r->arena->alloc, key);
    dir_sort(build->role, n, sizeof(voice_dir_role_t));
    dir_pop(r, path);

    g->role = build->role;
    g->nroles = n;

    return VOICE_OK;
}


static voice_err_t
dir_guild_id(dir_reader_t *r, const voice_json_t *val, uint64_t id,
    dir_guild_raw_t *raw)
{
    uint64_t  found;

    found = raw->id;
    raw->id = found != 0 ? found : id;

    if (raw->id != 0 && (id == 0 || raw->id == id)) {
        return VOICE_OK;
    }

    (void) dir_push_key(r, "id");
    (void) dir_fail(r, VOICE_E_FORMAT, NULL, val->start, DIR_A_SNOWFLAKE);

    if (found == 0) {
        return VOICE_E_FORMAT;
    }

    r->error->expected = "the id that the guild is asked for by";
    (void) snprintf(r->error->found, sizeof(r->error->found), "%" PRIu64,
                    found);

    return VOICE_E_RANGE;
}


static voice_err_t
dir_guild_afk(dir_reader_t *r, const voice_json_t *val,
    const dir_guild_raw_t *raw, uint32_t fell, voice_dir_guild_t *guild)
{
    const voice_dir_channel_t  *channel;

    guild->afk_channel_id = raw->afk_channel_id;

    if (raw->afk_channel_id == 0) {
        return VOICE_OK;
    }

    channel = voice_dir_channel(guild, raw->afk_channel_id);

    if (channel != NULL && channel->type == VOICE_CHANNEL_VOICE) {
        return VOICE_OK;
    }

    if (fell & (1u << DIR_GUILD_AFK_CHANNEL)) {
        guild->afk_channel_id = 0;
        return VOICE_OK;
    }

    (void) dir_push_key(r, "afk_channel_id");
    (void) dir_fail(r, VOICE_E_RANGE, NULL, val->start,
                    "a channel of type 2 (voice) of this guild");
    (void) snprintf(r->error->found, sizeof(r->error->found), "%" PRIu64,
                    raw->afk_channel_id);

    return VOICE_E_RANGE;
}


static voice_err_t
dir_guild(dir_reader_t *r, const voice_json_t *val,
    const voice_json_t *fallback, uint64_t id, voice_dir_guild_t *guild)
{
    uint32_t         fell;
    voice_err_t      err;
    dir_build_t      build;
    dir_guild_raw_t  raw;

    memset(&raw, 0, sizeof(raw));
    memset(&build, 0, sizeof(build));

    raw.afk_timeout = VOICE_DIR_AFK_TIMEOUT;
    raw.joined_at = VOICE_DIR_JOINED_AT;
    fell = 0;

    err = dir_object(r, val, fallback, guild_fields, dir_nelts(guild_fields),
                     &raw, &fell);
    if (err != VOICE_OK) {
        return err;
    }

    err = dir_guild_id(r, val, id, &raw);
    if (err != VOICE_OK) {
        return err;
    }

    guild->id = raw.id;
    guild->owner_id = raw.owner_id;
    guild->name = raw.name;
    guild->icon = raw.icon;
    guild->description = raw.description;
    guild->region = raw.region;
    guild->joined_at = raw.joined_at;
    guild->afk_timeout = raw.afk_timeout;

    build.guild = guild;
    build.drop_roles = (fell & (1u << DIR_GUILD_MEMBERS)) != 0;

    err = dir_roles(r, &build, &raw.roles);

    if (err == VOICE_OK) {
        err = dir_channels(r, &build, &raw.channels);
    }

    if (err == VOICE_OK) {
        err = dir_guild_afk(r, val, &raw, fell, guild);
    }

    if (err == VOICE_OK) {
        err = dir_members(r, &build, &raw.members);
    }

    return err;
}


voice_err_t
dir_guild_make(dir_reader_t *r, const voice_json_t *val,
    const voice_json_t *fallback, uint64_t id, const voice_alloc_t *alloc,
    voice_dir_guild_t **guild)
{
    char                 scratch[VOICE_DIR_TOPIC_MAX * 4 + 1];
    voice_err_t          err;
    voice_arena_t        arena;
    dir_guild_memory_t  *m;

    voice_arena_init(&arena, alloc);

    m = voice_arena_array(&arena, 1, sizeof(dir_guild_memory_t));
    if (m == NULL) {
        return VOICE_E_NOMEM;
    }

    r->arena = &arena;
    r->scratch = scratch;
    r->scratch_size = sizeof(scratch);

    err = dir_guild(r, val, fallback, id, &m->guild);

    r->arena = NULL;
    r->scratch = NULL;

    if (err != VOICE_OK) {
        voice_arena_free(&arena);
        return err;
    }

    m->guild.memory = arena.total;
    m->arena = arena;
    *guild = &m->guild;

    return VOICE_OK;
}


void
voice_dir_guild_free(voice_dir_guild_t *guild)
{
    voice_arena_t  arena;

    if (guild == NULL) {
        return;
    }

    /* the arena's own description lies in it */
    arena = ((dir_guild_memory_t *) guild)->arena;
    voice_arena_free(&arena);
}
