/*
 * Copyright (C) ngx-voice contributors
 */


#include "voice_cluster_write.h"
#include "voice_cluster_internal.h"

#include <stdio.h>


static void
voice_cluster_change(voice_cluster_writer_t *w, voice_change_type_t type,
    uint64_t guild, voice_id_t node)
{
    unsigned                 i;
    uint64_t                 number;
    voice_cluster_header_t  *h = w->c.header;
    voice_cluster_change_t  *slot;

    number = atomic_load(&h->change_next);
    slot = &h->change[number % VOICE_CLUSTER_CHANGES];

    slot->number = number;
    slot->guild = guild;
    slot->node = node;
    slot->type = type;

    atomic_store(&h->change_next, number + 1);

    for (i = 0; i < VOICE_WORKERS_MAX; i++) {
        if (atomic_load_explicit(&h->worker[i].pid, memory_order_relaxed)
            != 0)
        {
            w->wake[i / 64] |= 1ull << (i % 64);
        }
    }
}


static void
voice_cluster_index_add(voice_cluster_writer_t *w, _Atomic uint32_t *index,
    uint64_t guild, uint32_t record)
{
    uint32_t          i, value;
    _Atomic uint32_t  *bucket;

    for (i = voice_cluster_hash(&w->c, guild); /* void */; i++) {
        bucket = &index[i & w->c.index_mask];
        value = atomic_load_explicit(bucket, memory_order_relaxed);

        if (value == 0 || value == VOICE_CLUSTER_GONE) {
            w->filled += (value == 0);
            atomic_store_explicit(bucket, record + 1, memory_order_release);
            return;
        }
    }
}


static void
voice_cluster_index_remove(voice_cluster_writer_t *w, uint64_t guild,
    uint32_t record)
{
    uint32_t           i, n, value;
    _Atomic uint32_t  *index, *bucket;

    index = w->c.index[atomic_load(&w->c.header->index_version) & 1];
    i = voice_cluster_hash(&w->c, guild);

    for (n = 0; n <= w->c.index_mask; n++) {
        bucket = &index[(i + n) & w->c.index_mask];
        value = atomic_load_explicit(bucket, memory_order_relaxed);

        if (value == 0) {
            return;
        }

        if (value == record + 1) {
            atomic_store_explicit(bucket, VOICE_CLUSTER_GONE,
                                  memory_order_release);
            return;
        }
    }
}


/*
 * Derives an index anew, in the one that is not in use, and switches over.
 * Readers of the old one that find nothing see the switch and look again.
 */

static void
voice_cluster_index_build(voice_cluster_writer_t *w)
{
    uint32_t            i, end, version;
    _Atomic uint32_t   *index;
    voice_assignment_t *a;
    voice_cluster_guild_t  *g;

    version = atomic_load(&w->c.header->index_version) + 1;
    index = w->c.index[version & 1];
    w->filled = 0;

    /* no store into untouched pages: they would cost memory */

    for (i = 0; i <= w->c.index_mask; i++) {
        if (atomic_load_explicit(&index[i], memory_order_relaxed) != 0) {
            atomic_store_explicit(&index[i], 0, memory_order_relaxed);
        }
    }

    end = atomic_load(&w->c.header->guilds_end);

    for (i = 0; i < end; i++) {
        g = &w->c.guild[i];
        a = &g->value[atomic_load(&g->version) & 1];

        if (a->guild != 0) {
            voice_cluster_index_add(w, index, a->guild, i);
        }
    }

    atomic_store(&w->c.header->index_version, version);
}


static void
voice_cluster_records_check(voice_cluster_writer_t *w)
{
    uint32_t                 i, used;
    voice_assignment_t      *a;
    voice_cluster_guild_t   *g;
    voice_cluster_header_t  *h = w->c.header;

    if (atomic_load(&h->guilds_end) > w->c.guilds) {
        atomic_store(&h->guilds_end, w->c.guilds);
    }

    if (atomic_load(&h->nodes_end) > VOICE_CLUSTER_NODES) {
        atomic_store(&h->nodes_end, VOICE_CLUSTER_NODES);
    }

    used = 0;

    for (i = atomic_load(&h->guilds_end); i != 0; i--) {
        g = &w->c.guild[i - 1];
        a = &g->value[atomic_load(&g->version) & 1];

        if (a->guild == 0) {
            w->free[w->frees++] = i - 1;

        } else {
            used++;
        }
    }

    atomic_store(&h->guilds_used, used);
}


