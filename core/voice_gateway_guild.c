/*
 * Copyright (C) ngx-voice contributors
 *
 * The long events: a guild with everything in it, and its members in pieces.
 */


#include "voice_gateway.h"

#include <inttypes.h>
#include <string.h>


static bool
guild_in_order(const voice_gateway_guild_t *g)
{
    size_t  i;

    for (i = 1; i < g->nstates; i++) {
        if (g->state[i - 1].user_id > g->state[i].user_id) {
            return false;
        }
    }

    return true;
}


static const voice_shape_state_t *
guild_state(const voice_gateway_guild_t *g, bool in_order, uint64_t user_id)
{
    size_t  low, high, mid;

    low = 0;
    high = g->nstates;

    while (in_order && low < high) {
        mid = low + (high - low) / 2;

        if (g->state[mid].user_id < user_id) {
            low = mid + 1;

        } else {
            high = mid;
        }
    }

    for ( /* void */ ; low < g->nstates; low++) {
        if (g->state[low].user_id == user_id) {
            return &g->state[low];
        }

        if (in_order) {
            break;
        }
    }

    return NULL;
}


static void
guild_put_member(voice_buf_t *b, const voice_gateway_guild_t *g,
    bool in_order, const voice_dir_member_t *member)
{
    const voice_shape_state_t  *state;

    state = guild_state(g, in_order, member->user.id);

    if (state != NULL) {
        voice_shape_member(b, member, state->mute, state->deaf);
        return;
    }

    voice_shape_member(b, member, member->mute, member->deaf);
}


/* The number of members that were written. */
static size_t
guild_put_members(voice_buf_t *b, const voice_gateway_guild_t *g)
{
    bool    in_order;
    size_t  i, n;

    in_order = guild_in_order(g);
    n = 0;

    for (i = 0; g->directory && i < g->guild->nmembers; i++) {
        voice_buf_puts(b, n++ != 0 ? "," : "");
        guild_put_member(b, g, in_order, &g->guild->member[i]);
    }

    for (i = 0; i < g->nmembers; i++) {
        if (g->directory
            && voice_dir_member(g->guild, g->member[i]->user.id) != NULL)
        {
            continue;
        }

        voice_buf_puts(b, n++ != 0 ? "," : "");
        guild_put_member(b, g, in_order, g->member[i]);
    }

    return n;
}


/* Those of the directory and, once each, those that are only in the list. */
static size_t
guild_member_count(const voice_gateway_guild_t *g)
{
    size_t  i, n;

    n = g->guild->nmembers;

    for (i = 0; i < g->nmembers; i++) {
        n += voice_dir_member(g->guild, g->member[i]->user.id) == NULL;
    }

    return n;
}


/* Section 6.3. */
void
voice_gateway_guild_d(voice_buf_t *b, const voice_gateway_guild_t *g)
{
    size_t  i, count, written;

    count = guild_member_count(g);

    voice_buf_put(b, "{", 1);
    voice_shape_guild_keys(b, g->guild, count);
    voice_buf_puts(b, ",\"unavailable\":false,\"joined_at\":");
    voice_buf_string(b, g->guild->joined_at);
    voice_buf_puts(b, ",\"channels\":");
    voice_shape_channels(b, g->guild, false);
    voice_buf_puts(b, ",\"members\":[");

    written = guild_put_members(b, g);

    voice_buf_puts(b, "],\"large\":");
    voice_buf_bool(b, written < count);
    voice_buf_puts(b, ",\"voice_states\":[");

    for (i = 0; i < g->nstates; i++) {
        voice_buf_puts(b, i != 0 ? "," : "");
        voice_shape_state(b, &g->state[i], false, NULL);
    }

    voice_buf_puts(b, "],\"threads\":[],\"presences\":[],"
                   "\"stage_instances\":[],\"guild_scheduled_events\":[],"
                   "\"soundboard_sounds\":[],\"embedded_activities\":[]}");
}


/* Section 12.2. */
void
voice_gateway_chunk_d(voice_buf_t *b, const voice_gateway_chunk_t *chunk)
{
    size_t                     i;
    const voice_dir_member_t  *member;

    voice_buf_puts(b, "{\"guild_id\":");
    voice_buf_id(b, chunk->guild_id);
    voice_buf_puts(b, ",\"members\":[");

    for (i = 0; i < chunk->nmembers; i++) {
        member = chunk->member[i];

        voice_buf_puts(b, i != 0 ? "," : "");
        voice_shape_member(b, member, member->mute, member->deaf);
    }

    voice_buf_printf(b, "],\"chunk_index\":%" PRIu32 ",\"chunk_count\":%"
                     PRIu32 ",\"not_found\":[",
                     chunk->chunk_index, chunk->chunk_count);

    for (i = 0; i < chunk->nnot_found; i++) {
        voice_buf_puts(b, i != 0 ? "," : "");
        voice_buf_id(b, chunk->not_found[i]);
    }

    voice_buf_put(b, "]", 1);

    if (chunk->presences) {
        voice_buf_puts(b, ",\"presences\":[]");
    }

    if (chunk->nonce != NULL && chunk->nonce[0] != '\0') {
        voice_buf_puts(b, ",\"nonce\":");
        voice_buf_string(b, chunk->nonce);
    }

    voice_buf_put(b, "}", 1);
}


void
voice_gateway_rate_limited_d(voice_buf_t *b, uint64_t guild_id,
    uint64_t retry_after, const char *nonce)
{
    voice_buf_printf(b, "{\"opcode\":%d,\"retry_after\":%" PRIu64
                     ".%03u,\"meta\":{\"guild_id\":",
                     VOICE_GATEWAY_OP_MEMBERS, retry_after / 1000,
                     (unsigned) (retry_after % 1000));
    voice_buf_id(b, guild_id);

    if (nonce != NULL && nonce[0] != '\0') {
        voice_buf_puts(b, ",\"nonce\":");
        voice_buf_string(b, nonce);
    }

    voice_buf_puts(b, "}}");
}


static char
guild_lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char) (c - 'A' + 'a') : c;
}


static bool
guild_starts_with(const char *name, const char *query)
{
    if (name == NULL) {
        return false;
    }

    for ( /* void */ ; *query != '\0'; name++, query++) {
        if (guild_lower(*name) != guild_lower(*query)) {
            return false;
        }
    }

    return true;
}


bool
voice_gateway_member_matches(const voice_dir_member_t *member,
    const char *query)
{
    return guild_starts_with(member->user.username, query)
           || guild_starts_with(member->user.global_name, query)
           || guild_starts_with(member->nick, query);
}
