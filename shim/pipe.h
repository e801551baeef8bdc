/*
 * SIGPIPE. A first write to a socket whose peer has closed succeeds, and a program that would only
 * have learnt from the second must not be ended by the first because a tombstone is there by now:
 * it says EPIPE, and raises nothing.
 *
 * A write that no hook sees is out of reach: one of stdio, which libc makes itself, or of io_uring;
 * and one of a program that has forbidden itself system calls, or whose watcher has gone for good.
 */
#ifndef CLOSEWAIT_PIPE_H
#define CLOSEWAIT_PIPE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* Whether there will be tombstones; without them nothing is paid but a load. The constructor's. */
void pipe_start(bool reaps);
extern _Atomic bool pipe_watched;

/*
 * Around a write to fd: blocks SIGPIPE where the peer of fd is gone or a tombstone lies there, and
 * unblocks it after; the first EPIPE of a tombstone takes its signal with it. Who writes is no
 * leak: a probe ends. Both keep errno. Any thread, any signal handler.
 */
struct hush {
    int fd;
    bool on;
    bool pending; /* one waited already: it is not ours to take */
    uint64_t mask;
};

struct hush pipe_hush(int fd);
void pipe_hushed(struct hush hush, ssize_t written);

#endif
