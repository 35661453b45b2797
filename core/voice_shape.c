/*
 * Copyright (C) ngx-voice contributors
 *
 * Keys that have one value here are written all the same: a library that
 * finds one missing may give up the whole guild (section 6.3).
 */


#include "voice_shape.h"

#include <inttypes.h>
#include <string.h>


static void
shape_comma(voice_buf_t *b, size_t i)
{
    if (i != 0) {
        voice_buf_put(b, ",", 1);
    }
}


static void
shape_key(voice_buf_t *b, const char *key)
{
    voice_buf_put(b, "\"", 1);
    voice_buf_puts(b, key);
    voice_buf_put(b, "\":", 2);
}


static void
shape_string(voice_buf_t *b, const char *key, const char *str)
{
    shape_key(b, key);
    voice_buf_string(b, str);
}


static void
shape_id(voice_buf_t *b, const char *key, uint64_t id)
{
    shape_key(b, key);
    voice_buf_id(b, id);
}


static void
shape_bool(voice_buf_t *b, const char *key, bool value)
{
    shape_key(b, key);
    voice_buf_bool(b, value);
}


static void
shape_user_keys(voice_buf_t *b, const voice_dir_user_t *user)
{
    shape_id(b, "id", user->id);
    voice_buf_put(b, ",", 1);
    shape_string(b, "username", user->username);
    voice_buf_put(b, ",", 1);
    shape_string(b, "discriminator", user->discriminator);
    voice_buf_put(b, ",", 1);
    shape_string(b, "global_name", user->global_name);
    voice_buf_put(b, ",", 1);
    shape_string(b, "avatar", user->avatar);
    voice_buf_put(b, ",", 1);
    shape_bool(b, "bot", user->bot);
    voice_buf_puts(b, ",\"system\":false,\"flags\":0,\"public_flags\":0,"
                   "\"banner\":null,\"accent_color\":null,"
                   "\"avatar_decoration_data\":null");
}


void
voice_shape_user(voice_buf_t *b, const voice_dir_user_t *user, bool self)
{
    voice_buf_put(b, "{", 1);
    shape_user_keys(b, user);

    if (self) {
        voice_buf_puts(b, ",\"verified\":true,\"mfa_enabled\":false,"
                       "\"email\":null,\"locale\":\"en-US\"");
    }

    voice_buf_put(b, "}", 1);
}


void
voice_shape_member_keys(voice_buf_t *b, const voice_dir_member_t *member,
    bool mute, bool deaf)
{
    uint32_t  i;

    voice_buf_puts(b, "\"user\":{");
    shape_user_keys(b, &member->user);
    voice_buf_puts(b, "},\"roles\":[");

    for (i = 0; i < member->nroles; i++) {
        shape_comma(b, i);
        voice_buf_id(b, member->role[i]);
    }

    voice_buf_puts(b, "],");
    shape_string(b, "nick", member->nick);
    voice_buf_put(b, ",", 1);
    shape_string(b, "joined_at", member->joined_at);
    voice_buf_put(b, ",", 1);
    shape_bool(b, "mute", mute);
    voice_buf_put(b, ",", 1);
    shape_bool(b, "deaf", deaf);
    voice_buf_puts(b, ",\"avatar\":null,\"banner\":null,\"pending\":false,"
                   "\"flags\":0,\"premium_since\":null,"
                   "\"communication_disabled_until\":null");
}


void
voice_shape_member(voice_buf_t *b, const voice_dir_member_t *member,
    bool mute, bool deaf)
{
    voice_buf_put(b, "{", 1);
    voice_shape_member_keys(b, member, mute, deaf);
    voice_buf_put(b, "}", 1);
}


