/*
 * Processes that could not be watched: why not, and when to try again.
 */
#ifndef CLOSEWAIT_REFUSALS_H
#define CLOSEWAIT_REFUSALS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "processes.h"

struct refusal {
    pid_t pid;
    char *why; /* as it was said last */
    uint32_t pause_ms;
    uint64_t due_ms; /* by CLOCK_MONOTONIC */
};

/* Begin with a zeroed struct. */
struct refusals {
    struct refusal *at;
    size_t count;
};

bool refusals_have(const struct refusals *refusals, pid_t pid);

/* Whether it may be tried now: it was never refused, or its pause is over. */
bool refusals_allow(const struct refusals *refusals, pid_t pid);

/*
 * It was refused: the next try is in a second, and after each more in twice as long, up to a
 * minute. Returns whether why is news, that is not what it was the last time.
 */
bool refusals_add(struct refusals *refusals, pid_t pid, const char *why);

/* It is refused no more, if it ever was. */
void refusals_drop(struct refusals *refusals, pid_t pid);

/* Drops all that are not among pids: their ids will be others'. Returns how many. */
size_t refusals_keep(struct refusals *refusals, const struct pid_list *pids);

void refusals_free(struct refusals *refusals);

#endif
