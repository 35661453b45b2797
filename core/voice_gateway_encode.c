/*
 * Copyright (C) ngx-voice contributors
 *
 * Messages of the server.  Each has all four keys: libraries index d without
 * a check (section 2).
 */


#include "voice_gateway.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>


#define GATEWAY_NO_EVENT   ",\"s\":null,\"t\":null}"


static const char *const  dispatch_names[VOICE_DISPATCHES] = {
    [VOICE_DISPATCH_READY] = "READY",
    [VOICE_DISPATCH_RESUMED] = "RESUMED",
    [VOICE_DISPATCH_GUILD_CREATE] = "GUILD_CREATE",
    [VOICE_DISPATCH_GUILD_UPDATE] = "GUILD_UPDATE",
    [VOICE_DISPATCH_GUILD_DELETE] = "GUILD_DELETE",
    [VOICE_DISPATCH_CHANNEL_CREATE] = "CHANNEL_CREATE",
    [VOICE_DISPATCH_CHANNEL_UPDATE] = "CHANNEL_UPDATE",
    [VOICE_DISPATCH_CHANNEL_DELETE] = "CHANNEL_DELETE",
    [VOICE_DISPATCH_ROLE_CREATE] = "GUILD_ROLE_CREATE",
    [VOICE_DISPATCH_ROLE_UPDATE] = "GUILD_ROLE_UPDATE",
    [VOICE_DISPATCH_ROLE_DELETE] = "GUILD_ROLE_DELETE",
    [VOICE_DISPATCH_MEMBER_ADD] = "GUILD_MEMBER_ADD",
    [VOICE_DISPATCH_MEMBER_UPDATE] = "GUILD_MEMBER_UPDATE",
    [VOICE_DISPATCH_MEMBER_REMOVE] = "GUILD_MEMBER_REMOVE",
    [VOICE_DISPATCH_MEMBERS_CHUNK] = "GUILD_MEMBERS_CHUNK",
    [VOICE_DISPATCH_RATE_LIMITED] = "RATE_LIMITED",
    [VOICE_DISPATCH_VOICE_STATE] = "VOICE_STATE_UPDATE",
    [VOICE_DISPATCH_VOICE_SERVER] = "VOICE_SERVER_UPDATE"
};


const char *
voice_dispatch_name(voice_dispatch_t event)
{
    return dispatch_names[event];
}


size_t
voice_dispatch_head(char head[VOICE_DISPATCH_HEAD_MAX],
    voice_dispatch_t event, uint64_t seq)
{
    return (size_t) snprintf(head, VOICE_DISPATCH_HEAD_MAX,
                             "{\"op\":0,\"s\":%" PRIu64 ",\"t\":\"%s\","
                             "\"d\":",
                             seq, dispatch_names[event]);
}


void
voice_gateway_put_dispatch(voice_buf_t *b, voice_dispatch_t event,
    uint64_t seq, const char *d, size_t len)
{
    char    head[VOICE_DISPATCH_HEAD_MAX];
    size_t  n;

    n = voice_dispatch_head(head, event, seq);

    voice_buf_put(b, head, n);
    voice_buf_put(b, d, len);
    voice_buf_puts(b, VOICE_DISPATCH_TAIL);
}


static void
gateway_trace(voice_buf_t *b, const char *trace)
{
    voice_buf_puts(b, "\"_trace\":[");

    if (trace != NULL) {
        voice_buf_string(b, trace);
    }

    voice_buf_put(b, "]", 1);
}


void
voice_gateway_put_hello(voice_buf_t *b, uint32_t heartbeat_interval,
    const char *trace)
{
    voice_buf_printf(b, "{\"op\":%d,\"d\":{\"heartbeat_interval\":%" PRIu32
                     ",", VOICE_GATEWAY_OP_HELLO, heartbeat_interval);
    gateway_trace(b, trace);
    voice_buf_puts(b, "}" GATEWAY_NO_EVENT);
}


void
voice_gateway_put_ack(voice_buf_t *b)
{
    voice_buf_puts(b, "{\"op\":11,\"d\":null" GATEWAY_NO_EVENT);
}


void
voice_gateway_put_heartbeat(voice_buf_t *b)
{
    voice_buf_puts(b, "{\"op\":1,\"d\":null" GATEWAY_NO_EVENT);
}


void
voice_gateway_put_reconnect(voice_buf_t *b)
{
    voice_buf_puts(b, "{\"op\":7,\"d\":null" GATEWAY_NO_EVENT);
}


void
voice_gateway_put_invalid(voice_buf_t *b, bool resumable)
{
    voice_buf_puts(b, "{\"op\":9,\"d\":");
    voice_buf_bool(b, resumable);
    voice_buf_puts(b, GATEWAY_NO_EVENT);
}