void
voice_shape_role(voice_buf_t *b, const voice_dir_role_t *role)
{
    voice_buf_put(b, "{", 1);
    shape_id(b, "id", role->id);
    voice_buf_put(b, ",", 1);
    shape_string(b, "name", role->name);
    voice_buf_printf(b, ",\"permissions\":\"%" PRIu64 "\","
                     "\"position\":%" PRId32 ",\"color\":%" PRIu32 ",",
                     role->permissions, role->position, role->color);
    voice_buf_printf(b, "\"colors\":{\"primary_color\":%" PRIu32 ","
                     "\"secondary_color\":null,\"tertiary_color\":null},",
                     role->color);
    shape_bool(b, "hoist", role->hoist);
    voice_buf_put(b, ",", 1);
    shape_bool(b, "managed", role->managed);
    voice_buf_put(b, ",", 1);
    shape_bool(b, "mentionable", role->mentionable);
    voice_buf_puts(b, ",\"flags\":0,\"icon\":null,\"unicode_emoji\":null}");
}


static void
shape_overwrites(voice_buf_t *b, const voice_dir_channel_t *channel)
{
    uint32_t                      i;
    const voice_dir_overwrite_t  *ow;

    voice_buf_puts(b, "\"permission_overwrites\":[");

    for (i = 0; i < channel->noverwrites; i++) {
        ow = &channel->overwrite[i];

        shape_comma(b, i);
        voice_buf_printf(b, "{\"id\":\"%" PRIu64 "\",\"type\":%u,"
                         "\"allow\":\"%" PRIu64 "\",\"deny\":\"%" PRIu64
                         "\"}",
                         ow->id, ow->type, ow->allow, ow->deny);
    }

    voice_buf_put(b, "]", 1);
}


void
voice_shape_channel(voice_buf_t *b, const voice_dir_channel_t *channel,
    uint64_t guild_id)
{
    voice_buf_put(b, "{", 1);
    shape_id(b, "id", channel->id);

    if (guild_id != 0) {
        voice_buf_put(b, ",", 1);
        shape_id(b, "guild_id", guild_id);
    }

    voice_buf_printf(b, ",\"type\":%u,\"position\":%" PRId32 ",",
                     channel->type, channel->position);
    shape_string(b, "name", channel->name);
    voice_buf_put(b, ",", 1);
    shape_id(b, "parent_id", channel->parent_id);
    voice_buf_put(b, ",", 1);
    shape_string(b, "topic", channel->topic);
    voice_buf_put(b, ",", 1);
    shape_bool(b, "nsfw", channel->nsfw);
    voice_buf_put(b, ",", 1);
    shape_overwrites(b, channel);

    if (voice_dir_channel_is_voice(channel)) {
        voice_buf_printf(b, ",\"bitrate\":%" PRIu32 ",\"user_limit\":%" PRIu32
                         ",\"video_quality_mode\":1,",
                         channel->bitrate, channel->user_limit);
        shape_string(b, "rtc_region", channel->rtc_region);
    }

    voice_buf_printf(b, ",\"rate_limit_per_user\":%" PRIu32 ",\"flags\":0,"
                     "\"last_message_id\":null}", channel->rate_limit);
}


void
voice_shape_channels(voice_buf_t *b, const voice_dir_guild_t *guild,
    bool guild_id)
{
    uint32_t  i;

    voice_buf_put(b, "[", 1);

    for (i = 0; i < guild->nchannels; i++) {
        shape_comma(b, i);
        voice_shape_channel(b, &guild->channel[i], guild_id ? guild->id : 0);
    }

    voice_buf_put(b, "]", 1);
}


