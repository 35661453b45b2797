/*
 * Copyright (C) ngx-voice contributors
 *
 * The choice of a node at the size of a large service: 850 servers of three
 * sizes, 2.6 million users, 1000 joins a second, load reports two seconds
 * old at worst; one server dies, then an empty one appears.  voice_assign.h
 * makes the choice as the agent has it make it; beside it what simpler rules
 * would do with the same reports.
 *
 *   bench_assign [SECONDS]      simulated, default 600
 */


#include "voice_assign.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>


#define SERVERS       850
#define USERS         2600000
#define JOINS         1000          /* users a second */
#define STAY          2700          /* s, mean */
#define REPORT        2             /* s between two of one server */
#define GUILD_MAX     1000
#define ARRIVE        30            /* s in which a guild's members come */
#define BATCH         60            /* guilds that move in one transaction */
#define TICKS         50            /* of a second */


typedef struct {
    double     users;
    double     coming;              /* of guilds assigned, not there yet */
    uint32_t   joined;              /* guilds of this second */
    uint32_t   herd;                /* the most of any second */
} server_t;

typedef struct {
    const char          *name;
    uint64_t             seed;
    server_t             server[SERVERS];
    voice_candidate_t    list[SERVERS];
    double               imbalance;      /* sum of cv, of max / mean */
    double               peak;
    double               worst;
    unsigned             samples;
    uint64_t             choices;
    double               spent;          /* s in the choice */
} sim_t;

typedef size_t (*choose_pt)(sim_t *sim);


static uint64_t
sim_random(void *data)
{
    uint64_t  *x = data;

    *x ^= *x << 13;
    *x ^= *x >> 7;
    *x ^= *x << 17;

    return *x;
}


static double
sim_uniform(sim_t *sim)
{
    return (double) (sim_random(&sim->seed) >> 11) / 9007199254740992.0;
}


static size_t
choose_agent(sim_t *sim)
{
    size_t               i;
    voice_assign_want_t  want = { 1, 0, 0, SIZE_MAX };

    if (voice_assign_choose(sim->list, SERVERS, &want, sim_random, &sim->seed,
                            &i, NULL) != VOICE_OK)
    {
        fprintf(stderr, "bench_assign: no server has room\n");
        exit(1);
    }

    return i;
}


/* What a naive rule takes: the lowest report. */

static size_t
choose_lowest(sim_t *sim)
{
    size_t    i, best;
    uint32_t  pending;
    uint64_t  u, least;

    best = 0;
    least = UINT64_MAX;

    for (i = 0; i < SERVERS; i++) {
        pending = sim->list[i].pending;
        sim->list[i].pending = 0;
        u = voice_assign_utilisation(&sim->list[i]);
        sim->list[i].pending = pending;

        if (sim->list[i].open && u < least) {
            least = u;
            best = i;
        }
    }

    return best;
}


static size_t
choose_random(sim_t *sim)
{
    size_t    i;
    uint64_t  sum, place;

    for (i = 0, sum = 0; i < SERVERS; i++) {
        sum += sim->list[i].open ? sim->list[i].capacity : 0;
    }

    place = sim_random(&sim->seed) % sum;

    for (i = 0; i < SERVERS; i++) {
        if (!sim->list[i].open) {
            continue;
        }

        if (place < sim->list[i].capacity) {
            break;
        }

        place -= sim->list[i].capacity;
    }

    return i;
}


/* Heavy-tailed, 4 on average. */

static double
sim_guild_size(sim_t *sim)
{
    double  size;

    size = 1.37 * pow(1 - sim_uniform(sim), -1 / 1.5);

    return size > GUILD_MAX ? GUILD_MAX : size;
}


static void
sim_assign(sim_t *sim, choose_pt choose, double users)
{
    size_t           i;
    struct timespec  a, b;

    clock_gettime(CLOCK_MONOTONIC, &a);
    i = choose(sim);
    clock_gettime(CLOCK_MONOTONIC, &b);

    sim->spent += (double) (b.tv_sec - a.tv_sec)
                  + (double) (b.tv_nsec - a.tv_nsec) / 1e9;
    sim->choices++;

    sim->list[i].pending++;
    sim->server[i].coming += users;
    sim->server[i].joined++;
}


static void
sim_report(sim_t *sim, size_t i)
{
    sim->list[i].participants = (uint32_t) sim->server[i].users;
    sim->list[i].pending = 0;
}


static void
sim_start(sim_t *sim, const char *name)
{
    size_t    i;
    double    capacity, share;

    memset(sim, 0, sizeof(sim_t));
    sim->name = name;
    sim->seed = 88172645463325252ull;
    capacity = 0;

    for (i = 0; i < SERVERS; i++) {
        sim->list[i].open = true;
        sim->list[i].region = 1;
        sim->list[i].capacity = i % 3 == 0 ? 3000 : i % 3 == 1 ? 4000 : 6000;
        capacity += sim->list[i].capacity;
    }

    share = USERS / capacity;

    for (i = 0; i < SERVERS; i++) {
        sim->server[i].users = sim->list[i].capacity * share;
        sim_report(sim, i);
    }
}


