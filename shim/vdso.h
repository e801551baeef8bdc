/*
 * The clock that the kernel maps into every process (vdso(7)): what it says costs no system call.
 */
#ifndef CLOSEWAIT_VDSO_H
#define CLOSEWAIT_VDSO_H

#include <stdatomic.h>
#include <time.h>

#include "hidden.h"

/*
 * clock_gettime(2) as the kernel gives it, 0 or a negative errno: by a system call until
 * vdso_init, and where there is no such object. Not libc's: see clock.h. Any thread, any signal
 * handler.
 */
typedef long vdso_gettime(clockid_t clock, struct timespec *now);
extern HIDDEN vdso_gettime *_Atomic vdso_found;

static inline long vdso_clock_gettime(clockid_t clock, struct timespec *now)
{
    return atomic_load_explicit(&vdso_found, memory_order_relaxed)(clock, now);
}

/* Finds it. The constructor's. */
void vdso_init(void);

/*
 * By a system call from now on: it reads the time stamp counter, which the program is about to
 * forbid itself (PR_SET_TSC, prctl(2)). Any thread, any signal handler.
 */
void vdso_forget(void);

#endif
