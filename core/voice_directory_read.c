/*
 * Copyright (C) ngx-voice contributors
 */


#include "voice_directory_internal.h"
#include "voice_shape.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>


size_t
dir_push_key(dir_reader_t *r, const char *key)
{
    size_t              path, left;
    voice_dir_error_t  *error;

    error = r->error;
    path = r->path;
    left = sizeof(error->pointer) - path;

    /* paths of keys in the tables and of indexes are far from being so long */
    if (left > 1) {
        (void) snprintf(error->pointer + path, left, "/%s", key);
        r->path += strlen(error->pointer + path);
    }

    return path;
}


size_t
dir_push_index(dir_reader_t *r, uint32_t index)
{
    char  key[16];

    (void) snprintf(key, sizeof(key), "%" PRIu32, index);

    return dir_push_key(r, key);
}


void
dir_pop(dir_reader_t *r, size_t path)
{
    r->error->pointer[path] = '\0';
    r->path = path;
}


/* A value as it may stand in a log line: short, and printable ASCII. */
static void
dir_found(voice_dir_error_t *error, const voice_json_t *val)
{
    size_t       i, len, max;
    const char  *cut;

    switch (val != NULL ? val->type : VOICE_JSON_ABSENT) {

    case VOICE_JSON_ABSENT:
        strcpy(error->found, "nothing");
        return;

    case VOICE_JSON_TWICE:
        strcpy(error->found, "the key twice");
        return;

    case VOICE_JSON_ARRAY:
        strcpy(error->found, "an array");
        return;

    case VOICE_JSON_OBJECT:
        strcpy(error->found, "an object");
        return;

    default:
        break;
    }

    max = sizeof(error->found) - 4;
    len = (size_t) (val->end - val->start);
    cut = len > max ? "..." : "";
    len = len > max ? max : len;

    for (i = 0; i < len; i++) {
        error->found[i] = val->start[i] >= 0x20 && val->start[i] < 0x7f
                          ? val->start[i] : '?';
    }

    strcpy(error->found + len, cut);
}


/* Not of what a patch left as it was: that is in no text of the caller's. */
static void
dir_place(dir_reader_t *r, const char *at)
{
    const char         *p;
    voice_dir_error_t  *error;

    error = r->error;
    error->line = 0;
    error->column = 0;

    if ((uintptr_t) at < (uintptr_t) r->text
        || (uintptr_t) at > (uintptr_t) r->end)
    {
        return;
    }

    error->line = 1;
    error->column = 1;

    for (p = r->text; p < at; p++) {
        error->column++;

        if (*p == '\n') {
            error->line++;
            error->column = 1;
        }
    }
}


voice_err_t
dir_fail(dir_reader_t *r, voice_err_t err, const voice_json_t *val,
    const char *at, const char *expected)
{
    if (val != NULL && val->start != NULL) {
        at = val->start;
    }

    dir_found(r->error, val);
    dir_place(r, at);
    r->error->expected = expected;

    return err;
}


/* What the reader of JSON says is wrong, as what was expected instead. */
static const char *
dir_syntax(const char *why)
{
    if (strcmp(why, "not UTF-8") == 0) {
        return "UTF-8";
    }

    if (strcmp(why, "nested too deep") == 0) {
        return "at most 16 levels of objects and arrays";
    }

    if (strcmp(why, "more than one JSON value") == 0) {
        return "the end of the text";
    }

    return "JSON";
}


voice_err_t
dir_parse(dir_reader_t *r, const char *text, size_t len, voice_json_t *root)
{
    size_t        offset;
    const char   *why;
    voice_json_t  val;

    memset(r->error, 0, sizeof(voice_dir_error_t));

    r->text = text;
    r->end = text + len;
    r->path = 0;

    if (voice_json_parse_at(text, len, root, &why, &offset) == VOICE_OK) {
        return VOICE_OK;
    }

    (void) dir_fail(r, VOICE_E_FORMAT, NULL, text + offset, dir_syntax(why));

    if (offset == len) {
        strcpy(r->error->found, "the end of the text");
        return VOICE_E_FORMAT;
    }

    val.type = VOICE_JSON_NUMBER;
    val.start = text + offset;
    val.end = val.start + 1;

    dir_found(r->error, &val);

    return VOICE_E_FORMAT;
}


