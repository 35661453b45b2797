/*
 * Copyright (C) ngx-voice contributors
 *
 * The directory: guilds with their roles, channels and members, from JSON of
 * Discord's shapes.  A guild is immutable and one piece of memory; the
 * directory is a set of guilds, in which one guild at a time can be replaced.
 *
 * Text is {"guilds": [...]} or the array alone.  Ids and permissions may be
 * decimal strings or integers.  Keys that are not known are passed over.
 */


#ifndef _VOICE_DIRECTORY_H_INCLUDED_
#define _VOICE_DIRECTORY_H_INCLUDED_


#include "voice_alloc.h"
#include "voice_buf.h"
#include "voice_err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>


/* Caps: what is more is an error that names the place. */
#define VOICE_DIR_TEXT_MAX         (256u * 1024 * 1024)   /* bytes of JSON */
#define VOICE_DIR_GUILD_TEXT_MAX   (32u * 1024 * 1024)
#define VOICE_DIR_GUILDS_MAX       100000
#define VOICE_DIR_ROLES_MAX        500      /* of a guild, with @everyone */
#define VOICE_DIR_CHANNELS_MAX     1000     /* of a guild */
#define VOICE_DIR_OVERWRITES_MAX   1000     /* of a channel */
#define VOICE_DIR_MEMBERS_MAX      100000   /* of a guild */
#define VOICE_DIR_NAME_MAX         100      /* characters */
#define VOICE_DIR_TOPIC_MAX        1024     /* characters */
#define VOICE_DIR_WORD_MAX         64       /* bytes: region, avatar, ... */

#define VOICE_DIR_BITRATE          64000
#define VOICE_DIR_BITRATE_MIN      8000
#define VOICE_DIR_BITRATE_MAX      510000   /* Opus' own limit */
#define VOICE_DIR_USER_LIMIT_MAX   10000
#define VOICE_DIR_AFK_TIMEOUT      300
#define VOICE_DIR_AFK_TIMEOUT_MAX  86400

/* Of members and guilds that say nothing else. */
#define VOICE_DIR_JOINED_AT        "2015-01-01T00:00:00+00:00"


typedef enum {
    VOICE_CHANNEL_TEXT = 0,
    VOICE_CHANNEL_VOICE = 2,
    VOICE_CHANNEL_CATEGORY = 4,
    VOICE_CHANNEL_NEWS = 5,
    VOICE_CHANNEL_STAGE = 13,
    VOICE_CHANNEL_FORUM = 15,
    VOICE_CHANNEL_MEDIA = 16
} voice_channel_type_t;


typedef enum {
    VOICE_OVERWRITE_ROLE = 0,
    VOICE_OVERWRITE_MEMBER = 1
} voice_overwrite_type_t;


/* Strings are UTF-8; those that may be null say so. */

typedef struct {
    uint64_t      id;             /* the guild's id: @everyone */
    uint64_t      permissions;
    const char   *name;
    int32_t       position;
    uint32_t      color;
    bool          hoist;
    bool          managed;
    bool          mentionable;
} voice_dir_role_t;


typedef struct {
    uint64_t      id;             /* role or user, which needn't exist */
    uint64_t      allow;
    uint64_t      deny;
    uint8_t       type;           /* voice_overwrite_type_t */
} voice_dir_overwrite_t;


typedef struct {
    uint64_t                      id;
    uint64_t                      parent_id;      /* 0: none */
    const char                   *name;
    const char                   *topic;          /* may be NULL */
    const char                   *rtc_region;     /* may be NULL */
    const voice_dir_overwrite_t  *overwrite;      /* as in the text */
    uint32_t                      noverwrites;
    uint32_t                      bitrate;        /* bit/s */
    uint32_t                      user_limit;     /* 0: none */
    uint32_t                      rate_limit;     /* rate_limit_per_user */
    int32_t                       position;
    uint8_t                       type;           /* voice_channel_type_t */
    bool                          nsfw;
} voice_dir_channel_t;


typedef struct {
    uint64_t      id;
    const char   *username;
    const char   *discriminator;  /* "0" if absent */
    const char   *global_name;    /* may be NULL */
    const char   *avatar;         /* may be NULL */
    bool          bot;
} voice_dir_user_t;


typedef struct {
    voice_dir_user_t   user;
    const uint64_t    *role;      /* ids, ascending; without @everyone */
    uint32_t           nroles;
    const char        *nick;      /* may be NULL */
    const char        *joined_at; /* ISO 8601 */
    bool               mute;      /* as they are when nobody muted or */
    bool               deaf;      /* deafened them at run time */
} voice_dir_member_t;


