/*
 * The records of a process that is watched from outside, as the shim writes them: how a socket came
 * to it is not known ("found"), nor where.
 */
#ifndef CLOSEWAIT_WATCHED_TELL_H
#define CLOSEWAIT_WATCHED_TELL_H

#include <jansson.h>

#include "ending.h"
#include "found.h"
#include "watched.h"

/*
 * Of a socket that has leaked; it is counted already. People are told the 1st, 2nd, 4th, 8th ...
 * threads: the stacks of the process's threads (threads.h), or NULL.
 */
void watched_tell_leak(struct watched *watched, const struct found *found,
                       const struct memory *memory, const json_t *threads,
                       const struct rules *rules);

/* That it was closed, or with an errno why not. */
void watched_tell_reap(struct watched *watched, const struct found *found, int error,
                       enum ending ending, const struct rules *rules);

/* That the program has closed it after all. */
void watched_tell_late_close(struct watched *watched, const struct memory *memory,
                             const struct rules *rules);

/* held: how many leaked sockets it has now. */
void watched_tell_summary(struct watched *watched, uint32_t held, const struct rules *rules);

#endif