/* One walk over an object, however many fields it has. */
static void
dir_collect(const voice_json_t *object, const dir_field_t *field, size_t n,
    voice_json_t *val)
{
    char          name[VOICE_JSON_KEY_MAX];
    size_t        i;
    voice_json_t  key, v;

    memset(val, 0, n * sizeof(voice_json_t));
    v.type = VOICE_JSON_ABSENT;

    while (voice_json_next_member(object, &key, &v)) {

        /* one that is longer is none of ours */
        if (voice_json_string(&key, name, sizeof(name)) != VOICE_OK) {
            continue;
        }

        for (i = 0; i < n; i++) {
            if (strcmp(name, field[i].key) != 0) {
                continue;
            }

            if (val[i].type != VOICE_JSON_ABSENT) {
                v.type = VOICE_JSON_TWICE;
            }

            val[i] = v;
            break;
        }
    }
}


static size_t
dir_characters(const char *str)
{
    size_t  n;

    for (n = 0; *str != '\0'; str++) {
        n += ((uint8_t) *str & 0xc0) != 0x80;
    }

    return n;
}


static bool
dir_is_word(const char *str)
{
    for ( /* void */ ; *str != '\0'; str++) {
        if (*str <= 0x20 || *str >= 0x7f) {
            return false;
        }
    }

    return true;
}


static voice_err_t
dir_string(dir_reader_t *r, const voice_json_t *val, const dir_field_t *field,
    const char **out)
{
    bool         ok;
    size_t       n;
    uint64_t     ms;
    voice_err_t  err;

    err = voice_json_string(val, r->scratch, r->scratch_size);
    if (err != VOICE_OK) {
        return err;
    }

    switch (field->kind) {

    case DIR_TIME:
        ok = voice_shape_time_parse(r->scratch, &ms) == VOICE_OK;
        break;

    case DIR_WORD:
        n = strlen(r->scratch);
        ok = n >= 1 && n <= VOICE_DIR_WORD_MAX && dir_is_word(r->scratch);
        break;

    default:
        n = dir_characters(r->scratch);
        ok = n >= (size_t) field->min && n <= (size_t) field->max;
        break;
    }

    if (!ok) {
        return VOICE_E_RANGE;
    }

    *out = voice_arena_text(r->arena, r->scratch, strlen(r->scratch));

    return *out != NULL ? VOICE_OK : VOICE_E_NOMEM;
}


/* Decimal strings are what Discord sends; people write numbers. */
static voice_err_t
dir_permissions(const voice_json_t *val, uint64_t *out)
{
    int64_t      n;
    uint64_t     u;
    voice_err_t  err;

    if (val->type == VOICE_JSON_NUMBER) {
        err = voice_json_int(val, 0, INT64_MAX, &n);
        u = (uint64_t) n;

    } else {
        err = voice_json_decimal(val, &u);

        if (err == VOICE_OK && u > INT64_MAX) {
            err = VOICE_E_RANGE;
        }
    }

    if (err == VOICE_OK) {
        *out = u;
    }

    return err;
}


static voice_err_t
dir_channel_type(const voice_json_t *val, uint8_t *out)
{
    int64_t      n;
    voice_err_t  err;

    err = voice_json_int(val, 0, UINT8_MAX, &n);
    if (err != VOICE_OK) {
        return err;
    }

    switch (n) {

    case VOICE_CHANNEL_TEXT:
    case VOICE_CHANNEL_VOICE:
    case VOICE_CHANNEL_CATEGORY:
    case VOICE_CHANNEL_NEWS:
    case VOICE_CHANNEL_STAGE:
    case VOICE_CHANNEL_FORUM:
    case VOICE_CHANNEL_MEDIA:
        *out = (uint8_t) n;
        return VOICE_OK;

    default:
        return VOICE_E_RANGE;
    }
}