voice_err_t
voice_cluster_open(voice_cluster_writer_t *w, const voice_cluster_t *c,
    const voice_alloc_t *alloc, uint32_t pid, const char *name, uint64_t now)
{
    unsigned                 i;
    uint64_t                 state;
    voice_cluster_header_t  *h = c->header;

    memset(w, 0, sizeof(voice_cluster_writer_t));

    if (strlen(name) >= sizeof(h->agent.name)) {
        return VOICE_E_LENGTH;
    }

    w->c = *c;
    w->alloc = alloc;
    w->free = voice_alloc(alloc, c->guilds * sizeof(uint32_t));

    if (w->free == NULL) {
        return VOICE_E_NOMEM;
    }

    voice_cluster_records_check(w);
    voice_cluster_index_build(w);

    for (i = 0; i < VOICE_CLUSTER_REQUESTS; i++) {
        state = atomic_load(&h->request[i].state);

        if (voice_slot_what(state) == VOICE_SLOT_TAKEN) {
            atomic_store(&h->request[i].state,
                         voice_slot_state(voice_slot_serial(state),
                                          voice_slot_worker(state),
                                          VOICE_SLOT_READY));
        }
    }

    /* what changed last may not be in the list: all who read it are behind */

    atomic_fetch_add(&h->change_next, VOICE_CLUSTER_CHANGES + 1);
    voice_cluster_change(w, VOICE_CHANGE_NODE, 0, voice_cluster_self(c));

    atomic_store(&h->agent.pid, 0);

    memset(h->agent.name, 0, sizeof(h->agent.name));
    strcpy(h->agent.name, name);

    atomic_fetch_add(&h->agent.starts, 1);
    atomic_store(&h->agent.state, VOICE_AGENT_STARTING);
    atomic_store(&h->agent.etcd, 0);
    atomic_store(&h->agent.seen, now);
    atomic_store(&h->agent.pid, pid);

    return VOICE_OK;
}


void
voice_cluster_close(voice_cluster_writer_t *w)
{
    if (w->free == NULL) {
        return;
    }

    atomic_store(&w->c.header->agent.pid, 0);
    atomic_store(&w->c.header->agent.etcd, 0);

    voice_free(w->alloc, w->free);
    w->free = NULL;
}


void
voice_cluster_pulse(voice_cluster_writer_t *w, voice_agent_state_t state,
    bool etcd, uint64_t revision, uint64_t now)
{
    voice_cluster_agent_t  *agent = &w->c.header->agent;

    atomic_store(&agent->state, state);
    atomic_store(&agent->etcd, etcd);
    atomic_store(&agent->revision, revision);
    atomic_store(&agent->seen, now);
}


void
voice_cluster_self_set(voice_cluster_writer_t *w, voice_id_t id)
{
    if (voice_cluster_self(&w->c) != id) {
        atomic_store(&w->c.header->agent.self, id);
        voice_cluster_change(w, VOICE_CHANGE_NODE, 0, id);
    }
}


/* The slot of the node of that name, or a free one; NULL: neither. */

static voice_cluster_node_t *
voice_cluster_node_slot(voice_cluster_writer_t *w, const char *name)
{
    uint32_t               i, end;
    voice_node_info_t     *info;
    voice_cluster_node_t  *node, *unused;

    unused = NULL;
    end = atomic_load(&w->c.header->nodes_end);

    for (i = 0; i < end; i++) {
        node = &w->c.header->node[i];
        info = &node->info[atomic_load(&node->info_version) & 1];

        if (strcmp(info->name, name) == 0) {
            return node;
        }

        if (info->name[0] == '\0' && unused == NULL) {
            unused = node;
        }
    }

    if (unused == NULL && end < VOICE_CLUSTER_NODES) {
        unused = &w->c.header->node[end];
    }

    return unused;
}


static void
voice_cluster_text(char *to, const char *from, size_t size)
{
    memcpy(to, from, strnlen(from, size - 1));
}


/* Names end in zeros, so that two nodes are the same if all bytes are. */

static void
voice_cluster_node_copy(voice_node_info_t *to, const voice_node_info_t *from)
{
    memset(to, 0, sizeof(voice_node_info_t));

    to->flags = from->flags;
    to->capacity = from->capacity;
    to->revision = from->revision;

    voice_cluster_text(to->name, from->name, sizeof(to->name));
    voice_cluster_text(to->region, from->region, sizeof(to->region));
    voice_cluster_text(to->dc, from->dc, sizeof(to->dc));
    voice_cluster_text(to->pool, from->pool, sizeof(to->pool));
    voice_cluster_text(to->boot, from->boot, sizeof(to->boot));
    voice_cluster_text(to->endpoint, from->endpoint, sizeof(to->endpoint));
    voice_cluster_text(to->peer, from->peer, sizeof(to->peer));
}


