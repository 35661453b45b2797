/*
 * Copyright (C) ngx-voice contributors
 */


#include "voice_cluster_internal.h"


#define VOICE_CLUSTER_ALIGN   4096

#define voice_cluster_align(n)                                                \
    (((n) + VOICE_CLUSTER_ALIGN - 1) & ~(size_t) (VOICE_CLUSTER_ALIGN - 1))

_Static_assert(sizeof(voice_cluster_guild_t) <= 96, "a guild has 96 bytes");
_Static_assert(VOICE_WORKERS_MAX <= 256, "a worker is a byte of a state");
_Static_assert((VOICE_CLUSTER_CHANGES & (VOICE_CLUSTER_CHANGES - 1)) == 0,
               "a power of two");


typedef struct {
    size_t   guild;
    size_t   index[2];
    size_t   size;
} voice_cluster_map_t;


static void
voice_cluster_map(uint32_t guilds, voice_cluster_map_t *map)
{
    size_t  n;

    n = voice_cluster_align(sizeof(voice_cluster_header_t));
    map->guild = n;
    n += voice_cluster_align(guilds * sizeof(voice_cluster_guild_t));
    map->index[0] = n;
    n += voice_cluster_align(2 * guilds * sizeof(uint32_t));
    map->index[1] = n;
    n += voice_cluster_align(2 * guilds * sizeof(uint32_t));
    map->size = n;
}


static bool
voice_cluster_guilds_valid(uint32_t guilds)
{
    return guilds >= VOICE_CLUSTER_GUILDS_MIN
           && guilds <= VOICE_CLUSTER_GUILDS_MAX
           && (guilds & (guilds - 1)) == 0;
}


size_t
voice_cluster_size(uint32_t guilds)
{
    voice_cluster_map_t  map;

    voice_cluster_map(guilds, &map);

    return map.size;
}


static uint32_t
voice_cluster_record_size(void)
{
    return (uint32_t) (sizeof(voice_cluster_header_t)
                       + sizeof(voice_cluster_guild_t));
}


static void
voice_cluster_point(voice_cluster_t *c, void *mem, uint32_t guilds)
{
    uint8_t              *p = mem;
    voice_cluster_map_t   map;

    voice_cluster_map(guilds, &map);

    memset(c, 0, sizeof(voice_cluster_t));

    c->header = mem;
    c->guild = (voice_cluster_guild_t *) (p + map.guild);
    c->index[0] = (_Atomic uint32_t *) (p + map.index[0]);
    c->index[1] = (_Atomic uint32_t *) (p + map.index[1]);
    c->guilds = guilds;
    c->index_mask = 2 * guilds - 1;
    c->salt = c->header->salt;
}


voice_err_t
voice_cluster_format(voice_cluster_t *c, void *mem, size_t size,
    uint32_t guilds, uint64_t salt)
{
    voice_cluster_header_t  *h = mem;

    if (!voice_cluster_guilds_valid(guilds)) {
        return VOICE_E_RANGE;
    }

    if (size != voice_cluster_size(guilds)) {
        return VOICE_E_LENGTH;
    }

    h->layout = VOICE_CLUSTER_LAYOUT;
    h->record_size = voice_cluster_record_size();
    h->size = size;
    h->guilds = guilds;
    h->index_mask = 2 * guilds - 1;
    h->salt = salt;
    atomic_store(&h->change_next, 1);

    atomic_thread_fence(memory_order_release);
    h->magic = VOICE_CLUSTER_MAGIC;

    voice_cluster_point(c, mem, guilds);

    return VOICE_OK;
}


