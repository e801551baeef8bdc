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

/* To be called by a hook itself. */
static inline __attribute__((always_inline)) struct caller caller_here(void)
{
    return (struct caller){
        .pc = (uintptr_t)__builtin_return_address(0),
        .sp = (uintptr_t)__builtin_dwarf_cfa(),
        .fp = *(const uintptr_t *)__builtin_frame_address(0),
    };
}

#endif
