/*
 * Copyright (C) ngx-voice contributors
 *
 * A guild as JSON, with the keys of the tables that read it.
 */


#include "voice_directory.h"


/* Between items: nothing before the first one. */
static void
dir_comma(voice_buf_t *b, uint32_t i)
{
    if (i != 0) {
        voice_buf_put(b, ",", 1);
    }
}


static void
dir_put_string(voice_buf_t *b, const char *key, const char *str)
{
    voice_buf_printf(b, ",\"%s\":", key);
    voice_buf_string(b, str);
}


static void
dir_put_bool(voice_buf_t *b, const char *key, bool value)
{
    voice_buf_printf(b, ",\"%s\":%s", key, value ? "true" : "false");
}


static void
dir_put_uint(voice_buf_t *b, const char *key, uint64_t n)
{
    voice_buf_printf(b, ",\"%s\":", key);
    voice_buf_uint(b, n);
}


static void
dir_put_bits(voice_buf_t *b, const char *key, uint64_t bits)
{
    voice_buf_printf(b, ",\"%s\":\"", key);
    voice_buf_uint(b, bits);
    voice_buf_put(b, "\"", 1);
}


static void
dir_put_id(voice_buf_t *b, const char *key, uint64_t id)
{
    voice_buf_printf(b, ",\"%s\":", key);
    voice_buf_id(b, id);
}


static void
dir_put_role(voice_buf_t *b, const voice_dir_role_t *role)
{
    voice_buf_puts(b, "{\"id\":");
    voice_buf_id(b, role->id);
    dir_put_string(b, "name", role->name);
    dir_put_bits(b, "permissions", role->permissions);
    dir_put_uint(b, "position", (uint32_t) role->position);
    dir_put_uint(b, "color", role->color);
    dir_put_bool(b, "hoist", role->hoist);
    dir_put_bool(b, "managed", role->managed);
    dir_put_bool(b, "mentionable", role->mentionable);
    voice_buf_put(b, "}", 1);
}


static void
dir_put_overwrite(voice_buf_t *b, const voice_dir_overwrite_t *ow)
{
    voice_buf_puts(b, "{\"id\":");
    voice_buf_id(b, ow->id);
    dir_put_uint(b, "type", ow->type);
    dir_put_bits(b, "allow", ow->allow);
    dir_put_bits(b, "deny", ow->deny);
    voice_buf_put(b, "}", 1);
}


static void
dir_put_channel(voice_buf_t *b, const voice_dir_channel_t *channel)
{
    uint32_t  i;

    voice_buf_puts(b, "{\"id\":");
    voice_buf_id(b, channel->id);
    dir_put_string(b, "name", channel->name);
    dir_put_uint(b, "type", channel->type);
    dir_put_uint(b, "position", (uint32_t) channel->position);
    dir_put_uint(b, "bitrate", channel->bitrate);
    dir_put_uint(b, "user_limit", channel->user_limit);
    dir_put_uint(b, "rate_limit_per_user", channel->rate_limit);
    dir_put_id(b, "parent_id", channel->parent_id);
    dir_put_string(b, "topic", channel->topic);
    dir_put_string(b, "rtc_region", channel->rtc_region);
    dir_put_bool(b, "nsfw", channel->nsfw);
    voice_buf_puts(b, ",\"permission_overwrites\":[");

    for (i = 0; i < channel->noverwrites; i++) {
        dir_comma(b, i);
        dir_put_overwrite(b, &channel->overwrite[i]);
    }

    voice_buf_puts(b, "]}");
}


static void
dir_put_member(voice_buf_t *b, const voice_dir_member_t *member)
{
    uint32_t                 i;
    const voice_dir_user_t  *user;

    user = &member->user;

    voice_buf_puts(b, "{\"user\":{\"id\":");
    voice_buf_id(b, user->id);
    dir_put_string(b, "username", user->username);
    dir_put_string(b, "discriminator", user->discriminator);
    dir_put_string(b, "global_name", user->global_name);
    dir_put_string(b, "avatar", user->avatar);
    dir_put_bool(b, "bot", user->bot);
    voice_buf_puts(b, "},\"roles\":[");

    for (i = 0; i < member->nroles; i++) {
        dir_comma(b, i);
        voice_buf_id(b, member->role[i]);
    }

    voice_buf_put(b, "]", 1);
    dir_put_string(b, "nick", member->nick);
    dir_put_string(b, "joined_at", member->joined_at);
    dir_put_bool(b, "mute", member->mute);
    dir_put_bool(b, "deaf", member->deaf);
    voice_buf_put(b, "}", 1);
}


void
voice_dir_guild_encode(voice_buf_t *b, const voice_dir_guild_t *guild)
{
    uint32_t  i;

    voice_buf_puts(b, "{\"id\":");
    voice_buf_id(b, guild->id);
    dir_put_string(b, "name", guild->name);
    dir_put_id(b, "owner_id", guild->owner_id);
    dir_put_string(b, "icon", guild->icon);
    dir_put_string(b, "description", guild->description);
    dir_put_string(b, "region", guild->region);
    dir_put_string(b, "joined_at", guild->joined_at);
    dir_put_id(b, "afk_channel_id", guild->afk_channel_id);
    dir_put_uint(b, "afk_timeout", guild->afk_timeout);
    voice_buf_puts(b, ",\"roles\":[");

    for (i = 0; i < guild->nroles; i++) {
        dir_comma(b, i);
        dir_put_role(b, &guild->role[i]);
    }

    voice_buf_puts(b, "],\"channels\":[");

    for (i = 0; i < guild->nchannels; i++) {
        dir_comma(b, i);
        dir_put_channel(b, &guild->channel[i]);
    }

    voice_buf_puts(b, "],\"members\":[");

    for (i = 0; i < guild->nmembers; i++) {
        dir_comma(b, i);
        dir_put_member(b, &guild->member[i]);
    }

    voice_buf_puts(b, "]}");
}