voice_err_t
voice_cluster_attach(voice_cluster_t *c, void *mem, size_t size)
{
    uint32_t                       guilds;
    const voice_cluster_header_t  *h = mem;

    if (size < sizeof(voice_cluster_header_t)) {
        return VOICE_E_LENGTH;
    }

    if (h->magic != VOICE_CLUSTER_MAGIC || h->layout != VOICE_CLUSTER_LAYOUT
        || h->record_size != voice_cluster_record_size())
    {
        return VOICE_E_FORMAT;
    }

    guilds = h->guilds;

    if (!voice_cluster_guilds_valid(guilds)
        || h->size != size || voice_cluster_size(guilds) != size)
    {
        return VOICE_E_LENGTH;
    }

    voice_cluster_point(c, mem, guilds);

    return VOICE_OK;
}


/* One pass over an index; VOICE_AGAIN: a record could not be read. */

static voice_err_t
voice_cluster_probe(const voice_cluster_t *c, const _Atomic uint32_t *index,
    uint64_t guild, uint32_t *record, voice_assignment_t *a)
{
    uint32_t               i, n, value;
    voice_err_t            err;
    voice_assignment_t     got;
    voice_cluster_guild_t  *g;

    err = VOICE_E_NOT_FOUND;
    i = voice_cluster_hash(c, guild);

    for (n = 0; n <= c->index_mask; n++) {
        value = atomic_load_explicit(&index[(i + n) & c->index_mask],
                                     memory_order_acquire);
        if (value == 0) {
            break;
        }

        if (value > c->guilds) {         /* GONE, or nonsense */
            continue;
        }

        g = &c->guild[value - 1];

        if (!voice_twin_read(&g->version, g->value, sizeof(got), &got)) {
            err = VOICE_AGAIN;
            continue;
        }

        if (got.guild == guild) {
            *record = value - 1;
            *a = got;
            return VOICE_OK;
        }
    }

    return err;
}


voice_err_t
voice_cluster_lookup(const voice_cluster_t *c, uint64_t guild,
    uint32_t *record, voice_assignment_t *a)
{
    unsigned      i;
    uint32_t      version;
    voice_err_t   err;

    if (guild == 0) {
        return VOICE_E_NOT_FOUND;
    }

    for (i = 0; i < VOICE_CLUSTER_READ_TRIES; i++) {
        version = atomic_load(&c->header->index_version);

        err = voice_cluster_probe(c, c->index[version & 1], guild, record, a);

        /* the index that was read may be what the writer rebuilds by now */

        if (err == VOICE_OK
            || (err == VOICE_E_NOT_FOUND
                && atomic_load(&c->header->index_version) == version))
        {
            return err;
        }
    }

    return VOICE_AGAIN;
}


voice_err_t
voice_cluster_find(const voice_cluster_t *c, uint64_t guild,
    voice_assignment_t *a)
{
    uint32_t            record;
    voice_err_t         err;
    voice_node_info_t   info;
    voice_assignment_t  got;

    err = voice_cluster_lookup(c, guild, &record, &got);

    if (err != VOICE_OK) {
        return err;
    }

    err = voice_cluster_node(c, got.node, &info, NULL);

    if (err == VOICE_AGAIN) {
        return err;
    }

    if (err != VOICE_OK) {
        got.flags |= VOICE_ASSIGNED_ORPHAN;
    }

    *a = got;

    return VOICE_OK;
}


/* Both of one node: its slot may be another one's by the time of the load. */

static voice_err_t
voice_cluster_node_copy(const voice_cluster_node_t *node,
    voice_node_info_t *info, voice_node_load_t *load)
{
    unsigned  i;
    uint32_t  version;

    for (i = 0; i < VOICE_CLUSTER_READ_TRIES; i++) {
        version = atomic_load_explicit(&node->info_version,
                                       memory_order_acquire);

        if (voice_twin_read(&node->info_version, node->info, sizeof(*info),
                            info)
            && (load == NULL
                || voice_twin_read(&node->load_version, node->load,
                                   sizeof(*load), load))
            && atomic_load(&node->info_version) == version)
        {
            return VOICE_OK;
        }
    }

    return VOICE_AGAIN;
}


