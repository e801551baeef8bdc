/*
 * The program of closewait run: our child, which is to notice nothing of us. Signals that are meant
 * for it reach it, and job control stops and wakes both.
 */
#ifndef CLOSEWAIT_CHILD_H
#define CLOSEWAIT_CHILD_H

#include <signal.h>
#include <stdbool.h>
#include <sys/types.h>

#include "preload.h"

struct child {
    pid_t pid;
    int signals;             /* a signalfd: there are signals to pass on */
    int failure[2];          /* the errno of an exec that failed */
    sigset_t mask;           /* ours before, and the program's */
    struct sigaction action; /* what SIGCHLD did before, and does in the program */
    pid_t lookout;           /* who woke us when the program was woken alone; 0: nobody yet */
};

/*
 * Starts argv[0], with what the shim is to find. 0 when it runs, else the exit status of the
 * command, after a line on standard error. Once in a process.
 */
int child_start(struct child *child, char **argv, const struct preload *preload);

/* Passes on one signal of those that child->signals has. */
void child_pass_signal_on(const struct child *child);

/*
 * True when it has ended, with its wait status. When job control stopped it, we stop with it, as
 * the shell expects, which wakes both; who stops it alone (SIGSTOP) wakes it alone.
 */
bool child_has_ended(struct child *child, int *status);

#endif
