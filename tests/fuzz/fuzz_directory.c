/*
 * Copyright (C) ngx-voice contributors
 *
 * A text is read as a directory, as one guild and as a patch of one.  What is
 * read is written, and read again as the same; what is refused names a place
 * in the text.  Memory that runs out changes nothing but the outcome.
 */


#include "voice_directory.h"
#include "voice_gateway.h"
#include "voice_json.h"
#include "voice_permission.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>


typedef struct {
    voice_alloc_t   alloc;
    long            left;      /* allocations until one fails; -1: never */
    long            live;
} fuzz_memory_t;


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
static void fuzz_texts(const char *text, size_t len, long left);
static void fuzz_directory(const voice_directory_t *dir);
static void fuzz_guild(const voice_dir_guild_t *guild);
static void fuzz_permissions(const voice_dir_guild_t *guild);
static void fuzz_create(const voice_dir_guild_t *guild);
static void fuzz_error(const char *text, size_t len, voice_err_t err,
    const voice_dir_error_t *error);
static void fuzz_memory(fuzz_memory_t *m, long left);
static void fuzz_must(bool ok);


static const char  base[] =
    "{\"id\":\"1000\",\"name\":\"g\",\"owner_id\":\"501\",\"afk_channel_id\":"
    "\"2\",\"roles\":[{\"id\":\"5\",\"name\":\"r\"}],\"channels\":[{\"id\":"
    "\"2\",\"name\":\"c\"}],\"members\":[{\"user\":{\"id\":\"501\","
    "\"username\":\"u\"},\"roles\":[\"5\"]}]}";


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_texts((const char *) data, size, -1);
    fuzz_texts((const char *) data, size, (long) (size % 23));

    return 0;
}


static void
fuzz_texts(const char *text, size_t len, long left)
{
    voice_err_t         err;
    fuzz_memory_t       m;
    voice_dir_error_t   error;
    voice_dir_guild_t  *guild, *patched;
    voice_directory_t  *dir;

    fuzz_memory(&m, left);
    err = voice_directory_parse(text, len, &m.alloc, &dir, &error);

    if (err == VOICE_OK) {
        fuzz_directory(dir);
        voice_directory_free(dir);

    } else {
        fuzz_error(text, len, err, &error);
    }

    fuzz_must(m.live == 0);
    fuzz_must(err != VOICE_E_NOMEM || left >= 0);

    fuzz_memory(&m, left);
    err = voice_dir_guild_parse(text, len, 1000, &m.alloc, &guild, &error);

    if (err == VOICE_OK) {
        fuzz_guild(guild);
        voice_dir_guild_free(guild);

    } else {
        fuzz_error(text, len, err, &error);
    }

    fuzz_must(m.live == 0);

    fuzz_must(voice_dir_guild_parse(base, sizeof(base) - 1, 0, NULL, &guild,
                                    &error) == VOICE_OK);
    fuzz_memory(&m, left);
    err = voice_dir_guild_patch(guild, text, len, &m.alloc, &patched, &error);

    if (err == VOICE_OK) {
        fuzz_must(patched->id == guild->id);
        fuzz_guild(patched);
        voice_dir_guild_free(patched);

    } else {
        fuzz_error(text, len, err, &error);
    }

    fuzz_must(m.live == 0);
    voice_dir_guild_free(guild);
}


static void
fuzz_directory(const voice_directory_t *dir)
{
    size_t                    i;
    uint32_t                  k;
    const voice_dir_guild_t  *guild, *owner;

    for (i = 0; i < voice_directory_count(dir); i++) {
        guild = voice_directory_at(dir, i);

        fuzz_must(voice_directory_guild(dir, guild->id) == guild);

        for (k = 0; k < guild->nchannels; k++) {
            fuzz_must(voice_directory_channel(dir, guild->channel[k].id,
                                              &owner)
                      == &guild->channel[k]);
            fuzz_must(owner == guild);
        }

        fuzz_guild(guild);
    }

    fuzz_must(voice_directory_at(dir, i) == NULL);
}


