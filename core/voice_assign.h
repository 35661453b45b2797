/*
 * Copyright (C) ngx-voice contributors
 *
 * Which node serves a guild.
 *
 * Load reports are seconds old, and many agents choose at the same time.
 * Who takes the least loaded of many nodes by such a report takes the same
 * one as everybody else; so of many, two are drawn by chance, weighted by
 * capacity, and the less utilised of the two is taken.  Of up to
 * VOICE_ASSIGN_FEW nodes the least utilised one is taken, which counts what
 * was assigned since its report.
 */


#ifndef _VOICE_ASSIGN_H_INCLUDED_
#define _VOICE_ASSIGN_H_INCLUDED_


#include "voice_err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>


#define VOICE_ASSIGN_FEW          8
#define VOICE_ASSIGN_FULL         1000000u  /* utilisation in millionths */
#define VOICE_ASSIGN_HIGH         900000u   /* takes no guilds from here on */
#define VOICE_ASSIGN_DC_HIGH      800000u   /* its mean: no preference more */
#define VOICE_ASSIGN_GUILD_USERS  4         /* that a new guild brings */
#define VOICE_ASSIGN_REPORT_AGE   10000     /* ms, of a report that counts */


/* A node as a choice sees it.  Names are numbers that the caller gave them. */
typedef struct {
    bool       open;           /* up, no order against it, not suspect */
    uint32_t   region;
    uint32_t   dc;
    uint32_t   pool;
    uint32_t   capacity;       /* participants */
    uint32_t   participants;   /* as reported, as all of these */
    uint32_t   pending;        /* guilds assigned since the report */
    uint32_t   age;            /* ms, of the report */
    uint16_t   cpu;            /* permille */
    uint16_t   bandwidth;
    uint16_t   packets;
} voice_candidate_t;


typedef struct {
    uint32_t   region;
    uint32_t   dc;             /* 0: no preference */
    uint32_t   pool;
    size_t     except;         /* of the list: not this one; SIZE_MAX: none */
} voice_assign_want_t;


typedef uint64_t (*voice_random_pt)(void *data);


/* Millionths; its most scarce resource, and what is on its way there. */
uint64_t voice_assign_utilisation(const voice_candidate_t *node);

/*
 * Chooses one of the list.  strained, which may be NULL: the one chosen is
 * above VOICE_ASSIGN_HIGH, or its report is old, because all are so.
 *
 * VOICE_E_NOT_FOUND  no open node of that region and pool
 * VOICE_E_FULL       all of them are full
 */
voice_err_t voice_assign_choose(const voice_candidate_t *list, size_t n,
    const voice_assign_want_t *want, voice_random_pt random, void *data,
    size_t *chosen, bool *strained);


/*
 * Rendezvous hashing: of all nodes that know of a guild the one with the
 * highest score acts for it, and all agree on which one that is.
 */
uint64_t voice_assign_score(uint64_t guild, const char *node);


#endif /* _VOICE_ASSIGN_H_INCLUDED_ */
