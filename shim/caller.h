/*
 * Who called a hook: where a stack begins. Only an inline function can know it.
 */
#ifndef CLOSEWAIT_CALLER_H
#define CLOSEWAIT_CALLER_H

#include <stdint.h>

/* The caller's registers as they will be after the hook's return. */
struct caller {
    uintptr_t pc;
    uintptr_t sp;
    uintptr_t fp; /* the frame pointer's register, whatever the caller uses it for */
};

/*
 * The caller's frame pointer. Where the compiler is told to leave that register alone (Makefile,
 * FIXED_FP) it is there still; elsewhere a hook saves it, and has a frame for the saving.
 */
static inline __attribute__((always_inline)) uintptr_t callers_fp(void)
{
#ifdef FIXED_FP
    uintptr_t fp;
    __asm__("mov %%" FIXED_FP ", %0" : "=r"(fp));
    return fp;
#else
    return *(const uintptr_t *)__builtin_frame_address(0);
#endif
}

/* A const struct caller *, valid in the block: a hook's own frame alone has what it says. */
#define CALLER_HERE                                                                                \
    (&(const struct caller){                                                                       \
        .pc = (uintptr_t)__builtin_return_address(0),                                              \
        .sp = (uintptr_t)__builtin_dwarf_cfa(),                                                    \
        .fp = callers_fp(),                                                                        \
    })

#endif