/* How far the most utilised one is above the mean of those that are up. */

static void
sim_sample(sim_t *sim, bool first)
{
    size_t  i, n;
    double  u, sum, squares, max, mean;

    sum = 0;
    squares = 0;
    max = 0;
    n = 0;

    for (i = 0; i < SERVERS; i++) {

        if (sim->server[i].joined > sim->server[i].herd) {
            sim->server[i].herd = sim->server[i].joined;
        }

        sim->server[i].joined = 0;

        if (!sim->list[i].open) {
            continue;
        }

        u = sim->server[i].users / sim->list[i].capacity;
        sum += u;
        squares += u * u;
        max = u > max ? u : max;
        n++;
    }

    if (first) {
        return;                        /* all the same at the start */
    }

    mean = sum / (double) n;
    sim->imbalance += sqrt(fmax(squares / (double) n - mean * mean, 0))
                      / mean;
    sim->peak += max / mean;
    sim->worst = fmax(sim->worst, max / mean);
    sim->samples++;
}


static void
sim_second(sim_t *sim, choose_pt choose, unsigned second)
{
    size_t    i;
    double    due, came;
    unsigned  tick;

    due = 0;

    for (tick = 0; tick < TICKS; tick++) {

        for (due += (double) JOINS / TICKS; due > 0; /* void */ ) {
            came = sim_guild_size(sim);
            due -= came;
            sim_assign(sim, choose, came);
        }

        for (i = 0; i < SERVERS; i++) {
            came = sim->server[i].coming / (ARRIVE * TICKS);
            sim->server[i].coming -= came;
            sim->server[i].users += came
                - sim->server[i].users / (STAY * TICKS);

            /* each server has its own moment */

            if ((second * TICKS + tick + i) % (REPORT * TICKS) == 0) {
                sim_report(sim, i);
            }
        }
    }
}


/* All its guilds go at once, in batches that each have one target. */

static void
sim_death(sim_t *sim, choose_pt choose, size_t dead)
{
    double    users, most;
    size_t    i;
    unsigned  guilds, batches;

    users = sim->server[dead].users;
    guilds = (unsigned) (users / 4);
    batches = (guilds + BATCH - 1) / BATCH;

    sim->list[dead].open = false;
    sim->server[dead].users = 0;
    sim->server[dead].coming = 0;

    double  before[SERVERS];

    for (i = 0; i < SERVERS; i++) {
        before[i] = sim->server[i].users;
    }

    for (i = 0; i < batches; i++) {
        size_t  to = choose(sim);

        sim->list[to].pending += BATCH;
        sim->server[to].users += users / batches;
    }

    most = 0;

    for (i = 0; i < SERVERS; i++) {
        most = fmax(most, sim->server[i].users - before[i]);
    }

    printf("  one of %.0f users dies: %u guilds move in %u transactions, at "
           "most %.0f users to one server\n", users, guilds, batches, most);
}


static void
sim_newcomer(sim_t *sim, choose_pt choose, size_t fresh)
{
    unsigned  i, n, got;

    sim->list[fresh].open = true;
    sim_report(sim, fresh);

    n = 10 * JOINS / 4;

    for (i = 0, got = 0; i < n; i++) {
        size_t  to = choose(sim);

        got += (to == fresh);
        sim->list[to].pending++;
    }

    printf("  an empty one appears: it gets %u of the next %u guilds\n", got,
           n);
}


static void
sim_run(const char *name, choose_pt choose, unsigned seconds)
{
    size_t        i;
    uint32_t      herd;
    unsigned      s;
    static sim_t  sim;

    sim_start(&sim, name);

    for (s = 0; s < seconds; s++) {
        sim_second(&sim, choose, s);
        sim_sample(&sim, s < seconds / 4);
    }

    herd = 0;

    for (i = 0; i < SERVERS; i++) {
        herd = sim.server[i].herd > herd ? sim.server[i].herd : herd;
    }

    printf("%s\n  imbalance %.2f %% (cv), most / mean %.3f (worst %.3f), most "
           "guilds to one server in a second %u, %.1f us a choice\n", name,
           100 * sim.imbalance / sim.samples, sim.peak / sim.samples,
           sim.worst, herd, 1e6 * sim.spent / (double) sim.choices);

    sim_death(&sim, choose, 2);
    sim_newcomer(&sim, choose, 2);
}


int
main(int argc, char **argv)
{
    unsigned  seconds;

    seconds = argc > 1 ? (unsigned) strtoul(argv[1], NULL, 10) : 600;

    if (seconds < 8) {
        fprintf(stderr, "bench_assign: \"%s\" seconds, expected 8 or more\n",
                argv[1]);
        return 2;
    }

    printf("%d servers, %d users, %d joins/s, reports each %d s, %u s\n\n",
           SERVERS, USERS, JOINS, REPORT, seconds);

    sim_run("two choices by capacity (the agent)", choose_agent, seconds);
    sim_run("lowest report", choose_lowest, seconds);
    sim_run("by chance, by capacity", choose_random, seconds);

    return 0;
}