static voice_err_t
voice_cluster_node_read(const voice_cluster_t *c, uint32_t slot,
    voice_node_info_t *info, voice_node_load_t *load)
{
    voice_err_t  err;

    err = voice_cluster_node_copy(&c->header->node[slot], info, load);

    if (err != VOICE_OK) {
        return err;
    }

    if (info->name[0] == '\0') {
        return VOICE_E_STALE;
    }

    info->name[VOICE_CLUSTER_NAME_MAX] = '\0';
    info->region[VOICE_CLUSTER_NAME_MAX] = '\0';
    info->dc[VOICE_CLUSTER_NAME_MAX] = '\0';
    info->pool[VOICE_CLUSTER_NAME_MAX] = '\0';
    info->boot[VOICE_CLUSTER_BOOT_MAX] = '\0';
    info->endpoint[VOICE_CLUSTER_ENDPOINT_MAX] = '\0';
    info->peer[VOICE_CLUSTER_URL_MAX] = '\0';

    return VOICE_OK;
}


voice_err_t
voice_cluster_node(const voice_cluster_t *c, voice_id_t id,
    voice_node_info_t *info, voice_node_load_t *load)
{
    voice_err_t        err;
    voice_node_info_t  got;

    if (voice_id_index(id) >= VOICE_CLUSTER_NODES || voice_id_gen(id) == 0) {
        return VOICE_E_STALE;
    }

    err = voice_cluster_node_read(c, voice_id_index(id), &got, load);

    if (err == VOICE_OK && got.generation != voice_id_gen(id)) {
        err = VOICE_E_STALE;
    }

    if (err == VOICE_OK) {
        *info = got;
    }

    return err;
}


voice_err_t
voice_cluster_node_next(const voice_cluster_t *c, uint32_t *slot,
    voice_id_t *id, voice_node_info_t *info, voice_node_load_t *load)
{
    uint32_t  i, end;

    end = atomic_load(&c->header->nodes_end);

    for (i = *slot; i < end && i < VOICE_CLUSTER_NODES; i++) {

        if (voice_cluster_node_read(c, i, info, load) == VOICE_OK) {
            *id = voice_id_make(info->generation, i);
            *slot = i + 1;
            return VOICE_OK;
        }
    }

    return VOICE_E_NOT_FOUND;
}


voice_err_t
voice_cluster_node_named(const voice_cluster_t *c, const char *name,
    voice_id_t *id, voice_node_info_t *info)
{
    uint32_t           slot;
    voice_id_t         got;
    voice_node_info_t  node;

    slot = 0;

    while (voice_cluster_node_next(c, &slot, &got, &node, NULL) == VOICE_OK) {

        if (strcmp(node.name, name) == 0) {
            *id = got;
            *info = node;
            return VOICE_OK;
        }
    }

    return VOICE_E_NOT_FOUND;
}


voice_err_t
voice_cluster_guild_next(const voice_cluster_t *c, uint32_t *slot,
    voice_assignment_t *a)
{
    uint32_t                i, end;
    voice_cluster_guild_t  *g;

    end = atomic_load(&c->header->guilds_end);

    for (i = *slot; i < end && i < c->guilds; i++) {
        g = &c->guild[i];

        if (voice_twin_read(&g->version, g->value, sizeof(*a), a)
            && a->guild != 0)
        {
            *slot = i + 1;
            return VOICE_OK;
        }
    }

    return VOICE_E_NOT_FOUND;
}


voice_id_t
voice_cluster_self(const voice_cluster_t *c)
{
    return atomic_load(&c->header->agent.self);
}


uint32_t
voice_cluster_nodes_up(const voice_cluster_t *c)
{
    return atomic_load(&c->header->agent.nodes_up);
}


voice_agent_state_t
voice_cluster_agent(const voice_cluster_t *c, uint64_t now)
{
    uint64_t                      seen;
    const voice_cluster_agent_t  *agent = &c->header->agent;

    seen = atomic_load(&agent->seen);

    if (atomic_load(&agent->pid) == 0
        || now > seen + VOICE_CLUSTER_AGENT_AWAY)
    {
        return VOICE_AGENT_NONE;
    }

    return atomic_load(&agent->state);
}