/* Old data has names: "role" and "member". */
static voice_err_t
dir_overwrite_type(const voice_json_t *val, uint8_t *out)
{
    char         name[16];
    int64_t      n;
    voice_err_t  err;

    if (val->type == VOICE_JSON_STRING) {
        err = voice_json_string(val, name, sizeof(name));
        if (err != VOICE_OK) {
            return err;
        }

        n = strcmp(name, "role") == 0 || strcmp(name, "0") == 0 ? 0
            : strcmp(name, "member") == 0 || strcmp(name, "1") == 0 ? 1 : -1;

        if (n == -1) {
            return VOICE_E_RANGE;
        }

    } else {
        err = voice_json_int(val, 0, 1, &n);
        if (err != VOICE_OK) {
            return err;
        }
    }

    *out = (uint8_t) n;

    return VOICE_OK;
}


static voice_err_t
dir_bool(const voice_json_t *val, bool *out)
{
    if (val->type != VOICE_JSON_TRUE && val->type != VOICE_JSON_FALSE) {
        return VOICE_E_FORMAT;
    }

    *out = val->type == VOICE_JSON_TRUE;

    return VOICE_OK;
}


static voice_err_t
dir_int(const voice_json_t *val, const dir_field_t *field, void *out)
{
    int64_t      n;
    voice_err_t  err;

    err = voice_json_int(val, field->min, field->max, &n);
    if (err != VOICE_OK) {
        return err;
    }

    if (field->kind == DIR_INT) {
        *(int32_t *) out = (int32_t) n;

    } else {
        *(uint32_t *) out = (uint32_t) n;
    }

    return VOICE_OK;
}


static voice_err_t
dir_container(const voice_json_t *val, voice_json_type_t type,
    voice_json_t *out)
{
    if (val->type != type) {
        return VOICE_E_FORMAT;
    }

    *out = *val;

    return VOICE_OK;
}


static voice_err_t
dir_value(dir_reader_t *r, const voice_json_t *val, const dir_field_t *field,
    void *out)
{
    switch (field->kind) {

    case DIR_ID:
        return voice_json_id(val, out);

    case DIR_PERMISSIONS:
        return dir_permissions(val, out);

    case DIR_STRING:
    case DIR_WORD:
    case DIR_TIME:
        return dir_string(r, val, field, out);

    case DIR_BOOL:
        return dir_bool(val, out);

    case DIR_CHANNEL_TYPE:
        return dir_channel_type(val, out);

    case DIR_OVERWRITE_TYPE:
        return dir_overwrite_type(val, out);

    case DIR_ARRAY:
        return dir_container(val, VOICE_JSON_ARRAY, out);

    case DIR_OBJECT:
        return dir_container(val, VOICE_JSON_OBJECT, out);

    default:
        return dir_int(val, field, out);
    }
}


static voice_err_t
dir_field(dir_reader_t *r, const voice_json_t *object,
    const voice_json_t *val, const dir_field_t *field, void *out)
{
    voice_err_t  err;

    if (voice_json_absent(val)) {
        if (!field->required) {
            return VOICE_OK;
        }

        err = VOICE_E_FORMAT;

    } else if (val->type == VOICE_JSON_TWICE) {
        err = VOICE_E_FORMAT;

    } else {
        err = dir_value(r, val, field, (char *) out + field->offset);
    }

    if (err == VOICE_OK || err == VOICE_E_NOMEM) {
        return err;
    }

    (void) dir_push_key(r, field->key);

    return dir_fail(r, err, val, object->start, field->expected);
}


