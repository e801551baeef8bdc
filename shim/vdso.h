/*
 * The clock that the kernel maps into every process (vdso(7)): what it says costs no system call.
 */
#ifndef CLOSEWAIT_VDSO_H
#define CLOSEWAIT_VDSO_H

#include <time.h>

#include "hidden.h"

/*
 * clock_gettime(2) as the kernel gives it, 0 or a negative errno: by a system call until
 * vdso_init, and where there is no such object. Not libc's: see clock.h. Any thread, any signal
 * handler.
 */
extern HIDDEN long (*vdso_clock_gettime)(clockid_t clock, struct timespec *now);

/* Finds it. The constructor's. */
void vdso_init(void);

#endif
