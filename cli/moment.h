/*
 * All threads of a process at one moment: their registers, and a copy of what is on their stacks.
 * The process stands still only while these are copied.
 */
#ifndef CLOSEWAIT_MOMENT_H
#define CLOSEWAIT_MOMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "registers.h"
#include "target.h"

struct standing {
    pid_t tid;
    bool seen; /* the rest is known */
    struct registers registers;
    uint64_t from; /* the address of the copy's first byte: the top of the stack */
    unsigned char *copy;
    size_t size;
};

struct moment {
    struct standing *at;
    size_t count;
};

/*
 * False, with what was wrong and what to do in why, when the process could not be stopped.
 * moment_free in either case. Threads that would have it stand still for too long are not seen.
 */
bool moment_take(struct moment *moment, const struct target *target, char *why, size_t why_size);

void moment_free(struct moment *moment);

#endif
