/*
 * Copyright (C) ngx-voice contributors
 *
 * Reading of the directory's JSON: tables of fields, as in voice_json.h, but
 * with strings in an arena and errors that tell the place.
 */


#ifndef _VOICE_DIRECTORY_INTERNAL_H_INCLUDED_
#define _VOICE_DIRECTORY_INTERNAL_H_INCLUDED_


#include "voice_directory.h"
#include "voice_json.h"


#define DIR_FIELDS_MAX   16

#define dir_nelts(a)     (sizeof(a) / sizeof((a)[0]))


#define DIR_ABSENT   (-1)

#define DIR_A_SNOWFLAKE                                                       \
    "a snowflake: a decimal string or an integer, not 0"
#define DIR_A_NAME        "a string of 1 to 100 characters"
#define DIR_A_WORD        "a string of 1 to 64 characters without spaces"
#define DIR_A_BOOLEAN     "true or false"
#define DIR_A_POSITION    "an integer of 0 to 2147483647"
#define DIR_A_TIME        "a time of ISO 8601"
#define DIR_AN_ARRAY      "an array"
#define DIR_PERMISSION_BITS                                                   \
    "permission bits: a decimal string or an integer below 2^63"


typedef struct {
    const char            *text;       /* that lines are counted in */
    const char            *end;
    voice_arena_t         *arena;
    voice_dir_error_t     *error;
    size_t                 path;       /* length of error->pointer */
    char                  *scratch;    /* a string of VOICE_DIR_TOPIC_MAX */
    size_t                 scratch_size;
} dir_reader_t;


typedef enum {
    DIR_ID = 0,          /* uint64_t */
    DIR_PERMISSIONS,     /* uint64_t, below 2^63 */
    DIR_STRING,          /* const char *, min..max characters */
    DIR_WORD,            /* const char *, at most max bytes of visible ASCII */
    DIR_TIME,            /* const char *, ISO 8601 */
    DIR_BOOL,            /* bool */
    DIR_INT,             /* int32_t, min..max */
    DIR_UINT,            /* uint32_t, min..max */
    DIR_CHANNEL_TYPE,    /* uint8_t */
    DIR_OVERWRITE_TYPE,  /* uint8_t */
    DIR_ARRAY,           /* voice_json_t */
    DIR_OBJECT           /* voice_json_t */
} dir_kind_t;


typedef struct {
    const char    *key;
    dir_kind_t     kind;
    bool           required;   /* or else may be absent or null */
    size_t         offset;     /* in the struct */
    int32_t        min;
    int32_t        max;
    const char    *expected;
} dir_field_t;


/* The value and its place in the text, to find those that occur twice. */
typedef struct {
    uint64_t       id;
    uint32_t       index;
    uint8_t        type;       /* an overwrite's: ids of each are apart */
    const char    *at;
} dir_key_t;


voice_err_t dir_parse(dir_reader_t *r, const char *text, size_t len,
    voice_json_t *root);

/*
 * fallback: an object for the keys that val doesn't have, or NULL; bit i of
 * *fell tells that field i came from it
 */
voice_err_t dir_object(dir_reader_t *r, const voice_json_t *val,
    const voice_json_t *fallback, const dir_field_t *field, size_t n,
    void *out, uint32_t *fell);

/* The number of items.  VOICE_E_LENGTH: more than max */
voice_err_t dir_count(dir_reader_t *r, const voice_json_t *array,
    uint32_t max, const char *expected, uint32_t *n);

/* The path to a value is pushed before it is read, and popped after that. */
size_t dir_push_key(dir_reader_t *r, const char *key);
size_t dir_push_index(dir_reader_t *r, uint32_t index);
void dir_pop(dir_reader_t *r, size_t path);

/* Fills in error and returns err; val may be NULL or VOICE_JSON_ABSENT. */
voice_err_t dir_fail(dir_reader_t *r, voice_err_t err,
    const voice_json_t *val, const char *at, const char *expected);

/*
 * Sorts, and tells of an id that occurs twice at its second place, as
 * /INDEX/where below the present path.
 */
voice_err_t dir_unique(dir_reader_t *r, dir_key_t *key, uint32_t n,
    const char *where, const char *expected);

/* NULL: no such id */
const dir_key_t *dir_key_find(const dir_key_t *key, uint32_t n, uint64_t id);


/* What is being put together, while it can still be written to. */
typedef struct {
    voice_dir_guild_t      *guild;
    voice_dir_role_t       *role;
    voice_dir_channel_t    *channel;
    voice_dir_overwrite_t  *overwrite;
    voice_dir_member_t     *member;
    bool                    drop_roles;    /* that members have and the guild
                                              doesn't any more */
} dir_build_t;

typedef voice_err_t (*dir_item_pt)(dir_reader_t *r, dir_build_t *build,
    const voice_json_t *val, dir_key_t *key);


/*
 * Reads the items of an array, n as dir_count() says.  keys: on success, n of
 * them in order of their ids, to be freed; where, unique: as dir_unique()
 */
voice_err_t dir_items(dir_reader_t *r, dir_build_t *build,
    const voice_json_t *array, uint32_t n, dir_item_pt item,
    const char *where, const char *unique, dir_key_t **keys);

/* Structs that begin with their id, in order of it. */
void dir_sort(void *items, size_t n, size_t size);

/* Parts of a guild, in this order: roles come before both. */
voice_err_t dir_channels(dir_reader_t *r, dir_build_t *build,
    const voice_json_t *array);
voice_err_t dir_members(dir_reader_t *r, dir_build_t *build,
    const voice_json_t *array);

/* A whole guild; id as for voice_dir_guild_parse(). */
voice_err_t dir_guild_make(dir_reader_t *r, const voice_json_t *val,
    const voice_json_t *fallback, uint64_t id, const voice_alloc_t *alloc,
    voice_dir_guild_t **guild);


#endif /* _VOICE_DIRECTORY_INTERNAL_H_INCLUDED_ */