uint64_t
voice_cluster_changes_next(const voice_cluster_t *c)
{
    return atomic_load(&c->header->change_next);
}


voice_err_t
voice_cluster_changes(const voice_cluster_t *c, uint64_t *next,
    voice_cluster_change_t *list, size_t max, size_t *n)
{
    size_t    count;
    uint64_t  number, end;

    end = atomic_load(&c->header->change_next);

    if (*next > end || end - *next > VOICE_CLUSTER_CHANGES) {
        goto expired;
    }

    for (count = 0, number = *next;
         number < end && count < max;
         count++, number++)
    {
        list[count] = c->header->change[number % VOICE_CLUSTER_CHANGES];
    }

    /* the first ones may have been overwritten meanwhile */

    atomic_thread_fence(memory_order_acquire);
    end = atomic_load(&c->header->change_next);

    if (end - *next >= VOICE_CLUSTER_CHANGES) {
        goto expired;
    }

    *next = number;
    *n = count;

    return VOICE_OK;

expired:

    *next = end;

    return VOICE_E_EXPIRED;
}


static voice_cluster_slot_t *
voice_cluster_slot_claim(voice_cluster_t *c, unsigned worker, uint64_t *state)
{
    unsigned               i, what;
    uint64_t               was, claimed;
    voice_cluster_slot_t  *slot;

    for (i = 0; i < VOICE_CLUSTER_REQUESTS; i++) {
        slot = &c->header->request[(c->hint + worker * 8 + i)
                                   % VOICE_CLUSTER_REQUESTS];
        was = atomic_load(&slot->state);
        what = voice_slot_what(was);

        if (what != VOICE_SLOT_FREE && (what & VOICE_SLOT_ANSWERED) == 0) {
            continue;
        }

        claimed = voice_slot_state(voice_slot_serial(was) + 1, worker,
                                   VOICE_SLOT_WRITING);

        if (atomic_compare_exchange_strong(&slot->state, &was, claimed)) {
            c->hint += i + 1;
            *state = claimed;
            return slot;
        }
    }

    return NULL;
}


voice_err_t
voice_cluster_request(voice_cluster_t *c, unsigned worker,
    const voice_cluster_request_t *rq, uint64_t now, uint64_t *ticket)
{
    uint64_t               state;
    voice_cluster_slot_t  *slot;

    if (rq->kind < VOICE_REQUEST_JOIN || rq->kind > VOICE_REQUEST_SUSPECT
        || rq->guild == 0 || worker >= VOICE_WORKERS_MAX)
    {
        return VOICE_E_RANGE;
    }

    if (voice_cluster_agent(c, now) == VOICE_AGENT_NONE) {
        return VOICE_E_STATE;
    }

    slot = voice_cluster_slot_claim(c, worker, &state);

    if (slot == NULL) {
        return VOICE_E_FULL;
    }

    slot->request = *rq;
    slot->at = now;

    *ticket = voice_slot_ticket(state, slot - c->header->request);

    atomic_store_explicit(&slot->state,
                          voice_slot_state(voice_slot_serial(state), worker,
                                           VOICE_SLOT_READY),
                          memory_order_release);

    return VOICE_OK;
}


voice_err_t
voice_cluster_answer(const voice_cluster_t *c, uint64_t ticket)
{
    unsigned  what;
    uint64_t  state;

    state = atomic_load(&c->header->request[(ticket & 0xFFFF)
                                            % VOICE_CLUSTER_REQUESTS].state);

    if (voice_slot_serial(state) != ticket >> 16) {
        return VOICE_E_EXPIRED;
    }

    what = voice_slot_what(state);

    if (what & VOICE_SLOT_ANSWERED) {
        return what & ~VOICE_SLOT_ANSWERED;
    }

    return what == VOICE_SLOT_FREE ? VOICE_E_EXPIRED : VOICE_AGAIN;
}


