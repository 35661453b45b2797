/*
 * Copyright (C) ngx-voice contributors
 *
 * JSON (RFC 8259) as it comes over a websocket or stands in a token: read
 * where it is, without a copy or an allocation, and written into the
 * caller's buffer.
 *
 * A general parser does not do here: ids and heartbeat tokens are 64-bit
 * numbers, which must come through digit for digit.
 */


#ifndef _VOICE_JSON_H_INCLUDED_
#define _VOICE_JSON_H_INCLUDED_


#include "voice_err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>


#define VOICE_JSON_DEPTH_MAX   16      /* objects and arrays in each other */
#define VOICE_JSON_KEY_MAX     64      /* of a key that is asked for */


typedef enum {
    VOICE_JSON_ABSENT = 0,
    VOICE_JSON_TWICE,                  /* the key stands there repeatedly */
    VOICE_JSON_NULL,
    VOICE_JSON_FALSE,
    VOICE_JSON_TRUE,
    VOICE_JSON_NUMBER,
    VOICE_JSON_STRING,
    VOICE_JSON_ARRAY,
    VOICE_JSON_OBJECT
} voice_json_type_t;


/* A value where it stands: a string with its quotes, an array with its []. */
typedef struct {
    voice_json_type_t   type;
    const char         *start;
    const char         *end;
} voice_json_t;


/*
 * Checks the whole text; the value points into it.  All other functions
 * below take only what comes from here.
 *
 * why: on error, a static text
 *
 * VOICE_E_FORMAT  not JSON, not UTF-8 inside of a string, or too deep
 */
voice_err_t voice_json_parse(const char *text, size_t len, voice_json_t *val,
    const char **why);

/* The same; offset: on error, where it stops to be JSON. */
voice_err_t voice_json_parse_at(const char *text, size_t len,
    voice_json_t *val, const char **why, size_t *offset);

/* A member of an object; VOICE_JSON_ABSENT too if it is not an object. */
voice_json_type_t voice_json_get(const voice_json_t *object, const char *key,
    voice_json_t *val);

/* Not there, or null: optional fields take both for "not given". */
static inline bool
voice_json_absent(const voice_json_t *val)
{
    return val->type == VOICE_JSON_ABSENT || val->type == VOICE_JSON_NULL;
}

/* The item after this one; an item of type VOICE_JSON_ABSENT starts. */
bool voice_json_next(const voice_json_t *array, voice_json_t *item);

/* The same for the members of an object: the one after val. */
bool voice_json_next_member(const voice_json_t *object, voice_json_t *key,
    voice_json_t *val);

/*
 * VOICE_E_FORMAT  not a string, or one with a NUL
 * VOICE_E_RANGE   does not fit into size with its NUL; buf is "" then
 */
voice_err_t voice_json_string(const voice_json_t *val, char *buf, size_t size);

/*
 * VOICE_E_FORMAT  not a number, or with a fraction or an exponent
 * VOICE_E_RANGE   not within min..max
 */
voice_err_t voice_json_int(const voice_json_t *val, int64_t min, int64_t max,
    int64_t *n);

/*
 * A number below 2^64 as a string of decimal digits.
 *
 * VOICE_E_FORMAT  not that
 * VOICE_E_RANGE   above 2^64 - 1
 */
voice_err_t voice_json_decimal(const voice_json_t *val, uint64_t *n);

/* A snowflake: decimal string or integer, not 0.  Errors as above. */
voice_err_t voice_json_id(const voice_json_t *val, uint64_t *id);


/* Fields of an object into a struct, row by row. */

typedef enum {
    VOICE_FIELD_ID = 0,        /* uint64_t, a snowflake */
    VOICE_FIELD_DECIMAL_ID,    /* uint64_t, a snowflake as a string only */
    VOICE_FIELD_STRING,        /* char[max + 1], min..max bytes */
    VOICE_FIELD_BOOL,          /* bool */
    VOICE_FIELD_U16,           /* uint16_t, min..max */
    VOICE_FIELD_U32,           /* uint32_t, min..max */
    VOICE_FIELD_I32,           /* int32_t, min..max */
    VOICE_FIELD_I64,           /* int64_t, min..max */
    VOICE_FIELD_MASK           /* uint32_t; true is 1, false is 0 */
} voice_field_kind_t;


typedef struct {
    const char          *key;
    voice_field_kind_t   kind;
    bool                 required;   /* or else may be absent or null */
    size_t               offset;     /* in the struct */
    int64_t              min;
    int64_t              max;
    const char          *why;        /* names the field and what it is */
} voice_field_t;


/*
 * Fills in the fields that are there and leaves the others as they are.
 *
 * VOICE_E_FORMAT  a required one is absent, one is there twice, or of
 *                 another type; *why is the row's
 * VOICE_E_RANGE   a value is out of its range; *why is the row's
 */
voice_err_t voice_fields_read(const voice_json_t *object,
    const voice_field_t *field, size_t n, void *out, const char **why);


/* Writing: what does not fit is found out at the end. */

typedef struct {
    char   *start;
    char   *pos;
    char   *end;
    bool    full;
} voice_json_out_t;


void voice_json_out_init(voice_json_out_t *out, char *buf, size_t size);

void voice_json_printf(voice_json_out_t *out, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* with its quotes, escaped; str is UTF-8 */
void voice_json_put_string(voice_json_out_t *out, const char *str);

/* Length without the NUL; VOICE_E_FULL if size was too small. */
voice_err_t voice_json_out_done(voice_json_out_t *out, size_t *len);


#endif /* _VOICE_JSON_H_INCLUDED_ */
