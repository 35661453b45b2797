/*
 * Copyright (C) ngx-voice contributors
 */


#include "voice_directory_internal.h"

#include <string.h>


typedef struct {
    voice_dir_member_t     member;
    voice_json_t           user;
    voice_json_t           roles;
} dir_member_raw_t;


#define member_at(field)                                                      \
    (offsetof(dir_member_raw_t, member)                                       \
     + offsetof(voice_dir_member_t, field))

static const dir_field_t  member_fields[] = {

    { "user", DIR_OBJECT, true, offsetof(dir_member_raw_t, user), 0, 0,
      "an object" },

    { "roles", DIR_ARRAY, false, offsetof(dir_member_raw_t, roles), 0, 0,
      DIR_AN_ARRAY },

    { "nick", DIR_STRING, false, member_at(nick), 1, VOICE_DIR_NAME_MAX,
      DIR_A_NAME },

    { "joined_at", DIR_TIME, false, member_at(joined_at), 0, 0, DIR_A_TIME },

    { "mute", DIR_BOOL, false, member_at(mute), 0, 0, DIR_A_BOOLEAN },

    { "deaf", DIR_BOOL, false, member_at(deaf), 0, 0, DIR_A_BOOLEAN }
};


static const dir_field_t  user_fields[] = {

    { "id", DIR_ID, true, offsetof(voice_dir_user_t, id), 0, 0,
      DIR_A_SNOWFLAKE },

    { "username", DIR_STRING, true, offsetof(voice_dir_user_t, username),
      1, VOICE_DIR_NAME_MAX, DIR_A_NAME },

    { "discriminator", DIR_WORD, false,
      offsetof(voice_dir_user_t, discriminator), 0, 0, DIR_A_WORD },

    { "global_name", DIR_STRING, false,
      offsetof(voice_dir_user_t, global_name), 1, VOICE_DIR_NAME_MAX,
      DIR_A_NAME },

    { "avatar", DIR_WORD, false, offsetof(voice_dir_user_t, avatar), 0, 0,
      DIR_A_WORD },

    { "bot", DIR_BOOL, false, offsetof(voice_dir_user_t, bot), 0, 0,
      DIR_A_BOOLEAN }
};


static voice_err_t
dir_member_role(dir_reader_t *r, const dir_build_t *build,
    const voice_json_t *val, uint64_t *role, uint32_t *n)
{
    uint64_t     id;
    voice_err_t  err;

    err = voice_json_id(val, &id);
    if (err != VOICE_OK) {
        return dir_fail(r, err, val, NULL, DIR_A_SNOWFLAKE);
    }

    if (id == build->guild->id) {
        return VOICE_OK;
    }

    if (voice_dir_role(build->guild, id) != NULL) {
        role[(*n)++] = id;
        return VOICE_OK;
    }

    if (build->drop_roles) {
        return VOICE_OK;
    }

    return dir_fail(r, VOICE_E_RANGE, val, NULL,
                    "the id of a role of this guild");
}


static uint32_t
dir_without_repetition(uint64_t *id, uint32_t n)
{
    uint32_t  i, k;

    for (i = 0, k = 0; i < n; i++) {
        if (k == 0 || id[k - 1] != id[i]) {
            id[k++] = id[i];
        }
    }

    return k;
}


static voice_err_t
dir_member_roles(dir_reader_t *r, const dir_build_t *build,
    const voice_json_t *array, voice_dir_member_t *member)
{
    size_t        path, item;
    uint32_t      n, i, nroles;
    uint64_t     *role;
    voice_err_t   err;
    voice_json_t  val;

    path = dir_push_key(r, "roles");

    err = dir_count(r, array, VOICE_DIR_ROLES_MAX, "at most 500 roles", &n);
    if (err != VOICE_OK) {
        return err;
    }

    role = voice_arena_array(r->arena, n, sizeof(uint64_t));
    if (role == NULL) {
        return VOICE_E_NOMEM;
    }

    nroles = 0;
    val.type = VOICE_JSON_ABSENT;

    for (i = 0; voice_json_next(array, &val); i++) {
        item = dir_push_index(r, i);

        err = dir_member_role(r, build, &val, role, &nroles);
        if (err != VOICE_OK) {
            return err;
        }

        dir_pop(r, item);
    }

    dir_sort(role, nroles, sizeof(uint64_t));
    dir_pop(r, path);

    member->role = role;
    member->nroles = dir_without_repetition(role, nroles);

    return VOICE_OK;
}


static voice_err_t
dir_member(dir_reader_t *r, dir_build_t *build, const voice_json_t *val,
    dir_key_t *key)
{
    size_t            path;
    voice_err_t       err;
    dir_member_raw_t  raw;

    memset(&raw, 0, sizeof(raw));

    raw.member.joined_at = VOICE_DIR_JOINED_AT;
    raw.member.user.discriminator = "0";

    err = dir_object(r, val, NULL, member_fields, dir_nelts(member_fields),
                     &raw, NULL);
    if (err != VOICE_OK) {
        return err;
    }

    path = dir_push_key(r, "user");

    err = dir_object(r, &raw.user, NULL, user_fields, dir_nelts(user_fields),
                     &raw.member.user, NULL);
    if (err != VOICE_OK) {
        return err;
    }

    dir_pop(r, path);

    err = dir_member_roles(r, build, &raw.roles, &raw.member);
    if (err != VOICE_OK) {
        return err;
    }

    build->member[key->index] = raw.member;
    key->id = raw.member.user.id;

    return VOICE_OK;
}


voice_err_t
dir_members(dir_reader_t *r, dir_build_t *build, const voice_json_t *array)
{
    size_t        path;
    uint32_t      n;
    dir_key_t    *key;
    voice_err_t   err;

    path = dir_push_key(r, "members");

    err = dir_count(r, array, VOICE_DIR_MEMBERS_MAX, "at most 100000 members",
                    &n);
    if (err != VOICE_OK) {
        return err;
    }

    build->member = voice_arena_array(r->arena, n, sizeof(voice_dir_member_t));
    if (build->member == NULL) {
        return VOICE_E_NOMEM;
    }

    err = dir_items(r, build, array, n, dir_member, "user/id",
                    "a user that occurs once in the guild", &key);
    if (err != VOICE_OK) {
        return err;
    }

    voice_free(r->arena->alloc, key);
    dir_sort(build->member, n, sizeof(voice_dir_member_t));
    dir_pop(r, path);

    build->guild->member = build->member;
    build->guild->nmembers = n;

    return VOICE_OK;
}
