/*
 * Copyright (C) ngx-voice contributors
 *
 * A child that is stopped at each instruction of one operation, to look at
 * what it has done by then.
 */


#ifndef _VOICE_STEP_H_INCLUDED_
#define _VOICE_STEP_H_INCLUDED_


#include "test_util.h"

#include <signal.h>
#include <stdbool.h>
#include <unistd.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/wait.h>


/* Whether this system lets a process trace its child. */

static inline bool
step_permitted(void)
{
    int    status;
    pid_t  pid;

    pid = fork();
    assert_true(pid >= 0);

    if (pid == 0) {
        _exit(ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0);
    }

    waitpid(pid, &status, 0);

    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}


/*
 * In the parent: the pid of a child that has stopped before its operation.
 * In the child 0: it does it, and ends by step_end().
 */

static inline pid_t
step_fork(void)
{
    int    status;
    pid_t  pid;

    pid = fork();
    assert_true(pid >= 0);

    if (pid == 0) {
        if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0
            || ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0)
        {
            _exit(2);
        }

        raise(SIGSTOP);
        return 0;
    }

    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSTOPPED(status));

    return pid;
}


static inline void
step_end(void)
{
    raise(SIGSTOP);
    _exit(0);
}


/* One instruction; false: the operation is done. */

static inline bool
step_next(pid_t pid)
{
    int  status;

    return ptrace(PTRACE_SINGLESTEP, pid, NULL, NULL) == 0
           && waitpid(pid, &status, 0) == pid && WIFSTOPPED(status)
           && WSTOPSIG(status) == SIGTRAP;
}


static inline void
step_kill(pid_t pid)
{
    int  status;

    kill(pid, SIGKILL);
    waitpid(pid, &status, 0);
}


#endif /* _VOICE_STEP_H_INCLUDED_ */
