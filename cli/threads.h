/*
 * What the threads of a process do at one moment: each distinct stack, with those that have it.
 */
#ifndef CLOSEWAIT_THREADS_H
#define CLOSEWAIT_THREADS_H

#include <jansson.h>
#include <stddef.h>
#include <stdio.h>

#include "target.h"

/*
 * As "threads" in docs/schema.json, the stack of most threads first. The process stands still for
 * as long as it takes to copy the stacks; they are unwound from the copies, by elfutils.
 * debuginfo_path: as in symbols_search; NULL: where elfutils looks by itself. NULL, with what was
 * wrong and what to do in why, when the process could not be stopped.
 */
json_t *threads_take(const struct target *target, const char *debuginfo_path, char *why,
                     size_t why_size);

/* Lines for people, below those of a leak. */
void threads_print(FILE *to, const json_t *threads);

#endif
