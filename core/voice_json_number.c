/*
 * Copyright (C) ngx-voice contributors
 */


#include "voice_json.h"


static voice_err_t
json_unsigned(const char *p, const char *end, uint64_t *n)
{
    bool      over;
    unsigned  digit;
    uint64_t  sum;

    if (p == end) {
        return VOICE_E_FORMAT;
    }

    over = false;

    for (sum = 0; p < end; p++) {
        if (*p < '0' || *p > '9') {
            return VOICE_E_FORMAT;
        }

        digit = (unsigned) (*p - '0');

        if (sum > (UINT64_MAX - digit) / 10) {
            over = true;

        } else {
            sum = sum * 10 + digit;
        }
    }

    if (over) {
        return VOICE_E_RANGE;
    }

    *n = sum;

    return VOICE_OK;
}


voice_err_t
voice_json_int(const voice_json_t *val, int64_t min, int64_t max, int64_t *n)
{
    bool          minus;
    int64_t       i;
    uint64_t      u;
    const char   *p;
    voice_err_t   err;

    if (val->type != VOICE_JSON_NUMBER) {
        return VOICE_E_FORMAT;
    }

    p = val->start;
    minus = *p == '-';

    err = json_unsigned(minus ? p + 1 : p, val->end, &u);
    if (err != VOICE_OK) {
        return err;
    }

    if (u > INT64_MAX) {
        return VOICE_E_RANGE;
    }

    i = minus ? -(int64_t) u : (int64_t) u;

    if (i < min || i > max) {
        return VOICE_E_RANGE;
    }

    *n = i;

    return VOICE_OK;
}


voice_err_t
voice_json_decimal(const voice_json_t *val, uint64_t *n)
{
    if (val->type != VOICE_JSON_STRING) {
        return VOICE_E_FORMAT;
    }

    return json_unsigned(val->start + 1, val->end - 1, n);
}


voice_err_t
voice_json_id(const voice_json_t *val, uint64_t *id)
{
    int64_t      negative;
    uint64_t     n;
    voice_err_t  err;

    if (val->type == VOICE_JSON_NUMBER && *val->start == '-') {
        err = voice_json_int(val, INT64_MIN, 0, &negative);
        return err == VOICE_OK ? VOICE_E_RANGE : err;
    }

    if (val->type == VOICE_JSON_NUMBER) {
        err = json_unsigned(val->start, val->end, &n);

    } else {
        err = voice_json_decimal(val, &n);
    }

    if (err != VOICE_OK) {
        return err;
    }

    if (n == 0) {
        return VOICE_E_RANGE;
    }

    *id = n;

    return VOICE_OK;
}
