/*
 * One process that is to be looked into and maybe entered from outside. A pidfd is held of it: when
 * its id becomes another process's, nothing here works any more.
 */
#ifndef CLOSEWAIT_TARGET_H
#define CLOSEWAIT_TARGET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "container.h"
#include "processes.h"

struct target {
    pid_t pid;
    pid_t tid;  /* a thread of it that lives: the first one, unless that has ended */
    int pidfd;  /* of the process */
    int thread; /* a pidfd for that thread: its descriptors can be copied by it */
    char comm[COMM_SIZE];
    char container[CONTAINER_SIZE]; /* that it is in, or empty */
};

/*
 * False, with what is wrong and what to do in why, when there is no such process, when it is none
 * that can be entered, or when we may not. target_close in either case.
 */
bool target_open(struct target *target, pid_t pid, char *why, size_t why_size);

void target_close(struct target *target);

/* Whether the process runs still. */
bool target_lives(const struct target *target);

/*
 * Takes another thread when the one that it is looked at by has ended and others go on. False when
 * none does that can be looked at: then *why says so, or is empty when the process just ends.
 */
bool target_follow(struct target *target, char *why, size_t why_size);

/*
 * A descriptor of ours for what its descriptor fd is (pidfd_getfd); -1, with errno, when there is
 * none. The copy keeps the socket alive: a connection that the program closes meanwhile ends, and a
 * port that it gives up is free, only when the copy is closed. So it is kept for some microseconds,
 * and none is ever made of a connection that is alive but of a leaked one that is probed.
 */
int target_copy(const struct target *target, int fd);

/* The same if it is the socket with that cookie; -1 otherwise. */
int target_copy_of(const struct target *target, int fd, uint64_t cookie);

/* The value of a line of /proc/PID/task/TID/status, as "TracerPid"; -1 when it cannot be read. */
long target_status(pid_t pid, pid_t tid, const char *name);

/* Of one thread, as proc(5) has it: 'Z' has ended; 0 when it is gone. */
char target_state(pid_t pid, pid_t tid);

/* What to say when the kernel lets us not into a process: who may. Writes one line into why. */
void target_explain_refusal(const struct target *target, char *why, size_t why_size);

/* The same when it cannot be seen which descriptors a process has that may be entered. */
void target_explain_hidden(const struct target *target, char *why, size_t why_size);

/* That it is traced already, and by whom. The same. */
void target_explain_tracer(const struct target *target, pid_t tracer, char *why, size_t why_size);

#endif
