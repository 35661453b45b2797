/*
 * Copyright (C) ngx-voice contributors
 *
 * A text is taken for what another node has posted, and for its answer: what
 * can be read must be the same when it is written and read again, and no
 * state may leave the zone inconsistent.
 */


#include "voice_peer.h"
#include "voice_peer_message.h"

#include <stdlib.h>
#include <string.h>


#define FUZZ_SESSIONS  64
#define FUZZ_TEXT      (64 * 1024)


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);


static voice_zone_t  zone;
static char          text[FUZZ_TEXT];


static void
fuzz_must(bool ok)
{
    if (!ok) {
        abort();
    }
}


static void
fuzz_zone(void)
{
    void    *mem;
    size_t   size;

    if (zone.header != NULL) {
        return;
    }

    size = voice_zone_size(FUZZ_SESSIONS);
    mem = aligned_alloc(4096, size);
    fuzz_must(mem != NULL);
    memset(mem, 0, size);

    fuzz_must(voice_zone_format(&zone, mem, size, FUZZ_SESSIONS, "fuzz")
              == VOICE_OK);
    voice_worker_register(&zone, 0, 1, "w", 1, 1);
}


static void
fuzz_again(const voice_peer_message_t *m, const voice_json_t *states)
{
    const char            *why;
    voice_buf_t            b;
    voice_json_t           item, again;
    voice_peer_parts_t     parts;
    voice_state_info_t     info, back;
    voice_peer_message_t   got;

    memset(&item, 0, sizeof(item));

    while (voice_json_next(states, &item)) {

        if (voice_peer_state_decode(&item, &info, &why) != VOICE_OK) {
            continue;
        }

        voice_buf_fixed(&b, text, sizeof(text));
        voice_peer_put_begin(&b, m);
        voice_peer_put_state(&b, &info, true);
        voice_peer_put_orders(&b);
        voice_peer_put_end(&b);
        fuzz_must(voice_buf_done(&b) == VOICE_OK);

        fuzz_must(voice_peer_message_decode(text, b.len, &got, &parts, &why)
                  == VOICE_OK);
        fuzz_must(strcmp(got.from, m->from) == 0 && got.seq == m->seq
                  && got.prev == m->prev && got.sync == m->sync);

        memset(&again, 0, sizeof(again));
        fuzz_must(voice_json_next(&parts.states, &again));
        fuzz_must(voice_peer_state_decode(&again, &back, &why) == VOICE_OK);
        fuzz_must(memcmp(&info, &back, sizeof(info)) == 0);
    }
}


static void
fuzz_apply(const voice_peer_message_t *m, const voice_json_t *states,
    const voice_json_t *orders)
{
    char                 fault[256];
    uint32_t             peer;
    uint64_t             seq;
    const char          *why;
    voice_json_t         item;
    voice_state_info_t   info;

    if (voice_peer_meet(&zone, m->from, m->boot, 1, &peer, &seq) != VOICE_OK)
    {
        return;
    }

    if (m->is_sync) {
        voice_peer_sync_begin(&zone, peer, m->seq);
    }

    memset(&item, 0, sizeof(item));

    while (voice_json_next(states, &item)) {
        if (voice_peer_state_decode(&item, &info, &why) == VOICE_OK) {
            (void) voice_peer_state(&zone, peer, &info);
        }
    }

    memset(&item, 0, sizeof(item));

    while (voice_json_next(orders, &item)) {
        if (voice_peer_state_decode(&item, &info, &why) == VOICE_OK) {
            (void) voice_peer_order(&zone, &info);
        }
    }

    if (m->is_sync) {
        (void) voice_peer_sync_done(&zone, peer);
    }

    voice_zone_lock(&zone);
    fuzz_must(voice_zone_verify(&zone, fault, sizeof(fault)) == 0);
    voice_zone_unlock(&zone);
}


static void
fuzz_guilds(const voice_peer_message_t *m, const voice_peer_parts_t *parts)
{
    const char             *why;
    voice_buf_t             b;
    voice_json_t            item;
    voice_peer_guild_t      guild, back;
    voice_peer_parts_t      again;
    voice_peer_message_t    got;
    voice_store_version_t   version;

    memset(&item, 0, sizeof(item));

    while (voice_json_next(&parts->offers, &item)) {
        (void) voice_peer_offer_decode(&item, &version, &why);
    }

    if (parts->guild.type != VOICE_JSON_OBJECT
        || voice_peer_guild_decode(&parts->guild, &guild, &why) != VOICE_OK)
    {
        return;
    }

    voice_buf_fixed(&b, text, sizeof(text));
    voice_peer_put_begin(&b, m);
    voice_peer_put_guild(&b, &guild);

    if (voice_buf_done(&b) != VOICE_OK) {
        return;
    }

    fuzz_must(voice_peer_message_decode(text, b.len, &got, &again, &why)
              == VOICE_OK);
    fuzz_must(voice_peer_guild_decode(&again.guild, &back, &why) == VOICE_OK);
    fuzz_must(back.id == guild.id && back.revision == guild.revision
              && back.len == guild.len
              && (back.text == NULL) == (guild.text == NULL)
              && (back.text == NULL
                  || memcmp(back.text, guild.text, back.len) == 0));
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char            *why;
    voice_err_t            err;
    voice_peer_parts_t     parts;
    voice_peer_answer_t    answer;
    voice_peer_message_t   m;

    fuzz_zone();

    why = NULL;
    err = voice_peer_answer_decode((const char *) data, size, &answer, &why);
    fuzz_must(err == VOICE_OK || why != NULL);

    why = NULL;
    err = voice_peer_message_decode((const char *) data, size, &m, &parts,
                                    &why);

    if (err != VOICE_OK) {
        fuzz_must(why != NULL && why[0] != '\0');
        return 0;
    }

    fuzz_again(&m, &parts.states);
    fuzz_guilds(&m, &parts);
    fuzz_apply(&m, &parts.states, &parts.orders);

    return 0;
}
