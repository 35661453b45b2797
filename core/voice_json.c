/*
 * Copyright (C) ngx-voice contributors
 *
 * One reader walks a text of unknown contents and, later, parts of a text
 * that was checked.  It recurses as deep as VOICE_JSON_DEPTH_MAX.
 */


#include "voice_json.h"

#include <string.h>


typedef struct {
    const char  *pos;
    const char  *end;
    const char  *why;
    int          depth;
} json_reader_t;


static bool json_value(json_reader_t *r, voice_json_t *val);


/* RFC 3629 section 4: no overlong form, no surrogate, at most 10FFFF. */
static bool
json_utf8(const char **pos, const char *end)
{
    uint8_t         lo, hi;
    size_t          n, i;
    const uint8_t  *p;

    p = (const uint8_t *) *pos;
    lo = 0x80;
    hi = 0xbf;

    if (p[0] >= 0xc2 && p[0] <= 0xdf) {
        n = 1;

    } else if (p[0] >= 0xe0 && p[0] <= 0xef) {
        n = 2;
        lo = p[0] == 0xe0 ? 0xa0 : lo;
        hi = p[0] == 0xed ? 0x9f : hi;

    } else if (p[0] >= 0xf0 && p[0] <= 0xf4) {
        n = 3;
        lo = p[0] == 0xf0 ? 0x90 : lo;
        hi = p[0] == 0xf4 ? 0x8f : hi;

    } else {
        return false;
    }

    if ((size_t) (end - *pos) <= n || p[1] < lo || p[1] > hi) {
        return false;
    }

    for (i = 2; i <= n; i++) {
        if ((p[i] & 0xc0) != 0x80) {
            return false;
        }
    }

    *pos += n + 1;

    return true;
}


static bool
json_hex4(const char **pos, const char *end, uint32_t *n)
{
    int          i, c;
    const char  *p;

    p = *pos;

    if (end - p < 4) {
        return false;
    }

    for (*n = 0, i = 0; i < 4; i++) {
        c = p[i] | 0x20;

        if (p[i] >= '0' && p[i] <= '9') {
            *n = *n * 16 + (uint32_t) (p[i] - '0');

        } else if (c >= 'a' && c <= 'f') {
            *n = *n * 16 + (uint32_t) (c - 'a' + 10);

        } else {
            return false;
        }
    }

    *pos = p + 4;

    return true;
}


/* RFC 8259 section 7; a surrogate alone is no character. */
static bool
json_escape_unicode(const char **pos, const char *end, uint32_t *cp)
{
    uint32_t  low;

    if (!json_hex4(pos, end, cp)) {
        return false;
    }

    if (*cp < 0xd800 || *cp > 0xdfff) {
        return true;
    }

    if (*cp > 0xdbff || end - *pos < 2 || (*pos)[0] != '\\'
        || (*pos)[1] != 'u')
    {
        return false;
    }

    *pos += 2;

    if (!json_hex4(pos, end, &low) || low < 0xdc00 || low > 0xdfff) {
        return false;
    }

    *cp = 0x10000 + ((*cp - 0xd800) << 10) + (low - 0xdc00);

    return true;
}


/* pos is after the backslash */
static bool
json_escape(const char **pos, const char *end, uint32_t *cp)
{
    const char         *p;
    static const char   in[] = "\"\\/bfnrt";
    static const char   out[] = "\"\\/\b\f\n\r\t";

    if (*pos == end || **pos == '\0') {
        return false;
    }

    if (**pos == 'u') {
        (*pos)++;
        return json_escape_unicode(pos, end, cp);
    }

    p = strchr(in, **pos);
    if (p == NULL) {
        return false;
    }

    *cp = (uint32_t) out[p - in];
    (*pos)++;

    return true;
}


static bool
json_string(json_reader_t *r)
{
    uint8_t   c;
    uint32_t  cp;

    r->pos++;

    while (r->pos < r->end) {
        c = (uint8_t) *r->pos;

        if (c >= 0x80) {
            if (!json_utf8(&r->pos, r->end)) {
                r->why = "not UTF-8";
                return false;
            }

            continue;
        }

        if (c < 0x20) {
            return false;
        }

        r->pos++;

        if (c == '"') {
            return true;
        }

        if (c == '\\' && !json_escape(&r->pos, r->end, &cp)) {
            return false;
        }
    }

    return false;
}


