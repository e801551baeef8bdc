/*
 * The calling thread's signal mask, by the kernel's own 64-bit set: libc's sigfillset leaves out
 * the signals that it uses itself. Any thread, any signal handler.
 */
#ifndef CLOSEWAIT_SIGNALS_H
#define CLOSEWAIT_SIGNALS_H

#include <signal.h>
#include <stdint.h>
#include <time.h>

#include "raw.h"

/* Blocks every signal that can be blocked; returns the mask to restore. */
static inline uint64_t signals_block(void)
{
    const uint64_t all = UINT64_MAX;
    uint64_t before = 0;
    raw4(SYS_rt_sigprocmask, SIG_SETMASK, (long)&all, (long)&before, sizeof(all));
    return before;
}

static inline void signals_restore(uint64_t before)
{
    raw4(SYS_rt_sigprocmask, SIG_SETMASK, (long)&before, 0, sizeof(before));
}

/* The signals that wait, blocked, for the calling thread or the process: a bit each. */
#define SIGNAL_BIT(number) (1ULL << ((number)-1))

static inline uint64_t signals_pending(void)
{
    uint64_t pending = 0;
    raw2(SYS_rt_sigpending, (long)&pending, sizeof(pending));
    return pending;
}

/* Those of these, all of them blocked, that wait by now are as if they had never been raised. */
static inline void signals_take_back(uint64_t which)
{
    const struct timespec at_once = {0};
    while (which && raw4(SYS_rt_sigtimedwait, (long)&which, 0, (long)&at_once, sizeof(which)) > 0) {
    }
}

#endif