void
voice_shape_state(voice_buf_t *b, const voice_shape_state_t *state,
    bool guild_id, const voice_dir_member_t *member)
{
    char  time[VOICE_SHAPE_TIME_LEN + 1];

    voice_buf_put(b, "{", 1);

    if (guild_id) {
        shape_id(b, "guild_id", state->guild_id);
        voice_buf_put(b, ",", 1);
    }

    shape_id(b, "channel_id", state->channel_id);
    voice_buf_put(b, ",", 1);
    shape_id(b, "user_id", state->user_id);
    voice_buf_put(b, ",", 1);
    shape_string(b, "session_id", state->session_id);
    voice_buf_put(b, ",", 1);
    shape_bool(b, "deaf", state->deaf);
    voice_buf_put(b, ",", 1);
    shape_bool(b, "mute", state->mute);
    voice_buf_put(b, ",", 1);
    shape_bool(b, "self_deaf", state->self_deaf);
    voice_buf_put(b, ",", 1);
    shape_bool(b, "self_mute", state->self_mute);
    voice_buf_put(b, ",", 1);
    shape_bool(b, "self_stream", state->self_stream);
    voice_buf_put(b, ",", 1);
    shape_bool(b, "self_video", state->self_video);
    voice_buf_put(b, ",", 1);
    shape_bool(b, "suppress", state->suppress);
    voice_buf_put(b, ",", 1);

    voice_shape_time(time, state->request_to_speak);
    shape_string(b, "request_to_speak_timestamp",
                 state->request_to_speak != 0 ? time : NULL);

    if (member != NULL) {
        voice_buf_puts(b, ",\"member\":");
        voice_shape_member(b, member, state->mute, state->deaf);
    }

    voice_buf_put(b, "}", 1);
}


static void
shape_roles(voice_buf_t *b, const voice_dir_guild_t *guild)
{
    uint32_t  i;

    voice_buf_puts(b, "\"roles\":[");

    for (i = 0; i < guild->nroles; i++) {
        shape_comma(b, i);
        voice_shape_role(b, &guild->role[i]);
    }

    voice_buf_put(b, "]", 1);
}


/* Section 6.3. */
void
voice_shape_guild_keys(voice_buf_t *b, const voice_dir_guild_t *guild,
    size_t member_count)
{
    shape_id(b, "id", guild->id);
    voice_buf_put(b, ",", 1);
    shape_string(b, "name", guild->name);
    voice_buf_put(b, ",", 1);
    shape_id(b, "owner_id", guild->owner_id);
    voice_buf_put(b, ",", 1);
    shape_string(b, "icon", guild->icon);
    voice_buf_put(b, ",", 1);
    shape_string(b, "description", guild->description);
    voice_buf_put(b, ",", 1);
    shape_string(b, "region", guild->region);
    voice_buf_put(b, ",", 1);
    shape_id(b, "afk_channel_id", guild->afk_channel_id);
    voice_buf_printf(b, ",\"afk_timeout\":%" PRIu32 ",\"member_count\":%zu,",
                     guild->afk_timeout, member_count);
    shape_roles(b, guild);

    voice_buf_puts(b, ",\"emojis\":[],\"stickers\":[],\"features\":[],"
        "\"splash\":null,\"discovery_splash\":null,\"banner\":null,"
        "\"application_id\":null,\"system_channel_id\":null,"
        "\"rules_channel_id\":null,\"public_updates_channel_id\":null,"
        "\"safety_alerts_channel_id\":null,\"vanity_url_code\":null,"
        "\"widget_enabled\":false,\"widget_channel_id\":null,"
        "\"system_channel_flags\":0,\"verification_level\":0,"
        "\"default_message_notifications\":0,\"explicit_content_filter\":0,"
        "\"mfa_level\":0,\"nsfw_level\":0,\"nsfw\":false,\"premium_tier\":0,"
        "\"premium_subscription_count\":0,"
        "\"premium_progress_bar_enabled\":false,\"max_presences\":null,"
        "\"max_members\":500000,\"max_video_channel_users\":25,"
        "\"max_stage_video_channel_users\":50,"
        "\"preferred_locale\":\"en-US\"");
}


void
voice_shape_guild(voice_buf_t *b, const voice_dir_guild_t *guild,
    size_t member_count)
{
    voice_buf_put(b, "{", 1);
    voice_shape_guild_keys(b, guild, member_count);
    voice_buf_put(b, "}", 1);
}
