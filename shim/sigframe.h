/*
 * The step from a signal handler to what it interrupted, where no call frame information tells it:
 * on aarch64 the kernel's trampoline has none since Linux 5.8, as it led unwinders astray, and they
 * know it by its two instructions instead (arch/arm64/kernel/vdso/sigreturn.S).
 *
 * Any thread, any signal handler.
 */
#ifndef CLOSEWAIT_SIGFRAME_H
#define CLOSEWAIT_SIGFRAME_H

#include <stdbool.h>

#include "cfi.h"

/* False, with the cursor as it was, when it is at no such trampoline or its frame is unreadable. */
bool sigframe_step(struct cursor *cursor, cfi_read *read, const void *memory);

#endif
