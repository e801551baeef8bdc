/*
 * The calling thread's signal mask, by the kernel's own 64-bit set: libc's sigfillset leaves out
 * the signals that it uses itself. Any thread, any signal handler.
 */
#ifndef CLOSEWAIT_SIGNALS_H
#define CLOSEWAIT_SIGNALS_H

#include <signal.h>
#include <stdint.h>

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

#endif