static bool
json_digits(json_reader_t *r)
{
    const char  *p;

    for (p = r->pos; r->pos < r->end; r->pos++) {
        if (*r->pos < '0' || *r->pos > '9') {
            break;
        }
    }

    return r->pos > p;
}


static bool
json_number(json_reader_t *r)
{
    if (*r->pos == '-') {
        r->pos++;
    }

    if (r->pos < r->end && *r->pos == '0') {
        r->pos++;

    } else if (!json_digits(r)) {
        return false;
    }

    if (r->pos < r->end && *r->pos == '.') {
        r->pos++;

        if (!json_digits(r)) {
            return false;
        }
    }

    if (r->pos < r->end && (*r->pos == 'e' || *r->pos == 'E')) {
        r->pos++;

        if (r->pos < r->end && (*r->pos == '+' || *r->pos == '-')) {
            r->pos++;
        }

        return json_digits(r);
    }

    return true;
}


static bool
json_word(json_reader_t *r, const char *word)
{
    size_t  n;

    n = strlen(word);

    if ((size_t) (r->end - r->pos) < n || memcmp(r->pos, word, n) != 0) {
        return false;
    }

    r->pos += n;

    return true;
}


static void
json_space(json_reader_t *r)
{
    while (r->pos < r->end
           && (*r->pos == ' ' || *r->pos == '\t' || *r->pos == '\n'
               || *r->pos == '\r'))
    {
        r->pos++;
    }
}


/* The next character that is not space, if it is this one. */
static bool
json_take(json_reader_t *r, char c)
{
    json_space(r);

    if (r->pos == r->end || *r->pos != c) {
        return false;
    }

    r->pos++;

    return true;
}


static bool
json_member(json_reader_t *r, voice_json_t *key, voice_json_t *val)
{
    json_space(r);

    if (r->pos == r->end || *r->pos != '"') {
        return false;
    }

    key->type = VOICE_JSON_STRING;
    key->start = r->pos;

    if (!json_string(r)) {
        return false;
    }

    key->end = r->pos;

    return json_take(r, ':') && json_value(r, val);
}


/* An array or an object, after its opening bracket. */
static bool
json_items(json_reader_t *r, char close)
{
    voice_json_t  key, val;

    if (json_take(r, close)) {
        return true;
    }

    do {
        if (close == '}' ? !json_member(r, &key, &val) : !json_value(r, &val))
        {
            return false;
        }
    } while (json_take(r, ','));

    return json_take(r, close);
}


static bool
json_container(json_reader_t *r, char close)
{
    if (r->depth == VOICE_JSON_DEPTH_MAX) {
        r->why = "nested too deep";
        return false;
    }

    r->pos++;
    r->depth++;

    if (!json_items(r, close)) {
        return false;
    }

    r->depth--;

    return true;
}


static bool
json_value(json_reader_t *r, voice_json_t *val)
{
    bool  ok;

    json_space(r);

    if (r->pos == r->end) {
        return false;
    }

    val->start = r->pos;

    switch (*r->pos) {

    case '{':
        val->type = VOICE_JSON_OBJECT;
        ok = json_container(r, '}');
        break;

    case '[':
        val->type = VOICE_JSON_ARRAY;
        ok = json_container(r, ']');
        break;

    case '"':
        val->type = VOICE_JSON_STRING;
        ok = json_string(r);
        break;

    case 't':
        val->type = VOICE_JSON_TRUE;
        ok = json_word(r, "true");
        break;

    case 'f':
        val->type = VOICE_JSON_FALSE;
        ok = json_word(r, "false");
        break;

    case 'n':
        val->type = VOICE_JSON_NULL;
        ok = json_word(r, "null");
        break;

    default:
        val->type = VOICE_JSON_NUMBER;
        ok = json_number(r);
        break;
    }

    val->end = r->pos;

    return ok;
}


/* Reads what stands inside of a container that was checked. */
static json_reader_t
json_inside(const voice_json_t *val)
{
    json_reader_t  r;

    r.pos = val->start + 1;
    r.end = val->end;
    r.why = NULL;
    r.depth = 0;

    return r;
}


voice_err_t
voice_json_parse_at(const char *text, size_t len, voice_json_t *val,
    const char **why, size_t *offset)
{
    voice_json_t   v;
    json_reader_t  r;

    r.pos = text;
    r.end = text + len;
    r.why = "not JSON";
    r.depth = 0;

    if (json_value(&r, &v)) {
        json_space(&r);

        if (r.pos == r.end) {
            *val = v;
            return VOICE_OK;
        }

        r.why = "more than one JSON value";
    }

    *why = r.why;
    *offset = (size_t) (r.pos - text);

    return VOICE_E_FORMAT;
}


