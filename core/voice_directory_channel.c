/*
 * Copyright (C) ngx-voice contributors
 */


#include "voice_directory_internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>


typedef struct {
    voice_dir_channel_t    channel;
    voice_json_t           overwrites;
} dir_channel_raw_t;


static const dir_field_t  overwrite_fields[] = {

    { "id", DIR_ID, true,
      offsetof(voice_dir_overwrite_t, id), 0, 0, DIR_A_SNOWFLAKE },

    { "type", DIR_OVERWRITE_TYPE, true,
      offsetof(voice_dir_overwrite_t, type), 0, 0,
      "0 for a role or 1 for a member" },

    { "allow", DIR_PERMISSIONS, false,
      offsetof(voice_dir_overwrite_t, allow), 0, 0, DIR_PERMISSION_BITS },

    { "deny", DIR_PERMISSIONS, false,
      offsetof(voice_dir_overwrite_t, deny), 0, 0, DIR_PERMISSION_BITS }
};


#define channel_at(member)                                                    \
    (offsetof(dir_channel_raw_t, channel)                                     \
     + offsetof(voice_dir_channel_t, member))

static const dir_field_t  channel_fields[] = {

    { "id", DIR_ID, true, channel_at(id), 0, 0, DIR_A_SNOWFLAKE },

    { "name", DIR_STRING, true, channel_at(name), 1, VOICE_DIR_NAME_MAX,
      DIR_A_NAME },

    { "type", DIR_CHANNEL_TYPE, false, channel_at(type), 0, 0,
      "a type of channel: 0, 2 (voice), 4, 5, 13 (stage), 15 or 16" },

    { "position", DIR_INT, false, channel_at(position), 0, INT32_MAX,
      DIR_A_POSITION },

    { "bitrate", DIR_UINT, false, channel_at(bitrate), VOICE_DIR_BITRATE_MIN,
      VOICE_DIR_BITRATE_MAX, "bits per second: an integer of 8000 to 510000" },

    { "user_limit", DIR_UINT, false, channel_at(user_limit), 0,
      VOICE_DIR_USER_LIMIT_MAX, "an integer of 0 (no limit) to 10000" },

    { "rate_limit_per_user", DIR_UINT, false, channel_at(rate_limit), 0,
      21600, "seconds: an integer of 0 to 21600" },

    { "parent_id", DIR_ID, false, channel_at(parent_id), 0, 0,
      DIR_A_SNOWFLAKE },

    { "topic", DIR_STRING, false, channel_at(topic), 0, VOICE_DIR_TOPIC_MAX,
      "a string of at most 1024 characters" },

    { "rtc_region", DIR_WORD, false, channel_at(rtc_region), 0, 0,
      DIR_A_WORD },

    { "nsfw", DIR_BOOL, false, channel_at(nsfw), 0, 0, DIR_A_BOOLEAN },

    { "permission_overwrites", DIR_ARRAY, false,
      offsetof(dir_channel_raw_t, overwrites), 0, 0, DIR_AN_ARRAY }
};


static voice_err_t
dir_overwrite(dir_reader_t *r, dir_build_t *build, const voice_json_t *val,
    dir_key_t *key)
{
    voice_err_t             err;
    voice_dir_overwrite_t  *ow;

    ow = &build->overwrite[key->index];

    err = dir_object(r, val, NULL, overwrite_fields,
                     dir_nelts(overwrite_fields), ow, NULL);

    key->id = ow->id;
    key->type = ow->type;

    return err;
}