voice_err_t
voice_cluster_node_set(voice_cluster_writer_t *w,
    const voice_node_info_t *info, voice_id_t *id)
{
    uint32_t               slot;
    voice_node_info_t      value, *was;
    voice_node_load_t      none;
    voice_cluster_node_t  *node;

    if (info->name[0] == '\0') {
        return VOICE_E_RANGE;
    }

    node = voice_cluster_node_slot(w, info->name);

    if (node == NULL) {
        return VOICE_E_FULL;
    }

    slot = (uint32_t) (node - w->c.header->node);
    was = &node->info[atomic_load(&node->info_version) & 1];

    voice_cluster_node_copy(&value, info);
    value.generation = was->generation;

    if (was->name[0] == '\0') {
        value.generation++;
        value.generation += (value.generation == 0);

        memset(&none, 0, sizeof(none));
        voice_twin_write(&node->load_version, node->load, sizeof(none),
                         &none);
    }

    *id = voice_id_make(value.generation, slot);

    if (memcmp(was, &value, sizeof(value)) == 0) {
        return VOICE_OK;
    }

    voice_twin_write(&node->info_version, node->info, sizeof(value), &value);

    if (slot >= atomic_load(&w->c.header->nodes_end)) {
        atomic_store(&w->c.header->nodes_end, slot + 1);
    }

    voice_cluster_change(w, VOICE_CHANGE_NODE, 0, *id);

    return VOICE_OK;
}


voice_err_t
voice_cluster_load_set(voice_cluster_writer_t *w, voice_id_t id,
    const voice_node_load_t *load)
{
    voice_err_t            err;
    voice_node_info_t      info;
    voice_cluster_node_t  *node;

    err = voice_cluster_node(&w->c, id, &info, NULL);

    if (err == VOICE_OK) {
        node = &w->c.header->node[voice_id_index(id)];
        voice_twin_write(&node->load_version, node->load, sizeof(*load),
                         load);
    }

    return err;
}


void
voice_cluster_node_remove(voice_cluster_writer_t *w, voice_id_t id)
{
    uint32_t               generation;
    voice_node_info_t      info;
    voice_cluster_node_t  *node;

    if (voice_cluster_node(&w->c, id, &info, NULL) != VOICE_OK) {
        return;
    }

    node = &w->c.header->node[voice_id_index(id)];
    generation = info.generation;

    memset(&info, 0, sizeof(info));
    info.generation = generation;

    voice_twin_write(&node->info_version, node->info, sizeof(info), &info);
    voice_cluster_change(w, VOICE_CHANGE_NODE, 0, id);
}


static voice_err_t
voice_cluster_record_new(voice_cluster_writer_t *w, uint32_t *record)
{
    uint32_t  end;

    if (w->frees != 0) {
        *record = w->free[--w->frees];
        return VOICE_OK;
    }

    end = atomic_load(&w->c.header->guilds_end);

    if (end >= w->c.guilds) {
        atomic_fetch_add(&w->c.header->agent.refused, 1);
        return VOICE_E_NOMEM;
    }

    *record = end;

    return VOICE_OK;
}


static voice_err_t
voice_cluster_record_add(voice_cluster_writer_t *w,
    const voice_assignment_t *a)
{
    uint32_t                 record;
    voice_err_t              err;
    voice_cluster_guild_t   *g;
    voice_cluster_header_t  *h = w->c.header;

    /* an index of which a quarter is empty ends each search early enough */

    if (w->filled >= w->c.index_mask / 4 * 3) {
        voice_cluster_index_build(w);
    }

    err = voice_cluster_record_new(w, &record);

    if (err != VOICE_OK) {
        return err;
    }

    g = &w->c.guild[record];

    atomic_store(&g->used, 0);
    atomic_store(&g->people, 0);
    voice_twin_write(&g->version, g->value, sizeof(*a), a);

    if (record >= atomic_load(&h->guilds_end)) {
        atomic_store(&h->guilds_end, record + 1);
    }

    voice_cluster_index_add(w, w->c.index[atomic_load(&h->index_version) & 1],
                            a->guild, record);

    atomic_fetch_add(&h->guilds_used, 1);

    return VOICE_OK;
}