voice_err_t
dir_object(dir_reader_t *r, const voice_json_t *val,
    const voice_json_t *fallback, const dir_field_t *field, size_t n,
    void *out, uint32_t *fell)
{
    size_t        i;
    voice_err_t   err;
    voice_json_t  own[DIR_FIELDS_MAX], other[DIR_FIELDS_MAX], *v;

    if (val->type != VOICE_JSON_OBJECT) {
        return dir_fail(r, VOICE_E_FORMAT, val, NULL, "an object");
    }

    dir_collect(val, field, n, own);

    if (fallback != NULL) {
        dir_collect(fallback, field, n, other);
    }

    for (i = 0; i < n; i++) {
        v = &own[i];

        /* RFC 7396: null takes a key away, absence leaves it */
        if (fallback != NULL && v->type == VOICE_JSON_ABSENT) {
            v = &other[i];
            *fell |= 1u << i;
        }

        err = dir_field(r, val, v, &field[i], out);
        if (err != VOICE_OK) {
            return err;
        }
    }

    return VOICE_OK;
}


voice_err_t
dir_count(dir_reader_t *r, const voice_json_t *array, uint32_t max,
    const char *expected, uint32_t *n)
{
    uint32_t      count;
    voice_json_t  item;

    item.type = VOICE_JSON_ABSENT;

    for (count = 0; voice_json_next(array, &item); count++) {
        if (count == max) {
            (void) dir_fail(r, VOICE_E_LENGTH, array, NULL, expected);
            (void) snprintf(r->error->found, sizeof(r->error->found),
                            "more than %" PRIu32, max);
            return VOICE_E_LENGTH;
        }
    }

    *n = count;

    return VOICE_OK;
}


static int
dir_key_compare(const void *one, const void *two)
{
    const dir_key_t  *a = one, *b = two;

    if (a->id != b->id) {
        return a->id < b->id ? -1 : 1;
    }

    if (a->type != b->type) {
        return a->type < b->type ? -1 : 1;
    }

    return a->index < b->index ? -1 : a->index > b->index;
}


voice_err_t
dir_unique(dir_reader_t *r, dir_key_t *key, uint32_t n, const char *where,
    const char *expected)
{
    uint32_t  i;

    if (n == 0) {
        return VOICE_OK;
    }

    qsort(key, n, sizeof(dir_key_t), dir_key_compare);

    for (i = 1; i < n; i++) {
        if (key[i].id != key[i - 1].id || key[i].type != key[i - 1].type) {
            continue;
        }

        (void) dir_push_index(r, key[i].index);
        (void) dir_push_key(r, where);
        (void) dir_fail(r, VOICE_E_RANGE, NULL, key[i].at, expected);
        (void) snprintf(r->error->found, sizeof(r->error->found),
                        "%" PRIu64 " again", key[i].id);

        return VOICE_E_RANGE;
    }

    return VOICE_OK;
}


const dir_key_t *
dir_key_find(const dir_key_t *key, uint32_t n, uint64_t id)
{
    uint32_t  low, high, mid;

    low = 0;
    high = n;

    while (low < high) {
        mid = low + (high - low) / 2;

        if (key[mid].id == id) {
            return &key[mid];
        }

        if (key[mid].id < id) {
            low = mid + 1;

        } else {
            high = mid;
        }
    }

    return NULL;
}


void
voice_dir_error_text(const voice_dir_error_t *error, char *buf, size_t size)
{
    char  place[48];

    place[0] = '\0';

    if (error->line != 0) {
        (void) snprintf(place, sizeof(place),
                        "line %" PRIu32 ", column %" PRIu32 ": ",
                        error->line, error->column);
    }

    (void) snprintf(buf, size, "%s%s%sfound %s, expected %s", place,
                    error->pointer, error->pointer[0] != '\0' ? ": " : "",
                    error->found, error->expected);
}
