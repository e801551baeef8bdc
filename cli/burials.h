/*
 * Burials in one process, as many as were asked for: in as few stops of its world as leave each
 * short, and how each has ended.
 */
#ifndef CLOSEWAIT_BURIALS_H
#define CLOSEWAIT_BURIALS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ending.h"
#include "grave.h"

struct burials {
    struct grave *at;
    enum ending *endings; /* of those that are done */
    size_t count;
    uint64_t stopped_us; /* how long the process stood still, at the longest */
    unsigned stops;      /* how often */
};

/* One more; begin with a zeroed struct. */
void burials_add(struct burials *burials, struct found *found, bool forced);

/*
 * Makes them. False, with what was wrong and what to do in why, when the process could not be
 * stopped, or not again: those that are not done by then are BURIAL_NOT_YET.
 */
bool burials_make(struct burials *burials, const struct target *target,
                  const struct options *options, char *why, size_t why_size);

void burials_free(struct burials *burials);

#endif
