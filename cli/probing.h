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
 * Begins to, unless it is on. Where the program's settings could not be put back as they were, or
 * its descriptor cannot be copied (pidfd_getfd: it is closed, is another socket's by now, or
 * ptrace(2) is not allowed), nothing is done, and it is not on: the next look may try again.
 */
void probing_begin(struct probing *probing, const struct found *found, const struct target *target,
                   const struct options *options);

/*
 * Puts the settings back of those that are on, unless somebody has changed ours: by the program's
 * descriptor, or where the program has closed it by that of another process that has the socket.
 * Afterwards none is on. Where no descriptor can be copied any more the settings stay as they are:
 * either nobody has the socket, or who has it may not be looked into.
 */
void probings_end(struct probing *const *probings, size_t count, const struct target *target);

#endif
