/*
 * Copyright (C) ngx-voice contributors
 *
 * Lines on standard error, as the journal wants them: "<priority>text".
 */


#ifndef _AGENT_LOG_H_INCLUDED_
#define _AGENT_LOG_H_INCLUDED_


#include <stdbool.h>
#include <stdint.h>
#include <time.h>


typedef enum {
    AGENT_LOG_ERR = 3,
    AGENT_LOG_WARN = 4,
    AGENT_LOG_INFO = 6,
    AGENT_LOG_DEBUG = 7
} agent_log_level_t;


void agent_log_debug(bool on);

void agent_log(agent_log_level_t level, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));


/* ms; goes on while the system sleeps, as leases do at etcd */
static inline uint64_t
agent_now(void)
{
    struct timespec  ts;

    clock_gettime(CLOCK_BOOTTIME, &ts);

    return (uint64_t) ts.tv_sec * 1000 + (uint64_t) ts.tv_nsec / 1000000;
}


#endif /* _AGENT_LOG_H_INCLUDED_ */
