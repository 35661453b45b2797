/*
 * Copyright (C) ngx-voice contributors
 */


#include "voice_assign.h"

#include <string.h>


/* What one pass over the nodes found. */
typedef struct {
    uint64_t   weight;         /* sum of capacities */
    uint64_t   load;           /* sum of capacity * utilisation */
    size_t     count;
    size_t     least;          /* the least utilised one */
    uint64_t   utilisation;    /* of that one */
} voice_assign_sum_t;


uint64_t
voice_assign_utilisation(const voice_candidate_t *node)
{
    uint64_t  used, scarce;

    if (node->capacity == 0) {
        return UINT32_MAX;
    }

    used = (uint64_t) node->participants * VOICE_ASSIGN_FULL / node->capacity;

    scarce = node->cpu > node->bandwidth ? node->cpu : node->bandwidth;
    scarce = node->packets > scarce ? node->packets : scarce;
    scarce *= VOICE_ASSIGN_FULL / 1000;

    used = scarce > used ? scarce : used;

    return used + (uint64_t) node->pending * VOICE_ASSIGN_GUILD_USERS
                  * VOICE_ASSIGN_FULL / node->capacity;
}


static bool
voice_assign_matches(const voice_candidate_t *list, size_t i,
    const voice_assign_want_t *want)
{
    return list[i].open && i != want->except && list[i].capacity != 0
           && list[i].region == want->region && list[i].pool == want->pool;
}


/* dc 0: all of them */

static bool
voice_assign_eligible(const voice_candidate_t *list, size_t i,
    const voice_assign_want_t *want, uint32_t dc)
{
    return voice_assign_matches(list, i, want)
           && (dc == 0 || list[i].dc == dc)
           && list[i].age < VOICE_ASSIGN_REPORT_AGE
           && voice_assign_utilisation(&list[i]) < VOICE_ASSIGN_HIGH;
}


static void
voice_assign_add(voice_assign_sum_t *sum, const voice_candidate_t *list,
    size_t i)
{
    uint64_t  utilisation;

    utilisation = voice_assign_utilisation(&list[i]);

    if (sum->count == 0 || utilisation < sum->utilisation) {
        sum->least = i;
        sum->utilisation = utilisation;
    }

    sum->count++;
    sum->weight += list[i].capacity;
    sum->load += list[i].capacity * utilisation;
}


static void
voice_assign_survey(const voice_candidate_t *list, size_t n,
    const voice_assign_want_t *want, uint32_t dc, voice_assign_sum_t *sum)
{
    size_t  i;

    memset(sum, 0, sizeof(voice_assign_sum_t));

    for (i = 0; i < n; i++) {
        if (voice_assign_eligible(list, i, want, dc)) {
            voice_assign_add(sum, list, i);
        }
    }
}


/* The eligible node at that place of the sum of capacities. */

static size_t
voice_assign_at(const voice_candidate_t *list, size_t n,
    const voice_assign_want_t *want, uint32_t dc, uint64_t place)
{
    size_t  i, last;

    last = 0;

    for (i = 0; i < n; i++) {

        if (!voice_assign_eligible(list, i, want, dc)) {
            continue;
        }

        if (place < list[i].capacity) {
            return i;
        }

        place -= list[i].capacity;
        last = i;
    }

    return last;
}


static size_t
voice_assign_two(const voice_candidate_t *list, size_t n,
    const voice_assign_want_t *want, uint32_t dc,
    const voice_assign_sum_t *sum, voice_random_pt random, void *data)
{
    size_t  a, b;

    a = voice_assign_at(list, n, want, dc, random(data) % sum->weight);
    b = voice_assign_at(list, n, want, dc, random(data) % sum->weight);

    return voice_assign_utilisation(&list[b])
           < voice_assign_utilisation(&list[a]) ? b : a;
}


/* None is eligible: the one with most room, if it has any. */

static voice_err_t
voice_assign_strained(const voice_candidate_t *list, size_t n,
    const voice_assign_want_t *want, size_t *chosen)
{
    size_t              i;
    voice_assign_sum_t  sum;

    memset(&sum, 0, sizeof(sum));

    for (i = 0; i < n; i++) {
        if (voice_assign_matches(list, i, want)) {
            voice_assign_add(&sum, list, i);
        }
    }

    if (sum.count == 0) {
        return VOICE_E_NOT_FOUND;
    }

    if (sum.utilisation >= VOICE_ASSIGN_FULL) {
        return VOICE_E_FULL;
    }

    *chosen = sum.least;

    return VOICE_OK;
}


voice_err_t
voice_assign_choose(const voice_candidate_t *list, size_t n,
    const voice_assign_want_t *want, voice_random_pt random, void *data,
    size_t *chosen, bool *strained)
{
    uint32_t            dc;
    voice_err_t         err;
    voice_assign_sum_t  sum;

    dc = want->dc;
    voice_assign_survey(list, n, want, dc, &sum);

    if (dc != 0
        && (sum.count == 0
            || sum.load / sum.weight >= VOICE_ASSIGN_DC_HIGH))
    {
        dc = 0;
        voice_assign_survey(list, n, want, dc, &sum);
    }

    err = VOICE_OK;

    if (sum.count == 0) {
        err = voice_assign_strained(list, n, want, chosen);

    } else if (sum.count <= VOICE_ASSIGN_FEW) {
        *chosen = sum.least;

    } else {
        *chosen = voice_assign_two(list, n, want, dc, &sum, random, data);
    }

    if (err == VOICE_OK && strained != NULL) {
        *strained = (sum.count == 0);
    }

    return err;
}


uint64_t
voice_assign_score(uint64_t guild, const char *node)
{
    uint64_t  h;

    /* FNV-1a of the name, then the finalizer of SplitMix64 */

    for (h = 0xCBF29CE484222325ull; *node != '\0'; node++) {
        h = (h ^ (uint8_t) *node) * 0x100000001B3ull;
    }

    h ^= guild * 0x9E3779B97F4A7C15ull;
    h = (h ^ h >> 30) * 0xBF58476D1CE4E5B9ull;
    h = (h ^ h >> 27) * 0x94D049BB133111EBull;

    return h ^ h >> 31;
}
