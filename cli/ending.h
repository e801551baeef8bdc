/*
 * What has become of connections that were closed for a process.
 */
#ifndef CLOSEWAIT_ENDING_H
#define CLOSEWAIT_ENDING_H

#include <stddef.h>

#include "found.h"
#include "target.h"

enum ending {
    ENDING_UNKNOWN, /* the kernel could not be asked */
    ENDING_GONE,
    ENDING_CLOSING, /* the peer has yet to acknowledge our FIN, or the kernel waits */
    ENDING_HELD,    /* another descriptor or another process holds it */
};

/*
 * Looks each of the sockets up by its cookie, until none is closing any more, and for some tenths
 * of a second at the most.
 */
void endings_find(enum ending *endings, const struct found *const *founds, size_t count,
                  const struct target *target);

#endif
