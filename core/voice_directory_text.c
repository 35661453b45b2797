/*
 * Copyright (C) ngx-voice contributors
 *
 * Whole texts: the directory, one guild, a patch of one.
 */


#include "voice_directory_internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>


typedef struct {
    voice_json_t   guilds;
} dir_root_t;

static const dir_field_t  root_fields[] = {

    { "guilds", DIR_ARRAY, true, offsetof(dir_root_t, guilds), 0, 0,
      "an array of guilds" }
};


static voice_err_t
dir_too_long(dir_reader_t *r, size_t len, const char *expected)
{
    memset(r->error, 0, sizeof(voice_dir_error_t));

    (void) snprintf(r->error->found, sizeof(r->error->found), "%zu bytes",
                    len);
    r->error->expected = expected;

    return VOICE_E_LENGTH;
}


/* Where in the text a channel stands, once its guild is in another order. */
static uint32_t
dir_channel_index(const voice_json_t *guild, uint64_t channel_id,
    const char **at)
{
    uint32_t      i;
    uint64_t      found;
    voice_json_t  channels, item, id;

    (void) voice_json_get(guild, "channels", &channels);
    item.type = VOICE_JSON_ABSENT;

    for (i = 0; voice_json_next(&channels, &item); i++) {
        (void) voice_json_get(&item, "id", &id);

        if (voice_json_id(&id, &found) == VOICE_OK && found == channel_id) {
            *at = id.start;
            break;
        }
    }

    return i;
}


/* The path is /guilds/INDEX. */
static voice_err_t
dir_put(dir_reader_t *r, voice_directory_t *dir, const voice_json_t *val,
    voice_dir_guild_t *guild)
{
    uint32_t                    i, index;
    const char                 *at;
    voice_dir_guild_t          *old;
    voice_dir_error_t           error;
    const voice_dir_guild_t    *other;
    const voice_dir_channel_t  *channel;

    if (voice_directory_guild(dir, guild->id) != NULL) {
        (void) dir_push_key(r, "id");
        (void) dir_fail(r, VOICE_E_RANGE, NULL, val->start,
                        "an id that no other guild has");
        (void) snprintf(r->error->found, sizeof(r->error->found),
                        "%" PRIu64 " again", guild->id);
        return VOICE_E_RANGE;
    }

    for (i = 0; i < guild->nchannels; i++) {
        channel = &guild->channel[i];

        if (voice_directory_channel(dir, channel->id, &other) == NULL) {
            continue;
        }

        at = val->start;
        index = dir_channel_index(val, channel->id, &at);

        (void) dir_push_key(r, "channels");
        (void) dir_push_index(r, index);
        (void) dir_push_key(r, "id");
        (void) dir_fail(r, VOICE_E_RANGE, NULL, at,
                        "an id that no other channel has");
        (void) snprintf(r->error->found, sizeof(r->error->found),
                        "%" PRIu64 " again", channel->id);
        return VOICE_E_RANGE;
    }

    return voice_directory_put(dir, guild, &old, &error);
}


static voice_err_t
dir_guilds(dir_reader_t *r, voice_directory_t *dir,
    const voice_alloc_t *alloc, const voice_json_t *array)
{
    size_t              path;
    uint32_t            i, n;
    voice_err_t         err;
    voice_json_t        val;
    voice_dir_guild_t  *guild;

    err = dir_count(r, array, VOICE_DIR_GUILDS_MAX, "at most 100000 guilds",
                    &n);
    if (err != VOICE_OK) {
        return err;
    }

    val.type = VOICE_JSON_ABSENT;

    for (i = 0; i < n && voice_json_next(array, &val); i++) {
        path = dir_push_index(r, i);

        err = dir_guild_make(r, &val, NULL, 0, alloc, &guild);
        if (err != VOICE_OK) {
            return err;
        }

        err = dir_put(r, dir, &val, guild);
        if (err != VOICE_OK) {
            voice_dir_guild_free(guild);
            return err;
        }

        dir_pop(r, path);
    }

    return VOICE_OK;
}


voice_err_t
voice_directory_parse(const char *text, size_t len,
    const voice_alloc_t *alloc, voice_directory_t **dir,
    voice_dir_error_t *error)
{
    dir_root_t          root;
    voice_err_t         err;
    voice_json_t        val;
    dir_reader_t        r;
    voice_directory_t  *made;

    r.error = error;

    if (len > VOICE_DIR_TEXT_MAX) {
        return dir_too_long(&r, len, "at most 268435456 bytes");
    }

    err = dir_parse(&r, text, len, &val);
    if (err != VOICE_OK) {
        return err;
    }

    root.guilds = val;

    if (val.type != VOICE_JSON_ARRAY) {
        err = dir_object(&r, &val, NULL, root_fields, dir_nelts(root_fields),
                         &root, NULL);
        if (err != VOICE_OK) {
            return err;
        }

        (void) dir_push_key(&r, "guilds");
    }

    made = voice_directory_create(alloc);
    if (made == NULL) {
        return VOICE_E_NOMEM;
    }

    err = dir_guilds(&r, made, alloc, &root.guilds);
    if (err != VOICE_OK) {
        voice_directory_free(made);
        return err;
    }

    *dir = made;

    return VOICE_OK;
}


voice_err_t
voice_dir_guild_parse(const char *text, size_t len, uint64_t id,
    const voice_alloc_t *alloc, voice_dir_guild_t **guild,
    voice_dir_error_t *error)
{
    voice_err_t   err;
    voice_json_t  val;
    dir_reader_t  r;

    r.error = error;

    if (len > VOICE_DIR_GUILD_TEXT_MAX) {
        return dir_too_long(&r, len, "at most 33554432 bytes");
    }

    err = dir_parse(&r, text, len, &val);
    if (err != VOICE_OK) {
        return err;
    }

    return dir_guild_make(&r, &val, NULL, id, alloc, guild);
}


/*
 * No key of a guild holds an object, so a merge patch is: each key from the
 * patch, or else from the guild.
 */
voice_err_t
voice_dir_guild_patch(const voice_dir_guild_t *base, const char *text,
    size_t len, const voice_alloc_t *alloc, voice_dir_guild_t **guild,
    voice_dir_error_t *error)
{
    voice_buf_t   b;
    voice_err_t   err;
    voice_json_t  val, fallback;
    const char   *why;
    dir_reader_t  r;

    r.error = error;

    if (len > VOICE_DIR_GUILD_TEXT_MAX) {
        return dir_too_long(&r, len, "at most 33554432 bytes");
    }

    err = dir_parse(&r, text, len, &val);
    if (err != VOICE_OK) {
        return err;
    }

    voice_buf_growing(&b, alloc, SIZE_MAX / 4);
    voice_dir_guild_encode(&b, base);
    err = voice_buf_done(&b);

    if (err == VOICE_OK) {
        err = voice_json_parse(b.data, b.len, &fallback, &why);
    }

    if (err == VOICE_OK) {
        err = dir_guild_make(&r, &val, &fallback, base->id, alloc, guild);
    }

    voice_buf_free(&b);

    return err;
}