static void
fuzz_guild(const voice_dir_guild_t *guild)
{
    voice_buf_t         one, two;
    voice_dir_error_t   error;
    voice_dir_guild_t  *again;

    voice_buf_growing(&one, NULL, SIZE_MAX / 4);
    voice_buf_growing(&two, NULL, SIZE_MAX / 4);

    voice_dir_guild_encode(&one, guild);
    fuzz_must(voice_buf_done(&one) == VOICE_OK);
    fuzz_must(voice_dir_guild_parse(one.data, one.len, guild->id, NULL, &again,
                                    &error) == VOICE_OK);

    voice_dir_guild_encode(&two, again);
    fuzz_must(voice_buf_done(&two) == VOICE_OK);
    fuzz_must(one.len == two.len && memcmp(one.data, two.data, one.len) == 0);

    voice_dir_guild_free(again);
    voice_buf_free(&one);
    voice_buf_free(&two);

    fuzz_must(voice_dir_role(guild, guild->id) != NULL);
    fuzz_permissions(guild);
    fuzz_create(guild);
}


static void
fuzz_permissions(const voice_dir_guild_t *guild)
{
    uint32_t                    i, k;
    uint64_t                    all, perm;
    const voice_dir_member_t   *member;
    const voice_dir_channel_t  *channel;

    for (i = 0; i < guild->nmembers; i++) {
        member = &guild->member[i];

        fuzz_must(voice_dir_member(guild, member->user.id) == member);
        all = voice_permission_guild(guild, member);
        fuzz_must((all & ~VOICE_PERM_ALL) == 0);

        for (k = 0; k < guild->nchannels; k++) {
            channel = &guild->channel[k];
            perm = voice_permission_channel(guild, channel, member);

            fuzz_must((perm & ~VOICE_PERM_ALL) == 0);
            fuzz_must(perm == 0 || perm & VOICE_PERM_VIEW_CHANNEL);
            fuzz_must(!((perm ^ all) & VOICE_PERM_ADMINISTRATOR));
            fuzz_must(!voice_dir_channel_is_voice(channel)
                      || perm & VOICE_PERM_CONNECT
                      || !(perm & VOICE_PERM_VOICE));
        }
    }
}


static void
fuzz_create(const voice_dir_guild_t *guild)
{
    const char             *why;
    voice_buf_t             b;
    voice_json_t            val;
    voice_gateway_guild_t   g;

    memset(&g, 0, sizeof(g));
    g.guild = guild;
    g.directory = true;

    voice_buf_growing(&b, NULL, SIZE_MAX / 4);
    voice_gateway_guild_d(&b, &g);
    fuzz_must(voice_buf_done(&b) == VOICE_OK);
    fuzz_must(voice_json_parse(b.data, b.len, &val, &why) == VOICE_OK);
    voice_buf_free(&b);
}


static void
fuzz_printable(const char *str, size_t size)
{
    size_t  n;

    n = strnlen(str, size);
    fuzz_must(n < size);

    while (n-- > 0) {
        fuzz_must(str[n] >= 0x20 && str[n] < 0x7f);
    }
}


static void
fuzz_error(const char *text, size_t len, voice_err_t err,
    const voice_dir_error_t *error)
{
    char      line[512];
    size_t    i;
    uint32_t  lines;

    if (err == VOICE_E_NOMEM) {
        return;
    }

    fuzz_must(err == VOICE_E_FORMAT || err == VOICE_E_RANGE
              || err == VOICE_E_LENGTH);
    fuzz_printable(error->pointer, sizeof(error->pointer));
    fuzz_printable(error->found, sizeof(error->found));
    fuzz_must(error->pointer[0] == '\0' || error->pointer[0] == '/');
    fuzz_must(error->found[0] != '\0' && error->expected[0] != '\0');
    fuzz_must(len == 0 || error->line >= 1);

    for (i = 0, lines = 1; i < len; i++) {
        lines += text[i] == '\n';
    }

    fuzz_must(error->line <= lines && error->column <= len + 1);

    voice_dir_error_text(error, line, sizeof(line));
    fuzz_printable(line, sizeof(line));
}


static void *
fuzz_alloc(void *data, size_t size)
{
    void           *p;
    fuzz_memory_t  *m = data;

    if (m->left == 0) {
        return NULL;
    }

    m->left -= m->left > 0;
    p = malloc(size);
    m->live += p != NULL;

    return p;
}


static void
fuzz_free(void *data, void *p)
{
    fuzz_memory_t  *m = data;

    m->live--;
    free(p);
}


static void
fuzz_memory(fuzz_memory_t *m, long left)
{
    m->alloc.alloc = fuzz_alloc;
    m->alloc.free = fuzz_free;
    m->alloc.data = m;
    m->left = left;
    m->live = 0;
}


static void
fuzz_must(bool ok)
{
    if (!ok) {
        abort();
    }
}