static void
voice_cluster_people(voice_cluster_guild_t *g, unsigned people, uint64_t now)
{
    uint32_t  was, counted;

    if (people == 0) {
        return;
    }

    was = atomic_load_explicit(&g->people, memory_order_relaxed);
    counted = was & VOICE_CLUSTER_PEOPLE_MAX;

    if (atomic_load_explicit(&g->used, memory_order_relaxed) != now) {
        was = counted << 16;                   /* another look begins */
        counted = 0;
    }

    counted = people < VOICE_CLUSTER_PEOPLE_MAX - counted
              ? counted + people : VOICE_CLUSTER_PEOPLE_MAX;

    atomic_store_explicit(&g->people,
                          (was & ~(uint32_t) VOICE_CLUSTER_PEOPLE_MAX)
                          | counted, memory_order_relaxed);
}


voice_err_t
voice_cluster_used(voice_cluster_t *c, uint64_t guild, unsigned people,
    uint64_t now)
{
    uint32_t            record;
    voice_err_t         err;
    voice_assignment_t  a;

    err = voice_cluster_lookup(c, guild, &record, &a);

    if (err != VOICE_OK) {
        return err;
    }

    if (a.node != voice_cluster_self(c)) {
        return VOICE_E_NOT_FOUND;
    }

    voice_cluster_people(&c->guild[record], people, now);
    atomic_store_explicit(&c->guild[record].used, now, memory_order_relaxed);

    return VOICE_OK;
}


voice_err_t
voice_cluster_used_at(const voice_cluster_t *c, uint64_t guild,
    uint64_t *at, uint32_t *people)
{
    uint32_t            record, n;
    voice_err_t         err;
    voice_assignment_t  a;

    err = voice_cluster_lookup(c, guild, &record, &a);

    if (err == VOICE_OK) {
        *at = atomic_load(&c->guild[record].used);
    }

    if (err == VOICE_OK && people != NULL) {
        n = atomic_load(&c->guild[record].people);
        *people = n & VOICE_CLUSTER_PEOPLE_MAX;
        *people = n >> 16 > *people ? n >> 16 : *people;
    }

    return err;
}


void
voice_cluster_worker_gone(voice_cluster_t *c, unsigned slot)
{
    unsigned               i;
    uint64_t               state;
    voice_cluster_slot_t  *rq;

    atomic_store(&c->header->worker[slot].pid, 0);

    for (i = 0; i < VOICE_CLUSTER_REQUESTS; i++) {
        rq = &c->header->request[i];
        state = atomic_load(&rq->state);

        if (voice_slot_what(state) == VOICE_SLOT_WRITING
            && voice_slot_worker(state) == slot)
        {
            (void) atomic_compare_exchange_strong(&rq->state, &state,
                       voice_slot_state(voice_slot_serial(state), 0,
                                        VOICE_SLOT_FREE));
        }
    }
}


void
voice_cluster_worker_register(voice_cluster_t *c, unsigned slot, uint32_t pid,
    const char *name, uint64_t now)
{
    voice_cluster_worker_t  *w = &c->header->worker[slot];

    voice_cluster_worker_gone(c, slot);

    memset(w->name, 0, sizeof(w->name));
    strncpy(w->name, name, sizeof(w->name) - 1);

    atomic_store(&w->seen, now);
    atomic_store(&w->pid, pid);
}


voice_err_t
voice_cluster_relay_set(voice_cluster_t *c, const char *boot, const char *udp,
    uint32_t capacity)
{
    voice_cluster_relay_t  *relay = &c->header->relay;

    if (strlen(boot) >= sizeof(relay->boot)
        || strlen(udp) >= sizeof(relay->udp))
    {
        return VOICE_E_LENGTH;
    }

    atomic_store(&relay->ready, 0);
    atomic_thread_fence(memory_order_release);

    strcpy(relay->boot, boot);
    strcpy(relay->udp, udp);
    atomic_store(&relay->capacity, capacity);

    atomic_store(&relay->ready, 1);

    return VOICE_OK;
}
