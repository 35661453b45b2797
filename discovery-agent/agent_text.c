/*
 * Copyright (C) ngx-voice contributors
 */


#include "agent_text.h"

#include <stddef.h>
#include <stdint.h>
#include <string.h>


#define AGENT_LOWER     "abcdefghijklmnopqrstuvwxyz"
#define AGENT_UPPER     "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define AGENT_DIGITS    "0123456789"
#define AGENT_LETTERS   AGENT_LOWER AGENT_UPPER AGENT_DIGITS


static bool
agent_text_of(const char *text, const char *set, size_t max)
{
    size_t  len;

    len = strspn(text, set);

    return len >= 1 && len <= max && text[len] == '\0';
}


bool
agent_name_valid(const char *name)
{
    return agent_text_of(name, AGENT_LOWER AGENT_DIGITS "-",
                         VOICE_CLUSTER_NAME_MAX);
}


bool
agent_boot_valid(const char *boot)
{
    return agent_text_of(boot, AGENT_LETTERS "-", VOICE_CLUSTER_BOOT_MAX);
}


bool
agent_machine_valid(const char *machine)
{
    return agent_text_of(machine, AGENT_LETTERS "._:-", AGENT_MACHINE_MAX);
}


bool
agent_endpoint_valid(const char *endpoint)
{
    size_t       len;
    const char  *port;

    if (endpoint[0] == '[') {
        len = strspn(endpoint + 1, AGENT_LETTERS ":.%");
        port = endpoint + len + 2;

        if (len == 0 || endpoint[len + 1] != ']') {
            return false;
        }

    } else {
        len = strspn(endpoint, AGENT_LETTERS "._-");
        port = endpoint + len;

        if (len == 0) {
            return false;
        }
    }

    return strlen(endpoint) <= VOICE_CLUSTER_ENDPOINT_MAX
           && (port[0] == '\0'
               || (port[0] == ':' && agent_text_of(port + 1, AGENT_DIGITS,
                                                   5)));
}


bool
agent_url_valid(const char *url)
{
    char         host[VOICE_CLUSTER_ENDPOINT_MAX + 1];
    size_t       len;
    const char  *p;

    if (strncmp(url, "http://", 7) != 0 && strncmp(url, "https://", 8) != 0) {
        return false;
    }

    p = strchr(url, ':') + 3;
    len = strcspn(p, "/?#");

    if (len >= sizeof(host) || strlen(url) > VOICE_CLUSTER_URL_MAX) {
        return false;
    }

    memcpy(host, p, len);
    host[len] = '\0';

    /* RFC 3986, 2: what a path and a query are made of */

    p += len;

    return agent_endpoint_valid(host)
           && strspn(p, AGENT_LETTERS "-._~:/?@!$&'()*+,;=%") == strlen(p);
}


/* Bytes of the character that begins here; 0: none that may be shown. */

static size_t
agent_text_character(const uint8_t *p)
{
    size_t    i, n;
    uint32_t  c;

    if (p[0] < 0x80) {
        return p[0] >= ' ' && p[0] != 0x7F;
    }

    n = p[0] >= 0xF0 ? 4 : p[0] >= 0xE0 ? 3 : 2;
    c = p[0] & (0x7F >> n);

    if (p[0] < 0xC2 || p[0] > 0xF4) {
        return 0;
    }

    for (i = 1; i < n; i++) {
        if ((p[i] & 0xC0) != 0x80) {
            return 0;                  /* a NUL as well */
        }

        c = c << 6 | (p[i] & 0x3F);
    }

    /* more control characters, and those that turn the line around */

    if (c < 0xA0 || (c >= 0x200B && c <= 0x200F)
        || (c >= 0x2028 && c <= 0x202E) || (c >= 0x2060 && c <= 0x206F)
        || (n == 3 && c < 0x800) || (c >= 0xD800 && c <= 0xDFFF)
        || (n == 4 && c < 0x10000) || c > 0x10FFFF)
    {
        return 0;
    }

    return n;
}


void
agent_text_clean(char *text)
{
    size_t  n;

    while (*text != '\0') {
        n = agent_text_character((const uint8_t *) text);

        if (n == 0) {
            *text = '?';
            n = 1;
        }

        text += n;
    }
}