voice_err_t
voice_cluster_assign(voice_cluster_writer_t *w, const voice_assignment_t *a)
{
    uint32_t                record;
    voice_err_t             err;
    voice_assignment_t      was, value;
    voice_cluster_guild_t  *g;

    if (a->guild == 0) {
        return VOICE_E_RANGE;
    }

    value = *a;
    value.reserved = 0;

    err = voice_cluster_lookup(&w->c, a->guild, &record, &was);

    if (err == VOICE_OK) {

        if (memcmp(&was, &value, sizeof(value)) == 0) {
            return VOICE_OK;
        }

        g = &w->c.guild[record];

        if (was.node != value.node) {
            atomic_store(&g->used, 0);
            atomic_store(&g->people, 0);
        }

        voice_twin_write(&g->version, g->value, sizeof(value), &value);

    } else {
        err = voice_cluster_record_add(w, &value);

        if (err != VOICE_OK) {
            return err;
        }
    }

    voice_cluster_change(w, VOICE_CHANGE_GUILD, a->guild, 0);

    return VOICE_OK;
}


voice_err_t
voice_cluster_unassign(voice_cluster_writer_t *w, uint64_t guild)
{
    uint32_t                record;
    voice_err_t             err;
    voice_assignment_t      a;
    voice_cluster_guild_t  *g;

    err = voice_cluster_lookup(&w->c, guild, &record, &a);

    if (err != VOICE_OK) {
        return err;
    }

    g = &w->c.guild[record];

    memset(&a, 0, sizeof(a));
    voice_twin_write(&g->version, g->value, sizeof(a), &a);

    voice_cluster_index_remove(w, guild, record);

    w->free[w->frees++] = record;
    atomic_fetch_sub(&w->c.header->guilds_used, 1);

    voice_cluster_change(w, VOICE_CHANGE_GUILD, guild, 0);

    return VOICE_OK;
}


voice_err_t
voice_cluster_take(voice_cluster_writer_t *w, uint32_t *slot,
    voice_cluster_request_t *rq, uint64_t *ticket, uint64_t *at)
{
    uint32_t               i;
    uint64_t               state;
    voice_cluster_slot_t  *s;

    for (i = *slot; i < VOICE_CLUSTER_REQUESTS; i++) {
        s = &w->c.header->request[i];
        state = atomic_load_explicit(&s->state, memory_order_acquire);

        if (voice_slot_what(state) != VOICE_SLOT_READY) {
            continue;
        }

        *rq = s->request;
        rq->region[VOICE_CLUSTER_NAME_MAX] = '\0';
        rq->node[VOICE_CLUSTER_NAME_MAX] = '\0';
        *at = s->at;
        *ticket = voice_slot_ticket(state, i);

        atomic_store(&s->state,
                     voice_slot_state(voice_slot_serial(state),
                                      voice_slot_worker(state),
                                      VOICE_SLOT_TAKEN));
        *slot = i + 1;

        return VOICE_OK;
    }

    return VOICE_E_NOT_FOUND;
}


void
voice_cluster_reply(voice_cluster_writer_t *w, uint64_t ticket,
    voice_err_t result)
{
    unsigned               worker;
    uint64_t               state;
    voice_cluster_slot_t  *s;

    s = &w->c.header->request[(ticket & 0xFFFF) % VOICE_CLUSTER_REQUESTS];
    state = atomic_load(&s->state);

    if (voice_slot_what(state) != VOICE_SLOT_TAKEN
        || voice_slot_serial(state) != ticket >> 16)
    {
        return;
    }

    worker = voice_slot_worker(state) % VOICE_WORKERS_MAX;

    atomic_store(&s->state,
                 voice_slot_state(voice_slot_serial(state), worker,
                                  VOICE_SLOT_ANSWERED | result));

    w->wake[worker / 64] |= 1ull << (worker % 64);
}


unsigned
voice_cluster_verify(const voice_cluster_t *c, char *text, size_t size)
{
    unsigned             faults;
    uint32_t             slot, record, n;
    voice_assignment_t   a, found;

    faults = 0;
    slot = 0;
    n = 0;

    while (voice_cluster_guild_next(c, &slot, &a) == VOICE_OK) {
        n++;

        if (voice_cluster_lookup(c, a.guild, &record, &found) == VOICE_OK
            && record == slot - 1)
        {
            continue;
        }

        if (faults++ == 0) {
            snprintf(text, size, "guild %llu of record %u is not found by the "
                     "index", (unsigned long long) a.guild, slot - 1);
        }
    }

    if (n != atomic_load(&c->header->guilds_used) && faults++ == 0) {
        snprintf(text, size, "%u guilds, counted are %u", n,
                 atomic_load(&c->header->guilds_used));
    }

    return faults;
}