/* Each array is in ascending order of ids, without repetition. */
typedef struct {
    uint64_t                    id;
    uint64_t                    owner_id;
    uint64_t                    afk_channel_id;   /* 0: none */
    const char                 *name;
    const char                 *icon;             /* may be NULL */
    const char                 *description;      /* may be NULL */
    const char                 *region;           /* may be NULL */
    const char                 *joined_at;        /* ISO 8601 */
    const voice_dir_role_t     *role;             /* with @everyone */
    const voice_dir_channel_t  *channel;
    const voice_dir_member_t   *member;
    uint32_t                    nroles;
    uint32_t                    nchannels;
    uint32_t                    nmembers;
    uint32_t                    afk_timeout;      /* seconds */
    size_t                      memory;           /* bytes that it takes */
} voice_dir_guild_t;


typedef struct voice_directory_s  voice_directory_t;


/* Where a text is wrong, what stands there, what was expected. */
typedef struct {
    char         pointer[128]; /* JSON pointer (RFC 6901); "" is the whole */
    char         found[48];    /* printable; "nothing" if absent */
    const char  *expected;     /* static text */
    uint32_t     line;         /* from 1; 0: not in a text */
    uint32_t     column;       /* from 1, in bytes */
} voice_dir_error_t;


/*
 * "line 3, column 14: /guilds/0/name: found 5, expected a string ...", cut
 * if size is too small.  It names no line if that is 0.
 */
void voice_dir_error_text(const voice_dir_error_t *error, char *buf,
    size_t size);


/*
 * VOICE_E_FORMAT  not JSON, or something has another type than expected
 * VOICE_E_RANGE   a value is out of its range, an id occurs twice, or refers
 *                 to nothing
 * VOICE_E_LENGTH  more of something than the caps above allow
 * VOICE_E_NOMEM   error is not filled in
 */
voice_err_t voice_directory_parse(const char *text, size_t len,
    const voice_alloc_t *alloc, voice_directory_t **dir,
    voice_dir_error_t *error);

/* One without guilds; NULL: no memory. */
voice_directory_t *voice_directory_create(const voice_alloc_t *alloc);
void voice_directory_free(voice_directory_t *dir);

/* Bounded look-ups; NULL if there is no such thing. */
const voice_dir_guild_t *voice_directory_guild(const voice_directory_t *dir,
    uint64_t guild_id);
const voice_dir_channel_t *voice_directory_channel(
    const voice_directory_t *dir, uint64_t channel_id,
    const voice_dir_guild_t **guild);

/* All of them: i below the number of guilds, in no particular order. */
size_t voice_directory_count(const voice_directory_t *dir);
const voice_dir_guild_t *voice_directory_at(const voice_directory_t *dir,
    size_t i);

/*
 * Adds a guild or replaces the one of that id, and takes it over.  The one
 * that was replaced is given back, to compare and to free; else *old is NULL.
 *
 * VOICE_E_RANGE   another guild has one of its channels; see error
 * VOICE_E_FULL    VOICE_DIR_GUILDS_MAX
 * VOICE_E_NOMEM   in each case nothing has changed
 */
voice_err_t voice_directory_put(voice_directory_t *dir,
    voice_dir_guild_t *guild, voice_dir_guild_t **old,
    voice_dir_error_t *error);

/* Takes a guild out, for the caller to free; NULL: no such guild. */
voice_dir_guild_t *voice_directory_remove(voice_directory_t *dir,
    uint64_t guild_id);


/*
 * One guild object.  id: the one that it must have, and gets if the text
 * names none; 0: any, and the text must name it.  Errors as above, with
 * pointers from the guild on ("/channels/0/name").
 */
voice_err_t voice_dir_guild_parse(const char *text, size_t len, uint64_t id,
    const voice_alloc_t *alloc, voice_dir_guild_t **guild,
    voice_dir_error_t *error);

/*
 * A new guild: base with a JSON merge patch (RFC 7396) applied to the guild
 * object.  A key that is null falls back to its default; an array replaces
 * the whole array.  What base held and the patch doesn't name may refer to
 * what the patch took away: members lose roles, the guild its AFK channel.
 */
voice_err_t voice_dir_guild_patch(const voice_dir_guild_t *base,
    const char *text, size_t len, const voice_alloc_t *alloc,
    voice_dir_guild_t **guild, voice_dir_error_t *error);

void voice_dir_guild_free(voice_dir_guild_t *guild);

/* As voice_dir_guild_parse() takes it; ids and permissions are strings. */
void voice_dir_guild_encode(voice_buf_t *b, const voice_dir_guild_t *guild);


const voice_dir_role_t *voice_dir_role(const voice_dir_guild_t *guild,
    uint64_t role_id);
const voice_dir_channel_t *voice_dir_channel(const voice_dir_guild_t *guild,
    uint64_t channel_id);
const voice_dir_member_t *voice_dir_member(const voice_dir_guild_t *guild,
    uint64_t user_id);

bool voice_dir_channel_is_voice(const voice_dir_channel_t *channel);

/*
 * A member that the directory doesn't name, with @everyone alone: the user's
 * token named the guild.  name is not copied.
 */
void voice_dir_member_make(voice_dir_member_t *member, uint64_t user_id,
    const char *name, bool bot);


#endif /* _VOICE_DIRECTORY_H_INCLUDED_ */
