/*
 * The grace that would have been right, once the program has closed what was told to be leaked.
 * Pure; any thread, any signal handler.
 */
#ifndef CLOSEWAIT_HINDSIGHT_H
#define CLOSEWAIT_HINDSIGHT_H

#include <stdint.h>

/*
 * For a call site with so many leaks, of which the program closed so many late, the slowest so long
 * after the FIN: a neat duration that is a quarter longer, at least; 0 when no more than half of
 * them were closed, or when it would be longer than the option grace can be.
 */
uint32_t hindsight_grace_ms(uint64_t leaks, uint64_t late, uint64_t slowest_ms);

#endif
