/*
 * Copyright (C) ngx-voice contributors
 *
 * The set of guilds, with an index of the guilds and one of all channels.
 */


#include "voice_directory_internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>


#define DIR_SLOTS_MIN   16


typedef struct {
    uint64_t                    key;        /* 0: empty */
    voice_dir_guild_t          *guild;
    union {
        const voice_dir_channel_t  *channel;
        size_t                      index;  /* of the guild in the list */
    } of;
} dir_slot_t;


/* Open addressing, linear probing; at most half full. */
typedef struct {
    dir_slot_t                 *slot;
    size_t                      size;       /* a power of two, or 0 */
    size_t                      used;
} dir_map_t;


struct voice_directory_s {
    const voice_alloc_t        *alloc;
    voice_dir_guild_t         **guild;
    size_t                      nguilds;
    size_t                      size;       /* of the list */
    dir_map_t                   guilds;
    dir_map_t                   channels;
};


/* Ids are in the order of time: the low bits alone would cluster. */
static size_t
dir_hash(const dir_map_t *map, uint64_t key)
{
    key ^= key >> 32;
    key *= 0x9e3779b97f4a7c15ull;
    key ^= key >> 29;

    return (size_t) key & (map->size - 1);
}


static dir_slot_t *
dir_map_find(const dir_map_t *map, uint64_t key)
{
    size_t  i;

    if (map->size == 0 || key == 0) {
        return NULL;
    }

    for (i = dir_hash(map, key); map->slot[i].key != 0;
         i = (i + 1) & (map->size - 1))
    {
        if (map->slot[i].key == key) {
            return &map->slot[i];
        }
    }

    return NULL;
}


/* There is room: dir_map_reserve() was called. */
static dir_slot_t *
dir_map_add(dir_map_t *map, uint64_t key)
{
    size_t  i;

    i = dir_hash(map, key);

    while (map->slot[i].key != 0) {
        i = (i + 1) & (map->size - 1);
    }

    map->slot[i].key = key;
    map->used++;

    return &map->slot[i];
}


/* Closes the gap, so that no probe ends too early. */
static void
dir_map_remove(dir_map_t *map, uint64_t key)
{
    size_t       gap, i, home, mask;
    dir_slot_t  *slot;

    slot = dir_map_find(map, key);
    if (slot == NULL) {
        return;
    }

    mask = map->size - 1;
    gap = (size_t) (slot - map->slot);

    for (i = (gap + 1) & mask; map->slot[i].key != 0; i = (i + 1) & mask) {
        home = dir_hash(map, map->slot[i].key);

        if (((i - home) & mask) >= ((i - gap) & mask)) {
            map->slot[gap] = map->slot[i];
            gap = i;
        }
    }

    memset(&map->slot[gap], 0, sizeof(dir_slot_t));
    map->used--;
}


/* Room for n more. */
static voice_err_t
dir_map_reserve(dir_map_t *map, const voice_alloc_t *alloc, size_t n)
{
    size_t      i, size;
    dir_map_t   bigger;

    size = map->size != 0 ? map->size : DIR_SLOTS_MIN;

    while ((map->used + n) * 2 > size) {
        size *= 2;
    }

    if (size == map->size) {
        return VOICE_OK;
    }

    bigger.slot = voice_alloc(alloc, size * sizeof(dir_slot_t));
    if (bigger.slot == NULL) {
        return VOICE_E_NOMEM;
    }

    memset(bigger.slot, 0, size * sizeof(dir_slot_t));
    bigger.size = size;
    bigger.used = 0;

    for (i = 0; i < map->size; i++) {
        if (map->slot[i].key != 0) {
            *dir_map_add(&bigger, map->slot[i].key) = map->slot[i];
        }
    }

    voice_free(alloc, map->slot);
    *map = bigger;

    return VOICE_OK;
}


