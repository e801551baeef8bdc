/*
 * The TCP sockets of one process, seen from outside, and what the judge says of them.
 *
 * sock_diag tells of every socket that is in a table of the kernel's, so that those that live are
 * not touched at all. A connection that is over (CLOSE) is in none: such a one is looked at through
 * a copy of its descriptor. It has nothing left to send and no peer, so that the copy can delay
 * only that its port is free, for some microseconds.
 */
#ifndef CLOSEWAIT_FOUND_H
#define CLOSEWAIT_FOUND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "endpoint.h"
#include "facts.h"
#include "judge.h"
#include "options.h"
#include "target.h"

/* A socket; all of the process's descriptors of it are one. */
struct found {
    uint64_t cookie;
    uint32_t inode;
    bool accepted; /* as far as can be known (accepted.h) */
    struct endpoint local;
    struct endpoint peer;
    struct facts facts;
    struct history history;
    struct ruling ruling;
    bool shared; /* another process holds it, too; looked for where an error waits to be read */
    int *fds;    /* in their order */
    size_t fd_count;
};

struct findings {
    struct found *at; /* by their first descriptor */
    size_t count;
};

/*
 * The sockets at this moment. One look has no history: the FIN's age is what the kernel says, and a
 * connection that is over is taken to be so since its peer was last heard, which is at the most.
 * False, with what was wrong and what to do in why, when the kernel cannot be asked. findings_free
 * in either case.
 */
bool findings_take(struct findings *findings, const struct target *target,
                   const struct options *options, char *why, size_t why_size);

void findings_free(struct findings *findings);

/* The socket that a descriptor is; NULL: it is no TCP socket, or is not open. */
struct found *findings_of(const struct findings *findings, int fd);

#endif