static voice_err_t
dir_overwrites(dir_reader_t *r, dir_build_t *build, const voice_json_t *array,
    voice_dir_channel_t *channel)
{
    size_t        path;
    uint32_t      n;
    dir_key_t    *key;
    voice_err_t   err;

    path = dir_push_key(r, "permission_overwrites");

    err = dir_count(r, array, VOICE_DIR_OVERWRITES_MAX,
                    "at most 1000 overwrites", &n);
    if (err != VOICE_OK) {
        return err;
    }

    build->overwrite = voice_arena_array(r->arena, n,
                                         sizeof(voice_dir_overwrite_t));
    if (build->overwrite == NULL) {
        return VOICE_E_NOMEM;
    }

    err = dir_items(r, build, array, n, dir_overwrite, "id",
                    "an id that no other overwrite of this type has", &key);
    if (err != VOICE_OK) {
        return err;
    }

    voice_free(r->arena->alloc, key);
    dir_pop(r, path);

    channel->overwrite = build->overwrite;
    channel->noverwrites = n;

    return VOICE_OK;
}


static voice_err_t
dir_channel(dir_reader_t *r, dir_build_t *build, const voice_json_t *val,
    dir_key_t *key)
{
    voice_err_t        err;
    dir_channel_raw_t  raw;

    memset(&raw, 0, sizeof(raw));

    raw.channel.type = VOICE_CHANNEL_VOICE;
    raw.channel.bitrate = VOICE_DIR_BITRATE;
    raw.channel.position = DIR_ABSENT;

    err = dir_object(r, val, NULL, channel_fields, dir_nelts(channel_fields),
                     &raw, NULL);
    if (err != VOICE_OK) {
        return err;
    }

    if (raw.channel.position == DIR_ABSENT) {
        raw.channel.position = (int32_t) key->index;
    }

    err = dir_overwrites(r, build, &raw.overwrites, &raw.channel);
    if (err != VOICE_OK) {
        return err;
    }

    build->channel[key->index] = raw.channel;
    key->id = raw.channel.id;

    return VOICE_OK;
}


/* The channels are still in the order of the text, which the keys know. */
static voice_err_t
dir_parents(dir_reader_t *r, const dir_build_t *build, const dir_key_t *key,
    uint32_t n)
{
    uint32_t                    i;
    const dir_key_t            *parent;
    const voice_dir_channel_t  *channel;

    for (i = 0; i < n; i++) {
        channel = &build->channel[key[i].index];

        if (channel->parent_id == 0) {
            continue;
        }

        parent = dir_key_find(key, n, channel->parent_id);

        if (parent != NULL
            && build->channel[parent->index].type == VOICE_CHANNEL_CATEGORY)
        {
            continue;
        }

        (void) dir_push_index(r, key[i].index);
        (void) dir_push_key(r, "parent_id");
        (void) dir_fail(r, VOICE_E_RANGE, NULL, key[i].at,
                        "a channel of type 4 (category) of this guild");
        (void) snprintf(r->error->found, sizeof(r->error->found), "%" PRIu64,
                        channel->parent_id);

        return VOICE_E_RANGE;
    }

    return VOICE_OK;
}


voice_err_t
dir_channels(dir_reader_t *r, dir_build_t *build, const voice_json_t *array)
{
    size_t        path;
    uint32_t      n;
    dir_key_t    *key;
    voice_err_t   err;

    path = dir_push_key(r, "channels");

    err = dir_count(r, array, VOICE_DIR_CHANNELS_MAX, "at most 1000 channels",
                    &n);
    if (err != VOICE_OK) {
        return err;
    }

    build->channel = voice_arena_array(r->arena, n,
                                       sizeof(voice_dir_channel_t));
    if (build->channel == NULL) {
        return VOICE_E_NOMEM;
    }

    err = dir_items(r, build, array, n, dir_channel, "id",
                    "an id that no other channel has", &key);
    if (err != VOICE_OK) {
        return err;
    }

    err = dir_parents(r, build, key, n);
    voice_free(r->arena->alloc, key);

    if (err != VOICE_OK) {
        return err;
    }

    dir_sort(build->channel, n, sizeof(voice_dir_channel_t));
    dir_pop(r, path);

    build->guild->channel = build->channel;
    build->guild->nchannels = n;

    return VOICE_OK;
}