static voice_err_t
dir_list_reserve(voice_directory_t *dir)
{
    size_t               size;
    voice_dir_guild_t  **list;

    if (dir->nguilds < dir->size) {
        return VOICE_OK;
    }

    size = dir->size != 0 ? dir->size * 2 : DIR_SLOTS_MIN;

    list = voice_alloc(dir->alloc, size * sizeof(voice_dir_guild_t *));
    if (list == NULL) {
        return VOICE_E_NOMEM;
    }

    if (dir->nguilds != 0) {
        memcpy(list, dir->guild, dir->nguilds * sizeof(voice_dir_guild_t *));
    }

    voice_free(dir->alloc, dir->guild);

    dir->guild = list;
    dir->size = size;

    return VOICE_OK;
}


voice_directory_t *
voice_directory_create(const voice_alloc_t *alloc)
{
    voice_directory_t  *dir;

    dir = voice_alloc(alloc, sizeof(voice_directory_t));

    if (dir != NULL) {
        memset(dir, 0, sizeof(voice_directory_t));
        dir->alloc = alloc;
    }

    return dir;
}


void
voice_directory_free(voice_directory_t *dir)
{
    size_t  i;

    if (dir == NULL) {
        return;
    }

    for (i = 0; i < dir->nguilds; i++) {
        voice_dir_guild_free(dir->guild[i]);
    }

    voice_free(dir->alloc, dir->guilds.slot);
    voice_free(dir->alloc, dir->channels.slot);
    voice_free(dir->alloc, dir->guild);
    voice_free(dir->alloc, dir);
}


/* A channel that stands in another guild than that of the same id; or NULL. */
static const voice_dir_channel_t *
dir_foreign_channel(const voice_directory_t *dir,
    const voice_dir_guild_t *guild)
{
    uint32_t           i;
    const dir_slot_t  *slot;

    for (i = 0; i < guild->nchannels; i++) {
        slot = dir_map_find(&dir->channels, guild->channel[i].id);

        if (slot != NULL && slot->guild->id != guild->id) {
            return &guild->channel[i];
        }
    }

    return NULL;
}


static voice_err_t
dir_reserve(voice_directory_t *dir, const voice_dir_guild_t *guild)
{
    voice_err_t  err;

    err = dir_list_reserve(dir);

    if (err == VOICE_OK) {
        err = dir_map_reserve(&dir->guilds, dir->alloc, 1);
    }

    if (err == VOICE_OK) {
        err = dir_map_reserve(&dir->channels, dir->alloc, guild->nchannels);
    }

    return err;
}


static void
dir_add(voice_directory_t *dir, voice_dir_guild_t *guild)
{
    uint32_t     i;
    dir_slot_t  *slot;

    slot = dir_map_add(&dir->guilds, guild->id);
    slot->guild = guild;
    slot->of.index = dir->nguilds;
    dir->guild[dir->nguilds++] = guild;

    for (i = 0; i < guild->nchannels; i++) {
        slot = dir_map_add(&dir->channels, guild->channel[i].id);
        slot->guild = guild;
        slot->of.channel = &guild->channel[i];
    }
}


voice_err_t
voice_directory_put(voice_directory_t *dir, voice_dir_guild_t *guild,
    voice_dir_guild_t **old, voice_dir_error_t *error)
{
    voice_err_t                 err;
    const voice_dir_channel_t  *channel;

    channel = dir_foreign_channel(dir, guild);

    if (channel != NULL) {
        memset(error, 0, sizeof(voice_dir_error_t));
        strcpy(error->pointer, "/channels");
        (void) snprintf(error->found, sizeof(error->found), "%" PRIu64,
                        channel->id);
        error->expected = "an id that no channel of another guild has";
        return VOICE_E_RANGE;
    }

    if (dir->nguilds >= VOICE_DIR_GUILDS_MAX
        && dir_map_find(&dir->guilds, guild->id) == NULL)
    {
        return VOICE_E_FULL;
    }

    err = dir_reserve(dir, guild);
    if (err != VOICE_OK) {
        return err;
    }

    *old = voice_directory_remove(dir, guild->id);
    dir_add(dir, guild);

    return VOICE_OK;
}


