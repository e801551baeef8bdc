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

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "hidden.h"
#include "slots.h"

/* Whether there will be tombstones; without them nothing is paid but a load. The constructor's. */
void pipe_start(bool reaps);
extern HIDDEN _Atomic bool pipe_watched;

static inline bool pipe_is_fresh_tombstone(uint32_t word)
{
    return slot_state(word) == SLOT_BURIED && !(word & SLOT_WRITTEN);
}

/* Whether a write to fd needs no hush: no tombstone lies there, and none may before it is over. */
static inline bool pipe_is_clear(int fd)
{
    if (!atomic_load_explicit(&pipe_watched, memory_order_relaxed))
        return true;
    const uint32_t word = slot_word(slot_of(fd));
    const bool gone = slot_unclaimed(word) == SLOT_LIVE && (word & SLOT_GONE);
    return !gone && !pipe_is_fresh_tombstone(word);
}

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