/* Section 6.2. */
void
voice_gateway_ready_d(voice_buf_t *b, const voice_gateway_ready_t *ready)
{
    size_t  i;

    voice_buf_printf(b, "{\"v\":%d,\"user\":", ready->version);
    voice_shape_user(b, ready->user, true);
    voice_buf_puts(b, ",\"session_id\":");
    voice_buf_string(b, ready->session_id);
    voice_buf_puts(b, ",\"resume_gateway_url\":");
    voice_buf_string(b, ready->resume_url);
    voice_buf_puts(b, ",\"guilds\":[");

    for (i = 0; i < ready->nguilds; i++) {
        voice_buf_puts(b, i != 0 ? ",{\"id\":" : "{\"id\":");
        voice_buf_id(b, ready->guild_id[i]);
        voice_buf_puts(b, ",\"unavailable\":true}");
    }

    voice_buf_puts(b, "],\"private_channels\":[],\"application\":{\"id\":");
    voice_buf_id(b, ready->application_id);
    voice_buf_printf(b, ",\"flags\":0},\"shard\":[%" PRIu32 ",%" PRIu32 "],",
                     ready->shard, ready->nshards);
    voice_buf_puts(b, "\"relationships\":[],\"presences\":[],"
                   "\"guild_join_requests\":[],\"geo_ordered_rtc_regions\":[],"
                   "\"user_settings\":{},\"auth\":{},");
    gateway_trace(b, ready->trace);
    voice_buf_put(b, "}", 1);
}


/* Section 11: an object, since a library writes into it. */
void
voice_gateway_resumed_d(voice_buf_t *b, const char *trace)
{
    voice_buf_put(b, "{", 1);
    gateway_trace(b, trace);
    voice_buf_put(b, "}", 1);
}


void
voice_gateway_guild_update_d(voice_buf_t *b, const voice_dir_guild_t *guild,
    size_t member_count)
{
    voice_shape_guild(b, guild, member_count);
}


void
voice_gateway_guild_delete_d(voice_buf_t *b, uint64_t guild_id,
    bool unavailable)
{
    voice_buf_puts(b, "{\"id\":");
    voice_buf_id(b, guild_id);

    /* it must be absent when the user is no longer in the guild */
    voice_buf_puts(b, unavailable ? ",\"unavailable\":true}" : "}");
}


void
voice_gateway_channel_d(voice_buf_t *b, uint64_t guild_id,
    const voice_dir_channel_t *channel)
{
    voice_shape_channel(b, channel, guild_id);
}


void
voice_gateway_role_d(voice_buf_t *b, uint64_t guild_id,
    const voice_dir_role_t *role)
{
    voice_buf_puts(b, "{\"guild_id\":");
    voice_buf_id(b, guild_id);
    voice_buf_puts(b, ",\"role\":");
    voice_shape_role(b, role);
    voice_buf_put(b, "}", 1);
}


void
voice_gateway_role_delete_d(voice_buf_t *b, uint64_t guild_id,
    uint64_t role_id)
{
    voice_buf_puts(b, "{\"guild_id\":");
    voice_buf_id(b, guild_id);
    voice_buf_puts(b, ",\"role_id\":");
    voice_buf_id(b, role_id);
    voice_buf_put(b, "}", 1);
}


/* A member object with guild_id among its keys. */
void
voice_gateway_member_d(voice_buf_t *b, uint64_t guild_id,
    const voice_dir_member_t *member, bool mute, bool deaf)
{
    voice_buf_puts(b, "{\"guild_id\":");
    voice_buf_id(b, guild_id);
    voice_buf_put(b, ",", 1);
    voice_shape_member_keys(b, member, mute, deaf);
    voice_buf_put(b, "}", 1);
}


void
voice_gateway_member_remove_d(voice_buf_t *b, uint64_t guild_id,
    const voice_dir_user_t *user)
{
    voice_buf_puts(b, "{\"guild_id\":");
    voice_buf_id(b, guild_id);
    voice_buf_puts(b, ",\"user\":");
    voice_shape_user(b, user, false);
    voice_buf_put(b, "}", 1);
}


void
voice_gateway_voice_state_d(voice_buf_t *b, const voice_shape_state_t *state,
    const voice_dir_member_t *member)
{
    voice_shape_state(b, state, true, member);
}


void
voice_gateway_voice_server_d(voice_buf_t *b, uint64_t guild_id,
    const char *token, const char *endpoint)
{
    voice_buf_puts(b, "{\"token\":");
    voice_buf_string(b, token);
    voice_buf_puts(b, ",\"guild_id\":");
    voice_buf_id(b, guild_id);
    voice_buf_puts(b, ",\"endpoint\":");
    voice_buf_string(b, endpoint);
    voice_buf_put(b, "}", 1);
}
