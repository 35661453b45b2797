/*
 * Copyright (C) ngx-voice contributors
 *
 * ISO 8601 and unix milliseconds, without a time zone database: the
 * Gregorian calendar repeats after 400 years, which have 146097 days.
 */


#include "voice_shape.h"

#include <inttypes.h>
#include <stdio.h>


#define TIME_DAY        86400000ull          /* ms */
#define TIME_ERA        146097               /* days in 400 years */
#define TIME_EPOCH      719468               /* days, March 1st 0 to 1970 */
#define TIME_MAX        253402300799999ull   /* the end of the year 9999 */


/* Years begin in March here, so that the leap day is the last one. */
static int64_t
time_days(int64_t year, int64_t month, int64_t day)
{
    int64_t  era, y, d;

    year -= month <= 2;
    era = year / 400;
    y = year - era * 400;
    d = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;

    return era * TIME_ERA + y * 365 + y / 4 - y / 100 + d - TIME_EPOCH;
}


void
voice_shape_time(char buf[VOICE_SHAPE_TIME_LEN + 1], uint64_t unix_ms)
{
    uint64_t  days, era, d, y, year, month, day, ms;

    unix_ms = unix_ms > TIME_MAX ? TIME_MAX : unix_ms;
    ms = unix_ms % TIME_DAY;

    days = unix_ms / TIME_DAY + TIME_EPOCH;
    era = days / TIME_ERA;
    d = days % TIME_ERA;
    y = (d - d / 1460 + d / 36524 - d / 146096) / 365;
    d -= 365 * y + y / 4 - y / 100;
    month = (5 * d + 2) / 153;
    day = d - (153 * month + 2) / 5 + 1;
    month = month < 10 ? month + 3 : month - 9;
    year = era * 400 + y + (month <= 2);

    (void) snprintf(buf, VOICE_SHAPE_TIME_LEN + 1,
                    "%04u-%02u-%02uT%02u:%02u:%02u.%03u000+00:00",
                    (unsigned) year % 10000, (unsigned) month % 100,
                    (unsigned) day % 100, (unsigned) (ms / 3600000) % 100,
                    (unsigned) (ms / 60000 % 60), (unsigned) (ms / 1000 % 60),
                    (unsigned) (ms % 1000));
}


/* Exactly n digits; NULL: there are others. */
static const char *
time_number(const char *p, int n, unsigned min, unsigned max, unsigned *out)
{
    int  i;

    if (p == NULL) {
        return NULL;
    }

    for (*out = 0, i = 0; i < n; i++, p++) {
        if (*p < '0' || *p > '9') {
            return NULL;
        }

        *out = *out * 10 + (unsigned) (*p - '0');
    }

    return *out >= min && *out <= max ? p : NULL;
}


static const char *
time_char(const char *p, char c)
{
    return p != NULL && *p == c ? p + 1 : NULL;
}


static const char *
time_date(const char *p, int64_t *days)
{
    unsigned  year, month, day, leap, last;

    p = time_char(time_number(p, 4, 1970, 9999, &year), '-');
    p = time_char(time_number(p, 2, 1, 12, &month), '-');
    p = time_number(p, 2, 1, 31, &day);

    if (p == NULL) {
        return NULL;
    }

    leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    last = month == 2 ? 28 + leap : 30 + ((month + month / 8) & 1);

    *days = time_days(year, month, day);

    return day <= last ? p : NULL;
}


/* The fraction's digits beyond milliseconds are dropped. */
static const char *
time_clock(const char *p, int64_t *ms)
{
    unsigned  hour, minute, second, fraction, unit;

    p = time_char(time_number(p, 2, 0, 23, &hour), ':');
    p = time_char(time_number(p, 2, 0, 59, &minute), ':');
    p = time_number(p, 2, 0, 60, &second);

    if (p == NULL) {
        return NULL;
    }

    *ms = (hour * 3600ll + minute * 60 + second) * 1000;

    if (*p != '.') {
        return p;
    }

    p++;

    if (*p < '0' || *p > '9') {
        return NULL;
    }

    for (fraction = 0, unit = 100; *p >= '0' && *p <= '9'; p++, unit /= 10) {
        fraction += (unsigned) (*p - '0') * unit;
    }

    *ms += fraction;

    return p;
}


/* Without an offset it is UTC, which libraries leave out. */
static const char *
time_offset(const char *p, int64_t *ms)
{
    char      sign;
    unsigned  hour, minute;

    if (p == NULL || *p == '\0') {
        return p;
    }

    if (*p == 'Z' || *p == 'z') {
        return p + 1;
    }

    sign = *p++;

    if (sign != '+' && sign != '-') {
        return NULL;
    }

    p = time_number(p, 2, 0, 23, &hour);
    p = p != NULL && *p == ':' ? p + 1 : p;
    p = time_number(p, 2, 0, 59, &minute);

    if (p != NULL) {
        *ms -= (sign == '+' ? 1 : -1) * (hour * 60ll + minute) * 60000;
    }

    return p;
}


voice_err_t
voice_shape_time_parse(const char *text, uint64_t *unix_ms)
{
    int64_t      days, ms;
    const char  *p;

    days = 0;
    ms = 0;

    p = time_date(text, &days);

    if (p == NULL || (*p != 'T' && *p != 't' && *p != ' ')) {
        return VOICE_E_FORMAT;
    }

    p = time_offset(time_clock(p + 1, &ms), &ms);

    if (p == NULL || *p != '\0') {
        return VOICE_E_FORMAT;
    }

    ms += days * (int64_t) TIME_DAY;

    if (ms < 0 || (uint64_t) ms > TIME_MAX) {
        return VOICE_E_FORMAT;
    }

    *unix_ms = (uint64_t) ms;

    return VOICE_OK;
}
