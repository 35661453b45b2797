/*
 * Copyright (C) ngx-voice contributors
 *
 * The guild service's part of the repair: lists and indexes anew from the
 * records, then the events that the records don't follow yet.
 */


#include "voice_guild_internal.h"


static void
voice_guild_repair_clear(voice_zone_t *z)
{
    uint32_t              i;
    voice_zone_header_t  *h = z->header;
    const voice_index_t   by_member = voice_state_index(z);
    const voice_index_t   by_guild = voice_guild_index(z);
    const voice_index_t   by_owner = voice_gateway_index(z);

    voice_index_clear(&by_member);
    voice_index_clear(&by_guild);
    voice_index_clear(&by_owner);

    for (i = 0; i < VOICE_WORKERS_MAX; i++) {
        h->worker[i].gateways = 0;
    }

    /* nobody knows a guild's slot: they may all be given out again */

    h->guild_free = 0;
    h->guild_end = 0;
    atomic_store(&h->guilds_used, 0);

    h->state_free = 0;
    h->states_used = 0;

    h->gateway_free = 0;
    h->gateways_used = 0;
}


/* Its last dispatch was counted, but it may not have been marked as seen. */

static void
voice_guild_repair_next(voice_gateway_record_t *g)
{
    uint64_t  last;

    if (g->seq == 1) {
        return;
    }

    last = g->dispatch[(g->seq - 1) % VOICE_GATEWAY_RING];

    if (voice_gateway_is_event(last) && g->next <= last) {
        g->next = last + 1;
    }
}


static void
voice_guild_repair_gateway(voice_zone_t *z, voice_gateway_record_t *g)
{
    uint16_t       worker;
    voice_index_t  ix = voice_gateway_index(z);

    g->states = 0;
    g->next_free = 0;

    if (atomic_load(&g->state) == VOICE_GATEWAY_FREE) {
        voice_gateway_wipe(g);
        voice_gateway_free_push(z, g);
        return;
    }

    z->header->gateways_used++;
    voice_index_add(z, &ix, (uint32_t) (g - z->gateway));
    voice_guild_repair_next(g);

    worker = atomic_load(&g->worker);

    if (worker != VOICE_WORKER_NONE) {
        atomic_store(&g->deadline, 0);
        z->header->worker[worker].gateways++;
    }
}


void
voice_guild_repair(voice_zone_t *z)
{
    uint32_t              i;
    voice_state_t        *st;
    voice_zone_header_t  *h = z->header;

    voice_guild_repair_clear(z);

    for (i = atomic_load(&h->gateway_end); i > 0; i--) {
        voice_guild_repair_gateway(z, &z->gateway[i - 1]);
    }

    for (i = atomic_load(&h->state_end); i > 0; i--) {
        st = &z->state[i - 1];

        if (st->used) {
            st->next_free = 0;
            voice_state_link(z, st);
        } else {
            voice_state_free_push(z, st);
        }
    }

    voice_state_redo(z);
}
