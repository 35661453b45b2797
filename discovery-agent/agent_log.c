/*
 * Copyright (C) ngx-voice contributors
 */


#include "agent_log.h"
#include "agent_text.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>


#define AGENT_LOG_LINE   1024


static bool  agent_log_all;


void
agent_log_debug(bool on)
{
    agent_log_all = on;
}


void
agent_log(agent_log_level_t level, const char *fmt, ...)
{
    int      n, head;
    char     line[AGENT_LOG_LINE];
    va_list  args;

    if (level == AGENT_LOG_DEBUG && !agent_log_all) {
        return;
    }

    head = snprintf(line, sizeof(line), "<%d>", level);

    va_start(args, fmt);
    n = vsnprintf(line + head, sizeof(line) - head - 1, fmt, args);
    va_end(args);

    n = n < (int) sizeof(line) - head - 2 ? head + n
                                          : (int) sizeof(line) - 2;

    /* what comes from outside may hold anything */

    line[n] = '\0';
    agent_text_clean(line + head);

    line[n++] = '\n';

    if (write(STDERR_FILENO, line, (size_t) n) == -1) {
        return;                        /* nobody listens any more */
    }
}