voice_err_t
voice_json_parse(const char *text, size_t len, voice_json_t *val,
    const char **why)
{
    size_t  offset;

    return voice_json_parse_at(text, len, val, why, &offset);
}


static bool
json_key_is(const voice_json_t *key, const char *name)
{
    char  buf[VOICE_JSON_KEY_MAX];

    return voice_json_string(key, buf, sizeof(buf)) == VOICE_OK
           && strcmp(buf, name) == 0;
}


voice_json_type_t
voice_json_get(const voice_json_t *object, const char *key, voice_json_t *val)
{
    voice_json_t   name, v;
    json_reader_t  r;

    val->type = VOICE_JSON_ABSENT;
    val->start = NULL;
    val->end = NULL;

    if (object->type != VOICE_JSON_OBJECT) {
        return val->type;
    }

    r = json_inside(object);

    if (json_take(&r, '}')) {
        return val->type;
    }

    do {
        if (!json_member(&r, &name, &v)) {
            break;
        }

        if (json_key_is(&name, key)) {
            if (val->type != VOICE_JSON_ABSENT) {
                val->type = VOICE_JSON_TWICE;
                break;
            }

            *val = v;
        }

    } while (json_take(&r, ','));

    return val->type;
}


bool
voice_json_next(const voice_json_t *array, voice_json_t *item)
{
    json_reader_t  r;

    if (array->type != VOICE_JSON_ARRAY) {
        return false;
    }

    r = json_inside(array);

    if (item->type == VOICE_JSON_ABSENT) {
        if (json_take(&r, ']')) {
            return false;
        }

    } else {
        r.pos = item->end;

        if (!json_take(&r, ',')) {
            return false;
        }
    }

    return json_value(&r, item);
}


bool
voice_json_next_member(const voice_json_t *object, voice_json_t *key,
    voice_json_t *val)
{
    json_reader_t  r;

    if (object->type != VOICE_JSON_OBJECT) {
        return false;
    }

    r = json_inside(object);

    if (val->type == VOICE_JSON_ABSENT) {
        if (json_take(&r, '}')) {
            return false;
        }

    } else {
        r.pos = val->end;

        if (!json_take(&r, ',')) {
            return false;
        }
    }

    return json_member(&r, key, val);
}


static size_t
json_utf8_put(uint32_t cp, char out[4])
{
    if (cp < 0x80) {
        out[0] = (char) cp;
        return 1;
    }

    if (cp < 0x800) {
        out[0] = (char) (0xc0 | (cp >> 6));
        out[1] = (char) (0x80 | (cp & 0x3f));
        return 2;
    }

    if (cp < 0x10000) {
        out[0] = (char) (0xe0 | (cp >> 12));
        out[1] = (char) (0x80 | ((cp >> 6) & 0x3f));
        out[2] = (char) (0x80 | (cp & 0x3f));
        return 3;
    }

    out[0] = (char) (0xf0 | (cp >> 18));
    out[1] = (char) (0x80 | ((cp >> 12) & 0x3f));
    out[2] = (char) (0x80 | ((cp >> 6) & 0x3f));
    out[3] = (char) (0x80 | (cp & 0x3f));

    return 4;
}


voice_err_t
voice_json_string(const voice_json_t *val, char *buf, size_t size)
{
    char         utf8[4];
    size_t       n, len;
    uint32_t     cp;
    const char  *p, *last;

    buf[0] = '\0';

    if (val->type != VOICE_JSON_STRING) {
        return VOICE_E_FORMAT;
    }

    last = val->end - 1;
    len = 0;

    for (p = val->start + 1; p < last; len += n) {
        if (*p == '\\') {
            p++;

            if (!json_escape(&p, last, &cp) || cp == 0) {
                buf[0] = '\0';
                return VOICE_E_FORMAT;
            }

            n = json_utf8_put(cp, utf8);

        } else {
            utf8[0] = *p++;
            n = 1;
        }

        if (n >= size - len) {
            buf[0] = '\0';
            return VOICE_E_RANGE;
        }

        memcpy(buf + len, utf8, n);
    }

    buf[len] = '\0';

    return VOICE_OK;
}
