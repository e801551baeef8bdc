/*
 * Asks by TCP keepalive whether the peer of a leaked socket is still there, as the shim does
 * (probe.h, keepalive.h), but through copies of the program's descriptors: nothing is stopped. The
 * program can see the settings of a probe meanwhile.
 */
#ifndef CLOSEWAIT_PROBING_H
#define CLOSEWAIT_PROBING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "found.h"
#include "keepalive.h"
#include "target.h"

/* Of one socket; begin with a zeroed struct. */
struct probing {
    bool on;
    int fd; /* by which the program had it */
    uint32_t inode;
    uint64_t cookie;
    struct keepalive ours;
    struct keepalive kept; /* what the program had set */
};

/*
 * Begins to, unless it is on. Where the program's settings could not be put back as they were,
 * nothing is done.
 */
void probing_begin(struct probing *probing, const struct found *found, const struct target *target,
                   const struct options *options);

/*
 * Puts the settings back of those that are on, unless somebody has changed ours: by the program's
 * descriptor, or where the program has closed it by that of another process that has the socket.
 */
void probings_end(struct probing *const *probings, size_t count, const struct target *target);

#endif
