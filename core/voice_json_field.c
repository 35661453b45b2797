/*
 * Copyright (C) ngx-voice contributors
 *
 * Tables of fields: a message's layout is data, and each field's error text
 * stands in its row.
 */


#include "voice_json.h"

#include <string.h>


static voice_err_t
field_string(const voice_json_t *val, const voice_field_t *field, char *out)
{
    voice_err_t  err;

    err = voice_json_string(val, out, (size_t) field->max + 1);

    if (err == VOICE_OK && strlen(out) < (size_t) field->min) {
        return VOICE_E_RANGE;
    }

    return err;
}


static voice_err_t
field_bool(const voice_json_t *val, bool *out)
{
    if (val->type != VOICE_JSON_TRUE && val->type != VOICE_JSON_FALSE) {
        return VOICE_E_FORMAT;
    }

    *out = val->type == VOICE_JSON_TRUE;

    return VOICE_OK;
}


static voice_err_t
field_id(const voice_json_t *val, const voice_field_t *field, uint64_t *out)
{
    if (field->kind == VOICE_FIELD_DECIMAL_ID
        && val->type != VOICE_JSON_STRING)
    {
        return VOICE_E_FORMAT;
    }

    return voice_json_id(val, out);
}


static voice_err_t
field_int(const voice_json_t *val, const voice_field_t *field, void *out)
{
    bool         set;
    int64_t      n;
    voice_err_t  err;

    if (field->kind == VOICE_FIELD_MASK && field_bool(val, &set) == VOICE_OK) {
        n = set;

    } else {
        err = voice_json_int(val, field->min, field->max, &n);
        if (err != VOICE_OK) {
            return err;
        }
    }

    switch (field->kind) {

    case VOICE_FIELD_U16:
        *(uint16_t *) out = (uint16_t) n;
        break;

    case VOICE_FIELD_I32:
        *(int32_t *) out = (int32_t) n;
        break;

    case VOICE_FIELD_I64:
        *(int64_t *) out = n;
        break;

    default:
        *(uint32_t *) out = (uint32_t) n;
        break;
    }

    return VOICE_OK;
}


static voice_err_t
field_read(const voice_json_t *val, const voice_field_t *field, void *out)
{
    if (val->type == VOICE_JSON_TWICE) {
        return VOICE_E_FORMAT;
    }

    if (voice_json_absent(val)) {
        return field->required ? VOICE_E_FORMAT : VOICE_OK;
    }

    switch (field->kind) {

    case VOICE_FIELD_ID:
    case VOICE_FIELD_DECIMAL_ID:
        return field_id(val, field, out);

    case VOICE_FIELD_STRING:
        return field_string(val, field, out);

    case VOICE_FIELD_BOOL:
        return field_bool(val, out);

    default:
        return field_int(val, field, out);
    }
}


voice_err_t
voice_fields_read(const voice_json_t *object, const voice_field_t *field,
    size_t n, void *out, const char **why)
{
    size_t        i;
    voice_err_t   err;
    voice_json_t  val;

    for (i = 0; i < n; i++) {
        (void) voice_json_get(object, field[i].key, &val);

        err = field_read(&val, &field[i], (char *) out + field[i].offset);
        if (err != VOICE_OK) {
            *why = field[i].why;
            return err;
        }
    }

    return VOICE_OK;
}