voice_dir_guild_t *
voice_directory_remove(voice_directory_t *dir, uint64_t guild_id)
{
    size_t              index;
    uint32_t            i;
    dir_slot_t         *slot;
    voice_dir_guild_t  *guild;

    slot = dir_map_find(&dir->guilds, guild_id);
    if (slot == NULL) {
        return NULL;
    }

    guild = slot->guild;
    index = slot->of.index;

    for (i = 0; i < guild->nchannels; i++) {
        dir_map_remove(&dir->channels, guild->channel[i].id);
    }

    dir_map_remove(&dir->guilds, guild_id);

    /* the last one takes its place in the list */
    dir->nguilds--;

    if (index != dir->nguilds) {
        dir->guild[index] = dir->guild[dir->nguilds];
        slot = dir_map_find(&dir->guilds, dir->guild[index]->id);
        slot->of.index = index;
    }

    return guild;
}


const voice_dir_guild_t *
voice_directory_guild(const voice_directory_t *dir, uint64_t guild_id)
{
    const dir_slot_t  *slot;

    slot = dir_map_find(&dir->guilds, guild_id);

    return slot != NULL ? slot->guild : NULL;
}


const voice_dir_channel_t *
voice_directory_channel(const voice_directory_t *dir, uint64_t channel_id,
    const voice_dir_guild_t **guild)
{
    const dir_slot_t  *slot;

    slot = dir_map_find(&dir->channels, channel_id);
    if (slot == NULL) {
        return NULL;
    }

    *guild = slot->guild;

    return slot->of.channel;
}


size_t
voice_directory_count(const voice_directory_t *dir)
{
    return dir->nguilds;
}


const voice_dir_guild_t *
voice_directory_at(const voice_directory_t *dir, size_t i)
{
    return i < dir->nguilds ? dir->guild[i] : NULL;
}


/* Arrays of structs that begin with their id, in order of it. */
static const void *
dir_search(const void *items, size_t n, size_t size, uint64_t id)
{
    size_t           low, high, mid;
    uint64_t         key;
    const uint8_t   *p;

    low = 0;
    high = n;

    while (low < high) {
        mid = low + (high - low) / 2;
        p = (const uint8_t *) items + mid * size;
        memcpy(&key, p, sizeof(uint64_t));

        if (key == id) {
            return p;
        }

        if (key < id) {
            low = mid + 1;

        } else {
            high = mid;
        }
    }

    return NULL;
}


const voice_dir_role_t *
voice_dir_role(const voice_dir_guild_t *guild, uint64_t role_id)
{
    return dir_search(guild->role, guild->nroles, sizeof(voice_dir_role_t),
                      role_id);
}


const voice_dir_channel_t *
voice_dir_channel(const voice_dir_guild_t *guild, uint64_t channel_id)
{
    return dir_search(guild->channel, guild->nchannels,
                      sizeof(voice_dir_channel_t), channel_id);
}


const voice_dir_member_t *
voice_dir_member(const voice_dir_guild_t *guild, uint64_t user_id)
{
    return dir_search(guild->member, guild->nmembers,
                      sizeof(voice_dir_member_t), user_id);
}


bool
voice_dir_channel_is_voice(const voice_dir_channel_t *channel)
{
    return channel->type == VOICE_CHANNEL_VOICE
           || channel->type == VOICE_CHANNEL_STAGE;
}


void
voice_dir_member_make(voice_dir_member_t *member, uint64_t user_id,
    const char *name, bool bot)
{
    memset(member, 0, sizeof(voice_dir_member_t));

    member->user.id = user_id;
    member->user.username = name;
    member->user.discriminator = "0";
    member->user.bot = bot;
    member->joined_at = VOICE_DIR_JOINED_AT;
}
